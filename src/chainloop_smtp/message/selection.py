"""Facts, limits -> what is shown of each kind, marked and sorted, and a note on the rest."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from chainloop_smtp.message import findings, formatting, grouping
from chainloop_smtp.message.budget import FULL, ROW, Limits
from chainloop_smtp.message.grouping import Found, Group, Names
from chainloop_smtp.message.rows import Fact, Section
from chainloop_smtp.message.wording import GLYPHS, Tone
from chainloop_smtp.model.attested import Evaluation, Material, Strategy
from chainloop_smtp.model.facts import RunFacts


class Place(NamedTuple):
    """Findings of one policy that the same materials have.

    Attributes:
        where: The materials; empty where it is one, and named above.
        findings: For each, its lines.
    """

    where: str
    findings: tuple[tuple[str, ...], ...]


class Attention(NamedTuple):
    """A violated policy.

    Attributes:
        is_gate: A violation of it stops the pipeline, whatever the strategy.
        standing: What a violation of it does: ``Gate`` and ``Enforced`` stop, ``Advisory`` tells.
        where: What violates it: ``material sbom``, ``the attestation``, ``24 of 26 materials``.
        description: Its first line.
        summary: How many violations there are, how many of them differ, and how many are how
            severe; empty where there is one.
        places: The findings, each once, the worst first.
        more: What is left out, and where it is; empty when nothing.
    """

    name: str
    is_gate: bool
    where: str
    description: str
    summary: str
    places: tuple[Place, ...]
    more: str
    standing: str
    tone: Tone
    glyph: str

    @property
    def findings(self) -> tuple[tuple[str, ...], ...]:
        """For each finding shown, its lines."""
        return tuple(lines for place in self.places for lines in place.findings)


class Suppressed(NamedTuple):
    """What violates a policy and was judged irrelevant.

    Attributes:
        where: As of a violated policy.
        places: The findings.
        more: What is left out, and where it is; empty when nothing.
    """

    name: str
    where: str
    places: tuple[Place, ...]
    more: str


class Evaluated(NamedTuple):
    """The evaluations of one policy that have the same result.

    Attributes:
        material: Its name, or ``attestation``; of several the number and the names.
        reasons: Why it was skipped.
    """

    name: str
    material: str
    tone: Tone
    glyph: str
    word: str
    reasons: tuple[str, ...]


class Twin(NamedTuple):
    """A material that differs from another one in its platform only.

    Attributes:
        value: With its tag, where it has one.
    """

    name: str
    value: str
    digest: str


class Shown(NamedTuple):
    """A material and what is wrong with it.

    Attributes:
        value: With its tag, where it has one.
        mark: ``missing``, ``not added``, ``violation``, ``gate violated``; empty: nothing.
        more: What is left out of the annotations, and where it is; empty when nothing.
        twins: Those for other platforms, of which all the rest is the same.
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
    twins: tuple[Twin, ...] = ()


