"""YAML text -> a bounded tree of nodes with their places. The only module that imports PyYAML.

A plain scalar means the text as it is written: ``no``, ``on``, ``0587`` and ``22:22`` are not what
YAML 1.1 makes of them. Only ``null``, ``~`` and nothing at all mean null. Anchors, aliases and
merge keys work; tags are refused.
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

import yaml

from chainloop_smtp.errors import OptionsError, Problem, quoted
from chainloop_smtp.model.frozen import dataclass

MAX_BYTES = 1024 * 1024
_MAX_DEPTH = 12
_MAX_NODES = 100_000  # with every alias written out
_NULLS = ("", "~", "null", "Null", "NULL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Where a node is written.

    Attributes:
        line: Line of its first character, from 0.
        column: Column of its first character, from 0, in characters.
        end_line: Line of its end (exclusive); for a block, of the end of its last content.
        end_column: Column of its end.
    """

    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        return f"{self.line + 1}:{self.column + 1}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """A text; None for null."""

    span: Span
    text: str | None
    size: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """A list. ``is_flow``: written in brackets."""

    span: Span
    items: tuple["Node", ...]
    size: int
    is_flow: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A mapping with its merge keys resolved: each key once, as the node that it is."""

    span: Span
    entries: tuple[tuple[Scalar, "Node"], ...]
    size: int
    is_flow: bool


Node: TypeAlias = Scalar | Sequence | Table


def compose(text: str, name: str) -> Node | None:
    """Parse the one document of a file; None when the file is empty.

    Args:
        name: The file's name, for error messages.

    Raises:
        OptionsError: It is not valid YAML, or too much of it.
    """
    # libyaml where PyYAML has it: twenty times as fast, and the same events.
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    composer = _Composer(name)
    if len(text.encode(errors="replace")) > MAX_BYTES:
        raise OptionsError(Problem(name, f"is larger than {MAX_BYTES // 1024**2} MiB"))
    try:
        root = composer.document(yaml.parse(text, Loader=loader))
    except yaml.MarkedYAMLError as error:
        why = " ".join(filter(None, (error.context, error.problem)))
        where = _place(name, error.problem_mark)
        raise OptionsError(Problem(where, f"is not YAML: {why}", _hint(why))) from error
    except (yaml.YAMLError, UnicodeError) as error:
        why = "it contains a character that YAML does not allow"
        raise OptionsError(Problem(name, f"is not YAML: {why}")) from error
    if composer.problems:
        raise OptionsError(*composer.problems)
    return root


def project_and_version(text: str, name: str) -> tuple[str, str]:
    """Read both from the text of Chainloop's ``.chainloop.yml``; each may be empty.

    Raises:
        OptionsError: As for `compose`.
    """
    root = compose(text, name)
    names = {
        key.text: (value.text or "").strip()
        for key, value in (root.entries if isinstance(root, Table) else ())
        if isinstance(value, Scalar)
    }
    return names.get("projectName", ""), names.get("projectVersion", "")


def _place(name: str, mark: Any) -> str:
    return f"{name}:{mark.line + 1}:{mark.column + 1}"


def _hint(why: str) -> str:
    if "cannot start any token" in why:
        return "Indent with spaces, not tabs. Put text that begins with @ in quotes."
    if "alias" in why or "anchor" in why:
        return "Put text that begins with * or & in quotes, such as workflow: '*'."
    return ""


