"""Changes -> what the mail says of them: three lines first, then each change."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from chainloop_smtp.message import formatting
from chainloop_smtp.message.rows import Fact, Section
from chainloop_smtp.model.attested import Material, Run
from chainloop_smtp.model.facts import Aspect, Breach, Changes, Replacement, Shift


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


def comparison(
    changes: Changes,
    breached: Callable[[Sequence[Breach], bool], list[str]],
    cut: Callable[[list[str]], list[str]],
) -> Changed:
    """The section, from cleaned facts.

    Args:
        breached: Groups violations, which are new or not, by policy and materials; returns a text
            for each group.
        cut: Returns as many of the materials as there is room for, and a note on the rest.
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
    details = _details(changes, breached, cut)
    return Changed(title, note="", summary=summary, details=Section(title, details))


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


def _details(
    changes: Changes,
    breached: Callable[[Sequence[Breach], bool], list[str]],
    cut: Callable[[list[str]], list[str]],
) -> tuple[Fact, ...]:
    previous = changes.previous
    rows = [
        *(Fact(key, _shifted(shift)) for key, shift in _shifts(changes) if shift),
        *(Fact("New violation", each) for each in breached(changes.introduced, True)),
        *(Fact("Resolved", each) for each in breached(changes.resolved, False)),
        *(Fact("Added", _material(each)) for each in changes.added),
        *(Fact("Removed", _material(each)) for each in changes.removed),
        Fact("Changed", "\n".join(cut(list(map(_replacement, changes.replaced))))),
        Fact("Compared with", previous.run.id, "code"),
        Fact("Its attestation", previous.digest, "code", _link(previous.view_url)),
    ]
    return tuple(row for row in rows if row.value)


def _link(url: str) -> str:
    return url if formatting.is_web(url) else ""


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
