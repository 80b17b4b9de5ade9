"""The Action as workflows use it: run by act, mailing through Postfix, read in the mailboxes."""

import base64
import hashlib
import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import trustme

import mailserver
import signers
from builders import cli_push, encoded, evaluation, material, statement
from e2e.act import Act, Record
from e2e.received import as_sent, parsed, text_of
from mailserver import MailServer
from program import NOTHING
from proxies import Tunnel
from sink import Fault, Sink
from website import listed_job, listed_jobs, serve

TO = "security@example.test"
CC = "release@example.test"
BCC = "audit@example.test"
RECIPIENTS = (TO, CC, BCC)

REMOTE = "lakeside/chainloop-smtp@v1"
Step = Mapping[str, Any]

CHECKOUT: Step = {"uses": "actions/checkout@v4"}
FAIL: Step = {"name": "Build", "run": "exit 1"}
# What later steps see of ours, and files that do not outlive the job.
KEEP: Step = {
    "name": "Keep",
    "if": "${{ always() }}",
    "env": {
        "STEP": "${{ toJSON(steps.mail) }}",
        "EML": "${{ steps.mail.outputs.eml }}",
        "RECEIPT": "${{ steps.mail.outputs.receipt }}",
    },
    "run": (
        'printf %s "$STEP" >"$KEPT/step.json"\n'
        'for file in "$EML" "$RECEIPT"; do [ -z "$file" ] || cp "$file" "$KEPT"; done\n'
    ),
}

# Of the one run that act knows.
PUSHED = statement(
    evaluations=[evaluation("sbom-present", material="sbom")], environment={"GITHUB_RUN_ID": "1"}
)


def job(*steps: Step, **keys: Any) -> dict[str, Any]:
    return {"runs-on": "ubuntu-latest", "steps": [CHECKOUT, *steps], **keys}


def mail(inputs: Mapping[str, object], uses: str = "./") -> Step:
    return {
        "name": "Mail the evidence",
        "id": "mail",
        "if": "${{ always() }}",
        "uses": uses,
        "with": {name: str(value) for name, value in inputs.items()},
    }


def submitting(server: MailServer, **inputs: object) -> dict[str, object]:
    """The inputs of somebody with an account, who submits with STARTTLS."""
    return {
        "host": "localhost",
        "port": server.submission_port,
        "user": server.user,
        "password": "${{ secrets.PASSWORD }}",
        "tls-ca-file": server.ca_file,
        "from": "Harbour CI <ci@example.test>",
        "to": f"Sécurité, the team <{TO}>".replace("Sécurité, the team", '"Sécurité, the team"'),
        **{name.replace("_", "-"): value for name, value in inputs.items()},
    }


def relaying(port: int, **inputs: object) -> dict[str, object]:
    """The inputs of somebody whose relay on this machine knows no TLS."""
    return {
        "host": "127.0.0.1",
        "port": port,
        "tls": "none",
        "auth": "none",
        "from": "ci@example.test",
        "to": TO,
        **inputs,
    }


def secrets(server: MailServer) -> dict[str, str]:
    return {"PASSWORD": server.password}


def outputs_of(record: Record) -> dict[str, str]:
    outputs: dict[str, str] = record.json("step.json")["outputs"]
    assert outputs.keys() == NOTHING.keys()
    return outputs


def summary_of(record: Record) -> str:
    # act reports it once for the step inside the Action, and once for the step that uses it.
    (content,) = {each["content"] for each in record.entries if each.get("command") == "summary"}
    return str(content)


# ------------------------------------------------------------------------------- what it does


