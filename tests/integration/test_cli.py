"""The whole program in-process: from inputs to exit code, outputs, files and mailboxes."""

import importlib
import json
import re
import runpy
import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from builders import RUN_URL, bundle, cli_push, encoded, evaluation, statement
from chainloop_smtp import __version__, cli, message, options
from chainloop_smtp.errors import MessageError, Problem
from chainloop_smtp.model.mail import Mail
from program import (
    INPUTS,
    NOTHING,
    PASSWORD,
    PUSH,
    PUSHED,
    Post,
    Program,
    flags,
    never,
    parsed,
    refusal,
)
from runner import commands

# --- every exit code ---------------------------------------------------------------------------

WRONG = "Invalid options.\n"


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
        "  host: 'a b' contains white space or unprintable characters",
        "  port: is missing",
        "  user: is missing",
        "  password: is missing",
        "  from: is missing",
        "  to: is missing",
        "  tls: 'maybe' is not a valid value",
    ]
    assert ended.annotations == [("error", "Invalid options")]
    assert ended.summary == ""


@pytest.mark.parametrize("attestation", ['{"foo": 1}', "{", "missing.json"])
def test_evidence_that_is_none_is_3(program: Program, attestation: str) -> None:
    ended = program("send", inputs=INPUTS | {"attestation": attestation}, post=never)
    assert ended.code == 3
    assert ended.outputs == NOTHING
    assert ended.stderr.startswith("The attestation cannot be read.\n  attestation ")
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
        "signature": "unchecked",
    }
    assert ended.failure == (
        "The mail cannot be written.\n  mail.html.j2, line 3: 'nobody' is undefined"
    )


def test_a_failed_delivery_is_5_and_the_mail_is_kept(program: Program) -> None:
    post = Post(trouble=Problem("smtp.example.com:587", "it rains", "Wait."))
    ended = program("send", inputs=INPUTS | {"attestation": PUSHED}, post=post)
    assert ended.code == 5
    outputs = ended.outputs
    assert (outputs["sent"], outputs["attempts"], outputs["accepted"]) == ("false", "1", "[]")
    assert Path(outputs["eml"]).read_bytes() == post.mails[0].content
    (told,) = json.loads(Path(outputs["receipt"]).read_bytes())["deliveries"]
    assert [each["state"] for each in told["recipients"]] == ["deferred"]
    assert told["attempts"][0]["problem"] == "it rains"
    assert f"The mail was saved: {outputs['eml']}" in ended.stdout
    assert ended.failure == (
        "The mail was not delivered.\n  smtp.example.com:587: it rains\n    Wait."
    )
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
    inputs = INPUTS | {"attestation": PUSHED}
    ended = program("send", inputs=inputs, post=Post(error=RuntimeError(f"what is {PASSWORD}?")))
    assert ended.code == 1
    assert "Traceback (most recent call last)" in ended.stderr
    assert "RuntimeError: what is ***?" in ended.stderr
    assert ended.stderr.endswith(
        "\nThis is a bug in Chainloop SMTP. Please report it with the lines above.\n"
    )
    assert "::error::A bug in Chainloop SMTP: the log says where.\n" in ended.stdout
    assert [kind for kind, _ in ended.annotations] == ["error"]
    # As far as the story got.
    assert Path(ended.outputs["eml"]).exists()
    assert ended.outputs["sent"] == "false"
    assert PASSWORD.encode() not in ended.everything()


@pytest.mark.parametrize(
    ("post", "title"),
    [
        (
            Post(trouble=Problem("smtp.example.com:587", "it rains")),
            "The mail was not delivered",
        ),
        (Post(refused=(refusal("security@example.com"),)), "The mail was not delivered"),
    ],
    ids=["no delivery", "all refused"],
)
def test_a_failed_delivery_may_be_a_warning(program: Program, post: Post, title: str) -> None:
    inputs = INPUTS | {"attestation": PUSHED, "fail-on-error": "false"}
    ended = program("send", inputs=inputs, post=post)
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


