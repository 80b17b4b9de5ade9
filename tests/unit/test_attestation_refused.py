"""What is not a Chainloop attestation, or not a whole one: refused in words, and soon."""

import base64
import json
import time
from typing import Any

import pytest

import builders
from chainloop_smtp import attestation
from chainloop_smtp.errors import AttestationError

STATEMENT = builders.statement(
    evaluations=[builders.evaluation("licenses", material="sbom", violations=["AGPL"])]
)


def refused(evidence: bytes) -> str:
    """The words of the refusal."""
    with pytest.raises(AttestationError) as caught:
        attestation.parse(evidence)
    assert caught.value.exit_code == 3
    return str(caught.value)


# --- other documents ---------------------------------------------------------------------------

RUN = builders.cli_describe(None)["workflowRun"]
SLSA = STATEMENT | {"predicateType": "https://slsa.dev/provenance/v1"}
PACKAGED: dict[str, tuple[object, str]] = {
    "runs": ([RUN], "a list of workflow runs"),
    "one run": (RUN, "a workflow run without its attestation"),
    "materials": ([builders.unset_material("x")], "a list of materials"),
    "one material": (builders.unset_material("x"), "one material"),
    "registered integrations": ([{"kind": "smtp", "config": None}], "registered integrations"),
    "a registered integration": ({"kind": "smtp", "config": {}}, "a registered integration"),
    "attached integrations": ([{"integration": {}, "workflow": {}}], "attached integrations"),
    "available integrations": ([{"registration": {}, "attachment": {}}], "available integrations"),
    "a list of something": ([3], "a list, not an attestation"),
    "an empty list": ([], "an empty list"),
    "an empty object": ({}, "an empty object"),
    "an unknown object": ({"b": 1, "a\n": 2}, "it has the keys 'a\\n', 'b'"),
    "an object of many keys": (dict.fromkeys("abcdefg"), "'a', 'b', 'c', 'd', 'e', ..."),
    "stored evaluations": ({"evaluations": []}, "without the attestation that they belong to"),
    "crafting state": ({"inputSchema": {}, "attestation": {}}, "until the push"),
    "CycloneDX": ({"bomFormat": "CycloneDX"}, "a CycloneDX SBOM"),
    "SPDX": ({"spdxVersion": "SPDX-2.3"}, "an SPDX SBOM"),
    "SARIF": ({"version": "2.1.0", "runs": []}, "a SARIF report"),
    "a SLSA statement": (SLSA, "of type 'https://slsa.dev/provenance/v1'"),
    "a SLSA statement in a bundle": (builders.bundle(SLSA), "$.dsseEnvelope.payload.predicateType"),
    "a SLSA predicate": (
        {"metadata": {}, "builder": {}, "buildType": "https://ci.example/v1"},
        "SLSA provenance",
    ),
    "a SLSA predicate of version 1": ({"buildDefinition": 1, "runDetails": 2}, "SLSA provenance"),
    "a signature of a file": ({"messageSignature": {}}, "around a plain signature"),
    "a statement without predicate": (
        builders.dsse({"_type": "https://in-toto.io/Statement/v1"}),
        "has no predicate type",
    ),
    "a bare statement without predicate": ({"_type": "x"}, "without a predicate"),
    "a statement with an empty predicate": (STATEMENT | {"predicate": None}, "has no predicate"),
    "another payload": (
        builders.dsse(STATEMENT, payload_type="text/plain"),
        "the envelope holds 'text/plain'",
    ),
    "a webhook's test": (builders.webhook(STATEMENT, kind="TEST_WEBHOOK"), "is registered"),
    "a webhook's SBOM": (
        builders.webhook(STATEMENT, kind="SBOM_SPDX_JSON"),
        "for 'SBOM_SPDX_JSON', a material",
    ),
}


@pytest.mark.parametrize(("document", "words"), PACKAGED.values(), ids=PACKAGED)
def test_another_document_is_told_for_what_it_is(document: object, words: str) -> None:
    message = refused(builders.encoded(document))

    assert words in message
    # A second line says which command prints the right thing.
    assert "chainloop" in message or "policy-evaluations" in message


def test_a_list_of_runs_is_answered_with_the_command_for_its_first() -> None:
    assert f"describe --id {builders.RUN_ID} -o json" in refused(builders.encoded([RUN]))


def test_an_id_that_is_none_stays_out_of_the_command() -> None:
    assert "rm -rf" not in refused(builders.encoded([RUN | {"id": "$(rm -rf /)"}]))


# --- nothing, or no document -------------------------------------------------------------------


@pytest.mark.parametrize("evidence", [b"", b"\n\r\n ", b"\xef\xbb\xbf", b'""', b"\xff\xfe\n\x00"])
def test_nothing_is_answered_with_how_it_may_have_come(evidence: bytes) -> None:
    message = refused(evidence)

    assert "there is nothing in it" in message
    assert "bash -e" in message
    assert "exits 4" in message