@pytest.mark.parametrize(
    ("uses", "tls"), [("./", "starttls"), (REMOTE, "implicit")], ids=["local", "released"]
)
def test_a_passed_run_is_in_the_mailboxes_of_to_and_cc_and_bcc(
    act: Act, mail_server: MailServer, uses: str, tls: str
) -> None:
    is_implicit = tls == "implicit"
    port = mail_server.submissions_port if is_implicit else mail_server.submission_port
    inputs = submitting(
        mail_server,
        port=port,
        # What `auto` makes of a port that nobody knows is STARTTLS.
        tls="implicit" if is_implicit else "auto",
        cc=CC,
        bcc=BCC,
        attestation="attestation.json",
    )
    record = act.run(
        {"jobs": {"ship": job(mail(inputs, uses), KEEP)}},
        secrets=secrets(mail_server),
        files={"attestation.json": encoded(cli_push(PUSHED))},
        arguments=[f"--local-repository={REMOTE}={act.checkout}"],
    )

    assert record.succeeded, record.messages()
    (for_to,), (for_cc,), (for_bcc,) = (mail_server.mailbox(each) for each in RECIPIENTS)
    assert as_sent(for_to) == as_sent(for_cc) == as_sent(for_bcc)
    message = parsed(for_to)
    assert str(message["From"]) == "Harbour CI <ci@example.test>"
    assert [each.addr_spec for each in message["To"].addresses] == [TO]
    assert [each.display_name for each in message["To"].addresses] == ["Sécurité, the team"]
    assert [each.addr_spec for each in message["Cc"].addresses] == [CC]
    assert "Bcc" not in message
    assert BCC.encode() not in for_to + for_cc
    assert message["Auto-Submitted"] == "auto-generated"
    assert f"Authenticated sender: {mail_server.user}" in message["Received"]
    assert "TLSv1.3" in message["Received"]
    assert "harbour" in message["Subject"]

    digest = cli_push(PUSHED)["digest"]
    text = text_of(message)
    assert digest.removeprefix("sha256:") in text
    assert "sbom-present" in text

    outputs = outputs_of(record)
    assert outputs["sent"] == "true"
    assert outputs["skipped"] == ""
    assert outputs["outcome"] == "passed"
    assert outputs["policy-status"] == "PASSED"
    assert outputs["digest"] == digest
    assert outputs["message-id"] == message["Message-ID"]
    assert json.loads(outputs["accepted"]) == list(RECIPIENTS)
    assert json.loads(outputs["refused"]) == []
    assert outputs["attempts"] == "1"
    (eml,) = record.kept.glob("*.eml")
    assert eml.read_bytes().replace(b"\r\n", b"\n") == as_sent(for_to)
    assert record.json("receipt.json")["deliveries"][0]["messageId"] == message["Message-ID"]
    assert "harbour" in summary_of(record)
    assert not {"error", "warning", "notice"} & record.command_names()


def test_what_is_attached_arrives_byte_for_byte(act: Act, mail_server: MailServer) -> None:
    evidence = b"\xef\xbb\xbf" + encoded(cli_push(PUSHED)).replace(b"\n", b"\r\n")
    earlier = statement(run_id="00000000-6a51-4a5b-9c1d-0e5f3c2b7a90")
    scan = bytes(range(256)) * 700 + b"\r\n.\r\nQUIT\r\n"
    inputs = submitting(
        mail_server,
        cc=CC,
        attestation="attestation.json",
        previous_attestation="previous.json",
        attach="attestation\nreport\nscans/**/*.sarif\nscans/größe.html",
    )
    record = act.run(
        {"jobs": {"ship": job(mail(inputs), KEEP)}},
        secrets=secrets(mail_server),
        files={
            "attestation.json": evidence,
            "previous.json": encoded(cli_push(earlier)),
            "scans/deep/a.sarif": scan,
            "scans/größe.html": b"<script>alert(1)</script>",
        },
    )

    assert record.succeeded, record.messages()
    for address in (TO, CC):
        message = parsed(*mail_server.mailbox(address))
        attached = {part.get_filename(): part for part in message.iter_attachments()}
        contents = {
            name: cast(bytes, part.get_payload(decode=True)) for name, part in attached.items()
        }
        report = json.loads(contents.pop("chainloop-report.json"))
        assert report["changes"]["outcome"] == {"before": "attested", "after": "passed"}
        assert contents == {
            "attestation.json": evidence,
            "a.sarif": scan,
            "größe.html": b"<script>alert(1)</script>",
        }
        assert attached["größe.html"].get_content_type() == "application/octet-stream"
        text = text_of(message)
        assert hashlib.sha256(scan).hexdigest() in text
        assert "changed since 1 sep 2026" in text


