"""The whole program in-process: from inputs to exit code, outputs, files and mailboxes."""

import importlib
import io
import json
import os
import re
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest

from builders import RUN_URL, cli_push, encoded, evaluation, statement
from chainloop_smtp import __version__, cli, delivery, message, options
from chainloop_smtp.errors import DeliveryError, MessageError, Problem
from chainloop_smtp.model import Delivery, Mail, Refusal, Registration, Reply, Transport
from runner import commands, heredocs
from smtpserver import Certificates, Mailboxes, certificates

PASSWORD = 'correct "horse" bättery'
INPUTS = {
    "host": "smtp.example.com",
    "port": "587",
    "user": "jane",
    "password": PASSWORD,
    "from": "Attestation reports <reports@example.com>",
    "to": "Security <security@example.com>",
}
NOTHING = {
    "sent": "false",
    "skipped": "",
    "outcome": "",
    "policy-status": "",
    "digest": "",
    "message-id": "",
    "accepted": "[]",
    "refused": "[]",
    "attempts": "0",
    "eml": "",
    "receipt": "",
}
PUSH = cli_push(statement())
PUSHED = encoded(PUSH).decode()


# --- doing it ----------------------------------------------------------------------------------


@dataclass
class Post:
    """A delivery that goes nowhere, and what was handed to it."""

    refused: tuple[Refusal, ...] = ()
    error: Exception | None = None
    mails: list[Mail] = field(default_factory=list)
    registrations: list[Registration] = field(default_factory=list)
    transports: list[Transport] = field(default_factory=list)

    def __call__(self, mail: Mail, registration: Registration, transport: Transport) -> Delivery:
        self.mails.append(mail)
        self.registrations.append(registration)
        self.transports.append(transport)
        if self.error:
            raise self.error
        refused = {each.recipient for each in self.refused}
        return Delivery(
            accepted=tuple(each for each in mail.recipients if each not in refused),
            refused=self.refused,
            reply=Reply(code=250, text="queued"),
            server=f"{registration.host}:{registration.port}",
            tls="TLSv1.3",
            mechanism="PLAIN",
            duration=0.25,
        )


@dataclass
class Ended:
    """One run of the program and what it left behind."""

    code: int
    stdout: str
    stderr: str
    environ: dict[str, str]
    folder: Path

    @property
    def outputs(self) -> dict[str, str]:
        return heredocs((self.folder / "github-output").read_text("utf-8"))

    @property
    def summary(self) -> str:
        path = self.folder / "github-summary"
        return path.read_text("utf-8") if path.exists() else ""

    @property
    def annotations(self) -> list[tuple[str, str]]:
        """Kind and title of each command that is no mask."""
        found = commands(self.stdout) + commands(self.stderr)
        return [
            (command.name, command.title.removeprefix("Chainloop SMTP: "))
            for command in found
            if command.name != "add-mask"
        ]

    @property
    def log(self) -> str:
        """Both streams as a reader of the log sees them: a runner shows no mask command."""
        lines = (self.stdout + self.stderr).splitlines()
        return "\n".join(line for line in lines if not line.startswith("::add-mask::"))

    def everything(self) -> bytes:
        """The log, and every file below the test's folder."""
        files = (path.read_bytes() for path in self.folder.rglob("*") if path.is_file())
        return b"\n".join((self.log.encode(), *files))


