"""One run, many mails: a configuration file, its routes, two servers, and one account of it all."""

import json
import os
import re
import signal
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders import cli_push, encoded, evaluation, statement, violation
from chainloop_smtp.cli.deliver import Stop
from chainloop_smtp.errors import Problem
from chainloop_smtp.model.mail import Delivery, Mail
from chainloop_smtp.model.settings import Registration, Transport
from inputs import RELAY
from interrupts import PATIENCE
from program import (
    PASSWORD,
    PUSHED,
    Ended,
    Post,
    Program,
    failure,
    never,
    parsed,
    refusal,
    text_of,
)
from runner import commands
from smtpserver import Certificates, Mailboxes
from submission import send_one

FILE = Path("chainloop-smtp.yml")
RUN = {
    "GITHUB_RUN_ID": "9000000042",
    "GITHUB_RUN_ATTEMPT": "1",
    "GITHUB_REPOSITORY": "lakeside/harbour",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_JOB": "mail",
}
VARIABLES = {"SMTP_PASSWORD": PASSWORD}

HEAD = """
x-server: &server
  host: smtp.example.com
  port: 587
  user: jane
  password: {env: SMTP_PASSWORD}
  from: reports@example.com
registrations:
  - {<<: *server, name: security, to: security@example.com}
  - {<<: *server, name: legal, to: legal@example.com}
  - {<<: *server, name: elsewhere, host: other.example.com, to: other@example.com}
attachments:
"""
THREE = f"""{HEAD}
  - {{registration: security, cc: team@example.com}}
  - {{registration: legal, workflow: nothing-*}}
  - {{registration: elsewhere}}
"""
UNATTACHED = ("warning", "nothing is attached")
TAKE_IT_OUT = (
    "Find where it comes from (an environment variable, a message, a file), remove it, and "
    "change the secret: others may have seen it. env-values: hide leaves the attested environment "
    "out of the mail."
)
WORDS = (
    "always",
    "passed",
    "failed",
    "cancelled",
    "violated",
    "blocked",
    "bypassed",
    "not-attested",
    "changed",
    "fixed",
    "new-violations",
    "unverified",
)


def sent(
    program: Program,
    text: str = THREE,
    *argv: str,
    environ: dict[str, str] | None = None,
    attestation: str = PUSHED,
    **more: Any,
) -> Ended:
    FILE.write_text(text, "utf-8")
    inputs = {"attestation": attestation, "job-status": "success", "port": "587"}
    variables = VARIABLES | (environ or {})
    return program("send", *argv, inputs=inputs, environ=variables, **more)


def receipt(ended: Ended) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(Path(ended.outputs["receipt"]).read_text())[
        "deliveries"
    ]
    return found


def test_every_attachment_that_applies_is_sent_and_the_others_are_not(program: Program) -> None:
    post = Post()
    ended = sent(program, post=post)
    assert ended.code == 0
    mails = {mail.recipients: mail for mail in post.mails}
    assert set(mails) == {
        ("security@example.com", "team@example.com"),
        ("other@example.com",),
    }
    assert (
        parsed(mails["security@example.com", "team@example.com"].content)["Cc"]
        == "team@example.com"
    )
    assert {each.host for each in post.registrations} == {"smtp.example.com", "other.example.com"}
    assert {each.password for each in post.registrations} == {PASSWORD}
    assert ended.outputs["sent"] == "true"
    assert json.loads(ended.outputs["accepted"]) == [
        "security@example.com",
        "team@example.com",
        "other@example.com",
    ]
    assert ended.outputs["outcome"] == "attested"
    assert "2 of 3 attachments in chainloop-smtp.yml apply." in ended.stdout
    assert "2 of 2 mails sent, 0 failed." in ended.stdout
    assert len(receipt(ended)) == 2
    assert Path(ended.outputs["eml"]).exists()
    assert (
        "| security | security@example.com, team@example.com | sent to 2 recipients"
        in ended.summary
    )
    assert PASSWORD.encode() not in ended.everything()
    assert "SMTP_PASSWORD" not in ended.environ


def test_the_mails_about_a_failed_job_do_not_wait_for_its_files(program: Program) -> None:
    text = f"{HEAD}\n  - {{registration: security, attach: [dist/*.none, attestation]}}\n"
    FILE.write_text(text, "utf-8")
    post = Post()
    inputs = {"attestation": PUSHED, "job-status": "failure"}
    ended = program("send", inputs=inputs, environ=VARIABLES, post=post)
    assert ended.code == 0, ended.stderr
    (mail,) = post.mails
    assert [each.get_filename() for each in parsed(mail.content).iter_attachments()] == [
        "attestation.json"
    ]
    assert ("warning", "nothing to attach") in ended.annotations
    again = program("send", inputs=inputs | {"job-status": "success"}, environ=VARIABLES)
    assert again.code == 2
    assert "attach 'dist/*.none': matches no file" in again.stderr


