"""Registration -> a session: connected, greeted and secured. Step by step, or all at once.

RFC 5321 sections 3.1 and 3.2 (greeting, EHLO), RFC 3207 (STARTTLS).
"""

import os
import time
from collections.abc import Callable, Mapping, Set
from contextlib import closing, suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from chainloop_smtp.background import BackgroundCall
from chainloop_smtp.delivery import hints, tls
from chainloop_smtp.delivery.connection import Connection, GoodbyeError
from chainloop_smtp.delivery.dialing import Deadline, Rotation, dial, host_port
from chainloop_smtp.delivery.hints import Advice, Credential, Phase
from chainloop_smtp.errors import DeliveryError
from chainloop_smtp.model.frozen import dataclass
from chainloop_smtp.model.mail import Reply, TransactionResult
from chainloop_smtp.model.settings import Auth, Registration, Tls, Transport

IMPLICIT_TLS_PORTS = (465, 2465, 8465)
_QUIT_PATIENCE = 5.0  # seconds; the mail is accepted by then, so nothing is worth a long wait
_PROBE_PATIENCE = 5.0  # seconds
# Seconds without a greeting after which a server may be waiting for TLS. Those that make clients
# wait on purpose do it where other servers come, not where users submit (RFC 8314 section 3).
_SUSPICIOUS_SILENCE = 10.0
_GREETING_DELAYED_PORTS = (25,)
_LEAVE_PATIENCE = 5.0  # seconds for QUIT on an early connection that gets no message
# For tokens, best first. Both providers who want them document XOAUTH2; OAUTHBEARER is standard.
TOKEN_MECHANISMS = (Auth.XOAUTH2, Auth.OAUTHBEARER)


def _chance() -> float:
    # Importing `random` takes longer than a retry.
    return int.from_bytes(os.urandom(4), "big") / 2**32


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """What delivery needs from the outside besides sockets.

    Attributes:
        seconds: A monotonic clock.
        now: Aware, in UTC.
        sleep: Waits so many seconds.
        chance: A random number from 0 up to, and not including, 1.
    """

    seconds: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = _chance


SYSTEM_CLOCK = Clock()


