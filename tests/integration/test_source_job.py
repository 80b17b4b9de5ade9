"""GitHub's variables and events -> the job, and whose branch, commit, run and authors count."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from chainloop_smtp.model.facts import Job, JobResult, JobStatus, Sender
from chainloop_smtp.source.job import list_authors, list_commits, read_job, read_reported_run

BASE = {"repo": {"full_name": "lakeside/harbour"}, "ref": "main"}
HEAD = {
    "repo": {"full_name": "lakeside/harbour"},
    "ref": "topic",
    "label": "lakeside:topic",
    "sha": "d" * 40,
}
FORK = HEAD | {"repo": {"full_name": "stranger/harbour"}, "ref": "main", "label": "stranger:main"}


def environ(tmp_path: Path, name: str, payload: object, **more: str) -> dict[str, str]:
    path = tmp_path / "event.json"
    path.write_text(json.dumps(payload))
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_ACTOR": "ada",
        "GITHUB_EVENT_NAME": name,
        "GITHUB_EVENT_PATH": str(path),
        "GITHUB_JOB": "mail",
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_REPOSITORY": "lakeside/harbour",
        "GITHUB_RUN_ATTEMPT": "1",
        "GITHUB_RUN_ID": "42",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_SHA": "a" * 40,
        "GITHUB_WORKFLOW": "Evidence mail",
    } | more


def job(variables: Mapping[str, str]) -> Job:
    return read_job(variables, None, ())


UNTOUCHED = ("refs/heads/main", "", "a" * 40)


@pytest.mark.parametrize(
    ("name", "payload", "facts"),
    [
        (
            "pull_request_target",
            {"pull_request": {"number": 7, "head": HEAD, "base": BASE}},
            ("refs/pull/7/merge", "topic", "d" * 40),
        ),
        (
            "pull_request_target",
            {"pull_request": {"number": 7, "head": FORK, "base": BASE}},
            ("refs/pull/7/merge", "stranger:main", "d" * 40),
        ),
        (
            "pull_request_target",
            {"pull_request": {"number": 7, "head": {"repo": None, "sha": "d"}, "base": BASE}},
            ("refs/pull/7/merge", "fork:topic", "d"),
        ),
        # Without its number, nothing is made of the rest.
        (
            "pull_request_target",
            {"pull_request": {"head": HEAD, "base": BASE}},
            ("refs/heads/main", "topic", "a" * 40),
        ),
        (
            "check_suite",
            {"check_suite": {"head_branch": "topic", "head_sha": "d"}},
            ("refs/heads/topic", "", "d"),
        ),
        ("check_suite", {"check_suite": {"head_branch": None, "head_sha": "d"}}, ("", "", "d")),
        (
            "check_run",
            {"check_run": {"head_sha": "d", "check_suite": {"head_branch": "topic"}}},
            ("refs/heads/topic", "", "d"),
        ),
        ("status", {"sha": "d", "commit": {}}, ("", "", "d")),
    ],
)
def test_an_event_that_runs_on_the_default_branch_is_about_another_commit(
    tmp_path: Path, name: str, payload: object, facts: tuple[str, str, str]
) -> None:
    head = {"GITHUB_HEAD_REF": "topic"} if name.startswith("pull_request") else {}
    found = job(environ(tmp_path, name, payload, **head))
    assert (found.ref, found.head_ref, found.sha) == facts
    # The run, its page and who started it are the job's own.
    assert (found.run_id, found.event, found.actor, found.name) == ("42", name, "ada", "mail")
    assert found.run_url == "https://github.com/lakeside/harbour/actions/runs/42"


@pytest.mark.parametrize(
    "name",
    [
        *("push", "merge_group", "release", "create", "delete", "deployment", "deployment_status"),
        *("schedule", "workflow_dispatch", "repository_dispatch", "workflow_call", "issues"),
        *("issue_comment", "page_build", "registry_package", "fork", "watch", "public", "gollum"),
        *("pull_request_target", "check_suite", "check_run", "status", "workflow_run", ""),
    ],
)
@pytest.mark.parametrize("payload", [{}, [], {"pull_request": 1, "check_run": [], "sha": True}])
def test_any_other_event_is_about_what_the_variables_say(
    tmp_path: Path, name: str, payload: object
) -> None:
    variables = environ(tmp_path, name, payload)
    found = job(variables)
    assert (found.ref, found.head_ref, found.sha) == UNTOUCHED
    assert read_reported_run(found, variables) is None


@pytest.mark.parametrize(
    "name", ["pull_request", "pull_request_review", "pull_request_review_comment"]
)
def test_a_pull_requests_branch_has_its_owner_where_that_is_a_fork(
    tmp_path: Path, name: str
) -> None:
    ref = {"GITHUB_REF": "refs/pull/7/merge", "GITHUB_HEAD_REF": "main"}
    for head, branch in ((FORK, "stranger:main"), (HEAD, "main")):
        payload = {"pull_request": {"number": 7, "head": head, "base": BASE}}
        found = job(environ(tmp_path, name, payload, **ref))
        assert (found.ref, found.head_ref, found.sha) == ("refs/pull/7/merge", branch, "a" * 40)


RUN: dict[str, Any] = {
    "id": 9000000042,
    "name": "Release",
    "event": "push",
    "conclusion": "failure",
    "head_branch": "topic",
    "head_sha": "d" * 40,
    "run_attempt": 2,
    "actor": {"login": "robin"},
    "triggering_actor": {"login": "kim"},
    "repository": {"full_name": "lakeside/harbour"},
    "head_repository": {"full_name": "lakeside/harbour"},
    "pull_requests": [],
    "head_commit": {"author": {"name": "Robin Quay", "email": "robin@example.com"}},
}


def reported(tmp_path: Path, **change: Any) -> Job | None:
    variables = environ(tmp_path, "workflow_run", {"workflow_run": RUN | change})
    return read_reported_run(job(variables), variables)


def test_a_run_that_is_reported_has_its_own_facts_and_the_sender_is_another(
    tmp_path: Path,
) -> None:
    assert reported(tmp_path) == Job(
        status=JobStatus.FAILURE,
        sender=Sender(
            name="mail",
            workflow="Evidence mail",
            repository="lakeside/harbour",
            run_id="42",
            run_attempt="1",
            event="workflow_run",
            url="https://github.com/lakeside/harbour/actions/runs/42",
        ),
        workflow="Release",
        repository="lakeside/harbour",
        server_url="https://github.com",
        run_id="9000000042",
        run_attempt="2",
        ref="refs/heads/topic",
        sha="d" * 40,
        actor="kim",
        event="push",
    )


def test_a_run_that_nobody_started_again_has_the_actor_and_the_repository_that_it_names(
    tmp_path: Path,
) -> None:
    found = reported(tmp_path, triggering_actor=None, repository={"full_name": "lakeside/ferry"})
    assert found is not None
    assert (found.actor, found.repository) == ("robin", "lakeside/ferry")


@pytest.mark.parametrize("word", [*JobStatus, None, "", "brand_new"])
def test_the_conclusion_of_the_run_is_its_status(tmp_path: Path, word: str | None) -> None:
    found = reported(tmp_path, conclusion=word)
    assert found is not None
    assert found.status == (word if word in tuple(JobStatus) else None)


@pytest.mark.parametrize(
    ("change", "ref", "head_ref"),
    [
        ({"event": "release", "head_branch": "v1"}, "refs/tags/v1", ""),
        ({"event": "pull_request", "pull_requests": [{"number": 7}]}, "refs/pull/7/merge", "topic"),
        ({"event": "pull_request"}, "refs/heads/topic", ""),
        (
            {
                "event": "pull_request",
                "head_branch": "main",
                "head_repository": {"full_name": "stranger/harbour"},
            },
            "stranger:main",
            "stranger:main",
        ),
        (
            {"event": "pull_request_target", "head_branch": "main", "head_repository": None},
            "fork:main",
            "fork:main",
        ),
        ({"head_branch": None}, "", ""),
    ],
    ids=["release", "pull request", "closed", "fork", "deleted fork", "no branch"],
)
def test_the_branch_of_a_reported_run_is_never_a_forks_taken_for_ours(
    tmp_path: Path, change: dict[str, Any], ref: str, head_ref: str
) -> None:
    found = reported(tmp_path, **change)
    assert found is not None
    assert (found.ref, found.head_ref) == (ref, head_ref)


def test_a_payload_that_says_little_of_the_run_leaves_the_rest_empty(tmp_path: Path) -> None:
    variables = environ(tmp_path, "workflow_run", {"workflow_run": {"id": 1, "actor": None}})
    found = read_reported_run(job(variables), variables)
    assert found is not None
    assert (found.run_id, found.repository) == ("1", "lakeside/harbour")
    assert (found.workflow, found.sha, found.actor, found.status) == ("", "", "", None)


ROBIN = {"author": {"name": "Robin", "email": "robin@example.com"}}
KIM = {"author": {"name": "Kim", "email": "kim@example.com"}}


@pytest.mark.parametrize(
    ("name", "payload", "people"),
    [
        ("push", {"head_commit": ROBIN, "commits": [KIM, ROBIN]}, ["robin", "kim"]),
        ("push", {"head_commit": ROBIN, "commits": [KIM]}, ["robin", "kim"]),
        ("push", {"head_commit": None, "commits": [], "deleted": True}, []),
        ("merge_group", {"merge_group": {"head_commit": ROBIN}}, ["robin"]),
        ("workflow_run", {"workflow_run": {"head_commit": ROBIN}}, ["robin"]),
        ("check_suite", {"check_suite": {"head_commit": ROBIN}}, ["robin"]),
        ("status", {"commit": {"commit": ROBIN}}, ["robin"]),
        ("pull_request", {"pull_request": {"user": {"login": "robin"}}}, []),
        ("release", {"release": {"author": {"login": "robin"}}}, []),
        ("schedule", {"schedule": "0 0 * * *"}, []),
        ("push", {"head_commit": {"author": {"name": "Robin", "email": ""}}, "commits": 1}, []),
    ],
)
def test_the_authors_are_those_that_the_payload_names(
    tmp_path: Path, name: str, payload: object, people: list[str]
) -> None:
    found = list_authors(environ(tmp_path, name, payload))
    assert found == tuple((each.title(), f"{each}@example.com") for each in people)


def test_the_commits_that_a_run_was_for_begin_with_a_pull_requests_own(tmp_path: Path) -> None:
    opened = {"pull_request": {"number": 7, "head": HEAD, "base": BASE}}
    for name, payload, commits in (
        ("pull_request", opened, ("d" * 40, "a" * 40)),
        ("pull_request_target", opened, ("d" * 40,)),
        ("schedule", {"schedule": "0 0 * * *"}, ("a" * 40,)),
    ):
        variables = environ(tmp_path, name, payload)
        assert list_commits(job(variables), variables) == commits
    run = {"workflow_run": RUN | {"event": "pull_request"}}
    variables = environ(tmp_path, "workflow_run", run)
    found = read_reported_run(job(variables), variables)
    assert found is not None
    assert list_commits(found, variables) == ("d" * 40,)


# --- the runner's variables, and forks ----------------------------------------------------------

RUNNER = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_JOB": "mail",
    "GITHUB_WORKFLOW": "Ship",
    "GITHUB_REPOSITORY": "lakeside/harbour",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_RUN_ID": "9000000042",
    "GITHUB_RUN_ATTEMPT": "2",
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_HEAD_REF": "",
    "GITHUB_SHA": "ab" * 20,
    "GITHUB_ACTOR": "ada",
    "GITHUB_EVENT_NAME": "push",
}


def test_the_job_is_what_the_runner_says() -> None:
    needs = (JobResult(name="build", result=JobStatus.SUCCESS),)
    assert read_job(RUNNER, JobStatus.FAILURE, needs) == Job(
        status=JobStatus.FAILURE,
        needs=needs,
        name="mail",
        workflow="Ship",
        repository="lakeside/harbour",
        server_url="https://github.com",
        run_id="9000000042",
        run_attempt="2",
        ref="refs/heads/main",
        head_ref="",
        sha="ab" * 20,
        actor="ada",
        event="push",
        is_fork=False,
    )


def test_without_a_runner_nothing_is_known() -> None:
    assert read_job({}, None, ()) == Job()


def is_fork(folder: Path, payload: object, *, event: str = "pull_request", actor: str = "") -> bool:
    path = folder / "event.json"
    octets = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    path.write_bytes(octets)
    environ = RUNNER | {
        "GITHUB_EVENT_NAME": event,
        "GITHUB_EVENT_PATH": str(path),
        "GITHUB_ACTOR": actor,
    }
    return read_job(environ, None, ()).is_fork


def pull_request(head: object, base: object = "lakeside/harbour") -> object:
    return {
        "pull_request": {
            "head": {"repo": {"full_name": head} if isinstance(head, str) else head},
            "base": {"repo": {"full_name": base} if isinstance(base, str) else base},
        }
    }


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (pull_request("stranger/harbour"), True),
        (pull_request(None), True),
        (pull_request("lakeside/harbour"), False),
    ],
    ids=["a fork", "a fork that is gone", "a branch"],
)
@pytest.mark.parametrize("event", ["pull_request", "pull_request_review"])
def test_a_pull_request_from_another_repository_is_a_forks(
    tmp_path: Path, event: str, payload: object, *, expected: bool
) -> None:
    assert is_fork(tmp_path, payload, event=event) == expected


@pytest.mark.parametrize("event", ["pull_request", "push"])
def test_what_dependabot_starts_is_treated_like_a_forks(tmp_path: Path, event: str) -> None:
    assert is_fork(tmp_path, {}, event=event, actor="dependabot[bot]")
    assert not is_fork(tmp_path, {}, event=event, actor="ada")


@pytest.mark.parametrize(
    "event", ["pull_request_target", "schedule", "workflow_dispatch", "release", ""]
)
def test_other_events_have_their_secrets(tmp_path: Path, event: str) -> None:
    payload = pull_request("stranger/harbour")
    assert not is_fork(tmp_path, payload, event=event, actor="dependabot[bot]")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"not JSON",
        b"\xff\xfe{",
        b"[" * 200_000,
        [],
        "pull_request",
        7,
        None,
        {},
        {"pull_request": None},
        {"pull_request": []},
        {"pull_request": {"head": "x"}},
        pull_request("stranger/harbour", None),
        pull_request({}, {}),
        pull_request(["full_name"]),
    ],
    ids=lambda payload: repr(payload)[:40],
)
def test_an_event_of_any_other_shape_leaves_the_fact_unknown(
    tmp_path: Path, payload: object
) -> None:
    assert not is_fork(tmp_path, payload)


@pytest.mark.parametrize("path", ["", "missing.json", ".", "a\0b"], ids=ascii)
def test_an_event_file_that_cannot_be_read_leaves_the_fact_unknown(path: str) -> None:
    environ = RUNNER | {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": path}
    assert not read_job(environ, None, ()).is_fork


@pytest.mark.parametrize("more", [0, 1])
def test_an_event_file_has_a_largest_size(tmp_path: Path, more: int) -> None:
    octets = json.dumps(pull_request("stranger/harbour")).encode()
    assert is_fork(tmp_path, octets.ljust(32 * 1024**2 + more)) is not bool(more)
