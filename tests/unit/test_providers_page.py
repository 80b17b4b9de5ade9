"""docs/providers.md and docs/microsoft.md: what stands there to be pasted is right."""

import json
import re
from typing import Any

import pytest

import pages
from chainloop_smtp import options
from chainloop_smtp.model.settings import OAuth2Provider, Options

PAGES = ("docs/microsoft.md", "docs/providers.md")
BLOCKS = [content for page, content in pages.documents() if page in PAGES]
STEPS: list[dict[str, Any]] = [
    step for block in BLOCKS if isinstance(block, list) for step in block
]
KEY = json.dumps({"client_email": "a@b.example", "private_key": "-----BEGIN"})


def _parsed(step: dict[str, Any]) -> Options:
    """The step's inputs, with something in the place of each secret."""
    given = {
        name: re.sub(
            r"\$\{\{ secrets\.(\w+) \}\}",
            lambda found: KEY if found[1].endswith("_KEY") and "GOOGLE" in found[1] else "s3cret",
            str(value),
        )
        for name, value in step["with"].items()
    }
    assert not any("${{" in value for value in given.values())
    return options.parse(step["with"] | given)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step["with"]["host"])
def test_every_block_is_a_step_whose_inputs_are_right(step: dict[str, Any]) -> None:
    assert step["if"] == "${{ always() }}"
    assert _parsed(step).registration.host == step["with"]["host"]


def test_every_block_can_replace_the_step_of_the_readmes_workflow() -> None:
    (replaced,) = (
        step
        for step in next(pages.workflows())[2]["jobs"]["release"]["steps"]
        if step.get("uses", "").startswith(pages.OWN)
    )
    for step in STEPS:
        assert {key: step[key] for key in ("uses", "if", "env")} == {
            key: replaced[key] for key in ("uses", "if", "env")
        }
        # The workflow writes no files of evidence.
        assert "attestation" not in step["with"]


def test_no_secret_is_written_out() -> None:
    written = [
        step["with"][name] for step in STEPS for name in options.SECRETS if name in step["with"]
    ]
    assert written
    assert all(value.startswith("${{ secrets.") for value in written)


def test_every_grant_has_its_block() -> None:
    shown = {
        (found.provider, found.is_federated, bool(found.refresh_token))
        for step in STEPS
        if (found := _parsed(step).oauth2)
    }
    assert shown == {
        (OAuth2Provider.MICROSOFT, True, False),
        (OAuth2Provider.MICROSOFT, False, False),
        (OAuth2Provider.GOOGLE, True, False),
        (OAuth2Provider.GOOGLE, False, False),
        (OAuth2Provider.GOOGLE, False, True),
        (OAuth2Provider.OTHER, False, False),
    }


def test_what_needs_the_jobs_identity_stands_below_the_permission() -> None:
    for position, block in enumerate(BLOCKS):
        if isinstance(block, list) and block[0]["with"].get("oauth2-federated"):
            assert BLOCKS[position - 1]["permissions"]["id-token"] == "write"


def test_readme_leads_there_where_a_reader_starts() -> None:
    start = pages.PAGES["README.md"].partition("\n## Start\n")[2].partition("\n## ")[0]
    assert "docs/providers.md" in start
