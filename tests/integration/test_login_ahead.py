"""A login that goes ahead of the mail and fails, while the server may take the mail all the same.

RFC 4954 section 4 lets commands follow AUTH PLAIN in its group, and a server that takes mail from
this machine, or for its own domains, without a login goes on with them.
"""

from collections.abc import Sequence

import pytest

from chainloop_smtp.delivery import send
from chainloop_smtp.model.mail import Delivery, Mail, RecipientStatus
from chainloop_smtp.model.settings import Tls, Transport
from sink import Fault, Sink
from submission import FULL, HASTE, a_mail, registration, state, submit

APART = ("PIPELINING", "AUTH PLAIN")
BAD = b"535 5.7.8 no\r\n"
LATER = b"454 4.7.0 later\r\n"
REFUSED = "the server refused the login of ci: 535 5.7.8 no"


def open_to_all(reply: bytes = BAD, faults: Sequence[Fault] = ()) -> Sink:
    """A server that needs no login, and takes none."""
    return Sink(needs_login=False, faults=faults, always=Fault(answers=[(b"AUTH", reply)]))


def submit_all(server: Sink, mails: Sequence[Mail]) -> list[Delivery]:
    transport = Transport(tls=Tls.NONE, timeout=5.0, deadline=20.0)
    sent = send(mails, registration(server), transport, attempts=4, clock=HASTE)
    return sorted(sent, key=lambda each: each.mail.message_id)


def test_where_the_login_is_needed_its_refusal_is_what_is_told() -> None:
    with Sink(password="another") as server:
        delivery = submit(server)
    assert server.taken == []
    assert state(delivery) is RecipientStatus.REFUSED
    assert delivery.transactions[0].why == REFUSED
    assert len(server.sessions) == 1


def test_a_mail_that_is_taken_without_the_login_is_told_as_taken_and_the_login_as_refused() -> None:
    with open_to_all() as server:
        delivery = submit(server)
    assert len(server.taken) == 1
    assert server.sessions[0].endswith(b"QUIT\r\n")
    assert state(delivery) is RecipientStatus.ACCEPTED
    (attempt,) = delivery.transactions
    assert attempt.why == REFUSED
    assert "app password or an API key" in attempt.hint
    assert attempt.mechanism == ""
    assert str(attempt.reply) == "250 2.0.0 queued"
    assert attempt.notes == (
        f"{REFUSED}; it still accepted the mail, without a login: check user and password, or "
        "set auth: none if it needs no login",
    )


@pytest.mark.parametrize("needs_login", [True, False], ids=["needed", "not needed"])
@pytest.mark.parametrize("extensions", [FULL, APART, ("AUTH PLAIN",)])
def test_a_password_that_is_refused_is_given_once_however_many_mails_there_are(
    extensions: tuple[str, ...], needs_login: bool
) -> None:
    mails = [a_mail(number) for number in range(5)]
    with Sink(extensions=extensions, password="another", needs_login=needs_login) as server:
        found = submit_all(server, mails)
    assert len(server.sessions) == 1
    taken = 1 if extensions is FULL and not needs_login else 0
    assert len(server.taken) == taken
    states = [state(each) for each in found]
    assert states == [RecipientStatus.ACCEPTED] * taken + [RecipientStatus.REFUSED] * (5 - taken)
    assert {each.transactions[-1].why for each in found} == {REFUSED}


@pytest.mark.parametrize("reply", [BAD, LATER], ids=["535", "454"])
def test_a_mail_that_may_be_taken_without_the_login_is_not_known_and_not_sent_again(
    reply: bytes,
) -> None:
    silent = Fault(answers=[(b"AUTH", reply)], replies=5)
    with Sink(needs_login=False, always=silent) as server:
        delivery = submit(server, timeout=2)
    assert len(server.taken) == len(server.sessions) == 1
    assert state(delivery) is RecipientStatus.UNKNOWN


def test_a_server_that_falls_silent_behind_its_no_may_have_taken_the_mail() -> None:
    silent = Fault(answers=[(b"AUTH", BAD)], replies=3)
    with Sink(needs_login=False, always=silent) as server:
        delivery = submit(server, timeout=2)
    assert state(delivery) is RecipientStatus.UNKNOWN
    assert delivery.transactions[0].why == REFUSED


