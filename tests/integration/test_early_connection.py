"""The server is connected to while the mail is being written: what it sees, and when it sees it."""

import socket
import time
from contextlib import ExitStack

import pytest

from builders import cli_push, encoded, statement
from chainloop_smtp.delivery import Clock, EarlyConnection
from chainloop_smtp.model.mail import RecipientStatus
from chainloop_smtp.model.settings import Tls, Transport
from interrupts import until
from program import INPUTS, Program
from sink import Fault, Sink, absent
from smtpserver import Certificates, Scripted, script
from submission import HASTE, a_mail, registration, send_one, state

PLAIN = Transport(tls=Tls.NONE, timeout=5.0, deadline=8.0)
SILENT = Fault(replies=0)
JOB = {
    "GITHUB_REPOSITORY": "lakeside/harbour",
    "GITHUB_SERVER_URL": "https://github.example",
    "GITHUB_RUN_ID": "7",
}
TOKEN = {
    "password": "",
    "oauth2-token-url": "https://127.0.0.1:1/token",
    "oauth2-client-id": "f0e1",
    "oauth2-client-secret": "a secret of its own",
}
# Written down where a mail would show it: the guard lets no such mail be made.
LEAKING = encoded(cli_push(statement(environment={"DEBUG": "the password is secret"}))).decode()


def until_connected(server: Sink) -> None:
    until(lambda: server.sessions)


def inputs_for(port: int, **changes: str) -> dict[str, str]:
    there = {"host": "127.0.0.1", "port": str(port), "tls": "none", "password": "secret"}
    return INPUTS | there | {name.replace("_", "-"): text for name, text in changes.items()}


# --- with a mail -------------------------------------------------------------------------------


def test_the_connection_stands_before_there_is_a_mail_and_nothing_is_said_over_it() -> None:
    with Sink() as server, EarlyConnection(registration(server), PLAIN) as early:
        until_connected(server)
        time.sleep(0.05)
        assert server.sessions == [b""]
        sent = send_one(a_mail(), registration(server), PLAIN, early=early)
    assert state(sent) is RecipientStatus.ACCEPTED
    assert sent.attempts == 1
    assert len(server.taken) == len(server.sessions) == 1
    assert server.sessions[0].count(b"QUIT\r\n") == 1


def test_the_program_sends_over_the_one_connection(program: Program) -> None:
    with Sink() as server:
        ended = program("send", inputs=inputs_for(server.port), post=send_one)
    assert ended.code == 0, ended.stderr
    assert len(server.taken) == len(server.sessions) == 1


def test_parts_of_a_mail_share_the_connection(program: Program) -> None:
    with Sink() as server:
        inputs = inputs_for(server.port, to="a@example.com, b@example.com", max_recipients="1")
        ended = program("send", inputs=inputs, post=send_one)
    assert ended.code == 0, ended.stderr
    assert [recipients for recipients, _ in server.taken] == [
        ("a@example.com",),
        ("b@example.com",),
    ]
    assert len(server.sessions) == 1


def test_an_attempt_begins_when_connecting_does() -> None:
    with Sink() as server, EarlyConnection(registration(server), PLAIN) as early:
        time.sleep(0.2)
        sent = send_one(a_mail(), registration(server), PLAIN, early=early)
    assert sent.duration >= 0.2


@pytest.mark.parametrize("attempts", [1, 3])
def test_a_server_that_is_not_there_is_told_as_it_always_was(attempts: int) -> None:
    def told(early: EarlyConnection | None) -> object:
        sent = send_one(
            a_mail(), to, PLAIN, attempts=attempts, clock=HASTE, early=early, notify=said.append
        )
        tries = [
            (each.server, each.address, each.why, each.hint, each.recipients)
            for each in sent.transactions
        ]
        return sent.results, tries

    said: list[str] = []
    with absent() as server:
        to = registration(server)
        with EarlyConnection(to, PLAIN) as early:
            assert told(early) == told(None)
    assert said[: attempts - 1] == said[attempts - 1 :]


def test_a_connection_that_has_ended_meanwhile_is_tried_again() -> None:
    with (
        Sink(faults=[Fault(said=0)]) as server,
        EarlyConnection(registration(server), PLAIN) as early,
    ):
        until_connected(server)
        sent = send_one(a_mail(), registration(server), PLAIN, clock=HASTE, early=early)
    assert state(sent) is RecipientStatus.ACCEPTED
    assert sent.attempts == len(server.sessions) == 2
    assert len(server.taken) == 1


def test_the_deadline_counts_from_where_connecting_begins() -> None:
    now = [0.0]
    clock = Clock(seconds=lambda: now[0], sleep=lambda _: None)
    with (
        Sink(always=SILENT) as server,
        EarlyConnection(registration(server), PLAIN, clock) as early,
    ):
        until_connected(server)
        now[0] = PLAIN.deadline + 1
        sent = send_one(a_mail(), registration(server), PLAIN, clock=clock, early=early)
    assert state(sent) is RecipientStatus.DEFERRED
    assert "the deadline of 8 seconds has passed" in sent.transactions[-1].why
    assert server.sessions == [b""]


