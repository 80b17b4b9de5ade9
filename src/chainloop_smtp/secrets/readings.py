"""Find secrets in a document, whatever encodings it was written through.

Encodings nest (a JSON string in base64 in a URL), so this does not list how a secret might be
written: it decodes the document, then what comes out, and looks for the secret in each reading.
Each reading takes linear time, and what is decoded is bounded by the document's size. Compressed
and encrypted content is not searched.
"""

import re
from binascii import a2b_base64, a2b_qp, unhexlify
from collections.abc import Iterable, Iterator
from functools import lru_cache

from chainloop_smtp.model.frozen import dataclass
from chainloop_smtp.model.settings import Secret

SHORTEST = 4  # characters; anything shorter is in every text
_SHORTEST_PACKED = 8  # bytes of what is looked for without its blanks and quotes
_SHORTEST_LINE = 16  # characters of a line that is a secret by itself, such as one of a key

_LEVELS = 5  # encodings inside each other, apart from escapes
_ROUNDS = 8  # escapes inside each other, such as JSON in JSON
_MOST = 8  # bytes of what is made of a part, for each one of it
_ALWAYS = 100_000  # bytes of what is made of any part

# What may stand in the middle of a secret where a line breaks, or where a shell or JSON quotes it.
_PACKED = b"\0 \t\r\n\\'\""

# How a character is written where it would mean something else: in a URL, in HTML, in strings of
# JSON, JavaScript, C and shells, and doubled in YAML, SQL and CSV. No alternative can run on.
_ESCAPE = re.compile(
    # The first character alone, since a search for one of a few characters is fast.
    rb"[%&\\](?:"
    rb"(?<=%)(?:(?P<percent>[0-9A-Fa-f]{2})|u(?P<wide>[0-9A-Fa-f]{4}))"
    # Without its semicolon none before an equals sign, which may be a line's end (RFC 2045).
    rb"|(?<=&)(?P<entity>#[0-9]{1,9}+|#[xX][0-9A-Fa-f]{1,8}+|[A-Za-z][A-Za-z0-9]{1,31}+)(?:;|(?!=))"
    rb"|(?<=\\)(?:"
    rb"x(?P<byte>[0-9A-Fa-f]{2})"
    rb"|(?P<octal>[0-3][0-7]{2})"
    rb"|u(?P<pair>[dD][89ABab][0-9A-Fa-f]{2}\\u[dD][C-Fc-f][0-9A-Fa-f]{2})"
    rb"|u(?P<unit>[0-9A-Fa-f]{4})"
    rb"|u\{(?P<point>[0-9A-Fa-f]{1,6})\}"
    rb"|U(?P<long>[0-9A-Fa-f]{8})"
    rb"|(?P<sign>[!-/:-@\[-`{-~nrt])))"
)
# A quote inside quotes: in a shell, and doubled.
_QUOTES = ((b"'\\''", b"'"), (b"'\"'\"'", b"'"), (b"''", b"'"), (b'""', b'"'))
_BLANK_LETTERS = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_ENTITIES = {b"amp": b"&", b"lt": b"<", b"gt": b">", b"quot": b'"', b"apos": b"'", b"nbsp": b" "}

_TAG = re.compile(rb"<[^<>]*>")
# RFC 2047 section 2; blanks between two of them are none (section 6.2), which are a plus in a form.
_ENCODED_WORD = re.compile(
    rb"=\?[\w.*-]{1,60}\?([bq])\?([^?]*)\?=(?:[\s+]+(?==\?))?", re.IGNORECASE
)
# RFC 2045 section 6.7. A single byte in small letters is more likely to be an attribute's value.
_QUOTED_PRINTABLE = re.compile(rb"=(?:[2-9A-F][0-9A-F]|[0-9a-f]{2}=[0-9a-f]{2}|\r?\n)")

