"""Text of an option -> PEM (RFC 7468): some options take PEM text in place of a path."""

import binascii
import re
from base64 import b64decode

_BEGIN = "-----BEGIN "
_BASE64_BEGIN = re.compile(r"LS0tLS1CRUdJTi[A-Za-z0-9+/=\s]*")
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----((?:[^-]|-(?!----))*)-----END \1-----\s*")
_WIDTH = 64  # characters of a line (RFC 7468 section 2)


def as_pem(text: str) -> str:
    r"""Return the text as OpenSSL reads it; empty when it is not PEM, and so a path.

    A secret often loses its line breaks: they arrive as ``\n``, as blanks, or the whole in base64.
    """
    if _BASE64_BEGIN.fullmatch(text):
        try:
            text = b64decode("".join(text.split())).decode("utf-8", "replace")
        except binascii.Error:
            return ""
    if _BEGIN not in text:
        return ""
    text = text.replace("\\r", "").replace("\\n", "\n")
    return _BLOCK.sub(lambda block: _block(block[1], block[2]), text).lstrip()


def private_keys(text: str) -> tuple[str, ...]:
    """Return the secrets in a text that holds private keys; none when it holds no key.

    These are the keys without their first and last lines, which are no secret; and the text itself
    when it is one line, or when its key is cut off.
    """
    pem = as_pem(text)
    if "PRIVATE KEY-----" not in pem:
        return ()
    blocks = [(block[1], block[2]) for block in _BLOCK.finditer(pem)]
    keys = [body.strip() for label, body in blocks if label.endswith("PRIVATE KEY")]
    return (*keys, *((text,) if not keys or "\n" not in text else ()))


def _block(label: str, body: str) -> str:
    # A colon means headers, which an encrypted key has (RFC 1421); where their lines end is lost.
    if ":" not in body:
        bare = "".join(body.split())
        lines = [bare[at : at + _WIDTH] for at in range(0, len(bare), _WIDTH)]
        body = "\n".join(("", *lines, ""))
    return f"\n-----BEGIN {label}-----{body}-----END {label}-----\n"
