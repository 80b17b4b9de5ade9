"""Lists of recipients, and a folder of templates, as they lie on the disk."""

import os
import shutil
from pathlib import Path

import pytest

from chainloop_smtp.errors import MessageError, OptionsError, Problem, quoted, quoted_path
from chainloop_smtp.model.mail import TemplateFile, Templates
from chainloop_smtp.source.paths import expand_list, read_names_file, read_templates
from refusal import error_of


def written(folder: Path, **files: str | bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name.replace("_", ".")
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def problems(folder: Path) -> list[str]:
    with pytest.raises(MessageError) as caught:
        read_templates(str(folder), "", "")
    return [str(each) for each in caught.value.problems]


def test_without_a_folder_there_is_the_subject_alone() -> None:
    assert read_templates("", "{{ wording.badge }}", "") == Templates(subject="{{ wording.badge }}")


def test_the_templates_of_a_folder_are_read_and_nothing_else(tmp_path: Path) -> None:
    folder = written(tmp_path, mail_txt_j2="a\r\nb\n", README_md="not ours", a_j2="\ufeffx")
    (folder / "more.j2").mkdir(parents=True)
    (folder / "more.j2" / "mail.html.j2").write_text("not this one")
    (folder / "more.j2").rename(folder / "more")

    assert read_templates(str(folder), "s", "") == Templates(
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

    assert read_templates(".github/mail", "", "").files == (
        TemplateFile(name="mail.txt.j2", text="a"),
    )


@pytest.mark.parametrize(
    ("name", "why", "hint"),
    [
        ("missing", "no such file or directory", "Did you mean 'a'?"),
        ("file", "not a directory", ""),
        ("nul\0l", "not a path", ""),
        ("circle", "too many levels of symbolic links", ""),
    ],
)
def test_what_is_no_folder_is_an_options_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, why: str, hint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    written(tmp_path / "a", mail_txt_j2="")
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(OptionsError) as caught:
        read_templates(str(tmp_path / name), "", "")

    shown = quoted_path(str(tmp_path / name))
    assert caught.value.problems == (
        Problem("template-dir", f"{shown} is not a readable folder: {why}", hint),
    )


@pytest.mark.parametrize(
    ("files", "hint"),
    [
        (["mail/mail.txt.j2"], "Did you mean 'mail'?"),
        (
            [],
            "Paths are relative to the workspace: does a step before this one check it out?",
        ),
    ],
)
def test_a_missing_folder_of_templates_names_those_that_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[str], hint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for each in files:
        Path(each).parent.mkdir()
        Path(each).touch()
    assert error_of(lambda: read_templates("templates", "", ""), OptionsError) == (
        "template-dir",
        "'templates' is not a readable folder: no such file or directory",
        hint,
    )


@pytest.mark.parametrize("count", [10_000, 10_001])
def test_a_folder_with_too_many_entries_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """A folder of any number of files costs no more than one of the largest."""

    class Entry:
        name = "x"

    class Entries(list[Entry]):
        def __enter__(self) -> "Entries":
            return self

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(os, "scandir", lambda _: Entries([Entry()] * count))
    assert len(read_templates(str(tmp_path), "", "").others) == 10_000


def test_a_link_leads_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
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

    assert [each.text for each in read_templates(str(tmp_path / "linked"), "", "").files] == [
        "inside"
    ] * 2


@pytest.mark.parametrize(
    ("folder", "target", "why"),
    [
        ("mails", "../outside", "it is a link out of the workspace"),
        ("mails", ".git", "it is a link into .git"),
        ("mails/inner", "../outside", "it is a link out of the workspace"),
    ],
)
def test_a_folder_of_templates_is_no_link_to_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, target: str, why: str
) -> None:
    for each in ("outside", "outside/inner", "workspace/.git"):
        written(tmp_path / each, mail_txt_j2="secret")
    monkeypatch.chdir(tmp_path / "workspace")
    Path("mails").symlink_to(target)
    assert error_of(
        lambda: read_templates(folder, "", str(tmp_path / "workspace")), OptionsError
    ) == ("template-dir", f"{quoted(folder)} is not a readable folder: {why}", "")
    # Whoever names the folder itself means it.
    assert read_templates(target, "", str(tmp_path / "workspace")).files[0].text == "secret"


@pytest.mark.parametrize("git", [".git", ".GIT"])
def test_no_template_is_a_link_into_the_git_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, git: str
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / git, config="secret")
    Path("mail.txt.j2").symlink_to(f"{git}/config")
    with pytest.raises(MessageError) as caught:
        read_templates(".", "", str(tmp_path))
    assert list(map(str, caught.value.problems)) == [
        "template-dir 'mail.txt.j2': cannot be read: it is a link into .git"
    ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "mail.txt.j2")

    assert problems(tmp_path) == [
        "template-dir 'mail.txt.j2': is a pipe, not a file\n"
        "  Write its contents to a file first, and give that file."
    ]


