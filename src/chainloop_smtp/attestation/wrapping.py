"""What wraps a signed statement: DSSE envelope, Sigstore bundle, pre-authentication encoding.

Sources: DSSE v1 protocol and envelope; Sigstore bundle v0.3 as protobuf's JSON. Signatures are not
verified here.
"""

import base64
import hashlib
import json
import re
from dataclasses import replace

from chainloop_smtp.attestation import predicate
from chainloop_smtp.attestation.decoding import decode_text, parse_document
from chainloop_smtp.attestation.fields import Node, excerpt
from chainloop_smtp.errors import AttestationError
from chainloop_smtp.model.attested import Attestation, Envelope

PAYLOAD_TYPE = "application/vnd.in-toto+json"


def read_envelope(node: Node, shape: str) -> Attestation:
    """Read a DSSE envelope around a statement."""
    _check_payload_type(node.get("payloadType"))
    payload = node.get("payload")
    envelope = Envelope(
        payload=payload.base64(),
        payload_type=PAYLOAD_TYPE,
        signatures=tuple(_decode(each.get("sig")) for each in node.items("signatures")),
    )
    statement = parse_document(decode_text(envelope.payload, payload), payload)
    return replace(predicate.read_statement(statement, shape), envelope=envelope)


def read_bundle(node: Node, raw: bytes, shape: str) -> Attestation:
    """Read a Sigstore bundle, with or without its verification material.

    Args:
        raw: The bundle's bytes as they came.
    """
    attestation = read_envelope(node.get("dsseEnvelope"), shape)
    material = node.get("verificationMaterial")
    entries = material.get("timestampVerificationData").items("rfc3161Timestamps")
    found = (each.get("signedTimestamp") for each in entries)
    timestamps = tuple(_decode(each) for each in found if each.text())
    certificates = _read_certificates(material)
    indexes = [entry.integer("logIndex") for entry in material.items("tlogEntries")]
    signing = replace(
        attestation.signing,
        key_hint=material.get("publicKey").text("hint"),
        timestamp_count=len(timestamps),
        log_indexes=tuple(str(index) for index in indexes if index is not None),
        bundle_digests=compute_digests(node, raw),
    )
    if certificates:
        # Imported here: most bundles are signed with a key.
        from chainloop_smtp.attestation.certificate import read

        subject, issuer, names = read(certificates[0])
        signing = replace(
            signing, certificate=subject, certificate_issuer=issuer, certificate_sans=names
        )
    envelope = attestation.envelope and replace(
        attestation.envelope, certificates=certificates, timestamps=timestamps
    )
    return replace(attestation, signing=signing, envelope=envelope)


def write_bundle(envelope: Envelope) -> bytes:
    """Write the Sigstore bundle that an envelope came in, in another order or spacing."""
    encoded = [{"rawBytes": _encode(each)} for each in envelope.certificates]
    material: dict[str, object] = {}
    if len(encoded) > 1:
        material["x509CertificateChain"] = {"certificates": encoded}
    elif encoded:
        material["certificate"] = encoded[0]
    if timestamps := [{"signedTimestamp": _encode(each)} for each in envelope.timestamps]:
        material["timestampVerificationData"] = {"rfc3161Timestamps": timestamps}
    document = {
        "mediaType": "application/vnd.dev.sigstore.bundle+json;version=0.3",
        "verificationMaterial": material,
        "dsseEnvelope": {
            "payload": _encode(envelope.payload),
            "payloadType": envelope.payload_type,
            "signatures": [{"sig": _encode(each)} for each in envelope.signatures],
        },
    }
    return json.dumps(document).encode()


def _encode(content: bytes) -> str:
    return base64.b64encode(content).decode()


def read_pre_authentication_encoding(text: str, root: Node, shape: str) -> Attestation:
    """Read DSSE's ``DSSEv1 <length> <payload type> <length> <payload>``; lengths count bytes."""
    header = re.match(r"DSSEv1 ([0-9]{1,9}) (\S{0,200}) ([0-9]{1,9}) ", text)
    if header is None:
        raise root.error("begins like a DSSE pre-authentication encoding, but is not one")
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
            f"the envelope contains {excerpt(payload_type)}, "
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


def _decode(node: Node) -> bytes:
    """Decode what only proves something: damaged, it proves nothing, and the rest is read."""
    node.text()
    try:
        return node.base64()
    except AttestationError:
        return b""


def _read_certificates(material: Node) -> tuple[bytes, ...]:
    """Read the DER of the certificate that signed, and of those behind it."""
    if (leaf := material.get("certificate")).is_present:
        return tuple(filter(None, [leaf.base64("rawBytes")]))
    chain = material.get("x509CertificateChain").items("certificates")
    return tuple(filter(None, (each.base64("rawBytes") for each in chain)))
