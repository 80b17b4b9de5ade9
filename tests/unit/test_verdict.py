"""The judgement on a run: Chainloop's six words, and what happened in one."""

from dataclasses import replace

import pytest

import builders
from chainloop_smtp import attestation
from chainloop_smtp.model.attested import (
    Annotation,
    Attestation,
    Evaluation,
    Material,
    Policies,
    Run,
    Runner,
    RunState,
    Signing,
    Strategy,
    Violation,
)
from chainloop_smtp.model.checks import SignatureCheck, SignatureStatus
from chainloop_smtp.model.facts import (
    FailedStep,
    Job,
    JobResult,
    JobStatus,
    Outcome,
    PolicyStatus,
    Sender,
    Verdict,
)
from chainloop_smtp.verdict import judge

RECORDED = Attestation(shape="test", is_recorded=True)
VIOLATED = Policies(evaluation_count=2, violation_count=1, has_violations=True)


def attested(policies: Policies) -> Attestation:
    return replace(RECORDED, policies=policies)


# --- Chainloop's word --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policies", "status", "outcome"),
    [
        (Policies(), PolicyStatus.NOT_APPLICABLE, Outcome.ATTESTED),
        (Policies(strategy=Strategy.ENFORCED), PolicyStatus.NOT_APPLICABLE, Outcome.ATTESTED),
        (Policies(evaluation_count=2, passed_count=2), PolicyStatus.PASSED, Outcome.PASSED),
        (Policies(evaluation_count=2, skipped_count=1), PolicyStatus.SKIPPED, Outcome.PASSED),
        # Nothing was checked.
        (Policies(evaluation_count=2, skipped_count=2), PolicyStatus.SKIPPED, Outcome.ATTESTED),
        (
            Policies(evaluation_count=1, skipped_count=1, reference="sha256:ab"),
            PolicyStatus.SKIPPED,
            Outcome.ATTESTED,
        ),
        (
            Policies(evaluation_count=2, skipped_count=1, strategy=Strategy.ENFORCED),
            PolicyStatus.SKIPPED,
            Outcome.PASSED,
        ),
        (VIOLATED, PolicyStatus.WARNING, Outcome.VIOLATIONS),
        # Only counts are at hand, and Chainloop's own word.
        (
            Policies(evaluation_count=3, passed_count=3, reference="sha256:ab", is_blocked=True),
            PolicyStatus.BLOCKED,
            Outcome.BLOCKED,
        ),
        (replace(VIOLATED, is_bypassed=True), PolicyStatus.WARNING, Outcome.VIOLATIONS),
        (
            replace(VIOLATED, strategy=Strategy.ADVISORY, skipped_count=1),
            PolicyStatus.WARNING,
            Outcome.VIOLATIONS,
        ),
        (
            replace(VIOLATED, strategy=Strategy.ENFORCED, is_bypassed=False),
            PolicyStatus.BLOCKED,
            Outcome.BLOCKED,
        ),
        (
            replace(VIOLATED, has_gated_violations=True, is_bypassed=False),
            PolicyStatus.BLOCKED,
            Outcome.BLOCKED,
        ),
        # A push does not say whether the check was bypassed.
        (replace(VIOLATED, strategy=Strategy.ENFORCED), None, Outcome.VIOLATIONS),
        (
            replace(VIOLATED, has_gated_violations=True, is_bypassed=True),
            PolicyStatus.BYPASSED,
            Outcome.BYPASSED,
        ),
        (
            replace(VIOLATED, strategy=Strategy.ENFORCED, is_bypassed=True),
            PolicyStatus.BYPASSED,
            Outcome.BYPASSED,
        ),
        (
            Policies(evaluation_count=1, strategy=Strategy.ENFORCED, is_bypassed=True),
            PolicyStatus.BYPASSED,
            Outcome.BYPASSED,
        ),
        (Policies(has_violations=True), PolicyStatus.WARNING, Outcome.VIOLATIONS),
        (Policies(reference="sha256:ab"), None, Outcome.ATTESTED),
        (Policies(reference="sha256:ab", is_blocked=True), PolicyStatus.BLOCKED, Outcome.BLOCKED),
        # Chainloop had more than what is at hand.
        (
            Policies(evaluations=(Evaluation(name="x"),), evaluation_count=1, is_blocked=True),
            PolicyStatus.BLOCKED,
            Outcome.BLOCKED,
        ),
    ],
)
def test_the_status_follows_chainloops_rule_and_the_outcome_follows_it(
    policies: Policies, status: PolicyStatus | None, outcome: Outcome
) -> None:
    assert judge(attested(policies), Job()) == Verdict(outcome=outcome, policy_status=status)


