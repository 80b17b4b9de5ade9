"""release/publish.py against a bare repository on disk: what is pushed, and what is refused."""

import hashlib
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pages
import releasetree
from chainloop_smtp import __version__
from gitrepository import git

PAGE = "docs/releasing.md"
VERSION_FILE = "src/chainloop_smtp/__init__.py"
SCRIPT = Path(__file__).parents[2] / "release" / "publish.py"
DATE = "2026-12-01T10:00:00+01:00"
FILES = {
    "action.yml": b"name: Chainloop SMTP\r\n",
    "src/chainloop_smtp/__init__.py": b'__version__ = "1.0.0"\n',
    # What git would leave out or change anywhere else.
    "packages/jinja2/__pycache__/a.cpython-311.pyc": b"\x00\r\n\xff",
    "packages/.gitignore": b"*\n",
}


class Project:
    """A checkout of main with its remote, and the tree that is built of it."""

    def __init__(self, folder: Path) -> None:
        self.remote = folder / "remote.git"
        self.checkout = folder / "checkout"
        self.built = folder / "built"
        git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(self.remote))
        git(folder, "clone", "--quiet", str(self.remote), str(self.checkout))
        git(self.checkout, "config", "user.name", "Maintainer")
        git(self.checkout, "config", "user.email", "maintainer@example.com")
        self.write(self.checkout, {".gitignore": b"__pycache__/\n"})

    def write(self, folder: Path, files: dict[str, bytes]) -> None:
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)

    def source(self, version: str, *, changes: str = "(2026-12-01)", is_merged: bool = True) -> str:
        """Commit, tag and push the source of a version; build its tree."""
        changelog = (
            f"# Changes\n\n## {version} {changes}\n\n- This is new.\n\n## 0.9.0 (2026-01-01)\n"
        )
        version_file = f'__version__ = "{version}"\n'.encode()
        self.write(
            self.checkout,
            {
                "src/chainloop_smtp/__init__.py": version_file,
                "CHANGELOG.md": changelog.encode(),
            },
        )
        git(self.checkout, "add", "--all")
        git(self.checkout, "commit", "--quiet", f"--message={version}", f"--date={DATE}")
        # The committer's date is the author's, and not that of the test.
        git(self.checkout, "rebase", "--quiet", "--committer-date-is-author-date", "--root")
        tag = f"source/v{version}"
        git(self.checkout, "tag", "--annotate", f"--message={version}", tag)
        git(self.checkout, "push", "--quiet", "origin", *(["main"] if is_merged else []), tag)
        self.write(self.built, FILES | {"src/chainloop_smtp/__init__.py": version_file})
        return tag

    def run(self, *arguments: str, path: str = "") -> "subprocess.CompletedProcess[str]":
        environ = {
            "PATH": path + os.environ["PATH"],
            "GIT_CONFIG_NOSYSTEM": "1",
            "HOME": os.devnull,
        }
        return subprocess.run(
            (sys.executable, str(SCRIPT), *arguments),
            cwd=self.checkout,
            env=environ,
            check=False,
            capture_output=True,
            text=True,
        )

    def release(self, version: str) -> str:
        """Release a version; gives back the commit that is printed."""
        ended = self.run("push", self.source(version), str(self.built))
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    def references(self) -> dict[str, str]:
        """Of the remote, but for what the maintainer pushed."""
        lines = git(self.remote, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        found = dict(line.split(" ") for line in lines)
        return {
            name: each
            for name, each in found.items()
            if name != "refs/heads/main" and not name.startswith("refs/tags/source/")
        }

    def refused(self, *arguments: str) -> str:
        """Run what must not change anything; gives back the reason."""
        before = self.references()
        ended = self.run(*arguments)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert self.references() == before
        return ended.stderr.strip()

    def follow(self, block: str, folder: Path, **programs: str) -> None:
        """Run the block of docs/releasing.md that holds a text, where GitHub is the remote here.

        Args:
            programs: Bash in the place of programs.
        """
        (commands,) = (
            text for page, text in pages.blocks("bash") if page == PAGE and block in text
        )
        for name, script in programs.items():
            (folder / name).write_text(f"#!/usr/bin/env bash\n{script}\n", "utf-8")
            (folder / name).chmod(0o755)
        environ = {
            "PATH": f"{folder}:{os.environ['PATH']}",
            "GIT_CONFIG_NOSYSTEM": "1",
            "HOME": os.devnull,
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{self.remote}.insteadOf",
            "GIT_CONFIG_VALUE_0": "https://github.com/OWNER/chainloop-smtp",
        }
        subprocess.run(("bash", "-euc", commands), check=True, cwd=folder, env=environ)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_the_first_release_is_a_branch_of_its_own_and_two_tags(project: Project) -> None:
    commit = project.release("1.0.0")
    assert project.references() == {
        "refs/heads/releases": commit,
        "refs/tags/v1": commit,
        "refs/tags/v1.0.0": commit,
    }
    source = git(project.checkout, "rev-parse", "main")
    assert git(project.remote, "log", "--format=%an|%aI|%cI|%P|%B", "releases").strip() == (
        f"github-actions[bot]|{DATE}|{DATE}||Chainloop SMTP 1.0.0\n\n"
        f"Built from {source}, source/v1.0.0."
    )


def test_a_release_holds_the_built_files_to_the_byte_and_no_other(
    project: Project, tmp_path: Path
) -> None:
    project.release("1.0.0")
    copy = tmp_path / "copy"
    git(tmp_path, "clone", "--quiet", "--branch=v1.0.0", str(project.remote), str(copy))
    files = {
        each.relative_to(copy).as_posix(): each.read_bytes()
        for each in copy.rglob("*")
        if each.is_file() and ".git" not in each.relative_to(copy).parts
    }
    assert files == FILES
    assert {each.stat().st_mode & 0o111 for each in copy.rglob("*.p*") if each.is_file()} == {0}
    # What is attested can be made again by whoever has the files.
    listing = project.run("list", str(project.built)).stdout
    lines = [f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)]
    assert listing == "".join(lines)
    checked = subprocess.run(
        ("sha256sum", "--check", "--strict"), cwd=copy, input=listing, check=False, text=True
    )
    assert checked.returncode == 0


