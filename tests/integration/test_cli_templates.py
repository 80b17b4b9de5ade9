"""The user's own words in a mail: subject, templates, headers and threads, by the whole program."""

import json
from pathlib import Path

import pytest

from builders import cli_describe, cli_push, encoded, evaluation, statement
from program import INPUTS, PUSHED, Post, Program, never, parsed, text_of

BLOCKED = encoded(
    cli_push(
        statement(
            project="harbour",
            workflow="build",
            evaluations=[evaluation("no-agpl", violations=["AGPL-3.0 in keel"], is_gate=True)],
        )
    )
).decode()
EARLIER = encoded(cli_push(statement(run_id="00000000-6a51-4a5b-9c1d-0e5f3c2b7a90"))).decode()
ACTIONS = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_REPOSITORY": "lakeside/harbour",
    "GITHUB_SERVER_URL": "https://github.example",
    "GITHUB_RUN_ID": "7",
    "GITHUB_RUN_ATTEMPT": "1",
    "GITHUB_JOB": "attest",
    "GITHUB_REF": "refs/heads/main",
}


def folder(tmp_path: Path, **files: str) -> str:
    path = tmp_path / "templates of ours"
    path.mkdir()
    for name, text in files.items():
        (path / f"{name.replace('_', '.')}.j2").write_text(text, encoding="utf-8")
    return str(path)


def test_templates_and_subject_make_the_mail_and_the_summary(
    program: Program, tmp_path: Path
) -> None:
    inputs = INPUTS | {
        "attestation": BLOCKED,
        "job-status": "failure",
        "subject": "{{ wording.badge }} at {{ attestation.workflow.project }}",
        "template-dir": folder(
            tmp_path,
            mail_txt='{% extends "chainloop/mail.txt.j2" %}'
            "{% block footer %}Ask Ada.{% endblock %}",
            summary_md="## Ask *Ada*\n",
        ),
    }
    post = Post()
    ended = program("send", inputs=inputs, post=post)

    assert ended.code == 0, ended.stderr
    (mail,) = post.mails
    assert parsed(mail.content)["Subject"] == mail.subject == "Blocked by gate at harbour"
    assert text_of(mail.content).endswith("Ask Ada.\r\n")
    assert "AGPL-3.0 in keel" in text_of(mail.content)
    assert "<title>Blocked by gate at harbour</title>" in mail.html
    assert "## Ask *Ada*\n" in ended.summary


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"subject": "{{ wrding }}"}, "subject, line 1: 'wrding' is undefined"),
        ({"mail_txt": "a\n{% if %}"}, "mail.txt.j2, line 2: Expected an expression"),
        ({"mail_htm": "a"}, "template-dir 'mail.htm.j2': nothing uses this template"),
    ],
)
def test_a_broken_template_is_4_before_anything_is_asked_of_the_network(
    program: Program, tmp_path: Path, inputs: dict[str, str], said: str
) -> None:
    files = {name: text for name, text in inputs.items() if "_" in name}
    given = {name: text for name, text in inputs.items() if name not in files}
    if files:
        given["template-dir"] = folder(tmp_path, **files)
    # Nobody listens there: it would be error 3.
    given["attestation"] = "https://127.0.0.1:1/attestation.json"
    ended = program("send", inputs=INPUTS | given, post=never)

    assert ended.code == 4
    assert f"  {said}" in ended.stderr
    assert ended.annotations == [("error", "The mail cannot be written")]


def test_a_template_that_no_evidence_fits_is_4_and_nothing_is_sent(
    program: Program, tmp_path: Path
) -> None:
    inputs = {"template-dir": folder(tmp_path, mail_txt="\n{{ attestation.workflow.name }}")}
    ended = program("send", inputs=INPUTS | inputs, post=never)

    assert ended.code == 4
    assert "  mail.txt.j2, line 2: 'workflow' is looked up in None: the" in ended.stderr


def test_evidence_is_escaped_in_the_html_whatever_template_prints_it(
    program: Program, tmp_path: Path
) -> None:
    image = "<img src=x onerror=alert(1)>"
    given = {
        "attestation": encoded(cli_push(statement(project=image))).decode(),
        "dry-run": "true",
        "output-dir": str(tmp_path / "mails"),
    }
    row = "{% macro row() %}{{ caller() }}{% endmacro %}{{ attestation.workflow.project }}"
    html = (
        '{% from "row.html.j2" import row with context %}{% include "row.html.j2" %}'
        "{% call row() %}{% filter indent(attestation.workflow.project) %}a\nb{% endfilter %}"
        "{% endcall %}"
    )
    templates = folder(tmp_path, mail_html=html, row_html=row)
    ended = program("send", inputs=INPUTS | given | {"template-dir": templates}, post=never)

    assert ended.code == 0, ended.stderr
    (written,) = (tmp_path / "mails").glob("*.html")
    escaped = "&lt;img src=x onerror=alert(1)&gt;"
    assert written.read_text() == f"{escaped}a\n{escaped}b"

    (Path(templates) / "mail.html.j2").write_text('<p>\n{% include "row.txt.j2" %}')
    (Path(templates) / "row.html.j2").rename(Path(templates) / "row.txt.j2")
    ended = program("send", inputs=INPUTS | given | {"template-dir": templates}, post=never)

    assert ended.code == 4
    assert "  mail.html.j2, line 2: 'row.txt.j2' does not end in .html.j2, so its" in ended.stderr


