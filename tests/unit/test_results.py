"""What became of a mail -> the failure that it is, its warnings, and the sentence on it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chainloop_smtp.cli.results import failure_of, sentence, warnings_of
from chainloop_smtp.errors import Problem
from chainloop_smtp.model.mail import (
    Delivery,
    Mail,
    RecipientResult,
    RecipientStatus,
    Reply,
    TransactionResult,
)
from chainloop_smtp.model.settings import Require

A, B, C = "a@example.com", "b@example.com", "c@example.com"
MAIL = Mail(
    sender="r@example.com",
    recipients=(A, B, C),
    message_id="<1@example.com>",
    subject="s",
    content=b"",
    text="",
    html="",
)
SERVER = "smtp.example.com:587"
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
TRIED = TransactionResult(started=NOW, ended=NOW + timedelta(seconds=1.5), server=SERVER)
TOOK = RecipientStatus.ACCEPTED
NO_MAILBOX = Reply(code=550, enhanced="5.1.1", text="no such mailbox")
BUSY = Reply(code=451, text="busy")
LOOK = (
    "It was sent but not confirmed. Look for it in the mailbox or in the server's log before you "
    "send it again."
)
ENOUGH = "Set require: any if this is enough."
LATER = "Run the job again later, or set require: any if this is enough."
MEND = "Correct the addresses, or set require: any if this is enough."
UNKNOWN = "It is not known whether the mail was delivered"
NOT_ALL = "The mail did not reach all recipients"
NOT_DELIVERED = "The mail was not delivered"


def took(*recipients: str) -> tuple[RecipientResult, ...]:
    return tuple(RecipientResult(recipient=each, status=TOOK) for each in recipients)


def refused(recipient: str, hint: str = "") -> RecipientResult:
    refusal = RecipientStatus.REFUSED
    return RecipientResult(recipient=recipient, status=refusal, reply=NO_MAILBOX, hint=hint)


def deferred(recipient: str, hint: str = "") -> RecipientResult:
    return RecipientResult(recipient=recipient, reply=BUSY, hint=hint)


def unknown(*recipients: str) -> tuple[RecipientResult, ...]:
    status = RecipientStatus.UNKNOWN
    return tuple(RecipientResult(recipient=each, status=status) for each in recipients)


def delivered(*results: RecipientResult, tries: int = 1) -> Delivery:
    return Delivery(mail=MAIL, results=results, transactions=(TRIED,) * tries)


REFUSED = Problem(B, "the server refused this recipient: 550 5.1.1 no such mailbox")
BROKEN = replace(TRIED, why="the connection was lost", hint="Is it up?")


@pytest.mark.parametrize(
    ("delivery", "title", "problems"),
    [
        (
            delivered(*took(A), refused(B)),
            NOT_ALL,
            (REFUSED, Problem("delivery", "the mail went to the other recipient", MEND)),
        ),
        (
            delivered(*took(A, C), refused(B, "Is it spelt so?")),
            NOT_ALL,
            (
                replace(REFUSED, hint="Is it spelt so?"),
                Problem("delivery", "the mail went to the other 2 recipients", MEND),
            ),
        ),
        (delivered(refused(B)), NOT_DELIVERED, (REFUSED,)),
        (
            delivered(
                RecipientResult(
                    recipient=A, status=RecipientStatus.REFUSED, why="no SMTPUTF8", hint="Ask them."
                )
            ),
            NOT_DELIVERED,
            (Problem(A, "no SMTPUTF8", "Ask them."),),
        ),
        (
            delivered(deferred(A), deferred(B, "Wait an hour."), tries=3),
            NOT_DELIVERED,
            (
                Problem(
                    A,
                    "the server deferred this recipient: 451 busy",
                    "It was tried 3 times. Run the job again later, or raise deadline.",
                ),
                Problem(
                    B,
                    "the server deferred this recipient: 451 busy",
                    "Wait an hour. It was tried 3 times. Run the job again later, or raise "
                    "deadline.",
                ),
            ),
        ),
        (
            delivered(deferred(A)),
            NOT_DELIVERED,
            (
                Problem(
                    A,
                    "the server deferred this recipient: 451 busy",
                    "It was tried once. Run the job again later, or raise deadline.",
                ),
            ),
        ),
        # What the attempt says is not said again of each recipient.
        (
            replace(
                delivered(RecipientResult(recipient=A, why=BROKEN.why), refused(B)),
                transactions=(TRIED, BROKEN),
            ),
            NOT_DELIVERED,
            (Problem(SERVER, BROKEN.why, BROKEN.hint), REFUSED),
        ),
        (
            delivered(*unknown(A, B)),
            UNKNOWN,
            (
                Problem(
                    SERVER, "whether the server took the mail <1@example.com> is not known", LOOK
                ),
            ),
        ),
        (
            delivered(*took(C), *unknown(A, B)),
            NOT_ALL,
            (
                Problem(
                    SERVER,
                    "whether the server took the mail <1@example.com> for a@example.com, "
                    "b@example.com is not known",
                    LOOK,
                ),
                Problem("delivery", "the mail went to the other recipient", ENOUGH),
            ),
        ),
        (
            Delivery(mail=MAIL, results=unknown(A)),
            UNKNOWN,
            (
                Problem(
                    "delivery",
                    "whether the server took the mail <1@example.com> is not known",
                    LOOK,
                ),
            ),
        ),
        (
            delivered(*(replace(each, why="it broke off") for each in unknown(A))),
            UNKNOWN,
            (
                Problem(
                    SERVER, "whether the server took the mail <1@example.com> is not known", LOOK
                ),
            ),
        ),
        (
            delivered(*took(A), deferred(B)),
            NOT_ALL,
            (
                Problem(
                    B,
                    "the server deferred this recipient: 451 busy",
                    "It was tried once. Run the job again later, or raise deadline.",
                ),
                Problem("delivery", "the mail went to the other recipient", LATER),
            ),
        ),
        (
            Delivery(mail=MAIL, results=(RecipientResult(recipient=A),)),
            NOT_DELIVERED,
            (Problem("delivery", "there was no time to try it"),),
        ),
        (
            replace(delivered(refused(B)), mail=replace(MAIL, hidden=(B,))),
            NOT_DELIVERED,
            (Problem("bcc recipient 1", "the server refused this recipient: 550 5.1.1"),),
        ),
    ],
    ids=[
        "one other",
        "others",
        "nobody",
        "no reply",
        "put off",
        "put off once",
        "the attempt",
        "not known",
        "some not known",
        "one deferred",
        "no server",
        "not known why",
        "no time",
        "hidden",
    ],
)
def test_a_recipient_without_the_mail_is_a_failure_that_says_all_of_it(
    delivery: Delivery, title: str, problems: tuple[Problem, ...]
) -> None:
    failure = failure_of(delivery, Require.ALL)
    assert failure is not None
    assert (failure.title, failure.problems) == (title, problems)
    assert (failure_of(delivery, Require.ANY) is None) is bool(delivery.accepted)


@pytest.mark.parametrize("require", Require)
def test_a_mail_that_everybody_got_is_none(require: Require) -> None:
    assert failure_of(delivered(*took(A, B)), require) is None


SECURE = replace(TRIED, tls="TLSv1.3", cipher="AES", mechanism="PLAIN")


@pytest.mark.parametrize(
    ("delivery", "expected"),
    [
        (
            delivered(*took(A)),
            "Sent to 1 recipient through smtp.example.com:587 (no TLS) in 1.50 s.",
        ),
        (
            replace(
                delivered(*took(A, B), refused(C)),
                transactions=(TRIED, replace(SECURE, ended=NOW + timedelta(seconds=61.256))),
            ),
            "Sent to 2 recipients through smtp.example.com:587 (TLSv1.3 AES, PLAIN) in 61.26 s and "
            "2 attempts. Not delivered: 1 refused.",
        ),
        (
            delivered(*took(A), refused(B), refused(C), deferred("d@e.f"), *unknown("g@e.f")),
            "Sent to 1 recipient through smtp.example.com:587 (no TLS) in 1.50 s. Not delivered: 2 "
            "refused, 1 deferred, 1 not known.",
        ),
        (delivered(refused(A), *unknown(B)), "The mail was not delivered."),
        (delivered(*unknown(A, B)), f"{UNKNOWN}."),
        (
            replace(delivered(*took(A), deferred(B)), is_interrupted=True),
            "Interrupted: sent to 1 of 2; 1 deferred.",
        ),
        (replace(delivered(*took(A)), is_interrupted=True), "Interrupted: sent to 1 of 1."),
    ],
    ids=["one", "two", "each kind", "nobody", "not known", "interrupted", "interrupted late"],
)
def test_one_sentence_says_what_became_of_it(delivery: Delivery, expected: str) -> None:
    assert sentence(delivery) == expected


def test_what_a_server_does_not_support_is_a_warning_for_it_once() -> None:
    noted = replace(TRIED, notes=("no DSN", "no TLS"))
    other = replace(noted, server="other.example.com:25", notes=("no DSN",))
    delivery = Delivery(mail=MAIL, results=took(A), transactions=(noted, other, noted))
    assert warnings_of(delivery) == (
        Problem(SERVER, "no DSN"),
        Problem(SERVER, "no TLS"),
        Problem("other.example.com:25", "no DSN"),
    )
