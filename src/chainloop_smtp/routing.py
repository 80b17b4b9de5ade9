"""Attachment's conditions and the facts of a run -> Decision: it applies, or says why not."""

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

from chainloop_smtp.model.attested import Attestation, FindingKind, Violation, Workflow
from chainloop_smtp.model.entries import Conditions
from chainloop_smtp.model.facts import (
    Decision,
    Job,
    Outcome,
    PolicyStatus,
    Previous,
    Verdict,
    run_fact,
)
from chainloop_smtp.model.settings import Trigger

COMPARING = (Trigger.CHANGED, Trigger.FIXED, Trigger.NEW_VIOLATIONS)
_GOOD = (Outcome.PASSED, Outcome.ATTESTED)
_NO_EVIDENCE = "there is no evidence of the run, so its Chainloop {} is not known"
_NOT_SAID = "the attestation does not say its {}"


def decide(
    conditions: Conditions,
    triggers: tuple[Trigger, ...],
    attestation: Attestation | None,
    job: Job,
    verdict: Verdict,
    previous: Previous,
) -> Decision:
    """Whether a mail is sent.

    Every condition that is given has to hold; of the triggers one is enough. A trigger that
    compares with a run that is not known holds, and the decision says so: a mail too many is the
    smaller evil. A workflow or project that neither the attestation nor the job says matches no
    glob but ``*``.

    Args:
        triggers: The words of ``send-on``; at least one.
    """
    for is_met in (_names, _refs, _findings):
        if reason := is_met(conditions, attestation, job, verdict):
            return Decision(reason=reason)
    return _triggered(triggers, attestation, job, verdict, previous)


def is_on(trigger: Trigger, attestation: Attestation | None, job: Job, verdict: Verdict) -> bool:
    """Whether a trigger that needs no other run holds."""
    outcome, status = verdict.outcome, verdict.policy_status
    match trigger:
        case Trigger.ALWAYS:
            return True
        case Trigger.PASSED:
            return outcome in _GOOD
        case Trigger.FAILED:
            return outcome is Outcome.FAILED or job.has_failed
        case Trigger.CANCELLED:
            return outcome is Outcome.CANCELLED or job.is_stopped
        case Trigger.VIOLATED:
            return bool(attestation and _is_violated(attestation))
        case Trigger.BLOCKED:
            return outcome is Outcome.BLOCKED
        case Trigger.BYPASSED:
            return PolicyStatus.BYPASSED is status or outcome is Outcome.BYPASSED
        case _:
            return attestation is None or not attestation.is_recorded


def ref(attestation: Attestation | None, job: Job) -> tuple[str, str]:
    """Branch and tag, as far as they are known; of a pull request the branch of its head."""
    full = run_fact(attestation, job, "GITHUB_REF", job.ref)
    if full.startswith("refs/tags/"):
        return "", full.removeprefix("refs/tags/")
    if full.startswith("refs/heads/"):
        return full.removeprefix("refs/heads/"), ""
    return run_fact(attestation, job, "GITHUB_HEAD_REF", job.head_ref), ""


def _names(
    conditions: Conditions, attestation: Attestation | None, job: Job, verdict: Verdict
) -> str:
    """What is wrong with workflow, project, event or outcome; empty when nothing is."""
    workflow = attestation.workflow if attestation else Workflow()
    # An id is itself or nothing: globs are meant for names, and `a*` fits many a UUID.
    workflows = () if workflow.id in conditions.workflows else conditions.workflows
    unknown = _NOT_SAID if attestation else _NO_EVIDENCE
    return (
        _unmatched(
            "workflow",
            workflows,
            (workflow.name or job.chainloop_workflow,),
            unknown.format("workflow"),
        )
        or _unmatched(
            "project",
            conditions.projects,
            (workflow.project or job.chainloop_project,),
            unknown.format("project"),
        )
        or _unmatched("event", conditions.events, _events(job), "the event is not known")
        or _unmatched("outcome", conditions.outcomes, (verdict.outcome,), "")
    )


def _events(job: Job) -> tuple[str, ...]:
    """What started the run; and, where that is another run, what started the job that mails."""
    return (job.event, job.sender.event) if job.sender else (job.event,)


