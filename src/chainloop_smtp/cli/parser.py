"""Words of the command line -> Namespace; each input -> its line in ``--help``. Uses argparse."""

import argparse
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import takewhile
from typing import Any, NoReturn

from chainloop_smtp import options
from chainloop_smtp.errors import OptionsError, Problem, nearest, nearest_hint, quoted_word

# argparse has no public names for these.
Group = argparse._SubParsersAction  # noqa: SLF001
Flags = argparse._ActionsContainer  # noqa: SLF001

_COLUMN = 31  # where the texts of --help begin
# The inputs that have a line in --help: a placeholder for the value, and a text that fits.
_USUAL = {
    "host": ("HOST", "name or IP address of the mail server"),
    "port": ("PORT", "usually 587 (STARTTLS) or 465 (implicit TLS)"),
    "user": ("NAME", "login name; a relay without login: --auth none"),
    "password": ("", "password, or --password-stdin"),
    "from": ("ADDRESS", "sender, with or without a display name"),
    "to": ("ADDRESSES", "recipients, separated by commas"),
    "cc": ("ADDRESSES", "further recipients, shown in the mail"),
    "bcc": ("ADDRESSES", "more recipients, not shown in the mail"),
    "attestation": ("FILE", "what chainloop printed (repeatable); - is stdin"),
    "workflow-run-id": ("ID", "or the id of a Chainloop run"),
    "trusted-root": ("FILE", "trusted signers: CA certificates, in PEM"),
    "previous-attestation": ("FILE", "an earlier one, to compare with"),
    "job-status": ("WORD", "result of the job, such as success or failure"),
    "subject": ("TEMPLATE", "the subject, in Jinja2"),
    "attach": ("WHAT", "attestation, report, or files"),
    "tls": ("MODE", "auto, starttls, implicit or none"),
    "tls-ca-file": ("FILE", "certificate authorities to trust, in PEM"),
    "auth": ("MECHANISM", "auto, none, or one such as plain"),
    "oauth2-provider": ("NAME", "microsoft or google: a token, no password"),
    "proxy": ("URL", "http:// or socks5://"),
    "deadline": ("SECONDS", "for everything that touches the network"),
    "send-on": ("WHEN", "such as always, failed, violated"),
    "config": ("FILE", "registrations and attachments, for many mails"),
    "dry-run": ("", "write the mail without connecting"),
    "output-dir": ("FOLDER", "for the mail and its receipt"),
}


class Parser(argparse.ArgumentParser):
    """One command, or a group of commands.

    An unknown flag is reported first, and without what follows it: that may be a password, which
    argparse would take for something else.

    Attributes:
        is_whole: The help describes every input at length.
    """

    def __init__(self, **more: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=_Formatter, **more)
        self.register("action", None, _Value)
        self._words: Sequence[str] = ()
        self.is_whole = False
        self._usual_groups: Collection[str] = ()
        self._inputs: dict[str, list[str]] = {}

    def add_inputs(self, usual_groups: Collection[str], without: Collection[str] = ()) -> None:
        """Add a flag for every input but the secret ones, which a process list would show.

        Args:
            usual_groups: First inputs of those groups that ``--help`` shows; ``--help-all`` shows
                every group.
            without: Inputs that the command does not take.
        """
        self._usual_groups = usual_groups
        for each in options.INPUTS:
            if each.name in options.GROUPS:
                names = self._inputs[each.name] = []
            if each.name in without:
                continue
            names.append(each.name)
            if not each.is_secret:
                # A flag alone says true. What --help says of it is written when somebody asks.
                alone = "?" if "true" in each.choices else None
                self.add_argument(
                    f"--{each.name}", nargs=alone, const=alone and "true", help=argparse.SUPPRESS
                )
        self.add_argument(
            "--help-all", action=_HelpAll, nargs=0, help="show every flag, at length, and exit"
        )

    def format_help(self) -> str:
        """As argparse's, with the inputs group by group: the usual ones, or all at length."""
        for first in self._inputs if self.is_whole else self._usual_groups:
            group = self.add_argument_group(options.GROUPS[first])
            # Only for display: the flags themselves exist already.
            group._group_actions += _help_lines(  # noqa: SLF001
                self._inputs[first], is_whole=self.is_whole
            )
        # What every command has comes last.
        self._action_groups.remove(self._optionals)
        self._action_groups.append(self._optionals)
        return super().format_help()

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
        there_are = f"Available: {', '.join(self._commands())}. " if self._commands() else ""
        hint = f"{there_are}See {self.prog} --help."
        raise OptionsError(*self._unknown_flags() or [Problem(self.prog, message, hint)])

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        choices = list(map(str, action.choices))
        is_command = not action.option_strings
        where = self.prog if is_command else "/".join(action.option_strings)
        why = f"{quoted_word(value)} is {'not a command' if is_command else 'not a valid value'}"
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
        why = "every process on the machine can see a secret on a command line"
        by_stdin = ", or use --password-stdin" if meant == "--password" else ""
        return Problem(flag, why, f"Set {options.variable_of(meant[2:])}{by_stdin}.")


