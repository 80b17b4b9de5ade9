"""Texts of a run's inputs -> words, numbers and mailboxes, and the problems found in them."""

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
    """The inputs by name, normalised and with defaults, and the problems found in them.

    Attributes:
        problems: Every method that finds a problem adds it here, and returns a stand-in.
    """

    def __init__(self, inputs: Mapping[str, str], problems: list[Problem]) -> None:
        self._inputs = inputs
        self.problems = problems

    def __contains__(self, name: str) -> bool:
        return name in self._inputs

    def text(self, name: str) -> str:
        """Return an input as it is; empty when it is not given and has no default."""
        return self._inputs.get(name, "")

    def is_reported(self, name: str) -> bool:
        """Whether a problem of the input is known: what depends on it is not worth another one."""
        return any(each.where == name for each in self.problems)

    def word(self, name: str, words: type[Word]) -> Word:
        """Return an input that has choices and a value."""
        return words(self._inputs[name])

    def is_true(self, name: str) -> bool:
        """Return a boolean input."""
        return self._inputs[name].lower() == "true"

    def seconds(self, name: str) -> float:
        """Parse a duration: more than 0, one day at most."""
        text, hint = self._inputs[name], "Write seconds, such as 30 or 2.5."
        try:
            seconds = float(text)
        except ValueError:
            self.report(name, f"{quoted_word(text)} is not a number", hint)
            return 0.0
        # Written so that NaN fails too.
        if not 0 < seconds <= _LONGEST_WAIT:
            why = f"{quoted_word(text)} is not more than 0 and at most {_LONGEST_WAIT}"
            self.report(name, why, hint)
        return seconds

    def number(self, name: str) -> int:
        """Parse a whole number from 1 to 10000."""
        text = self._inputs[name]
        is_short = text.isascii() and text.isdigit() and len(text) <= 5
        if is_short and 1 <= int(text) <= _LARGEST:
            return int(text)
        self.report(name, f"{quoted_word(text)} is not a whole number from 1 to {_LARGEST}")
        return 1

    def lookups(self, name: str) -> tuple[Lookup, ...]:
        """Return the words in a list of recipients that stand for people."""
        words = addresses.split(self.text(name)) if name in RECIPIENTS else ()
        return tuple(dict.fromkeys(Lookup(word) for word in words if word in tuple(Lookup)))

    def mailboxes(self, name: str) -> tuple[Mailbox, ...]:
        """Parse a list of addresses, each once; lookups and invalid ones are left out."""
        lookups = self.lookups(name)
        members = [each for each in addresses.split(self.text(name)) if each not in lookups]
        if not members and name in self and not lookups:
            self.report(name, f"{quoted(self.text(name))} contains no address")
        mailboxes = []
        for number, member in enumerate(members, 1):
            display_name, addr_spec = addresses.name_and_addr_spec(member)
            try:
                mailboxes.append(addresses.mailbox(display_name, addr_spec))
            except ValueError as error:
                # Others read the log, where nobody in bcc is named.
                shown = f"number {number}" if name == "bcc" else quoted(addr_spec)
                self.problems.append(addresses.problem(name, shown, str(error)))
        return unique(mailboxes)

    def mailbox(self, name: str) -> Mailbox | None:
        """Parse the one address of an input; None when there is none."""
        mailboxes = self.mailboxes(name)
        if (number := len(addresses.split(self.text(name)))) > 1:
            self.report(
                name,
                f"{number} addresses are given, but only one is allowed",
                'Put a display name with a comma in quotes: "Doe, Jane" <jane@example.com>.',
            )
        return next(iter(mailboxes), None)

    def report(self, name: str, why: str, hint: str = "") -> None:
        """Add a problem of one input."""
        self.problems.append(Problem(name, why, hint))
