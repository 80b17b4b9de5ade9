"""Facts -> what the templates see: chosen, marked, sorted, and cut to size. No secret is here.

Every part of the mail is made of the same names, so that all of them say the same.
"""

from dataclasses import replace
from typing import NamedTuple, TypedDict

from chainloop_smtp.message import findings, rows, wording
from chainloop_smtp.message.budget import Limits
from chainloop_smtp.message.clean import clean
from chainloop_smtp.message.comparison import comparison
from chainloop_smtp.message.rows import Fact
from chainloop_smtp.message.wording import Tone, Wording
from chainloop_smtp.model import (
    Attestation,
    Changes,
    EnvValues,
    Evaluation,
    Job,
    Material,
    Outcome,
    Part,
    Policies,
    Verdict,
)


class Attention(NamedTuple):
    """A violated policy.

    Attributes:
        material: Its name; empty: the attestation as a whole.
        description: Its first line.
        findings: For each violation shown, its lines.
        more: What is left out, and where it is; empty when nothing.
    """

    name: str
    is_gate: bool
    material: str
    description: str
    findings: tuple[tuple[str, ...], ...]
    more: str


class Evaluated(NamedTuple):
    """One evaluation and its result.

    Attributes:
        material: Its name, or ``attestation``.
        reasons: Why it was skipped.
    """

    name: str
    material: str
    tone: Tone
    glyph: str
    word: str
    reasons: tuple[str, ...]


class Shown(NamedTuple):
    """A material and what is wrong with it.

    Attributes:
        value: With its tag, where it has one.
        mark: ``missing``, ``not added``, ``violation``, ``gate violated``; empty: nothing.
        more: What is left out of the annotations, and where it is; empty when nothing.
    """

    name: str
    type: str
    value: str
    digest: str
    is_output: bool
    mark: str
    tone: Tone
    glyph: str
    annotations: tuple[Fact, ...]
    more: str


class Section(NamedTuple):
    """A table of facts with its title.

    Attributes:
        more: What is left out, and where it is; empty when nothing.
    """

    title: str
    rows: tuple[Fact, ...]
    more: str = ""

    @property
    def is_wide(self) -> bool:
        """Holds a key that needs more than the usual room."""
        words = (word for row in self.rows for word in row.key.split())
        return any(len(word) > 12 or "_" in word for word in words)


class Changed(NamedTuple):
    """What differs from an earlier run.

    Attributes:
        title: Since when.
        note: One line where nothing changed; empty otherwise.
        summary: Three lines; empty where nothing changed.
        details: Each change.
    """

    title: str
    note: str
    summary: tuple[Fact, ...]
    details: Section


class Facts(TypedDict):
    """Everything that a template may use, by name; each name is always there.

    Attributes:
        attention: The violated policies, gates first.
        attention_more: How many more violated policies there are; empty: none.
        attestation: What the evidence says; None when the run is not attested. Of its environment
            only as much as ``env-values`` lets be seen.
        byline: Workflow, branch, commit and time in pieces, of which the commit may be a link.
        changes: What differs from the earlier run; None when nothing was compared.
        evaluations: The policy evaluations, violated ones first.
        evaluations_more: A line for each kind of evaluation that is left out; empty: none.
        footer: Who sent the mail, and how to change that.
        gated_note: How many violations are in a gate; empty: none.
        job: The CI job that sends the mail. Empty names outside of CI.
        jobs: The jobs and their results; without rows where only this one is known, and well.
        material_count: Materials that were added.
        materials: The materials, missing ones first.
        materials_more: How many more materials there are; empty: none.
        policies: The counts, and what is known of the policies as a whole.
        policies_note: What stands in place of the table of evaluations; empty: the table does.
        policies_title: The heading of that table.
        run_url: Page of the CI run; may be no link (``is web`` tells). Empty: not known.
        sections: Tables of the rest: commit, run, signature, annotations, environment, files.
        verdict: The judgement on the run.
        view_url: Page of the attestation in Chainloop; may be no link. Empty: there is none.
        wording: The words that all parts of the mail share.
    """

    attention: tuple[Attention, ...]
    attention_more: str
    attestation: Attestation | None
    byline: tuple[Fact, ...]
    changes: Changed | None
    evaluations: tuple[Evaluated, ...]
    evaluations_more: tuple[str, ...]
    footer: str
    gated_note: str
    job: Job
    jobs: Section
    material_count: int
    materials: tuple[Shown, ...]
    materials_more: str
    policies: Policies
    policies_note: str
    policies_title: str
    run_url: str
    sections: tuple[Section, ...]
    verdict: Verdict
    view_url: str
    wording: Wording


