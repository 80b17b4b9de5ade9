"""Facts -> the lead: at most two sentences on what happened, and what it means."""

from collections.abc import Iterable

from chainloop_smtp.message import formatting
from chainloop_smtp.model.attested import Attestation, Evaluation, Policies, RunState, Strategy
from chainloop_smtp.model.facts import (
    NO_EVIDENCE,
    NOT_FOUND,
    WRONG_SIGNATURE,
    Job,
    Outcome,
    PolicyStatus,
    RunFacts,
    Verdict,
)


def sentences(facts: RunFacts) -> str:
    """The lead under the headline, from cleaned facts."""
    attestation, verdict, policies = facts.attestation, facts.verdict, facts.policies
    if facts.has_wrong_signature:
        return _distrust(facts)
    match verdict.outcome:
        case Outcome.ATTESTED if not is_retrieved(attestation):
            return f"{_NOT_RETRIEVED}, so its materials and policies are not known here."
        case Outcome.VIOLATIONS if not is_retrieved(attestation):
            return f"Chainloop counts policy violations. {_NOT_RETRIEVED}."
        case Outcome.ATTESTED if is_unchecked(policies):
            return f"{passed(policies)}, so nothing was checked. The attestation was recorded."
        case Outcome.PASSED if attestation:
            is_doubted = facts.verdict.doubt or is_signature_missed(facts)
            rest = "" if is_doubted else " Nothing to do."
            return f"{passed(policies)} and the attestation was recorded.{rest}"
        case Outcome.ATTESTED if attestation:
            # An attestation may hold just the digest of its evaluations.
            policy_note = (
                "Its policy evaluations are stored in Chainloop and not part of this evidence."
                if policies.reference
                else "No policies apply to it."
            )
            materials = formatting.count(formatting.material_count(facts), "material")
            return f"The attestation with {materials} was recorded. {policy_note}"
        case Outcome.VIOLATIONS if verdict.reason or policies.strategy is Strategy.ENFORCED:
            enforced = f"The policy strategy is {Strategy.ENFORCED}."
            return (
                f"{_sentence(verdict.reason) if verdict.reason else enforced} The attestation was "
                "recorded; this evidence does not say whether the policy check was bypassed."
            )
        case Outcome.VIOLATIONS if policies.evaluations:
            return "No gate is violated, so the pipeline continues. The attestation was recorded."
        case Outcome.VIOLATIONS:
            return "The attestation was recorded; the pipeline continues."
        case Outcome.BYPASSED if policies.violation_count or policies.has_violations:
            return (
                f"{_violations(policies)}. {_bypass(attestation)}, so the pipeline continues; the "
                "bypass is recorded in the attestation."
            )
        case Outcome.BYPASSED:
            return (
                f"No policy is violated. {_bypass(attestation)}; the bypass is recorded in the "
                "attestation."
            )
        case Outcome.BLOCKED:
            return f"{_violations(policies)}. {_block(facts)}"
        case Outcome.FAILED | Outcome.CANCELLED:
            where = formatting.cut(verdict.where, _WHERE)
            words = " ".join(filter(None, (verdict.reason, where)))
            reason = f"{_sentence(words)} " if words else ""
            if attestation is None:
                # A doubt means that there is evidence, which cannot be read.
                why = "" if verdict.doubt else "no evidence was given, so "
                return reason + _sentence(f"{why}{_UNKNOWN}")
            if is_open(attestation):
                return f"{reason}No attestation was recorded before this evidence was printed."
            if not facts.is_recorded:
                return f"{reason}No attestation was recorded for this run."
            if not is_retrieved(attestation):
                return f"{reason}{_NOT_RETRIEVED}."
            status = f" with {_violations(policies)}" if policies.violation_count else ""
            is_bypassed = verdict.policy_status is PolicyStatus.BYPASSED
            bypass = "; the policy check was bypassed" if is_bypassed else ""
            return f"{reason}The attestation was recorded{status}{bypass}."
        case _ if verdict.reason == NOT_FOUND:
            return "Chainloop has no run for this workflow run."
        case _ if attestation is None:
            is_explained = verdict.reason not in ("", NO_EVIDENCE)
            return (f"{_sentence(verdict.reason)} " if is_explained else "") + _sentence(_UNKNOWN)
        case _:
            return _absence(attestation, verdict)


def doubt(facts: RunFacts) -> str:
    """Why the evidence may be another run's, or false, as sentences; empty: it looks right."""
    return " ".join(filter(None, (facts.verdict.doubt, signature_doubt(facts))))


def signature_doubt(facts: RunFacts) -> str:
    """What a signature leaves open that was to be verified, as a sentence; empty: nothing."""
    if is_signature_missed(facts) and facts.signature:
        return f"The signature could not be checked: {facts.signature.reason.removesuffix('.')}."
    # A statement leaves those out, or names them by their digest.
    usual = ("details of policy evaluations", "policy evaluations (only their digest)")
    uncovered = [each for each in facts.unsigned if each not in usual]
    return f"The signature does not cover {', '.join(uncovered)}." if uncovered else ""


def is_signature_missed(facts: RunFacts) -> bool:
    """The run is attested, and its signature could not be checked, though it was to be."""
    return facts.is_unverified and facts.is_recorded and not facts.has_wrong_signature


