"""The release workflow under act: what it pushes, signs and writes, and what stops it.

GitHub's side is stood in for: a bare repository, ``gh``, and the Actions that are called. What is
built is small; `release/publish.py` and the workflow are the real ones.
"""

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from e2e.act import Act
from gitrepository import git

ROOT = Path(__file__).parents[2]
WORKFLOW = (ROOT / ".github/workflows/release.yml").read_text("utf-8")
PINS = re.findall(r"uses: (actions/[a-z-]+@[0-9a-f]{40})", WORKFLOW)
VERSION = "src/chainloop_smtp/__init__.py"

# Writes a tree whose Action shows what it was given.
BUILD = """\
import os, pathlib, sys
folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True)
(folder / "sbom.cdx.json").write_text("{}")
version = pathlib.Path("src/chainloop_smtp/__init__.py")
(folder / version.parent).mkdir(parents=True)
(folder / version).write_bytes(version.read_bytes())
(folder / "noise").write_bytes(os.urandom(8) if pathlib.Path("noisy").exists() else b"")
(folder / "action.yml").write_text('''
name: mail
inputs: {host: {}, user: {}, password: {}, from: {}, to: {}, attestation: {}}
runs:
  using: composite
  steps:
    - shell: bash
      run: |
        echo "${{ inputs.host }} ${{ inputs.to }}" >"$KEPT/mailed"
        cat "${{ inputs.attestation }}" >>"$KEPT/mailed"
''')
"""
MAKEFILE = """\
action:
\t@test "$(COMPLETE)" = 1
\tpython3 release/build.py build/action
\tmkdir -p .venv/bin
\tprintf '#!/bin/sh\\necho "$$*" >"$$KEPT/tested"\\n[ ! -e failing ]\\n' >.venv/bin/nox
\tchmod +x .venv/bin/nox
"""
PROGRAMS = {
    "sudo": 'exec "$@"',
    # Gives the command that is downloaded.
    "curl": """\
echo "$* ${CHAINLOOP_TOKEN-no token}" >>"$KEPT/curl"
while [ "$1" != --output ]; do shift; done
cp "${0%/*}/downloaded" "$2\"""",
    "downloaded": """\
echo "$*" >>"$KEPT/chainloop"
echo '{"digest": "sha256:1"}\'""",
    "gh": """\
echo "$*" >>"$KEPT/gh"
case "$*" in
  "release view "*) [ -e "$KEPT/released" ] ;;
  "release create "*) cp build/notes.md "$KEPT/released"; cp build/tree.sha256 "$KEPT/" ;;
esac""",
}
ACTIONS = {
    "actions/setup-python": ":",
    "actions/attest": 'cp "${{ inputs.subject-path }}" "$KEPT/attested"',
    # act does this one itself, but for another reference than the event's.
    "actions/checkout": 'git clone -q --branch="${{ inputs.ref }}" "$REMOTE" .',
}


