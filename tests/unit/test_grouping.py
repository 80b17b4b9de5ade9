"""Policies -> groups: what is one finding, which is the worst, and how materials are named."""

from dataclasses import replace

import pytest

import release
from chainloop_smtp.message import findings, grouping
from chainloop_smtp.message.grouping import Found, Names, folded
from chainloop_smtp.model.attested import (
    Evaluation,
    Finding,
    FindingKind,
    Material,
    Policies,
    Violation,
)


def finding(id_: str, severity: str = "", score: float | None = None) -> Violation:
    return Violation(
        message=id_,
        finding=Finding(kind=FindingKind.VULNERABILITY, id=id_, severity=severity, score=score),
    )


def found(*violations: Violation) -> list[str]:
    """The ids in their order."""
    (group,) = grouping.groups(
        Policies(evaluations=(Evaluation(name="p", material="m", violations=violations),))
    )
    return [each.violation.message for each in group.findings()]


def test_the_worst_finding_stands_first() -> None:
    assert found(
        finding("note", "NOTE"),
        finding("low", "Low"),
        finding("none"),
        finding("odd", "spicy"),
        finding("medium", "medium"),
        finding("high", "HIGH", 7.1),
        finding("higher", "HIGH", 8.9),
        finding("critical", "CRITICAL"),
        Violation(message="plain"),
    ) == ["critical", "higher", "high", "medium", "none", "odd", "plain", "low", "note"]


def test_the_words_of_every_scanner_have_their_place() -> None:
    words = ["note", "none", "negligible", "informational", "info", "low", "", "odd"]
    words += ("warning", "moderate", "medium", "error", "high", "critical")

    assert found(*(finding(each or "unsaid", each) for each in words)) == [
        "critical",
        *("error", "high"),
        *("warning", "moderate", "medium"),
        *("unsaid", "odd"),
        "low",
        *("note", "none", "negligible", "informational", "info"),
    ]


def test_gates_stand_first_then_the_policy_with_the_worst_finding() -> None:
    policies = Policies(
        evaluations=(
            Evaluation(name="a", violations=(Violation(message="plain"),)),
            Evaluation(name="passed", is_gate=True),
            Evaluation(name="b", violations=(finding("x", "low"), finding("y", "CRITICAL"))),
            Evaluation(name="c", is_gate=True, violations=(finding("z", "LOW"),)),
            Evaluation(name="a", material="m", violations=(Violation(message="plain"),)),
            # The same name: another policy, by what it says and by what it does.
            Evaluation(name="a", is_gate=True, violations=(Violation(message="plain"),)),
            Evaluation(name="b", description="other", violations=(finding("x", "high"),)),
        )
    )

    assert [
        (group.name, group.is_gate, group.description, len(group.evaluations))
        for group, _ in grouping.violated(policies)
    ] == [
        ("a", True, "", 1),
        ("c", True, "", 1),
        ("b", False, "", 1),
        ("b", False, "other", 1),
        ("a", False, "", 2),
    ]


def test_a_finding_is_one_whatever_platform_it_was_made_on() -> None:
    def licensed(name: str, package: str) -> Evaluation:
        message = f"Forbidden license AGPL-3.0-only for `{package}` ({package})"
        return Evaluation(name="p", material=name, violations=(Violation(message=message),))

    policies = Policies(
        evaluations=(
            licensed("amd64", "pkg:apk/alpine/ledgerd@1.8.2?arch=x86_64&package-id=1f"),
            licensed("arm64", "pkg:apk/alpine/ledgerd@1.8.2?arch=aarch64&package-id=2f"),
            licensed("arm64", "pkg:apk/alpine/ledgerd@1.8.2?arch=aarch64&package-id=2f"),
            licensed("other", "pkg:apk/alpine/ledgerd@1.8.3?arch=x86_64#lib"),
        )
    )
    (group,) = grouping.groups(policies)
    one, other = group.findings()

    plain = "pkg:apk/alpine/ledgerd@1.8.2"
    assert findings.lines(one.violation) == (
        f"Forbidden license AGPL-3.0-only for {plain} ({plain})",
    )
    assert (one.materials, one.number) == (("amd64", "arm64"), 3)
    # What nobody shares stays as it is.
    assert other == Found(policies.evaluations[3].violations[0], ("other",), 1)


