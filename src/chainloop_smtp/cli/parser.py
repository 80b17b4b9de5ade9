"""Words of the command line -> Namespace. argparse, with errors like those of any other option."""

import argparse
from collections.abc import Sequence
from itertools import takewhile
from typing import Any, NoReturn

from chainloop_smtp import options
from chainloop_smtp.errors import OptionsError, Problem, nearest, nearest_hint, quoted_word

Group = argparse._SubParsersAction  # noqa: SLF001  # argparse has no public name for it


class Parser(argparse.ArgumentParser):
    """One command, or a group of commands.

    An unknown flag is reported first, and without what follows it: that may be a password, which
    argparse would take for something else.
    """

    def __init__(self, **more: Any) -> None:
        super().__init__(allow_abbrev=False, **more)
        self._words: Sequence[str] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's, which calls it for each command with the words behind its name."""
        self._words = args
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            raise OptionsError(*self._unknown_flags() or [_stray_words(unknown)])
        return parsed, unknown

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print."""
        # What follows the `=` of `--password-stdin=…` might be the password.
        message, ignored, _ = message.partition(": ignored explicit argument")
        message += ": takes no value" if ignored else ""
        there_are = f"There are: {', '.join(self._commands())}. " if self._commands() else ""
        hint = f"{there_are}{self.prog} --help says {'more' if there_are else 'what there is'}."
        raise OptionsError(*self._unknown_flags() or [Problem(self.prog, message, hint)])

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        choices = list(map(str, action.choices))
        is_command = not action.option_strings
        where = self.prog if is_command else "/".join(action.option_strings)
        why = f"{quoted_word(value)} is {'no command' if is_command else 'not one of its words'}"
        problem = Problem(where, why, nearest_hint(value, choices))
        raise OptionsError(*self._unknown_flags() or [problem])

    def _commands(self) -> list[str]:
        """Those of a group; none for a command."""
        groups = (each for each in self._actions if isinstance(each.choices, dict))
        return [name for each in groups for name in each.choices or ()]

    def _unknown_flags(self) -> list[Problem]:
        words = takewhile(lambda word: word != "--", self._words)
        if self._commands():
            # What stands behind a command's name is that command's.
            words = takewhile(lambda word: word.startswith("-"), words)
        flags = [word.partition("=")[0] for word in words if word.startswith("--")]
        return [
            self._unknown_flag(flag)
            for flag in dict.fromkeys(flags)
            if flag not in self._option_string_actions
        ]

    def _unknown_flag(self, flag: str) -> Problem:
        secrets = [f"--{name}" for name in options.SECRETS]
        known = [each for each in self._option_string_actions if each.startswith("--")]
        meant = nearest(flag, [*known, *secrets])
        if meant not in secrets:
            return Problem(flag, "there is no such flag", f"Did you mean {meant}?" if meant else "")
        why = "a secret on a command line is seen by every process of the machine"
        by_stdin = ", or use --password-stdin" if meant == "--password" else ""
        return Problem(flag, why, f"Set {options.variable_of(meant[2:])}{by_stdin}.")


def _stray_words(unknown: Sequence[str]) -> Problem:
    """Words that belong to no flag, which might be anything: none of them is shown."""
    number = len(unknown)
    word = "one word belongs" if number == 1 else f"{number} words belong"
    return Problem("arguments", f"{word} to no flag", "A value with blanks stands in quotes.")
