"""Headers and parts -> bytes: RFC 5322 (the message), 2045 to 2047 (MIME), by hand.

Every byte is 7-bit, but for addresses that are wanted in UTF-8 (RFC 6532), and every line ends in
CRLF. Header lines are folded at 78 columns, but for a long file name; bodies are quoted-printable
of at most 76. No value, however long or hostile, makes a line of over 998 or one header more.
"""

import base64
import binascii
import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime

from chainloop_smtp.message import formatting
from chainloop_smtp.model.mail import File, Part
from chainloop_smtp.model.settings import Mailbox

_FOLD = 78  # RFC 5322 section 2.1.1: SHOULD; the CRLF not counted
_ENCODED_WORD = 75  # RFC 2047 section 2: the longest encoded-word
_ATEXT = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-/=?^_`{|}~"
)
# RFC 2047 section 5 (3): what may stand for itself in an encoded-word anywhere, phrases included.
_Q_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
# RFC 2231 section 7: attribute-char, what stands for itself in an extended parameter.
_ATTRIBUTE_CHAR = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$&+-.^_`{|}~"
)
_PARAMETER = 60  # characters of a parameter's value on one line
_BASE64_LINE = 76  # RFC 2045 section 6.8
# A line that b2a_qp made too long: it encodes a blank at the end after having measured the line.
_TOO_LONG = re.compile(rb"^(.{74,75})(=20|=09)$", re.MULTILINE)
# What ends a line for some reader, or may be taken for something else than text.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_LONGEST_NAME = 120  # bytes of UTF-8; file systems take 255, and mail programs add to a name
# What Windows takes for a device, whatever stands behind a dot.
_DEVICES = re.compile(r"(CON|PRN|AUX|NUL|COM[0-9¹²³]|LPT[0-9¹²³])(\..*)?", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[<>:"|?*]')
# Controls, bidirectional and other invisible characters, surrogates, private ones, line ends.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
# Nothing that a mail program would show by itself, since HTML and SVG can hold scripts; and no kind
# of text, since servers and mail programs may change its line ends or append a line to it.
_MEDIA_TYPES = {
    ".json": "application/json",
    ".sarif": "application/sarif+json",
    ".xml": "application/xml",
    ".zip": "application/zip",
    ".gz": "application/gzip",
    ".pdf": "application/pdf",
}


def message(
    headers: Iterable[bytes], text: str, html: str, boundary: str, parts: Sequence[bytes] = ()
) -> bytes:
    """A whole message: the text, the HTML, then the attachments.

    It is multipart/alternative, the plainest part first (RFC 2046 section 5.1.4); where there are
    attachments, that is the first part of multipart/mixed (section 5.1.3).

    Args:
        headers: Finished header fields, each with its CRLF.
        text: Lines end in LF, as in ``html``; another line end becomes one.
        boundary: Must hold ``=_``, which neither quoted-printable nor base64 can.
        parts: From `attachment`.
    """
    body = _multipart("alternative", boundary, [_part("plain", text), _part("html", html)])
    if parts:
        # Neither delimiter may begin with the other (RFC 2046 section 5.1.2).
        body = _multipart("mixed", f"={boundary}", [b"".join(body), *parts])
    return b"".join((*headers, b"MIME-Version: 1.0\r\n", *body))


def attachment(name: str, media_type: str, content: bytes) -> bytes:
    """One attached part: base64 (RFC 2045 section 6.8), so that every byte arrives as it is.

    Args:
        name: Of one line; without path, and without a quote or backslash.
        media_type: ``type/subtype``.
    """
    encoded = binascii.b2a_base64(content, newline=False)
    lines = [encoded[at : at + _BASE64_LINE] for at in range(0, len(encoded), _BASE64_LINE)]
    return (
        f"Content-Type: {media_type};\r\n {_plain_name(name)}\r\n"
        "Content-Transfer-Encoding: base64\r\n"
        f"Content-Disposition: attachment;\r\n {_file_name(name)}\r\n\r\n"
    ).encode("ascii") + b"\r\n".join(lines)


def structured(name: str, value: str) -> bytes:
    """A header with a value of this program's: ASCII, and short enough for one line."""
    return f"{name}: {value}\r\n".encode("ascii")


def date(now: datetime) -> bytes:
    """The Date header (RFC 5322 section 3.3).

    Args:
        now: Aware, in UTC.
    """
    day = f"{_DAYS[now.weekday()]}, {now.day:02} {formatting.MONTHS[now.month - 1]} {now.year:04}"
    return structured("Date", f"{day} {now:%H:%M:%S} +0000")


def unstructured(name: str, value: str) -> bytes:
    """A header of free text, such as Subject: folded, and encoded where ASCII is not enough."""
    words = _one_line(value).split()
    if _is_plain(words):
        return _folded(name, words)
    return _folded(name, _encoded_words(" ".join(words), len(name) + 2))


def verbatim(name: str, value: str) -> bytes:
    """A header with an ASCII value for programs: folded at its blanks, and never encoded.

    Args:
        value: Without control characters; with its name, of 998 bytes at most.
    """
    return _folded(name, value.split())


def named(name: str, phrase: str, identifier: str) -> bytes:
    """A header of a phrase and an identifier in angle brackets, such as List-Id (RFC 2919)."""
    return _folded(name, [*_phrase(phrase, len(name) + 2), f"<{identifier}>"])


def mailboxes(name: str, members: Sequence[Mailbox], *, is_ascii: bool = False) -> bytes:
    """An address header (RFC 5322 section 3.6.2 and 3.6.3): at least one mailbox, comma between.

    Args:
        is_ascii: Write an address beyond ASCII as the name of a group without members, which can
            be read but not replied to (RFC 6857 section 3.1.8). Otherwise write it in UTF-8 (RFC
            6532 section 3.2).
    """
    words: list[str] = []
    for position, member in enumerate(members):
        comma = "," if position < len(members) - 1 else ""
        if is_ascii and not member.addr_spec.isascii():
            words += [*_encoded_words(_one_line(str(member)), len(name) + 2), f":;{comma}"]
        elif member.name:
            words += _phrase(member.name, len(name) + 2)
            words.append(f"<{member.addr_spec}>{comma}")
        else:
            words.append(member.addr_spec + comma)
    return _folded(name, words)


def _multipart(subtype: str, boundary: str, parts: Sequence[bytes]) -> list[bytes]:
    """Header and body of a multipart entity, in pieces (RFC 2046 section 5.1.1)."""
    delimiter = f"--{boundary}".encode("ascii")
    pieces = [
        f'Content-Type: multipart/{subtype};\r\n boundary="{boundary}"\r\n\r\n'.encode("ascii")
    ]
    for part in parts:
        pieces += [delimiter, b"\r\n", part, b"\r\n"]
    return [*pieces, delimiter, b"--\r\n"]


def _plain_name(name: str) -> str:
    """The parameter ``name``, for readers from before RFC 2231 or 2183: encoded-words in quotes.

    RFC 2047 section 5 (3) forbids them there, and Outlook, Gmail and their readers know them.
    """
    words = [name] if name.isascii() else _encoded_words(name, len(' name="'))
    return 'name="' + "\r\n ".join(words) + '"'


def _file_name(name: str) -> str:
    """The parameter ``filename``: as it is, or as RFC 2231 has it (sections 3 and 4), folded.

    ASCII stays on one line even if that is longer than 78: not every reader joins the pieces.
    """
    if name.isascii():
        return f'filename="{name}"'
    pieces, piece = [], "utf-8''"
    for each in map(_percent_encoded, name):
        if len(piece) + len(each) > _PARAMETER:
            pieces.append(piece)
            piece = ""
        piece += each
    pieces.append(piece)
    if len(pieces) == 1:
        return f"filename*={piece}"
    return ";\r\n ".join(f"filename*{number}*={each}" for number, each in enumerate(pieces))


def _percent_encoded(character: str) -> str:
    return "".join(
        chr(each) if each in _ATTRIBUTE_CHAR else f"%{each:02X}"
        for each in character.encode("utf-8", "replace")
    )


def _part(subtype: str, text: str) -> bytes:
    """One text part, quoted-printable (RFC 2045 section 6.7): any mail server passes it whole."""
    # b2a_qp takes its line ends from the first one, and lets a bare CR through.
    content = text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace")
    body = _TOO_LONG.sub(rb"\1=\n\2", binascii.b2a_qp(content, istext=True))
    body = body.replace(b"\n", b"\r\n")
    return (
        f"Content-Type: text/{subtype}; charset=utf-8\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    ).encode("ascii") + body


def _one_line(value: str) -> str:
    """Without control characters, so that no value can end its header (RFC 5322 section 2.2)."""
    return _CONTROLS.sub(" ", value)


def _is_plain(words: Sequence[str]) -> bool:
    """ASCII that no reader takes for an encoded-word, in words that fit on a line."""
    return all(word.isascii() and "=?" not in word and len(word) < _FOLD - 1 for word in words)


def _phrase(name: str, first_column: int) -> list[str]:
    """A display name (RFC 5322 section 3.2.5): atoms, a quoted-string, or encoded-words."""
    words = _one_line(name).split()
    if not _is_plain(words):
        return _encoded_words(" ".join(words), first_column)
    if all(_ATEXT.issuperset(word) for word in words):
        return words
    quoted = '"' + " ".join(words).replace("\\", "\\\\").replace('"', '\\"') + '"'
    # A quoted-string folds at its own blanks.
    return quoted.split(" ")


def _encoded_words(text: str, first_column: int) -> list[str]:
    """Encoded-words (RFC 2047), each of whole characters, in the shorter of the two encodings.

    GMime joins words before it decodes them, and ends at the padding of base64: only the last word
    may have one.
    """
    words: list[str] = []
    room = min(_ENCODED_WORD, _FOLD - first_column)
    while len(text) > _ENCODED_WORD or len(_encoded_word(text)) > room:
        # The fallback has a character of two or four bytes, in front of any number of three.
        size, word = 1, _q_word(text[0])
        end = 1
        while len(longer := _encoded_word(text[:end])) <= room:
            if not longer.endswith("=?="):
                size, word = end, longer
            end += 1
        words.append(word)
        text, room = text[size:], _ENCODED_WORD
    return [*words, _encoded_word(text)]


def _encoded_word(text: str) -> str:
    q = _q_word(text)
    b = base64.b64encode(text.encode("utf-8", "replace")).decode("ascii")
    return min(q, f"=?utf-8?b?{b}?=", key=len)


def _q_word(text: str) -> str:
    content = text.encode("utf-8", "replace")
    q = "".join(
        "_" if byte == 0x20 else chr(byte) if byte in _Q_SAFE else f"={byte:02X}"
        for byte in content
    )
    return f"=?utf-8?q?{q}?="


def _folded(name: str, words: Sequence[str]) -> bytes:
    """Words behind the name, a blank between them; a line break before that blank if need be."""
    lines, line = [], f"{name}:"
    for word in words:
        # Never right behind the name: some servers take a first line without a value for an end.
        if len(line) + 1 + len(word) > _FOLD and line != f"{name}:":
            lines.append(line)
            line = ""
        line += " " + word
    return ("\r\n".join([*lines, line]) + "\r\n").encode()


def parts(files: Iterable[File]) -> tuple[Part, ...]:
    """What is attached, in its order; a name that is there already gets a number."""
    taken: set[str] = set()
    attached = []
    for file in files:
        name = _unique(safe_name(file.name), taken)
        attached.append(
            Part(
                name=name,
                content=file.content,
                digest=f"sha256:{hashlib.sha256(file.content).hexdigest()}",
                encoded=attachment(name, _media_type(name), file.content),
            )
        )
    return tuple(attached)


def safe_name(name: str) -> str:
    """A file name for every system: no folder, no device, nothing invisible, not too long."""
    base = re.split(r"[/\\]", name)[-1]
    base = unicodedata.normalize("NFC", _FORBIDDEN.sub("_", base))
    visible = "".join(each for each in base if unicodedata.category(each) not in _INVISIBLE)
    # Windows drops dots and blanks at an end, so that two names become one.
    stem, extension = _split(" ".join(visible.split()).rstrip(". "))
    safe = _cut(stem, _LONGEST_NAME - len(extension)) + extension
    return f"_{safe}" if _DEVICES.fullmatch(safe) else safe or "attachment"


def _split(name: str) -> tuple[str, str]:
    """Stem and extension, the dot with the latter; a long extension is none."""
    stem, dot, extension = name.rpartition(".")
    if not stem or not extension.isascii() or len(extension) > 15:
        return name, ""
    return stem, dot + extension


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode(errors="ignore").rstrip(". ")


def _unique(name: str, taken: set[str]) -> str:
    stem, extension = _split(name)
    number = 1
    # Without regard to case, as on Windows and macOS.
    while (key := name.casefold()) in taken:
        number += 1
        suffix = f"-{number}{extension}"
        name = _cut(stem, _LONGEST_NAME - len(suffix)) + suffix
    taken.add(key)
    return name


def _media_type(name: str) -> str:
    return _MEDIA_TYPES.get(_split(name)[1].lower(), "application/octet-stream")