def test_every_file_that_is_no_template_is_told_at_once(tmp_path: Path) -> None:
    written(
        tmp_path, mail_txt_j2=b"\xff", mail_html_j2="x" * (128 * 1024 + 1), subject_txt_j2="fine"
    )

    assert problems(tmp_path) == [
        "template-dir 'mail.html.j2': is larger than 128 KiB",
        "template-dir 'mail.txt.j2': is not UTF-8\n  Save it as UTF-8.",
    ]


def test_a_folder_of_templates_is_small(tmp_path: Path) -> None:
    written(tmp_path, **{f"t{number}_j2": "x" for number in range(33)})

    assert problems(tmp_path) == ["template-dir: 33 templates are more than 32"]
    (tmp_path / "t0.j2").unlink()
    assert len(read_templates(str(tmp_path), "", "").files) == 32


# --- lists of recipients -----------------------------------------------------------------------


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    root = tmp_path / "workspace"
    (root / ".git").mkdir(parents=True)
    (root / ".git" / "config").write_text("x@example.com\n")
    (root / "team.txt").write_text("a@example.com\nb@example.com\n")
    (root / "leads").write_text("c@example.com\n")
    (tmp_path / "outside.txt").write_text("secret@example.com\n")
    monkeypatch.chdir(root)
    return str(root)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("", ""),
        ("x@example.com, y@example.com\n", "x@example.com, y@example.com\n"),
        ("file:team.txt", "a@example.com\nb@example.com"),
        ("  file:  team.txt  ", "a@example.com\nb@example.com"),
        ("file:team.txt,file:leads", "a@example.com\nb@example.com\nc@example.com"),
        (
            "x@example.com, file:leads ,y@example.com\nZ, Y <z@example.com>\nfile:leads",
            "x@example.com\nc@example.com\n,y@example.com\nZ, Y <z@example.com>\nc@example.com",
        ),
        ("profile:x@example.com", "profile:x@example.com"),
        (
            "file:leads; x@example.com;file:team.txt",
            "c@example.com\n; x@example.com\na@example.com\nb@example.com",
        ),
        ('"D, J" <d@example.com>;file:leads', '"D, J" <d@example.com>\nc@example.com'),
        ("file:./leads\r\nx@example.com", "c@example.com\nx@example.com"),
    ],
)
def test_a_list_holds_the_lines_of_the_files_it_names(
    workspace: str, text: str, expanded: str
) -> None:
    assert expand_list("cc", text, workspace) == expanded


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("lists/laeds", "Did you mean 'lists/leads'?"),
        (
            "nobody",
            "Paths are relative to the workspace: does a step before this one check it out?",
        ),
    ],
)
@pytest.mark.parametrize("has_workspace", [True, False])
def test_a_file_that_is_missing_is_looked_for_as_the_user_names_it(
    workspace: str, path: str, hint: str, has_workspace: bool
) -> None:
    Path("lists").mkdir()
    Path("leads").rename("lists/leads")
    shutil.rmtree(".git")
    root = workspace if has_workspace else ""
    assert error_of(lambda: expand_list("to", f"file:{path}", root), OptionsError) == (
        f"to 'file:{path}'",
        "there is no such file",
        hint,
    )


LATIN = "Jürgen € <j@example.com>"


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"# nobody yet\n\n  \n", []),
        (
            b" a@example.com  # the first\r\nb@example.com\t#the second\r\n",
            ["a@example.com", "b@example.com"],
        ),
        (b"a#b@example.com\n#c@example.com", ["a#b@example.com"]),
        (LATIN.encode(), [LATIN]),
        (LATIN.encode("utf-8-sig"), [LATIN]),
        (LATIN.encode("utf-16"), [LATIN]),
        (LATIN.encode("utf-16-le"), [LATIN]),
        (LATIN.encode("cp1252"), [LATIN]),
    ],
)
def test_a_file_of_recipients_may_be_saved_by_any_program(
    workspace: str, content: bytes, lines: list[str]
) -> None:
    Path("team.txt").write_bytes(content)
    assert expand_list("to", "file:team.txt", workspace) == "\n".join(lines)


ENCODING = ("is neither UTF-8, UTF-16 nor Windows-1252", "Save it as UTF-8.")


@pytest.mark.parametrize(
    ("path", "content", "why", "hint"),
    [
        ("team.txt", b"\xef\xbb\xbfa\xff", *ENCODING),
        ("team.txt", b"\xff\xfea", *ENCODING),
        ("team.txt", b"\xfe\xff\xd8\x00\x00a", *ENCODING),
        ("team.txt", b"a\x81", *ENCODING),
        ("team.txt", b"#" * (256 * 1024 + 1), "is larger than 256 KiB", ""),
        ("none.txt", None, "there is no such file", ""),
        ("a\0b", None, "cannot be read: not a path", ""),
        (".", None, "cannot be read: is a directory", "Name the file in it."),
    ],
    ids=ascii,
)
def test_a_file_that_holds_no_list_is_told(
    workspace: str, path: str, content: bytes | None, why: str, hint: str
) -> None:
    if content is not None:
        Path(path).write_bytes(content)
    assert error_of(
        lambda: expand_list("bcc", f"x@y.de, file:{path}", workspace), OptionsError
    ) == (
        f"bcc {quoted_path('file:' + path)}",
        why,
        hint,
    )


