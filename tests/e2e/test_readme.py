"""The README's workflows as they stand there, with a command and a mail server of ours.

Besides, other people's workflows: several attestations, a reusable workflow, a matrix. The step
that mails stays as it is.
"""

import copy
import json
from collections.abc import Mapping
from typing import Any

import pages
from builders import RUNNER_VARIABLES, cli_describe, encoded, statement
from e2e.act import Act, Record
from e2e.received import parsed, text_of
from e2e.test_action import TO, secrets
from mailserver import MailServer

TOKEN = "a token of Chainloop's"
IDS = {
    "release": "7c0a8f5e-2f6b-4c57-9d0e-5b1a7f3c9e21",
    "gate": "5b0a4f0e-6a51-4a5b-9c1d-0e5f3c2b7a90",
}
# Lists another run on a first page, and on the second what was pushed, the latest first.
CHAINLOOP = f"""\
#!/bin/sh
[ "$CHAINLOOP_TOKEN" = "{TOKEN}" ] || {{ echo "no token for $*" >&2; exit 1; }}
pushed="$KEPT/pushed"
state="$RUNNER_TEMP/chainloop-attestation.tmp.json"
run="{{\\"state\\": \\"success\\", \\"runURL\\": \\"https://github.com/$GITHUB_REPOSITORY/actions/runs"
case "$*" in
  "attestation init --workflow "*) cp "$GITHUB_WORKSPACE/ids/$4" "$state" ;;
  "attestation push"*) cat "$state" >>"$pushed"; echo "INF push completed" >&2 ;;
  "workflow run list --limit=50 -o json")
    echo "[$run/${{GITHUB_RUN_ID}}0\\", \\"id\\": \\"another\\"}}]"
    echo "INF --next second" >&2 ;;
  "workflow run list --limit=50 -o json --next=second")
    between='['
    [ -e "$pushed" ] || printf '['
    [ ! -e "$pushed" ] || tac "$pushed" | while read -r id; do
      printf '%s' "$between$run/$GITHUB_RUN_ID\\", \\"id\\": \\"$id\\"}}"
      between=,
    done
    echo ']' ;;
  "workflow run describe --id "*" -o json") cat "$GITHUB_WORKSPACE/described/$5" ;;
  *) echo "asked for $*" >&2; exit 1 ;;
esac
"""
INSTALL = (
    'mkdir -p "$RUNNER_TEMP/bin"; cp chainloop.sh "$RUNNER_TEMP/bin/chainloop"\n'
    'chmod +x "$RUNNER_TEMP/bin/chainloop"; echo "$RUNNER_TEMP/bin" >>"$GITHUB_PATH"'
)
ONE_JOB, TWO_JOBS = [workflow for page, _, workflow in pages.workflows() if page == "README.md"]
STEPS = ONE_JOB["jobs"]["release"]["steps"]
ATTESTING = [step for step in STEPS if "chainloop attestation" in step.get("run", "")]


def attesting(workflow: str) -> list[dict[str, Any]]:
    """The README's steps that attest, for another Chainloop workflow."""
    steps = copy.deepcopy(ATTESTING)
    for step in steps:
        step["run"] = step["run"].replace("--workflow release", f"--workflow {workflow}")
    return steps


def prepared(job: dict[str, Any]) -> None:
    """Another way to get the command, which comes with the checkout."""
    for step in job["steps"]:
        if "install.sh" in step.get("run", ""):
            step["run"] = INSTALL
    if not job["steps"][0].get("uses", "").startswith("actions/checkout"):
        job["steps"].insert(0, {"uses": "actions/checkout@v7"})


