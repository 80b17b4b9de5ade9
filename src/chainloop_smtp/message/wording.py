"""Facts -> words: the subject, the headline, what it means. The same for every part of the mail."""

import re
from enum import StrEnum

from chainloop_smtp.message import findings, formatting, grouping, lead
from chainloop_smtp.model.attested import Attestation, Policies
from chainloop_smtp.model.facts import (
    NOT_FOUND,
    Outcome,
    RunFacts,
)
from chainloop_smtp.model.frozen import dataclass
from chainloop_smtp.model.settings import Thread

_HEADLINE = 400
_LONGEST = 78  # characters; what a desktop client shows in a list
_PROJECT = 24
_FINDING = 200
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
GLYPHS = {Tone.OK: "✓", Tone.WARN: "!", Tone.DANGER: "✕", Tone.IDLE: "–"}
_BADGES = {
    Outcome.PASSED: "Passed",
    Outcome.ATTESTED: "Attested",
    Outcome.VIOLATIONS: "Policy violations",
    Outcome.NOT_ATTESTED: "Not attested",
    Outcome.FAILED: "Failed",
    Outcome.CANCELLED: "Cancelled",
}
# Where it was a gate, and where not.
_GATED_BADGES = {
    Outcome.BLOCKED: ("Blocked by gate", "Blocked by policy"),
    Outcome.BYPASSED: ("Gate bypassed", "Policy bypassed"),
}
# Whatever its evidence says, such a run has failed.
_WRONG_SIGNATURE = "Invalid signature"
BADGES = {
    _WRONG_SIGNATURE: Outcome.FAILED,
    **{badge: outcome for outcome, badges in _GATED_BADGES.items() for badge in badges},
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
        headline: What happened to what. The HTML begins with it, `finding` and `lead`: that is what
            a list of mails shows behind the subject.
        finding: The worst violation in a line; empty where there is none.
        lead: At most two sentences: what it means.
        doubt: Why the evidence may be another run's, or cannot be read; empty: it looks right.
        byline: Workflow, branch, commit, author, time; empty when none is known.
        describe: Arguments of the ``chainloop`` command that prints the statement; empty when
            nothing is recorded.
    """

    tone: Tone
    glyph: str
    badge: str
    subject: str
    headline: str
    finding: str
    lead: str
    byline: str
    describe: str
    doubt: str = ""


def word(facts: RunFacts, thread: Thread = Thread.RUN) -> Wording:
    """The words for one run, from cleaned facts."""
    # No violation means little where nothing was checked.
    outcome = facts.verdict.outcome
    is_idle = outcome is Outcome.ATTESTED and lead.is_unchecked(facts.policies)
    tone = Tone.IDLE if is_idle else _TONES[outcome]
    if tone is Tone.OK and lead.doubt(facts):
        tone = Tone.WARN
    badge = _badge(facts)
    subject = _subject_by_ref if thread is Thread.REF else _subject_by_outcome
    return Wording(
        tone=tone,
        glyph=GLYPHS[tone],
        badge=badge,
        subject=subject(facts, badge),
        headline=formatting.cut(_headline(facts), _HEADLINE),
        finding=_finding(facts),
        lead=lead.sentences(facts),
        byline=_byline(facts),
        describe=_describe(facts.attestation),
        doubt=lead.doubt(facts),
    )


def _badge(facts: RunFacts) -> str:
    outcome = facts.verdict.outcome
    if facts.has_wrong_signature:
        return _WRONG_SIGNATURE
    if outcome in _GATED_BADGES:
        return _GATED_BADGES[outcome][not facts.policies.has_gated_violations]
    return _BADGES[outcome]


def _headline(facts: RunFacts) -> str:
    attestation, verdict = facts.attestation, facts.verdict
    what = formatting.thing(facts)
    if facts.has_wrong_signature:
        return f"The signature of {what} does not verify"
    match verdict.outcome:
        case Outcome.ATTESTED if lead.is_unchecked(facts.policies):
            return f"{what} is attested, and no policy was checked"
        case Outcome.PASSED | Outcome.ATTESTED:
            return f"{what} is attested"
        case Outcome.BLOCKED:
            blockers = _blockers(facts.policies)
            if not blockers:
                return f"{what} is blocked by policy"
            others = f" and {len(blockers) - 1} more" if len(blockers) > 1 else ""
            return f"{blockers[0]}{others} {'block' if others else 'blocks'} {what}"
        case Outcome.VIOLATIONS if facts.policies.has_gated_violations:
            # Whether the gate blocked the run is not known.
            gates = _blockers(facts.policies) or ["a gate"]
            others = f" and {len(gates) - 1} more" if len(gates) > 1 else ""
            return f"{what} violates {gates[0]}{others}"
        case Outcome.BYPASSED:
            return f"{what} {_bypass(facts.policies)}"
        case Outcome.VIOLATIONS:
            number = facts.policies.violation_count
            violations = formatting.count(number, "policy violation")
            return f"{what} has {violations if number else 'policy violations'}"
        case Outcome.FAILED:
            return f"{what} failed"
        case Outcome.CANCELLED:
            return f"{what} was cancelled"
        case _ if attestation is None:
            if verdict.doubt:
                return f"The evidence of {what} cannot be read"
            is_searched = verdict.reason == NOT_FOUND
            return (
                f"No {'attestation was found' if is_searched else 'evidence was given'} for {what}"
            )
        case _:
            is_open = lead.is_open(attestation)
            return f"{what} is not attested yet" if is_open else f"{what} was not attested"


def _bypass(policies: Policies) -> str:
    """What was bypassed. The flag may be set where nothing would have blocked the run."""
    if policies.has_gated_violations:
        return "bypassed a gate"
    if policies.violation_count or policies.has_violations:
        return "bypassed a policy"
    return "is attested, its policy check bypassed"


def _blockers(policies: Policies) -> list[str]:
    """Names of the violated policies that stop the pipeline: the gates, else all."""
    violated = [each for each, _ in grouping.violated(policies)]
    gated = [each for each in violated if each.is_gate]
    return list(dict.fromkeys(each.name for each in gated or violated))


def _finding(facts: RunFacts) -> str:
    """First line of the worst violation; empty where there is none, or the job itself failed."""
    worst = next((found[0] for _, found in grouping.violated(facts.policies)), None)
    if worst is None or facts.verdict.outcome in (Outcome.FAILED, Outcome.CANCELLED):
        return ""
    return formatting.cut(findings.lines(worst.violation)[0], _FINDING)


def _byline(facts: RunFacts) -> str:
    branch, commit = formatting.ref(facts), formatting.sha(facts)[:7]
    workflow = formatting.known_workflow(facts)
    author = facts.commit.author_name if facts.commit else ""
    words = [
        workflow,
        f"on {branch}" if branch else "",
        f"at {commit}" if commit else "",
        f"by {author}" if commit and author else "",
    ]
    line = " ".join(filter(None, words))
    run = facts.attestation.run if facts.attestation else None
    when = ""
    if run and run.finished_at:
        when = f"finished {formatting.timestamp(run.finished_at)}"
        when += f" after {formatting.duration(run.duration)}" if run.duration is not None else ""
    elif run and run.started_at:
        when = f"started {formatting.timestamp(run.started_at)}"
    return formatting.cut(", ".join(filter(None, (line, when))), _HEADLINE)


def _describe(attestation: Attestation | None) -> str:
    if attestation and attestation.is_recorded and _RUN_ID.fullmatch(attestation.run.id):
        return f"--id {attestation.run.id} -o statement"
    return ""


def _subject_by_outcome(facts: RunFacts, badge: str) -> str:
    """``[project] Outcome: workflow ref@sha7 (detail)``, cut from its end backwards to fit."""
    head = f"[{_project(facts)}] {badge}: "
    workflow, branch = formatting.workflow_name(facts), formatting.ref(facts)
    commit = formatting.sha(facts)[:7]
    commit = f"@{commit}" if branch and commit else commit
    tail = f" {branch}{commit}" if branch or commit else ""
    if detail := _detail(facts, _LONGEST - len(f"{head}{workflow}{tail} ()")):
        tail += f" ({detail})"
    elif len(head + workflow + tail) > _LONGEST:
        room = _LONGEST - len(head) - len(commit) - 1
        branch = formatting.cut(branch, room - min(len(workflow), 16))
        workflow = formatting.cut(workflow, room - len(branch))
        tail = f" {branch}{commit}" if branch or commit else ""
    return " ".join(f"{head}{workflow}{tail}".split())


def _project(facts: RunFacts) -> str:
    name = formatting.known_project(facts) or formatting.known_workflow(facts)
    return formatting.cut(name or "chainloop-smtp", _PROJECT)


def _subject_by_ref(facts: RunFacts, badge: str) -> str:
    """``[project] [Outcome, sha7, detail] workflow ref``: what changes stands in brackets.

    Mail programs that look at subjects before they join a thread leave out leading brackets (RFC
    5256 section 2.1, and Gmail), so ``workflow ref`` is cut by what all mails of a thread share.
    """
    project = _unbracketed(_project(facts))
    head = f"[{project}] "
    room = _LONGEST - len(head) - len(f"[{_LONGEST_BADGE}, {'f' * 7}] ")
    workflow, branch = _unbracketed(formatting.workflow_name(facts)), formatting.ref(facts)
    if len(f"{workflow} {branch}".strip()) > room:
        branch = formatting.cut(branch, room - 1 - min(len(workflow), room // 2))
        workflow = formatting.cut(workflow, room - 1 - len(branch) if branch else room)
    stem = " ".join(f"{workflow} {_unbracketed(branch)}".split()) or "the run"
    changing = ", ".join(filter(None, (badge, formatting.sha(facts)[:7])))
    if detail := _detail(facts, _LONGEST - len(f"{head}[{changing}, ] {stem}")):
        changing += f", {_unbracketed(detail)}"
    return " ".join(f"{head}[{changing}] {stem}".split())


_LONGEST_BADGE = "Blocked by policy"


def _unbracketed(text: str) -> str:
    return text.replace("[", "(").replace("]", ")")


def _detail(facts: RunFacts, room: int) -> str:
    """The most telling detail that fits into so many characters; empty where none does."""
    details = [_outcome_detail(facts)]
    if where := facts.verdict.where:
        details = [f"{details[0]} {where}".strip(), where, *details]
    return next((each for each in details if len(each) <= room), "")


def _outcome_detail(facts: RunFacts) -> str:
    attestation, policies = facts.attestation, facts.policies
    if facts.has_wrong_signature:
        return lead.jobs_reason(facts.verdict)
    if facts.verdict.outcome in (Outcome.PASSED, Outcome.ATTESTED):
        if facts.verdict.doubt:
            return "evidence in doubt"
        if lead.is_signature_missed(facts):
            return "signature not checked"
    match facts.verdict.outcome:
        case Outcome.ATTESTED | Outcome.VIOLATIONS if not lead.is_retrieved(attestation):
            return "not retrieved"
        case Outcome.PASSED:
            total = formatting.count(policies.evaluation_count, "policy", "policies")
            passed, skipped = f"{policies.passed_count:,} of {total}", policies.skipped_count
            return f"{passed}, {skipped:,} skipped" if skipped else passed
        case Outcome.VIOLATIONS | Outcome.BLOCKED | Outcome.BYPASSED:
            number = policies.violation_count
            return formatting.count(number, "violation") if number else ""
        case Outcome.FAILED | Outcome.NOT_ATTESTED:
            return facts.verdict.reason
        case Outcome.ATTESTED if lead.is_unchecked(policies):
            number = policies.evaluation_count
            return "policy skipped" if number == 1 else f"all {number:,} policies skipped"
        case Outcome.ATTESTED if attestation:
            materials = formatting.count(formatting.material_count(facts), "material")
            return f"{materials}, {'policies not shown' if policies.reference else 'no policies'}"
    return ""
