"""Words -> terminal, log, annotations, outputs, job summary. The only stage that prints.

Under GitHub Actions every line of a step's log may be a workflow command, on either stream. What
is printed here is often somebody else's text: a server's reply, a policy's message. It is made
unable to be one, by `plain`, before anything is printed.
"""

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import TextIO

from chainloop_smtp.errors import ChainloopSmtpError, Problem
from chainloop_smtp.inputfile import FLAGS, reason
from chainloop_smtp.secrets import Redactor, masks
from chainloop_smtp.secrets.readings import SHORTEST

_APPENDING = FLAGS | os.O_WRONLY | os.O_APPEND | os.O_CREAT
_LONGEST_SUMMARY = 1_000_000  # bytes


class Console:
    """Where the program speaks: two streams, and the runner's files where there is a runner.

    Attributes:
        is_actions: A GitHub Actions runner (or act) reads along.
        is_json: Standard output carries one JSON document and nothing else.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        is_json: bool = False,
    ) -> None:
        self.is_json = is_json
        self.is_actions = environ.get("GITHUB_ACTIONS") == "true"
        self._stdout = stdout or sys.stdout
        self._stderr = stderr or sys.stderr
        self._masks: list[str] = []
        self._redactor = Redactor()
        self._hidden: list[str] = []
        self._output_file = environ.get("GITHUB_OUTPUT", "") if self.is_actions else ""
        self._summary_file = environ.get("GITHUB_STEP_SUMMARY", "") if self.is_actions else ""

    def mask(self, user: str, secret: str) -> None:
        """Have the runner mask a secret in its log, from now on.

        Args:
            user: The user name that is sent together with it, or empty.
        """
        new = [form for form in masks(user, secret) if form not in self._masks]
        self._masks += new
        lines = [line for line in secret.splitlines() if len(line) >= SHORTEST]
        self._redactor.add(*(each.encode(errors="replace") for each in (secret, *lines)))
        for form in new if self.is_actions else ():
            # Escaped, not cleaned: a mask has to be exactly what is to be masked.
            escaped = form.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
            _print(f"::add-mask::{escaped}", self._log)

    def hide(self, *addresses: str) -> None:
        """Keep addresses out of all that people read, from now on; outputs and JSON have them.

        A mask would print them first.
        """
        self._hidden += (each for each in addresses if each not in self._hidden)

    def say(self, text: str) -> None:
        """Print a line to the log or the terminal."""
        _print(plain(self._public(text)), self._log)

    def aside(self, text: str) -> None:
        """Print a line for people, apart from what a program may read."""
        _print(plain(self._public(text)), self._stderr)

    def table(
        self, head: Sequence[str], rows: Iterable[Sequence[str]], *, is_framed: bool = True
    ) -> None:
        """Print columns as wide as need be; a cell of several lines makes its row as high.

        Args:
            is_framed: In the frame that Chainloop draws, so that the two can be compared.
        """
        table = [[cell.split("\n") for cell in row] for row in (head, *rows)]
        widths = [
            max(len(line) for cell in column for line in cell)
            for column in zip(*table, strict=True)
        ]
        rules = ["─" * (width + 2) for width in widths]
        rule = f"┌{'┬'.join(rules)}┐"
        for row in table:
            if is_framed:
                self.say(rule)
                rule = f"├{'┼'.join(rules)}┤"
            for line in zip_longest(*row, fillvalue=""):
                cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
                self.say(f"│ {' │ '.join(cells)} │" if is_framed else "  ".join(cells))
        if is_framed:
            self.say(f"└{'┴'.join(rules)}┘")

    def data(self, text: str) -> None:
        """Print one JSON document for a program to read (``-o json``).

        JSON escapes all that a runner could take for a command, but for ``##[``.
        """
        _print(text.replace("##[", "#\\u0023["), self._stdout)

    def notice(self, title: str, text: str) -> None:
        """Print what is worth knowing; an annotation in Actions."""
        self._annotate("notice", title, text, self._log)

    def warning(self, title: str, text: str) -> None:
        """Print what is wrong, but no reason to fail; an annotation in Actions."""
        self._annotate("warning", title, text, self._stderr)

    def failure(self, error: ChainloopSmtpError) -> None:
        """Print an error as one block on stderr; in Actions as an annotation, too."""
        _print(plain(self._public(f"{error.title}.\n{_block(error.problems)}")), self._stderr)
        if self.is_actions:
            self._command("error", str(error), title=f"Chainloop SMTP: {error.title}")

    def bug(self, trace: str) -> None:
        """Print the traceback of a bug, and ask for a report."""
        # Users paste it into bug reports, and nobody has reviewed it.
        trace = self._redactor.redact(trace)
        text = f"{trace}\nThis is a bug in Chainloop SMTP. Please report it with the lines above."
        _print(plain(text), self._stderr)
        if self.is_actions:
            self._command("error", "A bug in Chainloop SMTP: the log says where.")

    def outputs(self, values: Mapping[str, str]) -> None:
        """Write the step's outputs, one heredoc each, so that no value can start another."""
        if self.is_json:
            self.data(json.dumps({name: _typed(name, values[name]) for name in values}, indent=2))
        if self._output_file:
            text = ""
            for name, value in values.items():
                delimiter = f"ghadelimiter_{os.urandom(16).hex()}"
                text += f"{name}<<{delimiter}\n{value}\n{delimiter}\n"
            self._append(self._output_file, text, "the outputs")

    def summary(self, markdown: str) -> None:
        """Append to the job summary, where there is one.

        GitHub drops a step's summary of over 1 MiB, so a longer one is cut, and says so.
        """
        markdown = self._public(markdown)
        content = markdown.encode("utf-8", "replace")
        if len(content) > _LONGEST_SUMMARY:
            kept = content[:_LONGEST_SUMMARY].decode("utf-8", "ignore").rpartition("\n")[0]
            markdown = f"{kept}\n\n_Cut here: the whole is in the mail._"
        if self._summary_file:
            self._append(self._summary_file, markdown.rstrip("\n") + "\n\n", "the job summary")

    def _append(self, path: str, text: str, what: str) -> None:
        # The mail is worth more: not to get these written is a warning.
        try:
            # A pipe that nobody reads is an error then, and is not waited for.
            descriptor = os.open(path, _APPENDING, 0o666)
            with os.fdopen(
                descriptor, "a", encoding="utf-8", errors="replace", newline="\n"
            ) as file:
                file.write(text)
        except OSError as error:
            self.warning(f"{what} cannot be written", f"{path}: {error.strerror}")

    def _annotate(self, kind: str, title: str, text: str, stream: TextIO) -> None:
        if self.is_actions:
            self._command(kind, text, title=f"Chainloop SMTP: {title}")
        else:
            _print(plain(self._public(f"{title}: {text}")), stream)

    def _command(self, name: str, text: str, title: str = "") -> None:
        """A workflow command; its text is escaped as the runner unescapes it."""
        properties = f" title={_escaped(title, ':,')}" if title else ""
        _print(f"::{name}{properties}::{_escaped(self._public(text))}", self._log)

    def _public(self, text: str) -> str:
        for each in self._hidden:
            # No part of a longer address, nor a longer domain's beginning.
            address = rf"(?<![\w.%+-]){re.escape(each)}(?![\w-]|\.\w)"
            text = re.sub(address, "(bcc)", text, flags=re.IGNORECASE)
        return text

    @property
    def _log(self) -> TextIO:
        """Where a runner reads commands; act takes them from standard output only."""
        return self._stderr if self.is_json else self._stdout


