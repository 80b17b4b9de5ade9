"""What there is to tell of a run, read once, and told in as many mails as are wanted."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial

from chainloop_smtp import addressing, message, source, verdict
from chainloop_smtp.cli import enclosures, evidence, people
from chainloop_smtp.cli.run import Run
from chainloop_smtp.model import (
    Attestation,
    Changes,
    Composition,
    Evidence,
    Job,
    Lookup,
    Mail,
    Mailbox,
    Options,
    Templates,
    Verdict,
    Workflow,
)
from chainloop_smtp.model.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One run: what its evidence says, and the judgement on it.

    Attributes:
        people: Those that some list of recipients asks for.
        is_rehearsal: Nothing is sent.
        now: Aware, in UTC: the date of every mail.
    """

    job: Job
    found: Evidence
    attested: Attestation | None
    judged: Verdict
    changes: Changes | None
    people: Mapping[Lookup, tuple[Mailbox, ...]]
    is_rehearsal: bool
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What a mail says, and what that depends on."""

    key: tuple[Composition, str, Templates]
    told: message.Told


def read(run: Run, parsed: Options, lookups: Iterable[Lookup] = (), token: str = "") -> Story:
    """The story that the options name.

    Args:
        lookups: People whom somebody asks for.
        token: For GitHub's API; empty: there is none.

    Raises:
        AttestationError: The evidence cannot be read, or is none.
    """
    job = source.job(run.environ, parsed.job_status, parsed.needs)
    found = evidence.read(run, parsed)
    attested, doubt = evidence.attested(run, parsed, found)
    job = _named(run, job, parsed, attested)
    judged = verdict.judge(attested, job)
    wanted = frozenset(lookups)
    return Story(
        job=job,
        found=found,
        attested=attested,
        judged=replace(judged, doubt=" ".join(filter(None, (judged.doubt, doubt)))),
        changes=evidence.changes(run, parsed, found, attested),
        people=people.found(run, parsed, attested, wanted, token) if wanted else {},
        is_rehearsal=parsed.dry_run,
        now=run.now(is_dry_run=parsed.dry_run),
    )


def _named(run: Run, job: Job, parsed: Options, attested: Attestation | None) -> Job:
    """The job with the names that the inputs give, where no attestation says them."""
    said = attested.workflow if attested else Workflow()
    for name, given, attested_names in (
        ("project", parsed.project, (said.project,)),
        ("workflow", parsed.workflow, (said.name, said.id)),
    ):
        if given and attested_names[0] and given not in attested_names:
            text = f"{name} is given as {given}; the attestation says {attested_names[0]}"
            run.console.notice(f"another {name}", f"{text}, and that counts.")
    return replace(
        job,
        chainloop_project="" if said.project else parsed.project,
        chainloop_workflow="" if said.name else parsed.workflow,
    )


def mail(
    run: Run,
    story: Story,
    parsed: Options,
    templates: Templates,
    note: str = "",
    route_id: str = "",
    before: Telling | None = None,
) -> tuple[Mail, Telling]:
    """The story as one mail, and what may spare the next one the work of being written.

    Args:
        templates: The user's own, checked.
        note: What the mail says of why it is sent.
        route_id: As for `message.message_id`.
        before: From the mail before this one, which may well say the same.

    Raises:
        MessageError: A template is broken.
        OptionsError: What is to be attached is not there, or too large.
    """
    parsed, intended = addressing.redirected(addressing.addressed(parsed, story.people))
    if intended:
        note = " ".join(
            (note, f"A rehearsal: it would have gone to {', '.join(intended)}.")
        ).strip()
    facts = (story.attested, story.job, story.judged)
    key = (parsed.composition, note, templates)
    if before is None or before.key != key:
        before = Telling(key=key, told=_told(run, story, parsed, templates, note))
    entropy = run.entropy(is_dry_run=story.is_rehearsal)
    composed = message.compose(
        *facts,
        parsed,
        now=story.now,
        message_id=message.message_id(*facts, parsed, entropy=entropy, route_id=route_id),
        told=before.told,
    )
    return replace(composed, intended=intended), before


def _told(run: Run, story: Story, parsed: Options, templates: Templates, note: str) -> message.Told:
    facts = (story.attested, story.job, story.judged)
    report = partial(
        message.report, *facts, story.changes, parsed.composition.env_values, story.now
    )
    return message.tell(
        *facts,
        parsed,
        now=story.now,
        changes=story.changes,
        note=note,
        enclosed=enclosures.enclosed(
            run, parsed.composition.enclosures, story.job, story.found, report
        ),
        templates=templates,
    )
