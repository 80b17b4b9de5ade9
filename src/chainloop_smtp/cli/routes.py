"""Inputs and configuration file -> every mail that may be sent, validated before anything is."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, TypeVar

from chainloop_smtp import config_file, delivery, options, routing, source
from chainloop_smtp.cli import fork_policy
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
from chainloop_smtp.model.settings import Lookup, Options, Secret

if TYPE_CHECKING:
    from chainloop_smtp.options.configuration.resolving import Resolver

# Inputs beside which a configuration file is read only if it is named.
_ALONE = ("host", "user", "password", "to")
# Events in which a job has secrets and may have checked out a stranger's code.
_STRANGERS = ("pull_request_target", "workflow_run", "issue_comment")

Listed = TypeVar("Listed", RegistrationEntry, AttachmentEntry)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One attachment with its options.

    Attributes:
        name: Of the registration.
        place: ``file:line`` of the attachment.
        id: The attachment's.
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

    def decide(self, story: RunReport, previous: Previous) -> Decision:
        """Whether the route applies to the run."""
        return routing.decide(
            self.conditions,
            self.options.send_on,
            story.facts.attestation,
            story.facts.job,
            story.facts.verdict,
            previous,
        )


def file_of(run: Run, given: Mapping[str, str]) -> str:
    """Path of the configuration file in charge; empty: the inputs are a delivery of their own.

    A file that nobody names may be a stranger's, so it is not read where it could get at secrets.
    """
    return given.get("config", "") or ("" if _distrust(run, given) else config_file.find(""))


def _distrust(run: Run, given: Mapping[str, str]) -> str:
    """Why a configuration file is read only if it is named; empty where it need not be."""
    if beside := [name for name in _ALONE if given.get(name)]:
        return f"beside {', '.join(beside)}"
    event = run.environ.get("GITHUB_EVENT_NAME", "")
    return f"on {event}, where a checkout may be a stranger's" if event in _STRANGERS else ""


def own(run: Run, given: Mapping[str, str]) -> Options:
    """The inputs as a delivery of their own, no configuration file being in charge.

    Raises:
        OptionsError: With every problem; where something is missing that a configuration file
            could say, also why none was read.
    """
    try:
        return run.validated(given)
    except OptionsError as error:
        is_incomplete = not (given.get("host") and given.get("to"))
        if is_incomplete and (path := config_file.find("")):
            absence = Problem(
                "config",
                f"is empty, and {path} is not read {_distrust(run, given)}",
                f"Write config: {path} if only people whom you trust can change that file.",
            )
        elif given.get("host") or given.get("to"):
            raise
        else:
            absence = Problem(
                "config",
                f"is empty, and there is neither {' nor '.join(config_file.DEFAULTS)}",
                "With a configuration file, host and to stand there. In a workflow, a step with "
                "actions/checkout brings it into the job.",
            )
        raise OptionsError(*error.problems, absence) from error


def routes(
    run: Run, given: Mapping[str, str], path: str, *, has_all: bool = False
) -> tuple[Route, ...]:
    """The attachments of the file in their order, and all secrets that they name masked.

    In a pull request from a fork, those that would need a secret are left out.

    Args:
        has_all: With a route, that has no id, for each registration that nothing is attached to.

    Raises:
        OptionsError: With every problem of the file.
        MessageError: A template that it names is broken, and the jobs went well.
    """
    # Imported here: most steps have no file, and PyYAML is dear.
    from chainloop_smtp.options import configuration
    from chainloop_smtp.options.configuration.resolving import Resolver

    found = configuration.parse(config_file.read(path), path)
    registrations = {each.name: _listed(run, each) for each in found.registrations}
    # A copy, since what is secret is taken out of the other before anything else can go wrong.
    resolver = Resolver(run.listed(given), dict(run.environ))
    secrets = _secrets(given, found, resolver)
    _hide(run, secrets, found.registrations)
    unattached = tuple(_unattached(found, resolver))
    if unattached and found.attachments and not has_all:
        names = ", ".join(each.registration for each in unattached)
        run.console.say(f"Nothing is attached in {path} to {names}.")
    templates = cache(
        partial(
            own_templates,
            run,
            # What is checked are the templates, whatever became of the jobs.
            lambda: has_all or run.validated(given, is_whole=False).is_success,
        )
    )
    problems: list[Problem] = []
    made = []
    is_fork = fork_policy.is_fork(run)
    shut_out: set[str] = set()
    further = unattached if has_all else ()
    for attachment in (*found.attachments, *further):
        registration = registrations[attachment.registration]
        if is_fork and not fork_policy.can_log_in(run, resolver.raw(registration)):
            shut_out.add(registration.name)
            continue
        try:
            resolved = resolver.resolve(registration, _listed(run, attachment))
        except OptionsError as error:
            problems += error.problems
            continue
        if is_fork and resolved.missing:
            shut_out.add(registration.name)
            continue
        composition = resolved.options.composition
        made.append(
            Route(
                name=registration.name,
                place=attachment.entry.place.rpartition(":")[0],
                id=attachment.id,
                conditions=attachment.conditions,
                options=resolved.options,
                templates=templates(composition.template_dir, composition.subject),
                missing=resolved.missing,
            )
        )
    for transport in {each.options.transport for each in made}:
        try:
            delivery.check_files(
                transport.tls_ca_file, transport.tls_client_cert, transport.tls_client_key
            )
        except OptionsError as error:
            problems += error.problems
    if problems:
        raise OptionsError(*dict.fromkeys(problems))
    if made and shut_out:
        fork_policy.notice(run, f"nothing goes through {', '.join(sorted(shut_out))}")
    # No mail is to hold the secret of another one's server either.
    return tuple(replace(each, options=replace(each.options, secrets=secrets)) for each in made)


def _unattached(found: Configuration, resolver: "Resolver") -> Iterator[AttachmentEntry]:
    """What stands for an attachment where a registration has none."""
    attached = {each.registration for each in found.attachments}
    for each in found.registrations:
        if each.name not in attached:
            # Those who get the mails might be an attachment's to say; here nobody is.
            given = {} if resolver.raw(each).get("to") else {"to": Lookup.AUTHOR.value}
            place = each.entry.place
            entry = Entry(place=place, given=given, places=dict.fromkeys(given, place))
            yield AttachmentEntry(id="", registration=each.name, entry=entry)


def _listed(run: Run, one: Listed) -> Listed:
    """The entry with the files in its lists of recipients read."""
    return replace(one, entry=replace(one.entry, given=run.listed(one.entry.given)))


def own_templates(
    run: Run, is_success: Callable[[], bool], template_dir: str, subject: str
) -> Templates:
    """The user's own templates, looked at as far as that needs no run.

    Args:
        is_success: Whether the jobs went well. The mail about one that did not does without
            templates that are broken or missing, and a warning says so.

    Raises:
        MessageError: With every problem found.
        OptionsError: The folder cannot be read.
    """
    try:
        own = source.templates(template_dir, subject)
        if own != Templates():
            # Imported here: few have templates of their own.
            from chainloop_smtp import message

            message.check(own)
    except (MessageError, OptionsError) as error:
        if is_success():
            raise
        templates_left_out(run, error)
        return Templates()
    return own


def templates_left_out(run: Run, error: ChainloopSmtpError) -> None:
    """Says that the mail about a job that did not go well is all ours, and why."""
    why = (
        "The mail about a job that did not go well does without your templates, all of it is ours."
    )
    run.console.warning("a template does not fit", f"{error}\n{why}")


def _secrets(
    given: Mapping[str, str], found: Configuration, resolver: "Resolver"
) -> tuple[Secret, ...]:
    """Those of the step and of each registration of the file, each once."""
    known = {(each.value, each.user): each for each in options.secrets(given)}
    for registration in found.registrations:
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