def test_after_a_failed_step_the_mail_says_so(act: Act, mail_server: MailServer) -> None:
    inputs = submitting(mail_server, attestation="attestation.json")
    record = act.run(
        {"jobs": {"ship": job(FAIL, mail(inputs), KEEP)}},
        secrets=secrets(mail_server),
        files={"attestation.json": encoded(cli_push(PUSHED))},
    )

    assert not record.succeeded
    assert record.json("step.json")["outcome"] == "success"
    assert outputs_of(record)["outcome"] == "failed"
    message = parsed(*mail_server.mailbox(TO))
    assert "failed" in message["Subject"].lower()
    assert "job ship failed" in text_of(message)
    assert "failed" in summary_of(record).lower()


def test_a_step_that_fails_before_the_attestation_is_mailed_all_the_same(
    act: Act, mail_server: MailServer
) -> None:
    inputs = submitting(mail_server, attestation="not/there.json")
    record = act.run(
        {"jobs": {"ship": job(FAIL, mail(inputs), KEEP)}}, secrets=secrets(mail_server)
    )

    outputs = outputs_of(record)
    assert (outputs["sent"], outputs["outcome"], outputs["digest"]) == ("true", "failed", "")
    assert "job ship failed" in text_of(parsed(*mail_server.mailbox(TO)))


def test_a_failed_job_asks_github_at_which_step(act: Act, tmp_path: Path) -> None:
    authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("api.github.com").configure_cert(context)
    ship = listed_job("ship", id_=7, steps=[("Check out", "success"), ("Build", "failure")])
    with serve(context) as site, Sink(needs_login=False) as server, Tunnel().http() as proxy:
        listed_jobs(site, ship, run_id=1)
        proxy.hosts = {"api.github.com": ("127.0.0.1", site.port)}
        # Installs the packages, for which the second one has neither network nor certificates.
        first = {**mail(relaying(server.port, **{"dry-run": "true"})), "id": "first"}
        lines = f"HTTPS_PROXY=http://127.0.0.1:{proxy.port}\nREQUESTS_CA_BUNDLE={tmp_path}/ca.pem"
        behind_proxy = {"run": f"printf '%s\\n' '{lines}' >> \"$GITHUB_ENV\""}
        second = mail(relaying(server.port, **{"github-token": "${{ secrets.TOKEN }}"}))
        record = act.run(
            {"jobs": {"ship": job(first, behind_proxy, FAIL, second, KEEP)}},
            secrets={"TOKEN": "t0k3n"},
        )

    assert outputs_of(record)["sent"] == "true", record.messages()
    assert site.credentials == ["Bearer t0k3n"]
    ((_, received),) = server.taken
    assert "job ship failed at step build" in text_of(parsed(received))


def test_a_signature_is_verified_and_a_wrong_one_fails_the_step_after_its_mail(act: Act) -> None:
    authority = signers.root("Lakeside authority")
    good = signers.signed_bundle(PUSHED, authority.issue_signer("Lakeside"))
    stranger = signers.root("Lakeside authority").issue_signer("Lakeside")
    # PEM text from a variable, and a file of the workspace.
    trust = {"trusted-root": "${{ env.ROOT }}", "attestation": "good.json"}
    with Sink(needs_login=False) as server:
        first = {**mail(relaying(server.port, **trust)), "id": "first"}
        required = {"trusted-root": "root.pem", "require-signature": "true"}
        second = mail(relaying(server.port, attestation="bad.json", **required))
        record = act.run(
            {"env": {"ROOT": authority.pem}, "jobs": {"ship": job(first, second, KEEP)}},
            files={
                "good.json": encoded(good),
                "bad.json": encoded(signers.signed_bundle(PUSHED, stranger)),
                "root.pem": authority.pem.encode(),
            },
        )

    assert (record.exit_code("first"), record.exit_code()) == (0, 3), record.messages()
    (_, verified), (_, failed) = server.taken
    assert parsed(verified)["X-Chainloop-Signature"] == "verified"
    assert "signed by: cn=lakeside" in text_of(parsed(verified))
    assert "] Invalid signature: " in parsed(failed)["Subject"]
    outputs = outputs_of(record)
    assert (outputs["sent"], outputs["signature"], outputs["outcome"]) == ("true", *2 * ("failed",))
    assert "by another key" in "\n".join(record.commands("error"))


