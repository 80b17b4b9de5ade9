"""Publishes the tree of a release: a commit on the branch `releases`, its tag, the major tag.

    python release/publish.py check TAG          check that this source may be released
    python release/publish.py list FOLDER        list all files with SHA-256, like sha256sum
    python release/publish.py push TAG FOLDER    commit the folder, push branch and tags
    python release/publish.py notes TAG          print the release notes: changes, the line to pin

TAG is ``source/vX.Y.Z`` and names the source. The tree built from it gets the tag ``vX.Y.Z``. The
working directory is a checkout of TAG that knows ``origin/main``; ``check`` and ``list`` use no
network. Every command can run again after a failure: the same source makes the same commit, and
what is already there stays.
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BRANCH = "refs/heads/releases"
MAIN = "refs/remotes/origin/main"
VERSION_FILE = Path("src/chainloop_smtp/__init__.py")
CHANGES = Path("CHANGELOG.md")

_NUMBER = r"(0|[1-9][0-9]*)"
_TAG = re.compile(rf"source/v{_NUMBER}\.{_NUMBER}\.{_NUMBER}")
_RELEASED = re.compile(rf"refs/tags/v{_NUMBER}\.{_NUMBER}\.{_NUMBER}")
# Whom GitHub shows as its own. The times are the source's, so that the commit is the same again.
_AUTHOR = "github-actions[bot]"
_ADDRESS = "41898282+github-actions[bot]@users.noreply.github.com"


class PublishError(Exception):
    """The release cannot be made; the message says why, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A tagged commit of main.

    Attributes:
        tag: ``source/vX.Y.Z``.
        version: The three numbers of it.
        commit: Its full hash.
    """

    tag: str
    version: tuple[int, int, int]
    commit: str

    @property
    def name(self) -> str:
        """The version as text."""
        return ".".join(map(str, self.version))


def check(tag: str) -> Source:
    """Check that a tag may be released.

    Raises:
        PublishError: It may not.
    """
    found = _TAG.fullmatch(tag)
    if not found:
        raise PublishError(f"{tag!r} is not source/vX.Y.Z.")
    commit = _git("rev-parse", "--verify", "--quiet", f"refs/tags/{tag}^{{commit}}", may_fail=True)
    if not commit:
        raise PublishError(f"There is no tag {tag} here.")
    if _git("rev-parse", "HEAD") != commit or _git("status", "--porcelain"):
        raise PublishError(f"The working directory is not what {tag} names: check it out, clean.")
    if not _succeeds("merge-base", "--is-ancestor", commit, MAIN):
        raise PublishError(f"{tag} is not on main: only what is merged there is released.")
    major, minor, patch = map(int, found.groups())
    source = Source(tag=tag, version=(major, minor, patch), commit=commit)
    if not _names(VERSION_FILE, source.name):
        raise PublishError(f"{VERSION_FILE} does not say __version__ = {source.name!r}.")
    if not _changes(source):
        raise PublishError(f"{CHANGES} has no section '## {source.name} (YYYY-MM-DD)'.")
    return source


def list_files(folder: Path) -> str:
    """List all files of a folder as sha256sum does, in the order of their names.

    The attestation is over these lines: whoever has the files can make them again.

    Raises:
        PublishError: There are none.
    """
    names = sorted(
        each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file()
    )
    if not names:
        raise PublishError(f"There are no files in {folder}: build the tree first, make action.")
    return "".join(
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names
    )


def push(source: Source, folder: Path) -> str:
    """Commit a folder on top of the branch, and push what is missing, all of it or nothing.

    Returns:
        The hash of the commit that the release is.

    Raises:
        PublishError: The folder is not the tree of this version, or that is released with other
            files.
    """
    version_file = folder / VERSION_FILE
    if not version_file.is_file() or not _names(version_file, source.name):
        raise PublishError(
            f"{folder} is not the tree of {source.name}: build it first, make action."
        )
    listed = _remote_references()
    remote = _peeled(listed)
    tag = f"refs/tags/v{source.name}"
    tree = _write_tree(folder)
    wanted = {}
    commit = remote.get(tag)
    if commit:
        _git("fetch", "--quiet", "--no-tags", "origin", tag)
        if _git("rev-parse", f"{commit}^{{tree}}") != tree:
            raise PublishError(
                f"v{source.name} is already released, with other files. Raise the version."
            )
    else:
        parent = remote.get(BRANCH)
        if parent:
            _git("fetch", "--quiet", "--no-tags", "origin", BRANCH)
        commit = _commit(source, tree, parent)
        wanted = {BRANCH: commit, tag: commit}
    major = f"refs/tags/v{source.version[0]}"
    # A fix of an older minor version does not take the others back.
    if source.version == max(_versions(remote, source)) and remote.get(major) != commit:
        wanted[major] = commit
    if wanted:
        # The major tag may move, but only from where it was seen. No + here: that would force it.
        lease = f"--force-with-lease={major}:{listed.get(major, '')}"
        refs = [f"{each}:{name}" for name, each in wanted.items()]
        _git("push", "--quiet", "--atomic", *([lease] if major in wanted else []), "origin", *refs)
    return commit


def notes(source: Source) -> str:
    """Write the release notes for GitHub, in Markdown.

    Raises:
        PublishError: The release is not pushed.
    """
    commit = _peeled(_remote_references()).get(f"refs/tags/v{source.name}")
    if not commit:
        raise PublishError(f"The remote has no tag v{source.name}: push the release first.")
    repository = os.environ.get("GITHUB_REPOSITORY", "OWNER/chainloop-smtp")
    return f"""\
{_changes(source)}
### Pin it