class Session:
    """A connection, and what the server has said about itself.

    `connect` comes first; `open` takes the other steps, from the greeting to TLS, in their order.
    Each raises a DeliveryError when the server refuses it or the connection fails.

    Attributes:
        connection: Exists from `connect` on.
        started: When connecting began; aware, in UTC.
        extensions: What EHLO offered last: parameters by keyword, in upper case.
        mechanism: SASL mechanism of the login; empty: there was none.
        tls: How the connection is protected; never `Tls.AUTO`.
        is_open: Greeting, EHLO and TLS are done; the login may still be to come.
    """

    def __init__(
        self,
        registration: Registration,
        transport: Transport,
        deadline: Deadline,
        clock: Clock,
        disabled_extensions: Set[str] = frozenset(),
        rotation: Rotation | None = None,
    ) -> None:
        """Touch no network yet.

        Args:
            disabled_extensions: Not used even if the server offers them.
            rotation: What is known of the host's addresses; None: nothing.

        Raises:
            OptionsError: A file of the TLS options is not usable.
        """
        self.transport = transport
        self.clock = clock
        self.started = clock.now()
        self.registration = registration
        self._deadline = deadline
        self._disabled_extensions = disabled_extensions
        self._rotation = rotation or Rotation()
        self._round_trips_counted = 0
        self.is_open = False
        self.tls = transport.tls
        if self.tls is Tls.AUTO:
            is_implicit = registration.port in IMPLICIT_TLS_PORTS
            self.tls = Tls.IMPLICIT if is_implicit else Tls.STARTTLS
        # Read before connecting, so that an unusable file costs no connection.
        self._context = None if self.tls is Tls.NONE else tls.context(transport)
        self.mechanism = ""
        self.extensions: Mapping[str, str] = {}
        self.connection: Connection

    def close(self) -> None:
        """Close the connection, without QUIT."""
        self.connection.close()

    def connect(self) -> None:
        """Do the TCP handshake, through the proxy where there is one."""
        self.connection = Connection(
            self.registration.host,
            self.registration.port,
            self._deadline,
            proxy=self.transport.proxy,
            secrets=(self.registration.password.encode(),),
            rotation=self._rotation,
        )

    def open(self) -> None:
        """Do everything from the greeting to TLS."""
        self.greet()
        self.hello()
        if self.tls is Tls.STARTTLS:
            self.start_tls()
            # RFC 3207 section 4.2: what was learned in clear is forgotten.
            self.hello()
        self.is_open = True

    def greet(self) -> None:
        """Read the greeting (RFC 5321 section 3.1); with implicit TLS, after its handshake."""
        if self.tls is Tls.IMPLICIT and not self.connection.tls:
            self.secure()
        greeting = self._greeting()
        if greeting.code != 220:
            raise self.refusal("the server does not accept mail now", Phase.GREETING, greeting)

    def hello(self) -> None:
        """Send EHLO (RFC 5321 section 4.1.1.1), with a name that strict servers accept."""
        name = self.transport.ehlo_name or self.connection.own_name
        command = f"EHLO {name}".encode("ascii")
        reply = self.ask(Phase.EHLO, command)
        if reply.code != 250:
            raise self.refusal("the server refused EHLO", Phase.EHLO, reply)
        words = (line.decode("ascii", "replace").upper() for line in self.connection.lines[1:])
        self.extensions = {
            name: value
            for name, _, value in (word.partition(" ") for word in words)
            if name not in self._disabled_extensions
        }

    def start_tls(self) -> None:
        """Do STARTTLS and the handshake (RFC 3207 section 4)."""
        if "STARTTLS" not in self.extensions:
            raise self.connection.error(
                "the server offers no STARTTLS, so nothing was sent to it",
                "Use a port with TLS, usually 587 or 465. Only for a relay that has no TLS at all: "
                "tls: none, and auth: none.",
            )
        reply = self.ask(Phase.STARTTLS, b"STARTTLS")
        if reply.code != 220:
            raise self.refusal("the server refused STARTTLS", Phase.STARTTLS, reply)
        self.secure()

    def secure(self) -> None:
        """Do the TLS handshake; with implicit TLS (RFC 8314 section 3.3), before all else."""
        context = self._context or tls.context(self.transport)
        self.connection.start_tls(context, self.transport.tls_fingerprint)

    def quit(self, *, is_sent: bool) -> bool:
        """Send QUIT and read its 221 (RFC 5321 section 4.1.1.10); a failure changes nothing.

        Args:
            is_sent: Only the reply is missing.

        Returns:
            Whether replies and commands were in step. A server may answer QUIT as it likes, but if
            more than one reply comes, there was one too many before.
        """
        try:
            if not is_sent:
                self.connection.write(b"QUIT\r\n")
            reply = self.connection.read(patience=_QUIT_PATIENCE)
            # Or it does not know QUIT, and closes an idle connection before we do.
            return reply.code == 221 or self.connection.read(patience=_QUIT_PATIENCE).code == 421
        except DeliveryError:
            return True

    def new_round_trips(self) -> int:
        """Those since the last call, so that each counts for one mail."""
        new = self.connection.round_trips - self._round_trips_counted
        self._round_trips_counted = self.connection.round_trips
        return new

    def attempt(
        self,
        started: datetime,
        *,
        recipients: tuple[str, ...],
        round_trips: int,
        reply: Reply | None = None,
        why: str = "",
        hint: str = "",
        notes: tuple[str, ...] = (),
    ) -> TransactionResult:
        """The attempt that ends now."""
        return TransactionResult(
            started=started,
            ended=self.clock.now(),
            server=self.connection.where,
            address=self.connection.address,
            tls=self.connection.tls,
            cipher=self.connection.cipher,
            certificate=self.connection.certificate,
            mechanism=self.mechanism,
            recipients=recipients,
            round_trips=round_trips,
            reply=reply,
            why=why,
            hint=hint,
            notes=notes,
        )

    @property
    def is_pipelined(self) -> bool:
        """Commands may precede replies to earlier ones (RFC 2920)."""
        return "PIPELINING" in self.extensions

    @property
    def is_chunked(self) -> bool:
        """The content may precede them too (RFC 3030)."""
        return self.is_pipelined and "CHUNKING" in self.extensions

    def ask(self, phase: Phase, command: bytes | None = None, *, name: str = "") -> Reply:
        """Return the reply to a command.

        Args:
            command: Without its line end; None when it is sent already.
            name: The command's, for errors; empty: the phase's.

        Raises:
            GoodbyeError: The reply is 421; with the hint for this phase.
        """
        name = name or phase.value.upper()
        try:
            if command is None:
                return self.connection.answer(name)
            (reply,) = self.connection.exchange(command, name=name)
        except GoodbyeError as error:
            raise self.goodbye(phase, error.reply) from error
        return reply

    def advice(self, phase: Phase, reply: Reply) -> Advice:
        """Return what a negative reply means at this server, and what to change."""
        if not self.registration.user:
            credential = Credential.NONE
        elif self.transport.has_token or self.transport.auth in TOKEN_MECHANISMS:
            credential = Credential.TOKEN
        else:
            credential = Credential.PASSWORD
        return hints.advise(self.registration.host, phase, reply, credential)

    def refusal(self, why: str, phase: Phase, reply: Reply) -> DeliveryError:
        """The error that a negative reply makes."""
        hint, is_temporary = self.advice(phase, reply)
        return self.connection.error(f"{why}: {reply}", hint, is_temporary=is_temporary)

    def goodbye(self, phase: Phase, reply: Reply) -> GoodbyeError:
        """The error that 421 makes."""
        hint, is_temporary = self.advice(phase, reply)
        return GoodbyeError(self.connection.where, reply, hint, is_temporary=is_temporary)

    def _greeting(self) -> Reply:
        """Read the greeting; fail early where the server waits for TLS instead."""
        timeout = self.transport.timeout
        is_slow = self.connection.tls or self.registration.port in _GREETING_DELAYED_PORTS
        soon = timeout if is_slow else min(timeout, _SUSPICIOUS_SILENCE)
        try:
            return self.connection.read(silence=soon)
        except DeliveryError as error:
            if not self.connection.is_silent:
                raise
            if not self.connection.tls and self._is_tls_answered():
                why = "the server says nothing before TLS begins"
                raise self.connection.error(why, "Set tls: implicit for this port.") from error
            left = min(timeout - soon, self._deadline.left)
            if left <= 0:
                raise
        return self.connection.read(silence=left)

    def _is_tls_answered(self) -> bool:
        """Try a TLS handshake on a second connection.

        Only after a silence, since a server that is merely slow should not see it.
        """
        host, port = self.registration.host, self.registration.port
        try:
            dialed = dial(host, port, self.transport.proxy, self._deadline, self._rotation)
            seconds = min(self._deadline.step(), _PROBE_PATIENCE)
        except DeliveryError:
            return False
        return tls.is_answered(dialed.socket, host.removesuffix("."), seconds)