def test_a_blocked_run_is_mailed_as_blocked(act: Act, mail_server: MailServer) -> None:
    blocked = statement(
        evaluations=[evaluation("no-agpl", violations=["AGPL-3.0 in keel"], is_gate=True)]
    )
    # The JSON itself, with every character that YAML, bash or an expression might take for its own.
    text = encoded(cli_push(blocked)).decode()
    inputs = submitting(mail_server, attestation="${{ env.ATTESTATION }}")
    record = act.run(
        {"env": {"ATTESTATION": text}, "jobs": {"ship": job(FAIL, mail(inputs), KEEP)}},
        secrets=secrets(mail_server),
    )

    outputs = outputs_of(record)
    assert (outputs["outcome"], outputs["policy-status"]) == ("blocked", "BLOCKED")
    message = parsed(*mail_server.mailbox(TO))
    assert "blocked" in message["Subject"].lower()
    assert "agpl-3.0 in keel" in text_of(message)


@pytest.mark.parametrize(
    ("needs", "reason"),
    [
        ("${{ toJSON(needs) }}", "job compile failed"),
        ("${{ toJSON(needs.*.result) }}", "an earlier job failed"),
        ("${{ join(needs.*.result) }}", "an earlier job failed"),
    ],
)
def test_a_job_of_its_own_tells_what_became_of_the_others(
    act: Act, mail_server: MailServer, needs: str, reason: str
) -> None:
    inputs = submitting(mail_server, attestation="attestation.json", needs=needs)
    record = act.run(
        {
            "jobs": {
                "compile": job(FAIL),
                "attest": job({"run": "true"}),
                "tell": job(
                    mail(inputs), KEEP, **{"needs": ["compile", "attest"], "if": "${{ always() }}"}
                ),
            }
        },
        secrets=secrets(mail_server),
        files={"attestation.json": encoded(cli_push(PUSHED))},
    )

    assert outputs_of(record)["outcome"] == "failed"
    message = parsed(*mail_server.mailbox(TO))
    assert "failed" in message["Subject"].lower()
    assert reason in text_of(message).lower()
    assert ("compile" in text_of(message)) is (needs == "${{ toJSON(needs) }}")


def test_paths_with_spaces_are_paths_and_the_second_run_installs_nothing(
    act: Act, mail_server: MailServer, tmp_path: Path
) -> None:
    # act itself can do nothing in a home with spaces; the tool cache is a colder one all the same.
    home = tmp_path / "home"
    home.mkdir()
    inputs = submitting(
        mail_server, attestation="our evidence/the run.json", output_dir="mails we sent"
    )
    install = "Install the dependencies of Chainloop SMTP"
    groups = []
    for attempt in ("first run", "second run"):
        here = Act(program=act.program, home=home, checkout=act.checkout, root=tmp_path / attempt)
        record = here.run(
            {"jobs": {"ship": job(mail(inputs, "./the tools/mail it"), KEEP)}},
            secrets=secrets(mail_server),
            files={"our evidence/the run.json": encoded(cli_push(PUSHED))},
            checkout_at="the tools/mail it",
        )
        assert record.succeeded, record.messages()
        assert "mails we sent" in outputs_of(record)["eml"]
        groups.append(record.commands("group"))
    assert groups == [[install], []]
    assert len(mail_server.mailbox(TO, count=2)) == 2


def test_a_dry_run_leaves_the_mail_in_a_file_only(act: Act, mail_server: MailServer) -> None:
    inputs = submitting(mail_server, dry_run="true", attestation="attestation.json")
    record = act.run(
        {"jobs": {"ship": job(mail(inputs), KEEP)}},
        secrets=secrets(mail_server),
        files={"attestation.json": encoded(cli_push(PUSHED))},
    )

    outputs = outputs_of(record)
    assert (outputs["sent"], outputs["outcome"]) == ("false", "passed")
    assert outputs["skipped"]
    (eml,) = record.kept.glob("*.eml")
    assert parsed(eml.read_bytes())["Message-ID"] == outputs["message-id"]
    mail_server.settle()
    assert mail_server.mailbox(TO, count=0) == []


