"""What an attestation says, fact by fact."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest

import builders
from chainloop_smtp import attestation
from chainloop_smtp.model.attested import Annotation, Attestation, Envelope, RunState, Version


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


@pytest.mark.parametrize(
    ("auth", "attested_by"),
    [
        ({"type": "AUTH_TYPE_API_TOKEN", "id": "bdf4"}, "API token bdf4"),
        ({"type": "AUTH_TYPE_USER", "id": "ada"}, "user ada"),
        ({"type": "AUTH_TYPE_FEDERATED", "id": "repo"}, "federated login repo"),
        ({"type": "AUTH_TYPE_SERVICE_MESH", "id": "7"}, "service mesh 7"),
        ({"type": "AUTH_TYPE_UNSPECIFIED", "id": "7"}, "7"),
        ({"type": "AUTH_TYPE_USER"}, "user"),
        ({}, ""),
    ],
)
def test_who_attested_is_the_commands_login(auth: dict[str, str], attested_by: str) -> None:
    document = builders.statement()
    document["predicate"]["auth"] = auth
    assert read(document).attested_by == attested_by


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


@pytest.mark.parametrize("policy_status", ["N/A", "failed"])
def test_a_successful_run_without_its_attestation_is_recorded_and_not_retrieved(
    policy_status: str,
) -> None:
    document = builders.cli_describe(None, state="success")
    document["workflowRun"]["policyStatus"] = policy_status
    told = read(document)

    assert (told.is_recorded, told.is_retrieved) == (True, False)
    assert told.policies.has_violations is (policy_status == "failed")


def test_before_the_push_a_run_is_in_progress_and_a_dry_run_is_not() -> None:
    push = builders.cli_push(builders.statement())
    before = push | {"isPushed": False, "digest": ""}

    assert read(before).run.state is RunState.IN_PROGRESS
    assert read(before | {"dryRun": True}).run.state is None
    assert read(push).run.state is None


def test_listed_materials_without_a_name_are_counted() -> None:
    push = builders.cli_push(builders.statement())
    push["materials"] = [*push["materials"], {"type": "STRING", "Set": True}, {}]
    described = builders.cli_describe(builders.statement(), has_bundle=False)
    count = len(described["attestation"]["materials"])
    described["attestation"]["materials"].append({"value": "x"})

    assert (len(read(push).materials), read(push).bad_material_count) == (count, 2)
    assert read(described).bad_material_count == 1


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
        ("2026-09-01T01:00:00-25:30", datetime(2026, 9, 2, 2, 30, tzinfo=UTC)),
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


def test_a_bundle_holds_what_its_signature_is_verified_with() -> None:
    statement = builders.statement()
    chain = [{"rawBytes": "bGVhZg=="}, {"rawBytes": "cm9vdA=="}, {}]
    material = {
        "x509CertificateChain": {"certificates": chain},
        "timestampVerificationData": {
            "rfc3161Timestamps": [{"signedTimestamp": "c3RhbXA="}, {"signedTimestamp": "+"}, {}]
        },
    }
    bundle = builders.bundle(statement, material=material)
    bundle["dsseEnvelope"]["signatures"] = [{"sig": "c2ln"}, {"sig": "c2lnCg"}, {"sig": "+"}, {}]

    told = read(bundle)

    assert told.envelope == Envelope(
        payload=base64.b64decode(bundle["dsseEnvelope"]["payload"]),
        payload_type=builders.PAYLOAD_TYPE,
        signatures=(b"sig", b"sig\n", b"", b""),
        certificates=(b"leaf", b"root"),
        timestamps=(b"stamp", b""),
    )
    assert json.loads(told.envelope.payload) == statement
    assert "envelope" not in repr(told)


@pytest.mark.parametrize(
    "material",
    [{}, {"certificate": {}}, {"certificate": {"rawBytes": ""}}, {"x509CertificateChain": {}}],
)
def test_a_bundle_may_hold_no_certificate(material: builders.JSON) -> None:
    envelope = read(builders.bundle(builders.statement(), material=material)).envelope

    assert envelope is not None
    assert envelope.certificates == envelope.timestamps == ()


def test_a_statement_alone_holds_no_envelope() -> None:
    assert read(builders.statement()).envelope is None
    assert read(builders.cli_push(builders.statement())).envelope is None


@pytest.mark.parametrize("indent", [None, 3])
def test_a_copy_of_a_bundle_with_other_white_space_is_still_that_bundle(
    indent: int | None,
) -> None:
    statement = builders.statement()

    told = attestation.parse(builders.encoded(builders.bundle(statement), indent=indent))

    assert builders.digest_of(builders.stored_bundle(statement)) in told.signing.bundle_digests


CERTIFICATE = {"rawBytes": "bGVhZg=="}
TIMESTAMPS = {"rfc3161Timestamps": [{"signedTimestamp": "c3RhbXA="}]}


@pytest.mark.parametrize(
    "material",
    [
        {},
        {"certificate": CERTIFICATE},
        {"certificate": CERTIFICATE, "timestampVerificationData": TIMESTAMPS},
        {"x509CertificateChain": {"certificates": [CERTIFICATE, {"rawBytes": "cm9vdA=="}]}},
    ],
    ids=["nothing", "certificate", "timestamp", "chain"],
)
def test_a_bundle_can_be_written_again_from_what_is_kept_of_it(material: builders.JSON) -> None:
    bundle = builders.bundle(builders.statement(), material=material)
    bundle["dsseEnvelope"]["signatures"] = [{"sig": "c2ln"}]
    envelope = read(bundle).envelope

    assert envelope is not None
    assert json.loads(attestation.write_bundle(envelope)) == bundle
