"""How the run before ended: a stand-in for GitHub's API, over https on loopback."""

import json
from dataclasses import replace
from typing import Any

import pytest

from chainloop_smtp.model.facts import Job, Previous
from chainloop_smtp.source import github
from proxies import Tunnel
from website import Site, answer

JOB = Job(repository="lakeside/harbour", run_id="100")
RUN = {"workflow_id": 42, "head_branch": "topic/a b", "run_number": 7}
LISTED = "/repos/lakeside/harbour/actions/workflows/42/runs"


def asked(
    site: Site, *runs: tuple[int, str | None], this: Any = None, listed: Any = None
) -> Previous:
    earlier = [{"run_number": number, "conclusion": end} for number, end in runs]
    site.answers = {
        "/repos/lakeside/harbour/actions/runs/100": answer(json.dumps(this or RUN).encode()),
        LISTED: answer(json.dumps(listed or {"workflow_runs": earlier}).encode()),
    }
    environ = {"GITHUB_API_URL": site.base}
    return github.find_previous(JOB, environ, "t0k3n", 5, 20)


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([(7, "failure"), (6, "success"), (5, "failure")], True),
        ([(8, "success"), (6, "cancelled"), (5, "failure"), (4, "success")], False),
        ([(6, None), (5, "timed_out")], False),
        ([(3, "success"), (6, "startup_failure")], False),
    ],
    ids=["good", "cancelled", "timed out", "unordered"],
)
def test_the_last_run_with_an_end_before_this_one_counts(
    site: Site, runs: list[tuple[int, str | None]], expected: bool
) -> None:
    found = asked(site, *runs)
    assert found.has_succeeded is expected
    number, end = max(run for run in runs if run[0] < 7 and run[1] not in (None, "cancelled"))
    assert found.source == f"run {number} on GitHub ended as {end}"
    assert site.asked[1] == f"{LISTED}?branch=topic%2Fa%20b&status=completed&per_page=50"
    assert site.credentials == ["Bearer t0k3n"] * 2


@pytest.mark.parametrize("runs", [(), ((7, "failure"), (6, "skipped"))], ids=["none", "no end"])
def test_a_first_run_has_none_before_it(site: Site, runs: tuple[tuple[int, str]]) -> None:
    found = asked(site, *runs)
    assert found == Previous(source="GitHub has no earlier run of this workflow on this branch")


def test_a_refusal_says_which_permission_is_lacking(site: Site) -> None:
    asked(site)
    path = "/repos/lakeside/harbour/actions/runs/100"
    site.answers[path] = answer(b"{}", status=403)
    environ = {"GITHUB_API_URL": site.base}
    found = github.find_previous(JOB, environ, "t0k3n", 5, 20)
    assert found.source == (
        "GitHub does not say (the server answers 403). Give the job permissions: actions: read "
        "and contents: read"
    )
    assert "t0k3n" not in found.source


@pytest.mark.parametrize(
    ("this", "listed"),
    [([1], None), ({"x": 1}, None), (None, [1]), (None, {"workflow_runs": [1]})],
)
def test_what_is_not_understood_is_said_to_be(site: Site, this: Any, listed: Any) -> None:
    assert asked(site, this=this, listed=listed).source == "GitHub's reply cannot be parsed"


@pytest.mark.parametrize(
    "body", [b"<html>", b"[" * 200_000, b"\xff"], ids=["HTML", "deep", "bytes"]
)
def test_what_is_not_json_is_not_understood_either(site: Site, body: bytes) -> None:
    asked(site)
    site.answers[LISTED] = answer(body)
    found = github.find_previous(JOB, {"GITHUB_API_URL": site.base}, "t0k3n", 5, 20)
    assert found.source == "GitHub's reply cannot be parsed"


def test_a_run_is_one_part_of_the_path(site: Site) -> None:
    site.answers["/repos/lakeside/harbour/actions/runs/1%2F2"] = answer(b"{}", status=404)
    job = replace(JOB, run_id="1/2")
    github.find_previous(job, {"GITHUB_API_URL": site.base}, "t0k3n", 5, 20)
    assert site.asked == ["/repos/lakeside/harbour/actions/runs/1%2F2"]


def test_a_repository_that_has_moved_to_another_host_gets_no_token(site: Site) -> None:
    path = "/repos/lakeside/harbour/actions/runs/100"
    site.answers[path] = answer(b"", 301, Location="https://other.example.com/x")
    found = github.find_previous(JOB, {"GITHUB_API_URL": site.base}, "t0k3n", 5, 20)
    assert found.source == (
        "GitHub does not say (redirects to another host, 'other.example.com:443')"
    )


