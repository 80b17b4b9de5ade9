"""The judgement on a run."""

from enum import StrEnum

from chainloop_smtp.model.values import dataclass


class PolicyStatus(StrEnum):
    """Chainloop's six words (policy_status.go)."""

    NOT_APPLICABLE = "NOT_APPLICABLE"
    PASSED = "PASSED"
    SKIPPED = "SKIPPED"
    WARNING = "WARNING"
    BLOCKED = "BLOCKED"
    BYPASSED = "BYPASSED"


class Outcome(StrEnum):
    """What happened, in one word for the reader and for the workflow."""

    PASSED = "passed"
    VIOLATIONS = "violations"
    BLOCKED = "blocked"
    BYPASSED = "bypassed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    NOT_ATTESTED = "not-attested"
    ATTESTED = "attested"


NO_EVIDENCE = "no evidence given"
"""The reason of a verdict on a run of which nothing is known but how its jobs went."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The judgement on a run.

    Attributes:
        reason: Why, where the outcome alone does not say: ``no evidence given``, ``not pushed``,
            ``job build failed``. Empty otherwise.
        policy_status: None when there is no attestation to judge, or when it refers to
            evaluations and says nothing of them.
        doubt: Why the evidence may not be about this run, or that it cannot be read, as
            sentences; empty: it looks right.
        missing: Names of required materials that nobody added, and of groups of which
            one was required, such as ``tests (junit or cobertura)``.
    """

    outcome: Outcome
    reason: str = ""
    policy_status: PolicyStatus | None = None
    missing: tuple[str, ...] = ()
    doubt: str = ""
