"""At which step a job failed: GitHub's list of jobs, from the API to the mail."""

import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from builders import cli_push, encoded, statement
from chainloop_smtp.cli import run_facts
from chainloop_smtp.model.facts import FailedStep, Job, JobResult, JobStatus, Sender
from chainloop_smtp.source import github
from program import INPUTS, Ended, Post, Program
from program import text_of as crlf_text_of
from website import Answer, Site, answer, listed_job, listed_jobs

FAILED, CANCELLED = JobStatus.FAILURE, JobStatus.CANCELLED
JOB = Job(
    repository="lakeside/harbour",
    server_url="https://github.com",
    run_id="100",
    run_attempt="1",
    name="build",
    status=FAILED,
)
PATH = "/repos/lakeside/harbour/actions/runs/100/attempts/1/jobs"
PAGE = "https://github.com/lakeside/harbour/actions/runs/100/job"
TESTS = (("Check out", "success"), ("Run tests", "failure"), ("Upload", "skipped"))
OWN = listed_job("build", id_=7, steps=(*TESTS, ("Mail", None)), runner="GitHub Actions 12")
OTHER = listed_job("lint", id_=8, steps=(("Lint", "failure"), ("Mail", None)), runner="mine")
STEP = FailedStep(job="build", name="Run tests", url=f"{PAGE}/7#step:3:1")


def found(
    site: Site, *jobs: dict[str, object], job: Job = JOB, environ: Mapping[str, str] | None = None
) -> tuple[FailedStep, ...]:
    address = listed_jobs(site, *jobs, attempt=int(job.run_attempt))
    steps, why = github.find_failed_steps(job, {**address, **(environ or {})}, "t0k3n", 5, 20)
    assert why == ""
    return steps


@pytest.mark.parametrize(
    "environ",
    [
        {"JOB_CHECK_RUN_ID": "7"},
        {"RUNNER_NAME": "GitHub Actions 12"},
        {"JOB_CHECK_RUN_ID": "7", "RUNNER_NAME": "mine"},
    ],
    ids=["id", "runner", "both"],
)
def test_the_own_job_is_known_by_its_id_or_its_runner(site: Site, environ: dict[str, str]) -> None:
    assert found(site, OTHER, OWN, environ=environ) == (STEP,)
    assert site.asked == [f"{PATH}?per_page=100&page=1"]
    assert site.credentials == ["Bearer t0k3n"]


def test_of_several_jobs_the_one_that_still_runs_is_the_own(site: Site) -> None:
    before = listed_job("lint", steps=[("Lint", "failure")], conclusion="failure")
    assert found(site, before, OWN, environ={"RUNNER_NAME": "renamed"}) == (STEP,)


@pytest.mark.parametrize(
    "environ",
    [{}, {"RUNNER_NAME": "other"}, {"JOB_CHECK_RUN_ID": "9", "RUNNER_NAME": "GitHub Actions 12"}],
    ids=["nothing", "another runner", "another id"],
)
def test_a_job_that_may_be_another_one_is_not_taken(site: Site, environ: dict[str, str]) -> None:
    assert found(site, OTHER, OWN, environ=environ) == ()


def test_two_jobs_on_runners_of_one_name_are_not_told_apart(site: Site) -> None:
    assert found(site, OTHER, OTHER, environ={"RUNNER_NAME": "mine"}) == ()


def test_a_job_of_a_matrix_keeps_the_name_that_github_shows(site: Site) -> None:
    jobs = [
        listed_job(f"build ({leg})", id_=leg, steps=TESTS, runner=f"runner {leg}")
        for leg in (311, 312)
    ]
    assert found(site, *jobs, environ={"RUNNER_NAME": "runner 312"}) == (
        FailedStep(job="build (312)", name="Run tests", url=f"{PAGE}/312#step:3:1"),
    )


def test_the_first_step_that_failed_is_the_one(site: Site) -> None:
    steps = [("Stop", "cancelled"), ("Test", "timed_out"), ("Clean up", "failure")]
    (step,) = found(site, listed_job("build", steps=steps))
    assert step.name == "Test"


