"""The configuration file on a real disk, edited by several programs at once."""

import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from chainloop_smtp import config_file
from chainloop_smtp.errors import OptionsError, quoted_path
from chainloop_smtp.options import configuration
from refusal import error_of


def test_a_folder_of_that_name_is_not_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".github/chainloop-smtp.yml").mkdir(parents=True)
    Path("chainloop-smtp.yml").touch()
    assert config_file.find("") == "chainloop-smtp.yml"


def test_the_file_in_the_github_folder_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert config_file.find("") == ""
    Path("chainloop-smtp.yml").touch()
    assert config_file.find("") == "chainloop-smtp.yml"
    Path(".github").mkdir()
    Path(".github/chainloop-smtp.yml").touch()
    assert config_file.find("") == ".github/chainloop-smtp.yml"
    assert config_file.find("mine.yml") == "mine.yml"


def test_a_text_is_read_with_its_line_ends_and_without_its_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_bytes("\ufeffa: ü\r\n".encode())
    assert config_file.read(str(path)) == "a: ü\r\n"


@pytest.mark.parametrize(
    ("content", "why", "hint"),
    [
        (b"a: \xff", "is not UTF-8 at byte 4", "Save it as UTF-8."),
        (b"\xffa", "is not UTF-8 at byte 1", "Save it as UTF-8."),
        (b"#" * (1024 * 1024 + 1), "is larger than 1 MiB", ""),
    ],
    ids=["Latin-1", "UTF-16", "large"],
)
def test_what_cannot_be_read_is_an_error(
    tmp_path: Path, content: bytes, why: str, hint: str
) -> None:
    path = tmp_path / "a.yml"
    path.write_bytes(content)
    assert error_of(lambda: config_file.read(str(path)), OptionsError) == (
        f"config {quoted_path(str(path))}",
        why,
        hint,
    )


def test_a_file_as_large_as_the_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_bytes(b"#" * 1024 * 1024)
    assert config_file.read(str(path)) == "#" * 1024 * 1024


def test_a_file_need_not_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = "chainlop-smtp.yml"
    Path("chainloop-smtp.yml").touch()
    assert error_of(lambda: config_file.read(path), OptionsError) == (
        "config 'chainlop-smtp.yml'",
        "there is no such file",
        "Did you mean 'chainloop-smtp.yml'?",
    )
    assert config_file.read(path, is_required=False) == ""


