"""Questions about runs and commits -> answers of ``chainloop`` and ``git``.

Nothing else starts a process.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from chainloop_smtp.errors import AttestationError, Problem

_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_GIT = {
    # Nobody's configuration but the repository's, which cannot be left out.
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    # A commit that a partial clone lacks is not fetched: the remote's helper could be any program.
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
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
    program = _program("chainloop", environ)
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


def author(
    revision: str, workspace: str, repository: str, environ: Mapping[str, str], deadline: float
) -> tuple[str, str] | None:
    """Name and address of a commit's author, from the repository in the workspace.

    The repository's configuration is a stranger's: the plumbing that is asked runs nothing that it
    names, fetches nothing, and has a time limit.

    Args:
        revision: A full hash; or ``HEAD``, which is only asked for in a checkout of the repository.
        repository: owner/name.
        deadline: Seconds.

    Returns:
        None where there is no such commit, no repository, or no git.
    """
    folder = Path(workspace, ".git")
    program = _program("git", environ)
    is_hash = _HASH.fullmatch(revision)
    if program is None or not (is_hash or revision == "HEAD") or not folder.exists():
        return None
    inherited = ("PATH", "SYSTEMROOT", "TEMP", "TMP")
    variables = {name: environ[name] for name in inherited if name in environ} | _GIT

    def ask(*arguments: str) -> str:
        with tempfile.TemporaryFile() as printed:
            try:
                subprocess.run(  # noqa: S603  # a list, no shell; the revision is a hash or HEAD
                    (program, *arguments),
                    env=variables,
                    stdin=subprocess.DEVNULL,
                    stdout=printed,
                    stderr=subprocess.DEVNULL,
                    timeout=deadline,
                    check=False,
                )
            except (subprocess.TimeoutExpired, OSError):
                return ""
            printed.seek(0)
            return printed.read(_SHOWN_BYTES).decode("utf-8", "replace")

    if not is_hash:
        # As data: an explicit file, whose includes are not followed.
        config = str(folder / "config")
        url = ask("config", "--file", config, "--no-includes", "--get", "remote.origin.url").strip()
        place = url.lower().removesuffix("/").removesuffix(".git")
        if url and not place.endswith((f"/{repository.lower()}", f":{repository.lower()}")):
            return None
    found = ask(
        f"--git-dir={folder}",
        "rev-list",
        "--no-walk",
        "--max-count=1",
        "--encoding=UTF-8",
        "--format=%an%x00%ae",
        revision,
        "--",
    )
    # The first line names the commit.
    name, _, address = found.partition("\n")[2].strip("\n").partition("\0")
    return (name, address) if address else None


def _program(name: str, environ: Mapping[str, str]) -> str | None:
    # An empty or relative element of PATH means the workspace, whose files are not ours to run.
    folders = filter(os.path.isabs, environ.get("PATH", "").split(os.pathsep))
    return shutil.which(name, path=os.pathsep.join(folders) or os.devnull)


def _last_lines(log: BinaryIO) -> list[str]:
    log.seek(max(0, log.seek(0, os.SEEK_END) - _SHOWN_BYTES))
    return log.read().decode("utf-8", "replace").strip().splitlines()[-_SHOWN_LINES:]


def _error(why: str, hint: str) -> AttestationError:
    return AttestationError(Problem("workflow-run-id", why, hint))
