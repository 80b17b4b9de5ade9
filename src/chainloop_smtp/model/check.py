"""What a rehearsal of the dialogue with a mail server found, step by step."""

from dataclasses import dataclass
from enum import StrEnum

from chainloop_smtp.model.mail import Reply


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
        said: What was found, or what is wrong.
        where: ``host:port``, or the address, for `FAILED` and `DEFERRED`.
        hint: What to do about it; may be empty.
        address: Of ``MAIL`` and ``RCPT``; empty for the others.
        reply: What the server said, where it is a reply that decided.
        seconds: How long it took.
    """

    name: str
    state: StepState
    said: str
    where: str = ""
    hint: str = ""
    address: str = ""
    reply: Reply | None = None
    seconds: float = 0.0

    @property
    def is_wrong(self) -> bool:
        """A mail would not get through here, or not now."""
        return self.state in (StepState.FAILED, StepState.DEFERRED)
