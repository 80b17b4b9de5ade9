"""Whatever a server does: a named outcome, no duplicate, no secret in clear, no overrun.

Each test spoils one dialogue somewhere, lets whatever is tried again find a good server, and then
holds what the client tells against what the server has.
"""

import time
from collections.abc import Callable, Iterable, Iterator

import pytest

from chainloop_smtp.delivery import send
from chainloop_smtp.model.mail import Delivery, Mail, RecipientStatus
from chainloop_smtp.model.settings import Tls, Transport
from sink import GOOD, Fault, Sink
from submission import FULL, HASTE, a_mail, registration, state, submit

MODES: list[tuple[str, ...]] = [FULL, ("PIPELINING", "AUTH PLAIN"), ("AUTH PLAIN",)]
IDS = ["whole mails ahead", "content apart", "one by one"]


def submit_all(
    server: Sink,
    mails: Iterable[Mail],
    *,
    timeout: float = 5.0,
    window: int = 16,
    notify: Callable[[str], None] = lambda _: None,
) -> dict[str, Delivery]:
    transport = Transport(tls=Tls.NONE, timeout=timeout, deadline=20.0, window=window)
    sent = send(mails, registration(server), transport, attempts=4, clock=HASTE, notify=notify)
    found = list(sent)
    assert len({each.mail.message_id for each in found}) == len(found)
    return {each.mail.message_id: each for each in found}


def held_against(server: Sink, delivery: Delivery) -> None:
    """The rule: nothing twice, and nothing told that is not so."""
    times = server.times(b"Subject: mail 1.\r\n")
    assert times <= 1
    if times:
        assert state(delivery) in (RecipientStatus.ACCEPTED, RecipientStatus.UNKNOWN)
    else:
        assert state(delivery) is not RecipientStatus.ACCEPTED
    assert delivery.attempts >= 1
    (result,) = delivery.results
    assert (
        state(delivery) is RecipientStatus.ACCEPTED
        or result.reason
        or delivery.transactions[-1].why
    )


def whole_dialogue(extensions: tuple[str, ...]) -> tuple[int, int, int]:
    """Octets said, octets heard and replies of a dialogue in which all goes well."""
    with Sink(extensions=extensions) as server:
        assert state(submit(server)) is RecipientStatus.ACCEPTED
    return server.said[0], len(server.sessions[0]), 8


@pytest.mark.parametrize("is_reset", [False, True], ids=["in order", "by a reset"])
@pytest.mark.parametrize("extensions", MODES, ids=IDS)
def test_a_connection_may_end_after_any_octet_that_the_server_says(
    extensions: tuple[str, ...], is_reset: bool
) -> None:
    said, _, _ = whole_dialogue(extensions)
    seen = set()
    for octets in range(1, said):
        fault = Fault(said=octets, is_reset=is_reset)
        with Sink(extensions=extensions, faults=[fault]) as server:
            delivery = submit(server)
        held_against(server, delivery)
        seen.add(state(delivery))
    assert seen == {RecipientStatus.ACCEPTED, RecipientStatus.UNKNOWN}


@pytest.mark.parametrize("extensions", MODES, ids=IDS)
def test_a_connection_may_end_after_any_octet_that_the_client_says(
    extensions: tuple[str, ...],
) -> None:
    _, heard, _ = whole_dialogue(extensions)
    for octets in range(heard):
        with Sink(extensions=extensions, faults=[Fault(heard=octets, is_reset=True)]) as server:
            delivery = submit(server)
        held_against(server, delivery)


@pytest.mark.parametrize("extensions", MODES, ids=IDS)
@pytest.mark.parametrize("replies", range(8))
def test_a_server_may_fall_silent_before_any_reply(
    extensions: tuple[str, ...], replies: int
) -> None:
    with Sink(extensions=extensions, faults=[Fault(replies=replies)]) as server:
        delivery = submit(server, timeout=0.1)
    held_against(server, delivery)


