"""Transport -> TLS: whom to trust, what to show, and whether it is the right one."""

import hashlib
import re
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from chainloop_smtp.errors import OptionsError, Problem, quoted
from chainloop_smtp.model import Transport

_HASHED = re.compile(r"[0-9a-f]{8}\.\d")


class Certificate(NamedTuple):
    """What a verified certificate says of itself; anybody's text.

    Attributes:
        subject: The first name that it is for.
        issuer: Organisation, or the authority's name.
        ends: When its validity does; aware, in UTC.
    """

    subject: str
    issuer: str
    ends: datetime


def context(transport: Transport) -> ssl.SSLContext:
    """What a handshake needs. It checks certificate and host name, or leaves that to a pin.

    Raises:
        OptionsError: A file cannot be read, or is not what it should be.
    """
    made = _pinning() if transport.tls_fingerprint else _trusting()
    # RFC 9525 section 6.3: only subject alternative names count, never the common name.
    made.hostname_checks_common_name = False
    # RFC 8996: TLS 1.0 and 1.1 are not to be used.
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if transport.tls_ca_file:
        _trust(transport.tls_ca_file, made)
    if transport.tls_client_cert:
        _show(transport.tls_client_cert, transport.tls_client_key, made)
    return made


def check_files(ca_file: str, client_cert: str, client_key: str) -> None:
    """Finds out early, and without a connection, whether the files of the options are usable.

    Raises:
        OptionsError: Some are not; with every problem.
    """
    scratch = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    problems: list[Problem] = []
    try:
        if ca_file:
            _trust(ca_file, scratch)
    except OptionsError as error:
        problems += error.problems
    try:
        if client_cert:
            _show(client_cert, client_key, scratch)
    except OptionsError as error:
        problems += error.problems
    if problems:
        raise OptionsError(*problems)


def fingerprint(secured: ssl.SSLSocket) -> str:
    """SHA-256 of the other side's certificate in DER, as lower-case hexadecimal digits."""
    return hashlib.sha256(secured.getpeercert(binary_form=True) or b"").hexdigest()


def described(secured: ssl.SSLSocket) -> Certificate | None:
    """The other side's certificate; None where a pin stands for its verification."""
    found: dict[str, Any] = secured.getpeercert() or {}
    if not found:
        return None
    names = [value for _, value in found.get("subjectAltName", ())]
    issuer = {name: value for rdn in found["issuer"] for name, value in rdn}
    by = issuer.get("organizationName") or issuer.get("commonName") or "an authority without a name"
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(found["notAfter"]), UTC)
    # There is one, or the host's name would not have been found in it.
    return Certificate(subject=names[0], issuer=by, ends=ends)


def is_answered(connected: socket.socket, host: str, seconds: float) -> bool:
    """Whether the other side answers a handshake, whoever it is; the connection ends with it."""
    try:
        connected.settimeout(seconds)
        with _pinning().wrap_socket(connected, server_hostname=host) as secured:
            return secured.version() is not None
    except OSError:
        connected.close()
        return False


def _pinning() -> ssl.SSLContext:
    """A context that trusts nobody by itself: the caller compares the fingerprint."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


def _trusting() -> ssl.SSLContext:
    """A context that trusts the system's authorities."""
    paths = ssl.get_default_verify_paths()
    if paths.cafile and paths.capath and _is_same_store(Path(paths.cafile), Path(paths.capath)):
        # OpenSSL looks an authority up in a hashed folder when it needs it. The bundle it would
        # read whole: 28 ms of the 29 that a context takes on Debian.
        return ssl.create_default_context(capath=paths.capath)
    return ssl.create_default_context()


def _is_same_store(bundle: Path, folder: Path) -> bool:
    """The folder is hashed and holds what the bundle does: update-ca-certificates made both.

    It writes the bundle into the folder before it hashes. A bundle that is newer, or lies
    elsewhere, may hold an authority that somebody has added to nothing else.
    """
    bundle, folder = bundle.resolve(), folder.resolve()
    try:
        return (
            bundle.parent == folder
            and bundle.stat().st_mtime <= folder.stat().st_mtime
            and any(_HASHED.fullmatch(entry.name) for entry in folder.iterdir())
        )
    except OSError:
        return False


def _trust(ca_file: str, made: ssl.SSLContext) -> None:
    """Adds the authorities of a PEM file."""
    try:
        made.load_verify_locations(cafile=ca_file)
    except ssl.SSLError as error:
        why = f"{quoted(ca_file)} holds no PEM certificate"
        raise OptionsError(Problem("tls-ca-file", why)) from error
    except (OSError, ValueError) as error:
        raise _unreadable("tls-ca-file", ca_file, error) from error


def _show(cert: str, key: str, made: ssl.SSLContext) -> None:
    """Takes our own certificate, with its key from the same file or from another."""

    def encrypted() -> NoReturn:
        why = f"the key in {quoted(key or cert)} is encrypted"
        hint = "Decrypt it (openssl pkey -in key.pem -out plain.pem), and keep it as a secret."
        raise OptionsError(Problem("tls-client-key" if key else "tls-client-cert", why, hint))

    for name, path in (("tls-client-cert", cert), ("tls-client-key", key)):
        try:
            if path:
                Path(path).open("rb").close()
        except (OSError, ValueError) as error:
            raise _unreadable(name, path, error) from error
    try:
        made.load_cert_chain(cert, key or None, password=encrypted)
    except ssl.SSLError as error:
        hint = "Both are PEM; the certificate comes before those of its authorities."
        if "mismatch" in (error.reason or "").lower():
            why = f"the key does not belong to the certificate in {quoted(cert)}"
        elif key:
            why = f"{quoted(cert)} holds no certificate, or {quoted(key)} no key"
        else:
            why = f"{quoted(cert)} does not hold both a certificate and its key"
            hint = "Give the key's file as tls-client-key, or put both into one. Both are PEM."
        raise OptionsError(Problem("tls-client-cert", why, hint)) from error


def _unreadable(name: str, path: str, error: OSError | ValueError) -> OptionsError:
    why = error.strerror if isinstance(error, OSError) and error.strerror else "not a path"
    return OptionsError(Problem(name, f"{quoted(path)} cannot be read: {why.lower()}"))
