"""Several runs in one step: found by the CI run, named by ids, or told apart by their evidence."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from builders import (
    bundle,
    cli_describe,
    cli_push,
    encoded,
    evaluation,
    referring,
    statement,
    stored_evaluations,
    violation,
)
from inputs import RELAY
from program import Ended, Post, Program, never, parsed, refusal

FIRST = "5b0a4f0e-6a51-4a5b-9c1d-0e5f3c2b7a90"
SECOND = "9c858901-8a57-4791-81fe-4c455b099bc9"
THIRD = "2b1f3c0e-7a55-4d7e-9f64-0c8f5f1a9d21"
GITHUB = {
    "GITHUB_RUN_ID": "9000000042",
    "GITHUB_RUN_ATTEMPT": "1",
    "GITHUB_REPOSITORY": "lakeside/harbour",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_JOB": "mail",
}
TOKEN = {"CHAINLOOP_TOKEN": "t0k3n"}
HERE = "https://github.com/lakeside/harbour/actions/runs/9000000042"
OK = {"job-status": "success", "needs": "success"}
SAMPLES = {
    FIRST: statement(run_id=FIRST, workflow="gate"),
    SECOND: statement(
        run_id=SECOND, evaluations=[evaluation("rules", violations=[violation("no good")])]
    ),
    THIRD: statement(run_id=THIRD, workflow="docs", project="manual"),
}
# Refuses without the token; lists page by page, with what a terminal would show on standard error.
COMMAND = """
folder = os.path.dirname(sys.argv[0])
with open(os.path.join(folder, 'asked'), 'a') as file: print(*sys.argv[1:], file=file)
print('\\x1b[90m11:02AM\\x1b[0m \\x1b[33mWRN\\x1b[0m a banner, about [telemetry]', file=sys.stderr)
if os.environ.get('CHAINLOOP_TOKEN') != 't0k3n': sys.exit('ERR authentication required')
known = json.load(open(os.path.join(folder, 'known.json')))
if sys.argv[3] == 'describe':
    document = known['described'].get(sys.argv[5]) or sys.exit('ERR not found')
    print(document)
else:
    page = next((int(a[7:]) for a in sys.argv if a.startswith('--next=')), 0)
    print(json.dumps(known['pages'][page]))
    if page + 1 < len(known['pages']): print(f'INF --next {page + 1}\\n', file=sys.stderr)
