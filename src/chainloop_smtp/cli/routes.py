"""Inputs and configuration file -> every mail that may be sent, validated before anything is.

Pull requests from forks, and whatever Dependabot starts, get no secrets: what cannot be done there
is skipped, not failed, since nobody who sends such a pull request could mend it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from chainloop_smtp import config_file, delivery, options, routing
from chainloop_smtp.cli import run_facts
from chainloop_smtp.cli.run import Run
from chainloop_smtp.cli.run_facts import RunReport
from chainloop_smtp.errors import ChainloopSmtpError, MessageError, OptionsError, Problem
from chainloop_smtp.model.entries import (
    AttachmentEntry,
    Conditions,
    Configuration,
    Entry,
    RegistrationEntry,
)
from chainloop_smtp.model.facts import Decision, Previous
from chainloop_smtp.model.frozen import dataclass
from chainloop_smtp.model.mail import Templates
from chainloop_smtp.model.settings import Auth, Lookup, Options, Secret, Trigger
from chainloop_smtp.source.job import read_job
from chainloop_smtp.source.paths import read_templates

if TYPE_CHECKING:
    from chainloop_smtp.options.configuration.resolving import Resolver

NO_SECRETS = "no secrets in a pull request from a fork"
# Inputs beside which a configuration file is read only if it is named.
_ALONE = ("host", "user", "password", "to")
# Events that give a job no secrets, unless all who could start it or choose its code may write to
# the repository. Empty: not on GitHub.
_TRUSTED_EVENTS = (
    *("", "push", "pull_request", "pull_request_review", "pull_request_review_comment"),
    *("merge_group", "release", "create", "delete", "schedule", "workflow_dispatch"),
)

Listed = TypeVar("Listed", RegistrationEntry, AttachmentEntry)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One attachment with its options, or the inputs as a delivery of their own.

    Attributes:
        name: Of the registration; empty: the inputs.
        place: ``file:line`` of the attachment; empty: the inputs.
        id: The attachment's; empty: the inputs.
        templates: The user's own, checked.
        missing: Variables that are not set; while there are any, nothing can be sent.
    """

    name: str
    place: str
    id: str
    conditions: Conditions
    options: Options
    templates: Templates
    missing: tuple[Problem, ...] = ()

    def decide(self, report: RunReport, previous: Previous) -> Decision:
        """Whether the route applies to the run."""
        return routing.decide(self.conditions, self.options.send_on, report.facts, previous)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedMail:
    """One run and one route, and whether a mail goes there about it.

    Attributes:
        reached: Digests of mailboxes that a schedule before this one has sent the mail to.
        label: Tells its files from those of other mails about the run: the registration's name.
    """

    report: RunReport
    route: Route
    decision: Decision
    reached: frozenset[str] = frozenset()
    label: str = ""

    @property
    def name(self) -> str:
        """The registration's name, behind the run's where the step mails several runs."""
        return ": ".join(filter(None, (self.report.label, self.route.name)))

    @property
    def title(self) -> str:
        """The same with the attachment's place."""
        return f"{self.name} ({self.route.place})" if self.route.place else self.name


Planned = Sequence[PlannedMail]
"""Every route of every run, run by run."""


def file_of(run: Run, inputs: Mapping[str, str]) -> str:
    """Path of the configuration file in charge; empty: the inputs are a delivery of their own.

    A file that nobody names may be a stranger's, so it is not read where it could get at secrets.
    """
    return inputs.get("config", "") or ("" if _why_unread(run, inputs) else config_file.find(""))


def _why_unread(run: Run, inputs: Mapping[str, str]) -> str:
    """Why a configuration file is read only if it is named; empty where it need not be."""
    if beside := [name for name in _ALONE if inputs.get(name)]:
        return f"beside {', '.join(beside)}"
    event = run.environ.get("GITHUB_EVENT_NAME", "")
    return "" if event in _TRUSTED_EVENTS else f"on {event}, where the checkout may be untrusted"


def read(run: Run, inputs: Mapping[str, str], path: str) -> tuple[Route, ...]:
    """Read every route: those of the configuration file, or the inputs' own.

    In a pull request from a fork, those that would need a secret are left out.

    Args:
        path: From `file_of`.

    Raises:
        MessageError: A template is broken, and the jobs went well.
        OptionsError: With every problem.
    """
    if path:
        return from_file(run, inputs, path)
    if is_fork(run) and not can_log_in(run, inputs):
        return ()
    return (_own(run, inputs),)