@pytest.mark.parametrize(
    ("violations", "is_gate", "strategy", "outcome"),
    [
        (["open"], True, "ADVISORY", Outcome.BLOCKED),
        (["open"], False, "ENFORCED", Outcome.BLOCKED),
        (["open"], False, "ADVISORY", Outcome.VIOLATIONS),
        ([builders.violation("x", is_suppressed=True)], True, "ENFORCED", Outcome.PASSED),
    ],
)
@pytest.mark.parametrize("is_described", [True, False])
def test_suppressed_violations_never_count_and_has_policy_violations_decides_nothing(
    violations: list[builders.JSON | str],
    is_gate: bool,
    strategy: str,
    outcome: Outcome,
    is_described: bool,
) -> None:
    evaluations = [builders.evaluation("x", violations=violations, is_gate=is_gate)]
    statement = builders.statement(evaluations=evaluations, strategy=strategy)
    document = (
        builders.cli_describe(statement, evaluations=evaluations)
        if is_described
        else builders.cli_push(statement, evaluations=evaluations)
    )
    assert is_described or document["has_policy_violations"]

    verdict = judge(attestation.parse(builders.encoded(document)), Job())

    is_undecided = outcome is Outcome.BLOCKED and not is_described
    assert verdict.outcome is (Outcome.VIOLATIONS if is_undecided else outcome)
    assert (verdict.policy_status is None) is is_undecided


GATE_EVALUATIONS = [builders.evaluation("x", violations=["open"], is_gate=True)]
PUSH = builders.cli_push(
    builders.statement(evaluations=GATE_EVALUATIONS), evaluations=GATE_EVALUATIONS
)
SUCCEEDED = JobResult(name="build", result=JobStatus.SUCCESS)
WENT_ON = "gate violated; the job went on"


@pytest.mark.parametrize(
    ("job", "outcome", "reason", "status"),
    [
        (Job(status=JobStatus.SUCCESS), Outcome.VIOLATIONS, WENT_ON, None),
        (Job(status=JobStatus.NEUTRAL), Outcome.VIOLATIONS, WENT_ON, None),
        (Job(needs=(SUCCEEDED,)), Outcome.VIOLATIONS, WENT_ON, None),
        (
            Job(status=JobStatus.SUCCESS, sender=Sender()),
            Outcome.VIOLATIONS,
            "gate violated; the run went on",
            None,
        ),
        (Job(), Outcome.VIOLATIONS, "gate violated", None),
        (Job(status=JobStatus.SKIPPED), Outcome.VIOLATIONS, "gate violated", None),
        (Job(status=JobStatus.CANCELLED), Outcome.CANCELLED, "job was cancelled", None),
        (Job(status=JobStatus.FAILURE), Outcome.BLOCKED, "", PolicyStatus.BLOCKED),
        (
            Job(
                status=JobStatus.SUCCESS,
                needs=(replace(SUCCEEDED, result=JobStatus.TIMED_OUT),),
            ),
            Outcome.BLOCKED,
            "",
            PolicyStatus.BLOCKED,
        ),
    ],
)
def test_a_push_with_a_violated_gate_is_blocked_only_where_a_job_failed(
    job: Job, outcome: Outcome, reason: str, status: PolicyStatus | None
) -> None:
    verdict = judge(attestation.parse(builders.encoded(PUSH)), job)

    assert (verdict.outcome, verdict.reason, verdict.policy_status) == (outcome, reason, status)


