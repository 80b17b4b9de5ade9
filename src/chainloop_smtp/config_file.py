"""Path <-> text of the configuration file. The only stage that reads or writes it."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from chainloop_smtp import inputfile
from chainloop_smtp.errors import OptionsError, Problem, quoted_path

DEFAULTS = (".github/chainloop-smtp.yml", "chainloop-smtp.yml")
_MAX_BYTES = 1024 * 1024
_TIMEOUT = 10.0  # seconds
_PAUSE = 0.02  # seconds


def find(path: str) -> str:
    """Return the path, else that of the first default file that exists, else an empty one."""
    return path or next((each for each in DEFAULTS if Path(each).is_file()), "")


def read(path: str, *, is_required: bool = True) -> str:
    """Read the text of the file; empty when it is missing and not required.

    Raises:
        OptionsError: It cannot be read, or is not UTF-8.
    """
    try:
        # Bytes first: line ends are to be written back as they are.
        return inputfile.read(path, _MAX_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        why = f"is not UTF-8 at byte {error.start + 1}"
        raise _error(path, why, "Save it as UTF-8.") from error
    except inputfile.UnreadableError as error:
        if error.missing and not is_required:
            return ""
        raise _error(path, error.why, error.hint) from error


def update(path: str, change: Callable[[str], str], *, timeout: float = _TIMEOUT) -> str:
    """Rewrite the file as a whole, so that nobody ever reads half of it or loses an edit.

    Args:
        change: Old text to new text; called while no other program edits the file.
        timeout: Seconds to wait for another program's edit.

    Returns:
        The new text.

    Raises:
        OptionsError: It cannot be written, another program keeps it locked, or ``change`` says so.
    """
    try:
        # Where the name is a link, what it names is edited.
        target = Path(path).resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise _error(path, f"cannot be written: {inputfile.reason(error)}") from error
    lock = target.with_name(f".{target.name}.lock")
    _acquire(path, lock, timeout)
    try:
        before = read(str(target), is_required=False)
        after = change(before)
        if after != before:
            _replace(path, target, after)
        return after
    finally:
        lock.unlink(missing_ok=True)


def _acquire(path: str, lock: Path, timeout: float) -> None:
    """Make the lock file, which only one program can."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError as error:
            if time.monotonic() > deadline:
                hint = f"If no chainloop-smtp is running, delete {lock}."
                raise _error(path, "another program is editing it", hint) from error
            time.sleep(_PAUSE)
        except OSError as error:
            raise _error(path, f"cannot be written: {inputfile.reason(error)}") from error
        else:
            return


def _replace(path: str, target: Path, text: str) -> None:
    part = target.with_name(f".{os.urandom(8).hex()}.part")
    try:
        with part.open("xb") as file:
            file.write(text.encode("utf-8"))
        if target.exists():
            part.chmod(target.stat().st_mode & 0o777)
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise _error(path, f"cannot be written: {inputfile.reason(error)}") from error


def _error(path: str, why: str, hint: str = "") -> OptionsError:
    return OptionsError(Problem(f"config {quoted_path(path)}", why, hint))
