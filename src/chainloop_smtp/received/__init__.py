"""Received mail -> Letter -> Checks: does what it shows agree with what is attached?

A receiver, an auditor a year later, looks at a mail without asking anybody. That its parts agree
does not say who wrote it: for that, the digest is to be looked up where the evidence is stored.
"""

import re
from collections.abc import Iterator, Mapping

from chainloop_smtp.model.attested import Attestation, Policies
from chainloop_smtp.model.checks import Check, CheckResult, ReceivedMessage
from chainloop_smtp.model.facts import Outcome, Verdict
from chainloop_smtp.model.mail import File
from chainloop_smtp.received.page import seen
from chainloop_smtp.received.reading import OURS, read
from chainloop_smtp.received.shown import compared

__all__ = ["checks", "compared", "read", "seen"]

# Python refuses to make a number of thousands of digits.
_NUMBER = r"([0-9][0-9,]{0,30})"
_LISTED = rf":{_NUMBER}octets?,(sha256:[0-9a-f]{{64}})"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# In the HTML, the figure and its noun are two blocks.
_PASSED = {
    "text": rf"^[ >]*{_NUMBER} of {_NUMBER} polic(?:y|ies) passed\b",
    "HTML": rf"^{_NUMBER} of {_NUMBER}\npolic(?:y|ies) passed$",
}
_VIOLATIONS = {"text": rf"^[ >]*{_NUMBER} violations?\b", "HTML": rf"^{_NUMBER}\nviolations?$"}
# What stands before the first section of the text, and so before any message of a policy.
_FIRST_SECTION = re.compile(r"^[ >]*-{3,}\s*$", re.MULTILINE)
# Both sections that compare with an earlier run, whose evidence is not attached.
_COMPARED = re.compile(r"\b(?:nothing )?changed since\b", re.IGNORECASE)

# Where the built-in templates say the outcome: a subject, a first line, a block with a glyph.
_SUBJECT_BADGE = r"(?:\] |\[)({})(?=[:,\]])"
_TEXT_BADGE = r"^[ >]*({}): "
_HTML_BADGE = r"^[✓!✕–] ({})$"


def checks(
    letter: ReceivedMessage,
    attestation: Attestation,
    verdict: Verdict,
    badges: Mapping[str, Outcome],
) -> Iterator[Check]:
    """What the mail shows against what the evidence says.

    Args:
        attestation: Of the attached evidence, cleaned as for a mail.
        verdict: By the evidence alone.
        badges: The words for each outcome.
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
        yield _field(f"{name} in the header", fields.get(OURS + field), value)
    claimed = fields.get(f"{OURS}outcome")
    yield _outcome("outcome in the header", claimed, verdict.outcome, claimed)
    yield _badge("outcome in the subject", letter.subject, _SUBJECT_BADGE, badges, verdict, claimed)
    known = _digests(letter, attestation)
    for part, text, pattern in (
        ("text", letter.text, _TEXT_BADGE),
        ("HTML", letter.html, _HTML_BADGE),
    ):
        if not text:
            yield _unknown(part, "the mail has none")
            continue
        yield _badge(f"outcome in the {part}", text, pattern, badges, verdict, claimed)
        for name, value in (("digest", attestation.digest), ("run id", attestation.run.id)):
            yield _contained(f"{name} in the {part}", text, value)
        yield _no_others(f"digests in the {part}", text, known)
        yield from _counts(part, text, attestation.policies)


def _listed(letter: ReceivedMessage, file: File) -> Check:
    """A file against its digest in the text."""
    import hashlib

    name = f"attached {file.name}"
    digest = f"sha256:{hashlib.sha256(file.content).hexdigest()}"
    packed = "".join(letter.text.split())
    # One name may end as another does.
    pattern = re.escape("".join(file.name.split())) + _LISTED
    listed = [(each[2], int(each[1].replace(",", ""))) for each in re.finditer(pattern, packed)]
    if not listed:
        return _unknown(name, f"the text does not list it; it is {digest}")
    if (digest, len(file.content)) in listed:
        return Check(name=name, result=CheckResult.OK, detail=digest)
    return _wrong(name, f"is {digest} of {len(file.content):,} octets, listed as {listed[0][0]}")


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


def _outcome(name: str, shown: str | None, outcome: Outcome, claimed: str | None) -> Check:
    """An outcome against the evidence; or against the header, where it is that of the job."""
    if claimed in (Outcome.FAILED, Outcome.CANCELLED) and outcome is not Outcome.BLOCKED:
        if shown == claimed:
            why = f"{shown}, by the job; by the evidence alone it is {outcome.value}"
            return _unknown(name, why)
        return _wrong(name, f"the mail says {shown}, its header {claimed}")
    return _field(name, shown, outcome.value)


def _badge(
    name: str,
    text: str,
    pattern: str,
    badges: Mapping[str, Outcome],
    verdict: Verdict,
    claimed: str | None,
) -> Check:
    """The first badge in a text; a template of the user's may show none."""
    words = {word.lower(): outcome for word, outcome in badges.items()}
    flags = re.MULTILINE | re.IGNORECASE
    found = re.search(pattern.format("|".join(map(re.escape, words))), text, flags)
    if found is None:
        return _unknown(name, "none of the built-in words for it stands there")
    return _outcome(name, words[found[1].lower()].value, verdict.outcome, claimed)


