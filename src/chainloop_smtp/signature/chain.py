"""A signer's certificate -> the trusted root at which its chain ends (RFC 5280 section 6).

Also which keys are strong enough, and the names in a certificate as the mail writes them: ``CN=...,
O=...`` in its own order. The author of a bundle chose them, so they come out printable, in one line
and not too long.
"""

import re
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

_SHORTEST_RSA = 2048  # bits
CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
_LONGEST = 300  # characters of a name
_CODE_SIGNING = {ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}

SigningKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey


class UntrustedError(Exception):
    """The signature is not to be trusted; the text says why, in a clause."""


def find_root(
    leaf: x509.Certificate,
    intermediates: list[x509.Certificate],
    roots: list[x509.Certificate],
    time: datetime,
) -> x509.Certificate:
    """Build the chain of a certificate that may sign code, and return its end.

    The library builds it: names, signatures (SHA-256 at least; authorities with RSA from 2048 bits
    or ECDSA), validity, path length, name constraints, critical extensions. As Go's `x509` does,
    which Chainloop verifies with, it takes authorities without key usage, and demands code signing
    wherever an extended key usage is stated.

    Args:
        intermediates: Trusted or not.
        time: Aware; when all certificates have to be valid.

    Raises:
        UntrustedError: There is no chain.
    """
    _check_issuer(leaf, [*roots, *intermediates])
    policy = PolicyBuilder().store(Store(roots)).time(time)
    policy = policy.extension_policies(ca_policy=_AUTHORITY, ee_policy=_SIGNER)
    try:
        return policy.build_client_verifier().verify(leaf, intermediates).chain[-1]
    except VerificationError as error:
        raise UntrustedError(f"the certificate's chain does not verify: {_clean(error)}") from error


def _check_issuer(leaf: x509.Certificate, authorities: list[x509.Certificate]) -> None:
    """Say in plain words what goes wrong most often.

    Raises:
        UntrustedError: None of the known authorities has issued the certificate.
    """
    namesakes = [each for each in authorities if each.subject == leaf.issuer]
    issuer = format_issuer(leaf)
    if not namesakes:
        raise UntrustedError(f"the certificate is issued by {issuer}, which is not in trusted-root")
    if not any(is_issued_by(leaf, each) for each in namesakes):
        raise UntrustedError(
            f"the certificate is not issued by the {issuer} in trusted-root, but by another key "
            "under the same name, or it has been changed"
        )


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the names fit, and the issuer's key has signed the certificate."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def _require_no_authority(
    _policy: Policy, _certificate: x509.Certificate, basic: x509.BasicConstraints | None
) -> None:
    if basic and basic.ca:
        raise ValueError("the signer's certificate is a CA certificate")


def _require_certifying(
    _policy: Policy, _certificate: x509.Certificate, usage: x509.KeyUsage | None
) -> None:
    if usage and not usage.key_cert_sign:
        raise ValueError("an issuer's key may not sign certificates")


def _require_signing(
    _policy: Policy, _certificate: x509.Certificate, usage: x509.KeyUsage | None
) -> None:
    if usage and not usage.digital_signature:
        raise ValueError("the key may not sign documents")


def _require_code_signing(
    _policy: Policy, _certificate: x509.Certificate, usage: x509.ExtendedKeyUsage | None
) -> None:
    if usage and not _CODE_SIGNING & set(usage):
        raise ValueError("a certificate in it is not for code signing")


_ANY = Criticality.AGNOSTIC
_AUTHORITY = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, _ANY, None)
    .may_be_present(x509.KeyUsage, _ANY, _require_certifying)
    .may_be_present(x509.ExtendedKeyUsage, _ANY, _require_code_signing)
)
_SIGNER = (
    ExtensionPolicy.permit_all()
    .may_be_present(x509.BasicConstraints, _ANY, _require_no_authority)
    .may_be_present(x509.KeyUsage, _ANY, _require_signing)
    .may_be_present(x509.ExtendedKeyUsage, _ANY, _require_code_signing)
)


def _clean(error: VerificationError) -> str:
    """The library's words, without what it wraps around them, or plainer ones."""
    text = _WRAPPING.sub("", str(error))
    plain = (plain for start, plain in _PLAIN.items() if text.startswith(start))
    return next(plain, make_printable(text))


_WRAPPING = re.compile(
    r"^(?:(?:validation failed|candidates exhausted|Python extension validator failed|ValueError)"
    r": )+| \(encountered processing .*",
    re.DOTALL,
)
_PLAIN = {
    "basicConstraints.cA must be": "an issuer is not a certificate authority",
    "invalid extension: 2.5.29.19": "an issuer is not a certificate authority",
    "cert is not valid at": "an authority was not valid when the certificate was issued",
    "Forbidden public key": "an authority's key is neither RSA nor ECDSA",
    "Forbidden signature": "a certificate is signed with an algorithm that is not accepted",
    "RSA key is too weak": "an authority's RSA key is shorter than 2048 bits",
}


class KeyKindError(Exception):
    """A key does not count; the text says what it is, such as ``an RSA key of 1024 bits``."""


def require_strong(key: PublicKeyTypes) -> SigningKey:
    """Return a key whose signatures count.

    Raises:
        KeyKindError: They do not.
    """
    match key:
        case rsa.RSAPublicKey() if key.key_size < _SHORTEST_RSA:
            raise KeyKindError(
                f"an RSA key of {key.key_size} bits, and at least {_SHORTEST_RSA} are required"
            )
        case ec.EllipticCurvePublicKey() if key.curve.name not in CURVES:
            raise KeyKindError(f"a key on the curve {key.curve.name}, not on P-256, P-384 or P-521")
        case rsa.RSAPublicKey() | ec.EllipticCurvePublicKey() | ed25519.Ed25519PublicKey():
            return key
    kind = type(key).__name__.removesuffix("PublicKey")
    raise KeyKindError(f"a key of the kind {kind}, not ECDSA, RSA or Ed25519")


def format_subject(certificate: x509.Certificate) -> str:
    """Format the subject alone."""
    return _format(certificate.subject)


def format_issuer(certificate: x509.Certificate) -> str:
    """Format the issuer."""
    return _format(certificate.issuer)


def format_signer(certificate: x509.Certificate) -> str:
    """Format the subject, and in parentheses its alternative names; either may be missing.

    Raises:
        ValueError: The certificate is damaged.
    """
    subject = _format(certificate.subject)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return subject
    kinds = (x509.RFC822Name, x509.UniformResourceIdentifier, x509.DNSName)
    others = make_printable(", ".join(each.value for each in names if isinstance(each, kinds)))
    return f"{subject} ({others})" if subject and others else subject or others


def make_printable(text: str) -> str:
    """Return text of somebody else's on one line, at most 300 characters of it."""
    shown = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
    return "".join(each if each.isprintable() else " " for each in shown)


def _format(name: x509.Name) -> str:
    parts = (
        (
            each.rfc4514_attribute_name,
            each.value if isinstance(each.value, str) else each.value.hex(),
        )
        for each in name
    )
    return make_printable(", ".join(f"{kind}={value}" for kind, value in parts))
