"""Bytes -> replies (RFC 5321 section 4.2) -> what they mean for a transaction. No I/O."""

import re
from collections.abc import Callable, Iterator

from chainloop_smtp.delivery.hints import Phase
from chainloop_smtp.errors import DeliveryError, Problem
from chainloop_smtp.model.mail import RecipientStatus, Reply

# What a server answers to a command that it offered and does not know, or does not take in a group.
NO_SUCH_COMMAND = (500, 502, 503, 504)
# RFC 5321 section 4.5.3.1.5 says 512 octets a line; servers with long names or links write more.
_LONGEST_LINE = 4096
_LONGEST_REPLY = 64 * 1024
# RFC 3463 section 2.
_ENHANCED = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}")


class Replies:
    """What a server says, taken apart reply by reply.

    Attributes:
        lines: The last reply's lines without their codes, as they came: for parsing, not showing.
    """

    def __init__(self, where: str, printable: Callable[[str], str]) -> None:
        """Nothing is said yet.

        Args:
            where: ``host:port``, for errors.
            printable: Takes out what must not be shown.
        """
        self.lines: list[bytes] = []
        self._where = where
        self._printable = printable
        self._buffer = b""
        self._begun: list[bytes] = []
        self._size = 0

    @property
    def is_empty(self) -> bool:
        """Nothing is left over: neither a reply nor the beginning of one."""
        return not self._buffer and not self._begun

    def starts_with(self, octets: bytes) -> bool:
        """So begins what is not a whole line yet."""
        return self._buffer.startswith(octets)

    def feed(self, octets: bytes) -> None:
        """Adds what came."""
        self._buffer += octets

    def take(self) -> Reply | None:
        """The next reply, all its lines; None while it is not whole.

        Raises:
            DeliveryError: This is no SMTP reply, or one without measure.
        """
        while (line := self._line()) is not None:
            self._size += len(line)
            if self._size > _LONGEST_REPLY:
                raise self._error(f"the server's reply is longer than {_LONGEST_REPLY} octets")
            if len(line) < 3 or not line[:3].isdigit() or line[3:4] not in (b"", b" ", b"-"):
                raise self._error(
                    f"the server does not speak SMTP: {self._printable(_decoded(line))[:60]}",
                    "Is this the port of a mail server's submission service (587 or 465)?",
                )
            self._begun.append(line)
            if line[3:4] != b"-":
                return self._reply()
        return None

    def _line(self) -> bytes | None:
        """One line without its end; None while it is not whole."""
        line, end, rest = self._buffer.partition(b"\n")
        if len(line) > _LONGEST_LINE:
            raise self._error(f"the server's line is longer than {_LONGEST_LINE} octets")
        if not end:
            return None
        self._buffer = rest
        return line.removesuffix(b"\r")

    def _reply(self) -> Reply:
        begun, self._begun, self._size = self._begun, [], 0
        self.lines = [line[4:] for line in begun]
        texts = [self._printable(_decoded(line)) for line in self.lines]
        # RFC 2034: the enhanced code stands at the start of every line's text.
        enhanced = texts[-1].partition(" ")[0]
        if not _ENHANCED.fullmatch(enhanced):
            enhanced = ""
        words = (text.partition(" ") for text in texts)
        texts = [
            rest.lstrip() if enhanced and first == enhanced else first + space + rest
            for first, space, rest in words
        ]
        return Reply(code=int(begun[-1][:3]), enhanced=enhanced, text="\n".join(texts).strip())

    def _error(self, why: str, hint: str = "") -> DeliveryError:
        return DeliveryError(Problem(self._where, why, hint))


def _decoded(octets: bytes) -> str:
    """Servers of today write UTF-8 where they do not keep to ASCII."""
    return octets.decode("utf-8", "replace")


