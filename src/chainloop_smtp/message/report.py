"""Facts -> JSON: everything known of a run, for programs. `schemas/report.json` describes it.

The names are those of the model in camelCase, so a new field of the model is in the report, too.
Others rely on them: the tests compare the report with its schema. What the evidence does not say is
an empty string where it would be a string, else null.
"""

import hashlib
import json
import re
from dataclasses import fields, is_dataclass, replace
from datetime import datetime
from math import isfinite

from chainloop_smtp import __version__
from chainloop_smtp.message import findings, grouping
from chainloop_smtp.model.attested import Attestation, Evaluation, Policies, Run
from chainloop_smtp.model.facts import Changes, Job, RunFacts
from chainloop_smtp.model.settings import EnvValues

SCHEMA = "urn:chainloop-smtp:schema:report:1"
FILE_NAME = "chainloop-report.json"

_SURROGATES = re.compile(r"[\ud800-\udfff]")


def report(facts: RunFacts, env_values: EnvValues) -> bytes:
    """The report as a JSON document: the same bytes for the same facts.

    Args:
        facts: Not cleaned: programs that read the report do their own cleaning.
        env_values: How much of the attested environment variables it holds, as in the mail.
    """
    document = {
        "schema": SCHEMA,
        "generator": {"name": "chainloop-smtp", "version": __version__},
        "createdAt": facts.now,
        **_content(facts, env_values),
        "policyGroups": [_group(each) for each in grouping.groups(facts.policies)],
    }
    # ASCII, so that no invisible or reordering character shows a reader something else.
    return json.dumps(_plain(document), indent=2).encode("ascii") + b"\n"


def _group(group: grouping.Group) -> dict[str, object]:
    """One policy and its findings, each once."""
    found, suppressed = group.findings(), group.suppressed()
    return {
        "name": group.name,
        "isGate": group.is_gate,
        "description": group.description,
        "result": next(
            (word for word in ("violated", "passed") if word in map(_result, group.evaluations)),
            "skipped",
        ),
        "evaluatedMaterials": grouping.distinct_names(group.evaluations),
        "violatedMaterials": grouping.distinct_names(group.violated),
        "violationCount": group.violation_count,
        "suppressedCount": sum(each.number for each in suppressed),
        "severities": grouping.severities(found),
        "findings": tuple(map(_found, found)),
        "suppressed": tuple(map(_found, suppressed)),
    }


def _found(found: grouping.Found) -> dict[str, object]:
    return {
        "lines": findings.lines(found.violation),
        "severity": found.severity,
        "materials": found.materials,
        "violationCount": found.number,
    }


def facts_digest(facts: RunFacts, env_values: EnvValues) -> str:
    """Digest of what the report says of the run, the same whenever it is made.

    Without the failed steps, which GitHub may name one time and not another.
    """
    job, verdict = replace(facts.job, failed_steps=()), replace(facts.verdict, where="")
    facts = replace(facts, job=job, verdict=verdict)
    content = _plain(_content(facts, env_values))
    return hashlib.sha256(json.dumps(content).encode("ascii")).hexdigest()


def _content(facts: RunFacts, env_values: EnvValues) -> dict[str, object]:
    return {
        "envValues": env_values,
        "verdict": facts.verdict,
        "job": facts.job,
        "attestation": facts.attestation and with_env_values(facts.attestation, env_values),
        "signature": facts.signature,
        "unsigned": facts.unsigned,
        "changes": facts.changes,
    }


def with_env_values(attestation: Attestation, env_values: EnvValues) -> Attestation:
    """The attestation's facts, with no more of its environment than the user lets others see."""
    attestation = replace(attestation, envelope=None)
    if env_values is EnvValues.SHOW:
        return attestation
    names = attestation.environment if env_values is EnvValues.NAMES else ()
    return replace(attestation, environment=tuple(replace(each, value="") for each in names))


def _plain(value: object) -> object:
    """A value as JSON has it."""
    if isinstance(value, str):
        return _SURROGATES.sub("\ufffd", value)
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, float):
        # JSON knows no infinity.
        return value if isfinite(value) else None
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        names = [each.name for each in fields(value) if each.repr]
        return {_camel(name): _plain(getattr(value, name)) for name in names} | _derived(value)
    return value


def _derived(value: object) -> dict[str, object]:
    """What follows from a value's fields, and what stands for one of them."""
    match value:
        case Run(duration=duration):
            return {"durationSeconds": duration.total_seconds() if duration else None}
        case Attestation(materials=materials):
            return {"materialCount": sum(each.is_set for each in materials)}
        case Policies(evaluations=evaluations):
            gated = (len(each.active_violations) for each in evaluations if each.is_gate)
            return {"gatedViolationCount": sum(gated)}
        case Evaluation():
            return {"result": _result(value)}
        case Job():
            return {"runUrl": value.run_url}
        case Changes(previous=previous):
            # Its facts are in the report of its own run.
            return {
                "previous": {
                    "runId": previous.run.id,
                    "digest": previous.digest,
                    "finishedAt": _plain(previous.run.finished_at),
                    "viewUrl": previous.view_url,
                }
            }
    return {}


def _result(evaluation: Evaluation) -> str:
    if evaluation.active_violations:
        return "violated"
    return "skipped" if evaluation.is_skipped else "passed"


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))
