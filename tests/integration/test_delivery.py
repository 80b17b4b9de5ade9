"""One mail, from the first octet on the wire to the mailbox or to an error with a name.

The rule for every server, however hostile: no state without a named outcome, no secret in clear,
no overrun of the deadline.
"""

import re
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import trustme

from chainloop_smtp.delivery.connection import Connection
from chainloop_smtp.delivery.dialing import Deadline, own_name
from chainloop_smtp.delivery.tls import context as tls_context
from chainloop_smtp.errors import DeliveryError, OptionsError, Problem
from chainloop_smtp.model.mail import Delivery, Mail, RecipientResult, RecipientStatus, Reply
from chainloop_smtp.model.settings import Auth, Mailbox, Registration, Tls, Transport
from smtpserver import (
    Certificates,
    Mailboxes,
    Script,
    Scripted,
    Step,
    Then,
    certificates,
    changed,
    ehlo,
    encoded,
    loopback_addresses,
    outward_address,
    script,
    until,
)
from submission import refusal_of, registration, send_one

USER, PASSWORD = "ci@example.test", "pä$$wörd 漢字"
OUTWARD = outward_address()
# More than the buffers of two sockets hold.
LARGE = b"Subject: large\r\n\r\n" + (b"x" * 70 + b"\r\n") * 250_000


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("certificates"), OUTWARD)


def a_mail(*recipients: str, content: bytes = b"Subject: hello\r\n\r\nBody.\r\n") -> Mail:
    return Mail(
        sender="reports@example.test",
        recipients=recipients or ("to@example.test",),
        message_id="<1@example.test>",
        subject="hello",
        content=content,
        text="",
        html="",
    )


def submit(
    server: Mailboxes | Scripted,
    mail: Mail | None = None,
    *,
    host: str = "127.0.0.1",
    user: str = "",
    password: str = PASSWORD,
    tls: Tls = Tls.NONE,
    ca: Path | None = None,
    auth: Auth = Auth.AUTO,
    timeout: float = 10.0,
    deadline: float = 15.0,
    attempts: int = 1,
) -> Delivery:
    way = registration(server, host=host, user=user, password=password)
    transport = Transport(
        tls=tls, tls_ca_file=str(ca or ""), auth=auth, timeout=timeout, deadline=deadline
    )
    return send_one(mail or a_mail(), way, transport, attempts=attempts)


# --- TLS ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [Tls.STARTTLS, Tls.IMPLICIT])
@pytest.mark.parametrize("host", [*loopback_addresses(), "localhost"])
def test_a_mail_gets_through_tls_into_the_mailbox(tls: Certificates, mode: Tls, host: str) -> None:
    listens_at = "127.0.0.1" if host == "localhost" else host
    with Mailboxes(
        tls=tls.server,
        implicit=mode is Tls.IMPLICIT,
        mechanisms=("PLAIN",),
        accounts={USER: PASSWORD},
        host=listens_at,
    ).running() as server:
        result = submit(server, host=host, user=USER, tls=mode, ca=tls.ca_file)

    (mail,) = server.mails
    assert mail.content == a_mail().content
    assert (mail.sender, mail.recipients) == ("reports@example.test", ("to@example.test",))
    assert server.logins == [("PLAIN", USER)]
    assert result.accepted == ("to@example.test",)
    assert result.refused == ()
    assert result.transactions[-1].reply == Reply(code=250, enhanced="2.0.0", text="kept")
    assert result.tls.startswith("TLSv1.3 TLS_")
    assert result.mechanism == "PLAIN"
    assert result.server.endswith(f":{server.port}")
    assert result.duration > 0


def test_a_stripped_starttls_gets_no_secret_and_no_mail() -> None:
    steps = until(script(auth="PLAIN"), "ehlo")
    with Scripted(steps) as server:
        said = refusal_of(lambda: submit(server, user=USER, tls=Tls.STARTTLS))

    assert "offers no STARTTLS, so nothing was sent to it" in said
    assert re.fullmatch(rb"EHLO \S+\r\n", server.received)


def test_a_refused_starttls_gets_no_secret_and_no_mail() -> None:
    steps = changed(
        script(tls="starttls"), starttls=Step(reply=b"454 4.7.0 not now\r\n", then=Then.SILENCE)
    )
    with Scripted(steps) as server:
        said = refusal_of(lambda: submit(server, user=USER, tls=Tls.STARTTLS))

    assert "the server refused STARTTLS: 454 4.7.0 not now" in said
    assert server.received.endswith(b"STARTTLS\r\n")


@pytest.mark.parametrize("mode", [Tls.STARTTLS, Tls.IMPLICIT])
@pytest.mark.parametrize(
    ("kind", "why", "hint"),
    [
        (
            "unknown",
            "unable to get local issuer certificate",
            "Set tls-ca-file to your private CA's PEM file, or tls-fingerprint to this "
            "certificate's SHA-256.",
        ),
        (
            "wrong_name",
            "IP address mismatch, certificate is not valid for '127.0.0.1'",
            "The certificate must name 127.0.0.1 as a subject alternative name; its common name "
            "does not count. Set host to a name that it has, or have a new certificate issued.",
        ),
        (
            "expired",
            "certificate has expired",
            "Its operator must renew it, unless this machine's clock is wrong.",
        ),
    ],
)
def test_a_certificate_that_is_not_right_ends_the_session(
    tls: Certificates, mode: Tls, kind: str, why: str, hint: str
) -> None:
    with Scripted(script(tls=mode.value, auth="PLAIN"), getattr(tls, kind)) as server:
        said = refusal_of(lambda: submit(server, user=USER, tls=mode, ca=tls.ca_file))

    where = f"127.0.0.1:{server.port}"
    assert said == f"{where}: the server's certificate is not trusted: {why}\n  {hint}"
    assert server.handshakes == 0
    assert b"AUTH" not in server.received
    assert b"MAIL" not in server.received


def test_a_host_name_is_not_the_certificates_by_being_an_address_of_it(tls: Certificates) -> None:
    with Scripted(script(tls="implicit"), tls.wrong_name) as server:
        said = refusal_of(
            lambda: submit(server, host="localhost", tls=Tls.IMPLICIT, ca=tls.ca_file)
        )

    assert "Hostname mismatch, certificate is not valid for 'localhost'" in said


