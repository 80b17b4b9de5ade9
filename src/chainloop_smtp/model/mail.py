"""A message, its parts and templates, and the result of its delivery."""

from collections.abc import Iterable, Sequence
from dataclasses import field, replace
from datetime import datetime
from enum import StrEnum

from chainloop_smtp.model.frozen import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file to attach, as it was read.

    Attributes:
        name: Unchecked; may be a path.
    """

    name: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """An attachment, encoded once for any number of mails.

    Attributes:
        name: File name, safe on every system and unique in the mail.
        content: As the file has it.
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
        hidden: The recipients of bcc, which no header may name.
        intended: Its recipients without ``redirect-to``; empty when it is not redirected.
        message_id: With its angle brackets.
        content: The whole message: CRLF line ends, no line over 998 bytes. 7-bit, unless an
            address of the sender, or of every recipient, goes beyond ASCII.
        international: The same with all addresses of its header in UTF-8 (RFC 6532), for those
            recipients whose address goes beyond ASCII; empty when they get ``content``.
        text: The plain text part before its encoding; LF line ends.
        html: The HTML part before its encoding; LF line ends.
        summary: The same facts as Markdown, for the job summary.
        parts: What is attached.
        signature: ``verified``, ``failed`` or ``unchecked``; empty: nobody asked.
        is_cut: Text or HTML leaves something out; the report has everything.
        stem: What its files are called, without their suffix; empty: as the Message-ID.
    """

    sender: str
    recipients: tuple[str, ...]
    message_id: str
    subject: str
    content: bytes = field(repr=False)
    text: str = field(repr=False)
    html: str = field(repr=False)
    international: bytes = field(repr=False, default=b"")
    summary: str = field(repr=False, default="")
    hidden: tuple[str, ...] = ()
    intended: tuple[str, ...] = ()
    parts: tuple[Part, ...] = field(repr=False, default=())
    signature: str = ""
    is_cut: bool = False
    stem: str = ""

    def split(self, size: int) -> tuple["Mail", ...]:
        """Return the same mail for as many recipients at a time as go into one transaction.

        Those who need SMTPUTF8 come last and apart: a mail that asks for it goes only as far as
        every server on the way offers it (RFC 6531 section 3.2), and must not end there for others.
        """
        groups = [self]
        if self.international:
            plain = tuple(each for each in self.recipients if each.isascii())
            others = tuple(each for each in self.recipients if not each.isascii())
            groups = [
                replace(self, recipients=plain, international=b""),
                replace(self, recipients=others, content=self.international, international=b""),
            ]
        return tuple(
            replace(group, recipients=group.recipients[at : at + size])
            for group in groups
            for at in range(0, len(group.recipients), size)
        )


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


class RecipientStatus(StrEnum):
    """Whether the server took a mail for one of its recipients.

    Neither ``DEFERRED`` nor ``REFUSED`` recipients get it; trying again later may help with the
    former (a 4xx reply, no connection, no time left), not with the latter (5xx). ``UNKNOWN``: the
    whole mail was sent, and the server never replied to its end.
    """

    ACCEPTED = "accepted"
    DEFERRED = "deferred"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientResult:
    """The result of a delivery for one recipient.

    Attributes:
        reply: The server's reply that decided it; None when there was none for this recipient.
        why: The reason instead, as a clause; empty where the reply or the attempt gives it.
        hint: What to do about it; may be empty.
    """

    recipient: str
    status: RecipientStatus = RecipientStatus.DEFERRED
    reply: Reply | None = None
    why: str = ""
    hint: str = ""

    @property
    def reason(self) -> str:
        """The reply or the clause; empty when the attempt as a whole failed."""
        return str(self.reply) if self.reply else self.why


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionResult:
    """One transaction with a server, or why there was none.

    Attributes:
        started: Aware, in UTC, as is ``ended``.
        server: ``host:port``.
        number: Counts the attempts at one mail from 1; 0 when it stands alone. Transactions share
            a number where a mail has more recipients than one of them takes.
        address: IP address that answered; empty when none did.
        tls: Protocol, such as ``TLSv1.3``; empty without TLS.
        certificate: SHA-256 of the server's certificate (DER), hex; empty without TLS.
        mechanism: SASL mechanism of the login; empty when there was none, or it was refused.
        recipients: The recipients of this transaction.
        round_trips: How often the client waited for the server, connecting included.
        reply: The server's answer to the end of the content; None when there is none.
        why: What went wrong with the attempt as a whole; empty when nothing did. Where the login
            failed, the server may still have taken the mail.
        hint: What to do about it; may be empty.
        notes: Requests that the server does not support, though it took the mail; clauses.
    """

    started: datetime
    ended: datetime
    server: str
    address: str = ""
    tls: str = ""
    cipher: str = ""
    certificate: str = ""
    mechanism: str = ""
    recipients: tuple[str, ...] = ()
    round_trips: int = 0
    reply: Reply | None = None
    why: str = ""
    hint: str = ""
    notes: tuple[str, ...] = ()
    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The result of sending one mail.

    Attributes:
        results: One for each recipient of the mail, in its order.
        transactions: Oldest first; empty when there was no time for one.
        is_interrupted: The user interrupted it.
    """

    mail: Mail
    results: tuple[RecipientResult, ...]
    transactions: tuple[TransactionResult, ...] = ()
    is_interrupted: bool = False

    def with_status(self, status: RecipientStatus) -> tuple[RecipientResult, ...]:
        """Results with that status."""
        return tuple(result for result in self.results if result.status is status)

    @property
    def accepted(self) -> tuple[str, ...]:
        """Recipients for whom the server took the mail."""
        return tuple(result.recipient for result in self.with_status(RecipientStatus.ACCEPTED))

    @property
    def refused(self) -> tuple[RecipientResult, ...]:
        """Results of recipients that the server refused or deferred."""
        negative = (RecipientStatus.REFUSED, RecipientStatus.DEFERRED)
        return tuple(
            result for result in self.results if result.status in negative and result.reason
        )

    @property
    def attempts(self) -> int:
        """Number of attempts."""
        return len(self.transactions_by_attempt)

    @property
    def transactions_by_attempt(self) -> tuple[tuple[TransactionResult, ...], ...]:
        """The transactions, grouped by attempt."""
        attempts: dict[int, tuple[TransactionResult, ...]] = {}
        for position, each in enumerate(self.transactions):
            key = each.number or -position
            attempts[key] = (*attempts.get(key, ()), each)
        return tuple(attempts.values())

    def public(self) -> "Delivery":
        """Return what logs and job summaries may show: bcc recipients by number, not by address.

        The server's replies may name them too, so only the codes are kept.
        """
        hidden = self.mail.hidden
        return replace(
            self,
            results=tuple(
                replace(
                    each,
                    recipient=public_name(each.recipient, hidden),
                    reply=each.reply and replace(each.reply, text=""),
                )
                if each.recipient in hidden
                else each
                for each in self.results
            ),
        )

    @property
    def server(self) -> str:
        """``host:port`` of the last attempt; empty when there was none."""
        return self.transactions[-1].server if self.transactions else ""

    @property
    def tls(self) -> str:
        """The last attempt's protocol and cipher, ``TLSv1.3 TLS_AES_256_GCM_SHA384``; or empty."""
        if not self.transactions:
            return ""
        return f"{self.transactions[-1].tls} {self.transactions[-1].cipher}".strip()

    @property
    def mechanism(self) -> str:
        """The last attempt's SASL mechanism; empty when there was none."""
        return self.transactions[-1].mechanism if self.transactions else ""

    @property
    def duration(self) -> float:
        """Seconds from the start of the first attempt to the end of the last."""
        if not self.transactions:
            return 0.0
        return (self.transactions[-1].ended - self.transactions[0].started).total_seconds()


