"""Registration -> a session: connected, greeted, secured, logged in. Step by step, or all at once.

RFC 5321 sections 3.1 and 3.2 (greeting, EHLO), RFC 3207 (STARTTLS), RFC 4954 (AUTH).
"""

import base64
from collections.abc import Mapping, Set
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Self

from chainloop_smtp.background import BackgroundCall
from chainloop_smtp.delivery import hints, sasl
from chainloop_smtp.delivery import tls as tls_
from chainloop_smtp.delivery.clock import Clock, Deadline
from chainloop_smtp.delivery.connection import Connection, GoodbyeError
from chainloop_smtp.delivery.dialing import Rotation, dial, host_port
from chainloop_smtp.delivery.hints import Advice, Credential, Phase
from chainloop_smtp.errors import DeliveryError, Problem
from chainloop_smtp.model.mail import Attempt, Reply
from chainloop_smtp.model.settings import Auth, Registration, Tls, Transport

IMPLICIT_TLS_PORTS = (465, 2465, 8465)
_QUIT_PATIENCE = 5.0  # seconds; the mail is accepted by then, so nothing is worth a long wait
_PROBE_PATIENCE = 5.0  # seconds
# Seconds without a greeting after which a server may be waiting for TLS. Those that make clients
# wait on purpose do it where other servers come, not where users submit (RFC 8314 section 3).
_SUSPICIOUS_SILENCE = 10.0
_GREETING_DELAYED_PORTS = (25,)
_LEAVE_PATIENCE = 5.0  # seconds for QUIT on an early connection that gets no message
_LONGEST_COMPLAINT = 200  # characters
_LONGEST_COMMAND = 512  # bytes with CRLF: RFC 5321 section 4.5.3.1.4


