"""Bytes -> the JSON document in them, in bounded time and memory.

What a user captured is not always clean: Windows PowerShell writes UTF-16, and policies and
plugins print lines to standard output around the document.
"""

import json
import re
from collections import Counter
from collections.abc import Callable
from itertools import islice

from chainloop_smtp.attestation.fields import DAMAGE_HINT, Node
from chainloop_smtp.errors import AttestationError

MAX_BYTES = 64 * 1024 * 1024
"""Largest input. Chainloop's own calls carry 32 MiB at most, which print as less than 50."""

MAX_DEPTH = 100
"""How deep arrays and objects may nest. Chainloop's documents need a dozen levels."""

MAX_VALUES = 1_000_000
"""How many brackets and commas a document may have: its memory depends on them."""

MAX_ATTEMPTS = 10_000
"""How many lines of noise that look like the beginning of a document are tried."""

_EMPTY_HINT = (
    "`chainloop attestation push -o json > attestation.json` leaves an empty file when the push "
    "itself fails; its log says why. A violated gate is different: the push prints everything and "
    "then exits 4, so with `bash -e` the step stops there and leaves a good file, while "
    "`x=$(chainloop ... | jq ...)` hides the failure. If there is no attestation, omit the "
    "input."
)

_PACKED = (b"\x1f\x8b", b"PK\x03\x04", b"\x28\xb5\x2f\xfd")  # gzip, zip, zstd


def decode_text(evidence: bytes, root: Node) -> str:
    """Decode UTF-8, UTF-16 or UTF-32, without its byte order mark.

    Bytes that are not UTF-8 become half surrogates: they may stand in the noise around a document.

    Raises:
        AttestationError: It is larger than ``MAX_BYTES``, or not text.
    """
    if len(evidence) > MAX_BYTES:
        raise root.error(
            f"is {len(evidence):,} bytes long; at most {MAX_BYTES:,} are read",
            "Is it the attestation, and not one of its materials?",
        )
    if evidence.startswith(_PACKED):
        raise root.error("is a compressed file, not JSON", "Unpack it first.")
    encoding = json.detect_encoding(evidence)
    try:
        return evidence.decode(encoding, "surrogateescape" if "-8" in encoding else "strict")
    except UnicodeDecodeError as error:
        raise root.error(
            f"is not text: {encoding.upper()} breaks off at byte {error.start}", DAMAGE_HINT
        ) from error


def parse_document(text: str, node: Node) -> Node:
    """Parse text that is one JSON document, in the place of ``node``.

    Raises:
        AttestationError: It is not JSON, is cut short, nests too deep, holds too much, repeats a
            key in one object, or is followed by something else.
    """
    start = _NOT_SPACE.search(text)
    begin = start.start() if start else len(text)
    try:
        end = _find_end(text, begin)
        if (rest := _NOT_SPACE.search(text, end)) is not None:
            raise _DamageError(rest.start(), "something follows it")
        return _load(text, begin, end, node)
    except _DamageError as damage:
        raise damage.locate(text, node) from damage


def parse_string(text: str) -> str:
    """Parse text that is one JSON string; empty when it is anything else."""
    try:
        return Node(json.loads(text.strip())).text()
    except ValueError:
        return ""


def find_document(text: str, root: Node, is_wanted: Callable[[Node], bool]) -> Node:
    """Return the last document that is wanted, else the last one, between any lines of noise.

    Documents begin at the start of a line, so that the inside of a damaged one never passes for
    the whole.

    Raises:
        AttestationError: There is none, or a damaged one.
    """
    if not text.strip(' \t\r\n"'):
        raise root.error("is empty", _EMPTY_HINT)
    wanted: Node | None = None
    last: Node | AttestationError | _DamageError | None = None
    start = _FIRST_START.match(text) or _LINE_START.search(text) or _ANY_START.search(text)
    attempts, work = 0, 0
    while start is not None and attempts < MAX_ATTEMPTS and work <= 4 * len(text):
        begin = end = start.end()
        attempts += 1
        try:
            end = _find_end(text, begin)
            work += end - begin
            last = _load(text, begin, end, root)
        except AttestationError as error:
            last, end = error, begin + 1
        except _DamageError as damage:
            work += damage.position - end
            last, end = damage, begin + 1
        else:
            wanted = last if is_wanted(last) else wanted
        start = _LINE_START.search(text, end)
    if wanted is not None:
        return wanted
    if last is None:
        raise root.error(
            "contains no JSON document",
            "Chainloop's commands print one with `-o json`; log lines and tables are not enough.",
        )
    if isinstance(last, _DamageError):
        raise last.locate(text, root) from last
    if isinstance(last, AttestationError):
        raise last
    return last


