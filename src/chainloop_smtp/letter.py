"""Octets of a received mail -> Letter -> Checks: does what it shows agree with what is attached?

A receiver, an auditor a year later, looks at a mail without asking anybody. That its parts agree
does not say who wrote it: for that, the digest is to be looked up where the evidence is stored.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from chainloop_smtp.errors import AttestationError, Problem
from chainloop_smtp.model import (
    Attestation,
    Check,
    CheckResult,
    File,
    Letter,
    Outcome,
    Policies,
    Verdict,
)

if TYPE_CHECKING:
    from email.message import Message

_MOST_PARTS = 1000
_MOST_LEVELS = 20  # a forwarded mail inside a forwarded mail
_OURS = "x-chainloop-"
_BOUNDARY = re.compile(
    rb"boundary\s*\*?(?:0\*?)?\s*=|message/rfc822|message/delivery", re.IGNORECASE
)
_LISTED = r":([\d,]+)octets?,(sha256:[0-9a-f]{64})"
_PASSED = re.compile(r"([\d,]+) of ([\d,]+) policies passed")
_VIOLATIONS = re.compile(r"^ *([\d,]+) violations?\b", re.MULTILINE)


def read(octets: bytes) -> Letter:
    """What stands in a mail, or in the one of ours that it forwards as an attachment.

    Raises:
        AttestationError: It is no mail, or has too many parts.
    """
    from email import message_from_bytes, policy
    from html import unescape

    # Python's parser goes down into what lies in a part by calling itself.
    if len(_BOUNDARY.findall(octets)) > _MOST_LEVELS:
        raise _error(f"has parts in more than {_MOST_LEVELS} levels")
    message = message_from_bytes(octets, policy=policy.compat32)
    if not message.keys():
        raise _error("is not a mail: it has no header")
    parts = list(message.walk())
    if len(parts) > _MOST_PARTS:
        raise _error(f"has more than {_MOST_PARTS} parts")
    ours = next((part for part in parts if part[f"{_OURS}outcome"]), message)
    return Letter(
        fields=tuple(_fields(ours)),
        text=_body(ours, "text/plain"),
        html=unescape(_body(ours, "text/html")),
        files=tuple(
            File(name=name, content=_decoded(part))
            for part in ours.walk()
            if (name := part.get_filename()) and not part.is_multipart()
        ),
    )


def checks(letter: Letter, attestation: Attestation, verdict: Verdict) -> Iterator[Check]:
    """What the mail shows against what the evidence says.

    Args:
        attestation: Of the attached evidence, cleaned as for a mail.
        verdict: By the evidence alone.
    """
    fields = dict(letter.fields)
    for file in letter.files:
        yield _listed(letter, file)
    yield _bundle(attestation)
    workflow = attestation.workflow
    shown = (
        ("digest", "digest", attestation.digest),
        ("run id", "run-id", attestation.run.id),
        ("organization", "organization", workflow.organization),
        ("project", "project", workflow.project),
        ("workflow", "workflow", workflow.name),
        ("policy status", "policy-status", verdict.policy_status or ""),
    )
    for name, field, value in shown:
        yield _field(f"{name} in the header", fields.get(_OURS + field), value)
    yield _outcome(fields.get(f"{_OURS}outcome"), verdict.outcome)
    for name, value in (("digest", attestation.digest), ("run id", attestation.run.id)):
        yield _contained(f"{name} in the text", letter.text, value)
        if letter.html:
            yield _contained(f"{name} in the HTML", letter.html, value)
    yield from _counts(letter.text, attestation.policies)


def _fields(message: "Message") -> Iterator[tuple[str, str]]:
    from email.errors import HeaderParseError
    from email.header import decode_header, make_header

    seen = set()
    for key, value in message.items():
        name = key.lower()
        if not name.startswith(_OURS) or name in seen:
            continue
        seen.add(name)
        try:
            text = str(make_header(decode_header(str(value))))
        except (HeaderParseError, LookupError, ValueError):
            text = str(value)
        yield name, " ".join(text.split())


def _body(message: "Message", media_type: str) -> str:
    """The first part of a kind that is not attached."""
    bodies = (
        _decoded(part).decode("utf-8", "replace").replace("\r\n", "\n")
        for part in message.walk()
        if part.get_content_type() == media_type and not part.get_filename()
    )
    return next(bodies, "")


def _decoded(part: "Message") -> bytes:
    """A part's octets; none where it holds further parts."""
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _listed(letter: Letter, file: File) -> Check:
    """A file against its digest in the text."""
    import hashlib

    name = f"attached {file.name}"
    digest = f"sha256:{hashlib.sha256(file.content).hexdigest()}"
    packed = "".join(letter.text.split())
    found = re.search(re.escape("".join(file.name.split())) + _LISTED, packed)
    if not found:
        return _unknown(name, f"the text does not list it; it is {digest}")
    if found[2] == digest and int(found[1].replace(",", "")) == len(file.content):
        return Check(name=name, result=CheckResult.OK, detail=digest)
    return _wrong(name, f"is {digest} of {len(file.content):,} octets, listed as {found[2]}")


