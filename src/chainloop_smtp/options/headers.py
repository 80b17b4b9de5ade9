"""Inputs -> header fields of the user's own, none of which is the protocol's or ours."""

import re

from chainloop_smtp.errors import quoted
from chainloop_smtp.model.settings import Header
from chainloop_smtp.options.values import Values

_MOST = 50  # fields
_LONGEST = 998  # octets of one line without its CRLF (RFC 5322 section 2.1.1)
_LONGEST_NAME = 76
# ftext: printable ASCII but the colon (RFC 5322 section 2.2).
_NAME = re.compile(r"[!-9;-~]+")
# What ends a line for some reader, and half characters, which no encoding carries.
_UNFIT = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

# Names that are an input of their own; the others' owners are in the sentence that refuses them.
_INPUTS = {
    "from": "from",
    "to": "to",
    "cc": "cc",
    "bcc": "bcc",
    "reply-to": "reply-to",
    "return-path": "envelope-from",
    "subject": "subject",
    "in-reply-to": "thread",
    "references": "thread",
}
_OURS = (
    "message-id",
    "date",
    "list-id",
    "auto-submitted",
    "x-auto-response-suppress",
    # Set where a run is blocked.
    "importance",
    "priority",
    "x-priority",
    "x-msmail-priority",
)
_PROTOCOL = (
    "sender",
    "received",
    "received-spf",
    # Postfix takes a mail that already carries the recipient here for a loop.
    "delivered-to",
    # What a receiving server finds is its own to say (RFC 8601 section 5).
    "authentication-results",
    "domainkey-signature",
)
# MIME (RFC 2045 section 9 claims Content-*), resending (RFC 5322 section 3.6.6), signatures.
_FAMILIES = {
    "x-chainloop-": "is written by this program",
    "content-": "belongs to the mail's MIME structure",
    "mime-": "belongs to the mail's MIME structure",
    "resent-": "belongs to whoever sends a mail on",
    "dkim-": "belongs to the servers that sign the mail",
    "arc-": "belongs to the servers that sign the mail",
}


def headers(values: Values) -> tuple[Header, ...]:
    """``headers``: one ``Name: value`` a line; those that are wrong are reported, each by name."""
    found: dict[str, Header] = {}
    # Line feeds only: another line break inside a value is one of the things to report.
    lines = [line.strip(" \t\r") for line in values.text("headers").split("\n")]
    for line in filter(None, lines):
        name, colon, value = (part.strip(" \t") for part in line.partition(":"))
        if not (colon and _NAME.fullmatch(name)):
            # A value might be a secret; what is no name is shown, since it cannot be found else.
            hint = "Write one 'Name: value' a line; a name is printable ASCII without blanks."
            values.wrong("headers", f"{quoted(name)} is not a header's name", hint)
        elif (why := _refusal(name.lower())) or (why := _fault(name, value, found)):
            values.wrong("headers", f"{name[:_LONGEST_NAME]} {why[0]}", why[1])
        else:
            found[name.lower()] = Header(name=name, value=" ".join(value.split()))
    if len(found) > _MOST:
        values.wrong("headers", f"{len(found)} header fields are more than {_MOST}")
    return tuple(found.values())


def _refusal(name: str) -> tuple[str, str] | None:
    """Why this name is not the user's to set, and what to do; None where it is."""
    if name in _INPUTS:
        return "has an input of its own", f"Write it as the input {_INPUTS[name]}."
    if name in _OURS:
        return "is written by this program", "Leave it out."
    if name in _PROTOCOL:
        return "belongs to the mail servers", "Leave it out."
    for family, why in _FAMILIES.items():
        if name.startswith(family):
            return why, "Leave it out."
    return None


def _fault(name: str, value: str, found: dict[str, Header]) -> tuple[str, str] | None:
    """What is wrong with a field of the user's own, and what to do; None where nothing is."""
    if name.lower() in found:
        return "stands there twice", "Give each name once."
    if len(name) > _LONGEST_NAME:
        return f"is longer than {_LONGEST_NAME} characters", ""
    if not value:
        return "has no value", f"Write '{name}: value'."
    if _UNFIT.search(value):
        return "holds a control character", "A value is one line of text."
    if len(name) + 2 + len(value.encode()) > _LONGEST:
        return f"is longer than the {_LONGEST} octets of one line", "Shorten it."
    return None
