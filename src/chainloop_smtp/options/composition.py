"""Inputs -> Composition: the form of the mail, its further header fields and what is attached."""

import re
from collections.abc import Mapping

from chainloop_smtp.errors import quoted, quoted_word
from chainloop_smtp.model.settings import Composition, Enclosures, EnvValues, Header, Thread
from chainloop_smtp.options.values import Values

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
_LONGEST_LINE = 998  # bytes without its CRLF (RFC 5322 section 2.1.1)
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
    "resent-": "is set by whoever forwards a mail",
    "dkim-": "belongs to the servers that sign the mail",
    "arc-": "belongs to the servers that sign the mail",
}


def parse_composition(values: Values) -> Composition:
    """Validate what the user says about the form of the mail."""
    return Composition(
        reply_to=values.mailboxes("reply-to"),
        env_values=values.word("env-values", EnvValues),
        thread=values.word("thread", Thread),
        headers=_parse_headers(values),
        enclosures=_parse_enclosures(values),
        subject=values.text("subject"),
        template_dir=values.text("template-dir"),
    )


def _parse_enclosures(values: Values) -> Enclosures:
    lines = tuple(filter(None, map(str.strip, values.text("attach").splitlines())))
    return Enclosures(
        has_evidence=_EVIDENCE in lines,
        has_report=_REPORT in lines,
        patterns=tuple(dict.fromkeys(each for each in lines if each not in (_EVIDENCE, _REPORT))),
        max_size=_parse_size(values, "attach-max-size"),
    )


def _parse_size(values: Values, name: str) -> int:
    """Bytes; ``10MB`` are ten million."""
    text, hint = values.text(name), "Write a number and a unit, such as 10MB or 512KiB."
    match = _SIZE.fullmatch(text)
    if not match:
        values.report(name, f"{quoted_word(text)} is not a size", hint)
        return 0
    whole, fraction, unit = match[1], match[2] or "", match[3]
    size = int(whole + fraction.ljust(3, "0")) * _UNITS[unit] // 1000
    if not 0 < size <= _LARGEST:
        values.report(name, f"{quoted_word(text)} is not between 1 byte and 1GB", hint)
    return size


def _parse_headers(values: Values) -> tuple[Header, ...]:
    headers: dict[str, Header] = {}
    # Line feeds only: another line break inside a value is one of the things to report.
    lines = [line.strip(" \t\r") for line in values.text("headers").split("\n")]
    for line in filter(None, lines):
        name, colon, value = (part.strip(" \t") for part in line.partition(":"))
        if not (colon and _NAME.fullmatch(name)):
            # A value might be a secret; an invalid name is shown, or nobody could find the line.
            hint = "Write one 'Name: value' per line; a name is printable ASCII without spaces."
            values.report("headers", f"{quoted(name)} is not a header name", hint)
        elif refusal := _reserved(name.lower()) or _invalid(name, value, headers):
            why, hint = refusal
            values.report("headers", f"{name[:_LONGEST_NAME]} {why}", hint)
        else:
            headers[name.lower()] = Header(name=name, value=" ".join(value.split()))
    if len(headers) > _MOST_HEADERS:
        values.report("headers", f"{len(headers)} header fields are more than {_MOST_HEADERS}")
    return tuple(headers.values())


def _reserved(name: str) -> tuple[str, str] | None:
    """Why the user may not set this header, and what to do."""
    if name in _INPUTS:
        return "has its own input", f"Write it as the input {_INPUTS[name]}."
    if name in _OURS:
        return "is written by this program", "Leave it out."
    if name in _PROTOCOL:
        return "belongs to the mail servers", "Leave it out."
    for family, why in _FAMILIES.items():
        if name.startswith(family):
            return why, "Leave it out."
    return None


def _invalid(name: str, value: str, earlier: Mapping[str, Header]) -> tuple[str, str] | None:
    """What is wrong with one of the user's own headers, and what to do."""
    if name.lower() in earlier:
        return "is given twice", "Give each name once."
    if len(name) > _LONGEST_NAME:
        return f"is longer than {_LONGEST_NAME} characters", ""
    if not value:
        return "has no value", f"Write '{name}: value'."
    if _UNFIT.search(value):
        return "contains a control character", "A value is one line of text."
    if len(name) + 2 + len(value.encode()) > _LONGEST_LINE:
        return f"is longer than the {_LONGEST_LINE} bytes of one line", "Shorten it."
    return None
