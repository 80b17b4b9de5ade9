"""A received mail against its evidence: what agrees, what does not, and mails that are none."""

import base64
import email
import email.policy
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from email.header import Header, decode_header, make_header
from email.message import EmailMessage
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import cli_push, encoded, evaluation, statement
from chainloop_smtp import attestation as parser
from chainloop_smtp import received
from chainloop_smtp.errors import AttestationError, Problem
from chainloop_smtp.message import BADGES, clean, parts
from chainloop_smtp.model.attested import Attestation, Policies
from chainloop_smtp.model.checks import Body, CheckResult, Expected, ReceivedMessage
from chainloop_smtp.model.facts import Job, JobStatus, Outcome, Verdict
from chainloop_smtp.model.mail import File
from chainloop_smtp.model.settings import Mailbox, Options, Registration, Thread
from chainloop_smtp.verdict import judge
from states import written

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


def sent(
    evidence: bytes = EVIDENCE,
    job: Job = Job(),  # noqa: B008  # frozen
    thread: Thread = Thread.RUN,
) -> bytes:
    attested = parser.parse(evidence)
    options = replace(OPTIONS, composition=replace(OPTIONS.composition, thread=thread))
    enclosed = parts([File(name="attestation.json", content=evidence)])
    return written(attested, job, options, enclosed=enclosed).content


def checked(octets: bytes, evidence: bytes = EVIDENCE) -> dict[str, tuple[str, str]]:
    attested, mail = parser.parse(evidence), received.read(octets)
    claimed = dict(mail.fields).get("x-chainloop-outcome")
    by_job = next((each for each in (Outcome.FAILED, Outcome.CANCELLED) if each == claimed), None)
    found = received.check_claims(mail, clean(attested), judge(attested, Job()), BADGES, by_job)
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
        "outcome in the subject": "ok",
        "outcome in the text": "ok",
        "outcome in the HTML": "ok",
        "digests in the text": "ok",
        "digests in the HTML": "ok",
        "digest in the text": "ok",
        "digest in the HTML": "ok",
        "run id in the text": "ok",
        "run id in the HTML": "ok",
        "policies in the text": "ok",
        "violations in the text": "ok",
        "policies in the HTML": "ok",
        "violations in the HTML": "ok",
    }


@pytest.mark.parametrize(
    ("is_verified", "result"), [(True, "ok"), (False, "wrong"), (None, "unknown")]
)
def test_the_bytes_of_a_bundle_are_checked_where_they_are_at_hand(
    is_verified: bool | None, result: str
) -> None:
    attested = parser.parse(EVIDENCE)
    attested = replace(attested, signing=replace(attested.signing, is_digest_verified=is_verified))
    found = received.check_claims(received.read(sent()), attested, judge(attested, Job()), BADGES)

    assert {each.name: each.result for each in found}["bundle"] == result


@pytest.mark.parametrize("number", ["9" * 5000, ",", "٣"], ids=["endless", "a comma", "arabic"])
def test_what_stands_where_a_number_should_is_no_number(number: str) -> None:
    digest = f"sha256:{'0' * 64}"
    text = f"{number} of {number} policies passed\n  {number} violations\n"
    text += f"attestation.json: {number} bytes, {digest}\n"
    attested = parser.parse(EVIDENCE)
    mail = replace(received.read(sent()), text=text)
    found = received.check_claims(mail, clean(attested), judge(attested, Job()), BADGES)
    results = {each.name: each.result for each in found}

    assert results["attached attestation.json"] is CheckResult.UNKNOWN
    assert results["policies in the text"] is CheckResult.UNKNOWN
    assert results["violations in the text"] is CheckResult.UNKNOWN


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
        (b"\r\n\r\n  2 violations", b"\r\n\r\n  1 violation", "violations in the text"),
        (b"  1 of 2 policies passed", b"  2 of 2 policies passed", "policies in the text"),
    ],
)
def test_a_mail_that_was_changed_afterwards_is_found_out(
    before: bytes, after: bytes, name: str
) -> None:
    octets = sent()
    assert octets.count(before) == 1

    assert set(wrong(octets.replace(before, after))) == {name}


