"""The state file on a disk."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chainloop_smtp import state_file
from chainloop_smtp.errors import OptionsError, Problem
from chainloop_smtp.state_file import State

STATE = State(since=datetime(2026, 11, 26, tzinfo=UTC))
POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")


def test_a_missing_file_is_a_first_time(tmp_path: Path) -> None:
    assert state_file.read(str(tmp_path / "state.json")) is None


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a folder" / "in another" / "state.json"
    state_file.write(str(path), STATE)
    assert state_file.read(str(path)) == STATE
    assert [each.name for each in path.parent.iterdir()] == ["state.json"]


@POSIX
def test_only_the_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text("old")
    path.chmod(0o666)
    state_file.write(str(path), STATE)
    assert path.stat().st_mode & 0o777 == 0o600


@POSIX
def test_where_the_name_is_a_link_what_it_names_is_replaced(tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "state.json")
    state_file.write(str(link), STATE)
    assert link.is_symlink()
    assert state_file.read(str(tmp_path / "state.json")) == STATE


def test_a_folder_in_its_place_is_an_error_and_no_part_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("state.json")
    path.mkdir()
    where = "state-file 'state.json'"
    with pytest.raises(OptionsError) as caught:
        state_file.read(str(path))
    assert caught.value.problems == (
        Problem(where, "cannot be read: is a directory", "Name the file in it."),
    )
    with pytest.raises(OptionsError) as caught:
        state_file.write(str(path), STATE)
    assert caught.value.problems == (Problem(where, "cannot be written: is a directory"),)
    assert [each.name for each in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize(
    ("name", "shown", "why"),
    [("file/state.json", "file/state.json", "file exists"), ("a\0b", "a b", "not a path")],
    ids=["below a file", "NUL"],
)
def test_a_file_that_cannot_be_made_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, shown: str, why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    with pytest.raises(OptionsError) as caught:
        state_file.write(name, STATE)
    assert caught.value.problems == (Problem(f"state-file '{shown}'", f"cannot be written: {why}"),)


@pytest.mark.parametrize("more", [0, 1])
def test_a_file_has_a_largest_size(tmp_path: Path, more: int) -> None:
    path = tmp_path / "state.json"
    path.touch()
    os.truncate(path, 64 * 1024**2 + more)
    with pytest.raises(OptionsError) as caught:
        state_file.read(str(path))
    (problem,) = caught.value.problems
    assert problem.why == ("is larger than 64 MiB" if more else "is damaged")
