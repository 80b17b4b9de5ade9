"""The whole program with an earlier attestation: what the mail, the summary and the report say."""

import json
import re
from pathlib import Path

import pytest

from builders import cli_push, encoded, evaluation, material, statement
from program import INPUTS, Ended, Post, Program, never, text_of
from website import Site, answer

EARLIER_ID = "00000000-6a51-4a5b-9c1d-0e5f3c2b7a90"
EARLIER = statement(run_id=EARLIER_ID, materials=[material("sbom"), material("old")])
NOW = statement(
    materials=[material("sbom"), material("new")],
    evaluations=[evaluation("licenses", material="sbom", violations=["AGPL"])],
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "attestation.json").write_bytes(encoded(cli_push(NOW)))
    (tmp_path / "previous.json").write_bytes(encoded(cli_push(EARLIER)))
    return tmp_path


def run(program: Program, folder: Path, post: object, previous: str = "", **inputs: str) -> Ended:
    given = {
        "attestation": str(folder / "attestation.json"),
        "previous-attestation": previous or str(folder / "previous.json"),
    }
    further = {name.replace("_", "-"): value for name, value in inputs.items()}
    ended: Ended = program("send", inputs=INPUTS | given | further, post=post)
    return ended


def text(post: Post) -> str:
    (mail,) = post.mails
    return " ".join(text_of(mail.content).split())


def test_every_part_says_what_changed_since(program: Program, folder: Path) -> None:
    post = Post()
    ended = run(program, folder, post, attach="report")

    assert ended.code == 0, ended.stderr
    (mail,) = post.mails
    told = text(post)
    assert "CHANGED SINCE 1 SEP 2026, 08:03:04 UTC" in told
    assert "Violations: 1 new Materials: 1 added, 1 removed Run: outcome changed" in told
    assert f"Compared with: {EARLIER_ID}" in told
    assert "#### Changed since " in ended.summary
    assert "Changed since " in mail.html
    report = json.loads(mail.parts[0].content)
    assert report["changes"]["previous"]["runId"] == EARLIER_ID
    assert report["changes"]["outcome"] == {"before": "attested", "after": "violations"}


def test_it_is_said_too_that_nothing_changed(program: Program, folder: Path) -> None:
    (folder / "previous.json").write_bytes(
        encoded(cli_push(statement(run_id=EARLIER_ID, materials=NOW["predicate"]["materials"])))
    )
    (folder / "attestation.json").write_bytes(
        encoded(cli_push(statement(materials=NOW["predicate"]["materials"])))
    )
    post = Post()
    run(program, folder, post)

    assert "Nothing changed since " in text(post)


@pytest.mark.parametrize("content", [None, b"", b" \n"], ids=["missing", "empty", "blank"])
def test_the_first_run_has_nothing_to_compare_with(
    program: Program, folder: Path, content: bytes | None
) -> None:
    (folder / "previous.json").unlink()
    if content is not None:
        (folder / "previous.json").write_bytes(content)
    post = Post()
    ended = run(program, folder, post)

    assert ended.code == 0, ended.stderr
    assert ended.annotations == [("notice", "nothing to compare with")]
    assert "since" not in text(post)


def test_a_url_that_cannot_be_fetched_is_no_reason_to_send_nothing(
    program: Program, folder: Path
) -> None:
    post = Post()
    ended = run(program, folder, post, previous="http://127.0.0.1:1/previous.json")

    assert ended.code == 0, ended.stderr
    assert ended.annotations == [("notice", "nothing to compare with")]
    assert "is not https" in ended.stdout


def test_of_a_url_with_nothing_behind_it_neither_query_nor_password_is_shown(
    program: Program, folder: Path, site: Site
) -> None:
    site.answers["/p"] = answer(b"")
    host = site.base.removeprefix("https://")
    ended = run(program, folder, Post(), previous=f"https://jane:hunter2@{host}/p?sig=s3cr3t")

    assert ended.code == 0, ended.stderr
    assert f"https://{host}/p': is missing or empty" in ended.stdout
    assert not re.search("hunter2|s3cr3t", ended.stdout + ended.stderr)


@pytest.mark.parametrize("content", [b"{", b"[]", b"hello"], ids=["cut", "empty list", "text"])
def test_a_damaged_one_is_an_error(program: Program, folder: Path, content: bytes) -> None:
    (folder / "previous.json").write_bytes(content)
    ended = run(program, folder, never)

    assert ended.code == 3
    assert "previous-attestation $" in ended.stderr


def test_a_folder_is_no_attestation(program: Program, folder: Path) -> None:
    ended = run(program, folder, never, previous=str(folder))

    assert ended.code == 3
    assert f"previous-attestation '{folder}'" in ended.stderr


def test_two_workflows_are_not_compared(program: Program, folder: Path) -> None:
    other = statement(
        run_id=EARLIER_ID,
        project="lagoon",
        predicate={
            "metadata": EARLIER["predicate"]["metadata"] | {"project": "lagoon", "workflowID": ""}
        },
    )
    (folder / "previous.json").write_bytes(encoded(cli_push(other)))
    post = Post()
    ended = run(program, folder, post)

    assert ended.code == 0, ended.stderr
    assert ended.annotations == [("warning", "nothing is compared")]
    assert "the earlier one is of project lagoon, this one of harbour" in ended.stdout
    assert "since" not in text(post)


def test_without_an_attestation_there_is_nothing_to_compare(program: Program, folder: Path) -> None:
    post = Post()
    ended = run(program, folder, post, attestation="")

    why = "previous-attestation: there is no evidence of this run."
    assert ended.annotation("nothing is compared") == why
    assert "since" not in text(post)


def test_standard_input_is_there_once(program: Program) -> None:
    ended = program(
        "send",
        "--attestation",
        "-",
        "--previous-attestation",
        "-",
        inputs=INPUTS,
        post=never,
        is_actions=False,
    )

    assert ended.code == 2
    assert "previous-attestation: standard input already carries attestation" in ended.stderr
