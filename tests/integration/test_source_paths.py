"""A folder of templates as it lies on the disk."""

import os
from pathlib import Path

import pytest

from chainloop_smtp.errors import MessageError, OptionsError
from chainloop_smtp.model.mail import TemplateFile, Templates
from chainloop_smtp.source.paths import read_templates


def written(folder: Path, **files: str | bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name.replace("_", ".")
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def problems(folder: Path) -> list[str]:
    with pytest.raises(MessageError) as caught:
        read_templates(str(folder), "")
    return [str(each) for each in caught.value.problems]


def test_without_a_folder_there_is_the_subject_alone() -> None:
    assert read_templates("", "{{ wording.badge }}") == Templates(subject="{{ wording.badge }}")


def test_the_templates_of_a_folder_are_read_and_nothing_else(tmp_path: Path) -> None:
    folder = written(tmp_path, mail_txt_j2="a\r\nb\n", README_md="not ours", a_j2="\ufeffx")
    (folder / "more.j2").mkdir(parents=True)
    (folder / "more.j2" / "mail.html.j2").write_text("not this one")
    (folder / "more.j2").rename(folder / "more")

    assert read_templates(str(folder), "s") == Templates(
        subject="s",
        folder=str(folder),
        files=(
            TemplateFile(name="a.j2", text="x"),
            TemplateFile(name="mail.txt.j2", text="a\nb\n"),
        ),
        others=("README.md", "more"),
    )


def test_a_folder_is_relative_to_where_the_program_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / ".github" / "mail", mail_txt_j2="a")
    monkeypatch.chdir(tmp_path)

    assert read_templates(".github/mail", "").files == (TemplateFile(name="mail.txt.j2", text="a"),)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("missing", "no such file or directory"),
        ("file", "not a directory"),
        ("nul\0l", "not a path"),
        ("circle", "too many levels of symbolic links"),
    ],
)
def test_what_is_no_folder_is_an_options_error(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(OptionsError) as caught:
        read_templates(str(tmp_path / name), "")

    (problem,) = caught.value.problems
    assert problem.where == "template-dir"
    assert problem.why.endswith(f" is no folder to read: {why}")


def test_a_link_leads_nowhere_else(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a secret of the machine")
    folder = written(tmp_path / "mail", words_j2="inside")
    (folder / "mail.txt.j2").symlink_to(secret)
    (folder / "mail.html.j2").symlink_to("/proc/self/environ")
    (folder / "subject.txt.j2").symlink_to("nowhere")
    (folder / "summary.md.j2").symlink_to("summary.md.j2")

    assert problems(folder) == [
        "template-dir 'mail.html.j2': it leads out of this folder",
        "template-dir 'mail.txt.j2': it leads out of this folder",
        "template-dir 'subject.txt.j2': there is no such file",
        "template-dir 'summary.md.j2': cannot be read: too many levels of symbolic links",
    ]


def test_a_link_within_the_folder_is_followed(tmp_path: Path) -> None:
    folder = written(tmp_path / "mail", words_j2="inside")
    (folder / "mail.txt.j2").symlink_to("words.j2")
    (tmp_path / "linked").symlink_to(folder)

    assert [each.text for each in read_templates(str(tmp_path / "linked"), "").files] == [
        "inside"
    ] * 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "mail.txt.j2")

    assert problems(tmp_path) == [
        "template-dir 'mail.txt.j2': is a pipe, not a file\n"
        "  Write what comes through it to a file first, and name that."
    ]


def test_every_file_that_is_no_template_is_told_at_once(tmp_path: Path) -> None:
    written(
        tmp_path, mail_txt_j2=b"\xff", mail_html_j2="x" * (128 * 1024 + 1), subject_txt_j2="fine"
    )

    assert problems(tmp_path) == [
        "template-dir 'mail.html.j2': is larger than 128 KiB",
        "template-dir 'mail.txt.j2': it is not UTF-8",
    ]


def test_a_folder_of_templates_is_small(tmp_path: Path) -> None:
    written(tmp_path, **{f"t{number}_j2": "x" for number in range(33)})

    assert problems(tmp_path) == ["template-dir: 33 templates are more than 32"]
    (tmp_path / "t0.j2").unlink()
    assert len(read_templates(str(tmp_path), "").files) == 32
