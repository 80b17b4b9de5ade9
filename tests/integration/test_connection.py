"""From a host and a port to a connection that may be trusted: addresses, proxies, certificates."""

import base64
import hashlib
import os
import re
import select
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chainloop_smtp.delivery import check_files
from chainloop_smtp.delivery.connection import Connection, GoodbyeError
from chainloop_smtp.delivery.dialing import Deadline, Rotation, UnreachableError, dial
from chainloop_smtp.delivery.tls import context, fingerprint, is_answered, verified_certificate
from chainloop_smtp.errors import DeliveryError, OptionsError, Problem, quoted_path
from chainloop_smtp.model.mail import Delivery, RecipientStatus
from chainloop_smtp.model.settings import Proxy, ProxyKind, Tls, Transport
from proxies import Tunnel
from refusal import Said, error_of
from smtpserver import (
    CONTENT,
    PATIENCE,
    Certificates,
    Mailboxes,
    Script,
    Scripted,
    Step,
    Then,
    issued,
    script,
)
from submission import a_mail, refusal_of, registration, send_one

USER, PASSWORD = "ci@example.test", "correct horse"
LOGIN = ("jane", "proxy-s3cret")
BOTH_PEM = "Both are PEM; the certificate comes before those of its authorities."
PUT_TOGETHER = "Give the key as tls-client-key, or put both into one. Both are PEM."
DECRYPT = "Decrypt it (openssl pkey -in key.pem -out plain.pem), and keep it as a secret."
PEM_ITSELF = "The PEM text itself can be given too."
IMPLICIT = "For a port that starts with TLS, such as 465, set tls: implicit."
DNS = "Can this machine reach its DNS server?"
PORT = "Is the port right and open from here? Hosted runners cannot reach port 25."
SOCKS = "Is its login right, and does it let this runner reach that host and port?"


def submit(
    server: Mailboxes | Scripted, *, host: str = "127.0.0.1", user: str = "", **transport: object
) -> Delivery:
    way = registration(server, host=host, user=user, password=PASSWORD)
    settings = {"tls": Tls.STARTTLS, "timeout": 5.0, "deadline": 10.0} | transport
    return send_one(a_mail(), way, Transport(**settings), attempts=1)  # type: ignore[arg-type]


def running(tls: ssl.SSLContext, *, implicit: bool = False) -> Mailboxes:
    return Mailboxes(tls=tls, implicit=implicit, mechanisms=("PLAIN",), accounts={USER: PASSWORD})


# --- pins --------------------------------------------------------------------------------------


def _pin(server: Mailboxes) -> str:
    """What the server's certificate has for a fingerprint, as openssl prints it."""
    pem = ssl.get_server_certificate(("127.0.0.1", server.port))
    printed = subprocess.run(
        ["openssl", "x509", "-noout", "-fingerprint", "-sha256"],
        input=pem.encode(),
        capture_output=True,
        check=True,
    ).stdout.decode()
    return printed.partition("=")[2].strip().replace(":", "").lower()


@pytest.mark.parametrize("kind", ["server", "wrong_name", "expired", "unknown"])
def test_a_pinned_certificate_is_trusted_whoever_made_it(tls: Certificates, kind: str) -> None:
    with running(getattr(tls, kind), implicit=True).running() as server:
        result = submit(server, user=USER, tls=Tls.IMPLICIT, tls_fingerprint=_pin(server))

    assert server.logins == [("PLAIN", USER)]
    assert result.accepted == ("to@example.test",)


@pytest.mark.parametrize("mode", [Tls.STARTTLS, Tls.IMPLICIT])
def test_another_certificate_than_the_pinned_gets_no_secret(tls: Certificates, mode: Tls) -> None:
    pin = hashlib.sha256(b"another").hexdigest()
    with Scripted(script(tls=mode.value, auth="PLAIN"), tls.server) as server:
        result = submit(server, user=USER, tls=mode, tls_fingerprint=pin)

    assert [result.status for result in result.results] == [RecipientStatus.REFUSED]
    found = (
        result.transactions[0].certificate
        or re.findall("[0-9a-f]{64}", result.transactions[0].why)[0]
    )
    assert result.transactions[0].why == (
        f"the server's certificate has the SHA-256 fingerprint {found}, not the pinned one"
    )
    assert result.transactions[0].hint == (
        "If its operator confirms the new certificate, set tls-fingerprint to it."
    )
    assert b"AUTH" not in server.received
    assert b"MAIL" not in server.received


def test_a_pin_works_with_the_oldest_tls_that_is_spoken(tls: Certificates) -> None:
    made = context(Transport(tls_fingerprint="0" * 64))
    assert made.minimum_version is ssl.TLSVersion.TLSv1_2
    with running(tls.server, implicit=True).running() as server:
        found = _pin(server)
        said = refusal_of(lambda: submit(server, tls=Tls.IMPLICIT, tls_fingerprint="0" * 64))
    assert said == (
        f"127.0.0.1:{server.port}: the server's certificate has the SHA-256 fingerprint {found}, "
        "not the pinned one\n"
        "  If its operator confirms the new certificate, set tls-fingerprint to it."
    )


# --- client certificates -----------------------------------------------------------------------


@pytest.mark.parametrize("both", [True, False], ids=["one file", "two files"])
def test_a_client_certificate_is_shown(tls: Certificates, both: bool) -> None:
    shown = (
        {"tls_client_cert": str(tls.client_both)}
        if both
        else {"tls_client_cert": str(tls.client_cert), "tls_client_key": str(tls.client_key)}
    )
    with running(tls.mutual).running() as server:
        result = submit(server, tls_ca_file=str(tls.ca_file), **shown)

    assert result.accepted == ("to@example.test",)


FORMS: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "Windows line ends": lambda text: text.replace("\n", "\r\n"),
    "escaped line ends": lambda text: text.replace("\n", "\\n"),
    "folded": lambda text: text.replace("\n", " "),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "wrapped base64": lambda text: base64.encodebytes(text.encode()).decode(),
    "with text around it": lambda text: f"Bag Attributes: ü\udcff\n{text}",
}


@pytest.mark.parametrize("both", [True, False], ids=["one text", "two texts"])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_pem_text_stands_for_a_file(
    tls: Certificates,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    form: Callable[[str], str],
    both: bool,
) -> None:
    cert, key = (form(each.read_text()) for each in (tls.client_cert, tls.client_key))
    shown = (
        {"tls_client_cert": form(tls.client_both.read_text())}
        if both
        else {"tls_client_cert": cert, "tls_client_key": key}
    )
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with running(tls.mutual).running() as server:
        result = submit(server, tls_ca_file=form(tls.ca_file.read_text()), **shown)

    assert result.accepted == ("to@example.test",)
    assert list(tmp_path.iterdir()) == []


