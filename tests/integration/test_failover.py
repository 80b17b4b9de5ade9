"""A host with several addresses: one that accepts the connection and then fails is not the last."""

import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from chainloop_smtp.delivery import Clock, EarlyConnection, send
from chainloop_smtp.model.mail import Delivery, RecipientStatus
from chainloop_smtp.model.settings import Mailbox, Proxy, ProxyKind, Registration, Tls, Transport
from proxies import Tunnel
from sink import Fault, Sink
from smtpserver import Certificates, Mailboxes, issued, loopback_addresses
from submission import HASTE, a_mail, send_one, state

HOST = "mail.example.test"
LATER = b"421 4.3.2 not now\r\n"


class Front:
    """An address that accepts every connection, says something, and is never of any use.

    Attributes:
        visits: How many connections it has taken.
    """

    def __init__(
        self,
        says: bytes = b"",
        *,
        answers: bytes = b"",
        hears: bool = False,
        is_silent: bool = False,
        host: str = "",
    ) -> None:
        """Listens from here on.

        Args:
            says: At once.
            answers: To the first thing that the client says.
            hears: Waits for that, also without an answer to it.
            is_silent: Says nothing after that, and lets the client leave; else it hangs up.
        """
        self.visits = 0
        self._says, self._answers, self._is_silent = says, answers, is_silent
        self._hears = hears or bool(answers)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host or "127.0.0.1", 0), family=family)
        self.address = self._listener.getsockname()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> "Front":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.visits += 1
                with connection, suppress(OSError):
                    self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        connection.settimeout(10)
        connection.sendall(self._says)
        if self._hears:
            connection.recv(4096)
        connection.sendall(self._answers)
        if self._is_silent:
            while connection.recv(4096):
                pass


