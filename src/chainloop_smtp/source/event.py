"""The payload of a GitHub event -> what the run is about, and who wrote it.

GitHub's variables speak of the run that an event starts. Some events start it on the default
branch, whatever commit or run they are about.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from chainloop_smtp import inputfile
from chainloop_smtp.inputfile import Unreadable
from chainloop_smtp.model.facts import Job, JobStatus, Sender

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


def about(own: Job, environ: Mapping[str, str]) -> Job:
    """The job with the branch and the commit that its event is about.

    Args:
        own: By GitHub's variables.
    """
    match own.event:
        case event if event.startswith("pull_request"):
            return _pull_request(own, _payload(environ).get("pull_request"))
        case "check_suite":
            return _checked(own, _payload(environ).get("check_suite"))
        case "check_run":
            run = _payload(environ).get("check_run")
            suite = run.get("check_suite")
            return _checked(own, suite, run.text("head_sha"))
        case "status":
            payload = _payload(environ)
            return replace(own, ref="", sha=payload.text("sha")) if payload.text("sha") else own
    return own


def reported(own: Job, environ: Mapping[str, str]) -> Job | None:
    """The run that has ended, where the job was started to report it (``workflow_run``).

    Returns:
        Its facts; None where there is none, or the payload does not say which.
    """
    if own.event != "workflow_run":
        return None
    run = _payload(environ).get("workflow_run")
    if not (run_id := run.text("id")):
        return None
    conclusion = run.text("conclusion")
    repository = run.get("repository").text("full_name") or own.repository
    ref, head_ref = _ref(run, repository)
    return replace(
        own,
        status=JobStatus(conclusion) if conclusion in tuple(JobStatus) else None,
        name="",
        sender=Sender(
            name=own.name,
            workflow=own.workflow,
            repository=own.repository,
            run_id=own.run_id,
            run_attempt=own.run_attempt,
            event=own.event,
            url=own.run_url,
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


def authors(environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Names and addresses of those who wrote what the event is about, the last commit's first."""
    payload = _payload(environ)
    commit = payload
    for name in _COMMITS.get(environ.get("GITHUB_EVENT_NAME", ""), ("head_commit",)):
        commit = commit.get(name)
    commits = [commit, *reversed(payload.list("commits"))]
    found = [each.get("author") for each in commits]
    people = ((each.text("name"), each.text("email")) for each in found)
    return tuple(dict.fromkeys(person for person in people if person[1]))


def commits(job: Job, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The commits that the run may have been for, the likeliest first."""
    head = ""
    if job.event.startswith("pull_request") and not job.sender:
        # The variables name a merge with the base, which GitHub made; who wrote it is its parent's.
        head = _payload(environ).get("pull_request").get("head").text("sha")
    return tuple(dict.fromkeys(filter(None, (head, job.sha))))


def is_fork(event: str, environ: Mapping[str, str]) -> bool:
    """The pull request's head lives in another repository, or Dependabot started the run.

    Neither gets the repository's secrets: GitHub treats what Dependabot pushes, too, as if it
    came from a fork.
    """
    if event not in _MAY_LACK_SECRETS:
        return False
    if environ.get("GITHUB_ACTOR") == "dependabot[bot]":
        return True
    return _is_elsewhere(_payload(environ).get("pull_request"))


class _Node:
    """A part of the payload, of whatever kind; what is not there is empty."""

    def __init__(self, value: Any) -> None:
        self._value = value

    @property
    def is_null(self) -> bool:
        return self._value is None

    def get(self, name: str) -> "_Node":
        return _Node(self._value.get(name) if isinstance(self._value, dict) else None)

    def text(self, name: str) -> str:
        value = self.get(name)._value  # noqa: SLF001  # another of the same class
        return str(value) if isinstance(value, str | int) and value is not True else ""

    def list(self, name: str) -> "list[_Node]":
        value = self.get(name)._value  # noqa: SLF001  # another of the same class
        return [_Node(each) for each in value] if isinstance(value, list) else []


def _payload(environ: Mapping[str, str]) -> _Node:
    """The event's payload, unchecked; empty where there is none that can be read."""
    try:
        return _Node(json.loads(inputfile.read(environ.get("GITHUB_EVENT_PATH", ""), _MAX_BYTES)))
    except (Unreadable, ValueError, RecursionError):
        return _Node(None)


def _pull_request(own: Job, pull_request: _Node) -> Job:
    """The pull request itself, not its base; and its branch with the owner where that is a fork.

    A fork's branch may well be called main. On ``pull_request_target``, the variables name the
    base's branch and commit, whose workflow runs.
    """
    head = pull_request.get("head")
    if _is_elsewhere(pull_request):
        own = replace(own, head_ref=head.text("label") or f"fork:{own.head_ref}")
    number, sha = pull_request.text("number"), head.text("sha")
    if own.event == "pull_request_target" and number and sha:
        return replace(own, ref=f"refs/pull/{number}/merge", sha=sha)
    return own


def _is_elsewhere(pull_request: _Node) -> bool:
    """The pull request's head lives in another repository than its base."""
    base = pull_request.get("base").get("repo").text("full_name")
    head = pull_request.get("head").get("repo")
    # The head's repository is null when the fork has been deleted meanwhile.
    return base != "" and (head.is_null or head.text("full_name") not in ("", base))


def _checked(own: Job, suite: _Node, sha: str = "") -> Job:
    """The variables name the default branch's last commit, whatever was checked."""
    sha = sha or suite.text("head_sha")
    branch = suite.text("head_branch")
    return replace(own, ref=f"refs/heads/{branch}" if branch else "", sha=sha) if sha else own


def _ref(run: _Node, repository: str) -> tuple[str, str]:
    """Full ref and head branch of a run; the payload calls both a branch and a tag a branch."""
    branch = run.text("head_branch")
    if not branch:
        return "", ""
    if run.text("event").startswith("pull_request"):
        head = run.get("head_repository").text("full_name")
        if head != repository:
            # The payload does not name the pull request, and the branch may be called main.
            whose = f"{head.partition('/')[0] or 'fork'}:{branch}"
            return whose, whose
        if pull_requests := run.list("pull_requests"):
            return f"refs/pull/{pull_requests[0].text('number')}/merge", branch
    kind = "tags" if run.text("event") == "release" else "heads"
    return f"refs/{kind}/{branch}", ""
