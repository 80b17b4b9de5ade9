"""Bytes -> replies (RFC 5321 section 4.2) -> what they mean for a transaction. No I/O."""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from chainloop_smtp.delivery.hints import Phase
from chainloop_smtp.errors import DeliveryError, Problem
from chainloop_smtp.model.mail import RecipientStatus, Reply

# What a server answers to a command that it offered and does not know, or does not take in a group.
UNKNOWN_COMMAND = (500, 502, 503, 504)
# RFC 5321 section 4.5.3.1.5 says 512 bytes a line; servers with long names or links write more.
_LONGEST_LINE = 4096
_LONGEST_REPLY = 64 * 1024
# RFC 3463 section 2.
_ENHANCED = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}")


class ReplyParser:
    """Parses what a server sends, reply by reply.

    Attributes:
        lines: The last reply's lines without their codes, unredacted: for parsing, not showing.
    """

    def __init__(self, where: str, printable: Callable[[str], str]) -> None:
        """Start empty.

        Args:
            where: ``host:port``, for errors.
            printable: Redacts and drops control characters.
        """
        self.lines: list[bytes] = []
        self._where = where
        self._printable = printable
        self._buffer = b""
        self._complete_lines: list[bytes] = []
        self._size = 0

    @property
    def is_empty(self) -> bool:
        """Neither a reply nor the beginning of one is waiting."""
        return not self._buffer and not self._complete_lines

    def starts_with(self, prefix: bytes) -> bool:
        """Tell how the incomplete line begins."""
        return self._buffer.startswith(prefix)

    def feed(self, received: bytes) -> None:
        """Add bytes as they arrive."""
        self._buffer += received

    def take(self) -> Reply | None:
        """The next reply, all its lines; None while it is incomplete.

        Raises:
            DeliveryError: It is not an SMTP reply, or too long.
        """
        while (line := self._line()) is not None:
            self._size += len(line)
            if self._size > _LONGEST_REPLY:
                raise self._error(f"the server's reply is longer than {_LONGEST_REPLY} bytes")
            if len(line) < 3 or not line[:3].isdigit() or line[3:4] not in (b"", b" ", b"-"):
                raise self._error(
                    f"the server does not speak SMTP: {self._printable(_decoded(line))[:60]}",
                    "Is this the port of a mail server's submission service (587 or 465)?",
                )
            self._complete_lines.append(line)
            if line[3:4] != b"-":
                return self._reply()
        return None

    def _line(self) -> bytes | None:
        line, end, rest = self._buffer.partition(b"\n")
        if len(line) > _LONGEST_LINE:
            raise self._error(f"the server's line is longer than {_LONGEST_LINE} bytes")
        if not end:
            return None
        self._buffer = rest
        return line.removesuffix(b"\r")

    def _reply(self) -> Reply:
        complete, self._complete_lines, self._size = self._complete_lines, [], 0
        self.lines = [line[4:] for line in complete]
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
        return Reply(code=int(complete[-1][:3]), enhanced=enhanced, text="\n".join(texts).strip())

    def _error(self, why: str, hint: str = "") -> DeliveryError:
        return DeliveryError(Problem(self._where, why, hint))


def _decoded(line: bytes) -> str:
    # Today's servers write UTF-8 where they do not keep to ASCII.
    return line.decode("utf-8", "replace")


class Decision(NamedTuple):
    """The reply that decides for some recipients, and what it answers."""

    recipients: tuple[str, ...]
    phase: Phase
    reply: Reply


