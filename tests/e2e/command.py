"""The command as a process of its own, with what it takes to mail through a real server."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from builders import cli_push, encoded, statement
from mailserver import Account, MailServer

TO = "security@example.test"
PUSHED = encoded(cli_push(statement()))


def chainloop_smtp(
    *arguments: str,
    cwd: Path,
    stdin: bytes = b"",
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        (Path(sys.executable).with_name("chainloop-smtp"), *arguments),
        check=False,
        cwd=cwd,
        env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TMPDIR": str(cwd), **(environment or {})},
        input=stdin,
        capture_output=True,
        timeout=60,
    )


def flags(server: MailServer, **more: object) -> list[str]:
    inputs = {
        "host": "127.0.0.1",
        "port": server.submission_port,
        "user": server.user,
        "tls-ca-file": server.ca_file,
        "from": "ci@example.test",
        "to": TO,
        "attestation": "-",
        **{name.rstrip("_").replace("_", "-"): value for name, value in more.items()},
    }
    return [f"--{name}={value}" for name, value in inputs.items()]


def password(account: Account) -> dict[str, str]:
    return {"CHAINLOOP_SMTP_PASSWORD": account.password}


def outputs_of(finished: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    outputs: dict[str, Any] = json.loads(finished.stdout)
    return outputs
