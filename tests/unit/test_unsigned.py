"""What a run's documents say beyond the statement that was signed."""

from dataclasses import replace
from functools import reduce

import pytest

from builders import (
    JSON,
    cli_describe,
    cli_push,
    dsse,
    encoded,
    evaluation,
    referring,
    statement,
    stored_bundle,
    stored_evaluations,
    violation,
)
from chainloop_smtp import attestation
from chainloop_smtp.attestation import find_unsigned
from chainloop_smtp.model.attested import Annotation, Attestation, Commit, Material, Violation

STATEMENT = statement(evaluations=[evaluation("licenses", material="sbom", violations=["AGPL"])])


def joined(*documents: bytes) -> Attestation:
    return reduce(attestation.join, map(attestation.parse, documents))


@pytest.mark.parametrize(
    "documents",
    [
        [stored_bundle(STATEMENT)],
        [encoded(dsse(STATEMENT))],
        [encoded(cli_describe(STATEMENT))],
        [encoded(cli_push(STATEMENT)), stored_bundle(STATEMENT)],
        [stored_bundle(STATEMENT), encoded(cli_push(STATEMENT))],
    ],
    ids=["bundle", "envelope", "described", "push and bundle", "bundle and push"],
)
def test_what_chainloop_prints_of_a_signed_run_says_no_more_than_the_statement(
    documents: list[bytes],
) -> None:
    assert find_unsigned(joined(*documents)) == ()


def test_without_an_envelope_nothing_is_signed_and_nothing_is_named() -> None:
    assert find_unsigned(joined(encoded(cli_push(STATEMENT)))) == ()


def added(material: str) -> Material:
    return Material(name=material, digest=f"sha256:{material}")


SIGNED = joined(stored_bundle(STATEMENT))


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"materials": (*SIGNED.materials, added("a"))}, ("material a",)),
        (
            {"materials": tuple(map(added, "abcde"))},
            ("material a", "material b", "material c", "2 more materials"),
        ),
        (
            {"materials": tuple(map(added, "abcd"))},
            ("material a", "material b", "material c", "1 more material"),
        ),
        ({"materials": (Material(name="a", is_set=False),)}, ()),
        (
            {"materials": tuple(replace(each, digest="sha256:x") for each in SIGNED.materials[:1])},
            (f"material {SIGNED.materials[0].name}",),
        ),
        ({"commit": Commit(sha="b" * 40)}, ("commit",)),
        ({"run": replace(SIGNED.run, id="another")}, ("run id",)),
        ({"workflow": replace(SIGNED.workflow, organization="another")}, ("organization",)),
        ({"workflow": replace(SIGNED.workflow, project="another")}, ("project",)),
        ({"workflow": replace(SIGNED.workflow, name="another")}, ("workflow",)),
        ({"annotations": (Annotation(name="a", value="b"),)}, ("annotations",)),
        ({"environment": (Annotation(name="a", value="b"),)}, ("environment variables",)),
        ({"digest": "sha256:ab", "view_url": "https://app.chainloop.dev"}, ()),
    ],
)
def test_what_another_document_adds_or_changes_is_named(
    changed: dict[str, object], named: tuple[str, ...]
) -> None:
    assert find_unsigned(replace(SIGNED, **changed)) == named  # type: ignore[arg-type]


def test_materials_that_only_a_push_names_are_not_signed() -> None:
    push = cli_push(STATEMENT)
    forged = {**push["materials"][0], "name": "forged", "hash": f"sha256:{'f' * 64}"}
    push["materials"].append(forged)
    assert find_unsigned(joined(encoded(push), stored_bundle(STATEMENT))) == ("material forged",)


def shown(*evaluations: JSON, signed: JSON = STATEMENT) -> tuple[str, ...]:
    """What is not signed of a described run with these evaluations."""
    return find_unsigned(joined(encoded(cli_describe(signed, evaluations=list(evaluations)))))


