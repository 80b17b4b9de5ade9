"""Templates and facts -> text: their sources, their filters, and the cache of their byte code.

A user's template takes the place of the built-in one. Built-in templates are rendered in this
process, the user's in a child (`child`).
"""

import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemBytecodeCache, FunctionLoader
from jinja2.bccache import Bucket

from chainloop_smtp import __version__, inputfile
from chainloop_smtp.errors import MessageError
from chainloop_smtp.message import formatting
from chainloop_smtp.message.rows import Fact
from chainloop_smtp.message.sandbox import BUILT_IN, SUBJECT, Sandbox
from chainloop_smtp.model.mail import Templates

if TYPE_CHECKING:
    from chainloop_smtp.message.child import Child

_COLUMNS = 78
_LONGEST_WORD = 900  # characters; a line may have 998 (RFC 5322 section 2.1.1)
_LONG_WORD = re.compile(rf"\S{{{_LONGEST_WORD}}}(?=\S)")
_MARKDOWN = str.maketrans(
    {character: f"\\{character}" for character in "\\`*_{}[]#|~$"}
    | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
)

_DURATION = re.compile(r"\b\d+ (?:h|min|s)(?: \d+ (?:min|s))?\b")

# A list, a rule, or the underline of a heading (CommonMark sections 4 and 5). Each try stays in its
# line: one that ran on from every line to the end would take quadratic time.
_MARKERS = re.compile(r"^([^\S\n]*+\d*+)([-+=.)])(?=\s|(?:[-=]|[^\S\n])*+$)", re.MULTILINE)

_COMPILED = 2  # increment when the sandbox compiles a template to other byte code
# Not by importlib.resources, which brings zipfile and more than all of these modules take.
_FOLDER = Path(__file__).parents[1] / "templates"


class TemplateError(MessageError):
    """A user's template cannot be rendered for this run."""


def check(own: Templates) -> None:
    """Checks the user's templates, as far as that is possible without a run.

    Raises:
        MessageError: With every problem found.
    """
    names = [each.name for each in own.files] + [SUBJECT] * bool(own.subject)
    if not names and not own.folder:
        return
    from chainloop_smtp.message.child import Child

    with closing(Child(own)) as child:
        problems = [each for name in names for each in child.inspect(name)]
        if problems := problems or child.inspect(""):
            raise MessageError(*problems)


class Renderer:
    """Renders the user's template where there is one with the name, else the built-in one.

    A context manager: leaving it ends the child process that renders the user's templates.

    Attributes:
        own: The user's.
    """

    def __init__(self, own: Templates) -> None:
        self.own = own
        self._names = {each.name for each in own.files}
        self._child: Child | None = None

    def __enter__(self) -> "Renderer":
        return self

    def __exit__(self, *_: object) -> None:
        if self._child:
            self._child.close()

    def render(self, name: str, facts: Mapping[str, object]) -> str:
        """One template with the facts in it.

        Args:
            name: ``mail.html.j2``, ``mail.txt.j2``, ``subject.txt.j2`` or ``summary.md.j2``.

        Raises:
            TemplateError: It is the user's, and is broken or hits a limit.
        """
        if name == "subject.txt.j2" and self.own.subject:
            name = SUBJECT
        elif name not in self._names:
            return built_in_environment().get_template(BUILT_IN + name).render(facts)
        if self._child is None:
            # Imported here: most users have no templates, and pay nothing.
            from chainloop_smtp.message.child import Child

            self._child = Child(self.own)
        return self._child.render(name, facts)


def built_in() -> dict[str, str]:
    """Sources of the built-in templates by name, without ``chainloop/``."""
    return {each.name: each.read_text("utf-8") for each in _FOLDER.iterdir() if each.is_file()}


@cache
def built_in_environment() -> Sandbox:
    """Jinja2 with the built-in templates alone; the same for all mails of a run."""
    return environment(Templates())


