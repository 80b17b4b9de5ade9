"""Policy evaluations, in each of Chainloop's dialects -> Policies.

``attestation push`` and ``workflow run describe`` print snake_case names, predicates and the
bundles of the content addressable storage camelCase ones; predicates of 2024 mix them.
"""

from collections.abc import Iterable
from urllib.parse import unquote

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


def read_map(node: Node) -> Policies:
    """Read evaluations keyed by material name; no evaluations when it is missing."""
    return _summarize(
        _read_evaluation(evaluation, "" if key == ATTESTATION_LEVEL else key)
        for key, evaluations in node.entries()
        for evaluation in evaluations.items()
    )


def read_list(node: Node) -> Policies:
    """Read evaluations in one flat array, as Chainloop's storage keeps them."""
    return _summarize(_read_evaluation(evaluation, "") for evaluation in node.items())


def _summarize(unsorted: Iterable[Evaluation]) -> Policies:
    """Sort for display (violated gates first, then violated, skipped, passed), and count."""
    evaluations = tuple(sorted(unsorted, key=_sort_key))
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


def parse_strategy(word: str) -> Strategy | None:
    """Parse Chainloop's word for the blocking strategy; None when it is empty or unknown."""
    return Strategy.__members__.get(word)


_GATED, _VIOLATED, _SKIPPED, _PASSED = range(4)


def _rank(evaluation: Evaluation) -> int:
    if evaluation.active_violations:
        return _GATED if evaluation.is_gate else _VIOLATED
    return _SKIPPED if evaluation.is_skipped else _PASSED


def _sort_key(evaluation: Evaluation) -> tuple[int, str, str, tuple[str, ...]]:
    # The messages only tell two runs of one policy on one material apart.
    messages = tuple(violation.message for violation in evaluation.violations)
    return _rank(evaluation), evaluation.name, evaluation.material, messages


def _read_evaluation(node: Node, material: str) -> Evaluation:
    return Evaluation(
        name=node.text("name"),
        material=node.text("materialName", "material_name") or material,
        description=node.text("description"),
        is_gate=bool(node.flag("gate")),
        is_skipped=bool(node.flag("skipped")),
        skip_reasons=tuple(reason.text() for reason in node.items("skipReasons", "skip_reasons")),
        violations=tuple(_read_violation(violation) for violation in node.items("violations")),
    )


def _read_violation(node: Node) -> Violation:
    return Violation(
        subject=node.text("subject"),
        message=node.text("message"),
        is_suppressed=bool(node.flag("suppress")),
        finding=_read_finding(node),
    )


def _read_finding(node: Node) -> Finding | None:
    """Read the one structured finding that PolicyEvaluation.Violation may hold."""
    if (finding := node.get("vulnerability")).is_present:
        component, version = _parse_purl(finding.text("packagePurl", "package_purl"))
        return Finding(
            kind=FindingKind.VULNERABILITY,
            id=finding.text("externalId", "external_id"),
            message=finding.text("message"),
            severity=finding.text("severity"),
            score=finding.number("cvssV3Score", "cvss_v3_score"),
            component=component,
            component_version=version,
            fixed_version=finding.text("fixedVersion", "fixed_version"),
            recommendation=finding.text("recommendation"),
            assessment=_read_assessment(finding),
        )
    if (finding := node.get("sast")).is_present:
        location = finding.text("location")
        line = finding.number("lineNumber", "line_number")
        return Finding(
            kind=FindingKind.SAST,
            id=finding.text("ruleId", "rule_id"),
            message=finding.text("message"),
            severity=finding.text("severity"),
            score=finding.number("severityScore", "severity_score"),
            # Tools say 0 or -1 where they mean none.
            location=f"{location}:{line:.0f}" if location and line and line > 0 else location,
            recommendation=finding.text("recommendation"),
            assessment=_read_assessment(finding),
        )
    if (finding := node.get("licenseViolation", "license_violation")).is_present:
        component, version = _parse_purl(finding.text("packagePurl", "package_purl"))
        return Finding(
            kind=FindingKind.LICENSE,
            id=finding.text("licenseId", "license_id")
            or finding.text("licenseName", "license_name"),
            message=finding.text("message"),
            component=finding.text("componentName", "component_name") or component,
            component_version=finding.text("componentVersion", "component_version") or version,
            recommendation=finding.text("recommendation"),
            assessment=_read_assessment(finding),
        )
    return None


def _read_assessment(node: Node) -> str:
    status = node.get("assessment").text("effectiveStatus", "effective_status")
    return status.removeprefix("ASSESSMENT_STATUS_")


def _parse_purl(purl: str) -> tuple[str, str]:
    """Split a package URL into name and version, as Chainloop's command shortens it."""
    path = purl.removeprefix("pkg:").partition("?")[0].partition("#")[0]
    name, _, version = path.rpartition("/")[2].partition("@")
    return unquote(name), unquote(version)
