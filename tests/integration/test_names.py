"""A host's name beyond ASCII, as resolvers, TLS servers, certificates and proxies get it."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from builders import cli_push, encoded, statement
from program import PASSWORD, Ended, Program
from proxies import Tunnel
from smtpserver import Certificates, Mailboxes, certificates
from submission import send_one

# IDNA 2003, as in Python's own codec, makes mail.fass.de of it: somebody else's host.
HOST, ASCII_HOST, MAPPED_HOST = "mail.faß.de", "mail.xn--fa-hia.de", "mail.fass.de"


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("certificates"), ASCII_HOST)


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("certificates"), MAPPED_HOST)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names that a resolver was asked for; every one of them is this machine."""
    names: list[str] = []
    resolve = socket.getaddrinfo

    def resolved(host: str, port: int, *more: Any, **further: Any) -> Any:
        names.append(host)
        return resolve("127.0.0.1", port, *more, **further)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    return names


@contextmanager
def running(context: ssl.SSLContext, *, implicit: bool) -> Iterator[tuple[Mailboxes, list[str]]]:
    """A submission server, and the names that its TLS is asked for."""
    names: list[str] = []
    context.sni_callback = lambda _, name, __: names.append(name)
    server = Mailboxes(
        tls=context, implicit=implicit, mechanisms=("PLAIN",), accounts={"jane": PASSWORD}
    )
    try:
        with server.running():
            yield server, names
    finally:
        context.sni_callback = None


def sent(program: Program, port: int, ca_file: Path, **more: str) -> Ended:
    inputs = {
        "host": HOST,
        "port": str(port),
        "user": "jane",
        "password": PASSWORD,
        "from": "reports@example.com",
        "to": "security@example.com",
        "tls-ca-file": str(ca_file),
        "deadline": "10",
        "attestation": encoded(cli_push(statement())).decode(),
    }
    return program("send", inputs=inputs | more, post=send_one)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_resolver_server_and_certificate_are_asked_for_one_name(
    program: Program, named: Certificates, asked: list[str], tls: str
) -> None:
    with running(named.server, implicit=tls == "implicit") as (server, names):
        ended = sent(program, server.port, named.ca_file, tls=tls)
    assert ended.code == 0, ended.stderr
    assert set(asked) == {ASCII_HOST}
    assert set(names) == {ASCII_HOST}
    assert server.logins == [("PLAIN", "jane")]


def test_the_certificate_of_what_an_older_idna_makes_of_it_is_another_hosts(
    program: Program, mapped: Certificates, asked: list[str]
) -> None:
    with running(mapped.server, implicit=True) as (server, _):
        ended = sent(program, server.port, mapped.ca_file, tls="implicit")
    assert ended.code == 5
    assert f"{ASCII_HOST}:{server.port}: " in ended.stderr
    assert MAPPED_HOST not in asked
    assert server.logins == []


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_and_what_it_is_asked_for_are_named_alike(
    program: Program, named: Certificates, asked: list[str], scheme: str
) -> None:
    with running(named.server, implicit=True) as (server, names):
        tunnel = Tunnel(hosts={ASCII_HOST: ("127.0.0.1", server.port)})
        with tunnel.http() if scheme == "http" else tunnel.socks5():
            proxy = f"{scheme}://proxy.faß.de:{tunnel.port}"
            ended = sent(program, server.port, named.ca_file, tls="implicit", proxy=proxy)
    assert ended.code == 0, ended.stderr
    assert tunnel.asked == [f"{ASCII_HOST}:{server.port}"]
    assert names == [ASCII_HOST]
    assert set(asked) <= {"proxy.xn--fa-hia.de", "127.0.0.1"}
    assert "proxy.xn--fa-hia.de" in asked