def test_a_later_release_stands_on_the_one_before_and_moves_the_major_tag(project: Project) -> None:
    first = project.release("1.0.0")
    second = project.release("1.10.0")
    third = project.release("1.9.1")
    fourth = project.release("2.0.0")
    assert project.references() == {
        "refs/heads/releases": fourth,
        "refs/tags/v1": second,  # 1.9.1 mends what is older
        "refs/tags/v1.0.0": first,
        "refs/tags/v1.10.0": second,
        "refs/tags/v1.9.1": third,
        "refs/tags/v2": fourth,
        "refs/tags/v2.0.0": fourth,
    }
    history = git(project.remote, "log", "--format=%H", "releases").splitlines()
    assert history == [fourth, third, second, first]


def test_the_same_again_changes_nothing(project: Project) -> None:
    commit = project.release("1.0.0")
    before = project.references()
    again = project.run("push", "source/v1.0.0", str(project.built))
    assert (again.returncode, again.stdout.strip()) == (0, commit)
    assert project.references() == before


@pytest.mark.parametrize("missing", ["refs/tags/v1", "refs/tags/v1.0.0 refs/tags/v1"])
def test_what_is_missing_after_a_failure_is_made_up_for(project: Project, missing: str) -> None:
    project.release("1.0.0")
    for name in missing.split():
        git(project.remote, "update-ref", "-d", name)
    git(project.remote, "update-ref", "-d", "refs/heads/releases") if " " in missing else None
    ended = project.run("push", "source/v1.0.0", str(project.built))
    assert ended.returncode == 0, ended.stderr
    assert set(project.references().values()) == {ended.stdout.strip()}
    assert len(project.references()) == 3


def test_a_push_that_is_refused_in_part_leaves_nothing_behind(project: Project) -> None:
    tag = project.source("1.0.0")
    hook = project.remote / "hooks" / "update"
    hook.write_text('#!/bin/sh\n[ "$1" != refs/tags/v1 ]\n', "utf-8")
    hook.chmod(0o755)
    ended = project.run("push", tag, str(project.built))
    assert ended.returncode == 1
    assert project.references() == {}
    hook.unlink()
    assert project.run("push", tag, str(project.built)).returncode == 0


def test_a_version_is_released_once(project: Project) -> None:
    project.release("1.0.0")
    project.write(project.built, {"action.yml": b"name: another\n"})
    assert project.refused("push", "source/v1.0.0", str(project.built)) == (
        "v1.0.0 is already released, with other files. Raise the version."
    )


