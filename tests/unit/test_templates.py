"""The user's own templates: what they may replace, what they reach, and what is wrong with them."""

import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from enum import Enum
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment, nodes

from chainloop_smtp.errors import MessageError
from chainloop_smtp.message import check, view, wording
from chainloop_smtp.message.selection import Selection
from chainloop_smtp.model.attested import (
    Annotation,
    Attestation,
    Evaluation,
    Material,
    Policies,
    Run,
    Violation,
    Workflow,
)
from chainloop_smtp.model.facts import Job, Outcome, Verdict
from chainloop_smtp.model.mail import Mail, TemplateFile, Templates
from chainloop_smtp.model.settings import Composition, EnvValues, Mailbox, Options, Registration
from states import facts_of, written

PASSWORD = "never-to-be-seen-1f9b"
OPTIONS = Options(
    registration=Registration(
        host="smtp.example.test",
        port=587,
        user="ci",
        password=PASSWORD,
        from_=Mailbox(addr_spec="ci@example.test"),
        to=(Mailbox(addr_spec="security@example.test"),),
    ),
)
GATE = Evaluation(
    name="<no-critical>",
    material="sbom",
    is_gate=True,
    violations=(Violation(message="CVE-2026-1 in openssl"),),
)
ATTESTATION = Attestation(
    shape="attestation push -o json",
    is_recorded=True,
    run=Run(id="8f14e45f", started_at=datetime(2026, 3, 12, 9, 41, 7, tzinfo=UTC)),
    workflow=Workflow(organization="lakeside", project="harbour", name="release"),
    materials=(Material(name="image"), Material(name="sbom")),
    environment=(Annotation(name="RUNNER_NAME", value="a value of it"),),
    policies=Policies(
        evaluations=(GATE, Evaluation(name="signed")),
        evaluation_count=2,
        violation_count=1,
        passed_count=1,
        has_violations=True,
        has_gated_violations=True,
    ),
)
JOB = Job(repository="lakeside/harbour", workflow="Release", name="attest", ref="refs/heads/main")
BLOCKED = Verdict(outcome=Outcome.BLOCKED)


def own(subject: str = "", **files: str) -> Templates:
    """Templates by file name, dots written as ``_``: ``mail_html="…"``."""
    return Templates(
        subject=subject,
        folder=".github/mail" if files else "",
        files=tuple(
            TemplateFile(name=name.replace("_", ".") + ".j2", text=text)
            for name, text in files.items()
        ),
    )


def mailed(
    theirs: Templates,
    attestation: Attestation | None = ATTESTATION,
    options: Options = OPTIONS,
) -> Mail:
    check(theirs)
    verdict = BLOCKED if attestation else Verdict(outcome=Outcome.NOT_ATTESTED)
    return written(attestation, JOB, options, verdict, templates=theirs)


def text_of(source: str, **more: Any) -> str:
    """What one line of a text template makes."""
    return mailed(own(mail_txt=source), **more).text.removesuffix("\n")


def problems(theirs: Templates, attestation: Attestation | None = ATTESTATION) -> list[str]:
    with pytest.raises(MessageError) as caught:
        mailed(theirs, attestation)
    return [str(each) for each in caught.value.problems]


# --- what takes the place of ours --------------------------------------------------------------


def test_a_subject_is_one_line_over_the_same_facts() -> None:
    source = "{{ attestation.workflow.project }}:\n  {{ wording.badge|lower }}\t({{ job.name }})"
    mail = mailed(own(source))

    assert mail.subject == "harbour: blocked by gate (attest)"
    assert b"\r\nSubject: harbour: blocked by gate (attest)\r\n" in mail.content
    # What the HTML says of the subject is what the mail has.
    assert "<title>harbour: blocked by gate (attest)</title>" in mail.html
    assert mailed(own(subject_txt=source)).subject == mail.subject


def test_blanks_at_an_end_go_but_for_the_breaks_of_markdown_and_the_signature() -> None:
    source = "\n \n\na \n\n \n\nb  \n\n-- \nc\n\n"

    assert text_of(source) == "a\n\nb  \n\n-- \nc"


def test_a_subject_may_add_to_ours() -> None:
    ours = mailed(own()).subject

    assert ours.startswith("[harbour] Blocked by gate: ")
    assert mailed(own("{{ wording.subject }} (nightly)")).subject == f"{ours} (nightly)"


def test_a_subject_holds_no_control_character_and_has_an_end() -> None:
    hostile = replace(ATTESTATION, workflow=Workflow(project="a\r\nBcc: x@evil.test\x1b[2K\u202eb"))
    mail = mailed(own("{{ attestation.workflow.project }}\x07{{ 'x' * 500 }}"), hostile)

    assert mail.subject.startswith("a Bcc: x@evil.testb xxx")
    assert len(mail.subject) == 200
    assert mail.subject.endswith("...")
    assert b"\nBcc" not in mail.content


@pytest.mark.parametrize(
    ("length", "subject"), [(200, "x" * 200), (201, "x" * 197 + "...")], ids=["whole", "cut"]
)
def test_a_subject_of_200_characters_is_whole(length: int, subject: str) -> None:
    assert mailed(own(f"{{{{ 'x' * {length} }}}}")).subject == subject


def test_an_empty_subject_is_told() -> None:
    assert problems(own("{% if not attestation %}x{% endif %}")) == [
        "subject: the template renders an empty subject for this run"
    ]
    assert problems(own(subject_txt=" \n")) == [
        "subject.txt.j2: the template renders an empty subject for this run"
    ]


