"""The commands of registrations: ``registered add``, ``list``, ``describe``, ``delete``."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from chainloop_smtp import config_file, message, options, outbox
from chainloop_smtp.cli import integration
from chainloop_smtp.cli.deliver import advise, authorised
from chainloop_smtp.cli.results import failure_of, warnings_of
from chainloop_smtp.cli.run import Run
from chainloop_smtp.errors import DeliveryError, OptionsError, Problem, quoted
from chainloop_smtp.model.entries import Configuration, RegistrationEntry
from chainloop_smtp.model.settings import Options
from chainloop_smtp.options import configuration
from chainloop_smtp.options.configuration import editing

_REGISTRATION = ("to", "from", "user", "password", "host", "port")
_HEAD = ("NAME", "DESCRIPTION", "KIND", "CONFIG", "CREATED AT")


def add(run: Run) -> int:
    """Validate a registration, send the mail that proves it, and only then store it."""
    try:
        _add(run)
    except BaseException as error:
        # Printed after the cause.
        error.add_note("Nothing is stored.")
        raise
    return 0


def _add(run: Run) -> None:
    problems = integration.unavailable(run.arguments.id)
    opts = integration.pairs(run.arguments.opt, _REGISTRATION, "registration", problems)
    inputs = run.inputs(opts)
    file = integration.load(run, inputs.get("config", ""))
    name = run.arguments.name or inputs.get("host", "").lower()
    problems += _name_problems(run.arguments.name, name, file)
    variable = run.arguments.password_env or ""
    if variable and (why := configuration.why_no_variable(variable)):
        problems.append(Problem("password-env", why))
    parsed = run.validated(inputs, *problems)
    entry = _entry(run, name, inputs)
    # Find out that the file can take it before the mail says so.
    editing.add(config_file.read(file.path, is_required=False), file.path, "registrations", entry)
    _prove(run, name, parsed)
    if not parsed.dry_run:
        _store(run, file.path, entry)
    integration.warn_of_paths(run, entry)
    text = editing.add("", file.path, "registrations", entry)
    stored = configuration.parse(text, file.path).registrations[0]
    if run.console.is_json:
        run.console.data(json.dumps(integration.registration_item(stored), indent=3))
    elif not parsed.dry_run:
        _print(run, [stored])


def list_(run: Run) -> int:
    """List the registrations of the file."""
    file = integration.load(run)
    if run.console.is_json:
        items = [integration.registration_item(each) for each in file.registrations]
        run.console.data(json.dumps(items, indent=3))
    elif file.registrations:
        _print(run, file.registrations)
    else:
        run.console.say(f"There are no registrations in {file.path}.")
    return 0


def describe(run: Run) -> int:
    """Show one registration: its inputs, what it is attached to, and which variables it needs."""
    file = integration.load(run)
    registration = _named(run, file)
    attached = _attached(file, registration.name)
    variables = sorted(set(registration.entry.variables.values()))
    if run.console.is_json:
        item = integration.registration_item(registration)
        more = {"variables": variables, "attachments": attached}
        run.console.data(json.dumps(item | more, indent=3))
        return 0
    _print(run, [registration])
    times = f"{len(attached)} time{'s' * (len(attached) != 1)}"
    run.console.say(f"\nAttached {times}, in {file.path}.")
    for each in variables:
        state = "set" if run.environ.get(each) else "not set"
        run.console.say(f"Needs the variable {each}, which is {state} here.")
    return 0


def delete(run: Run) -> int:
    """Take a registration and all its attachments out of the file."""
    file = integration.load(run)
    name = _named(run, file).name
    config_file.update(file.path, lambda text: _without(text, file.path, name))
    run.console.aside("Integration deregistered!")
    if attached := _attached(file, name):
        noun = "attachment" if len(attached) == 1 else f"{len(attached)} attachments"
        run.console.aside(f"Also deleted its {noun}: {', '.join(attached)}.")
    return 0


def _named(run: Run, file: Configuration) -> RegistrationEntry:
    return integration.find_registration(file, run.arguments.name or run.arguments.id or "")


def _attached(file: Configuration, name: str) -> list[str]:
    """The ids of a registration's attachments."""
    return [each.id for each in file.attachments if each.registration == name]


def _without(text: str, path: str, name: str) -> str:
    file = configuration.parse(text, path)
    registration = integration.find_registration(file, name)
    attachments = [at for at, each in enumerate(file.attachments) if each.registration == name]
    text = editing.remove(text, path, "attachments", attachments)
    return editing.remove(text, path, "registrations", [file.registrations.index(registration)])