@pytest.mark.parametrize(
    ("is_bypassed", "outcome", "status"),
    [
        (True, Outcome.BYPASSED, PolicyStatus.BYPASSED),
        (False, Outcome.BLOCKED, PolicyStatus.BLOCKED),
    ],
)
def test_with_its_bundle_a_push_says_whether_the_gate_was_bypassed(
    is_bypassed: bool, outcome: Outcome, status: PolicyStatus
) -> None:
    statement = builders.statement(evaluations=GATE_EVALUATIONS, is_bypassed=is_bypassed)
    push = builders.cli_push(statement, evaluations=GATE_EVALUATIONS)
    parsed = map(attestation.parse, (builders.encoded(push), builders.stored_bundle(statement)))

    verdict = judge(attestation.join(*parsed), Job(status=JobStatus.SUCCESS))

    assert (verdict.outcome, verdict.reason, verdict.policy_status) == (outcome, "", status)


def test_before_the_push_a_violated_gate_blocks_nothing_yet() -> None:
    for more in ({"isPushed": False, "digest": ""}, {"dryRun": True, "attestationID": ""}):
        verdict = judge(attestation.parse(builders.encoded(PUSH | more)), Job())

        assert (verdict.outcome, verdict.policy_status) == (Outcome.NOT_ATTESTED, None)


def test_a_run_that_is_described_without_attestation_has_no_policy_status() -> None:
    described = Attestation(shape="x", is_recorded=False, run=Run(state=RunState.FAILED))
    of_a_state_to_come = replace(described, run=Run())
    dry_run = replace(described, run=Run(), is_dry_run=True)

    assert judge(described, Job()).policy_status is None
    assert judge(of_a_state_to_come, Job()).policy_status is None
    assert judge(dry_run, Job()).policy_status is PolicyStatus.NOT_APPLICABLE


# --- what happened -----------------------------------------------------------------------------

BLOCKED = attested(replace(VIOLATED, has_gated_violations=True, is_bypassed=False))
BYPASSED = attested(replace(VIOLATED, has_gated_violations=True, is_bypassed=True))
UNRECORDED = Attestation(shape="x", is_recorded=False)
FAILED = Job(status=JobStatus.FAILURE)
CANCELLED = Job(status=JobStatus.CANCELLED)


@pytest.mark.parametrize(
    ("evidence", "job", "outcome", "reason"),
    [
        (BLOCKED, FAILED, Outcome.BLOCKED, ""),
        (BLOCKED, CANCELLED, Outcome.BLOCKED, ""),
        (replace(BLOCKED, is_recorded=False), Job(), Outcome.BLOCKED, ""),
        (BYPASSED, FAILED, Outcome.FAILED, "job failed"),
        (BYPASSED, CANCELLED, Outcome.CANCELLED, "job was cancelled"),
        (replace(BYPASSED, is_recorded=False), Job(), Outcome.NOT_ATTESTED, "not pushed"),
        (UNRECORDED, FAILED, Outcome.FAILED, "job failed"),
        (UNRECORDED, CANCELLED, Outcome.CANCELLED, "job was cancelled"),
        (RECORDED, Job(status=JobStatus.SUCCESS), Outcome.ATTESTED, ""),
        (RECORDED, Job(status=JobStatus.SKIPPED), Outcome.ATTESTED, ""),
        (None, Job(), Outcome.NOT_ATTESTED, "no evidence given"),
        (None, Job(status=JobStatus.SUCCESS), Outcome.NOT_ATTESTED, "no evidence given"),
        (None, Job(status=JobStatus.NEUTRAL), Outcome.NOT_ATTESTED, "no evidence given"),
        (None, Job(status=JobStatus.SKIPPED), Outcome.NOT_ATTESTED, "job was skipped"),
        (
            None,
            Job(needs=(JobResult(name="docs", result=JobStatus.SKIPPED),)),
            Outcome.NOT_ATTESTED,
            "no evidence given",
        ),
        (None, FAILED, Outcome.FAILED, "job failed"),
        (None, CANCELLED, Outcome.CANCELLED, "job was cancelled"),
        (UNRECORDED, Job(), Outcome.NOT_ATTESTED, "not pushed"),
        (replace(UNRECORDED, is_dry_run=True), Job(), Outcome.NOT_ATTESTED, "dry run"),
    ],
)
def test_blocked_stands_before_failed_before_cancelled_before_not_attested_before_the_rest(
    evidence: Attestation | None, job: Job, outcome: Outcome, reason: str
) -> None:
    verdict = judge(evidence, job)

    assert (verdict.outcome, verdict.reason) == (outcome, reason)


