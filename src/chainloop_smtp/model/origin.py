"""Whose word counts on a CI run: the runner's on the run that it reports, else the evidence's.

Evidence is somebody else's text until its signature is verified, so what the runner itself knows is
never taken from there.
"""

import re

from chainloop_smtp.model.attested import Attestation
from chainloop_smtp.model.facts import Job

# The address that Chainloop makes on GitHub (crafter/runners/githubaction.go).
_PAGE = re.compile(r"https?://[^/?#]+/([^/?#]+/[^/?#]+)/actions/runs/([0-9]+)(?:[/?#].*)?")
_HOST = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)")
GITHUB = "github.com"


def attested_run(attestation: Attestation | None) -> tuple[str, str]:
    """Repository and run id that the evidence names; empty strings where it does not."""
    if attestation is None:
        return "", ""
    page = _PAGE.fullmatch(attestation.runner.url)
    repository, run_id = page.groups() if page else ("", "")
    return (
        attestation.env("GITHUB_REPOSITORY") or repository,
        attestation.env("GITHUB_RUN_ID") or run_id,
    )


def is_same_run(attestation: Attestation | None, job: Job) -> bool:
    """The evidence names the run that the job is about, or names none, and so no other."""
    repository, run_id = attested_run(attestation)
    return job.run_id != "" and repository in ("", job.repository) and run_id in ("", job.run_id)


def fact(attestation: Attestation | None, job: Job, variable: str, known: str) -> str:
    """A fact about the CI run, which the evidence has in an environment variable.

    Args:
        known: The same fact as the runner gives it. It wins on the run that the job is about.
    """
    # A runner that knows the commit knows the rest as well: there, empty means that there is none.
    if attestation is None or ((known or job.sha) and is_same_run(attestation, job)):
        return known
    return attestation.env(variable) or known


def run_url(attestation: Attestation | None, job: Job) -> str:
    """Page of the CI run; on the job's own server wherever the run is of the job's repository."""
    page = attestation.runner.url if attestation else ""
    if attestation is None or not page or not job.run_url:
        return page or job.run_url
    repository, run_id = attested_run(attestation)
    if repository == job.repository and run_id.isdecimal() and run_id.isascii():
        return f"{job.server_url}/{repository}/actions/runs/{run_id}"
    is_of_github = bool(repository or run_id) or attestation.runner.type == "GITHUB_ACTION"
    return job.run_url if is_of_github and is_same_run(attestation, job) else page


def host(url: str) -> str:
    """The host of a URL, in lower case and with its port; empty where it has none."""
    found = _HOST.match(url)
    return found[1].lower() if found else ""
