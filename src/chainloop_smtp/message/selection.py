"""Facts, limits -> what is shown of each kind, marked and sorted, and a word on the rest."""

from typing import NamedTuple

from chainloop_smtp.message import findings, formatting
from chainloop_smtp.message.budget import ROW, Limits
from chainloop_smtp.message.comparison import Changed, comparison
from chainloop_smtp.message.rows import Fact, Section
from chainloop_smtp.message.wording import Tone
from chainloop_smtp.model.attested import (
    Attestation,
    Evaluation,
    Material,
    Policies,
    Strategy,
    Violation,
)
from chainloop_smtp.model.facts import Changes


class Attention(NamedTuple):
    """A violated policy.

    Attributes:
        is_gate: A violation of it stops the pipeline, whatever the strategy.
        standing: What a violation of it does: ``Gate`` and ``Enforced`` stop, ``Advisory`` tells.
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
    standing: str
    tone: Tone
    glyph: str


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


class Selection:
    """What the limits leave of each kind, and what is said of the rest.

    Attributes:
        note: Says that something is left out; empty when nothing is.
    """

    def __init__(self, limits: Limits, elsewhere: str = "") -> None:
        self._limits = limits
        self._elsewhere = f": {elsewhere}" if elsewhere else ""
        self.note = f" Not everything fits in here{self._elsewhere}." if limits != Limits() else ""

    def attention(self, policies: Policies) -> tuple[Attention, ...]:
        """The violated policies, gates first."""
        is_enforced = policies.strategy is Strategy.ENFORCED
        return tuple(
            self._attention(each, is_enforced) for each in self._urgent(_violated(policies))
        )

    def attention_more(self, policies: Policies) -> str:
        """How many of them are left out; empty: none."""
        violated = _violated(policies)
        left = len(violated) - len(self._urgent(violated))
        return self._more(left, "more violated policy", "more violated policies")

    def _urgent(self, violated: list[Evaluation]) -> list[Evaluation]:
        gated = [each for each in violated if each.is_gate]
        advisory = [each for each in violated if not each.is_gate]
        return [*gated[: self._limits.gated], *advisory[: self._limits.advisory]]

    def _attention(self, each: Evaluation, is_enforced: bool) -> Attention:
        tone, glyph = _VIOLATED[each.is_gate or is_enforced]
        violations = each.active_violations
        shown = violations[: self._limits.messages]
        return Attention(
            name=each.name,
            is_gate=each.is_gate,
            material=each.material,
            description=next(iter(findings.unmarked(each.description)), ""),
            findings=tuple(self._lines(findings.lines(violation)) for violation in shown),
            more=self._more(len(violations) - len(shown), "more finding", "more findings"),
            standing="Gate" if each.is_gate else "Enforced" if is_enforced else "Advisory",
            tone=tone,
            glyph=glyph,
        )

    def _lines(self, lines: tuple[str, ...]) -> tuple[str, ...]:
        left = len(lines) - len(lines[: self._limits.lines])
        note = self._more(left, "more line", "more lines")
        return (*lines[: self._limits.lines], note) if note else lines

    def row_count(self, attestation: Attestation | None) -> int:
        """How many findings, evaluations and materials are shown."""
        if attestation is None:
            return 0
        violations = self._violations(attestation.policies)
        evaluations = self._rows(attestation.policies)
        return len(violations) + len(evaluations) + len(self._weighty(attestation))

    def size(self, attestation: Attestation | None) -> int:
        """About how many characters there are to be written.

        They are counted and not timed, so that the same evidence makes the same mail everywhere.
        """
        if attestation is None:
            return 0
        limits = self._limits
        violations = self._violations(attestation.policies)
        texts = [each.message for each in violations]
        texts += [each.finding.recommendation for each in violations if each.finding]
        rows = (
            self.row_count(attestation)
            + sum(text.count("\n") for text in texts)
            + sum(
                len(each.skip_reasons[: limits.lines]) for each in self._rows(attestation.policies)
            )
            + sum(
                len(material.annotations[: limits.annotations])
                for material, _ in self._weighty(attestation)
            )
            + len(attestation.annotations[: limits.rows])
            + len(attestation.environment[: limits.environment])
        )
        return sum(map(len, texts)) + ROW * rows

    def _violations(self, policies: Policies) -> list[Violation]:
        return [
            violation
            for each in self._urgent(_violated(policies))
            for violation in each.active_violations[: self._limits.messages]
        ]

    def _rows(self, policies: Policies) -> list[Evaluation]:
        """The evaluations with a row of their own."""
        rows = [
            each
            for each in policies.evaluations
            if self._limits.passed is None or not _is_passed(each)
        ]
        return rows[: self._limits.rows]

    def evaluations(self, policies: Policies) -> tuple[tuple[Evaluated, ...], tuple[str, ...]]:
        """The rows, and a line for each kind of row that is left out."""
        is_enforced = policies.strategy is Strategy.ENFORCED
        rows = self._rows(policies)
        passed = [each.name for each in policies.evaluations if _is_passed(each)]
        in_a_line = passed if self._limits.passed is not None else []
        left = len(policies.evaluations) - len(in_a_line) - len(rows)
        notes = (
            self._more(left, "more evaluation", "more evaluations"),
            self._passed(in_a_line) if in_a_line else "",
        )
        shown = (_evaluated(each, is_enforced) for each in rows)
        return (
            tuple(each._replace(reasons=self._lines(each.reasons)) for each in shown),
            tuple(filter(None, notes)),
        )

    def _passed(self, names: list[str]) -> str:
        """``38 passed: a, b, c and 35 more: see the attached report``."""
        first = ", ".join(names[: self._limits.passed])
        left = len(names) - (self._limits.passed or 0)
        more = f" and {left:,} more{self._elsewhere}" if left > 0 else ""
        return f"{len(names):,} passed: {first}{more}"

    def materials(self, attestation: Attestation | None) -> tuple[Shown, ...]:
        """The materials, missing ones first."""
        return tuple(self._material(*each) for each in self._weighty(attestation))

    def materials_more(self, attestation: Attestation | None) -> str:
        """How many of them are left out; empty: none."""
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
        """A table of facts."""
        shown = facts[:limit]
        return Section(title, shown, self._more(len(facts) - len(shown), "more", "more"))

    def changes(self, changes: Changes) -> Changed:
        """What differs from an earlier run."""
        whole = comparison(changes)
        title, rows, _ = whole.details
        return whole._replace(details=self.section(title, rows, self._limits.materials))

    def commit(self, row: Fact) -> Fact:
        """A row about the commit; of these, only the message is ever cut."""
        longest = self._limits.commit_message
        if row.key != "Message" or longest is None or len(row.value) <= longest:
            return row
        return row._replace(value=f"{row.value[:longest]}... (cut)")

    def _more(self, left: int, noun: str, plural: str) -> str:
        return f"and {formatting.count(left, noun, plural)}{self._elsewhere}" if left > 0 else ""


_MARKS = {
    "missing": (Tone.WARN, "!"),
    "not added": (Tone.IDLE, "–"),
    "violation": (Tone.WARN, "!"),
    "gate violated": (Tone.DANGER, "✕"),
}


# By whether a violation stops the pipeline.
_VIOLATED = {True: (Tone.DANGER, "✕"), False: (Tone.WARN, "!")}


def _violated(policies: Policies) -> list[Evaluation]:
    return [each for each in policies.evaluations if each.active_violations]


def _is_passed(each: Evaluation) -> bool:
    return not each.active_violations and not each.is_skipped


def _evaluated(each: Evaluation, is_enforced: bool) -> Evaluated:
    if each.active_violations:
        word = "Violated, gate" if each.is_gate else "Violated"
        result = (*_VIOLATED[each.is_gate or is_enforced], word)
    else:
        result = (Tone.IDLE, "–", "Skipped") if each.is_skipped else (Tone.OK, "✓", "Passed")
    return Evaluated(each.name, each.material or "attestation", *result, each.skip_reasons)


def _marked(attestation: Attestation | None) -> list[tuple[Material, str]]:
    """Materials with their marks, missing ones first."""
    if attestation is None:
        return []
    violated = _violated(attestation.policies)
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
