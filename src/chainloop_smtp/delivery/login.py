"""Session -> one that is logged in (RFC 4954): now, or with the first mail.

Only one mechanism is tried, and once: a password that is refused counts as a break-in attempt.
"""

import base64
from collections.abc import Mapping

from chainloop_smtp.delivery import sasl
from chainloop_smtp.delivery.connection import GoodbyeError
from chainloop_smtp.delivery.hints import Phase
from chainloop_smtp.delivery.session import Session
from chainloop_smtp.errors import DeliveryError, Problem
from chainloop_smtp.model.mail import Reply
from chainloop_smtp.model.settings import Auth

_LONGEST_COMPLAINT = 200  # characters
_LONGEST_COMMAND = 512  # octets with CRLF: RFC 5321 section 4.5.3.1.4


class LoginError(DeliveryError):
    """The server's own no to a login that it has seen."""


class Login:
    """One login, from the choice of its mechanism to the server's verdict.

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