def environment(own: Templates) -> Sandbox:
    """Jinja2 with the built-in templates and the user's."""
    sources = {each.name: each.text for each in own.files} | {SUBJECT: own.subject}

    def load(name: str) -> tuple[str, str, Callable[[], bool]] | None:
        is_ours = name.startswith(BUILT_IN)
        text = _source(name.removeprefix(BUILT_IN)) if is_ours else sources.get(name)
        # The name stands in for the file's name in tracebacks.
        return None if text is None else (text, name, lambda: True)

    return Sandbox(
        FunctionLoader(load),
        text_filters={
            "code": code,
            "joined": joined,
            "md": md,
            "stretches": formatting.stretches,
            "wrap": wrap,
        },
        filters={"count": formatting.count, "fact": fact, "grouped": grouped, "noun": noun},
        tests={"unbroken": formatting.is_unbroken, "web": formatting.is_web},
        bytecode_cache=_bytecode_cache(),
    )


class _BuiltInByteCode(FileSystemBytecodeCache):
    """Byte code of built-in templates; the user's may change between runs, and are not kept."""

    is_kept = True

    def get_bucket(
        self, environment: Environment, name: str, filename: str | None, source: str
    ) -> Bucket:
        if name.startswith(BUILT_IN):
            return super().get_bucket(environment, name, filename, source)
        return Bucket(environment, "", "")

    def set_bucket(self, bucket: Bucket) -> None:
        if bucket.key and self.is_kept:
            super().set_bucket(bucket)


class _ReleasedByteCode(_BuiltInByteCode):
    """The same, as a release brings it: nothing is written beside it."""

    is_kept = False


def _bytecode_cache() -> FileSystemBytecodeCache | None:
    """Compiled templates beside our compiled modules, where those have a folder of their own.

    Compiling the templates costs more than all the rest of a run together. The cache compares the
    source's checksum alone, so nobody else may write there.
    """
    # What is compiled depends on the environment, too, and so on the program's version.
    pattern = f"__jinja2_{__version__}_{_COMPILED}_%s.cache"
    if not sys.pycache_prefix:
        released = _FOLDER / "__pycache__" / str(sys.implementation.cache_tag)
        return _ReleasedByteCode(str(released), pattern) if released.is_dir() else None
    folder = Path(sys.pycache_prefix, "templates")
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        is_own = inputfile.is_own(folder.stat())
    except OSError:
        return None
    is_usable = is_own and os.access(folder, os.W_OK)
    return _BuiltInByteCode(str(folder), pattern) if is_usable else None


def _source(name: str) -> str | None:
    template = _FOLDER / name
    return template.read_text(encoding="utf-8") if template.is_file() else None


def grouped(number: int) -> str:
    """``12,345``."""
    return f"{number:,}"


def noun(number: int, word: str) -> str:
    """``violation`` or ``violations``."""
    return word if number == 1 else f"{word}s"


def wrap(text: str, indent: str = "", first: str | None = None) -> str:
    """Lines of 78 columns at most; a word that is longer stands alone and, up to 900, whole.

    Args:
        first: What the first line starts with, where that differs from ``indent``.
    """
    start = indent if first is None else first
    if len(start) + len(text) <= _COLUMNS and text.isprintable() and text.strip() == text != "":
        return start + text
    import textwrap

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
    if len(filled) > _LONGEST_WORD:
        filled = _LONG_WORD.sub(r"\g<0>\n", filled)
    return filled.replace("\x1f", " ")


def joined(text: str, blank: str = "\xa0") -> str:
    """A duration stays in one piece: its blanks are such as do not break."""
    return _DURATION.sub(lambda found: found[0].replace(" ", blank), text)


def fact(row: Fact) -> str:
    """``  Key:             value``; a value that is long, or of several lines, stands below.

    Where it links to stands below it.
    """
    head = f"  {row.key + ':':<16} "
    lines = row.value.split("\n")
    link = [f"    {row.url}"] if row.url and row.url != row.value else []
    if len(row.key) < 16 and len(lines) == 1 and len(head) + len(row.value) <= _COLUMNS:
        return "\n".join((head + row.value, *link))
    return "\n".join((wrap(row.key + ":", "  "), *(wrap(line, "    ") for line in lines), *link))


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
