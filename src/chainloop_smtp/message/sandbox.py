"""Jinja2 for templates of somebody else: they reach the facts, and do no more than the meter lets.

No attribute that begins with ``_``, no call but of macros, blocks and the methods listed here, no
filter but those listed here and those that the environment is given; HTML is always escaped. Our
own templates are held to the same, and measured only where they are part of somebody else's.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from enum import Enum
from functools import wraps
from typing import Any

from jinja2 import (
    BaseLoader,
    BytecodeCache,
    StrictUndefined,
    TemplateRuntimeError,
    Undefined,
    nodes,
)
from jinja2.exceptions import SecurityError
from jinja2.filters import make_attrgetter
from jinja2.nodes import EvalContext
from jinja2.runtime import BlockReference, Context, LoopContext, Macro, markup_join
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace, missing, pass_eval_context
from markupsafe import escape

from chainloop_smtp.errors import Problem, nearest_hint, quoted
from chainloop_smtp.message.measuring import measure
from chainloop_smtp.message.meter import CALL, CHARGE, Meter, TooMuch

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

# fmt: on
# Methods and filters that take no longer argument.
_OF_SHORT = frozenset(
    ("lstrip", "rfind", "rpartition", "rsplit", "rstrip", "strftime", "strip", "trim")
)
# Filters that print what they are given besides the value.
_OF_TEXTS = frozenset(("count", "format", "noun"))

_RANGE = 100_000
_SHORT = 100  # characters of an argument that is gone through for each character of a value
_MESSAGE = 1_000  # characters of an error, which may hold a value

# fmt: off
# Methods by what they are of. None makes more than it was given, none changes anything.
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


def is_html(name: str | None) -> bool:
    """Values are escaped in a template of that name."""
    return name is not None and name.endswith(".html.j2")


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint: the name that was meant, or all there are."""
    return nearest_hint(name, sorted(known))


def problem(name: str, line: int | None, message: str) -> Problem:
    """A problem in a template; a line break in the message separates what to do."""
    why, _, hint = message[:_MESSAGE].partition("\n")
    return Problem(f"{name}, line {line}" if line else name, why, hint)


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
        return f"{what} has no {quoted(name)}\n{nearest(name, public(owner))}"