class EarlyConnection:
    """The first session of a delivery, connecting in the background while the mail is composed.

    Nothing is sent to the server before `take`: neither SMTP nor TLS, no credential. `take` raises
    what went wrong with connecting.

    Attributes:
        deadline: The whole delivery's; it counts from here.
        is_taken: Whoever took the session closes it.
        rotation: What is known of the host's addresses.
    """

    def __init__(
        self, registration: Registration, transport: Transport, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        """Start to connect.

        Raises:
            OptionsError: A file of the TLS options is not usable.
        """
        server = host_port(registration.host, registration.port)
        self.deadline = Deadline(transport.deadline, transport.timeout, server, clock.seconds)
        self.is_taken = False
        self.rotation = Rotation()
        self._session = Session(
            registration, transport, self.deadline, clock, rotation=self.rotation
        )
        self._connecting = BackgroundCall(self._connected, Session.close)

    def take(self) -> Session:
        """Return the session once it is connected.

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
        """Send QUIT (RFC 5321 section 4.1.1.10) to a server that gets no mail.

        After an interrupt, nothing is waited for.
        """
        if self.is_taken:
            return
        if not (error is None or isinstance(error, Exception)):
            self._connecting.abandon()
            return
        self.deadline.shorten(_LEAVE_PATIENCE)
        with (
            suppress(DeliveryError, TimeoutError),
            closing(self._connecting.result(_LEAVE_PATIENCE)) as session,
        ):
            session.greet()
            session.quit(is_sent=False)

    def _connected(self) -> Session:
        self._session.connect()
        return self._session