def _refs(
    conditions: Conditions, attestation: Attestation | None, job: Job, verdict: Verdict
) -> str:
    """What is wrong with the ref. Where both are given, one of the two has to hold."""
    del verdict
    branch, tag = ref(attestation, job)
    wrong = [
        _unmatched(kind, globs, (name,), f"it did not run on a {kind}")
        for kind, globs, name in (
            ("branch", conditions.branches, branch),
            ("tag", conditions.tags, tag),
        )
        if globs
    ]
    return "; ".join(wrong) if all(wrong) else ""


def _findings(
    conditions: Conditions, attestation: Attestation | None, job: Job, verdict: Verdict
) -> str:
    """What is wrong with policies and findings."""
    del job, verdict
    evaluations = attestation.policies.evaluations if attestation else ()
    violated = [each.name for each in evaluations if each.active_violations]
    reason = _unmatched("violated policy", conditions.policies, violated, "no policy is violated")
    if reason or not conditions.findings:
        return reason
    violations = [each for one in evaluations for each in one.active_violations]
    if _kinds(violations).isdisjoint(conditions.findings):
        return f"no violation is a finding of {' or '.join(conditions.findings)}"
    return ""


def _kinds(violations: Iterable[Violation]) -> set[FindingKind]:
    return {each.finding.kind for each in violations if each.finding}


def _unmatched(kind: str, globs: Iterable[str], names: Iterable[str], unknown: str) -> str:
    """Why none of the names matches one of the globs; empty when one does, or nothing is asked."""
    globs, known = tuple(globs), tuple(filter(None, names))
    if (
        not globs
        or "*" in globs
        or any(fnmatchcase(name, glob) for name in known for glob in globs)
    ):
        return ""
    if not known:
        return unknown
    word = "is not" if len(globs) == 1 else "is none of"
    return f"{kind} {known[0]} {word} {', '.join(globs)}"


def _triggered(
    triggers: tuple[Trigger, ...],
    attestation: Attestation | None,
    job: Job,
    verdict: Verdict,
    previous: Previous,
) -> Decision:
    unknown = []
    for trigger in triggers:
        if trigger not in COMPARING:
            holds: bool | None = is_on(trigger, attestation, job, verdict)
        else:
            holds = _COMPARED[trigger](verdict, job, previous)
        if holds:
            return Decision()
        if holds is None:
            unknown.append(trigger)
    if unknown:
        words = " or ".join(_CLAIMS[trigger] for trigger in unknown)
        return Decision(note=f"Sent although nobody knows whether it {words}: {previous.source}.")
    words = ", ".join(triggers)
    return Decision(reason=f"send-on is {words}, and the run is {verdict.outcome}")


_CLAIMS = {
    Trigger.CHANGED: "changed the outcome",
    Trigger.FIXED: "fixed what was wrong",
    Trigger.NEW_VIOLATIONS: "has new violations",
}


def _changed(verdict: Verdict, job: Job, previous: Previous) -> bool | None:
    """The outcome is another one."""
    if previous.outcome is not None:
        return previous.outcome is not verdict.outcome
    if previous.has_succeeded is None:
        return None
    return previous.has_succeeded is not _has_succeeded(job, verdict)


def _fixed(verdict: Verdict, job: Job, previous: Previous) -> bool | None:
    """The run before was not good, and this one is."""
    if previous.outcome is not None:
        return previous.outcome not in _GOOD and verdict.outcome in _GOOD
    if previous.has_succeeded is None:
        return None
    return not previous.has_succeeded and _has_succeeded(job, verdict)


def _new_violations(verdict: Verdict, job: Job, previous: Previous) -> bool | None:
    """There are violations that the run before did not have."""
    del verdict, job
    if previous.changes is None or not previous.changes.are_violations_known:
        return None
    return bool(previous.changes.introduced)


_COMPARED: dict[Trigger, Callable[[Verdict, Job, Previous], bool | None]] = {
    Trigger.CHANGED: _changed,
    Trigger.FIXED: _fixed,
    Trigger.NEW_VIOLATIONS: _new_violations,
}


def _is_violated(attestation: Attestation) -> bool:
    policies = attestation.policies
    return bool(policies.violation_count) or policies.has_violations


def _has_succeeded(job: Job, verdict: Verdict) -> bool:
    """By the jobs, as the CI counts it; where they are not known, by the outcome."""
    if job.status is None and not job.needs:
        return verdict.outcome not in (Outcome.FAILED, Outcome.CANCELLED, Outcome.BLOCKED)
    return not (job.has_failed or job.is_stopped)
