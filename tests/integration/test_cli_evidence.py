"""The whole program with evidence of every origin: joined, referred to, asked for."""

import base64
import io
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from builders import (
    bundle,
    cli_describe,
    cli_push,
    digest_of,
    encoded,
    evaluation,
    referring,
    statement,
    stored_bundle,
    stored_evaluations,
    violation,
)
from chainloop_smtp import cli
from chainloop_smtp.errors import Problem
from chainloop_smtp.source import command
from program import INPUTS, PUSHED, Post, Program, never, one_by_one, text_of

RUN_ID = "2b1f3c0e-7a55-4d7e-9f64-0c8f5f1a9d21"
STATEMENT = statement()
BUNDLE = stored_bundle(STATEMENT)


def written(folder: Path, **documents: bytes) -> str:
    """The documents as files, and their paths one a line."""
    for name, octets in documents.items():
        (folder / name).write_bytes(octets)
    return "\n".join(str(folder / name) for name in documents)


def mailed(program: Program, **inputs: str) -> str:
    """The text of the mail that the program makes of the evidence."""
    post = Post()
    ended = program(
        "send", inputs=INPUTS | {k.replace("_", "-"): v for k, v in inputs.items()}, post=post
    )
    assert ended.code == 0, ended.stderr
    (mail,) = post.mails
    return " ".join(text_of(mail.content).split())


def refused(program: Program, **inputs: str) -> str:
    ended = program(
        "send", inputs=INPUTS | {k.replace("_", "-"): v for k, v in inputs.items()}, post=never
    )
    assert ended.code == 3
    return ended.stderr


def test_a_push_and_its_bundle_are_joined_and_the_digest_is_verified(
    program: Program, tmp_path: Path
) -> None:
    text = mailed(
        program, attestation=written(tmp_path, push=encoded(cli_push(STATEMENT)), bundle=BUNDLE)
    )
    assert f"Attestation: {digest_of(BUNDLE)} (digest verified)" in text
    # Only the bundle holds the commit.
    assert "COMMIT" in text


def test_a_bundle_of_another_run_is_refused_and_both_are_named(
    program: Program, tmp_path: Path
) -> None:
    other = statement(evaluations=[evaluation("another")])
    text = refused(
        program,
        attestation=written(tmp_path, push=encoded(cli_push(STATEMENT)), b=stored_bundle(other)),
    )
    assert digest_of(BUNDLE) in text
    assert digest_of(stored_bundle(other)) in text


@pytest.mark.parametrize("is_first", [True, False], ids=["bundle first", "push first"])
def test_stored_evaluations_reach_the_document_that_refers_to_them(
    program: Program, tmp_path: Path, is_first: bool
) -> None:
    stored = stored_evaluations([evaluation("tide-gate", violations=[violation("too low")])])
    referred = referring(STATEMENT, stored)
    documents = {
        "bundle": stored_bundle(referred),
        "push": encoded(cli_push(referred, evaluations=())),
    }
    names = sorted(documents, reverse=not is_first)
    text = mailed(
        program,
        attestation=written(tmp_path, **{name: documents[name] for name in names}),
        policy_evaluations=written(tmp_path, stored=stored),
    )
    assert "tide-gate" in text
    assert "too low" in text


def test_other_stored_evaluations_than_those_referred_to_are_refused(
    program: Program, tmp_path: Path
) -> None:
    stored = stored_evaluations([evaluation("tide-gate")])
    text = refused(
        program,
        attestation=written(tmp_path, bundle=encoded(bundle(referring(STATEMENT, stored)))),
        policy_evaluations=written(tmp_path, other=stored_evaluations([evaluation("other")])),
    )
    assert "  attestation policy-evaluations: $" in text
    assert digest_of(stored) in text


@pytest.mark.parametrize("status", ["success", "failure"])
def test_stored_evaluations_without_any_document_belong_to_no_run(
    program: Program, tmp_path: Path, status: str
) -> None:
    text = mailed(
        program,
        attestation=written(tmp_path, empty=b""),
        policy_evaluations=written(tmp_path, stored=stored_evaluations([evaluation("tide-gate")])),
        job_status=status,
    )
    assert "tide-gate" not in text


# --- asked for ---------------------------------------------------------------------------------


def stand_in(folder: Path, *lines: str) -> dict[str, str]:
    """An executable called ``chainloop``, and the PATH that finds it."""
    program = folder / "chainloop"
    program.write_text("\n".join((f"#!{sys.executable} -IS", "import os, sys, time", *lines)))
    program.chmod(0o755)
    return {"PATH": str(folder)}


