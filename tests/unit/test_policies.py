"""What an attestation says of policies, in each of Chainloop's dialects."""

import pytest

import builders
from chainloop_smtp import attestation
from chainloop_smtp.model.attested import (
    Attestation,
    Evaluation,
    Finding,
    FindingKind,
    Strategy,
    Violation,
)
from chainloop_smtp.model.facts import Job, PolicyStatus
from chainloop_smtp.verdict import judge


def read(document: object) -> Attestation:
    return attestation.parse(builders.encoded(document))


VULNERABILITY = {
    "message": "in crypto",
    "externalId": "CVE-2026-0001",
    "packagePurl": "pkg:golang/example.org/x/crypto@v0.1.0%2Bwet?type=module#sub",
    "severity": "CRITICAL",
    "cvssV3Score": 9.1,
    "fixedVersion": "0.2.0",
    "recommendation": "Upgrade",
    "assessment": {"effectiveStatus": "ASSESSMENT_STATUS_NOT_AFFECTED"},
}
SAST = {
    "message": "assert in production",
    "ruleId": "S101",
    "severity": "LOW",
    "severityScore": 2,
    "location": "pier/lamp.py",
    "lineNumber": 12,
    "recommendation": "Raise",
    "assessment": {"effectiveStatus": "ASSESSMENT_STATUS_AFFECTED"},
}
LICENSE = {
    "message": "banned",
    "componentName": "mooring",
    "componentVersion": "3",
    "licenseId": "AGPL-3.0-only",
    "licenseName": "GNU Affero",
    "packagePurl": "pkg:pypi/berth@2",
    "recommendation": "Replace",
    "assessment": {"effectiveStatus": "ASSESSMENT_STATUS_FIXED"},
}
EVALUATIONS = [
    builders.evaluation("passed"),
    builders.evaluation("skipped", skip_reasons=["not today", "nor tomorrow"]),
    builders.evaluation(
        "violated",
        material="sbom",
        violations=[
            builders.violation("v", vulnerability=VULNERABILITY),
            builders.violation("s", sast=SAST),
            builders.violation("l", license_violation=LICENSE),
            builders.violation("plain"),
            builders.violation("forgiven", is_suppressed=True),
        ],
        description="Looks at the SBOM.",
    ),
    builders.evaluation("gate", material="image", violations=["shut"], is_gate=True),
    builders.evaluation(
        "forgiving", violations=[builders.violation("x", is_suppressed=True)], is_gate=True
    ),
]
STATEMENT = builders.statement(evaluations=EVALUATIONS)


STORED = builders.stored_evaluations(EVALUATIONS)
EVALUATED = (
    Evaluation(
        name="gate",
        material="image",
        is_gate=True,
        violations=(Violation(subject="gate", message="shut"),),
    ),
    Evaluation(
        name="violated",
        material="sbom",
        description="Looks at the SBOM.",
        violations=(
            Violation(
                subject="violated",
                message="v",
                finding=Finding(
                    kind=FindingKind.VULNERABILITY,
                    id="CVE-2026-0001",
                    message="in crypto",
                    severity="CRITICAL",
                    score=9.1,
                    component="crypto",
                    component_version="v0.1.0+wet",
                    fixed_version="0.2.0",
                    recommendation="Upgrade",
                    assessment="NOT_AFFECTED",
                ),
            ),
            Violation(
                subject="violated",
                message="s",
                finding=Finding(
                    kind=FindingKind.SAST,
                    id="S101",
                    message="assert in production",
                    severity="LOW",
                    score=2.0,
                    location="pier/lamp.py:12",
                    recommendation="Raise",
                    assessment="AFFECTED",
                ),
            ),
            Violation(
                subject="violated",
                message="l",
                finding=Finding(
                    kind=FindingKind.LICENSE,
                    id="AGPL-3.0-only",
                    message="banned",
                    component="mooring",
                    component_version="3",
                    recommendation="Replace",
                    assessment="FIXED",
                ),
            ),
            Violation(subject="violated", message="plain"),
            Violation(subject="violated", message="forgiven", is_suppressed=True),
        ),
    ),
    Evaluation(name="skipped", is_skipped=True, skip_reasons=("not today", "nor tomorrow")),
    Evaluation(
        name="forgiving",
        is_gate=True,
        violations=(Violation(subject="forgiving", message="x", is_suppressed=True),),
    ),
    Evaluation(name="passed"),
)


@pytest.mark.parametrize(
    ("document", "stored"),
    [
        (builders.cli_push(STATEMENT, evaluations=EVALUATIONS), b""),
        (builders.cli_describe(STATEMENT, evaluations=EVALUATIONS), b""),
        (builders.referring(STATEMENT, STORED), STORED),
    ],
    ids=["push", "describe", "stored"],
)
def test_policies_are_read_in_full_and_what_shut_the_gate_comes_first(
    document: builders.JSON, stored: bytes
) -> None:
    attested = read(document)
    if stored:
        attested = attestation.with_evaluations(attested, stored)
    policies = attested.policies

    assert policies.evaluations == EVALUATED
    assert (policies.evaluation_count, policies.violation_count) == (5, 5)
    assert (policies.passed_count, policies.skipped_count, policies.suppressed_count) == (2, 1, 2)
    assert policies.has_violations
    assert policies.has_gated_violations
    assert policies.strategy is Strategy.ADVISORY


