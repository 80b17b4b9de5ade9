"""Octets -> replies (RFC 5321 section 4.2), bounded and printable. No I/O."""

import re
from collections.abc import Callable

from chainloop_smtp.errors import DeliveryError, Problem
from chainloop_smtp.model.mail import Reply

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
