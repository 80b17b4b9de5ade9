"""The test bench itself: what the tests of delivery may take for granted of the mail server."""

import base64
import hmac
import os
import smtplib
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

import daemons
import mailserver
import real
from mailserver import ACCOUNT, AWKWARD_ACCOUNT, MailServer

SENDER = "builds@example.test"
RECIPIENTS = ["security@example.test", "release@example.test", "audit@example.test"]
MAIL = b"From: builds@example.test\r\nSubject: the bench\r\n\r\nIt holds.\r\n"


def trusting(server: MailServer) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=server.ca_file)


@contextmanager
def submission(server: MailServer, context: ssl.SSLContext | None = None) -> Iterator[smtplib.SMTP]:
    with smtplib.SMTP(server.host, server.submission_port, timeout=10) as client:
        client.starttls(context=context or trusting(server))
        client.ehlo()
        yield client


@contextmanager
def submissions(server: MailServer) -> Iterator[smtplib.SMTP]:
    with smtplib.SMTP_SSL(
        server.host, server.submissions_port, timeout=10, context=trusting(server)
    ) as client:
        client.ehlo()
        yield client


# smtplib's own take ASCII passwords only.
def plain(client: smtplib.SMTP, account: mailserver.Account) -> tuple[int, bytes]:
    return client.docmd("AUTH", "PLAIN " + encoded(f"\0{account.user}\0{account.password}"))


def login(client: smtplib.SMTP, account: mailserver.Account) -> tuple[int, bytes]:
    client.docmd("AUTH", "LOGIN")
    client.docmd(encoded(account.user))
    return client.docmd(encoded(account.password))


def cram_md5(client: smtplib.SMTP, account: mailserver.Account) -> tuple[int, bytes]:
    _, challenge = client.docmd("AUTH", "CRAM-MD5")
    answer = hmac.new(account.password.encode(), base64.b64decode(challenge), "md5").hexdigest()
    return client.docmd(encoded(f"{account.user} {answer}"))


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_no_password_is_asked_for_before_starttls(any_server: MailServer) -> None:
    with smtplib.SMTP(any_server.host, any_server.submission_port, timeout=10) as client:
        client.ehlo()
        assert client.has_extn("starttls")
        assert not client.has_extn("auth")
        assert client.docmd("MAIL", f"FROM:<{SENDER}>")[0] == 530


@pytest.mark.parametrize("connect", [submission, submissions], ids=["starttls", "implicit-tls"])
@pytest.mark.parametrize("account", [ACCOUNT, AWKWARD_ACCOUNT], ids=["ascii", "utf-8"])
@pytest.mark.parametrize("authenticate", [plain, login, cram_md5])
def test_a_mail_reaches_three_mailboxes(
    any_server: MailServer,
    connect: Callable[[MailServer], AbstractContextManager[smtplib.SMTP]],
    account: mailserver.Account,
    authenticate: Callable[[smtplib.SMTP, mailserver.Account], tuple[int, bytes]],
) -> None:
    with connect(any_server) as client:
        assert authenticate(client, account)[0] == 235
        assert client.sendmail(SENDER, RECIPIENTS, MAIL) == {}

    for recipient in RECIPIENTS:
        (mail,) = any_server.mailbox(recipient)
        assert f"Authenticated sender: {account.user}".encode() in mail
        assert b"\nSubject: the bench\n" in mail
        assert mail.endswith(b"\n\nIt holds.\n")


def test_a_wrong_password_is_refused(any_server: MailServer) -> None:
    with submission(any_server) as client, pytest.raises(smtplib.SMTPAuthenticationError):
        client.login(ACCOUNT.user, "wrong")


def test_a_client_certificate_does_for_a_login(mail_server: MailServer, tmp_path: Path) -> None:
    mail_server.ca.issue_cert(SENDER).private_key_and_cert_chain_pem.write_to_path(
        tmp_path / "client.pem"
    )
    context = trusting(mail_server)
    context.load_cert_chain(tmp_path / "client.pem")
    with submission(mail_server, context) as client:
        assert client.sendmail(SENDER, RECIPIENTS[:1], MAIL) == {}
    assert len(mail_server.mailbox(RECIPIENTS[0])) == 1


@pytest.mark.parametrize(
    ("recipient", "reply"),
    [
        ("nobody@example.test", b"550 5.1.1"),
        (mailserver.GREYLISTED, b"450 4.2.0"),
        ("someone@elsewhere.test", b"554 5.7.1"),
    ],
    ids=["unknown", "greylisted", "elsewhere"],
)
def test_one_recipient_is_refused_and_the_other_served(
    any_server: MailServer, recipient: str, reply: bytes
) -> None:
    with submission(any_server) as client:
        plain(client, ACCOUNT)
        refused = client.sendmail(SENDER, [recipient, RECIPIENTS[0]], MAIL)
    ((code, text),) = refused.values()
    assert b"%d %s" % (code, text[:5]) == reply
    assert len(any_server.mailbox(RECIPIENTS[0])) == 1


def test_a_mail_over_the_announced_size_is_refused(any_server: MailServer) -> None:
    with submission(any_server) as client:
        plain(client, ACCOUNT)
        assert client.esmtp_features["size"] == str(mailserver.SIZE_LIMIT)
        with pytest.raises(smtplib.SMTPSenderRefused) as refusal:
            client.sendmail(SENDER, RECIPIENTS, MAIL + b"x\r\n" * (mailserver.SIZE_LIMIT // 3))
    assert refusal.value.smtp_code == 552


def test_a_mail_can_be_refused_after_its_final_dot(any_server: MailServer) -> None:
    with submission(any_server) as client:
        plain(client, ACCOUNT)
        with pytest.raises(smtplib.SMTPDataError) as refusal:
            client.sendmail(
                SENDER, RECIPIENTS, mailserver.REFUSED_AFTER_DATA.encode() + b": yes\r\n" + MAIL
            )
    assert refusal.value.smtp_code == 550
    any_server.settle()
    assert any_server.mailbox(RECIPIENTS[0], count=0) == []


def test_a_program_that_is_missing_skips_or_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(real.REQUIRE_REAL, raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-server not found"):
        real.require_real("no-such-server")
    monkeypatch.setenv(real.REQUIRE_REAL, "1")
    with pytest.raises(pytest.fail.Exception, match="no-such-server not found"):
        real.require_real("no-such-server")


def test_nobody_but_root_starts_the_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    real.require_real("postfix", "dovecot")
    monkeypatch.delenv(real.REQUIRE_REAL, raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(pytest.skip.Exception, match="only be started by root"):
        real.require_real("postfix", "dovecot")


def test_nothing_is_left_when_a_test_fails() -> None:
    with pytest.raises(ZeroDivisionError), mailserver.running() as server:
        1 / 0  # noqa: B018
    assert not server.folder.exists()
    assert daemons.processes_of(server.folder) == []
