"""Mail and secrets -> nothing, or an error: no mail leaves with a secret of the program in it.

An attestation records environment variables, a commit a message, a material its text: whoever
puts the mail server's password there by mistake would have it mailed. This looks for it in every
part before its encoding, and in the forms in which it may have got there. It does not look into
what is compressed or encrypted.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator

from chainloop_smtp.errors import MessageError, Problem
from chainloop_smtp.message.templates import md
from chainloop_smtp.model import Mail

SHORTEST = 4  # characters; a shorter one is in every mail
_SHORTEST_PIECE = 8  # characters of a form that could come about by chance
_SHORTEST_LINE = 16  # characters of a line that is a secret by itself, such as one of a key
_BLANKS = b" \t\r\n"
_ENCODED_WORD = re.compile(rb"=\?utf-8\?([bq])\?([^?]*)\?=(?:\r\n)?[ \t]*", re.IGNORECASE)


def guard(mail: Mail, secrets: Iterable[tuple[str, str]], user: str) -> None:
    """Passes where no part of the mail holds a secret.

    Args:
        secrets: Each with the input that it came by. Those under four characters cannot be looked
            for.
        user: Goes before the password in one of its forms (AUTH PLAIN).

    Raises:
        MessageError: With each part and the secret's name, never the secret.
    """
    wanted = [
        (name, tuple(dict.fromkeys(_forms(secret, user))))
        for name, secret in secrets
        if len(secret) >= SHORTEST
    ]
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
        for where, content in _parts(mail)
        for name in dict.fromkeys(_held(content, wanted))
    ]
    if problems:
        raise MessageError(*problems)


def _parts(mail: Mail) -> Iterator[tuple[str, bytes]]:
    """Everything that somebody will read, before its encoding."""
    yield "subject", mail.subject.encode(errors="replace")
    yield "headers", _head(mail.content)
    yield "text", mail.text.encode(errors="replace")
    yield "html", mail.html.encode(errors="replace")
    yield "summary", mail.summary.encode(errors="replace")
    for part in mail.parts:
        yield f"attachment {part.name}", part.content


def _held(content: bytes, wanted: Iterable[tuple[str, tuple[bytes, ...]]]) -> Iterator[str]:
    # A line of text may break inside a secret, and so may one of base64.
    packed = content.translate(None, _BLANKS)
    for name, forms in wanted:
        if any(
            form in content or (len(bare) >= _SHORTEST_PIECE and bare in packed)
            for form in forms
            for bare in (form.translate(None, _BLANKS),)
        ):
            yield name


def _forms(secret: str, user: str) -> Iterator[bytes]:
    """What the secret looks like as it is, escaped, and in base64."""
    octets = secret.encode(errors="replace")
    escaped = [each.encode(errors="replace") for each in _escaped(secret)]
    yield from (octets, *escaped)
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


def _head(content: bytes) -> bytes:
    """The header as a mail program reads it: unfolded, and its encoded words decoded."""
    head = content.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b" ")
    return head + b"\n" + _ENCODED_WORD.sub(_decoded, head)


def _decoded(word: re.Match[bytes]) -> bytes:
    """One encoded word of our own making (RFC 2047); blanks between two of them are none."""
    import binascii

    if word[1].lower() == b"b":
        return binascii.a2b_base64(word[2])
    return binascii.a2b_qp(word[2], header=True)