def test_a_cancelled_job_stopped_where_it_was_cancelled(site: Site) -> None:
    steps = [("Flaky", "failure"), ("Wait", "cancelled"), ("Deploy", "skipped")]
    (step,) = found(site, listed_job("build", steps=steps), job=replace(JOB, status=CANCELLED))
    assert step.name == "Wait"


def test_a_step_that_github_has_not_heard_of_yet_is_asked_for_once_more(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(github, "_PAUSE", 0.01)
    late = listed_job("build", id_=7, steps=[("Check out", "success"), ("Run tests", None)])
    site.answers[PATH] = _paged([[late], [OWN], [late], [late]], 1)
    environ = {"GITHUB_API_URL": site.base}
    assert github.find_failed_steps(JOB, environ, "t0k3n", 5, 20) == ((STEP,), "")
    assert github.find_failed_steps(JOB, environ, "t0k3n", 5, 20) == ((), "")


def _reply(*jobs: dict[str, object], total: int | None = None) -> Answer:
    return answer(json.dumps({"total_count": total or len(jobs), "jobs": jobs}).encode())


def ended(name: str, id_: int, step: str = "Run tests", end: str = "failure") -> dict[str, object]:
    return listed_job(name, id_=id_, steps=[("Check out", "success"), (step, end)], conclusion=end)


def needing(*results: tuple[str, JobStatus]) -> Job:
    needs = tuple(JobResult(name=name, result=result) for name, result in results)
    return replace(JOB, status=JobStatus.SUCCESS, needs=needs)


@pytest.mark.parametrize(
    ("job_id", "names"),
    [
        ("test", ["test"]),
        ("test", ["test (3.11)", "test (3.12)"]),
        ("unit-tests", ["Unit tests", "Unit tests (slow)"]),
        ("release", ["release / build"]),
    ],
    ids=["id", "matrix", "name", "called workflow"],
)
def test_an_earlier_job_is_found_by_its_name(site: Site, job_id: str, names: list[str]) -> None:
    jobs = [ended(name, number) for number, name in enumerate(names, 1)]
    jobs += [ended("lint", 20, "Lint"), listed_job("test (3.13)", conclusion="success")]
    steps = found(site, *jobs, job=needing(("lint", JobStatus.SUCCESS), (job_id, FAILED)))
    assert steps == tuple(
        FailedStep(job=name, name="Run tests", need=1, url=f"{PAGE}/{number}#step:3:1")
        for number, name in enumerate(names, 1)
    )


def test_the_only_job_that_failed_is_the_earlier_one_whatever_its_name(site: Site) -> None:
    jobs = [ended("Everything", 3), ended("Slow", 4, end="cancelled"), listed_job("mail", id_=5)]
    (step,) = found(site, *jobs, job=needing(("", FAILED), ("docs", JobStatus.SUCCESS)))
    assert (step.job, step.need) == ("Everything", 0)


@pytest.mark.parametrize(
    "job",
    [needing(("checks", FAILED)), needing(("checks", FAILED), ("more", FAILED))],
    ids=["one need", "two"],
)
def test_one_of_several_unknown_names_is_not_guessed(site: Site, job: Job) -> None:
    assert found(site, ended("Everything", 3), ended("Slow", 4), job=job) == ()


def test_a_cancelled_earlier_job_and_a_failed_one_keep_apart(site: Site) -> None:
    jobs = [ended("a", 3, "Deploy", "cancelled"), ended("b", 4)]
    steps = found(site, *jobs, job=needing(("a", CANCELLED), ("b", FAILED)))
    assert [(each.name, each.need) for each in steps] == [("Deploy", 0), ("Run tests", 1)]


def test_a_job_that_never_began_has_no_step(site: Site) -> None:
    lost = listed_job("test", conclusion="failure")
    assert found(site, lost, job=needing(("test", FAILED))) == ()


def test_of_a_reported_run_all_failed_jobs_are_named(site: Site) -> None:
    job = replace(JOB, name="", run_attempt="2", sender=Sender(name="mail"))
    jobs = [ended("a", 3), ended("b", 4, end="cancelled"), ended("c", 5, "Push")]
    steps = found(site, *jobs, OWN, job=job)
    assert [(each.job, each.name, each.need) for each in steps] == [
        ("a", "Run tests", None),
        ("c", "Push", None),
    ]
    assert found(site, *jobs, job=replace(job, status=None)) == ()


def test_a_link_leads_to_githubs_own_server_only(site: Site) -> None:
    steps = [("Run tests", "failure")]
    jobs = [listed_job("build", id_=7, steps=steps, server="https://github.com.example.net")]
    assert found(site, *jobs) == (FailedStep(job="build", name="Run tests"),)


def test_a_run_of_many_jobs_is_read_to_its_end(site: Site) -> None:
    many = [listed_job(f"leg {number}", conclusion="success") for number in range(100)]
    site.answers[PATH] = _paged([many, [OWN]], 101)
    environ = {"GITHUB_API_URL": site.base}
    assert github.find_failed_steps(JOB, environ, "t0k3n", 5, 20) == ((STEP,), "")
    assert [each.rpartition("&")[2] for each in site.asked] == ["page=1", "page=2"]


def test_a_run_of_too_many_jobs_is_left_alone(site: Site) -> None:
    site.answers[PATH] = _paged([[OWN]] * 10, 5000)
    environ = {"GITHUB_API_URL": site.base}
    assert github.find_failed_steps(JOB, environ, "t0k3n", 5, 20) == ((), "")
    assert len(site.asked) == 10


def _paged(pages: list[list[dict[str, object]]], total: int) -> Answer:
    rest = [_reply(*page, total=total) for page in pages]

    def respond(handler: BaseHTTPRequestHandler) -> None:
        rest.pop(0)(handler)

    return respond


@pytest.mark.parametrize(
    ("job", "token"),
    [
        (JOB, ""),
        (replace(JOB, run_id=""), "t"),
        (replace(JOB, run_attempt=""), "t"),
        (replace(JOB, ci="GITLAB_PIPELINE"), "t"),
    ],
    ids=["token", "run", "attempt", "another CI"],
)
def test_without_a_run_or_a_token_nobody_is_asked(site: Site, job: Job, token: str) -> None:
    environ = {"GITHUB_API_URL": site.base}
    assert github.find_failed_steps(job, environ, token, 5, 20) == ((), "")
    assert site.asked == []


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (
            answer(b'{"message": "Resource not accessible by integration"}', 403),
            "GitHub does not say (the server answers 403). Give the job permissions: actions: read",
        ),
        (answer(b"", 502), "GitHub does not say (the server answers 502)"),
        (answer(b"<html>"), "GitHub's reply cannot be parsed"),
        (answer(b"[]"), "GitHub's reply cannot be parsed"),
        (answer(b'{"total_count": 1, "jobs": ["x"]}'), "GitHub's reply cannot be parsed"),
        (answer(b'{"total_count": 1, "jobs": [{}]}'), "GitHub's reply cannot be parsed"),
    ],
    ids=["denied", "broken", "HTML", "a list", "texts", "empty"],
)
def test_an_answer_that_is_none_is_said_to_be(site: Site, reply: Answer, expected: str) -> None:
    site.answers[PATH] = reply
    environ: dict[str, Any] = {"GITHUB_API_URL": site.base}
    assert github.find_failed_steps(JOB, environ, "t0k3n", 5, 20) == ((), expected)


