"""Facts -> the built-in subject: short, and never without project, outcome and commit."""

from chainloop_smtp.message import formatting
from chainloop_smtp.model.attested import Attestation, Policies
from chainloop_smtp.model.facts import Job, Outcome, Verdict

_LONGEST = 78  # characters; what a desktop client shows in a list
_PROJECT = 24


def by_outcome(attestation: Attestation | None, job: Job, verdict: Verdict, badge: str) -> str:
    """``[project] Outcome: workflow ref@sha7 (detail)``, cut from its end backwards to fit."""
    head = f"[{formatting.cut(formatting.project_name(attestation, job), _PROJECT)}] {badge}: "
    workflow, branch = formatting.workflow_name(attestation, job), formatting.ref(attestation, job)
    commit = formatting.sha(attestation, job)[:7]
    detail = _detail(attestation, verdict)
    commit = f"@{commit}" if branch and commit else commit
    tail = f" {branch}{commit}" if branch or commit else ""
    if detail and len(head + workflow + tail) + len(detail) + 3 <= _LONGEST:
        tail += f" ({detail})"
    elif len(head + workflow + tail) > _LONGEST:
        room = _LONGEST - len(head) - len(commit) - 1
        branch = formatting.cut(branch, max(room - min(len(workflow), 16), 4))
        workflow = formatting.cut(workflow, max(room - len(branch), 4))
        tail = f" {branch}{commit}" if branch or commit else ""
    return " ".join(f"{head}{workflow}{tail}".split())


def by_ref(attestation: Attestation | None, job: Job, verdict: Verdict, badge: str) -> str:
    """``[project] [Outcome, sha7, detail] workflow ref``: what changes stands in brackets.

    Mail programs that look at subjects before they join a thread leave out leading brackets (RFC
    5256 section 2.1, and Gmail), so ``workflow ref`` is cut by what all mails of a thread share.
    """
    project = _unbracketed(formatting.cut(formatting.project_name(attestation, job), _PROJECT))
    head = f"[{project}] "
    room = _LONGEST - len(head) - len(f"[{_LONGEST_BADGE}, {'f' * 7}] ")
    workflow, branch = (
        _unbracketed(formatting.workflow_name(attestation, job)),
        formatting.ref(attestation, job),
    )
    if len(f"{workflow} {branch}".strip()) > room:
        branch = formatting.cut(branch, max(room - 1 - min(len(workflow), room // 2), 4))
        workflow = formatting.cut(workflow, room - 1 - len(branch) if branch else room)
    stem = " ".join(f"{workflow} {_unbracketed(branch)}".split()) or "the run"
    changing = ", ".join(filter(None, (badge, formatting.sha(attestation, job)[:7])))
    detail = _unbracketed(_detail(attestation, verdict))
    if detail and len(f"{head}[{changing}, {detail}] {stem}") <= _LONGEST:
        changing += f", {detail}"
    return " ".join(f"{head}[{changing}] {stem}".split())


_LONGEST_BADGE = "Blocked by policy"


def _unbracketed(text: str) -> str:
    return text.replace("[", "(").replace("]", ")")


def _detail(attestation: Attestation | None, verdict: Verdict) -> str:
    policies = attestation.policies if attestation else Policies()
    match verdict.outcome:
        case Outcome.PASSED:
            total = formatting.count(policies.evaluation_count, *_POLICY)
            passed, skipped = f"{policies.passed_count:,} of {total}", policies.skipped_count
            return f"{passed}, {skipped:,} skipped" if skipped else passed
        case Outcome.VIOLATIONS | Outcome.BLOCKED | Outcome.BYPASSED:
            return (
                formatting.count(policies.violation_count, "violation")
                if policies.violation_count
                else ""
            )
        case Outcome.FAILED | Outcome.NOT_ATTESTED:
            return verdict.reason
        case Outcome.ATTESTED if attestation:
            known = "policies not shown" if policies.reference else "no policies"
            return (
                f"{formatting.count(formatting.material_count(attestation), 'material')}, {known}"
            )
    return ""


_POLICY = ("policy", "policies")
