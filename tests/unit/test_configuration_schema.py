"""The schema for editors says what the reader takes: it is made from the inputs, and kept in step.

``CHAINLOOP_SMTP_GOLDEN=write`` writes it anew.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from chainloop_smtp import options
from chainloop_smtp.errors import OptionsError
from chainloop_smtp.model.attested import FindingKind
from chainloop_smtp.model.facts import Outcome
from chainloop_smtp.options import configuration
from chainloop_smtp.options.configuration import keys

ROOT = Path(__file__).parents[2]
FILE = ROOT / "src/chainloop_smtp/schemas/configuration.json"
INPUTS = {each.name: each for each in options.INPUTS}
NAME = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
DESCRIPTIONS = {
    "name": "By which attachments name the registration: small letters, digits and dashes.",
    "description": "Free text.",
    "created-at": "Written by the commands that add an entry.",
    "registration": "Name of one of the registrations.",
    "workflow": "Globs over the Chainloop workflow's name, or whole ids; one has to match.",
    "project": "Globs over the Chainloop project's name; one has to match.",
    "branch": "Globs over the branch, of a pull request over that of its head; one has to match.",
    "tag": "Globs over the tag; one has to match. With branch: either of them.",
    "event": "Globs over GitHub's event name, such as push or pull_request; one has to match.",
    "outcome": "The run's outcome has to be one of these.",
    "policy": "Globs over the names of violated policies; one has to match.",
    "findings": "One of the violations has to be a finding of one of these kinds.",
}
WORDS = {"outcome": tuple(Outcome), "findings": tuple(FindingKind)}


def schema() -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:chainloop-smtp:schema:configuration:1",
        "title": "Chainloop SMTP configuration",
        "description": "Where Chainloop SMTP mails each run to.",
        "type": ["object", "null"],
        "additionalProperties": False,
        "patternProperties": {"^x-": {"description": "A place for anchors; not read."}},
        "properties": {
            "registrations": listed("registration", "Mail destinations, each under a name."),
            "attachments": listed("attachment", "Which runs are mailed by which registration."),
        },
        "$defs": {
            "registration": entry(keys.registration(), "name"),
            "attachment": entry(keys.attachment(), "registration"),
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


def listed(name: str, description: str) -> dict[str, Any]:
    items = {"$ref": f"#/$defs/{name}"}
    return {"description": description, "type": ["array", "null"], "items": items}


def entry(names: Iterable[str], required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [required],
        "properties": {name: key(name) for name in names},
    }


def key(name: str) -> dict[str, Any]:
    if name == "name":
        pattern = rf"^{NAME}(\.{NAME})*$"
        return {"description": DESCRIPTIONS[name], "type": "string", "pattern": pattern}
    if name in WORDS:
        one = {"type": "string", "enum": list(WORDS[name])}
        both = [one, {"type": "array", "items": one}, {"type": "string", "pattern": ","}]
        return {"description": DESCRIPTIONS[name], "anyOf": both}
    if name in DESCRIPTIONS:
        return {"description": DESCRIPTIONS[name], "$ref": "#/$defs/texts"}
    given = INPUTS[name]
    variable = {"$ref": "#/$defs/variable"}
    if given.is_secret:
        return {"description": given.help, "anyOf": [variable, {"type": "null"}]}
    if given.choices:
        words: list[object] = [*given.choices, None]
        words += [True, False] if "true" in given.choices else []
        return {"description": given.help, "anyOf": [{"enum": words}, variable]}
    return {"description": given.help, "anyOf": [{"$ref": "#/$defs/texts"}, variable]}


def test_the_schema_in_the_package_is_made_from_the_inputs() -> None:
    text = json.dumps(schema(), indent=2) + "\n"
    if os.environ.get("CHAINLOOP_SMTP_GOLDEN") == "write":
        FILE.write_text(text, "utf-8")
    assert FILE.read_text("utf-8") == text


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


def test_every_key_that_is_about_the_run_is_an_input() -> None:
    inputs = {each.name for each in options.INPUTS}
    assert inputs >= options.ABOUT_THE_RUN
    assert keys.about_the_way() <= inputs


def is_valid(text: str) -> bool:
    return jsonschema.Draft202012Validator(schema()).is_valid(yaml.safe_load(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "registrations:\nattachments:\n",
        "x-mine: &a [1]\nregistrations: []\n",
        "registrations: [{name: a, port: 587, password: {env: A}, to: [b@c.de], tls: none}]\n",
        "registrations: [{name: a, fail-on-error: false, user: {env: U}, deadline: 1.5}]\n",
        "registrations: [{name: mail.example.com, description: x, created-at: y}]\n",
        "registrations: [{name: a}]\n"
        "attachments: [{registration: a, workflow: [b*], outcome: 'failed, blocked'},\n"
        "  {registration: a, findings: [license, sast], send-on: [failed], cc: d@e.fr}]\n",
    ],
)
def test_what_the_reader_takes_the_schema_takes(text: str) -> None:
    configuration.parse(text, "mail.yml")
    assert is_valid(text)


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "registration: []",
        "registrations: {}",
        "registrations: [a]",
        "registrations: [{to: a@b.de}]",
        "registrations: [{name: A}]",
        "registrations: [{name: a, hots: b}]",
        "registrations: [{name: a, workflow: b}]",
        "registrations: [{name: a, password: hunter2}]",
        "registrations: [{name: a, to: {env: 1}}]",
        "registrations: [{name: a, to: {file: x}}]",
        "registrations: [{name: a, to: [[b]]}]",
        "attachments: [{workflow: a}]",
        "registrations: [{name: a}]\nattachments: [{registration: a, findings: licence}]",
        "registrations: [{name: a}]\nattachments: [{registration: a, host: b}]",
    ],
)
def test_what_the_reader_refuses_the_schema_refuses(text: str) -> None:
    with pytest.raises(OptionsError):
        configuration.parse(text, "mail.yml")
    assert not is_valid(text)


def test_the_examples_are_right() -> None:
    page = (ROOT / "docs/configuration.md").read_text("utf-8")
    examples = [part.partition("```")[0] for part in page.split("```yaml\n")[1:]]
    whole = [each for each in examples if "registrations:" in each]
    assert whole
    whole.append((ROOT / "examples/chainloop-smtp.yml").read_text("utf-8"))
    for text in whole:
        configuration.parse(text, "chainloop-smtp.yml")
        assert is_valid(text)