@pytest.mark.parametrize(
    ("path", "shown", "read", "written"),
    [
        (
            "folder",
            "folder",
            ("cannot be read: is a directory", "Name the file in it."),
            # Where it leads to is read before it is written.
            ("cannot be read: is a directory", "Name the file in it."),
        ),
        (
            "a\0b",
            "a b",
            ("cannot be read: not a path", ""),
            ("cannot be written: not a path", ""),
        ),
    ],
    ids=["folder", "NUL"],
)
def test_what_is_no_file_is_an_error_too(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    shown: str,
    read: tuple[str, str],
    written: tuple[str, str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    where = f"config '{shown}'"
    assert error_of(lambda: config_file.read(path), OptionsError) == (where, *read)
    assert error_of(lambda: config_file.update(path, str.upper), OptionsError) == (
        (f"config {quoted_path(str(tmp_path / path))}" if path == "folder" else where),
        *written,
    )
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


def test_a_new_file_gets_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / ".github" / "a.yml"
    config_file.update(str(path), lambda text: text + "new\n")
    assert path.read_text() == "new\n"
    assert [each.name for each in path.parent.iterdir()] == ["a.yml"]


def test_while_a_file_is_edited_its_lock_is_the_owners_alone(tmp_path: Path) -> None:
    modes = []

    def change(text: str) -> str:
        modes.append(stat.S_IMODE((tmp_path / ".a.yml.lock").stat().st_mode))
        return text

    config_file.update(str(tmp_path / "a.yml"), change)
    assert modes == [0o600]


def test_an_edit_keeps_the_mode_and_follows_a_link(tmp_path: Path) -> None:
    path, link = tmp_path / "a.yml", tmp_path / "link.yml"
    path.write_text("a\n")
    path.chmod(0o640)
    link.symlink_to(path)
    config_file.update(str(link), lambda text: text + "b\n")
    assert link.is_symlink()
    assert path.read_text() == "a\nb\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_an_edit_keeps_every_byte_that_it_does_not_change(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_bytes("a: ü\r\nb: 1\n".encode())
    assert config_file.update(str(path), lambda text: text + "c: ö\r\n") == (
        "a: ü\r\nb: 1\nc: ö\r\n"
    )
    assert path.read_bytes() == "a: ü\r\nb: 1\nc: ö\r\n".encode()


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o777])
def test_an_edit_keeps_any_mode(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.yml"
    path.write_text("a\n")
    path.chmod(mode)
    config_file.update(str(path), lambda text: text + "b\n")
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_while_a_file_is_edited_others_read_the_old_one_and_find_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_text("a\n")

    def change(text: str) -> str:
        assert path.read_text() == "a\n"
        assert sorted(each.name for each in tmp_path.iterdir()) == [".a.yml.lock", "a.yml"]
        return text + "b\n"

    assert config_file.update(str(path), change) == "a\nb\n"
    assert [each.name for each in tmp_path.iterdir()] == ["a.yml"]


def test_an_edit_that_changes_nothing_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_text("a\n")
    before = path.stat().st_ino
    config_file.update(str(path), lambda text: text)
    assert path.stat().st_ino == before


def test_an_edit_that_fails_leaves_the_file_and_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_text("a\n")
    with pytest.raises(ZeroDivisionError):
        config_file.update(str(path), lambda text: text * (1 // 0))
    assert path.read_text() == "a\n"
    assert [each.name for each in tmp_path.iterdir()] == ["a.yml"]


def test_a_folder_in_the_way_is_an_error_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"

    def change(text: str) -> str:
        path.mkdir()
        return text + "new\n"

    assert error_of(lambda: config_file.update(str(path), change), OptionsError) == (
        f"config {quoted_path(str(path))}",
        "cannot be written: is a directory",
        "",
    )
    assert [each.name for each in tmp_path.iterdir()] == ["a.yml"]


def test_a_name_that_no_lock_can_have_is_an_error(tmp_path: Path) -> None:
    path = str(tmp_path / ("a" * 254))
    assert error_of(lambda: config_file.update(path, lambda text: text), OptionsError) == (
        f"config {quoted_path(path)}",
        "cannot be written: file name too long",
        "",
    )


def test_a_name_that_is_no_path_is_an_error() -> None:
    assert error_of(lambda: config_file.update("a\0b", str.upper), OptionsError) == (
        f"config {quoted_path('a' + chr(0) + 'b')}",
        "cannot be written: not a path",
        "",
    )


def test_a_file_in_the_place_of_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = str(tmp_path / "file" / "a.yml")
    where, why, hint = error_of(lambda: config_file.update(path, str.upper), OptionsError)
    assert where == f"config {quoted_path(path)}"
    assert why in ("cannot be written: not a directory", "cannot be written: file exists")
    assert hint == ""


def test_a_lock_that_nobody_lifts_is_named(tmp_path: Path) -> None:
    lock = tmp_path / ".a.yml.lock"
    lock.touch()
    path = str(tmp_path / "a.yml")
    assert error_of(lambda: config_file.update(path, str, timeout=0.05), OptionsError) == (
        f"config {quoted_path(path)}",
        "another program is editing it",
        f"If no chainloop-smtp is running, delete {lock}.",
    )


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    lock, path = tmp_path / ".a.yml.lock", tmp_path / "a.yml"
    lock.touch()
    timer = threading.Timer(0.1, lock.unlink)
    timer.start()
    config_file.update(str(path), lambda text: text + "late\n")
    timer.join()
    assert path.read_text() == "late\n"


EACH = 8
EDITS = f"""
import sys, time
from chainloop_smtp import config_file
from chainloop_smtp.options.configuration import editing

path, number = sys.argv[1:]

def add(text):
    time.sleep(0.001)
    return editing.add(text, path, "registrations", {{"name": name}})

for turn in range({EACH}):
    name = f"r-{{number}}-{{turn}}"
    config_file.update(path, add)
"""


def test_programs_that_edit_at_once_lose_no_edit(tmp_path: Path) -> None:
    path = str(tmp_path / "a.yml")
    programs = [
        subprocess.Popen([sys.executable, "-c", EDITS, path, str(number)]) for number in range(4)
    ]
    assert [each.wait(60) for each in programs] == [0] * 4
    found = configuration.parse(config_file.read(path), path)
    expected = {f"r-{number}-{turn}" for number in range(4) for turn in range(EACH)}
    assert {each.name for each in found.registrations} == expected
