"""A dry run with a fixed clock: the same bytes on every machine, whatever it is set to."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from builders import cli_push, encoded, evaluation, statement
from program import INPUTS, Program, never

EPOCH = "1788250151"  # 1 September 2026, 08:09:11 UTC
EVIDENCE = encoded(
    cli_push(
        statement(
            evaluations=[evaluation("licenses", material="sbom", violations=["AGPL", "größer"])],
            annotations={"kanal": "für alle", "b": "2", "a": "1"},
        )
    )
)
MACHINES = {
    "here": {"TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"},
    "there": {"TZ": "Pacific/Auckland", "LC_ALL": "C", "PYTHONHASHSEED": "4711", "PYTHONUTF8": "0"},
}


def written_on(folder: Path, machine: dict[str, str], **more: str) -> dict[str, bytes]:
    """What the program leaves in a process of its own, in a folder of its own."""
    workspace = folder / "some where" / "else"
    workspace.mkdir(parents=True)
    (workspace / "attestation.json").write_bytes(EVIDENCE)
    inputs = INPUTS | {
        "attestation": "attestation.json",
        "attach": "report\nattestation",
        "dry-run": "true",
        "output-dir": "out",
    }
    environ = {
        **machine,
        **more,
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "CHAINLOOP_SMTP_INPUTS": json.dumps(inputs),
    }
    done = subprocess.run(
        [sys.executable, "-m", "chainloop_smtp", "send"],
        cwd=workspace,
        env=environ,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return {path.name: path.read_bytes() for path in (workspace / "out").iterdir()}


def test_the_bytes_are_the_same_on_every_machine(tmp_path: Path) -> None:
    here, there = (
        written_on(tmp_path / name, machine, SOURCE_DATE_EPOCH=EPOCH)
        for name, machine in MACHINES.items()
    )

    assert here == there
    assert sorted(name.rpartition(".")[2] for name in here) == ["eml", "html", "json", "md", "txt"]
    (eml,) = (content for name, content in here.items() if name.endswith(".eml"))
    assert eml.startswith(b"Date: Tue, 01 Sep 2026 08:09:11 +0000\r\n")
    assert here["summary.md"].decode().startswith("### ")


def test_without_a_fixed_clock_two_mails_are_two_by_the_same_name(tmp_path: Path) -> None:
    here, there = (written_on(tmp_path / name, MACHINES["here"]) for name in ("one", "two"))

    assert set(here) == set(there)
    (name,) = (name for name in here if name.endswith(".eml"))
    ids = {re.search(rb"^Message-ID: .*", each[name], re.MULTILINE) for each in (here, there)}
    assert len({found[0] for found in ids if found}) == 2


@pytest.mark.parametrize("epoch", ["yesterday", "1e9", "99999999999999999999", "-99999999999999"])
def test_a_clock_that_is_none_is_an_error(program: Program, epoch: str) -> None:
    ended = program(
        "send",
        inputs=INPUTS | {"dry-run": "true"},
        environ={"SOURCE_DATE_EPOCH": epoch},
        post=never,
    )

    assert ended.code == 2
    assert f"SOURCE_DATE_EPOCH: '{epoch}' is not a number of seconds since 1970" in ended.stderr
