"""action.yml, the options and README's tables tell of the same inputs and outputs."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from chainloop_smtp import options
from chainloop_smtp.cli.send import NOTHING

ROOT = Path(__file__).parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
README = (ROOT / "README.md").read_text("utf-8")


def table(heading: str) -> dict[str, list[str]]:
    """README's table under a heading: cells by each name in the first column."""
    section = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    # A pipe inside a code span is written `\|`.
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in section.splitlines() if "|" in line[:1]]
    return {
        name: [cell.strip() for cell in row[1:]]
        for row in rows[2:]
        for name in re.findall(r"`([a-z0-9-]+)`", row[0])
    }


def test_the_actions_inputs_are_the_options_in_their_order() -> None:
    assert list(ACTION["inputs"]) == [each.name for each in options.INPUTS]


@pytest.mark.parametrize("each", options.INPUTS, ids=lambda each: each.name)
def test_the_actions_default_is_the_options_default(each: options.Input) -> None:
    declared = each.default if each.action_default is None else each.action_default
    assert ACTION["inputs"][each.name].get("default", "") == declared


@pytest.mark.parametrize("each", options.INPUTS, ids=lambda each: each.name)
def test_a_default_is_one_of_the_words_allowed(each: options.Input) -> None:
    assert not each.choices or not each.default or each.default in each.choices
    assert each.help.endswith(".")


def test_secrets_are_what_a_login_is_made_of() -> None:
    assert options.CREDENTIALS == ("password", "oauth2-client-secret", "oauth2-refresh-token")
    assert (*options.CREDENTIALS, "github-token") == options.SECRETS


def test_the_actions_outputs_are_those_that_a_run_sets() -> None:
    assert list(ACTION["outputs"]) == list(NOTHING)


def test_readmes_inputs_are_the_options_in_their_order() -> None:
    assert list(table("Inputs")) == [each.name for each in options.INPUTS]


@pytest.mark.parametrize("each", options.INPUTS, ids=lambda each: each.name)
def test_readmes_default_is_the_actions(each: options.Input) -> None:
    told = table("Inputs")[each.name][0].strip("`")
    declared = ACTION["inputs"][each.name].get("default", "")
    # Where no default is written down, the table may say what happens instead.
    instead = {"envelope-from": "from", "output-dir": "$RUNNER_TEMP/chainloop-smtp"}
    assert told == (declared or instead.get(each.name, ""))


@pytest.mark.parametrize("each", options.INPUTS, ids=lambda each: each.name)
def test_readme_names_every_word_that_an_input_takes(each: options.Input) -> None:
    meaning = table("Inputs")[each.name][1]
    words = [word for word in each.choices if word not in ("True", "TRUE", "False", "FALSE")]
    if each.choices == ("true", "True", "TRUE", "false", "False", "FALSE"):
        # One of the two is the default.
        assert any(f"`{word}`" in meaning for word in words)
    else:
        assert [word for word in words if f"`{word}`" not in meaning] == []


def test_readmes_outputs_are_the_actions_in_their_order() -> None:
    assert list(table("Outputs")) == list(ACTION["outputs"])
