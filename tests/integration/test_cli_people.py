"""Recipients from a file, from a commit, from GitHub; a fence around them, and rehearsals."""

import json
from pathlib import Path
from typing import Any

import pytest

from builders import cli_describe, cli_push, encoded, statement
from program import Ended, Post, Program, never, parsed, text_of
from website import Site, answer

INPUTS = {
    "host": "smtp.example.com",
    "port": "587",
    "auth": "none",
    "from": "reports@example.com",
    "to": "security@example.com",
}


def sent(program: Program, post: Any, environ: dict[str, str] | None = None, **more: str) -> Ended:
    inputs = INPUTS | {"attestation": encoded(cli_push(statement())).decode()}
    inputs |= {name.replace("_", "-"): text for name, text in more.items()}
    return program("send", inputs=inputs, environ=environ, post=post)


def test_recipients_come_from_a_file_too(program: Program) -> None:
    Path("people.txt").write_text(
        "# On duty\nOn Duty <duty@example.com>, soc@example.com\n\n  x@y.de # she\n"
    )
    post = Post()
    assert sent(program, post, to="a@b.de, file:people.txt\nc@d.fr").code == 0
    assert post.mails[0].recipients == (
        "a@b.de",
        "duty@example.com",
        "soc@example.com",
        "x@y.de",
        "c@d.fr",
    )


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "there is no such file"),
        (b"\xff", "is not UTF-8"),
        (b"a" * (256 * 1024 + 1), "is larger than 256 KiB"),
        (b"nobody\n", "'nobody' is not an address"),
    ],
    ids=["missing", "Latin-1", "large", "no address"],
)
def test_a_file_that_holds_no_recipients_is_an_error(
    program: Program, content: bytes | None, why: str
) -> None:
    if content is not None:
        Path("people.txt").write_bytes(content)
    ended = sent(program, never, cc="file:people.txt", to="a@b.de")
    assert ended.code == 2
    assert why in ended.stderr


def test_a_list_in_the_workspace_is_no_link_to_somebody_elses_file(
    program: Program, tmp_path_factory: pytest.TempPathFactory
) -> None:
    netrc = tmp_path_factory.mktemp("home") / ".netrc"
    netrc.write_text("login jane password hunter2")
    Path("people.txt").symlink_to(netrc)
    environ = {"GITHUB_WORKSPACE": str(Path.cwd())}
    ended = sent(program, never, environ, to="file:people.txt")
    assert ended.code == 2
    assert "it is a link out of the workspace" in ended.stderr
    assert "hunter2" not in ended.stdout + ended.stderr


def test_an_empty_file_adds_nobody_and_is_not_enough_alone(program: Program) -> None:
    Path("people.txt").write_text("# nobody\n")
    post = Post()
    assert sent(program, post, cc="file:people.txt").code == 0
    assert post.mails[0].recipients == ("security@example.com",)
    assert "to: is missing" in sent(program, never, to="file:people.txt").stderr


def test_a_path_that_is_none_is_an_error(program: Program) -> None:
    assert "not a path" in sent(program, never, to="file:a\0b").stderr


def test_lists_of_a_configuration_file_may_be_files(program: Program) -> None:
    Path("people.txt").write_text("duty@example.com\n")
    Path("chainloop-smtp.yml").write_text(
        "registrations: [{name: a, to: 'file:people.txt'}]\n"
        "attachments: [{registration: a}, {registration: a, cc: 'file:none.txt'}]\n"
    )
    inputs = {name: text for name, text in INPUTS.items() if name != "to"}
    inputs["config"] = "chainloop-smtp.yml"
    ended = program("send", inputs=inputs, post=never)
    assert "cc 'file:none.txt': there is no such file" in ended.stderr
    Path("none.txt").write_text("x@example.com\n")
    post = Post()
    assert program("send", inputs=inputs, post=post).code == 0
    assert [mail.recipients for mail in post.mails] == [("duty@example.com",), ("x@example.com",)]


def test_the_author_of_the_attested_commit_is_written_to(program: Program) -> None:
    post = Post()
    attestation = encoded(cli_describe(statement())).decode()
    ended = sent(program, post, to="author", cc="author", attestation=attestation)
    assert ended.code == 0
    author = statement()["subject"][1]["annotations"]["author.email"]
    assert post.mails[0].recipients == (author,)
    assert parsed(post.mails[0].content)["To"].addresses[0].addr_spec == author


