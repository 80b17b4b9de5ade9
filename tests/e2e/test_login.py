"""Logging in at Postfix and Dovecot, by everything that they offer."""

import pytest

from chainloop_smtp.model.mail import Delivery, Mail
from chainloop_smtp.model.settings import Auth, Mailbox, Registration, Tls, Transport
from mailserver import ACCOUNT, AWKWARD_ACCOUNT, HOST_NAME, Account, MailServer
from program import told
from submission import send_one

TOKEN = "eyJ0eXAiOiJKV1QifQ.t0ken-_" * 10


def submit(
    server: MailServer, account: Account, auth: Auth = Auth.AUTO, **transport: object
) -> Delivery:
    registration = Registration(
        host=server.host,
        port=server.submission_port,
        user=account.user,
        password=account.password,
        from_=Mailbox(addr_spec=ACCOUNT.user),
        to=(Mailbox(addr_spec="security@example.test"),),
    )
    mail = Mail(
        sender=ACCOUNT.user,
        recipients=("security@example.test",),
        message_id="<1@example.test>",
        subject="hello",
        content=b"From: ci@example.test\r\nSubject: hello\r\n\r\nBody.\r\n",
        text="",
        html="",
    )
    settings = {"tls_ca_file": str(server.ca_file), "auth": auth, "tls": Tls.STARTTLS} | transport
    return send_one(mail, registration, Transport(**settings), attempts=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("account", [ACCOUNT, AWKWARD_ACCOUNT], ids=["plain", "awkward"])
@pytest.mark.parametrize("auth", [Auth.PLAIN, Auth.LOGIN, Auth.CRAM_MD5, Auth.SCRAM_SHA_256])
def test_every_mechanism_for_passwords_logs_in(
    mail_server: MailServer, auth: Auth, account: Account
) -> None:
    logged = f"sasl_method={auth.value.upper()}, sasl_username={account.user}\n"
    before = mail_server.log().count(logged)
    result = submit(mail_server, account, auth)
    assert result.mechanism == auth.value.upper()
    (mail,) = mail_server.mailbox("security@example.test")
    assert f"(Authenticated sender: {account.user})".encode() in mail
    assert mail_server.log().count(logged) == before + 1


def test_a_wrong_password_is_refused(mail_server: MailServer) -> None:
    account = Account(user=ACCOUNT.user, password="wrong")
    assert "535 5.7.8" in told(submit(mail_server, account, Auth.SCRAM_SHA_256))


@pytest.mark.parametrize("auth", [Auth.AUTO, Auth.XOAUTH2, Auth.OAUTHBEARER])
def test_a_token_logs_in(mail_server: MailServer, auth: Auth) -> None:
    mail_server.tokens.users[TOKEN] = ACCOUNT.user
    account = Account(user=ACCOUNT.user, password=TOKEN)
    result = submit(mail_server, account, auth, has_token=True)
    assert mail_server.tokens.asked == [TOKEN]
    assert result.mechanism == ("XOAUTH2" if auth is Auth.AUTO else auth.value.upper())
    (mail,) = mail_server.mailbox("security@example.test")
    assert f"(Authenticated sender: {ACCOUNT.user})".encode() in mail


@pytest.mark.parametrize("auth", [Auth.XOAUTH2, Auth.OAUTHBEARER])
def test_a_token_that_nobody_knows_is_refused(mail_server: MailServer, auth: Auth) -> None:
    account = Account(user=ACCOUNT.user, password="expired" * 10)
    said = told(submit(mail_server, account, auth, has_token=True))
    assert mail_server.tokens.asked == [account.password]
    assert f"the server refused the login of {ACCOUNT.user} (status " in said
    assert "535 5.7.8" in said
    assert "expiredexpired" not in said


def test_the_name_that_we_give_is_taken(mail_server: MailServer) -> None:
    submit(mail_server, ACCOUNT)
    (mail,) = mail_server.mailbox("security@example.test")
    assert b"Received: from " in mail
    assert f"by {HOST_NAME}".encode() in mail
    assert b"from localhost" not in mail
