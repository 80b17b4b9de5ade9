"""What is shown where there is not room for everything: cut in order, and the counts are true."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainloop_smtp.message import CleanFacts, budget, clean, parts, view, wording
from chainloop_smtp.message.budget import (
    FULL,
    LEVELS,
    MINIMAL,
    SHORT_WORDS,
    SHORTENED,
    TRIMMED,
    Limits,
    fitted,
)
from chainloop_smtp.message.selection import Selection
from chainloop_smtp.model.attested import (
    Annotation,
    Attestation,
    Evaluation,
    Finding,
    FindingKind,
    Material,
    Policies,
    Run,
    Violation,
)
from chainloop_smtp.model.facts import Job, JobResult, JobStatus
from chainloop_smtp.model.mail import File, TemplateFile, Templates
from chainloop_smtp.model.settings import Composition, Enclosures, EnvValues
from states import OPTIONS, RECORDED, Html, facts_of, written

DIGEST = "sha256:" + "0123456789abcdef" * 4


def material(number: int, **more: object) -> Material:
    return replace(
        Material(
            name=f"material-{number}",
            type="ARTIFACT",
            value=f"file-{number}.tar.gz",
            digest=DIGEST,
            annotations=tuple(Annotation(name=f"note-{each}", value="yes") for each in range(5)),
        ),
        **more,  # type: ignore[arg-type]  # what a test wants different
    )


def policies(*evaluations: Evaluation) -> Policies:
    violated = [each for each in evaluations if each.active_violations]
    return Policies(
        evaluations=evaluations,
        evaluation_count=len(evaluations),
        violation_count=sum(len(each.active_violations) for each in evaluations),
        passed_count=sum(not each.violations and not each.is_skipped for each in evaluations),
        has_violations=bool(violated),
        has_gated_violations=any(each.is_gate for each in violated),
    )


def violated(name: str, number: int, is_gate: bool = False) -> Evaluation:
    messages = (f"{name} says no, {each}" for each in range(number))
    return Evaluation(
        name=name, is_gate=is_gate, violations=tuple(Violation(message=each) for each in messages)
    )


def stressed(**more: object) -> Attestation:
    """60 violations in 6 policies, 40 passed, 80 materials, 60 variables: too much for HTML."""
    evaluations = (
        *(violated(f"gate-{each}", 10, is_gate=True) for each in range(2)),
        *(violated(f"advice-{each}", 10) for each in range(4)),
        *(Evaluation(name=f"good-{each}") for each in range(40)),
    )
    attestation = replace(
        RECORDED,
        policies=policies(*evaluations),
        materials=tuple(material(each, is_output=each == 70) for each in range(80)),
        environment=tuple(Annotation(name=f"NAME_{each}", value="v" * 400) for each in range(60)),
    )
    return replace(attestation, **more)  # type: ignore[arg-type]  # the same


def test_what_fits_is_whole() -> None:
    mail = written(RECORDED)

    assert not mail.is_cut
    assert mail.parts == ()
    assert "see the attached report" not in mail.html + mail.text
    assert "Not everything fits" not in mail.html + mail.text


def test_what_does_not_fit_is_cut_and_says_where_it_is() -> None:
    mail = written(stressed())
    html = Html(mail.html).text

    assert len(mail.html.encode()) <= budget.HTML_BYTES
    assert mail.is_cut
    assert [part.name for part in mail.parts] == ["chainloop-report.json"]
    assert "material-79" in mail.parts[0].content.decode()
    assert "chainloop-report.json" in html
    assert "and 50 more: see the attached report" in html  # of 60 variables
    assert "(cut, 400 characters)" in html
    assert "40 passed: good-0, good-1, good-2 and 37 more: see the attached report" in html
    assert "Not everything fits in here: see the attached report." in html
    # The text has room for it all, and leaves out the same.
    text = " ".join(mail.text.split())
    assert "and 50 more: see the attached report" in text
    assert "(cut, 400 characters)" in text
    assert "40 passed: good-0, good-1, good-2 and 37 more: see the attached report" in text
    assert "file-79.tar.gz" not in html + text
    assert "Not everything fits in here: see the attached report." in text


def test_a_value_that_nobody_reads_to_its_end_is_cut_and_whole_in_the_report() -> None:
    value = "v" * 501
    annotation = Annotation(name="blob", value=value)
    mail = written(replace(RECORDED, annotations=(annotation,)))

    assert mail.is_cut
    for form in (mail.text, Html(mail.html).text):
        words = " ".join(form.split())
        assert f"{value[:500]} (cut, 501 characters)" in words
        assert "Not everything fits in here: see the attached report." in words
    (part,) = mail.parts
    assert value.encode() in part.content
    assert not written(
        replace(RECORDED, annotations=(replace(annotation, value="v" * 500),))
    ).is_cut


def test_pages_about_a_policy_are_never_shown_and_attach_nothing() -> None:
    described = Evaluation(name="p", description="What it checks\n" + "why " * 5_000)

    assert not written(replace(RECORDED, policies=policies(described))).is_cut


@pytest.mark.parametrize("word", ["x" * 4_000, "供" * 4_000], ids=["base64", "Chinese"])
def test_no_line_of_the_text_is_longer_than_a_mail_allows(word: str) -> None:
    violation = Violation(message=f"The blob is {word}")
    mail = written(
        replace(RECORDED, policies=policies(Evaluation(name="p", violations=(violation,))))
    )

    assert word in "".join(mail.text.split())
    assert max(map(len, mail.text.split("\n"))) <= 998


def test_more_than_any_form_has_room_for_is_not_even_written_out() -> None:
    """Two million short lines would take minutes, and nobody would see most of them."""
    lines = Violation(message="- -\n- no\n" * 1000)
    many = replace(
        RECORDED,
        policies=policies(
            *(Evaluation(name=f"p{each}", violations=(lines,) * 10) for each in range(100))
        ),
    )
    few = replace(RECORDED, policies=policies(Evaluation(name="p", violations=(lines,))))
    mail = written(many)

    assert Selection(facts_of(few)).size() <= budget.CHARACTERS
    assert Selection(facts_of(many)).size() > budget.CHARACTERS
    assert Selection(facts_of(None)).size() == 0
    assert mail.is_cut
    assert re.search(r"and 9\d more violated policies", mail.summary)
    assert "has 1,000 policy violations" in mail.summary


@pytest.mark.parametrize(
    "more",
    [
        {"materials": tuple(map(material, range(4000)))},
        {"environment": tuple(Annotation(name=f"A{each}", value="") for each in range(21_000))},
        {"annotations": tuple(Annotation(name=f"A{each}", value="") for each in range(21_000))},
        {"policies": policies(*(Evaluation(name=f"p{each}") for each in range(21_000)))},
        {
            "policies": policies(
                Evaluation(name="p", is_skipped=True, skip_reasons=("no",) * 21_000)
            )
        },
        {
            "policies": policies(
                Evaluation(
                    name="p",
                    violations=tuple(Violation(message=f"no {each}") for each in range(21_000)),
                )
            )
        },
        {
            "policies": policies(
                Evaluation(
                    name="p",
                    violations=(
                        Violation(
                            finding=Finding(kind=FindingKind.SAST, recommendation="do\n" * 21_000)
                        ),
                    ),
                )
            )
        },
    ],
)
def test_rows_of_every_kind_count(more: dict[str, Any]) -> None:
    attestation = replace(RECORDED, **more)
    least = clean(attestation, longest=SHORT_WORDS.value, longest_id=SHORT_WORDS.id)

    assert Selection(facts_of(attestation)).size() > budget.CHARACTERS
    assert Selection(facts_of(least), SHORT_WORDS).size() <= budget.CHARACTERS


def test_a_report_that_is_too_large_to_attach_does_not_keep_the_mail() -> None:
    enclosures = Enclosures(max_size=10_000)
    options = replace(OPTIONS, composition=Composition(enclosures=enclosures))
    mail = written(stressed(), options=options)

    assert mail.parts == ()
    html = Html(mail.html).text
    assert "Not everything fits in here: the report is too large to attach." in html
    assert "and 50 more: the report is too large to attach" in html
    assert "attached report" not in html + mail.summary


def test_a_report_counts_with_the_other_attachments() -> None:
    """It has about 100,000 bytes."""
    file = parts([File(name="a.bin", content=b"x" * 200_000)])

    def attached(max_size: int) -> list[str]:
        options = replace(
            OPTIONS, composition=Composition(enclosures=Enclosures(max_size=max_size))
        )
        return [each.name for each in written(stressed(), options=options, enclosed=file).parts]

    assert attached(250_000) == ["a.bin"]
    assert attached(400_000) == ["a.bin", "chainloop-report.json"]


def test_a_report_that_is_attached_anyway_is_attached_once() -> None:
    report = parts([File(name="chainloop-report.json", content=b"{}")])
    mail = written(stressed(), enclosed=report)

    assert mail.is_cut
    assert mail.parts == report


def test_reasons_for_skipping_are_cut_as_lines_are() -> None:
    reasons = tuple(f"reason {each} " + "why " * 40 for each in range(2000))
    skipped = Evaluation(name="p", is_skipped=True, skip_reasons=reasons)
    mail = written(replace(RECORDED, policies=policies(skipped)))
    html = Html(mail.html).text

    assert len(mail.html.encode()) <= budget.HTML_BYTES
    assert "reason 19 why" in html
    assert "reason 20 why" not in html
    assert "and 1,980 more lines: see the attached report" in html


def test_counts_and_headings_tell_the_truth_whatever_is_cut() -> None:
    mail = written(stressed())
    html = Html(mail.html).text

    for said in ("60 violations", "Policy evaluations (46)", "Materials (80)", "40 of 46"):
        assert re.search(said.replace(" ", r"\s+").replace("(", r"\(").replace(")", r"\)"), html)
    shown = re.search(r"and (\d+) more materials", html)
    assert shown
    assert html.count("file-") + int(shown[1]) == 80
    # Outputs come before what is only there.
    assert "file-70.tar.gz" in html


def test_gates_are_cut_last_and_never_under_five() -> None:
    many = tuple(violated(f"gate-{each}", 9, is_gate=True) for each in range(400))
    html = Html(written(stressed(policies=policies(*many))).html).text

    assert len(re.findall(r"Gate on the attestation", html)) >= 5
    assert re.search(r"and 39\d more violated policies: see the attached report", html)
    assert "in 5 gates" not in html
    assert "3,600 in 400 gates" in html


def test_findings_and_lines_of_one_policy_are_cut() -> None:
    endless = Evaluation(
        name="endless",
        violations=tuple(
            Violation(message="\n".join(f"{number}: line {each}" for each in range(60)))
            for number in range(40)
        ),
    )
    attestation = replace(RECORDED, policies=policies(endless), environment=())
    html = Html(written(attestation).html).text

    assert "0: line 19" in html
    assert "0: line 20" not in html
    assert "and 40 more lines: see the attached report" in html
    assert "and 20 more findings: see the attached report" in html


def test_no_digest_and_no_id_is_ever_cut() -> None:
    html = written(stressed()).html
    digests = re.findall(r"sha256:[0-9a-f]*", html)

    assert digests
    assert all(len(each) == len(DIGEST) for each in digests)
    assert RECORDED.run.id in html


def test_html_and_text_leave_out_the_same_and_the_summary_less() -> None:
    value = "a-long-name " * 25
    huge = stressed(
        materials=tuple(material(each, value=value, annotations=()) for each in range(2500))
    )
    mail = written(huge)

    assert len(mail.text.encode()) <= budget.TEXT_BYTES
    text, html = (" ".join(form.split()) for form in (mail.text, Html(mail.html).text))
    left = re.search(r"and 2,4\d\d more materials: see the attached report", text)
    assert left
    assert left[0] in html
    assert "Not everything fits in here: see the attached report." in text
    assert len(mail.summary.encode()) <= budget.SUMMARY_BYTES
    assert "\nand 2,470 more materials: see the report in the mail\n" in mail.summary


def test_a_long_commit_message_is_cut_late() -> None:
    commit = replace(RECORDED.commit, message="m" * 280) if RECORDED.commit else None
    many = tuple(violated(f"gate-{each}", 9, is_gate=True) for each in range(40))
    attestation = replace(RECORDED, commit=commit, environment=(), policies=policies(*many))
    html = Html(written(attestation).html).text

    assert "m" * 120 + "... (cut)" in html
    assert "m" * 121 not in html


def test_many_jobs_and_skipped_policies_fit_too() -> None:
    skipped = tuple(
        Evaluation(name=f"skip-{each}", is_skipped=True, skip_reasons=("no input",))
        for each in range(300)
    )
    needs = tuple(JobResult(name=f"job-{each}", result=JobStatus.SUCCESS) for each in range(300))
    mail = written(stressed(policies=policies(*skipped)), Job(needs=needs))

    assert len(mail.html.encode()) <= budget.HTML_BYTES
    html = Html(mail.html).text
    assert re.search(r"and 2\d\d more evaluations: see the attached report", html)
    assert re.search(r"and 2\d\d more: see the attached report", html)
    assert re.search(r"and 2\d\d more: see the report in the mail", mail.summary) is None


WORDS = st.text(st.sampled_from("ab<&\"'\u4e16\U0001f600 _|"), max_size=1500)


@settings(max_examples=15, deadline=None)
@given(
    names=st.lists(WORDS, min_size=1, max_size=3),
    counts=st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60)),
    is_gate=st.booleans(),
)
def test_no_form_is_ever_too_long(
    names: list[str], counts: tuple[int, int, int], is_gate: bool
) -> None:
    name = names[0] * 8
    many, some, few = counts
    attestation = Attestation(
        shape="x",
        is_recorded=True,
        digest=name,
        view_url="https://example.com/" + "x" * 9000,
        run=Run(id=name),
        workflow=replace(RECORDED.workflow, name=name, project=name, team=name),
        materials=tuple(
            Material(name=name, type=name, value=name, tag=name, digest=name) for _ in range(many)
        ),
        annotations=tuple(Annotation(name=name, value=name) for _ in range(some)),
        environment=tuple(Annotation(name=name, value=name) for _ in range(few)),
        policies=policies(
            *(
                Evaluation(
                    name=name,
                    material=name,
                    description=name,
                    is_gate=is_gate,
                    violations=tuple(Violation(message=each) for each in names * 5),
                )
                for _ in range(some)
            ),
            *(Evaluation(name=name, is_skipped=True, skip_reasons=(name,)) for _ in range(few)),
        ),
    )

    mail = written(attestation)

    assert len(mail.html.encode()) <= budget.HTML_BYTES
    assert len(mail.text.encode()) <= budget.TEXT_BYTES
    assert len(mail.summary.encode()) <= budget.SUMMARY_BYTES


@pytest.mark.parametrize("text", ['"' * 4000, "\u4e16" * 4000, "\U0001f600" * 4000, "a" * 4000])
def test_evidence_that_is_long_everywhere_fits(text: str) -> None:
    notes = (Annotation(name=text, value=text),) * 90
    violation = Violation(message="\n".join([text[:900]] * 9))
    commit = RECORDED.commit and replace(
        RECORDED.commit, message=text, author_name=text, author_email=text
    )
    attestation = replace(
        RECORDED,
        digest=text,
        view_url="https://example.com/" + "x" * 9000,
        run=replace(RECORDED.run, id=text, reason=text),
        commit=commit,
        builder=text,
        workflow=replace(
            RECORDED.workflow,
            name=text,
            project=text,
            team=text,
            organization=text,
            id=text,
            contract_name=text,
        ),
        runner=replace(RECORDED.runner, type=text, workflow_file=text),
        signing=replace(
            RECORDED.signing,
            certificate=text,
            certificate_issuer=text,
            certificate_sans=(text,),
            key_hint=text,
            authority=text,
            timestamp_authority=text,
        ),
        materials=(
            Material(name=text, type=text, value=text, tag=text, digest=text, annotations=notes),
        )
        * 90,
        annotations=notes,
        environment=notes,
        policies=policies(
            *(
                Evaluation(
                    name=text,
                    material=text,
                    description=text,
                    is_gate=number % 2 == 0,
                    violations=(violation,) * 9,
                )
                for number in range(60)
            ),
            *(Evaluation(name=text, is_skipped=True, skip_reasons=(text,) * 9),) * 60,
        ),
    )
    mail = written(attestation)

    assert len(mail.html.encode()) <= budget.HTML_BYTES
    assert len(mail.text.encode()) <= budget.TEXT_BYTES
    assert len(mail.summary.encode()) <= budget.SUMMARY_BYTES


@pytest.mark.parametrize(
    ("sizes", "level"),
    [
        ((150, 30), FULL),
        ((149, 30), TRIMMED),
        ((150, 29), TRIMMED),
        ((130, 30), SHORTENED),
        ((110, 30), SHORT_WORDS),
        ((1, 1), SHORT_WORDS),
    ],
)
def test_the_fewest_cuts_with_which_all_forms_fit_are_made(
    sizes: tuple[int, int], level: Limits
) -> None:
    def forms(limits: Limits) -> tuple[str, str]:
        cuts = LEVELS.index(limits)
        return "\u00e9" * (75 - 5 * cuts), "\u00e9" * (15 - cuts)

    def render(limits: Limits) -> Iterator[tuple[str, int]]:
        return zip(forms(limits), sizes, strict=True)

    assert fitted(render, LEVELS) == (forms(level), level)


@pytest.mark.parametrize(
    ("first", "tried"),
    [(FULL, LEVELS), (SHORTENED, LEVELS[2:]), (MINIMAL, LEVELS[3:]), (None, (SHORT_WORDS,))],
)
def test_levels_are_tried_from_the_first_possible_one_on(
    first: Limits | None, tried: tuple[Limits, ...]
) -> None:
    assert budget.possible(LEVELS, lambda each: each is first) == tried


@pytest.mark.parametrize("level", range(1, len(LEVELS)))
def test_each_level_cuts_more(level: int) -> None:
    before, after = LEVELS[level - 1], LEVELS[level]

    assert before != after
    for name in Limits.__slots__:
        kept, left = getattr(before, name), getattr(after, name)
        assert left is None or kept is None or left <= kept


def test_gates_are_cut_last_and_never_under_five_at_any_level() -> None:
    assert SHORTENED.gated is None
    for level in (MINIMAL, SHORT_WORDS):
        assert level.gated is not None
        assert level.gated >= 5


def much_of_everything() -> Attestation:
    """40 of each kind, but 12 violated gates, 12 other violated policies and 12 passed ones."""
    forty = tuple(Annotation(name=f"note {each}", value="v") for each in range(40))
    lines = "\n".join(f"line {each}" for each in range(40))
    findings = tuple(Violation(message=f"{each}:\n{lines}") for each in range(40))
    places = tuple(
        Evaluation(name="a", material=f"file {each}.txt", is_gate=True, violations=findings)
        for each in range(40)
    )
    others = tuple(
        Evaluation(name=f"{kind} {each}", is_gate=kind == "gate", violations=violations)
        for kind, violations in (("gate", findings), ("no gate", findings), ("passed", ()))
        for each in range(12)
    )
    return replace(
        RECORDED,
        digest="Z" * 1_000,
        builder="Q" * 1_000,
        commit=RECORDED.commit and replace(RECORDED.commit, message="W" * 200),
        policies=policies(*places, *others[1:]),
        materials=tuple(Material(name=f"material {each}", annotations=forty) for each in range(40)),
        annotations=forty,
        environment=forty,
    )


# By level. Where lines are left out, one more says so.
SHOWN = {
    "gates": (12, 12, 12, 8, 5),
    "other violated policies": (12, 12, 12, 3, 1),
    "findings": (40, 20, 5, 2, 1),
    "lines": (41, 21, 21, 11, 2),
    "materials in a list": (40, 12, 6, 3, 1),
    "evaluations": (36, 36, 24, 10, 3),
    "names of passed": (0, 0, 3, 3, 3),
    "materials": (40, 40, 30, 10, 2),
    "annotations of a material": (40, 3, 3, 2, 1),
    "annotations": (40, 40, 40, 10, 3),
    "variables": (40, 20, 20, 10, 2),
    "characters of the commit message": (200, 200, 200, 120, 40),
    "characters of a value": (500, 300, 300, 120, 24),
    "characters of an id": (900, 900, 900, 900, 140),
}


@pytest.mark.parametrize("level", range(5), ids=["full", "trimmed", "short", "minimal", "words"])
def test_each_level_shows_so_much(level: int) -> None:
    limits = LEVELS[level]
    run = CleanFacts(facts_of(much_of_everything())).within(limits)
    facts = view.facts(Selection(run, limits), wording.word(run), EnvValues.SHOW)
    attention, evaluations = facts["attention"], facts["evaluations"]
    rows = {each.title: each.rows for each in facts["sections"]}

    assert {
        "gates": sum(each.is_gate for each in attention),
        "other violated policies": sum(not each.is_gate for each in attention),
        "findings": len(attention[0].findings),
        "lines": len(attention[0].findings[0]),
        "materials in a list": evaluations[0].material.count("file "),
        "evaluations": len(evaluations),
        "names of passed": " ".join(facts["evaluations_more"]).count("passed "),
        "materials": len(facts["materials"]),
        "annotations of a material": len(facts["materials"][0].annotations),
        "annotations": len(rows["Annotations"]),
        "variables": len(rows["Environment variables"]),
        "characters of the commit message": str(rows["Commit"]).count("W"),
        "characters of a value": str(rows["Signature"]).count("Q"),
        "characters of an id": str(rows["Run"]).count("Z"),
    } == {kind: numbers[level] for kind, numbers in SHOWN.items()}


@pytest.mark.parametrize(
    ("name", "size"),
    [("mail.html.j2", 92_160), ("mail.txt.j2", 200_000), ("summary.md.j2", 1_000_000)],
)
def test_a_form_may_have_so_many_bytes(name: str, size: int) -> None:
    """The template writes so many bytes, the last of which is the number of materials."""
    attestation = replace(RECORDED, materials=tuple(map(material, range(9))))

    def shown(filler: int) -> str:
        text = "x" * filler + "{{ materials|length }}"
        own = Templates(folder="mail", files=(TemplateFile(name=name, text=text),))
        mail = written(attestation, templates=own)
        form = {"html": mail.html, "txt": mail.text, "md": mail.summary}[name.split(".")[1]]
        return form.strip()[-1]

    line_end = name != "mail.html.j2"
    assert shown(size - 1 - line_end) == "9"
    assert shown(size - line_end) == "2"


def test_templates_that_write_little_show_more_than_ours_have_room_for() -> None:
    many = replace(RECORDED, materials=tuple(map(material, range(600))))
    text = "{{ materials|length }}"
    files = tuple(TemplateFile(name=f"mail.{each}.j2", text=text) for each in ("html", "txt"))

    assert written(many, templates=Templates(folder="mail", files=files)).html == "600"
    assert "\nand 570 more materials: see the attached report\n" in written(many).text
    short = Templates(subject="{{ materials[0].annotations|length }}")
    assert written(many, templates=short).subject == "5"


def test_more_than_two_million_characters_are_not_tried() -> None:
    """A row counts for a hundred, and the templates write next to nothing."""
    text = "{{ attention[0].findings|length }}"
    names = ("mail.html.j2", "mail.txt.j2", "summary.md.j2")
    files = tuple(TemplateFile(name=name, text=text) for name in names)
    messages = [f"{number:03} ".ljust(4_900, "x") for number in range(399)]

    def shown(last: int) -> str:
        """With so many characters in the last finding; the policy has a row, too."""
        violations = tuple(Violation(message=each) for each in (*messages, "y" * last))
        evaluation = Evaluation(name="p", violations=violations)
        attestation = replace(
            RECORDED, environment=(), materials=(), annotations=(), policies=policies(evaluation)
        )
        own = Templates(folder="mail", files=files)
        return written(attestation, templates=own).summary

    assert shown(4_800) == "400\n"
    assert shown(4_801) == "20\n"
