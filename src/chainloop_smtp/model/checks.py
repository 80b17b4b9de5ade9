"""What a check of a server or of a received message found."""

from dataclasses import dataclass, field
from enum import StrEnum

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
        detail: What was found, or what is wrong.
        where: ``host:port``, or the address, for `FAILED` and `DEFERRED`.
        hint: What to do about it; may be empty.
        address: Of ``MAIL`` and ``RCPT``; empty for the others.
        reply: What the server said, where it is a reply that decided.
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
        """A mail would not get through here, or not now."""
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
    """The mail that the evidence and the job's facts make.

    Attributes:
        bare_text: The text without the job's facts: what is in both is of the evidence alone.
        bare_html: The same for the HTML.
    """

    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)
    bare_text: str = field(repr=False)
    bare_html: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedMessage:
    """What stands in a received mail; all of it may be anybody's.

    Attributes:
        fields: Header fields of ours, ``X-Chainloop-…``, by lower-case name; where one stands
            more than once, with each value that it has.
        subject: Empty when there is none.
        text: The text parts; empty when there is none.
        html: What is to be seen of the HTML parts, a line for each block; empty when there is
            none.
        files: What is attached.
        sender: The field From.
        plain: The text part of the body; None: there is none.
        page: The HTML part of the body; None: there is none.
        others: What a mail program may show besides these two: other parts, and mails around or
            inside; each with what it is.
        faults: What no mail of ours has, and a mail program can be misled by.
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
    """How a check came out."""

    OK = "ok"
    WRONG = "wrong"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What.
        result: UNKNOWN where the mail or the evidence says nothing of it.
        detail: What was found, in a few words.
    """

    name: str
    result: CheckResult
    detail: str