@pytest.mark.parametrize("is_reset", [False, True], ids=["in order", "by a reset"])
def test_a_server_that_hangs_up_behind_its_no_has_refused_the_login(is_reset: bool) -> None:
    said = 0
    with Sink(always=Fault(answers=[(b"AUTH", BAD)], replies=3)) as server:
        submit(server, timeout=2, attempts=1)
        said = server.said[0]
    leaving = Fault(answers=[(b"AUTH", BAD)], said=said, is_reset=is_reset)
    with Sink(always=leaving) as server:
        delivery = submit(server)
    assert state(delivery) is RecipientStatus.REFUSED
    assert delivery.transactions[0].why == REFUSED
    assert len(server.sessions) == 1


def test_a_goodbye_behind_a_refused_login_is_not_told_as_a_recipients() -> None:
    leaving = Fault(answers=[(b"AUTH", BAD), (b"MAIL", b"421 4.7.0 too many errors\r\n")])
    with Sink(always=leaving) as server:
        delivery = submit(server)
    (result,) = delivery.results
    assert (result.status, result.reply) == (RecipientStatus.REFUSED, None)
    assert delivery.transactions[0].why == REFUSED


@pytest.mark.parametrize(
    ("reply", "ends"),
    [(BAD, RecipientStatus.REFUSED), (LATER, RecipientStatus.ACCEPTED)],
    ids=["535", "454"],
)
def test_who_is_refused_without_the_login_waits_for_it_where_it_may_come(
    reply: bytes, ends: RecipientStatus
) -> None:
    ours, relayed = "ours@example.test", "relayed@example.test"
    failing = Fault(answers=[(b"AUTH", reply)])
    with Sink(needs_login=False, relayed=[relayed], faults=[failing]) as server:
        delivery = submit(server, a_mail(1, ours, relayed))
    first, second = delivery.results
    assert first.status is RecipientStatus.ACCEPTED
    assert second.status is ends
    assert server.taken[0][0] == (ours,)
    assert [whom for whom, _ in server.taken[1:]] == [(relayed,)] * (
        ends is RecipientStatus.ACCEPTED
    )
    assert delivery.transactions[0].why.endswith(reply.decode().strip())
    assert [each.reason for each in delivery.refused] == []


@pytest.mark.parametrize("is_reset", [False, True], ids=["in order", "by a reset"])
@pytest.mark.parametrize("reply", [BAD, LATER], ids=["535", "454"])
def test_the_connection_may_end_anywhere_behind_a_login_that_failed(
    reply: bytes, is_reset: bool
) -> None:
    with open_to_all(reply) as server:
        submit(server)
        whole, begins = server.said[0], server.said[0] - 90
    for octets in range(begins, whole):
        fault = Fault(answers=[(b"AUTH", reply)], said=octets, is_reset=is_reset)
        with open_to_all(reply, [fault]) as server:
            delivery = submit(server)
        times = len(server.taken)
        assert times <= 1
        if times:
            assert state(delivery) in (RecipientStatus.ACCEPTED, RecipientStatus.UNKNOWN)
        else:
            assert state(delivery) is not RecipientStatus.ACCEPTED


@pytest.mark.parametrize("answer", [b"250 2.0.0 fine\r\n", b"354 go on\r\n"], ids=["2xx", "3xx"])
def test_an_answer_that_is_none_to_a_login_is_out_of_step(answer: bytes) -> None:
    with Sink(always=Fault(answers=[(b"AUTH", answer)])) as server:
        delivery = submit(server, attempts=1)
    assert state(delivery) is RecipientStatus.UNKNOWN
    assert "out of sync" in delivery.transactions[0].why


@pytest.mark.parametrize("extensions", [FULL, APART], ids=["with the content", "apart"])
def test_a_server_that_asks_again_for_the_response_gets_it_alone_in_the_next_session(
    extensions: tuple[str, ...],
) -> None:
    """What follows in the group would be taken for the response (RFC 4954 section 4)."""
    with Sink(extensions=extensions, asks_again=True) as server:
        delivery = submit(server)
    assert state(delivery) is RecipientStatus.ACCEPTED
    assert len(server.taken) == 1
    first, second = server.sessions
    assert b"AUTH PLAIN AGNpAHNlY3JldA==\r\nMAIL" in first
    assert second.split(b"\r\n")[1:4] == [
        b"AUTH PLAIN AGNpAHNlY3JldA==",
        b"AGNpAHNlY3JldA==",
        b"MAIL FROM:<reports@example.test>" + b" SIZE=100" * (extensions is FULL),
    ]
    assert delivery.mechanism == "PLAIN"
