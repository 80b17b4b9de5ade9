"""The user's own words under act: subject, templates and headers, through real mail servers."""

import re
import socket

from builders import cli_push, encoded, evaluation, statement
from e2e.act import Act
from e2e.received import parsed, text_of
from e2e.test_action import KEEP, TO, job, mail, outputs_of, relaying, secrets, submitting
from mailserver import MailServer

BLOCKED = cli_push(
    statement(
        organization="lakeside",
        project="harbour",
        workflow="build and release",
        evaluations=[evaluation("no-agpl", violations=["AGPL-3.0 in keel"], is_gate=True)],
    )
)


def test_a_mail_carries_what_it_is_filtered_and_threaded_by(
    act: Act, mail_server: MailServer
) -> None:
    inputs = submitting(
        mail_server,
        attestation="attestation.json",
        **{"job-status": "failure"},
        headers="X-PM-Message-Stream: reports\nX-Team: Häfen",
    )
    # Two steps and one attempt: the same mail, by its id, and one thread. The second does not see
    # the receipt of the first, or it would send nothing.
    again = {**mail(inputs | {"output-dir": "elsewhere"}), "id": "again"}
    record = act.run(
        {"jobs": {"ship": job(mail(inputs), KEEP, again)}},
        secrets=secrets(mail_server),
        files={"attestation.json": encoded(BLOCKED)},
    )

    assert record.succeeded, record.messages()
    first, second = (parsed(each) for each in mail_server.mailbox(TO, count=2))
    assert first["Message-ID"] == second["Message-ID"] == outputs_of(record)["message-id"]
    root = first["References"]
    assert re.fullmatch(r"<thread-[0-9a-f]{32}@example\.test>", root)
    assert first["In-Reply-To"] == root == second["References"]
    found = {name: str(value) for name, value in first.items()}
    assert re.fullmatch(
        r"harbour / build and release "
        r"<build-and-release-[0-9a-f]{8}\.harbour\.chainloop-smtp\.example\.test>",
        found["List-Id"],
    )
    expected = {
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "DR, RN, NRN, OOF, AutoReply",
        "X-Chainloop-Outcome": "blocked",
        "X-Chainloop-Policy-Status": "BLOCKED",
        "X-Chainloop-Organization": "lakeside",
        "X-Chainloop-Project": "harbour",
        "X-Chainloop-Workflow": "build and release",
        "X-Chainloop-Digest": BLOCKED["digest"],
        "Importance": "high",
        "Priority": "urgent",
        "X-PM-Message-Stream": "reports",
        "X-Team": "Häfen",
    }
    assert {name: found[name] for name in expected} == expected
    assert found["X-Chainloop-Run-ID"]


def test_subject_and_templates_of_the_repository_make_the_mail(
    act: Act, mail_server: MailServer
) -> None:
    inputs = submitting(
        mail_server,
        attestation="attestation.json",
        **{"job-status": "failure"},
        subject="{{ wording.badge }} in {{ attestation.workflow.project }}\n({{ job.name }})",
        template_dir=".github/mail of ours",
    )
    html = (
        '{% extends "chainloop/mail.html.j2" %}'
        "{% block footer %}{{ muted('Ask <Ada>.') }}{{ super() }}{% endblock %}"
    )
    record = act.run(
        {"jobs": {"ship": job(mail(inputs), KEEP)}},
        secrets=secrets(mail_server),
        files={
            "attestation.json": encoded(BLOCKED),
            ".github/mail of ours/mail.html.j2": html,
            ".github/mail of ours/mail.txt.j2": "{{ attention[0].name }}: ask Ada.\n",
        },
    )

    assert record.succeeded, record.messages()
    message = parsed(*mail_server.mailbox(TO))
    assert message["Subject"] == "Blocked by gate in harbour (ship)"
    assert text_of(message) == "no-agpl: ask ada."
    body = message.get_body(("html",))
    assert body is not None
    assert "Ask &lt;Ada&gt;." in body.get_content()
    assert "Sent by job ship" in body.get_content()


def test_a_broken_template_is_told_by_line_and_nobody_is_connected_to(act: Act) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        inputs = relaying(server.getsockname()[1]) | {"template-dir": "mails"}
        record = act.run(
            {"jobs": {"ship": job(mail(inputs), KEEP)}},
            files={
                "mails/mail.txt.j2": "One\n{{ wording.bagde }}\n{{ wrding }}\n",
                "mails/mail.htm.j2": "x",
            },
        )
        server.setblocking(False)
        try:
            server.accept()
            is_called = True
        except BlockingIOError:
            is_called = False

    assert not record.succeeded
    assert record.exit_code() == 4
    assert outputs_of(record)["sent"] == "false"
    (error,) = record.commands("error")
    assert "mail.txt.j2, line 3: 'wrding' is undefined" in error
    assert "Did you mean wording?" in error
    assert not is_called
