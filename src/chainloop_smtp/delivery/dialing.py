"""Host and port -> a connected socket, directly or through a proxy, in time; or why not."""

import base64
import errno
import socket
import ssl
from collections.abc import Callable, Hashable, Sequence
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple

from chainloop_smtp.background import BackgroundCall
from chainloop_smtp.errors import DeliveryError, Problem
from chainloop_smtp.model.settings import Proxy, ProxyKind

# Seconds for an address that is not the last one: a dead one must not use up the deadline.
_ADDRESS_TIMEOUT = 10.0
# RFC 1928 section 6: failures that may be over in a minute, from "general" to "TTL expired".
_SOCKS_TEMPORARY = (1, 3, 4, 5, 6)
# Network unreachable, host unreachable, connection refused.
_SOCKS_UNREACHABLE = (3, 4, 5)
# Server error, bad gateway, unavailable, timeout: what proxies answer for an unreachable server.
_HTTP_UNREACHABLE = ("500", "502", "503", "504")
_LONGEST_HEAD = 16 * 1024
_PROXY = "proxy "  # before its place in an error
_LONGEST_NAME = 253  # characters: RFC 1035 section 2.3.4
# Names that exist on the local network only: no server elsewhere can look them up.
_LOCAL_DOMAINS = frozenset(
    [
        "arpa",
        "corp",
        "example",
        "home",
        "internal",
        "intranet",
        "invalid",
        "lan",
        "local",
        "localdomain",
        "localhost",
        "private",
        "test",
        "workgroup",
    ]
)
IMPLICIT_HINT = "For a port that starts with TLS, such as 465, set tls: implicit."
STARTTLS_HINT = "For a port that starts without TLS, such as 587, set tls: starttls."
_CLIENT_HINT = "The server may want a client certificate: tls-client-cert."
_VERSION_HINT = "The server must support TLS 1.2 or newer."
_AUTHORITY_HINT = (
    "Set tls-ca-file to your private CA's PEM file, or tls-fingerprint to this certificate's "
    "SHA-256."
)
_NAME_HINT = (
    "The certificate must name {host} as a subject alternative name; its common name does not "
    "count. Set host to a name that it has, or have a new certificate issued."
)
_VALIDITY_HINT = "Its operator must renew it, unless this machine's clock is wrong."
# By OpenSSL's X509_V_ERR_…: CERT_NOT_YET_VALID, CERT_HAS_EXPIRED, HOSTNAME_MISMATCH,
# IP_ADDRESS_MISMATCH; all others are about the issuer.
_CERTIFICATE_HINTS = {9: _VALIDITY_HINT, 10: _VALIDITY_HINT, 62: _NAME_HINT, 64: _NAME_HINT}
# By what was being done; after the greeting, host and port are known to be right.
_SILENCE_HINTS = {
    "LOOKUP": "Can this machine reach its DNS server?",
    "HANDSHAKE": "For a slow server, raise timeout.",
    "SENDING": "The server answered before, so the port is right. For a slow one, raise timeout.",
    "READING": "The server answered before, so the port is right. For a slow one, raise timeout.",
}
_PORT_HINT = "Is the port right and open from here? Hosted runners cannot reach port 25."
_NO_ROUTE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL)
# OpenSSL's words. The first three, by its version: a greeting where it expected a handshake.
_TLS_HINTS = (
    ("wrong version number", STARTTLS_HINT),
    ("record layer failure", STARTTLS_HINT),
    ("packet length too long", STARTTLS_HINT),
    ("certificate required", _CLIENT_HINT),
    ("handshake failure", _CLIENT_HINT),
    ("version", _VERSION_HINT),
    ("unsupported protocol", _VERSION_HINT),
)


class Activity(StrEnum):
    """What was being done when the network failed, as the end of a sentence."""

    LOOKUP = "looking up the host"
    CONNECTING = "connecting"
    PROXY = "asking for the mail server"
    HANDSHAKE = "TLS handshake"
    GREETING = "waiting for the greeting"
    SENDING = "sending"
    READING = "waiting for a reply"


