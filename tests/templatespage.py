"""The model -> ``docs/templates-reference.md``: every name that a template may use, and what it is.

Names and types are those of the code, descriptions those of its docstrings. The examples are read
from ``docs/templates.md``, so the tests run what users copy.
"""

import inspect
import re
import types
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from importlib.resources import files
from typing import Any, Union, get_args, get_origin, get_type_hints

from jinja2 import Environment, nodes

import pages
from chainloop_smtp.message import inspection, sandbox, templates, view
from chainloop_smtp.model.mail import Templates

_GUIDE = "docs/templates.md"
GUIDE = pages.PAGES[_GUIDE]
"""The page beside it, written by hand."""

SUBJECT_EXAMPLE: str = next(content for page, content in pages.documents() if page == _GUIDE)[
    "subject"
]
FOOTER_EXAMPLE, BRAND_EXAMPLE, TERSE_EXAMPLE = (
    text for page, text in pages.blocks("jinja") if page == _GUIDE
)

_OURS = files("chainloop_smtp").joinpath("templates")
_SIMPLE = {
    str: "text",
    int: "number",
    float: "number",
    bool: "true or false",
    datetime: "moment (UTC)",
    timedelta: "duration",
}


def page() -> str:
    """The whole page."""
    kinds = _kinds()
    return (
        "\n".join(
            (
                _INTRODUCTION,
                "## Names\n",
                *_table(("name", "what it is", ""), _members(view.Facts, kinds)),
                "\n## What they hold\n",
                "Unless a description says otherwise, an empty text or list means that there is "
                "nothing to say, and *none* that the evidence does not say.\n",
                *_sections(kinds),
                "## Filters\n",
                "Added here:\n",
                *_table(("filter", "what it makes"), _functions(_own("filters"))),
                "\nFrom Jinja2: " + _list((*sandbox.TEXT_FILTERS, *sandbox.OTHER_FILTERS, "join")),
                "\n## Tests\n",
                "Added here:\n",
                *_table(("test", "what it asks"), _functions(_own("tests"))),
                "\nFrom Jinja2: " + _list(sandbox.TESTS),
                "\n## Calls\n",
                "`range`, `namespace`, macros, `super()`, `caller()`, and these methods:\n",
                *_table(("kind", "the methods"), _methods()),
                "\n## Blocks\n",
                *_table(("template", "its blocks, in their order"), _blocks()),
                "\n## Pieces of the HTML\n",
                "Macros of `chainloop/parts.html.j2`. In a template that extends "
                "`chainloop/mail.html.j2` they are available; elsewhere, import them: "
                '`{% from "chainloop/parts.html.j2" import muted with context %}`.\n',
                *_table(("macro",), _macros()),
                "\nFor use in a `style`: `sans` and `mono` are fonts; `anywhere` breaks long "
                "words, `gently` only if a line has no room; `fill`, `ink` and `tint` hold the "
                "colours of a tone, such as `fill[wording.tone]` (`tint` those of `warn` and "
                "`danger`).",
            )
        )
        + "\n"
    )


_INTRODUCTION = """\
# Template reference

What a template can use; [Templates](templates.md) shows how. This page is generated.
"""


def _kinds() -> dict[type, str]:
    """Every record that can be reached from a name, with the name of its section."""
    found: dict[type, str] = {}
    pending: list[Any] = list(get_type_hints(view.Facts).values())
    while pending:
        hint = pending.pop(0)
        if get_args(hint):
            pending += get_args(hint)
        elif isinstance(hint, type) and hint not in found and _is_record(hint):
            found[hint] = hint.__name__
            pending += _hints(hint).values()
    return found


def _is_record(kind: type) -> bool:
    return is_dataclass(kind) or hasattr(kind, "_fields") or issubclass(kind, Enum)


def _hints(kind: type) -> dict[str, Any]:
    """Types of what a record holds; derived ones, its properties, last."""
    if issubclass(kind, Enum):
        return {}
    hints = get_type_hints(kind)
    names = [each.name for each in fields(kind) if each.repr] if is_dataclass(kind) else list(hints)
    properties = {
        name: get_type_hints(member.fget)["return"]
        for name, member in vars(kind).items()
        if isinstance(member, property) and member.fget
    }
    return {name: hints[name] for name in names} | properties


