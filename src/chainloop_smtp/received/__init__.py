"""Received mail and its evidence -> Checks: does the mail show what is attached to it?

A receiver, or an auditor a year later, checks a mail without asking anybody. That its parts agree
does not say who wrote it: for that, the digest has to be looked up where the evidence is stored.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from chainloop_smtp.model.attested import Attestation, Policies
from chainloop_smtp.model.checks import Body, Check, CheckResult, Expected, ReceivedMessage
from chainloop_smtp.model.facts import Outcome, PolicyStatus, Verdict
from chainloop_smtp.model.mail import File
from chainloop_smtp.received.parsing import FIELDS, PREFIX, read
from chainloop_smtp.received.visible import VisibleText, visible

__all__ = ["check_claims", "compare", "read", "visible"]

# Python refuses to make a number of thousands of digits.
_NUMBER = r"([0-9][0-9,]{0,30})"
_LISTED = rf":{_NUMBER}bytes?,(sha256:[0-9a-f]{{64}})"
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
_BADGES = {
    "subject": r"(?:\] |\[)({})(?=[:,\]])",
    "text": r"^[ >]*({}): ",
    "HTML": r"^[✓!✕–] ({})$",
}

# In prose. A score is compared by its figures, and is not a word about the whole run.
_SCORE = re.compile(r"\b([0-9][0-9,]{0,12}) of ([0-9][0-9,]{0,12}) (?:polic(?:y|ies) )?passed\b")
_ALL = re.compile(r"\b(?:all|every|each)\b[^.\n]{0,40}\bpass(?:ed|es)?\b")
_NONE = re.compile(r"\b(?:no|0|zero|without(?: any)?|free of) (?:policy |active )?violations?\b")
_WORDS = {
    Outcome.PASSED: re.compile(r"\b(?:pass(?:ed|es)?|success(?:ful|fully)?|approved|compliant)\b"),
    Outcome.VIOLATIONS: re.compile(r"\b(?:violations?|violated)\b"),
    Outcome.BLOCKED: re.compile(r"\bblock(?:ed|s)\b"),
    Outcome.BYPASSED: re.compile(r"\bbypass(?:ed)?\b|\bby exception\b"),
    Outcome.FAILED: re.compile(r"\bfail(?:ed|ure)\b|\btimed out\b"),
    Outcome.CANCELLED: re.compile(r"\bcancell?ed\b"),
    Outcome.NOT_ATTESTED: re.compile(r"\bnot attested\b"),
}
_LONGEST_QUOTE = 100  # characters


def check_claims(
    mail: ReceivedMessage,
    attestation: Attestation,
    verdict: Verdict,
    badges: Mapping[str, Outcome],
    by_job: Outcome | None = None,
    fingerprint: str = "",
) -> Iterator[Check]:
    """Check each claim that the mail makes about its evidence.

    Args:
        attestation: The attached evidence, cleaned as for a mail.
        verdict: By the evidence alone.
        badges: The words for each outcome.
        by_job: The outcome in the header, where it is so by the job and not by the evidence alone.
        fingerprint: The signing key's, as the mail shows it; empty: it shows none.
    """
    fields = dict(mail.fields)
    # A push does not say whether a gate was bypassed; that its job failed does.
    status = PolicyStatus.BLOCKED if by_job is Outcome.BLOCKED else verdict.policy_status
    for file in mail.files:
        yield _attached(mail.text, file)
    yield _bundle(attestation)
    workflow = attestation.workflow
    for name, value in (
        ("digest", attestation.digest),
        ("run id", attestation.run.id),
        ("organization", workflow.organization),
        ("project", workflow.project),
        ("workflow", workflow.name),
        ("policy status", status or ""),
    ):
        yield _field(f"{name} in the header", fields.get(PREFIX + name.replace(" ", "-")), value)
    outcome = fields.get(f"{PREFIX}outcome")
    yield _outcome("outcome in the header", outcome, verdict.outcome, by_job)
    words = {word.lower(): outcome for word, outcome in badges.items()}
    yield _badge("subject", mail.subject, words, verdict.outcome, by_job)
    attached = (_sha256(each.content) for each in mail.files)
    known = {*_DIGEST.findall(repr(attestation)), *attached, fingerprint}
    for part, text in (("text", mail.text), ("HTML", mail.html)):
        if not text:
            yield _unknown(part, "the mail has none")
            continue
        yield _badge(part, text, words, verdict.outcome, by_job)
        for name, value in (("digest", attestation.digest), ("run id", attestation.run.id)):
            yield _contained(f"{name} in the {part}", text, value)
        yield _digests(f"digests in the {part}", text, known)
        yield from _counts(part, text, attestation.policies)


def compare(
    mail: ReceivedMessage, expected: Expected, outcomes: frozenset[Outcome], policies: Policies
) -> Iterator[Check]:
    """Compare everything that a reader is shown with the mail that the evidence makes.

    A part that is identical is confirmed, and no other is. The lines that a reader sees then
    decide between WRONG (a line of the evidence is missing, or something contradicts it) and
    UNKNOWN (the rest: the user's own templates, other parts, what a list has put in front).

    Args:
        outcomes: What the mail may call the run: by the evidence, or by the job.
    """
    for fault in mail.faults:
        yield _wrong("form", f"the mail {fault}")
    facts = _Facts(outcomes, policies)
    yield _sender(mail.sender, facts)
    yield _subject(mail.subject, expected.subject, facts)
    yield _part("text", mail.plain, expected.text, expected.bare_text, facts)
    yield _part("HTML", mail.page, expected.html, expected.bare_html, facts)
    for name, value in mail.fields:
        if name.removeprefix(PREFIX) not in FIELDS:
            field = f"{name.title()} in the header"
            yield _foreign(field, "no field that this program writes", value, facts)
    for what, text in mail.others:
        yield _foreign(what, f"the mail shows {what}, which is not in its evidence", text, facts)


def _attached(text: str, file: File) -> Check:
    """A file against its digest in the text."""
    name, digest = f"attached {file.name}", _sha256(file.content)
    # One name may end as another does.
    pattern = re.escape("".join(file.name.split())) + _LISTED
    matches = re.finditer(pattern, "".join(text.split()))
    listed = [(each[2], int(each[1].replace(",", ""))) for each in matches]
    if not listed:
        return _unknown(name, f"the text does not list it; it is {digest}")
    if (digest, len(file.content)) in listed:
        return _ok(name, digest)
    return _wrong(name, f"is {digest} of {len(file.content):,} bytes, listed as {listed[0][0]}")


def _sha256(content: bytes) -> str:
    import hashlib

    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _bundle(attestation: Attestation) -> Check:
    match attestation.signing.is_digest_verified:
        case True:
            return _ok("bundle", f"its bytes are {attestation.digest}")
        case False:
            return _wrong("bundle", f"its bytes are not {attestation.digest}")
    if not attestation.digest:
        return _unknown("bundle", "the evidence has neither the bundle nor its digest")
    return _unknown("bundle", "the evidence gives the digest, but not its content")


def _field(name: str, shown: str | None, value: str) -> Check:
    value = " ".join(value.split())
    if shown is None:
        if not value:
            return _unknown(name, "neither the mail nor the evidence says one")
        return _unknown(name, f"the mail has none; the evidence says {value}")
    # A long one is cut in the header.
    if shown == value or (shown.endswith("...") and value.startswith(shown[:-3])):
        return _ok(name, shown)
    return _wrong(name, f"the mail says {shown}, the evidence {value or 'nothing'}")


def _outcome(name: str, shown: str | None, outcome: Outcome, by_job: Outcome | None) -> Check:
    """An outcome against the evidence; or against the header, where it is that of the job."""
    if by_job is None:
        return _field(name, shown, outcome.value)
    if shown == by_job:
        why = f"{shown}, by the job; by the evidence alone it is {outcome.value}"
        return _unknown(name, why)
    return _wrong(name, f"the mail says {shown}, its header {by_job}")


def _badge(
    part: str, text: str, words: Mapping[str, Outcome], outcome: Outcome, by_job: Outcome | None
) -> Check:
    """The first badge in a text; a user's template may show none."""
    name = f"outcome in the {part}"
    pattern = _BADGES[part].format("|".join(map(re.escape, words)))
    badge = re.search(pattern, text, re.MULTILINE | re.IGNORECASE)
    if badge is None:
        return _unknown(name, "none of the built-in words for it is there")
    return _outcome(name, words[badge[1].lower()].value, outcome, by_job)


def _digests(name: str, text: str, known: set[str]) -> Check:
    shown = dict.fromkeys(_DIGEST.findall(text))
    if not shown:
        return _unknown(name, "none is shown")
    others = [each for each in shown if each not in known]
    if not others:
        return _ok(name, "all are in the evidence")
    first = f"{others[0]}{' and others' if len(others) > 1 else ''}"
    if _COMPARED.search(text):
        return _unknown(name, f"{first}: from an earlier run, or not in the evidence")
    return _wrong(name, f"the mail shows {first}, which the evidence does not say")


def _contained(name: str, text: str, value: str) -> Check:
    if not value:
        return _unknown(name, "the evidence has none")
    return _ok(name, value) if value in text else _wrong(name, f"does not show {value}")


def _counts(part: str, text: str, policies: Policies) -> Iterator[Check]:
    """The figures in a part; another template may show none."""
    head = _FIRST_SECTION.split(text, maxsplit=1)[0]
    passed = (policies.passed_count, policies.evaluation_count)
    yield _figures(f"policies in the {part}", _PASSED[part], head, passed, "{} of {} passed")
    violations = (policies.violation_count,)
    yield _figures(f"violations in the {part}", _VIOLATIONS[part], head, violations, "{}")


def _figures(name: str, pattern: str, text: str, expected: tuple[int, ...], words: str) -> Check:
    matches = re.finditer(pattern, text, re.MULTILINE)
    shown = [tuple(map(_int, match.groups())) for match in matches]
    evidence = words.format(*expected)
    if not shown:
        return _unknown(name, f"nothing is shown; the evidence says {evidence}")
    for each in shown:
        if each != expected:
            return _wrong(name, f"the mail says {words.format(*each)}, the evidence {evidence}")
    return _ok(name, evidence)


class _Facts:
    """What the evidence says, against words that anybody may write."""

    def __init__(self, outcomes: frozenset[Outcome], policies: Policies) -> None:
        self._outcomes = outcomes
        self._policies = policies
        self._is_good = bool(outcomes & {Outcome.PASSED, Outcome.ATTESTED})

    def contradiction(self, text: str) -> str:
        """Words that say something else than the evidence; empty: there are none."""
        text, policies = " ".join(text.lower().split()), self._policies
        for score in _SCORE.finditer(text):
            if tuple(map(_int, score.groups())) != (
                policies.passed_count,
                policies.evaluation_count,
            ):
                return score[0]
        text = _SCORE.sub(" ", text)
        if policies.passed_count < policies.evaluation_count and (match := _ALL.search(text)):
            return match[0]
        if (policies.violation_count or policies.has_violations) and (match := _NONE.search(text)):
            return match[0]
        text = _NONE.sub(" ", text)
        named = {each: match for each, words in _WORDS.items() if (match := words.search(text))}
        allowed = self._outcomes | ({Outcome.PASSED} if self._is_good else set())
        return "" if named.keys() & allowed else next((each[0] for each in named.values()), "")

    def is_undue_praise(self, text: str) -> bool:
        """The text calls a run good that is not."""
        return not self._is_good and bool(_WORDS[Outcome.PASSED].search(text.lower()))


def _sender(sender: str, facts: _Facts) -> Check:
    if facts.is_undue_praise(sender):
        return _wrong("sender", f"From says {_quoted(sender)}, which is not in the evidence")
    return _unknown("sender", f"{_quoted(sender)}: the evidence cannot tell who wrote the mail")


def _subject(subject: str, expected: str, facts: _Facts) -> Check:
    if subject == expected:
        return _ok("subject", "matches the evidence")
    detail = f"{_quoted(subject)}, and not {_quoted(expected)}"
    if subject.endswith(expected):
        subject = subject.removesuffix(expected)
        detail = f"{_quoted(subject)} stands in front"
    if words := facts.contradiction(subject):
        return _wrong("subject", f"{detail}: {_quoted(words)} is not what the evidence says")
    return _unknown("subject", f"{detail}, which may be a custom template")


def _foreign(name: str, detail: str, text: str, facts: _Facts) -> Check:
    """Something shown that cannot be compared."""
    line = next(filter(None, map(str.strip, text.split("\n"))), "")
    detail = f"{detail}: {_quoted(line)}"
    if words := facts.contradiction(text):
        return _wrong(name, f"{detail}; {_quoted(words)} is not what the evidence says")
    return _unknown(name, detail)


def _part(name: str, body: Body | None, expected: str, bare: str, facts: _Facts) -> Check:
    if body is None:
        return _unknown(name, "the mail has none")
    expected, bare = _carried(expected, body.charset), _carried(bare, body.charset)
    if _normal(body.source) == _normal(expected):
        return _ok(name, "matches the evidence")
    look = visible if name == "HTML" else _plain
    return _differing(name, look(body.source), look(expected), look(bare), facts)


def _differing(
    name: str, received: VisibleText, ours: VisibleText, bare: VisibleText, facts: _Facts
) -> Check:
    """A part that is not identical to ours, by the lines that a reader sees."""
    known = set(received.everything)
    if 2 * sum(line in known for line in ours.lines) < len(ours.lines):
        detail = (
            f"not what this version and its templates make of the evidence, so it cannot be "
            f"compared; the {name} begins"
        )
        return _foreign(name, detail, "\n".join(received.lines), facts)
    # Lines without the job's facts are of the evidence alone.
    required = Counter(ours.lines) & Counter(bare.lines)
    left = Counter(received.lines)
    for line in ours.lines:
        if line in required and not left[line]:
            verb = "hides" if line in known else "does not show"
            return _wrong(name, f"{verb} {_quoted(line)}, which the evidence says")
        left[line] -= 1
    rest = iter(received.lines)
    if not all(line in rest for line in ours.lines if line in required):
        return _wrong(name, "shows what the evidence says in another order")
    if tricks := sorted(received.tricks - ours.tricks):
        return _wrong(name, f"can cover or change what it shows, by {_quoted(tricks[0])}")
    further = _further(received.lines, ours.lines)
    if not further:
        return _unknown(name, "shows what the evidence says, in a different form")
    if all(line is None for line in further):
        return _unknown(name, "compares with an earlier run, whose evidence is not attached")
    text = "\n".join(filter(None, further))
    return _foreign(name, "shows what the evidence does not say", text, facts)


def _further(received: tuple[str, ...], ours: tuple[str, ...]) -> list[str | None]:
    """Lines that are not ours; None for those of a comparison with an earlier run."""
    left, further, is_comparison = Counter(ours), [], False
    for line in received:
        if left[line]:
            left[line] -= 1
            is_comparison = False
            continue
        is_comparison |= bool(_COMPARED.match(line))
        further.append(None if is_comparison else line)
    return further


def _plain(text: str) -> VisibleText:
    """The lines of a text, quoted by somebody or not."""
    stripped = (" ".join(line.lstrip("> ").split()) for line in text.split("\n"))
    lines = tuple(filter(None, stripped))
    return VisibleText(lines, lines, frozenset())


def _carried(text: str, charset: str) -> str:
    """What a server makes of it that knows a smaller charset."""
    return text.encode(charset, "replace").decode(charset, "replace")


def _normal(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")


def _int(figure: str) -> int:
    return int(figure.replace(",", ""))


def _quoted(text: str) -> str:
    text = " ".join("".join(c if c.isprintable() else " " for c in text[:500]).split())
    return repr(text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 3] + "...")


def _ok(name: str, detail: str) -> Check:
    return Check(name=name, result=CheckResult.OK, detail=detail)


def _unknown(name: str, detail: str) -> Check:
    return Check(name=name, result=CheckResult.UNKNOWN, detail=detail)


def _wrong(name: str, detail: str) -> Check:
    return Check(name=name, result=CheckResult.WRONG, detail=detail)
