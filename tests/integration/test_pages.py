"""README and docs: the program takes what is shown there, and actionlint has nothing against it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import pages
from chainloop_smtp import cli
from program import Post, Program

ROOT = pages.ROOT
COMMANDS = list(pages.commands())


def helped(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    with pytest.raises(SystemExit) as ended:
        cli.main([*argv, "--help"], {})
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("words", [words for _, words in COMMANDS], ids=lambda words: words[0])
def test_every_command_shown_has_flags_that_there_are(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    first = next((at for at, word in enumerate(words) if word.startswith("-")), len(words))
    flags = {word for word in words[first:] if re.match("--?[a-z]", word)}
    for last in words[first - 1].split("|"):
        told = helped(capsys, *words[: first - 1], last)
        assert flags <= set(re.findall(r"(?<![\w-])--?[a-z][a-z0-9-]*", told))


def test_the_readme_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    table = pages.PAGES["README.md"].partition("\n## Commands\n")[2].partition("\n## ")[0]
    listed: list[list[str]] = []
    for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)[1:]:
        for words in (found.split() for found in re.findall("`(.+?)`", row)):
            listed.append([*listed[-1][:2], *words[1:]] if words[0] == "…" else words)
            helped(capsys, *listed[-1])
    assert cli.main(["nonsense"], {}) == 2
    there_are = re.findall(r"Available: (.+?)\.", capsys.readouterr().err)[0].split(", ")
    assert {words[0] for words in listed} == set(there_are)
    for group in ("registered", "attached"):
        under = {words[2] for words in listed if words[1:2] == [group]}
        told = helped(capsys, "integration", group)
        assert under == set(re.findall(r"^    (\w+) ", told, re.MULTILINE)), group


def test_shellcheck_has_nothing_to_say_of_the_commands_shown(tmp_path: Path) -> None:
    shown = [text for _, text in pages.blocks("bash")]
    assert len(shown) > 2
    files = [tmp_path / f"{number}.sh" for number in range(len(shown))]
    for file, text in zip(files, shown, strict=True):
        file.write_text(f"#!/usr/bin/env bash\n{text}", "utf-8")
    shellcheck = Path(sys.executable).with_name("shellcheck")
    ended = subprocess.run([shellcheck, *files], check=False, capture_output=True, text=True)
    assert (ended.stdout, ended.returncode) == ("", 0)


def test_every_message_in_the_troubleshooting_page_is_one_of_the_programs() -> None:
    files = [*ROOT.glob("src/**/*.py"), *ROOT.glob("src/**/*.toml")]
    sources = " ".join(path.read_text("utf-8") for path in files)
    # Written over several lines, and with values in them.
    sources = re.sub(r'"\s+f?"', "", sources)
    for _ in range(2):
        sources = re.sub(r"\{[^{}]*\}", "…", sources)
    sources = sources.replace("'", "").replace("`", "")
    rows = re.findall(r"^\| (`.+?) \|", pages.PAGES["docs/troubleshooting.md"], re.MULTILINE)
    told = [text for row in rows for text in re.findall("`([^`]+)`", row) if " " in text]
    assert len(told) > 16
    missing = [
        text
        for text in told
        if text != "Argument list too long"  # the shell says so
        and any(
            part not in sources
            for part in re.split("…|^[a-z]+: ", text.replace("'", "").strip())
            if part.strip()
        )
    ]
    assert missing == []


def test_the_line_to_pin_a_release_is_printed(tmp_path: Path) -> None:
    (block,) = (text for page, text in pages.blocks("bash") if "ls-remote" in text)
    environ = os.environ | {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{tmp_path}.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/OWNER/chainloop-smtp",
    }

    def git(*words: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.test")
        command = ("git", "-C", str(tmp_path), *identity, *words)
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    printed = []
    # The last of both: tagged by name alone, and with a message, which has a hash of its own.
    for version, options in (("v1.9.0", ()), ("v1.10.0", ()), ("v1.10.1", ("-a", "-m", "it"))):
        git("commit", "--quiet", "--allow-empty", "-m", version)
        git("tag", *options, version)
        git("tag", "--force", "v1")
        shell = ("bash", "-euo", "pipefail", "-c", block)
        ended = subprocess.run(shell, env=environ, check=True, capture_output=True, text=True)
        printed.append((ended.stdout, git("rev-parse", "HEAD"), version))
    for line, commit, version in printed:
        assert line == f"uses: {pages.OWN}{commit} # {version}\n"


def test_actionlint_has_nothing_to_say_of_what_is_shown(tmp_path: Path) -> None:
    shown = [text for _, text, _ in pages.workflows()]
    for _, step in pages.steps():
        # Those of a job name what is around them.
        if "needs." not in json.dumps(step) and "steps." not in json.dumps(step):
            job = {"runs-on": "ubuntu-latest", "strategy": {"matrix": {"part": ["a"]}}}
            workflow = {"on": "push", "jobs": {"mail": {**job, "steps": [step]}}}
            shown.append(json.dumps(workflow))
    assert len(shown) > 20
    files = [tmp_path / f"{number}.yml" for number in range(len(shown))]
    for file, text in zip(files, shown, strict=True):
        file.write_text(text, "utf-8")
    actionlint = Path(sys.executable).with_name("actionlint")
    ended = subprocess.run([actionlint, *files], check=False, capture_output=True, text=True)
    assert (ended.stdout, ended.returncode) == ("", 0)


def test_the_configuration_files_shown_mail_a_run_that_failed_early(
    program: Program, tmp_path: Path
) -> None:
    page = pages.PAGES["docs/configuration.md"]
    file, step = re.findall(r"^```yaml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)[:2]
    (shown,) = yaml.safe_load(step)
    example = (ROOT / "examples/chainloop-smtp.yml").read_text("utf-8")
    for text, given, recipients in (
        (file, shown["with"], {"security@example.com"}),
        (example, {"project": "ledger-api"}, {"security@example.com", "ledger-team@example.com"}),
    ):
        (tmp_path / "chainloop-smtp.yml").write_text(text, "utf-8")
        post = Post()
        flags = [f"--{name}={value}" for name, value in given.items()]
        # On the command line, where `port` has no default.
        ended = program(
            "send",
            "--job-status=failure",
            *flags,
            environ={"SMTP_PASSWORD": "secret-of-the-server"},
            post=post,
            is_actions=False,
        )
        assert ended.code == 0, ended.stderr
        assert {each for mail in post.mails for each in mail.recipients} == recipients