class Session:
    """A connection and what the server has said of itself.

    The steps are methods, in the order in which they stand here; `open` takes all behind the first.

    Attributes:
        registration: Where the server is, and who may log in.
        transport: How mails travel there.
        connection: What the steps talk over; there from `connect` on.
        started: When connecting began; aware, in UTC.
        extensions: What EHLO offered last: parameters by keyword, in upper case.
        mechanism: SASL mechanism of the login; empty: there was none.
        tls: How the connection is protected; never `Tls.AUTO`.
        is_open: The server has let us in, as far as that goes without a login.
    """

    def __init__(
        self,
        registration: Registration,
        transport: Transport,
        deadline: Deadline,
        clock: Clock,
        ignoring: Set[str] = frozenset(),
        rotation: Rotation | None = None,
    ) -> None:
        """Touches no network yet.

        Args:
            ignoring: Extensions that are not to be used even if the server offers them.
            rotation: What is known of the host's addresses; None: nothing.

        Raises:
            OptionsError: A file of the TLS options is not usable.
        """
        self.transport = transport
        self.clock = clock
        self.started = clock.now()
        self.registration = registration
        self._deadline = deadline
        self._ignoring = ignoring
        self._rotation = rotation or Rotation()
        self._round_trips_told = 0
        self.is_open = False
        self.tls = transport.tls
        if self.tls is Tls.AUTO:
            is_implicit = registration.port in IMPLICIT_TLS_PORTS
            self.tls = Tls.IMPLICIT if is_implicit else Tls.STARTTLS
        # Before the connection, so that a wrong file costs nobody a connection.
        self._context = None if self.tls is Tls.NONE else tls_.context(transport)
        self.mechanism = ""
        self.extensions: Mapping[str, str] = {}
        self.connection: Connection

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.connection.__exit__(kind, error, traceback)

    def connect(self) -> None:
        """The TCP handshake, through the proxy where there is one.

        Raises:
            DeliveryError: No address of the host could be reached.
        """
        self.connection = Connection(
            self.registration.host,
            self.registration.port,
            self._deadline,
            proxy=self.transport.proxy,
            secrets=(self.registration.password.encode(),),
            rotation=self._rotation,
        )

    def open(self) -> None:
        """From the server's greeting to a session that is as safe as it is to be.

        Raises:
            DeliveryError: The server, or the connection, does not let us in.
        """
        self.greet()
        self.hello()
        if self.tls is Tls.STARTTLS:
            self.start_tls()
            # RFC 3207 section 4.2: what was learned in clear is forgotten.
            self.hello()
        self.is_open = True

    def greet(self) -> None:
        """The server's greeting (RFC 5321 section 3.1); with implicit TLS, inside of it."""
        if self.tls is Tls.IMPLICIT and not self.connection.tls:
            self.secure()
        greeting = self._greeting()
        if greeting.code != 220:
            raise self.refusal("the server does not take mail now", Phase.GREETING, greeting)

    def hello(self) -> None:
        """EHLO (RFC 5321 section 4.1.1.1), under a name that strict servers accept."""
        name = self.transport.ehlo_name or self.connection.own_name
        command = f"EHLO {name}".encode("ascii")
        reply = self.ask(Phase.EHLO, command)
        if reply.code != 250:
            raise self.refusal("the server refused EHLO", Phase.EHLO, reply)
        words = (line.decode("ascii", "replace").upper() for line in self.connection.lines[1:])
        self.extensions = {
            name: value
            for name, _, value in (word.partition(" ") for word in words)
            if name not in self._ignoring
        }

    def start_tls(self) -> None:
        """STARTTLS and the handshake (RFC 3207 section 4)."""
        if "STARTTLS" not in self.extensions:
            raise self.error(
                "the server offers no STARTTLS, so nothing was sent to it",
                "Port 465 usually wants tls: implicit. If the server has no TLS at all, and "
                "only then: tls: none.",
            )
        reply = self.ask(Phase.STARTTLS, b"STARTTLS")
        if reply.code != 220:
            raise self.refusal("the server refused STARTTLS", Phase.STARTTLS, reply)
        self.secure()

    def secure(self) -> None:
        """The TLS handshake; with implicit TLS (RFC 8314 section 3.3), before all else."""
        context = self._context or tls_.context(self.transport)
        self.connection.start_tls(context, self.transport.tls_fingerprint)

    def quit(self, *, is_sent: bool) -> bool:
        """QUIT and its 221 (RFC 5321 section 4.1.1.10); what goes wrong here changes nothing.

        Args:
            is_sent: Only the reply is missing.

        Returns:
            Whether replies and commands still agreed. A server may answer QUIT as it likes, but
            one that says more than one reply has said one too many before.
        """
        try:
            if not is_sent:
                self.connection.write(b"QUIT\r\n")
            reply = self.connection.read(patience=_QUIT_PATIENCE)
            # Or it does not know QUIT, and its patience is shorter than ours.
            return reply.code == 221 or self.connection.read(patience=_QUIT_PATIENCE).code == 421
        except DeliveryError:
            return True

    def new_round_trips(self) -> int:
        """Those since this was asked last, so that each counts for one mail."""
        new = self.connection.round_trips - self._round_trips_told
        self._round_trips_told = self.connection.round_trips
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
    ) -> Attempt:
        """What is to be kept of a try that ends now."""
        return Attempt(
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
        """Commands may go ahead of their replies (RFC 2920)."""
        return "PIPELINING" in self.extensions

    @property
    def is_chunked(self) -> bool:
        """The content may go ahead too (RFC 3030)."""
        return self.is_pipelined and "CHUNKING" in self.extensions

    def ask(self, phase: Phase, command: bytes | None = None) -> Reply:
        """The reply to a command.

        Args:
            command: Without its line end; None when it is on its way already.

        Raises:
            GoodbyeError: The reply is 421; it says what that means in this phase.
        """
        try:
            if command is None:
                return self.connection.answer()
            (reply,) = self.connection.exchange(command)
        except GoodbyeError as error:
            raise self.goodbye(phase, error.reply) from error
        return reply

    def advice(self, phase: Phase, reply: Reply) -> Advice:
        """What a negative reply means at this server, and what to change."""
        if not self.registration.user:
            credential = Credential.NONE
        elif self.transport.has_token or self.transport.auth in sasl.TOKEN_PREFERENCE:
            credential = Credential.TOKEN
        else:
            credential = Credential.PASSWORD
        return hints.advise(self.registration.host, phase, reply, credential)

    def refusal(self, why: str, phase: Phase, reply: Reply) -> DeliveryError:
        """The error that a negative reply makes."""
        hint, is_temporary = self.advice(phase, reply)
        return self.error(f"{why}: {reply}", hint, is_temporary=is_temporary)

    def goodbye(self, phase: Phase, reply: Reply) -> GoodbyeError:
        """The error that 421 makes."""
        hint, is_temporary = self.advice(phase, reply)
        return GoodbyeError(self.connection.where, reply, hint, is_temporary=is_temporary)

    def error(self, why: str, hint: str = "", *, is_temporary: bool = False) -> DeliveryError:
        """An error about this server."""
        problem = Problem(self.connection.where, why, hint)
        return DeliveryError(problem, is_temporary=is_temporary)

    def _greeting(self) -> Reply:
        """What the server says first; an error at once where it waits for TLS instead."""
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
                raise self.error(why, "Write tls: implicit for this port.") from error
            left = min(timeout - soon, self._deadline.left)
            if left <= 0:
                raise
        return self.connection.read(silence=left)

    def _is_tls_answered(self) -> bool:
        """A second connection, whose first words are a handshake: whether that is answered.

        Asked only after a silence, so that no server is greeted this way that merely takes its
        time.
        """
        host, port = self.registration.host, self.registration.port
        try:
            line = dial(host, port, self.transport.proxy, self._deadline, self._rotation)
            seconds = min(self._deadline.step(), _PROBE_PATIENCE)
        except DeliveryError:
            return False
        return tls_.is_answered(line.socket, host.removesuffix("."), seconds)


class LoginError(DeliveryError):
    """The server has seen the login and refuses it."""


class Login:
    """One login, from the choice of its mechanism to the server's reply.

    Only one mechanism is tried, and once: a refused password counts as a break-in attempt.

    Attributes:
        command: AUTH with its response, where that may go ahead of a mail in one group; empty:
            it has to be performed alone.
    """

    def __init__(self, session: Session) -> None:
        """Chooses the mechanism.

        Raises:
            DeliveryError: There is none, or it would send a secret in clear.
        """
        self._session = session
        self._connection = session.connection
        self._registration = session.registration
        self._mechanism = self._chosen()
        self._name = self._mechanism.value.upper()
        self.command = self._ahead()

    def perform(self) -> None:
        """The whole exchange, alone.

        Raises:
            DeliveryError: It failed; a `LoginError` where that is the server's word.
        """
        self.conclude(*self._exchanged())

    def conclude(self, reply: Reply, complaint: str = "") -> None:
        """The last reply of the exchange.

        Args:
            complaint: What the server said before, where it said why.

        Raises:
            LoginError: It is no 235.
        """
        if reply.code == 235:
            self._session.mechanism = self._name
            return
        what = "token" if self._mechanism in sasl.TOKEN_PREFERENCE else "password"
        hint, is_temporary = self._session.advice(Phase.AUTH, reply)
        why = (
            f"the server cannot check the {what} now"
            if is_temporary
            else f"the server refused the login of {self._registration.user}"
        )
        if complaint:
            why += f" ({self._connection.printable(complaint)[:_LONGEST_COMPLAINT]})"
        problem = Problem(self._connection.where, f"{why}: {reply}", hint)
        raise LoginError(problem, is_temporary=is_temporary)

    def ask(self, command: bytes | None = None) -> Reply:
        """The reply to a command of the exchange.

        Args:
            command: Without its line end; None when it is on its way already.

        Raises:
            GoodbyeError: It is 421.
            LoginError: It is 421, and another login would only be one more.
        """
        try:
            return self._session.ask(Phase.AUTH, command)
        except GoodbyeError as error:
            if error.is_temporary:
                raise
            raise LoginError(*error.problems) from error

    def _chosen(self) -> Auth:
        session, connection = self._session, self._connection
        if not connection.tls and not connection.is_loopback:
            raise session.error(
                "the password was not sent, since the connection has no TLS",
                "Use tls: auto, or auth: none for a relay that needs no login.",
            )
        offered, transport = _offered(session.extensions), session.transport
        mechanism = sasl.choose(transport.auth, offered, has_token=transport.has_token)
        if mechanism is None:
            raise session.error(
                f"no common way to log in: the server offers {' '.join(offered) or 'none'}, "
                f"auth is {transport.auth}",
                "The server may offer a login only over TLS: write tls: auto."
                if not offered and not connection.tls
                else "A relay that needs no login takes auth: none."
                if not offered
                else "Set auth to one of the mechanisms that the server offers.",
            )
        return mechanism

    def _ahead(self) -> bytes:
        """RFC 4954 section 4: what may be followed by more before its reply.

        AUTH ends its group, unless it has an initial response of a mechanism that is known to be
        over with it: PLAIN. The bearer mechanisms go on after a failure.
        """
        if not self._session.is_pipelined or self._mechanism is not Auth.PLAIN:
            return b""
        command = b"AUTH PLAIN " + base64.b64encode(self._begun().initial or b"")
        return command if len(command) + 2 <= _LONGEST_COMMAND else b""

    def _begun(self) -> sasl.Exchange:
        registration = self._registration
        try:
            return sasl.exchange(
                self._mechanism,
                registration.user,
                registration.password,
                registration.host,
                registration.port,
            )
        except ValueError as error:
            raise self._session.error(f"{self._name} failed: {error}") from error

    def _exchanged(self) -> tuple[Reply, str]:
        """The server's verdict, and what it said before, where it said why."""
        exchange = self._begun()
        command = b"AUTH " + self._name.encode("ascii")
        initial, is_sent = exchange.initial, False
        if initial is not None:
            with_initial = command + b" " + base64.b64encode(initial)
            # RFC 4954 section 4: where it makes the command too long, it waits for a challenge.
            is_sent = len(with_initial) + 2 <= _LONGEST_COMMAND
            command = with_initial if is_sent else command
        reply = self.ask(command)
        while reply.code == 334:
            try:
                challenge = base64.b64decode(self._connection.lines[-1].strip(), validate=True)
                # RFC 4954 section 4: an empty challenge asks for the initial response. Some servers
                # do not look at the one in the command.
                if initial is None or (is_sent and challenge):
                    response = exchange.answer(challenge)
                else:
                    response = initial
            except ValueError as error:
                # RFC 4954 section 4: a lone "*" cancels the exchange.
                self._connection.exchange(b"*")
                said = self._connection.printable(str(error))[:_LONGEST_COMPLAINT]
                raise self._session.error(f"{self._name} failed: {said}") from error
            initial = None
            self._connection.conceal(exchange.proof)
            reply = self.ask(base64.b64encode(response))
        if reply.code == 235 and not exchange.is_over:
            raise self._session.error(
                f"{self._name} failed: the server has not proved that it knows the password",
                "It may be another server than you think.",
            )
        return reply, exchange.complaint


def log_in(session: Session) -> Login | None:
    """Logs in where the registration has a user, at once if need be.

    Returns:
        A login whose command waits to go ahead of the first mail, in one group with it; None when
        there is nothing more to be done.

    Raises:
        DeliveryError: The server, or the connection, does not let us in.
    """
    if not session.registration.user:
        return None
    login = Login(session)
    if login.command:
        return login
    login.perform()
    return None


def _offered(extensions: Mapping[str, str]) -> list[str]:
    """The mechanisms' names that EHLO gave."""
    offered = extensions.get("AUTH", "").split()
    # Exchange and others of old: `AUTH=LOGIN` as a keyword of its own.
    for name, value in extensions.items():
        if name.startswith("AUTH="):
            offered += [name[5:], *value.split()]
    return offered


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
        where = host_port(registration.host, registration.port)
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
            self._connecting.abandon()
            return
        self.deadline.shorten(_LEAVE_PATIENCE)
        with (
            suppress(DeliveryError, TimeoutError),
            self._connecting.result(_LEAVE_PATIENCE) as session,
        ):
            session.greet()
            session.quit(is_sent=False)

    def _connected(self) -> Session:
        self._session.connect()
        return self._session
