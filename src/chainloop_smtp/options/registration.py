"""Inputs -> Registration, Attachment and recipients.

Values are checked against Chainloop's two schemas first, then by our own, stricter rules. The
schemas say so little that `check` is shorter than a call of jsonschema, which brings five packages,
one of them compiled. A test holds that both say the same of every document.
"""

import json
import re
from collections.abc import Iterator, Mapping

from chainloop_smtp.errors import Problem, quoted, quoted_path
from chainloop_smtp.model.settings import Attachment, Auth, Mailbox, Registration
from chainloop_smtp.options import addresses
from chainloop_smtp.options.inputs import BY_NAME, SECRETS, variable_of
from chainloop_smtp.options.transport import fetches_token
from chainloop_smtp.options.values import Values

_LOGIN = ("user", "password")
_NOBODY = Mailbox(addr_spec="")
_DOMAIN = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*")
# By schema: its keys and the required ones, both in its order; and the keys of format email.
_KEYS = {
    "registration": ("to", "from", "user", "password", "host", "port"),
    "attachment": ("cc",),
}
_REQUIRED = {"registration": _KEYS["registration"], "attachment": ()}
_EMAILS = ("to", "from", "cc")


def parse_registration(values: Values, *, is_whole: bool = True) -> Registration:
    """Validate the six keys of the registration schema.

    Args:
        is_whole: False where none of them is required.
    """
    _check_registration(values, is_whole=is_whole)
    _check_login(values)
    has_login = values.text("auth") != Auth.NONE
    sender = values.mailbox("from") or _NOBODY
    # A token belongs to one mailbox: the sender's, unless the user says otherwise.
    user = values.text("user") or (sender.addr_spec if fetches_token(values) else "")
    return Registration(
        host=_parse_host(values),
        port=_parse_port(values),
        user=user if has_login else "",
        password=values.text("password") if has_login else "",
        from_=sender,
        to=values.mailboxes("to"),
    )


def parse_attachment(values: Values) -> Attachment:
    """Validate the one key of the attachment schema."""
    for addr_spec in _addr_specs(values, "cc"):
        values.problems += [problem for _, problem in check("attachment", {"cc": addr_spec})]
    return Attachment(cc=values.mailboxes("cc"))


def _check_registration(values: Values, *, is_whole: bool) -> None:
    """Check the registration against its schema, each recipient on its own."""
    document = {name: values.text(name) for name in ("host", "port", *_LOGIN) if name in values}
    recipients = _addr_specs(values, "to")
    for name, specs in (("from", _addr_specs(values, "from")), ("to", recipients)):
        if specs:
            document[name] = specs[0]
    # The schema knows no relay without login, and no token that is yet to be fetched.
    needs_login = values.text("auth") != Auth.NONE and not fetches_token(values)
    # What an invalid word would have needed is not known either.
    needs_login = needs_login and not values.is_reported("auth")
    for name, problem in check("registration", document):
        is_required = is_whole and (needs_login or name not in _LOGIN)
        # An input that contains no address is reported as such, and not as missing.
        if name in document or (is_required and name not in values):
            values.problems.append(problem)
    for recipient in recipients[1:]:
        problems = check("registration", document | {"to": recipient})
        values.problems += [problem for name, problem in problems if name == "to"]


def _addr_specs(values: Values, name: str) -> list[str]:
    return [addr_spec for _, addr_spec in values.members(name)]


def _check_login(values: Values) -> None:
    """User and password in what SASL can carry (RFC 4616 section 2): UTF-8 without NUL."""
    for name in _LOGIN:
        # A byte that is not UTF-8 arrives as half of a surrogate pair.
        if any(each == "\0" or "\ud800" <= each <= "\udfff" for each in values.text(name)):
            values.report(name, "contains a NUL character, or is not valid UTF-8")


