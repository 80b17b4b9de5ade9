"""Untyped JSON -> typed values, one field at a time; a field of the wrong kind names its path."""

import binascii
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from chainloop_smtp.errors import AttestationError, Problem


class Node:
    """One JSON value and where it stands. Missing fields and ``null`` are the same: not said.

    Attributes:
        value: What ``json`` made of it.
        parent: The array or object that it stands in; None at the root.
        key: Its name or index there; the root's is what paths begin with.
    """

    __slots__ = ("key", "parent", "value")

    def __init__(self, value: object, parent: "Node | None" = None, key: "str | int" = "$") -> None:
        self.value = value
        self.parent = parent
        self.key = key

    @property
    def path(self) -> str:
        """JSON path from the document's root, such as ``$.materials[2].name``; 300 characters."""
        steps: list[str] = []
        node: Node | None = self
        while node is not None:
            steps.append(_step(node.key, is_root=node.parent is None))
            node = node.parent
        path = "".join(reversed(steps))
        return path if len(path) <= 300 else f"{path[:150]}...{path[-147:]}"

    @property
    def is_said(self) -> bool:
        """False for a missing field and for ``null``."""
        return self.value is not None

    def error(self, why: str, hint: str = "") -> AttestationError:
        """An error about this value."""
        return AttestationError(Problem(self.path, why, hint))

    def decoded(self, value: object) -> "Node":
        """The document inside this string; its paths go on from here."""
        return Node(value, self.parent, self.key)

    def has(self, *names: str) -> bool:
        """Whether this is an object that says all of these, be it ``null``."""
        return isinstance(self.value, dict) and all(name in self.value for name in names)

    def get(self, *names: str) -> "Node":
        """The field of the first of these names that says something.

        Raises:
            AttestationError: This is something else than an object.
        """
        if self.value is None:
            return Node(None, self, names[0])
        if not isinstance(self.value, dict):
            raise self.wrong_kind("an object")
        for name in names:
            found = self.value.get(name)
            if found is not None:
                return Node(found, self, name)
        return Node(None, self, names[0])

    def members(self) -> Iterator["Node"]:
        """The values in this array or object, ``null`` among them; none in anything else."""
        if isinstance(self.value, dict):
            yield from (Node(value, self, key) for key, value in self.value.items())
            return
        for index, value in enumerate(self.value if isinstance(self.value, list) else ()):
            yield Node(value, self, index)

    def text(self, *names: str) -> str:
        """A string; empty when not said. Half surrogate pairs become U+FFFD, as in Go."""
        node = self.get(*names) if names else self
        if node.value is None:
            return ""
        if not isinstance(node.value, str):
            raise node.wrong_kind("a string")
        return whole_characters(node.value)

    def flag(self, *names: str) -> bool | None:
        """A boolean; None when not said."""
        node = self.get(*names)
        if node.value is None or isinstance(node.value, bool):
            return node.value
        raise node.wrong_kind("a boolean")

    def integer(self, *names: str) -> int | None:
        """A count, revision or index; None when not said.

        Protobuf's JSON writes 64-bit ones as strings.
        """
        node = self.get(*names)
        value = node.value
        if value is None:
            return None
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,19}", value):
            return int(value)
        if type(value) is not int or not 0 <= value < 2**63:
            raise node.wrong_kind("a whole number")
        return value

    def number(self, *names: str) -> float | None:
        """A finite number, in a string too; None when not said."""
        node = self.get(*names)
        value = node.value
        if value is None:
            return None
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,15})?", value):
            return float(value)
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) >= 2**63:
            raise node.wrong_kind("a number")
        return float(value)

    def moment(self, *names: str) -> datetime | None:
        """An RFC 3339 time in UTC, cut to microseconds; None when not said or not set."""
        node = self.get(*names)
        text = node.text()
        if not text:
            return None
        try:
            moment = _moment(text)
        except (ValueError, OverflowError) as error:
            raise node.error(
                f"should be an RFC 3339 time such as 2026-08-21T11:02:03Z, is {shown(text)}"
            ) from error
        # Protobuf's and Go's words for "not set".
        return moment if moment > datetime(1970, 1, 1, tzinfo=UTC) else None

    def items(self, *names: str) -> Iterator["Node"]:
        """The members of an array; none when not said. None of them may be ``null``."""
        node = self.get(*names) if names else self
        if node.value is None:
            return
        if not isinstance(node.value, list):
            raise node.wrong_kind("an array")
        for index, value in enumerate(node.value):
            member = Node(value, node, index)
            if value is None:
                raise member.error("is null, where something should stand")
            yield member

    def entries(self, *names: str) -> Iterator[tuple[str, "Node"]]:
        """The names and values of an object; none when not said."""
        node = self.get(*names) if names else self
        if node.value is None:
            return
        if not isinstance(node.value, dict):
            raise node.wrong_kind("an object")
        for key, value in node.value.items():
            yield whole_characters(key), Node(value, node, key)

    def texts(self, *names: str) -> Iterator[tuple[str, str]]:
        """The names and values of an object of strings; none when not said."""
        for name, value in self.entries(*names):
            yield name, value.text()

    def plain(self, *names: str) -> str:
        """A string, boolean or number as Chainloop prints it; empty when not said."""
        node = self.get(*names) if names else self
        match node.value:
            case bool():
                return "true" if node.value else "false"
            case int():
                return str(node.value)
            case float() if math.isfinite(node.value):
                return repr(node.value).removesuffix(".0")
            case _:
                return node.text()

    def octets(self, *names: str) -> bytes:
        """The bytes of a base64 string, empty when not said.

        Standard or URL-safe alphabet (the DSSE protocol allows both), padded or not.
        """
        node = self.get(*names) if names else self
        text = node.text()
        if not text:
            return b""
        if re.search(r"[-_\r\n]", text):
            text = text.translate(_BASE64)
        try:
            return binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
        except ValueError as error:
            raise node.error(
                "should be base64 and is not",
                "It is damaged or was cut short: write it anew, with nothing else in it.",
            ) from error

    def wrong_kind(self, wanted: str) -> AttestationError:
        """An error that tells the kinds only: the value may be a secret."""
        return self.error(f"should be {wanted}, is {kind(self.value)}")


