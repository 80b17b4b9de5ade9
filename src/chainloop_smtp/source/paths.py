"""Path -> what is there: a file that an input names, recipients, templates, or `.chainloop.yml`.

A pull request's author writes what is in the workspace, links included: what is read there may be
shown in the log, or mailed to whoever is in the author's own recipients. So a path in the workspace
has to stay there.
"""

import codecs
import errno
import json
import os
import re
from pathlib import Path

from chainloop_smtp import inputfile
from chainloop_smtp.errors import MessageError, OptionsError, Problem, quoted, quoted_path
from chainloop_smtp.inputfile import UnreadableError
from chainloop_smtp.model.mail import TemplateFile, Templates

_LIST_PREFIX = "file:"
_LIST = re.compile(rf"(?:^|[,;])\s*{_LIST_PREFIX}([^,;]*)")
_MAX_LIST_BYTES = 256 * 1024
# Only after a blank: an address may contain the sign itself.
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*")

_NAMES_FILES = (".chainloop.yml", ".chainloop.yaml")
_MAX_NAMES_FILE_BYTES = 64 * 1024

_TEMPLATE_SUFFIX = ".j2"
_MAX_TEMPLATE_BYTES = 128 * 1024
_MAX_TEMPLATES = 32
_MAX_ENTRIES = 10_000  # a folder with more is not one of templates


def read(name: str, workspace: str, limit: int, *, timeout: float = 0) -> bytes:
    """Read the file that an input names.

    Args:
        workspace: A link out of it, or into its ``.git``, is refused. Empty: there is none, and
            every link is followed.
        limit: Bytes; a larger file is refused.
        timeout: Seconds to wait for a pipe; 0: only a regular file is read.

    Raises:
        UnreadableError: It is not a file that can be read.
    """
    try:
        path = _resolve(name, workspace)
    except (OSError, ValueError) as error:
        raise inputfile.wrap(error) from error
    try:
        return inputfile.read(path, limit, timeout=timeout)
    except UnreadableError as error:
        if error.missing:
            # Hints are about the path in the user's own words.
            error.missing = name
        raise


def _resolve(name: str, workspace: str) -> Path:
    """Follow links as `read` may.

    Raises:
        OSError: A link leads where it must not.
    """
    given = Path(os.path.abspath(name))  # noqa: PTH100  # without following any link
    root = Path(os.path.realpath(workspace))
    # A folder of the workspace may have other names, such as /var on macOS.
    folders = (Path(os.path.realpath(each)) for each in given.parents)
    if not (workspace and any(each.is_relative_to(root) for each in folders)):
        return Path(name)
    real = Path(os.path.realpath(name))
    if not real.is_relative_to(root):
        raise OSError(errno.ELOOP, "it is a link out of the workspace")
    if is_link_into_git(given, real):
        raise OSError(errno.ELOOP, "it is a link into .git")
    return real


def is_link_into_git(given: Path, real: Path) -> bool:
    """Whether a path only leads into ``.git`` by a link. The checkout may keep a token there."""
    # On some systems, .GIT is the same folder.
    is_named, is_there = (".git" in map(str.lower, each.parts) for each in (given, real))
    return is_there and not is_named


def expand_list(name: str, text: str, workspace: str) -> str:
    """Replace each ``file:PATH`` in a list of addresses by the lines of that file.

    Args:
        name: The input's, for the error.
        text: As the user gives it: members separated by commas, semicolons or lines.
        workspace: As for `read`.

    Raises:
        OptionsError: A file cannot be read.
    """
    if _LIST_PREFIX not in text:
        return text
    members = []
    for line in text.splitlines():
        # What is between them stays whole, since a quoted name may hold a comma.
        between, *found = _LIST.split(line)
        members.append(between)
        for path, between in zip(found[::2], found[1::2], strict=True):
            members += _read_list(name, path.strip(), workspace)
            members.append(between)
    return "\n".join(filter(None, members))


def _read_list(name: str, path: str, workspace: str) -> list[str]:
    """Read a file's lines without comments."""
    where = f"{name} {quoted_path(_LIST_PREFIX + path)}"
    try:
        text = _decode(read(path, workspace, _MAX_LIST_BYTES))
    except UnicodeDecodeError as error:
        why = "is neither UTF-8, UTF-16 nor Windows-1252"
        raise OptionsError(Problem(where, why, "Save it as UTF-8.")) from error
    except UnreadableError as error:
        raise OptionsError(Problem(where, error.why, error.hint)) from error
    return [bare for line in text.splitlines() if (bare := _COMMENT.sub("", line).strip())]


