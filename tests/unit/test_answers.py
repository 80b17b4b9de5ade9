"""What a server's replies to one transaction mean for whom."""

import pytest

from chainloop_smtp.delivery.answers import Answers, severity, state
from chainloop_smtp.delivery.hints import Phase
from chainloop_smtp.errors import DeliveryError
from chainloop_smtp.model.mail import RecipientStatus, Reply

A, B, C = "a@example.test", "b@example.test", "c@example.test"


def answers(
    sender: int = 250, *recipients: int, before_content: int = 0, content: int = 0
) -> Answers:
    """Codes; 0: not answered."""
    made = Answers((A, B, C))
    made.sender = Reply(code=sender) if sender else None
    made.to_recipients = tuple(Reply(code=code) for code in recipients)
    made.before_content = Reply(code=before_content) if before_content else None
    made.content = Reply(code=content) if content else None
    return made


def test_who_was_let_pass_takes_the_mail_where_the_sender_was_too() -> None:
    said = answers(250, 250, 550, 450)
    assert said.let_pass == said.takers == said.undecided == (A,)
    assert [(who, phase, reply.code) for who, phase, reply in said.refused] == [
        ((B,), Phase.RCPT, 550),
        ((C,), Phase.RCPT, 450),
    ]
    refused = answers(550, 250, 503, 503)
    assert refused.let_pass == (A,)
    assert refused.takers == refused.undecided == ()
    assert [(who, phase, reply.code) for who, phase, reply in refused.refused] == [
        ((A, B, C), Phase.MAIL, 550)
    ]


def test_who_is_not_answered_is_not_decided() -> None:
    assert answers(0).undecided == (A, B, C)
    assert answers(250, 550).undecided == (B, C)
    assert list(answers(0).refused) == []


def test_a_mail_is_taken_by_a_yes_to_its_content_and_to_a_recipient() -> None:
    assert answers(250, 250, 550, 550, content=250).is_taken
    assert not answers(250, 550, 550, 550, content=250).is_taken
    assert not answers(250, 250, 250, 250, content=554).is_taken
    assert not answers(250, 250, 250, 250).is_taken


def test_what_came_last_about_the_whole_mail_decides() -> None:
    for said, phase, code in (
        (answers(550), Phase.MAIL, 550),
        (answers(250, 250, before_content=552), Phase.DATA, 552),
        (answers(250, 250, content=554), Phase.DATA, 554),
    ):
        assert said.decisive == (phase, Reply(code=code))
    assert answers(0).decisive is None


@pytest.mark.parametrize("code", [500, 502, 503, 504])
def test_a_command_that_is_not_known_makes_a_lie_of_the_extension_it_is_of(code: int) -> None:
    both = {"PIPELINING", "CHUNKING"}
    assert answers(code).lies(is_chunked=True) == both
    assert answers(250, 250, code, 250).lies(is_chunked=True) == both
    assert answers(250, 250, before_content=code).lies(is_chunked=False) == both
    assert answers(250, 250, 250, 250, content=code).lies(is_chunked=True) == {"CHUNKING"}


def test_a_rule_of_the_server_is_no_unknown_command() -> None:
    said = answers(0)
    said.sender = Reply(code=502, enhanced="5.7.0", text="Please authenticate first")
    assert said.lies(is_chunked=True) == set()


def test_what_a_mail_may_be_refused_by_is_no_lie() -> None:
    assert answers(0).lies(is_chunked=True) == set()
    # Behind a refused sender, 503 is what RCPT gets.
    assert answers(550, 503, 503, 503).lies(is_chunked=True) == set()
    assert answers(250, 550, 550, 550, content=503).lies(is_chunked=True) == set()
    assert answers(250, 250, 250, 250, content=503).lies(is_chunked=False) == set()
    assert answers(250, 250, 503, 250, content=250).lies(is_chunked=True) == set()


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
    assert state(Reply(code=code)) is means
    assert answers(code).is_put_off is (means is RecipientStatus.DEFERRED)


def test_who_is_not_asked_yet_is_not_put_off() -> None:
    assert not answers(0).is_put_off
    assert not answers(0, 450, 450, 450).is_put_off


@pytest.mark.parametrize("code", [499, 501, 505, 550])
def test_another_code_makes_no_lie(code: int) -> None:
    assert answers(code).lies(is_chunked=True) == set()
    assert answers(250, 250, 250, 250, content=code).lies(is_chunked=True) == set()


@pytest.mark.parametrize(
    ("is_temporary", "means"), [(True, RecipientStatus.DEFERRED), (False, RecipientStatus.REFUSED)]
)
def test_an_error_keeps_from_the_mail_for_now_or_for_good(
    is_temporary: bool, means: RecipientStatus
) -> None:
    assert severity(DeliveryError(is_temporary=is_temporary)) is means
