"""What is not a Chainloop attestation, or not a whole one: refused in words, and soon."""

import base64
import json
import time
from typing import Any

import pytest

import builders
from chainloop_smtp import attestation
from chainloop_smtp.errors import AttestationError
from refusal import Said, error_of

STATEMENT = builders.statement(
    evaluations=[builders.evaluation("licenses", material="sbom", violations=["AGPL"])]
)


def refused(evidence: bytes) -> str:
    """The words of the refusal."""
    with pytest.raises(AttestationError) as caught:
        attestation.parse(evidence)
    assert caught.value.exit_code == 3
    return str(caught.value)


def error(evidence: bytes) -> Said:
    return error_of(lambda: attestation.parse(evidence), AttestationError)


# --- other documents ---------------------------------------------------------------------------

RUN = builders.cli_describe(None)["workflowRun"]
SLSA = STATEMENT | {"predicateType": "https://slsa.dev/provenance/v1"}
WHAT = (
    "Give what `chainloop attestation push -o json` printed, or "
    "`chainloop workflow run describe --id RUN-ID -o json`."
)
ANEW = "It is damaged or was cut short. Write it again, with nothing else in it."
BY_HAND = "The input is damaged, or was edited by hand."
PACKAGED: dict[str, tuple[object, Said]] = {
    "runs": (
        [RUN],
        (
            "$",
            ("this is a list of workflow runs (`workflow run list`), not an attestation"),
            (
                "`chainloop workflow run describe --id "
                "5b0a4f0e-6a51-4a5b-9c1d-0e5f3c2b7a90 -o json` prints all of it."
            ),
        ),
    ),
    "one run": (
        RUN,
        (
            "$",
            "this is a workflow run without its attestation",
            (
                "`chainloop workflow run describe --id "
                "5b0a4f0e-6a51-4a5b-9c1d-0e5f3c2b7a90 -o json` prints all of it."
            ),
        ),
    ),
    "materials": (
        [builders.unset_material("x")],
        (
            "$",
            (
                "this is a list of materials (`attestation add`), without the run "
                "that they belong to"
            ),
            WHAT,
        ),
    ),
    "one material": (
        builders.unset_material("x"),
        (
            "$",
            ("this is one material (`attestation add`), without the run that it belongs to"),
            WHAT,
        ),
    ),
    "registered integrations": (
        [{"kind": "smtp", "config": None}],
        ("$", "this is a list of registered integrations, not an attestation", WHAT),
    ),
    "a registered integration": (
        {"kind": "smtp", "config": {}},
        ("$", "this is a registered integration, not an attestation", WHAT),
    ),
    "attached integrations": (
        [{"integration": {}, "workflow": {}}],
        ("$", "this is a list of attached integrations, not an attestation", WHAT),
    ),
    "available integrations": (
        [{"registration": {}, "attachment": {}}],
        ("$", "this is a list of available integrations, not an attestation", WHAT),
    ),
    "a list of something": ([3], ("$", "this is a list, not an attestation", WHAT)),
    "an empty list": ([], ("$", "this is an empty list, not an attestation", WHAT)),
    "an empty object": ({}, ("$", "this is an empty object, not an attestation", WHAT)),
    "an unknown object": (
        {"b": 1, "a\n": 2},
        (
            "$",
            ("this is not a Chainloop document that describes a run; it has the keys 'a\\n', 'b'"),
            WHAT,
        ),
    ),
    "an object of many keys": (
        dict.fromkeys("abcdefg"),
        (
            "$",
            (
                "this is not a Chainloop document that describes a run; it has the "
                "keys 'a', 'b', 'c', 'd', 'e', ..."
            ),
            WHAT,
        ),
    ),
    "stored evaluations": (
        {"evaluations": []},
        (
            "$",
            "these are policy evaluations without the attestation that they belong to",
            "Give them as `policy-evaluations`, beside `attestation`.",
        ),
    ),
    "crafting state": (
        {"inputSchema": {}, "attestation": {}},
        (
            "$",
            ("this is the state that the command keeps until the push, not an attestation"),
            WHAT,
        ),
    ),
    "CycloneDX": (
        {"bomFormat": "CycloneDX"},
        ("$", "this is a CycloneDX SBOM: a material, not an attestation", WHAT),
    ),
    "SPDX": (
        {"spdxVersion": "SPDX-2.3"},
        ("$", "this is an SPDX SBOM: a material, not an attestation", WHAT),
    ),
    "SARIF": (
        {"version": "2.1.0", "runs": []},
        ("$", "this is a SARIF report: a material, not an attestation", WHAT),
    ),
    "a SLSA statement": (
        SLSA,
        (
            "$.predicateType",
            (
                "this is an in-toto statement of type "
                "'https://slsa.dev/provenance/v1', not a Chainloop attestation "
                "(chainloop.dev/attestation/...)"
            ),
            WHAT,
        ),
    ),
    "a SLSA statement in a bundle": (
        builders.bundle(SLSA),
        (
            "$.dsseEnvelope.payload.predicateType",
            (
                "this is an in-toto statement of type "
                "'https://slsa.dev/provenance/v1', not a Chainloop attestation "
                "(chainloop.dev/attestation/...)"
            ),
            WHAT,
        ),
    ),
    "a SLSA predicate": (
        {"metadata": {}, "builder": {}, "buildType": "https://ci.example/v1"},
        ("$", "this is SLSA provenance: not a Chainloop attestation", WHAT),
    ),
    "a SLSA predicate of version 1": (
        {"buildDefinition": 1, "runDetails": 2},
        ("$", "this is SLSA provenance: not a Chainloop attestation", WHAT),
    ),
    "a signature of a file": (
        {"messageSignature": {}},
        ("$", "this is a Sigstore bundle around a plain signature, not an attestation", WHAT),
    ),
    "a statement without predicate": (
        builders.dsse({"_type": "https://in-toto.io/Statement/v1"}),
        (
            "$.payload",
            ("this in-toto statement has no predicate type, so it is not a Chainloop attestation"),
            ("`chainloop workflow run describe --id RUN-ID -o statement` prints one that is."),
        ),
    ),
    "a bare statement without predicate": (
        {"_type": "x"},
        (
            "$",
            ("this is an in-toto statement without a predicate: it says nothing about a run"),
            WHAT,
        ),
    ),
    "a statement with an empty predicate": (
        STATEMENT | {"predicate": None},
        (
            "$.predicate",
            "the statement has no predicate, so it says nothing about a run",
            ("`chainloop workflow run describe --id RUN-ID -o statement` prints one that does."),
        ),
    ),
    "another payload": (
        builders.dsse(STATEMENT, payload_type="text/plain"),
        (
            "$.payloadType",
            (
                "the envelope contains 'text/plain', not an in-toto statement "
                "(application/vnd.in-toto+json)"
            ),
            ("`chainloop workflow run describe --id RUN-ID -o attestation` prints one that does."),
        ),
    ),
    "a webhook's test": (
        builders.webhook(STATEMENT, kind="TEST_WEBHOOK"),
        (
            "$.Kind",
            (
                "this is the test that Chainloop's webhook plugin posts when it is "
                "registered, not an attestation"
            ),
            WHAT,
        ),
    ),
    "a webhook's SBOM": (
        builders.webhook(STATEMENT, kind="SBOM_SPDX_JSON"),
        (
            "$.Kind",
            (
                "this is the body of Chainloop's webhook plugin for "
                "'SBOM_SPDX_JSON', a material, not an attestation"
            ),
            WHAT,
        ),
    ),
}


