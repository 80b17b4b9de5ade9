"""When delivery is tried again."""

import pytest

from chainloop_smtp.delivery import _backoff
from chainloop_smtp.delivery.session import Clock


@pytest.mark.parametrize(
    ("fruitless", "least", "most"), [(1, 0.5, 1), (2, 1, 2), (3, 2, 4), (6, 15, 30), (99, 15, 30)]
)
def test_backoffs_double_up_to_half_a_minute_and_differ(
    fruitless: int, least: float, most: float
) -> None:
    assert _backoff(fruitless, 0.0) == least
    assert least < _backoff(fruitless, 0.5) < _backoff(fruitless, 0.999) < most


def test_chance_is_a_fraction() -> None:
    drawn = {Clock().chance() for _ in range(100)}
    assert len(drawn) > 90
    assert all(0 <= each < 1 for each in drawn)


def test_the_present_is_in_utc() -> None:
    offset = Clock().now().utcoffset()
    assert offset is not None
    assert not offset
