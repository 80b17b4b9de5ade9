"""What an attestation says, fact by fact."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import builders
from chainloop_smtp import attestation
from chainloop_smtp.model import (
    Annotation,
    Attestation,
    Finding,
    FindingKind,
    RunState,
    Strategy,
    Version,
)


def read(document: object) -> Attestation:
    return attestation.parse(builders.encoded(document))


# --- the run -----------------------------------------------------------------------------------


def test_a_push_tells_the_run_and_its_workflow() -> None:
    document = builders.cli_push(builders.statement())

    told = read(document)

    assert told.run.id == builders.RUN_ID
    assert told.run.started_at == datetime(2026, 9, 1, 8, 3, 4, 123456, UTC)
    assert told.run.finished_at is None
    assert told.run.state is None
    assert told.workflow.id == builders.WORKFLOW_ID
    assert (told.workflow.name, told.workflow.project, told.workflow.team) == (
        "ship",
        "harbour",
        "dock",
    )
    assert told.workflow.organization == "lakeside"
    assert (told.workflow.contract_name, told.workflow.contract_revision) == ("harbour-ship", "4")
    assert told.workflow.version == Version(
        name="v2.3.0", is_prerelease=True, is_being_released=False
    )
    assert told.digest == document["digest"]
    assert told.view_url.endswith(told.digest)
    assert (told.runner.type, told.runner.url) == ("GITHUB_ACTION", builders.RUN_URL)
    assert told.commit is None
    assert told.policies.is_bypassed is None


def test_a_push_of_an_empty_contract_says_nothing_and_is_read() -> None:
    document = builders.cli_push(builders.statement(materials=[], version=""))
    document["workflowMeta"]["ProjectVersion"] = None
    document |= {"materials": None, "annotations": None, "runnerContext": None}

    told = read(document)

    assert told.materials == ()
    assert told.workflow.version is None
    assert told.runner.type == ""
    assert told.environment == ()


def test_keys_that_nobody_knows_are_passed_over() -> None:
    document = builders.cli_push(builders.statement())

    assert read(document | {"tomorrow": {"x": [1]}}) == read(document)


def test_a_document_of_the_oldest_command_that_says_two_things_is_read() -> None:
    told = read({"attestationID": builders.RUN_ID, "workflowMeta": {"Name": "ship"}})

    assert told.run.id == builders.RUN_ID
    assert told.policies.strategy is None
    assert told.is_dry_run is None


def test_a_described_run_tells_its_state_and_how_long_it_took() -> None:
    told = read(builders.cli_describe(builders.statement(), evaluations=[]))

    assert told.run.state is RunState.SUCCESS
    assert told.run.duration == timedelta(minutes=6, seconds=6, microseconds=376544)
    assert told.signing.is_verified is True
    assert told.signing.is_digest_verified is True
    assert told.runner.type == "GITHUB_ACTION"


@pytest.mark.parametrize("state", ["in progress", "failed", "canceled", "expired"])
def test_a_described_run_without_attestation_tells_what_it_can(state: str) -> None:
    told = read(builders.cli_describe(None, state=state, reason="storm"))

    assert not told.is_recorded
    assert told.run.state == state
    assert told.run.reason == "storm"
    assert told.run.started_at == datetime(2026, 9, 1, 8, 3, 3, 900000, UTC)
    assert told.workflow.contract_name == "harbour-ship"
    assert told.workflow.contract_revision == "4"
    assert told.runner.type == "GITHUB_ACTION"
    assert told.signing.is_verified is None


def test_a_described_run_says_so_little_as_it_may() -> None:
    told = read({"workflowRun": {"runnerType": "Harbour CI"}, "workflow": None})

    assert told.runner.type == "Harbour CI"
    assert told.workflow.contract_revision == ""
    assert told.workflow.version is None
    assert told.run.state is None


def test_a_described_attestation_from_before_bundles_is_read_from_its_envelope() -> None:
    told = read(builders.cli_describe(builders.statement(), has_bundle=False))

    assert told.commit is not None
    assert told.signing.is_digest_verified is None


def test_a_described_attestation_without_its_envelope_is_read_from_the_rest() -> None:
    document = builders.cli_describe(
        builders.statement(evaluations=[builders.evaluation("a", violations=["b"])])
    )
    for key in ("envelope", "bundle"):
        del document["attestation"][key]

    told = read(document)

    assert [(one.name, one.value) for one in told.materials] == [
        ("image", "ghcr.io/lakeside/harbour"),
        ("note", "built at the pier"),
        ("sbom", "sbom.cdx.json"),
    ]
    assert [one.is_uploaded for one in told.materials] == [False, False, True]
    assert told.policies.violation_count == 1
    assert told.commit is None


def test_bytes_of_a_bundle_that_are_not_those_of_the_digest_are_told() -> None:
    document = builders.cli_describe(builders.statement())
    document["attestation"]["digest"] = f"sha256:{'0' * 64}"

    assert read(document).signing.is_digest_verified is False


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-09-01T08:03:04.123456789Z", datetime(2026, 9, 1, 8, 3, 4, 123456, UTC)),
        ("2026-09-01T08:03:04Z", datetime(2026, 9, 1, 8, 3, 4, tzinfo=UTC)),
        ("2026-09-01T10:03:04.5+02:00", datetime(2026, 9, 1, 8, 3, 4, 500000, UTC)),
        ("2026-09-01T05:33:04-02:30", datetime(2026, 9, 1, 8, 3, 4, tzinfo=UTC)),
        ("1970-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00Z", None),
        ("", None),
        (None, None),
    ],
)
def test_times_are_read_in_utc_and_unset_ones_are_none(
    text: str | None, moment: datetime | None
) -> None:
    told = read({"attestationID": "", "isPushed": True, "initializedAt": text})

    assert told.run.started_at == moment


# --- environment, annotations, runner, commit ---------------------------------------------------


def test_the_contracts_variables_stand_beside_the_runners_and_win() -> None:
    document = builders.cli_push(builders.statement())
    document["envVars"] = {"ZONE": "", "RUNNER_OS": "Contract"}
    document["runnerContext"]["EnvVars"] = {"RUNNER_OS": "Linux", "A": "1"}

    assert read(document).environment == (
        Annotation(name="A", value="1"),
        Annotation(name="RUNNER_OS", value="Contract"),
        Annotation(name="ZONE", value=""),
    )


def test_annotations_of_the_run_are_sorted_and_all_shown() -> None:
    statement = builders.statement(annotations={"z": "", "chainloop.dev/is-pull-request": "true"})

    for document in (statement, builders.cli_push(statement), builders.cli_describe(statement)):
        assert read(document).annotations == (
            Annotation(name="chainloop.dev/is-pull-request", value="true"),
            Annotation(name="z", value=""),
        )


def test_a_statement_tells_runner_builder_and_signing() -> None:
    told = read(
        builders.statement(
            predicate={
                "runnerAuthenticated": True,
                "runnerWorkflowFilePath": "lakeside/harbour/.github/workflows/ship.yml@v1",
                "signingTSA": "http://tsa.example",
            }
        )
    )

    assert told.runner.is_authenticated is True
    assert told.runner.environment == "managed"
    assert told.runner.workflow_file.startswith("lakeside/harbour/")
    assert told.builder.startswith("chainloop.dev/cli/v1.106.1@sha256:")
    assert told.signing.authority == "fileCA"
    assert told.signing.timestamp_authority == "http://tsa.example"
    assert told.predicate_type == "chainloop.dev/attestation/v0.2"


def test_the_commit_is_told_in_full() -> None:
    commit = builders.commit_subject(
        annotations={
            "signature": "-----BEGIN SSH SIGNATURE-----",
            "remotes": [
                {"name": "fork", "url": "git@forge.example:ada/harbour"},
                {"name": "origin", "url": "https://forge.example/harbour"},
                {"name": "bare"},
            ],
        }
    )

    told = read(builders.statement(commit=commit)).commit

    assert told is not None
    assert told.sha == builders.COMMIT
    assert (told.author_name, told.author_email) == ("Ada Quay", "ada@lakeside.example")
    assert told.date == datetime(2026, 9, 1, 7, 58, 12, tzinfo=UTC)
    assert told.message.startswith("Moor the ferry\n\n")
    assert told.verification == "verified"
    assert told.is_signed
    assert told.remotes == ("https://forge.example/harbour", "git@forge.example:ada/harbour")


def test_a_commit_of_2023_has_only_its_hash() -> None:
    told = read(builders.statement(commit={"name": "git.head", "digest": {"sha1": "ab"}})).commit

    assert told is not None
    assert (told.sha, told.is_signed, told.author_name, told.date) == ("ab", False, "", None)


def test_half_surrogate_pairs_become_replacement_characters() -> None:
    document = builders.cli_push(builders.statement())
    document["annotations"] = [{"name": "a\ud800", "value": "b\udfff"}]

    told = attestation.parse(json.dumps(document).encode())

    assert told.annotations == (Annotation(name="a\ufffd", value="b\ufffd"),)


# --- materials ---------------------------------------------------------------------------------


def test_materials_of_a_statement_are_told_by_their_annotations() -> None:
    image, note, sbom = read(builders.statement()).materials

    assert (image.name, image.type, image.tag) == ("image", "CONTAINER_IMAGE", "v2.3.0")
    assert image.value == "ghcr.io/lakeside/harbour"
    assert image.digest.startswith("sha256:")
    assert image.annotations == ()
    assert image.is_output is True
    assert (note.value, note.digest, note.is_output, note.is_uploaded) == (
        "built at the pier",
        "",
        None,
        False,
    )
    assert sbom.annotations == (Annotation(name="team", value="quay"),)
    assert (sbom.is_output, sbom.is_uploaded, sbom.is_required) == (False, True, None)


def test_materials_of_a_predicate_alone_may_be_outputs() -> None:
    told = read(builders.statement()["predicate"])

    assert [one.is_output for one in told.materials] == [None, None, None]


def test_values_of_annotations_may_be_booleans_and_numbers() -> None:
    material = builders.material("x", annotations={"b": True, "f": 7.0, "g": 0.25, "i": 3})

    (told,) = read(builders.statement(materials=[material])).materials

    assert [one.value for one in told.annotations] == ["true", "7", "0.25", "3"]


def test_materials_that_nobody_can_read_are_counted() -> None:
    nameless = builders.material("x")
    del nameless["annotations"]["chainloop.material.name"]
    undigested = builders.material("y") | {"digest": {"sha512": "ab"}}
    old = {"name": "z", "type": "ARTIFACT", "material": {"slsa": {"uri": "z.tgz"}}}
    typeless = {"name": "z", "material": {"stringVal": "z"}}
    materials = [nameless, undigested]
    statement = builders.statement(materials=[])
    statement["predicate"]["materials"] = [*materials, old, typeless]

    told = read(statement)

    assert told.materials == ()
    assert told.bad_material_count == 4


def test_a_string_that_is_not_utf_8_has_no_value() -> None:
    material = builders.material("x", "STRING") | {"content": "/w=="}

    (told,) = read(builders.statement(materials=[material])).materials

    assert told.value == ""


def test_materials_of_the_first_predicate_are_read() -> None:
    statement = builders.statement(
        materials=[],
        predicate={
            "materials": [
                {"name": "ref", "type": "STRING", "material": {"stringVal": "abc"}},
                {
                    "name": "app",
                    "type": "CONTAINER_IMAGE",
                    "material": {"slsa": {"uri": "reg.example/app", "digest": {"sha256": "cd"}}},
                },
            ]
        },
    )
    statement["predicateType"] = "chainloop.dev/attestation/v0.1"
    statement["subject"].append({"name": "reg.example/app", "digest": {"sha256": "cd"}})

    app, ref = read(statement).materials

    assert (app.value, app.digest, app.is_output) == ("reg.example/app", "sha256:cd", True)
    assert (ref.value, ref.digest, ref.is_output) == ("abc", "", None)


def test_a_status_keeps_the_contracts_order_and_sorts_what_came_on_top() -> None:
    document = builders.cli_push(builders.statement(materials=[]))

    def listed(name: str, **said: Any) -> builders.JSON:
        return builders.unset_material(name) | {"Required": False, "Set": True} | said

    document["materials"] = [
        listed("z", Required=True),
        listed("y"),
        listed("x", group="tests"),
        listed("m"),
        listed("c"),
    ]

    told = read(document).materials

    assert [one.name for one in told] == ["z", "y", "x", "c", "m"]
    assert [one.is_required for one in told][:2] == [True, False]
    assert told[2].group == "tests"
    assert told[0].is_uploaded is None


def test_materials_that_the_contract_wants_are_listed_unset() -> None:
    unset = builders.unset_material("junit") | {
        "annotations": [{"name": "owner", "value": ""}, {"name": "chainloop.x", "value": "y"}]
    }

    told = read(builders.cli_push(builders.statement(), unset=[unset])).materials[-1]

    assert (told.name, told.is_set, told.is_required) == ("junit", False, True)
    assert told.annotations == (Annotation(name="owner", value=""),)


# --- policies ----------------------------------------------------------------------------------

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
    "ruleId": "S101",
    "severity": "LOW",
    "severityScore": 2,
    "location": "pier/lamp.py",
    "lineNumber": 12,
}
LICENSE = {
    "componentName": "mooring",
    "componentVersion": "3",
    "licenseId": "AGPL-3.0-only",
    "packagePurl": "pkg:pypi/mooring@2",
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


@pytest.mark.parametrize(
    "document",
    [
        builders.cli_push(STATEMENT, evaluations=EVALUATIONS),
        builders.cli_describe(STATEMENT, evaluations=EVALUATIONS),
    ],
    ids=["push", "describe"],
)
def test_policies_are_told_in_full_and_what_shut_the_gate_comes_first(
    document: builders.JSON,
) -> None:
    told = read(document).policies

    assert [one.name for one in told.evaluations] == [
        "gate",
        "violated",
        "skipped",
        "forgiving",
        "passed",
    ]
    assert [one.material for one in told.evaluations] == ["image", "sbom", "", "", ""]
    assert (told.evaluation_count, told.violation_count, told.suppressed_count) == (5, 5, 2)
    assert (told.passed_count, told.skipped_count) == (2, 1)
    assert told.has_violations
    assert told.has_gated_violations
    assert told.strategy is Strategy.ADVISORY
    assert told.evaluations[2].skip_reasons == ("not today", "nor tomorrow")
    assert told.evaluations[1].description == "Looks at the SBOM."
    assert [one.finding for one in told.evaluations[1].violations] == [
        Finding(
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
        Finding(
            kind=FindingKind.SAST,
            id="S101",
            severity="LOW",
            score=2.0,
            location="pier/lamp.py:12",
        ),
        Finding(
            kind=FindingKind.LICENSE,
            id="AGPL-3.0-only",
            component="mooring",
            component_version="3",
        ),
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("sast", "location"),
    [({"location": "a"}, "a"), ({"lineNumber": 3}, ""), ({"location": "a", "lineNumber": 0}, "a")],
)
def test_a_location_has_a_line_only_where_it_has_one(sast: builders.JSON, location: str) -> None:
    evaluation = builders.evaluation("x", violations=[builders.violation("y", sast=sast)])

    told = read(builders.cli_push(STATEMENT, evaluations=[evaluation])).policies

    finding = told.evaluations[0].violations[0].finding
    assert finding is not None
    assert finding.location == location


def test_a_licence_finding_may_name_its_component_by_package_only() -> None:
    violation = builders.violation(
        "y", license_violation={"licenseName": "Own", "packagePurl": "pkg:pypi/mooring@2"}
    )

    told = read(
        builders.cli_push(STATEMENT, evaluations=[builders.evaluation("x", violations=[violation])])
    )

    finding = told.policies.evaluations[0].violations[0].finding
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
            "sbom": [
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


def test_no_word_on_the_strategy_is_no_strategy() -> None:
    told = read(builders.statement(strategy="TOMORROW"))

    assert told.policies.strategy is None


# --- signing -----------------------------------------------------------------------------------


def test_a_bundle_tells_how_it_was_signed() -> None:
    material = {
        "publicKey": {"hint": "pier-key"},
        "timestampVerificationData": {
            "rfc3161Timestamps": [{"signedTimestamp": "AAAA"}, {"signedTimestamp": ""}]
        },
        "tlogEntries": [{"logIndex": "12"}, {"logIndex": None}],
    }

    told = read(builders.bundle(builders.statement(), material=material)).signing

    assert told.key_hint == "pier-key"
    assert told.timestamp_count == 1
    assert told.log_indexes == ("12",)
    assert told.certificate == ""
    assert told.is_digest_verified is None


@pytest.mark.parametrize("indent", [None, 3])
def test_a_copy_of_a_bundle_with_other_white_space_is_still_that_bundle(
    indent: int | None,
) -> None:
    statement = builders.statement()

    told = attestation.parse(builders.encoded(builders.bundle(statement), indent=indent))

    assert builders.digest_of(builders.stored_bundle(statement)) in told.signing.bundle_digests
