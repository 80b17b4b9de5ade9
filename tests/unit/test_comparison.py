"""What the mail says of what changed: three lines, then each change, in the reader's words."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from chainloop_smtp.message.budget import FULL, Limits
from chainloop_smtp.message.comparison import Changed, comparison
from chainloop_smtp.message.rows import Fact, Section
from chainloop_smtp.message.selection import Selection
from chainloop_smtp.model.attested import (
    Attestation,
    Evaluation,
    Material,
    Policies,
    Run,
    Violation,
)
from chainloop_smtp.model.facts import Aspect, Breach, Changes, Job, Replacement, Shift
from states import facts_of

PREVIOUS = Attestation(
    shape="a test",
    is_recorded=True,
    digest="sha256:aa",
    view_url="https://app.example.test/1",
    run=Run(id="1b9d", finished_at=datetime(2026, 3, 11, 9, 12, tzinfo=UTC)),
)
NEW = Breach(
    policy="licenses", material="", is_gate=True, violation=Violation(message="AGPL\nnot allowed")
)


def compared(changes: Changes, limits: Limits = FULL) -> Changed:
    return comparison(changes, Selection(facts_of(None, Job()), limits, "see it"))


@pytest.mark.parametrize(
    ("run", "since"),
    [
        (PREVIOUS.run, "11 Mar 2026, 09:12:00 UTC"),
        (Run(started_at=PREVIOUS.run.finished_at), "11 Mar 2026, 09:12:00 UTC"),
        (Run(id="1b9d"), "run 1b9d"),
        (Run(), "the earlier run"),
    ],
)
def test_it_says_since_when(run: Run, since: str) -> None:
    changes = Changes(previous=replace(PREVIOUS, run=run))

    assert compared(changes).note == f"Nothing changed since {since}."
    assert compared(replace(changes, introduced=(NEW,))).title == f"Changed since {since}"


@pytest.mark.parametrize(
    ("changes", "violations", "materials", "run"),
    [
        (
            Changes(
                previous=PREVIOUS,
                introduced=(NEW,) * 2,
                resolved=(NEW,),
                unchanged=(Aspect.SIGNER, Aspect.OUTCOME),
            ),
            "2 new, 1 resolved",
            "as before",
            "outcome and signer as before",
        ),
        (
            Changes(
                previous=PREVIOUS,
                added=(Material(name="a"),),
                removed=(Material(name="b"),) * 1200,
                replaced=(Replacement(before=Material(name="c"), after=Material(name="c")),),
                unchanged=tuple(Aspect),
            ),
            "as before",
            "1 added, 1,200 removed, 1 changed",
            "outcome, contract, strategy and signer as before",
        ),
        (
            Changes(
                previous=PREVIOUS,
                are_violations_known=False,
                violation_count=Shift(before="1", after="3"),
                signer=Shift(before="a", after="b"),
                outcome=Shift(before="passed", after="blocked"),
            ),
            "3 (before: 1)",
            "as before",
            "outcome, signer changed",
        ),
        (
            Changes(
                previous=PREVIOUS,
                are_violations_known=False,
                strategy=Shift(before="ADVISORY", after="ENFORCED"),
                unchanged=(Aspect.VIOLATION_COUNT,),
            ),
            "as many as before; which ones is not known",
            "as before",
            "strategy changed",
        ),
        (
            Changes(previous=PREVIOUS, are_violations_known=False, unchanged=(Aspect.OUTCOME,)),
            "not known, because one of the two runs does not count them",
            "as before",
            "outcome as before",
        ),
    ],
    ids=["violations", "materials", "only counted", "strategy", "not counted"],
)
def test_three_lines_say_what_to_look_at(
    changes: Changes, violations: str, materials: str, run: str
) -> None:
    assert compared(changes).summary == (
        Fact("Violations", violations),
        Fact("Materials", materials),
        Fact("Run", run),
    )


def test_each_change_has_a_row() -> None:
    changes = Changes(
        previous=PREVIOUS,
        added=(Material(name="sbom", type="SBOM", value="a.json", digest="sha256:01"),),
        removed=(Material(name="image", value="registry/x", tag="1"),),
        replaced=(
            Replacement(
                before=Material(name="jar", digest="sha256:02"),
                after=Material(name="jar", digest="sha256:03"),
            ),
            Replacement(
                before=Material(name="version", value="1"),
                after=Material(name="version", value="2"),
            ),
            # A digest on one side only says nothing.
            Replacement(
                before=Material(name="signed", value="a"),
                after=Material(name="signed", value="b", digest="sha256:04"),
            ),
        ),
        introduced=(NEW,),
        resolved=(replace(NEW, material="sbom", is_gate=False),),
        contract=Shift(before="release revision 3", after="release revision 4"),
        outcome=Shift(before="a", after="b"),
        strategy=Shift(before="c", after="d"),
        signer=Shift(before="e", after="f"),
    )

    assert compared(changes).details == Section(
        "Changed since 11 Mar 2026, 09:12:00 UTC",
        (
            Fact("Outcome", "b (before: a)"),
            Fact("Contract", "release revision 4 (before: release revision 3)"),
            Fact("Strategy", "d (before: c)"),
            Fact("Signer", "f (before: e)"),
            Fact("New violation", "licenses on the attestation (gate): AGPL"),
            Fact("Resolved", "licenses on sbom: AGPL"),
            Fact("Added", "sbom (SBOM)\na.json\nsha256:01"),
            Fact("Removed", "image\nregistry/x:1"),
            Fact(
                "Changed", "jar, before:\nsha256:02\nversion: 2 (before: 1)\nsigned: b (before: a)"
            ),
            Fact("Compared with", "1b9d", "code"),
            Fact("Its attestation", "sha256:aa", "code", "https://app.example.test/1"),
        ),
    )


@pytest.mark.parametrize(("url", "link"), [("https://a.test/1", "https://a.test/1"), ("x:1", "")])
def test_only_a_web_page_is_linked(url: str, link: str) -> None:
    changes = Changes(previous=replace(PREVIOUS, view_url=url), introduced=(NEW,))

    assert compared(changes).details.rows[-1].url == link


def test_a_finding_that_is_new_on_three_materials_is_one() -> None:
    changes = Changes(
        previous=PREVIOUS,
        introduced=tuple(
            replace(NEW, material=f"cli-{platform}", violation=Violation(message=message))
            for platform in ("amd64", "arm64")
            for message in ("AGPL", "GPL", "EULA")
        ),
        resolved=(replace(NEW, material="a"), replace(NEW, material="b")),
    )
    where = "licenses on cli (-amd64, -arm64) (gate):"

    assert compared(changes).summary[0] == Fact("Violations", "6 new, 2 resolved")
    assert compared(changes).details.rows[:2] == (
        Fact("New violation", f"{where}\nAGPL\nGPL\nEULA"),
        Fact("Resolved", "licenses on a, b (gate): AGPL"),
    )
    assert compared(changes, replace(FULL, messages=1)).details.rows[:2] == (
        Fact("New violation", f"{where} AGPL"),
        Fact("New violation", "licenses: and 2 more findings: see it"),
    )


@pytest.mark.parametrize(
    ("is_whole", "says"),
    [
        (True, "licenses (gate): all 4 findings, see above"),
        (False, "licenses on a, b (gate):\n0\n1\n2\n3"),
    ],
)
def test_a_policy_of_which_all_is_new_is_not_listed_twice(is_whole: bool, says: str) -> None:
    violations = tuple(Violation(message=str(each)) for each in range(4))
    old = () if is_whole else (Violation(message="old"),)
    evaluations = tuple(
        Evaluation(name="licenses", material=name, is_gate=True, violations=violations + old)
        for name in ("a", "b")
    )
    breaches = tuple(
        replace(NEW, material=name, violation=each) for name in ("a", "b") for each in violations
    )
    attested = replace(PREVIOUS, policies=Policies(evaluations=evaluations))

    def row(**changed: tuple[Breach, ...]) -> Fact:
        changes = Changes(previous=PREVIOUS, **changed)  # type: ignore[arg-type]  # by its name
        return comparison(changes, Selection(facts_of(attested, Job()))).details.rows[0]

    assert row(introduced=breaches) == Fact("New violation", says)
    # What is resolved stands nowhere else.
    assert row(resolved=breaches) == Fact("Resolved", "licenses on a, b (gate):\n0\n1\n2\n3")


def test_materials_that_changed_are_cut_as_others_are() -> None:
    replaced = tuple(
        Replacement(before=Material(name=each, value="1"), after=Material(name=each, value="2"))
        for each in "abc"
    )
    changes = Changes(previous=PREVIOUS, replaced=replaced)

    assert compared(changes, replace(FULL, materials=2)).details.rows[0] == Fact(
        "Changed", "a: 2 (before: 1)\nb: 2 (before: 1)\nand 1 more changed material: see it"
    )


def test_changes_are_cut_as_materials_are() -> None:
    changes = Changes(
        previous=replace(PREVIOUS, run=Run(id="1b9d"), digest="", view_url=""),
        added=tuple(Material(name=each) for each in "abcde"),
        unchanged=(Aspect.OUTCOME,),
    )

    assert compared(changes, replace(FULL, materials=4)) == Changed(
        "Changed since run 1b9d",
        "",
        (
            Fact("Violations", "as before"),
            Fact("Materials", "5 added"),
            Fact("Run", "outcome as before"),
        ),
        Section(
            "Changed since run 1b9d",
            tuple(Fact("Added", each) for each in "abcd"),
            "and 2 more: see it",
        ),
    )
