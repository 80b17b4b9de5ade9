"""What the limits leave of each kind, how it is marked and sorted, and what is said of the rest."""

from dataclasses import replace

import pytest

from chainloop_smtp.message.budget import FULL, Limits
from chainloop_smtp.message.rows import Fact, Section
from chainloop_smtp.message.selection import (
    Attention,
    Evaluated,
    Place,
    Selection,
    Shown,
    Suppressed,
)
from chainloop_smtp.message.wording import Tone
from chainloop_smtp.model.attested import (
    Annotation,
    Attestation,
    Evaluation,
    Finding,
    FindingKind,
    Material,
    Policies,
    Strategy,
    Violation,
)
from chainloop_smtp.model.facts import Job
from states import facts_of

GATE = Evaluation(
    name="gate",
    material="image",
    is_gate=True,
    description="# No known\nvulnerability",
    violations=(
        Violation(message="one\ntwo\nthree"),
        Violation(message="suppressed", is_suppressed=True),
        Violation(message="four"),
        Violation(message="five"),
    ),
)
ADVICE = Evaluation(name="advice", violations=(Violation(message="old"),))
LICENSES = replace(ADVICE, name="licenses", material="sbom")
SKIPPED = Evaluation(name="vex", is_skipped=True, skip_reasons=("no vex", "no statements"))
PASSED = tuple(Evaluation(name=each, material="sbom") for each in ("a", "b", "c"))
ATTESTATION = Attestation(
    shape="a test",
    is_recorded=True,
    policies=Policies(evaluations=(ADVICE, GATE, LICENSES, SKIPPED, *PASSED)),
    materials=(
        Material(name="plain", type="STRING", value="x", tag="1", digest="sha256:aa"),
        Material(name="log", is_set=False),
        Material(name="sbom", is_output=True),
        Material(name="image"),
        Material(name="vex", is_set=False, is_required=True),
        Material(
            name="jar",
            annotations=(Annotation(name="k", value=""), Annotation(name="l", value="v")),
        ),
    ),
)
TIGHT = replace(
    FULL,
    annotations=1,
    passed=2,
    materials=4,
    messages=1,
    lines=1,
    advisory=1,
    commit_message=5,
    gated=0,
    rows=2,
)


def selection(
    limits: Limits = FULL, attestation: Attestation = ATTESTATION, elsewhere: str = "see it"
) -> Selection:
    return Selection(facts_of(attestation, Job()), limits, elsewhere)


def test_without_limits_everything_is_shown() -> None:
    whole = selection()

    assert whole.note == whole.attention_more() == whole.materials_more() == ""
    assert whole.evaluations_more() == ()
    assert whole.row_count == 6 + 7 + 6
    gate = Attention(
        name="gate",
        is_gate=True,
        where="material image",
        description="No known",
        summary="3 violations",
        places=(Place("", (("one", "two", "three"), ("four",), ("five",))),),
        more="",
        standing="Gate",
        tone=Tone.DANGER,
        glyph="✕",
    )
    advice = Attention(
        name="advice",
        is_gate=False,
        where="the attestation",
        description="",
        summary="",
        places=(Place("", (("old",),)),),
        more="",
        standing="Advisory",
        tone=Tone.WARN,
        glyph="!",
    )
    licenses = advice._replace(name="licenses", where="material sbom")
    assert whole.attention() == (gate, advice, licenses)
    assert whole.attention()[0].findings == gate.places[0].findings
    assert whole.suppressed() == (
        Suppressed("gate", "material image", (Place("", (("suppressed",),)),), ""),
    )
    assert whole.evaluations() == (
        Evaluated("gate", "image", Tone.DANGER, "✕", "Violated, gate", ()),
        Evaluated("advice", "attestation", Tone.WARN, "!", "Violated", ()),
        Evaluated("licenses", "sbom", Tone.WARN, "!", "Violated", ()),
        Evaluated("vex", "attestation", Tone.IDLE, "–", "Skipped", ("no vex", "no statements")),
        *(Evaluated(each, "sbom", Tone.OK, "✓", "Passed", ()) for each in ("a", "b", "c")),
    )
    none = Shown("vex", "", "", "", False, "missing", Tone.WARN, "!", (), "")
    assert whole.materials() == (
        none,
        Shown("plain", "STRING", "x:1", "sha256:aa", False, "", Tone.IDLE, "", (), ""),
        none._replace(name="log", mark="not added", tone=Tone.IDLE, glyph="–"),
        none._replace(name="sbom", is_output=True, mark="violation"),
        none._replace(name="image", mark="gate violated", tone=Tone.DANGER, glyph="✕"),
        Shown(
            "jar",
            "",
            "",
            "",
            False,
            "",
            Tone.IDLE,
            "",
            (Fact("k", "not set"), Fact("l", "v")),
            "",
        ),
    )


