"""The mail about a run: its golden forms, and what holds for any attestation.

The golden mails lie in ``tests/data/mails``: for each outcome the octets (``.eml``), the two parts
(``.txt``, ``.html``) and the job summary (``.md``), at a fixed time and with a fixed id. After a
change that is meant, look at the differences that git shows after::

    CHAINLOOP_SMTP_GOLDEN=write pytest tests/unit/test_message.py
"""

import email
import email.policy
import os
import re
import shutil
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import states
from chainloop_smtp.errors import MessageError
from chainloop_smtp.message import templates
from chainloop_smtp.message.budget import FULL, Limits
from chainloop_smtp.message.clean import CleanFacts, clean
from chainloop_smtp.message.findings import lines
from chainloop_smtp.message.rows import Fact
from chainloop_smtp.message.sandbox import Sandbox
from chainloop_smtp.message.wording import word
from chainloop_smtp.model.attested import (
    Annotation,
    Attestation,
    Commit,
    Evaluation,
    Finding,
    FindingKind,
    Material,
    Policies,
    Signing,
    Violation,
    Workflow,
)
from chainloop_smtp.model.facts import (
    Changes,
    Job,
    JobResult,
    JobStatus,
    Outcome,
    RunFacts,
    Verdict,
)
from chainloop_smtp.model.mail import Mail
from chainloop_smtp.model.settings import (
    Attachment,
    Composition,
    EnvValues,
    Header,
    Mailbox,
    Secret,
)
from chainloop_smtp.received.visible import visible
from chainloop_smtp.verdict import judge
from states import (
    JOB,
    NOW,
    OPTIONS,
    OTHERS,
    PASSWORD,
    RECORDED,
    STATES,
    Html,
    attestations,
    compared,
    golden_mails,
    hostile,
    jobs,
    registration_mail,
    tame,
    with_policies,
    written,
)

GOLDEN = Path(__file__).parent.parent / "data" / "mails"


@pytest.mark.parametrize("name", [*STATES, *OTHERS])
def test_a_mail_is_its_golden_one_byte_for_byte(name: str) -> None:
    mail = golden_mails()[name]
    forms = {
        "eml": mail.content,
        "txt": mail.text.encode(),
        "html": mail.html.encode(),
        "md": mail.summary.encode(),
    }
    for suffix, octets in forms.items():
        path = GOLDEN / f"{name}.{suffix}"
        if os.environ.get("CHAINLOOP_SMTP_GOLDEN") == "write":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(octets)
        assert path.read_bytes() == octets, path.name


def test_there_is_no_golden_mail_too_many() -> None:
    kept = {path.stem for path in GOLDEN.iterdir() if path.name != ".gitattributes"}

    assert kept == {*STATES, *OTHERS}


@pytest.mark.parametrize("name", STATES)
def test_the_outcome_is_said_in_every_form(name: str) -> None:
    attestation, job, badge = STATES[name]
    mail = written(attestation, job)

    assert f"] {badge}: " in mail.subject
    assert mail.text.startswith(f"{badge.upper()}: ")
    assert badge in Html(mail.html).text
    assert mail.summary.startswith("### ")
    assert f" {badge}: " in mail.summary.partition("\n")[0]


def test_violations_that_nobody_counted_are_no_zero() -> None:
    policies = Policies(
        evaluations=(Evaluation(name="x"),),
        evaluation_count=1,
        passed_count=1,
        has_violations=True,
    )
    mail = written(replace(RECORDED, policies=policies))

    assert "\n  ? violations\n" in mail.text
    assert "?violations" in "".join(Html(mail.html).text.split())
    assert "0 violations" not in mail.text


@pytest.mark.parametrize("name", [*STATES, *OTHERS])
def test_text_keeps_to_78_columns_and_one_blank_line_in_a_row(name: str) -> None:
    mail = golden_mails()[name]

    for line in mail.text.split("\n"):
        assert len(line) <= 78 or len(line.split()) == 1
    assert "\n\n\n" not in mail.text
    assert "\n-- \n" in mail.text
    assert mail.text.endswith("\n")


# --- headers and envelope ----------------------------------------------------------------------


def headers_of(mail: Mail) -> email.message.EmailMessage:
    return email.message_from_bytes(mail.content, policy=email.policy.default)