class Selection:
    """What the limits leave of one run's facts, and notes on the rest.

    Attributes:
        facts: Cleaned, and cut by the limits.
        limits: What is shown at most.
        violated: The violated policies that are shown, gates first, and their findings.
        note: Says that something is left out; empty when nothing is.
        row_count: How many findings, evaluations and materials are shown.
    """

    def __init__(
        self, facts: RunFacts, limits: Limits = FULL, elsewhere: str = "", is_cut: bool = False
    ) -> None:
        """Selects.

        Args:
            elsewhere: Where to find what the limits leave out, such as ``see the attached report``.
            is_cut: Values are cut whatever the limits.
        """
        policies = facts.policies
        self.facts = facts
        self._is_enforced = policies.strategy is Strategy.ENFORCED
        self.limits = limits
        self._elsewhere = f": {elsewhere}" if elsewhere else ""
        self.note = (
            f" Not everything fits in here{self._elsewhere}." if is_cut or limits != FULL else ""
        )
        self._names = Names(facts.materials)
        violated = grouping.violated(policies)
        gates = [each for each in violated if each[0].is_gate][: limits.gated]
        advisory = [each for each in violated if not each[0].is_gate][: limits.advisory]
        self.violated = [*gates, *advisory]
        self._attention_left = len(violated) - len(self.violated)
        suppressed = [(each, each.suppressed()) for each in grouping.groups(policies)]
        suppressed = [each for each in suppressed if each[1]]
        self._suppressed = suppressed[: limits.advisory]
        self._suppressed_left = len(suppressed) - len(self._suppressed)
        self._violations = [
            each.violation
            for _, found in (*self.violated, *self._suppressed)
            for each in found[: limits.messages]
        ]
        # The passed ones may have one line in place of their rows.
        in_a_line = "" if limits.passed is None else _PASSED
        words = [(each, _word(each)) for each in policies.evaluations]
        self._in_a_line = Counter(each.name for each, word in words if word == in_a_line)
        rows = _rows(each for each, word in words if word != in_a_line)
        self._rows = rows[: limits.rows]
        self._rows_left = sum(map(len, rows[len(self._rows) :]))
        materials = _marked(facts, limits.materials)
        self._materials = materials[: limits.materials]
        self._materials_left = len(materials) - len(self._materials)
        self.row_count = len(self._violations) + len(self._rows) + len(self._materials)

    def size(self) -> int:
        """About how many characters there are to write.

        Counted rather than timed, so that the same evidence makes the same mail everywhere.
        """
        limits, attestation = self.limits, self.facts.attestation
        texts = [each.message for each in self._violations]
        texts += [each.finding.recommendation for each in self._violations if each.finding]
        rows = self.row_count + sum(text.count("\n") for text in texts)
        rows += sum(len(each[0].skip_reasons[: limits.lines]) for each in self._rows)
        rows += sum(len(each.annotations[: limits.annotations]) for each, _ in self._materials)
        if attestation:
            rows += len(attestation.annotations[: limits.rows])
            rows += len(attestation.environment[: limits.environment])
        return sum(map(len, texts)) + ROW * rows

    def listed(self, names: Sequence[str]) -> str:
        """Names of materials."""
        return self._names.listed(names, self.limits.names)

    def more(self, left: int, noun: str, plural: str = "") -> str:
        """How many are left out, and where they are; empty: none."""
        return f"and {formatting.count(left, noun, plural)}{self._elsewhere}" if left > 0 else ""

    def attention(self) -> tuple[Attention, ...]:
        """The violated policies, gates first."""
        return tuple(self._policy(*each) for each in self.violated)

    def attention_more(self) -> str:
        """How many of them are left out; empty: none."""
        return self.more(self._attention_left, "more violated policy", "more violated policies")

    def _policy(self, group: Group, found: tuple[Found, ...]) -> Attention:
        tone = self._tone(is_gate=group.is_gate)
        places, more = self._places(found)
        return Attention(
            name=group.name,
            is_gate=group.is_gate,
            where=self._where(group.violated, group.evaluations),
            description=group.description,
            summary=_summary(found),
            places=places,
            more=more,
            standing="Gate" if group.is_gate else "Enforced" if self._is_enforced else "Advisory",
            tone=tone,
            glyph=GLYPHS[tone],
        )

    def _tone(self, *, is_gate: bool) -> Tone:
        """Of a violation, by whether it stops the pipeline."""
        return Tone.DANGER if is_gate or self._is_enforced else Tone.WARN

    def suppressed(self) -> tuple[Suppressed, ...]:
        """The findings that do not count, by policy."""
        return tuple(self._ignored(*each) for each in self._suppressed)

    def suppressed_more(self) -> str:
        """How many policies with such findings are left out; empty: none."""
        return self.more(
            self._suppressed_left,
            "more policy with suppressed findings",
            "more policies with suppressed findings",
        )

    def _ignored(self, group: Group, found: tuple[Found, ...]) -> Suppressed:
        some = [each for each in group.evaluations if each.suppressed_violations]
        return Suppressed(group.name, self._where(some, group.evaluations), *self._places(found))

    def _places(self, found: tuple[Found, ...]) -> tuple[tuple[Place, ...], str]:
        """The findings by their materials, and a note on what is left out."""
        shown = found[: self.limits.messages]
        everywhere = {name for each in found for name in each.materials}
        is_one_place = len({each.materials for each in found}) == 1
        places = []
        for materials, members in groupby(shown, lambda each: each.materials):
            where = "" if len(everywhere) == 1 else self.listed(materials)
            if len(materials) == len(everywhere) > 1 and not is_one_place:
                where = f"all {len(everywhere):,}"
            lines = tuple(self._lines(findings.lines(each.violation)) for each in members)
            places.append(Place(where, lines))
        more = self.more(len(found) - len(shown), "more finding")
        return tuple(places), more

    def _where(self, some: Sequence[Evaluation], all_: Sequence[Evaluation]) -> str:
        """``material sbom``, ``material sbom, 1 of 3 evaluated``, ``24 of 26 materials``."""
        names, total = grouping.distinct_names(some), len(grouping.distinct_names(all_))
        if len(names) == 1:
            where = f"material {self._names.label(names[0])}" if names[0] else "the attestation"
            return f"{where}, 1 of {total:,} evaluated" if total > 1 else where
        return f"{len(names):,} of {total:,} {'subjects' if '' in names else 'materials'}"

    def evaluations(self) -> tuple[Evaluated, ...]:
        """Those that have a row."""
        return tuple(map(self._evaluated, self._rows))

    def evaluations_more(self) -> tuple[str, ...]:
        """A line for each kind of evaluation that has no row."""
        lines = (
            self.more(self._rows_left, "more evaluation"),
            self._passed(self._in_a_line) if self._in_a_line else "",
        )
        return tuple(filter(None, lines))

    def _evaluated(self, members: list[Evaluation]) -> Evaluated:
        first, names = members[0], grouping.distinct_names(members)
        # Nothing is green that rests on a signature that does not verify.
        is_idle = first.is_skipped or self.facts.has_wrong_signature
        tone = Tone.IDLE if is_idle else Tone.OK
        if first.active_violations:
            tone = self._tone(is_gate=first.is_gate)
        where = f"{len(names):,}: {self.listed(names)}" if len(names) > 1 else ""
        return Evaluated(
            name=first.name,
            material=where or self._names.label(names[0]),
            tone=tone,
            glyph=GLYPHS[tone],
            word=_word(first),
            reasons=self._lines(first.skip_reasons),
        )

    def _passed(self, counts: Counter[str]) -> str:
        """``62 passed: a (24), b, c and 35 more: see the attached report``."""
        names = [f"{name} ({number:,})" if number > 1 else name for name, number in counts.items()]
        first = ", ".join(names[: self.limits.passed])
        left = len(names) - (self.limits.passed or 0)
        more = f" and {left:,} more{self._elsewhere}" if left > 0 else ""
        return f"{counts.total():,} passed: {first}{more}"

    def materials(self) -> tuple[Shown, ...]:
        """The materials, missing ones first; platform twins are one."""
        families: dict[tuple[object, ...], list[Material]] = {}
        for each, mark in self._materials:
            stem, _ = grouping.without_platform(each.name)
            key = (stem, mark, each.type, each.is_output, each.annotations)
            families.setdefault(key, []).append(each)
        return tuple(self._material(members, str(key[1])) for key, members in families.items())

    def materials_more(self) -> str:
        """How many of them are left out; empty: none."""
        return self.more(self._materials_left, "more material")

    def _material(self, members: list[Material], mark: str) -> Shown:
        material = members[0]
        shown = material.annotations[: self.limits.annotations]
        left = len(material.annotations) - len(shown)
        tone = _MARKS[mark]
        return Shown(
            name=material.name,
            type=material.type,
            value=formatting.material_value(material),
            digest=material.digest,
            is_output=bool(material.is_output),
            mark=mark,
            tone=tone,
            glyph=GLYPHS[tone] if mark else "",
            annotations=tuple(Fact(each.name, each.value or "not set") for each in shown),
            more=self.more(left, "more annotation"),
            twins=tuple(
                Twin(each.name, formatting.material_value(each), each.digest)
                for each in members[1:]
            ),
        )

    def section(self, title: str, facts: tuple[Fact, ...], limit: int | None) -> Section:
        """A table of facts."""
        shown = facts[:limit]
        return Section(title, shown, self.more(len(facts) - len(shown), "more", "more"))

    def commit(self, row: Fact) -> Fact:
        """A row about the commit; of these, only the message is ever cut."""
        longest = self.limits.commit_message
        if row.key != "Message" or longest is None or len(row.value) <= longest:
            return row
        return row._replace(value=f"{row.value[:longest]}... (cut)")

    def _lines(self, lines: tuple[str, ...]) -> tuple[str, ...]:
        left = len(lines) - len(lines[: self.limits.lines])
        note = self.more(left, "more line")
        return (*lines[: self.limits.lines], note) if note else lines


