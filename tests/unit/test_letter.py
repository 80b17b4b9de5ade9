"""A received mail against its evidence: what agrees, what does not, and mails that are none."""

import base64
import email
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import cli_push, encoded, evaluation, statement
from chainloop_smtp import attestation as parser
from chainloop_smtp import letter
from chainloop_smtp.errors import AttestationError
from chainloop_smtp.message import clean, compose, parts
from chainloop_smtp.model import (
    Attestation,
    CheckResult,
    File,
    Job,
    JobStatus,
    Letter,
    Mailbox,
    Options,
    Outcome,
    Policies,
    Registration,
    Verdict,
)
from chainloop_smtp.verdict import judge

NOW = datetime(2026, 9, 1, 8, 10, 11, tzinfo=UTC)
OPTIONS = Options(
    registration=Registration(
        host="h",
        port=25,
        user="",
        password="",
        from_=Mailbox(addr_spec="a@example.test"),
        to=(Mailbox(addr_spec="b@example.test"),),
    )
)
EVALUATIONS = [
    evaluation("licenses", material="sbom", violations=["AGPL", "GPL"]),
    evaluation("signed"),
]
STATEMENT = statement(evaluations=EVALUATIONS, workflow="größe & mehr")
EVIDENCE = encoded(cli_push(STATEMENT))


def sent(evidence: bytes = EVIDENCE, job: Job = Job()) -> bytes:  # noqa: B008  # frozen
    attested = parser.parse(evidence)
    return compose(
        attested,
        job,
        judge(attested, job),
        OPTIONS,
        now=NOW,
        message_id="1@example.test",
        enclosed=parts([File(name="attestation.json", content=evidence)]),
    ).content


def checked(octets: bytes, evidence: bytes = EVIDENCE) -> dict[str, tuple[str, str]]:
    attested = parser.parse(evidence)
    found = letter.checks(letter.read(octets), clean(attested), judge(attested, Job()))
    return {each.name: (each.result.value, each.detail) for each in found}


def wrong(octets: bytes, evidence: bytes = EVIDENCE) -> dict[str, str]:
    return {
        name: detail
        for name, (result, detail) in checked(octets, evidence).items()
        if result == CheckResult.WRONG
    }


def test_what_was_sent_agrees_with_its_evidence() -> None:
    found = checked(sent())

    assert found["bundle"][0] == "unknown"
    assert {name: result for name, (result, _) in found.items() if name != "bundle"} == {
        "attached attestation.json": "ok",
        "digest in the header": "ok",
        "run id in the header": "ok",
        "organization in the header": "ok",
        "project in the header": "ok",
        "workflow in the header": "ok",
        "policy status in the header": "ok",
        "outcome in the header": "ok",
        "digest in the text": "ok",
        "digest in the HTML": "ok",
        "run id in the text": "ok",
        "run id in the HTML": "ok",
        "policies in the text": "ok",
        "violations in the text": "ok",
    }


@pytest.mark.parametrize(
    ("is_verified", "result"), [(True, "ok"), (False, "wrong"), (None, "unknown")]
)
def test_the_bytes_of_a_bundle_are_checked_where_they_are_at_hand(
    is_verified: bool | None, result: str
) -> None:
    attested = parser.parse(EVIDENCE)
    attested = replace(attested, signing=replace(attested.signing, is_digest_verified=is_verified))
    found = letter.checks(letter.read(sent()), attested, judge(attested, Job()))

    assert {each.name: each.result for each in found}["bundle"] == result


def test_evidence_that_was_changed_afterwards_is_found_out() -> None:
    other = EVIDENCE.replace(b'"AGPL"', b'"MIT "')
    assert other != EVIDENCE
    tampered = _with_attachment(sent(), other)

    assert "listed as sha256:" in wrong(tampered, other)["attached attestation.json"]


def _with_attachment(octets: bytes, content: bytes) -> bytes:
    message = email.message_from_bytes(octets)
    (part,) = (each for each in message.walk() if each.get_filename() == "attestation.json")
    part.set_payload(base64.encodebytes(content).decode())
    return message.as_bytes()


@pytest.mark.parametrize(
    ("before", "after", "name"),
    [
        (
            b"X-Chainloop-Outcome: violations",
            b"X-Chainloop-Outcome: passed",
            "outcome in the header",
        ),
        (b"X-Chainloop-Project: harbour", b"X-Chainloop-Project: lagoon", "project in the header"),
        (
            b"X-Chainloop-Policy-Status: WARNING",
            b"X-Chainloop-Policy-Status: PASSED",
            "policy status in the header",
        ),
        (b"  2 violations", b"  1 violation", "violations in the text"),
        (b"  1 of 2 policies passed", b"  2 of 2 policies passed", "policies in the text"),
    ],
)
def test_a_mail_that_was_changed_afterwards_is_found_out(
    before: bytes, after: bytes, name: str
) -> None:
    octets = sent()
    assert octets.count(before) == 1

    assert set(wrong(octets.replace(before, after))) == {name}