Program = Callable[..., Ended]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Runs the program with GitHub's environment, its own streams and a folder of its own."""

    def run(
        *argv: str,
        inputs: object = None,
        environ: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        post: Callable[[Mail, Registration, Transport], Delivery] | None = None,
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
        stdout, stderr = io.StringIO(), io.StringIO()
        code = cli.main(
            argv,
            variables,
            stdin=io.BytesIO(stdin),
            stdout=stdout,
            stderr=stderr,
            deliver=post or Post(),
        )
        return Ended(code, stdout.getvalue(), stderr.getvalue(), variables, tmp_path)

    return run


def never(mail: Mail, registration: Registration, transport: Transport) -> Delivery:
    """Where nothing may be delivered."""
    raise AssertionError((mail, registration, transport))


def flags(inputs: Mapping[str, str]) -> list[str]:
    return [
        word
        for name, value in inputs.items()
        if name != "password"
        for word in (f"--{name}", value)
    ]


def parsed(content: bytes) -> EmailMessage:
    mail = message_from_bytes(content, policy=default)
    assert isinstance(mail, EmailMessage)
    return mail


def text_of(content: bytes) -> str:
    part = parsed(content).get_body(("plain",))
    assert part is not None
    text = part.get_content()
    assert isinstance(text, str)
    return text


def refusal(recipient: str, text: str = "no such mailbox") -> Refusal:
    return Refusal(recipient=recipient, reply=Reply(code=550, enhanced="5.1.1", text=text))


# --- a real server -----------------------------------------------------------------------------


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


def inputs_for(server: Mailboxes, tls: Certificates, **changes: str) -> dict[str, str]:
    changes = {name.replace("_", "-"): value for name, value in changes.items()}
    return (
        INPUTS
        | {"host": "127.0.0.1", "port": str(server.port), "tls-ca-file": str(tls.ca_file)}
        | changes
    )


def test_a_run_reaches_every_mailbox_of_a_real_server(
    program: Program, mailboxes: Mailboxes, tls: Certificates
) -> None:
    ended = program(
        "send",
        inputs=inputs_for(
            mailboxes,
            tls,
            to="Security <security@example.com>, audit@example.com",
            cc="team@example.com",
            bcc="archive@example.com",
            attestation=PUSHED,
            job_status="success",
        ),
        post=delivery.send,
    )
    everyone = ["security@example.com", "audit@example.com", "team@example.com"]
    everyone.append("archive@example.com")
    assert ended.code == 0
    (mail,) = mailboxes.mails
    assert list(mail.recipients) == everyone
    assert mail.sender == "reports@example.com"
    assert mailboxes.logins == [("PLAIN", "jane")]
    received = parsed(mail.content)
    assert received["To"] == "Security <security@example.com>, audit@example.com"
    assert received["Cc"] == "team@example.com"
    assert b"archive@example.com" not in mail.content
    assert "harbour" in received["Subject"]
    assert PUSH["digest"] in text_of(mail.content)
    outputs = ended.outputs
    assert outputs == NOTHING | {
        "sent": "true",
        "outcome": "attested",
        "policy-status": "NOT_APPLICABLE",
        "digest": PUSH["digest"],
        "message-id": received["Message-ID"],
        "accepted": json.dumps(everyone),
        "attempts": "1",
        "eml": outputs["eml"],
        "receipt": outputs["receipt"],
    }
    # The server's copy and ours are the same octets.
    assert Path(outputs["eml"]).read_bytes() == mail.content
    receipt = json.loads(Path(outputs["receipt"]).read_bytes())
    assert receipt["delivery"]["accepted"] == everyone
    assert receipt["delivery"]["mechanism"] == "PLAIN"
    assert receipt["delivery"]["tls"].startswith("TLSv1.")
    assert received["Subject"] in ended.stdout
    assert f"Sent to 4 recipients through 127.0.0.1:{mailboxes.port} (TLSv1." in ended.stdout
    assert PUSH["digest"] in ended.summary
    assert "Sent to 4 recipients" in ended.summary
    assert ended.annotations == []
    assert PASSWORD.encode() not in ended.everything()


@pytest.mark.parametrize(
    ("require", "code", "sent"), [("all", 5, "false"), ("any", 0, "true")], ids=["all", "any"]
)
def test_one_refused_recipient_is_weighed_by_what_is_required(
    program: Program, mailboxes: Mailboxes, tls: Certificates, require: str, code: int, sent: str
) -> None:
    inputs = inputs_for(mailboxes, tls, cc="gone@example.com", require=require)
    ended = program("send", inputs=inputs, post=delivery.send)
    assert ended.code == code
    (mail,) = mailboxes.mails
    assert mail.recipients == ("security@example.com",)
    assert ended.outputs["sent"] == sent
    assert ended.outputs["accepted"] == '["security@example.com"]'
    assert ended.outputs["refused"] == '["gone@example.com"]'
    assert "550 5.1.1 no such mailbox" in ended.log
    if require == "all":
        assert "require: any" in ended.stderr
        assert ended.annotations == [("error", "The mail was not delivered")]
    else:
        assert ended.annotations == [("warning", "recipient refused")]


def test_no_accepted_recipient_is_a_failure_whatever_is_required(
    program: Program, mailboxes: Mailboxes, tls: Certificates
) -> None:
    inputs = inputs_for(mailboxes, tls, to="gone@example.com", require="any")
    ended = program("send", inputs=inputs, post=delivery.send)
    assert ended.code == 5
    assert mailboxes.mails == []
    assert (ended.outputs["sent"], ended.outputs["accepted"]) == ("false", "[]")
    assert "The mail was not delivered." in ended.summary


def test_a_wrong_password_fails_without_being_shown(
    program: Program, mailboxes: Mailboxes, tls: Certificates
) -> None:
    inputs = inputs_for(mailboxes, tls, password="wrong staple")
    ended = program("send", inputs=inputs, post=delivery.send)
    assert ended.code == 5
    assert mailboxes.mails == []
    assert "refused the login of jane" in ended.stderr
    assert b"wrong staple" not in ended.everything()
    assert Path(ended.outputs["eml"]).exists()


def test_an_authority_file_that_is_not_there_is_an_options_error(
    program: Program, mailboxes: Mailboxes, tls: Certificates, tmp_path: Path
) -> None:
    inputs = inputs_for(mailboxes, tls, tls_ca_file=str(tmp_path / "missing.pem"))
    ended = program("send", inputs=inputs, post=delivery.send)
    assert ended.code == 2
    assert "tls-ca-file: " in ended.stderr
    assert mailboxes.mails == []


def test_what_a_plain_run_loads_is_what_it_needs(
    mailboxes: Mailboxes, tls: Certificates, tmp_path: Path
) -> None:
    script = (
        "import sys; from chainloop_smtp import cli;"
        "code = cli.main(sys.argv[1:], {'CHAINLOOP_SMTP_PASSWORD': sys.stdin.readline()});"
        "print('LOADED', code, *sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    inputs = inputs_for(mailboxes, tls)
    done = subprocess.run(
        (sys.executable, "-I", "-c", script, "send", *flags(inputs)),
        input=PASSWORD.encode(),
        env={"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path)},
        capture_output=True,
        check=True,
    )
    code, *loaded = done.stdout.decode().partition("LOADED")[2].split()
    assert code == "0"
    assert len(mailboxes.mails) == 1
    assert {"chainloop_smtp", "jinja2", "jsonschema", "email_validator"} <= set(loaded)
    rare = {"yaml", "requests", "urllib3", "aiosmtpd", "trustme", "smtplib", "asyncio", "dns"}
    assert set(loaded) & rare == set()


# --- every exit code ---------------------------------------------------------------------------


def test_done_is_0_with_everything_told(program: Program) -> None:
    post = Post()
    ended = program("send", inputs=INPUTS | {"attestation": PUSHED}, post=post)
    assert ended.code == 0
    assert post.registrations[0].password == PASSWORD
    assert ended.outputs["sent"] == "true"
    assert ended.outputs["attempts"] == "1"
    assert "Sent to 1 recipient through smtp.example.com:587 (TLSv1.3, PLAIN)" in ended.stdout


def test_wrong_options_are_2_all_at_once(program: Program) -> None:
    ended = program("send", inputs={"host": "a b", "tls": "maybe", "pasword": "x"}, post=never)
    assert ended.code == 2
    assert ended.outputs == NOTHING
    assert [line for line in ended.stderr.splitlines() if re.match(r"  \S", line)] == [
        "  pasword: there is no such input",
        "  host: 'a b' holds white space or what cannot be printed",
        "  port: is missing",
        "  user: is missing",
        "  password: is missing",
        "  from: is missing",
        "  to: is missing",
        "  tls: 'maybe' is not one of its words",
    ]
    assert ended.annotations == [("error", "The options are not right")]
    assert ended.summary == ""


@pytest.mark.parametrize("attestation", ['{"foo": 1}', "{", "missing.json"])
def test_evidence_that_is_none_is_3(program: Program, attestation: str) -> None:
    ended = program("send", inputs=INPUTS | {"attestation": attestation}, post=never)
    assert ended.code == 3
    assert ended.outputs == NOTHING
    assert ended.stderr.startswith("The attestation cannot be read.\n")
    assert ended.annotations == [("error", "The attestation cannot be read")]


def test_a_mail_that_cannot_be_written_is_4(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> Mail:
        raise MessageError(Problem("mail.html.j2, line 3", "'nobody' is undefined"))

    monkeypatch.setattr(message, "compose", broken)
    ended = program("send", inputs=INPUTS | {"attestation": PUSHED}, post=never)
    assert ended.code == 4
    assert ended.outputs == NOTHING | {
        "outcome": "attested",
        "policy-status": "NOT_APPLICABLE",
        "digest": PUSH["digest"],
    }
    assert "mail.html.j2, line 3: 'nobody' is undefined" in ended.stderr


def test_a_failed_delivery_is_5_and_the_mail_is_kept(program: Program) -> None:
    post = Post(error=DeliveryError(Problem("smtp.example.com:587", "it rains", "Wait.")))
    ended = program("send", inputs=INPUTS, post=post)
    assert ended.code == 5
    outputs = ended.outputs
    assert (outputs["sent"], outputs["attempts"], outputs["accepted"]) == ("false", "1", "[]")
    assert Path(outputs["eml"]).read_bytes() == post.mails[0].content
    assert json.loads(Path(outputs["receipt"]).read_bytes())["delivery"] is None
    assert f"The mail is kept: {outputs['eml']}" in ended.stdout
    assert "  smtp.example.com:587: it rains\n    Wait.\n" in ended.stderr
    assert ended.annotations == [("error", "The mail was not delivered")]
    assert "The mail was not delivered." in ended.summary


def test_the_job_summary_says_why_and_what_the_server_said_is_no_markup_in_it(
    program: Program,
) -> None:
    post = Post(refused=(refusal("security@example.com", "<img src=x> **`gone`** [x](y)"),))
    ended = program("send", inputs=INPUTS, post=post)
    assert "\n- security@example.com: the server refused this recipient: 550" in ended.summary
    assert "<img" not in ended.summary
    assert "**`" not in ended.summary
    assert "[x](y)" not in ended.summary


def test_a_bug_is_1_with_a_traceback_and_without_the_password(program: Program) -> None:
    ended = program("send", inputs=INPUTS, post=Post(error=RuntimeError(f"what is {PASSWORD}?")))
    assert ended.code == 1
    assert "Traceback (most recent call last)" in ended.stderr
    assert "RuntimeError: what is ***?" in ended.stderr
    assert "This is a bug in Chainloop SMTP. Please report it" in ended.stderr
    assert [kind for kind, _ in ended.annotations] == ["error"]
    # As far as the story got.
    assert Path(ended.outputs["eml"]).exists()
    assert ended.outputs["sent"] == "false"
    assert PASSWORD.encode() not in ended.everything()


@pytest.mark.parametrize(
    ("post", "title"),
    [
        (
            Post(error=DeliveryError(Problem("smtp.example.com:587", "it rains"))),
            "The mail was not delivered",
        ),
        (Post(refused=(refusal("security@example.com"),)), "The mail was not delivered"),
    ],
    ids=["no delivery", "all refused"],
)
def test_a_failed_delivery_may_be_a_warning(program: Program, post: Post, title: str) -> None:
    ended = program("send", inputs=INPUTS | {"fail-on-error": "false"}, post=post)
    assert ended.code == 0
    assert ended.outputs["sent"] == "false"
    assert ended.annotations == [("warning", title)]
    assert Path(ended.outputs["eml"]).exists()


@pytest.mark.parametrize(
    ("change", "code"), [({"to": ""}, 2), ({"attestation": "{"}, 3)], ids=["options", "attestation"]
)
def test_what_is_no_delivery_fails_all_the_same(
    program: Program, change: dict[str, str], code: int
) -> None:
    inputs = INPUTS | {"fail-on-error": "false"} | change
    assert program("send", inputs=inputs, post=never).code == code


# --- skipped, dry, in clear --------------------------------------------------------------------


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


def test_a_forks_pull_request_without_secrets_is_skipped(
    program: Program, fork: dict[str, str]
) -> None:
    # Its secrets are empty strings, and so is what a workflow makes of them.
    inputs = INPUTS | {"user": "", "password": "", "to": ""}
    ended = program("send", inputs=inputs, environ=fork, post=never)
    assert ended.code == 0
    assert ended.outputs == NOTHING | {"skipped": "no secrets in a pull request from a fork"}
    assert ended.annotations == [("notice", "skipped")]
    assert ended.stderr == ""


@pytest.mark.parametrize(
    "change", [{}, {"password": "", "user": "", "auth": "none"}], ids=["a secret", "no login"]
)
def test_a_forks_pull_request_that_needs_no_secret_is_mailed(
    program: Program, fork: dict[str, str], change: dict[str, str]
) -> None:
    ended = program("send", inputs=INPUTS | change, environ=fork)
    assert ended.code == 0
    assert ended.outputs["sent"] == "true"


def test_a_missing_secret_outside_of_forks_is_an_error(program: Program) -> None:
    ended = program("send", inputs=INPUTS | {"password": ""}, post=never)
    assert ended.code == 2
    assert "password: is missing" in ended.stderr


def test_a_dry_run_does_all_but_connect(program: Program, tmp_path: Path) -> None:
    folder = tmp_path / "my out"
    inputs = INPUTS | {"dry-run": "true", "attestation": PUSHED, "output-dir": str(folder)}
    ended = program("send", inputs=inputs, post=never)
    assert ended.code == 0
    outputs = ended.outputs
    assert outputs["skipped"] == "dry run"
    assert (outputs["sent"], outputs["attempts"]) == ("false", "0")
    assert outputs["digest"] == PUSH["digest"]
    assert outputs["receipt"] == str(folder / "receipt.json")
    assert json.loads((folder / "receipt.json").read_bytes())["delivery"] is None
    assert sorted(path.suffix for path in folder.iterdir()) == [".eml", ".html", ".json", ".txt"]
    assert f"Dry run, nothing is sent. The mail: {outputs['eml']}" in ended.stdout
    assert "Dry run: no mail was sent." in ended.summary


def test_a_mail_in_clear_is_warned_of(program: Program) -> None:
    ended = program("send", inputs=INPUTS | {"tls": "none"})
    assert ended.code == 0
    assert ended.annotations == [("warning", "no TLS")]


# --- evidence, and the lack of it --------------------------------------------------------------


def test_evidence_comes_through_a_pipe(program: Program) -> None:
    post = Post()
    argv = ("send", *flags(INPUTS), "--attestation", "-")
    secret = {"CHAINLOOP_SMTP_PASSWORD": PASSWORD}
    ended = program(*argv, stdin=PUSHED.encode(), environ=secret, post=post)
    assert ended.code == 0
    assert ended.outputs["digest"] == PUSH["digest"]
    assert PUSH["digest"] in post.mails[0].text


@pytest.mark.parametrize("name", ["attestation", "policy-evaluations"])
@pytest.mark.parametrize("value", ["-", "a.json\n - "], ids=["alone", "among others"])
def test_a_step_has_no_standard_input(program: Program, name: str, value: str) -> None:
    ended = program("send", inputs=INPUTS | {name: value}, stdin=PUSHED.encode(), post=never)
    assert ended.code == 2
    assert f"{name}: '-' is standard input, which a step does not have" in ended.stderr


@pytest.mark.parametrize(
    ("more", "where"),
    [
        (("--attestation", "-", "--password-stdin"), "password-stdin"),
        (("--policy-evaluations", "-", "--password-stdin"), "password-stdin"),
        (("--attestation", "-", "--policy-evaluations", "-"), "policy-evaluations"),
    ],
    ids=["attestation and password", "evaluations and password", "both sources"],
)
def test_standard_input_is_there_once(program: Program, more: Sequence[str], where: str) -> None:
    ended = program("send", *flags(INPUTS), *more, stdin=PUSHED.encode(), post=never)
    assert ended.code == 2
    assert f"  {where}: standard input already carries " in ended.stderr


def test_evidence_of_several_sources_is_joined(program: Program, tmp_path: Path) -> None:
    (tmp_path / "push.json").write_text(PUSHED)
    names = f"{tmp_path / 'push.json'}\n{tmp_path / 'push.json'}"
    ended = program("send", inputs=INPUTS | {"attestation": names})
    assert ended.code == 0
    assert ended.outputs["digest"] == PUSH["digest"]


def test_policies_decide_the_outcome(program: Program) -> None:
    post = Post()
    blocked = cli_push(
        statement(evaluations=[evaluation("licenses", violations=["AGPL"], is_gate=True)])
    )
    inputs = INPUTS | {"attestation": encoded(blocked).decode(), "job-status": "failure"}
    ended = program("send", inputs=inputs, post=post)
    assert ended.code == 0
    assert (ended.outputs["outcome"], ended.outputs["policy-status"]) == ("blocked", "BLOCKED")
    assert "AGPL" in post.mails[0].text


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({"job-status": "failure"}, "failed"),
        ({"job-status": "cancelled"}, "cancelled"),
        ({"needs": '{"attest": {"result": "failure"}}', "job-status": "success"}, "failed"),
    ],
    ids=["failed", "cancelled", "an earlier job failed"],
)
def test_a_run_that_went_wrong_before_its_push_is_mailed(
    program: Program, change: dict[str, str], outcome: str
) -> None:
    post = Post()
    ended = program("send", inputs=INPUTS | {"attestation": "missing.json"} | change, post=post)
    assert ended.code == 0
    assert ended.outputs["outcome"] == outcome
    assert len(post.mails) == 1
    assert ended.annotations == []


def test_an_empty_attestation_of_a_good_job_is_mailed_with_a_warning(
    program: Program, tmp_path: Path
) -> None:
    (tmp_path / "empty.json").write_text("\n")
    inputs = INPUTS | {"attestation": str(tmp_path / "empty.json"), "job-status": "success"}
    ended = program("send", inputs=inputs)
    assert ended.code == 0
    assert ended.outputs["outcome"] == "not-attested"
    assert ended.annotations == [("warning", "the attestation is empty")]


def test_no_attestation_at_all_is_mailed_without_a_word(program: Program) -> None:
    ended = program("send", inputs=INPUTS)
    assert ended.code == 0
    assert ended.outputs["outcome"] == "not-attested"
    assert ended.annotations == []


HOSTILE = "x\n::error::y\r::set-output name=sent::true\n \u3000::stop-commands::z ##[error]w\x1b[2J"


def test_no_text_of_others_becomes_a_command_or_an_output(program: Program) -> None:
    attested = cli_push(statement(workflow=HOSTILE, project=HOSTILE, version=HOSTILE))
    inputs = INPUTS | {"attestation": json.dumps(attested), "cc": "gone@example.com"}
    post = Post(refused=(refusal("gone@example.com", HOSTILE),))
    ended = program("send", inputs=inputs | {"require": "any"}, post=post)
    assert ended.code == 0
    assert ended.annotations == [("warning", "recipient refused")]
    assert ended.outputs["sent"] == "true"
    ended = program("send", inputs=inputs, post=post)
    assert ended.code == 5
    assert ended.annotations == [("error", "The mail was not delivered")]


# --- where inputs come from --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "environ", "stdin", "expected"),
    [
        ({"password": "json"}, {}, None, "json"),
        ({}, {"CHAINLOOP_SMTP_PASSWORD": "variable\n"}, None, "variable"),
        ({}, {}, b"stdin\r\n", "stdin"),
        ({"password": "json"}, {"CHAINLOOP_SMTP_PASSWORD": "variable"}, None, "json"),
        ({"password": ""}, {"CHAINLOOP_SMTP_PASSWORD": "variable"}, None, "variable"),
        ({"password": "json"}, {"CHAINLOOP_SMTP_PASSWORD": "variable"}, b"stdin", "stdin"),
        ({}, {}, "bättery".encode(), "bättery"),
    ],
    ids=[
        "JSON",
        "variable",
        "standard input",
        "JSON before the variable",
        "empty JSON",
        "standard input before all",
        "UTF-8",
    ],
)
def test_the_password_comes_by_json_by_a_variable_or_by_standard_input(
    program: Program,
    inputs: dict[str, str],
    environ: dict[str, str],
    stdin: bytes | None,
    expected: str,
) -> None:
    post = Post()
    without = {name: value for name, value in INPUTS.items() if name != "password"}
    ended = program(
        "send",
        *(["--password-stdin"] if stdin else []),
        inputs=without | inputs,
        environ=environ,
        stdin=stdin or b"",
        post=post,
    )
    assert ended.code == 0
    assert post.registrations[0].password == expected
    (first, *_) = commands(ended.stdout)
    assert (first.name, first.data) == ("add-mask", expected)
    # Nothing that is started from here can read them.
    assert not [name for name in ended.environ if name.startswith("CHAINLOOP_SMTP_")]
    assert expected.encode() not in ended.log.encode()


def test_a_password_that_is_no_utf_8_is_an_option_that_is_wrong(program: Program) -> None:
    argv = ("send", *flags(INPUTS), "--password-stdin")
    ended = program(*argv, stdin=b"caf\xe9 au lait\n", post=never)
    assert ended.code == 2
    assert "password: holds a NUL character, or is not valid UTF-8" in ended.stderr
    assert "lait" not in ended.log


def test_flags_win_over_inputs_and_empty_ones_say_nothing(program: Program) -> None:
    post = Post()
    ended = program("send", "--port", "2525", "--user", "", inputs=INPUTS, post=post)
    assert ended.code == 0
    assert post.registrations[0].port == 2525
    assert post.registrations[0].user == "jane"


def test_flags_alone_are_enough(program: Program) -> None:
    post = Post()
    secret = {"CHAINLOOP_SMTP_PASSWORD": PASSWORD}
    ended = program("send", *flags(INPUTS), environ=secret, post=post, is_actions=False)
    assert ended.code == 0
    assert post.registrations[0].to[0].name == "Security"
    assert commands(ended.stdout + ended.stderr) == []


@pytest.mark.parametrize(
    ("argv", "is_dry"),
    [
        (("--dry-run",), True),
        (("--dry-run", "true"), True),
        (("--dry-run", "false"), False),
        (("--dry-run=false",), False),
        ((), False),
    ],
    ids=["alone", "true", "false", "=false", "absent"],
)
def test_a_boolean_flag_alone_says_true(
    program: Program, argv: Sequence[str], *, is_dry: bool
) -> None:
    post = Post()
    assert program("send", *argv, inputs=INPUTS, post=post).code == 0
    assert (post.mails == []) == is_dry


@pytest.mark.parametrize(
    "inputs", ["[]", "x", '"text"', "{", "[" * 100_000], ids=lambda text: text[:6]
)
def test_inputs_that_are_no_json_object_are_refused(program: Program, inputs: str) -> None:
    ended = program("send", inputs=inputs, post=never)
    assert ended.code == 2
    assert "CHAINLOOP_SMTP_INPUTS: is not a JSON object" in ended.stderr
    assert "toJSON(inputs)" in ended.stderr
    assert "CHAINLOOP_SMTP_INPUTS" not in ended.environ


# --- where the mail is left --------------------------------------------------------------------


def test_the_mail_is_left_in_the_runners_temporary_folder(program: Program, tmp_path: Path) -> None:
    ended = program("send", inputs=INPUTS)
    assert Path(ended.outputs["eml"]).parent == tmp_path / "chainloop-smtp"


def test_without_a_runner_the_mail_is_left_in_a_new_temporary_folder(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = program("send", inputs=INPUTS, environ={"RUNNER_TEMP": ""})
    folder = Path(ended.outputs["eml"]).parent
    assert folder.parent == tmp_path
    assert folder.name.startswith("chainloop-smtp-")


def test_where_nothing_can_be_written_output_dir_is_asked_for(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    ended = program("send", inputs=INPUTS, environ={"RUNNER_TEMP": ""}, post=never)
    assert ended.code == 2
    assert "output-dir: there is no temporary folder" in ended.stderr


def test_a_folder_that_cannot_be_written_to_is_2_before_anything_is_sent(
    program: Program, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    ended = program("send", inputs=INPUTS | {"output-dir": str(tmp_path / "file")}, post=never)
    assert ended.code == 2
    assert "output-dir: " in ended.stderr


# --- -o json -----------------------------------------------------------------------------------


@pytest.mark.parametrize("is_actions", [True, False], ids=["actions", "terminal"])
def test_with_json_standard_output_is_the_outputs_alone(
    program: Program, *, is_actions: bool
) -> None:
    inputs = INPUTS | {"tls": "none"}
    ended = program("send", "-o", "json", inputs=inputs, is_actions=is_actions)
    assert ended.code == 0
    printed = json.loads(ended.stdout)
    assert list(printed) == list(NOTHING)
    assert printed["sent"] == "true"
    assert "Sent to 1 recipient" in ended.stderr
    if is_actions:
        assert ended.outputs == printed


def test_with_json_a_failure_prints_the_outputs_too(program: Program) -> None:
    ended = program("send", "-o", "json", inputs={}, post=never)
    assert ended.code == 2
    assert json.loads(ended.stdout) == NOTHING
    assert "The options are not right" in ended.stderr


def test_with_json_a_skip_prints_the_outputs_too(program: Program, fork: dict[str, str]) -> None:
    ended = program("send", "-o", "json", inputs={}, environ=fork, post=never)
    assert json.loads(ended.stdout)["skipped"]
    assert ended.annotations == [("notice", "skipped")]


# --- arguments ---------------------------------------------------------------------------------

COMMANDS = (
    (),
    ("send",),
    ("demo",),
    ("integration",),
    ("integration", "available"),
    ("integration", "available", "list"),
    ("integration", "available", "ls"),
    ("integration", "available", "describe"),
    ("integration", "registered"),
    ("integration", "registered", "add"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(command: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*command, "--help"], {})
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert printed.startswith(" ".join(("usage: chainloop-smtp", *command[:-1])))
    if command in (("send",), ("integration", "registered", "add")):
        named = set(re.findall(r"--[a-z-]+", printed))
        assert {f"--{each.name}" for each in options.INPUTS if not each.is_secret} <= named
        assert "--password-stdin" in named
        assert "--password" not in named


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"], {})
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"chainloop-smtp {__version__}\n"


@pytest.mark.parametrize("argv", [("--password", "hunter2"), ("--password=hunter2",)])
def test_a_password_on_the_command_line_is_refused_and_not_repeated(
    program: Program, argv: Sequence[str]
) -> None:
    ended = program("send", *argv, "--nonsense", post=never)
    assert ended.code == 2
    assert "--password: a secret on a command line is seen" in ended.stderr
    assert "CHAINLOOP_SMTP_PASSWORD" in ended.stderr
    assert "--password-stdin" in ended.stderr
    assert "hunter2" not in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ((), "the following arguments are required: COMMAND"),
        (("sned",), "invalid choice: 'sned'"),
        (("send", "--hots", "hunter2"), "--hots: there is no such flag"),
        (("send", "--replyto=hunter2"), "Did you mean --reply-to?"),
        (("send", "--zzz", "hunter2"), "--zzz: there is no such flag"),
        (("send", "hunter2"), "arguments: 1 of them belong to no flag"),
        (("send", "--host"), "argument --host: expected one argument"),
        (("send", "-o", "xml"), "invalid choice: 'xml'"),
        (("send", "--password-stdin=hunter2"), "argument --password-stdin"),
        (("send", "--pas", "hunter2"), "--pas"),
        (("integration",), "the following arguments are required: COMMAND"),
        (("integration", "registered", "add"), "the following arguments are required: ID"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, tuple) else "",
)
def test_wrong_arguments_are_2_and_their_values_are_not_repeated(
    program: Program, argv: Sequence[str], said: str
) -> None:
    ended = program(*argv, post=never)
    assert ended.code == 2
    assert said in ended.stderr
    assert "hunter2" not in ended.stdout + ended.stderr
    assert ended.annotations == [("error", "The options are not right")]


def test_no_argument_becomes_a_command(program: Program) -> None:
    for argv in (("send", f"--{HOSTILE}"), (HOSTILE,), ("send", HOSTILE), ("send", "-o", HOSTILE)):
        ended = program(*argv, post=never)
        assert ended.code == 2
        assert ended.annotations == [("error", "The options are not right")]


# --- integration -------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["list", "ls"])
def test_the_one_available_integration_is_listed(program: Program, word: str) -> None:
    ended = program("integration", "available", word)
    assert ended.code == 0
    head, row = ended.stdout.splitlines()
    assert re.split(r" {2,}", head) == ["NAME", "VERSION", "MATERIAL REQUIREMENT", "DESCRIPTION"]
    assert re.split(r" {2,}", row) == [
        "smtp",
        "1.0",
        "None",
        "Send emails with information about a received attestation",
    ]


@pytest.mark.parametrize("argv", [("list",), ("describe", "smtp"), ("describe", "--name", "smtp")])
def test_as_json_it_is_an_array_of_one_with_its_schemas_as_text(
    program: Program, argv: Sequence[str]
) -> None:
    ended = program("integration", "available", *argv, "-o", "json")
    assert ended.code == 0
    (item,) = json.loads(ended.stdout)
    assert (item["name"], item["version"]) == ("smtp", "1.0")
    assert item["subscribedInputs"] is None
    schema = json.loads(item["registration"]["schema"])
    assert set(schema["required"]) == set(INPUTS)
    assert set(json.loads(item["attachment"]["schema"])["properties"]) == {"cc"}


@pytest.mark.parametrize("argv", [("smtp",), ("--name", "smtp")], ids=["id", "--name"])
def test_an_integration_is_described_with_its_inputs(program: Program, argv: Sequence[str]) -> None:
    ended = program("integration", "available", "describe", *argv)
    assert ended.code == 0
    registration, _, attachment = ended.stdout.partition("Attachment inputs")
    rows = [re.split(r" {2,}", line)[:3] for line in registration.splitlines()[5:-1]]
    assert rows == [
        ["from", "string (email)", "Yes"],
        ["host", "string", "Yes"],
        ["password", "string", "Yes"],
        ["port", "string", "Yes"],
        ["to", "string (email)", "Yes"],
        ["user", "string", "Yes"],
    ]
    assert re.search(r"^cc +string \(email\) +No ", attachment, re.MULTILINE)
    assert "JSON schema" not in ended.stdout


def test_in_full_it_is_described_with_its_schemas(program: Program) -> None:
    ended = program("integration", "available", "describe", "smtp", "--full")
    _, _, rest = ended.stdout.partition("Registration JSON schema\n")
    registration, _, attachment = rest.partition("\nAttachment JSON schema\n")
    assert set(json.loads(registration)["required"]) == set(INPUTS)
    assert json.loads(attachment)["$id"].endswith("/attachment-request")


@pytest.mark.parametrize("argv", [(), ("slack",)], ids=["none", "another"])
def test_another_integration_is_not_available(program: Program, argv: Sequence[str]) -> None:
    ended = program("integration", "available", "describe", *argv)
    assert ended.code == 2
    assert "There is one: smtp." in ended.stderr


def opts(inputs: Mapping[str, str]) -> list[str]:
    return [word for name, value in inputs.items() for word in ("--opt", f"{name}={value}")]


ADD = ("integration", "registered", "add", "smtp")


def test_a_registration_is_proved_by_its_mail(
    program: Program, mailboxes: Mailboxes, tls: Certificates
) -> None:
    inputs = INPUTS | {"host": "127.0.0.1", "port": str(mailboxes.port)}
    argv = (*ADD, "--name", "ses", *opts(inputs), "--tls-ca-file", str(tls.ca_file))
    ended = program(*argv, post=delivery.send, is_actions=False)
    assert ended.code == 0
    (mail,) = mailboxes.mails
    assert mail.recipients == ("security@example.com",)
    received = parsed(mail.content)
    assert "ses" in received["Subject"]
    text = text_of(mail.content)
    for fact in (
        "smtp, version 1.0",
        "127.0.0.1",
        str(mailboxes.port),
        "jane",
        "Attestation reports <reports@example.com>",
        "Security <security@example.com>",
    ):
        assert fact in text
    assert "The registration mail for ses is sent to security@example.com." in ended.stdout
    assert PASSWORD.encode() not in ended.everything() + mail.content


def test_a_registration_without_a_name_is_called_by_its_host(program: Program) -> None:
    post = Post()
    ended = program(*ADD, *opts(INPUTS), post=post)
    assert ended.code == 0
    assert "smtp.example.com" in post.mails[0].subject
    assert "The registration mail for smtp.example.com" in ended.stdout


def test_a_registration_as_json_shows_no_password(program: Program) -> None:
    argv = (*ADD, "--name", "ses", "--description", "##[error]", *opts(INPUTS), "-o", "json")
    ended = program(*argv)
    assert ended.code == 0
    printed = json.loads(ended.stdout)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", printed.pop("createdAt"))
    assert printed == {
        "name": "ses",
        "kind": "smtp",
        "description": "##[error]",
        "config": {
            "to": "Security <security@example.com>",
            "from": "Attestation reports <reports@example.com>",
            "user": "jane",
            "host": "smtp.example.com",
            "port": "587",
        },
    }
    assert ended.annotations == []


def test_an_option_is_split_at_its_first_equals_sign_and_the_last_one_counts(
    program: Program,
) -> None:
    post = Post()
    more = ("--opt", "password=a=b,c=d", "--opt", "user=first", "--opt", "user=last")
    assert program(*ADD, *opts(INPUTS), *more, post=post).code == 0
    assert post.registrations[0].password == "a=b,c=d"
    assert post.registrations[0].user == "last"


def test_a_password_of_the_environment_serves_a_registration_too(program: Program) -> None:
    post = Post()
    without = {name: value for name, value in INPUTS.items() if name != "password"}
    ended = program(*ADD, *opts(without), environ={"CHAINLOOP_SMTP_PASSWORD": "v"}, post=post)
    assert ended.code == 0
    assert post.registrations[0].password == "v"
    assert "CHAINLOOP_SMTP_PASSWORD" not in ended.environ


def test_an_option_wins_over_inputs_and_a_flag_over_an_option(program: Program) -> None:
    post = Post()
    argv = (*ADD, "--opt", "user=opt", "--opt", "port=25", "--port", "2525")
    assert program(*argv, inputs=INPUTS, post=post).code == 0
    assert (post.registrations[0].user, post.registrations[0].port) == ("opt", 2525)


def test_every_problem_of_a_registration_is_told_at_once(program: Program) -> None:
    argv = ("integration", "registered", "add", "slack", "--opt", "hunter2", "--opt", "foo=bar")
    ended = program(*argv, "--opt", "port=x", "--opt", "from=nobody", post=never)
    assert ended.code == 2
    assert [line for line in ended.stderr.splitlines() if re.match(r"  \S", line)] == [
        "  integration: 'slack' is not available",
        "  opt: an option has no '='",
        "  opt: 'foo' is no registration input",
        "  host: is missing",
        "  port: 'x' is not a port number from 1 to 65535",
        "  user: is missing",
        "  password: is missing",
        "  from: 'nobody' is not an address: An email address must have an @-sign.",
        "  to: is missing",
    ]
    assert "hunter2" not in ended.stdout + ended.stderr


def test_a_problem_of_the_arguments_alone_stops_a_registration(program: Program) -> None:
    ended = program(*ADD, *opts(INPUTS), "--opt", "cc=team@example.com", post=never)
    assert ended.code == 2
    assert "opt: 'cc' is no registration input" in ended.stderr
    assert "is missing" not in ended.stderr


@pytest.mark.parametrize("more", [(), ("-o", "json")], ids=["table", "json"])
def test_a_dry_registration_sends_nothing(program: Program, more: Sequence[str]) -> None:
    ended = program(*ADD, *opts(INPUTS), "--dry-run", *more, post=never)
    assert ended.code == 0
    (eml,) = ended.folder.rglob("*.eml")
    assert f"The mail: {eml}" in (ended.stderr if more else ended.stdout)
    if more:
        assert json.loads(ended.stdout)["name"] == "smtp.example.com"


@pytest.mark.parametrize(("require", "code"), [("all", 5), ("any", 0)], ids=["all", "any"])
def test_a_refused_recipient_of_a_registration_is_weighed_too(
    program: Program, require: str, code: int
) -> None:
    post = Post(refused=(refusal("gone@example.com"),))
    inputs = INPUTS | {"to": "security@example.com, gone@example.com"}
    ended = program(*ADD, *opts(inputs), "--require", require, post=post)
    assert ended.code == code
    assert "gone@example.com: " in ended.log
    assert "550 5.1.1 no such mailbox" in ended.log


def test_a_registration_that_cannot_be_proved_fails(program: Program) -> None:
    post = Post(error=DeliveryError(Problem("smtp.example.com:587", "it rains")))
    ended = program(*ADD, *opts(INPUTS), "-o", "json", post=post)
    assert ended.code == 5
    assert ended.stdout == ""
    assert "it rains" in ended.stderr


# --- demo --------------------------------------------------------------------------------------


def test_the_demo_shows_what_arrived(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert cli.main(["demo"], {}) == 0
    printed, complaints = capsys.readouterr()
    assert complaints == ""
    for address in ("security@example.test", "ledger-team@example.test", "audit@example.test"):
        assert address in printed.partition("In the mailboxes of")[2].partition(":")[0]
    assert "  | Subject: " in printed
    shown = re.findall(r"^Open it: (.+)$", printed, re.MULTILINE)
    assert sorted(Path(path).suffix for path in shown) == [".eml", ".html"]
    assert all(Path(path).is_file() for path in shown)


@pytest.mark.parametrize(("sent", "code"), [(5, 5), (2, 2), (0, 5)], ids=["5", "2", "no mail"])
def test_a_demo_whose_mail_does_not_arrive_fails(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sent: int,
    code: int,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    main = cli.main
    monkeypatch.setattr(cli, "main", lambda *_: sent)
    assert main(["demo"], {}) == code
    assert "In the mailboxes" not in capsys.readouterr().out


def test_a_demo_without_its_libraries_says_how_to_get_them(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setitem(sys.modules, "trustme", None)
    ended = program("demo", is_actions=False)
    assert ended.code == 2
    assert "demo: the library trustme is not installed" in ended.stderr
    assert "pip install 'chainloop-smtp[demo]'" in ended.stderr


# --- the process -------------------------------------------------------------------------------


def as_a_module() -> None:
    runpy.run_module("chainloop_smtp", run_name="__main__")


def as_a_script() -> None:
    importlib.import_module("chainloop_smtp.__main__").main()


@pytest.mark.parametrize("run", [as_a_module, as_a_script])
def test_the_process_ends_with_the_programs_exit_code(
    run: Callable[[], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["chainloop-smtp", "integration", "available", "list"])
    monkeypatch.delitem(sys.modules, "chainloop_smtp.__main__", raising=False)
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("NAME  VERSION")


def test_a_process_without_standard_input_does_its_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert cli.main(["integration", "available", "list"], {}) == 0
    assert capsys.readouterr().out.startswith("NAME  VERSION")


def test_the_facts_of_the_run_stand_in_the_mail(program: Program) -> None:
    post = Post()
    program("send", inputs=INPUTS | {"attestation": PUSHED}, post=post)
    (mail,) = post.mails
    for part in (mail.text, mail.html):
        assert RUN_URL in part
        assert "lakeside" in part