@pytest.mark.parametrize("needs", ["", '{"build": {"result": "failure"}}'], ids=["job", "needs"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mail_txt", "\n{{ attestation.workflow.name }}"),
        ("subject_txt", "{{ attestation.digest }}"),
    ],
    ids=["text", "subject"],
)
def test_the_mail_about_a_failed_job_does_without_a_template_that_does_not_fit(
    program: Program, tmp_path: Path, needs: str, name: str, text: str
) -> None:
    inputs = INPUTS | {
        "template-dir": folder(tmp_path, **{name: text, "mail_html": "<p>Ours</p>"}),
        "job-status": "success" if needs else "failure",
        "needs": needs,
    }
    post = Post()
    ended = program("send", inputs=inputs, post=post)

    assert ended.code == 0, ended.stderr
    (mail,) = post.mails
    assert ended.outputs["outcome"] == "failed"
    assert "Failed" in mail.subject
    assert "No evidence was given" in text_of(mail.content)
    assert "<p>Ours</p>" not in mail.html
    why = ended.annotation("a template cannot be used")
    assert f"{name.replace('_', '.')}.j2, line " in why
    assert why.endswith(
        "\nThe run did not succeed, so its mail is sent with the built-in templates instead of "
        "yours."
    )


BROKEN = [
    ({"subject": "Fix {% of the day"}, "subject, line 1: "),
    ({"subject": "{{ wrding.badge }}"}, "subject, line 1: 'wrding' is undefined"),
    ({"mail_txt": "a\n{% if %}"}, "mail.txt.j2, line 2: Expected an expression"),
    ({"summary_md": "{{ a.b( }}"}, "summary.md.j2, line 1: "),
    ({"mail_htm": "a"}, "template-dir 'mail.htm.j2': nothing uses this template"),
    (
        {"template-dir": "not/checked/out"},
        "template-dir: 'not/checked/out' is not a readable folder",
    ),
]


@pytest.mark.parametrize("is_listed", [False, True], ids=["inputs", "configuration file"])
@pytest.mark.parametrize("status", ["failure", "cancelled"])
@pytest.mark.parametrize(("broken", "why"), BROKEN)
def test_the_mail_about_a_failed_job_does_without_a_broken_template(
    program: Program,
    tmp_path: Path,
    status: str,
    is_listed: bool,
    broken: dict[str, str],
    why: str,
) -> None:
    texts = {name: text for name, text in broken.items() if "_" in name}
    given = {name: text for name, text in broken.items() if name not in texts}
    if texts:
        given["template-dir"] = folder(tmp_path, **texts, mail_html="<p>Ours</p>")
    inputs = given | {"job-status": status}
    if is_listed:
        file = {
            "registrations": [
                {**INPUTS, "name": "relay", "password": {"env": "PASSWORD"}},
            ],
            "attachments": [{"registration": "relay"}],
        }
        (tmp_path / "mails.yml").write_text(json.dumps(file), encoding="utf-8")
        inputs["config"] = str(tmp_path / "mails.yml")
    else:
        inputs = INPUTS | inputs
    post = Post()
    environ = {"PASSWORD": INPUTS["password"]}
    ended = program("send", inputs=inputs, environ=environ, post=post)

    assert ended.code == 0, ended.stderr
    (mail,) = post.mails
    outcome = {"failure": "failed"}.get(status, status)
    assert parsed(mail.content)["X-Chainloop-Outcome"] == outcome
    assert text_of(mail.content).startswith(f"{outcome.upper()}: ")
    assert "<p>Ours</p>" not in mail.html
    assert ("warning", "a template cannot be used") in ended.annotations
    assert why in ended.log
    assert "sent with the built-in templates instead of yours" in ended.log

    post = Post()
    ended = program("send", inputs=inputs | {"job-status": "success"}, environ=environ, post=post)
    assert ended.code == (2 if "not/checked/out" in why else 4)
    assert why in ended.stderr
    assert post.mails == []


