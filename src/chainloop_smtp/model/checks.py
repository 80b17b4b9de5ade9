"""What a check of a server or of a received message found."""

from dataclasses import field
from enum import StrEnum

from chainloop_smtp.model.frozen import dataclass
from chainloop_smtp.model.mail import File, Reply


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