class Answers:
    """What the server has said by now; None, or a shorter tuple, where it has yet to say it.

    Attributes:
        recipients: Whom the transaction is for, in the order of their RCPT.
        sender: To MAIL.
        to_recipients: To each RCPT, as far as it is answered.
        before_content: To DATA, where it wants no content.
        content: To the end of the content.
    """

    def __init__(self, recipients: tuple[str, ...]) -> None:
        self.recipients = recipients
        self.sender: Reply | None = None
        self.to_recipients: tuple[Reply, ...] = ()
        self.before_content: Reply | None = None
        self.content: Reply | None = None

    @property
    def let_pass(self) -> tuple[str, ...]:
        """Recipients to whose RCPT the server said yes."""
        return tuple(recipient for recipient, reply in self._answered if is_positive(reply))

    @property
    def takers(self) -> tuple[str, ...]:
        """Recipients who get the mail if its content is taken."""
        return self.let_pass if self.sender and is_positive(self.sender) else ()

    @property
    def undecided(self) -> tuple[str, ...]:
        """Recipients to whom the server has not said no, as far as it has answered."""
        if self.sender and not is_positive(self.sender):
            return ()
        return self.let_pass + self.recipients[len(self.to_recipients) :]

    @property
    def refused(self) -> Iterator[tuple[tuple[str, ...], Phase, Reply]]:
        """Recipients whom the envelope's replies refuse, with the reply that does."""
        if self.sender and not is_positive(self.sender):
            yield self.recipients, Phase.MAIL, self.sender
            return
        for recipient, reply in self._answered:
            if not is_positive(reply):
                yield (recipient,), Phase.RCPT, reply

    @property
    def is_taken(self) -> bool:
        """The server said yes to the content, and to a recipient before it."""
        return bool(self.content and is_positive(self.content) and self.let_pass)

    @property
    def is_put_off(self) -> bool:
        """The sender got a 4xx: not this mail, or no further one on this connection."""
        return self.sender is not None and state(self.sender) is RecipientStatus.DEFERRED

    @property
    def decisive(self) -> tuple[Phase, Reply] | None:
        """The last word of those that are about the mail as a whole."""
        if reply := self.before_content or self.content:
            return Phase.DATA, reply
        return (Phase.MAIL, self.sender) if self.sender else None

    def lies(self, *, is_chunked: bool) -> frozenset[str]:
        """Extensions whose commands the server does not know, or not in a group.

        What is known to be no fault of the mail is no answer to it, so it is tried without.

        Args:
            is_chunked: The content went by BDAT.
        """
        if self.sender is None or self.is_taken:
            return frozenset()
        envelope = [self.sender, *(self.to_recipients if is_positive(self.sender) else ())]
        envelope += [self.before_content] if self.before_content else []
        if any(map(is_unknown_command, envelope)):
            return frozenset({"PIPELINING", "CHUNKING"})
        is_unknown = self.content is not None and is_unknown_command(self.content)
        return frozenset({"CHUNKING"} if is_chunked and self.takers and is_unknown else ())

    @property
    def _answered(self) -> Iterator[tuple[str, Reply]]:
        return zip(self.recipients, self.to_recipients, strict=False)


def is_unknown_command(reply: Reply) -> bool:
    """The server does not know the command, or does not take it in a group.

    RFC 3463 section 3.8: X.7 is a rule of the server's, whatever code stands before it; Brevo says
    502 5.7.0 to those who have not logged in.
    """
    return reply.code in NO_SUCH_COMMAND and not reply.enhanced.startswith("5.7.")


def is_positive(reply: Reply) -> bool:
    """RFC 5321 section 4.2.1: 2yz."""
    return 200 <= reply.code < 300


def state(reply: Reply) -> RecipientStatus:
    """RFC 5321 section 4.2.1: what the first digit means."""
    if is_positive(reply):
        return RecipientStatus.ACCEPTED
    return RecipientStatus.DEFERRED if 400 <= reply.code < 500 else RecipientStatus.REFUSED


def severity(error: DeliveryError) -> RecipientStatus:
    """What an error means for those whom it keeps from their mail."""
    return RecipientStatus.DEFERRED if error.is_temporary else RecipientStatus.REFUSED
