"""Who an access token is for, as a mail server asks its identity provider (RFC 7662)."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs

from website import answer, serve


@dataclass(slots=True)
class Introspection:
    """What an endpoint on loopback knows and was asked.

    Attributes:
        users: By the token that is theirs.
        asked: Every token that it was asked about, in the order of time.
        port: Where ``/introspect`` is.
    """

    users: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    port: int = 0

    def forget(self) -> None:
        """Every token, and what it was asked."""
        self.users.clear()
        self.asked.clear()

    def respond(self, handler: BaseHTTPRequestHandler) -> None:
        """Answers one request."""
        form = parse_qs(handler.rfile.read(int(handler.headers["Content-Length"])).decode())
        (token,) = form["token"]
        self.asked.append(token)
        user = self.users.get(token)
        document = {"active": True, "username": user} if user else {"active": False}
        answer(json.dumps(document).encode(), Content_Type="application/json")(handler)


@contextmanager
def running() -> Iterator[Introspection]:
    """From here on it answers."""
    endpoint = Introspection()
    with serve(None) as site:
        site.answers["/introspect"] = endpoint.respond
        endpoint.port = site.port
        yield endpoint