@pytest.mark.parametrize("extensions", MODES, ids=IDS)
@pytest.mark.parametrize(
    "answers",
    [
        (),
        ((b"RCPT", b"550 5.1.1 nobody\r\n"),),
        ((b"BDAT", b"550 5.7.1 not this\r\n"), (b"DATA", b"550 5.7.1 not this\r\n")),
    ],
    ids=["taken", "nobody", "refused"],
)
@pytest.mark.parametrize("extra", range(8))
def test_a_reply_too_many_never_makes_a_mail_of_none(
    extensions: tuple[str, ...], answers: tuple[tuple[bytes, bytes], ...], extra: int
) -> None:
    fault = Fault(extra=extra, answers=answers)
    with Sink(extensions=extensions, always=fault) as server:
        delivery = submit(server, timeout=0.3, attempts=2)
    held_against(server, delivery)


@pytest.mark.parametrize(
    ("extensions", "word"),
    [
        (extensions, word)
        for extensions in MODES
        for word in (b"EHLO", b"AUTH", b"MAIL", b"RCPT", b"BDAT" if extensions is FULL else b"DATA")
    ],
)
@pytest.mark.parametrize(
    ("reply", "ends"),
    [
        (b"451 4.3.0 later\r\n", RecipientStatus.ACCEPTED),
        (b"421 4.3.2 going down\r\n", RecipientStatus.ACCEPTED),
        (b"550 5.7.1 never\r\n", RecipientStatus.REFUSED),
    ],
    ids=["4xx", "421", "5xx"],
)
def test_what_is_for_now_is_tried_again_and_what_is_for_good_is_not(
    extensions: tuple[str, ...], word: bytes, reply: bytes, ends: RecipientStatus
) -> None:
    with Sink(extensions=extensions, faults=[Fault(answers=[(word, reply)])]) as server:
        delivery = submit(server)
    held_against(server, delivery)
    assert state(delivery) is ends
    assert len(server.sessions) == (1 if ends is RecipientStatus.REFUSED else 2)
    assert delivery.attempts == len(server.sessions)


# --- lies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [500, 502, 503, 504])
def test_a_server_that_only_says_that_it_has_chunking_gets_the_mail_by_data(code: int) -> None:
    lie = Fault(answers=[(b"BDAT", b"%d 5.5.1 no such thing\r\n" % code)])
    delayed: list[str] = []
    with Sink(always=lie) as server:
        (delivery,) = submit_all(server, [a_mail()], notify=delayed.append).values()
    assert delayed == []
    held_against(server, delivery)
    assert state(delivery) is RecipientStatus.ACCEPTED
    assert b"DATA\r\n" in server.sessions[1]


@pytest.mark.parametrize("word", [b"MAIL", b"RCPT", b"DATA", b"BDAT", b"AUTH"])
@pytest.mark.parametrize("extensions", MODES[:2], ids=IDS[:2])
def test_a_server_that_does_not_take_groups_gets_one_command_after_the_other(
    extensions: tuple[str, ...], word: bytes
) -> None:
    lie = Fault(answers=[(word, b"503 5.5.0 improper use of pipelining\r\n")])
    with Sink(extensions=extensions, faults=[lie]) as server:
        delivery = submit(server)
    held_against(server, delivery)
    assert state(delivery) is RecipientStatus.ACCEPTED


def test_a_challenge_in_a_group_is_not_answered_by_commands() -> None:
    with Sink(faults=[Fault(answers=[(b"AUTH", b"334 \r\n")])]) as server:
        delivery = submit(server)
    held_against(server, delivery)
    assert state(delivery) is RecipientStatus.ACCEPTED


def test_commands_that_a_server_throws_away_are_sent_one_by_one() -> None:
    with Sink(extensions=("PIPELINING", "AUTH PLAIN"), discards=True) as server:
        delivery = submit(server, timeout=2)
    held_against(server, delivery)
    assert state(delivery) is RecipientStatus.ACCEPTED
    assert delivery.attempts == 2


