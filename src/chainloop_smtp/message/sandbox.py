"""Jinja2's sandbox for templates, which can reach the facts and nothing else.

It is narrowed to the filters, tests and methods listed here. The built-in templates and the user's
share it; the user's are rendered in a child process (`child`), which bounds time and memory.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from enum import Enum
from functools import wraps
from typing import Any

from jinja2 import BaseLoader, BytecodeCache, StrictUndefined, TemplateRuntimeError, Undefined
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError
from jinja2.filters import do_indent, make_attrgetter
from jinja2.nodes import Concat, EvalContext
from jinja2.runtime import BlockReference, Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range
from jinja2.utils import Namespace, missing, pass_eval_context
from markupsafe import Markup, escape

from chainloop_smtp.errors import Problem, nearest_hint, quoted

BUILT_IN = "chainloop/"
SUBJECT = "subject"  # name of the template given as the input `subject`

# From Jinja2, in alphabetical order.
# fmt: off
TEXT_FILTERS = (
    "capitalize", "e", "escape", "indent", "lower", "replace", "title", "trim", "truncate",
    "upper",
)
OTHER_FILTERS = (
    "abs", "d", "default", "dictsort", "first", "float", "format", "groupby", "int",
    "items", "last", "length", "list", "map", "max", "min", "reject", "rejectattr",
    "reverse", "select", "selectattr", "sort", "unique",
)
TESTS = (
    "boolean", "defined", "divisibleby", "eq", "even", "false", "float", "ge", "gt", "in",
    "integer", "iterable", "le", "lower", "lt", "mapping", "ne", "none", "number", "odd",
    "sameas", "sequence", "string", "true", "undefined", "upper",
)

# Methods by type. None of them changes a value or reads the clock.
METHODS: tuple[tuple[type, tuple[str, ...]], ...] = (
    (
        str,
        (
            "capitalize", "casefold", "count", "endswith", "find", "isalnum",
            "isalpha", "isdigit", "islower", "isspace", "isupper", "lower",
            "lstrip", "partition", "removeprefix", "removesuffix", "rfind",
            "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith",
            "strip", "title", "upper",
        ),
    ),
    (dict, ("get", "items", "keys", "values")),
    (datetime, ("date", "isoformat", "strftime", "time", "timestamp", "weekday")),
    (date, ("isoformat", "strftime", "weekday")),
    (time, ("isoformat", "strftime")),
    (timedelta, ("total_seconds",)),
    (tuple, ("count", "index")),
    (list, ("count", "index")),
    (LoopContext, ("changed", "cycle")),
)
# fmt: on
# Filters that take any value, but print their arguments.
_PRINTING = ("count", "format", "noun")
_MESSAGE = 1_000  # characters of an error, which may hold a value


def is_html(name: str | None) -> bool:
    """Whether values are escaped in the template with this name."""
    return name is not None and name.endswith(".html.j2")


def problem(name: str, line: int | None, message: str) -> Problem:
    """A problem in a template; the hint follows a line break in the message."""
    why, _, hint = message[:_MESSAGE].partition("\n")
    return Problem(f"{name}, line {line}" if line else name, why, hint)


def with_nearest(why: str, name: str, known: Iterable[str]) -> str:
    """A message for `problem`, with the known name nearest to an unknown one, or with all."""
    known = sorted(known)
    return f"{why}\n{nearest_hint(name, known)}" if known else why


class Missing(StrictUndefined):
    """A missing name: using it is an error that suggests the nearest one.

    The hint follows a line break in the message.
    """

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        name, owner = self._undefined_name, self._undefined_obj
        if self._undefined_hint:
            return self._undefined_hint
        if owner is missing:
            return f"{quoted(str(name))} is undefined"
        if owner is None:
            return (
                f"{quoted(str(name))} is looked up in None: the evidence does not have that value\n"
                "Guard it with {% if … %}."
            )
        what = f"a {type(owner).__name__}"
        if not isinstance(name, str):
            return f"{what} has no such member"
        return with_nearest(f"{what} has no {quoted(name)}", name, public(owner))


def public(owner: object) -> list[str]:
    """Names of the attributes that templates may use, of a record or of its type."""
    kind = owner if isinstance(owner, type) else type(owner)
    if fields := getattr(kind, "_fields", ()):
        # A row of a table is a named tuple; the tuple's own methods are not suggested.
        derived = (name for name, part in vars(kind).items() if isinstance(part, property))
        return [*fields, *derived]
    names = [each for each in dir(owner) if not each.startswith("_")]
    return [*names, "name", "value"] if issubclass(kind, Enum) else names


def printed(value: Any) -> Any:
    """The text that ``{{ … }}`` prints of a text, a number or a time; empty for None.

    Raises:
        TemplateRuntimeError: The value is a list or a record.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int | float | date | time | timedelta | Enum | Undefined):
        return str(value)
    raise TemplateRuntimeError(
        f"a {type(value).__name__} is not text\nPrint one of its parts, or loop over it."
    )