"""


def ago(days: float) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat().replace("+00:00", "Z")


def listed(run_id: str, url: str = HERE, days: float = 1) -> dict[str, Any]:
    workflow = {"name": "ship", "project": "harbour"}
    return {
        "id": run_id,
        "state": "success",
        "createdAt": ago(days),
        "runURL": url,
        "workflow": workflow,
    }


def chainloop(
    folder: Path,
    pages: Sequence[object] = (),
    described: Mapping[str, str] | None = None,
    script: str = COMMAND,
) -> dict[str, str]:
    """A stand-in for the command, and the environment of a step that finds and may use it."""
    bin_ = folder / "bin"
    bin_.mkdir()
    if described is None:
        described = {each: encoded(cli_describe(SAMPLES[each])).decode() for each in SAMPLES}
    (bin_ / "known.json").write_text(json.dumps({"pages": pages, "described": described}))
    program = bin_ / "chainloop"
    program.write_text(f"#!{sys.executable} -IS\nimport json, os, sys, time\n{script}\n")
    program.chmod(0o755)
    return GITHUB | TOKEN | {"PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}"}


def asked(folder: Path) -> list[str]:
    return (folder / "bin" / "asked").read_text().splitlines()


def workflows(post: Post) -> list[str]:
    return [parsed(each.content)["X-Chainloop-Workflow"] for each in post.mails]


def sent(program: Program, environ: Mapping[str, str], post: Any, **more: str) -> Ended:
    inputs = RELAY | OK | {name.replace("_", "-"): value for name, value in more.items()}
    return program("send", inputs=inputs, environ=environ, post=post)


@pytest.mark.parametrize("more", [{}, {"workflow_run_id": "auto"}], ids=["empty", "auto"])
def test_every_run_of_this_ci_run_is_mailed_in_one_thread(
    program: Program, tmp_path: Path, more: dict[str, str]
) -> None:
    other = "https://github.com/lakeside/harbour/actions/runs/9000000043"
    pages = [
        [listed(THIRD, other), listed(SECOND)],
        [],
        [listed("x", ""), listed(FIRST, HERE.replace("lakeside", "Lakeside"))],
    ]
    post = Post()
    ended = sent(program, chainloop(tmp_path, pages), post, **more)
    assert ended.code == 0, ended.stderr
    assert workflows(post) == ["gate", "ship"]
    assert len({parsed(each.content)["In-Reply-To"] for each in post.mails}) == 1
    ids = [each.message_id for each in post.mails]
    assert len(set(ids)) == 2
    outputs = ended.outputs
    assert outputs["sent"] == "true"
    assert outputs["outcome"] == "attested\nviolations"
    assert outputs["policy-status"] == "NOT_APPLICABLE\nWARNING"
    assert outputs["message-id"].splitlines() == ids
    digests = outputs["digest"].splitlines()
    assert len(set(digests)) == 2
    assert [Path(each).read_bytes() for each in outputs["eml"].splitlines()] == [
        each.content for each in post.mails
    ]
    assert json.loads(outputs["accepted"]) == ["security@example.com"]
    receipt = json.loads(Path(outputs["receipt"]).read_text())
    assert [each["messageId"] for each in receipt["deliveries"]] == ids
    assert asked(tmp_path) == [
        "workflow run list --limit=50 -o json",
        "workflow run list --limit=50 -o json --next=1",
        "workflow run list --limit=50 -o json --next=2",
        f"workflow run describe --id {FIRST} -o json",
        f"workflow run describe --id {SECOND} -o json",
    ]
    assert "2 of 2 runs are mailed." in ended.stdout
    assert f"harbour / gate {FIRST[:8]}: sent to 1 recipient" in ended.stdout
    assert "| run | to | result |" in ended.summary
    assert ended.summary.count("no good") > 0
    assert b"t0k3n" not in ended.everything().replace(
        (tmp_path / "bin/chainloop").read_bytes(), b""
    )


def test_the_same_step_run_again_sends_neither_mail_again(program: Program, tmp_path: Path) -> None:
    environ = chainloop(tmp_path, [[listed(SECOND), listed(FIRST)]])
    assert sent(program, environ, Post()).code == 0
    again = sent(program, environ, never)
    assert again.code == 0
    assert again.outputs["skipped"] == "everything was sent before"


def test_one_run_that_is_found_is_a_mail_like_any_other(program: Program, tmp_path: Path) -> None:
    post = Post()
    ended = sent(program, chainloop(tmp_path, [[listed(FIRST)]]), post)
    assert ended.code == 0
    assert workflows(post) == ["gate"]
    assert ended.outputs["outcome"] == "attested"
    assert ended.annotations == []


@pytest.mark.parametrize(
    ("server", "url", "is_found"),
    [
        ("https://ghe.example.com", HERE, True),
        ("https://ghe.example.com", HERE.replace("github.com", "GHE.example.com"), True),
        ("https://github.com", HERE.replace("github.com", "ghe.example.com"), False),
        ("https://github.com", HERE + "/attempts/2", True),
        ("https://github.com", HERE + "0", False),
        ("https://github.com", HERE.replace("harbour", "harbour2"), False),
        ("https://github.com", f"https://evil.example/?{HERE}", False),
    ],
    ids=["enterprise", "its own host", "another", "attempt", "another run", "repository", "query"],
)
def test_a_run_is_known_by_the_address_of_its_ci_run(
    program: Program, tmp_path: Path, server: str, url: str, is_found: bool
) -> None:
    environ = chainloop(tmp_path, [[listed(FIRST, url)]]) | {"GITHUB_SERVER_URL": server}
    post = Post()
    assert sent(program, environ, post).code == 0
    assert workflows(post) == (["gate"] if is_found else [None])


@pytest.mark.parametrize("more", [{}, {"workflow_run_id": "auto"}], ids=["empty", "auto"])
def test_where_no_run_is_found_the_run_is_not_attested(
    program: Program, tmp_path: Path, more: dict[str, str]
) -> None:
    post = Post()
    ended = sent(program, chainloop(tmp_path, [[]]), post, **more)
    assert ended.code == 0
    assert ended.outputs["outcome"] == "not-attested"
    assert len(post.mails) == 1
    assert post.mails[0].subject == "[harbour] Not attested: the run (no Chainloop run found)"
    for part in (post.mails[0].text, post.mails[0].html, post.mails[0].summary):
        said = " ".join(part.split())
        assert "No attestation was found for harbour" in said
        assert "Chainloop has no run for this workflow run." in said
        assert "evidence was given" not in said
    assert ended.annotations == [("warning", "no Chainloop run found")]
    assert (
        "Chainloop has no run for this CI run, so the mail says that it was not attested. Does "
        "this job wait for the one that attests, and does CHAINLOOP_TOKEN belong to the same "
        "organization?" in ended.log
    )


def test_a_run_that_was_skipped_needs_no_other_reason(program: Program, tmp_path: Path) -> None:
    post = Post()
    ended = sent(program, chainloop(tmp_path, [[]]), post, job_status="skipped")
    assert ended.outputs["outcome"] == "not-attested"
    assert "no Chainloop run found" not in post.mails[0].subject
    assert "was skipped." in " ".join(post.mails[0].text.split())


def test_a_job_that_reports_another_run_finds_the_runs_of_that_one(
    program: Program, tmp_path: Path
) -> None:
    event = tmp_path / "event.json"
    reported = {"id": 9000000042, "conclusion": "success", "name": "Release"}
    event.write_text(json.dumps({"workflow_run": reported}))
    own = HERE.replace("9000000042", "9000000050")
    environ = chainloop(tmp_path, [[listed(SECOND, own), listed(FIRST)]])
    environ |= {
        "GITHUB_RUN_ID": "9000000050",
        "GITHUB_EVENT_NAME": "workflow_run",
        "GITHUB_EVENT_PATH": str(event),
    }
    post = Post()
    ended = sent(program, environ, post)
    assert ended.code == 0, ended.stderr
    assert workflows(post) == ["gate"]


def test_where_a_job_failed_no_run_is_no_surprise(program: Program, tmp_path: Path) -> None:
    post = Post()
    ended = sent(program, chainloop(tmp_path, [[]]), post, job_status="failure")
    assert (ended.code, ended.outputs["outcome"], ended.annotations) == (0, "failed", [])


def test_the_list_is_read_no_further_than_the_ci_run_is_old(
    program: Program, tmp_path: Path
) -> None:
    older = HERE.replace("9000000042", "9000000041")
    pages = [
        [listed("a", older, 0.1)],
        [listed("b", HERE.replace("9000000042", "9000000043")), listed("c", older)],
        [listed("d", "https://gitlab.example.com/-/jobs/1")],
        [listed(FIRST), listed("e", older)],
        [listed("f", older)],
        [listed(SECOND)],
    ]
    post = Post()
    assert sent(program, chainloop(tmp_path, pages), post).code == 0
    assert workflows(post) == ["gate"]
    assert [each for each in asked(tmp_path) if "list" in each][-1].endswith("--next=4")


def test_no_run_is_looked_for_that_is_older_than_a_ci_run_can_be(
    program: Program, tmp_path: Path
) -> None:
    pages = [[listed("a", "", 36)], [listed(FIRST)]]
    assert sent(program, chainloop(tmp_path, pages), Post()).outputs["outcome"] == "not-attested"
    assert len(asked(tmp_path)) == 1


@pytest.mark.parametrize(
    "missing", ["CHAINLOOP_TOKEN", "PATH", "GITHUB_RUN_ID"], ids=["token", "command", "CI run"]
)
def test_nothing_is_looked_for_where_nobody_asks_and_something_is_missing(
    program: Program, tmp_path: Path, missing: str
) -> None:
    environ = chainloop(tmp_path, [[listed(FIRST)]]) | {missing: ""}
    ended = sent(program, environ, Post())
    assert ended.outputs["outcome"] == "not-attested"
    assert ended.annotations == [("warning", "no evidence is given")]
    is_keyless = missing == "CHAINLOOP_TOKEN"
    assert ("Chainloop's keyless login covers `chainloop attestation …` only" in ended.log) is (
        is_keyless
    )
    assert ("Install the chainloop command and give this step" in ended.log) is not is_keyless
    assert not (tmp_path / "bin" / "asked").exists()


def failure(program: Program, environ: dict[str, str], **more: str) -> str:
    ended = sent(program, environ, never, workflow_run_id="auto", **more)
    assert ended.code == 3
    return " ".join(ended.failure.split())


def test_auto_without_a_token_says_what_to_do(program: Program, tmp_path: Path) -> None:
    environ = chainloop(tmp_path, [[listed(FIRST)]])
    del environ["CHAINLOOP_TOKEN"]
    text = failure(program, environ)
    assert "WRN a banner, about [telemetry] / ERR authentication required" in text
    assert (
        "CHAINLOOP_TOKEN is not set for this step. Chainloop's keyless login covers `chainloop "
        "attestation …` only, so add `env: CHAINLOOP_TOKEN: ${{ secrets.CHAINLOOP_TOKEN }}`" in text
    )


def test_auto_without_the_command_or_a_ci_run_is_an_error(program: Program, tmp_path: Path) -> None:
    environ = chainloop(tmp_path)
    text = failure(program, environ | {"PATH": "/nowhere"})
    assert "workflow-run-id: there is no chainloop command on PATH" in text
    text = failure(program, environ | {"GITHUB_RUN_ID": ""})
    assert (
        "workflow-run-id: auto finds the runs of this GitHub run, but this is not a GitHub run "
        "Give ids, or attestation." in text
    )


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("time.sleep(600)", "chainloop did not answer within 0.5 seconds"),
        ("print('<html>')", "chainloop workflow run list printed no list of runs: '<html>'"),
        ("print('[' + ' ' * (65 << 20) + ']')", "chainloop printed more than 64 MiB"),
    ],
    ids=["hangs", "garbage", "huge"],
)
def test_a_list_that_cannot_be_read_is_an_error_and_no_news_of_a_run(
    program: Program, tmp_path: Path, script: str, why: str
) -> None:
    deadline = "1" if "sleep" in script else "120"
    environ = chainloop(tmp_path, script=script)
    assert f"workflow-run-id: {why}" in failure(program, environ, deadline=deadline)
    post = Post()
    ended = sent(program, environ, post, job_status="failure", deadline=deadline)
    assert ended.code == 0
    assert len(post.mails) == 1
    assert "The evidence of this run cannot be read" in " ".join(post.mails[0].text.split())


# --- ids, and documents ------------------------------------------------------------------------


def test_several_ids_are_mailed_one_by_one(program: Program, tmp_path: Path) -> None:
    post = Post()
    ended = sent(program, chainloop(tmp_path), post, workflow_run_id=f"{SECOND}, {THIRD}\n{FIRST}")
    assert ended.code == 0, ended.stderr
    assert workflows(post) == ["ship", "docs", "gate"]
    assert ended.outputs["outcome"].splitlines() == ["violations", "attested", "attested"]


def test_a_listed_run_that_attests_another_ci_run_is_not_called_a_file(
    program: Program, tmp_path: Path
) -> None:
    environ = chainloop(tmp_path) | {"GITHUB_RUN_ID": "4711"}
    ended = sent(program, environ, Post(), workflow_run_id=FIRST)
    assert ended.code == 0, ended.stderr
    assert ("warning", "the evidence is in doubt") in ended.annotations
    said = ended.annotation("the evidence is in doubt")
    assert said.endswith(" Chainloop returned this run, but its attestation names the other one.")
    assert "left over" not in ended.log


def test_where_a_job_failed_one_run_that_cannot_be_read_stops_no_other(
    program: Program, tmp_path: Path
) -> None:
    environ = chainloop(tmp_path, described={FIRST: encoded(cli_describe(SAMPLES[FIRST])).decode()})
    post = Post()
    ended = sent(program, environ, post, workflow_run_id=f"{SECOND},{FIRST}", job_status="failure")
    assert ended.code == 0
    assert workflows(post) == ["gate"]
    assert "not found" in ended.log


def test_documents_of_different_runs_are_mailed_one_by_one_and_those_of_one_are_joined(
    program: Program, tmp_path: Path
) -> None:
    paths = []
    for run_id, told in SAMPLES.items():
        for kind, document in (("push", cli_push(told)), ("bundle", bundle(told))):
            path = tmp_path / f"{kind}-{run_id}.json"
            path.write_bytes(encoded(document))
            paths.append(str(path))
    post = Post()
    attach = {"attach": "attestation", "attestation": "\n".join(sorted(paths, reverse=True))}
    ended = sent(program, GITHUB, post, **attach)
    assert ended.code == 0, ended.stderr
    assert sorted(workflows(post)) == ["docs", "gate", "ship"]
    for mail in post.mails:
        run_id = parsed(mail.content)["X-Chainloop-Run-ID"]
        attached = [each.get_content() for each in parsed(mail.content).iter_attachments()]
        assert attached == [
            (tmp_path / f"push-{run_id}.json").read_bytes(),
            (tmp_path / f"bundle-{run_id}.json").read_bytes(),
        ]
        # Only the bundle holds the commit.
        assert "COMMIT" in mail.text


def named_documents(folder: Path, *documents: object) -> str:
    paths = [folder / f"{number}.json" for number, _ in enumerate(documents)]
    for path, document in zip(paths, documents, strict=True):
        path.write_bytes(document if isinstance(document, bytes) else encoded(document))
    return "\n".join(map(str, paths))


def unnamed(told: dict[str, Any]) -> dict[str, Any]:
    """What a push prints, without the run's id."""
    return cli_push(told) | {"attestationID": ""}


