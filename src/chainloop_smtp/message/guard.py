"""Parts of a mail and secrets -> nothing, or an error: no mail leaves with one in it.

An attestation records environment variables, a commit a message, a material its text: whoever
puts the mail server's password there by mistake would have it mailed. This looks for it in every
part before its encoding, and in the forms in which it may have got there. It does not look into
what is compressed or encrypted.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from chainloop_smtp.errors import MessageError, Problem
from chainloop_smtp.message.templates import md
from chainloop_smtp.model import Part, Secret
from chainloop_smtp.model.values import dataclass

SHORTEST = 4  # characters; a shorter one is in every mail
_SHORTEST_PIECE = 8  # characters of a form that could come about by chance
_SHORTEST_LINE = 16  # characters of a line that is a secret by itself, such as one of a key
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_BLANKS = b" \t\r\n"
_ENCODED_WORD = re.compile(rb"=\?utf-8\?([bq])\?([^?]*)\?=(?:\r\n)?[ \t]*", re.IGNORECASE)


def guard(parts: Iterable[tuple[str, bytes]], secrets: tuple[Secret, ...]) -> None:
    """Passes where no part holds a secret.

    Args:
        parts: From `body` and `head`.
        secrets: Those under four characters cannot be looked for.

    Raises:
        MessageError: With each part and the secret's name, never the secret.
    """
    wanted = _wanted(secrets)
    if not wanted:
        return
    problems = [
        Problem(
            where,
            f"holds the value of {name}, so nothing is sent",
            "Find where it comes from (an environment variable, a message, a file), take it out, "
            "and change the secret: others may have seen it. env-values: hide leaves the attested "
            "environment out of the mail.",
        )
        for where, content in parts
        for name in dict.fromkeys(_held(content, wanted))
    ]
    if problems:
        raise MessageError(*problems)


def body(
    subject: str, text: str, html: str, summary: str, enclosed: Iterable[Part]
) -> Iterator[tuple[str, bytes]]:
    """What a mail says, whoever it goes to, before its encoding."""
    yield "subject", subject.encode(errors="replace")
    yield "text", text.encode(errors="replace")
    yield "html", html.encode(errors="replace")
    yield "summary", summary.encode(errors="replace")
    for part in enclosed:
        yield f"attachment {part.name}", part.content


def head(content: bytes) -> Iterator[tuple[str, bytes]]:
    """A mail's header as a mail program reads it: unfolded, and its encoded words decoded."""
    header = content.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b" ")
    yield "headers", header + b"\n" + _ENCODED_WORD.sub(_decoded, header)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """One secret's forms, each once.

    Attributes:
        whole: Looked for in a part as it is.
        packed: Without blanks, and looked for in a part without any: a line of text may break
            inside a secret, and so may one of base64.
    """

    name: str
    whole: tuple[bytes, ...]
    packed: tuple[bytes, ...]


@lru_cache(maxsize=2)
def _wanted(secrets: tuple[Secret, ...]) -> tuple[_Wanted, ...]:
    """What is looked for; the same for all mails of a run."""
    found = []
    for each in secrets:
        if len(each.value) >= SHORTEST:
            forms = dict.fromkeys(_forms(each.value, each.user))
            bare = {form: form.translate(None, _BLANKS) for form in forms}
            packed = [each for each in bare.values() if len(each) >= _SHORTEST_PIECE]
            whole = [form for form in forms if len(bare[form]) < _SHORTEST_PIECE]
            found.append(
                _Wanted(name=each.name, whole=tuple(whole), packed=tuple(dict.fromkeys(packed)))
            )
    return tuple(found)


def _held(content: bytes, wanted: Iterable[_Wanted]) -> Iterator[str]:
    """The names of the secrets that a part holds."""
    packed = content.translate(None, _BLANKS)
    for each in wanted:
        if any(form in content for form in each.whole) or any(
            form in packed for form in each.packed
        ):
            yield each.name


def _forms(secret: str, user: str) -> Iterator[bytes]:
    """What the secret looks like as it is, escaped, in hexadecimal and in base64."""
    octets = secret.encode(errors="replace")
    escaped = [each.encode(errors="replace") for each in _escaped(secret)]
    hexadecimal = octets.hex().encode()
    yield from (octets, *escaped, hexadecimal, hexadecimal.upper())
    for line in secret.splitlines():
        if len(line.strip()) >= _SHORTEST_LINE:
            yield line.strip().encode(errors="replace")
    for pair in (f"\0{user}\0{secret}", f"{user}\0{user}\0{secret}"):
        yield base64.b64encode(pair.encode(errors="replace"))
    for each in dict.fromkeys((octets, *escaped)):
        yield base64.b64encode(each)
        yield from _inside_base64(each)


def _escaped(secret: str) -> Iterator[str]:
    """In JSON (as Python and as Go write it), HTML, Markdown and a URL."""
    yield json.dumps(secret)[1:-1]
    plain = json.dumps(secret, ensure_ascii=False)[1:-1]
    yield plain
    yield plain.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")
    html = secret.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    yield html.replace("'", "&#39;").replace('"', "&#34;")
    yield md(secret)
    yield "".join(
        each if each.isascii() and (each.isalnum() or each in "-._~") else _percented(each)
        for each in secret
    )


def _percented(character: str) -> str:
    return "".join(f"%{octet:02X}" for octet in character.encode(errors="replace"))


def _inside_base64(octets: bytes) -> Iterator[bytes]:
    """What base64 of a longer text holds, wherever in it the octets begin.

    Three octets become four characters; those at the ends depend on the neighbours too.
    """
    for before in range(3):
        text = base64.b64encode(bytes(before) + octets)
        sure = text[(0, 2, 3)[before] : (before + len(octets)) * 8 // 6]
        if len(sure) >= _SHORTEST_PIECE:
            yield sure
            # RFC 4648 section 5, as in a JWT.
            yield sure.translate(_URL_SAFE)


def _decoded(word: re.Match[bytes]) -> bytes:
    """One encoded word of our own making (RFC 2047); blanks between two of them are none."""
    import binascii

    if word[1].lower() == b"b":
        return binascii.a2b_base64(word[2])
    return binascii.a2b_qp(word[2], header=True)
