"""The whole program, with a token instead of a password: from inputs to mailboxes."""

import json
import os
import subprocess
import sys
import sysconfig
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

import tokenserver
from program import INPUTS, PASSWORD, PUSHED, Ended, Post, Program, failure, never
from smtpserver import Certificates, Mailboxes
from submission import send_one
from tokenserver import JOB, MICROSOFT, RUNNER, Web, granted, jwt, refused

LAUNCH = Path(__file__).parents[2] / "action" / "launch.py"
TOKEN = "eyJ0eXAiOiJKV1QifQ." + "t0ken-0f-access" * 100
SECRET = "cl1ent-s3cret"
JOB_TOKEN = jwt({"sub": "repo:octo/app:ref:refs/heads/main"})
FEDERATED = {
    "oauth2-provider": "microsoft",
    "oauth2-tenant": "example.onmicrosoft.com",
    "oauth2-client-id": "f0e1",
    "oauth2-federated": "true",
}
WITH_SECRET = FEDERATED | {"oauth2-federated": "false", "oauth2-client-secret": SECRET}
WITHOUT_LOGIN = {name: value for name, value in INPUTS.items() if name not in ("user", "password")}


@pytest.fixture
def web(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    with tokenserver.web(tmp_path_factory.mktemp("web")) as served:
        for name, value in served.environ.items():
            monkeypatch.setenv(name, value)
        served.answers = {
            RUNNER.partition("?")[0]: (200, {"value": JOB_TOKEN}),
            MICROSOFT: granted(TOKEN),
        }
        yield served


@pytest.fixture
def microsoft_365(tls: Certificates) -> Iterator[Mailboxes]:
    """A server that takes the token, and knows no password."""
    server = Mailboxes(
        tls=tls.server,
        mechanisms=("LOGIN", "XOAUTH2"),
        accounts={"reports@example.com": TOKEN},
        extensions=(),
    )
    with server.running():
        yield server


def inputs_for(server: Mailboxes, tls: Certificates, oauth2: dict[str, str]) -> dict[str, str]:
    there = {"host": "127.0.0.1", "port": str(server.port), "tls-ca-file": str(tls.ca_file)}
    return WITHOUT_LOGIN | there | oauth2 | {"attestation": PUSHED}


def _has_no_secret(ended: Ended, *secrets: str) -> bool:
    seen = ended.everything()
    forms = [form for each in secrets for form in (each.encode(), b64encode(each.encode()))]
    return not any(form in seen for form in forms)


def test_a_job_mails_without_any_stored_secret(
    program: Program, microsoft_365: Mailboxes, tls: Certificates, web: Web
) -> None:
    ended = program(
        "send",
        inputs=inputs_for(microsoft_365, tls, FEDERATED),
        environ=JOB,
        post=send_one,
    )
    assert (ended.code, ended.stderr) == (0, "")
    assert microsoft_365.logins == [("XOAUTH2", "reports@example.com")]
    assert len(microsoft_365.mails) == 1
    assert f"::add-mask::{TOKEN}\n" in ended.stdout
    assert "XOAUTH2" in ended.log
    assert _has_no_secret(ended, TOKEN, JOB_TOKEN)
    assert web.urls() == [RUNNER.partition("?")[0], MICROSOFT]


def test_the_action_hands_the_jobs_identity_on(
    microsoft_365: Mailboxes, tls: Certificates, web: Web, tmp_path: Path
) -> None:
    environ = {name: value for name, value in os.environ.items() if "ACTIONS" not in name}
    inputs = inputs_for(microsoft_365, tls, FEDERATED) | {"output-dir": str(tmp_path)}
    ended = subprocess.run(
        # As the step "Send the mail" starts it.
        [sys.executable, "-I", "-S", "-X", "utf8", LAUNCH, sysconfig.get_path("purelib")],
        env=environ | JOB | web.environ | {"CHAINLOOP_SMTP_INPUTS": json.dumps(inputs)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert microsoft_365.logins == [("XOAUTH2", "reports@example.com")]
    assert web.asked[0].authorization == "Bearer runner-bearer-token"


def test_a_clients_secret_may_come_by_its_own_variable(
    program: Program, microsoft_365: Mailboxes, tls: Certificates, web: Web
) -> None:
    inputs = inputs_for(microsoft_365, tls, WITH_SECRET)
    del inputs["oauth2-client-secret"]
    ended = program(
        "send",
        inputs=inputs,
        environ={"CHAINLOOP_SMTP_OAUTH2_CLIENT_SECRET": SECRET},
        post=send_one,
    )
    assert ended.code == 0
    assert "CHAINLOOP_SMTP_OAUTH2_CLIENT_SECRET" not in ended.environ
    assert web.asked[0].form["client_secret"] == SECRET
    assert f"::add-mask::{SECRET}\n" in ended.stdout
    assert _has_no_secret(ended, TOKEN, SECRET)


def test_a_registration_mail_is_sent_with_a_token_too(
    program: Program, microsoft_365: Mailboxes, tls: Certificates, web: Web
) -> None:
    inputs = inputs_for(microsoft_365, tls, FEDERATED)
    del inputs["attestation"]
    ended = program(
        *("integration", "registered", "add", "smtp"),
        inputs=inputs,
        environ=JOB,
        post=send_one,
        is_actions=False,
    )
    assert ended.code == 0, ended.stderr
    assert microsoft_365.logins == [("XOAUTH2", "reports@example.com")]
    assert web.urls()[-1] == MICROSOFT


def test_without_a_token_the_mail_is_kept_and_the_step_says_why(program: Program, web: Web) -> None:
    told = "AADSTS7000215: Invalid client secret provided."
    web.answers[MICROSOFT] = refused("invalid_client", f"{told} It is {SECRET}.", 401)
    ended = program(
        "send", inputs=WITHOUT_LOGIN | WITH_SECRET | {"attestation": PUSHED}, post=never
    )
    assert ended.code == 5
    assert ended.failure == failure(
        f"token from '{MICROSOFT}': refused: invalid_client: {told} It is ***.\n"
        "  Give the secret's value, not its id: Entra, App registrations, Certificates & "
        "secrets. Or use none: oauth2-federated.",
        title="The mail was not delivered.",
    )
    assert ended.outputs["sent"] == "false"
    assert Path(ended.outputs["eml"]).exists()
    assert json.loads(Path(ended.outputs["receipt"]).read_text("utf-8"))
    assert _has_no_secret(ended, SECRET)


def test_a_job_without_the_permission_is_told_which(program: Program, web: Web) -> None:
    ended = program("send", inputs=WITHOUT_LOGIN | FEDERATED | {"attestation": PUSHED}, post=never)
    assert ended.code == 5
    assert ended.failure == failure(
        "oauth2-federated: this job cannot get an OIDC token\n"
        "  Give the job `permissions: id-token: write`. Pull requests from forks, act, and "
        "anything outside GitHub Actions cannot get one.",
        title="The mail was not delivered.",
    )
    assert web.asked == []


def test_the_time_that_a_token_takes_comes_off_the_deadline(program: Program, web: Web) -> None:
    def slow(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.5)
        octets = json.dumps({"access_token": TOKEN}).encode()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(octets)))
        handler.end_headers()
        handler.wfile.write(octets)

    web.answers[MICROSOFT] = slow
    post = Post()
    ended = program(
        "send",
        inputs=WITHOUT_LOGIN | WITH_SECRET | {"attestation": PUSHED, "deadline": "20"},
        post=post,
    )
    assert ended.code == 0
    assert 10 < post.transports[0].deadline < 19.5
    assert post.registrations[0].password == TOKEN
    assert post.registrations[0].user == "reports@example.com"
    assert post.transports[0].has_token


def test_a_dry_run_asks_for_no_token(program: Program, web: Web) -> None:
    ended = program(
        "send",
        inputs=WITHOUT_LOGIN | WITH_SECRET | {"attestation": PUSHED, "dry-run": "true"},
        post=never,
    )
    assert ended.code == 0
    assert web.asked == []


# --- forks -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "oauth2",
    [FEDERATED, WITH_SECRET | {"oauth2-client-secret": ""}],
    ids=["no identity", "no secret"],
)
def test_a_forks_pull_request_without_a_way_to_a_token_is_skipped(
    program: Program, fork: dict[str, str], oauth2: dict[str, str]
) -> None:
    ended = program("send", inputs=WITHOUT_LOGIN | oauth2, environ=fork, post=never)
    assert ended.code == 0
    assert ended.outputs["skipped"] == "no secrets in a pull request from a fork"


