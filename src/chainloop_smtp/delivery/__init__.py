"""Mail -> Delivery. The only stage that opens an SMTP connection.

The story of one submission (RFC 6409): connect, greet, secure, log in, one transaction, QUIT.
With PIPELINING (RFC 2920) that costs nine round trips over STARTTLS and seven over implicit TLS.
"""

import base64
import binascii
from collections.abc import Callable, Mapping

from chainloop_smtp.delivery import auth
from chainloop_smtp.delivery.connection import (
    Connection,
    Deadline,
    check_authorities,
    monotonic,
    place,
    tls_context,
)
from chainloop_smtp.errors import DeliveryError, Problem
from chainloop_smtp.model import (
    Auth,
    Delivery,
    Mail,
    Refusal,
    Registration,
    Reply,
    Tls,
    Transport,
)

__all__ = ["IMPLICIT_TLS_PORTS", "check_authorities", "send"]

IMPLICIT_TLS_PORTS = (465, 2465, 8465)
_QUIT_PATIENCE = 5.0  # seconds; the mail is accepted by then, so nothing is worth a long wait
_LONGEST_COMMAND = 512  # octets with CRLF: RFC 5321 section 4.5.3.1.4
_GROUP = 100  # commands sent ahead of their replies, which have to fit into socket buffers


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
        OptionsError: ``tls-ca-file`` is not usable.
    """
    started = clock()
    session = _Session(registration, transport, clock)
    with session.connection:
        session.open()
        accepted, refused, reply = session.transact(mail)
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


class _Session:
    """A connection and what the server has said of itself."""

    def __init__(
        self, registration: Registration, transport: Transport, clock: Callable[[], float]
    ) -> None:
        self._registration = registration
        self._transport = transport
        self._tls = transport.tls
        if self._tls is Tls.AUTO:
            is_implicit = registration.port in IMPLICIT_TLS_PORTS
            self._tls = Tls.IMPLICIT if is_implicit else Tls.STARTTLS
        # Before the connection, so that a wrong file costs nobody a connection.
        self._context = None if self._tls is Tls.NONE else tls_context(transport.tls_ca_file)
        self.mechanism = ""
        self._extensions: Mapping[str, str] = {}
        where = place(registration.host, registration.port)
        self.connection = Connection(
            registration.host,
            registration.port,
            Deadline(transport.deadline, transport.timeout, where, clock),
            secrets=_spellings(registration),
        )

    def open(self) -> None:
        """From the server's greeting to a logged-in session."""
        if self._tls is Tls.IMPLICIT and self._context:
            self.connection.start_tls(self._context)
        greeting = self.connection.read()
        if greeting.code != 220:
            raise self._refusal("the server does not take mail now", greeting)
        self._greet()
        if self._tls is Tls.STARTTLS and self._context:
            if "STARTTLS" not in self._extensions:
                raise self._error(
                    "the server offers no STARTTLS, so nothing was sent to it",
                    "Port 465 usually wants tls: implicit. If the server has no TLS at all, and "
                    "only then: tls: none.",
                )
            (reply,) = self.connection.exchange(b"STARTTLS")
            if reply.code != 220:
                raise self._refusal("the server refused STARTTLS", reply)
            self.connection.start_tls(self._context)
            # RFC 3207 section 4.2: what was learned in clear is forgotten.
            self._greet()
        if self._registration.user:
            self._log_in()

    def transact(self, mail: Mail) -> tuple[tuple[str, ...], tuple[Refusal, ...], Reply | None]:
        """MAIL, RCPT, DATA, the content, QUIT.

        Returns:
            Accepted recipients, refused ones, and the reply to the content; the reply is None
            when nobody was accepted.
        """
        self._check_size(mail)
        is_pipelined = "PIPELINING" in self._extensions
        size = f" SIZE={len(mail.content)}" if "SIZE" in self._extensions else ""
        commands = [
            f"MAIL FROM:<{mail.sender}>{size}".encode("ascii"),
            *(f"RCPT TO:<{recipient}>".encode("ascii") for recipient in mail.recipients),
        ]
        if is_pipelined:
            replies = self._exchange_groups([*commands, b"DATA"])
            data_reply: Reply | None = replies.pop()
        else:
            replies = [self.connection.exchange(commands[0])[0]]
            if _is_positive(replies[0]):
                replies += [self.connection.exchange(command)[0] for command in commands[1:]]
            data_reply = None
        if not _is_positive(replies[0]):
            self._quit(data_reply)
            raise self._refusal(f"the server refused the sender {mail.sender}", replies[0])
        answers = list(zip(mail.recipients, replies[1:], strict=True))
        accepted = tuple(recipient for recipient, reply in answers if _is_positive(reply))
        refused = tuple(
            Refusal(recipient=recipient, reply=reply)
            for recipient, reply in answers
            if not _is_positive(reply)
        )
        if data_reply is None and accepted:
            (data_reply,) = self.connection.exchange(b"DATA")
        if not accepted:
            self._quit(data_reply)
            return (), refused, None
        if data_reply is None or data_reply.code != 354:
            self._quit()
            raise self._refusal("the server refused the mail before its content", data_reply)
        try:
            return accepted, refused, self._send_content(mail, is_pipelined)
        except DeliveryError as error:
            told = (
                Problem(each.recipient, f"the server had refused this recipient: {each.reply}")
                for each in refused
            )
            raise DeliveryError(*error.problems, *told) from error

    def _greet(self) -> None:
        """EHLO (RFC 5321 section 4.1.1.1), under a name that strict servers accept."""
        (reply,) = self.connection.exchange(f"EHLO {self.connection.own_literal}".encode("ascii"))
        if reply.code != 250:
            raise self._refusal("the server refused EHLO", reply)
        words = (line.decode("ascii", "replace").upper() for line in self.connection.lines[1:])
        self._extensions = {
            name: value for name, _, value in (word.partition(" ") for word in words)
        }

    def _log_in(self) -> None:
        """AUTH (RFC 4954)."""
        if not self.connection.tls and not self.connection.is_loopback:
            raise self._error(
                "the password was not sent, since the connection has no TLS",
                "Use tls: auto, or auth: none for a relay that needs no login.",
            )
        offered = self._extensions.get("AUTH", "").split()
        # Exchange and others of old: `AUTH=LOGIN` as a keyword of its own.
        for name, value in self._extensions.items():
            if name.startswith("AUTH="):
                offered += [name[5:], *value.split()]
        mechanism = auth.choose(self._transport.auth, offered)
        if mechanism is None:
            raise self._error(
                f"no common way to log in: the server offers {' '.join(offered) or 'none'}, "
                f"auth is {self._transport.auth}",
                "The server may offer a login only over TLS: write tls: auto."
                if not offered and not self.connection.tls
                else "A relay that needs no login takes auth: none."
                if not offered
                else "Set auth to one of the mechanisms that the server offers.",
            )
        self.mechanism = mechanism.value.upper()
        reply = self._authenticate(mechanism)
        if reply.code != 235:
            raise self._refusal(
                "the server cannot check the password now"
                if 400 <= reply.code < 500
                else f"the server refused the login of {self._registration.user}",
                reply,
                "Check user and password; many providers want an app password or an API key here "
                "instead of the account's own password.",
            )

    def _authenticate(self, mechanism: Auth) -> Reply:
        user, password = self._registration.user, self._registration.password
        command = b"AUTH " + self.mechanism.encode("ascii")
        initial = auth.initial_response(mechanism, user, password)
        turn = 0
        if initial is not None:
            with_initial = command + b" " + base64.b64encode(initial)
            # RFC 4954 section 4: where it makes the command too long, it waits for a challenge.
            if len(with_initial) + 2 <= _LONGEST_COMMAND:
                command, turn = with_initial, 1
        (reply,) = self.connection.exchange(command)
        while reply.code == 334:
            try:
                challenge = base64.b64decode(self.connection.lines[-1].strip(), validate=True)
                response = auth.answer(mechanism, user, password, challenge, turn)
            except (binascii.Error, ValueError) as error:
                # RFC 4954 section 4: a lone "*" cancels the exchange.
                self.connection.exchange(b"*")
                raise self._error(f"{self.mechanism} failed: {error}") from error
            (reply,) = self.connection.exchange(base64.b64encode(response))
            turn += 1
        return reply

    def _check_size(self, mail: Mail) -> None:
        """RFC 1870 section 4: a server may say how much it takes; 0 means that it does not."""
        limit = self._extensions.get("SIZE", "")
        if limit.isdigit() and 0 < int(limit) < len(mail.content):
            self._quit()
            raise self._error(
                f"the mail has {len(mail.content):,} octets, the server takes {int(limit):,}"
            )

    def _exchange_groups(self, commands: list[bytes]) -> list[Reply]:
        replies: list[Reply] = []
        for start in range(0, len(commands), _GROUP):
            replies += self.connection.exchange(*commands[start : start + _GROUP])
        return replies

    def _send_content(self, mail: Mail, is_pipelined: bool) -> Reply:
        # RFC 5321 section 4.5.2: a line that starts with a dot gets a second one.
        stuffed = mail.content.replace(b"\r\n.", b"\r\n..")
        stuffed = b"." + stuffed if stuffed.startswith(b".") else stuffed
        end = b".\r\n" if stuffed.endswith(b"\r\n") else b"\r\n.\r\n"
        # RFC 2920 section 3.1: content may be followed by the next command in one group.
        farewell = b"QUIT\r\n" if is_pipelined else b""
        try:
            self.connection.write(stuffed + end + farewell)
            reply = self.connection.read()
        except DeliveryError as error:
            if self.connection.unsent > len(farewell):
                # RFC 5321 section 4.1.1.4: without the final dot, there is no mail.
                raise
            raise DeliveryError(
                *error.problems,
                Problem(
                    self.connection.where,
                    f"whether the server took the mail {mail.message_id} is not known",
                    "It was sent, and not confirmed. Look for it in the mailbox or in the "
                    "server's log before you send it again.",
                ),
            ) from error
        if not _is_positive(reply):
            if not is_pipelined:
                self._quit()
            raise self._refusal("the server rejected the mail", reply)
        self._farewell(b"" if is_pipelined else b"QUIT\r\n")
        return reply

    def _quit(self, data_reply: Reply | None = None) -> None:
        if data_reply and data_reply.code == 354:
            # RFC 2920 section 3.1: the server waits for content that nobody would get.
            self._farewell(b".\r\n")
        self._farewell(b"QUIT\r\n")

    def _farewell(self, command: bytes) -> None:
        """QUIT and its 221 (RFC 5321 section 4.1.1.10); what goes wrong here changes nothing."""
        try:
            if command:
                self.connection.write(command)
            self.connection.read(patience=_QUIT_PATIENCE)
        except DeliveryError:
            pass

    def _refusal(self, why: str, reply: Reply | None, hint: str = "") -> DeliveryError:
        return self._error(f"{why}: {reply}" if reply else why, hint)

    def _error(self, why: str, hint: str = "") -> DeliveryError:
        return DeliveryError(Problem(self.connection.where, why, hint))


def _is_positive(reply: Reply) -> bool:
    return 200 <= reply.code < 300


def _spellings(registration: Registration) -> tuple[str, ...]:
    """The password in the forms in which a server could echo it."""
    user, password = registration.user.encode(), registration.password.encode()
    if not password:
        return ()
    encoded = (
        base64.b64encode(octets).decode() for octets in (password, b"\0" + user + b"\0" + password)
    )
    return (registration.password, *encoded)
