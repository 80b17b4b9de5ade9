"""Evidence with a signature: what the step, its mail and whoever verifies it later say."""

import base64
import json
from email import message_from_bytes
from email.policy import SMTP
from pathlib import Path
from typing import Any

import pytest

import signers
from builders import JSON, cli_describe, cli_push, digest_of, encoded, evaluation, statement
from chainloop_smtp.model.mail import Mail
from chainloopcommand import Chainloop
from program import INPUTS, Ended, Post, Program, failure, never, parsed, text_of

ROOT = signers.root("Lakeside/Lakeside authority")
OTHER = signers.root("Lakeside/Lakeside authority")
CLOCKS = signers.root("Lakeside clocks")
CLOCK = CLOCKS.issue_stamper("Lakeside clock")
STAMPED = ROOT.pem + CLOCKS.pem + CLOCK.pem
SIGNER = ROOT.issue_signer("Lakeside")
EVALUATIONS = [evaluation("licenses", material="sbom", violations=["AGPL"])]
STATEMENT = statement()
GOOD = signers.signed_bundle(STATEMENT, SIGNER)
INVALID = "the signature does not verify: what was signed is not what the evidence contains"


def forged(document: JSON = GOOD, other: JSON | None = None) -> JSON:
    """The bundle with another statement in its envelope."""
    payload = json.dumps(other or statement(workflow="forged")).encode()
    envelope = document["dsseEnvelope"] | {"payload": base64.b64encode(payload).decode()}
    return document | {"dsseEnvelope": envelope}


def sent(
    program: Program, post: Any, *documents: JSON, trust: str = ROOT.pem, **more: str
) -> Ended:
    """A step that is given these documents."""
    paths = []
    for number, document in enumerate(documents):
        path = Path(f"evidence-{number}.json")
        path.write_bytes(encoded(document, indent=None))
        paths.append(str(path))
    inputs = INPUTS | {"attestation": "\n".join(paths), "trusted-root": trust}
    inputs |= {name.replace("_", "-"): value for name, value in more.items()}
    ended: Ended = program("send", inputs=inputs, post=post)
    return ended


def words(mail: Mail) -> str:
    return " ".join(text_of(mail.content).split())


# --- a mail about it ---------------------------------------------------------------------------


def test_a_good_signature_is_verified_everywhere(program: Program) -> None:
    post = Post()
    ended = sent(program, post, GOOD, attach="report", require_signature="true")

    assert ended.code == 0, ended.stderr
    assert ended.outputs["signature"] == "verified"
    assert "The signature verifies: signed by CN=Lakeside." in ended.stdout
    assert not [each for each in ended.annotations if "signature" in each[1]]
    mail = post.mails[0]
    message = parsed(mail.content)
    assert message["X-Chainloop-Signature"] == "verified"
    assert "Signature: verified" in words(mail)
    assert "Trusted root: O=Lakeside, CN=Lakeside authority" in words(mail)
    assert "Signed: not before 1 Sep 2026, 08:00:00 UTC" in words(mail)
    assert "could not be checked" not in words(mail)
    report = next(each for each in mail.parts if each.name == "chainloop-report.json")
    told = json.loads(report.content)["signature"]
    assert told["status"] == "verified"
    assert told["signedAt"] == "2026-09-01T08:00:00Z"
    receipt = json.loads(Path(ended.outputs["receipt"]).read_bytes())
    assert receipt["deliveries"][0]["signature"] == "verified"


def test_authorities_may_lie_in_a_file(program: Program) -> None:
    Path("root.pem").write_text(ROOT.pem)
    assert sent(program, Post(), GOOD, trust="root.pem").outputs["signature"] == "verified"


def test_a_timestamp_says_when_it_was_signed(program: Program) -> None:
    post = Post()
    stamped = signers.signed_bundle(STATEMENT, SIGNER, stamper=CLOCK)
    ended = sent(program, post, stamped, trust=STAMPED)
    assert ended.outputs["signature"] == "verified"
    assert "Timestamp: 1 Sep 2026, 08:01:00 UTC, CN=Lakeside clock" in words(post.mails[0])
    assert "Signed:" not in words(post.mails[0])


def test_a_timestamp_that_is_missing_is_told(program: Program) -> None:
    post = Post()
    ended = sent(program, post, GOOD, trust=STAMPED)
    assert ended.outputs["signature"] == "verified"
    shown = words(post.mails[0])
    assert "Signature: verified; no timestamp proves when it was signed" in shown
    assert "Signed: not before 1 Sep 2026, 08:00:00 UTC" in shown


