"""Facts -> words: the subject, the headline, what it means. The same for every part of the mail."""

import re
from enum import StrEnum

from chainloop_smtp.message import findings, naming, subject
from chainloop_smtp.model import (
    Annotation,
    Attestation,
    Job,
    JobStatus,
    Outcome,
    Policies,
    RunState,
    Strategy,
    Thread,
    Verdict,
)
from chainloop_smtp.model.values import dataclass

_HEADLINE = 400
# Chainloop's run ids are UUIDs. Anything else is not put into a line to be pasted into a shell.
_RUN_ID = re.compile(r"[0-9A-Fa-f][0-9A-Fa-f-]{7,63}")


class Tone(StrEnum):
    """Colour and glyph of the mail; always said in words too."""

    OK = "ok"
    WARN = "warn"
    DANGER = "danger"
    IDLE = "idle"


_TONES = {
    Outcome.PASSED: Tone.OK,
    Outcome.ATTESTED: Tone.OK,
    Outcome.VIOLATIONS: Tone.WARN,
    Outcome.BYPASSED: Tone.WARN,
    Outcome.NOT_ATTESTED: Tone.WARN,
    Outcome.BLOCKED: Tone.DANGER,
    Outcome.FAILED: Tone.DANGER,
    Outcome.CANCELLED: Tone.IDLE,
}
_GLYPHS = {Tone.OK: "✓", Tone.WARN: "!", Tone.DANGER: "✕", Tone.IDLE: "–"}
_BADGES = {
    Outcome.PASSED: "Passed",
    Outcome.ATTESTED: "Attested",
    Outcome.VIOLATIONS: "Policy violations",
    Outcome.BYPASSED: "Gate bypassed",
    Outcome.NOT_ATTESTED: "Not attested",
    Outcome.FAILED: "Failed",
    Outcome.CANCELLED: "Cancelled",
}
_BY_GATE, _BY_POLICY = "Blocked by gate", "Blocked by policy"
BADGES = {
    _BY_GATE: Outcome.BLOCKED,
    _BY_POLICY: Outcome.BLOCKED,
    **{badge: outcome for outcome, badge in _BADGES.items()},
}
"""What each badge means, for whoever reads a mail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """What the parts of the mail say alike.

    Attributes:
        badge: The outcome in a word or two.
        glyph: One character for the tone; decoration only.
        subject: At most 78 characters, on one line.
        headline: What happened to what.
        lead: At most two sentences: what it means.
        doubt: Why the evidence may be another run's, or cannot be read; empty: it looks right.
        preheader: What a list of mails shows behind the subject.
        byline: Workflow, branch, commit, time; empty when none is known.
        describe: Arguments of the ``chainloop`` command that prints the statement; empty when
            nothing is recorded.
    """

    tone: Tone
    glyph: str
    badge: str
    subject: str
    headline: str
    lead: str
    preheader: str
    byline: str
    describe: str
    doubt: str = ""


def word(
    attestation: Attestation | None, job: Job, verdict: Verdict, thread: Thread = Thread.RUN
) -> Wording:
    """The words for one run, from cleaned facts."""
    tone = _TONES[verdict.outcome]
    badge = _badge(attestation, verdict)
    lead = _lead(attestation, job, verdict)
    return Wording(
        tone=tone,
        glyph=_GLYPHS[tone],
        badge=badge,
        subject=(subject.by_ref if thread is Thread.REF else subject.by_outcome)(
            attestation, job, verdict, badge
        ),
        headline=naming.cut(_headline(attestation, job, verdict), _HEADLINE),
        lead=lead,
        preheader=_preheader(attestation, verdict, lead),
        byline=_byline(attestation, job),
        describe=_describe(attestation),
        doubt=verdict.doubt,
    )


def _badge(attestation: Attestation | None, verdict: Verdict) -> str:
    if verdict.outcome is Outcome.BLOCKED:
        has_gate = attestation is not None and attestation.policies.has_gated_violations
        return _BY_GATE if has_gate else _BY_POLICY
    return _BADGES[verdict.outcome]


def _headline(attestation: Attestation | None, job: Job, verdict: Verdict) -> str:
    what = naming.thing(attestation, job)
    match verdict.outcome:
        case Outcome.PASSED | Outcome.ATTESTED:
            return f"{what} is attested"
        case Outcome.BLOCKED:
            blockers = _blockers(attestation)
            if not blockers:
                return f"{what} is blocked by policy"
            others = f" and {len(blockers) - 1} more" if len(blockers) > 1 else ""
            return f"{blockers[0]}{others} {'block' if others else 'blocks'} {what}"
        case Outcome.BYPASSED:
            return f"{what} went past a gate by exception"
        case Outcome.VIOLATIONS:
            number = attestation.policies.violation_count if attestation else 0
            counted = naming.count(number, "policy violation") if number else "policy violations"
            return f"{what} has {counted}"
        case Outcome.FAILED:
            return f"{what} failed"
        case Outcome.CANCELLED:
            return f"{what} was cancelled"
        case _:
            return (
                f"{what} is not attested yet"
                if _is_open(attestation)
                else f"{what} was not attested"
            )


def _blockers(attestation: Attestation | None) -> list[str]:
    """Names of the violated policies that stop the pipeline: the gates, else all."""
    evaluations = attestation.policies.evaluations if attestation else ()
    violated = [each for each in evaluations if each.active_violations]
    gated = [each for each in violated if each.is_gate]
    return list(dict.fromkeys(each.name for each in gated or violated))


def _lead(attestation: Attestation | None, job: Job, verdict: Verdict) -> str:
    policies = attestation.policies if attestation else Policies()
    is_recorded = attestation is not None and attestation.is_recorded
    match verdict.outcome:
        case Outcome.PASSED if attestation:
            return f"{_passed(policies)} and the attestation was recorded. Nothing to do."
        case Outcome.ATTESTED if attestation:
            # Only referred to is not the same as none (an attestation may hold just the digest).
            known = (
                "Its policy evaluations are stored in Chainloop and not part of this evidence."
                if policies.reference
                else "No policies apply to it."
            )
            materials = naming.count(naming.material_count(attestation), "material")
            return f"The attestation with {materials} was recorded. {known}"
        case Outcome.VIOLATIONS:
            return f"{_violations(policies)}. The attestation was recorded; the pipeline goes on."
        case Outcome.BYPASSED:
            return (
                f"{_violations(policies)}. The policy check was bypassed by exception, so the "
                "pipeline goes on; the attestation was recorded and says so."
            )
        case Outcome.BLOCKED if policies.has_gated_violations:
            return (
                f"{_violations(policies)}. {_recorded(is_recorded)}, but the pipeline stops here "
                f"{_until(policies, job)}."
            )
        case Outcome.BLOCKED if policies.strategy is not Strategy.ENFORCED:
            return (
                f"{_violations(policies)}. {_recorded(is_recorded)}; Chainloop counts the run as "
                "blocked."
            )
        case Outcome.BLOCKED:
            return (
                f"{_violations(policies)}. {_recorded(is_recorded)}; the policy strategy is "
                f"{Strategy.ENFORCED}, so Chainloop counts the run as blocked."
            )
        case Outcome.FAILED | Outcome.CANCELLED:
            reason = f"{_sentence(verdict.reason)} " if verdict.reason else ""
            if attestation is None and verdict.doubt:
                return f"{reason}Whether an attestation was recorded is not known."
            if not is_recorded:
                return f"{reason}No attestation was recorded for this run."
            status = f" with {_violations(policies).lower()}" if policies.violation_count else ""
            return f"{reason}The attestation was recorded{status}."
        case _:
            # What is missing is named, which is more than how much of it.
            reason = f" ({verdict.reason})" if verdict.reason and not verdict.missing else ""
            missing = (
                f" Missing: {', '.join(verdict.missing[:3])}"
                f"{f' and {len(verdict.missing) - 3} more' if len(verdict.missing) > 3 else ''}."
                if verdict.missing
                else ""
            )
            recorded = (
                "is recorded for this run yet"
                if _is_open(attestation)
                else ("was recorded for this run")
            )
            return f"No attestation {recorded}{reason}.{missing}"


def _passed(policies: Policies) -> str:
    total, skipped = policies.evaluation_count, policies.skipped_count
    if skipped or policies.passed_count < total:
        return f"{policies.passed_count} of {total} policies passed ({skipped} skipped)"
    return "The policy passed" if total == 1 else f"All {total} policies passed"


def _is_open(attestation: Attestation | None) -> bool:
    """The run goes on, and may still be attested."""
    return attestation is not None and attestation.run.state is RunState.IN_PROGRESS


def _recorded(is_recorded: bool) -> str:
    return "The attestation was recorded" if is_recorded else "The attestation was not recorded"


def _until(policies: Policies, job: Job) -> str:
    """How the pipeline goes on. What a push prints does not say whether it went past the gate."""
    has_failed = JobStatus.FAILURE in (job.status, *(each.result for each in job.needs))
    if policies.is_bypassed is None and not has_failed:
        return "unless the check was bypassed, which this evidence does not say"
    return "until the gate passes or is bypassed"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "!", "?")) else ".")


def _violations(policies: Policies) -> str:
    """``2 policy violations: 1 in a gate, 1 advisory``; no split where it is not known."""
    total = naming.count(policies.violation_count, "policy violation")
    if not policies.violation_count:
        return "Policy violations"
    in_gates = sum(len(e.active_violations) for e in policies.evaluations if e.is_gate)
    known = sum(len(e.active_violations) for e in policies.evaluations)
    if not in_gates or known != policies.violation_count:
        return total
    advisory = f", {known - in_gates} advisory" if known > in_gates else ""
    return f"{total}: {in_gates} in a gate{advisory}"


def _preheader(attestation: Attestation | None, verdict: Verdict, lead: str) -> str:
    """30 to 150 characters: the first violation's message where there is one, else the lead."""
    policies = attestation.policies if attestation else Policies()
    worst = next((e for e in policies.evaluations if e.active_violations), None)
    if worst and verdict.outcome not in (Outcome.FAILED, Outcome.CANCELLED):
        message = findings.lines(worst.active_violations[0])[0].rstrip(".")
        score = f"{policies.passed_count} of {policies.evaluation_count} policies passed."
        return f"{naming.cut(message, 110)}. {score}"
    if verdict.outcome is Outcome.PASSED and attestation:
        return naming.cut(_account(attestation), 150)
    return naming.cut(lead, 150)


