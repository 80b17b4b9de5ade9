"""Every command, its flags, and the function that runs it."""

from collections.abc import Callable

from chainloop_smtp import __version__, config_file, options
from chainloop_smtp.cli.parser import Flags, Group, Parser
from chainloop_smtp.cli.run import Run
from chainloop_smtp.cli.send import send

Command = Callable[[Run], int]

# The groups of inputs that are about the way to the mail server.
_DELIVERY = ("host", "tls", "auth", "proxy")
_VARIABLES = (
    "Secrets come from variables, never from flags. All inputs may also come as one JSON object in "
    "CHAINLOOP_SMTP_INPUTS; flags win."
)
_EXAMPLE = """example:
  chainloop-smtp send --host smtp.example.com --port 587 --user ci \\
    --from ci@example.com --to security@example.com \\
    --attestation attestation.json --password-stdin < password.txt"""


def parser(*, is_send: bool) -> Parser:
    """Make the parser of all commands; of the one that every step gives, where it is that one."""
    root = Parser(
        prog="chainloop-smtp",
        description="Mails the evidence of a Chainloop run.",
        epilog="Each command has --help. demo shows a mail without a mail server.\n\n"
        "Exit codes: 0 done or skipped, 1 a bug in chainloop-smtp, 2 invalid options, "
        "3 attestation, 4 message, 5 delivery.",
    )
    root.add_argument("--version", action="version", version=f"chainloop-smtp {__version__}")
    commands = root.add_subparsers(title="commands", metavar="COMMAND", required=True)
    command = _command(commands, "send", send, "mail the evidence of a run")
    command.usage = "%(prog)s [--FLAG VALUE ...]"
    command.epilog = f"{_VARIABLES}\n\n{_EXAMPLE}"
    command.add_inputs(options.GROUPS)
    _add_password_stdin(command)
    if not is_send:
        _add_others(commands)
    return root


def _add_others(commands: "Group[Parser]") -> None:
    # Imported here: they bring much that a step never needs.
    from chainloop_smtp.cli.check import check
    from chainloop_smtp.cli.demo import demo
    from chainloop_smtp.cli.verify import verify

    text = "check a received mail against the evidence attached to it"
    command = _command(commands, "verify", verify, text)
    command.add_argument("mail", metavar="MAIL.eml", help="a file; '-' for standard input")
    for each in options.INPUTS:
        if each.name in ("trusted-root", "verification-key"):
            command.add_argument(f"--{each.name}", metavar="PEM", help=each.plain_help)
    text = "try each step of a delivery, but send no mail"
    command = _command(commands, "check", check, text)
    command.usage = "%(prog)s [--FLAG VALUE ...]"
    command.epilog = (
        "Accepts every flag of send; those about the mail have no effect. With a configuration "
        "file, each registration in it is checked.\n\n" + _VARIABLES
    )
    command.add_inputs(_DELIVERY)
    _add_password_stdin(command)
    text = "mail a sample to an embedded mail server"
    _command(commands, "demo", demo, text, has_output=False)
    group = _group(commands, "integration", "register mail destinations as with Chainloop's CLI")
    _add_available(_group(group, "available", "what can be registered"))
    text = "registrations: mail destinations, each with a name"
    _add_registered(_group(group, "registered", text))
    text = "attachments: which workflows are mailed to which registration"
    _add_attached(_group(group, "attached", text))
    older = _group(commands, "workflow", "the older name of integration attached")
    _add_attach(_group(older, "integration", "attachments, under the older name"), "attach")


def _add_available(group: "Group[Parser]") -> None:
    from chainloop_smtp.cli import integration

    _command(group, "list", integration.available, "list what can be registered", "ls")
    text = "show an integration and its options"
    command = _command(group, "describe", integration.describe, text)
    _add_name(command, "ID", "smtp")
    command.add_argument("--full", action="store_true", help="with the two JSON schemas")