def test_mails_of_many_forms_each_say_what_is_theirs(program: Program, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    forms = [
        f"subject: '{subject}', attach: [{attached}], headers: 'X-Form: {at}'"
        for at, (subject, attached) in enumerate(
            (each, file) for each in "pqr" for file in ("a.txt", "attestation", "report")
        )
    ]
    entries = [
        f"  - {{registration: security, to: m{at}@example.com, {form}}}"
        for at, form in enumerate([*forms, *forms, *forms[:1]])
    ]
    post = Post()
    ended = sent(program, HEAD + "\n".join(entries) + "\n", post=post)
    assert ended.code == 0, ended.stderr
    assert len(post.mails) == len(entries)
    names = {"a.txt": "a.txt", "attestation": "attestation.json", "report": "chainloop-report.json"}
    for at, mail in enumerate(post.mails):
        received = parsed(mail.content)
        (file,) = received.iter_attachments()
        assert mail.recipients == (f"m{at}@example.com",)
        assert f"subject: '{received['Subject']}'" in entries[at]
        assert f"'X-Form: {received['X-Form']}'" in entries[at]
        (wanted,) = (names[each] for each in names if f"[{each}]" in entries[at])
        assert file.get_filename() == wanted


def test_what_is_attached_to_many_mails_is_looked_for_once(program: Program) -> None:
    entry = "{registration: security, attach: [none.txt, report], headers: 'X-A: %s', to: %s@b.de}"
    FILE.write_text(HEAD + "".join(f"  - {entry % (at, at)}\n" for at in range(3)), "utf-8")
    post = Post()
    inputs = {"attestation": PUSHED, "job-status": "failure"}
    ended = program("send", inputs=inputs, environ=VARIABLES, post=post)
    assert ended.code == 0, ended.stderr
    assert len(post.mails) == 3
    assert ended.annotations == [UNATTACHED, ("warning", "nothing to attach")]


def test_secrets_are_hidden_before_anything_can_go_wrong(program: Program) -> None:
    text = HEAD + "  - {registration: security, subject: '{{ nope'}\n"
    ended = sent(program, text, environ={"SMTP_PASSWORD": "correct horse"}, post=never)
    assert ended.code == 4
    assert "::add-mask::correct horse\n" in ended.stdout
    assert "SMTP_PASSWORD" not in ended.environ


def test_a_rehearsal_of_many_mails_gets_every_one_of_them(program: Program) -> None:
    text = f"{HEAD}  - {{registration: security}}\n  - {{registration: legal}}\n"
    post = Post()
    ended = sent(program, text, "--redirect-to", "me@example.com", post=post)
    assert ended.code == 0, ended.stderr
    assert [mail.recipients for mail in post.mails] == [("me@example.com",)] * 2
    assert [mail.intended for mail in post.mails] == [
        ("security@example.com",),
        ("legal@example.com",),
    ]


def test_mails_that_come_from_somebody_else_are_not_the_same(program: Program) -> None:
    text = HEAD.replace(
        "attachments:",
        "  - {<<: *server, name: audit, from: audit@example.com, to: security@example.com}\n"
        "attachments:",
    )
    text += "  - {registration: security}\n  - {registration: audit}\n"
    post = Post()
    ended = sent(program, text, "--envelope-from", "bounces@example.com", post=post)
    assert ended.code == 0, ended.stderr
    assert [parsed(mail.content)["From"] for mail in post.mails] == [
        "reports@example.com",
        "audit@example.com",
    ]


SECRETS = f"""{HEAD.replace("attachments:", "")}
  - {{<<: *server, name: spare, user: bob, password: {{env: SPARE}}}}
  - {{<<: *server, name: far, proxy: {{env: PROXY}}, password: {{env: SHORT}}}}
attachments:
  - {{registration: security}}
  - {{registration: legal, env-values: hide}}
"""
TOKEN = "gh-t0ken-of-the-step"
OTHERS = {"SPARE": "spare-0ne", "PROXY": "http://u:prox%21pass@proxy.test:80", "SHORT": "Zq8x"}


@pytest.mark.parametrize(
    ("held", "name"),
    [
        ("spare-0ne", "password of spare"),
        ("prox!pass", "proxy of far"),
        (TOKEN, "github-token"),
        (PASSWORD, "password of security"),
        # Too short to be told in base64 but for what AUTH PLAIN makes of it and its user.
        (b64encode(b"\0jane\0Zq8x").decode(), "password of far"),
    ],
    ids=["unattached", "proxy", "step", "own", "AUTH PLAIN"],
)
def test_no_mail_holds_the_secret_of_any_registration(
    program: Program, held: str, name: str
) -> None:
    FILE.write_text(SECRETS, "utf-8")
    evidence = encoded(cli_push(statement(environment={"LEAK": f"x {held} x"})))
    post = Post()
    ended = program(
        "send",
        inputs={"attestation": evidence.decode(), "github-token": TOKEN},
        environ=VARIABLES | OTHERS,
        post=post,
    )
    assert ended.code == 4
    where = "security (chainloop-smtp.yml:17)"
    assert ended.failure == failure(
        *(
            f"{where}: {part}: contains the value of {name}, so nothing is sent\n  {TAKE_IT_OUT}"
            for part in ("text", "html", "summary")
        ),
        title="1 of 2 mails did not reach all recipients.",
    )
    # The other mail leaves the environment out, and goes.
    assert [mail.recipients for mail in post.mails] == [("legal@example.com",)]
    everything = ended.everything()
    for secret in ("spare-0ne", "prox!pass", "prox%21pass", TOKEN, "Zq8x", PASSWORD):
        assert secret.encode() not in everything.replace(SECRETS.encode(), b"")
        masked = secret.replace("%", "%25")
        assert f"::add-mask::{masked}\n" in ended.stdout
    assert not set(OTHERS) & set(ended.environ)


def test_a_dry_run_prints_why_each_attachment_applies_or_does_not(program: Program) -> None:
    ended = sent(program, THREE, "--dry-run", post=never)
    assert ended.code == 0
    table = [re.split(r" {2,}", line.strip()) for line in ended.stdout.splitlines() if "  " in line]
    assert table == [
        ["ATTACHMENT", "REGISTRATION", "TO", "DECISION"],
        [
            "chainloop-smtp.yml:14",
            "security",
            "security@example.com, team@example.com",
            "would be sent",
        ],
        [
            "chainloop-smtp.yml:15",
            "legal",
            "legal@example.com",
            "not sent: workflow ship is not nothing-*",
        ],
        ["chainloop-smtp.yml:16", "elsewhere", "other@example.com", "would be sent"],
    ]
    assert ended.outputs["skipped"] == "dry run"
    folder = Path(ended.outputs["receipt"]).parent
    assert f"Dry run: nothing was sent. The mails: {folder}" in ended.stdout.splitlines()
    assert len(list(ended.folder.rglob("*.eml"))) == 2
    assert len(list(ended.folder.rglob("summary.md"))) == 1
    assert {each["recipients"][0]["state"] for each in receipt(ended)} == {"untried"}
    # Whoever does not open the log reads it in the job summary.
    for line in (
        "| security | security@example.com, team@example.com | would be sent |",
        r"| legal | legal@example.com | not sent: workflow ship is not nothing-\* |",
    ):
        assert line in ended.summary


def test_the_files_of_each_mail_are_named_after_subject_and_registration(program: Program) -> None:
    text = HEAD + "".join(
        f"  - {{registration: {name}, cc: {cc}@example.com}}\n"
        for name, cc in (("legal", "a"), ("security", "b"), ("security", "c"))
    )
    text = text.replace("name: legal", "name: security-2").replace("legal, cc", "security-2, cc")
    names = [
        f"harbour-Attested-ship-main-4f2d9c8-3-materials-no-policies-{label}.eml"
        for label in ("security-2", "security", "security-3")
    ]
    for _ in range(2):
        ended = sent(program, text, "--dry-run", post=never, environ=RUN)
        written = sorted(path.name for path in ended.folder.rglob("*.eml"))
        assert [each["eml"]["name"] for each in receipt(ended)] == names
        assert written == sorted(names)


def test_a_dry_run_of_which_no_mail_comes_names_no_folder_to_look_into(program: Program) -> None:
    text = THREE.replace("{registration: ", "{branch: none, registration: ")
    ended = sent(program, text, "--dry-run", post=never)
    assert ended.code == 0
    assert "Dry run: nothing was sent. There is no mail.\n" in ended.stdout
    assert not list(ended.folder.rglob("*.eml"))
    assert "would be sent" not in ended.summary
    assert "| elsewhere | other@example.com | not sent: " in ended.summary


def test_one_that_fails_stops_no_other_and_fails_the_step_at_the_end(program: Program) -> None:
    post = Post(refused=(refusal("security@example.com"), refusal("team@example.com")))
    ended = sent(program, post=post)
    assert ended.code == 5
    assert ended.outputs["sent"] == "false"
    assert json.loads(ended.outputs["accepted"]) == ["other@example.com"]
    assert json.loads(ended.outputs["refused"]) == ["security@example.com", "team@example.com"]
    assert ended.failure == failure(
        *(
            f"security (chainloop-smtp.yml:14): {address}: the server refused this recipient: "
            "550 5.1.1 no such mailbox"
            for address in ("security@example.com", "team@example.com")
        ),
        title="1 of 2 mails did not reach all recipients.",
    )
    # What went wrong stands first.
    assert ended.summary.index("| security |") < ended.summary.index("| elsewhere |")
    assert "550 5.1.1 no such mailbox" in ended.summary
    states = {
        each["recipients"][0]["address"]: each["recipients"][0]["state"] for each in receipt(ended)
    }
    assert states == {"security@example.com": "refused", "other@example.com": "accepted"}


class Noted(Post):
    """Each server lacks something, which no mail fails for."""

    def __call__(
        self, mail: Mail, registration: Registration, transport: Transport, **more: Any
    ) -> Delivery:
        made = super().__call__(mail, registration, transport, **more)
        return replace(
            made, transactions=tuple(replace(each, notes=("no DSN",)) for each in made.transactions)
        )


def test_the_log_and_the_job_summary_say_what_became_of_each_mail(program: Program) -> None:
    post = Noted(refused=(refusal("team@example.com"), refusal("other@example.com")))
    text = f"{THREE}  - {{registration: legal, to: x@example.com}}\n".replace(
        "cc: team@example.com", "cc: team@example.com, require: any"
    )
    ended = sent(program, text, post=post)
    assert ended.code == 5
    through = "through smtp.example.com:587"
    lines = ended.stdout.splitlines()
    at = lines.index("3 of 4 attachments in chainloop-smtp.yml apply.")
    progress = (each for each in lines[at:] if re.match(r"[a-z]+ \(", each))
    assert sorted(progress) == [
        "elsewhere (chainloop-smtp.yml:16): the mail was not delivered",
        f"legal (chainloop-smtp.yml:17): sent to 1 recipient {through}",
        f"security (chainloop-smtp.yml:14): sent to 1 recipient {through}, refused for "
        "team@example.com",
    ]
    assert "2 of 3 mails sent, 1 failed." in lines
    assert sorted(each for each in ended.annotations if each[0] == "warning") == [
        ("warning", "other.example.com:587"),
        ("warning", "smtp.example.com:587"),
    ]
    table = ended.summary[ended.summary.index("**3 mails**") :]
    reason = "the server refused this recipient: 550 5.1.1 no such mailbox"
    assert table.splitlines()[:5] == [
        "**3 mails**",
        "",
        "| registration | to | result |",
        "| --- | --- | --- |",
        f"| elsewhere | other@example.com | the mail was not delivered<br>other@example.com: "
        f"{reason} |",
    ]
    assert f"| legal | x@example.com | sent to 1 recipient {through} |" in table
    assert table.rstrip().endswith("\n- smtp.example.com:587: no DSN") or table.rstrip().endswith(
        "\n- other.example.com:587: no DSN"
    )
    assert table.count("no DSN") == 2


def test_a_registration_may_fail_with_a_warning_only(program: Program) -> None:
    post = Post(refused=(refusal("other@example.com"),))
    text = THREE.replace("to: other@", "fail-on-error: false, to: other@")
    ended = sent(program, text, post=post)
    assert ended.code == 0
    assert ended.outputs["sent"] == "true"
    assert ("warning", "elsewhere: The mail was not delivered") in ended.annotations
    assert ended.summary.index("| elsewhere |") < ended.summary.index("| security |")


def test_a_variable_that_is_not_set_fails_only_the_mails_that_need_it(program: Program) -> None:
    post = Post()
    text = THREE.replace("name: elsewhere,", "name: elsewhere, password: {env: OTHER_PASSWORD},")
    ended = sent(program, text, post=post, environ={"OTHER_PASSWORD": " "})
    assert ended.code == 2
    assert [mail.recipients[0] for mail in post.mails] == ["security@example.com"]
    assert ended.failure == failure(
        "elsewhere (chainloop-smtp.yml:16): chainloop-smtp.yml:11:36: the variable OTHER_PASSWORD "
        "for password is not set\n"
        "  In a workflow, give the step env: OTHER_PASSWORD: ${{ secrets.OTHER_PASSWORD }} (is "
        "that secret set for this repository?).",
        title="1 of 2 mails not sent: invalid options.",
    )
    unused = text.replace("  - {registration: elsewhere}\n", "")
    assert sent(program, unused, post=post).code == 0


def test_where_every_mail_lacks_its_variable_nothing_is_tried(program: Program) -> None:
    ended = sent(program, environ={"SMTP_PASSWORD": ""}, post=never)
    assert ended.code == 2
    assert ended.outputs["attempts"] == "0"
    assert "0 of 2 mails sent, 2 failed." in ended.stdout


def test_everything_wrong_with_the_file_is_told_with_its_place_and_nothing_is_sent(
    program: Program,
) -> None:
    text = f"""{HEAD}
  - {{registration: security, cc: nobody}}
  - {{registration: legal, send-on: sometimes}}
"""
    text = text.replace("to: legal", "port: x, to: legal").replace("host: other", "hots: other")
    ended = sent(program, text, post=never)
    assert ended.code == 2
    assert ended.failure == failure(
        "chainloop-smtp.yml:11:36: 'hots' is not a key of a registration\n  Did you mean host?"
    )
    ended = sent(program, text.replace("hots", "host"), post=never)
    assert ended.code == 2
    assert ended.failure == failure(
        "chainloop-smtp.yml:14:30 cc: 'nobody' is not an address: An email address must have an "
        "@-sign.\n"
        "  Write name@example.com or Display Name <name@example.com>; separate addresses by "
        "commas.",
        "chainloop-smtp.yml:10:32 port: 'x' is not a port number from 1 to 65535\n"
        "  Usual ports: 587 (STARTTLS) and 465 (implicit TLS).",
        "chainloop-smtp.yml:15:27 send-on: 'sometimes' is not a valid value\n"
        f"  Use any of: {', '.join(WORDS)}.",
    )


def test_what_a_registration_lacks_is_told_at_the_registration(program: Program) -> None:
    text = "registrations:\n- name: a\nattachments:\n- registration: a\n"
    ended = sent(program, text, post=never)
    assert ended.code == 2
    where = "chainloop-smtp.yml:2:3 registration 'a'"
    assert ended.failure == failure(
        f"{where}: host is missing\n"
        "  Host name or IP address of the mail server, such as smtp.example.com.",
        f"{where}: user is missing\n"
        "  User name for the mail server. For a relay without login, set auth: none. If it "
        "comes from a secret: is that secret set for this repository, and spelled correctly?",
        f"{where}: password is missing\n"
        "  Write password: {env: NAME}. A relay without login: auth: none.",
        f"{where}: from is missing\n"
        "  Sender: one address, such as ci@example.com or Attestation reports <ci@example.com>.",
        f"{where}: to is missing\n"
        "  Recipients: one or more addresses (comma, semicolon or newline), such as "
        "security@example.com; file:PATH reads them from a file; author and contributors are the "
        "people who wrote the code.",
    )


def test_the_steps_inputs_are_the_defaults_of_every_mail(program: Program) -> None:
    post = Post()
    text = (
        "registrations:\n- {name: a, to: a@example.com}\n"
        "- {name: b, to: b@example.com, user: other}\n"
        "attachments:\n- registration: a\n- registration: b\n"
    )
    FILE.write_text(text, "utf-8")
    inputs = {
        "host": "smtp.example.com",
        "port": "587",
        "user": "jane",
        "password": PASSWORD,
        "from": "reports@example.com",
        "attestation": PUSHED,
        "config": str(FILE),
    }
    assert program("send", inputs=inputs, post=post).code == 0
    assert {(each.host, each.user) for each in post.registrations} == {
        ("smtp.example.com", "jane"),
        ("smtp.example.com", "other"),
    }


def test_a_step_with_host_and_to_looks_for_no_file_unless_it_names_one(program: Program) -> None:
    FILE.write_text("broken: [", "utf-8")
    inputs = RELAY | {"attestation": PUSHED}
    post = Post()
    assert program("send", inputs=inputs, post=post).code == 0
    assert len(post.mails) == 1
    ended = program("send", inputs=inputs | {"config": "chainloop-smtp.yml"}, post=never)
    assert ended.code == 2
    ended = program("send", inputs=inputs | {"config": "none.yml"}, post=never)
    assert ended.failure == failure(
        "config 'none.yml': there is no such file\n"
        "  Paths are relative to the workspace: does a step before this one check it out?"
    )


def test_a_wrong_input_of_the_step_is_told_too(program: Program) -> None:
    FILE.write_text("registrations:\nattachments:\n", "utf-8")
    ended = program("send", inputs={"job-status": "fine", "hots": "x"}, post=never)
    assert ended.code == 2
    assert ended.failure == failure(
        "hots: there is no such input\n  Did you mean host?",
        "job-status: 'fine' is not a valid value\n"
        "  Use one of: success, failure, cancelled, skipped, neutral, timed_out, "
        "action_required, stale, startup_failure.",
    )


def test_an_authority_that_is_not_there_is_told_before_anything_is_sent(program: Program) -> None:
    text = THREE.replace("name: legal,", "name: legal, tls-ca-file: none.pem,")
    ended = sent(program, text, post=never)
    assert ended.code == 2
    assert ended.failure == failure(
        "tls-ca-file: 'none.pem' cannot be read: no such file\n"
        "  Paths are relative to the workspace: does a step before this one check it out? The PEM "
        "text itself can be given too."
    )


# --- who gets what -----------------------------------------------------------------------------

FINDINGS = f"""{HEAD}
  - {{registration: security, findings: vulnerability}}
  - {{registration: legal, findings: license}}
  - {{registration: elsewhere, send-on: "failed, new-violations"}}
"""


def with_violation(**findings: Any) -> str:
    found = evaluation("rules", violations=[violation("no good", **findings)])
    return encoded(cli_push(statement(evaluations=[found]), evaluations=[found])).decode()


LICENSED = with_violation(license_violation={"licenseId": "GPL-3.0", "packageName": "pier"})
VULNERABLE = with_violation(vulnerability={"externalId": "CVE-2026-1", "packageName": "pier"})


@pytest.mark.parametrize(
    ("attestation", "to"),
    [(LICENSED, "legal@example.com"), (VULNERABLE, "security@example.com")],
    ids=["license", "vulnerability"],
)
def test_findings_go_to_those_who_answer_for_their_kind(
    program: Program, attestation: str, to: str
) -> None:
    post = Post()
    assert sent(program, FINDINGS, attestation=attestation, post=post).code == 0
    assert sorted(mail.recipients[0] for mail in post.mails) == sorted([to, "other@example.com"])


def test_annotations_decide_who_gets_the_mail_and_the_log_says_why_not(program: Program) -> None:
    carried = statement(annotations={"environment": "prod", "team": "security"})
    text = f"""{HEAD}
  - {{registration: security, filter: "environment=prod,team=security"}}
  - {{registration: legal, filter: "environment=staging"}}
"""
    attestation = encoded(cli_push(carried)).decode()
    post = Post()
    ended = sent(program, text, "--dry-run", attestation=attestation)
    assert "annotation 'environment' is 'prod', not 'staging'" in ended.stdout
    assert sent(program, text, attestation=attestation, post=post).code == 0
    assert [mail.recipients for mail in post.mails] == [("security@example.com",)]


def test_a_run_that_cannot_be_compared_is_mailed_and_the_mail_says_so(program: Program) -> None:
    post = Post()
    assert sent(program, FINDINGS, post=post).code == 0
    (mail,) = post.mails
    text = " ".join(text_of(mail.content).split())
    assert (
        "Sent because it is not known whether it has new violations: the chainloop command" in text
    )


def test_an_earlier_attestation_decides_what_is_new(program: Program) -> None:
    post = Post()
    earlier = statement()
    earlier["predicate"]["metadata"]["workflowRunID"] = "9c858901-8a57-4791-81fe-4c455b099bc9"
    Path("before.json").write_bytes(encoded(cli_push(earlier)))
    more = ("--previous-attestation", "before.json")
    assert sent(program, FINDINGS, *more, post=post).outputs["skipped"] == (
        "no attachment in chainloop-smtp.yml applies"
    )
    assert sent(program, FINDINGS, *more, attestation=LICENSED, post=post).code == 0
    assert sorted(mail.recipients[0] for mail in post.mails) == [
        "legal@example.com",
        "other@example.com",
    ]


def test_where_nothing_applies_nothing_is_sent_and_the_log_says_why(program: Program) -> None:
    text = f"{HEAD}  - {{registration: security, workflow: x}}\n"
    ended = sent(program, text, post=never)
    assert ended.code == 0
    assert ended.outputs["skipped"] == "no attachment in chainloop-smtp.yml applies"
    assert ended.outputs["sent"] == "false"
    assert "not sent: workflow ship is not x" in ended.stdout
    assert ended.annotations == [UNATTACHED, ("notice", "no mail is sent")]
    (notice,) = (each for each in commands(ended.stdout) if each.name == "notice")
    assert notice.data == (
        "The one attachment in chainloop-smtp.yml does not apply; the log says why. This run "
        "belongs to "
        "workflow ship and project harbour."
    )


NAMED = f"""{HEAD}
  - {{registration: security, workflow: build-*, project: quay}}
  - {{registration: legal, workflow: ship}}
"""
NAMES = ("--workflow", "build-api", "--project", "quay")


def test_an_unattested_run_is_mailed_by_the_names_that_the_step_gives(program: Program) -> None:
    post = Post()
    ended = sent(program, NAMED, *NAMES, attestation="", environ=RUN, post=post)
    assert ended.code == 0, ended.stderr
    (mail,) = post.mails
    assert mail.recipients == ("security@example.com",)
    received = parsed(mail.content)
    assert received["Subject"].startswith("[quay] Not attested: build-api")
    assert received["List-Id"].startswith("quay / build-api <build-api.quay.chainloop-smtp.")
    # What evidence says, these names are not.
    assert received["X-Chainloop-Project"] is None
    text = " ".join(text_of(mail.content).split())
    assert "No evidence was given for quay" in text
    assert "Project: quay (as the step says)" in text
    assert "Workflow: build-api (as the step says)" in text
    assert ended.annotations == [UNATTACHED, ("warning", "no evidence is given")]


def test_where_the_attestation_says_another_name_that_one_counts(program: Program) -> None:
    post = Post()
    ended = sent(program, NAMED, *NAMES, post=post)
    assert ended.code == 0, ended.stderr
    (mail,) = post.mails
    assert mail.recipients == ("legal@example.com",)
    assert "build-api" not in mail.text
    assert "as the step says" not in " ".join(mail.text.split())
    assert ended.annotations == [
        UNATTACHED,
        ("notice", "another project"),
        ("notice", "another workflow"),
    ]
    for kind, given, attested in (
        ("project", "quay", "harbour"),
        ("workflow", "build-api", "ship"),
    ):
        told = f"{kind} is {given}, but the attestation says {attested}, which is used."
        assert ended.annotation(f"another {kind}") == told
    same = ("--workflow", "ship", "--project", "harbour")
    plain, named = (sent(program, NAMED, *more, post=post) for more in ((), same))
    assert plain.annotations == named.annotations == [UNATTACHED]
    assert post.mails[1].text == post.mails[2].text


def test_a_name_that_the_attestation_does_not_say_is_the_steps(program: Program) -> None:
    nameless = encoded(cli_push(statement(project=""))).decode()
    post = Post()
    ended = sent(program, NAMED, "--project", "quay", post=post, attestation=nameless)
    assert ended.code == 0, ended.stderr
    assert ended.annotations == [UNATTACHED]
    assert "Project: quay (as the step says)" in " ".join(post.mails[0].text.split())


def test_a_file_without_attachments_says_so(program: Program) -> None:
    for more in ((), ("--dry-run", "true")):
        ended = sent(program, HEAD, *more, post=never)
        assert ended.code == 0
        assert ended.annotations == [("warning", "no mail is sent")]
        assert (
            "There are no attachments in chainloop-smtp.yml. Add one for each registration: under "
            "attachments:, write - registration: NAME."
        ) in ended.stdout
        assert "ATTACHMENT" not in ended.stdout
        assert ended.outputs["skipped"] == "no attachment in chainloop-smtp.yml applies"
        assert ended.summary == ""


def test_registrations_without_an_attachment_are_named(program: Program) -> None:
    ended = sent(program, f"{HEAD}  - {{registration: legal}}\n", post=Post())
    assert ended.code == 0
    assert ended.annotations == [UNATTACHED]
    to = "security, elsewhere"
    told = f"Nothing is attached in chainloop-smtp.yml to {to}, so nothing is sent there."
    assert ended.annotation("nothing is attached") == told
    assert sent(program, THREE, post=Post()).annotations == []


def test_an_unattested_run_that_nobody_hears_of_is_a_warning(program: Program) -> None:
    text = f"{HEAD}  - {{registration: security, workflow: x}}\n"
    ended = sent(program, text, attestation="", post=never)
    assert ended.annotations == [
        UNATTACHED,
        ("warning", "no evidence is given"),
        ("warning", "no mail is sent"),
    ]
    *_, last = (each for each in commands(ended.stdout) if each.name == "warning")
    assert last.data == (
        "The one attachment in chainloop-smtp.yml does not apply; the log says why. To get mail "
        "about runs without an attestation, add an attachment without workflow and project, or set "
        "both in the step."
    )


def test_the_same_mail_reaches_a_mailbox_once(program: Program) -> None:
    post = Post()
    text = f"""{HEAD}
  - {{registration: security, cc: team@example.com}}
  - {{registration: security, cc: "team@example.com, more@example.com"}}
  - {{registration: security}}
  - {{registration: security, env-values: hide}}
"""
    ended = sent(program, text, environ=RUN, post=post)
    assert [mail.recipients for mail in post.mails] == [
        ("security@example.com", "team@example.com"),
        ("more@example.com",),
        # Another mail: it hides what the others show.
        ("security@example.com",),
    ]
    assert len({mail.message_id for mail in post.mails}) == 3
    assert "the same mail goes there by chainloop-smtp.yml:14" in ended.stdout
    assert re.search(r"mails sent, 0 failed, 1 not needed\.", ended.stdout)
    assert ended.outputs["sent"] == "true"


@pytest.mark.parametrize(
    ("key", "spellings"),
    [("from", ("ci@example.com", "CI@Example.COM")), ("host", ("relay", "RELAY", "relay."))],
)
def test_a_mailbox_gets_one_mail_however_server_and_sender_are_spelled(
    program: Program, key: str, spellings: tuple[str, ...]
) -> None:
    given = {"host": "relay", "port": "25", "auth": "none", "from": "ci@example.com"}
    registrations = [
        {**given, key: spelling, "name": f"r{number}", "to": "security@example.com"}
        for number, spelling in enumerate(spellings)
    ]
    attachments = [{"registration": each["name"]} for each in registrations]
    text = json.dumps({"registrations": registrations, "attachments": attachments})
    post = Post()
    ended = sent(program, text, environ=RUN, post=post)
    assert ended.code == 0, ended.stderr
    assert [mail.recipients for mail in post.mails] == [("security@example.com",)]
    assert ended.stdout.count("the same mail goes there by") == len(spellings) - 1


def test_a_run_that_is_run_again_sends_nothing_twice(program: Program) -> None:
    post = Post(refused=(refusal("team@example.com"),))
    assert sent(program, environ=RUN, post=post).code == 5
    again = Post()
    assert sent(program, environ=RUN, post=again).code == 0
    assert [mail.recipients for mail in again.mails] == [("team@example.com",)]
    third = sent(program, environ=RUN, post=never)
    assert third.code == 0
    assert third.outputs["skipped"] == "everything was sent before"
    assert sent(program, environ=RUN, post=never).outputs["skipped"] == "everything was sent before"
    other = Post()
    assert sent(program, environ=RUN | {"GITHUB_RUN_ATTEMPT": "2"}, post=other).code == 0
    assert len(other.mails) == 2


def test_a_single_mail_is_not_sent_twice_either(program: Program) -> None:
    inputs = RELAY | {
        "to": "security@example.com, gone@example.com",
        "attestation": PUSHED,
    }
    first = Post(refused=(refusal("gone@example.com"),))
    assert program("send", inputs=inputs, environ=RUN, post=first).code == 5
    again = Post()
    assert program("send", inputs=inputs, environ=RUN, post=again).code == 0
    assert [mail.recipients for mail in again.mails] == [("gone@example.com",)]
    third = program("send", inputs=inputs, environ=RUN, post=never)
    assert third.outputs["skipped"] == "this mail was already sent, according to the receipt"


@pytest.mark.parametrize("exposed", ["to its group", "to all", "by its owner"])
def test_a_receipt_that_another_user_may_have_written_keeps_nothing_from_being_sent(
    program: Program, monkeypatch: pytest.MonkeyPatch, exposed: str
) -> None:
    text = f"{HEAD}\n  - {{registration: security}}\n"
    assert sent(program, text, environ=RUN, post=Post()).code == 0
    written = Path("chainloop-smtp/receipt.json")
    if exposed == "by its owner":
        if os.geteuid() == 0:
            os.chown(written, 4711, -1)
        monkeypatch.setattr(os, "geteuid", lambda: 4712)
    else:
        written.chmod(0o664 if exposed == "to its group" else 0o646)
    again = Post()
    assert sent(program, text, environ=RUN, post=again).code == 0
    assert len(again.mails) == 1


def test_a_receipt_that_is_none_keeps_nothing_from_being_sent(program: Program) -> None:
    for text in ("{", "[]", '{"$schema": 1}', '{"$schema": "urn:chainloop-smtp:schema:receipt:2"}'):
        folder = Path("chainloop-smtp")
        folder.mkdir(exist_ok=True)
        (folder / "receipt.json").write_text(text)
        post = Post()
        assert sent(program, environ=RUN, post=post).code == 0
        assert len(post.mails) == 2


def test_many_recipients_go_in_several_transactions_of_one_mail(program: Program) -> None:
    post = Post(refused=(refusal("a4@example.com"),))
    people = ", ".join(f"a{number}@example.com" for number in range(5))
    text = f'{HEAD}  - {{registration: security, to: "{people}", require: any}}\n'
    text = text.replace("name: security,", "name: security, max-recipients: 2,")
    ended = sent(program, text, post=post)
    assert ended.code == 0
    assert [len(mail.recipients) for mail in post.mails] == [2, 2, 1]
    assert len({(mail.message_id, mail.content) for mail in post.mails}) == 1
    assert len(json.loads(ended.outputs["accepted"])) == 4
    (entry,) = receipt(ended)
    assert [each["state"] for each in entry["recipients"]] == ["accepted"] * 4 + ["refused"]


def test_a_single_mail_to_many_goes_in_several_transactions_too(program: Program) -> None:
    post = Post()
    inputs = RELAY | {
        "to": ", ".join(f"a{number}@example.com" for number in range(5)),
        "max-recipients": "3",
        "attestation": PUSHED,
    }
    ended = program("send", inputs=inputs, post=post)
    assert ended.code == 0
    assert [len(mail.recipients) for mail in post.mails] == [3, 2]
    assert len(json.loads(ended.outputs["accepted"])) == 5
    (entry,) = receipt(ended)
    assert len(entry["recipients"]) == 5
    ended = program("send", inputs=inputs | {"max-recipients": "0"}, post=never)
    assert ended.failure == failure("max-recipients: '0' is not a whole number from 1 to 10000")


# --- single mails and send-on ------------------------------------------------------------------


def test_a_mail_that_is_not_asked_for_is_skipped_with_its_reason(program: Program) -> None:
    FILE.unlink(missing_ok=True)
    inputs = RELAY | {"attestation": PUSHED}
    ended = program("send", inputs=inputs | {"send-on": "failed, blocked"}, post=never)
    assert ended.code == 0
    assert ended.outputs["skipped"] == "send-on is failed, blocked, and the outcome is attested"
    assert ended.annotations == [("notice", "skipped")]
    post = Post()
    ended = program("send", inputs=inputs | {"send-on": "failed passed"}, post=post)
    assert ended.outputs["sent"] == "true"
    ended = program("send", inputs=inputs | {"send-on": "pased"}, post=never)
    assert ended.failure == failure("send-on: 'pased' is not a valid value\n  Did you mean passed?")
    ended = program("send", inputs=inputs | {"send-on": "xyz,"}, post=never)
    assert ended.failure == failure(
        f"send-on: 'xyz' is not a valid value\n  Use any of: {', '.join(WORDS)}."
    )
    ended = program("send", inputs=inputs | {"send-on": ","}, post=never)
    assert ended.failure == failure("send-on: ',' contains no word")


# --- forks -------------------------------------------------------------------------------------


def test_a_fork_without_secrets_skips_the_file_too(program: Program) -> None:
    environ = {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_ACTOR": "dependabot[bot]"}
    ended = sent(program, environ=environ | {"SMTP_PASSWORD": ""}, post=never)
    assert ended.code == 0
    assert ended.outputs["skipped"] == "no secrets in a pull request from a fork"


@pytest.mark.parametrize("missing", ["the step's", "a variable's", "a recipient's"])
def test_a_fork_is_mailed_what_needs_no_secret_and_told_what_does(
    program: Program, fork: dict[str, str], missing: str
) -> None:
    relay = "host: relay.example.com, port: 25, auth: none, from: reports@example.com"
    server = "host: smtp.example.com, port: 587, user: jane, from: reports@example.com"
    lacking = {
        "the step's": f"{server}, to: a@example.com",
        "a variable's": f"{server}, to: a@example.com, password: {{env: SMTP_PASSWORD}}",
        "a recipient's": f"{relay}, to: {{env: SMTP_PASSWORD}}",
    }[missing]
    text = (
        "registrations:\n"
        f"  - {{name: open, {relay}, to: b@example.com}}\n"
        f"  - {{name: closed, {lacking}}}\n"
        "attachments:\n  - {registration: open}\n  - {registration: closed}\n"
    )
    post = Post()
    ended = sent(program, text, environ=fork | {"SMTP_PASSWORD": ""}, post=post)
    assert (ended.code, ended.stderr) == (0, "")
    assert [each.recipients for each in post.mails] == [("b@example.com",)]
    assert ("notice", "skipped") in ended.annotations
    assert "nothing is sent through closed." in ended.stdout
    closed = text.replace("  - {registration: open}\n", "")
    ended = sent(program, closed, environ=fork | {"SMTP_PASSWORD": ""}, post=never)
    assert ended.code == 0
    assert ended.outputs["skipped"] == "no secrets in a pull request from a fork"


def test_the_token_that_every_job_has_is_nothing_to_log_in_with(
    program: Program, fork: dict[str, str]
) -> None:
    inputs = {"host": "smtp.example.com", "port": "587", "to": "a@b.de", "github-token": "t0k3n"}
    ended = program("send", inputs=inputs, environ=fork, post=never)
    assert ended.code == 0
    assert ended.outputs["skipped"] == "no secrets in a pull request from a fork"


# --- when it goes wrong ------------------------------------------------------------------------


def many(number: int, registration: str = "security") -> str:
    return HEAD + "".join(
        f"  - {{registration: {registration}, to: a{at}@example.com}}\n" for at in range(number)
    )


def test_a_server_that_answers_nobody_is_not_tried_for_ever(program: Program) -> None:
    post = Post(trouble=Problem("smtp.example.com:587", "no answer in time"))
    ended = sent(program, many(130), post=post)
    assert ended.code == 5
    assert len(post.mails) == 100
    said = ended.failure.splitlines()
    assert said[said.index("130 of 130 mails") + 1 :] == [
        "130 of 130 mails did not reach all recipients.",
        *(
            f"  security (chainloop-smtp.yml:{line}): smtp.example.com:587: no answer in time"
            for line in range(13, 33)
        ),
        "  and: 110 more problems are in the receipt and the job summary",
    ]
    # Each mail is kept, tried or not.
    assert len(list(ended.folder.rglob("*.eml"))) == 130


def test_progress_is_told_where_there_are_many_and_the_summary_is_bounded(
    program: Program,
) -> None:
    ended = sent(program, many(210), post=Post())
    assert ended.code == 0
    progress = re.findall(r"^(\d+) of 210 mails$", ended.stderr, re.MULTILINE)
    assert progress == [str(number) for number in range(21, 211, 21)]
    assert ended.stdout.count("a7@example.com") == 0
    assert "| … | 10 more | |" in ended.summary


def test_a_mail_that_cannot_be_made_stops_no_other(program: Program) -> None:
    post = Post()
    text = THREE.replace("cc: team@example.com", "attach: none-*.txt")
    ended = sent(program, text, post=post)
    assert ended.code == 2
    assert [mail.recipients for mail in post.mails] == [("other@example.com",)]
    assert ended.failure == failure(
        "security (chainloop-smtp.yml:14): attach 'none-*.txt': matches no file\n"
        "  Paths are relative to the workspace: does a step before this one check it out? To match "
        "a hidden name, write its leading dot.",
        title="1 of 2 mails not sent: invalid options.",
    )


def test_of_several_failures_a_delivery_names_the_exit_code(program: Program) -> None:
    post = Post(refused=(refusal("other@example.com"),))
    text = THREE.replace("cc: team@example.com", "attach: none-*.txt")
    assert sent(program, text, post=post).code == 5


def test_a_token_that_is_not_to_be_had_fails_the_mails_that_need_it(program: Program) -> None:
    post = Post()
    text = THREE.replace(
        "host: other.example.com,",
        "host: other.example.com, oauth2-provider: microsoft, oauth2-tenant: t, "
        "oauth2-client-id: i, oauth2-federated: true, password: ,",
    )
    text = text.replace("{<<: *server, name: elsewhere", "{from: a@b.de, port: 25, name: elsewhere")
    ended = sent(program, text, post=post)
    assert ended.code == 5
    assert [mail.recipients[0] for mail in post.mails] == ["security@example.com"]


def test_mails_in_clear_are_warned_of_once(program: Program) -> None:
    text = many(3).replace("name: security,", "name: security, tls: none, auth: none,")
    ended = sent(program, text, post=Post())
    assert ended.annotations == [UNATTACHED, ("warning", "no TLS")]
    told = "Mails to smtp.example.com are sent without encryption: tls is none."
    assert ended.annotation("no TLS") == told


def test_a_password_at_microsoft_365_in_a_file_gets_a_notice_for_each_server(
    program: Program,
) -> None:
    text = many(3).replace("host: smtp.example.com", "host: smtp.office365.com")
    ended = sent(program, text, post=Post())
    assert ended.annotations == [UNATTACHED, ("notice", "Microsoft 365 requires OAuth")]


def test_an_interrupt_reaches_the_connection_of_the_only_server(
    program: Program, interruptible: None
) -> None:
    del interruptible

    def interrupting(*_: object, **__: object) -> Delivery:
        signal.raise_signal(signal.SIGINT)
        raise AssertionError

    ended = sent(program, many(2), post=interrupting)
    assert ended.code == 130
    assert ended.summary.count("interrupted; its mail may have been sent") == 2


def test_a_receipt_that_cannot_be_written_is_a_warning(program: Program) -> None:
    Path("chainloop-smtp/receipt.json").mkdir(parents=True)
    ended = sent(program, post=Post())
    assert ended.code == 0
    assert ended.annotations == [("warning", "no receipt")]
    assert ended.outputs["sent"] == "true"


def test_a_dry_run_tells_of_variables_too(program: Program) -> None:
    ended = sent(program, THREE, "--dry-run", environ={"SMTP_PASSWORD": ""}, post=never)
    assert ended.code == 0
    assert "cannot be sent: the variable SMTP_PASSWORD" in ended.stdout
    assert ended.outputs["eml"] == ""
    text = THREE.replace("user: jane", "user: {env: SMTP_USER}")
    ended = sent(program, text, "--dry-run", environ={"SMTP_PASSWORD": ""}, post=never)
    variables = (("SMTP_USER", "user"), ("SMTP_PASSWORD", "password"))
    why = [f"the variable {name} for {what} is not set" for name, what in variables]
    assert f"cannot be sent: {'; '.join(why)}" in ended.stdout


def test_an_interrupt_ends_it_with_an_account(program: Program) -> None:
    ended = sent(program, many(3), post=Post(is_interrupted=True))
    assert ended.code == 130
    assert len(receipt(ended)) == 3 - 2


@pytest.mark.parametrize(
    "signals",
    [[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT, signal.SIGTERM]],
    ids=["SIGINT", "SIGTERM", "both"],
)
@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_reaches_servers_side_by_side(
    program: Program, signals: list[signal.Signals], monkeypatch: pytest.MonkeyPatch
) -> None:
    post = Post()
    is_stopped, is_over = threading.Event(), threading.Event()
    interrupts = [*reversed(signals)]
    real = Stop.set

    def stop(self: Stop) -> None:
        real(self)
        is_stopped.set()

    monkeypatch.setattr(Stop, "set", stop)
    main = threading.main_thread().ident
    assert main is not None

    def interrupting(
        mail: Mail,
        registration: Registration,
        transport: Transport,
        *,
        notify: Callable[[str], None],
    ) -> Delivery:
        if registration.host == "smtp.example.com" and interrupts:
            signal.pthread_kill(main, interrupts.pop())
            assert is_stopped.wait(PATIENCE)
            if interrupts:
                signal.pthread_kill(main, interrupts.pop())
                # Whoever has had enough does not wait for this mail.
                assert is_over.wait(PATIENCE)
        return post(mail, registration, transport, notify=notify)

    text = many(40) + "  - {registration: elsewhere}\n"
    try:
        ended = sent(program, text, post=interrupting)
    finally:
        is_over.set()
    assert ended.code == 130
    assert len(post.mails) < 41
    if len(signals) == 1:
        assert "<br>delivery: interrupted before it was sent |\n" in ended.summary
    else:
        assert (
            "it is not known whether the mail was delivered<br>delivery: interrupted; its mail may "
            "have been sent |\n"
        ) in ended.summary
    # Also what nobody waits for any more has its line, and what is sent is written down.
    assert " of 41 mails sent" in ended.log
    assert {each["messageId"] for each in receipt(ended)} <= {m.message_id for m in post.mails}


def test_a_bug_in_one_server_is_told_as_ours(program: Program) -> None:
    ended = sent(program, post=Post(error=ZeroDivisionError("ours")))
    assert ended.code == 1
    assert "ZeroDivisionError: ours" in ended.stderr


# --- real servers ------------------------------------------------------------------------------


@pytest.fixture
def second(tls: Certificates) -> Iterator[Mailboxes]:
    server = Mailboxes(tls=tls.server, mechanisms=("PLAIN",), accounts={"jane": PASSWORD})
    with server.running():
        yield server


def test_mails_to_one_server_share_a_connection_and_servers_work_side_by_side(
    program: Program, mailboxes: Mailboxes, second: Mailboxes, tls: Certificates
) -> None:
    down = "{name: down, host: 127.0.0.1, port: 1, to: down@example.com, deadline: 2}"
    text = f"""
x-server: &server
  host: 127.0.0.1
  user: jane
  password: {{env: SMTP_PASSWORD}}
  from: reports@example.com
  tls-ca-file: {tls.ca_file}
registrations:
  - {{<<: *server, name: one, port: {mailboxes.port}, to: one@example.com}}
  - {{<<: *server, name: two, port: {second.port}, to: two@example.com}}
  - {down.replace("{name", "{<<: *server, name")}
attachments:
"""
    text += "  - {registration: down}\n"
    for number in range(6):
        text += f"  - {{registration: one, cc: c{number}@example.com}}\n"
        text += f"  - {{registration: two, cc: c{number}@example.com}}\n"
    ended = sent(program, text, post=send_one)
    assert ended.code == 5
    for server in (mailboxes, second):
        assert len(server.mails) == 6
        assert len(server.logins) == 1
    assert "1 of 13 mails did not reach all recipients." in ended.stderr
    assert "down (" in ended.stderr
    assert json.loads(ended.outputs["sent"]) is False
    kept = [each for each in receipt(ended) if each["server"]["port"] == 1]
    assert (ended.folder / "chainloop-smtp" / kept[0]["eml"]["name"]).exists()
