"""What can go wrong that is not our own bug: one root, four kinds, one exit code each.

| exit code | class | who has to act |
| --- | --- | --- |
| 0 | none | nobody: done, or skipped on purpose |
| 1 | none: a bug in this program | we: the traceback says where to report it |
| 2 | `OptionsError` | whoever wrote the workflow or typed the command |
| 3 | `AttestationError` | whoever produced the evidence |
| 4 | `MessageError` | whoever wrote the template or the headers |
| 5 | `DeliveryError` | the mail server, its operator, or the network between |
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

_HIDDEN = "(not shown: it may be a secret)"
# Keys, and tokens that their issuers have given a prefix.
_SECRET = re.compile(
    r"-----BEGIN |LS0tLS1CRUdJTi|\"private_key\"|\beyJ[\w-]{8,}\.eyJ"
    r"|\b(gh[a-z]_|github_pat_|glpat-|xox[a-z]-|AIza|SG\.|sk_live_|ya29\.)[\w-]{12}"
    r"|\b(AKIA|ASIA)[A-Z0-9]{16}\b"
)
# 16 characters of all three kinds, or as many of a password's: seldom in the name of a file.
_RANDOM = re.compile(r"[A-Za-z0-9+=]{16,}")
_HEXADECIMAL = re.compile(r"[0-9a-fA-F]{32,}")
_PASSWORD = re.compile(r"(?=.*[A-Za-z])(?=.*[0-9])(?=.*[!#$%^&@])[^\s./\\*]{8,64}")
_WORD = re.compile(r"[A-Za-z _-]{1,20}|.{0,3}|[+-]?[0-9][0-9.,:]{0,15} ?[A-Za-z]{0,4}")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, in the words of the person who can fix it.

    Attributes:
        where: In the reader's own words: an input's name, a JSON path, ``host:port``.
        why: What is wrong, with the offending value unless it is a secret.
        hint: What to do next. Empty when ``why`` already says so.
    """

    where: str
    why: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.why}" + (f"\n  {self.hint}" if self.hint else "")


class ChainloopSmtpError(Exception):
    """The root: carries every problem found at once.

    Attributes:
        problems: At least one.
        title: What is wrong as a whole; that of the class unless given.
    """

    exit_code: int
    title: str

    def __init__(self, *problems: Problem, title: str = "") -> None:
        super().__init__(*problems)
        self.problems = problems
        self.title = title or self.title

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class OptionsError(ChainloopSmtpError):
    """An option is missing, unknown or wrong."""

    exit_code = 2
    title = "Invalid options"


class AttestationError(ChainloopSmtpError):
    """The evidence cannot be read, or is not a Chainloop attestation."""

    exit_code = 3
    title = "The attestation cannot be read"


class MessageError(ChainloopSmtpError):
    """The mail cannot be written."""

    exit_code = 4
    title = "The mail cannot be written"


class DeliveryError(ChainloopSmtpError):
    """The mail did not get through.

    Attributes:
        is_temporary: Trying again may help.
    """

    exit_code = 5
    title = "The mail was not delivered"

    def __init__(self, *problems: Problem, title: str = "", is_temporary: bool = False) -> None:
        super().__init__(*problems, title=title)
        self.is_temporary = is_temporary


def missing_library(where: str, name: str) -> Problem:
    """A library of the extra ``crypto`` that is not there."""
    return Problem(
        where,
        f"needs the Python library {name}, which is not installed",
        "Install it: pip install cryptography rfc3161-client",
    )


def nearest(word: str, known: Collection[str], *, cutoff: float = 0.6) -> str:
    """Return the known name that is most like a word; empty when none is like it.

    Args:
        cutoff: How alike they have to be, from 0 to 1 (`difflib.get_close_matches`).
    """
    # Imported here: only a mistake needs it.
    import difflib

    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=cutoff)), "")


def nearest_hint(word: str, known: Collection[str], otherwise: str = "") -> str:
    """Return the hint for an unknown name: the nearest known one, or else the list of all.

    Args:
        otherwise: Replaces the list of all.
    """
    if meant := nearest(word, known):
        return f"Did you mean {meant}?"
    return otherwise or f"Available: {', '.join(known)}."


def quoted(value: str) -> str:
    """A value as an error shows it: in quotes, printable, on one line, at most 80 characters.

    A URL is shown without its login, whatever else is wrong with it; what is certainly a key or a
    token is not shown at all.
    """
    if _SECRET.search(value):
        return _HIDDEN
    scheme, separator, rest = value.partition("://")
    authority, slash, path = rest.partition("/")
    _, at, host = authority.rpartition("@")
    if separator and at:
        value = f"{scheme}://***@{host}{slash}{path}"
    shown = "".join(c if c.isprintable() else " " for c in value[:81])
    return "'" + (shown if len(value) <= 80 else shown[:77] + "...") + "'"


def quoted_path(value: str) -> str:
    """As `quoted`, for a path: not shown where it is more like a secret in the wrong option."""
    is_random = any(map(_is_mixed, _RANDOM.findall(value)))
    is_secret = is_random or _HEXADECIMAL.fullmatch(value) or _PASSWORD.fullmatch(value)
    return _HIDDEN if is_secret else quoted(value)


def quoted_word(value: str) -> str:
    """As `quoted`, for one of a few words or a number: shown only where it looks like one."""
    return quoted(value) if _WORD.fullmatch(value) else _HIDDEN


def _is_mixed(text: str) -> bool:
    kinds = ("[a-z]", "[A-Z]", "[0-9]")
    return all(re.search(kind, text) for kind in kinds)