def test_a_timestamp_that_nobody_vouches_for_is_said_not_to_be_checked(program: Program) -> None:
    post = Post()
    ended = sent(program, post, signers.signed_bundle(STATEMENT, SIGNER, stamper=CLOCK))
    assert ended.outputs["signature"] == "verified"
    assert "Signature: verified; the timestamp is not checked" in words(post.mails[0])


def test_a_key_that_signs_without_a_certificate_is_known_by_its_fingerprint(
    program: Program,
) -> None:
    key = signers.ec_key()
    payload = signers.payload_of(signers.bundle(STATEMENT))
    document = signers.bundle(STATEMENT, signers.sign(key, signers.pae(payload)))
    post = Post()
    ended = sent(program, post, document, trust="", verification_key=signers.public_pem(key))

    assert ended.outputs["signature"] == "verified"
    assert "signed by key sha256:" in ended.stdout
    assert "Signed by" not in words(post.mails[0])


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (forged(), INVALID),
        (
            signers.signed_bundle(STATEMENT, OTHER.issue_signer("Lakeside")),
            "but by another key",
        ),
    ],
    ids=["changed", "another authority of the same name"],
)
def test_a_wrong_signature_is_mailed_in_red_and_is_no_good_outcome(
    program: Program, document: JSON, reason: str
) -> None:
    post = Post()
    ended = sent(program, post, document)

    assert ended.code == 0, ended.stderr
    assert ended.outputs["signature"] == ended.outputs["outcome"] == "failed"
    assert ended.outputs["policy-status"] == ""
    assert ("warning", "invalid signature") in ended.annotations
    assert reason in ended.log
    message = parsed(post.mails[0].content)
    assert message["X-Chainloop-Signature"] == message["X-Chainloop-Outcome"] == "failed"
    assert "] Invalid signature: " in message["Subject"]
    text = words(post.mails[0])
    assert text.startswith("INVALID SIGNATURE: The signature of harbour")
    assert "Do not trust the content of this mail." in text
    assert reason in text
    assert "does not verify" in ended.summary


def test_a_wrong_signature_fails_the_step_after_the_mail_where_one_is_required(
    program: Program,
) -> None:
    post = Post()
    ended = sent(program, post, forged(), require_signature="true")

    assert len(post.mails) == 1
    assert (ended.code, ended.outputs["sent"]) == (3, "true")
    assert ended.failure == failure(
        f"require-signature: {INVALID}", title="The signature is not verified."
    )


def test_an_interrupted_step_ends_as_one_whatever_the_signature(program: Program) -> None:
    ended = sent(program, Post(is_interrupted=True), forged(), require_signature="true")
    assert ended.code == 130
    assert "require-signature" not in ended.log


def test_a_signature_that_nothing_can_check_is_said_in_the_first_lines(program: Program) -> None:
    post = Post()
    ended = sent(program, post, cli_push(STATEMENT))

    assert (ended.code, ended.outputs["signature"]) == (0, "unchecked")
    assert ended.outputs["outcome"] == "attested"
    assert ("warning", "the signature is not checked") in ended.annotations
    assert "(signature not checked)" in parsed(post.mails[0].content)["Subject"]
    head = words(post.mails[0]).partition("MATERIALS")[0]
    assert "The signature could not be checked: `attestation push -o json` contains no" in head


def test_a_signature_that_nothing_can_check_is_no_signature_where_one_is_required(
    program: Program,
) -> None:
    post = Post()
    ended = sent(program, post, cli_push(STATEMENT), require_signature="true")
    assert (ended.code, len(post.mails)) == (3, 1)
    assert "require-signature: `attestation push -o json` contains no signature" in ended.failure


def test_nobody_who_does_not_ask_is_told_of_signatures(program: Program) -> None:
    post = Post()
    ended = sent(program, post, cli_push(STATEMENT), trust="")

    assert ended.outputs["signature"] == "unchecked"
    assert "ignature" not in ended.log
    assert parsed(post.mails[0].content)["X-Chainloop-Signature"] is None
    assert "not checked" not in words(post.mails[0])
    receipt = json.loads(Path(ended.outputs["receipt"]).read_bytes())
    assert "signature" not in receipt["deliveries"][0]


