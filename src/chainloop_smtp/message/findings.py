"""A violation -> its lines of plain text, none of which repeats another.

Violation messages are often Markdown, and all parts of the mail have to say the same: the marks go,
the words stay.
"""

import re
from bisect import bisect_left

from chainloop_smtp.model.attested import Finding, FindingKind, Violation

# CommonMark 0.31: fences (4.5), headings (4.2), quotes (5.1), bullets (5.2), rules (4.1).
_FENCE = re.compile(r"^\s*(?:```|~~~)[^`]*$")
_RULE = re.compile(r"^\s*(?:[-*_]\s*){3,}$")
# The line under the head of a table (GFM 4.10).
_HEAD = re.compile(r"^\s*\|(?:[ :]*+-[ :-]*+\|)++\s*$")
_BLOCK = re.compile(r"^\s*(?:>\s?)*(?:#{1,6}\s+)?")
_BULLET = re.compile(r"^(\s*)[*+-]\s+")
# Code spans (6.1), by their run of ticks, and links (6.3); what stands in code is left alone.
_SPAN = re.compile(r"(?P<ticks>`+)|!?\[(?P<text>[^\[\]]*)\]\((?P<url>[^()\s]+)\)")
_MARK = re.compile(r"[`\[*_]")
_TICKS = re.compile(r"`+")
# Emphasis (6.2), where it cannot be part of a name such as `__init__` or `*.py`.
_OPENING = re.compile(r"(?<![\w*_\\])(?:\*\*|__|\*|_)(?=[^\s*_])")
_CLOSING = re.compile(r"(?<=[^\s*_])(?:\*\*|__|\*|_)(?![\w*_]|\.\w)")
_WORD = re.compile(r"[^\s,;:()'\"`]+")
# What joins the facts of a finding, and says nothing by itself.
_FILLING = frozenset(
    {"a", "an", "and", "at", "cvss", "fixed", "in", "is", "of", "the", "to", "which"}
    | {"update", "upgrade"}
)


def lines(violation: Violation) -> tuple[str, ...]:
    """The finding in one line, the message, what to do about it; one line at least."""
    finding = _finding(violation.finding) if violation.finding else ""
    message = unmarked(violation.message)
    # Chainloop fills the message with the finding's own, or with its id; policies repeat it all.
    if finding and _says(finding, " ".join(message)):
        message = ()
    elif _says(" ".join(message), finding):
        finding = ""
    lines = (finding, *message)
    lines += _recommendation(violation.finding, " ".join(lines))
    return tuple(filter(None, lines)) or (violation.subject or "violated, no message given",)


def _recommendation(finding: Finding | None, message: str) -> tuple[str, ...]:
    """What the tool advises, where that is more than the message says."""
    advice = unmarked(finding.recommendation) if finding else ()
    if not advice or _says(message, " ".join(advice)):
        return ()
    return (f"Recommended: {advice[0]}", *advice[1:])


def unmarked(text: str) -> tuple[str, ...]:
    """Markdown as lines of plain text, without the empty ones."""
    lines: list[str] = []
    is_code = False
    for line in text.splitlines():
        if _FENCE.match(line):
            is_code = not is_code
        elif is_code:
            lines.append(line.strip())
        elif not _RULE.match(line) and not _HEAD.match(line):
            lines.append(_unmarked_line(line))
    return tuple(filter(None, lines))


def _unmarked_line(line: str) -> str:
    bare = _BULLET.sub(r"\1- ", _BLOCK.sub("", line)).strip()
    if not _MARK.search(bare):
        return bare
    runs = _positions(_TICKS, bare)
    words, end, at = "", 0, 0
    while span := _SPAN.search(bare, at):
        at = span.end()
        if ticks := span["ticks"]:
            closing = _next(runs[ticks], at)
            if closing is None:
                continue
            plain, at = bare[at:closing].strip(), closing + len(ticks)
        else:
            text, url = _unemphasised(span["text"]), span["url"]
            plain = f"{text} ({url})" if text and text != url else url
        words += _unemphasised(bare[end : span.start()]) + plain
        end = at
    return (words + _unemphasised(bare[end:])).strip()


def _unemphasised(text: str) -> str:
    if "*" not in text and "_" not in text:
        return text
    closings = _positions(_CLOSING, text)
    words, end = "", 0
    for opening in _OPENING.finditer(text):
        mark = opening[0]
        closing = _next(closings.get(mark, []), opening.end() + 1)
        if opening.start() >= end and closing is not None:
            words += text[end : opening.start()] + text[opening.end() : closing]
            end = closing + len(mark)
    return words + text[end:]


def _positions(marks: re.Pattern[str], text: str) -> dict[str, list[int]]:
    """Where each mark stands. Searching anew from every other mark would take quadratic time."""
    positions: dict[str, list[int]] = {}
    for mark in marks.finditer(text):
        positions.setdefault(mark[0], []).append(mark.start())
    return positions


def _next(positions: list[int], least: int) -> int | None:
    index = bisect_left(positions, least)
    return positions[index] if index < len(positions) else None


def _says(text: str, part: str) -> bool:
    """The text has every word of the part."""
    return _words(part) <= _words(text)


def _words(text: str) -> set[str]:
    return {word.rstrip(".").lower() for word in _WORD.findall(text)} - _FILLING


def _finding(finding: Finding) -> str:
    """``CVE-2026-21441 (critical, CVSS 9.8) in openssl 3.0.14-r0, fixed in 3.0.16-r0``."""
    score = f"{finding.score:g}" if finding.score is not None else ""
    if score:
        score = f"{'CVSS' if finding.kind is FindingKind.VULNERABILITY else 'score'} {score}"
    notes = [finding.severity.lower(), score, finding.assessment.lower().replace("_", " ")]
    text = finding.id or finding.message
    text += f" ({', '.join(filter(None, notes))})" if any(notes) else ""
    if finding.component:
        text += f" in {finding.component}"
        text += f" {finding.component_version}" if finding.component_version else ""
    if finding.location:
        text += f" at {finding.location}"
    if finding.fixed_version:
        text += f", fixed in {finding.fixed_version}"
    if finding.kind is FindingKind.SAST and finding.id and finding.message:
        text += f": {finding.message}"
    return " ".join(text.split())
