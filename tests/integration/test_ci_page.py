"""docs/ci.md: each recipe, as far as the variables of its CI go."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

import pages
from builders import statement, stored_bundle
from civariables import AZURE, CIRCLE, GITLAB, JENKINS, SHA, TEAMCITY
from program import PUSHED, Post, Program, parsed, text_of

FILE = """
registrations:
  - name: security
    host: smtp.example.com
    port: 587
    user: jane
    password: {env: SMTP_PASSWORD}
    from: reports@example.com
    to: security@example.com
attachments:
  - {registration: security, branch: main}
"""
SECTIONS = {
    title: text
    for title, _, text in (
        section.partition("\n") for section in pages.PAGES["docs/ci.md"].split("\n## ")
    )
}
RECIPES = {
    "GitLab": GITLAB,
    "Azure Pipelines": AZURE,
    "CircleCI": CIRCLE,
    "TeamCity": TEAMCITY,
    "Jenkins": JENKINS,
    "Dagger": GITLAB,
}


def blocks(section: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", SECTIONS[section], re.DOTALL | re.MULTILINE)


def sends(section: str) -> list[list[str]]:
    """The words of each command that mails."""
    lines = re.findall(r"chainloop-smtp (send [^'\n]*)", SECTIONS[section])
    return [shlex.split(line.replace("$OUTCOME", "failure")) for line in lines]


@pytest.mark.parametrize("section", RECIPES)
def test_every_recipe_mails_by_the_branch_of_its_ci(
    program: Program, tmp_path: Path, section: str
) -> None:
    commands = sends(section)
    assert commands
    for words in commands:
        has_server = "--host" in words
        (tmp_path / "chainloop-smtp.yml").write_text("" if has_server else FILE, "utf-8")
        post = Post()
        variable = "CHAINLOOP_SMTP_PASSWORD" if has_server else "SMTP_PASSWORD"
        environ = RECIPES[section] | {variable: "secret-of-the-server"}
        # Without the files, as after a failure, and with them.
        for push, signed in ((b"", b""), (PUSHED.encode(), stored_bundle(statement()))):
            (tmp_path / "attestation.json").write_bytes(push)
            (tmp_path / "bundle.json").unlink(missing_ok=True)
            if signed:
                (tmp_path / "bundle.json").write_bytes(signed)
            ended = program(*words, environ=environ, post=post, is_actions=False)
            assert ended.code == 0, ended.stderr
        unattested, attested = post.mails
        assert "X-Chainloop-Digest" in parsed(attested.content)
        assert unattested.recipients == ("security@example.com",)
        text = text_of(unattested.content)
        assert SHA in text
        assert re.search(r"main\r?$", text, re.MULTILINE)
        assert parsed(unattested.content)["Subject"]
        page = environ.get("CI_PIPELINE_URL") or environ.get("CIRCLE_BUILD_URL")
        page = page or environ.get("BUILD_URL") or f"buildId={environ.get('BUILD_BUILDID')}"
        assert page in text


def test_a_run_on_another_branch_is_not_mailed(program: Program, tmp_path: Path) -> None:
    (tmp_path / "chainloop-smtp.yml").write_text(FILE, "utf-8")
    environ = GITLAB | {"CI_COMMIT_BRANCH": "topic", "SMTP_PASSWORD": "x" * 12}
    ended = program(
        "send", "--job-status", "failure", "--dry-run", environ=environ, is_actions=False
    )
    assert ended.code == 0
    assert "branch topic is not main" in ended.stdout


def test_runs_are_found_by_themselves_on_github_only(program: Program, tmp_path: Path) -> None:
    (tmp_path / "chainloop-smtp.yml").write_text(FILE, "utf-8")
    environ = GITLAB | {"SMTP_PASSWORD": "x" * 12, "CHAINLOOP_TOKEN": "y" * 12}
    auto = ("send", "--workflow-run-id", "auto")
    ended = program(*auto, environ=environ, is_actions=False)
    assert ended.code == 3
    assert (
        "workflow-run-id: auto finds the runs of this GitHub run, but this is not a GitHub run"
        in (ended.stderr)
    )
    post = Post()
    ended = program("send", environ=environ, post=post, is_actions=False)
    assert ended.code == 0
    assert "No evidence was given" in text_of(post.mails[0].content)


def test_the_recipes_of_gitlab_azure_and_circleci_are_yaml_with_shell_in_it() -> None:
    documents = [
        yaml.safe_load(text)
        for section in ("GitLab", "Azure Pipelines", "CircleCI")
        for text in blocks(section, "yml")
    ]
    assert len(documents) == 3
    gitlab, azure, circle = documents
    scripts = [line for job in gitlab.values() for line in job["script"]]
    scripts += [step["script"] for step in azure["steps"]]
    runs = [step["run"] for step in circle["jobs"]["attest"]["steps"] if "run" in step]
    scripts += [run["command"] if isinstance(run, dict) else run for run in runs]
    scripts += [text for section in SECTIONS for text in blocks(section, "sh")]
    assert len(scripts) == 15
    for script in scripts:
        ended = subprocess.run(["bash", "-n", "-c", script], check=False, capture_output=True)
        assert (ended.stderr, ended.returncode) == (b"", 0), script


@pytest.mark.parametrize("section", RECIPES)
def test_every_file_that_a_recipe_pushes_is_mailed(section: str) -> None:
    pushed = ["attestation.json"]
    # Dagger's module returns no bundle.
    pushed += ["bundle.json"] if "push -o json --bundle" in SECTIONS[section] else []
    for words in sends(section):
        assert [words[at + 1] for at, word in enumerate(words) if word == "--attestation"] == pushed
    assert (pushed[1:] == []) == (section == "Dagger")


def test_every_variable_that_is_read_is_in_the_table() -> None:
    table = SECTIONS["What is known of a run"]
    for variables in RECIPES.values():
        shown = [name for name in variables if name in table]
        assert len(shown) >= 4


def test_tee_with_pipefail_keeps_the_exit_code_of_the_push(tmp_path: Path) -> None:
    (script,) = (text for text in blocks("Keyless: no token in the job that mails", "sh"))
    push = tmp_path / "chainloop"
    push.write_text("#!/bin/sh\necho '{}'\nexit 4\n", "utf-8")
    push.chmod(0o755)
    ended = subprocess.run(
        ["bash", "-c", script],
        check=False,
        capture_output=True,
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
    )
    assert (ended.returncode, ended.stdout) == (4, b"{}\n")
    assert (tmp_path / "attestation.json").read_bytes() == b"{}\n"
