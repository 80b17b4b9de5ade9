"""What a server says -> the same without our secrets, should it repeat them.

Servers echo commands into their errors, and some do it with what a login sent. It comes out in
whatever form it went in or got on the way: plain, escaped for HTML, JSON or a URL, in base64 at any
offset, in hexadecimal, whole or cut.
"""

import base64
import json
import re
from collections.abc import Iterator

BLOT = "***"
_RUN = re.compile(r"[A-Za-z0-9+/=_-]{8,}")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_SHORTEST = 4  # octets; less than that would be found in anything
_PIECE = 6  # octets of a secret that are enough to know it by
_PIECES = 32  # of each secret; every reply is searched for all of them


class Redactor:
    """Takes secrets out of what a server says."""

    def __init__(self) -> None:
        self._spellings: list[str] = []
        self._pieces: list[bytes] = []

    def add(self, *secrets: bytes) -> None:
        """Knows these from here on; an empty one is none."""
        for secret in filter(None, secrets):
            self._spellings += _spellings(secret)
            self._pieces += _pieces(secret)
        # The longest first, since one may be part of another.
        self._spellings = sorted(dict.fromkeys(self._spellings), key=len, reverse=True)

    def blotted(self, text: str) -> str:
        """The text, with `BLOT` wherever a secret stood."""
        for spelling in self._spellings:
            text = text.replace(spelling, BLOT)
        if not self._pieces:
            return text
        return _RUN.sub(lambda run: BLOT if self._is_echo(run[0]) else run[0], text)

    def _is_echo(self, run: str) -> bool:
        """What the run of letters stands for holds a piece of a secret."""
        return any(piece in decoded for decoded in _decoded(run) for piece in self._pieces)


def _spellings(secret: bytes) -> Iterator[str]:
    plain = secret.decode("utf-8", "replace")
    yield plain
    yield json.dumps(plain)[1:-1]
    yield json.dumps(plain, ensure_ascii=False)[1:-1]
    escaped = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    yield escaped
    yield escaped.replace('"', "&quot;")
    yield escaped.replace('"', "&quot;").replace("'", "&#x27;")
    for safe in (b"-._~", b"-._~/"):
        kept = {octet for octet in range(128) if chr(octet).isalnum() or octet in safe}
        yield "".join(chr(octet) if octet in kept else f"%{octet:02X}" for octet in secret)


def _pieces(secret: bytes) -> Iterator[bytes]:
    """Pieces so close to each other that what is cut off somewhere holds one of them too."""
    if len(secret) >= _SHORTEST:
        last = max(len(secret) - _PIECE, 0)
        for start in range(0, last + 1, last // _PIECES + 1):
            yield secret[start : start + _PIECE]


def _decoded(run: str) -> Iterator[bytes]:
    """Hexadecimal, and base64 wherever in the run it may begin."""
    if _HEX.fullmatch(run):
        yield bytes.fromhex(run)
    digits = run.replace("-", "+").replace("_", "/").replace("=", "")
    for start in range(4):
        part = digits[start:]
        # A last character alone stands for no whole octet.
        part = part[: len(part) - (len(part) % 4 == 1)]
        yield base64.b64decode(part + "=" * (-len(part) % 4))