def test_the_systems_authorities_alone_do_not_trust_a_private_one(tls: Certificates) -> None:
    with Scripted(script(tls="implicit"), tls.server) as server:
        said = refusal_of(lambda: submit(server, tls=Tls.IMPLICIT))

    assert "Set tls-ca-file to your private CA's PEM file" in said


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "text", "binary", "key"])
def test_a_ca_file_that_is_none_is_an_options_error_before_any_connection(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "ca.pem"
    if kind == "folder":
        path.mkdir()
    elif kind == "key":
        trustme.CA().private_key_pem.write_to_path(str(path))
    elif kind != "missing":
        path.write_bytes({"empty": b"", "text": b"no certificate", "binary": b"\x30\x00"}[kind])

    with Scripted(script()) as server:
        with pytest.raises(OptionsError) as caught:
            submit(server, tls=Tls.STARTTLS, ca=path)
        _visit(server)

    (problem,) = caught.value.problems
    assert problem.where == "tls-ca-file"
    assert str(path)[:40] in problem.why
    assert server.groups == [b"EHLO [visitor]\r\n"]


def _visit(server: Scripted) -> None:
    """The server's first and only client, which shows that nobody came before."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as visitor:
        visitor.sendall(b"EHLO [visitor]\r\n")
        while b"250 " not in visitor.recv(4096):
            pass


def test_implicit_tls_to_a_starttls_port_gets_the_hint() -> None:
    with Scripted({"greeting": Step(reply=b"220 scripted\r\n", then=Then.SILENCE)}) as server:
        said = refusal_of(lambda: submit(server, user=USER, tls=Tls.IMPLICIT))

    assert "TLS failed during TLS handshake: wrong version number" in said
    assert "For a port that starts without TLS, such as 587, set tls: starttls." in said


def test_starttls_to_an_implicit_tls_port_gets_the_hint(tls: Certificates) -> None:
    with Scripted(script(tls="implicit"), tls.server) as server:
        said = refusal_of(lambda: submit(server, user=USER, tls=Tls.STARTTLS, timeout=0.5))

    assert "no answer in time, waiting for the greeting" in said
    assert "For a port that starts with TLS, such as 465, set tls: implicit." in said
    assert server.received == b""


INJECTED = b"250-injected\r\n250 AUTH PLAIN\r\n"


@pytest.mark.parametrize(
    "steps",
    [
        {"starttls": Step(reply=b"220 go on\r\n" + INJECTED, then=Then.SILENCE)},
        {"starttls": Step(reply=b"220 go on\r\n2", then=Then.SILENCE)},
    ],
    ids=["a whole reply", "a single octet"],
)
def test_replies_injected_before_the_handshake_are_refused(steps: Script) -> None:
    with Scripted(changed(script(tls="starttls"), **steps)) as server:
        said = refusal_of(lambda: submit(server, user=USER, tls=Tls.STARTTLS))

    assert said == (
        f"127.0.0.1:{server.port}: the server sent more than its reply to STARTTLS before TLS "
        "began\n  Somebody between you and the server may be injecting commands."
    )
    assert server.received.endswith(b"STARTTLS\r\n")


def test_replies_injected_into_the_handshake_end_it(tls: Certificates) -> None:
    steps = until(script(tls="starttls"), "starttls")
    steps["starttls"] = Step(expect="STARTTLS", reply=b"220 go on\r\n")
    # Asked by the first line end in the ClientHello, or by nobody until the client leaves.
    steps["injected"] = Step(reply=INJECTED, then=Then.SILENCE)
    with Scripted(steps, tls.server) as server:
        said = refusal_of(lambda: submit(server, user=USER, tls=Tls.STARTTLS, ca=tls.ca_file))

    assert "before TLS began" in said or "TLS failed during TLS handshake" in said
    assert b"AUTH" not in server.received
    assert server.received.count(b"EHLO") == 1


def test_what_the_server_offered_in_clear_is_forgotten_inside_tls(tls: Certificates) -> None:
    steps = changed(
        script(tls="starttls", extensions=()),
        ehlo_in_clear=Step(reply=ehlo("STARTTLS", "AUTH PLAIN LOGIN", "PIPELINING")),
    )
    with Scripted(steps, tls.server) as server:
        said = refusal_of(lambda: submit(server, user=USER, tls=Tls.STARTTLS, ca=tls.ca_file))

    assert "the server offers none" in said
    assert b"AUTH" not in server.received


def test_tls_1_2_is_spoken_and_nothing_below() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with pytest.warns(DeprecationWarning, match="TLSv1 is deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with Scripted(script(tls="implicit"), context) as server:
        said = refusal_of(lambda: submit(server, tls=Tls.IMPLICIT))

    assert "TLS failed during TLS handshake" in said
    assert "version" in said or "unsupported protocol" in said
    assert tls_context(Transport()).minimum_version is ssl.TLSVersion.TLSv1_2
    assert tls_context(Transport()).verify_mode is ssl.CERT_REQUIRED
    assert tls_context(Transport()).check_hostname


@pytest.mark.parametrize("host", loopback_addresses())
def test_without_tls_a_mail_gets_through_on_loopback(host: str) -> None:
    with Mailboxes(host=host).running() as server:
        result = submit(server, host=host)

    assert len(server.mails) == 1
    assert (result.tls, result.mechanism) == ("", "")


@pytest.mark.parametrize(
    "host",
    [*loopback_addresses(), *(["::ffff:127.0.0.1"] if len(loopback_addresses()) > 1 else [])],
)
def test_without_tls_a_login_is_for_loopback(host: str) -> None:
    listens_at = "127.0.0.1" if "127" in host else host
    with Mailboxes(
        host=listens_at, mechanisms=("PLAIN",), accounts={USER: PASSWORD}
    ).running() as server:
        submit(server, host=host, user=USER)

    assert server.logins == [("PLAIN", USER)]


@pytest.mark.parametrize("host", [OUTWARD, "0.0.0.0"])
@pytest.mark.parametrize("auth", [Auth.AUTO, Auth.CRAM_MD5])
def test_without_tls_no_credential_leaves_loopback(host: str, auth: Auth) -> None:
    with Scripted(until(script(auth="CRAM-MD5 PLAIN LOGIN"), "ehlo"), host=host) as server:
        said = refusal_of(lambda: submit(server, host=host, user=USER, auth=auth))

    assert "the password was not sent, because the connection has no TLS" in said
    assert re.fullmatch(rb"EHLO \S+\r\n", server.received)


@pytest.mark.parametrize("host", [OUTWARD, "0.0.0.0"])
def test_without_tls_and_login_a_mail_may_leave_loopback(host: str) -> None:
    with Scripted(script(), host=host) as server:
        assert submit(server, host=host).accepted == ("to@example.test",)


@pytest.mark.parametrize(
    ("port", "wants"),
    [
        (465, "implicit"),
        (2465, "implicit"),
        (8465, "implicit"),
        (587, "starttls"),
        (25, "starttls"),
    ],
)
def test_auto_decides_by_the_port(
    tls: Certificates, monkeypatch: pytest.MonkeyPatch, port: int, wants: str
) -> None:
    with Scripted(script(tls=wants), tls.server) as server:
        _resolve(monkeypatch, [("127.0.0.1", server.port)])
        way = Registration(
            host="localhost",
            port=port,
            user="",
            password="",
            from_=Mailbox(addr_spec="reports@example.test"),
            to=(Mailbox(addr_spec="to@example.test"),),
        )
        result = send_one(a_mail(), way, Transport(tls_ca_file=str(tls.ca_file), timeout=5))

    assert server.failure == ""
    assert server.wire.startswith(b"EHLO") == (wants == "starttls")
    assert result.server == f"localhost:{port}"


def _resolve(monkeypatch: pytest.MonkeyPatch, addresses: Sequence[tuple[str, int]]) -> None:
    """Has every name stand for these addresses."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


@pytest.mark.parametrize("has_read", [True, False])
def test_a_reset_between_the_reply_and_the_handshake_is_told(
    tls: Certificates, has_read: bool
) -> None:
    steps = changed(script(tls="starttls"), starttls=Step(reply=b"220 go\r\n", then=Then.STALL))
    with Scripted(steps) as server:
        deadline = Deadline(10, 10, "here", time.monotonic)
        with closing(Connection("127.0.0.1", server.port, deadline)) as connection:
            connection.read()
            connection.exchange(b"EHLO [127.0.0.1]")
            connection.exchange(b"STARTTLS")
            server.release()
            server.join()
            context = tls_context(Transport(tls_ca_file=str(tls.ca_file)))
            if has_read:
                # The socket forgets its error, and wrapping it would raise none by itself.
                with pytest.raises(DeliveryError, match="Connection reset"):
                    connection.read()
            with pytest.raises(DeliveryError) as told:
                connection.start_tls(context)
            assert told.value.problems == (
                Problem(connection.where, "the server closed the connection, TLS handshake"),
            )
            assert told.value.is_temporary
            assert connection.tls == ""


def test_both_ends_of_a_connection_are_known_after_its_reset() -> None:
    with Scripted({"greeting": Step(reply=b"220 hello\r\n", then=Then.STALL)}) as server:
        deadline = Deadline(10, 10, "here", time.monotonic)
        with closing(Connection("127.0.0.1", server.port, deadline)) as connection:
            server.release()
            server.join()
            assert connection.is_loopback
            assert connection.own_name == own_name(socket.gethostname(), "127.0.0.1")


# --- EHLO --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [Tls.NONE, Tls.STARTTLS, Tls.IMPLICIT])
@pytest.mark.parametrize("name", ["ci.example.com", "[192.0.2.1]", "runner"])
def test_the_name_for_ehlo_is_the_one_that_was_asked_for(
    tls: Certificates, mode: Tls, name: str
) -> None:
    with Scripted(script(tls=mode.value), tls.server) as server:
        way = registration(server, user="")
        transport = Transport(
            tls=mode, tls_ca_file="" if mode is Tls.NONE else str(tls.ca_file), ehlo_name=name
        )
        result = send_one(a_mail(), way, transport, attempts=1)

    assert result.accepted == ("to@example.test",)
    lines = server.received.split(b"\r\n")
    said = [line for line in lines if line.startswith(b"EHLO")]
    assert said == [b"EHLO " + name.encode()] * (2 if mode is Tls.STARTTLS else 1)


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        ("runner", b"[127.0.0.1]"),
        ("localhost.localdomain", b"[127.0.0.1]"),
        ("ci.example.com", b"ci.example.com"),
    ],
)
def test_without_a_name_for_ehlo_it_is_one_that_strict_servers_accept(
    monkeypatch: pytest.MonkeyPatch, machine: str, name: bytes
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: machine)
    with Scripted(script()) as server:
        submit(server)
    assert server.groups[0] == b"EHLO " + name + b"\r\n"


