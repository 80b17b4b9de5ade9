"""Questions about runs -> bytes, by the ``chainloop`` command: nothing else starts a process."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from typing import BinaryIO

from chainloop_smtp.errors import AttestationError, Problem

_SHOWN_LINES = 5
_SHOWN_BYTES = 4096


def describe(run_id: str, environ: Mapping[str, str], deadline: float, limit: int) -> bytes:
    """What ``chainloop workflow run describe --id … -o json`` prints.

    Args:
        run_id: A UUID.
        environ: With Chainloop's own variables, such as its token; ours are taken out already.
        deadline: Seconds.
        limit: Bytes.

    Raises:
        AttestationError: The command is not there, fails, or prints nothing.
    """
    command = ("workflow", "run", "describe", "--id", run_id, "-o", "json")
    return _ask(command, environ, deadline, limit)


def list_runs(
    workflow: str, project: str, environ: Mapping[str, str], deadline: float, limit: int
) -> bytes:
    """What ``chainloop workflow run list … -o json`` prints of a workflow's latest runs.

    Args:
        environ: As for `describe`, and so are the others.

    Raises:
        AttestationError: As for `describe`.
    """
    # With a sign of equality, so that no name can be a flag.
    names = (f"--workflow={workflow}", f"--project={project}")
    command = ("workflow", "run", "list", *names, "--limit=10", "-o", "json")
    return _ask(command, environ, deadline, limit)


def _ask(
    arguments: tuple[str, ...], environ: Mapping[str, str], deadline: float, limit: int
) -> bytes:
    # An empty or relative element of PATH means the workspace, whose files are not ours to run.
    folders = filter(os.path.isabs, environ.get("PATH", "").split(os.pathsep))
    program = shutil.which("chainloop", path=os.pathsep.join(folders) or os.devnull)
    if program is None:
        raise _error(
            "there is no chainloop command on PATH",
            "Install it in a step before this one, or give attestation instead.",
        )
    command = (program, *arguments)
    # nektos/act puts the inputs, the password among them, into every step's environment.
    inherited = {name: value for name, value in environ.items() if not name.startswith("INPUT_")}
    # Files, since a pipe would be read into memory however much comes.
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as said:
        try:
            done = subprocess.run(  # noqa: S603  # a list, no shell; the id is a UUID
                command,
                env=inherited,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=said,
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
        words = " / ".join(_last_lines(said)) or "no message"
        # Describing prints its document or fails; only pushing does both (exit codes 3 and 4).
        if done.returncode:
            raise _error(
                f"chainloop ended with exit code {done.returncode}: {words}",
                "Is the run in this organization, and CHAINLOOP_TOKEN set for this step?",
            )
        printed.seek(0)
        document = printed.read(limit + 1)
    if not document.strip():
        raise _error(f"chainloop printed nothing: {words}", "")
    if len(document) > limit:
        raise _error(f"chainloop printed more than {limit // 1024**2} MiB", "")
    return document


def _last_lines(log: BinaryIO) -> list[str]:
    log.seek(max(0, log.seek(0, os.SEEK_END) - _SHOWN_BYTES))
    return log.read().decode("utf-8", "replace").strip().splitlines()[-_SHOWN_LINES:]


def _error(why: str, hint: str) -> AttestationError:
    return AttestationError(Problem("workflow-run-id", why, hint))
