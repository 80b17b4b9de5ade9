"""Attestations to test with: a `statement`, and every document that Chainloop wraps one in.

Each builder takes the facts as keywords, with defaults that make an ordinary passed run, and gives
the document as Python values; `encoded` makes the bytes that a command would print.

    push = encoded(cli_push(statement(evaluations=[evaluation("licenses", violations=["AGPL"])])))
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

JSON = dict[str, Any]

RUN_ID = "5b0a4f0e-6a51-4a5b-9c1d-0e5f3c2b7a90"
WORKFLOW_ID = "c2a6c2de-1d1c-4d5e-8f64-7d7d5a0f1e11"
COMMIT = "4f2d9c81a07e65b3d2f1c0ab98e7d6540312fedc"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
ATTESTATION_LEVEL = "CHAINLOOP.ATTESTATION"

RUNNER_VARIABLES = {
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_REPOSITORY": "lakeside/harbour",
    "GITHUB_RUN_ID": "9000000042",
    "GITHUB_SHA": COMMIT,
    "RUNNER_OS": "Linux",
}
RUN_URL = "https://github.com/lakeside/harbour/actions/runs/9000000042"


def encoded(document: object, *, indent: int | None = 3) -> bytes:
    """The bytes of a document as Go's encoder prints them: indented by 3, ``<>&`` escaped."""
    text = json.dumps(document, ensure_ascii=False, indent=indent)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f"{text}\n".encode()


def digest_of(octets: bytes) -> str:
    return f"sha256:{hashlib.sha256(octets).hexdigest()}"


# --- parts of a statement ----------------------------------------------------------------------


def material(
    name: str,
    kind: str = "ARTIFACT",
    value: str = "",
    *,
    tag: str = "",
    annotations: Mapping[str, Any] | None = None,
) -> JSON:
    """An in-toto resource descriptor, as a predicate of version 0.2 holds it."""
    notes: JSON = {"chainloop.material.name": name, "chainloop.material.type": kind}
    if kind == "STRING":
        return {"annotations": notes, "content": _base64((value or name).encode())}
    if kind == "CONTAINER_IMAGE":
        notes |= {"chainloop.material.image.tag": tag} if tag else {}
    else:
        notes["chainloop.material.cas"] = True
    return {
        "annotations": dict(sorted((notes | dict(annotations or {})).items())),
        "digest": {"sha256": hashlib.sha256(name.encode()).hexdigest()},
        "name": value or f"{name}.json",
    }


def violation(
    message: str,
    *,
    subject: str = "",
    is_suppressed: bool = False,
    vulnerability: JSON | None = None,
    sast: JSON | None = None,
    license_violation: JSON | None = None,
) -> JSON:
    """A violation with camelCase names, as Chainloop's storage has them; findings too."""
    parts: JSON = {
        "suppress": is_suppressed,
        "vulnerability": vulnerability,
        "sast": sast,
        "licenseViolation": license_violation,
    }
    said = {name: value for name, value in parts.items() if value}
    return {"subject": subject, "message": message} | said


def evaluation(
    name: str,
    *,
    material: str = "",
    violations: Sequence[JSON | str] = (),
    is_gate: bool = False,
    skip_reasons: Sequence[str] | None = None,
    description: str = "",
) -> JSON:
    """A policy evaluation with camelCase names.

    Args:
        material: Empty: of the attestation as a whole.
        violations: A string stands for a violation with this message.
        skip_reasons: None: not skipped.
    """
    parts: JSON = {
        "materialName": material,
        "description": description,
        "violations": [
            violation(one, subject=name) if isinstance(one, str) else {**one, "subject": name}
            for one in violations
        ],
        "skipReasons": list(skip_reasons or ()),
        "gate": is_gate,
    }
    said = {key: value for key, value in parts.items() if value}
    return {
        "name": name,
        "policyReference": {"name": name, "digest": {"sha256": "ab" * 32}},
        "skipped": skip_reasons is not None,
        "type": "SBOM_CYCLONEDX_JSON" if material else "ATTESTATION",
    } | said