# RFC 4648 sections 4 and 5. Anything else becomes a zero, so that places stay what they are.
_BASE64_DIGITS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_BASE64 = bytes(
    each if each in _BASE64_DIGITS else {45: 43, 95: 47}.get(each, 65) for each in range(256)
)
# Section 6, as digits to the base 32 as Python reads them; anything else becomes a blank. In small
# letters, more in a row are needed to tell them from words.
_BASE32_DIGITS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_BASE32 = bytes.maketrans(_BASE32_DIGITS, b"0123456789abcdefghijklmnopqrstuv")
_BASE32_CASES = tuple(
    (bytes(each if each in digits else 32 for each in range(256)), least)
    for digits, least in ((_BASE32_DIGITS, 7), (_BASE32_DIGITS.lower(), 13))
)
_HEX_DIGITS = b"0123456789ABCDEFabcdef"
_HEX = bytes(each if each in _HEX_DIGITS else ord("0") for each in range(256))
_HEX_JOINTS = b" \t\r\n:-,;+"
# A list of bytes, as Go and JavaScript print them.
_DECIMAL = re.compile(rb"\[\s{0,40}((?:\d{1,3}[,\s+]{1,40}){3,}\d{1,3})")
# What is decoded further; the rest came about by chance.
_TEXT = re.compile(rb"[\t\r\n -~\x80-\xff]{16,}")
_SHORT_TEXT = re.compile(rb"[\t\r\n -~\x80-\xff]{4,}")
_SHORT_READING = 512  # bytes of one in which short texts count too
_ASCII_TEXT = 16  # bytes in a row that are hardly there by chance
_TEXT_MASK = bytes(
    ord("t" if each in b"\t\r\n" or 32 <= each < 127 else "-") for each in range(256)
)
_HIGH = bytes(range(128, 256))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What one secret looks like in plain text.

    Attributes:
        whole: Looked for in a reading as it is.
        packed: Without blanks and quotes, and looked for in a reading without any.
    """

    name: str
    whole: tuple[bytes, ...]
    packed: tuple[bytes, ...]


@lru_cache(maxsize=2)
def _wanted(secrets: tuple[Secret, ...]) -> tuple[_Wanted, ...]:
    """What is looked for; the same for all mails of a run."""
    wanted = []
    for each in secrets:
        if len(each.value) >= SHORTEST:
            forms = dict.fromkeys(_forms(each.value))
            bare = {form: form.translate(None, _PACKED) for form in forms}
            packed = [each for each in bare.values() if len(each) >= _SHORTEST_PACKED]
            whole = [form for form in forms if len(bare[form]) < _SHORTEST_PACKED]
            wanted.append(
                _Wanted(name=each.name, whole=tuple(whole), packed=tuple(dict.fromkeys(packed)))
            )
    return tuple(wanted)


def _forms(secret: str) -> Iterator[bytes]:
    """The secret, each line of one that has several, and what decoding makes of it.

    A secret may look like an escape itself, so that a reading of the part has it decoded.
    """
    lines = [line.strip() for line in secret.splitlines()]
    for text in (secret, *(line for line in lines if len(line) >= _SHORTEST_LINE)):
        # In the data of a form (HTML 4.01 section 17.13.4) a plus stands for a blank.
        for spelling in dict.fromkeys((text, text.replace(" ", "+"))):
            for encoding in ("utf-8", "latin-1"):
                encoded = spelling.encode(encoding, "replace")
                for form in (encoded, *_unescaped(encoded.replace(b"\0", b""))):
                    # What next to nothing is left of would be found in every mail.
                    if len(form) >= SHORTEST and 2 * len(form) > len(encoded):
                        yield form


def find_secrets(content: bytes, secrets: tuple[Secret, ...]) -> list[str]:
    """Name the secrets that a document contains.

    Args:
        secrets: Those under four characters cannot be searched for.
    """
    wanted = _wanted(secrets)
    if not wanted:
        return []
    found: set[str] = set()
    _look(content, wanted, found)
    left = _MOST * len(content) + _ALWAYS
    readings = [content]
    for level in range(_LEVELS):
        following: list[bytes] = []
        for reading in readings:
            for each in dict.fromkeys(_readings(reading, wanted, found, is_first=level == 0)):
                left -= len(each)
                if left >= 0:
                    following.append(each)
        readings = following
    return list(dict.fromkeys(each.name for each in wanted if each.name in found))


def _readings(
    reading: bytes, wanted: tuple[_Wanted, ...], found: set[str], *, is_first: bool
) -> Iterator[bytes]:
    """What a reading is to be read as besides; the secrets that it shows are added."""
    if is_first and b"</" in reading:
        yield _TAG.sub(b"", reading)
    plain = reading
    for text in _unescaped(reading.replace(b"\0", b"")):
        plain = text
        _look(plain, wanted, found)
        # At each stage: a line may break inside an escape, or an escape stand for a line's end.
        if b"=?" in plain:
            yield _ENCODED_WORD.sub(_decoded_word, plain)
        if _QUOTED_PRINTABLE.search(plain):
            yield a2b_qp(plain)
    for blob in decoded(plain):
        _look(blob, wanted, found)
        if texts := _texts(blob, is_short=len(plain) <= _SHORT_READING):
            yield texts


def _look(reading: bytes, wanted: Iterable[_Wanted], found: set[str]) -> None:
    """Adds the names of the secrets that a reading shows."""
    packed = reading.translate(None, _PACKED)
    for each in wanted:
        if any(form in reading for form in each.whole) or any(
            form in packed for form in each.packed
        ):
            found.add(each.name)


def _unescaped(text: bytes) -> Iterator[bytes]:
    """The text, and the same with one escape less in it each time."""
    yield text
    for _ in range(_ROUNDS):
        before = text
        for quoted, quote in _QUOTES:
            text = text.replace(quoted, quote)
        text = _ESCAPE.sub(_character, text)
        if text == before:
            return
        yield text


def _character(escape: re.Match[bytes]) -> bytes:
    """The bytes that an escape stands for."""
    kind = escape.lastgroup or ""
    text = escape[kind]
    match kind:
        case "percent" | "byte":
            return unhexlify(text)
        case "entity":
            return _entity(text) or escape[0]
        case "octal":
            return bytes([int(text, 8)])
        case "pair":
            # Two halves of one character (RFC 8259 section 7).
            high, low = int(text[:4], 16), int(text[6:], 16)
            return _encoded(0x10000 + ((high & 0x3FF) << 10) + (low & 0x3FF))
        case "unit" | "wide" | "point" | "long":
            return _encoded(int(text, 16))
    return _BLANK_LETTERS.get(text, text)


def _entity(name: bytes) -> bytes:
    """What ``&name;`` stands for; empty when nothing."""
    if name[:1] == b"#":
        is_hex = name[1:2] in (b"x", b"X")
        return _encoded(int(name[2:], 16) if is_hex else int(name[1:]))
    if name in _ENTITIES:
        return _ENTITIES[name]
    from html.entities import html5

    return html5.get(f"{name.decode('ascii')};", "").encode()


def _encoded(code: int) -> bytes:
    return chr(code).encode("utf-8", "replace") if code <= 0x10FFFF else b""


def _texts(blob: bytes, *, is_short: bool) -> bytes:
    """What looks like text in decoded bytes, and may be encoded further; empty when nothing."""
    # A search in the mask is many times faster than one for the pattern.
    if not is_short and b"t" * _ASCII_TEXT not in blob.translate(_TEXT_MASK):
        return b""
    runs = (_SHORT_TEXT if is_short else _TEXT).findall(blob)
    # Words, JSON and encodings are mostly ASCII.
    return b"\n".join(
        run for run in runs if is_short or 3 * len(run.translate(None, _HIGH)) >= 2 * len(run)
    )


def _decoded_word(word: re.Match[bytes]) -> bytes:
    if word[1] in b"qQ":
        return a2b_qp(word[2], header=True)
    digits = word[2].rstrip(b"=").translate(_BASE64)
    # A single digit left over encodes no byte.
    return a2b_base64(digits[: len(digits) - (len(digits) % 4 == 1)] + b"==")


def decoded(text: bytes) -> Iterator[bytes]:
    """Decode a text as base64, base32, hexadecimal and lists of decimal bytes.

    Where in the text an encoding begins is unknown, so it is decoded from each offset at which a
    whole group of digits may begin.
    """
    digits = text.translate(None, _PACKED).translate(_BASE64) + b"AAA"
    for start in range(4):
        yield a2b_base64(digits[start : len(digits) - (len(digits) - start) % 4])
    digits = text.replace(b"0x", b"").translate(_HEX, _HEX_JOINTS) + b"0"
    for start in range(2):
        yield unhexlify(digits[start : len(digits) - (len(digits) - start) % 2])
    joined = text.translate(None, b"\r\n")
    for case, least in _BASE32_CASES:
        if runs := [each for each in joined.translate(case).split() if len(each) >= least]:
            # Linear, since the base is a power of two.
            number = int((b"00".join(runs) + b"00").upper().translate(_BASE32), 32)
            for start in range(8):
                shifted = number >> start
                yield shifted.to_bytes((shifted.bit_length() + 7) // 8, "big")
    for run in _DECIMAL.findall(text):
        numbers = map(int, re.split(rb"[,\s+]+", run))
        yield bytes(each for each in numbers if each < 256)
