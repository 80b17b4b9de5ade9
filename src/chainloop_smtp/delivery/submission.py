"""Letters -> letters with an answer: one round over one or several connections."""

from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

from chainloop_smtp.delivery.clock import Clock, Deadline
from chainloop_smtp.delivery.dialing import Rotation, UnreachableError
from chainloop_smtp.delivery.pipeline import WINDOW, Pipeline
from chainloop_smtp.delivery.queue import QueuedMessage
from chainloop_smtp.delivery.session import EarlyConnection, Login, LoginError, Session, log_in
from chainloop_smtp.errors import DeliveryError, Problem
from chainloop_smtp.model.mail import Attempt, RecipientStatus
from chainloop_smtp.model.settings import Registration, Transport

_PARTING = 2.0  # seconds that connections get to end in, once the user has had enough


class Queue:
    """Letters that wait for a connection, shared by all connections.

    Attributes:
        out: Letters that are taken, until they are taken off here or given back.
    """

    def __init__(
        self, letters: Iterator[QueuedMessage], lock: AbstractContextManager[object]
    ) -> None:
        self._letters = letters
        self.out: list[QueuedMessage] = []
        self._returned: deque[QueuedMessage] = deque()
        self._lock = lock
        self._is_closed = False

    def take(self) -> QueuedMessage | None:
        """The next letter; None when there is none now, or after `close`."""
        with self._lock:
            letter = None if self._is_closed else self._first()
            if letter and self._is_closed:
                # Closed while it was being made.
                self._returned.append(letter)
                return None
            if letter:
                self.out.append(letter)
            return letter

    def give_back(self, letter: QueuedMessage) -> None:
        """To be taken again, before the others."""
        self.out.remove(letter)
        self._returned.append(letter)

    def close(self) -> None:
        """No connection gets a letter any more."""
        self._is_closed = True

    def rest(self) -> Iterator[QueuedMessage]:
        """All that nobody has taken, also after `close`."""
        while True:
            with self._lock:
                letter = self._first()
            if letter is None:
                return
            yield letter

    def _first(self) -> QueuedMessage | None:
        return self._returned.popleft() if self._returned else next(self._letters, None)


