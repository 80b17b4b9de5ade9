"""A run on GitHub -> how the one before it ended, by GitHub's API."""

import json
from collections.abc import Mapping
from urllib.parse import quote

from chainloop_smtp.errors import AttestationError
from chainloop_smtp.model import Previous
from chainloop_smtp.source import url

_MAX_BYTES = 16 * 1024 * 1024
# A run that was cancelled or skipped says nothing of what it would have found.
_ENDS = {"success": True, "failure": False, "timed_out": False, "startup_failure": False}
_LACKING = "Give the job permissions: actions: read."


def previous(environ: Mapping[str, str], token: str, timeout: float, deadline: float) -> Previous:
    """The last run of the same workflow on the same branch that came to an end before this one.

    Args:
        environ: GitHub's default variables.
        token: With ``actions: read``.
        timeout: Seconds for one step.
        deadline: Seconds for each of two requests.

    Returns:
        Whether it succeeded; with the reason where that is not known.
    """
    repository, run_id = environ.get("GITHUB_REPOSITORY", ""), environ.get("GITHUB_RUN_ID", "")
    if not (repository and run_id and token):
        return Previous(source="there is no GitHub run, or no github-token to ask for it")
    base = environ.get("GITHUB_API_URL", "https://api.github.com")
    runs = f"{base}/repos/{quote(repository)}/actions"

    def get(path: str) -> dict[str, object]:
        octets = url.fetch("github-token", f"{runs}/{path}", timeout, deadline, _MAX_BYTES, token)
        found: dict[str, object] = json.loads(octets)
        return found

    try:
        this = get(f"runs/{quote(run_id, safe='')}")
        branch = quote(str(this["head_branch"]), safe="")
        query = f"branch={branch}&status=completed&per_page=50"
        earlier = get(f"workflows/{int(str(this['workflow_id']))}/runs?{query}")["workflow_runs"]
        return _latest(earlier, int(str(this["run_number"])))
    except AttestationError as error:
        why = error.problems[0].why
        return Previous(source=f"GitHub does not say ({why}). {_LACKING}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Previous(source="what GitHub answers is not understood")


def _latest(runs: object, number: int) -> Previous:
    """The latest of some runs before that number."""
    ended = [
        run
        for run in (runs if isinstance(runs, list) else ())
        if run["run_number"] < number and run["conclusion"] in _ENDS
    ]
    if not ended:
        return Previous(source="GitHub knows no earlier run of this workflow on this branch")
    latest = max(ended, key=lambda run: int(run["run_number"]))
    source = f"run {latest['run_number']} on GitHub ended as {latest['conclusion']}"
    return Previous(source=source, has_succeeded=_ENDS[latest["conclusion"]])
