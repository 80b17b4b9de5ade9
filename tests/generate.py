"""Inputs -> the files that list them: `action.yml`, ``docs/inputs.md``, the configuration schema.

The page's table of outputs is taken from `action.yml`, where they are written by hand.

``nox -s generate`` writes them; ``nox -s lint`` fails when they differ from what it would write.
"""

import json
import re
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from chainloop_smtp.model.attested import FindingKind
from chainloop_smtp.model.facts import Outcome
from chainloop_smtp.options import INPUTS, Input
from chainloop_smtp.options.configuration import ATTACHMENT_KEYS, REGISTRATION_KEYS

ROOT = Path(__file__).parents[1]
ACTION = ROOT / "action.yml"
PAGE = ROOT / "docs/inputs.md"
SCHEMA = ROOT / "src/chainloop_smtp/schemas/configuration.json"
BY_NAME = {each.name: each for each in INPUTS}

_WIDTH = 100
_NAME = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
# The words of an entry that are no inputs.
_DESCRIPTIONS = {
    "name": "The name that attachments refer to: lower-case letters, digits and dashes.",
    "description": "Free text.",
    "created-at": "Written by the commands that add an entry.",
    "registration": "Name of one of the registrations.",
    "workflow": "Globs over the Chainloop workflow's name, or whole ids; one has to match.",
    "project": "Globs over the Chainloop project's name; one has to match.",
    "branch": "Globs over the branch (for a pull request, its head branch); one has to match.",
    "tag": "Globs over the tag; one has to match. If branch is given too, either can match.",
    "event": "Globs over GitHub's event name, such as push or pull_request; one has to match.",
    "outcome": "The run's outcome has to be one of these.",
    "policy": "Globs over the names of violated policies; one has to match.",
    "findings": "One of the violations has to be a finding of one of these kinds.",
    "filter": "Annotations that the attestation must have: key=value, comma-separated.",
}
_WORDS = {"outcome": tuple(Outcome), "findings": tuple(FindingKind)}


def generated() -> dict[Path, str]:
    """What each of the files has to hold; what is written by hand in them stays."""
    return {
        ACTION: _action(ACTION.read_text("utf-8")),
        PAGE: _page(PAGE.read_text("utf-8")),
        SCHEMA: json.dumps(_schema(), indent=2) + "\n",
    }


def main(arguments: list[str]) -> int:
    """Write the files, or with ``--check`` say which of them differ."""
    differing = [path for path, text in generated().items() if path.read_text("utf-8") != text]
    for path in differing:
        if "--check" in arguments:
            print(f"{path.relative_to(ROOT)} differs from the inputs: run nox -s generate")
        else:
            path.write_text(generated()[path], "utf-8", newline="\n")
            print(f"wrote {path.relative_to(ROOT)}")
    return 1 if differing and "--check" in arguments else 0


def _default(given: Input) -> str:
    """What `action.yml` fills in."""
    return given.default if given.action_default is None else given.action_default


def _action(text: str) -> str:
    """The section ``inputs`` of `action.yml`."""
    head, inputs, rest = text.partition("\ninputs:\n")
    _, outputs, tail = rest.partition("\noutputs:\n")
    return f"{head}{inputs}{''.join(map(_action_input, INPUTS))}{outputs}{tail}"


def _action_input(given: Input) -> str:
    line = f"    description: {json.dumps(given.help, ensure_ascii=False)}"
    if len(line) > _WIDTH:
        # Folded: a line break is a blank.
        folded = textwrap.wrap(
            given.help, _WIDTH - 6, break_long_words=False, break_on_hyphens=False
        )
        line = "\n".join(("    description: >-", *(f"      {each}" for each in folded)))
    default = _default(given)
    # An expression stands bare, as everywhere.
    shown = default if default.startswith("$") else json.dumps(default)
    return f"  {given.name}:\n{line}\n" + (f"    default: {shown}\n" if default else "")