# --- the mail ----------------------------------------------------------------------------------

RUNNER = {
    "GITHUB_REPOSITORY": "lakeside/harbour",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_RUN_ID": "100",
    "GITHUB_RUN_ATTEMPT": "1",
    "GITHUB_WORKFLOW": "Release",
    "GITHUB_JOB": "build",
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_SHA": "9c1d4e7f2b8a6035d4e9f1a7c3b5d8e0f2a4b6c8",
    "RUNNER_NAME": "GitHub Actions 12",
}


def mailed(
    program: Program, environ: dict[str, str], post: Post | None = None, **more: str
) -> tuple[Ended, bytes]:
    post = post or Post()
    inputs = INPUTS | {"github-token": "t0k3n", "job-status": "failure"}
    inputs |= {name.replace("_", "-"): value for name, value in more.items()}
    ended = program("send", inputs=inputs, environ=RUNNER | environ, post=post)
    assert ended.code == 0, ended.stderr
    return ended, post.mails[0].content


def text_of(mail: bytes) -> str:
    return crlf_text_of(mail).replace("\r\n", "\n")


def html_of(mail: bytes) -> str:
    parts = message_from_bytes(mail).walk()
    (html,) = (part for part in parts if part.get_content_type() == "text/html")
    content = html.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content.decode()


