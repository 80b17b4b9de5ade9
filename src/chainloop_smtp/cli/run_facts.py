"""Options -> everything that is known about one run, read once."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial

from chainloop_smtp import addressing, attestation, options, verdict
from chainloop_smtp.background import BackgroundCall
from chainloop_smtp.cli.evidence import attested_runs, compare, read_evidence
from chainloop_smtp.cli.run import Run
from chainloop_smtp.errors import OptionsError, Problem
from chainloop_smtp.model.attested import Attestation, Evidence, Workflow
from chainloop_smtp.model.checks import SignatureCheck, SignatureStatus, Trust
from chainloop_smtp.model.facts import (
    NO_EVIDENCE,
    NOT_FOUND,
    FailedStep,
    Job,
    RunFacts,
)
from chainloop_smtp.model.frozen import dataclass
from chainloop_smtp.model.runners import attested_run, is_same_run
from chainloop_smtp.model.settings import Lookup, Mailbox, Options, RunSelection
from chainloop_smtp.source import paths
from chainloop_smtp.source.job import list_authors, list_commits, read_job, read_reported_run

_GIT_SECONDS = 10
_STEPS_SECONDS = 10

Person = tuple[str, str]
"""Name and address."""

_LookUp = BackgroundCall[tuple[tuple[FailedStep, ...], str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """One run as the program reports on it: the facts, where they come from, and people to mail.

    Attributes:
        people: Those that some list of recipients asks for.
        is_dry_run: Nothing is sent.
        number: Of the run among those that the step mails, from 0 on.
        label: Names the run where there are several; else empty.
        is_scheduled: Another job may have to send the same mail again.
    """

    facts: RunFacts
    evidence: Evidence
    people: Mapping[Lookup, tuple[Mailbox, ...]]
    is_dry_run: bool
    number: int = 0
    label: str = ""
    is_scheduled: bool = False


def read(
    run: Run,
    parsed: Options,
    lookups: Iterable[Lookup],
    token: str,
    trust: Trust | None = None,
) -> tuple[RunReport, ...]:
    """Read the runs that the options name.

    Args:
        lookups: People whom some list of recipients asks for.
        token: For GitHub's API; empty: there is none.
        trust: Whose signature counts; None: signatures are not verified.

    Returns:
        At least one: a run without evidence has its job's facts.

    Raises:
        AttestationError: The evidence cannot be read, or is not Chainloop's.
    """
    own, job = read_jobs(run, parsed)
    parsed = replace(parsed, job_status=job.status, needs=job.needs)
    # GitHub and Chainloop are asked at the same time.
    look_up = _start_look_up(run, parsed, job, token)
    evidence = read_evidence(run, parsed, job)
    if look_up:
        named, evidence = _with_failed_steps(run, job, evidence, look_up)
        own, job = named if own is job else own, named
    runs, unread = attested_runs(run, parsed, evidence)
    report = partial(_report, run, parsed, (own, job), trust, unread, lookups, token)
    if len(runs) < 2:
        # Attach everything that was given, even what cannot be read.
        return (report(runs[0].attested if runs else None, evidence),)
    return tuple(
        replace(
            report(each.attested, each.evidence),
            number=number,
            label=label(each.attested.workflow, each.attested.run.id),
        )
        for number, each in enumerate(runs)
    )


def _report(
    run: Run,
    parsed: Options,
    jobs: tuple[Job, Job],
    trust: Trust | None,
    unread: str,
    lookups: Iterable[Lookup],
    token: str,
    attested: Attestation | None,
    evidence: Evidence,
) -> RunReport:
    """One run.

    Args:
        jobs: The job's own run, and the run that it reports on.
        evidence: As far as it is about this run.
    """
    own, job = jobs
    if attested_run(attested) == (own.repository, own.run_id):
        # A workflow that follows another one may attest what it does itself.
        job = own
    job = _named(run, job, parsed, attested)
    checked = check_signature(attested, trust) if trust else None
    judged = verdict.judge(attested, job, checked, is_by_id=bool(parsed.workflow_run_ids))
    if evidence.is_searched and judged.reason == NO_EVIDENCE:
        judged = replace(judged, reason=NOT_FOUND)
    facts = RunFacts(
        job=job,
        verdict=replace(judged, doubt=" ".join(filter(None, (judged.doubt, unread)))),
        attestation=attested,
        signature=checked,
        unsigned=find_unsigned(attested, checked),
        changes=compare(run, parsed, evidence, attested),
        now=run.now(is_dry_run=parsed.dry_run),
    )
    people = {each: _people(run, parsed, each, facts, token) for each in sorted(set(lookups))}
    _say_doubts(run, parsed, facts, judged.doubt)
    return RunReport(facts=facts, evidence=evidence, people=people, is_dry_run=parsed.dry_run)


def _say_doubts(run: Run, parsed: Options, facts: RunFacts, doubt: str) -> None:
    """Log why the evidence may be another run's or false, and whose signature it has."""
    if doubt:
        advice = (
            "Is attestation the right file, or is it left over from an earlier run? Let the step "
            "that pushes overwrite it, or remove it first."
            if parsed.attestation
            else "Chainloop returned this run, but its attestation names the other one."
        )
        run.console.warning("the evidence is in doubt", f"{doubt} {advice}")
    signature = facts.signature
    if signature is None:
        return
    if signature.status is SignatureStatus.VERIFIED:
        by = signature.signer or f"key {signature.key_fingerprint}"
        run.console.say(f"The signature verifies: signed by {by}.")
    elif facts.is_unverified:
        is_wrong = facts.has_wrong_signature
        title = "invalid signature" if is_wrong else "the signature is not checked"
        run.console.warning(title, f"{signature.reason}.")


