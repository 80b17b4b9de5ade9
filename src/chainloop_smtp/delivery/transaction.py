"""Session and letter -> one transaction: MAIL, RCPT, and the content by BDAT or by DATA.

RFC 5321 section 3.3 (transactions) and 4.5.2 (dots), RFC 2920 (PIPELINING), RFC 3030 (CHUNKING),
RFC 4954 section 4 (AUTH inside of a group).
"""

from dataclasses import replace
from datetime import datetime

from chainloop_smtp.delivery import envelope
from chainloop_smtp.delivery.connection import GoodbyeError
from chainloop_smtp.delivery.hints import Phase
from chainloop_smtp.delivery.queue import QueuedMessage
from chainloop_smtp.delivery.replies import (
    NO_SUCH_COMMAND,
    Answers,
    is_positive,
    severity,
)
from chainloop_smtp.delivery.session import Login, LoginError, Session
from chainloop_smtp.errors import DeliveryError
from chainloop_smtp.model.mail import RecipientStatus, Reply


class OutOfStepError(DeliveryError):
    """A reply that cannot belong to the command that it answers by its place."""


class Transaction:
    """One letter's turn in a session.

    `open`, `sync`, `offer` and `conclude` come in this order, and then `judge`; or `fail`, wherever
    the session ends. With PIPELINING other letters' commands may stand between them.

    Attributes:
        recipients: Whom it is for; empty when the session can carry it to nobody.
        is_complete: All that this transaction will ever send is on its way.
        is_cut_off: The session ended before the transaction did, or with its last reply.
        is_lost: Nobody knows whether the server took it.
        lies: Extensions that the server offers and, by its replies, does not have.
        login_failure: The server refused the login that went ahead; it may have taken the mail.
        ending: Why the session cannot go on after it; None when it can.
    """

    def __init__(
        self,
        session: Session,
        letter: QueuedMessage,
        login: Login | None,
        *,
        is_first: bool,
        resets: bool,
    ) -> None:
        """Looks at what the session can carry.

        Args:
            login: Its command goes ahead in the same group; None: there is none to go.
            is_first: Of the session, whose beginnings count as this letter's.
            resets: RSET goes ahead.
        """
        self.letter = letter
        self.is_complete = False
        self.is_cut_off = False
        self.is_lost = False
        self.lies: frozenset[str] = frozenset()
        self.login_failure: LoginError | None = None
        self.ending: DeliveryError | None = None
        self._session = session
        self._connection = session.connection
        self._started: datetime = session.started if is_first else session.clock.now()
        self._login = login
        self._resets = resets
        self._ends_at = 0
        self._awaits_reply = False
        self.recipients = envelope.carried(
            session.extensions,
            session.transport,
            letter,
            is_secure=bool(session.connection.tls),
        )
        self._answers = Answers(self.recipients)

    @property
    def is_accepted(self) -> bool:
        """The server took the content, for one recipient at least."""
        return bool(self._answers.takers) and self._answers.is_taken

    @property
    def is_put_off(self) -> bool:
        """The sender got a 4xx: not this letter, or no further one on this connection."""
        return self._answers.is_put_off

    def open(self) -> None:
        """Sends what may go ahead of every reply (RFC 2920 section 3.1, RFC 3030 section 4.2)."""
        if not self._session.is_pipelined:
            return
        commands = [self._login.command] if self._login else []
        commands += [b"RSET"] if self._resets else []
        commands += self._envelope()
        if self._session.is_chunked:
            content = self.letter.mail.content
            group = b"\r\n".join((*commands, b"BDAT %d LAST\r\n" % len(content))) + content
            self._write_content(group, len(commands) + 1)
        else:
            # DATA ends its group.
            self._connection.write(
                b"\r\n".join((*commands, b"DATA\r\n")), replies=len(commands) + 1
            )

    def sync(self) -> None:
        """RSET, which nothing but 250 answers: that shows whether replies and commands agree.

        Raises:
            OutOfStepError: They do not, and what was read before may have answered something else.
        """
        if self._resets:
            if not self._session.is_pipelined:
                self._connection.write(b"RSET\r\n")
            reply = self._session.ask(Phase.MAIL)
            if not is_positive(reply):
                raise self._out_of_step(reply)

    def offer(self) -> None:
        """What becomes of the envelope; the content too, where it could not go ahead."""
        if self._login:
            self._offer_login(self._login)
        if self._session.is_pipelined:
            self._offer_group()
        else:
            self._offer_one_by_one()
        self.is_complete = True

    def conclude(self) -> None:
        """The reply to the content."""
        if self._awaits_reply:
            # Not `answer`: to the content, 421 is a rejection that is known.
            self._answers.content = self._connection.read()
            self._expect(self._answers.content, "245")
        if self.login_failure and not self._answers.is_taken:
            raise self.login_failure

    def judge(self) -> None:
        """Writes down what became of it for every recipient."""
        answers = self._answers
        if self._session.is_pipelined:
            self.lies = answers.lies(is_chunked=self._session.is_chunked)
        reply, takers = answers.content, answers.takers
        is_early = reply is not None and self._connection.sent < self._ends_at
        why, hint = self._login_trouble
        if self.lies:
            why = "the server does not take what it offers"
        else:
            self._settle_refused()
            if answers.is_taken and (is_early or not takers):
                why = "the server took a mail that it had refused, or that it had not got yet"
                self.letter.settle(answers.let_pass, RecipientStatus.UNKNOWN, reply)
            elif answers.sender and not is_positive(answers.sender):
                why = f"the server refused the sender {self.letter.mail.sender}: {answers.sender}"
            elif takers and answers.before_content:
                why = f"the server refused the mail before its content: {answers.before_content}"
                self._settle(takers, Phase.DATA, answers.before_content)
            elif takers and reply:
                why = why if is_positive(reply) else f"the server rejected the mail: {reply}"
                self._settle(takers, Phase.DATA, reply)
        if is_early:
            early = "the server did not wait for the end of the mail"
            self.ending = self._session.error(early, is_temporary=True)
        elif reply and reply.code == 421:
            self.ending = self._session.goodbye(Phase.DATA, reply)
            self.is_cut_off = True
        elif "CHUNKING" in self.lies:
            self.ending = self._session.error(why, is_temporary=True)
        if why and not hint and answers.decisive:
            hint = self._session.advice(*answers.decisive).hint
        self._record(why, hint)

    def fail(self, error: DeliveryError) -> None:
        """Writes down what became of it when the session ended before its last reply."""
        self.is_cut_off = True
        cause = self.login_failure or error
        hint = cause.problems[0].hint
        if isinstance(cause, GoodbyeError):
            # One that came unasked has no hint yet.
            hint = hint or self._session.advice(Phase.MAIL, cause.reply).hint
        self._settle_refused()
        if self._is_out_of_hand(error):
            self.is_lost = True
            self.letter.settle(self._answers.undecided, RecipientStatus.UNKNOWN)
        elif self.login_failure is None:
            reply = error.reply if isinstance(error, GoodbyeError) else None
            self.letter.settle(self._answers.undecided, severity(error), reply, hint=hint)
        self._record(cause.problems[0].why, hint)

    def part(self) -> None:
        """The session's end counts as its last letter's."""
        last = self.letter.tries[-1]
        trips = last.round_trips + self._session.new_round_trips()
        self.letter.tries[-1] = replace(last, round_trips=trips)

    def doubt(self, error: DeliveryError) -> None:
        """What counted as accepted may have been the reply to another command."""
        self.letter.settle(self._accepted, RecipientStatus.UNKNOWN)
        self.letter.retract()
        self._record(error.problems[0].why)

    @property
    def _accepted(self) -> tuple[str, ...]:
        """Recipients of whom it is written down by now that they get the mail."""
        accepted = self.letter.delivery().accepted
        return tuple(each for each in self.recipients if each in accepted)

    @property
    def _login_trouble(self) -> tuple[str, str]:
        """Why there was no login, and what to do; empty where there was one, or was to be none."""
        if self.login_failure is None:
            return "", ""
        (problem, *_) = self.login_failure.problems
        return problem.why, problem.hint

    def _envelope(self) -> list[bytes]:
        session = self._session
        return envelope.commands(
            session.extensions, session.transport, self.letter.mail, self.recipients
        )

    def _offer_login(self, login: Login) -> None:
        reply = login.ask()
        if reply.code not in (235, 334):
            self._expect(reply, "45")
        try:
            # 334: what follows in the group would be taken for the answer.
            if reply.code in (*NO_SUCH_COMMAND, 334):
                self.lies = frozenset({"PIPELINING", "CHUNKING"})
                told = self._session.error(f"the server takes no login ahead of a mail: {reply}")
                raise LoginError(*told.problems, is_temporary=True)
            login.conclude(reply)
        except LoginError as error:
            self.login_failure = error
            if not self._session.is_chunked:
                raise
            # All is sent, and a server that needs no login from us takes it: what became of it is
            # what the other replies say.

    def _offer_group(self) -> None:
        session = self._session
        self._answers.sender = self._expect(session.ask(Phase.MAIL), "245")
        for _ in self.recipients:
            self._answers.to_recipients += (self._expect(session.ask(Phase.RCPT), "245"),)
        if not session.is_chunked:
            self._answer_data(self._expect(session.ask(Phase.DATA), "345"))

    def _offer_one_by_one(self) -> None:
        mail, *rcpt = self._envelope()
        session = self._session
        self._answers.sender = self._expect(session.ask(Phase.MAIL, mail), "245")
        if not is_positive(self._answers.sender):
            return
        for command in rcpt:
            reply = self._expect(session.ask(Phase.RCPT, command), "245")
            self._answers.to_recipients += (reply,)
        if self._answers.takers:
            self._answer_data(self._expect(session.ask(Phase.DATA, b"DATA"), "345"))

    def _answer_data(self, data: Reply) -> None:
        """The content, where it is waited for."""
        if data.code == 354 and not self._answers.takers:
            # RFC 2920 section 3.1: the server waits for content that nobody would get.
            self._connection.write(b".\r\n")
            self._awaits_reply = True
        elif data.code == 354:
            self._write_content(_stuffed(self.letter.mail.content), 1)
        elif self._answers.takers:
            self._answers.before_content = data

    def _write_content(self, octets: bytes, replies: int) -> None:
        self._connection.write(octets, replies)
        self._ends_at = self._connection.queued
        self._awaits_reply = True
        self.is_complete = True

    def _expect(self, reply: Reply, classes: str) -> Reply:
        if str(reply.code)[0] not in classes:
            raise self._out_of_step(reply)
        return reply

    def _out_of_step(self, reply: Reply) -> OutOfStepError:
        error = self._session.error(f"the server's replies are out of step: {reply}")
        return OutOfStepError(*error.problems, is_temporary=True)

    def _settle_refused(self) -> None:
        """Those whom the envelope's replies refuse."""
        if self.login_failure:
            # Without the login, these are not about the recipients.
            self.letter.settle(self.recipients, severity(self.login_failure))
            return
        for recipients, phase, reply in self._answers.refused:
            self._settle(recipients, phase, reply)

    def _settle(self, recipients: tuple[str, ...], phase: Phase, reply: Reply) -> None:
        """What a reply decides for some recipients."""
        if is_positive(reply):
            self.letter.settle(recipients, RecipientStatus.ACCEPTED, reply)
            return
        hint, is_temporary = self._session.advice(phase, reply)
        state = RecipientStatus.DEFERRED if is_temporary else RecipientStatus.REFUSED
        self.letter.settle(recipients, state, reply, hint=hint)

    def _is_out_of_hand(self, error: DeliveryError) -> bool:
        """The server has the whole content, and may have taken it.

        RFC 5321 section 4.1.1.4 and RFC 3030 section 2: without its end there is no mail.
        """
        if isinstance(error, (GoodbyeError, LoginError)):
            return False
        if self.login_failure and self._connection.is_closed and not self._answers.takers:
            # It has hung up behind its no.
            return False
        return bool(self._answers.undecided) and 0 < self._ends_at <= self._connection.sent

    def _record(self, why: str, hint: str = "") -> None:
        session = self._session
        notes = envelope.notes(session.extensions, session.transport)
        if self.login_failure and self._accepted:
            (problem, *_) = self.login_failure.problems
            taken = "it took the mail all the same, without a login"
            next_ = "check user and password, or write auth: none if it needs none"
            notes += (f"{problem.why}; {taken}: {next_}",)
        self.letter.record(
            session.attempt(
                self._started,
                recipients=self.recipients,
                round_trips=session.new_round_trips(),
                reply=self._answers.content if self._answers.let_pass else None,
                why=why,
                hint=hint,
                notes=notes,
            )
        )


def _stuffed(content: bytes) -> bytes:
    """RFC 5321 section 4.5.2: a line that starts with a dot gets a second one; then the end."""
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    stuffed = b"." + stuffed if stuffed.startswith(b".") else stuffed
    return stuffed + (b".\r\n" if stuffed.endswith(b"\r\n") else b"\r\n.\r\n")
