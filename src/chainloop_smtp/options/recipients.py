"""Inputs -> who is to be looked up for each run, and the fence around all recipients."""

import re

from chainloop_smtp.errors import quoted
from chainloop_smtp.model import Lookup, Mailbox
from chainloop_smtp.options.values import RECIPIENTS, Values

_DOMAIN = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*")


def lookups(values: Values) -> tuple[tuple[str, Lookup], ...]:
    """Words among the addresses, each with its input."""
    return tuple((name, lookup) for name in RECIPIENTS for lookup in values.lookups(name))


def allowed_domains(
    values: Values, *recipients: tuple[str, tuple[Mailbox, ...]]
) -> tuple[str, ...]:
    """``allowed-domains``, which every recipient that is named has to keep to."""
    domains = tuple(filter(None, re.split(r"[,\s]+", values.text("allowed-domains").lower())))
    for domain in domains:
        if not _DOMAIN.fullmatch(domain):
            hint = "Write example.com, or *.example.com for the domains below it."
            values.wrong("allowed-domains", f"{quoted(domain)} is no domain", hint)
    for name, boxes in recipients:
        outside = [box.addr_spec for box in boxes if domains and not box.is_in(domains)]
        if outside:
            why = f"{', '.join(outside)}: not in the domains of allowed-domains"
            values.wrong(name, why, f"Allowed are: {', '.join(domains)}.")
    return domains
