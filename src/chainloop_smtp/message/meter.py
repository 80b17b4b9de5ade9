"""How much a template of somebody else may do, and how much it may make.

Whatever a template makes has a weight: its characters and members, each counted as often as it is
referred to. No value may be heavier than `LONGEST`; loops, calls and filters are charged for until
`STEPS` are used up. So a template that loops for ever, doubles a text or nests a list in itself
ends as an error, after seconds and some tens of MB at most.
"""

import math
import re
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView

STEPS = 2_000_000
LONGEST = 5_000_000
CHARGE = 16  # characters that cost as much as one step
CALL = 3  # steps for a call, besides what it does

_MEMBERS = 2  # members of a list that cost as much as one step

_BIGGEST = 10_000  # bits of a number


class TooMuch(Exception):  # noqa: N818  # it reads as a sentence: raise TooMuch
    """The template would make more, or do more, than any mail needs.

    A line break in the message separates what is wrong from what to do.
    """


class Meter:
    """How much is left to be done by one template."""

    def __init__(self, *, is_open: bool = False) -> None:
        """A full meter.

        Args:
            is_open: It never runs out: for our own templates.
        """
        self._left: float = math.inf if is_open else STEPS
        self._longest: float = math.inf if is_open else LONGEST

    def charge(self, steps: float) -> None:
        """Takes steps away.

        Raises:
            TooMuch: There are not so many left.
        """
        self._left -= steps
        if self._left < 0:
            raise TooMuch(
                "the template does more than any mail needs\nLook for a loop inside a loop."
            )

    def check(self, weight: float) -> None:
        """A value of that weight may be made.

        Raises:
            TooMuch: It may not.
        """
        if weight > self._longest:
            raise TooMuch(f"the template makes a text or list of more than {LONGEST:,} characters")

    def weigh(self, *values: object) -> int:
        """The weight of the values together, charged for.

        Raises:
            TooMuch: They are too heavy.
        """
        known: dict[int, int] = {}
        lengths: list[int] = []
        total = sum(_weight(value, known, lengths) for value in values)
        self.charge(1 + total // CHARGE + sum(lengths) // _MEMBERS)
        self.check(total)
        return total

    def looked_at(self, value: object) -> object:
        """A part of the facts; a list of them may have been put together for it."""
        self.charge(1 + (len(value) // _MEMBERS if isinstance(value, tuple) else 0))
        return value

    def made(self, value: object) -> object:
        """What a call or a filter has made, weighed; an iterator as what it yields."""
        if isinstance(value, Iterator | KeysView | ValuesView | ItemsView):
            value = tuple(value)
        self.weigh(value)
        if isinstance(value, int):
            self.check(0 if value.bit_length() <= _BIGGEST else math.inf)
        return value

    def check_operator(self, operator: str, left: object, right: object) -> None:
        """``left operator right`` may be worked out.

        Args:
            operator: ``+``, ``*``, ``%`` or ``**``.

        Raises:
            TooMuch: The result would be too much.
        """
        both = self.weigh(left, right)
        if operator == "%" and isinstance(left, str):
            self.check(both + _format_growth(left))
        elif isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length() * right if operator == "**" else left.bit_length()
            self.check(0 if bits + right.bit_length() <= _BIGGEST else math.inf)
        elif operator == "*":
            times = next((each for each in (left, right) if isinstance(each, int)), 1)
            self.check(both * times)

    def check_filter(self, name: str, weight: int, *values: object, **named: object) -> None:
        """A filter that can make much of little may be applied.

        Raises:
            TooMuch: The result would be too much.
        """
        if growth := _GROWTH.get(name):
            self.check(weight + growth(*values, **named))
        if name == "wrap":
            # By far the slowest of them.
            self.charge(weight // 4)


def _weight(value: object, known: dict[int, int], lengths: list[int]) -> int:
    """Characters and members of a value; a record of the facts is made of its fields.

    Args:
        known: Weights of the lists met before, by identity; added to.
        lengths: Of every list that had to be looked through; added to.
    """
    if isinstance(value, str | range):
        return len(value)
    names = getattr(type(value), "__dataclass_fields__", ())
    if isinstance(value, list | tuple | dict) or names:
        weight = known.get(id(value))
        if weight is None:
            members = [getattr(value, name) for name in names]
            if isinstance(value, list | tuple | dict):
                members += value
            if isinstance(value, dict):
                members += value.values()
            lengths.append(len(members))
            weight = 1 + sum(_weight(member, known, lengths) for member in members)
            known[id(value)] = weight
        return weight
    return 1


def _format_growth(text: str, *_: object, **__: object) -> float:
    """``%``: the widths that the format asks for; a width by an argument is not to be foreseen."""
    return math.inf if re.search(r"%[^a-zA-Z%]*\*", text) else sum(map(int, _NUMBER.findall(text)))


_NUMBER = re.compile(r"\d{1,18}")


def _indent_growth(text: str, width: int | str = 4, *_: object, **__: object) -> float:
    return (text.count("\n") + 1) * (len(width) if isinstance(width, str) else width)


def _replace_growth(text: str, old: str, new: str, *_: object, **__: object) -> float:
    return text.count(old) * len(new)


def _wrap_growth(text: str, indent: str = "", *_: object, **__: object) -> float:
    return (text.count(" ") + text.count("\n") + 1) * len(indent)


_GROWTH: Mapping[str, Callable[..., float]] = {
    "format": _format_growth,
    "indent": _indent_growth,
    "replace": _replace_growth,
    "wrap": _wrap_growth,
}
