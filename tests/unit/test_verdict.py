"""The judgement on a run."""

from chainloop_smtp.model import Job, Outcome
from chainloop_smtp.verdict import judge


def test_without_evidence_the_run_is_not_attested() -> None:
    verdict = judge(None, Job())

    assert verdict.outcome is Outcome.NOT_ATTESTED
    assert verdict.policy_status is None
