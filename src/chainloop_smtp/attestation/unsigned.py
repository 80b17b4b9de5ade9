"""Attestation -> what it says beyond the statement that its envelope holds.

A verified signature covers that statement. What the run's other documents add, such as the JSON
that a push prints, is not signed.
"""

from collections import Counter
from collections.abc import Iterator

from chainloop_smtp.attestation import predicate
from chainloop_smtp.attestation.decoding import decode_text, parse_document
from chainloop_smtp.attestation.fields import Node
from chainloop_smtp.model.attested import Attestation, Envelope, Evaluation, Material, Policies

_MOST_NAMES = 3


def find_unsigned(attestation: Attestation) -> tuple[str, ...]:
    """Name what a mail shows of the run and the statement does not say, or says otherwise.

    Whatever the statement says, the attestation says too, unless another document overrules it. Run
    state, links and the times of the control plane are never in a statement, and not named.

    Returns:
        Such as ``material image`` or ``details of policy evaluations``; empty when all is covered,
        or there is no envelope.
    """
    envelope = attestation.envelope
    if envelope is None:
        return ()
    root = Node(None)
    payload = decode_text(envelope.payload, root)
    signed = predicate.read_statement(parse_document(payload, root), attestation.shape)
    return (
        *_materials(attestation, signed),
        *(
            name
            for name, one, other in (
                ("commit", attestation.commit, signed.commit),
                ("run id", attestation.run.id, signed.run.id),
                ("organization", attestation.workflow.organization, signed.workflow.organization),
                ("project", attestation.workflow.project, signed.workflow.project),
                ("workflow", attestation.workflow.name, signed.workflow.name),
                ("annotations", attestation.annotations, signed.annotations),
                ("environment variables", attestation.environment, signed.environment),
            )
            if one != other
        ),
        *_policies(attestation.policies, signed.policies, envelope),
    )


def _policies(shown: Policies, signed: Policies, envelope: Envelope) -> Iterator[str]:
    """What decides the verdict, and what is shown of it."""
    if _status(shown) != _status(signed):
        yield "policy status"
    known = signed.evaluations
    if signed.reference == shown.reference:
        # Those that hash to the digest that the statement names, where they were given.
        known = known or envelope.evaluations
    if shown.evaluations in ((), known):
        return
    # A statement leaves out findings and suppressed violations.
    if Counter(map(_essence, shown.evaluations)) == Counter(map(_essence, known)):
        yield "details of policy evaluations"
    elif signed.reference and not known:
        # As Chainloop's control plane adds them. Whether there are violations, is signed.
        yield "policy evaluations (only their digest)"
    else:
        yield "policy evaluations"


def _status(policies: Policies) -> tuple[bool | None, ...]:
    return (
        policies.is_blocked,
        policies.is_bypassed,
        policies.has_violations,
        policies.has_gated_violations,
    )


def _essence(evaluation: Evaluation) -> tuple[object, ...]:
    """What a statement holds of an evaluation with violations that count."""
    violations = sorted((each.subject, each.message) for each in evaluation.active_violations)
    return evaluation.name, evaluation.material, tuple(violations)


def _materials(attestation: Attestation, signed: Attestation) -> tuple[str, ...]:
    known = {(each.name, each.digest) for each in signed.materials}
    others = [each for each in attestation.materials if _is_other(each, known)]
    names = [f"material {each.name}" for each in others[:_MOST_NAMES]]
    more = len(others) - len(names)
    return (*names, *([f"{more} more material{'s' if more > 1 else ''}"] if more else []))


def _is_other(material: Material, known: set[tuple[str, str]]) -> bool:
    return material.is_set and (material.name, material.digest) not in known
