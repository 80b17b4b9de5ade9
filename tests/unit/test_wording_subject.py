"""Subjects in a thread of one branch: what changes from run to run breaks no conversation."""

import re
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chainloop_smtp.message import wording
from chainloop_smtp.message.clean import clean
from chainloop_smtp.model.attested import Attestation, Commit, Policies, Workflow
from chainloop_smtp.model.facts import Job, Outcome, Verdict
from chainloop_smtp.model.settings import Thread
from states import facts_of

ATTESTATION = Attestation(
    shape="attestation push -o json",
    is_recorded=True,
    workflow=Workflow(project="harbour", name="build-and-release"),
    commit=Commit(sha="9c1d4e7f2b8a6035d4e9f1a7c3b5d8e0f2a4b6c8"),
    policies=Policies(evaluation_count=7, violation_count=2, passed_count=5),
)
JOB = Job(ref="refs/heads/main")


def subject(verdict: Verdict, attestation: Attestation | None = ATTESTATION, job: Job = JOB) -> str:
    return wording.word(clean(facts_of(attestation, job, verdict)), Thread.REF).subject


def base(text: str) -> str:
    """What is compared of a subject: RFC 5256 section 2.1, steps 3 to 5, which Gmail's way is like.

    A leading ``[blob]`` goes as long as something is left behind it.
    """
    while (rest := re.sub(r"^\[[^\[\]]*\]\s*", "", text)) and rest != text:
        text = rest
    return text


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Outcome.PASSED, "[harbour] [Passed, 9c1d4e7, 5 of 7 policies] build-and-release main"),
        (
            Outcome.BLOCKED,
            "[harbour] [Blocked by policy, 9c1d4e7, 2 violations] build-and-release main",
        ),
        (Outcome.CANCELLED, "[harbour] [Cancelled, 9c1d4e7] build-and-release main"),
    ],
)
def test_outcome_commit_and_detail_stand_in_brackets(outcome: Outcome, said: str) -> None:
    assert subject(Verdict(outcome=outcome)) == said
    assert len(said) <= 78
    assert base(said) == "build-and-release main"


def test_without_commit_or_branch_the_rest_is_said() -> None:
    attestation = replace(ATTESTATION, commit=None)

    found = subject(Verdict(outcome=Outcome.CANCELLED), attestation, Job())
    assert found == "[harbour] [Cancelled] build-and-release"


@pytest.mark.parametrize(
    ("workflow", "branch", "stem"),
    [
        (
            "workflow-wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww",
            "main",
            "workflow-wwwwwwwwwwwwwwwwwwwwww... main",
        ),
        (
            "release",
            "feature/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
            "release feature/bbbbbbbbbbbbbbbbbbbb...",
        ),
        (
            "workflow-wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww",
            "feature/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
            "workflow-wwwwwww... feature/bbbbbbbb...",
        ),
        (
            "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww",
            "",
            "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww...",
        ),
    ],
    ids=["a long workflow", "a long branch", "both", "no branch"],
)
def test_both_are_cut_so_that_each_keeps_half(workflow: str, branch: str, stem: str) -> None:
    attestation = replace(ATTESTATION, workflow=Workflow(project="harbour", name=workflow))
    said = subject(Verdict(outcome=Outcome.CANCELLED), attestation, Job(ref=f"refs/heads/{branch}"))
    assert said == f"[harbour] [Cancelled, 9c1d4e7] {stem}"


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("has_gate", [True, False])
def test_no_badge_is_longer_than_what_room_is_kept_for(outcome: Outcome, has_gate: bool) -> None:
    policies = replace(ATTESTATION.policies, has_gated_violations=has_gate)
    verdict = Verdict(outcome=outcome)

    badge = wording.word(facts_of(replace(ATTESTATION, policies=policies), JOB, verdict)).badge
    assert len(badge) <= len("Blocked by policy")


names = st.one_of(
    st.text(max_size=90),
    st.text("ab-[]: ", max_size=90),
    st.sampled_from(["[x] y", "Re: [a]", "漢字" * 30, "x" * 90, ""]),
)


@settings(max_examples=300)
@given(
    project=names,
    workflow=names,
    branch=names,
    shas=st.tuples(*[st.text("0123456789abcdef", min_size=7, max_size=40)] * 2),
    outcomes=st.tuples(*[st.sampled_from(Outcome)] * 2),
    reasons=st.tuples(names, names),
    violations=st.tuples(st.integers(0, 99999), st.integers(0, 99999)),
)
@example(
    project="",
    workflow=" ",
    branch="",
    shas=("0000000", "0000001"),
    outcomes=(Outcome.PASSED, Outcome.PASSED),
    reasons=("", ""),
    violations=(0, 0),
)
@example(
    project="p" * 60,
    workflow="w" * 60,
    branch="b" * 60,
    shas=("0123456", "fedcba9"),
    outcomes=(Outcome.PASSED, Outcome.BLOCKED),
    reasons=("", "dry run"),
    violations=(0, 12345),
)
def test_two_runs_of_one_branch_have_one_stem(
    project: str,
    workflow: str,
    branch: str,
    shas: tuple[str, str],
    outcomes: tuple[Outcome, Outcome],
    reasons: tuple[str, str],
    violations: tuple[int, int],
) -> None:
    def said(which: int) -> str:
        attestation = replace(
            ATTESTATION,
            workflow=Workflow(project=project, name=workflow),
            commit=Commit(sha=shas[which]),
            policies=Policies(evaluation_count=7, violation_count=violations[which]),
        )
        verdict = Verdict(outcome=outcomes[which], reason=reasons[which])
        return subject(verdict, attestation, Job(ref=f"refs/heads/{branch}"))

    first, second = said(0), said(1)
    assert base(first) == base(second) != ""
    for which, each in enumerate((first, second)):
        assert len(each) <= 78
        assert shas[which][:7] in each
        assert each.startswith("[")
        assert each == " ".join(each.split())