def test_a_pull_request_from_a_fork_is_skipped(act: Act, mail_server: MailServer) -> None:
    event = {
        "pull_request": {
            "number": 7,
            "head": {"ref": "keel", "repo": {"full_name": "pirate/harbour", "fork": True}},
            "base": {"ref": "main", "repo": {"full_name": "lakeside/harbour", "fork": False}},
        },
        "repository": {"full_name": "lakeside/harbour", "fork": False},
    }
    record = act.run(
        # GitHub gives it no secrets.
        {"jobs": {"ship": job(mail(submitting(mail_server)), KEEP)}},
        event_name="pull_request",
        event=event,
    )

    assert record.succeeded, record.messages()
    outputs = outputs_of(record)
    assert outputs["sent"] == "false"
    assert "fork" in outputs["skipped"]
    assert len(record.commands("notice")) == 1
    mail_server.settle()
    assert mail_server.mailbox(TO, count=0) == []


# ---------------------------------------------------------------------------- what goes wrong


def test_every_wrong_input_is_named_at_once(act: Act) -> None:
    inputs = {"host": "https://mail.example.test", "port": "65536", "to": "nobody", "tls": "maybe"}
    record = act.run({"jobs": {"ship": job(mail(inputs), KEEP)}})

    assert not record.succeeded
    assert record.exit_code() == 2
    assert outputs_of(record)["sent"] == "false"
    (error,) = record.commands("error")
    for name in ("host", "port", "to", "tls", "from"):
        assert f"{name}: " in error


@pytest.mark.parametrize(
    ("refused", "reason", "require"),
    [("nobody@example.test", "5.1.1", "all"), ("someone@elsewhere.test", "5.7.1", "any")],
    ids=["all are required", "any is enough"],
)
def test_one_refused_recipient_does_not_stop_the_others(
    act: Act, mail_server: MailServer, refused: str, reason: str, require: str
) -> None:
    inputs = submitting(
        mail_server, cc=refused, bcc=BCC, require=require, attestation="attestation.json"
    )
    record = act.run(
        {"jobs": {"ship": job(mail(inputs), KEEP)}},
        secrets=secrets(mail_server),
        files={"attestation.json": encoded(cli_push(PUSHED))},
    )

    outputs = outputs_of(record)
    assert json.loads(outputs["accepted"]) == [TO, BCC]
    assert json.loads(outputs["refused"]) == [refused]
    assert len(mail_server.mailbox(TO)) == len(mail_server.mailbox(BCC)) == 1
    is_enough = require == "any"
    assert record.succeeded == is_enough
    assert outputs["sent"] == ("true" if is_enough else "false")
    assert record.exit_code() == (0 if is_enough else 5)
    (annotation,) = record.commands("warning" if is_enough else "error")
    assert refused in annotation
    assert reason in annotation


@pytest.mark.parametrize("fail_on_error", ["true", "false"], ids=["failing", "lenient"])
def test_a_mail_that_nobody_takes_is_kept(
    act: Act, mail_server: MailServer, fail_on_error: str
) -> None:
    inputs = submitting(
        mail_server, port=1, deadline=2, fail_on_error=fail_on_error, attestation="attestation.json"
    )
    record = act.run(
        {"jobs": {"ship": job(mail(inputs), KEEP)}},
        secrets=secrets(mail_server),
        files={"attestation.json": encoded(cli_push(PUSHED))},
    )

    is_fatal = fail_on_error == "true"
    assert record.succeeded != is_fatal
    assert record.exit_code() == (5 if is_fatal else 0)
    outputs = outputs_of(record)
    assert outputs["sent"] == "false"
    assert json.loads(outputs["accepted"]) == []
    (annotation,) = record.commands("error" if is_fatal else "warning")
    assert "localhost:1" in annotation
    (eml,) = record.kept.glob("*.eml")
    assert parsed(eml.read_bytes())["Message-ID"] == outputs["message-id"]


