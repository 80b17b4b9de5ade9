"""Session, with user and password or a token -> a login, by AUTH and one SASL mechanism.

RFC 4954 (AUTH), RFC 4616 (PLAIN), draft-murchison-sasl-login (LOGIN), RFC 2195 (CRAM-MD5),
RFC 5802 and RFC 7677 (SCRAM-SHA-256), RFC 7628 (OAUTHBEARER), and XOAUTH2 as Google and Microsoft
describe it. Names and passwords travel as UTF-8, which RFC 4616 asks for and older ones leave open.
"""

import base64
import json
from collections.abc import Collection, Mapping
from typing import Any

from chainloop_smtp.delivery.connection import GoodbyeError
from chainloop_smtp.delivery.hints import Phase
from chainloop_smtp.delivery.session import TOKEN_MECHANISMS, Session
from chainloop_smtp.errors import DeliveryError, Problem
from chainloop_smtp.model.mail import Reply
from chainloop_smtp.model.settings import Auth

# What `auto` looks for, best first. Only one is ever tried: a password that one mechanism refuses
# will not pass the next, and counts as a break-in attempt. PLAIN costs one round trip, and any
# server with hashed passwords can check it; the connection under it is encrypted.
_PASSWORD_MECHANISMS = (Auth.PLAIN, Auth.SCRAM_SHA_256, Auth.LOGIN, Auth.CRAM_MD5)
_LONGEST_COMPLAINT = 200  # characters
_LONGEST_COMMAND = 512  # bytes with CRLF: RFC 5321 section 4.5.3.1.4


def log_in(session: Session) -> "Login | None":
    """Log in where the registration has a user.

    Returns:
        A login whose command has yet to be sent, in one group with the first mail; None when there
        is nothing more to do.

    Raises:
        DeliveryError: The server refuses, or the connection fails.
    """
    if not session.registration.user:
        return None
    login = Login(session)
    if login.command:
        return login
    login.perform()
    return None


class LoginError(DeliveryError):
    """The server has seen the login and refuses it."""


class Login:
    """One login, from the choice of its mechanism to the server's reply.

    Only one mechanism is tried, and once: a refused password counts as a break-in attempt.

    Attributes:
        command: AUTH with its response, where a mail may follow in the same group; empty: the login
            has to be done alone.
    """

    def __init__(self, session: Session) -> None:
        """Choose the mechanism.

        Raises:
            DeliveryError: There is none, or it would send a secret in clear.
        """
        self._session = session
        self._connection = session.connection
        self._registration = session.registration
        self._mechanism = self._choose()
        self._name = self._mechanism.value.upper()
        self.command = self._group_command()

    def perform(self) -> None:
        """Do the whole exchange.

        Raises:
            DeliveryError: It failed; a `LoginError` where the server refused.
        """
        self.conclude(*self._exchange_all())

    def conclude(self, reply: Reply, complaint: str = "") -> None:
        """Judge the last reply of the exchange.

        Args:
            complaint: The reason that the server gave before; may be empty.

        Raises:
            LoginError: The reply is not 235.
        """
        if reply.code == 235:
            self._session.mechanism = self._name
            return
        what = "token" if self._mechanism in TOKEN_MECHANISMS else "password"
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
        """Return the reply to a command of the exchange.

        Args:
            command: Without its line end; None when it is sent already.

        Raises:
            GoodbyeError: The reply is 421, for now.
            LoginError: The reply is 421, and a further login would not help.
        """
        try:
            return self._session.ask(Phase.AUTH, command)
        except GoodbyeError as error:
            if error.is_temporary:
                raise
            raise LoginError(*error.problems) from error

    def _choose(self) -> Auth:
        session, connection = self._session, self._connection
        if not connection.tls and not connection.is_loopback:
            raise connection.error(
                "the password was not sent, because the connection has no TLS",
                "Use tls: auto, or auth: none for a relay that needs no login.",
            )
        offered, transport = _offered(session.extensions), session.transport
        mechanism = choose(transport.auth, offered, has_token=transport.has_token)
        if mechanism is None:
            raise connection.error(
                "no common authentication mechanism: the server offers "
                f"{' '.join(offered) or 'none'}, "
                f"auth is {transport.auth}",
                "The server may offer a login only over TLS: set tls: auto."
                if not offered and "STARTTLS" in session.extensions
                else "For a relay that needs no login, set auth: none."
                if not offered
                else "Set auth to one of the mechanisms that the server offers.",
            )
        return mechanism

    def _group_command(self) -> bytes:
        """The command that more may follow before its reply; empty when there is none.

        RFC 4954 section 4: AUTH ends its group, unless it has an initial response of a mechanism
        that ends with it: PLAIN. The bearer mechanisms go on after a failure.
        """
        if not self._session.is_pipelined or self._mechanism is not Auth.PLAIN:
            return b""
        command = b"AUTH PLAIN " + base64.b64encode(self._new_exchange().initial or b"")
        return command if len(command) + 2 <= _LONGEST_COMMAND else b""

    def _new_exchange(self) -> "Exchange":
        registration = self._registration
        try:
            return exchange(
                self._mechanism,
                registration.user,
                registration.password,
                registration.host,
                registration.port,
            )
        except ValueError as error:
            raise self._connection.error(f"{self._name} failed: {error}") from error

    def _exchange_all(self) -> tuple[Reply, str]:
        """The last reply, and the reason that the server gave before; may be empty."""
        exchange = self._new_exchange()
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
                why = self._connection.printable(str(error))[:_LONGEST_COMPLAINT]
                raise self._connection.error(f"{self._name} failed: {why}") from error
            initial = None
            self._connection.conceal(exchange.proof)
            reply = self.ask(base64.b64encode(response))
        if reply.code == 235 and not exchange.is_over:
            raise self._connection.error(
                f"{self._name} failed: the server has not proved that it knows the password",
                "This may not be the server you expect.",
            )
        return reply, exchange.complaint


