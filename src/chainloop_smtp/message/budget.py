"""Five levels of how much is shown -> the first that fits.

Gmail clips what is longer than 102,400 bytes, and takes the footer along. What does not fit is
left out in a fixed order, said where it is left out, and whole in the attached report; counts and
headings tell the truth whatever is shown. HTML and text leave out the same: spam filters distrust a
message whose parts differ.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import dropwhile

from chainloop_smtp.model.frozen import dataclass

HTML_BYTES = 92_160
TEXT_BYTES = 200_000
SUMMARY_BYTES = 1_000_000  # GitHub drops a step's job summary of over 1 MiB
# A level with more than this is not even tried: it fits no form, and would take minutes to write.
CHARACTERS = 2_000_000
ROW = 100  # characters that a row or line counts for besides its own
HTML_ROW = 190  # bytes that a finding, evaluation or material takes at least in our own HTML


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is shown at most of each kind; None: all.

    Attributes:
        value: Characters of one value, ids and digests excepted.
        annotations: Of one material.
        passed: Names of passed policies, in one line in place of their rows.
        rows: Evaluations in the table, and facts in a section of them.
        messages: Findings of one policy.
        lines: Of one finding.
        advisory: Violated policies that are no gate; policies with suppressed findings.
        gated: Violated gates.
        commit_message: Characters.
        names: Materials, or twins of them, in one list.
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
    names: int | None = None
    id: int | None = None


# No line of the text may be longer than 998 characters (RFC 5322 section 2.1.1).
FULL = Limits(value=500, id=900)
TRIMMED = replace(FULL, environment=20, value=300, annotations=3, messages=20, lines=20, names=12)
SHORTENED = replace(TRIMMED, passed=3, materials=30, messages=5, names=6)
# Gates are cut last, and never under five.
MINIMAL = replace(
    SHORTENED,
    environment=10,
    value=120,
    annotations=2,
    materials=10,
    messages=2,
    lines=10,
    advisory=3,
    names=3,
    commit_message=120,
    gated=8,
    rows=10,
)
# Even if all evidence is characters that HTML escapes, in every field, this fits.
SHORT_WORDS = replace(
    MINIMAL,
    environment=2,
    value=24,
    annotations=1,
    materials=2,
    messages=1,
    lines=1,
    advisory=1,
    commit_message=40,
    gated=5,
    rows=3,
    names=1,
    id=140,
)
LEVELS = (FULL, TRIMMED, SHORTENED, MINIMAL, SHORT_WORDS)


def possible(
    levels: tuple[Limits, ...], is_possible: Callable[[Limits], bool]
) -> tuple[Limits, ...]:
    """The levels from the first possible one on; at least the last one."""
    return tuple(dropwhile(lambda each: not is_possible(each), levels[:-1])) + levels[-1:]


def fitted(
    render: Callable[[Limits], Iterator[tuple[str, int]]], levels: Sequence[Limits]
) -> tuple[tuple[str, ...], Limits]:
    """The forms with the fewest cuts of which all fit, else the last ones, with their level.

    Args:
        render: Makes the forms, each with the most bytes that it may have in UTF-8.
        levels: The levels to try, fewest cuts first; at least one.
    """
    *others, last = levels
    for limits in others:
        forms = []
        for text, size in render(limits):
            if len(text.encode("utf-8", "replace")) > size:
                break
            forms.append(text)
        else:
            return tuple(forms), limits
    return tuple(text for text, _ in render(last)), last
