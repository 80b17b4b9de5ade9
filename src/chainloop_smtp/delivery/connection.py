"""Commands -> replies over one TCP connection.

RFC 2920 (command pipelining), RFC 3207 (STARTTLS). Nothing here knows what a command means. Both
directions are served at once: a server may speak while it is still being spoken to, and neither
side can wait for the other for ever.
"""

import select
import socket
import ssl
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from chainloop_smtp.delivery import tls
from chainloop_smtp.delivery.dialing import (
    IMPLICIT_HINT,
    Activity,
    Deadline,
    Rotation,
    dial,
    host_port,
    network_error,
    own_name,
)
from chainloop_smtp.delivery.replies import ReplyParser
from chainloop_smtp.errors import DeliveryError, Problem
from chainloop_smtp.model.mail import Reply
from chainloop_smtp.model.settings import Proxy
from chainloop_smtp.secrets import Redactor

_CHUNK = 64 * 1024
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
# RFC 8446 section 5.1: how a record begins that says what is wrong, to those who speak no TLS.
_ALERT = b"\x15\x03"


class GoodbyeError(DeliveryError):
    """421: the server ends the session, and has read nothing after the command it replies to.

    RFC 5321 section 3.8: it may be the reply to any command.
    """

    def __init__(
        self, where: str, reply: Reply, hint: str = "", *, is_temporary: bool = True
    ) -> None:
        problem = Problem(where, f"the server ends the session: {reply}", hint)
        super().__init__(problem, is_temporary=is_temporary)
        self.reply = reply


