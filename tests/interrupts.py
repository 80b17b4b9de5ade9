"""Ctrl-C at a known moment: what came about before it, and what the main thread is waiting in."""

import signal
import sys
import threading
import time
from collections.abc import Callable

PATIENCE = 60.0


def until(is_so: Callable[[], object]) -> None:
    """Waits, and gives up only where waiting longer would be for nothing."""
    ends = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.002)


def main_is_in(*functions: str) -> bool:
    """Whether the main thread is in one of these functions, and in no other that it has called."""
    main = threading.main_thread().ident
    assert main is not None
    return sys._current_frames()[main].f_code.co_name in functions  # noqa: SLF001


def interrupt_when(is_time: Callable[[], object], waiting_in: str = "_wait") -> None:
    """Sends SIGINT to the main thread, as soon as it is time and that thread waits there."""

    def interrupt() -> None:
        until(lambda: is_time() and main_is_in(waiting_in))
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