def facts(
    attestation: Attestation | None,
    job: Job,
    verdict: Verdict,
    words: Wording,
    env_values: EnvValues,
    changes: Changes | None = None,
    enclosed: tuple[Part, ...] = (),
    limits: Limits = Limits(),  # noqa: B008  # frozen
    elsewhere: str = "",
) -> Facts:
    """What a mail shows.

    Args:
        attestation: As it came; it is cleaned here, by the limits.
        job: Cleaned, as is the verdict.
        elsewhere: Where to find what the limits leave out, such as ``see the attached report``.
    """
    whole = clean(attestation, longest=limits.value, longest_id=limits.id)
    cut = _Cut(limits, elsewhere)
    policies = whole.policies if whole else Policies()
    evaluations, passed = cut.evaluations(policies)
    violated = [each for each in policies.evaluations if each.active_violations]
    commit = tuple(cut.commit(row) for row in rows.commit(whole, job))
    sections = (
        Section("Commit", commit),
        Section("Run", rows.run(whole, job)),
        Section("Signature", rows.signing(whole)),
        cut.section("Annotations", rows.annotations(whole), limits.rows),
        cut.section(
            "Environment variables", rows.environment(whole, env_values), limits.environment
        ),
        cut.section("Attached files", rows.enclosed(enclosed), limits.rows),
    )
    return {
        "attention": cut.attention(violated),
        "attention_more": cut.attention_more(violated),
        "attestation": whole and _as_told(whole, env_values),
        "byline": _byline(words, rows.commit_url(whole, job), wording.sha(whole, job)[:7]),
        "changes": cut.changes(changes) if changes else None,
        "evaluations": evaluations,
        "evaluations_more": passed,
        "footer": rows.footer(job) + cut.note,
        "gated_note": _gated_note(policies),
        "job": job,
        "jobs": cut.section("Jobs", _jobs(job), limits.rows),
        "material_count": wording.material_count(whole) if whole else 0,
        "materials": cut.materials(whole),
        "materials_more": cut.materials_more(whole),
        "policies": policies,
        "policies_note": _policies_note(policies),
        "policies_title": _policies_title(policies),
        "run_url": (whole.runner.url if whole else "") or job.run_url,
        "sections": tuple(section for section in sections if section.rows),
        "verdict": verdict,
        "view_url": whole.view_url if whole else "",
        "wording": words,
    }


def weight(attestation: Attestation) -> int:
    """How many things there are to show: materials, evaluations, violations."""
    evaluations = attestation.policies.evaluations
    violations = sum(len(each.violations) for each in evaluations)
    return len(attestation.materials) + len(evaluations) + violations


def _as_told(attestation: Attestation, env_values: EnvValues) -> Attestation:
    """The attestation with no more of its environment than the user lets templates see."""
    match env_values:
        case EnvValues.SHOW:
            return attestation
        case EnvValues.NAMES:
            names = tuple(replace(each, value="") for each in attestation.environment)
            return replace(attestation, environment=names)
        case _:
            return replace(attestation, environment=())


def registration(words: Wording, registered: tuple[Fact, ...]) -> Facts:
    """What the registration mail shows, under the same names; it is about no run."""
    shown = facts(None, Job(), Verdict(outcome=Outcome.NOT_ATTESTED), words, EnvValues.HIDE)
    shown["sections"] = (Section("Registration", registered),)
    shown["footer"] = (
        "Sent by chainloop-smtp, on behalf of whoever registered this address with it."
    )
    return shown


