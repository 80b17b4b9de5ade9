"""Microsoft Entra ID: a token for Exchange Online.

https://learn.microsoft.com/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth
"""

from collections.abc import Mapping

from chainloop_smtp.model.settings import OAuth2
from chainloop_smtp.token import identity
from chainloop_smtp.token.endpoint import Client

_ENDPOINT = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"
# What is consented to once, for the application; a refresh token carries a person's own consent.
_APPLICATION_SCOPE = "https://outlook.office365.com/.default"
_PERSONAL_SCOPE = "https://outlook.office365.com/SMTP.Send offline_access"
_AUDIENCE = "api://AzureADTokenExchange"


def access_token(client: Client, oauth2: OAuth2, user: str, environ: Mapping[str, str]) -> str:
    """By client credentials (secret or the job's identity), or by a refresh token."""
    del user
    url = oauth2.token_url or _ENDPOINT.format(tenant=oauth2.tenant)
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
    if oauth2.is_federated:
        form |= identity.client_assertion(client, environ, _AUDIENCE)
    elif oauth2.client_secret:
        form["client_secret"] = oauth2.client_secret
    return client.token(url, form)