def test_pem_text_lies_in_a_file_for_its_owner_only_and_not_for_long(
    tls: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    modes: list[int] = []

    class Broken(ssl.SSLContext):
        def load_cert_chain(self, certfile: str, *_: object, **__: object) -> None:  # type: ignore[override]
            modes.extend(each.stat().st_mode & 0o777 for each in tmp_path.iterdir())
            assert Path(certfile).read_text() == tls.client_cert.read_text().strip() + "\n"
            raise KeyboardInterrupt

    monkeypatch.setattr(ssl, "SSLContext", Broken)
    with pytest.raises(KeyboardInterrupt):
        check_files("", tls.client_cert.read_text(), tls.client_key.read_text())
    assert modes == [0o600, 0o600]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("cert", "key", "said"),
    [
        (
            "key",
            "",
            (
                "tls-client-cert",
                "the PEM text does not contain both a certificate and its key",
                PUT_TOGETHER,
            ),
        ),
        (
            "cert",
            "cert",
            (
                "tls-client-cert",
                "the PEM text contains no certificate, or the PEM text no key",
                BOTH_PEM,
            ),
        ),
        (
            "cert",
            "other",
            (
                "tls-client-cert",
                "the key does not belong to the certificate in the PEM text",
                BOTH_PEM,
            ),
        ),
        (
            "cert",
            "encrypted",
            ("tls-client-key", "the key in the PEM text is encrypted", DECRYPT),
        ),
    ],
)
def test_an_error_about_pem_text_never_quotes_it(
    tls: Certificates, tmp_path: Path, cert: str, key: str, said: Said
) -> None:
    files = _files(tmp_path, tls)
    texts = [Path(files[each]).read_text() if each else "" for each in (cert, key)]
    assert error_of(lambda: check_files("", *texts), OptionsError) == said