# --- connecting --------------------------------------------------------------------------------


def test_every_address_of_a_host_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = closed.getsockname()
    with Scripted(script()) as server:
        _resolve(monkeypatch, [nobody, nobody, ("127.0.0.1", server.port)])
        result = submit(server)

    assert result.accepted == ("to@example.test",)


def test_many_silent_addresses_end_by_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as opened, socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        address = deaf.getsockname()
        # The kernel drops what comes to a full queue, as a firewall would.
        for _ in range(4):
            filler = opened.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        with Scripted(script()) as server:
            _resolve(monkeypatch, [address] * 50)
            said = refusal_of(lambda: submit(server, timeout=0.4, deadline=1.0))
            monkeypatch.undo()
            _visit(server)

    assert "the deadline of 1 seconds has passed" in said or "no answer in time, connecting" in said


def test_a_refused_connection_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    said = refusal_of(lambda: submit(Mailboxes(port=port)))

    assert said.startswith(f"127.0.0.1:{port}: the connection was refused")


def test_an_ipv6_literal_stands_in_brackets_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        _resolve(monkeypatch, [closed.getsockname()])
    said = refusal_of(lambda: submit(Mailboxes(port=25), host="2001:db8::1"))

    assert said.startswith("[2001:db8::1]:25: the connection was refused")


@pytest.mark.parametrize(
    "error",
    [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")],
    ids=["unknown", "no name"],
)
def test_a_name_that_cannot_be_resolved_is_told(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    said = refusal_of(lambda: submit(Mailboxes(port=25)))

    assert "the host name cannot be resolved" in said


def test_an_address_of_an_unknown_family_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 255, "", ("127.0.0.1", 25))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    said = refusal_of(lambda: submit(Mailboxes(port=25)))

    assert "the connection failed, connecting: " in said


# --- AUTH --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("ci@example.test", "secret"),
        ("ci@example.test", PASSWORD),
        ("käse@example.test", " two  blanks "),
        ("ci", "\"quotes\" 'and' \\backslashes\\ %41 =?utf-8?q?x?="),
        ("ci", "x" * 1000),
        ("ci", "漢" * 1000),
        ("ci", "*"),
    ],
    ids=["ascii", "utf-8", "blanks", "quotes", "1,000 letters", "1,000 characters", "an asterisk"],
)
def test_any_password_logs_in(tls: Certificates, mechanism: str, user: str, password: str) -> None:
    with Mailboxes(
        tls=tls.server, mechanisms=(mechanism,), accounts={user: password}
    ).running() as server:
        result = submit(server, user=user, password=password, tls=Tls.STARTTLS, ca=tls.ca_file)

    assert server.logins == [(mechanism, user)]
    assert result.mechanism == mechanism
    assert len(server.mails) == 1


@pytest.mark.parametrize(
    ("offered", "wanted", "used"),
    [
        ("CRAM-MD5 LOGIN PLAIN", Auth.AUTO, "PLAIN"),
        ("GSSAPI CRAM-MD5 LOGIN", Auth.AUTO, "LOGIN"),
        ("NTLM CRAM-MD5", Auth.AUTO, "CRAM-MD5"),
        ("PLAIN LOGIN", Auth.LOGIN, "LOGIN"),
        ("plain cram-md5", Auth.CRAM_MD5, "CRAM-MD5"),
    ],
)
def test_the_mechanism_is_one_that_both_sides_know(
    tls: Certificates, offered: str, wanted: Auth, used: str
) -> None:
    steps = until(script(tls="implicit", auth=offered), "ehlo")
    steps["auth"] = Step(expect=f"AUTH {used}( .*)?", reply=b"535 no\r\n")
    with Scripted(steps, tls.server) as server:
        refusal_of(lambda: submit(server, user=USER, tls=Tls.IMPLICIT, ca=tls.ca_file, auth=wanted))

    assert server.failure == ""


@pytest.mark.parametrize("line", ["AUTH=LOGIN", "AUTH=CRAM-MD5 LOGIN"])
def test_auth_in_the_old_style_is_understood(line: str) -> None:
    steps = until(script(), "greeting")
    steps["ehlo"] = Step(expect="EHLO .+", reply=ehlo("SIZE", line))
    steps["auth"] = Step(expect="AUTH LOGIN", reply=b"334 " + encoded("Username:") + b" \r\n")
    steps["user"] = Step(expect=encoded(USER).decode(), reply=b"334\r\n")
    steps["password"] = Step(expect=re.escape(encoded(PASSWORD).decode()), reply=b"235 welcome\r\n")
    steps |= {name: step for name, step in script(extensions=()).items() if name not in steps}
    with Scripted(steps) as server:
        result = submit(server, user=USER)

    assert server.failure == ""
    assert result.mechanism == "LOGIN"


