"""Facts -> Mail. The only stage that knows jinja2.

`compose` writes the mail about a run, `compose_registration` the one that proves a registration.
Both are pure: the time and the Message-ID are given.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import NamedTuple

from chainloop_smtp.errors import Problem
from chainloop_smtp.message import budget, headers, mime, view, wording
from chainloop_smtp.message.budget import FULL, LEVELS, Limits, fitted
from chainloop_smtp.message.clean import clean
from chainloop_smtp.message.guard import body, guard, head
from chainloop_smtp.message.headers import message_id, random_id
from chainloop_smtp.message.mime import parts
from chainloop_smtp.message.report import FILE_NAME as REPORT_NAME
from chainloop_smtp.message.report import facts_digest, report
from chainloop_smtp.message.rows import Fact
from chainloop_smtp.message.selection import Selection
from chainloop_smtp.message.templates import Renderer, TemplateError, check, md
from chainloop_smtp.message.wording import BADGES, Tone, Wording
from chainloop_smtp.model.attested import Attestation
from chainloop_smtp.model.facts import Changes, Job, Verdict
from chainloop_smtp.model.mail import File, Mail, Part, Templates
from chainloop_smtp.model.settings import Options, Plugin, unique

__all__ = [
    "BADGES",
    "REPORT_NAME",
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
    "report",
    "tell",
]

_OURS = Templates()
_SUBJECT = 200  # characters; our own has 78, and no list of mails shows more than that
# Where to find what does not fit.
_ATTACHED = "see the attached report"
_MAILED = "see the report in the mail"
_TOO_LARGE = "the report is too large to attach"


def compose(
    attestation: Attestation | None,
    job: Job,
    verdict: Verdict,
    options: Options,
    *,
    now: datetime,
    message_id: str,
    changes: Changes | None = None,
    note: str = "",
    enclosed: tuple[Part, ...] = (),
    templates: Templates = _OURS,
    told: "RenderedParts | None" = None,
) -> Mail:
    """The mail about one run.

    Args:
        attestation: None when there is none.
        changes: What differs from an earlier run; None when nothing was compared.
        note: Why it is sent, or to whom it would be; said behind the lead. Empty: nothing.
        enclosed: What is attached, from `parts`; the same value serves any number of mails. The
            report joins it where not everything fits into the mail.
        now: Aware, in UTC.
        message_id: Without angle brackets: ``left@right`` (RFC 5322 section 3.6.4).
        templates: The user's own, which `check` has seen.
        told: From `tell`, for the same facts, composition, note and templates; None: made here.

    Raises:
        MessageError: A template is broken or makes too much, or the mail would hold a secret of
            the options.
    """
    if told is None:
        told = tell(
            attestation,
            job,
            verdict,
            options,
            now=now,
            changes=changes,
            note=note,
            enclosed=enclosed,
            templates=templates,
        )
    attestation, job, verdict = clean(attestation), clean(job), clean(verdict)
    fields = [
        *headers.threading(headers.thread(attestation, job, options)),
        *headers.about(attestation, job, verdict, options),
    ]
    return _mail(
        told.rendered, fields, options, now=now, message_id=message_id, enclosed=told.enclosed
    )


def tell(
    attestation: Attestation | None,
    job: Job,
    verdict: Verdict,
    options: Options,
    *,
    now: datetime,
    changes: Changes | None = None,
    note: str = "",
    enclosed: tuple[Part, ...] = (),
    templates: Templates = _OURS,
) -> "RenderedParts":
    """What a mail about one run says, whoever it goes to: only the composition counts here.

    Args:
        attestation: As for `compose`, and so are the others.

    Raises:
        MessageError: A template is broken or makes too much, or it would say a secret of the
            options.
    """
    # Of the evidence as it came: a program that reads it does its own cleaning.
    env_values = options.composition.env_values
    known = (attestation, job, verdict, changes, env_values)
    digest = headers.content_digest(
        facts_digest(*known), note, enclosed, options.composition, templates
    )
    raw = attestation
    attestation, job, verdict = clean(attestation), clean(job), clean(verdict)
    words = wording.word(attestation, job, verdict, options.composition.thread)
    words = replace(words, lead=" ".join(filter(None, (words.lead, clean(note)))))
    cleaned = cache(lambda value, id_: clean(raw, longest=value, longest_id=id_))

    def facts(limits: Limits, elsewhere: str) -> view.Facts:
        shown = cleaned(limits.value, limits.id)
        return view.facts(
            shown, job, verdict, words, env_values, changes, enclosed, limits, elsewhere
        )

    levels = budget.possible(
        LEVELS,
        lambda each: Selection(each).size(cleaned(each.value, each.id)) <= budget.CHARACTERS,
    )
    # What a template of the user's makes of a row is not known.
    row = 0 if templates.files else budget.HTML_ROW
    html_levels = budget.possible(
        levels, lambda each: Selection(each).row_count(raw) * row <= budget.HTML_BYTES
    )
    with Renderer(templates) as renderer:
        rendered = _rendered(facts, renderer, html_levels, levels, levels)
        if rendered.is_cut and all(part.name != REPORT_NAME for part in enclosed):
            whole = report(*known, now)
            others = sum(len(each.content) for each in enclosed)
            is_attached = len(whole) + others <= options.composition.enclosures.max_size
            if is_attached:
                enclosed += parts([File(name=REPORT_NAME, content=whole)])
            places = (_ATTACHED, _MAILED) if is_attached else (_TOO_LARGE, _TOO_LARGE)
            html_levels = LEVELS[LEVELS.index(rendered.html_limits) :]
            text_levels = LEVELS[LEVELS.index(rendered.text_limits) :]
            rendered = _rendered(facts, renderer, html_levels, text_levels, levels, places)
    _guard(rendered, enclosed, options)
    return RenderedParts(rendered, enclosed, digest)


def compose_registration(
    plugin: Plugin, name: str, options: Options, *, now: datetime, message_id: str
) -> Mail:
    """The mail that shows a registration to be right: it has arrived.

    It is about no run, so the user's templates, which are, have no part in it.

    Args:
        name: Of the registration.
    """
    registration, name = clean(options.registration), clean(name)
    words = Wording(
        tone=Tone.OK,
        glyph="✓",
        badge="Registered",
        subject=f"[{plugin.id}] Registered: {name}",
        headline=f"{name} is registered",
        lead="This mail proves that mails about Chainloop runs reach you. Nothing to do.",
        preheader=f"Mails about Chainloop runs will come through {registration.host}.",
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
    facts = view.registration(words, tuple(row for row in registered if row.value))
    rendered = _rendered(lambda *_: facts, Renderer(_OURS), (FULL,), (FULL,), (FULL,))
    _guard(rendered, (), options)
    return _mail(rendered, [], options, now=now, message_id=message_id)


def _guard(rendered: "_Rendered", enclosed: tuple[Part, ...], options: Options) -> None:
    said = (rendered.subject, rendered.text, rendered.html, rendered.summary)
    guard(body(*said, enclosed), options.secrets)


class _Rendered(NamedTuple):
    """The forms of one mail, and how far its HTML and its text had to be cut."""

    subject: str
    html: str
    html_limits: Limits
    text: str
    text_limits: Limits
    summary: str

    @property
    def is_cut(self) -> bool:
        return self.html_limits is not FULL or self.text_limits is not FULL


class RenderedParts(NamedTuple):
    """What a mail says, before it is addressed.

    Attributes:
        digest: Of all that makes it, for `message_id`; the same whenever it is made.
    """

    rendered: _Rendered
    enclosed: tuple[Part, ...]
    digest: str


def _rendered(
    facts: Callable[[Limits, str], view.Facts],
    renderer: Renderer,
    html_levels: Sequence[Limits],
    text_levels: Sequence[Limits],
    summary_levels: Sequence[Limits],
    places: tuple[str, str] = (_ATTACHED, _MAILED),
) -> _Rendered:
    """Each form within its size.

    Args:
        facts: From limits, and the place where the rest is, to what a template may use.
        html_levels: The levels of the budget to be tried, and so are the others.
        places: Where the mail and the job summary say that the rest is.
    """
    # The HTML and the text are mostly made of the same.
    facts = cache(facts)
    attached, mailed = places
    subject = _subject(facts(summary_levels[0], attached), renderer)

    def form(template: str, elsewhere: str) -> Callable[[Limits], str]:
        def rendered(limits: Limits) -> str:
            known = facts(limits, elsewhere).copy()
            # What the HTML repeats of the subject is what the mail has.
            known["wording"] = replace(known["wording"], subject=subject)
            return renderer.render(template, known)

        return rendered

    def plain(template: str, elsewhere: str) -> Callable[[Limits], str]:
        return lambda limits: _blank_lines_once(form(template, elsewhere)(limits))

    html, html_limits = fitted(form("mail.html.j2", attached), budget.HTML_BYTES, html_levels)
    text, text_limits = fitted(plain("mail.txt.j2", attached), budget.TEXT_BYTES, text_levels)
    summary, _ = fitted(plain("summary.md.j2", mailed), budget.SUMMARY_BYTES, summary_levels)
    return _Rendered(subject, html, html_limits, text, text_limits, summary)


def _mail(
    rendered: _Rendered,
    fields: list[bytes],
    options: Options,
    *,
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
        mime.unstructured("Subject", rendered.subject),
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
        return mime.message(head, rendered.text, rendered.html, boundary, attached)

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
        subject=rendered.subject,
        content=content(is_ascii=is_ascii),
        international=content(is_ascii=False) if is_mixed else b"",
        text=rendered.text,
        html=rendered.html,
        summary=rendered.summary,
        parts=enclosed,
        is_cut=rendered.is_cut,
    )
    guard(head(mail.content), options.secrets)
    return mail


def _subject(facts: view.Facts, renderer: Renderer) -> str:
    """One line of bounded length, from our own template or from the user's."""
    subject = " ".join(clean(renderer.render("subject.txt.j2", facts)).split())
    if not subject:
        where = "subject" if renderer.own.subject else "subject.txt.j2"
        raise TemplateError(Problem(where, "the template makes an empty subject for this run"))
    return subject if len(subject) <= _SUBJECT else subject[: _SUBJECT - 3] + "..."


def _blank_lines_once(text: str) -> str:
    """At most one blank line in a row, none at either end."""
    lines: list[str] = []
    for line in text.strip("\n").split("\n"):
        kept = line if line.startswith("-- ") or line.endswith("  ") else line.rstrip()
        if kept.strip() or (lines and lines[-1].strip()):
            lines.append(kept)
    return "\n".join(lines) + "\n"