def public(owner: object) -> list[str]:
    """Names of the parts of a record or of its type, for templates."""
    kind = owner if isinstance(owner, type) else type(owner)
    if fields := getattr(kind, "_fields", ()):
        # A row of a table is a tuple, too, which is nothing to speak of.
        derived = (name for name, part in vars(kind).items() if isinstance(part, property))
        return [*fields, *derived]
    names = [each for each in dir(owner) if not each.startswith("_")]
    return [*names, "name", "value"] if issubclass(kind, Enum) else names


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of all templates, ours (``chainloop/…``) and the user's.

    Attributes:
        meter: Of the template that is rendered; whoever renders another one puts in a new one.
    """

    # Those that can make much of little. None of them is worked out while compiling, either.
    intercepted_binops = frozenset(("+", "*", "%", "**"))

    def __init__(
        self,
        loader: BaseLoader,
        *,
        text_filters: Mapping[str, Callable[..., object]],
        filters: Mapping[str, Callable[..., object]],
        tests: Mapping[str, Callable[..., object]],
        is_measured: bool,
        bytecode_cache: BytecodeCache | None = None,
    ) -> None:
        """An environment with these filters and tests besides the listed ones of Jinja2.

        Args:
            text_filters: Those that take a text.
            is_measured: Templates of somebody else are among them.
        """
        super().__init__(
            loader=loader,
            autoescape=is_html,
            undefined=Missing,
            trim_blocks=True,
            auto_reload=False,
            bytecode_cache=bytecode_cache,
        )
        self.is_measured = is_measured
        self.meter = Meter(is_open=not is_measured)
        self.finalize = self.shown
        self.globals = {"range": _range, "namespace": Namespace}
        texts = {name: self.filters[name] for name in TEXT_FILTERS} | dict(text_filters)
        others = {name: self.filters[name] for name in OTHER_FILTERS} | dict(filters)
        self.filters = texts | others | {"join": self.join}
        self.tests = {name: self.tests[name] for name in TESTS} | dict(tests)
        if is_measured:
            tables: tuple[dict[str, Any], ...] = (self.filters, self.tests)
            for table in tables:
                for name, function in table.items():
                    # A filter of Jinja2's may have the name of a test of its.
                    is_text = name in texts and table is self.filters
                    table[name] = self._measured(name, function, is_text=is_text)

    def join_path(self, template: str, parent: str) -> str:
        """In our own templates a name is one of ours; in the user's, one of theirs."""
        is_ours = parent.startswith(OURS) and not template.startswith(OURS)
        return OURS + template if is_ours else template

    def shown(self, value: Any) -> Any:
        """What ``{{ … }}`` prints: text, a number or a time; nothing for None."""
        text = self._text(value)
        self.meter.charge(1 + len(text) // CHARGE)
        return text

    # The names of its arguments leave all names to the macro that is called.
    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """Calls what may be called."""
        if getattr(__obj, "__self__", None) is __self:
            # Put there by `measure`; no template can name it. What Jinja2 adds is not for it.
            return __obj(*args)
        _check_call(__obj, args)
        __self.meter.charge(CALL)
        if not __self.is_measured:
            return super().call(__context, __obj, *args, **kwargs)
        if (owner := getattr(__obj, "__self__", None)) is not None:
            __self.meter.weigh(owner, *args, *kwargs.values())
        return __self.meter.made(super().call(__context, __obj, *args, **kwargs))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """The operators that can make much of little."""
        if self.is_measured:
            if operator == "%" and isinstance(left, str):
                self._check_texts(right if isinstance(right, tuple) else (right,))
            self.meter.check_operator(operator, left, right)
        return super().call_binop(context, operator, left, right)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """One part of a record, or a method."""
        value = super().getattr(obj, attribute)
        return self.meter.looked_at(value) if self.is_measured else value

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:
        """What is not for templates."""
        return self.undefined(f"'{attribute}' is not for templates", obj, exc=SecurityError)

    @pass_eval_context
    def join(
        self,
        eval_ctx: EvalContext,
        value: Iterable[Any],
        d: str = "",
        attribute: str | int | None = None,
    ) -> str:
        """Jinja2's filter, but for texts only and not longer than the meter lets."""
        if attribute is not None:
            value = map(make_attrgetter(self, attribute), value)
        texts = [self._text(each) for each in value]
        d = self._text(d)
        self.meter.check(self.meter.weigh(*texts) + len(d) * len(texts))
        if not eval_ctx.autoescape:
            return d.join(map(str, texts))
        return escape(d).join(texts)

    # --- called from templates that `measure` has been through ---

    def tick(self, steps: int) -> None:
        """One turn of a loop, or one call of a macro."""
        self.meter.charge(steps)

    def weighed(self, value: Any) -> Any:
        """A list when it is made, what is compared, and what is cut out of."""
        self.meter.weigh(value)
        return value

    def concatenated(self, is_markup: bool, *parts: Any) -> str:
        """``a ~ b``."""
        texts = [self._text(part) for part in parts]
        self.meter.weigh(*texts)
        return markup_join(texts) if is_markup else "".join(map(str, texts))

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        if self.is_measured and name and not name.startswith(OURS):
            measure(tree, is_markup=is_html(name))
            tree.set_environment(self)
        return tree

    def _text(self, value: Any) -> Any:
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

    def _check_texts(self, values: Iterable[Any]) -> None:
        """Refuses what is no text: what Python would print of it has no bound."""
        for value in values:
            self._text(value)

    def _measured(
        self, name: str, function: Callable[..., Any], *, is_text: bool
    ) -> Callable[..., object]:
        """A filter or test that is charged for what it is given, and for what it makes."""
        # Some are given the environment, the context or its settings first.
        first = 1 if hasattr(function, "jinja_pass_arg") else 0

        @wraps(function)
        def measured(*args: Any, **kwargs: Any) -> object:
            self.meter.charge(CALL)
            value, *more = args[first:]
            _check_short(name, (*more, *kwargs.values()))
            if is_text:
                value = self._text(value)
            if is_text or name in _OF_TEXTS:
                self._check_texts((*more, *kwargs.values()))
            weight = self.meter.weigh(value, *more, *kwargs.values())
            self.meter.check_filter(name, weight, value, *more, **kwargs)
            return self.meter.made(function(*args[:first], value, *more, **kwargs))

        return measured


def _range(*bounds: int) -> range:
    numbers = range(*bounds)
    if len(numbers) > _RANGE:
        raise TooMuch(f"a range of more than {_RANGE:,} numbers")
    return numbers


def _check_call(function: Any, arguments: Sequence[Any]) -> None:
    if isinstance(function, Undefined):
        function()
    if isinstance(function, Macro | BlockReference | LoopContext):
        return
    if function is _range or function is Namespace:
        return
    owner, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
    methods = next((names for type_, names in METHODS if isinstance(owner, type_)), ())
    if name not in methods:
        hint = f"\n{nearest(name, methods)}" if methods else ""
        raise SecurityError(f"{name or type(function).__name__}() is not for templates{hint}")
    _check_short(name, arguments)


def _check_short(name: str, arguments: Iterable[Any]) -> None:
    if name in _OF_SHORT and any(isinstance(a, str) and len(a) > _SHORT for a in arguments):
        raise TooMuch(f"{name} is given more than {_SHORT} characters")
