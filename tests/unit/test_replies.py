"""Replies, octet by octet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainloop_smtp.delivery.hints import Phase
from chainloop_smtp.delivery.replies import (
    ReplyParser,
    TransactionReplies,
    status_of,
    status_of_error,
)
from chainloop_smtp.errors import DeliveryError, Problem
from chainloop_smtp.model.mail import RecipientStatus, Reply

A, B, C = "a@example.test", "b@example.test", "c@example.test"
SAID = b"250-2.0.0 one\r\n250 2.0.0 two\r\n421\r\n"


@given(st.sets(st.integers(1, len(SAID) - 1)))
def test_replies_are_the_same_however_they_are_cut(cuts: set[int]) -> None:
    replies = ReplyParser("server:25", str)
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
    replies = ReplyParser("server:25", str)
    replies.feed(b"250-one\r\n")
    assert replies.take() is None
    assert not replies.is_empty


def taken(said: bytes) -> Reply:
    replies = ReplyParser("server:25", str.upper)
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
    replies = ReplyParser("server:25", str.upper)
    replies.feed(b"250-one\r\n250\n")
    replies.take()
    assert replies.lines == [b"one", b""]


def refusal(said: bytes) -> Problem:
    replies = ReplyParser("server:25", str.upper)
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
    too_long = Problem("server:25", "the server's line is longer than 4096 bytes", "")
    assert refusal(b"250 " + b"x" * 4093) == too_long
    assert refusal(b"250 " + b"x" * 4093 + b"\n") == too_long

    full = b"250-" + b"x" * 4092 + b"\n"
    assert len(taken(full * 15 + full.replace(b"-", b" ")).text) == 16 * 4092 + 15
    assert refusal(full * 16 + b"250 x\n") == Problem(
        "server:25", "the server's reply is longer than 65536 bytes", ""
    )


def test_the_bound_is_each_replys_own() -> None:
    replies = ReplyParser("server:25", str)
    whole = (b"250-" + b"x" * 4000 + b"\r\n") * 10 + b"250 end\r\n"
    replies.feed(whole * 3)
    assert [replies.take() is not None for _ in range(4)] == [True, True, True, False]


def test_the_beginning_of_a_line_is_seen_before_its_end() -> None:
    replies = ReplyParser("server:25", str)
    replies.feed(b"\x15\x03\x01")
    assert replies.starts_with(b"\x15\x03")
    assert not replies.starts_with(b"\x03\x01")


# --- what they mean for a transaction ----------------------------------------------------------


def answers(
    sender: int = 250, *recipients: int, data: int = 0, content: int = 0
) -> TransactionReplies:
    """Codes; 0: not answered."""
    made = TransactionReplies((A, B, C))
    made.mail_from = Reply(code=sender) if sender else None
    made.rcpt_to = tuple(Reply(code=code) for code in recipients)
    made.data = Reply(code=data) if data else None
    made.content = Reply(code=content) if content else None
    return made


def test_who_was_let_pass_takes_the_mail_where_the_sender_was_too() -> None:
    said = answers(250, 250, 550, 450)
    assert said.rcpt_accepted == said.accepted == said.undecided == (A,)
    assert [(who, phase, reply.code) for who, phase, reply in said.refusals] == [
        ((B,), Phase.RCPT, 550),
        ((C,), Phase.RCPT, 450),
    ]
    refused = answers(550, 250, 503, 503)
    assert refused.rcpt_accepted == (A,)
    assert refused.accepted == refused.undecided == ()
    assert [(who, phase, reply.code) for who, phase, reply in refused.refusals] == [
        ((A, B, C), Phase.MAIL, 550)
    ]


def test_who_is_not_answered_is_not_decided() -> None:
    assert answers(0).undecided == (A, B, C)
    assert answers(250, 550).undecided == (B, C)
    assert list(answers(0).refusals) == []


def test_a_mail_is_taken_by_a_yes_to_its_content_and_to_a_recipient() -> None:
    assert answers(250, 250, 550, 550, content=250).is_content_accepted
    assert not answers(250, 550, 550, 550, content=250).is_content_accepted
    assert not answers(250, 250, 250, 250, content=554).is_content_accepted
    assert not answers(250, 250, 250, 250).is_content_accepted


def test_what_came_last_about_the_whole_mail_decides() -> None:
    for said, phase, code in (
        (answers(550), Phase.MAIL, 550),
        (answers(250, 250, data=552), Phase.DATA, 552),
        (answers(250, 250, content=554), Phase.DATA, 554),
    ):
        assert said.last_about_all == (phase, Reply(code=code))
    assert answers(0).last_about_all is None


@pytest.mark.parametrize("code", [500, 502, 503, 504])
def test_a_command_that_is_not_known_makes_a_lie_of_the_extension_it_is_of(code: int) -> None:
    both = {"PIPELINING", "CHUNKING"}
    assert answers(code).broken_extensions(is_chunked=True) == both
    assert answers(250, 250, code, 250).broken_extensions(is_chunked=True) == both
    assert answers(250, 250, data=code).broken_extensions(is_chunked=False) == both
    assert answers(250, 250, 250, 250, content=code).broken_extensions(is_chunked=True) == {
        "CHUNKING"
    }


def test_a_rule_of_the_server_is_no_unknown_command() -> None:
    said = answers(0)
    said.mail_from = Reply(code=502, enhanced="5.7.0", text="Please authenticate first")
    assert said.broken_extensions(is_chunked=True) == set()


def test_what_a_mail_may_be_refused_by_is_no_lie() -> None:
    assert answers(0).broken_extensions(is_chunked=True) == set()
    # Behind a refused sender, 503 is what RCPT gets.
    assert answers(550, 503, 503, 503).broken_extensions(is_chunked=True) == set()
    assert answers(250, 550, 550, 550, content=503).broken_extensions(is_chunked=True) == set()
    assert answers(250, 250, 250, 250, content=503).broken_extensions(is_chunked=False) == set()
    assert answers(250, 250, 503, 250, content=250).broken_extensions(is_chunked=True) == set()


@pytest.mark.parametrize(
    ("code", "means"),
    [
        (199, RecipientStatus.REFUSED),
        (200, RecipientStatus.ACCEPTED),
        (300, RecipientStatus.REFUSED),
        (299, RecipientStatus.ACCEPTED),
        (354, RecipientStatus.REFUSED),
        (399, RecipientStatus.REFUSED),
        (400, RecipientStatus.DEFERRED),
        (499, RecipientStatus.DEFERRED),
        (500, RecipientStatus.REFUSED),
    ],
)
def test_the_first_digit_says_what_becomes_of_it(code: int, means: RecipientStatus) -> None:
    assert status_of(Reply(code=code)) is means
    assert answers(code).is_deferred is (means is RecipientStatus.DEFERRED)


def test_who_is_not_asked_yet_is_not_put_off() -> None:
    assert not answers(0).is_deferred
    assert not answers(0, 450, 450, 450).is_deferred


@pytest.mark.parametrize("code", [499, 501, 505, 550])
def test_another_code_makes_no_lie(code: int) -> None:
    assert answers(code).broken_extensions(is_chunked=True) == set()
    assert answers(250, 250, 250, 250, content=code).broken_extensions(is_chunked=True) == set()


@pytest.mark.parametrize(
    ("is_temporary", "means"), [(True, RecipientStatus.DEFERRED), (False, RecipientStatus.REFUSED)]
)
def test_an_error_keeps_from_the_mail_for_now_or_for_good(
    is_temporary: bool, means: RecipientStatus
) -> None:
    assert status_of_error(DeliveryError(is_temporary=is_temporary)) is means
