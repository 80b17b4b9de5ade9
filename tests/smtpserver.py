"""Two mail servers on loopback, for tests of what goes over the wire.

`Mailboxes` is aiosmtpd: it speaks real ESMTP with STARTTLS or implicit TLS and AUTH, refuses what
it is told to, and keeps what it took. `Scripted` follows a list of steps to the letter, however
hostile they are, and records what the client sent, in which groups. Both choose a free port, and
everything in both ends within `PATIENCE`.
"""

import asyncio
import hmac
import ipaddress
import json
import re
import socket
import ssl
import struct
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from pathlib import Path
from typing import Any

import scramp
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PATIENCE = 20.0
"""Seconds after which a server gives up on a client; no test waits as long."""

QUIET = 0.01
"""Seconds without a byte, after which the client is taken to wait for a reply."""


# --- certificates ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """One authority that clients may trust, and what servers show.

    Attributes:
        ca_file: PEM file of the authority.
        server: For every loopback name and address, and `extra` ones.
        wrong_name: Good in all but its name, `mail.example.test`.
        expired: Good until 2021.
        unknown: Good in all but its authority, which is another one.
        mutual: As `server`, and wants a certificate of the same authority from the client.
        client_cert: PEM file of such a certificate; its key is in `client_key`.
        client_both: PEM file with both.
    """

    ca_file: Path
    server: ssl.SSLContext
    wrong_name: ssl.SSLContext
    expired: ssl.SSLContext
    unknown: ssl.SSLContext
    mutual: ssl.SSLContext
    client_cert: Path
    client_key: Path
    client_both: Path


def certificates(folder: Path, *extra: str) -> Certificates:
    """A fresh authority and one certificate of each kind."""
    names = ("localhost", "127.0.0.1", "::1", *extra)
    authority, stranger = trustme.CA(), trustme.CA()
    ca_file = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    client = authority.issue_cert("ci@example.test")
    files = {name: folder / f"client-{name}.pem" for name in ("cert", "key", "both")}
    client.cert_chain_pems[0].write_to_path(str(files["cert"]))
    client.private_key_pem.write_to_path(str(files["key"]))
    client.private_key_and_cert_chain_pem.write_to_path(str(files["both"]))
    mutual = _context(authority.issue_cert(*names))
    mutual.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(mutual)
    return Certificates(
        mutual=mutual,
        client_cert=files["cert"],
        client_key=files["key"],
        client_both=files["both"],
        ca_file=ca_file,
        server=_context(authority.issue_cert(*names)),
        wrong_name=_context(authority.issue_cert("mail.example.test")),
        expired=_context(
            authority.issue_cert(
                *names,
                not_before=datetime(2020, 1, 1, tzinfo=UTC),
                not_after=datetime(2021, 1, 1, tzinfo=UTC),
            )
        ),
        unknown=_context(stranger.issue_cert(*names)),
    )


def issued(authority: trustme.CA, folder: Path, common_name: str, *names: str) -> ssl.SSLContext:
    """A server's context with a certificate that trustme would not issue.

    Args:
        names: DNS names or IP addresses for subjectAltName, as they are; none: no such extension.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    signer = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if names:
        alternatives = [_general_name(name) for name in names]
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    file = folder / "issued.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def _general_name(name: str) -> x509.GeneralName:
    """A name that begins with ``DNS:`` is one, whatever it looks like."""
    with suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(name))
    return x509.DNSName(name.removeprefix("DNS:"))