def _replaced(octets: bytes, media_type: str, before: str, after: str) -> bytes:
    """The mail with its body of a kind changed, however it is encoded."""
    message = email.message_from_bytes(octets)
    (part,) = (
        each
        for each in message.walk()
        if each.get_content_type() == media_type and not each.get_filename()
    )
    body = cast("bytes", part.get_payload(decode=True)).decode()
    changed = re.sub(before, after, body, flags=re.MULTILINE)
    assert changed != body
    del part["Content-Transfer-Encoding"]
    part["Content-Transfer-Encoding"] = "base64"
    part.set_payload(base64.encodebytes(changed.encode()).decode())
    return message.as_bytes()


OTHER_DIGEST = f"sha256:{'0' * 64}"
MATERIAL_DIGEST = next(one.digest for one in parser.parse(EVIDENCE).materials if one.digest)


@pytest.mark.parametrize(
    ("media_type", "before", "after", "name"),
    [
        ("text/plain", "^POLICY VIOLATIONS: ", "PASSED: ", "outcome in the text"),
        ("text/html", ">Policy violations</td>", ">Passed</td>", "outcome in the HTML"),
        ("text/html", ">2</p>", ">0</p>", "violations in the HTML"),
        ("text/html", ">1 of 2</p>", ">2 of 2</p>", "policies in the HTML"),
        ("text/plain", MATERIAL_DIGEST, OTHER_DIGEST, "digests in the text"),
        ("text/html", MATERIAL_DIGEST, OTHER_DIGEST, "digests in the HTML"),
        (
            "text/plain",
            r"(Attestation:\s+)sha256:\w+",
            rf"\g<1>{OTHER_DIGEST}",
            "digests in the text",
        ),
    ],
)
def test_a_body_that_was_changed_afterwards_is_found_out(
    media_type: str, before: str, after: str, name: str
) -> None:
    assert set(wrong(_replaced(sent(), media_type, before, after))) == {name}


@pytest.mark.parametrize("thread", [Thread.RUN, Thread.REF])
def test_an_outcome_in_the_subject_that_was_changed_is_found_out(thread: Thread) -> None:
    message = email.message_from_bytes(sent(thread=thread))
    subject = str(make_header(decode_header(message["Subject"])))
    changed = subject.replace("Policy violations", "Passed")
    assert changed != subject
    message.replace_header("Subject", Header(changed, "utf-8").encode())

    assert set(wrong(message.as_bytes())) == {"outcome in the subject"}


def test_a_second_field_of_ours_that_says_something_else_is_found_out() -> None:
    line = b"X-Chainloop-Outcome: violations\r\n"
    twice = sent().replace(line, line + b"X-Chainloop-Outcome: passed\r\n")

    assert "violations and passed" in wrong(twice)["outcome in the header"]
    assert wrong(sent().replace(line, line * 2)) == {}


def test_an_outcome_by_the_job_is_the_same_everywhere() -> None:
    octets = sent(job=Job(status=JobStatus.FAILURE))

    assert wrong(octets) == {}
    assert (
        "its header failed"
        in (wrong(_replaced(octets, "text/plain", "^FAILED: ", "PASSED: "))["outcome in the text"])
    )


def test_digests_of_an_earlier_run_are_not_known() -> None:
    earlier = f"Changed since yesterday\n{OTHER_DIGEST}\n"
    result, detail = checked(_replaced(sent(), "text/plain", r"\Z", earlier))["digests in the text"]

    assert result == "unknown"
    assert OTHER_DIGEST in detail


