"""Options -> everything that is known about one run, read once."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial, reduce

from chainloop_smtp import addressing, attestation, difference, options, routing, source, verdict
from chainloop_smtp.background import BackgroundCall
from chainloop_smtp.cli.run import Run
from chainloop_smtp.errors import AttestationError, OptionsError, Problem
from chainloop_smtp.model.attested import Attestation, Workflow
from chainloop_smtp.model.checks import SignatureCheck, SignatureStatus, Trust
from chainloop_smtp.model.facts import (
    NO_EVIDENCE,
    NOT_FOUND,
    Changes,
    FailedStep,
    Job,
    Previous,
    RunFacts,
)
from chainloop_smtp.model.frozen import dataclass
from chainloop_smtp.model.runners import attested_run, is_same_run
from chainloop_smtp.model.settings import Evidence, Lookup, Mailbox, Options, RunSelection, Trigger
from chainloop_smtp.source.job import list_authors, list_commits, read_job, read_reported_run

UNREAD = "The evidence of this run cannot be read; see the log of the step that sent this mail."
_NO_ATTESTATION = "there is no attestation of an earlier run to compare with"
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
    # A schedule has nothing to do with the runs that it mails.
    is_scheduled = parsed.run_selection is RunSelection.NEW
    own = Job() if is_scheduled else read_job(run.environ, parsed.job_status, parsed.needs)
    job = _reported_job(run, own) or own
    parsed = replace(parsed, job_status=job.status, needs=job.needs)
    # GitHub and Chainloop are asked at the same time.
    look_up = _start_look_up(run, parsed, job, token)
    evidence = _evidence(run, parsed, job)
    if look_up:
        named, evidence = _with_failed_steps(run, job, evidence, look_up)
        own, job = named if own is job else own, named
    runs, unread = _attested_runs(run, parsed, evidence)
    report = partial(_report, run, parsed, (own, job), trust, unread, lookups, token)
    if len(runs) < 2:
        # With all that was given, and cannot be read.
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
    judged = verdict.judge(attested, job, checked)
    if evidence.is_searched and judged.reason == NO_EVIDENCE:
        judged = replace(judged, reason=NOT_FOUND)
    facts = RunFacts(
        job=job,
        verdict=replace(judged, doubt=" ".join(filter(None, (judged.doubt, unread)))),
        attestation=attested,
        signature=checked,
        unsigned=find_unsigned(attested, checked),
        changes=_changes(run, parsed, evidence, attested),
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


def _reported_job(run: Run, own: Job) -> Job | None:
    """The run that the job reports on; None where the job went wrong itself, and that run did not.

    It is then the job's own failure that somebody has to hear of.
    """
    other = read_reported_run(own, run.environ)
    is_own_failure = not own.is_success and other and Job(status=other.status).is_success
    return None if is_own_failure else other


def _start_look_up(run: Run, parsed: Options, job: Job, token: str) -> _LookUp | None:
    """Begin to ask GitHub where the jobs failed; None where all went well, or nobody is to ask."""
    if not (job.has_failed or job.is_stopped) or not (token and job.run_id) or job.ci:
        return None
    # Imported here: it is dear.
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
    # Imported here: only a run without attestation needs them, and PyYAML is slow to load.
    from chainloop_smtp.source import repository

    name, text = repository.read_names_file(run.environ.get("GITHUB_WORKSPACE", ""))
    try:
        if isinstance(text, Problem):
            raise OptionsError(text)
        if text:
            from chainloop_smtp.options.configuration.repository import parse_names

            return parse_names(text, name)
    except OptionsError as error:
        run.console.warning(f"{name} is not used", "; ".join(map(str, error.problems)))
    return "", ""


# --- the evidence ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _AttestedRun:
    """What the evidence says of one run, and the part of the evidence that says it."""

    attested: Attestation
    evidence: Evidence


def _evidence(run: Run, parsed: Options, job: Job) -> Evidence:
    """What the options name. The mail about a failed job does without what cannot be read."""
    evidence = source.read(parsed, run.environ, run.stdin, job)
    for failure in evidence.failures:
        run.console.warning(AttestationError.title, failure)
    for absence in evidence.absences:
        run.console.notice("nothing to compare with", absence)
    return evidence


def _attested_runs(run: Run, parsed: Options, evidence: Evidence) -> tuple[list[_AttestedRun], str]:
    """The runs that the evidence is about, and what the mails say of the rest.

    Raises:
        AttestationError: Some of it is damaged, or is not Chainloop's, and the jobs went well.
    """
    unread = UNREAD if evidence.failures else ""
    runs: list[_AttestedRun] = []
    for document in evidence.documents:
        # A push that failed may have printed no more than what its policies print.
        if not (parsed.is_success or _may_hold_a_document(document)):
            continue
        try:
            _add_document(runs, document, evidence)
        except AttestationError as error:
            named = _named_error("attestation", error)
            if parsed.is_success:
                raise named from error
            run.console.warning(named.title, str(named))
            unread = UNREAD
    try:
        runs = _with_evaluations(runs, evidence.policy_evaluations)
    except AttestationError as error:
        if parsed.is_success:
            raise
        run.console.warning(error.title, str(error))
        unread = UNREAD
    if parsed.is_success and not runs:
        _warn_no_evidence(run, parsed, evidence)
    return runs, unread


def _add_document(runs: list[_AttestedRun], document: bytes, evidence: Evidence) -> None:
    """Join a document with the others of its run; the first of a run begins a new one.

    Raises:
        AttestationError: It is damaged, or contradicts the others of its run.
    """
    attested = attestation.parse(document)
    refusal = None
    for index, known in enumerate(runs):
        ids = {each.lower() for each in (known.attested.run.id, attested.run.id) if each}
        if len(ids) == 2:
            continue
        try:
            joined = attestation.join(known.attested, attested)
        except AttestationError as error:
            # One that does not say its run's id may belong to a later one.
            refusal = error
            continue
        documents = (*known.evidence.documents, document)
        own = replace(known.evidence, documents=documents)
        runs[index] = _AttestedRun(attested=joined, evidence=own)
        return
    if refusal:
        raise refusal
    own = replace(evidence, documents=(document,), policy_evaluations=None)
    runs.append(_AttestedRun(attested=attested, evidence=own))


def _with_evaluations(runs: list[_AttestedRun], stored: bytes | None) -> list[_AttestedRun]:
    """The runs with the evaluations added to the one that they belong to.

    Raises:
        AttestationError: They are damaged, or belong to none.
    """
    if stored is None or not runs:
        return runs
    refusals = []
    for index, each in enumerate(runs):
        try:
            attested = attestation.with_evaluations(each.attested, stored)
        except AttestationError as error:
            refusals.append(error)
            continue
        own = replace(each.evidence, policy_evaluations=stored)
        return [*runs[:index], _AttestedRun(attested=attested, evidence=own), *runs[index + 1 :]]
    raise _named_error("attestation", refusals[0])


def _warn_no_evidence(run: Run, parsed: Options, evidence: Evidence) -> None:
    """Say why the mail can only say how the jobs went."""
    if parsed.attestation:
        run.console.warning(
            "the attestation is empty",
            "The Chainloop command printed nothing, so the mail cannot say whether the run was "
            "attested; see the log of the step that ran it. Put `chainloop attestation push "
            "-o json > attestation.json` on a line of its own: in a pipe or $(…), bash hides its "
            "exit code.",
        )
        return
    blind = "" if parsed.needs else " Set needs too: without it, a failed job goes unnoticed."
    if evidence.is_searched:
        run.console.warning(
            "no Chainloop run found",
            "Chainloop has no run for this CI run, so the mail says that it was not attested. "
            "Does this job wait for the one that attests, and does CHAINLOOP_TOKEN belong to "
            f"the same organization?{blind}",
        )
        return
    # Imported here: it is slow to load.
    from chainloop_smtp.source import command

    if command.is_installed(run.environ) and not run.environ.get("CHAINLOOP_TOKEN"):
        run.console.warning("no evidence is given", f"{command.LOGIN_HINT}{blind}")
        return
    run.console.warning(
        "no evidence is given",
        "attestation and workflow-run-id are both empty, so the mail cannot say whether the "
        "run was attested. Install the chainloop command and give this step CHAINLOOP_TOKEN: it "
        "then finds the attestations of this CI run by itself. Or set attestation to the file with "
        f"the output of the push.{blind}",
    )


def _may_hold_a_document(content: bytes) -> bool:
    """There is an object in it, or it may be one in base64."""
    return b"{" in content or content.lstrip().startswith((b"ey", b"ew"))


def _joined(option: str, documents: tuple[bytes, ...]) -> Attestation:
    """All documents of an option as one; errors name the option."""
    try:
        return reduce(attestation.join, map(attestation.parse, documents))
    except AttestationError as error:
        raise _named_error(option, error) from error


def _named_error(option: str, error: AttestationError) -> AttestationError:
    return AttestationError(
        *(replace(each, where=f"{option} {each.where}") for each in error.problems)
    )


# --- the run before ----------------------------------------------------------------------------


def _changes(
    run: Run, parsed: Options, evidence: Evidence, attested: Attestation | None
) -> Changes | None:
    """What differs from the earlier run that the options name; None where nothing is compared.

    Raises:
        AttestationError: The earlier evidence is damaged, or is not Chainloop's, and the jobs
            went well.
    """
    if not evidence.previous:
        return None
    try:
        earlier = _joined("previous-attestation", evidence.previous)
    except AttestationError as error:
        if parsed.is_success:
            raise
        run.console.warning(error.title, str(error))
        return None
    refusal = (
        difference.refusal(earlier, attested) if attested else "there is no evidence of this run"
    )
    if attested and not refusal:
        return _compared(earlier, attested)
    run.console.warning("nothing is compared", f"previous-attestation: {refusal}.")
    return None


def _compared(earlier: Attestation, attested: Attestation) -> Changes:
    # Whether the job went well is not in the evidence, so it counts for neither of the two.
    before, after = (verdict.judge(each, Job()).outcome for each in (earlier, attested))
    return difference.compare(earlier, attested, before=before, after=after)


def previous(
    run: Run, report: RunReport, parsed: Options, triggers: Iterable[Trigger], token: str
) -> Previous:
    """Find out about the run before, as far as a trigger compares with it.

    The first of three that knows it says so: the attestation that the options name, the
    ``chainloop`` command, and GitHub's API, which only knows how its job ended.

    Args:
        triggers: Of all routes.
        token: For GitHub's API; empty: there is none.
    """
    if changes := report.facts.changes:
        return _known(changes, "previous-attestation")
    comparing = set(triggers).intersection(routing.COMPARISON_TRIGGERS)
    if not comparing:
        return Previous(source=_NO_ATTESTATION)
    by_chainloop = _by_chainloop(run, report.facts.attestation, parsed)
    if by_chainloop.outcome is None and comparing - {Trigger.NEW_VIOLATIONS}:
        # Imported here: it is dear.
        from chainloop_smtp.source import github

        transport = parsed.transport
        by_github = github.find_previous(
            report.facts.job, run.environ, token, transport.timeout, transport.deadline
        )
        if by_github.has_succeeded is None:
            return Previous(source=f"{by_chainloop.source}, and {by_github.source}")
        return by_github
    return by_chainloop


def _known(changes: Changes, name: str) -> Previous:
    outcome = verdict.judge(changes.previous, Job()).outcome
    return Previous(source=name, outcome=outcome, changes=changes)


def _by_chainloop(run: Run, attested: Attestation | None, parsed: Options) -> Previous:
    """The last run of the same Chainloop workflow, described by the ``chainloop`` command."""
    if attested is None or not attested.workflow.name:
        return Previous(source=_NO_ATTESTATION)
    try:
        earlier = _described(run, attested, parsed)
    except AttestationError as error:
        return Previous(source=f"the chainloop command gives no answer ({error.problems[0].why})")
    if earlier is None:
        return Previous(source="Chainloop has no earlier run of this workflow")
    name = "chainloop workflow run list"
    if difference.refusal(earlier, attested):
        return Previous(source=name, outcome=verdict.judge(earlier, Job()).outcome)
    return _known(_compared(earlier, attested), name)


def _described(run: Run, attested: Attestation, parsed: Options) -> Attestation | None:
    # Imported here: it is only for those who compare.
    from chainloop_smtp.source import MAX_BYTES, command

    deadline, workflow = parsed.transport.deadline, attested.workflow
    runs = next(
        command.list_runs(
            run.environ, deadline, MAX_BYTES, workflow=workflow.name, project=workflow.project
        )
    )
    # The latest comes first, and others may have begun since this one did.
    ids = [each.id for each in runs]
    position = ids.index(attested.run.id) + 1 if attested.run.id in ids else 0
    ended = (each.id for each in runs[position:] if each.state != "in progress")
    if (earlier := next(ended, None)) is None:
        return None
    return attestation.parse(command.describe(earlier, run.environ, deadline, MAX_BYTES))


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
    # Imported here: few look for somebody, and starting processes is dear to load.
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
    # Imported here: it is dear, and only for those who ask.
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