_MARKS = {
    "missing": Tone.WARN,
    "not added": Tone.IDLE,
    "violation": Tone.WARN,
    "gate violated": Tone.DANGER,
    "": Tone.IDLE,
}
_PASSED = "Passed"
_ORDER = ("Violated, gate", "Violated", "Skipped", _PASSED)


def _summary(found: tuple[Found, ...]) -> str:
    """``48 violations, 16 different: 2 critical, 14 high``; empty where there is one."""
    number = sum(each.number for each in found)
    if number == 1:
        return ""
    counts = grouping.severities(found)
    return "".join(
        (
            f"{number:,} violations",
            f", {len(found):,} different" if len(found) < number else "",
            ": " if counts else "",
            ", ".join(f"{count:,} {severity}" for severity, count in counts.items()),
        )
    )


def _rows(evaluations: Iterable[Evaluation]) -> list[list[Evaluation]]:
    """Those of one policy that have the same result have a row in common."""
    rows: dict[tuple[object, ...], list[Evaluation]] = {}
    for each in evaluations:
        key = (each.name, each.is_gate, _word(each), each.skip_reasons)
        rows.setdefault(key, []).append(each)
    return sorted(rows.values(), key=lambda each: _ORDER.index(_word(each[0])))


def _word(each: Evaluation) -> str:
    if each.active_violations:
        return "Violated, gate" if each.is_gate else "Violated"
    return "Skipped" if each.is_skipped else _PASSED


def _marked(facts: RunFacts, longest: int | None) -> list[tuple[Material, str]]:
    """The materials with their marks: missing ones first, then, where not all fit, marked ones."""
    violated = [each for each in facts.policies.evaluations if each.active_violations]
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
