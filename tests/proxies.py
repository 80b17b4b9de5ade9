"""Two small real proxies on loopback: HTTP CONNECT and SOCKS5, with a login or without.

Both look names up themselves, in a table of the test's own, and keep what they were asked for.
"""

import socket
import struct
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

PATIENCE = 20.0


@dataclass(slots=True, kw_only=True)
class Tunnel:
    """A proxy, and what it saw.

    Attributes:
        hosts: Where each name leads: an address and a port; one that is absent is refused.
        login: User and password that are asked for; None: everybody may.
        joins: Waits for the server's first words, and says them in one breath with its own answer.
        asked: ``host:port`` of every request, as the client wrote it.
        answer: Said instead of anything else; empty: what is right.
    """

    hosts: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    login: tuple[str, str] | None = None
    joins: bool = False
    asked: list[str] = field(default_factory=list)
    answer: bytes = b""
    port: int = 0

    @contextmanager
    def http(self) -> Iterator["Tunnel"]:
        """CONNECT (RFC 9110 section 9.3.6)."""
        with self._listening(self._http):
            yield self

    @contextmanager
    def socks5(self) -> Iterator["Tunnel"]:
        """RFC 1928 and RFC 1929."""
        with self._listening(self._socks5):
            yield self

    @contextmanager
    def _listening(self, serve: Callable[[socket.socket], None]) -> Iterator[None]:
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]

        def run() -> None:
            with suppress(OSError, EOFError):
                client, _ = listener.accept()
                with client:
                    client.settimeout(PATIENCE)
                    serve(client)

        thread = threading.Thread(target=run, name="proxy")
        thread.start()
        try:
            yield
        finally:
            # Wakes up one that nobody has come to.
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            thread.join(2 * PATIENCE)
            listener.close()

    def _http(self, client: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += _exactly(client, 1)
        request, *lines = head.decode("ascii").split("\r\n")
        target = request.split()[1]
        self.asked.append(target)
        if self.answer:
            client.sendall(self.answer)
            return
        if self.login:
            pair = b64encode(":".join(self.login).encode()).decode()
            if f"Proxy-Authorization: Basic {pair}" not in lines:
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                return
        host = target.rpartition(":")[0].strip("[]")
        if host not in self.hosts:
            client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(self.hosts[host], PATIENCE) as server:
            said = server.recv(4096) if self.joins else b""
            client.sendall(b"HTTP/1.1 200 OK\r\nProxy-Agent: test\r\n\r\n" + said)
            _relay(client, server)

    def _socks5(self, client: socket.socket) -> None:
        if self.answer:
            _exactly(client, 3)
            client.sendall(self.answer)
            return
        _, count = _exactly(client, 2)
        methods = _exactly(client, count)
        wanted = 2 if self.login else 0
        if wanted not in methods:
            client.sendall(b"\x05\xff")
            return
        client.sendall(bytes((5, wanted)))
        if self.login:
            _exactly(client, 1)
            given = tuple(_exactly(client, _exactly(client, 1)[0]).decode() for _ in range(2))
            client.sendall(b"\x01\x00" if given == self.login else b"\x01\x01")
            if given != self.login:
                return
        _, _, _, kind = _exactly(client, 4)
        if kind == 3:
            host = _exactly(client, _exactly(client, 1)[0]).decode("ascii")
        else:
            family, length = (socket.AF_INET, 4) if kind == 1 else (socket.AF_INET6, 16)
            host = socket.inet_ntop(family, _exactly(client, length))
        (port,) = struct.unpack("!H", _exactly(client, 2))
        self.asked.append(f"{host}:{port}")
        code = b"\x00" if host in self.hosts else b"\x04"
        client.sendall(b"\x05" + code + b"\x00\x01" + bytes(6))
        if host in self.hosts:
            with socket.create_connection(self.hosts[host], PATIENCE) as server:
                _relay(client, server)


def _exactly(connection: socket.socket, count: int) -> bytes:
    octets = b""
    while len(octets) < count:
        more = connection.recv(count - len(octets))
        if not more:
            raise EOFError
        octets += more
    return octets


def _relay(client: socket.socket, server: socket.socket) -> None:
    """Both ways, until both sides have said all."""

    def pour(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while octets := source.recv(65536):
                sink.sendall(octets)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    back = threading.Thread(target=pour, args=(server, client))
    back.start()
    pour(client, server)
    back.join(PATIENCE)