@pytest.mark.parametrize(
    ("offered", "mode", "wanted", "told", "hint"),
    [
        (
            "",
            Tls.NONE,
            Auth.AUTO,
            "none, auth is auto",
            "For a relay that needs no login, set auth: none.",
        ),
        (
            "",
            Tls.IMPLICIT,
            Auth.AUTO,
            "none, auth is auto",
            "For a relay that needs no login, set auth: none.",
        ),
        (
            "NTLM GSSAPI",
            Tls.NONE,
            Auth.AUTO,
            "NTLM GSSAPI, auth is auto",
            "Set auth to one of the mechanisms that the server offers.",
        ),
        (
            "LOGIN",
            Tls.IMPLICIT,
            Auth.PLAIN,
            "LOGIN, auth is plain",
            "Set auth to one of the mechanisms that the server offers.",
        ),
    ],
    ids=["none in clear", "none", "unknown ones", "another one"],
)
def test_no_common_mechanism_sends_no_password(
    tls: Certificates, offered: str, mode: Tls, wanted: Auth, told: str, hint: str
) -> None:
    with Scripted(until(script(tls=mode.value, auth=offered), "ehlo"), tls.server) as server:
        ca = None if mode is Tls.NONE else tls.ca_file
        said = refusal_of(lambda: submit(server, user=USER, auth=wanted, tls=mode, ca=ca))

    where = f"127.0.0.1:{server.port}"
    assert (
        said == f"{where}: no common authentication mechanism: the server offers {told}\n  {hint}"
    )
    assert server.received.startswith(b"EHLO")
    assert b"AUTH" not in server.received


def test_a_server_that_may_offer_a_login_after_starttls_is_asked_for_it() -> None:
    with Scripted(until(script(extensions=("STARTTLS",)), "ehlo")) as server:
        said = refusal_of(lambda: submit(server, user=USER, auth=Auth.AUTO, tls=Tls.NONE, ca=None))

    assert said == (
        f"127.0.0.1:{server.port}: no common authentication mechanism: the server offers none, "
        "auth is auto\n  The server may offer a login only over TLS: set tls: auto."
    )


@pytest.mark.parametrize(
    ("reply", "told", "hint"),
    [
        (
            b"535 5.7.8 no\r\n",
            f"the server refused the login of {USER}: 535 5.7.8 no",
            "an app password or an API key",
        ),
        (
            b"454 4.7.0 later\r\n",
            "the server cannot check the password now: 454 4.7.0 later",
            "raise deadline",
        ),
        (
            b"250 fine\r\n",
            f"the server refused the login of {USER}: 250 fine",
            "an app password or an API key",
        ),
    ],
)
def test_a_login_that_fails_is_tried_once_and_sends_no_mail(
    reply: bytes, told: str, hint: str
) -> None:
    steps = until(script(auth="PLAIN LOGIN CRAM-MD5", extensions=()), "ehlo")
    steps["auth"] = Step(expect="AUTH PLAIN .+", reply=reply)
    with Scripted(steps) as server:
        said = refusal_of(lambda: submit(server, user=USER))

    assert told in said
    assert hint in said
    assert len(server.groups) == 2
    assert b"MAIL" not in server.received


def test_a_wrong_password_is_told_by_a_real_server(tls: Certificates) -> None:
    with Mailboxes(
        tls=tls.server, mechanisms=("CRAM-MD5",), accounts={USER: "another"}
    ).running() as server:
        said = refusal_of(lambda: submit(server, user=USER, tls=Tls.STARTTLS, ca=tls.ca_file))

    assert "535 5.7.8" in said
    assert server.mails == []


@pytest.mark.parametrize(("mechanism", "answers"), [("PLAIN", 0), ("LOGIN", 2), ("CRAM-MD5", 1)])
def test_endless_challenges_are_cancelled(mechanism: str, answers: int) -> None:
    challenge = b"334 " + encoded("more") + b"\r\n"
    steps = until(script(auth=mechanism, extensions=()), "ehlo")
    steps["auth"] = Step(expect=f"AUTH {mechanism}.*", reply=challenge)
    for number in range(answers):
        steps[f"answer {number}"] = Step(expect="[A-Za-z0-9+/=]+", reply=challenge)
    steps["cancel"] = Step(expect=r"\*", reply=b"501 5.7.0 cancelled\r\n", then=Then.SILENCE)
    with Scripted(steps) as server:
        said = refusal_of(lambda: submit(server, user=USER))

    assert f"{mechanism} failed: the server asks for more steps than the mechanism has" in said
    assert server.received.endswith(b"\r\n*\r\n")


@pytest.mark.parametrize("mechanism", ["LOGIN", "CRAM-MD5"])
@pytest.mark.parametrize("challenge", [b"!!!", b"abc", b"\xff\xfe"])
def test_a_challenge_that_is_not_base64_is_cancelled(mechanism: str, challenge: bytes) -> None:
    steps = until(script(auth=mechanism), "ehlo")
    steps["auth"] = Step(expect=f"AUTH {mechanism}", reply=b"334 " + challenge + b"\r\n")
    steps["cancel"] = Step(expect=r"\*", reply=b"501 cancelled\r\n", then=Then.SILENCE)
    with Scripted(steps) as server:
        said = refusal_of(lambda: submit(server, user=USER))

    assert f"{mechanism} failed: " in said
    assert server.failure == ""
    assert b"MAIL" not in server.received


def test_plain_waits_for_the_challenge_where_its_command_would_be_too_long() -> None:
    password = "x" * 400
    response = b64encode(f"\0{USER}\0{password}".encode())
    steps = until(script(auth="PLAIN"), "ehlo")
    steps["auth"] = Step(expect="AUTH PLAIN", reply=b"334 \r\n")
    steps["answer"] = Step(expect=re.escape(response.decode()), reply=b"235 welcome\r\n")
    steps |= {name: step for name, step in script().items() if name not in steps}
    with Scripted(steps) as server:
        submit(server, user=USER, password=password)

    assert server.failure == ""
    assert all(len(group) <= 512 for group in server.groups if group.startswith(b"AUTH"))


@pytest.mark.parametrize("mechanism", ["PLAIN", "XOAUTH2"])
def test_a_command_of_512_octets_carries_the_response(mechanism: str) -> None:
    """RFC 5321 section 4.5.3.1.4 counts CRLF, so 510 are left; base64 comes in fours."""
    # Of the octets that go into base64, whatever else the mechanism says.
    room = (510 - len(f"AUTH {mechanism} ")) // 4 * 3
    frame = {"PLAIN": "\0jane\0", "XOAUTH2": "user=jane\1auth=Bearer \1\1"}[mechanism]
    for password, lines in (("x" * (room - len(frame)), 1), ("x" * (room - len(frame) + 1), 2)):
        steps = until(script(auth="PLAIN", extensions=()), "greeting")
        steps["ehlo"] = Step(expect="EHLO .+", reply=ehlo(f"AUTH {mechanism}"))
        if lines == 2:
            steps["auth"] = Step(expect=f"AUTH {mechanism}", reply=b"334 \r\n")
        steps["last"] = Step(expect=".+", reply=b"235 welcome\r\n")
        steps |= {name: step for name, step in script(extensions=()).items() if name not in steps}
        with Scripted(steps) as server:
            result = submit(server, user="jane", password=password, auth=Auth(mechanism.lower()))
        assert server.failure == ""
        assert result.accepted == ("to@example.test",)
        assert [len(group) > 500 for group in server.groups[1 : 1 + lines]][-1]


