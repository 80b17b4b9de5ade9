"""`chainloop-smtp check`: what each step shows, and what it says a send would do."""

import json
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
import trustme

import tokenserver
from program import PASSWORD, Ended, Program, failure, never
from proxies import Tunnel
from smtpserver import (
    Certificates,
    Mailboxes,
    Script,
    Scripted,
    Step,
    Then,
    changed,
    ehlo,
    script,
    until,
)
from submission import send_one
from tokenserver import MICROSOFT, Web, granted, refused

PLAIN = {"tls": "none", "auth": "none"}


def inputs(port: int, **more: str) -> dict[str, str]:
    return {
        "host": "127.0.0.1",
        "port": str(port),
        "from": "Reports <reports@example.com>",
        "to": "security@example.com",
        **{name.replace("_", "-"): value for name, value in more.items()},
    }


def with_login(port: int, trusted: Certificates, **more: str) -> dict[str, str]:
    login = {"user": "jane", "password": PASSWORD, "tls_ca_file": str(trusted.ca_file)}
    return inputs(port, **{**login, **more})


def rehearsed(recipients: int = 1, **more: object) -> Script:
    """A dialogue in which all goes well, with RSET where the content would come."""
    steps = script(recipients=recipients, **more)  # type: ignore[arg-type]
    before = {name: step for name, step in steps.items() if name not in ("data", "content", "quit")}
    reset = Step(expect="RSET", reply=b"250 2.0.0 forgotten\r\n")
    return {**before, "rset": reset, "quit": steps["quit"]}


def lines(ended: Ended) -> list[tuple[str, str, str]]:
    """State, step and finding of each line of the checklist."""
    words = ("ok", "warning", "failed", "not now", "skipped")
    found = []
    for line in ended.stdout.splitlines():
        state = next((word for word in words if line[2:].startswith(f"{word} ")), "")
        if state and line[1] == " ":
            name, _, said = line[2 + len(state) :].strip().partition(" ")
            found.append((state, name, said.strip()))
    return found


def states(ended: Ended) -> str:
    return ", ".join(f"{name} {state}" for state, name, _ in lines(ended))


def printed(ended: Ended, port: int) -> str:
    """Standard output as a reader of the log sees it, with PORT for the server's port."""
    shown = (line for line in ended.stdout.splitlines(keepends=True) if not line.startswith("::"))
    return "".join(shown).replace(str(port), "PORT")


IN_VAIN = "A mail through 127.0.0.1:PORT would not be delivered. Nothing was sent."
NOT_YET = "A mail through 127.0.0.1:PORT would not be delivered yet. Nothing was sent."


def failed(port: int, *problems: str, title: str = IN_VAIN) -> str:
    """Standard error of a check that failed; PORT stands for the server's port."""
    return failure(*problems, title=title).replace("PORT", str(port))


CLEAR = """\
✓ ok       DNS       127.0.0.1 is 127.0.0.1
✓ ok       TCP       127.0.0.1, port PORT
✓ ok       greeting  scripted ESMTP
! warning  TLS       none: nothing is encrypted, because tls is none
"""
TRIPS = "✓ ok       EHLO      PIPELINING, SIZE 1 MB: a mail takes 2 round trips\n"
NO_LOGIN = "- skipped  AUTH      no login, because auth is none\n"
SENDER = "✓ ok       MAIL      reports@example.com\n"
RECIPIENT = "✓ ok       RCPT      security@example.com\n"
ENDING = """\
✓ ok       RSET      reset, nothing was sent
✓ ok       QUIT      session closed
"""
NOT_TRIED = """\
- skipped  AUTH      not tried
- skipped  MAIL      reports@example.com: not tried
- skipped  RCPT      security@example.com: not tried
- skipped  RSET      not tried
- skipped  QUIT      not tried
"""


def said(ended: Ended, name: str) -> str:
    return next(said for _, each, said in lines(ended) if each == name)