@pytest.mark.parametrize(
    ("word", "outcome", "of_one", "of_two"),
    [
        ("failure", Outcome.FAILED, "failed", "failed"),
        ("timed_out", Outcome.FAILED, "timed out", "timed out"),
        ("startup_failure", Outcome.FAILED, "could not start", "could not start"),
        ("action_required", Outcome.FAILED, "needs someone to act", "need someone to act"),
        ("cancelled", Outcome.CANCELLED, "was cancelled", "were cancelled"),
        ("stale", Outcome.CANCELLED, "went stale", "went stale"),
        ("success", Outcome.ATTESTED, "", ""),
        ("neutral", Outcome.ATTESTED, "", ""),
        ("skipped", Outcome.ATTESTED, "", ""),
    ],
)
def test_each_conclusion_is_weighed_as_this_job_and_as_earlier_ones(
    word: str, outcome: Outcome, of_one: str, of_two: str
) -> None:
    status = JobStatus(word)
    named = JobResult(name="build", result=status)
    nameless = JobResult(name="", result=status)
    for job, reason in (
        (Job(status=status, name="mail"), f"job mail {of_one}"),
        (Job(status=JobStatus.SUCCESS, needs=(named,)), f"job build {of_one}"),
        (Job(needs=(named, replace(named, name="test"))), f"jobs build, test {of_two}"),
        (Job(needs=(nameless,)), f"an earlier job {of_one}"),
        (Job(needs=(nameless, nameless)), f"2 earlier jobs {of_two}"),
    ):
        verdict = judge(RECORDED, job)
        assert (verdict.outcome, verdict.reason) == (outcome, reason if of_one else "")


def test_jobs_that_did_not_all_end_alike_failed_or_were_cancelled() -> None:
    def reason(*words: str) -> str:
        needs = (JobResult(name=f"j{n}", result=JobStatus(word)) for n, word in enumerate(words))
        return judge(RECORDED, Job(needs=tuple(needs))).reason

    assert reason("timed_out", "success", "action_required") == "jobs j0, j2 failed"
    assert reason("timed_out", "cancelled", "timed_out") == "jobs j0, j2 timed out"
    assert reason("stale", "cancelled") == "jobs j0, j1 were cancelled"


@pytest.mark.parametrize(
    ("state", "reason", "outcome", "told"),
    [
        (RunState.FAILED, "storm", Outcome.FAILED, "storm"),
        (RunState.FAILED, "", Outcome.FAILED, "run failed"),
        (RunState.EXPIRED, "", Outcome.FAILED, "run expired"),
        (RunState.EXPIRED, "storm", Outcome.FAILED, "storm"),
        (RunState.CANCELED, "", Outcome.CANCELLED, "run cancelled"),
        (RunState.CANCELED, "storm", Outcome.CANCELLED, "storm"),
        (RunState.IN_PROGRESS, "", Outcome.NOT_ATTESTED, "in progress"),
    ],
)
def test_the_state_of_a_described_run_counts(
    state: RunState, reason: str, outcome: Outcome, told: str
) -> None:
    described = replace(UNRECORDED, run=Run(state=state, reason=reason))

    verdict = judge(described, Job())

    assert (verdict.outcome, verdict.reason) == (outcome, told)


def need(name: str, result: JobStatus) -> JobResult:
    return JobResult(name=name, result=result)


