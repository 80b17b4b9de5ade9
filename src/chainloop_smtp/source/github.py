"""A run on GitHub -> how the one before it ended, and who wrote what came since, by its API."""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

from chainloop_smtp.errors import AttestationError
from chainloop_smtp.model.facts import Job, Previous
from chainloop_smtp.source import url

_MAX_BYTES = 16 * 1024 * 1024
# A run that was cancelled or skipped says nothing of what it would have found.
_ENDS = {"success": True, "failure": False, "timed_out": False, "startup_failure": False}
_LACKING = "Give the job permissions: actions: read and contents: read"
_NOT_UNDERSTOOD = "what GitHub answers is not understood"

T = TypeVar("T")


def previous(
    job: Job, environ: Mapping[str, str], token: str, timeout: float, deadline: float
) -> Previous:
    """The last run of the same workflow on the same branch that ended before the job's.

    Args:
        environ: For the API's address.
        token: With ``actions: read``.
        timeout: Seconds for one step.
        deadline: Seconds for each of two requests.

    Returns:
        Whether it succeeded; with the reason where that is not known.
    """
    latest, why = _earlier(_Api(job, environ, token, timeout, deadline), "completed")
    if latest is None:
        return Previous(source=why)
    source = f"run {latest['run_number']} on GitHub ended as {latest['conclusion']}"
    return Previous(source=source, has_succeeded=_ENDS[latest["conclusion"]])


def contributors(
    job: Job, environ: Mapping[str, str], token: str, timeout: float, deadline: float
) -> tuple[list[tuple[str, str]], str]:
    """Who wrote the commits since the last good run of the same workflow on the same branch.

    Args:
        environ: As for `previous`, and so are the others; the token needs ``contents: read`` too.
        deadline: Seconds for each of three requests.

    Returns:
        Names and addresses, and why there are none.
    """
    api = _Api(job, environ, token, timeout, deadline)
    latest, why = _earlier(api, "success")
    if latest is None:
        return [], why
    base, head = quote(str(latest.get("head_sha"))), quote(job.sha)
    commits, why = api.get(f"compare/{base}...{head}", lambda found: list(found["commits"]))
    try:
        authors = [each["commit"]["author"] for each in commits or ()]
        return [(str(each["name"]), str(each["email"])) for each in authors], why
    except (KeyError, TypeError):
        return [], _NOT_UNDERSTOOD


class _Api:
    """The API of one repository."""

    def __init__(
        self, job: Job, environ: Mapping[str, str], token: str, timeout: float, deadline: float
    ) -> None:
        self.run_id, repository = job.run_id, job.repository
        base = environ.get("GITHUB_API_URL", "https://api.github.com")
        self.is_known = bool(self.run_id and repository and token)
        self._base = f"{base}/repos/{quote(repository)}"
        self._token = token
        self._timeout = timeout
        self._deadline = deadline

    def get(self, path: str, read: Callable[[Any], T]) -> tuple[T | None, str]:
        """What is read from an answer; or None, and why."""
        address = f"{self._base}/{path}"
        try:
            octets = url.fetch(
                "github-token", address, self._timeout, self._deadline, _MAX_BYTES, self._token
            )
            return read(json.loads(octets)), ""
        except AttestationError as error:
            return None, f"GitHub does not say ({error.problems[0].why}). {_LACKING}"
        except (ValueError, KeyError, TypeError, RecursionError):
            return None, _NOT_UNDERSTOOD


def _earlier(api: _Api, status: str) -> tuple[dict[str, Any] | None, str]:
    """The latest run before this one that has ended in that status; or None, and why."""
    if not api.is_known:
        return None, "there is no GitHub run, or no github-token to ask for it"
    this, why = api.get(
        f"actions/runs/{quote(api.run_id, safe='')}",
        lambda run: (int(run["workflow_id"]), str(run["head_branch"]), int(run["run_number"])),
    )
    if this is None:
        return None, why
    workflow, branch, number = this
    query = f"branch={quote(branch, safe='')}&status={status}&per_page=50"
    runs, why = api.get(
        f"actions/workflows/{workflow}/runs?{query}",
        lambda found: [
            run
            for run in found["workflow_runs"]
            if run["run_number"] < number and run["conclusion"] in _ENDS
        ],
    )
    if not runs:
        return None, why or "GitHub knows no earlier run of this workflow on this branch"
    return max(runs, key=lambda run: int(run["run_number"])), ""
