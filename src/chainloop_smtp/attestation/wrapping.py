"""A document of any shape that describes a run -> Attestation.

The order of the questions matters: each shape is told by keys that none before it has.
"""

import re
from collections.abc import Callable
from dataclasses import replace

from chainloop_smtp.attestation import (
    decoding,
    describe,
    joining,
    policies,
    predicate,
    refusals,
    signed,
    status,
)
from chainloop_smtp.attestation.fields import Node, shown
from chainloop_smtp.model.attested import Attestation, Run, Runner, Workflow


def read(evidence: bytes, root: Node) -> Attestation:
    """Whatever a Chainloop command printed about one run.

    Raises:
        AttestationError: It describes no run, and a sentence says what it is instead; or it is
            damaged.
    """
    text = decoding.text_of(evidence, root)
    if inner := _bare(text, root):
        return read(inner, root)
    if start := _PRE_AUTHENTICATION_ENCODING.search(text):
        shape = "workflow run describe -o payload-pae"
        return signed.read_pre_authentication_encoding(text[start.start() :], root, shape)
    document = decoding.find(text, root, lambda node: _reader_of(node) is not None)
    reader = _reader_of(document)
    if reader is None:
        raise refusals.refusal(document)
    return reader(document, evidence)


def _bare(text: str, root: Node) -> bytes:
    """What stands in a JSON string, or in base64, and nothing else; empty when neither does.

    ``toJSON(steps.push.outputs.attestation)`` in a workflow gives the first,
    ``jq -r .attestation.bundle`` of a described run the second.
    """
    if _JSON_STRING.match(text):
        inner = decoding.string(text)
        return b"" if _JSON_STRING.match(inner) else inner.encode()
    if _BASE64_OF_OBJECT.fullmatch(text):
        return root.decoded(text.strip()).octets()
    return b""


_JSON_STRING = re.compile(r'\s*+"')
# The first characters of `{"`, `{ ` and `{` with a line end.
_BASE64_OF_OBJECT = re.compile(r"\s*+e[wy][A-Za-z0-9+/\r\n]++={0,2}\s*+")
_PRE_AUTHENTICATION_ENCODING = re.compile(r"^DSSEv1 ", re.MULTILINE)

_Reader = Callable[[Node, bytes], Attestation]


def _reader_of(node: Node) -> _Reader | None:
    """The reader of this shape; None when it does not describe a run."""
    if node.has("attestationID") and (node.has("workflowMeta") or node.has("isPushed")):
        return lambda node, _: status.read(node)
    if node.has("envelope", "digest"):
        return _read_described_attestation if _is_described(node) else _read_old_push
    if node.has("workflowRun"):
        return lambda node, _: describe.read(node)
    if node.has("dsseEnvelope"):
        return lambda node, raw: signed.read_bundle(node, raw, "Sigstore bundle")
    if node.has("payload", "payloadType"):
        return lambda node, _: signed.read_envelope(node, "DSSE envelope")
    if node.has("predicate") and (node.has("predicateType") or node.has("predicate_type")):
        return _read_statement
    if node.has("Metadata", "Data", "Kind"):
        return _read_webhook
    if node.has("metadata", "builder", "buildType") and _is_chainloops(node.get("buildType")):
        return lambda node, _: predicate.read_predicate(node, "predicate")
    return None


def _is_chainloops(build_type: Node) -> bool:
    """SLSA's predicates have the same keys."""
    return isinstance(build_type.value, str) and build_type.value.startswith("chainloop.dev/")


def _is_described(node: Node) -> bool:
    return any(node.has(key) for key in ("bundle", "policy_evaluation_status", "materials"))


def _read_described_attestation(node: Node, _: bytes) -> Attestation:
    return describe.read_item(node, f"attestation of {describe.SHAPE}")


def _read_statement(node: Node, _: bytes) -> Attestation:
    printed = node.has("predicate_type")
    return predicate.read_statement(
        node, "workflow run describe -o statement" if printed else "in-toto statement"
    )


