"""The commands that read like Chainloop's own: ``integration available``, ``registered``."""

import json
import re
from collections.abc import Mapping, Sequence

import pytest

from chainloop_smtp.errors import Problem
from program import INPUTS, PASSWORD, Post, Program, never, parsed, refusal, text_of
from smtpserver import Certificates, Mailboxes
from submission import send_one

# --- integration -------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["list", "ls"])
def test_the_one_available_integration_is_listed(program: Program, word: str) -> None:
    ended = program("integration", "available", word)
    assert ended.code == 0
    assert ended.stdout == (
        "┌──────┬─────────┬──────────────────────┬"
        "───────────────────────────────────────────────────────────┐\n"
        "│ NAME │ VERSION │ MATERIAL REQUIREMENT │ "
        "DESCRIPTION                                               │\n"
        "├──────┼─────────┼──────────────────────┼"
        "───────────────────────────────────────────────────────────┤\n"
        "│ smtp │ 1.0     │ None                 │ "
        "Send emails with information about a received attestation │\n"
        "└──────┴─────────┴──────────────────────┴"
        "───────────────────────────────────────────────────────────┘\n"
    )


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
    lines = registration.partition("Registration inputs")[2].splitlines()
    rows = [[cell.strip() for cell in line.split("│")[1:4]] for line in lines if "│" in line]
    assert rows[1:] == [
        ["from", "string (email)", "Yes"],
        ["host", "string", "Yes"],
        ["password", "string", "Yes"],
        ["port", "string", "Yes"],
        ["to", "string (email)", "Yes"],
        ["user", "string", "Yes"],
    ]
    assert re.search(r"^│ cc +│ string \(email\) +│ No ", attachment, re.MULTILINE)
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
    assert "The only one is smtp." in ended.stderr


def opts(inputs: Mapping[str, str]) -> list[str]:
    return [word for name, value in inputs.items() for word in ("--opt", f"{name}={value}")]


ADD = ("integration", "registered", "add", "smtp")


def test_a_registration_is_proved_by_its_mail(
    program: Program, mailboxes: Mailboxes, tls: Certificates
) -> None:
    inputs = INPUTS | {"host": "127.0.0.1", "port": str(mailboxes.port)}
    argv = (*ADD, "--name", "ses", *opts(inputs), "--tls-ca-file", str(tls.ca_file))
    ended = program(*argv, post=send_one, is_actions=False)
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
    assert re.fullmatch(r"[0-9a-f-]{36}", printed.pop("id"))
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


def test_an_option_is_split_at_its_first_equals_sign(program: Program) -> None:
    post = Post()
    given = INPUTS | {"password": "a=b,c=d"}
    assert program(*ADD, *opts(given), post=post).code == 0
    assert post.registrations[0].password == "a=b,c=d"


def test_a_list_may_be_given_in_several_options_and_all_else_once(program: Program) -> None:
    post = Post()
    ended = program(*ADD, *opts(INPUTS), "--opt", "to=team@example.com", post=post)
    assert ended.code == 0
    assert post.mails[0].recipients == ("security@example.com", "team@example.com")
    ended = program(*ADD, *opts(INPUTS), "--opt", "user=last", post=never, is_actions=False)
    assert ended.code == 2
    assert "  opt: user is given twice\n    Keep one of them.\n" in ended.stderr


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
        "  opt: 'foo' is not one of the registration inputs",
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
    assert (
        "opt: 'cc' is not one of the registration inputs\n    Set it by its flag, --cc."
    ) in ended.stderr
    assert "is missing" not in ended.stderr


@pytest.mark.parametrize("more", [(), ("-o", "json")], ids=["table", "json"])
def test_a_dry_registration_sends_nothing(program: Program, more: Sequence[str]) -> None:
    ended = program(*ADD, *opts(INPUTS), "--dry-run", *more, post=never)
    assert ended.code == 0
    (eml,) = ended.folder.rglob("*.eml")
    told = f"Dry run: nothing was sent or stored. The mail: {eml}"
    assert told in (ended.stderr if more else ended.stdout).splitlines()
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
    post = Post(trouble=Problem("smtp.example.com:587", "it rains"))
    ended = program(*ADD, *opts(INPUTS), "-o", "json", post=post)
    assert ended.code == 5
    assert ended.stdout == ""
    assert "it rains" in ended.stderr