def test_what_only_another_document_says_is_not_covered(program: Program) -> None:
    push = cli_push(STATEMENT) | {"digest": digest_of(encoded(GOOD, indent=None))}
    push["materials"].append({**push["materials"][0], "name": "planted", "hash": "sha256:ff"})
    post = Post()
    ended = sent(program, post, push, GOOD)

    assert ended.outputs["signature"] == "verified"
    assert "The signature does not cover material planted." in words(post.mails[0])
    assert "Not covered: material planted" in words(post.mails[0])


@pytest.mark.parametrize("trust", ["", OTHER.pem], ids=["unknown", "wrong"])
def test_without_a_verified_signature_nothing_is_said_to_be_all_that_it_does_not_cover(
    program: Program, trust: str
) -> None:
    push = cli_push(STATEMENT) | {"digest": digest_of(encoded(GOOD, indent=None))}
    push["materials"].append({**push["materials"][0], "name": "planted", "hash": "sha256:ff"})
    post = Post()
    sent(program, post, push, GOOD, trust=trust, attach="report")

    report = next(each for each in post.mails[0].parts if each.name == "chainloop-report.json")
    assert json.loads(report.content)["unsigned"] == []


# --- evidence that is missing ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("job_status", "code"), [("success", 3), ("failure", 0), ("cancelled", 0), ("skipped", 3)]
)
def test_evidence_that_is_required_has_to_be_there_unless_the_job_ended_early(
    program: Program, job_status: str, code: int
) -> None:
    inputs = INPUTS | {"trusted-root": ROOT.pem, "require-signature": "true"}
    post = Post()
    ended = program("send", inputs=inputs | {"job-status": job_status}, post=post)

    assert (ended.code, len(post.mails)) == (code, 1)
    assert ended.outputs["signature"] == "unchecked"
    assert ended.failure == (
        failure("require-signature: there is no evidence", title="The signature is not verified.")
        if code
        else ""
    )


# --- several runs, and runs that Chainloop knows -----------------------------------------------


def test_each_run_has_a_line_of_its_own(program: Program) -> None:
    second = statement(run_id="00000000-0000-0000-0000-000000000002", workflow="second")
    ended = sent(program, Post(), GOOD, cli_push(second), require_signature="true")

    assert ended.code == 3
    assert ended.outputs["signature"] == "verified\nunchecked"
    assert "require-signature harbour / second 00000000: " in ended.failure


def described(chainloop: Chainloop, run_id: str, signed: JSON) -> None:
    """Have the command describe the run with this bundle."""
    path = chainloop.folder / f"{run_id}.json"
    document = json.loads(path.read_bytes())
    stored = json.dumps(signed, separators=(",", ":")).encode()
    document["attestation"] |= {
        "bundle": base64.b64encode(stored).decode(),
        "envelope": signed["dsseEnvelope"],
        "digest": digest_of(stored),
    }
    path.write_bytes(encoded(document))


def of_run(number: int, run_id: str) -> JSON:
    """The statement that `Chainloop.has` attests."""
    return statement(workflow=f"workflow-{number}", run_id=run_id)


def test_a_run_that_chainloop_describes_is_verified_by_its_bundle(
    program: Program, tmp_path: Path
) -> None:
    chainloop = Chainloop(tmp_path / "bin")
    run_id = chainloop.has(1)
    described(chainloop, run_id, signers.signed_bundle(of_run(1, run_id), SIGNER))
    inputs = INPUTS | {"workflow-run-id": run_id, "trusted-root": ROOT.pem}
    post = Post()
    ended = program("send", inputs=inputs, environ=chainloop.environ, post=post)

    assert ended.code == 0, ended.stderr
    assert ended.outputs["signature"] == "verified"
    assert "Not covered" not in words(post.mails[0])
    assert "Chainloop CLI: verified the signature" in words(post.mails[0])


def test_a_schedule_mails_every_run_and_then_fails_for_those_without_a_signature(
    program: Program, tmp_path: Path
) -> None:
    chainloop = Chainloop(tmp_path / "bin")
    good, bad = chainloop.has(1), chainloop.has(2, minutes=4)
    described(chainloop, good, signers.signed_bundle(of_run(1, good), SIGNER))
    described(chainloop, bad, forged(other=of_run(2, bad)))
    inputs = INPUTS | {
        "workflow-run-id": "new",
        "state-file": "state.json",
        "trusted-root": ROOT.pem,
        "require-signature": "true",
    }
    post = Post()
    ended = program("send", inputs=inputs, environ=chainloop.environ, post=post)

    assert (ended.code, len(post.mails)) == (3, 2)
    assert ended.outputs["signature"] == "verified\nfailed"
    assert "workflow-2" in ended.failure
    assert "workflow-1" not in ended.failure
    again = program("send", inputs=inputs, environ=chainloop.environ, post=never)
    assert again.code == 0


