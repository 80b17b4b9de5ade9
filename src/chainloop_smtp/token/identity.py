"""GitHub's runner -> the job's own identity, a JWT that others trust instead of a secret.

https://docs.github.com/actions/reference/security/oidc
"""

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from urllib.parse import urlencode

from chainloop_smtp.errors import DeliveryError, Problem
from chainloop_smtp.token.endpoint import Client


def make_client_assertion(
    client: Client, environ: Mapping[str, str], audience: str
) -> dict[str, str]:
    """Make the form fields that replace ``client_secret`` (RFC 7523 section 2.2).

    Raises:
        DeliveryError: As `fetch_job_token`.
    """
    return {
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": fetch_job_token(client, environ, audience),
    }


def fetch_job_token(client: Client, environ: Mapping[str, str], audience: str) -> str:
    """Fetch the job's token for one audience; the client keeps its subject for error messages.

    Raises:
        DeliveryError: The job may not have one, or this is no GitHub job.
    """
    url = environ.get("ACTIONS_ID_TOKEN_REQUEST_URL", "")
    bearer = environ.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "")
    if not url or not bearer:
        raise DeliveryError(
            Problem(
                "oauth2-federated",
                "this job cannot get an OIDC token",
                "Give the job `permissions: id-token: write`. Pull requests from forks, act, and "
                "anything outside GitHub Actions cannot get one.",
            )
        )
    separator = "&" if "?" in url else "?"
    url = f"{url}{separator}{urlencode({'audience': audience})}"
    client.redact(bearer)
    token = client.read_secret(url, client.ask(url, f"Bearer {bearer}"), "value")
    client.subject = _read_subject(token)
    return token


def _read_subject(token: str) -> str:
    """Read the claim that identifies the job, such as ``repo:octo/app:ref:refs/heads/main``.

    The signature is not verified: the subject is only shown in error messages.
    """
    try:
        # More padding than it needs does no harm, and JWTs have none.
        claims = json.loads(urlsafe_b64decode(token.split(".")[1] + "=="))
    except (ValueError, IndexError, RecursionError):
        return ""
    subject = claims.get("sub") if isinstance(claims, dict) else None
    return subject if isinstance(subject, str) else ""
