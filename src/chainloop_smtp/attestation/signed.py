"""What wraps a signed statement: DSSE envelope, Sigstore bundle, pre-authentication encoding.

Sources: DSSE v1 protocol and envelope; Sigstore bundle v0.3 as protobuf's JSON. No signature is
verified here; what is checked is the digest of a bundle's bytes.
"""

import hashlib
import json
import re
from dataclasses import replace

from chainloop_smtp.attestation import decoding, predicate
from chainloop_smtp.attestation.fields import Node, shown
from chainloop_smtp.model.attested import Attestation

PAYLOAD_TYPE = "application/vnd.in-toto+json"

PRE_AUTHENTICATION_MARK = "DSSEv1 "


def read_envelope(node: Node, shape: str) -> Attestation:
    """A DSSE envelope around a statement."""
    _check_payload_type(node.get("payloadType"))
    for signature in node.items("signatures"):
        signature.text("sig")
    payload = node.get("payload")
    statement = decoding.parse_bytes(payload.octets(), payload)
    return predicate.read_statement(statement, shape)


def read_bundle(node: Node, raw: bytes, shape: str) -> Attestation:
    """A Sigstore bundle, with its verification material or without.

    Args:
        raw: The bundle's bytes as they came.
    """
    attestation = read_envelope(node.get("dsseEnvelope"), shape)
    material = node.get("verificationMaterial")
    stamps = material.get("timestampVerificationData").items("rfc3161Timestamps")
    logged = (entry.integer("logIndex") for entry in material.items("tlogEntries"))
    signing = replace(
        attestation.signing,
        key_hint=material.get("publicKey").text("hint"),
        timestamp_count=sum(1 for stamp in stamps if stamp.text("signedTimestamp")),
        log_indexes=tuple(str(index) for index in logged if index is not None),
        bundle_digests=digests_of(node, raw),
    )
    if leaf := _leaf(material):
        from chainloop_smtp.attestation.certificate import read

        subject, issuer, names = read(leaf)
        signing = replace(
            signing, certificate=subject, certificate_issuer=issuer, certificate_sans=names
        )
    return replace(attestation, signing=signing)


def read_pre_authentication_encoding(text: str, root: Node, shape: str) -> Attestation:
    """DSSE's ``DSSEv1 <length> <payload type> <length> <payload>``; lengths count bytes."""
    found = re.match(r"DSSEv1 ([0-9]{1,9}) (\S{0,200}) ([0-9]{1,9}) ", text)
    if found is None:
        raise root.error("begins as a DSSE pre-authentication encoding and does not go on as one")
    _check_payload_type(root.decoded(found[2]))
    payload = text[found.end() :]
    if len(payload.encode(errors="surrogatepass")) < int(found[3]):
        raise root.error(
            f"is cut short: the payload should have {int(found[3]):,} bytes",
            "`chainloop workflow run describe --id RUN-ID -o payload-pae` prints all of it.",
        )
    # Line ends may have been changed on the way, so the length is a lower bound only.
    return predicate.read_statement(decoding.parse(payload, root), shape)


def checked(attestation: Attestation, claim: str) -> Attestation:
    """The attestation with this digest, compared with that of the bundle at hand."""
    digests = attestation.signing.bundle_digests
    verified = claim.lower() in digests if claim and digests else None
    signing = replace(attestation.signing, is_digest_verified=verified)
    return replace(attestation, digest=claim, signing=signing)


def _check_payload_type(node: Node) -> None:
    kind = node.text()
    if kind != PAYLOAD_TYPE:
        raise node.error(
            f"the envelope holds {shown(kind)}, not an in-toto statement ({PAYLOAD_TYPE})",
            "`chainloop workflow run describe --id RUN-ID -o attestation` prints one that does.",
        )


def digests_of(node: Node, raw: bytes) -> tuple[str, ...]:
    """SHA-256 of the bytes at hand and of the forms that Chainloop stores a bundle in.

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


def _leaf(material: Node) -> bytes:
    """DER of the certificate that signed; empty when the bundle has none."""
    if (one := material.get("certificate")).is_said:
        return one.octets("rawBytes")
    for first in material.get("x509CertificateChain").items("certificates"):
        return first.octets("rawBytes")
    return b""