# --- routing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "is_sent"),
    [(GOOD, False), (forged(), True), (cli_push(STATEMENT), True)],
    ids=["verified", "failed", "unchecked"],
)
def test_a_mail_may_be_sent_only_where_a_signature_is_not_verified(
    program: Program, document: JSON, is_sent: bool
) -> None:
    post = Post()
    ended = sent(program, post, document, send_on="unverified")
    assert (ended.code, len(post.mails)) == (0, int(is_sent))


def test_a_signature_that_is_required_fails_the_step_without_any_mail_too(
    program: Program,
) -> None:
    ended = sent(program, never, forged(), send_on="cancelled", require_signature="true")
    assert ended.code == 3
    assert ended.outputs["skipped"] == "send-on is cancelled, and the outcome is failed"


WHOM = "Set one of them in the step, to say whose signatures to trust."


def test_a_mail_about_signatures_needs_somebody_to_trust(program: Program) -> None:
    ended = sent(program, never, GOOD, trust="", send_on="unverified")
    why = "unverified is set, but trusted-root and verification-key are empty"
    assert (ended.code, ended.failure) == (2, failure(f"send-on: {why}\n  {WHOM}"))


CONFIGURATION = """
registrations:
  - {name: one, host: smtp.example.com, port: 587, auth: none, from: a@b.example, to: c@d.example}
attachments:
  - registration: one
  - registration: one
    send-on: unverified
"""


def test_an_attachment_may_hear_of_signatures_alone(program: Program) -> None:
    Path("mail.yml").write_text(CONFIGURATION)
    Path("bundle.json").write_bytes(encoded(GOOD))
    inputs = {"config": "mail.yml", "attestation": "bundle.json"}
    ended = program("send", inputs=inputs, post=never)
    assert ended.code == 2
    assert "mail.yml:6 send-on: unverified is set" in ended.failure

    post = Post()
    ended = program("send", inputs=inputs | {"trusted-root": ROOT.pem}, post=post)
    assert (ended.code, len(post.mails)) == (0, 1)


# --- inputs ------------------------------------------------------------------------------------


def test_whose_signature_is_required_has_to_be_said(program: Program) -> None:
    ended = sent(program, never, GOOD, trust="", require_signature="true")
    assert ended.code == 2
    assert "require-signature: is true, but trusted-root and verification-key" in ended.failure


def test_a_root_that_cannot_be_read_is_reported_with_all_else(program: Program) -> None:
    ended = sent(program, never, GOOD, trust="no.pem", port="zzz")
    assert ended.code == 2
    assert "port: " in ended.failure
    assert "trusted-root: 'no.pem' cannot be read: no such file" in ended.failure


# --- verifying a mail --------------------------------------------------------------------------


def mailed(program: Program, *documents: JSON, **more: str) -> Path:
    post = Post()
    more = {"attach": "attestation"} | more
    sent(program, post, *documents, **more)
    path = Path("MAIL.eml")
    path.write_bytes(post.mails[0].content)
    return path


def verified(program: Program, path: Path, *flags: str, environ: Any = None) -> Ended:
    ended: Ended = program("verify", str(path), *flags, is_actions=False, environ=environ)
    return ended


NOWHERE = {"PATH": "/nowhere"}
AT_ROOT = ("--trusted-root", ROOT.pem)


@pytest.mark.parametrize("attach", ["attestation", "attestation\nreport"])
@pytest.mark.parametrize("trust", [ROOT.pem, ""], ids=["a mail that says so", "a mail of old"])
def test_a_good_signature_is_verified_years_later(
    program: Program, attach: str, trust: str
) -> None:
    path = mailed(program, GOOD, attach=attach, trust=trust)
    ended = verified(program, path, *AT_ROOT)

    assert ended.code == 0, ended.log
    line = "ok      signature: verified: signed by "
    assert ended.stdout.startswith(line)
    assert "issued under O=Lakeside, CN=Lakeside authority" in ended.stdout
    assert "NOT CONFIRMED" not in ended.stdout
    assert ended.stdout.splitlines()[-1] == "The sender of the mail is not checked."
    document = json.loads(verified(program, path, *AT_ROOT, "-o", "json").stdout)
    assert document["ok"] is True
    assert document["checks"][0]["result"] == "ok"