def commit_subject(
    *,
    message: str = "Moor the ferry\n\nSigned-off-by: Ada Quay <ada@lakeside.example>\n",
    annotations: Mapping[str, Any] | None = None,
) -> JSON:
    """The ``git.head`` subject."""
    return {
        "name": "git.head",
        "digest": {"sha1": COMMIT},
        "annotations": {
            "author.email": "ada@lakeside.example",
            "author.name": "Ada Quay",
            "author.verification_status": "verified",
            "date": "2026-09-01T07:58:12Z",
            "message": message,
            "remotes": [{"name": "origin", "url": "https://github.com/lakeside/harbour"}],
        }
        | dict(annotations or {}),
    }


OUTPUTS = ("image",)


def statement(
    *,
    workflow: str = "ship",
    project: str = "harbour",
    organization: str = "lakeside",
    run_id: str = RUN_ID,
    version: str = "v2.3.0",
    materials: Sequence[JSON] | None = None,
    evaluations: Sequence[JSON] = (),
    strategy: str = "ADVISORY",
    is_bypassed: bool = False,
    annotations: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    commit: JSON | None = None,
    has_commit: bool = True,
    predicate: Mapping[str, Any] | None = None,
) -> JSON:
    """An in-toto statement around a predicate of version 0.2, evaluations inline.

    Args:
        materials: None: an image, a string and an SBOM.
        environment: Variables of the contract; those of the runner come on top.
        predicate: Keys of the predicate to set as they are.
    """
    materials = _materials() if materials is None else materials
    active = [one for each in evaluations for one in _active(each)]
    gated = [one for each in evaluations if each.get("gate") for one in _active(each)]
    is_enforced = strategy == "ENFORCED"
    body: JSON = {
        "annotations": dict(annotations or {}),
        "buildType": "chainloop.dev/workflowrun/v0.1",
        "auth": {"id": "bdf49c3c-3882-402f-a017-ffb661108c63", "type": "AUTH_TYPE_API_TOKEN"},
        "builder": {"id": f"chainloop.dev/cli/v1.106.1@sha256:{'c1' * 32}"},
        "env": RUNNER_VARIABLES | dict(environment or {}),
        "materials": list(materials),
        "metadata": {
            "contractName": f"{project}-{workflow}",
            "contractVersion": "4",
            "finishedAt": "2026-09-01T08:09:10.5Z",
            "initializedAt": "2026-09-01T08:03:04.123456789Z",
            "name": workflow,
            "organization": organization,
            "project": project,
            "projectVersion": version,
            "projectVersionPrerelease": True,
            "team": "dock",
            "workflowID": WORKFLOW_ID,
            "workflowName": workflow,
            "workflowRunID": run_id,
        },
        "policyAttBlocked": not is_bypassed and bool(gated or (is_enforced and active)),
        "policyBlockBypassEnabled": is_bypassed,
        "policyCheckBlockingStrategy": strategy,
        "policyEvaluations": _by_material([_inline(each) for each in evaluations]),
        "policyEvaluationsCount": len(evaluations),
        "policyHasGatedViolations": bool(gated),
        "policyHasViolations": bool(active),
        "policyViolationsCount": len(active),
        "runnerEnvironment": "managed",
        "runnerType": "GITHUB_ACTION",
        "runnerURL": RUN_URL,
        "signingCA": "fileCA",
    }
    body = {key: value for key, value in body.items() if value not in ({}, [])}
    outputs = [
        one for one in materials if one["annotations"].get("chainloop.material.name") in OUTPUTS
    ]
    subject = {"name": f"chainloop.workflow.{workflow}", "digest": {"sha256": "0f" * 32}}
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [subject, *([commit or commit_subject()] if has_commit else []), *outputs],
        "predicateType": "chainloop.dev/attestation/v0.2",
        "predicate": body | dict(predicate or {}),
    }


# --- what wraps a statement --------------------------------------------------------------------


def printed(statement: JSON) -> JSON:
    """``workflow run describe -o statement``: protobuf's names instead of its JSON names."""
    renamed = {"_type": "type", "predicateType": "predicate_type"}
    return {renamed.get(key, key): value for key, value in statement.items()}


def dsse(statement: JSON, *, payload_type: str = PAYLOAD_TYPE) -> JSON:
    return {
        "payloadType": payload_type,
        "payload": _base64(_compact(statement)),
        "signatures": [{"keyid": "", "sig": _base64(b"not a signature")}],
    }


