"""A mail as somebody has received it, and what came of looking at it."""

from dataclasses import dataclass, field
from enum import StrEnum

from chainloop_smtp.model.mail import File


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What stands in a received mail; all of it may be anybody's.

    Attributes:
        fields: Header fields of ours, ``X-Chainloop-…``, by lower-case name; where one stands
            more than once, with each value that it has.
        subject: Empty when there is none.
        text: The text parts; empty when there is none.
        html: What is to be seen of the HTML parts, a line for each block; empty when there is
            none.
        files: What is attached.
    """

    fields: tuple[tuple[str, str], ...] = ()
    subject: str = ""
    text: str = field(repr=False, default="")
    html: str = field(repr=False, default="")
    files: tuple[File, ...] = ()


class CheckResult(StrEnum):
    """How a check came out."""

    OK = "ok"
    WRONG = "wrong"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What.
        result: UNKNOWN where the mail or the evidence says nothing of it.
        detail: What was found, in a few words.
    """

    name: str
    result: CheckResult
    detail: str
