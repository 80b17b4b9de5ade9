"""The HTML of every mail as mail programs want it, and the same facts in all three parts."""

import html
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings

from chainloop_smtp.message import budget
from chainloop_smtp.message.clean import clean
from chainloop_smtp.message.findings import lines
from chainloop_smtp.model.attested import Attestation
from chainloop_smtp.model.mail import Mail
from states import attestations, golden_mails, hostile, written
from stress import mails

MAILS = mails()
GOLDEN = golden_mails()

# What no mail program is sure to show, or what none should.
FORBIDDEN_TAGS = {
    "applet", "audio", "base", "button", "canvas", "embed", "form", "iframe", "img", "input",
    "link", "object", "picture", "script", "select", "svg", "textarea", "video",
}  # fmt: skip
FORBIDDEN_STYLE = re.compile(
    r"flex|grid|float|position|background-image|background:|url\(|var\(|--|@font-face|@import"
    r"|expression|gradient|javascript|animation|transform|filter|calc\(",
    re.IGNORECASE,
)
VOID = {"meta", "br"}


class Page(HTMLParser):
    """Elements with their attributes, in their order, and the texts that a reader sees."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.style = ""
        self.title = ""
        self._open: list[tuple[str, dict[str, str]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.elements.append((tag, attributes))
        if tag not in VOID:
            self._open.append((tag, attributes))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        tags = [tag for tag, _ in self._open]
        if "style" in tags:
            self.style += data
        elif "title" in tags:
            self.title += data
        elif data.strip() and not any(map(self._is_unseen, self._open)):
            self.texts.append(data)

    @staticmethod
    def _is_unseen(element: tuple[str, dict[str, str]]) -> bool:
        """Decoration, the line that only a list of mails shows, the head of a column."""
        _, attributes = element
        return (
            attributes.get("aria-hidden") == "true"
            or "display:none" in attributes.get("style", "")
            or attributes.get("scope") == "col"
        )


@pytest.mark.parametrize("name", MAILS)
def test_only_what_every_mail_program_knows_is_used(name: str) -> None:
    mail = MAILS[name]
    page = Page(mail.html)

    assert FORBIDDEN_TAGS.isdisjoint(tag for tag, _ in page.elements)
    for tag, attributes in page.elements:
        assert not FORBIDDEN_STYLE.search(attributes.get("style", "")), attributes
        assert not any(each.startswith("on") for each in attributes), (tag, attributes)
        assert "src" not in attributes
        assert "background" not in attributes
        if "href" in attributes:
            assert re.match(r"https?://", attributes["href"], re.IGNORECASE)
        # Room and width are only sure on cells.
        if tag not in ("td", "th") and "padding" in attributes.get("style", ""):
            assert attributes["style"].startswith("margin:0;padding:0;"), attributes
    assert not FORBIDDEN_STYLE.search(page.style.replace("max-width", ""))
    assert 0 < len(page.style.encode()) < 16 * 1024
    assert len(mail.html.encode()) <= budget.HTML_BYTES


@pytest.mark.parametrize("name", MAILS)
def test_its_outline_is_one_that_can_be_listened_to(name: str) -> None:
    mail = MAILS[name]
    page = Page(mail.html)
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]

    assert page.title == mail.subject
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for tag, attributes in page.elements:
        if tag == "table":
            assert (attributes.get("role") == "presentation") != bool(attributes.get("aria-label"))
        if tag == "th":
            assert attributes.get("scope") in ("row", "col")
        if tag == "html":
            assert (attributes["lang"], attributes["dir"]) == ("en", "ltr")
        if "bgcolor" in attributes:
            assert f"background-color:{attributes['bgcolor']}" in attributes["style"]
        assert all(attributes.values()) or tag == "meta", (tag, attributes)


@pytest.mark.parametrize("name", GOLDEN)
def test_nothing_of_a_template_or_of_python_is_left(name: str) -> None:
    mail = GOLDEN[name]
    for form in (" ".join(Page(mail.html).texts), mail.text, mail.summary, mail.subject):
        assert not re.search(
            r"\b(None|null|undefined|NaN|True|False)\b|\[\]|\{\}|N/A|\{\{|\{%|\{#", form
        )


def packed(text: str) -> str:
    """Without blanks, which wrapping moves, and without case, which headings change.

    And without backslashes: a shell's line that goes on is broken elsewhere in each part.
    """
    return "".join(text.replace("\\", "").split()).casefold()


def check_parity(mail: Mail) -> None:
    """Every text of the HTML stands in the text, and every word of the text in the HTML."""
    page = Page(mail.html)
    shown, text = packed(" ".join(page.texts)), packed(mail.text)
    targets = packed(" ".join(each.get("href", "") for _, each in page.elements))
    for each in page.texts:
        assert packed(each).strip(":,") in text, each
    for word in mail.text.split():
        bare = packed(word).strip("*-:;()")
        assert bare in shown or bare in targets or packed(word) in shown, word


@pytest.mark.parametrize("name", GOLDEN)
def test_html_and_text_say_the_same(name: str) -> None:
    check_parity(GOLDEN[name])


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(attestations(hostile))
def test_html_and_text_say_the_same_whatever_the_values(attestation: Attestation) -> None:
    check_parity(written(attestation))


def bare(text: str) -> str:
    """Without the marks that Markdown and HTML put before characters."""
    return packed(html.unescape(html.unescape(re.sub(r"[\\`]", "", text))))


def facts_of(attestation: Attestation) -> Iterator[str]:
    """What a reader of the job summary has to find, cleaned."""
    attestation = clean(attestation)
    for material in attestation.materials:
        yield from (material.name, material.type, material.value, material.digest)
        for note in material.annotations:
            yield f"{note.name}: {note.value or 'not set'}"
    for evaluation in attestation.policies.evaluations:
        yield from (evaluation.name, evaluation.material)
        for violation in evaluation.active_violations:
            yield from lines(violation)
    for each in (*attestation.annotations, *attestation.environment):
        yield from (each.name, each.value)
    yield from (attestation.digest, attestation.run.id, attestation.run.reason)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(attestations(hostile))
def test_the_job_summary_says_the_same(attestation: Attestation) -> None:
    summary = bare(written(attestation).summary)
    for fact in facts_of(attestation):
        assert bare(fact) in summary
