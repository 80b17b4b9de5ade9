"""A mail server that does everything right until it is told not to, and keeps count.

It speaks ESMTP with PIPELINING, CHUNKING and AUTH PLAIN in clear on loopback, to one client after
the other or to several at once. Octets over 127 are taken where SMTPUTF8 is offered and asked for
(RFC 6531), and nowhere else. A `Fault` spoils connections at an exact octet or reply. What it
has taken is taken before the reply that says so leaves, as on a real server.
"""

import re
import socket
import struct
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

PATIENCE = 60.0
_COMMAND = re.compile(rb"(MAIL FROM|RCPT TO):<(.*?)>.*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong on a connection.

    Attributes:
        said: Octets of replies after which the connection ends.
        heard: Octets of the client after which the connection ends, unread ones with it.
        replies: Replies after which the server says nothing more, and goes on listening.
        is_reset: The connection ends in a reset, and not in order.
        extra: Number of the reply before which one too many is said.
        mails: Mails after which the connection ends without a word.
        answers: Replies that take the place of a command's own, by its first word; or what makes
            one of the command's line.
    """

    said: int | None = None
    heard: int | None = None
    replies: int | None = None
    is_reset: bool = False
    extra: int | None = None
    mails: int | None = None
    answers: Sequence[tuple[bytes, bytes | Callable[[bytes], bytes]]] = ()


GOOD = Fault()


@dataclass(slots=True, kw_only=True)
class Sink:
    """What the server is to do, and what it saw.

    Attributes:
        extensions: What EHLO offers.
        faults: For the first connections, in their order; the others are good.
        always: For connections that have no fault of their own.
        relayed: Recipients that only those who have logged in may mail to.
        most_mails: On one connection; the next MAIL gets `full` then.
        discards: What came with a command, and is none of its content, is thrown away.
        asks_again: AUTH's own response is not looked at; what comes behind it is.
        taken: (recipients, content) of every mail that it answers for, in the order of time.
        said: Octets of replies on each connection.
        heard: Octets of the client on each connection.
        sessions: What each connection's client sent, in clear.
    """

    extensions: Sequence[str] = ("PIPELINING", "CHUNKING", "SIZE 10000000", "AUTH PLAIN")
    faults: Sequence[Fault] = ()
    always: Fault = GOOD
    most_mails: int = 1_000_000
    most_recipients: int = 1_000_000
    full: bytes = b"421 4.7.0 too many mails on this connection\r\n"
    refused: Sequence[str] = ()
    relayed: Sequence[str] = ()
    password: str = "secret"
    needs_login: bool = True
    discards: bool = False
    asks_again: bool = False
    port: int = 0
    taken: list[tuple[tuple[str, ...], bytes]] = field(default_factory=list)
    sessions: list[bytearray] = field(default_factory=list)
    said: list[int] = field(default_factory=list)
    _listener: socket.socket | None = None
    _threads: list[threading.Thread] = field(default_factory=list)
    _open: list[socket.socket] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._listener is not None
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def is_left(self) -> bool:
        """Whether every client has ended its connection."""
        return not any(each.is_alive() for each in self._threads[1:])

    def times(self, mark: bytes) -> int:
        """How often a mail with these octets was taken."""
        return sum(mark in content for _, content in self.taken)

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        assert self._listener is not None
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            number = len(self.sessions)
            self.sessions.append(bytearray())
            self.said.append(0)
            self._open.append(connection)
            fault = self.faults[number] if number < len(self.faults) else self.always
            self._start(_Dialogue(self, number, connection, fault).run)


@contextmanager
def absent() -> Iterator[Sink]:
    """A server that is not there. Nobody else can listen on its port meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield Sink(port=bound.getsockname()[1])


class _EndedError(Exception):
    """The fault has come to pass, or the client has gone."""


class _Dialogue:
    """One connection."""

    def __init__(self, sink: Sink, number: int, connection: socket.socket, fault: Fault) -> None:
        self._sink = sink
        self._number = number
        self._connection = connection
        self._fault = fault
        self._buffer = b""
        self._replies = 0
        self._mails = 0
        self._has_sender = self._is_known = self._is_international = False
        self._recipients: list[str] = []

    def run(self) -> None:
        self._connection.settimeout(PATIENCE)
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._say(b"220 sink ESMTP\r\n")
            while self._obey(self._command()):
                pass
        except (_EndedError, OSError):
            pass
        finally:
            if self._fault.is_reset:
                linger = struct.pack("ii", 1, 0)
                self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self._connection.close()

    def _obey(self, line: bytes) -> bool:
        """Answers one command; whether the session goes on."""
        word = line.split(b" ")[0].split(b":")[0].upper()
        for start, answer in self._fault.answers:
            if word == start:
                reply = answer(line) if callable(answer) else answer
                self._say(reply)
                return not reply.startswith(b"421")
        if word == b"EHLO":
            lines = ["sink", *self._sink.extensions]
            marks = "-" * (len(lines) - 1) + " "
            self._say("".join(f"250{m}{x}\r\n" for m, x in zip(marks, lines, strict=True)).encode())
        elif word == b"AUTH":
            response = line.split(b" ")[-1]
            if self._sink.asks_again:
                self._say(b"334 \r\n")
                response = self._line()
                if not re.fullmatch(b"[A-Za-z0-9+/=]+", response):
                    self._say(b"501 5.5.2 no base64\r\n")
                    return True
            self._is_known = b64decode(response).endswith(self._sink.password.encode())
            self._say(b"235 2.7.0 welcome\r\n" if self._is_known else b"535 5.7.8 no\r\n")
        elif word == b"MAIL":
            if self._mails >= self._sink.most_mails:
                self._say(self._sink.full)
                return not self._sink.full.startswith(b"421")
            if self._sink.needs_login and not self._is_known:
                self._say(b"530 5.7.0 authentication required\r\n")
                return True
            self._is_international = b"SMTPUTF8" in line.split(b" ")
            if self._is_international and "SMTPUTF8" not in self._sink.extensions:
                self._say(b"555 5.5.4 what is SMTPUTF8?\r\n")
                return True
            if not (line.isascii() or self._is_international):
                self._say(b"553 5.6.7 an address beyond ASCII\r\n")
                return True
            self._say(b"503 5.5.1 nested\r\n" if self._has_sender else b"250 2.1.0 ok\r\n")
            self._has_sender = True
        elif word == b"RCPT":
            self._rcpt(line)
        elif word == b"DATA":
            self._data()
        elif word == b"BDAT" and "CHUNKING" in self._sink.extensions:
            self._take(self._octets(int(line.split(b" ")[1])))
        elif word == b"RSET":
            self._reset()
            self._say(b"250 2.0.0 ok\r\n")
        elif word == b"QUIT":
            self._say(b"221 2.0.0 bye\r\n")
            return False
        else:
            self._say(b"500 5.5.1 what?\r\n")
        return True

    def _rcpt(self, line: bytes) -> None:
        found = _COMMAND.fullmatch(line)
        address = found[2].decode() if found else ""
        if not self._has_sender:
            self._say(b"503 5.5.1 no sender\r\n")
        elif len(self._recipients) >= self._sink.most_recipients:
            self._say(b"452 4.5.3 too many recipients\r\n")
        elif not (line.isascii() or self._is_international):
            self._say(b"553 5.6.7 an address beyond ASCII\r\n")
        elif address in self._sink.refused:
            self._say(b"550 5.1.1 nobody\r\n")
        elif address in self._sink.relayed and not self._is_known:
            self._say(b"554 5.7.1 relay access denied\r\n")
        else:
            self._recipients.append(address)
            self._say(b"250 2.1.5 ok\r\n")

    def _data(self) -> None:
        if not self._recipients:
            self._say(b"503 5.5.1 no recipients\r\n")
            return
        self._say(b"354 go on\r\n")
        content = b""
        while not content.endswith(b"\r\n.\r\n"):
            content += self._line() + b"\r\n"
        self._take(content[:-3].replace(b"\r\n..", b"\r\n."))

    def _take(self, content: bytes) -> None:
        """The mail is ours before anybody hears of it."""
        if not self._recipients:
            self._say(b"503 5.5.1 no recipients\r\n")
            return
        if not (content.isascii() or self._is_international):
            self._say(b"554 5.6.7 a header beyond ASCII\r\n")
            return
        self._sink.taken.append((tuple(self._recipients), content))
        self._mails += 1
        self._reset()
        self._say(b"250 2.0.0 queued\r\n")
        if self._mails == self._fault.mails:
            raise _EndedError

    def _reset(self) -> None:
        self._has_sender = False
        self._recipients = []

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            self._hear()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def _command(self) -> bytes:
        line = self._line()
        if self._sink.discards:
            self._buffer = b""
        return line

    def _octets(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._hear()
        octets, self._buffer = self._buffer[:count], self._buffer[count:]
        return octets

    def _hear(self) -> None:
        heard = self._sink.sessions[self._number]
        room = 1 << 16 if self._fault.heard is None else self._fault.heard - len(heard)
        octets = self._connection.recv(room) if room else b""
        if not octets:
            raise _EndedError
        heard += octets
        self._buffer += octets

    def _say(self, reply: bytes) -> None:
        if self._replies == self._fault.replies:
            while octets := self._connection.recv(1 << 16):
                self._sink.sessions[self._number] += octets
            raise _EndedError
        if self._replies == self._fault.extra:
            self._connection.sendall(b"250 2.0.0 one too many\r\n")
        self._replies += 1
        if self._fault.said is not None:
            reply = reply[: self._fault.said - self._sink.said[self._number]]
        self._connection.sendall(reply)
        self._sink.said[self._number] += len(reply)
        if self._sink.said[self._number] == self._fault.said:
            raise _EndedError
