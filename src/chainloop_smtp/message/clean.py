"""Values -> values that are fit to be shown: evidence is somebody else's text.

Escape sequences, control characters and bidirectional overrides are taken out (they can hide or
reorder what a reader sees); everything else stays as it is, for its own part to escape.
"""

import re
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TypeVar

T = TypeVar("T")

# ECMA-48: CSI sequences, then OSC strings up to BEL or ST, then two-character escapes.
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-Z\\-_]")
_LINE_ENDS = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
# Unicode's explicit bidirectional embeddings, overrides and isolates (UAX #9 section 2).
_HIDDEN = re.compile(r"[\u202a-\u202e\u2066-\u2069\ufeff]")
_CONTROLS = re.compile(r"[\x00-\x09\x0e-\x1f\x7f-\x9f]")
_SURROGATES = re.compile(r"[\ud800-\udfff]")

# What no reader reads to its end, a mail server may not take either.
LONGEST = 10_000  # characters

# Prose in which a line break means something; elsewhere it becomes a blank.
_MANY_LINES = frozenset({"message", "description", "recommendation"})

# What is there to be copied and searched for, and is worth nothing in part.
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
    if isinstance(value, Enum):
        return value
    if isinstance(value, str):
        room = LONGEST if longest is None else longest * 10 if is_prose else longest
        return _string(value, is_prose, min(room, LONGEST))  # type: ignore[return-value]  # a str for a str
    if isinstance(value, tuple):
        return tuple(  # type: ignore[return-value]
            clean(item, longest=longest, longest_id=longest_id, is_prose=is_prose) for item in value
        )
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(
            **{
                each.name: clean(
                    getattr(value, each.name),
                    longest=longest_id if each.name in _IDS else longest,
                    longest_id=longest_id,
                    is_prose=each.name in _MANY_LINES,
                )
                for each in fields(value)
            }
        )
    return value


def _string(text: str, is_prose: bool, longest: int) -> str:
    if len(text) > longest:
        text = f"{text[:longest]} (cut, {len(text):,} characters)"
    # Most values are plain words: one cheap look saves five searches.
    if text.isascii() and text.isprintable():
        return text
    text = _HIDDEN.sub("", _ESCAPES.sub("", text))
    text = _SURROGATES.sub("\ufffd", _LINE_ENDS.sub("\n", text))
    text = _CONTROLS.sub(" ", text)
    return text.strip("\n") if is_prose else text.replace("\n", " ")
