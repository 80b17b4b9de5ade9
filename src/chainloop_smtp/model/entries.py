"""The configuration file: registrations, and the attachments of these to workflows."""

from collections.abc import Mapping
from dataclasses import field

from chainloop_smtp.model.attested import Annotation, FindingKind
from chainloop_smtp.model.facts import Outcome
from chainloop_smtp.model.frozen import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """When an attachment applies: all conditions that are set have to hold.

    Attributes:
        workflows: Globs over the Chainloop workflow's name, or its id; one has to match. Empty
            means any, as for all conditions.
        projects: Globs over the Chainloop project's name.
        branches: Globs over the branch; for a pull request, over that of its head.
        tags: Globs over the tag.
        events: Globs over GitHub's event name.
        outcomes: One of them is the run's.
        policies: Globs over the names of policies, one of which has an active violation.
        findings: A finding of one of these kinds is among the active violations.
        annotations: The attestation carries every one of them.
    """

    workflows: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    policies: tuple[str, ...] = ()
    findings: tuple[FindingKind, ...] = ()
    annotations: tuple[Annotation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The inputs that one entry of either list sets.

    Attributes:
        place: ``file:line:column`` of the entry.
        inputs: By name, as text.
        variables: Names of the environment variables that hold an input, by input.
        places: ``file:line:column`` of each input, by input.
    """

    place: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationEntry:
    """A mail destination under its name.

    Attributes:
        id: A UUID that follows from the name.
        created_at: As the file says it; empty when it does not.
    """

    name: str
    id: str
    entry: Entry
    description: str = ""
    created_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentEntry:
    """A registration attached to the runs that its conditions name.

    Attributes:
        id: A UUID that follows from all that the entry says.
        registration: Name of a registration of the same file.
        created_at: As the file says it; empty when it does not.
    """

    id: str
    registration: str
    entry: Entry
    conditions: Conditions = Conditions()
    created_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """A configuration file, in the order of its entries.

    Attributes:
        path: As the user wrote it; empty when there is no file.
    """

    path: str = ""
    registrations: tuple[RegistrationEntry, ...] = ()
    attachments: tuple[AttachmentEntry, ...] = ()
