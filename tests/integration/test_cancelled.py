"""A job that is cancelled: SIGINT, then SIGTERM, then the end. The whole program, as a process."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from runner import heredocs
from sink import Fault, Sink

PATIENCE = 20.0
CANCELS = pytest.mark.parametrize(
    "signals",
    [[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT, signal.SIGTERM]],
    ids=["SIGINT", "SIGTERM", "both"],
)


def cancelled(
    folder: Path,
    server: Sink,
    signals: Sequence[signal.Signals],
    is_time: Callable[[], bool],
    *more: str,
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
            "send",
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
            # So that all of the mail is away.
            time.sleep(0.3)
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
    [(1, "deferred", "1 put off for now"), (4, "unknown", "1 not known")],
    ids=["before the mail", "behind the mail"],
)
def test_a_delivery_that_is_cancelled_says_where_it_was(
    tmp_path: Path, signals: list[signal.Signals], replies: int, ends: str, told: str
) -> None:
    word = b"EHLO" if replies == 1 else b"BDAT"
    with Sink(always=Fault(replies=replies)) as server:
        code, log, outputs = cancelled(
            tmp_path,
            server,
            signals,
            lambda: bool(server.sessions) and word in server.sessions[0],
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
def test_a_step_that_is_cancelled_before_its_mail_has_outputs_too(
    tmp_path: Path, signals: list[signal.Signals]
) -> None:
    asked = tmp_path / "asked"
    chainloop = tmp_path / "chainloop"
    chainloop.write_text(f"#!/bin/sh\ntouch {asked}\nexec sleep 20\n")
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
    assert "Interrupted." in log
    assert (outputs["sent"], outputs["receipt"]) == ("false", "")
    assert server.sessions == []
    assert time.monotonic() - started < PATIENCE