def test_headers_are_complete_and_each_stands_once() -> None:
    message = headers_of(written(RECORDED, JOB))

    assert sorted(message.keys()) == sorted(
        [
            "Date",
            "From",
            "To",
            "Cc",
            "Message-ID",
            "In-Reply-To",
            "References",
            "Subject",
            "Auto-Submitted",
            "X-Auto-Response-Suppress",
            "List-Id",
            "X-Chainloop-Outcome",
            "X-Chainloop-Policy-Status",
            "X-Chainloop-Organization",
            "X-Chainloop-Project",
            "X-Chainloop-Workflow",
            "X-Chainloop-Run-ID",
            "X-Chainloop-Digest",
            "MIME-Version",
            "Content-Type",
        ]
    )
    assert message["Date"].datetime == NOW
    assert message["Message-ID"] == "<run.1@example.test>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["From"] == "Attestation reports <reports@example.test>"
    assert message["To"].addresses[0].display_name == "Security, platform"
    assert message["Cc"].addresses[0].display_name == "Häfen"


def test_there_is_no_cc_header_without_cc_and_never_a_bcc() -> None:
    message = headers_of(written(RECORDED, options=replace(OPTIONS, attachment=Attachment())))

    assert "Cc" not in message
    assert "Bcc" not in message
    assert b"audit@example.test" not in written(RECORDED).content


def test_replies_and_bounces_go_where_they_are_told() -> None:
    options = replace(
        OPTIONS,
        composition=Composition(
            reply_to=(Mailbox(addr_spec="a@example.test"), Mailbox(addr_spec="b@example.test")),
        ),
        envelope_from=Mailbox(addr_spec="bounces@example.test"),
    )
    mail = written(RECORDED, options=options)

    assert mail.sender == "bounces@example.test"
    assert headers_of(mail)["Reply-To"] == "a@example.test, b@example.test"
    assert headers_of(mail)["From"].addresses[0].addr_spec == "reports@example.test"
    assert written(RECORDED).sender == "reports@example.test"


def test_the_envelope_names_to_cc_and_bcc_each_once() -> None:
    def boxes(*specs: str) -> tuple[Mailbox, ...]:
        return tuple(Mailbox(addr_spec=spec) for spec in specs)

    options = replace(
        OPTIONS,
        registration=replace(OPTIONS.registration, to=boxes("a@example.test", "A@example.test")),
        attachment=Attachment(cc=boxes("a@EXAMPLE.test", "b@example.test")),
        bcc=boxes("b@example.test", "c@example.test"),
    )

    assert written(RECORDED, options=options).recipients == (
        "a@example.test",
        "b@example.test",
        "c@example.test",
    )


JOERG = Mailbox(addr_spec="jörg@example.test", name="Jörg")
SECURITY = Mailbox(addr_spec="security@example.test")


def mailed(*to: Mailbox, **changes: Any) -> Mail:
    """A mail to these and to nobody else."""
    registration = replace(OPTIONS.registration, to=to, **changes)
    options = replace(OPTIONS, registration=registration, attachment=Attachment(), bcc=())
    return written(RECORDED, options=options)


def test_an_address_beyond_ascii_gives_its_own_form_to_those_who_need_it() -> None:
    mail = mailed(SECURITY, JOERG)

    assert mail.content.isascii()
    assert str(headers_of(mail)["To"].groups[-1]) == '"Jörg <jörg@example.test>":;'
    assert "\r\nTo: security@example.test, =?utf-8?b?SsO2cmc=?= <jörg@example.test>\r\n" in (
        mail.international.decode()
    )

    # Nothing else differs.
    def others(content: bytes) -> list[bytes]:
        return re.sub(rb"\r\nTo: .*?\r\n(?! )", b"\r\n", content, flags=re.DOTALL).split(b"\r\n")

    assert others(mail.content) == others(mail.international)
    assert mailed(SECURITY).international == b""


@pytest.mark.parametrize(
    ("to", "changes"),
    [((JOERG,), {}), ((SECURITY,), {"from_": JOERG}), ((SECURITY, JOERG), {"from_": JOERG})],
    ids=["every-recipient", "the-sender", "both"],
)
def test_there_is_one_form_where_everybody_needs_smtputf8(
    to: tuple[Mailbox, ...], changes: dict[str, Any]
) -> None:
    mail = mailed(*to, **changes)

    assert mail.international == b""
    assert "<jörg@example.test>" in mail.content.partition(b"\r\n\r\n")[0].decode()


def test_no_password_reaches_a_mail() -> None:
    for mail in (written(RECORDED, JOB), registration_mail()):
        for secret in (PASSWORD, b64encode(PASSWORD.encode()).decode()):
            for form in (mail.text, mail.html, mail.summary, mail.subject, mail.content.decode()):
                assert secret not in form


SECRET = Secret(name="password", value=PASSWORD, user="ci")
GUARDED = replace(OPTIONS, secrets=(SECRET,))
LEAKING = replace(RECORDED, annotations=(Annotation(name="a", value=PASSWORD),))
HEADERS = Composition(headers=(Header(name="X-Note", value=PASSWORD),))


