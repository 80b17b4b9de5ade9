"""The words for one run: what happened, and what it means."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chainloop_smtp.message import formatting, rows, wording
from chainloop_smtp.model.attested import (
    Annotation,
    Attestation,
    Commit,
    Evaluation,
    Finding,
    FindingKind,
    Material,
    Policies,
    Run,
    RunState,
    Strategy,
    Version,
    Violation,
    Workflow,
)
from chainloop_smtp.model.checks import SignatureCheck
from chainloop_smtp.model.facts import (
    NO_EVIDENCE,
    Job,
    JobResult,
    JobStatus,
    Outcome,
    PolicyStatus,
    Verdict,
)
from states import UNCHECKED, VERIFIED, WRONG, facts_of

SHA = "9c1d4e7f2b8a6035d4e9f1a7c3b5d8e0f2a4b6c8"
RECORDED = Attestation(
    shape="",
    is_recorded=True,
    workflow=Workflow(name="release", project="harbour", version=Version(name="2.14.0")),
    environment=(Annotation(name="GITHUB_REF", value="refs/heads/main"),),
    commit=Commit(sha=SHA),
    materials=(Material(name="image"), Material(name="sbom"), Material(name="vex", is_set=False)),
)
GATE = Evaluation(name="gate", is_gate=True, violations=(Violation(message="too old"),))
ADVISORY = Evaluation(name="advice", violations=(Violation(message="a"), Violation(message="b")))
GATED = Policies(
    evaluations=(GATE,), violation_count=1, has_gated_violations=True, is_bypassed=False
)
NOBODY = Job()


def words(
    outcome: Outcome,
    attestation: Attestation | None = RECORDED,
    job: Job = NOBODY,
    *,
    reason: str = "",
    where: str = "",
    missing: tuple[str, ...] = (),
    policies: Policies | None = None,
) -> wording.Wording:
    if policies is not None:
        attestation = replace(attestation or RECORDED, policies=policies)
    verdict = Verdict(outcome=outcome, reason=reason, where=where, missing=missing)
    return wording.word(facts_of(attestation, job, verdict))


def test_doubtful_evidence_is_never_green() -> None:
    policies = Policies(evaluation_count=7, passed_count=7)
    verdict = Verdict(outcome=Outcome.PASSED, doubt="The evidence is from CI run 41.")
    worded = wording.word(facts_of(replace(RECORDED, policies=policies), NOBODY, verdict))

    assert worded.tone is wording.Tone.WARN
    assert worded.subject.endswith("Passed: release main@9c1d4e7 (evidence in doubt)")
    assert worded.lead == "All 7 policies passed and the attestation was recorded."
    assert worded.doubt == "The evidence is from CI run 41."


@pytest.mark.parametrize(
    ("outcome", "policies", "reason", "subject", "headline", "lead"),
    [
        (
            Outcome.PASSED,
            Policies(evaluation_count=7, passed_count=7),
            "",
            "Passed: release main@9c1d4e7 (7 of 7 policies)",
            "harbour 2.14.0 is attested",
            "All 7 policies passed and the attestation was recorded. Nothing to do.",
        ),
        (
            Outcome.PASSED,
            Policies(evaluation_count=1, passed_count=1),
            "",
            "Passed: release main@9c1d4e7 (1 of 1 policy)",
            "harbour 2.14.0 is attested",
            "The policy passed and the attestation was recorded. Nothing to do.",
        ),
        (
            Outcome.PASSED,
            Policies(evaluation_count=7, passed_count=5, skipped_count=2),
            "",
            "Passed: release main@9c1d4e7 (5 of 7 policies, 2 skipped)",
            "harbour 2.14.0 is attested",
            "5 of 7 policies passed (2 skipped) and the attestation was recorded. Nothing to do.",
        ),
        (
            Outcome.ATTESTED,
            Policies(evaluation_count=3, skipped_count=3),
            "",
            "Attested: release main@9c1d4e7 (all 3 policies skipped)",
            "harbour 2.14.0 is attested, and no policy was checked",
            "All 3 policies were skipped, so nothing was checked. The attestation was recorded.",
        ),
        (
            Outcome.ATTESTED,
            Policies(evaluation_count=1, skipped_count=1),
            "",
            "Attested: release main@9c1d4e7 (policy skipped)",
            "harbour 2.14.0 is attested, and no policy was checked",
            "The policy was skipped, so nothing was checked. The attestation was recorded.",
        ),
        (
            Outcome.PASSED,
            Policies(evaluation_count=12_345, passed_count=11_111),
            "",
            "Passed: release main@9c1d4e7 (11,111 of 12,345 policies)",
            "harbour 2.14.0 is attested",
            "11,111 of 12,345 policies passed and the attestation was recorded. Nothing to do.",
        ),
        (
            Outcome.VIOLATIONS,
            Policies(evaluations=(ADVISORY,), violation_count=2),
            "",
            "Policy violations: release main@9c1d4e7 (2 violations)",
            "harbour 2.14.0 has 2 policy violations",
            "No gate is violated, so the pipeline continues. The attestation was recorded.",
        ),
        (
            Outcome.VIOLATIONS,
            Policies(has_violations=True),
            "",
            "Policy violations: release main@9c1d4e7",
            "harbour 2.14.0 has policy violations",
            "The attestation was recorded; the pipeline continues.",
        ),
        (
            Outcome.BLOCKED,
            replace(GATED, evaluations=(GATE, ADVISORY), violation_count=3),
            "",
            "Blocked by gate: release main@9c1d4e7 (3 violations)",
            "gate blocks harbour 2.14.0",
            "3 policy violations: 1 in a gate, 2 advisory. The attestation was recorded, but the "
            "pipeline stops here until the gate passes or is bypassed.",
        ),
        (
            Outcome.BLOCKED,
            replace(GATED, evaluations=(GATE, replace(GATE, name="other")), violation_count=2),
            "",
            "Blocked by gate: release main@9c1d4e7 (2 violations)",
            "gate and 1 more block harbour 2.14.0",
            "2 policy violations in 2 gates. The attestation was recorded, but the "
            "pipeline stops here until the gates pass or are bypassed.",
        ),
        (
            Outcome.BLOCKED,
            replace(
                GATED,
                evaluations=(GATE, ADVISORY),
                violation_count=3,
                strategy=Strategy.ENFORCED,
            ),
            "",
            "Blocked by gate: release main@9c1d4e7 (3 violations)",
            "gate blocks harbour 2.14.0",
            "3 policy violations: 1 in a gate, 2 enforced. The attestation was recorded, but the "
            "pipeline stops here until the gate passes or is bypassed.",
        ),
        (
            Outcome.BLOCKED,
            Policies(violation_count=1, strategy=Strategy.ENFORCED),
            "",
            "Blocked by policy: release main@9c1d4e7 (1 violation)",
            "harbour 2.14.0 is blocked by policy",
            "1 policy violation. The attestation was recorded; the policy strategy is ENFORCED, "
            "so Chainloop counts the run as blocked.",
        ),
        (
            Outcome.BLOCKED,
            Policies(violation_count=1),
            "",
            "Blocked by policy: release main@9c1d4e7 (1 violation)",
            "harbour 2.14.0 is blocked by policy",
            "1 policy violation. The attestation was recorded; Chainloop counts the run as "
            "blocked.",
        ),
        (
            Outcome.BYPASSED,
            Policies(violation_count=1),
            "",
            "Policy bypassed: release main@9c1d4e7 (1 violation)",
            "harbour 2.14.0 bypassed a policy",
            "1 policy violation. The policy check was bypassed, so the "
            "pipeline continues; the bypass is recorded in the attestation.",
        ),
        (
            Outcome.BYPASSED,
            Policies(evaluation_count=3, passed_count=3),
            "",
            "Policy bypassed: release main@9c1d4e7",
            "harbour 2.14.0 is attested, its policy check bypassed",
            "No policy is violated. The policy check was bypassed; the "
            "bypass is recorded in the attestation.",
        ),
        (
            Outcome.BYPASSED,
            Policies(evaluations=(GATE,), violation_count=1, has_gated_violations=True),
            "",
            "Gate bypassed: release main@9c1d4e7 (1 violation)",
            "harbour 2.14.0 bypassed a gate",
            "1 policy violation in a gate. The policy check was bypassed, so the "
            "pipeline continues; the bypass is recorded in the attestation.",
        ),
        (
            Outcome.FAILED,
            Policies(violation_count=2),
            "job build failed",
            "Failed: release main@9c1d4e7 (job build failed)",
            "harbour 2.14.0 failed",
            "Job build failed. The attestation was recorded with 2 policy violations.",
        ),
        (
            Outcome.CANCELLED,
            Policies(),
            "",
            "Cancelled: release main@9c1d4e7",
            "harbour 2.14.0 was cancelled",
            "The attestation was recorded.",
        ),
        (
            Outcome.ATTESTED,
            Policies(),
            "",
            "Attested: release main@9c1d4e7 (2 materials, no policies)",
            "harbour 2.14.0 is attested",
            "The attestation with 2 materials was recorded. No policies apply to it.",
        ),
        (
            Outcome.ATTESTED,
            Policies(reference="sha256:aa"),
            "",
            "Attested: release main@9c1d4e7 (2 materials, policies not shown)",
            "harbour 2.14.0 is attested",
            "The attestation with 2 materials was recorded. Its policy evaluations are stored in "
            "Chainloop and not part of this evidence.",
        ),
        (
            Outcome.VIOLATIONS,
            Policies(evaluations=(GATE,), violation_count=1_204),
            "",
            "Policy violations: release main@9c1d4e7 (1,204 violations)",
            "harbour 2.14.0 has 1,204 policy violations",
            "No gate is violated, so the pipeline continues. The attestation was recorded.",
        ),
        (
            Outcome.BLOCKED,
            # The evidence lists fewer than it counts.
            replace(GATED, violation_count=5),
            "",
            "Blocked by gate: release main@9c1d4e7 (5 violations)",
            "gate blocks harbour 2.14.0",
            "5 policy violations. The attestation was recorded, but the pipeline stops here until "
            "the gate passes or is bypassed.",
        ),
        (
            Outcome.BLOCKED,
            # One gate, evaluated twice.
            replace(GATED, evaluations=(GATE, GATE, ADVISORY), violation_count=4),
            "",
            "Blocked by gate: release main@9c1d4e7 (4 violations)",
            "gate blocks harbour 2.14.0",
            "4 policy violations: 2 in a gate, 2 advisory. The attestation was recorded, but the "
            "pipeline stops here until the gate passes or is bypassed.",
        ),
        (
            Outcome.BLOCKED,
            Policies(
                evaluations=(
                    ADVISORY,
                    replace(ADVISORY, name="b"),
                    replace(ADVISORY, name="c"),
                    Evaluation(name="fine"),
                ),
                violation_count=6,
            ),
            "",
            "Blocked by policy: release main@9c1d4e7 (6 violations)",
            "advice and 2 more block harbour 2.14.0",
            "6 policy violations. The attestation was recorded; Chainloop counts the run as "
            "blocked.",
        ),
        (
            Outcome.BYPASSED,
            Policies(has_violations=True),
            "",
            "Policy bypassed: release main@9c1d4e7",
            "harbour 2.14.0 bypassed a policy",
            "There are policy violations. The policy check was bypassed, so the "
            "pipeline continues; the bypass is recorded in the attestation.",
        ),
        (
            Outcome.FAILED,
            Policies(),
            "is it broken?",
            "Failed: release main@9c1d4e7 (is it broken?)",
            "harbour 2.14.0 failed",
            "Is it broken? The attestation was recorded.",
        ),
    ],
)
def test_an_outcome_has_its_words(
    outcome: Outcome, policies: Policies, reason: str, subject: str, headline: str, lead: str
) -> None:
    said = words(outcome, reason=reason, policies=policies)

    assert said.subject == f"[harbour] {subject}"
    assert said.headline == headline
    assert said.lead == lead


@pytest.mark.parametrize(
    ("outcome", "has_gate", "tone", "glyph", "badge"),
    [
        (Outcome.PASSED, True, "ok", "✓", "Passed"),
        (Outcome.ATTESTED, True, "ok", "✓", "Attested"),
        (Outcome.VIOLATIONS, True, "warn", "!", "Policy violations"),
        (Outcome.BYPASSED, True, "warn", "!", "Gate bypassed"),
        (Outcome.BYPASSED, False, "warn", "!", "Policy bypassed"),
        (Outcome.NOT_ATTESTED, True, "warn", "!", "Not attested"),
        (Outcome.BLOCKED, True, "danger", "✕", "Blocked by gate"),
        (Outcome.BLOCKED, False, "danger", "✕", "Blocked by policy"),
        (Outcome.FAILED, True, "danger", "✕", "Failed"),
        (Outcome.CANCELLED, True, "idle", "–", "Cancelled"),
    ],
)
def test_an_outcome_has_its_colour_sign_and_badge(
    outcome: Outcome, has_gate: bool, tone: str, glyph: str, badge: str
) -> None:
    said = words(outcome, policies=Policies(has_gated_violations=has_gate))
    assert (said.tone, said.glyph, said.badge) == (tone, glyph, badge)
    assert wording.BADGES[badge] is outcome


@pytest.mark.parametrize(
    ("reason", "missing", "lead"),
    [
        ("", (), "No attestation was recorded for this run."),
        ("not pushed", (), "No attestation was recorded for this run (not pushed)."),
        (
            "2 materials missing",
            ("sbom", "vex"),
            "No attestation was recorded for this run. Missing: sbom, vex.",
        ),
        (
            "",
            ("a", "b", "c", "d", "e"),
            "No attestation was recorded for this run. Missing: a, b, c and 2 more.",
        ),
        ("", ("a", "b", "c"), "No attestation was recorded for this run. Missing: a, b, c."),
    ],
)
def test_a_run_without_an_attestation_says_what_is_missing(
    reason: str, missing: tuple[str, ...], lead: str
) -> None:
    unrecorded = replace(RECORDED, is_recorded=False)
    said = words(Outcome.NOT_ATTESTED, unrecorded, reason=reason, missing=missing)
    assert said.headline == "harbour 2.14.0 was not attested"
    assert said.lead == lead


@pytest.mark.parametrize(
    ("outcome", "reason", "headline", "lead"),
    [
        (
            Outcome.NOT_ATTESTED,
            NO_EVIDENCE,
            "No evidence was given for the run",
            "It is not known whether an attestation was recorded.",
        ),
        (
            Outcome.NOT_ATTESTED,
            "job mail was skipped",
            "No evidence was given for the run",
            "Job mail was skipped. It is not known whether an attestation was recorded.",
        ),
        (
            Outcome.FAILED,
            "job mail failed",
            "the run failed",
            "Job mail failed. No evidence was given, so it is not known whether an attestation "
            "was recorded.",
        ),
    ],
)
def test_without_evidence_nothing_is_claimed_of_the_attestation(
    outcome: Outcome, reason: str, headline: str, lead: str
) -> None:
    said = words(outcome, None, reason=reason)
    assert (said.headline, said.lead) == (headline, lead)


@pytest.mark.parametrize(
    ("outcome", "headline"),
    [
        (Outcome.NOT_ATTESTED, "The evidence of the run cannot be read"),
        (Outcome.FAILED, "the run failed"),
    ],
)
def test_evidence_that_cannot_be_read_is_not_said_to_be_missing(
    outcome: Outcome, headline: str
) -> None:
    verdict = Verdict(outcome=outcome, reason="job was skipped", doubt="It cannot be read.")
    said = wording.word(facts_of(None, NOBODY, verdict))
    assert said.headline == headline
    assert said.lead == "Job was skipped. It is not known whether an attestation was recorded."
    assert said.doubt == "It cannot be read."


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.CANCELLED])
def test_a_run_that_ended_early_says_that_nothing_was_recorded(outcome: Outcome) -> None:
    said = words(outcome, replace(RECORDED, is_recorded=False), reason="out of memory!")

    assert said.lead == "Out of memory! No attestation was recorded for this run."


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_has_words_without_an_attestation_too(outcome: Outcome) -> None:
    said = words(outcome, None)

    assert said.subject.startswith("[chainloop-smtp] ")
    assert said.headline
    assert said.lead
    assert said.byline == said.describe == ""


def test_what_is_not_known_of_a_blocked_run_is_not_said() -> None:
    unrecorded = replace(RECORDED, is_recorded=False)
    said = words(Outcome.BLOCKED, unrecorded, policies=Policies(has_gated_violations=True))

    assert said.headline == "harbour 2.14.0 is blocked by policy"
    assert said.lead == (
        "There are policy violations. The attestation was not recorded, and the pipeline stops "
        "here unless the check was bypassed, which this evidence does not say."
    )


@pytest.mark.parametrize(
    ("is_bypassed", "job", "is_known"),
    [
        (None, Job(), False),
        (None, Job(status=JobStatus.SUCCESS), False),
        (False, Job(status=JobStatus.SUCCESS), True),
        (None, Job(status=JobStatus.FAILURE), True),
        (None, Job(needs=(JobResult(name="push", result=JobStatus.FAILURE),)), True),
    ],
)
def test_that_the_pipeline_stops_is_said_only_where_no_bypass_is_possible(
    is_bypassed: bool | None, job: Job, is_known: bool
) -> None:
    policies = replace(GATED, is_bypassed=is_bypassed)
    until = (
        "until the gate passes or is bypassed"
        if is_known
        else "unless the check was bypassed, which this evidence does not say"
    )

    assert words(Outcome.BLOCKED, job=job, policies=policies).lead == (
        "1 policy violation in a gate. The attestation was recorded, but the pipeline stops here "
        f"{until}."
    )


@pytest.mark.parametrize(
    ("reason", "policies", "detail", "headline", "lead"),
    [
        (
            "gate violated; the job went on",
            GATED,
            "(1 violation)",
            "harbour 2.14.0 violates gate",
            "Gate violated; the job went on.",
        ),
        (
            "gate violated; the job went on",
            replace(GATED, evaluations=(GATE, replace(GATE, name="door"), ADVISORY)),
            "(1 violation)",
            "harbour 2.14.0 violates gate and 1 more",
            "Gate violated; the job went on.",
        ),
        (
            "gate violated",
            Policies(has_gated_violations=True, has_violations=True),
            "release main@9c1d4e7",
            "harbour 2.14.0 violates a gate",
            "Gate violated.",
        ),
        (
            "",
            Policies(violation_count=2, has_violations=True, strategy=Strategy.ENFORCED),
            "(2 violations)",
            "harbour 2.14.0 has 2 policy violations",
            "The policy strategy is ENFORCED.",
        ),
    ],
)
def test_a_violation_that_may_have_been_bypassed_is_no_more_than_that(
    reason: str, policies: Policies, detail: str, headline: str, lead: str
) -> None:
    facts = facts_of(
        replace(RECORDED, policies=policies),
        verdict=Verdict(outcome=Outcome.VIOLATIONS, reason=reason),
    )
    said = wording.word(facts)

    assert (said.badge, said.headline) == ("Policy violations", headline)
    assert said.subject.endswith(detail)
    assert said.tone is wording.Tone.WARN
    assert said.lead == (
        f"{lead} The attestation was recorded; this evidence does not say whether the policy "
        "check was bypassed."
    )


@pytest.mark.parametrize(
    ("full", "short"),
    [
        ("refs/heads/main", "main"),
        ("refs/heads/feature/x", "feature/x"),
        ("refs/tags/v1.0", "v1.0"),
        ("refs/pull/123/merge", "#123"),
        ("main", "main"),
        ("heads/main", "heads/main"),
        ("refs/notes/x", "refs/notes/x"),
        ("", ""),
    ],
)
def test_a_git_ref_is_shortened(full: str, short: str) -> None:
    assert formatting.ref(facts_of(None, Job(ref=full))) == short


def test_what_is_attested_stands_before_what_the_job_says() -> None:
    job = Job(ref="refs/heads/other", sha="0" * 40, workflow="CI", repository="lakeside/pier")

    assert formatting.ref(facts_of(RECORDED, job)) == "main"
    assert formatting.sha(facts_of(RECORDED, job)) == SHA
    assert formatting.thing(facts_of(RECORDED, job)) == "harbour 2.14.0"
    bare = Attestation(shape="", is_recorded=True)
    assert formatting.ref(facts_of(bare, job)) == "other"
    assert formatting.sha(facts_of(bare, job)) == "0" * 40
    assert formatting.thing(facts_of(bare, job)) == "pier"
    assert formatting.thing(facts_of(bare, replace(job, repository=""))) == "CI"
    unversioned = replace(RECORDED, workflow=Workflow(project="harbour"))
    assert formatting.thing(facts_of(unversioned, job)) == "harbour"


@pytest.mark.parametrize(
    ("project", "workflow", "branch", "subject"),
    [
        (
            "p" * 25,
            "release",
            "main",
            f"[{'p' * 21}...] Passed: release main@9c1d4e7 (7 of 7 policies)",
        ),
        (
            "harbour",
            "w" * 60,
            "main",
            f"[harbour] Passed: {'w' * 44}... main@9c1d4e7",
        ),
        (
            "harbour",
            "release-of-the-harbour",
            "b" * 60,
            f"[harbour] Passed: release-of-th... {'b' * 32}...@9c1d4e7",
        ),
        ("harbour", "w" * 40, "", f"[harbour] Passed: {'w' * 40} 9c1d4e7"),
        ("harbour", "w" * 80, "", f"[harbour] Passed: {'w' * 49}... 9c1d4e7"),
    ],
    ids=["project", "workflow", "branch", "detail", "no branch"],
)
def test_a_long_subject_loses_what_matters_least(
    project: str, workflow: str, branch: str, subject: str
) -> None:
    attestation = replace(
        RECORDED,
        workflow=Workflow(name=workflow, project=project),
        environment=(Annotation(name="GITHUB_REF", value=branch),),
    )
    policies = Policies(evaluation_count=7, passed_count=7)

    assert words(Outcome.PASSED, attestation, policies=policies).subject == subject


@pytest.mark.parametrize(
    ("length", "is_located", "subject"),
    [
        # 78 characters, and one more.
        (29, True, f"[harbour] Passed: {'w' * 29} main@9c1d4e7 (7 of 7 policies)"),
        (30, True, f"[harbour] Passed: {'w' * 30} main@9c1d4e7"),
        (47, True, f"[harbour] Passed: {'w' * 47} main@9c1d4e7"),
        (48, True, f"[harbour] Passed: {'w' * 44}... main@9c1d4e7"),
        (42, False, f"[harbour] Passed: {'w' * 42} (7 of 7 policies)"),
        (43, False, f"[harbour] Passed: {'w' * 43}"),
        (60, False, f"[harbour] Passed: {'w' * 60}"),
        (61, False, f"[harbour] Passed: {'w' * 56}..."),
    ],
)
def test_a_subject_uses_all_of_its_room(length: int, is_located: bool, subject: str) -> None:
    attestation = replace(RECORDED, workflow=Workflow(name="w" * length, project="harbour"))
    if not is_located:
        attestation = replace(attestation, commit=None, environment=())
    policies = Policies(evaluation_count=7, passed_count=7)

    assert words(Outcome.PASSED, attestation, policies=policies).subject == subject


def test_a_subject_without_a_commit_has_no_sign_for_it() -> None:
    attestation = replace(RECORDED, commit=None)

    assert words(Outcome.CANCELLED, attestation).subject == "[harbour] Cancelled: release main"
    long = replace(attestation, workflow=Workflow(name="w" * 60, project="harbour"))
    assert words(Outcome.CANCELLED, long).subject == f"[harbour] Cancelled: {'w' * 49}... main"
    # The least room that there can be.
    long = replace(
        RECORDED,
        workflow=Workflow(name="w" * 60, project="p" * 60),
        environment=(Annotation(name="GITHUB_REF", value="b" * 60),),
    )
    said = words(Outcome.BLOCKED, long, policies=Policies(has_violations=True)).subject
    assert said == f"[{'p' * 21}...] Blocked by policy: {'w' * 13}... bbbb...@9c1d4e7"
    assert len(said) == 78


@pytest.mark.parametrize(
    ("seconds", "lapse"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (10, "10 s"),
        (59.9, "59 s"),
        (60, "1 min 0 s"),
        (311, "5 min 11 s"),
        (3600, "1 h 0 min"),
        (90_061, "25 h 1 min"),
    ],
)
def test_a_duration_is_written_for_people(seconds: float, lapse: str) -> None:
    assert formatting.duration(timedelta(seconds=seconds)) == lapse


def test_a_moment_has_its_zone_written() -> None:
    moment = datetime(2026, 3, 2, 9, 6, 5, tzinfo=UTC)

    assert formatting.timestamp(moment) == "2 Mar 2026, 09:06:05 UTC"


@pytest.mark.parametrize(
    ("number", "counted"),
    [(0, "0 policies"), (1, "1 policy"), (2, "2 policies"), (1204, "1,204 policies")],
)
def test_a_number_agrees_with_its_noun(number: int, counted: str) -> None:
    assert formatting.count(number, "policy", "policies") == counted


@pytest.mark.parametrize(
    ("started", "finished", "line"),
    [
        (None, None, "release on main at 9c1d4e7"),
        (1, None, "release on main at 9c1d4e7, started 1 Mar 2026, 00:00:00 UTC"),
        (None, 2, "release on main at 9c1d4e7, finished 2 Mar 2026, 00:00:00 UTC"),
        (1, 2, "release on main at 9c1d4e7, finished 2 Mar 2026, 00:00:00 UTC after 24 h 0 min"),
        (2, 1, "release on main at 9c1d4e7, finished 1 Mar 2026, 00:00:00 UTC"),
    ],
)
def test_the_byline_says_when(started: int | None, finished: int | None, line: str) -> None:
    def day(number: int | None) -> datetime | None:
        return datetime(2026, 3, number, tzinfo=UTC) if number else None

    run = Run(started_at=day(started), finished_at=day(finished))
    assert words(Outcome.PASSED, replace(RECORDED, run=run)).byline == line


def test_a_byline_without_a_place_begins_with_the_time() -> None:
    run = Run(started_at=datetime(2026, 3, 1, tzinfo=UTC))
    attestation = Attestation(shape="", is_recorded=True, run=run)

    assert words(Outcome.PASSED, attestation).byline == "started 1 Mar 2026, 00:00:00 UTC"


@pytest.mark.parametrize(
    ("violation", "line"),
    [
        (Violation(message="\n## Too old\nmore"), "Too old"),
        (
            Violation(finding=Finding(kind=FindingKind.SAST, message="overflow", id="x")),
            "x: overflow",
        ),
        (Violation(finding=Finding(kind=FindingKind.LICENSE, id="GPL")), "GPL"),
        (Violation(subject="policy"), "policy"),
        (Violation(message="It is by X."), "It is by X."),
        (Violation(message="a" * 200), "a" * 200),
        (Violation(message="a" * 201), "a" * 197 + "..."),
    ],
)
def test_the_finding_is_the_first_line_of_the_worst_violation(
    violation: Violation, line: str
) -> None:
    passed = Evaluation(name="fine", violations=(Violation(message="old", is_suppressed=True),))
    evaluation = Evaluation(name="gate", is_gate=True, violations=(violation,))
    policies = Policies(evaluations=(passed, evaluation))

    assert words(Outcome.BLOCKED, policies=policies).finding == line


def test_where_the_job_failed_or_nothing_is_violated_no_finding_stands_out() -> None:
    policies = Policies(evaluations=(GATE,), violation_count=1)

    assert words(Outcome.VIOLATIONS, policies=policies).finding
    for outcome in (Outcome.FAILED, Outcome.CANCELLED):
        assert words(outcome, policies=policies).finding == ""
    assert (
        words(Outcome.PASSED, policies=Policies(evaluations=(Evaluation(name="a"),))).finding == ""
    )


@pytest.mark.parametrize(
    ("outcome", "reason", "where", "subject", "lead"),
    [
        (
            Outcome.FAILED,
            "job test failed",
            "at step Run tests",
            " (job test failed at step Run tests)",
            "Job test failed at step Run tests. ",
        ),
        (
            Outcome.FAILED,
            "job test failed",
            "at step Run the end-to-end tests",
            " (at step Run the end-to-end tests)",
            "Job test failed at step Run the end-to-end tests. ",
        ),
        (
            Outcome.FAILED,
            "job test failed",
            f"at step Run {'x' * 200}",
            " (job test failed)",
            f"Job test failed at step Run {'x' * 105}... ",
        ),
        (
            Outcome.CANCELLED,
            "job test was cancelled",
            "at step Deploy",
            " (at step Deploy)",
            "Job test was cancelled at step Deploy. ",
        ),
        (Outcome.CANCELLED, "job test was cancelled", "", "", "Job test was cancelled. "),
    ],
    ids=["short", "long", "too long", "cancelled", "unknown"],
)
def test_a_failed_run_says_at_which_step(
    outcome: Outcome, reason: str, where: str, subject: str, lead: str
) -> None:
    said = words(outcome, reason=reason, where=where)
    assert said.subject.partition("9c1d4e7")[2] == subject
    assert len(said.subject) <= 78
    assert said.lead.startswith(lead)


def test_several_jobs_are_listed_with_this_one_last() -> None:
    needs = (JobResult(name="build", result=JobStatus.SUCCESS),)

    def listed(job: Job) -> list[tuple[str, str]]:
        return [(each.key, each.value) for each in rows.jobs(job)]

    assert listed(Job()) == []
    assert listed(Job(status=JobStatus.SUCCESS)) == []
    assert listed(Job(status=JobStatus.FAILURE)) == []
    assert listed(Job(needs=needs)) == []
    assert listed(Job(needs=needs, status=JobStatus.SUCCESS, name="mail")) == [
        ("build", "success"),
        ("mail", "success"),
    ]


def test_a_run_that_goes_on_is_not_attested_yet() -> None:
    run = Run(id="1b2f7a7e-4a38-4c0e-9f0d-6a1f3a9b2c41", state=RunState.IN_PROGRESS)
    attestation = Attestation(shape="workflow run describe", is_recorded=False, run=run)
    open_ = Verdict(outcome=Outcome.NOT_ATTESTED, reason="in progress")
    words = wording.word(facts_of(attestation, NOBODY, open_))
    assert words.headline == "the run is not attested yet"
    assert words.lead == "No attestation is recorded for this run yet."
    failed = Verdict(outcome=Outcome.FAILED, reason="job failed")
    words = wording.word(facts_of(attestation, NOBODY, failed))
    assert words.lead == (
        "Job failed. No attestation was recorded before this evidence was printed."
    )


def test_a_run_where_nothing_was_checked_is_not_shown_in_green() -> None:
    unchecked = Policies(evaluation_count=2, skipped_count=2)
    checked = Policies(evaluation_count=2, passed_count=1, skipped_count=1)

    assert words(Outcome.ATTESTED, policies=unchecked).tone is wording.Tone.IDLE
    assert words(Outcome.PASSED, policies=checked).tone is wording.Tone.OK
    assert words(Outcome.VIOLATIONS, policies=unchecked).tone is wording.Tone.WARN


def test_a_gate_that_blocks_a_dry_run_says_that_it_was_one() -> None:
    attestation = replace(RECORDED, is_recorded=False, is_dry_run=True)

    assert words(Outcome.BLOCKED, attestation, policies=GATED).lead == (
        "1 policy violation in a gate. The attestation was not recorded (dry run), and the "
        "pipeline stops here until the gate passes or is bypassed."
    )
    policies = Policies(violation_count=1, strategy=Strategy.ENFORCED)
    assert words(Outcome.BLOCKED, attestation, policies=policies).lead == (
        "1 policy violation. The attestation was not recorded (dry run); the policy strategy is "
        "ENFORCED, so Chainloop counts the run as blocked."
    )


def test_a_failed_run_says_that_its_policy_check_was_bypassed() -> None:
    attestation = replace(RECORDED, policies=Policies(evaluations=(GATE,), violation_count=1))
    verdict = Verdict(
        outcome=Outcome.FAILED, reason="job build failed", policy_status=PolicyStatus.BYPASSED
    )

    assert wording.word(facts_of(attestation, NOBODY, verdict)).lead == (
        "Job build failed. The attestation was recorded with 1 policy violation in a gate; the "
        "policy check was bypassed."
    )


@pytest.mark.parametrize(
    ("commit", "job", "line"),
    [
        (Commit(sha=SHA, author_name="Ada Quay"), Job(), "release on main at 9c1d4e7 by Ada Quay"),
        # An author without a commit is nobody's.
        (Commit(sha="", author_name="Ada Quay"), Job(), "release on main"),
        (None, Job(sha=SHA), "release on main at 9c1d4e7"),
        (None, Job(), "release on main"),
    ],
)
def test_the_byline_names_the_author(commit: Commit | None, job: Job, line: str) -> None:
    assert words(Outcome.PASSED, replace(RECORDED, commit=commit), job).byline == line


def test_jobs_that_failed_stand_before_those_that_did_not() -> None:
    needs = ("success", "failure", "skipped", "cancelled", "failure")
    job = Job(
        status=JobStatus.SUCCESS,
        needs=tuple(
            JobResult(name=f"j{i}", result=JobStatus(each)) for i, each in enumerate(needs)
        ),
    )

    order = ["j1", "j4", "j3", "j0", "j2", "this job"]
    assert [each.key for each in rows.jobs(job)] == order


def test_results_without_names_are_numbered_as_they_are_given() -> None:
    needs = ("success", "stale", "skipped", "timed_out", "action_required")
    job = Job(needs=tuple(JobResult(name="", result=JobStatus(each)) for each in needs))

    assert [(each.key, each.value) for each in rows.jobs(job)] == [
        ("earlier job 4", "timed_out"),
        ("earlier job 5", "action_required"),
        ("earlier job 2", "stale"),
        ("earlier job 1", "success"),
        ("earlier job 3", "skipped"),
    ]


@pytest.mark.parametrize(
    ("run_id", "is_recorded", "arguments"),
    [
        ("8f14e45f", True, "--id 8f14e45f -o statement"),
        ("8f14e45f", False, ""),
        ("8f14e45", True, ""),
        ("-f14e45f", True, ""),
        ("8f14e45f;x", True, ""),
        ("f" * 64, True, f"--id {'f' * 64} -o statement"),
        ("f" * 65, True, ""),
    ],
)
def test_only_an_id_of_chainloops_is_put_into_a_command(
    run_id: str, is_recorded: bool, arguments: str
) -> None:
    attestation = replace(RECORDED, run=Run(id=run_id), is_recorded=is_recorded)

    assert words(Outcome.FAILED, attestation).describe == arguments


# --- the signature -----------------------------------------------------------------------------

SEVEN = replace(RECORDED, policies=Policies(evaluation_count=7, passed_count=7))


def test_a_wrong_signature_is_the_first_that_is_said() -> None:
    said = wording.word(facts_of(SEVEN, signature=WRONG))

    assert (said.tone, said.glyph, said.badge) == (wording.Tone.DANGER, "✕", "Invalid signature")
    assert said.subject == "[harbour] Invalid signature: release main@9c1d4e7"
    assert said.headline == "The signature of harbour 2.14.0 does not verify"
    warning = "Do not trust the content of this mail. The payload is not what was signed."
    assert (said.lead, said.doubt) == (warning, "")


def test_a_wrong_signature_does_not_hide_that_a_job_failed() -> None:
    job = Job(name="build", status=JobStatus.FAILURE)
    said = wording.word(facts_of(SEVEN, job, signature=WRONG))

    assert said.subject.endswith("release main@9c1d4e7 (job build failed)")
    assert said.lead.endswith("The payload is not what was signed. Job build failed.")


def test_a_signature_that_could_not_be_checked_is_not_shown_in_green() -> None:
    said = wording.word(facts_of(SEVEN, signature=UNCHECKED))

    assert (said.tone, said.badge) == (wording.Tone.WARN, "Passed")
    assert said.subject == "[harbour] Passed: release main@9c1d4e7 (signature not checked)"
    assert said.doubt == "The signature could not be checked: the evidence contains no signature."
    assert said.lead == "All 7 policies passed and the attestation was recorded."


def test_an_unchecked_signature_of_a_bad_run_is_said_beside_what_is_bad() -> None:
    blocked = replace(RECORDED, policies=replace(GATED, is_blocked=True))
    said = wording.word(facts_of(blocked, signature=UNCHECKED))

    assert (said.tone, said.badge) == (wording.Tone.DANGER, "Blocked by gate")
    assert said.subject.endswith("(1 violation)")
    assert said.doubt.startswith("The signature could not be checked")


@pytest.mark.parametrize("signature", [None, VERIFIED])
def test_nothing_is_said_of_a_signature_that_is_right_or_that_nobody_asked_for(
    signature: SignatureCheck | None,
) -> None:
    assert wording.word(facts_of(SEVEN, signature=signature)) == wording.word(facts_of(SEVEN))


def test_a_run_that_is_not_attested_has_no_signature_to_miss() -> None:
    said = wording.word(facts_of(None, Job(), signature=UNCHECKED))
    assert (said.badge, said.doubt) == ("Not attested", "")


@pytest.mark.parametrize(
    ("unsigned", "doubt"),
    [
        (("material image", "commit"), "The signature does not cover material image, commit."),
        # As it always is where the control plane adds what a statement leaves out.
        (("details of policy evaluations",), ""),
        (("policy evaluations (only their digest)",), ""),
        (("commit", "details of policy evaluations"), "The signature does not cover commit."),
    ],
)
def test_what_a_signature_does_not_cover_is_said(unsigned: tuple[str, ...], doubt: str) -> None:
    said = wording.word(replace(facts_of(SEVEN, signature=VERIFIED), unsigned=unsigned))

    assert said.doubt == doubt
    assert said.tone is (wording.Tone.WARN if doubt else wording.Tone.OK)


def test_of_a_failed_run_whose_attestation_could_not_be_fetched_just_that_is_said() -> None:
    attestation = Attestation(shape="a test", is_recorded=True, is_retrieved=False)
    verdict = Verdict(outcome=Outcome.FAILED, reason="job attest failed", where="at step Push")

    assert wording.word(facts_of(attestation, Job(), verdict)).lead == (
        "Job attest failed at step Push. The attestation was recorded, but it could not be "
        "retrieved just now."
    )