def test_each_template_that_is_there_replaces_ours_and_no_other() -> None:
    ours = mailed(own())
    mail = mailed(own(summary_md="# {{ wording.badge }}\n"))
    assert mail.summary == "# Blocked by gate\n"
    assert (mail.text, mail.html, mail.subject) == (ours.text, ours.html, ours.subject)

    mail = mailed(own(mail_html="<p>{{ wording.badge }}</p>"))
    assert mail.html == "<p>Blocked by gate</p>"
    assert (mail.text, mail.summary) == (ours.text, ours.summary)


def test_a_template_may_extend_ours_and_use_its_pieces() -> None:
    source = (
        '{% extends "chainloop/mail.html.j2" %}\n'
        "{% block footer %}{{ heading('Who to ask') }}\n"
        '<tr><td>{{ muted("Ask <" ~ job.workflow ~ "> first") }}</td></tr>'
        "{{ super() }}{% endblock %}"
    )
    html = mailed(own(mail_html=source)).html

    assert ">Who to ask</h2>" in html
    assert "Ask &lt;Release&gt; first" in html
    assert html.index("Who to ask") < html.index("Sent by job attest")
    assert html.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("attestation", [ATTESTATION, None], ids=["blocked", "not attested"])
def test_extending_ours_without_a_change_changes_nothing(attestation: Attestation | None) -> None:
    ours = mailed(own(), attestation)
    names = ("mail_html", "mail_txt", "subject_txt", "summary_md")
    extending = {name: f'{{% extends "chainloop/{name.replace("_", ".")}.j2" %}}' for name in names}

    assert mailed(own(**extending), attestation) == ours


BLOCKS = {
    name: Environment().parse(  # nothing is rendered
        files("chainloop_smtp").joinpath("templates", f"{name.replace('_', '.')}.j2").read_text()
    )
    for name in ("mail_html", "mail_txt")
}


@pytest.mark.parametrize(
    ("name", "block"),
    [(name, each.name) for name, tree in BLOCKS.items() for each in tree.find_all(nodes.Block)],
)
def test_every_block_may_be_overridden(name: str, block: str) -> None:
    source = f'{{% extends "chainloop/{name.replace("_", ".")}.j2" %}}'
    mail = mailed(own(**{name: f"{source}{{% block {block} %}}7up{{% endblock %}}"}))

    assert "7up" in (mail.html if name == "mail_html" else mail.text)


def test_templates_of_a_folder_may_use_each_other() -> None:
    theirs = own(
        mail_txt='{% from "words.j2" import greet %}{% include "line.txt.j2" %} {{ greet("you") }}',
        words="{% macro greet(whom) %}Hello {{ whom }}{% endmacro %}",
        line_txt="{{ wording.badge }}.",
    )

    assert mailed(theirs).text == "Blocked by gate. Hello you\n"


def test_names_that_a_template_makes_are_known_in_its_blocks() -> None:
    theirs = own(
        mail_txt='{% extends "chainloop/mail.txt.j2" %}{% import "words.j2" as words %}'
        '{% from "words.j2" import greet as hail %}{% set a, b = 1, 2 %}{% set c %}3{% endset %}'
        "{% macro own() %}4{% endmacro %}"
        "{% block verdict %}{{ hail('you') }} {{ words.greet('all') }} {{ a }}{{ b }}{{ c }}"
        "{{ own() }}{% endblock %}",
        words="{% macro greet(whom) %}Hello {{ whom }}{% endmacro %}",
    )

    assert mailed(theirs).text.startswith("Hello you Hello all 1234\n")


def test_a_macro_takes_more_arguments_than_it_names() -> None:
    macro = "{% macro m() %}{{ varargs|join('-') }}, {{ kwargs.a }}{% endmacro %}"

    assert text_of(macro + "{{ m(1, 2, a=3) }}") == "1-2, 3"


def test_names_of_a_list_are_joined() -> None:
    source = "{{ policies.evaluations|map(attribute='name')|join(', ') }}"

    assert text_of(source) == "<no-critical>, signed"
    assert text_of("{{ policies.evaluations|join(' ', attribute='name') }}") == (
        "<no-critical> signed"
    )
    assert text_of("{{ wording.badge[:7] }}|{{ ['a', 'b'][1:]|join }}") == "Blocked|b"


def test_the_users_byte_code_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path))
    mailed(own(mail_txt='{% extends "chainloop/mail.txt.j2" %}{# a test of its own #}'))

    kept = list((tmp_path / "templates").iterdir())
    assert len(kept) == 1
    assert b"chainloop/mail.txt.j2" in kept[0].read_bytes()


# --- what they reach ---------------------------------------------------------------------------

FILTERS = (
    "abs, capitalize, code, count, d, default, dictsort, e, escape, fact, first, float, "
    "format, groupby, grouped, indent, int, items, join, joined, last, length, list, lower, "
    "map, max, md, min, noun, reject, rejectattr, replace, reverse, select, selectattr, sort, "
    "stretches, title, trim, truncate, unique, upper, wrap."
)
METHODS = (
    "capitalize, casefold, count, endswith, find, isalnum, isalpha, isdigit, islower, "
    "isspace, isupper, lower, lstrip, partition, removeprefix, removesuffix, rfind, "
    "rpartition, rsplit, rstrip, split, splitlines, startswith, strip, title, upper."
)
NAMES = ", ".join(sorted(view.Facts.__annotations__)) + "."
TEMPLATES = (
    "chainloop/mail.html.j2, chainloop/mail.txt.j2, chainloop/parts.html.j2, "
    "chainloop/subject.txt.j2, chainloop/summary.md.j2, mail.txt.j2."
)


