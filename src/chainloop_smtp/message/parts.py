"""Files -> Parts: names that are safe on every system, media types, and the encoding, once."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable

from chainloop_smtp.message import mime
from chainloop_smtp.model.mail import File, Part

_LONGEST_NAME = 120  # octets of UTF-8; file systems take 255, and mail programs add to a name
# What Windows takes for a device, whatever stands behind a dot.
_DEVICES = re.compile(r"(CON|PRN|AUX|NUL|COM[0-9¹²³]|LPT[0-9¹²³])(\..*)?", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[<>:"|?*]')
# Controls, bidirectional and other invisible characters, surrogates, private ones, line ends.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
# Nothing that a mail program would show by itself: HTML and SVG can hold scripts.
_MEDIA_TYPES = {
    ".json": "application/json",
    ".sarif": "application/sarif+json",
    ".xml": "application/xml",
    ".zip": "application/zip",
    ".gz": "application/gzip",
    ".pdf": "application/pdf",
    ".txt": "text/plain; charset=utf-8",
    ".log": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
}


def parts(files: Iterable[File]) -> tuple[Part, ...]:
    """What is attached, in its order; a name that is there already gets a number."""
    taken: set[str] = set()
    found = []
    for file in files:
        name = _unique(safe_name(file.name), taken)
        found.append(
            Part(
                name=name,
                content=file.content,
                digest=f"sha256:{hashlib.sha256(file.content).hexdigest()}",
                encoded=mime.attachment(name, _media_type(name), file.content),
            )
        )
    return tuple(found)


def safe_name(name: str) -> str:
    """A file name for every system: no folder, no device, nothing invisible, not too long."""
    base = re.split(r"[/\\]", name)[-1]
    base = unicodedata.normalize("NFC", _FORBIDDEN.sub("_", base))
    seen = "".join(each for each in base if unicodedata.category(each) not in _UNSEEN)
    # Windows drops dots and blanks at an end, so that two names become one.
    seen = " ".join(seen.split()).rstrip(". ")
    stem, extension = _split(seen)
    whole = _cut(stem, _LONGEST_NAME - len(extension)) + extension
    return f"_{whole}" if _DEVICES.fullmatch(whole) else whole or "attachment"


def _split(name: str) -> tuple[str, str]:
    """Stem and extension, the dot with the latter; a long extension is none."""
    stem, dot, extension = name.rpartition(".")
    if not stem or not extension.isascii() or len(extension) > 15:
        return name, ""
    return stem, dot + extension


def _cut(text: str, octets: int) -> str:
    return text.encode()[:octets].decode(errors="ignore").rstrip(". ")


def _unique(name: str, taken: set[str]) -> str:
    stem, extension = _split(name)
    number = 1
    # Without regard to case, as on Windows and macOS.
    while (key := name.casefold()) in taken:
        number += 1
        suffix = f"-{number}{extension}"
        name = _cut(stem, _LONGEST_NAME - len(suffix)) + suffix
    taken.add(key)
    return name


def _media_type(name: str) -> str:
    return _MEDIA_TYPES.get(_split(name)[1].lower(), "application/octet-stream")