def run(
    act: Act,
    server: MailServer,
    shown: dict[str, Any],
    files: Mapping[str, str] | None = None,
) -> Record:
    """The workflow as it is shown, with another server."""
    workflow = copy.deepcopy(shown)
    action = ""
    for job in workflow["jobs"].values():
        if "steps" not in job:
            continue
        prepared(job)
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
    described = {}
    for name, run_id in IDS.items():
        # act counts every run as the first.
        told = statement(
            run_id=run_id,
            workflow=name,
            environment=RUNNER_VARIABLES | {"GITHUB_RUN_ID": "1"},
        )
        described[f"described/{run_id}"] = encoded(cli_describe(told))
    return act.run(
        workflow,
        secrets={
            "SMTP_USER": server.user,
            "SMTP_PASSWORD": secrets(server)["PASSWORD"],
            "CHAINLOOP_TOKEN": TOKEN,
        },
        files={
            "chainloop.sh": CHAINLOOP,
            **{f"ids/{name}": f"{run_id}\n" for name, run_id in IDS.items()},
            **described,
            **(files or {}),
        },
        arguments=[f"--local-repository={action}={act.checkout}"],
    )


def mailed_workflows(server: MailServer, count: int) -> list[str]:
    """The Chainloop workflows that mails arrived about, all in one thread."""
    mails = [parsed(mail) for mail in server.mailbox(TO, count=count)]
    assert len({mail["In-Reply-To"] for mail in mails}) == 1
    return sorted(mail["X-Chainloop-Workflow"] for mail in mails)


def test_the_first_workflow_mails_what_was_pushed(act: Act, mail_server: MailServer) -> None:
    record = run(act, mail_server, ONE_JOB)
    assert record.succeeded, record.messages()
    (mail,) = mail_server.mailbox(TO)
    assert "Attested" in str(parsed(mail)["Subject"])
    assert parsed(mail)["X-Chainloop-Run-ID"] == IDS["release"]


def test_two_attestations_of_one_job_are_two_mails_of_one_step(
    act: Act, mail_server: MailServer
) -> None:
    both = copy.deepcopy(ONE_JOB)
    both["jobs"]["release"]["steps"][2:2] = attesting("gate")
    record = run(act, mail_server, both)
    assert record.succeeded, record.messages()
    assert mailed_workflows(mail_server, 2) == ["gate", "release"]


def test_the_second_mails_from_a_job_of_its_own(act: Act, mail_server: MailServer) -> None:
    record = run(act, mail_server, TWO_JOBS)
    assert record.succeeded, record.messages()
    assert mailed_workflows(mail_server, 1) == ["release"]


def test_the_second_mails_a_failure_too(act: Act, mail_server: MailServer) -> None:
    broken = copy.deepcopy(TWO_JOBS)
    broken["jobs"]["attest"]["steps"].insert(1, {"run": "exit 1"})
    record = run(act, mail_server, broken)
    assert not record.succeeded
    (mail,) = mail_server.mailbox(TO)
    assert "Failed" in str(parsed(mail)["Subject"])
    assert "attest" in text_of(parsed(mail))


def test_the_second_mails_what_every_leg_of_a_matrix_attested(
    act: Act, mail_server: MailServer
) -> None:
    legs = copy.deepcopy(TWO_JOBS)
    job = legs["jobs"]["attest"]
    # One after the other: the stand-in keeps its list in a file.
    job["strategy"] = {"matrix": {"workflow": list(IDS)}, "max-parallel": 1}
    job["steps"] = [*job["steps"][:2], *attesting("${{ matrix.workflow }}")]
    record = run(act, mail_server, legs)
    assert record.succeeded, record.messages()
    assert mailed_workflows(mail_server, 2) == ["gate", "release"]


def test_the_second_mails_what_a_reusable_workflow_attested(
    act: Act, mail_server: MailServer
) -> None:
    calling = copy.deepcopy(TWO_JOBS)
    job = calling["jobs"]["attest"]
    prepared(job)
    called = {"on": "workflow_call", "jobs": {"attest": job}}
    calling["jobs"]["attest"] = {"uses": "./.github/workflows/attest.yml", "secrets": "inherit"}
    files = {".github/workflows/attest.yml": json.dumps(called)}
    record = run(act, mail_server, calling, files)
    assert record.succeeded, record.messages()
    assert mailed_workflows(mail_server, 1) == ["release"]
