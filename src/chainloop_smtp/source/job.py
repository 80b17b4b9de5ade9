"""The CI's variables, and GitHub's event -> the job, its run, and who wrote the code.

GitHub's variables describe the run that an event starts. Some events start it on the default
branch, whatever commit or run they are about.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from chainloop_smtp import inputfile
from chainloop_smtp.inputfile import UnreadableError
from chainloop_smtp.model import runners
from chainloop_smtp.model.facts import Job, JobResult, JobStatus, Sender

_MAX_BYTES = 32 * 1024 * 1024  # GitHub cuts its own webhook payloads at 25 MB
# Where an event's payload has the commit, or the commit's author, that it is about.
_COMMITS = {
    "merge_group": ("merge_group", "head_commit"),
    "workflow_run": ("workflow_run", "head_commit"),
    "check_suite": ("check_suite", "head_commit"),
    "status": ("commit", "commit"),
}
# `pull_request_target` has the secrets of the repository, whoever opened the pull request.
_MAY_LACK_SECRETS = ("pull_request", "pull_request_review", "pull_request_review_comment", "push")


def read_job(
    environ: Mapping[str, str], status: JobStatus | None, needs: tuple[JobResult, ...]
) -> Job:
    """Read what the runner says of this job, with the branch and commit that its event is about.

    Args:
        environ: Variables that are absent leave their fact unknown, and so does an event file
            that cannot be read.
    """
    if (ci := runners.detect(environ)) not in ("", runners.GITHUB):
        return _read_other(ci, environ, status, needs)
    is_github = environ.get("GITHUB_ACTIONS") == "true"
    job = Job(
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
        event=environ.get("GITHUB_EVENT_NAME", ""),
        is_fork=_lacks_secrets(environ),
    )
    match job.event:
        case event if event.startswith("pull_request"):
            return _with_pull_request(job, _read_payload(environ).get("pull_request"))
        case "check_suite":
            return _with_check_suite(job, _read_payload(environ).get("check_suite"))
        case "check_run":
            run = _read_payload(environ).get("check_run")
            return _with_check_suite(job, run.get("check_suite"), run.text("head_sha"))
        case "status" if sha := _read_payload(environ).text("sha"):
            return replace(job, ref="", sha=sha)
    return job


def _read_other(
    ci: str, environ: Mapping[str, str], status: JobStatus | None, needs: tuple[JobResult, ...]
) -> Job:
    """Read the job of a CI other than GitHub."""
    run = runners.read(ci, environ)
    return Job(
        status=status,
        needs=needs,
        name=run.job,
        workflow=run.workflow,
        repository=run.repository,
        run_id=run.run_id,
        run_attempt=run.run_attempt,
        ref=run.ref,
        head_ref=run.head_ref,
        sha=run.sha,
        actor=run.actor,
        event=run.event,
        ci=ci,
        url=run.url,
    )


def read_reported_run(job: Job, environ: Mapping[str, str]) -> Job | None:
    """Read the run that has ended, where the job was started to report it (``workflow_run``).

    Returns:
        None where there is none, or the payload does not say which.
    """
    if job.event != "workflow_run":
        return None
    run = _read_payload(environ).get("workflow_run")
    if not (run_id := run.text("id")):
        return None
    conclusion = run.text("conclusion")
    repository = run.get("repository").text("full_name") or job.repository
    ref, head_ref = _read_ref(run, repository)
    return replace(
        job,
        status=JobStatus(conclusion) if conclusion in tuple(JobStatus) else None,
        name="",
        sender=Sender(
            name=job.name,
            workflow=job.workflow,
            repository=job.repository,
            run_id=job.run_id,
            run_attempt=job.run_attempt,
            event=job.event,
            url=job.run_url,
        ),
        workflow=run.text("name"),
        repository=repository,
        run_id=run_id,
        run_attempt=run.text("run_attempt"),
        ref=ref,
        head_ref=head_ref,
        sha=run.text("head_sha"),
        actor=run.get("triggering_actor").text("login") or run.get("actor").text("login"),
        event=run.text("event"),
    )


def list_authors(environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """List names and addresses of the authors of what the event is about, the last commit first."""
    payload = _read_payload(environ)
    commit = payload
    for name in _COMMITS.get(environ.get("GITHUB_EVENT_NAME", ""), ("head_commit",)):
        commit = commit.get(name)
    commits = [commit, *reversed(payload.list("commits"))]
    authors = [each.get("author") for each in commits]
    people = ((each.text("name"), each.text("email")) for each in authors)
    return tuple(dict.fromkeys(person for person in people if person[1]))


def list_commits(job: Job, environ: Mapping[str, str]) -> tuple[str, ...]:
    """List the commits that the run may have been for, the likeliest first."""
    # Where the event is a pull request's, the variables name a merge with the base, which GitHub
    # made; its author is its parent's.
    head = _read_payload(environ).get("pull_request").get("head").text("sha")
    return tuple(dict.fromkeys(filter(None, (head, job.sha))))


class _Payload:
    """A part of the payload, of whatever kind; what is missing is empty."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def get(self, name: str) -> "_Payload":
        return _Payload(self.value.get(name) if isinstance(self.value, dict) else None)

    def text(self, name: str) -> str:
        value = self.get(name).value
        return str(value) if isinstance(value, str | int) and value is not True else ""

    def list(self, name: str) -> "list[_Payload]":
        value = self.get(name).value
        return [_Payload(each) for each in value] if isinstance(value, list) else []