@pytest.mark.parametrize(
    ("job", "outcome", "reason"),
    [
        (Job(status=JobStatus.FAILURE, name="ship"), Outcome.FAILED, "job ship failed"),
        (Job(needs=(need("build", JobStatus.FAILURE),)), Outcome.FAILED, "job build failed"),
        (
            Job(
                status=JobStatus.FAILURE,
                name="ship",
                needs=(
                    need("build", JobStatus.FAILURE),
                    need("lint", JobStatus.SUCCESS),
                    need("test", JobStatus.FAILURE),
                ),
            ),
            Outcome.FAILED,
            "jobs build, test failed",
        ),
        (
            Job(needs=(need("a", JobStatus.CANCELLED), need("b", JobStatus.FAILURE))),
            Outcome.FAILED,
            "job b failed",
        ),
        (Job(needs=(need("a", JobStatus.CANCELLED),)), Outcome.CANCELLED, "job a was cancelled"),
        (
            Job(needs=tuple(need(name, JobStatus.CANCELLED) for name in "ab")),
            Outcome.CANCELLED,
            "jobs a, b were cancelled",
        ),
        (
            Job(needs=tuple(need(name, JobStatus.FAILURE) for name in "abcd")),
            Outcome.FAILED,
            "4 jobs failed",
        ),
        (
            Job(needs=tuple(need(name, JobStatus.FAILURE) for name in "abc")),
            Outcome.FAILED,
            "jobs a, b, c failed",
        ),
        (
            Job(needs=(need("", JobStatus.FAILURE), need("b", JobStatus.FAILURE))),
            Outcome.FAILED,
            "2 earlier jobs failed",
        ),
        (Job(needs=(need("a", JobStatus.SKIPPED),)), Outcome.ATTESTED, ""),
    ],
)
def test_earlier_jobs_are_weighed_like_this_one(job: Job, outcome: Outcome, reason: str) -> None:
    verdict = judge(RECORDED, job)

    assert (verdict.outcome, verdict.reason) == (outcome, reason)


BUILD, TEST = need("build", JobStatus.FAILURE), need("test", JobStatus.FAILURE)
STEP = FailedStep(job="build (3.12)", name="Run tests", need=0)


@pytest.mark.parametrize(
    ("job", "where"),
    [
        (Job(needs=(BUILD,), failed_steps=(STEP,)), "at step Run tests"),
        (
            Job(status=JobStatus.CANCELLED, failed_steps=(replace(STEP, need=None),)),
            "at step Run tests",
        ),
        (
            Job(needs=(BUILD,), failed_steps=(STEP, replace(STEP, job="build (3.13)"))),
            "at step Run tests",
        ),
        (Job(needs=(BUILD,), failed_steps=(STEP, replace(STEP, name="Upload"))), ""),
        (Job(needs=(BUILD, TEST), failed_steps=(STEP,)), ""),
        (
            Job(status=JobStatus.FAILURE, needs=(BUILD,), failed_steps=(replace(STEP, need=None),)),
            "",
        ),
        (Job(needs=(need("build", JobStatus.SUCCESS),), failed_steps=(STEP,)), ""),
        (
            Job(
                status=JobStatus.FAILURE, sender=Sender(), failed_steps=(replace(STEP, need=None),)
            ),
            "in job build (3.12) at step Run tests",
        ),
        (
            Job(
                status=JobStatus.FAILURE,
                sender=Sender(),
                failed_steps=(replace(STEP, need=None), FailedStep(job="b", name="Run tests")),
            ),
            "",
        ),
    ],
    ids=[
        *("earlier job", "cancelled", "matrix", "two steps", "two jobs", "not the one named"),
        *("success", "reported run", "two jobs of a reported run"),
    ],
)
def test_a_reason_that_names_one_job_says_at_which_step(job: Job, where: str) -> None:
    assert judge(None, job).where == where
    assert judge(RECORDED, job).where == where


def test_the_reason_of_the_attested_run_is_at_no_step() -> None:
    job = Job(status=JobStatus.FAILURE, failed_steps=(replace(STEP, need=None),))
    described = replace(UNRECORDED, run=Run(state=RunState.FAILED, reason="out of disk"))
    assert judge(described, job).where == ""


@pytest.mark.parametrize("has_violations", [True, False])
def test_a_run_whose_attestation_was_not_retrieved_is_attested_and_its_policies_are_unknown(
    has_violations: bool,
) -> None:
    described = Attestation(
        shape="x",
        is_recorded=True,
        is_retrieved=False,
        run=Run(state=RunState.SUCCESS),
        policies=Policies(has_violations=has_violations),
    )

    outcome = Outcome.VIOLATIONS if has_violations else Outcome.ATTESTED
    assert judge(described, Job()) == Verdict(outcome=outcome, policy_status=None)
    assert judge(described, FAILED).outcome is Outcome.FAILED


