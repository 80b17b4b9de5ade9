"""How a secret may be written, and how to keep it out of what people read.

A secret shows up in the form it was sent in, or in whatever form it got on the way: plain, escaped
for HTML, JSON or a URL, in base64 at any offset, in hexadecimal, whole or cut. `masks` lists forms
for a runner to hide, `Redactor` replaces them in a text, and `chainloop_smtp.secrets.readings`
searches a mail for them. `as_pem` mends a key or certificate that lost its line breaks on the way.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator

from chainloop_smtp.secrets import readings
from chainloop_smtp.secrets.readings import SHORTEST

REDACTED = "***"
_RUN = re.compile(r"[A-Za-z0-9+/=_-]{8,}")
_PIECE = 6  # bytes of a secret that are enough to recognize it
_PIECES = 32  # of each secret; every reply is searched for all of them

# PEM (RFC 7468), which some options take in place of a path.
_PEM_BASE64 = re.compile(r"LS0tLS1CRUdJTi[A-Za-z0-9+/=\s]*")
_PEM_BLOCK = re.compile(
    r"-----BEGIN ([A-Z0-9 ]{1,40})-----((?:[^-]|-(?!----))*)-----END \1-----\s*"
)
_PEM_WIDTH = 64  # characters of a line (RFC 7468 section 2)


class Redactor:
    """Takes secrets out of texts, such as a server's replies."""

    def __init__(self) -> None:
        self._spellings: list[str] = []
        self._pieces: list[bytes] = []

    def add(self, *secrets: bytes) -> None:
        """Redacts these from now on.

        One under `SHORTEST` bytes is ignored: it is in every text, and the gaps would spell it.
        """
        for secret in secrets:
            if len(secret) >= SHORTEST:
                self._spellings += _spellings(secret)
                self._pieces += _pieces(secret)
        # The longest first, since one may be part of another.
        self._spellings = sorted(dict.fromkeys(self._spellings), key=len, reverse=True)

    def redact(self, text: str) -> str:
        """Return the text with `REDACTED` in place of each secret."""
        for spelling in self._spellings:
            text = text.replace(spelling, REDACTED)
        if not self._pieces:
            return text
        return _RUN.sub(lambda run: REDACTED if self._holds_piece(run[0]) else run[0], text)

    def _holds_piece(self, run: str) -> bool:
        decoded = readings.decoded(run.encode())
        return any(piece in data for data in decoded for piece in self._pieces)


def masks(user: str, secret: str) -> list[str]:
    """List the texts that a runner has to hide so that its log does not show the secret.

    A runner masks line by line, so each line of the secret is one of them. AUTH LOGIN sends it in
    base64, AUTH PLAIN together with the user, and other base64 may hold it at any offset.

    Args:
        user: The user name that is sent with it, or empty.
        secret: Nothing is masked when it is empty, and no form under `SHORTEST` characters.
    """
    if not secret:
        return []
    # Options refuse what is not UTF-8, but masks are needed before that.
    encoded, plain = (text.encode(errors="replace") for text in (secret, f"\0{user}\0{secret}"))
    forms = [
        secret,
        *secret.splitlines(),
        base64.b64encode(encoded).decode("ascii"),
        base64.b64encode(plain).decode("ascii"),
        *_inside_base64(encoded),
        *_spellings(encoded),
    ]
    return list(dict.fromkeys(form for form in forms if len(form.strip()) >= SHORTEST))


def as_pem(text: str) -> str:
    r"""Return the text as OpenSSL reads it; empty when it is not PEM, and so a path.

    A secret often loses its line breaks: they arrive as ``\n``, as blanks, or the whole in base64.
    """
    if _PEM_BASE64.fullmatch(text):
        try:
            text = base64.b64decode("".join(text.split())).decode("utf-8", "replace")
        except binascii.Error:
            return ""
    if "-----BEGIN " not in text:
        return ""
    text = text.replace("\\r", "").replace("\\n", "\n")
    return _PEM_BLOCK.sub(lambda block: _pem_block(block[1], block[2]), text).lstrip()


def private_keys(text: str) -> tuple[str, ...]:
    """Return the secrets in a text that holds private keys; none when it holds no key.

    These are the keys without their first and last lines, which are not secret; and the text itself
    when it is one line, or when its key is cut off.
    """
    pem = as_pem(text)
    if "PRIVATE KEY-----" not in pem:
        return ()
    blocks = [(block[1], block[2]) for block in _PEM_BLOCK.finditer(pem)]
    keys = [body.strip() for label, body in blocks if label.endswith("PRIVATE KEY")]
    return (*keys, *((text,) if not keys or "\n" not in text else ()))


def _spellings(secret: bytes) -> Iterator[str]:
    """Plain, and escaped for JSON, HTML and URLs."""
    plain = secret.decode("utf-8", "replace")
    yield plain
    yield json.dumps(plain)[1:-1]
    yield json.dumps(plain, ensure_ascii=False)[1:-1]
    escaped = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    yield escaped
    yield escaped.replace('"', "&quot;")
    yield escaped.replace('"', "&quot;").replace("'", "&#x27;")
    for safe in (b"-._~", b"-._~/"):
        kept = {each for each in range(128) if chr(each).isalnum() or each in safe}
        yield "".join(chr(each) if each in kept else f"%{each:02X}" for each in secret)


def _pieces(secret: bytes) -> Iterator[bytes]:
    """Pieces so close together that a cut-off secret still holds one of them."""
    last = max(len(secret) - _PIECE, 0)
    for start in range(0, last + 1, last // _PIECES + 1):
        yield secret[start : start + _PIECE]


def _inside_base64(secret: bytes) -> list[str]:
    """What base64 of a longer text contains, wherever in that text the secret begins.

    Three bytes become four characters; those at the ends depend on the neighbours too.
    """
    forms = []
    for before in range(3):
        text = base64.b64encode(bytes(before) + secret).decode("ascii")
        whole = (before + len(secret)) * 8 // 6
        forms.append(text[(0, 2, 3)[before] : whole])
    return forms


def _pem_block(label: str, body: str) -> str:
    # A colon means headers, which an encrypted key has (RFC 1421); where their lines end is lost.
    if ":" not in body:
        bare = "".join(body.split())
        lines = [bare[at : at + _PEM_WIDTH] for at in range(0, len(bare), _PEM_WIDTH)]
        body = "\n".join(("", *lines, ""))
    return f"\n-----BEGIN {label}-----{body}-----END {label}-----\n"