@pytest.mark.parametrize(
    ("write", "where"),
    [
        (lambda: written(LEAKING, options=GUARDED), ["text", "html", "summary"]),
        (lambda: registration_mail(PASSWORD, GUARDED), ["subject", "text", "html", "summary"]),
        (lambda: written(RECORDED, options=replace(GUARDED, composition=HEADERS)), ["headers"]),
    ],
    ids=["evidence", "registration", "header"],
)
def test_no_mail_is_made_of_what_holds_the_password(
    write: Callable[[], Mail], where: list[str]
) -> None:
    with pytest.raises(MessageError) as caught:
        write()

    assert [(each.where, each.why) for each in caught.value.problems] == [
        (each, "contains the value of password, so nothing is sent") for each in where
    ]


def test_a_note_stands_behind_the_lead() -> None:
    lead, note = written(RECORDED), written(RECORDED, note="Sent because\x00 of you.")

    for before, after in ((lead.text, note.text), (lead.summary, note.summary)):
        words = " ".join(before.split())
        end = "and the attestation was recorded. Nothing to do."
        assert end in words
        assert " ".join(after.split()) == words.replace(end, f"{end} Sent because of you.")


def test_the_mail_about_a_registration_names_everybody_and_is_whole() -> None:
    both = (Mailbox(addr_spec="a@example.test"), Mailbox(addr_spec="b@example.test"))
    registration = replace(OPTIONS.registration, to=both)
    mail = registration_mail(options=replace(OPTIONS, registration=registration))

    assert "\n  To:              a@example.test, b@example.test\n" in mail.text
    assert not mail.is_cut


# --- what the user may choose ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("env_values", "names", "values"),
    [(EnvValues.SHOW, True, True), (EnvValues.NAMES, True, False), (EnvValues.HIDE, False, False)],
)
def test_environment_variables_are_shown_as_told(
    env_values: EnvValues, names: bool, values: bool
) -> None:
    attestation = replace(
        RECORDED,
        environment=(
            Annotation(name="A_NAME", value="a-value-of-it"),
            Annotation(name="B_NAME", value=""),
        ),
    )
    mail = written(
        attestation, options=replace(OPTIONS, composition=Composition(env_values=env_values))
    )

    for form in (mail.text, Html(mail.html).text, mail.summary.replace("\\", "")):
        assert ("A_NAME" in form) == names
        assert ("B_NAME" in form) == names
        assert ("a-value-of-it" in form) == values


def test_without_environment_variables_there_is_no_section_of_them() -> None:
    for env_values in EnvValues:
        options = replace(OPTIONS, composition=Composition(env_values=env_values))
        mail = written(replace(RECORDED, environment=()), options=options)
        assert "Environment variables" not in mail.html
        assert "ENVIRONMENT VARIABLES" not in mail.text


@pytest.mark.parametrize(
    ("run_id", "is_described"),
    [
        ("8f14e45f-ceea-467f-a8a4-3d2b1c0a9e8d", True),
        ("8F14E45F", True),
        ("", False),
        ("8f14e45", False),
        ("8f14e45f; rm -rf /", False),
        ("$(id)aaaaaaaa", False),
        ("`id`aaaaaaaa", False),
        ("8f14e45f\nid", False),
        ("-8f14e45f", False),
        ("--id=8f14e45f", False),
        ("f" * 65, False),
        ("８f14e45f", False),
    ],
)
def test_the_command_is_shown_only_for_a_run_id_that_a_shell_takes_for_a_word(
    run_id: str, is_described: bool
) -> None:
    mail = written(replace(RECORDED, run=replace(RECORDED.run, id=run_id)))
    command = f"chainloop workflow run describe \\\n    --id {run_id} -o statement\n"

    assert (command in mail.text) == is_described
    assert ("chainloop workflow run describe" in mail.text) == is_described
    assert ("chainloop workflow run describe" in mail.html) == is_described


def test_nothing_that_is_not_recorded_is_described() -> None:
    mail = written(replace(RECORDED, is_recorded=False))

    assert "chainloop workflow run describe" not in mail.text + mail.html


