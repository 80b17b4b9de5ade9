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
    Evidence,
    Job,
    Lookup,
    Mail,
    Mailbox,
    Options,
    Templates,
    Verdict,
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
    attested = evidence.attested(run, parsed, found)
    wanted = frozenset(lookups)
    return Story(
        job=job,
        found=found,
        attested=attested,
        judged=verdict.judge(attested, job),
        changes=evidence.changes(run, found, attested),
        people=people.found(run, parsed, attested, wanted, token) if wanted else {},
        is_rehearsal=parsed.dry_run,
        now=run.now(is_dry_run=parsed.dry_run),
    )


def mail(
    run: Run,
    story: Story,
    parsed: Options,
    templates: Templates,
    note: str = "",
    route_id: str = "",
) -> Mail:
    """The story as one mail.

    Args:
        templates: The user's own, checked.
        note: What the mail says of why it is sent.
        route_id: As for `message.message_id`.

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
    report = partial(
        message.report, *facts, story.changes, parsed.composition.env_values, story.now
    )
    entropy = run.entropy(is_dry_run=story.is_rehearsal)
    composed = message.compose(
        *facts,
        parsed,
        now=story.now,
        message_id=message.message_id(*facts, parsed, entropy=entropy, route_id=route_id),
        changes=story.changes,
        note=note,
        enclosed=enclosures.enclosed(run, parsed, story.found, report),
        templates=templates,
    )
    return replace(composed, intended=intended)
