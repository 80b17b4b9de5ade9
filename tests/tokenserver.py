"""The web as far as tokens need it, on loopback: an HTTP proxy behind which every host is ours.

The client asks the real names (``login.microsoftonline.com``, ``sts.googleapis.com``), over real
TLS, through the proxy that its environment names; each is answered by the same server, with a
certificate for all of them from an authority of the test's own. So nothing in the program knows
that it is being tested.
"""

import contextlib
import json
import ssl
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import trustme

import website
from serving import serving

MICROSOFT = "https://login.microsoftonline.com/example.onmicrosoft.com/oauth2/v2.0/token"
GOOGLE = "https://oauth2.googleapis.com/token"
STS = "https://sts.googleapis.com/v1/token"
ACCOUNT = "mailer@project.iam.gserviceaccount.com"
SIGN = f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{ACCOUNT}:signJwt"
OTHER = "https://id.example.test/token"
RUNNER = "https://pipelines.actions.githubusercontent.com/abc/idtoken?api-version=2.0"
HOSTS = (
    *dict.fromkeys(
        str(urlsplit(url).hostname) for url in (MICROSOFT, GOOGLE, STS, SIGN, OTHER, RUNNER)
    ),
    "login.microsoftonline.us",
    "login.partner.microsoftonline.cn",
)

SUBJECT = "repo:octo/app:ref:refs/heads/main"
JOB = {
    "ACTIONS_ID_TOKEN_REQUEST_URL": RUNNER,
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "runner-bearer-token",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request.

    Attributes:
        url: Without its query.
        form: Of the query, or of a form in the body; the last value of each name.
        document: Of a JSON body.
    """

    method: str
    url: str
    form: Mapping[str, str]
    document: Any
    authorization: str


Answer = tuple[int, object] | Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Web:
    """What each URL answers: status and JSON, or something by hand; and what was asked of it."""

    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    proxy: str = ""
    ca_file: str = ""

    @property
    def environ(self) -> dict[str, str]:
        """Leads the client here, and nowhere else."""
        return {
            "HTTPS_PROXY": self.proxy,
            "https_proxy": self.proxy,
            "NO_PROXY": "",
            "no_proxy": "",
            "REQUESTS_CA_BUNDLE": self.ca_file,
        }

    def urls(self) -> list[str]:
        return [each.url for each in self.asked]


def granted(token: str) -> Answer:
    """RFC 6749 section 5.1."""
    return 200, {"access_token": token, "token_type": "Bearer", "expires_in": 3599}


def refused(error: str, description: str = "", status: int = 400) -> Answer:
    """RFC 6749 section 5.2."""
    return status, {"error": error, "error_description": description}


def jwt(claims: Mapping[str, object]) -> str:
    """Looks like one; its signature is nobody's."""
    parts = ({"alg": "RS256"}, claims)
    encoded = (urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    return ".".join((*encoded, "c2lnbmF0dXJl"))


@contextlib.contextmanager
def web(folder: Path, show: Callable[[trustme.CA], ssl.SSLContext] | None = None) -> Iterator[Web]:
    """Listens on a port of its own.

    Args:
        show: Makes the certificate; None: one for all of `HOSTS`.
    """
    authority = trustme.CA()
    ca_file = folder / "web.pem"
    authority.cert_pem.write_to_path(ca_file)
    if show:
        context = show(authority)
    else:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(*HOSTS).configure_cert(context)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_CONNECT(self) -> None:
            self.send_response(200, "Connection established")
            self.end_headers()
            with contextlib.suppress(OSError):
                self.connection = context.wrap_socket(self.connection, server_side=True)
                self.rfile.close()
                self.wfile.close()
                self.rfile = self.connection.makefile("rb")
                self.wfile = self.connection.makefile("wb", buffering=0)
                self.close_connection = False
                return
            self.close_connection = True

        def finish(self) -> None:
            # Its base closes the socket that it has accepted, and not the one made of it.
            with contextlib.suppress(OSError):
                super().finish()
            self.connection.close()

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, body: bytes) -> None:
            url = urlsplit(f"https://{self.headers['Host']}{self.path}")
            is_json = self.headers.get("Content-Type") == "application/json"
            fields = url.query if not body else "" if is_json else body.decode()
            asked = Asked(
                method=self.command,
                url=url._replace(query="").geturl(),
                form={
                    name: values[-1]
                    for name, values in parse_qs(fields, keep_blank_values=True).items()
                },
                document=json.loads(body) if is_json else None,
                authorization=self.headers.get("Authorization", ""),
            )
            served.asked.append(asked)
            answer = served.answers[asked.url]
            self.close_connection = True
            # The client may have left, which some of the tests are about.
            with contextlib.suppress(OSError):
                if callable(answer):
                    answer(self)
                    return
                status, document = answer
                website.answer(json.dumps(document).encode(), status)(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served = Web(proxy=f"http://127.0.0.1:{server.server_port}", ca_file=str(ca_file))
    with serving(server):
        yield served
