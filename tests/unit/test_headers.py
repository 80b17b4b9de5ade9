"""Header fields to filter, sort and thread by, for whatever the evidence says."""

import email
import email.policy
import re
from dataclasses import replace
from email.header import decode_header, make_header

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chainloop_smtp.message import headers
from chainloop_smtp.message.clean import clean
from chainloop_smtp.model.attested import Attestation, Run, Workflow
from chainloop_smtp.model.checks import SignatureCheck, SignatureStatus
from chainloop_smtp.model.facts import Job, Outcome, PolicyStatus, Verdict
from chainloop_smtp.model.settings import (
    Composition,
    Header,
    Mailbox,
    Options,
    Registration,
    Thread,
)
from states import facts_of

OPTIONS = Options(
    registration=Registration(
        host="smtp.example.test",
        port=587,
        user="ci",
        password="",
        from_=Mailbox(addr_spec="ci@example.test"),
        to=(Mailbox(addr_spec="security@example.test"),),
    ),
)
ATTESTATION = Attestation(
    shape="attestation push -o json",
    is_recorded=True,
    digest=f"sha256:{'0a' * 32}",
    run=Run(id="8f14e45f-ceea-467f-a8a4-3d2b1c0a9e8d"),
    workflow=Workflow(organization="lakeside", project="harbour", name="build-and-release"),
)
JOB = Job(repository="lakeside/boats", workflow="Release", run_id="7", run_attempt="1")
PASSED = Verdict(outcome=Outcome.PASSED, policy_status=PolicyStatus.PASSED)
UNKNOWN = Verdict(outcome=Outcome.NOT_ATTESTED)


def fields(octets: list[bytes]) -> dict[str, str]:
    """Each field by its name, unfolded and decoded, as a mail program reads it."""
    content = b"".join(octets)
    assert content.isascii()
    assert max(map(len, content.split(b"\r\n"))) <= 998
    message = email.message_from_bytes(content + b"\r\n", policy=email.policy.compat32)
    assert not message.defects
    assert message.get_payload() == ""
    assert len(message.keys()) == len(set(message.keys()))
    return {
        name: str(make_header(decode_header(re.sub(r"\r?\n(?=[ \t])", "", value))))
        for name, value in message.items()
    }


def about(
    attestation: Attestation | None = ATTESTATION,
    job: Job = JOB,
    verdict: Verdict = PASSED,
    sender: str = "ci@example.test",
) -> dict[str, str]:
    registration = replace(OPTIONS.registration, from_=Mailbox(addr_spec=sender))
    options = replace(OPTIONS, registration=registration)
    return fields(headers.about(clean(facts_of(attestation, job, verdict)), options))


# --- what they say -----------------------------------------------------------------------------


def test_a_mail_says_whose_run_it_is_about_and_how_it_went() -> None:
    assert about() == {
        "List-Id": "harbour / build-and-release "
        "<build-and-release.harbour.chainloop-smtp.example.test>",
        "X-Chainloop-Outcome": "passed",
        "X-Chainloop-Policy-Status": "PASSED",
        "X-Chainloop-Organization": "lakeside",
        "X-Chainloop-Project": "harbour",
        "X-Chainloop-Workflow": "build-and-release",
        "X-Chainloop-Run-ID": "8f14e45f-ceea-467f-a8a4-3d2b1c0a9e8d",
        "X-Chainloop-Digest": f"sha256:{'0a' * 32}",
    }


@pytest.mark.parametrize("status", SignatureStatus)
def test_a_mail_says_whether_its_signature_is_verified(status: SignatureStatus) -> None:
    facts = facts_of(ATTESTATION, JOB, PASSED, signature=SignatureCheck(status=status))
    found = fields(headers.about(clean(facts), OPTIONS))
    assert found["X-Chainloop-Signature"] == status


def test_without_evidence_the_ci_job_names_the_list_and_nothing_else() -> None:
    assert about(None, verdict=UNKNOWN) == {
        "List-Id": "boats / Release <release.boats.chainloop-smtp.example.test>",
        "X-Chainloop-Outcome": "not-attested",
    }


def test_where_nothing_is_known_there_is_one_list_for_all() -> None:
    assert about(None, Job(), UNKNOWN) == {
        "List-Id": "<chainloop-smtp.example.test>",
        "X-Chainloop-Outcome": "not-attested",
    }


@pytest.mark.parametrize("outcome", Outcome)
def test_only_a_blocked_run_is_urgent(outcome: Outcome) -> None:
    found = about(verdict=Verdict(outcome=outcome))
    is_urgent = outcome is Outcome.BLOCKED

    assert found.get("Importance") == ("high" if is_urgent else None)
    assert found.get("Priority") == ("urgent" if is_urgent else None)
    # SpamAssassin's rule XPRIO.
    assert "X-Priority" not in found


def test_no_responder_answers_a_program() -> None:
    assert fields(headers.automatic()) == {
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "DR, RN, NRN, OOF, AutoReply",
    }


def test_a_thread_is_the_answer_to_a_mail_that_nobody_sent() -> None:
    facts = facts_of(None, JOB, PASSED)
    found = fields(headers.threading(facts, OPTIONS))

    assert list(found) == ["In-Reply-To", "References"]
    assert found["In-Reply-To"] == found["References"]
    assert re.fullmatch(r"<thread-[0-9a-f]{32}@[a-z.]+>", found["References"])
    alone = replace(OPTIONS, composition=Composition(thread=Thread.NONE))
    assert headers.threading(facts, alone) == []


