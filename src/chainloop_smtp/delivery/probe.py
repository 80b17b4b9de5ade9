"""Registration and envelope -> what each step of a delivery would meet. Nothing is sent.

The dialogue is that of a delivery up to the recipients; there RSET takes the transaction back
(RFC 5321 section 4.1.1.5), before any content.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from chainloop_smtp.delivery import envelope
from chainloop_smtp.delivery.dialing import Deadline, addresses, host_port
from chainloop_smtp.delivery.hints import Phase
from chainloop_smtp.delivery.replies import is_positive
from chainloop_smtp.delivery.sasl import Login
from chainloop_smtp.delivery.session import SYSTEM_CLOCK, Clock, Session
from chainloop_smtp.errors import DeliveryError, Problem
from chainloop_smtp.model.checks import Step, StepState
from chainloop_smtp.model.mail import Mail, Reply
from chainloop_smtp.model.settings import Registration, Tls, Transport

_USUAL_SIZE = 30_000  # bytes; what SIZE declares, so that a full mailbox shows here
_SOON = 14  # days
NOT_TRIED = "not tried"
_LONGEST_OFFER = 400  # characters


def check(
    sender: str,
    recipients: tuple[str, ...],
    registration: Registration,
    transport: Transport,
    *,
    size: int,
    clock: Clock = SYSTEM_CLOCK,
) -> Iterator[Step]:
    """Go through the dialogue once, and yield each step as it ends.

    After a step that fails, those that build on it are skipped. A refused recipient says nothing
    about the others.

    Args:
        sender: addr-spec of MAIL FROM.
        recipients: addr-specs of RCPT TO.
        size: How many of them go into one transaction.

    Raises:
        OptionsError: A file of the TLS options is not usable.
    """
    dialogue = _Dialogue(registration, transport, clock)
    try:
        yield from dialogue.opening()
        for group in _transactions(recipients, size):
            yield from dialogue.transaction(sender, group)
        yield dialogue.ending()
    finally:
        dialogue.close()


class _Finding(NamedTuple):
    """What a step has found, as its `Step` has it."""

    state: StepState
    detail: str
    where: str = ""
    hint: str = ""
    reply: Reply | None = None


class _Dialogue:
    """The steps of one dialogue; after the first that fails, none is tried."""

    def __init__(self, registration: Registration, transport: Transport, clock: Clock) -> None:
        self._registration = registration
        self._transport = transport
        self._clock = clock
        self._server = host_port(registration.host, registration.port)
        self._deadline = Deadline(
            transport.deadline, transport.timeout, self._server, clock.seconds
        )
        self._session = Session(registration, transport, self._deadline, clock)
        self._is_connected = False
        self._is_over = False

    def opening(self) -> Iterator[Step]:
        """From the host's name to the login."""
        yield self._step("DNS", self._look_up)
        yield self._step("TCP", self._connect)
        is_implicit = self._session.tls is Tls.IMPLICIT
        if is_implicit:
            yield self._step("TLS", self._secure)
        yield self._step("greeting", self._greet)
        if not is_implicit:
            yield self._step("TLS", self._upgrade)
        yield self._step("EHLO", self._hello)
        yield self._step("AUTH", self._log_in)

    def transaction(self, sender: str, recipients: tuple[str, ...]) -> Iterator[Step]:
        """From MAIL to RSET."""
        author = self._registration.from_.addr_spec
        mail = Mail(
            sender=sender,
            recipients=recipients,
            message_id="",
            subject="",
            content=f"From: {author}\r\n\r\n".encode().ljust(_USUAL_SIZE, b"\0"),
            text="",
            html="",
        )
        extensions = self._session.extensions
        mail_from, *rcpt_to = envelope.commands(extensions, self._transport, mail, recipients)
        if not self._is_over and envelope.lacks_smtputf8(extensions, mail):
            # A delivery gives up here, and asks the server nothing.
            why, hint = envelope.without_smtputf8(mail)
            if (sender + author).isascii():
                for recipient in recipients:
                    yield failed("RCPT", Problem(recipient, why, hint), recipient)
                return
            self._is_over = True
            yield failed("MAIL", Problem(sender, why, hint), sender)
        else:
            yield self._command(Phase.MAIL, mail_from, sender)
        for recipient, command in zip(recipients, rcpt_to, strict=True):
            yield self._command(Phase.RCPT, command, recipient)
        yield self._step("RSET", self._reset)

    def ending(self) -> Step:
        """QUIT."""
        return self._step("QUIT", self._quit)

    def close(self) -> None:
        """Close the connection; after a failed step, with QUIT."""
        if not self._is_connected:
            return
        if self._is_over and not self._session.connection.is_closed:
            # Its reply is not waited for: nothing depends on it.
            with suppress(DeliveryError):
                self._session.connection.write(b"QUIT\r\n")
        self._session.close()

    def _step(self, name: str, take: Callable[[], _Finding], address: str = "") -> Step:
        if self._is_over:
            detail = f"{address}: {NOT_TRIED}" if address else NOT_TRIED
            return Step(name=name, state=StepState.SKIPPED, detail=detail, address=address)
        started = self._clock.seconds()
        try:
            finding = take()
        except DeliveryError as error:
            self._is_over = True
            (problem, *_) = error.problems
            finding = _Finding(StepState.FAILED, problem.why, problem.where, problem.hint)
        seconds = self._clock.seconds() - started
        return Step(name=name, address=address, seconds=seconds, **finding._asdict())

    def _command(self, phase: Phase, command: bytes, address: str) -> Step:
        """MAIL or RCPT, where a refusal is about one address."""
        return self._step(phase.value.upper(), partial(self._ask, phase, command, address), address)

    def _ask(self, phase: Phase, command: bytes, address: str) -> _Finding:
        reply = self._session.ask(phase, command)
        if is_positive(reply):
            return _Finding(StepState.OK, address)
        # Without a sender, there is nothing more to ask.
        self._is_over = phase is Phase.MAIL
        hint, is_temporary = self._session.advice(phase, reply)
        state = StepState.DEFERRED if is_temporary else StepState.FAILED
        return _Finding(state, f"{address}: {reply}", address, hint, reply)

    def _look_up(self) -> _Finding:
        host = self._registration.host
        if self._transport.proxy:
            return _Finding(StepState.SKIPPED, "the proxy resolves the host")
        entries = addresses(host, self._registration.port, self._server, self._deadline)
        ips = ", ".join(dict.fromkeys(str(address[0]) for *_, address in entries))
        return _Finding(StepState.OK, f"{host} is {ips}")

    def _connect(self) -> _Finding:
        self._session.connect()
        self._is_connected = True
        address = self._session.connection.address
        proxy = self._transport.proxy
        through = f" through the proxy {host_port(proxy.host, proxy.port)}" if proxy else ""
        port = self._registration.port
        return _Finding(StepState.OK, f"{address or self._registration.host}, port {port}{through}")

    def _secure(self) -> _Finding:
        self._session.secure()
        return self._protection()

    def _greet(self) -> _Finding:
        self._session.greet()
        lines = self._session.connection.lines
        text = lines[-1].decode("utf-8", "replace")
        return _Finding(StepState.OK, self._session.connection.printable(text)[:_LONGEST_OFFER])

    def _upgrade(self) -> _Finding:
        session = self._session
        if session.tls is Tls.NONE:
            return _Finding(StepState.WARNING, "none: nothing is encrypted, because tls is none")
        session.hello()
        session.start_tls()
        return self._protection()

    def _protection(self) -> _Finding:
        """Protocol, cipher, and whose certificate it is, for how long."""
        connection = self._session.connection
        certificate = connection.verified_certificate
        parts = [f"{connection.tls} {connection.cipher}", f"SHA-256 {connection.certificate}"]
        if certificate is None:
            # Python gives no other field of a certificate that it has not verified.
            return _Finding(StepState.OK, ", ".join((*parts, "which matches tls-fingerprint")))
        now = self._clock.now()
        days = (certificate.ends - now).days
        until = f"until {certificate.ends:%d %b %Y} ({days} day{'s' * (days != 1)})"
        words = f"certificate of {certificate.subject}, by {certificate.issuer}, good {until}"
        parts.insert(1, connection.printable(words))
        if days < _SOON:
            return _Finding(StepState.WARNING, ", ".join((*parts, "which is soon")))
        return _Finding(StepState.OK, ", ".join(parts))

    def _hello(self) -> _Finding:
        session = self._session
        session.hello()
        offered = ", ".join(_extension(*each) for each in session.extensions.items())
        offered = session.connection.printable(offered)[:_LONGEST_OFFER] or "no extensions"
        if session.is_chunked:
            trips = "a mail takes 1 round trip"
        elif session.is_pipelined:
            trips = "a mail takes 2 round trips"
        else:
            trips = "no pipelining, so every command is a round trip"
        warnings = envelope.warnings(session.extensions, self._transport)
        state = StepState.WARNING if warnings else StepState.OK
        return _Finding(state, "; ".join((f"{offered}: {trips}", *warnings)))

    def _log_in(self) -> _Finding:
        if not self._registration.user:
            return _Finding(StepState.SKIPPED, "no login, because auth is none")
        Login(self._session).perform()
        return _Finding(StepState.OK, f"{self._session.mechanism} as {self._registration.user}")

    def _reset(self) -> _Finding:
        # A failure is a warning, since no delivery sends RSET here.
        try:
            (reply,) = self._session.connection.exchange(b"RSET", name="RSET")
        except DeliveryError as error:
            self._is_over = True
            return _Finding(StepState.WARNING, error.problems[0].why)
        if reply.code != 250:
            return _Finding(StepState.WARNING, f"the server refused it: {reply}")
        return _Finding(StepState.OK, "reset, nothing was sent")

    def _quit(self) -> _Finding:
        self._session.quit(is_sent=False)
        return _Finding(StepState.OK, "session closed")


def _transactions(recipients: tuple[str, ...], size: int) -> Iterator[tuple[str, ...]]:
    """Groups as in a delivery: those who need SMTPUTF8 last and apart. At least one group."""
    plain = tuple(each for each in recipients if each.isascii())
    others = tuple(each for each in recipients if not each.isascii())
    for group in (plain, others):
        for start in range(0, len(group), size):
            yield group[start : start + size]
    if not recipients:
        yield ()


def failed(name: str, problem: Problem, address: str = "") -> Step:
    """Return the step that failed with a problem."""
    return Step(
        name=name,
        state=StepState.FAILED,
        detail=problem.why,
        where=problem.where,
        hint=problem.hint,
        address=address,
    )


def _extension(name: str, value: str) -> str:
    """A keyword of EHLO as a person reads it."""
    if name == "SIZE" and value.isdigit():
        megabytes = int(value[:15]) / 1_000_000
        return f"SIZE {megabytes:.3g} MB" if megabytes else "SIZE"
    return f"{name} {value}".strip()
