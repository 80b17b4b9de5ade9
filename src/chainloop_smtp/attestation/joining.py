"""Two sources of one run -> one Attestation. What one does not say is taken from the other."""

from collections import Counter
from dataclasses import fields, replace
from typing import TYPE_CHECKING, TypeVar

from chainloop_smtp.attestation import materials
from chainloop_smtp.attestation.fields import Node, excerpt
from chainloop_smtp.errors import AttestationError, Problem
from chainloop_smtp.model.attested import (
    Annotation,
    Attestation,
    Evaluation,
    Material,
    Policies,
    RunState,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Facts = TypeVar("_Facts", bound="DataclassInstance")


def join(first: Attestation, second: Attestation) -> Attestation:
    """Join two attestations of one run.

    Where both say something, what stands in an envelope counts, which may be signed; else the
    first. Materials stay in the order of the first.

    Raises:
        AttestationError: Their run ids, digests or workflows differ. It names both.
    """
    for what, one, other in (
        ("run id", first.run.id, second.run.id),
        ("digest", first.digest, second.digest),
    ):
        if one and other and one.lower() != other.lower():
            raise _disagreement(what, first, excerpt(one, 80), second, excerpt(other, 80))
    for claimant, holder in ((first, second), (second, first)):
        digests = holder.signing.bundle_digests
        if claimant.digest and digests and claimant.digest.lower() not in digests:
            claim = excerpt(claimant.digest, 80)
            raise _disagreement("digest", claimant, claim, holder, f"{digests[0]} (its bytes)")
    if not _are_tied(first, second):
        for what, one, other in (
            ("workflow ID", first.workflow.id, second.workflow.id),
            ("project", first.workflow.project, second.workflow.project),
            ("workflow", first.workflow.name, second.workflow.name),
        ):
            if one and other and one != other:
                raise _disagreement(what, first, excerpt(one, 80), second, excerpt(other, 80))
    is_second_signed = second.envelope is not None and first.envelope is None
    joined = verify_digest(merge(second, first) if is_second_signed else merge(first, second))
    shape = first.shape if first.shape == second.shape else f"{first.shape} and {second.shape}"
    return replace(joined, shape=shape, materials=_sort_as(first.materials, joined.materials))


def _are_tied(first: Attestation, second: Attestation) -> bool:
    """Whether both name the run, or the attestation; in a dry run, neither does."""
    both = (first, second)
    have_digests = all(each.digest or each.signing.bundle_digests for each in both)
    return all(each.run.id for each in both) or (
        # A claimed digest has been compared with the other; the bytes of two bundles have not.
        have_digests and any(each.digest for each in both)
    )


def _disagreement(
    what: str, first: Attestation, one: str, second: Attestation, other: str
) -> AttestationError:
    return AttestationError(
        Problem(
            what,
            f"`{first.shape}` says {one}, `{second.shape}` says {other}: "
            "these are not the same run",
            "Give two documents of the same run.",
        )
    )


def check_same_run(run_id: Node, attestation: Attestation) -> None:
    """Check that a document and the attestation inside it are of one run.

    Args:
        run_id: The document's own.

    Raises:
        AttestationError: The attestation names another run.
    """
    outer, inner = run_id.text(), attestation.run.id
    if outer and inner and outer.lower() != inner.lower():
        raise run_id.error(
            f"is {excerpt(outer, 80)}, but the attestation in this document is of run "
            f"{excerpt(inner, 80)}",
            "The document mixes two runs. Print it again.",
        )


def verify_digest(attestation: Attestation) -> Attestation:
    """Compare the claimed digest with the bundle, when there are both."""
    claim, digests = attestation.digest.lower(), attestation.signing.bundle_digests
    is_verified = claim in digests if claim and digests else None
    return replace(
        attestation, signing=replace(attestation.signing, is_digest_verified=is_verified)
    )


def merge(first: Attestation, second: Attestation) -> Attestation:
    """Fill in what the first does not say from the second, without comparing them."""
    return replace(
        _merge_fields(first, second),
        is_recorded=first.is_recorded or second.is_recorded,
        is_retrieved=_is_retrieved(first, second),
        run=replace(_merge_fields(first.run, second.run), state=_state(first, second)),
        workflow=replace(
            _merge_fields(first.workflow, second.workflow),
            version=_merge_optional(first.workflow.version, second.workflow.version),
        ),
        runner=_merge_fields(first.runner, second.runner),
        materials=_merge_materials(first.materials, second.materials),
        bad_material_count=max(first.bad_material_count, second.bad_material_count),
        annotations=_merge_annotations(first.annotations, second.annotations),
        environment=_merge_annotations(first.environment, second.environment),
        policies=merge_policies(first.policies, second.policies),
        commit=_merge_optional(first.commit, second.commit),
        signing=replace(
            _merge_fields(first.signing, second.signing),
            timestamp_count=max(first.signing.timestamp_count, second.signing.timestamp_count),
        ),
    )


def _is_retrieved(first: Attestation, second: Attestation) -> bool:
    """Whether one of them holds what was recorded."""
    recorded = [each.is_retrieved for each in (first, second) if each.is_recorded]
    return any(recorded) or not recorded


def _state(first: Attestation, second: Attestation) -> RunState | None:
    """The state of the run; that it is in progress may have been printed before it ended."""
    holders = [each for each in (first, second) if each.run.state]
    ended = [each.run.state for each in holders if each.run.state is not RunState.IN_PROGRESS]
    if ended:
        return ended[0]
    is_recorded = first.is_recorded or second.is_recorded
    is_outdated = is_recorded and not any(each.is_recorded for each in holders)
    return RunState.IN_PROGRESS if holders and not is_outdated else None


def _merge_fields(first: _Facts, second: _Facts) -> _Facts:
    """Fill in the first's empty fields from the second."""
    return replace(
        first,
        **{
            field.name: getattr(second, field.name)
            for field in fields(first)
            if getattr(first, field.name) in (None, "", ())
        },
    )


def _merge_optional(first: _Facts | None, second: _Facts | None) -> _Facts | None:
    if first is None or second is None:
        return first or second
    return _merge_fields(first, second)


def _merge_materials(
    first: tuple[Material, ...], second: tuple[Material, ...]
) -> tuple[Material, ...]:
    """Merge by name and digest, in the order of the first: old attestations repeat names."""
    others: dict[str, list[Material]] = {}
    for material in reversed(second):
        others.setdefault(material.name, []).append(material)
    joined: list[Material] = []
    for material in first:
        if same := others.get(material.name):
            alike = (one for one in reversed(same) if one.digest == material.digest)
            same.remove(twin := next(alike, same[-1]))
            joined.append(_merge_fields(material, twin))
        else:
            joined.append(material)
    rest = [material for same in others.values() for material in reversed(same)]
    return (*joined, *materials.sort_by_name(rest))


def _sort_as(model: tuple[Material, ...], merged: tuple[Material, ...]) -> tuple[Material, ...]:
    """Sort by the positions of names in the model; those that it does not know come last."""
    positions: dict[str, int] = {}
    for material in model:
        positions.setdefault(material.name, len(positions))
    return tuple(sorted(merged, key=lambda each: positions.get(each.name, len(positions))))


def _merge_annotations(
    first: tuple[Annotation, ...], second: tuple[Annotation, ...]
) -> tuple[Annotation, ...]:
    """Merge by name; before a push the first may list a name without its value."""
    values = {one.name: one.value for one in second}
    values |= {one.name: one.value or values.get(one.name, "") for one in first}
    return tuple(Annotation(name=name, value=value) for name, value in sorted(values.items()))


def merge_policies(first: Policies, second: Policies) -> Policies:
    """Merge what is said of policies; a predicate may hold a part of the evaluations, or none.

    The evaluations kept are those with more violations, so none that only one of them knows is
    lost.
    """
    fuller, other = (first, second) if _weigh(first) >= _weigh(second) else (second, first)
    merged = _merge_fields(first, second)
    return replace(
        _merge_fields(fuller, other),
        reference=merged.reference,
        strategy=merged.strategy,
        is_bypassed=merged.is_bypassed,
        is_blocked=merged.is_blocked,
        has_violations=first.has_violations or second.has_violations,
        has_gated_violations=first.has_gated_violations or second.has_gated_violations,
    )


def _weigh(policies: Policies) -> tuple[int, ...]:
    """Rank policies by how much they hold, active violations of gates first."""
    evaluations = policies.evaluations
    violations = [violation for each in evaluations for violation in each.violations]
    return (
        sum(len(each.active_violations) for each in evaluations if each.is_gate),
        sum(len(each.active_violations) for each in evaluations),
        len(evaluations),
        len(violations),
        sum(violation.finding is not None for violation in violations),
        policies.evaluation_count,
    )


def describe_difference(attested: Policies, stored: Policies) -> str:
    """Say how stored evaluations differ from the attested ones; empty when they do not.

    Compares policy, material and number of active violations: a predicate leaves out suppressed
    violations, and findings.
    """
    ours, theirs = (Counter(map(_traits, each.evaluations)) for each in (attested, stored))
    for traits in sorted(ours.keys() | theirs.keys()):
        if ours[traits] == theirs[traits]:
            continue
        policy, material, number = traits
        violations = f"{number} active violation{'' if number == 1 else 's'}"
        where = f"on {excerpt(material)}" if material else "on the attestation"
        who = "it says so and they do not" if ours[traits] else "they say so and it does not"
        return f"policy {excerpt(policy)} {where} has {violations}, {who}"
    return ""


def _traits(evaluation: Evaluation) -> tuple[str, str, int]:
    return evaluation.name, evaluation.material, len(evaluation.active_violations)
