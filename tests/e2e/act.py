"""Workflows run by nektos/act, in host mode: on this machine, with no container."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[2]

# How a machine gets at its packages. Nothing else of this machine's environment reaches a workflow.
_PACKAGES = ("PIP_", "SSL_CERT_", "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a workflow left behind.

    Attributes:
        succeeded: Every job did.
        text: Both streams of act, exactly as printed.
        entries: The same, line by line, as act understood it; only the text where the log is plain.
        kept: The folder that the workflow knows as ``$KEPT``.
    """

    succeeded: bool
    text: str
    entries: tuple[Mapping[str, Any], ...]
    kept: Path

    def lines(self) -> list[str]:
        """What the steps printed and act took for text."""
        return [str(each["msg"]).rstrip("\r\n") for each in self.entries if each.get("raw_output")]

    def commands(self, name: str) -> list[str]:
        """The text of every workflow command of that name that act carried out, unescaped."""
        return [str(each.get("arg", "")) for each in self.entries if each.get("command") == name]

    def command_names(self) -> set[str]:
        return {str(each["command"]) for each in self.entries if "command" in each}

    def exit_code(self, step: str = "mail") -> int:
        """How a step ended, by its id. Not for a step that was skipped."""
        status = re.compile(r"exit status (\d+)")
        ends = [
            int(found[1])
            for each in self.entries
            if each.get("stepID") == [step] and (found := status.fullmatch(str(each["msg"])))
        ]
        return ends[0] if ends else 0

    def messages(self) -> str:
        """What act itself had to say, one message after the other."""
        return "\n".join(str(each.get("msg", "")) for each in self.entries)

    def json(self, name: str) -> Any:
        return json.loads((self.kept / name).read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """act with folders of its own.

    Attributes:
        program: The binary.
        home: What act and the steps take for the home folder; holds act's cache, and in that the
            runner's tool cache and, while they run, the workspaces.
        checkout: The Action, as it is in the working copy now, committed or not.
        root: The folder of one test.
    """

    program: Path
    home: Path
    checkout: Path
    root: Path

    @property
    def tools(self) -> Path:
        """The runner's tool cache."""
        return self.home / "act" / "tool_cache"

    def run(
        self,
        workflow: Mapping[str, Any],
        *,
        secrets: Mapping[str, str] | None = None,
        files: Mapping[str, str | bytes] | None = None,
        event: Mapping[str, Any] | None = None,
        event_name: str = "push",
        arguments: Sequence[str] = (),
        checkout_at: str = ".",
        is_plain: bool = False,
    ) -> Record:
        """Runs one workflow in a repository of its own, with the Action in it.

        Args:
            workflow: As a workflow file; ``on`` is added.
            secrets: By a file, as people do.
            files: More files of the repository.
            event: The event's payload.
            event_name: The event's name.
            arguments: More of act's.
            checkout_at: Where in the repository the Action lies.
            is_plain: The log as people read it. The other, made for programs, tells what act did,
                and to that end shows what it masks.
        """
        repository, kept = self.root / "repository", self.root / "kept"
        kept.mkdir(parents=True)
        shutil.copytree(self.checkout, repository / checkout_at)
        written: dict[str, str | bytes] = {
            # JSON is YAML, with no line ever folded.
            ".github/workflows/mail.yml": json.dumps({"on": event_name, **workflow}),
            **(files or {}),
        }
        for name, content in written.items():
            path = repository / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        _commit(repository)
        (self.root / "secrets.yml").write_text(yaml.safe_dump(dict(secrets or {})))
        (self.root / "event.json").write_text(json.dumps(event or {}))
        process = subprocess.run(
            [
                str(self.program),
                event_name,
                *(() if is_plain else ("--json",)),
                "--platform=ubuntu-latest=-self-hosted",
                f"--action-cache-path={self.home / 'act'}",
                "--no-cache-server",
                f"--secret-file={self.root / 'secrets.yml'}",
                f"--eventpath={self.root / 'event.json'}",
                f"--env=KEPT={kept}",
                *arguments,
            ],
            check=False,
            cwd=repository,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            # Far more than any of them takes, an install with no cache included.
            timeout=180,
        )
        # 1: a job failed. Anything else is no verdict on a workflow, and no test's business.
        if process.returncode not in (0, 1):
            raise RuntimeError(f"act ended with {process.returncode}\n{process.stdout}")
        return Record(
            succeeded=process.returncode == 0,
            text=process.stdout,
            entries=tuple(_entries(process.stdout)),
            kept=kept,
        )

    def _environment(self) -> dict[str, str]:
        packages = {k: v for k, v in os.environ.items() if k.upper().startswith(_PACKAGES)}
        # The Python of these tests comes first: it is new enough, and it has pip.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return packages | {"PATH": path, "HOME": str(self.home)} | _GIT


_GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    **{
        f"GIT_{role}_{key}": value
        for role in ("AUTHOR", "COMMITTER")
        for key, value in (("NAME", "Robin"), ("EMAIL", "robin@example.test"))
    },
}


def working_copy(target: Path) -> None:
    """Copies the files of this repository that git tracks or would: with what is not committed."""
    # CI's containers run as root in a checkout of somebody else's, which git would not read.
    git = ("git", "-c", f"safe.directory={REPOSITORY}")
    listed = subprocess.run(
        (*git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"),
        check=True,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        source, copy = REPOSITORY / name, target / name
        # Ours would run, too; and what is deleted is still listed.
        if source.is_file() and not name.startswith(".github/"):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy)


def _commit(repository: Path) -> None:
    environment = {"PATH": os.environ["PATH"], **_GIT}
    for command in (
        ("init", "--quiet", "--initial-branch=main"),
        ("add", "--all", "--force"),
        ("commit", "--quiet", "--message=Set sail"),
        ("remote", "add", "origin", "https://github.com/lakeside/harbour.git"),
    ):
        subprocess.run(("git", *command), check=True, cwd=repository, env=environment)


def _entries(text: str) -> Iterator[Mapping[str, Any]]:
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            entry = {"msg": line}
        if isinstance(entry, dict):
            yield entry