@pytest.mark.parametrize(
    "reference",
    [
        '{% include "TARGET" %}',
        '{% extends "TARGET" %}',
        '{% import "TARGET" as pieces %}{{ pieces.row(job.name) }}',
        '{% from "TARGET" import row with context %}{{ row(job.name) }}',
        '{% set kept %}{% include "TARGET" %}{% endset %}{{ kept }}',
        '{% if false %}{% include "TARGET" %}{% endif %}',
    ],
)
@pytest.mark.parametrize("target", ["row.txt.j2", "row.j2", "row.html", "chainloop/mail.txt.j2"])
def test_html_uses_only_templates_that_escape(reference: str, target: str) -> None:
    row = "{% macro row(name) %}<td>{{ name }}{% endmacro %}{{ job.name }}"
    files = [("mail.html.j2", reference.replace("TARGET", target))]
    if not target.startswith("chainloop/"):
        files.append((target, row))
    theirs = Templates(files=tuple(TemplateFile(name=name, text=text) for name, text in files))

    assert (
        f"mail.html.j2, line 1: '{target}' does not end in .html.j2, so its values would not be "
        "escaped\n  Rename it, or copy what you need from it."
    ) in problems(theirs)


def test_text_may_use_html() -> None:
    theirs = own(
        mail_txt='{% from "row.html.j2" import row %}{{ row("a <b>") }}',
        row_html="{% macro row(name) %}{{ name }}{% endmacro %}",
    )

    assert mailed(theirs).text == "a &lt;b&gt;\n"