@pytest.mark.parametrize(
    ("message", "finding", "said"),
    [
        ("CVE-1", Finding(kind=FindingKind.VULNERABILITY, id="CVE-1"), ["CVE-1"]),
        (
            "Heap overflow",
            Finding(kind=FindingKind.VULNERABILITY, id="CVE-1", message="Heap overflow"),
            ["CVE-1", "Heap overflow"],
        ),
        (
            "Unbounded write",
            Finding(kind=FindingKind.SAST, id="rule", message="Unbounded\nwrite"),
            ["rule: Unbounded write"],
        ),
        ("", None, ["violated, no message given"]),
    ],
    ids=["the id", "the finding's message", "in the finding's line", "nothing"],
)
def test_a_violation_says_each_thing_once_and_loses_none(
    message: str, finding: Finding | None, said: list[str]
) -> None:
    violation = Violation(message=message, finding=finding)
    mail = written(with_policies(Evaluation(name="policy", violations=(violation,))))

    attention = mail.text.partition("* policy\n")[2].partition("\n\n")[0]
    first, *others = [line.strip() for line in attention.split("\n")[1:]]
    assert [first.removeprefix("- "), *others] == said


# --- whatever the values -----------------------------------------------------------------------


def template_elements() -> set[tuple[str, frozenset[str]]]:
    """Every element that the templates make by themselves, with the names of its attributes."""
    found = set()
    for mail in golden_mails().values():
        found |= {(tag, frozenset(attributes)) for tag, attributes in Html(mail.html).elements}
    return found


OURS = template_elements()
slow = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def check_html(html: str) -> None:
    page = Html(html)

    assert page.open == []
    assert {(tag, frozenset(attributes)) for tag, attributes in page.elements} <= OURS
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            if name == "href":
                assert re.fullmatch(r"https?://[^\s<>\"'`\\]+", value, re.IGNORECASE)
            if name == "style":
                assert not re.search(r"url\s*\(|expression|[<>\"{}]", value)
            assert not name.startswith("on"), (tag, name)
            assert name != "src"
    assert {comment[:8] for comment in page.comments} <= {"[if mso]"}
    assert html.count("<!--") == html.count("-->") == 2


def check_markdown(summary: str) -> None:
    # Without what stands for itself: escaped characters, and code.
    bare = re.sub(r"\\[!-/:-@\[-`{-~]|`[^`\n]*`", "x", summary)
    bare = re.sub(
        r"\[View (workflow run|attestation)\]\(<https?://[^\s<>]+>\)", "", bare, flags=re.I
    )
    assert "`" not in bare
    assert "[" not in bare
    tags = set(re.findall(r"<[^>]*>?", bare))
    assert tags <= {"<details>", "</details>", "<summary>", "</summary>", "<br>"}
    columns = 0
    for line in bare.split("\n"):
        if line.startswith("| "):
            columns = columns or line.count("|")
            assert line.count("|") == columns
        else:
            columns = 0
            assert "|" not in line
        assert not re.match(r"\s*(>\s*)?(=+|-+|[-+] .*|\d+[.)] .*)$", line.rstrip())


def check_characters(text: str) -> None:
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff]", text)


@slow
@given(attestations(hostile), jobs(hostile), hostile)
def test_no_value_becomes_markup_or_a_header(
    attestation: Attestation, job: Job, reason: str
) -> None:
    verdict = judge(attestation, job)
    mail = written(attestation, job, verdict=replace(verdict, reason=reason, missing=(reason,)))

    check_html(mail.html)
    check_markdown(mail.summary)
    for form in (mail.html, mail.text, mail.summary, mail.subject):
        check_characters(form)
        assert "60481729" not in form
    names = headers_of(mail).keys()
    assert len(names) == len(set(names))
    assert set(names) <= {*headers_of(written(RECORDED, JOB)).keys(), "Importance", "Priority"}
    assert mail.content.isascii()
    assert max(map(len, mail.content.split(b"\r\n"))) <= 998


@slow
@given(jobs(hostile))
def test_a_run_without_an_attestation_makes_no_markup_either(job: Job) -> None:
    mail = written(None, job)

    check_html(mail.html)
    check_markdown(mail.summary)


@slow
@given(hostile)
@example("\r\nBcc: x@evil.test")
def test_the_name_of_a_registration_makes_no_markup_either(name: str) -> None:
    mail = registration_mail(name)

    check_html(mail.html)
    check_markdown(mail.summary)
    check_characters(mail.text + mail.html + mail.summary + mail.subject)


@slow
@given(attestations(tame), jobs(tame))
def test_nothing_that_is_not_said_is_shown_as_a_word_of_python(
    attestation: Attestation, job: Job
) -> None:
    mail = written(attestation, job)

    for form in (mail.text, Html(mail.html).text, mail.summary, mail.subject):
        assert not re.search(r"\bNone\b|\bnull\b|\bN/A\b|\[\]|\{\}|\(\)|Undefined|\bTrue\b", form)


def packed(text: str) -> str:
    """Without blanks, which wrapping may move."""
    return "".join(text.split())


