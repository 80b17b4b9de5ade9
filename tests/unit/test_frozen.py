"""Our frozen dataclasses do what those of the standard library do."""

import dataclasses
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from chainloop_smtp.model.frozen import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """A value with a default, a secret, a note and a factory."""

    name: str
    port: int = 587
    password: str = dataclasses.field(default="", repr=False)
    note: str = dataclasses.field(default="", compare=False)
    places: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Theirs:
    """The same, made by the standard library."""

    name: str
    port: int = 587
    password: str = dataclasses.field(default="", repr=False)
    note: str = dataclasses.field(default="", compare=False)
    places: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """Has what Ours has, and is something else."""

    name: str


OURS = Ours(name="relay", password="hidden")
THEIRS = Theirs(name="relay", password="hidden")


@pytest.mark.parametrize(
    "look",
    [
        lambda value: repr(value).partition("(")[2],
        dataclasses.asdict,
        lambda value: [field.name for field in dataclasses.fields(value)],
        lambda value: dataclasses.asdict(dataclasses.replace(value, port=25)),
        lambda value: value == dataclasses.replace(value),
        lambda value: value == dataclasses.replace(value, password="another"),
        lambda value: value == dataclasses.replace(value, note="another"),
        lambda value: value == Other(name="relay"),
        lambda value: value.places is dataclasses.replace(value).places,
        lambda value: type(value)(name="a").places is type(value)(name="a").places,
        lambda value: hash(dataclasses.replace(value, places=())),
        lambda value: hasattr(value, "__dict__"),
        lambda value: type(value).__slots__,
        lambda value: [
            (each.name, each.kind, each.annotation, each.default is each.empty)
            for each in inspect.signature(type(value)).parameters.values()
        ],
        lambda value: type(value).__match_args__,
        lambda value: pickle.loads(pickle.dumps(value)) == value,
    ],
)
def test_a_value_shows_itself_and_compares_as_theirs(look: Callable[[Any], object]) -> None:
    assert look(OURS) == look(THEIRS)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda value: setattr(value, "name", "another"),
        lambda value: delattr(value, "name"),
        lambda value: type(value)(),
        lambda value: type(value)("relay"),
        lambda value: type(value)(name="relay", host="a"),
        lambda value: dataclasses.replace(value, host="a"),
        hash,
    ],
)
def test_a_value_refuses_what_theirs_refuse(attempt: Callable[[Any], object]) -> None:
    raised = []
    for value in (OURS, THEIRS):
        with pytest.raises((AttributeError, TypeError)) as caught:
            attempt(value)
        raised.append(caught.type)
    assert raised[0] is raised[1]
    assert Ours(name="relay", password="hidden") == OURS


def test_what_is_missing_or_unknown_is_named() -> None:
    with pytest.raises(TypeError, match="Ours lacks the argument 'name'"):
        Ours()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="Ours has no argument 'host', 'user'"):
        Ours(name="relay", host="a", user="b")  # type: ignore[call-arg]


def test_any_other_kind_of_dataclass_is_the_standard_librarys_to_make() -> None:
    with pytest.raises(TypeError, match="a value is frozen"):
        dataclass(frozen=False, slots=True, kw_only=True)
