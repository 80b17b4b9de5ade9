"""Time and chance as delivery uses them, and the seconds left of a deadline."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime

from chainloop_smtp.errors import DeliveryError, Problem
from chainloop_smtp.model.frozen import dataclass


def chance() -> float:
    """A random number from 0 up to, and not including, 1."""
    # Importing `random` takes longer than a retry.
    return int.from_bytes(os.urandom(4), "big") / 2**32


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """What delivery needs from the outside besides sockets.

    Attributes:
        seconds: A monotonic clock.
        now: Aware, in UTC.
        sleep: Waits so many seconds.
        chance: A random number from 0 up to, and not including, 1.
    """

    seconds: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = chance


class Deadline:
    """Seconds left for everything that touches the network.

    Args:
        seconds: In all.
        timeout: Seconds for one step.
        where: ``host:port``, for the error.
        clock: Monotonic.
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
        """Seconds left; negative once it is over."""
        return self._ends - self._clock()

    @property
    def spent(self) -> float:
        """Seconds since it began."""
        return self._seconds - self.left

    def shorten(self, seconds: float) -> None:
        """End so many seconds from now, unless it ends before."""
        self._ends = min(self._ends, self._clock() + seconds)

    def after(self, seconds: float) -> float:
        """The time so many seconds from now, for `step`."""
        return self._clock() + seconds

    def step(self, until: float | None = None) -> float:
        """Return the seconds that the next network step may take.

        Args:
            until: An earlier end than the deadline, from `after`.

        Raises:
            DeliveryError: There are none left.
        """
        left = (self._ends if until is None else min(self._ends, until)) - self._clock()
        if left <= 0:
            raise DeliveryError(
                Problem(
                    self._where,
                    f"the deadline of {self._seconds:g} seconds has passed",
                    "The server is slow or silent; if it is known to be slow, raise deadline.",
                ),
                is_temporary=True,
            )
        return min(left, self._timeout)