@pytest.mark.parametrize(("document", "said"), PACKAGED.values(), ids=PACKAGED)
def test_another_document_is_told_for_what_it_is(document: object, said: Said) -> None:
    assert error(builders.encoded(document)) == said


def test_a_list_of_runs_is_answered_with_the_command_for_its_first() -> None:
    assert f"describe --id {builders.RUN_ID} -o json" in refused(builders.encoded([RUN]))


def test_an_id_that_is_none_stays_out_of_the_command() -> None:
    assert "rm -rf" not in refused(builders.encoded([RUN | {"id": "$(rm -rf /)"}]))


# --- nothing, or no document -------------------------------------------------------------------


@pytest.mark.parametrize("evidence", [b"", b"\n\r\n ", b"\xef\xbb\xbf", b'""', b"\xff\xfe\n\x00"])
def test_nothing_is_answered_with_how_it_may_have_come(evidence: bytes) -> None:
    assert error(evidence) == (
        "$",
        "is empty",
        "`chainloop attestation push -o json > attestation.json` leaves an empty file when the "
        "push itself fails; its log says why. A violated gate is different: the push prints "
        "everything and then exits 4, so with `bash -e` the step stops there and leaves a good "
        "file, while `x=$(chainloop ... | jq ...)` hides the failure. If there is no "
        "attestation, omit the input.",
    )


