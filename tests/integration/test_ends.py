"""How a delivery ends that does not end by itself: by the user, by the clock, after many tries."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chainloop_smtp.delivery import Clock, send
from chainloop_smtp.errors import Problem
from chainloop_smtp.model.mail import Delivery, Mail, RecipientStatus
from chainloop_smtp.model.settings import Tls, Transport
from interrupts import interrupt_when
from program import INPUTS, Post, Program
from sink import GOOD, Fault, Sink, absent
from submission import FULL, HASTE, a_mail, registration, send_one, state, submit

pytestmark = pytest.mark.usefixtures("interruptible")

SILENT = Fault(replies=3)


def interrupting(*_: object) -> None:
    raise KeyboardInterrupt


def all_of(server: Sink, mails: list[Mail], **clock: Any) -> list[Delivery]:
    transport = Transport(tls=Tls.NONE, timeout=20.0, deadline=20.0)
    return list(
        send(
            mails,
            registration(server),
            transport,
            clock=Clock(**clock) if clock else HASTE,
        )
    )


@pytest.mark.parametrize(
    ("extensions", "replies", "heard", "ends"),
    [
        (FULL, 0, b"", RecipientStatus.DEFERRED),
        (FULL, 3, b"QUIT\r\n", RecipientStatus.UNKNOWN),
        (("PIPELINING", "AUTH PLAIN"), 3, b"DATA\r\n", RecipientStatus.DEFERRED),
        (("AUTH PLAIN",), 6, b"\r\n.\r\n", RecipientStatus.UNKNOWN),
    ],
    ids=["before the greeting", "with the whole mail ahead", "before the content", "after it"],
)
def test_an_interrupted_delivery_says_where_it_was(
    extensions: tuple[str, ...], replies: int, heard: bytes, ends: RecipientStatus
) -> None:
    with Sink(extensions=extensions, faults=[Fault(replies=replies)]) as server:
        interrupt_when(lambda: server.sessions and server.sessions[0].endswith(heard))
        (delivery,) = all_of(server, [a_mail()])
    assert delivery.is_interrupted
    assert state(delivery) is ends
    assert bool(server.taken) is (replies == 6)


def test_what_nobody_has_taken_up_yet_is_told_too() -> None:
    silent = Fault(mails=None, replies=9)
    with Sink(always=silent) as server:
        # The connection has had one mail answered, and its second mail not.
        interrupt_when(lambda: len(server.taken) == 2)
        found = all_of(server, [a_mail(number) for number in range(40)])
    assert len({each.mail.message_id for each in found}) == 40
    assert all(each.is_interrupted for each in found if state(each) is not RecipientStatus.ACCEPTED)
    assert {state(each) for each in found} == {
        RecipientStatus.ACCEPTED,
        RecipientStatus.UNKNOWN,
        RecipientStatus.DEFERRED,
    }


@pytest.mark.parametrize("made", [0, 1, 3])
def test_an_interrupt_while_a_mail_is_made_loses_none_that_was_made_before(made: int) -> None:
    def mails() -> Iterator[Mail]:
        for number in range(made):
            yield a_mail(number)
        raise KeyboardInterrupt

    # A mail a connection, so that the next is also made between two of them.
    with Sink(most_mails=1) as server:
        found = list(send(mails(), registration(server), Transport(tls=Tls.NONE), clock=HASTE))
    assert len({each.mail.message_id for each in found}) == len(found) == made
    assert all(each.is_interrupted or state(each) is RecipientStatus.ACCEPTED for each in found)
    for each in found:
        times = server.times(each.mail.content[:18])
        assert (times == 1) is (state(each) is RecipientStatus.ACCEPTED) or state(
            each
        ) is RecipientStatus.UNKNOWN


def test_an_interrupt_between_two_attempts_ends_the_waiting() -> None:
    with Sink(always=Fault(answers=[(b"RCPT", b"450 4.2.0 later\r\n")])) as server:
        (delivery,) = all_of(server, [a_mail()], sleep=interrupting)
    assert delivery.is_interrupted
    assert state(delivery) is RecipientStatus.DEFERRED
    assert delivery.attempts == 1


def test_an_interrupted_run_leaves_a_receipt_and_the_mail(program: Program) -> None:
    ended = program(
        "send",
        inputs=INPUTS,
        post=Post(trouble=Problem("smtp", "interrupted"), is_interrupted=True),
    )
    assert ended.code == 130
    assert "Interrupted: sent to 0 of 1; 1 deferred." in ended.log
    (told,) = json.loads(Path(ended.outputs["receipt"]).read_bytes())["deliveries"]
    assert told["interrupted"] is True
    assert Path(ended.outputs["eml"]).exists()


def test_greylisting_passes() -> None:
    pauses: list[float] = []
    said: list[str] = []
    off = Fault(answers=[(b"RCPT", b"450 4.7.1 greylisted\r\n")])
    with Sink(faults=[off, off]) as server:
        delivery = send_one(
            a_mail(),
            registration(server),
            Transport(tls=Tls.NONE),
            clock=Clock(sleep=pauses.append, chance=lambda: 0.5),
            notify=said.append,
        )
    assert state(delivery) is RecipientStatus.ACCEPTED
    assert delivery.attempts == 3
    assert pauses == [0.75, 1.5]
    assert said == [
        f"Not delivered yet: 127.0.0.1:{server.port}: to@example.test: 450 4.7.1 greylisted. "
        f"Trying 1 mail again in {n} s."
        for n in (1, 2)
    ]


def test_what_to_do_is_said_with_the_first_failure_already_and_once() -> None:
    said: list[str] = []
    transport = Transport(tls=Tls.NONE)
    with absent() as server:
        closed = registration(server)
        delivery = send_one(
            a_mail(), closed, transport, attempts=3, clock=HASTE, notify=said.append
        )
    assert state(delivery) is RecipientStatus.DEFERRED
    hint = delivery.transactions[-1].hint
    first, second = said
    assert "the connection was refused. " in first
    assert hint
    assert f" {hint} Trying 1 mail again" in first
    assert hint not in second


@pytest.mark.parametrize("deadline", [1.6, 2.0, 3.0])
def test_the_deadline_ends_the_tries_and_does_not_wait_in_vain(deadline: float) -> None:
    pauses: list[float] = []
    off = Fault(answers=[(b"RCPT", b"450 4.7.1 greylisted\r\n")])
    with Sink(always=off) as server:
        delivery = send_one(
            a_mail(),
            registration(server),
            Transport(tls=Tls.NONE, deadline=deadline),
            # No time passes but in pauses.
            clock=Clock(seconds=lambda: sum(pauses), sleep=pauses.append, chance=lambda: 0.0),
        )
    assert pauses == [0.5, 1.0]
    assert state(delivery) is RecipientStatus.DEFERRED
    assert delivery.attempts == len(pauses) + 1 == 3


def test_more_recipients_than_a_server_takes_at_once_come_in_turns() -> None:
    recipients = [f"r{number}@example.test" for number in range(25)]
    with Sink(most_recipients=10) as server:
        delivery = submit(server, a_mail(1, *recipients), attempts=2)
    assert list(delivery.accepted) == recipients
    assert [len(taken) for taken, _ in server.taken] == [10, 10, 5]
    assert (len(delivery.transactions), delivery.attempts) == (3, 1)


def test_a_mailbox_that_stays_full_waits_between_its_attempts() -> None:
    """452 to one recipient among others says that there are too many only the first time."""
    pauses: list[float] = []
    full = Fault(answers=[(b"RCPT", b"452 4.2.2 mailbox full\r\n")])
    with Sink(most_recipients=1, faults=[GOOD], always=full) as server:
        delivery = send_one(
            a_mail(1, "one@example.test", "two@example.test"),
            registration(server),
            Transport(tls=Tls.NONE),
            attempts=4,
            clock=Clock(sleep=pauses.append, chance=lambda: 0.5),
        )
    assert delivery.accepted == ("one@example.test",)
    assert pauses == [0.0, 0.75, 1.5, 3.0]
    # The first transaction and the second are one attempt.
    assert [each.number for each in delivery.transactions] == [1, 1, 2, 3, 4]
    assert delivery.attempts == 4


def test_an_attempt_after_several_transactions_is_the_second() -> None:
    recipients = [f"r{number}@example.test" for number in range(4)]
    later = Fault(answers=[(b"MAIL", b"450 4.3.2 later\r\n")])
    with Sink(most_recipients=2, faults=[GOOD, later]) as server:
        delivery = submit(server, a_mail(1, *recipients))
    assert list(delivery.accepted) == recipients
    assert [each.number for each in delivery.transactions] == [1, 1, 2]
    assert delivery.attempts == 2


def test_a_server_that_is_not_there_fails_every_mail_and_says_so_once_each() -> None:
    with absent() as server:
        found = all_of(server, [a_mail(number) for number in range(3)])
    assert {state(each) for each in found} == {RecipientStatus.DEFERRED}
    assert {each.transactions[-1].why for each in found} == {"the connection was refused"}


def test_mails_that_are_never_tried_say_why_too() -> None:
    with absent() as server:
        found = all_of(server, [a_mail(number) for number in range(14)])
    assert len({each.mail.message_id for each in found}) == len(found) == 14
    assert {state(each) for each in found} == {RecipientStatus.DEFERRED}
    assert [[attempt.why for attempt in each.transactions] for each in found] == [
        ["the connection was refused"]
    ] * 14


def test_a_mail_behind_one_that_always_fails_says_why_too() -> None:
    with Sink(extensions=("AUTH PLAIN",), always=Fault(replies=3, is_reset=True)) as server:
        transport = Transport(tls=Tls.NONE, timeout=0.3, deadline=20.0)
        mails = [a_mail(number) for number in range(3)]
        found = list(send(mails, registration(server), transport, attempts=1, clock=HASTE))
    assert len(server.sessions) == 1
    assert {state(each) for each in found} == {RecipientStatus.DEFERRED}
    assert [[attempt.why for attempt in each.transactions] for each in found] == [
        ["no answer in time, waiting for the reply to MAIL"]
    ] * 3


def test_twelve_attempts_in_vain_are_the_end() -> None:
    with Sink(most_mails=0, full=b"452 4.3.2 not now\r\n") as server:
        transport = Transport(tls=Tls.NONE, timeout=5.0, deadline=300.0)
        delivery = send_one(a_mail(), registration(server), transport, clock=HASTE)
    assert state(delivery) is RecipientStatus.DEFERRED
    assert delivery.attempts == len(server.sessions) == 12


def test_a_refused_login_fails_every_mail_and_is_tried_once() -> None:
    with Sink(password="another", extensions=("AUTH PLAIN",)) as server:
        # At once: nothing is waited for.
        found = all_of(server, [a_mail(number) for number in range(3)], sleep=interrupting)
    assert len(server.sessions) == 1
    assert not any(each.is_interrupted for each in found)
    assert {state(each) for each in found} == {RecipientStatus.REFUSED}
    assert all("refused the login of ci" in each.transactions[-1].why for each in found)


# --- what is out of sync -----------------------------------------------------------------------


@pytest.mark.parametrize("extensions", [FULL, ("PIPELINING", "AUTH PLAIN")], ids=["bdat", "data"])
def test_a_refused_rset_casts_doubt_on_what_was_accepted_before_it(
    extensions: tuple[str, ...],
) -> None:
    fault = Fault(answers=[(b"RSET", b"550 5.5.1 no\r\n")])
    with Sink(extensions=extensions, faults=[fault]) as server:
        first, *others = sorted(
            all_of(server, [a_mail(number) for number in range(3)]),
            key=lambda each: each.mail.message_id,
        )
    assert state(first) is RecipientStatus.UNKNOWN
    assert first.transactions[-1].why == "the server's replies are out of sync: 550 5.5.1 no"
    assert server.times(b"Subject: mail 0.\r\n") == 1
    for each in others:
        times = server.times(each.mail.content[:18])
        assert times <= 1
        assert state(each) is RecipientStatus.UNKNOWN or (times, state(each)) == (
            1,
            RecipientStatus.ACCEPTED,
        )


def test_a_second_reply_to_quit_casts_doubt_on_what_was_accepted_before_it() -> None:
    fault = Fault(answers=[(b"QUIT", b"250 2.0.0 ok\r\n221 2.0.0 bye\r\n")])
    with Sink(always=fault) as server:
        delivery = submit(server, timeout=2, attempts=1)
    assert state(delivery) is RecipientStatus.UNKNOWN
    assert delivery.transactions[-1].why == "the server's replies are out of sync"


def test_a_refused_sender_is_known_even_if_nothing_follows() -> None:
    fault = Fault(answers=[(b"MAIL", b"550 5.7.1 not you\r\n")], replies=4)
    with Sink(always=fault) as server:
        delivery = submit(server, timeout=2, attempts=1)
    assert state(delivery) is RecipientStatus.REFUSED
    assert [each.reason for each in delivery.refused] == ["550 5.7.1 not you"]


def test_a_goodbye_that_nobody_asked_for_is_understood() -> None:
    said = b"250-sink\r\n250 AUTH PLAIN\r\n421 4.3.2 idle for too long\r\n"
    with Sink(faults=[Fault(answers=[(b"EHLO", said)])]) as server:
        delivery = submit(server)
    assert state(delivery) is RecipientStatus.ACCEPTED
    assert "421 4.3.2 idle for too long" in delivery.transactions[0].why
    assert delivery.attempts == 2


def test_a_bug_in_what_makes_the_mails_reaches_the_caller() -> None:
    def mails() -> Iterator[Mail]:
        yield a_mail(1)
        raise ZeroDivisionError

    with Sink() as server, pytest.raises(ZeroDivisionError):
        list(send(mails(), registration(server), Transport(tls=Tls.NONE)))


def test_what_was_put_off_before_an_interrupt_is_not_tried_again() -> None:
    with Sink(extensions=("AUTH PLAIN",), most_recipients=0, always=Fault(replies=7)) as server:
        # The second mail's only recipient, after the first has been put off.
        interrupt_when(lambda: server.sessions and server.sessions[0].count(b"RCPT TO") == 2)
        found = all_of(server, [a_mail(1), a_mail(2)])
    assert len(server.sessions) == 1
    assert {state(each) for each in found} == {RecipientStatus.DEFERRED}
    assert all(each.is_interrupted for each in found)