def test_violations_that_are_only_counted_count() -> None:
    counted = attested(Policies(evaluation_count=2, violation_count=1))
    assert judge(counted, Job()).policy_status is PolicyStatus.WARNING


def test_a_cancelled_run_without_a_reason_borrows_the_jobs() -> None:
    described = replace(UNRECORDED, run=Run(state=RunState.CANCELED))
    cancelled = Job(status=JobStatus.CANCELLED, name="ship")
    assert judge(described, cancelled).reason == "job ship was cancelled"
    assert judge(described, Job()).reason == "run cancelled"


def test_a_failed_run_without_a_reason_borrows_the_jobs() -> None:
    described = replace(UNRECORDED, run=Run(state=RunState.FAILED))

    assert judge(described, Job(status=JobStatus.FAILURE, name="ship")).reason == "job ship failed"


# --- what is missing ---------------------------------------------------------------------------


def test_missing_materials_and_unsatisfied_groups_are_named() -> None:
    unset = Material(name="sbom", is_set=False, is_required=True)
    materials = (
        unset,
        replace(unset, name="optional", is_required=False),
        replace(unset, name="set", is_set=True),
        replace(unset, name="junit", is_required=False, group="tests"),
        replace(unset, name="cobertura", is_required=False, group="tests"),
        replace(unset, name="sarif", is_required=False, group="scans"),
        replace(unset, name="zap", is_required=False, group="scans", is_set=True),
    )

    verdict = judge(replace(UNRECORDED, materials=materials), Job())

    assert verdict.missing == ("sbom", "tests (junit or cobertura)")
    assert verdict.reason == "2 materials missing"
    assert judge(replace(UNRECORDED, materials=(unset,)), Job()).reason == "1 material missing"


def test_evaluations_at_hand_are_judged_by_their_active_violations() -> None:
    evaluation = Evaluation(name="x", violations=(Violation(is_suppressed=True), Violation()))

    assert len(evaluation.active_violations) == 1
    assert (
        judge(attested(replace(VIOLATED, evaluations=(evaluation,))), Job()).policy_status
        is PolicyStatus.WARNING
    )


# --- evidence of another run -------------------------------------------------------------------

HERE = Job(repository="lakeside/harbour", run_id="42", event="push")


def of_run(run_id: str, repository: str = "lakeside/harbour") -> Attestation:
    named = {"GITHUB_REPOSITORY": repository, "GITHUB_RUN_ID": run_id}
    environment = tuple(Annotation(name=name, value=value) for name, value in named.items())
    return replace(RECORDED, environment=environment)


def test_evidence_of_another_run_of_the_same_repository_is_doubted() -> None:
    doubt = judge(of_run("41"), HERE).doubt

    assert doubt == "The evidence is from CI run 41, but this mail comes from CI run 42."


@pytest.mark.parametrize(
    ("run_id", "theirs"),
    [
        ("41", "CI run 41 of lakeside/pier"),
        ("42", "CI run 42 of lakeside/pier"),
        ("", "a CI run of lakeside/pier"),
    ],
)
def test_evidence_of_another_repository_is_doubted(run_id: str, theirs: str) -> None:
    pier = of_run(run_id, "lakeside/pier")
    ours = "CI run 42 of lakeside/harbour"

    assert judge(pier, HERE).doubt == (
        f"The evidence is from {theirs}, but this mail comes from {ours}."
    )
    reported = replace(HERE, sender=Sender(run_id="77", event="workflow_run"))
    assert judge(pier, reported).doubt == (
        f"The evidence is from {theirs}, but this mail is about {ours}."
    )


