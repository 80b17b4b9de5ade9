"""bytes -> Attestation. Every shape that Chainloop prints a run in, one model for all of them.

Pure and bounded: an input larger than `MAX_BYTES` (64 MiB), deeper than `MAX_DEPTH` (100 levels) or
richer than `MAX_VALUES` (a million brackets and commas) is refused before it is parsed. The worst
inputs found within these bounds took 7 seconds of processor time and 1.1 GB; an ordinary
attestation of 20 kB takes 3 milliseconds. Signatures are not verified; digests are compared.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from chainloop_smtp.attestation import joining, policies, predicate, printed, wrapping
from chainloop_smtp.attestation.decoding import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_VALUES,
    decode_text,
    find_document,
    parse_string,
)
from chainloop_smtp.attestation.fields import PRINT_HINT, Node, excerpt
from chainloop_smtp.attestation.joining import join
from chainloop_smtp.attestation.unsigned import find_unsigned
from chainloop_smtp.attestation.wrapping import write_bundle
from chainloop_smtp.errors import AttestationError
from chainloop_smtp.model.attested import Attestation

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_VALUES",
    "find_unsigned",
    "join",
    "parse",
    "with_evaluations",
    "write_bundle",
]


def parse(evidence: bytes) -> Attestation:
    """Read everything that the evidence says about one run.

    Args:
        evidence: What a Chainloop command printed, as captured: any shape, UTF-8 or UTF-16,
            possibly with lines of noise around it.

    Raises:
        AttestationError: It describes no run, and the error says what it is instead; or it is
            damaged.
    """
    root = Node(None)
    text = decode_text(evidence, root)
    if inner := _unwrap(text, root):
        return parse(inner)
    if start := _PRE_AUTHENTICATION_ENCODING.search(text):
        shape = "workflow run describe -o payload-pae"
        return wrapping.read_pre_authentication_encoding(text[start.start() :], root, shape)
    document = find_document(text, root, lambda node: _find_reader(node, evidence) is not None)
    reader = _find_reader(document, evidence)
    if reader is None:
        raise _explain(document)
    return reader(document)


def with_evaluations(attestation: Attestation, bundle: bytes) -> Attestation:
    """Add the policy evaluations that the attestation refers to.

    Args:
        bundle: What ``chainloop artifact download --digest sha256:...`` fetches.

    Raises:
        AttestationError: They are damaged, or not those it refers to.
    """
    root = Node(None, key="policy-evaluations: $")
    text = decode_text(bundle, root)
    document = find_document(text, root, lambda node: node.has("evaluations"))
    if not document.has("evaluations"):
        raise root.error(
            "this is not a bundle of policy evaluations",
            "`chainloop artifact download --digest sha256:...` fetches one.",
        )
    reference = attestation.policies.reference
    digests = wrapping.compute_digests(document, bundle)
    if reference and reference.lower() not in digests:
        raise root.error(
            f"hashes to {digests[0]}, but `{attestation.shape}` refers to {excerpt(reference, 80)}",
            "`chainloop artifact download --digest` with the second fetches the right one.",
        )
    stored = policies.read_list(document.get("evaluations"))
    if not reference and (difference := joining.describe_difference(attestation.policies, stored)):
        raise root.error(
            f"these are not the evaluations of `{attestation.shape}`: {difference}",
            "The attestation names no bundle to compare with. Omit policy-evaluations, or "
            "give the bundle of this run.",
        )
    envelope = attestation.envelope
    if envelope and reference:
        envelope = replace(envelope, evaluations=stored.evaluations)
    merged = joining.merge_policies(attestation.policies, stored)
    return replace(attestation, policies=merged, envelope=envelope)


def _unwrap(text: str, root: Node) -> bytes:
    """Decode text that is nothing but a JSON string or base64; empty when it is neither.

    ``toJSON(steps.push.outputs.attestation)`` in a workflow gives the first,
    ``jq -r .attestation.bundle`` of a described run the second.
    """
    if _JSON_STRING.match(text):
        inner = parse_string(text)
        return b"" if _JSON_STRING.match(inner) else inner.encode()
    if _BASE64_OF_OBJECT.fullmatch(text):
        return root.with_value(text.strip()).base64()
    return b""


_JSON_STRING = re.compile(r'\s*+"')
# The first characters of `{"`, `{ ` and `{` with a line end.
_BASE64_OF_OBJECT = re.compile(r"\s*+e[wy][A-Za-z0-9+/\r\n]++={0,2}\s*+")
_PRE_AUTHENTICATION_ENCODING = re.compile(r"^DSSEv1 ", re.MULTILINE)


def _find_reader(node: Node, evidence: bytes) -> Callable[[Node], Attestation] | None:
    """Return the reader of this shape; None when it does not describe a run.

    The order matters: each shape is recognized by keys that none before it has.
    """
    if node.has("attestationID") and (node.has("workflowMeta") or node.has("isPushed")):
        return printed.read_status
    if node.has("envelope", "digest"):
        is_described = node.has("bundle") or node.has("policy_evaluation_status")
        if is_described or node.has("materials"):
            shape = "attestation of workflow run describe -o json"
            return partial(printed.read_described_attestation, shape=shape)
        return printed.read_old_push
    if node.has("workflowRun"):
        return printed.read_described_run
    if node.has("dsseEnvelope"):
        return partial(wrapping.read_bundle, raw=evidence, shape="Sigstore bundle")
    if node.has("payload", "payloadType"):
        return partial(wrapping.read_envelope, shape="DSSE envelope")
    if node.has("predicate", "predicate_type"):
        return partial(predicate.read_statement, shape="workflow run describe -o statement")
    if node.has("predicate", "predicateType"):
        return partial(predicate.read_statement, shape="in-toto statement")
    if node.has("Metadata", "Data", "Kind"):
        return printed.read_webhook
    if node.has("metadata", "builder", "buildType"):
        # SLSA's predicates have the same keys.
        build_type = node.get("buildType").value
        if isinstance(build_type, str) and build_type.startswith("chainloop.dev/"):
            return partial(predicate.read_predicate, subjects=Node(None), shape="predicate")
    return None


def _explain(node: Node) -> AttestationError:
    """Say what a document is that does not describe a run, as far as its keys tell."""
    if isinstance(node.value, list):
        return _explain_list(node)
    for keys, sentence in _OBJECTS:
        if node.has(*keys):
            return node.error(f"this is {sentence}", _suggest_command(node))
    if node.has("evaluations"):
        return node.error(
            "these are policy evaluations without the attestation that they belong to",
            "Give them as `policy-evaluations`, beside `attestation`.",
        )
    names = list(node.value) if isinstance(node.value, dict) else []
    if not names:
        return node.error("this is an empty object, not an attestation", PRINT_HINT)
    shown = ", ".join(excerpt(name, 30) for name in sorted(names)[:5])
    more = ", ..." if len(names) > 5 else ""
    return node.error(
        f"this is not a Chainloop document that describes a run; it has the keys {shown}{more}",
        PRINT_HINT,
    )


def _explain_list(node: Node) -> AttestationError:
    first = next(node.items(), None)
    if first is None:
        return node.error("this is an empty list, not an attestation", PRINT_HINT)
    for keys, sentence in _LISTS:
        if first.has(*keys):
            return node.error(f"this is {sentence}", _suggest_command(first))
    return node.error("this is a list, not an attestation", PRINT_HINT)


def _suggest_command(node: Node) -> str:
    """Name the command that prints all of a run, where this is a run without its attestation."""
    if node.has("contractRevisionUsed", "id") and _UUID.fullmatch(str(node.get("id").value)):
        return f"`chainloop workflow run describe --id {node.text('id')} -o json` prints all of it."
    return PRINT_HINT


_UUID = re.compile(r"[0-9A-Fa-f-]{36}")

_LISTS = (
    (
        ("contractRevisionUsed",),
        "a list of workflow runs (`workflow run list`), not an attestation",
    ),
    (
        ("Set", "Required"),
        "a list of materials (`attestation add`), without the run that they belong to",
    ),
    (("integration", "workflow"), "a list of attached integrations, not an attestation"),
    (("kind", "config"), "a list of registered integrations, not an attestation"),
    (("registration", "attachment"), "a list of available integrations, not an attestation"),
)

_OBJECTS = (
    (("Set", "Required"), "one material (`attestation add`), without the run that it belongs to"),
    (("contractRevisionUsed", "state"), "a workflow run without its attestation"),
    (("integration", "workflow"), "an attached integration, not an attestation"),
    (("kind", "config"), "a registered integration, not an attestation"),
    (("inputSchema",), "the state that the command keeps until the push, not an attestation"),
    (("bomFormat",), "a CycloneDX SBOM: a material, not an attestation"),
    (("spdxVersion",), "an SPDX SBOM: a material, not an attestation"),
    (("runs", "version"), "a SARIF report: a material, not an attestation"),
    (("messageSignature",), "a Sigstore bundle around a plain signature, not an attestation"),
    (("signed", "signatures"), "an in-toto link or TUF metadata, not a Chainloop attestation"),
    (("builder", "buildType"), "SLSA provenance: not a Chainloop attestation"),
    (("buildDefinition", "runDetails"), "SLSA provenance: not a Chainloop attestation"),
    (("_type",), "an in-toto statement without a predicate: it says nothing about a run"),
)
