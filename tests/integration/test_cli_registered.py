"""Registrations and attachments by command: Chainloop's words, kept in a file of the repository."""

import json
import re
import shlex
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from chainloop_smtp.errors import Problem, quoted_path
from chainloop_smtp.model.mail import Delivery, Mail
from chainloop_smtp.model.settings import Registration, Transport
from program import INPUTS, PASSWORD, Post, Program, failure, never, parsed, refusal
from smtpserver import Certificates, Mailboxes
from submission import send_one

FILE = Path(".github/chainloop-smtp.yml")
ADD = ("integration", "registered", "add", "smtp")
LIST = ("integration", "registered", "list")
ATTACH = ("integration", "attached", "add")
OPTS = [word for name, value in INPUTS.items() for word in ("--opt", f"{name}={value}")]


def added(program: Program, name: str = "ses", *more: str) -> None:
    assert program(*ADD, "--name", name, *OPTS, *more).code == 0


def rows(table: str) -> list[list[str]]:
    """The cells of each line that has any."""
    lines = [line for line in table.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


# --- the plugin's README -----------------------------------------------------------------------

README = """
chainloop integration registered add smtp --opt user=AHDHSYEE7e73 --opt password=kjsdfda8asd**** --opt host=email-smtp.us-east-1.amazonaws.com --opt port=587 --opt to=platform-team@example.com --opt from=notifier@example.com
chainloop integration attached add --workflow $WID --integration $IID --opt cc=security@example.com
chainloop workflow integration attach --workflow $WID --integration $IID
"""  # noqa: E501  # the lines as they stand there


@pytest.fixture
def ses(tls: Certificates) -> "tuple[Mailboxes, Callable[..., Delivery]]":
    """A server that knows README's user, and a way to it in place of Amazon's."""
    server = Mailboxes(
        tls=tls.server, mechanisms=("PLAIN",), accounts={"AHDHSYEE7e73": "kjsdfda8asd****"}
    )

    def deliver(
        mail: Mail,
        registration: Registration,
        transport: Transport,
        *,
        notify: Callable[[str], None],
    ) -> Delivery:
        del notify
        assert registration.host == "email-smtp.us-east-1.amazonaws.com"
        here = replace(registration, host="127.0.0.1", port=server.port)
        return send_one(mail, here, replace(transport, tls_ca_file=str(tls.ca_file)))

    return server, deliver


def test_the_lines_of_the_plugins_readme_work_with_our_name_in_them(
    program: Program, ses: tuple[Mailboxes, Callable[..., Delivery]]
) -> None:
    server, deliver = ses
    lines = [
        line.replace("chainloop ", "chainloop-smtp ", 1) for line in README.split("\n") if line
    ]
    variables = {"WID": "harbour-build"}
    with server.running():
        for line in lines:
            words = line
            for name, value in variables.items():
                words = words.replace(f"${name}", value)
            name, *argv = shlex.split(words)
            assert name == "chainloop-smtp"
            ended = program(*argv, post=deliver, is_actions=False)
            assert (ended.code, ended.stderr) == (0, "")
            registered = json.loads(program(*LIST, "-o", "json").stdout)
            variables["IID"] = registered[0]["id"]
    (mail,) = server.mails
    assert mail.recipients == ("platform-team@example.com",)
    assert server.logins == [("PLAIN", "AHDHSYEE7e73")]
    text = FILE.read_text("utf-8")
    assert "kjsdfda8asd" not in text
    assert re.sub(r'"20[0-9TZ:-]+"', "NOW", text).splitlines()[1:] == [
        "registrations:",
        "  - name: email-smtp.us-east-1.amazonaws.com",
        "    host: email-smtp.us-east-1.amazonaws.com",
        "    port: 587",
        "    user: AHDHSYEE7e73",
        "    password: {env: CHAINLOOP_SMTP_PASSWORD_EMAIL_SMTP_US_EAST_1_AMAZONAWS_COM}",
        "    from: notifier@example.com",
        "    to: platform-team@example.com",
        "    created-at: NOW",
        "",
        "attachments:",
        "  - registration: email-smtp.us-east-1.amazonaws.com",
        "    workflow: harbour-build",
        "    cc: security@example.com",
        "    created-at: NOW",
        "  - registration: email-smtp.us-east-1.amazonaws.com",
        "    workflow: harbour-build",
        "    created-at: NOW",
    ]


# --- registered add ----------------------------------------------------------------------------


def test_a_registration_is_stored_once_its_mail_is_sent(program: Program) -> None:
    post = Post()
    argv = (*ADD, "--name", "ses", "--description", "On duty", *OPTS, "--tls", "starttls")
    ended = program(*argv, "--timeout", "30", post=post, is_actions=False)
    assert ended.code == 0
    assert len(post.mails) == 1
    text = FILE.read_text("utf-8")
    assert "description: On duty" in text
    assert "password: {env: CHAINLOOP_SMTP_PASSWORD_SES}" in text
    assert "tls: starttls" in text
    # A default says nothing.
    assert "timeout" not in text
    assert f"The registration ses is stored in {FILE}." in ended.stdout
    assert "give it to `send` in the variable CHAINLOOP_SMTP_PASSWORD_SES" in ended.stdout
    assert PASSWORD.encode() not in ended.everything()


def test_the_variable_of_the_password_may_be_named(program: Program) -> None:
    added(program, "ses", "--password-env", "SES_PASSWORD")
    assert "password: {env: SES_PASSWORD}" in FILE.read_text("utf-8")


def not_stored(*problems: str) -> str:
    return f"{failure(*problems)}\nNothing is stored."


@pytest.mark.parametrize(
    ("variable", "why"),
    [
        ("SES-PASSWORD", "'SES-PASSWORD' is not a variable name"),
        (
            "CHAINLOOP_TOKEN",
            "CHAINLOOP_TOKEN is for Chainloop or the runner, not for a mail server",
        ),
    ],
)
def test_a_variable_that_the_file_could_not_name_is_refused(
    program: Program, variable: str, why: str
) -> None:
    ended = program(*ADD, "--name", "ses", *OPTS, "--password-env", variable, post=never)
    assert ended.code == 2
    assert ended.failure == not_stored(f"password-env: {why}")
    assert not FILE.exists()


def test_a_file_of_ones_own_may_be_named(program: Program) -> None:
    added(program, "ses", "--config", "mail/mine.yml")
    assert "name: ses" in Path("mail/mine.yml").read_text("utf-8")
    assert not FILE.exists()
    ended = program(*LIST, "--config", "mail/mine.yml", "-o", "json")
    assert [each["name"] for each in json.loads(ended.stdout)] == ["ses"]


def test_a_taken_name_is_refused_before_a_mail_is_sent(program: Program) -> None:
    added(program)
    ended = program(*ADD, "--name", "ses", *OPTS, post=never)
    assert ended.code == 2
    assert ended.failure == not_stored(
        f"name: 'ses' is taken: {FILE}:3:5\n"
        "  Give another --name, or delete that registration first."
    )


@pytest.mark.parametrize("name", ["Ses", "a.b", "a_b", "-a", "a" * 64])
def test_a_name_is_a_dns_label_as_chainloop_wants_it(program: Program, name: str) -> None:
    ended = program(*ADD, f"--name={name}", *OPTS, post=never)
    assert ended.code == 2
    assert ended.failure == not_stored(
        f"name: '{name}' is not a valid registration name\n"
        "  Use at most 63 lower-case letters, digits and dashes, as Chainloop requires."
    )


def test_an_ipv6_address_is_no_name(program: Program) -> None:
    opts = ["host=::1" if word.startswith("host=") else word for word in OPTS]
    ended = program(*ADD, *opts, post=never)
    assert ended.code == 2
    assert ended.failure == not_stored(
        "name: is missing\n  An IPv6 address cannot be a name: set --name."
    )


@pytest.mark.parametrize("require", ["all", "any"])
def test_who_gets_it_in_bcc_is_not_printed(program: Program, require: str) -> None:
    post = Post(refused=(refusal("two@example.com", "two@example.com: two is unknown"),))
    bcc = ("--bcc", "one@example.com, two@example.com", "--require", require)
    ended = program(*ADD, "--name", "ses", *OPTS, *bcc, post=post)
    assert ended.code == (5 if require == "all" else 0)
    assert post.mails[0].recipients[-2:] == ("one@example.com", "two@example.com")
    assert "bcc recipient 2: " in ended.log
    assert "550 5.1.1" in ended.log
    for text in ("one@example.com", "two@example.com", "two is"):
        assert text not in ended.log


def test_a_server_that_does_not_listen_is_tried_once(program: Program) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        ended = program(
            *ADD, *OPTS, "--host", "127.0.0.1", "--port", str(port), "--name", "a", post=send_one
        )
    assert ended.code == 5
    assert ended.failure == (
        "The mail was not delivered.\n"
        f"  127.0.0.1:{port}: the connection was refused\n"
        "    Is the port right? Usual: 587, 465.\n"
        "Nothing is stored."
    )
    assert "again" not in ended.stdout


def test_what_cannot_be_proved_is_not_stored(program: Program) -> None:
    post = Post(trouble=Problem("smtp.example.com:587", "it rains"))
    ended = program(*ADD, "--name", "ses", *OPTS, post=post, is_actions=False)
    assert ended.code == 5
    assert ended.stderr == (
        "The mail was not delivered.\n  smtp.example.com:587: it rains\nNothing is stored.\n"
    )
    assert program(*ADD, "--name", "ses", *OPTS, "--dry-run", post=never).stderr == ""
    assert not FILE.exists()


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (
            ("--opt", "port=x"),
            "opt: port is given twice\n  Keep one of them.",
        ),
        (
            ("--name", "Ses!"),
            "name: 'Ses!' is not a valid registration name\n"
            "  Use at most 63 lower-case letters, digits and dashes, as Chainloop requires.",
        ),
        (
            ("--config", "."),
            "config '.': cannot be read: is a directory\n  Name the file in it.",
        ),
        (
            ("--tls-ca-file", "no.pem"),
            "tls-ca-file: 'no.pem' cannot be read: no such file\n"
            "  Paths are relative to the workspace: does a step before this one check it out? The "
            "PEM text itself can be given too.",
        ),
    ],
)
def test_whatever_goes_wrong_it_is_said_that_nothing_is_stored(
    program: Program, more: tuple[str, str], problem: str
) -> None:
    name = () if "--name" in more else ("--name", "ses")
    ended = program(*ADD, *name, *OPTS, *more, post=never, is_actions=False)
    assert ended.code == 2
    assert ended.failure == not_stored(problem)
    assert not FILE.exists()


