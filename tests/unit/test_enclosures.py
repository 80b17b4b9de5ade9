"""What is attached, and how much of it: `attach` and `attach-max-size`."""

import pytest

from chainloop_smtp import options
from chainloop_smtp.errors import OptionsError, Problem
from chainloop_smtp.model.settings import Enclosures

INPUTS = {
    "host": "smtp.example.com",
    "port": "587",
    "user": "jane",
    "password": "correct horse",
    "from": "reports@example.com",
    "to": "security@example.com",
}


def enclosures(**inputs: object) -> Enclosures:
    given = INPUTS | {name.replace("_", "-"): value for name, value in inputs.items()}
    return options.parse(given).composition.enclosures


def test_nothing_is_attached_unless_it_is_asked_for() -> None:
    assert enclosures() == Enclosures() == Enclosures(max_size=10_000_000)


def test_two_words_are_our_own_and_every_other_line_is_a_pattern() -> None:
    assert enclosures(attach="report\n\n  dist/*.json \nattestation\ndist/*.json\na b.txt") == (
        Enclosures(has_evidence=True, has_report=True, patterns=("dist/*.json", "a b.txt"))
    )


def test_a_list_is_as_good_as_lines() -> None:
    assert enclosures(attach=["report", "x.json"]) == Enclosures(
        has_report=True, patterns=("x.json",)
    )


@pytest.mark.parametrize(
    ("size", "octets"),
    [
        ("1B", 1),
        ("512 B", 512),
        ("10kB", 10_000),
        ("10KB", 10_000),
        ("10KiB", 10_240),
        ("10MB", 10_000_000),
        ("2.5MB", 2_500_000),
        ("1.005kB", 1005),
        ("10MiB", 10_485_760),
        ("1GB", 1_000_000_000),
        ("0.5GiB", 536_870_912),
    ],
)
def test_a_size_is_a_number_and_a_unit(size: str, octets: int) -> None:
    assert enclosures(attach_max_size=size).max_size == octets


SIZE_HINT = "Write a number and a unit, such as 10MB or 512KiB."


@pytest.mark.parametrize(
    ("size", "why"),
    [
        ("10", "is not a size"),
        ("MB", "is not a size"),
        ("10mb", "is not a size"),
        ("10M", "is not a size"),
        ("10 mB", "is not a size"),
        ("-1MB", "is not a size"),
        ("1.MB", "is not a size"),
        ("1.0001MB", "is not a size"),
        ("10MB\n", None),
        ("0MB", "is not more than none and at most 1GB"),
        ("0.5B", "is not more than none and at most 1GB"),
        ("1.1GB", "is not more than none and at most 1GB"),
        ("999999999999999GiB", "is not more than none and at most 1GB"),
    ],
)
def test_a_size_is_nothing_else(size: str, why: str | None) -> None:
    if why is None:
        assert enclosures(attach_max_size=size).max_size == 10_000_000
        return
    with pytest.raises(OptionsError) as caught:
        enclosures(attach_max_size=size)
    assert caught.value.problems == (Problem("attach-max-size", f"'{size}' {why}", SIZE_HINT),)


@pytest.mark.parametrize("size", ["1e3kB", ".5MB", "١٠MB"])
def test_what_does_not_look_like_a_size_is_not_repeated(size: str) -> None:
    with pytest.raises(OptionsError) as caught:
        enclosures(attach_max_size=size)
    why = "(not shown: it may be a secret) is not a size"
    assert caught.value.problems == (Problem("attach-max-size", why, SIZE_HINT),)