# --- list ids ----------------------------------------------------------------------------------


def list_id(project: str, workflow: str, sender: str = "ci@example.test") -> str:
    named = Workflow(project=project, name=workflow)
    found = about(replace(ATTESTATION, workflow=named), sender=sender)["List-Id"]
    return found.rpartition("<")[2].removesuffix(">")


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("release", "release"),
        ("Release", "release"),
        ("build and release", "build-and-release-b5caceec"),
        ("build_and.release", "build-and-release-"),
        ("漢字", ""),
        ("-", ""),
        ("x" * 60, "x" * 31),
    ],
)
def test_a_name_becomes_one_safe_label(name: str, label: str) -> None:
    found = list_id("harbour", name).removesuffix(".harbour.chainloop-smtp.example.test")

    assert found.startswith(label)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", found)
    assert len(found) <= 40


def test_names_that_look_alike_as_labels_are_two_lists() -> None:
    names = ["a b", "a-b", "a.b", "a/b", "a_b", "a--b", "x" * 41, "x" * 42, "é", "è"]

    assert len({list_id("harbour", name) for name in names}) == len(names)
    assert list_id("a", "b.c") != list_id("b", "c.a")


@pytest.mark.parametrize("domain", ["[192.0.2.1]", ".".join(["d" * 60] * 4)])
def test_a_domain_that_no_list_can_have_leaves_a_list_of_its_own(domain: str) -> None:
    found = list_id("p" * 60, "w" * 60, f"ci@{domain}")

    assert re.fullmatch(r"[0-9a-f]{32}\.chainloop-smtp\.localhost", found)
    assert found == list_id("p" * 60, "w" * 60, f"ci@{domain}")
    assert found != list_id("p" * 60, "v" * 60, f"ci@{domain}")


# --- whatever the values -----------------------------------------------------------------------

hostile = st.one_of(
    st.text(max_size=400),
    st.text(
        st.sampled_from(list(' \t\r\n\v\f\x00\x1b\x7f\x85\u2028.=?_-"\\<>(),:;@é漢😀\u202eaZ0')),
        max_size=300,
    ),
    st.sampled_from(
        [
            "\r\nBcc: x@evil.test",
            "\n\nbody",
            "=?utf-8?q?=0D=0ABcc:_x@evil.test?=",
            "> <x.evil.test>",
            "a" * 20_000,
            "é" * 9_000,
            "\ud800",
            "\x1b]0;title\x07",
        ]
    ),
)


@given(hostile, hostile, hostile, hostile, hostile)
@example("\r\nBcc: x@evil.test", "\nX: y", "\r", "\x85X: y", "\u2028X: y")
def test_no_value_makes_a_field_more_or_ends_the_head(
    organization: str, project: str, workflow: str, run_id: str, digest: str
) -> None:
    attestation = replace(
        ATTESTATION,
        digest=digest,
        run=Run(id=run_id),
        workflow=Workflow(organization=organization, project=project, name=workflow),
    )
    found = about(attestation)

    assert found.keys() <= about().keys()
    assert re.search(r"<[a-z0-9.-]+>$", found["List-Id"])
    assert len(found["List-Id"]) < 800
    for name, value in found.items():
        if name.startswith("X-Chainloop-"):
            assert 0 < len(value) <= 200
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202e]", value)


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), max_size=300),
    st.from_regex(r"X-[A-Za-z0-9-]{1,60}", fullmatch=True),
)
@example("=?utf-8?q?as_it_was?=", "X-A")
@example('{"category": ["a", "b"], "unique_args": {"run": "7"}} ' + "t" * 200, "X-SMTPAPI")
def test_a_field_of_the_users_own_arrives_as_it_was(value: str, name: str) -> None:
    value = " ".join(value.split()) or "x"
    (octets,) = headers.own((Header(name=name, value=value),))

    if value.isascii():
        # A program reads it: no encoded-word, whatever the length.
        unfolded = octets.replace(b"\r\n ", b" ")
        assert unfolded == f"{name}: {value}\r\n".encode("ascii")
    else:
        assert fields([octets]) == {name: value}


def test_the_users_fields_keep_their_order() -> None:
    own = (Header(name="X-B", value="1"), Header(name="X-A", value="2"))

    assert b"".join(headers.own(own)) == b"X-B: 1\r\nX-A: 2\r\n"
    assert Composition().headers == ()


@pytest.mark.parametrize(
    ("length", "value"), [(200, "x" * 200), (201, "x" * 197 + "...")], ids=["whole", "cut"]
)
def test_a_value_of_200_characters_is_whole(length: int, value: str) -> None:
    named = replace(ATTESTATION, workflow=Workflow(organization="x" * length))
    found = fields(headers.about(facts_of(named, JOB, PASSED), OPTIONS))
    assert found["X-Chainloop-Organization"] == value


def test_a_label_that_is_cut_at_a_dash_has_one_before_its_hash() -> None:
    named = replace(ATTESTATION, workflow=Workflow(name="a" * 30 + "-" + "b" * 20))
    found = fields(headers.about(facts_of(named, Job(), PASSED), OPTIONS))
    assert re.search(r"<a{30}-[0-9a-f]{8}\.chainloop-smtp\.example\.test>$", found["List-Id"])