@pytest.mark.parametrize(
    "cut", ["-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\nMIIE"]
)
def test_a_key_that_is_cut_off_is_not_quoted_either(tls: Certificates, cut: str) -> None:
    with pytest.raises(OptionsError) as caught:
        check_files(cut, tls.client_cert.read_text(), cut)
    assert caught.value.problems == (
        Problem("tls-ca-file", "the PEM text contains no PEM certificate"),
        Problem(
            "tls-client-cert",
            "the PEM text contains no certificate, or the PEM text no key",
            BOTH_PEM,
        ),
    )


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("certs/client.pem", "'certs/client.pem'"),
        ("MIIEvQIBADANBgkqhkiG9w0BAQEF", "(not shown: it may be a secret)"),
        ("LS0tLS1CRUdJTi=LS0t", "(not shown: it may be a secret)"),
    ],
    ids=["path", "DER in base64", "broken base64 of PEM"],
)
@pytest.mark.parametrize("option", ["tls-ca-file", "tls-client-cert", "tls-client-key"])
def test_what_is_not_there_is_only_quoted_where_it_looks_like_a_path(
    tls: Certificates,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    option: str,
    given: str,
    shown: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    cert = str(tls.client_cert) if option == "tls-client-key" else ""
    options = {"tls-ca-file": "", "tls-client-cert": cert, "tls-client-key": ""}
    with pytest.raises(OptionsError) as caught:
        check_files(*(options | {option: given}).values())
    assert caught.value.problems == (
        Problem(
            option,
            f"{shown} cannot be read: no such file",
            "Paths are relative to the workspace: does a step before this one check it out? The "
            "PEM text itself can be given too.",
        ),
    )


def test_a_pipe_is_no_certificate(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    pipe = str(tmp_path / "pipe")
    with pytest.raises(OptionsError) as caught:
        check_files(pipe, pipe, pipe)
    hint = "Write its contents to a file first, and give that file."
    assert caught.value.problems == (
        Problem("tls-ca-file", f"'{pipe}' is a pipe, not a file", hint),
        Problem("tls-client-cert", f"'{pipe}' is a pipe, not a file", hint),
    )


@pytest.mark.parametrize(
    ("version", "failed"),
    [
        (ssl.TLSVersion.TLSv1_2, "TLS handshake: sslv3 alert handshake failure"),
        (
            ssl.TLSVersion.TLSv1_3,
            "waiting for the greeting: tlsv13 alert certificate required",
        ),
    ],
)
def test_a_server_that_wants_a_client_certificate_is_told_of(
    tls: Certificates, version: ssl.TLSVersion, failed: str
) -> None:
    tls.mutual.maximum_version = version
    try:
        with Scripted(script(tls="implicit"), tls.mutual) as server:
            said = refusal_of(
                lambda: submit(server, tls=Tls.IMPLICIT, tls_ca_file=str(tls.ca_file))
            )
    finally:
        tls.mutual.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED

    assert said == (
        f"127.0.0.1:{server.port}: TLS failed during {failed}\n"
        "  The server may want a client certificate: tls-client-cert."
    )


def _files(folder: Path, tls: Certificates) -> dict[str, str]:
    encrypted, empty = folder / "encrypted.pem", folder / "empty.pem"
    subprocess.run(
        [
            "openssl",
            "pkey",
            "-in",
            tls.client_key,
            "-aes256",
            "-passout",
            "pass:x",
            "-out",
            encrypted,
        ],
        check=True,
    )
    empty.write_bytes(b"")
    other = folder / "other.pem"
    trustme.CA().issue_cert("x").private_key_pem.write_to_path(str(other))
    return {
        "": "",
        "cert": str(tls.client_cert),
        "key": str(tls.client_key),
        "both": str(tls.client_both),
        "encrypted": str(encrypted),
        "empty": str(empty),
        "other": str(other),
        "missing": str(folder / "missing.pem"),
        "NUL": "a\0b",
    }


@pytest.mark.parametrize(
    ("cert", "key", "where", "why", "hint"),
    [
        ("missing", "", "tls-client-cert", "{missing} cannot be read: no such file", PEM_ITSELF),
        ("cert", "missing", "tls-client-key", "{missing} cannot be read: no such file", PEM_ITSELF),
        ("NUL", "", "tls-client-cert", "'a b' cannot be read: not a path", ""),
        (
            "empty",
            "",
            "tls-client-cert",
            "{empty} does not contain both a certificate and its key",
            PUT_TOGETHER,
        ),
        (
            "cert",
            "",
            "tls-client-cert",
            "{cert} does not contain both a certificate and its key",
            PUT_TOGETHER,
        ),
        (
            "key",
            "",
            "tls-client-cert",
            "{key} does not contain both a certificate and its key",
            PUT_TOGETHER,
        ),
        (
            "cert",
            "empty",
            "tls-client-cert",
            "{cert} contains no certificate, or {empty} no key",
            BOTH_PEM,
        ),
        (
            "key",
            "key",
            "tls-client-cert",
            "{key} contains no certificate, or {key} no key",
            BOTH_PEM,
        ),
        (
            "cert",
            "other",
            "tls-client-cert",
            "the key does not belong to the certificate in {cert}",
            BOTH_PEM,
        ),
        ("cert", "encrypted", "tls-client-key", "the key in {encrypted} is encrypted", DECRYPT),
    ],
)
def test_client_certificates_that_are_none_are_told_early(
    tls: Certificates, tmp_path: Path, cert: str, key: str, where: str, why: str, hint: str
) -> None:
    files = _files(tmp_path, tls)
    shown = {name: quoted_path(path) for name, path in files.items()}
    said = error_of(lambda: check_files("", files[cert], files[key]), OptionsError)
    assert said == (where, why.format(**shown), hint)


def test_an_encrypted_key_beside_its_certificate_is_told(tls: Certificates, tmp_path: Path) -> None:
    encrypted = Path(_files(tmp_path, tls)["encrypted"])
    both = tmp_path / "both-encrypted.pem"
    both.write_bytes(tls.client_cert.read_bytes() + encrypted.read_bytes())
    assert error_of(lambda: check_files("", str(both), ""), OptionsError) == (
        "tls-client-cert",
        f"the key in {quoted_path(str(both))} is encrypted",
        DECRYPT,
    )


@pytest.mark.parametrize("size", [16 * 1024 * 1024, 16 * 1024 * 1024 + 1])
def test_a_bundle_has_a_largest_size(tls: Certificates, tmp_path: Path, size: int) -> None:
    bundle = tmp_path / "bundle.pem"
    with bundle.open("wb") as file:
        file.write(tls.ca_file.read_bytes().ljust(size, b"\n"))
    if size <= 16 * 1024 * 1024:
        check_files(str(bundle), "", "")
        return
    assert error_of(lambda: check_files(str(bundle), "", ""), OptionsError) == (
        "tls-ca-file",
        f"{quoted_path(str(bundle))} is larger than 16 MiB",
        "",
    )


OPTIONS = ("tls-ca-file", "tls-client-cert", "tls-client-key")


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_pem_that_powershell_wrote_is_told(
    tmp_path: Path, tls: Certificates, option: str, encoding: str
) -> None:
    files = dict(zip(OPTIONS, (tls.ca_file, tls.client_cert, tls.client_key), strict=True))
    path = tmp_path / "file.pem"
    path.write_bytes(files[option].read_text().encode(encoding))
    given = [str(path if each == option else file) for each, file in files.items()]
    assert error_of(lambda: check_files(*given), OptionsError) == (
        option,
        f"{quoted_path(str(path))} is not UTF-8",
        "Save it as UTF-8.",
    )


def test_a_file_of_authorities_without_one_is_told(tls: Certificates) -> None:
    assert error_of(lambda: check_files(str(tls.client_key), "", ""), OptionsError) == (
        "tls-ca-file",
        f"{quoted_path(str(tls.client_key))} contains no PEM certificate",
        "",
    )


def test_all_files_are_looked_at_together(
    tls: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    check_files("", "", "")
    check_files(str(tls.ca_file), str(tls.client_both), "")
    with pytest.raises(OptionsError) as caught:
        check_files("no-ca.pem", "no-cert.pem", "")
    checkout = "Paths are relative to the workspace: does a step before this one check it out?"
    hint = f"{checkout} {PEM_ITSELF}"
    assert caught.value.problems == (
        Problem("tls-ca-file", "'no-ca.pem' cannot be read: no such file", hint),
        Problem("tls-client-cert", "'no-cert.pem' cannot be read: no such file", hint),
    )


# --- authorities -------------------------------------------------------------------------------


def _store(folder: Path, tls: Certificates) -> Path:
    """A folder like Debian's /etc/ssl/certs; its bundle."""
    store = folder / "certs"
    store.mkdir()
    bundle = store / "ca-certificates.crt"
    bundle.write_bytes(tls.ca_file.read_bytes())
    (store / "authority.pem").write_bytes(tls.ca_file.read_bytes())
    subprocess.run(["openssl", "rehash", store], check=True)
    later = bundle.stat().st_mtime + 5
    os.utime(store, (later, later))
    return bundle


@pytest.mark.parametrize(
    "state",
    [
        "as made",
        "bundle is newer",
        "elsewhere",
        "linked to elsewhere",
        "linked folder",
        "not hashed",
        "gone",
    ],
)
def test_the_systems_authorities_are_trusted_however_they_are_stored(
    tls: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    bundle = _store(tmp_path, tls)
    monkeypatch.setenv("SSL_CERT_DIR", str(bundle.parent))
    if state == "bundle is newer":
        later = bundle.stat().st_mtime + 60
        os.utime(bundle, (later, later))
    elif state == "elsewhere":
        bundle = bundle.rename(tmp_path / "bundle.pem")
    elif state == "linked to elsewhere":
        bundle.rename(tmp_path / "bundle.pem")
        bundle.symlink_to(tmp_path / "bundle.pem")
    elif state == "linked folder":
        (tmp_path / "link").symlink_to(bundle.parent)
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "link"))
    elif state == "not hashed":
        for link in bundle.parent.glob("*.0"):
            link.unlink()
        os.utime(bundle.parent, (bundle.stat().st_mtime + 5,) * 2)
    elif state == "gone":
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    made = context(Transport())
    # What a hashed folder holds is read when it is needed, so nothing of it is there at first.
    assert bool(made.get_ca_certs()) == (state not in ("as made", "linked folder"))
    with running(tls.server).running() as server:
        assert submit(server).accepted == ("to@example.test",)


def test_a_store_that_cannot_be_looked_into_is_read_whole(
    tls: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = _store(tmp_path, tls)
    monkeypatch.setenv("SSL_CERT_DIR", str(bundle.parent))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))

    def fail(_: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "iterdir", fail)
    assert context(Transport()).get_ca_certs()


# --- the server's name -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "named"),
    [("localhost", "localhost"), ("localhost.", "localhost"), ("127.0.0.1", None)],
)
def test_the_server_is_named_in_the_handshake_unless_it_is_an_address(
    tls: Certificates, host: str, named: str | None
) -> None:
    names: list[str | None] = []
    tls.server.sni_callback = lambda _, name, __: names.append(name)
    try:
        with running(tls.server).running() as server:
            submit(server, host=host, tls_ca_file=str(tls.ca_file))
    finally:
        tls.server.sni_callback = None

    assert names == [named]


NAME_HINT = (
    "The certificate must name {} as a subject alternative name; its common name does not "
    "count. Set host to a name that it has, or have a new certificate issued."
)


