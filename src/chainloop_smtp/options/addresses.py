"""Text -> mailboxes and host names. The only module that imports email-validator and idna.

Mailboxes have the forms of RFC 5322 section 3.4: ``addr-spec``, ``<addr-spec>`` and
``display-name <addr-spec>``, in lists separated by commas, semicolons or line breaks. Comments and
groups are not supported.

Host names are converted by IDNA 2008 with the mapping of UTS 46, non-transitional, as browsers and
email-validator do: ``faß.de`` is ``xn--fa-hia.de``, where Python's own codec (IDNA 2003) makes
``fass.de``. They are converted once, here, so that DNS, SNI, certificate check, proxy and
comparison all work on the same name.
"""

import re
import unicodedata
from collections.abc import Iterator

from chainloop_smtp.errors import Problem
from chainloop_smtp.model.settings import Mailbox

# What inet_aton, and with it every resolver, takes for an IPv4 address: RFC 3986 section 7.4, and
# the "ends in a number" of the URL standard.
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
# Joiners are part of how some scripts, and families of emoji, are written.
_JOINERS = "\u200c\u200d"


def split(text: str) -> tuple[str, ...]:
    """Split an address list into its members, stripped and without empty ones.

    A comma inside a quoted string or inside angle brackets separates nothing; a line break
    always does, so one unclosed quote cannot swallow the rest.
    """
    members = []
    for line in text.splitlines():
        member, is_angled = "", False
        for character, is_quoted in _with_quoting(line):
            if not is_quoted and not is_angled and character in ",;":
                members.append(member)
                member = ""
                continue
            if not is_quoted and character in "<>":
                is_angled = character == "<"
            member += character
        members.append(member)
    return tuple(stripped for member in members if (stripped := member.strip()))


def name_and_addr_spec(member: str) -> tuple[str, str]:
    """Split one member of a list into display name and addr-spec, neither of them checked.

    The name is unquoted, with its white space collapsed, and empty when there is none.
    """
    angles = (
        position
        for position, (character, is_quoted) in enumerate(_with_quoting(member))
        if character == "<" and not is_quoted
    )
    start = next(angles, -1)
    if start < 0 or not member.endswith(">"):
        return "", member
    name, addr_spec = member[:start].strip(), member[start + 1 : -1]
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = _unescape(name[1:-1])
    return " ".join(name.split()), addr_spec.strip()


def mailbox(name: str, addr_spec: str) -> Mailbox:
    """Make a mailbox of a name and an addr-spec.

    The domain is put in its ASCII form; the local part may hold any characters (RFC 6531 section
    3.3), in normalization form C.

    Raises:
        ValueError: With the reason as a sentence.
    """
    if any(map(_is_unfit, name)):
        raise ValueError(
            "The name contains a control, invisible or text-direction character, or is not valid "
            "UTF-8."
        )
    return Mailbox(name=name, addr_spec=check(addr_spec))


def presentable(name: str) -> str:
    """Return the name without the characters that `mailbox` refuses."""
    return " ".join("".join(each for each in name if not _is_unfit(each)).split())


def _is_unfit(character: str) -> bool:
    """A control character, a surrogate, a line break, or one that is invisible or turns text."""
    category = unicodedata.category(character)
    return category in ("Cc", "Cf", "Cs", "Zl", "Zp") and character not in _JOINERS


def check(addr_spec: str) -> str:
    """Validate an addr-spec and return it as it goes over the wire (RFC 5321 section 4.1.2).

    Raises:
        ValueError: With the reason as a sentence.
    """
    return _plain(addr_spec) or explained(addr_spec)


def _plain(addr_spec: str) -> str:
    """The wire form of a plain addr-spec; empty when email-validator has to judge it.

    Plain means a Dot-string of lower case (RFC 5321 sections 4.1.2 and 4.5.3.1) at a domain of
    letters, digits and hyphens (RFC 1123 section 2.1). Nearly every address is, and importing the
    library costs as much as half of a run. A test holds that both say the same.
    """
    local, _, domain = addr_spec.rpartition("@")
    # Checked first: the lower case of some other characters is ASCII.
    if not addr_spec.isascii() or len(addr_spec) > 254 or len(local) > _LONGEST_LOCAL:
        return ""
    domain = domain.lower()
    labels = domain.split(".")
    is_plain = (
        all(atom and _ATEXT.issuperset(atom) for atom in local.split("."))
        and is_host_name(domain)
        and "_" not in domain
        # Hyphens in third and fourth place mark A-labels (RFC 5890 section 2.3.1).
        and not any(label[2:4] == "--" for label in labels)
        and labels[-1] not in ("", *_RESERVED)
        and not _refusal(local, domain)
    )
    return f"{local}@{domain}" if is_plain else ""