def test_a_violation_of_a_policy_that_is_no_gate_shuts_none() -> None:
    policies = read(builders.statement(evaluations=EVALUATIONS[:3])).policies

    assert policies.has_violations
    assert not policies.has_gated_violations
    assert [each.name for each in policies.evaluations] == ["violated", "skipped", "passed"]


def test_runs_of_one_policy_on_one_material_are_sorted_by_their_messages() -> None:
    runs = [builders.evaluation("a", violations=[message]) for message in "cab"]

    policies = read(builders.cli_push(STATEMENT, evaluations=runs)).policies

    messages = [violation.message for each in policies.evaluations for violation in each.violations]
    assert messages == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("purl", "component"),
    [
        ("pkg:npm/%40lakeside/quay@1.2", ("quay", "1.2")),
        ("pkg:generic/quay", ("quay", "")),
        ("quay@1", ("quay", "1")),
        ("pkg:quay@1", ("quay", "1")),
        ("pkg:golang/lakeside/quay@1#sub/folder", ("quay", "1")),
        ("pkg:deb/debian/quay@1:2?arch=all#a/b", ("quay", "1:2")),
        ("", ("", "")),
    ],
)
def test_a_component_is_named_as_its_package_url_ends(
    purl: str, component: tuple[str, str]
) -> None:
    violation = builders.violation("y", vulnerability={"externalId": "1", "packagePurl": purl})
    evaluation = builders.evaluation("x", violations=[violation])

    policies = read(builders.cli_push(STATEMENT, evaluations=[evaluation])).policies

    finding = policies.evaluations[0].violations[0].finding
    assert finding is not None
    assert (finding.component, finding.component_version) == component


@pytest.mark.parametrize("is_stored", [True, False], ids=["lineNumber", "line_number"])
def test_the_line_is_read_in_either_spelling(is_stored: bool) -> None:
    evaluation = builders.evaluation("x", violations=[builders.violation("y", sast=SAST)])
    if is_stored:
        stored = builders.stored_evaluations([evaluation])
        assert b'"lineNumber":' in stored
        referring = builders.referring(builders.statement(evaluations=[evaluation]), stored)
        told = attestation.with_evaluations(read(referring), stored)
    else:
        document = builders.encoded(builders.cli_push(STATEMENT, evaluations=[evaluation]))
        assert b'"line_number":' in document
        told = attestation.parse(document)

    finding = told.policies.evaluations[0].violations[0].finding
    assert finding is not None
    assert finding.location == "pier/lamp.py:12"


@pytest.mark.parametrize(
    ("sast", "location"),
    [
        ({"location": "a"}, "a"),
        ({"lineNumber": 3}, ""),
        ({"location": "a", "lineNumber": 0}, "a"),
        ({"location": "a", "lineNumber": -1}, "a"),
        ({"location": "a", "lineNumber": 1}, "a:1"),
        ({"location": "a", "lineNumber": "12"}, "a:12"),
    ],
)
def test_a_location_has_a_line_only_where_it_has_one(sast: builders.JSON, location: str) -> None:
    evaluation = builders.evaluation("x", violations=[builders.violation("y", sast=sast)])

    told = read(builders.cli_push(STATEMENT, evaluations=[evaluation])).policies

    finding = told.evaluations[0].violations[0].finding
    assert finding is not None
    assert finding.location == location


@pytest.mark.parametrize("is_stored", [True, False], ids=["camelCase", "snake_case"])
def test_a_licence_finding_may_name_its_component_by_package_only(is_stored: bool) -> None:
    violation = builders.violation(
        "y", license_violation={"licenseName": "Own", "packagePurl": "pkg:pypi/mooring@2"}
    )
    evaluations = [builders.evaluation("x", violations=[violation])]
    if is_stored:
        stored = builders.stored_evaluations(evaluations)
        attested = attestation.with_evaluations(read(builders.referring(STATEMENT, stored)), stored)
    else:
        attested = read(builders.cli_push(STATEMENT, evaluations=evaluations))

    finding = attested.policies.evaluations[0].violations[0].finding
    assert finding is not None
    assert (finding.id, finding.component, finding.component_version) == ("Own", "mooring", "2")


def test_evaluations_inline_leave_suppressed_violations_uncounted() -> None:
    told = read(STATEMENT).policies

    assert told.violation_count == 5
    assert told.suppressed_count is None
    assert (
        read(
            builders.statement(evaluations=EVALUATIONS, predicate={"policySuppressedCount": 2})
        ).policies.suppressed_count
        == 2
    )