class Submitter:
    """One server, and what was learnt of it.

    Attributes:
        is_interrupted: The user has ended it all.
        failure: Why there was no connection, or why the last one came to nothing.
        moves_on: An address has failed in this round, and another one has not been tried yet.
    """

    def __init__(
        self,
        registration: Registration,
        transport: Transport,
        deadline: Deadline,
        clock: Clock,
        connections: int,
        ahead: EarlyConnection | None = None,
    ) -> None:
        """Nothing is sent yet.

        Args:
            ahead: The first session, connected already, where there is one connection at a time.
        """
        self.is_interrupted = False
        self.moves_on = False
        self.failure = DeliveryError(Problem("delivery", "it was not tried"), is_temporary=True)
        self._registration = registration
        self._transport = transport
        self._deadline = deadline
        self._clock = clock
        self._connections = connections
        self._ahead = ahead
        self._distrusted: frozenset[str] = frozenset()
        self._window = WINDOW
        self._refusal: LoginError | None = None
        self._rotation = ahead.rotation if ahead else Rotation()
        self._has_connected = False

    @property
    def is_unreachable(self) -> bool:
        """Nobody has ever taken a connection."""
        return not self._has_connected and isinstance(self.failure, UnreachableError)

    def round(self, letters: Iterator[QueuedMessage]) -> Iterator[QueuedMessage]:
        """Tries to deliver each letter once, as far as there is a connection.

        Yields:
            Every letter; `Letter.waiting` is empty where there is nothing more to try.
        """
        self.moves_on = False
        if self._connections == 1:
            queue = Queue(letters, nullcontext())
        else:
            import threading

            queue = Queue(letters, threading.Lock())
            yield from self._side_by_side(queue)
        # After several lines: what one gave back when the others had ended, or all, for the reason.
        if not self.is_interrupted:
            yield from self._alone(queue)
        yield from queue.rest()

    def session(self) -> Session:
        """A new connection, or the one that was made ahead.

        Raises:
            DeliveryError: There is none to be had.
        """
        if self._refusal:
            # One more login would be one more break-in attempt.
            raise self._refusal
        if self._ahead and not self._ahead.is_taken:
            session = self._ahead.take()
        else:
            session = Session(
                self._registration,
                self._transport,
                self._deadline,
                self._clock,
                self._distrusted,
                self._rotation,
            )
            session.connect()
        self._has_connected = True
        return session

    def visit(self, session: Session, queue: Queue, login: Login | None) -> Pipeline:
        """What the session carries, with no more at stake than the server has shown to be safe."""
        return Pipeline(session, queue, login, self._window)

    def learn(self, visit: Pipeline, session: Session) -> bool:
        """Keeps what a visit has shown; whether another one makes sense at once."""
        self._distrusted |= visit.lies
        if visit.failure and not visit.has_carried:
            self.heed(visit.failure, session)
        if visit.login_failure:
            self.heed(visit.login_failure)
            # What takes mail without the login gets none ahead of one again.
            self._distrusted |= {"PIPELINING", "CHUNKING"}
        if visit.has_lost:
            # A server that leaves without answering is not trusted with more than one mail again.
            self._window = 1
        self.failure = visit.failure or self.failure
        return visit.failure is None or visit.has_carried or bool(visit.lies)

    def heed(self, error: DeliveryError, session: Session | None = None) -> DeliveryError:
        """Keeps why there is no session, where another one would end no better.

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
        self.moves_on |= is_temporary and self._rotation.has_untried
        if is_temporary == error.is_temporary:
            return error
        return DeliveryError(*error.problems, is_temporary=True)

    def give_up(self, letter: QueuedMessage, session: Session | None = None) -> QueuedMessage:
        """The letter, with the failure written down as an attempt that came to no transaction."""
        error = self.failure
        (problem, *_), waiting, now = error.problems, letter.waiting, self._clock.now()
        if session:
            attempt = session.attempt(
                session.started,
                recipients=waiting,
                round_trips=session.connection.round_trips,
                why=problem.why,
                hint=problem.hint,
            )
        else:
            attempt = Attempt(
                started=now,
                ended=now,
                server=problem.where,
                recipients=waiting,
                why=problem.why,
                hint=problem.hint,
            )
        letter.settle(
            waiting, RecipientStatus.DEFERRED if error.is_temporary else RecipientStatus.REFUSED
        )
        letter.record(attempt)
        return letter

    def _alone(self, queue: Queue) -> Iterator[QueuedMessage]:
        """One line, in this thread; the user may interrupt it."""
        line = _Line(self, queue)
        try:
            for letter in line.letters():
                queue.out.remove(letter)
                yield letter
        except KeyboardInterrupt:
            self.is_interrupted = True
            yield from line.interrupted()
            return
        if line.failure is None or line.letter is None:
            return
        self.failure = line.failure
        yield self.give_up(line.letter, line.session)
        if not self.failure.is_temporary:
            for letter in queue.rest():
                yield self.give_up(letter)

    def _side_by_side(self, queue: Queue) -> Iterator[QueuedMessage]:
        """Several lines, each in a thread of its own."""
        import threading
        from queue import Empty, SimpleQueue

        done: SimpleQueue[QueuedMessage | BaseException | None] = SimpleQueue()
        lines = [_Line(self, queue) for _ in range(self._connections)]

        def work(line: _Line) -> None:
            try:
                for letter in line.letters():
                    done.put(letter)
                if line.failure and line.letter:
                    queue.give_back(line.letter)
            except BaseException as error:  # noqa: BLE001  # a bug is for the caller's thread
                done.put(error)
            done.put(None)

        for line in lines:
            threading.Thread(target=work, args=(line,), daemon=True).start()
        running = len(lines)
        try:
            while running:
                try:
                    item = done.get(timeout=_PARTING if self.is_interrupted else None)
                except KeyboardInterrupt:
                    self.is_interrupted = True
                    _cut(lines, queue)
                    continue
                except Empty:
                    break
                if item is None:
                    running -= 1
                elif isinstance(item, BaseException):
                    raise item
                else:
                    queue.out.remove(item)
                    yield item
            # Those that the interrupt itself kept from coming here, or that are not done in time.
            yield from queue.out
        finally:
            # Also where the caller goes no further.
            if running:
                _cut(lines, queue)


class _Line:
    """One connection after the other, until there is no letter or no connection.

    Attributes:
        letter: The one that waits for a connection, or opened the last; None before there is one.
        session: The present one; None while there is none.
        failure: Why there is no connection; None when nothing is the matter.
    """

    def __init__(self, dispatch: Submitter, queue: Queue) -> None:
        self.letter: QueuedMessage | None = None
        self.session: Session | None = None
        self.failure: DeliveryError | None = None
        self._visit: Pipeline | None = None
        self._dispatch = dispatch
        self._queue = queue

    def letters(self) -> Iterator[QueuedMessage]:
        """Takes letters from the queue; where there is a `failure`, `letter` is not delivered."""
        while letter := self._taken():
            try:
                self.session = self._dispatch.session()
                with self.session:
                    self.session.open()
                    login = log_in(self.session)
                    self._visit = self._dispatch.visit(self.session, self._queue, login)
                    yield from self._visit.carry(letter)
            except DeliveryError as error:
                self.failure = self._dispatch.heed(error, self.session)
                return
            if not self._dispatch.learn(self._visit, self.session):
                return

    def interrupted(self) -> Iterator[QueuedMessage]:
        """What was under way when the user ended it all."""
        if self._visit:
            yield from self._visit.interrupt()
        elif self.letter:
            yield self.letter

    def _taken(self) -> QueuedMessage | None:
        """The next letter, with nothing left of the last one while it is being made."""
        self.letter, self.session, self._visit = None, None, None
        self.letter = self._queue.take()
        return self.letter


def _cut(lines: list[_Line], queue: Queue) -> None:
    """Ends every connection, and lets no line take another letter."""
    queue.close()
    for line in lines:
        if line.session:
            line.session.connection.cut()