def test_a_failed_job_mails_the_step_and_a_link_to_its_log(program: Program, site: Site) -> None:
    ended, mail = mailed(program, listed_jobs(site, OTHER, OWN))

    subject = message_from_bytes(mail)["Subject"].replace("\r\n", "")
    assert subject == "[harbour] Failed: Release main@9c1d4e7 (job build failed at step Run tests)"
    text = text_of(mail)
    assert "Job build failed at step Run tests." in text
    assert f"View step log:\n  {PAGE}/7#step:3:1\n" in text
    assert "  build:           failure at step Run tests\n" in text
    html = html_of(mail)
    assert html.count(f'href="{PAGE}/7#step:3:1"') == 2
    assert f"[View step log](<{PAGE}/7#step:3:1>)" in ended.summary
    assert b"t0k3n" not in ended.everything()
    assert "failed step" not in ended.log


def test_each_step_of_several_has_its_link_in_every_part(program: Program, site: Site) -> None:
    jobs = [ended("build", 3), ended("test (3.12)", 4, "Run [all] | tests")]
    needs = json.dumps({name: {"result": "failure"} for name in ("build", "test")})
    end, mail = mailed(program, listed_jobs(site, *jobs), job_status="success", needs=needs)

    text, html = text_of(mail), html_of(mail)
    assert "View step log" not in text + html
    assert f"  build:           failure at step Run tests\n    {PAGE}/3#step:3:1\n" in text
    assert f"  test (3.12):     at step Run [all] | tests\n    {PAGE}/4#step:3:1\n" in text
    for page in (f"{PAGE}/3#step:3:1", f"{PAGE}/4#step:3:1"):
        assert html.count(f'href="{page}"') == 1
        assert f"](<{page}>) |" in end.summary
    assert "| test (3.12) | [at step Run \\[all\\] \\| tests](<" in end.summary


def test_evidence_of_this_very_run_does_not_hide_the_step(
    program: Program, site: Site, tmp_path: Path
) -> None:
    (tmp_path / "push.json").write_bytes(encoded(cli_push(_of_run_100())))
    _, mail = mailed(
        program, listed_jobs(site, OWN), attestation=str(tmp_path / "push.json"), needs=""
    )
    assert "Job build failed at step Run tests. The attestation was recorded" in text_of(mail)


def _of_run_100() -> dict[str, Any]:
    told = statement(environment={"GITHUB_RUN_ID": "100"})
    told["predicate"]["runnerURL"] = "https://github.com/lakeside/harbour/actions/runs/100"
    return told


def _reporting(folder: Path) -> dict[str, str]:
    """What the runner gives a job that follows run 100, which failed."""
    event = {
        "workflow_run": {
            "id": 100,
            "name": "Release",
            "conclusion": "failure",
            "run_attempt": 1,
            "head_branch": "main",
            "head_sha": RUNNER["GITHUB_SHA"],
            "repository": {"full_name": "lakeside/harbour"},
        }
    }
    (folder / "event.json").write_text(json.dumps(event))
    return {
        "GITHUB_EVENT_NAME": "workflow_run",
        "GITHUB_EVENT_PATH": str(folder / "event.json"),
    }


def test_a_reported_run_names_its_job_and_step(
    program: Program, site: Site, tmp_path: Path
) -> None:
    environ = _reporting(tmp_path) | {"GITHUB_RUN_ID": "101"}
    environ |= listed_jobs(site, ended("test (3.12)", 4), listed_job("lint", conclusion="success"))
    _, mail = mailed(program, environ, job_status="success")
    text = text_of(mail)
    assert "Run failed in job test (3.12) at step Run tests." in text
    assert f"View step log:\n  {PAGE}/4#step:3:1\n" in text
    assert "  the run:         failure\n  test (3.12):     at step Run tests\n" in text


