"""A mail, a way to a `Sink`, and delivery that wastes no time between its attempts."""

import time
from collections.abc import Callable
from typing import Any, Protocol

from chainloop_smtp.delivery import Clock, send
from chainloop_smtp.model.mail import Delivery, Mail, RecipientStatus
from chainloop_smtp.model.settings import Mailbox, Registration, Tls, Transport
from program import told
from sink import Sink

HASTE = Clock(sleep=lambda _: None, chance=lambda: 0.0)
FULL = ("PIPELINING", "CHUNKING", "SIZE 10000000", "AUTH PLAIN")


def a_mail(number: int = 1, *recipients: str, lines: int = 1) -> Mail:
    return Mail(
        sender="reports@example.test",
        recipients=recipients or ("to@example.test",),
        message_id=f"<{number}@example.test>",
        subject="hello",
        content=b"Subject: mail %d.\r\n\r\n.Body.\r\n" % number + (b"x" * 70 + b"\r\n") * lines,
        text="",
        html="",
    )


class Server(Protocol):
    """What listens on this machine."""

    port: int


def registration(
    server: Server, *, host: str = "127.0.0.1", user: str = "ci", password: str = "secret"
) -> Registration:
    """The way to a server; without a user, without a password."""
    return Registration(
        host=host,
        port=server.port,
        user=user,
        password=password if user else "",
        from_=Mailbox(addr_spec="reports@example.test"),
        to=(Mailbox(addr_spec="to@example.test"),),
    )


def send_one(mail: Mail, registration: Registration, transport: Transport, **more: Any) -> Delivery:
    (delivery,) = send((mail,), registration, transport, **more)
    return delivery


def submit(
    server: Sink, mail: Mail | None = None, *, timeout: float = 5.0, attempts: int = 4
) -> Delivery:
    transport = Transport(tls=Tls.NONE, timeout=timeout, deadline=8.0)
    started = time.monotonic()
    sent = send_one(
        mail or a_mail(), registration(server), transport, attempts=attempts, clock=HASTE
    )
    # The deadline, and what a busy machine may add to it.
    assert time.monotonic() - started < 30
    return sent


def refusal_of(attempt: Callable[[], Delivery]) -> str:
    """All that the error says; a timeout that took far too long fails on the way."""
    started = time.monotonic()
    result = attempt()
    assert time.monotonic() - started < 50
    return told(result)


def state(delivery: Delivery) -> RecipientStatus:
    (result,) = delivery.results
    return result.status
