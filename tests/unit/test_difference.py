"""What differs between two runs of one workflow, and when the two are not compared."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import cli_describe, encoded, evaluation, material, statement
from chainloop_smtp import attestation
from chainloop_smtp.difference import compare, refusal
from chainloop_smtp.model.attested import (
    Attestation,
    Evaluation,
    Finding,
    FindingKind,
    Material,
    Policies,
    Run,
    Signing,
    Strategy,
    Violation,
    Workflow,
)
from chainloop_smtp.model.facts import Aspect, Changes, Outcome, Shift

WORKFLOW = Workflow(
    name="ship", id="c2a6", project="harbour", organization="lakeside", contract_revision="3"
)


def a_run(run_id: str = "2", **facts: Any) -> Attestation:
    return Attestation(
        shape="a test", is_recorded=True, run=Run(id=run_id), **({"workflow": WORKFLOW} | facts)
    )


def compared(before: Attestation, after: Attestation) -> Changes:
    return compare(before, after, before=Outcome.PASSED, after=Outcome.PASSED)


def policies(*evaluations: Evaluation, **more: Any) -> Policies:
    number = sum(len(each.active_violations) for each in evaluations)
    counts = {"evaluation_count": len(evaluations), "violation_count": number}
    return Policies(evaluations=evaluations, has_violations=bool(number), **(counts | more))


def violated(*violations: Violation, name: str = "gate", of: str = "sbom") -> Evaluation:
    return Evaluation(name=name, material=of, violations=violations)


def cve(id_: str, component: str = "openssl", **more: Any) -> Violation:
    finding = Finding(kind=FindingKind.VULNERABILITY, id=id_, component=component, **more)
    return Violation(message=id_, finding=finding)


def names(changes: Changes) -> dict[str, list[str]]:
    """Materials by what became of them."""
    return {
        "added": [each.name for each in changes.added],
        "removed": [each.name for each in changes.removed],
        "replaced": [each.after.name for each in changes.replaced],
    }


def messages(changes: Changes) -> tuple[list[str], list[str]]:
    return (
        [each.violation.message for each in changes.introduced],
        [each.violation.message for each in changes.resolved],
    )


# --- what is compared with what ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (a_run("1"), a_run("2"), ""),
        (replace(a_run("1"), is_recorded=False), a_run("2"), "the earlier run was not attested"),
        (a_run("1"), replace(a_run("2"), is_recorded=False), "this run is not attested"),
        (
            a_run("1"),
            replace(a_run("2"), is_recorded=False, materials=(Material(name="a"),)),
            "",
        ),
        (a_run("1"), a_run("1"), "both are of the same run"),
        (a_run(""), a_run(""), ""),
        (
            a_run("1", workflow=replace(WORKFLOW, project="lagoon", id="")),
            a_run("2"),
            "the earlier one is of project lagoon, this one of harbour",
        ),
        (
            a_run("1", workflow=replace(WORKFLOW, id="ffff")),
            a_run("2"),
            "the earlier one is of workflow ID ffff, this one of c2a6",
        ),
        (a_run("1", workflow=replace(WORKFLOW, name="renamed")), a_run("2"), ""),
        (
            a_run("1", workflow=Workflow(organization="lakeside")),
            a_run("2", workflow=Workflow(project="harbour")),
            "they do not say which workflow they are of",
        ),
    ],
)
def test_only_two_attested_runs_of_one_workflow_are_compared(
    before: Attestation, after: Attestation, why: str
) -> None:
    assert refusal(before, after) == why


def test_an_attestation_that_was_not_retrieved_is_not_compared() -> None:
    other = replace(a_run("2"), is_retrieved=False)

    assert refusal(other, a_run("1")) == (
        "the earlier run's attestation could not be retrieved from Chainloop"
    )
    assert (
        refusal(a_run("1"), other) == "this run's attestation could not be retrieved from Chainloop"
    )


# --- materials ---------------------------------------------------------------------------------


def test_materials_are_the_same_by_name_and_changed_by_digest() -> None:
    before = a_run(
        "1",
        materials=(
            Material(name="image", value="harbour", digest="sha256:aa"),
            Material(name="sbom", value="old.json", digest="sha256:bb"),
            Material(name="gone", digest="sha256:cc"),
            Material(name="wanted", is_set=False),
        ),
    )
    after = a_run(
        "2",
        materials=(
            Material(name="image", value="harbour", digest="sha256:ff"),
            Material(name="sbom", value="new.json", digest="sha256:bb"),
            Material(name="wanted", digest="sha256:dd"),
        ),
    )

    assert names(compared(before, after)) == {
        "added": ["wanted"],
        "removed": ["gone"],
        "replaced": ["image"],
    }


def test_a_material_without_a_digest_is_what_it_says() -> None:
    before = a_run("1", materials=(Material(name="a", value="1"), Material(name="b", value="1")))
    after = a_run("2", materials=(Material(name="a", value="1"), Material(name="b", value="2")))

    assert names(compared(before, after))["replaced"] == ["b"]


def test_materials_that_share_a_name_are_paired_by_content_first() -> None:
    one, two, three = (Material(name="log", digest=f"sha256:{each}") for each in "123")

    changes = compared(a_run("1", materials=(one, two)), a_run("2", materials=(three, one, two)))

    assert changes.added == (three,)
    assert not changes.removed
    assert not changes.replaced


def test_a_name_that_chainloop_made_up_from_the_clock_is_no_name() -> None:
    def made_up(clock: int, value: str, digest: str) -> Material:
        return Material(name=f"material-{clock}", type="ARTIFACT", value=value, digest=digest)

    before = a_run(
        "1",
        materials=(
            made_up(1757000000000000001, "app.bin", "sha256:aa"),
            made_up(1757000000000000002, "lib.bin", "sha256:bb"),
            made_up(1757000000000000003, "old.bin", "sha256:cc"),
        ),
        policies=policies(violated(cve("CVE-1"), of="material-1757000000000000001")),
    )
    after = a_run(
        "2",
        materials=(
            made_up(1758000000000000001, "lib.bin", "sha256:ff"),
            made_up(1758000000000000002, "app.bin", "sha256:aa"),
        ),
        policies=policies(violated(cve("CVE-1"), of="material-1758000000000000002")),
    )
    changes = compared(before, after)

    assert names(changes) == {
        "added": [],
        "removed": ["material-1757000000000000003"],
        "replaced": ["material-1758000000000000001"],
    }
    assert messages(changes) == ([], [])


# --- violations --------------------------------------------------------------------------------


def test_violations_are_new_or_resolved_by_policy_material_and_finding() -> None:
    before = a_run("1", policies=policies(violated(cve("CVE-1"), cve("CVE-2"))))
    after = a_run("2", policies=policies(violated(cve("CVE-2"), cve("CVE-3"))))
    changes = compared(before, after)

    assert messages(changes) == (["CVE-3"], ["CVE-1"])
    assert changes.violation_count is None
    (breach,) = changes.introduced
    assert (breach.policy, breach.material, breach.is_gate) == ("gate", "sbom", False)


@pytest.mark.parametrize(
    ("before", "after", "is_same"),
    [
        (cve("CVE-1"), cve("CVE-1"), True),
        (cve("CVE-1", component_version="1"), cve("CVE-1", component_version="2"), True),
        (cve("CVE-1"), cve("CVE-1", "zlib"), False),
        (cve("CVE-1", location="a.c:12"), cve("CVE-1", location="a.c:14"), True),
        (cve("CVE-1", location="a.c:12"), cve("CVE-1", location="b.c:12"), False),
        (cve("CVE-1", location="a:b"), cve("CVE-1", location="a:c"), False),
        # Colons may stand before the line's.
        (cve("CVE-1", location="C:\\a.c:12"), cve("CVE-1", location="C:\\a.c:14"), True),
        (cve("CVE-1", location="C:\\a.c:12"), cve("CVE-1", location="C:\\b.c:12"), False),
        (Violation(message="no  licence\n"), Violation(message="no licence"), True),
        (Violation(message="no licence"), Violation(message="no author"), False),
        # One document has the findings, the other has the messages made of them.
        (Violation(message="CVE-1"), cve("CVE-1"), True),
        (cve("CVE-1"), Violation(message="CVE-1"), True),
        (Violation(message="CVE-1"), cve("CVE-2"), False),
        # A finding that has no id is known by its message.
        (cve("", location="a.c:12"), cve("", location="b.c:12"), True),
    ],
)
def test_a_violation_is_the_same_when_nobody_did_anything(
    before: Violation, after: Violation, is_same: bool
) -> None:
    changes = compared(
        a_run("1", policies=policies(violated(before))),
        a_run("2", policies=policies(violated(after))),
    )

    assert changes.is_empty is is_same
    assert bool(changes.introduced) is bool(changes.resolved) is not is_same


def test_the_same_finding_in_another_policy_or_material_is_another_violation() -> None:
    before = policies(violated(cve("CVE-1")))
    for after in (violated(cve("CVE-1"), name="other"), violated(cve("CVE-1"), of="image")):
        changes = compared(a_run("1", policies=before), a_run("2", policies=policies(after)))

        assert messages(changes) == (["CVE-1"], ["CVE-1"])


def test_violations_that_are_alike_are_counted() -> None:
    before = a_run("1", policies=policies(violated(cve("CVE-1"))))
    after = a_run("2", policies=policies(violated(cve("CVE-1"), cve("CVE-1"), cve("CVE-1"))))

    assert messages(compared(before, after)) == (["CVE-1", "CVE-1"], [])
    assert messages(compared(after, before)) == ([], ["CVE-1", "CVE-1"])


def test_a_suppressed_violation_is_none() -> None:
    suppressed = replace(cve("CVE-1"), is_suppressed=True)
    before = a_run("1", policies=policies(violated(suppressed)))
    after = a_run("2", policies=policies(violated(cve("CVE-1"))))

    assert messages(compared(before, after)) == (["CVE-1"], [])


def test_violations_keep_the_order_of_their_attestation() -> None:
    plain = [Violation(message=f"plain {each}") for each in "ab"]
    after = a_run("2", policies=policies(violated(plain[0], cve("CVE-1"), plain[1], cve("CVE-2"))))

    introduced, _ = messages(compared(a_run("1", policies=policies(violated())), after))

    assert introduced == ["plain a", "CVE-1", "plain b", "CVE-2"]


@pytest.mark.parametrize(
    ("untold", "count", "is_known"),
    [
        (Policies(violation_count=2, evaluation_count=3, reference="sha256:aa"), "2", False),
        (Policies(has_violations=True, reference="sha256:aa"), "", False),
        (Policies(reference="sha256:aa"), "", False),
        (replace(policies(violated()), has_violations=True), "", False),
        (Policies(evaluation_count=3, reference="sha256:aa"), "0", True),
        (Policies(), "0", True),
    ],
    ids=[
        "counted",
        "told of",
        "not even counted",
        "told of beside others",
        "counted and none",
        "no policies",
    ],
)
def test_violations_that_are_not_at_hand_are_not_called_new_or_resolved(
    untold: Policies, count: str, is_known: bool
) -> None:
    there = a_run("2", policies=policies(violated(cve("CVE-1"))))

    for before, after in (
        (a_run("1", policies=untold), there),
        (there, a_run("1", policies=untold)),
    ):
        changes = compared(before, after)
        assert changes.are_violations_known is is_known
        assert bool(changes.introduced or changes.resolved) is is_known
        told = changes.violation_count
        assert (told and {told.before, told.after}) == ({count, "1"} if count else None)
        assert Aspect.VIOLATION_COUNT not in changes.unchanged


def test_that_nothing_changed_is_said_only_where_the_violations_are_known() -> None:
    counted = Policies(violation_count=1, evaluation_count=3, reference="sha256:aa")
    uncounted = Policies(reference="sha256:aa")

    for policies_, aspects in (
        (counted, (Aspect.VIOLATION_COUNT, Aspect.CONTRACT, Aspect.OUTCOME)),
        (uncounted, (Aspect.CONTRACT, Aspect.OUTCOME)),
    ):
        changes = compared(a_run("1", policies=policies_), a_run("2", policies=policies_))
        assert not changes.is_empty
        assert changes.unchanged == aspects


# --- the rest ----------------------------------------------------------------------------------


def test_contract_strategy_signer_and_outcome_are_told_before_and_after() -> None:
    before = a_run(
        "1",
        workflow=replace(WORKFLOW, contract_name="release"),
        policies=Policies(strategy=Strategy.ADVISORY),
        signing=Signing(key_hint="old-key"),
    )
    after = a_run(
        "2",
        workflow=replace(WORKFLOW, contract_name="release", contract_revision="4"),
        policies=Policies(strategy=Strategy.ENFORCED),
        signing=Signing(certificate="CN=new", certificate_issuer="CN=authority"),
    )
    changes = compare(before, after, before=Outcome.PASSED, after=Outcome.BLOCKED)

    assert changes.contract == Shift(before="release revision 3", after="release revision 4")
    assert changes.strategy == Shift(before="ADVISORY", after="ENFORCED")
    assert changes.signer == Shift(
        before="key old-key", after="certificate CN=new, issued by CN=authority"
    )
    assert changes.outcome == Shift(before="passed", after="blocked")
    assert not changes.is_empty


@pytest.mark.parametrize(
    ("before", "after", "is_changed"),
    [
        (Signing(), Signing(key_hint="a"), False),
        (Signing(authority="fileCA"), Signing(key_hint="a", authority="fileCA"), False),
        (Signing(authority="fileCA"), Signing(key_hint="a", authority="ejbca"), True),
        (
            Signing(certificate="CN=1", certificate_sans=("https://ci", "a@b")),
            Signing(certificate="CN=2", certificate_sans=("https://ci", "a@b")),
            False,
        ),
        (Signing(certificate="CN=1"), Signing(certificate="CN=2"), True),
    ],
)
def test_a_signer_changed_only_where_both_documents_name_one(
    before: Signing, after: Signing, is_changed: bool
) -> None:
    changes = compared(a_run("1", signing=before), a_run("2", signing=after))

    assert (changes.signer is not None) is is_changed


def test_what_one_of_the_two_does_not_say_has_not_changed() -> None:
    said = a_run(
        "1", policies=Policies(strategy=Strategy.ENFORCED), signing=Signing(certificate="CN=1")
    )
    silent = a_run("2", workflow=Workflow(name="ship"))

    assert compared(said, silent).is_empty
    assert compared(silent, said).is_empty


# --- real documents ----------------------------------------------------------------------------


def test_a_statement_and_a_description_of_the_same_facts_are_the_same() -> None:
    evaluations = [evaluation("licenses", material="sbom", violations=["AGPL", "GPL"])]
    made = statement(evaluations=evaluations)
    before = attestation.parse(encoded(made))
    after = attestation.parse(encoded(cli_describe(statement(evaluations=evaluations, run_id=""))))

    assert refusal(before, replace(after, run=Run(id="another"))) == ""
    assert compared(before, after).is_empty


def test_two_documents_of_chainloop_are_compared() -> None:
    before = attestation.parse(
        encoded(
            statement(
                materials=[material("sbom"), material("old")],
                evaluations=[evaluation("licenses", material="sbom", violations=["AGPL"])],
            )
        )
    )
    after = attestation.parse(
        encoded(statement(materials=[material("sbom"), material("new")], strategy="ENFORCED"))
    )
    changes = compared(before, after)

    assert names(changes) == {"added": ["new"], "removed": ["old"], "replaced": []}
    assert messages(changes) == ([], ["AGPL"])
    assert changes.strategy == Shift(before="ADVISORY", after="ENFORCED")


MATERIALS = st.lists(
    st.builds(
        Material,
        name=st.sampled_from(["a", "b", "material-1757000000000000001"]),
        value=st.sampled_from(["x", "y"]),
        digest=st.sampled_from(["", "sha256:1", "sha256:2"]),
    ),
    max_size=6,
).map(tuple)
BREACHES = st.lists(
    st.one_of(
        st.builds(cve, st.sampled_from(["CVE-1", "CVE-2", ""]), st.sampled_from(["a", "b"])),
        st.builds(Violation, message=st.sampled_from(["CVE-1", "x"])),
    ),
    max_size=6,
).map(lambda found: policies(violated(*found)))
RUNS = st.builds(a_run, st.just("1"), materials=MATERIALS, policies=BREACHES)


@given(RUNS)
def test_nothing_differs_from_itself(run: Attestation) -> None:
    assert compared(run, run).is_empty


@given(RUNS, RUNS)
def test_the_other_way_round_what_was_new_is_resolved(one: Attestation, other: Attestation) -> None:
    there, back = compared(one, other), compared(other, one)

    assert sorted(map(str, there.introduced)) == sorted(map(str, back.resolved))
    assert len(there.added) == len(back.removed)
    assert len(there.replaced) == len(back.replaced)
    assert len(there.added) - len(there.removed) == len(other.materials) - len(one.materials)
    assert len(there.introduced) - len(there.resolved) == (
        other.policies.violation_count - one.policies.violation_count
    )