@pytest.mark.parametrize("conclusion", ["failure", "timed_out", "cancelled"])
@pytest.mark.parametrize("is_listed", [False, True], ids=["inputs", "configuration file"])
@pytest.mark.parametrize(
    "broken",
    [{"subject": "{{"}, {"subject": "Fix {# x"}, {"template-dir": "nowhere"}],
    ids=["tag", "comment", "folder"],
)
def test_the_mail_about_a_workflow_run_that_failed_does_without_a_broken_template(
    program: Program, tmp_path: Path, conclusion: str, is_listed: bool, broken: dict[str, str]
) -> None:
    event = {"workflow_run": {"id": 41, "name": "Release", "conclusion": conclusion}}
    (tmp_path / "event.json").write_text(json.dumps(event))
    environ = {
        "GITHUB_EVENT_NAME": "workflow_run",
        "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
        "GITHUB_REPOSITORY": "lakeside/harbour",
        "GITHUB_RUN_ID": "42",
        "PASSWORD": INPUTS["password"],
    }
    inputs = broken | {"job-status": "success"}
    if is_listed:
        registration = {**INPUTS, "name": "relay", "password": {"env": "PASSWORD"}}
        file = {"registrations": [registration], "attachments": [{"registration": "relay"}]}
        (tmp_path / "mails.yml").write_text(json.dumps(file), encoding="utf-8")
        inputs["config"] = str(tmp_path / "mails.yml")
    else:
        inputs = INPUTS | inputs
    post = Post()
    ended = program("send", inputs=inputs, environ=environ, post=post)

    assert ended.code == 0, ended.stderr
    (mail,) = post.mails
    assert "Release" in mail.subject
    assert ("warning", "a template cannot be used") in ended.annotations
    # A run that went well does not hide the mistake.
    event["workflow_run"]["conclusion"] = "success"
    (tmp_path / "event.json").write_text(json.dumps(event))
    ended = program("send", inputs=inputs, environ=environ, post=never)
    assert ended.code == (2 if "template-dir" in broken else 4)


@pytest.mark.parametrize(
    ("state", "code"), [("success", 4), ("failed", 0), ("expired", 0), ("canceled", 0)]
)
def test_the_mail_about_a_chainloop_run_that_failed_does_without_a_template_that_does_not_fit(
    program: Program, tmp_path: Path, state: str, code: int
) -> None:
    described = encoded(cli_describe(statement(), state=state))
    (tmp_path / "run.json").write_bytes(described)
    inputs = INPUTS | {"attestation": str(tmp_path / "run.json"), "subject": "{{ 1 // 0 }}"}
    post = Post()
    ended = program("send", inputs=inputs, post=post)

    assert (ended.code, len(post.mails)) == (code, 1 if code == 0 else 0), ended.stderr
    assert (("warning", "a template cannot be used") in ended.annotations) is (code == 0)


def test_a_secret_in_a_template_keeps_the_mail_about_a_failed_job_too(
    program: Program, tmp_path: Path
) -> None:
    inputs = INPUTS | {
        "template-dir": folder(tmp_path, mail_txt=f"{INPUTS['password']}\n"),
        "job-status": "failure",
    }
    ended = program("send", inputs=inputs, post=never)
    assert ended.code == 4
    assert "contains the value of password" in ended.stderr


def test_a_folder_that_is_not_there_is_2(program: Program) -> None:
    ended = program("send", inputs=INPUTS | {"template-dir": "not/there"}, post=never)

    assert ended.code == 2
    assert "template-dir: 'not/there' is not a readable folder" in ended.stderr


