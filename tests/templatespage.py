"""``docs/templates.md``, made of the model: every name that a template may use, and what it is.

Names and types are those of the code, descriptions those of its docstrings, so the page cannot say
anything else than the program does.
"""

import inspect
import re
import types
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from importlib.resources import files
from textwrap import indent
from typing import Any, Union, get_args, get_origin, get_type_hints

from jinja2 import Environment, nodes

from chainloop_smtp.message import child, inspection, sandbox, templates, view
from chainloop_smtp.model.mail import Templates

SUBJECT_EXAMPLE = """\
{{ verdict.outcome|upper }}:
{{ attestation.workflow.project if attestation else job.repository }}
{% if policies.violation_count %}({{ policies.violation_count|count("violation") }}){% endif %}
"""
FOOTER_EXAMPLE = """\
{% extends "chainloop/mail.html.j2" %}
{% block footer %}
<tr><td class="pad" style="padding:28px 28px 0 28px">
{{ muted("Questions? Ask the platform team, who own " ~ job.workflow ~ ".") }}
</td></tr>
{{ super() }}
{% endblock %}
"""

BRAND_EXAMPLE = """\
{% extends "chainloop/mail.html.j2" %}
{% block style %}
{{ super() }}
.brand{color:#0a6b4f !important}
.b-button{background-color:#0a6b4f !important}
.f-onbutton{color:#ffffff !important}
@media (prefers-color-scheme:dark){.brand{color:#7fd6a2 !important}}
{% endblock %}
{% block header %}
<tr><td class="pad" style="padding:20px 28px 0 28px">
<b class="brand" style="{{ sans }}font-size:18px;line-height:24px;color:#0a6b4f">Lakeside Bank</b>
</td></tr>
{% endblock %}
"""
TERSE_EXAMPLE = """\
{{ wording.badge }}: {{ wording.headline }}
{{ wording.byline }}
{% for each in attention %}

{{ each.standing }}: {{ each.name }}
{% for lines in each.findings %}
{{ lines|join(" ")|wrap("  ", "- ") }}
{% endfor %}
{% endfor %}

{{ run_url }}
"""

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
                _INTRODUCTION.format(
                    subject=indent(SUBJECT_EXAMPLE, " " * 12),
                    footer=FOOTER_EXAMPLE,
                    brand=BRAND_EXAMPLE,
                    terse=TERSE_EXAMPLE,
                    longest=f"{child.LONGEST:,}",
                    memory=f"{child.MEMORY // 1024**2} MiB",
                    seconds=child.SECONDS,
                ),
                "## Names\n",
                *_table(("name", "what it is", ""), _members(view.Facts, kinds)),
                "\n## What they hold\n",
                "Where a description says nothing else, an empty text or list means that there is "
                "nothing to say, and an *or none* that the evidence does not say.\n",
                *_sections(kinds),
                "## Filters\n",
                "Of our own:\n",
                *_table(("filter", "what it makes"), _functions(_own("filters"))),
                "\nOf Jinja2's own: "
                + _list((*sandbox.TEXT_FILTERS, *sandbox.OTHER_FILTERS, "join")),
                "\n## Tests\n",
                "Of our own:\n",
                *_table(("test", "what it asks"), _functions(_own("tests"))),
                "\nOf Jinja2's own: " + _list(sandbox.TESTS),
                "\n## Calls\n",
                "`range`, `namespace`, macros, `super()`, `caller()`, and of a\n",
                *_table(("kind", "the methods"), _methods()),
                "\n## Blocks\n",
                *_table(("template", "its blocks, in their order"), _blocks()),
                "\n## Pieces of the HTML\n",
                "Macros of `chainloop/parts.html.j2`. In the blocks of a template that extends "
                "`chainloop/mail.html.j2` they are there already; elsewhere, "
                '`{% from "chainloop/parts.html.j2" import muted with context %}`.\n',
                *_table(("macro",), _macros()),
                "\nAnd what goes into a `style`: `sans` and `mono` are fonts; `anywhere` lets long "
                "words break, `gently` only where a line has no room; `fill`, `ink`, `tint` have "
                "the colours of a tone, such as `fill[wording.tone]` (`tint` those of `warn` and "
                "`danger`).",
            )
        )
        + "\n"
    )


_INTRODUCTION = """\
# Templates

`subject` is a [Jinja2](https://jinja.palletsprojects.com/templates/) template, and `template-dir`
names a folder with any of `mail.html.j2`, `mail.txt.j2`, `subject.txt.j2` and `summary.md.j2` (the
job summary). Each file replaces the built-in one; the others stay. This page is made of
the program itself, and a test holds the two together.

A subject of your own:

```yaml
          subject: >-
{subject}```

A paragraph more in the footer, as `mail.html.j2` in the folder. Ours are called
`chainloop/mail.html.j2` and so on, and every block of theirs may be overridden:

```jinja
{footer}```

A name and a colour of your own, in the same file. The `header` block is empty and stands under the
bar; a block is made of table rows. All looks are inline, so `style` needs `!important`, and a mail
program that strips it shows what stands inline. Grounds have classes that begin with `b-`, text
with `f-`.

```jinja
{brand}```

A plain text of a few lines, as `mail.txt.j2`. A line that ends in a `{{% … %}}` leaves no line
break behind:

```jinja
{terse}```

- A name that is not there is an error, with the file, the line and the nearest name. So is what
  nothing would ever show: a file of the folder that nothing uses, a block that the extended
  template does not have, a text in no block of a template that extends another one. What can be
  seen without a run is told before anything is fetched or sent, the rest before anything is sent;
  the exit code is 4. `dry-run: true` tries it.
- Where a run ends before it is attested, `attestation` is none: guard what counts on it with
  `{{% if attestation %}}`, and try that mail too, with `dry-run: true` and an empty `attestation`.
- A template that is broken, missing or does not fit does not keep the mail about a failed or
  cancelled job: all of it is ours then, and a warning says why.
- Put nothing into `subject` with `${{{{ … }}}}` that others write, such as a commit's message: it
  would become part of the template, and a `{{%` in it an error. Ask for the fact instead:
  `{{{{ attestation.commit.message }}}}`.
- Values are always escaped in HTML: there is neither `safe` nor `autoescape`. HTML is what has a
  name that ends in `.html.j2`.
- Files may `include`, `import` and `extend` each other and ours, by names in quotes.
- `{{{{ … }}}}` prints text, numbers and moments, and nothing for none; lists and records are
  refused.
- Nothing is reached but what stands on this page: no option, no secret, no file, no clock.
- A template makes at most {longest} characters. Rendering the templates of one mail takes at most
  {seconds} seconds and, on Linux, {memory} of memory: it is done in a process of its own, which is
  ended then, and the error names the template. A file has at most 128 KiB, a folder at most 32
  templates.
- The registration mail is about no run, and no template of yours changes it.
- With `thread: ref`, Gmail keeps mails together as long as their subjects are alike; what changes
  from run to run belongs in brackets before the rest: `[{{{{ wording.badge }}}}] …`.
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
