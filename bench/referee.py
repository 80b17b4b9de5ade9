"""A strict ESMTP server that keeps nothing and counts everything, behind a line with a delay.

    python bench/referee.py FOLDER [--rtt SECONDS] [--implicit] [--without EXTENSION …]

FOLDER holds ``server.pem``. The first line printed is the port; then comes one JSON line for each
session: its round trips, its mails and its violations of the protocol. A round trip is the TCP
handshake, that of TLS 1.3, and every time that the client waits for a reply: what comes in sooner
than a round trip after a reply was on its way without it, and is no wait. What a client must
not do is written down, and answered as if it had been right.
"""

import argparse
import asyncio
import json
import math
import select
import socket
import socketserver
import ssl
import threading
import time
from contextlib import suppress
from pathlib import Path

# RFC 2920 section 3.1: these end a group, whatever it is.
_LAST = ("EHLO", "HELO", "STARTTLS", "DATA", "NOOP", "VRFY", "EXPN")
# How long the rest of a group may take to come in; far below any delay that is measured.
_PATIENCE = 0.003


class Sink(socketserver.ThreadingTCPServer):
    """Listens on loopback and prints a line for each session."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(
        self, context: ssl.SSLContext, extensions: tuple[str, ...], rtt: float, implicit: bool
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.context = context
        self.extensions = extensions
        self.rtt = rtt
        self.patience = _PATIENCE if rtt else 0.0
        self.implicit = implicit


class _Handler(socketserver.BaseRequestHandler):
    server: Sink

    def handle(self) -> None:
        session = _Session(self.request, self.server)
        session.run()
        report = {
            "roundTrips": session.trips,
            "mails": session.mails,
            "violations": sorted(set(session.violations)),
        }
        print(json.dumps(report), flush=True)


class _Session:
    """One connection, from the greeting to its end."""

    def __init__(self, connection: socket.socket, server: Sink) -> None:
        self.trips = 1
        self.mails = 0
        self.violations: list[str] = []
        self._server = server
        self._socket = connection
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._input = b""
        self._output = b""
        self._is_secure = self._is_in = False
        self._recipients = 0
        self._answered = -math.inf

    def run(self) -> None:
        try:
            if self._server.implicit:
                self._secure()
            self._reply("220 sink.test ESMTP")
            while True:
                line = self._line().decode("ascii", "replace")
                verb, _, rest = line.partition(" ")
                if not self._obey(verb.upper(), rest):
                    break
            self._flush()
        except EOFError:
            self.violations.append("the connection ends without QUIT")
        except OSError as error:
            self.violations.append(f"the connection breaks: {error}")
        with suppress(OSError):
            self._socket.close()

    def _obey(self, verb: str, rest: str) -> bool:
        is_last = verb in _LAST or (verb == "AUTH" and not rest.upper().startswith("PLAIN "))
        if (is_last or "PIPELINING" not in self._server.extensions) and self._is_more(0):
            self.violations.append(f"more follows {verb} before its reply")
        if verb == "EHLO":
            offered = [*self._server.extensions, "8BITMIME", "SIZE 50000000", "SMTPUTF8"]
            offered += ["AUTH PLAIN LOGIN"] if self._is_secure else ["STARTTLS"]
            lines = ["sink.test", *offered]
            self._reply(*(f"250-{each}" for each in lines[:-1]), f"250 {lines[-1]}")
        elif verb == "STARTTLS":
            self._reply("220 2.0.0 Go ahead")
            self._flush()
            self._secure()
        elif verb == "AUTH":
            self._log_in(rest)
        elif verb in ("MAIL", "RCPT", "DATA", "BDAT") and not self._is_in:
            self.violations.append(f"{verb} before AUTH")
            self._reply("530 5.7.0 Authentication required")
        elif verb in ("MAIL", "RCPT"):
            self._recipients = 0 if verb == "MAIL" else self._recipients + 1
            self._reply("250 2.1.0 Ok")
        elif verb in ("DATA", "BDAT"):
            self._take(verb, rest)
        elif verb == "QUIT":
            self._reply("221 2.0.0 Bye")
            return False
        elif verb == "RSET":
            self._reply("250 2.0.0 Ok")
        else:
            self.violations.append(f"no such command: {verb[:20]}")
            self._reply("500 5.5.2 What?")
        return True

    def _log_in(self, rest: str) -> None:
        if not self._is_secure:
            self.violations.append("AUTH in clear")
        mechanism, _, initial = rest.partition(" ")
        prompts = ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"] if mechanism == "LOGIN" else ["334 "]
        for prompt in prompts[bool(initial) :]:
            self._reply(prompt)
            self._line()
        self._is_in = True
        self._reply("235 2.7.0 Welcome")

    def _take(self, verb: str, rest: str) -> None:
        if not self._recipients:
            self.violations.append(f"{verb} without a recipient")
        if verb == "DATA":
            self._reply("354 Go on")
            content = self._until(b"\r\n.\r\n")
        else:
            if "CHUNKING" not in self._server.extensions:
                self.violations.append("BDAT where it is not offered")
            content = self._exactly(int(rest.split()[0]))
        if not content.count(b"\r") == content.count(b"\n") == content.count(b"\r\n"):
            self.violations.append("a bare CR or LF in the content")
        self.mails += 1
        self._recipients = 0
        self._reply("250 2.0.0 Ok")

    def _secure(self) -> None:
        if self._input:
            self.violations.append("more follows STARTTLS before TLS")
        self._socket = self._server.context.wrap_socket(self._socket, server_side=True)
        self._input = b""
        self._is_secure = True
        self.trips += 1

    def _reply(self, *lines: str) -> None:
        self._output += "".join(f"{line}\r\n" for line in lines).encode("ascii")

    def _flush(self) -> None:
        if self._output:
            self._socket.sendall(self._output)
            self._output = b""
            self._answered = time.monotonic()
            self.trips += 1

    def _is_more(self, patience: float) -> bool:
        if self._input:
            return True
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return True
        return bool(select.select((self._socket,), (), (), patience)[0])

    def _fill(self) -> None:
        if self._output and (self._server.patience == 0 or not self._is_waiting()):
            self._flush()
        octets = self._socket.recv(256 * 1024)
        if not octets:
            raise EOFError
        if time.monotonic() - self._answered < self._server.rtt:
            self.trips -= 1
        self._answered = -math.inf
        self._input += octets

    def _is_waiting(self) -> bool:
        buffered, self._input = self._input, b""
        try:
            return self._is_more(self._server.patience)
        finally:
            self._input = buffered

    def _line(self) -> bytes:
        while b"\n" not in self._input:
            self._fill()
        line, _, self._input = self._input.partition(b"\n")
        if not line.endswith(b"\r"):
            self.violations.append("a command ends in a bare LF")
        return line.removesuffix(b"\r")

    def _until(self, end: bytes) -> bytes:
        start = 0
        while (found := self._input.find(end, start)) < 0:
            start = max(0, len(self._input) - len(end))
            self._fill()
        content, self._input = self._input[: found + 2], self._input[found + len(end) :]
        return content

    def _exactly(self, count: int) -> bytes:
        while len(self._input) < count:
            self._fill()
        content, self._input = self._input[:count], self._input[count:]
        return content


class _Line:
    """A line of a given length: all that is sent arrives half a round trip later."""

    def __init__(self, port: int, rtt: float) -> None:
        self._port = port
        self._rtt = rtt

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # SYN, SYN and ACK, ACK: that is how long it is until the server sees a client.
        await asyncio.sleep(1.5 * self._rtt)
        inner = await asyncio.open_connection("127.0.0.1", self._port)
        await asyncio.gather(
            # What came in while the handshake was under way has had its delay.
            self._carry(reader, inner[1]),
            self._carry(inner[0], writer),
        )

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        clock = asyncio.get_running_loop().time

        async def arrive() -> None:
            octets = b"?"
            while octets:
                due, octets = await under_way.get()
                await asyncio.sleep(max(0.0, due - clock()))
                with suppress(OSError):
                    if octets:
                        writer.write(octets)
                    else:
                        writer.close()

        arriving = asyncio.ensure_future(arrive())
        octets = b"?"
        while octets:
            try:
                octets = await reader.read(256 * 1024)
            except OSError:
                octets = b""
            under_way.put_nowait((clock() + self._rtt / 2, octets))
        await arriving


async def _delayed(port: int, rtt: float) -> None:
    server = await asyncio.start_server(_Line(port, rtt).accept, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """Serves until it is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rtt", type=float, default=0.0)
    parser.add_argument("--implicit", action="store_true")
    parser.add_argument("--without", nargs="*", default=[])
    arguments = parser.parse_args()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(arguments.folder / "server.pem")
    context.num_tickets = 0
    offered = tuple(each for each in ("PIPELINING", "CHUNKING") if each not in arguments.without)
    sink = Sink(context, offered, arguments.rtt, arguments.implicit)
    port = sink.socket.getsockname()[1]
    if arguments.rtt:
        threading.Thread(target=sink.serve_forever, daemon=True).start()
        asyncio.run(_delayed(port, arguments.rtt))
    else:
        print(port, flush=True)
        sink.serve_forever()


if __name__ == "__main__":
    main()
