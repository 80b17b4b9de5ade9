"""Session and message -> one transaction: MAIL, RCPT, and the content by BDAT or by DATA.

RFC 5321 section 3.3 (transactions) and 4.5.2 (dots), RFC 2920 (PIPELINING), RFC 3030 (CHUNKING),
RFC 4954 section 4 (AUTH inside of a group).
"""

from datetime import datetime

from chainloop_smtp.delivery import envelope
from chainloop_smtp.delivery.connection import GoodbyeError
from chainloop_smtp.delivery.hints import Phase
from chainloop_smtp.delivery.queue import QueuedMessage
from chainloop_smtp.delivery.replies import (
    UNKNOWN_COMMAND,
    Decision,
    TransactionReplies,
    is_positive,
    status_of_error,
)
from chainloop_smtp.delivery.sasl import Login, LoginError
from chainloop_smtp.delivery.session import Session
from chainloop_smtp.errors import DeliveryError
from chainloop_smtp.model.mail import RecipientStatus, Reply, TransactionResult


class OutOfStepError(DeliveryError):
    """A reply that cannot belong to the command that it answers by its place."""


class Transaction:
    """One message in a session.

    `send_group`, `check_reset`, `exchange_envelope` and `read_content_reply` come in this order,
    and then `record_results`; or `fail`, wherever the session ends. With PIPELINING the commands of
    other messages may stand between them.

    Attributes:
        recipients: Whom it is for; empty when the session can carry it to nobody.
        is_complete: All that this transaction will ever send has been handed to the connection.
        is_cut_off: The session ended before the transaction did, or with its last reply.
        is_unknown: Nobody knows whether the server accepted the message.
        broken_extensions: Those that the server offers and, by its replies, does not have.
        login_failure: The server refused the login before it; it may have accepted the message.
        ending: Why the session cannot go on after it; None when it can.
    """

    def __init__(
        self,
        session: Session,
        message: QueuedMessage,
        login: Login | None,
        *,
        is_first: bool,
        resets: bool,
    ) -> None:
        """Send nothing yet; refuse a message that this server cannot deliver.

        Args:
            login: Its command goes ahead in the same group; None: there is none to go.
            is_first: The session's first; the time since connecting began counts as this message's.
            resets: RSET goes ahead.
        """
        self.message = message
        self.is_complete = False
        self.is_cut_off = False
        self.is_unknown = False
        self.broken_extensions: frozenset[str] = frozenset()
        self.login_failure: LoginError | None = None
        self.ending: DeliveryError | None = None
        self._session = session
        self._connection = session.connection
        self._started: datetime = session.started if is_first else session.clock.now()
        self._login = login
        self._resets = resets
        self._content_end = 0
        self._awaits_reply = False
        why, hint = envelope.obstacle(
            session.extensions,
            session.transport,
            message.mail,
            is_secure=bool(session.connection.tls),
        )
        if why:
            # What a server lacks now, it will lack in a minute too.
            message.record(message.waiting, RecipientStatus.REFUSED, why=why, hint=hint)
        self.recipients = message.waiting
        self._replies = TransactionReplies(self.recipients)

    @property
    def is_accepted(self) -> bool:
        """The server accepted the content, for one recipient at least."""
        return bool(self._replies.accepted) and self._replies.is_content_accepted

    @property
    def is_deferred(self) -> bool:
        """The sender got a 4xx: not this message, or no further one on this connection."""
        return self._replies.is_deferred

    # --- what goes over the connection ---------------------------------------------------------

    def send_group(self) -> None:
        """Send what may precede every reply (RFC 2920 section 3.1, RFC 3030 section 4.2)."""
        if not self._session.is_pipelined:
            return
        commands = [self._login.command] if self._login else []
        commands += [b"RSET"] if self._resets else []
        commands += self._envelope()
        if self._session.is_chunked:
            content = self.message.mail.content
            group = b"\r\n".join((*commands, b"BDAT %d LAST\r\n" % len(content))) + content
            self._write_content(group, len(commands) + 1)
        else:
            # DATA ends its group.
            self._connection.write(
                b"\r\n".join((*commands, b"DATA\r\n")), replies=len(commands) + 1
            )

    def check_reset(self) -> None:
        """RSET, which nothing but 250 answers: that shows whether replies and commands agree.

        Raises:
            OutOfStepError: They do not, and what was read before may have answered something else.
        """
        if self._resets:
            if not self._session.is_pipelined:
                self._connection.write(b"RSET\r\n")
            reply = self._session.ask(Phase.MAIL, name="RSET")
            if not is_positive(reply):
                raise self._out_of_step(reply)

    def exchange_envelope(self) -> None:
        """Read the replies to the envelope; send what could not precede them, the content too."""
        if self._login:
            self._read_login(self._login)
        if self._session.is_pipelined:
            self._read_group()
        else:
            self._exchange_one_by_one()
        self.is_complete = True

    def read_content_reply(self) -> None:
        """Read the reply to the content."""
        if self._awaits_reply:
            # Not `answer`: as the reply to the content, 421 is a rejection of the message.
            self._replies.content = self._connection.read(name="the message")
            self._check_class(self._replies.content, "245")
        if self.login_failure and not self._replies.is_content_accepted:
            raise self.login_failure

    def _envelope(self) -> list[bytes]:
        session = self._session
        return envelope.commands(
            session.extensions, session.transport, self.message.mail, self.recipients
        )

    def _read_login(self, login: Login) -> None:
        reply = login.ask()
        if reply.code not in (235, 334):
            self._check_class(reply, "45")
        try:
            # 334: what follows in the group would be taken for the answer.
            if reply.code in (*UNKNOWN_COMMAND, 334):
                self.broken_extensions = frozenset({"PIPELINING", "CHUNKING"})
                error = self._connection.error(
                    f"the server takes no login ahead of a mail: {reply}"
                )
                raise LoginError(*error.problems, is_temporary=True)
            login.conclude(reply)
        except LoginError as error:
            self.login_failure = error
            if not self._session.is_chunked:
                raise
            # Everything is sent, and a server that needs no login accepts it: the other replies
            # tell.

    def _read_group(self) -> None:
        session = self._session
        self._replies.mail_from = self._check_class(session.ask(Phase.MAIL), "245")
        for _ in self.recipients:
            self._replies.rcpt_to += (self._check_class(session.ask(Phase.RCPT), "245"),)
        if not session.is_chunked:
            self._send_data(self._check_class(session.ask(Phase.DATA), "345"))

    def _exchange_one_by_one(self) -> None:
        mail_from, *rcpt_to = self._envelope()
        session = self._session
        self._replies.mail_from = self._check_class(session.ask(Phase.MAIL, mail_from), "245")
        if not is_positive(self._replies.mail_from):
            return
        for command in rcpt_to:
            reply = self._check_class(session.ask(Phase.RCPT, command), "245")
            self._replies.rcpt_to += (reply,)
        if self._replies.accepted:
            self._send_data(self._check_class(session.ask(Phase.DATA, b"DATA"), "345"))

    def _send_data(self, reply: Reply) -> None:
        """Send the content, where the reply to DATA asks for it."""
        if reply.code == 354 and not self._replies.accepted:
            # RFC 2920 section 3.1: the server waits for content that nobody would get.
            self._connection.write(b".\r\n")
            self._awaits_reply = True
        elif reply.code == 354:
            self._write_content(_stuffed(self.message.mail.content), 1)
        elif self._replies.accepted:
            self._replies.data = reply

    def _write_content(self, content: bytes, replies: int) -> None:
        self._connection.write(content, replies)
        self._content_end = self._connection.queued
        self._awaits_reply = True
        self.is_complete = True

    def _check_class(self, reply: Reply, classes: str) -> Reply:
        """The reply, whose first digit has to be one of these."""
        if str(reply.code)[0] not in classes:
            raise self._out_of_step(reply)
        return reply

    def _out_of_step(self, reply: Reply) -> OutOfStepError:
        error = self._connection.error(f"the server's replies are out of sync: {reply}")
        return OutOfStepError(*error.problems, is_temporary=True)

    # --- what the replies mean -----------------------------------------------------------------

    def record_results(self) -> None:
        """Record the result of every recipient: every reply is read."""
        replies, session = self._replies, self._session
        if session.is_pipelined:
            self.broken_extensions = replies.broken_extensions(is_chunked=session.is_chunked)
        content, decision = replies.content, replies.content_decision
        is_early = content is not None and self._connection.sent < self._content_end
        why, hint = self._login_problem
        if self.broken_extensions:
            why = "the server rejects an extension that it offers"
        else:
            self._record_refusals()
            if replies.is_content_accepted and (is_early or not replies.accepted):
                why = "the server accepted a mail that it had refused, or had not received yet"
                self.message.record(replies.rcpt_accepted, RecipientStatus.UNKNOWN, content)
            else:
                why = self._refusal or why
                if decision:
                    self._record_decision(decision)
        if is_early:
            early = "the server did not wait for the end of the mail"
            self.ending = session.connection.error(early, is_temporary=True)
        elif content and content.code == 421:
            self.ending = session.goodbye(Phase.DATA, content)
            self.is_cut_off = True
        elif "CHUNKING" in self.broken_extensions:
            self.ending = session.connection.error(why, is_temporary=True)
        if why and not hint and replies.last_about_all:
            hint = session.advice(*replies.last_about_all).hint
        self.message.add_attempt(self._attempt(why, hint))

    def fail(self, error: DeliveryError) -> None:
        """Record the results of a transaction whose session ended before its last reply."""
        self.is_cut_off = True
        cause = self.login_failure or error
        hint = cause.problems[0].hint
        if isinstance(cause, GoodbyeError):
            # One that came unasked has no hint yet.
            hint = hint or self._session.advice(Phase.MAIL, cause.reply).hint
        self._record_refusals()
        undecided = self._replies.undecided
        if self._may_be_accepted(error):
            self.is_unknown = True
            self.message.record(undecided, RecipientStatus.UNKNOWN)
        elif self.login_failure is None:
            reply = error.reply if isinstance(error, GoodbyeError) else None
            self.message.record(undecided, status_of_error(error), reply, hint=hint)
        self.message.add_attempt(self._attempt(cause.problems[0].why, hint))

    def finish(self) -> None:
        """Add QUIT's round trips to the last message."""
        self.message.add_round_trips(self._session.new_round_trips())

    def mark_unknown(self, error: DeliveryError) -> None:
        """What counted as accepted may have been the reply to another command."""
        self.message.record(self._accepted, RecipientStatus.UNKNOWN)
        self.message.replace_attempt(self._attempt(error.problems[0].why))

    @property
    def _accepted(self) -> tuple[str, ...]:
        """Recipients of this transaction whose result is that they get the message."""
        accepted = self.message.accepted
        return tuple(each for each in self.recipients if each in accepted)

    @property
    def _login_problem(self) -> tuple[str, str]:
        """Why there was no login, and what to do; empty where there was one, or was to be none."""
        if self.login_failure is None:
            return "", ""
        (problem, *_) = self.login_failure.problems
        return problem.why, problem.hint

    @property
    def _refusal(self) -> str:
        """Why the server refused the message as a whole; empty when it did not."""
        replies = self._replies
        if replies.mail_from and not is_positive(replies.mail_from):
            sender = self.message.mail.sender
            return f"the server refused the sender {sender}: {replies.mail_from}"
        if replies.data:
            return f"the server refused the mail before its content: {replies.data}"
        if replies.accepted and replies.content and not is_positive(replies.content):
            return f"the server rejected the mail: {replies.content}"
        return ""

    def _record_refusals(self) -> None:
        """Record those whom the replies to the envelope refuse."""
        if self.login_failure:
            # Without the login, these replies are not about the recipients.
            self.message.record(self.recipients, status_of_error(self.login_failure))
            return
        for decision in self._replies.refusals:
            self._record_decision(decision)

    def _record_decision(self, decision: Decision) -> None:
        recipients, phase, reply = decision
        if is_positive(reply):
            self.message.record(recipients, RecipientStatus.ACCEPTED, reply)
            return
        hint, is_temporary = self._session.advice(phase, reply)
        status = RecipientStatus.DEFERRED if is_temporary else RecipientStatus.REFUSED
        self.message.record(recipients, status, reply, hint=hint)

    def _may_be_accepted(self, error: DeliveryError) -> bool:
        """The server has the whole content, and has not said what it does with it.

        RFC 5321 section 4.1.1.4 and RFC 3030 section 2: without its end there is no mail.
        """
        if isinstance(error, (GoodbyeError, LoginError)):
            return False
        if self.login_failure and self._connection.is_closed and not self._replies.accepted:
            # It has hung up after refusing the login.
            return False
        return bool(self._replies.undecided) and 0 < self._content_end <= self._connection.sent

    def _attempt(self, why: str, hint: str = "") -> TransactionResult:
        session = self._session
        warnings = envelope.warnings(session.extensions, session.transport)
        if self.login_failure and self._accepted:
            (problem, *_) = self.login_failure.problems
            taken = "it still accepted the mail, without a login"
            next_ = "check user and password, or set auth: none if it needs no login"
            warnings += (f"{problem.why}; {taken}: {next_}",)
        return session.attempt(
            self._started,
            recipients=self.recipients,
            round_trips=session.new_round_trips(),
            reply=self._replies.content if self._replies.rcpt_accepted else None,
            why=why,
            hint=hint,
            notes=warnings,
        )


def _stuffed(content: bytes) -> bytes:
    """RFC 5321 section 4.5.2: a line that starts with a dot gets a second one; then the end."""
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    stuffed = b"." + stuffed if stuffed.startswith(b".") else stuffed
    return stuffed + (b".\r\n" if stuffed.endswith(b"\r\n") else b"\r\n.\r\n")