def pae(statement: JSON) -> bytes:
    """``workflow run describe -o payload-pae``."""
    payload = _compact(statement)
    head = f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)} "
    return head.encode() + payload


def bundle(statement: JSON, *, material: JSON | None = None) -> JSON:
    """A Sigstore bundle.

    Args:
        material: The verification material; None: none.
    """
    return {
        "mediaType": "application/vnd.dev.sigstore.bundle+json;version=0.3",
        "verificationMaterial": material or {},
        "dsseEnvelope": dsse(statement),
    }


def stored_bundle(statement: JSON, *, material: JSON | None = None) -> bytes:
    """The bytes of a bundle as they are pushed; their SHA-256 is the attestation's digest."""
    return _compact(bundle(statement, material=material))


def cli_push(
    statement: JSON,
    *,
    is_pushed: bool = True,
    is_dry_run: bool = False,
    unset: Sequence[JSON] = (),
    evaluations: Sequence[JSON] = (),
    digest: str | None = None,
) -> JSON:
    """``attestation push -o json``, or ``status`` when not pushed.

    Args:
        unset: Materials that the contract wants and nobody added (`unset_material`).
        evaluations: With what a statement leaves out: findings and suppressed violations.
            Empty: the statement's.
        digest: None: that of the bundle around the statement.
    """
    predicate = statement["predicate"]
    metadata = predicate["metadata"]
    is_recorded = is_pushed and not is_dry_run
    if digest is None:
        digest = digest_of(stored_bundle(statement)) if is_recorded else ""
    organization = "" if is_dry_run else metadata["organization"]
    view = f"https://app.chainloop.example/u/{organization}/workflow-runs/{digest}"
    status: JSON = {
        "attestationID": "" if is_dry_run else metadata["workflowRunID"],
        "initializedAt": metadata["initializedAt"],
        "workflowMeta": {
            "WorkflowID": metadata["workflowID"],
            "Name": metadata["name"],
            "Team": metadata["team"],
            "Project": metadata["project"],
            "ContractRevision": metadata["contractVersion"],
            "ContractName": metadata["contractName"],
            "Organization": organization,
            "ProjectVersion": {
                "id": "",
                "version": metadata["projectVersion"],
                "prerelease": metadata["projectVersionPrerelease"],
                "markAsRelease": False,
            },
        },
        "materials": [_status_material(one) for one in predicate.get("materials", [])] + list(unset)
        or None,
        "envVars": _contract_variables(predicate),
        "runnerContext": {
            "EnvVars": RUNNER_VARIABLES,
            "JobURL": predicate["runnerURL"],
            "RunnerType": predicate["runnerType"],
            "RawRunner": {},
        },
        "dryRun": is_dry_run,
        "annotations": _pairs(predicate.get("annotations", {})),
        "isPushed": is_pushed,
        "has_policy_violations": any(each.get("violations") for each in evaluations),
        "must_block_on_policy_violations": predicate["policyCheckBlockingStrategy"] == "ENFORCED",
        "timestamp_authority": predicate.get("signingTSA", ""),
        "attestation_view_url": view if is_recorded else "",
        "digest": digest,
        "terminal_output": _base64("┌───┐\n".encode()) if is_pushed else None,
    }
    evaluated = _printed_evaluations(predicate, evaluations)
    return status | ({"policy_evaluations": evaluated} if evaluated else {})


def unset_material(
    name: str, kind: str = "JUNIT_XML", *, is_required: bool = True, group: str = ""
) -> JSON:
    """A material of the contract that nobody added, as a status lists it."""
    return {
        "name": name,
        "value": "",
        "hash": "",
        "tag": "",
        "filename": "",
        "type": kind,
        "Set": False,
        "IsOutput": False,
        "Required": is_required and not group,
        "SkipUpload": False,
    } | ({"group": group} if group else {})


