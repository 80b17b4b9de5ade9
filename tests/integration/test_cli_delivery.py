"""The whole program against a real server: from inputs to mailboxes."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chainloop_smtp.model.mail import Delivery, RecipientResult, RecipientStatus, Reply
from program import INPUTS, NOTHING, PASSWORD, PUSH, PUSHED, Post, Program, flags, parsed, text_of
from smtpserver import Certificates, Mailboxes
from submission import send_one

# --- a real server -----------------------------------------------------------------------------


def inputs_for(server: Mailboxes, tls: Certificates, **changes: str) -> dict[str, str]:
    changes = {name.replace("_", "-"): value for name, value in changes.items()}
    return (
        INPUTS
        | {"host": "127.0.0.1", "port": str(server.port), "tls-ca-file": str(tls.ca_file)}
        | changes
    )


def test_a_run_reaches_every_mailbox_of_a_real_server(
    program: Program, mailboxes: Mailboxes, tls: Certificates
) -> None:
    ended = program(
        "send",
        inputs=inputs_for(
            mailboxes,
            tls,
            to="Security <security@example.com>, audit@example.com",
            cc="team@example.com",
            bcc="archive@example.com",
            attestation=PUSHED,
            job_status="success",
        ),
        post=send_one,
    )
    everyone = ["security@example.com", "audit@example.com", "team@example.com"]
    everyone.append("archive@example.com")
    assert ended.code == 0
    (mail,) = mailboxes.mails
    assert list(mail.recipients) == everyone
    assert mail.sender == "reports@example.com"
    assert mailboxes.logins == [("PLAIN", "jane")]
    received = parsed(mail.content)
    assert received["To"] == "Security <security@example.com>, audit@example.com"
    assert received["Cc"] == "team@example.com"
    assert b"archive@example.com" not in mail.content
    assert "harbour" in received["Subject"]
    assert PUSH["digest"] in text_of(mail.content)
    outputs = ended.outputs
    assert outputs == NOTHING | {
        "sent": "true",
        "outcome": "attested",
        "policy-status": "NOT_APPLICABLE",
        "digest": PUSH["digest"],
        "signature": "unchecked",
        "message-id": received["Message-ID"],
        "accepted": json.dumps(everyone),
        "attempts": "1",
        "eml": outputs["eml"],
        "receipt": outputs["receipt"],
    }
    # The server's copy and ours are the same octets.
    assert Path(outputs["eml"]).read_bytes() == mail.content
    receipt = json.loads(Path(outputs["receipt"]).read_bytes())
    (told,) = receipt["deliveries"]
    assert [(each["address"], each["state"]) for each in told["recipients"]] == [
        (each, "accepted") for each in everyone
    ]
    (attempt,) = told["attempts"]
    assert attempt["mechanism"] == "PLAIN"
    assert attempt["tls"]["version"].startswith("TLSv1.")
    assert received["Subject"] in ended.stdout
    assert f"Sent to 4 recipients through 127.0.0.1:{mailboxes.port} (TLSv1." in ended.stdout
    assert PUSH["digest"] in ended.summary
    assert "Sent to 4 recipients" in ended.summary
    assert ended.annotations == []
    assert PASSWORD.encode() not in ended.everything()


@pytest.mark.parametrize(
    ("require", "code", "sent"), [("all", 5, "false"), ("any", 0, "true")], ids=["all", "any"]
)
def test_one_refused_recipient_is_weighed_by_what_is_required(
    program: Program, mailboxes: Mailboxes, tls: Certificates, require: str, code: int, sent: str
) -> None:
    inputs = inputs_for(mailboxes, tls, cc="gone@example.com", require=require, attestation=PUSHED)
    ended = program("send", inputs=inputs, post=send_one)
    assert ended.code == code
    (mail,) = mailboxes.mails
    assert mail.recipients == ("security@example.com",)
    assert ended.outputs["sent"] == sent
    assert ended.outputs["accepted"] == '["security@example.com"]'
    assert ended.outputs["refused"] == '["gone@example.com"]'
    assert "550 5.1.1 no such mailbox" in ended.log
    if require == "all":
        assert "require: any" in ended.stderr
        assert ended.annotations == [("error", "The mail did not reach all recipients")]
    else:
        assert ended.annotations == [("warning", "recipient refused")]


def test_no_accepted_recipient_is_a_failure_whatever_is_required(
    program: Program, mailboxes: Mailboxes, tls: Certificates
) -> None:
    inputs = inputs_for(mailboxes, tls, to="gone@example.com", require="any")
    ended = program("send", inputs=inputs, post=send_one)
    assert ended.code == 5
    assert mailboxes.mails == []
    assert (ended.outputs["sent"], ended.outputs["accepted"]) == ("false", "[]")
    assert "The mail was not delivered." in ended.summary


def test_a_wrong_password_fails_without_being_shown(
    program: Program, mailboxes: Mailboxes, tls: Certificates
) -> None:
    inputs = inputs_for(mailboxes, tls, password="wrong staple")
    ended = program("send", inputs=inputs, post=send_one)
    assert ended.code == 5
    assert mailboxes.mails == []
    assert "refused the login of jane" in ended.stderr
    assert b"wrong staple" not in ended.everything()
    assert Path(ended.outputs["eml"]).exists()


def test_an_authority_file_that_is_not_there_is_an_options_error(
    program: Program, mailboxes: Mailboxes, tls: Certificates, tmp_path: Path
) -> None:
    inputs = inputs_for(mailboxes, tls, tls_ca_file=str(tmp_path / "missing.pem"))
    ended = program("send", inputs=inputs, post=send_one)
    assert ended.code == 2
    assert "tls-ca-file: " in ended.stderr
    assert mailboxes.mails == []


def test_what_a_plain_run_loads_is_what_it_needs(
    mailboxes: Mailboxes, tls: Certificates, tmp_path: Path
) -> None:
    script = (
        "import sys; from chainloop_smtp import cli;"
        "code = cli.main(sys.argv[1:], {'CHAINLOOP_SMTP_PASSWORD': sys.stdin.readline()});"
        "print('LOADED', code, *sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    inputs = inputs_for(mailboxes, tls)
    done = subprocess.run(
        (sys.executable, "-I", "-c", script, "send", *flags(inputs)),
        input=PASSWORD.encode(),
        env={"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path)},
        capture_output=True,
        check=True,
    )
    code, *loaded = done.stdout.decode().partition("LOADED")[2].split()
    assert code == "0"
    assert len(mailboxes.mails) == 1
    assert {"chainloop_smtp", "jinja2"} <= set(loaded)
    rare = {"yaml", "requests", "urllib3", "aiosmtpd", "trustme", "smtplib", "asyncio", "dns"}
    rare |= {
        "jsonschema",
        "email_validator",
        "python_socks",
        "scramp",
        "asn1crypto",
        "cryptography",
    }
    assert set(loaded) & rare == set()


# --- what became of each recipient -------------------------------------------------------------


@pytest.mark.parametrize(("code", "again"), [(450, "It was tried once."), (452, "tried once")])
def test_a_recipient_put_off_is_told_with_what_to_do(
    program: Program, code: int, again: str
) -> None:
    reply = Reply(code=code, enhanced="4.2.0", text="not now")
    result = RecipientResult(
        recipient="security@example.com", status=RecipientStatus.DEFERRED, reply=reply
    )
    ended = program("send", inputs=INPUTS | {"attestation": PUSHED}, post=Post(refused=(result,)))

    assert ended.code == 5
    assert "security@example.com: the server deferred this recipient: " + str(reply) in ended.stderr
    assert again in ended.stderr
    assert "raise deadline" in ended.stderr
    assert json.loads(ended.outputs["refused"]) == ["security@example.com"]


def test_recipients_whose_end_is_not_known_are_named(program: Program) -> None:
    result = RecipientResult(recipient="audit@example.com", status=RecipientStatus.UNKNOWN)
    inputs = INPUTS | {"attestation": PUSHED, "cc": "audit@example.com"}
    ended = program("send", inputs=inputs, post=Post(refused=(result,)))

    assert ended.code == 5
    assert "for audit@example.com is not known" in ended.stderr
    assert "before you send it again" in ended.stderr
    assert json.loads(ended.outputs["accepted"]) == ["security@example.com"]


class Noted(Post):
    """The server lacks something, which the mail does not fail for."""

    def __call__(self, *given: Any, **more: Any) -> Delivery:
        made = super().__call__(*given, **more)
        (only,) = made.transactions
        return replace(made, transactions=(replace(only, notes=("no DSN",)),))


def test_the_log_and_the_job_summary_of_a_mail_that_went_say_the_evidence_first(
    program: Program,
) -> None:
    inputs = INPUTS | {"attestation": PUSHED, "cc": "audit@example.com", "require": "any"}
    result = RecipientResult(
        recipient="audit@example.com", status=RecipientStatus.REFUSED, why="no SMTPUTF8"
    )
    ended = program("send", inputs=inputs, post=Noted(refused=(result,)))

    sent = "Sent to 1 recipient through smtp.example.com:587 (TLSv1.3, PLAIN) in 0.25 s."
    sent += " Not delivered: 1 refused."
    assert ended.code == 0
    assert sent in ended.stdout.splitlines()
    assert "The mail is kept" not in ended.stdout
    assert ended.annotations == [
        ("warning", "smtp.example.com:587"),
        ("warning", "recipient refused"),
    ]
    assert "audit@example.com: no SMTPUTF8" in ended.stdout
    assert ended.summary.endswith(f"\n{sent}\n\n- smtp.example.com:587: no DSN\n\n")


def test_the_log_and_the_job_summary_of_a_mail_that_did_not_go_say_why_first(
    program: Program,
) -> None:
    result = RecipientResult(
        recipient="security@example.com", status=RecipientStatus.REFUSED, why="no SMTPUTF8"
    )
    post = Post(refused=(result,))
    ended = program(
        "send", inputs=INPUTS | {"attestation": PUSHED, "fail-on-error": "false"}, post=post
    )

    assert ended.code == 0
    assert f"The mail was saved: {ended.outputs['eml']}" in ended.stdout.splitlines()
    assert "Sent to" not in ended.log
    assert ended.annotations == [("warning", "The mail was not delivered")]
    assert "security@example.com: no SMTPUTF8" in ended.stdout
    assert ended.summary.startswith(
        "The mail was not delivered.\n\n- security@example.com: no SMTPUTF8\n\n"
    )


def test_a_mail_that_is_interrupted_is_told_as_such_and_no_warning_more(program: Program) -> None:
    put_off = RecipientResult(recipient="security@example.com", why="interrupted")
    post = Post(refused=(put_off,), is_interrupted=True)
    ended = program(
        "send", inputs=INPUTS | {"attestation": PUSHED, "fail-on-error": "false"}, post=post
    )

    assert ended.code == 130
    assert "Interrupted: sent to 0 of 1; 1 deferred." in ended.stdout.splitlines()
    assert ended.annotations == []


def test_a_delivery_that_was_never_tried_took_no_time(program: Program) -> None:
    post = Post()
    program("send", inputs=INPUTS | {"attestation": PUSHED}, post=post)
    (mail,) = post.mails
    untried = Delivery(mail=mail, results=())

    assert (untried.duration, untried.attempts) == (0.0, 0)
