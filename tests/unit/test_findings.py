"""What a violation says, without the marks of its Markdown and without saying it twice."""

from dataclasses import replace

import pytest

from chainloop_smtp.message.findings import lines, unmarked
from chainloop_smtp.model.attested import Finding, FindingKind, Violation

OPENSSL = Finding(
    kind=FindingKind.VULNERABILITY,
    id="CVE-2026-21441",
    severity="CRITICAL",
    score=9.8,
    component="openssl",
    component_version="3.0.14-r0",
    fixed_version="3.0.16-r0",
)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("plain words", ["plain words"]),
        ("## Heading\n\nText", ["Heading", "Text"]),
        ("**bold**, __bold__, *soft* and _soft_", ["bold, bold, soft and soft"]),
        ("`code` and ``a ` tick``", ["code and a ` tick"]),
        ("`**not bold**`", ["**not bold**"]),
        ("[the docs](https://example.com/a)", ["the docs (https://example.com/a)"]),
        ("[https://example.com](https://example.com)", ["https://example.com"]),
        ("![](https://example.com/i.png)", ["https://example.com/i.png"]),
        ("* one\n+ two\n- three\n1. four", ["- one", "- two", "- three", "1. four"]),
        ("> quoted", ["quoted"]),
        ("| a | b |\n|---|:-:|\n| 1 | - |", ["| a | b |", "| 1 | - |"]),
        ("one\n\n---\n\ntwo", ["one", "two"]),
        ('```json\n{"a": *}\n```\nafter', ['{"a": *}', "after"]),
        (
            "snake_case_name and __init__.py and *.py and 2 * 3 * 4",
            ["snake_case_name and __init__.py and *.py and 2 * 3 * 4"],
        ),
        ("<script>alert(1)</script>", ["<script>alert(1)</script>"]),
        ("```\na\n```\nb *c*\n```\nd *e*\n```\nf *g*", ["a", "b c", "d *e*", "f g"]),
        ("  words behind blanks  ", ["words behind blanks"]),
        ("", []),
        ("~~~\n*a*\n~~~\n*b*", ["*a*", "b"]),
        ("> > ## *a*", ["a"]),
        ("###### six\n####### seven", ["six", "####### seven"]),
        ("__\n***\n_ _ _\nx", ["__", "x"]),
        ("+ *one*\n  - two", ["- one", "- two"]),
        ("a [b *c*](u) d `e` *f*", ["a b c (u) d e f"]),
        ("[](u) [v](v)", ["u v"]),
        ("`a` *b* `c", ["a b `c"]),
        ("*a* `b` *c* `d`", ["a b c d"]),
        ("**a* b", ["**a* b"]),
        ("_a_.b __c__d *e*.", ["_a_.b __c__d e."]),
        ("\\*a*", ["\\*a*"]),
        ("*a", ["*a"]),
        ("*ab* c*", ["ab c*"]),
        (")*(b)*", [")(b)"]),
        ("*a _b_ c* _d_", ["a _b_ c d"]),
    ],
)
def test_the_marks_go_and_the_words_stay(text: str, plain: list[str]) -> None:
    assert list(unmarked(text)) == plain


@pytest.mark.parametrize(
    "text",
    [
        "see *a " * 50_000,
        "see _a **b " * 20_000,
        " ".join("`" * length for length in range(1, 500)),
    ],
    ids=["emphasis", "two kinds of it", "code"],
)
def test_marks_that_nothing_ends_stay_and_are_looked_through_once(text: str) -> None:
    assert unmarked(text) == (text.strip(),)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "CVE-2026-21441",
        "openssl 3.0.14-r0: CVE-2026-21441",
        "CVE-2026-21441 is critical, fixed in 3.0.16-r0.",
        "CVE-2026-21441\nopenssl",
    ],
)
def test_a_message_that_adds_nothing_to_the_finding_is_left_out(message: str) -> None:
    assert lines(Violation(message=message, finding=OPENSSL)) == (
        "CVE-2026-21441 (critical, CVSS 9.8) in openssl 3.0.14-r0, fixed in 3.0.16-r0",
    )


