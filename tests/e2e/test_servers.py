"""Mail through Postfix and Exim: what each takes, puts off and refuses, and what arrives."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from e2e.command import PUSHED, TO, chainloop_smtp, flags, outputs_of, password
from e2e.received import as_sent, parsed
from mailserver import (
    ACCOUNT,
    AWKWARD_ACCOUNT,
    DELAYED,
    GREYLISTED,
    MAILBOXES,
    REFUSED_AFTER_DATA,
    SIZE_LIMIT,
    Account,
    MailServer,
)

CC = "release@example.test"
UNKNOWN = "nobody@example.test"
ELSEWHERE = "someone@elsewhere.test"

# Lines that a server must not take for the end of a mail, or for a command.
DOTS = ".\n..\n.QUIT\nQUIT\nRSET\n\n.\n"


def send(
    server: MailServer,
    folder: Path,
    account: Account = ACCOUNT,
    password_: str | None = None,
    **inputs: object,
) -> CompletedProcess[bytes]:
    return chainloop_smtp(
        "send",
        *flags(server, user=account.user, **inputs),
        "--output=json",
        cwd=folder,
        stdin=PUSHED,
        environment=password(account)
        if password_ is None
        else {"CHAINLOOP_SMTP_PASSWORD": password_},
    )


def eml_of(finished: CompletedProcess[bytes]) -> bytes:
    """The mail as the program left it, with the line ends that a Maildir has."""
    return Path(outputs_of(finished)["eml"]).read_bytes().replace(b"\r\n", b"\n")


def attempts_of(finished: CompletedProcess[bytes]) -> list[Mapping[str, Any]]:
    """What the receipt of a run with one delivery says of each try."""
    receipt = json.loads(Path(outputs_of(finished)["receipt"]).read_bytes())
    (delivery,) = receipt["deliveries"]
    attempts: list[Mapping[str, Any]] = delivery["attempts"]
    return attempts


def delivered(server: MailServer) -> dict[str, int]:
    """How many mails lie in each mailbox that has any, once nothing is on its way any more."""
    server.settle()
    counts = {address: len(server.mailbox(address, count=0)) for address in MAILBOXES}
    return {address: count for address, count in counts.items() if count}


def port(server: MailServer, offered: str) -> int:
    """The port where the server offers all extensions but those named."""
    return server.ports_without[offered] if offered else server.submission_port


# ------------------------------------------------------------------------------ the dialogue


@pytest.mark.parametrize(
    ("without", "round_trips"),
    [("", 7), ("CHUNKING", 8), ("PIPELINING", 12), ("CHUNKING PIPELINING", 12)],
    ids=["everything-offered", "no-chunking", "no-pipelining", "neither"],
)
def test_a_mail_arrives_byte_for_byte_in_the_fewest_round_trips(
    any_server: MailServer, tmp_path: Path, without: str, round_trips: int
) -> None:
    finished = send(any_server, tmp_path, port=port(any_server, without), cc=CC)

    assert finished.returncode == 0, finished.stderr
    assert delivered(any_server) == {TO: 1, CC: 1}
    for address in (TO, CC):
        (mail,) = any_server.mailbox(address)
        assert as_sent(mail) == eml_of(finished)
    # Without PIPELINING, the second recipient costs its own.
    (attempt,) = attempts_of(finished)
    assert attempt["roundTrips"] == round_trips + ("PIPELINING" in without)


def test_implicit_tls_saves_two_round_trips(any_server: MailServer, tmp_path: Path) -> None:
    finished = send(any_server, tmp_path, port=any_server.submissions_port, tls="implicit")

    assert finished.returncode == 0, finished.stderr
    (attempt,) = attempts_of(finished)
    assert attempt["roundTrips"] == 5
    assert delivered(any_server) == {TO: 1}


@pytest.mark.parametrize("without", ["", "CHUNKING", "PIPELINING"])
def test_no_line_of_a_mail_ends_it_early(
    any_server: MailServer, tmp_path: Path, without: str
) -> None:
    (tmp_path / "mail.txt.j2").write_text(DOTS, encoding="utf-8")
    finished = send(
        any_server, tmp_path, port=port(any_server, without), template_dir=str(tmp_path)
    )

    assert finished.returncode == 0, finished.stderr
    (mail,) = any_server.mailbox(TO)
    assert as_sent(mail) == eml_of(finished)
    body = parsed(mail).get_body(("plain",))
    assert body is not None
    assert body.get_content().strip() == DOTS.strip()
    assert delivered(any_server) == {TO: 1}


# ---------------------------------------------------------------------------------- the login


@pytest.mark.parametrize("auth", ["auto", "plain", "login", "cram-md5"])
@pytest.mark.parametrize("account", [ACCOUNT, AWKWARD_ACCOUNT], ids=["ascii", "utf-8"])
def test_every_mechanism_logs_in_with_any_password(
    any_server: MailServer, tmp_path: Path, auth: str, account: Account
) -> None:
    finished = send(any_server, tmp_path, account, auth=auth)

    assert finished.returncode == 0, finished.stderr
    (mail,) = any_server.mailbox(TO)
    assert f"Authenticated sender: {account.user}" in parsed(mail)["Received"]
    (attempt,) = attempts_of(finished)
    assert attempt["mechanism"] == ("PLAIN" if auth == "auto" else auth.upper())
    assert account.password.encode() not in finished.stdout + finished.stderr


@pytest.mark.parametrize("auth", ["plain", "login", "cram-md5"])
@pytest.mark.parametrize("without", ["", "CHUNKING", "PIPELINING"])
def test_a_wrong_password_delivers_nothing_on_any_path(
    any_server: MailServer, tmp_path: Path, auth: str, without: str
) -> None:
    finished = send(
        any_server,
        tmp_path,
        password_="not-the-password",
        auth=auth,
        port=port(any_server, without),
    )

    assert finished.returncode == 5
    assert b"535" in finished.stderr
    assert b"not-the-password" not in finished.stdout + finished.stderr
    # A password that was refused is not tried again: that would lock the account.
    assert len(attempts_of(finished)) == 1
    assert delivered(any_server) == {}


def test_a_mail_that_is_taken_though_the_login_is_refused_is_told_as_just_that(
    any_server: MailServer, tmp_path: Path
) -> None:
    finished = send(
        any_server, tmp_path, port=any_server.open_port, password_="not-the-password", cc=CC
    )

    # To call it failed would have somebody send it again.
    assert finished.returncode == 0, finished.stderr
    assert delivered(any_server) == {TO: 1, CC: 1}
    assert outputs_of(finished)["sent"] is True
    (attempt,) = attempts_of(finished)
    assert attempt["mechanism"] is None
    assert "535" in attempt["problem"]
    (note,) = attempt["notes"]
    assert "it still accepted the mail, without a login" in note
    assert note.encode() in finished.stderr
    (mail,) = any_server.mailbox(TO)
    assert ACCOUNT.user not in parsed(mail)["Received"]


def test_who_is_refused_after_a_refused_login_is_told_of_with_the_login(
    any_server: MailServer, tmp_path: Path
) -> None:
    finished = send(
        any_server,
        tmp_path,
        port=any_server.open_port,
        password_="not-the-password",
        to=f"{TO}, {UNKNOWN}",
    )

    assert finished.returncode == 5
    assert b"refused the login" in finished.stderr
    assert outputs_of(finished)["accepted"] == [TO]
    assert len(attempts_of(finished)) == 1
    assert delivered(any_server) == {TO: 1}


def test_a_mechanism_that_takes_several_round_trips_keeps_the_mail_back_until_it_is_over(
    any_server: MailServer, tmp_path: Path
) -> None:
    finished = send(
        any_server,
        tmp_path,
        port=any_server.open_port,
        password_="not-the-password",
        auth="login",
    )

    assert finished.returncode == 5
    assert delivered(any_server) == {}


@pytest.mark.parametrize("without", ["", "CHUNKING", "PIPELINING"])
def test_a_client_certificate_does_for_a_login(
    mail_server: MailServer, tmp_path: Path, without: str
) -> None:
    mail_server.ca.issue_cert("ci@example.test").private_key_and_cert_chain_pem.write_to_path(
        tmp_path / "client.pem"
    )
    finished = chainloop_smtp(
        "send",
        *flags(
            mail_server,
            user="",
            auth="none",
            port=port(mail_server, without),
            tls_client_cert=tmp_path / "client.pem",
        ),
        "--output=json",
        cwd=tmp_path,
        stdin=PUSHED,
    )

    assert finished.returncode == 0, finished.stderr
    (mail,) = mail_server.mailbox(TO)
    assert b"(verified OK)" in mail
    assert delivered(mail_server) == {TO: 1}


# ------------------------------------------------------------------------------ the recipients


@pytest.mark.parametrize("without", ["", "CHUNKING", "PIPELINING"])
@pytest.mark.parametrize(
    ("recipient", "code"),
    [(UNKNOWN, b"550"), (ELSEWHERE, b"554")],
    ids=["unknown", "elsewhere"],
)
def test_one_bad_address_does_not_stop_the_others(
    any_server: MailServer, tmp_path: Path, without: str, recipient: str, code: bytes
) -> None:
    finished = send(
        any_server, tmp_path, port=port(any_server, without), to=f"{TO}, {recipient}", cc=CC
    )

    assert finished.returncode == 5
    assert code in finished.stderr
    assert recipient.encode() in finished.stderr
    outputs = outputs_of(finished)
    assert (outputs["accepted"], outputs["refused"]) == ([TO, CC], [recipient])
    assert delivered(any_server) == {TO: 1, CC: 1}


def test_one_accepted_recipient_may_be_enough(any_server: MailServer, tmp_path: Path) -> None:
    finished = send(any_server, tmp_path, to=f"{TO}, {UNKNOWN}", require="any")

    assert finished.returncode == 0, finished.stderr
    assert delivered(any_server) == {TO: 1}


@pytest.mark.parametrize("without", ["", "CHUNKING", "PIPELINING"])
def test_nobody_accepted_is_nothing_sent(
    any_server: MailServer, tmp_path: Path, without: str
) -> None:
    finished = send(
        any_server, tmp_path, port=port(any_server, without), to=f"{UNKNOWN}, {ELSEWHERE}"
    )

    assert finished.returncode == 5
    assert outputs_of(finished)["sent"] is False
    assert parsed(eml_of(finished))["Subject"]
    assert delivered(any_server) == {}


@pytest.mark.parametrize("without", ["", "CHUNKING", "PIPELINING"])
def test_who_is_put_off_gets_the_mail_later_and_nobody_gets_it_twice(
    any_server: MailServer, tmp_path: Path, without: str
) -> None:
    finished = send(
        any_server, tmp_path, port=port(any_server, without), to=f"{TO}, {DELAYED}", cc=CC
    )

    assert finished.returncode == 0, finished.stderr
    assert delivered(any_server) == {TO: 1, DELAYED: 1, CC: 1}
    first, second = attempts_of(finished)
    assert first["recipients"] == [TO, DELAYED, CC]
    assert second["recipients"] == [DELAYED]
    mails = [any_server.mailbox(address)[0] for address in (TO, DELAYED)]
    assert as_sent(mails[0]) == as_sent(mails[1])


def test_who_is_put_off_for_good_is_told_so_and_the_others_have_one_mail(
    any_server: MailServer, tmp_path: Path
) -> None:
    finished = send(any_server, tmp_path, to=f"{TO}, {GREYLISTED}", deadline=3)

    assert finished.returncode == 5
    assert outputs_of(finished)["accepted"] == [TO]
    assert b"450" in finished.stderr
    assert GREYLISTED.encode() in finished.stderr
    assert delivered(any_server) == {TO: 1}


def test_every_mailbox_is_reached_at_once(any_server: MailServer, tmp_path: Path) -> None:
    others = [address for address in MAILBOXES if address != DELAYED]
    finished = send(any_server, tmp_path, to=", ".join(others[:2]), bcc=", ".join(others[2:]))

    assert finished.returncode == 0, finished.stderr
    assert delivered(any_server) == dict.fromkeys(others, 1)
    for address in others:
        (mail,) = any_server.mailbox(address)
        assert not any(hidden.encode() in as_sent(mail) for hidden in others[2:])


def test_a_report_of_success_names_mail_and_recipient(
    any_server: MailServer, tmp_path: Path
) -> None:
    finished = send(any_server, tmp_path, dsn="success", envelope_from=ACCOUNT.user)

    assert finished.returncode == 0, finished.stderr
    assert delivered(any_server) == {TO: 1, ACCOUNT.user: 1}
    (report,) = any_server.mailbox(ACCOUNT.user)
    told = b" ".join(report.split())
    assert b"Action: delivered" in told
    assert f"Original-Recipient: rfc822;{TO}".encode() in told
    assert str(outputs_of(finished)["message-id"]).strip("<>").encode() in told


# -------------------------------------------------------------------------------- the content


@pytest.mark.parametrize("without", ["", "CHUNKING", "PIPELINING"])
def test_a_mail_refused_after_its_content_is_kept_and_not_sent_again(
    any_server: MailServer, tmp_path: Path, without: str
) -> None:
    finished = send(
        any_server,
        tmp_path,
        port=port(any_server, without),
        headers=f"{REFUSED_AFTER_DATA}: yes",
    )

    assert finished.returncode == 5
    assert b"550" in finished.stderr
    assert b"Content refused" in finished.stderr
    assert REFUSED_AFTER_DATA.encode() in eml_of(finished)
    assert len(attempts_of(finished)) == 1
    assert delivered(any_server) == {}


@pytest.mark.parametrize("without", ["", "CHUNKING"])
def test_a_mail_over_the_size_limit_is_not_even_begun(
    any_server: MailServer, tmp_path: Path, without: str
) -> None:
    (tmp_path / "scan.json").write_bytes(b"x" * SIZE_LIMIT)
    finished = send(any_server, tmp_path, port=port(any_server, without), attach="scan.json")

    assert finished.returncode == 5
    assert f"the server accepts {SIZE_LIMIT:,}".encode() in finished.stderr
    assert b"scan.json" in finished.stderr
    assert len(eml_of(finished)) > SIZE_LIMIT
    assert delivered(any_server) == {}


@pytest.mark.parametrize("without", ["", "CHUNKING", "PIPELINING"])
def test_a_mail_of_a_megabyte_arrives_whole(
    any_server: MailServer, tmp_path: Path, without: str
) -> None:
    scan = bytes(range(256)) * 4_000
    (tmp_path / "scan.bin").write_bytes(scan)
    finished = send(any_server, tmp_path, port=port(any_server, without), attach="scan.bin")

    assert finished.returncode == 0, finished.stderr
    (mail,) = any_server.mailbox(TO)
    assert as_sent(mail) == eml_of(finished)
    (attached,) = parsed(mail).iter_attachments()
    assert attached.get_payload(decode=True) == scan


# ------------------------------------------------------------------- addresses beyond ASCII

JOERG = "jörg@example.test"


@pytest.mark.parametrize("without", ["", "CHUNKING", "PIPELINING"])
def test_an_address_beyond_ascii_gets_its_mail_in_utf_8_and_the_others_in_ascii(
    any_server: MailServer, tmp_path: Path, without: str
) -> None:
    finished = send(any_server, tmp_path, port=port(any_server, without), cc=f"Jörg <{JOERG}>")

    assert finished.returncode == 0, finished.stderr
    assert delivered(any_server) == {TO: 1, JOERG: 1}
    (plain,), (international,) = any_server.mailbox(TO), any_server.mailbox(JOERG)
    eml = Path(outputs_of(finished)["eml"])
    utf8_form = eml.with_suffix(".smtputf8.eml").read_bytes().replace(b"\r\n", b"\n")
    assert as_sent(plain) == eml_of(finished)
    assert as_sent(international) == utf8_form
    assert as_sent(plain).isascii()
    assert f"<{JOERG}>".encode() in utf8_form
    # RFC 6531 section 4.3: the server says who asked for it. Exim spells it in its own way.
    assert re.search(rb"with utf8e?smtpsa", international, re.IGNORECASE)
    assert not re.search(rb"with utf8e?smtpsa", plain, re.IGNORECASE)


def test_a_server_that_takes_no_such_address_delivers_to_the_others(
    any_server: MailServer, tmp_path: Path
) -> None:
    finished = send(any_server, tmp_path, port=port(any_server, "SMTPUTF8"), cc=JOERG)

    assert finished.returncode == 5
    assert f"{JOERG}: this address is not ASCII".encode() in finished.stderr
    assert outputs_of(finished)["refused"] == [JOERG]
    assert delivered(any_server) == {TO: 1}


def test_a_sender_beyond_ascii_reaches_everybody(any_server: MailServer, tmp_path: Path) -> None:
    finished = send(any_server, tmp_path, from_=f"Jörg <{JOERG}>", cc=JOERG)

    assert finished.returncode == 0, finished.stderr
    assert delivered(any_server) == {TO: 1, JOERG: 1}
    (mail,) = any_server.mailbox(TO)
    assert f"<{JOERG}>".encode() in mail.splitlines()[0]
    assert mail.splitlines()[0].lower().startswith(b"return-path: ")
