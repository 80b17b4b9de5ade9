"""One step, several destinations: a configuration file under act, into two real mail servers."""

import json
from typing import Any

from builders import cli_push, encoded, evaluation, statement, violation
from e2e.act import Act, Record
from e2e.received import parsed, text_of
from mailserver import MailServer

FOUND = evaluation(
    "licenses",
    violations=[
        violation("GPL-3.0 is not allowed", license_violation={"licenseId": "GPL-3.0"}),
    ],
)
VIOLATED = cli_push(statement(evaluations=[FOUND]), evaluations=[FOUND])

KEEP = {
    "name": "Keep",
    "if": "${{ always() }}",
    "env": {"STEP": "${{ toJSON(steps.mail) }}", "RECEIPT": "${{ steps.mail.outputs.receipt }}"},
    "run": (
        'printf %s "$STEP" >"$KEPT/step.json"\n'
        '[ -z "$RECEIPT" ] || { cp "$RECEIPT" "$KEPT"; cp "${RECEIPT%/*}"/*.eml "$KEPT"; }\n'
    ),
}


def configuration(postfix: MailServer, exim: MailServer) -> str:
    """Four registrations, one of which nobody answers for."""

    def server(name: str, one: MailServer, to: str, port: int = 0) -> str:
        return (
            f"  - name: {name}\n    host: localhost\n    port: {port or one.submission_port}\n"
            f"    user: {one.user}\n    password: {{env: {name.upper()}_PASSWORD}}\n"
            f"    from: ci@example.test\n    to: {to}\n    tls-ca-file: {one.ca_file}\n"
            "    deadline: 3\n"
        )

    return (
        "registrations:\n"
        + server("postfix", postfix, "security@example.test")
        + server("exim", exim, "release@example.test")
        + server("down", exim, "board@example.test", port=1)
        + "attachments:\n"
        "  - {registration: down}\n"
        "  - {registration: postfix, workflow: ship, cc: audit@example.test}\n"
        "  - {registration: postfix, send-on: passed, to: builds@example.test}\n"
        "  - {registration: exim, findings: license, to: compliance@example.test}\n"
        "  - {registration: exim, findings: vulnerability}\n"
    )


def run(act: Act, postfix: MailServer, exim: MailServer, **inputs: str) -> Record:
    names = ("POSTFIX", "EXIM", "DOWN")
    # The job's status is given, since the step itself is about to change it.
    given = {"attestation": "attestation.json", "job-status": "success"} | inputs
    step: dict[str, Any] = {
        "name": "Mail the evidence",
        "id": "mail",
        "if": "${{ always() }}",
        "uses": "./",
        "env": {f"{name}_PASSWORD": f"${{{{ secrets.{name} }}}}" for name in names},
        "with": given,
    }
    again = step | {"name": "Again", "id": "again"}
    kept_again = {
        "if": "${{ always() }}",
        "env": {"STEP": "${{ toJSON(steps.again) }}"},
        "run": 'printf %s "$STEP" >"$KEPT/again.json"',
    }
    steps = [{"uses": "actions/checkout@v4"}, step, KEEP, again, kept_again]
    return act.run(
        {"jobs": {"ship": {"runs-on": "ubuntu-latest", "steps": steps}}},
        secrets={"POSTFIX": postfix.password, "EXIM": exim.password, "DOWN": exim.password},
        files={
            "attestation.json": encoded(VIOLATED),
            ".github/chainloop-smtp.yml": configuration(postfix, exim),
        },
    )


def test_each_destination_gets_its_mail_though_one_server_is_down(
    act: Act, mail_server: MailServer, running_exim: MailServer
) -> None:
    running_exim.empty()
    record = run(act, mail_server, running_exim)

    # One of them is down, and that is told; the others have their mail.
    assert not record.succeeded
    assert record.exit_code("mail") == 5
    (for_security,) = mail_server.mailbox("security@example.test")
    (for_audit,) = mail_server.mailbox("audit@example.test")
    (for_compliance,) = running_exim.mailbox("compliance@example.test")
    assert mail_server.mailbox("builds@example.test", count=0) == []
    assert running_exim.mailbox("release@example.test", count=0) == []
    assert "gpl-3.0" in text_of(parsed(for_compliance))
    assert parsed(for_security)["Message-ID"] == parsed(for_audit)["Message-ID"]
    assert parsed(for_security)["Message-ID"] != parsed(for_compliance)["Message-ID"]

    outputs = record.json("step.json")["outputs"]
    assert outputs["sent"] == "false"
    assert outputs["outcome"] == "violations"
    assert set(json.loads(outputs["accepted"])) == {
        "security@example.test",
        "audit@example.test",
        "compliance@example.test",
    }
    # Both steps failed, and each told why.
    errors = record.commands("error")
    assert ["down (.github/chainloop-smtp.yml:" in error for error in errors] == [True, True]
    (summary, *_) = {each["content"] for each in record.entries if each.get("command") == "summary"}
    assert "| down | board@example.test |" in summary
    assert "| exim | compliance@example.test |" in summary
    receipt = record.json("receipt.json")
    assert len(receipt["deliveries"]) == 3
    assert len(list(record.kept.glob("*.eml"))) == 3

    # The step a second time in the same run: what was accepted is not sent again.
    assert len(mail_server.mailbox("security@example.test")) == 1
    assert len(running_exim.mailbox("compliance@example.test")) == 1
    assert json.loads(record.json("again.json")["outputs"]["accepted"]) == []


def test_a_dry_run_under_act_prints_the_table(
    act: Act, mail_server: MailServer, running_exim: MailServer
) -> None:
    running_exim.empty()
    record = run(act, mail_server, running_exim, **{"dry-run": "true"})

    assert record.succeeded, record.messages()
    log = "\n".join(record.lines())
    assert "ATTACHMENT" in log
    assert "not sent: send-on is passed, and the outcome is violations" in log
    assert "not sent: no finding is of kind vulnerability" in log
    assert mail_server.mailbox("security@example.test", count=0) == []
    assert record.json("step.json")["outputs"]["skipped"] == "dry run"
