"""Inputs -> Enclosures: what is attached, and how much of it."""

import re

from chainloop_smtp.errors import quoted_word
from chainloop_smtp.model.settings import Enclosures
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
_LARGEST = 1000**3  # octets


def enclosures(values: Values) -> Enclosures:
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
