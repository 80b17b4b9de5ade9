"""``docs/templates.md`` says what the program does, its examples work, and the reference is whole.

After a change that is meant, write the page anew and look at the differences::

    CHAINLOOP_SMTP_GOLDEN=write pytest tests/unit/test_templates_page.py
"""

import os
from pathlib import Path

from hypothesis import given

import templatespage
from chainloop_smtp.message import check, child, view
from chainloop_smtp.model.attested import Attestation
from chainloop_smtp.model.facts import Job
from chainloop_smtp.model.mail import Mail, TemplateFile, Templates
from states import JOB, STATES, attestations, hostile, jobs, written
from unit.test_message import check_html, slow

PAGE = Path(__file__).parents[2] / "docs" / "templates-reference.md"


def mailed(state: str, theirs: Templates) -> Mail:
    check(theirs)
    attestation, job, _ = STATES[state]
    return written(attestation, job, templates=theirs)


def test_the_page_is_what_the_program_makes_of_itself() -> None:
    made = templatespage.page()
    if os.environ.get("CHAINLOOP_SMTP_GOLDEN") == "write":
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(made, encoding="utf-8")

    is_current = PAGE.read_text("utf-8") == made
    assert is_current, "write it anew, with CHAINLOOP_SMTP_GOLDEN=write, and look at it"


def test_every_name_is_described_and_nothing_of_python_is_said() -> None:
    names = templatespage.page().partition("## Names")[2].partition("## What")[0]
    rows = [line.split(" | ") for line in names.splitlines() if line.startswith("| `")]
    assert [row[0].strip("| `") for row in rows] == list(view.Facts.__annotations__)
    assert all(len(row[2]) > 5 for row in rows)
    for line in templatespage.page().splitlines():
        assert not any(word in line for word in ("NoneType", "<class", "tuple[", "Optional"))


def test_the_limits_of_the_page_are_those_of_the_program() -> None:
    limits = (
        f"{child.LONGEST:,} characters per template",
        f"{child.SECONDS} seconds and",
        f"{child.MEMORY // 1024**2} MiB of memory",
    )
    text = " ".join(templatespage.GUIDE.split())
    assert [each for each in limits if each not in text] == []


def test_the_subject_of_the_page_works_in_every_state() -> None:
    theirs = Templates(subject=templatespage.SUBJECT_EXAMPLE)

    assert mailed("blocked-by-gate", theirs).subject == "BLOCKED: harbour (3 violations)"
    assert mailed("passed", theirs).subject == "PASSED: harbour"
    assert mailed("not-attested", theirs).subject == "NOT-ATTESTED: lakeside/harbour"
    for state in STATES:
        assert mailed(state, theirs).subject


def test_the_footer_of_the_page_works_in_every_state() -> None:
    file = TemplateFile(name="mail.html.j2", text=templatespage.FOOTER_EXAMPLE)
    theirs = Templates(folder=".github/mail", files=(file,))

    for state in STATES:
        html = mailed(state, theirs).html
        assert f"Questions? Ask the platform team, who own {JOB.workflow}." in html
        assert html.index("Questions?") < html.index("Sent by job attest")


def test_the_brand_of_the_page_works_in_every_state() -> None:
    file = TemplateFile(name="mail.html.j2", text=templatespage.BRAND_EXAMPLE)
    theirs = Templates(folder=".github/mail", files=(file,))

    for state in STATES:
        html = mailed(state, theirs).html
        bar, brand, badge = (html.index(each) for each in ("line-height:6px", "Lakeside", "<h1"))
        assert bar < brand < badge
        assert html.index(".line{") < html.index(".b-button{background-color:#0a6b4f")


def test_the_terse_text_of_the_page_works_in_every_state() -> None:
    file = TemplateFile(name="mail.txt.j2", text=templatespage.TERSE_EXAMPLE)
    theirs = Templates(folder=".github/mail", files=(file,))

    other = JOB.run_url.replace(JOB.run_id, "13824000001")
    for state in STATES:
        url = other if state == "another-runs-evidence" else JOB.run_url
        assert mailed(state, theirs).text.endswith(f"\n\n{url}\n")
    assert mailed("blocked-by-policy", theirs).text == (
        "Blocked by policy: dependencies-up-to-date and 1 more block harbour 2.14.0\n"
        "build-and-release on main at 9c1d4e7 by Ada Quay, finished 12 Mar 2026, 09:46:32 UTC "
        "after 5 min 25 s\n\n"
        "Enforced: dependencies-up-to-date\n"
        "- CVE-2026-1 (high) in pkg:golang/example.test/quays/ledgerd v1.8.2, fixed in\n"
        "  v1.9.0 See https://vulnerabilities.example.test/CVE-2026-1 for what it can\n"
        "  do. Recommended: Pin the module to v1.9.0, and build again.\n\n"
        "Enforced: allowed-licenses\n"
        "- AGPL-3.0-only in ledgerd 1.8.2 AGPL-3.0-only is not on the list\n"
        f"\n{JOB.run_url}\n"
    )


def test_every_state_is_the_same_through_a_template_that_only_extends_ours() -> None:
    names = ("mail.html.j2", "mail.txt.j2", "subject.txt.j2", "summary.md.j2")
    files = tuple(
        TemplateFile(name=name, text=f'{{% extends "chainloop/{name}" %}}') for name in names
    )

    for state in STATES:
        ours = mailed(state, Templates())
        assert mailed(state, Templates(folder="t", files=files)) == ours


@slow
@given(attestations(hostile), jobs(hostile))
def test_hostile_values_are_as_harmless_in_the_users_templates(
    attestation: Attestation, job: Job
) -> None:
    theirs = Templates(
        folder="t",
        files=(
            TemplateFile(
                name="mail.html.j2",
                text='{% extends "chainloop/mail.html.j2" %}{% block footer %}'
                "{{ muted(job.name ~ wording.headline) }}{{ super() }}{% endblock %}",
            ),
        ),
    )
    mail = written(attestation, job, templates=theirs)

    check_html(mail.html)
