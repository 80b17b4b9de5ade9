"""docs/microsoft.md: its workflow logs in with what its commands set up."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import pages
import tokenserver
from program import Program
from proxies import Tunnel
from smtpserver import Mailboxes, certificates
from tokenserver import JOB, RUNNER, Web, granted, jwt

PAGE = "docs/microsoft.md"
(WORKFLOW,) = (content for page, _, content in pages.workflows() if page == PAGE)
CHECK = WORKFLOW["jobs"]["check"]
BLOCKS = [text for page, text in pages.blocks("bash") if page == PAGE]
TOKEN = "t0ken-0f-access" * 20


@pytest.fixture
def web(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    with tokenserver.web(tmp_path_factory.mktemp("web")) as served:
        for name, value in served.environ.items():
            monkeypatch.setenv(name, value)
        yield served


def test_the_workflow_checks_with_a_token_for_what_the_job_is(
    program: Program, web: Web, tmp_path: Path
) -> None:
    (step,) = CHECK["steps"]
    words = shlex.split(step["run"])
    words = words[words.index("check") :]
    tenant = words[words.index("--oauth2-tenant") + 1]
    web.answers = {
        RUNNER.partition("?")[0]: (200, {"value": jwt({"sub": "repo:octo/app"})}),
        f"https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token": granted(TOKEN),
    }
    tls = certificates(tmp_path, "smtp.office365.com")
    accounts = {"reports@example.com": TOKEN}
    server = Mailboxes(tls=tls.server, mechanisms=("XOAUTH2",), accounts=accounts)
    with server.running():
        # The name and the port are Microsoft's.
        tunnel = Tunnel(hosts={"smtp.office365.com": ("127.0.0.1", server.port)})
        with tunnel.http():
            here = ("--proxy", f"http://127.0.0.1:{tunnel.port}", "--tls-ca-file", str(tls.ca_file))
            ended = program(*words, *here, environ=JOB)
    assert ended.code == 0, ended.stderr
    assert tunnel.asked == ["smtp.office365.com:587"]
    assert "XOAUTH2 as reports@example.com" in ended.stdout
    assert server.mails == []
    assert web.asked[0].form["audience"] == credential(tmp_path, "repo:octo/app")["audiences"][0]
    assert web.asked[1].form["client_id"] == words[words.index("--oauth2-client-id") + 1]
    assert CHECK["permissions"] == {"id-token": "write"}


@pytest.mark.parametrize("prefix", ["repo:octo@123456/app@456789", "repo:octo/app"])
def test_the_credential_names_the_environment_of_the_jobs_that_are_shown(
    tmp_path: Path, prefix: str
) -> None:
    made = credential(tmp_path, prefix)
    environments = {CHECK["environment"]}
    for page, content in pages.documents():
        if page == PAGE and "permissions" in content:
            environments.add(content["environment"])
    assert {made["subject"]} == {f"{prefix}:environment:{each}" for each in environments}
    assert made["issuer"] == "https://token.actions.githubusercontent.com"
    assert f"`{made['subject']}`" in pages.PAGES[PAGE]


def credential(folder: Path, prefix: str) -> dict[str, str]:
    """What the page's commands give Azure's CLI, where GitHub says this prefix."""
    (commands,) = (text for text in BLOCKS if "federated-credential" in text)
    for name, script in {
        "gh": f"echo {prefix}",
        "az": 'for last; do :; done; [[ $* != *federated* ]] || printf %s "$last" >credential.json',
    }.items():
        program = folder / name
        program.write_text(f"#!/usr/bin/env bash\n{script}\n", "utf-8")
        program.chmod(0o755)
    environ = {"PATH": f"{folder}:{os.environ['PATH']}"}
    subprocess.run(("bash", "-euc", commands), check=True, cwd=folder, env=environ)
    made: dict[str, str] = json.loads((folder / "credential.json").read_bytes())
    assert set(made) == {"name", "issuer", "subject", "audiences"}
    # Entra's own rule for a name.
    assert re.fullmatch("[A-Za-z0-9][A-Za-z0-9_-]{2,119}", made["name"])
    return made