@pytest.mark.parametrize("mode", [Tls.STARTTLS, Tls.IMPLICIT])
@pytest.mark.parametrize(
    ("host", "common_name", "names"),
    [
        ("mail.example.test", "mail.example.test", ()),
        ("mail.example.test", "mail.example.test", ("other.example.test",)),
        ("mail.example.test", "mail.example.test", ("127.0.0.1",)),
        ("mail.example.test", "*.example.test", ()),
        ("127.0.0.1", "127.0.0.1", ()),
        ("127.0.0.1", "127.0.0.1", ("localhost", "DNS:127.0.0.1")),
        ("127.0.0.1", "x", ("127.0.0.2", "::1")),
        ("a.mail.example.test", "x", ("*.example.test",)),
        ("example.test", "x", ("*.example.test",)),
        ("example.test", "x", ("*.test",)),
        ("mail.example.test", "x", ("m*.example.test",)),
        ("mail.example.test", "x", ("mail.*.test",)),
        ("mail.example.test", "x", ("*",)),
    ],
)
def test_only_a_subject_alternative_name_makes_a_certificate_the_hosts(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: Tls,
    host: str,
    common_name: str,
    names: tuple[str, ...],
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    shown = issued(authority, tmp_path, common_name, *names)
    with Scripted(script(tls=mode.value, auth="PLAIN"), shown) as server:
        _resolve(monkeypatch, [("127.0.0.1", server.port)])
        result = submit(
            server, host=host, user=USER, tls=mode, tls_ca_file=str(tmp_path / "ca.pem")
        )

    mismatch = "IP address" if host == "127.0.0.1" else "Hostname"
    (attempt,) = result.transactions
    assert attempt.why == (
        f"the server's certificate is not trusted: {mismatch} mismatch, "
        f"certificate is not valid for '{host}'"
    )
    assert attempt.hint == NAME_HINT.format(host)
    assert result.accepted == ()
    assert b"AUTH" not in server.received


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("mail.example.test", ("mail.example.test",)),
        ("MAIL.example.test.", ("mail.EXAMPLE.test",)),
        ("mail.example.test", ("other.test", "*.example.test")),
        ("127.0.0.1", ("localhost", "127.0.0.1")),
    ],
)
def test_a_subject_alternative_name_may_be_a_wildcard_or_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, names: tuple[str, ...]
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with running(issued(authority, tmp_path, "nobody", *names)).running() as server:
        _resolve(monkeypatch, [("127.0.0.1", server.port)])
        result = submit(server, host=host, user=USER, tls_ca_file=str(tmp_path / "ca.pem"))

    assert server.logins == [("PLAIN", USER)]
    assert result.accepted == ("to@example.test",)


@pytest.mark.parametrize("kind", ProxyKind)
def test_behind_a_proxy_too_the_common_name_does_not_count(tmp_path: Path, kind: ProxyKind) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with running(issued(authority, tmp_path, "mail.example.test")).running() as server:
        tunnel = Tunnel(hosts={"mail.example.test": ("127.0.0.1", server.port)})
        with tunnel.http() if kind is ProxyKind.HTTP else tunnel.socks5():
            result = submit(
                server,
                host="mail.example.test",
                user=USER,
                tls_ca_file=str(tmp_path / "ca.pem"),
                proxy=_proxy(tunnel, kind),
            )

    assert result.transactions[0].hint == NAME_HINT.format("mail.example.test")
    assert server.logins == []


# --- wrong ports -------------------------------------------------------------------------------


class Slow(Scripted):
    """Greets its first client after a while, and counts who else comes meanwhile.

    Attributes:
        others: Connections before the greeting, apart from the first.
    """

    def __init__(self, steps: Script, *, seconds: float, expects_another: bool = False) -> None:
        super().__init__(steps)
        self.others = 0
        self._seconds = seconds
        self._expects_another = expects_another

    def _say(self, connection: socket.socket, step: Step) -> None:
        if step is self._steps["greeting"]:
            self._listener.settimeout(PATIENCE if self._expects_another else self._seconds)
            with suppress(TimeoutError):
                while True:
                    other, _ = self._listener.accept()
                    other.close()
                    self.others += 1
                    self._listener.settimeout(self._seconds)
        super()._say(connection, step)

    def __enter__(self) -> "Slow":
        super().__enter__()
        return self


@pytest.mark.parametrize(
    ("said_first", "told"),
    [
        (
            b"\x15\x03\x01\x00\x02\x02\x46",
            f"the server expects TLS from the start\n  {IMPLICIT}",
        ),
        (
            b"",
            "the server closed the connection\n"
            "  Its log says why; common causes are too many connections and block lists. "
            f"{IMPLICIT}",
        ),
    ],
    ids=["an alert", "nothing"],
)
def test_a_port_that_speaks_tls_at_once_is_known_by_how_it_ends(
    said_first: bytes, told: str
) -> None:
    with Scripted({"greeting": Step(reply=said_first, then=Then.CLOSE)}) as server:
        said = refusal_of(lambda: submit(server))

    assert said == f"127.0.0.1:{server.port}: {told}"


@pytest.mark.parametrize("mode", [Tls.STARTTLS, Tls.NONE])
@pytest.mark.parametrize(("timeout", "suspicious"), [(0.5, 60.0), (60.0, 0.5)])
def test_a_port_that_waits_for_tls_is_found_out_after_a_short_silence(
    tls: Certificates,
    monkeypatch: pytest.MonkeyPatch,
    timeout: float,
    suspicious: float,
    mode: Tls,
) -> None:
    monkeypatch.setattr("chainloop_smtp.delivery.session._SUSPICIOUS_SILENCE", suspicious)
    with running(tls.unknown, implicit=True).running() as server:
        started = time.monotonic()
        said = refusal_of(lambda: submit(server, tls=mode, timeout=timeout, deadline=90.0))

    assert time.monotonic() - started < 40
    assert said == (
        f"127.0.0.1:{server.port}: the server says nothing before TLS begins\n"
        "  Set tls: implicit for this port."
    )
    assert server.mails == []


def test_a_server_that_takes_its_time_to_greet_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A look at whether it waits for TLS does it no harm."""
    monkeypatch.setattr("chainloop_smtp.delivery.session._SUSPICIOUS_SILENCE", 0.1)
    with Slow(script(), seconds=1.0, expects_another=True) as server:
        result = submit(server, tls=Tls.NONE, timeout=60.0, deadline=60.0)

    assert result.accepted == ("to@example.test",)
    assert len(result.transactions) == 1
    assert server.others == 1


def test_at_port_25_a_server_is_not_suspected_before_its_time_is_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Servers there make clients wait, and take it amiss when one speaks first."""
    monkeypatch.setattr("chainloop_smtp.delivery.session._SUSPICIOUS_SILENCE", 0.1)
    with Slow(script(), seconds=1.0) as server:
        monkeypatch.setattr(
            "chainloop_smtp.delivery.session._GREETING_DELAYED_PORTS", (25, server.port)
        )
        result = submit(server, tls=Tls.NONE, timeout=60.0, deadline=60.0)

    assert result.accepted == ("to@example.test",)
    assert server.others == 0


@pytest.mark.parametrize(("timeout", "deadline"), [(0.5, 20.0), (20.0, 2.0)])
def test_a_port_that_says_nothing_whatever_is_silent(timeout: float, deadline: float) -> None:
    with Scripted({"greeting": Step(then=Then.SILENCE)}) as server:
        said = refusal_of(lambda: submit(server, timeout=timeout, deadline=deadline))

    assert said == (
        f"127.0.0.1:{server.port}: no answer in time, waiting for the greeting\n  {PORT} {IMPLICIT}"
    )
    assert server.received == b""


# --- addresses ---------------------------------------------------------------------------------


