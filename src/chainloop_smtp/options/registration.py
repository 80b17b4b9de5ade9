"""Inputs -> Registration and Attachment: Chainloop's two schemas, then our own, stricter rules."""

from chainloop_smtp.errors import quoted_path
from chainloop_smtp.model.settings import Attachment, Auth, Mailbox, Registration
from chainloop_smtp.options import addresses, hosts, schemas
from chainloop_smtp.options.oauth2 import fetches_token
from chainloop_smtp.options.values import Values

_LOGIN = ("user", "password")
_NOBODY = Mailbox(addr_spec="")


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
        schema = schemas.Schema("attachment")
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
    schema = schemas.Schema("registration")
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
        name = hosts.ascii_name(host)
    except ValueError:
        name = ""
    if not host or hosts.is_host_name(name):
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
