"""Host names in their ASCII form. The only module that imports idna.

IDNA 2008 with the mapping of UTS 46, non-transitional, as browsers and email-validator convert
names: ``faß.de`` is ``xn--fa-hia.de``, and not ``fass.de`` as in IDNA 2003, which is what Python's
own codec makes of it. Names are converted here, once, so that DNS, SNI, certificate check, proxy
and comparison all work on the same one.
"""

import re

# What inet_aton, and with it every resolver, takes for an IPv4 address: RFC 3986 section 7.4, and
# the "ends in a number" of the URL standard.
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")


def ascii_name(name: str) -> str:
    """The name with A-labels; one that is ASCII already comes back as it is.

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


def is_same(one: str, other: str) -> bool:
    """Whether two names in any form are one host's."""
    return _key(one) == _key(other)


def is_host_name(host: str) -> bool:
    """Whether an ASCII name is one by RFC 1123 section 2.1.

    An underscore is let through, since resolvers take it. A name never ends in a number, so
    192.0.2.999 is none.
    """
    labels = host.removesuffix(".").split(".")
    return (
        len(host) <= 253
        and not ends_in_number(host)
        and all(
            0 < len(label) <= 63
            and label.replace("-", "").replace("_", "").isalnum()
            and label.isascii()
            and not label.startswith("-")
            and not label.endswith("-")
            for label in labels
        )
    )


def ends_in_number(name: str) -> bool:
    """Whether a resolver may take an ASCII name for an IPv4 address, such as ``127.1``."""
    return bool(_NUMBER.fullmatch(name.removesuffix(".").rpartition(".")[2]))


def _key(name: str) -> str:
    try:
        name = ascii_name(name)
    except ValueError:
        # No host's name, so the same as nothing but itself.
        return name
    return name.lower().removesuffix(".")