def test_a_finding_that_adds_nothing_to_the_message_is_left_out() -> None:
    finding = Finding(
        kind=FindingKind.LICENSE, id="AGPL-3.0-only", component="ledgerd", component_version="1.8.2"
    )
    message = "ledgerd 1.8.2 is AGPL-3.0-only, which is not on the list"

    assert lines(Violation(message=message, finding=finding)) == (message,)


def test_a_message_with_the_bare_score_says_it_too() -> None:
    message = "openssl 3.0.14-r0: CVE-2026-21441 is critical (9.8), 3.0.16-r0 has a patch"

    assert lines(Violation(message=message, finding=OPENSSL)) == (message,)


def test_where_both_say_something_both_are_said() -> None:
    assert lines(Violation(message="Update the base image.", finding=OPENSSL)) == (
        "CVE-2026-21441 (critical, CVSS 9.8) in openssl 3.0.14-r0, fixed in 3.0.16-r0",
        "Update the base image.",
    )


@pytest.mark.parametrize(
    ("recommendation", "said"),
    [
        ("Pin it to 3.0.16", ("Recommended: Pin it to 3.0.16",)),
        ("Upgrade openssl to 3.0.16-r0", ()),
        ("**Rebuild** it.\n\n- then deploy", ("Recommended: Rebuild it.", "- then deploy")),
        ("Update the base image", ()),
        ("", ()),
    ],
)
def test_what_is_recommended_is_said_unless_the_message_says_it(
    recommendation: str, said: tuple[str, ...]
) -> None:
    finding = replace(OPENSSL, recommendation=recommendation)
    told = lines(Violation(message="Update the base image.", finding=finding))

    assert told[1:] == ("Update the base image.", *said)


@pytest.mark.parametrize(
    ("finding", "line"),
    [
        # A score that is no CVSS is called a score.
        (
            Finding(kind=FindingKind.SAST, id="c/write", severity="HIGH", score=7.0),
            "c/write (high, score 7)",
        ),
        (
            Finding(kind=FindingKind.SAST, id="c/write", message="Too\n long", location="a.c:1"),
            "c/write at a.c:1: Too long",
        ),
        (Finding(kind=FindingKind.SAST, message="Too long", location="a.c:1"), "Too long at a.c:1"),
        (Finding(kind=FindingKind.VULNERABILITY, id="CVE-1", message="x"), "CVE-1"),
        (Finding(kind=FindingKind.VULNERABILITY, id="CVE-1", score=0.0), "CVE-1 (CVSS 0)"),
        (
            Finding(
                kind=FindingKind.VULNERABILITY,
                id="CVE-1",
                assessment="NOT_AFFECTED_YET",
                component="openssl",
                component_version="",
                fixed_version="3",
            ),
            "CVE-1 (not affected yet) in openssl, fixed in 3",
        ),
        # A version of nothing is none.
        (Finding(kind=FindingKind.LICENSE, id="GPL", component_version="3"), "GPL"),
    ],
)
def test_a_finding_is_one_line(finding: Finding, line: str) -> None:
    assert lines(Violation(finding=finding)) == (line,)


@pytest.mark.parametrize(
    "word",
    [
        *("a", "an", "and", "at", "cvss", "fixed", "in", "is", "of", "the", "to", "which"),
        *("update", "upgrade", "Upgrade", "THE."),
    ],
)
def test_words_that_only_join_facts_add_nothing(word: str) -> None:
    message = f"openssl {word} 3.0.14-r0"

    assert lines(Violation(message=message, finding=OPENSSL)) == (
        "CVE-2026-21441 (critical, CVSS 9.8) in openssl 3.0.14-r0, fixed in 3.0.16-r0",
    )


def test_a_violation_without_words_is_its_policy() -> None:
    assert lines(Violation(subject="sbom-complete")) == ("sbom-complete",)
    assert lines(Violation()) == ("violated, no message given",)
    # Words that only join the facts of a finding are a message all the same.
    assert lines(Violation(message="Upgrade the")) == ("Upgrade the",)