def test_evaluations_of_2024_have_snake_case_names_and_numbers_for_types() -> None:
    statement = builders.statement()
    statement["predicate"] |= {
        "policy_evaluations": {
            "another key": [
                {
                    "name": "old",
                    "material_name": "sbom",
                    "type": 4,
                    "policy_reference": {"name": "old"},
                    "violations": [{"subject": "old", "message": "rusty"}],
                }
            ]
        },
        "policyEvaluationsCount": 0,
    }

    told = read(statement).policies

    assert (told.evaluation_count, told.violation_count) == (1, 1)
    assert told.evaluations[0].material == "sbom"


def test_the_key_of_an_evaluation_stands_in_for_the_name_of_its_material() -> None:
    document = builders.cli_push(STATEMENT)
    document["policy_evaluations"] = {"renamed": [{"name": "x"}]}

    assert read(document).policies.evaluations[0].material == "renamed"


def test_evaluations_that_are_only_referred_to_keep_their_counts() -> None:
    stored = builders.stored_evaluations(EVALUATIONS)
    statement = builders.referring(STATEMENT, stored)
    statement["predicate"] |= {"policyPassedCount": 2, "policySkippedCount": 1}

    told = read(statement).policies

    assert told.evaluations == ()
    assert told.reference == builders.digest_of(stored)
    assert (told.evaluation_count, told.violation_count) == (5, 5)
    assert (told.passed_count, told.skipped_count) == (2, 1)
    assert told.has_violations
    assert told.has_gated_violations


def test_a_described_run_says_failed_where_its_attestation_tells_no_more() -> None:
    stored = builders.stored_evaluations(EVALUATIONS)
    statement = builders.referring(STATEMENT, stored)
    document = builders.cli_describe(statement)
    document["attestation"] = {"digest": document["attestation"]["digest"]}

    assert read(document).policies.has_violations


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ({"digest": {"sha512": "cd", "sha256": "ab"}}, "sha256:ab"),
        ({"digest": {"sha512": "cd"}}, "sha512:cd"),
        ({"digest": None, "uri": "cas://ab"}, "cas://ab"),
        ({"name": "policy-evaluations"}, "a name that is not said"),
    ],
    ids=["two digests", "another digest", "an address", "a name"],
)
def test_evaluations_that_are_referred_to_in_another_way_are_not_taken_for_none(
    reference: builders.JSON, told: str
) -> None:
    document = builders.statement()
    document["predicate"] = {
        key: value for key, value in document["predicate"].items() if "olicy" not in key
    } | {"policyEvaluationsRef": reference}

    assert read(document).policies.reference == told
    assert judge(read(document), Job()).policy_status is None


def test_no_word_on_the_strategy_is_no_strategy() -> None:
    told = read(builders.statement(strategy="TOMORROW"))

    assert told.policies.strategy is None


@pytest.mark.parametrize(
    ("said", "passed"),
    [
        ({"policyEvaluationsCount": 3}, 3),
        ({"policyEvaluationsCount": 3, "policySkippedCount": 1}, 2),
        ({"policyEvaluationsCount": 3, "policyPassedCount": 1, "policySkippedCount": 2}, 1),
        ({"policyEvaluationsCount": 3, "policyViolationsCount": 1}, 2),
        ({"policyEvaluationsCount": 3, "policyViolationsCount": 2}, 0),
        ({"policyEvaluationsCount": 3, "policyHasViolations": True}, 0),
    ],
    ids=["none skipped", "one skipped", "said", "one violation", "two", "violations exist"],
)
def test_what_was_neither_skipped_nor_violated_has_passed(
    said: dict[str, object], passed: int
) -> None:
    counted = builders.statement(predicate=said)
    assert attestation.parse(builders.encoded(counted)).policies.passed_count == passed


CLAIMS = ["policyHasViolations", "policyHasGatedViolations", "policyAttBlocked"]


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("evaluations", [[builders.evaluation("passed")], []], ids=["one", "none"])
def test_a_violation_that_only_the_predicate_tells_of_counts(
    claim: str, evaluations: list[builders.JSON]
) -> None:
    said = builders.statement(evaluations=evaluations, predicate={claim: True})

    for document in (said, builders.cli_describe(said)):
        told = read(document).policies
        assert told.has_violations
        assert told.has_gated_violations == (claim == "policyHasGatedViolations")
        assert told.is_blocked == (claim == "policyAttBlocked")
        assert told.violation_count == 0


@pytest.mark.parametrize("claim", ["has_violations", "has_gated_violations", "blocked"])
def test_a_violation_that_only_the_control_plane_tells_of_counts(claim: str) -> None:
    document = builders.cli_describe(builders.statement(evaluations=[builders.evaluation("x")]))
    document["attestation"]["policy_evaluation_status"][claim] = True

    assert read(document).policies.has_violations


def test_violations_that_a_push_tells_of_and_does_not_list_count() -> None:
    forgiven = builders.violation("x", is_suppressed=True)
    document = builders.cli_push(
        builders.statement(), evaluations=[builders.evaluation("x", violations=[forgiven])]
    )
    assert document["has_policy_violations"]
    assert not read(document).policies.has_violations
    del document["policy_evaluations"]

    assert read(document).policies.has_violations
    assert judge(read(document), Job()).policy_status is PolicyStatus.WARNING