def _context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def outward_address() -> str:
    """An address of this machine that is not loopback; ``0.0.0.0`` where there is none.

    The latter reaches this machine too, and a client cannot know it for loopback either.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        # Nothing is sent: it only asks for the route.
        probe.connect(("198.51.100.1", 9))
        return str(probe.getsockname()[0])
    return "0.0.0.0"


def loopback_addresses() -> list[str]:
    """127.0.0.1, and ::1 where the machine has it."""
    with socket.socket(socket.AF_INET6) as probe, suppress(OSError):
        probe.bind(("::1", 0))
        return ["127.0.0.1", "::1"]
    return ["127.0.0.1"]


# --- a real one --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A mail that the server took: its envelope, and the content after unstuffing."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes


_MECHANISMS = {"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "XOAUTH2", "OAUTHBEARER"}


@dataclass(slots=True, kw_only=True)
class Mailboxes:
    """What the server is to do, and what it saw.

    Attributes:
        implicit: TLS from the first byte on; otherwise STARTTLS, where there is a context.
        mechanisms: Offered by AUTH; none: no AUTH at all.
        accounts: Passwords, or access tokens, by user.
        refused: Replies by recipient.
        asks_again: The response that comes with AUTH itself is not looked at.
        logins: (mechanism, user) of every login that was right.
    """

    tls: ssl.SSLContext | None = None
    implicit: bool = False
    mechanisms: tuple[str, ...] = ()
    accounts: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    extensions: tuple[str, ...] = ("PIPELINING",)
    size_limit: int = 0
    asks_again: bool = False
    host: str = "127.0.0.1"
    port: int = 0
    logins: list[tuple[str, str]] = field(default_factory=list)
    mails: list[Received] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator["Mailboxes"]:
        """Listens on `port`, in a thread of its own."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="mailboxes")
        thread.start()
        try:
            listening = loop.create_server(
                lambda: self._protocol(loop),
                self.host,
                0,
                ssl=self.tls if self.implicit else None,
            )
            server = asyncio.run_coroutine_threadsafe(listening, loop).result(PATIENCE)
            self.port = server.sockets[0].getsockname()[1]
            yield self
            asyncio.run_coroutine_threadsafe(_closed(server), loop).result(PATIENCE)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(PATIENCE)
            loop.close()

    def _protocol(self, loop: asyncio.AbstractEventLoop) -> SMTP:
        has_starttls = self.tls is not None and not self.implicit
        return _Smtp(
            _Handler(self),
            hostname="localhost",
            loop=loop,
            timeout=PATIENCE,
            data_size_limit=self.size_limit or None,
            tls_context=self.tls if has_starttls else None,
            require_starttls=has_starttls,
            auth_require_tls=has_starttls,
            auth_exclude_mechanism=_MECHANISMS - set(self.mechanisms),
            authenticator=self._authenticate,
        )

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        del server, session, envelope
        assert isinstance(data, LoginPassword)
        return self.login(mechanism, data.login.decode(), data.password)

    def login(self, mechanism: str, user: str, password: bytes) -> AuthResult:
        """Whether the password is the user's; kept when it is."""
        is_right = self.accounts.get(user, "").encode() == password and user in self.accounts
        if is_right:
            self.logins.append((mechanism, user))
        return AuthResult(success=is_right, handled=False)


class _Smtp(SMTP):
    # Responses of AUTH may be long (RFC 4954 section 4); commands stay at 512 octets.
    line_length_limit = 16 * 1024


