"""Seconds left for everything that touches the network."""

import time
from collections.abc import Callable

from chainloop_smtp.errors import DeliveryError, Problem


class Deadline:
    """Seconds left for everything that touches the network.

    Args:
        seconds: In all.
        timeout: For one step.
        where: ``host:port``, for the error.
    """

    def __init__(
        self, seconds: float, timeout: float, where: str, clock: Callable[[], float]
    ) -> None:
        self._ends = clock() + seconds
        self._seconds = seconds
        self._timeout = timeout
        self._where = where
        self._clock = clock

    @property
    def left(self) -> float:
        """Seconds in all; negative when it is over."""
        return self._ends - self._clock()

    def after(self, seconds: float) -> float:
        """The moment so many seconds from now, for `step`."""
        return self._clock() + seconds

    def step(self, until: float | None = None) -> float:
        """Seconds that the next network step may take.

        Args:
            until: A moment to end at, where that is before the deadline.

        Raises:
            DeliveryError: None are left.
        """
        left = (self._ends if until is None else min(self._ends, until)) - self._clock()
        if left <= 0:
            raise DeliveryError(
                Problem(
                    self._where,
                    f"the deadline of {self._seconds:g} seconds is over",
                    "The server is slow or silent; if it is known to be slow, raise deadline.",
                )
            )
        return min(left, self._timeout)


def monotonic() -> float:
    """Seconds since some moment, never backwards."""
    return time.monotonic()
