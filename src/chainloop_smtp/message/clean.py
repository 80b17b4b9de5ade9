"""Values -> values that are fit to be shown: evidence is somebody else's text.

Removes escape sequences, control characters, bidirectional overrides and invisible characters,
which can hide or reorder what a reader sees. Escaping is left to each part of the mail.
"""

import re
from dataclasses import fields, is_dataclass, replace
from functools import cache
from operator import is_
from typing import NamedTuple, TypeVar, cast

from chainloop_smtp.message.budget import FULL, Limits
from chainloop_smtp.model.facts import RunFacts

T = TypeVar("T")

# ECMA-48: CSI sequences, then OSC strings up to BEL or ST, then two-character escapes.
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-Z\\-_]")
_LINE_ENDS = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
# Unicode's explicit bidirectional embeddings, overrides, isolates and marks (UAX #9 section 2), and
# what is never seen: blanks without width, soft hyphens, tags. Joiners stay, which scripts need.
_HIDDEN = re.compile(
    r"[\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]"
)
_CONTROLS = re.compile(r"[\x00-\x09\x0e-\x1f\x7f-\x9f]")
_SURROGATES = re.compile(r"[\ud800-\udfff]")

# Nobody reads more to its end, and a mail server may not take it.
LONGEST = 10_000  # characters

# Prose in which a line break means something; elsewhere it becomes a blank.
_MANY_LINES = frozenset({"message", "description", "recommendation"})

# Values to be copied and searched for, which are worth nothing in part.
_IDS = frozenset({"digest", "id", "reference", "sha", "url", "view_url"})


def clean(
    value: T, *, longest: int | None = None, longest_id: int | None = None, is_prose: bool = False
) -> T:
    """The value with every string in it cleaned, through dataclasses and tuples.

    Args:
        longest: Characters of a string; a longer one is cut, and says so. Ten times as many for
            prose. None: `LONGEST` for both.
        longest_id: The same for digests, ids and links.
        is_prose: Whether the line breaks of a string are kept (as LF).
    """
    lengths = _lengths(longest, longest_id)
    return cast(
        "T", _cleaned(value, lengths, lengths.prose if is_prose else lengths.word, is_prose)
    )


class CleanFacts:
    """The facts of one run, cleaned once for all its messages.

    Attributes:
        raw: The facts as they came.
        whole: The facts cleaned, with no value cut that anybody would read to its end.
        is_cut: A value still had to be cut.
    """

    def __init__(self, raw: RunFacts) -> None:
        self.raw = raw
        lengths = _lengths(FULL.value, FULL.id)
        self.whole = cast("RunFacts", _cleaned(raw, lengths, lengths.word, is_prose=False))
        self.is_cut = bool(lengths.cut)
        self._shorter = {(FULL.value, FULL.id): self.whole}

    def within(self, limits: Limits) -> RunFacts:
        """The facts with values of the evidence cut; the job, which links are made of, is whole."""
        key = limits.value, limits.id
        if key not in self._shorter:
            evidence = (self.raw.attestation, self.raw.changes)
            attestation, changes = clean(evidence, longest=limits.value, longest_id=limits.id)
            self._shorter[key] = replace(self.whole, attestation=attestation, changes=changes)
        return self._shorter[key]


class _Lengths(NamedTuple):
    """Characters of each kind of string.

    Attributes:
        cut: The values that were longer; those of which readers see just the beginning are not
            among them.
    """

    word: int
    prose: int
    id: int
    cut: list[str]


def _lengths(longest: int | None, longest_id: int | None) -> _Lengths:
    return _Lengths(
        word=LONGEST if longest is None else min(longest, LONGEST),
        prose=LONGEST if longest is None else min(longest * 10, LONGEST),
        id=LONGEST if longest_id is None else min(longest_id, LONGEST),
        cut=[],
    )


def _cleaned(value: object, lengths: _Lengths, longest: int, is_prose: bool) -> object:
    """Returns a value that is clean already as it is: little or nothing changes in most of them."""
    kind = type(value)
    if kind is str:
        text = cast("str", value)
        if len(text) > longest:
            lengths.cut.append(text)
            text = f"{text[:longest]} (cut, {len(text):,} characters)"
        return _string(text, is_prose)
    if kind is tuple:
        items = cast("tuple[object, ...]", value)
        cleaned = tuple([_cleaned(item, lengths, longest, is_prose) for item in items])
        return value if all(map(is_, items, cleaned)) else cleaned
    changed = {}
    for name in _fields(kind):  # type: ignore[arg-type]  # a class has a hash
        is_prose = name in _MANY_LINES
        longest = lengths.id if name in _IDS else lengths.prose if is_prose else lengths.word
        before = getattr(value, name)
        number = len(lengths.cut)
        after = _cleaned(before, lengths, longest, is_prose)
        if name == "description":
            del lengths.cut[number:]
        if after is not before:
            changed[name] = after
    # Mypy cannot know that whatever has such fields is a dataclass.
    return replace(value, **changed) if changed else value  # type: ignore[type-var]


@cache
def _fields(kind: type) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind)) if is_dataclass(kind) else ()


def _string(text: str, is_prose: bool) -> str:
    # Most values are plain words: one cheap look saves five searches.
    if text.isascii() and text.isprintable():
        return text
    text = _HIDDEN.sub("", _ESCAPES.sub("", text))
    text = _SURROGATES.sub("\ufffd", _LINE_ENDS.sub("\n", text))
    text = _CONTROLS.sub(" ", text)
    return text.strip("\n") if is_prose else text.replace("\n", " ")
