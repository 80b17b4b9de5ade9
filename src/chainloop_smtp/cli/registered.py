"""The commands ``integration registered add``, ``list``, ``describe`` and ``delete``."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from chainloop_smtp import config_file, message, options, outbox
from chainloop_smtp.cli.integration import pairs, print_table, unavailable
from chainloop_smtp.cli.login import advise, authorised
from chainloop_smtp.cli.post import failure_of, notes_of, public
from chainloop_smtp.cli.run import Run
from chainloop_smtp.errors import DeliveryError, OptionsError, Problem, quoted, quoted_path
from chainloop_smtp.model.entries import Configuration, RegistrationEntry
from chainloop_smtp.model.pem import pem
from chainloop_smtp.model.settings import Options
from chainloop_smtp.options import configuration
from chainloop_smtp.options.configuration import editing

_REGISTRATION = ("to", "from", "user", "password", "host", "port")
_PATHS = ("tls-ca-file", "tls-client-cert", "tls-client-key", "template-dir")
_HEAD = ("NAME", "DESCRIPTION", "KIND", "CONFIG", "CREATED AT")


def load(run: Run, given: str = "") -> Configuration:
    """The configuration file that the command is about; with nothing in it where there is none."""
    path = config_file.find(run.arguments.config or given) or config_file.DEFAULTS[0]
    return configuration.parse(config_file.read(path, is_required=False), path)


def add(run: Run) -> int:
    """Validates a registration, sends the mail that proves it, and only then stores it."""
    is_done = False
    try:
        _add(run)
        is_done = True
    finally:
        if not is_done:
            run.console.aside("Nothing is stored.")
    return 0


def _add(run: Run) -> None:
    problems = unavailable(run.arguments.id)
    given = run.inputs(pairs(run.arguments.opt, _REGISTRATION, "registration", problems))
    found = load(run, given.get("config", ""))
    name = run.arguments.name or given.get("host", "").lower()
    problems += _name_problems(run.arguments.name, name, found)
    variable = run.arguments.password_env or ""
    if variable and not configuration.is_variable(variable):
        problems.append(Problem("password-env", f"{quoted(variable)} is no variable's name"))
    parsed = run.validated(given, *problems)
    entry = _entry(run, name, given, run.now())
    # Whether the file can take it is to be known before the mail says so.
    editing.add(config_file.read(found.path, is_required=False), found.path, "registrations", entry)
    _prove(run, name, parsed)
    if not parsed.dry_run:
        _store(run, found.path, entry)
    warn_of_paths(run, entry)
    text = editing.add("", found.path, "registrations", entry)
    stored = configuration.parse(text, found.path).registrations[0]
    if run.console.is_json:
        run.console.data(json.dumps(item(stored), indent=3))
    elif not parsed.dry_run:
        _print(run, [stored])


def list_(run: Run) -> int:
    """Lists the registrations of the file."""
    found = load(run)
    if run.console.is_json:
        run.console.data(json.dumps([item(each) for each in found.registrations], indent=3))
    elif found.registrations:
        _print(run, found.registrations)
    else:
        run.console.say(f"There are no registrations in {found.path}.")
    return 0


def describe(run: Run) -> int:
    """Shows one registration: its inputs, what it is attached to, and which variables it needs."""
    found = load(run)
    registration = by_name(found, run.arguments.name or run.arguments.id or "")
    attached = [each for each in found.attachments if each.registration == registration.name]
    needed = sorted({*registration.entry.variables.values()})
    if run.console.is_json:
        more = {"variables": needed, "attachments": [each.id for each in attached]}
        run.console.data(json.dumps(item(registration) | more, indent=3))
        return 0
    _print(run, [registration])
    run.console.say(
        f"\nAttached {len(attached)} time{'s' * (len(attached) != 1)}, in {found.path}."
    )
    for each in needed:
        state = "set" if run.environ.get(each) else "not set"
        run.console.say(f"Needs the variable {each}, which is {state} here.")
    return 0


def delete(run: Run) -> int:
    """Takes a registration and all its attachments out of the file."""
    found = load(run)
    name = by_name(found, run.arguments.name or run.arguments.id or "").name
    attached: list[str] = []

    def change(text: str) -> str:
        now = configuration.parse(text, found.path)
        by_name(now, name)
        attachments = [at for at, each in enumerate(now.attachments) if each.registration == name]
        attached[:] = [now.attachments[at].id for at in attachments]
        positions = [at for at, each in enumerate(now.registrations) if each.name == name]
        text = editing.remove(text, found.path, "attachments", attachments)
        return editing.remove(text, found.path, "registrations", positions)

    config_file.update(found.path, change)
    run.console.aside("Integration deregistered!")
    if attached:
        noun = "attachment" if len(attached) == 1 else f"{len(attached)} attachments"
        run.console.aside(f"With it went its {noun}: {', '.join(attached)}.")
    return 0


def by_name(found: Configuration, name: str) -> RegistrationEntry:
    """The registration of that name or id.

    Raises:
        OptionsError: There is none.
    """
    for each in found.registrations:
        if name in (each.name, each.id):
            return each
    names = ", ".join(each.name for each in found.registrations)
    hint = f"There are: {names}." if names else "There are none: integration registered add smtp."
    if not name:
        raise OptionsError(Problem("name", "is missing", hint))
    why = f"there is no registration {quoted(name)} in {found.path}"
    raise OptionsError(Problem("integration", why, hint))


def item(registration: RegistrationEntry) -> dict[str, object]:
    """As ``chainloop integration registered list -o json`` prints one; never a secret."""
    return {
        "id": registration.id,
        "name": registration.name,
        "kind": options.plugin().id,
        "description": registration.description,
        "createdAt": registration.created_at or None,
        "config": config(registration.entry.given, registration.entry.variables) or None,
    }


def config(given: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    """Inputs as the two lists show them: a variable by its name, a secret not at all."""
    shown = dict(given) | {name: f"${{{variable}}}" for name, variable in variables.items()}
    return {name: text for name, text in shown.items() if not options.is_secret(name, text)}


def stamp(now: datetime) -> str:
    """A moment in UTC as RFC 3339 writes it, to the second."""
    return now.isoformat(timespec="seconds").replace("+00:00", "Z")


def _name_problems(said: str | None, name: str, found: Configuration) -> list[Problem]:
    if said and not configuration.is_label(said):
        hint = "Small letters, digits and dashes, 63 of them at most, as Chainloop wants it."
        return [Problem("name", f"{quoted(said)} is no name for a registration", hint)]
    if taken := [each for each in found.registrations if each.name == name]:
        hint = "Give another --name, or delete that registration first."
        return [Problem("name", f"{quoted(name)} is taken: {taken[0].entry.place}", hint)]
    if not said and ":" in name:
        return [Problem("name", "is missing", "An IPv6 address is no name: give --name.")]
    return []


def _prove(run: Run, name: str, parsed: Options) -> None:
    """Sends the registration mail, or writes it in a dry run.

    Raises:
        DeliveryError: It did not reach whom it should, so there is nothing to store.
    """
    now = run.now(is_dry_run=parsed.dry_run)
    entropy = run.entropy(is_dry_run=parsed.dry_run)
    message_id = message.random_id(parsed.registration.from_.domain, entropy)
    mail = message.compose_registration(
        options.plugin(), name, parsed, now=now, message_id=message_id
    )
    run.console.hide(*mail.hidden)
    if parsed.dry_run:
        eml = outbox.write_mail(run.folder(parsed), mail)
        run.console.say(f"Dry run, nothing is sent or stored. The mail: {eml}")
        return
    advise(run, parsed)
    try:
        parsed = authorised(run, parsed)
        result = run.deliver(mail, parsed.registration, parsed.transport, notify=run.console.say)
        if failure := failure_of(result, parsed.require):
            raise failure
    except DeliveryError:
        run.console.say(f"The mail is kept: {outbox.write_mail(run.folder(parsed), mail)}")
        raise
    result = public(result)
    for each in result.refused:
        run.console.warning("recipient refused", f"{each.recipient}: {each.reason}")
    for note in notes_of(result):
        run.console.warning(note.where, note.why)
    accepted = ", ".join(result.accepted)
    run.console.say(f"The registration mail for {name} is sent to {accepted}.")


def _entry(
    run: Run, name: str, given: Mapping[str, str], now: datetime
) -> dict[str, editing.Value]:
    """What is written down: inputs that are no defaults; secrets by a variable's name."""
    entry: dict[str, editing.Value] = {"name": name}
    if run.arguments.description:
        entry["description"] = run.arguments.description
    stored = set(configuration.REGISTRATION_KEYS)
    for each in options.INPUTS:
        if each.name not in given or each.name not in stored or given[each.name] == each.default:
            continue
        if not options.is_secret(each.name, given[each.name]):
            entry[each.name] = given[each.name]
        elif each.name == "password" and run.arguments.password_env:
            entry[each.name] = {"env": run.arguments.password_env}
        else:
            entry[each.name] = {"env": _variable(each.name, name)}
    return entry | {"created-at": stamp(now)}


