"""A violation -> what it says, in lines of plain text. Each thing is said once.

Messages are often Markdown, and the three parts of a mail have to say the same: the marks go, the
words stay.
"""

import re

from chainloop_smtp.model import Finding, FindingKind, Violation

# CommonMark 0.31: fences (4.5), headings (4.2), quotes (5.1), bullets (5.2), rules (4.1).
_FENCE = re.compile(r"^\s*(?:```|~~~)[^`]*$")
_RULE = re.compile(r"^\s*(?:[-*_]\s*){3,}$")
_BLOCK = re.compile(r"^\s*(?:>\s?)*(?:#{1,6}\s+)?")
_BULLET = re.compile(r"^(\s*)[*+-]\s+")
# Code spans (6.1) and links (6.3); what stands in code is left alone.
_SPANS = re.compile(r"(`+)(?P<code>.+?)(?<!`)\1(?!`)|!?\[(?P<text>[^\[\]]*)\]\((?P<url>[^()\s]+)\)")
# Emphasis (6.2), where it cannot be part of a name such as `__init__` or `*.py`.
_EMPHASIS = re.compile(r"(?<![\w*_\\])(\*\*|__|\*|_)(?=[^\s*_])(.+?)(?<=[^\s*_])\1(?![\w*_]|\.\w)")
_WORD = re.compile(r"[^\s,;:()'\"`]+")
# What joins the facts of a finding, and says nothing by itself.
_FILLING = frozenset({"a", "an", "and", "at", "cvss", "fixed", "in", "is", "of", "the", "which"})


def lines(violation: Violation) -> tuple[str, ...]:
    """The finding in one line, then the message; one at least."""
    finding = _finding(violation.finding) if violation.finding else ""
    message = unmarked(violation.message)
    # Chainloop fills the message with the finding's own, or with its id; policies repeat it all.
    if _says(finding, " ".join(message)):
        message = ()
    elif _says(" ".join(message), finding):
        finding = ""
    said = (finding, *message)
    return tuple(filter(None, said)) or (violation.subject or "violated, no message given",)


def unmarked(text: str) -> tuple[str, ...]:
    """Markdown as lines of plain text, without the empty ones."""
    found: list[str] = []
    is_code = False
    for line in text.splitlines():
        if _FENCE.match(line):
            is_code = not is_code
        elif is_code:
            found.append(line.strip())
        elif not _RULE.match(line):
            found.append(_unmarked_line(line))
    return tuple(filter(None, found))


def _unmarked_line(line: str) -> str:
    bare = _BULLET.sub(r"\1- ", _BLOCK.sub("", line, count=1)).strip()
    words, end = "", 0
    for span in _SPANS.finditer(bare):
        words += _EMPHASIS.sub(r"\2", bare[end : span.start()])
        if span["code"] is not None:
            words += span["code"].strip()
        else:
            text, url = _EMPHASIS.sub(r"\2", span["text"]), span["url"]
            words += f"{text} ({url})" if text and text != url else url
        end = span.end()
    return (words + _EMPHASIS.sub(r"\2", bare[end:])).strip()


def _says(whole: str, part: str) -> bool:
    """Every word of the one stands in the other."""
    return _words(part) <= _words(whole)


def _words(text: str) -> set[str]:
    return {word.rstrip(".").lower() for word in _WORD.findall(text)} - _FILLING


def _finding(finding: Finding) -> str:
    """``CVE-2026-21441 (critical, CVSS 9.8) in openssl 3.0.14-r0, fixed in 3.0.16-r0``."""
    score = f"{finding.score:g}" if finding.score is not None else ""
    if score and finding.kind is FindingKind.VULNERABILITY:
        score = f"CVSS {score}"
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
