"""Bytes -> ReceivedMessage: what its reader is shown, and what is attached."""

import codecs
import re
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple, cast

from chainloop_smtp.errors import AttestationError, Problem
from chainloop_smtp.model.checks import Body, ReceivedMessage
from chainloop_smtp.model.mail import File
from chainloop_smtp.received.visible import visible

if TYPE_CHECKING:
    from email.message import Message

PREFIX = "x-chainloop-"
FIELDS = (
    *("outcome", "policy-status", "digest", "signature"),
    *("run-id", "organization", "project", "workflow"),
)

_MOST_PARTS = 1000
_MOST_LEVELS = 20  # a forwarded mail inside a forwarded mail
_BOUNDARY = re.compile(rb"boundary\s*\*?(?:0\*?)?\s*=|content-type:\s*message/", re.IGNORECASE)
# Codecs that Python has for other things than mails; some take quadratic time.
_NO_CHARSETS = ("idna", "punycode", "raw-unicode-escape", "unicode-escape", "utf-7")
# RFC 5322 section 3.6: no more than one of each. Mail programs differ in which they show.
_ONCE = ("from", "to", "cc", "subject", "date", "reply-to", "sender", "content-type")


def read(content: bytes) -> ReceivedMessage:
    """Read a mail, or the mail of this program that it forwards as an attachment.

    Raises:
        AttestationError: It is not a mail, or has too many parts.
    """
    from email import message_from_bytes, policy

    content = content.removeprefix(b"\xef\xbb\xbf")
    # Python's parser is recursive.
    if len(_BOUNDARY.findall(content)) > _MOST_LEVELS:
        raise _error(f"has parts in more than {_MOST_LEVELS} levels")
    message = message_from_bytes(content, policy=policy.compat32)
    if not message.keys():
        raise _error("is not a mail: it has no header")
    parts = list(message.walk())
    if len(parts) > _MOST_PARTS:
        raise _error(f"has more than {_MOST_PARTS} parts")
    # RFC 2046 section 5.2.1: a message/rfc822 part holds one mail.
    inner = (_children(part)[:1] for part in parts if part.get_content_maintype() == "message")
    mails = [message, *chain.from_iterable(inner)]
    ours = next((mail for mail in mails if mail[f"{PREFIX}outcome"]), message)
    bodies = _bodies(ours)
    return ReceivedMessage(
        fields=tuple(_fields(ours)),
        subject=_words(ours["subject"] or ""),
        text="\n".join(each.source for each in bodies.plain),
        html="\n".join(map(_visible, bodies.pages)),
        files=tuple(
            File(name=name, content=_decoded(part))
            for part in _parts(ours)
            if (name := part.get_filename()) and not part.is_multipart()
        ),
        sender=_words(ours["from"] or ""),
        plain=next(iter(bodies.plain), None),
        page=next(iter(bodies.pages), None),
        others=(
            *(("another text part", each.source) for each in bodies.plain[1:]),
            *(("another HTML part", _visible(each)) for each in bodies.pages[1:]),
            *(("another part", kind) for kind in bodies.others),
            *(("another mail", _text(each)) for each in mails if each is not ours),
        ),
        faults=tuple(_faults(ours)),
    )


class _Bodies(NamedTuple):
    """Parts that a mail program may show, those of the first alternative before the others."""

    plain: list[Body]
    pages: list[Body]
    others: list[str]


def _children(part: "Message") -> list["Message"]:
    return cast("list[Message]", part.get_payload()) if part.is_multipart() else []


def _parts(mail: "Message") -> list["Message"]:
    """Those of this mail, and not of mails inside of it."""
    children = _children(mail) if mail.get_content_maintype() == "multipart" else []
    return [mail, *(part for each in children for part in _parts(each))]


def _bodies(mail: "Message") -> _Bodies:
    parts = _parts(mail)
    first = _parts(next(filter(_is_alternative, parts), mail))
    inside = set(map(id, first))
    bodies = _Bodies([], [], [])
    for part in (*first, *(each for each in parts if id(each) not in inside)):
        kind, name = part.get_content_type(), part.get_filename() or ""
        # No mail program shows an attached file by itself.
        if part.is_multipart() or (name and part.get_content_disposition() == "attachment"):
            continue
        if kind == "text/plain":
            bodies.plain.append(_body(part))
        elif kind == "text/html":
            bodies.pages.append(_body(part))
        else:
            bodies.others.append(f"{kind} {name}".strip())
    return bodies


def _is_alternative(part: "Message") -> bool:
    return part.get_content_type() == "multipart/alternative"


def _visible(page: Body) -> str:
    return "\n".join(visible(page.source).lines)


def _text(mail: "Message") -> str:
    """What another mail, around ours or inside of it, shows."""
    bodies = _bodies(mail)
    texts = [each.source for each in bodies.plain]
    return "\n".join((_words(mail["subject"] or ""), *texts, *map(_visible, bodies.pages)))


def _faults(mail: "Message") -> Iterator[str]:
    names = [name.lower() for name, _ in mail.items()]
    for name in _ONCE:
        if (number := names.count(name)) > 1:
            yield f"has {number} fields {name.title()}"
    for part in filter(_is_alternative, _parts(mail)):
        leaves = [each for each in _parts(part) if not each.is_multipart()]
        kinds = [each.get_content_type() for each in leaves]
        # RFC 2046 section 5.1.4: the last one that is understood is shown.
        if kinds.count("text/html") > 1 or kinds.count("text/plain") > 1:
            yield f"offers {', '.join(kinds)} as one and the same"
        elif "text/html" in kinds and kinds[-1] != "text/html":
            yield f"shows {kinds[-1]} in place of the HTML"
        elif any(each.get_filename() for each in leaves):
            yield "shows a file in place of the text"


def _fields(message: "Message") -> Iterator[tuple[str, str]]:
    fields: dict[str, list[str]] = {}
    for key, value in message.items():
        if (name := key.lower()).startswith(PREFIX):
            fields.setdefault(name, []).append(_words(value))
    for name, values in fields.items():
        yield name, " and ".join(dict.fromkeys(values))


def _words(value: object) -> str:
    """A header field's value, its encoded words (RFC 2047) and folds resolved."""
    from email.errors import HeaderParseError
    from email.header import decode_header, make_header

    try:
        text = str(make_header(decode_header(str(value))))
    except (HeaderParseError, LookupError, ValueError):
        text = str(value)
    return " ".join(text.split())


def _body(part: "Message") -> Body:
    """Ours are UTF-8, and a server on the way may make something else of them."""
    charset = part.get_content_charset("utf-8")
    try:
        if codecs.lookup(charset).name in _NO_CHARSETS:
            charset = "utf-8"
        source = _decoded(part).decode(charset, "replace")
    except (LookupError, ValueError):
        charset, source = "utf-8", _decoded(part).decode("utf-8", "replace")
    return Body(source=source.replace("\r\n", "\n"), charset=charset)


def _decoded(part: "Message") -> bytes:
    """A part's bytes; none where it holds further parts."""
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _error(why: str) -> AttestationError:
    return AttestationError(Problem("mail", why))
