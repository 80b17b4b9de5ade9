"""``integration available``, and what ``integration registered`` and ``attached`` share with it."""

import json
import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import cast

from chainloop_smtp import config_file, options
from chainloop_smtp.cli.run import Run
from chainloop_smtp.errors import OptionsError, Problem, nearest_hint, quoted, quoted_path
from chainloop_smtp.model.entries import Configuration, Entry, RegistrationEntry
from chainloop_smtp.options import configuration
from chainloop_smtp.options.configuration import editing
from chainloop_smtp.secrets import as_pem

_PATHS = ("tls-ca-file", "tls-client-cert", "tls-client-key", "template-dir")


def available(run: Run) -> int:
    """List the integrations; there is one."""
    plugin = options.plugin()
    if run.console.is_json:
        item = {
            "name": plugin.id,
            "version": plugin.version,
            "description": plugin.description,
            "registration": {"schema": json.dumps(plugin.registration_schema)},
            "attachment": {"schema": json.dumps(plugin.attachment_schema)},
            "subscribedInputs": None,
        }
        run.console.data(json.dumps([item], indent=3))
    else:
        head = ("NAME", "VERSION", "MATERIAL REQUIREMENT", "DESCRIPTION")
        run.console.table(head, [(plugin.id, plugin.version, "None", plugin.description)])
    return 0


def describe(run: Run) -> int:
    """Show one integration with its inputs, and its schemas when asked."""
    if problems := unavailable(run.arguments.id or run.arguments.name or ""):
        raise OptionsError(*problems)
    available(run)
    if run.console.is_json:
        return 0
    plugin = options.plugin()
    schemas = (
        ("Registration", plugin.registration_schema),
        ("Attachment", plugin.attachment_schema),
    )
    for title, schema in schemas:
        run.console.say(f"\n{title} inputs")
        run.console.table(("FIELD", "TYPE", "REQUIRED", "DESCRIPTION"), _fields(schema))
    for title, schema in schemas if run.arguments.full else ():
        run.console.say(f"\n{title} JSON schema\n{json.dumps(schema, indent=2)}")
    return 0


def unavailable(identifier: str) -> list[Problem]:
    """What to say of an integration that does not exist; nothing for the one that does."""
    if identifier == "smtp":
        return []
    if not identifier:
        return [Problem("name", "is missing", "The only one is smtp.")]
    return [
        Problem("integration", f"{quoted(identifier)} is not available", "The only one is smtp.")
    ]


def pairs(
    opts: Iterable[str], known: Collection[str], kind: str, problems: list[Problem]
) -> dict[str, str]:
    """What ``--opt key=value`` says, split at the first ``=``; a list may be given in several.

    Args:
        kind: What these are inputs of.
        problems: Added to.
    """
    values: dict[str, str] = {}
    for opt in opts:
        key, equals, value = opt.partition("=")
        if not equals:
            # The whole might be a password.
            problems.append(Problem("opt", "an option has no '='", "Write --opt key=value."))
        elif key not in known:
            why = f"{quoted(key)} is not one of the {kind} inputs"
            flags = options.BY_NAME.keys() - options.ABOUT_THE_RUN - set(options.SECRETS)
            is_flag = kind == "registration" and key in flags
            hint = f"Set it by its flag, --{key}." if is_flag else nearest_hint(key, known)
            problems.append(Problem("opt", why, hint))
        elif key not in values:
            values[key] = value
        elif key in options.BY_NAME and options.BY_NAME[key].is_list:
            values[key] += f"\n{value}"
        else:
            problems.append(Problem("opt", f"{key} is given twice", "Keep one of them."))
    return values


def load(run: Run, path: str = "") -> Configuration:
    """The configuration file that the command is about; with nothing in it where there is none.

    Args:
        path: Of the input ``config``, for commands that take inputs.
    """
    path = config_file.find(run.arguments.config or path) or config_file.DEFAULTS[0]
    return configuration.parse(config_file.read(path, is_required=False), path)


