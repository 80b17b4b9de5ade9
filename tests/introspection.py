"""Who an access token is for, as a mail server asks its identity provider (RFC 7662)."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs


class Introspection(ThreadingHTTPServer):
    """An endpoint on loopback that knows no token before it is told.

    Attributes:
        users: By the token that is theirs.
        asked: Every token that it was asked about, in the order of time.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.users: dict[str, str] = {}
        self.asked: list[str] = []

    def forget(self) -> None:
        """Every token, and what it was asked."""
        self.users.clear()
        self.asked.clear()


class _Handler(BaseHTTPRequestHandler):
    server: Introspection

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        (token,) = form["token"]
        self.server.asked.append(token)
        user = self.server.users.get(token)
        octets = json.dumps({"active": True, "username": user} if user else {"active": False})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets.encode())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def running() -> Iterator[Introspection]:
    """From here on it answers."""
    with Introspection() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