def facts_of(attestation: Attestation) -> Iterator[str]:
    """What has to be found in every part of the mail, cleaned."""
    attestation = clean(attestation)
    for material in attestation.materials:
        yield from (material.name, material.type, material.value, material.digest)
        for annotation in material.annotations:
            yield f"{annotation.name}: {annotation.value or 'not set'}"
    for evaluation in attestation.policies.evaluations:
        yield evaluation.name
        yield evaluation.material
        for violation in evaluation.active_violations:
            yield from lines(violation)
        if evaluation.is_skipped and not evaluation.active_violations:
            yield from evaluation.skip_reasons
    for each in (*attestation.annotations, *attestation.environment):
        yield each.name
        yield each.value or "not set"
    yield from (attestation.digest, attestation.run.id, attestation.run.reason)
    workflow = attestation.workflow
    yield from (workflow.name, workflow.id, workflow.project, workflow.organization, workflow.team)
    yield attestation.runner.url
    if attestation.commit and attestation.commit.sha:
        yield from (attestation.commit.sha, attestation.commit.author_name)


@slow
@given(attestations(hostile), attestations(hostile))
def test_what_changed_makes_no_markup_and_stands_in_both_parts(
    previous: Attestation, current: Attestation
) -> None:
    changes = compared(previous, current)
    mail = written(current, changes=changes)

    check_html(mail.html)
    check_markdown(mail.summary)
    check_characters(mail.html + mail.text + mail.summary)
    changes = clean(changes)
    shown, text = packed(Html(mail.html).text), packed(mail.text)
    for each in (*changes.added, *changes.removed):
        for fact in (each.name, each.type, each.value, each.digest):
            assert packed(fact) in text
            assert packed(fact) in shown
    for breach in (*changes.introduced, *changes.resolved):
        assert packed(breach.policy) in text
        assert packed(breach.policy) in shown


@slow
@given(attestations(hostile))
def test_every_fact_stands_in_both_parts(attestation: Attestation) -> None:
    mail = written(attestation)

    page = Html(mail.html)
    shown = packed(page.text + " ".join(each.get("href", "") for _, each in page.elements))
    text = packed(mail.text)
    for fact in facts_of(attestation):
        assert packed(fact) in text
        assert packed(fact) in shown


REFS = st.one_of(
    st.text(max_size=120).map(lambda name: f"refs/heads/{name}"),
    st.integers(1, 99999).map(lambda number: f"refs/pull/{number}/merge"),
    st.just(""),
)


@slow
@given(
    project=st.one_of(st.text(max_size=60), st.text("abc-", max_size=60)),
    workflow=st.text(max_size=120),
    ref=REFS,
    sha=st.text("0123456789abcdef", min_size=40, max_size=40),
    outcome=st.sampled_from(Outcome),
    reason=st.text(max_size=60),
    numbers=st.tuples(*[st.integers(0, 99999)] * 4),
)
def test_a_subject_is_short_and_never_loses_project_outcome_or_commit(
    project: str,
    workflow: str,
    ref: str,
    sha: str,
    outcome: Outcome,
    reason: str,
    numbers: tuple[int, int, int, int],
) -> None:
    evaluations, violations, passed, skipped = numbers
    attestation = replace(
        RECORDED,
        workflow=Workflow(name=workflow, project=project),
        environment=(Annotation(name="GITHUB_REF", value=ref),),
        commit=Commit(sha=sha),
        policies=Policies(
            evaluation_count=evaluations,
            violation_count=violations,
            passed_count=passed,
            skipped_count=skipped,
            has_gated_violations=bool(violations % 2),
        ),
    )
    verdict = Verdict(outcome=outcome, reason=reason)
    subject = written(attestation, verdict=verdict).subject

    assert len(subject) <= 78
    assert subject == " ".join(subject.split())
    check_characters(subject)
    assert sha[:7] in subject
    assert subject.startswith("[")
    named = clean(project) or clean(workflow) or "chainloop-smtp"
    beginning = named[:21] if len(named) > 24 else named
    assert packed(subject).startswith("[" + packed(beginning))
    badges = "Passed|Attested|Policy violations|Not attested|Failed|Cancelled"
    exceptional = "Blocked by gate|Blocked by policy|Gate bypassed|Policy bypassed"
    match = re.match(rf".*?\] ({badges}|{exceptional}): ", subject)
    assert match
    assert match.end() <= 46


@slow
@given(attestations(hostile), jobs(hostile))
def test_what_a_list_of_mails_shows_of_it_is_the_headline_the_finding_and_the_lead(
    attestation: Attestation, job: Job
) -> None:
    mail = written(attestation, job)
    words = word(clean(states.facts_of(attestation, job)))
    seen = visible(mail.html)

    assert seen.lines == seen.everything
    first = words.headline + words.finding + words.lead
    assert packed("".join(seen.lines)).startswith(packed(first))