class Deadline:
    """Seconds left for everything that touches the network.

    Args:
        seconds: In all.
        timeout: Seconds for one step.
        where: ``host:port``, for the error.
        clock: Monotonic.
    """

    def __init__(
        self, seconds: float, timeout: float, where: str, clock: Callable[[], float]
    ) -> None:
        self._ends = clock() + seconds
        self._seconds = seconds
        self._timeout = timeout
        self._where = where
        self._clock = clock

    @property
    def left(self) -> float:
        """Seconds left; negative once it is over."""
        return self._ends - self._clock()

    @property
    def spent(self) -> float:
        """Seconds since it began."""
        return self._seconds - self.left

    def shorten(self, seconds: float) -> None:
        """End so many seconds from now, unless it ends before."""
        self._ends = min(self._ends, self._clock() + seconds)

    def after(self, seconds: float) -> float:
        """The time so many seconds from now, for `step`."""
        return self._clock() + seconds

    def step(self, until: float | None = None) -> float:
        """Return the seconds that the next network step may take.

        Args:
            until: An earlier end than the deadline, from `after`.

        Raises:
            DeliveryError: There are none left.
        """
        left = (self._ends if until is None else min(self._ends, until)) - self._clock()
        if left <= 0:
            raise DeliveryError(
                Problem(
                    self._where,
                    f"the deadline of {self._seconds:g} seconds has passed",
                    "The server is slow or silent; if it is known to be slow, raise deadline.",
                ),
                is_temporary=True,
            )
        return min(left, self._timeout)


class UnreachableError(DeliveryError):
    """Nobody listens there, or the host is unknown; as opposed to a server that fails."""


class Rotation:
    """The addresses of one host, as the last look-up gave them, and which of them have failed.

    RFC 5321 section 5.1: a client tries each address until a delivery succeeds, so one that accepts
    the connection and then fails is no better than one that refuses it.
    """

    def __init__(self) -> None:
        self._known: tuple[Hashable, ...] = ()
        # Whether trying again may help, by address; the latest failure comes last.
        self._failures: dict[Hashable, bool] = {}

    def ordered(self, addresses: Sequence[Hashable]) -> list[Hashable]:
        """Return those that have not failed first; the latest failure comes last."""
        self._known = tuple(addresses)
        failed = list(self._failures)
        return sorted(addresses, key=lambda each: failed.index(each) if each in failed else -1)

    def record_failure(self, address: Hashable, *, is_temporary: bool) -> None:
        """Put an address behind the others."""
        self._failures.pop(address, None)
        self._failures[address] = is_temporary

    @property
    def has_untried(self) -> bool:
        """Another address has not failed yet."""
        return any(each not in self._failures for each in self._known)

    @property
    def is_hopeful(self) -> bool:
        """An address has not failed yet, or only temporarily."""
        return any(self._failures.get(each, True) for each in self._known)


class OpenSocket(NamedTuple):
    """A connected socket.

    Attributes:
        peer: IP address of the other end; empty behind a proxy.
        address: The same as the socket module has it; None behind a proxy.
    """

    socket: socket.socket
    peer: str = ""
    address: Any = None


def dial(
    host: str, port: int, proxy: Proxy | None, deadline: Deadline, rotation: Rotation
) -> OpenSocket:
    """Connect to the host.

    Args:
        rotation: The host's addresses, or the proxy's if there is one. Addresses that do
            not accept the connection are recorded in it.

    Raises:
        DeliveryError: No address of the host, or not the proxy, could be reached.
    """
    if proxy is None:
        return _direct(host, port, host_port(host, port), deadline, rotation)
    where = f"{_PROXY}{host_port(proxy.host, proxy.port)}"
    if proxy.kind is ProxyKind.SOCKS5:
        return OpenSocket(_through_socks(proxy, where, host, port, deadline))
    dialed = _direct(proxy.host, proxy.port, where, deadline, rotation)
    try:
        _ask_http(dialed.socket, proxy, where, host_port(host, port), deadline)
    except (DeliveryError, OSError) as error:
        dialed.socket.close()
        rotation.record_failure(dialed.address, is_temporary=True)
        if isinstance(error, DeliveryError):
            raise
        raise network_error(where, proxy.host, Activity.PROXY, error) from error
    return OpenSocket(dialed.socket)