def test_a_document_without_an_id_belongs_to_the_run_that_it_does_not_contradict(
    program: Program, tmp_path: Path
) -> None:
    documents = (cli_push(SAMPLES[FIRST]), cli_push(SAMPLES[THIRD]), unnamed(SAMPLES[THIRD]))
    post = Post()
    ended = sent(program, GITHUB, post, attestation=named_documents(tmp_path, *documents))
    assert ended.code == 0, ended.stderr
    assert workflows(post) == ["gate", "docs"]


def test_a_document_without_an_id_that_contradicts_all_is_refused(
    program: Program, tmp_path: Path
) -> None:
    documents = (cli_push(SAMPLES[FIRST]), unnamed(SAMPLES[THIRD]))
    ended = sent(program, GITHUB, never, attestation=named_documents(tmp_path, *documents))
    assert ended.code == 3
    assert "digest" in ended.failure


def test_documents_of_one_run_that_contradict_each_other_are_refused(
    program: Program, tmp_path: Path
) -> None:
    other = statement(run_id=FIRST, workflow="gate", materials=[])
    documents = (cli_push(SAMPLES[SECOND]), cli_push(SAMPLES[FIRST]), cli_push(other))
    ended = sent(program, GITHUB, never, attestation=named_documents(tmp_path, *documents))
    assert ended.code == 3
    assert "digest" in ended.failure