@pytest.mark.parametrize(
    ("reply", "ends"),
    [
        (b"552 5.3.4 too big\r\n", RecipientStatus.REFUSED),
        (b"421 4.3.2 no space\r\n", RecipientStatus.DEFERRED),
        (b"250 2.0.0 queued\r\n", RecipientStatus.UNKNOWN),
    ],
    ids=["5xx", "421", "2xx"],
)
def test_a_reply_in_the_middle_of_the_content_is_read_and_told(
    reply: bytes, ends: RecipientStatus
) -> None:
    early = Fault(answers=[(b"BDAT", reply)], replies=7)
    with Sink(always=early) as server:
        delivery = submit(server, a_mail(lines=100_000), attempts=1)
    assert server.taken == []
    assert state(delivery) is ends
    (result,) = delivery.results
    assert str(result.reply).encode() in reply


# --- many mails --------------------------------------------------------------------------------

MANY = 60


def consistent(server: Sink, found: dict[str, Delivery]) -> int:
    """Each mail is taken once and told so, or told as not known; how many are not known."""
    unknown = 0
    for number in range(MANY):
        times = server.times(b"Subject: mail %d.\r\n" % number)
        told = state(found[f"<{number}@example.test>"])
        assert (times, told) in (
            (1, RecipientStatus.ACCEPTED),
            (0, RecipientStatus.UNKNOWN),
            (1, RecipientStatus.UNKNOWN),
        )
        unknown += told is RecipientStatus.UNKNOWN
    return unknown


def most_lost(server: Sink) -> int:
    """Mails that may be on their way when a server leaves: a window.

    After that one mail at a time, which may cross with the end of its connection.
    """
    if "CHUNKING" not in server.extensions:
        return 0
    return Transport().window + len(server.sessions) - 1


@pytest.mark.parametrize("extensions", MODES, ids=IDS)
def test_many_mails_arrive_once_each(extensions: tuple[str, ...]) -> None:
    mails = [a_mail(number) for number in range(MANY)]
    with Sink(extensions=extensions) as server:
        found = submit_all(server, mails)
    assert sorted(content for _, content in server.taken) == sorted(m.content for m in mails)
    assert {state(each) for each in found.values()} == {RecipientStatus.ACCEPTED}
    assert len(server.sessions) == 1
    assert all(session.endswith(b"QUIT\r\n") for session in server.sessions)
    # In a group RSET is free.
    resets = MANY - 1 if "PIPELINING" in extensions else 0
    assert server.sessions[0].count(b"RSET\r\n") == resets
    trips = sum(one.round_trips for each in found.values() for one in each.transactions)
    if "PIPELINING" in extensions:
        # TCP, greeting, EHLO; what follows is at most one for each mail.
        assert trips <= MANY + 4


@pytest.mark.parametrize("extensions", MODES, ids=IDS)
@pytest.mark.parametrize(
    "full",
    [b"421 4.7.0 too many mails\r\n", b"452 4.5.3 too many mails on this connection\r\n"],
    ids=["421", "4xx"],
)
def test_a_server_that_takes_ten_mails_a_connection_is_visited_again(
    extensions: tuple[str, ...], full: bytes
) -> None:
    delayed: list[str] = []
    with Sink(extensions=extensions, most_mails=10, full=full) as server:
        mails = (a_mail(number) for number in range(MANY))
        found = submit_all(server, mails, notify=delayed.append)
    assert delayed == []
    unknown = consistent(server, found)
    # 421 with mails on their way ends in a reset, and that may swallow replies.
    assert unknown <= (most_lost(server) if b"421" in full else 0)


@pytest.mark.parametrize("extensions", MODES, ids=IDS)
def test_a_server_that_leaves_after_ten_mails_gets_none_twice(
    extensions: tuple[str, ...],
) -> None:
    with Sink(extensions=extensions, always=Fault(mails=10)) as server:
        found = submit_all(server, (a_mail(number) for number in range(MANY)))
    # What is wholly sent when the server leaves may have been taken, and is not sent again.
    assert consistent(server, found) <= most_lost(server)


@pytest.mark.parametrize("extensions", MODES, ids=IDS)
def test_a_mail_that_nobody_wants_does_not_hold_up_the_next(extensions: tuple[str, ...]) -> None:
    mails = [
        a_mail(number, "nobody@example.test" if number % 3 == 0 else "to@example.test")
        for number in range(12)
    ]
    with Sink(extensions=extensions, refused=["nobody@example.test"]) as server:
        found = submit_all(server, mails)
    assert len(server.sessions) == 1
    resets = 11 if "PIPELINING" in extensions else 4
    assert server.sessions[0].count(b"RSET\r\n") == resets
    for number, mail in enumerate(mails):
        wanted = RecipientStatus.REFUSED if number % 3 == 0 else RecipientStatus.ACCEPTED
        assert state(found[mail.message_id]) is wanted
    assert len(server.taken) == 8


