"""Octets of a received mail -> Letter: what its reader is shown, and what is attached."""

import codecs
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, cast

from chainloop_smtp.errors import AttestationError, Problem
from chainloop_smtp.model.checks import Body, ReceivedMessage
from chainloop_smtp.model.mail import File
from chainloop_smtp.received.page import seen

if TYPE_CHECKING:
    from email.message import Message

OURS = "x-chainloop-"
FIELDS = (
    *("outcome", "policy-status", "digest"),
    *("run-id", "organization", "project", "workflow"),
)

_MOST_PARTS = 1000
_MOST_LEVELS = 20  # a forwarded mail inside a forwarded mail
_BOUNDARY = re.compile(rb"boundary\s*\*?(?:0\*?)?\s*=|content-type:\s*message/", re.IGNORECASE)
# Python has these for other things than mails; some take quadratic time.
_NO_CHARSETS = ("idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7")
# RFC 5322 section 3.6: no more than one of each. Mail programs differ in which they show.
_ONCE = ("from", "to", "cc", "subject", "date", "reply-to", "sender", "content-type")


def read(octets: bytes) -> ReceivedMessage:
    """What stands in a mail, or in the one of ours that it forwards as an attachment.

    Raises:
        AttestationError: It is no mail, or has too many parts.
    """
    from email import message_from_bytes, policy

    octets = octets.removeprefix(b"\xef\xbb\xbf")
    # Python's parser goes down into what lies in a part by calling itself.
    if len(_BOUNDARY.findall(octets)) > _MOST_LEVELS:
        raise _error(f"has parts in more than {_MOST_LEVELS} levels")
    message = message_from_bytes(octets, policy=policy.compat32)
    if not message.keys():
        raise _error("is not a mail: it has no header")
    parts = list(message.walk())
    if len(parts) > _MOST_PARTS:
        raise _error(f"has more than {_MOST_PARTS} parts")
    mails = [message, *(mail for part in parts for mail in _inside(part))]
    ours = next((mail for mail in mails if mail[f"{OURS}outcome"]), message)
    shown = _shown(ours)
    return ReceivedMessage(
        fields=tuple(_fields(ours)),
        subject=_words(ours["subject"] or ""),
        text="\n".join(each.source for each in shown.plain),
        html="\n".join("\n".join(seen(each.source).lines) for each in shown.pages),
        files=tuple(
            File(name=name, content=_decoded(part))
            for part in _parts(ours)
            if (name := part.get_filename()) and not part.is_multipart()
        ),
        sender=_words(ours["from"] or ""),
        plain=next(iter(shown.plain), None),
        page=next(iter(shown.pages), None),
        others=(*_others(shown), *(_mail(each) for each in mails if each is not ours)),
        faults=tuple(_faults(ours)),
    )


class _Shown(NamedTuple):
    """Parts that a mail program may show, those of the first alternative before the others."""

    plain: list[Body]
    pages: list[Body]
    others: list[str]


def _inside(part: "Message") -> list["Message"]:
    """The mail that a part holds (RFC 2046 section 5.2.1)."""
    return _held(part)[:1] if part.get_content_maintype() == "message" else []


def _parts(mail: "Message") -> list["Message"]:
    """Those of this mail, and not of mails inside of it."""
    held = _held(mail) if mail.get_content_maintype() == "multipart" else []
    return [mail, *(part for each in held for part in _parts(each))]


def _held(part: "Message") -> list["Message"]:
    return cast("list[Message]", part.get_payload()) if part.is_multipart() else []


def _shown(mail: "Message") -> _Shown:
    parts = _parts(mail)
    first = _parts(next(filter(_is_alternative, parts), mail))
    inside = set(map(id, first))
    shown = _Shown([], [], [])
    for part in (*first, *(each for each in parts if id(each) not in inside)):
        kind = part.get_content_type()
        if part.is_multipart() or _is_attached(part):
            continue
        if kind == "text/plain":
            shown.plain.append(_body(part))
        elif kind == "text/html":
            shown.pages.append(_body(part))
        else:
            shown.others.append(f"{kind} {part.get_filename() or ''}".strip())
    return shown


def _is_alternative(part: "Message") -> bool:
    return part.get_content_type() == "multipart/alternative"


def _is_attached(part: "Message") -> bool:
    """A file that no mail program shows by itself."""
    return bool(part.get_filename()) and part.get_content_disposition() == "attachment"


def _others(shown: _Shown) -> Iterator[tuple[str, str]]:
    for each in shown.plain[1:]:
        yield "another text part", each.source
    for each in shown.pages[1:]:
        yield "another HTML part", "\n".join(seen(each.source).lines)
    for kind in shown.others:
        yield "another part", kind


def _mail(mail: "Message") -> tuple[str, str]:
    """What another mail, around ours or inside of it, shows."""
    shown = _shown(mail)
    texts = [each.source for each in shown.plain]
    texts += ["\n".join(seen(each.source).lines) for each in shown.pages]
    return "another mail", "\n".join((_words(mail["subject"] or ""), *texts))


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
    found: dict[str, list[str]] = {}
    for key, value in message.items():
        if (name := key.lower()).startswith(OURS):
            found.setdefault(name, []).append(_words(value))
    for name, values in found.items():
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
    """A part's octets; none where it holds further parts."""
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _error(why: str) -> AttestationError:
    return AttestationError(Problem("mail", why))
