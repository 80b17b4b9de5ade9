"""A release where there is no network but loopback, and no Python with pip: a mail still comes."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
import yaml

import releasetree
from builders import cli_push, encoded, evaluation, statement
from chainloop_smtp.cli.demo import PASSWORD, USER
from e2e.act import Act
from real import require_network_namespace, require_real

LOOPBACK = Path(__file__).with_name("loopback.py")
ATTESTATION = encoded(cli_push(statement(evaluations=[evaluation("sbom-present")])))

# What GitHub's runner does: each step's script in a bash of its own, outputs between them.
JOB = """
set -e -o pipefail
"$BASH" --noprofile --norc -e -o pipefail -c "$PREPARE"
while IFS='=' read -r name value; do
  declare -x "${name^^}=$value"
done <"$GITHUB_OUTPUT"
exec "$BASH" --noprofile --norc -e -o pipefail -c "$SEND"
"""


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return releasetree.built(tmp_path_factory)


@pytest.fixture
def pipless(tmp_path: Path) -> Path:
    """The folder of a Python without pip."""
    folder = tmp_path / "pipless"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder / "bin"


def scripts(tree: Path) -> dict[str, str]:
    steps = yaml.safe_load((tree / "action.yml").read_text("utf-8"))["runs"]["steps"]
    return {each["id"].upper(): each["run"] for each in steps}


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def isolated(folder: Path) -> tuple[str, ...]:
    """What comes before a command to run it in there."""
    return (*require_network_namespace(), sys.executable, str(LOOPBACK), str(folder))


def run(tree: Path, folder: Path, python: Path, inputs: dict[str, Any]) -> tuple[int, str]:
    """Both steps as a runner runs them; exit code and log."""
    (bash,) = require_real("bash")
    for name in ("workspace", "tools", "temp"):
        (folder / name).mkdir()
    (folder / "workspace" / "attestation.json").write_bytes(ATTESTATION)
    given = {
        "host": "127.0.0.1",
        "port": "{port}",
        "user": USER,
        "password": PASSWORD,
        "tls-ca-file": str(folder / "ca.pem"),
        "from": "Reports <ci@example.test>",
        "to": "security@example.test",
        "attestation": "attestation.json",
        **inputs,
    }
    # The port is known in there only, and reaches a program by its arguments.
    code = 'export CHAINLOOP_SMTP_INPUTS="$1"; cd "$2"; eval "$JOB"'
    environ = {
        "PATH": f"{python}:/nowhere",
        "JOB": JOB,
        **scripts(tree),
        "GITHUB_ACTION_PATH": str(tree),
        "GITHUB_OUTPUT": str(folder / "output"),
        "RUNNER_TOOL_CACHE": str(folder / "tools"),
        "RUNNER_TEMP": str(folder / "temp"),
    }
    hidden = (shutil.which("env") or "env", "-i", *(f"{k}={v}" for k, v in environ.items()))
    done = subprocess.run(
        (
            *isolated(folder),
            *hidden,
            *(str(bash), "-c", code, "job", json.dumps(given)),
            str(folder / "workspace"),
        ),
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=120,
    )
    return done.returncode, done.stdout


def the_mail(folder: Path) -> Any:
    (path,) = (folder / "inbox").iterdir()
    return message_from_bytes(path.read_bytes(), policy=default)


def test_a_release_mails_without_a_network_and_without_pip(
    tree: Path, tmp_path: Path, pipless: Path
) -> None:
    before = files(tree)
    status, log = run(tree, tmp_path, pipless, {})
    assert status == 0, log
    assert "No network: Network is unreachable" in log
    assert the_mail(tmp_path)["To"] == "security@example.test"
    assert "::group::" not in log
    assert list((tmp_path / "tools").iterdir()) == []
    assert [path.name for path in (tmp_path / "temp").iterdir()] == ["chainloop-smtp"]
    assert files(tree) == before


def test_a_configuration_file_is_read_without_what_was_compiled(
    tree: Path, tmp_path: Path, pipless: Path
) -> None:
    text = (
        "attachments:\n"
        "  - registration: relay\n"
        "    workflow: '*'\n"
        "    cc: team@example.test\n"
        "registrations:\n"
        "  - {name: relay, host: 127.0.0.1, to: security@example.test}\n"
    )
    (tmp_path / "mail.yml").write_text(text)
    status, log = run(tree, tmp_path, pipless, {"config": str(tmp_path / "mail.yml")})
    assert status == 0, log
    assert the_mail(tmp_path)["Cc"] == "team@example.test"


def test_an_invalid_registration_is_explained(tree: Path, tmp_path: Path, pipless: Path) -> None:
    status, log = run(tree, tmp_path, pipless, {"to": "nobody", "user": ""})
    assert status == 2
    assert "'nobody' is not an address" in log
    assert "user: is missing" in log
    assert "Traceback" not in log


def test_a_workflow_without_a_network_uses_a_release(
    act: Act, tree: Path, tmp_path: Path, pipless: Path
) -> None:
    folder = tmp_path / "isolated"
    folder.mkdir()
    wrapper = tmp_path / "act"
    words = " ".join(f"'{each}'" for each in (*isolated(folder), str(act.program)))
    wrapper.write_text(f'#!/bin/sh\nexec {words} "$@" --env=MAIL_PORT={{port}}\n')
    wrapper.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    remote = "lakeside/chainloop-smtp@v1"
    steps = [
        {"uses": "actions/checkout@v4"},
        {"run": f"echo '{pipless}' >>\"$GITHUB_PATH\""},
        {
            "uses": remote,
            "with": {
                "host": "127.0.0.1",
                "port": "${{ env.MAIL_PORT }}",
                "user": USER,
                "password": "${{ secrets.PASSWORD }}",
                "tls-ca-file": str(folder / "ca.pem"),
                "from": "ci@example.test",
                "to": "security@example.test",
                "attestation": "attestation.json",
            },
        },
    ]
    record = replace(act, program=wrapper, home=home).run(
        {"jobs": {"mail": {"runs-on": "ubuntu-latest", "steps": steps}}},
        secrets={"PASSWORD": PASSWORD},
        files={"attestation.json": ATTESTATION},
        arguments=[f"--local-repository={remote}={tree}"],
    )
    assert record.succeeded, record.text
    assert "No network: Network is unreachable" in record.text
    assert f"{pipless}/python3" in record.text
    assert "Install the dependencies" not in record.text
    assert the_mail(folder)["To"] == "security@example.test"


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ({}, "false"),
        ({"trusted-root": "roots.pem"}, "true"),
        ({"verification-key": "key.pem"}, "true"),
        ({"oauth2-provider": "google"}, "true"),
        ({"oauth2-provider": "google", "oauth2-refresh-token": "x"}, "false"),
        ({"oauth2-provider": "google", "oauth2-federated": "TRUE"}, "false"),
        ({"oauth2-provider": "microsoft"}, "false"),
    ],
    ids=["none", "root", "key", "key of Google", "refresh token", "federated", "Microsoft"],
)
def test_the_step_that_installs_learns_whether_cryptography_is_needed_and_no_more(
    act: Act, given: dict[str, str], answer: str
) -> None:
    document = yaml.safe_load((releasetree.REPOSITORY / "action.yml").read_text("utf-8"))
    (prepare,) = (each for each in document["runs"]["steps"] if each["id"] == "prepare")
    assert prepare["env"].keys() == {"CONFIG", "CRYPTOGRAPHY"}
    shown = {**prepare, "run": 'echo "CRYPTOGRAPHY is $CRYPTOGRAPHY, CONFIG is $CONFIG"'}
    names = {"config", "trusted-root", "verification-key"}
    names |= {"oauth2-provider", "oauth2-refresh-token", "oauth2-federated"}
    asking = {
        "name": "asking",
        "description": "the first step, which says what it sees",
        "inputs": {name: {"default": ""} for name in names},
        "runs": {"using": "composite", "steps": [shown]},
    }
    steps = [
        {"uses": "actions/checkout@v4"},
        {"uses": "./asking", "with": {"config": "mail.yml", **given}},
    ]
    record = act.run(
        {"jobs": {"ask": {"runs-on": "ubuntu-latest", "steps": steps}}},
        files={"asking/action.yml": json.dumps(asking)},
    )
    assert record.succeeded, record.text
    assert f"CRYPTOGRAPHY is {answer}, CONFIG is mail.yml" in record.lines()