def test_evidence_of_the_mailing_run_itself_names_no_step_of_the_reported_one(
    program: Program, site: Site, tmp_path: Path
) -> None:
    (tmp_path / "push.json").write_bytes(encoded(cli_push(_of_run_100())))
    environ = _reporting(tmp_path)
    event = json.loads((tmp_path / "event.json").read_text("utf-8"))
    event["workflow_run"]["id"] = 99
    (tmp_path / "event.json").write_text(json.dumps(event))
    environ |= listed_jobs(site, ended("test (3.12)", 4))
    site.answers |= {path.replace("/100/", "/99/"): each for path, each in site.answers.items()}
    _, mail = mailed(
        program, environ, job_status="success", attestation=str(tmp_path / "push.json")
    )
    assert site.asked
    assert "Run tests" not in text_of(mail)


def test_without_the_permission_the_mail_goes_and_one_notice_says_which(
    program: Program, site: Site
) -> None:
    site.answers[PATH] = answer(b'{"message": "Resource not accessible by integration"}', 403)
    ended, mail = mailed(program, {"GITHUB_API_URL": site.base})
    assert "Job build failed. No evidence was given" in " ".join(text_of(mail).split())
    (notice,) = [line for line in ended.stdout.splitlines() if "failed step" in line]
    assert notice == (
        "::notice title=Chainloop SMTP%3A failed step not named::GitHub does not say (the server "
        "answers 403). Give the job permissions: actions: read."
    )


@pytest.mark.parametrize(
    ("environ", "inputs"),
    [
        ({}, {"job_status": "success"}),
        ({}, {"job_status": "skipped"}),
        ({}, {"github_token": ""}),
        ({"GITHUB_RUN_ID": ""}, {}),
    ],
    ids=["success", "skipped", "no token", "no run"],
)
def test_nobody_is_asked_where_nothing_failed_or_there_is_nobody_to_ask(
    program: Program, site: Site, environ: dict[str, str], inputs: dict[str, str]
) -> None:
    ended, _ = mailed(program, {"GITHUB_API_URL": site.base} | environ, None, **inputs)
    assert site.asked == []
    assert "failed step" not in ended.log


def test_a_slow_answer_does_not_hold_up_the_mail(
    program: Program, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_facts, "_STEPS_SECONDS", 0.2)
    is_over = threading.Event()

    def wait(handler: BaseHTTPRequestHandler) -> None:
        is_over.wait(30)
        _reply(OWN)(handler)

    site.answers[PATH] = wait
    post = Post()
    ended, mail = mailed(program, {"GITHUB_API_URL": site.base}, post, deadline="60")
    is_over.set()
    assert 1 < post.transports[0].deadline <= 59.8
    assert "Job build failed. " in text_of(mail)
    assert "failed step not named::GitHub has not answered within 0.2 seconds." in ended.stdout


@pytest.mark.parametrize("attach", ["attestation", "attestation\nreport"])
@pytest.mark.parametrize(
    ("jobs", "needs"),
    [
        ((OWN,), ""),
        ((listed_job("build (3.12)", id_=9, steps=TESTS),), ""),
        ((ended("test (a)", 3), ended("test (b)", 4, "Lint"), ended("x", 5)), "test"),
        ((ended("test", 3), ended("x", 4, "Lint")), "test x"),
    ],
    ids=["own", "leg", "matrix", "two"],
)
def test_a_mail_that_names_steps_is_verified(
    program: Program,
    site: Site,
    tmp_path: Path,
    attach: str,
    jobs: tuple[dict[str, object], ...],
    needs: str,
) -> None:
    (tmp_path / "push.json").write_bytes(encoded(cli_push(_of_run_100())))
    results = {name: {"result": "failure"} for name in needs.split()}
    _, mail = mailed(
        program,
        listed_jobs(site, *jobs),
        attestation=str(tmp_path / "push.json"),
        attach=attach,
        job_status="success" if needs else "failure",
        needs=json.dumps({"setup": {"result": "success"}} | results) if needs else "",
    )
    assert "at step" in text_of(mail)
    checked = program("verify", "-", "-o", "json", stdin=mail, is_actions=False)
    assert checked.code == 0, checked.stdout
    assert json.loads(checked.stdout)["ok"], checked.stdout
