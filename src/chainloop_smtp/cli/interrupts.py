"""Ctrl-C, and what a runner sends to a step of a cancelled job -> one KeyboardInterrupt.

A runner sends SIGINT, then SIGTERM (on Windows Ctrl-Break), then ends the process. A second
interrupt would keep the receipt and the outputs from being written after the first.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130  # the exit code that shells make of SIGINT
_NAMES = ("SIGINT", "SIGTERM", "SIGBREAK")

Handler = Callable[[int, FrameType | None], None]


def handle_once() -> None:
    """From here to the end of the process: the first signal interrupts, the others do nothing."""
    _replace(_interrupt)


def ignore() -> None:
    """Let signals do nothing from here on."""
    # Not SIG_IGN: Python complains about a signal that has arrived before and is then ignored.
    _replace(lambda *_: None)


def finish() -> None:
    """Ignore signals while the process ends.

    Python restores the default of every signal that has a handler before it is gone, and SIGTERM's
    default would change the exit code. It leaves an ignored signal as it is.
    """
    _replace(signal.SIG_IGN)


@contextmanager
def stopping(stop: Callable[[], None]) -> Iterator[None]:
    """The first signal calls `stop`, and the second interrupts.

    After a first one, signals do nothing once this is left.
    """
    is_stopped = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal is_stopped
        if is_stopped:
            _interrupt(number, frame)
        is_stopped = True
        stop()

    before = _replace(handle)
    try:
        yield
    finally:
        if is_stopped:
            ignore()
        else:
            for number, handler in before.items():
                signal.signal(number, handler)


def _interrupt(*_: object) -> None:
    ignore()
    raise KeyboardInterrupt


def _replace(handler: Handler | signal.Handlers) -> "dict[signal.Signals, Handler | int | None]":
    """Set the handler of each signal, and return the previous ones.

    A signal that is ignored stays so: `nohup` and a script's background jobs ask for that.
    """
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    return {
        number: signal.signal(number, handler)
        for number in numbers
        if signal.getsignal(number) is not signal.SIG_IGN
    }
