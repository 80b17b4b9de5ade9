"""Any other token endpoint, as RFC 6749 describes it."""

from collections.abc import Mapping
from urllib.parse import quote_plus

from chainloop_smtp.model.settings import OAuth2
from chainloop_smtp.token import identity
from chainloop_smtp.token.endpoint import Client


def access_token(client: Client, oauth2: OAuth2, user: str, environ: Mapping[str, str]) -> str:
    """By client credentials (secret or the job's identity), or by a refresh token."""
    del user
    if oauth2.refresh_token:
        form = {"grant_type": "refresh_token", "refresh_token": oauth2.refresh_token}
    else:
        form = {"grant_type": "client_credentials"}
    if oauth2.scope:
        form["scope"] = oauth2.scope
    if not oauth2.client_secret:
        form["client_id"] = oauth2.client_id
        if oauth2.is_federated:
            # RFC 7523 section 3: the token endpoint's URL is an audience that it must know.
            form |= identity.client_assertion(client, environ, oauth2.token_url)
        return client.token(oauth2.token_url, form)
    # RFC 6749 section 2.3.1: the way that every server has to support.
    login = (quote_plus(oauth2.client_id), quote_plus(oauth2.client_secret))
    return client.token(oauth2.token_url, form, login)
