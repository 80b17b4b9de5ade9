"""Attestation and job -> Verdict: Chainloop's policy status, and the outcome of the run."""

from dataclasses import replace

from chainloop_smtp.model.attested import Attestation, Material, RunState, Strategy
from chainloop_smtp.model.checks import SignatureCheck, SignatureStatus
from chainloop_smtp.model.facts import (
    NO_EVIDENCE,
    WRONG_SIGNATURE,
    Job,
    JobStatus,
    Outcome,
    PolicyStatus,
    Verdict,
)
from chainloop_smtp.model.runners import (
    GITHUB_HOST,
    attested_run,
    is_of_other_ci,
    is_other_run,
    url_host,
)

_OUTCOMES: dict[PolicyStatus | None, Outcome] = {
    PolicyStatus.BYPASSED: Outcome.BYPASSED,
    PolicyStatus.WARNING: Outcome.VIOLATIONS,
    PolicyStatus.SKIPPED: Outcome.PASSED,
    PolicyStatus.PASSED: Outcome.PASSED,
}
# Events by which a workflow may be asked to report on a run of which it gets the id.
_ASKING = ("workflow_dispatch", "repository_dispatch", "schedule")
# How one job ended, and how several did. The first also stands for a mixture.
_FAILURES = {
    JobStatus.FAILURE: ("failed", "failed"),
    JobStatus.TIMED_OUT: ("timed out", "timed out"),
    JobStatus.STARTUP_FAILURE: ("could not start", "could not start"),
    JobStatus.ACTION_REQUIRED: ("needs someone to act", "need someone to act"),
}
_CANCELLATIONS = {
    JobStatus.CANCELLED: ("was cancelled", "were cancelled"),
    JobStatus.STALE: ("went stale", "went stale"),
}
_SKIPPED = {JobStatus.SKIPPED: ("was skipped", "were skipped")}
_ENDS = {Outcome.FAILED: _FAILURES, Outcome.CANCELLED: _CANCELLATIONS}
_NAMED_JOBS = 3


def judge(
    attestation: Attestation | None,
    job: Job,
    signature: SignatureCheck | None = None,
    *,
    is_by_id: bool = False,
) -> Verdict:
    """Judge a run.

    The first of these that holds is the outcome: blocked, failed, cancelled, not attested,
    bypassed, violations, passed; attested where no policy was checked. A blocked run makes its job
    fail too, so blocked stands before failed. A push does not print whether the policy check was
    bypassed; where no job failed, a violated gate is therefore no more than a violation.

    Evidence with a wrong signature proves nothing: such a run has failed, whatever it says.

    Args:
        attestation: None when no evidence was handed over.
        signature: None when it was not to be verified.
        is_by_id: The user asked for the run by its id, and gave no file.
    """
    if signature and signature.status is SignatureStatus.FAILED:
        reasons = (WRONG_SIGNATURE, _jobs(job, _FAILURES) or _jobs(job, _CANCELLATIONS))
        return Verdict(
            outcome=Outcome.FAILED,
            reason=", ".join(filter(None, reasons)),
            doubt=doubt(attestation, job, is_by_id=is_by_id),
        )
    status = _policy_status(attestation, job) if attestation else None
    missing = _missing(attestation.materials) if attestation else ()
    if status is PolicyStatus.BLOCKED:
        outcome, reason = Outcome.BLOCKED, ""
    elif (failure := _failure(attestation, job)) is not None:
        outcome, reason = Outcome.FAILED, failure
    elif (cancellation := _cancellation(attestation, job)) is not None:
        outcome, reason = Outcome.CANCELLED, cancellation
    elif attestation is None or not attestation.is_recorded:
        outcome, reason = Outcome.NOT_ATTESTED, _absence(attestation, missing, job)
    else:
        outcome = _attested_outcome(attestation, status)
        reason = _gate(attestation, job) if outcome is Outcome.VIOLATIONS else ""
    return Verdict(
        outcome=outcome,
        reason=reason,
        where=_where(job, outcome) if reason == _jobs(job, _ENDS.get(outcome, {})) else "",
        policy_status=status,
        missing=missing,
        doubt=doubt(attestation, job, is_by_id=is_by_id),
    )