class _DamageError(Exception):
    """A fault at a position of the text; line and column are computed only for the message."""

    def __init__(self, position: int, why: str) -> None:
        super().__init__(position, why)
        self.position = position
        self.why = why

    def locate(self, text: str, node: Node) -> AttestationError:
        line = text.count("\n", 0, self.position) + 1
        column = self.position - text.rfind("\n", 0, self.position)
        return node.error(
            f"is not JSON that can be read: {self.why} (line {line}, column {column})", DAMAGE_HINT
        )


_NOT_SPACE = re.compile(r"[^ \t\r\n]")
_FIRST_START = re.compile(r"\s*(?=[\[{])")
_LINE_START = re.compile(r"^\ufeff?(?=[\[{])", re.MULTILINE)
_ANY_START = re.compile(r"(?=\{)")

# Up to and with the next bracket or comma outside of a string, a quote that nothing ends, or the
# end. It matches wherever it is tried: a search that had to move on would take quadratic time.
_STRUCTURE = re.compile(r'(?:[^"\[\]{},]++|"(?:[^"\\]++|\\.)*+")*+([\[\]{},"]|\Z)', re.DOTALL)


def _find_end(text: str, begin: int) -> int:
    """Find where the array or object that begins here ends.

    Only brackets are looked at, to bound depth and size before a recursive parser sees them.
    """
    if text[begin : begin + 1] not in ("[", "{"):
        raise _DamageError(begin, "an array or object should begin here")
    depth, end = 0, begin
    for match in islice(_STRUCTURE.finditer(text, begin), MAX_VALUES):
        mark, end = match[1], match.end()
        if mark in ("[", "{"):
            depth += 1
            if depth > MAX_DEPTH:
                raise _DamageError(end, f"it nests deeper than {MAX_DEPTH} levels")
        elif mark in ("]", "}"):
            depth -= 1
            if depth == 0:
                return end
        elif mark != ",":
            raise _DamageError(len(text), "the end of a string, array or object is missing")
    raise _DamageError(end, f"it contains more than {MAX_VALUES:,} values")


class _Fault:
    """Replaces a value that JSON forbids, until its path is known."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why = why


def _load(text: str, begin: int, end: int, node: Node) -> Node:
    faults: list[_Fault] = []

    def mark(why: str) -> _Fault:
        faults.append(_Fault(why))
        return faults[-1]

    def check_names(pairs: list[tuple[str, object]]) -> dict[str, object]:
        members = dict(pairs)
        if len(members) < len(pairs):
            repeated = Counter(name for name, _ in pairs).most_common(1)[0][0]
            members[repeated] = mark("the same name appears twice in one object")
        return members

    decoder = json.JSONDecoder(
        object_pairs_hook=check_names,
        parse_constant=lambda word: mark(f"{word} is not a JSON number"),
    )
    # A JSONDecodeError counts lines from the beginning, which many small documents cannot afford.
    is_small = end - begin < len(text) // 2
    try:
        value = decoder.decode(text[begin:end]) if is_small else decoder.raw_decode(text, begin)[0]
    except json.JSONDecodeError as error:
        position = error.pos + (begin if is_small else 0)
        raise _DamageError(position, f"{error.msg[0].lower()}{error.msg[1:]}") from error
    except ValueError as error:
        # CPython reads no whole number of more than 4300 digits.
        raise node.error("is not JSON that can be read: a number has too many digits") from error
    document = node.with_value(value)
    if faults:
        raise _locate(document, faults[0])
    if not text.isascii() and (escaped := _NOT_UTF_8.search(text, begin, end)):
        raise _DamageError(escaped.start(), "a byte is not UTF-8")
    return document


_NOT_UTF_8 = re.compile(r"[\udc80-\udcff]")


def _locate(document: Node, fault: _Fault) -> AttestationError:
    """Make the error with the path of the fault."""
    # The document's own path where the fault is inside a value that a repeated name has dropped.
    place = document
    waiting = [document]
    while waiting:
        node = waiting.pop()
        if node.value is fault:
            place = node
            break
        waiting.extend(node.members())
    return place.error(fault.why, "The input is damaged, or was edited by hand.")