def test_what_the_limits_leave_out_is_counted() -> None:
    cut = selection(TIGHT)

    assert cut.note == " Not everything fits in here: see it."
    assert [each.name for each in cut.attention()] == ["advice"]
    assert cut.attention_more() == "and 2 more violated policies: see it"
    assert [each.name for each in cut.evaluations()] == ["gate", "advice"]
    assert cut.evaluations_more() == (
        "and 2 more evaluations: see it",
        "3 passed: a, b and 1 more: see it",
    )
    # Missing ones first, then those with a mark, then outputs.
    assert [each.name for each in cut.materials()] == ["vex", "sbom", "log", "image"]
    assert cut.materials_more() == "and 2 more materials: see it"
    assert cut.suppressed_more() == ""
    assert selection(replace(FULL, advisory=0)).suppressed_more() == (
        "and 1 more policy with suppressed findings: see it"
    )
    assert cut.row_count == 2 + 2 + 4


@pytest.mark.parametrize(
    ("limits", "findings", "more"),
    [
        (replace(FULL, messages=1), (("one", "two", "three"),), "and 2 more findings: see it"),
        (
            replace(FULL, messages=2, lines=2),
            (("one", "two", "and 1 more line: see it"), ("four",)),
            "and 1 more finding: see it",
        ),
        (
            replace(FULL, messages=3, lines=1),
            (("one", "and 2 more lines: see it"), ("four",), ("five",)),
            "",
        ),
    ],
)
def test_findings_and_their_lines_are_counted(
    limits: Limits, findings: tuple[tuple[str, ...], ...], more: str
) -> None:
    first = selection(limits).attention()[0]
    assert (first.findings, first.more) == (findings, more)
    # Two more findings, and one that is suppressed.
    assert selection(limits).row_count == len(findings) + 3 + 7 + 6


@pytest.mark.parametrize(
    ("limits", "lines"),
    [
        (replace(FULL, passed=3), ("3 passed: a, b, c",)),
        (replace(FULL, passed=0), ("3 passed:  and 3 more: see it",)),
        (replace(FULL, rows=6), ("and 1 more evaluation: see it",)),
        (replace(FULL, rows=7), ()),
    ],
)
def test_passed_policies_have_a_line(limits: Limits, lines: tuple[str, ...]) -> None:
    assert selection(limits).evaluations_more() == lines


def test_other_kinds_are_cut_alike() -> None:
    cut = selection(TIGHT, elsewhere="")

    assert cut.note == " Not everything fits in here."
    assert cut.attention_more() == "and 2 more violated policies"
    table = (Fact("a", "1"), Fact("b", "2"))
    assert cut.section("T", table, 1) == Section("T", table[:1], "and 1 more")
    assert cut.section("T", table, 2) == cut.section("T", table, None) == Section("T", table)
    assert cut.commit(Fact("Message", "12345")) == Fact("Message", "12345")
    assert cut.commit(Fact("Message", "123456")) == Fact("Message", "12345... (cut)")
    assert cut.commit(Fact("Commit", "123456")) == Fact("Commit", "123456")
    assert selection().commit(Fact("Message", "123456")) == Fact("Message", "123456")
    jar = replace(ATTESTATION, materials=ATTESTATION.materials[5:])
    (shown,) = selection(TIGHT, jar).materials()
    assert (shown.annotations, shown.more) == (
        (Fact("k", "not set"),),
        "and 1 more annotation: see it",
    )
    (skipped,) = selection(
        TIGHT, replace(jar, policies=Policies(evaluations=(SKIPPED,)))
    ).evaluations()
    assert skipped.reasons == ("no vex", "and 1 more line: see it")


def test_under_an_enforced_strategy_every_violation_stops_the_run() -> None:
    policies = replace(ATTESTATION.policies, strategy=Strategy.ENFORCED)
    enforced = selection(attestation=replace(ATTESTATION, policies=policies))

    assert [(each.standing, each.tone, each.glyph) for each in enforced.attention()] == [
        ("Gate", Tone.DANGER, "✕"),
        *[("Enforced", Tone.DANGER, "✕")] * 2,
    ]
    assert [(each.tone, each.word) for each in enforced.evaluations()[:2]] == [
        (Tone.DANGER, "Violated, gate"),
        (Tone.DANGER, "Violated"),
    ]


TWINS = ("cli", "cli-amd64", "cli-arm64")


def on_each(
    name: str, materials: tuple[str, ...], *messages: str, is_suppressed: bool = False
) -> Attestation:
    """The policy is violated on each of these materials, and passed on another one."""
    violations = tuple(Violation(message=each, is_suppressed=is_suppressed) for each in messages)
    return replace(
        ATTESTATION,
        materials=tuple(Material(name=each, type="SBOM") for each in (*materials, "other")),
        policies=Policies(
            evaluations=(
                *(
                    Evaluation(name=name, material=each, violations=violations)
                    for each in materials
                ),
                Evaluation(name=name, material="other"),
            )
        ),
    )


