"""Facts -> names, numbers, times and links as the mail writes them."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby

from chainloop_smtp.model.attested import Attestation
from chainloop_smtp.model.facts import Job, run_fact

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# No login, which looks like the host, and no letters that look like others (IDNA: `xn--`).
_HOST = r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?"
_WEB = re.compile(rf"(?ai:https?)://{_HOST}(?:[/?#][^\s<>\"'`\\]*)?")
# Lines break behind a hyphen anyway, so a name of many short words needs no help.
_UNBROKEN = re.compile(r"[^\s-]{21}")


def moment(value: datetime) -> str:
    """``12 Mar 2026, 09:46:32 UTC``."""
    return f"{value.day} {_MONTHS[value.month - 1]} {value.year}, {value:%H:%M:%S} UTC"


def lapse(value: timedelta) -> str:
    """``5 min 25 s``; hours where there are some, tenths of a second where there is little."""
    seconds = value.total_seconds()
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def count(number: int, noun: str, plural: str = "") -> str:
    """``1 violation``, ``2 violations``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def listed(words: Sequence[str]) -> str:
    """``contract, strategy and signer``."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def ref(attestation: Attestation | None, job: Job) -> str:
    """Branch or tag; ``#123`` for a pull request. Empty when not known."""
    full = full_ref(attestation, job)
    kind, _, name = full.removeprefix("refs/").partition("/")
    if kind == "pull":
        return "#" + name.partition("/")[0]
    return name if kind in ("heads", "tags") and full.startswith("refs/") else full


def full_ref(attestation: Attestation | None, job: Job) -> str:
    """The git ref as the CI names it, such as ``refs/heads/main``. Empty when not known."""
    return run_fact(attestation, job, "GITHUB_REF", job.ref)


def sha(attestation: Attestation | None, job: Job) -> str:
    """The commit's full hash; empty when not known."""
    if attestation and attestation.commit:
        return attestation.commit.sha
    return run_fact(attestation, job, "GITHUB_SHA", job.sha)


def material_count(attestation: Attestation) -> int:
    """Materials that were added; those that the contract only asks for do not count."""
    return sum(material.is_set for material in attestation.materials)


def thing(attestation: Attestation | None, job: Job) -> str:
    """What the run is about: project and version, else the repository, else the workflow."""
    if attestation and (project := attestation.workflow.project):
        version = attestation.workflow.version
        return f"{project} {version.name}" if version and version.name else project
    return project_name(attestation, job)


def project_name(attestation: Attestation | None, job: Job) -> str:
    """Chainloop's project, else the repository, else the workflow."""
    if project := (attestation.workflow.project if attestation else "") or job.chainloop_project:
        return project
    return job.repository.rpartition("/")[2] or workflow_name(attestation, job)


def workflow_name(attestation: Attestation | None, job: Job) -> str:
    """Chainloop's workflow, else the CI's."""
    return known_workflow(attestation, job) or "the run"


def known_workflow(attestation: Attestation | None, job: Job) -> str:
    """The same; empty when there is none."""
    attested = attestation.workflow.name if attestation else ""
    return attested or job.chainloop_workflow or job.workflow


def cut(text: str, length: int) -> str:
    """At most so many characters, with dots where some are left out."""
    return text if len(text) <= length else text[: length - 3].rstrip() + "..."


def is_web(url: str) -> bool:
    """A link that may be a link: ``http`` or ``https``, and nothing that ends an attribute."""
    return bool(_WEB.fullmatch(url))


def stretches(text: str) -> tuple[str, ...]:
    """The text in pieces: each is one word or more that may break anywhere, or that need not."""
    return tuple(" ".join(words) for _, words in groupby(text.split(" "), is_unbroken))


def is_unbroken(text: str) -> bool:
    """Holds over 20 characters without a blank or hyphen, which may have to break anywhere."""
    return bool(_UNBROKEN.search(text))