@pytest.mark.parametrize("is_annotated", [False, True])
def test_a_major_tag_moves_only_from_where_it_was_seen(
    project: Project, tmp_path: Path, is_annotated: bool
) -> None:
    first = project.release("1.0.0")
    if is_annotated:
        git(project.checkout, "fetch", "--quiet", "--tags")
        identity = ("-c", "user.name=x", "-c", "user.email=x@example.com")
        git(project.checkout, *identity, "tag", "--annotate", "--force", "--message=x", "v1", first)
        git(project.checkout, "push", "--quiet", "--force", "origin", "v1")
    tag = project.source("1.1.0")
    # Somebody moves it between the look and the push.
    other = git(project.remote, "rev-parse", "refs/tags/source/v1.1.0")
    real = shutil.which("git")
    wrapper = tmp_path / "git"
    wrapper.write_text(
        "#!/bin/sh\n"
        f'[ "$1" != push ] || {real} -C {project.remote} update-ref refs/tags/v1 {other}\n'
        f'exec {real} "$@"\n',
        "utf-8",
    )
    wrapper.chmod(0o755)
    ended = project.run("push", tag, str(project.built), path=f"{tmp_path}{os.pathsep}")
    assert ended.returncode == 1
    assert "stale info" in ended.stderr
    assert project.references()["refs/tags/v1"] == other
    assert "refs/tags/v1.1.0" not in project.references()
    # Once nobody interferes, it moves.
    ended = project.run("push", tag, str(project.built))
    assert ended.returncode == 0, ended.stderr
    assert project.references()["refs/tags/v1"] == ended.stdout.strip()


def test_a_tag_that_is_annotated_counts_by_its_commit(project: Project) -> None:
    commit = project.release("1.0.0")
    git(project.checkout, "fetch", "--quiet", "--tags")
    git(project.checkout, "tag", "--annotate", "--force", "--message=x", "v1.0.0", commit)
    git(project.checkout, "push", "--quiet", "--force", "origin", "v1.0.0")
    ended = project.run("push", "source/v1.0.0", str(project.built))
    assert (ended.returncode, ended.stdout.strip()) == (0, commit)


@pytest.mark.parametrize(
    "tag", ["v1.0.0", "source/v1.0", "source/v01.0.0", "source/v1.0.0-rc1", "source/v1.0.0\n", ""]
)
def test_another_kind_of_tag_is_refused(project: Project, tag: str) -> None:
    project.source("1.0.0")
    assert project.refused("check", tag) == f"{tag!r} is not source/vX.Y.Z."


def test_a_source_that_is_not_on_main_is_refused(project: Project) -> None:
    project.source("1.0.0")
    tag = project.source("1.1.0", is_merged=False)
    reason = project.refused("push", tag, str(project.built))
    assert reason == f"{tag} is not on main: only what is merged there is released."
    # Once it is merged, it may be.
    git(project.checkout, "push", "--quiet", "origin", "main")
    assert project.run("check", tag).returncode == 0


def test_only_what_is_checked_out_is_released(project: Project) -> None:
    project.source("1.0.0")
    project.source("1.1.0")
    reason = "The working directory is not what source/v{} names: check it out, clean."
    assert project.refused("check", "source/v1.0.0") == reason.format("1.0.0")
    (project.checkout / "CHANGELOG.md").write_text("changed", "utf-8")
    assert project.refused("check", "source/v1.1.0") == reason.format("1.1.0")
    assert project.refused("check", "source/v1.2.0") == "There is no tag source/v1.2.0 here."


def test_version_and_changelog_have_to_agree_with_the_tag(project: Project) -> None:
    tag = project.source("1.0.0", changes="(not released yet)")
    assert project.refused("check", tag) == "CHANGELOG.md has no section '## 1.0.0 (YYYY-MM-DD)'."
    git(project.checkout, "tag", "source/v1.0.1")
    assert project.refused("check", "source/v1.0.1") == (
        "src/chainloop_smtp/__init__.py does not say __version__ = '1.0.1'."
    )


def test_the_notes_are_the_changes_and_the_line_to_pin(project: Project) -> None:
    commit = project.release("1.0.0")
    ended = project.run("notes", "source/v1.0.0")
    assert ended.returncode == 0
    source = git(project.checkout, "rev-parse", "main")
    page = "https://github.com/OWNER/chainloop-smtp/blob/source/v1.0.0/docs/releasing.md"
    assert ended.stdout == (
        "\n- This is new.\n\n\n### Pin it\n\n```yaml\n"
        f"uses: OWNER/chainloop-smtp@{commit} # v1.0.0\n```\n\n"
        f"Built from {source} (`source/v1.0.0`).\n[Check it]({page}#check-a-release).\n"
    )


