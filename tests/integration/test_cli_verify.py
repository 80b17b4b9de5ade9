"""`chainloop-smtp verify`: a mail that was really written, against the evidence in it."""

import email
import json
import re
from hashlib import sha256
from pathlib import Path
from typing import cast

import pytest

from builders import (
    RUNNER_VARIABLES,
    cli_describe,
    cli_push,
    encoded,
    evaluation,
    referring,
    statement,
    stored_bundle,
    stored_evaluations,
)
from chainloop_smtp import __version__
from program import INPUTS, Ended, Post, Program, failure, text_of

EVALUATIONS = [evaluation("licenses", material="sbom", violations=["AGPL"])]
DIFFERENT = "The mail does not show what its evidence says."
UNREADABLE = "The attestation cannot be read."
STATEMENT = statement(evaluations=EVALUATIONS)
NO_BUNDLE = "The digest of the attestation is not checked: its bundle is not attached."


def mailed(
    program: Program, folder: Path, *, attach: str = "attestation\nreport", **more: str
) -> Path:
    """A mail as the program sends it, as a file."""
    if "attestation" not in more:
        (folder / "push.json").write_bytes(encoded(cli_push(STATEMENT)))
        more["attestation"] = str(folder / "push.json")
    post = Post()
    inputs = {name.replace("_", "-"): value for name, value in more.items()}
    ended = program("send", inputs=INPUTS | inputs | {"attach": attach}, post=post)
    assert ended.code == 0, ended.stderr
    path = folder / "MAIL.eml"
    path.write_bytes(post.mails[0].content)
    return path


def verified(program: Program, path: object, *flags: str, stdin: bytes = b"") -> Ended:
    ended: Ended = program("verify", str(path), *flags, stdin=stdin, is_actions=False)
    return ended


def results(ended: Ended) -> dict[str, str]:
    return {each["name"]: each["result"] for each in json.loads(ended.stdout)["checks"]}


def test_a_mail_as_it_was_sent_agrees(program: Program, tmp_path: Path) -> None:
    ended = verified(program, mailed(program, tmp_path))

    assert ended.code == 0, ended.stdout
    assert "ok      attached attestation.json: sha256:" in ended.stdout
    assert "ok      attestation in the report: as the evidence says" in ended.stdout
    assert "ok      verdict in the report: as the evidence says" in ended.stdout
    assert "WRONG" not in ended.stdout
    assert ended.stdout.splitlines()[-2:] == [
        NO_BUNDLE,
        "The sender of the mail and the signer of the evidence are not checked. To verify the "
        "signature, give --trusted-root or --verification-key.",
    ]


def test_evidence_without_a_digest_says_so(program: Program, tmp_path: Path) -> None:
    (tmp_path / "statement.json").write_bytes(encoded(STATEMENT))
    ended = verified(
        program, mailed(program, tmp_path, attestation=str(tmp_path / "statement.json"))
    )
    assert "unknown bundle: the evidence has neither the bundle nor its digest" in ended.stdout
    assert NO_BUNDLE not in ended.stdout


@pytest.mark.parametrize(
    ("variables", "row"),
    [
        ({"GITHUB_ACTOR": "ada"}, "Triggered by: ada"),
        ({"GITHUB_EVENT_NAME": "push"}, "Triggered by: push"),
        (
            {"GITHUB_ACTOR": "ada", "GITHUB_EVENT_NAME": "push"},
            "Triggered by: ada (push)",
        ),
        ({"GITHUB_REF": "refs/tags/v1"}, "Branch or tag: v1"),
        (
            {"GITHUB_REF": "refs/pull/7/merge", "GITHUB_HEAD_REF": "topic"},
            "Pull request: #7 from topic",
        ),
    ],
    ids=["actor", "event", "both", "tag", "pull request"],
)
def test_what_the_evidence_says_of_its_ci_run_agrees(
    program: Program, tmp_path: Path, variables: dict[str, str], row: str
) -> None:
    push = encoded(cli_push(statement(environment=RUNNER_VARIABLES | variables))).decode()
    path = mailed(program, tmp_path, attestation=push, attach="attestation")
    ended = verified(program, path)

    assert row in " ".join(text_of(path.read_bytes()).split())
    assert ended.code == 0, ended.stderr
    assert "ok      text: matches the evidence" in ended.stdout
    assert "ok      HTML: matches the evidence" in ended.stdout