@pytest.mark.parametrize(
    ("first", "ahead"),
    [(GOOD, 3), (Fault(replies=6), 1)],
    ids=["all was answered", "replies were missing"],
)
def test_a_server_that_owes_replies_gets_one_mail_at_a_time(first: Fault, ahead: int) -> None:
    """Each connection takes a mail, after six replies; what comes ahead of the seventh is seen."""
    second = Fault(replies=6)
    full = b"452 4.5.3 too many mails on this connection\r\n"
    with Sink(faults=[first, second], most_mails=1, full=full) as server:
        # However much has been sent before.
        mails = [a_mail(0, lines=8000), *map(a_mail, range(1, 9))]
        found = submit_all(server, mails, timeout=0.5, window=3)
    assert [each.count(b"MAIL FROM") for each in server.sessions[:2]] == [1 + 3, 1 + ahead]
    # In groups, nevertheless.
    assert all(b"RSET" in each for each in server.sessions[:2])
    states = [state(each) for each in found.values()]
    lost = ahead + (0 if first is GOOD else 3)
    assert states.count(RecipientStatus.UNKNOWN) == lost
    assert states.count(RecipientStatus.ACCEPTED) == len(server.taken) == 9 - lost


def test_a_server_that_does_not_read_fills_no_memory() -> None:
    made: list[int] = []
    ahead: list[int] = []

    def wait(_: bytes) -> bytes:
        time.sleep(0.5)
        ahead.append(len(made))
        return b"250 2.0.0 ok\r\n"

    def mails() -> Iterator[Mail]:
        for number in range(40):
            made.append(number)
            yield a_mail(number, lines=30_000)

    with Sink(faults=[Fault(answers=[(b"RSET", wait)])]) as server:
        first = next(send(mails(), registration(server), Transport(tls=Tls.NONE)))
    assert state(first) is RecipientStatus.ACCEPTED
    # What the system keeps, 2 MB each, and no more than the window.
    assert 1 < ahead[0] <= 10


def test_a_server_that_takes_nothing_yet_is_visited_once_for_all_mails() -> None:
    full = b"452 4.3.2 not now\r\n"
    with Sink(most_mails=0, full=full) as server:
        found = submit_all(server, map(a_mail, range(3)))
    assert {state(each) for each in found.values()} == {RecipientStatus.DEFERRED}
    assert [each.count(b"MAIL FROM") for each in server.sessions] == [3] * 4


def test_a_goodbye_to_the_content_touches_no_other_mail() -> None:
    goodbye = Fault(answers=[(b"BDAT", b"421 4.3.2 shutting down\r\n")])
    with Sink(faults=[goodbye]) as server:
        found = submit_all(server, [a_mail(1), a_mail(2)])
    assert [each.attempts for each in map(found.__getitem__, sorted(found))] == [2, 1]
    assert {state(each) for each in found.values()} == {RecipientStatus.ACCEPTED}
    assert len(server.taken) == len(server.sessions) == 2
    assert b"mail 2" not in server.sessions[0]


@pytest.mark.parametrize("extensions", MODES, ids=IDS)
def test_a_mail_that_is_too_large_is_not_even_begun(extensions: tuple[str, ...]) -> None:
    limited = [each for each in extensions if not each.startswith("SIZE")]
    mails = [a_mail(0), a_mail(1, lines=20), a_mail(2)]
    with Sink(extensions=[*limited, "SIZE 1000"]) as server:
        found = submit_all(server, mails)
    (session,) = server.sessions
    assert session.count(b"MAIL FROM") == len(server.taken) == 2
    assert state(found["<1@example.test>"]) is RecipientStatus.REFUSED
    assert b"mail 1" not in session


def test_no_mails_are_no_connection() -> None:
    with Sink() as server:
        assert submit_all(server, []) == {}
    assert server.sessions == []