def test_nothing_is_listed_pushed_or_noted_before_it_is_there(project: Project) -> None:
    tag = project.source("1.0.0")
    for folder in (project.built / "nowhere", project.built / "action.yml"):
        reason = f"There are no files in {folder}: build the tree first, make action."
        assert project.refused("list", str(folder)) == reason
        assert project.refused("push", tag, str(folder)) == (
            f"{folder} is not the tree of 1.0.0: build it first, make action."
        )
    reason = "The remote has no tag v1.0.0: push the release first."
    assert project.refused("notes", tag) == reason


def test_the_tree_of_another_version_is_not_pushed(project: Project) -> None:
    project.source("1.0.0")
    tag = project.source("1.1.0")
    project.write(project.built, {VERSION_FILE: b'__version__ = "1.0.0"\n'})
    assert project.refused("push", tag, str(project.built)) == (
        f"{project.built} is not the tree of 1.1.0: build it first, make action."
    )


def test_a_source_without_changelog_is_refused(project: Project) -> None:
    project.source("1.0.0")
    git(project.checkout, "rm", "--quiet", "CHANGELOG.md")
    git(project.checkout, "commit", "--quiet", "--message=x")
    git(project.checkout, "push", "--quiet", "origin", "main")
    git(project.checkout, "tag", "--force", "source/v1.0.0")
    assert project.refused("check", "source/v1.0.0") == (
        "[Errno 2] No such file or directory: 'CHANGELOG.md'"
    )


def test_the_page_makes_the_list_that_is_attested(project: Project, tmp_path: Path) -> None:
    project.release("1.0.0")
    project.follow("gh attestation verify", tmp_path, gh='cp "$3" asked; echo "$*" >arguments')
    listing = project.run("list", str(project.built)).stdout
    assert (tmp_path / "asked").read_text("utf-8") == listing
    arguments = (tmp_path / "arguments").read_text("utf-8").split()
    assert arguments[arguments.index("--source-ref") + 1] == "refs/tags/source/v1.0.0"
    (workflow,) = (each for each in arguments if each.endswith(".yml"))
    assert (SCRIPT.parents[1] / workflow.removeprefix("OWNER/chainloop-smtp/")).exists()


def test_the_page_takes_a_major_tag_back_and_the_next_release_moves_it_on(project: Project) -> None:
    first = project.release("1.0.0")
    project.release("1.1.0")
    project.follow("--force", project.checkout)
    assert project.references()["refs/tags/v1"] == first
    third = project.release("1.1.1")
    assert project.references()["refs/tags/v1"] == third


def test_gits_own_failures_are_named(project: Project) -> None:
    tag = project.source("1.0.0")
    git(project.checkout, "remote", "set-url", "origin", str(project.remote / "nowhere"))
    # Nothing but a push needs the remote.
    assert project.run("check", tag).returncode == 0
    ended = project.run("push", tag, str(project.built))
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        "git ls-remote origin refs/heads/releases refs/tags/v* failed."
    )


def test_the_command_can_be_installed_from_a_release(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    tree = releasetree.built(tmp_path_factory)
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    subprocess.run(
        (*pip, "--no-deps", "--no-build-isolation", "--target", str(tmp_path), str(tree)),
        check=True,
    )
    shown = subprocess.run(
        (sys.executable, "-m", "chainloop_smtp", "--version"),
        check=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert shown.stdout == f"chainloop-smtp {__version__}\n"
    assert (tmp_path / "chainloop_smtp/schemas/configuration.json").exists()


def test_the_build_prints_the_digest_of_the_list(project: Project) -> None:
    project.write(project.built, FILES)
    build = runpy.run_path(str(SCRIPT.with_name("build.py")))
    listing = project.run("list", str(project.built)).stdout
    assert build["digest"](project.built) == hashlib.sha256(listing.encode()).hexdigest()


def test_the_readme_of_a_release_leads_to_the_source() -> None:
    build = runpy.run_path(str(SCRIPT.with_name("build.py")))
    page = build["_lead_to_source"](pages.PAGES["README.md"], "1.2.3")
    links = re.findall(r'(?:\]\(|src=")([^)"]+)', page)
    sources = [each for each in links if not each.startswith(("https://", "#"))]
    assert len(sources) > 10
    for each in sources:
        found = re.fullmatch(r"\.\./\.\./(raw|blob)/source/v1\.2\.3/([^#]+)(#.*)?", each)
        assert found, each
        assert (pages.ROOT / found[2]).exists(), each
        assert (found[1] == "raw") == found[2].endswith(".png"), each
    assert re.sub(r"\.\./\.\./(raw|blob)/source/v1\.2\.3/", "", page) == pages.PAGES["README.md"]
