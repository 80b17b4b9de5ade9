"""Evidence by the ``chainloop`` command: a stand-in executable, started for real."""

import json
import os
import sys
import time
from pathlib import Path

import pytest

from chainloop_smtp.errors import AttestationError
from chainloop_smtp.source import command

LIMIT = 1 << 20
RUN_ID = "2b1f3c0e-7a55-4d7e-9f64-0c8f5f1a9d21"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for PATH with a space in its name."""
    folder = tmp_path / "some tools"
    folder.mkdir()
    return folder


def stand_in(folder: Path, script: str) -> dict[str, str]:
    """A ``chainloop`` that runs a script, and the environment that finds it."""
    program = folder / "chainloop"
    program.write_text(f"#!{sys.executable} -IS\nimport json, os, sys, time\n{script}\n")
    program.chmod(0o755)
    return {"PATH": str(folder), "CHAINLOOP_TOKEN": "t0k3n"}


def failure(environ: dict[str, str], deadline: float = 30) -> str:
    with pytest.raises(AttestationError) as caught:
        command.describe(RUN_ID, environ, deadline, LIMIT)
    return str(caught.value)


def test_the_command_is_asked_for_the_run_as_json_with_chainloops_own_environment(
    folder: Path,
) -> None:
    environ = stand_in(
        folder, "json.dump([sys.argv[1:], os.environ['CHAINLOOP_TOKEN']], sys.stdout)"
    )
    printed = json.loads(command.describe(RUN_ID, environ, 30, LIMIT))
    assert printed == [["workflow", "run", "describe", "--id", RUN_ID, "-o", "json"], "t0k3n"]


def test_a_log_on_standard_error_does_not_matter(folder: Path) -> None:
    environ = stand_in(folder, "print('INF hello', file=sys.stderr); print('{}')")
    assert command.describe(RUN_ID, environ, 30, LIMIT).strip() == b"{}"


@pytest.mark.parametrize("code", [1, 3, 4])
def test_a_failing_command_is_told_with_its_exit_code_and_its_last_words(
    folder: Path, code: int
) -> None:
    script = f"print('{{}}'); print('ERR run not found', file=sys.stderr); sys.exit({code})"
    text = failure(stand_in(folder, script))
    assert f"chainloop ended with exit code {code}: ERR run not found" in text
    assert "t0k3n" not in text


def test_only_the_last_lines_of_a_long_log_are_told(folder: Path) -> None:
    script = "[print('line', n, file=sys.stderr) for n in range(100)]; sys.exit(1)"
    text = failure(stand_in(folder, script))
    assert "line 99" in text
    assert "line 94" not in text


def test_a_command_that_prints_nothing_is_an_error(folder: Path) -> None:
    assert "chainloop printed nothing" in failure(stand_in(folder, "pass"))


def test_a_command_that_hangs_is_ended_at_the_deadline(folder: Path) -> None:
    started = time.monotonic()
    text = failure(stand_in(folder, "time.sleep(60)"), deadline=0.5)
    assert "did not answer within 0.5 seconds" in text
    assert time.monotonic() - started < 45


def test_no_command_on_path_is_an_error_that_says_so(tmp_path: Path) -> None:
    assert "no chainloop command on PATH" in failure({"PATH": str(tmp_path)})


@pytest.mark.skipif(os.name == "nt", reason="Windows has no executable bit")
def test_a_command_that_cannot_be_started_is_an_error(folder: Path) -> None:
    program = folder / "chainloop"
    program.write_text("#!/nowhere/interpreter\n")
    program.chmod(0o755)
    assert "cannot be started" in failure({"PATH": str(folder)})


def test_more_than_the_limit_is_refused(folder: Path) -> None:
    script = "print('{' + ' ' * (1 << 20) + '}')"
    assert "printed more than 1 MiB" in failure(stand_in(folder, script))


@pytest.mark.parametrize("element", ["", ".", "tools"])
def test_a_command_in_the_workspace_is_not_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, element: str
) -> None:
    stand_in(folder, "print('{}')")
    (folder / "tools").mkdir()
    (folder / "tools" / "chainloop").symlink_to(folder / "chainloop")
    monkeypatch.chdir(folder)
    assert "no chainloop command on PATH" in failure({"PATH": f"{element}:/nowhere"})


def test_inputs_in_the_environment_do_not_reach_the_command(folder: Path) -> None:
    environ = stand_in(folder, "json.dump(dict(os.environ), sys.stdout)")
    printed = command.describe(RUN_ID, environ | {"INPUT_PASSWORD": "hunter2"}, 30, LIMIT)
    assert "CHAINLOOP_TOKEN" in json.loads(printed)
    assert b"hunter2" not in printed