def test_that_this_job_went_well_says_nothing_of_the_gate_of_another_run() -> None:
    gated = attestation.parse(builders.encoded(PUSH))
    here = replace(HERE, status=JobStatus.SUCCESS)

    def of(run_id: str, repository: str) -> Attestation:
        return replace(gated, environment=of_run(run_id, repository).environment)

    assert judge(of("42", "lakeside/harbour"), here).reason == WENT_ON
    assert judge(of("41", "lakeside/harbour"), here).reason == "gate violated"
    assert judge(of("42", "lakeside/pier"), here).reason == "gate violated"
    gitlab = replace(gated, runner=Runner(type="GITLAB_PIPELINE"))
    assert judge(gitlab, here).reason == "gate violated"


@pytest.mark.parametrize(
    ("attestation", "job"),
    [
        (None, HERE),
        (RECORDED, HERE),
        (of_run("42"), HERE),
        (of_run(""), HERE),
        (of_run("42", "Lakeside/Harbour"), HERE),
        (of_run("41", "lakeside/pier"), replace(HERE, repository="")),
        (of_run("41"), replace(HERE, run_id="")),
        (of_run("41", ""), replace(HERE, repository="")),
        (of_run("41"), replace(HERE, event="workflow_run")),
        (of_run("41", "lakeside/pier"), replace(HERE, event="workflow_run")),
    ],
)
def test_other_evidence_is_not_doubted(attestation: Attestation | None, job: Job) -> None:
    assert judge(attestation, job).doubt == ""


@pytest.mark.parametrize("event", ["workflow_dispatch", "repository_dispatch", "schedule"])
@pytest.mark.parametrize("repository", ["lakeside/harbour", "lakeside/pier"])
def test_who_is_asked_for_another_run_by_its_id_does_not_doubt_it(
    event: str, repository: str
) -> None:
    evidence, here = of_run("41", repository), replace(HERE, event=event)

    assert judge(evidence, here, is_by_id=True).doubt == ""
    # A file may be left over, whatever started the run.
    assert judge(evidence, here).doubt != ""
    assert judge(evidence, HERE, is_by_id=True).doubt != ""


def test_a_bundle_that_is_not_the_one_of_the_digest_is_doubted() -> None:
    other = replace(RECORDED, signing=Signing(is_digest_verified=False))

    why = "The bundle in the evidence is not the one whose digest the evidence names."
    assert judge(other, Job()).doubt == why
    of_another = replace(of_run("41"), signing=Signing(is_digest_verified=False))
    assert judge(of_another, HERE).doubt == (
        f"The evidence is from CI run 41, but this mail comes from CI run 42. {why}"
    )
    assert judge(replace(RECORDED, signing=Signing(is_digest_verified=True)), Job()).doubt == ""


# --- the signature -----------------------------------------------------------------------------

WRONG = SignatureCheck(status=SignatureStatus.FAILED, reason="another key signed")


@pytest.mark.parametrize(
    "policies",
    [
        Policies(evaluation_count=2, passed_count=2),
        replace(VIOLATED, is_blocked=True),
        replace(VIOLATED, is_bypassed=True, strategy=Strategy.ENFORCED),
    ],
    ids=["passed", "blocked", "bypassed"],
)
def test_evidence_with_a_wrong_signature_proves_nothing(policies: Policies) -> None:
    assert judge(attested(policies), Job(), WRONG) == Verdict(
        outcome=Outcome.FAILED, reason="signature does not verify"
    )


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        (Job(name="build", status=JobStatus.FAILURE), "job build failed"),
        (Job(status=JobStatus.CANCELLED), "job was cancelled"),
    ],
)
def test_how_the_jobs_went_is_known_without_the_evidence(job: Job, reason: str) -> None:
    judged = judge(RECORDED, job, WRONG)
    assert judged.reason == f"signature does not verify, {reason}"


def test_a_doubt_about_the_evidence_is_kept_beside_its_wrong_signature() -> None:
    signing = Signing(bundle_digests=("sha256:ab",), is_digest_verified=False)
    assert judge(replace(RECORDED, signing=signing), Job(), WRONG).doubt


@pytest.mark.parametrize("status", [SignatureStatus.VERIFIED, SignatureStatus.UNCHECKED])
def test_no_other_signature_changes_the_judgement(status: SignatureStatus) -> None:
    check = SignatureCheck(status=status)
    passed = attested(Policies(evaluation_count=2, passed_count=2))
    assert judge(passed, Job(), check) == judge(passed, Job())