def test_an_interrupt_says_so_too(program: Program) -> None:
    def post(*_: object, **__: object) -> Delivery:
        raise KeyboardInterrupt

    ended = program(*ADD, "--name", "ses", *OPTS, post=post, is_actions=False)
    assert (ended.code, ended.stderr) == (130, "Nothing is stored.\n")


OUTSIDE = "which is not part of the repository. Copy it there, and give its path from there."


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("certs/ca.pem", ""),
        ("./certs/ca.pem", ""),
        (
            "certs/../certs/ca.pem",
            "since paths are relative to the repository. Write 'certs/ca.pem'.",
        ),
        (
            "{root}/certs/ca.pem",
            "since paths are relative to the repository. Write 'certs/ca.pem'.",
        ),
        ("../outside.pem", OUTSIDE),
        ("{root}/../outside.pem", OUTSIDE),
        ("link.pem", OUTSIDE),
        (".git/ca.pem", OUTSIDE),
        ("inner.pem", ""),
    ],
)
@pytest.mark.parametrize("has_repository", [True, False])
def test_a_path_that_no_checkout_has_is_warned_of(
    program: Program,
    tls: Certificates,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    why: str,
    has_repository: bool,
) -> None:
    root = Path.cwd() / "repository"
    (root / "certs").mkdir(parents=True)
    monkeypatch.chdir(root)
    if path.startswith(".git/") and not has_repository:
        path = "certs/ca.pem"
    elif has_repository:
        Path(".git").mkdir()
        Path(".git/ca.pem").write_bytes(tls.ca_file.read_bytes())
    for each in ("certs/ca.pem", "../outside.pem"):
        Path(each).write_bytes(tls.ca_file.read_bytes())
    Path("link.pem").symlink_to("../outside.pem")
    Path("inner.pem").symlink_to("certs/ca.pem")
    path = path.replace("{root}", str(root))
    argv = (*ADD, "--name", "ses", *OPTS, "--tls-ca-file", path)
    ended = program(*argv, is_actions=False)
    assert ended.code == 0
    shown = quoted_path(path)
    warning = f"not in a checkout: tls-ca-file: a workflow does not find {shown}, {why}\n"
    assert ended.stderr == (warning if why and has_repository else "")


