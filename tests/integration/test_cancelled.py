"""A job that is cancelled: SIGINT, then SIGTERM, then the end. The whole program, as a process."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest

from chainloop_smtp import cli
from chainloop_smtp.__main__ import main
from chainloop_smtp.cli import interrupts
from runner import heredocs
from sink import Fault, Sink

PATIENCE = 60.0
pytestmark = pytest.mark.usefixtures("interruptible")
CANCELS = pytest.mark.parametrize(
    "signals",
    [
        [signal.SIGINT],
        [signal.SIGTERM],
        [signal.SIGINT, signal.SIGTERM],
        [signal.SIGTERM, signal.SIGINT, signal.SIGTERM, signal.SIGTERM],
    ],
    ids=["SIGINT", "SIGTERM", "both", "many"],
)


def cancelled(
    folder: Path,
    server: Sink,
    signals: Sequence[signal.Signals],
    is_time: Callable[[], bool],
    *more: str,
    command: str = "send",
) -> tuple[int, str, dict[str, str]]:
    """Exit code, log and outputs of a step that is cancelled as soon as it is time."""
    inputs = {
        "host": "127.0.0.1",
        "port": str(server.port),
        "tls": "none",
        "user": "ci",
        "from": "reports@example.test",
        "to": "security@example.test",
    }
    started = subprocess.Popen(
        (
            Path(sys.executable).with_name("chainloop-smtp"),
            command,
            *(f"--{name}={value}" for name, value in inputs.items()),
            *more,
        ),
        cwd=folder,
        env={
            "PATH": f"{folder}{os.pathsep}{os.defpath}",
            "LC_ALL": "C.UTF-8",
            "GITHUB_ACTIONS": "true",
            "GITHUB_OUTPUT": str(folder / "outputs"),
            "GITHUB_STEP_SUMMARY": str(folder / "summary"),
            "RUNNER_TEMP": str(folder),
            "CHAINLOOP_SMTP_PASSWORD": "secret",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    with started:
        try:
            ends = time.monotonic() + PATIENCE
            while not is_time() and started.poll() is None and time.monotonic() < ends:
                time.sleep(0.02)
            for number in signals:
                started.send_signal(number)
            log, _ = started.communicate(timeout=PATIENCE)
        finally:
            started.kill()
    return started.returncode, log.decode(), heredocs((folder / "outputs").read_text("utf-8"))


def delivery_of(outputs: dict[str, str]) -> dict[str, Any]:
    (told,) = json.loads(Path(outputs["receipt"]).read_bytes())["deliveries"]
    assert isinstance(told, dict)
    return told


@CANCELS
@pytest.mark.parametrize(
    ("replies", "ends", "told"),
    [(1, "deferred", "1 deferred"), (4, "unknown", "1 not known")],
    ids=["before the mail", "behind the mail"],
)
def test_a_delivery_that_is_cancelled_says_where_it_was(
    tmp_path: Path, signals: list[signal.Signals], replies: int, ends: str, told: str
) -> None:
    # All of the mail is away when QUIT is.
    word = b"EHLO [127.0.0.1]\r\n" if replies == 1 else b"QUIT\r\n"
    with Sink(always=Fault(replies=replies)) as server:
        code, log, outputs = cancelled(
            tmp_path,
            server,
            signals,
            lambda: bool(server.sessions) and server.sessions[0].endswith(word),
        )
    assert code == 130
    assert len(server.sessions) == 1
    assert f"Interrupted: sent to 0 of 1; {told}." in log
    assert "Traceback" not in log
    assert (outputs["sent"], outputs["accepted"]) == ("false", "[]")
    assert Path(outputs["eml"]).exists()
    receipt = delivery_of(outputs)
    assert receipt["interrupted"] is True
    assert [each["state"] for each in receipt["recipients"]] == [ends]
    assert "Interrupted" in (tmp_path / "summary").read_text("utf-8")


@CANCELS
def test_a_check_that_is_cancelled_says_that_nothing_was_sent(
    tmp_path: Path, signals: list[signal.Signals]
) -> None:
    (tmp_path / "outputs").touch()
    with Sink(always=Fault(replies=4)) as server:
        code, log, _ = cancelled(
            tmp_path,
            server,
            signals,
            lambda: bool(server.sessions) and b"EHLO" in server.sessions[0],
            command="check",
        )
    assert code == 130
    assert log.endswith("Interrupted. Nothing was sent.\n")
    assert "delivered" not in log


@CANCELS
def test_a_step_that_is_cancelled_before_its_mail_has_outputs_too(
    tmp_path: Path, signals: list[signal.Signals]
) -> None:
    asked = tmp_path / "asked"
    chainloop = tmp_path / "chainloop"
    chainloop.write_text(f"#!/bin/sh\ntouch {asked}\nexec sleep 120\n")
    chainloop.chmod(0o755)
    with Sink() as server:
        started = time.monotonic()
        code, log, outputs = cancelled(
            tmp_path,
            server,
            signals,
            asked.exists,
            "--workflow-run-id=0190f3c2-6a1b-7c3d-8e4f-5a6b7c8d9e0f",
        )
    assert code == 130
    assert "Interrupted. If the mail was being sent, it may have been delivered.\n" in log
    assert (outputs["sent"], outputs["receipt"]) == ("false", "")
    assert server.sessions == []
    assert time.monotonic() - started < PATIENCE


def test_a_program_that_was_started_with_sigint_ignored_ends_by_sigterm(tmp_path: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Sink(always=Fault(replies=1)) as server:
        code, log, _ = cancelled(
            tmp_path,
            server,
            [signal.SIGINT, signal.SIGTERM],
            lambda: bool(server.sessions) and b"EHLO" in server.sessions[0],
        )
    assert code == 130
    assert log.count("Interrupted") == 1


# --- the moment of the signal, in this process -------------------------------------------------

BOTH = (signal.SIGINT, signal.SIGTERM)


def end_of(monkeypatch: pytest.MonkeyPatch, work: Callable[[], int]) -> object:
    """The exit code of a process whose command does this work."""
    monkeypatch.setattr(cli, "main", lambda *_: work())
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


@pytest.mark.parametrize("first", BOTH)
@pytest.mark.parametrize("second", BOTH)
def test_what_follows_an_interrupt_is_not_interrupted(
    monkeypatch: pytest.MonkeyPatch, first: signal.Signals, second: signal.Signals
) -> None:
    def work() -> int:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(first)
        signal.raise_signal(second)
        return 5

    assert end_of(monkeypatch, work) == 5


@pytest.mark.parametrize("number", BOTH)
def test_an_interrupt_that_nothing_else_sees_is_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    def work() -> int:
        signal.raise_signal(number)
        return 0

    assert end_of(monkeypatch, work) == 130


@pytest.mark.parametrize("number", BOTH)
def test_a_signal_after_the_work_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    def leave(code: int) -> NoReturn:
        signal.raise_signal(number)
        raise SystemExit(code)

    monkeypatch.setattr(sys, "exit", leave)
    assert end_of(monkeypatch, lambda: 4) == 4


def test_what_is_ignored_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    def work() -> int:
        signal.raise_signal(signal.SIGINT)
        with interrupts.stopping(lambda: pytest.fail("stopped")):
            signal.raise_signal(signal.SIGINT)
        return 0

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert end_of(monkeypatch, work) == 0
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_the_first_signal_stops_the_second_interrupts_and_others_do_nothing(count: int) -> None:
    seen = []
    interrupts.handle_once()
    try:
        with interrupts.stopping(lambda: seen.append("stopped")):
            for number in range(count):
                signal.raise_signal(BOTH[number % 2])
    except KeyboardInterrupt:
        seen.append("interrupted")
    assert seen == ["stopped", "interrupted"][:count]
    # Whoever has stopped it is being told what became of it.
    if count:
        signal.raise_signal(signal.SIGTERM)
    else:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)


def test_signals_are_ignored_while_python_ends() -> None:
    code = (
        "import signal, sys\n"
        "from chainloop_smtp.__main__ import main\n"
        "sys.argv = ['chainloop-smtp', 'nonsense']\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    print(end.code, signal.getsignal(signal.SIGTERM).name)\n"
    )
    ended = subprocess.run((sys.executable, "-c", code), check=True, capture_output=True, text=True)
    # Python puts the default back for every handler but this one.
    assert ended.stdout == "2 SIG_IGN\n"
