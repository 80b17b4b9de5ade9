"""How much of the facts is shown -> the first selection that fits.

Gmail clips what is longer than 102,400 octets, and takes the footer along. What does not fit is
left out in a fixed order, said where it is left out, and whole in the attached report; counts and
headings tell the truth whatever is shown.
"""

from collections.abc import Callable
from dataclasses import replace

from chainloop_smtp.model.frozen import dataclass

HTML_OCTETS = 92_160
TEXT_OCTETS = 200_000
SUMMARY_OCTETS = 1_000_000  # GitHub drops a step's job summary of over 1 MiB
# What may be chosen to be shown: more than a form has room for, and written within seconds.
CHOSEN = 2_000_000  # characters
ROW = 100  # characters that a row or line counts for besides its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is shown at most of each kind; None: all.

    Attributes:
        value: Characters of one value, ids and digests excepted.
        annotations: Of one material.
        passed: Names of passed policies, in one line in place of their rows.
        rows: Evaluations in the table, and facts in a section of them.
        messages: Violations of one policy.
        lines: Of one violation.
        advisory: Violated policies that are no gate.
        gated: Violated gates.
        commit_message: Characters.
        id: Characters of an id, digest or link. No real one has as many.
    """

    environment: int | None = None
    value: int | None = None
    annotations: int | None = None
    passed: int | None = None
    materials: int | None = None
    messages: int | None = None
    lines: int | None = None
    advisory: int | None = None
    commit_message: int | None = None
    gated: int | None = None
    rows: int | None = None
    id: int | None = None


def _steps() -> tuple[Limits, ...]:
    """All there is, and then a cut more each time."""
    cuts: tuple[dict[str, int], ...] = (
        {"environment": 20, "value": 300},
        {"annotations": 3},
        {"passed": 3},
        {"materials": 25},
        {"materials": 10},
        {"messages": 5, "lines": 20},
        {"messages": 2},
        {"advisory": 10},
        {"commit_message": 120},
        {"gated": 20},
        {"gated": 5},
        # What is left can only be long because its words are, or its rows are many.
        {"rows": 20, "value": 120},
        {"rows": 10, "environment": 10},
        {"rows": 8, "value": 40, "id": 160, "environment": 5, "materials": 5, "annotations": 1}
        | {"advisory": 3, "messages": 1, "lines": 3},
    )
    steps = [Limits()]
    for cut in cuts:
        steps.append(replace(steps[-1], **cut))
    return tuple(steps)


STEPS = _steps()


def fitted(
    render: Callable[[Limits], str], octets: int, first: int | None = 0, least: int = 0
) -> tuple[str, int]:
    """The rendering with the fewest cuts that is at most so long, and its place in `STEPS`.

    With every cut made, the last one is given however long it is.

    Args:
        render: From limits to the text. Tighter limits make it shorter, or hardly longer.
        octets: In UTF-8.
        first: The step that will likely do and is tried first, since all before it are known not
            to; None where nothing is known.
        least: The first step that may be tried.
    """
    made: dict[int, str] = {}

    def is_fit(step: int) -> bool:
        made[step] = render(STEPS[step])
        return len(made[step].encode("utf-8", "replace")) <= octets

    low, high = least, len(STEPS) - 1
    if first is not None:
        if is_fit(first):
            return made[first], first
        low = min(first + 1, high)
    while low < high:
        middle = (low + high) // 2
        if is_fit(middle):
            high = middle
        else:
            low = middle + 1
    return made.get(low) or render(STEPS[low]), low
