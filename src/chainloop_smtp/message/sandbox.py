"""Jinja2 for templates: they reach the facts, and nothing else.

Jinja2's own sandbox, narrowed to the filters, tests and methods listed here. It is the same for the
user's templates, which are rendered in a process of their own (`child`), and for ours.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from enum import Enum
from functools import wraps
from typing import Any

from jinja2 import BaseLoader, BytecodeCache, StrictUndefined, TemplateRuntimeError, Undefined
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError
from jinja2.filters import make_attrgetter
from jinja2.nodes import Concat, EvalContext
from jinja2.runtime import BlockReference, Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range
from jinja2.utils import Namespace, missing, pass_eval_context
from markupsafe import escape

from chainloop_smtp.errors import Problem, nearest_hint, quoted

OURS = "chainloop/"
SUBJECT = "subject"  # the template that the input of that name is

# Lists of Jinja2's own, in the order of the alphabet.
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

# Methods by what they are of. None changes anything, and none looks at the clock.
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
# Filters of other values that print what they are given besides.
_PRINTING = ("count", "format", "noun")
_MESSAGE = 1_000  # characters of an error, which may hold a value


def is_html(name: str | None) -> bool:
    """Values are escaped in a template of that name."""
    return name is not None and name.endswith(".html.j2")


def problem(name: str, line: int | None, message: str) -> Problem:
    """A problem in a template; a line break in the message separates what to do."""
    why, _, hint = message[:_MESSAGE].partition("\n")
    return Problem(f"{name}, line {line}" if line else name, why, hint)


def with_nearest(why: str, name: str, known: Iterable[str]) -> str:
    """A message for `problem` about an unknown name: with the one that is meant, or all."""
    known = sorted(known)
    return f"{why}\n{nearest_hint(name, known)}" if known else why


class Missing(StrictUndefined):
    """A name that is not there: an error that says what there is instead.

    A line break in the message separates what is wrong from what to do.
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
                f"{quoted(str(name))} is asked of something that the evidence does not say (None)\n"
                "Guard it with {% if … %}."
            )
        what = f"a {type(owner).__name__}"
        if not isinstance(name, str):
            return f"{what} has no such member"
        return with_nearest(f"{what} has no {quoted(name)}", name, public(owner))


def public(owner: object) -> list[str]:
    """Names of the parts of a record or of its type, for templates."""
    kind = owner if isinstance(owner, type) else type(owner)
    if fields := getattr(kind, "_fields", ()):
        # A row of a table is a tuple, too, which is nothing to speak of.
        derived = (name for name, part in vars(kind).items() if isinstance(part, property))
        return [*fields, *derived]
    names = [each for each in dir(owner) if not each.startswith("_")]
    return [*names, "name", "value"] if issubclass(kind, Enum) else names


def printed(value: Any) -> Any:
    """What ``{{ … }}`` prints: text, a number or a time; nothing for None.

    Raises:
        TemplateRuntimeError: It is a list or a record.
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
        f"a {type(value).__name__} is no text\nPrint one of its parts, or loop over it."
    )


@pass_eval_context
def _finalize(_: EvalContext, value: Any) -> Any:
    # Taking the context keeps Jinja2 from printing constants while it compiles.
    return printed(value)


@pass_eval_context
def _join(
    eval_ctx: EvalContext, value: Iterable[Any], d: str = "", attribute: str | int | None = None
) -> str:
    """Jinja2's filter, but for what can be printed only."""
    if attribute is not None:
        value = map(make_attrgetter(eval_ctx.environment, attribute), value)
    texts, d = map(printed, value), printed(d)
    return escape(d).join(texts) if eval_ctx.autoescape else d.join(map(str, texts))


def _of_texts(function: Callable[..., Any], *, is_text: bool) -> Callable[..., object]:
    """A filter that refuses to print what ``{{ … }}`` does not.

    Args:
        is_text: The value that it is applied to is a text, too.
    """
    # Some are given the environment, the context or its settings first.
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
    """The environment of all templates, ours (``chainloop/…``) and the user's."""

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
        """An environment with these filters and tests besides the listed ones of Jinja2.

        Args:
            text_filters: Those that take a text.
        """
        super().__init__(
            loader=loader,
            autoescape=is_html,
            undefined=Missing,
            finalize=_finalize,
            trim_blocks=True,
            # What is worked out while compiling has no line, and `9 ** 999999999` no end.
            optimized=False,
            auto_reload=False,
            bytecode_cache=bytecode_cache,
        )
        self.globals = {"range": safe_range, "namespace": Namespace}
        texts = {name: self.filters[name] for name in TEXT_FILTERS} | dict(text_filters)
        others = {name: self.filters[name] for name in OTHER_FILTERS} | dict(filters)
        for name in _PRINTING:
            others[name] = _of_texts(others[name], is_text=False)
        texts = {name: _of_texts(function, is_text=True) for name, function in texts.items()}
        self.filters = others | texts | {"join": _join}
        self.tests = {name: self.tests[name] for name in TESTS} | dict(tests)

    def join_path(self, template: str, parent: str) -> str:
        """In our own templates a name is one of ours; in the user's, one of theirs."""
        is_ours = parent.startswith(OURS) and not template.startswith(OURS)
        return OURS + template if is_ours else template

    def is_safe_callable(self, obj: Any) -> bool:
        """Macros, blocks and the listed methods; says what is near where it is none of them."""
        if isinstance(obj, Undefined):
            obj()
        if isinstance(obj, Macro | BlockReference | LoopContext) or obj in (safe_range, Namespace):
            return True
        owner, name = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
        methods = next((names for type_, names in METHODS if isinstance(owner, type_)), ())
        if name not in methods:
            why = f"{name or type(obj).__name__}() is not for templates"
            raise SecurityError(with_nearest(why, name, methods))
        return True

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """``%``, which may print."""
        if isinstance(left, str):
            for each in right if isinstance(right, tuple) else (right,):
                printed(each)
        return super().call_binop(context, operator, left, right)

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:
        """What is not for templates."""
        return self.undefined(f"'{attribute}' is not for templates", obj, exc=SecurityError)