@pytest.mark.parametrize("mark", [b"\x1f\x8b\x08", b"PK\x03\x04", b"\x28\xb5\x2f\xfd"])
def test_a_packed_file_is_told_for_what_it_is(mark: bytes) -> None:
    assert "is a packed file, not a document\n  Unpack it first." in refused(mark + b"{\xff\n{")


@pytest.mark.parametrize(
    "evidence",
    [
        b"INF push completed\n",
        "┌──────┐\n│ Name │\n".encode(),
        b"null",
        b"3",
        b'"say"',
        b"[\n"[:0] + b"x",
    ],
    ids=["log", "table", "null", "number", "string", "letter"],
)
def test_text_without_a_document_is_refused(evidence: bytes) -> None:
    assert "no JSON document" in refused(evidence)


# --- damage ------------------------------------------------------------------------------------

PUSH = builders.encoded(builders.cli_push(STATEMENT))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_document_that_was_cut_short_is_refused_whole(share: float) -> None:
    for document in (PUSH, builders.encoded(builders.cli_describe(STATEMENT))):
        message = refused(b"noise\n" + document[: int(len(document.rstrip()) * share)])

        assert "cut short" in message
        assert "line " in message


def test_a_pre_authentication_encoding_that_was_cut_short_is_refused() -> None:
    assert "is cut short: the payload should have" in refused(builders.pae(STATEMENT)[:-9])


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        (b"DSSEv1 nonsense", "does not go on as one"),
        (b"DSSEv1 4 text 2 {}", "the envelope holds 'text'"),
        (b"DSSEv1 28 application/vnd.in-toto+json 3 {} x", "something follows it"),
        (b'{"attestationID": NaN, "isPushed": true}', "$.attestationID: NaN is not a JSON number"),
        (b'{"x": [-Infinity]}', "$.x[0]: -Infinity is not a JSON number"),
        (b'{"a": {"b": 1, "c": 2, "b": 3}}', "$.a.b: the same name stands twice"),
        (b'{"a": {"b": 1, "b": 3}, "a": 1}', "the same name stands twice"),
        (b'{"a": ' + b"1" * 5000 + b"}", "too many digits"),
        (b'{"a": "\x01"}', "invalid control character"),
        (b'{"a": "\xff"}', "a byte is not UTF-8 (line 1, column 8)"),
        (b"{\"a\": 'b'}", "expecting value"),
        (b'"a', "no JSON document"),
        (b'"a" {"b": 1', "cut short"),
        (b"\xff\xfe{", "UTF-16 breaks off at byte"),
        (b'{"a":' * 101 + b"1" + b"}" * 101, "nests deeper than 100 levels"),
        (b"[" + b"0," * 1_000_001 + b"0]", "more than 1,000,000 values"),
        (b" " * (64 * 1024 * 1024 + 1), "at most 67,108,864 are read"),
    ],
)
def test_damage_is_told_with_its_place(evidence: bytes, words: str) -> None:
    assert words in refused(evidence)


def test_a_hundred_levels_are_not_too_deep() -> None:
    assert "cut" not in refused(b'{"a":' * 100 + b"1" + b"}" * 100)


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ("!!!", "$.payload: should be base64 and is not"),
        ("e30=e30=", "$.payload: should be base64 and is not"),
        ("ä", "$.payload: should be base64 and is not"),
        (base64.b64encode(b"hello").decode(), "$.payload: is not JSON that can be read"),
        (base64.b64encode(b"{}{}").decode(), "something follows it (line 1, column 3)"),
        (base64.b64encode(b"{'a': 1}").decode(), "$.payload: is not JSON that can be read"),
        (3, "$.payload: should be a string, is a number"),
        (None, "$.payload: is not JSON that can be read"),
    ],
)
def test_a_damaged_payload_is_told_with_its_path(payload: Any, words: str) -> None:
    document = builders.dsse(STATEMENT) | {"payload": payload}

    assert words in refused(builders.encoded(document))