def _reencoded(octets: bytes, charset: str) -> bytes:
    message = email.message_from_bytes(octets)
    for part in message.walk():
        if part.get_content_maintype() == "text" and not part.get_filename():
            body = cast("bytes", part.get_payload(decode=True)).decode()
            kind = part.get_content_type()
            for name in ("Content-Type", "Content-Transfer-Encoding"):
                del part[name]
            part["Content-Type"] = f"{kind}; charset={charset}"
            part["Content-Transfer-Encoding"] = "base64"
            try:
                encoded_body = body.encode(charset, "replace")
            except LookupError:
                encoded_body = body.encode()
            part.set_payload(base64.encodebytes(encoded_body).decode())
    return message.as_bytes()


def _listed(octets: bytes, *, is_first: bool) -> bytes:
    """As a mailing list sends it on: with a part of its own before ours or behind."""
    inner = email.message_from_bytes(octets)
    outer = email.message_from_string(
        'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="LIST"\n\n'
    )
    for name, value in inner.items():
        if not name.lower().startswith(("content-", "mime-")):
            outer[name] = value
            del inner[name]
    outer.replace_header("Subject", f"[dock] {outer['Subject']}")
    own = email.message_from_string("Content-Type: text/plain\n\nTo leave this list, write.\n")
    outer.set_payload([own, inner] if is_first else [inner, own])
    return outer.as_bytes()


@pytest.mark.parametrize(
    "carried",
    [
        lambda octets: octets.replace(b"\r\n", b"\n"),
        lambda octets: b"\xef\xbb\xbf" + octets,
        lambda octets: b"From a@b Wed Nov 25 00:00:00 2026\n" + octets.replace(b"\r\n", b"\n"),
        lambda octets: email.message_from_bytes(octets, policy=email.policy.default).as_bytes(
            policy=email.policy.SMTP.clone(max_line_length=50)
        ),
        lambda octets: _reencoded(octets, "utf-16"),
        lambda octets: _reencoded(octets, "iso-8859-1"),
        lambda octets: _reencoded(octets, "x-no-such"),
        lambda octets: _listed(octets, is_first=True),
        lambda octets: _listed(octets, is_first=False),
        lambda octets: octets.replace(b"Content-Type: text/plain", b"Content-Type: text/x", 1),
    ],
    ids=[
        "line ends",
        "a mark",
        "mbox",
        "folded anew",
        "UTF-16",
        "Latin-1",
        "no charset",
        "list, before",
        "list, behind",
        "HTML only",
    ],
)
def test_what_servers_do_to_a_mail_does_it_no_harm(carried: Callable[[bytes], bytes]) -> None:
    found = checked(carried(sent()))

    assert [name for name, (result, _) in found.items() if result == "wrong"] == []
    assert found["digest in the HTML"][0] == "ok"


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
    found = received.check_claims(
        received.read(message.as_bytes()),
        Attestation(shape="a test", is_recorded=True),
        Verdict(outcome=Outcome.ATTESTED),
        BADGES,
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


def test_a_file_whose_name_ends_as_another_one_does_is_told_from_it() -> None:
    attested = parser.parse(EVIDENCE)
    files = [File(name=name, content=name.encode()) for name in ("my-x.json", "x.json")]
    octets = written(attested, enclosed=parts(files)).content
    found = checked(octets)

    assert [found[f"attached {each.name}"][0] for each in files] == ["ok", "ok"]


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
        for each in received.check_claims(
            ReceivedMessage(text=text), attested, judge(attested, Job()), BADGES
        )
    }

    assert found["violations in the text"] == "ok"
    assert found["policies in the text"] == ("ok" if policies.passed_count else "wrong")


# --- mails that are none -----------------------------------------------------------------------


LEVEL = b"Content-Type: multipart/mixed; boundary=a\n\n--a\n"
NO_MAIL, TOO_DEEP = "is not a mail: it has no header", "has parts in more than 20 levels"


