"""Untyped JSON -> typed values, one field at a time; a field of the wrong kind names its path."""

import binascii
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from chainloop_smtp.errors import AttestationError, Problem

PRINT_HINT = (
    "Give what `chainloop attestation push -o json` printed, "
    "or `chainloop workflow run describe --id RUN-ID -o json`."
)
DAMAGE_HINT = "It is damaged or was cut short. Write it again, with nothing else in it."


class Node:
    """One JSON value and its position. A missing field and ``null`` are treated alike.

    Methods that take names read the first of those fields that is present; without a name, the
    value itself.

    Attributes:
        value: What ``json`` decoded.
        parent: The array or object that holds it; None at the root.
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
            steps.append(_format_step(node.key, is_root=node.parent is None))
            node = node.parent
        path = "".join(reversed(steps))
        return path if len(path) <= 300 else f"{path[:150]}...{path[-147:]}"

    @property
    def is_present(self) -> bool:
        """False for a missing field and for ``null``."""
        return self.value is not None

    def error(self, why: str, hint: str = "") -> AttestationError:
        """Make an error about this value."""
        return AttestationError(Problem(self.path, why, hint))

    def with_value(self, value: object) -> "Node":
        """Put the document that this string holds in its place; paths continue from here."""
        return Node(value, self.parent, self.key)

    def has(self, *names: str) -> bool:
        """Whether this is an object with all of these keys, ``null`` values included."""
        return isinstance(self.value, dict) and all(name in self.value for name in names)

    def get(self, *names: str) -> "Node":
        """Return the first of these fields that is present, or an empty node.

        Raises:
            AttestationError: This is not an object.
        """
        if not names:
            return self
        if self.value is None:
            return Node(None, self, names[0])
        if not isinstance(self.value, dict):
            raise self.wrong_kind("an object")
        for name in names:
            value = self.value.get(name)
            if value is not None:
                return Node(value, self, name)
        return Node(None, self, names[0])

    def members(self) -> Iterator["Node"]:
        """Yield the values of an array or object, ``null`` included; none for anything else."""
        if isinstance(self.value, dict):
            yield from (Node(value, self, key) for key, value in self.value.items())
        elif isinstance(self.value, list):
            yield from (Node(value, self, index) for index, value in enumerate(self.value))

    def text(self, *names: str) -> str:
        """Return a string; empty when missing. Half surrogate pairs become U+FFFD, as in Go."""
        node = self.get(*names)
        if node.value is None:
            return ""
        if not isinstance(node.value, str):
            raise node.wrong_kind("a string")
        return _replace_surrogates(node.value)

    def flag(self, *names: str) -> bool | None:
        """Return a boolean; None when missing."""
        node = self.get(*names)
        if node.value is None or isinstance(node.value, bool):
            return node.value
        raise node.wrong_kind("a boolean")

    def integer(self, *names: str) -> int | None:
        """Return a count, revision or index; None when missing.

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
        """Return a finite number, which may stand in a string; None when missing."""
        node = self.get(*names)
        value = node.value
        if value is None:
            return None
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,15})?", value):
            return float(value)
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) >= 2**63:
            raise node.wrong_kind("a number")
        return float(value)

    def timestamp(self, *names: str) -> datetime | None:
        """Return an RFC 3339 time in UTC, cut to microseconds; None when missing or not set."""
        node = self.get(*names)
        text = node.text()
        if not text:
            return None
        try:
            timestamp = _parse_timestamp(text)
        except (ValueError, OverflowError) as error:
            raise node.error(
                f"should be an RFC 3339 time such as 2026-08-21T11:02:03Z, is {excerpt(text)}"
            ) from error
        # For "not set", protobuf writes 1970 and Go year 1.
        return timestamp if timestamp > datetime(1970, 1, 1, tzinfo=UTC) else None

    def items(self, *names: str) -> Iterator["Node"]:
        """Yield the members of an array; none when missing. None of them may be ``null``."""
        node = self.get(*names)
        if node.value is None:
            return
        if not isinstance(node.value, list):
            raise node.wrong_kind("an array")
        for member in node.members():
            if member.value is None:
                raise member.error("is null, but a value is required")
            yield member

    def entries(self, *names: str) -> Iterator[tuple[str, "Node"]]:
        """Yield the names and values of an object; none when missing."""
        node = self.get(*names)
        if node.value is None:
            return
        if not isinstance(node.value, dict):
            raise node.wrong_kind("an object")
        for key, value in node.value.items():
            yield _replace_surrogates(key), Node(value, node, key)

    def texts(self, *names: str) -> Iterator[tuple[str, str]]:
        """Yield the names and values of an object of strings; none when missing."""
        for name, value in self.entries(*names):
            yield name, value.text()

    def scalar(self, *names: str) -> str:
        """Return a string, boolean or number as Chainloop prints it; empty when missing."""
        node = self.get(*names)
        match node.value:
            case bool():
                return "true" if node.value else "false"
            case int():
                return str(node.value)
            case float() if math.isfinite(node.value):
                return repr(node.value).removesuffix(".0")
            case _:
                return node.text()

    def base64(self, *names: str) -> bytes:
        """Decode a base64 string; empty when missing.

        Standard or URL-safe alphabet (the DSSE protocol allows both), padded or not.
        """
        node = self.get(*names)
        text = node.text()
        if not text:
            return b""
        if re.search(r"[-_\r\n]", text):
            text = text.translate(_BASE64)
        try:
            return binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
        except ValueError as error:
            raise node.error("is not base64", DAMAGE_HINT) from error

    def wrong_kind(self, wanted: str) -> AttestationError:
        """Make an error that names the kinds only: the value may be a secret."""
        return self.error(f"should be {wanted}, is {_name_kind(self.value)}")


_BASE64 = str.maketrans({"-": "+", "_": "/", "\r": None, "\n": None})


def _name_kind(value: object) -> str:
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


def excerpt(text: str, limit: int = 60) -> str:
    """Quote a text for an error message, cut to ``limit`` characters, nothing unprintable."""
    quoted = repr(text[:limit])
    return quoted if len(text) <= limit else f"{quoted}..."


def _replace_surrogates(text: str) -> str:
    """Replace half surrogate pairs, which no encoding can carry."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


_SURROGATE = re.compile(r"[\ud800-\udfff]")


def _format_step(key: "str | int", *, is_root: bool) -> str:
    if is_root:
        return str(key)
    if isinstance(key, int):
        return f"[{key}]"
    return f".{key}" if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,59}", key) else f"[{excerpt(key)}]"


_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,18}))?(?:[Zz]|([+-])(\d\d):(\d\d))",
    re.ASCII,
)


def _parse_timestamp(text: str) -> datetime:
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(text)
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    microsecond = int((match[7] or "")[:6].ljust(6, "0"))
    offset = timedelta(hours=int(match[9] or 0), minutes=int(match[10] or 0))
    # Commits may carry an offset of days, which no `timezone` can.
    local = datetime(year, month, day, hour, minute, second, microsecond, UTC)
    return local + offset if match[8] == "-" else local - offset
