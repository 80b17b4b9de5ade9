"""The commands ``integration available``, and how all that read like Chainloop's own print."""

import json
from collections.abc import Collection, Iterable, Mapping
from itertools import zip_longest
from typing import cast

from chainloop_smtp import options
from chainloop_smtp.cli.run import Run
from chainloop_smtp.errors import OptionsError, Problem, nearest_hint, quoted
from chainloop_smtp.model.settings import Plugin


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
    problems = unavailable(run.arguments.id or run.arguments.name or "")
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
        print_table(run, ("FIELD", "TYPE", "REQUIRED", "DESCRIPTION"), _fields(schema))
    for title, schema in schemas if run.arguments.full else ():
        run.console.say(f"\n{title} JSON schema\n{json.dumps(schema, indent=2)}")
    return 0


def unavailable(identifier: str) -> list[Problem]:
    """What to say of an integration that there is not; nothing for the one that there is."""
    if identifier == "smtp":
        return []
    if not identifier:
        return [Problem("name", "is missing", "There is one: smtp.")]
    return [Problem("integration", f"{quoted(identifier)} is not available", "There is one: smtp.")]


def pairs(
    opts: Iterable[str], known: Collection[str], kind: str, problems: list[Problem]
) -> dict[str, str]:
    """What ``--opt key=value`` says, split at the first ``=``; the last of the same key wins.

    Args:
        kind: Of what these are inputs.
        problems: Added to.
    """
    found: dict[str, str] = {}
    for opt in opts:
        key, equals, value = opt.partition("=")
        if not equals:
            # The whole might be a password.
            problems.append(Problem("opt", "an option has no '='", "Write --opt key=value."))
        elif key not in known:
            why = f"{quoted(key)} is no {kind} input"
            problems.append(Problem("opt", why, nearest_hint(key, known)))
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
    print_table(run, ("NAME", "VERSION", "MATERIAL REQUIREMENT", "DESCRIPTION"), [row])


def print_table(run: Run, head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    """Columns as wide as they need be; a cell of several lines makes its row as high."""
    table = [[cell.split("\n") for cell in row] for row in (head, *rows)]
    widths = [
        max(len(line) for cell in column for line in cell) for column in zip(*table, strict=True)
    ]
    for row in table:
        for line in zip_longest(*row, fillvalue=""):
            cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            run.console.say("  ".join(cells))
