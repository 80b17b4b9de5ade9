"""Runs a command where nothing but loopback is there, and a mail server listens on it.

Usage, in a new network namespace: ``python loopback.py FOLDER COMMAND…``. The server wants STARTTLS
and a login, as `chainloop-smtp demo` has them; its port takes the place of ``{port}`` in the
command, its authority is ``FOLDER/ca.pem``, and each mail becomes a file in ``FOLDER/inbox``.
"""

import fcntl
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

from chainloop_smtp.cli import demo

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1  # linux/sockios.h, linux/if.h


def main(folder: Path, command: list[str]) -> int:
    _start_loopback()
    try:
        socket.create_connection(("192.0.2.1", 443), timeout=5)
    except OSError as error:
        print(f"No network: {error.strerror}")
    else:
        sys.exit("There is a network besides loopback")
    inbox: list[Any] = []
    server = demo.serve(folder, inbox)
    server.start()
    try:
        filled = [each.replace("{port}", str(server.port)) for each in command]
        status = subprocess.run(filled, check=False).returncode
    finally:
        server.stop()
    (folder / "inbox").mkdir()
    for number, envelope in enumerate(inbox):
        content = envelope.content or b""
        (folder / "inbox" / f"{number}.eml").write_bytes(
            content if isinstance(content, bytes) else content.encode()
        )
    return status


def _start_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        name, flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", name, flags | _IFF_UP))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
