"""Patterns -> files of the workspace. Nothing outside it is read, whatever lies in it.

A pull request's author writes what is in the workspace, links included: ``report.json`` may point
at ``/proc/self/environ`` or at a key in the home folder. So a match counts by where it really is,
and is opened folder by folder from the workspace's own, so that no link made in between is
followed.
"""

import fnmatch
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from chainloop_smtp import inputfile
from chainloop_smtp.errors import OptionsError, Problem, quoted, quoted_path
from chainloop_smtp.model.mail import File
from chainloop_smtp.source import paths

_MOST_FILES = 100
_MOST_ENTRIES = 100_000  # looked at for all patterns together
_MOST_FOLDERS = 60  # below each other
_SHOWN = 10
# Not files, though they look so; only a workspace of "/" could hold them.
_NEVER = (Path("/proc"), Path("/sys"), Path("/dev"))
_MAGIC = re.compile(r"[*?\[]")
_FLAGS = inputfile.FLAGS | getattr(os, "O_NOFOLLOW", 0)


def collect(
    patterns: Sequence[str],
    environ: Mapping[str, str],
    limit: int,
    others: Sequence[File] = (),
) -> tuple[tuple[File, ...], tuple[str, ...]]:
    """Read the files that the patterns match, in the order of the patterns, each file once.

    Args:
        patterns: Relative to the workspace, or absolute and inside it. ``*``, ``?`` and ``[…]``
            match within a name, ``**`` any folders; a hidden name only where the dot is written.
            A path that exists as it is written is not taken for a pattern, and brackets are
            taken as they are where that matches anything.
        environ: For the workspace; where it names none, that is the current folder.
        limit: Bytes of all files together, the others included.
        others: What is attached besides.

    Returns:
        The files, and the patterns that match none.

    Raises:
        OptionsError: With every problem: a pattern or match outside the workspace, a match that
            is no file or cannot be read, too many of them, or too large together.
    """
    workspace = Workspace(environ.get("GITHUB_WORKSPACE") or ".")
    problems: list[Problem] = []
    unmatched: list[str] = []
    names: dict[Path, str] = {}
    for pattern in patterns:
        try:
            matches = workspace.match(pattern)
        except _RefusedError as error:
            problems.append(_problem(pattern, error))
            continue
        for name in matches:
            names.setdefault(workspace.resolve(name), name)
        if not matches:
            unmatched.append(pattern)
    if len(names) > _MOST_FILES:
        why = f"{len(names):,} files are matched, at most {_MOST_FILES} can be attached"
        problems.append(Problem("attach", why, "Pack them into one archive in a step before."))
        names = {}
    sizes = [(each.name, len(each.content)) for each in others]
    left = limit - sum(size for _, size in sizes)
    files = []
    for name in names.values():
        try:
            content, size = workspace.read(name, max(left, 0))
        except (_RefusedError, OSError) as error:
            problems.append(_problem(name, error))
            continue
        sizes.append((name, size))
        left -= size
        files.append(File(name=name, content=content))
    if left < 0 and not problems:
        problems.append(_too_large(sizes, limit))
    if problems:
        raise OptionsError(*problems)
    return tuple(files), tuple(unmatched)


def _too_large(sizes: list[tuple[str, int]], limit: int) -> Problem:
    ordered = sorted(sizes, key=lambda each: (-each[1], each[0]))
    total = sum(size for _, size in ordered)
    largest = [f"{quoted(name)} {size:,}" for name, size in ordered[:_SHOWN]]
    largest += [f"and {len(ordered) - _SHOWN} more"] if len(ordered) > _SHOWN else []
    return Problem(
        "attach-max-size",
        f"the attachments have {total:,} bytes in total, {limit:,} are allowed: "
        f"{', '.join(largest)}",
        "Attach less, or raise attach-max-size: most servers accept 10 to 25 MB, and a mail "
        "is a third larger than its attachments.",
    )


def _problem(name: str, error: Exception) -> Problem:
    why = str(error)
    if isinstance(error, OSError):
        why = f"cannot be read: {inputfile.reason(error)}"
    return Problem(f"attach {quoted_path(name)}", why, _HINTS.get(why, ""))


_HINTS = {
    "is a folder": "Name the files in it to attach, such as dist/*.json.",
    "is outside the workspace": "Copy it into the workspace in a step before.",
    "leads out of the workspace": "A link is attached only if it stays inside.",
}


class _RefusedError(Exception):
    """Why a pattern or a match is not attached."""


