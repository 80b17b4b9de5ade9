"""OAuth2 -> AccessToken. The stage that asks token endpoints, so that there need be no password.

The grants are those of RFC 6749 (client credentials, refresh token), RFC 7523 (an assertion as a
grant, or in place of a client's secret) and RFC 8693 (token exchange, at Google).
"""

import time
from collections.abc import Mapping
from urllib.parse import quote_plus, urlsplit

from chainloop_smtp.model.settings import AccessToken, OAuth2, OAuth2Provider
from chainloop_smtp.token import google
from chainloop_smtp.token.endpoint import Client

_MICROSOFT_URL = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"
# What is consented to once, for the application; a refresh token carries a person's own consent.
_APPLICATION_SCOPE = "https://outlook.office365.com/.default"
_PERSONAL_SCOPE = "https://outlook.office365.com/SMTP.Send offline_access"
_MICROSOFT_AUDIENCE = "api://AzureADTokenExchange"
# National clouds have their own, by the host of the token endpoint.
_NATIONAL_AUDIENCES = {
    "login.microsoftonline.us": f"{_MICROSOFT_AUDIENCE}USGov",
    "login.partner.microsoftonline.cn": f"{_MICROSOFT_AUDIENCE}China",
}


def fetch(
    oauth2: OAuth2, user: str, environ: Mapping[str, str], timeout: float, deadline: float
) -> AccessToken:
    """Fetch a token with which `user` may send mail.

    Args:
        user: The mailbox. Google issues a token for it; others know it from their own settings.
        environ: A GitHub job's variables, for its identity.
        timeout: Seconds for one step.
        deadline: Seconds for all of them.

    Raises:
        DeliveryError: No token is issued.
    """
    started = time.monotonic()
    client = Client(timeout, deadline)
    client.redact(oauth2.client_secret, oauth2.refresh_token)
    match oauth2.provider:
        case OAuth2Provider.MICROSOFT:
            value = _fetch_from_microsoft(client, oauth2, environ)
        case OAuth2Provider.GOOGLE:
            value = google.fetch(client, oauth2, user, environ)
        case _:
            value = _fetch_from_other(client, oauth2, environ)
    return AccessToken(value=value, network_seconds=time.monotonic() - started)


def _fetch_from_microsoft(client: Client, oauth2: OAuth2, environ: Mapping[str, str]) -> str:
    """Ask Entra ID, by client credentials (secret or the job's identity) or a refresh token.

    https://learn.microsoft.com/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth
    """
    form = {"client_id": oauth2.client_id}
    if oauth2.refresh_token:
        form |= {
            "grant_type": "refresh_token",
            "refresh_token": oauth2.refresh_token,
            "scope": oauth2.scope or _PERSONAL_SCOPE,
        }
    else:
        form |= {
            "grant_type": "client_credentials",
            "scope": oauth2.scope or _APPLICATION_SCOPE,
        }
    url = oauth2.token_url or _MICROSOFT_URL.format(tenant=oauth2.tenant)
    if oauth2.is_federated:
        audience = _NATIONAL_AUDIENCES.get(urlsplit(url).hostname or "", _MICROSOFT_AUDIENCE)
        form |= _client_assertion(client.fetch_job_token(environ, audience))
    elif oauth2.client_secret:
        form["client_secret"] = oauth2.client_secret
    return client.fetch_token(url, form)


def _fetch_from_other(client: Client, oauth2: OAuth2, environ: Mapping[str, str]) -> str:
    """Ask any other endpoint of RFC 6749, by client credentials or a refresh token."""
    if oauth2.refresh_token:
        form = {"grant_type": "refresh_token", "refresh_token": oauth2.refresh_token}
    else:
        form = {"grant_type": "client_credentials"}
    if oauth2.scope:
        form["scope"] = oauth2.scope
    login = None
    if oauth2.client_secret:
        # RFC 6749 section 2.3.1: the way that every server has to support.
        login = (quote_plus(oauth2.client_id), quote_plus(oauth2.client_secret))
    else:
        form["client_id"] = oauth2.client_id
        if oauth2.is_federated:
            # RFC 7523 section 3: the token endpoint's URL is an audience that it must know.
            form |= _client_assertion(client.fetch_job_token(environ, oauth2.token_url))
    return client.fetch_token(oauth2.token_url, form, login)


def _client_assertion(job_token: str) -> dict[str, str]:
    """The form fields that replace ``client_secret`` (RFC 7523 section 2.2)."""
    return {
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": job_token,
    }