def _decode(content: bytes) -> str:
    """Decode what Windows' programs save too: UTF-16 (PowerShell), or else Windows-1252."""
    try:
        # With a byte order mark or, by its zero bytes, without.
        return content.decode(json.detect_encoding(content))
    except UnicodeDecodeError:
        if content.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise
        return content.decode("cp1252")


def read_names_file(workspace: str) -> tuple[str, str | Problem]:
    """Read the nearest ``.chainloop.yml``, from the workspace up to the root of its repository.

    Chainloop's CLI looks for it in the same way (``repositoryconfig.LoadChainloopYML``).

    Args:
        workspace: Empty: the current folder.

    Returns:
        Its name, and its text or why it cannot be read; the name is empty where there is none.
    """
    for path in _candidates(Path(workspace).absolute()):
        try:
            content = read(str(path), workspace, _MAX_NAMES_FILE_BYTES)
            return path.name, content.decode("utf-8-sig")
        except UnicodeDecodeError:
            # Chainloop's CLI does not read it either.
            return path.name, Problem(path.name, "is not UTF-8", "Save it as UTF-8.")
        except UnreadableError as error:
            if not error.missing:
                return path.name, Problem(path.name, error.why, error.hint)
    return "", ""


def _candidates(here: Path) -> list[Path]:
    folders = [here, *here.parents]
    roots = [number for number, folder in enumerate(folders) if (folder / ".git").exists()]
    # Outside of a repository, only the folder itself counts.
    up_to_root = folders[: roots[0] + 1] if roots else folders[:1]
    return [folder / name for folder in up_to_root for name in _NAMES_FILES]


def read_templates(folder: str, subject: str, workspace: str) -> Templates:
    """Read the files that lie in ``template-dir`` itself, and none that a link leads out of it.

    Args:
        folder: Empty: none.
        subject: The subject's template itself; empty: none.
        workspace: As for `read`.

    Raises:
        OptionsError: There is no such folder.
        MessageError: A file of it cannot be used; with every problem.
    """
    if not folder:
        return Templates(subject=subject)
    try:
        home = Path(os.path.realpath(_resolve(folder, workspace)))
        with os.scandir(home) as entries:
            limited = zip(entries, range(_MAX_ENTRIES), strict=False)
            names = sorted(entry.name for entry, _ in limited)
    except (OSError, ValueError) as error:
        why = f"{quoted_path(folder)} is not a readable folder: {inputfile.reason(error)}"
        is_missing = isinstance(error, FileNotFoundError)
        pattern = f"*{_TEMPLATE_SUFFIX}"
        hint = inputfile.suggest(folder, pattern, is_folder=True) if is_missing else ""
        raise OptionsError(Problem("template-dir", why, hint)) from error
    wanted = [name for name in names if name.endswith(_TEMPLATE_SUFFIX)]
    problems: list[Problem] = []
    if len(wanted) > _MAX_TEMPLATES:
        why = f"{len(wanted)} templates are more than {_MAX_TEMPLATES}"
        problems.append(Problem("template-dir", why))
    files = []
    for name in wanted[:_MAX_TEMPLATES]:
        try:
            files.append(TemplateFile(name=name, text=_read_template(home, name, workspace)))
        except UnicodeDecodeError:
            where = f"template-dir {quoted(name)}"
            problems.append(Problem(where, "is not UTF-8", "Save it as UTF-8."))
        except UnreadableError as error:
            # Only a link can be listed and missing; no other file is meant.
            hint = "" if error.missing else error.hint
            problems.append(Problem(f"template-dir {quoted(name)}", error.why, hint))
    if problems:
        raise MessageError(*problems)
    others = tuple(name for name in names if not name.endswith(_TEMPLATE_SUFFIX))
    return Templates(subject=subject, folder=folder, files=tuple(files), others=others)


def _read_template(home: Path, name: str, workspace: str) -> str:
    path = home / name
    if not Path(os.path.realpath(path)).is_relative_to(home):
        raise UnreadableError("it leads out of this folder")
    content = read(str(path), workspace, _MAX_TEMPLATE_BYTES)
    return content.decode("utf-8-sig").replace("\r\n", "\n")