@pytest.mark.parametrize(
    ("extra", "told"),
    [(b"250 2.0.0 extra\r\n", "250 2.0.0 extra"), (b"250 ext", "half a line")],
)
def test_a_server_that_speaks_unasked_gets_nothing_more(extra: bytes, told: str) -> None:
    steps = until(script(auth="PLAIN"), "ehlo")
    steps["ehlo"] = Step(expect="EHLO .+", reply=ehlo("AUTH PLAIN") + extra, then=Then.SILENCE)
    with Scripted(steps) as server:
        result = submit(server, user=USER)
    (attempt,) = result.transactions
    assert attempt.why == f"the server sent an unexpected reply: {told}"
    assert [result.status for result in result.results] == [RecipientStatus.REFUSED]
    assert b"AUTH" not in server.received


def test_keywords_of_ehlo_may_be_in_any_case() -> None:
    steps = script(auth="PLAIN", extensions=())
    steps["ehlo"] = Step(expect="EHLO .+", reply=ehlo("pipelining", "Size 1000", "auth plain"))
    with Scripted(steps) as server:
        result = submit(server, user=USER)
    assert result.mechanism == "PLAIN"
    assert b"SIZE=" in server.received
    assert server.groups[1].count(b"\r\n") == 4


@pytest.mark.parametrize(
    "echo",
    [
        PASSWORD.encode(),
        encoded(PASSWORD),
        b64encode(f"\0{USER}\0{PASSWORD}".encode()),
    ],
    ids=["as it is", "base64", "base64 with the user"],
)
@pytest.mark.parametrize(
    "frame",
    [
        b"535 wrong: %s\r\n",
        b"535-wrong:\r\n535-%s\r\n535 sorry\r\n",
        b"%s\r\n",
        b"what do you mean by %s\r\n",
        b"no command by the name of AUTH, with words like %s\r\n",
    ],
    ids=["one line", "several lines", "no reply at all", "no reply either", "cut in its middle"],
)
def test_a_password_that_the_server_echoes_is_blotted_out(echo: bytes, frame: bytes) -> None:
    steps = changed(script(auth="PLAIN"), auth=Step(reply=frame % echo, then=Then.SILENCE))
    with Scripted(steps) as server:
        said = refusal_of(lambda: submit(server, user=USER))

    assert "***" in said
    assert echo.decode()[:8] not in said


def test_an_echoed_password_is_blotted_out_even_where_it_cannot_be_printed() -> None:
    password = "no\u00a0break\tand\u200bmore"
    steps = changed(
        script(auth="PLAIN"), auth=Step(reply=f"535 {password}\r\n".encode(), then=Then.SILENCE)
    )
    with Scripted(steps) as server:
        said = refusal_of(lambda: submit(server, user=USER, password=password))

    assert "535 ***" in said
    assert "break" not in said


# --- the envelope ------------------------------------------------------------------------------


@pytest.mark.parametrize("extensions", [("PIPELINING",), ()], ids=["pipelined", "one by one"])
def test_every_recipient_is_named_once_and_the_sender_too(extensions: tuple[str, ...]) -> None:
    recipients = ("to@example.test", "cc@example.test", "Bcc@Example.test", '"a b"@example.test')
    with Scripted(script(extensions=extensions, recipients=4)) as server:
        result = submit(server, a_mail(*recipients))

    assert re.findall(rb"RCPT TO:<(.+)>\r\n", server.received) == [
        each.encode() for each in recipients
    ]
    assert server.received.count(b"MAIL FROM:<reports@example.test>\r\n") == 1
    assert result.accepted == recipients


@pytest.mark.parametrize("extensions", [("PIPELINING",), ()], ids=["pipelined", "one by one"])
def test_refused_recipients_are_told_and_the_others_get_the_mail(
    extensions: tuple[str, ...],
) -> None:
    with Mailboxes(
        extensions=extensions,
        refused={"nobody@example.test": "550 5.1.1 no such user", "late@example.test": "450 later"},
    ).running() as server:
        result = submit(
            server, a_mail("a@example.test", "nobody@example.test", "late@example.test", "b@x.test")
        )

    (mail,) = server.mails
    assert mail.recipients == result.accepted == ("a@example.test", "b@x.test")
    assert result.refused == (
        RecipientResult(
            recipient="nobody@example.test",
            status=RecipientStatus.REFUSED,
            reply=Reply(code=550, enhanced="5.1.1", text="no such user"),
            hint="There is no such mailbox: check the spelling in to, cc or bcc.",
        ),
        RecipientResult(
            recipient="late@example.test",
            reply=Reply(code=450, text="later"),
            hint="The server could not do it now: raise deadline so that it is tried again, or "
            "run the job later.",
        ),
    )


@pytest.mark.parametrize(
    ("extensions", "data"),
    [
        (("PIPELINING",), b"503 5.5.1 no recipients\r\n"),
        (("PIPELINING",), b"354 go on\r\n"),
        ((), b""),
    ],
    ids=["pipelined", "pipelined, and the server wants content all the same", "one by one"],
)
def test_when_all_are_refused_nobody_gets_anything(
    extensions: tuple[str, ...], data: bytes
) -> None:
    steps = changed(
        script(extensions=extensions, recipients=2),
        rcpt_1=Step(reply=b"550 5.1.1 no\r\n"),
        rcpt_2=Step(reply=b"550 5.1.1 no\r\n"),
        data=Step(reply=data),
        content=Step(reply=b"554 5.5.1 no valid recipients\r\n"),
    )
    if not data.startswith(b"354"):
        del steps["content"]
    if not data:
        del steps["data"]
    with Scripted(steps) as server:
        result = submit(server, a_mail("a@example.test", "b@example.test"))

    assert server.failure == ""
    assert server.content == b""
    assert b"Subject" not in server.received
    assert result.accepted == ()
    assert [each.recipient for each in result.refused] == ["a@example.test", "b@example.test"]
    assert result.transactions[-1].reply is None


@pytest.mark.parametrize("then", [Then.CLOSE, Then.RESET])
def test_refusals_are_told_even_if_the_server_then_drops_the_connection(then: Then) -> None:
    steps = changed(
        until(script(), "content"),
        rcpt_1=Step(reply=b"550 5.1.1 no\r\n"),
        content=Step(then=then),
    )
    with Scripted(steps) as server:
        result = submit(server)

    assert [each.reason for each in result.refused] == ["550 5.1.1 no"]


