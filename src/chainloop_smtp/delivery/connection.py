"""Commands -> replies over one TCP connection.

RFC 5321 section 4.2 (replies), RFC 2920 (command pipelining), RFC 3207 (STARTTLS). Nothing here
knows what a command means; what the server says is bounded in length, in lines and in time, and
comes out printable.
"""

import socket
import ssl
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from chainloop_smtp.delivery import tls
from chainloop_smtp.delivery.deadline import Deadline
from chainloop_smtp.delivery.dialing import dial, own_name, place
from chainloop_smtp.delivery.echo import Blotter
from chainloop_smtp.delivery.failures import GREETING, IMPLICIT_HINT, failure
from chainloop_smtp.errors import DeliveryError, Problem
from chainloop_smtp.model import Proxy, Reply

# RFC 5321 section 4.5.3.1.5 says 512 octets a line; servers with long names or links write more.
_LONGEST_LINE = 4096
_LONGEST_REPLY = 64 * 1024
_CHUNK = 64 * 1024
# RFC 8446 section 5.1: how a record begins that says what is wrong, to those who speak no TLS.
_ALERT = b"\x15\x03"


class Connection:
    """One connection, from the TCP handshake to its end.

    Attributes:
        round_trips: Waits for the other side so far; the TCP handshake is the first.
        tls: Protocol and cipher, such as ``TLSv1.3 TLS_AES_256_GCM_SHA384``; empty in clear.
        lines: The last reply's lines without their codes, as they came: for parsing, not showing.
        unsent: Octets of the last `write` that never left for the other side.
    """

    def __init__(
        self,
        host: str,
        port: int,
        deadline: Deadline,
        proxy: Proxy | None = None,
        secrets: Sequence[bytes] = (),
    ) -> None:
        """Connects, trying each of the host's addresses in turn.

        Args:
            proxy: None: directly.
            secrets: What is blotted out of replies, should the server echo it.

        Raises:
            DeliveryError: No address, or not the proxy, could be reached.
        """
        self.where = place(host, port)
        self.round_trips = 1
        self.tls = ""
        self.lines: list[bytes] = []
        self.unsent = 0
        self._host = host.removesuffix(".")
        self._deadline = deadline
        self._blotter = Blotter()
        self.conceal(*secrets)
        self._buffer = b""
        self._must_wait = True
        self._socket, self._peer_address = dial(self._host, port, proxy, deadline)
        # Asked now: a socket forgets both ends as soon as the other side resets it.
        self._own_address: str = self._socket.getsockname()[0].partition("%")[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()

    @property
    def is_loopback(self) -> bool:
        """The other end is this machine; nobody knows that of what is behind a proxy."""
        import ipaddress

        if not self._peer_address:
            return False
        peer = ipaddress.ip_address(self._peer_address)
        mapped = getattr(peer, "ipv4_mapped", None)
        return (mapped or peer).is_loopback

    @property
    def own_name(self) -> str:
        """What this end calls itself in EHLO."""
        return own_name(socket.gethostname(), self._own_address)

    def conceal(self, *secrets: bytes) -> None:
        """Blots these out of replies too, from here on."""
        self._blotter.add(*secrets)

    def printable(self, text: str) -> str:
        """What the server says, without our secrets and without control characters."""
        # Blotted before anything is changed or cut, or a secret would not look like itself.
        text = self._blotter.blotted(text)
        return "".join(c if c.isprintable() else " " for c in text)

    def start_tls(self, context: ssl.SSLContext, fingerprint: str = "") -> None:
        """The TLS handshake; certificate and host name are checked by the context, or by a pin.

        Args:
            fingerprint: SHA-256 that the certificate has to have; empty: the context decides.

        Raises:
            DeliveryError: The handshake failed, the certificate is another one, or the server sent
                bytes ahead of it.
        """
        if self._buffer:
            # RFC 3207 section 5: what came in clear must not count as said inside TLS.
            raise self._error(
                "the server sent more than its reply to STARTTLS before TLS began",
                "Somebody between you and the server may be injecting commands.",
            )
        try:
            self._socket.settimeout(self._deadline.step())
            # For an IP literal, Python sends no server name (RFC 6066 section 3) and checks the
            # certificate for the address.
            secured = context.wrap_socket(self._socket, server_hostname=self._host)
        except OSError as error:
            raise self._network_error("TLS handshake", error) from error
        self._socket = secured
        if secured.version() is None:
            # A reset that comes before wrap_socket makes it return without any handshake.
            raise self._error("the server closed the connection before the TLS handshake")
        if fingerprint and (found := tls.fingerprint(secured)) != fingerprint:
            raise self._error(
                f"the server's certificate has the SHA-256 fingerprint {found}, not the pinned one",
                "If its operator confirms that it is new, write it into tls-fingerprint.",
            )
        self._must_wait = True
        cipher = secured.cipher()
        self.tls = f"{secured.version()} {cipher[0] if cipher else ''}".strip()
        # A full TLS 1.3 handshake takes one round trip, TLS 1.2 two (RFC 8446 section 2).
        self.round_trips += 1 if secured.version() == "TLSv1.3" else 2

    def exchange(self, *commands: bytes) -> list[Reply]:
        """Sends the commands as one group (RFC 2920) and reads a reply for each.

        Args:
            commands: Without their line ends. More than one only if the server offers PIPELINING.
        """
        self.write(b"".join(command + b"\r\n" for command in commands))
        replies = []
        for _ in commands:
            replies.append(self.read())
            if replies[-1].code == 421:
                # RFC 5321 section 3.8: said to any command, and the connection ends with it.
                raise self._error(f"the server ends the session: {replies[-1]}")
        return replies

    def write(self, octets: bytes) -> None:
        """Sends octets as they are.

        Raises:
            DeliveryError: The connection broke, or a deadline passed.
        """
        self._must_wait = True
        self.unsent = len(octets)
        view = memoryview(octets)
        try:
            while self.unsent:
                # Not sendall: over TLS it takes the time anew for every record.
                self._socket.settimeout(self._deadline.step())
                start = len(octets) - self.unsent
                self.unsent -= self._socket.send(view[start : start + _CHUNK])
        except OSError as error:
            raise self._network_error("sending", error) from error

    def read(self, patience: float | None = None) -> Reply:
        """One reply, all its lines.

        Args:
            patience: Seconds to wait for the whole of it, where that is less than the deadline.

        Raises:
            DeliveryError: The connection broke, a deadline passed, or this is no SMTP reply.
        """
        until = None if patience is None else self._deadline.after(patience)
        lines: list[bytes] = []
        size = 0
        while True:
            line = self._read_line(until)
            size += len(line)
            if size > _LONGEST_REPLY:
                raise self._error(f"the server's reply is longer than {_LONGEST_REPLY} octets")
            if len(line) < 3 or not line[:3].isdigit() or line[3:4] not in (b"", b" ", b"-"):
                raise self._error(
                    f"the server does not speak SMTP: {self.printable(_decoded(line))[:60]}",
                    "Is this the port of a mail server's submission service (587 or 465)?",
                )
            lines.append(line)
            if line[3:4] != b"-":
                return self._reply(lines)

    def _read_line(self, until: float | None) -> bytes:
        """One line without its end."""
        while b"\n" not in self._buffer[: _LONGEST_LINE + 1]:
            if len(self._buffer) > _LONGEST_LINE:
                raise self._error(f"the server's line is longer than {_LONGEST_LINE} octets")
            try:
                self._socket.settimeout(self._deadline.step(until))
                octets = self._socket.recv(_CHUNK)
            except OSError as error:
                during = "waiting for a reply" if self.lines else GREETING
                raise self._network_error(during, error) from error
            if not octets and self._buffer.startswith(_ALERT) and not self.tls:
                raise self._error("the server speaks TLS, and not in clear", IMPLICIT_HINT)
            if not octets:
                hint = "Its log says why; too many connections or a block list are usual."
                is_greeted = bool(self.lines or self.tls)
                raise self._error(
                    "the server closed the connection",
                    hint if is_greeted else f"{hint} {IMPLICIT_HINT}",
                )
            self.round_trips += self._must_wait
            self._must_wait = False
            self._buffer += octets
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.removesuffix(b"\r")

    def _reply(self, lines: list[bytes]) -> Reply:
        self.lines = [line[4:] for line in lines]
        texts = [self.printable(_decoded(line)) for line in self.lines]
        # RFC 2034: the enhanced code stands at the start of every line's text.
        enhanced = texts[-1].partition(" ")[0]
        parts = enhanced.split(".")
        is_enhanced = len(parts) == 3 and parts[0] in "245" and all(p.isdigit() for p in parts)
        if is_enhanced:
            texts = [text.removeprefix(enhanced).lstrip() for text in texts]
        return Reply(
            code=int(lines[-1][:3]),
            enhanced=enhanced if is_enhanced else "",
            text="\n".join(texts).strip(),
        )

    def _error(self, why: str, hint: str = "") -> DeliveryError:
        return DeliveryError(Problem(self.where, why, hint))

    def _network_error(self, during: str, error: OSError) -> DeliveryError:
        return failure(self.where, self._host, during, error)


def _decoded(octets: bytes) -> str:
    """Servers of today write UTF-8 where they do not keep to ASCII."""
    return octets.decode("utf-8", "replace")