def without_commit() -> str:
    return encoded(cli_describe(statement(has_commit=False))).decode()


def test_where_the_attestation_names_no_author_the_event_does(program: Program) -> None:
    author = {"name": "Robin  Quay", "email": "robin@example.com"}
    Path("event.json").write_text(json.dumps({"head_commit": {"author": author}}))
    post = Post()
    environ = {"GITHUB_EVENT_PATH": "event.json"}
    sent(program, post, environ, cc="author", attestation=without_commit())
    (box,) = parsed(post.mails[0].content)["Cc"].addresses
    assert (box.display_name, box.addr_spec) == ("Robin Quay", "robin@example.com")


@pytest.mark.parametrize("email", ["1+x@users.noreply.github.com", "no address", ""])
def test_where_nobody_can_be_found_nothing_is_sent_and_that_is_said(
    program: Program, email: str
) -> None:
    author = {"name": "Robin", "email": email}
    Path("event.json").write_text(json.dumps({"head_commit": {"author": author}}))
    environ = {"GITHUB_EVENT_PATH": "event.json" if email else "none.json"}
    ended = sent(program, never, environ, to="author", attestation=without_commit())
    assert ended.code == 0
    assert ended.outputs["skipped"].startswith("there is nobody to write to")
    assert ("notice", "skipped") in ended.annotations
    assert (("notice", "no author") in ended.annotations) is not bool(email)


def test_of_many_mails_one_may_be_to_nobody(program: Program) -> None:
    Path("chainloop-smtp.yml").write_text(
        "registrations: [{name: a}]\n"
        "attachments: [{registration: a, to: author}, {registration: a, to: x@y.de, cc: author}]\n"
    )
    inputs = {name: text for name, text in INPUTS.items() if name != "to"}
    inputs["config"] = "chainloop-smtp.yml"
    post = Post()
    inputs |= {"attestation": without_commit()}
    ended = program("send", inputs=inputs, post=post)
    assert ended.code == 0
    assert [mail.recipients for mail in post.mails] == [("x@y.de",)]
    assert "not sent: nobody was found" in ended.stdout


def test_contributors_are_asked_for_at_github(program: Program, site: Site) -> None:
    api = "/repos/lakeside/harbour"
    this = {"workflow_id": 1, "head_branch": "main", "run_number": 2}
    runs = {"workflow_runs": [{"run_number": 1, "conclusion": "success", "head_sha": "a"}]}
    commits = [{"commit": {"author": {"name": "Kim", "email": "kim@example.com"}}}]
    site.answers = {
        f"{api}/actions/runs/100": answer(json.dumps(this).encode()),
        f"{api}/actions/workflows/1/runs": answer(json.dumps(runs).encode()),
        f"{api}/compare/a...b": answer(json.dumps({"commits": commits}).encode()),
    }
    environ = {
        "GITHUB_API_URL": site.base,
        "GITHUB_REPOSITORY": "lakeside/harbour",
        "GITHUB_RUN_ID": "100",
        "GITHUB_SHA": "b",
    }
    post = Post()
    ended = sent(program, post, environ, bcc="contributors", github_token="t0k3n")
    assert ended.code == 0
    assert post.mails[0].recipients == ("security@example.com", "kim@example.com")
    assert b"kim@" not in post.mails[0].content


def test_a_rehearsal_names_those_who_would_have_got_it(program: Program) -> None:
    post = Post()
    ended = sent(program, post, cc="team@example.com", redirect_to="me@example.com")
    (mail,) = post.mails
    assert mail.recipients == ("me@example.com",)
    received = parsed(mail.content)
    assert received["To"] == "me@example.com"
    assert received["Cc"] is None
    text = " ".join(text_of(mail.content).split())
    assert "A rehearsal: it would have gone to security@example.com, team@example.com." in text
    receipt = json.loads(Path(ended.outputs["receipt"]).read_text())
    assert receipt["deliveries"][0]["intended"] == ["security@example.com", "team@example.com"]


def test_an_address_outside_of_the_fence_is_refused_by_name(program: Program) -> None:
    ended = sent(program, never, allowed_domains="example.com", cc="x@other.test")
    assert ended.code == 2
    assert "cc: x@other.test: not in the domains of allowed-domains" in ended.stderr
