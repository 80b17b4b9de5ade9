"""``file:PATH`` in a list of recipients -> the addresses in that file."""

from chainloop_smtp.errors import OptionsError, Problem, quoted_path
from chainloop_smtp.inputfile import Unreadable
from chainloop_smtp.source import paths

PREFIX = "file:"
_MAX_BYTES = 256 * 1024


def expanded(name: str, text: str, workspace: str) -> str:
    """A list of addresses with every file in it replaced by its lines.

    Args:
        name: The input's, for the error.
        text: As the user gives it: members separated by commas or lines.
        workspace: As for `paths.checked`.

    Raises:
        OptionsError: A file cannot be read.
    """
    if PREFIX not in text:
        return text
    members = []
    for line in text.splitlines():
        for member in line.split(",") if PREFIX in line else (line,):
            path = member.strip().removeprefix(PREFIX)
            is_file = member.strip().startswith(PREFIX)
            members += _lines(name, path.strip(), workspace) if is_file else [member]
    return "\n".join(members)


def _lines(name: str, path: str, workspace: str) -> list[str]:
    """A file's lines without comments."""
    where = f"{name} {quoted_path(PREFIX + path)}"
    try:
        text = paths.read(path, workspace, _MAX_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise OptionsError(Problem(where, "is not UTF-8")) from error
    except Unreadable as error:
        hint = error.hint or "One address a line; # starts a comment."
        raise OptionsError(Problem(where, error.why, hint)) from error
    return [bare for line in text.splitlines() if (bare := line.partition("#")[0].strip())]
