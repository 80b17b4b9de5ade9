"""The whole program with attachments: what arrives is what was given, or nothing is sent."""

import json
from email.message import EmailMessage
from pathlib import Path
from typing import cast

import pytest

from builders import (
    cli_push,
    digest_of,
    encoded,
    evaluation,
    referring,
    statement,
    stored_evaluations,
)
from program import INPUTS, PASSWORD, PUSHED, Ended, Post, Program, failure, never, parsed, text_of
from smtpserver import Certificates, Mailboxes
from submission import send_one

EVIDENCE = b"\xef\xbb\xbf" + encoded(cli_push(statement())).replace(b"\n", b"\r\n")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    path = tmp_path / "workspace"
    (path / "dist").mkdir(parents=True)
    (path / "attestation.json").write_bytes(EVIDENCE)
    (path / "dist" / "größe.json").write_bytes(b'{"\xff": 1}\r\n.\n')
    (path / "dist" / "index.html").write_bytes(b"<script>alert(1)</script>")
    (path / "dist" / "attestation.json").write_bytes(b"[]")
    return path


def attaching(workspace: Path, *lines: str, **inputs: str) -> dict[str, str]:
    given = {name.replace("_", "-"): value for name, value in inputs.items()}
    evidence = {"attestation": str(workspace / "attestation.json")}
    return INPUTS | evidence | {"attach": "\n".join(lines)} | given


def run(program: Program, workspace: Path, inputs: object, post: object = None) -> Ended:
    environ = {"GITHUB_WORKSPACE": str(workspace)}
    ended: Ended = program("send", inputs=inputs, environ=environ, post=post)
    return ended


def attached(content: bytes) -> dict[str | None, bytes]:
    """What a receiver finds in a mail, by name."""
    mail = parsed(content)
    assert mail.get_content_type() == "multipart/mixed"
    return {
        part.get_filename(): cast(bytes, part.get_payload(decode=True))
        for part in cast("list[EmailMessage]", mail.get_payload())[1:]
    }


def test_evidence_report_and_files_arrive_as_they_were(program: Program, workspace: Path) -> None:
    post = Post()
    inputs = attaching(workspace, "report", "dist/*", "attestation")
    ended = run(program, workspace, inputs, post)

    assert ended.code == 0, ended.stderr
    (mail,) = post.mails
    found = attached(mail.content)
    report = json.loads(found.pop("chainloop-report.json"))
    assert report["verdict"]["outcome"] == ended.outputs["outcome"]
    assert found == {
        "attestation.json": EVIDENCE,
        "attestation-2.json": b"[]",
        "größe.json": b'{"\xff": 1}\r\n.\n',
        "index.html": b"<script>alert(1)</script>",
    }
    assert b"text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64" not in mail.content


def test_every_part_of_the_mail_says_what_is_attached(program: Program, workspace: Path) -> None:
    post = Post()
    ended = run(program, workspace, attaching(workspace, "attestation"), post)
    (mail,) = post.mails

    digest = digest_of(EVIDENCE)
    told = f"{len(EVIDENCE):,} bytes, {digest}"
    assert told in " ".join(text_of(mail.content).split())
    assert told in mail.html
    assert told in ended.summary


def test_evaluations_that_are_given_besides_are_evidence_too(
    program: Program, workspace: Path
) -> None:
    evaluations = [evaluation("licenses", material="sbom", violations=["AGPL"])]
    stored = stored_evaluations(evaluations)
    (workspace / "attestation.json").write_bytes(
        b"a policy says hello\n" + encoded(referring(statement(evaluations=evaluations), stored))
    )
    (workspace / "evaluations.json").write_bytes(stored)
    post = Post()
    inputs = attaching(
        workspace, "attestation", policy_evaluations=str(workspace / "evaluations.json")
    )
    ended = run(program, workspace, inputs, post)

    assert ended.code == 0, ended.stderr
    found = attached(post.mails[0].content)
    assert set(found) == {"attestation.txt", "policy-evaluations.json"}
    assert found["policy-evaluations.json"] == stored


def test_a_pattern_that_matches_nothing_is_an_error(program: Program, workspace: Path) -> None:
    ended = run(program, workspace, attaching(workspace, "dist/*.none", "x"), never)

    assert ended.code == 2
    hint = (
        "  Paths are relative to the workspace: does a step before this one check it out? To match "
        "a hidden name, write its leading dot."
    )
    assert ended.failure == failure(
        f"attach 'dist/*.none': matches no file\n{hint}", f"attach 'x': matches no file\n{hint}"
    )


