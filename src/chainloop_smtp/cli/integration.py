"""The commands that read like Chainloop's own ``chainloop integration``."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from chainloop_smtp import message, options, outbox
from chainloop_smtp.cli.login import advise, authorised
from chainloop_smtp.cli.post import refusals
from chainloop_smtp.cli.run import Run
from chainloop_smtp.errors import DeliveryError, OptionsError, Problem, quoted
from chainloop_smtp.model import Plugin

_REGISTRATION = ("to", "from", "user", "password", "host", "port")


def available(run: Run) -> int:
    """Lists the integrations; there is one."""
    plugin = options.plugin()
    if run.console.is_json:
        run.console.data(json.dumps([_item(plugin)], indent=3))
    else:
        _print_plugin(run, plugin)
    return 0


def describe(run: Run) -> int:
    """Shows one integration with its inputs, and its schemas when asked."""
    problems = _unavailable(run.arguments.id or run.arguments.name or "")
    if problems:
        raise OptionsError(*problems)
    plugin = options.plugin()
    if run.console.is_json:
        run.console.data(json.dumps([_item(plugin)], indent=3))
        return 0
    _print_plugin(run, plugin)
    schemas = (
        ("Registration", plugin.registration_schema),
        ("Attachment", plugin.attachment_schema),
    )
    for title, schema in schemas:
        run.console.say(f"\n{title} inputs")
        _print_table(run, ("FIELD", "TYPE", "REQUIRED", "DESCRIPTION"), _fields(schema))
    for title, schema in schemas if run.arguments.full else ():
        run.console.say(f"\n{title} JSON schema\n{json.dumps(schema, indent=2)}")
    return 0


def register(run: Run) -> int:
    """Validates a registration and sends the mail that proves it."""
    problems = _unavailable(run.arguments.id)
    given = run.inputs(_opts(run.arguments.opt, problems))
    parsed = run.validated(given, *problems)
    plugin = options.plugin()
    name = run.arguments.name or parsed.registration.host
    now = run.now()
    message_id = message.random_id(parsed.registration.from_.domain, run.entropy())
    mail = message.compose_registration(plugin, name, parsed, now=now, message_id=message_id)
    if parsed.dry_run:
        eml = outbox.write_mail(run.folder(parsed), mail)
        run.console.say(f"Dry run, nothing is sent. The mail: {eml}")
    else:
        advise(run, parsed)
        try:
            parsed = authorised(run, parsed)
            result = run.deliver(mail, parsed.registration, parsed.transport)
            if failure := refusals(result, parsed):
                raise failure
        except DeliveryError:
            run.console.say(f"The mail is kept: {outbox.write_mail(run.folder(parsed), mail)}")
            raise
        for each in result.refused:
            run.console.warning("recipient refused", f"{each.recipient}: {each.reply}")
        accepted = ", ".join(result.accepted)
        run.console.say(f"The registration mail for {name} is sent to {accepted}.")
        run.console.say("The registration works. It is not stored: give the same inputs to send.")
    registration = {
        "name": name,
        "kind": plugin.id,
        "description": run.arguments.description or "",
        "createdAt": now.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "config": {key: given[key] for key in _REGISTRATION if key in given and key != "password"},
    }
    if run.console.is_json:
        run.console.data(json.dumps(registration, indent=3))
    return 0


def _unavailable(identifier: str) -> list[Problem]:
    if identifier == "smtp":
        return []
    return [Problem("integration", f"{quoted(identifier)} is not available", "There is one: smtp.")]


def _opts(pairs: Sequence[str], problems: list[Problem]) -> dict[str, str]:
    """``key=value`` pairs, split at the first ``=``; the last of the same key wins."""
    found: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            # The whole might be a password.
            problems.append(Problem("opt", "an option has no '='", "Write --opt key=value."))
        elif key not in _REGISTRATION:
            hint = f"There are: {', '.join(_REGISTRATION)}."
            problems.append(Problem("opt", f"{quoted(key)} is no registration input", hint))
        else:
            found[key] = value
    return found


def _item(plugin: Plugin) -> dict[str, object]:
    """As ``chainloop integration available list -o json`` prints it."""
    return {
        "name": plugin.id,
        "version": plugin.version,
        "description": plugin.description,
        "registration": {"schema": json.dumps(plugin.registration_schema)},
        "attachment": {"schema": json.dumps(plugin.attachment_schema)},
        "subscribedInputs": None,
    }


def _fields(schema: Mapping[str, object]) -> Iterable[tuple[str, ...]]:
    properties = cast("dict[str, dict[str, str]]", schema["properties"])
    required = cast("list[str]", schema.get("required", []))
    for name, field in sorted(properties.items()):
        kind = field["type"] + (f" ({field['format']})" if "format" in field else "")
        yield name, kind, "Yes" if name in required else "No", field["description"]


def _print_plugin(run: Run, plugin: Plugin) -> None:
    row = (plugin.id, plugin.version, "None", plugin.description)
    _print_table(run, ("NAME", "VERSION", "MATERIAL REQUIREMENT", "DESCRIPTION"), [row])


def _print_table(run: Run, head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    table = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        run.console.say("  ".join(cells))
