"""Conditions of an attachment and the facts of a run -> Decision: it applies, or why not."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import assert_never

from chainloop_smtp.errors import quoted
from chainloop_smtp.model.entries import Conditions
from chainloop_smtp.model.facts import Decision, Outcome, PolicyStatus, Previous, RunFacts
from chainloop_smtp.model.runners import ci_run
from chainloop_smtp.model.settings import Trigger

# Triggers that compare with the run before, and what a run does that meets them.
COMPARISON_TRIGGERS = {
    Trigger.CHANGED: "changed the outcome",
    Trigger.FIXED: "fixed what was wrong",
    Trigger.NEW_VIOLATIONS: "has new violations",
}
_GOOD = (Outcome.PASSED, Outcome.ATTESTED)
_BAD = (Outcome.FAILED, Outcome.CANCELLED, Outcome.BLOCKED)


def decide(
    conditions: Conditions, triggers: tuple[Trigger, ...], facts: RunFacts, previous: Previous
) -> Decision:
    """Whether a mail is sent.

    Every condition that is given has to hold; of the triggers one is enough. A trigger that
    compares with a run that is not known holds, and the decision says so: a mail too many is the
    smaller evil. A workflow or project that neither the attestation nor the job says matches no
    glob but ``*``.

    Args:
        triggers: The words of ``send-on``; at least one.
    """
    if reason := (
        _unmet_name(conditions, facts)
        or _unmet_ref(conditions, facts)
        or _unmet_finding(conditions, facts)
        or _unmet_annotation(conditions, facts)
    ):
        return Decision(reason=reason)
    unknown = []
    for trigger in triggers:
        holds = _holds(trigger, facts, previous)
        if holds:
            return Decision()
        if holds is None:
            unknown.append(COMPARISON_TRIGGERS[trigger])
    if unknown:
        words = " or ".join(unknown)
        return Decision(note=f"Sent because it is not known whether it {words}: {previous.source}.")
    words = ", ".join(triggers)
    return Decision(reason=f"send-on is {words}, and the outcome is {facts.verdict.outcome}")


def _unmet_name(conditions: Conditions, facts: RunFacts) -> str:
    """What is wrong with workflow, project, event or outcome; empty when nothing is."""
    workflow, job = facts.workflow, facts.job
    # An id is itself or nothing: globs are meant for names, and `a*` fits many a UUID.
    workflows = () if workflow.id in conditions.workflows else conditions.workflows
    if facts.attestation:
        unknown = "the attestation does not give its {}"
    else:
        unknown = "there is no evidence of the run, so its Chainloop {} is not known"
    names = (workflow.name or job.chainloop_workflow,)
    projects = (workflow.project or job.chainloop_project,)
    # What started the run; and, where that is another run, what started the job that mails.
    events = (job.event, job.sender.event) if job.sender else (job.event,)
    return (
        _unmatched("workflow", workflows, names, unknown.format("workflow"))
        or _unmatched("project", conditions.projects, projects, unknown.format("project"))
        or _unmatched("event", conditions.events, events, "the event is not known")
        or _unmatched("outcome", conditions.outcomes, (facts.verdict.outcome,), "")
    )


def _unmet_ref(conditions: Conditions, facts: RunFacts) -> str:
    """What is wrong with the ref. Where both are given, one of the two has to hold."""
    branch, tag = ref(facts)
    wrong = [
        _unmatched(kind, globs, (name,), f"it did not run on a {kind}")
        for kind, globs, name in (
            ("branch", conditions.branches, branch),
            ("tag", conditions.tags, tag),
        )
        if globs
    ]
    return "; ".join(wrong) if all(wrong) else ""


def ref(facts: RunFacts) -> tuple[str, str]:
    """Branch and tag, as far as they are known; of a pull request the branch of its head."""
    run = ci_run(facts.attestation, facts.job)
    full = run.ref
    if full.startswith("refs/tags/"):
        return "", full.removeprefix("refs/tags/")
    if full.startswith("refs/heads/"):
        return full.removeprefix("refs/heads/"), ""
    if run.head_ref or full.startswith("refs/"):
        return run.head_ref, ""
    # Evidence of GitLab and Jenkins does not say which of the two it is.
    return full, full


def _unmet_finding(conditions: Conditions, facts: RunFacts) -> str:
    """What is wrong with policies and findings."""
    evaluations = facts.policies.evaluations
    violated = [each.name for each in evaluations if each.active_violations]
    reason = _unmatched("violated policy", conditions.policies, violated, "no policy is violated")
    if reason or not conditions.findings:
        return reason
    violations = (each for one in evaluations for each in one.active_violations)
    kinds = {each.finding.kind for each in violations if each.finding}
    if kinds.isdisjoint(conditions.findings):
        return f"no finding is of kind {' or '.join(conditions.findings)}"
    return ""


def _unmet_annotation(conditions: Conditions, facts: RunFacts) -> str:
    """The first annotation of `filter` that the attestation does not carry."""
    if not conditions.annotations:
        return ""
    if facts.attestation is None:
        return "there is no evidence of the run, so its annotations are not known"
    carried = {each.name: each.value for each in facts.attestation.annotations}
    for name, value in ((each.name, each.value) for each in conditions.annotations):
        if name not in carried:
            return f"the attestation has no annotation {quoted(name)}"
        if carried[name] != value:
            return f"annotation {quoted(name)} is {quoted(carried[name])}, not {quoted(value)}"
    return ""


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


def _holds(trigger: Trigger, facts: RunFacts, previous: Previous) -> bool | None:
    """Whether a trigger holds; None where that takes a run before that is not known."""
    outcome, job = facts.verdict.outcome, facts.job
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
            return bool(facts.policies.violation_count) or facts.policies.has_violations
        case Trigger.BLOCKED:
            return outcome is Outcome.BLOCKED
        case Trigger.BYPASSED:
            is_bypassed = facts.verdict.policy_status is PolicyStatus.BYPASSED
            return is_bypassed or outcome is Outcome.BYPASSED
        case Trigger.NOT_ATTESTED:
            return facts.attestation is None or not facts.attestation.is_recorded
        case Trigger.CHANGED:
            if previous.outcome is not None:
                return previous.outcome is not outcome
            succeeded = previous.has_succeeded
            return None if succeeded is None else succeeded is not _has_succeeded(facts)
        case Trigger.FIXED:
            if previous.outcome is not None:
                return previous.outcome not in _GOOD and outcome in _GOOD
            succeeded = previous.has_succeeded
            return None if succeeded is None else not succeeded and _has_succeeded(facts)
        case Trigger.NEW_VIOLATIONS:
            changes = previous.changes
            if changes is None or not changes.are_violations_known:
                return None
            return bool(changes.introduced)
        case Trigger.UNVERIFIED:
            return facts.is_unverified
        case _ as unreachable:
            assert_never(unreachable)


def _has_succeeded(facts: RunFacts) -> bool:
    """By the jobs, as the CI counts it; where they are not known, by the outcome."""
    job = facts.job
    if job.status is None and not job.needs:
        return facts.verdict.outcome not in _BAD
    return not (job.has_failed or job.is_stopped)