def test_a_forks_pull_request_without_secrets_is_skipped(
    program: Program, fork: dict[str, str]
) -> None:
    # Its secrets are empty strings, and so is what a workflow makes of them.
    inputs = INPUTS | {"user": "", "password": "", "to": ""}
    ended = program("send", inputs=inputs, environ=fork, post=never)
    assert ended.code == 0
    assert ended.outputs == NOTHING | {"skipped": "no secrets in a pull request from a fork"}
    assert ended.annotations == [("notice", "skipped")]
    assert ended.annotation("skipped") == (
        "A fork's pull request and Dependabot get no secrets; no mail is sent."
    )
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
    (told,) = json.loads((folder / "receipt.json").read_bytes())["deliveries"]
    assert {each["state"] for each in told["recipients"]} == {"untried"}
    assert sorted(path.suffix for path in folder.iterdir()) == [
        ".eml",
        ".html",
        ".json",
        ".md",
        ".txt",
    ]
    assert f"Dry run: nothing was sent. The mail: {outputs['eml']}" in ended.stdout
    assert ended.summary.endswith("\n_Dry run: no mail was sent._\n\n")


def test_a_mail_in_clear_is_warned_of(program: Program) -> None:
    ended = program("send", inputs=INPUTS | {"attestation": PUSHED, "tls": "none"})
    assert ended.code == 0
    assert ended.annotations == [("warning", "no TLS")]
    assert ended.annotation("no TLS") == "The mail is sent without encryption, because tls is none."


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
    assert ended.failure == (f"{WRONG}  {name}: '-' is standard input, which a step does not have")


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
    first = "policy-evaluations" if "--attestation" not in more else "attestation"
    assert ended.failure == (
        f"{WRONG}  {where}: standard input already carries {first}\n"
        "    Give the attestation as a path, or the password in CHAINLOOP_SMTP_PASSWORD."
    )


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
    about = {"outcome": "not-attested", "policy-status": "", "digest": ""}
    assert ended.outputs.items() >= about.items()
    assert ended.annotations == [("warning", "the attestation is empty")]
    assert ended.annotation("the attestation is empty") == (
        "The Chainloop command printed nothing, so the mail cannot say whether the run was "
        "attested; see the log of the step that ran it. Put `chainloop attestation push -o json > "
        "attestation.json` on a line of its own: in a pipe or $(…), bash hides its exit code."
    )


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"job-status": "success"},
        {"job-status": "neutral"},
        {"job-status": "success", "needs": "success, skipped"},
    ],
    ids=["nothing", "success", "neutral", "needs"],
)
def test_without_any_evidence_the_mail_says_that_none_was_given(
    program: Program, given: dict[str, str]
) -> None:
    post = Post()
    ended = program("send", inputs=INPUTS | given, environ=REPOSITORY, post=post)
    assert ended.code == 0
    assert ended.outputs["outcome"] == "not-attested"
    assert ended.annotations == [("warning", "no evidence is given")]
    blind = "" if "needs" in given else " Set needs too: without it, a failed job goes unnoticed."
    assert ended.annotation("no evidence is given") == (
        "attestation and workflow-run-id are both empty, so the mail cannot say whether the run "
        "was attested. Install the chainloop command and give this step CHAINLOOP_TOKEN: it then "
        "finds the attestations of this CI run by itself. Or set attestation to the file with the "
        f"output of the push.{blind}"
    )
    (mail,) = post.mails
    assert mail.subject == "[harbour] Not attested: the run (no evidence given)"
    for part in (mail.text, mail.html, mail.summary):
        said = " ".join(part.split())
        assert "No evidence was given for harbour" in said
        assert "It is not known whether an attestation was recorded." in said
        assert "not pushed" not in said
        assert "No attestation" not in said
        assert "was not attested" not in said


def test_no_evidence_is_expected_of_a_job_that_was_skipped(program: Program) -> None:
    post = Post()
    inputs = INPUTS | {"job-status": "skipped", "attestation": "missing.json"}
    ended = program("send", inputs=inputs, environ=REPOSITORY, post=post)
    assert (ended.code, ended.annotations) == (0, [])
    assert ended.outputs["outcome"] == "not-attested"
    (mail,) = post.mails
    assert mail.subject == "[harbour] Not attested: the run (job was skipped)"
    assert "Job was skipped. It is not known whether an attestation" in mail.text


