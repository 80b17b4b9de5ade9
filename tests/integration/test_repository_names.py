"""Chainloop's .chainloop.yml: project and version of a run without attestation."""

from itertools import count
from pathlib import Path

import pytest

from program import INPUTS, PUSHED, Ended, Post, Program, parsed, text_of

REPOSITORY = "lakeside/harbour-api"
RUN_IDS = count(1)  # the same mail of the same run is not sent twice
FILE = "projectName: quay\nprojectVersion: v2.1.0\norganization: lakeside\n"
NOT_USED = ".chainloop.yml is not used"


def mailed(program: Program, workspace: Path, **inputs: str) -> tuple[Ended, str]:
    """The log, and the text of the mail on one line."""
    post = Post()
    environ = {
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_RUN_ID": str(next(RUN_IDS)),
        "GITHUB_WORKSPACE": str(workspace),
    }
    ended = program(
        "send", inputs=INPUTS | {"job-status": "failure"} | inputs, environ=environ, post=post
    )
    assert ended.code == 0, ended.stderr
    (mail,) = post.mails
    subject = parsed(mail.content)["Subject"]
    return ended, f"Subject: {subject} {' '.join(text_of(mail.content).split())}"


@pytest.mark.parametrize("name", [".chainloop.yml", ".chainloop.yaml"])
def test_the_file_names_project_and_version(program: Program, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(FILE, "utf-8")
    _, text = mailed(program, tmp_path)
    assert text.startswith("Subject: [quay] ")
    assert "Project: quay (as .chainloop.yml says)" in text
    assert "Version: v2.1.0 (as .chainloop.yml says)" in text
    assert "quay v2.1.0" in text


def test_an_input_wins_over_the_file_whose_version_is_of_its_own_project(
    program: Program, tmp_path: Path
) -> None:
    (tmp_path / ".chainloop.yml").write_text(FILE, "utf-8")
    _, text = mailed(program, tmp_path, project="pier")
    assert "Project: pier (as the step says)" in text
    assert "v2.1.0" not in text
    _, text = mailed(program, tmp_path, project="quay")
    assert "Project: quay (as the step says)" in text
    assert "Version: v2.1.0 (as .chainloop.yml says)" in text
    (tmp_path / ".chainloop.yml").write_text("projectVersion: v3\n", "utf-8")
    _, text = mailed(program, tmp_path, project="pier")
    assert "Version: v3 (as .chainloop.yml says)" in text


def test_an_attestation_wins_over_the_file(program: Program, tmp_path: Path) -> None:
    (tmp_path / ".chainloop.yml").write_text(FILE, "utf-8")
    # Of another run, whose evidence does not count for a job that failed.
    _, text = mailed(program, tmp_path, **{"job-status": "success"}, attestation=PUSHED)
    assert text.startswith("Subject: [harbour] ")
    assert "v2.1.0" not in text
    assert ".chainloop.yml" not in text


def test_the_nearest_file_counts_up_to_the_root_of_the_repository(
    program: Program, tmp_path: Path
) -> None:
    (tmp_path / ".chainloop.yml").write_text("projectName: outside\n", "utf-8")
    root = tmp_path / "repository"
    (root / "service").mkdir(parents=True)
    assert "outside" not in mailed(program, root / "service")[1]
    (root / ".git").mkdir()
    assert "outside" not in mailed(program, root / "service")[1]
    (root / ".chainloop.yml").write_text(FILE, "utf-8")
    assert "Project: quay" in mailed(program, root / "service")[1]
    (root / "service" / ".chainloop.yml").write_text("projectName: service\n", "utf-8")
    assert "Project: service" in mailed(program, root / "service")[1]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("projectName: [", ".chainloop.yml:2:1: is not YAML"),
        ("projectName: !!python/name:os.system x\n", ".chainloop.yml:1:14"),
        (" " * 70_000, ".chainloop.yml: is larger than"),
    ],
    ids=["broken", "tag", "large"],
)
def test_what_cannot_be_read_is_a_warning_and_the_mail_goes_out(
    program: Program, tmp_path: Path, content: str, why: str
) -> None:
    (tmp_path / ".chainloop.yml").write_text(content, "utf-8")
    ended, text = mailed(program, tmp_path)
    assert ("warning", NOT_USED) in ended.annotations
    assert why in ended.log
    assert "(as .chainloop.yml says)" not in text


@pytest.mark.parametrize("content", ["", "- a\n", "projectName:\n  a: b\n", "other: x\n"])
def test_a_file_without_these_names_says_nothing(
    program: Program, tmp_path: Path, content: str
) -> None:
    (tmp_path / ".chainloop.yml").write_text(content, "utf-8")
    ended, text = mailed(program, tmp_path)
    assert ("warning", NOT_USED) not in ended.annotations
    assert text.startswith("Subject: [harbour-api] ")
    assert "(as .chainloop.yml says)" not in text
