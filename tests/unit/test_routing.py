"""Conditions and facts -> whether a mail is sent, and why not."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainloop_smtp.model.attested import (
    Annotation,
    Attestation,
    Evaluation,
    Finding,
    FindingKind,
    Policies,
    Violation,
    Workflow,
)
from chainloop_smtp.model.checks import SignatureCheck, SignatureStatus
from chainloop_smtp.model.entries import Conditions
from chainloop_smtp.model.facts import (
    Breach,
    Changes,
    Decision,
    Job,
    JobResult,
    JobStatus,
    Outcome,
    PolicyStatus,
    Previous,
    RunFacts,
    Verdict,
)
from chainloop_smtp.model.settings import Trigger
from chainloop_smtp.routing import decide, ref

NOW = datetime(2026, 9, 1, tzinfo=UTC)
UNKNOWN = Previous(source="nothing to compare with")
ANY, PUSHED = Conditions(), Job(event="push")


def violation(kind: FindingKind | None = None, *, is_suppressed: bool = False) -> Violation:
    finding = Finding(kind=kind) if kind else None
    return Violation(subject="p", is_suppressed=is_suppressed, finding=finding)


def attested(
    *violations: Violation, ref: str = "refs/heads/main", policy: str = "licenses", **more: str
) -> Attestation:
    active = [each for each in violations if not each.is_suppressed]
    return Attestation(
        shape="test",
        is_recorded=True,
        workflow=Workflow(name="build", id="1b4e28ba-2fa1-11d2-883f-0016d3cca427", project="quay"),
        environment=tuple(
            Annotation(name=name, value=value)
            for name, value in ({"GITHUB_REF": ref} | more).items()
        ),
        policies=Policies(
            evaluations=(Evaluation(name=policy, violations=violations),),
            evaluation_count=1,
            violation_count=len(active),
        ),
    )


def annotations(pairs: dict[str, str]) -> tuple[Annotation, ...]:
    return tuple(Annotation(name=name, value=value) for name, value in pairs.items())


def decided(
    conditions: Conditions = ANY,
    *triggers: Trigger,
    attestation: Attestation | None = None,
    job: Job = PUSHED,
    outcome: Outcome = Outcome.PASSED,
    status: PolicyStatus | None = None,
    previous: Previous = UNKNOWN,
    signature: SignatureStatus | None = None,
) -> Decision:
    verdict = Verdict(outcome=outcome, policy_status=status)
    check = SignatureCheck(status=signature) if signature else None
    facts = RunFacts(job=job, verdict=verdict, attestation=attestation, signature=check, now=NOW)
    return decide(conditions, triggers or (Trigger.ALWAYS,), facts, previous)


@pytest.mark.parametrize(
    "conditions",
    [
        Conditions(),
        Conditions(workflows=("build",), projects=("quay",)),
        Conditions(workflows=("bu*", "x")),
        Conditions(workflows=("1b4e28ba-2fa1-11d2-883f-0016d3cca427",)),
        Conditions(branches=("ma?n",), events=("pu[rs]h",)),
        Conditions(branches=("main",), tags=("v*",)),
        Conditions(outcomes=(Outcome.FAILED, Outcome.PASSED)),
        Conditions(policies=("lic*",), findings=(FindingKind.SAST, FindingKind.LICENSE)),
    ],
)
def test_what_matches_applies(conditions: Conditions) -> None:
    attestation = attested(violation(FindingKind.LICENSE))
    assert decided(conditions, attestation=attestation) == Decision()


@pytest.mark.parametrize(
    ("conditions", "reason"),
    [
        (Conditions(workflows=("release",)), "workflow build is not release"),
        (Conditions(workflows=("Build", "x*")), "workflow build is none of Build, x*"),
        # A workflow's id is no text for globs: one in sixteen begins with 1.
        (Conditions(workflows=("1*", "*-*")), "workflow build is none of 1*, *-*"),
        (Conditions(projects=("harbour",)), "project quay is not harbour"),
        (Conditions(branches=("release/*",)), "branch main is not release/*"),
        (Conditions(tags=("v*",)), "it did not run on a tag"),
        (
            Conditions(branches=("x",), tags=("v*",)),
            "branch main is not x; it did not run on a tag",
        ),
        (Conditions(events=("schedule",)), "event push is not schedule"),
        (Conditions(outcomes=(Outcome.FAILED,)), "outcome passed is not failed"),
        (Conditions(policies=("cve",)), "violated policy licenses is not cve"),
        (
            Conditions(findings=(FindingKind.VULNERABILITY, FindingKind.SAST)),
            "no finding is of kind vulnerability or sast",
        ),
    ],
)
def test_what_does_not_match_says_why(conditions: Conditions, reason: str) -> None:
    attestation = attested(violation(FindingKind.LICENSE), violation())
    assert decided(conditions, attestation=attestation).reason == reason


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"environment": "prod"}, ""),
        ({"team": "security", "environment": "prod"}, ""),
        ({"environment": "staging"}, "annotation 'environment' is 'prod', not 'staging'"),
        ({"environment": "pro*"}, "annotation 'environment' is 'prod', not 'pro*'"),
        ({"environment": "prod", "owner": "me"}, "the attestation has no annotation 'owner'"),
        ({"Environment": "prod"}, "the attestation has no annotation 'Environment'"),
    ],
)
def test_every_annotation_of_a_filter_has_to_be_carried_exactly(
    wanted: dict[str, str], reason: str
) -> None:
    conditions = Conditions(annotations=annotations(wanted))
    carried = annotations({"environment": "prod", "team": "security"})
    attestation = replace(attested(), annotations=carried)
    assert decided(conditions, attestation=attestation) == Decision(reason=reason)
    assert decided(conditions).reason == (
        "there is no evidence of the run, so its annotations are not known"
    )


@pytest.mark.parametrize(
    ("conditions", "reason"),
    [
        (
            Conditions(workflows=("build",)),
            "there is no evidence of the run, so its Chainloop workflow is not known",
        ),
        (
            Conditions(projects=("quay",)),
            "there is no evidence of the run, so its Chainloop project is not known",
        ),
        (Conditions(workflows=("*",), projects=("*",)), ""),
        (Conditions(branches=("main",)), "it did not run on a branch"),
        (Conditions(policies=("x",)), "no policy is violated"),
        (Conditions(findings=(FindingKind.SAST,)), "no finding is of kind sast"),
    ],
)
def test_without_an_attestation_only_what_asks_for_nothing_of_it_applies(
    conditions: Conditions, reason: str
) -> None:
    assert decided(conditions).reason == reason


def test_names_that_the_step_gives_stand_in_for_an_attestation_and_for_no_more() -> None:
    job = Job(chainloop_workflow="build-api", chainloop_project="quay")
    conditions = Conditions(workflows=("build-*",), projects=("quay",))
    assert decided(conditions, job=job) == Decision()
    assert decided(Conditions(workflows=("release",)), job=job).reason == (
        "workflow build-api is not release"
    )
    job = Job(chainloop_workflow="release", chainloop_project="harbour")
    assert decided(conditions, attestation=attested(), job=job).reason == (
        "workflow build is not build-*"
    )


def test_an_attestation_without_a_name_is_not_called_none() -> None:
    nameless = replace(attested(), workflow=Workflow())
    assert decided(Conditions(projects=("quay",)), attestation=nameless).reason == (
        "the attestation does not give its project"
    )
    job = Job(chainloop_project="quay")
    assert decided(Conditions(projects=("quay",)), attestation=nameless, job=job) == Decision()


def test_an_unknown_event_is_said_to_be() -> None:
    decision = decided(Conditions(events=("push",)), job=Job())
    assert decision.reason == "the event is not known"


def test_a_suppressed_violation_routes_nothing() -> None:
    attestation = attested(violation(FindingKind.SAST, is_suppressed=True))
    assert not decided(Conditions(findings=(FindingKind.SAST,)), attestation=attestation).applies
    assert not decided(Conditions(policies=("*s",)), attestation=attestation).applies
    assert not decided(Conditions(), Trigger.VIOLATED, attestation=attestation).applies


@pytest.mark.parametrize(
    ("attestation", "job", "expected"),
    [
        (None, Job(ref="refs/heads/a/b"), ("a/b", "")),
        (None, Job(ref="refs/tags/v1"), ("", "v1")),
        (None, Job(ref="refs/pull/7/merge", head_ref="topic"), ("topic", "")),
        (None, Job(), ("", "")),
        (None, Job(ref="main", head_ref="topic"), ("topic", "")),
        (attested(ref="refs/pull/7/merge"), Job(), ("", "")),
        (attested(ref="main"), Job(), ("main", "main")),
        (attested(ref="refs/tags/v2"), Job(ref="refs/heads/main"), ("", "v2")),
        (attested(ref="refs/pull/7/merge", GITHUB_HEAD_REF="mine"), Job(), ("mine", "")),
    ],
)
def test_the_branch_or_tag_is_the_attested_one_before_the_jobs(
    attestation: Attestation | None, job: Job, expected: tuple[str, str]
) -> None:
    verdict = Verdict(outcome=Outcome.PASSED)
    assert ref(RunFacts(job=job, verdict=verdict, attestation=attestation, now=NOW)) == expected


FAILED_JOB = Job(status=JobStatus.FAILURE)
CANCELLED_NEED = Job(needs=(JobResult(name="a", result=JobStatus.CANCELLED),))
VIOLATED = attested(violation())


@pytest.mark.parametrize(
    ("trigger", "outcome", "holds"),
    [
        (Trigger.ALWAYS, Outcome.FAILED, True),
        (Trigger.PASSED, Outcome.PASSED, True),
        (Trigger.PASSED, Outcome.ATTESTED, True),
        (Trigger.PASSED, Outcome.VIOLATIONS, False),
        (Trigger.FAILED, Outcome.FAILED, True),
        (Trigger.FAILED, Outcome.BLOCKED, False),
        (Trigger.CANCELLED, Outcome.CANCELLED, True),
        (Trigger.CANCELLED, Outcome.FAILED, False),
        (Trigger.BLOCKED, Outcome.BLOCKED, True),
        (Trigger.BLOCKED, Outcome.VIOLATIONS, False),
        (Trigger.BYPASSED, Outcome.BYPASSED, True),
        (Trigger.BYPASSED, Outcome.PASSED, False),
    ],
)
def test_a_trigger_holds_by_the_outcome(trigger: Trigger, outcome: Outcome, holds: bool) -> None:
    decision = decided(Conditions(), trigger, attestation=attested(), outcome=outcome)
    assert decision.applies is holds
    assert holds or decision.reason == f"send-on is {trigger}, and the outcome is {outcome}"


def test_a_blocked_run_whose_job_failed_counts_as_failed_too() -> None:
    assert decided(Conditions(), Trigger.FAILED, job=FAILED_JOB, outcome=Outcome.BLOCKED).applies
    cancelled = decided(Conditions(), Trigger.CANCELLED, job=CANCELLED_NEED, outcome=Outcome.FAILED)
    assert cancelled.applies


@pytest.mark.parametrize("is_earlier", [False, True], ids=["job-status", "needs"])
@pytest.mark.parametrize("status", JobStatus)
def test_every_conclusion_is_a_failure_or_a_cancellation_or_neither(
    status: JobStatus, is_earlier: bool
) -> None:
    needs = (JobResult(name="", result=status),)
    job = Job(needs=needs) if is_earlier else Job(status=status)
    blocked = Outcome.BLOCKED
    failed = decided(ANY, Trigger.FAILED, job=job, outcome=blocked).applies
    cancelled = decided(ANY, Trigger.CANCELLED, job=job, outcome=blocked).applies
    failures = ("failure", "timed_out", "startup_failure", "action_required")
    assert failed is (status in failures)
    assert cancelled is (status in ("cancelled", "stale"))
    was_good = before(has_succeeded=True)
    changed = decided(ANY, Trigger.CHANGED, job=job, outcome=blocked, previous=was_good).applies
    assert changed is (failed or cancelled)


def test_without_a_status_the_earlier_jobs_say_whether_the_run_succeeded() -> None:
    needs = (JobResult(name="build", result=JobStatus.SUCCESS),)
    decision = decided(
        ANY,
        Trigger.CHANGED,
        job=Job(needs=needs),
        outcome=Outcome.BLOCKED,
        previous=before(has_succeeded=True),
    )
    assert decision == Decision(reason="send-on is changed, and the outcome is blocked")


def test_a_bypass_counts_whatever_became_of_the_job() -> None:
    decision = decided(
        Conditions(), Trigger.BYPASSED, outcome=Outcome.FAILED, status=PolicyStatus.BYPASSED
    )
    assert decision.applies


def test_violations_count_even_if_only_counted() -> None:
    assert decided(Conditions(), Trigger.VIOLATED, attestation=VIOLATED).applies
    claimed = Attestation(shape="t", is_recorded=True, policies=Policies(has_violations=True))
    assert decided(Conditions(), Trigger.VIOLATED, attestation=claimed).applies
    assert not decided(Conditions(), Trigger.VIOLATED).applies


def test_what_is_not_recorded_is_not_attested() -> None:
    assert decided(Conditions(), Trigger.NOT_ATTESTED).applies
    status = Attestation(shape="status", is_recorded=False)
    assert decided(Conditions(), Trigger.NOT_ATTESTED, attestation=status).applies
    assert not decided(Conditions(), Trigger.NOT_ATTESTED, attestation=attested()).applies


def test_one_trigger_of_several_is_enough() -> None:
    assert decided(Conditions(), Trigger.FAILED, Trigger.PASSED, attestation=attested()).applies


def before(outcome: Outcome | None = None, *, has_succeeded: bool | None = None) -> Previous:
    return Previous(source="GitHub", outcome=outcome, has_succeeded=has_succeeded)


@pytest.mark.parametrize(
    ("trigger", "previous", "job", "outcome", "holds"),
    [
        (Trigger.CHANGED, before(Outcome.PASSED), Job(), Outcome.VIOLATIONS, True),
        (Trigger.CHANGED, before(Outcome.PASSED), Job(), Outcome.PASSED, False),
        (Trigger.FIXED, before(Outcome.VIOLATIONS), Job(), Outcome.PASSED, True),
        (Trigger.FIXED, before(Outcome.BLOCKED), Job(), Outcome.VIOLATIONS, False),
        (Trigger.FIXED, before(Outcome.PASSED), Job(), Outcome.PASSED, False),
        (Trigger.CHANGED, before(has_succeeded=True), FAILED_JOB, Outcome.FAILED, True),
        (Trigger.CHANGED, before(has_succeeded=False), FAILED_JOB, Outcome.FAILED, False),
        (Trigger.CHANGED, before(has_succeeded=False), Job(), Outcome.PASSED, True),
        (Trigger.CHANGED, before(has_succeeded=False), Job(), Outcome.BLOCKED, False),
        (Trigger.FIXED, before(has_succeeded=False), Job(), Outcome.PASSED, True),
        (Trigger.FIXED, before(has_succeeded=False), CANCELLED_NEED, Outcome.CANCELLED, False),
        (Trigger.FIXED, before(has_succeeded=True), Job(), Outcome.PASSED, False),
    ],
)
def test_a_run_is_compared_with_the_one_before(
    trigger: Trigger, previous: Previous, job: Job, outcome: Outcome, holds: bool
) -> None:
    decision = decided(Conditions(), trigger, job=job, outcome=outcome, previous=previous)
    assert (decision.applies, decision.note) == (holds, "")


def changes(*introduced: Violation, is_known: bool = True) -> Previous:
    breaches = tuple(
        Breach(policy="p", material="", is_gate=False, violation=each) for each in introduced
    )
    found = Changes(previous=attested(), introduced=breaches, are_violations_known=is_known)
    return Previous(source="previous-attestation", outcome=Outcome.VIOLATIONS, changes=found)


def test_violations_are_new_when_the_run_before_did_not_have_them() -> None:
    new = Trigger.NEW_VIOLATIONS
    assert decided(Conditions(), new, previous=changes(violation())) == Decision()
    assert not decided(Conditions(), new, previous=changes()).applies


@pytest.mark.parametrize(
    ("triggers", "previous", "note"),
    [
        (
            (Trigger.CHANGED,),
            UNKNOWN,
            "Sent because it is not known whether it changed the outcome: nothing to compare with.",
        ),
        (
            (Trigger.FAILED, Trigger.FIXED),
            UNKNOWN,
            "Sent because it is not known whether it fixed what was wrong: nothing to compare "
            "with.",
        ),
        (
            (Trigger.FIXED, Trigger.CHANGED),
            UNKNOWN,
            "Sent because it is not known whether it fixed what was wrong or changed the outcome: "
            "nothing to compare with.",
        ),
        (
            (Trigger.FIXED, Trigger.NEW_VIOLATIONS),
            before(has_succeeded=True),
            "Sent because it is not known whether it has new violations: GitHub.",
        ),
        (
            (Trigger.NEW_VIOLATIONS,),
            changes(is_known=False),
            "Sent because it is not known whether it has new violations: previous-attestation.",
        ),
    ],
)
def test_what_cannot_be_compared_is_sent_and_says_so(
    triggers: tuple[Trigger, ...], previous: Previous, note: str
) -> None:
    decision = decided(Conditions(), *triggers, previous=previous)
    assert decision.applies
    assert decision.note == note


GLOBS = st.lists(st.sampled_from(["*", "build", "ma*", "[!a]*", "x", ""]), max_size=2).map(tuple)
CONDITIONS = st.builds(
    Conditions,
    workflows=GLOBS,
    projects=GLOBS,
    branches=GLOBS,
    tags=GLOBS,
    events=GLOBS,
    outcomes=st.lists(st.sampled_from(Outcome), max_size=2).map(tuple),
    policies=GLOBS,
    findings=st.lists(st.sampled_from(FindingKind), max_size=2).map(tuple),
    annotations=st.sampled_from([(), annotations({"a": "b"}), annotations({"a": "b", "c": "d"})]),
)
TRIGGERS = st.lists(st.sampled_from(Trigger), min_size=1, max_size=3).map(tuple)
ATTESTATIONS = st.none() | st.sampled_from(
    [
        attested(),
        VIOLATED,
        attested(violation(FindingKind.SAST), ref="refs/tags/v1"),
        replace(attested(), annotations=annotations({"a": "b"})),
        replace(attested(), annotations=annotations({"a": "\n\x1b"})),
    ]
)
JOBS = st.builds(
    Job,
    status=st.none() | st.sampled_from(JobStatus),
    event=st.sampled_from(["", "push"]),
    ref=st.sampled_from(["", "refs/heads/main", "refs/tags/v1", "refs/pull/1/merge"]),
)
VERDICTS = st.builds(
    Verdict,
    outcome=st.sampled_from(Outcome),
    policy_status=st.none() | st.sampled_from(PolicyStatus),
)
FACTS = st.builds(RunFacts, job=JOBS, verdict=VERDICTS, attestation=ATTESTATIONS, now=st.just(NOW))
PREVIOUS = st.sampled_from(
    [
        UNKNOWN,
        before(Outcome.PASSED),
        before(Outcome.FAILED),
        before(has_succeeded=False),
        changes(),
    ]
)


@given(CONDITIONS, TRIGGERS, FACTS, PREVIOUS)
def test_every_attachment_applies_or_says_why_not(
    conditions: Conditions,
    triggers: tuple[Trigger, ...],
    facts: RunFacts,
    previous: Previous,
) -> None:
    decision = decide(conditions, triggers, facts, previous)
    assert decision.applies is (decision.reason == "")
    assert not (decision.reason and decision.note)
    assert decision.reason.isprintable()
    # The same again, and one trigger more never takes a mail away.
    assert decide(conditions, triggers, facts, previous) == decision
    more = decide(conditions, (*triggers, Trigger.ALWAYS), facts, previous)
    assert more.applies or not decision.applies


@given(FACTS)
def test_without_conditions_an_attachment_always_applies(facts: RunFacts) -> None:
    always = (Trigger.ALWAYS,)
    assert decide(Conditions(), always, facts, UNKNOWN).applies


@given(CONDITIONS, FACTS)
def test_a_condition_more_never_adds_a_mail(conditions: Conditions, facts: RunFacts) -> None:
    always = (Trigger.ALWAYS,)
    whole = decide(conditions, always, facts, UNKNOWN)
    names = ("workflows", "projects", "events", "outcomes", "policies", "findings", "annotations")
    for name in names:
        nothing: dict[str, Any] = {name: ()}
        weaker = replace(conditions, **nothing)
        assert decide(weaker, always, facts, UNKNOWN).applies or not whole.applies


UNCHECKED, FAILED, VERIFIED = (
    SignatureStatus.UNCHECKED,
    SignatureStatus.FAILED,
    SignatureStatus.VERIFIED,
)


@pytest.mark.parametrize(
    ("signature", "is_attested", "outcome", "is_sent"),
    [
        (None, True, Outcome.PASSED, False),
        (VERIFIED, True, Outcome.PASSED, False),
        (VERIFIED, True, Outcome.FAILED, False),
        (UNCHECKED, True, Outcome.PASSED, True),
        (UNCHECKED, True, Outcome.FAILED, True),
        (FAILED, True, Outcome.FAILED, True),
        # Evidence that somebody took away is not proven either.
        (UNCHECKED, False, Outcome.NOT_ATTESTED, True),
        # Where a job failed before the attestation, nothing is there to be signed.
        (UNCHECKED, False, Outcome.FAILED, False),
        (UNCHECKED, False, Outcome.CANCELLED, False),
        (FAILED, False, Outcome.FAILED, True),
    ],
)
def test_a_run_is_unverified_unless_its_signature_is_verified(
    signature: SignatureStatus | None, is_attested: bool, outcome: Outcome, is_sent: bool
) -> None:
    decision = decided(
        ANY,
        Trigger.UNVERIFIED,
        attestation=attested() if is_attested else None,
        outcome=outcome,
        signature=signature,
    )
    assert decision.applies is is_sent