def _resolve(monkeypatch: pytest.MonkeyPatch, addresses: Sequence[tuple[str, int]]) -> None:
    """Has every name stand for these addresses."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


def test_a_dead_first_address_does_not_take_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as opened, socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        # The kernel drops what comes to a full queue, as a firewall would.
        for _ in range(4):
            filler = opened.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        with Scripted(script()) as server:
            _resolve(monkeypatch, [deaf.getsockname(), ("127.0.0.1", server.port)])
            started = time.monotonic()
            result = submit(server, tls=Tls.NONE, timeout=30.0, deadline=8.0)

    assert result.accepted == ("to@example.test",)
    assert 1 < time.monotonic() - started < 30


def test_a_resolver_that_does_not_answer_does_not_outlast_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    is_over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: is_over.wait(60))
    started = time.monotonic()
    said = refusal_of(lambda: submit(Mailboxes(port=25), timeout=60.0, deadline=0.3))
    is_over.set()
    assert time.monotonic() - started < 30
    assert said == f"127.0.0.1:25: no answer in time, looking up the host\n  {DNS}"


# --- proxies -----------------------------------------------------------------------------------


def _proxy(tunnel: Tunnel, kind: ProxyKind, login: tuple[str, str] = ("", "")) -> Proxy:
    return Proxy(kind=kind, host="127.0.0.1", port=tunnel.port, user=login[0], password=login[1])


@pytest.mark.parametrize("kind", ProxyKind)
@pytest.mark.parametrize("login", [None, LOGIN], ids=["no login", "a login"])
@pytest.mark.parametrize("implicit", [False, True], ids=["STARTTLS", "implicit"])
def test_a_mail_gets_through_a_proxy_that_looks_the_name_up(
    tls: Certificates, kind: ProxyKind, login: tuple[str, str] | None, implicit: bool
) -> None:
    with running(tls.server, implicit=implicit).running() as server:
        tunnel = Tunnel(hosts={"localhost": ("127.0.0.1", server.port)}, login=login)
        with tunnel.http() if kind is ProxyKind.HTTP else tunnel.socks5():
            result = submit(
                server,
                host="localhost.",
                user=USER,
                tls=Tls.IMPLICIT if implicit else Tls.STARTTLS,
                tls_ca_file=str(tls.ca_file),
                proxy=_proxy(tunnel, kind, login or ("", "")),
            )

    assert tunnel.asked == [f"localhost:{server.port}"]
    assert server.logins == [("PLAIN", USER)]
    assert result.server == f"localhost.:{server.port}"


@pytest.mark.parametrize("kind", ProxyKind)
def test_a_proxy_is_asked_for_an_ipv6_literal(tls: Certificates, kind: ProxyKind) -> None:
    with running(tls.server).running() as server:
        tunnel = Tunnel(hosts={"::1": ("127.0.0.1", server.port)})
        with tunnel.http() if kind is ProxyKind.HTTP else tunnel.socks5():
            submit(
                server,
                host="::1",
                tls_ca_file=str(tls.ca_file),
                proxy=_proxy(tunnel, kind),
            )

    asked = f"[::1]:{server.port}" if kind is ProxyKind.HTTP else f"::1:{server.port}"
    assert tunnel.asked == [asked]
    assert len(server.mails) == 1


def test_a_greeting_in_one_breath_with_the_proxys_answer_is_not_lost(tls: Certificates) -> None:
    with running(tls.server).running() as server:
        tunnel = Tunnel(hosts={"localhost": ("127.0.0.1", server.port)}, joins=True)
        with tunnel.http():
            submit(
                server,
                host="localhost",
                tls_ca_file=str(tls.ca_file),
                proxy=_proxy(tunnel, ProxyKind.HTTP),
            )

    assert len(server.mails) == 1


def test_behind_a_proxy_nothing_counts_as_loopback() -> None:
    with Mailboxes(mechanisms=("PLAIN",), accounts={USER: PASSWORD}).running() as server:
        tunnel = Tunnel(hosts={"localhost": ("127.0.0.1", server.port)})
        with tunnel.http():
            said = refusal_of(
                lambda: submit(
                    server,
                    host="localhost",
                    user=USER,
                    tls=Tls.NONE,
                    proxy=_proxy(tunnel, ProxyKind.HTTP),
                )
            )

    assert said == (
        f"localhost:{server.port}: the password was not sent, because the connection has no TLS\n"
        "  Use tls: auto, or auth: none for a relay that needs no login."
    )
    assert server.logins == []


@pytest.mark.parametrize(
    ("kind", "login", "told", "hint"),
    [
        (
            ProxyKind.HTTP,
            LOGIN,
            "it refuses nowhere.test:25: HTTP 403",
            "Does it let this runner reach that host and port? Many allow 443 only.",
        ),
        (
            ProxyKind.HTTP,
            ("jane", "wr0ng"),
            "it refuses nowhere.test:25: HTTP 407",
            "Give its login in the URL: http://USER:PASSWORD@HOST:PORT.",
        ),
        (ProxyKind.SOCKS5, LOGIN, "it does not connect: Host unreachable", SOCKS),
        (
            ProxyKind.SOCKS5,
            ("jane", "wr0ng"),
            "it does not connect: Username and password authentication failure",
            SOCKS,
        ),
        (
            ProxyKind.SOCKS5,
            ("", ""),
            "it does not connect: No acceptable authentication methods were offered",
            SOCKS,
        ),
    ],
)
def test_a_proxy_that_refuses_is_told_without_its_login(
    kind: ProxyKind, login: tuple[str, str], told: str, hint: str
) -> None:
    tunnel = Tunnel(login=LOGIN)
    with tunnel.http() if kind is ProxyKind.HTTP else tunnel.socks5():
        said = refusal_of(
            lambda: submit(
                Mailboxes(port=25), host="nowhere.test", proxy=_proxy(tunnel, kind, login)
            )
        )

    assert said == f"proxy 127.0.0.1:{tunnel.port}: {told}\n  {hint}"
    for secret in (LOGIN[1], "wr0ng"):
        assert secret not in said


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 two\r\n\r\n",
        b"220 mail.example.test ESMTP\r\n",
        b"HTTP/1.1 200 " + b"x" * 20_000,
    ],
    ids=["ssh", "no status", "no number", "mail", "endless"],
)
def test_what_is_no_http_proxy_is_told(answer: bytes) -> None:
    tunnel = Tunnel(answer=answer)
    with tunnel.http():
        said = refusal_of(lambda: submit(Mailboxes(port=25), proxy=_proxy(tunnel, ProxyKind.HTTP)))
    assert said == f"proxy 127.0.0.1:{tunnel.port}: it does not answer like an HTTP proxy"


@pytest.mark.parametrize(
    ("code", "kind", "is_temporary"),
    [
        (1, DeliveryError, True),
        (2, DeliveryError, False),
        (3, UnreachableError, True),
        (4, UnreachableError, True),
        (5, UnreachableError, True),
        (6, DeliveryError, True),
        (7, DeliveryError, False),
        (8, DeliveryError, False),
    ],
)
def test_a_socks_proxys_code_says_whether_trying_again_may_help(
    code: int, kind: type[DeliveryError], is_temporary: bool
) -> None:
    tunnel = Tunnel(answer=b"\x05\x00\x05" + bytes([code]) + b"\0\1" + bytes(6))
    deadline = Deadline(PATIENCE, PATIENCE, "here", time.monotonic)
    with tunnel.socks5():
        proxy = _proxy(tunnel, ProxyKind.SOCKS5, ("", ""))
        with pytest.raises(DeliveryError) as caught:
            dial("mail.example.test", 25, proxy, deadline, Rotation())
    assert (type(caught.value), caught.value.is_temporary) == (kind, is_temporary)


def test_what_is_no_socks_proxy_is_told() -> None:
    tunnel = Tunnel(answer=b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with tunnel.socks5():
        said = refusal_of(
            lambda: submit(Mailboxes(port=25), proxy=_proxy(tunnel, ProxyKind.SOCKS5))
        )
    assert said == (
        f"proxy 127.0.0.1:{tunnel.port}: it does not connect: Unexpected SOCKS version number: 72\n"
        f"  {SOCKS}"
    )


@pytest.mark.parametrize("kind", ProxyKind)
def test_a_proxy_that_is_not_there_is_told(kind: ProxyKind) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    said = refusal_of(
        lambda: submit(Mailboxes(port=25), proxy=Proxy(kind=kind, host="127.0.0.1", port=port))
    )
    assert said == (
        f"proxy 127.0.0.1:{port}: the connection was refused\n  Is the port in proxy right?"
    )


@pytest.mark.parametrize("kind", ProxyKind)
def test_a_proxy_that_says_nothing_does_not_outlast_the_deadline(kind: ProxyKind) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        proxy = Proxy(kind=kind, host="127.0.0.1", port=port)
        started = time.monotonic()
        said = refusal_of(
            lambda: submit(Mailboxes(port=25), proxy=proxy, timeout=0.5, deadline=60.0)
        )
    assert time.monotonic() - started < 30
    assert said == (
        f"proxy 127.0.0.1:{port}: no answer in time, asking for the mail server\n  {PORT}"
    )


TO_NOWHERE = b"CONNECT nowhere.test:25 HTTP/1.1\r\nHost: nowhere.test:25\r\n"
ASKED = {
    "connect": Step(expect="CONNECT .*"),
    "host": Step(expect="Host: .*"),
    "end": Step(expect="(?:)"),
}


@pytest.mark.parametrize(
    ("login", "header"),
    [
        (("", ""), b""),
        (LOGIN, b"Proxy-Authorization: Basic amFuZTpwcm94eS1zM2NyZXQ=\r\n"),
        (("jäne", ""), b"Proxy-Authorization: Basic asOkbmU6\r\n"),
    ],
    ids=["no login", "a login", "no password"],
)
def test_what_an_http_proxy_is_asked(login: tuple[str, str], header: bytes) -> None:
    steps = ASKED | ({"login": Step(expect="Proxy-Authorization: .*")} if header else {})
    ended = Step(expect="(?:)", reply=b"HTTP/1.1 403 No\r\n\r\n", then=Then.CLOSE)
    with Scripted({**{name: steps[name] for name in steps if name != "end"}, "end": ended}) as http:
        proxy = Proxy(
            kind=ProxyKind.HTTP, host="127.0.0.1", port=http.port, user=login[0], password=login[1]
        )
        submit(Mailboxes(port=25), host="nowhere.test", proxy=proxy)
    assert http.failure == ""
    assert http.received == TO_NOWHERE + header + b"\r\n"


REFUSED_BY_PROXY = "Does it let this runner reach that host and port? Many allow 443 only."


@pytest.mark.parametrize(
    ("answer", "status", "problem"),
    [
        (
            b"HTTP/1.1 403 Forbidden\r\n\r\n",
            RecipientStatus.REFUSED,
            f"it refuses nowhere.test:25: HTTP 403\n  {REFUSED_BY_PROXY}",
        ),
        (
            b"HTTP/1.0 404\n\n",
            RecipientStatus.REFUSED,
            f"it refuses nowhere.test:25: HTTP 404\n  {REFUSED_BY_PROXY}",
        ),
        (
            b"HTTP/1.1 302 Found\r\nLocation: http://login.test/\r\n\r\n",
            RecipientStatus.REFUSED,
            f"it refuses nowhere.test:25: HTTP 302\n  {REFUSED_BY_PROXY}",
        ),
        (
            b"HTTP/1.1 500 Oops\r\n\r\n",
            RecipientStatus.DEFERRED,
            f"it refuses nowhere.test:25: HTTP 500\n  {REFUSED_BY_PROXY}",
        ),
        (
            b"HTTP/1.1 5030 What\r\n\r\n",
            RecipientStatus.DEFERRED,
            f"it refuses nowhere.test:25: HTTP 503\n  {REFUSED_BY_PROXY}",
        ),
        (b"", RecipientStatus.DEFERRED, "it closed the connection without an answer"),
        (
            b"HTTP/1.1 200 OK\r\n",
            RecipientStatus.REFUSED,
            "it does not answer like an HTTP proxy",
        ),
        (
            b"ICY 200 OK\r\n\r\n",
            RecipientStatus.REFUSED,
            "it does not answer like an HTTP proxy",
        ),
    ],
)
def test_what_an_http_proxy_answers(answer: bytes, status: RecipientStatus, problem: str) -> None:
    with Scripted(ASKED | {"end": Step(expect="(?:)", reply=answer, then=Then.CLOSE)}) as http:
        proxy = Proxy(kind=ProxyKind.HTTP, host="127.0.0.1", port=http.port)
        result = submit(Mailboxes(port=25), host="nowhere.test", proxy=proxy)
    assert http.failure == ""
    assert [each.status for each in result.results] == [status]
    (attempt,) = result.transactions
    assert f"{attempt.why}\n  {attempt.hint}".removesuffix("\n  ") == problem


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        *((code, UnreachableError) for code in (500, 502, 503, 504)),
        *((code, DeliveryError) for code in (403, 407, 501, 505)),
    ],
)
def test_an_http_proxys_code_says_whether_the_server_can_be_reached(
    code: int, kind: type[DeliveryError]
) -> None:
    answer = b"HTTP/1.1 %d Oops\r\n\r\n" % code
    with Scripted(ASKED | {"end": Step(expect="(?:)", reply=answer, then=Then.CLOSE)}) as http:
        proxy = Proxy(kind=ProxyKind.HTTP, host="127.0.0.1", port=http.port)
        deadline = Deadline(PATIENCE, PATIENCE, "here", time.monotonic)
        with pytest.raises(DeliveryError) as caught:
            dial("nowhere.test", 25, proxy, deadline, Rotation())
    assert type(caught.value) is kind


def test_a_proxy_whose_name_nobody_knows_is_told() -> None:
    proxy = Proxy(kind=ProxyKind.HTTP, host="nobody.invalid", port=3128)
    said = refusal_of(lambda: submit(Mailboxes(port=25), proxy=proxy))
    assert said == (
        "proxy nobody.invalid:3128: the host name cannot be resolved\n"
        "  Check the spelling of proxy."
    )


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.0 200 Connection established\n\n",
        b"HTTP/1.1 299 Fine\r\nX: " + b"y" * (16 * 1024 - 26) + b"\r\n\r\n",
    ],
    ids=["a line", "bare line feeds", "16 KiB"],
)
def test_behind_its_answer_the_mail_server_speaks(answer: bytes) -> None:
    spoken = Step(expect="(?:)", reply=answer + b"554 5.3.2 no service\r\n", then=Then.SILENCE)
    with Scripted(ASKED | {"end": spoken}) as http:
        proxy = Proxy(kind=ProxyKind.HTTP, host="127.0.0.1", port=http.port)
        result = submit(Mailboxes(port=25), host="nowhere.test", tls=Tls.NONE, proxy=proxy)
    assert http.received == TO_NOWHERE + b"\r\n"
    assert result.transactions[0].why == "the server does not accept mail now: 554 5.3.2 no service"


def test_an_answer_of_a_proxy_that_is_longer_than_16_kib_is_none() -> None:
    answer = b"HTTP/1.1 299 Fine\r\nX: " + b"y" * (16 * 1024 - 25) + b"\r\n\r\n"
    spoken = Step(expect="(?:)", reply=answer, then=Then.SILENCE)
    with Scripted(ASKED | {"end": spoken}) as http:
        proxy = Proxy(kind=ProxyKind.HTTP, host="127.0.0.1", port=http.port)
        said = refusal_of(lambda: submit(Mailboxes(port=25), host="nowhere.test", proxy=proxy))
    assert said == f"proxy 127.0.0.1:{http.port}: it does not answer like an HTTP proxy"


def test_a_host_without_an_address_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolve(monkeypatch, [])
    said = refusal_of(lambda: submit(Mailboxes(port=25), host="nowhere.test"))
    assert said == "nowhere.test:25: the connection failed, connecting: it has no address"


# --- what a context is made of -----------------------------------------------------------------


@pytest.mark.parametrize("pin", ["", "0" * 64], ids=["no pin", "a pin"])
def test_no_context_speaks_an_older_tls_or_looks_at_the_common_name(pin: str) -> None:
    made = context(Transport(tls_fingerprint=pin))
    assert made.minimum_version is ssl.TLSVersion.TLSv1_2
    assert made.hostname_checks_common_name is False
    assert (made.check_hostname, made.verify_mode) == (
        (False, ssl.CERT_NONE) if pin else (True, ssl.CERT_REQUIRED)
    )


def test_a_private_authority_is_trusted_besides_the_systems(
    tls: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = trustme.CA()
    other.cert_pem.write_to_path(str(tmp_path / "system.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "nowhere"))
    made = context(Transport(tls_ca_file=str(tls.ca_file)))
    assert len(made.get_ca_certs()) == 2


def test_a_pin_needs_no_authority(tls: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.ca_file))
    assert context(Transport(tls_fingerprint="0" * 64)).get_ca_certs() == []


@pytest.mark.parametrize(
    ("issuer", "named"),
    [
        ({NameOID.ORGANIZATION_NAME: "Harbour", NameOID.COMMON_NAME: "Root 1"}, "Harbour"),
        ({NameOID.COMMON_NAME: "Root 1"}, "Root 1"),
        ({NameOID.COUNTRY_NAME: "DE"}, "an authority without a name"),
    ],
    ids=["organisation", "common name", "neither"],
)
def test_a_certificate_is_described_by_its_first_name_and_its_issuer(
    tmp_path: Path, issuer: dict[x509.ObjectIdentifier, str], named: str
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(*each) for each in issuer.items()])
    ends = datetime(2100, 2, 3, 4, 5, 6, tzinfo=UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("a.test"), x509.DNSName("localhost")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(ends)
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (tmp_path / "cert.pem").write_bytes(pem)
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shown.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with Scripted({"tls": Step(then=Then.TLS)}, shown) as server:
        made = context(Transport(tls_ca_file=str(tmp_path / "cert.pem")))
        with (
            socket.create_connection(("127.0.0.1", server.port), PATIENCE) as connected,
            made.wrap_socket(connected, server_hostname="localhost") as secured,
        ):
            assert verified_certificate(secured) == ("a.test", named, ends)
            der = certificate.public_bytes(serialization.Encoding.DER)
            assert fingerprint(secured) == hashlib.sha256(der).hexdigest()


def test_a_reset_before_the_handshake_is_an_end_and_closes_the_socket() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), PATIENCE) as connected,
    ):
        accepted, _ = server.accept()
        # Closing resets, without waiting for anything.
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        accepted.close()
        assert select.select([connected], [], [], PATIENCE)[0] == [connected]
        with pytest.raises(ssl.SSLEOFError, match="reset before the handshake"):
            context(Transport()).wrap_socket(connected, server_hostname="localhost")


@pytest.mark.parametrize("speaks", [True, False])
def test_a_port_is_asked_whether_it_speaks_tls(tls: Certificates, speaks: bool) -> None:
    step = Step(then=Then.TLS) if speaks else Step(reply=b"220 hi\r\n", then=Then.SILENCE)
    with Scripted({"tls": step}, tls.unknown) as server:
        connected = socket.create_connection(("127.0.0.1", server.port), PATIENCE)
        assert is_answered(connected, "mail.example.test", PATIENCE) is speaks
        assert connected.fileno() == -1
    assert server.handshakes == speaks


def test_a_port_that_says_nothing_is_not_waited_for_long() -> None:
    with Scripted({"tls": Step(then=Then.SILENCE)}) as server:
        connected = socket.create_connection(("127.0.0.1", server.port), PATIENCE)
        started = time.monotonic()
        assert is_answered(connected, "mail.example.test", 0.1) is False
        assert time.monotonic() - started < PATIENCE / 2


@pytest.mark.parametrize("kind", [None, *ProxyKind])
def test_what_is_small_is_not_held_back_for_an_acknowledgement(kind: ProxyKind | None) -> None:
    with Scripted({"greeting": Step(then=Then.SILENCE)}) as server:
        tunnel = Tunnel(hosts={"127.0.0.1": ("127.0.0.1", server.port)})
        with tunnel.socks5() if kind is ProxyKind.SOCKS5 else tunnel.http():
            proxy = _proxy(tunnel, kind) if kind else None
            deadline = Deadline(PATIENCE, PATIENCE, "here", time.monotonic)
            dialed = dial("127.0.0.1", server.port, proxy, deadline, Rotation())
            with dialed.socket as connected:
                assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    expected = ("", None) if kind else ("127.0.0.1", ("127.0.0.1", server.port))
    assert (dialed.peer, dialed.address) == expected


# --- bytes on the wire -------------------------------------------------------------------------


def connected_to(server: Scripted, *, host: str = "127.0.0.1", seconds: float = 10) -> Connection:
    where = f"{host}:{server.port}"
    deadline = Deadline(seconds, seconds, where, time.monotonic)
    return Connection(host, server.port, deadline, secrets=[b"hunter22"])


def test_the_wire_in_clear() -> None:
    steps = {
        "greeting": Step(reply=b"220-one\r\n220 hunter22 \x07bell\r\n"),
        "noop": Step(expect="NOOP", reply=b"250 2.0.0 ok\r\n"),
        "group": Step(expect="RSET", reply=b"250 a\r\n"),
        "last": Step(expect="QUIT", reply=b"221 b\r\n", then=Then.CLOSE),
    }
    with Scripted(steps) as server, closing(connected_to(server)) as wire:
        assert (wire.where, wire.address) == (f"127.0.0.1:{server.port}", "127.0.0.1")
        assert wire.socket_address == ("127.0.0.1", server.port)
        assert (wire.tls, wire.cipher, wire.certificate) == ("", "", "")
        assert (wire.round_trips, wire.queued, wire.sent) == (1, 0, 0)
        assert (wire.is_silent, wire.is_closed, wire.is_loopback) == (False, False, True)
        assert wire.verified_certificate is None
        assert wire.lines == []
        assert str(wire.answer()) == "220 one ***  bell"
        assert wire.lines == [b"one", b"hunter22 \x07bell"]
        assert wire.round_trips == 2
        assert [str(each) for each in wire.exchange(b"NOOP")] == ["250 2.0.0 ok"]
        assert (wire.round_trips, wire.queued, wire.sent) == (3, 6, 6)
        assert [str(each) for each in wire.exchange(b"RSET", b"QUIT")] == ["250 a", "221 b"]
        assert (wire.queued, wire.sent) == (18, 18)
        with pytest.raises(DeliveryError) as caught:
            wire.read()
        assert str(caught.value) == (
            f"127.0.0.1:{server.port}: the server closed the connection\n"
            "  Its log says why; common causes are too many connections and block lists."
        )
        assert (caught.value.is_temporary, wire.is_closed) == (True, True)
    assert server.received == b"NOOP\r\nRSET\r\nQUIT\r\n"


@pytest.mark.parametrize(
    ("version", "trips"), [(ssl.TLSVersion.TLSv1_2, 2), (ssl.TLSVersion.TLSv1_3, 1)]
)
def test_the_wire_in_tls(tls: Certificates, version: ssl.TLSVersion, trips: int) -> None:
    tls.server.maximum_version = version
    try:
        steps = {
            "tls": Step(then=Then.TLS),
            "greeting": Step(reply=b"220 hi\r\n", then=Then.SILENCE),
        }
        with Scripted(steps, tls.server) as server, closing(connected_to(server)) as wire:
            wire.start_tls(context(Transport(tls_ca_file=str(tls.ca_file))))
            assert wire.round_trips == 1 + trips
            assert wire.tls == version.name.replace("_", ".")
            assert wire.cipher
            assert len(wire.certificate) == 64
            assert wire.verified_certificate is not None
            assert str(wire.answer()) == "220 hi"
            assert wire.round_trips == 2 + trips
    finally:
        tls.server.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED


@pytest.mark.parametrize(
    ("unasked", "why", "is_goodbye"),
    [
        (b"250 what\r\n", "the server sent an unexpected reply: 250 what", False),
        (b"25", "the server sent an unexpected reply: half a line", False),
        (b"421 4.3.2 bye\r\n", "the server ends the session: 421 4.3.2 bye", True),
        (b"421 4.3.2 bye\r\n250 x", "the server ends the session: 421 4.3.2 bye", True),
    ],
)
def test_the_wire_brings_what_nobody_asked_for(unasked: bytes, why: str, is_goodbye: bool) -> None:
    steps = {"greeting": Step(reply=b"220 hi\r\n" + unasked, then=Then.SILENCE)}
    with Scripted(steps) as server, closing(connected_to(server)) as wire:
        assert wire.read().code == 220
        with pytest.raises(DeliveryError) as caught:
            wire.write(b"NOOP\r\n")
    (problem,) = caught.value.problems
    assert problem == Problem(f"127.0.0.1:{server.port}", why)
    assert isinstance(caught.value, GoodbyeError) is is_goodbye
    assert caught.value.is_temporary is is_goodbye
    assert server.received == b""


def test_the_wire_says_goodbye_in_place_of_an_answer() -> None:
    steps = {
        "greeting": Step(reply=b"220 hi\r\n"),
        "noop": Step(expect="NOOP", reply=b"421 4.3.2 bye\r\n", then=Then.SILENCE),
    }
    with Scripted(steps) as server, closing(connected_to(server)) as wire:
        wire.answer()
        with pytest.raises(GoodbyeError) as caught:
            wire.exchange(b"NOOP")
    (problem,) = caught.value.problems
    why = "the server ends the session: 421 4.3.2 bye"
    assert problem == Problem(f"127.0.0.1:{server.port}", why)
    assert (caught.value.reply.code, caught.value.is_temporary) == (421, True)


def test_no_word_in_clear_counts_as_one_inside_tls(tls: Certificates) -> None:
    steps = {"greeting": Step(reply=b"220 hi\r\n250 injected\r\n", then=Then.SILENCE)}
    with Scripted(steps, tls.server) as server, closing(connected_to(server)) as wire:
        wire.read()
        with pytest.raises(DeliveryError) as caught:
            wire.start_tls(context(Transport(tls_ca_file=str(tls.ca_file))))
    assert caught.value.problems == (
        Problem(
            f"127.0.0.1:{server.port}",
            "the server sent more than its reply to STARTTLS before TLS began",
            "Somebody between you and the server may be injecting commands.",
        ),
    )
    assert (caught.value.is_temporary, server.received) == (False, b"")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost."])
def test_the_wire_is_named_as_the_host_was_given(host: str) -> None:
    with (
        Scripted({"greeting": Step(then=Then.SILENCE)}) as server,
        closing(connected_to(server, host=host)) as wire,
    ):
        assert wire.where == f"{host}:{server.port}"


@pytest.mark.parametrize(
    ("patience", "silence", "said", "is_silent"),
    [(0.1, None, b"", True), (None, 0.1, b"", True), (0.1, None, b"22", False)],
)
def test_the_wire_is_silent_where_nothing_at_all_comes(
    patience: float | None, silence: float | None, said: bytes, is_silent: bool
) -> None:
    with (
        Scripted({"greeting": Step(reply=said, then=Then.SILENCE)}) as server,
        closing(connected_to(server, seconds=30)) as wire,
    ):
        started = time.monotonic()
        with pytest.raises(DeliveryError) as caught:
            wire.read(patience, silence)
        assert time.monotonic() - started < 20
    assert str(caught.value) == (
        f"127.0.0.1:{server.port}: no answer in time, waiting for the greeting\n  {PORT} {IMPLICIT}"
    )
    assert (caught.value.is_temporary, wire.is_silent) == (True, is_silent)


def test_the_wire_takes_more_than_fits_into_it_while_it_is_read() -> None:
    content = os.urandom(3 * 1024 * 1024).replace(b"\r\n", b"xx")
    steps = {
        "greeting": Step(reply=b"220 hi\r\n"),
        "data": Step(expect=CONTENT, reply=b"250 queued\r\n", then=Then.SILENCE),
    }
    with Scripted(steps) as server, closing(connected_to(server, seconds=60)) as wire:
        wire.answer()
        wire.write(content + b"\r\n.\r\n")
        assert str(wire.answer()) == "250 queued"
        assert wire.sent == wire.queued == len(content) + 5
    assert server.content == content
