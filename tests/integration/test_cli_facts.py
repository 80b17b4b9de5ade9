"""Whose facts a mail shows, and whom it goes to: the whole program under GitHub's events."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from builders import COMMIT, cli_describe, cli_push, encoded, statement, stored_bundle
from gitrepository import commit, git
from inputs import RELAY
from program import Ended, Post, Program, never, parsed, text_of
from website import Site, github

INPUTS = RELAY | {"job-status": "success"}
REPOSITORY = "lakeside/harbour"
OWN = "https://github.com/lakeside/harbour/actions/runs/42"
OTHER = "https://github.com/lakeside/harbour/actions/runs/9000000042"
ROBIN = {"name": "Robin Quay", "email": "robin@example.com"}
RUN: dict[str, Any] = {
    "id": 9000000042,
    "name": "Release",
    "event": "push",
    "conclusion": "failure",
    "head_branch": "topic",
    "head_sha": "d" * 40,
    "run_attempt": 2,
    "triggering_actor": {"login": "kim"},
    "repository": {"full_name": REPOSITORY},
    "head_repository": {"full_name": REPOSITORY},
    "head_commit": {"id": "d" * 40, "author": ROBIN},
}


def runner(name: str, payload: object = None, **more: str) -> dict[str, str]:
    Path("event.json").write_text(json.dumps(payload or {}))
    return {
        "GITHUB_ACTOR": "ada",
        "GITHUB_EVENT_NAME": name,
        "GITHUB_EVENT_PATH": "event.json",
        "GITHUB_JOB": "mail",
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_RUN_ATTEMPT": "1",
        "GITHUB_RUN_ID": "42",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_SHA": "a" * 40,
        "GITHUB_WORKFLOW": "Evidence mail",
        "GITHUB_WORKSPACE": str(Path.cwd()),
    } | more


def after(**change: Any) -> dict[str, str]:
    """The environment of a job that a workflow_run has started."""
    return runner("workflow_run", {"workflow_run": RUN | change})


def sent(
    program: Program, environ: Mapping[str, str], post: Post | None = None, **more: str
) -> tuple[Ended, str]:
    """What the program did, and the text of its one mail; empty where there was none."""
    post = post or Post()
    given = {name.replace("_", "-"): text for name, text in more.items()}
    ended = program("send", inputs=INPUTS | given, environ=environ, post=post)
    texts = [" ".join(text_of(mail.content).split()) for mail in post.mails]
    return ended, "".join(texts[-1:])


def push(run_id: str = "9000000042", url: str = "", **variables: str) -> str:
    document = cli_push(statement())
    context = document["runnerContext"]
    context["EnvVars"] = context["EnvVars"] | {"GITHUB_RUN_ID": run_id} | variables
    context["JobURL"] = url or f"https://github.com/{REPOSITORY}/actions/runs/{run_id}"
    return encoded(document).decode()


# --- evidence against the runner ---------------------------------------------------------------


def test_evidence_of_this_run_does_not_say_where_the_run_is_and_what_for(
    program: Program,
) -> None:
    evil = "https://github.com.evil.example"
    forged = push(
        "42",
        f"{evil}/{REPOSITORY}/actions/runs/42",
        GITHUB_ACTOR="mallory",
        GITHUB_EVENT_NAME="release",
        GITHUB_REF="refs/tags/v9",
        GITHUB_SERVER_URL=evil,
        GITHUB_SHA="f" * 40,
    )
    post = Post()
    ended, text = sent(program, runner("push"), post, attestation=forged, env_values="hide")
    assert ended.code == 0
    (mail,) = post.mails
    assert f"View workflow run: {OWN} " in text
    assert f'href="{OWN}"' in mail.html
    assert f'href="https://github.com/{REPOSITORY}/commit/{"a" * 40}"' in mail.html
    assert mail.subject.endswith("main@aaaaaaa (evidence in doubt)")
    assert "Triggered by: ada (push)" in text
    for part in (mail.text, mail.html, mail.summary):
        assert "mallory" not in part
        assert "fffffff" not in part
        assert f"{evil}/" not in part
    why = "The evidence places this run on github.com.evil.example, but it is on github.com."
    assert why in text
    assert ("warning", "the evidence is in doubt") in ended.annotations


def test_a_foreign_host_is_named_in_every_part(program: Program) -> None:
    url = "https://github.com.evil.example/lakeside/pier/actions/runs/7"
    forged = push("7", url, GITHUB_REPOSITORY="lakeside/pier")
    post = Post()
    _, text = sent(program, runner("schedule"), post, attestation=forged)
    (mail,) = post.mails
    assert f"View workflow run on github.com.evil.example: {url} " in text
    assert ">View workflow run on github.com.evil.example</a>" in mail.html
    assert f"[View workflow run on github.com.evil.example](<{url}>)" in mail.summary
    assert "evil.example/lakeside/pier/commit" not in mail.html


# --- workflow_run ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("conclusion", "outcome", "reason"),
    [
        ("failure", "failed", "Run failed."),
        ("timed_out", "failed", "Run timed out."),
        ("startup_failure", "failed", "Run could not start."),
        ("action_required", "failed", "Run needs someone to act."),
        ("cancelled", "cancelled", "Run was cancelled."),
        ("stale", "cancelled", "Run went stale."),
        ("skipped", "not-attested", "Run was skipped."),
    ],
)
@pytest.mark.parametrize("is_given", [False, True], ids=["by default", "by the workflow"])
def test_a_mail_after_a_run_is_about_that_run(
    program: Program, conclusion: str, outcome: str, reason: str, is_given: bool
) -> None:
    given = {"job_status": conclusion} if is_given else {}
    post = Post()
    ended, text = sent(
        program, after(conclusion=conclusion), post, attestation="evidence/none.json", **given
    )
    assert ended.code == 0
    assert ended.outputs["outcome"] == outcome
    assert reason in text
    assert f"View workflow run: {OTHER} " in text
    (mail,) = post.mails
    assert "topic@ddddddd" in mail.subject
    assert "Release on topic at ddddddd" in text
    assert "Triggered by: kim (push)" in text
    assert "CI workflow: Release in lakeside/harbour" in text
    assert "CI run: 9000000042, attempt 2" in text
    # The job that mails is blamed for nothing, and can be found.
    assert "ob mail failed" not in text
    assert "CI job" not in text
    assert "Mailed by: job mail of Evidence mail, run 42" in text
    assert "Sent by job mail of Evidence mail in lakeside/harbour." in text
    assert "main" not in mail.subject


def test_a_good_run_is_told_by_its_evidence(program: Program) -> None:
    environ = after(conclusion="success", head_branch="main", head_sha=COMMIT)
    ended, text = sent(program, environ, attestation=push())
    assert ended.outputs["outcome"] == "attested"
    assert ended.annotations == []
    assert f"View workflow run: {OTHER} " in text


def test_evidence_of_a_third_run_is_doubted(program: Program) -> None:
    ended, text = sent(program, after(conclusion="success"), attestation=push("7"))
    why = "The evidence is from CI run 7, but this mail is about CI run 9000000042."
    assert why in text
    assert ("warning", "the evidence is in doubt") in ended.annotations


def test_a_run_that_is_still_going_on_has_no_status_of_the_jobs(program: Program) -> None:
    ended, text = sent(program, after(conclusion=None))
    assert ended.outputs["outcome"] == "not-attested"
    assert f"View workflow run: {OTHER} " in text


def test_a_job_that_went_wrong_after_a_good_run_is_what_the_mail_is_about(
    program: Program,
) -> None:
    ended, text = sent(program, after(conclusion="success"), job_status="failure")
    assert ended.outputs["outcome"] == "failed"
    assert "Job mail failed." in text
    assert f"View workflow run: {OWN} " in text


def test_a_workflow_that_follows_another_may_attest_itself(program: Program) -> None:
    ended, text = sent(program, after(), attestation=push("42"))
    assert ended.outputs["outcome"] == "attested"
    assert f"View workflow run: {OWN} " in text
    assert "CI job: mail" in text


def test_a_payload_without_a_run_leaves_the_jobs_own_facts(program: Program) -> None:
    _, text = sent(program, runner("workflow_run"))
    assert f"View workflow run: {OWN} " in text


@pytest.mark.parametrize(
    ("change", "boxes"),
    [
        ({}, ["topic@example.com", "push@example.com", "reports@example.com"]),
        ({"head_branch": "main"}, ["main@example.com", "push@example.com", "reports@example.com"]),
        (
            {
                "event": "pull_request",
                "head_branch": "main",
                "head_repository": {"full_name": "stranger/harbour"},
            },
            ["reports@example.com"],
        ),
    ],
    ids=["topic", "main", "a fork's main"],
)
def test_the_branch_and_the_event_of_the_run_choose_the_recipients(
    program: Program, change: dict[str, Any], boxes: list[str]
) -> None:
    Path("mails.yml").write_text(
        "registrations: [{name: a}]\n"
        "attachments:\n"
        "  - {registration: a, to: topic@example.com, branch: topic}\n"
        "  - {registration: a, to: main@example.com, branch: main}\n"
        "  - {registration: a, to: push@example.com, event: push}\n"
        "  - {registration: a, to: reports@example.com, event: workflow_run}\n"
    )
    inputs = {name: text for name, text in INPUTS.items() if name != "to"} | {"config": "mails.yml"}
    post = Post()
    ended = program("send", inputs=inputs, environ=after(**change), post=post)
    assert ended.code == 0, ended.stderr
    assert [mail.recipients[0] for mail in post.mails] == boxes


def test_the_report_says_who_reports_what(program: Program) -> None:
    post = Post()
    sent(program, after(), post, attestation="none.json", attach="report")
    (part,) = post.mails[0].parts
    job = json.loads(part.content)["job"]
    assert (job["runId"], job["name"], job["status"]) == ("9000000042", "", "failure")
    assert (job["sender"]["runId"], job["sender"]["name"]) == ("42", "mail")


@pytest.mark.parametrize("attach", ["attestation\nreport", "attestation"])
@pytest.mark.parametrize("conclusion", ["success", "failure", "timed_out"])
@pytest.mark.parametrize(
    "needs", ["", "success, timed_out, success, stale", '{"fetch": {"result": "success"}}']
)
def test_a_mail_after_a_run_agrees_with_its_evidence(
    program: Program, attach: str, conclusion: str, needs: str
) -> None:
    post = Post()
    environ = after(conclusion=conclusion)
    sent(program, environ, post, attestation=push(), attach=attach, needs=needs)
    Path("mail.eml").write_bytes(post.mails[0].content)
    ended = program("verify", "mail.eml")
    assert ended.code == 0, ended.stderr
    assert "NOT CONFIRMED" not in ended.stdout
    assert ("ok      verdict in the report" in ended.stdout) is ("report" in attach)


def test_a_mail_about_another_commit_than_the_attested_one_agrees_with_its_evidence(
    program: Program,
) -> None:
    variables = {"GITHUB_RUN_ID": "42", "GITHUB_SHA": "a" * 40}
    evidence = encoded(cli_describe(statement(environment=variables))).decode()
    post = Post()
    _, text = sent(program, runner("push"), post, attestation=evidence, attach="attestation")
    assert f"CI commit: {'a' * 40}" in text
    Path("mail.eml").write_bytes(post.mails[0].content)
    ended = program("verify", "mail.eml")
    assert ended.code == 0, ended.stderr
    assert "NOT CONFIRMED" not in ended.stdout


# --- author ------------------------------------------------------------------------------------

EVENTS = {
    "merge_group": {"merge_group": {"head_sha": "d" * 40, "head_commit": {"author": ROBIN}}},
    "workflow_run": {"workflow_run": RUN},
    "push": {"ref": "refs/tags/v1", "head_commit": {"author": ROBIN}, "commits": []},
    "check_suite": {"check_suite": {"head_sha": "d" * 40, "head_commit": {"author": ROBIN}}},
    "status": {"sha": "d" * 40, "commit": {"commit": {"author": ROBIN}}},
}


@pytest.mark.parametrize("name", EVENTS)
@pytest.mark.parametrize("who", ["author", "contributors"])
def test_the_author_is_whom_the_event_names(program: Program, name: str, who: str) -> None:
    post = Post()
    ended, _ = sent(program, runner(name, EVENTS[name]), post, to=who)
    assert ended.code == 0
    (box,) = parsed(post.mails[0].content)["To"].addresses
    assert (box.display_name, box.addr_spec) == ("Robin Quay", "robin@example.com")


SILENT = {
    "pull_request": {"pull_request": {"number": 7, "head": {"sha": "e" * 40}}},
    "release": {"release": {"author": {"login": "robin"}}},
    "schedule": {"schedule": "0 0 * * *"},
    "workflow_dispatch": {"inputs": None},
    "repository_dispatch": {"client_payload": {}},
    "create": {"ref": "v1", "ref_type": "tag"},
    "deployment": {"deployment": {"sha": "e" * 40}},
    "issue_comment": {"comment": {"user": {"login": "robin"}}},
    "push": {"head_commit": None},
}


@pytest.mark.parametrize("who", ["author", "contributors"])
@pytest.mark.parametrize("name", SILENT)
def test_where_the_event_names_nobody_the_commit_does(
    program: Program, name: str, who: str
) -> None:
    sha = commit(Path.cwd(), "Robin Quay <robin@example.com>")
    commit(Path.cwd(), "Kim <kim@example.com>")
    post = Post()
    ended, _ = sent(program, runner(name, SILENT[name], GITHUB_SHA=sha), post, to=who)
    assert ended.code == 0
    assert post.mails[0].recipients == ("robin@example.com",)


def test_a_pull_requests_own_commit_goes_before_githubs_merge(program: Program) -> None:
    head = commit(Path.cwd(), "Robin Quay <robin@example.com>")
    merge = commit(Path.cwd(), "Kim <kim@example.com>")
    payload = {"pull_request": {"number": 7, "head": {"sha": head}}}
    post = Post()
    sent(program, runner("pull_request", payload, GITHUB_SHA=merge), post, to="author")
    assert post.mails[0].recipients == ("robin@example.com",)


def test_what_is_checked_out_is_the_last_to_be_asked(program: Program) -> None:
    commit(Path.cwd(), "Robin Quay <robin@example.com>")
    post = Post()
    sent(program, runner("schedule"), post, to="author")
    assert post.mails[0].recipients == ("robin@example.com",)
    # The repository that only holds the configuration.
    git(Path.cwd(), "remote", "add", "origin", "https://github.com/lakeside/mail")
    ended, _ = sent(program, runner("schedule"), post, to="author")
    assert len(post.mails) == 1
    assert ("warning", "no recipients") in ended.annotations


def test_what_is_checked_out_did_not_make_the_run_that_is_reported(program: Program) -> None:
    commit(Path.cwd(), "Robin Quay <robin@example.com>")
    ended = program(
        "send", inputs=INPUTS | {"to": "author"}, environ=after(head_commit=None), post=never
    )
    assert ended.code == 0
    assert ("warning", "no recipients") in ended.annotations


def test_the_author_in_the_evidence_of_this_run_comes_after_githubs(program: Program) -> None:
    forged = encoded(
        cli_describe(statement(environment={"GITHUB_RUN_ID": "42", "GITHUB_SHA": "a" * 40}))
    ).decode()
    post = Post()
    event = {"head_commit": {"author": ROBIN}}
    sent(program, runner("push", event), post, to="author", attestation=forged)
    sha = commit(Path.cwd(), "Robin Quay <robin@example.com>")
    environ = runner("schedule", GITHUB_SHA=sha, GITHUB_RUN_ATTEMPT="2")
    sent(program, environ, post, to="author", attestation=forged)
    assert [mail.recipients for mail in post.mails] == [("robin@example.com",)] * 2
    # Nobody else knows the commit.
    sent(program, runner("schedule"), post, to="author", attestation=forged)
    assert post.mails[2].recipients == ("ada@lakeside.example",)


def test_of_another_run_only_the_evidence_names_the_author(program: Program) -> None:
    post = Post()
    environ = runner("push", {"head_commit": {"author": ROBIN}})
    described = encoded(cli_describe(statement())).decode()
    sent(program, environ, post, to="author", attestation=described)
    assert post.mails[0].recipients == ("ada@lakeside.example",)


@pytest.mark.parametrize("name", [*SILENT, "delete", "merge_group", "workflow_run"])
def test_nobody_to_write_to_is_a_warning(program: Program, name: str) -> None:
    ended = program("send", inputs=INPUTS | {"to": "author"}, environ=runner(name, {}), post=never)
    assert (ended.code, ended.outputs["sent"]) == (0, "false")
    assert ended.annotations == [
        ("warning", "no evidence is given"),
        ("notice", "no author"),
        ("warning", "no recipients"),
    ]
    assert (
        "::warning title=Chainloop SMTP%3A no recipients::No mail is sent: there are no "
        "recipients: the people looked up are not known, or are bots.\n"
    ) in ended.stdout


def test_contributors_of_a_reported_run_are_asked_for_by_that_run(
    program: Program, site: Site
) -> None:
    commits = [{"commit": {"author": {"name": "Kim", "email": "kim@example.com"}}}]
    there = github(site, 9000000042, "d" * 40, branch="topic", commits=commits)
    post = Post()
    environ = after() | there
    sent(program, environ, post, to="contributors", attestation="none.json", github_token="t")
    assert post.mails[0].recipients == ("kim@example.com",)


def test_without_a_commit_since_the_last_good_run_the_last_author_stands_in(
    program: Program, site: Site
) -> None:
    post = Post()
    there = github(site, 42, "a" * 40)
    environ = runner("push", {"head_commit": {"author": ROBIN}}, **there)
    ended, _ = sent(program, environ, post, to="contributors", github_token="t")
    assert post.mails[0].recipients == ("robin@example.com",)
    assert ended.annotation("no contributors") == (
        "There is no commit since the last good run; the authors of the last commits are used "
        "instead."
    )


# --- the shipped example -----------------------------------------------------------------------

EXAMPLE = Path(__file__).parents[2] / "examples" / "after-the-run.yml"


@pytest.mark.parametrize("conclusion", ["success", "failure", "timed_out", "skipped"])
def test_the_shipped_example_mails_the_run_that_has_ended(
    program: Program, conclusion: str
) -> None:
    *_, step = yaml.safe_load(EXAMPLE.read_text())["jobs"]["mail"]["steps"]
    Path(".github").mkdir()
    Path(".github/chainloop-smtp.yml").write_text(
        "registrations: [{name: a, host: h.example, port: 587, auth: none, "
        "from: a@example.com, to: b@example.com}]\n"
        "attachments: [{registration: a, branch: topic}]\n"
    )
    if conclusion == "success":
        Path("evidence").mkdir()
        Path("evidence/attestation.json").write_text(push())
        Path("evidence/bundle.json").write_bytes(stored_bundle(statement()))
    # As action.yml has it.
    inputs = {"job-status": "success", "port": "587"} | step["with"]
    post = Post()
    ended = program("send", inputs=inputs, environ=after(conclusion=conclusion), post=post)
    assert ended.code == 0, ended.stderr
    (mail,) = post.mails
    assert f"\n  {OTHER}\n" in mail.text
    outcomes = {"success": "attested", "skipped": "not-attested"}
    assert ended.outputs["outcome"] == outcomes.get(conclusion, "failed")