class Connection:
    """One connection, from the TCP handshake to its end.

    Attributes:
        where: ``host:port``, for errors.
        round_trips: Waits for the other side so far; the TCP handshake is the first.
        tls: Protocol, such as ``TLSv1.3``; empty in clear.
        cipher: Such as ``TLS_AES_256_GCM_SHA384``; empty in clear.
        certificate: SHA-256 of the server's certificate (DER), hex; empty in clear.
        address: IP address of the other end; empty behind a proxy.
        socket_address: The same as a `Rotation` has it; None behind a proxy.
        queued: Bytes given to `write` so far.
        sent: Bytes of them that have left for the other side.
        is_silent: The server has sent nothing at all before a timeout.
        is_closed: The other side has closed the connection, or the TLS handshake failed.
    """

    def __init__(
        self,
        host: str,
        port: int,
        deadline: Deadline,
        proxy: Proxy | None = None,
        secrets: Sequence[bytes] = (),
        rotation: Rotation | None = None,
    ) -> None:
        """Connect, trying each of the host's addresses in turn.

        Args:
            proxy: None: directly.
            secrets: Redacted from replies, in case the server echoes them.
            rotation: Which addresses have failed; None: none has.

        Raises:
            DeliveryError: No address, or not the proxy, could be reached.
        """
        self.where = host_port(host, port)
        self.round_trips = 1
        self.tls = ""
        self.cipher = ""
        self.certificate = ""
        self.queued = 0
        self.sent = 0
        self._host = host.removesuffix(".")
        self._deadline = deadline
        self._redactor = Redactor()
        self.conceal(*secrets)
        self._parser = ReplyParser(self.where, self.printable)
        self._awaited = 1  # the greeting comes without being asked for
        self._outgoing: deque[memoryview] = deque()
        self._broken: OSError | None = None
        self._must_wait = True
        self._command = ""
        self.is_silent = False
        self.is_closed = False
        self._socket, self.address, self.socket_address = dial(
            self._host, port, proxy, deadline, rotation or Rotation()
        )
        # Asked now: a socket forgets both ends as soon as the other side resets it.
        self._own_address: str = self._socket.getsockname()[0].partition("%")[0]

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    @property
    def is_loopback(self) -> bool:
        """The other end is this machine; False behind a proxy, where nobody knows."""
        import ipaddress

        if not self.address:
            return False
        peer = ipaddress.ip_address(self.address)
        mapped = getattr(peer, "ipv4_mapped", None)
        return (mapped or peer).is_loopback

    @property
    def verified_certificate(self) -> tls.Certificate | None:
        """The server's certificate; None in clear, or where a pin replaces its verification."""
        secured = self._socket
        return tls.verified_certificate(secured) if isinstance(secured, ssl.SSLSocket) else None

    @property
    def own_name(self) -> str:
        """The name of this end in EHLO."""
        return own_name(socket.gethostname(), self._own_address)

    @property
    def lines(self) -> list[bytes]:
        """The last reply's lines without their codes, unredacted: for parsing, not showing."""
        return self._parser.lines

    def conceal(self, *secrets: bytes) -> None:
        """Redact these from replies too, from here on."""
        self._redactor.add(*secrets)

    def printable(self, text: str) -> str:
        """Return the server's text without our secrets and without control characters."""
        # Redacted before anything is changed or cut, or a secret would not be recognised.
        text = self._redactor.redact(text)
        return "".join(c if c.isprintable() else " " for c in text)

    def start_tls(self, context: ssl.SSLContext, fingerprint: str = "") -> None:
        """Do the TLS handshake; the context or a pin verifies certificate and host name.

        Args:
            fingerprint: SHA-256 that the certificate must have; empty: the context decides.

        Raises:
            DeliveryError: The handshake failed, the certificate is another one, or the server sent
                bytes before it.
        """
        if not self._parser.is_empty:
            # RFC 3207 section 5: what came in clear must not count as received inside TLS.
            raise self.error(
                "the server sent more than its reply to STARTTLS before TLS began",
                "Somebody between you and the server may be injecting commands.",
            )
        try:
            self._socket.settimeout(self._deadline.step())
            # For an IP literal, Python sends no server name (RFC 6066 section 3) and checks the
            # certificate for the address.
            secured = context.wrap_socket(self._socket, server_hostname=self._host)
        except OSError as error:
            # The socket went into wrap_socket, which has closed it.
            self.is_closed = True
            raise self._network_error(Activity.HANDSHAKE, error) from error
        self._socket = secured
        digest = tls.fingerprint(secured)
        if fingerprint not in ("", digest):
            raise self.error(
                f"the server's certificate has the SHA-256 fingerprint {digest}, "
                "not the pinned one",
                "If its operator confirms the new certificate, set tls-fingerprint to it.",
            )
        self._must_wait = True
        self.tls = secured.version() or ""
        self.cipher = (secured.cipher() or ("",))[0]
        self.certificate = digest
        # A full TLS 1.3 handshake takes one round trip, TLS 1.2 two (RFC 8446 section 2).
        self.round_trips += 1 if secured.version() == "TLSv1.3" else 2

    def exchange(self, *commands: bytes, name: str = "") -> list[Reply]:
        """Send the commands as one group (RFC 2920), and read a reply to each.

        Args:
            commands: Without their line ends. More than one only if the server offers PIPELINING.
            name: The command's, for errors; empty: unknown.

        Raises:
            GoodbyeError: One of the replies is 421.
        """
        self.write(b"".join(command + b"\r\n" for command in commands), len(commands))
        return [self.answer(name) for _ in commands]

    def answer(self, name: str = "") -> Reply:
        """Read one reply.

        Args:
            name: The command's, for errors; empty: unknown.

        Raises:
            GoodbyeError: It is 421.
        """
        reply = self.read(name=name)
        if reply.code == 421:
            raise GoodbyeError(self.where, reply)
        return reply

    def write(self, data: bytes, replies: int = 1) -> None:
        """Queue bytes, which are sent now and while a reply is waited for.

        Args:
            replies: How many they ask for.

        Raises:
            DeliveryError: The server has sent something unasked, or has left.
        """
        self._socket.setblocking(False)
        if not self._awaited:
            self._check_unasked()
        else:
            # What has arrived is kept here, in case the connection is reset while we send. `read`
            # raises if it has ended.
            with suppress(DeliveryError):
                self._pull()
        self._awaited += replies
        self._must_wait = True
        self.queued += len(data)
        self._outgoing.append(memoryview(data))
        self._push()

    def read(
        self, patience: float | None = None, silence: float | None = None, name: str = ""
    ) -> Reply:
        """Read one reply, all its lines; it may come before everything is sent.

        Args:
            patience: Seconds to wait for the whole of it, if less than the deadline.
            silence: Seconds to wait for anything at all, if less than a step's timeout.
            name: The command's, for errors; empty: unknown.

        Raises:
            DeliveryError: The connection broke, a deadline passed, or it is not an SMTP reply.
        """
        until = None if patience is None else self._deadline.after(patience)
        self._socket.setblocking(False)
        self._command = name
        while (reply := self._parser.take()) is None:
            self._wait(until, silence)
        self._awaited -= 1
        return reply

    def error(self, why: str, hint: str = "", *, is_temporary: bool = False) -> DeliveryError:
        """An error about this server."""
        return DeliveryError(Problem(self.where, why, hint), is_temporary=is_temporary)

    def _check_unasked(self) -> None:
        """A server that sends something unasked says goodbye, or is out of step."""
        self._pull()
        if self._parser.is_empty:
            return
        reply = self._parser.take()
        if reply and reply.code == 421:
            raise GoodbyeError(self.where, reply)
        raise self.error(f"the server sent an unexpected reply: {reply or 'half a line'}")

    def _wait(self, until: float | None, silence: float | None) -> None:
        """Send and receive what can be; wait where neither can."""
        if self._pull():
            self.round_trips += self._must_wait
            self._must_wait = False
            return
        if self._push():
            return
        wants_out = [self._socket] if self._outgoing and not self._broken else []
        seconds = self._deadline.step(until)
        if silence is not None and self._parser.is_empty:
            seconds = min(seconds, silence)
        ready = select.select([self._socket], wants_out, [], seconds)
        if not any(ready):
            self.is_silent = not self.lines and self._parser.is_empty
            raise self._network_error(self._activity, TimeoutError())

    def _push(self) -> bool:
        """Send a piece without waiting; return whether anything went."""
        if not self._outgoing or self._broken:
            return False
        piece = self._outgoing[0]
        chunk = piece[:_CHUNK]
        # Before they leave: an interrupt may come right behind, and what may have left counts.
        self.sent += len(chunk)
        try:
            count = self._socket.send(chunk)
        except OSError as error:
            self.sent -= len(chunk)
            if not isinstance(error, _NOT_NOW):
                # What the server sent before it left is still to be read.
                self._broken = error
            return False
        self.sent -= len(chunk) - count
        self._outgoing[0] = piece[count:]
        if count == len(piece):
            self._outgoing.popleft()
        return True

    def _pull(self) -> bool:
        """Receive what is there; return whether anything was."""
        try:
            received = self._socket.recv(_CHUNK)
        except _NOT_NOW:
            return False
        except OSError as error:
            self.is_closed = True
            raise self._network_error(self._activity, self._broken or error) from error
        if not received:
            self.is_closed = True
            raise self._closed()
        self._parser.feed(received)
        return True

    @property
    def _activity(self) -> Activity:
        if self._outgoing:
            return Activity.SENDING
        return Activity.READING if self.lines else Activity.GREETING

    def _closed(self) -> DeliveryError:
        if self._broken:
            return self._network_error(self._activity, self._broken)
        if self._parser.starts_with(_ALERT) and not self.tls:
            return self.error("the server expects TLS from the start", IMPLICIT_HINT)
        why = "the server closed the connection" + (", sending" if self._outgoing else "")
        hint = "Its log says why; common causes are too many connections and block lists."
        is_greeted = bool(self.lines or self.tls)
        hint = hint if is_greeted else f"{hint} {IMPLICIT_HINT}"
        return self.error(why, hint, is_temporary=True)

    def _network_error(self, during: Activity, error: OSError) -> DeliveryError:
        command = self._command if during is Activity.READING else ""
        return network_error(self.where, self._host, during, error, command)
