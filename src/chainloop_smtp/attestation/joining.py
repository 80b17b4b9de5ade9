"""Two sources of one run -> one Attestation. What is not said by one is taken from the other."""

from collections import Counter
from dataclasses import fields, replace
from typing import TYPE_CHECKING, TypeVar

from chainloop_smtp.attestation import materials
from chainloop_smtp.attestation.fields import Node, shown
from chainloop_smtp.errors import AttestationError, Problem
from chainloop_smtp.model.attested import Annotation, Attestation, Evaluation, Material, Policies

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def join(first: Attestation, second: Attestation) -> Attestation:
    """Both together; where both speak, the first is believed.

    Raises:
        AttestationError: They are not of one run: run ids or digests differ. It names both.
    """
    if first.run.id and second.run.id and first.run.id.lower() != second.run.id.lower():
        raise _disagreement("run id", first, _cut(first.run.id), second, _cut(second.run.id))
    if first.digest and second.digest and first.digest.lower() != second.digest.lower():
        raise _disagreement("digest", first, _cut(first.digest), second, _cut(second.digest))
    for claimant, holder in ((first, second), (second, first)):
        digests = holder.signing.bundle_digests
        if claimant.digest and digests and claimant.digest.lower() not in digests:
            raise _disagreement(
                "digest", claimant, _cut(claimant.digest), holder, f"{digests[0]} (its bytes)"
            )
    if not _are_tied(first, second):
        _check_workflows(first, second)
    joined = filled(first, second)
    digests = joined.signing.bundle_digests
    if joined.digest and digests:
        verified = joined.digest.lower() in digests
        joined = replace(joined, signing=replace(joined.signing, is_digest_verified=verified))
    shape = first.shape if first.shape == second.shape else f"{first.shape} and {second.shape}"
    return replace(joined, shape=shape)


def _are_tied(first: Attestation, second: Attestation) -> bool:
    """Both name the run, or the attestation; neither does of a dry run."""
    digests = (first.digest and second.digest) or (
        (first.digest and second.signing.bundle_digests)
        or (second.digest and first.signing.bundle_digests)
    )
    return bool((first.run.id and second.run.id) or digests)


def _check_workflows(first: Attestation, second: Attestation) -> None:
    one, other = first.workflow, second.workflow
    for noun, before, after in (
        ("workflow ID", one.id, other.id),
        ("project", one.project, other.project),
        ("workflow", one.name, other.name),
    ):
        if before and after and before != after:
            raise _disagreement(noun, first, _cut(before), second, _cut(after))


def check_run(id_: Node, attested: Attestation) -> None:
    """A document and the attestation inside it are of one run.

    Args:
        id_: Where the document says its run.

    Raises:
        AttestationError: It says another one than the attestation.
    """
    said, signed = id_.text(), attested.run.id
    if said and signed and said.lower() != signed.lower():
        raise id_.error(
            f"is {_cut(said)}, but the attestation in this document is of run {_cut(signed)}",
            "The document was put together from two runs: print it anew.",
        )


def filled(first: Attestation, second: Attestation) -> Attestation:
    """What the first says, and what only the second does. Nothing is compared."""
    return replace(
        _either(first, second),
        is_recorded=first.is_recorded or second.is_recorded,
        run=_either(first.run, second.run),
        workflow=replace(
            _either(first.workflow, second.workflow),
            version=_optional(first.workflow.version, second.workflow.version),
        ),
        runner=_either(first.runner, second.runner),
        materials=_materials(first.materials, second.materials),
        bad_material_count=max(first.bad_material_count, second.bad_material_count),
        annotations=_named(first.annotations, second.annotations),
        environment=_named(first.environment, second.environment),
        policies=policies_filled(first.policies, second.policies),
        commit=_optional(first.commit, second.commit),
        signing=replace(
            _either(first.signing, second.signing),
            timestamp_count=max(first.signing.timestamp_count, second.signing.timestamp_count),
        ),
    )


def _disagreement(
    what: str, first: Attestation, one: str, second: Attestation, other: str
) -> AttestationError:
    return AttestationError(
        Problem(
            what,
            f"`{first.shape}` says {one}, `{second.shape}` says {other}: "
            "these are not the same run",
            "Hand over two documents of one run.",
        )
    )


