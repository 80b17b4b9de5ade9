"""What differs between two runs of one workflow."""

from enum import StrEnum

from chainloop_smtp.model.attestation import Attestation, Material, Violation
from chainloop_smtp.model.values import dataclass


class Aspect(StrEnum):
    """What two runs are compared by besides their materials and violations."""

    VIOLATION_COUNT = "violationCount"
    CONTRACT = "contract"
    STRATEGY = "strategy"
    SIGNER = "signer"
    OUTCOME = "outcome"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """One fact of the run that is not what it was."""

    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """A material of the same name whose content is another."""

    before: Material
    after: Material


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """An active violation, and where it was found.

    Attributes:
        material: Empty at attestation level.
    """

    policy: str
    material: str
    is_gate: bool
    violation: Violation


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What differs between two attestations of one workflow.

    Attributes:
        previous: The earlier one.
        added: Materials, in the order of the later one.
        removed: Materials, in the order of the earlier one.
        introduced: Violations that the earlier one does not have.
        resolved: Violations that the later one no longer has.
        are_violations_known: False where one of the two only counts its violations.
        violation_count: The two counts; None where they are the same or not said.
        outcome: By the evidence alone, since the earlier job's own result is not in it.
        unchanged: What both say, and say alike.
    """

    previous: Attestation
    added: tuple[Material, ...] = ()
    removed: tuple[Material, ...] = ()
    replaced: tuple[Replacement, ...] = ()
    introduced: tuple[Breach, ...] = ()
    resolved: tuple[Breach, ...] = ()
    are_violations_known: bool = True
    violation_count: Shift | None = None
    contract: Shift | None = None
    strategy: Shift | None = None
    signer: Shift | None = None
    outcome: Shift | None = None
    unchanged: tuple[Aspect, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Nothing changed, as far as the two say."""
        found = (self.added, self.removed, self.replaced, self.introduced, self.resolved)
        shifts = (self.violation_count, self.contract, self.strategy, self.signer, self.outcome)
        return self.are_violations_known and not any(found) and not any(shifts)
