"""What a user has pasted -> PEM text (RFC 7468): an option may hold it where others name a file."""

import binascii
import re
from base64 import b64decode

_BEGIN = "-----BEGIN "
_BASE64_BEGIN = re.compile(r"LS0tLS1CRUdJTi[A-Za-z0-9+/=\s]*")
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----((?:[^-]|-(?!----))*)-----END \1-----\s*")
_WIDTH = 64  # characters of a line (RFC 7468 section 2)


def pem(given: str) -> str:
    r"""The text as OpenSSL reads it; empty when it is not PEM, and so a path.

    A secret often loses its line ends: they arrive as ``\n``, as blanks, or the whole in base64.
    """
    if _BASE64_BEGIN.fullmatch(given):
        try:
            given = b64decode("".join(given.split())).decode("utf-8", "replace")
        except binascii.Error:
            return ""
    if _BEGIN not in given:
        return ""
    text = given.replace("\\r", "").replace("\\n", "\n")
    return _BLOCK.sub(lambda found: _block(found[1], found[2]), text).lstrip()


def private_keys(given: str) -> tuple[str, ...]:
    """What is secret of a text that holds private keys; empty when it holds none.

    That is each key without its first and last line, which everybody knows, and the text itself
    where it is one line or has no end.
    """
    text = pem(given)
    if "PRIVATE KEY-----" not in text:
        return ()
    blocks = [(found[1], found[2]) for found in _BLOCK.finditer(text)]
    keys = [body.strip() for label, body in blocks if label.endswith("PRIVATE KEY")]
    return (*keys, *((given,) if not keys or "\n" not in given else ()))


def _block(label: str, body: str) -> str:
    # A colon: headers, which an encrypted key has (RFC 1421); their lines cannot be told apart.
    if ":" not in body:
        bare = "".join(body.split())
        lines = [bare[at : at + _WIDTH] for at in range(0, len(bare), _WIDTH)]
        body = "\n".join(("", *lines, ""))
    return f"\n-----BEGIN {label}-----{body}-----END {label}-----\n"