@pytest.mark.parametrize(
    ("oauth2", "more"), [(FEDERATED, JOB), (WITH_SECRET, {})], ids=["identity", "secret"]
)
def test_a_forks_pull_request_with_one_is_mailed(
    program: Program, fork: dict[str, str], web: Web, oauth2: dict[str, str], more: dict[str, str]
) -> None:
    post = Post()
    ended = program("send", inputs=WITHOUT_LOGIN | oauth2, environ=fork | more, post=post)
    assert ended.code == 0, ended.stderr
    assert post.registrations[0].password == TOKEN
    assert web.urls()[-1] == MICROSOFT


# --- what is told ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "is_told"),
    [
        ({"host": "smtp.office365.com"}, True),
        ({"host": "SMTP.Office365.com."}, True),
        ({"host": "smtp.example.com"}, False),
        ({"host": "smtp.office365.com", "auth": "xoauth2"}, False),
        ({"host": "smtp.office365.com", "auth": "none"}, False),
    ],
)
def test_a_password_at_microsoft_365_gets_a_notice(
    program: Program, changes: dict[str, str], is_told: bool
) -> None:
    ended = program("send", inputs=INPUTS | changes)
    assert ended.code == 0
    assert (("notice", "Microsoft 365 requires OAuth") in ended.annotations) == is_told
    assert ("oauth2-provider: microsoft" in ended.log) == is_told
    if is_told:
        assert ended.annotation("Microsoft 365 requires OAuth") == (
            "From the end of December 2026, Microsoft 365 refuses passwords for SMTP unless an "
            "administrator allows them again. Set oauth2-provider: microsoft, with oauth2-tenant, "
            "oauth2-client-id and oauth2-federated: true; see docs/providers.md for the setup."
        )
    assert PASSWORD not in ended.log