def warn_of_paths(run: Run, entry: Mapping[str, editing.Value]) -> None:
    """Says which paths of an entry a workflow will not find in its checkout of the repository.

    Outside a repository nothing is said: the file may be for this machine alone.
    """
    here = Path.cwd()
    root = next((each for each in (here, *here.parents) if (each / ".git").exists()), None)
    paths = [(name, path) for name, value in entry.items() for path in _paths(name, value)]
    for name, path in paths if root else ():
        there = _in_repository(path, str(root))
        if not there:
            why = "which is outside the repository. Copy it there, and give its path from there."
        elif there != Path(path).as_posix():
            why = f"since paths are relative to the repository. Write {quoted_path(there)}."
        else:
            continue
        text = f"{name}: a workflow does not find {quoted_path(path)}, {why}"
        run.console.warning("not in a checkout", text)


def _in_repository(path: str, root: str) -> str:
    """The path relative to the repository; empty when it is outside, or a link that leads out."""
    given = Path(os.path.abspath(path))  # noqa: PTH100  # without following any link
    real = Path(os.path.realpath(path))
    is_inside = given.is_relative_to(root) and real.is_relative_to(os.path.realpath(root))
    return given.relative_to(root).as_posix() if is_inside else ""


def _paths(name: str, value: editing.Value) -> list[str]:
    """The paths that an input holds."""
    if not isinstance(value, str):
        return []
    if name in _PATHS:
        return [] if pem(value) else [value]
    members = [each.strip() for line in value.splitlines() for each in line.split(",")]
    lists = members if name in ("to", "cc", "bcc") else []
    return [each.removeprefix("file:").strip() for each in lists if each.startswith("file:")]