def test_a_certificate_of_an_authority_unknown_here_ends_it(
    act: Act, mail_server: MailServer
) -> None:
    inputs = submitting(mail_server)
    del inputs["tls-ca-file"]
    record = act.run({"jobs": {"ship": job(mail(inputs), KEEP)}}, secrets=secrets(mail_server))

    assert record.exit_code() == 5
    assert "certificate" in record.commands("error")[0].lower()
    mail_server.settle()
    assert mail_server.mailbox(TO, count=0) == []


# --------------------------------------------------------------------- what it must never do


def disguises(user: str, password: str) -> list[str]:
    """The password as it might stand in a log."""
    inside_json = json.dumps(password)[1:-1]
    return [
        password,
        *password.splitlines(),
        inside_json,
        json.dumps(password, ensure_ascii=False)[1:-1],
        *(
            base64.b64encode(octets).decode()
            for octets in (password.encode(), f"\0{user}\0{password}".encode())
        ),
    ]


@pytest.mark.parametrize("is_plain", [True, False], ids=["for-people", "for-programs"])
def test_a_password_that_works_is_not_in_the_log(
    act: Act, mail_server: MailServer, is_plain: bool
) -> None:
    account = mailserver.AWKWARD_ACCOUNT
    record = act.run(
        {"jobs": {"ship": job(mail(submitting(mail_server, user=account.user)), KEEP)}},
        secrets={"PASSWORD": account.password},
        is_plain=is_plain,
    )

    assert outputs_of(record)["sent"] == "true"
    assert f"sender: {account.user}" in parsed(*mail_server.mailbox(TO))["Received"]
    log = record.text if is_plain else record.messages()
    for disguise in disguises(account.user, account.password):
        assert disguise not in log


def test_a_password_that_the_server_repeats_is_not_in_the_log(act: Act) -> None:
    password = 'first "line" of it\nsecond line ✓'

    def repeating(line: bytes) -> bytes:
        encoded_response = line.split()[-1]
        clear = base64.b64decode(encoded_response).rpartition(b"\0")[2].split(b"\n")
        said = [encoded_response, base64.b64encode(password.encode()), *clear]
        inside_json = json.dumps(password).encode()
        return b"".join(b"535-5.7.8 no: %s\r\n" % each for each in said) + (
            b"535 5.7.8 no: %s\r\n" % inside_json
        )

    with Sink(always=Fault(answers=[(b"AUTH", repeating)])) as server:
        inputs = relaying(server.port, auth="plain", user="ci", password="${{ secrets.PASSWORD }}")
        record = act.run(
            {"jobs": {"ship": job(mail(inputs), KEEP)}},
            secrets={"PASSWORD": password},
            is_plain=True,
        )

    assert not record.succeeded
    assert "5.7.8" in record.text
    for disguise in disguises("ci", password):
        assert disguise not in record.text
    assert all(
        disguise not in str(record.json("step.json")) for disguise in disguises("ci", password)
    )


INJECTION = (
    "x\n::set-output name=sent::hacked\n  ::add-path::/hacked\r::set-env name=HACKED::yes\r\n"
    "##[error]hacked\n\x1b[2K::warning::hacked\u2028::notice::hacked\x85::debug::hacked"
)


def assert_nobody_spoke_to_the_runner(record: Record) -> None:
    ours = {"set-output", "summary", "error", "warning", "stop-commands", "group", "endgroup"}
    ours |= {"add-mask", *record.commands("stop-commands")}
    assert record.command_names() <= ours
    assert "hacked" not in str([each for each in record.entries if each.get("name") == "sent"])
    for line in record.lines():
        for part in line.splitlines():
            assert not part.lstrip().startswith("::")
        assert not {"\r", "\x1b", "\u2028", "\x85"} & set(line)
        assert "##[" not in line
    for warning in record.commands("warning"):
        assert "hacked" not in warning
    before, after = (record.kept / name for name in ("path.before", "path.after"))
    assert after.read_text() == before.read_text()
    assert outputs_of(record)["sent"] in ("true", "false")