def _name_problems(flag: str | None, name: str, file: Configuration) -> list[Problem]:
    """What is wrong with a registration's name: that of the flag ``--name``, else the host."""
    if flag and not configuration.is_label(flag):
        hint = "Use at most 63 lower-case letters, digits and dashes, as Chainloop requires."
        return [Problem("name", f"{quoted(flag)} is not a valid registration name", hint)]
    if taken := [each for each in file.registrations if each.name == name]:
        hint = "Give another --name, or delete that registration first."
        return [Problem("name", f"{quoted(name)} is taken: {taken[0].entry.place}", hint)]
    if not flag and ":" in name:
        return [Problem("name", "is missing", "An IPv6 address cannot be a name: set --name.")]
    return []


def _prove(run: Run, name: str, parsed: Options) -> None:
    """Send the registration mail, or write it in a dry run.

    Raises:
        DeliveryError: It did not reach whom it should, so that nothing may be stored.
    """
    now = run.now(is_dry_run=parsed.dry_run)
    entropy = run.entropy(is_dry_run=parsed.dry_run)
    message_id = message.random_id(parsed.registration.from_.domain, entropy)
    mail = message.compose_registration(
        options.plugin(), name, parsed, now=now, message_id=message_id
    )
    mail = replace(mail, stem=outbox.file_stem(mail.subject))
    run.console.hide(*mail.hidden)
    if parsed.dry_run:
        eml = outbox.write_mail(run.folder(parsed), mail)
        run.console.say(f"Dry run: nothing was sent or stored. The mail: {eml}")
        return
    advise(run, parsed)
    try:
        parsed = authorised(run, parsed)
        # Somebody waits: a wrong host or port is said at once.
        transport = replace(parsed.transport, patience=0.0)
        (result,) = run.deliver((mail,), parsed.registration, transport, notify=run.console.say)
        if failure := failure_of(result, parsed.require):
            raise failure
    except DeliveryError:
        run.console.say(f"The mail was saved: {outbox.write_mail(run.folder(parsed), mail)}")
        raise
    result = result.public()
    for each in result.refused:
        run.console.warning("recipient refused", f"{each.recipient}: {each.reason}")
    for note in warnings_of(result):
        run.console.warning(note.where, note.why)
    accepted = ", ".join(result.accepted)
    run.console.say(f"The registration mail for {name} is sent to {accepted}.")


def _entry(run: Run, name: str, inputs: Mapping[str, str]) -> dict[str, editing.Value]:
    """What is stored: inputs that are not defaults; secrets by a variable's name."""
    entry: dict[str, editing.Value] = {"name": name}
    if run.arguments.description:
        entry["description"] = run.arguments.description
    stored = set(configuration.REGISTRATION_KEYS)
    for each in options.INPUTS:
        if each.name not in inputs or each.name not in stored or inputs[each.name] == each.default:
            continue
        if not options.is_secret(each.name, inputs[each.name]):
            entry[each.name] = inputs[each.name]
        elif each.name == "password" and run.arguments.password_env:
            entry[each.name] = {"env": run.arguments.password_env}
        else:
            entry[each.name] = {"env": _variable(each.name, name)}
    return entry | {"created-at": integration.created_at(run)}


def _variable(secret: str, name: str) -> str:
    words = re.sub(r"[^A-Z0-9]", "_", f"{secret}_{name}".upper())
    return f"CHAINLOOP_SMTP_{words}"


def _store(run: Run, path: str, entry: Mapping[str, editing.Value]) -> None:
    try:
        integration.store(path, "registrations", entry)
    except OptionsError as error:
        why = "the mail was sent, but the registration was not stored"
        raise OptionsError(*error.problems, Problem("registered add", why)) from error
    run.console.say(f"The registration {entry['name']} is stored in {path}.")
    for name, value in entry.items():
        if not isinstance(value, str):
            variable = value["env"]
            run.console.say(
                f"Its {name} is not stored: give it to `send` in the variable {variable}. In a "
                "workflow: "
                f"env: {variable}: ${{{{ secrets.{variable} }}}}"
            )


def _print(run: Run, registrations: Sequence[RegistrationEntry]) -> None:
    rows = [
        (
            each.name,
            each.description,
            options.plugin().id,
            integration.config_cell(integration.public_inputs(each.entry)),
            each.created_at,
        )
        for each in registrations
    ]
    run.console.table(_HEAD, rows)
