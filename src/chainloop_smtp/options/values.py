"""The inputs of one run, and the problems found in them: what every part of the options reads."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from chainloop_smtp.errors import Problem, quoted, quoted_word
from chainloop_smtp.model.settings import Lookup, Mailbox, unique
from chainloop_smtp.options import addresses

_LONGEST_WAIT = 24 * 60 * 60  # seconds
_LARGEST = 10_000
RECIPIENTS = ("to", "cc", "bcc")

Word = TypeVar("Word", bound=StrEnum)


class Values:
    """The inputs by name, normalised, defaults filled in; and what is found wrong with them.

    Attributes:
        problems: Added to by every method that finds one; what it then gives back is a stand-in.
    """

    def __init__(self, given: Mapping[str, str], problems: list[Problem]) -> None:
        self._given = given
        self.problems = problems

    def __contains__(self, name: str) -> bool:
        """The input is given, or has a default."""
        return name in self._given

    def text(self, name: str) -> str:
        """The input as it is; empty when it is not given."""
        return self._given.get(name, "")

    def word(self, name: str, words: type[Word]) -> Word:
        """One of an input's words, which has a default."""
        return words(self._given[name])

    def is_true(self, name: str) -> bool:
        """A boolean, which has a default."""
        return self._given[name].lower() == "true"

    def seconds(self, name: str) -> float:
        """Seconds to wait: more than none, a day at most."""
        value, hint = self._given[name], "Write seconds, such as 30 or 2.5."
        try:
            seconds = float(value)
        except ValueError:
            self.wrong(name, f"{quoted_word(value)} is not a number", hint)
            return 0.0
        # Written so that NaN fails too.
        if not 0 < seconds <= _LONGEST_WAIT:
            why = f"{quoted_word(value)} is not more than 0 and at most {_LONGEST_WAIT}"
            self.wrong(name, why, hint)
        return seconds

    def number(self, name: str) -> int:
        """A whole number from 1 to 10000."""
        value = self._given[name]
        if value.isascii() and value.isdigit() and 1 <= int(value[:6]) <= _LARGEST:
            return int(value)
        self.wrong(name, f"{quoted_word(value)} is no whole number from 1 to {_LARGEST}")
        return 1

    def lookups(self, name: str) -> tuple[Lookup, ...]:
        """The words in a list of recipients that stand for people."""
        words = addresses.split(self.text(name)) if name in RECIPIENTS else ()
        return tuple(dict.fromkeys(Lookup(word) for word in words if word in tuple(Lookup)))

    def members(self, name: str) -> tuple[str, ...]:
        """The addresses in a list, unread; without the words that stand for people."""
        members = addresses.split(self.text(name))
        if name not in RECIPIENTS:
            return members
        return tuple(member for member in members if member not in tuple(Lookup))

    def mailboxes(self, name: str) -> tuple[Mailbox, ...]:
        """The mailboxes of one input, each once; those that are none are reported and left out."""
        members = self.members(name)
        if not members and name in self and not self.lookups(name):
            self.wrong(name, f"{quoted(self.text(name))} holds no address")
        found = []
        for number, member in enumerate(members, 1):
            display_name, addr_spec = addresses.name_and_addr_spec(member)
            try:
                found.append(addresses.mailbox(display_name, addr_spec))
            except ValueError as error:
                # Others read the log.
                shown = f"number {number}" if name == "bcc" else quoted(addr_spec)
                self.problems.append(addresses.problem(name, shown, str(error)))
        return unique(found)

    def mailbox(self, name: str) -> Mailbox | None:
        """The one mailbox of an input; None when there is none."""
        members = addresses.split(self.text(name))
        if len(members) > 1:
            self.wrong(
                name,
                f"{len(members)} addresses are given where one belongs",
                'A display name with a comma stands in quotes: "Doe, Jane" <jane@example.com>.',
            )
        return next(iter(self.mailboxes(name)), None)

    def wrong(self, name: str, why: str, hint: str = "") -> None:
        """Reports a problem of one input."""
        self.problems.append(Problem(name, why, hint))
