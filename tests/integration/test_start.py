"""What a step without rare options loads: every import costs every run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chainloop_smtp.cli import commands
from chainloop_smtp.cli.send import send

SAMPLE = Path(__file__).parents[2] / "src" / "chainloop_smtp" / "samples" / "attestation.json"
INPUTS = {
    "host": "smtp.example.test",
    "port": "587",
    "from": "Reports <reports@example.test>",
    "to": "security@example.test, audit@example.test",
    "cc": "team@example.test",
    "attestation": str(SAMPLE),
    "job-status": "success",
    "dry-run": "true",
}
LOGIN = {"user": "jane", "password": "correct horse"}
RUN = """
import json, sys
before = set(sys.modules)
from chainloop_smtp.__main__ import main
sys.argv[1:] = ["send"]
try:
    main()
finally:
    print(json.dumps(sorted(sys.modules.keys() - before)))
"""
DEAR = {
    *("jsonschema", "email_validator", "yaml", "requests", "urllib3", "python_socks"),
    *("scramp", "cryptography", "aiosmtpd", "trustme"),
    *("asyncio", "difflib", "email", "http", "subprocess"),
    *("argparse", "gettext", "importlib.resources", "zipfile"),
}


def loaded(given: dict[str, str], folder: Path) -> set[str]:
    """Modules that a step with these inputs has loaded when it ends well."""
    done = subprocess.run(
        (sys.executable, "-c", RUN),
        env={
            **os.environ,
            "CHAINLOOP_SMTP_INPUTS": json.dumps(given | {"output-dir": str(folder)}),
        },
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("login", [LOGIN, {"auth": "none"}], ids=["login", "no login"])
def test_a_plain_step_loads_none_of_what_only_rare_options_need(
    login: dict[str, str], tmp_path: Path
) -> None:
    found = loaded(INPUTS | login, tmp_path)
    assert "jinja2" in found
    assert found & DEAR == set()


def test_what_writes_a_mail_is_loaded_no_sooner_than_there_is_one_to_write(tmp_path: Path) -> None:
    found = loaded(INPUTS | LOGIN | {"send-on": "failed"}, tmp_path)
    assert found & {"jinja2", "chainloop_smtp.message", "chainloop_smtp.cli.deliver"} == set()


def test_a_step_is_parsed_without_argparse_as_with_it() -> None:
    parsed = vars(commands.parser(is_send=True).parse_args(["send"]))
    given = {name: value for name, value in parsed.items() if value}
    assert given == {"command": send, "output": "table"}