def in_parts(number: int) -> bytes:
    """A mail of so many parts, itself included."""
    return b"X: y\n" + LEVEL[:-4] + b"--a\n\nx\n" * (number - 1) + b"--a--\n"


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"", NO_MAIL),
        (b"\n\nhello", NO_MAIL),
        (b"X: y\n" + LEVEL * 21, TOO_DEEP),
        (b"X: y\n" + b"Content-Type: message/rfc822\n\n" * 5000, TOO_DEEP),
        (b"X: y\n" + b"Content-Type:\n message/x\n\n" * 5000, TOO_DEEP),
        (in_parts(1001), "has more than 1000 parts"),
    ],
    ids=["nothing", "no header", "many levels", "mails in mails", "others", "many parts"],
)
def test_what_is_no_mail_or_too_much_of_one_is_an_error(octets: bytes, why: str) -> None:
    with pytest.raises(AttestationError) as caught:
        received.read(octets)
    assert caught.value.problems == (Problem("mail", why),)


@pytest.mark.parametrize("octets", [b"X: y\n" + LEVEL * 20, in_parts(1000)])
def test_as_much_of_a_mail_as_may_be_is_read(octets: bytes) -> None:
    assert received.read(octets).subject == ""


@pytest.mark.parametrize(
    "charset",
    ["punycode", "undefined", "raw-unicode-escape", "unicode-escape", "idna", "utf-7", "x"],
)
def test_a_text_in_a_charset_that_is_none_of_a_mail_is_read_as_utf_8(charset: str) -> None:
    content = f"X: y\nContent-Type: text/plain; charset={charset}\n\né \\u00e9 a-\n".encode()
    mail = received.read(content)
    assert mail.plain is not None
    assert (mail.plain.source, mail.plain.charset) == ("é \\u00e9 a-\n", "utf-8")


def test_every_text_and_page_of_a_mail_is_read_and_those_after_the_first_are_others() -> None:
    message = EmailMessage()
    message["Subject"], message["From"] = "A  subject", "a@example.test"
    message.make_mixed()
    for kind, content in (("plain", "one"), ("html", "<p>two</p>"), ("plain", "three")):
        part = EmailMessage()
        part.set_content(content, subtype=kind)
        message.attach(part)
    page = EmailMessage()
    page.set_content("<p>four</p><p>five</p>", subtype="html")
    message.attach(page)
    file = EmailMessage()
    file.set_content(b"6", maintype="application", subtype="x-six", filename="six.bin")
    del file["Content-Disposition"]
    message.attach(file)
    named = EmailMessage()
    named.set_content(b"7", maintype="application", subtype="x-seven", filename="seven.bin")
    named.replace_header("Content-Disposition", "inline; filename=seven.bin")
    message.attach(named)
    mail = received.read(message.as_bytes())

    assert (mail.subject, mail.sender) == ("A subject", "a@example.test")
    assert (mail.text, mail.html) == ("one\n\nthree\n", "two\nfour\nfive")
    assert mail.plain
    assert mail.page
    assert (mail.plain.source, mail.page.source) == ("one\n", "<p>two</p>\n")
    assert mail.others == (
        ("another text part", "three\n"),
        ("another HTML part", "four\nfive"),
        ("another part", "application/x-six"),
        ("another part", "application/x-seven seven.bin"),
    )


@pytest.mark.parametrize(
    "name", ["From", "To", "Cc", "Subject", "Date", "Reply-To", "Sender", "Content-Type"]
)
def test_a_field_that_a_mail_may_have_once_is_a_fault_if_it_comes_again(name: str) -> None:
    field = f"{name}: text/plain\n".encode()
    assert received.read(field + b"X: y\n\nz\n").faults == ()
    for number in (2, 3):
        again = received.read(field * number + b"X: y\n\nz\n")
        assert again.faults == (f"has {number} fields {name}",)


PLAIN, HTML, OTHER = "Content-Type: text/plain", "Content-Type: text/html", "Content-Type: a/b"
FILE = 'Content-Disposition: inline; filename="x.txt"'


