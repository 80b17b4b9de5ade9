"""Workspace -> the text of Chainloop's own file in the repository."""

from pathlib import Path

from chainloop_smtp.errors import Problem
from chainloop_smtp.inputfile import UnreadableError
from chainloop_smtp.source import paths

_NAMES = (".chainloop.yml", ".chainloop.yaml")
_MAX_BYTES = 64 * 1024


def read_names_file(workspace: str) -> tuple[str, str | Problem]:
    """Read the nearest ``.chainloop.yml``, from the workspace up to the root of its repository.

    Chainloop's CLI looks for it in the same way (``repositoryconfig.LoadChainloopYML``).

    Args:
        workspace: Empty: the current folder.

    Returns:
        Its name, and its text or why it cannot be read; the name is empty where there is none.
    """
    for path in _candidates(Path(workspace or ".").absolute()):
        try:
            content = paths.read(str(path), workspace, _MAX_BYTES)
            return path.name, content.decode("utf-8-sig", "replace")
        except UnreadableError as error:
            if not error.missing:
                return path.name, Problem(path.name, error.why, error.hint)
    return "", ""


def _candidates(here: Path) -> list[Path]:
    folders = [here, *here.parents]
    roots = [number for number, folder in enumerate(folders) if (folder / ".git").exists()]
    # Outside of a repository, only the folder itself counts.
    up_to_root = folders[: roots[0] + 1] if roots else folders[:1]
    return [folder / name for folder in up_to_root for name in _NAMES]
