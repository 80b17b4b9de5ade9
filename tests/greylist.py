"""Greylisting: whoever has not been seen before is put off once (RFC 6647).

Speaks Postfix's policy delegation (SMTPD_POLICY_README), which Exim's readsocket can speak as well.
"""

import socketserver
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from serving import serving

REPLY = "450 4.2.0 Greylisted, come back later"


class Delays(socketserver.ThreadingTCPServer):
    """A policy server on loopback.

    Attributes:
        seen: How often each recipient was asked for.
        port: Where servers ask.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Policy)
        self.seen: Counter[str] = Counter()
        self.port: int = self.socket.getsockname()[1]

    def forget(self) -> None:
        """Whoever comes next comes for the first time."""
        self.seen.clear()

    def action(self, recipient: str) -> str:
        self.seen[recipient] += 1
        return REPLY if self.seen[recipient] == 1 else "DUNNO"


class _Policy(socketserver.StreamRequestHandler):
    server: Delays

    def handle(self) -> None:
        recipient = ""
        for line in self.rfile:
            name, _, value = line.decode().rstrip().partition("=")
            if name == "recipient":
                recipient = value
            elif not name:  # an empty line ends the request; the connection may carry more
                self.wfile.write(f"action={self.server.action(recipient)}\n\n".encode())


@contextmanager
def running() -> Iterator[Delays]:
    """A greylist that has seen nobody."""
    with serving(Delays()) as server:
        yield server