def alternatives(*headers: str) -> bytes:
    """A mail with a text before the alternatives, each of which has a header and its number."""
    parts = [f"--b\n{header}\n\n{number}\n" for number, header in enumerate(headers)]
    inner = "Content-Type: multipart/alternative; boundary=b\n\n" + "".join(parts) + "--b--\n"
    head = "X: y\nContent-Type: multipart/mixed; boundary=a\n\n"
    return f"{head}--a\n\nbefore\n--a\n{inner}--a--\n".encode()


@pytest.mark.parametrize(
    ("headers", "faults"),
    [
        ((PLAIN, HTML), ()),
        ((PLAIN,), ()),
        ((OTHER, HTML), ()),
        ((PLAIN, OTHER), ()),
        ((HTML, PLAIN), ("shows text/plain in place of the HTML",)),
        ((PLAIN, HTML, OTHER), ("shows a/b in place of the HTML",)),
        ((PLAIN, HTML, HTML), ("offers text/plain, text/html, text/html as one and the same",)),
        ((PLAIN, PLAIN, HTML), ("offers text/plain, text/plain, text/html as one and the same",)),
        ((f"{PLAIN}\n{FILE}", HTML), ("shows a file in place of the text",)),
    ],
)
def test_the_best_alternative_is_the_html_and_no_file(
    headers: tuple[str, ...], faults: tuple[str, ...]
) -> None:
    assert received.read(alternatives(*headers)).faults == faults


def test_the_alternatives_are_read_before_what_stands_before_them() -> None:
    mail = received.read(alternatives(PLAIN, HTML))
    assert mail.plain is not None
    assert (mail.plain.source, mail.text, mail.html) == ("0", "0\nbefore", "1")
    assert mail.others == (("another text part", "before"),)


def test_an_attachment_without_a_name_counts_as_shown_and_one_with_a_name_does_not() -> None:
    attached = "Content-Disposition: attachment"
    mail = received.read(alternatives(PLAIN, f"{HTML}\n{attached}"))
    assert mail.html == "1"
    mail = received.read(alternatives(PLAIN, f"{HTML}\n{attached}; filename=x.html"))
    assert (mail.html, mail.page) == ("", None)
    assert [(each.name, each.content) for each in mail.files] == [("x.html", b"1")]


def test_of_a_report_about_a_mail_one_part_is_another_mail() -> None:
    head = b"X: y\nContent-Type: message/delivery-status\n\n"
    mail = received.read(head + b"Reporting-MTA: dns; a\n\nAction: failed\n\nAction: b\n")
    assert mail.others == (("another mail", "\n"),)


def test_a_mail_inside_of_another_is_not_part_of_it() -> None:
    inner, outer = EmailMessage(), EmailMessage()
    inner["Subject"] = "Inside"
    inner.set_content("inner\n")
    inner.add_attachment("a file", filename="a.txt")
    outer["Subject"] = "Outside"
    outer.set_content("outer\n")
    outer.add_attachment(inner, filename="inside.eml")
    mail = received.read(outer.as_bytes())
    assert (mail.subject, mail.text, mail.files) == ("Outside", "outer\n", ())
    assert mail.others == (("another mail", "Inside\ninner\n"),)


def test_what_this_program_writes_into_the_header_is_not_foreign() -> None:
    mail = received.read(sent())
    names = [name for name, _ in mail.fields]
    assert sorted(names) == [
        "x-chainloop-digest",
        "x-chainloop-organization",
        "x-chainloop-outcome",
        "x-chainloop-policy-status",
        "x-chainloop-project",
        "x-chainloop-run-id",
        "x-chainloop-workflow",
    ]
    found = received.compare(
        replace(
            mail, fields=(*mail.fields, ("x-chainloop-signature", "s"), ("x-chainloop-x", "y"))
        ),
        Expected(subject="", text="", html="", bare_text="", bare_html=""),
        frozenset({Outcome.VIOLATIONS}),
        parser.parse(EVIDENCE).policies,
    )
    assert [each.name for each in found if "header" in each.name] == ["X-Chainloop-X in the header"]


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
        mail = received.read(b"\n".join(lines))
    except AttestationError:
        return
    for check in received.check_claims(mail, attested, judge(attested, Job()), BADGES):
        assert check.name


