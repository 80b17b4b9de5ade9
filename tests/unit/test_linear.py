"""Foreign text costs linear time: every pattern of the program is fed what could make it slow.

Evidence, a mail, a server and a token endpoint may send megabytes made for that. Nothing is said
about how fast anything is, only about how much slower it gets where there is more to read.
"""

import ast
import importlib
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

import chainloop_smtp
from chainloop_smtp.model.attested import Attestation, Evaluation, Policies, Violation
from states import RECORDED, written

SOURCE = Path(chainloop_smtp.__file__).parent
METHODS = ("findall", "finditer", "fullmatch", "match", "search", "split", "sub")
SIZES = (16, 128, 8192)
# With 64 times as much to read, linear is 64 times as slow, and quadratic 4,096 times.
MOST = 3
NOTHING = 50e-6  # seconds; less than that says nothing
LETTERS = {"s": " ", "S": "a", "d": "1", "w": "a", "b": "", "n": "\n", "r": "\r", "t": "\t"}


def patterns() -> Iterator[tuple[str, re.Pattern[Any], set[str]]]:
    """Every pattern that the program compiles or writes down, and how it is used."""
    for path in sorted(SOURCE.rglob("*.py")):
        name = ".".join(("chainloop_smtp", *path.relative_to(SOURCE).with_suffix("").parts))
        text = path.read_text("utf-8")
        if "re." in text and path.stem != "__main__":
            module = importlib.import_module(name.removesuffix(".__init__"))
            for variable, value in vars(module).items():
                if isinstance(value, re.Pattern):
                    used = set(re.findall(rf"\b{variable}\.(\w+)", text)) & set(METHODS)
                    # What is handed to somebody else may be searched with.
                    yield f"{name}.{variable}", value, used or {"finditer"}
            for call in ast.walk(ast.parse(text)):
                match call:
                    case ast.Call(
                        func=ast.Attribute(value=ast.Name(id="re"), attr=method),
                        args=[ast.Constant(value=source), *_],
                    ) if method in METHODS:
                        yield f"{name}:{call.lineno}", re.compile(source), {method}


def pumps(pattern: re.Pattern[Any]) -> Iterator[tuple[str, str, str]]:
    """A beginning, what to repeat, and an end: of what the pattern itself speaks of."""
    source = (
        pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    )
    plain = re.sub(r"\\(.)", lambda letter: LETTERS.get(letter[1], letter[1]), source)
    signs = list(dict.fromkeys(each for each in plain if not each.isalnum()))
    marks = list(dict.fromkeys(each for each in re.findall(r"\\(\W)", source)))
    signs = list(dict.fromkeys([*marks, " ", "\n", "-", *signs]))[:6]
    units = [*signs, "a", "1", *map("".join, permutations([*signs, "a"], 2))]
    words = re.findall(r"[A-Za-z]{3,}", plain)[:3]
    for unit in (*units, *words, *(word + sign for word in words for sign in signs)):
        for before in ("", *signs[:1]):
            for after in ("!", "\n"):
                yield before, unit, after


def cost(pattern: re.Pattern[Any], methods: set[str], text: str) -> float:
    """Seconds of this thread's own time; the best of three, where it is more than nothing."""
    given: Any = text if isinstance(pattern.pattern, str) else text.encode("latin-1", "replace")
    taken = []
    for _ in range(3):
        started = time.thread_time()
        for method in methods:
            if method == "sub":
                pattern.sub(given[:0], given)
            elif method == "finditer":
                for _found in pattern.finditer(given):
                    pass
            else:
                getattr(pattern, method)(given)
        taken.append(time.thread_time() - started)
        if taken[-1] < NOTHING:
            break
    return min(taken)


def slow(pattern: re.Pattern[Any], methods: set[str]) -> list[str]:
    """What makes the pattern slower than linear, first found; none: nothing."""
    for before, unit, after in pumps(pattern):
        earlier, length = NOTHING, SIZES[0]
        for size in SIZES:
            taken = cost(pattern, methods, before + unit * (size // len(unit)) + after)
            if taken > MOST * earlier * size / length:
                return [f"{before!r} + {unit!r} * {size} + {after!r}"]
            earlier, length = max(taken, NOTHING), size
    return []


PATTERNS = {name: (pattern, methods) for name, pattern, methods in patterns()}


def test_the_patterns_are_found() -> None:
    assert len(PATTERNS) > 60
    assert PATTERNS["chainloop_smtp.message.templates._MARKERS"][1] == {"sub"}


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_takes_linear_time(name: str) -> None:
    assert slow(*PATTERNS[name]) == []


@pytest.mark.parametrize(
    ("source", "method"),
    [
        (r"^\s*\|(?:[ :-]*-[ :-]*\|)+\s*$", "match"),
        (r"(?m)^(\s*\d*)([-+=.)])(?=[-=\s]*$|\s)", "sub"),
        (r"\s*,", "search"),
        (r"<[^>]*>", "sub"),
        (r"(?:a|a)*!", "match"),
    ],
)
def test_a_pattern_that_does_not_is_found_out(source: str, method: str) -> None:
    assert slow(re.compile(source), {method})


def evidence(message: str, number: int, each: int) -> Attestation:
    """So many violations of a message, some of each policy."""
    evaluations = tuple(
        Evaluation(name=f"p{first}", violations=(Violation(message=message),) * each)
        for first in range(0, number, each)
    )
    policies = Policies(
        evaluations=evaluations,
        evaluation_count=len(evaluations),
        violation_count=number,
        has_violations=True,
    )
    return replace(RECORDED, policies=policies)


def composing(attestation: Attestation) -> float:
    # Where coverage is measured, that would be most of the time.
    traced = sys.gettrace()
    sys.settrace(None)
    try:
        started = time.thread_time()
        written(attestation)
        return time.thread_time() - started
    finally:
        sys.settrace(traced)


@pytest.mark.parametrize(
    "make",
    [
        lambda size: evidence("|" + "-" * 9990, size // 20, 5),
        lambda size: evidence("- -\n" * 2500, size // 20, 5),
        lambda size: evidence("**a** `b` [x](http://y.test) " * 300, size // 20, 5),
        lambda size: evidence("Update the package", size, 10),
        lambda size: evidence("Update the package", size, 1),
    ],
    ids=["heads of tables", "rules", "marks", "short", "policies"],
)
def test_composing_takes_linear_time(make: Callable[[int], Attestation]) -> None:
    # What is chosen to be shown grows up to a bound, and only then the rest counts.
    less = min(composing(make(400)) for _ in range(2))

    assert composing(make(3200)) < MOST * 8 * less
