"""Evidence behind a URL: a real HTTPS server on loopback, with a certificate of the test's own."""

import gzip
import os
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from chainloop_smtp.errors import AttestationError, Problem
from chainloop_smtp.source import url as source_url
from proxies import Tunnel
from website import Answer, Site, answer, serve

MIB = 1 << 20
AWAY = "Is the URL right, and can this machine reach its host?"
ELSEWHERE = "Download it in a step before, or give its URL at that host, if you trust it."
NOT_HTTPS = "Evidence is not read over plain http."


@pytest.fixture
def plain_site() -> Iterator[Site]:
    with serve(None) as served:
        yield served


@pytest.fixture(autouse=True)
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A login for every host, where requests looks for one."""
    path = tmp_path / "netrc"
    path.write_text("default login jane password netrc-s3cret\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))


def fetch(
    url: str, *, timeout: float = 5, deadline: float = 20, limit: int = MIB, token: str = ""
) -> bytes:
    return source_url.fetch("attestation", url, timeout, deadline, limit, token)


def failure(
    url: str, *, timeout: float = 5, deadline: float = 20, limit: int = MIB
) -> tuple[str, str, str]:
    with pytest.raises(AttestationError) as caught:
        fetch(url, timeout=timeout, deadline=deadline, limit=limit)
    (problem,) = caught.value.problems
    assert problem == Problem(problem.where, problem.why, problem.hint)
    return problem.where, problem.why, problem.hint


def where(site: Site, path: str) -> str:
    """As an error names it."""
    return f"attestation '{site.base}{path}'"


def test_the_body_comes_as_it_was_sent(site: Site) -> None:
    site.answers["/a.json"] = answer(b'{"a": 1}\r\n\xff')
    assert fetch(f"{site.base}/a.json?token=x") == b'{"a": 1}\r\n\xff'
    assert site.asked == ["/a.json?token=x"]


def test_a_body_of_several_chunks_comes_whole(site: Site) -> None:
    body = os.urandom(300_000)
    site.answers["/a"] = answer(body)
    assert fetch(f"{site.base}/a") == body


# --- credentials -------------------------------------------------------------------------------


def test_no_login_is_taken_from_a_netrc_file_nor_a_cookie_kept(site: Site) -> None:
    site.answers["/old"] = answer(b"", 302, Location="/new", Set_Cookie="a=b; Path=/")
    site.answers["/new"] = answer(b"{}")
    fetch(f"{site.base}/old")
    assert site.asked == ["/old", "/new"]
    for headers in site.headers:
        assert headers.keys() == {
            "host",
            "user-agent",
            "accept-encoding",
            "accept",
            "connection",
        }
        assert headers["accept"] == "*/*"


@pytest.mark.parametrize(
    ("login", "pair"),
    [
        ("jane:hunter2", "jane:hunter2"),
        ("jane%40x:hunt%3Aer2", "jane@x:hunt:er2"),
        ("t0ken", "t0ken:"),
        (":t0ken", ":t0ken"),
        ("j%C3%BCrgen:x", "jürgen:x"),
    ],
)
def test_a_login_in_the_url_is_for_that_url_alone(site: Site, login: str, pair: str) -> None:
    site.answers["/old"] = answer(b"", 302, Location="/new")
    site.answers["/new"] = answer(b"{}")
    assert fetch(f"https://{login}@{site.base.removeprefix('https://')}/old") == b"{}"
    basic = f"Basic {b64encode(pair.encode()).decode()}"
    assert site.credentials == [basic, None]


def test_a_token_is_for_that_url_alone(site: Site) -> None:
    site.answers["/old"] = answer(b"", 302, Location="/new")
    site.answers["/new"] = answer(b"{}")
    assert fetch(f"{site.base}/old", token="t0ken") == b"{}"
    assert site.credentials == ["Bearer t0ken", None]


def test_a_login_that_the_redirect_names_is_not_used(site: Site) -> None:
    host = site.base.removeprefix("https://")
    site.answers["/old"] = answer(b"", 302, Location=f"https://eve:x@{host}/new")
    site.answers["/new"] = answer(b"{}")
    assert fetch(f"{site.base}/old") == b"{}"
    assert site.credentials == [None, None]


def test_the_login_of_a_proxy_goes_to_the_proxy_alone(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.answers["/a"] = answer(b"{}")
    host, _, port = site.base.removeprefix("https://").partition(":")
    tunnel = Tunnel(hosts={host: (host, int(port))}, login=("jane", "pr0xy"))
    with tunnel.http() as proxy:
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, f"http://jane:pr0xy@127.0.0.1:{proxy.port}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "")
        assert fetch(f"{site.base}/a") == b"{}"
    assert tunnel.asked == [f"{host}:{port}"]
    assert "proxy-authorization" not in site.headers[0]
    assert site.credentials == [None]


# --- redirects ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_within_the_host_is_followed(site: Site, status: int) -> None:
    site.answers["/a/old"] = answer(b"", status, Location="../new?x=1")
    site.answers["/new"] = answer(b"{}")
    assert fetch(f"{site.base}/a/old") == b"{}"
    assert site.asked == ["/a/old", "/new?x=1"]


def test_a_redirect_may_write_the_host_in_another_way(site: Site) -> None:
    port = site.base.rpartition(":")[2]
    site.answers["/old"] = answer(b"", 302, Location=f"HTTPS://127.0.0.1:{port}/new")
    site.answers["/new"] = answer(b"{}")
    assert fetch(f"{site.base}/old") == b"{}"


@pytest.mark.parametrize(
    ("location", "other"),
    [
        ("https://other.example.com/a?sig=s3cr3t", "other.example.com:443"),
        ("//other.example.com/a", "other.example.com:443"),
        ("https://eve:s3cr3t@other.example.com:8443/a", "other.example.com:8443"),
        ("https://localhost:{port}/a", "localhost:{port}"),
        ("https://127.0.0.1/a", "127.0.0.1:443"),
        ("https://127.0.0.1.:{port}/a", "127.0.0.1.:{port}"),
        ("https://127.0.0.1:{port}@other.example.com/a", "other.example.com:443"),
        ("https://other.example.com\\@127.0.0.1:{port}/a", "other.example.com:443"),
        ("https://127.0.0.1:{port}.other.example.com/a", ""),
        ("https://b\u00fccher.example/a", "xn--bcher-kva.example:443"),
        ("https://[::1", ""),
    ],
)
def test_a_redirect_to_another_host_is_refused_by_name(
    site: Site, location: str, other: str
) -> None:
    port = site.base.rpartition(":")[2]
    sent = location.replace("{port}", port).encode().decode("latin-1")
    site.answers["/old"] = answer(b"", 302, Location=sent)
    found = failure(f"{site.base}/old")
    if other:
        shown = other.replace("{port}", port)
        expected = (where(site, "/old"), f"redirects to another host, '{shown}'", ELSEWHERE)
    else:
        expected = (where(site, "/old"), "cannot be fetched: it is not a URL", "")
    assert found == expected
    assert site.asked == ["/old"]


def test_a_redirect_after_a_redirect_is_held_to_the_same_host(site: Site) -> None:
    site.answers["/a"] = answer(b"", 302, Location="/b")
    site.answers["/b"] = answer(b"", 302, Location="https://other.example.com/c")
    assert failure(f"{site.base}/a") == (
        where(site, "/b"),
        "redirects to another host, 'other.example.com:443'",
        ELSEWHERE,
    )


def test_a_redirect_to_plain_http_is_not_followed(site: Site, plain_site: Site) -> None:
    plain_site.answers["/a"] = answer(b"{}")
    site.answers["/old"] = answer(b"", 307, Location=f"{plain_site.base}/a")
    shown = f"attestation '{plain_site.base}/a'"
    assert failure(f"{site.base}/old") == (shown, "is not https", NOT_HTTPS)
    assert plain_site.asked == []


def test_five_redirects_are_followed_and_not_a_sixth(site: Site) -> None:
    for number in range(6):
        site.answers[f"/{number}"] = answer(b"", 302, Location=f"/{number + 1}")
    site.answers["/6"] = answer(b"{}")
    assert fetch(f"{site.base}/1") == b"{}"
    site.asked.clear()
    assert failure(f"{site.base}/0") == (where(site, "/6"), "more than 5 redirects", "")
    assert site.asked == [f"/{number}" for number in range(6)]


# --- refusals ----------------------------------------------------------------------------------


def test_plain_http_is_not_even_asked(plain_site: Site) -> None:
    shown = f"attestation '{plain_site.base}/a'"
    assert failure(f"{plain_site.base}/a?token=x") == (shown, "is not https", NOT_HTTPS)
    assert plain_site.asked == []


@pytest.mark.parametrize("status", [201, 204, 206, 300, 304, 401, 404, 500])
def test_an_answer_without_the_evidence_is_an_error_that_names_the_status(
    site: Site, status: int
) -> None:
    site.answers["/a"] = answer(b"", status)
    assert failure(f"{site.base}/a") == (where(site, "/a"), f"the server answers {status}", "")


def test_a_redirect_that_leads_nowhere_is_only_a_status(site: Site) -> None:
    site.answers["/a"] = answer(b"", 302)
    assert failure(f"{site.base}/a") == (where(site, "/a"), "the server answers 302", "")


def test_an_error_shows_neither_the_query_nor_a_password(site: Site) -> None:
    site.answers["/a"] = answer(b"", 403)
    host = site.base.removeprefix("https://")
    found = failure(f"https://jane:hunter2@{host}/a?signature=s3cr3t#f")
    assert found == (where(site, "/a"), "the server answers 403", "")


def test_a_body_may_be_as_large_as_the_limit_and_no_larger(site: Site) -> None:
    site.answers["/a"] = answer(b"x" * MIB)
    site.answers["/b"] = answer(b"x" * MIB + b"x")
    assert len(fetch(f"{site.base}/a")) == MIB
    assert failure(f"{site.base}/b") == (where(site, "/b"), "is larger than 1 MiB", "")
    assert failure(f"{site.base}/b", limit=MIB - 1)[1] == "is larger than 0 MiB"


def test_a_compressed_body_counts_by_what_it_becomes(site: Site) -> None:
    body = gzip.compress(b"x" * (64 * MIB))
    site.answers["/a"] = answer(body, Content_Encoding="gzip")
    assert failure(f"{site.base}/a")[1] == "is larger than 1 MiB"


def test_an_endless_body_is_left_at_the_limit(site: Site) -> None:
    sent = threading.Event()

    def flood(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"x" * MIB)
        except OSError:
            # The client has gone.
            sent.set()

    site.answers["/a"] = flood
    assert failure(f"{site.base}/a", deadline=60)[1] == "is larger than 1 MiB"
    assert sent.wait(60)


def broken(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "10")
    handler.end_headers()
    handler.wfile.write(b"x")


@pytest.mark.parametrize(
    "body",
    [answer(b"not gzip at all", Content_Encoding="gzip"), broken],
    ids=["not gzip", "cut off"],
)
def test_a_body_that_is_damaged_is_an_error(site: Site, body: Answer) -> None:
    site.answers["/a"] = body
    why = "cannot be fetched: the reply is cut short or cannot be decoded"
    assert failure(f"{site.base}/a") == (where(site, "/a"), why, "")


def drip(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(400):
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.05)


def test_a_server_that_drips_is_left_at_the_deadline(site: Site) -> None:
    site.answers["/a"] = drip
    assert failure(f"{site.base}/a?token=x", deadline=2) == (
        where(site, "/a"),
        "the deadline of 2 seconds has passed",
        "The server is slow; if it is known to be, raise deadline.",
    )


def test_the_process_ends_though_the_server_still_drips(site: Site) -> None:
    is_over = threading.Event()

    def drip_until_left(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"x")
                is_over.wait(0.05)
        finally:
            is_over.set()

    site.answers["/a"] = drip_until_left
    values = {"host": "127.0.0.1", "port": "1", "from": "a@b.de", "to": "c@d.fr", "auth": "none"}
    flags = [word for key, value in values.items() for word in (f"--{key}", value)]
    command = (sys.executable, "-m", "chainloop_smtp", "send", *flags)
    done = subprocess.run(
        (*command, "--attestation", f"{site.base}/a", "--deadline", "1"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3
    assert "the deadline of 1 seconds has passed" in done.stderr
    assert is_over.wait(60)


def test_a_silent_server_is_left_at_the_timeout(site: Site) -> None:
    is_over = threading.Event()

    def keep_silent(_: BaseHTTPRequestHandler) -> None:
        is_over.wait(60)

    site.answers["/a"] = keep_silent
    found = failure(f"{site.base}/a", timeout=1)
    is_over.set()
    assert found == (where(site, "/a"), "cannot be fetched: no answer in time", AWAY)


def test_a_certificate_of_an_unknown_authority_is_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    why = "cannot be fetched: its certificate is not trusted"
    assert failure(f"{site.base}/a") == (where(site, "/a"), why, "")
    assert site.asked == []


def test_a_host_that_does_not_exist_is_an_error() -> None:
    shown = "attestation 'https://nowhere.invalid/a'"
    found = failure("https://nowhere.invalid/a?token=s3cr3t")
    assert found == (shown, "cannot be fetched: no connection", AWAY)


def test_a_proxy_that_refuses_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with Tunnel(hosts={}).http() as proxy:
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, f"http://jane:pr0xy@127.0.0.1:{proxy.port}")
        found = failure("https://example.test/a")
    shown = "attestation 'https://example.test/a'"
    assert found == (shown, "cannot be fetched: the proxy refused", "")


@pytest.mark.parametrize(
    ("url", "shown", "why", "hint"),
    [
        ("https://", "https://", "cannot be fetched: it is not a URL", ""),
        ("https://[::1", "https://", "cannot be fetched: it is not a URL", ""),
        ("https://jane:hunter2@[::1/x?y", "https://", "cannot be fetched: it is not a URL", ""),
        ("https://jane:a://b@[::1", "https://", "cannot be fetched: it is not a URL", ""),
        ("https://jane:hun/ter2@x/y", "https://", "cannot be fetched: it is not a URL", ""),
        ("https://[::1/?u=ssh://x", "https://", "cannot be fetched: it is not a URL", ""),
        ("https://a b/", "https://a b/", "cannot be fetched: it is not a URL", ""),
        ("https://x:99999/a", "https://", "cannot be fetched: it is not a URL", ""),
        ("ftp://x/y?z", "ftp://x/y", "is not https", NOT_HTTPS),
        ("file:///etc/passwd", "file:///etc/passwd", "is not https", NOT_HTTPS),
        ("://x/y", "://://x/y", "is not https", NOT_HTTPS),
    ],
)
def test_what_is_no_url_is_an_error(url: str, shown: str, why: str, hint: str) -> None:
    assert failure(url) == (f"attestation '{shown}'", why, hint)
