"""Commands -> replies over one TCP connection. The only module that opens a socket.

RFC 5321 section 4.2 (replies), RFC 2920 (command pipelining), RFC 3207 (STARTTLS). Nothing here
knows what a command means; what the server says is bounded in length, in lines and in time, and
comes out printable.
"""

import socket
import ssl
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from chainloop_smtp.delivery.deadline import Deadline
from chainloop_smtp.errors import DeliveryError, OptionsError, Problem, quoted
from chainloop_smtp.model import Reply

# RFC 5321 section 4.5.3.1.5 says 512 octets a line; servers with long names or links write more.
_LONGEST_LINE = 4096
_LONGEST_REPLY = 64 * 1024
_CHUNK = 64 * 1024


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
        secrets: Sequence[str] = (),
    ) -> None:
        """Connects, trying each of the host's addresses in turn.

        Args:
            secrets: What is blotted out of replies, should the server echo it.

        Raises:
            DeliveryError: No address could be reached.
        """
        self.where = place(host, port)
        self.round_trips = 1
        self.tls = ""
        self.lines: list[bytes] = []
        self.unsent = 0
        self._host = host.removesuffix(".")
        self._deadline = deadline
        self._secrets = secrets
        self._buffer = b""
        self._must_wait = True
        self._socket: socket.socket = self._connect(port)
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
        """The other end is this machine."""
        import ipaddress

        peer = ipaddress.ip_address(self._peer_address)
        mapped = getattr(peer, "ipv4_mapped", None)
        return (mapped or peer).is_loopback

    @property
    def own_literal(self) -> str:
        """This end as an address literal (RFC 5321 section 4.1.3), which any server must take."""
        address = self._own_address
        return f"[IPv6:{address}]" if ":" in address else f"[{address}]"

    def start_tls(self, context: ssl.SSLContext) -> None:
        """The TLS handshake; certificate and host name are checked by the context.

        Raises:
            DeliveryError: The handshake failed, or the server sent bytes ahead of it.
        """
        if self._buffer:
            # RFC 3207 section 5: what came in clear must not count as said inside TLS.
            raise self._error(
                "the server sent more than its reply to STARTTLS before TLS began",
                "Somebody between you and the server may be injecting commands.",
            )
        try:
            self._socket.settimeout(self._deadline.step())
            secured = context.wrap_socket(self._socket, server_hostname=self._host)
        except OSError as error:
            raise self._network_error("TLS handshake", error) from error
        self._socket = secured
        if secured.version() is None:
            # A reset that comes before wrap_socket makes it return without any handshake.
            raise self._error("the server closed the connection before the TLS handshake")
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
                    f"the server does not speak SMTP: {self._printable(line)[:60]}",
                    "Is this the port of a mail server's submission service (587 or 465)?",
                )
            lines.append(line)
            if line[3:4] != b"-":
                return self._reply(lines)

    def _connect(self, port: int) -> socket.socket:
        """To the first of the host's addresses that answers, all within the one deadline."""
        try:
            found = socket.getaddrinfo(self._host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise self._network_error("connecting", error) from error
        failure = OSError("it has no address")
        for family, kind, protocol, _, address in found:
            seconds = self._deadline.step()
            try:
                connected = _opened(socket.socket(family, kind, protocol), address, seconds)
            except OSError as error:
                failure = error
            else:
                self._peer_address = str(address[0]).partition("%")[0]
                return connected
        raise self._network_error("connecting", failure) from failure

    def _read_line(self, until: float | None) -> bytes:
        """One line without its end."""
        while b"\n" not in self._buffer[: _LONGEST_LINE + 1]:
            if len(self._buffer) > _LONGEST_LINE:
                raise self._error(f"the server's line is longer than {_LONGEST_LINE} octets")
            try:
                self._socket.settimeout(self._deadline.step(until))
                octets = self._socket.recv(_CHUNK)
            except OSError as error:
                raise self._network_error("waiting for a reply", error) from error
            if not octets:
                raise self._error(
                    "the server closed the connection",
                    "Its log says why; too many connections or a block list are usual.",
                )
            self.round_trips += self._must_wait
            self._must_wait = False
            self._buffer += octets
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.removesuffix(b"\r")

    def _reply(self, lines: list[bytes]) -> Reply:
        self.lines = [line[4:] for line in lines]
        texts = [self._printable(line) for line in self.lines]
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

    def _printable(self, octets: bytes) -> str:
        text = octets.decode("utf-8", "replace")
        # Before anything is changed or cut, or a secret would no longer look like itself.
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return "".join(c if c.isprintable() else " " for c in text)

    def _error(self, why: str, hint: str = "") -> DeliveryError:
        return DeliveryError(Problem(self.where, why, hint))

    def _network_error(self, during: str, error: OSError | UnicodeError) -> DeliveryError:
        """What the operating system or OpenSSL said, for somebody who knows neither."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return self._error(
                f"the server's certificate is not trusted: {error.verify_message.rstrip('.')}",
                "A private certificate authority belongs into tls-ca-file. The certificate has to "
                f"name {self._host} exactly.",
            )
        if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
            return self._error(f"the server closed the connection, {during}")
        if isinstance(error, ssl.SSLError):
            reason = (error.reason or "unknown").lower().replace("_", " ")
            return self._error(
                f"TLS failed during {during}: {reason}",
                "A port that wants STARTTLS (587) takes tls: starttls; one that speaks TLS at once "
                "(465) takes tls: implicit."
                if "wrong version number" in reason or "record layer" in reason
                else "",
            )
        if isinstance(error, TimeoutError):
            return self._error(
                f"no answer in time, {during}",
                "Is the port right and open from here? Hosted runners cannot reach port 25, and a "
                "server that speaks TLS at once needs tls: implicit.",
            )
        if isinstance(error, (socket.gaierror, UnicodeError)):
            return self._error("the host name cannot be resolved", "Check the spelling of host.")
        if isinstance(error, ConnectionRefusedError):
            return self._error("the connection was refused", "Is the port right? Usual: 587, 465.")
        return self._error(f"the connection failed, {during}: {error.strerror or error}")


def place(host: str, port: int) -> str:
    """``host:port``, the host in brackets where it is an IPv6 literal."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _opened(unconnected: socket.socket, address: Any, seconds: float) -> socket.socket:
    """The socket, connected; closed where that fails."""
    try:
        unconnected.settimeout(seconds)
        unconnected.connect(address)
        # Without it, a group of more than one TLS record waits for a delayed ACK: 40 ms each.
        unconnected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:
        unconnected.close()
        raise
    return unconnected


def tls_context(ca_file: str) -> ssl.SSLContext:
    """A context that checks certificate and host name, trusting the system and ``ca_file``.

    Args:
        ca_file: Path of a PEM file; empty: the system's authorities only.

    Raises:
        OptionsError: The file cannot be read or holds no certificate.
    """
    context = ssl.create_default_context()
    # RFC 8996: TLS 1.0 and 1.1 are not to be used.
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file:
        _trust(ca_file, context)
    return context


def check_authorities(ca_file: str) -> None:
    """Finds out early, and without a connection, whether ``tls-ca-file`` is usable.

    Raises:
        OptionsError: It is not.
    """
    if ca_file:
        _trust(ca_file, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


def _trust(ca_file: str, context: ssl.SSLContext) -> None:
    """Adds the authorities of a PEM file.

    Raises:
        OptionsError: The file cannot be read or holds no certificate.
    """
    try:
        context.load_verify_locations(cafile=ca_file)
    except ssl.SSLError as error:
        why = f"{quoted(ca_file)} holds no PEM certificate"
        raise OptionsError(Problem("tls-ca-file", why)) from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "not a path"
        why = f"{quoted(ca_file)} cannot be read: {why.lower()}"
        raise OptionsError(Problem("tls-ca-file", why)) from error
