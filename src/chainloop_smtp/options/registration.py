"""Inputs -> Registration, Attachment and recipients. The only module that imports jsonschema.

Values are checked against Chainloop's two schemas first, then by our own, stricter rules. Importing
jsonschema costs more than all the rest of a run, so it is asked only to explain what is wrong. A
test holds that both say the same of every document.
"""

import json
import re
from collections.abc import Iterator, Mapping

from chainloop_smtp.errors import Problem, quoted, quoted_path
from chainloop_smtp.model.settings import Attachment, Auth, Lookup, Mailbox, Registration
from chainloop_smtp.options import addresses
from chainloop_smtp.options.inputs import BY_NAME, RECIPIENTS, SECRETS, Values, variable_of
from chainloop_smtp.options.transport import fetches_token

_LOGIN = ("user", "password")
_NOBODY = Mailbox(addr_spec="")
_DOMAIN = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*")
# By schema: the keys it has, the required ones in its order, and those of format email.
_KEYS = {
    "registration": ("to", "from", "user", "password", "host", "port"),
    "attachment": ("cc",),
}
_REQUIRED = {"registration": _KEYS["registration"], "attachment": ()}
_EMAILS = ("to", "from", "cc")


def registration(values: Values, *, is_whole: bool = True) -> Registration:
    """The six keys of the registration schema.

    Args:
        is_whole: False: none of them need be given.
    """
    _check_schema(values, is_whole=is_whole)
    _check_login(values)
    has_login = values.text("auth") != Auth.NONE
    sender = values.mailbox("from") or _NOBODY
    # A token is one mailbox's; where nobody says otherwise, the sender's.
    user = values.text("user") or (sender.addr_spec if fetches_token(values) else "")
    return Registration(
        host=_host(values),
        port=_port(values),
        user=user if has_login else "",
        password=values.text("password") if has_login else "",
        from_=sender,
        to=values.mailboxes("to"),
    )


def attachment(values: Values) -> Attachment:
    """The key of the attachment schema."""
    if copies := _addr_specs(values, "cc"):
        schema = Schema("attachment")
        for copy in copies:
            values.problems += [problem for _, problem in schema.problems({"cc": copy})]
    return Attachment(cc=values.mailboxes("cc"))


def _check_schema(values: Values, *, is_whole: bool) -> None:
    """The registration against its schema, each recipient on its own."""
    document = {name: values.text(name) for name in ("host", "port", *_LOGIN) if name in values}
    recipients = _addr_specs(values, "to")
    for name, specs in (("from", _addr_specs(values, "from")), ("to", recipients)):
        if specs:
            document[name] = specs[0]
    schema = Schema("registration")
    for name, problem in schema.problems(document):
        # The schema knows no relay without login, and no token that is yet to be fetched.
        needs_no_login = values.text("auth") == Auth.NONE or fetches_token(values)
        may_lack = name in _LOGIN and needs_no_login
        # What is given and holds no address is no address, and not missing.
        is_elsewhere = name in values or may_lack or not is_whole
        if name in document or not is_elsewhere:
            values.problems.append(problem)
    for recipient in recipients[1:]:
        values.problems += [
            problem
            for name, problem in schema.problems(document | {"to": recipient})
            if name == "to"
        ]


def _addr_specs(values: Values, name: str) -> list[str]:
    return [addresses.name_and_addr_spec(member)[1] for member in values.members(name)]


def _check_login(values: Values) -> None:
    """User and password in what SASL can carry (RFC 4616 section 2): UTF-8 without NUL."""
    for name in _LOGIN:
        # A byte that is not UTF-8 arrives as half of a surrogate pair.
        if any(each == "\0" or "\ud800" <= each <= "\udfff" for each in values.text(name)):
            values.wrong(name, "holds a NUL character, or is not valid UTF-8")


def _host(values: Values) -> str:
    """A host name in its ASCII form, or an IP literal without its brackets."""
    host = values.text("host")
    try:
        name = addresses.ascii_name(host)
    except ValueError:
        name = ""
    if not host or addresses.is_host_name(name):
        return name
    if "/" in host:
        why = "has the form of a URL"
    elif any(character.isspace() or not character.isprintable() for character in host):
        why = "holds white space or what cannot be printed"
    else:
        import ipaddress

        try:
            return str(ipaddress.ip_address(host[1:-1] if host[0] + host[-1] == "[]" else host))
        except ValueError:
            why = "has a port or a colon in it" if ":" in host else "is no host name or IP address"
    hint = "Write the bare host name, such as smtp.example.com; the port has an input of its own."
    values.wrong("host", f"{quoted_path(host)} {why}", hint)
    return ""


