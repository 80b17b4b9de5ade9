"""Template and facts -> text. The only module that imports jinja2.

Sandboxed, so that a template reaches nothing but the facts; autoescaped where the template's name
says HTML; a name that is not defined is an error and never an empty space.
"""

import os
import re
import sys
import textwrap
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

from jinja2 import FileSystemBytecodeCache, FunctionLoader, StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from chainloop_smtp.errors import MessageError, Problem
from chainloop_smtp.message import links, wording
from chainloop_smtp.message.rows import Fact

_COLUMNS = 78
_MARKDOWN = str.maketrans(
    {character: f"\\{character}" for character in "\\`*_{}[]#|~$"}
    | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
)

_DURATION = re.compile(r"\b\d+ (?:h|min|s)(?: \d+ (?:min|s))?\b")

# A list, a rule, or the underline of a heading (CommonMark sections 4 and 5).
_MARKERS = re.compile(r"^(\s*\d*)([-+=.)])(?=[-=\s]*$|\s)", re.MULTILINE)


def render(name: str, facts: Mapping[str, object]) -> str:
    """One template with the facts in it.

    Raises:
        MessageError: The template is broken.
    """
    try:
        return _environment().get_template(name).render(facts)
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        where = f"{getattr(error, 'name', None) or name}" + (f", line {line}" if line else "")
        raise MessageError(Problem(where, error.message or "the template is broken")) from error


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        loader=FunctionLoader(_source),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=False,
        auto_reload=False,
        bytecode_cache=_bytecode_cache(),
    )
    environment.filters |= {
        "code": code,
        "count": wording.count,
        "fact": fact,
        "joined": joined,
        "md": md,
        "noun": lambda number, noun: noun if number == 1 else noun + "s",
        "wrap": wrap,
    }
    environment.tests |= {"unbroken": links.is_unbroken, "web": links.is_web}
    return environment


def _bytecode_cache() -> FileSystemBytecodeCache | None:
    """Compiled templates beside our compiled modules, where those have a folder of their own.

    Compiling the templates costs more than all the rest of a run together. The cache compares the
    source's checksum; whoever can write there can write our byte code as well.
    """
    if not sys.pycache_prefix:
        return None
    folder = Path(sys.pycache_prefix, "templates")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return FileSystemBytecodeCache(str(folder)) if os.access(folder, os.W_OK) else None


def _source(name: str) -> str | None:
    template = files("chainloop_smtp").joinpath("templates", name)
    return template.read_text(encoding="utf-8") if template.is_file() else None


def wrap(text: str, indent: str = "", first: str | None = None) -> str:
    """Lines of 78 columns at most; a word that is longer stands alone and whole.

    Args:
        first: What the first line starts with, where that differs from ``indent``.
    """
    start = indent if first is None else first
    if len(start) + len(text) <= _COLUMNS and text.isprintable() and text.strip() == text != "":
        return start + text
    # U+001F is no blank to textwrap, and no value holds one.
    joined_words = joined(text, "\x1f")
    filled = textwrap.fill(
        joined_words,
        _COLUMNS,
        initial_indent=start,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return filled.replace("\x1f", " ")


def joined(text: str, blank: str = "\xa0") -> str:
    """A duration stays in one piece: its blanks are such as do not break."""
    return _DURATION.sub(lambda found: found[0].replace(" ", blank), text)


def fact(row: Fact) -> str:
    """``  Key:             value``; a value that is long, or of several lines, stands below."""
    head = f"  {row.key + ':':<16} "
    lines = row.value.split("\n")
    if len(row.key) < 16 and len(lines) == 1 and len(head) + len(row.value) <= _COLUMNS:
        return head + row.value
    return "\n".join((wrap(row.key + ":", "  "), *(wrap(line, "    ") for line in lines)))


def md(text: str) -> str:
    """A value as Markdown text: nothing in it is markup, at the start of a line either.

    GitHub still makes a link of what looks like a URL, and shows where it leads.
    """
    return _MARKERS.sub(r"\1\\\2", text.translate(_MARKDOWN))


def code(text: str) -> str:
    """A value as a Markdown code span, inside a table too; empty when it is."""
    if not text or "`" in text:
        return md(text)
    return "`" + text.replace("|", "\\|") + "`"