def test_a_release_has_each_finding_once() -> None:
    groups = grouping.violated(Policies(evaluations=release.evaluations()))

    assert [(group.name, group.violation_count, len(found)) for group, found in groups] == [
        ("vulnerabilities", 6, 2),
        ("sbom-banned-licenses", 216, 23),
        ("artifact-signed", 2, 2),
        ("containers-with-sbom", 1, 1),
    ]
    (_, vulnerabilities), (_, licenses), *_ = groups
    assert grouping.severities(vulnerabilities) == {"critical": 1, "high": 1}
    assert grouping.severities(licenses) == {}
    assert [len(each.materials) for each in licenses] == [24] * 7 + [3] * 16


@pytest.mark.parametrize(
    ("names", "items"),
    [
        ((), []),
        (("a", "b"), [("a", 1), ("b", 1)]),
        (
            ("cli", "x", "cli-amd64", "cli-arm64"),
            [("cli (also -amd64, -arm64)", 3), ("x", 1)],
        ),
        (("cli_linux-amd64", "cli_darwin-arm64"), [("cli (_linux-amd64, _darwin-arm64)", 2)]),
        (("cli-x86_64.json", "cli-aarch64.json"), [("cli-*.json (x86_64, aarch64)", 2)]),
        (("cli-amd64",), [("cli-amd64", 1)]),
        (("amd64", "arm64"), [("amd64", 1), ("arm64", 1)]),
        (("charm64", "charm32"), [("charm64", 1), ("charm32", 1)]),
        (("a", "a"), [("a", 2)]),
    ],
)
def test_platform_twins_stand_together(
    names: tuple[str, ...], items: list[tuple[str, int]]
) -> None:
    assert folded(names) == items


MATERIALS = (
    *(Material(name=f"sbom-{each}", type="SBOM", value="s") for each in "abcdefgh"),
    Material(name="log", type="JUNIT_XML"),
    Material(name="bare"),
    Material(name="never", type="SBOM", is_set=False),
    Material(name="material-1720782311526704542", type="SARIF", value="go.sarif"),
    Material(name="material-1720782311526704543", type="SARIF", value="twice"),
    Material(name="material-1720782311526704544", type="SARIF", value="twice"),
)
ALL = tuple(each.name for each in MATERIALS if each.is_set)


@pytest.mark.parametrize(
    ("names", "limit", "text"),
    [
        (("", "log"), None, "attestation, log"),
        (("sbom-a", "sbom-b", "sbom-c"), None, "sbom-a, sbom-b, sbom-c"),
        (ALL[:8], None, "every SBOM"),
        ((*ALL[:8], ""), None, "every SBOM, attestation"),
        ((*ALL[:8], "log", "elsewhere"), 2, "every SBOM, log and 1 more"),
        ((*ALL[:8], "log"), 0, " and 9 more"),
        (ALL[1:8], None, "every SBOM but sbom-a"),
        (ALL[2:8], 1, "sbom-c and 5 more"),
        (("material-1720782311526704542",), None, "go.sarif"),
        (("material-1720782311526704543",), None, "material-1720782311526704543"),
    ],
)
def test_materials_are_named_briefly(names: tuple[str, ...], limit: int | None, text: str) -> None:
    assert Names(MATERIALS).listed(names, limit) == text


def test_three_names_are_read_at_a_glance_however_many_materials_they_stand_for() -> None:
    names = ("cli", "cli-amd64", "cli-arm64", "x", "y")
    materials = tuple(Material(name=each, type="ARTIFACT") for each in names)

    assert Names(materials).listed(names) == "cli (also -amd64, -arm64), x, y"


def test_types_of_which_there_are_few_hide_no_others() -> None:
    assert Names(MATERIALS[::-1]).listed((*ALL[:8], "log")) == "every SBOM, log"


def test_a_material_that_is_not_there_is_none_of_its_type() -> None:
    without = tuple(replace(each, is_set=False) for each in MATERIALS[:8])

    assert Names(without).listed(ALL[:4]) == "sbom-a, sbom-b, sbom-c, sbom-d"
