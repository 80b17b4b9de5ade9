"""Changes -> what the mail says of them: three lines first, then each change."""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from chainloop_smtp.message import findings, formatting, grouping
from chainloop_smtp.message.grouping import Found, Group
from chainloop_smtp.message.rows import Fact, Section
from chainloop_smtp.message.selection import Selection
from chainloop_smtp.model.attested import Evaluation, Material, Policies, Run
from chainloop_smtp.model.facts import Aspect, Breach, Changes, Replacement, Shift

_FEW = 3  # findings that may stand in a mail twice


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


def comparison(changes: Changes, selection: Selection) -> Changed:
    """The section, from cleaned facts.

    Args:
        selection: Of the same run, which says how much there is room for.
    """
    since = _since(changes.previous.run)
    if changes.is_empty:
        note = f"Nothing changed since {since}."
        return Changed(title="Changes", note=note, summary=(), details=Section("Changes", ()))
    summary = (
        Fact("Violations", _violations(changes)),
        Fact("Materials", _materials(changes)),
        Fact("Run", _run(changes)),
    )
    title = f"Changed since {since}"
    details = selection.section(title, _details(changes, selection), selection.limits.materials)
    return Changed(title, note="", summary=summary, details=details)


def _since(run: Run) -> str:
    # What a push prints knows no end.
    if when := run.finished_at or run.started_at:
        return formatting.timestamp(when)
    return f"run {run.id}" if run.id else "the earlier run"


def _violations(changes: Changes) -> str:
    if not changes.are_violations_known:
        if changes.violation_count is not None:
            return _shifted(changes.violation_count)
        if Aspect.VIOLATION_COUNT in changes.unchanged:
            return "as many as before; which ones is not known"
        return "not known, because one of the two runs does not count them"
    counts = [
        *_counted(len(changes.introduced), "new"),
        *_counted(len(changes.resolved), "resolved"),
    ]
    return ", ".join(counts) or "as before"


def _materials(changes: Changes) -> str:
    counts = [
        *_counted(len(changes.added), "added"),
        *_counted(len(changes.removed), "removed"),
        *_counted(len(changes.replaced), "changed"),
    ]
    return ", ".join(counts) or "as before"


def _run(changes: Changes) -> str:
    shifts = _shifts(changes)
    if changed := [key.lower() for key, shift in shifts if shift]:
        return f"{', '.join(changed)} changed"
    # The order of a reader: what the run came to stands first.
    same = [each.value for each in _RUN if each in changes.unchanged]
    return f"{formatting.listed(same)} as before"


_RUN = (Aspect.OUTCOME, Aspect.CONTRACT, Aspect.STRATEGY, Aspect.SIGNER)


def _shifts(changes: Changes) -> tuple[tuple[str, Shift | None], ...]:
    return (
        ("Outcome", changes.outcome),
        ("Contract", changes.contract),
        ("Strategy", changes.strategy),
        ("Signer", changes.signer),
    )


def _details(changes: Changes, selection: Selection) -> tuple[Fact, ...]:
    previous = changes.previous
    rows = [
        *(Fact(key, _shifted(shift)) for key, shift in _shifts(changes) if shift),
        *(
            Fact("New violation", each)
            for each in _breached(changes.introduced, selection, selection.violated)
        ),
        *(Fact("Resolved", each) for each in _breached(changes.resolved, selection)),
        *(Fact("Added", _material(each)) for each in changes.added),
        *(Fact("Removed", _material(each)) for each in changes.removed),
        Fact("Changed", _replaced(changes.replaced, selection)),
        Fact("Compared with", previous.run.id, "code"),
        Fact("Its attestation", previous.digest, "code", formatting.web(previous.view_url)),
    ]
    return tuple(row for row in rows if row.value)


def _breached(
    breaches: Sequence[Breach],
    selection: Selection,
    above: Sequence[tuple[Group, tuple[Found, ...]]] = (),
) -> list[str]:
    """``vulnerability-gate on sbom (gate): CVE-2026-21441 (critical) in openssl 3.0.14``.

    Of each finding the first line: the whole of a new one needs attention anyway, and has its own
    section.

    Args:
        above: The policies that have one; what is new as a whole is not listed twice.
    """
    evaluations = tuple(
        Evaluation(
            name=each.policy,
            material=each.material,
            is_gate=each.is_gate,
            violations=(each.violation,),
        )
        for each in breaches
    )
    whole = {(group.name, group.is_gate): group.violation_count for group, _ in above}
    texts = []
    for group, found in grouping.violated(Policies(evaluations=evaluations)):
        gate = " (gate)" if group.is_gate else ""
        if len(found) > _FEW and whole.get((group.name, group.is_gate)) == group.violation_count:
            texts.append(f"{group.name}{gate}: all {len(found):,} findings, see above")
            continue
        shown = found[: selection.limits.messages]
        for names, members in groupby(shown, lambda each: each.materials):
            where = selection.listed(names) if any(names) else "the attestation"
            lines = [findings.lines(each.violation)[0] for each in members]
            head = f"{group.name} on {where}{gate}:"
            texts.append(("\n" if len(lines) > 1 else " ").join((head, *lines)))
        if more := selection.more(len(found) - len(shown), "more finding"):
            texts.append(f"{group.name}: {more}")
    return texts


def _replaced(replaced: Sequence[Replacement], selection: Selection) -> str:
    texts = [_replacement(each) for each in replaced[: selection.limits.materials]]
    more = selection.more(len(replaced) - len(texts), "more changed material")
    return "\n".join(filter(None, (*texts, more)))


def _counted(number: int, word: str) -> list[str]:
    return [f"{number:,} {word}"] if number else []


def _shifted(shift: Shift) -> str:
    return f"{shift.after} (before: {shift.before})"


def _material(material: Material) -> str:
    """Name and type, value, digest, as far as there are: a line each."""
    kind = f" ({material.type})" if material.type else ""
    lines = (material.name + kind, formatting.material_value(material), material.digest)
    return "\n".join(filter(None, lines))


def _replacement(replacement: Replacement) -> str:
    """The name, and what it was before: the digest, else the value."""
    before, after = replacement.before, replacement.after
    if before.digest and after.digest:
        return f"{after.name}, before:\n{before.digest}"
    new, old = formatting.material_value(after), formatting.material_value(before)
    return f"{after.name}: {new} (before: {old})"
