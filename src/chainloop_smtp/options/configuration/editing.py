"""Text of a configuration file -> the same text with an entry added, or some removed.

Everything else, comments and order included, stays as it is: lines are inserted or deleted, and the
result is parsed again. When that does not give the expected entries, the edit is refused.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TypeAlias

from chainloop_smtp.errors import OptionsError, Problem
from chainloop_smtp.model.entries import (
    AttachmentEntry,
    Configuration,
    Entry,
    RegistrationEntry,
)
from chainloop_smtp.options import configuration
from chainloop_smtp.options.configuration.document import Node, Sequence, Span, Table, compose

_HEADER = "# Who gets which mail from Chainloop SMTP. Edited by its commands and by hand.\n"
# What every YAML parser, old or new, takes for this very text, or for a plain number.
_PLAIN = re.compile(r"[A-Za-z](?:[A-Za-z0-9 ._@<>/+=-]*[A-Za-z0-9._@>/+=-])?|0|[1-9][0-9]*")
_NOT_PLAIN = re.compile(r"(?i)y|n|yes|no|on|off|true|false|null")
# YAML 1.1 section 4.2: the line breaks that its marks count.
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
# How the problems begin that only a failed edit causes.
_BROKEN = ("is not YAML", "the alias", "there is no registration", "a second document")

Value: TypeAlias = str | Mapping[str, str]
_Entries: TypeAlias = dict[str, list[RegistrationEntry | AttachmentEntry]]


def add(text: str, path: str, kind: str, entry: Mapping[str, Value]) -> str:
    """Add an entry at the end of one of the lists.

    Args:
        kind: ``registrations`` or ``attachments``.
        entry: Values by key, in the order to write them; ``{"env": NAME}`` for a variable.

    Raises:
        OptionsError: The file is invalid, or is written in a way that this cannot extend.
    """
    before = configuration.parse(text, path)
    lines = _Lines(text)
    value = _value(text, path, kind)
    if value is None:
        lines.append(
            ([""] if text.strip() else [_HEADER.rstrip()]) + [f"{kind}:", *_yaml(entry, 2)]
        )
    elif not isinstance(value, Sequence) or not value.items:
        lines.cut(value.span)
        lines.insert(value.span.line + 1, _yaml(entry, 2))
    elif value.is_flow:
        lines.insert_text(value.span, f", {_flow(entry)}")
    else:
        lines.insert(lines.last(value.span, value.span.column) + 1, _yaml(entry, value.span.column))
    return _verified(str(lines), path, _entries(before), "other entries would change", added=kind)


def remove(text: str, path: str, kind: str, positions: Collection[int]) -> str:
    """Remove the entries at these positions of one of the lists.

    Raises:
        OptionsError: As for `add`; also when other entries refer to a removed one.
    """
    before = configuration.parse(text, path)
    lines = _Lines(text)
    value = _value(text, path, kind)
    if isinstance(value, Sequence) and not value.is_flow:
        for position in sorted(positions, reverse=True):
            span, dash = value.items[position].span, value.span.column
            lines.drop(lines.dash(span.line, dash), lines.last(span, dash))
    kept = _entries(before)
    kept[kind] = [each for at, each in enumerate(kept[kind]) if at not in positions]
    return _verified(str(lines), path, kept, "the entry would stay")


def _value(text: str, path: str, kind: str) -> Node | None:
    """The node of a list; None when its key is missing."""
    root = compose(text, path)
    entries = root.entries if isinstance(root, Table) else ()
    return next((value for key, value in entries if key.text == kind), None)


def _yaml(entry: Mapping[str, Value], column: int) -> list[str]:
    """The lines of an entry in a block list whose dashes stand in that column."""
    written = []
    for key, value in entry.items():
        if not isinstance(value, str):
            written.append(f"{key}: {{env: {value['env']}}}")
        elif "\n" in value:
            written += [f"{key}:", *(f"  - {_scalar(line)}" for line in value.split("\n"))]
        else:
            written.append(f"{key}: {_scalar(value)}")
    indent = " " * column
    return [f"{indent}{'  ' if at else '- '}{line}" for at, line in enumerate(written)]


def _flow(entry: Mapping[str, Value]) -> str:
    values = (
        f"{key}: {_quoted(value)}" if isinstance(value, str) else f"{key}: {{env: {value['env']}}}"
        for key, value in entry.items()
    )
    return "{" + ", ".join(values) + "}"


def _scalar(text: str) -> str:
    is_plain = _PLAIN.fullmatch(text) and not _NOT_PLAIN.fullmatch(text)
    return text if is_plain else _quoted(text)


def _quoted(text: str) -> str:
    # YAML 1.1 section 9.1.2.
    escaped = {'"': '\\"', "\\": "\\\\"}
    inside = (
        escaped.get(each, each if each.isprintable() else f"\\U{ord(each):08X}") for each in text
    )
    return f'"{"".join(inside)}"'


def _verified(text: str, path: str, kept: _Entries, why: str, *, added: str = "") -> str:
    """The edited text, when it has the entries to keep, and one more in the list added to."""
    try:
        entries = _entries(configuration.parse(text, path))
    except OptionsError as error:
        first = error.problems[0]
        if first.why.startswith(_BROKEN):
            why = f"the result would be wrong at {first.where}: {first.why}"
            raise _by_hand(path, why) from error
        raise
    if added:
        del entries[added][-1:]
    if entries != kept:
        raise _by_hand(path, why)
    return text


def _by_hand(path: str, why: str) -> OptionsError:
    hint = "Edit the file by hand, or write its lists one entry below the other, each with a dash."
    return OptionsError(Problem(path, f"cannot be edited without touching the rest: {why}", hint))


def _entries(parsed: Configuration) -> _Entries:
    """The entries of both lists, to compare them wherever in the file they stand."""
    return {
        "registrations": [
            replace(each, entry=_without_places(each.entry)) for each in parsed.registrations
        ],
        "attachments": [
            replace(each, id="", entry=_without_places(each.entry)) for each in parsed.attachments
        ],
    }


def _without_places(entry: Entry) -> Entry:
    return replace(entry, place="", places={})


class _Lines:
    """A text as lines, each with its line break."""

    def __init__(self, text: str) -> None:
        breaks = [match.end() for match in _BREAK.finditer(text)]
        ends = [*breaks, len(text)]
        self._lines = [text[start:end] for start, end in zip([0, *breaks], ends, strict=True)]
        if not self._lines[-1]:
            self._lines.pop()
        self._break = "\r\n" if "\r\n" in text else "\n"

    def __str__(self) -> str:
        return "".join(self._lines)

    def append(self, lines: list[str]) -> None:
        self.insert(len(self._lines), lines)

    def insert(self, at: int, lines: list[str]) -> None:
        if 0 < at == len(self._lines) and not _BREAK.search(self._lines[-1]):
            self._lines[-1] += self._break
        self._lines[at:at] = [line + self._break for line in lines]

    def insert_text(self, span: Span, text: str) -> None:
        """Insert a text before the bracket that ends the span."""
        line, column = self._lines[span.end_line], span.end_column - 1
        self._lines[span.end_line] = line[:column] + text + line[column:]

    def cut(self, span: Span) -> None:
        """Delete a span within one line; a longer one stays, and parsing again will fail."""
        if span.line == span.end_line:
            line = self._lines[span.line]
            self._lines[span.line] = line[: span.column].rstrip() + line[span.end_column :]

    def drop(self, first: int, last: int) -> None:
        del self._lines[first : last + 1]

    def dash(self, line: int, column: int) -> int:
        """The line of an entry's dash, which may stand above its content."""
        while line > 0 and not self._lines[line][column:].startswith("-"):
            line -= 1
        return line

    def last(self, span: Span, dash: int) -> int:
        """The last line of an entry, with comments below it that are indented further."""
        last = span.end_line - (span.end_column == 0 and span.end_line > span.line)
        while last > span.line and not self._lines[last].strip():
            last -= 1
        while last + 1 < len(self._lines):
            following = self._lines[last + 1]
            bare = following.lstrip(" ")
            if not bare.startswith("#") or len(following) - len(bare) <= dash:
                break
            last += 1
        return last
