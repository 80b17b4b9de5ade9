"""`chainloop-smtp check` against real servers: what it says of them, and that nothing arrives."""

from pathlib import Path

import pytest

from e2e.command import TO, chainloop_smtp, flags, password
from mailserver import ACCOUNT, GREYLISTED, Account, MailServer

CC = "release@example.test"
NOBODY = "nobody@example.test"


def checked(
    server: MailServer, folder: Path, account: Account = ACCOUNT, **more: object
) -> tuple[int, str, str]:
    given = [each for each in flags(server, **more) if not each.startswith("--attestation")]
    finished = chainloop_smtp("check", *given, cwd=folder, environment=password(account))
    assert account.password.encode() not in finished.stdout + finished.stderr
    server.settle()
    assert server.mailbox(TO, count=0) == []
    return finished.returncode, finished.stdout.decode(), finished.stderr.decode()


@pytest.mark.parametrize("is_implicit", [False, True], ids=["STARTTLS", "implicit"])
def test_all_is_well(any_server: MailServer, tmp_path: Path, is_implicit: bool) -> None:
    port = any_server.submissions_port if is_implicit else any_server.submission_port
    tls = "implicit" if is_implicit else "starttls"
    code, out, err = checked(any_server, tmp_path, cc=CC, port=port, tls=tls)
    assert (code, err) == (0, "")
    assert out.count("✓ ok") == 11
    assert "TLSv1.3" in out
    assert f"PLAIN as {ACCOUNT.user}" in out
    assert f"through 127.0.0.1:{port} would go to 2 recipients. Nothing was sent." in out


def test_a_wrong_password_is_found(any_server: MailServer, tmp_path: Path) -> None:
    wrong = Account(user=ACCOUNT.user, password="not-the-password")
    code, out, err = checked(any_server, tmp_path, wrong)
    assert code == 5
    assert "✗ failed   AUTH" in out
    assert "- skipped  MAIL" in out
    assert "535" in err


def test_a_refused_recipient_is_found_and_the_others_are_asked_for(
    any_server: MailServer, tmp_path: Path
) -> None:
    code, out, err = checked(any_server, tmp_path, to=f"{NOBODY}, {TO}")
    assert code == 5
    assert f"✗ failed   RCPT      {NOBODY}: 550" in out
    assert f"✓ ok       RCPT      {TO}" in out
    assert "would go to 1 of 2 recipients. Nothing was sent." in err


def test_a_recipient_put_off_is_told_as_one_to_try_again(
    any_server: MailServer, tmp_path: Path
) -> None:
    code, out, err = checked(any_server, tmp_path, to=GREYLISTED)
    assert code == 5
    assert f"~ not now  RCPT      {GREYLISTED}: 45" in out
    assert "A send would retry until its deadline of 120 s" in err