# --- the signature -----------------------------------------------------------------------------


def check_signature(attested: Attestation | None, trust: Trust) -> SignatureCheck:
    """Find out whether those who are trusted have signed the evidence."""
    from chainloop_smtp import signature

    if attested is None:
        return SignatureCheck(status=SignatureStatus.UNCHECKED, reason="there is no evidence")
    return signature.verify(attested, trust)


def find_unsigned(attested: Attestation | None, checked: SignatureCheck | None) -> tuple[str, ...]:
    """Name what the mail shows and a verified signature does not cover."""
    is_verified = checked is not None and checked.status is SignatureStatus.VERIFIED
    return attestation.find_unsigned(attested) if attested and is_verified else ()


def unverified(report: RunReport) -> Problem:
    """What is wrong with a signature that is required."""
    signature = report.facts.signature
    why = signature.reason if signature else ""
    return Problem(" ".join(filter(None, ("require-signature", report.label))), why)


def label(workflow: Workflow, run_id: str) -> str:
    """The run in a few words, for the log and the job summary."""
    names = " / ".join(filter(None, (workflow.project, workflow.name)))
    return " ".join(filter(None, (names, run_id[:8])))


# --- the job -----------------------------------------------------------------------------------


def read_jobs(run: Run, parsed: Options) -> tuple[Job, Job]:
    """Read the job's own run, and the run that it reports on, which most often is the same.

    Where the job went wrong and the other run did not, somebody has to hear of the job's failure.
    """
    # A schedule has nothing to do with the runs that it mails.
    is_scheduled = parsed.run_selection is RunSelection.NEW
    own = Job() if is_scheduled else read_job(run.environ, parsed.job_status, parsed.needs)
    other = read_reported_run(own, run.environ)
    is_own_failure = not own.is_success and other and Job(status=other.status).is_success
    return own, own if is_own_failure or not other else other


def _start_look_up(run: Run, parsed: Options, job: Job, token: str) -> _LookUp | None:
    """Begin to ask GitHub where the jobs failed; None where all went well, or nobody is to ask."""
    if not (job.has_failed or job.is_stopped) or not (token and job.run_id) or job.ci:
        return None
    # Imported here: slow to load.
    from chainloop_smtp.source import github

    transport = parsed.transport
    return BackgroundCall(
        lambda: github.find_failed_steps(
            job, run.environ, token, transport.timeout, transport.deadline
        )
    )


def _with_failed_steps(
    run: Run, job: Job, evidence: Evidence, look_up: _LookUp
) -> tuple[Job, Evidence]:
    """The job with its failed steps; the mail goes without them where GitHub does not say."""
    started = time.monotonic()
    try:
        steps, why = look_up.result(_STEPS_SECONDS)
    except TimeoutError:
        steps, why = (), f"GitHub has not answered within {_STEPS_SECONDS} seconds"
    if why:
        run.console.notice("failed step not named", f"{why}.")
    seconds = evidence.network_seconds + time.monotonic() - started
    return replace(job, failed_steps=steps), replace(evidence, network_seconds=seconds)


def _named(run: Run, job: Job, parsed: Options, attested: Attestation | None) -> Job:
    """The job with the names that the inputs give, where no attestation says them."""
    workflow = attested.workflow if attested else Workflow()
    for name, given, attested_names in (
        ("project", parsed.project, (workflow.project,)),
        ("workflow", parsed.workflow, (workflow.name, workflow.id)),
    ):
        if given and attested_names[0] and given not in attested_names:
            text = f"{name} is {given}, but the attestation says {attested_names[0]}"
            run.console.notice(f"another {name}", f"{text}, which is used.")
    # What is checked out to report on another run is not what that run was for.
    is_own = attested is None and job.sender is None
    project, version = _repository_names(run) if is_own else ("", "")
    return replace(
        job,
        chainloop_project="" if workflow.project else parsed.project or project,
        chainloop_workflow="" if workflow.name else parsed.workflow,
        # The version of one project says nothing of another one.
        chainloop_version=version if parsed.project in ("", project) or not project else "",
        is_project_from_file=project != "" and not parsed.project,
    )


