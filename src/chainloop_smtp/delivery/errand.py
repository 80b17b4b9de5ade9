"""Work -> what it gives, from a thread of its own that can be left behind."""

from collections.abc import Callable
from threading import Thread
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Errand(Generic[Result]):
    """Work that is under way from here on."""

    def __init__(self, work: Callable[[], Result]) -> None:
        self._work = work
        self._outcome: list[Result | Exception] = []
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def result(self, seconds: float | None = None) -> Result:
        """What the work gives, or what it raises.

        Args:
            seconds: How long to wait for it; None: as long as it takes.

        Raises:
            TimeoutError: It takes longer, and is left behind.
        """
        self._thread.join(seconds)
        if not self._outcome:
            raise TimeoutError
        (outcome,) = self._outcome
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _run(self) -> None:
        try:
            self._outcome.append(self._work())
        except Exception as error:  # noqa: BLE001  # raised again by the thread that waits
            self._outcome.append(error)