def _page(text: str) -> str:
    """The tables of the page, each with the inputs from one on up to the next table's first."""
    parts = re.split(r"(<!-- inputs from `([a-z0-9-]+)` -->\n\n)((?:\|.*\n)*)", text)
    names = list(BY_NAME)
    starts = [names.index(name) for name in parts[2::4]]
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(names)], strict=True)):
        parts[4 * number + 3] = _table(BY_NAME[name] for name in names[start:end])
        parts[4 * number + 2] = ""
    return re.sub(r"(?<=<!-- outputs -->\n\n)(\|.*\n)*", lambda _: _outputs_table(), "".join(parts))


def _outputs_table() -> str:
    outputs = yaml.safe_load(ACTION.read_text("utf-8"))["outputs"]
    rows = [f"| `{name}` | {each['description']} |" for name, each in outputs.items()]
    return "\n".join(("| output | value |", "| --- | --- |", *rows)) + "\n"


def _table(inputs: Iterable[Input]) -> str:
    rows = ["| input | default | meaning |", "| --- | --- | --- |"]
    for given in inputs:
        default = f" `{_default(given)}`" if _default(given) else ""
        rows.append(f"| `{given.name}` |{default} | {given.help} |")
    return "\n".join(rows) + "\n"


def _schema() -> dict[str, Any]:
    """The JSON Schema of a configuration file, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:chainloop-smtp:schema:configuration:1",
        "title": "Chainloop SMTP configuration",
        "description": "Where Chainloop SMTP mails each run to.",
        "type": ["object", "null"],
        "additionalProperties": False,
        "patternProperties": {"^x-": {"description": "A place for anchors; not read."}},
        "properties": {
            "registrations": _listed("registration", "Mail destinations, each under a name."),
            "attachments": _listed("attachment", "Which runs are mailed by which registration."),
        },
        "$defs": {
            "registration": _entry(REGISTRATION_KEYS, "name"),
            "attachment": _entry(ATTACHMENT_KEYS, "registration"),
            "text": {"type": ["string", "number", "boolean", "null"]},
            "texts": {
                "anyOf": [
                    {"$ref": "#/$defs/text"},
                    {"type": "array", "items": {"$ref": "#/$defs/text"}},
                ]
            },
            "variable": {
                "description": "The environment variable that holds the value.",
                "type": "object",
                "additionalProperties": False,
                "required": ["env"],
                "properties": {"env": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}},
            },
        },
    }


def _listed(name: str, description: str) -> dict[str, Any]:
    items = {"$ref": f"#/$defs/{name}"}
    return {"description": description, "type": ["array", "null"], "items": items}


def _entry(names: Iterable[str], required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [required],
        "properties": {name: _key(name) for name in names},
    }


def _key(name: str) -> dict[str, Any]:
    if name == "name":
        pattern = rf"^{_NAME}(\.{_NAME})*$"
        return {"description": _DESCRIPTIONS[name], "type": "string", "pattern": pattern}
    if name in _WORDS:
        one = {"type": "string", "enum": list(_WORDS[name])}
        both = [one, {"type": "array", "items": one}, {"type": "string", "pattern": ","}]
        return {"description": _DESCRIPTIONS[name], "anyOf": both}
    if name in _DESCRIPTIONS:
        return {"description": _DESCRIPTIONS[name], "$ref": "#/$defs/texts"}
    given = BY_NAME[name]
    variable = {"$ref": "#/$defs/variable"}
    if given.is_secret:
        return {"description": given.plain_help, "anyOf": [variable, {"type": "null"}]}
    if given.choices:
        words: list[object] = [*given.choices, None]
        words += [True, False] if "true" in given.choices else []
        return {"description": given.plain_help, "anyOf": [{"enum": words}, variable]}
    return {"description": given.plain_help, "anyOf": [{"$ref": "#/$defs/texts"}, variable]}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