# --- cleaning ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "cleaned"),
    [
        ("plain", "plain"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text\x1b]8;;https://x\x1b\\link", "textlink"),
        ("a\x1bMb\x1bc", "ab c"),
        ("a\r\nb\rc\nd\u2028e\x85f", "a b c d e f"),
        ("a\tb\x00c\x7fd\x9be", "a b c d e"),
        ("\u202aa\u202eb\u2066c\ufeff", "abc"),
        ("a\u200bb\u200ec\u061cd\u2060e\xadf\U000e0041", "abcdef"),
        ("می\u200cخواهم 👩\u200d🚀", "می\u200cخواهم 👩\u200d🚀"),
        ("\ud800a\udfff", "\ufffda\ufffd"),
        ("עברית 漢字 😀 é", "עברית 漢字 😀 é"),
    ],
)
def test_a_value_is_cleaned_of_what_hides_or_reorders(value: str, cleaned: str) -> None:
    assert clean(value) == cleaned
    assert clean(Annotation(name=value, value="")).name == cleaned
    assert clean((value,)) == (cleaned,)


def test_prose_keeps_its_lines() -> None:
    violation = Violation(subject="a\r\nb", message="\r\none\r\n\x1b[1mtwo\u2029three\r\n")

    assert clean(violation) == Violation(subject="a b", message="one\ntwo\nthree")


@pytest.mark.parametrize(
    ("longest", "longest_id", "word", "prose", "digest"),
    [
        (None, None, 10_000, 10_000, 10_000),
        (30, None, 30, 300, 10_000),
        (2_000, 140, 2_000, 10_000, 140),
        (20_000, 20_000, 10_000, 10_000, 10_000),
    ],
)
def test_what_is_too_long_is_cut_and_says_how_long_it_was(
    longest: int | None, longest_id: int | None, word: int, prose: int, digest: int
) -> None:
    cleaned = partial(clean, longest=longest, longest_id=longest_id)

    def cut(length: int) -> str:
        return "x" * length + " (cut, 10,001 characters)"

    long = "x" * 10_001
    assert cleaned(long) == cleaned((long,))[0] == cut(word)
    assert cleaned(long, is_prose=True) == cut(prose)
    material = Material(name=long, digest=long, annotations=(Annotation(name="a", value=long),))
    assert cleaned(material) == Material(
        name=cut(word), digest=cut(digest), annotations=(Annotation(name="a", value=cut(word)),)
    )
    kept = Violation(subject="x" * word, message="x" * prose)
    assert cleaned(kept) is kept
    assert cleaned(Violation(subject=long, message=long)) == Violation(
        subject=cut(word), message=cut(prose)
    )


@pytest.mark.parametrize(
    ("value", "cleaned"),
    [
        (
            Evaluation(name="a", description="1\n2", skip_reasons=("1\n2",)),
            Evaluation(name="a", description="1\n2", skip_reasons=("1 2",)),
        ),
        (
            Finding(kind=FindingKind.SAST, id="1\n2", message="1\n2", recommendation="\n1\n2\n"),
            Finding(kind=FindingKind.SAST, id="1 2", message="1\n2", recommendation="1\n2"),
        ),
    ],
)
def test_only_prose_keeps_its_lines(value: object, cleaned: object) -> None:
    assert clean(value) == cleaned


@pytest.mark.parametrize("name", ["digest", "view_url"])
def test_what_is_to_be_copied_is_cut_late(name: str) -> None:
    attestation = replace(RECORDED, **{name: "x" * 50})  # type: ignore[arg-type]

    assert getattr(clean(attestation, longest=10), name) == "x" * 50
    assert clean(attestation.run, longest=10).id == attestation.run.id
    assert clean(Commit(sha="a" * 40), longest=10).sha == "a" * 40
    assert clean(Policies(reference="a" * 40), longest=10).reference == "a" * 40
    assert clean(attestation.runner, longest=10).url == attestation.runner.url


def test_facts_are_cut_apart_from_the_job_and_once_for_each_level() -> None:
    job = replace(JOB, workflow="a \x07 workflow")
    verdict = Verdict(outcome=Outcome.PASSED)
    changes = Changes(previous=RECORDED)
    facts = CleanFacts(
        RunFacts(job=job, verdict=verdict, attestation=RECORDED, changes=changes, now=NOW)
    )
    limits = Limits(value=5)

    assert facts.within(FULL) is facts.whole
    short = facts.within(limits)
    assert facts.within(Limits(value=5, rows=3)) is short
    assert facts.within(Limits(value=5, id=9)) is not short
    assert short.job.workflow == "a   workflow"
    assert short.attestation
    assert short.changes
    for each in (short.attestation, short.changes.previous):
        assert each.workflow.contract_name == "relea (cut, 16 characters)"
    assert facts.raw.job.workflow == "a \x07 workflow"


