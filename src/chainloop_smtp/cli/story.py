"""What there is to tell of a run, read once."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from chainloop_smtp import source, verdict
from chainloop_smtp.cli import evidence, people
from chainloop_smtp.cli.run import Run
from chainloop_smtp.model import (
    Attestation,
    Changes,
    Evidence,
    Job,
    Lookup,
    Mailbox,
    Options,
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