# --- everything that is shown, against the mail that the evidence makes -------------------------

LINES = ("one", "two", "three", "four")
HALF_GOOD = Policies(evaluation_count=2, passed_count=1, violation_count=2)


def compared(
    mail: ReceivedMessage,
    policies: Policies = HALF_GOOD,
    outcome: Outcome = Outcome.VIOLATIONS,
    bare: str = "\n".join(LINES),
) -> dict[str, tuple[str, str]]:
    text = "\n".join(LINES)
    page = "".join(f"<p>{line}</p>" for line in LINES)
    expected = Expected(subject="S", text=text, html=page, bare_text=bare, bare_html=page)
    found = received.compare(mail, expected, frozenset({outcome}), policies)
    return {each.name: (each.result.value, each.detail) for each in found}


def of_text(*lines: str, charset: str = "utf-8") -> ReceivedMessage:
    return ReceivedMessage(plain=Body(source="\n".join(lines), charset=charset))


def of_page(source: str) -> ReceivedMessage:
    return ReceivedMessage(page=Body(source=source, charset="utf-8"))


@pytest.mark.parametrize(
    ("subject", "result", "detail"),
    [
        ("S", "ok", "matches the evidence"),
        ("Fwd: S", "unknown", "'Fwd:' stands in front, which may be a custom template"),
        ("T", "unknown", "'T', and not 'S', which may be a custom template"),
        (
            "All policies passed: S",
            "wrong",
            "'All policies passed:' stands in front: 'all policies passed' is not what the "
            "evidence says",
        ),
        (
            "3 of 3 policies passed",
            "wrong",
            "'3 of 3 policies passed', and not 'S': '3 of 3 policies passed' is not what the "
            "evidence says",
        ),
        (
            "1 of 2 passed",
            "unknown",
            "'1 of 2 passed', and not 'S', which may be a custom template",
        ),
        ("T" * 100, "unknown", f"'{'T' * 100}', and not 'S', which may be a custom template"),
        ("T" * 101, "unknown", f"'{'T' * 97}...', and not 'S', which may be a custom template"),
    ],
)
def test_a_subject_is_the_one_of_the_evidence_or_is_quoted(
    subject: str, result: str, detail: str
) -> None:
    assert compared(ReceivedMessage(subject=subject))["subject"] == (result, detail)


@pytest.mark.parametrize(
    ("policies", "result"),
    [
        (Policies(evaluation_count=1, passed_count=1), "unknown"),
        (Policies(evaluation_count=1, passed_count=1, violation_count=1), "wrong"),
        (Policies(evaluation_count=1, passed_count=1, has_violations=True), "wrong"),
    ],
)
def test_no_violations_is_wrong_where_there_is_one(policies: Policies, result: str) -> None:
    mail = ReceivedMessage(subject="No violations")
    assert compared(mail, policies, Outcome.ATTESTED)["subject"][0] == result


def test_all_passed_is_no_contradiction_where_all_did() -> None:
    policies = Policies(evaluation_count=2, passed_count=2)
    mail = ReceivedMessage(subject="All 2 policies passed")
    assert compared(mail, policies, Outcome.PASSED)["subject"][0] == "unknown"
    assert compared(mail, HALF_GOOD, Outcome.PASSED)["subject"][0] == "wrong"