def test_a_list_that_is_none_holds_no_run(site: Site) -> None:
    found = asked(site, listed={"workflow_runs": "x"})
    assert found.has_succeeded is None


@pytest.mark.parametrize(
    ("job", "token"),
    [
        (replace(JOB, repository=""), "t"),
        (replace(JOB, run_id=""), "t"),
        (JOB, ""),
        (replace(JOB, ci="GITLAB_PIPELINE"), "t"),
    ],
    ids=["repository", "run id", "token", "another CI"],
)
def test_without_a_run_or_a_token_nobody_is_asked(site: Site, job: Job, token: str) -> None:
    found = github.find_previous(job, {"GITHUB_API_URL": site.base}, token, 5, 20)
    assert found.source == "there is no GitHub run, or no github-token to ask for it"
    assert site.asked == []


def wrote(site: Site, compared: Any, end: str = "success") -> tuple[list[tuple[str, str]], str]:
    earlier = [{"run_number": 5, "conclusion": end, "head_sha": "aaa"}]
    site.answers = {
        "/repos/lakeside/harbour/actions/runs/100": answer(json.dumps(RUN).encode()),
        LISTED: answer(json.dumps({"workflow_runs": earlier}).encode()),
        "/repos/lakeside/harbour/compare/aaa...bbb": answer(json.dumps(compared).encode()),
    }
    environ = {"GITHUB_API_URL": site.base}
    return github.find_contributors(replace(JOB, sha="bbb"), environ, "t0k3n", 5, 20)


def test_contributors_are_those_who_wrote_since_the_last_good_run(site: Site) -> None:
    commits = [
        {"commit": {"author": {"name": name, "email": f"{name}@example.com"}}}
        for name in ("robin", "kim")
    ]
    assert wrote(site, {"commits": commits}) == (
        [("robin", "robin@example.com"), ("kim", "kim@example.com")],
        "",
    )
    assert site.asked == [
        "/repos/lakeside/harbour/actions/runs/100",
        f"{LISTED}?branch=topic%2Fa%20b&status=success&per_page=50",
        "/repos/lakeside/harbour/compare/aaa...bbb",
    ]


def test_a_comparison_that_is_refused_says_why(site: Site) -> None:
    wrote(site, {})
    site.answers["/repos/lakeside/harbour/compare/aaa...bbb"] = answer(b"{}", status=404)
    environ = {"GITHUB_API_URL": site.base}
    assert github.find_contributors(replace(JOB, sha="bbb"), environ, "t0k3n", 5, 20) == (
        [],
        "GitHub does not say (the server answers 404). Give the job permissions: actions: read "
        "and contents: read",
    )


def test_without_a_good_run_nobody_is_known(site: Site) -> None:
    assert wrote(site, {}, end="cancelled") == (
        [],
        "GitHub has no earlier run of this workflow on this branch",
    )


@pytest.mark.parametrize("compared", [{}, {"commits": [1]}, {"commits": [{}]}])
def test_commits_that_are_not_understood_name_nobody(site: Site, compared: object) -> None:
    assert wrote(site, compared) == ([], "GitHub's reply cannot be parsed")


@pytest.mark.parametrize("size", [16 * 1024 * 1024, 16 * 1024 * 1024 + 1])
def test_an_answer_has_a_largest_size(site: Site, size: int) -> None:
    asked(site, (6, "success"))
    runs = {"workflow_runs": [{"run_number": 6, "conclusion": "success"}]}
    site.answers[LISTED] = answer(json.dumps(runs).encode().ljust(size))
    found = github.find_previous(JOB, {"GITHUB_API_URL": site.base}, "t0k3n", 20, 60)
    assert found == (
        Previous(source="run 6 on GitHub ended as success", has_succeeded=True)
        if size <= 16 * 1024 * 1024
        else Previous(source="GitHub does not say (is larger than 16 MiB)")
    )


def test_without_an_address_of_its_own_the_api_is_githubs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a proxy that refuses: what it is asked for shows whom the program means."""
    tunnel = Tunnel(answer=b"HTTP/1.1 403 Forbidden\r\n\r\n")
    with tunnel.http():
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{tunnel.port}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "")
        found = github.find_previous(JOB, {}, "t0k3n", 5, 20)
    assert tunnel.asked == ["api.github.com:443"]
    assert found.has_succeeded is None