class TransactionReplies:
    """The replies to one transaction's commands; None, or a shorter tuple, until they are read.

    Attributes:
        recipients: Whom the transaction is for, in the order of their RCPT.
        mail_from: To MAIL.
        rcpt_to: To each RCPT.
        data: To DATA, where the server does not ask for the content.
        content: To the end of the content.
    """

    def __init__(self, recipients: tuple[str, ...]) -> None:
        self.recipients = recipients
        self.mail_from: Reply | None = None
        self.rcpt_to: tuple[Reply, ...] = ()
        self.data: Reply | None = None
        self.content: Reply | None = None

    @property
    def refusals(self) -> Iterator[Decision]:
        """What MAIL and RCPT decide against recipients."""
        if self.mail_from and not is_positive(self.mail_from):
            yield Decision(self.recipients, Phase.MAIL, self.mail_from)
            return
        for recipient, reply in self._answered:
            if not is_positive(reply):
                yield Decision((recipient,), Phase.RCPT, reply)

    @property
    def content_decision(self) -> Decision | None:
        """What the reply to DATA or to the content decides for the accepted recipients."""
        reply = self.data or self.content
        return Decision(self.accepted, Phase.DATA, reply) if reply and self.accepted else None

    @property
    def rcpt_accepted(self) -> tuple[str, ...]:
        """Recipients whose RCPT got a positive reply."""
        return tuple(recipient for recipient, reply in self._answered if is_positive(reply))

    @property
    def accepted(self) -> tuple[str, ...]:
        """Recipients who get the mail if its content is accepted."""
        return self.rcpt_accepted if self.mail_from and is_positive(self.mail_from) else ()

    @property
    def undecided(self) -> tuple[str, ...]:
        """Recipients that the server has not refused, as far as it has answered."""
        if self.mail_from and not is_positive(self.mail_from):
            return ()
        return self.rcpt_accepted + self.recipients[len(self.rcpt_to) :]

    @property
    def is_content_accepted(self) -> bool:
        """The content got a positive reply, and so did a recipient before it."""
        return bool(self.content and is_positive(self.content) and self.rcpt_accepted)

    @property
    def is_deferred(self) -> bool:
        """The sender got a 4xx: not this mail, or no further one on this connection."""
        return self.mail_from is not None and status_of(self.mail_from) is RecipientStatus.DEFERRED

    @property
    def last_about_all(self) -> tuple[Phase, Reply] | None:
        """The last reply about the mail as a whole."""
        if reply := self.data or self.content:
            return Phase.DATA, reply
        return (Phase.MAIL, self.mail_from) if self.mail_from else None

    def broken_extensions(self, *, is_chunked: bool) -> frozenset[str]:
        """Extensions whose commands the server does not know, or does not take in a group.

        Such a reply is not about the mail, so the mail is tried again without the extensions.

        Args:
            is_chunked: The content went by BDAT.
        """
        if self.mail_from is None or self.is_content_accepted:
            return frozenset()
        envelope = [self.mail_from, *(self.rcpt_to if is_positive(self.mail_from) else ())]
        envelope += [self.data] if self.data else []
        if any(map(is_unknown_command, envelope)):
            return frozenset({"PIPELINING", "CHUNKING"})
        is_unknown = self.content is not None and is_unknown_command(self.content)
        return frozenset({"CHUNKING"} if is_chunked and self.accepted and is_unknown else ())

    @property
    def _answered(self) -> Iterator[tuple[str, Reply]]:
        return zip(self.recipients, self.rcpt_to, strict=False)


def is_unknown_command(reply: Reply) -> bool:
    """The server does not know the command, or does not take it in a group.

    RFC 3463 section 3.8: X.7 is a rule of the server, whatever code stands before it; Brevo says
    502 5.7.0 to those who have not logged in.
    """
    return reply.code in UNKNOWN_COMMAND and not reply.enhanced.startswith("5.7.")


def is_positive(reply: Reply) -> bool:
    """RFC 5321 section 4.2.1: 2yz."""
    return 200 <= reply.code < 300


def status_of(reply: Reply) -> RecipientStatus:
    """RFC 5321 section 4.2.1: what the first digit means."""
    if is_positive(reply):
        return RecipientStatus.ACCEPTED
    return RecipientStatus.DEFERRED if 400 <= reply.code < 500 else RecipientStatus.REFUSED


def status_of_error(error: DeliveryError) -> RecipientStatus:
    """What an error means for the recipients who do not get their mail because of it."""
    return RecipientStatus.DEFERRED if error.is_temporary else RecipientStatus.REFUSED