def test_a_folder_in_the_workspace_is_no_link_to_somebody_elses(
    program: Program, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    theirs = folder(tmp_path_factory.mktemp("home"), mail_txt="hunter2")
    (tmp_path / "mails").symlink_to(theirs)
    inputs = INPUTS | {"template-dir": str(tmp_path / "mails")}
    environ = ACTIONS | {"GITHUB_WORKSPACE": str(tmp_path)}
    ended = program("send", inputs=inputs, environ=environ, post=never)

    assert ended.code == 2
    assert "is not a readable folder: it is a link out of the workspace" in ended.stderr


def test_the_same_mail_of_one_attempt_has_one_id_and_each_attempt_joins_the_thread(
    program: Program, tmp_path: Path
) -> None:
    post = Post()
    for place, attempt in enumerate(("1", "1", "2")):
        environ = ACTIONS | {"GITHUB_RUN_ATTEMPT": attempt}
        # Where no receipt tells of an earlier one.
        inputs = INPUTS | {"attestation": BLOCKED, "output-dir": str(tmp_path / f"out{place}")}
        program("send", inputs=inputs, environ=environ, post=post)
    first, again, second = post.mails

    assert first.message_id == again.message_id != second.message_id
    roots = {parsed(each.content)["References"] for each in post.mails}
    assert len(roots) == 1
    assert roots == {parsed(each.content)["In-Reply-To"] for each in post.mails}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"project": "a"}, {"project": "b"}),
        ({"workflow": "a"}, {"workflow": "b"}),
        (
            {"needs": '{"build": {"result": "success"}}'},
            {"needs": '{"test": {"result": "success"}}'},
        ),
        ({"job-status": "failure"}, {"job-status": "failure", "needs": "{}", "subject": "x"}),
        ({"subject": "a"}, {"subject": "b"}),
        ({"subject": "a"}, {"subject": "a{# the same words #}"}),
        ({"attach": "a.txt"}, {"attach": "b.txt"}),
        ({"attach": "report"}, {"attach": "report\na.txt"}),
        ({"headers": "X-Team: a"}, {"headers": "X-Team: b"}),
        ({"reply-to": "a@example.com"}, {"reply-to": "b@example.com"}),
        ({"cc": "a@example.com"}, {"cc": "b@example.com"}),
        ({"thread": "run"}, {"thread": "none"}),
        ({"attestation": PUSHED}, {"attestation": PUSHED, "previous-attestation": EARLIER}),
        (
            {"attestation": PUSHED, "env-values": "show"},
            {"attestation": PUSHED, "env-values": "hide"},
        ),
    ],
)
def test_two_steps_of_one_job_that_differ_both_mail_and_each_of_them_once(
    program: Program, tmp_path: Path, first: dict[str, str], second: dict[str, str]
) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(name)
    environ = ACTIONS | {"GITHUB_WORKSPACE": str(tmp_path)}
    sent = []
    for number, step in enumerate((first, second)):
        post = Post()
        inputs = INPUTS | step | {"output-dir": str(tmp_path / f"out{number}")}
        ended = program("send", inputs=inputs, environ=environ, post=post)
        assert (ended.code, ended.outputs["sent"]) == (0, "true"), ended.stderr
        ended = program("send", inputs=inputs, environ=environ, post=post)
        assert (ended.code, ended.outputs["sent"]) == (0, "false"), ended.stderr
        assert ended.outputs["skipped"] == "this mail was already sent, according to the receipt"
        (mail,) = post.mails
        sent.append(mail)
    # In one folder, where the second step finds the receipt of the first.
    post = Post()
    for step in (first, second):
        inputs = INPUTS | step | {"output-dir": str(tmp_path / "out")}
        program("send", inputs=inputs, environ=environ, post=post)

    assert [each.message_id for each in post.mails] == [each.message_id for each in sent]
    assert sent[0].message_id != sent[1].message_id


def test_without_ci_and_without_a_thread_each_mail_stands_alone(program: Program) -> None:
    post = Post()
    for _ in range(2):
        inputs = INPUTS | {"attestation": PUSHED, "thread": "none"}
        program("send", inputs=inputs, post=post)
    first, second = post.mails

    assert first.message_id != second.message_id
    assert "References" not in parsed(first.content)


def test_the_runs_of_a_branch_share_thread_and_stem(program: Program) -> None:
    post = Post()
    for run, status in (("7", "success"), ("8", "failure")):
        environ = ACTIONS | {"GITHUB_RUN_ID": run}
        inputs = INPUTS | {"attestation": PUSHED, "thread": "ref", "job-status": status}
        program("send", inputs=inputs, environ=environ, post=post)
    first, second = post.mails

    assert parsed(first.content)["References"] == parsed(second.content)["References"]
    assert first.subject != second.subject
    stems = {each.subject.rpartition("] ")[2] for each in post.mails}
    assert len(stems) == 1


def test_headers_of_the_users_own_are_in_every_mail_also_the_registrations(
    program: Program,
) -> None:
    inputs = INPUTS | {"headers": "X-PM-Message-Stream: reports\nX-Team: Häfen"}
    post = Post()
    program("send", inputs=inputs, post=post)
    program("integration", "registered", "add", "smtp", inputs=inputs, post=post)

    assert len(post.mails) == 2
    for mail in post.mails:
        assert parsed(mail.content)["X-PM-Message-Stream"] == "reports"
        assert parsed(mail.content)["X-Team"] == "Häfen"


def test_headers_that_are_not_the_users_are_2(program: Program) -> None:
    inputs = INPUTS | {"headers": "Bcc: x@evil.test\nContent-Type: text/html\nX Y: z"}
    ended = program("send", inputs=inputs, post=never)

    assert ended.code == 2
    assert ended.stderr.count("\n  headers: ") == 3
