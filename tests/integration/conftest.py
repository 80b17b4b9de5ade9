"""What the integration tests share."""

import io
import json
import os
import signal
import ssl
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import pytest
import trustme

from chainloop_smtp import cli, delivery
from chainloop_smtp.model.mail import Delivery
from program import PASSWORD, Ended, Post, Program, one_by_one
from smtpserver import Certificates, Mailboxes, certificates
from submission import send_one
from website import Site, serve


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Signals as in a terminal; a shell that starts tests in the background has SIGINT ignored.

    A program that a test starts inherits what is ignored here.
    """
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    terminate = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, terminate)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Runs the program with GitHub's environment, its own streams and a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(
        *argv: str,
        inputs: object = None,
        environ: Mapping[str, str] | None = None,
        stdin: bytes | BinaryIO = b"",
        post: Callable[..., Delivery] | None = None,
        is_actions: bool = True,
    ) -> Ended:
        runner = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_OUTPUT": str(tmp_path / "github-output"),
            "GITHUB_STEP_SUMMARY": str(tmp_path / "github-summary"),
        }
        variables = {"RUNNER_TEMP": str(tmp_path), "PATH": os.environ["PATH"]}
        variables |= runner if is_actions else {}
        if inputs is not None:
            text = inputs if isinstance(inputs, str) else json.dumps(inputs)
            variables["CHAINLOOP_SMTP_INPUTS"] = text
        variables |= environ or {}
        is_real = post is send_one
        stdout, stderr = io.StringIO(), io.StringIO()
        code = cli.main(
            argv,
            variables,
            stdin=io.BytesIO(stdin) if isinstance(stdin, bytes) else stdin,
            stdout=stdout,
            stderr=stderr,
            deliver=delivery.send if is_real else one_by_one(post or Post()),
            connect=delivery.EarlyConnection if is_real else None,
        )
        return Ended(code, stdout.getvalue(), stderr.getvalue(), variables, tmp_path)

    return run


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def mailboxes(tls: Certificates) -> Iterator[Mailboxes]:
    """A submission server with STARTTLS and AUTH, which refuses one recipient."""
    server = Mailboxes(
        tls=tls.server,
        mechanisms=("PLAIN", "LOGIN"),
        accounts={"jane": PASSWORD},
        refused={"gone@example.com": "550 5.1.1 no such mailbox"},
    )
    with server.running():
        yield server


@pytest.fixture
def fork(tmp_path: Path) -> dict[str, str]:
    """The environment of a pull request from a fork."""
    repositories = {
        "head": {"repo": {"full_name": "stranger/harbour"}},
        "base": {"repo": {"full_name": "lakeside/harbour"}},
    }
    path = tmp_path / "event.json"
    path.write_text(json.dumps({"pull_request": repositories}))
    return {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": str(path)}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A web server over https, with a certificate that requests trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with serve(context) as served:
        yield served