def _attested_outcome(attestation: Attestation, status: PolicyStatus | None) -> Outcome:
    if status is None and attestation.policies.has_violations:
        return Outcome.VIOLATIONS
    policies = attestation.policies
    if status is PolicyStatus.SKIPPED and policies.skipped_count >= policies.evaluation_count:
        # Nothing was checked, so nothing has passed.
        return Outcome.ATTESTED
    return _OUTCOMES.get(status, Outcome.ATTESTED)


def _gate(attestation: Attestation, job: Job) -> str:
    """What is known of a violated gate, where that is not whether it was bypassed."""
    if not attestation.policies.has_gated_violations:
        return ""
    is_known = job.is_success and (job.status is not None or job.needs)
    if not is_known or is_other_run(attestation, job):
        return "gate violated"
    return f"gate violated; the {'run' if job.sender else 'job'} went on"


def doubt(attestation: Attestation | None, job: Job, *, is_by_id: bool = False) -> str:
    """Say why the evidence may be another run's or untrue, in sentences; empty: it looks right."""
    if is_of_other_ci(attestation, job):
        return _mismatch(attestation)
    # GitHub itself names the run that one of workflow_run follows.
    is_expected = job.event == "workflow_run" or (is_by_id and job.event in _ASKING)
    leftover = "" if is_expected and not job.sender else _leftover(attestation, job)
    doubts = (leftover, _mismatch(attestation), _elsewhere(attestation, job))
    return " ".join(filter(None, doubts))


def _elsewhere(attestation: Attestation | None, job: Job) -> str:
    """Why the evidence names a page of this very run on another host."""
    home, page = (
        url_host(job.server_url),
        url_host(attestation.runner.url) if attestation else "",
    )
    # Chainloop writes github.com on GitHub Enterprise Server, too.
    if not home or page in ("", home, GITHUB_HOST):
        return ""
    if attested_run(attestation) != (job.repository, job.run_id):
        return ""
    return f"The evidence places this run on {page}, but it is on {home}."


def _mismatch(attestation: Attestation | None) -> str:
    if attestation is None or attestation.signing.is_digest_verified is not False:
        return ""
    return "The bundle in the evidence is not the one whose digest the evidence names."


def _leftover(attestation: Attestation | None, job: Job) -> str:
    """Why it is of another CI run.

    A file that an earlier run left on the runner is easily taken for this one's, and so is one that
    was downloaded from another repository.
    """
    if not is_other_run(attestation, job):
        return ""
    repository, run_id = attested_run(attestation)
    theirs = f"CI run {run_id}" if run_id else "a CI run"
    ours = f"{'is about' if job.sender else 'comes from'} CI run {job.run_id}"
    if repository.lower() != job.repository.lower():
        theirs, ours = f"{theirs} of {repository}", f"{ours} of {job.repository}"
    return f"The evidence is from {theirs}, but this mail {ours}."


def _policy_status(attestation: Attestation, job: Job) -> PolicyStatus | None:
    """Chainloop's rule (policy_status.go), in its order; only active violations count.

    None where the rule needs more than the evidence and the jobs say.
    """
    policies = attestation.policies
    has_violations = bool(policies.violation_count) or policies.has_violations
    if policies.is_blocked:
        # Whatever else the evidence holds: it may be less than what Chainloop had.
        return PolicyStatus.BLOCKED
    if not policies.evaluation_count and not has_violations:
        # Evaluations that are only referred to may not even be counted; before the push, those of
        # the attestation as a whole are still to come.
        is_unfinished = not attestation.is_recorded and not attestation.is_dry_run
        is_unknown = bool(policies.reference) or is_unfinished or not attestation.is_retrieved
        return None if is_unknown else PolicyStatus.NOT_APPLICABLE
    if policies.has_gated_violations or policies.strategy is Strategy.ENFORCED:
        if policies.is_bypassed:
            return PolicyStatus.BYPASSED
        if has_violations:
            is_known = policies.is_bypassed is False or job.has_failed
            return PolicyStatus.BLOCKED if is_known else None
    if has_violations:
        # Without the attestation, nothing says whether they block the run.
        return PolicyStatus.WARNING if attestation.is_retrieved else None
    return PolicyStatus.SKIPPED if policies.skipped_count else PolicyStatus.PASSED