def _read_payload(environ: Mapping[str, str]) -> _Payload:
    """Read the event's payload; empty where there is none that can be read."""
    try:
        content = inputfile.read(environ.get("GITHUB_EVENT_PATH", ""), _MAX_BYTES)
        return _Payload(json.loads(content))
    except (UnreadableError, ValueError, RecursionError):
        return _Payload(None)


def _lacks_secrets(environ: Mapping[str, str]) -> bool:
    """Whether the pull request comes from a fork, or Dependabot started the run.

    Neither gets the repository's secrets: GitHub treats what Dependabot pushes, too, as if it
    came from a fork.
    """
    if environ.get("GITHUB_EVENT_NAME") not in _MAY_LACK_SECRETS:
        return False
    if environ.get("GITHUB_ACTOR") == "dependabot[bot]":
        return True
    return _is_from_fork(_read_payload(environ).get("pull_request"))


def _with_pull_request(job: Job, pull_request: _Payload) -> Job:
    """Take the pull request itself, not its base; its branch with the owner where it is a fork's.

    A fork's branch may well be called main. On ``pull_request_target``, the variables name the
    base's branch and commit, whose workflow runs.
    """
    head = pull_request.get("head")
    if _is_from_fork(pull_request):
        job = replace(job, head_ref=head.text("label") or f"fork:{job.head_ref}")
    number, sha = pull_request.text("number"), head.text("sha")
    if job.event == "pull_request_target" and number and sha:
        return replace(job, ref=f"refs/pull/{number}/merge", sha=sha)
    return job


def _is_from_fork(pull_request: _Payload) -> bool:
    base = pull_request.get("base").get("repo").text("full_name")
    head = pull_request.get("head").get("repo")
    # The head's repository is null when the fork has been deleted meanwhile.
    return base != "" and (head.value is None or head.text("full_name") not in ("", base))


def _with_check_suite(job: Job, suite: _Payload, sha: str = "") -> Job:
    """Take the commit that was checked; the variables name the default branch's last one."""
    sha = sha or suite.text("head_sha")
    branch = suite.text("head_branch")
    return replace(job, ref=f"refs/heads/{branch}" if branch else "", sha=sha) if sha else job


def _read_ref(run: _Payload, repository: str) -> tuple[str, str]:
    """Read full ref and head branch of a run; the payload calls a tag a branch too."""
    branch = run.text("head_branch")
    if not branch:
        return "", ""
    if run.text("event").startswith("pull_request"):
        head = run.get("head_repository").text("full_name")
        if head != repository:
            # The payload does not name the pull request, and the branch may be called main.
            label = f"{head.partition('/')[0] or 'fork'}:{branch}"
            return label, label
        if pull_requests := run.list("pull_requests"):
            return f"refs/pull/{pull_requests[0].text('number')}/merge", branch
    kind = "tags" if run.text("event") == "release" else "heads"
    return f"refs/{kind}/{branch}", ""
