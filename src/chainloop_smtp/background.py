"""Call -> its result, from a thread of its own that can be abandoned."""

from collections.abc import Callable
from threading import Lock, Thread
from typing import Generic, TypeVar

Result = TypeVar("Result")


class BackgroundCall(Generic[Result]):
    """A call that is running in a daemon thread, which the end of the program does not wait for."""

    def __init__(
        self, call: Callable[[], Result], discard: Callable[[Result], object] = lambda _: None
    ) -> None:
        """Start the call.

        Args:
            discard: Called with the result if the call was abandoned.
        """
        self._call = call
        self._discard = discard
        self._results: list[Result] = []
        self._error: Exception | None = None
        self._is_abandoned = False
        self._lock = Lock()
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def result(self, seconds: float | None = None) -> Result:
        """Wait for what the call returns or raises.

        Args:
            seconds: How long to wait; None: as long as it takes.

        Raises:
            TimeoutError: It takes longer, and is abandoned.
        """
        self._thread.join(seconds)
        with self._lock:
            self._is_abandoned = not self._results and self._error is None
        if self._is_abandoned:
            raise TimeoutError
        if self._error:
            raise self._error
        return self._results[0]

    def abandon(self) -> None:
        """Wait no longer: the result is discarded, now or when it comes."""
        with self._lock:
            self._is_abandoned = True
            results = list(self._results)
        for result in results:
            self._discard(result)

    def _run(self) -> None:
        try:
            result = self._call()
        except Exception as error:  # noqa: BLE001  # raised again by the thread that waits
            self._error = error
            return
        with self._lock:
            self._results.append(result)
            is_abandoned = self._is_abandoned
        if is_abandoned:
            self._discard(result)
