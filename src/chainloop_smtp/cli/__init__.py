"""Arguments and environment -> exit code. The roof: only this package knows the stages' order."""

import argparse
import io
import sys
from collections.abc import Callable, MutableMapping, Sequence
from typing import BinaryIO, NoReturn, TextIO

from chainloop_smtp import __version__, delivery, options, registry
from chainloop_smtp.ci import Console
from chainloop_smtp.cli.run import Deliver, DeliverAll, Run
from chainloop_smtp.cli.send import send
from chainloop_smtp.errors import ChainloopSmtpError, OptionsError, Problem


def main(
    argv: Sequence[str],
    environ: MutableMapping[str, str],
    *,
    stdin: BinaryIO | None = None,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
    deliver: Deliver = delivery.send,
    deliver_all: DeliverAll = delivery.send_all,
) -> int:
    """Runs one command.

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
        arguments = _arguments(argv)
        console.is_json = arguments.output == "json"
        run = Run(
            arguments=arguments,
            environ=environ,
            console=console,
            # There is none where a shell has closed it (`<&-`).
            stdin=stdin or (sys.stdin.buffer if sys.stdin else io.BytesIO()),
            deliver=deliver,
            deliver_all=deliver_all,
        )
        return int(arguments.command(run))
    except ChainloopSmtpError as error:
        console.failure(error)
        return error.exit_code
    except KeyboardInterrupt:
        # What a runner does first to a step of a job that is cancelled.
        console.say("Interrupted. Whether the mail is sent is not known, if it was on its way.")
        return 130
    except Exception:  # noqa: BLE001  # the one place that turns a bug into an exit code
        import traceback

        console.bug(traceback.format_exc())
        return 1


Command = Callable[[Run], int]


class _Parser(argparse.ArgumentParser):
    """argparse, whose complaints are options errors like any other."""

    def error(self, message: str) -> NoReturn:
        # What stands behind the `=` of `--password-stdin=…` might be the password.
        message, _, _ = message.partition(": ignored explicit argument")
        raise OptionsError(Problem(self.prog, message, f"{self.prog} --help says what there is."))


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = _parser(is_send=argv[:1] == ["send"])
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        raise OptionsError(*_unknown(unknown))
    return arguments


def _unknown(words: Sequence[str]) -> list[Problem]:
    """What to say of arguments that are none: their names only, since a value may be secret."""
    import difflib

    secrets = [f"--{name}" for name in options.SECRETS]
    known = [f"--{each.name}" for each in options.INPUTS if not each.is_secret]
    problems = []
    for flag in dict.fromkeys(word.partition("=")[0] for word in words if word.startswith("--")):
        nearest = difflib.get_close_matches(flag, [*known, *secrets], n=1)
        if nearest and nearest[0] in secrets:
            variable = "CHAINLOOP_SMTP_" + nearest[0][2:].upper().replace("-", "_")
            why = "a secret on a command line is seen by every process of the machine"
            by_stdin = ", or use --password-stdin" if nearest[0] == "--password" else ""
            return [Problem(flag, why, f"Set {variable}{by_stdin}.")]
        hint = f"Did you mean {nearest[0]}?" if nearest else ""
        problems.append(Problem(flag, "there is no such flag", hint))
    return problems or [Problem("arguments", f"{len(words)} of them belong to no flag")]


def _parser(*, is_send: bool) -> argparse.ArgumentParser:
    """All commands; only the one that every step gives where it is that one."""
    parser = _Parser(
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
    if is_send:
        return parser

    command = _command(
        commands, "verify", _lazy("verify", "verify"), "a received mail against what is attached"
    )
    command.add_argument("mail", metavar="MAIL.eml", help="a file; '-' for standard input")

    command = _command(
        commands, "check", _lazy("check", "check"), "try everything but the mail, send nothing"
    )
    _add_inputs(command)

    command = _command(commands, "demo", _demo, "mail a sample to an embedded mail server")

    group = _group(commands, "integration", "Chainloop's own words for registering mail")
    available = _group(group, "available", "what can be registered")
    command = _command(
        available, "list", _lazy("integration", "available"), "the integrations", "ls"
    )
    command = _command(
        available, "describe", _lazy("integration", "describe"), "an integration and its options"
    )
    command.add_argument("id", nargs="?", metavar="ID", help="smtp")
    command.add_argument("--name", help="the same, as Chainloop's CLI takes it")
    command.add_argument("--full", action="store_true", help="with the two JSON schemas")
    _add_registered(_group(group, "registered", "registrations"))
    attached = _group(group, "attached", "attachments to workflows")
    _add_attached(attached)
    older = _group(commands, "workflow", "the older spelling of integration attached")
    _add_attach(_group(older, "integration", "attachments to workflows"), "attach")
    return parser


def _add_registered(group: "_Subparsers[_Parser]") -> None:
    command = _command(
        group, "add", _lazy("registered", "add"), "validate, send the registration mail, and store"
    )
    command.add_argument("id", metavar="ID", help="smtp")
    command.add_argument("--name", help="of the registration; the host when left out")
    command.add_argument("--description", help="free text")
    command.add_argument(
        "--opt", action="append", default=[], metavar="KEY=VALUE", help="a registration input"
    )
    command.add_argument(
        "--password-env",
        metavar="NAME",
        help="variable that the file names for the password; CHAINLOOP_SMTP_PASSWORD_ and the "
        "registration's name when left out",
    )
    _add_inputs(command)
    _add_config(_command(group, "list", _lazy("registered", "list_"), "the registrations", "ls"))
    for word, function, text in (
        ("describe", "describe", "a registration, and what it needs"),
        ("delete", "delete", "take a registration and its attachments out of the file"),
    ):
        command = _command(group, word, _lazy("registered", function), text)
        command.add_argument("id", nargs="?", metavar="NAME", help="of the registration, or its id")
        command.add_argument("--name", help="the same, as Chainloop's CLI takes it")
        _add_config(command)


def _add_attached(group: "_Subparsers[_Parser]") -> None:
    _add_attach(group, "add", "attach")
    command = _command(group, "list", _lazy("attached", "list_"), "the attachments", "ls")
    command.add_argument("--project", help="only those that this project would meet")
    command.add_argument("--workflow", help="only those that this workflow would meet")
    _add_config(command)
    command = _command(
        group, "delete", _lazy("attached", "delete"), "take an attachment out of the file", "detach"
    )
    command.add_argument("--id", required=True, help="as the list shows it")
    _add_config(command)


def _add_attach(group: "_Subparsers[_Parser]", name: str, alias: str = "") -> None:
    command = _command(
        group, name, _lazy("attached", "add"), "attach a registration to workflows", alias
    )
    command.add_argument("--integration", required=True, help="name or id of the registration")
    command.add_argument("--workflow", required=True, help="its name or id; a glob is fine")
    command.add_argument("--project", help="its name; a glob is fine; any when left out")
    command.add_argument(
        "--opt", action="append", default=[], metavar="KEY=VALUE", help="an attachment input: cc=…"
    )
    _add_config(command)


def _add_config(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--config", metavar="PATH", help=f"the file [{' or '.join(registry.DEFAULTS)}]"
    )


_Subparsers = argparse._SubParsersAction  # noqa: SLF001  # argparse has no public name for it


def _group(commands: "_Subparsers[_Parser]", name: str, help_: str) -> "_Subparsers[_Parser]":
    parser = commands.add_parser(name, help=help_, description=help_.capitalize() + ".")
    return parser.add_subparsers(metavar="COMMAND", required=True)


def _command(
    commands: "_Subparsers[_Parser]",
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
            # A flag alone says true.
            alone = "?" if "true" in each.choices else None
            inputs.add_argument(
                f"--{each.name}", metavar="VALUE", help=text, nargs=alone, const=alone and "true"
            )
    inputs.add_argument(
        "--password-stdin",
        action="store_true",
        help="read the password from standard input; or set CHAINLOOP_SMTP_PASSWORD",
    )


def _demo(run: Run) -> int:
    # Imported here, as below: nobody's workflow needs an embedded mail server.
    from chainloop_smtp.cli.demo import demo

    return demo(run, main)


def _lazy(module: str, function: str) -> Command:
    """A command whose module is imported when it is given."""

    def command(run: Run) -> int:
        from importlib import import_module

        return int(getattr(import_module(f"{__name__}.{module}"), function)(run))

    return command
