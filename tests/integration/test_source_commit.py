"""The author of a commit in the workspace, by git; whatever its configuration says."""

import os
import sys
import time
from pathlib import Path

import pytest

from chainloop_smtp.source import command
from gitrepository import commit, git

ENVIRON = {"PATH": os.environ["PATH"]}
ROBIN, KIM = ("Robin Quay", "robin@example.com"), ("Kim", "kim@example.com")


def author(
    revision: str,
    workspace: Path,
    environ: dict[str, str] = ENVIRON,
    deadline: float = 30,
    repository: str = "lakeside/harbour",
) -> tuple[str, str] | None:
    return command.find_author(revision, str(workspace), repository, environ, deadline)


@pytest.fixture
def commits(tmp_path: Path) -> tuple[str, str]:
    """Two commits: Robin's, then Kim's."""
    return commit(tmp_path, "Robin Quay <robin@example.com>"), commit(
        tmp_path, "Kim <kim@example.com>"
    )


def test_the_author_of_a_commit_is_the_one_who_wrote_it(
    tmp_path: Path, commits: tuple[str, str]
) -> None:
    assert author(commits[0], tmp_path) == ROBIN
    assert author(commits[1], tmp_path) == KIM
    assert author("HEAD", tmp_path) == KIM


def test_a_tag_is_its_commit(tmp_path: Path, commits: tuple[str, str]) -> None:
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b.de", "tag", "-a", "v1", "-m", "v1")
    assert author(git(tmp_path, "rev-parse", "v1"), tmp_path) == KIM
    del commits


def test_a_name_in_another_encoding_is_decoded(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "config", "i18n.commitEncoding", "ISO-8859-1")
    git(tmp_path, "config", "i18n.logOutputEncoding", "ISO-8859-1")
    sha = commit(tmp_path, "J\udcfcrgen <j@example.com>")

    assert author(sha, tmp_path) == ("Jürgen", "j@example.com")


def test_a_hash_may_be_of_sha_256(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--object-format=sha256")
    sha = commit(tmp_path, "Kim <kim@example.com>")

    assert len(sha) == 64
    assert author(sha, tmp_path) == KIM


def test_a_shallow_clone_is_enough(tmp_path: Path, commits: tuple[str, str]) -> None:
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{tmp_path}", str(tmp_path / "clone"))
    assert author(commits[1], tmp_path / "clone") == KIM
    assert author(commits[0], tmp_path / "clone") is None


@pytest.mark.parametrize(
    "revision",
    ["f" * 40, "", "main", "HEAD~1", "--all", "-n1", "../x", "F" * 40, "a" * 39],
    ids=["unknown", "empty", "branch", "ancestor", "flag", "short flag", "path", "capital", "cut"],
)
def test_what_is_not_the_hash_of_a_commit_there_has_no_author(
    tmp_path: Path, commits: tuple[str, str], revision: str
) -> None:
    assert author(revision, tmp_path) is None
    del commits


def test_without_a_repository_or_a_git_nobody_is_known(
    tmp_path: Path, commits: tuple[str, str]
) -> None:
    (tmp_path / "empty").mkdir()
    # Not looked for in folders above, which the workspace is not.
    assert author(commits[0], tmp_path / "empty") is None
    assert author(commits[0], tmp_path, {"PATH": str(tmp_path / "empty")}) is None
    # A relative folder would be the workspace's.
    assert author(commits[0], tmp_path, {"PATH": ".:bin"}) is None
    (tmp_path / "git").write_text("not a program")
    (tmp_path / "git").chmod(0o755)
    assert author(commits[0], tmp_path, {"PATH": str(tmp_path)}) is None


def test_a_repository_that_somebody_else_owns_is_read(
    tmp_path: Path, commits: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As git has it tested; a container's job has another user than its checkout.
    monkeypatch.setitem(command._GIT, "GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # noqa: SLF001
    assert author(commits[0], tmp_path) == ROBIN
    assert author("HEAD", tmp_path) == KIM


@pytest.mark.parametrize(
    ("url", "is_ours"),
    [
        ("https://github.com/lakeside/harbour", True),
        ("https://github.com/Lakeside/Harbour.git", True),
        ("https://github.com/lakeside/harbour/", True),
        ("git@github.com:lakeside/harbour.git", True),
        ("https://github.com/lakeside/mail", False),
        ("https://github.com/lakeside/not-harbour/", False),
        ("https://github.com/other-lakeside/harbour", False),
    ],
)
def test_what_is_checked_out_counts_in_the_runs_own_repository_alone(
    tmp_path: Path, commits: tuple[str, str], url: str, is_ours: bool
) -> None:
    git(tmp_path, "remote", "add", "origin", url)
    assert author("HEAD", tmp_path) == (KIM if is_ours else None)
    # A commit's hash is the same wherever it is.
    assert author(commits[1], tmp_path) == KIM


def test_a_git_that_never_ends_is_ended(tmp_path: Path, commits: tuple[str, str]) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "git").write_text(f"#!{sys.executable} -IS\nimport time\ntime.sleep(60)\n")
    (tools / "git").chmod(0o755)
    started = time.monotonic()
    assert author(commits[0], tmp_path, {"PATH": str(tools)}, deadline=0.2) is None
    assert time.monotonic() - started < 30


def test_nothing_that_a_strangers_repository_names_is_run(
    tmp_path: Path, commits: tuple[str, str]
) -> None:
    witness, program = tmp_path / "witness", tmp_path / "program"
    program.write_text(f'#!/bin/sh\necho "$0 $*" >>{witness}\nexit 1\n')
    program.chmod(0o755)
    (tmp_path / ".mailmap").write_text("Mallory <mallory@evil.example> <kim@example.com>\n")
    hooks = tmp_path / ".git" / "hooks"
    for hook in (
        "post-checkout",
        "reference-transaction",
        "fsmonitor-watchman",
        "post-index-change",
    ):
        (hooks / hook).write_bytes(program.read_bytes())
        (hooks / hook).chmod(0o755)
    for name, value in {
        "alias.config": f"!{program}",
        "alias.rev-list": f"!{program}",
        "core.alternateRefsCommand": program,
        "core.fsmonitor": program,
        "core.gitProxy": program,
        "core.pager": program,
        "core.sshCommand": program,
        "credential.helper": f"!{program}",
        "gpg.program": program,
        "gpg.ssh.program": program,
        "log.showSignature": "true",
        "log.mailmap": "true",
        "pager.config": program,
        "pager.rev-list": program,
        # A partial clone asks its remote for what it lacks.
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.promisor": "true",
        "remote.origin.partialCloneFilter": "blob:none",
        "remote.origin.url": f"ext::{program} /lakeside/harbour",
        "remote.origin.uploadpack": program,
        "protocol.ext.allow": "always",
        "protocol.allow": "always",
    }.items():
        git(tmp_path, "config", name, str(value))
    witness.unlink(missing_ok=True)

    assert author(commits[1], tmp_path) == KIM
    assert author("HEAD", tmp_path) == KIM
    assert author("f" * 40, tmp_path) is None
    for url in ("ssh://x/lakeside/harbour", f"file://{tmp_path}/none/lakeside/harbour"):
        git(tmp_path, "config", "remote.origin.url", url)
        assert author("e" * 40, tmp_path) is None
    assert not witness.exists(), witness.read_text()