@pytest.fixture
def unreachable() -> Iterator[int]:
    """A port that nobody listens on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_every_step_is_shown_and_nothing_is_sent(
    program: Program, mailboxes: Mailboxes, tls: Certificates
) -> None:
    given = with_login(
        mailboxes.port, tls, cc="Audit <audit@example.com>", bcc="hidden@example.com"
    )
    ended = program("check", inputs=given, post=never)
    assert (ended.code, ended.annotations) == (0, [])
    assert states(ended) == (
        "DNS ok, TCP ok, greeting ok, TLS ok, EHLO ok, AUTH ok, MAIL ok, "
        "RCPT ok, RCPT ok, RCPT ok, RSET ok, QUIT ok"
    )
    assert said(ended, "DNS") == "127.0.0.1 is 127.0.0.1"
    assert said(ended, "TCP") == f"127.0.0.1, port {mailboxes.port}"
    days = (datetime(3000, 1, 1, tzinfo=UTC) - datetime.now(UTC)).days
    # A pin is what Python says of the certificate; who issued it, is the authority's own text.
    shown = r"certificate of localhost, by trustme v\S+, good until 01 Jan 3000 \((\d+) days\)"
    whole = rf"TLSv1\.3 TLS_AES_256_GCM_SHA384, {shown}, SHA-256 [0-9a-f]{{64}}"
    found = re.fullmatch(whole, said(ended, "TLS"))
    assert found
    assert int(found[1]) in (days, days + 1)
    assert said(ended, "EHLO") == (
        "8BITMIME, AUTH LOGIN PLAIN, PIPELINING, HELP: a mail takes 2 round trips"
    )
    assert said(ended, "AUTH") == "PLAIN as jane"
    assert said(ended, "MAIL") == "reports@example.com"
    assert [each for _, name, each in lines(ended) if name == "RCPT"] == [
        "security@example.com",
        "audit@example.com",
        "bcc recipient 1",
    ]
    assert "hidden@" not in ended.log + ended.summary
    server = f"127.0.0.1:{mailboxes.port}"
    assert f"A mail through {server} would go to 3 recipients. Nothing was sent." in ended.stdout
    assert mailboxes.logins == [("PLAIN", "jane")]
    assert mailboxes.mails == []
    assert PASSWORD not in ended.log
    sentence = f"A mail through {server} would go to 3 recipients. Nothing was sent."
    assert ended.summary.startswith(
        f"### Check\n\n{sentence}\n\n"
        "| | step | what was found |\n"
        "| --- | --- | --- |\n"
        "| ✓ ok | DNS | 127.0.0.1 is 127.0.0.1 |\n"
    )
    assert "| ✓ ok | AUTH | PLAIN as jane |\n" in ended.summary


def test_what_is_said_is_what_a_delivery_says_up_to_the_content(program: Program) -> None:
    with Scripted(rehearsed(2, extensions=("CHUNKING", "PIPELINING", "SIZE 35000000"))) as server:
        given = inputs(server.port, **PLAIN, cc="a@example.com", envelope_from="bounce@example.com")
        ended = program("check", inputs=given)
    assert server.failure == ""
    assert ended.code == 0
    assert [group.split(b"\r\n")[0] for group in server.groups[1:]] == [
        b"MAIL FROM:<bounce@example.com> SIZE=30000",
        b"RCPT TO:<security@example.com>",
        b"RCPT TO:<a@example.com>",
        b"RSET",
        b"QUIT",
    ]
    assert said(ended, "EHLO") == "CHUNKING, PIPELINING, SIZE 35 MB: a mail takes 1 round trip"
    assert lines(ended)[3][:2] == ("warning", "TLS")
    assert ("skipped", "AUTH", "no login, because auth is none") in lines(ended)


def test_a_server_without_extensions_is_shown_as_one(program: Program) -> None:
    with Scripted(rehearsed(extensions=())) as server:
        ended = program("check", inputs=inputs(server.port, **PLAIN))
    assert said(ended, "EHLO") == "no extensions: no pipelining, so every command is a round trip"


def test_a_size_without_a_number_is_shown_as_it_came(program: Program) -> None:
    with Scripted(rehearsed(extensions=("SIZE 0", "X 10000000", "DSN"))) as server:
        ended = program("check", inputs=inputs(server.port, **PLAIN))
    assert (
        said(ended, "EHLO")
        == "SIZE, X 10000000, DSN: no pipelining, so every command is a round trip"
    )


def test_a_greeting_that_is_not_utf_8_is_shown_all_the_same(program: Program) -> None:
    steps = changed(rehearsed(), greeting=Step(reply=b"220 mail \xff ready\r\n"))
    with Scripted(steps) as server:
        ended = program("check", inputs=inputs(server.port, **PLAIN))
    assert said(ended, "greeting") == "mail \ufffd ready"


def test_a_reset_without_a_reply_is_a_warning(program: Program) -> None:
    steps = until(changed(rehearsed(), rset=Step(then=Then.SILENCE)), "rset")
    with Scripted(steps) as server:
        ended = program("check", inputs=inputs(server.port, **PLAIN, timeout="0.5"))
    assert ended.code == 0
    assert said(ended, "RSET") == "no answer in time, waiting for the reply to RSET"


def test_implicit_tls_comes_before_the_greeting(program: Program, tls: Certificates) -> None:
    with Scripted(rehearsed(tls="implicit", auth="PLAIN"), tls.server) as server:
        ended = program("check", inputs=with_login(server.port, tls, tls="implicit"))
    assert ended.code == 0
    assert states(ended) == (
        "DNS ok, TCP ok, TLS ok, greeting ok, EHLO ok, AUTH ok, MAIL ok, RCPT ok, RSET ok, QUIT ok"
    )


def test_a_pinned_certificate_is_shown_by_its_pin(program: Program, tls: Certificates) -> None:
    with Scripted(rehearsed(tls="implicit"), tls.unknown) as server:
        ended = program(
            "check",
            inputs=inputs(server.port, tls="implicit", auth="none", tls_fingerprint="0" * 64),
        )
    assert ended.code == 5
    pin = ended.stderr.partition("fingerprint ")[2].partition(",")[0]
    with Scripted(rehearsed(tls="implicit"), tls.unknown) as server:
        ended = program(
            "check", inputs=inputs(server.port, tls="implicit", auth="none", tls_fingerprint=pin)
        )
    assert ended.code == 0
    assert said(ended, "TLS") == (
        f"TLSv1.3 TLS_AES_256_GCM_SHA384, SHA-256 {pin}, which matches tls-fingerprint"
    )


@pytest.mark.parametrize(
    ("days", "state", "left", "soon"),
    [
        (1, "warning", "1 day", ", which is soon"),
        (3, "warning", "3 days", ", which is soon"),
        (13, "warning", "13 days", ", which is soon"),
        (14, "ok", "14 days", ""),
    ],
)
def test_a_certificate_that_ends_soon_is_a_warning(
    program: Program, tmp_path: Path, days: int, state: str, left: str, soon: str
) -> None:
    authority = trustme.CA(organization_name="Harbour")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ends = datetime.now(UTC) + timedelta(days=days, hours=1)
    certificate = authority.issue_cert("127.0.0.1", "mail.example.test", not_after=ends)
    certificate.configure_cert(context)
    der = ssl.PEM_cert_to_DER_cert(certificate.cert_chain_pems[0].bytes().decode())
    with Scripted(rehearsed(tls="implicit"), context) as server:
        given = inputs(
            server.port, tls="implicit", auth="none", tls_ca_file=str(tmp_path / "ca.pem")
        )
        ended = program("check", inputs=given)
    assert ended.code == 0
    assert lines(ended)[2] == (
        state,
        "TLS",
        "TLSv1.3 TLS_AES_256_GCM_SHA384, certificate of 127.0.0.1, by Harbour, good until "
        f"{ends:%d %b %Y} ({left}), SHA-256 {sha256(der).hexdigest()}{soon}",
    )


CERTIFICATES = {
    "unknown": "unable to get local issuer certificate",
    "wrong_name": "IP address mismatch, certificate is not valid for '127.0.0.1'",
    "expired": "certificate has expired",
}


@pytest.mark.parametrize("mode", ["starttls", "implicit"])
@pytest.mark.parametrize("kind", CERTIFICATES)
def test_a_certificate_that_is_not_trusted_is_refused_as_a_send_refuses_it(
    program: Program, tls: Certificates, mode: str, kind: str
) -> None:
    told = []
    for command in ("check", "send"):
        with Scripted(script(tls=mode, auth="PLAIN"), getattr(tls, kind)) as server:
            given = with_login(server.port, tls, tls=mode)
            ended = program(command, inputs=given, post=send_one)
        assert ended.code == 5, ended.log
        # Not a word of SMTP, QUIT neither, to whoever this is.
        expected = b"" if mode == "implicit" else b"EHLO [127.0.0.1]\r\nSTARTTLS\r\n"
        assert server.received == expected
        where = f"127.0.0.1:{server.port}"
        told.append(ended.failure.partition(f"\n  {where}")[2])
        if command == "check":
            why = f"the server's certificate is not trusted: {CERTIFICATES[kind]}"
            assert ("failed", "TLS", why) in [
                (state, name, text.partition(". (_ssl")[0]) for state, name, text in lines(ended)
            ]
            is_last = ("MAIL", "RCPT", "RSET", "QUIT")
            assert states(ended).endswith(", ".join(f"{name} skipped" for name in is_last))
            title = f"A mail through {where} would not be delivered. Nothing was sent.\n"
            assert ended.failure.startswith(title)
            assert "Nothing was sent" not in printed(ended, server.port)
    assert told[0] == told[1]
    assert f": the server's certificate is not trusted: {CERTIFICATES[kind]}" in told[0]


@pytest.mark.parametrize("then", [Then.CLOSE, Then.RESET])
@pytest.mark.parametrize("mode", ["starttls", "implicit"])
def test_a_server_that_leaves_where_tls_should_begin_is_told_as_that(
    program: Program, tls: Certificates, mode: str, then: Then
) -> None:
    steps = script(tls=mode, auth="PLAIN")
    last = "tls" if mode == "implicit" else "starttls"
    reply = b"" if mode == "implicit" else b"220 go on\r\n"
    steps = until(changed(steps, **{last: Step(reply=reply, then=then)}), last)
    with Scripted(steps, tls.server) as server:
        ended = program("check", inputs=with_login(server.port, tls, tls=mode))
    assert ended.code == 5, ended.log
    # A reset may come before the system has reported the connection.
    assert re.search("(TLS|TCP) failed", states(ended))
    assert b"QUIT" not in server.received
    assert "bug" not in ended.log


def test_each_address_of_a_host_is_shown_once_and_then_the_one_that_answers(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Scripted(rehearsed()) as server:
        addresses = ["127.0.0.9", "127.0.0.1", "127.0.0.9"]
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, server.port)) for each in addresses
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        ended = program("check", inputs=inputs(server.port, **PLAIN) | {"host": "mail.test"})
    assert ended.code == 0
    assert said(ended, "DNS") == "mail.test is 127.0.0.9, 127.0.0.1"
    assert said(ended, "TCP") == f"127.0.0.1, port {server.port}"


def test_what_a_server_says_of_itself_is_cut(program: Program) -> None:
    steps = changed(
        rehearsed(extensions=("X" * 300, "Y" * 300)),
        greeting=Step(reply=b"220 " + b"g" * 401 + b"\r\n"),
    )
    with Scripted(steps) as server:
        ended = program("check", inputs=inputs(server.port, **PLAIN))
    assert said(ended, "greeting") == "g" * 400
    assert (
        said(ended, "EHLO")
        == f"{'X' * 300}, {'Y' * 98}: no pipelining, so every command is a round trip"
    )


@pytest.mark.parametrize(
    ("size", "shown"),
    [("35882577", "SIZE 35.9 MB"), ("5000", "SIZE 0.005 MB"), ("00", "SIZE"), ("x", "SIZE X")],
)
def test_a_size_is_shown_in_megabytes(program: Program, size: str, shown: str) -> None:
    with Scripted(rehearsed(extensions=(f"SIZE {size}",))) as server:
        ended = program("check", inputs=inputs(server.port, **PLAIN))
    assert said(ended, "EHLO").partition(":")[0] == shown


def test_a_host_without_an_address_stops_at_dns(program: Program) -> None:
    ended = program("check", inputs=inputs(587, **PLAIN) | {"host": "nobody.invalid"})
    assert ended.code == 5
    assert states(ended) == (
        "DNS failed, TCP skipped, greeting skipped, TLS skipped, EHLO skipped, AUTH skipped, "
        "MAIL skipped, RCPT skipped, RSET skipped, QUIT skipped"
    )
    assert said(ended, "RCPT") == "security@example.com: not tried"
    title = "A mail through nobody.invalid:587 would not be delivered. Nothing was sent"
    assert ended.failure == failed(
        587,
        "nobody.invalid:PORT: the host name cannot be resolved\n  Check the spelling of host.",
        title=f"{title}.",
    )
    assert ended.annotations == [("error", title)]


def test_an_address_beyond_ascii_is_not_blamed_for_an_earlier_failure(
    program: Program, unreachable: int
) -> None:
    ended = program("check", inputs=inputs(unreachable, **PLAIN, to="jürgen@example.com"))
    assert states(ended).endswith("MAIL skipped, RCPT skipped, RSET skipped, QUIT skipped")
    assert ended.failure == failed(
        unreachable,
        "127.0.0.1:PORT: the connection was refused\n  Is the port right? Usual: 587, 465.",
    )


def test_an_interrupt_says_that_nothing_was_sent(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("chainloop_smtp.delivery.probe.check", interrupt)
    ended = program("check", inputs=inputs(587, **PLAIN))
    assert (ended.code, ended.stdout) == (130, "Interrupted. Nothing was sent.\n")


def test_a_port_that_nobody_listens_on_stops_at_tcp(program: Program, unreachable: int) -> None:
    ended = program("check", inputs=inputs(unreachable, **PLAIN))
    assert ended.code == 5
    assert printed(ended, unreachable) == (
        "✓ ok       DNS       127.0.0.1 is 127.0.0.1\n"
        "✗ failed   TCP       the connection was refused\n"
        "- skipped  greeting  not tried\n"
        "- skipped  TLS       not tried\n"
        "- skipped  EHLO      not tried\n"
        f"{NOT_TRIED}"
    )
    assert ended.failure == failed(
        unreachable,
        "127.0.0.1:PORT: the connection was refused\n  Is the port right? Usual: 587, 465.",
    )


REFUSALS: dict[str, tuple[Script, str, str]] = {
    "greeting": (
        until(changed(rehearsed(), greeting=Step(reply=b"554 no service\r\n")), "greeting"),
        "✓ ok       DNS       127.0.0.1 is 127.0.0.1\n"
        "✓ ok       TCP       127.0.0.1, port PORT\n"
        "✗ failed   greeting  the server does not accept mail now: 554 no service\n"
        "- skipped  TLS       not tried\n"
        "- skipped  EHLO      not tried\n"
        f"{NOT_TRIED}",
        "127.0.0.1:PORT: the server does not accept mail now: 554 no service\n"
        "  The server takes no mail from this runner's address: set port to 587 or 465 with user "
        "and password, set host to a relay that knows the runner, or reach it through proxy.",
    ),
    "ehlo": (
        until(changed(rehearsed(), ehlo=Step(reply=b"502 what?\r\n")), "ehlo"),
        f"{CLEAR}✗ failed   EHLO      the server refused EHLO: 502 what?\n{NOT_TRIED}",
        "127.0.0.1:PORT: the server refused EHLO: 502 what?\n"
        "  The server does not know EHLO, so it is no submission service: check host and port "
        "(587 or 465).",
    ),
    "goodbye to EHLO": (
        until(changed(rehearsed(), ehlo=Step(reply=b"421 4.3.2 bye\r\n")), "ehlo"),
        f"{CLEAR}✗ failed   EHLO      the server ends the session: 421 4.3.2 bye\n{NOT_TRIED}",
        "127.0.0.1:PORT: the server ends the session: 421 4.3.2 bye\n"
        "  The server ended the session: raise deadline so that it is tried again, or send less "
        "at a time.",
    ),
    "mail": (
        until(changed(rehearsed(), mail=Step(reply=b"550 5.7.1 not yours\r\n")), "mail"),
        f"{CLEAR}{TRIPS}{NO_LOGIN}"
        "✗ failed   MAIL      reports@example.com: 550 5.7.1 not yours\n"
        "- skipped  RCPT      security@example.com: not tried\n"
        "- skipped  RSET      not tried\n"
        "- skipped  QUIT      not tried\n",
        "reports@example.com: the server refuses this sender: 550 5.7.1 not yours\n"
        "  A rule of the server forbids this mail: check that user may send as the address in "
        "from, and ask whoever runs host which rule it is.",
    ),
    "mail, for now": (
        until(changed(rehearsed(), mail=Step(reply=b"452 4.3.1 full\r\n")), "mail"),
        f"{CLEAR}{TRIPS}{NO_LOGIN}"
        "~ not now  MAIL      reports@example.com: 452 4.3.1 full\n"
        "- skipped  RCPT      security@example.com: not tried\n"
        "- skipped  RSET      not tried\n"
        "- skipped  QUIT      not tried\n",
        "reports@example.com: the server deferred MAIL: 452 4.3.1 full\n"
        "  The server's mail system has a fault: raise deadline so that it is tried again if it "
        "passes, else set host to another server. A send would retry until its deadline of "
        "120 s, and may succeed.",
    ),
    "goodbye": (
        until(changed(rehearsed(), rcpt_1=Step(reply=b"421 4.3.2 bye\r\n")), "rcpt 1"),
        f"{CLEAR}{TRIPS}{NO_LOGIN}{SENDER}"
        "✗ failed   RCPT      the server ends the session: 421 4.3.2 bye\n"
        "- skipped  RSET      not tried\n"
        "- skipped  QUIT      not tried\n",
        "127.0.0.1:PORT: the server ends the session: 421 4.3.2 bye\n"
        "  The server ended the session: raise deadline so that it is tried again, or send less "
        "at a time.",
    ),
    "drop": (
        until(changed(rehearsed(), mail=Step(reply=b"", then=Then.CLOSE)), "mail"),
        f"{CLEAR}{TRIPS}{NO_LOGIN}"
        "✗ failed   MAIL      the server closed the connection\n"
        "- skipped  RCPT      security@example.com: not tried\n"
        "- skipped  RSET      not tried\n"
        "- skipped  QUIT      not tried\n",
        "127.0.0.1:PORT: the server closed the connection\n"
        "  Its log says why; common causes are too many connections and block lists.",
    ),
}


@pytest.mark.parametrize(("steps", "shown", "problem"), REFUSALS.values(), ids=REFUSALS)
def test_after_a_failure_the_rest_is_not_tried(
    program: Program, steps: Script, shown: str, problem: str
) -> None:
    with Scripted(steps) as server:
        ended = program("check", inputs=inputs(server.port, **PLAIN))
    assert ended.code == 5
    assert printed(ended, server.port) == shown
    title = NOT_YET if "not now" in shown else IN_VAIN
    assert ended.failure == failed(server.port, problem, title=title)
    assert b"DATA" not in server.received
    assert b"BDAT" not in server.received


@pytest.mark.parametrize(
    ("name", "reply"),
    [("ehlo", b"550 no\r\n"), ("mail", b"550 5.7.1 not yours\r\n")],
)
def test_a_check_that_stops_takes_its_leave(program: Program, name: str, reply: bytes) -> None:
    steps = until(changed(rehearsed(), **{name: Step(reply=reply)}), name)
    with Scripted(steps | {"quit": rehearsed()["quit"]}) as server:
        assert program("check", inputs=inputs(server.port, **PLAIN)).code == 5
    assert server.failure == ""
    assert server.received.endswith(b"\r\nQUIT\r\n")


def test_a_server_without_starttls_is_told_no_secret(program: Program, tls: Certificates) -> None:
    with Scripted(until(rehearsed(auth="PLAIN"), "ehlo")) as server:
        ended = program("check", inputs=with_login(server.port, tls))
    assert ended.code == 5
    assert "TLS failed, EHLO skipped, AUTH skipped" in states(ended)
    assert ended.failure == failed(
        server.port,
        "127.0.0.1:PORT: the server offers no STARTTLS, so nothing was sent to it\n"
        "  Use a port with TLS, usually 587 or 465. Only for a relay that has no TLS at all: tls: "
        "none, and auth: none.",
    )
    assert b"AUTH" not in server.received


def test_a_wrong_password_is_shown_with_what_to_do_and_without_the_password(
    program: Program, mailboxes: Mailboxes, tls: Certificates
) -> None:
    ended = program("check", inputs=with_login(mailboxes.port, tls, password="t0p-secret-9"))
    assert ended.code == 5
    assert "AUTH failed, MAIL skipped" in states(ended)
    assert ended.failure == failed(
        mailboxes.port,
        "127.0.0.1:PORT: the server refused the login of jane: "
        "535 5.7.8 Authentication credentials invalid\n"
        "  Check user (often the full address) and password; many providers want an app password "
        "or an API key here instead of the account's own password.",
    )
    everything = ended.everything()
    assert b"t0p-secret-9" not in everything
    assert b64encode(b"\0jane\0t0p-secret-9") not in everything


def test_a_refused_recipient_does_not_stop_the_others(
    program: Program, mailboxes: Mailboxes, tls: Certificates
) -> None:
    given = with_login(mailboxes.port, tls, to="gone@example.com, security@example.com")
    ended = program("check", inputs=given)
    assert ended.code == 5
    assert "MAIL ok, RCPT failed, RCPT ok, RSET ok, QUIT ok" in states(ended)
    assert ended.failure == failed(
        mailboxes.port,
        "gone@example.com: the server refuses this recipient: 550 5.1.1 no such mailbox\n"
        "  There is no such mailbox: check the spelling in to, cc or bcc.",
        title="A mail through 127.0.0.1:PORT would go to 1 of 2 recipients. Nothing was sent.",
    )
    assert "Nothing was sent" not in printed(ended, mailboxes.port)
    assert "no such mailbox" in ended.summary
    assert mailboxes.mails == []


def test_a_sender_who_gets_a_blind_copy_is_hidden_like_the_other_recipients(
    program: Program,
) -> None:
    both = {"bcc": "bounce@example.com", "envelope_from": "bounce@example.com"}
    steps = until(changed(rehearsed(), mail=Step(reply=b"550 5.7.1 not you\r\n")), "mail")
    with Scripted(steps) as server:
        ended = program("check", inputs=inputs(server.port, **PLAIN, **both))
    assert "\n  bcc recipient 1: the server refuses this sender: 550" in ended.failure
    assert ("failed", "MAIL", "bcc recipient 1: 550 5.7.1") in lines(ended)
    assert "bounce@example.com" not in ended.log + ended.summary


def test_one_recipient_is_enough_where_any_is(
    program: Program, mailboxes: Mailboxes, tls: Certificates
) -> None:
    given = with_login(
        mailboxes.port, tls, to="gone@example.com, security@example.com", require="any"
    )
    ended = program("check", inputs=given)
    assert ended.code == 0
    assert "would go to 1 of 2" in ended.stdout


def test_a_recipient_put_off_would_be_tried_again(program: Program) -> None:
    steps = changed(rehearsed(), rcpt_1=Step(reply=b"450 4.2.0 Greylisted\r\n"))
    with Scripted(steps) as server:
        ended = program("check", inputs=inputs(server.port, **PLAIN, deadline="9"))
    assert ended.code == 5
    assert printed(ended, server.port) == (
        f"{CLEAR}{TRIPS}{NO_LOGIN}{SENDER}"
        "~ not now  RCPT      security@example.com: 450 4.2.0 Greylisted\n"
        f"{ENDING}"
    )
    assert ended.failure == failed(
        server.port,
        "security@example.com: the server deferred RCPT: 450 4.2.0 Greylisted\n"
        "  The server greylists unknown senders, often for five minutes: raise deadline so that "
        "the mail is tried again, or set user and password. A send would retry until its deadline "
        "of 9 s, and may succeed.",
        title=NOT_YET,
    )


def test_a_failure_that_is_to_fail_nothing_is_a_warning(program: Program) -> None:
    steps = changed(rehearsed(), rcpt_1=Step(reply=b"550 no\r\n"))
    with Scripted(steps) as server:
        ended = program("check", inputs=inputs(server.port, **PLAIN, fail_on_error="false"))
    assert ended.code == 0
    assert ended.annotations == [
        ("warning", IN_VAIN.removesuffix(".").replace("PORT", str(server.port)))
    ]


def test_a_session_that_breaks_off_reaches_nobody(program: Program) -> None:
    steps = until(changed(rehearsed(2), rcpt_2=Step(reply=b"421 4.3.2 bye\r\n")), "rcpt 2")
    with Scripted(steps) as server:
        given = inputs(server.port, **PLAIN, cc="a@example.com", require="any")
        ended = program("check", inputs=given)
    assert ended.code == 5
    assert printed(ended, server.port) == (
        f"{CLEAR}{TRIPS}{NO_LOGIN}{SENDER}{RECIPIENT}"
        "✗ failed   RCPT      the server ends the session: 421 4.3.2 bye\n"
        "- skipped  RSET      not tried\n"
        "- skipped  QUIT      not tried\n"
    )


@pytest.mark.parametrize(
    ("steps", "shown"),
    [
        (
            changed(rehearsed(), rset=Step(reply=b"500 what?\r\n")),
            "! warning  RSET      the server refused it: 500 what?\n"
            "✓ ok       QUIT      session closed\n",
        ),
        (
            until(changed(rehearsed(), rset=Step(reply=b"421 4.3.2 bye\r\n")), "rset"),
            "! warning  RSET      the server ends the session: 421 4.3.2 bye\n"
            "- skipped  QUIT      not tried\n",
        ),
        (
            until(changed(rehearsed(), rset=Step(then=Then.CLOSE)), "rset"),
            "! warning  RSET      the server closed the connection\n"
            "- skipped  QUIT      not tried\n",
        ),
    ],
    ids=["refused", "goodbye", "closed"],
)
def test_trouble_behind_the_recipients_fails_no_delivery(
    program: Program, steps: Script, shown: str
) -> None:
    with Scripted(steps) as server:
        ended = program("check", inputs=inputs(server.port, **PLAIN))
    assert ended.code == 0
    assert printed(ended, server.port) == (
        f"{CLEAR}{TRIPS}{NO_LOGIN}{SENDER}{RECIPIENT}{shown}"
        "A mail through 127.0.0.1:PORT would go to 1 recipient. Nothing was sent.\n"
    )


@pytest.mark.parametrize(
    "step",
    [Step(reply=b"", then=Then.SILENCE), Step(reply=b"250-" + b"x" * 60, pause=0.3)],
    ids=["silence", "drip"],
)
def test_a_slow_server_holds_nobody_beyond_the_deadline(program: Program, step: Step) -> None:
    with Scripted(until(changed(rehearsed(), ehlo=step), "ehlo")) as server:
        started = datetime.now(UTC)
        ended = program("check", inputs=inputs(server.port, **PLAIN, deadline="8", timeout="2"))
        seconds = (datetime.now(UTC) - started).total_seconds()
    assert ended.code == 5
    assert seconds < 15
    assert ended.failure == failed(
        server.port,
        "127.0.0.1:PORT: no answer in time, waiting for the reply to EHLO\n"
        "  The server answered before, so the port is right. For a slow one, raise timeout.",
    )


def test_many_recipients_are_asked_for_as_a_send_would(program: Program) -> None:
    steps = rehearsed()
    once = {name: steps[name] for name in ("mail", "rcpt 1", "rset")}
    again = {f"{name} again": step for name, step in once.items()}
    twice = {**until(steps, "rset"), **again, "quit": steps["quit"]}
    with Scripted(twice) as server:
        given = inputs(server.port, **PLAIN, cc="a@example.com", max_recipients="1")
        ended = program("check", inputs=given)
    assert server.failure == ""
    assert ended.code == 0
    assert "MAIL ok, RCPT ok, RSET ok, MAIL ok, RCPT ok, RSET ok, QUIT ok" in states(ended)


def test_json_is_one_document_and_the_checklist_goes_beside_it(program: Program) -> None:
    steps = changed(rehearsed(), rcpt_1=Step(reply=b"550 5.1.1 no such mailbox\r\n"))
    with Scripted(steps) as server:
        ended = program("check", "-o", "json", inputs=inputs(server.port, **PLAIN))
    (checked,) = json.loads(ended.stdout)["checks"]
    assert ended.code == 5
    assert checked["ok"] is False
    assert (checked["host"], checked["port"]) == ("127.0.0.1", server.port)
    assert checked["provider"] is None
    assert checked["sentence"] == IN_VAIN.replace("PORT", str(server.port))
    (rcpt,) = (each for each in checked["steps"] if each["name"] == "RCPT")
    assert 0 <= rcpt.pop("seconds") < 60
    assert rcpt == {
        "name": "RCPT",
        "state": "failed",
        "address": "security@example.com",
        "said": "security@example.com: 550 5.1.1 no such mailbox",
        "code": 550,
        "hint": "There is no such mailbox: check the spelling in to, cc or bcc.",
    }
    assert "✗ failed" in ended.stderr


def test_a_server_cannot_write_commands_into_the_log(program: Program) -> None:
    steps = changed(
        rehearsed(extensions=("::error::PIPE", "X ::set-output")),
        greeting=Step(reply=b"220 ::error::owned\r\n"),
        rcpt_1=Step(reply=b"550-::error::first\r\n550 ##[error]last\r\n"),
    )
    with Scripted(steps) as server:
        ended = program("check", inputs=inputs(server.port, **PLAIN))
    assert ended.annotations == [
        ("error", IN_VAIN.removesuffix(".").replace("PORT", str(server.port)))
    ]
    assert "] last" not in ended.stdout


def test_wrong_options_are_all_told_before_anything_is_tried(program: Program) -> None:
    ended = program("check", inputs={"host": "smtp example com", "port": "0", "from": "a@b.test"})
    assert ended.code == 2
    assert [line for line in ended.failure.splitlines() if not line.startswith("    ")] == [
        "Invalid options.",
        "  host: 'smtp example com' contains white space or unprintable characters",
        "  port: '0' is not a port number from 1 to 65535",
        "  user: is missing",
        "  password: is missing",
        "  to: is missing",
    ]


def test_a_provider_is_named(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "no")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    given = inputs(587, user="jane", password=PASSWORD) | {"host": "smtp.gmail.com"}
    ended = program("check", inputs=given)
    sentence = (
        "A mail through smtp.gmail.com:587 (Google) would not be delivered. Nothing was sent."
    )
    assert ended.failure.startswith(f"{sentence}\n")
    assert f"\n{sentence}\n" in ended.summary


CONFIG = """
registrations:
  - name: security
    host: 127.0.0.1
    port: {port}
    user: jane
    password: {{env: SECURITY_PASSWORD}}
    tls-ca-file: {ca_file}
    from: reports@example.com
    to: security@example.com
  - name: release
    host: 127.0.0.1
    port: {other}
    auth: none
    tls: none
    from: reports@example.com
    to: release@example.com