def _print(text: str, stream: TextIO) -> None:
    # Not every terminal's encoding has a check mark.
    encoding = getattr(stream, "encoding", None) or "utf-8"
    text = text.encode(encoding, "replace").decode(encoding)
    try:
        print(text, file=stream, flush=True)
    except OSError as error:
        # The reader, such as head, has seen enough, or the disk is full. The work goes on, and what
        # is left in the buffer must not fail at the end either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if not isinstance(error, BrokenPipeError) and stream is not sys.stderr:
            _print(f"The rest of the output is lost: {reason(error)}.", sys.stderr)


def _typed(name: str, value: str) -> object:
    """An output as JSON has it; a runner takes text only."""
    return json.loads(value) if name in ("sent", "accepted", "refused", "attempts") else value


def plain(text: str) -> str:
    """The text, with nothing in it that a runner would take for a command.

    A command starts with ``::`` behind any blanks, or with ``##[`` anywhere in a line. Lines end
    at LF, CR, or both. Escape codes could hide or repaint what stands above.
    """
    return "\n".join(_plain_line(line) for line in text.split("\n"))


def _plain_line(line: str) -> str:
    line = "".join(c if c.isprintable() else " " for c in line).rstrip()
    line = line.replace("##[", "# #[")
    bare = line.lstrip()
    if bare.startswith("::"):
        line = line[: len(line) - len(bare)] + ": :" + bare[2:]
    return line


def _block(problems: Iterable[Problem]) -> str:
    lines = []
    for problem in problems:
        lines.append(f"  {problem.where}: {problem.why}")
        lines += [f"    {problem.hint}"] if problem.hint else []
    return "\n".join(lines)


def _escaped(text: str, more: str = "") -> str:
    """Percent-encoding as in the runner's own toolkit; further control characters become blanks."""
    text = "".join(c if c.isprintable() or c == "\n" else " " for c in text.replace("\r\n", "\n"))
    # The annotation's lines are shown in the log, where this would fold or colour what follows.
    text = text.replace("##[", "# #[")
    for character in "%\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text
