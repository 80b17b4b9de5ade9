"""Facts, limits -> what is shown of each kind, marked and sorted, and a note on the rest."""

from functools import partial
from typing import NamedTuple

from chainloop_smtp.message import findings, formatting
from chainloop_smtp.message.budget import FULL, ROW, Limits
from chainloop_smtp.message.comparison import Changed, comparison
from chainloop_smtp.message.rows import Fact, Section
from chainloop_smtp.message.wording import Tone
from chainloop_smtp.model.attested import Evaluation, Material, Strategy
from chainloop_smtp.model.facts import Changes, RunFacts


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
    """What the limits leave of one run's facts, and notes on the rest.

    Attributes:
        note: Says that something is left out; empty when nothing is.
        row_count: How many findings, evaluations and materials are shown.
    """

    def __init__(self, facts: RunFacts, limits: Limits = FULL, elsewhere: str = "") -> None:
        policies = facts.policies
        self._attestation = facts.attestation
        self._is_enforced = policies.strategy is Strategy.ENFORCED
        self._limits = limits
        self._elsewhere = f": {elsewhere}" if elsewhere else ""
        self.note = f" Not everything fits in here{self._elsewhere}." if limits != FULL else ""
        violated = findings.violated(policies)
        gates = [each for each in violated if each.is_gate][: limits.gated]
        advisory = [each for each in violated if not each.is_gate][: limits.advisory]
        self._attention = [*gates, *advisory]
        self._attention_left = len(violated) - len(self._attention)
        self._violations = [
            violation
            for each in self._attention
            for violation in each.active_violations[: limits.messages]
        ]
        is_in_a_line = partial(_is_in_a_line, limits)
        self._in_a_line = [each.name for each in policies.evaluations if is_in_a_line(each)]
        rows = [each for each in policies.evaluations if not is_in_a_line(each)]
        self._rows = rows[: limits.rows]
        self._rows_left = len(rows) - len(self._rows)
        materials = _marked(facts, limits.materials)
        self._materials = materials[: limits.materials]
        self._materials_left = len(materials) - len(self._materials)
        self.row_count = len(self._violations) + len(self._rows) + len(self._materials)

    def size(self) -> int:
        """About how many characters there are to write.

        Counted rather than timed, so that the same evidence makes the same mail everywhere.
        """
        limits, attestation = self._limits, self._attestation
        texts = [each.message for each in self._violations]
        texts += [each.finding.recommendation for each in self._violations if each.finding]
        rows = self.row_count + sum(text.count("\n") for text in texts)
        rows += sum(len(each.skip_reasons[: limits.lines]) for each in self._rows)
        rows += sum(len(each.annotations[: limits.annotations]) for each, _ in self._materials)
        if attestation:
            rows += len(attestation.annotations[: limits.rows])
            rows += len(attestation.environment[: limits.environment])
        return sum(map(len, texts)) + ROW * rows

    def attention(self) -> tuple[Attention, ...]:
        """The violated policies, gates first."""
        return tuple(map(self._violated, self._attention))

    def attention_more(self) -> str:
        """How many of them are left out; empty: none."""
        return self._more(self._attention_left, "more violated policy", "more violated policies")

    def _violated(self, each: Evaluation) -> Attention:
        tone, glyph = _VIOLATED[each.is_gate or self._is_enforced]
        violations = each.active_violations
        shown = violations[: self._limits.messages]
        return Attention(
            name=each.name,
            is_gate=each.is_gate,
            material=each.material,
            description=next(iter(findings.unmarked(each.description)), ""),
            findings=tuple(self._lines(findings.lines(violation)) for violation in shown),
            more=self._more(len(violations) - len(shown), "more finding", "more findings"),
            standing="Gate" if each.is_gate else "Enforced" if self._is_enforced else "Advisory",
            tone=tone,
            glyph=glyph,
        )

    def evaluations(self) -> tuple[Evaluated, ...]:
        """Those that have a row."""
        return tuple(map(self._evaluated, self._rows))

    def evaluations_more(self) -> tuple[str, ...]:
        """A line for each kind of evaluation that has no row."""
        lines = (
            self._more(self._rows_left, "more evaluation", "more evaluations"),
            self._passed(self._in_a_line) if self._in_a_line else "",
        )
        return tuple(filter(None, lines))

    def _evaluated(self, each: Evaluation) -> Evaluated:
        if each.active_violations:
            word = "Violated, gate" if each.is_gate else "Violated"
            result = (*_VIOLATED[each.is_gate or self._is_enforced], word)
        else:
            result = (Tone.IDLE, "–", "Skipped") if each.is_skipped else (Tone.OK, "✓", "Passed")
        reasons = self._lines(each.skip_reasons)
        return Evaluated(each.name, each.material or "attestation", *result, reasons)

    def _passed(self, names: list[str]) -> str:
        """``38 passed: a, b, c and 35 more: see the attached report``."""
        first = ", ".join(names[: self._limits.passed])
        left = len(names) - (self._limits.passed or 0)
        more = f" and {left:,} more{self._elsewhere}" if left > 0 else ""
        return f"{len(names):,} passed: {first}{more}"

    def materials(self) -> tuple[Shown, ...]:
        """The materials, missing ones first."""
        return tuple(self._material(*each) for each in self._materials)

    def materials_more(self) -> str:
        """How many of them are left out; empty: none."""
        return self._more(self._materials_left, "more material", "more materials")

    def _material(self, material: Material, mark: str) -> Shown:
        shown = material.annotations[: self._limits.annotations]
        left = len(material.annotations) - len(shown)
        tone, glyph = _MARKS.get(mark, (Tone.IDLE, ""))
        return Shown(
            name=material.name,
            type=material.type,
            value=formatting.material_value(material),
            digest=material.digest,
            is_output=bool(material.is_output),
            mark=mark,
            tone=tone,
            glyph=glyph,
            annotations=tuple(Fact(each.name, each.value or "not set") for each in shown),
            more=self._more(left, "more annotation", "more annotations"),
        )

    def section(self, title: str, facts: tuple[Fact, ...], limit: int | None) -> Section:
        """A table of facts."""
        shown = facts[:limit]
        return Section(title, shown, self._more(len(facts) - len(shown), "more", "more"))

    def changes(self, changes: Changes) -> Changed:
        """What differs from an earlier run."""
        changed = comparison(changes)
        title, rows, _ = changed.details
        return changed._replace(details=self.section(title, rows, self._limits.materials))

    def commit(self, row: Fact) -> Fact:
        """A row about the commit; of these, only the message is ever cut."""
        longest = self._limits.commit_message
        if row.key != "Message" or longest is None or len(row.value) <= longest:
            return row
        return row._replace(value=f"{row.value[:longest]}... (cut)")

    def _lines(self, lines: tuple[str, ...]) -> tuple[str, ...]:
        left = len(lines) - len(lines[: self._limits.lines])
        note = self._more(left, "more line", "more lines")
        return (*lines[: self._limits.lines], note) if note else lines

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


def _is_in_a_line(limits: Limits, each: Evaluation) -> bool:
    """It passed, and the passed ones have one line in place of their rows."""
    return limits.passed is not None and not each.active_violations and not each.is_skipped


def _marked(facts: RunFacts, longest: int | None) -> list[tuple[Material, str]]:
    """The materials with their marks: missing ones first, then, where not all fit, marked ones."""
    violated = findings.violated(facts.policies)
    gated = {each.material for each in violated if each.is_gate}
    advisory = {each.material for each in violated}

    def mark(material: Material) -> str:
        if not material.is_set:
            return "missing" if material.is_required else "not added"
        if material.name in gated:
            return "gate violated"
        return "violation" if material.name in advisory else ""

    marked = [(material, mark(material)) for material in facts.materials]
    if longest is not None and len(marked) > longest:
        return sorted(marked, key=lambda e: (e[1] != "missing", not e[1], not e[0].is_output))
    return sorted(marked, key=lambda each: each[1] != "missing")