def _repository_names(run: Run) -> tuple[str, str]:
    """Project and version that Chainloop's CLI would have taken from the repository."""
    name, text = paths.read_names_file(run.environ.get("GITHUB_WORKSPACE", ""))
    try:
        if isinstance(text, Problem):
            raise OptionsError(text)
        if text:
            # Imported here: PyYAML is slow to load.
            from chainloop_smtp.options.configuration.document import project_and_version

            return project_and_version(text, name)
    except OptionsError as error:
        run.console.warning(f"{name} is not used", "; ".join(map(str, error.problems)))
    return "", ""


# --- people ------------------------------------------------------------------------------------


def _people(
    run: Run, parsed: Options, lookup: Lookup, facts: RunFacts, token: str
) -> tuple[Mailbox, ...]:
    """Those whom a word stands for; the log says who cannot be found or is left out."""
    if lookup is Lookup.AUTHOR:
        persons, why = _author(run, parsed, facts)
    else:
        persons, why = _contributors(run, parsed, facts, token)
    if why:
        run.console.notice(f"no {lookup}", f"{why[0].upper()}{why[1:]}.")
    boxes = [options.mailbox(name, address) for name, address in persons]
    people = tuple(box for box in boxes if box and addressing.is_unambiguous(box))
    if left_out := len(boxes) - len(people):
        # Not by the address, which may be one for bcc.
        run.console.warning(
            f"{lookup} left out",
            f"{left_out} of {len(boxes)} looked-up addresses may be routed elsewhere or cannot "
            "be parsed, so no mail is sent to them. To send to one anyway, write it in to, cc or "
            "bcc.",
        )
    return people


def _author(run: Run, parsed: Options, facts: RunFacts) -> tuple[list[Person], str]:
    """The author of the commit: by the event, by the repository, by the attestation.

    On the run that the job is about, GitHub's word and the commit itself go before the evidence,
    which nobody has verified. On any other run, as on all those of a schedule, only the evidence
    can say.
    """
    job, attested = facts.job, facts.attestation
    commit = attested.commit if attested else None
    by_evidence = (commit.author_name, commit.author_email) if commit else None
    if not (by_evidence and by_evidence[1]):
        by_evidence = None
    attested_sha = commit.sha if commit else ""
    by_event = next(iter(list_authors(run.environ)), None)
    own = list_commits(job, run.environ)
    # What is checked out to report on another run is not what that run was for.
    head = "" if job.sender else "HEAD"
    is_scheduled = parsed.run_selection is RunSelection.NEW
    if is_scheduled or (job.run_id and not is_same_run(attested, job)):
        person = by_evidence or _git_author(run, job, attested_sha)
    elif job.run_id:
        person = (
            by_event
            or _git_author(run, job, *own)
            or by_evidence
            or _git_author(run, job, attested_sha, head)
        )
    else:
        person = by_evidence or by_event or _git_author(run, job, *own, attested_sha, head)
    if person:
        return [person], ""
    return [], (
        "neither the event nor the attestation names the author of the commit, and the commit is "
        "not in the workspace: add a step with actions/checkout"
    )


def _git_author(run: Run, job: Job, *revisions: str) -> Person | None:
    """The author of the first of these commits that the workspace has."""
    # Imported here: slow to load, and few look for authors.
    from chainloop_smtp.source import command

    workspace = run.environ.get("GITHUB_WORKSPACE") or "."
    for revision in revisions:
        person = command.find_author(revision, workspace, job.repository, run.environ, _GIT_SECONDS)
        if person:
            return person
    return None


def _contributors(
    run: Run, parsed: Options, facts: RunFacts, token: str
) -> tuple[list[Person], str]:
    """Those whom GitHub names; else those of the push, or the author of the commit."""
    # Imported here: slow to load, and few look for contributors.
    from chainloop_smtp.source import github

    transport = parsed.transport
    people, why = github.find_contributors(
        facts.job, run.environ, token, transport.timeout, transport.deadline
    )
    if people:
        return people, ""
    why = why or "there is no commit since the last good run"
    is_scheduled = parsed.run_selection is RunSelection.NEW
    authors = [] if is_scheduled else list(list_authors(run.environ))
    people = authors or _author(run, parsed, facts)[0]
    return (
        people,
        f"{why}; {'the authors of the last commits are' if people else 'nobody is'} used instead",
    )
