"""What decides where a mail goes, and the decision."""

from chainloop_smtp.model.changes import Changes
from chainloop_smtp.model.values import dataclass
from chainloop_smtp.model.verdict import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Previous:
    """What is known of the run before this one.

    Attributes:
        source: Where that comes from, in a reader's words; or why nothing is known.
        outcome: By its evidence; None when that is not at hand.
        has_succeeded: Its job did; None when that is not known either.
        changes: Between the two attestations; None when they cannot be compared.
    """

    source: str
    outcome: Outcome | None = None
    has_succeeded: bool | None = None
    changes: Changes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether an attachment applies to a run.

    Attributes:
        reason: Why it does not; empty when it does.
        note: What the mail is to say of the decision: a condition that could not be judged, and
            was taken to hold. Empty: nothing.
    """

    reason: str = ""
    note: str = ""

    @property
    def applies(self) -> bool:
        """The mail is sent."""
        return not self.reason
