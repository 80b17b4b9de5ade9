"""What a mail shows against what its evidence makes: the mail composed anew.

A part that is the same to the letter is confirmed. Another one never is; the lines that a reader
sees then decide between WRONG (some line of the evidence is missing, or something contradicts it)
and UNKNOWN (the rest: the user's own templates, other parts, what a list has put in front).
"""

import re
from collections import Counter
from collections.abc import Iterator

from chainloop_smtp.model.attested import Policies
from chainloop_smtp.model.checks import Body, Check, CheckResult, Expected, ReceivedMessage
from chainloop_smtp.model.facts import Outcome
from chainloop_smtp.received.page import Seen, seen
from chainloop_smtp.received.reading import FIELDS, OURS

_LONGEST = 100  # characters of what is quoted
_SECTION = re.compile(r"(?:nothing )?changed since\b", re.IGNORECASE)
# A figure is compared as one, and is no word on the whole.
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


def compared(
    letter: ReceivedMessage, expected: Expected, outcomes: frozenset[Outcome], policies: Policies
) -> Iterator[Check]:
    """Everything that a reader is shown.

    Args:
        outcomes: What the mail may call the run: by the evidence, or by the job.
    """
    for fault in letter.faults:
        yield Check(name="form", result=CheckResult.WRONG, detail=f"the mail {fault}")
    facts = _Facts(outcomes, policies)
    yield _sender(letter.sender, facts)
    yield _subject(letter.subject, expected.subject, facts)
    yield _part("text", letter.plain, expected.text, expected.bare_text, facts)
    yield _part("HTML", letter.page, expected.html, expected.bare_html, facts)
    for name, value in letter.fields:
        if name.removeprefix(OURS) not in FIELDS:
            field = f"{name.title()} in the header"
            yield _foreign(field, "no field that this program writes", value, facts)
    for what, text in letter.others:
        yield _foreign(what, f"the mail shows {what}, which is not of its evidence", text, facts)


class _Facts:
    """What the evidence says, against words that anybody may write."""

    def __init__(self, outcomes: frozenset[Outcome], policies: Policies) -> None:
        self._outcomes = outcomes
        self._policies = policies

    @property
    def is_good(self) -> bool:
        """Praise of the run contradicts nothing."""
        return bool(self._outcomes & {Outcome.PASSED, Outcome.ATTESTED})

    def contradiction(self, text: str) -> str:
        """Words that say something else than the evidence; empty: there are none."""
        text, policies = " ".join(text.lower().split()), self._policies
        for score in _SCORE.finditer(text):
            figures = tuple(int(each.replace(",", "")) for each in score.groups())
            if figures != (policies.passed_count, policies.evaluation_count):
                return score[0]
        text = _SCORE.sub(" ", text)
        if policies.passed_count < policies.evaluation_count and (found := _ALL.search(text)):
            return found[0]
        if (policies.violation_count or policies.has_violations) and (found := _NONE.search(text)):
            return found[0]
        text = _NONE.sub(" ", text)
        said = {each: found for each, words in _WORDS.items() if (found := words.search(text))}
        allowed = self._outcomes | ({Outcome.PASSED} if self.is_good else set())
        return "" if said.keys() & allowed else next((each[0] for each in said.values()), "")

    def praise(self, text: str) -> bool:
        """The text calls a run good that is not."""
        return not self.is_good and bool(_WORDS[Outcome.PASSED].search(text.lower()))


def _sender(sender: str, facts: _Facts) -> Check:
    if facts.praise(sender):
        return _wrong("sender", f"From says {_quoted(sender)}, which is not of the evidence")
    return _unknown("sender", f"{_quoted(sender)}: the evidence cannot tell who wrote the mail")


def _subject(subject: str, expected: str, facts: _Facts) -> Check:
    if subject == expected:
        return Check(name="subject", result=CheckResult.OK, detail="as the evidence makes it")
    told = f"{_quoted(subject)}, and not {_quoted(expected)}"
    if subject.endswith(expected):
        told = f"{_quoted(subject.removesuffix(expected))} stands in front"
        subject = subject.removesuffix(expected)
    if words := facts.contradiction(subject):
        return _wrong("subject", f"{told}: {_quoted(words)} is not what the evidence says")
    return _unknown("subject", f"{told}, which may be somebody's own template")


