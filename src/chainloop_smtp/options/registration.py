"""Inputs -> Registration, Attachment and recipients.

Whatever is accepted here, Chainloop's two schemas accept too, each recipient on its own; a test
holds that. Some of the rules are stricter than the schemas.
"""

import re
from collections.abc import Mapping

from chainloop_smtp.errors import Problem, quoted, quoted_path
from chainloop_smtp.model.settings import Attachment, Auth, Mailbox, Registration
from chainloop_smtp.options import addresses
from chainloop_smtp.options.inputs import BY_NAME, SECRETS, variable_of
from chainloop_smtp.options.transport import fetches_token
from chainloop_smtp.options.values import Values

_LOGIN = ("user", "password")
_NOBODY = Mailbox(addr_spec="")
_DOMAIN = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_REQUIRED = ("to", "from", "user", "password", "host", "port")


def parse_registration(values: Values, *, is_whole: bool = True) -> Registration:
    """Validate the six keys of the registration schema.

    Args:
        is_whole: False where none of them is required.
    """
    if is_whole:
        _check_required(values)
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
    return Attachment(cc=values.mailboxes("cc"))


def _check_required(values: Values) -> None:
    # The schema knows no relay without login, and no token that is yet to be fetched. What an
    # invalid word would have needed is not known either.
    has_no_login = values.text("auth") == Auth.NONE or fetches_token(values)
    is_login_optional = has_no_login or values.is_reported("auth")
    for name in _REQUIRED:
        if name not in values and not (is_login_optional and name in _LOGIN):
            values.problems.append(_missing(name))


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
