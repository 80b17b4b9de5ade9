"""Arguments and environment -> exit code. The roof: only this package knows the stages' order."""

import argparse
import sys
from collections.abc import MutableMapping, Sequence
from typing import BinaryIO, TextIO

from chainloop_smtp import __version__, delivery, options
from chainloop_smtp.ci import Console
from chainloop_smtp.cli.integration import available, describe, register
from chainloop_smtp.cli.run import Deliver, Run
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
) -> int:
    """Runs one command.

    Args:
        argv: Without the program's name.
        environ: Variables that carry secrets are taken out of it.

    Returns:
        0 done or skipped, 1 a bug of ours, 2 options, 3 attestation, 4 message, 5 delivery.

    Raises:
        SystemExit: From ``--help``, ``--version`` and an argument that is none (2).
    """
    arguments = _parser().parse_args(argv)
    is_json = getattr(arguments, "output", "") == "json"
    console = Console(environ, stdout=stdout, stderr=stderr, is_json=is_json)
    run = Run(
        arguments=arguments,
        environ=environ,
        console=console,
        stdin=stdin or sys.stdin.buffer,
        deliver=deliver,
    )
    try:
        return int(arguments.command(run))
    except ChainloopSmtpError as error:
        console.failure(error)
        return error.exit_code
    except Exception:  # noqa: BLE001  # the one place that turns a bug into an exit code
        import traceback

        console.bug(traceback.format_exc())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="chainloop-smtp",
        description="Mails the evidence of a Chainloop run.",
        epilog="exit codes: 0 done or skipped, 1 a bug of ours, 2 options, 3 attestation, "
        "4 message, 5 delivery",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"chainloop-smtp {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    command = _command(commands, "send", send, "mail one run")
    _add_inputs(command)

    command = _command(commands, "demo", _demo, "mail a sample to an embedded mail server")

    group = _group(commands, "integration", "Chainloop's own words for registering mail")
    available_group = _group(group, "available", "what can be registered")
    command = _command(available_group, "list", available, "the integrations", alias="ls")
    command = _command(available_group, "describe", describe, "an integration and its options")
    command.add_argument("id", nargs="?", metavar="ID", help="smtp")
    command.add_argument("--name", help="the same, as Chainloop's CLI takes it")
    command.add_argument("--full", action="store_true", help="with the two JSON schemas")
    registered = _group(group, "registered", "registrations")
    command = _command(registered, "add", register, "validate, and send the registration mail")
    command.add_argument("id", metavar="ID", help="smtp")
    command.add_argument("--name", help="of the registration; the host when left out")
    command.add_argument("--description", help="free text")
    command.add_argument(
        "--opt", action="append", default=[], metavar="KEY=VALUE", help="a registration input"
    )
    _add_inputs(command)
    return parser


_Subparsers = argparse._SubParsersAction  # noqa: SLF001  # argparse has no public name for it


def _group(
    commands: "_Subparsers[argparse.ArgumentParser]", name: str, help_: str
) -> "_Subparsers[argparse.ArgumentParser]":
    parser = commands.add_parser(name, help=help_, description=help_.capitalize() + ".")
    return parser.add_subparsers(metavar="COMMAND", required=True)


def _command(
    commands: "_Subparsers[argparse.ArgumentParser]",
    name: str,
    function: object,
    help_: str,
    alias: str = "",
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        aliases=[alias] if alias else [],
        help=help_,
        description=help_.capitalize() + ".",
        allow_abbrev=False,
    )
    parser.set_defaults(command=function)
    parser.add_argument(
        "-o", "--output", choices=("table", "json"), default="table", help="what is printed"
    )
    return parser


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    """A flag for every input but the secret ones, which a process list would show."""
    inputs = parser.add_argument_group(
        "inputs",
        "also as one JSON object in CHAINLOOP_SMTP_INPUTS; flags win",
    )
    for each in options.INPUTS:
        if not each.is_secret:
            text = each.help.replace("%", "%%") + (f" [{each.default}]" if each.default else "")
            inputs.add_argument(f"--{each.name}", metavar="VALUE", help=text)
    inputs.add_argument(
        "--password-stdin",
        action="store_true",
        help="read the password from standard input; or set CHAINLOOP_SMTP_PASSWORD",
    )


def _demo(run: Run) -> int:
    # Imported here: nobody's workflow needs an embedded mail server.
    from chainloop_smtp.cli.demo import demo

    return demo(run, main)