class Workspace:
    """A folder, and the files in it.

    Args:
        has_descriptors: Folders can be opened and used to open what is in them. Not on Windows,
            where a file is compared after opening with what its path leads to.
    """

    def __init__(self, path: str, has_descriptors: bool = os.open in os.supports_dir_fd) -> None:
        self._given = Path(path)
        self._root = _resolve(self._given)
        self._has_descriptors = has_descriptors
        self._entries = 0

    def match(self, pattern: str) -> tuple[str, ...]:
        """Return names relative to the workspace, with slashes, sorted; no folders among them."""
        components = self._split(pattern)
        is_there = os.path.lexists(self._root.joinpath(*components))
        matches = [tuple(components)] if is_there else self._find(components)
        names = ["/".join(each) for each in matches]
        is_literal = is_there or not _MAGIC.search(pattern)
        return tuple(name for name in names if is_literal or not (self._root / name).is_dir())

    def resolve(self, name: str) -> Path:
        """Return where a match really is, which is the same for each of its names."""
        return _resolve(self._root / name)

    def read(self, name: str, limit: int) -> tuple[bytes, int]:
        """Return content and size of a match. Over the limit only the size is right.

        Raises:
            _RefusedError: It is not a file of the workspace.
            OSError: It cannot be read.
        """
        real = _resolve(self._root / name, is_strict=True)
        self._check_inside(real)
        if paths.is_link_into_git(self._root / name, real):
            raise _RefusedError("leads into .git")
        with os.fdopen(self._open(real), "rb") as file:
            status = os.fstat(file.fileno())
            self._check_file(status.st_mode)
            if not self._has_descriptors and not (
                os.path.samestat(status, real.lstat()) and _resolve(real) == real
            ):
                raise _RefusedError("has changed while it was opened")
            content = file.read(limit + 1)
        return content, max(len(content), status.st_size)

    def _open(self, real: Path) -> int:
        """Open the file; where folders have descriptors too, no link on the way is followed."""
        if not self._has_descriptors:
            self._check_file(real.lstat().st_mode)
            return os.open(real, _FLAGS)
        *folders, name = real.relative_to(self._root).parts
        folder = os.open(self._root, _FLAGS | os.O_DIRECTORY)
        try:
            for each in folders:
                inner = os.open(each, _FLAGS | os.O_DIRECTORY, dir_fd=folder)
                os.close(folder)
                folder = inner
            # Before it is opened, since to open a device may already do something.
            self._check_file(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
            return os.open(name, _FLAGS, dir_fd=folder)
        finally:
            os.close(folder)

    def _check_file(self, mode: int) -> None:
        if not stat.S_ISREG(mode):
            raise _RefusedError(_describe_kind(mode))

    def _check_inside(self, real: Path) -> None:
        if not real.is_relative_to(self._root):
            raise _RefusedError("leads out of the workspace")
        if any(real.is_relative_to(each) for each in _NEVER):
            raise _RefusedError("is not a file but part of the running system")

    def _split(self, pattern: str) -> list[str]:
        """Split a pattern into its names, from the workspace on."""
        path = pattern.replace(os.sep, "/")
        if Path(pattern).is_absolute():
            bases = (f"{each.as_posix()}/" for each in (self._given, self._root))
            base = next((each for each in bases if path.startswith(each)), None)
            if base is None:
                raise _RefusedError("is outside the workspace")
            path = path.removeprefix(base)
        components = [each for each in path.split("/") if each not in ("", ".")]
        if ".." in components:
            raise _RefusedError("is outside the workspace")
        if not components or "\0" in path or (os.sep == "\\" and ":" in path):
            raise _RefusedError("is not a path")
        if components[-1] == "**":
            components.append("*")
        # One `**` says as much as two.
        return [
            each
            for position, each in enumerate(components)
            if each != "**" or components[position - 1 : position] != ["**"]
        ]

    def _find(self, components: Sequence[str]) -> list[tuple[str, ...]]:
        """List all that matches, sorted.

        Names with these very brackets are meant, if there are any, and else what brackets match.
        """
        literal = [each.replace("[", "[[]") for each in components]
        looked_at = self._entries
        if literal != components and (found := set(self._walk((), literal))):
            return sorted(found)
        # To look at the same folders again counts once.
        self._entries = looked_at
        return sorted(set(self._walk((), components)))

    def _walk(
        self, folder: tuple[str, ...], components: Sequence[str]
    ) -> Iterator[tuple[str, ...]]:
        """Yield all that matches below a folder, as components."""
        if len(folder) > _MOST_FOLDERS:
            raise _RefusedError(f"goes through more than {_MOST_FOLDERS} folders below each other")
        first, rest = components[0], components[1:]
        if first == "**":
            yield from self._walk(folder, rest)
            for entry in self._list(folder):
                # No link: it may lead back to where it lies.
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                    yield from self._walk((*folder, entry.name), components)
            return
        # As for the whole: a folder of this very name comes first, if what is meant lies in it.
        literal = list(self._descend(folder, first, rest)) if rest else []
        yield from literal or (
            each
            for name in self._match_names(folder, first)
            for each in self._descend(folder, name, rest)
        )

    def _descend(
        self, folder: tuple[str, ...], name: str, rest: Sequence[str]
    ) -> Iterator[tuple[str, ...]]:
        """Yield what matches at or below an entry of a folder."""
        path = self._root.joinpath(*folder, name)
        if not rest:
            yield (*folder, name)
        elif path.is_dir():
            self._check_inside(_resolve(path))
            yield from self._walk((*folder, name), rest)

    def _match_names(self, folder: tuple[str, ...], component: str) -> list[str]:
        if not _MAGIC.search(component):
            path = self._root.joinpath(*folder, component)
            return [component] if os.path.lexists(path) else []
        return [
            entry.name
            for entry in self._list(folder)
            if fnmatch.fnmatchcase(entry.name, component)
            and (component.startswith(".") or not entry.name.startswith("."))
        ]

    def _list(self, folder: tuple[str, ...]) -> list[os.DirEntry[str]]:
        listed = []
        try:
            with os.scandir(self._root.joinpath(*folder)) as entries:
                for entry in entries:
                    self._entries += 1
                    if self._entries > _MOST_ENTRIES:
                        raise _RefusedError(f"must look at more than {_MOST_ENTRIES:,} files")
                    listed.append(entry)
        except OSError as error:
            why = f"cannot be looked for: {inputfile.reason(error)}"
            raise _RefusedError(why) from error
        return listed


def _resolve(path: Path, *, is_strict: bool = False) -> Path:
    """Follow all links. pathlib's own way calls a loop of links a bug (before Python 3.13)."""
    return Path(os.path.realpath(path, strict=is_strict))


def _describe_kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "is a folder"
    return "is a link" if stat.S_ISLNK(mode) else "is a device, pipe or socket"