def test_several_things_on_one_line_are_told_to_be_written_below_each_other(
    program: Program, workspace: Path
) -> None:
    ended = run(program, workspace, attaching(workspace, "attestation,report"), never)

    assert ended.code == 2
    assert ended.failure == failure(
        "attach 'attestation,report': matches no file\n"
        "  Commas do not separate entries here: write one per line."
    )


def test_the_mail_about_a_failed_job_does_not_wait_for_its_files(
    program: Program, workspace: Path
) -> None:
    post = Post()
    inputs = attaching(
        workspace, "attestation", "dist/*.none", job_status="failure", attestation="none.json"
    )
    ended = run(program, workspace, inputs, post)

    assert ended.code == 0, ended.stderr
    assert [kind for kind, title in ended.annotations if title == "nothing to attach"] == [
        "notice",
        "warning",
    ]
    assert "::There is no attestation to attach.\n" in ended.stdout
    (mail,) = post.mails
    assert parsed(mail.content).get_content_type() == "multipart/alternative"


def test_more_than_is_allowed_is_not_sent(program: Program, workspace: Path) -> None:
    inputs = attaching(workspace, "attestation", "dist/*.html", attach_max_size="100B")
    ended = run(program, workspace, inputs, never)

    assert ended.code == 2
    total = len(EVIDENCE) + 25
    assert ended.failure == failure(
        f"attach-max-size: the attachments have {total:,} bytes in total, 100 are allowed: "
        f"'attestation.json' {len(EVIDENCE):,}, 'dist/index.html' 25\n"
        "  Attach less, or raise attach-max-size: most servers accept 10 to 25 MB, and a mail "
        "is a third larger than its attachments."
    )


def test_a_link_out_of_the_workspace_is_an_error_and_no_secret(
    program: Program, workspace: Path
) -> None:
    (workspace / "dist" / "environment.json").symlink_to("/proc/self/environ")
    ended = run(program, workspace, attaching(workspace, "dist/*.json"), never)

    assert ended.code == 2
    assert ended.failure == failure(
        "attach 'dist/environment.json': leads out of the workspace\n"
        "  A link is attached only if it stays inside."
    )


def test_evidence_as_text_is_attached_as_it_was_given(program: Program, workspace: Path) -> None:
    post = Post()
    run(program, workspace, attaching(workspace, "attestation", attestation=PUSHED), post)

    assert attached(post.mails[0].content) == {"attestation.json": PUSHED.strip().encode()}


def test_a_mail_that_the_server_does_not_take_says_what_makes_it_large(
    program: Program, workspace: Path, tls: Certificates
) -> None:
    (workspace / "dist" / "large.bin").write_bytes(bytes(200_000))
    server = Mailboxes(
        tls=tls.server, mechanisms=("PLAIN",), accounts={"jane": PASSWORD}, size_limit=200_000
    )
    with server.running():
        inputs = attaching(
            workspace,
            "attestation",
            "dist/large.bin",
            host="localhost",
            port=str(server.port),
            tls_ca_file=str(tls.ca_file),
        )
        ended = run(program, workspace, inputs, send_one)

    assert ended.code == 5
    (mail,) = workspace.parent.rglob("*.eml")
    assert ended.failure == failure(
        f"security@example.com: the mail has {mail.stat().st_size:,} bytes, the server accepts "
        "200,000\n"
        "  The largest attachments: large.bin (200,000 bytes), attestation.json "
        f"({len(EVIDENCE):,} bytes). Attach less.",
        title="The mail was not delivered.",
    )
    assert server.mails == []


@pytest.mark.parametrize(
    ("where", "environment"),
    [("the mail", {"SMTP_PASSWORD": PASSWORD}), ("what is attached only", {})],
)
def test_a_mail_with_the_password_in_it_is_neither_sent_nor_written(
    program: Program, workspace: Path, where: str, environment: dict[str, str]
) -> None:
    evidence = encoded(cli_push(statement(environment=environment)))
    (workspace / "attestation.json").write_bytes(evidence)
    (workspace / "dist" / "config.json").write_text(json.dumps({"smtp": PASSWORD}), "utf-8")
    lines = [] if environment else ["dist/config.json"]
    ended = run(program, workspace, attaching(workspace, *lines), never)

    assert ended.code == 4, where
    parts = ("text", "html", "summary") if environment else ("attachment config.json",)
    found = (
        "contains the value of password, so nothing is sent\n"
        "  Find where it comes from (an environment variable, a message, a file), remove it, and "
        "change the secret: others may have seen it. env-values: hide leaves the attested "
        "environment out of the mail."
    )
    assert ended.failure == failure(
        *(f"{part}: {found}" for part in parts), title="The mail cannot be written."
    )
    assert PASSWORD not in ended.log
    assert not list(workspace.parent.rglob("*.eml"))
    assert ended.outputs["sent"] == "false"