def _bundle(attestation: Attestation) -> Check:
    """The bytes that the digest is of, where they are at hand."""
    name = "bundle"
    match attestation.signing.is_digest_verified:
        case True:
            return Check(
                name=name, result=CheckResult.OK, detail=f"its bytes are {attestation.digest}"
            )
        case False:
            return _wrong(name, f"its bytes are not {attestation.digest}")
    return _unknown(name, "the evidence names the digest and does not hold what it is of")


def _field(name: str, shown: str | None, value: str) -> Check:
    value = " ".join(value.split())
    if shown is None:
        if not value:
            return _unknown(name, "neither the mail nor the evidence says one")
        return _unknown(name, f"the mail has none; the evidence says {value}")
    # A long one is cut in the header.
    if shown == value or (shown.endswith("...") and value.startswith(shown[:-3])):
        return Check(name=name, result=CheckResult.OK, detail=shown)
    return _wrong(name, f"the mail says {shown}, the evidence {value or 'nothing'}")


def _outcome(shown: str | None, outcome: Outcome) -> Check:
    name = "outcome in the header"
    if shown in (Outcome.FAILED, Outcome.CANCELLED) and outcome is not Outcome.BLOCKED:
        return _unknown(name, f"{shown}, by the job; by the evidence alone it is {outcome.value}")
    return _field(name, shown, outcome.value)


def _contained(name: str, text: str, value: str) -> Check:
    if not value:
        return _unknown(name, "the evidence says none")
    if value in text:
        return Check(name=name, result=CheckResult.OK, detail=value)
    return _wrong(name, f"does not show {value}")


def _counts(text: str, policies: Policies) -> Iterator[Check]:
    """The figures in the text; another template may show none."""
    expected = (policies.passed_count, policies.evaluation_count)
    found = _PASSED.search(text)
    yield _figures("policies in the text", found, expected, "{} of {} passed")
    found = _VIOLATIONS.search(text)
    yield _figures("violations in the text", found, (policies.violation_count,), "{}")


def _figures(
    name: str, found: re.Match[str] | None, expected: tuple[int, ...], words: str
) -> Check:
    told = words.format(*expected)
    if found is None:
        return _unknown(name, f"the text shows none; the evidence says {told}")
    shown = tuple(int(each.replace(",", "") or 0) for each in found.groups())
    if shown == expected:
        return Check(name=name, result=CheckResult.OK, detail=told)
    return _wrong(name, f"the text says {words.format(*shown)}, the evidence {told}")


def _unknown(name: str, detail: str) -> Check:
    return Check(name=name, result=CheckResult.UNKNOWN, detail=detail)


def _wrong(name: str, detail: str) -> Check:
    return Check(name=name, result=CheckResult.WRONG, detail=detail)


def _error(why: str) -> AttestationError:
    return AttestationError(Problem("mail", why))