def test_a_digest_that_was_changed_is_found_out_wherever_it_stands() -> None:
    digest = cli_push(STATEMENT)["digest"].encode()
    octets = sent().replace(b"=\r\n", b"")
    assert digest in octets

    assert set(wrong(octets.replace(digest, b"sha256:" + b"0" * 64))) >= {
        "digest in the header",
        "digest in the text",
        "digest in the HTML",
    }


def test_a_field_in_an_encoding_that_nobody_knows_is_read_as_it_stands() -> None:
    octets = sent().replace(b"X-Chainloop-Project: harbour", b"X-Chainloop-Project: =?none?q?=FF?=")

    assert "the mail says =?none?q?=FF?=" in wrong(octets)["project in the header"]


def test_what_a_mail_does_not_say_is_not_known() -> None:
    message = EmailMessage()
    message["Subject"] = "Fwd: look at this"
    message.set_content("nothing of it\n")
    found = letter.checks(
        letter.read(message.as_bytes()),
        Attestation(shape="a test", is_recorded=True),
        Verdict(outcome=Outcome.ATTESTED),
    )

    assert {each.result for each in found} == {CheckResult.UNKNOWN}


@pytest.mark.parametrize("status", [JobStatus.FAILURE, JobStatus.CANCELLED])
def test_an_outcome_by_the_job_is_not_in_the_evidence(status: JobStatus) -> None:
    result, detail = checked(sent(job=Job(status=status)))["outcome in the header"]

    assert result == "unknown"
    assert "by the evidence alone it is violations" in detail


def test_a_forwarded_mail_is_found_in_the_one_that_forwards_it() -> None:
    outer = EmailMessage()
    outer["Subject"] = "Fwd"
    outer.set_content("please look\n")
    outer.add_attachment(email.message_from_bytes(sent(), policy=email.policy.default))

    assert wrong(outer.as_bytes()) == {}
    assert checked(outer.as_bytes())["digest in the header"][0] == "ok"


def test_a_name_too_long_for_a_header_agrees_with_its_beginning() -> None:
    evidence = encoded(cli_push(statement(workflow="w" * 300, evaluations=EVALUATIONS)))

    assert checked(sent(evidence), evidence)["workflow in the header"][0] == "ok"


@pytest.mark.parametrize(
    "policies", [Policies(), Policies(evaluation_count=1200, passed_count=1200)], ids=["0", "1,200"]
)
def test_figures_are_read_as_they_are_written(policies: Policies) -> None:
    attested = replace(parser.parse(EVIDENCE), policies=policies)
    text = "  0 violations\n  1,200 of 1,200 policies passed\n"
    found = {
        each.name: each.result
        for each in letter.checks(Letter(text=text), attested, judge(attested, Job()))
    }

    assert found["violations in the text"] == "ok"
    assert found["policies in the text"] == ("ok" if policies.passed_count else "wrong")


# --- mails that are none -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\n\nhello",
        b"X: y\n" + b"Content-Type: multipart/mixed; boundary=a\n\n--a\n" * 30,
        b"X: y\n" + b"Content-Type: message/rfc822\n\n" * 5000,
        b"X: y\nContent-Type: multipart/mixed; boundary=a\n\n" + b"--a\n\nx\n" * 1200 + b"--a--\n",
    ],
    ids=["nothing", "no header", "many levels", "mails in mails", "many parts"],
)
def test_what_is_no_mail_or_too_much_of_one_is_an_error(octets: bytes) -> None:
    with pytest.raises(AttestationError):
        letter.read(octets)


PIECES = [
    b'Content-Type: multipart/mixed; boundary="b"',
    b"Content-Type: multipart/mixed; boundary*0=b; boundary*1=c",
    b"Content-Type: text/plain; charset=\"\xff\"; name*=x''%FF",
    b"Content-Type: message/rfc822",
    b"Content-Type: message/delivery-status",
    b"Content-Transfer-Encoding: base64",
    b"Content-Transfer-Encoding: quoted-printable",
    b"Content-Transfer-Encoding: uuencode",
    b"Content-Disposition: attachment; filename*=nocharset''%E9",
    b"Content-Disposition: attachment; filename*0*=utf-8''a%; filename*2=b",
    b'Content-Disposition: attachment; filename="attestation.json"',
    b"X-Chainloop-Outcome: =?utf-8?b?====?=",
    b"X-Chainloop-Digest: =?none?q?=FF?= =?utf-8?q?=C3?=",
    b"X-Chainloop-Digest: \xff\xfe",
    b"begin 644 x\n!!!\nend",
    b"--b",
    b"--b--",
    b"",
    b"=\n=ZZ",
    b"\x00\r",
    b":",
    b" folded",
]


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=20)), max_size=20))
def test_no_mail_whatever_is_anything_but_read_or_refused(lines: list[bytes]) -> None:
    attested = parser.parse(EVIDENCE)
    try:
        received = letter.read(b"\n".join(lines))
    except AttestationError:
        return
    for check in letter.checks(received, attested, judge(attested, Job())):
        assert check.name
