"""Transport -> SSL context: whom to trust and what to show; and whose certificate a server has."""

import hashlib
import os
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from chainloop_smtp import inputfile
from chainloop_smtp.errors import OptionsError, Problem, quoted_path
from chainloop_smtp.model.settings import Transport
from chainloop_smtp.secrets import as_pem

_LARGEST = 16 * 1024 * 1024  # bytes; all public authorities are 0.2 MiB
_PEM_ITSELF = "The PEM text itself can be given too."
_HASHED = re.compile(r"[0-9a-f]{8}\.\d")


class Certificate(NamedTuple):
    """What a verified certificate says about itself; untrusted text.

    Attributes:
        subject: Its first subject alternative name.
        issuer: Organisation, or the authority's name.
        ends: End of its validity; aware, in UTC.
    """

    subject: str
    issuer: str
    ends: datetime


def context(transport: Transport) -> ssl.SSLContext:
    """Return the context of a handshake; with a pin, the caller compares the fingerprint.

    Raises:
        OptionsError: A file cannot be read, or is not what it should be.
    """
    ssl_context = _unverified() if transport.tls_fingerprint else _verified()
    # RFC 9525 section 6.3: only subject alternative names count, never the common name.
    ssl_context.hostname_checks_common_name = False
    # RFC 8996: TLS 1.0 and 1.1 are not to be used.
    ssl_context.minimum_version = ssl.TLSVersion.TLSv1_2
    ssl_context.sslsocket_class = _Socket
    if transport.tls_ca_file:
        _load_authorities(transport.tls_ca_file, ssl_context)
    if transport.tls_client_cert:
        _load_client_certificate(transport.tls_client_cert, transport.tls_client_key, ssl_context)
    return ssl_context


def check_files(ca_file: str, client_cert: str, client_key: str) -> None:
    """Check, without a connection, that the files of the options are usable.

    Raises:
        OptionsError: Some are not; with every problem.
    """
    scratch = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    problems: list[Problem] = []
    try:
        if ca_file:
            _load_authorities(ca_file, scratch)
    except OptionsError as error:
        problems += error.problems
    try:
        if client_cert:
            _load_client_certificate(client_cert, client_key, scratch)
    except OptionsError as error:
        problems += error.problems
    if problems:
        raise OptionsError(*problems)


def fingerprint(secured: ssl.SSLSocket) -> str:
    """Return the SHA-256 of the server's certificate in DER, as lower-case hex."""
    return hashlib.sha256(secured.getpeercert(binary_form=True) or b"").hexdigest()


def verified_certificate(secured: ssl.SSLSocket) -> Certificate | None:
    """Return the server's certificate; None where a pin replaces its verification."""
    fields: dict[str, Any] | None = secured.getpeercert()
    if not fields:
        return None
    names = [value for _, value in fields.get("subjectAltName", ())]
    rdns = {name: value for rdn in fields["issuer"] for name, value in rdn}
    issuer = rdns.get("organizationName") or rdns.get("commonName") or "an authority without a name"
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(fields["notAfter"]), UTC)
    # There is a name, since verification has found the host's among them.
    return Certificate(subject=names[0], issuer=issuer, ends=ends)


def is_answered(connected: socket.socket, host: str, seconds: float) -> bool:
    """Tell whether the other side answers a handshake, whoever it is; the socket is closed."""
    try:
        connected.settimeout(seconds)
        with _unverified().wrap_socket(connected, server_hostname=host) as secured:
            return secured.version() is not None
    except OSError:
        connected.close()
        return False


class _Socket(ssl.SSLSocket):
    """Fails where the other side has reset the connection before the handshake.

    `wrap_socket` asks who the other side is first. If nobody is there any more, it returns a socket
    that has seen no handshake, or raises and leaves one open.
    """

    def getpeername(self) -> Any:
        try:
            return super().getpeername()
        except OSError as error:
            self.close()
            raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "reset before the handshake") from error


def _unverified() -> ssl.SSLContext:
    ssl_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ssl_context.check_hostname = False
    ssl_context.verify_mode = ssl.CERT_NONE
    return ssl_context


def _verified() -> ssl.SSLContext:
    paths = ssl.get_default_verify_paths()
    if paths.cafile and paths.capath and _is_same_store(Path(paths.cafile), Path(paths.capath)):
        # OpenSSL looks an authority up in a hashed folder when it needs it. It would read the whole
        # bundle: 28 ms of the 29 that a context takes on Debian.
        return ssl.create_default_context(capath=paths.capath)
    return ssl.create_default_context()


def _is_same_store(bundle: Path, folder: Path) -> bool:
    """The folder is hashed and holds what the bundle does: update-ca-certificates made both.

    It writes the bundle into the folder before it hashes. A bundle that is newer, or elsewhere, may
    hold an authority that was added to it alone.
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


def _load_authorities(ca_file: str, ssl_context: ssl.SSLContext) -> None:
    try:
        with _as_file("tls-ca-file", ca_file) as path:
            ssl_context.load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        why = f"{_named(ca_file)} contains no PEM certificate"
        raise OptionsError(Problem("tls-ca-file", why)) from error


def _load_client_certificate(cert: str, key: str, ssl_context: ssl.SSLContext) -> None:

    def encrypted() -> NoReturn:
        why = f"the key in {_named(key or cert)} is encrypted"
        hint = "Decrypt it (openssl pkey -in key.pem -out plain.pem), and keep it as a secret."
        raise OptionsError(Problem("tls-client-key" if key else "tls-client-cert", why, hint))

    try:
        with (
            _as_file("tls-client-cert", cert) as cert_path,
            _as_file("tls-client-key", key) as key_path,
        ):
            ssl_context.load_cert_chain(cert_path, key_path or None, password=encrypted)
    except ssl.SSLError as error:
        hint = "Both are PEM; the certificate comes before those of its authorities."
        if "mismatch" in (error.reason or "").lower():
            why = f"the key does not belong to the certificate in {_named(cert)}"
        elif key:
            why = f"{_named(cert)} contains no certificate, or {_named(key)} no key"
        else:
            why = f"{_named(cert)} does not contain both a certificate and its key"
            hint = "Give the key as tls-client-key, or put both into one. Both are PEM."
        raise OptionsError(Problem("tls-client-cert", why, hint)) from error


@contextmanager
def _as_file(option: str, value: str) -> Iterator[str]:
    """A path for OpenSSL, which reads nothing else; PEM text goes into a private temporary file.

    Raises:
        OptionsError: It is the path of a file that cannot be read.
    """
    text = as_pem(value)
    if not text:
        _check_readable(option, value)
        yield value
        return
    # Imported here, since few options hold PEM text.
    import tempfile

    descriptor, path = tempfile.mkstemp(prefix="chainloop-smtp-", suffix=".pem")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
        yield path
    finally:
        Path(path).unlink()


def _check_readable(option: str, path: str) -> None:
    try:
        if path:
            inputfile.read_pem(path, _LARGEST)
    except inputfile.UnreadableError as error:
        why = "cannot be read: no such file" if error.missing else error.why
        hint = f"{error.hint} {_PEM_ITSELF}".strip() if error.missing else error.hint
        raise OptionsError(Problem(option, f"{quoted_path(path)} {why}", hint)) from error


def _named(value: str) -> str:
    return "the PEM text" if as_pem(value) else quoted_path(value)
