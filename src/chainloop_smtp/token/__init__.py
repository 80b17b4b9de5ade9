"""OAuth2 -> AccessToken. The stage that asks token endpoints, so that there need be no password.

The grants are those of RFC 6749 (client credentials, refresh token), RFC 7523 (an assertion as a
grant, or in place of a client's secret) and RFC 8693 (token exchange, at Google).
"""

import time
from collections.abc import Mapping

from chainloop_smtp.model.settings import AccessToken, OAuth2, OAuth2Provider
from chainloop_smtp.token import google, microsoft, other
from chainloop_smtp.token.endpoint import Client

_GRANTS = {
    OAuth2Provider.MICROSOFT: microsoft.access_token,
    OAuth2Provider.GOOGLE: google.access_token,
    OAuth2Provider.OTHER: other.access_token,
}


def fetch(
    oauth2: OAuth2, user: str, environ: Mapping[str, str], timeout: float, deadline: float
) -> AccessToken:
    """A token with which `user` may send mail.

    Proxies and authorities are those that requests finds in the process's own environment.

    Args:
        user: The mailbox. Google hands out a token for this one; others know it from elsewhere.
        environ: Of a GitHub job, for its identity.
        timeout: Seconds for one step.
        deadline: Seconds for all of them.

    Raises:
        DeliveryError: There is no token to be had.
    """
    started = time.monotonic()
    client = Client(timeout, deadline, secrets=(oauth2.client_secret, oauth2.refresh_token))
    value = _GRANTS[oauth2.provider](client, oauth2, user, environ)
    return AccessToken(value=value, network_seconds=time.monotonic() - started)