def test_a_token_at_microsoft_365_gets_no_notice(program: Program, web: Web) -> None:
    inputs = WITHOUT_LOGIN | WITH_SECRET | {"host": "smtp.office365.com"}
    ended = program("send", inputs=inputs)
    assert ended.code == 0
    assert [kind for kind, _ in ended.annotations if kind == "notice"] == []
    assert web.urls() == [MICROSOFT]


def test_the_login_of_a_proxy_is_masked(program: Program) -> None:
    inputs = INPUTS | {"proxy": "http://jane:pr0xy%2Fs3cret@proxy.test:3128"}
    ended = program("send", inputs=inputs)
    assert ended.code == 0
    assert "::add-mask::pr0xy%252Fs3cret\n" in ended.stdout
    assert "::add-mask::pr0xy/s3cret\n" in ended.stdout
    assert _has_no_secret(ended, "pr0xy/s3cret", "pr0xy%2Fs3cret")


def test_certificates_of_ones_own_are_looked_at_before_anything_is_done(program: Program) -> None:
    ended = program("send", inputs=INPUTS | {"tls-client-cert": "no.pem"}, post=never)
    assert ended.code == 2
    assert ended.failure == failure(
        "tls-client-cert: 'no.pem' cannot be read: no such file\n"
        "  Paths are relative to the workspace: does a step before this one check it out? The PEM "
        "text itself can be given too."
    )


def _fixed_key(tls: Certificates) -> tuple[str, str]:
    """A private key, and a line of it that must not be seen."""
    key = tls.client_key.read_text()
    return key, key.splitlines()[1]


@pytest.mark.parametrize("form", [str, lambda key: key.replace("\n", "\\n")], ids=["lines", "one"])
def test_a_private_key_that_is_pasted_is_masked_and_used(
    program: Program, tls: Certificates, form: Callable[[str], str]
) -> None:
    key, line = _fixed_key(tls)
    given = {"tls-client-cert": str(tls.client_cert), "tls-client-key": form(key)}
    post = Post()
    ended = program("send", inputs=INPUTS | given, post=post)
    assert ended.code == 0
    assert len(post.mails) == 1
    assert line in ended.stdout
    assert _has_no_secret(ended, line)


HOLDS_A_KEY = (
    "contains a private key\n"
    "  A client certificate's key belongs in tls-client-key. Is this the right secret?"
)


