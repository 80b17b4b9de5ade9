"""Mails -> deliveries. The only stage that opens an SMTP connection.

One submission (RFC 6409): a `session` is connected, greeted, secured and logged in; a `pipeline`
carries the messages of a `queue` over it, each in a `transaction`. Here is what comes after: which
messages are tried again, and when.

Expected outcomes are returned, not raised: whatever a server or a network does is in a `Delivery`.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing

from chainloop_smtp.delivery.dialing import Deadline, Rotation, UnreachableError, host_port
from chainloop_smtp.delivery.hints import provider
from chainloop_smtp.delivery.pipeline import Pipeline
from chainloop_smtp.delivery.queue import Queue, QueuedMessage
from chainloop_smtp.delivery.replies import status_of_error
from chainloop_smtp.delivery.sasl import LoginError, log_in
from chainloop_smtp.delivery.session import (
    IMPLICIT_TLS_PORTS,
    SYSTEM_CLOCK,
    Clock,
    EarlyConnection,
    Session,
)
from chainloop_smtp.delivery.tls import check_files
from chainloop_smtp.errors import DeliveryError, Problem
from chainloop_smtp.model.mail import Delivery, Mail, TransactionResult
from chainloop_smtp.model.settings import Registration, Transport

__all__ = [
    "IMPLICIT_TLS_PORTS",
    "Clock",
    "EarlyConnection",
    "check_files",
    "provider",
    "send",
]

_ATTEMPTS = 12  # in a row without an accepted recipient; the deadline usually ends them before
_LONGEST_PAUSE = 30.0  # seconds

Notify = Callable[[str], None]


def send(
    mails: Iterable[Mail],
    registration: Registration,
    transport: Transport,
    *,
    attempts: int = _ATTEMPTS,
    clock: Clock = SYSTEM_CLOCK,
    notify: Notify = lambda _: None,
    early: EarlyConnection | None = None,
) -> Iterator[Delivery]:
    """Submit mails to one server, over as few connections and round trips as it allows.

    What is deferred (a 4xx, a timeout, a dropped connection) is tried again with growing pauses,
    for the recipients concerned only, until ``transport.deadline``, which bounds everything from
    here on. Each attempt prefers an address of the host that has not failed yet; a host at which
    nobody ever listened is given up after ``transport.patience``. What is refused (5xx) is not
    tried again, and neither is a mail whose end the server has not answered: it may have been
    accepted. Some replies mean the opposite of their first digit: ``hints.toml`` lists them.

    Args:
        mails: Taken one by one, as there is room for them on the connection.
        attempts: At most, in a row that bring a mail to nobody.
        notify: Called with a sentence each time that something is tried again.
        early: A connection to the same server, for the first mail; its deadline is used. None:
            connecting begins when there is a mail.

    Yields:
        One delivery for each mail, as soon as there is nothing more to try, so not in the order of
        ``mails``. After an interrupt (Ctrl-C) nothing more is sent, and the rest comes at once with
        `Delivery.is_interrupted`.

    Raises:
        OptionsError: A file of the TLS options is not usable.
    """
    server = host_port(registration.host, registration.port)
    if early:
        deadline = early.deadline
    else:
        deadline = Deadline(transport.deadline, transport.timeout, server, clock.seconds)
    submitter = _Submitter(registration, transport, deadline, clock, early)
    queue = Queue(map(QueuedMessage, mails))
    fruitless = 0
    while True:
        deferred: list[QueuedMessage] = []
        for message in submitter.submit(queue):
            message.is_interrupted = submitter.is_interrupted
            if message.waiting and not submitter.is_interrupted:
                deferred.append(message)
            else:
                yield message.delivery()
        if not deferred:
            return
        if submitter.is_interrupted:
            break
        has_progressed = any(message.needs_further_transaction for message in deferred)
        fruitless = 0 if has_progressed else fruitless + 1
        pause = submitter.pause(fruitless) if fruitless < attempts else None
        if pause is None:
            break
        try:
            notify(_announcement(server, deferred, pause))
            clock.sleep(pause)
        except KeyboardInterrupt:
            submitter.is_interrupted = True
            break
        # Those that were in flight when a connection broke come last: they may be the reason.
        queue = Queue(iter(sorted(deferred, key=lambda message: len(message.attempts))))
    for message in deferred:
        message.is_interrupted = submitter.is_interrupted
        if not message.attempts:
            submitter.give_up(message)
        yield message.delivery()


class _Submitter:
    """One server, what it has shown so far, and the connection that is open to it.

    Attributes:
        is_interrupted: The user has ended delivery.
    """

    def __init__(
        self,
        registration: Registration,
        transport: Transport,
        deadline: Deadline,
        clock: Clock,
        early: EarlyConnection | None,
    ) -> None:
        self.is_interrupted = False
        self._registration = registration
        self._transport = transport
        self._deadline = deadline
        self._clock = clock
        self._early = early
        self._rotation = early.rotation if early else Rotation()
        self._disabled_extensions: frozenset[str] = frozenset()
        self._window = transport.window
        self._has_connected = False
        # In this round an address has failed, and another has not failed yet.
        self._has_untried_address = False
        self._failure = DeliveryError(Problem("delivery", "it was not tried"), is_temporary=True)
        self._refusal: LoginError | None = None
        self._message: QueuedMessage | None = None
        self._pipeline: Pipeline | None = None

    def submit(self, queue: Queue) -> Iterator[QueuedMessage]:
        """Try each message once, as far as the server can be reached.

        Yields:
            Every message; `QueuedMessage.waiting` is empty where there is nothing more to try.
        """
        self._has_untried_address = False
        try:
            yield from self._connections(queue)
        except KeyboardInterrupt:
            self.is_interrupted = True
            if self._pipeline:
                yield from self._pipeline.interrupt()
            elif self._message:
                yield self._message
        yield from queue.rest()

    def pause(self, fruitless: int) -> float | None:
        """Return the seconds before the next round; None when there is no time for one.

        Args:
            fruitless: Rounds in a row that have brought a message to nobody.
        """
        is_now = not fruitless or self._has_untried_address
        pause = 0.0 if is_now else _backoff(fruitless, self._clock.chance())
        if isinstance(self._failure, UnreachableError) and not self._has_connected:
            left = self._transport.patience - self._deadline.spent
            if left < 1:
                return None
            pause = min(pause, left)
        return pause if pause < self._deadline.left else None

    def give_up(self, message: QueuedMessage, session: Session | None = None) -> None:
        """Record the last failure as an attempt that came to no transaction.

        Args:
            session: The one that failed; None: there was none.
        """
        problem, recipients = self._failure.problems[0], message.waiting
        if session:
            attempt = session.attempt(
                session.started,
                recipients=recipients,
                round_trips=session.connection.round_trips,
                why=problem.why,
                hint=problem.hint,
            )
        else:
            now = self._clock.now()
            attempt = TransactionResult(
                started=now,
                ended=now,
                server=problem.where,
                recipients=recipients,
                why=problem.why,
                hint=problem.hint,
            )
        message.record(recipients, status_of_error(self._failure))
        message.add_attempt(attempt)

    def _connections(self, queue: Queue) -> Iterator[QueuedMessage]:
        """Open one connection after the other, until there is no message or no connection."""
        while message := self._next(queue):
            session = None
            try:
                session = self._connected()
                with closing(session):
                    session.open()
                    login = log_in(session)
                    pipeline = self._pipeline = Pipeline(session, queue, login, self._window)
                    yield from pipeline.carry(message)
            except DeliveryError as error:
                self._failure = self._record_failure(error, session)
                yield from self._without_connection(message, session, queue)
                return
            self._learn(pipeline, session)
            # Another connection would end no better; or there is no further message.
            if not (pipeline.has_accepted or pipeline.broken_extensions):
                return

    def _next(self, queue: Queue) -> QueuedMessage | None:
        """The next message, with nothing left of the last one while it is composed."""
        self._message = self._pipeline = None
        self._message = queue.take()
        return self._message

    def _connected(self) -> Session:
        """A new connection, or the early one.

        Raises:
            DeliveryError: There is none to be had.
        """
        if self._refusal:
            # One more login would be one more break-in attempt.
            raise self._refusal
        if self._early and not self._early.is_taken:
            session = self._early.take()
        else:
            session = Session(
                self._registration,
                self._transport,
                self._deadline,
                self._clock,
                self._disabled_extensions,
                self._rotation,
            )
            session.connect()
        self._has_connected = True
        return session

    def _without_connection(
        self, message: QueuedMessage, session: Session | None, queue: Queue
    ) -> Iterator[QueuedMessage]:
        """Give up the message; after a permanent failure, all the others too."""
        self.give_up(message, session)
        self._message = None
        yield message
        if not self._failure.is_temporary:
            for each in queue.rest():
                self.give_up(each)
                yield each

    def _learn(self, pipeline: Pipeline, session: Session) -> None:
        """Keep what a connection has shown of the server."""
        self._disabled_extensions |= pipeline.broken_extensions
        if pipeline.failure and not pipeline.has_accepted:
            self._record_failure(pipeline.failure, session)
        if pipeline.login_failure:
            if not pipeline.login_failure.is_temporary:
                self._refusal = pipeline.login_failure
            # A server that takes mail without the login must not get any before the reply to it.
            self._disabled_extensions |= {"PIPELINING", "CHUNKING"}
        if pipeline.has_lost:
            # A server that leaves without answering is not trusted with more than one mail again.
            self._window = 1
        self._failure = pipeline.failure or self._failure

    def _record_failure(self, error: DeliveryError, session: Session | None) -> DeliveryError:
        """Keep a failure where another session would end no better.

        Args:
            session: The one that the error ended; None: it never came to one.

        Returns:
            The error, as a temporary one where another address of the host may do better.
        """
        if isinstance(error, LoginError) and not error.is_temporary:
            self._refusal = error
            return error
        if session is None or session.connection.socket_address is None:
            return error
        address = session.connection.socket_address
        self._rotation.record_failure(address, is_temporary=error.is_temporary)
        is_temporary = error.is_temporary or (not session.is_open and self._rotation.is_hopeful)
        self._has_untried_address |= is_temporary and self._rotation.has_untried
        if is_temporary == error.is_temporary:
            return error
        return DeliveryError(*error.problems, is_temporary=True)


def _backoff(fruitless: int, chance: float) -> float:
    """Seconds, doubled each time; random, so that clients do not return all at once."""
    return min(2.0 ** (fruitless - 1), _LONGEST_PAUSE) * (0.5 + chance / 2)


def _announcement(server: str, messages: list[QueuedMessage], pause: float) -> str:
    """What is tried again, where, when, and why."""
    first = messages[0]
    attempt = first.attempts[-1] if first.attempts else None
    refused = first.delivery().refused
    why = attempt.why if attempt else ""
    why = why or (f"{refused[0].recipient}: {refused[0].reason}" if refused else "no connection")
    # The hint is shown with the first failure, and again at the end.
    hint = f" {attempt.hint}" if attempt and attempt.hint and len(first.attempts) == 1 else ""
    number = len(messages)
    what = "1 mail" if number == 1 else f"{number} mails"
    when = f"in {pause:.0f} s" if pause else "now"
    return f"Not delivered yet: {server}: {why}.{hint} Trying {what} again {when}."
