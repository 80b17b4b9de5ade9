"""Replies, octet by octet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainloop_smtp.delivery.replies import Replies
from chainloop_smtp.errors import DeliveryError, Problem
from chainloop_smtp.model.mail import Reply

SAID = b"250-2.0.0 one\r\n250 2.0.0 two\r\n421\r\n"


@given(st.sets(st.integers(1, len(SAID) - 1)))
def test_replies_are_the_same_however_they_are_cut(cuts: set[int]) -> None:
    replies = Replies("server:25", str)
    found = []
    last = 0
    for cut in [*sorted(cuts), len(SAID)]:
        replies.feed(SAID[last:cut])
        last = cut
        while reply := replies.take():
            found.append(reply)
    assert found == [Reply(code=250, enhanced="2.0.0", text="one\ntwo"), Reply(code=421)]
    assert replies.is_empty


def test_half_a_reply_is_not_nothing() -> None:
    replies = Replies("server:25", str)
    replies.feed(b"250-one\r\n")
    assert replies.take() is None
    assert not replies.is_empty


def taken(said: bytes) -> Reply:
    replies = Replies("server:25", str.upper)
    replies.feed(said)
    reply = replies.take()
    assert reply is not None
    assert replies.is_empty
    return reply


@pytest.mark.parametrize(
    ("said", "enhanced", "text"),
    [
        (b"250 2.1.5 ok\r\n", "2.1.5", "OK"),
        (b"450 4.10.200 later\n", "4.10.200", "LATER"),
        (b"550 5.7.1\r\n", "5.7.1", ""),
        (b"550-5.7.1 one\r\n550-5.7.1\r\n550 5.7.1   three\r\n", "5.7.1", "ONE\n\nTHREE"),
        (b"550-one\r\n550 5.7.1 two\r\n", "5.7.1", "ONE\nTWO"),
        # None of these is a code of RFC 3463.
        (b"550 mail.example.com says no\r\n", "", "MAIL.EXAMPLE.COM SAYS NO"),
        (b"550 5.x.y no\r\n", "", "5.X.Y NO"),
        (b"550 x.1.1 no\r\n", "", "X.1.1 NO"),
        (b"550 3.1.1 no\r\n", "", "3.1.1 NO"),
        (b"550 45.1.1 no\r\n", "", "45.1.1 NO"),
        (b"550 24.1.1 no\r\n", "", "24.1.1 NO"),
        (b"550 5.1 no\r\n", "", "5.1 NO"),
        (b"550 5..1 no\r\n", "", "5..1 NO"),
        (b"550 .1.1 no\r\n", "", ".1.1 NO"),
        (b"550 5.1.1000 no\r\n", "", "5.1.1000 NO"),
        (b"550-5.7.10 one\r\n550 5.7.1 two\r\n", "5.7.1", "5.7.10 ONE\nTWO"),
        (b"550 192.0.2.1 is blocked\r\n", "", "192.0.2.1 IS BLOCKED"),
        (b"550 5.1.1-no\r\n", "", "5.1.1-NO"),
        ("550 5.1.\u00b2 no\r\n".encode(), "", "5.1.\u00b2 NO"),
        ("550 5.\u0661.1 no\r\n".encode(), "", "5.\u0661.1 NO"),
        (b"550  5.1.1 no\r\n", "", "5.1.1 NO"),
        (b"250 caf\xe9\r\n", "", "CAF\ufffd"),
    ],
)
def test_an_enhanced_code_is_what_rfc_3463_calls_so(said: bytes, enhanced: str, text: str) -> None:
    assert taken(said) == Reply(code=int(said[:3]), enhanced=enhanced, text=text)


def test_lines_are_kept_as_they_came() -> None:
    replies = Replies("server:25", str.upper)
    replies.feed(b"250-one\r\n250\n")
    replies.take()
    assert replies.lines == [b"one", b""]


def refusal(said: bytes) -> Problem:
    replies = Replies("server:25", str.upper)
    replies.feed(said)
    with pytest.raises(DeliveryError) as caught:
        replies.take()
    assert not caught.value.is_temporary
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (b"hello\r\n", "HELLO"),
        (b"25\r\n", "25"),
        (b"2x0 no\r\n", "2X0 NO"),
        (b"250ok\r\n", "250OK"),
        (b"250-one\r\n\r\n", ""),
        (b"x" * 100 + b"\r\n", "X" * 60),
    ],
)
def test_what_is_no_reply_is_shown_in_part(said: bytes, shown: str) -> None:
    hint = "Is this the port of a mail server's submission service (587 or 465)?"
    assert refusal(said) == Problem("server:25", f"the server does not speak SMTP: {shown}", hint)


def test_lines_and_replies_are_bounded_where_they_are_said_to_be() -> None:
    assert len(taken(b"250 " + b"x" * 4092 + b"\n").text) == 4092
    too_long = Problem("server:25", "the server's line is longer than 4096 octets", "")
    assert refusal(b"250 " + b"x" * 4093) == too_long
    assert refusal(b"250 " + b"x" * 4093 + b"\n") == too_long

    full = b"250-" + b"x" * 4092 + b"\n"
    assert len(taken(full * 15 + full.replace(b"-", b" ")).text) == 16 * 4092 + 15
    assert refusal(full * 16 + b"250 x\n") == Problem(
        "server:25", "the server's reply is longer than 65536 octets", ""
    )


def test_the_bound_is_each_replys_own() -> None:
    replies = Replies("server:25", str)
    whole = (b"250-" + b"x" * 4000 + b"\r\n") * 10 + b"250 end\r\n"
    replies.feed(whole * 3)
    assert [replies.take() is not None for _ in range(4)] == [True, True, True, False]


def test_the_beginning_of_a_line_is_seen_before_its_end() -> None:
    replies = Replies("server:25", str)
    replies.feed(b"\x15\x03\x01")
    assert replies.starts_with(b"\x15\x03")
    assert not replies.starts_with(b"\x03\x01")