@pytest.mark.parametrize("mark", [b"\x1f\x8b\x08", b"PK\x03\x04", b"\x28\xb5\x2f\xfd"])
def test_a_packed_file_is_told_for_what_it_is(mark: bytes) -> None:
    said = ("$", "is a compressed file, not JSON", "Unpack it first.")
    assert error(mark + b"{\xff\n{") == said


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
    assert error(evidence) == (
        "$",
        "contains no JSON document",
        "Chainloop's commands print one with `-o json`; log lines and tables are not enough.",
    )


# --- damage ------------------------------------------------------------------------------------

PUSH = builders.encoded(builders.cli_push(STATEMENT))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_document_that_was_cut_short_is_refused_whole(share: float) -> None:
    for document in (PUSH, builders.encoded(builders.cli_describe(STATEMENT))):
        message = refused(b"noise\n" + document[: int(len(document.rstrip()) * share)])

        assert "cut short" in message
        assert "line " in message


def test_a_pre_authentication_encoding_that_was_cut_short_is_refused() -> None:
    whole = builders.pae(STATEMENT)
    length = len(whole) - len(b"DSSEv1 28 application/vnd.in-toto+json 2950 ")
    assert error(whole[:-9]) == (
        "$",
        f"is cut short: the payload should have {length:,} bytes",
        "`chainloop workflow run describe --id RUN-ID -o payload-pae` prints all of it.",
    )


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        (
            b"DSSEv1 nonsense",
            ("$", "begins like a DSSE pre-authentication encoding, but is not one", ""),
        ),
        (
            b"DSSEv1 4 text 2 {}",
            (
                "$",
                (
                    "the envelope contains 'text', not an in-toto statement "
                    "(application/vnd.in-toto+json)"
                ),
                (
                    "`chainloop workflow run describe --id RUN-ID -o attestation` prints "
                    "one that does."
                ),
            ),
        ),
        (
            b"DSSEv1 28 application/vnd.in-toto+json 3 {} x",
            ("$", "is not JSON that can be read: something follows it (line 1, column 4)", ANEW),
        ),
        (
            b'{"attestationID": NaN, "isPushed": true}',
            ("$.attestationID", "NaN is not a JSON number", BY_HAND),
        ),
        (b'{"x": [-Infinity]}', ("$.x[0]", "-Infinity is not a JSON number", BY_HAND)),
        (
            b'{"a": {"b": 1, "c": 2, "b": 3}}',
            ("$.a.b", "the same name appears twice in one object", BY_HAND),
        ),
        (
            b'{"a": {"b": 1, "b": 3}, "a": 1}',
            ("$", "the same name appears twice in one object", BY_HAND),
        ),
        (
            b'{"a": ' + b"1" * 5000 + b"}",
            ("$", "is not JSON that can be read: a number has too many digits", ""),
        ),
        (
            b'{"a": "\x01"}',
            (
                "$",
                ("is not JSON that can be read: invalid control character at (line 1, column 8)"),
                ANEW,
            ),
        ),
        (
            b'{"a": "\xff"}',
            ("$", "is not JSON that can be read: a byte is not UTF-8 (line 1, column 8)", ANEW),
        ),
        (
            b"{\"a\": 'b'}",
            ("$", "is not JSON that can be read: expecting value (line 1, column 7)", ANEW),
        ),
        (
            b'"a',
            (
                "$",
                "contains no JSON document",
                (
                    "Chainloop's commands print one with `-o json`; log lines and tables "
                    "are not enough."
                ),
            ),
        ),
        (
            b'"a" {"b": 1',
            (
                "$",
                (
                    "is not JSON that can be read: the end of a string, "
                    "array or object is missing (line 1, column 12)"
                ),
                ANEW,
            ),
        ),
        (b"\xff\xfe{", ("$", "is not text: UTF-16 breaks off at byte 2", ANEW)),
        (
            b'{"a":' * 101 + b"1" + b"}" * 101,
            (
                "$",
                (
                    "is not JSON that can be read: it nests deeper than 100 levels (line "
                    "1, column 502)"
                ),
                ANEW,
            ),
        ),
        (
            b"[" + b"0," * 1_000_001 + b"0]",
            (
                "$",
                (
                    "is not JSON that can be read: it contains more than 1,000,000 values "
                    "(line 1, column 2000000)"
                ),
                ANEW,
            ),
        ),
        (
            b" " * (64 * 1024 * 1024 + 1),
            (
                "$",
                "is 67,108,865 bytes long; at most 67,108,864 are read",
                "Is it the attestation, and not one of its materials?",
            ),
        ),
    ],
)
def test_damage_is_told_with_its_place(evidence: bytes, said: Said) -> None:
    assert error(evidence) == said