@pytest.mark.parametrize(
    ("extensions", "data"),
    [(("PIPELINING",), b"503 no\r\n"), (("PIPELINING",), b"354 go on\r\n"), ((), b"")],
    ids=["pipelined", "pipelined, and the server wants content all the same", "one by one"],
)
def test_a_refused_sender_ends_the_session(extensions: tuple[str, ...], data: bytes) -> None:
    steps = changed(
        script(extensions=extensions),
        mail=Step(reply=b"550 5.7.1 not you\r\n"),
        rcpt_1=Step(reply=b"503 no sender\r\n"),
        data=Step(reply=data),
        content=Step(reply=b"554 no\r\n"),
    )
    if not data.startswith(b"354"):
        del steps["content"]
    if not data:
        del steps["rcpt 1"], steps["data"]
    with Scripted(steps) as server:
        said = refusal_of(lambda: submit(server))

    assert "the server refused the sender reports@example.test: 550 5.7.1 not you" in said
    assert server.failure == ""
    assert server.content == b""


@pytest.mark.parametrize("extensions", [("PIPELINING",), ()], ids=["pipelined", "one by one"])
def test_refused_data_ends_the_session(extensions: tuple[str, ...]) -> None:
    steps = changed(script(extensions=extensions), data=Step(reply=b"451 4.3.0 no\r\n"))
    del steps["content"]
    with Scripted(steps) as server:
        said = refusal_of(lambda: submit(server))

    assert "the server refused the mail before its content: 451 4.3.0 no" in said
    assert server.failure == ""


@pytest.mark.parametrize("extensions", [("PIPELINING",), ()], ids=["pipelined", "one by one"])
def test_a_rejection_after_the_content_is_a_failure_that_is_known(
    extensions: tuple[str, ...],
) -> None:
    steps = changed(script(extensions=extensions), content=Step(reply=b"552 5.3.4 too big\r\n"))
    with Scripted(steps) as server:
        said = refusal_of(lambda: submit(server))

    assert "the server rejected the mail: 552 5.3.4 too big" in said
    assert "not known" not in said
    assert server.failure == ""


def test_a_mail_over_the_announced_size_is_not_even_begun() -> None:
    with Mailboxes(size_limit=10_000).running() as server:
        said = refusal_of(lambda: submit(server, a_mail(content=b"x: y\r\n\r\n" + b"z\r\n" * 5000)))

    assert "the mail has 15,008 bytes, the server accepts 10,000" in said
    assert server.mails == []


@pytest.mark.parametrize(
    ("size", "parameter"),
    [
        ("SIZE 23", b" SIZE=23"),
        ("SIZE 0", b" SIZE=23"),
        ("SIZE", b" SIZE=23"),
        ("SIZE much", b" SIZE=23"),
        ("SIZE -1", b" SIZE=23"),
        ("SIZE " + "9" * 4000, b" SIZE=23"),
        ("X", b""),
    ],
    ids=["exact", "no limit", "no number", "a word", "negative", "huge", "none"],
)
def test_the_size_is_declared_where_the_server_asks_for_it(size: str, parameter: bytes) -> None:
    with Scripted(script(extensions=(size,))) as server:
        submit(server, a_mail(content=b"Subject: x\r\n\r\nHello..\r\n"))

    assert b"MAIL FROM:<reports@example.test>%s\r\n" % parameter in server.received


@pytest.mark.parametrize(
    "content",
    [
        b"Subject: x\r\n\r\n.\r\n..\r\n...\r\n.a\r\nb.\r\n",
        b".\r\n",
        b".starts: so\r\n\r\n.",
        b"\r\n.\r\n.\r\n",
        b"Subject: x\r\n\r\nno end",
        b"Subject: x\r\n\r\n.\r\nMAIL FROM:<evil@example.test>\r\n.",
        b"",
    ],
    ids=["dots", "a lone dot", "dots at both ends", "lone dots", "no end", "smuggling", "nothing"],
)
@pytest.mark.parametrize("extensions", [("PIPELINING",), ()], ids=["pipelined", "one by one"])
def test_content_arrives_as_it_was_whatever_its_dots(
    content: bytes, extensions: tuple[str, ...]
) -> None:
    with Mailboxes(extensions=extensions).running() as server:
        submit(server, a_mail(content=content))

    (mail,) = server.mails
    assert mail.content == content + (b"" if content.endswith(b"\r\n") else b"\r\n")


def test_a_large_mail_arrives_whole_through_tls(tls: Certificates) -> None:
    with Mailboxes(tls=tls.server, implicit=True).running() as server:
        submit(server, a_mail(content=LARGE[:3_000_006]), tls=Tls.IMPLICIT, ca=tls.ca_file)

    assert server.mails[0].content == LARGE[:3_000_006] + b"\r\n"


def test_8000_recipients_travel_at_once_and_nobody_waits_for_the_other() -> None:
    recipients = tuple(f"r{number}@example.test" for number in range(8000))
    # Replies of 1.6 MB, which no buffer holds while the client only sends.
    long = Step(expect="RCPT TO:<.+>", reply=b"250 2.1.5 " + b"x" * 200 + b"\r\n")
    steps = {
        name: long if name.startswith("rcpt") else step
        for name, step in script(recipients=8000).items()
    }
    with Scripted(steps) as server:
        result = submit(server, a_mail(*recipients), deadline=60)

    assert server.failure == ""
    assert result.accepted == recipients


# --- how a session may end ---------------------------------------------------------------------

BEFORE_CONTENT = ["greeting", "ehlo in clear", "starttls", "ehlo", "auth", "mail", "rcpt 1", "data"]


def _dialogue() -> Script:
    return script(tls="starttls", auth="PLAIN")


def _broken(name: str, step: Step) -> Script:
    return changed(until(_dialogue(), name), **{name: step})


@pytest.mark.parametrize("name", BEFORE_CONTENT)
def test_421_at_any_step_ends_the_session_undelivered(tls: Certificates, name: str) -> None:
    with Scripted(_broken(name, Step(reply=b"421 4.3.2 going down\r\n")), tls.server) as server:
        said = refusal_of(lambda: submit(server, user=USER, tls=Tls.STARTTLS, ca=tls.ca_file))

    assert "421 4.3.2 going down" in said
    assert "not known" not in said
    assert b"Subject" not in server.received


def test_421_to_the_content_is_a_rejection_that_is_known() -> None:
    steps = changed(script(), content=Step(reply=b"421 4.3.2 going down\r\n", then=Then.CLOSE))
    with Scripted(steps) as server:
        said = refusal_of(lambda: submit(server))

    assert "the server rejected the mail: 421 4.3.2 going down" in said
    assert "not known" not in said


@pytest.mark.parametrize("then", [Then.CLOSE, Then.RESET])
@pytest.mark.parametrize("name", BEFORE_CONTENT[:-1])
def test_a_connection_that_drops_before_the_content_is_undelivered(
    tls: Certificates, name: str, then: Then
) -> None:
    with Scripted(_broken(name, Step(then=then)), tls.server) as server:
        said = refusal_of(lambda: submit(server, user=USER, tls=Tls.STARTTLS, ca=tls.ca_file))

    assert "the server closed the connection" in said or "the connection failed" in said
    assert "not known" not in said