def test_a_path_counts_from_the_repository_and_not_from_the_current_folder(
    program: Program, tls: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(".git").mkdir()
    Path("inner").mkdir()
    monkeypatch.chdir("inner")
    Path("ca.pem").write_bytes(tls.ca_file.read_bytes())
    Path("people.txt").write_text("a@example.com\n")
    post = Post()
    opts = ("--tls-ca-file", "ca.pem", "--opt", "to=b@example.com, file:people.txt")
    ended = program(*ADD, "--name", "ses", *OPTS, *opts, post=post, is_actions=False)
    assert ended.stderr == "".join(
        f"not in a checkout: {name}: a workflow does not find '{path}', since paths are relative "
        f"to the repository. Write 'inner/{path}'.\n"
        for name, path in (("to", "people.txt"), ("tls-ca-file", "ca.pem"))
    )
    ended = program(
        *ATTACH,
        "--workflow",
        "w",
        "--integration",
        "ses",
        "--opt",
        "template-dir=../../x",
        is_actions=False,
    )
    assert ended.stderr == (
        f"not in a checkout: template-dir: a workflow does not find '../../x', {OUTSIDE}\n"
    )


@pytest.mark.parametrize(
    ("option", "paths"),
    [
        ("attach=/tmp/x/*.py\ndist/*.json\nattestation\n../y.txt", ["/tmp/x/*.py", "../y.txt"]),
        ("cc=file:../list.txt; x@example.com", ["../list.txt"]),
    ],
)
def test_every_path_of_an_attachment_or_registration_is_looked_at(
    program: Program, monkeypatch: pytest.MonkeyPatch, option: str, paths: list[str]
) -> None:
    Path("list.txt").write_text("a@example.com\n")
    Path("repository/.git").mkdir(parents=True)
    monkeypatch.chdir("repository")
    name, _, value = option.partition("=")
    said = "".join(
        f"not in a checkout: {name}: a workflow does not find '{path}', {OUTSIDE}\n"
        for path in paths
    )
    argv = (*ADD, "--name", "ses", *OPTS, f"--{name}", value)
    ended = program(*argv, post=Post(), is_actions=False)
    assert (ended.code, ended.stderr) == (0, said)
    attach = (*ATTACH, "--workflow", "w", "--integration", "ses", "--opt", option)
    ended = program(*attach, is_actions=False)
    assert (ended.code, ended.stderr) == (0, said)


def test_pem_text_is_no_path_and_a_key_is_stored_by_its_variable(
    program: Program, tls: Certificates
) -> None:
    Path(".git").mkdir()
    both, ca = tls.client_both.read_text(), tls.ca_file.read_text()
    flags = ("--tls-client-cert", both, "--tls-ca-file", ca)
    ended = program(*ADD, "--name", "ses", *OPTS, *flags, is_actions=False)
    assert (ended.code, ended.stderr) == (0, "")
    text = FILE.read_text("utf-8")
    assert "tls-client-cert: {env: CHAINLOOP_SMTP_TLS_CLIENT_CERT_SES}" in text
    assert "PRIVATE KEY" not in text
    shown = program(*LIST, "-o", "json", is_actions=False).stdout
    config = json.loads(shown)[0]["config"]
    assert config["tls-client-cert"] == "${CHAINLOOP_SMTP_TLS_CLIENT_CERT_SES}"
    assert config["tls-ca-file"] == ca.strip()


def test_a_file_that_cannot_be_written_is_told_after_the_mail(program: Program) -> None:
    def post(
        mail: Mail,
        registration: Registration,
        transport: Transport,
        *,
        notify: Callable[[str], None],
    ) -> Delivery:
        FILE.mkdir(parents=True)
        return Post()(mail, registration, transport, notify=notify)

    ended = program(*ADD, "--name", "ses", *OPTS, post=post)
    assert ended.code == 2
    assert ended.failure == not_stored(
        f"config {quoted_path(str(FILE.resolve()))}: cannot be read: is a directory\n"
        "  Name the file in it.",
        "registered add: the mail was sent, but the registration was not stored",
    )


def test_a_file_that_is_not_right_is_told_before_the_mail(program: Program) -> None:
    FILE.parent.mkdir()
    FILE.write_text("registrations:\n- name: a\n  hots: x\n", "utf-8")
    ended = program(*ADD, "--name", "ses", *OPTS, post=never)
    assert ended.code == 2
    assert ended.failure == not_stored(
        f"{FILE}:3:3: 'hots' is not a key of a registration\n  Did you mean host?"
    )


def test_a_file_that_cannot_take_one_more_is_told_before_the_mail(program: Program) -> None:
    FILE.parent.mkdir()
    text = "x-mine: &mine\n- {name: a}\nregistrations: *mine\n"
    FILE.write_text(text, "utf-8")
    ended = program(*ADD, "--name", "ses", *OPTS, post=never)
    assert ended.code == 2
    assert ended.failure == not_stored(
        f"{FILE}: cannot be edited without touching the rest: the result would be wrong at "
        f"{FILE}:3:9: is not YAML: while parsing a block mapping did not find expected key\n"
        "  Edit the file by hand, or write its lists one entry below the other, each with a dash."
    )
    assert FILE.read_text("utf-8") == text


def test_a_proxys_password_is_stored_by_its_variable_too(program: Program) -> None:
    proxy = "http://jane:hunter2%21@proxy.example.com:8080"
    ended = program(*ADD, "--name", "ses", *OPTS, "--proxy", proxy)
    assert ended.code == 0
    assert "proxy: {env: CHAINLOOP_SMTP_PROXY_SES}" in FILE.read_text("utf-8")
    assert (
        "Its proxy is not stored: give it to `send` in the variable CHAINLOOP_SMTP_PROXY_SES. In a "
        "workflow: env: CHAINLOOP_SMTP_PROXY_SES: ${{ secrets.CHAINLOOP_SMTP_PROXY_SES }}\n"
    ) in ended.stdout
    assert "proxy: ${CHAINLOOP_SMTP_PROXY_SES}" in program(*LIST).stdout
    assert b"hunter2" not in ended.everything()
    open_one = "http://proxy.example.com:8080"
    assert program(*ADD, "--name", "relay", *OPTS, "--proxy", open_one).code == 0
    assert f'proxy: "{open_one}"' in FILE.read_text("utf-8")


# --- registered list, describe, delete ---------------------------------------------------------


@pytest.mark.parametrize("word", ["list", "ls"])
def test_registrations_are_listed_as_chainloop_lists_them(program: Program, word: str) -> None:
    added(program, "ses", "--description", "On duty")
    added(program, "relay")
    ended = program("integration", "registered", word)
    table = rows(ended.stdout)
    assert table[0] == ["NAME", "DESCRIPTION", "KIND", "CONFIG", "CREATED AT"]
    assert table[1][:4] == ["ses", "On duty", "smtp", "host: smtp.example.com"]
    assert table[2] == ["", "", "", "port: 587", ""]
    assert table[6][:4] == ["relay", "", "smtp", "host: smtp.example.com"]
    assert "assword" not in ended.stdout.lower()


def test_registrations_as_json_have_chainloops_keys_and_no_password(program: Program) -> None:
    added(program)
    (item,) = json.loads(program(*LIST, "-o", "json").stdout)
    assert set(item) == {"id", "name", "kind", "description", "createdAt", "config"}
    assert item["config"] == {name: INPUTS[name] for name in INPUTS if name != "password"}
    again = json.loads(program(*LIST, "-o", "json").stdout)
    assert again == [item]


def test_an_empty_list_says_where_it_looked(program: Program) -> None:
    assert program(*LIST).stdout == f"There are no registrations in {FILE}.\n"
    assert json.loads(program(*LIST, "-o", "json").stdout) == []


def test_a_registration_is_described_with_what_it_needs(program: Program) -> None:
    added(program)
    assert program(*ATTACH, "--workflow", "build", "--integration", "ses").code == 0
    describe = ("integration", "registered", "describe")
    ended = program(*describe, "ses", environ={"CHAINLOOP_SMTP_PASSWORD_SES": "x"})
    assert f"Attached 1 time, in {FILE}." in ended.stdout
    assert "Needs the variable CHAINLOOP_SMTP_PASSWORD_SES, which is set here." in ended.stdout
    assert "which is not set here" in program(*describe, "--name", "ses").stdout
    printed = json.loads(program(*describe, "ses", "-o", "json").stdout)
    assert printed["variables"] == ["CHAINLOOP_SMTP_PASSWORD_SES"]
    assert len(printed["attachments"]) == 1


def test_an_unknown_registration_is_told_with_those_there_are(program: Program) -> None:
    describe = ("integration", "registered", "describe")
    ended = program(*describe)
    assert ended.code == 2
    assert ended.failure == failure(
        "name: is missing\n  There are none. To add one: integration registered add smtp."
    )
    added(program)
    ended = program(*describe, "sse")
    assert ended.failure == failure(
        f"integration: there is no registration 'sse' in {FILE}\n  Available: ses."
    )
    added(program, "acme")
    ended = program(*describe)
    assert ended.failure == failure("name: is missing\n  Available: ses, acme.")


def test_deleting_a_registration_deletes_its_attachments_and_nothing_else(
    program: Program,
) -> None:
    added(program, "ses")
    added(program, "relay")
    for name, workflow in (("ses", "build"), ("relay", "build"), ("ses", "release")):
        assert program(*ATTACH, "--workflow", workflow, "--integration", name).code == 0
    FILE.write_text(FILE.read_text("utf-8") + "# Mine.\n", "utf-8")
    ended = program("integration", "registered", "delete", "--name", "ses")
    assert (ended.code, ended.stdout) == (0, "")
    first, second = ended.stderr.splitlines()
    assert first == "Integration deregistered!"
    assert re.fullmatch(r"Also deleted its 2 attachments: [0-9a-f-]{36}, [0-9a-f-]{36}\.", second)
    assert [each["name"] for each in json.loads(program(*LIST, "-o", "json").stdout)] == ["relay"]
    text = FILE.read_text("utf-8")
    assert text.count("registration: relay") == 1
    assert "ses" not in text
    assert text.endswith("# Mine.\n")


def test_a_registration_without_attachments_goes_alone(program: Program) -> None:
    added(program)
    ended = program("integration", "registered", "delete", "ses")
    assert ended.stderr == "Integration deregistered!\n"
    assert program("integration", "registered", "delete", "ses").code == 2


# --- attached ----------------------------------------------------------------------------------


def attached(program: Program, *argv: str) -> list[dict[str, object]]:
    ended = program("integration", "attached", *argv, "-o", "json")
    assert ended.code == 0
    found: list[dict[str, object]] = json.loads(ended.stdout)
    return found


@pytest.mark.parametrize(
    "argv",
    [
        ("integration", "attached", "add"),
        ("integration", "attached", "attach"),
        ("workflow", "integration", "attach"),
    ],
    ids=" ".join,
)
def test_an_attachment_is_printed_as_chainloop_prints_it(
    program: Program, argv: Sequence[str]
) -> None:
    added(program)
    more = ("--workflow", "build", "--project", "harbour", "--integration", "ses")
    ended = program(*argv, *more, "--opt", "cc=team@example.com", "-o", "json")
    assert ended.code == 0
    (item,) = json.loads(ended.stdout)
    assert set(item) == {"id", "createdAt", "config", "integration", "workflow"}
    assert item["config"] == {"cc": "team@example.com"}
    assert item["integration"]["name"] == "ses"
    assert item["workflow"] == {
        "name": "build",
        "id": "",
        "team": "",
        "project": "harbour",
        "createdAt": None,
        "runsCount": 0,
        "contractName": "",
    }
    assert attached(program, "list", "--project", "harbour") == [item]


def test_a_workflow_that_is_attached_by_its_id_is_printed_with_it(program: Program) -> None:
    added(program)
    id_ = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"
    assert program(*ATTACH, "--workflow", id_, "--integration", "ses").code == 0
    (item,) = attached(program, "list")
    workflow = cast("dict[str, object]", item["workflow"])
    assert (workflow["id"], workflow["name"], workflow["project"]) == (id_, id_, "*")


def test_attachments_are_listed_with_both_configurations_in_one(program: Program) -> None:
    added(program)
    globs = ("--workflow", "build-*, ship", "--project", "harbour, quay-*")
    argv = (*ATTACH, *globs, "--integration", "ses")
    opts = (
        *("to=team@example.com", "branch=main", "tag=v*", "event=push,schedule"),
        *("outcome=blocked,failed", "policy=sbom-*", "findings=vulnerability"),
        "filter=environment=prod,team=security",
    )
    ended = program(*argv, *(word for opt in opts for word in ("--opt", opt)))
    table = rows(ended.stdout)
    assert table[0] == ["ID", "KIND", "CONFIG", "WORKFLOW", "ATTACHED AT"]
    assert table[1][1:4] == ["smtp", "integration: ses", "harbour, quay-*/build-*, ship"]
    config = [row[2] for row in table]
    assert "to: team@example.com" in config
    assert config[-7:] == [
        "branch: main",
        "tag: v*",
        "event: push, schedule",
        "outcome: blocked, failed",
        "policy: sbom-*",
        "findings: vulnerability",
        "filter: environment=prod, team=security",
    ]
    assert program("integration", "attached", "ls").stdout == ended.stdout


def test_only_those_are_listed_that_a_workflow_would_meet(program: Program) -> None:
    added(program)
    for more in (("build-*", "--project", "harbour"), ("release", "--project", "*"), ("sign",)):
        assert program(*ATTACH, "--integration", "ses", "--workflow", *more).code == 0
    assert len(attached(program, "list")) == 3
    assert len(attached(program, "list", "--workflow", "build-1")) == 1
    # Where no project is given, any will do.
    assert len(attached(program, "list", "--project", "quay")) == 2
    ended = program("integration", "attached", "list", "--workflow", "x")
    assert ended.stdout == f"There are no such attachments in {FILE}.\n"
    ended = program("integration", "attached", "list", "--config", "none.yml")
    assert ended.stdout == "There are no attachments in none.yml.\n"


@pytest.mark.parametrize("word", ["delete", "detach"])
def test_an_attachment_is_deleted_by_its_id(program: Program, word: str) -> None:
    added(program)
    # Only the new one is printed.
    first, second, third = (
        item
        for workflow in ("build", "release", "sign")
        for item in attached(program, "add", "--workflow", workflow, "--integration", "ses")
    )
    assert attached(program, "list") == [first, second, third]
    ended = program("integration", "attached", word, "--id", str(first["id"]))
    assert (ended.code, ended.stdout, ended.stderr) == (0, "", "integration detached!\n")
    assert attached(program, "list") == [second, third]
    command = ("integration", "attached", word, "--id")
    why = f"  id: there is no attachment '{first['id']}' in {FILE}\n"
    more = "Editing an attachment changes its id.\n"
    ended = program(*command, str(first["id"]), is_actions=False)
    assert ended.code == 2
    available = f"{second['id']}, {third['id']}"
    assert ended.stderr.partition("\n")[2] == f"{why}    Available: {available}. {more}"
    for each in (third, second):
        assert program(*command, str(each["id"])).code == 0
    ended = program(*command, str(first["id"]), is_actions=False)
    assert ended.stderr.partition("\n")[2] == f"{why}    There are none. {more}"


def test_every_problem_of_an_attachment_is_told_at_once(program: Program) -> None:
    added(program)
    argv = (*ATTACH, "--workflow", "build", "--integration", "ses")
    ended = program(*argv, "--opt", "x", "--opt", "host=y", "--opt", "cc=nobody")
    assert ended.code == 2
    assert ended.failure == failure(
        "opt: an option has no '='\n  Write --opt key=value.",
        "opt: 'host' is not one of the attachment inputs\n"
        "  Available: branch, tag, event, outcome, policy, findings, filter, send-on, to, cc, bcc, "
        "allowed-domains, redirect-to, reply-to, env-values, subject, template-dir, thread, "
        "headers, attach, attach-max-size, require.",
        "cc: 'nobody' is not an address: An email address must have an @-sign.\n"
        "  Write name@example.com or Display Name <name@example.com>; separate addresses by "
        "commas.",
    )
    ended = program(*argv, "--opt", "outcome=green")
    assert ended.failure == failure(
        f"{FILE}:15:5: 'green' is not a valid value of outcome\n"
        "  Use one of: passed, violations, blocked, bypassed, failed, cancelled, not-attested, "
        "attested."
    )
    ended = program(*argv, "--opt", "sendon=blocked")
    assert ended.failure == failure(
        "opt: 'sendon' is not one of the attachment inputs\n  Did you mean send-on?"
    )
    assert attached(program, "list") == []


@pytest.mark.parametrize("missing", ["--workflow", "--integration"])
def test_what_chainloop_requires_is_required(program: Program, missing: str) -> None:
    given = {"--workflow": "build", "--integration": "ses"}
    argv = [word for pair in given.items() if pair[0] != missing for word in pair]
    ended = program(*ATTACH, *argv)
    assert ended.code == 2
    command = "chainloop-smtp integration attached add"
    assert ended.failure == failure(
        f"{command}: the following arguments are required: {missing}\n  See {command} --help."
    )


@pytest.mark.parametrize("empty", ["", " ", ","])
def test_an_empty_variable_of_the_shell_attaches_nothing_to_every_workflow(
    program: Program, empty: str
) -> None:
    added(program)
    ended = program(*ATTACH, "--workflow", empty, "--project", empty, "--integration", "ses")
    assert ended.code == 2
    assert ended.failure == failure(
        "workflow: is empty\n  Write '*' for any workflow.",
        "project: is empty\n  Write '*' for any project.",
    )
    assert attached(program, "list") == []
    assert program(*ATTACH, "--workflow", "*", "--integration", "ses").code == 0


def test_what_was_registered_is_a_mail_that_can_be_read(program: Program) -> None:
    post = Post()
    assert program(*ADD, "--name", "ses", *OPTS, post=post).code == 0
    assert parsed(post.mails[0].content)["Subject"] == "[smtp] Registered: ses"
