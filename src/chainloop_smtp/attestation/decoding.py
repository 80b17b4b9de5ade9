"""Bytes -> the JSON document in them, in bounded time and memory.

What a user captured is not always clean: Windows PowerShell writes UTF-16, policies print lines
to standard output before the document, plugins around it.
"""

import json
import re
from collections import Counter
from collections.abc import Callable
from itertools import islice

from chainloop_smtp.attestation.fields import Node
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
    "`x=$(chainloop ... | jq ...)` hides the failure. Where there is no attestation, leave the "
    "input out."
)

_PACKED = (b"\x1f\x8b", b"PK\x03\x04", b"\x28\xb5\x2f\xfd")  # gzip, zip, zstd


def text_of(evidence: bytes, root: Node) -> str:
    """The characters of an input in UTF-8, UTF-16 or UTF-32, without its byte order mark.

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
        raise root.error("is a packed file, not a document", "Unpack it first.")
    encoding = json.detect_encoding(evidence)
    try:
        text = evidence.decode(encoding, "surrogateescape" if "-8" in encoding else "strict")
    except UnicodeDecodeError as error:
        raise root.error(
            f"is not text: {encoding.upper()} breaks off at byte {error.start}",
            "It is damaged or was cut short: write it anew, with nothing else in it.",
        ) from error
    return text


def parse(text: str, node: Node) -> Node:
    """The one JSON value that this text is, at the place of ``node``.

    Raises:
        AttestationError: It is not JSON, is cut short, nests too deep, holds too much, says one
            key twice, or is followed by something else.
    """
    start = _NOT_SPACE.search(text)
    begin = start.start() if start else len(text)
    try:
        end = _end_of(text, begin)
        if (rest := _NOT_SPACE.search(text, end)) is not None:
            raise _DamageError(rest.start(), "something follows it")
        return _load(text, begin, end, node)
    except _DamageError as damage:
        raise damage.located(text, node) from damage


def parse_bytes(octets: bytes, node: Node) -> Node:
    """The one JSON value in these bytes, which stand at the place of ``node``; as `parse`."""
    return parse(text_of(octets, node), node)


def string(text: str) -> str:
    """What the one JSON string says that this text is; empty when it is something else."""
    try:
        return Node(json.loads(text.strip())).text()
    except ValueError:
        return ""


def find(text: str, root: Node, is_wanted: Callable[[Node], bool]) -> Node:
    """The last document that is wanted, else the last, between any lines of noise.

    A document is looked for where a line begins, so that what is inside of a damaged one never
    passes for the whole.

    Raises:
        AttestationError: There is none, or one that is damaged.
    """
    if not text.strip(' \t\r\n"'):
        raise root.error("there is nothing in it", _EMPTY_HINT)
    wanted: Node | None = None
    found: Node | AttestationError | _DamageError | None = None
    start = _FIRST_START.match(text) or _LINE_START.search(text) or _ANY_START.search(text)
    attempts, work = 0, 0
    while start is not None and attempts < MAX_ATTEMPTS and work <= 4 * len(text):
        begin = end = start.end()
        attempts += 1
        try:
            end = _end_of(text, begin)
            work += end - begin
            found = _load(text, begin, end, root)
        except AttestationError as error:
            found, end = error, begin + 1
        except _DamageError as damage:
            work += damage.position - end
            found, end = damage, begin + 1
        else:
            wanted = found if is_wanted(found) else wanted
        start = _LINE_START.search(text, end)
    if wanted is not None:
        return wanted
    if found is None:
        raise root.error(
            "there is no JSON document in it",
            "Chainloop's commands print one with `-o json`; log lines and tables are not enough.",
        )
    if isinstance(found, _DamageError):
        raise found.located(text, root) from found
    if isinstance(found, AttestationError):
        raise found
    return found


class _DamageError(Exception):
    """What is wrong at a position of the text; its line is only looked up where it is told."""

    def __init__(self, position: int, why: str) -> None:
        super().__init__(position, why)
        self.position = position
        self.why = why

    def located(self, text: str, node: Node) -> AttestationError:
        line = text.count("\n", 0, self.position) + 1
        column = self.position - text.rfind("\n", 0, self.position)
        return node.error(
            f"is not JSON that can be read: {self.why} (line {line}, column {column})",
            "It is damaged or was cut short: write it anew, with nothing else in it.",
        )


_NOT_SPACE = re.compile(r"[^ \t\r\n]")
_FIRST_START = re.compile(r"\s*(?=[\[{])")
_LINE_START = re.compile(r"^\ufeff?(?=[\[{])", re.MULTILINE)
_ANY_START = re.compile(r"(?=\{)")

# Up to and with the next bracket or comma outside of a string, a quote that nothing ends, or the
# end. It matches wherever it is tried: a search that had to move on would take quadratic time.
_STRUCTURE = re.compile(r'(?:[^"\[\]{},]++|"(?:[^"\\]++|\\.)*+")*+([\[\]{},"]|\Z)', re.DOTALL)


def _end_of(text: str, begin: int) -> int:
    """Where the array or object that begins here ends.

    What stands between the brackets is not looked at: this only bounds depth and size, which
    has to happen before a recursive parser sees them.

    Raises:
        _DamageError: It does not end, is too deep, or holds too much.
    """
    if text[begin : begin + 1] not in ("[", "{"):
        raise _DamageError(begin, "an array or object should begin here")
    depth, end = 0, begin
    for found in islice(_STRUCTURE.finditer(text, begin), MAX_VALUES):
        mark, end = found[1], found.end()
        if mark in ("[", "{"):
            depth += 1
            if depth > MAX_DEPTH:
                raise _DamageError(end, f"it nests deeper than {MAX_DEPTH} levels")
        elif mark in ("]", "}"):
            depth -= 1
            if depth == 0:
                return end
        elif mark != ",":
            raise _DamageError(
                len(text), "it is cut short: the end of a string, array or object is missing"
            )
    raise _DamageError(end, f"it holds more than {MAX_VALUES:,} values")


class _Unsaid:
    """Stands for what JSON forbids, until its path is known."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why = why


def _load(text: str, begin: int, end: int, node: Node) -> Node:
    faults: list[_Unsaid] = []

    def fault(why: str) -> _Unsaid:
        faults.append(_Unsaid(why))
        return faults[-1]

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        members = dict(pairs)
        if len(members) < len(pairs):
            twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
            members[twice] = fault("the same name stands twice in one object")
        return members

    decoder = json.JSONDecoder(
        object_pairs_hook=unique,
        parse_constant=lambda word: fault(f"{word} is not a JSON number"),
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
    document = node.decoded(value)
    if faults:
        raise _located(document, faults[0])
    if not text.isascii() and (escaped := _NOT_UTF_8.search(text, begin, end)):
        raise _DamageError(escaped.start(), "a byte is not UTF-8")
    return document


_NOT_UTF_8 = re.compile(r"[\udc80-\udcff]")


def _located(document: Node, fault: _Unsaid) -> AttestationError:
    """The error at the path where the fault stands."""
    waiting = [document]
    while waiting:
        node = waiting.pop()
        if node.value is fault:
            return node.error(fault.why, "The input is damaged, or was edited by hand.")
        if isinstance(node.value, dict | list):
            waiting.extend(node.members())
    # It stood behind a name that stands twice itself.
    return document.error(fault.why, "The input is damaged, or was edited by hand.")
