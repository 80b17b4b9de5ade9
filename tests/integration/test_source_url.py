"""Evidence behind a URL: a real HTTPS server on loopback, with a certificate of the test's own."""

import gzip
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from chainloop_smtp.errors import AttestationError
from chainloop_smtp.source import url as source_url
from website import Site, answer, serve


@pytest.fixture
def plain_site() -> Iterator[Site]:
    yield from serve(None)


def fetch(url: str, *, timeout: float = 5, deadline: float = 20, limit: int = 1 << 20) -> bytes:
    return source_url.fetch("attestation", url, timeout, deadline, limit)


def failure(url: str, *, deadline: float = 20, limit: int = 1 << 20) -> str:
    with pytest.raises(AttestationError) as caught:
        fetch(url, deadline=deadline, limit=limit)
    return str(caught.value)


def test_the_body_comes_as_it_was_sent(site: Site) -> None:
    site.answers["/a.json"] = answer(b'{"a": 1}\r\n\xff')
    assert fetch(f"{site.base}/a.json?token=x") == b'{"a": 1}\r\n\xff'
    assert site.asked == ["/a.json?token=x"]


def test_a_redirect_within_https_is_followed(site: Site) -> None:
    site.answers["/old"] = answer(b"", 302, Location="/new")
    site.answers["/new"] = answer(b"{}")
    assert fetch(f"{site.base}/old") == b"{}"


def test_a_redirect_to_plain_http_is_not_followed(site: Site, plain_site: Site) -> None:
    plain_site.answers["/a"] = answer(b"{}")
    site.answers["/old"] = answer(b"", 307, Location=f"{plain_site.base}/a")
    assert "is not https" in failure(f"{site.base}/old")
    assert plain_site.asked == []


def test_redirects_come_to_an_end(site: Site) -> None:
    site.answers["/round"] = answer(b"", 302, Location="/round")
    assert "more than 5 redirects" in failure(f"{site.base}/round")
    assert len(site.asked) == 6


def test_plain_http_is_not_even_asked(plain_site: Site) -> None:
    assert "is not https" in failure(f"{plain_site.base}/a")
    assert plain_site.asked == []


@pytest.mark.parametrize("status", [204, 401, 404, 500])
def test_an_answer_without_the_evidence_is_an_error_that_names_the_status(
    site: Site, status: int
) -> None:
    site.answers["/a"] = answer(b"", status)
    assert f"the server answers {status}" in failure(f"{site.base}/a")


def test_an_error_shows_neither_the_query_nor_a_password(site: Site) -> None:
    site.answers["/a"] = answer(b"", 403)
    host = site.base.removeprefix("https://")
    text = failure(f"https://jane:hunter2@{host}/a?signature=s3cr3t#f")
    assert "/a" in text
    assert not any(secret in text for secret in ("hunter2", "jane", "s3cr3t"))


def test_a_body_over_the_limit_is_refused(site: Site) -> None:
    site.answers["/a"] = answer(b"x" * (1 << 20) + b"x")
    assert "is larger than 1 MiB" in failure(f"{site.base}/a")


def test_a_compressed_body_counts_by_what_it_becomes(site: Site) -> None:
    body = gzip.compress(b"x" * (64 << 20))
    site.answers["/a"] = answer(body, Content_Encoding="gzip")
    assert "is larger than 1 MiB" in failure(f"{site.base}/a")


def test_a_body_that_cannot_be_decoded_is_an_error(site: Site) -> None:
    site.answers["/a"] = answer(b"not gzip at all", Content_Encoding="gzip")
    assert "the answer breaks off or cannot be decoded" in failure(f"{site.base}/a")


def test_a_server_that_drips_is_left_at_the_deadline(site: Site) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(200):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.05)

    site.answers["/a"] = drip
    started = time.monotonic()
    assert "the deadline of 0.5 seconds is over" in failure(f"{site.base}/a", deadline=0.5)
    assert time.monotonic() - started < 5


def test_a_certificate_of_an_unknown_authority_is_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    assert "its certificate is not trusted" in failure(f"{site.base}/a")
    assert site.asked == []


def test_a_host_that_does_not_exist_is_an_error() -> None:
    assert "no connection" in failure("https://nowhere.invalid/a?token=s3cr3t")


@pytest.mark.parametrize("url", ["https://", "https://[::1", "https://a b/", "ftp://x/y"])
def test_what_is_no_url_is_an_error(url: str) -> None:
    assert "attestation '" in failure(url)