def _parse_host(values: Values) -> str:
    """A host name in its ASCII form, or an IP literal without its brackets."""
    host = values.text("host")
    try:
        name = addresses.ascii_name(host)
    except ValueError:
        name = ""
    if not host or addresses.is_host_name(name):
        return name
    if "/" in host:
        why = "is a URL"
    elif any(character.isspace() or not character.isprintable() for character in host):
        why = "contains white space or unprintable characters"
    else:
        import ipaddress

        try:
            return str(ipaddress.ip_address(host[1:-1] if host[0] + host[-1] == "[]" else host))
        except ValueError:
            why = (
                "contains a port or a colon" if ":" in host else "is not a host name or IP address"
            )
    hint = "Write the bare host name, such as smtp.example.com; the port is a separate input."
    values.report("host", f"{quoted_path(host)} {why}", hint)
    return ""


def _parse_port(values: Values) -> int:
    port = values.text("port")
    if port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535:
        return int(port)
    if port:
        hint = "Usual ports: 587 (STARTTLS) and 465 (implicit TLS)."
        values.report("port", f"{quoted_path(port)} is not a port number from 1 to 65535", hint)
    return 0


def parse_allowed_domains(
    values: Values, recipients: Mapping[str, tuple[Mailbox, ...]]
) -> tuple[str, ...]:
    """Validate ``allowed-domains``, and that every recipient is in one of them.

    Args:
        recipients: By input.
    """
    words = filter(None, re.split(r"[,\s]+", values.text("allowed-domains")))
    domains = tuple(map(_ascii_domain, words))
    for domain in domains:
        if not _DOMAIN.fullmatch(domain):
            hint = "Write example.com, or *.example.com for the domains below it."
            values.report("allowed-domains", f"{quoted(domain)} is not a domain", hint)
    for name, boxes in recipients.items() if domains else ():
        # Others read the log, where nobody in bcc is named.
        shown = {
            box: f"number {number}" if name == "bcc" else box.addr_spec
            for number, box in enumerate(boxes, 1)
        }
        if outside := [shown[box] for box in boxes if not box.is_in(domains)]:
            why = f"{', '.join(outside)}: not in the domains of allowed-domains"
            values.report(name, why, f"Allowed: {', '.join(domains)}.")
        if rerouted := [shown[box] for box in boxes if box.is_rerouted]:
            why = f"{', '.join(rerouted)}: some mail servers route by the part before the @"
            hint = "With allowed-domains, write an address without %, ! and the like."
            values.report(name, why, hint)
    return domains


def _ascii_domain(domain: str) -> str:
    """The domain in lower case as addresses have it; one that cannot be converted as it is."""
    try:
        return addresses.ascii_name(domain).lower()
    except ValueError:
        return domain


def check(schema: str, document: Mapping[str, object]) -> Iterator[tuple[str, Problem]]:
    """Check a document against Chainloop's schema, ``registration`` or ``attachment``.

    Returns:
        Each violation as (option, problem).
    """
    for name in _KEYS[schema]:
        if name in document and (problem := _violation(name, document[name])):
            yield name, problem
    for name in _REQUIRED[schema]:
        if name not in document:
            yield name, _missing(name)


def _violation(name: str, value: object) -> Problem | None:
    if not isinstance(value, str):
        is_secret = name in SECRETS
        return Problem(name, "is not valid" if is_secret else f"{value!r} is not of type 'string'")
    if name == "user" and not value:
        return Problem(name, "'' should be non-empty")
    try:
        if name in _EMAILS:
            addresses.check(value)
    except ValueError as error:
        return addresses.problem(name, quoted(value), str(error))
    return None


def read_schema(name: str) -> Mapping[str, object]:
    """Read Chainloop's schema, ``registration`` or ``attachment``."""
    # Imported here: it is slow, and hardly any run has to look into a schema.
    from importlib.resources import files

    text = files("chainloop_smtp").joinpath(f"schemas/{name}.json").read_text(encoding="utf-8")
    schema: Mapping[str, object] = json.loads(text)
    return schema


def _missing(name: str) -> Problem:
    hint = BY_NAME[name].plain_help
    if name in SECRETS:
        hint = (
            f"In a workflow: {name}: ${{{{ secrets.SMTP_{name.upper()} }}}} (is that secret set "
            f"for this repository?). On the command line: {variable_of(name)}, or --{name}-stdin. "
            "A relay without login: auth: none."
        )
    elif name == "user":
        hint += (
            " If it comes from a secret: is that secret set for this repository, and spelled "
            "correctly?"
        )
    return Problem(name, "is missing", hint)