def test_values_are_escaped_in_html_whatever_is_done_to_them() -> None:
    name = "policies.evaluations[0].name"
    for source in (
        f"{{{{ {name} }}}}",
        f"{{{{ {name} ~ '' }}}}",
        f"{{{{ {name} + '' }}}}",
        f"{{{{ [{name}]|join('') }}}}",
        f"{{{{ [{name}]|join('<i>') }}}}",
        f"{{% set x %}}{{{{ {name} }}}}{{% endset %}}{{{{ x }}}}",
        f"{{% macro m(x) %}}{{{{ x }}}}{{% endmacro %}}{{{{ m({name}) }}}}",
        f"{{{{ '%s'|format({name}) }}}}",
        f"{{{{ {name}|replace('a', 'b')|trim }}}}",
        f"{{% set x %}}a\nb{{% endset %}}{{{{ x|indent({name}, true) }}}}",
        f"{{% set x %}}a\nb{{% endset %}}{{{{ [x]|map('indent', width={name})|first }}}}",
        f"{{% filter indent({name}) %}}a\nb{{% endfilter %}}",
    ):
        html = mailed(own(mail_html=source)).html
        assert "<no" not in html
        assert "&lt;no-critic" in html
    # In text there is nothing to escape.
    assert text_of(f"{{{{ {name} ~ [{name}]|join('') }}}}") == "<no-critical>" * 2
    assert text_of("{{ '<'|e ~ '<' }}{{ ['<'|e, '<']|join }}") == "&lt;<" * 2
    assert mailed(own(mail_html="{{ ['a', 'b']|join('<br>') }}")).html == "a&lt;br&gt;b"
    assert mailed(own(mail_html="{{ ('<'|e ~ '<') ~ 'b' }}")).html == "&lt;&lt;b"
    assert text_of("{{ 'a\n\nb'|indent('> ', true, true) }}") == "> a\n>\n> b"
    assert text_of("{{ 'a\n\nb'|indent('> ') }}") == "a\n\n> b"
    assert mailed(own(mail_html="{% filter indent %}<p>\n<i>{% endfilter %}")).html == (
        "<p>\n    <i>"
    )


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ job.name|safe }}", f"there is no filter 'safe'\n  Available: {FILTERS}"),
        (
            "{% autoescape false %}{{ job.name }}{% endautoescape %}",
            "a template cannot change autoescape",
        ),
    ],
)
def test_escaping_cannot_be_turned_off(source: str, said: str) -> None:
    assert problems(own(mail_html=source)) == [f"mail.html.j2, line 1: {said}"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ ''.__class__.__mro__ }}", "'__class__' is not available to templates"),
        ("{{ ''['__class__'] }}", "'__class__' is not available to templates"),
        ("{{ attestation.__init__.__globals__ }}", "'__init__' is not available to templates"),
        ("{{ job.__class__ }}", "'__class__' is not available to templates"),
        ("{{ '{0.__class__}'.format(job) }}", "format() is not available to templates"),
        ("{{ '{}'.format_map({}) }}", "format_map() is not available to templates"),
        (
            "{{ '{0.__init__.__globals__}'.format_map({'0': job}) }}",
            "format_map() is not available to templates",
        ),
        ("{{ '%s'.__mod__(job) }}", "'__mod__' is not available to templates"),
        ("{{ job|attr('__class__') }}", f"there is no filter 'attr'\n  Available: {FILTERS}"),
        (
            "{{ ['{0.__class__}']|map('format', job)|list }}",
            "a Job is not text\n  Print one of its parts, or loop over it.",
        ),
        ("{{ wording['__class__'] }}", "'__class__' is not available to templates"),
        ("{{ (job.name ~ '').__class__ }}", "'__class__' is not available to templates"),
        (
            "{% set n = namespace(x=job) %}{{ n.x.__class__ }}",
            "'__class__' is not available to templates",
        ),
        (
            "{% macro m() %}{% endmacro %}{{ m.__class__ }}{{ m._func.__globals__ }}",
            "'__class__' is not available to templates",
        ),
        ("{{ loop }}", "'loop' is undefined"),
        (
            "{% for a in [1] %}{{ loop.__init__.__globals__ }}{% endfor %}",
            "'__init__' is not available to templates",
        ),
        (
            "{{ wording.badge.encode() }}",
            f"encode() is not available to templates\n  Available: {METHODS}",
        ),
        ("{{ attestation.run.started_at.now() }}", "now() is not available to templates"),
        ("{{ attestation.run.started_at.today() }}", "today() is not available to templates"),
        ("{{ [1].append(2) }}", "'append' is not available to templates"),
        ("{{ {}.update({}) }}", "'update' is not available to templates"),
        (
            "{{ self._TemplateReference__context }}",
            "there is no block '_TemplateReference__context'",
        ),
        ("{{ range.__self__ }}", "a function has no '__self__'"),
        ("{{ namespace.__init__ }}", "'__init__' is not available to templates"),
        ("{% set x = namespace() %}{{ x.__class__ }}", "'__class__' is not available to templates"),
        ("{{ 'a'.ljust(9) }}", f"ljust() is not available to templates\n  Available: {METHODS}"),
        ("{{ job.run_url() }}", "str() is not available to templates"),
        ("{{ joiner() }}", f"'joiner' is undefined\n  Available: {NAMES}"),
        ("{{ cycler(1) }}", f"'cycler' is undefined\n  Available: {NAMES}"),
        ("{{ lipsum() }}", f"'lipsum' is undefined\n  Available: {NAMES}"),
        ("{{ dict() }}", "'dict' is undefined\n  Did you mean verdict?"),
        ("{{ job|attr('name') }}", f"there is no filter 'attr'\n  Available: {FILTERS}"),
        ("{{ [1]|random }}", f"there is no filter 'random'\n  Available: {FILTERS}"),
        ("{{ job|pprint }}", "there is no filter 'pprint'\n  Did you mean int?"),
        ("{{ super }}", "'super' is undefined"),
        ("{{ range }}", "a function is not text\n  Print one of its parts, or loop over it."),
        (
            "{% include 'parts.html.j2' %}",
            "there is no template 'parts.html.j2'\n  Did you mean chainloop/parts.html.j2?",
        ),
        (
            "{% include '../../etc/passwd' %}",
            f"there is no template '../../etc/passwd'\n  Available: {TEMPLATES}",
        ),
        (
            "{% include '/etc/passwd' %}",
            f"there is no template '/etc/passwd'\n  Available: {TEMPLATES}",
        ),
        (
            "{% include 'chainloop/../view.py' %}",
            f"there is no template 'chainloop/../view.py'\n  Available: {TEMPLATES}",
        ),
        (
            "{% include job.name %}",
            "the name of a template is not text\n  Write its name in quotes.",
        ),
        (
            "{% include ['a', 'b'] %}",
            "the name of a template is not text\n  Write its name in quotes.",
        ),
        (
            "{% include 1 %}",
            "the name of a template is not text\n  Write its name in quotes.",
        ),
        ("{% import 'os' as os %}", f"there is no template 'os'\n  Available: {TEMPLATES}"),
        (
            "{% extends 'os' %}{% block a %}{% endblock %}text",
            f"there is no template 'os'\n  Available: {TEMPLATES}",
        ),
        ("{% do 1 %}", "Encountered unknown tag 'do'."),
        ("{% break %}", "Encountered unknown tag 'break'."),
        ("{% trans %}x{% endtrans %}", "Encountered unknown tag 'trans'."),
    ],
)
def test_a_template_reaches_nothing_but_the_facts(source: str, said: str) -> None:
    assert problems(own(mail_txt=source)) == [f"mail.txt.j2, line 1: {said}"]


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("{{ '%s' % attestation }}", "Attestation"),
        ("{{ '%s %s' % (1, [job]) }}", "list"),
        ("{{ '%s'|format(job) }}", "Job"),
        ("{{ '%(a)s'|format(a=job) }}", "Job"),
        ("{{ 'x'|replace('x', [job]) }}", "list"),
        ("{{ ['a', 'b']|join([job]) }}", "list"),
        ("{{ 2|count([job]) }}", "list"),
        ("{{ 2|noun(job) }}", "Job"),
        ("{{ [[job]]|join }}", "list"),
        ("{{ job|upper }}", "Job"),
        ("{{ 'a' ~ job }}", "Job"),
        ("{{ ['x']|map('replace', 'x', [job])|list }}", "list"),
    ],
)
def test_no_record_is_printed_as_python_would(source: str, kind: str) -> None:
    assert problems(own(mail_txt=source)) == [
        f"mail.txt.j2, line 1: a {kind} is not text\n  Print one of its parts, or loop over it."
    ]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "{{ [job]|map(attribute='__class__')|list }}",
            "a list is not text\n  Print one of its parts, or loop over it.",
        ),
        (
            "{{ [job]|map(attribute='__class__.__mro__')|first }}",
            "'__class__' is not available to templates",
        ),
        ("{{ [job]|map('attr', '__class__')|list }}", "No filter named 'attr'."),
        ("{{ [job]|select('callable')|list }}", "No test named 'callable'."),
        (
            "{{ [job]|groupby('__class__') }}",
            "a list is not text\n  Print one of its parts, or loop over it.",
        ),
        (
            "{{ [job, job]|sort(attribute='__class__')|list }}",
            "'__class__' is not available to templates",
        ),
    ],
)
def test_what_python_calls_its_own_is_not_reached_by_a_filter_either(
    source: str, said: str
) -> None:
    assert problems(own(mail_txt=source)) == [f"mail.txt.j2, line 1: {said}"]


