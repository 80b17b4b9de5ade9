"""DSSE envelope, Trust -> SignatureCheck, where something that is trusted applies."""

import hashlib
import warnings
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from chainloop_smtp.model.attested import Envelope
from chainloop_smtp.model.checks import SignatureCheck, SignatureStatus, Trust
from chainloop_smtp.signature.chain import (
    CURVES,
    KeyKindError,
    SigningKey,
    UntrustedError,
    find_root,
    format_signer,
    format_subject,
    require_strong,
)

# Key management services choose the hash. With each of them, a signature proves as much.
_HASHES = (hashes.SHA256(), hashes.SHA384(), hashes.SHA512())
# What the library raises on a hostile certificate.
_DAMAGE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


def verify(envelope: Envelope, trust: Trust) -> SignatureCheck:
    """Verify with the signer's certificate, where there is one and roots for it; else with the key.

    Args:
        envelope: With at least one signature.
        trust: With a key where the envelope has no certificate.
    """
    with warnings.catch_warnings():
        # The library warns of oddities in certificates that it accepts.
        warnings.simplefilter("ignore")
        try:
            return _verify(envelope, trust)
        except UntrustedError as error:
            return SignatureCheck(status=SignatureStatus.FAILED, reason=str(error))


def _verify(envelope: Envelope, trust: Trust) -> SignatureCheck:
    leaf: x509.Certificate | None = None
    key: PublicKeyTypes
    if envelope.certificates and trust.roots:
        try:
            leaf = _load(envelope.certificates[0])
            key = leaf.public_key()
            check = SignatureCheck(
                status=SignatureStatus.VERIFIED,
                signer=format_signer(leaf),
                signed_at=leaf.not_valid_before_utc,
                authority=format_subject(_find_root(leaf, envelope, trust)),
            )
        except _DAMAGE as error:
            raise UntrustedError("the certificate is damaged") from error
    else:
        key = load_der_public_key(trust.key)
        check = SignatureCheck(status=SignatureStatus.VERIFIED)
    try:
        strong = require_strong(key)
    except KeyKindError as error:
        raise UntrustedError(f"the signer's key is {error}") from error
    method, signature = _find_signature(strong, envelope)
    check = replace(check, method=method, key_fingerprint=_fingerprint(strong))
    return _with_timestamps(check, leaf, signature, envelope, trust)


def _find_root(leaf: x509.Certificate, envelope: Envelope, trust: Trust) -> x509.Certificate:
    intermediates = [_load(each) for each in (*trust.intermediates, *envelope.certificates[1:])]
    roots = [_load(each) for each in trust.roots]
    return find_root(leaf, intermediates, roots, leaf.not_valid_before_utc)


def _load(der: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(der)


def _find_signature(key: SigningKey, envelope: Envelope) -> tuple[str, bytes]:
    """Verify every signature with the one key, and return how and what the first one is.

    DSSE allows signatures of others, which a verifier may ignore. But Chainloop's command makes one
    only, so an added one means that the evidence was changed.

    Raises:
        UntrustedError: One does not verify.
    """
    message = _encode(envelope)
    verified = [
        (method, reading)
        for signature in envelope.signatures
        for reading in _list_readings(signature)
        if (method := _find_method(key, reading, message))
    ]
    if len(verified) < len(envelope.signatures):
        count = len(envelope.signatures)
        which = f"one of the {count} signatures does" if verified else "the signature does"
        raise UntrustedError(
            f"{which} not verify: what was signed is not what the evidence contains"
        )
    return verified[0]


def _encode(envelope: Envelope) -> bytes:
    """DSSE's pre-authentication encoding: what is signed."""
    kind = envelope.payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(envelope.payload), envelope.payload)


def _list_readings(signature: bytes) -> Iterator[bytes]:
    """The signature, and what it is in base64: until 2025 Chainloop encoded it twice."""
    yield signature
    try:
        yield a2b_base64(signature, strict_mode=True)
    except Base64Error:
        return


def _find_method(key: SigningKey, signature: bytes, message: bytes) -> str:
    """Find how the key has signed the message, such as ``ECDSA P-256, SHA-256``.

    Args:
        key: It alone says of which kind the signature has to be.

    Returns:
        Empty when it has not.
    """
    for method, arguments in _list_methods(key):
        try:
            key.verify(signature, message, *arguments)
        except InvalidSignature:
            continue
        return method
    return ""


