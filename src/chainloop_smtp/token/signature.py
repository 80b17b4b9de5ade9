"""Claims -> signed JWT (RFC 7515, RS256). The only module that knows pycryptodomex."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping

from Cryptodome.Hash import SHA256
from Cryptodome.PublicKey import RSA
from Cryptodome.Signature import pkcs1_15

from chainloop_smtp.errors import DeliveryError, Problem


def signed(claims: Mapping[str, object], private_key: str, key_id: str) -> str:
    """A compact JWT.

    Args:
        private_key: PEM, PKCS #8 or #1, not encrypted.
        key_id: Empty: the header names no key.

    Raises:
        DeliveryError: This is no RSA key.
    """
    header = {"alg": "RS256", "typ": "JWT"} | ({"kid": key_id} if key_id else {})
    message = b".".join(_part(json.dumps(each).encode()) for each in (header, claims))
    try:
        signature = pkcs1_15.new(RSA.import_key(private_key)).sign(SHA256.new(message))
    except (ValueError, IndexError, TypeError) as error:
        # In this order: no key or one too short, damaged, public.
        raise DeliveryError(
            Problem(
                "oauth2-client-secret",
                "its private_key is not an RSA key in PEM",
                "Give the whole JSON file that Google Cloud made, unchanged.",
            )
        ) from error
    return (message + b"." + _part(signature)).decode("ascii")


def _part(octets: bytes) -> bytes:
    """Base64url without padding (RFC 7515 section 2)."""
    return urlsafe_b64encode(octets).rstrip(b"=")
