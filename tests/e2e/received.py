"""A mail as Python's own parser reads it, with every defect that it can name."""

from email import message_from_bytes, policy
from email.message import EmailMessage

# What delivery puts before a mail.
_TRACE = {
    "return-path",
    "x-original-to",
    "delivered-to",
    "envelope-to",
    "delivery-date",
    "received",
}


def parsed(mail: bytes) -> EmailMessage:
    """The mail, which is well-formed in all of its parts."""
    message = message_from_bytes(mail, policy=policy.default)
    for part in message.walk():
        assert part.defects == []
        for name, value in part.items():
            # Older readers know file names in encoded words only (RFC 2047 forbids them in quotes).
            is_name = name == "Content-Type" and "=?utf-8?" in str(dict(part.raw_items())[name])
            assert is_name or not value.defects, f"{name}: {value.defects}"
    names = [name.lower() for name in message]
    once = [name for name in names if name not in _TRACE]
    assert len(once) == len(set(once)), f"a header comes twice: {names}"
    return message


def as_sent(mail: bytes) -> bytes:
    """The mail without what delivery put before it."""
    lines = mail.split(b"\n")
    while lines[0][:1] in (b" ", b"\t") or lines[0].split(b":")[0].lower().decode() in _TRACE:
        del lines[0]
    return b"\n".join(lines)


def text_of(message: EmailMessage) -> str:
    """The plain text body in small letters, with one blank where a line was folded or indented."""
    body = message.get_body(("plain",))
    assert body is not None
    return " ".join(str(body.get_content()).lower().split())