def _digests(letter: ReceivedMessage, attestation: Attestation) -> set[str]:
    """Every digest that the mail may show."""
    import hashlib

    attached = (f"sha256:{hashlib.sha256(each.content).hexdigest()}" for each in letter.files)
    return {*_DIGEST.findall(repr(attestation)), *attached}


def _no_others(name: str, text: str, known: set[str]) -> Check:
    shown = dict.fromkeys(_DIGEST.findall(text))
    if not shown:
        return _unknown(name, "none is shown")
    others = [each for each in shown if each not in known]
    if not others:
        return Check(name=name, result=CheckResult.OK, detail="each is one of the evidence")
    told = f"{others[0]}{' and others' if len(others) > 1 else ''}"
    if _COMPARED.search(text):
        return _unknown(name, f"{told}: of an earlier run, or not of the evidence")
    return _wrong(name, f"the mail shows {told}, which the evidence does not say")


def _contained(name: str, text: str, value: str) -> Check:
    if not value:
        return _unknown(name, "the evidence says none")
    if value in text:
        return Check(name=name, result=CheckResult.OK, detail=value)
    return _wrong(name, f"does not show {value}")


def _counts(part: str, text: str, policies: Policies) -> Iterator[Check]:
    """The figures in a part; another template may show none."""
    head = _FIRST_SECTION.split(text, maxsplit=1)[0]
    passed = (policies.passed_count, policies.evaluation_count)
    found = _found(_PASSED[part], head)
    yield _figures(f"policies in the {part}", found, passed, "{} of {} passed")
    found = _found(_VIOLATIONS[part], head)
    yield _figures(f"violations in the {part}", found, (policies.violation_count,), "{}")


def _found(pattern: str, text: str) -> list[tuple[int, ...]]:
    """The figures of each match."""
    return [
        tuple(int(each.replace(",", "")) for each in match.groups())
        for match in re.finditer(pattern, text, re.MULTILINE)
    ]


def _figures(
    name: str, found: list[tuple[int, ...]], expected: tuple[int, ...], words: str
) -> Check:
    told = words.format(*expected)
    if not found:
        return _unknown(name, f"nothing is shown; the evidence says {told}")
    for shown in found:
        if shown != expected:
            return _wrong(name, f"the mail says {words.format(*shown)}, the evidence {told}")
    return Check(name=name, result=CheckResult.OK, detail=told)


def _unknown(name: str, detail: str) -> Check:
    return Check(name=name, result=CheckResult.UNKNOWN, detail=detail)


def _wrong(name: str, detail: str) -> Check:
    return Check(name=name, result=CheckResult.WRONG, detail=detail)
