"""Session and letters -> letters with an answer: what one connection carries, group after group.

With CHUNKING whole mails go ahead of the replies to earlier ones, a window of them; with
PIPELINING alone the next envelope goes with the content; without, one command after the other.
"""

from collections import deque
from collections.abc import Iterator
from typing import Protocol

from chainloop_smtp.delivery.connection import GoodbyeError
from chainloop_smtp.delivery.queue import QueuedMessage
from chainloop_smtp.delivery.session import Login, LoginError, Session
from chainloop_smtp.delivery.transaction import OutOfStepError, Transaction
from chainloop_smtp.errors import DeliveryError

# Mails ahead of their replies: what fills a line of 50 ms, and what may end up unknown at worst.
WINDOW = 16
_UNSENT = 512 * 1024  # octets that wait in memory before another mail is added


class Source(Protocol):
    """Where letters come from, and where those go that another connection should take."""

    def take(self) -> QueuedMessage | None:
        """The next one; None when there is none now."""

    def give_back(self, letter: QueuedMessage) -> None:
        """To be taken again, before the others."""


class Pipeline:
    """One session, from its first letter to QUIT.

    Attributes:
        has_carried: The server took a mail.
        has_lost: Of a mail at least, nobody knows whether the server took it.
        failure: What ended the session before its time; None when it ended as it should.
        login_failure: The server refused the login that went ahead of the first mail, which it
            may have taken all the same.
        lies: Extensions that the server offers and does not have.
    """

    def __init__(self, session: Session, source: Source, login: Login | None, window: int) -> None:
        """Nothing is carried yet.

        Args:
            login: Goes ahead of the first mail; None: it is over, or not wanted.
            window: Mails that may be ahead of their replies.
        """
        self.has_lost = False
        self.has_carried = False
        self.failure: DeliveryError | None = None
        self.login_failure: LoginError | None = None
        self.lies: frozenset[str] = frozenset()
        self._session = session
        self._source = source
        self._login = login
        self._window = window
        self._next: QueuedMessage | None = None
        self._under_way: deque[Transaction] = deque()
        # Answered, but not yet known for sure: the next reply shows whether all is in step.
        self._last: Transaction | None = None
        self._is_first = True
        self._is_dirty = False
        self._is_closing = False
        self._has_quit = False

    def carry(self, first: QueuedMessage) -> Iterator[QueuedMessage]:
        """Carries letters as long as there are any and the server takes them.

        Yields:
            Each once there is nothing more to try for it now. Those that a new connection should
            take at once go back to the source.
        """
        self._next = first
        try:
            yield from self._carry()
        except DeliveryError as error:
            self.failure = error
            if isinstance(error, LoginError):
                self.login_failure = error
            if isinstance(error, OutOfStepError) and self._last:
                self._last.doubt(error)
            if not self.has_carried and not isinstance(error, GoodbyeError):
                self.lies |= self._session.extensions.keys() & {"PIPELINING", "CHUNKING"}
            for transaction in self._under_way:
                transaction.fail(error)
                self.has_lost |= transaction.is_lost
        finally:
            # Also where the caller goes no further.
            if self._next is not None:
                self._source.give_back(self._next)
        yield from self._settled()
        for transaction in self._under_way:
            yield from self._judged(transaction)

    def interrupt(self) -> Iterator[QueuedMessage]:
        """The letters under way, after the user has ended all this."""
        error = self._session.error("interrupted", is_temporary=True)
        yield from self._settled()
        for transaction in self._under_way:
            transaction.fail(error)
            yield transaction.letter

    def _carry(self) -> Iterator[QueuedMessage]:
        yield from self._fill()
        while self._under_way:
            transaction = self._under_way[0]
            transaction.sync()
            yield from self._settled()
            transaction.offer()
            yield from self._fill()
            transaction.conclude()
            transaction.judge()
            self._under_way.popleft()
            self._last = transaction
            self._is_dirty = not transaction.is_accepted
            self.has_carried |= transaction.is_accepted
            self.lies |= transaction.lies
            self.login_failure = self.login_failure or transaction.login_failure
            self._is_closing |= bool(transaction.lies or self.login_failure) or (
                self.has_carried and transaction.is_put_off
            )
            if transaction.ending:
                raise transaction.ending
            yield from self._fill()
        is_in_step = self._session.quit(is_sent=self._has_quit)
        if self._last:
            self._last.part()
            if not is_in_step:
                self._last.doubt(self._session.error("the server's replies are out of step"))

    def _fill(self) -> Iterator[QueuedMessage]:
        """Opens transactions as far ahead as the server lets; QUIT goes behind the last.

        Yields:
            Letters that this server cannot carry at all.
        """
        while not self._is_closing and self._has_room and self._next is not None:
            letter, self._next = self._next, None
            transaction = Transaction(
                self._session,
                letter,
                self._login,
                is_first=self._is_first,
                resets=self._resets_next,
            )
            if transaction.recipients:
                self._under_way.append(transaction)
                transaction.open()
                self._is_first, self._login = False, None
            else:
                transaction.judge()
                yield letter
            self._next = self._source.take()
        is_last = self._next is None or self._is_closing
        is_complete = all(each.is_complete for each in self._under_way)
        if self._session.is_pipelined and is_last and is_complete and not self._has_quit:
            self._has_quit = True
            self._session.connection.write(b"QUIT\r\n")

    @property
    def _has_room(self) -> bool:
        if not self._under_way:
            return True
        if not self._session.is_pipelined:
            return False
        if not self._session.is_chunked:
            return len(self._under_way) == 1 and self._under_way[0].is_complete
        connection = self._session.connection
        # The first mail alone, since a server that does not know BDAT takes content for commands.
        return (
            self.has_carried
            and len(self._under_way) < self._window
            and connection.queued - connection.sent < _UNSENT
        )

    @property
    def _resets_next(self) -> bool:
        """RSET costs nothing in a group; alone it is worth its round trip only after a failure."""
        return not self._is_first and (self._session.is_pipelined or self._is_dirty)

    def _settled(self) -> Iterator[QueuedMessage]:
        """The last letter, whose replies are known to be its own by now."""
        if self._last:
            last, self._last = self._last, None
            yield from self._judged(last)

    def _judged(self, transaction: Transaction) -> Iterator[QueuedMessage]:
        """A letter that is done for now; another connection's turn, where that may help at once."""
        letter = transaction.letter
        is_cut_off = self.has_carried and (transaction.is_cut_off or transaction.is_put_off)
        if letter.waiting and (transaction.lies or is_cut_off):
            self._source.give_back(letter)
        else:
            yield letter
