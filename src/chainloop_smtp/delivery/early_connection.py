"""A server -> a session with it, connected while the mail for it is still being written."""

from contextlib import suppress
from types import TracebackType
from typing import Self

from chainloop_smtp.background import BackgroundCall
from chainloop_smtp.delivery.clock import Clock, Deadline
from chainloop_smtp.delivery.dialing import Rotation, place
from chainloop_smtp.delivery.session import Session
from chainloop_smtp.errors import DeliveryError
from chainloop_smtp.model.settings import Registration, Transport

_PARTING = 5.0  # seconds to take leave in, where there is no mail after all


class EarlyConnection:
    """The first session of a delivery, which connects in a thread of its own from here on.

    Nothing is said to the server before it is taken: no word of SMTP or TLS, no credential. What
    goes wrong with connecting is raised where it is taken, as if it had gone wrong there.

    Attributes:
        deadline: Of the whole delivery: it counts from here.
        is_taken: Somebody has, and closes it.
        rotation: What is known of the host's addresses.
    """

    def __init__(
        self, registration: Registration, transport: Transport, clock: Clock | None = None
    ) -> None:
        """Raises OptionsError where a file of the TLS options is not usable."""
        clock = clock or Clock()
        where = place(registration.host, registration.port)
        self.deadline = Deadline(transport.deadline, transport.timeout, where, clock.seconds)
        self.is_taken = False
        self.rotation = Rotation()
        self._session = Session(
            registration, transport, self.deadline, clock, rotation=self.rotation
        )
        self._connecting = BackgroundCall(
            self._connected, lambda session: session.__exit__(None, None, None)
        )

    def take(self) -> Session:
        """The session, once it is connected.

        Raises:
            DeliveryError: No address of the host could be reached.
        """
        self.is_taken = True
        return self._connecting.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Takes leave with QUIT (RFC 5321 section 4.1.1.10) of a server that gets no mail.

        Where the user ends it all, nobody is waited for.
        """
        if self.is_taken:
            return
        if not (error is None or isinstance(error, Exception)):
            self._connecting.leave()
            return
        self.deadline.shorten(_PARTING)
        with (
            suppress(DeliveryError, TimeoutError),
            self._connecting.result(_PARTING) as session,
        ):
            session.greet()
            session.quit(is_sent=False)

    def _connected(self) -> Session:
        self._session.connect()
        return self._session
