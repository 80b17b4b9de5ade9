"""One mail, and what became of it."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """Something to attach, as it was found.

    Attributes:
        name: What it is called there; anybody's text. A path's last part is its name.
    """

    name: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """An attachment, ready for any number of mails.

    Attributes:
        name: File name that is safe on every system, and that no other part of the mail has.
        content: As given.
        digest: ``sha256:<hex>`` of the content.
        encoded: Header and body of the MIME part: 7-bit, CRLF line ends, none at its end.
    """

    name: str
    content: bytes = field(repr=False)
    digest: str
    encoded: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One composed mail: its envelope (RFC 5321) and its message (RFC 5322).

    Attributes:
        sender: addr-spec of MAIL FROM.
        recipients: addr-specs of RCPT TO: to, cc and bcc, each once.
        message_id: With its angle brackets.
        content: The whole message: 7-bit, CRLF line ends, no line over 998 octets.
        text: The plain text part before its encoding; LF line ends.
        html: The HTML part before its encoding; LF line ends.
        summary: The same facts as Markdown, for the job summary.
        parts: What is attached.
        is_cut: Not everything fits into the text or the HTML; the whole is in the report.
    """

    sender: str
    recipients: tuple[str, ...]
    message_id: str
    subject: str
    content: bytes = field(repr=False)
    text: str = field(repr=False)
    html: str = field(repr=False)
    summary: str = field(repr=False, default="")
    parts: tuple[Part, ...] = field(repr=False, default=())
    is_cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One SMTP reply (RFC 5321 section 4.2), safe to print.

    Attributes:
        code: Three digits.
        enhanced: RFC 3463 code such as ``5.1.1``; empty when the server gives none.
        text: Its lines, joined by LF, without codes and without control characters.
    """

    code: int
    enhanced: str = ""
    text: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (str(self.code), self.enhanced, self.text.replace("\n", " "))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A recipient the server did not take, and what it said."""

    recipient: str
    reply: Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of a mail. Nothing accepted means that nobody gets it.

    Attributes:
        reply: The server's answer to the end of the content; None when it got no content.
        tls: Protocol and cipher, such as ``TLSv1.3 TLS_AES_256_GCM_SHA384``; empty: no TLS.
        mechanism: SASL mechanism used; empty: none.
        round_trips: How often the client had to wait for the other side, connecting included.
        duration: Seconds from before the connection to after the last reply.
    """

    accepted: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()
    reply: Reply | None = None
    attempts: int = 1
    server: str = ""
    tls: str = ""
    mechanism: str = ""
    round_trips: int = 0
    duration: float = 0.0