REPOSITORY = {"GITHUB_REPOSITORY": "lakeside/harbour"}


def test_nothing_given_and_no_configuration_file_is_told(program: Program) -> None:
    told = (
        "  config: is empty, and there is neither .github/chainloop-smtp.yml nor "
        "chainloop-smtp.yml\n"
        "    A configuration file can give host and to. In a workflow, check it out first: "
        "actions/checkout.\n"
    )
    for command in ("send", "check"):
        assert told in program(command, inputs={"port": "587"}, post=never).stderr
    assert "config:" not in program("send", inputs={"host": "a.example"}, post=never).stderr


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
    assert ended.annotations == [("error", "The mail did not reach all recipients")]


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
    assert ended.failure == f"{WRONG}  password: contains a NUL character, or is not valid UTF-8"
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


def test_a_list_may_be_given_in_several_flags(program: Program, tmp_path: Path) -> None:
    policies = [evaluation("tide-gate", violations=["too low"])]
    for name, document in (
        ("push.json", cli_push(statement(evaluations=policies))),
        ("bundle.json", bundle(statement(evaluations=policies))),
    ):
        (tmp_path / name).write_bytes(encoded(document))
    argv = (
        *("--to", "second@example.com"),
        *("--attestation", str(tmp_path / "push.json")),
        *("--attestation", str(tmp_path / "bundle.json")),
        *("--attach", "attestation", "--attach", "report"),
    )
    post = Post()
    secret = {"CHAINLOOP_SMTP_PASSWORD": PASSWORD}
    ended = program("send", *flags(INPUTS), *argv, environ=secret, post=post, is_actions=False)
    assert ended.code == 0, ended.stderr
    (mail,) = post.mails
    assert mail.recipients == ("security@example.com", "second@example.com")
    attached = [part.get_filename() for part in parsed(mail.content).iter_attachments()]
    assert attached == ["attestation.json", "attestation-2.json", message.REPORT_NAME]


@pytest.mark.parametrize("flag", ["--host", "--subject", "--dry-run"])
def test_all_else_may_be_given_once(program: Program, flag: str) -> None:
    ended = program("send", flag, "true", flag, "true", post=never)
    assert ended.code == 2
    assert ended.failure == f"{WRONG}  {flag}: is given twice\n    Keep one of them."


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
    assert ended.failure == (
        f"{WRONG}  CHAINLOOP_SMTP_INPUTS: is not a JSON object\n"
        "    Write ${{ toJSON(inputs) }}."
    )
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
    assert ended.failure == (
        f"{WRONG}  output-dir: there is no temporary folder\n"
        "    Set output-dir to a writable folder."
    )


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
    assert printed["sent"] is True
    assert printed["accepted"] == ["security@example.com"]
    assert printed["attempts"] == 1
    assert "Sent to 1 recipient" in ended.stderr
    if is_actions:
        as_text = {k: v if isinstance(v, str) else json.dumps(v) for k, v in printed.items()}
        assert ended.outputs == as_text


def test_with_json_a_failure_prints_the_outputs_too(program: Program) -> None:
    ended = program("send", "-o", "json", inputs={}, post=never)
    assert ended.code == 2
    nothing = {"sent": False, "accepted": [], "refused": [], "attempts": 0}
    assert json.loads(ended.stdout) == NOTHING | nothing
    assert "Invalid options" in ended.stderr


def test_with_json_a_skip_prints_the_outputs_too(program: Program, fork: dict[str, str]) -> None:
    ended = program("send", "-o", "json", inputs={}, environ=fork, post=never)
    assert json.loads(ended.stdout)["skipped"]
    assert ended.annotations == [("notice", "skipped")]


# --- arguments ---------------------------------------------------------------------------------

