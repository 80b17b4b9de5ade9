"""An SMTP server that says what a test wants said, over and over, to whoever comes."""

import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

HOST = "127.0.0.1"

Reply = bytes | Callable[[bytes], bytes]
"""What to answer: octets, or made from the command's line. With its CRLF."""

_REPLIES: Mapping[bytes, Reply] = {
    b"EHLO": b"250-scripted.example.test\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME\r\n",
    b"AUTH": b"235 2.7.0 ok\r\n",
    b"MAIL": b"250 2.1.0 ok\r\n",
    b"RCPT": b"250 2.1.5 ok\r\n",
    b"DATA": b"354 go on\r\n",
    b"QUIT": b"221 2.0.0 bye\r\n",
}


@contextmanager
def running(replies: Mapping[bytes, Reply]) -> Iterator[int]:
    """Serves in clear on a loopback port, which it gives, with these replies in place of ours.

    Args:
        replies: By verb; ``b"."`` is the end of the mail.
    """
    script = {**_REPLIES, b".": b"250 2.0.0 ok\r\n", **replies}

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 scripted.example.test ESMTP\r\n")
            is_mail = False
            for line in self.rfile:
                if is_mail and line != b".\r\n":
                    continue
                verb = line.strip().split(b" ")[0].upper()
                reply = script.get(verb, b"502 5.5.1 what?\r\n")
                answer = reply(line) if callable(reply) else reply
                self.wfile.write(answer)
                is_mail = verb == b"DATA" and answer.startswith(b"354")
                if verb == b"QUIT":
                    return

    with socketserver.ThreadingTCPServer((HOST, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
