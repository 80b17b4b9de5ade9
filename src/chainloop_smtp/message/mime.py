"""Headers and parts -> octets: RFC 5322 (the message), 2045 to 2047 (MIME), by hand.

Every octet is 7-bit and every line ends in CRLF. Header lines are folded at 78 columns, bodies
are quoted-printable of at most 76; no value, however long or hostile, makes a line of over 998 or
one header more.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from chainloop_smtp.model import Mailbox

_FOLD = 78  # RFC 5322 section 2.1.1: SHOULD; the CRLF not counted
_ENCODED_WORD = 75  # RFC 2047 section 2: the longest encoded-word
_ATEXT = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-/=?^_`{|}~"
)
# RFC 2047 section 5 (3): what may stand for itself in an encoded-word anywhere, phrases included.
_Q_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
# A line that b2a_qp made too long: it encodes a blank at the end after having measured the line.
_TOO_LONG = re.compile(rb"^(.{74,75})(=20|=09)$", re.MULTILINE)
# What ends a line somewhere, and what a mail program could take for something else than text.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def alternative(headers: Iterable[bytes], text: str, html: str, boundary: str) -> bytes:
    """A whole message: multipart/alternative, the plainest part first (RFC 2046 section 5.1.4).

    Args:
        headers: Finished header fields, each with its CRLF.
        text: Lines end in LF, as in ``html``; another line end becomes one.
        boundary: Must hold ``=_``, which quoted-printable cannot.
    """
    delimiter = f"--{boundary}".encode("ascii")
    return b"".join(
        (
            *headers,
            b"MIME-Version: 1.0\r\n",
            f'Content-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n\r\n'.encode(
                "ascii"
            ),
            delimiter + b"\r\n",
            _part("plain", text),
            b"\r\n" + delimiter + b"\r\n",
            _part("html", html),
            b"\r\n" + delimiter + b"--\r\n",
        )
    )


def structured(name: str, value: str) -> bytes:
    """A header whose value is made by us: ASCII, and short enough for one line."""
    return f"{name}: {value}\r\n".encode("ascii")


def date(moment: datetime) -> bytes:
    """The Date header (RFC 5322 section 3.3), in UTC.

    Args:
        moment: Aware, in UTC.
    """
    return structured(
        "Date",
        f"{_DAYS[moment.weekday()]}, {moment.day:02} {_MONTHS[moment.month - 1]} {moment.year:04} "
        f"{moment:%H:%M:%S} +0000",
    )


def unstructured(name: str, value: str) -> bytes:
    """A header of free text, such as Subject: folded, and encoded where ASCII is not enough."""
    words = _one_line(value).split()
    if _is_plain(words):
        return _folded(name, words)
    return _folded(name, _encoded_words(" ".join(words), len(name) + 2))


def verbatim(name: str, value: str) -> bytes:
    """A header whose ASCII value a program reads: folded at its blanks, and never encoded.

    Args:
        value: Without control characters; with its name, of 998 octets at most.
    """
    return _folded(name, value.split())


def named(name: str, phrase: str, identifier: str) -> bytes:
    """A header of a phrase and an identifier in angle brackets, such as List-Id (RFC 2919)."""
    return _folded(name, [*_phrase(phrase, len(name) + 2), f"<{identifier}>"])


def mailboxes(name: str, members: Sequence[Mailbox]) -> bytes:
    """An address header (RFC 5322 section 3.6.2 and 3.6.3): at least one mailbox, comma between."""
    words: list[str] = []
    for position, member in enumerate(members):
        comma = "," if position < len(members) - 1 else ""
        if member.name:
            words += _phrase(member.name, len(name) + 2)
            words.append(f"<{member.addr_spec}>{comma}")
        else:
            words.append(member.addr_spec + comma)
    return _folded(name, words)


def _part(subtype: str, text: str) -> bytes:
    """One text part, quoted-printable (RFC 2045 section 6.7): any mail server passes it whole."""
    # b2a_qp takes its line ends from the first one, and lets a bare CR through.
    octets = text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace")
    body = _TOO_LONG.sub(rb"\1=\n\2", binascii.b2a_qp(octets, istext=True))
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
    """Encoded-words (RFC 2047), each of whole characters, in the shorter of the two encodings."""
    words: list[str] = []
    chunk = ""
    room = min(_ENCODED_WORD, _FOLD - first_column)
    for character in text:
        if len(_encoded_word(chunk + character)) > room and chunk:
            words.append(_encoded_word(chunk))
            chunk, room = "", _ENCODED_WORD
        chunk += character
    return [*words, _encoded_word(chunk)]


def _encoded_word(text: str) -> str:
    octets = text.encode("utf-8", "replace")
    q = "".join(
        "_" if octet == 0x20 else chr(octet) if octet in _Q_SAFE else f"={octet:02X}"
        for octet in octets
    )
    b = base64.b64encode(octets).decode("ascii")
    return f"=?utf-8?q?{q}?=" if len(q) <= len(b) else f"=?utf-8?b?{b}?="


def _folded(name: str, words: Sequence[str]) -> bytes:
    """Words behind the name, a blank between them; a line break before that blank if need be."""
    lines, line = [], f"{name}:"
    for word in words:
        # Never right behind the name: some servers take a first line without a value for an end.
        if len(line) + 1 + len(word) > _FOLD and line != f"{name}:":
            lines.append(line)
            line = ""
        line += " " + word
    return ("\r\n".join([*lines, line]) + "\r\n").encode("ascii")
