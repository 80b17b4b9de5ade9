"""Facts -> Mail. The only stage that knows jinja2.

`compose` writes the mail about a run, `compose_registration` the one that proves a registration.
Both are pure: the time and the Message-ID are given.
"""

import hashlib
from datetime import datetime

from chainloop_smtp.message import headers, identity, mime, view, wording
from chainloop_smtp.message.clean import clean
from chainloop_smtp.message.comparison import comparison
from chainloop_smtp.message.identity import message_id, random_id
from chainloop_smtp.message.parts import parts
from chainloop_smtp.message.report import FILE_NAME as REPORT_NAME
from chainloop_smtp.message.report import report
from chainloop_smtp.message.templates import md, render
from chainloop_smtp.message.wording import Tone, Wording
from chainloop_smtp.model import (
    Attestation,
    Changes,
    Job,
    Mail,
    Mailbox,
    Options,
    Part,
    Plugin,
    Verdict,
)

__all__ = [
    "REPORT_NAME",
    "compose",
    "compose_registration",
    "md",
    "message_id",
    "parts",
    "random_id",
    "report",
]


def compose(
    attestation: Attestation | None,
    job: Job,
    verdict: Verdict,
    options: Options,
    *,
    now: datetime,
    message_id: str,
    changes: Changes | None = None,
    enclosed: tuple[Part, ...] = (),
) -> Mail:
    """The mail about one run.

    Args:
        attestation: None when there is none.
        changes: What differs from an earlier run; None when nothing was compared.
        enclosed: What is attached, from `parts`; the same value serves any number of mails.
        now: Aware, in UTC.
        message_id: Without angle brackets: ``left@right`` (RFC 5322 section 3.6.4).

    Raises:
        MessageError: A template is broken.
    """
    attestation, job, verdict = clean(attestation), clean(job), clean(verdict)
    words = wording.word(attestation, job, verdict, options.composition.thread)
    facts = view.facts(attestation, job, words, options.composition.env_values, enclosed)
    facts["changes"] = comparison(clean(changes)) if changes else None
    fields = [
        *headers.threading(identity.thread(attestation, job, options)),
        *headers.about(attestation, job, verdict, options),
    ]
    return _mail(facts, fields, options, now=now, message_id=message_id, enclosed=enclosed)


def compose_registration(
    plugin: Plugin, name: str, options: Options, *, now: datetime, message_id: str
) -> Mail:
    """The mail that shows a registration to be right: it has arrived.

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
    rows = (
        view.Fact("Plugin", f"{plugin.id}, version {plugin.version}"),
        view.Fact("Host", registration.host, "code"),
        view.Fact("Port", str(registration.port), "code"),
        view.Fact("User", registration.user, "code"),
        view.Fact("From", str(registration.from_)),
        view.Fact("To", ", ".join(map(str, registration.to))),
    )
    facts = view.registration(words, tuple(row for row in rows if row.value))
    return _mail(facts, [], options, now=now, message_id=message_id)


def _mail(
    facts: dict[str, object],
    fields: list[bytes],
    options: Options,
    *,
    now: datetime,
    message_id: str,
    enclosed: tuple[Part, ...] = (),
) -> Mail:
    registration, cc = options.registration, options.attachment.cc
    subject = " ".join(render("subject.txt.j2", facts).split())
    text = _blank_lines_once(render("mail.txt.j2", facts))
    html = render("mail.html.j2", facts)
    head = [
        mime.date(now),
        mime.mailboxes("From", [registration.from_]),
        mime.mailboxes("To", registration.to),
        mime.structured("Message-ID", f"<{message_id}>"),
        mime.unstructured("Subject", subject),
        *headers.automatic(),
        *fields,
        *headers.own(options.composition.headers),
    ]
    if cc:
        head.insert(3, mime.mailboxes("Cc", cc))
    if options.composition.reply_to:
        head.insert(3, mime.mailboxes("Reply-To", options.composition.reply_to))
    # `=_` cannot stand in quoted-printable (RFC 2045 section 6.7), so no part can hold it.
    boundary = "=_" + hashlib.sha256(message_id.encode()).hexdigest()[:32]
    return Mail(
        sender=(options.envelope_from or registration.from_).addr_spec,
        recipients=_once((*registration.to, *cc, *options.bcc)),
        message_id=f"<{message_id}>",
        subject=subject,
        content=mime.message(head, text, html, boundary, [each.encoded for each in enclosed]),
        text=text,
        html=html,
        summary=_blank_lines_once(render("summary.md.j2", facts)),
        parts=enclosed,
    )


def _once(mailboxes: tuple[Mailbox, ...]) -> tuple[str, ...]:
    """Each address once: the domain's case never matters, the local part's may (RFC 5321 2.4)."""
    unique = {
        (box.addr_spec.rpartition("@")[0], box.domain.lower()): box.addr_spec for box in mailboxes
    }
    return tuple(unique.values())


def _blank_lines_once(text: str) -> str:
    """At most one blank line in a row, none at either end."""
    lines: list[str] = []
    for line in text.strip("\n").split("\n"):
        kept = line if line.startswith("-- ") or line.endswith("  ") else line.rstrip()
        if kept.strip() or (lines and lines[-1].strip()):
            lines.append(kept)
    return "\n".join(lines) + "\n"