attachments:
  - registration: security
  - registration: security
    cc: audit@example.com
  - registration: release
"""


def configured(
    program: Program,
    folder: Path,
    tls: Certificates,
    port: int,
    other: int,
    environ: Mapping[str, str],
) -> Ended:
    (folder / "mails.yml").write_text(CONFIG.format(port=port, other=other, ca_file=tls.ca_file))
    return program("check", inputs={"config": "mails.yml"}, environ=environ)


def test_each_registration_of_the_configuration_file_is_checked_once(
    program: Program, tmp_path: Path, mailboxes: Mailboxes, tls: Certificates
) -> None:
    with Scripted(rehearsed()) as server:
        ended = configured(
            program, tmp_path, tls, mailboxes.port, server.port, {"SECURITY_PASSWORD": PASSWORD}
        )
    assert ended.code == 0
    assert [each for _, name, each in lines(ended) if name == "RCPT"] == [
        "security@example.com",
        "audit@example.com",
        "release@example.com",
    ]
    # A registration's name stands alone above its steps.
    named = [line for line in ended.stdout.splitlines() if line in ("security", "release")]
    assert named == ["security", "release"]
    assert "### Check of security\n" in ended.summary
    assert "### Check of release\n" in ended.summary
    assert PASSWORD not in ended.log


def test_each_of_several_checks_says_its_result_and_the_error_how_many_failed(
    program: Program, tmp_path: Path, mailboxes: Mailboxes, tls: Certificates
) -> None:
    steps = changed(rehearsed(), rcpt_1=Step(reply=b"550 no\r\n"))
    with Scripted(steps) as server:
        ended = configured(
            program, tmp_path, tls, mailboxes.port, server.port, {"SECURITY_PASSWORD": PASSWORD}
        )
    assert ended.code == 5
    assert [line for line in ended.stdout.splitlines() if line.startswith("A mail ")] == [
        f"A mail through 127.0.0.1:{mailboxes.port} would go to 2 recipients. Nothing was sent.",
        IN_VAIN.replace("PORT", str(server.port)),
    ]
    assert ended.annotations == [("error", "1 of 2 checks failed")]
    assert ended.failure.startswith("1 of 2 checks failed.\n  release@example.com: the server ")


def test_recipients_of_all_attachments_of_a_registration_are_asked_for_together(
    program: Program, tmp_path: Path
) -> None:
    with Scripted(rehearsed(3)) as server:
        (tmp_path / "mails.yml").write_text(
            "registrations:\n"
            f"- {{name: a, host: 127.0.0.1, port: {server.port}, auth: none, tls: none, "
            "from: reports@example.com}\n"
            "attachments:\n"
            "- {registration: a, to: security@example.com}\n"
            "- {registration: a, to: audit@example.com, bcc: legal@example.com}\n"
        )
        ended = program("check", "-o", "json", inputs={"config": "mails.yml"})
    assert server.failure == ""
    (checked,) = json.loads(ended.stdout)["checks"]
    assert [each["address"] for each in checked["steps"] if each["name"] == "RCPT"] == [
        "security@example.com",
        "audit@example.com",
        "legal@example.com",
    ]


def test_a_variable_that_is_not_set_fails_its_registration_and_no_other(
    program: Program, tmp_path: Path, mailboxes: Mailboxes, tls: Certificates
) -> None:
    with Scripted(rehearsed()) as server:
        ended = configured(program, tmp_path, tls, mailboxes.port, server.port, {})
    assert ended.code == 2
    assert "the variable SECURITY_PASSWORD for password is not set" in ended.stderr
    assert "options failed, server skipped, DNS ok" in states(ended)
    assert "QUIT ok" in states(ended)


def test_a_registration_that_nothing_is_attached_to_is_checked_too(
    program: Program, tmp_path: Path
) -> None:
    steps = rehearsed()
    nobody = {name: step for name, step in steps.items() if name != "rcpt 1"}
    with Scripted(steps) as named, Scripted(nobody) as unnamed:
        relay = "host: 127.0.0.1, auth: none, tls: none, from: reports@example.com"
        (tmp_path / "mails.yml").write_text(
            "registrations:\n"
            f"- {{name: named, {relay}, port: {named.port}, to: security@example.com}}\n"
            f"- {{name: unnamed, {relay}, port: {unnamed.port}}}\n"
        )
        ended = program("check", "-o", "json", inputs={"config": "mails.yml"})
    assert (named.failure, unnamed.failure) == ("", "")
    assert ended.code == 0
    assert "named (nothing is attached to it, so nothing is sent)" in ended.stderr
    assert f":{unnamed.port} would take a mail; no recipients are set. Nothing" in ended.stderr
    checks = json.loads(ended.stdout)["checks"]
    assert [(each["name"], each["attached"], each["ok"]) for each in checks] == [
        ("named", False, True),
        ("unnamed", False, True),
    ]
    assert ended.annotations == [("warning", "nothing is attached")]
    told = "There are no attachments in mails.yml, so nothing is sent."
    assert ended.annotation("nothing is attached") == told


def test_who_is_in_bcc_is_told_in_json_alone(program: Program, tls: Certificates) -> None:
    refused = {
        "hidden@example.com": "550 5.1.1 <Hidden@example.com>: no hidden here",
        "Later@example.com": "451 4.7.1 later@example.com: try again",
    }
    server = Mailboxes(tls=tls.server, refused=refused)
    with server.running():
        given = inputs(
            server.port,
            auth="none",
            tls_ca_file=str(tls.ca_file),
            bcc="hidden@example.com, Later@example.com, security@EXAMPLE.com",
        )
        ended, as_json = (
            program("check", *more, inputs=given, post=never) for more in ((), ("-o", "json"))
        )
    assert ended.code == 5
    for text in (ended.log, ended.summary, as_json.stderr):
        assert "hidden" not in text.lower()
        assert "later@" not in text.lower()
    assert [(state, each) for state, name, each in lines(ended) if name == "RCPT"] == [
        ("ok", "security@example.com"),
        ("failed", "bcc recipient 1: 550 5.1.1"),
        ("not now", "bcc recipient 2: 451 4.7.1"),
    ]
    assert "  bcc recipient 1: the server refuses this recipient: 550 5.1.1\n" in ended.stderr
    assert "| ✗ failed | RCPT | bcc recipient 1: 550 5.1.1 |" in ended.summary
    refusal = "\n- bcc recipient 1: the server refuses this recipient: 550 5.1.1\n"
    assert refusal in ended.summary
    document = json.loads(as_json.stdout)
    assert document["skipped"] is None
    steps = document["checks"][0]["steps"]
    assert [each["address"] for each in steps if each["name"] == "RCPT"] == [
        "security@example.com",
        "hidden@example.com",
        "Later@example.com",
    ]


def test_a_registration_without_attachment_beside_one_that_has_some_is_checked_too(
    program: Program, tmp_path: Path
) -> None:
    with Scripted(rehearsed()) as named, Scripted(rehearsed()) as other:
        relay = "host: 127.0.0.1, auth: none, tls: none, from: reports@example.com"
        (tmp_path / "mails.yml").write_text(
            "registrations:\n"
            f"- {{name: named, {relay}, port: {named.port}, to: security@example.com}}\n"
            f"- {{name: other, {relay}, port: {other.port}, to: security@example.com}}\n"
            "attachments: [{registration: named}]\n"
        )
        ended = program("check", inputs={"config": "mails.yml"})
    assert (ended.code, ended.annotations) == (0, [("warning", "nothing is attached")])
    told = "Nothing is attached in mails.yml to other, so nothing is sent there."
    assert ended.annotation("nothing is attached") == told
    assert "other (nothing is attached to it, so nothing is sent)" in ended.stdout.splitlines()


def test_a_file_without_registrations_says_that_there_is_nothing_to_check(
    program: Program, tmp_path: Path
) -> None:
    (tmp_path / "mails.yml").write_text("registrations:\n")
    ended = program("check", inputs={"config": "mails.yml"})
    assert ended.code == 0
    assert ended.annotations == [("warning", "nothing to check")]
    assert "There are no registrations in mails.yml." in ended.stdout


# --- forks -------------------------------------------------------------------------------------


def test_a_forks_pull_request_without_secrets_is_skipped(
    program: Program, fork: dict[str, str]
) -> None:
    ended = program("check", "-o", "json", inputs=inputs(1, user="", password=""), environ=fork)
    assert ended.code == 0
    assert ended.annotations == [("notice", "skipped")]
    reason = "no secrets in a pull request from a fork"
    assert json.loads(ended.stdout) == {"skipped": reason, "checks": []}


@pytest.mark.parametrize("where", ["variable", "step"])
def test_a_forks_pull_request_skips_a_file_that_needs_secrets(
    program: Program, tmp_path: Path, fork: dict[str, str], where: str
) -> None:
    password = "password: {env: WORD}, " if where == "variable" else ""
    (tmp_path / "mails.yml").write_text(
        "registrations:\n"
        f"- {{name: a, host: 127.0.0.1, port: 1, user: u, {password}from: a@b.de, to: c@d.de}}\n"
    )
    given = {"config": "mails.yml", "password": ""}
    ended = program("check", inputs=given, environ=fork | {"WORD": ""})
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.annotations == [("notice", "skipped")]
    told = "A fork's pull request and Dependabot get no secrets; nothing is checked."
    assert ended.annotation("skipped") == told
    assert "checks" not in ended.stdout
    # The same is an error where there could be secrets.
    assert program("check", inputs=given).code == 2


def test_a_forks_pull_request_checks_what_needs_none(
    program: Program, tmp_path: Path, tls: Certificates, fork: dict[str, str]
) -> None:
    with Scripted(rehearsed()) as server:
        ended = configured(program, tmp_path, tls, 1, server.port, fork)
    assert ended.code == 0
    assert "nothing is sent through security." in ended.stdout
    assert [each for _, name, each in lines(ended) if name == "RCPT"] == ["release@example.com"]


def test_who_is_looked_up_for_a_run_is_not_known_to_a_check(program: Program) -> None:
    steps = rehearsed()
    del steps["rcpt 1"]
    with Scripted(steps) as server:
        given = inputs(server.port, **PLAIN) | {"to": "author"}
        ended = program("check", inputs=given)
    assert ended.code == 0
    assert (
        "would take a mail; its recipients depend on the run. Nothing was sent.\n" in ended.stdout
    )


def test_the_greeting_of_many_lines_is_one(program: Program) -> None:
    steps = changed(
        rehearsed(), greeting=Step(reply=b"220-one\r\n220 two\r\n"), ehlo=Step(reply=ehlo())
    )
    with Scripted(steps) as server:
        ended = program("check", inputs=inputs(server.port, **PLAIN))
    assert said(ended, "greeting") == "two"


@pytest.fixture
def web(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    with tokenserver.web(tmp_path_factory.mktemp("web")) as served:
        for name, value in served.environ.items():
            monkeypatch.setenv(name, value)
        yield served


OAUTH2 = {
    "oauth2-provider": "microsoft",
    "oauth2-tenant": "example.onmicrosoft.com",
    "oauth2-client-id": "f0e1",
    "oauth2-client-secret": "cl1ent-s3cret",
}
TOKEN = "t0ken-0f-access" * 20


def test_a_token_is_fetched_first(program: Program, tls: Certificates, web: Web) -> None:
    web.answers = {MICROSOFT: granted(TOKEN)}
    accounts = {"reports@example.com": TOKEN}
    server = Mailboxes(tls=tls.server, mechanisms=("XOAUTH2",), accounts=accounts)
    with server.running():
        given = inputs(server.port, tls_ca_file=str(tls.ca_file)) | OAUTH2
        ended = program("check", inputs=given)
    assert ended.code == 0
    assert lines(ended)[0] == ("ok", "token", "an access token for reports@example.com")
    assert said(ended, "AUTH") == "XOAUTH2 as reports@example.com"
    assert server.mails == []
    assert TOKEN not in ended.log


def test_the_tokens_seconds_are_its_own(program: Program, web: Web, unreachable: int) -> None:
    web.answers = {MICROSOFT: granted(TOKEN)}
    ended = program("check", "-o", "json", inputs=inputs(unreachable) | OAUTH2)
    (checked,) = json.loads(ended.stdout)["checks"]
    assert checked["steps"][0]["name"] == "token"
    assert 0 < checked["steps"][0]["seconds"] < 60


def test_without_a_token_nothing_else_is_tried(
    program: Program, unreachable: int, web: Web
) -> None:
    web.answers = {MICROSOFT: refused("invalid_client", "AADSTS7000222: keys are expired")}
    ended = program("check", inputs=inputs(unreachable) | OAUTH2)
    assert ended.code == 5
    assert states(ended) == "token failed, server skipped"
    assert "AADSTS7000222" in ended.stderr
    assert "cl1ent-s3cret" not in ended.log


def test_a_proxy_looks_the_name_up(program: Program) -> None:
    with Scripted(rehearsed()) as server:
        tunnel = Tunnel(hosts={"127.0.0.1": ("127.0.0.1", server.port)})
        with tunnel.http():
            given = inputs(server.port, **PLAIN, proxy=f"http://127.0.0.1:{tunnel.port}")
            ended = program("check", inputs=given)
    assert ended.code == 0
    assert ("skipped", "DNS", "the proxy resolves the host") in lines(ended)
    through = f"127.0.0.1, port {server.port} through the proxy 127.0.0.1:{tunnel.port}"
    assert said(ended, "TCP") == through
