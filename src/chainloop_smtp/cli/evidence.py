"""Options -> the attested runs that the evidence is about, and what each is compared with."""

from collections.abc import Iterable
from dataclasses import replace
from functools import reduce

from chainloop_smtp import attestation, difference, routing, source, verdict
from chainloop_smtp.cli.run import Run
from chainloop_smtp.errors import AttestationError
from chainloop_smtp.model.attested import Attestation, Evidence
from chainloop_smtp.model.facts import Changes, Job, Previous, RunFacts
from chainloop_smtp.model.frozen import dataclass
from chainloop_smtp.model.settings import Options, Trigger

UNREAD = "The evidence of this run cannot be read; see the log of the step that sent this mail."
_NO_ATTESTATION = "there is no attestation of an earlier run to compare with"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestedRun:
    """What the evidence says of one run, and the part of the evidence that says it."""

    attested: Attestation
    evidence: Evidence


def read_evidence(run: Run, parsed: Options, job: Job) -> Evidence:
    """What the options name. The mail about a failed job does without what cannot be read."""
    evidence = source.read(parsed, run.environ, run.stdin, job)
    for failure in evidence.failures:
        run.console.warning(AttestationError.title, failure)
    for absence in evidence.absences:
        run.console.notice("nothing to compare with", absence)
    return evidence


def attested_runs(run: Run, parsed: Options, evidence: Evidence) -> tuple[list[AttestedRun], str]:
    """The runs that the evidence is about, and what the mails say of the rest.

    Raises:
        AttestationError: Some of it is damaged, or is not Chainloop's, and the jobs went well.
    """
    unread = UNREAD if evidence.failures else ""
    runs: list[AttestedRun] = []
    for document in evidence.documents:
        # A push that failed may have printed no more than what its policies print.
        if not (parsed.is_success or _may_hold_a_document(document)):
            continue
        try:
            _add_document(runs, document, evidence)
        except AttestationError as error:
            _warn_or_raise(run, parsed, "attestation", error)
            unread = UNREAD
    try:
        _add_evaluations(runs, evidence.policy_evaluations)
    except AttestationError as error:
        _warn_or_raise(run, parsed, "attestation", error)
        unread = UNREAD
    if parsed.is_success and not runs:
        _warn_no_evidence(run, parsed, evidence)
    return runs, unread


def _add_document(runs: list[AttestedRun], document: bytes, evidence: Evidence) -> None:
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
        runs[index] = AttestedRun(attested=joined, evidence=own)
        return
    if refusal:
        raise refusal
    own = replace(evidence, documents=(document,), policy_evaluations=None)
    runs.append(AttestedRun(attested=attested, evidence=own))


def _add_evaluations(runs: list[AttestedRun], stored: bytes | None) -> None:
    """Add the evaluations to the run that they belong to.

    Raises:
        AttestationError: They are damaged, or belong to none.
    """
    if stored is None or not runs:
        return
    refusals = []
    for index, each in enumerate(runs):
        try:
            attested = attestation.with_evaluations(each.attested, stored)
        except AttestationError as error:
            refusals.append(error)
            continue
        own = replace(each.evidence, policy_evaluations=stored)
        runs[index] = AttestedRun(attested=attested, evidence=own)
        return
    raise refusals[0]


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
    # Only GitHub has needs; elsewhere, the job itself says how it went.
    is_blind = run.console.is_actions and not parsed.needs
    blind = " Set needs too: without it, a failed job goes unnoticed." if is_blind else ""
    if evidence.is_searched:
        run.console.warning(
            "no Chainloop run found",
            "Chainloop has no run for this CI run, so the mail says that it was not attested. "
            "Does this job wait for the one that attests, and does CHAINLOOP_TOKEN belong to "
            f"the same organization?{blind}",
        )
        return
    # Imported here: slow to load.
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
    """Whether there is an object in it, or something that may be one in base64."""
    return b"{" in content or content.lstrip().startswith((b"ey", b"ew"))


def _warn_or_raise(run: Run, parsed: Options, option: str, error: AttestationError) -> None:
    """Raise the error where the jobs went well; the mail about a failed job goes without."""
    named = named_error(option, error)
    if parsed.is_success:
        raise named from error
    run.console.warning(named.title, str(named))


def named_error(whose: str, error: AttestationError) -> AttestationError:
    """The same error, each problem with the document that it is in."""
    return AttestationError(
        *(replace(each, where=f"{whose} {each.where}") for each in error.problems)
    )


# --- the run before ----------------------------------------------------------------------------


def compare(
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
        earlier = reduce(attestation.join, map(attestation.parse, evidence.previous))
    except AttestationError as error:
        _warn_or_raise(run, parsed, "previous-attestation", error)
        return None
    refusal = (
        difference.refusal(earlier, attested) if attested else "there is no evidence of this run"
    )
    if attested and not refusal:
        return _compared(earlier, attested)
    run.console.warning("nothing is compared", f"previous-attestation: {refusal}.")
    return None


def _compared(earlier: Attestation, attested: Attestation) -> Changes:
    # Neither run's job counts: the evidence does not say how the earlier one went.
    before, after = (verdict.judge(each, Job()).outcome for each in (earlier, attested))
    return difference.compare(earlier, attested, before=before, after=after)


def find_previous(
    run: Run, facts: RunFacts, parsed: Options, triggers: Iterable[Trigger], token: str
) -> Previous:
    """Find out about the run before, as far as a trigger compares with it.

    The first of three that knows it says so: the attestation that the options name, the
    ``chainloop`` command, and GitHub's API, which only knows how its job ended.

    Args:
        triggers: Of all routes.
        token: For GitHub's API; empty: there is none.
    """
    if changes := facts.changes:
        return _known(changes, "previous-attestation")
    comparing = set(triggers).intersection(routing.COMPARISON_TRIGGERS)
    if not comparing:
        return Previous(source=_NO_ATTESTATION)
    by_chainloop = _by_chainloop(run, facts.attestation, parsed)
    if by_chainloop.outcome is None and comparing - {Trigger.NEW_VIOLATIONS}:
        # Imported here: slow to load.
        from chainloop_smtp.source import github

        transport = parsed.transport
        by_github = github.find_previous(
            facts.job, run.environ, token, transport.timeout, transport.deadline
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
    # Imported here: few compare.
    from chainloop_smtp.source import command

    deadline, workflow = parsed.transport.deadline, attested.workflow
    runs = next(
        command.list_runs(run.environ, deadline, workflow=workflow.name, project=workflow.project)
    )
    # The latest comes first, and others may have begun since this one did.
    ids = [each.id for each in runs]
    position = ids.index(attested.run.id) + 1 if attested.run.id in ids else 0
    ended = (each.id for each in runs[position:] if each.state != "in progress")
    if (earlier := next(ended, None)) is None:
        return None
    return attestation.parse(command.describe(earlier, run.environ, deadline))