def everything_in(value: object, seen: set[int]) -> Iterator[object]:
    """Every object that a template can get at from a value."""
    if id(value) in seen:
        return
    seen.add(id(value))
    yield value
    members: list[object] = []
    if isinstance(value, dict):
        members = [*value.keys(), *value.values()]
    elif isinstance(value, (tuple, list)):
        members = list(value)
    elif is_dataclass(value):
        members = [getattr(value, each.name) for each in fields(value)]
    elif not isinstance(value, (str, int, float, datetime, Enum, type(None))):
        raise AssertionError(f"{type(value)} is a stranger among the facts")
    for member in members:
        yield from everything_in(member, seen)


def test_no_option_and_no_secret_is_among_the_facts() -> None:
    run = facts_of(ATTESTATION, JOB, BLOCKED)
    facts = view.facts(Selection(run), wording.word(run), EnvValues.SHOW)
    found = list(everything_in(facts, set()))

    options = (Options, Registration, Mailbox, Composition, Templates)
    assert not [each for each in found if isinstance(each, options)]
    assert PASSWORD not in map(str, found)
    assert len(found) > 50
    assert set(facts) == set(view.Facts.__annotations__)


@pytest.mark.parametrize(
    ("env_values", "shown"),
    [(EnvValues.SHOW, "RUNNER_NAME=a value of it"), (EnvValues.NAMES, "RUNNER_NAME=")],
)
def test_a_template_sees_of_the_environment_what_it_may(env_values: EnvValues, shown: str) -> None:
    source = "{% for each in attestation.environment %}{{ each.name }}={{ each.value }}{% endfor %}"
    options = replace(OPTIONS, composition=Composition(env_values=env_values))

    assert text_of(source, options=options) == shown
    hidden = replace(OPTIONS, composition=Composition(env_values=EnvValues.HIDE))
    assert text_of(source + "-", options=hidden) == "-"


# --- what is wrong with them -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "a\n{% if %}",
            "mail.txt.j2, line 2: Expected an expression, got 'end of statement block'",
        ),
        ("a\n{{ wrding }}", "mail.txt.j2, line 2: 'wrding' is undefined\n  Did you mean wording?"),
        (
            "{% if false %}\n{{ atention }}{% endif %}",
            "mail.txt.j2, line 2: 'atention' is undefined\n  Did you mean attention?",
        ),
        (
            "\n\n{{ wording.headlin }}",
            "mail.txt.j2, line 3: a Wording has no 'headlin'\n  Did you mean headline?",
        ),
        (
            "{% for each in materials %}\n{{ each.nam }}{% endfor %}",
            "mail.txt.j2, line 2: a Shown has no 'nam'\n  Did you mean name?",
        ),
        (
            "{{ wording|uper }}",
            "mail.txt.j2, line 1: there is no filter 'uper'\n  Did you mean upper?",
        ),
        (
            "{{ 'x' is wep }}",
            "mail.txt.j2, line 1: there is no test 'wep'\n  Did you mean web?",
        ),
        (
            "{{ 'x' is zzzz }}",
            "mail.txt.j2, line 1: there is no test 'zzzz'\n  Available: boolean, defined, "
            "divisibleby, eq, even, false, float, ge, gt, in, integer, iterable, le, lower, lt, "
            "mapping, ne, none, number, odd, sameas, sequence, string, true, unbroken, undefined, "
            "upper, web.",
        ),
        (
            '\n{% extends "chainloop/mail.htm.j2" %}',
            "mail.txt.j2, line 2: there is no template 'chainloop/mail.htm.j2'\n"
            "  Did you mean chainloop/mail.html.j2?",
        ),
        (
            '{% extends "mail.txt.j2" %}',
            "mail.txt.j2, line 1: the template refers to itself\n"
            '  Write {% extends "chainloop/mail.txt.j2" %} for ours.',
        ),
        (
            "{% include job.name %}",
            "mail.txt.j2, line 1: the name of a template is not text\n  Write its name in quotes.",
        ),
        (
            "\n{{ materials }}",
            "mail.txt.j2, line 2: a tuple is not text\n  Print one of its parts, or loop over it.",
        ),
        (
            "{{ 1 + 'a' }}",
            "mail.txt.j2, line 1: unsupported operand type(s) for +: 'int' and 'str'",
        ),
        ("{{ 1 // 0 }}", "mail.txt.j2, line 1: integer division or modulo by zero"),
        ("{{ (1, 2)[7].x }}", "mail.txt.j2, line 1: a tuple has no such member"),
        ("{{ (1, 2)[(3, 4)].x }}", "mail.txt.j2, line 1: a tuple has no such member"),
        (
            "{{ wording.badge.uper() }}",
            "mail.txt.j2, line 1: a str has no 'uper'\n  Did you mean upper?",
        ),
        (
            "{% block a %}{% endblock %}\n{% block a %}{% endblock %}",
            "mail.txt.j2, line 2: block 'a' defined twice",
        ),
        (
            "{{ materials|join(', ') }}",
            "mail.txt.j2, line 1: a Shown is not text\n  Print one of its parts, or loop over it.",
        ),
        (
            "{% macro m() %}{{ m() }}{% endmacro %}\n{{ m() }}",
            "mail.txt.j2, line 1: uses itself without end",
        ),
        (
            "(" * 500 + "{{" + "(" * 4000 + "1" + ")" * 4000 + "}}",
            "mail.txt.j2: is nested too deeply",
        ),
        (
            "{% for a in [1] %}" * 30 + "x" + "{% endfor %}" * 30,
            "mail.txt.j2: is nested too deeply",
        ),
        ("{{ 1" + " + 1" * 30_000 + " }}", "mail.txt.j2: is nested too deeply"),
        ("{{ 1" + " + 1" * 500 + " }}", "mail.txt.j2: is nested too deeply"),
        (
            "\n{{ 'x' * 9223372036854775000 }}",
            "mail.txt.j2, line 2: the template needs more than 512 MiB of memory\n"
            "  Look for a text or a list that grows in a loop.",
        ),
        (
            "{{ 'x' * 4000000 }}{{ 'x' * 4000000 }}",
            "mail.txt.j2: the template renders more than 5,000,000 characters",
        ),
    ],
)
def test_a_mistake_is_told_with_its_file_and_line(source: str, said: str) -> None:
    (problem,) = problems(own(mail_txt=source))

    assert problem == said