@given(st.one_of(hostile, st.text()))
def test_what_is_clean_stays_as_it_is(value: str) -> None:
    assert clean(clean(value)) == clean(value)
    check_characters(clean(value))


# --- templates ---------------------------------------------------------------------------------


@pytest.fixture
def fresh_templates() -> Iterator[None]:
    """No template is compiled before the test, and none of its own after it."""
    environment = templates.built_in_environment
    environment.cache_clear()
    yield
    environment.cache_clear()


@pytest.mark.usefixtures("fresh_templates")
def test_compiled_templates_are_kept_beside_compiled_modules(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path))
    written(RECORDED)

    assert len(list((tmp_path / "templates").iterdir())) == 5


@pytest.mark.usefixtures("fresh_templates")
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775])
def test_a_folder_that_others_may_write_to_keeps_no_compiled_templates(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: int
) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    folder.chmod(mode)
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path))
    written(RECORDED)

    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("fresh_templates")
def test_a_folder_that_cannot_be_made_keeps_no_compiled_templates(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path / "file"))

    assert written(RECORDED).subject


@pytest.mark.usefixtures("fresh_templates")
def test_a_release_brings_its_templates_compiled_and_nothing_is_written_beside_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "package"
    shutil.copytree(Path(templates.__file__).parents[1] / "templates", folder)
    monkeypatch.setattr("chainloop_smtp.message.templates._FOLDER", folder)
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path))
    expected = written(RECORDED)
    released = folder / "__pycache__" / str(sys.implementation.cache_tag)
    released.parent.mkdir()
    (tmp_path / "templates").rename(released)
    monkeypatch.setattr(sys, "pycache_prefix", None)
    templates.built_in_environment.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(Sandbox, "compile", None)
        assert written(RECORDED) == expected

    for compiled in released.iterdir():
        compiled.unlink()
    templates.built_in_environment.cache_clear()
    assert written(RECORDED) == expected
    assert list(released.iterdir()) == []


@pytest.mark.parametrize(
    ("value", "escaped"),
    [
        ("a|b", r"a\|b"),
        ("*a* _b_ `c` ~d~", r"\*a\* \_b\_ \`c\` \~d\~"),
        ("<b>&amp;", "&lt;b&gt;&amp;amp;"),
        ("[a](b) ![c]", r"\[a\](b) !\[c\]"),
        ("---", r"\---"),
        ("= x", r"\= x"),
        ("+ x", r"\+ x"),
        ("  - x", r"  \- x"),
        ("2.14.0", "2.14.0"),
        ("-x", "-x"),
        ("1.", r"1\."),
        ("12. x", r"12\. x"),
        ("12) x", r"12\) x"),
        ("a - b", "a - b"),
        ("1 a", "1 a"),
        ("$x$", r"\$x\$"),
        ("\\", "\\\\"),
    ],
)
def test_markdown_text_is_nothing_but_text(value: str, escaped: str) -> None:
    assert templates.md(value) == escaped


@pytest.mark.parametrize(
    ("value", "span"),
    [("a<b", "`a<b`"), ("a|b", r"`a\|b`"), ("", ""), ("a`b", r"a\`b")],
)
def test_markdown_code_is_a_span_of_its_own(value: str, span: str) -> None:
    assert templates.code(value) == span


@pytest.mark.parametrize(
    ("row", "lines"),
    [
        (Fact("Run ID", "7"), ["  Run ID:          7"]),
        (Fact("k" * 15, "v" * 59), [f"  {'k' * 15}: {'v' * 59}"]),
        (Fact("k" * 15, "v" * 60), [f"  {'k' * 15}:", f"    {'v' * 60}"]),
        (Fact("k" * 16, "7"), [f"  {'k' * 16}:", "    7"]),
        (Fact("Run", "1\n2"), ["  Run:", "    1", "    2"]),
        (Fact("Run", ""), ["  Run:             "]),
        (Fact("Run", "7", "", "https://a.test"), ["  Run:             7", "    https://a.test"]),
        (Fact("Run", "1\n2", "", "x:"), ["  Run:", "    1", "    2", "    x:"]),
        (Fact("Run", "x:", "", "x:"), ["  Run:             x:"]),
        (
            Fact("Run", "a " * 36 + "b-c d"),
            ["  Run:", f"    {('a ' * 36).strip()}", "    b-c d"],
        ),
    ],
)
def test_a_fact_is_one_line_or_stands_below_its_key(row: Fact, lines: list[str]) -> None:
    assert templates.fact(row).split("\n") == lines


