"""Facts -> Mail. The only stage that knows jinja2.

`render` writes what the messages about a run say, `compose` one of them, addressed, and
`compose_registration` the message that proves a registration. All are pure: the caller supplies
the time and the Message-ID.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import NamedTuple

from chainloop_smtp.errors import Problem
from chainloop_smtp.message import budget, headers, mime, view, wording
from chainloop_smtp.message.budget import FULL, LEVELS, Limits, fitted
from chainloop_smtp.message.clean import CleanFacts, clean
from chainloop_smtp.message.guard import body, guard, head
from chainloop_smtp.message.headers import message_id, random_id
from chainloop_smtp.message.mime import parts
from chainloop_smtp.message.report import FILE_NAME as REPORT_NAME
from chainloop_smtp.message.report import facts_digest, report
from chainloop_smtp.message.rows import Fact
from chainloop_smtp.message.selection import Selection
from chainloop_smtp.message.templates import Renderer, TemplateError, check, md
from chainloop_smtp.message.wording import BADGES, GLYPHS, Tone, Wording
from chainloop_smtp.model.facts import RunFacts
from chainloop_smtp.model.mail import File, Mail, Part, Templates
from chainloop_smtp.model.settings import Composition, Options, Plugin, unique

__all__ = [
    "BADGES",
    "REPORT_NAME",
    "CleanFacts",
    "Forms",
    "RenderedParts",
    "TemplateError",
    "check",
    "clean",
    "compose",
    "compose_registration",
    "md",
    "message_id",
    "parts",
    "random_id",
    "render",
    "report",
]

_BUILT_IN = Templates()
_HTML, _TEXT, _SUMMARY = "mail.html.j2", "mail.txt.j2", "summary.md.j2"
_SUBJECT = 200  # characters; the built-in one has 78 at most, and no mail program lists more
# Where to find what does not fit.
_ATTACHED = "see the attached report"
_MAILED = "see the report in the mail"
_TOO_LARGE = "the report is too large to attach"


class Forms(NamedTuple):
    """The forms of one message, each within its size.

    Attributes:
        is_cut: Something is left out of the HTML and the text, and of both the same.
    """

    subject: str
    html: str
    text: str
    summary: str
    is_cut: bool


class _Contents(NamedTuple):
    """What is attached, and where the rest is: for the message and for the job summary."""

    enclosed: tuple[Part, ...]
    is_cut: bool = False
    in_message: str = _ATTACHED
    in_summary: str = _MAILED


class RenderedParts(NamedTuple):
    """What a message about a run says, before it is addressed.

    Attributes:
        facts: Cleaned.
        enclosed: What is attached.
        digest: Of all that makes it, for `message_id`; the same whenever it is made.
    """

    facts: RunFacts
    forms: Forms
    enclosed: tuple[Part, ...]
    digest: str


def render(
    facts: CleanFacts,
    options: Options,
    *,
    note: str = "",
    enclosed: tuple[Part, ...] = (),
    templates: Templates = _BUILT_IN,
) -> RenderedParts:
    """Render what a message about one run says. Of the options, only the composition counts.

    Args:
        note: Why it is sent, or to whom it would be; appended to the lead. Empty: nothing.
        enclosed: The attachments, from `parts`; one value serves any number of messages. The report
            is added where not everything fits into the message.
        templates: The user's own, which have passed `check`.

    Raises:
        MessageError: A template is broken or makes too much, or the message would hold a secret
            of the options.
    """
    composition = options.composition
    said = facts_digest(facts.raw, composition.env_values)
    digest = headers.content_digest(said, note, enclosed, composition, templates)
    words = wording.word(facts.whole, composition.thread)
    words = replace(words, lead=" ".join(filter(None, (words.lead, clean(note)))))
    with Renderer(templates) as renderer:
        forms, attached = _forms(facts, words, composition, enclosed, renderer)
    guard(body(forms.subject, forms.text, forms.html, forms.summary, attached), options.secrets)
    return RenderedParts(facts.whole, forms, attached, digest)


def compose(rendered: RenderedParts, options: Options, *, message_id: str) -> Mail:
    """Compose one message about a run.

    Args:
        message_id: Without angle brackets: ``left@right`` (RFC 5322 section 3.6.4).

    Raises:
        MessageError: The header would hold a secret of the options.
    """
    facts = rendered.facts
    fields = [*headers.threading(facts, options), *headers.about(facts, options)]
    mail = _mail(rendered.forms, fields, options, facts.now, message_id, rendered.enclosed)
    return replace(mail, signature=facts.signature.status.value) if facts.signature else mail


def compose_registration(
    plugin: Plugin, name: str, options: Options, *, now: datetime, message_id: str
) -> Mail:
    """Compose the message that proves a registration by arriving.

    It is not about a run, so the user's templates do not apply.

    Args:
        name: Name of the registration.
    """
    registration, name = clean(options.registration), clean(name)
    words = Wording(
        tone=Tone.OK,
        glyph=GLYPHS[Tone.OK],
        badge="Registered",
        subject=f"[{plugin.id}] Registered: {name}",
        headline=f"{name} is registered",
        finding="",
        lead="Mail about Chainloop runs reaches you at this address. Nothing to do.",
        byline="",
        describe="",
    )
    registered = (
        Fact("Plugin", f"{plugin.id}, version {plugin.version}"),
        Fact("Host", registration.host, "code"),
        Fact("Port", str(registration.port), "code"),
        Fact("User", registration.user, "code"),
        Fact("From", str(registration.from_)),
        Fact("To", ", ".join(map(str, registration.to))),
    )
    facts = view.registration(words, tuple(row for row in registered if row.value), now)
    renderer = Renderer(_BUILT_IN)
    subject = _subject(facts, renderer)
    html, text, summary = (
        _form(name, facts, subject, renderer) for name in (_HTML, _TEXT, _SUMMARY)
    )
    guard(body(subject, text, html, summary, ()), options.secrets)
    forms = Forms(subject, html, text, summary, is_cut=False)
    return _mail(forms, [], options, now, message_id)


def _forms(
    facts: CleanFacts,
    words: Wording,
    composition: Composition,
    enclosed: tuple[Part, ...],
    renderer: Renderer,
) -> tuple[Forms, tuple[Part, ...]]:
    """Each form within its size, and what is attached."""

    @cache
    def with_report() -> _Contents:
        if any(part.name == REPORT_NAME for part in enclosed):
            return _Contents(enclosed, is_cut=True)
        content = report(facts.raw, composition.env_values)
        others = sum(len(each.content) for each in enclosed)
        if len(content) + others > composition.enclosures.max_size:
            return _Contents(enclosed, True, _TOO_LARGE, _TOO_LARGE)
        return _Contents(enclosed + parts([File(name=REPORT_NAME, content=content)]), is_cut=True)

    def contents(limits: Limits) -> _Contents:
        return with_report() if facts.is_cut or limits is not FULL else _Contents(enclosed)

    # HTML, text and job summary are mostly made of the same.
    @cache
    def shown(limits: Limits, enclosed: tuple[Part, ...], elsewhere: str) -> view.Facts:
        selection = Selection(facts.within(limits), limits, elsewhere, facts.is_cut)
        return view.facts(selection, words, composition.env_values, enclosed)

    def in_message(limits: Limits) -> view.Facts:
        there = contents(limits)
        return shown(limits, there.enclosed, there.in_message)

    summary_levels = _levels(facts)
    # How much a template of the user's writes for a row is not known.
    row = 0 if renderer.own.files else budget.HTML_ROW
    levels = budget.possible(
        summary_levels,
        lambda each: row * Selection(facts.whole, each).row_count <= budget.HTML_BYTES,
    )
    subject = _subject(in_message(summary_levels[0]), renderer)

    def message(limits: Limits) -> Iterator[tuple[str, int]]:
        yield _form(_HTML, in_message(limits), subject, renderer), budget.HTML_BYTES
        yield _form(_TEXT, in_message(limits), subject, renderer), budget.TEXT_BYTES

    (html, text), limits = fitted(message, levels)
    there = contents(limits)

    def job_summary(limits: Limits) -> Iterator[tuple[str, int]]:
        # At its fullest it leaves out nothing, and shares the facts of the message.
        elsewhere = there.in_message if limits is FULL else contents(limits).in_summary
        said = shown(limits, there.enclosed, elsewhere)
        yield _form(_SUMMARY, said, subject, renderer), budget.SUMMARY_BYTES

    (summary,), _ = fitted(job_summary, summary_levels)
    return Forms(subject, html, text, summary, there.is_cut), there.enclosed


def _levels(facts: CleanFacts) -> tuple[Limits, ...]:
    """All levels but those that could not fit, or would take too long to write."""
    return budget.possible(
        LEVELS, lambda each: Selection(facts.within(each), each).size() <= budget.CHARACTERS
    )


def _form(name: str, facts: view.Facts, subject: str, renderer: Renderer) -> str:
    facts = facts.copy()
    # The HTML repeats the subject, which may be the user's.
    facts["wording"] = replace(facts["wording"], subject=subject)
    text = renderer.render(name, facts)
    return text if name == _HTML else _blank_lines_once(text)


def _mail(
    forms: Forms,
    fields: list[bytes],
    options: Options,
    now: datetime,
    message_id: str,
    enclosed: tuple[Part, ...] = (),
) -> Mail:
    registration, cc = options.registration, options.attachment.cc
    addresses = (
        ("From", (registration.from_,)),
        # Nobody may be left but those in Cc, where people are looked up.
        ("To", registration.to),
        ("Reply-To", options.composition.reply_to),
        ("Cc", cc),
    )
    others = [
        mime.structured("Message-ID", f"<{message_id}>"),
        mime.unstructured("Subject", forms.subject),
        *headers.automatic(),
        *fields,
        *headers.own(options.composition.headers),
    ]
    # `=_` cannot stand in quoted-printable (RFC 2045 section 6.7), so no part can hold it.
    boundary = "=_" + hashlib.sha256(message_id.encode()).hexdigest()[:32]

    def content(*, is_ascii: bool) -> bytes:
        boxes = (mime.mailboxes(*each, is_ascii=is_ascii) for each in addresses if each[1])
        head = (mime.date(now), *boxes, *others)
        attached = [each.encoded for each in enclosed]
        return mime.message(head, forms.text, forms.html, boundary, attached)

    sender = (options.envelope_from or registration.from_).addr_spec
    recipients = tuple(box.addr_spec for box in unique((*registration.to, *cc, *options.bcc)))
    # What comes from an address beyond ASCII needs SMTPUTF8 all the way, whoever it goes to.
    is_ascii = (sender + registration.from_.addr_spec).isascii() and any(
        each.isascii() for each in recipients
    )
    is_mixed = is_ascii and not all(each.isascii() for each in recipients)
    mail = Mail(
        sender=sender,
        recipients=recipients,
        hidden=tuple(box.addr_spec for box in options.hidden),
        message_id=f"<{message_id}>",
        subject=forms.subject,
        content=content(is_ascii=is_ascii),
        international=content(is_ascii=False) if is_mixed else b"",
        text=forms.text,
        html=forms.html,
        summary=forms.summary,
        parts=enclosed,
        is_cut=forms.is_cut,
    )
    guard(head(mail.content), options.secrets)
    return mail


def _subject(facts: view.Facts, renderer: Renderer) -> str:
    """One line of bounded length, from our own template or from the user's."""
    subject = " ".join(clean(renderer.render("subject.txt.j2", facts)).split())
    if not subject:
        where = "subject" if renderer.own.subject else "subject.txt.j2"
        raise TemplateError(Problem(where, "the template renders an empty subject for this run"))
    return subject if len(subject) <= _SUBJECT else subject[: _SUBJECT - 3] + "..."


def _blank_lines_once(text: str) -> str:
    """At most one blank line in a row, none at either end."""
    lines: list[str] = []
    for line in text.strip("\n").split("\n"):
        kept = line if line.startswith("-- ") or line.endswith("  ") else line.rstrip()
        if kept.strip() or (lines and lines[-1].strip()):
            lines.append(kept)
    return "\n".join(lines) + "\n"