class Hub:
    """The remote repository, and a clone in which a tag is released."""

    def __init__(self, act: Act) -> None:
        self.act = act
        self.remote, self.clone = act.root / "remote.git", act.root / "clone"
        self.kept, self.stand_ins = act.root / "kept", act.root / "bin"
        self.kept.mkdir()
        git(act.root, "init", "--quiet", "--bare", "--initial-branch=main", str(self.remote))
        git(act.root, "clone", "--quiet", str(self.remote), str(self.clone))
        self.write(self.stand_ins, PROGRAMS, head="#!/usr/bin/env bash\n")
        for name, script in ACTIONS.items():
            names = ("subject-path", "ref", "fetch-depth", "persist-credentials", "python-version")
            inputs: dict[str, dict[str, str]] = {each: {} for each in names}
            steps = [{"shell": "bash", "run": script}]
            runs = {"using": "composite", "steps": steps}
            action = {"name": name, "inputs": inputs, "runs": runs}
            self.write(act.root / name, {"action.yml": json.dumps(action)})

    def write(self, folder: Path, files: Mapping[str, str], *, head: str = "") -> None:
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(f"{head}{text}\n", "utf-8")
            (folder / name).chmod(0o755)

    def tag(self, version: str, *more: str) -> str:
        """Commit and tag the source of a version, on main; with more files, by their names."""
        files = {
            ".github/workflows/release.yml": WORKFLOW,
            ".gitignore": "/build/\n/.venv/",
            "release/publish.py": (ROOT / "release/publish.py").read_text("utf-8"),
            "release/build.py": BUILD,
            "Makefile": MAKEFILE,
            VERSION: f'__version__ = "{version}"',
            "CHANGELOG.md": f"# Changes\n\n## {version} (2026-12-01)\n\n- It is released.",
        }
        self.write(self.clone, files | dict.fromkeys(more, ""))
        identity = ("-c", "user.name=Robin", "-c", "user.email=robin@example.test")
        git(self.clone, "add", "--all")
        git(self.clone, *identity, "commit", "--quiet", f"--message={version}")
        git(self.clone, "tag", f"source/v{version}")
        git(self.clone, "push", "--quiet", "origin", "main", f"source/v{version}")
        return f"refs/tags/source/v{version}"

    def run(self, reference: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        event = self.act.root / "event.json"
        event.write_text(json.dumps({"ref": reference}), "utf-8")
        stood_in = (
            f"--local-repository={pin}={self.act.root / pin.partition('@')[0]}"
            for pin in dict.fromkeys(PINS)
        )
        return subprocess.run(
            [
                str(self.act.program),
                "push",
                "--platform=ubuntu-24.04=-self-hosted",
                f"--action-cache-path={self.act.home / 'act'}",
                "--no-cache-server",
                f"--eventpath={event}",
                f"--env=KEPT={self.kept}",
                f"--env=REMOTE={self.remote}",
                "--secret=GITHUB_TOKEN=of-the-job",
                *stood_in,
                *arguments,
            ],
            check=False,
            cwd=self.clone,
            env={
                "PATH": f"{self.stand_ins}{os.pathsep}{os.environ['PATH']}",
                "HOME": str(self.act.home),
                "GIT_CONFIG_GLOBAL": os.devnull,
                "GIT_CONFIG_SYSTEM": os.devnull,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=180,
        )

    def references(self) -> dict[str, str]:
        """What the workflow made in the remote."""
        lines = git(self.remote, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        found = dict(line.split() for line in lines)
        return {
            name: commit
            for name, commit in found.items()
            if name != "refs/heads/main" and "/source/" not in name
        }

    def file(self, name: str) -> str:
        path = self.kept / name
        return path.read_text("utf-8") if path.exists() else ""


@pytest.fixture
def hub(act: Act) -> Hub:
    return Hub(act)


def test_a_tag_on_main_becomes_a_release(hub: Hub) -> None:
    reference = hub.tag("1.0.0")
    ended = hub.run(reference)
    assert ended.returncode == 0, ended.stdout
    (commit,) = set(hub.references().values())
    assert list(hub.references()) == ["refs/heads/releases", "refs/tags/v1", "refs/tags/v1.0.0"]
    assert hub.file("tested").split() == ["-s", "e2e", "--", "tests/e2e/test_release.py"]
    assert (ROOT / "tests/e2e/test_release.py").exists()
    # What is signed is the list of what is pushed.
    names = git(hub.remote, "ls-tree", "-r", "--name-only", "v1.0.0").splitlines()
    assert names == ["action.yml", "noise", "sbom.cdx.json", VERSION]
    signed = [line.split("  ") for line in hub.file("attested").splitlines()]
    assert [name for _, name in signed] == names
    show = ("git", "-C", str(hub.remote), "show")
    for digest, name in signed:
        content = subprocess.run((*show, f"v1.0.0:{name}"), check=True, capture_output=True).stdout
        assert hashlib.sha256(content).hexdigest() == digest
    # The release on GitHub.
    assert hub.file("gh").splitlines() == [
        "auth setup-git",
        "release view v1.0.0",
        "release create v1.0.0 --verify-tag --title Chainloop SMTP 1.0.0 "
        "--notes-file build/notes.md build/tree.sha256 build/action/sbom.cdx.json",
    ]
    assert "- It is released." in hub.file("released")
    assert f"@{commit} # v1.0.0" in hub.file("released")
    assert hub.file("chainloop") == ""


def test_a_second_run_changes_nothing(hub: Hub) -> None:
    reference = hub.tag("1.0.0")
    assert hub.run(reference).returncode == 0
    before = hub.references()
    assert hub.run(reference).returncode == 0
    assert hub.references() == before
    assert hub.file("gh").count("release create") == 1


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("noisy", "Failure - Main Build again, and compare"),
        ("failing", "Failure - Main Test the tree"),
    ],
    ids=["two builds differ", "a test fails"],
)
def test_a_tree_that_is_not_good_is_not_published(hub: Hub, more: str, why: str) -> None:
    ended = hub.run(hub.tag("1.0.0", more))
    assert ended.returncode == 1
    assert why in ended.stdout
    assert hub.references() == {}
    assert hub.file("attested") + hub.file("gh") == ""


def test_a_tag_that_is_not_on_main_is_not_built(hub: Hub) -> None:
    hub.tag("1.0.0")
    reference = hub.tag("1.1.0")
    git(hub.clone, "push", "--quiet", "--force", "origin", "source/v1.0.0:refs/heads/main")
    ended = hub.run(reference)
    assert ended.returncode == 1
    assert "Failure - Main Check that the tag may be released" in ended.stdout
    assert hub.references() == {}
    assert hub.file("tested") == ""


def test_with_a_token_the_release_is_attested_and_mailed_by_itself(hub: Hub) -> None:
    variables = ("--var=SMTP_HOST=smtp.example.test", "--var=MAIL_TO=security@example.test")
    digest = hashlib.sha256((hub.stand_ins / "downloaded").read_bytes()).hexdigest()
    pin = ("--var=CHAINLOOP_VERSION=v1.2.3", f"--var=CHAINLOOP_SHA256={digest}")
    token = "--secret=CHAINLOOP_TOKEN=of-chainloop"
    ended = hub.run(hub.tag("1.0.0"), token, *variables, *pin)
    assert ended.returncode == 0, ended.stdout
    url = (
        "https://github.com/chainloop-dev/chainloop/releases/download/v1.2.3/chainloop-linux-amd64"
    )
    assert hub.file("curl").endswith(f"/bin/chainloop {url} no token\n")
    init, tree, sbom, push = hub.file("chainloop").splitlines()
    assert init == "attestation init --workflow release --project chainloop-smtp --version v1.0.0"
    assert tree.startswith("attestation add --name tree --kind ARTIFACT --value ")
    assert sbom.endswith("--kind SBOM_CYCLONEDX_JSON --value sbom.cdx.json")
    assert push == "attestation push --output json"
    mailed = hub.file("mailed").splitlines()
    assert mailed == ["smtp.example.test security@example.test", '{"digest": "sha256:1"}']


@pytest.mark.parametrize(
    ("pin", "is_downloaded"),
    [
        ((), False),
        (("CHAINLOOP_VERSION=v1.2.3",), False),
        (("CHAINLOOP_VERSION=v1.2.3", f"CHAINLOOP_SHA256={'0' * 64}"), True),
    ],
    ids=["nothing is pinned", "no digest", "another digest"],
)
def test_only_the_command_that_is_pinned_sees_the_token(
    hub: Hub, pin: tuple[str, ...], is_downloaded: bool
) -> None:
    token = "--secret=CHAINLOOP_TOKEN=of-chainloop"
    ended = hub.run(hub.tag("1.0.0"), token, *(f"--var={each}" for each in pin))
    assert ended.returncode == 1
    assert bool(hub.file("curl")) is is_downloaded
    assert hub.file("chainloop") == ""
    # The release itself is out.
    assert "refs/tags/v1.0.0" in hub.references()


def test_a_pin_that_is_missing_is_told(tmp_path: Path) -> None:
    # By itself, since act may lose what a step prints just before it fails.
    steps = yaml.safe_load(WORKFLOW)["jobs"]["chainloop"]["steps"]
    (script,) = (each["run"] for each in steps if each.get("name", "").startswith("Install"))
    environ = {"VERSION": "v1.2.3", "SHA256": "", "RUNNER_TEMP": str(tmp_path)}
    done = subprocess.run(
        ("bash", "-eo", "pipefail", "-c", script),
        check=False,
        env=environ | {"PATH": os.environ["PATH"]},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 1
    assert done.stdout == (
        "::error::Set the variables CHAINLOOP_VERSION and CHAINLOOP_SHA256: see docs/releasing.md\n"
    )


def test_only_the_job_that_publishes_may_write() -> None:
    jobs = yaml.safe_load(WORKFLOW)["jobs"]
    writing = {
        name: sorted(key for key, value in job["permissions"].items() if value == "write")
        for name, job in jobs.items()
    }
    assert writing == {
        "build": [],
        "publish": ["attestations", "contents", "id-token"],
        "chainloop": [],
    }
    assert yaml.safe_load(WORKFLOW)["permissions"] == {}