def test_findings_and_suppressed_violations_are_details_that_no_statement_has() -> None:
    suppressed = violation("GPL", is_suppressed=True)
    richer = evaluation("licenses", material="sbom", violations=["AGPL", suppressed])
    assert shown(richer) == ("details of policy evaluations",)


def test_other_policies_than_those_that_were_signed_are_named() -> None:
    signed = evaluation("licenses", material="sbom", violations=["AGPL"])
    assert shown(signed, evaluation("forged", violations=["one"])) == ("policy evaluations",)


def test_the_words_of_a_violation_are_no_detail() -> None:
    other = evaluation("licenses", material="sbom", violations=["nothing to see here", "AGPL"])

    assert shown(other) == ("policy evaluations",)
    found = replace(
        SIGNED.policies.evaluations[0],
        violations=(Violation(subject="licenses", message="harmless"),),
    )
    forged = replace(SIGNED, policies=replace(SIGNED.policies, evaluations=(found,)))
    assert find_unsigned(forged) == ("policy evaluations",)


EVALUATIONS = [evaluation("licenses", material="sbom", violations=["AGPL"])]
STORED = stored_evaluations(EVALUATIONS)
REFERRING = referring(STATEMENT, STORED)


def test_evaluations_that_a_statement_names_by_their_digest_are_covered_where_they_are_given() -> (
    None
):
    signed = joined(encoded(dsse(REFERRING)))

    assert find_unsigned(signed) == ()
    assert find_unsigned(attestation.with_evaluations(signed, STORED)) == ()


def test_evaluations_that_nobody_compared_with_the_digest_are_not_covered() -> None:
    printed = encoded(cli_describe(REFERRING, evaluations=EVALUATIONS))

    assert find_unsigned(joined(printed)) == ("policy evaluations (only their digest)",)
    assert find_unsigned(attestation.with_evaluations(joined(printed), STORED)) == ()


def test_evaluations_that_differ_from_those_with_the_digest_are_not_covered() -> None:
    forged = [*EVALUATIONS, evaluation("forged", violations=["one", "two"])]
    printed = joined(encoded(cli_describe(REFERRING, evaluations=forged)))

    assert find_unsigned(attestation.with_evaluations(printed, STORED)) == ("policy evaluations",)


def test_evaluations_that_only_another_document_names_are_not_covered() -> None:
    """A statement without an envelope may name whatever it likes."""
    silent = statement()
    forged = stored_evaluations([evaluation("forged", violations=["one"])])
    both = joined(stored_bundle(silent), encoded(referring(silent, forged)))

    assert both.policies.reference
    told = find_unsigned(attestation.with_evaluations(both, forged))
    assert told == ("policy status", "policy evaluations")


@pytest.mark.parametrize(
    "changed",
    [
        {"is_blocked": True},
        {"is_bypassed": True},
        {"has_violations": True},
        {"has_gated_violations": True},
    ],
)
def test_what_decides_the_verdict_is_signed_or_named(changed: dict[str, bool]) -> None:
    passed = joined(stored_bundle(statement()))
    forged = replace(passed, policies=replace(passed.policies, **changed))  # type: ignore[arg-type]

    assert find_unsigned(passed) == ()
    assert find_unsigned(forged) == ("policy status",)


@pytest.mark.parametrize("is_first", [True, False])
def test_a_forged_push_beside_a_bundle_decides_nothing(is_first: bool) -> None:
    """Whatever it says differs, it is overruled; what it adds is named."""
    push = cli_push(STATEMENT)
    push["workflowMeta"] |= {"Name": "forged", "Project": "forged", "Organization": "forged"}
    push["policy_evaluations"] = {"sbom": [{"name": "forged", "material_name": "sbom"}]}
    push["envVars"] = {"FORGED": "1"}
    push["annotations"] = [{"name": "forged", "value": "1"}]
    pair = [encoded(push), stored_bundle(STATEMENT)]

    both = joined(*(pair if is_first else reversed(pair)))

    assert both.workflow.name == SIGNED.workflow.name
    assert both.policies.evaluations == SIGNED.policies.evaluations
    assert find_unsigned(both) == ("annotations", "environment variables")