@pass_eval_context
def _finalize(_: EvalContext, value: Any) -> Any:
    # Because it takes the context, Jinja2 does not evaluate constants at compile time.
    return printed(value)


@pass_eval_context
def _join(
    eval_ctx: EvalContext, value: Iterable[Any], d: str = "", attribute: str | int | None = None
) -> str:
    """Jinja2's filter, for printable values only."""
    if attribute is not None:
        value = map(make_attrgetter(eval_ctx.environment, attribute), value)
    texts, d = map(printed, value), printed(d)
    return escape(d).join(texts) if eval_ctx.autoescape else d.join(map(str, texts))


def _indent(s: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    """Jinja2's filter, which takes what it indents HTML by for HTML."""
    if isinstance(s, Markup) and isinstance(width, str):
        width = escape(width)
    return do_indent(s, width, first, blank)


def _of_texts(function: Callable[..., Any], *, is_text: bool) -> Callable[..., object]:
    """A filter that refuses arguments that ``{{ … }}`` does not print.

    Args:
        is_text: The filtered value has to be printable, too.
    """
    # Some filters take the environment, the context or its settings first.
    first = 1 if hasattr(function, "jinja_pass_arg") else 0

    @wraps(function)
    def filtered(*arguments: Any, **named: Any) -> object:
        value, *others = arguments[first:]
        for each in (*others, *named.values()):
            printed(each)
        value = printed(value) if is_text else value
        return function(*arguments[:first], value, *others, **named)

    return filtered


class _Code(CodeGenerator):
    def visit_Concat(self, node: Concat, frame: Frame) -> None:  # noqa: N802  # Jinja2's name
        """``a ~ b`` joins what ``{{ a }}{{ b }}`` prints."""
        join = "markup_join" if frame.eval_ctx.autoescape else "str_join"
        self.write(f"{join}(map(environment.printed, (")
        for each in node.nodes:
            self.visit(each, frame)
            self.write(", ")
        self.write(")))")


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of all templates, built in (``chainloop/…``) or the user's."""

    code_generator_class = _Code
    intercepted_binops = frozenset(("%",))
    printed = staticmethod(printed)

    def __init__(
        self,
        loader: BaseLoader,
        *,
        text_filters: Mapping[str, Callable[..., object]],
        filters: Mapping[str, Callable[..., object]],
        tests: Mapping[str, Callable[..., object]],
        bytecode_cache: BytecodeCache | None = None,
    ) -> None:
        """Adds filters and tests to the listed ones of Jinja2.

        Args:
            text_filters: Those whose value is a text.
        """
        super().__init__(
            loader=loader,
            autoescape=is_html,
            undefined=Missing,
            finalize=_finalize,
            trim_blocks=True,
            # An error at compile time has no line, and `9 ** 999999999` never ends.
            optimized=False,
            auto_reload=False,
            bytecode_cache=bytecode_cache,
        )
        self.globals = {"range": safe_range, "namespace": Namespace}
        texts = {name: self.filters[name] for name in TEXT_FILTERS} | {"indent": _indent}
        texts |= text_filters
        others = {name: self.filters[name] for name in OTHER_FILTERS} | dict(filters)
        for name in _PRINTING:
            others[name] = _of_texts(others[name], is_text=False)
        texts = {name: _of_texts(function, is_text=True) for name, function in texts.items()}
        self.filters = others | texts | {"join": _join}
        self.tests = {name: self.tests[name] for name in TESTS} | dict(tests)

    def join_path(self, template: str, parent: str) -> str:
        """A built-in template refers to built-in ones, a user's template to the user's."""
        return BUILT_IN + template if parent.startswith(BUILT_IN) else template

    def is_safe_callable(self, obj: Any) -> bool:
        """True for macros, blocks and the listed methods; else an error with the nearest one."""
        if isinstance(obj, Undefined):
            obj()
        if isinstance(obj, Macro | BlockReference | LoopContext) or obj in (safe_range, Namespace):
            return True
        owner, name = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
        methods = next((names for type_, names in METHODS if isinstance(owner, type_)), ())
        if name not in methods:
            why = f"{name or type(obj).__name__}() is not available to templates"
            raise SecurityError(with_nearest(why, name, methods))
        return True

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """``%``, which prints what is on its right."""
        if isinstance(left, str):
            for each in right if isinstance(right, tuple) else (right,):
                printed(each)
        return super().call_binop(context, operator, left, right)

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:
        """The error for an attribute that templates may not use."""
        return self.undefined(
            f"'{attribute}' is not available to templates", obj, exc=SecurityError
        )