def test_a_list_may_be_as_large_as_the_limit(workspace: str) -> None:
    Path("team.txt").write_bytes(b"a@example.com".ljust(256 * 1024))
    assert expand_list("to", "file:team.txt", workspace) == "a@example.com"


@pytest.mark.parametrize("is_absolute", [True, False])
@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("../outside.txt", "it is a link out of the workspace"),
        (".git/config", "it is a link into .git"),
    ],
)
def test_a_link_in_the_workspace_brings_no_list_from_elsewhere(
    workspace: str, target: str, why: str, is_absolute: bool
) -> None:
    Path("link").symlink_to(target)
    path = f"{workspace}/link" if is_absolute else "link"
    assert error_of(lambda: expand_list("to", f"file:{path}", workspace), OptionsError) == (
        f"to {quoted_path('file:' + path)}",
        f"cannot be read: {why}",
        "",
    )
    # Where there is no workspace, nobody else writes there.
    assert expand_list("to", f"file:{path}", "").endswith("@example.com")


def test_a_list_that_is_named_where_it_is_may_be_anywhere(workspace: str) -> None:
    assert expand_list("to", "file:../outside.txt", workspace) == "secret@example.com"
    assert expand_list("to", "file:.git/config", workspace) == "x@example.com"


def test_the_workspace_may_be_a_link_itself(workspace: str, tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(workspace)
    Path("link").symlink_to("../outside.txt")
    path = str(tmp_path / "linked" / "link")
    said = (
        f"to {quoted_path('file:' + path)}",
        "cannot be read: it is a link out of the workspace",
        "",
    )
    for given in (str(tmp_path / "linked"), workspace):
        assert (
            error_of(
                lambda: expand_list("to", "file:link", given),  # noqa: B023  # called at once
                OptionsError,
            )
            == ("to 'file:link'", *said[1:])
        )
        assert (
            error_of(
                lambda: expand_list("to", f"file:{path}", given),  # noqa: B023  # called at once
                OptionsError,
            )
            == said
        )


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("workspace", "alias/link"),
        ("workspace", "alias/folder/outside.txt"),
        ("workspace/inner", "alias/link"),
        (".", "alias/workspace/link"),
    ],
)
def test_under_another_name_a_folder_of_the_workspace_is_the_same(
    workspace: str, tmp_path: Path, target: str, path: str
) -> None:
    Path("inner").mkdir()
    Path("link").symlink_to("../outside.txt")
    Path("inner/link").symlink_to("../../outside.txt")
    Path("folder").symlink_to("..")
    (tmp_path / "alias").symlink_to(target)
    where = f"file:{tmp_path / path}"
    assert error_of(lambda: expand_list("to", where, workspace), OptionsError) == (
        f"to {quoted_path(where)}",
        "cannot be read: it is a link out of the workspace",
        "",
    )


def test_under_another_name_of_the_workspace_its_files_are_read(
    workspace: str, tmp_path: Path
) -> None:
    (tmp_path / "alias").symlink_to(workspace)
    Path("link").symlink_to("team.txt")
    Path("team.txt").write_text("a@example.com")
    assert expand_list("to", f"file:{tmp_path}/alias/link", workspace) == "a@example.com"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_list_that_is_a_pipe_is_not_waited_for(workspace: str) -> None:
    os.mkfifo(Path(workspace, "pipe"))

    assert error_of(lambda: expand_list("to", "file:pipe", workspace), OptionsError) == (
        "to 'file:pipe'",
        "is a pipe, not a file",
        "Write its contents to a file first, and give that file.",
    )


# --- .chainloop.yml ----------------------------------------------------------------------------

NAMES_FILE = ".chainloop.yml"


def test_without_a_names_file_there_is_neither_name_nor_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "repository" / "service"
    folder.mkdir(parents=True)
    written(folder.parent, **{NAMES_FILE: "projectName: above\n"})
    monkeypatch.chdir(folder)

    assert read_names_file("") == read_names_file(str(folder)) == ("", "")
    (folder.parent / ".git").mkdir()
    assert read_names_file("") == (NAMES_FILE, "projectName: above\n")


def test_a_names_file_may_be_as_large_as_the_limit_and_is_utf_8(tmp_path: Path) -> None:
    largest = "projectName: quay\n".ljust(64 * 1024)
    written(tmp_path, **{NAMES_FILE: largest})
    assert read_names_file(str(tmp_path)) == (NAMES_FILE, largest)
    written(tmp_path, **{NAMES_FILE: f"{largest} "})
    problem = Problem(NAMES_FILE, "is larger than 64 KiB")
    assert read_names_file(str(tmp_path)) == (NAMES_FILE, problem)
    written(tmp_path, **{NAMES_FILE: b"\xef\xbb\xbfprojectName: qu\xe4y\n"})
    problem = Problem(NAMES_FILE, "is not UTF-8", "Save it as UTF-8.")
    assert read_names_file(str(tmp_path)) == (NAMES_FILE, problem)
