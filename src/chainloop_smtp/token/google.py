"""Google: a token for one mailbox.

A service account acts for the mailbox by domain-wide delegation: it signs a JWT that says so, with
its key or, without one, through the IAM credentials service.
https://developers.google.com/identity/protocols/oauth2/service-account
https://cloud.google.com/iam/docs/workload-identity-federation-with-deployment-pipelines
"""

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping

from chainloop_smtp.errors import DeliveryError, Problem, missing_library
from chainloop_smtp.model.settings import OAuth2
from chainloop_smtp.token.endpoint import Client

_ENDPOINT = "https://oauth2.googleapis.com/token"
_EXCHANGE_URL = "https://sts.googleapis.com/v1/token"
_SIGN_URL = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{account}:signJwt"
# SMTP takes no narrower one: gmail.send is for the HTTP API only.
_SCOPE = "https://mail.google.com/"
_CLOUD_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_LIFETIME = 3600  # seconds; the most that Google allows


def fetch(client: Client, oauth2: OAuth2, user: str, environ: Mapping[str, str]) -> str:
    """Fetch a token by a refresh token, a service account's key, or the job's identity.

    Raises:
        DeliveryError: No token is issued, or the key is not one.
    """
    url = oauth2.token_url or _ENDPOINT
    if oauth2.refresh_token:
        form = {
            "grant_type": "refresh_token",
            "client_id": oauth2.client_id,
            "client_secret": oauth2.client_secret,
            "refresh_token": oauth2.refresh_token,
        }
        # What the refresh token was made for, unless less is asked for.
        return client.fetch_token(url, form | ({"scope": oauth2.scope} if oauth2.scope else {}))
    # RFC 7523 section 3: who speaks, for whom, to whom, for how long.
    now = int(time.time())
    claims = {
        "sub": user,
        "scope": oauth2.scope or _SCOPE,
        "aud": url,
        "iat": now,
        "exp": now + _LIFETIME,
    }
    if oauth2.is_federated:
        assertion = _sign_remotely(client, oauth2, claims, environ)
    else:
        assertion = _sign_with_key(client, oauth2.client_secret, claims)
    grant = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}
    return client.fetch_token(url, grant)


def _sign_remotely(
    client: Client, oauth2: OAuth2, claims: Mapping[str, object], environ: Mapping[str, str]
) -> str:
    """Exchange the job's identity for a cloud token (RFC 8693), by which Google signs a JWT."""
    job_token = client.fetch_job_token(environ, f"https://iam.googleapis.com/{oauth2.tenant}")
    cloud_token = client.fetch_token(
        _EXCHANGE_URL,
        {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "audience": f"//iam.googleapis.com/{oauth2.tenant}",
            "scope": _CLOUD_SCOPE,
            "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "subject_token": job_token,
        },
    )
    url = _SIGN_URL.format(account=oauth2.client_id)
    payload = json.dumps({"iss": oauth2.client_id, **claims})
    answer = client.ask(url, f"Bearer {cloud_token}", json={"payload": payload})
    return client.read_secret(url, answer, "signedJwt")


def _sign_with_key(client: Client, text: str, claims: Mapping[str, object]) -> str:
    """Sign a compact JWT (RFC 7515, RS256) with a service account's key, the JSON file's text."""
    key = _parse_key(text)
    private_key = key["private_key"]
    client.redact(private_key)
    header = {"alg": "RS256", "typ": "JWT"}
    if key_id := key.get("private_key_id"):
        header["kid"] = key_id
    claims = {"iss": key["client_email"], **claims}
    message = f"{_encode(json.dumps(header))}.{_encode(json.dumps(claims))}"
    return f"{message}.{_encode(_sign_rs256(private_key, message.encode()))}"


def _sign_rs256(pem: str, message: bytes) -> bytes:
    """Sign as RFC 7518 section 3.3 says: RSA of PKCS #1 v1.5, over SHA-256."""
    # Imported here: it is slow to load, and only a stored key needs it.
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError as error:
        raise DeliveryError(missing_library("oauth2-client-secret", "cryptography")) from error

    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # In this order: damaged or too short, encrypted, of an unknown kind.
        raise _no_rsa_key() from error
    if not isinstance(key, RSAPrivateKey):
        raise _no_rsa_key()
    return key.sign(message, PKCS1v15(), SHA256())


def _no_rsa_key() -> DeliveryError:
    return DeliveryError(
        Problem(
            "oauth2-client-secret",
            "its private_key is not an RSA key in PEM",
            "Give the whole JSON file that Google Cloud made, unchanged.",
        )
    )


def _parse_key(text: str) -> dict[str, str]:
    """Parse a service account's key into its members that are strings."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    members = document.items() if isinstance(document, dict) else ()
    key = {name: value for name, value in members if isinstance(value, str)}
    if not (key.get("client_email") and key.get("private_key")):
        raise DeliveryError(
            Problem(
                "oauth2-client-secret",
                "is not a service account key: its JSON has no client_email and private_key",
                "Give the whole JSON file that Google Cloud made.",
            )
        )
    return key


def _encode(part: str | bytes) -> str:
    """Encode in base64url without padding (RFC 7515 section 2)."""
    raw = part.encode() if isinstance(part, str) else part
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
