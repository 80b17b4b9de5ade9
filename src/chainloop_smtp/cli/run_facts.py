"""What there is to tell of a run, read once."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from chainloop_smtp import source, verdict
from chainloop_smtp.cli import evidence, lookups
from chainloop_smtp.cli.run import Run
from chainloop_smtp.model import origin
from chainloop_smtp.model.attested import Attestation, Workflow
from chainloop_smtp.model.facts import Job, RunFacts
from chainloop_smtp.model.frozen import dataclass
from chainloop_smtp.model.settings import Evidence, Lookup, Mailbox, Options
from chainloop_smtp.source import event


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """One run as the program reports on it: the facts, where they come from, and whom to tell.

    Attributes:
        people: Those that some list of recipients asks for.
        is_rehearsal: Nothing is sent.
    """

    facts: RunFacts
    found: Evidence
    people: Mapping[Lookup, tuple[Mailbox, ...]]
    is_rehearsal: bool


def read(run: Run, parsed: Options, wanted: Iterable[Lookup] = (), token: str = "") -> RunReport:
    """The story that the options name.

    Args:
        wanted: People whom somebody asks for.
        token: For GitHub's API; empty: there is none.

    Raises:
        AttestationError: The evidence cannot be read, or is none.
    """
    own = source.job(run.environ, parsed.job_status, parsed.needs)
    job = _reported(run, own) or own
    parsed = replace(parsed, job_status=job.status)
    found = evidence.read(run, parsed)
    attested, doubt = evidence.attested(run, parsed, found)
    if origin.attested_run(attested) == (own.repository, own.run_id):
        # A workflow that follows another one may attest what it does itself.
        job = own
    job = _named(run, job, parsed, attested)
    judged = verdict.judge(attested, job)
    wanted = frozenset(wanted)
    return RunReport(
        facts=RunFacts(
            job=job,
            verdict=replace(judged, doubt=" ".join(filter(None, (judged.doubt, doubt)))),
            attestation=attested,
            changes=evidence.changes(run, parsed, found, attested),
            now=run.now(is_dry_run=parsed.dry_run),
        ),
        found=found,
        people=lookups.found(run, parsed, job, attested, wanted, token) if wanted else {},
        is_rehearsal=parsed.dry_run,
    )


def _reported(run: Run, own: Job) -> Job | None:
    """The run that the job reports on; None where the job went wrong itself, and that run did not.

    It is then the job's own failure that somebody has to hear of.
    """
    other = event.reported(own, run.environ)
    is_own_failure = not own.is_success and other and Job(status=other.status).is_success
    return None if is_own_failure else other


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
