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


NOT_THERE = (
    "there is no chainloop command on PATH",
    "Install it in a step before this one, or give attestation instead.",
)


def failure(environ: dict[str, str], deadline: float = 30) -> tuple[str, str]:
    with pytest.raises(AttestationError) as caught:
        command.describe(RUN_ID, environ, deadline, LIMIT)
    (problem,) = caught.value.problems
    assert problem.where == "workflow-run-id"
    return problem.why, problem.hint


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
    assert failure(stand_in(folder, script)) == (
        f"chainloop ended with exit code {code}: ERR run not found",
        "Is the run in this organization, and CHAINLOOP_TOKEN set for this step?",
    )


def test_a_command_that_fails_without_a_word_is_told_too(folder: Path) -> None:
    why, _ = failure(stand_in(folder, "sys.exit(2)"))
    assert why == "chainloop ended with exit code 2: no message"


def test_only_the_last_lines_of_a_long_log_are_told(folder: Path) -> None:
    script = "[print('line', n, file=sys.stderr) for n in range(100)]; sys.exit(1)"
    why, _ = failure(stand_in(folder, script))
    lines = " / ".join(f"line {number}" for number in range(95, 100))
    assert why == f"chainloop ended with exit code 1: {lines}"


def test_a_line_without_an_end_is_cut_at_its_beginning(folder: Path) -> None:
    script = "print('x' * 5000 + 'end\\xff', end='', file=sys.stderr); sys.exit(1)"
    why, _ = failure(stand_in(folder, script))
    assert why.endswith("end\xff")
    assert len(why) < 4200


def test_a_command_that_prints_nothing_is_an_error(folder: Path) -> None:
    assert failure(stand_in(folder, "print(' ')")) == ("chainloop printed nothing: no message", "")
    script = "print('INF bye', file=sys.stderr)"
    assert failure(stand_in(folder, script)) == ("chainloop printed nothing: INF bye", "")


def test_a_command_that_hangs_is_ended_at_the_deadline(folder: Path) -> None:
    started = time.monotonic()
    assert failure(stand_in(folder, "time.sleep(60)"), deadline=0.5) == (
        "chainloop did not answer within 0.5 seconds",
        "Chainloop's control plane may be out of reach from here.",
    )
    assert time.monotonic() - started < 45


def test_no_command_on_path_is_an_error_that_says_so(tmp_path: Path) -> None:
    assert failure({"PATH": str(tmp_path)}) == failure({}) == NOT_THERE


@pytest.mark.skipif(os.name == "nt", reason="Windows has no executable bit")
def test_a_command_that_cannot_be_started_is_an_error(folder: Path) -> None:
    program = folder / "chainloop"
    program.write_text("#!/nowhere/interpreter\n")
    program.chmod(0o755)
    why = "chainloop cannot be started: No such file or directory"
    assert failure({"PATH": str(folder)}) == (why, "")


def test_more_than_the_limit_is_refused(folder: Path) -> None:
    script = "print('{' + ' ' * (1 << 20) + '}')"
    assert failure(stand_in(folder, script)) == ("chainloop printed more than 1 MiB", "")
    script = "print('{' + ' ' * ((1 << 20) - 2) + '}', end='')"
    assert len(command.describe(RUN_ID, stand_in(folder, script), 30, LIMIT)) == LIMIT


@pytest.mark.parametrize("element", ["", ".", "tools"])
def test_a_command_in_the_workspace_is_not_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, element: str
) -> None:
    stand_in(folder, "print('{}')")
    (folder / "tools").mkdir()
    (folder / "tools" / "chainloop").symlink_to(folder / "chainloop")
    monkeypatch.chdir(folder)
    assert failure({"PATH": f"{element}:/nowhere"}) == NOT_THERE


def test_inputs_in_the_environment_do_not_reach_the_command(folder: Path) -> None:
    environ = stand_in(folder, "json.dump(dict(os.environ), sys.stdout)")
    printed = command.describe(RUN_ID, environ | {"INPUT_PASSWORD": "hunter2"}, 30, LIMIT)
    assert "CHAINLOOP_TOKEN" in json.loads(printed)
    assert b"hunter2" not in printed


def test_the_latest_runs_of_a_workflow_are_asked_for(folder: Path) -> None:
    environ = stand_in(folder, "json.dump(sys.argv[1:], sys.stdout)")
    assert json.loads(command.list_runs("--build", "har bour", environ, 30, LIMIT)) == [
        "workflow",
        "run",
        "list",
        "--workflow=--build",
        "--project=har bour",
        "--limit=10",
        "-o",
        "json",
    ]