@pytest.mark.parametrize(
    ("lines", "result", "detail"),
    [
        (LINES, "ok", "matches the evidence"),
        (("> one", *LINES[1:]), "unknown", "shows what the evidence says, in a different form"),
        (LINES[:2], "wrong", "does not show 'three', which the evidence says"),
        (
            ("x", "", "one"),
            "unknown",
            "not what this version and its templates make of the evidence, so it cannot be "
            "compared; the text begins: 'x'",
        ),
        (
            ("no", "violations"),
            "wrong",
            "not what this version and its templates make of the evidence, so it cannot be "
            "compared; the text begins: 'no'; 'no violations' is not what the evidence says",
        ),
        (("two", "one", *LINES[2:]), "wrong", "shows what the evidence says in another order"),
        ((*LINES, "one"), "unknown", "shows what the evidence does not say: 'one'"),
        (
            (*LINES, "five", "All policies passed"),
            "wrong",
            "shows what the evidence does not say: 'five'; 'all policies passed' is not what the "
            "evidence says",
        ),
        (
            (*LINES, "Changed since run 1", "it passed"),
            "unknown",
            "compares with an earlier run, whose evidence is not attached",
        ),
        (
            (*LINES[:3], "Changed since run 1", "four", "six"),
            "unknown",
            "shows what the evidence does not say: 'six'",
        ),
    ],
)
def test_a_text_is_the_one_of_the_evidence_or_the_first_difference_is_named(
    lines: tuple[str, ...], result: str, detail: str
) -> None:
    found = compared(of_text(*lines))
    assert found["text"] == (result, detail)
    assert found["HTML"] == ("unknown", "the mail has none")


@pytest.mark.parametrize(
    ("word", "outcome", "result"),
    [
        ("Blocked", Outcome.VIOLATIONS, "wrong"),
        ("Blocked", Outcome.BLOCKED, "unknown"),
        ("Approved by exception", Outcome.BYPASSED, "unknown"),
        ("Timed out", Outcome.PASSED, "wrong"),
        ("Cancelled", Outcome.CANCELLED, "unknown"),
        ("Successful", Outcome.ATTESTED, "unknown"),
        ("Successful", Outcome.VIOLATIONS, "wrong"),
        ("Not attested", Outcome.FAILED, "wrong"),
    ],
)
def test_another_outcome_than_the_evidences_is_wrong(
    word: str, outcome: Outcome, result: str
) -> None:
    found = compared(ReceivedMessage(subject=word), Policies(), outcome)
    detail = f"{word!r}, and not 'S'"
    assert found["subject"] == (
        result,
        f"{detail}: {word.lower()!r} is not what the evidence says"
        if result == "wrong"
        else f"{detail}, which may be a custom template",
    )


def test_less_than_half_of_the_lines_cannot_be_compared() -> None:
    expected = Expected(subject="", text="a\nb\nc", html="", bare_text="a\nb\nc", bare_html="")
    for lines, detail in (
        (("a", "x"), "cannot be compared; the text begins: 'a'"),
        (("a", "b", "x"), "does not show 'c', which the evidence says"),
    ):
        found = received.compare(of_text(*lines), expected, frozenset(), Policies())
        assert {each.name: each.detail for each in found}["text"].endswith(detail)


def test_a_line_of_the_job_may_be_missing_and_in_any_place() -> None:
    found = compared(of_text("four", "one", "two"), bare="one\ntwo")
    assert found["text"] == ("unknown", "shows what the evidence says, in a different form")


def test_what_a_charset_cannot_carry_is_not_held_against_a_text() -> None:
    expected = Expected(subject="", text="é\n", html="", bare_text="é\n", bare_html="")
    for source, result in (("?", "ok"), ("e", "unknown")):
        found = received.compare(
            of_text(source, charset="us-ascii"), expected, frozenset(), Policies()
        )
        assert {each.name: each.result.value for each in found}["text"] == result


