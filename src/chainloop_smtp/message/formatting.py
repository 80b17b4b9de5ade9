"""Facts -> names, numbers, times and links as the mail writes them."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby

from chainloop_smtp.model.attested import Material
from chainloop_smtp.model.facts import RunFacts
from chainloop_smtp.model.runners import ci_run

# Kinds of git refs: the sign before the number, and what readers call it.
REQUESTS = {"pull": ("#", "Pull request"), "merge-requests": ("!", "Merge request")}
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# No login, which looks like the host, and no letters that look like others (IDNA: `xn--`).
_HOST = r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?"
_WEB = re.compile(rf"(?ai:https?)://{_HOST}(?:[/?#][^\s<>\"'`\\]*)?")
# Lines break behind a hyphen anyway, so a name of many short words needs no help.
_UNBROKEN = re.compile(r"[^\s-]{21}")


def timestamp(value: datetime) -> str:
    """``12 Mar 2026, 09:46:32 UTC``."""
    return f"{value.day} {MONTHS[value.month - 1]} {value.year}, {value:%H:%M:%S} UTC"


def duration(value: timedelta) -> str:
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


def ref(facts: RunFacts) -> str:
    """Branch or tag; ``#1`` for a pull request, ``!1`` for a merge request. Empty: not known."""
    full = full_ref(facts)
    kind, _, name = full.removeprefix("refs/").partition("/")
    if kind in REQUESTS:
        return REQUESTS[kind][0] + name.partition("/")[0]
    return name if kind in ("heads", "tags") and full.startswith("refs/") else full


def full_ref(facts: RunFacts) -> str:
    """The git ref as the CI names it, such as ``refs/heads/main``. Empty when not known."""
    return ci_run(facts.attestation, facts.job).ref


def sha(facts: RunFacts) -> str:
    """The commit's full hash; empty when not known."""
    if facts.commit:
        return facts.commit.sha
    return ci_run(facts.attestation, facts.job).sha


def material_count(facts: RunFacts) -> int:
    """How many materials were added; those that the contract only asks for do not count."""
    return sum(material.is_set for material in facts.materials)


def material_value(material: Material) -> str:
    """The value with its tag, where it has one."""
    return f"{material.value}:{material.tag}" if material.tag else material.value


def thing(facts: RunFacts) -> str:
    """What the run is about: project and version, else the repository, else the workflow."""
    if project := facts.workflow.project:
        version = facts.workflow.version
        return f"{project} {version.name}" if version and version.name else project
    return " ".join(filter(None, (project_name(facts), facts.job.chainloop_version)))


def project_name(facts: RunFacts) -> str:
    """Chainloop's project, else the repository, else the workflow."""
    return known_project(facts) or workflow_name(facts)


def known_project(facts: RunFacts) -> str:
    """Chainloop's project, else the repository; empty when there is neither."""
    project = facts.workflow.project or facts.job.chainloop_project
    return project or facts.job.repository.rpartition("/")[2]


def workflow_name(facts: RunFacts) -> str:
    """Chainloop's workflow, else the CI's, else ``the run``."""
    return known_workflow(facts) or "the run"


def known_workflow(facts: RunFacts) -> str:
    """Chainloop's workflow, else the CI's; empty when there is neither."""
    return facts.workflow.name or facts.job.chainloop_workflow or facts.job.workflow


def cut(text: str, length: int) -> str:
    """At most so many characters, with dots where some are left out."""
    return text if len(text) <= length else text[: length - 3].rstrip() + "..."


def is_web(url: str) -> bool:
    """A link that may be a link: ``http`` or ``https``, and nothing that ends an attribute."""
    return bool(_WEB.fullmatch(url))


def web(url: str) -> str:
    """The URL where it may be a link, else nothing."""
    return url if is_web(url) else ""


def stretches(text: str) -> tuple[str, ...]:
    """The text in pieces: each is one word or more that may break anywhere, or that need not."""
    return tuple(" ".join(words) for _, words in groupby(text.split(" "), is_unbroken))


def is_unbroken(text: str) -> bool:
    """Holds over 20 characters without a blank or hyphen, which may have to break anywhere."""
    return bool(_UNBROKEN.search(text))