_BASE64 = str.maketrans({"-": "+", "_": "/", "\r": None, "\n": None})


def kind(value: object) -> str:
    """What JSON calls this; ``null`` never comes here, for it says nothing."""
    match value:
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case list():
            return "an array"
        case dict():
            return "an object"
        case float() if not math.isfinite(value):
            return "a number out of range"
        case _:
            return "a number"


def shown(text: str, limit: int = 60) -> str:
    """The text for an error message: quoted, shortened, nothing unprintable."""
    quoted = repr(text[:limit])
    return quoted if len(text) <= limit else f"{quoted}..."


def whole_characters(text: str) -> str:
    """The text without half surrogate pairs, which no encoding can carry."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


_SURROGATE = re.compile(r"[\ud800-\udfff]")


def _step(key: "str | int", *, is_root: bool) -> str:
    if is_root:
        return str(key)
    if isinstance(key, int):
        return f"[{key}]"
    return f".{key}" if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,59}", key) else f"[{shown(key)}]"


_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,18}))?(?:[Zz]|([+-])(\d\d):(\d\d))",
    re.ASCII,
)


def _moment(text: str) -> datetime:
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise ValueError(text)
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    microsecond = int((found[7] or "")[:6].ljust(6, "0"))
    offset = timedelta(hours=int(found[9] or 0), minutes=int(found[10] or 0))
    # Commits may carry an offset of days, which no `timezone` can.
    there = datetime(year, month, day, hour, minute, second, microsecond, UTC)
    return there + offset if found[8] == "-" else there - offset
