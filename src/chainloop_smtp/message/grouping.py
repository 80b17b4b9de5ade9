"""Policies -> one group a policy, whose findings stand once each, the worst first.

A policy is evaluated against each material of a kind, so a release that is built for three
platforms has each finding three times. Readers want it once, with the materials that have it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import NamedTuple

from chainloop_smtp.message import findings
from chainloop_smtp.model.attested import Evaluation, Material, Policies, Violation

# The words of scanners, of SARIF and of npm; what says nothing stands in the middle.
_RANKS = {
    **dict.fromkeys(("critical",), 0),
    **dict.fromkeys(("high", "error"), 1),
    **dict.fromkeys(("medium", "moderate", "warning"), 2),
    **dict.fromkeys(("low",), 4),
    **dict.fromkeys(("info", "informational", "negligible", "none", "note"), 5),
}
_NO_RANK = 3
# What a package URL says of the one place where a package was found, and of the platform.
_QUALIFIERS = re.compile(r"""(?<![^\s()`'"])(pkg:[^\s()`'"?#]++)\?[^\s()`'"#]*+""")
_PLATFORM = re.compile(
    r"(?i)(?<![A-Za-z0-9])(?:(?:linux|darwin|macos|windows)[-_./])?"
    r"(?:amd64|arm64|armv[5-8]|armhf|x86[-_]64|aarch64|i?386|i686|ppc64le|s390x|riscv64)"
    r"(?![A-Za-z0-9])"
)
_FEW = 3  # names that are read at a glance


class Found(NamedTuple):
    """A finding, once however many materials have it.

    Attributes:
        materials: Names, each once; an empty one is the attestation itself.
        number: Violations that say it.
    """

    violation: Violation
    materials: tuple[str, ...]
    number: int

    @property
    def severity(self) -> str:
        """In lower case; empty when not said."""
        return self.violation.finding.severity.lower() if self.violation.finding else ""

    @property
    def rank(self) -> tuple[int, float]:
        """By severity, then by score; the worst is the least."""
        score = self.violation.finding.score if self.violation.finding else None
        return _RANKS.get(self.severity, _NO_RANK), -(score or 0)


class Group(NamedTuple):
    """All evaluations of one policy.

    Attributes:
        description: Its first line, without marks.
    """

    name: str
    is_gate: bool
    description: str
    evaluations: tuple[Evaluation, ...]

    @property
    def violated(self) -> tuple[Evaluation, ...]:
        """Those with a violation that counts."""
        return tuple(each for each in self.evaluations if each.active_violations)

    @property
    def violation_count(self) -> int:
        """As Chainloop counts, which counts a finding for each material that has it."""
        return sum(len(each.active_violations) for each in self.evaluations)

    def findings(self) -> tuple[Found, ...]:
        """Those that count: the worst first, then those that the most materials have."""
        return _distinct((each, each.active_violations) for each in self.evaluations)

    def suppressed(self) -> tuple[Found, ...]:
        """Those that do not count."""
        return _distinct((each, each.suppressed_violations) for each in self.evaluations)


def groups(policies: Policies) -> list[Group]:
    """The policies in the order of their first evaluations."""
    members: dict[tuple[str, bool, str], list[Evaluation]] = {}
    for each in policies.evaluations:
        description = next(iter(findings.unmarked(each.description)), "")
        members.setdefault((each.name, each.is_gate, description), []).append(each)
    return [Group(*key, tuple(evaluations)) for key, evaluations in members.items()]


def violated(policies: Policies) -> list[tuple[Group, tuple[Found, ...]]]:
    """The violated policies and their findings: gates first, then the worst first."""
    some = [(each, each.findings()) for each in groups(policies) if each.violated]
    return sorted(some, key=lambda each: (not each[0].is_gate, each[1][0].rank[0]))


def distinct_names(evaluations: Iterable[Evaluation]) -> tuple[str, ...]:
    """The names of their materials, each once; an empty one is the attestation itself."""
    return tuple(dict.fromkeys(each.material for each in evaluations))


def severities(found: Iterable[Found]) -> dict[str, int]:
    """How many findings have each severity, the worst first; empty where none says it."""
    return dict(
        Counter(each.severity for each in sorted(found, key=attrgetter("rank")) if each.severity)
    )


def _distinct(
    evaluations: Iterable[tuple[Evaluation, Sequence[Violation]]],
) -> tuple[Found, ...]:
    """Violations of two platforms are alike but for what a package URL says of the platform."""
    alike: dict[Violation, list[tuple[str, Violation]]] = {}
    for evaluation, violations in evaluations:
        for each in violations:
            key = each
            if "pkg:" in each.message:
                key = replace(each, message=_QUALIFIERS.sub(r"\1", each.message))
            alike.setdefault(key, []).append((evaluation.material, each))
    found = []
    for key, members in alike.items():
        same = members[0][1]
        found.append(
            Found(
                violation=same if all(each == same for _, each in members) else key,
                materials=tuple(dict.fromkeys(name for name, _ in members)),
                number=len(members),
            )
        )
    # Those of the same materials stand together.
    order = {each.materials: number for number, each in reversed(list(enumerate(found)))}
    return tuple(
        sorted(found, key=lambda each: (each.rank, -len(each.materials), order[each.materials]))
    )


class Names:
    """The materials of one run -> how a list of them is written.

    A material that Chainloop named by the clock is called by its value, platform twins stand
    together, and all materials of one type are called by that type.
    """

    def __init__(self, materials: Sequence[Material]) -> None:
        values = Counter(each.value for each in materials)
        self._labels = {
            each.name: each.value
            for each in materials
            if each.is_named_by_clock and each.value and values[each.value] == 1
        }
        self._types: dict[str, list[str]] = {}
        for each in materials:
            if each.is_set and each.type:
                self._types.setdefault(each.type, []).append(each.name)

    def label(self, name: str) -> str:
        """One material; empty: the attestation itself."""
        return self._labels.get(name, name) or "attestation"

    def listed(self, names: Sequence[str], limit: int | None = None) -> str:
        """``every SARIF, cli (-amd64, -arm64) and 12 more``.

        Args:
            names: Each once.
            limit: The most that are named; None: all.
        """
        items = folded([self.label(each) for each in names])
        if len(items) > _FEW:
            items = self._by_type(names)
        shown = items[:limit]
        left = sum(number for _, number in items) - sum(number for _, number in shown)
        return ", ".join(text for text, _ in shown) + (f" and {left:,} more" if left else "")

    def _by_type(self, names: Sequence[str]) -> list[tuple[str, int]]:
        """With the types of which there are all, or all but a few."""
        left = dict.fromkeys(names)
        items = []
        for type_, members in self._types.items():
            present = [each for each in dict.fromkeys(members) if each in left]
            absent = [each for each in dict.fromkeys(members) if each not in left]
            if len(present) <= _FEW or len(present) < 4 * len(absent):
                continue
            but = ", ".join(text for text, _ in folded([self.label(each) for each in absent]))
            items.append((f"every {type_}" + (f" but {but}" if but else ""), len(present)))
            left = {each: None for each in left if each not in present}
        return items + folded([self.label(each) for each in left])


def folded(names: Iterable[str]) -> list[tuple[str, int]]:
    """Names, of which platform twins stand together, and how many each text stands for.

    ``cli (also -amd64, -arm64)``, ``cli-*.json (amd64, arm64)``.
    """
    families: dict[str, list[tuple[str, str]]] = {}
    for name in names:
        stem, platform = without_platform(name)
        families.setdefault(stem, []).append((name, platform))
    items = []
    for stem, members in families.items():
        twins = ", ".join(platform for _, platform in members if platform)
        also = "" if all(platform for _, platform in members) else "also "
        text = f"{stem} ({also}{twins})" if len(members) > 1 and twins else members[0][0]
        items.append((text, len(members)))
    return items


def without_platform(name: str) -> tuple[str, str]:
    """The name, and the platform that it ends in or holds; the name and nothing where none."""
    match = _PLATFORM.search(name)
    if match is None or match.span() == (0, len(name)):
        return name, ""
    start, end = match.span()
    if end == len(name):
        return name[: start - 1], name[start - 1 :]
    return f"{name[:start]}*{name[end:]}", match[0]
