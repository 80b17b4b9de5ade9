"""Inputs -> OAuth2: one grant, and everything that it needs."""

import json
import re
from urllib.parse import urlsplit

from chainloop_smtp.errors import quoted_path
from chainloop_smtp.model.settings import Auth, OAuth2, OAuth2Provider
from chainloop_smtp.options import hosts
from chainloop_smtp.options.values import Values

_NAMES = (
    "oauth2-provider",
    "oauth2-tenant",
    "oauth2-client-id",
    "oauth2-client-secret",
    "oauth2-refresh-token",
    "oauth2-scope",
    "oauth2-token-url",
)
_TOKEN_MECHANISMS = (Auth.AUTO, Auth.XOAUTH2, Auth.OAUTHBEARER)
_TENANT = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]*")
_IDENTITY_PROVIDER = re.compile(
    r"projects/\d+/locations/global/workloadIdentityPools/[a-z0-9-]+/providers/[a-z0-9-]+"
)
# A console shows the same name as a URL too.
_IDENTITY_PROVIDER_URL = re.compile(r"(https:)?//iam\.googleapis\.com/")


def fetches_token(values: Values) -> bool:
    """Some input asks for a token to be fetched, so that there need be no password."""
    return any(name in values for name in _NAMES) or values.is_true("oauth2-federated")


def oauth2(values: Values) -> OAuth2 | None:
    """How to get an access token; None where the inputs do not ask for one."""
    if not fetches_token(values):
        return None
    found = OAuth2(
        provider=OAuth2Provider(values.text("oauth2-provider")),
        tenant=_IDENTITY_PROVIDER_URL.sub("", values.text("oauth2-tenant")),
        client_id=values.text("oauth2-client-id"),
        client_secret=values.text("oauth2-client-secret"),
        refresh_token=values.text("oauth2-refresh-token"),
        scope=values.text("oauth2-scope"),
        token_url=_ascii_url(values.text("oauth2-token-url")),
        is_federated=values.is_true("oauth2-federated"),
    )
    _check_beside(values)
    _check_endpoint(values, found)
    _check_grant(values, found)
    _check_tenant(values, found)
    return found


def service_account_keys(client_secret: str) -> tuple[str, ...]:
    """What is secret by itself in a service account's key: somebody may have it apart from that."""
    try:
        key = json.loads(client_secret)
    except (ValueError, RecursionError):
        return ()
    found = key.get("private_key") if isinstance(key, dict) else None
    return (found,) if isinstance(found, str) and found else ()


def _check_beside(values: Values) -> None:
    """What else is given must not contradict a token."""
    if values.text("auth") not in _TOKEN_MECHANISMS:
        words = ", ".join(_TOKEN_MECHANISMS)
        values.wrong("auth", "does not take the token that oauth2-… asks for", f"Write: {words}.")
    elif "password" in values:
        hint = "Leave out password, or all of oauth2-…; a token of your own is a password for "
        values.wrong("password", "oauth2-… fetches a token in its place", f"{hint}auth: xoauth2.")


def _check_endpoint(values: Values, found: OAuth2) -> None:
    if found.token_url and not _is_https(found.token_url):
        hint = "Secrets go there; write it without a user."
        values.wrong(
            "oauth2-token-url", f"{quoted_path(found.token_url)} is not an https:// URL", hint
        )
    if found.provider is OAuth2Provider.OTHER and not found.token_url:
        hint = "Write microsoft or google, or give oauth2-token-url."
        values.wrong("oauth2-provider", "is missing", hint)


def _ascii_url(url: str) -> str:
    """The URL with its host in ASCII; one without a host that can be comes back as it is."""
    try:
        parts = urlsplit(url)
        host = hosts.ascii_name(parts.hostname or "")
    except ValueError:
        return url
    if not parts.hostname or parts.hostname == host:
        return url
    return parts._replace(netloc=parts.netloc.lower().replace(parts.hostname, host)).geturl()


def _is_https(url: str) -> bool:
    """A URL that secrets may go to."""
    try:
        parts = urlsplit(url)
        is_usable = bool(parts.hostname) and parts.netloc.isascii() and parts.port != 0
    except ValueError:
        return False
    is_bare = "@" not in parts.netloc and not parts.fragment and not re.search(r"\s", url)
    return parts.scheme == "https" and is_usable and is_bare


def _check_grant(values: Values, found: OAuth2) -> None:
    """One of three: the job's identity, a refresh token, or the client's own secret."""
    is_google = found.provider is OAuth2Provider.GOOGLE
    has_key = is_google and not found.is_federated and not found.refresh_token
    if not has_key:
        _require(values, "oauth2-client-id")
    if found.is_federated:
        for name in ("oauth2-client-secret", "oauth2-refresh-token"):
            if name in values:
                hint = "Leave out one of the two: oauth2-federated needs no stored secret."
                values.wrong(name, "oauth2-federated is true too", hint)
        if is_google and found.client_id and "@" not in found.client_id:
            hint = "Write the service account's address: name@project.iam.gserviceaccount.com."
            values.wrong("oauth2-client-id", f"{quoted_path(found.client_id)} is no address", hint)
    elif not found.client_secret and (is_google or not found.refresh_token):
        values.wrong(
            "oauth2-client-secret",
            "is missing, or its secret is empty",
            "Give it, or oauth2-refresh-token, or use the job's identity: oauth2-federated."
            if not found.refresh_token
            else "Google's clients have one each.",
        )
    elif has_key and not found.client_secret.startswith("{"):
        values.wrong(
            "oauth2-client-secret",
            "is no service account's key, and there is no oauth2-refresh-token",
            "Give the key's whole JSON file, or a refresh token with the client's id and secret.",
        )


def _check_tenant(values: Values, found: OAuth2) -> None:
    if found.provider is OAuth2Provider.MICROSOFT and not found.token_url:
        _require(values, "oauth2-tenant")
        if found.tenant and not _TENANT.fullmatch(found.tenant):
            hint = "Write the directory's id (a UUID) or one of its domains."
            values.wrong("oauth2-tenant", f"{quoted_path(found.tenant)} is neither", hint)
    if found.provider is OAuth2Provider.GOOGLE and found.is_federated:
        _require(values, "oauth2-tenant")
        if found.tenant and not _IDENTITY_PROVIDER.fullmatch(found.tenant):
            values.wrong(
                "oauth2-tenant",
                f"{quoted_path(found.tenant)} is no workload identity provider",
                "Write projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/NAME.",
            )


def _require(values: Values, name: str) -> None:
    if name not in values:
        values.wrong(name, "is missing")