@pytest.mark.parametrize("mode", [Tls.NONE, Tls.IMPLICIT])
def test_a_connection_that_drops_before_the_final_dot_is_undelivered(
    tls: Certificates, mode: Tls
) -> None:
    steps = until(script(tls=mode.value, extensions=("PIPELINING",)), "data")
    steps["data"] = Step(expect="DATA", reply=b"354 go on\r\n", then=Then.GULP)
    with Scripted(steps, tls.server) as server:
        said = refusal_of(lambda: submit(server, a_mail(content=LARGE), tls=mode, ca=tls.ca_file))

    assert re.search("the (connection failed|server closed the connection), sending", said)
    assert "not known" not in said


@pytest.mark.parametrize("then", [Then.CLOSE, Then.RESET, Then.SILENCE])
@pytest.mark.parametrize("extensions", [("PIPELINING",), ()], ids=["pipelined", "one by one"])
def test_no_reply_to_the_final_dot_is_told_as_not_known(
    extensions: tuple[str, ...], then: Then
) -> None:
    steps = changed(script(extensions=extensions), content=Step(then=then))
    with Scripted(steps) as server:
        said = refusal_of(lambda: submit(server, timeout=2))

    assert server.content
    assert "whether the server took the mail <1@example.test> is not known" in said
    assert "before you send it again" in said


@pytest.mark.parametrize("reply", [b"25", b"250-queued\r\n", b"gibberish\r\n"])
def test_half_a_reply_to_the_final_dot_is_told_as_not_known(reply: bytes) -> None:
    steps = changed(script(), content=Step(reply=reply, then=Then.CLOSE))
    with Scripted(steps) as server:
        said = refusal_of(lambda: submit(server))

    assert "is not known" in said


@pytest.mark.parametrize("extensions", [("PIPELINING",), ()], ids=["pipelined", "one by one"])
@pytest.mark.parametrize(
    "step",
    [
        Step(then=Then.CLOSE),
        Step(then=Then.RESET),
        Step(then=Then.SILENCE),
        Step(reply=b"421 timeout\r\n", then=Then.CLOSE),
        Step(reply=b"500 what?\r\n", then=Then.SILENCE),
        Step(reply=b"gibberish\r\n", then=Then.CLOSE),
        Step(reply=b"221 " + b"x" * 100_000, then=Then.CLOSE),
        Step(reply=b"221 bye bye bye bye bye bye\r\n", pause=0.1, then=Then.CLOSE),
    ],
    ids=["close", "reset", "silence", "421", "500", "gibberish", "endless", "drip"],
)
def test_nothing_that_happens_at_quit_is_a_failure(extensions: tuple[str, ...], step: Step) -> None:
    with Scripted(changed(script(extensions=extensions), quit=step)) as server:
        result = submit(server, timeout=2)

    assert result.accepted == ("to@example.test",)
    assert result.transactions[-1].reply == Reply(code=250, enhanced="2.0.0", text="queued")


def test_a_drip_at_quit_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chainloop_smtp.delivery.session._QUIT_PATIENCE", 0.5)
    steps = changed(script(), quit=Step(reply=b"221 " + b"x" * 120, pause=0.5))
    started = time.monotonic()
    with Scripted(steps) as server:
        submit(server, timeout=30, deadline=60)
        assert time.monotonic() - started < 30


@pytest.mark.parametrize("name", BEFORE_CONTENT)
def test_silence_at_any_step_ends_within_the_timeout(tls: Certificates, name: str) -> None:
    with Scripted(_broken(name, Step(then=Then.SILENCE)), tls.server) as server:
        said = refusal_of(
            lambda: submit(
                server, user=USER, tls=Tls.STARTTLS, ca=tls.ca_file, timeout=1, deadline=60
            )
        )

    assert "no answer in time" in said
    assert "not known" not in said
    phase = name.split()[0]
    if phase not in ("greeting", "data"):
        assert f"waiting for the reply to {phase.upper()}" in said
        assert said.endswith(
            "The server answered before, so the port is right. For a slow one, raise timeout."
        )


@pytest.mark.parametrize("mode", [Tls.STARTTLS, Tls.IMPLICIT])
def test_silence_in_the_handshake_ends_within_the_timeout(mode: Tls) -> None:
    steps = {"greeting": Step(then=Then.SILENCE)}
    if mode is Tls.STARTTLS:
        steps = changed(
            until(_dialogue(), "starttls"),
            starttls=Step(reply=b"220 go on\r\n", then=Then.SILENCE),
        )
    with Scripted(steps) as server:
        said = refusal_of(lambda: submit(server, user=USER, tls=mode, timeout=2, deadline=60))

    assert "no answer in time, TLS handshake" in said


@pytest.mark.parametrize("name", ["greeting", "ehlo in clear", "ehlo", "auth", "mail", "data"])
def test_a_drip_ends_by_the_deadline(tls: Certificates, name: str) -> None:
    drip = Step(reply=b"250-" + b"x" * 100, pause=0.1, then=Then.CLOSE)
    with Scripted(_broken(name, drip), tls.server) as server:
        said = refusal_of(
            lambda: submit(
                server, user=USER, tls=Tls.STARTTLS, ca=tls.ca_file, timeout=60, deadline=1.2
            )
        )
        assert "no answer in time" in said or "the deadline of 1.2 seconds has passed" in said


@pytest.mark.parametrize("then", [Then.STALL, Then.SIP])
@pytest.mark.parametrize("mode", [Tls.NONE, Tls.IMPLICIT])
def test_a_server_that_hardly_reads_ends_by_the_deadline(
    tls: Certificates, mode: Tls, then: Then
) -> None:
    steps = until(script(tls=mode.value, extensions=("PIPELINING",)), "data")
    steps["data"] = Step(expect="DATA", reply=b"354 go on\r\n", then=then)
    with Scripted(steps, tls.server) as server:
        said = refusal_of(
            lambda: submit(
                server,
                a_mail(content=LARGE),
                tls=mode,
                ca=tls.ca_file,
                timeout=60,
                deadline=4,
            )
        )

    assert "no answer in time, sending" in said or "the deadline of 4 seconds has passed" in said
    assert "not known" not in said


# --- replies that are none ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        b"hello\r\n",
        b"\r\n",
        b"22\r\n",
        b"2200 hello\r\n",
        b"\xff\xfe\xfd\r\n",
        b"\x16\x03\x01\x02\x00\n",
        "２２０ hello\r\n".encode(),
        b"HTTP/1.1 400 Bad Request\r\nServer: web\r\n\r\n",
        b"+OK POP3 ready\r\n",
        b"* OK IMAP ready\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
    ids=["word", "empty", "short", "long", "octets", "tls", "wide", "http", "pop", "imap", "ssh"],
)
def test_what_does_not_speak_smtp_is_told_so(reply: bytes) -> None:
    with Scripted({"greeting": Step(reply=reply, then=Then.SILENCE)}) as server:
        said = refusal_of(lambda: submit(server, user=USER))

    assert "the server does not speak SMTP: " in said
    assert said.isprintable() or said.replace("\n", "").isprintable()
    assert server.received == b""