EXTENDS = '{% extends "chainloop/mail.txt.j2" %}'
WORDS = "{% macro hail(whom) %}Hail {{ whom }}{% endmacro %}{% set a, b = (1, 2) %}"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            EXTENDS + "\n{% block foter %}{% endblock %}",
            "line 2: there is no block 'foter' in chainloop/mail.txt.j2, so this one is never shown"
            "\n  Did you mean footer?",
        ),
        (
            EXTENDS + "{% if job.name %}\n{% block x9 %}{% endblock %}{% endif %}",
            "line 2: there is no block 'x9' in chainloop/mail.txt.j2, so this one is never shown"
            "\n  Available: attention, changes, counts, describe, facts, footer, jobs, links, "
            "materials, policies, suppressed, verdict.",
        ),
        (
            '{% extends "base.j2" %}{% block ad %}{% endblock %}\n{% block ads %}{% endblock %}',
            "line 2: there is no block 'ads' in base.j2, so this one is never shown"
            "\n  Did you mean ad?",
        ),
        (
            EXTENDS + "{% block footer %}\n{{ self.verdct() }}{% endblock %}",
            "line 2: there is no block 'verdct'\n  Did you mean verdict?",
        ),
        ("{{ self.footer() }}", "line 1: there is no block 'footer'"),
        (
            EXTENDS + "\n\n  Ask Ada.\n",
            "line 3: a template that extends chainloop/mail.txt.j2 shows no text outside "
            "blocks\n  Put it into a block, or into {# … #}.",
        ),
        (
            EXTENDS + "{% for each in materials %}\n{{ each.name }}{% endfor %}",
            "line 2: a template that extends chainloop/mail.txt.j2 shows no text outside "
            "blocks\n  Put it into a block, or into {# … #}.",
        ),
        *(
            (
                EXTENDS + f"{{% macro m() %}}{{% endmacro %}}\n{printed}",
                "line 2: a template that extends chainloop/mail.txt.j2 shows no text outside "
                "blocks\n  Put it into a block, or into {# … #}.",
            )
            for printed in (
                "{% filter upper %}text{% endfilter %}",
                "{% call m() %}text{% endcall %}",
                "{% if true %}{% filter upper %}text{% endfilter %}{% endif %}",
            )
        ),
        (
            "\n{% if true %}" + EXTENDS + "{% endif %}{% block footr %}{% endblock %}",
            "line 2: extends is inside another tag\n  Write it before everything else.",
        ),
        (
            '\n{% from "words.j2" import hal %}{{ hal("you") }}',
            "line 2: words.j2 has no 'hal'\n  Did you mean hail?",
        ),
        (
            '{% from "words.j2" import zzz as hail %}{{ hail("you") }}',
            "line 1: words.j2 has no 'zzz'\n  Available: a, b, hail.",
        ),
        (
            '{% import "words.j2" as words %}\n{{ words.hal("you") }}',
            "line 2: words.j2 has no 'hal'\n  Did you mean hail?",
        ),
        (
            '{% from "chainloop/parts.html.j2" import mutd with context %}{{ mutd("x") }}',
            "line 1: chainloop/parts.html.j2 has no 'mutd'\n  Did you mean muted?",
        ),
        (
            '{% from "none.j2" import a %}{{ a }}',
            "line 1: none.j2 has no 'a'",
        ),
    ],
)
def test_what_is_misspelt_and_would_be_passed_over_is_told(source: str, said: str) -> None:
    others = {
        "base": EXTENDS + "{% block footer %}{% block ad %}{% endblock %}{% endblock %}",
        "words": WORDS,
        "none": "no names",
    }
    used = {name: text for name, text in others.items() if f'"{name}.j2"' in source}
    (problem,) = problems(own(mail_txt=source, **used))

    assert problem == f"mail.txt.j2, {said}"