def _add_registered(group: "Group[Parser]") -> None:
    from chainloop_smtp.cli import registered

    text = "validate, send the registration mail, and store"
    command = _command(group, "add", registered.add, text)
    command.usage = "%(prog)s smtp [--name NAME] [--opt KEY=VALUE ...] [--FLAG VALUE ...]"
    command.epilog = (
        "Every other registration key is also a flag, such as --send-on.\n\n" + _VARIABLES
    )
    command.add_argument("id", metavar="ID", help="smtp")
    own = command.add_argument_group("Registration")
    own.add_argument("--name", help="name of the registration; default: the host")
    own.add_argument("--description", metavar="TEXT", help="free text")
    _add_opt(own, "host, port, user, password, from or to; one --opt for each")
    own.add_argument(
        "--password-env",
        metavar="NAME",
        help="environment variable for the password; default: CHAINLOOP_SMTP_PASSWORD_ and the "
        "registration's name",
    )
    kept = {"config", "dry-run", "output-dir"}
    command.add_inputs(_DELIVERY, without=options.ABOUT_THE_RUN - kept)
    _add_password_stdin(command)
    text = "list the registrations of the configuration file"
    _add_config(_command(group, "list", registered.list_, text, "ls"))
    text = "show a registration, and the variables that it needs"
    describe = _command(group, "describe", registered.describe, text)
    text = "remove a registration and its attachments from the file"
    for command in (describe, _command(group, "delete", registered.delete, text)):
        _add_name(command, "NAME", "name or id of the registration")
        _add_config(command)


def _add_attached(group: "Group[Parser]") -> None:
    from chainloop_smtp.cli import attached

    _add_attach(group, "add", "attach")
    text = "list the attachments of the configuration file"
    command = _command(group, "list", attached.list_, text, "ls")
    command.add_argument("--project", help="only those that apply to this project")
    command.add_argument("--workflow", help="only those that apply to this workflow")
    _add_config(command)
    text = "remove an attachment from the file"
    command = _command(group, "delete", attached.delete, text, "detach")
    command.add_argument("--id", required=True, help="id of the attachment, as listed")
    _add_config(command)


def _add_attach(group: "Group[Parser]", name: str, alias: str = "") -> None:
    from chainloop_smtp.cli import attached

    command = _command(group, name, attached.add, "attach a registration to workflows", alias)
    command.add_argument("--integration", required=True, help="name or id of the registration")
    command.add_argument(
        "--workflow", required=True, help="its name, a glob over names, or its id; '*' for any"
    )
    command.add_argument("--project", help="its name, or a glob; default: any")
    _add_opt(command, "cc=…, or another attachment key, such as send-on=blocked")
    _add_config(command)


def _add_name(command: Parser, metavar: str, help_: str) -> None:
    command.add_argument("id", nargs="?", metavar=metavar, help=help_)
    command.add_argument("--name", help="the same, spelled as in Chainloop's CLI")


def _add_opt(command: Flags, help_: str) -> None:
    command.add_argument("--opt", action="append", default=[], metavar="KEY=VALUE", help=help_)


def _add_config(command: Parser) -> None:
    command.add_argument(
        "--config", metavar="PATH", help=f"configuration file [{' or '.join(config_file.DEFAULTS)}]"
    )


def _group(commands: "Group[Parser]", name: str, help_: str) -> "Group[Parser]":
    parser = commands.add_parser(name, help=help_, description=f"{help_[:1].upper()}{help_[1:]}.")
    return parser.add_subparsers(title="commands", metavar="COMMAND", required=True)


def _command(
    commands: "Group[Parser]",
    name: str,
    function: Command,
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
        text = "output format: table or json [table]"
        parser.add_argument("-o", "--output", choices=("table", "json"), help=text)
    return parser


def _add_password_stdin(command: Parser) -> None:
    command.add_argument(
        "--password-stdin", action="store_true", help="read the password from standard input"
    )
