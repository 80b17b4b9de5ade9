"""The files that list inputs or outputs say the same as the program."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import generate
from chainloop_smtp import options
from chainloop_smtp.cli.send import OUTPUTS

ROOT = Path(__file__).parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))


def test_every_file_holds_what_is_generated_from_the_inputs() -> None:
    for path, text in generate.generated().items():
        assert path.read_text("utf-8") == text, "run nox -s generate"


def test_a_file_that_differs_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate.main(["--check"]) == 0
    monkeypatch.setattr(generate, "INPUTS", options.INPUTS[:-1])
    assert generate.main(["--check"]) == 1
    assert capsys.readouterr().out == "action.yml differs from the inputs: run nox -s generate\n"


def test_the_page_shows_every_input_and_output_once_in_their_order() -> None:
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|", generate.PAGE.read_text("utf-8"), re.MULTILINE)
    assert rows == [*(each.name for each in options.INPUTS), *ACTION["outputs"]]


def test_the_page_has_a_section_for_each_group() -> None:
    page = generate.PAGE.read_text("utf-8").partition("\n## Outputs\n")[0]
    sections = re.findall(r"^## (.+)$|^<!-- inputs from `(.+)` -->$", page, re.MULTILINE)
    titles, firsts = zip(*sections, strict=True)
    assert dict(zip(filter(None, firsts), filter(None, titles), strict=True)) == options.GROUPS


def test_action_yml_reads_as_the_inputs_mean() -> None:
    assert list(ACTION["inputs"]) == [each.name for each in options.INPUTS]
    for each in options.INPUTS:
        declared = each.default if each.action_default is None else each.action_default
        assert ACTION["inputs"][each.name].get("default", "") == declared
        assert ACTION["inputs"][each.name]["description"] == each.help


@pytest.mark.parametrize("each", options.INPUTS, ids=lambda each: each.name)
def test_the_help_names_every_word_that_an_input_takes(each: options.Input) -> None:
    assert each.help.endswith(".")
    assert not each.choices or not each.default or each.default in each.choices
    named = [word for word in each.choices if f"`{word}`" in each.help]
    if "true" in each.choices:
        # One of the two is the default.
        assert named == (["false"] if each.default == "true" else ["true"])
    else:
        assert named == list(each.choices)


def test_secrets_are_what_a_login_is_made_of() -> None:
    assert options.CREDENTIALS == ("password", "oauth2-client-secret", "oauth2-refresh-token")
    assert (*options.CREDENTIALS, "github-token") == options.SECRETS


def test_the_actions_outputs_are_those_that_a_run_sets() -> None:
    assert list(ACTION["outputs"]) == list(OUTPUTS)
