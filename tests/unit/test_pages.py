"""README and docs: every block, command and link is of the product as it is."""

import re

import pytest
import yaml

import pages
from chainloop_smtp import options
from chainloop_smtp.options import configuration

STEPS = [(page, step) for page, step in pages.steps() if step.get("uses", "").startswith(pages.OWN)]
FILES = [
    (page, text) for page, text in pages.blocks("yaml") if re.search(r"^registrations:", text, re.M)
]


@pytest.mark.parametrize("step", [step for _, step in STEPS], ids=[page for page, _ in STEPS])
def test_every_step_shown_has_inputs_that_there_are(step: pages.Json) -> None:
    assert set(step.get("with", {})) <= {each.name for each in options.INPUTS}
    # The page about releases shows a whole hash.
    assert re.fullmatch("v1|[0-9a-f]{40}", step["uses"].removeprefix(pages.OWN))


def test_the_readmes_workflows_are_complete() -> None:
    shown = [step for page, step in STEPS if page == "README.md" and "host" in step.get("with", {})]
    assert len(shown) == 3
    for step in shown:
        given = {
            name: "" if "${{" in value and "secrets" not in value else value
            for name, value in step["with"].items()
        }
        assert options.parse({"port": "587", **given}).registration.host == "smtp.example.com"


def test_secrets_are_given_to_steps_and_not_to_jobs_or_workflows() -> None:
    workflows = [(page, content) for page, _, content in pages.workflows()]
    for path in (*pages.ROOT.glob("examples/*.yml"), *pages.ROOT.glob(".github/workflows/*.yml")):
        workflows.append((path.name, yaml.safe_load(path.read_text("utf-8"))))
    assert len(workflows) > 7
    for name, workflow in workflows:
        for holder in (workflow, *workflow.get("jobs", {}).values()):
            assert "secrets." not in str(holder.get("env", "")), name


@pytest.mark.parametrize(("page", "text"), FILES, ids=[page for page, _ in FILES])
def test_every_configuration_file_shown_is_right(page: str, text: str) -> None:
    read = configuration.parse(text, page)
    assert read.registrations
    assert read.attachments


def test_every_link_leads_somewhere() -> None:
    for page, text in pages.PAGES.items():
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if target.startswith(("http:", "https:", "mailto:")):
                continue
            path, _, anchor = target.partition("#")
            there = (pages.ROOT / page).parent / path if path else pages.ROOT / page
            assert there.exists(), (page, target)
            name = there.resolve().relative_to(pages.ROOT).as_posix()
            assert not anchor or anchor in pages.anchors(name), (page, target)
