"""What the operating system or OpenSSL says -> an error for somebody who knows neither."""

import errno
import socket
import ssl

from chainloop_smtp.errors import DeliveryError, Problem

LOOKUP = "looking up the host"
CONNECTING = "connecting"
GREETING = "waiting for the greeting"
HANDSHAKE = "TLS handshake"
IMPLICIT_HINT = "A port that speaks TLS at once, as 465 does, wants tls: implicit."
STARTTLS_HINT = "A port that speaks in clear at first, as 587 does, wants tls: starttls."
_CLIENT_HINT = "The server may want a client certificate: tls-client-cert."
_VERSION_HINT = "TLS 1.2 is the oldest that is spoken here; the server has to be newer."
_AUTHORITY_HINT = (
    "Set tls-ca-file to your private CA's PEM file, or tls-fingerprint to this certificate's "
    "SHA-256."
)
_NAME_HINT = (
    "The certificate has to name {host} as a subject alternative name; its common name does not "
    "count. Set host to a name that it has, or have a new certificate issued."
)
_VALIDITY_HINT = "Its operator has to renew it, unless this machine's clock is wrong."
# By OpenSSL's X509_V_ERR_…: CERT_NOT_YET_VALID, CERT_HAS_EXPIRED, HOSTNAME_MISMATCH,
# IP_ADDRESS_MISMATCH; all others are about who issued it.
_CERTIFICATE_HINTS = {9: _VALIDITY_HINT, 10: _VALIDITY_HINT, 62: _NAME_HINT, 64: _NAME_HINT}
_NO_ROUTE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL)
# OpenSSL's words. The first three are a greeting where it looks for a handshake, by version.
_TLS_HINTS = (
    ("wrong version number", STARTTLS_HINT),
    ("record layer failure", STARTTLS_HINT),
    ("packet length too long", STARTTLS_HINT),
    ("certificate required", _CLIENT_HINT),
    ("handshake failure", _CLIENT_HINT),
    ("version", _VERSION_HINT),
    ("unsupported protocol", _VERSION_HINT),
)


class UnreachableError(DeliveryError):
    """Nobody listens there, or nobody knows where that is: not a server that fails."""


def failure(where: str, host: str, during: str, error: OSError | UnicodeError) -> DeliveryError:
    """The error that a library's error makes.

    Args:
        where: ``host:port``.
        host: As the certificate has to name it.
        during: What was being done, for the end of a sentence.
    """
    why, hint = _explained(host, during, error)
    kind = UnreachableError if _is_unreachable(during, error) else DeliveryError
    return kind(Problem(where, why, hint), is_temporary=_is_temporary(during, error))


def _is_unreachable(during: str, error: OSError | UnicodeError) -> bool:
    if isinstance(error, (ConnectionRefusedError, socket.gaierror)):
        return True
    return during == CONNECTING and getattr(error, "errno", None) in _NO_ROUTE


def _is_temporary(during: str, error: OSError | UnicodeError) -> bool:
    """Whether the same may go well in a minute: not where a name, a certificate or TLS is wrong."""
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return True
    if isinstance(error, ssl.SSLError):
        # TLS 1.3 tells of a client certificate only after the handshake.
        is_about_certificates = "CERTIFICATE" in (error.reason or "").upper()
        return during != HANDSHAKE and not is_about_certificates
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN
    return not isinstance(error, UnicodeError)


def _explained(host: str, during: str, error: OSError | UnicodeError) -> tuple[str, str]:
    if isinstance(error, ssl.SSLCertVerificationError):
        why = f"the server's certificate is not trusted: {error.verify_message.rstrip('.')}"
        return why, _CERTIFICATE_HINTS.get(error.verify_code, _AUTHORITY_HINT).format(host=host)
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return f"the server closed the connection, {during}", ""
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "unknown").lower().replace("_", " ")
        why = f"TLS failed during {during}: {reason}"
        return why, next((hint for words, hint in _TLS_HINTS if words in reason), "")
    if isinstance(error, TimeoutError):
        hint = "Is the port right and open from here? Hosted runners cannot reach port 25."
        # A server that waits for a handshake says nothing of its own accord.
        hint += f" {IMPLICIT_HINT}" if during == GREETING else ""
        return f"no answer in time, {during}", hint
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return "the host name cannot be resolved", "Check the spelling of host."
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused", "Is the port right? Usual: 587, 465."
    return f"the connection failed, {during}: {error.strerror or error}", ""