def _port(values: Values) -> int:
    port = values.text("port")
    if port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535:
        return int(port)
    if port:
        hint = "Usual are 587 (STARTTLS) and 465 (implicit TLS)."
        values.wrong("port", f"{quoted_path(port)} is not a port number from 1 to 65535", hint)
    return 0


def lookups(values: Values) -> tuple[tuple[str, Lookup], ...]:
    """Words among the addresses, each with its input."""
    return tuple((name, lookup) for name in RECIPIENTS for lookup in values.lookups(name))


def allowed_domains(
    values: Values, *recipients: tuple[str, tuple[Mailbox, ...]]
) -> tuple[str, ...]:
    """``allowed-domains``, which every recipient that is named has to keep to."""
    words = filter(None, re.split(r"[,\s]+", values.text("allowed-domains")))
    domains = tuple(map(_ascii, words))
    for domain in domains:
        if not _DOMAIN.fullmatch(domain):
            hint = "Write example.com, or *.example.com for the domains below it."
            values.wrong("allowed-domains", f"{quoted(domain)} is no domain", hint)
    for name, boxes in recipients:
        # Others read the log, where nobody in bcc is named.
        shown = {
            box: f"number {number}" if name == "bcc" else box.addr_spec
            for number, box in enumerate(boxes, 1)
        }
        outside = [shown[box] for box in boxes if domains and not box.is_in(domains)]
        if outside:
            why = f"{', '.join(outside)}: not in the domains of allowed-domains"
            values.wrong(name, why, f"Allowed are: {', '.join(domains)}.")
        rerouted = [shown[box] for box in boxes if domains and box.is_rerouted]
        if rerouted:
            why = f"{', '.join(rerouted)}: some mail servers route by what stands before the @"
            hint = "With allowed-domains, write an address without %, ! and the like."
            values.wrong(name, why, hint)
    return domains


def _ascii(domain: str) -> str:
    """The domain in lower case as addresses have it; what cannot be one as it is."""
    try:
        return addresses.ascii_name(domain).lower()
    except ValueError:
        return domain


class Schema:
    """One of the two schemas."""

    def __init__(self, name: str) -> None:
        self._name = name

    def problems(self, document: Mapping[str, str]) -> Iterator[tuple[str, Problem]]:
        """Each violation of the schema as (option, problem)."""
        if self._is_plain(document):
            missing = (name for name in _REQUIRED[self._name] if name not in document)
            return ((name, _missing(name)) for name in missing)
        return self.explained(document)

    def _is_plain(self, document: Mapping[str, object]) -> bool:
        """Nothing in the document is wrong, though something may be missing from it."""
        return all(
            name in _KEYS[self._name]
            and isinstance(value, str)
            and (value != "" or name != "user")
            and (name not in _EMAILS or addresses.is_addr_spec(value))
            for name, value in document.items()
        )

    def explained(self, document: Mapping[str, str]) -> Iterator[tuple[str, Problem]]:
        """The same, with jsonschema asked in any case."""
        import jsonschema

        formats = jsonschema.FormatChecker(formats=())
        formats.checks("email", raises=ValueError)(_is_email)
        validator = jsonschema.Draft202012Validator(schema(self._name), format_checker=formats)
        for error in validator.iter_errors(document):
            if error.validator == "required":
                for name in error.validator_value:
                    if name not in document and f"'{name}'" in error.message:
                        yield name, _missing(name)
                continue
            name = str(error.path[0])
            if error.validator == "format":
                yield name, addresses.problem(name, quoted(document[name]), str(error.cause))
            else:
                yield name, Problem(name, error.message if name not in SECRETS else "is not valid")


def schema(name: str) -> Mapping[str, object]:
    """One schema, ``registration`` or ``attachment``, parsed from the bytes Chainloop publishes."""
    # Imported here: it is dear, and hardly any run has to look into a schema.
    from importlib.resources import files

    text = files("chainloop_smtp").joinpath(f"schemas/{name}.json").read_text(encoding="utf-8")
    found: Mapping[str, object] = json.loads(text)
    return found


def _is_email(value: object) -> bool:
    """JSON Schema's ``format: email``, which most validators leave unchecked."""
    addresses.check(str(value))
    return True


def _missing(name: str) -> Problem:
    if name in SECRETS:
        return Problem(
            name,
            "is missing",
            f"In a workflow: {name}: ${{{{ secrets.SMTP_{name.upper()} }}}} (is that secret set "
            f"for this repository?). On the command line: {variable_of(name)}, or --{name}-stdin. "
            "A relay without login: auth: none.",
        )
    if name == "user":
        hint = (
            f"{BY_NAME[name].plain_help} Where it comes from a secret: is that secret set for this "
            "repository, and is its name spelt right?"
        )
        return Problem(name, "is missing", hint)
    return Problem(name, "is missing", BY_NAME[name].plain_help)
