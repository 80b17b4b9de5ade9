"""Two Attestations of one workflow -> Changes."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

from chainloop_smtp.model.attested import (
    Attestation,
    Finding,
    Material,
    Policies,
    Signing,
    Workflow,
)
from chainloop_smtp.model.facts import Aspect, Breach, Changes, Outcome, Replacement, Shift

T = TypeVar("T")
Key = Callable[[T], Hashable]


def refusal(previous: Attestation, current: Attestation) -> str:
    """Say in a few words why the two cannot be compared; empty when they can."""
    if not previous.is_recorded:
        return "the earlier run was not attested"
    if not previous.is_retrieved:
        return "the earlier run's attestation could not be retrieved from Chainloop"
    if not current.is_retrieved:
        return "this run's attestation could not be retrieved from Chainloop"
    if not current.is_recorded and not current.materials:
        return "this run is not attested"
    if previous.run.id and previous.run.id == current.run.id:
        return "both are of the same run"
    before, after = previous.workflow, current.workflow
    if before.id and before.id == after.id:
        return ""
    names = [
        (noun, one, other)
        for noun, one, other in zip(_NOUNS, _names(before), _names(after), strict=True)
        if one and other
    ]
    if not names:
        return "they do not say which workflow they are of"
    return next(
        (
            f"the earlier one is of {noun} {one}, this one of {other}"
            for noun, one, other in names
            if one != other
        ),
        "",
    )


def compare(
    previous: Attestation, current: Attestation, *, before: Outcome, after: Outcome
) -> Changes:
    """Compare an earlier run of a workflow with this one.

    Materials are the same by name, and changed when their digest is another. Violations are the
    same by policy, material, finding and component, or else by message; the version of a
    component and the line of a file do not count, since they change by themselves.

    Args:
        before: The earlier run's outcome by its evidence alone.
        after: This run's outcome, by the same measure.
    """
    materials, removed, added = _paired(
        _added(previous), _added(current), _by_all, _by_name, _by_content, _by_value
    )
    renamed = {one.name: other.name for one, other in materials}
    is_known = _is_known(previous.policies) and _is_known(current.policies)
    resolved, introduced = _violations(
        _breaches(previous.policies, renamed), _breaches(current.policies, {})
    )
    facts = {
        Aspect.VIOLATION_COUNT: (_count(previous.policies), _count(current.policies)),
        Aspect.CONTRACT: (_contract(previous.workflow), _contract(current.workflow)),
        Aspect.STRATEGY: (previous.policies.strategy or "", current.policies.strategy or ""),
        Aspect.SIGNER: _signers(previous.signing, current.signing),
        Aspect.OUTCOME: (before, after),
    }
    return Changes(
        previous=previous,
        added=added,
        removed=removed,
        replaced=tuple(
            Replacement(before=one, after=other) for one, other in materials if _differ(one, other)
        ),
        introduced=introduced if is_known else (),
        resolved=resolved if is_known else (),
        are_violations_known=is_known,
        violation_count=_shift(*facts[Aspect.VIOLATION_COUNT]),
        contract=_shift(*facts[Aspect.CONTRACT]),
        strategy=_shift(*facts[Aspect.STRATEGY]),
        signer=_shift(*facts[Aspect.SIGNER]),
        outcome=_shift(*facts[Aspect.OUTCOME]),
        unchanged=tuple(each for each, (one, other) in facts.items() if one and one == other),
    )


_NOUNS = ("organization", "project", "workflow", "workflow ID")


def _names(workflow: Workflow) -> tuple[str, str, str, str]:
    return workflow.organization, workflow.project, workflow.name, workflow.id


def _added(attestation: Attestation) -> tuple[Material, ...]:
    """Without those that a contract asks for and nobody added."""
    return tuple(one for one in attestation.materials if one.is_set)


def _by_all(material: Material) -> tuple[Hashable, ...]:
    return material.name, material.type, material.value, material.tag, material.digest


def _by_name(material: Material) -> Hashable:
    return material.name


def _by_content(material: Material) -> Hashable:
    """For a material without a name that anybody gave it; None for the others."""
    return _by_all(material)[1:] if material.is_named_by_clock else None


def _by_value(material: Material) -> Hashable:
    """The same, whatever its digest."""
    return (material.type, material.value) if material.is_named_by_clock else None


def _differ(one: Material, other: Material) -> bool:
    """By digest; a string has none in some documents, and is its own content."""
    if one.digest and other.digest:
        return one.digest != other.digest
    return (one.value, one.tag) != (other.value, other.tag)


def _is_known(policies: Policies) -> bool:
    """True when the violations are listed, or there are none."""
    if _count(policies) == "0":
        return True
    return any(each.active_violations for each in policies.evaluations)


def _count(policies: Policies) -> str:
    """How many violations there are; empty where the attestation does not say."""
    if policies.violation_count:
        return str(policies.violation_count)
    # Evaluations that are only referred to may not even be counted.
    is_counted = policies.evaluation_count > 0 or not policies.reference
    return "0" if is_counted and not policies.has_violations else ""


def _breaches(policies: Policies, renamed: dict[str, str]) -> tuple[Breach, ...]:
    return tuple(
        Breach(
            policy=evaluation.name,
            material=renamed.get(evaluation.material, evaluation.material),
            is_gate=evaluation.is_gate,
            violation=violation,
        )
        for evaluation in policies.evaluations
        for violation in evaluation.active_violations
    )


def _violations(
    before: Sequence[Breach], after: Sequence[Breach]
) -> tuple[tuple[Breach, ...], tuple[Breach, ...]]:
    """Those of the earlier run only, and those of the later run only."""
    _, left, right = _paired(before, after, _by_finding)
    # A statement has no findings, the description of the same run has: there the message counts,
    # which Chainloop fills with the finding's own. Two findings are never the same by message.
    (plain, scanned), (plain_after, scanned_after) = _split(left), _split(right)
    _, plain, plain_after = _paired(plain, plain_after, _by_message)
    _, plain, scanned_after = _paired(plain, scanned_after, _by_message)
    _, scanned, plain_after = _paired(scanned, plain_after, _by_message)
    resolved, introduced = (*plain, *scanned), (*plain_after, *scanned_after)
    return _in_order(resolved, before), _in_order(introduced, after)


def _split(breaches: tuple[Breach, ...]) -> tuple[tuple[Breach, ...], tuple[Breach, ...]]:
    """Those without a finding that can be recognised, and the rest."""
    plain = tuple(each for each in breaches if _by_finding(each) is None)
    return plain, tuple(each for each in breaches if _by_finding(each) is not None)


def _in_order(some: Iterable[Breach], all_: Sequence[Breach]) -> tuple[Breach, ...]:
    kept = {id(each) for each in some}
    return tuple(each for each in all_ if id(each) in kept)


def _by_finding(breach: Breach) -> Hashable:
    finding = breach.violation.finding
    if finding is None or not finding.id:
        return None
    return (breach.policy, breach.material, finding.kind, finding.id, *_place(finding))


def _place(finding: Finding) -> tuple[str, str]:
    """Component and file, without version and line."""
    path, colon, line = finding.location.rpartition(":")
    return finding.component, path if colon and line.isdigit() else finding.location


def _by_message(breach: Breach) -> Hashable:
    return breach.policy, breach.material, " ".join(breach.violation.message.split())


def _contract(workflow: Workflow) -> str:
    if not workflow.contract_revision:
        return ""
    return f"{workflow.contract_name} revision {workflow.contract_revision}".strip()


def _signers(before: Signing, after: Signing) -> tuple[str, str]:
    """Who signed, as far as both documents say it in the same or in comparable words."""
    one, other = _signer(before), _signer(after)
    if one and other:
        return one, other
    return before.authority, after.authority


def _signer(signing: Signing) -> str:
    """The certificate's names, else its subject, else the key."""
    if names := ", ".join(signing.certificate_sans) or signing.certificate:
        issuer = f", issued by {signing.certificate_issuer}" if signing.certificate_issuer else ""
        return f"certificate {names}{issuer}"
    return f"key {signing.key_hint}" if signing.key_hint else ""


def _shift(before: str, after: str) -> Shift | None:
    """None where nothing changed, and where one of the two does not say."""
    return Shift(before=before, after=after) if before and after and before != after else None


def _paired(
    before: Sequence[T], after: Sequence[T], *keys: Key[T]
) -> tuple[tuple[tuple[T, T], ...], tuple[T, ...], tuple[T, ...]]:
    """Pair members that are the same by the first key, then by the next; return what is left, too.

    Equal members are paired in their order, each once. A key of None pairs with nothing.
    """
    pairs: list[tuple[T, T]] = []
    left, right = list(before), list(after)
    for key in keys:
        waiting: dict[Hashable, list[int]] = defaultdict(list)
        for position in reversed(range(len(right))):
            waiting[key(right[position])].append(position)
        taken: set[int] = set()
        rest = []
        for each in left:
            place = key(each)
            if place is not None and waiting[place]:
                taken.add(position := waiting[place].pop())
                pairs.append((each, right[position]))
            else:
                rest.append(each)
        left = rest
        right = [each for position, each in enumerate(right) if position not in taken]
    return tuple(pairs), tuple(left), tuple(right)
