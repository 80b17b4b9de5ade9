"""What a step without rare options loads: every import costs every run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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
    *("scramp", "Cryptodome", "aiosmtpd", "trustme"),
    *("asyncio", "difflib", "email", "http", "subprocess"),
}


@pytest.mark.parametrize("login", [LOGIN, {"auth": "none"}], ids=["login", "no login"])
def test_a_plain_step_loads_none_of_what_only_rare_options_need(
    login: dict[str, str], tmp_path: Path
) -> None:
    given = json.dumps(INPUTS | login | {"output-dir": str(tmp_path)})
    done = subprocess.run(
        (sys.executable, "-c", RUN),
        env={**os.environ, "CHAINLOOP_SMTP_INPUTS": given},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "jinja2" in loaded
    assert loaded & DEAR == set()