def _distrust(facts: RunFacts) -> str:
    """Says that the evidence proves nothing, why, and how the jobs went."""
    reasons = (facts.signature.reason if facts.signature else "", jobs_reason(facts.verdict))
    words = ("Do not trust the content of this mail.", *map(_sentence, filter(None, reasons)))
    return " ".join(words)


def jobs_reason(verdict: Verdict) -> str:
    """Why the run failed besides its signature; empty where it did not."""
    return verdict.reason.removeprefix(WRONG_SIGNATURE).removeprefix(", ")


_WHERE = 120  # characters; GitHub names a step after its first line where it has no name
_NOT_RETRIEVED = "The attestation was recorded, but it could not be retrieved just now"
_UNKNOWN = "it is not known whether an attestation was recorded"


def _block(facts: RunFacts) -> str:
    policies = facts.policies
    is_dry_run = facts.attestation is not None and facts.attestation.is_dry_run
    absent = "The attestation was not recorded" + (" (dry run)" if is_dry_run else "")
    if policies.has_gated_violations:
        recorded = "The attestation was recorded, but" if facts.is_recorded else f"{absent}, and"
        return f"{recorded} the pipeline stops here {_until(policies, facts.job)}."
    is_enforced = policies.strategy is Strategy.ENFORCED
    why = f"the policy strategy is {Strategy.ENFORCED}, so " if is_enforced else ""
    recorded = "The attestation was recorded" if facts.is_recorded else absent
    return f"{recorded}; {why}Chainloop counts the run as blocked."


def _until(policies: Policies, job: Job) -> str:
    """What the pipeline waits for. Not all evidence says whether it went past the gate."""
    if policies.is_bypassed is None and not job.has_failed:
        return "unless the check was bypassed, which this evidence does not say"
    are_many = len(_names(_gated(policies))) > 1
    return f"until the {'gates pass or are' if are_many else 'gate passes or is'} bypassed"


def _absence(attestation: Attestation | None, verdict: Verdict) -> str:
    """Says that nothing is recorded, and names up to three of the missing materials."""
    left = len(verdict.missing) - 3
    named = ", ".join(verdict.missing[:3]) + (f" and {left} more" if left > 0 else "")
    missing = f" Missing: {named}." if verdict.missing else ""
    if is_open(attestation):
        return f"No attestation is recorded for this run yet.{missing}"
    reason = f" ({verdict.reason})" if verdict.reason and not verdict.missing else ""
    return f"No attestation was recorded for this run{reason}.{missing}"


def passed(policies: Policies) -> str:
    """``All 7 policies passed``, and how many were skipped where some were."""
    total, skipped = policies.evaluation_count, policies.skipped_count
    if is_unchecked(policies):
        return "The policy was skipped" if total == 1 else f"All {total:,} policies were skipped"
    if skipped:
        return f"{score(policies)} ({skipped:,} skipped)"
    if policies.passed_count < total:
        return score(policies)
    return "The policy passed" if total == 1 else f"All {total:,} policies passed"


def score(policies: Policies) -> str:
    """``4 of 7 policies passed``."""
    total = formatting.count(policies.evaluation_count, "policy", "policies")
    return f"{policies.passed_count:,} of {total} passed"


def is_unchecked(policies: Policies) -> bool:
    """Every policy that applies was skipped."""
    return 0 < policies.evaluation_count <= policies.skipped_count


def is_open(attestation: Attestation | None) -> bool:
    """The run is in progress, and may still be attested."""
    return attestation is not None and (
        attestation.run.state is RunState.IN_PROGRESS and not attestation.is_recorded
    )


def _bypass(attestation: Attestation | None) -> str:
    """Say that the check was bypassed, and who asked for it where the evidence says so."""
    by = attestation.attested_by if attestation else ""
    return "The policy check was bypassed" + (f" (attested by {by})" if by else "")


def is_retrieved(attestation: Attestation | None) -> bool:
    """False where the attestation is recorded, and nothing that it holds is known."""
    return attestation is None or attestation.is_retrieved


def gated(policies: Policies) -> str:
    """``2 in a gate``, ``6 in 3 gates``; empty where no violation is known to be in a gate."""
    violated = _gated(policies)
    number, gates = _violation_count(violated), len(_names(violated))
    where = "in a gate" if gates == 1 else f"in {gates:,} gates"
    return f"{number:,} {where}" if number else ""


def _violations(policies: Policies) -> str:
    """``2 policy violations: 1 in a gate, 1 advisory``; just the total where gates are unknown."""
    if not policies.violation_count:
        return "There are policy violations"
    total = formatting.count(policies.violation_count, "policy violation")
    in_gates = _violation_count(_gated(policies))
    total_number = _violation_count(policies.evaluations)
    if not in_gates or total_number != policies.violation_count:
        return total
    if in_gates == total_number:
        return f"{total} {gated(policies).partition(' ')[2]}"
    rest = "enforced" if policies.strategy is Strategy.ENFORCED else "advisory"
    return f"{total}: {gated(policies)}, {total_number - in_gates:,} {rest}"


def _gated(policies: Policies) -> list[Evaluation]:
    return [each for each in policies.evaluations if each.is_gate and each.active_violations]


def _violation_count(evaluations: Iterable[Evaluation]) -> int:
    return sum(len(each.active_violations) for each in evaluations)


def _names(evaluations: list[Evaluation]) -> set[str]:
    return {each.name for each in evaluations}


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "!", "?")) else ".")