def test_a_program_reads_the_same(program: Program, tmp_path: Path) -> None:
    path = mailed(program, tmp_path)
    ended = verified(program, "-", "-o", "json", stdin=path.read_bytes())

    assert ended.stdout.startswith('{\n  "mail": "-",\n  "ok": true,\n')
    assert set(results(ended).values()) == {"ok", "unknown"}


@pytest.mark.parametrize(
    "options",
    [
        {"job_status": "failure"},
        {"needs": '{"build": {"result": "cancelled"}}'},
        {"env_values": "names"},
        {"env_values": "hide"},
    ],
    ids=str,
)
def test_the_job_and_the_options_are_read_from_the_report(
    program: Program, tmp_path: Path, options: dict[str, str]
) -> None:
    ended = verified(program, mailed(program, tmp_path, **options), "-o", "json")

    assert ended.code == 0, ended.stderr
    assert results(ended)["verdict in the report"] == "ok"


@pytest.mark.parametrize("attach", ["attestation\nreport", "attestation"])
@pytest.mark.parametrize(
    ("job_status", "outcome", "words"),
    [
        ("success", "violations", "Gate violated; the job went on."),
        ("failure", "blocked", "the pipeline stops here until the gate passes or is bypassed."),
        ("", "violations", "Gate violated. The attestation was recorded;"),
    ],
)
def test_a_gate_that_only_the_jobs_result_decides_is_verified_with_it(
    program: Program, tmp_path: Path, attach: str, job_status: str, outcome: str, words: str
) -> None:
    evaluations = [evaluation("licenses", material="sbom", violations=["AGPL"], is_gate=True)]
    push = cli_push(statement(evaluations=evaluations), evaluations=evaluations)
    (tmp_path / "push.json").write_bytes(encoded(push))
    path = mailed(
        program,
        tmp_path,
        attach=attach,
        attestation=str(tmp_path / "push.json"),
        job_status=job_status,
    )

    mail = path.read_bytes()
    assert f"X-Chainloop-Outcome: {outcome}".encode() in mail
    assert (b"X-Chainloop-Policy-Status" in mail) is (outcome == "blocked")
    assert words in " ".join(text_of(mail).split())
    ended = verified(program, path, "-o", "json")
    assert ended.code == 0, ended.stdout
    assert json.loads(ended.stdout)["ok"]


def test_a_mail_whose_report_was_too_large_to_attach_agrees(
    program: Program, tmp_path: Path
) -> None:
    many = [
        evaluation(
            f"p{each}", material="sbom", violations=[f"no {n} " + "x" * 300 for n in range(5)]
        )
        for each in range(60)
    ]
    push = encoded(cli_push(statement(evaluations=many)))
    (tmp_path / "many.json").write_bytes(push)
    path = mailed(
        program,
        tmp_path,
        attach="attestation",
        attestation=str(tmp_path / "many.json"),
        attach_max_size=f"{len(push)}B",
    )
    ended = verified(program, path)

    assert b"the report is too large to attach" in path.read_bytes().replace(b"=\r\n", b"")
    assert ended.code == 0, ended.stdout
    assert "WRONG" not in ended.stdout


def test_several_documents_and_stored_evaluations_are_read_together(
    program: Program, tmp_path: Path
) -> None:
    stored = stored_evaluations(EVALUATIONS)
    referred = referring(STATEMENT, stored)
    bundle = stored_bundle(referred)
    (tmp_path / "push.json").write_bytes(encoded(cli_push(referred)))
    (tmp_path / "bundle.json").write_bytes(bundle)
    (tmp_path / "evaluations.json").write_bytes(stored)
    path = mailed(
        program,
        tmp_path,
        attestation=f"{tmp_path / 'push.json'}\n{tmp_path / 'bundle.json'}",
        policy_evaluations=str(tmp_path / "evaluations.json"),
    )
    ended = verified(program, path, "-o", "json")

    assert ended.code == 0, ended.stderr
    assert results(ended)["bundle"] == "ok"
    assert NO_BUNDLE not in verified(program, path).stdout
    assert results(ended)["attached policy-evaluations.json"] == "ok"


