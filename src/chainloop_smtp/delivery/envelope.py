"""Extensions and mail -> MAIL and RCPT commands, or why the server cannot deliver it. No I/O.

RFC 1870 (SIZE), RFC 6152 (8BITMIME), RFC 6531 (SMTPUTF8), RFC 3461 and RFC 6533 (DSN),
RFC 8689 (REQUIRETLS).
"""

from collections.abc import Mapping

from chainloop_smtp.model.mail import Mail
from chainloop_smtp.model.settings import Dsn, Transport

_LONGEST_ENVID = 100  # characters: RFC 3461 section 4.4
_LONGEST_ORCPT = 500  # characters: RFC 3461 section 4.2


def obstacle(
    extensions: Mapping[str, str], transport: Transport, mail: Mail, *, is_secure: bool
) -> tuple[str, str]:
    """Return why this server cannot deliver this mail, and what to do; empty when it can.

    Args:
        is_secure: The connection has TLS.
    """
    content, limit = mail.content, extensions.get("SIZE", "")
    # RFC 1870 section 4: a server may state its limit; 0 means that it states none.
    if limit.isdigit() and 0 < int(limit) < len(content):
        why = f"the mail has {len(content):,} bytes, the server accepts {int(limit):,}"
        return why, _heaviest(mail)
    ends = content.count(b"\r\n")
    if content.count(b"\r") != ends or content.count(b"\n") != ends:
        # RFC 5321 section 2.3.8. Some servers read it as the end of a line, others do not, which
        # lets one mail smuggle another.
        return "the mail contains a CR or LF that does not end a line, so it is not sent", ""
    if lacks_smtputf8(extensions, mail):
        # RFC 6531 section 3.5: the client has to give the mail up.
        return without_smtputf8(mail)
    if not content.isascii() and "8BITMIME" not in extensions:
        return "the mail contains bytes over 127, which the server does not accept (8BITMIME)", ""
    if transport.require_tls and not (is_secure and "REQUIRETLS" in extensions):
        # RFC 8689 section 4.2.1: the mail must not be sent.
        return (
            "require-tls is set, but the server does not offer REQUIRETLS",
            "Leave require-tls out, or use a server that offers it.",
        )
    return "", ""


def commands(
    extensions: Mapping[str, str],
    transport: Transport,
    mail: Mail,
    recipients: tuple[str, ...],
) -> list[bytes]:
    """Return MAIL, and RCPT for each recipient, without line ends."""
    sender, notify = f"MAIL FROM:<{mail.sender}>", ""
    if "SIZE" in extensions:
        # RFC 1870 section 6.1: without the dots that DATA adds.
        sender += f" SIZE={len(mail.content)}"
    if not mail.content.isascii():
        sender += " BODY=8BITMIME"
    if _needs_smtputf8(mail):
        sender += " SMTPUTF8"
    if transport.require_tls:
        sender += " REQUIRETLS"
    if transport.dsn and "DSN" in extensions:
        sender += " RET=HDRS"
        identifier = _xtext(mail.message_id.strip("<>"))
        sender += f" ENVID={identifier}" if len(identifier) <= _LONGEST_ENVID else ""
        notify = f" NOTIFY={','.join(each.value.upper() for each in transport.dsn)}"
    return [
        sender.encode(),
        *(
            f"RCPT TO:<{each}>{notify}{_original(each) if notify else ''}".encode()
            for each in recipients
        ),
    ]


def warnings(extensions: Mapping[str, str], transport: Transport) -> tuple[str, ...]:
    """Return what the user asked for and a server with these extensions does not offer."""
    if not transport.dsn or "DSN" in extensions:
        return ()
    effects = ["no report of success will come"] if Dsn.SUCCESS in transport.dsn else []
    if others := [each.value for each in (Dsn.FAILURE, Dsn.DELAY) if each in transport.dsn]:
        effects.append(f"one of {' or '.join(others)} comes only if it sends one unasked")
    effects = effects or ["it may still report a failure"]
    return (f"the server offers no DSN, so {', and '.join(effects)}",)


def lacks_smtputf8(extensions: Mapping[str, str], mail: Mail) -> bool:
    """The mail needs SMTPUTF8, and the server does not offer it."""
    return "SMTPUTF8" not in extensions and _needs_smtputf8(mail)


def without_smtputf8(mail: Mail) -> tuple[str, str]:
    """Return why a server without SMTPUTF8 delivers this mail to nobody, and what to do."""
    if not mail.sender.isascii():
        why, hint = f"the sender's address {mail.sender}", "Send from an ASCII address"
    elif not "".join(mail.recipients).isascii():
        why, hint = "this address", "Use an ASCII address of the same mailbox"
    else:
        why, hint = "an address in the mail's header, such as From,", "Write it in ASCII"
    return (
        f"{why} is not ASCII, and the server does not accept such addresses (SMTPUTF8)",
        f"{hint}, or send through a server that offers it.",
    )


def _needs_smtputf8(mail: Mail) -> bool:
    """An address of the envelope, or the message's header, goes beyond ASCII (RFC 6531 3.4)."""
    addresses = "".join((mail.sender, *mail.recipients))
    return not (addresses.isascii() and mail.content.partition(b"\r\n\r\n")[0].isascii())


def _original(recipient: str) -> str:
    """ORCPT (RFC 3461 section 4.2): the address that a report names, even after forwarding."""
    if recipient.isascii():
        original = f"rfc822;{_xtext(recipient)}"
    else:
        # RFC 6533 section 3: unencoded, since a server that takes the address offers SMTPUTF8.
        escaped = (rf"\x{{{ord(c):02X}}}" if c in "+=\\" else c for c in recipient)
        original = f"utf-8;{''.join(escaped)}"
    return f" ORCPT={original}" if len(original) <= _LONGEST_ORCPT else ""


def _xtext(text: str) -> str:
    """RFC 3461 section 4: printable ASCII; other bytes, ``+`` and ``=`` as ``+HH``."""
    return "".join(
        chr(byte) if 33 <= byte <= 126 and byte not in b"+=" else f"+{byte:02X}"
        for byte in text.encode()
    )


def _heaviest(mail: Mail) -> str:
    """What to do about a mail that is too large; sizes are those before encoding."""
    largest = sorted(mail.parts, key=lambda part: -len(part.content))[:3]
    names = (f"{part.name} ({len(part.content):,} bytes)" for part in largest)
    return f"The largest attachments: {', '.join(names)}. Attach less." if largest else ""
