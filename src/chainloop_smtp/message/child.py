"""The process that renders the user's templates: both ends of the pipes to it.

Whatever a template does in there, it can neither hold up the program nor fill its memory: the
process is killed when its time is up, has a memory limit where the system knows one, and is given
nothing but the facts of the mail.

Requests are pickled. The child may load them, since they come from the program that started it and
are made of our own records. Replies are JSON: a child that a template has taken over could still
say nothing but text.
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
from chainloop_smtp.errors import MessageError, Problem
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
# Of nothing but these, which is less than the parent's own path may hold.
_FOLDERS = [
    str(Path(cast("str", module.__file__)).parents[1])
    for module in (chainloop_smtp, jinja2, markupsafe)
]
# What Python itself may need to start: the system's folder on Windows, and the folder of its own
# library on a machine where it does not stand where it was built for.
_VARIABLES = ("SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


class Child:
    """A process that has the user's templates, until it is closed."""

    def __init__(self, own: Templates) -> None:
        """Starts the process.

        Raises:
            MessageError: It cannot be started.
        """
        prefix = sys.pycache_prefix
        cache = (f"-Xpycache_prefix={Path(prefix).absolute()}",) if prefix else ()
        try:
            self._process = Popen(  # noqa: S603  # our own code, and no shell
                (sys.executable, "-I", "-S", *cache, "-c", _PROGRAM, *_FOLDERS),
                cwd=Path(sys.executable).anchor,
                env={name: value for name in _VARIABLES if (value := os.getenv(name))},
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                # Ctrl-C is for the parent, which then ends this one.
                start_new_session=True,
            )
        except OSError as error:
            where = "template-dir" if own.folder else "subject"
            why = f"the process that renders templates cannot be started: {error.strerror}"
            raise MessageError(Problem(where, why)) from error
        self._requests = cast("BinaryIO", self._process.stdin)
        self._replies = cast("BinaryIO", self._process.stdout)
        self._seconds_left: float = SECONDS
        self._is_late = False
        self._send(own)

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        # Closing writes what could not be written before.
        with suppress(OSError):
            self._requests.close()
        self._replies.close()
        self._process.wait()

    def inspect(self, name: str) -> list[Problem]:
        """What is wrong with one template; without a name: with all of them together.

        Raises:
            TemplateError: Finding that out takes too much.
        """
        _, problems = self._ask(name, None)
        return problems

    def render(self, name: str, facts: Mapping[str, object]) -> str:
        """One template with the facts in it.

        Raises:
            TemplateError: It is broken, or takes too much.
        """
        text, problems = self._ask(name, facts)
        if problems:
            raise templates.TemplateError(*problems)
        return text

    def _ask(self, name: str, facts: Mapping[str, object] | None) -> tuple[str, list[Problem]]:
        started = time.monotonic()
        # Not a timeout of reading, which pipes do not have on every system.
        timer = Timer(self._seconds_left, self._end_late)
        timer.daemon = True
        timer.start()
        try:
            self._send((name, facts))
            text, problems = json.loads(self._replies.readline(_LONGEST_REPLY))
            return str(text), [Problem(*map(str, each)) for each in problems]
        # Nothing, since it has ended; or nothing that it would say by itself.
        except (ValueError, TypeError, RecursionError) as error:
            where = name or "template-dir"
            raise templates.TemplateError(problem(where, None, self._end())) from error
        finally:
            timer.cancel()
            self._seconds_left -= time.monotonic() - started

    def _send(self, value: object) -> None:
        # When it has ended, reading its reply tells.
        with suppress(OSError):
            pickle.dump(value, self._requests)
            self._requests.flush()

    def _end(self) -> str:
        """Why there is no reply."""
        if self._is_late:
            return f"the templates take longer than {SECONDS} seconds\nLook for a loop in a loop."
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
    own: Templates = pickle.load(requests)  # noqa: S301  # of the parent, see above
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
            # Whatever a template runs into is told to whoever wrote it.
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
                f"the template makes more than {LONGEST:,} characters"
            )
        parts.append(part)
    return "".join(parts)


def _problem(error: Exception, name: str, names: set[str]) -> Problem:
    """What is wrong in the last line of the user's templates that led to the error."""
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
