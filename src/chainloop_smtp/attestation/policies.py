"""Policy evaluations, in each of Chainloop's dialects -> Policies.

``attestation push`` and ``workflow run describe`` print snake_case names, predicates and the
bundles of the content addressable storage camelCase ones; predicates of 2024 mix them.
"""

from collections.abc import Iterable

from chainloop_smtp.attestation.fields import Node
from chainloop_smtp.model.attested import (
    Evaluation,
    Finding,
    FindingKind,
    Policies,
    Strategy,
    Violation,
)

ATTESTATION_LEVEL = "CHAINLOOP.ATTESTATION"
"""Chainloop's key for the policies that look at the attestation as a whole."""


def read_map(node: Node) -> tuple[Evaluation, ...]:
    """Evaluations keyed by material name, sorted for showing; empty when not said."""
    return arranged(
        _evaluation(evaluation, "" if key == ATTESTATION_LEVEL else key)
        for key, evaluations in node.entries()
        for evaluation in evaluations.items()
    )


def read_list(node: Node) -> tuple[Evaluation, ...]:
    """Evaluations in one flat array, as Chainloop's storage keeps them, sorted for showing."""
    return arranged(_evaluation(evaluation, "") for evaluation in node.items())


def arranged(evaluations: Iterable[Evaluation]) -> tuple[Evaluation, ...]:
    """What stopped the pipeline first, then what was violated, skipped, passed."""
    return tuple(sorted(evaluations, key=_order))


def counted(evaluations: tuple[Evaluation, ...]) -> Policies:
    """Policies whose counts are those of the evaluations at hand."""
    ranks = [_rank(evaluation) for evaluation in evaluations]
    violation_count = sum(len(one.active_violations) for one in evaluations)
    suppressed_count = sum(len(one.suppressed_violations) for one in evaluations)
    return Policies(
        evaluations=evaluations,
        evaluation_count=len(evaluations),
        violation_count=violation_count,
        passed_count=ranks.count(_PASSED),
        skipped_count=ranks.count(_SKIPPED),
        suppressed_count=suppressed_count if evaluations else None,
        has_violations=violation_count > 0,
        has_gated_violations=_GATED in ranks,
    )


def strategy_of(word: str) -> Strategy | None:
    """Chainloop's word for the strategy; None when it says nothing that we know."""
    return Strategy.__members__.get(word)


_GATED, _VIOLATED, _SKIPPED, _PASSED = range(4)


def _rank(evaluation: Evaluation) -> int:
    if evaluation.active_violations:
        return _GATED if evaluation.is_gate else _VIOLATED
    return _SKIPPED if evaluation.is_skipped else _PASSED


def _order(evaluation: Evaluation) -> tuple[int, str, str, tuple[str, ...]]:
    # The messages only tell two runs of one policy on one material apart.
    messages = tuple(violation.message for violation in evaluation.violations)
    return _rank(evaluation), evaluation.name, evaluation.material, messages


def _evaluation(node: Node, material: str) -> Evaluation:
    return Evaluation(
        name=node.text("name"),
        material=node.text("materialName", "material_name") or material,
        description=node.text("description"),
        is_gate=bool(node.flag("gate")),
        is_skipped=bool(node.flag("skipped")),
        skip_reasons=tuple(reason.text() for reason in node.items("skipReasons", "skip_reasons")),
        violations=tuple(_violation(violation) for violation in node.items("violations")),
    )


def _violation(node: Node) -> Violation:
    return Violation(
        subject=node.text("subject"),
        message=node.text("message"),
        is_suppressed=bool(node.flag("suppress")),
        finding=_finding(node),
    )


def _finding(node: Node) -> Finding | None:
    """At most one of PolicyEvaluation.Violation's structured findings is set."""
    if (found := node.get("vulnerability")).is_said:
        component, version = _package(found.text("packagePurl", "package_purl"))
        return Finding(
            kind=FindingKind.VULNERABILITY,
            id=found.text("externalId", "external_id"),
            message=found.text("message"),
            severity=found.text("severity"),
            score=found.number("cvssV3Score", "cvss_v3_score"),
            component=component,
            component_version=version,
            fixed_version=found.text("fixedVersion", "fixed_version"),
            recommendation=found.text("recommendation"),
            assessment=_assessment(found),
        )
    if (found := node.get("sast")).is_said:
        location = found.text("location")
        line = found.number("lineNumber", "line_number")
        return Finding(
            kind=FindingKind.SAST,
            id=found.text("ruleId", "rule_id"),
            message=found.text("message"),
            severity=found.text("severity"),
            score=found.number("severityScore", "severity_score"),
            # Tools say 0 or -1 where they mean none.
            location=f"{location}:{line:.0f}" if location and line and line > 0 else location,
            recommendation=found.text("recommendation"),
            assessment=_assessment(found),
        )
    if (found := node.get("licenseViolation", "license_violation")).is_said:
        component, version = _package(found.text("packagePurl", "package_purl"))
        return Finding(
            kind=FindingKind.LICENSE,
            id=found.text("licenseId", "license_id") or found.text("licenseName", "license_name"),
            message=found.text("message"),
            component=found.text("componentName", "component_name") or component,
            component_version=found.text("componentVersion", "component_version") or version,
            recommendation=found.text("recommendation"),
            assessment=_assessment(found),
        )
    return None


def _assessment(node: Node) -> str:
    status = node.get("assessment").text("effectiveStatus", "effective_status")
    return status.removeprefix("ASSESSMENT_STATUS_")


def _package(purl: str) -> tuple[str, str]:
    """Name and version in a package URL, shortened as Chainloop's command shortens it."""
    if not purl:
        return "", ""
    from urllib.parse import unquote

    path = purl.removeprefix("pkg:").partition("?")[0].partition("#")[0]
    name, _, version = path.rpartition("/")[2].partition("@")
    return unquote(name), unquote(version)