def cli_describe(
    statement: JSON | None,
    *,
    state: str = "success",
    reason: str = "",
    is_verified: bool = True,
    has_bundle: bool = True,
    evaluations: Sequence[JSON] = (),
    material: JSON | None = None,
) -> JSON:
    """``workflow run describe -o json``.

    Args:
        statement: None: a run without attestation, of the workflow that `statement` makes.
        evaluations: As in `cli_push`.
        material: The bundle's verification material.
    """
    base = statement or globals()["statement"]()
    metadata = base["predicate"]["metadata"]
    workflow = {
        "name": metadata["name"],
        "id": metadata["workflowID"],
        "team": metadata["team"],
        "project": metadata["project"],
        "createdAt": "2025-01-05T06:07:08.9Z",
        "runsCount": 7,
        "contractName": metadata["contractName"],
        "contractRevisionLatest": 5,
    }
    run: JSON = {
        "id": metadata["workflowRunID"] or RUN_ID,
        "state": state,
        "createdAt": "2026-09-01T08:03:03.9Z",
        "finishedAt": "2026-09-01T08:09:11.25Z",
        "reason": reason,
        "workflow": workflow,
        "runURL": RUN_URL,
        "runnerType": "GitHub",
        "contractRevisionUsed": 4,
        "contractRevisionLatest": 5,
        "projectVersion": {
            "id": "e7e3c2aa-58b1-4b43-9f2e-2f3b1c0d9e8f",
            "version": metadata["projectVersion"],
            "prerelease": metadata["projectVersionPrerelease"],
            "markAsRelease": False,
        },
        "policyStatus": "N/A",
    }
    if not reason:
        del run["reason"]
    if state in ("in progress", "expired"):
        del run["finishedAt"]
    document: JSON = {"workflowRun": run, "workflow": workflow}
    if statement is None:
        return document | {"verified": False}
    predicate = statement["predicate"]
    stored = stored_bundle(statement, material=material)
    digest = digest_of(stored)
    parts: JSON = {
        "materials": [_described_material(one) for one in predicate.get("materials", [])],
        "envvars": _pairs(predicate.get("env", {})),
        "annotations": _pairs(predicate.get("annotations", {})),
        "policy_evaluations": _printed_evaluations(predicate, evaluations),
    }
    run["policyStatus"] = "failed" if predicate["policyHasViolations"] else "passed"
    document["attestation"] = {
        "envelope": dsse(statement),
        "bundle": _base64(stored) if has_bundle else None,
        "digest": digest,
        "policy_evaluation_status": {
            "strategy": predicate["policyCheckBlockingStrategy"],
            "bypassed": predicate["policyBlockBypassEnabled"],
            "blocked": predicate["policyAttBlocked"],
            "has_violations": predicate["policyHasViolations"],
            "has_gated_violations": predicate["policyHasGatedViolations"],
        },
        "attestation_view_url": "",
    } | {key: value for key, value in parts.items() if value}
    return document | {"verified": is_verified}


def old_push(statement: JSON) -> JSON:
    """``attestation push -o json`` of May to December 2024."""
    status = cli_push(statement)
    for key in ("digest", "isPushed", "has_policy_violations", "attestation_view_url"):
        del status[key]
    digest = digest_of(_compact(dsse(statement)))
    return {"digest": digest, "envelope": dsse(statement), "status": status}


def oldest_push(statement: JSON) -> JSON:
    """``attestation push -o json`` before May 2024: the envelope is JSON in a string."""
    envelope = encoded(dsse(statement)).decode()
    return {"digest": digest_of(envelope.encode()), "envelope": envelope}


def webhook(statement: JSON, *, state: str = "success", kind: str = "ATTESTATION") -> JSON:
    """The body that Chainloop's webhook plugin posts."""
    metadata = statement["predicate"]["metadata"]
    data = {
        "Envelope": dsse(statement),
        "Hash": digest_of(encoded(dsse(statement))),
        "Statement": printed(statement),
        "Predicate": statement["predicate"],
    }
    return {
        "Metadata": {
            "Workflow": {
                "ID": metadata["workflowID"],
                "Name": metadata["name"],
                "Team": metadata["team"],
                "Project": metadata["project"],
            },
            "WorkflowRun": {
                "ID": metadata["workflowRunID"],
                "State": state,
                "StartedAt": "2026-09-01T08:03:03.9Z",
                "FinishedAt": "2026-09-01T08:09:11.25Z",
                "RunnerType": "GITHUB_ACTION",
                "RunURL": RUN_URL,
                "AttestationDigest": digest_of(stored_bundle(statement)),
            },
        },
        "Data": _base64(_compact(data)),
        "Kind": kind,
    }


def stored_evaluations(evaluations: Sequence[JSON]) -> bytes:
    """The bundle of policy evaluations in Chainloop's storage."""
    return _compact({"evaluations": [_omitting(each) for each in evaluations]})


