"""Real programs for the tests that need them, and the one rule for when they are not there.

A test that needs a program which this machine lacks is skipped, in a sentence. Where
``CHAINLOOP_SMTP_REQUIRE_REAL=1`` is set, as ``.ci/run`` does, the same lack is a failure: a
green run must not be one that looked at nothing.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

REQUIRE_REAL = "CHAINLOOP_SMTP_REQUIRE_REAL"

# What one program is called, where it is not called the same everywhere.
_NAMES = {"browser": ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")}

# They change to other users as they start, so nobody else may start them.
_NEEDS_ROOT = frozenset({"postfix", "dovecot", "exim4"})

# Where `.ci/run` unpacks what cannot be installed beside the rest.
_UNPACKED = Path(__file__).parents[1] / ".real" / "exim" / "usr" / "sbin"


def require_real(*programs: str) -> tuple[Path, ...]:
    """Paths of the programs, in the order asked for; skips or fails the test without them.

    Looked for beside the running Python first, then on PATH, then where Debian keeps servers.
    """
    found = {program: _find(program) for program in programs}
    missing = [program for program, path in found.items() if path is None]
    if missing:
        _lacking(f"{' and '.join(missing)} not found on this machine")
    rooted = [program for program in programs if program in _NEEDS_ROOT]
    if rooted and os.geteuid() != 0:
        _lacking(f"{' and '.join(rooted)} can only be started by root")
    return tuple(path for path in found.values() if path is not None)


def require_network_namespace() -> tuple[str, ...]:
    """Beginning of a command that runs another without a network; skips the test without it."""
    (unshare,) = require_real("unshare")
    mapped = () if os.geteuid() == 0 else ("--map-root-user",)
    command = (str(unshare), "--net", *mapped)
    if subprocess.run((*command, "true"), check=False, stderr=subprocess.DEVNULL).returncode:
        _lacking("this user may not make a network namespace")
    return command


def require_node_modules(folder: Path) -> None:
    """Skips or fails the test where ``npm ci`` was not run in the folder."""
    if not (folder / "node_modules").is_dir():
        _lacking(f"npm ci was not run in {folder}")


def _find(program: str) -> Path | None:
    folders = os.pathsep.join(
        (
            str(Path(sys.executable).parent),
            os.environ.get("PATH", os.defpath),
            "/usr/sbin",
            str(_UNPACKED),
        )
    )
    for name in _NAMES.get(program, (program,)):
        if path := shutil.which(name, path=folders):
            return Path(path)
    return None


def _lacking(why: str) -> NoReturn:
    if os.environ.get(REQUIRE_REAL) == "1":
        pytest.fail(f"{why}, and {REQUIRE_REAL}=1 says that it must be there.", pytrace=False)
    pytest.skip(f"{why}; {REQUIRE_REAL}=1 makes this a failure.")
