"""The command as people type it: a process of its own, mailing through Postfix."""

from pathlib import Path

from e2e.command import PUSHED, TO, chainloop_smtp, flags, outputs_of, password
from e2e.received import as_sent, parsed, text_of
from mailserver import ACCOUNT, MailServer

CC = "release@example.test"


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


def test_without_a_login_the_server_has_its_say(mail_server: MailServer, tmp_path: Path) -> None:
    finished = chainloop_smtp(
        "send", *flags(mail_server, auth="none", user=""), cwd=tmp_path, stdin=PUSHED
    )

    assert finished.returncode == 5
    assert b"554 5.7.1" in finished.stderr


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
