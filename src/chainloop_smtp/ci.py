"""Words -> terminal, log, annotations, outputs, job summary. The only stage that prints.

Under GitHub Actions every line of a step's log may be a workflow command, on either stream. What
is printed here is often somebody else's text: a server's reply, a policy's message. It is made
unable to be one, by `plain`, before anything is printed.
"""

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from typing import TextIO

from chainloop_smtp.errors import ChainloopSmtpError, Problem
from chainloop_smtp.secrets import SHORTEST, Redactor, masks

_APPENDING = (
    os.O_WRONLY
    | os.O_APPEND
    | os.O_CREAT
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_LONGEST_SUMMARY = 1_000_000  # octets


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
        """Keeps addresses out of all that people read, from here on; outputs and JSON have them.

        Unlike a mask, which would first print them.
        """
        self._hidden += (each for each in addresses if each not in self._hidden)

    def say(self, text: str) -> None:
        """A line of the log or of the terminal."""
        _print(plain(self._public(text)), self._log)

    def aside(self, text: str) -> None:
        """A line for whoever watches, beside what a program may read."""
        _print(plain(self._public(text)), self._stderr)

    def data(self, text: str) -> None:
        """One JSON document for a program to read (``-o json``).

        JSON escapes all that is not plain but one thing, and has another way to write that.
        """
        _print(text.replace("##[", "#\\u0023["), self._stdout)

    def notice(self, title: str, text: str) -> None:
        """Worth knowing."""
        self._annotate("notice", title, text, self._log)

    def warning(self, title: str, text: str) -> None:
        """Not right, but no reason to fail."""
        self._annotate("warning", title, text, self._stderr)

    def failure(self, error: ChainloopSmtpError) -> None:
        """One block on stderr: what, why, what to do. In Actions an annotation as well."""
        _print(plain(self._public(f"{error.title}.\n{_block(error.problems)}")), self._stderr)
        if self.is_actions:
            self._command("error", str(error), title=f"Chainloop SMTP: {error.title}")

    def bug(self, trace: str) -> None:
        """A failure that is ours."""
        # Nobody has looked at it, and it is meant to be passed on.
        trace = self._redactor.redact(trace)
        text = f"{trace}\nThis is a bug in Chainloop SMTP. Please report it with the lines above."
        _print(plain(text), self._stderr)
        if self.is_actions:
            self._command("error", "A bug in Chainloop SMTP: the log says where.")

    def outputs(self, values: Mapping[str, str]) -> None:
        """The step's outputs, one heredoc each, so that no value can start another."""
        if self.is_json:
            self.data(json.dumps({name: _typed(name, values[name]) for name in values}, indent=2))
        if self._output_file:
            text = ""
            for name, value in values.items():
                delimiter = f"ghadelimiter_{os.urandom(16).hex()}"
                text += f"{name}<<{delimiter}\n{value}\n{delimiter}\n"
            self._append(self._output_file, text, "the outputs")

    def summary(self, markdown: str) -> None:
        """Appends to the job summary; nothing happens where there is none.

        GitHub drops a step's summary of over 1 MiB, so a longer one is cut, and says so.
        """
        markdown = self._public(markdown)
        octets = markdown.encode("utf-8", "replace")
        if len(octets) > _LONGEST_SUMMARY:
            kept = octets[:_LONGEST_SUMMARY].decode("utf-8", "ignore").rpartition("\n")[0]
            markdown = f"{kept}\n\n_Cut here: the whole is in the mail._"
        if self._summary_file:
            self._append(self._summary_file, markdown.rstrip("\n") + "\n\n", "the job summary")

    def _append(self, path: str, text: str, what: str) -> None:
        """Adds to one of the runner's files. The mail is worth more: failing to is a warning."""
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
        """The text without the addresses that are hidden."""
        for each in self._hidden:
            # No part of a longer address, nor a longer domain's beginning.
            found = rf"(?<![\w.%+-]){re.escape(each)}(?![\w-]|\.\w)"
            text = re.sub(found, "(bcc)", text, flags=re.IGNORECASE)
        return text

    @property
    def _log(self) -> TextIO:
        """Where a runner reads commands; act takes them from standard output only."""
        return self._stderr if self.is_json else self._stdout


def _print(text: str, stream: TextIO) -> None:
    """Prints what the stream's encoding can carry: not every terminal knows a check mark."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    text = text.encode(encoding, "replace").decode(encoding)
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        # The reader, such as head, has seen enough; what is to be done gets done all the same.
        # What is left in the buffer must not fail at the end either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _typed(name: str, value: str) -> object:
    """An output, which a runner knows as text only, as JSON knows it."""
    return json.loads(value) if name in ("sent", "accepted", "refused", "attempts") else value


def plain(text: str) -> str:
    """Text that a runner takes for nothing but text.

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