# --- without one -------------------------------------------------------------------------------


def test_a_mail_that_cannot_be_written_leaves_the_server_with_quit(program: Program) -> None:
    with Sink() as server:
        inputs = inputs_for(server.port, attestation=LEAKING)
        ended = program("send", inputs=inputs, post=send_one)
    assert ended.code == 4
    assert server.sessions == [b"QUIT\r\n"]
    assert ended.outputs["sent"] == "false"
    assert ended.outputs["attempts"] == "0"
    assert ended.outputs["eml"] == ended.outputs["receipt"] == ""
    assert [kind for kind, _ in ended.annotations] == ["error"]


def test_inside_of_tls_too(program: Program, tls: Certificates) -> None:
    steps = script(tls="implicit")
    kept = {name: steps[name] for name in ("tls", "greeting", "quit")}
    with Scripted(kept, tls.server) as server:
        inputs = inputs_for(
            server.port, attestation=LEAKING, tls="implicit", tls_ca_file=str(tls.ca_file)
        )
        ended = program("send", inputs=inputs, post=send_one)
        server.join()
    assert ended.code == 4
    assert server.failure == ""
    assert server.received == b"QUIT\r\n"


def test_a_server_that_is_not_there_does_not_hide_what_is_wrong_with_the_mail(
    program: Program,
) -> None:
    with absent() as server:
        inputs = inputs_for(server.port, attestation=LEAKING)
        ended = program("send", inputs=inputs, post=send_one)
    assert ended.code == 4
    assert "connect" not in ended.stderr


def test_no_long_leave_is_taken_of_a_silent_server(program: Program) -> None:
    with Sink(always=SILENT) as server:
        inputs = inputs_for(server.port, attestation=LEAKING, timeout="60", deadline="1")
        started = time.monotonic()
        ended = program("send", inputs=inputs, post=send_one)
        assert time.monotonic() - started < 30
    assert ended.code == 4
    assert server.sessions == [b""]


def test_leave_is_cut_short_of_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chainloop_smtp.delivery.session._LEAVE_PATIENCE", 0.3)
    with Sink(always=SILENT) as server:
        started = time.monotonic()
        with EarlyConnection(registration(server), Transport(tls=Tls.NONE, timeout=60.0)):
            until_connected(server)
        assert time.monotonic() - started < 30


def test_a_connection_that_does_not_come_about_is_left_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chainloop_smtp.delivery.session._LEAVE_PATIENCE", 0.3)
    with ExitStack() as opened, socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        # The kernel drops what comes to a full queue, as a firewall would.
        for _ in range(4):
            filler = opened.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        server = Sink(port=deaf.getsockname()[1])
        started = time.monotonic()
        with EarlyConnection(registration(server), Transport(tls=Tls.NONE, timeout=60.0)):
            pass
        assert 0.2 < time.monotonic() - started < 30


def test_whoever_ends_it_all_waits_for_no_server() -> None:
    def interrupted() -> None:
        with EarlyConnection(registration(server), Transport(tls=Tls.NONE, timeout=60.0)):
            until_connected(server)
            raise KeyboardInterrupt

    with Sink(always=SILENT) as server:
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert time.monotonic() - started < 30
        # The connection ends all the same, whichever of the two threads closes it.
        until(server.is_left)
        assert server.sessions == [b""]


# --- without a mail ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"dry-run": "true"}, 0),
        ({"send-on": "failed"}, 0),
        ({"to": "author"}, 0),
        (TOKEN, 5),
        ({"attestation": "not there"}, 3),
    ],
    ids=["a dry run", "another outcome", "nobody known", "no token", "no evidence"],
)
def test_no_server_is_connected_to_in_vain(
    program: Program, changes: dict[str, str], code: int
) -> None:
    with Sink() as server:
        ended = program("send", inputs=inputs_for(server.port) | changes, post=send_one)
        time.sleep(0.05)
    assert ended.code == code, ended.log
    assert ended.outputs["sent"] == "false"
    assert server.sessions == []


def test_nor_for_a_mail_that_was_sent_before(program: Program) -> None:
    with Sink() as server:
        inputs = inputs_for(server.port)
        first = program("send", inputs=inputs, environ=JOB, post=send_one)
        again = program("send", inputs=inputs, environ=JOB, post=send_one)
        time.sleep(0.05)
        assert len(server.sessions) == 1
        other = inputs | {"job-status": "failure"}
        another = program("send", inputs=other, environ=JOB, post=send_one)
    assert (first.code, again.code, another.code) == (0, 0, 0)
    assert len(server.taken) == len(server.sessions) == 2
