"""Registration -> a session: connected, greeted, secured, logged in. Step by step, or all at once.

RFC 5321 section 3.1 and 3.2 (greeting, EHLO), RFC 3207 (STARTTLS), RFC 4954 (AUTH).
"""

import base64
from collections.abc import Mapping, Set
from datetime import datetime
from types import TracebackType
from typing import Self

from chainloop_smtp.delivery import auth, hints
from chainloop_smtp.delivery import tls as tls_
from chainloop_smtp.delivery.clock import Clock, Deadline
from chainloop_smtp.delivery.connection import Connection
from chainloop_smtp.delivery.dialing import dial
from chainloop_smtp.errors import DeliveryError, Problem
from chainloop_smtp.model import Attempt, Auth, Registration, Reply, Tls, Transport

IMPLICIT_TLS_PORTS = (465, 2465, 8465)
_QUIT_PATIENCE = 5.0  # seconds; the mail is accepted by then, so nothing is worth a long wait
_PROBE_PATIENCE = 5.0  # seconds
_LONGEST_COMPLAINT = 200  # characters
_LONGEST_COMMAND = 512  # octets with CRLF: RFC 5321 section 4.5.3.1.4


class Session:
    """A connection and what the server has said of itself.

    The steps are methods, in the order in which they stand here; `open` takes them all.

    Attributes:
        connection: What the steps talk over.
        started: When connecting began; aware, in UTC.
        extensions: What EHLO offered last: parameters by keyword, in upper case.
        mechanism: SASL mechanism used; empty: none.
        tls: How the connection is protected; never `Tls.AUTO`.
    """

    def __init__(
        self,
        registration: Registration,
        transport: Transport,
        deadline: Deadline,
        clock: Clock,
        ignoring: Set[str] = frozenset(),
    ) -> None:
        """Connects.

        Args:
            ignoring: Extensions that are not to be used even if the server offers them.

        Raises:
            DeliveryError: No address of the host could be reached.
            OptionsError: A file of the TLS options is not usable.
        """
        self.transport = transport
        self.clock = clock
        self.started = clock.now()
        self._registration = registration
        self._deadline = deadline
        self._ignoring = ignoring
        self._round_trips_told = 0
        self.tls = transport.tls
        if self.tls is Tls.AUTO:
            is_implicit = registration.port in IMPLICIT_TLS_PORTS
            self.tls = Tls.IMPLICIT if is_implicit else Tls.STARTTLS
        # Before the connection, so that a wrong file costs nobody a connection.
        self._context = None if self.tls is Tls.NONE else tls_.context(transport)
        self.mechanism = ""
        self.extensions: Mapping[str, str] = {}
        self.connection = Connection(
            registration.host,
            registration.port,
            deadline,
            proxy=transport.proxy,
            secrets=(registration.password.encode(),),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.connection.__exit__(kind, error, traceback)

    def open(self) -> bytes:
        """From the server's greeting to a session that is logged in, or about to be.

        Returns:
            An AUTH command that waits to go ahead of the first mail, in one group with it; empty
            when there is nothing more to be done.

        Raises:
            DeliveryError: The server, or the connection, does not let us in.
        """
        self.greet()
        self.hello()
        if self.tls is Tls.STARTTLS:
            self.start_tls()
            # RFC 3207 section 4.2: what was learned in clear is forgotten.
            self.hello()
        if not self._registration.user:
            return b""
        command = self._login_ahead()
        if not command:
            self.log_in()
        return command

    def greet(self) -> None:
        """The server's greeting (RFC 5321 section 3.1); with implicit TLS, inside of it."""
        if self.tls is Tls.IMPLICIT and not self.connection.tls:
            self.secure()
        try:
            greeting = self.connection.read()
        except DeliveryError as error:
            if self.connection.is_silent and not self.connection.tls and self._is_tls_answered():
                why = "the server says nothing before TLS begins"
                raise self.error(why, "Write tls: implicit for this port.") from error
            raise
        if greeting.code != 220:
            raise self.refusal("the server does not take mail now", greeting)

    def hello(self) -> None:
        """EHLO (RFC 5321 section 4.1.1.1), under a name that strict servers accept."""
        (reply,) = self.connection.exchange(f"EHLO {self.connection.own_name}".encode("ascii"))
        if reply.code != 250:
            raise self.refusal("the server refused EHLO", reply)
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
        (reply,) = self.connection.exchange(b"STARTTLS")
        if reply.code != 220:
            raise self.refusal("the server refused STARTTLS", reply)
        self.secure()

    def secure(self) -> None:
        """The TLS handshake; with implicit TLS (RFC 8314 section 3.3), before all else."""
        context = self._context or tls_.context(self.transport)
        self.connection.start_tls(context, self.transport.tls_fingerprint)

    def log_in(self) -> None:
        """AUTH (RFC 4954)."""
        mechanism = self._common_mechanism()
        self.check_login(*self._authenticate(mechanism))

    def check_login(self, reply: Reply, complaint: str = "") -> None:
        """The last reply of an AUTH exchange.

        Args:
            complaint: What the server said before, where it said why.

        Raises:
            DeliveryError: It is no 235.
        """
        if reply.code != 235:
            is_token = self.mechanism.lower() in auth.TOKEN_PREFERENCE
            what = "token" if is_token else "password"
            why = (
                f"the server cannot check the {what} now"
                if 400 <= reply.code < 500
                else f"the server refused the login of {self._registration.user}"
            )
            raise self.refusal(
                f"{why} ({self.connection.printable(complaint)[:_LONGEST_COMPLAINT]})"
                if complaint
                else why,
                reply,
                "Check user and password; many providers want an app password or an API key here "
                "instead of the account's own password."
                if what == "password"
                else "The token is not for this mailbox, or its scope does not allow SMTP.",
            )

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
            return reply.code == 221 or self.connection.read(patience=_QUIT_PATIENCE).code != 221
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
        )

    @property
    def is_pipelined(self) -> bool:
        """Commands may go ahead of their replies (RFC 2920)."""
        return "PIPELINING" in self.extensions

    @property
    def is_chunked(self) -> bool:
        """The content may go ahead too (RFC 3030)."""
        return self.is_pipelined and "CHUNKING" in self.extensions

    def refusal(self, why: str, reply: Reply | None, hint: str = "") -> DeliveryError:
        """The error that a reply makes: a temporary one, where the reply is (RFC 5321 4.2.1).

        Args:
            hint: What to do next, where the reply does not say more.
        """
        is_temporary = reply is not None and 400 <= reply.code < 500
        told = self.hint(reply) if reply else ""
        why = f"{why}: {reply}" if reply else why
        return self.error(why, told or hint, is_temporary=is_temporary)

    def hint(self, reply: Reply) -> str:
        """What a reply means at this provider, and what to do next; empty when nothing is known."""
        return hints.hint(self._registration.host, reply)

    def error(self, why: str, hint: str = "", *, is_temporary: bool = False) -> DeliveryError:
        """An error about this server."""
        problem = Problem(self.connection.where, why, hint)
        return DeliveryError(problem, is_temporary=is_temporary)

    def _is_tls_answered(self) -> bool:
        """A second connection, whose first words are a handshake: whether that is answered.

        Asked only after a silence as long as `timeout`, so that no server is greeted this way that
        merely takes its time.
        """
        host, port = self._registration.host, self._registration.port
        try:
            line = dial(host, port, self.transport.proxy, self._deadline)
            seconds = min(self._deadline.step(), _PROBE_PATIENCE)
        except DeliveryError:
            return False
        return tls_.is_answered(line.socket, host.removesuffix("."), seconds)

    def _login_ahead(self) -> bytes:
        """AUTH PLAIN with its response, where that may be followed by more in one group.

        RFC 4954 section 4: AUTH ends its group, unless it has an initial response of a mechanism
        that is known to be over with it: PLAIN. The bearer mechanisms go on after a failure.
        """
        if not self.is_pipelined or self._common_mechanism() is not Auth.PLAIN:
            return b""
        response = auth.exchange(
            Auth.PLAIN,
            self._registration.user,
            self._registration.password,
            self._registration.host,
            self._registration.port,
        ).initial
        command = b"AUTH PLAIN " + base64.b64encode(response or b"")
        return command if len(command) + 2 <= _LONGEST_COMMAND else b""

    def _common_mechanism(self) -> Auth:
        """The mechanism to log in with.

        Raises:
            DeliveryError: There is none, or it would send a secret in clear.
        """
        if not self.connection.tls and not self.connection.is_loopback:
            raise self.error(
                "the password was not sent, since the connection has no TLS",
                "Use tls: auto, or auth: none for a relay that needs no login.",
            )
        offered = self.extensions.get("AUTH", "").split()
        # Exchange and others of old: `AUTH=LOGIN` as a keyword of its own.
        for name, value in self.extensions.items():
            if name.startswith("AUTH="):
                offered += [name[5:], *value.split()]
        mechanism = auth.choose(self.transport.auth, offered, has_token=self.transport.has_token)
        if mechanism is None:
            raise self.error(
                f"no common way to log in: the server offers {' '.join(offered) or 'none'}, "
                f"auth is {self.transport.auth}",
                "The server may offer a login only over TLS: write tls: auto."
                if not offered and not self.connection.tls
                else "A relay that needs no login takes auth: none."
                if not offered
                else "Set auth to one of the mechanisms that the server offers.",
            )
        self.mechanism = mechanism.value.upper()
        return mechanism

    def _authenticate(self, mechanism: Auth) -> tuple[Reply, str]:
        """The server's verdict, and what it said before, where it said why."""
        registration = self._registration
        try:
            exchange = auth.exchange(
                mechanism,
                registration.user,
                registration.password,
                registration.host,
                registration.port,
            )
        except ValueError as error:
            raise self.error(f"{self.mechanism} failed: {error}") from error
        command = b"AUTH " + self.mechanism.encode("ascii")
        initial = exchange.initial
        if initial is not None:
            with_initial = command + b" " + base64.b64encode(initial)
            # RFC 4954 section 4: where it makes the command too long, it waits for a challenge.
            if len(with_initial) + 2 <= _LONGEST_COMMAND:
                command, initial = with_initial, None
        (reply,) = self.connection.exchange(command)
        while reply.code == 334:
            try:
                challenge = base64.b64decode(self.connection.lines[-1].strip(), validate=True)
                response = exchange.answer(challenge) if initial is None else initial
            except ValueError as error:
                # RFC 4954 section 4: a lone "*" cancels the exchange.
                self.connection.exchange(b"*")
                said = self.connection.printable(str(error))[:_LONGEST_COMPLAINT]
                raise self.error(f"{self.mechanism} failed: {said}") from error
            initial = None
            self.connection.conceal(exchange.proof)
            (reply,) = self.connection.exchange(base64.b64encode(response))
        if reply.code == 235 and not exchange.is_over:
            raise self.error(
                f"{self.mechanism} failed: the server has not proved that it knows the password",
                "It may be another server than you think.",
            )
        return reply, exchange.complaint