def _failure(attestation: Attestation | None, job: Job) -> str | None:
    """Why the run failed, in a few words; None when it did not."""
    run = attestation.run if attestation else None
    if run and run.state is RunState.FAILED:
        return run.reason or _jobs(job, _FAILURES) or "run failed"
    if run and run.state is RunState.EXPIRED:
        return run.reason or "run expired"
    return _jobs(job, _FAILURES)


def _cancellation(attestation: Attestation | None, job: Job) -> str | None:
    run = attestation.run if attestation else None
    if run and run.state is RunState.CANCELED:
        return run.reason or _jobs(job, _CANCELLATIONS) or "run cancelled"
    return _jobs(job, _CANCELLATIONS)


def _jobs(job: Job, words: dict[JobStatus, tuple[str, str]]) -> str | None:
    """``jobs build, test failed``: earlier ones by name, else this one; None when none did.

    Many are counted and not named: a reader finds them in the table of jobs.
    """
    ended = [need for need in job.needs if need.result in words]
    if not ended:
        if job.status not in words:
            return None
        noun = "run" if job.sender else "job"
        return " ".join(filter(None, (noun, job.name, words[job.status][0])))
    results = {need.result for need in ended}
    word = words[results.pop() if len(results) == 1 else next(iter(words))][len(ended) > 1]
    if not all(need.name for need in ended):
        return f"an earlier job {word}" if len(ended) == 1 else f"{len(ended)} earlier jobs {word}"
    if len(ended) > _NAMED_JOBS:
        return f"{len(ended)} jobs {word}"
    noun = "jobs" if len(ended) > 1 else "job"
    return f"{noun} {', '.join(need.name for need in ended)} {word}"


def _where(job: Job, outcome: Outcome) -> str:
    """Where the job stopped that `_jobs` names; empty where it is not one step of one job."""
    needs = [n for n, need in enumerate(job.needs) if need.result in _ENDS[outcome]]
    whose: list[int] | list[None] = needs or [None]
    steps = [each for each in job.failed_steps if each.need in whose]
    if len(needs) > 1 or len({each.name for each in steps}) != 1:
        return ""
    if job.sender and not needs:
        # The reason names the run.
        return f"in job {steps[0].job} at step {steps[0].name}" if len(steps) == 1 else ""
    return f"at step {steps[0].name}"


def _absence(attestation: Attestation | None, missing: tuple[str, ...], job: Job) -> str:
    """Why nothing is recorded, or why that is not known, in a few words."""
    if attestation is None:
        return _jobs(replace(job, needs=()), _SKIPPED) or NO_EVIDENCE
    if attestation.is_dry_run:
        return "dry run"
    if attestation.run.state is RunState.IN_PROGRESS:
        return "in progress"
    if missing:
        return f"{len(missing)} material{'s' if len(missing) > 1 else ''} missing"
    return "not pushed"


def _missing(materials: tuple[Material, ...]) -> tuple[str, ...]:
    """Required materials that nobody added, and groups without the one that they require."""
    names = [one.name for one in materials if one.is_required and not one.is_set]
    groups: dict[str, list[Material]] = {}
    for material in materials:
        if material.group:
            groups.setdefault(material.group, []).append(material)
    names += [
        f"{group} ({' or '.join(member.name for member in members)})"
        for group, members in groups.items()
        if not any(member.is_set for member in members)
    ]
    return tuple(names)
