"""A child process that renders the user's templates: both ends of its pipes.

A template can neither hang the program nor fill its memory: the parent kills the child when its
time is up, the child has a memory limit where the system supports one, and it is given nothing but
the facts of the mail.

Requests are pickled. Loading them is safe, since they come from the process that started the child
and hold only this program's own records. Replies are JSON, so that a child taken over by a template
can send back nothing but text.
"""

import json
import os
import pickle
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from threading import Timer
from types import TracebackType
from typing import BinaryIO, cast

import jinja2
import markupsafe

import chainloop_smtp
from chainloop_smtp.errors import Problem
from chainloop_smtp.message import templates
from chainloop_smtp.message.inspection import Inspection
from chainloop_smtp.message.sandbox import SUBJECT, Sandbox, problem
from chainloop_smtp.model.mail import Templates

SECONDS = 60  # spent waiting for one child: for all forms of one mail, or for the check
MEMORY = 512 * 1024**2  # bytes
LONGEST = 5_000_000  # characters of one rendered template

_LONGEST_REPLY = 12 * LONGEST + 65_536  # bytes; JSON has at most 12 for a character
_TOO_MUCH_MEMORY = (
    f"the template needs more than {MEMORY // 1024**2} MiB of memory\n"
    "Look for a text or a list that grows in a loop."
)

_PROGRAM = """
import sys
sys.path += sys.argv[1:]
from chainloop_smtp.message import child
child.limit_resources(child.MEMORY, 2 * child.SECONDS)
child.serve(sys.stdin.buffer, sys.stdout.buffer)
"""
# The parent's own path may hold more than these.
_FOLDERS = [
    str(Path(cast("str", module.__file__)).parents[1])
    for module in (chainloop_smtp, jinja2, markupsafe)
]
# Python may need these to start: Windows's own folder, and the folder of libpython where Python was
# moved after it was built, as on self-hosted runners.
_VARIABLES = ("SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


class Child:
    """A process with the user's templates; it runs until it is closed."""

    def __init__(self, own: Templates) -> None:
        """Starts the process.

        Raises:
            TemplateError: The process cannot be started.
        """
        prefix = sys.pycache_prefix
        cache = [f"-Xpycache_prefix={Path(prefix).absolute()}"] if prefix else []
        cache += ["-B"] if sys.dont_write_bytecode else []
        try:
            self._process = Popen(  # noqa: S603  # our own code, and no shell
                (sys.executable, "-I", "-S", *cache, "-c", _PROGRAM, *_FOLDERS),
                cwd=Path(sys.executable).anchor,
                env={name: value for name in _VARIABLES if (value := os.getenv(name))},
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                # Ctrl-C goes to the parent alone, which then ends the child.
                start_new_session=True,
            )
        except OSError as error:
            where = "template-dir" if own.folder else "subject"
            why = f"the process that renders templates cannot be started: {error.strerror}"
            raise templates.TemplateError(Problem(where, why)) from error
        self._requests = cast("BinaryIO", self._process.stdin)
        self._replies = cast("BinaryIO", self._process.stdout)
        self._seconds_left: float = SECONDS
        self._is_late = False
        self._send(own)

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        # Closing flushes, and fails where the process has ended before.
        with suppress(OSError):
            self._requests.close()
        self._replies.close()
        self._process.wait()

    def inspect(self, name: str) -> list[Problem]:
        """The problems of one template; without a name, those of all templates together.

        Raises:
            TemplateError: The check hits a limit.
        """
        _, problems = self._ask(name, None)
        return problems

    def render(self, name: str, facts: Mapping[str, object]) -> str:
        """One template with the facts in it.

        Raises:
            TemplateError: The template is broken, or hits a limit.
        """
        text, problems = self._ask(name, facts)
        if problems:
            raise templates.TemplateError(*problems)
        return text

    def _ask(self, name: str, facts: Mapping[str, object] | None) -> tuple[str, list[Problem]]:
        started = time.monotonic()
        # Reading a pipe has no timeout on Windows; killing the process ends it everywhere.
        timer = Timer(self._seconds_left, self._end_late)
        timer.daemon = True
        timer.start()
        try:
            self._send((name, facts))
            text, problems = json.loads(self._replies.readline(_LONGEST_REPLY))
            return str(text), [Problem(*map(str, each)) for each in problems]
        # The process has ended, or it did not write this itself.
        except (ValueError, TypeError, RecursionError) as error:
            where = name or "template-dir"
            raise templates.TemplateError(problem(where, None, self._end())) from error
        finally:
            timer.cancel()
            self._seconds_left -= time.monotonic() - started

    def _send(self, value: object) -> None:
        # If the process has ended, reading the reply fails as well.
        with suppress(OSError):
            pickle.dump(value, self._requests)
            self._requests.flush()

    def _end(self) -> str:
        """Why there is no reply."""
        if self._is_late:
            return f"rendering takes longer than {SECONDS} seconds\nLook for a loop in a loop."
        return _TOO_MUCH_MEMORY

    def _end_late(self) -> None:
        self._is_late = True
        self._process.kill()


def limit_resources(memory: int, seconds: int) -> None:
    """Limits this process, as far as the system can.

    Args:
        memory: Bytes of address space.
        seconds: Of the processor, for a child whose parent is no more.
    """
    with suppress(ImportError):
        import resource

        limits = {resource.RLIMIT_AS: memory, resource.RLIMIT_CPU: seconds, resource.RLIMIT_CORE: 0}
        for kind, most in limits.items():
            # Not allowed where the system has a stricter limit already.
            with suppress(OSError, ValueError):
                resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """The child's side: replies to each request until there are no more."""
    own: Templates = pickle.load(requests)  # noqa: S301  # from the parent, see above
    environment = templates.environment(own)
    inspection = Inspection(own, environment, templates.built_in())
    with suppress(EOFError):
        while True:
            name, facts = pickle.load(requests)  # noqa: S301  # as above
            text, problems = "", []
            try:
                if facts is None:
                    problems = inspection.problems(name)
                else:
                    text = _rendered(environment, name, facts)
            # Any error in a template is reported to its author.
            except Exception as error:  # noqa: BLE001
                problems = [_problem(error, name, {*(each.name for each in own.files), SUBJECT})]
            reply = json.dumps([text, [astuple(each) for each in problems]])
            replies.write(reply.encode() + b"\n")
            replies.flush()


def _rendered(environment: Sandbox, name: str, facts: Mapping[str, object]) -> str:
    parts: list[str] = []
    length = 0
    for part in environment.get_template(name).generate(facts):
        length += len(part)
        if length > LONGEST:
            raise jinja2.TemplateRuntimeError(
                f"the template renders more than {LONGEST:,} characters"
            )
        parts.append(part)
    return "".join(parts)


def _problem(error: Exception, name: str, names: set[str]) -> Problem:
    """The error, with the innermost line of a user's template that led to it."""
    line: int | None = None
    trace: TracebackType | None = error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename in names:
            name, line = trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next
    match error:
        case RecursionError():
            message = "uses itself without end"
        case MemoryError():
            message = _TOO_MUCH_MEMORY
        case _:
            message = str(error) or type(error).__name__
    return problem(name, line, message)
