"""Every shape that Chainloop prints a run in, and what a capture may do to it on the way."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import builders
from chainloop_smtp import attestation
from chainloop_smtp.errors import AttestationError
from chainloop_smtp.model.attested import Attestation, Signing

EVALUATIONS = [
    builders.evaluation("licenses", material="sbom", violations=["AGPL-3.0 is banned"]),
    builders.evaluation("freshness", material="sbom", is_gate=True),
    builders.evaluation("commit-signed", skip_reasons=["no git commit found"]),
]
STATEMENT = builders.statement(
    evaluations=EVALUATIONS, annotations={"stage": "pier"}, environment={"QUAY": "7"}
)

SHAPES: dict[str, Callable[[builders.JSON], bytes]] = {
    "in-toto statement": builders.encoded,
    "workflow run describe -o statement": lambda one: builders.encoded(builders.printed(one)),
    "workflow run describe -o payload-pae": builders.pae,
    "DSSE envelope": lambda one: builders.encoded(builders.dsse(one)),
    "Sigstore bundle": lambda one: builders.encoded(builders.bundle(one)),
    "webhook body": lambda one: builders.encoded(builders.webhook(one), indent=None),
    "workflow run describe -o json": lambda one: builders.encoded(builders.cli_describe(one)),
    "attestation of workflow run describe -o json": lambda one: builders.encoded(
        builders.cli_describe(one)["attestation"]
    ),
    "attestation push -o json (before 2025)": lambda one: builders.encoded(
        builders.oldest_push(one)
    ),
}
SHAPES_WITHOUT_COMMIT: dict[str, Callable[[builders.JSON], bytes]] = {
    "predicate": lambda one: builders.encoded(one["predicate"]),
    "attestation push -o json": lambda one: builders.encoded(builders.cli_push(one)),
}


def facts(read: Attestation) -> Attestation:
    """Without what only the wrapping knows: its name, its digest, the state of the run."""
    return replace(
        read,
        shape="",
        digest="",
        is_dry_run=None,
        run=replace(read.run, state=None),
        signing=Signing(authority=read.signing.authority),
        # Only documents with the full violations can count the suppressed ones.
        policies=replace(read.policies, suppressed_count=None),
    )


@pytest.mark.parametrize("shape", [*SHAPES, *SHAPES_WITHOUT_COMMIT])
def test_each_shape_is_recognised_and_tells_the_run(shape: str) -> None:
    read = attestation.parse((SHAPES | SHAPES_WITHOUT_COMMIT)[shape](STATEMENT))

    assert read.shape == shape
    assert read.is_recorded
    assert read.run.id == builders.RUN_ID
    assert read.workflow.name == "ship"
    assert read.workflow.organization == "lakeside"
    assert read.workflow.version is not None
    assert read.workflow.version.name == "v2.3.0"
    assert [one.name for one in read.materials] == ["image", "note", "sbom"]
    assert [one.name for one in read.policies.evaluations] == [
        "licenses",
        "commit-signed",
        "freshness",
    ]
    assert (read.commit is None) == (shape in SHAPES_WITHOUT_COMMIT)


@pytest.mark.parametrize("shape", SHAPES)
def test_each_wrapping_of_a_statement_gives_the_same_facts(shape: str) -> None:
    assert facts(attestation.parse(SHAPES[shape](STATEMENT))) == facts(
        attestation.parse(builders.encoded(STATEMENT))
    )


NAMES = st.text(min_size=1, max_size=12).map(lambda name: f"m{name}")
VALUES = st.text(max_size=20)
MATERIALS = st.lists(
    st.builds(
        builders.material,
        NAMES,
        st.sampled_from(["STRING", "ARTIFACT", "CONTAINER_IMAGE", "A_TYPE_OF_TOMORROW"]),
        VALUES,
        tag=VALUES,
        annotations=st.dictionaries(NAMES, VALUES | st.booleans(), max_size=3),
    ),
    max_size=4,
    unique_by=lambda one: one["annotations"]["chainloop.material.name"],
)
POLICIES = st.lists(
    st.builds(
        builders.evaluation,
        NAMES,
        material=st.just("") | NAMES,
        violations=st.lists(VALUES, max_size=3),
        is_gate=st.booleans(),
        skip_reasons=st.none() | st.lists(VALUES, max_size=2),
        description=VALUES,
    ),
    max_size=4,
)
STATEMENTS = st.builds(
    builders.statement,
    workflow=NAMES,
    project=NAMES,
    organization=VALUES,
    version=VALUES,
    materials=MATERIALS,
    evaluations=POLICIES,
    strategy=st.sampled_from(["ENFORCED", "ADVISORY"]),
    is_bypassed=st.booleans(),
    annotations=st.dictionaries(NAMES, VALUES, max_size=3),
    environment=st.dictionaries(NAMES, VALUES, max_size=3),
    commit=st.builds(builders.commit_subject, message=VALUES),
    has_commit=st.booleans(),
)


@settings(max_examples=40, deadline=None)
@given(STATEMENTS)
def test_every_wrapping_of_one_statement_gives_the_same_facts(statement: builders.JSON) -> None:
    bare = facts(attestation.parse(builders.encoded(statement)))

    assert {
        shape: facts(attestation.parse(wrap(statement))) for shape, wrap in SHAPES.items()
    } == dict.fromkeys(SHAPES, bare)
    pushed = attestation.parse(builders.encoded(builders.cli_push(statement)))
    assert pushed.environment == bare.environment
    assert pushed.annotations == bare.annotations
    assert pushed.policies.evaluations == bare.policies.evaluations
    assert pushed.policies.strategy == bare.policies.strategy
    assert pushed.run.started_at == bare.run.started_at
    shown = {(one.name, one.type, one.value, one.digest, one.annotations) for one in bare.materials}
    assert shown == {
        (one.name, one.type, one.value, one.digest, one.annotations) for one in pushed.materials
    }


# --- captures ----------------------------------------------------------------------------------

PUSH = builders.encoded(builders.cli_push(STATEMENT))
TEXT = PUSH.decode()

CAPTURES = {
    "with a byte order mark": b"\xef\xbb\xbf" + PUSH,
    "in UTF-16 by PowerShell": TEXT.replace("\n", "\r\n").encode("utf-16"),
    "in UTF-16, big end first": b"\xfe\xff" + TEXT.encode("utf-16-be"),
    "in UTF-16 without a mark": TEXT.encode("utf-16-le"),
    "in UTF-32": TEXT.encode("utf-32"),
    "with CRLF": PUSH.replace(b"\n", b"\r\n"),
    "indented as a whole": b"    " + PUSH.replace(b"\n", b"\n    "),
    "on one line": builders.encoded(json.loads(PUSH), indent=None),
    "behind lines that a policy printed": b'checking sbom\n[1, 2]\n{"a": 1}\nit\'s "fine\n' + PUSH,
    "behind a line that begins with a quote": b'"quay" is fine\n' + PUSH,
    "behind a line that ends in a bracket": b"[INFO] go {\n[x\n" + PUSH,
    "behind bytes that are not UTF-8": b"caf\xe9\n" + PUSH,
    "behind words on the same line": b"result: " + builders.encoded(json.loads(PUSH), indent=None),
    "before a plugin's own output": PUSH + b'[notify] done\n{"ok": true}\n',
    "behind the document of init": builders.encoded(builders.cli_push(STATEMENT, is_pushed=False))
    + PUSH,
    "behind another mark, appended by PowerShell": b"x\n" + b"\xef\xbb\xbf" + PUSH,
    "as a JSON string by toJSON": json.dumps(TEXT).encode(),
}


@pytest.mark.parametrize("capture", CAPTURES.values(), ids=CAPTURES)
def test_a_capture_reads_as_what_was_printed(capture: bytes) -> None:
    assert attestation.parse(capture) == attestation.parse(PUSH)


def test_a_bundle_in_base64_reads_as_the_bundle() -> None:
    raw = builders.stored_bundle(STATEMENT)

    wrapped = base64.encodebytes(raw)

    assert attestation.parse(wrapped) == attestation.parse(raw)


def test_url_safe_base64_without_padding_is_read() -> None:
    envelope = builders.dsse(STATEMENT)
    payload = base64.urlsafe_b64encode(base64.b64decode(envelope["payload"]) + b" ").decode()

    read = attestation.parse(builders.encoded(envelope | {"payload": payload.rstrip("=")}))

    assert read.run.id == builders.RUN_ID


def test_line_ends_changed_inside_a_pre_authentication_encoding_do_no_harm() -> None:
    payload = builders.encoded(STATEMENT)
    head = f"DSSEv1 28 application/vnd.in-toto+json {len(payload)} ".encode()

    read = attestation.parse((head + payload).replace(b"\n", b"\r\n"))

    assert read.run.id == builders.RUN_ID


def test_random_order_of_maps_shows_in_one_order() -> None:
    statement = builders.statement(
        evaluations=EVALUATIONS, annotations={"a": "1", "b": "2", "c": "3"}
    )
    document = builders.cli_push(statement)
    for material in document["materials"]:
        material["Required"] = False
    shuffled = json.loads(builders.encoded(document))
    shuffled["materials"].reverse()
    shuffled["annotations"].reverse()
    shuffled["policy_evaluations"]["sbom"].reverse()

    assert attestation.parse(builders.encoded(shuffled)) == attestation.parse(
        builders.encoded(document)
    )


# --- what is told only by some -----------------------------------------------------------------


def test_a_status_before_the_push_is_not_recorded() -> None:
    document = builders.cli_push(STATEMENT, is_pushed=False)

    read = attestation.parse(builders.encoded(document))

    assert read.shape == "attestation status -o json"
    assert not read.is_recorded
    assert read.digest == ""


@pytest.mark.parametrize(
    "document",
    [
        builders.cli_push(STATEMENT, is_dry_run=True),
        builders.cli_push(STATEMENT, is_dry_run=True) | {"dryRun": None},
        builders.statement(run_id=""),
        builders.dsse(builders.statement(run_id="")),
        builders.old_push(STATEMENT) | {"digest": ""},
        builders.oldest_push(STATEMENT) | {"digest": ""},
    ],
    ids=["push", "push without a word", "statement", "envelope", "old push", "oldest push"],
)
def test_a_dry_run_is_not_recorded(document: builders.JSON) -> None:
    assert not attestation.parse(builders.encoded(document)).is_recorded


def test_a_described_run_is_recorded_whatever_its_statement_leaves_out() -> None:
    document = builders.cli_describe(builders.statement(run_id=""))

    read = attestation.parse(builders.encoded(document))

    assert read.is_recorded
    assert read.is_dry_run is None
    assert read.run.id == builders.RUN_ID


def test_the_push_of_2024_joins_its_status_and_its_envelope() -> None:
    document = builders.old_push(STATEMENT)

    read = attestation.parse(builders.encoded(document))

    assert read.shape == "attestation push -o json (before 2025)"
    assert read.digest == document["digest"]
    assert read.is_recorded
    assert read.commit is not None
    assert [one.is_required for one in read.materials] == [True, True, True]
    assert read.runner.environment == "managed"


def test_a_status_that_does_not_say_whether_it_was_pushed_was_if_it_has_a_digest() -> None:
    document = builders.cli_push(STATEMENT)
    del document["isPushed"]

    assert attestation.parse(builders.encoded(document)).is_recorded
    assert not attestation.parse(builders.encoded(document | {"digest": ""})).is_recorded


@pytest.mark.parametrize("missing", ["Envelope", "Statement"])
def test_a_webhook_body_may_lack_all_but_one_form_of_its_statement(missing: str) -> None:
    document = builders.webhook(STATEMENT)
    data = json.loads(base64.b64decode(document["Data"]))
    for key in ("Envelope", "Statement"):
        data[key] = None
        if key == missing:
            break
    document["Data"] = base64.b64encode(json.dumps(data).encode()).decode()

    read = attestation.parse(builders.encoded(document))

    assert [one.name for one in read.materials] == ["image", "note", "sbom"]
    assert (read.commit is None) == (missing == "Statement")


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("success", "success"),
        ("initialized", "in progress"),
        ("error", "failed"),
        ("canceled", "canceled"),
        ("a word of tomorrow", None),
    ],
)
def test_the_control_planes_words_for_a_state_are_those_of_the_command(
    word: str, state: str | None
) -> None:
    read = attestation.parse(builders.encoded(builders.webhook(STATEMENT, state=word)))

    assert read.run.state == state


# --- other people's files ----------------------------------------------------------------------

SAMPLES = sorted((Path(__file__).parents[3] / "shared" / "chainloop" / "samples").glob("*/*.json"))
DESCRIBES_NO_RUN = {
    "attached-list",
    "attestation-add",
    "bundle-public-key-hint",
    "dsse-payload-not-json",
    "dsse-statement-without-predicate",
    "dsse-unknown-predicate",
    "policy-evaluations-bundle",
    "registered-list",
    "run-list",
}


def test_every_sample_at_hand_is_read_or_refused_as_it_should_be() -> None:
    told: dict[str, Any] = {}
    for path in SAMPLES:
        try:
            told[path.stem] = attestation.parse(path.read_bytes()).workflow.name
        except AttestationError:
            told[path.stem] = None

    assert {name for name, workflow in told.items() if not workflow} <= DESCRIBES_NO_RUN
    assert not DESCRIBES_NO_RUN & {name for name, workflow in told.items() if workflow}
