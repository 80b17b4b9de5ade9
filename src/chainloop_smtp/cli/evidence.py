"""The evidence that the options name -> what it says of the run."""

from dataclasses import replace
from functools import reduce

from chainloop_smtp import attestation, difference, source, verdict
from chainloop_smtp.cli.run import Run
from chainloop_smtp.errors import AttestationError
from chainloop_smtp.model.attested import Attestation
from chainloop_smtp.model.facts import Changes, Job
from chainloop_smtp.model.settings import Evidence, Options

UNREAD = (
    "There is evidence of this run that cannot be read; the log of the step that sent this mail "
    "says why."
)


def read(run: Run, parsed: Options) -> Evidence:
    """What the options name. The mail about a failed job does without what cannot be read."""
    found = source.read(parsed, run.environ, run.stdin)
    for failure in found.failures:
        run.console.warning(AttestationError.title, failure)
    for absence in found.absences:
        run.console.notice("nothing to compare with", absence)
    return found


def attested(run: Run, parsed: Options, evidence: Evidence) -> tuple[Attestation | None, str]:
    """What the evidence says of the run, or None where nothing was attested; and a doubt.

    Raises:
        AttestationError: It is damaged, or is not Chainloop's, and the jobs went well.
    """
    documents = evidence.documents
    if not parsed.is_success:
        # A push that failed may have printed no more than what its policies print.
        documents = tuple(document for document in documents if _may_hold_a_document(document))
    doubt = UNREAD if evidence.failures else ""
    if documents:
        try:
            attested = _joined("attestation", documents)
            if evidence.policy_evaluations is not None:
                attested = attestation.with_evaluations(attested, evidence.policy_evaluations)
        except AttestationError as error:
            if parsed.is_success:
                raise
            run.console.warning(error.title, str(error))
            return None, UNREAD
        return attested, doubt
    if parsed.attestation and parsed.is_success:
        run.console.warning(
            "the attestation is empty",
            "The Chainloop command printed nothing, so the mail cannot say whether the run was "
            "attested; the log of the step that ran it says why. Let `chainloop attestation push "
            "-o json > attestation.json` stand on a line of its own: with a pipe or $(…) around "
            "it, bash hides its exit code.",
        )
    elif parsed.is_success:
        blind = "" if parsed.needs else ", and needs, without which a failed job is not known"
        run.console.warning(
            "no evidence is given",
            "attestation and workflow-run-id are both empty, so the mail cannot say whether the "
            "run was attested. In a job of its own, give workflow-run-id (has the job that attests "
            f"the run's id among its outputs?){blind}.",
        )
    return None, doubt


def changes(
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
        previous = _joined("previous-attestation", evidence.previous)
    except AttestationError as error:
        if parsed.is_success:
            raise
        run.console.warning(error.title, str(error))
        return None
    # Whether the job went well is not in the evidence, so for neither of the two it counts.
    before = verdict.judge(previous, Job()).outcome
    if attested is None:
        refusal = "there is no evidence of this run"
    elif not (refusal := difference.refusal(previous, attested)):
        after = verdict.judge(attested, Job()).outcome
        return difference.compare(previous, attested, before=before, after=after)
    run.console.warning("nothing is compared", f"previous-attestation: {refusal}.")
    return None


def _may_hold_a_document(octets: bytes) -> bool:
    """There is an object in it, or it may be one in base64."""
    return b"{" in octets or octets.lstrip().startswith((b"ey", b"ew"))


def _joined(option: str, documents: tuple[bytes, ...]) -> Attestation:
    """All documents of an option as one; what is wrong with them is told with the option's name."""
    try:
        return reduce(attestation.join, map(attestation.parse, documents))
    except AttestationError as error:
        raise AttestationError(
            *(replace(each, where=f"{option} {each.where}") for each in error.problems)
        ) from error
