"""Holds action.yml to what GitHub asks of it and to what we promise of it."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ACTION: dict[str, Any] = yaml.safe_load(
    (Path(__file__).parents[2] / "action.yml").read_text("utf-8")
)
INPUTS: dict[str, dict[str, Any]] = ACTION["inputs"]
OUTPUTS: dict[str, dict[str, Any]] = ACTION["outputs"]
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
PREPARE, SEND = STEPS

# https://docs.github.com/actions/reference/workflows-and-actions/metadata-syntax#branding
COLOURS = {"white", "black", "yellow", "blue", "green", "orange", "red", "purple", "gray-dark"}


def test_there_are_two_named_steps_and_no_other_action_in_them() -> None:
    assert ACTION["runs"]["using"] == "composite"
    assert [(step["id"], step["name"]) for step in STEPS] == [
        ("prepare", "Prepare Python"),
        ("send", "Send the mail"),
    ]
    # A nested `uses:` is one more thing to download, and to trust.
    assert not any("uses" in step for step in STEPS)


def test_no_script_holds_an_expression() -> None:
    assert not any("${{" in step["run"] for step in STEPS)


@pytest.mark.parametrize("step", STEPS, ids=["prepare", "send"])
def test_every_path_in_a_script_is_quoted(step: dict[str, Any]) -> None:
    assert "$" not in re.sub(r'"[^"]*"', "", step["run"])


def test_what_installs_packages_sees_no_secret() -> None:
    """Only where the configuration file is, and whether the inputs need cryptography."""
    facts = dict(PREPARE["env"])
    assert facts.pop("CONFIG") == "${{ inputs.config }}"
    needs = facts.pop("CRYPTOGRAPHY")
    assert facts == {}
    # Each input is compared, and none is handed over.
    assert set(re.findall(r"inputs\.([a-z0-9-]+)", needs)) == set(
        re.findall(r"inputs\.([a-z0-9-]+) [!=]= '", needs)
    )


def test_all_inputs_travel_in_one_variable_beside_the_jobs_id() -> None:
    assert SEND["env"] == {
        "PYTHON": "${{ steps.prepare.outputs.python }}",
        "SITE": "${{ steps.prepare.outputs.site }}",
        "EXTRA": "${{ steps.prepare.outputs.extra }}",
        "CHAINLOOP_SMTP_INPUTS": "${{ toJSON(inputs) }}",
        "JOB_CHECK_RUN_ID": "${{ job.check_run_id }}",
        "MSYS2_ENV_CONV_EXCL": "*",
    }


def test_python_runs_isolated() -> None:
    assert 'exec "$PYTHON" -I -S ' in SEND["run"]


@pytest.mark.parametrize("name", INPUTS)
def test_every_input_is_described_and_defaults_to_a_string(name: str) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name)
    assert set(INPUTS[name]) <= {"description", "default", "deprecationMessage"}
    assert INPUTS[name]["description"].endswith(".")
    assert isinstance(INPUTS[name].get("default", ""), str)


def test_only_the_jobs_own_status_and_token_are_looked_up_for_a_default() -> None:
    looked_up = {
        name: each["default"] for name, each in INPUTS.items() if "$" in each.get("default", "")
    }
    assert looked_up == {
        "job-status": "${{ job.status }}",
        "github-token": "${{ github.token }}",
    }


def test_the_outputs_are_those_of_the_send_step() -> None:
    for name, output in OUTPUTS.items():
        assert output["value"] == f"${{{{ steps.send.outputs.{name} }}}}"
        assert output["description"].endswith(".")


def test_the_marketplace_would_take_it() -> None:
    assert ACTION["name"]
    assert ACTION["author"]
    assert len(ACTION["description"]) <= 125
    assert ACTION["branding"]["icon"] == "send"  # https://feathericons.com/?query=send
    assert ACTION["branding"]["color"] in COLOURS
