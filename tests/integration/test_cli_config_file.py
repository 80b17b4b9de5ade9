"""A configuration file that nobody named: when it is read, and what it never gets."""

from pathlib import Path

import pytest

from program import PASSWORD, PUSHED, Post, Program, never

FILES = (".github/chainloop-smtp.yml", "chainloop-smtp.yml")
STRANGERS = """
registrations:
  - {name: a, host: evil.test, port: 587, user: x, from: a@evil.test, to: a@evil.test}
attachments:
  - {registration: a}
"""
STEP = {
    "host": "smtp.example.com",
    "port": "587",
    "user": "jane",
    "from": "reports@example.com",
    "to": "security@example.com",
    "attestation": PUSHED,
}


def write(path: str, text: str = STRANGERS) -> None:
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text(text, "utf-8")


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize("name", ["host", "user", "password", "to"])
@pytest.mark.parametrize("command", ["send", "check"])
def test_it_is_not_read_beside_an_input_of_the_registration(
    program: Program, command: str, name: str, path: str
) -> None:
    write(path)
    value = (STEP | {"password": PASSWORD})[name]
    ended = program(command, inputs={"attestation": PUSHED, "port": "587", name: value}, post=never)
    assert ended.code == 2
    assert (
        f"  config: is empty, and {path} is not read beside {name}\n"
        f"    Write config: {path} if only people you trust can change that file.\n"
    ) in ended.stderr
    assert "evil.test" not in ended.log


def test_where_nothing_is_missing_that_a_file_could_say_it_is_not_mentioned(
    program: Program,
) -> None:
    write(FILES[0])
    ended = program("send", inputs=STEP | {"auth": "none", "port": "none"}, post=never)
    assert ended.code == 2
    assert "  port: " in ended.stderr
    assert "config" not in ended.stderr


@pytest.mark.parametrize("name", ["host", "to"])
def test_inputs_that_name_a_server_or_recipients_are_not_sent_to_a_file(
    program: Program, name: str
) -> None:
    ended = program("send", inputs={"attestation": PUSHED, name: STEP[name]}, post=never)
    assert ended.code == 2
    assert "  user: is missing" in ended.failure
    assert "config" not in ended.failure


def test_every_attachment_that_cannot_be_sent_is_named(program: Program) -> None:
    write(
        FILES[0], STRANGERS.replace("user: x", "auth: none") + "  - {registration: a, to: b}\n" * 2
    )
    ended = program("send", inputs={"attestation": PUSHED}, post=never)
    assert ended.code == 2
    assert [line.split(" to: ")[0] for line in ended.failure.splitlines() if " to: " in line] == [
        f"  {FILES[0]}:6:23",
        f"  {FILES[0]}:7:23",
    ]


def test_neither_is_it_beside_a_password_from_elsewhere(program: Program) -> None:
    write(FILES[0])
    environ = {"CHAINLOOP_SMTP_PASSWORD": PASSWORD}
    inputs = {"attestation": PUSHED, "port": "587"}
    ended = program("send", inputs=inputs, environ=environ, post=never)
    assert f"{FILES[0]} is not read beside password" in ended.stderr
    ended = program("send", "--password-stdin", inputs=inputs, stdin=b"x" * 9, post=never)
    assert f"{FILES[0]} is not read beside password" in ended.stderr


def test_a_secret_that_is_not_set_names_no_strangers_server(program: Program) -> None:
    write(FILES[0])
    inputs = STEP | {"to": "", "password": PASSWORD}
    ended = program("send", inputs=inputs, post=never)
    assert ended.code == 2
    assert "  to: is missing" in ended.stderr
    assert "is not read beside host, user, password\n" in ended.stderr


@pytest.mark.parametrize(
    "event",
    [
        *("pull_request_target", "workflow_run", "issue_comment", "issues", "discussion_comment"),
        *("repository_dispatch", "check_suite", "deployment_status", "fork", "one_of_next_year"),
    ],
)
@pytest.mark.parametrize("command", ["send", "check"])
def test_it_is_not_read_where_strangers_code_meets_secrets(
    program: Program, command: str, event: str
) -> None:
    write(FILES[0])
    environ = {"GITHUB_EVENT_NAME": event, "SMTP_PASSWORD": PASSWORD}
    ended = program(command, inputs={"attestation": PUSHED}, environ=environ, post=never)
    assert ended.code == 2
    assert (
        f"  config: is empty, and {FILES[0]} is not read on {event}, where the checkout may be "
        f"untrusted\n    Write config: {FILES[0]} if only people you trust can change that "
        "file.\n"
    ) in ended.stderr


@pytest.mark.parametrize(
    "event",
    [
        *("push", "pull_request", "pull_request_review", "pull_request_review_comment"),
        *("merge_group", "release", "create", "delete", "schedule", "workflow_dispatch", ""),
    ],
)
def test_elsewhere_it_is_read(program: Program, event: str) -> None:
    write(FILES[0], STRANGERS.replace("user: x", "auth: none"))
    post = Post()
    inputs = {"attestation": PUSHED, "cc": "team@example.com"}
    ended = program("send", inputs=inputs, environ={"GITHUB_EVENT_NAME": event}, post=post)
    assert ended.code == 0, ended.stderr
    assert [each.host for each in post.registrations] == ["evil.test"]


@pytest.mark.parametrize("event", ["push", "workflow_run"])
def test_a_file_that_is_named_is_read_and_gets_no_password_for_its_own_host(
    program: Program, event: str
) -> None:
    write("mail.yml")
    inputs = STEP | {"password": PASSWORD, "config": "mail.yml"}
    environ = {"GITHUB_EVENT_NAME": event, "OWN_PASSWORD": "0wn-passw0rd"}
    ended = program("send", inputs=inputs, environ=environ, post=never)
    assert ended.code == 2
    assert (
        "  mail.yml:3:5 registration 'a': password is missing\n"
        "    The step's password is used only for the step's own host. Write password: {env: NAME} "
        "here, or leave host to the step.\n"
    ) in ended.stderr
    write("mail.yml", STRANGERS.replace("user: x", "user: x, password: {env: OWN_PASSWORD}"))
    post = Post()
    assert program("send", inputs=inputs, environ=environ, post=post).code == 0
    assert [(each.host, each.password) for each in post.registrations] == [
        ("evil.test", "0wn-passw0rd")
    ]
