"""Options -> the same with an access token, where they ask for one instead of a password."""

from dataclasses import replace

from chainloop_smtp.cli.run import Run
from chainloop_smtp.model.settings import Auth, Options

_MICROSOFT_365 = ("smtp.office365.com", "outlook.office365.com")
_TOKEN_MECHANISMS = (Auth.XOAUTH2, Auth.OAUTHBEARER)


def authorised(run: Run, parsed: Options) -> Options:
    """What `delivery` needs to log in. The time that a token takes comes off the deadline.

    Raises:
        DeliveryError: There is no token to be had.
    """
    if parsed.oauth2 is None:
        return parsed
    # Imported here: it is dear, and most servers take a password.
    from chainloop_smtp import token

    registration, transport = parsed.registration, parsed.transport
    found = token.fetch(
        parsed.oauth2, registration.user, run.environ, transport.timeout, transport.deadline
    )
    run.console.mask(registration.user, found.value)
    left = max(transport.deadline - found.network_seconds, 0.001)
    return replace(
        parsed,
        registration=replace(registration, password=found.value),
        transport=replace(transport, deadline=left),
    )


def advise(run: Run, parsed: Options) -> None:
    """Says what a server's operator will soon refuse."""
    registration, transport = parsed.registration, parsed.transport
    has_token = transport.has_token or transport.auth in _TOKEN_MECHANISMS
    host = registration.host.lower().removesuffix(".")
    if host in _MICROSOFT_365 and registration.password and not has_token:
        run.console.notice(
            "Microsoft 365 wants OAuth",
            "From the end of December 2026 on, Microsoft 365 refuses passwords for SMTP unless an "
            "administrator allows them again. Write oauth2-provider: microsoft, with "
            "oauth2-tenant, oauth2-client-id and oauth2-federated: true; docs/providers.md says "
            "what to set up.",
        )