@pytest.mark.parametrize(
    "source",
    [
        EXTENDS + "{% block footer %}{% block more %}7up{% endblock %}{% endblock %}",
        EXTENDS + "{% block links %}{% block verdict %}7up{% endblock %}{% endblock %}",
        EXTENDS
        + "\n{# said nowhere #}\n{% set a = '7up' %}{% block footer %}{{ a }}{% endblock %}",
        EXTENDS + "\n\n  \n{% block footer %}7up{% endblock %}\n\n",
        EXTENDS + "{% set a %}7up{% endset %}{% block footer %}{{ a }}{% endblock %}",
        EXTENDS + "{% macro m() %}7up{% endmacro %}{% block footer %}{{ m() }}{% endblock %}",
        EXTENDS + "{% block footer %}{% block a %}7up{% endblock %}{{ self.a() }}{% endblock %}",
        "7up before" + EXTENDS,
        '{% import "words.j2" as w %}{{ w.hail("7up") }}',
        '{% import "words.j2" as w %}{% for w in [{"x": "7up"}] %}{{ w.x }}{% endfor %}',
        '{% from "words.j2" import hail as h, a %}{{ h("7up") }}{{ a }}',
    ],
)
def test_what_is_spelt_rightly_is_shown(source: str) -> None:
    used = {"words": WORDS} if "words.j2" in source else {}

    assert "7up" in mailed(own(mail_txt=source, **used)).text


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ attestation.workflow.nam }}", "a Workflow has no 'nam'\n  Did you mean name?"),
        (
            "{{ attestation.commit.author }}",
            "a Commit has no 'author'\n  Did you mean author_name?",
        ),
        ("{{ attestation.workflow.version.nam }}", "a Version has no 'nam'\n  Did you mean name?"),
        ("{{ policies.evaluations[0].nam }}", "a Evaluation has no 'nam'\n  Did you mean name?"),
        ("{{ policies.strategy.valu }}", "a Strategy has no 'valu'\n  Did you mean value?"),
        (
            "{{ job.run_url.startwith('x') }}",
            "a str has no 'startwith'\n  Did you mean startswith?",
        ),
        (
            "{{ attestation.run.duration.second }}",
            "a timedelta has no 'second'\n  Did you mean seconds?",
        ),
        (
            "{% for a in attention %}{{ a.nam }}{% endfor %}",
            "a Attention has no 'nam'\n  Did you mean name?",
        ),
        (
            "{% for a in attention %}{{ a.coun }}{% endfor %}",
            "a Attention has no 'coun'\n  Available: description, findings, glyph, is_gate, more, "
            "name, places, standing, summary, tone, where.",
        ),
        (
            "{% for e in policies.evaluations %}{% for v in e.active_violations %}{{ v.mesage }}"
            "{% endfor %}{% endfor %}",
            "a Violation has no 'mesage'\n  Did you mean message?",
        ),
    ],
)
def test_a_part_that_no_record_has_is_told_in_branches_that_are_not_taken(
    source: str, said: str
) -> None:
    assert problems(own(mail_txt=f"{{% if false %}}\n{source}{{% endif %}}")) == [
        f"mail.txt.j2, line 2: {said}"
    ]


@pytest.mark.parametrize(
    "source",
    [
        "{% set job = {'nam': 1} %}{{ job.nam }}",
        "{% for a in attention %}{{ a.name }}{% endfor %}"
        "{% for a in [{'x': 1}] %}{{ a.x }}{% endfor %}",
        "{% macro m(job) %}{{ job.nam }}{% endmacro %}{{ m({'nam': 1}) }}",
        "{% for job in [{'nam': 1}] %}{{ job.nam }}{% endfor %}",
        "{% for a, b in {'x': 1}.items() %}{{ a }}{{ b }}{% endfor %}",
        "{{ {'nam': 1}.nam }}{{ (attention|first).name }}{{ attention[0]['name'] }}",
        "{% from 'chainloop/parts.html.j2' import muted as job with context %}{{ job.name }}",
        "{% import 'chainloop/parts.html.j2' as job with context %}{{ job.muted('x') }}",
        "{% macro job() %}{% endmacro %}{{ job.arguments|length }}",
        "{{ attestation.run.started_at.year }}{{ verdict.outcome.value.upper() }}",
        "{{ attention[0].findings[0][0].upper() }}{{ attention.count(1) }}{{ jobs.is_wide }}",
    ],
)
def test_where_a_type_is_not_sure_nothing_is_said_of_it(source: str) -> None:
    assert mailed(own(mail_txt=source)).text


def test_what_the_evidence_does_not_say_is_to_be_guarded() -> None:
    source = "{{ attestation.workflow.name }}"

    assert text_of(source) == "release"
    assert problems(own(mail_txt=source), None) == [
        "mail.txt.j2, line 1: 'workflow' is looked up in None: the evidence does not have "
        "that value\n  Guard it with {% if … %}."
    ]
    assert text_of("{{ attestation.workflow.name if attestation }}-", attestation=None) == "-"
    assert text_of("<{{ attestation.policies.strategy }}>") == "<>"
    assert text_of("{{ attestation.is_recorded }} {{ 1 > 2 }} {{ 7 % 4 }}") == "true false 3"
    assert text_of("{{ attestation.run.started_at }}") == "2026-03-12 09:41:07+00:00"
    assert text_of("{{ attestation.run.started_at.strftime('%d.%m.%Y') }}") == "12.03.2026"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ t.date() }} {{ t.time() }} {{ t.weekday() }}", "2026-03-12 09:41:07 3"),
        ("{{ t.isoformat() }} {{ t.timestamp() }}", "2026-03-12T09:41:07+00:00 1773308467.0"),
        ("{{ t.strftime('%d') }} {{ t.date().strftime('%m') }}", "12 03"),
        ("{{ t.date().isoformat() }} {{ t.date().weekday() }}", "2026-03-12 3"),
        ("{{ t.time().isoformat() }} {{ t.time().strftime('%H') }}", "09:41:07 09"),
        ("{{ (t - t).total_seconds() }}", "0.0"),
        ("{{ (1, 2, 2).count(2) }} {{ (1, 2).index(2) }}", "2 1"),
        ("{{ [1, 2, 2].count(2) }} {{ [1, 2].index(2) }}", "2 1"),
        (
            "{% set d = {'a': 1} %}{{ d.get('a') }} {{ d.keys()|join }} {{ d.values()|join }}",
            "1 a 1",
        ),
        ("{% for k, v in {'a': 1}.items() %}{{ k }}{{ v }}{% endfor %}", "a1"),
        (
            "{% for a in [1, 1] %}{{ loop.changed(a) }}{{ loop.cycle('x', 'y') }}{% endfor %}",
            "truexfalsey",
        ),
    ],
)
def test_methods_that_change_nothing_may_be_called(source: str, text: str) -> None:
    assert text_of("{% set t = attestation.run.started_at %}" + source) == text