class _Composer:
    """Events -> nodes. Problems that do not end the parsing are kept."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._anchors: dict[str, Node | None] = {}
        self.problems: list[Problem] = []

    def document(self, events: Iterator[Any]) -> Node | None:
        root: Node | None = None
        for event in events:
            if isinstance(event, yaml.NodeEvent):
                root = self._node(event, events, 1)
            elif isinstance(event, yaml.DocumentStartEvent) and root is not None:
                raise self._error(event, "a second document begins", "Write one, without ---.")
        return root

    def _node(self, event: Any, events: Iterator[Any], depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if event.tag is not None and event.tag != "!":
            why = f"the tag {quoted(event.tag)} is not supported"
            self.problems.append(self._problem(event, why, "Remove it: every value is text."))
        if depth > _MAX_DEPTH:
            raise self._error(event, f"is nested more than {_MAX_DEPTH} levels deep")
        if event.anchor:
            self._anchors[event.anchor] = None
        node: Node
        if isinstance(event, yaml.ScalarEvent):
            is_null = event.implicit[0] and event.value in _NULLS
            # A block scalar ends at the start of the first line that does not belong to it.
            span = _span(event, _point(event.end_mark))
            node = Scalar(span=span, text=None if is_null else event.value)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(event, events, depth)
        else:
            node = self._table(event, events, depth)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: Any) -> Node:
        known = event.anchor in self._anchors
        node = self._anchors.get(event.anchor)
        if node is None:
            why = (
                "refers to the value that contains it" if known else "refers to no anchor before it"
            )
            raise self._error(
                event, f"the alias {quoted('*' + event.anchor)} {why}", _hint("alias")
            )
        return node

    def _sequence(self, start: Any, events: Iterator[Any], depth: int) -> Sequence:
        items: list[Node] = []
        last, size = _point(start.start_mark), 1
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            item = self._node(event, events, depth + 1)
            items.append(item)
            last = _end(event, item)
            size = self._added(size, item, event)
        last = _flow_end(start, event) or last
        return Sequence(
            span=_span(start, last), items=tuple(items), size=size, is_flow=bool(start.flow_style)
        )

    def _table(self, start: Any, events: Iterator[Any], depth: int) -> Table:
        entries: dict[str | None, tuple[Scalar, Node]] = {}
        merged: list[Table] = []
        last, size = _point(start.start_mark), 1
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key = self._node(event, events, depth + 1)
            of_value = next(events)
            value = self._node(of_value, events, depth + 1)
            last = _end(of_value, value)
            size = self._added(size, value, of_value)
            if not isinstance(key, Scalar):
                raise self._error(start, "a key is not a plain word")
            if key.text == "<<":
                merged += self._merged(value)
            elif key.text in entries:
                first = entries[key.text][0].span.line + 1
                why = f"the key {quoted(key.text or '')} is given twice, first in line {first}"
                self.problems.append(Problem(f"{self._name}:{key.span}", why, "Keep one of them."))
            else:
                entries[key.text] = (key, value)
        last = _flow_end(start, event) or last
        for table in merged:
            for key, value in table.entries:
                entries.setdefault(key.text, (key, value))
        return Table(
            span=_span(start, last),
            entries=tuple(entries.values()),
            size=size,
            is_flow=bool(start.flow_style),
        )

    def _merged(self, value: Node) -> list[Table]:
        """The mappings that ``<<`` refers to; earlier ones win."""
        nodes = value.items if isinstance(value, Sequence) else (value,)
        tables = [each for each in nodes if isinstance(each, Table)]
        if len(tables) != len(nodes):
            why = "the merge key << takes mappings only"
            self.problems.append(Problem(f"{self._name}:{value.span}", why, "Write <<: *anchor."))
        return tables

    def _added(self, size: int, node: Node, event: Any) -> int:
        if size + node.size > _MAX_NODES:
            raise self._error(
                event, f"contains more than {_MAX_NODES} values, with aliases expanded"
            )
        return size + node.size

    def _problem(self, event: Any, why: str, hint: str = "") -> Problem:
        return Problem(_place(self._name, event.start_mark), why, hint)

    def _error(self, event: Any, why: str, hint: str = "") -> OptionsError:
        return OptionsError(*self.problems, self._problem(event, why, hint))


_Point: TypeAlias = tuple[int, int]


def _point(mark: Any) -> _Point:
    return mark.line, mark.column


def _flow_end(start: Any, end: Any) -> _Point | None:
    """The end of a flow collection; None for a block, which ends with its last content."""
    return _point(end.end_mark) if start.flow_style else None


def _end(event: Any, node: Node) -> _Point:
    """Where a child ends in the text: an alias ends where it stands, not where its anchor does."""
    if isinstance(event, yaml.AliasEvent):
        return _point(event.end_mark)
    return node.span.end_line, node.span.end_column


def _span(start: Any, end: _Point) -> Span:
    line, column = _point(start.start_mark)
    return Span(line=line, column=column, end_line=end[0], end_column=end[1])