class _Value(argparse.Action):
    """Store a value; those of a list that is given again are its lines."""

    def __call__(self, parser: Any, namespace: Any, value: Any, flag: str | None = None) -> None:
        before = getattr(namespace, self.dest)
        if before is not parser.get_default(self.dest):
            name = self.dest.replace("_", "-")
            if name not in options.BY_NAME or not options.BY_NAME[name].is_list:
                raise OptionsError(Problem(str(flag), "is given twice", "Keep one of them."))
            value = f"{before}\n{value}"
        setattr(namespace, self.dest, value)


class _HelpAll(argparse.Action):
    """Print every flag at length, and exit."""

    def __call__(self, parser: Any, *_: Any) -> None:
        parser.is_whole = True
        parser.print_help()
        parser.exit()


class _Formatter(argparse.HelpFormatter):
    """Breaks no word at its dashes, keeps paragraphs, and leaves indented lines as they are."""

    def __init__(self, prog: str, **more: Any) -> None:
        super().__init__(prog, max_help_position=_COLUMN, **more)

    def _split_lines(self, text: str, width: int) -> list[str]:
        from textwrap import wrap

        return wrap(text, width, break_on_hyphens=False)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines = (
            [line] if line[:1] in ("", " ") else self._split_lines(line, width)
            for line in text.split("\n")
        )
        return "\n".join(indent + line for each in lines for line in each)


def _stray_words(unknown: Sequence[str]) -> Problem:
    """Words that belong to no flag. They might be secrets, so none of them is shown."""
    number = len(unknown)
    word = "one word belongs" if number == 1 else f"{number} words belong"
    return Problem("arguments", f"{word} to no flag", "Put a value with spaces in quotes.")


def _help_lines(names: Iterable[str], *, is_whole: bool) -> Iterator[argparse.Action]:
    """Describe the inputs of one group: each at length, or the usual ones in a line each."""
    others = []
    for name in names:
        given = options.BY_NAME[name]
        flag = options.variable_of(name) if given.is_secret else f"--{name}"
        value, text = _USUAL.get(name, ("VALUE", ""))
        if is_whole:
            text = given.plain_help
        elif not text:
            others.append(flag)
            continue
        is_switch = given.default == "false"
        default = f" [{given.default}]" if given.default and not is_switch else ""
        yield _help_line(flag, "" if is_switch else value, text + default)
    if others:
        yield _help_line("also", "", " ".join(others))


def _help_line(flag: str, value: str, text: str) -> argparse.Action:
    """Make a line of a group; one that is no flag looks like a positional argument."""
    is_flag = flag.startswith("-")
    return argparse.Action(
        [flag] if is_flag else [],
        flag,
        nargs=None if value else 0,
        metavar=value if is_flag else flag,
        help=text.replace("%", "%%"),
    )
