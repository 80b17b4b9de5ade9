"""The command as people type it: a process of its own, mailing through Postfix."""

from pathlib import Path

import pytest

import mailserver
from builders import cli_push, encoded, statement
from e2e.command import PUSHED, TO, chainloop_smtp, flags, outputs_of, password
from e2e.received import as_sent, parsed, text_of
from mailserver import ACCOUNT, AWKWARD_ACCOUNT, GREYLISTED, Account, MailServer

CC = "release@example.test"


@pytest.mark.parametrize("auth", ["auto", "plain", "login", "cram-md5"])
@pytest.mark.parametrize("account", [ACCOUNT, AWKWARD_ACCOUNT], ids=["ascii", "utf-8"])
def test_every_mechanism_logs_in_with_any_password(
    mail_server: MailServer, tmp_path: Path, auth: str, account: Account
) -> None:
    earlier = mail_server.log()
    finished = chainloop_smtp(
        "send",
        *flags(mail_server, auth=auth, user=account.user),
        cwd=tmp_path,
        stdin=PUSHED,
        environment=password(account),
    )

    assert finished.returncode == 0, finished.stderr
    (mail,) = mail_server.mailbox(TO)
    assert f"Authenticated sender: {account.user}" in parsed(mail)["Received"]
    mechanism = "PLAIN" if auth == "auto" else auth.upper()
    lines = set(mail_server.log().splitlines()) - set(earlier.splitlines())
    logged_in = f"sasl_method={mechanism}, sasl_username={account.user}"
    assert any(line.endswith(logged_in) for line in lines)
    assert account.password.encode() not in finished.stdout + finished.stderr


def test_what_push_prints_goes_through_a_pipe_into_the_mailboxes(
    mail_server: MailServer, tmp_path: Path
) -> None:
    finished = chainloop_smtp(
        "send",
        *flags(mail_server, cc=CC, tls="implicit", port=mail_server.submissions_port),
        "--output=json",
        cwd=tmp_path,
        stdin=PUSHED,
        environment=password(ACCOUNT),
    )

    assert finished.returncode == 0, finished.stderr
    outputs = outputs_of(finished)
    (for_to,), (for_cc,) = mail_server.mailbox(TO), mail_server.mailbox(CC)
    assert as_sent(for_to) == as_sent(for_cc)
    assert parsed(for_to)["Message-ID"] == outputs["message-id"]
    assert Path(outputs["eml"]).read_bytes().replace(b"\r\n", b"\n") == as_sent(for_to)
    assert outputs["digest"].removeprefix("sha256:") in text_of(parsed(for_to))


def test_a_password_comes_by_standard_input(mail_server: MailServer, tmp_path: Path) -> None:
    (tmp_path / "attestation.json").write_bytes(PUSHED)
    finished = chainloop_smtp(
        "send",
        *flags(mail_server, attestation="attestation.json"),
        "--password-stdin",
        cwd=tmp_path,
        stdin=ACCOUNT.password.encode(),
    )

    assert finished.returncode == 0, finished.stderr
    assert len(mail_server.mailbox(TO)) == 1


def test_a_wrong_password_is_reported_and_nothing_is_sent(
    mail_server: MailServer, tmp_path: Path
) -> None:
    finished = chainloop_smtp(
        "send",
        *flags(mail_server),
        cwd=tmp_path,
        stdin=PUSHED,
        environment={"CHAINLOOP_SMTP_PASSWORD": "not-the-password"},
    )

    assert finished.returncode == 5
    assert b"535 5.7.8" in finished.stderr
    assert b"not-the-password" not in finished.stdout + finished.stderr
    mail_server.settle()
    assert mail_server.mailbox(TO, count=0) == []


def test_without_a_login_the_server_has_its_say(mail_server: MailServer, tmp_path: Path) -> None:
    finished = chainloop_smtp(
        "send", *flags(mail_server, auth="none", user=""), cwd=tmp_path, stdin=PUSHED
    )

    assert finished.returncode == 5
    assert b"554 5.7.1" in finished.stderr


def test_a_recipient_put_off_does_not_stop_the_other(
    mail_server: MailServer, tmp_path: Path
) -> None:
    finished = chainloop_smtp(
        "send",
        *flags(mail_server, cc=GREYLISTED, deadline=3),
        "--output=json",
        cwd=tmp_path,
        stdin=PUSHED,
        environment=password(ACCOUNT),
    )

    assert finished.returncode == 5
    assert outputs_of(finished)["accepted"] == [TO]
    assert b"450 4.2.0" in finished.stderr
    assert GREYLISTED.encode() in finished.stderr
    mail_server.settle()
    assert len(mail_server.mailbox(TO)) == 1


def test_a_mail_too_large_for_the_server_is_refused_by_name_and_kept(
    mail_server: MailServer, tmp_path: Path
) -> None:
    notes = {f"note-{number}": "x" * 9_000 for number in range(250)}
    finished = chainloop_smtp(
        "send",
        *flags(mail_server),
        "--output=json",
        cwd=tmp_path,
        stdin=encoded(cli_push(statement(annotations=notes))),
        environment=password(ACCOUNT),
    )

    eml = Path(outputs_of(finished)["eml"])
    assert eml.stat().st_size > mailserver.SIZE_LIMIT
    assert finished.returncode == 5
    assert f"the server takes {mailserver.SIZE_LIMIT:,}".encode() in finished.stderr
    mail_server.settle()
    assert mail_server.mailbox(TO, count=0) == []


def test_the_registration_mail_of_chainloops_plugin_arrives(
    mail_server: MailServer, tmp_path: Path
) -> None:
    options = {
        "host": "localhost",
        "port": mail_server.submission_port,
        "user": ACCOUNT.user,
        "password": ACCOUNT.password,
        "from": "ci@example.test",
        "to": TO,
    }
    finished = chainloop_smtp(
        "integration",
        "registered",
        "add",
        "smtp",
        *(f"--opt={key}={value}" for key, value in options.items()),
        f"--tls-ca-file={mail_server.ca_file}",
        cwd=tmp_path,
    )

    assert finished.returncode == 0, finished.stderr
    (mail,) = mail_server.mailbox(TO)
    text = text_of(parsed(mail))
    for key in ("host", "port", "user", "from", "to"):
        assert str(options[key]) in text
    for shown in (mail, finished.stdout, finished.stderr):
        assert ACCOUNT.password.encode() not in shown