COMMANDS = (
    (),
    ("send",),
    ("verify",),
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
    # As wide as a terminal that nobody has made wider.
    assert max(map(len, printed.splitlines()[1:])) <= 80


# The titles of the groups that each shows.
DELIVERY = [options.GROUPS[first] for first in ("host", "tls", "auth", "proxy")]
SHOWN = {
    ("send",): list(options.GROUPS.values()),
    ("check",): DELIVERY,
    ("integration", "registered", "add"): ["Registration", *DELIVERY],
}


def helped(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    with pytest.raises(SystemExit) as ended:
        cli.main(argv, {})
    assert ended.value.code == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def sections(printed: str) -> dict[str, str]:
    """What stands below each title."""
    parts = re.split(r"^(\S.*):\n", printed, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("command", SHOWN, ids=" ".join)
def test_help_names_each_input_of_a_group_once_and_the_usual_ones_in_a_line_each(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    printed = helped(capsys, *command, "--help")
    shown = sections(printed)
    wanted = [*SHOWN[command], "options"]
    assert [title for title in shown if title not in ("positional arguments", "example")] == wanted
    for title, text in shown.items():
        if title in options.GROUPS.values():
            lines = [line for line in text.splitlines() if line]
            usual = [line for line in lines if re.match("  (--|CHAIN)", line)]
            # A text of one line behind each, and behind them the names of all the others.
            assert lines[: len(usual)] == usual
            assert all(re.match(r"  (--|CHAIN)\S+( \S+)?  +\S", line) for line in usual)
            assert lines[len(usual)].startswith("  also  ")
    names = named_inputs("".join(shown[title] for title in SHOWN[command]))
    groups = [first for first, title in options.GROUPS.items() if title in wanted]
    assert names == [name for first in groups for name in in_group(first)]
    assert "--password-stdin" in shown["options"]
    assert "--help-all" in shown["options"]


@pytest.mark.parametrize("command", SHOWN, ids=" ".join)
def test_help_all_describes_every_input_as_the_documentation_does(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    shown = sections(helped(capsys, *command, "--help-all"))
    absent = options.ABOUT_THE_RUN - {"config", "dry-run", "output-dir"}
    if command[0] != "integration":
        absent = frozenset()
    for first, title in options.GROUPS.items():
        text = " ".join(shown.get(title, "").split())
        wanted = [name for name in in_group(first) if name not in absent]
        assert named_inputs(text) == wanted
        assert all(options.BY_NAME[name].plain_help in text for name in wanted)
    assert not re.search(r"--password(?!-)", "".join(shown.values()))


def in_group(first: str) -> list[str]:
    names = [each.name for each in options.INPUTS]
    ends = [*map(names.index, options.GROUPS), len(names)]
    return names[names.index(first) : next(end for end in ends if end > names.index(first))]


def named_inputs(text: str) -> list[str]:
    """The inputs that a text names, in the order of the table."""
    found = set(re.findall(r"(?:--|CHAINLOOP_SMTP_)[A-Za-z0-9_-]+", text))
    return [
        each.name
        for each in options.INPUTS
        if (options.variable_of(each.name) if each.is_secret else f"--{each.name}") in found
    ]


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"], {})
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"chainloop-smtp {__version__}\n"


def test_another_secret_on_the_command_line_is_led_to_its_variable(program: Program) -> None:
    ended = program("send", "--oauth2-client-secret", "hunter2", post=never)
    assert ended.code == 2
    assert ended.failure == (
        f"{WRONG}  --oauth2-client-secret: every process on the machine can see a secret on a "
        "command line\n    Set CHAINLOOP_SMTP_OAUTH2_CLIENT_SECRET."
    )
    assert "hunter2" not in ended.log


@pytest.mark.parametrize("argv", [("--password", "hunter2"), ("--password=hunter2",)])
def test_a_password_on_the_command_line_is_refused_and_not_repeated(
    program: Program, argv: Sequence[str]
) -> None:
    ended = program("send", *argv, "--nonsense", post=never)
    assert ended.code == 2
    assert ended.failure == (
        f"{WRONG}  --password: every process on the machine can see a secret on a command "
        "line\n    Set CHAINLOOP_SMTP_PASSWORD, or use --password-stdin.\n"
        "  --nonsense: there is no such flag"
    )
    assert "hunter2" not in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (
            (),
            (
                "chainloop-smtp: the following arguments are required: COMMAND"
                "\n    Available: send, verify, check, demo, integration, workflow. "
                "See chainloop-smtp --help."
            ),
        ),
        (("sned",), ("chainloop-smtp: 'sned' is not a command\n    Did you mean send?")),
        (
            ("post",),
            (
                "chainloop-smtp: 'post' is not a command"
                "\n    Available: send, verify, check, demo, integration, workflow."
            ),
        ),
        (
            ("--password", "hunter2", "send"),
            (
                "--password: every process on the machine can see a secret on a "
                "command line"
                "\n    Set CHAINLOOP_SMTP_PASSWORD, or use --password-stdin."
            ),
        ),
        (
            ("integration", "--password", "hunter2", "registered"),
            (
                "--password: every process on the machine can see a secret on a "
                "command line"
                "\n    Set CHAINLOOP_SMTP_PASSWORD, or use --password-stdin."
            ),
        ),
        (
            ("integration", "regsitered", "list"),
            (
                "chainloop-smtp integration: 'regsitered' is not a command"
                "\n    Did you mean registered?"
            ),
        ),
        (("--versoin",), ("--versoin: there is no such flag\n    Did you mean --version?")),
        (
            ("send", "--hots", "hunter2"),
            ("--hots: there is no such flag\n    Did you mean --host?"),
        ),
        (
            ("send", "--replyto=hunter2"),
            ("--replyto: there is no such flag\n    Did you mean --reply-to?"),
        ),
        (("send", "--zzz", "hunter2"), "--zzz: there is no such flag"),
        (
            ("send", "hunter2"),
            ("arguments: one word belongs to no flag\n    Put a value with spaces in quotes."),
        ),
        (
            ("send", "--host"),
            (
                "chainloop-smtp send: argument --host: expected one argument"
                "\n    See chainloop-smtp send --help."
            ),
        ),
        (
            ("send", "x", "hunter2"),
            ("arguments: 2 words belong to no flag\n    Put a value with spaces in quotes."),
        ),
        (
            ("send", "-o", "xml"),
            ("-o/--output: 'xml' is not a valid value\n    Available: table, json."),
        ),
        (
            ("send", "--password-stdin=hunter2"),
            (
                "chainloop-smtp send: argument --password-stdin: takes no value"
                "\n    See chainloop-smtp send --help."
            ),
        ),
        (
            ("send", "--pas", "hunter2"),
            (
                "--pas: every process on the machine can see a secret on a command "
                "line"
                "\n    Set CHAINLOOP_SMTP_PASSWORD, or use --password-stdin."
            ),
        ),
        (
            ("integration",),
            (
                "chainloop-smtp integration: the following arguments are required: "
                "COMMAND"
                "\n    Available: available, registered, attached. See chainloop-smtp "
                "integration --help."
            ),
        ),
        (
            ("integration", "registered", "add"),
            (
                "chainloop-smtp integration registered add: the following arguments "
                "are required: ID"
                "\n    See chainloop-smtp integration registered add --help."
            ),
        ),
        (
            ("integration", "registered", "add", "smtp", "--nmae", "x"),
            ("--nmae: there is no such flag\n    Did you mean --name?"),
        ),
        (
            ("integration", "registered", "add", "smtp", "--attestation", "x"),
            ("--attestation: there is no such flag\n    Did you mean --description?"),
        ),
        (
            ("integration", "attached", "list", "--worflow", "x"),
            ("--worflow: there is no such flag\n    Did you mean --workflow?"),
        ),
        (
            ("integration", "attached", "add", "--workfow", "hunter2"),
            ("--workfow: there is no such flag\n    Did you mean --workflow?"),
        ),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, tuple) else "",
)
def test_wrong_arguments_are_2_and_their_values_are_not_repeated(
    program: Program, argv: Sequence[str], said: str
) -> None:
    ended = program(*argv, post=never)
    assert ended.code == 2
    assert ended.failure == f"{WRONG}  {said}"
    assert "hunter2" not in ended.stdout + ended.stderr
    assert ended.annotations == [("error", "Invalid options")]


def test_no_argument_becomes_a_command(program: Program) -> None:
    for argv in (("send", f"--{HOSTILE}"), (HOSTILE,), ("send", HOSTILE), ("send", "-o", HOSTILE)):
        ended = program(*argv, post=never)
        assert ended.code == 2
        assert ended.annotations == [("error", "Invalid options")]


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
    shown = re.findall(r"^Open .+:  (.+)$", printed, re.MULTILINE)
    assert [Path(path).suffix for path in shown] == [".eml", ".html"]
    assert "Open the mail in a mail program:  " in printed
    assert Path(shown[0]).stem.startswith("ledger-api-Blocked-by-gate-release-main-")
    assert all(Path(path).is_file() for path in shown)


@pytest.mark.parametrize("is_on_path", [True, False])
def test_the_demo_ends_with_a_command_that_works(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_on_path: bool,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    binaries = Path(sys.executable).parent
    assert cli.main(["demo"], {"PATH": str(binaries)} if is_on_path else {}) == 0
    end = capsys.readouterr().out.partition("\nNext, ")[2]
    dry, check = re.findall(r"^  (.+ \\\n    .+)$", end, re.MULTILINE)
    name = "chainloop-smtp" if is_on_path else str(binaries / "chainloop-smtp")
    assert shlex.split(dry)[0] == shlex.split(check)[1] == name
    assert cli.main([each for each in shlex.split(dry)[1:] if each != "\n"], {}) == 0
    assert [each.suffix for each in sorted((tmp_path / "out").iterdir())].count(".eml") == 1
    assert "Blocked by gate" in capsys.readouterr().out


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
    assert "pip install aiosmtpd trustme" in ended.stderr


# --- the process -------------------------------------------------------------------------------


def as_a_module() -> None:
    runpy.run_module("chainloop_smtp", run_name="__main__")


def as_a_script() -> None:
    importlib.import_module("chainloop_smtp.__main__").main()


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("run", [as_a_module, as_a_script])
def test_the_process_ends_with_the_programs_exit_code(
    run: Callable[[], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["chainloop-smtp", "integration", "available", "list"])
    monkeypatch.delitem(sys.modules, "chainloop_smtp.__main__", raising=False)
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("│ NAME │ VERSION │")


def test_a_process_without_standard_input_does_its_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert cli.main(["integration", "available", "list"], {}) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("│ NAME │ VERSION │")


def test_the_facts_of_the_run_stand_in_the_mail(program: Program) -> None:
    post = Post()
    program("send", inputs=INPUTS | {"attestation": PUSHED}, post=post)
    (mail,) = post.mails
    for part in (mail.text, mail.html):
        assert RUN_URL in part
        assert "lakeside" in part


# --- inputs that are nearly too large ----------------------------------------------------------


@pytest.mark.parametrize(
    ("large", "advice"),
    [
        ("needs", " Give toJSON(needs.*.result), which leaves out the outputs."),
        ("attestation", " Write the JSON to a file and give its path."),
        ("headers", ""),
    ],
)
def test_inputs_that_will_soon_not_fit_into_a_variable_are_a_warning(
    program: Program, large: str, advice: str
) -> None:
    filler = "x" * (97 * 1024)
    values = {
        "needs": json.dumps({"build": {"result": "success", "outputs": {"log": filler}}}),
        "attestation": encoded(cli_push(statement(annotations={"log": filler}))).decode(),
        "headers": "\n".join(f"X-Log-{n}: {'x' * 900}" for n in range(110)),
    }
    inputs = INPUTS | {"attestation": PUSHED} | {large: values[large]}
    ended = program("send", inputs=inputs, post=Post())
    (warning,) = (
        line for line in ended.stdout.splitlines() if "the inputs are nearly too large" in line
    )
    size = len(json.dumps(inputs)) // 1024
    assert warning == (
        "::warning title=Chainloop SMTP%3A the inputs are nearly too large::"
        f"They take {size} KiB together, most of it {large}. With more than 128 KiB on Linux "
        f"(32 on Windows), the step cannot start.{advice}"
    )


def test_inputs_of_a_usual_size_are_no_warning(program: Program) -> None:
    filler = {"build": {"result": "success", "outputs": {"log": "x" * 80 * 1024}}}
    inputs = INPUTS | {"attestation": PUSHED, "needs": json.dumps(filler)}
    ended = program("send", inputs=inputs, post=Post())
    assert ended.code == 0
    assert "too large" not in ended.log