@pytest.mark.parametrize(
    ("text", "indent", "first", "lines"),
    [
        ("a b", "", None, ["a b"]),
        ("a b", "  ", None, ["  a b"]),
        ("a b", "  ", "- ", ["- a b"]),
        ("a" * 76, "  ", None, [f"  {'a' * 76}"]),
        ("b " + "a" * 75, "  ", None, ["  b", f"  {'a' * 75}"]),
        ("b " + "a-" * 40, "    ", "  - ", ["  - b", f"    {'a-' * 40}"]),
        ("a\u2028b", "", None, ["a\u2028b"]),
        ("  a  ", "", None, ["  a"]),
        ("", "  ", None, [""]),
        ("a " * 33 + "in 12 h 30 min", "", None, [("a " * 33).strip() + " in", "12 h 30 min"]),
    ],
)
def test_text_is_wrapped_at_78_columns(
    text: str, indent: str, first: str | None, lines: list[str]
) -> None:
    assert templates.wrap(text, indent, first).split("\n") == lines


def test_a_number_is_not_parted_from_its_unit() -> None:
    text = "x" * 68 + " for 12 h 30 min"

    assert templates.wrap(text, "  ") == "  " + "x" * 68 + " for\n  12 h 30 min"


@pytest.mark.parametrize(
    ("is_verified", "words"),
    [
        (True, "(digest verified)"),
        (False, "(NOT the digest of the given bundle)"),
        (None, ""),
    ],
    ids=["verified", "contradicted", "not known"],
)
def test_the_mail_says_whether_the_digest_is_that_of_the_bundle(
    is_verified: bool | None, words: str
) -> None:
    digest = "sha256:" + "5d1c" * 16
    attestation = Attestation(
        shape="attestation push -o json",
        is_recorded=True,
        digest=digest,
        signing=Signing(is_digest_verified=is_verified),
    )
    text = " ".join(written(attestation).text.split())
    assert f"Attestation: {digest} {words}".rstrip() in text
    assert ("(" in text.partition(digest)[2].partition("CI")[0]) == bool(words)


@pytest.mark.parametrize(
    ("job", "row"),
    [
        (Job(sha="9c1d", ref="refs/tags/v1"), "Branch or tag:   v1"),
        (Job(sha="9c1d", ref="refs/pull/7/merge"), "Pull request:    #7"),
        (
            Job(sha="9c1d", ref="refs/pull/7/merge", head_ref="tide/tables"),
            "Pull request:    #7 from tide/tables",
        ),
    ],
)
def test_a_pull_request_is_not_called_a_branch(job: Job, row: str) -> None:
    assert f"\n  {row}\n" in written(None, job).text


@pytest.mark.parametrize(
    ("materials", "title"),
    [
        ((), "MATERIALS (0)"),
        ((Material(name="a"),), "MATERIALS (1)"),
        (
            (
                Material(name="a"),
                Material(name="b", is_set=False),
                Material(name="c", is_set=False, is_required=True),
            ),
            "MATERIALS (1, 1 MISSING, 1 NOT ADDED)",
        ),
    ],
)
def test_the_heading_of_the_materials_counts_those_that_are_there(
    materials: tuple[Material, ...], title: str
) -> None:
    assert f"\n{title}\n" in written(replace(RECORDED, materials=materials)).text


def test_under_an_enforced_strategy_no_violation_is_called_advisory() -> None:
    mail = written(*STATES["blocked-by-policy"][:2])

    for part in (mail.html, mail.text, mail.summary):
        assert "Enforced" in part
        assert "Advisory" not in part
    assert "b-warn" not in mail.html.partition("<body")[2]


def test_words_are_broken_only_where_they_are_long() -> None:
    long = "https://builds.example.test/harbour/sbom"
    html = written(None, Job(status=JobStatus.FAILURE, name=f"see {long} now please")).html

    kept = '<span style="word-break:normal">'
    assert f"{kept}Job see</span> {long} {kept}now please failed. No evidence" in html


def test_why_a_run_is_blocked_stands_before_thirty_jobs_that_went_well() -> None:
    needs = tuple(JobResult(name=f"test-{i}", result=JobStatus.SUCCESS) for i in range(30))
    attestation, job, _ = STATES["blocked-by-gate"]
    mail = written(attestation, replace(job, needs=needs))

    for part in (mail.html, mail.text, mail.summary):
        assert part.index("src/parse.c:12") < part.index("test-0")