PATH_BEFORE: Step = {"run": 'printf %s "$PATH" >"$KEPT/path.before"'}
PATH_AFTER: Step = {"if": "${{ always() }}", "run": 'printf %s "$PATH$HACKED" >"$KEPT/path.after"'}


def test_evidence_cannot_speak_to_the_runner_nor_write_headers(
    act: Act, mail_server: MailServer
) -> None:
    hostile = statement(
        workflow=f"ship{INJECTION}",
        project=f"harbour\r\nBcc: {BCC}\r\n\r\nhacked{INJECTION}",
        version=INJECTION,
        materials=[material(INJECTION, value=INJECTION), material("note", "STRING", INJECTION)],
        evaluations=[evaluation(INJECTION, violations=[INJECTION], description=INJECTION)],
        annotations={INJECTION: INJECTION},
        environment={INJECTION: INJECTION},
    )
    inputs = submitting(mail_server, attestation="attestation.json")
    record = act.run(
        {"jobs": {"ship": job(PATH_BEFORE, mail(inputs), KEEP, PATH_AFTER)}},
        secrets=secrets(mail_server),
        files={"attestation.json": encoded(cli_push(hostile))},
    )

    assert record.succeeded, record.messages()
    assert_nobody_spoke_to_the_runner(record)
    assert outputs_of(record)["sent"] == "true"
    message = parsed(*mail_server.mailbox(TO))
    assert "Bcc" not in message
    mail_server.settle()
    assert mail_server.mailbox(BCC, count=0) == []


def test_a_server_cannot_speak_to_the_runner(act: Act) -> None:
    lines = INJECTION.encode().replace(b"\r\n", b"\n").split(b"\n")
    reply = b"".join(b"550-5.1.1 %s\r\n550-%s\r\n" % (line, line) for line in lines)
    refusing = Fault(answers=[(b"RCPT", reply + b"550 %s\r\n" % lines[1])])
    with Sink(always=refusing, needs_login=False) as server:
        step = mail(relaying(server.port))
        record = act.run({"jobs": {"ship": job(PATH_BEFORE, step, KEEP, PATH_AFTER)}})

    assert record.exit_code() == 5
    assert_nobody_spoke_to_the_runner(record)
    assert json.loads(outputs_of(record)["refused"]) == [TO]
    # It has its say, as text.
    assert "hacked" in "\n".join(record.lines())
    (error,) = record.commands("error")
    assert "hacked" in error


def test_the_workspace_is_neither_imported_nor_touched(act: Act, mail_server: MailServer) -> None:
    trap = "import os, pathlib\npathlib.Path(os.environ['KEPT'], 'trapped').write_text(__file__)\n"
    names = ("yaml", "json", "smtplib", "email", "jinja2", "sitecustomize", "chainloop_smtp")
    snapshot = (
        "{ find . -path ./.git -prune -o -type f -print0 | sort -z | xargs -0 sha256sum\n"
        '  find "$(dirname "$(command -v python3)")" | sort\n'
        "  printenv PATH PYTHONPATH\n"
        '} >"$KEPT/%s"\n'
    )
    record = act.run(
        {
            "env": {
                "PYTHONPATH": "${{ github.workspace }}",
                "PYTHONSTARTUP": "${{ github.workspace }}/yaml.py",
                "PYTHONINSPECT": "",
                "PYTHONWARNINGS": "error",
            },
            "jobs": {
                "ship": job(
                    {"run": snapshot % "before"},
                    mail(submitting(mail_server, attestation="attestation.json")),
                    KEEP,
                    {"if": "${{ always() }}", "run": snapshot % "after"},
                )
            },
        },
        secrets=secrets(mail_server),
        files={
            "attestation.json": encoded(cli_push(PUSHED)),
            **{f"{name}.py": trap for name in names},
        },
    )

    assert record.succeeded, record.messages()
    assert len(mail_server.mailbox(TO)) == 1
    assert not record.kept.joinpath("trapped").exists()
    before, after = (record.kept.joinpath(each).read_text() for each in ("before", "after"))
    assert "yaml.py" in before
    assert after == before