def test_a_mistake_in_a_piece_is_told_where_it_is() -> None:
    theirs = own(
        mail_txt='{% from "words.j2" import greet %}\n\n{{ greet(job) }}',
        words="{% macro greet(whom) %}\nHello {{ whom.nam }}{% endmacro %}",
    )

    assert problems(theirs) == ["words.j2, line 2: a Job has no 'nam'\n  Did you mean name?"]
    assert problems(
        own(mail_html='{% from "chainloop/parts.html.j2" import button %}\n{{ button() }}')
    ) == ["mail.html.j2, line 2: parameter 'is_filled' was not provided"]


def test_every_mistake_is_told_at_once() -> None:
    assert problems(own(mail_txt="{{ 'x' is wep }}{{ 'x'|uper }}{{ wrding }}")) == [
        "mail.txt.j2, line 1: there is no test 'wep'\n  Did you mean web?",
        "mail.txt.j2, line 1: there is no filter 'uper'\n  Did you mean upper?",
        "mail.txt.j2, line 1: 'wrding' is undefined\n  Did you mean wording?",
    ]
    theirs = own("{{ wrding }}", mail_txt="{% if %}", mail_html="{{ x }}{{ y|z }}", subject_txt="a")

    assert problems(theirs) == [
        "mail.txt.j2, line 1: Expected an expression, got 'end of statement block'",
        f"mail.html.j2, line 1: there is no filter 'z'\n  Available: {FILTERS}",
        f"mail.html.j2, line 1: 'x' is undefined\n  Available: {NAMES}",
        f"mail.html.j2, line 1: 'y' is undefined\n  Available: {NAMES}",
        "subject: subject.txt.j2 is in template-dir too\n  Give one of them.",
        "subject, line 1: 'wrding' is undefined\n  Did you mean wording?",
    ]


def test_a_file_that_nothing_uses_is_most_likely_misspelt() -> None:
    assert problems(own(mail_htm="x")) == [
        "template-dir 'mail.htm.j2': nothing uses this template\n  Did you mean mail.html.j2?"
    ]
    # A name that is there already is not the one that was meant.
    assert problems(own(mail_htm="x", mail_html="y")) == [
        "template-dir 'mail.htm.j2': nothing uses this template\n  Did you mean mail.txt.j2?"
    ]
    whole = own(mail_htm="x", mail_html="y", mail_txt="y", subject_txt="y", summary_md="y")
    assert problems(whole) == [
        "template-dir 'mail.htm.j2': nothing uses this template\n  Did you mean mail.html.j2?"
    ]
    theirs = replace(own(mail_txt="x"), others=("README.md", "mail.html", "logo.png"))
    assert problems(theirs) == [
        "template-dir 'mail.html': is not the name of a template\n  Did you mean mail.html.j2?"
    ]
    assert problems(Templates(folder="mails", others=("README.md",))) == [
        "template-dir: 'mails' holds no template\n  Available: mail.html.j2, mail.txt.j2, "
        "subject.txt.j2, summary.md.j2."
    ]


def test_templates_that_use_each_other_in_a_circle_are_told() -> None:
    theirs = own(
        mail_txt='{% include "a.j2" %}', a='{% include "b.j2" %}', b='{% include "a.j2" %}'
    )

    assert problems(theirs) == ["a.j2: uses itself, by way of b.j2, mail.txt.j2"]


# --- how much they may do: integration/test_template_limits.py has the rest ----------------------


def test_what_a_mail_needs_is_not_too_much() -> None:
    source = "{% for a in range(9999) %}{{ 'material %d' % a ~ ', ' }}{% endfor %}"

    assert len(text_of(source)) > 100_000


@settings(max_examples=50)
@given(st.text(max_size=60))
def test_whatever_is_written_makes_a_mail_or_an_error(source: str) -> None:
    try:
        mail = mailed(own(mail_txt=source, mail_html=source, summary_md=source))
    except MessageError as error:
        mail = None
        told = error.problems
    if mail is None:
        assert all(each.where and each.why for each in told)


pieces = st.lists(
    st.sampled_from(
        (
            *("{{ ", " }}", "{% for a in ", "{% endfor %}", " %}", "{% if ", "{% endif %}", "m()"),
            *("wording", ".badge", "a", " ~ ", " + ", "[1, 2]", "|join", "|list", "(", ")", "'x'"),
            *("{% set b = ", "{% macro m() %}", "{% endmacro %}", " == ", " in ", "range(3)", "1"),
        )
    ),
    max_size=12,
).map("".join)


@settings(max_examples=100)
@given(pieces)
def test_whatever_pieces_are_put_together_make_a_mail_or_an_error(source: str) -> None:
    test_whatever_is_written_makes_a_mail_or_an_error.hypothesis.inner_test(source)  # type: ignore[attr-defined]