def addresses(host: str, port: int, where: str, deadline: Deadline) -> list[Any]:
    """Look the host up; return what `socket.getaddrinfo` does.

    Raises:
        DeliveryError: The host has no address, or the resolver does not answer in time.
    """
    call = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    try:
        return BackgroundCall(call).result(deadline.step())
    except (OSError, UnicodeError) as error:
        raise network_error(where, host, Activity.LOOKUP, error) from error


def host_port(host: str, port: int) -> str:
    """``host:port``, the host in brackets where it is an IPv6 literal."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def own_name(name: str, address: str) -> str:
    """Return this machine's name for EHLO (RFC 5321 sections 4.1.1.1 and 4.1.3).

    Args:
        name: The machine's hostname.
        address: IP address of this end of the connection.

    Returns:
        The hostname where it may be a public name, else an address literal, which every server has
        to accept; never ``localhost``.
    """
    labels = name.lower().split(".")
    is_qualified = len(labels) > 1 and all(
        label.replace("-", "").isalnum()
        and label.isascii()
        and label.strip("-") == label
        and len(label) <= 63
        for label in labels
    )
    is_local = labels[-1] in _LOCAL_DOMAINS
    if is_qualified and len(name) <= _LONGEST_NAME and not is_local and not labels[-1].isdigit():
        return name
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def _direct(host: str, port: int, where: str, deadline: Deadline, rotation: Rotation) -> OpenSocket:
    """Connect to the first of the host's addresses that answers, all within the one deadline."""
    by_address = {each[4]: each for each in addresses(host, port, where, deadline)}
    ordered = [by_address[address] for address in rotation.ordered(list(by_address))]
    last = OSError("it has no address")
    for untried, (family, kind, protocol, _, address) in zip(
        range(len(ordered), 0, -1), ordered, strict=True
    ):
        timeout = deadline.step()
        if untried > 1:
            timeout = min(timeout, _ADDRESS_TIMEOUT, deadline.left / untried)
        try:
            connected = _connected(socket.socket(family, kind, protocol), address, timeout)
        except OSError as error:
            last = error
            rotation.record_failure(address, is_temporary=True)
        else:
            return OpenSocket(connected, str(address[0]).partition("%")[0], address)
    raise network_error(where, host, Activity.CONNECTING, last) from last


def _connected(unconnected: socket.socket, address: Any, timeout: float) -> socket.socket:
    """The socket, connected; closed where that fails."""
    try:
        unconnected.settimeout(timeout)
        unconnected.connect(address)
        _set_nodelay(unconnected)
    except OSError:
        unconnected.close()
        raise
    return unconnected


def _set_nodelay(connected: socket.socket) -> None:
    # Without it, a group of more than one TLS record waits for a delayed ACK: 40 ms each.
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _through_socks(
    proxy: Proxy, where: str, host: str, port: int, deadline: Deadline
) -> socket.socket:
    """RFC 1928 and RFC 1929; the proxy resolves the host."""
    # Imported here, since few users have a proxy.
    import python_socks
    from python_socks.sync import Proxy as Socks

    seconds = deadline.step()
    socks = Socks(
        python_socks.ProxyType.SOCKS5,
        proxy.host,
        proxy.port,
        proxy.user or None,
        proxy.password if proxy.user else None,
        rdns=True,
    )
    try:
        call = partial(socks.connect, host, port, timeout=seconds)
        connected = BackgroundCall(call, socket.socket.close).result(seconds)
        _set_nodelay(connected)
    except python_socks.ProxyError as error:
        hint = "Is its login right, and does it let this runner reach that host and port?"
        kind = UnreachableError if error.error_code in _SOCKS_UNREACHABLE else DeliveryError
        raise kind(
            Problem(where, f"it does not connect: {error}", hint),
            is_temporary=error.error_code in _SOCKS_TEMPORARY,
        ) from error
    except OSError as error:
        # Its own errors say less than their causes.
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        raise network_error(where, proxy.host, Activity.PROXY, cause) from error
    return connected