def _own(run: Run, inputs: Mapping[str, str]) -> Route:
    """The inputs as a delivery of their own, no configuration file being in charge."""
    parsed = own_options(run, inputs)
    return Route(
        name="",
        place="",
        id="",
        conditions=Conditions(),
        options=parsed,
        templates=_templates(run, inputs, parsed),
    )


def check_triggers(every: Iterable[Route], parsed: Options) -> None:
    """Check that signatures are verified where a mail depends on it.

    Args:
        parsed: The step's own options, which say whose signature counts.

    Raises:
        OptionsError: They do not.
    """
    if parsed.has_trust:
        return
    why = "unverified is set, but trusted-root and verification-key are empty"
    hint = "Set one of them in the step, to say whose signatures to trust."
    problems = [
        Problem(f"{route.place} send-on".strip(), why, hint)
        for route in every
        if Trigger.UNVERIFIED in route.options.send_on
    ]
    if problems:
        raise OptionsError(*dict.fromkeys(problems))


def own_options(run: Run, inputs: Mapping[str, str]) -> Options:
    """Validate the inputs as a delivery of their own.

    Raises:
        OptionsError: With every problem; where something is missing that a configuration file
            could say, also why none was read.
    """
    try:
        return run.validated(inputs)
    except OptionsError as error:
        is_incomplete = not (inputs.get("host") and inputs.get("to"))
        if is_incomplete and (path := config_file.find("")):
            absence = Problem(
                "config",
                f"is empty, and {path} is not read {_why_unread(run, inputs)}",
                f"Write config: {path} if only people you trust can change that file.",
            )
        elif inputs.get("host") or inputs.get("to"):
            raise
        else:
            absence = Problem(
                "config",
                f"is empty, and there is neither {' nor '.join(config_file.DEFAULTS)}",
                "A configuration file can give host and to. In a workflow, check it out first: "
                "actions/checkout.",
            )
        # Most of the others follow from it.
        raise OptionsError(absence, *error.problems) from error


def from_file(
    run: Run, inputs: Mapping[str, str], path: str, *, has_all: bool = False
) -> tuple[Route, ...]:
    """Read the attachments of the file in their order, and mask all secrets that they name.

    In a pull request from a fork, those that would need a secret are left out.

    Args:
        has_all: With a route, that has no id, for each registration that nothing is attached to.

    Raises:
        OptionsError: With every problem of the file.
        MessageError: A template that it names is broken, and the jobs went well.
    """
    # Imported here: most steps have no file, and PyYAML is slow to load.
    from chainloop_smtp.options import configuration
    from chainloop_smtp.options.configuration.resolving import Resolver

    file = configuration.parse(config_file.read(path), path)
    registrations = {each.name: _listed(run, each) for each in file.registrations}
    # A copy, since what is secret is taken out of the other before anything else can go wrong.
    resolver = Resolver(run.listed(inputs), dict(run.environ))
    secrets = _secrets(inputs, file, resolver)
    _hide(run, secrets, file.registrations)
    unattached = tuple(_unattached(file, resolver))
    if unattached and file.attachments:
        names = ", ".join(each.registration for each in unattached)
        text = f"Nothing is attached in {path} to {names}, so nothing is sent there."
        run.console.warning("nothing is attached", text)
    problems: list[Problem] = []
    routes = []
    is_from_fork = is_fork(run)
    without_secrets: set[str] = set()
    templates: dict[tuple[str, str], Templates] = {}
    for attachment in (*file.attachments, *(unattached if has_all else ())):
        registration = registrations[attachment.registration]
        if is_from_fork and not can_log_in(run, resolver.raw(registration)):
            without_secrets.add(registration.name)
            continue
        try:
            resolved = resolver.resolve(registration, _listed(run, attachment))
        except OptionsError as error:
            problems += error.problems
            continue
        if is_from_fork and resolved.missing:
            without_secrets.add(registration.name)
            continue
        composition = resolved.options.composition
        own = (composition.template_dir, composition.subject)
        if own not in templates:
            templates[own] = _templates(run, inputs, resolved.options, is_strict=has_all)
        routes.append(
            Route(
                name=registration.name,
                place=attachment.entry.place.rpartition(":")[0],
                id=attachment.id,
                conditions=attachment.conditions,
                options=resolved.options,
                templates=templates[own],
                missing=resolved.missing,
            )
        )
    for transport in {each.options.transport for each in routes}:
        try:
            delivery.check_files(
                transport.tls_ca_file, transport.tls_client_cert, transport.tls_client_key
            )
        except OptionsError as error:
            problems += error.problems
    if problems:
        raise OptionsError(*dict.fromkeys(problems))
    if routes and without_secrets:
        notice_fork(run, f"nothing is sent through {', '.join(sorted(without_secrets))}")
    # No mail is to hold the secret of another one's server either.
    return tuple(replace(each, options=replace(each.options, secrets=secrets)) for each in routes)


