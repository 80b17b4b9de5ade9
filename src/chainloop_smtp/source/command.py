"""Questions about runs and commits -> answers of ``chainloop`` and ``git``.

The only module that starts a process, but for `message.child`, which starts our own code.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from chainloop_smtp.errors import AttestationError, Problem
from chainloop_smtp.model.checks import Check, CheckResult
from chainloop_smtp.model.facts import Job, ListedRun
from chainloop_smtp.model.runners import is_page_of
from chainloop_smtp.source import MAX_BYTES

_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_INHERITED = ("PATH", "SYSTEMROOT", "TEMP", "TMP")
_GIT = {
    # No configuration but the repository's, which cannot be left out.
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    # A commit that a partial clone lacks is not fetched: the remote's helper could be any program.
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
}
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# The command logs "--next CURSOR" after every page but the last; a cursor is base64.
_NEXT = re.compile(r"--next[ =]([A-Za-z0-9+/=_-]+)")
_RUN_NUMBER = re.compile(r"/actions/runs/([0-9]{1,18})\b")
# https://docs.github.com/actions/reference/limits: a run, its waiting and all its attempts; and a
# job on GitHub's own runners, with an hour for clocks that differ.
_LONGEST_RUN = timedelta(days=35)
_LONGEST_JOB = timedelta(hours=7)
_PAGE = 50  # runs; the command's own default
LOGIN_HINT = (
    "CHAINLOOP_TOKEN is not set for this step. Chainloop's keyless login covers `chainloop "
    "attestation …` only, so add `env: CHAINLOOP_TOKEN: ${{ secrets.CHAINLOOP_TOKEN }}`, or give "
    "attestation the file that `chainloop attestation push -o json` wrote."
)
# Seconds before a run is described again whose attestation could not be loaded from its store.
_PAUSES = (1.0, 2.0)
_SHOWN_LINES = 5
_SHOWN_BYTES = 4096


def describe(run_id: str, environ: Mapping[str, str], deadline: float) -> bytes:
    """Return what ``chainloop workflow run describe --id … -o json`` prints.

    A successful run without its attestation is described again, a few seconds later: Chainloop
    recorded the attestation and could not load it.

    Args:
        run_id: A UUID.
        environ: With Chainloop's own variables, such as its token; ours are taken out already.
        deadline: Seconds.

    Raises:
        AttestationError: The command is not there, fails, or prints nothing.
    """
    arguments = ("workflow", "run", "describe", "--id", run_id, "-o", "json")
    ends_at = time.monotonic() + deadline
    document, _ = _run_chainloop(arguments, environ, deadline)
    for pause in _PAUSES:
        if not _lacks_its_attestation(document) or time.monotonic() + pause >= ends_at:
            break
        time.sleep(pause)
        try:
            document, _ = _run_chainloop(arguments, environ, ends_at - time.monotonic())
        except AttestationError:
            # What it printed before is worth more than that it now fails.
            break
    return document


def _lacks_its_attestation(document: bytes) -> bool:
    """Whether the run is recorded, and the control plane could not load its attestation."""
    if re.search(rb'"attestation":\s*{', document):
        return False
    try:
        run = json.loads(document)["workflowRun"]
        return bool(run["state"] == "success")
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def verify_bundle(bundle: bytes, environ: Mapping[str, str], deadline: float) -> Check:
    """Ask ``chainloop attestation verify`` whether Chainloop's own authorities vouch for a bundle.

    Chainloop's control plane says which these are, so this needs the network and a login.

    Args:
        environ: As for `describe`.
        deadline: Seconds.

    Returns:
        Unknown where the command cannot tell, with the reason.
    """
    with tempfile.TemporaryDirectory(prefix="chainloop-smtp-") as folder:
        path = Path(folder, "bundle.json")
        path.write_bytes(bundle)
        arguments = ("attestation", "verify", f"--bundle={path}")
        try:
            exit_code, _, text = _start_chainloop(arguments, environ, deadline)
        except AttestationError as error:
            return _verified(CheckResult.UNKNOWN, error.problems[0].why)
    message = _last_words(text)
    # Some releases end with 0 all the same where they cannot verify a bundle, so the words count
    # too: "verified successfully", "bundle verification failed" (cmd/attestation_verify.go).
    if exit_code == 0 and "verified successfully" in text:
        return _verified(CheckResult.OK, "verified by `chainloop attestation verify`")
    result = CheckResult.WRONG if "verification failed" in text else CheckResult.UNKNOWN
    return _verified(result, f"`chainloop attestation verify` says: {message}")


def _verified(result: CheckResult, detail: str) -> Check:
    return Check(name="signature", result=result, detail=detail)


def list_runs(
    environ: Mapping[str, str], deadline: float, *, workflow: str = "", project: str = ""
) -> Iterator[tuple[ListedRun, ...]]:
    """List the organization's runs, newest first.

    Args:
        environ: As for `describe`.
        deadline: Seconds for all pages together, without what the caller does between them.
        workflow: Name; empty: of every workflow.
        project: Name; empty: of every project.

    Yields:
        One page after the other, each asked for when it is wanted. A page may be empty.

    Raises:
        AttestationError: As for `describe`, or what is printed is not a list of runs.
    """
    # With an equals sign, so that no name can be a flag.
    filters = {"--workflow": workflow, "--project": project}
    names = tuple(f"{flag}={name}" for flag, name in filters.items() if name)
    arguments = ("workflow", "run", "list", *names, f"--limit={_PAGE}", "-o", "json")
    cursors, allowed = [""], deadline
    while True:
        started = time.monotonic()
        page = (*arguments, *(f"--next={cursor}" for cursor in cursors[-1:] if cursor))
        try:
            printed, log = _run_chainloop(page, environ, max(deadline, 0.001))
        except AttestationError as error:
            if cursors[-1] and time.monotonic() - started >= deadline:
                why = (
                    f"chainloop workflow run list: {allowed:g} seconds are not enough for its pages"
                )
                hint = "Raise deadline, or name the runs by their ids."
                raise _error(why, hint) from error
            raise
        deadline -= time.monotonic() - started
        yield _parse_runs(printed)
        following = _NEXT.findall(log)
        if not following:
            return
        if following[-1] in cursors:
            raise _error("chainloop workflow run list: its pages repeat")
        cursors.append(following[-1])


def is_installed(environ: Mapping[str, str]) -> bool:
    """Whether the ``chainloop`` command is on PATH."""
    return _find_program("chainloop", environ) is not None


def find_runs(job: Job, environ: Mapping[str, str], deadline: float) -> tuple[str, ...]:
    """Find the ids of the Chainloop runs that a GitHub run made, the oldest first.

    Chainloop cannot be asked for them, so its list is read until it is older than the GitHub run.

    Args:
        job: Of that run, with its URL.
        deadline: Seconds for all of it.

    Raises:
        AttestationError: As for `list_runs`.
    """
    found: list[str] = []
    now = datetime.now(UTC)
    for page in list_runs(environ, deadline):
        found += [each.id for each in page if is_page_of(each.url, job)]
        times = [each.created for each in page if each.created]
        age = now - min(times) if times else timedelta()
        if age > _LONGEST_RUN or (age > _LONGEST_JOB and _is_older(page, job)):
            break
    return tuple(dict.fromkeys(reversed(found)))


def _is_older(page: Iterable[ListedRun], job: Job) -> bool:
    """Whether all GitHub runs on the page, of which there is one, began before the job's own.

    GitHub counts its runs. An older one may still attest when a younger one has begun, but not for
    longer than a job may take.
    """
    numbers = [int(match[1]) for each in page if (match := _RUN_NUMBER.search(each.url))]
    own = int(job.run_id) if job.run_id.isdecimal() else 0
    return bool(numbers) and max(numbers) < own


def _parse_runs(printed: bytes) -> tuple[ListedRun, ...]:
    # A command's plugins may print lines of their own before the list.
    start = re.search(rb"^\s*\[", printed, re.MULTILINE)
    try:
        listed = json.loads(printed[start.start() :] if start else printed)
    except (ValueError, RecursionError):
        listed = None
    if not isinstance(listed, list):
        shown = printed[:40].decode("utf-8", "replace").strip()
        raise _error(f"chainloop workflow run list printed no list of runs: {shown!r}")
    return tuple(_parse_run(f"[{index}]", each) for index, each in enumerate(listed))


def _parse_run(path: str, value: Any) -> ListedRun:
    item = value if isinstance(value, dict) else {}
    workflow = item.get("workflow")
    workflow = workflow if isinstance(workflow, dict) else {}
    if not _text(item, "id"):
        raise _error(f"chainloop workflow run list: {path}.id is missing, or not a string")
    return ListedRun(
        id=_text(item, "id"),
        state=_text(item, "state"),
        created=_time(item, "createdAt"),
        finished=_time(item, "finishedAt"),
        url=_text(item, "runURL"),
        workflow=_text(workflow, "name"),
        project=_text(workflow, "project"),
    )


def _text(item: Mapping[str, Any], name: str) -> str:
    value = item.get(name)
    return value if isinstance(value, str) else ""


def _time(item: Mapping[str, Any], name: str) -> datetime | None:
    """RFC 3339 with up to nine digits of a second; an unset time is 1970, or is not there."""
    try:
        time_ = datetime.fromisoformat(_text(item, name))
    except ValueError:
        return None
    time_ = time_.astimezone(UTC) if time_.tzinfo else time_.replace(tzinfo=UTC)
    return time_ if time_.timestamp() > 0 else None


def _run_chainloop(
    arguments: tuple[str, ...], environ: Mapping[str, str], deadline: float
) -> tuple[bytes, str]:
    """Return what the command prints, and the end of what it logs."""
    exit_code, document, text = _start_chainloop(arguments, environ, deadline)
    message = _last_words(text)
    # Describing prints its document or fails; only pushing does both (exit codes 3 and 4).
    if exit_code:
        raise _error(
            f"chainloop ended with exit code {exit_code}: {message}",
            "Is the run in this organization, and may CHAINLOOP_TOKEN read its runs?"
            if environ.get("CHAINLOOP_TOKEN")
            else LOGIN_HINT,
        )
    if not document.strip():
        raise _error(f"chainloop printed nothing: {message}")
    if len(document) > MAX_BYTES:
        raise _error(f"chainloop printed more than {MAX_BYTES // 1024**2} MiB")
    return document, text


def _last_words(log: str) -> str:
    return " / ".join(log.strip().splitlines()[-_SHOWN_LINES:]) or "no message"


def _start_chainloop(
    arguments: tuple[str, ...], environ: Mapping[str, str], deadline: float
) -> tuple[int, bytes, str]:
    """Return exit code, what the command prints, and the end of what it logs."""
    program = _find_program("chainloop", environ)
    if program is None:
        raise _error(
            "there is no chainloop command on PATH",
            "Install it in a step before this one, or give attestation instead.",
        )
    # nektos/act puts the inputs, the password among them, into every step's environment.
    inherited = {name: value for name, value in environ.items() if not name.startswith("INPUT_")}
    try:
        exit_code, document, log = _run((program, *arguments), inherited, deadline, MAX_BYTES + 1)
    except subprocess.TimeoutExpired as error:
        raise _error(
            f"chainloop did not answer within {deadline:g} seconds",
            "Chainloop's control plane may be out of reach from here.",
        ) from error
    except OSError as error:
        raise _error(f"chainloop cannot be started: {error.strerror}") from error
    return exit_code, document, _COLOUR.sub("", log.decode("utf-8", "replace"))


def find_author(
    revision: str, workspace: str, repository: str, environ: Mapping[str, str], deadline: float
) -> tuple[str, str] | None:
    """Find name and address of a commit's author, in the repository in the workspace.

    The repository's configuration is a stranger's: the plumbing commands used run nothing that it
    names, fetch nothing, and have a time limit.

    Args:
        revision: A full hash; or ``HEAD``, which is only asked for in a checkout of the repository.
        repository: owner/name.
        deadline: Seconds.

    Returns:
        None where there is no such commit, no repository, or no git.
    """
    folder = Path(workspace, ".git")
    is_hash = _HASH.fullmatch(revision)
    if not (is_hash or revision == "HEAD"):
        return None
    if not is_hash:
        # As data: an explicit file, whose includes are not followed.
        config = ("config", "--file", str(folder / "config"), "--no-includes")
        url = _run_git((*config, "--get", "remote.origin.url"), environ, deadline).strip()
        path = url.lower().removesuffix("/").removesuffix(".git")
        if url and not path.endswith((f"/{repository.lower()}", f":{repository.lower()}")):
            return None
    arguments = (f"--git-dir={folder}", "rev-list", "--no-walk", "--max-count=1")
    encoding = ("--encoding=UTF-8", "--format=%an%x00%ae")
    printed = _run_git((*arguments, *encoding, revision, "--"), environ, deadline)
    # The first line names the commit.
    name, _, address = printed.partition("\n")[2].strip("\n").partition("\0")
    return (name, address) if address else None


def _run_git(arguments: tuple[str, ...], environ: Mapping[str, str], deadline: float) -> str:
    """Return what git prints; empty where it does not run."""
    program = _find_program("git", environ)
    if program is None:
        return ""
    variables = {name: environ[name] for name in _INHERITED if name in environ} | _GIT
    try:
        _, printed, _ = _run((program, *arguments), variables, deadline, _SHOWN_BYTES)
    except (subprocess.TimeoutExpired, OSError):
        return ""
    return printed.decode("utf-8", "replace")


def _run(
    command: tuple[str, ...], environ: Mapping[str, str], deadline: float, limit: int
) -> tuple[int, bytes, bytes]:
    """Return exit code, the beginning of what is printed, and the end of what is logged."""
    # Files, since a pipe would be read into memory however much comes.
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as log:
        done = subprocess.run(  # noqa: S603  # a list, no shell; ids and hashes are checked
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=log,
            timeout=deadline,
            check=False,
        )
        printed.seek(0)
        log.seek(max(0, log.seek(0, os.SEEK_END) - _SHOWN_BYTES))
        return done.returncode, printed.read(limit), log.read()


def _find_program(name: str, environ: Mapping[str, str]) -> str | None:
    # An empty or relative element of PATH means the workspace, whose files are not ours to run.
    folders = filter(os.path.isabs, environ.get("PATH", "").split(os.pathsep))
    return shutil.which(name, path=os.pathsep.join(folders))


def _error(why: str, hint: str = "") -> AttestationError:
    return AttestationError(Problem("workflow-run-id", why, hint))
