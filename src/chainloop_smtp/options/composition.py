"""Inputs -> Composition: the form of the mail, its further header fields and what is attached."""

import re

from chainloop_smtp.errors import quoted, quoted_word
from chainloop_smtp.model.settings import Composition, Enclosures, EnvValues, Header, Thread
from chainloop_smtp.options.inputs import Values

_EVIDENCE, _REPORT = "attestation", "report"
_SIZE = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,3}))? ?(B|kB|KB|MB|GB|KiB|MiB|GiB)")
_UNITS = {
    "B": 1,
    "kB": 1000,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
}
_LARGEST = 1000**3  # bytes

_MOST_HEADERS = 50
_LONGEST_LINE = 998  # octets without its CRLF (RFC 5322 section 2.1.1)
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


def composition(values: Values) -> Composition:
    """What the mail shows, and how."""
    return Composition(
        reply_to=values.mailboxes("reply-to"),
        env_values=values.word("env-values", EnvValues),
        thread=values.word("thread", Thread),
        headers=_headers(values),
        enclosures=_enclosures(values),
        subject=values.text("subject"),
        template_dir=values.text("template-dir"),
    )


def _enclosures(values: Values) -> Enclosures:
    """``attach``, one thing a line, and ``attach-max-size``."""
    lines = tuple(filter(None, map(str.strip, values.text("attach").splitlines())))
    return Enclosures(
        has_evidence=_EVIDENCE in lines,
        has_report=_REPORT in lines,
        patterns=tuple(dict.fromkeys(each for each in lines if each not in (_EVIDENCE, _REPORT))),
        max_size=_size(values, "attach-max-size"),
    )


def _size(values: Values, name: str) -> int:
    """Octets; ``10MB`` are ten million."""
    value, hint = values.text(name), "Write a number and a unit, such as 10MB or 512KiB."
    found = _SIZE.fullmatch(value)
    if not found:
        values.wrong(name, f"{quoted_word(value)} is not a size", hint)
        return 0
    whole, fraction, unit = found[1], found[2] or "", found[3]
    octets = int(whole + fraction.ljust(3, "0")) * _UNITS[unit] // 1000
    if not 0 < octets <= _LARGEST:
        values.wrong(name, f"{quoted_word(value)} is not more than none and at most 1GB", hint)
    return octets


def _headers(values: Values) -> tuple[Header, ...]:
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
    if len(found) > _MOST_HEADERS:
        values.wrong("headers", f"{len(found)} header fields are more than {_MOST_HEADERS}")
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
    if len(name) + 2 + len(value.encode()) > _LONGEST_LINE:
        return f"is longer than the {_LONGEST_LINE} octets of one line", "Shorten it."
    return None