@pytest.mark.parametrize("trust", [ROOT.pem, STAMPED], ids=["unknown clock", "known clock"])
def test_a_mail_with_a_timestamp_is_as_its_evidence_makes_it(program: Program, trust: str) -> None:
    stamped = signers.signed_bundle(STATEMENT, SIGNER, stamper=CLOCK)
    path = mailed(program, stamped, trust=trust)
    # Whoever verifies it need not know the clock.
    ended = verified(program, path, *AT_ROOT)
    assert ended.code == 0, ended.log
    assert "ok      HTML: matches the evidence" in ended.stdout


@pytest.mark.parametrize(
    ("is_stamped", "true", "false", "said"),
    [
        (False, "ECDSA P-256, SHA-256", "ECDSA P-521, SHA-512", "method ECDSA P-521, SHA-512"),
        (False, "1 Sep 2026, 08:00:00 UTC", "1 Sep 2025, 08:00:00 UTC", "signed 2025-09-01 08:00"),
        (True, "1 Sep 2026, 08:01:00 UTC", "1 Sep 2026, 08:02:00 UTC", "signed 2026-09-01 08:02"),
        (True, "CN=Lakeside clock", "CN=National clock", "timestamp authority CN=National clock"),
        (False, "Signed: not before 1 Sep 2026, 08:00:00 UTC",
         "Timestamp: 1 Sep 2026, 08:00:00 UTC, CN=x", "timestamp 2026-09-01 08:00:00"),
    ],
)  # fmt: skip
def test_a_mail_that_lies_about_how_or_when_its_evidence_was_signed_is_wrong(
    program: Program, is_stamped: bool, true: str, false: str, said: str
) -> None:
    document = signers.signed_bundle(STATEMENT, SIGNER, stamper=CLOCK) if is_stamped else GOOD
    path = mailed(program, document, trust=STAMPED)
    mail = message_from_bytes(path.read_bytes(), policy=SMTP)
    pairs = [(true, false)]
    if true.startswith("Signed"):
        # In HTML, key and value are two cells.
        pairs += [(">Signed<", ">Timestamp<"), (">not before 1 Sep 2026, 08:00:00 UTC<",
                   ">1 Sep 2026, 08:00:00 UTC, CN=x<")]  # fmt: skip
    for part in mail.walk():
        if part.get_content_maintype() == "text":
            text = part.get_content()
            for old, new in pairs:
                text = text.replace(old, new)
            part.set_content(text, subtype=part.get_content_subtype())
    path.write_bytes(mail.as_bytes())
    ended = verified(program, path, "--trusted-root", STAMPED)

    assert ended.code == 3
    assert f"WRONG   signature: the mail says {said}" in ended.stdout


def test_what_a_mail_says_of_its_signature_is_not_confirmed_without_keys(program: Program) -> None:
    path = mailed(program, GOOD)
    ended = verified(program, path, environ=NOWHERE)

    assert ended.code == 0, ended.log
    assert (
        "unknown signature: the mail says verified; to verify it here, give --trusted-root"
        in ended.stdout
    )
    assert "NOT CONFIRMED: signature." in ended.stdout
    assert ended.stdout.splitlines()[-1] == (
        "The sender of the mail and the signer of the evidence are not checked. To verify the "
        "signature, give --trusted-root or --verification-key."
    )
    document = json.loads(verified(program, path, "-o", "json", environ=NOWHERE).stdout)
    assert document["ok"] is False


def test_a_mail_that_says_nothing_of_its_signature_needs_none(program: Program) -> None:
    ended = verified(program, mailed(program, GOOD, trust=""), environ=NOWHERE)
    assert ended.code == 0
    assert "unknown signature: to verify it here, give --trusted-root" in ended.stdout
    assert "NOT CONFIRMED" not in ended.stdout


def test_a_mail_about_a_wrong_signature_says_what_its_evidence_is_worth(program: Program) -> None:
    path = mailed(program, forged())
    ended = verified(program, path, *AT_ROOT)
    assert ended.code == 3
    assert ended.failure == failure(
        f"signature: as the mail says, failed: {INVALID}",
        title="The signature does not verify.",
    )
    assert "ok      outcome in the header: failed" in ended.stdout
    assert "ok      HTML: matches the evidence" in ended.stdout
    # Without the keys, it is still the mail that such evidence makes.
    assert verified(program, path, environ=NOWHERE).code == 0


