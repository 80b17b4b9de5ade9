"""Workflow run id -> bytes, by the ``chainloop`` command. The only module that starts a process."""

import shutil
import subprocess
from collections.abc import Mapping

from chainloop_smtp.errors import AttestationError, Problem

_SHOWN_LINES = 5


def describe(run_id: str, environ: Mapping[str, str], deadline: float) -> bytes:
    """What ``chainloop workflow run describe --id … -o json`` prints.

    Args:
        run_id: A UUID.
        environ: With Chainloop's own variables, such as its token; ours are taken out already.
        deadline: Seconds.

    Raises:
        AttestationError: The command is not there, fails, or prints nothing.
    """
    program = shutil.which("chainloop", path=environ.get("PATH"))
    if program is None:
        raise _error(
            "there is no chainloop command on PATH",
            "Install it in a step before this one, or give attestation instead.",
        )
    command = (program, "workflow", "run", "describe", "--id", run_id, "-o", "json")
    try:
        done = subprocess.run(  # noqa: S603  # a list, no shell; the id is a UUID
            command,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=deadline,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _error(
            f"chainloop did not answer within {deadline:g} seconds",
            "Chainloop's control plane may be out of reach from here.",
        ) from error
    except OSError as error:
        raise _error(f"chainloop cannot be started: {error.strerror}", "") from error
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-_SHOWN_LINES:]
    # Describing prints its document or fails; only pushing does both (exit codes 3 and 4).
    if done.returncode:
        raise _error(
            f"chainloop ended with exit code {done.returncode}: {' / '.join(said) or 'no message'}",
            "Is the run in this organization, and CHAINLOOP_TOKEN set for this step?",
        )
    if not done.stdout.strip():
        raise _error(f"chainloop printed nothing: {' / '.join(said) or 'no message'}", "")
    return done.stdout


def _error(why: str, hint: str) -> AttestationError:
    return AttestationError(Problem("workflow-run-id", why, hint))