@pytest.mark.parametrize(
    ("option", "problems"),
    [
        (
            "config",
            (
                "config (not shown: it may be a secret): there is no such file\n"
                "  Paths are relative to the workspace: does a step before this one check it out?",
            ),
        ),
        *(
            (option, (f"{option}: {HOLDS_A_KEY}",))
            for option in (
                "attestation",
                "attach",
                "template-dir",
                "output-dir",
                "tls",
                "send-on",
                "dry-run",
                "cc",
                "timeout",
                "proxy",
                "workflow-run-id",
            )
        ),
        (
            "host",
            (
                f"host: {HOLDS_A_KEY}",
                "host: is missing\n"
                "  Host name or IP address of the mail server, such as smtp.example.com.",
            ),
        ),
        ("tls-ca-file", ("tls-ca-file: the PEM text contains no PEM certificate",)),
        (
            "tls-client-cert",
            (
                "tls-client-cert: the PEM text does not contain both a certificate and its key\n"
                "  Give the key as tls-client-key, or put both into one. Both are PEM.",
            ),
        ),
    ],
)
def test_a_private_key_in_the_wrong_input_is_not_repeated(
    program: Program, tls: Certificates, option: str, problems: tuple[str, ...]
) -> None:
    key, _ = _fixed_key(tls)
    ended = program("send", inputs=INPUTS | {option: key}, post=never)
    assert (ended.code, ended.failure) == (2, failure(*problems))
    assert _has_no_secret(ended, *key.splitlines()[1:-1])


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("tls", "s3cr3t-t0ken"),
        ("dry-run", "s3cr3t-t0ken"),
        ("send-on", "s3cr3t-t0ken"),
        ("dsn", "s3cr3t-t0ken"),
        ("job-status", "s3cr3t-t0ken"),
        ("timeout", "s3cr3t-t0ken"),
        ("max-recipients", "s3cr3t-t0ken"),
        ("attach-max-size", "s3cr3t-t0ken"),
        ("config", "kjsDFA8asdKJHSDFKJhs"),
        ("attestation", "kjsDFA8asdKJHSDFKJhs"),
        ("previous-attestation", "kjsDFA8asdKJHSDFKJhs"),
        ("policy-evaluations", "kjsDFA8asdKJHSDFKJhs"),
        ("attach", "kjsDFA8asdKJHSDFKJhs"),
        ("template-dir", "kjsDFA8asdKJHSDFKJhs"),
        ("to", "file:kjsDFA8asdKJHSDFKJhs"),
        ("workflow-run-id", "kjsDFA8asdKJHSDFKJhs"),
        ("tls-fingerprint", "kjsDFA8asdKJHSDFKJhs"),
        ("oauth2-tenant", "kjsDFA8asdKJHSDFKJhs/"),
        ("oauth2-token-url", "kjsDFA8asdKJHSDFKJhs"),
    ],
)
def test_a_secret_in_the_wrong_input_is_not_repeated(
    program: Program, option: str, value: str
) -> None:
    given = INPUTS | {"oauth2-provider": "microsoft"} if option.startswith("oauth2") else INPUTS
    evidence = {"attestation": PUSHED} if option != "attestation" else {}
    ended = program("send", inputs=dict(given) | evidence | {option: value})
    assert _has_no_secret(ended, value.removeprefix("file:").rstrip("/"))
    assert option == "previous-attestation" or ended.code in (2, 3)


def test_a_private_key_in_a_configuration_file_is_refused_and_by_variable_taken(
    program: Program, tls: Certificates
) -> None:
    key, line = _fixed_key(tls)
    block = "".join(f"      {each}\n" for each in key.splitlines())
    head = "registrations:\n  - name: a\n"
    tail = f"    tls-client-cert: {tls.client_cert}\nattachments: [{{registration: a}}]\n"
    path = Path("chainloop-smtp.yml")
    path.write_text(f"{head}    tls-client-key: |\n{block}{tail}")
    given = {"config": str(path), "attestation": PUSHED} | INPUTS
    ended = program("send", inputs=given, post=never)
    assert ended.code == 2
    assert "tls-client-key is in the file itself, where everybody can read it" in ended.stderr
    assert line not in ended.stdout + ended.stderr
    path.write_text(f"{head}    tls-client-key: {{env: KEY}}\n{tail}")
    post = Post()
    ended = program("send", inputs=given, environ={"KEY": key}, post=post)
    assert (ended.code, len(post.mails)) == (0, 1)
    assert f"::add-mask::{line}\n" in ended.stdout
    assert "KEY" not in ended.environ
    assert _has_no_secret(ended, line)
