"""A path that an input names -> the file there, and not one that a stranger's link leads to.

A pull request's author writes what is in the workspace, links included: what is read there may be
told in the log, or mailed to whoever is in the author's own recipients.
"""

import errno
import os
from pathlib import Path

from chainloop_smtp import inputfile


def read(name: str, workspace: str, limit: int, *, patience: float = 0) -> bytes:
    """The content of the file that an input names.

    Args:
        workspace: As for `checked`; the others are as for `inputfile.read`.

    Raises:
        Unreadable: It is not a file to read.
    """
    try:
        path = checked(name, workspace)
    except (OSError, ValueError) as error:
        raise inputfile.unreadable(error) from error
    return inputfile.read(path, limit, patience=patience)


def checked(name: str, workspace: str) -> Path:
    """The path to open. One in the workspace has to stay there, and out of ``.git``.

    Args:
        workspace: Empty: there is none, and every link is followed.

    Raises:
        OSError: It leads out of the workspace, or to what the checkout keeps for itself.
        ValueError: It is no path.
    """
    given = Path(os.path.abspath(name))  # noqa: PTH100  # without following any link
    root = Path(os.path.realpath(workspace))
    if not (workspace and any(map(given.is_relative_to, (Path(workspace), root)))):
        return Path(name)
    real = Path(os.path.realpath(name))
    if not real.is_relative_to(root):
        raise OSError(errno.ELOOP, "it is a link out of the workspace")
    if ".git" in real.parts and ".git" not in given.parts:
        raise OSError(errno.ELOOP, "it is a link into .git")
    return real