def _fingerprint(key: SigningKey) -> str:
    """``sha256:<hex>`` of what ``openssl pkey -pubin -outform DER`` writes."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(der).hexdigest()}"


def _list_methods(key: SigningKey) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """The ways in which a key may have signed, each with what its `verify` takes besides."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        yield "Ed25519", ()
        return
    for each in _HASHES:
        if isinstance(key, ec.EllipticCurvePublicKey):
            yield f"ECDSA {CURVES[key.curve.name]}, {_name(each)}", (ec.ECDSA(each),)
        else:
            pss = padding.PSS(padding.MGF1(each), padding.PSS.AUTO)
            for scheme, name in ((padding.PKCS1v15(), "PKCS #1 v1.5"), (pss, "PSS")):
                yield f"RSA {key.key_size} ({name}), {_name(each)}", (scheme, each)


def _name(algorithm: hashes.HashAlgorithm) -> str:
    return algorithm.name.upper().replace("SHA", "SHA-")


def _with_timestamps(
    check: SignatureCheck,
    leaf: x509.Certificate | None,
    signature: bytes,
    envelope: Envelope,
    trust: Trust,
) -> SignatureCheck:
    """Add when it was signed, where trusted authorities say.

    Raises:
        UntrustedError: A timestamp is wrong; as for Chainloop's command, none may be.
    """
    if not envelope.timestamps:
        # Chainloop's command takes it, too: a leaf counts at the start of its validity.
        is_expected = bool(trust.timestamp_authorities)
        return replace(check, reason=_NO_TIMESTAMP) if is_expected else check
    if not trust.timestamp_authorities:
        return replace(
            check, reason="the timestamp is not checked: trusted-root contains no authority for it"
        )
    authorities = [_load(each) for each in trust.timestamp_authorities]
    issuers = [_load(each) for each in trust.timestamp_issuers]
    try:
        found = [
            _read_timestamp(each, signature, authorities, issuers) for each in envelope.timestamps
        ]
    except ImportError:
        return replace(
            check,
            reason="the timestamp is not checked: rfc3161-client is not installed",
        )
    for time, _ in found:
        if leaf and not leaf.not_valid_before_utc <= time <= leaf.not_valid_after_utc:
            raise UntrustedError(
                f"the timestamp, {_format(time)}, is outside of the certificate's validity"
            )
    time, authority = min(found)
    return replace(check, signed_at=time, timestamped_at=time, timestamp_authority=authority)


def _format(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(" ", "seconds").replace("+00:00", " UTC")


def _read_timestamp(
    response: bytes,
    signature: bytes,
    authorities: list[x509.Certificate],
    issuers: list[x509.Certificate],
) -> tuple[datetime, str]:
    """Return time and authority of a timestamp of the signature (RFC 3161).

    The authorities' certificates have to be valid at the time that it names.

    Args:
        response: DER of a TimeStampResp.
        authorities: Certificates that sign timestamps; at least one.
        issuers: All that are above them.

    Raises:
        UntrustedError: It does not verify.
        ImportError: The library is not installed.
    """
    from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response
    from rfc3161_client.tsp import PKIStatus

    try:
        decoded = decode_timestamp_response(response)
        if decoded.status != PKIStatus.GRANTED:
            raise UntrustedError("the timestamp was not granted")
        time = decoded.tst_info.gen_time
        algorithms = {each.dotted_string for each in decoded.signed_data.digest_algorithms}
    except ValueError as error:
        raise UntrustedError("the timestamp is damaged") from error
    if not algorithms <= _SHA2:
        raise UntrustedError("the timestamp is signed with a hash that proves nothing any more")
    reasons = []
    for authority in authorities:
        builder = VerifierBuilder(tsa_certificate=authority, roots=issuers)
        try:
            builder.build().verify_message(decoded, signature)
        except (VerificationError, ValueError) as error:
            reasons.append(_explain(str(error)))
            continue
        return time, format_subject(authority)
    raise UntrustedError(min(reasons, key=_REASONS.index))


def _explain(text: str) -> str:
    return next(reason for part, reason in _KNOWN.items() if part in text)


_NO_TIMESTAMP = "no timestamp proves when it was signed"
_UNTRUSTED = "the timestamp is from an authority that is not in trusted-root"
# Parts of what rfc3161-client and OpenSSL say; the first ones say the most.
_KNOWN = {
    "Mismatch between messages": "the timestamp is not for this signature",
    "has expired": "the timestamp authority's certificate was not valid any more",
    "not yet valid": "the timestamp authority's certificate was not valid yet",
    "Embedded certificate": _UNTRUSTED,
    "certificate verify error": _UNTRUSTED,
    "": "the timestamp does not verify",
}
_REASONS = tuple(_KNOWN.values())
_SHA2 = {f"2.16.840.1.101.3.4.2.{number}" for number in (1, 2, 3)}