def test_a_mail_that_was_changed_is_found_out(program: Program, tmp_path: Path) -> None:
    path = mailed(program, tmp_path)
    path.write_bytes(path.read_bytes().replace(b"  1 violation\r\n", b"  0 violations\r\n"))
    ended = verified(program, path, "-o", "json")

    assert ended.code == 3
    assert json.loads(ended.stdout)["ok"] is False
    assert ended.failure == failure(
        "violations in the text: the mail says 0, the evidence 1",
        "text: does not show '1 violation', which the evidence says",
        title=DIFFERENT,
    )


def test_what_is_wrong_is_marked_for_people_and_what_is_only_doubtful_is_not_listed_beside_it(
    program: Program, tmp_path: Path
) -> None:
    path = mailed(program, tmp_path)
    path.write_bytes(path.read_bytes().replace(b"  1 violation\r\n", b"  0 violations\r\n"))
    ended = verified(program, path)

    wrong = "\nWRONG   violations in the text: the mail says 0, the evidence 1\n"
    assert wrong in ended.stdout
    assert "NOT CONFIRMED" not in ended.stdout


def test_what_cannot_be_confirmed_is_listed_for_people(program: Program, tmp_path: Path) -> None:
    path = mailed(program, tmp_path)
    path.write_bytes(path.read_bytes().replace(b"\r\nSubject: ", b"\r\nSubject: Fwd: ", 1))
    ended = verified(program, path)

    assert ended.code == 0, ended.stdout
    doubt = "\nNOT CONFIRMED: subject. Read it yourself, or see docs/mail.md.\n"
    assert doubt in ended.stdout
    assert "WRONG" not in ended.stdout


def test_an_outcome_of_the_evidence_alone_is_confirmed_whatever_the_job_could_make_of_it(
    program: Program, tmp_path: Path
) -> None:
    evidence = encoded(cli_describe(statement(), state="failed")).decode()
    ended = verified(program, mailed(program, tmp_path, attestation=evidence), "-o", "json")

    assert ended.code == 0, ended.stdout
    assert results(ended)["outcome in the header"] == "ok"


def test_a_doubt_in_the_report_is_no_change_of_it(program: Program, tmp_path: Path) -> None:
    """The evidence is another run's, and some more of it could not be read."""
    (tmp_path / "push.json").write_bytes(encoded(cli_push(STATEMENT)))
    inputs = INPUTS | {
        "attestation": f"{tmp_path / 'push.json'}\n{tmp_path}",
        "attach": "attestation\nreport",
        "job-status": "failure",
    }
    here = {"GITHUB_REPOSITORY": "lakeside/harbour", "GITHUB_RUN_ID": "43"}
    post = Post()
    program("send", inputs=inputs, environ=here, post=post)
    (tmp_path / "MAIL.eml").write_bytes(post.mails[0].content)
    ended = verified(program, tmp_path / "MAIL.eml", "-o", "json")

    assert ended.code == 0, ended.stderr
    assert results(ended)["verdict in the report"] == "ok"


def test_a_report_that_was_changed_is_found_out(program: Program, tmp_path: Path) -> None:
    path = with_report(program, tmp_path, lambda report: report["verdict"].update(outcome="passed"))
    ended = verified(program, path)

    assert ended.code == 3
    message = email.message_from_bytes(path.read_bytes())
    (part,) = (p for p in message.walk() if p.get_filename() == "chainloop-report.json")
    report = cast(bytes, part.get_payload(decode=True))
    digest = f"sha256:{sha256(report).hexdigest()}"
    listed = re.findall(r", listed as (sha256:[0-9a-f]{64})\n", ended.failure)[0]
    assert listed != digest
    shown = f"the mail shows {listed}, which the evidence does not say"
    size = f"{len(report):,} bytes,"
    assert ended.failure == failure(
        f"attached chainloop-report.json: is {digest} of {size[:-1]}, listed as {listed}",
        f"digests in the text: {shown}",
        f"digests in the HTML: {shown}",
        f"text: does not show '{size}', which the evidence says",
        f"HTML: does not show '{size} {digest}', which the evidence says",
        "verdict in the report: not what the evidence says",
        title=DIFFERENT,
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda report: report.clear(),
        lambda report: report.update(job=None),
        lambda report: report["job"].update(status="nonsense"),
        lambda report: report["verdict"].update(doubt=None),
        lambda report: report.update(envValues="nonsense"),
    ],
    ids=["empty", "no job", "no status", "no doubt", "no such values"],
)
def test_a_report_that_is_none_is_wrong(program: Program, tmp_path: Path, change: object) -> None:
    ended = verified(program, with_report(program, tmp_path, change))

    assert ended.code == 3
    assert ended.failure.splitlines()[-1] == "  report: is not a report by Chainloop SMTP"


