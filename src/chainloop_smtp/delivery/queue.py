"""One mail on its way: the only thing in delivery that remembers more than one session."""

from dataclasses import replace

from chainloop_smtp.model.mail import (
    Attempt,
    Delivery,
    Mail,
    RecipientResult,
    RecipientStatus,
    Reply,
)


class QueuedMessage:
    """A mail, who still has to get it, and what was tried so far.

    Attributes:
        tries: In the order of time.
        is_interrupted: The user ended delivery before it was done with this mail.
    """

    def __init__(self, mail: Mail) -> None:
        self.mail = mail
        self.tries: list[Attempt] = []
        self.is_interrupted = False
        self._number = 1
        self._results = {each: RecipientResult(recipient=each) for each in mail.recipients}

    @property
    def waiting(self) -> tuple[str, ...]:
        """Recipients for whom trying again may help."""
        return tuple(
            each
            for each, result in self._results.items()
            if result.state is RecipientStatus.DEFERRED
        )

    @property
    def is_crowd(self) -> bool:
        """The server has just taken some recipients, and wants others in another transaction.

        RFC 5321 section 4.5.3.1.10: 452, for more recipients than it takes at once. To recipients
        that come alone, or again and again, 452 says something else: a full disk, for one.
        """
        results = [self._results[each] for each in self.tries[-1].recipients] if self.tries else []
        return any(result.state is RecipientStatus.ACCEPTED for result in results) and any(
            result.state is RecipientStatus.DEFERRED
            and result.reply is not None
            and result.reply.code == 452
            for result in results
        )

    def record(self, attempt: Attempt) -> None:
        """Adds a try that has ended, after the fates of its recipients are settled."""
        self.tries.append(replace(attempt, number=self._number))
        if not self.is_crowd:
            self._number += 1

    def retract(self) -> None:
        """Takes the last try back, of which something else is to be recorded."""
        self._number = self.tries.pop().number

    def settle(
        self,
        recipients: tuple[str, ...],
        state: RecipientStatus,
        reply: Reply | None = None,
        *,
        why: str = "",
        hint: str = "",
    ) -> None:
        """Writes down what became of it for some recipients.

        The server's last word stays where a later attempt did not get as far.
        """
        for each in recipients:
            if state is RecipientStatus.DEFERRED and not reply and not why:
                continue
            self._results[each] = RecipientResult(
                recipient=each, state=state, reply=reply, why=why, hint=hint
            )

    def delivery(self) -> Delivery:
        """What there is to tell by now."""
        return Delivery(
            mail=self.mail,
            results=tuple(self._results.values()),
            tries=tuple(self.tries),
            is_interrupted=self.is_interrupted,
        )
