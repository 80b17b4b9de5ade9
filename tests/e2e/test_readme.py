"""The README's two workflows as they stand there, with a command and a mail server of ours."""

import copy
from typing import Any

import pages
from builders import cli_describe, cli_push, encoded
from e2e.act import Act, Record
from e2e.received import parsed, text_of
from e2e.test_action import PUSHED, TO, secrets
from mailserver import MailServer

ID = "7c0a8f5e-2f6b-4c57-9d0e-5b1a7f3c9e21"
# Knows no more than what the two workflows ask of it.
CHAINLOOP = f"""\
#!/bin/sh
[ "$CHAINLOOP_TOKEN" = "a token of Chainloop's" ] || {{ echo "no token for $*" >&2; exit 1; }}
case "$*" in
  "attestation init"*) echo '{{"attestationID": "{ID}"}}' ;;
  "attestation push"*) cat "$GITHUB_WORKSPACE/pushed.json" ;;
  "workflow run describe --id {ID} "*) cat "$GITHUB_WORKSPACE/described.json" ;;
  *) echo "asked for $*" >&2; exit 1 ;;
esac
"""
INSTALL = (
    'mkdir -p "$RUNNER_TEMP/bin"; cp chainloop.sh "$RUNNER_TEMP/bin/chainloop"\n'
    'chmod +x "$RUNNER_TEMP/bin/chainloop"; echo "$RUNNER_TEMP/bin" >>"$GITHUB_PATH"'
)
ONE_JOB, TWO_JOBS = [workflow for page, _, workflow in pages.workflows() if page == "README.md"]


def run(act: Act, server: MailServer, shown: dict[str, Any]) -> Record:
    """The workflow as it is shown, with another server, and another way to get the command."""
    workflow = copy.deepcopy(shown)
    action = ""
    for job in workflow["jobs"].values():
        installs = [step for step in job["steps"] if "install.sh" in step.get("run", "")]
        assert installs
        for step in installs:
            step["run"] = INSTALL
        if job["steps"][0] in installs:
            # Where files do not travel from job to job, ours still have to come from somewhere.
            job["steps"].insert(0, {"uses": "actions/checkout@v7"})
        for step in job["steps"]:
            if step.get("uses", "").startswith(pages.OWN):
                action = step["uses"]
                step["with"] |= {
                    "host": "localhost",
                    "port": str(server.submission_port),
                    "tls-ca-file": str(server.ca_file),
                    "to": TO,
                    "from": "Attestation reports <ci@example.test>",
                }
    return act.run(
        workflow,
        secrets={
            "SMTP_USER": server.user,
            "SMTP_PASSWORD": secrets(server)["PASSWORD"],
            "CHAINLOOP_TOKEN": "a token of Chainloop's",
        },
        files={
            "chainloop.sh": CHAINLOOP,
            "pushed.json": encoded(cli_push(PUSHED)),
            "described.json": encoded(cli_describe(PUSHED)),
        },
        arguments=[f"--local-repository={action}={act.checkout}"],
    )


def test_the_first_workflow_mails_what_was_pushed(act: Act, mail_server: MailServer) -> None:
    record = run(act, mail_server, ONE_JOB)
    assert record.succeeded, record.messages()
    (mail,) = mail_server.mailbox(TO)
    assert "Passed" in str(parsed(mail)["Subject"])
    assert cli_push(PUSHED)["digest"].removeprefix("sha256:") in text_of(parsed(mail))


def test_the_second_mails_from_a_job_of_its_own(act: Act, mail_server: MailServer) -> None:
    record = run(act, mail_server, TWO_JOBS)
    assert record.succeeded, record.messages()
    (mail,) = mail_server.mailbox(TO)
    assert "Passed" in str(parsed(mail)["Subject"])


def test_the_second_mails_a_failure_too(act: Act, mail_server: MailServer) -> None:
    broken = copy.deepcopy(TWO_JOBS)
    broken["jobs"]["attest"]["steps"].insert(1, {"run": "exit 1"})
    record = run(act, mail_server, broken)
    assert not record.succeeded
    (mail,) = mail_server.mailbox(TO)
    assert "Failed" in str(parsed(mail)["Subject"])
    assert "attest" in text_of(parsed(mail))