def _account(attestation: Attestation) -> str:
    """``All 7 policies passed, 6 materials attested in 5 min 11 s by Ada Quay``."""
    materials = naming.count(naming.material_count(attestation), "material")
    duration = attestation.run.duration
    lasted = f" in {naming.lapse(duration)}" if duration is not None else ""
    author = attestation.commit.author_name if attestation.commit else ""
    by = f" by {author}" if author else ""
    return f"{_passed(attestation.policies)}, {materials} attested{lasted}{by}."


def _byline(attestation: Attestation | None, job: Job) -> str:
    branch, commit = naming.ref(attestation, job), naming.sha(attestation, job)[:7]
    workflow = naming.known_workflow(attestation, job)
    words = [workflow, f"on {branch}" if branch else "", f"at {commit}" if commit else ""]
    line = " ".join(filter(None, words))
    run = attestation.run if attestation else None
    when = ""
    if run and run.finished_at:
        when = f"finished {naming.moment(run.finished_at)}"
        when += f" after {naming.lapse(run.duration)}" if run.duration is not None else ""
    elif run and run.started_at:
        when = f"started {naming.moment(run.started_at)}"
    return naming.cut(", ".join(filter(None, (line, when))), _HEADLINE)


def _describe(attestation: Attestation | None) -> str:
    if attestation and attestation.is_recorded and _RUN_ID.fullmatch(attestation.run.id):
        return f"--id {attestation.run.id} -o statement"
    return ""


def results(job: Job) -> tuple[Annotation, ...]:
    """This job and the earlier ones with their results, for a small table; this job last."""
    rows = [Annotation(name=each.name, value=each.result.value) for each in job.needs]
    if job.status and (rows or job.status is not JobStatus.SUCCESS):
        rows.append(Annotation(name=job.name or "this job", value=job.status.value))
    return tuple(rows)