def test_stored_evaluations_go_to_the_run_that_refers_to_them(
    program: Program, tmp_path: Path
) -> None:
    stored = stored_evaluations([evaluation("tide-gate", violations=[violation("too low")])])
    referred = referring(SAMPLES[THIRD], stored)
    paths = named_documents(
        tmp_path, bundle(referring(SAMPLES[FIRST], b"{}")), bundle(referred), stored
    ).splitlines()
    post = Post()
    evidence = {"attestation": "\n".join(paths[:2]), "policy_evaluations": paths[2]}
    ended = sent(program, GITHUB, post, **evidence)
    assert ended.code == 0, ended.stderr
    assert workflows(post) == ["gate", "docs"]
    assert ["tide-gate" in each.text for each in post.mails] == [False, True]
    evidence["attestation"] = paths[0]
    ended = sent(program, GITHUB, never, **evidence)
    assert ended.code == 3
    assert "policy-evaluations: $" in ended.failure
    ended = sent(program, GITHUB, post, job_status="failure", **evidence)
    assert ended.code == 0
    assert "The evidence of this run cannot be read" in " ".join(post.mails[-1].text.split())


FILE = """
registrations:
  - name: relay
    host: smtp.example.com
    port: 587
    auth: none
    from: reports@example.com
    to: all@example.com
attachments:
  - registration: relay
  - {registration: relay, workflow: gate, to: gate@example.com}
  - {registration: relay, outcome: violations, to: security@example.com}
"""


