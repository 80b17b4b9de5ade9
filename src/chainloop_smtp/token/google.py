"""Google: a token for one mailbox.

A service account acts for the mailbox by domain-wide delegation: it signs a JWT that says so, with
its key or, holding none, through the IAM credentials service.
https://developers.google.com/identity/protocols/oauth2/service-account
https://cloud.google.com/iam/docs/workload-identity-federation-with-deployment-pipelines
"""

import json
import time
from collections.abc import Mapping

from chainloop_smtp.errors import DeliveryError, Problem
from chainloop_smtp.model.settings import OAuth2
from chainloop_smtp.token import identity
from chainloop_smtp.token.endpoint import Client

_ENDPOINT = "https://oauth2.googleapis.com/token"
_EXCHANGE_URL = "https://sts.googleapis.com/v1/token"
_SIGN_URL = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{account}:signJwt"
# SMTP takes no narrower one: gmail.send is for the HTTP API only.
_SCOPE = "https://mail.google.com/"
_CLOUD_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_LIFETIME = 3600  # seconds; the most that Google allows


def access_token(client: Client, oauth2: OAuth2, user: str, environ: Mapping[str, str]) -> str:
    """By a refresh token, by a service account's key, or by the job's identity."""
    url = oauth2.token_url or _ENDPOINT
    scope = oauth2.scope or _SCOPE
    if oauth2.refresh_token:
        form = {
            "grant_type": "refresh_token",
            "client_id": oauth2.client_id,
            "client_secret": oauth2.client_secret,
            "refresh_token": oauth2.refresh_token,
        }
        # What the refresh token was made for, unless less is asked for.
        return client.token(url, form | ({"scope": oauth2.scope} if oauth2.scope else {}))
    if oauth2.is_federated:
        claims = _claims(oauth2.client_id, user, scope, url)
        assertion = _signed_remotely(client, oauth2, claims, environ)
    else:
        key = _service_account(oauth2.client_secret)
        # Imported here: it is dear, and only a stored key needs it.
        from chainloop_smtp.token import signature

        claims = _claims(key["client_email"], user, scope, url)
        client.redactor.add(key["private_key"].encode())
        assertion = signature.signed(claims, key["private_key"], key.get("private_key_id", ""))
    grant = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}
    return client.token(url, grant)


def _claims(account: str, user: str, scope: str, audience: str) -> dict[str, object]:
    """RFC 7523 section 3: who speaks, for whom, to whom, for how long."""
    now = int(time.time())
    return {
        "iss": account,
        "sub": user,
        "scope": scope,
        "aud": audience,
        "iat": now,
        "exp": now + _LIFETIME,
    }


def _signed_remotely(
    client: Client, oauth2: OAuth2, claims: Mapping[str, object], environ: Mapping[str, str]
) -> str:
    """The job's identity -> a token of Google's cloud (RFC 8693) -> a JWT that Google signs."""
    job_token = identity.job_token(client, environ, f"https://iam.googleapis.com/{oauth2.tenant}")
    cloud_token = client.token(
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
    answer = client.ask(
        _SIGN_URL.format(account=oauth2.client_id),
        json={"payload": json.dumps(claims)},
        bearer=cloud_token,
    )
    return client.secret(answer, "signedJwt")


def _service_account(text: str) -> dict[str, str]:
    """The parts of a service account's key that are used, each a text that is there.

    Raises:
        DeliveryError: This is not such a key.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    key = document if isinstance(document, dict) else {}
    texts = {name: value for name, value in key.items() if isinstance(value, str)}
    if not (texts.get("client_email") and texts.get("private_key")):
        raise DeliveryError(
            Problem(
                "oauth2-client-secret",
                "is no service account's key: its JSON has no client_email and private_key",
                "Give the whole JSON file that Google Cloud made.",
            )
        )
    return texts
