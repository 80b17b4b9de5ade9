"""A mail, a way to a `Sink`, and delivery that wastes no time between its attempts."""

import time
from typing import Any

from chainloop_smtp.delivery import Clock, send
from chainloop_smtp.model.mail import Delivery, Mail, RecipientStatus
from chainloop_smtp.model.settings import Mailbox, Registration, Tls, Transport
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


def registration(server: Sink) -> Registration:
    return Registration(
        host="127.0.0.1",
        port=server.port,
        user="ci",
        password="secret",
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


def state(delivery: Delivery) -> RecipientStatus:
    (result,) = delivery.results
    return result.status
