"""Servers as processes of one test run: started, waited for, and ended whatever happens."""

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}

# A whole start, and a whole stop, takes about a second.
_PATIENCE = 20.0

# Runs a server, and ends it and its children once our end of the pipe is closed: by us, or by the
# kernel when the test run was killed and could not clean up. Dovecot's processes are of one group;
# Postfix's master makes a group of its own, and ends that with itself.
_GUARDED = """
exec 3<&0
"$@" 3<&- & server=$!
{ cat <&3; kill $server; } &
wait $server
kill 0
"""


@contextmanager
def process(folder: Path, ready: Callable[[], bool], *command: str) -> Iterator[None]:
    """Runs a server until the block ends; what it prints is appended to ``start.log``.

    Raises:
        RuntimeError: It is not ready within `_PATIENCE`; carries its logs.
    """
    with (
        (folder / "start.log").open("ab") as output,
        subprocess.Popen(
            ("sh", "-c", _GUARDED, "sh", *command),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=ENVIRONMENT,
        ) as started,
    ):
        try:
            if not within(_PATIENCE, lambda: started.poll() is not None or ready()):
                raise RuntimeError(f"{command} is not ready after {_PATIENCE} s\n{log(folder)}")
            if started.poll() is not None:
                raise RuntimeError(f"{command} ended at once\n{log(folder)}")
            yield
        finally:
            end_all(folder)


def end_all(folder: Path) -> None:
    """Ends every process that works in `folder`: first asked, then made to."""
    for number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, _PATIENCE)):
        for pid in processes_of(folder):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        if within(patience, lambda: not processes_of(folder)):
            return
    raise RuntimeError(f"processes {processes_of(folder)} of {folder} cannot be ended")


def processes_of(folder: Path) -> list[int]:
    """Ids of the processes that stand in the folder, or were started with its name."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                line = (entry / "cmdline").read_bytes()
                if not line:
                    continue  # a zombie, which is ours to wait for, or a thread of the kernel
                if (entry / "cwd").readlink().is_relative_to(folder) or bytes(folder) in line:
                    found.append(int(entry.name))
    return found


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on now.

    Drawn from below 32768, where Linux begins to number clients: until the server has started, a
    port must not go to another test's client.
    """
    drawn: list[int] = []
    with ExitStack() as stack:
        while len(drawn) < count:
            port = random.SystemRandom().randrange(20_000, 32_768)
            with suppress(OSError):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
                drawn.append(port)
    return drawn


def within(timeout: float, holds: Callable[[], bool]) -> bool:
    """Whether it holds before so many seconds are over."""
    end = time.monotonic() + timeout
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def files(folder: Path) -> list[Path]:
    """The files anywhere below a folder, oldest first."""
    found = []
    for path in folder.rglob("*") if folder.is_dir() else ():
        # A server may take a file out of its queue at any time.
        with suppress(FileNotFoundError):
            if path.is_file():
                found.append((path.stat().st_mtime_ns, path))
    return [path for _, path in sorted(found)]


def log(folder: Path) -> str:
    """What the servers of the folder wrote down."""
    return "".join(
        f"--- {path.name}\n{path.read_text(encoding='utf-8', errors='replace')}"
        for path in sorted(folder.glob("*.log"))
        if path.is_file()
    )