def placed(document: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """The document with this value at this place."""
    changed = json.loads(json.dumps(document))
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return changed


OTHER_ID = "00000000-6a51-4a5b-9c1d-0e5f3c2b7a90"
DESCRIBED = builders.cli_describe(STATEMENT)
PUSHED = builders.cli_push(STATEMENT)


@pytest.mark.parametrize(
    ("document", "path", "value", "words"),
    [
        (DESCRIBED, ("attestation", "materials", 2, "name"), 3,
         "$.attestation.materials[2].name: should be a string, is a number"),
        (DESCRIBED, ("attestation", "materials"), {},
         "$.attestation.materials: should be an array, is an object"),
        (DESCRIBED, ("workflowRun", "contractRevisionUsed"), 1.5,
         "$.workflowRun.contractRevisionUsed: should be a whole number, is a number"),
        (DESCRIBED, ("workflowRun", "contractRevisionUsed"), True,
         "$.workflowRun.contractRevisionUsed: should be a whole number, is a boolean"),
        (DESCRIBED, ("attestation",), "x",
         "$.attestation: should be an object, is a string"),
        (PUSHED, ("workflowMeta",), [],
         "$.workflowMeta: should be an object, is an array"),
        (PUSHED, ("dryRun",), "no",
         "$.dryRun: should be a boolean, is a string"),
        (PUSHED, ("initializedAt",), "yester\nday",
         "$.initializedAt: should be an RFC 3339 time such as 2026-08-21T11:02:03Z, "
         "is 'yester\\nday'"),
        (PUSHED, ("initializedAt",), "2026-02-30T00:00:00Z",
         "$.initializedAt: should be an RFC 3339 time"),
        (PUSHED, ("initializedAt",), "9999-12-31T23:59:59-23:59",
         "$.initializedAt: should be an RFC 3339 time"),
        (PUSHED, ("policy_evaluations", "sbom", 0), None,
         "$.policy_evaluations.sbom[0]: is null, where something should stand"),
        (STATEMENT, ("predicate", "materials", 1), None,
         "$.predicate.materials[1]: is null, where something should stand"),
        (DESCRIBED, ("workflowRun", "id"), OTHER_ID,
         f"$.workflowRun.id: is '{OTHER_ID}', but the attestation in this document is of run "
         f"'{builders.RUN_ID}'"),
        (builders.webhook(STATEMENT), ("Metadata", "WorkflowRun", "ID"), OTHER_ID,
         f"$.Metadata.WorkflowRun.ID: is '{OTHER_ID}', but the attestation"),
        (builders.old_push(STATEMENT), ("status", "attestationID"), OTHER_ID,
         f"$.status.attestationID: is '{OTHER_ID}', but the attestation"),
        (PUSHED, ("envVars", "A B"), {},
         "$.envVars['A B']: should be a string, is an object"),
        (PUSHED, ("envVars",), [],
         "$.envVars: should be an object, is an array"),
        (PUSHED, ("annotations",), "x",
         "$.annotations: should be an array, is a string"),
        (PUSHED, ("policy_evaluations", "sbom", 0, "violations", 0), "x",
         "$.policy_evaluations.sbom[0].violations[0]: should be an object, is a string"),
        (STATEMENT, ("predicate", "materials", 0, "annotations", "chainloop.material.name"), [],
         "$.predicate.materials[0].annotations['chainloop.material.name']: should be a string"),
        (STATEMENT, ("predicate", "policyEvaluationsCount"), 2**63,
         "$.predicate.policyEvaluationsCount: should be a whole number, is a number"),
    ],
)  # fmt: skip
def test_a_field_of_the_wrong_kind_is_told_with_its_path(
    document: Any, path: tuple[str | int, ...], value: Any, words: str
) -> None:
    assert words in refused(builders.encoded(placed(document, path, value)))


@pytest.mark.parametrize(
    ("score", "told"), [("1e999", "a number out of range"), ("true", "a bool")]
)
def test_a_score_is_a_finite_number(score: str, told: str) -> None:
    sast = {"severityScore": "SCORE"}
    evaluation = builders.evaluation("x", violations=[builders.violation("y", sast=sast)])
    document = builders.encoded(builders.cli_push(STATEMENT, evaluations=[evaluation]))

    message = refused(document.replace(b'"SCORE"', score.encode()))

    assert "sast.severity_score: should be a number" in message
    assert told in message


def test_a_number_that_is_none_is_told_beside_what_says_nothing() -> None:
    assert refused(b'{"workflowRun": [null, {"a": NaN}]}').startswith("$.workflowRun[1].a: NaN")


def test_a_value_never_shows_where_only_its_kind_matters() -> None:
    document = placed(PUSHED, ("envVars", "TOKEN"), ["hunter2"])

    assert "hunter2" not in refused(builders.encoded(document))


def test_what_an_error_shows_is_short_and_printable() -> None:
    name = "\x1b[31m::error::\u202e" + "x" * 500
    message = refused(builders.encoded(placed(PUSHED, ("envVars", name), 3)))

    assert len(message) < 200
    assert all(line.isprintable() for line in message.split("\n"))


def test_a_long_path_is_shortened_in_its_middle() -> None:
    keys = [f"{'k' * 50}{index}" for index in range(20)]
    text = "".join(f'{{"{key}":' for key in keys) + "NaN" + "}" * 20

    message = refused(text.encode())

    assert len(message.split(": ")[0]) == 300
    assert "..." in message


@pytest.mark.parametrize(
    "evidence",
    [
        b"[" * 5_000_000,
        b"[\n" * 2_500_000,
        b"[INFO] x\n" * 500_000,
        (b"[" + b"x" * 600 + b"]\n") * 8_000,
        b"{" + b"x" * 5_000_000,
        b'{"' + b'\\"' * 2_500_000,
        b'["' + b'","' * 1_600_000,
        b"x {\n" + b"y" * 5_000_000,
        b"DSSEv1 \n" * 600_000,
    ],
    ids=[
        "bomb",
        "bomb in lines",
        "log",
        "long log",
        "no quote",
        "no end",
        "strings",
        "no bracket",
        "marks",
    ],
)
def test_five_megabytes_of_malice_take_a_moment(evidence: bytes) -> None:
    started = time.process_time()

    refused(evidence)

    assert time.process_time() - started < 5