def choose(wanted: Auth, offered: Collection[str], *, has_token: bool = False) -> Auth | None:
    """Return the mechanism to use; None when there is no common one.

    Args:
        wanted: ``AUTO`` or one mechanism.
        offered: Upper-case mechanism names of the server's EHLO reply.
        has_token: There is an access token, which must not go into a mechanism for passwords.
    """
    preferred = TOKEN_MECHANISMS if has_token else _PASSWORD_MECHANISMS
    candidates = preferred if wanted is Auth.AUTO else (wanted,)
    return next((each for each in candidates if each.value.upper() in offered), None)


def _offered(extensions: Mapping[str, str]) -> list[str]:
    offered = extensions.get("AUTH", "").split()
    # Old servers, such as Exchange, write `AUTH=LOGIN` as a keyword of its own.
    for name, value in extensions.items():
        if name.startswith("AUTH="):
            offered += [name[5:], *value.split()]
    return offered


class Exchange:
    """One login, seen from the client.

    Attributes:
        initial: The initial response, for the AUTH command; None where the server speaks first.
        complaint: Status and scope of an OAuth server's refusal; may be empty.
        is_over: False while the server has yet to authenticate itself.
        proof: Derived from the password for this login: enough to guess it by. May be empty.
    """

    complaint = ""
    is_over = True
    proof = b""

    def __init__(self, *responses: bytes, initial: bytes | None = None) -> None:
        """Start a login with fixed responses to the server's challenges."""
        self.initial = initial
        self._responses = list(responses)

    def answer(self, challenge: bytes) -> bytes:
        """Return the response to a decoded challenge.

        Raises:
            ValueError: The mechanism has no further response, or cannot compute it.
        """
        del challenge
        if not self._responses:
            raise ValueError("the server asks for more steps than the mechanism has")
        return self._responses.pop(0)


