"""What wraps a signed statement: DSSE envelope, Sigstore bundle, pre-authentication encoding.

Sources: DSSE v1 protocol and envelope; Sigstore bundle v0.3 as protobuf's JSON. Signatures are not
verified here.
"""

import hashlib
import json
import re
from dataclasses import replace

from chainloop_smtp.attestation import predicate
from chainloop_smtp.attestation.decoding import decode_text, parse_document
from chainloop_smtp.attestation.fields import Node, excerpt
from chainloop_smtp.model.attested import Attestation

PAYLOAD_TYPE = "application/vnd.in-toto+json"


def read_envelope(node: Node, shape: str) -> Attestation:
    """Read a DSSE envelope around a statement."""
    _check_payload_type(node.get("payloadType"))
    for signature in node.items("signatures"):
        signature.text("sig")
    payload = node.get("payload")
    statement = parse_document(decode_text(payload.base64(), payload), payload)
    return predicate.read_statement(statement, shape)


def read_bundle(node: Node, raw: bytes, shape: str) -> Attestation:
    """Read a Sigstore bundle, with or without its verification material.

    Args:
        raw: The bundle's bytes as they came.
    """
    attestation = read_envelope(node.get("dsseEnvelope"), shape)
    material = node.get("verificationMaterial")
    timestamps = material.get("timestampVerificationData").items("rfc3161Timestamps")
    indexes = [entry.integer("logIndex") for entry in material.items("tlogEntries")]
    signing = replace(
        attestation.signing,
        key_hint=material.get("publicKey").text("hint"),
        timestamp_count=sum(1 for each in timestamps if each.text("signedTimestamp")),
        log_indexes=tuple(str(index) for index in indexes if index is not None),
        bundle_digests=compute_digests(node, raw),
    )
    if certificate := _read_leaf_certificate(material):
        # Imported here: most bundles are signed with a key.
        from chainloop_smtp.attestation.certificate import read

        subject, issuer, names = read(certificate)
        signing = replace(
            signing, certificate=subject, certificate_issuer=issuer, certificate_sans=names
        )
    return replace(attestation, signing=signing)


def read_pre_authentication_encoding(text: str, root: Node, shape: str) -> Attestation:
    """Read DSSE's ``DSSEv1 <length> <payload type> <length> <payload>``; lengths count bytes."""
    header = re.match(r"DSSEv1 ([0-9]{1,9}) (\S{0,200}) ([0-9]{1,9}) ", text)
    if header is None:
        raise root.error("begins as a DSSE pre-authentication encoding and does not go on as one")
    _check_payload_type(root.with_value(header[2]))
    payload = text[header.end() :]
    if len(payload.encode(errors="surrogatepass")) < int(header[3]):
        raise root.error(
            f"is cut short: the payload should have {int(header[3]):,} bytes",
            "`chainloop workflow run describe --id RUN-ID -o payload-pae` prints all of it.",
        )
    # Line ends may have been changed on the way, so the length is a lower bound only.
    return predicate.read_statement(parse_document(payload, root), shape)


def _check_payload_type(node: Node) -> None:
    payload_type = node.text()
    if payload_type != PAYLOAD_TYPE:
        raise node.error(
            f"the envelope holds {excerpt(payload_type)}, "
            f"not an in-toto statement ({PAYLOAD_TYPE})",
            "`chainloop workflow run describe --id RUN-ID -o attestation` prints one that does.",
        )


def compute_digests(node: Node, raw: bytes) -> tuple[str, ...]:
    """Compute SHA-256 of the bytes as given and of the forms in which Chainloop stores a bundle.

    A copy with other white space (``-o attestation`` indents) is still the same bundle. Protobuf's
    compact JSON has a blank behind each comma, or none: it varies from build to build on purpose.
    """
    forms = [raw] + [
        json.dumps(node.value, separators=separators, ensure_ascii=False).encode(
            errors="surrogatepass"
        )
        for separators in ((",", ":"), (", ", ":"))
    ]
    return tuple(dict.fromkeys(f"sha256:{hashlib.sha256(form).hexdigest()}" for form in forms))


def _read_leaf_certificate(material: Node) -> bytes:
    """Read the DER of the certificate that signed; empty when the bundle has none."""
    if (leaf := material.get("certificate")).is_present:
        return leaf.base64("rawBytes")
    for leaf in material.get("x509CertificateChain").items("certificates"):
        return leaf.base64("rawBytes")
    return b""
