"""Session and letter -> one transaction: MAIL, RCPT, and the content by BDAT or by DATA.

RFC 5321 section 3.3 (transactions) and 4.5.2 (dots), RFC 2920 (PIPELINING), RFC 3030 (CHUNKING),
RFC 4954 section 4 (AUTH inside of a group).
"""

from dataclasses import replace
from datetime import datetime

from chainloop_smtp.delivery import envelope
from chainloop_smtp.delivery.connection import GoodbyeError
from chainloop_smtp.delivery.letter import Letter
from chainloop_smtp.delivery.session import Session
from chainloop_smtp.errors import DeliveryError
from chainloop_smtp.model import Reply, State

# What a server answers to a command that it offered and does not know, or does not take in a group.
_NO_SUCH_COMMAND = (500, 502, 503, 504)


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
        ending: Why the session cannot go on after it; None when it can.
    """

    def __init__(
        self, session: Session, letter: Letter, login: bytes, *, is_first: bool, resets: bool
    ) -> None:
        """Looks at what the session can carry.

        Args:
            login: The AUTH command that goes ahead in the same group; empty: none.
            is_first: Of the session, whose beginnings count as this letter's.
            resets: RSET goes ahead.
        """
        self.letter = letter
        self.is_complete = False
        self.is_cut_off = False
        self.is_lost = False
        self.lies: frozenset[str] = frozenset()
        self.ending: DeliveryError | None = None
        self._session = session
        self._connection = session.connection
        self._started: datetime = session.started if is_first else session.clock.now()
        self._login = login
        self._login_failure: DeliveryError | None = None
        self._resets = resets
        self._sender: Reply | None = None
        self._answers: list[Reply] = []
        self._before_content: Reply | None = None
        self._reply: Reply | None = None
        self._ends_at = 0
        self._awaits_reply = False
        self.recipients = envelope.carried(
            session.extensions,
            session.transport,
            letter,
            is_secure=bool(session.connection.tls),
        )

    @property
    def is_accepted(self) -> bool:
        """The server took the content, for one recipient at least."""
        return bool(self._takers) and self._reply is not None and _is_positive(self._reply)

    @property
    def is_put_off(self) -> bool:
        """The sender got a 4xx: not this letter, or no further one on this connection."""
        return self._sender is not None and 400 <= self._sender.code < 500

    def open(self) -> None:
        """Sends what may go ahead of every reply (RFC 2920 section 3.1, RFC 3030 section 4.2)."""
        if not self._session.is_pipelined:
            return
        commands = [self._login] if self._login else []
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
            reply = self._connection.answer()
            if not _is_positive(reply):
                raise self._out_of_step(reply)

    def offer(self) -> None:
        """What becomes of the envelope; the content too, where it could not go ahead."""
        if self._login:
            self._offer_login()
        if self._session.is_pipelined:
            self._offer_group()
        else:
            self._offer_one_by_one()
        self.is_complete = True

    def conclude(self) -> None:
        """The reply to the content."""
        if self._awaits_reply:
            # Not `answer`: to the content, 421 is a rejection that is known.
            self._reply = self._connection.read()
            self._expect(self._reply, "245")
        if self._login_failure and not self.is_accepted:
            raise self._login_failure

    def judge(self) -> None:
        """Writes down what became of it for every recipient."""
        self.lies = self._found_lies()
        reply, takers, mail = self._reply, self._takers, self.letter.mail
        is_early = reply is not None and self._connection.sent < self._ends_at
        is_doubtful = reply is not None and _is_positive(reply) and (is_early or not takers)
        why = ""
        if self.lies:
            why = "the server does not take what it offers"
        else:
            self._settle_refused()
            if is_doubtful and any(map(_is_positive, self._answers)):
                why = "the server took a mail that it had refused, or that it had not got yet"
                self.letter.settle(self._let_pass, State.UNKNOWN, reply)
            elif self._sender and not _is_positive(self._sender):
                why = f"the server refused the sender {mail.sender}: {self._sender}"
            elif takers and self._before_content:
                why = f"the server refused the mail before its content: {self._before_content}"
                self.letter.settle(takers, _state(self._before_content), self._before_content)
            elif takers and reply:
                why = "" if _is_positive(reply) else f"the server rejected the mail: {reply}"
                self.letter.settle(takers, _state(reply), reply)
        if is_early:
            early = "the server did not wait for the end of the mail"
            self.ending = self._session.error(early, is_temporary=True)
        elif reply and reply.code == 421:
            self.ending = GoodbyeError(self._connection.where, reply)
            self.is_cut_off = True
        elif "CHUNKING" in self.lies:
            self.ending = self._session.error(why, is_temporary=True)
        else:
            self.ending = self._login_failure
        decisive = next(filter(None, (self._before_content, reply)), self._sender)
        self._record(why, self._session.hint(decisive) if why and decisive else "")

    def fail(self, error: DeliveryError) -> None:
        """Writes down what became of it when the session ended before its last reply."""
        self.is_cut_off = True
        cause = self._login_failure or error
        if self._login_failure is None:
            # Without the login, what the envelope's replies say is not about the recipients.
            self._settle_refused()
        rest = self.recipients if self._login_failure else self._undecided
        if self._is_out_of_hand(error):
            self.is_lost = True
            self.letter.settle(rest, State.UNKNOWN)
        else:
            reply = error.reply if isinstance(error, GoodbyeError) else None
            state = State.DEFERRED if cause.is_temporary else State.REFUSED
            self.letter.settle(rest, state, reply)
        self._record(cause.problems[0].why, cause.problems[0].hint)

    def part(self) -> None:
        """The session's end counts as its last letter's."""
        last = self.letter.tries[-1]
        trips = last.round_trips + self._session.new_round_trips()
        self.letter.tries[-1] = replace(last, round_trips=trips)

    def doubt(self, error: DeliveryError) -> None:
        """What counted as accepted may have been the reply to another command."""
        accepted = self.letter.delivery().accepted
        self.letter.settle(tuple(set(accepted) & set(self.recipients)), State.UNKNOWN)
        self.letter.tries.pop()
        self._record(error.problems[0].why)

    @property
    def _let_pass(self) -> tuple[str, ...]:
        """Recipients to whose RCPT the server said yes."""
        answered = zip(self.recipients, self._answers, strict=False)
        return tuple(recipient for recipient, reply in answered if _is_positive(reply))

    @property
    def _takers(self) -> tuple[str, ...]:
        """Recipients who get the mail if its content is taken."""
        return self._let_pass if self._sender and _is_positive(self._sender) else ()

    @property
    def _undecided(self) -> tuple[str, ...]:
        """Recipients to whom the server has not said no, as far as it has answered."""
        if self._sender and not _is_positive(self._sender):
            return ()
        return self._let_pass + self.recipients[len(self._answers) :]

    def _envelope(self) -> list[bytes]:
        session = self._session
        return envelope.commands(
            session.extensions, session.transport, self.letter.mail, self.recipients
        )

    def _offer_login(self) -> None:
        reply = self._connection.answer()
        try:
            # 334: what follows in the group would be taken for the answer.
            if reply.code in (*_NO_SUCH_COMMAND, 334):
                self.lies = frozenset({"PIPELINING", "CHUNKING"})
                raise self._session.error("the server takes no login ahead", is_temporary=True)
            self._session.check_login(reply)
        except DeliveryError as error:
            self._login_failure = error
            if not self._session.is_chunked:
                raise
            # The rest is sent, and its replies say what became of it.

    def _offer_group(self) -> None:
        self._sender = self._expect(self._connection.answer(), "245")
        for _ in self.recipients:
            self._answers.append(self._expect(self._connection.answer(), "245"))
        if not self._session.is_chunked:
            self._answer_data(self._expect(self._connection.answer(), "345"))

    def _offer_one_by_one(self) -> None:
        mail, *rcpt = self._envelope()
        self._sender = self._expect(self._connection.exchange(mail)[0], "245")
        if not _is_positive(self._sender):
            return
        for command in rcpt:
            self._answers.append(self._expect(self._connection.exchange(command)[0], "245"))
        if self._takers:
            self._answer_data(self._expect(self._connection.exchange(b"DATA")[0], "345"))

    def _answer_data(self, data: Reply) -> None:
        """The content, where it is waited for."""
        if data.code == 354 and not self._takers:
            # RFC 2920 section 3.1: the server waits for content that nobody would get.
            self._connection.write(b".\r\n")
            self._awaits_reply = True
        elif data.code == 354:
            self._write_content(_stuffed(self.letter.mail.content), 1)
        elif self._takers:
            self._before_content = data

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

    def _found_lies(self) -> frozenset[str]:
        """Extensions whose commands the server does not know, or not in a group.

        What is known to be no fault of the mail is no answer to it, so it is tried without.
        """
        if not self._session.is_pipelined or self.is_accepted or self._sender is None:
            return frozenset()
        envelope = [self._sender, *(self._answers if _is_positive(self._sender) else ())]
        envelope += [self._before_content] if self._before_content else []
        if any(reply.code in _NO_SUCH_COMMAND for reply in envelope):
            return frozenset({"PIPELINING", "CHUNKING"})
        is_unknown = self._reply is not None and self._reply.code in _NO_SUCH_COMMAND
        if self._session.is_chunked and self._takers and is_unknown:
            return frozenset({"CHUNKING"})
        return frozenset()

    def _settle_refused(self) -> None:
        """Those whom the envelope's replies refuse."""
        if self._sender and not _is_positive(self._sender):
            self.letter.settle(self.recipients, _state(self._sender), self._sender)
            return
        for recipient, reply in zip(self.recipients, self._answers, strict=False):
            if not _is_positive(reply):
                self.letter.settle((recipient,), _state(reply), reply)

    def _is_out_of_hand(self, error: DeliveryError) -> bool:
        """The server has the whole content, and may have taken it.

        RFC 5321 section 4.1.1.4 and RFC 3030 section 2: without its end there is no mail.
        """
        if isinstance(error, GoodbyeError) or self._login_failure:
            return False
        return bool(self._undecided) and 0 < self._ends_at <= self._connection.sent

    def _record(self, why: str, hint: str = "") -> None:
        self.letter.tries.append(
            self._session.attempt(
                self._started,
                recipients=self.recipients,
                round_trips=self._session.new_round_trips(),
                reply=self._reply if self._let_pass else None,
                why=why,
                hint=hint,
            )
        )


def _stuffed(content: bytes) -> bytes:
    """RFC 5321 section 4.5.2: a line that starts with a dot gets a second one; then the end."""
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    stuffed = b"." + stuffed if stuffed.startswith(b".") else stuffed
    return stuffed + (b".\r\n" if stuffed.endswith(b"\r\n") else b"\r\n.\r\n")


def _is_positive(reply: Reply) -> bool:
    return 200 <= reply.code < 300


def _state(reply: Reply) -> State:
    """RFC 5321 section 4.2.1: what the first digit means."""
    if _is_positive(reply):
        return State.ACCEPTED
    return State.DEFERRED if 400 <= reply.code < 500 else State.REFUSED
