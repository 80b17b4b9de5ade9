"""What the operating system or OpenSSL says -> an error for somebody who knows neither."""

import socket
import ssl

from chainloop_smtp.errors import DeliveryError, Problem

GREETING = "waiting for the greeting"
IMPLICIT_HINT = "A port that speaks TLS at once, as 465 does, wants tls: implicit."
STARTTLS_HINT = "A port that speaks in clear at first, as 587 does, wants tls: starttls."
# OpenSSL's words for a greeting where it looks for a handshake; they differ by version.
_IN_CLEAR = ("wrong version number", "record layer failure", "packet length too long")


def failure(where: str, host: str, during: str, error: OSError | UnicodeError) -> DeliveryError:
    """The error that a library's error makes.

    Args:
        where: ``host:port``.
        host: As the certificate has to name it.
        during: What was being done, for the end of a sentence.
    """
    why, hint = _explained(host, during, error)
    return DeliveryError(Problem(where, why, hint))


def _explained(host: str, during: str, error: OSError | UnicodeError) -> tuple[str, str]:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the server's certificate is not trusted: {error.verify_message.rstrip('.')}",
            "A private certificate authority belongs into tls-ca-file. The certificate has to "
            f"name {host} exactly.",
        )
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return f"the server closed the connection, {during}", ""
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "unknown").lower().replace("_", " ")
        why = f"TLS failed during {during}: {reason}"
        if any(words in reason for words in _IN_CLEAR):
            return why, STARTTLS_HINT
        if "certificate required" in reason or "handshake failure" in reason:
            return why, "The server may want a client certificate: tls-client-cert."
        if "version" in reason or "unsupported protocol" in reason:
            return why, "TLS 1.2 is the oldest that is spoken here; the server has to be newer."
        return why, ""
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
