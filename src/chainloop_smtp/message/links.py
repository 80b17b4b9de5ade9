"""Text -> whether it may be a link, and whether it can be broken into lines."""

import re
from itertools import groupby

# No login, which looks like the host, and no letters that look like others (IDNA: `xn--`).
_HOST = r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?"
_WEB = re.compile(rf"(?ai:https?)://{_HOST}(?:[/?#][^\s<>\"'`\\]*)?")
# Lines break behind a hyphen anyway, so a name of many short words needs no help.
_UNBROKEN = re.compile(r"[^\s-]{21}")


def is_web(url: str) -> bool:
    """A link that may be a link: ``http`` or ``https``, and nothing that ends an attribute."""
    return bool(_WEB.fullmatch(url))


def stretches(text: str) -> tuple[str, ...]:
    """The text in pieces: each is one word or more that may break anywhere, or that need not."""
    return tuple(" ".join(words) for _, words in groupby(text.split(" "), is_unbroken))


def is_unbroken(text: str) -> bool:
    """Holds over 20 characters without a blank or hyphen, which may have to break anywhere."""
    return bool(_UNBROKEN.search(text))
