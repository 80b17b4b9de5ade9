"""Arguments and environment -> exit code. The roof: only this package knows the stages' order."""

import io
import sys
from collections.abc import MutableMapping, Sequence
from types import SimpleNamespace
from typing import BinaryIO, TextIO

from chainloop_smtp import delivery
from chainloop_smtp.ci import Console
from chainloop_smtp.cli.interrupts import INTERRUPTED
from chainloop_smtp.cli.run import Connect, Deliver, Run
from chainloop_smtp.cli.send import send
from chainloop_smtp.errors import ChainloopSmtpError


def main(
    argv: Sequence[str],
    environ: MutableMapping[str, str],
    *,
    stdin: BinaryIO | None = None,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
    deliver: Deliver = delivery.send,
    connect: Connect | None = delivery.EarlyConnection,
) -> int:
    """Run one command.

    Args:
        argv: Without the program's name.
        environ: Variables that carry secrets are taken out of it.

    Returns:
        0 done or skipped, 1 a bug of ours, 2 options, 3 attestation, 4 message, 5 delivery.

    Raises:
        SystemExit: From ``--help`` and ``--version``.
    """
    console = Console(environ, stdout=stdout, stderr=stderr)
    try:
        arguments = _parse(argv)
        console.is_json = arguments.output == "json"
        run = Run(
            arguments=arguments,
            environ=environ,
            console=console,
            # There is none where a shell has closed it (`<&-`).
            stdin=stdin or (sys.stdin.buffer if sys.stdin else io.BytesIO()),
            deliver=deliver,
            connect=connect,
        )
        return int(arguments.command(run))
    except ChainloopSmtpError as error:
        console.failure(error)
        _say_notes(console, error)
        return error.exit_code
    except KeyboardInterrupt as error:
        console.say("Interrupted. If the mail was being sent, it may have been delivered.")
        _say_notes(console, error)
        return INTERRUPTED
    except Exception:  # noqa: BLE001  # the one place that turns a bug into an exit code
        import traceback

        console.bug(traceback.format_exc())
        return 1


def _say_notes(console: Console, error: BaseException) -> None:
    for note in getattr(error, "__notes__", ()):
        console.aside(note)


def _parse(argv: Sequence[str]) -> SimpleNamespace:
    # What every step of a workflow runs; importing argparse would take a twentieth of its time.
    if list(argv) == ["send"]:
        return SimpleNamespace(command=send, output="table")
    from chainloop_smtp.cli import commands

    parser = commands.parser(is_send=argv[:1] == ["send"])
    return SimpleNamespace(**vars(parser.parse_args(argv)))
