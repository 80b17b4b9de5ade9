"""Extensions and mail -> MAIL and RCPT commands, and who can be reached with them. No I/O.

RFC 1870 (SIZE), RFC 6152 (8BITMIME), RFC 6531 (SMTPUTF8), RFC 3461 (DSN), RFC 8689 (REQUIRETLS).
"""

from collections.abc import Mapping

from chainloop_smtp.delivery.letter import Letter
from chainloop_smtp.model import Mail, State, Transport


def carried(extensions: Mapping[str, str], letter: Letter) -> tuple[str, ...]:
    """Recipients, of those still waiting, whom a server with these extensions can be asked for.

    The others are settled: what a server cannot do now, it will not be able to do in a minute.
    """
    mail, waiting = letter.mail, letter.waiting
    limit = extensions.get("SIZE", "")
    # RFC 1870 section 4: a server may say how much it takes; 0 means that it does not.
    if limit.isdigit() and 0 < int(limit) < len(mail.content):
        why = f"the mail has {len(mail.content):,} octets, the server takes {int(limit):,}"
        letter.settle(waiting, State.REFUSED, why=why, hint=_heaviest(mail))
        return ()
    return waiting


def commands(
    extensions: Mapping[str, str],
    transport: Transport,
    mail: Mail,
    recipients: tuple[str, ...],
) -> list[bytes]:
    """MAIL, and RCPT for each recipient, without their line ends."""
    del transport
    # RFC 1870 section 6.1: as it is, without the dots that DATA adds.
    size = f" SIZE={len(mail.content)}" if "SIZE" in extensions else ""
    return [
        f"MAIL FROM:<{mail.sender}>{size}".encode("ascii"),
        *(f"RCPT TO:<{each}>".encode("ascii") for each in recipients),
    ]


def _heaviest(mail: Mail) -> str:
    """What to do about a mail that is too large; the octets are those before their encoding."""
    ordered = sorted(mail.parts, key=lambda part: -len(part.content))[:3]
    named = (f"{part.name} ({len(part.content):,} octets)" for part in ordered)
    return f"The heaviest attachments: {', '.join(named)}. Attach less." if ordered else ""
