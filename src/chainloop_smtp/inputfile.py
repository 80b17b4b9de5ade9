"""Path or stream -> bytes, for every file that the user or the runner names but attachments.

`source.files` opens those. Certificates and keys are read here once before OpenSSL opens them.

In place of a file, a pipe without a writer blocks for ever, and ``/dev/zero`` fills the memory. So
only regular files are read; where a pipe is allowed, it has a time limit.
"""

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from chainloop_smtp.background import BackgroundCall

# Opening a pipe must not block, and Windows' text mode would change the bytes.
FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_PEM = b"-----BEGIN "
_CHUNK = 1024 * 1024  # bytes
_MOST_ENTRIES = 2000  # looked at for a hint
_MOST_NAMES = 3
_DEEPEST = 3  # folders below each other
_CHECKOUT = "Paths are relative to the workspace: does a step before this one check it out?"


class UnreadableError(Exception):
    """Why a file cannot be read; each stage makes its own error of it.

    Attributes:
        why: For a Problem, such as ``cannot be read: permission denied``.
        missing: The path, where no file is there; else empty.
    """

    def __init__(self, why: str, hint: str = "", *, missing: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.missing = missing
        self._hint = hint

    @property
    def hint(self) -> str:
        """For a Problem; empty when there is nothing to add. Looks around for a missing file."""
        return suggest(self.missing) if self.missing else self._hint


def read(path: str | Path, limit: int, *, timeout: float = 0, must_be_own: bool = False) -> bytes:
    """Read a file.

    Args:
        limit: Bytes; a larger file is refused unread.
        timeout: Seconds to wait for a pipe; 0: only a regular file is read.
        must_be_own: Refuse a regular file that somebody else may have written.

    Raises:
        UnreadableError: It is missing, too large, not a regular file, or cannot be read.
    """
    try:
        mode = Path(path).stat().st_mode
        if timeout and stat.S_ISFIFO(mode):
            return _wait_for(lambda: _read_pipe(path, limit), timeout)
        # Before it is opened, since opening a device may already do something.
        _check_regular(mode)
        return _read_regular(path, limit, must_be_own=must_be_own)
    except FileNotFoundError as error:
        raise UnreadableError("there is no such file", missing=str(path)) from error
    except (OSError, ValueError) as error:
        raise wrap(error) from error


def read_pem(path: str | Path, limit: int) -> bytes:
    """Read a file that should hold PEM; takes what `read` takes.

    Raises:
        UnreadableError: As for `read`, or it is in UTF-16, as PowerShell writes files.
    """
    content = read(path, limit)
    if _PEM not in content and _PEM in content.replace(b"\0", b""):
        raise UnreadableError("is not UTF-8", "Save it as UTF-8.")
    return content


def read_stream(stream: BinaryIO, limit: int, timeout: float) -> bytes:
    """Read all that comes on a stream, such as standard input.

    Args:
        limit: Bytes.
        timeout: Seconds for all of it.

    Raises:
        UnreadableError: It is too large, does not end in time, or cannot be read.
    """
    # Not the buffered stream: at exit Python would wait for its lock, which the thread holds.
    raw = getattr(stream, "raw", stream)
    try:
        return _wait_for(lambda: _read_all(raw.read, limit), timeout)
    except (OSError, ValueError) as error:
        raise wrap(error) from error


def is_own(status: os.stat_result) -> bool:
    """Whether only this user and root may write there; true on Windows, which has no modes."""
    return os.name != "posix" or (
        status.st_uid in (0, os.geteuid()) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    )


def reason(error: OSError | ValueError) -> str:
    """Say why the system refuses a path, such as ``permission denied``."""
    words = error.strerror if isinstance(error, OSError) and error.strerror else "not a path"
    return words.lower()


def wrap(error: OSError | ValueError) -> UnreadableError:
    """Make the error for what opening or listing a path raises."""
    if isinstance(error, IsADirectoryError):
        return UnreadableError("cannot be read: is a directory", "Name the file in it.")
    return UnreadableError(f"cannot be read: {reason(error)}")


def suggest(path: str, pattern: str = "", *, is_folder: bool = False) -> str:
    """Make the hint for a missing path: files that exist, or that nothing is checked out.

    Takes what `suggest_files` takes.
    """
    if hint := suggest_files(path, pattern, is_folder=is_folder):
        return hint
    is_checked_out = Path(_from_here(path)).is_absolute() or Path(".git").exists()
    return "" if is_checked_out else _CHECKOUT


def suggest_files(path: str, pattern: str = "", *, is_folder: bool = False) -> str:
    """Make the hint that names files with a similar name; empty when there are none.

    Args:
        path: Relative to the current folder, or absolute.
        pattern: Of further names that fit, such as ``*attestation*.json``.
        is_folder: Suggest the folders of such files, not the files.
    """
    # Imported here: only a mistake needs it.
    from difflib import get_close_matches
    from fnmatch import fnmatchcase

    wanted = Path(path).name.lower()
    names = {each: Path(each).name.lower() for each in _list_files(".")}
    matching = [each for each, name in names.items() if fnmatchcase(name, pattern)]
    if is_folder:
        meant = [str(Path(each).parent) for each in matching]
    else:
        same = [each for each, name in names.items() if name == wanted]
        close = get_close_matches(_from_here(path), list(names), n=_MOST_NAMES, cutoff=0.8)
        meant = [*same, *close, *matching]
    meant = list(dict.fromkeys(meant))[:_MOST_NAMES]
    return "Did you mean " + " or ".join(f"'{each}'" for each in meant) + "?" if meant else ""


def _from_here(path: str) -> str:
    """The path relative to the current folder; unchanged when it leads elsewhere."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def _list_files(folder: str) -> list[str]:
    """List visible files and those in .github, the nearest first, within the bounds above."""
    files: list[str] = []
    folders, number = [(folder, 0)], 0
    for inner, depth in folders:
        with suppress(OSError), os.scandir(inner) as entries:
            for entry in sorted(entries, key=lambda each: each.name):
                number += 1
                if number > _MOST_ENTRIES:
                    return files
                is_hidden = entry.name.startswith(".") and entry.name != ".github"
                if is_hidden or entry.name == "node_modules":
                    continue
                if entry.is_file():
                    files.append(os.path.normpath(entry.path))
                elif depth < _DEEPEST and entry.is_dir(follow_symlinks=False):
                    folders.append((entry.path, depth + 1))
    return files


def _check_regular(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError
    if stat.S_ISFIFO(mode):
        hint = "Write its contents to a file first, and give that file."
        raise UnreadableError("is a pipe, not a file", hint)
    if not stat.S_ISREG(mode):
        raise UnreadableError("is a device, not a file")


def _read_regular(path: str | Path, limit: int, *, must_be_own: bool) -> bytes:
    descriptor = os.open(path, FLAGS)
    try:
        # Once more: something else may have taken the file's place.
        status = os.fstat(descriptor)
        _check_regular(status.st_mode)
        if must_be_own and not is_own(status):
            raise UnreadableError("may have been written by another user")
        if status.st_size > limit:
            raise _too_large(limit)
        return _read_all(lambda size: os.read(descriptor, size), limit)
    finally:
        os.close(descriptor)


def _read_pipe(path: str | Path, limit: int) -> bytes:
    with Path(path).open("rb", buffering=0) as pipe:
        return _read_all(pipe.read, limit)


def _read_all(read: Callable[[int], bytes | None], limit: int) -> bytes:
    content = bytearray()
    while chunk := read(_CHUNK):
        content += chunk
        if len(content) > limit:
            raise _too_large(limit)
    return bytes(content)


def _wait_for(read: Callable[[], bytes], timeout: float) -> bytes:
    # In a thread that can be left behind, since not every system can poll a pipe.
    try:
        return BackgroundCall(read).result(timeout)
    except TimeoutError as error:
        hint = (
            "Does the program that writes it end? If it is only slow, raise deadline, or write to "
            "a file first."
        )
        raise UnreadableError(f"did not end within {timeout:g} seconds", hint) from error


def _too_large(limit: int) -> UnreadableError:
    size = f"{limit // 1024**2} MiB" if limit >= 1024**2 else f"{limit // 1024} KiB"
    return UnreadableError(f"is larger than {size}")