def _sections(kinds: dict[type, str]) -> Iterator[str]:
    for kind in sorted(kinds, key=lambda each: each.__name__):
        yield f"### {kind.__name__}\n"
        yield f"{_prose(_summary(kind))}\n"
        if issubclass(kind, Enum):
            yield "One of: " + _list([str(each.value) for each in kind]) + "\n"
        else:
            yield from _table(("name", "what it is", ""), _members(kind, kinds))
            yield ""


def _members(kind: type, kinds: dict[type, str]) -> Iterator[tuple[str, ...]]:
    told = _attributes(kind)
    hints = get_type_hints(kind) if kind is view.Facts else _hints(kind)
    for name, hint in hints.items():
        member = vars(kind).get(name)
        text = _summary(member) if isinstance(member, property) else told.get(name, "")
        yield f"`{name}`", _type(hint, kinds), _prose(text)


def _type(hint: Any, kinds: dict[type, str]) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        several = [_type(each, kinds) for each in get_args(hint) if each is not type(None)]
        return " or ".join([*several, "none"])
    if get_origin(hint) is tuple:
        return f"list of {_type(get_args(hint)[0], kinds)}"
    if hint in kinds:
        return f"[{kinds[hint]}](#{kinds[hint].lower()})"
    return _SIMPLE[hint]


def _attributes(kind: type) -> dict[str, str]:
    """Descriptions in the section ``Attributes`` of a docstring, by name."""
    told: dict[str, str] = {}
    section = (inspect.getdoc(kind) or "").partition("Attributes:\n")[2]
    for line in section.splitlines():
        if found := re.match(r" {4}(\w+): (.*)", line):
            name, told[found[1]] = found[1], found[2]
        elif line.strip():
            told[name] += f" {line.strip()}"
    return told


def _summary(thing: object) -> str:
    """The first paragraph of a docstring."""
    return " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())


def _prose(text: str) -> str:
    """A docstring's text as Markdown, inside of a table too."""
    text = re.sub(r"``(.+?)``", r"`\1`", text).replace("|", "\\|")
    # Jinja2's word for it; at the beginning of a sentence it is English.
    return re.sub(r"(?<!^)(?<!\. )\bNone\b", "none", text)


def _own(table: str) -> dict[str, Callable[..., object]]:
    environment = templates.environment(Templates())
    builtin = {*sandbox.TEXT_FILTERS, *sandbox.OTHER_FILTERS, *sandbox.TESTS, "join"}
    return {
        name: function
        for name, function in sorted(getattr(environment, table).items())
        if name not in builtin
    }


def _functions(named: dict[str, Callable[..., object]]) -> Iterator[tuple[str, ...]]:
    for name, function in named.items():
        more = list(inspect.signature(function).parameters.values())[1:]
        arguments = ", ".join(str(each.replace(annotation=each.empty)) for each in more)
        yield f"`{name}({arguments})`" if more else f"`{name}`", _prose(_summary(function))


def _methods() -> Iterator[tuple[str, ...]]:
    names = _SIMPLE | {dict: "dictionary", list: "list made by a template", tuple: "list"}
    for kind, methods in sandbox.METHODS:
        yield names.get(kind, kind.__name__.lower().removesuffix("context")), _list(methods)


def _blocks() -> Iterator[tuple[str, ...]]:
    for name in inspection.ENTRIES:
        tree = Environment().parse(_OURS.joinpath(name).read_text("utf-8"))  # parsed only
        if blocks := [each.name for each in tree.find_all(nodes.Block)]:
            yield f"`chainloop/{name}`", _list(blocks)


def _macros() -> Iterator[tuple[str, ...]]:
    tree = Environment().parse(_OURS.joinpath("parts.html.j2").read_text("utf-8"))  # parsed only
    for macro in tree.find_all(nodes.Macro):
        yield (f"`{macro.name}({', '.join(each.name for each in macro.args)})`",)


def _list(words: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{each}`" for each in words) + "."


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