def exchange(mechanism: Auth, user: str, password: str, host: str, port: int) -> Exchange:
    """Start the login by one mechanism.

    Args:
        password: Or an access token, where the mechanism wants one.
        host: The server's, for OAUTHBEARER.

    Raises:
        ValueError: User or password holds what the mechanism cannot carry.
    """
    if mechanism is Auth.PLAIN:
        # RFC 4616 section 2: no authorization identity, user, password.
        return Exchange(initial=b"\0" + user.encode() + b"\0" + password.encode())
    if mechanism is Auth.LOGIN:
        # Servers word the two challenges as they like; only their order is certain.
        return Exchange(user.encode(), password.encode())
    if mechanism is Auth.CRAM_MD5:
        return _CramMd5(user, password)
    if mechanism is Auth.SCRAM_SHA_256:
        return _Scram(user, password)
    bearer = f"auth=Bearer {password}\x01\x01".encode()
    if mechanism is Auth.XOAUTH2:
        return _OAuth(f"user={user}\x01".encode() + bearer, dummy=b"")
    # RFC 7628 section 3.1; the name is escaped as RFC 5801 section 4 says.
    name = user.replace("=", "=3D").replace(",", "=2C")
    head = f"n,a={name},\x01host={host}\x01port={port}\x01".encode()
    return _OAuth(head + bearer, dummy=b"\x01")


class _CramMd5(Exchange):
    def __init__(self, user: str, password: str) -> None:
        super().__init__()
        self._user, self._password = user, password
        self._is_answered = False

    def answer(self, challenge: bytes) -> bytes:
        import hmac

        if self._is_answered:
            return super().answer(challenge)
        self._is_answered = True
        self.proof = hmac.new(self._password.encode(), challenge, "md5").hexdigest().encode()
        return self._user.encode() + b" " + self.proof


class _Scram(Exchange):
    """The one mechanism in which the server proves itself too (RFC 5802 section 3)."""

    is_over = False
    # RFC 7677 section 4 asks for 4,096 at least, servers for tens of thousands; a million takes
    # about a second, and no server may make this machine compute for longer.
    _MOST_ITERATIONS = 1_000_000

    def __init__(self, user: str, password: str) -> None:
        # Imported here, since hardly any server wants it.
        import scramp

        self._error: type[Exception] = scramp.ScramException
        try:
            self._client: Any = scramp.ScramClient(["SCRAM-SHA-256"], user, password)
            super().__init__(initial=self._client.get_client_first().encode())
        except self._error as error:
            raise ValueError(
                "user or password contains characters that SASLprep (RFC 4013) forbids"
            ) from error
        self._steps = [self._prove, self._check]

    def answer(self, challenge: bytes) -> bytes:
        if not self._steps:
            return super().answer(challenge)
        try:
            return self._steps.pop(0)(challenge.decode())
        except self._error as error:
            raise ValueError(f"the server's response is not valid: {error}") from error

    def _prove(self, challenge: str) -> bytes:
        iterations = challenge.rpartition(",i=")[2].partition(",")[0]
        if not iterations.isdecimal() or len(iterations) > 9:
            raise ValueError("the server gives no iteration count")
        if int(iterations) > self._MOST_ITERATIONS:
            raise ValueError(f"the server asks for {int(iterations):,} iterations")
        self._client.set_server_first(challenge)
        response = str(self._client.get_client_final()).encode()
        self.proof = response.rpartition(b",p=")[2]
        return response

    def _check(self, challenge: str) -> bytes:
        self._client.set_server_final(challenge)
        self.is_over = True
        return b""


class _OAuth(Exchange):
    def __init__(self, message: bytes, dummy: bytes) -> None:
        super().__init__(dummy, initial=message)

    def answer(self, challenge: bytes) -> bytes:
        """Acknowledge the error with an empty response (RFC 7628 section 3.2.3)."""
        response = super().answer(challenge)
        self.complaint = _complaint(challenge)
        return response


def _complaint(challenge: bytes) -> str:
    """Status and scope of an error (RFC 7628 section 3.2.2)."""
    try:
        error = json.loads(challenge)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(error, dict):
        return ""
    parts = [
        f"{name} {error[name]}"
        for name in ("status", "scope")
        if isinstance(error.get(name), str) and error[name]
    ]
    return ", ".join(parts)