def store(path: str, kind: str, entry: Mapping[str, editing.Value]) -> Configuration:
    """Add an entry to the configuration file, and return what the file then says.

    Raises:
        OptionsError: The file cannot be written, or cannot take the entry.
    """
    text = config_file.update(path, lambda text: editing.add(text, path, kind, entry))
    return configuration.parse(text, path)


def find_registration(file: Configuration, name: str) -> RegistrationEntry:
    """The registration of that name or id.

    Raises:
        OptionsError: There is none.
    """
    for each in file.registrations:
        if name in (each.name, each.id):
            return each
    names = ", ".join(each.name for each in file.registrations)
    hint = (
        f"Available: {names}."
        if names
        else "There are none. To add one: integration registered add smtp."
    )
    if not name:
        raise OptionsError(Problem("name", "is missing", hint))
    why = f"there is no registration {quoted(name)} in {file.path}"
    raise OptionsError(Problem("integration", why, hint))


def registration_item(registration: RegistrationEntry) -> dict[str, object]:
    """As ``chainloop integration registered list -o json`` prints one; never a secret."""
    return {
        "id": registration.id,
        "name": registration.name,
        "kind": options.plugin().id,
        "description": registration.description,
        "createdAt": registration.created_at or None,
        "config": public_inputs(registration.entry) or None,
    }


def public_inputs(entry: Entry) -> dict[str, str]:
    """Inputs as both lists show them: a variable by its name, a secret not at all."""
    variables = {name: f"${{{variable}}}" for name, variable in entry.variables.items()}
    inputs = dict(entry.inputs) | variables
    return {name: text for name, text in inputs.items() if not options.is_secret(name, text)}


def config_cell(inputs: Mapping[str, str]) -> str:
    """``key: value``, one a line, as Chainloop shows a configuration."""
    return "\n".join(f"{name}: {', '.join(text.splitlines())}" for name, text in inputs.items())


def created_at(run: Run) -> str:
    """The current time as the file has it (RFC 3339, UTC, to the second)."""
    return run.now().isoformat(timespec="seconds").replace("+00:00", "Z")


def warn_of_paths(run: Run, entry: Mapping[str, editing.Value]) -> None:
    """Say which paths of an entry a workflow will not find in its checkout of the repository.

    Outside a repository nothing is said: the file may be for this machine alone.
    """
    here = Path.cwd()
    root = next((each for each in (here, *here.parents) if (each / ".git").exists()), None)
    paths = [(name, path) for name, value in entry.items() for path in _paths(name, value)]
    for name, path in paths if root else ():
        there = _in_repository(path, str(root))
        if not there or ".git" in Path(there).parts:
            why = (
                "which is not part of the repository. Copy it there, and give its path from there."
            )
        elif there != Path(path).as_posix():
            why = f"since paths are relative to the repository. Write {quoted_path(there)}."
        else:
            continue
        text = f"{name}: a workflow does not find {quoted_path(path)}, {why}"
        run.console.warning("not in a checkout", text)


def _in_repository(path: str, root: str) -> str:
    """The path relative to the repository; empty when it is outside, or a link that leads out."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100  # without following any link
    real = Path(os.path.realpath(path))
    is_inside = absolute.is_relative_to(root) and real.is_relative_to(os.path.realpath(root))
    return absolute.relative_to(root).as_posix() if is_inside else ""


def _paths(name: str, value: editing.Value) -> list[str]:
    """The paths that an input holds."""
    if not isinstance(value, str):
        return []
    if name in _PATHS:
        return [] if as_pem(value) else [value]
    if name == "attach":
        lines = filter(None, map(str.strip, value.splitlines()))
        return [each for each in lines if each not in ("attestation", "report")]
    members = map(str.strip, re.split("[,;\n]", value)) if name in ("to", "cc", "bcc") else ()
    return [each.removeprefix("file:").strip() for each in members if each.startswith("file:")]


def _fields(schema: Mapping[str, object]) -> Iterable[tuple[str, ...]]:
    properties = cast("dict[str, dict[str, str]]", schema["properties"])
    required = cast("list[str]", schema.get("required", []))
    for name, field in sorted(properties.items()):
        kind = field["type"] + (f" ({field['format']})" if "format" in field else "")
        yield name, kind, "Yes" if name in required else "No", field["description"]
