"""Arguments and environment -> exit code. The roof: only this package knows the stages' order."""

import io
import sys
from collections.abc import Callable, Collection, MutableMapping, Sequence
from typing import BinaryIO, TextIO

from chainloop_smtp import __version__, config_file, delivery, options
from chainloop_smtp.ci import Console
from chainloop_smtp.cli.interrupts import INTERRUPTED
from chainloop_smtp.cli.parser import Group, Parser
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
    deliver: Deliver = delivery.send_all,
    connect: Connect | None = delivery.EarlyConnection,
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
        arguments = _parser(is_send=argv[:1] == ["send"]).parse_args(argv)
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
        return error.exit_code
    except KeyboardInterrupt:
        console.say("Interrupted. Whether the mail is sent is not known, if it was on its way.")
        return INTERRUPTED
    except Exception:  # noqa: BLE001  # the one place that turns a bug into an exit code
        import traceback

        console.bug(traceback.format_exc())
        return 1


Command = Callable[[Run], int]


def _parser(*, is_send: bool) -> Parser:
    """All commands; only the one that every step gives where it is that one."""
    parser = Parser(
        prog="chainloop-smtp",
        description="Mails the evidence of a Chainloop run.",
        epilog="exit codes: 0 done or skipped, 1 a bug of ours, 2 options, 3 attestation, "
        "4 message, 5 delivery",
    )
    parser.add_argument("--version", action="version", version=f"chainloop-smtp {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    command = _command(commands, "send", send, "mail one run")
    _add_inputs(command)
    if is_send:
        return parser

    command = _command(
        commands,
        "verify",
        _lazy("verify", "verify"),
        "hold a received mail against the evidence attached to it",
    )
    command.add_argument("mail", metavar="MAIL.eml", help="a file; '-' for standard input")

    command = _command(
        commands,
        "check",
        _lazy("check", "check"),
        "try all that a mail would meet on its way, and send none",
    )
    _add_inputs(command)

    text = "mail a sample to an embedded mail server"
    _command(commands, "demo", _demo, text, has_output=False)

    group = _group(commands, "integration", "register mail destinations in Chainloop's own words")
    available = _group(group, "available", "what can be registered")
    command = _command(
        available, "list", _lazy("integration", "available"), "list what can be registered", "ls"
    )
    command = _command(
        available,
        "describe",
        _lazy("integration", "describe"),
        "show an integration and its options",
    )
    command.add_argument("id", nargs="?", metavar="ID", help="smtp")
    command.add_argument("--name", help="the same, as Chainloop's CLI takes it")
    command.add_argument("--full", action="store_true", help="with the two JSON schemas")
    _add_registered(
        _group(group, "registered", "registrations: mail destinations, each with a name")
    )
    attached = _group(
        group, "attached", "attachments: which workflows are mailed to which registration"
    )
    _add_attached(attached)
    older = _group(commands, "workflow", "the older spelling of integration attached")
    _add_attach(_group(older, "integration", "attachments, in the older spelling"), "attach")
    return parser


def _add_registered(group: "Group[Parser]") -> None:
    command = _command(
        group, "add", _lazy("registered", "add"), "validate, send the registration mail, and store"
    )
    command.add_argument("id", metavar="ID", help="smtp")
    command.add_argument("--name", help="of the registration; the host when left out")
    command.add_argument("--description", help="free text")
    command.add_argument(
        "--opt",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="host, port, user, password, from or to, each by an --opt of its own",
    )
    command.add_argument(
        "--password-env",
        metavar="NAME",
        help="variable that the file names for the password; CHAINLOOP_SMTP_PASSWORD_ and the "
        "registration's name when left out",
    )
    kept = {"config", "dry-run", "output-dir"}
    _add_inputs(command, without=options.ABOUT_THE_RUN - kept)
    text = "list the registrations of the configuration file"
    _add_config(_command(group, "list", _lazy("registered", "list_"), text, "ls"))
    for word, function, text in (
        ("describe", "describe", "show a registration, and the variables that it needs"),
        ("delete", "delete", "take a registration and its attachments out of the file"),
    ):
        command = _command(group, word, _lazy("registered", function), text)
        command.add_argument("id", nargs="?", metavar="NAME", help="of the registration, or its id")
        command.add_argument("--name", help="the same, as Chainloop's CLI takes it")
        _add_config(command)


def _add_attached(group: "Group[Parser]") -> None:
    _add_attach(group, "add", "attach")
    text = "list the attachments of the configuration file"
    command = _command(group, "list", _lazy("attached", "list_"), text, "ls")
    command.add_argument("--project", help="only those that this project would meet")
    command.add_argument("--workflow", help="only those that this workflow would meet")
    _add_config(command)
    command = _command(
        group, "delete", _lazy("attached", "delete"), "take an attachment out of the file", "detach"
    )
    command.add_argument("--id", required=True, help="as the list shows it")
    _add_config(command)


def _add_attach(group: "Group[Parser]", name: str, alias: str = "") -> None:
    command = _command(
        group, name, _lazy("attached", "add"), "attach a registration to workflows", alias
    )
    command.add_argument("--integration", required=True, help="name or id of the registration")
    command.add_argument(
        "--workflow", required=True, help="its name, a glob over names, or its id; '*' for any"
    )
    command.add_argument("--project", help="its name, or a glob; any when left out")
    command.add_argument(
        "--opt",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="cc=…, or any other key that an attachment may have, such as send-on=blocked",
    )
    _add_config(command)


def _add_config(command: Parser) -> None:
    command.add_argument(
        "--config", metavar="PATH", help=f"configuration file [{' or '.join(config_file.DEFAULTS)}]"
    )


def _group(commands: "Group[Parser]", name: str, help_: str) -> "Group[Parser]":
    parser = commands.add_parser(name, help=help_, description=f"{help_[:1].upper()}{help_[1:]}.")
    return parser.add_subparsers(metavar="COMMAND", required=True)


def _command(
    commands: "Group[Parser]",
    name: str,
    function: object,
    help_: str,
    alias: str = "",
    *,
    has_output: bool = True,
) -> Parser:
    parser = commands.add_parser(
        name,
        aliases=[alias] if alias else [],
        help=help_,
        description=f"{help_[:1].upper()}{help_[1:]}.",
    )
    parser.set_defaults(command=function, output="table")
    if has_output:
        text = "what is printed: a table for people, or JSON for programs [table]"
        parser.add_argument("-o", "--output", choices=("table", "json"), help=text)
    return parser


def _add_inputs(parser: Parser, without: Collection[str] = ()) -> None:
    """A flag for every input but the secret ones, which a process list would show."""
    # Fifty flags in brackets tell nobody anything; each has its line below.
    more = "smtp [--name NAME] [--opt KEY=VALUE ...] " if without else ""
    parser.usage = f"%(prog)s [-h] [-o {{table,json}}] {more}[--INPUT VALUE ...]"
    secrets = (each for each in options.INPUTS if each.is_secret and each.name not in without)
    variables = ", ".join(options.variable_of(each.name) for each in secrets)
    inputs = parser.add_argument_group(
        "inputs",
        "also as one JSON object in CHAINLOOP_SMTP_INPUTS; flags win. Secrets come by a variable: "
        f"{variables}",
    )
    for each in options.INPUTS:
        if not each.is_secret and each.name not in without:
            text = each.plain_help.replace("%", "%%") + (
                f" [{each.default}]" if each.default else ""
            )
            # A flag alone says true.
            alone = "?" if "true" in each.choices else None
            inputs.add_argument(
                f"--{each.name}", metavar="VALUE", help=text, nargs=alone, const=alone and "true"
            )
    inputs.add_argument(
        "--password-stdin",
        action="store_true",
        help="read the password from standard input",
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
