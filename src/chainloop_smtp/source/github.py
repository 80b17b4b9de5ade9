"""A run on GitHub -> how the one before it ended, and who wrote what came since, by its API."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from chainloop_smtp.errors import AttestationError
from chainloop_smtp.model.facts import Job, Previous
from chainloop_smtp.source import url

_MAX_BYTES = 16 * 1024 * 1024
# A run that was cancelled or skipped says nothing of what it would have found.
_SUCCESSES = {"success": True, "failure": False, "timed_out": False, "startup_failure": False}


class _NotFoundError(Exception):
    """There is no such run, or nobody to ask."""


# What asking GitHub raises, and reading an answer of another shape than its API documents.
_ERRORS = (_NotFoundError, AttestationError, ValueError, KeyError, TypeError, RecursionError)


def find_previous(
    job: Job, environ: Mapping[str, str], token: str, timeout: float, deadline: float
) -> Previous:
    """Find the last run of the same workflow on the same branch that ended before the job's.

    Args:
        environ: For the API's address.
        token: With ``actions: read``.
        timeout: Seconds for one step.
        deadline: Seconds for each of two requests.

    Returns:
        Whether it succeeded; with the reason where that is not known.
    """
    try:
        run = _find_run(_Api(job, environ, token, timeout, deadline), "completed")
        source = f"run {run['run_number']} on GitHub ended as {run['conclusion']}"
        return Previous(source=source, has_succeeded=_SUCCESSES[run["conclusion"]])
    except _ERRORS as error:
        return Previous(source=_explain(error))


def find_contributors(
    job: Job, environ: Mapping[str, str], token: str, timeout: float, deadline: float
) -> tuple[list[tuple[str, str]], str]:
    """Find who wrote the commits since the last good run of the same workflow on the same branch.

    Takes what `find_previous` does, but the token needs ``contents: read`` too, and there are
    three requests.

    Returns:
        Names and addresses, and why there are none.
    """
    try:
        api = _Api(job, environ, token, timeout, deadline)
        run = _find_run(api, "success")
        base, head = quote(str(run.get("head_sha"))), quote(job.sha)
        commits = api.get(f"compare/{base}...{head}")["commits"]
        authors = [each["commit"]["author"] for each in commits]
        return [(str(each["name"]), str(each["email"])) for each in authors], ""
    except _ERRORS as error:
        return [], _explain(error)


class _Api:
    """The API of the job's repository."""

    def __init__(
        self, job: Job, environ: Mapping[str, str], token: str, timeout: float, deadline: float
    ) -> None:
        if job.ci or not (job.run_id and job.repository and token):
            raise _NotFoundError("there is no GitHub run, or no github-token to ask for it")
        base = environ.get("GITHUB_API_URL", "https://api.github.com")
        self.run_id = job.run_id
        self._base = f"{base}/repos/{quote(job.repository)}"
        self._token = token
        self._timeout = timeout
        self._deadline = deadline

    def get(self, path: str) -> Any:
        address = f"{self._base}/{path}"
        return json.loads(
            url.fetch(
                "github-token", address, self._timeout, self._deadline, _MAX_BYTES, self._token
            )
        )


def _find_run(api: _Api, status: str) -> dict[str, Any]:
    """Find the latest run before this one that has ended in that status."""
    this = api.get(f"actions/runs/{quote(api.run_id, safe='')}")
    branch, number = quote(str(this["head_branch"]), safe=""), int(this["run_number"])
    query = f"branch={branch}&status={status}&per_page=50"
    listed = api.get(f"actions/workflows/{int(this['workflow_id'])}/runs?{query}")
    runs: list[dict[str, Any]] = [
        run
        for run in listed["workflow_runs"]
        if run["run_number"] < number and run["conclusion"] in _SUCCESSES
    ]
    if not runs:
        raise _NotFoundError("GitHub knows no earlier run of this workflow on this branch")
    return max(runs, key=lambda run: int(run["run_number"]))


def _explain(error: Exception) -> str:
    if isinstance(error, AttestationError):
        hint = "Give the job permissions: actions: read and contents: read"
        return f"GitHub does not say ({error.problems[0].why}). {hint}"
    if isinstance(error, _NotFoundError):
        return str(error)
    return "what GitHub answers is not understood"
