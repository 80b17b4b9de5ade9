"""send-on words that compare: with the run that the chainloop command or GitHub knows."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from builders import cli_describe, cli_push, encoded, evaluation, statement, violation
from inputs import RELAY
from program import Ended, Post, Program, never, text_of
from website import Site, github

INPUTS = RELAY | {"github-token": "t0k3n"}
EARLIER = "9c858901-8a57-4791-81fe-4c455b099bc9"
BAD = [evaluation("rules", violations=[violation("no good")])]
NOW = cli_push(statement())


def before(**more: Any) -> dict[str, Any]:
    """An earlier run as the chainloop command describes it."""
    told = statement(**more)
    told["predicate"]["metadata"]["workflowRunID"] = EARLIER
    return cli_describe(told)


def chainloop(folder: Path, described: object, *, listed: object = None) -> dict[str, str]:
    """A stand-in for the command that knows two runs, and what PATH has to be for it."""
    bin_ = folder / "bin"
    bin_.mkdir(exist_ok=True)
    current = NOW["attestationID"]
    runs = listed or [
        {"id": current, "state": "success"},
        {"id": "running", "state": "in progress"},
        {"id": EARLIER, "state": "success"},
    ]
    (bin_ / "list.json").write_text(json.dumps(runs))
    (bin_ / "describe.json").write_bytes(encoded(described))
    script = (
        f"#!{sys.executable} -IS\nimport sys\n"
        f"open({str(folder / 'asked')!r}, 'a').write(' '.join(sys.argv[1:]) + chr(10))\n"
        f"print(open({str(bin_)!r} + '/' + sys.argv[3] + '.json').read())\n"
    )
    program = bin_ / "chainloop"
    program.write_text(script)
    program.chmod(0o755)
    return {"PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}"}


def sent(program: Program, send_on: str, post: Any, environ: dict[str, str], **more: Any) -> Ended:
    attestation = encoded(more.pop("attestation", NOW)).decode()
    inputs = INPUTS | {"send-on": send_on, "attestation": attestation} | more
    return program("send", inputs=inputs, environ=environ, post=post)


@pytest.mark.parametrize(
    ("earlier", "send_on", "is_sent"),
    [
        ({"evaluations": BAD}, "fixed", True),
        ({"evaluations": BAD}, "changed", True),
        ({}, "changed", False),
        ({}, "new-violations", False),
    ],
    ids=["fixed", "changed", "unchanged", "nothing new"],
)
def test_the_chainloop_command_knows_the_run_before(
    program: Program, tmp_path: Path, earlier: dict[str, Any], send_on: str, is_sent: bool
) -> None:
    environ = chainloop(tmp_path, before(**earlier))
    post = Post()
    ended = sent(program, send_on, post, environ)
    assert ended.code == 0
    assert bool(post.mails) is is_sent
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == [
        "workflow run list --workflow=ship --project=harbour --limit=50 -o json",
        f"workflow run describe --id {EARLIER} -o json",
    ]


def test_a_run_that_began_later_is_not_the_run_before(program: Program, tmp_path: Path) -> None:
    runs = [
        {"id": "later", "state": "success"},
        {"id": NOW["attestationID"], "state": "success"},
        {"id": EARLIER, "state": "success"},
    ]
    environ = chainloop(tmp_path, before(), listed=runs)
    assert sent(program, "changed", never, environ).code == 0
    asked = (tmp_path / "asked").read_text()
    assert f"--id {EARLIER} " in asked
    assert "later" not in asked


def test_a_run_that_chainloop_does_not_list_yet_follows_the_latest(
    program: Program, tmp_path: Path
) -> None:
    runs = [{"id": EARLIER, "state": "success"}, {"id": "older", "state": "success"}]
    environ = chainloop(tmp_path, before(), listed=runs)
    assert sent(program, "changed", never, environ).code == 0
    assert f"--id {EARLIER} " in (tmp_path / "asked").read_text()


@pytest.mark.parametrize(("evaluations", "is_sent"), [(BAD, True), ([], False)])
def test_where_the_attestation_before_is_given_nobody_is_asked(
    program: Program, tmp_path: Path, evaluations: list[Any], is_sent: bool
) -> None:
    (tmp_path / "before.json").write_bytes(encoded(before(evaluations=evaluations)))
    given = {"previous-attestation": str(tmp_path / "before.json")}
    post = Post()
    ended = sent(program, "fixed", post, chainloop(tmp_path, before()), **given)
    assert ended.code == 0, ended.stderr
    assert bool(post.mails) is is_sent
    assert not (tmp_path / "asked").exists()


def test_violations_are_new_against_the_run_before(program: Program, tmp_path: Path) -> None:
    environ = chainloop(tmp_path, before())
    post = Post()
    now = cli_push(statement(evaluations=BAD))
    sent(program, "new-violations", post, environ, attestation=now)
    assert len(post.mails) == 1
    assert "not known whether" not in text_of(post.mails[0].content)


def test_a_run_that_cannot_be_compared_still_has_an_outcome(
    program: Program, tmp_path: Path
) -> None:
    other = statement()
    other["predicate"]["metadata"] |= {"workflowRunID": EARLIER, "workflowID": "x", "project": "y"}
    environ = chainloop(tmp_path, cli_describe(other))
    assert sent(program, "changed", never, environ).outputs["sent"] == "false"
    post = Post()
    sent(program, "new-violations", post, environ)
    assert "it is not known whether it has new violations" in " ".join(
        text_of(post.mails[0].content).split()
    )


def asking(site: Site, conclusion: str) -> dict[str, str]:
    return {
        **github(site, 100, conclusion=conclusion),
        "GITHUB_REPOSITORY": "lakeside/harbour",
        "GITHUB_RUN_ID": "100",
        "PATH": "/nowhere",
    }


@pytest.mark.parametrize(
    ("conclusion", "status", "send_on", "is_sent"),
    [
        ("failure", "success", "fixed", True),
        ("success", "success", "fixed", False),
        ("success", "failure", "changed", True),
        ("failure", "failure", "changed", False),
    ],
)
def test_github_knows_how_the_job_before_ended(
    program: Program, site: Site, conclusion: str, status: str, send_on: str, is_sent: bool
) -> None:
    post = Post()
    more = {"job-status": status}
    ended = sent(program, send_on, post, asking(site, conclusion), **more)
    assert ended.code == 0
    assert bool(post.mails) is is_sent
    assert b"t0k3n" not in ended.everything()


ODD = "the chainloop command gives no answer (chainloop workflow run list"


@pytest.mark.parametrize(
    ("listed", "why"),
    [
        ([{"id": NOW["attestationID"]}], "Chainloop has no earlier run of this workflow"),
        ({"x": 1}, f"{ODD} printed no list of runs: '{{\"x\": 1}}')"),
        ([{"id": 1}], f"{ODD}: [0].id is missing, or not a string)"),
    ],
    ids=["none", "object", "odd"],
)
def test_where_nobody_knows_the_mail_is_sent_and_says_what_was_tried(
    program: Program, site: Site, tmp_path: Path, listed: object, why: str
) -> None:
    environ = asking(site, "cancelled") | chainloop(tmp_path, {}, listed=listed)
    post = Post()
    sent(program, "fixed", post, environ)
    text = " ".join(text_of(post.mails[0].content).split())
    assert f"Sent because it is not known whether it fixed what was wrong: {why}, and" in text
    assert "and GitHub has no earlier run of this workflow on this branch." in text


def test_a_first_run_has_none_before_it(program: Program, tmp_path: Path) -> None:
    listed = [{"id": NOW["attestationID"], "state": "success"}]
    environ = chainloop(tmp_path, {}, listed=listed)
    post = Post()
    sent(program, "new-violations", post, environ)
    text = " ".join(text_of(post.mails[0].content).split())
    assert "Chainloop has no earlier run of this workflow." in text


def test_a_command_that_is_not_there_and_a_run_that_is_not_attested(
    program: Program, site: Site
) -> None:
    post = Post()
    sent(program, "new-violations", post, {"PATH": "/nowhere"})
    text = " ".join(text_of(post.mails[0].content).split())
    assert "the chainloop command gives no answer (there is no chainloop command on PATH)" in text
    environ = asking(site, "success")
    ended = program(
        "send",
        inputs=INPUTS | {"send-on": "changed", "job-status": "failure"},
        environ=environ,
        post=Post(),
    )
    assert ended.outputs["sent"] == "true"


def test_nobody_is_asked_where_nothing_compares(
    program: Program, site: Site, tmp_path: Path
) -> None:
    environ = asking(site, "success") | chainloop(tmp_path, before())
    assert sent(program, "passed, always", Post(), environ).outputs["sent"] == "true"
    assert site.asked == []
    assert not (tmp_path / "asked").exists()
