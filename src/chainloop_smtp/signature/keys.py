"""Public keys: which ones count, and whether one verifies a signature."""

import hashlib
from collections.abc import Iterator
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_SHORTEST_RSA = 2048  # bits
_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
# Key management services choose the hash. With each of them, a signature proves as much.
_HASHES = (hashes.SHA256(), hashes.SHA384(), hashes.SHA512())


SigningKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey


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
        case ec.EllipticCurvePublicKey() if key.curve.name not in _CURVES:
            raise KeyKindError(f"a key on the curve {key.curve.name}, not on P-256, P-384 or P-521")
        case rsa.RSAPublicKey() | ec.EllipticCurvePublicKey() | ed25519.Ed25519PublicKey():
            return key
    kind = type(key).__name__.removesuffix("PublicKey")
    raise KeyKindError(f"a key of the kind {kind}, not ECDSA, RSA or Ed25519")


def find_method(key: SigningKey, signature: bytes, message: bytes) -> str:
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


def fingerprint(key: SigningKey) -> str:
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
            yield f"ECDSA {_CURVES[key.curve.name]}, {_name(each)}", (ec.ECDSA(each),)
        else:
            pss = padding.PSS(padding.MGF1(each), padding.PSS.AUTO)
            for scheme, name in ((padding.PKCS1v15(), "PKCS #1 v1.5"), (pss, "PSS")):
                yield f"RSA {key.key_size} ({name}), {_name(each)}", (scheme, each)


def _name(algorithm: hashes.HashAlgorithm) -> str:
    return algorithm.name.upper().replace("SHA", "SHA-")
