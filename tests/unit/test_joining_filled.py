"""Two documents of one run: what only one of them says is in what they say together."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

import builders
from chainloop_smtp import attestation
from chainloop_smtp.errors import AttestationError
from chainloop_smtp.model.attested import (
    Annotation,
    Attestation,
    Commit,
    Evaluation,
    Material,
    Policies,
    Run,
    Runner,
    RunState,
    Signing,
    Strategy,
    Version,
    Violation,
    Workflow,
)
from refusal import error_of

RUN_ID = builders.RUN_ID
DIGEST = "sha256:" + "ab" * 32
START = datetime(2026, 9, 1, 8, 3, 4, tzinfo=UTC)
END = datetime(2026, 9, 1, 8, 9, 10, tzinfo=UTC)
VIOLATED = Evaluation(name="p", violations=(Violation(message="no"),))
# Each says what the other leaves open.
ONE = Attestation(
    shape="one",
    is_recorded=True,
    digest=DIGEST.upper().replace("SHA", "sha"),
    run=Run(id=RUN_ID, started_at=START),
    workflow=Workflow(name="ship", version=Version(name="v2")),
    runner=Runner(type="GITHUB_ACTION"),
    materials=(Material(name="image", type="CONTAINER_IMAGE", value="a", digest="sha256:1"),),
    bad_material_count=1,
    annotations=(Annotation(name="a", value="1"), Annotation(name="c", value="")),
    environment=(Annotation(name="B", value="1"),),
    policies=Policies(
        evaluations=(VIOLATED,),
        evaluation_count=1,
        violation_count=1,
        strategy=Strategy.ENFORCED,
        has_violations=True,
    ),
    commit=Commit(sha="c0ffee"),
    signing=Signing(authority="fileCA", timestamp_count=2),
)
OTHER = Attestation(
    shape="other",
    is_recorded=False,
    view_url="https://app.example/1",
    run=Run(id=RUN_ID, state=RunState.SUCCESS, finished_at=END),
    workflow=Workflow(project="harbour", version=Version(is_prerelease=True, name="")),
    runner=Runner(url="https://ci.example/1"),
    materials=(
        Material(name="image", type="", tag="v2", digest="sha256:1"),
        Material(name="sbom", type="SBOM"),
    ),
    bad_material_count=3,
    annotations=(Annotation(name="b", value="2"), Annotation(name="c", value="3")),
    environment=(Annotation(name="A", value="2"),),
    policies=Policies(
        reference="sha256:2",
        evaluation_count=5,
        suppressed_count=4,
        is_bypassed=False,
        is_blocked=True,
        has_gated_violations=True,
    ),
    commit=Commit(sha="", author_name="Ada"),
    signing=Signing(bundle_digests=(DIGEST,), timestamp_count=1),
    builder="x",
)
BOTH = Attestation(
    shape="one and other",
    is_recorded=True,
    digest=ONE.digest,
    view_url="https://app.example/1",
    run=Run(id=RUN_ID, state=RunState.SUCCESS, started_at=START, finished_at=END),
    workflow=Workflow(
        name="ship", project="harbour", version=Version(name="v2", is_prerelease=True)
    ),
    runner=Runner(type="GITHUB_ACTION", url="https://ci.example/1"),
    materials=(
        Material(name="image", type="CONTAINER_IMAGE", value="a", tag="v2", digest="sha256:1"),
        Material(name="sbom", type="SBOM"),
    ),
    bad_material_count=3,
    annotations=(
        Annotation(name="a", value="1"),
        Annotation(name="b", value="2"),
        Annotation(name="c", value="3"),
    ),
    environment=(Annotation(name="A", value="2"), Annotation(name="B", value="1")),
    policies=Policies(
        evaluations=(VIOLATED,),
        reference="sha256:2",
        evaluation_count=1,
        violation_count=1,
        suppressed_count=4,
        strategy=Strategy.ENFORCED,
        is_bypassed=False,
        is_blocked=True,
        has_violations=True,
        has_gated_violations=True,
    ),
    commit=Commit(sha="c0ffee", author_name="Ada"),
    signing=Signing(
        authority="fileCA",
        timestamp_count=2,
        bundle_digests=(DIGEST,),
        is_digest_verified=True,
    ),
    builder="x",
)


def test_what_either_says_both_say() -> None:
    assert attestation.join(ONE, OTHER) == BOTH
    assert attestation.join(OTHER, ONE) == replace(BOTH, shape="other and one")


def test_of_two_words_the_first_counts() -> None:
    other = replace(
        ONE, runner=Runner(type="JENKINS_JOB"), annotations=(Annotation(name="a", value="9"),)
    )
    assert attestation.join(ONE, other).runner.type == "GITHUB_ACTION"
    assert attestation.join(other, ONE).runner.type == "JENKINS_JOB"
    assert attestation.join(other, ONE).annotations[0].value == "9"


def test_of_two_lists_of_evaluations_that_hold_as_much_the_first_counts() -> None:
    said = (replace(VIOLATED, violations=(Violation(message="yes"),)),)
    other = replace(ONE, policies=replace(ONE.policies, evaluations=said))

    assert attestation.join(ONE, other).policies.evaluations == (VIOLATED,)
    assert attestation.join(other, ONE).policies.evaluations == said


@pytest.mark.parametrize("what", ["run id", "digest", "workflow"])
def test_a_long_name_in_a_contradiction_is_cut(what: str) -> None:
    long, short = "a" * 81, "b" * 80

    def made(name: str, text: str) -> Attestation:
        bare = Attestation(shape=name, is_recorded=True)
        match what:
            case "run id":
                return replace(bare, run=Run(id=text))
            case "digest":
                return replace(bare, digest=text)
        return replace(bare, workflow=Workflow(name=text))

    for one, other in ((long, short), (short, long)):
        before, after = (
            f"'{'a' * 80}'..." if each == long else f"'{short}'" for each in (one, other)
        )
        where, why, _ = error_of(
            lambda one=one, other=other: attestation.join(made("x", one), made("y", other)),  # type: ignore[misc]
            AttestationError,
        )
        assert where == what
        assert why == f"`x` says {before}, `y` says {after}: these are not the same run"


def test_a_long_id_in_a_document_of_two_runs_is_cut() -> None:
    for outer, inner in (("a" * 81, "b" * 80), ("a" * 80, "b" * 81)):
        described = builders.cli_describe(builders.statement(run_id=inner))
        described["workflowRun"]["id"] = outer
        cut = [f"{each[:80]!r}{'...' if len(each) > 80 else ''}" for each in (outer, inner)]

        with pytest.raises(AttestationError) as caught:
            attestation.parse(json.dumps(described).encode())

        assert str(caught.value) == (
            f"$.workflowRun.id: is {cut[0]}, but the attestation in this document is of run "
            f"{cut[1]}\n  The document mixes two runs. Print it again."
        )


def test_twins_are_joined_in_their_order_where_nothing_tells_them_apart() -> None:
    unsaid = Material(name="x", type="STRING")
    said = tuple(replace(unsaid, value=value) for value in ("a", "b", "c"))
    one = replace(ONE, materials=(unsaid, unsaid, unsaid))
    other = replace(ONE, materials=said)
    assert attestation.join(one, other).materials == said


def test_a_bundle_without_anything_to_compare_ties_nothing() -> None:
    named = Attestation(shape="a", is_recorded=True, workflow=Workflow(name="one"))
    bundle = replace(
        named, workflow=Workflow(name="other"), signing=Signing(bundle_digests=(DIGEST,))
    )
    for first, second in ((named, bundle), (bundle, named)):
        with pytest.raises(AttestationError):
            attestation.join(first, second)


CLAIM, BUNDLE, RUN = ({"digest": DIGEST}, {"signing": Signing(bundle_digests=(DIGEST,))}, ONE.run)


@pytest.mark.parametrize(
    ("one", "other", "is_tied"),
    [
        ({"run": RUN}, {"run": RUN}, True),
        (CLAIM, CLAIM, True),
        (CLAIM, BUNDLE, True),
        ({"run": RUN}, {}, False),
        (CLAIM, {}, False),
        (BUNDLE, {}, False),
        (BUNDLE, BUNDLE, False),
        ({}, {}, False),
        ({"run": RUN}, CLAIM, False),
    ],
)
@pytest.mark.parametrize("is_swapped", [False, True])
def test_two_workflows_are_an_error_where_neither_run_nor_digest_ties_them(
    one: dict[str, Any], other: dict[str, Any], is_tied: bool, is_swapped: bool
) -> None:
    first, second = (
        Attestation(shape=name, is_recorded=True, workflow=Workflow(name=name), **said)
        for name, said in (("one", one), ("other", other))
    )
    if is_swapped:
        first, second = second, first

    if is_tied:
        assert attestation.join(first, second).workflow.name == first.workflow.name
    else:
        assert error_of(lambda: attestation.join(first, second), AttestationError) == (
            "workflow",
            f"`{first.shape}` says '{first.shape}', `{second.shape}` says '{second.shape}': "
            "these are not the same run",
            "Give two documents of the same run.",
        )


def test_what_only_one_says_of_the_workflow_contradicts_nothing() -> None:
    named = Attestation(shape="x", is_recorded=True, workflow=ONE.workflow)
    silent = Attestation(shape="x", is_recorded=True)

    for pair in ((named, silent), (silent, named)):
        assert attestation.join(*pair) == named


def test_of_two_envelopes_the_first_counts() -> None:
    first, second = (
        attestation.parse(json.dumps(builders.dsse(builders.statement(annotations=said))).encode())
        for said in ({"a": "1"}, {"a": "2"})
    )

    assert attestation.join(first, second) == first
    assert attestation.join(second, first) == second


def test_what_was_never_recorded_need_not_be_retrieved() -> None:
    status = Attestation(shape="x", is_recorded=False)
    lost = Attestation(shape="x", is_recorded=True, is_retrieved=False)

    assert attestation.join(status, status).is_retrieved
    assert attestation.join(status, status).run.state is None
    assert not attestation.join(status, lost).is_retrieved
    assert attestation.join(ONE, lost).is_retrieved


def test_a_bundle_without_a_claim_is_neither_the_right_one_nor_a_wrong_one() -> None:
    bundle = Attestation(shape="x", is_recorded=True, signing=Signing(bundle_digests=(DIGEST,)))

    assert attestation.join(bundle, bundle).signing.is_digest_verified is None


def test_a_document_that_names_no_run_is_of_its_attestations() -> None:
    described = builders.cli_describe(builders.statement())
    described["workflowRun"]["id"] = ""
    assert attestation.parse(json.dumps(described).encode()).run.id == RUN_ID


def test_a_described_run_is_recorded_whatever_its_statement_leaves_out() -> None:
    item = builders.cli_describe(builders.statement(run_id=""))["attestation"]
    told = attestation.parse(json.dumps(item).encode())
    assert (told.is_recorded, told.is_dry_run) == (True, None)


def test_stored_evaluations_are_found_before_another_document() -> None:
    evaluations = [builders.evaluation("p", violations=["no"])]
    stored = builders.stored_evaluations(evaluations)
    whole = attestation.parse(json.dumps(builders.referring(builders.statement(), stored)).encode())
    # More than the bundle's bytes: its digest is that of its compact form.
    told = attestation.with_evaluations(whole, stored + b'\n{"ok": true}\n')
    assert told.policies.violation_count == 1


# --- captures ----------------------------------------------------------------------------------

PUSH = json.dumps(builders.cli_push(builders.statement())).encode()


def test_a_document_behind_one_that_json_forbids_is_read() -> None:
    assert attestation.parse(b'{"a": NaN}\n' + PUSH) == attestation.parse(PUSH)


def test_lines_count_from_the_very_first() -> None:
    _, why, _ = error_of(lambda: attestation.parse(b"\n{?}"), AttestationError)
    assert why.endswith("(line 2, column 2)")


def test_a_string_in_a_string_is_no_document() -> None:
    twice = json.dumps(json.dumps(PUSH.decode())).encode()
    where, _, hint = error_of(lambda: attestation.parse(twice), AttestationError)
    assert where == "$"
    assert hint == "It is damaged or was cut short. Write it again, with nothing else in it."


def test_a_bundle_with_half_a_character_has_a_digest() -> None:
    bundle = builders.bundle(builders.statement()) | {"note": "\ud800"}
    raw = json.dumps(bundle, indent=1).encode()
    assert builders.digest_of(raw) in attestation.parse(raw).signing.bundle_digests


@pytest.mark.parametrize("number", [0, 1, 2**63 - 1, "7", "9999999999999999999"])
def test_a_whole_number_is_one(number: object) -> None:
    statement = builders.statement(predicate={"policyEvaluationsCount": number})
    told = attestation.parse(json.dumps(statement).encode()).policies.evaluation_count
    assert isinstance(told, int)
    assert told == int(str(number))


@pytest.mark.parametrize(
    ("names", "name"),
    [
        ({"workflowName": "a", "name": "b"}, "a"),
        ({"workflowName": "", "name": "b"}, "b"),
        ({"name": "b"}, "b"),
    ],
)
def test_the_workflow_has_the_newer_fields_name(names: dict[str, str], name: str) -> None:
    statement = builders.statement(predicate={"metadata": names})
    assert attestation.parse(json.dumps(statement).encode()).workflow.name == name


def test_a_reference_stays_beside_inline_evaluations() -> None:
    statement = builders.statement(
        evaluations=[builders.evaluation("p")],
        predicate={"policyEvaluationsRef": {"digest": {"sha256": "2"}}},
    )
    assert attestation.parse(json.dumps(statement).encode()).policies.reference == "sha256:2"


@pytest.mark.parametrize(
    "field", ["name", "digest", "chainloop.material.type", "chainloop.material.name"]
)
def test_a_resource_without_what_it_needs_is_counted(field: str) -> None:
    entry = builders.material("image", "CONTAINER_IMAGE", "a")
    whole = builders.statement(materials=[entry])
    assert len(attestation.parse(json.dumps(whole).encode()).materials) == 1
    (entry if field in entry else entry["annotations"]).pop(field)
    told = attestation.parse(json.dumps(builders.statement(materials=[entry])).encode())
    assert (told.materials, told.bad_material_count) == ((), 1)
