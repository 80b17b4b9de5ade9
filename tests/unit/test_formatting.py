"""Numbers, times and names as the mail writes them; what may be a link, and what deceives."""

from datetime import UTC, datetime

import pytest

from chainloop_smtp.message.formatting import cut, is_unbroken, is_web, listed, stretches, timestamp


def test_months_have_their_english_names() -> None:
    days = [timestamp(datetime(2026, month, 9, 23, 5, tzinfo=UTC)) for month in range(1, 13)]

    assert days == [
        f"9 {month} 2026, 23:05:00 UTC"
        for month in [
            "Jan",
            "Feb",
            "Mar",
            "Apr",
            "May",
            "Jun",
            "Jul",
            "Aug",
            "Sep",
            "Oct",
            "Nov",
            "Dec",
        ]
    ]


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("abcdef", "abcdef"),
        ("abcdefg", "abc..."),
        ("ab  cdef", "ab..."),
        ("  abcdef", "  a..."),
        ("", ""),
    ],
)
def test_what_is_longer_than_its_room_ends_in_dots(text: str, short: str) -> None:
    assert cut(text, 6) == short


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b"], "a and b"),
        (["a", "b", "c", "d"], "a, b, c and d"),
    ],
)
def test_words_are_listed_with_an_and_before_the_last(words: list[str], line: str) -> None:
    assert listed(words) == line


def test_over_20_characters_without_a_hyphen_may_break_anywhere() -> None:
    assert not is_unbroken("x" * 20)
    assert is_unbroken("x" * 21)
    assert not is_unbroken("x" * 20 + "-" + "x" * 20)
    assert is_unbroken("a b " + "x" * 21 + " c")
    long = ("x" * 21, "y" * 22)
    assert stretches(f"a b {' '.join(long)} c d") == ("a b", " ".join(long), "c d")
    assert stretches("") == ("",)


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/lakeside/harbour/actions/runs/42?a=b@c#d",
        "HTTP://ghe_1.example.com:8443",
        "http://[2001:db8::1]:80/x",
        "https://xn--bcher-kva.example/größe",
    ],
)
def test_an_address_of_the_web_is_a_link(url: str) -> None:
    assert is_web(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com@evil.example/",
        "https://github.com%2f@evil.example/",
        "https://jane:secret@example.com/",
        "https://gіthub.com/",
        "https://github.com\u200b.evil.example/",
        "https://github.com／x.evil.example/",
        "http\u017f://example.com/",
        "https:///example.com",
        "https://example.com/\u2028",
        "javascript:alert(1)//https://example.com",
        "//example.com",
        "https://example.com\\@evil.example",
        'https://example.com/"onclick="',
    ],
)
def test_what_hides_where_it_leads_is_none(url: str) -> None:
    assert not is_web(url)
