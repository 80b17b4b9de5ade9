"""Text -> whether it may be a link, and whether it can be broken into lines."""

import re

_WEB = re.compile(r"https?://[^\s<>\"'`\\]+", re.IGNORECASE)
# Lines break behind a hyphen anyway, so a name of many short words needs no help.
_UNBROKEN = re.compile(r"[^\s-]{21}")


def is_web(url: str) -> bool:
    """A link that may be a link: ``http`` or ``https``, and nothing that ends an attribute."""
    return bool(_WEB.fullmatch(url))


def is_unbroken(text: str) -> bool:
    """Holds over 20 characters without a blank or hyphen, which may have to break anywhere."""
    return bool(_UNBROKEN.search(text))