def test_a_report_is_no_must(program: Program, tmp_path: Path) -> None:
    ended = verified(program, mailed(program, tmp_path, attach="attestation"))

    assert ended.code == 0
    assert "in the report" not in ended.stdout


def test_names_in_a_report_are_only_text(program: Program, tmp_path: Path) -> None:
    needs = [{"name": 1, "result": "failure"}, {"name": None, "result": "failure"}]
    path = with_report(program, tmp_path, lambda report: report["job"].update(needs=needs))

    assert verified(program, path).failure.splitlines()[-1] == (
        "  verdict in the report: not what the evidence says"
    )


def test_a_report_of_another_version_is_not_judged(program: Program, tmp_path: Path) -> None:
    path = with_report(
        program, tmp_path, lambda report: report["generator"].update(version=f"{__version__}9")
    )
    ended = verified(program, path)

    version = f"version '{__version__}9', which this version cannot compose again"
    assert f"\nunknown report: made by {version}\n" in ended.stdout
    assert " in the report: " not in ended.stdout


def with_report(program: Program, folder: Path, change: object) -> Path:
    """The mail with a report that somebody changed."""
    path = mailed(program, folder)
    message = email.message_from_bytes(path.read_bytes())
    (part,) = (p for p in message.walk() if p.get_filename() == "chainloop-report.json")
    report = json.loads(cast(bytes, part.get_payload(decode=True)))
    assert callable(change)
    change(report)
    del part["Content-Transfer-Encoding"]
    part.set_payload(json.dumps(report))
    path.write_bytes(message.as_bytes())
    return path


def test_a_mail_without_evidence_has_nothing_to_check(program: Program, tmp_path: Path) -> None:
    ended = verified(program, mailed(program, tmp_path, attach="report"))

    assert ended.code == 3
    assert ended.failure == failure(
        "mail: has no attestation attached\n"
        "  There is nothing to check the mail against. To attach it, send with attach: "
        "attestation.",
        title=UNREADABLE,
    )


def test_evidence_that_is_damaged_is_named(program: Program, tmp_path: Path) -> None:
    (tmp_path / "attestation.json").write_bytes(b"[]")
    post = Post()
    inputs = INPUTS | {"attach": "attestation.json"}
    environ = {"GITHUB_WORKSPACE": str(tmp_path)}
    program("send", inputs=inputs, environ=environ, post=post)
    (tmp_path / "MAIL.eml").write_bytes(post.mails[0].content)
    ended = verified(program, tmp_path / "MAIL.eml")

    assert ended.code == 3
    assert ended.failure == failure(
        "attached attestation.json $: this is an empty list, not an attestation\n"
        "  Give what `chainloop attestation push -o json` printed, or `chainloop workflow run "
        "describe --id RUN-ID -o json`.",
        title=UNREADABLE,
    )


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("none.eml", "mail 'none.eml': there is no such file"),
        (".", "mail '.': cannot be read: is a directory\n  Name the file in it."),
        ("a\0b", "mail 'a b': cannot be read: not a path"),
    ],
)
def test_a_mail_that_is_not_there_is_an_option_that_is_wrong(
    program: Program, name: str, problem: str
) -> None:
    ended = verified(program, name)

    assert (ended.code, ended.failure) == (2, failure(problem))


def test_what_is_no_mail_is_said_to_be_none(program: Program, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\n\n")
    ended = verified(program, tmp_path / "x")

    assert ended.code == 3
    assert ended.failure == failure("mail: is not a mail: it has no header", title=UNREADABLE)