def _ask_http(
    connected: socket.socket, proxy: Proxy, where: str, target: str, deadline: Deadline
) -> None:
    """CONNECT (RFC 9110 section 9.3.6), with the login of RFC 7617.

    By hand, since libraries read past the proxy's answer: they are made for protocols in which the
    client speaks first, and would swallow a mail server's greeting.
    """
    head = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"
    if proxy.user:
        pair = base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode("ascii")
        head += f"Proxy-Authorization: Basic {pair}\r\n"
    connected.settimeout(deadline.step())
    connected.sendall(f"{head}\r\n".encode("ascii"))
    answer = b""
    while not answer.endswith((b"\r\n\r\n", b"\n\n")):
        connected.settimeout(deadline.step())
        byte = connected.recv(1)
        if not byte and not answer:
            why = "it closed the connection without an answer"
            raise DeliveryError(Problem(where, why), is_temporary=True)
        answer += byte
        if not byte or len(answer) > _LONGEST_HEAD:
            raise DeliveryError(Problem(where, "it does not answer like an HTTP proxy"))
    status = answer.split(maxsplit=2)[1:2]
    if not answer.startswith(b"HTTP/1.") or not status or not status[0].isdigit():
        raise DeliveryError(Problem(where, "it does not answer like an HTTP proxy"))
    if not status[0].startswith(b"2"):
        code = status[0].decode("ascii")[:3]
        hint = (
            "Give its login in the URL: http://USER:PASSWORD@HOST:PORT."
            if code == "407"
            else "Does it let this runner reach that host and port? Many allow 443 only."
        )
        kind = UnreachableError if code in _HTTP_UNREACHABLE else DeliveryError
        raise kind(
            Problem(where, f"it refuses {target}: HTTP {code}", hint),
            is_temporary=code.startswith("5"),
        )


def network_error(
    where: str, host: str, during: Activity, error: OSError | UnicodeError, command: str = ""
) -> DeliveryError:
    """Turn an error of the operating system or OpenSSL into one for somebody who knows neither.

    Args:
        where: ``host:port``.
        host: As the certificate has to name it.
        command: What a reply was waited for; empty: unknown.
    """
    doing = f"waiting for the reply to {command}" if command else str(during)
    why, hint = _explained(host, during, doing, error, is_proxy=where.startswith(_PROXY))
    kind = UnreachableError if _is_unreachable(during, error) else DeliveryError
    return kind(Problem(where, why, hint), is_temporary=_is_temporary(during, error))


def _is_unreachable(during: Activity, error: OSError | UnicodeError) -> bool:
    if isinstance(error, (ConnectionRefusedError, socket.gaierror)):
        return True
    return during is Activity.CONNECTING and getattr(error, "errno", None) in _NO_ROUTE


def _is_temporary(during: Activity, error: OSError | UnicodeError) -> bool:
    """Trying again may help: not where a name, a certificate or TLS is wrong."""
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return True
    if isinstance(error, ssl.SSLError):
        # TLS 1.3 reports a missing client certificate only after the handshake.
        is_about_certificates = "CERTIFICATE" in (error.reason or "").upper()
        return during is not Activity.HANDSHAKE and not is_about_certificates
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN
    return not isinstance(error, UnicodeError)


def _explained(
    host: str, during: Activity, doing: str, error: OSError | UnicodeError, *, is_proxy: bool
) -> tuple[str, str]:
    if isinstance(error, ssl.SSLCertVerificationError):
        why = f"the server's certificate is not trusted: {error.verify_message.rstrip('.')}"
        return why, _CERTIFICATE_HINTS.get(error.verify_code, _AUTHORITY_HINT).format(host=host)
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return f"the server closed the connection, {doing}", ""
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "unknown").lower().replace("_", " ")
        why = f"TLS failed during {doing}: {reason}"
        return why, next((hint for words, hint in _TLS_HINTS if words in reason), "")
    if isinstance(error, TimeoutError):
        hint = _SILENCE_HINTS.get(during.name, _PORT_HINT)
        # A server that waits for a handshake sends no greeting.
        hint += f" {IMPLICIT_HINT}" if during is Activity.GREETING else ""
        return f"no answer in time, {doing}", hint
    if isinstance(error, (socket.gaierror, UnicodeError)):
        option = "proxy" if is_proxy else "host"
        return "the host name cannot be resolved", f"Check the spelling of {option}."
    if isinstance(error, ConnectionRefusedError):
        hint = "Is the port in proxy right?" if is_proxy else "Is the port right? Usual: 587, 465."
        return "the connection was refused", hint
    return f"the connection failed, {doing}: {error.strerror or error}", ""