def referring(statement: JSON, stored: bytes) -> JSON:
    """The statement with a reference to stored evaluations instead of its own."""
    predicate = {
        key: value for key, value in statement["predicate"].items() if key != "policyEvaluations"
    }
    predicate["policyEvaluationsRef"] = {
        "name": "policy-evaluations",
        "digest": {"sha256": hashlib.sha256(stored).hexdigest()},
        "mediaType": "application/vnd.chainloop.policy-evaluations.v1+json",
    }
    return statement | {"predicate": predicate}


# --- details -----------------------------------------------------------------------------------


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def _compact(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _materials() -> list[JSON]:
    return [
        material("image", "CONTAINER_IMAGE", "ghcr.io/lakeside/harbour", tag="v2.3.0"),
        material("note", "STRING", "built at the pier"),
        material("sbom", "SBOM_CYCLONEDX_JSON", "sbom.cdx.json", annotations={"team": "quay"}),
    ]


def _pairs(values: Mapping[str, str]) -> list[JSON]:
    return [{"name": name, "value": value} for name, value in sorted(values.items())]


def _contract_variables(predicate: JSON) -> JSON:
    return {
        name: value
        for name, value in predicate.get("env", {}).items()
        if RUNNER_VARIABLES.get(name) != value
    }


def _active(evaluation: JSON) -> list[JSON]:
    return [one for one in evaluation.get("violations", []) if not one.get("suppress")]


def _inline(evaluation: JSON) -> JSON:
    """Without what a predicate leaves out."""
    bare = [{"subject": one["subject"], "message": one["message"]} for one in _active(evaluation)]
    inline = {key: value for key, value in evaluation.items() if key != "violations"}
    return inline | ({"violations": bare} if bare else {})


def _by_material(evaluations: Sequence[JSON], key: str = "materialName") -> JSON:
    grouped: dict[str, list[JSON]] = {}
    for each in evaluations:
        grouped.setdefault(each.get(key) or ATTESTATION_LEVEL, []).append(each)
    return grouped


def _printed_evaluations(predicate: JSON, evaluations: Sequence[JSON]) -> JSON:
    inline = [one for each in predicate.get("policyEvaluations", {}).values() for one in each]
    return _by_material([_snake_case(each) for each in evaluations or inline], "material_name")


def _snake_case(value: Any) -> Any:
    if isinstance(value, list):
        return [_snake_case(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {_snake_name(key): _snake_case(one) for key, one in value.items()}


def _snake_name(name: str) -> str:
    special = {"cvssV3Score": "cvss_v3_score"}
    plain = "".join(f"_{one.lower()}" if one.isupper() else one for one in name)
    return special.get(name, plain)


def _omitting(evaluation: JSON) -> JSON:
    """As protobuf's JSON: what is false or empty is absent."""
    return {key: value for key, value in evaluation.items() if value}


def _status_material(descriptor: JSON) -> JSON:
    notes = descriptor["annotations"]
    name = notes["chainloop.material.name"]
    users = {key: value for key, value in notes.items() if not key.startswith("chainloop.")}
    return (
        _listed(descriptor)
        | ({"annotations": _pairs(users)} if users else {})
        | {"Set": True, "IsOutput": name in OUTPUTS, "Required": True, "SkipUpload": False}
    )


def _described_material(descriptor: JSON) -> JSON:
    notes = {
        key: str(value).lower() if isinstance(value, bool) else value
        for key, value in descriptor["annotations"].items()
    }
    listed = _listed(descriptor) | {"annotations": _pairs(notes)}
    if notes.get("chainloop.material.cas") != "true":
        return listed
    return listed | {"value": "", "filename": listed["value"], "uploadedToCAS": True}


def _listed(descriptor: JSON) -> JSON:
    notes = descriptor["annotations"]
    content = base64.b64decode(descriptor.get("content", "")).decode()
    digest = descriptor.get("digest", {}).get("sha256", "")
    return {
        "name": notes["chainloop.material.name"],
        "value": content or descriptor["name"],
        "hash": f"sha256:{digest}" if digest else "",
        "tag": notes.get("chainloop.material.image.tag", ""),
        "filename": "",
        "type": notes["chainloop.material.type"],
    }