class _Cut:
    """What the limits leave of each kind, and what is said of the rest.

    Attributes:
        note: Says that something is left out; empty when nothing is.
    """

    def __init__(self, limits: Limits, elsewhere: str) -> None:
        self._limits = limits
        self._elsewhere = f": {elsewhere}" if elsewhere else ""
        self.note = f" Not everything fits in here{self._elsewhere}." if limits != Limits() else ""

    def attention(self, violated: list[Evaluation]) -> tuple[Attention, ...]:
        return tuple(self._attention(each) for each in self._urgent(violated))

    def attention_more(self, violated: list[Evaluation]) -> str:
        left = len(violated) - len(self._urgent(violated))
        return self._more(left, "more violated policy", "more violated policies")

    def _urgent(self, violated: list[Evaluation]) -> list[Evaluation]:
        gated = [each for each in violated if each.is_gate]
        advisory = [each for each in violated if not each.is_gate]
        return [*gated[: self._limits.gated], *advisory[: self._limits.advisory]]

    def _attention(self, each: Evaluation) -> Attention:
        violations = each.active_violations
        shown = violations[: self._limits.messages]
        return Attention(
            name=each.name,
            is_gate=each.is_gate,
            material=each.material,
            description=next(iter(findings.unmarked(each.description)), ""),
            findings=tuple(self._lines(findings.lines(violation)) for violation in shown),
            more=self._more(len(violations) - len(shown), "more finding", "more findings"),
        )

    def _lines(self, lines: tuple[str, ...]) -> tuple[str, ...]:
        left = len(lines) - len(lines[: self._limits.lines])
        note = self._more(left, "more line", "more lines")
        return (*lines[: self._limits.lines], note) if note else lines

    def evaluations(self, policies: Policies) -> tuple[tuple[Evaluated, ...], tuple[str, ...]]:
        """The rows, and a line for each kind of row that is left out."""
        named = [_evaluated(each) for each in policies.evaluations]
        notes = []
        if self._limits.passed is not None:
            passed = [each.name for each in named if each.tone is Tone.OK]
            named = [each for each in named if each.tone is not Tone.OK]
            notes = [self._passed(passed)] if passed else []
        shown = named[: self._limits.rows]
        if left := len(named) - len(shown):
            notes.insert(0, self._more(left, "more evaluation", "more evaluations"))
        return tuple(shown), tuple(notes)

    def _passed(self, names: list[str]) -> str:
        """``38 passed: a, b, c and 35 more: see the attached report``."""
        first = ", ".join(names[: self._limits.passed])
        left = len(names) - (self._limits.passed or 0)
        more = f" and {left:,} more{self._elsewhere}" if left > 0 else ""
        return f"{len(names):,} passed: {first}{more}"

    def materials(self, attestation: Attestation | None) -> tuple[Shown, ...]:
        return tuple(self._material(*each) for each in self._weighty(attestation))

    def materials_more(self, attestation: Attestation | None) -> str:
        total = len(attestation.materials) if attestation else 0
        left = total - len(self._weighty(attestation))
        return self._more(left, "more material", "more materials")

    def _weighty(self, attestation: Attestation | None) -> list[tuple[Material, str]]:
        """Missing ones first; where there are too many, then those marked, and outputs."""
        marked = _marked(attestation)
        if self._limits.materials is not None and len(marked) > self._limits.materials:
            marked.sort(key=lambda each: (each[1] != "missing", not each[1], not each[0].is_output))
        return marked[: self._limits.materials]

    def _material(self, material: Material, mark: str) -> Shown:
        noted = material.annotations[: self._limits.annotations]
        left = len(material.annotations) - len(noted)
        tone, glyph = _MARKS.get(mark, (Tone.IDLE, ""))
        return Shown(
            name=material.name,
            type=material.type,
            value=f"{material.value}:{material.tag}" if material.tag else material.value,
            digest=material.digest,
            is_output=bool(material.is_output),
            mark=mark,
            tone=tone,
            glyph=glyph,
            annotations=tuple(Fact(each.name, each.value or "not set") for each in noted),
            more=self._more(left, "more annotation", "more annotations"),
        )

    def section(self, title: str, facts: tuple[Fact, ...], limit: int | None) -> Section:
        shown = facts[:limit]
        return Section(title, shown, self._more(len(facts) - len(shown), "more", "more"))

    def changes(self, changes: Changes) -> Changed:
        cleaned = clean(changes, longest=self._limits.value, longest_id=self._limits.id)
        whole = comparison(cleaned)
        return Changed(
            title=whole.title,
            note=whole.note,
            summary=whole.summary,
            details=self.section(whole.title, whole.details, self._limits.materials),
        )

    def commit(self, row: Fact) -> Fact:
        longest = self._limits.commit_message
        if row.key != "Message" or longest is None or len(row.value) <= longest:
            return row
        return row._replace(value=f"{row.value[:longest]}... (cut)")

    def _more(self, left: int, noun: str, plural: str) -> str:
        return f"and {wording.count(left, noun, plural)}{self._elsewhere}" if left > 0 else ""


