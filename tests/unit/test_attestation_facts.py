"""Small documents, and every single fact that is read from them."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

import builders
from chainloop_smtp import attestation
from chainloop_smtp.attestation.certificate import read as read_certificate
from chainloop_smtp.attestation.decoding import MAX_BYTES
from chainloop_smtp.attestation.fields import Node
from chainloop_smtp.errors import AttestationError
from chainloop_smtp.model.attested import (
    Annotation,
    Attestation,
    Material,
    Policies,
    Run,
    Runner,
    RunState,
    Strategy,
    Version,
    Workflow,
)
from refusal import Said, error_of

RUN_ID = builders.RUN_ID
DIGEST = "sha256:" + "ab" * 32
STARTED, ENDED = "2026-09-01T08:03:04Z", "2026-09-01T08:09:10Z"
START = datetime(2026, 9, 1, 8, 3, 4, tzinfo=UTC)
END = datetime(2026, 9, 1, 8, 9, 10, tzinfo=UTC)


def read(document: object) -> Attestation:
    return attestation.parse(json.dumps(document).encode())


def error(evidence: bytes) -> Said:
    return error_of(lambda: attestation.parse(evidence), AttestationError)


# --- described runs ----------------------------------------------------------------------------

DESCRIBED: dict[str, dict[str, Any]] = {
    "workflow": {
        "name": "ship",
        "id": "w1",
        "project": "harbour",
        "team": "dock",
        "contractName": "ship-contract",
    },
    "workflowRun": {
        "id": RUN_ID,
        "state": "error",
        "reason": "no quay",
        "createdAt": STARTED,
        "finishedAt": ENDED,
        "runnerType": "GitLab",
        "runURL": "https://ci.example/1",
        "contractRevisionUsed": 4,
        "projectVersion": {"version": "v2", "prerelease": True},
        "policyStatus": "failed",
    },
}
RUN = Attestation(
    shape="workflow run describe -o json",
    is_recorded=False,
    run=Run(
        id=RUN_ID,
        state=RunState.FAILED,
        reason="no quay",
        started_at=START,
        finished_at=END,
    ),
    workflow=Workflow(
        name="ship",
        id="w1",
        project="harbour",
        team="dock",
        version=Version(name="v2", is_prerelease=True),
        contract_name="ship-contract",
        contract_revision="4",
    ),
    runner=Runner(type="GITLAB_PIPELINE", url="https://ci.example/1"),
    policies=Policies(has_violations=True),
)


def test_a_described_run_without_an_attestation() -> None:
    assert read(DESCRIBED) == RUN


def test_the_workflow_of_a_run_may_stand_inside_of_it() -> None:
    inside = {"workflowRun": DESCRIBED["workflowRun"] | {"workflow": DESCRIBED["workflow"]}}
    assert read(inside) == RUN


ITEM = {
    "digest": DIGEST,
    "attestation_view_url": "https://app.example/1",
    "materials": [
        {
            "name": "image",
            "type": "CONTAINER_IMAGE",
            "value": "quay.example/ship",
            "tag": "v2",
            "hash": "sha256:1",
            "IsOutput": True,
        },
    ],
    "annotations": [{"name": "stage", "value": "pier"}],
    "envvars": [{"name": "QUAY", "value": "7"}],
    "policy_evaluation_status": {
        "strategy": "ENFORCED",
        "bypassed": True,
        "blocked": False,
        "has_violations": False,
        "has_gated_violations": True,
    },
}


def test_a_described_attestation_whose_bundle_is_not_there() -> None:
    told = Attestation(
        shape="attestation of workflow run describe -o json",
        is_recorded=True,
        digest=DIGEST,
        view_url="https://app.example/1",
        materials=(
            Material(
                name="image",
                type="CONTAINER_IMAGE",
                value="quay.example/ship",
                tag="v2",
                digest="sha256:1",
                is_output=True,
                is_uploaded=False,
            ),
        ),
        annotations=(Annotation(name="stage", value="pier"),),
        environment=(Annotation(name="QUAY", value="7"),),
        policies=Policies(
            strategy=Strategy.ENFORCED,
            is_bypassed=True,
            is_blocked=False,
            has_violations=True,
            has_gated_violations=True,
        ),
    )
    assert read(ITEM | {"envelope": None}) == told


def test_a_webhook_tells_what_its_statement_leaves_out() -> None:
    predicate = {
        "metadata": {"workflowRunID": ""},
        "builder": {"id": "x"},
        "buildType": "chainloop.dev/workflowrun/v0.1",
    }
    body = {
        "Metadata": {
            "Workflow": {"ID": "w1", "Name": "ship", "Team": "dock", "Project": "harbour"},
            "WorkflowRun": {
                "ID": RUN_ID,
                "State": "canceled",
                "StartedAt": STARTED,
                "FinishedAt": ENDED,
                "RunnerType": "GITHUB_ACTION",
                "RunURL": "https://ci.example/1",
                "AttestationDigest": DIGEST,
            },
        },
        "Kind": "ATTESTATION",
        "Data": base64.b64encode(json.dumps({"Predicate": predicate}).encode()).decode(),
    }
    assert read(body) == Attestation(
        shape="webhook body",
        is_recorded=True,
        digest=DIGEST,
        run=Run(id=RUN_ID, started_at=START, finished_at=END, state=read(body).run.state),
        workflow=Workflow(name="ship", id="w1", project="harbour", team="dock"),
        runner=Runner(type="GITHUB_ACTION", url="https://ci.example/1"),
        builder="x",
    )


# --- statuses and predicates -------------------------------------------------------------------

STATUS: dict[str, Any] = {"attestationID": RUN_ID, "isPushed": True, "digest": DIGEST}


def test_who_stamped_the_time_is_read_from_a_status_too() -> None:
    told = read(STATUS | {"timestamp_authority": "https://tsa.example"})
    assert told.signing.timestamp_authority == "https://tsa.example"


def test_an_id_alone_makes_no_status() -> None:
    assert error(json.dumps({"attestationID": RUN_ID}).encode())[1] == (
        "this is not a Chainloop document that describes a run; it has the keys 'attestationID'"
    )


@pytest.mark.parametrize(
    ("says", "violations", "has"),
    [
        (True, None, True),
        (False, None, False),
        # Suppressed violations are counted as violations, so what is listed decides.
        (True, [builders.violation("old", is_suppressed=True)], False),
        (False, [builders.violation("new")], True),
    ],
)
def test_violations_are_those_listed_and_only_without_a_list_those_told(
    says: bool, violations: Any, has: bool
) -> None:
    listed = {} if violations is None else {"sbom": [{"name": "p", "violations": violations}]}
    told = read(STATUS | {"has_policy_violations": says, "policy_evaluations": listed})
    assert told.policies.has_violations is has


def predicated(**keys: Any) -> Attestation:
    return read(
        {
            "predicateType": "chainloop.dev/attestation/v0.2",
            "subject": [],
            "predicate": {"metadata": {}} | keys,
        }
    )


def test_a_run_id_that_is_not_there_is_no_dry_run() -> None:
    told = predicated()
    assert (told.is_dry_run, told.is_recorded) == (None, True)
    told = predicated(metadata={"workflowRunID": ""})
    assert (told.is_dry_run, told.is_recorded) == (True, False)
    told = predicated(metadata={"workflowRunID": RUN_ID})
    assert (told.is_dry_run, told.is_recorded) == (False, True)


@pytest.mark.parametrize(
    ("counts", "passed"),
    [
        ({"policyEvaluationsCount": 5, "policySkippedCount": 2}, 3),
        ({"policyEvaluationsCount": 5, "policyViolationsCount": 1}, 4),
        # Two violations may be of one policy, or of two.
        ({"policyEvaluationsCount": 5, "policyViolationsCount": 2}, 0),
        ({"policyEvaluationsCount": 5, "policyPassedCount": 1}, 1),
        ({"policyEvaluationsCount": 1, "policySkippedCount": 2}, 0),
    ],
)
def test_what_passed_is_counted_where_nobody_says_it(counts: dict[str, int], passed: int) -> None:
    assert predicated(**counts).policies.passed_count == passed


def test_what_a_predicate_says_of_violations_counts_beside_what_is_listed() -> None:
    listed = {"sbom": [builders.evaluation("p")]}
    told = predicated(policyEvaluations=listed, policyHasGatedViolations=True).policies
    assert (told.has_violations, told.has_gated_violations) == (True, True)
    gated = {"sbom": [builders.evaluation("p", is_gate=True, violations=["no"])]}
    told = predicated(policyEvaluations=gated).policies
    assert (told.has_violations, told.has_gated_violations) == (True, True)


@pytest.mark.parametrize(
    ("digests", "reference"),
    [
        ({"sha512": "1", "sha256": "2"}, "sha256:2"),
        ({"sha256": "", "sha512": "1"}, "sha512:1"),
        ({"sha256": ""}, "cas"),
    ],
)
def test_stored_evaluations_are_named_by_a_digest_that_is_one(
    digests: dict[str, str], reference: str
) -> None:
    stored = {"digest": digests, "uri": "cas"}
    assert predicated(policyEvaluationsRef=stored).policies.reference == reference


@pytest.mark.parametrize(
    "entry",
    [
        {"material": {"stringVal": "x"}, "type": "STRING"},
        {"material": {"stringVal": "x"}, "name": "note"},
        {"material": {"stringVal": "x"}, "name": "note", "type": "ARTIFACT"},
    ],
    ids=["no name", "no type", "no digest"],
)
def test_a_material_of_the_first_version_without_what_it_needs_is_counted(entry: Any) -> None:
    told = predicated(materials=[entry])
    assert (told.materials, told.bad_material_count) == ((), 1)


def test_the_contracts_materials_come_first_even_if_only_required_ones_tell() -> None:
    materials = [
        {"name": "z", "type": "STRING", "Set": True, "Required": True},
        {"name": "b", "type": "STRING", "Set": True},
        {"name": "a", "type": "STRING", "Set": True},
    ]
    assert [one.name for one in read(STATUS | {"materials": materials}).materials] == [
        *("z", "a", "b")
    ]


# --- joins -------------------------------------------------------------------------------------

BARE = Attestation(shape="a", is_recorded=True)
ONE = replace(BARE, run=Run(id=RUN_ID.upper()), digest=DIGEST.upper())


def test_ids_and_digests_are_one_in_either_case() -> None:
    other = replace(BARE, shape="b", run=Run(id=RUN_ID), digest=DIGEST)
    assert attestation.join(ONE, other).run.id == RUN_ID.upper()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"digest": DIGEST}, {"digest": DIGEST}),
        ({"digest": DIGEST}, {"bundle": DIGEST}),
        ({"bundle": DIGEST}, {"digest": DIGEST}),
        ({"run": RUN_ID}, {"run": RUN_ID}),
    ],
)
def test_what_ties_two_documents_outweighs_their_workflows_names(
    first: dict[str, str], second: dict[str, str]
) -> None:
    def made(name: str, *, run: str = "", digest: str = "", bundle: str = "") -> Attestation:
        signing = replace(BARE.signing, bundle_digests=(bundle,) if bundle else ())
        named = Workflow(name=name)
        return replace(BARE, run=Run(id=run), digest=digest, signing=signing, workflow=named)

    joined = attestation.join(made("one", **first), made("other", **second))
    assert joined.workflow.name == "one"
    for alone in ({}, first):
        with pytest.raises(AttestationError):
            attestation.join(made("one", **alone), made("other"))


def test_a_digest_alone_on_one_side_ties_nothing() -> None:
    one = replace(BARE, digest=DIGEST, workflow=Workflow(name="one"))
    other = replace(BARE, shape="b", workflow=Workflow(name="other"))
    for first, second in ((one, other), (other, one)):
        assert error_of(lambda pair=(first, second): attestation.join(*pair), AttestationError) == (  # type: ignore[misc]
            "workflow",
            f"`{first.shape}` says '{first.workflow.name}', `{second.shape}` says "
            f"'{second.workflow.name}': these are not the same run",
            "Give two documents of the same run.",
        )


def test_a_document_and_its_attestation_may_write_the_run_in_two_ways() -> None:
    described = builders.cli_describe(builders.statement())
    described["workflowRun"]["id"] = RUN_ID.upper()
    assert read(described).run.id == RUN_ID


def test_a_strategy_is_taken_from_whoever_says_it() -> None:
    one = replace(BARE, run=Run(id=RUN_ID))
    other = replace(one, policies=Policies(strategy=Strategy.ADVISORY))
    assert attestation.join(one, other).policies.strategy is Strategy.ADVISORY
    assert attestation.join(other, one).policies.strategy is Strategy.ADVISORY


def test_the_evaluations_with_findings_are_kept() -> None:
    plain = read(builders.cli_push(builders.statement(evaluations=[EVALUATION])))
    found = builders.violation("CVE", vulnerability={"externalId": "CVE-2026-1"})
    fuller = read(
        builders.cli_push(
            builders.statement(evaluations=[EVALUATION]),
            evaluations=[builders.evaluation("cve", material="sbom", violations=[found])],
        )
    )
    for pair in ((plain, fuller), (fuller, plain)):
        (evaluation,) = attestation.join(*pair).policies.evaluations
        assert evaluation.violations[0].finding is not None


EVALUATION = builders.evaluation("cve", material="sbom", violations=["CVE"])


# --- bytes -------------------------------------------------------------------------------------


def test_64_mib_are_read() -> None:
    statement = builders.encoded(builders.statement())
    assert attestation.parse(statement + b" " * (MAX_BYTES - len(statement))).run.id == RUN_ID
    assert error(statement + b" " * (MAX_BYTES - len(statement) + 1))[1] == (
        f"is {MAX_BYTES + 1:,} bytes long; at most {MAX_BYTES:,} are read"
    )


def test_half_a_character_in_utf_16_is_told() -> None:
    assert error(b"\xff\xfe{\x00\x00\xd8}\x00")[1] == "is not text: UTF-16 breaks off at byte 4"


def test_a_list_behind_blanks_is_a_list() -> None:
    listed = json.dumps([{"contractRevisionUsed": 1, "id": RUN_ID}]).encode()
    assert error(b"  " + listed) == error(listed)


@pytest.mark.parametrize(
    ("evidence", "place"),
    [
        (b'{"a": 1,\n "b": 2,\n  x}', "line 3, column 3"),
        (b'{"a":\n\n?}', "line 3, column 1"),
        (b"x\n" * 20 + b'{"a": 1,\n ?}', "line 22, column 2"),
    ],
)
def test_damage_is_told_with_its_line_and_column(evidence: bytes, place: str) -> None:
    assert error(evidence)[1].endswith(f" ({place})")


@pytest.mark.parametrize("id_", [RUN_ID + "; rm -rf /", RUN_ID + "\n", "$(x)", None])
def test_only_an_id_becomes_part_of_a_command(id_: object) -> None:
    run: dict[str, object] = {"contractRevisionUsed": 1, "state": "success"}
    for document in (run | {"id": id_}, [run | {"id": id_}], run, [run]):
        assert error(json.dumps(document).encode())[2] == (
            "Give what `chainloop attestation push -o json` printed, or "
            "`chainloop workflow run describe --id RUN-ID -o json`."
        )
    described = f"`chainloop workflow run describe --id {RUN_ID} -o json` prints all of it."
    assert error(json.dumps(run | {"id": RUN_ID}).encode())[2] == described


@pytest.mark.parametrize(
    ("count", "more"), [(5, "'k4'"), (6, "'k4', ...")], ids=["five keys", "six keys"]
)
def test_five_keys_are_named(count: int, more: str) -> None:
    document = {f"k{number}": 1 for number in range(count)}
    why = error(json.dumps(document).encode())[1]
    assert why.endswith(f"it has the keys 'k0', 'k1', 'k2', 'k3', {more}")


@pytest.mark.parametrize(
    ("length", "shown"), [(30, "'" + "k" * 30 + "'"), (31, "'" + "k" * 30 + "'...")]
)
def test_30_characters_of_a_key_are_shown(length: int, shown: str) -> None:
    assert error(json.dumps({"k" * length: 1}).encode())[1].endswith(f"the keys {shown}")


def test_a_pre_authentication_encoding_begins_a_line() -> None:
    noise = b"policy says: DSSEv1 \n"
    assert attestation.parse(noise + builders.pae(builders.statement())).run.id == RUN_ID


def test_the_digest_of_a_bundle_is_compared_in_either_case() -> None:
    described = builders.cli_describe(builders.statement())
    item = described["attestation"]
    item["digest"] = item["digest"].upper().replace("SHA256", "sha256")
    assert read(described).signing.is_digest_verified is True


def test_a_bundle_with_letters_beyond_ascii_has_the_digest_of_its_bytes() -> None:
    statement = builders.statement(annotations={"käpt'n": "Ödön"})
    raw = json.dumps(builders.bundle(statement) | {"note": "Ödön"}, ensure_ascii=False, indent=1)
    compact = json.dumps(json.loads(raw), ensure_ascii=False, separators=(",", ":"))
    told = attestation.parse(raw.encode()).signing.bundle_digests
    assert builders.digest_of(raw.encode()) in told
    assert builders.digest_of(compact.encode()) in told


def test_a_signature_of_the_wrong_kind_is_told() -> None:
    envelope = builders.dsse(builders.statement()) | {"signatures": [{"sig": 1}]}
    assert error(json.dumps(envelope).encode()) == (
        "$.signatures[0].sig",
        "should be a string, is a number",
        "",
    )


# --- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (False, "false"), (3, "3"), (3.0, "3"), (2.5, "2.5"), ("x", "x"), (None, "")],
)
def test_a_scalar_is_shown_as_chainloop_prints_it(value: object, text: str) -> None:
    assert Node(value).scalar() == text


def test_no_text_is_no_octets() -> None:
    assert Node("").base64() == b""
    assert Node(None).base64() == b""


def test_a_moment_ends_where_it_ends() -> None:
    assert error(json.dumps(STATUS | {"initializedAt": f"{STARTED}x"}).encode()) == (
        "$.initializedAt",
        f"should be an RFC 3339 time such as 2026-08-21T11:02:03Z, is '{STARTED}x'",
        "",
    )


@pytest.mark.parametrize(("length", "is_whole"), [(300, True), (301, False)])
def test_a_path_of_300_characters_is_whole(length: int, is_whole: bool) -> None:
    keys = ["k" * 50] * 5
    keys.append("e" * (length - len("$." + ".".join(keys) + ".")))
    node = Node(None)
    for key in keys:
        node = Node(None, node, key)
    assert len(node.path) == 300
    assert ("..." not in node.path) is is_whole


# --- certificates ------------------------------------------------------------------------------


def der(tag: int, *parts: bytes) -> bytes:
    """One value; its length in the short form up to 127, else in the long one."""
    body = b"".join(parts)
    size = len(body)
    if size < 128:
        return bytes([tag, size]) + body
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + body


def named(kind: str, text: bytes, tag: int = 0x0C) -> bytes:
    attribute = der(0x30, der(0x06, bytes.fromhex(kind)), der(tag, text))
    return der(0x30, der(0x31, attribute))


def certificate(subject: bytes) -> bytes:
    empty = der(0x30)
    body = der(0x30, der(0x02, b"7"), empty, empty, empty, subject, empty)
    return der(0x30, body, empty, der(0x03, b"0"))


@pytest.mark.parametrize("length", [1, 100, 127, 128, 255, 256, 70])
def test_a_name_of_any_length_is_read(length: int) -> None:
    assert read_certificate(certificate(named("550403", b"x" * length)))[0] == "CN=" + "x" * length


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("550403", "CN"),
        ("550405", "serialNumber"),
        ("550406", "C"),
        ("550407", "L"),
        ("550408", "ST"),
        ("55040a", "O"),
        ("55040b", "OU"),
        ("0992268993f22c640119", "DC"),
        ("2a864886f70d010901", "emailAddress"),
    ],
)
def test_attributes_have_their_usual_names(kind: str, name: str) -> None:
    assert read_certificate(certificate(named(kind, b"x")))[0] == f"{name}=x"


@pytest.mark.parametrize(
    ("tag", "encoding"),
    [
        (0x0C, "utf-8"),
        (0x12, "ascii"),
        (0x13, "ascii"),
        (0x14, "latin-1"),
        (0x16, "ascii"),
        (0x1C, "utf-32-be"),
        (0x1E, "utf-16-be"),
    ],
)
def test_each_string_type_has_its_encoding(tag: int, encoding: str) -> None:
    text = "12 é" if encoding not in ("ascii",) else "12 x"
    subject = named("550403", text.encode(encoding), tag)
    assert read_certificate(certificate(subject))[0] == f"CN={text}"


@pytest.mark.parametrize(
    "length",
    [b"\x80", b"\x85\x00\x00\x00\x00\x01"],
    ids=["indefinite", "of five bytes"],
)
def test_a_length_that_is_not_der_ends_the_reading(length: bytes) -> None:
    subject = der(0x30, der(0x31, der(0x30, der(0x06, b"\x55\x04\x03"), b"\x0c" + length + b"x")))
    assert read_certificate(certificate(subject)) == ("", "", ())