def _read_old_push(node: Node, _: bytes) -> Attestation:
    """What `attestation push` printed until the end of 2024.

    Until May 2024 the envelope was JSON in a string, and there was no status beside it.
    """
    shape = "attestation push -o json (before 2025)"
    envelope = node.get("envelope")
    if isinstance(envelope.value, str):
        envelope = decoding.parse(envelope.text(), envelope)
    attested = signed.read_envelope(envelope, shape)
    digest = node.text("digest")
    # A dry run had no digest, and nothing else told it from a real one.
    attested = replace(attested, digest=digest, is_recorded=bool(digest))
    if not node.get("status").is_said:
        return attested
    said = status.read(node.get("status"))
    joining.check_run(node.get("status").get("attestationID"), attested)
    said = replace(said, shape=shape, is_recorded=bool(digest))
    return joining.filled(said, attested)


def _read_webhook(node: Node, _: bytes) -> Attestation:
    """What Chainloop's webhook plugin posts.

    ``Hash`` is that of the envelope, so it is not the attestation's digest.
    """
    shape = "webhook body"
    kind, data = node.text("Kind"), node.get("Data")
    if kind != "ATTESTATION":
        raise refusals.webhook(node, kind)
    body = decoding.parse_bytes(data.octets(), data)
    if (envelope := body.get("Envelope")).is_said:
        attested = signed.read_envelope(envelope, shape)
    elif (statement := body.get("Statement")).is_said:
        attested = predicate.read_statement(statement, shape)
    else:
        attested = predicate.read_predicate(body.get("Predicate"), shape)
    workflow = node.get("Metadata").get("Workflow")
    run = node.get("Metadata").get("WorkflowRun")
    joining.check_run(run.get("ID"), attested)
    told = Attestation(
        shape=shape,
        is_recorded=True,
        digest=run.text("AttestationDigest"),
        run=Run(
            id=run.text("ID"),
            state=describe.STATES.get(run.text("State")),
            started_at=run.moment("StartedAt"),
            finished_at=run.moment("FinishedAt"),
        ),
        workflow=Workflow(
            name=workflow.text("Name"),
            id=workflow.text("ID"),
            project=workflow.text("Project"),
            team=workflow.text("Team"),
        ),
        runner=Runner(type=run.text("RunnerType"), url=run.text("RunURL")),
    )
    return joining.filled(replace(attested, is_dry_run=None), told)


def with_evaluations(attestation: Attestation, bundle: bytes) -> Attestation:
    """The attestation with the policy evaluations that it refers to.

    Args:
        bundle: What ``chainloop artifact download --digest sha256:...`` fetches.

    Raises:
        AttestationError: They are damaged, or others than those it refers to.
    """
    root = Node(None, key="policy-evaluations: $")
    text = decoding.text_of(bundle, root)
    document = decoding.find(text, root, lambda node: node.has("evaluations"))
    if not document.has("evaluations"):
        raise root.error(
            "this is not a bundle of policy evaluations",
            "`chainloop artifact download --digest sha256:...` fetches one.",
        )
    reference = attestation.policies.reference
    digests = signed.digests_of(document, bundle)
    if reference and reference.lower() not in digests:
        raise root.error(
            f"hashes to {digests[0]}, but `{attestation.shape}` refers to {shown(reference, 80)}",
            "`chainloop artifact download --digest` with the second fetches the right one.",
        )
    told = policies.counted(policies.read_list(document.get("evaluations")))
    if not reference and (difference := joining.unlike(attestation.policies, told)):
        raise root.error(
            f"these are not the evaluations of `{attestation.shape}`: {difference}",
            "It refers to no bundle, so nothing else says that this one is its own. Leave "
            "policy-evaluations out, or give the bundle of this run.",
        )
    return replace(attestation, policies=joining.policies_filled(attestation.policies, told))