def resolve(monkeypatch: pytest.MonkeyPatch, *addresses: Sequence[object]) -> None:
    """Has every name stand for these addresses."""
    found = [
        (
            socket.AF_INET6 if ":" in str(address[0]) else socket.AF_INET,
            socket.SOCK_STREAM,
            6,
            "",
            tuple(address),
        )
        for address in addresses
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


def at(server: Sink | Mailboxes) -> tuple[str, int]:
    return "127.0.0.1", server.port


def registration(user: str = "") -> Registration:
    return Registration(
        host=HOST,
        port=587,
        user=user,
        password="secret" if user else "",
        from_=Mailbox(addr_spec="reports@example.test"),
        to=(Mailbox(addr_spec="to@example.test"),),
    )


@contextmanager
def closed_port() -> Iterator[tuple[str, int]]:
    """An address that refuses connections."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()


def submit(user: str = "ci", *, attempts: int = 12, **transport: object) -> Delivery:
    settings = {"tls": Tls.NONE, "timeout": 0.5, "deadline": 20.0} | transport
    return send_one(
        a_mail(),
        registration(user),
        Transport(**settings),  # type: ignore[arg-type]
        attempts=attempts,
        clock=HASTE,
    )


FAILURES = {
    "hangs up": ({}, "the server closed the connection"),
    "says 421": ({"says": LATER}, "the server does not accept mail now: 421 4.3.2 not now"),
    "says 450": ({"says": b"450 later\r\n"}, "the server does not accept mail now: 450 later"),
    "says 554": ({"says": b"554 no DNS\r\n"}, "the server does not accept mail now: 554 no DNS"),
    "is no mail server": (
        {"says": b"HTTP/1.1 400 Bad Request\r\n"},
        "the server does not speak SMTP: HTTP/1.1 400 Bad Request",
    ),
    "is silent": ({"is_silent": True}, "no answer in time, waiting for the greeting"),
    "drops EHLO": (
        {"says": b"220 hi\r\n", "answers": b"250-half"},
        "the server closed the connection",
    ),
    "refuses EHLO": (
        {"says": b"220 hi\r\n", "answers": b"550 5.7.1 who?\r\n"},
        "the server refused EHLO: 550 5.7.1 who?",
    ),
    "puts EHLO off": (
        {"says": b"220 hi\r\n", "answers": b"451 4.7.1 later\r\n"},
        "the server refused EHLO: 451 4.7.1 later",
    ),
    "leaves at EHLO": (
        {"says": b"220 hi\r\n", "answers": LATER},
        "the server ends the session: 421 4.3.2 not now",
    ),
    "does not answer EHLO": (
        {"says": b"220 hi\r\n", "is_silent": True},
        "no answer in time, waiting for the reply to EHLO",
    ),
}


@pytest.mark.parametrize(("front", "why"), FAILURES.values(), ids=FAILURES)
def test_the_next_attempt_takes_the_next_address_at_once(
    monkeypatch: pytest.MonkeyPatch, front: dict[str, object], why: str
) -> None:
    pauses: list[float] = []
    said: list[str] = []
    with Front(**front) as bad, Sink() as good:  # type: ignore[arg-type]
        resolve(monkeypatch, bad.address, at(good))
        delivery = send_one(
            a_mail(),
            registration("ci"),
            Transport(tls=Tls.NONE, timeout=2.0, deadline=60.0),
            clock=Clock(sleep=pauses.append),
            notify=said.append,
        )

    assert state(delivery) is RecipientStatus.ACCEPTED
    assert len(good.taken) == 1
    assert [each.why for each in delivery.transactions] == [why, ""]
    assert delivery.attempts == 2
    assert pauses == [0.0]
    assert said[0].endswith(" Trying 1 mail again now.")
    # One more visit at most, which only looks whether TLS is spoken there. It may still be waiting
    # to be accepted.
    assert 1 <= bad.visits <= 1 + why.endswith("greeting")


@pytest.mark.skipif("::1" not in loopback_addresses(), reason="no IPv6 on this machine")
@pytest.mark.parametrize("first", ["::1", "127.0.0.1"])
def test_the_other_family_is_an_address_as_any(monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    with ExitStack() as opened:
        bad = opened.enter_context(Front(LATER, host=first))
        if first == "::1":
            good = opened.enter_context(Sink())
            resolve(monkeypatch, bad.address, at(good))
            delivery = submit()
            assert len(good.taken) == 1
        else:
            mailboxes = opened.enter_context(Mailboxes(host="::1").running())
            resolve(monkeypatch, bad.address, ("::1", mailboxes.port, 0, 0))
            delivery = submit("")
            assert len(mailboxes.mails) == 1
    assert state(delivery) is RecipientStatus.ACCEPTED
    assert [each.address for each in delivery.transactions] == [
        first,
        {"::1": "127.0.0.1", "127.0.0.1": "::1"}[first],
    ]


def test_each_of_several_addresses_gets_its_turn_and_then_the_first_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    with Front(LATER) as one, Front(b"554 no\r\n") as two, Front() as three:
        resolve(monkeypatch, one.address, two.address, three.address)
        delivery = send_one(
            a_mail(),
            registration(),
            Transport(tls=Tls.NONE, timeout=2.0, deadline=60.0),
            attempts=7,
            clock=Clock(sleep=pauses.append, chance=lambda: 0.0),
        )
        assert [one.visits, two.visits, three.visits] == [3, 2, 2]
    assert delivery.attempts == 7
    assert state(delivery) is RecipientStatus.DEFERRED
    assert pauses == [0.0, 0.0, 2.0, 4.0, 8.0, 15.0]


def test_where_every_address_fails_for_good_nothing_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Front(b"554 not you\r\n") as one, Front(b"220 hi\r\n", answers=b"550 no\r\n") as two:
        resolve(monkeypatch, one.address, two.address)
        delivery = submit()
        assert [one.visits, two.visits] == [1, 1]
    assert state(delivery) is RecipientStatus.REFUSED
    assert [each.why for each in delivery.transactions] == [
        "the server does not accept mail now: 554 not you",
        "the server refused EHLO: 550 no",
    ]


@pytest.mark.parametrize("mode", [Tls.STARTTLS, Tls.IMPLICIT])
@pytest.mark.parametrize("kind", ["expired", "wrong_name", "unknown"])
def test_a_certificate_that_is_wrong_at_one_address_leaves_the_other(
    tls: Certificates, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: Tls, kind: str
) -> None:
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    right = issued(authority, tmp_path, "x", HOST)
    wrong = getattr(tls, kind)

    def server(shown: ssl.SSLContext) -> Mailboxes:
        return Mailboxes(tls=shown, implicit=mode is Tls.IMPLICIT)

    with server(wrong).running() as bad, server(right).running() as good:
        resolve(monkeypatch, at(bad), at(good))
        delivery = submit("", tls=mode, timeout=5.0, tls_ca_file=str(tmp_path / "ca.pem"))

    assert delivery.transactions[0].why.startswith("the server's certificate is not trusted: ")
    assert state(delivery) is RecipientStatus.ACCEPTED
    assert (len(bad.mails), len(good.mails)) == (0, 1)


@pytest.mark.parametrize("is_reset", [False, True], ids=["in order", "by a reset"])
@pytest.mark.parametrize(
    "fault",
    [Fault(heard=20), Fault(replies=2), Fault(replies=3), Fault(answers=[(b"MAIL", LATER)])],
    ids=["drops", "silent at AUTH", "silent at MAIL", "421 to MAIL"],
)
def test_a_session_that_breaks_before_a_mail_is_taken_leaves_the_address(
    monkeypatch: pytest.MonkeyPatch, fault: Fault, is_reset: bool
) -> None:
    from dataclasses import replace

    with (
        Sink(extensions=("AUTH PLAIN",), always=replace(fault, is_reset=is_reset)) as bad,
        Sink(extensions=("AUTH PLAIN",)) as good,
    ):
        resolve(monkeypatch, at(bad), at(good))
        delivery = submit()
    assert state(delivery) is RecipientStatus.ACCEPTED
    assert (len(bad.sessions), len(good.sessions), len(good.taken)) == (1, 1, 1)


def test_an_address_that_has_taken_a_mail_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        Sink(extensions=("AUTH PLAIN",), always=Fault(mails=1)) as first,
        Sink(extensions=("AUTH PLAIN",)) as second,
    ):
        resolve(monkeypatch, at(first), at(second))
        transport = Transport(tls=Tls.NONE, timeout=5.0, deadline=20.0)
        found = list(send(map(a_mail, range(3)), registration("ci"), transport, clock=HASTE))
    assert {state(each) for each in found} == {RecipientStatus.ACCEPTED}
    assert (len(first.taken), len(second.sessions)) == (3, 0)


def test_an_address_that_works_and_says_no_to_a_recipient_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who greylists knows the client again only at the same server."""
    grey = Fault(answers=[(b"RCPT", b"450 4.7.1 greylisted\r\n")])
    with Sink(faults=[grey, grey]) as first, Sink() as second:
        resolve(monkeypatch, at(first), at(second))
        delivery = submit()
    assert state(delivery) is RecipientStatus.ACCEPTED
    assert (len(first.sessions), len(second.sessions)) == (3, 0)


def test_a_refused_password_is_given_to_no_other_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with Sink(password="another") as first, Sink() as second:
        resolve(monkeypatch, at(first), at(second))
        delivery = submit()
    assert state(delivery) is RecipientStatus.REFUSED
    assert (len(first.sessions), len(second.sessions)) == (1, 0)


def test_an_address_that_refused_connections_comes_last_next_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A dead address that costs ten seconds costs them once."""
    tried: list[object] = []
    connect = socket.socket.connect

    def watched(self: socket.socket, address: object) -> None:
        tried.append(address)
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", watched)
    with closed_port() as dead, Front(LATER) as bad, Sink() as good:
        resolve(monkeypatch, dead, bad.address, at(good))
        delivery = submit()
        assert tried == [dead, bad.address, at(good)]
    assert state(delivery) is RecipientStatus.ACCEPTED


def test_a_session_made_ahead_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    transport = Transport(tls=Tls.NONE, timeout=5.0, deadline=20.0)
    pauses: list[float] = []
    with Front(LATER) as bad, Sink() as good:
        resolve(monkeypatch, bad.address, at(good))
        with EarlyConnection(registration("ci"), transport) as early:
            delivery = send_one(
                a_mail(),
                registration("ci"),
                transport,
                clock=Clock(sleep=pauses.append),
                early=early,
            )
        assert bad.visits == 1
    assert state(delivery) is RecipientStatus.ACCEPTED
    assert pauses == [0.0]


def test_a_proxys_addresses_take_turns_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with Front(hears=True) as bad, Sink(needs_login=False) as good:
        tunnel = Tunnel(hosts={HOST: at(good)})
        with tunnel.http():
            lookup = socket.getaddrinfo
            resolve(monkeypatch, bad.address, ("127.0.0.1", tunnel.port))
            mine = socket.getaddrinfo
            monkeypatch.setattr(
                socket,
                "getaddrinfo",
                lambda host, *rest, **more: (mine if host == "proxy.test" else lookup)(
                    host, *rest, **more
                ),
            )
            proxy = Proxy(kind=ProxyKind.HTTP, host="proxy.test", port=3128)
            delivery = submit("", proxy=proxy, timeout=5.0)
    assert delivery.transactions[0].why == "it closed the connection without an answer"
    assert state(delivery) is RecipientStatus.ACCEPTED


# --- nobody there ------------------------------------------------------------------------------


class Watch:
    """A clock whose time passes in pauses alone."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    @property
    def clock(self) -> Clock:
        return Clock(seconds=lambda: sum(self.pauses), sleep=self.pauses.append, chance=lambda: 0.5)


def waited(proxy: Proxy | None = None, **transport: object) -> tuple[Delivery, list[float]]:
    watch = Watch()
    settings = {"tls": Tls.NONE, "timeout": 5.0, "deadline": 120.0, "proxy": proxy} | transport
    delivery = send_one(
        a_mail(),
        registration(),
        Transport(**settings),  # type: ignore[arg-type]
        clock=watch.clock,
    )
    return delivery, watch.pauses


PATIENT = [0.75, 1.5, 3.0, 6.0, 8.75]


def test_a_connection_that_is_only_ever_refused_is_given_up_after_20_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with closed_port() as one, closed_port() as two:
        resolve(monkeypatch, one, two)
        delivery, pauses = waited()
    assert pauses == PATIENT
    assert state(delivery) is RecipientStatus.DEFERRED
    assert delivery.attempts == 6
    assert delivery.transactions[-1].why == "the connection was refused"
    assert delivery.transactions[-1].hint == "Is the port right? Usual: 587, 465."


def test_a_name_that_no_resolver_answers_for_is_given_up_after_20_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    delivery, pauses = waited()
    assert pauses == PATIENT
    assert delivery.transactions[-1].why == "the host name cannot be resolved"


def test_a_name_that_does_not_exist_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    delivery, pauses = waited()
    assert (pauses, delivery.attempts, state(delivery)) == ([], 1, RecipientStatus.REFUSED)


@pytest.mark.parametrize("reason", ["ENETUNREACH", "EHOSTUNREACH", "EADDRNOTAVAIL"])
def test_a_network_without_a_way_there_is_given_up_after_20_seconds(
    monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    import errno
    import os

    number = getattr(errno, reason)

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    resolve(monkeypatch, ("192.0.2.1", 587))
    monkeypatch.setattr(socket.socket, "connect", fail)
    delivery, pauses = waited()
    assert pauses == PATIENT
    assert (
        delivery.transactions[-1].why == f"the connection failed, connecting: {os.strerror(number)}"
    )


@pytest.mark.parametrize("kind", ProxyKind)
def test_a_proxy_that_is_not_there_is_given_up_after_20_seconds(kind: ProxyKind) -> None:
    with closed_port() as (host, port):
        delivery, pauses = waited(Proxy(kind=kind, host=host, port=port))
    assert pauses == PATIENT
    assert delivery.transactions[-1].why == "the connection was refused"


def test_a_server_that_the_proxy_cannot_reach_is_given_up_after_20_seconds() -> None:
    with Front(answers=b"HTTP/1.1 503 Service Unavailable\r\n\r\n") as http:
        host, port = http.address
        delivery, pauses = waited(Proxy(kind=ProxyKind.HTTP, host=host, port=port))
        assert http.visits == 6
    assert pauses == PATIENT
    assert delivery.transactions[-1].why == f"it refuses {HOST}:587: HTTP 503"

    with Front(b"\x05\x00\x05\x05\x00\x01" + bytes(6), is_silent=True) as socks:
        host, port = socks.address
        delivery, pauses = waited(Proxy(kind=ProxyKind.SOCKS5, host=host, port=port))
        assert socks.visits == 6
    assert pauses == PATIENT
    assert (
        delivery.transactions[-1].why
        == "it does not connect: Connection refused by destination host"
    )


def test_a_server_that_was_there_once_has_until_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with closed_port() as closed, Front(LATER) as once:
        found = iter([once.address])
        family = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        monkeypatch.setattr(
            socket, "getaddrinfo", lambda *_, **__: [(*family, next(found, closed))]
        )
        delivery, pauses = waited()
    assert sum(pauses) > 90
    assert delivery.transactions[-1].why == "the connection was refused"


def test_a_shorter_deadline_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    with closed_port() as closed:
        resolve(monkeypatch, closed)
        _, pauses = waited(deadline=5.0)
    assert pauses == [0.75, 1.5]


ONCE, TO_THE_END = "once", "to the end"


def endurance(delivery: Delivery, pauses: list[float]) -> str | list[float]:
    """How long it was tried."""
    if not pauses:
        assert state(delivery) is RecipientStatus.REFUSED
        return ONCE
    assert state(delivery) is RecipientStatus.DEFERRED
    return TO_THE_END if sum(pauses) > 90 else pauses


@pytest.mark.parametrize(
    ("code", "ends"),
    [
        (1, TO_THE_END),
        (2, ONCE),
        (3, PATIENT),
        (4, PATIENT),
        (5, PATIENT),
        (6, TO_THE_END),
        (7, ONCE),
        (8, ONCE),
    ],
)
def test_a_socks_proxys_code_says_how_long_it_is_worth_trying(
    code: int, ends: str | list[float]
) -> None:
    said = b"\x05\x00\x05" + bytes([code]) + b"\x00\x01" + bytes(6)
    with Front(said, is_silent=True) as socks:
        host, port = socks.address
        assert endurance(*waited(Proxy(kind=ProxyKind.SOCKS5, host=host, port=port))) == ends


@pytest.mark.parametrize(
    ("code", "ends"),
    [
        *((code, ONCE) for code in (403, 407)),
        *((code, PATIENT) for code in (500, 502, 503, 504)),
        *((code, TO_THE_END) for code in (501, 505)),
    ],
)
def test_an_http_proxys_code_says_how_long_it_is_worth_trying(
    code: int, ends: str | list[float]
) -> None:
    with Front(answers=b"HTTP/1.1 %d No\r\n\r\n" % code) as http:
        host, port = http.address
        assert endurance(*waited(Proxy(kind=ProxyKind.HTTP, host=host, port=port))) == ends