def _variable(secret: str, name: str) -> str:
    words = re.sub(r"[^A-Z0-9]", "_", f"{secret}_{name}".upper())
    return f"CHAINLOOP_SMTP_{words}"


def _store(run: Run, path: str, entry: Mapping[str, editing.Value]) -> None:
    try:
        config_file.update(path, lambda text: editing.add(text, path, "registrations", entry))
    except OptionsError as error:
        why = "the mail was sent, but the registration is not stored"
        raise OptionsError(*error.problems, Problem("registered add", why)) from error
    run.console.say(f"The registration {entry['name']} is stored in {path}.")
    for name, value in entry.items():
        if not isinstance(value, str):
            variable = value["env"]
            run.console.say(
                f"Its {name} is not: give it to `send` in the variable {variable}. In a workflow: "
                f"env: {variable}: ${{{{ secrets.{variable} }}}}"
            )


def _print(run: Run, registrations: Sequence[RegistrationEntry]) -> None:
    rows = [
        (
            each.name,
            each.description,
            options.plugin().id,
            lines(config(each.entry.given, each.entry.variables)),
            each.created_at,
        )
        for each in registrations
    ]
    print_table(run, _HEAD, rows)


def lines(shown: Mapping[str, str]) -> str:
    """``key: value``, one a line, as Chainloop shows a configuration."""
    return "\n".join(f"{name}: {', '.join(text.splitlines())}" for name, text in shown.items())
