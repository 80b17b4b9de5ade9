"""Inputs -> who is to be looked up for each run, and the fence around all recipients."""

import re

from chainloop_smtp.errors import quoted
from chainloop_smtp.model.settings import Lookup, Mailbox
from chainloop_smtp.options import hosts
from chainloop_smtp.options.values import RECIPIENTS, Values

_DOMAIN = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*")


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
        return hosts.ascii_name(domain).lower()
    except ValueError:
        return domain
