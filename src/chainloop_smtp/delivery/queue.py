"""Messages -> their results: what waits for a connection, and what is known of each by now."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from chainloop_smtp.model.mail import (
    Delivery,
    Mail,
    RecipientResult,
    RecipientStatus,
    Reply,
    TransactionResult,
)


class QueuedMessage:
    """A message, its recipients' results, and the attempts so far.

    Attributes:
        attempts: Oldest first.
        is_interrupted: The user ended delivery before it was done with this message.
    """

    def __init__(self, mail: Mail) -> None:
        self.mail = mail
        self.attempts: list[TransactionResult] = []
        self.is_interrupted = False
        self._number = 1
        self._results = {each: RecipientResult(recipient=each) for each in mail.recipients}

    @property
    def waiting(self) -> tuple[str, ...]:
        """Recipients for whom trying again may help."""
        return self._with(RecipientStatus.DEFERRED)

    @property
    def accepted(self) -> tuple[str, ...]:
        """Recipients for whom the server has accepted the message."""
        return self._with(RecipientStatus.ACCEPTED)

    @property
    def needs_further_transaction(self) -> bool:
        """The server has just accepted some recipients, and wants others in another transaction.

        RFC 5321 section 4.5.3.1.10: 452, for more recipients than it takes at once. To recipients
        that come alone, or again and again, 452 says something else: a full disk, for one.
        """
        if not self.attempts:
            return False
        results = [self._results[each] for each in self.attempts[-1].recipients]
        return any(result.status is RecipientStatus.ACCEPTED for result in results) and any(
            result.status is RecipientStatus.DEFERRED
            and result.reply is not None
            and result.reply.code == 452
            for result in results
        )

    def record(
        self,
        recipients: tuple[str, ...],
        status: RecipientStatus,
        reply: Reply | None = None,
        *,
        why: str = "",
        hint: str = "",
    ) -> None:
        """Sets the result of some recipients.

        The server's last reply stays where a later attempt did not get as far.
        """
        if status is RecipientStatus.DEFERRED and not reply and not why:
            return
        for each in recipients:
            self._results[each] = RecipientResult(
                recipient=each, status=status, reply=reply, why=why, hint=hint
            )

    def add_attempt(self, attempt: TransactionResult) -> None:
        """Keeps an attempt that has ended, once the results of its recipients are recorded."""
        self.attempts.append(replace(attempt, number=self._number))
        if not self.needs_further_transaction:
            self._number += 1

    def add_round_trips(self, number: int) -> None:
        """Adds to those of the last attempt."""
        last = self.attempts[-1]
        self.attempts[-1] = replace(last, round_trips=last.round_trips + number)

    def replace_attempt(self, attempt: TransactionResult) -> None:
        """Keeps this attempt instead of the last one, whose replies turned out to be wrong."""
        self._number = self.attempts.pop().number
        self.add_attempt(attempt)

    def delivery(self) -> Delivery:
        """What is known by now."""
        return Delivery(
            mail=self.mail,
            results=tuple(self._results.values()),
            transactions=tuple(self.attempts),
            is_interrupted=self.is_interrupted,
        )

    def _with(self, status: RecipientStatus) -> tuple[str, ...]:
        return tuple(each for each, result in self._results.items() if result.status is status)


class Queue:
    """Messages that wait for a connection; those given back come first."""

    def __init__(self, messages: Iterator[QueuedMessage]) -> None:
        self._messages = messages
        self._returned: deque[QueuedMessage] = deque()

    def take(self) -> QueuedMessage | None:
        """The next message; None when there is none."""
        return self._returned.popleft() if self._returned else next(self._messages, None)

    def give_back(self, message: QueuedMessage) -> None:
        """Lets another connection take it."""
        self._returned.append(message)

    def rest(self) -> Iterator[QueuedMessage]:
        """Everything that no connection has taken."""
        while message := self.take():
            yield message