```yaml
uses: {repository}@{commit} # v{source.name}
```

Built from {source.commit} (`{source.tag}`).
[Check it](https://github.com/{repository}/blob/{source.tag}/docs/releasing.md#check-a-release).
"""


def _versions(remote: Mapping[str, str], source: Source) -> list[tuple[int, ...]]:
    """The released versions of the source's major one, and the source's own."""
    found = [tuple(map(int, each.groups())) for each in map(_RELEASED.fullmatch, remote) if each]
    return [source.version, *(each for each in found if each[0] == source.version[0])]


def _remote_references() -> dict[str, str]:
    """Object ids by reference, as ``git ls-remote`` lists them."""
    listed = _git("ls-remote", "origin", BRANCH, "refs/tags/v*")
    return {name: id_ for id_, name in map(str.split, listed.splitlines())}


def _peeled(listed: Mapping[str, str]) -> dict[str, str]:
    """The commit that each reference leads to.

    An annotated tag is listed twice, the second time as ``NAME^{}`` with its commit.
    """
    return dict(listed) | {
        name.removesuffix("^{}"): id_ for name, id_ in listed.items() if name.endswith("^{}")
    }


def _write_tree(folder: Path) -> str:
    """Store a folder in the repository as git's tree, byte for byte."""
    wanted = list_files(folder)
    with tempfile.TemporaryDirectory() as scratch:
        index = {"GIT_INDEX_FILE": str(Path(scratch, "index"))}
        # Nothing of the machine's or the repository's own settings may change or leave out a file.
        plain = ("-c", "core.autocrlf=false", "-c", "core.fileMode=false")
        where = ("--git-dir", _git("rev-parse", "--absolute-git-dir"), "--work-tree", str(folder))
        _git(*plain, *where, "add", "--force", "--all", ".", cwd=folder, environ=index)
        tree = _git("write-tree", environ=index)
        copy = Path(scratch, "copy")
        _git(*plain, "checkout-index", "--all", f"--prefix={copy}/", environ=index)
        if list_files(copy) != wanted:
            raise PublishError(f"git does not keep {folder} as it is.")
    return tree


def _commit(source: Source, tree: str, parent: str | None) -> str:
    date = _git("show", "--no-patch", "--format=%cI", source.commit)
    who = {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", _AUTHOR), ("EMAIL", _ADDRESS), ("DATE", date))
    }
    message = f"Chainloop SMTP {source.name}\n\nBuilt from {source.commit}, {source.tag}."
    onto = ("-p", parent) if parent else ()
    return _git("commit-tree", tree, *onto, "-m", message, environ=who)


def _names(version_file: Path, version: str) -> bool:
    return f'__version__ = "{version}"\n' in version_file.read_text("utf-8")


def _changes(source: Source) -> str:
    """The version's section of the changelog without its heading; empty when there is none."""
    head = rf"^## {re.escape(source.name)} \([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}\)\n"
    parts = re.split(head, CHANGES.read_text("utf-8"), maxsplit=1, flags=re.MULTILINE)
    return re.split(r"^## ", parts[1], maxsplit=1, flags=re.MULTILINE)[0] if parts[1:] else ""


def _git(
    *arguments: str,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
    may_fail: bool = False,
) -> str:
    done = subprocess.run(
        ("git", *arguments),
        check=not may_fail,
        cwd=cwd,
        env=os.environ | (environ or {}),
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    return done.stdout.strip()


def _succeeds(*arguments: str) -> bool:
    return subprocess.run(("git", *arguments), check=False).returncode == 0


def main() -> None:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(description="Publish the tree of a release.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("check", "push", "notes", "list"):
        command = commands.add_parser(name)
        if name != "list":
            command.add_argument("tag")
        if name in ("push", "list"):
            command.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    try:
        if arguments.command == "list":
            print(list_files(arguments.folder), end="")
            return
        source = check(arguments.tag)
        if arguments.command == "push":
            print(push(source, arguments.folder.resolve()))
        elif arguments.command == "notes":
            print(notes(source), end="")
    except (PublishError, OSError) as error:
        sys.exit(str(error))
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(map(str, error.cmd))} failed.")


if __name__ == "__main__":
    main()