def test_a_policy_has_one_block_and_a_finding_one_line_however_many_materials_have_it() -> None:
    whole = selection(attestation=on_each("licenses", TWINS, "AGPL", "GPL"))

    (block,) = whole.attention()
    assert block.where == "3 of 4 materials"
    assert block.summary == "6 violations, 2 different"
    assert block.places == (Place("cli (also -amd64, -arm64)", (("AGPL",), ("GPL",))),)
    assert [(each.material, each.word) for each in whole.evaluations()] == [
        ("3: cli (also -amd64, -arm64)", "Violated"),
        ("other", "Passed"),
    ]
    assert whole.row_count == 2 + 2 + 4
    one = selection(attestation=on_each("licenses", ("cli",), "AGPL"))
    assert [(each.where, each.summary, each.places) for each in one.attention()] == [
        ("material cli, 1 of 2 evaluated", "", (Place("", (("AGPL",),)),))
    ]


def test_findings_of_other_materials_say_which() -> None:
    attested = on_each("licenses", TWINS, "AGPL")
    first, *others = attested.policies.evaluations
    own = replace(first, violations=(*first.violations, Violation(message="EULA")))
    at_all = replace(first, material="", violations=first.violations)
    evaluations = (own, *others)

    def places(*evaluations: Evaluation, limits: Limits = FULL) -> tuple[str, list[str]]:
        policies = Policies(evaluations=evaluations)
        (block,) = selection(limits, replace(attested, policies=policies)).attention()
        return block.where, [each.where for each in block.places]

    assert places(*evaluations) == ("3 of 4 materials", ["all 3", "cli"])
    assert places(at_all, *evaluations) == ("4 of 5 subjects", ["all 4", "cli"])
    assert places(at_all, own) == ("2 of 2 subjects", ["all 2", "cli"])
    many = tuple(replace(first, material=each) for each in "abcdefg")
    assert places(*many, limits=replace(FULL, names=2)) == ("7 of 7 materials", ["a, b and 5 more"])


def test_a_policy_says_how_many_of_its_findings_are_how_severe() -> None:
    violations = tuple(
        Violation(finding=Finding(kind=FindingKind.SAST, id=f"rule-{number}", severity=severity))
        for number, severity in enumerate(("HIGH", "CRITICAL", "high", ""))
    )
    attested = replace(
        ATTESTATION, policies=Policies(evaluations=(replace(GATE, violations=violations),))
    )

    (block,) = selection(attestation=attested).attention()
    assert block.summary == "4 violations: 1 critical, 2 high"


def test_it_is_said_that_a_value_is_cut_whatever_the_limits() -> None:
    facts = facts_of(ATTESTATION, Job())

    assert Selection(facts, is_cut=True).note == " Not everything fits in here."
    assert Selection(facts).note == ""


def test_suppressed_findings_are_grouped_alike() -> None:
    (one,) = selection(attestation=on_each("vex", TWINS, "CVE-1", is_suppressed=True)).suppressed()

    assert one == Suppressed(
        "vex", "3 of 4 materials", (Place("cli (also -amd64, -arm64)", (("CVE-1",),)),), ""
    )


def test_passed_policies_are_counted_in_their_line() -> None:
    attested = on_each("licenses", TWINS)

    assert selection(replace(FULL, passed=3), attested).evaluations_more() == (
        "4 passed: licenses (4)",
    )


def test_the_size_is_the_text_and_a_hundred_characters_a_row() -> None:
    finding = Finding(kind=FindingKind.SAST, recommendation="do\nit")
    bare = replace(ATTESTATION, materials=(), policies=Policies())
    two = (Annotation(name="a", value="b"),) * 2

    def size(limits: Limits = FULL, **more: object) -> int:
        return selection(limits, replace(bare, **more)).size()  # type: ignore[arg-type]

    assert size() == 0
    # An evaluation, its violation and a line break in the message.
    policies = Policies(evaluations=(replace(ADVICE, violations=(Violation(message="1\n2"),)),))
    assert size(policies=policies) == 3 + 300
    policies = Policies(evaluations=(replace(ADVICE, violations=(Violation(finding=finding),)),))
    assert size(policies=policies) == 5 + 300
    policies = Policies(evaluations=(SKIPPED,))
    assert size(policies=policies) == 300
    assert size(TIGHT, policies=policies) == 200
    materials = (Material(name="a", annotations=two),)
    assert size(materials=materials) == 300
    assert size(TIGHT, materials=materials) == 200
    assert size(annotations=two) == size(environment=two) == 200
    assert size(replace(FULL, rows=1), annotations=two) == 100
    assert size(replace(FULL, environment=1), environment=two) == 100