def routed(program: Program, text: str, environ: dict[str, str], post: Any, **more: str) -> Ended:
    Path("chainloop-smtp.yml").write_text(text)
    return program("send", inputs=OK | more, environ=environ, post=post)


def test_each_run_has_its_own_routes_through_a_configuration_file(
    program: Program, tmp_path: Path
) -> None:
    environ = chainloop(tmp_path, [[listed(SECOND), listed(FIRST)]])
    post = Post()
    ended = routed(program, FILE, environ, post)
    assert ended.code == 0, ended.stderr
    pairs = list(zip(workflows(post), [each.recipients for each in post.mails], strict=True))
    assert pairs == [
        ("gate", ("all@example.com",)),
        ("gate", ("gate@example.com",)),
        ("ship", ("all@example.com",)),
        ("ship", ("security@example.com",)),
    ]
    assert "4 of 6 attachments in chainloop-smtp.yml apply, each for 2 runs." in ended.stdout
    assert f"harbour / ship {SECOND[:8]}: relay (chainloop-smtp.yml:10): sent" in ended.stdout
    assert ended.outputs["message-id"].splitlines() == [
        post.mails[0].message_id,
        post.mails[2].message_id,
    ]
    assert json.loads(ended.outputs["accepted"]) == [
        "all@example.com",
        "gate@example.com",
        "security@example.com",
    ]