def test_a_run_id_is_asked_of_the_chainloop_command(program: Program, tmp_path: Path) -> None:
    (tmp_path / "described.json").write_bytes(encoded(cli_describe(STATEMENT)))
    environ = stand_in(tmp_path, f"print(open({str(tmp_path / 'described.json')!r}).read())")
    post = Post()
    inputs = INPUTS | {"workflow-run-id": RUN_ID}
    ended = program("send", inputs=inputs, environ=environ, post=post)
    assert ended.code == 0, ended.stderr
    assert "harbour" in post.mails[0].subject


def test_a_recorded_run_that_chainloop_cannot_load_is_not_called_unattested(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_PAUSES", ())
    (tmp_path / "described.json").write_bytes(encoded(cli_describe(None)))
    environ = stand_in(tmp_path, f"print(open({str(tmp_path / 'described.json')!r}).read())")
    inputs = INPUTS | {"workflow-run-id": RUN_ID, "job-status": "success"}
    post = Post()

    ended = program("send", inputs=inputs, environ=environ, post=post)

    assert ended.code == 0, ended.stderr
    assert (ended.outputs["outcome"], ended.outputs["policy-status"]) == ("attested", "")
    text = " ".join(text_of(post.mails[0].content).split())
    assert "The attestation was recorded, but it could not be retrieved just now" in text
    for word in ("ot attested", "No materials", "No policies", "0 materials"):
        assert word not in text
        assert word not in ended.summary

    ended = program(
        "send", inputs=inputs | {"send-on": "not-attested"}, environ=environ, post=never
    )
    assert ended.code == 0, ended.stderr
    assert ended.outputs["skipped"]


def test_violations_that_chainloop_counts_are_told_where_it_cannot_load_the_run(
    program: Program, tmp_path: Path
) -> None:
    described = cli_describe(None)
    described["workflowRun"]["policyStatus"] = "failed"
    inputs = INPUTS | {"attestation": written(tmp_path, run=encoded(described))}
    post = Post()
    ended = program("send", inputs=inputs | {"job-status": "success"}, post=post)

    assert ended.code == 0, ended.stderr
    assert ended.outputs["outcome"] == "violations"
    assert (
        "Chainloop counts policy violations. The attestation was recorded, but it could not be "
        "retrieved just now."
    ) in " ".join(text_of(post.mails[0].content).split())


def test_the_chainloop_command_sees_none_of_our_secrets(program: Program, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    environ = stand_in(tmp_path, f"open({str(seen)!r}, 'w').write(repr(dict(os.environ)))")
    given = INPUTS | {"workflow-run-id": RUN_ID}
    inputs = {name: value for name, value in given.items() if name != "password"}
    environ |= {"CHAINLOOP_SMTP_PASSWORD": "hunter2-hunter2"}
    assert program("send", inputs=inputs, environ=environ, post=never).code == 3
    assert "PATH" in seen.read_text()
    assert "hunter2" not in seen.read_text()
    assert "CHAINLOOP_SMTP" not in seen.read_text()


def test_what_evidence_costs_is_taken_off_the_deadline_of_the_delivery(
    program: Program, tmp_path: Path
) -> None:
    (tmp_path / "described.json").write_bytes(encoded(cli_describe(STATEMENT)))
    environ = stand_in(
        tmp_path,
        "time.sleep(0.5)",
        f"print(open({str(tmp_path / 'described.json')!r}).read())",
    )
    post = Post()
    inputs = INPUTS | {"workflow-run-id": RUN_ID, "deadline": "60"}
    assert program("send", inputs=inputs, environ=environ, post=post).code == 0
    assert 0 < post.transports[0].deadline <= 59.5


# --- found out early, and given up -------------------------------------------------------------


@pytest.mark.parametrize("argv", [(), ("--dry-run",)], ids=["for real", "dry run"])
def test_authorities_that_are_none_are_found_out_before_anything_else(
    program: Program, tmp_path: Path, argv: Sequence[str]
) -> None:
    (tmp_path / "ca.pem").write_text("no certificate\n")
    inputs = INPUTS | {"tls-ca-file": str(tmp_path / "ca.pem"), "attestation": "not there"}
    ended = program("send", *argv, inputs=inputs, post=never)
    assert ended.code == 2
    assert "contains no PEM certificate" in ended.stderr
    assert not list(tmp_path.rglob("*.eml"))


def test_an_interrupted_run_says_what_is_not_known(program: Program) -> None:
    started = time.monotonic()
    ended = program("send", inputs=INPUTS, post=Post(error=KeyboardInterrupt()))
    assert ended.code == 130
    assert "If the mail was being sent, it may have been delivered" in ended.log
    assert "Traceback" not in ended.log
    assert ended.outputs["sent"] == "false"
    assert time.monotonic() - started < 30


def test_waiting_for_standard_input_is_not_charged_to_the_network() -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            time.sleep(0.3)
            return super().read(size)

    environ = {"CHAINLOOP_SMTP_INPUTS": json.dumps(INPUTS), "PATH": ""}
    post = Post()
    argv = ("send", "--attestation", "-", "--deadline", "30")
    stdin = Slow(encoded(cli_push(STATEMENT)))
    code = cli.main(
        argv, environ, stdin=stdin, stdout=io.StringIO(), deliver=one_by_one(post), connect=None
    )
    assert code == 0
    assert post.transports[0].deadline == 30


def test_a_failed_push_that_printed_only_noise_does_not_keep_the_mail_back(
    program: Program, tmp_path: Path
) -> None:
    inputs = {"attestation": written(tmp_path, push=b"sbom: looks fine\n")}
    assert "FAILED: " in mailed(program, job_status="failure", **inputs)
    assert "no JSON document" in refused(program, job_status="success", **inputs)


def test_a_failing_command_does_not_keep_the_mail_about_a_failed_job_back(
    program: Program, tmp_path: Path
) -> None:
    environ = stand_in(tmp_path, "print('ERR not found', file=sys.stderr); sys.exit(1)")
    post = Post()
    inputs = INPUTS | {"workflow-run-id": RUN_ID, "job-status": "failure"}
    ended = program("send", inputs=inputs, environ=environ, post=post)
    assert ended.code == 0
    assert ("warning", "The attestation cannot be read") in ended.annotations
    assert "FAILED: " in text_of(post.mails[0].content)


def test_a_document_that_cannot_be_read_does_not_hide_what_another_says(
    program: Program, tmp_path: Path
) -> None:
    blocked = cli_push(statement(evaluations=[GATED]))
    inputs = INPUTS | {
        "attestation": f"{written(tmp_path, push=encoded(blocked))}\n{tmp_path}",
        "job-status": "failure",
    }
    post = Post()
    ended = program("send", inputs=inputs, post=post)
    assert ended.outputs["outcome"] == "blocked", ended.stderr
    assert "The evidence of this run cannot be read" in " ".join(
        text_of(post.mails[0].content).split()
    )
    assert ("warning", "the evidence is in doubt") not in ended.annotations


GATED = evaluation("tide-gate", violations=[violation("too low")], is_gate=True)


@pytest.mark.parametrize(
    "content",
    [
        b'{"a policy printed": 1}\n',
        encoded(cli_push(STATEMENT))[:-20],
        b"\xff\xfe{",
        None,
    ],
    ids=["another document", "cut short", "no text", "a folder"],
)
def test_evidence_that_cannot_be_read_does_not_keep_the_mail_about_a_failed_job_back(
    program: Program, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "push"
    path.mkdir() if content is None else path.write_bytes(content)
    inputs = INPUTS | {"attestation": str(path)}
    post = Post()
    ended = program("send", inputs=inputs | {"job-status": "failure"}, post=post)
    assert ended.code == 0, ended.stderr
    assert ended.annotations == [("warning", "The attestation cannot be read")]
    text = " ".join(text_of(post.mails[0].content).split())
    assert "It is not known whether an attestation was recorded." in text
    assert (
        "The evidence of this run cannot be read; see the log of the step that sent this mail. "
    ) in text
    assert program("send", inputs=inputs | {"job-status": "success"}, post=never).code == 3


@pytest.mark.parametrize("indent", [None, 3])
def test_evidence_in_base64_counts_where_the_job_failed(
    program: Program, tmp_path: Path, indent: int | None
) -> None:
    document = encoded(bundle(statement(evaluations=[GATED])), indent=indent)
    inputs = {"attestation": written(tmp_path, bundle=base64.encodebytes(document))}
    assert "BLOCKED BY GATE: " in mailed(program, job_status="failure", **inputs)


def test_noise_before_a_document_does_not_hide_it_where_the_job_failed(
    program: Program, tmp_path: Path
) -> None:
    push = encoded(cli_push(statement(evaluations=[GATED])))
    inputs = {"attestation": written(tmp_path, noise=b"a policy says hello\n", push=push)}
    assert "BLOCKED BY GATE: " in mailed(program, job_status="failure", **inputs)


@pytest.mark.parametrize("is_there", [True, False], ids=["damaged", "a folder"])
def test_an_earlier_attestation_does_not_keep_the_mail_about_a_failed_job_back(
    program: Program, tmp_path: Path, is_there: bool
) -> None:
    inputs = {
        "attestation": written(tmp_path, push=encoded(cli_push(STATEMENT))),
        "previous_attestation": written(tmp_path, before=b"{") if is_there else str(tmp_path),
    }
    assert "FAILED: " in mailed(program, job_status="failure", **inputs)
    assert "previous-attestation" in refused(program, job_status="success", **inputs)


def test_every_problem_is_told_at_once_that_of_the_authorities_too(program: Program) -> None:
    inputs = INPUTS | {"port": "99999", "tls-ca-file": "/nowhere/ca.pem"}
    ended = program("send", inputs=inputs, post=never)
    assert ended.code == 2
    assert "port: " in ended.stderr
    assert "tls-ca-file: " in ended.stderr


# --- what cannot be written --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trouble", "code", "sent"),
    [(None, 0, "true"), (Problem("smtp", "no answer"), 5, "false")],
    ids=["delivered", "not delivered"],
)
def test_a_receipt_that_cannot_be_written_does_not_change_what_became_of_the_mail(
    program: Program, tmp_path: Path, trouble: Problem | None, code: int, sent: str
) -> None:
    (tmp_path / "out" / "receipt.json").mkdir(parents=True)
    inputs = INPUTS | {"output-dir": str(tmp_path / "out")}
    ended = program("send", inputs=inputs, post=Post(trouble=trouble))
    assert ended.code == code
    assert ended.outputs["sent"] == sent
    assert ended.outputs["receipt"] == ""
    assert ("warning", "no receipt") in ended.annotations
    assert not list((tmp_path / "out").glob("*.part"))


def test_a_link_in_the_output_folder_is_replaced_and_not_followed(
    program: Program, tmp_path: Path
) -> None:
    folder, victim = tmp_path / "out", tmp_path / "victim"
    folder.mkdir()
    victim.write_text("precious")
    (folder / "receipt.json").symlink_to(victim)
    ended = program("send", inputs=INPUTS | {"output-dir": str(folder)}, post=Post())
    assert ended.code == 0
    assert victim.read_text() == "precious"
    receipt = folder / "receipt.json"
    assert not receipt.is_symlink()
    assert receipt.stat().st_mode & 0o777 == 0o600


def test_evidence_of_another_run_is_warned_of_and_the_mail_says_so(program: Program) -> None:
    post = Post()
    here = {"GITHUB_REPOSITORY": "lakeside/harbour", "GITHUB_RUN_ID": "43"}
    ended = program("send", inputs=INPUTS | {"attestation": PUSHED}, environ=here, post=post)

    assert ("warning", "the evidence is in doubt") in ended.annotations
    said = "The evidence is from CI run 9000000042, but this mail comes from CI run 43."
    assert said in " ".join(text_of(post.mails[0].content).split())
    assert said in ended.summary


def test_evidence_of_another_repository_is_warned_of_and_the_mail_says_so(program: Program) -> None:
    post = Post()
    here = {"GITHUB_REPOSITORY": "lakeside/pier", "GITHUB_RUN_ID": "43"}
    ended = program("send", inputs=INPUTS | {"attestation": PUSHED}, environ=here, post=post)

    said = (
        "The evidence is from CI run 9000000042 of lakeside/harbour, "
        "but this mail comes from CI run 43 of lakeside/pier."
    )
    assert ("warning", "the evidence is in doubt") in ended.annotations
    assert ended.annotation("the evidence is in doubt") == (
        f"{said} Is attestation the right file, or is it left over from an earlier run? Let the "
        "step that pushes overwrite it, or remove it first."
    )
    assert said in " ".join(post.mails[0].text.split())
    assert said in ended.summary


# --- bounds ------------------------------------------------------------------------------------


def test_evidence_of_another_run_beside_what_cannot_be_read_is_both_said(
    program: Program, tmp_path: Path
) -> None:
    post = Post()
    here = {"GITHUB_REPOSITORY": "lakeside/harbour", "GITHUB_RUN_ID": "43"}
    pushed = written(tmp_path, push=PUSHED.encode())
    inputs = INPUTS | {"attestation": f"{pushed}\n{tmp_path}", "job-status": "failure"}
    program("send", inputs=inputs, environ=here, post=post)
    assert (
        "but this mail comes from CI run 43. The evidence of this run cannot be read; see the log "
    ) in " ".join(text_of(post.mails[0].content).split())


def test_values_and_the_job_summary_are_bounded(program: Program, tmp_path: Path) -> None:
    environment = {f"V{number}": "x" * 60_000 for number in range(150)}
    document = encoded(cli_push(statement(environment=environment)))
    post = Post()
    inputs = INPUTS | {"attestation": written(tmp_path, push=document)}
    ended = program("send", inputs=inputs, post=post)
    assert ended.code == 0
    assert "x (cut, 60,000 characters)" in " ".join(text_of(post.mails[0].content).split())
    assert len(ended.summary.encode()) < 1024 * 1024
    assert "(cut, 60,000 characters)" in ended.summary
    assert ended.summary.count("(cut, 60,000 characters)") == 150
    assert "chainloop-report.json" in [part.name for part in post.mails[0].parts]
