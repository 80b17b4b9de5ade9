"""Session and queue -> messages with a result: what one connection carries, group after group.

With CHUNKING whole messages precede the replies to earlier ones, a window of them; with PIPELINING
alone the next envelope goes with the content; without, one command after the other.
"""

from collections import deque
from collections.abc import Iterator

from chainloop_smtp.delivery.connection import GoodbyeError
from chainloop_smtp.delivery.queue import Queue, QueuedMessage
from chainloop_smtp.delivery.sasl import Login, LoginError
from chainloop_smtp.delivery.session import Session
from chainloop_smtp.delivery.transaction import OutOfStepError, Transaction
from chainloop_smtp.errors import DeliveryError

_UNSENT = 512 * 1024  # bytes that wait in memory before another message is added


class Pipeline:
    """One session, from its first message to QUIT.

    Attributes:
        has_accepted: The server accepted a message.
        has_lost: Nobody knows whether the server accepted some message.
        failure: What ended the session before its time; None when it ended as it should.
        login_failure: The server refused the login that preceded the first message, which it may
            still have accepted.
        broken_extensions: Those that the server offers and does not have.
    """

    def __init__(self, session: Session, queue: Queue, login: Login | None, window: int) -> None:
        """Send nothing yet.

        Args:
            login: Precedes the first message; None: it is over, or not wanted.
            window: Messages that may precede their replies.
        """
        self.has_accepted = False
        self.has_lost = False
        self.failure: DeliveryError | None = None
        self.login_failure: LoginError | None = None
        self.broken_extensions: frozenset[str] = frozenset()
        self._session = session
        self._queue = queue
        self._login = login
        self._window = window
        self._next: QueuedMessage | None = None
        self._in_flight: deque[Transaction] = deque()
        # Answered, but not yet for certain: the next reply shows whether all is in step.
        self._unconfirmed: Transaction | None = None
        self._is_first = True
        self._needs_reset = False
        self._is_closing = False
        self._has_quit = False

    def carry(self, first: QueuedMessage) -> Iterator[QueuedMessage]:
        """Carry messages as long as there are any and the server takes them.

        Yields:
            Each once there is nothing more to try for it now. Those that a new connection should
            take at once go back to the queue.
        """
        self._next = first
        try:
            yield from self._carry()
        except DeliveryError as error:
            self._record_failure(error)
        finally:
            # Also where the caller goes no further.
            if self._next is not None:
                self._queue.give_back(self._next)
        yield from self._confirmed()
        for transaction in self._in_flight:
            yield from self._released(transaction)

    def interrupt(self) -> Iterator[QueuedMessage]:
        """The messages in flight, after the user has ended delivery."""
        error = self._session.connection.error("interrupted", is_temporary=True)
        yield from self._confirmed()
        for transaction in self._in_flight:
            transaction.fail(error)
            yield transaction.message

    def _carry(self) -> Iterator[QueuedMessage]:
        yield from self._fill()
        while self._in_flight:
            transaction = self._in_flight[0]
            transaction.check_reset()
            yield from self._confirmed()
            transaction.exchange_envelope()
            yield from self._fill()
            transaction.read_content_reply()
            transaction.record_results()
            self._in_flight.popleft()
            self._learn(transaction)
            if transaction.ending:
                raise transaction.ending
            yield from self._fill()
        is_in_step = self._session.quit(is_sent=self._has_quit)
        if self._unconfirmed:
            self._unconfirmed.finish()
            if not is_in_step:
                error = self._session.connection.error("the server's replies are out of sync")
                self._unconfirmed.mark_unknown(error)

    def _fill(self) -> Iterator[QueuedMessage]:
        """Begin as many transactions as the server allows before it replies; QUIT ends the last.

        Yields:
            Messages that this server cannot carry at all.
        """
        while not self._is_closing and self._has_room and self._next is not None:
            message, self._next = self._next, None
            transaction = Transaction(
                self._session,
                message,
                self._login,
                is_first=self._is_first,
                # In a group RSET costs nothing; alone it is worth a round trip after a failure.
                resets=not self._is_first and (self._session.is_pipelined or self._needs_reset),
            )
            if transaction.recipients:
                self._in_flight.append(transaction)
                transaction.send_group()
                self._is_first, self._login = False, None
            else:
                transaction.record_results()
                yield message
            self._next = self._queue.take()
        is_last = self._next is None or self._is_closing
        is_complete = all(each.is_complete for each in self._in_flight)
        if self._session.is_pipelined and is_last and is_complete and not self._has_quit:
            self._has_quit = True
            self._session.connection.write(b"QUIT\r\n")

    @property
    def _has_room(self) -> bool:
        if not self._in_flight:
            return True
        if not self._session.is_pipelined:
            return False
        if not self._session.is_chunked:
            return len(self._in_flight) == 1 and self._in_flight[0].is_complete
        connection = self._session.connection
        # The first mail alone, since a server that does not know BDAT takes content for commands.
        return (
            self.has_accepted
            and len(self._in_flight) < self._window
            and connection.queued - connection.sent < _UNSENT
        )

    def _learn(self, transaction: Transaction) -> None:
        """Keep what an answered transaction has shown of the server."""
        self._unconfirmed = transaction
        self._needs_reset = not transaction.is_accepted
        self.has_accepted |= transaction.is_accepted
        self.broken_extensions |= transaction.broken_extensions
        self.login_failure = self.login_failure or transaction.login_failure
        self._is_closing |= bool(self.login_failure) or (
            self.has_accepted and transaction.is_deferred
        )

    def _record_failure(self, error: DeliveryError) -> None:
        """Keep what ended the session, and record it for the messages in flight."""
        self.failure = error
        if isinstance(error, LoginError):
            self.login_failure = error
        if isinstance(error, OutOfStepError) and self._unconfirmed:
            self._unconfirmed.mark_unknown(error)
        if not self.has_accepted and not isinstance(error, GoodbyeError):
            self.broken_extensions |= self._session.extensions.keys() & {"PIPELINING", "CHUNKING"}
        for transaction in self._in_flight:
            transaction.fail(error)
            self.has_lost |= transaction.is_unknown

    def _confirmed(self) -> Iterator[QueuedMessage]:
        """The last message, whose replies are known to be its own by now."""
        if self._unconfirmed:
            transaction, self._unconfirmed = self._unconfirmed, None
            yield from self._released(transaction)

    def _released(self, transaction: Transaction) -> Iterator[QueuedMessage]:
        """A message that is done for now; or none, where another connection may help at once."""
        message = transaction.message
        is_cut_off = self.has_accepted and (transaction.is_cut_off or transaction.is_deferred)
        if message.waiting and (transaction.broken_extensions or is_cut_off):
            self._queue.give_back(message)
        else:
            yield message
