"""A folder -> the user's templates. Read here, so that the stage that uses them touches no file."""

import os
from pathlib import Path

from chainloop_smtp import inputfile
from chainloop_smtp.errors import MessageError, OptionsError, Problem, quoted, quoted_path
from chainloop_smtp.model.mail import TemplateFile, Templates

SUFFIX = ".j2"
_LONGEST = 128 * 1024  # octets of one file
_MOST = 32  # files
_ENTRIES = 10_000  # of the folder: more is no folder of templates


def templates(folder: str, subject: str) -> Templates:
    """What ``template-dir`` holds and ``subject`` says, unread.

    Only the folder's own files are taken, none of its folders, and none that leads out of it.

    Args:
        folder: Relative to the workspace; empty: none.
        subject: The template itself; empty: none.

    Raises:
        OptionsError: There is no such folder.
        MessageError: A file of it is none that can be used; with every problem.
    """
    if not folder:
        return Templates(subject=subject)
    try:
        home = Path(os.path.realpath(folder, strict=True))
        with os.scandir(home) as entries:
            names = sorted(entry.name for entry, _ in zip(entries, range(_ENTRIES), strict=False))
    except (OSError, ValueError) as error:
        why = f"{quoted_path(folder)} is no folder to read: {inputfile.reason(error)}"
        is_missing = isinstance(error, FileNotFoundError)
        hint = inputfile.nearby(folder, f"*{SUFFIX}", is_folder=True) if is_missing else ""
        raise OptionsError(Problem("template-dir", why, hint)) from error
    wanted = [name for name in names if name.endswith(SUFFIX)]
    problems: list[Problem] = []
    if len(wanted) > _MOST:
        problems.append(Problem("template-dir", f"{len(wanted)} templates are more than {_MOST}"))
    files = [_file(home, name, problems) for name in wanted[:_MOST]]
    if problems:
        raise MessageError(*problems)
    others = tuple(name for name in names if not name.endswith(SUFFIX))
    return Templates(subject=subject, folder=folder, files=tuple(files), others=others)


def _file(home: Path, name: str, problems: list[Problem]) -> TemplateFile:
    """One file of the folder; empty where it is reported."""
    text = ""
    try:
        target = Path(os.path.realpath(home / name))
        if not target.is_relative_to(home):
            raise inputfile.Unreadable("it leads out of this folder")
        text = inputfile.read(target, _LONGEST).decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        problems.append(Problem(f"template-dir {quoted(name)}", "it is not UTF-8"))
    except inputfile.Unreadable as error:
        problems.append(Problem(f"template-dir {quoted(name)}", error.why, error.hint))
    return TemplateFile(name=name, text=text)
