"""Pull requests from forks, which get no secrets: what cannot be done there is skipped, not failed.

So does whatever Dependabot starts. Nobody who sends such a pull request could mend it.
"""

from collections.abc import Mapping

from chainloop_smtp import options, source
from chainloop_smtp.cli.run import Run
from chainloop_smtp.model.settings import Auth

REASON = "no secrets in a pull request from a fork"


def is_fork(run: Run) -> bool:
    """The run gets no secrets."""
    return source.job(run.environ, None, ()).is_fork


def can_log_in(run: Run, given: Mapping[str, str]) -> bool:
    """There is something to log in with, or no need to.

    Args:
        given: Inputs, normalised.
    """
    if given.get("auth") == Auth.NONE or any(given.get(name) for name in options.CREDENTIALS):
        return True
    has_identity = "ACTIONS_ID_TOKEN_REQUEST_URL" in run.environ
    return given.get("oauth2-federated", "").lower() == "true" and has_identity


def notice(run: Run, what: str) -> None:
    """Says what is left out, such as ``no mail is sent``."""
    run.console.notice("skipped", f"A fork's pull request and Dependabot get no secrets; {what}.")