def test_a_hundred_levels_are_not_too_deep() -> None:
    assert "cut" not in refused(b'{"a":' * 100 + b"1" + b"}" * 100)


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ("!!!", ("$.payload", "is not base64", ANEW)),
        ("e30=e30=", ("$.payload", "is not base64", ANEW)),
        ("ä", ("$.payload", "is not base64", ANEW)),
        (
            base64.b64encode(b"hello").decode(),
            (
                "$.payload",
                (
                    "is not JSON that can be read: an array or object should begin here "
                    "(line 1, column 1)"
                ),
                ANEW,
            ),
        ),
        (
            base64.b64encode(b"{}{}").decode(),
            (
                "$.payload",
                "is not JSON that can be read: something follows it (line 1, column 3)",
                ANEW,
            ),
        ),
        (
            base64.b64encode(b"{'a': 1}").decode(),
            (
                "$.payload",
                (
                    "is not JSON that can be read: expecting property name enclosed in "
                    "double quotes (line 1, column 2)"
                ),
                ANEW,
            ),
        ),
        (3, ("$.payload", "should be a string, is a number", "")),
        (
            None,
            (
                "$.payload",
                (
                    "is not JSON that can be read: an array or object should begin here "
                    "(line 1, column 1)"
                ),
                ANEW,
            ),
        ),
    ],
)
def test_a_damaged_payload_is_told_with_its_path(payload: Any, said: Said) -> None:
    document = builders.dsse(STATEMENT) | {"payload": payload}

    assert error(builders.encoded(document)) == said


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
         ("$.initializedAt: should be an RFC 3339 time such as 2026-08-21T11:02:03Z, "
         "is '2026-02-30T00:00:00Z'")),
        (PUSHED, ("initializedAt",), "9999-12-31T23:59:59-23:59",
         ("$.initializedAt: should be an RFC 3339 time such as 2026-08-21T11:02:03Z, "
         "is '9999-12-31T23:59:59-23:59'")),
        (PUSHED, ("policy_evaluations", "sbom", 0), None,
         "$.policy_evaluations.sbom[0]: is null, but a value is required"),
        (STATEMENT, ("predicate", "materials", 1), None,
         "$.predicate.materials[1]: is null, but a value is required"),
        (DESCRIBED, ("workflowRun", "id"), OTHER_ID,
         ("$.workflowRun.id: is '00000000-6a51-4a5b-9c1d-0e5f3c2b7a90', "
         "but the attestation in this document is of run '5b0a4f0e-6a51-4a5b-9c1d-0e5f3c2b7a90'"
         "\n  The document mixes two runs. Print it again.")),
        (builders.webhook(STATEMENT), ("Metadata", "WorkflowRun", "ID"), OTHER_ID,
         ("$.Metadata.WorkflowRun.ID: is '00000000-6a51-4a5b-9c1d-0e5f3c2b7a90', "
         "but the attestation in this document is of run '5b0a4f0e-6a51-4a5b-9c1d-0e5f3c2b7a90'"
         "\n  The document mixes two runs. Print it again.")),
        (builders.old_push(STATEMENT), ("status", "attestationID"), OTHER_ID,
         ("$.status.attestationID: is '00000000-6a51-4a5b-9c1d-0e5f3c2b7a90', "
         "but the attestation in this document is of run '5b0a4f0e-6a51-4a5b-9c1d-0e5f3c2b7a90'"
         "\n  The document mixes two runs. Print it again.")),
        (PUSHED, ("envVars", "A B"), {},
         "$.envVars['A B']: should be a string, is an object"),
        (PUSHED, ("envVars",), [],
         "$.envVars: should be an object, is an array"),
        (PUSHED, ("annotations",), "x",
         "$.annotations: should be an array, is a string"),
        (PUSHED, ("policy_evaluations", "sbom", 0, "violations", 0), "x",
         "$.policy_evaluations.sbom[0].violations[0]: should be an object, is a string"),
        (STATEMENT, ("predicate", "materials", 0, "annotations", "chainloop.material.name"), [],
         "$.predicate.materials[0].annotations['chainloop.material.name']: should be a string, "
         "is an array"),
        (STATEMENT, ("predicate", "policyEvaluationsCount"), 2**63,
         "$.predicate.policyEvaluationsCount: should be a whole number, is a number"),
    ],
)  # fmt: skip
def test_a_field_of_the_wrong_kind_is_told_with_its_path(
    document: Any, path: tuple[str | int, ...], value: Any, words: str
) -> None:
    assert refused(builders.encoded(placed(document, path, value))) == words


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
    said = ("$.workflowRun[1].a", "NaN is not a JSON number", BY_HAND)
    assert error(b'{"workflowRun": [null, {"a": NaN}]}') == said


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