def merge_deliveries(mail: Mail, parts: Iterable[Delivery]) -> Delivery:
    """Merge the deliveries of a mail that was sent in parts."""
    parts = tuple(parts)
    results = {result.recipient: result for part in parts for result in part.results}
    return Delivery(
        mail=mail,
        results=tuple(results[each] for each in mail.recipients if each in results),
        transactions=tuple(each for part in parts for each in part.transactions),
        is_interrupted=any(part.is_interrupted for part in parts),
    )


def public_name(recipient: str, hidden: Sequence[str]) -> str:
    """Return what others may read in place of a recipient's address.

    Args:
        hidden: Recipients of bcc.
    """
    if recipient in hidden:
        return f"bcc recipient {hidden.index(recipient) + 1}"
    return recipient


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateFile:
    """One of the user's template files.

    Attributes:
        name: File name without its folder; it ends in ``.j2``.
        text: Its source; LF line ends.
    """

    name: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Templates:
    """The user's templates, which replace the built-in ones.

    Attributes:
        subject: Source of the subject's template; empty when there is none.
        folder: In the user's own words; empty when there is none.
        files: Sorted by name.
        others: Names in the folder that are not templates.
    """

    subject: str = ""
    folder: str = ""
    files: tuple[TemplateFile, ...] = ()
    others: tuple[str, ...] = ()