@pytest.mark.parametrize("code", [b"000", b"199", b"250", b"354", b"554", b"999"])
def test_a_greeting_other_than_220_is_a_refusal(code: bytes) -> None:
    steps = {"greeting": Step(reply=code + b" no service here\r\n", then=Then.SILENCE)}
    with Scripted(steps) as server:
        said = refusal_of(lambda: submit(server))

    assert "the server does not accept mail now: " in said
    assert server.received == b""


def test_a_refused_ehlo_is_told() -> None:
    steps = changed(until(script(), "ehlo"), ehlo=Step(reply=b"502 5.5.1 no\r\n"))
    with Scripted(steps) as server:
        said = refusal_of(lambda: submit(server))

    assert "the server refused EHLO: 502 5.5.1 no" in said


@pytest.mark.parametrize("name", ["greeting", "ehlo", "mail", "content"])
@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (b"250 " + b"x" * 1_000_000 + b"\r\n", "line is longer than 4096 bytes"),
        (b"250 " + b"x" * 5_000 + b"\r\n", "line is longer than 4096 bytes"),
        (b"250-SIZE " + b"9" * 20_000 + b"\r\n250 ok\r\n", "line is longer than 4096 bytes"),
        (b"250-xxxxxx\r\n" * 10_000 + b"250 ok\r\n", "reply is longer than 65536 bytes"),
        (b"250-\n" * 1_000_000, "reply is longer than 65536 bytes"),
    ],
    ids=["1 MB line", "long line", "long number", "10,000 lines", "no end"],
)
def test_replies_are_bounded(name: str, reply: bytes, told: str) -> None:
    steps = changed(until(script(), name), **{name: Step(reply=reply, then=Then.CLOSE)})
    with Scripted(steps) as server:
        said = refusal_of(lambda: submit(server))

    assert told in said
    assert len(said) < 1_000


@pytest.mark.parametrize(
    ("reply", "shown"),
    [
        (b"550 5.1.1 no\x1b[31m red\x07\r\n", "550 5.1.1 no [31m red"),
        (b"550-5.1.1 one\r\n550 5.1.1 two\r\n", "550 5.1.1 one two"),
        (b"550 \xff\xfe\r\n", "550 \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"),
        (b"550 a\rb\r\n", "550 a b"),
        ("550 \u202eevil\u2066\r\n".encode(), "550 evil"),
        ("550 5.1.1 größer 漢字\r\n".encode(), "550 5.1.1 größer 漢字"),
        (b"550\r\n", "550"),
        (b"550 \r\n", "550"),
        (b"550 9.1.1 no class\r\n", "550 9.1.1 no class"),
        (b"550 5.x.1 no number\r\n", "550 5.x.1 no number"),
        (b"550 5.1.1\n", "550 5.1.1"),
    ],
)
def test_a_reply_is_made_printable(reply: bytes, shown: str) -> None:
    steps = changed(script(), rcpt_1=Step(reply=reply), data=Step(reply=b"503 no\r\n"))
    del steps["content"]
    with Scripted(steps) as server:
        (refusal,) = submit(server).refused

    assert str(refusal.reply) == shown


@pytest.mark.parametrize(
    "offered",
    ["", " ", "\x00", "é" * 50, "AUTH", "AUTH=", "PIPELINING PIPELINING", "SIZE 1 2 3", "250 250"],
)
def test_an_extension_without_sense_does_no_harm(offered: str) -> None:
    with Scripted(script(extensions=(offered,))) as server:
        assert submit(server).accepted == ("to@example.test",)


# --- round trips -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "extensions", "expected"),
    [
        (Tls.STARTTLS, ("PIPELINING",), 8),
        (Tls.IMPLICIT, ("PIPELINING",), 6),
        (Tls.STARTTLS, (), 12),
        (Tls.IMPLICIT, (), 10),
    ],
    ids=["starttls", "implicit", "starttls, one by one", "implicit, one by one"],
)
def test_round_trips_are_as_few_as_promised_and_counted_right(
    tls: Certificates, mode: Tls, extensions: tuple[str, ...], expected: int
) -> None:
    with Scripted(
        script(tls=mode.value, extensions=extensions, auth="PLAIN"), tls.server
    ) as server:
        result = submit(server, user=USER, tls=mode, ca=tls.ca_file)

    assert server.failure == ""
    assert server.round_trips == expected
    assert sum(each.round_trips for each in result.transactions) == expected


def test_an_older_tls_costs_one_round_trip_more(tmp_path: Path) -> None:
    context = certificates(tmp_path).server
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with Scripted(script(tls="implicit", auth="PLAIN"), context) as server:
        result = submit(server, user=USER, tls=Tls.IMPLICIT, ca=tmp_path / "authority.pem")

    assert result.tls.startswith("TLSv1.2 ")
    (attempt,) = result.transactions
    assert attempt.round_trips == server.round_trips + 1 == 7


def test_a_pipelined_transaction_is_two_groups(tls: Certificates) -> None:
    with Scripted(script(tls="implicit", extensions=("PIPELINING",), recipients=3), tls.server) as (
        server
    ):
        submit(
            server,
            a_mail("a@example.test", "b@example.test", "c@example.test"),
            tls=Tls.IMPLICIT,
            ca=tls.ca_file,
        )

    assert server.groups[1:] == [
        b"MAIL FROM:<reports@example.test>\r\n"
        b"RCPT TO:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nRCPT TO:<c@example.test>\r\n"
        b"DATA\r\n",
        a_mail().content + b".\r\nQUIT\r\n",
    ]


def test_nothing_is_pipelined_where_the_server_does_not_offer_it() -> None:
    with Scripted(script(extensions=(), recipients=2)) as server:
        submit(server, a_mail("a@example.test", "b@example.test"))

    assert server.groups[1:] == [
        b"MAIL FROM:<reports@example.test>\r\n",
        b"RCPT TO:<a@example.test>\r\n",
        b"RCPT TO:<b@example.test>\r\n",
        b"DATA\r\n",
        a_mail().content + b".\r\n",
        b"QUIT\r\n",
    ]


@pytest.mark.parametrize("extensions", [("PIPELINING",), ()], ids=["pipelined", "one by one"])
def test_refused_recipients_are_told_even_when_the_content_is_rejected(
    extensions: tuple[str, ...],
) -> None:
    steps = changed(
        script(extensions=extensions, recipients=2),
        rcpt_1=Step(reply=b"550 5.1.1 nobody\r\n"),
        content=Step(reply=b"554 5.7.1 rejected\r\n"),
    )
    with Scripted(steps) as server:
        said = refusal_of(lambda: submit(server, a_mail("a@example.test", "b@example.test")))

    assert "the server rejected the mail: 554 5.7.1 rejected" in said
    assert "a@example.test: the server refused this recipient: 550 5.1.1 nobody" in said
    assert server.failure == ""


def test_a_refusal_says_what_it_means_and_what_to_do() -> None:
    steps = changed(script(extensions=()), mail=Step(reply=b"553 5.1.8 who are you?\r\n"))
    del steps["rcpt 1"], steps["data"], steps["content"]
    with Scripted(steps) as server:
        said = refusal_of(lambda: submit(server))

    assert "check from and envelope-from" in said
    assert server.failure == ""