def _foreign(name: str, told: str, text: str, facts: _Facts) -> Check:
    """Something shown that cannot be compared."""
    line = next(filter(None, map(str.strip, text.split("\n"))), "")
    told = f"{told}: {_quoted(line)}"
    if words := facts.contradiction(text):
        return _wrong(name, f"{told}; {_quoted(words)} is not what the evidence says")
    return _unknown(name, told)


def _part(name: str, body: Body | None, expected: str, bare: str, facts: _Facts) -> Check:
    if body is None:
        return _unknown(name, "the mail has none")
    expected, bare = _carried(expected, body.charset), _carried(bare, body.charset)
    if _normal(body.source) == _normal(expected):
        return Check(name=name, result=CheckResult.OK, detail="as the evidence makes it")
    look = seen if name == "HTML" else _plain
    return _differing(name, look(body.source), look(expected), look(bare), facts)


def _differing(name: str, received: Seen, ours: Seen, bare: Seen, facts: _Facts) -> Check:
    """A part that is not ours to the letter, by the lines that a reader sees."""
    known = set(received.everything)
    if 2 * sum(line in known for line in ours.lines) < len(ours.lines):
        told = (
            f"not what version and templates of this program make of the evidence, so that it "
            f"cannot be compared; the {name} begins"
        )
        return _foreign(name, told, "\n".join(received.lines), facts)
    required = Counter(ours.lines) & Counter(bare.lines)
    left = Counter(received.lines)
    for line in ours.lines:
        if line in required and not left[line]:
            verb = "hides" if line in known else "does not show"
            return _wrong(name, f"{verb} {_quoted(line)}, which the evidence says")
        left[line] -= 1
    if not _is_in_order([line for line in ours.lines if line in required], received.lines):
        return _wrong(name, "shows what the evidence says in another order")
    if tricks := sorted(received.tricks - ours.tricks):
        return _wrong(name, f"can cover or change what it shows, by {_quoted(tricks[0])}")
    further = _further(received.lines, ours.lines)
    if not further:
        return _unknown(name, "shows what the evidence says, and is written in another way")
    if all(line is None for line in further):
        return _unknown(name, "compares with an earlier run, whose evidence is not attached")
    told = "shows what the evidence does not say"
    return _foreign(name, told, "\n".join(filter(None, further)), facts)


def _further(received: tuple[str, ...], ours: tuple[str, ...]) -> list[str | None]:
    """Lines that are not ours; None for those of a comparison with an earlier run."""
    left, further, is_comparison = Counter(ours), [], False
    for line in received:
        if left[line]:
            left[line] -= 1
            is_comparison = False
            continue
        is_comparison |= bool(_SECTION.match(line))
        further.append(None if is_comparison else line)
    return further


def _is_in_order(lines: list[str], received: tuple[str, ...]) -> bool:
    rest = iter(received)
    return all(line in rest for line in lines)


def _plain(text: str) -> Seen:
    """The lines of a text, quoted by somebody or not."""
    stripped = (" ".join(line.lstrip("> ").split()) for line in text.split("\n"))
    lines = tuple(filter(None, stripped))
    return Seen(lines, lines, frozenset())


def _carried(text: str, charset: str) -> str:
    """What a server makes of it that knows a smaller charset."""
    return text.encode(charset, "replace").decode(charset, "replace")


def _normal(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")


def _quoted(text: str) -> str:
    text = " ".join("".join(c if c.isprintable() else " " for c in text[:500]).split())
    return repr(text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "...")


def _unknown(name: str, detail: str) -> Check:
    return Check(name=name, result=CheckResult.UNKNOWN, detail=detail)


def _wrong(name: str, detail: str) -> Check:
    return Check(name=name, result=CheckResult.WRONG, detail=detail)