@pytest.mark.parametrize(
    ("page", "result", "detail"),
    [
        ("<p>one</p><p>two</p><p>three</p><p>four</p>\n", "ok", "matches the evidence"),
        (
            "<p>one</p><p hidden>two</p><p>three</p><p>four</p>",
            "wrong",
            "hides 'two', which the evidence says",
        ),
        (
            "<p>one</p><p>two</p><p>three</p><p style='position:fixed'>four</p>",
            "wrong",
            "can cover or change what it shows, by 'position: fixed'",
        ),
        (
            "<a>one</a><p>two</p>three<p>four",
            "unknown",
            "shows what the evidence says, in a different form",
        ),
    ],
)
def test_a_page_is_the_one_of_the_evidence_or_the_first_difference_is_named(
    page: str, result: str, detail: str
) -> None:
    assert compared(of_page(page))["HTML"] == (result, detail)


def test_whatever_else_is_shown_is_named() -> None:
    found = compared(
        ReceivedMessage(
            sender="Passed <a@b.de>",
            fields=(("x-chainloop-note", "ok"),),
            others=(("another part", ""), ("another mail", "\n\nall policies passed")),
            faults=("has 2 fields To",),
        )
    )
    assert found["form"] == ("wrong", "the mail has 2 fields To")
    assert found["sender"] == ("wrong", "From says 'Passed <a@b.de>', which is not in the evidence")
    assert found["X-Chainloop-Note in the header"] == (
        "unknown",
        "no field that this program writes: 'ok'",
    )
    assert found["another part"] == (
        "unknown",
        "the mail shows another part, which is not in its evidence: ''",
    )
    assert found["another mail"] == (
        "wrong",
        "the mail shows another mail, which is not in its evidence: 'all policies passed'; 'all "
        "policies passed' is not what the evidence says",
    )
    assert compared(ReceivedMessage(sender="a@b.de"))["sender"] == (
        "unknown",
        "'a@b.de': the evidence cannot tell who wrote the mail",
    )


# --- what a check of a claim says ---------------------------------------------------------------


def test_each_claim_says_what_was_compared() -> None:
    mail = received.read(sent())
    attested = clean(parser.parse(EVIDENCE))
    text = f"attestation.json: 5 bytes, sha256:{'0' * 64}\n  3 violations\n"
    found = {
        each.name: each.detail
        for each in received.check_claims(
            replace(mail, text=text, html=""), attested, judge(attested, Job()), BADGES
        )
    }
    (file,) = mail.files
    digest = f"sha256:{hashlib.sha256(EVIDENCE).hexdigest()}"
    assert file.content == EVIDENCE
    assert found["attached attestation.json"] == (
        f"is {digest} of {len(EVIDENCE):,} bytes, listed as sha256:{'0' * 64}"
    )
    assert found["HTML"] == "the mail has none"
    assert found["digest in the text"] == f"does not show {attested.digest}"
    assert found["violations in the text"] == "the mail says 3, the evidence 2"
    assert found["policies in the text"] == ("nothing is shown; the evidence says 1 of 2 passed")
    assert found["digests in the text"] == (
        f"the mail shows sha256:{'0' * 64}, which the evidence does not say"
    )


def test_digests_in_a_mail_are_those_of_the_evidence_or_the_first_other_is_named() -> None:
    attested = clean(parser.parse(EVIDENCE))
    one, other = (f"sha256:{digit * 64}" for digit in "01")
    for text, detail in (
        (attested.digest, "all are in the evidence"),
        (f"{one} {other}", f"the mail shows {one} and others, which the evidence does not say"),
        ("none", "none is shown"),
    ):
        found = received.check_claims(
            ReceivedMessage(text=text), attested, judge(attested, Job()), BADGES
        )
        assert {each.name: each.detail for each in found}["digests in the text"] == detail


def test_a_gate_that_failed_the_job_blocked_the_run() -> None:
    attested = clean(parser.parse(EVIDENCE))
    mail = ReceivedMessage(fields=(("x-chainloop-policy-status", "BLOCKED"),))
    for by_job, result in ((Outcome.BLOCKED, "ok"), (None, "wrong")):
        found = received.check_claims(mail, attested, judge(attested, Job()), BADGES, by_job)
        assert {each.name: each.result for each in found}["policy status in the header"] == result
