"""``file:PATH`` in a list of recipients -> the addresses in that file."""

import codecs
import json
import re

from chainloop_smtp.errors import OptionsError, Problem, quoted_path
from chainloop_smtp.inputfile import Unreadable
from chainloop_smtp.source import paths

PREFIX = "file:"
_MAX_BYTES = 256 * 1024
# Only behind a blank: an address may hold the sign itself.
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*")


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
        text = _text(paths.read(path, workspace, _MAX_BYTES))
    except UnicodeDecodeError as error:
        why = "is neither UTF-8, UTF-16 nor Windows-1252"
        raise OptionsError(Problem(where, why, "Save it as UTF-8.")) from error
    except Unreadable as error:
        raise OptionsError(Problem(where, error.why, error.hint)) from error
    return [bare for line in text.splitlines() if (bare := _COMMENT.sub("", line).strip())]


def _text(octets: bytes) -> str:
    """What Windows' programs save too: UTF-16 (PowerShell), or else Windows-1252."""
    try:
        # With a byte order mark or, by its zero bytes, without.
        return octets.decode(json.detect_encoding(octets))
    except UnicodeDecodeError:
        if octets.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise
        return octets.decode("cp1252")