def edited(path: Path, old: str, new: str) -> Path:
    content = path.read_bytes()
    assert old.encode() in content
    path.write_bytes(content.replace(old.encode(), new.encode()))
    return path


def test_a_mail_that_claims_more_than_its_signature_is_wrong(program: Program) -> None:
    path = edited(
        mailed(program, forged()),
        "X-Chainloop-Signature: failed",
        "X-Chainloop-Signature: verified",
    )
    ended = verified(program, path, *AT_ROOT)
    assert ended.code == 3
    assert f"signature: the mail says verified; failed: {INVALID}" in ended.failure


def test_a_mail_that_names_another_signer_is_wrong(program: Program) -> None:
    other = OTHER.issue_signer("Someone else")
    path = mailed(program, signers.signed_bundle(STATEMENT, other), trust=OTHER.pem)
    mine = signers.signed_bundle(STATEMENT, SIGNER)
    content = path.read_bytes()
    # The evidence of one mail in another one.
    theirs = mailed(program, mine).read_bytes()
    head, _, _ = content.partition(b'filename="attestation.json"')
    _, _, tail = theirs.partition(b'filename="attestation.json"')
    here, there = (each.split(b'boundary="')[1].split(b'"')[0] for each in (content, theirs))
    path.write_bytes(head + b'filename="attestation.json"' + tail.replace(there, here))
    ended = verified(program, path, *AT_ROOT)
    assert ended.code == 3
    assert "signature: the mail says verified, signed by " in ended.failure
    assert "Someone else" in ended.failure


def test_a_signature_that_is_asked_for_and_cannot_be_checked_is_an_error(program: Program) -> None:
    path = mailed(program, cli_push(STATEMENT))
    ended = verified(program, path, *AT_ROOT)
    assert ended.code == 3
    assert ended.failure.startswith(
        "The signature cannot be checked.\n  signature: as the mail says, "
    )
    # That it could not be checked is said already.
    assert ended.stdout.splitlines()[-1] == "The sender of the mail is not checked."
    assert "unknown signature: as the mail says, unchecked: " in ended.stdout


# --- by Chainloop's command --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "code", "line"),
    [
        (
            "echo 'INF attestation verified successfully' >&2",
            0,
            "ok      signature: verified by `chainloop attestation verify`",
        ),
        (
            "echo 'ERR bundle verification failed' >&2; exit 1",
            3,
            "WRONG   signature: `chainloop attestation verify` says: "
            "ERR bundle verification failed",
        ),
        (
            "echo 'ERR authentication required' >&2; exit 1",
            0,
            "unknown signature: `chainloop attestation verify` says: ERR authentication required",
        ),
    ],
    ids=["verified", "failed", "not logged in"],
)
def test_without_keys_chainloops_own_command_is_asked(
    program: Program, tmp_path: Path, script: str, code: int, line: str
) -> None:
    path = mailed(program, GOOD, trust="")
    folder = tmp_path / "bin"
    folder.mkdir()
    command = folder / "chainloop"
    command.write_text(f'#!/bin/sh\necho "$*" > "{tmp_path}/call"\n{script}\n')
    command.chmod(0o755)
    ended = verified(program, path, environ={"PATH": f"{folder}:/usr/bin:/bin"})

    assert (ended.code, ended.stdout.splitlines()[0]) == (code, line)
    assert (tmp_path / "call").read_text().startswith("attestation verify --bundle=/")


def test_evidence_without_an_envelope_is_not_shown_to_the_command(
    program: Program, tmp_path: Path
) -> None:
    path = mailed(program, cli_push(STATEMENT), trust="")
    chainloop = Chainloop(tmp_path / "bin")
    ended = verified(program, path, environ=chainloop.environ)
    assert (ended.code, chainloop.calls) == (0, [])


def test_what_the_command_says_is_named_as_such_in_json(program: Program, tmp_path: Path) -> None:
    path = mailed(program, cli_describe(STATEMENT), trust="")
    folder = tmp_path / "bin"
    folder.mkdir()
    command = folder / "chainloop"
    command.write_text("#!/bin/sh\necho 'INF attestation verified successfully' >&2\n")
    command.chmod(0o755)
    ended = verified(program, path, "-o", "json", environ={"PATH": f"{folder}:/usr/bin:/bin"})
    check = json.loads(ended.stdout)["checks"][0]
    assert check == {
        "name": "signature",
        "result": "ok",
        "detail": "verified by `chainloop attestation verify`",
    }
