"""A host's addresses -> the order to try them in, by how they have failed so far. No I/O.

RFC 5321 section 5.1 has a client try each address until a delivery succeeds: one that accepts the
connection and then fails is no better than one that refuses it.
"""

from collections.abc import Hashable, Sequence


class Rotation:
    """The addresses of one host, as the last look-up gave them, and which of them have failed.

    Several threads may share it: what they read is replaced as a whole.
    """

    def __init__(self) -> None:
        self._known: tuple[Hashable, ...] = ()
        # Whether trying again may help, by address; the latest failure comes last.
        self._failures: dict[Hashable, bool] = {}

    def ordered(self, found: Sequence[Hashable]) -> list[Hashable]:
        """Those that have not failed come first, in their order; the latest failure comes last."""
        self._known = tuple(found)
        failed = list(self._failures)
        return sorted(found, key=lambda each: failed.index(each) if each in failed else -1)

    def record_failure(self, address: Hashable, *, is_temporary: bool) -> None:
        """Puts an address behind the others."""
        others = {each: value for each, value in self._failures.items() if each != address}
        self._failures = {**others, address: is_temporary}

    @property
    def has_untried(self) -> bool:
        """Another address has not failed yet."""
        failures = self._failures
        return any(each not in failures for each in self._known)

    @property
    def is_hopeful(self) -> bool:
        """An address has not failed yet, or only for now."""
        failures = self._failures
        return any(failures.get(each, True) for each in self._known)
