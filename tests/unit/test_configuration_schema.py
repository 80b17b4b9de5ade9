"""The schema for editors says what the reader of a configuration file takes."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from chainloop_smtp.errors import OptionsError
from chainloop_smtp.options import configuration

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "src/chainloop_smtp/schemas/configuration.json").read_text("utf-8"))


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def is_valid(text: str) -> bool:
    return jsonschema.Draft202012Validator(SCHEMA).is_valid(yaml.safe_load(text))


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