class _Handler:
    """The hooks that aiosmtpd finds by their names."""

    def __init__(self, mailboxes: Mailboxes) -> None:
        self._mailboxes = mailboxes

    async def handle_EHLO(  # noqa: N802
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        del server, envelope
        session.host_name = hostname
        kept = [each for each in responses if each != "250-AUTH "]
        extensions = [f"250-{each}" for each in self._mailboxes.extensions]
        return [*kept[:-1], *extensions, kept[-1]]

    async def handle_RCPT(  # noqa: N802
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        del server, session, options
        refusal = self._mailboxes.refused.get(address)
        if refusal:
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        del server, session
        content = envelope.original_content
        assert content is not None
        self._mailboxes.mails.append(
            Received(
                sender=envelope.mail_from or "",
                recipients=tuple(envelope.rcpt_tos),
                content=content,
            )
        )
        return "250 2.0.0 kept"

    async def auth_CRAM__MD5(self, server: SMTP, args: list[str]) -> AuthResult:  # noqa: N802
        del args
        challenge = b"<1896.697170952@localhost>"
        response = await server.challenge_auth(challenge)
        if not isinstance(response, bytes):
            return AuthResult(success=False, handled=True)
        user, _, digest = response.decode().rpartition(" ")
        password = self._mailboxes.accounts.get(user, "").encode()
        is_right = hmac.new(password, challenge, "md5").hexdigest() == digest
        return self._mailboxes.login("CRAM-MD5", user, password if is_right else b"wrong")

    async def auth_SCRAM__SHA__256(  # noqa: N802
        self, server: SMTP, args: list[str]
    ) -> AuthResult:
        mechanism = scramp.ScramMechanism("SCRAM-SHA-256")

        def known(user: str) -> object:
            users.append(user)
            return mechanism.make_auth_info(self._mailboxes.accounts.get(user, "nobody"))

        users: list[str] = []
        exchange = mechanism.make_server(known)
        is_given = len(args) > 1 and not self._mailboxes.asks_again
        first = b64decode(args[1]) if is_given else await server.challenge_auth("")
        try:
            exchange.set_client_first(_text(first))
            exchange.set_client_final(
                _text(await server.challenge_auth(exchange.get_server_first()))
            )
        except scramp.ScramException:
            return AuthResult(success=False, handled=False)
        await server.challenge_auth(exchange.get_server_final())
        self._mailboxes.logins.append(("SCRAM-SHA-256", users[0]))
        return AuthResult(success=True)

    async def auth_XOAUTH2(self, server: SMTP, args: list[str]) -> AuthResult:  # noqa: N802
        message = await self._token_message(server, args)
        user, _, token = message.removesuffix("\1\1").partition("\1auth=Bearer ")
        return await self._by_token(server, "XOAUTH2", user.removeprefix("user="), token, b"")

    async def auth_OAUTHBEARER(self, server: SMTP, args: list[str]) -> AuthResult:  # noqa: N802
        message = await self._token_message(server, args)
        head, _, token = message.removesuffix("\1\1").partition("\1auth=Bearer ")
        name, host, port = head.split("\1")
        assert (host, port) == ("host=127.0.0.1", f"port={self._mailboxes.port}")
        user = name.removeprefix("n,a=").removesuffix(",").replace("=2C", ",").replace("=3D", "=")
        return await self._by_token(server, "OAUTHBEARER", user, token, b"\1")

    async def _token_message(self, server: SMTP, args: list[str]) -> str:
        return _text(b64decode(args[1]) if len(args) > 1 else await server.challenge_auth(""))

    async def _by_token(
        self, server: SMTP, mechanism: str, user: str, token: str, dummy: bytes
    ) -> AuthResult:
        result = self._mailboxes.login(mechanism, user, token.encode())
        if not result.success:
            # RFC 7628 section 3.2.3: the reason first, and the verdict after an empty answer.
            reason = {"status": "401", "schemes": "bearer", "scope": "https://mail.example.test/"}
            assert await server.challenge_auth(json.dumps(reason)) == dummy
        return result


def _text(message: object) -> str:
    assert isinstance(message, bytes)
    return message.decode()


async def _closed(server: asyncio.Server) -> None:
    """Stops listening, and waits for the sessions that are still open."""
    server.close()
    await server.wait_closed()
    sessions = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    if sessions:
        _, late = await asyncio.wait(sessions, timeout=1.0)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


# --- a scripted one ----------------------------------------------------------------------------


class Then(Enum):
    """What a step does once its reply is out."""

    GO_ON = auto()
    TLS = auto()
    CLOSE = auto()
    RESET = auto()
    SILENCE = auto()
    """Says nothing more, and reads until the client leaves."""
    STALL = auto()
    """Says nothing more and reads nothing either, until `Scripted.release`; then resets."""
    GULP = auto()
    """Reads once, and resets the connection while the client goes on sending."""
    SIP = auto()
    """Says nothing more, and reads a few octets now and then."""


CONTENT = "<content>"
"""Expects all up to the final dot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One turn of the dialogue.

    Attributes:
        expect: Regular expression for the whole line that the client has to send; empty: the
            server speaks without being asked; `CONTENT`.
        reply: Sent as it is.
        pause: Seconds before each octet of the reply; 0: all at once.
    """

    expect: str = ""
    reply: bytes = b""
    then: Then = Then.GO_ON
    pause: float = 0.0


Script = dict[str, Step]
"""Steps in their order, each with a name by which a test can change it."""


def script(
    *,
    tls: str = "none",
    extensions: Sequence[str] = ("PIPELINING", "SIZE 1000000"),
    auth: str = "",
    recipients: int = 1,
) -> Script:
    """A dialogue in which all goes well.

    Args:
        tls: ``none``, ``starttls`` or ``implicit``.
        auth: ``PLAIN`` or nothing.
        recipients: How many RCPT commands.
    """
    offered = [*extensions, *([f"AUTH {auth}"] if auth else [])]
    steps = {"tls": Step(then=Then.TLS)} if tls == "implicit" else {}
    steps["greeting"] = Step(reply=b"220 scripted ESMTP\r\n")
    if tls == "starttls":
        steps["ehlo in clear"] = Step(expect=r"EHLO \S+", reply=ehlo("STARTTLS", *extensions))
        steps["starttls"] = Step(expect="STARTTLS", reply=b"220 go on\r\n", then=Then.TLS)
    steps["ehlo"] = Step(expect=r"EHLO \S+", reply=ehlo(*offered))
    if auth:
        steps["auth"] = Step(expect=f"AUTH {auth} .+", reply=b"235 2.7.0 welcome\r\n")
    steps["mail"] = Step(expect=r"MAIL FROM:<.+>( SIZE=\d+)?", reply=b"250 2.1.0 ok\r\n")
    for number in range(1, recipients + 1):
        steps[f"rcpt {number}"] = Step(expect="RCPT TO:<.+>", reply=b"250 2.1.5 ok\r\n")
    steps["data"] = Step(expect="DATA", reply=b"354 go on\r\n")
    steps["content"] = Step(expect=CONTENT, reply=b"250 2.0.0 queued\r\n")
    steps["quit"] = Step(expect="QUIT", reply=b"221 2.0.0 bye\r\n", then=Then.CLOSE)
    return steps


def ehlo(*extensions: str) -> bytes:
    """A reply to EHLO."""
    lines = ["scripted greets you", *extensions]
    return b"".join(
        f"250{'-' if position < len(lines) else ' '}{line}\r\n".encode()
        for position, line in enumerate(lines, 1)
    )


def changed(steps: Script, **changes: Step) -> Script:
    """The script with some steps replaced; blanks in a name are written ``_``.

    A step without an `expect` of its own keeps the one that it replaces.
    """
    named = {name.replace("_", " "): step for name, step in changes.items()}
    assert named.keys() <= steps.keys(), named.keys() - steps.keys()
    return {
        name: replace(named[name], expect=named[name].expect or step.expect)
        if name in named
        else step
        for name, step in steps.items()
    }


def until(steps: Script, last: str) -> Script:
    """The script up to the step of that name."""
    names = list(steps)
    return {name: steps[name] for name in names[: names.index(last) + 1]}


class Scripted:
    """A server that serves one connection by a script.

    Attributes:
        groups: What the client sent between two waits for a reply, in clear as it was meant; a
            TLS handshake is not among them.
        wire: The octets that came before TLS began, or all where it never did.
        content: What came between DATA and the final dot, stuffed as it came.
        failure: The first thing that the client did against the script; empty when nothing.
    """

    def __init__(
        self, steps: Script, context: ssl.SSLContext | None = None, host: str = "127.0.0.1"
    ) -> None:
        self.groups: list[bytes] = []
        self.wire = b""
        self.content = b""
        self.failure = ""
        self.handshakes = 0
        self.finished = threading.Event()
        self._released = threading.Event()
        self._steps = steps
        self._context = context
        self._buffer = b""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self._listener.settimeout(PATIENCE)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name="scripted")

    @property
    def received(self) -> bytes:
        """All that the client said, in one piece."""
        return b"".join(self.groups)

    @property
    def round_trips(self) -> int:
        """What the client had to wait for: TCP, the greeting, TLS 1.3, a reply to each group."""
        return 2 + self.handshakes + len(self.groups)

    def __enter__(self) -> "Scripted":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()
        self.join()
        self._listener.close()

    def release(self) -> None:
        """Ends a stall."""
        self._released.set()

    def join(self) -> None:
        """Waits until the dialogue is over."""
        self._thread.join(2 * PATIENCE)
        assert not self._thread.is_alive()

    def _serve(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except TimeoutError:
            self.failure = "nobody came"
            return
        try:
            for name, step in self._steps.items():
                connection, goes_on = self._take(name, step, connection)
                if not goes_on:
                    break
            else:
                self._drain(connection)
        except (OSError, EOFError) as error:
            # The client's right at any time; the test looks at what it has said until then.
            self.failure = self.failure or f"the client left: {error!r}"
        finally:
            connection.close()
            self.finished.set()

    def _take(self, name: str, step: Step, connection: socket.socket) -> tuple[socket.socket, bool]:
        """One step; the connection that it leaves behind, and whether the script goes on."""
        if step.expect == CONTENT:
            # The content may be nothing but its end.
            self._buffer = b"\r\n" + self._buffer
            self.content = self._until(connection, b"\r\n.\r\n").removeprefix(b"\r\n")
        elif step.expect:
            line = self._until(connection, b"\r\n").decode()
            if not re.fullmatch(step.expect, line):
                self.failure = f"{name}: {line!r} came, {step.expect!r} was expected"
                return connection, False
        self._say(connection, step)
        if step.then is Then.TLS:
            assert self._context is not None
            # A client may leave in the middle of a handshake.
            connection = self._context.wrap_socket(connection, server_side=True)
            self.handshakes += 1
        elif step.then is Then.RESET:
            _reset_on_close(connection)
        elif step.then is Then.SILENCE:
            self._drain(connection)
        elif step.then is Then.STALL:
            self._released.wait(PATIENCE)
            _reset_on_close(connection)
        elif step.then is Then.GULP:
            connection.recv(1024)
            _reset_on_close(connection)
        elif step.then is Then.SIP:
            while not self._released.wait(0.1):
                connection.recv(1024)
        return connection, step.then in (Then.GO_ON, Then.TLS)

    def _say(self, connection: socket.socket, step: Step) -> None:
        connection.settimeout(PATIENCE)
        if not step.pause:
            connection.sendall(step.reply)
            return
        for octet in step.reply:
            time.sleep(step.pause)
            connection.sendall(bytes((octet,)))

    def _until(self, connection: socket.socket, end: bytes) -> bytes:
        """What the client says up to an end, without it."""
        while end not in self._buffer:
            connection.settimeout(PATIENCE)
            group = connection.recv(1 << 20)
            if not group:
                raise EOFError(self._buffer)
            connection.settimeout(QUIET)
            with suppress(TimeoutError):
                while more := connection.recv(1 << 20):
                    group += more
            self._keep(group, connection)
            self._buffer += group
        said, _, self._buffer = self._buffer.partition(end)
        return said

    def _drain(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE)
        while rest := connection.recv(1 << 20):
            self._keep(rest, connection)

    def _keep(self, octets: bytes, connection: socket.socket) -> None:
        self.groups.append(octets)
        if not isinstance(connection, ssl.SSLSocket):
            self.wire += octets


def _reset_on_close(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def encoded(text: str) -> bytes:
    """Base64, as AUTH wants it."""
    return b64encode(text.encode())