_LONGEST_LOCAL = 64  # bytes (RFC 5321 section 4.5.3.1.1)
# RFC 5322 section 3.2.3, without the upper case, which some local parts lose (RFC 2142).
_ATEXT = frozenset("abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-/=?^_`{|}~")
# RFC 6761, RFC 7686 and the like: no mail goes there.
_RESERVED = ("arpa", "invalid", "onion")


def explained(addr_spec: str) -> str:
    """Do what `check` does, with email-validator asked in any case."""
    import email_validator

    # Company relays live under these names; the library refuses them by default, and documents
    # changing this list as the way to allow them.
    for domain in ("local", "localhost", "test"):
        if domain in email_validator.SPECIAL_USE_DOMAIN_NAMES:
            email_validator.SPECIAL_USE_DOMAIN_NAMES.remove(domain)
    validated = email_validator.validate_email(
        addr_spec,
        allow_smtputf8=True,
        allow_quoted_local=True,
        allow_domain_literal=True,
        check_deliverability=False,
        strict=True,
        globally_deliverable=False,
    )
    if len(validated.local_part.encode()) > _LONGEST_LOCAL:
        # The library counts characters.
        raise ValueError("The part before the @ has more than 64 bytes.")
    if refusal := _refusal(validated.local_part, validated.ascii_domain):
        raise ValueError(refusal)
    return validated.ascii_email or f"{validated.local_part}@{validated.ascii_domain}"


def _refusal(local: str, domain: str) -> str:
    """Why an address that the grammar allows is refused; empty when it is not.

    Not every server reads these by the grammar, so their mail could go astray.
    """
    if not domain.startswith("[") and _ends_in_number(domain):
        return "The part after the @ is a number. Put an IP address in brackets: [192.0.2.1]."
    # Compatibility forms, such as a full-width @, become the plain ones somewhere on the way.
    plain = local if local.isascii() else unicodedata.normalize("NFKC", local)
    if "=?" in plain:
        return (
            "The part before the @ looks like an encoded word (=?…?=), which some programs decode."
        )
    if signs := [sign for sign in "@<>" if sign in plain]:
        return f"The part before the @ contains {signs[0]}, which some servers read as routing."
    return ""


def problem(name: str, shown: str, reason: str) -> Problem:
    """Describe an invalid address in an input.

    Args:
        shown: The address as the error may show it.
    """
    return Problem(
        name,
        f"{shown} is not an address: {reason.splitlines()[0]}",
        "Write name@example.com or Display Name <name@example.com>; separate addresses by commas.",
    )


def _with_quoting(text: str) -> Iterator[tuple[str, bool]]:
    """Each character, and whether it belongs to a quoted-string, quotes included."""
    is_quoted = is_escaped = False
    for character in text:
        is_end = character == '"' and not is_escaped
        yield character, is_quoted or is_end
        is_escaped = is_quoted and character == "\\" and not is_escaped
        is_quoted ^= is_end


def _unescape(quoted: str) -> str:
    """The content of a quoted-string with its quoted-pairs resolved (RFC 5322 section 3.2.4)."""
    text, escaped = "", False
    for character in quoted:
        escaped = not escaped and character == "\\"
        if not escaped:
            text += character
    return text


def ascii_name(name: str) -> str:
    """Convert a host name to A-labels; an ASCII name is returned unchanged.

    Raises:
        ValueError: With the reason as a clause.
    """
    if name.isascii():
        return name
    # Imported here: few names go beyond ASCII.
    import idna

    try:
        labels = idna.uts46_remap(name, std3_rules=False, transitional=False).split(".")
        return ".".join(
            label if label.isascii() else idna.alabel(label).decode("ascii") for label in labels
        )
    except idna.IDNAError as error:
        raise ValueError(str(error)) from error


def is_same_host(one: str, other: str) -> bool:
    """Whether two names, in any form, name the same host."""
    return _host_key(one) == _host_key(other)


def is_host_name(host: str) -> bool:
    """Whether an ASCII name is a host name by RFC 1123 section 2.1.

    Underscores are allowed, since resolvers take them. A host name never ends in a number, so
    192.0.2.999 is not one.
    """
    labels = host.removesuffix(".").split(".")
    return (
        len(host) <= 253
        and not _ends_in_number(host)
        and all(
            0 < len(label) <= 63
            and label.replace("-", "").replace("_", "").isalnum()
            and label.isascii()
            and not label.startswith("-")
            and not label.endswith("-")
            for label in labels
        )
    )


def _ends_in_number(name: str) -> bool:
    """Whether a resolver may take an ASCII name for an IPv4 address, such as ``127.1``."""
    return bool(_NUMBER.fullmatch(name.removesuffix(".").rpartition(".")[2]))


def _host_key(name: str) -> str:
    try:
        name = ascii_name(name)
    except ValueError:
        # No host's name, so the same as nothing but itself.
        return name
    return name.lower().removesuffix(".")