_MARKS = {
    "missing": (Tone.WARN, "!"),
    "not added": (Tone.IDLE, "–"),
    "violation": (Tone.WARN, "!"),
    "gate violated": (Tone.DANGER, "✕"),
}


def _evaluated(each: Evaluation) -> Evaluated:
    if each.active_violations:
        result = (
            (Tone.DANGER, "✕", "Violated, gate") if each.is_gate else (Tone.WARN, "!", "Violated")
        )
    else:
        result = (Tone.IDLE, "–", "Skipped") if each.is_skipped else (Tone.OK, "✓", "Passed")
    return Evaluated(each.name, each.material or "attestation", *result, each.skip_reasons)


def _marked(attestation: Attestation | None) -> list[tuple[Material, str]]:
    """Materials with their marks, missing ones first."""
    if attestation is None:
        return []
    violated = [each for each in attestation.policies.evaluations if each.active_violations]
    gated = {each.material for each in violated if each.is_gate}
    advisory = {each.material for each in violated}

    def mark(material: Material) -> str:
        if not material.is_set:
            return "missing" if material.is_required else "not added"
        if material.name in gated:
            return "gate violated"
        return "violation" if material.name in advisory else ""

    marked = [(material, mark(material)) for material in attestation.materials]
    return sorted(marked, key=lambda each: each[1] != "missing")


def _jobs(job: Job) -> tuple[Fact, ...]:
    """The jobs with their results, where more than one is known."""
    results = wording.results(job)
    return tuple(Fact(each.name, each.value) for each in results) if len(results) > 1 else ()


def _byline(words: Wording, url: str, sha: str) -> tuple[Fact, ...]:
    """The byline in pieces: the commit's with its page, if there is one."""
    before, found, after = words.byline.partition(sha) if sha and url else (words.byline, "", "")
    pieces = (Fact("", before), Fact("", found, "", url), Fact("", after))
    return tuple(piece for piece in pieces if piece.value)


def _policies_title(policies: Policies) -> str:
    number = policies.evaluation_count
    counts = [f"{number:,}"] if number or not _is_untold(policies) else []
    counts += [f"{policies.suppressed_count:,} suppressed"] if policies.suppressed_count else []
    return "Policy evaluations" + (f" ({', '.join(counts)})" if counts else "")


def _policies_note(policies: Policies) -> str:
    """What stands in place of the table of evaluations; empty where there is the table."""
    if policies.evaluations:
        return ""
    if not policies.evaluation_count and not _is_untold(policies):
        return "No policies apply to this attestation."
    if policies.violation_count:
        found = wording.count(policies.violation_count, "violation")
    elif policies.has_violations:
        found = "There are violations"
    else:
        found = "No violations" if policies.evaluation_count else "Not part of this evidence"
    stored = f"; the details are stored in Chainloop under {policies.reference}"
    return found + (stored if policies.reference else ".")


def _is_untold(policies: Policies) -> bool:
    """Policies were evaluated, and how many is not said."""
    return not policies.evaluation_count and bool(policies.reference or policies.has_violations)


def _gated_note(policies: Policies) -> str:
    gated = sum(len(each.active_violations) for each in policies.evaluations if each.is_gate)
    return f"{gated} in a gate" if gated else ""