_Fact = TypeVar("_Fact", bound="DataclassInstance")


def _either(first: _Fact, second: _Fact) -> _Fact:
    """The first, its unsaid fields taken from the second."""
    return replace(
        first,
        **{
            field.name: getattr(second, field.name)
            for field in fields(first)
            if getattr(first, field.name) in (None, "", ())
        },
    )


def _optional(first: _Fact | None, second: _Fact | None) -> _Fact | None:
    if first is None or second is None:
        return first or second
    return _either(first, second)


def _materials(first: tuple[Material, ...], second: tuple[Material, ...]) -> tuple[Material, ...]:
    """In the order of the first; names are not unique in old attestations, but digests tell."""
    others: dict[str, list[Material]] = {}
    for material in reversed(second):
        others.setdefault(material.name, []).append(material)
    joined: list[Material] = []
    for material in first:
        same = others.get(material.name)
        if same:
            alike = (one for one in reversed(same) if one.digest == material.digest)
            same.remove(twin := next(alike, same[-1]))
            material = _either(material, twin)  # noqa: PLW2901
        joined.append(material)
    rest = [material for same in others.values() for material in reversed(same)]
    return (*joined, *materials.by_name(rest))


def _named(first: tuple[Annotation, ...], second: tuple[Annotation, ...]) -> tuple[Annotation, ...]:
    """By name; before a push the first may list a name without its value."""
    values = {one.name: one.value for one in second}
    values |= {one.name: one.value or values.get(one.name, "") for one in first}
    return tuple(Annotation(name=name, value=value) for name, value in sorted(values.items()))


def policies_filled(first: Policies, second: Policies) -> Policies:
    """The evaluations of whoever tells more of them: a predicate may hold a part or none.

    A violation that only one of the two knows is never lost: the evaluations that are kept are
    those with more of them.
    """
    fuller, other = (first, second) if _fullness(first) >= _fullness(second) else (second, first)
    return replace(
        fuller,
        reference=first.reference or second.reference,
        suppressed_count=_said(fuller.suppressed_count, other.suppressed_count),
        strategy=_said(first.strategy, second.strategy),
        is_bypassed=_said(first.is_bypassed, second.is_bypassed),
        is_blocked=_said(first.is_blocked, second.is_blocked),
        has_violations=first.has_violations or second.has_violations,
        has_gated_violations=first.has_gated_violations or second.has_gated_violations,
    )


def _fullness(one: Policies) -> tuple[int, ...]:
    """What decides whose evaluations are kept, the weightiest first."""
    active = [len(each.active_violations) for each in one.evaluations]
    gated = [len(each.active_violations) for each in one.evaluations if each.is_gate]
    violations = [violation for each in one.evaluations for violation in each.violations]
    findings = sum(1 for violation in violations if violation.finding is not None)
    return (
        sum(gated),
        sum(active),
        len(one.evaluations),
        len(violations),
        findings,
        one.evaluation_count,
    )


def unlike(attested: Policies, stored: Policies) -> str:
    """How stored evaluations differ from those at hand, in a few words; empty when they do not.

    Compared are policy, material and number of active violations: a predicate leaves out what is
    suppressed, and the findings.
    """
    ours, theirs = (Counter(map(_traits, each.evaluations)) for each in (attested, stored))
    for traits in sorted(ours.keys() | theirs.keys()):
        if ours[traits] == theirs[traits]:
            continue
        policy, material, number = traits
        counted = f"{number} active violation{'' if number == 1 else 's'}"
        where = f"on {shown(material)}" if material else "on the attestation"
        told = "it says so and they do not" if ours[traits] else "they say so and it does not"
        return f"policy {shown(policy)} {where} has {counted}, {told}"
    return ""


def _traits(evaluation: Evaluation) -> tuple[str, str, int]:
    return evaluation.name, evaluation.material, len(evaluation.active_violations)


_Word = TypeVar("_Word")


def _said(first: _Word | None, second: _Word | None) -> _Word | None:
    return second if first is None else first


def _cut(text: str) -> str:
    return shown(text, 80)
