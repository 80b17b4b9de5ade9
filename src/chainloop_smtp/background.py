"""Work -> what it gives, from a thread of its own that can be left behind."""

from collections.abc import Callable
from threading import Lock, Thread
from typing import Generic, TypeVar

Result = TypeVar("Result")


class BackgroundCall(Generic[Result]):
    """Work that is under way from here on."""

    def __init__(
        self, work: Callable[[], Result], discard: Callable[[Result], object] = lambda _: None
    ) -> None:
        """Starts the work.

        Args:
            discard: Gets the result if nobody waits for it any more.
        """
        self._work = work
        self._discard = discard
        self._outcome: list[Result | Exception] = []
        self._is_left = False
        self._lock = Lock()
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
        with self._lock:
            self._is_left = not self._outcome
        if self._is_left:
            raise TimeoutError
        (outcome,) = self._outcome
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def leave(self) -> None:
        """Waits for nothing: the result is discarded, now or when it comes."""
        with self._lock:
            self._is_left = True
            outcomes = list(self._outcome)
        self._dispose(outcomes)

    def _run(self) -> None:
        outcome: Result | Exception
        try:
            outcome = self._work()
        except Exception as error:  # noqa: BLE001  # raised again by the thread that waits
            outcome = error
        with self._lock:
            self._outcome.append(outcome)
            outcomes = list(self._outcome) if self._is_left else []
        self._dispose(outcomes)

    def _dispose(self, outcomes: list[Result | Exception]) -> None:
        for each in outcomes:
            if not isinstance(each, Exception):
                self._discard(each)
