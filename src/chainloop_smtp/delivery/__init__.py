"""Mail -> Delivery. The only stage that opens an SMTP connection.

The story of one submission (RFC 6409): connect, greet, secure, log in (`session`), one
transaction, QUIT (`transaction`).
"""

from collections.abc import Callable

from chainloop_smtp.delivery.deadline import monotonic
from chainloop_smtp.delivery.hints import hint
from chainloop_smtp.delivery.session import IMPLICIT_TLS_PORTS, Session
from chainloop_smtp.delivery.tls import check_files
from chainloop_smtp.delivery.transaction import transact
from chainloop_smtp.model import Delivery, Mail, Registration, Transport

__all__ = ["IMPLICIT_TLS_PORTS", "check_files", "hint", "send"]


def send(
    mail: Mail,
    registration: Registration,
    transport: Transport,
    clock: Callable[[], float] = monotonic,
) -> Delivery:
    """Submits one mail.

    Refused recipients are part of the result, and the mail goes to the others. Whatever happens
    after the server has accepted the content cannot fail any more.

    Args:
        clock: Seconds, never backwards.

    Raises:
        DeliveryError: The mail was not accepted, or nobody knows whether it was.
        OptionsError: A file of the TLS options is not usable.
    """
    started = clock()
    with Session(registration, transport, clock) as session:
        session.open()
        accepted, refused, reply = transact(session, mail)
        return Delivery(
            accepted=accepted,
            refused=refused,
            reply=reply,
            server=session.connection.where,
            tls=session.connection.tls,
            mechanism=session.mechanism,
            round_trips=session.connection.round_trips,
            duration=clock() - started,
        )