def test_where_no_route_applies_to_any_run_it_is_said_once(
    program: Program, tmp_path: Path
) -> None:
    environ = chainloop(tmp_path, [[listed(SECOND), listed(FIRST)]])
    text = FILE.replace("  - registration: relay\n", "").replace("gate, ", "none, ")
    ended = routed(program, text.replace("violations", "blocked"), environ, never)
    assert ended.code == 0
    assert ended.annotations == [("notice", "no mail is sent")]
    assert (
        "None of the 2 attachments in chainloop-smtp.yml apply to any of 2 runs; the log says "
        "why.\n" in ended.stdout
    )


def test_a_dry_run_shows_every_run(program: Program, tmp_path: Path) -> None:
    environ = chainloop(tmp_path, [[listed(SECOND), listed(FIRST)]])
    ended = sent(program, environ, never, dry_run="true", send_on="violated")
    assert ended.code == 0
    assert f"harbour / gate {FIRST[:8]}" in ended.stdout
    assert "not sent: send-on is violated, and the outcome is attested" in ended.stdout
    assert len(ended.outputs["eml"].splitlines()) == 1
    assert "| run | to | decision |" in ended.summary


def test_the_summary_of_a_dry_run_has_a_heading_for_every_run(
    program: Program, tmp_path: Path
) -> None:
    environ = chainloop(tmp_path, [[listed(SECOND), listed(FIRST)]])
    ended = sent(program, environ, never, dry_run="true")
    headings = [line for line in ended.summary.splitlines() if line.startswith("### ")]
    assert [each.split(":")[0] for each in headings] == [
        "### ✓ Attested",
        "### ! Policy violations",
    ]


def test_where_send_on_fits_no_run_nothing_is_sent(program: Program, tmp_path: Path) -> None:
    environ = chainloop(tmp_path, [[listed(SECOND), listed(FIRST)]])
    ended = sent(program, environ, never, send_on="blocked")
    assert ended.code == 0
    assert ended.outputs["skipped"] == (
        "send-on is blocked, and the outcome is attested; "
        "send-on is blocked, and the outcome is violations"
    )


def test_a_refused_recipient_of_one_run_fails_the_step_and_the_run_is_named(
    program: Program, tmp_path: Path
) -> None:
    environ = chainloop(tmp_path, [[listed(SECOND), listed(FIRST)]])
    post = Post(refused=(refusal("security@example.com"),))
    ended = sent(program, environ, post)
    assert ended.code == 5
    assert len(post.mails) == 2
    assert ended.outputs["sent"] == "false"
    assert f"harbour / gate {FIRST[:8]}: security@example.com: " in ended.failure
    assert f"harbour / ship {SECOND[:8]}: security@example.com: " in ended.failure


def test_the_inputs_own_form_holds_for_each_run(program: Program, tmp_path: Path) -> None:
    environ = chainloop(tmp_path, [[listed(SECOND), listed(FIRST)]])
    post = Post()
    sent(
        program,
        environ,
        post,
        subject="{{ attestation.workflow.name }}: {{ verdict.outcome }}",
        attach="report",
    )
    assert [parsed(each.content)["Subject"] for each in post.mails] == [
        "gate: attested",
        "ship: violations",
    ]
    for mail in post.mails:
        (report,) = parsed(mail.content).iter_attachments()
        found = json.loads(report.get_content())
        assert found["attestation"]["workflow"]["name"] in str(parsed(mail.content)["Subject"])
