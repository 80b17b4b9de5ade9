"""A run on GitHub -> where its jobs failed, how the run before ended, who wrote what came since.

By GitHub's API.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from chainloop_smtp.errors import AttestationError
from chainloop_smtp.model.facts import FailedStep, Job, JobStatus, Previous
from chainloop_smtp.model.runners import url_host
from chainloop_smtp.source import url

_MAX_BYTES = 16 * 1024 * 1024
_PAGES = 10  # of 100 jobs each
_BAD_ENDS = {
    True: [each.value for each in JobStatus if each.is_failure],
    False: [each.value for each in JobStatus if each.is_cancellation],
}
# Seconds between two looks at the job's own steps: GitHub may not have heard of the last one yet.
_PAUSE = 2
# What GitHub appends to a job's name: the values of its matrix, and the job of a called workflow.
_SUFFIX = re.compile(r" (?:\(|/ ).*", re.DOTALL)
# A run that was cancelled or skipped would have ended one way or the other.
_SUCCESSES = {"success": True, "failure": False, "timed_out": False, "startup_failure": False}


class _NotFoundError(Exception):
    """There is no such run, or nobody to ask."""


# What asking GitHub raises, and reading an answer of another shape than its API documents.
_ERRORS = (
    *(_NotFoundError, AttestationError, ValueError, KeyError, TypeError, AttributeError),
    RecursionError,
)


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


def find_failed_steps(
    job: Job, environ: Mapping[str, str], token: str, timeout: float, deadline: float
) -> tuple[tuple[FailedStep, ...], str]:
    """Find where the jobs stopped that failed or were cancelled, in this attempt of the run.

    GitHub's API names jobs as people see them, and a workflow by their ids. A step is left out
    where it is not certain whose it is.

    Args:
        job: One that did not go well, or whose `needs` did not.
        environ: For the API's address, and for what identifies this job.
        token: With ``actions: read``.
        timeout: Seconds for one step.
        deadline: Seconds for each of the requests; as a rule there is one.

    Returns:
        The steps, and why GitHub does not say; empty where it was not to be asked.
    """
    try:
        api = _Api(job, environ, token, timeout, deadline)
        jobs = _list_jobs(api, job)
        own = None if job.sender else _own_job(jobs, environ)
        if own and job.status and _is_bad(job.status) and not _ended(own["steps"], job.status):
            time.sleep(_PAUSE)
            jobs = _list_jobs(api, job)
            own = _own_job(jobs, environ)
        return tuple(_failed_steps(job, jobs, own)), ""
    except _NotFoundError:
        return (), ""
    except _ERRORS as error:
        return (), _explain(error, "actions: read")


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


def _list_jobs(api: _Api, job: Job) -> list[dict[str, Any]]:
    """List all jobs of the attempt.

    Raises:
        _NotFoundError: It is not known, or has more than anybody would read.
    """
    if job.run_attempt:
        run, attempt = quote(job.run_id, safe=""), quote(job.run_attempt, safe="")
        jobs: list[dict[str, Any]] = []
        for page in range(1, _PAGES + 1):
            listed = api.get(f"actions/runs/{run}/attempts/{attempt}/jobs?per_page=100&page={page}")
            jobs += listed["jobs"]
            if len(jobs) >= listed["total_count"]:
                return jobs
    raise _NotFoundError("there is no attempt, or none whose jobs can be listed")


def _own_job(jobs: list[dict[str, Any]], environ: Mapping[str, str]) -> dict[str, Any] | None:
    """The job that this is; None where that is not certain.

    By the id that newer runners know; else by the runner, which has one job at a time; else it is
    the only one that has not ended. All jobs of a matrix share ``GITHUB_JOB``, and a job's name
    need not have it.
    """
    if own_id := environ.get("JOB_CHECK_RUN_ID"):
        own = [each for each in jobs if str(each["id"]) == own_id]
    else:
        running = [each for each in jobs if each["status"] != "completed"]
        name = environ.get("RUNNER_NAME", "")
        own = [each for each in running if each["runner_name"] == name] or running
    return own[0] if len(own) == 1 else None


def _failed_steps(
    job: Job, jobs: list[dict[str, Any]], own: dict[str, Any] | None
) -> Iterator[FailedStep]:
    if job.status and _is_bad(job.status):
        its_own = _ended(jobs, job.status) if job.sender else [own] if own else []
        for each in its_own:
            yield from _first_step(job, each, job.status, None)
    for number, need in enumerate(job.needs):
        if not _is_bad(need.result) or job.sender:
            continue
        ended = _ended(jobs, need.result)
        named = [each for each in ended if _plain(each["name"]) == _plain(need.name)]
        # It is among those that ended so, whatever its name.
        is_alone = len(ended) == 1 and [each.result for each in job.needs].count(need.result) == 1
        for each in named or (ended if is_alone else []):
            yield from _first_step(job, each, need.result, number)


def _first_step(
    job: Job, listed: dict[str, Any], status: JobStatus, need: int | None
) -> Iterator[FailedStep]:
    """The first step that ended as the job did, where there is one."""
    for step in _ended(listed["steps"], status)[:1]:
        page = listed["html_url"]
        yield FailedStep(
            job=str(listed["name"]),
            name=str(step["name"]),
            need=need,
            # A reader does not see where a link leads.
            url=f"{page}#step:{int(step['number'])}:1"
            if url_host(page) == url_host(job.server_url)
            else "",
        )


def _ended(listed: list[dict[str, Any]], status: JobStatus) -> list[dict[str, Any]]:
    """The jobs or steps that failed, where the status is a failure; else the cancelled ones."""
    return [each for each in listed if each["conclusion"] in _BAD_ENDS[status.is_failure]]


def _is_bad(status: JobStatus) -> bool:
    return status.is_failure or status.is_cancellation


def _plain(name: str) -> str:
    """A job's name as its id may be written: ``Unit tests (3.12)`` is ``unit-tests``."""
    return re.sub(r"[-_ ]", "", _SUFFIX.sub("", name).casefold())


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
        raise _NotFoundError("GitHub has no earlier run of this workflow on this branch")
    return max(runs, key=lambda run: int(run["run_number"]))


def _explain(error: Exception, permissions: str = "actions: read and contents: read") -> str:
    if isinstance(error, AttestationError):
        why = error.problems[0].why
        is_denied = why.endswith((" 403", " 404"))
        hint = f". Give the job permissions: {permissions}" if is_denied else ""
        return f"GitHub does not say ({why}){hint}"
    if isinstance(error, _NotFoundError):
        return str(error)
    return "GitHub's reply cannot be parsed"
