"""Outside world -> bytes and facts. The only stage that reads files, standard input and events."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from chainloop_smtp.errors import AttestationError, Problem, quoted
from chainloop_smtp.model import Job, JobResult, JobStatus

MAX_BYTES = 100 * 1024 * 1024
_MAX_EVENT_BYTES = 32 * 1024 * 1024  # GitHub cuts its own webhook payloads at 25 MB
_MAY_LACK_SECRETS = ("pull_request", "push")


def read(attestation: str, stdin: BinaryIO, *, is_success: bool) -> bytes:
    """The evidence's bytes; empty when there is none.

    Args:
        attestation: A path, ``-`` for standard input, or the JSON text itself.
        is_success: Whether the job went well. Where it did not, a file that was never written is
            what one expects, and the mail about the failure matters more.

    Raises:
        AttestationError: It cannot be read.
    """
    if not attestation:
        return b""
    if attestation.startswith(("{", "[")):
        return attestation.encode("utf-8", "surrogatepass")
    if attestation == "-":
        return _bounded(stdin, "standard input")
    try:
        with Path(attestation).open("rb") as file:
            return _bounded(file, attestation)
    except FileNotFoundError as error:
        if not is_success:
            return b""
        raise AttestationError(
            Problem(
                f"attestation {quoted(attestation)}",
                "there is no such file",
                "Write it in the step that pushes: chainloop attestation push -o json > "
                "attestation.json. Paths are relative to the workspace.",
            )
        ) from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "not a path"
        raise AttestationError(
            Problem(f"attestation {quoted(attestation)}", f"cannot be read: {why.lower()}")
        ) from error


def job(environ: Mapping[str, str], status: JobStatus | None, needs: tuple[JobResult, ...]) -> Job:
    """What the runner says of this job (GitHub's default variables and the event's payload).

    Args:
        environ: Names that are absent leave their fact unknown; so does an event file that cannot
            be read.
    """
    event = environ.get("GITHUB_EVENT_NAME", "")
    is_github = environ.get("GITHUB_ACTIONS") == "true"
    return Job(
        status=status,
        needs=needs,
        name=environ.get("GITHUB_JOB", "") if is_github else "",
        workflow=environ.get("GITHUB_WORKFLOW", ""),
        repository=environ.get("GITHUB_REPOSITORY", ""),
        server_url=environ.get("GITHUB_SERVER_URL", ""),
        run_id=environ.get("GITHUB_RUN_ID", ""),
        run_attempt=environ.get("GITHUB_RUN_ATTEMPT", ""),
        ref=environ.get("GITHUB_REF", ""),
        head_ref=environ.get("GITHUB_HEAD_REF", ""),
        sha=environ.get("GITHUB_SHA", ""),
        actor=environ.get("GITHUB_ACTOR", ""),
        event=event,
        is_fork=event.startswith(_MAY_LACK_SECRETS) and _is_fork(environ),
    )


def _bounded(file: BinaryIO, name: str) -> bytes:
    octets = file.read(MAX_BYTES + 1)
    if len(octets) > MAX_BYTES:
        raise AttestationError(
            Problem(f"attestation {quoted(name)}", f"is larger than {MAX_BYTES // 1024**2} MiB")
        )
    return octets


def _is_fork(environ: Mapping[str, str]) -> bool:
    """The pull request's head lives in another repository, or Dependabot started the run.

    Neither gets the repository's secrets: GitHub treats what Dependabot pushes, too, as if it
    came from a fork.
    """
    if environ.get("GITHUB_ACTOR") == "dependabot[bot]":
        return True
    try:
        with Path(environ.get("GITHUB_EVENT_PATH", "")).open("rb") as file:
            event = json.loads(file.read(_MAX_EVENT_BYTES))
        head = event["pull_request"]["head"]["repo"]
        base = event["pull_request"]["base"]["repo"]
        # The head is null when the fork has been deleted meanwhile.
        return head is None or bool(head["full_name"] != base["full_name"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