def _unattached(file: Configuration, resolver: "Resolver") -> Iterator[AttachmentEntry]:
    """What stands for an attachment where a registration has none."""
    attached = {each.registration for each in file.attachments}
    for each in file.registrations:
        if each.name not in attached:
            # Those who get the mails might be an attachment's to say; here nobody is.
            inputs = {} if resolver.raw(each).get("to") else {"to": Lookup.AUTHOR.value}
            place = each.entry.place
            entry = Entry(place=place, inputs=inputs, places=dict.fromkeys(inputs, place))
            yield AttachmentEntry(id="", registration=each.name, entry=entry)


def _listed(run: Run, one: Listed) -> Listed:
    """The entry with the files in its lists of recipients read."""
    return replace(one, entry=replace(one.entry, inputs=run.listed(one.entry.inputs)))


def _templates(
    run: Run, inputs: Mapping[str, str], parsed: Options, *, is_strict: bool = False
) -> Templates:
    """The user's own templates, looked at as far as that needs no run.

    Args:
        is_strict: Also where the run did not go well. The mail about such a run does without
            templates that are broken or missing, and a warning says so.

    Raises:
        MessageError: With every problem found.
        OptionsError: The folder cannot be read.
    """
    try:
        composition, workspace = parsed.composition, run.environ.get("GITHUB_WORKSPACE", "")
        own = read_templates(composition.template_dir, composition.subject, workspace)
        if own != Templates():
            # Imported here: few have templates of their own.
            from chainloop_smtp import message

            message.check(own)
    except (MessageError, OptionsError) as error:
        _, job = run_facts.read_jobs(run, run.validated(inputs, is_whole=False))
        if is_strict or job.is_success:
            raise
        warn_templates_left_out(run, error)
        return Templates()
    return own


def warn_templates_left_out(run: Run, error: ChainloopSmtpError) -> None:
    """Say that the mail about a run that did not go well uses the built-in templates, and why."""
    why = (
        "The run did not succeed, so its mail is sent with the built-in templates instead of yours."
    )
    run.console.warning("a template cannot be used", f"{error}\n{why}")


def _secrets(
    inputs: Mapping[str, str], file: Configuration, resolver: "Resolver"
) -> tuple[Secret, ...]:
    """Those of the step and of each registration of the file, each once."""
    known = {(each.value, each.user): each for each in options.secrets(inputs)}
    for registration in file.registrations:
        for each in options.secrets(resolver.raw(registration)):
            whose = replace(each, name=f"{each.name} of {registration.name}")
            known.setdefault((each.value, each.user), whose)
    return tuple(known.values())


def _hide(run: Run, secrets: Iterable[Secret], registrations: Iterable[RegistrationEntry]) -> None:
    """Masks what is secret, and takes it out of what started processes would inherit."""
    for secret in secrets:
        run.console.mask(secret.user, secret.value)
    variables = {
        variable
        for each in registrations
        for name, variable in each.entry.variables.items()
        if options.is_secret(name, run.environ.get(variable, ""))
    }
    for variable in variables:
        run.environ.pop(variable, None)


# --- forks -------------------------------------------------------------------------------------


def is_fork(run: Run) -> bool:
    """The run gets no secrets."""
    return read_job(run.environ, None, ()).is_fork


def can_log_in(run: Run, inputs: Mapping[str, str]) -> bool:
    """There is something to log in with, or no need to.

    Args:
        inputs: Inputs, normalised.
    """
    if inputs.get("auth") == Auth.NONE or any(inputs.get(name) for name in options.CREDENTIALS):
        return True
    has_identity = "ACTIONS_ID_TOKEN_REQUEST_URL" in run.environ
    return inputs.get("oauth2-federated", "").lower() == "true" and has_identity


def notice_fork(run: Run, what: str) -> None:
    """Say what is left out, such as ``no mail is sent``."""
    run.console.notice("skipped", f"A fork's pull request and Dependabot get no secrets; {what}.")
