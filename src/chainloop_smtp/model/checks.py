"""What a check of a signature, a server or a received message found."""

from dataclasses import field
from datetime import datetime
from enum import StrEnum

from chainloop_smtp.model.frozen import dataclass
from chainloop_smtp.model.mail import File, Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whose signature counts.

    Attributes:
        roots: DER of the certificates at which a signer's chain may end.
        intermediates: DER of certificates that the roots have issued, directly or not.
        timestamp_authorities: DER of the certificates that sign timestamps.
        timestamp_issuers: DER of all certificates above these; no signer's chain may end there.
        key: DER (SubjectPublicKeyInfo) of a key that signs itself; empty when there is none.
    """

    roots: tuple[bytes, ...] = field(default=(), repr=False)
    intermediates: tuple[bytes, ...] = field(default=(), repr=False)
    timestamp_authorities: tuple[bytes, ...] = field(default=(), repr=False)
    timestamp_issuers: tuple[bytes, ...] = field(default=(), repr=False)
    key: bytes = field(default=b"", repr=False)


class SignatureStatus(StrEnum):
    """What is known of a signature."""

    VERIFIED = "verified"
    FAILED = "failed"
    UNCHECKED = "unchecked"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureCheck:
    """Whether the envelope's payload was signed by somebody trusted, and by whom.

    Only the status says whether. Whatever else stands here comes from what was verified, so it is
    empty unless the status is ``verified``; but for `reason`.

    Attributes:
        reason: Why it is not verified; where it is, what was not checked, such as a timestamp by
            an authority that is not trusted. A clause without a full stop; empty when there is
            nothing to say.
        signer: Subject of the certificate, with its alternative names in parentheses; empty when
            a key signed.
        authority: Subject of the trusted root at which the certificate's chain ends.
        method: Kind of key and hash, such as ``ECDSA P-256, SHA-256``.
        key_fingerprint: ``sha256:<hex>`` of what ``openssl pkey -pubin -outform DER`` writes of it.
        signed_at: When, as far as it is proven: the trusted timestamp, else the start of the
            certificate's validity. Aware, in UTC; None when a key signed and no timestamp says.
        timestamped_at: The earliest trusted timestamp; None when there is none.
        timestamp_authority: Subject of its certificate; empty when there is none.
    """

    status: SignatureStatus
    reason: str = ""
    signer: str = ""
    authority: str = ""
    method: str = ""
    key_fingerprint: str = ""
    signed_at: datetime | None = None
    timestamped_at: datetime | None = None
    timestamp_authority: str = ""


class StepState(StrEnum):
    """How a step went. ``DEFERRED``: not now (4xx); a send tries it again within its deadline."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    DEFERRED = "deferred"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the dialogue; safe to print.

    Attributes:
        name: ``DNS``, ``TCP``, ``greeting``, ``TLS``, ``EHLO``, ``AUTH``, ``MAIL``, ``RCPT``,
            ``RSET``, ``QUIT``; ``token`` before them.
        detail: The result, or what is wrong.
        where: ``host:port``, or the address, for `FAILED` and `DEFERRED`.
        hint: What to do about it; may be empty.
        address: Of ``MAIL`` and ``RCPT``; empty for the others.
        reply: The reply that decided it; None when it was none.
        seconds: How long it took.
    """

    name: str
    state: StepState
    detail: str
    where: str = ""
    hint: str = ""
    address: str = ""
    reply: Reply | None = None
    seconds: float = 0.0

    @property
    def is_wrong(self) -> bool:
        """Whether a mail would not get through here, or not now."""
        return self.state in (StepState.FAILED, StepState.DEFERRED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A part that a mail program shows.

    Attributes:
        source: Decoded; lines end in LF.
        charset: As its header has it; ``utf-8`` where that is unknown.
    """

    source: str = field(repr=False)
    charset: str = "utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The message that the evidence and the job's facts make.

    Attributes:
        bare_text: The text without the job's facts; lines in both come from the evidence alone.
        bare_html: The same for the HTML.
    """

    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)
    bare_text: str = field(repr=False)
    bare_html: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedMessage:
    """The content of a received message; all of it may be forged.

    Attributes:
        fields: ``X-Chainloop-…`` header fields, names in lower case; where a name appears more
            than once, its values joined by ``and``.
        subject: Empty when there is none.
        text: The text parts; empty when there is none.
        html: Visible text of the HTML parts, a line for each block; empty when there is none.
        files: The attachments.
        sender: The From field.
        plain: The text part of the body; None when there is none.
        page: The HTML part of the body; None when there is none.
        others: What else a mail program may show: other parts, and messages around or inside;
            each with its kind.
        faults: What can mislead a mail program, and a message of Chainloop SMTP never has.
    """

    fields: tuple[tuple[str, str], ...] = ()
    subject: str = ""
    text: str = field(repr=False, default="")
    html: str = field(repr=False, default="")
    files: tuple[File, ...] = ()
    sender: str = ""
    plain: Body | None = None
    page: Body | None = None
    others: tuple[tuple[str, str], ...] = ()
    faults: tuple[str, ...] = ()


class CheckResult(StrEnum):
    """The result of a check."""

    OK = "ok"
    WRONG = "wrong"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was checked.

    Attributes:
        name: What was checked.
        result: UNKNOWN where the message or the evidence does not say.
        detail: The finding in a few words.
    """

    name: str
    result: CheckResult
    detail: str
