"""Host, phase and reply -> the cause, what to change, and whether trying again may help.

The rules are data: ``hints.toml`` beside this file, which explains them. It is loaded when a server
refuses something, so a healthy run pays nothing for it.
"""

from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple

from chainloop_smtp.model.mail import Reply


class Phase(StrEnum):
    """The command that a reply is to."""

    GREETING = "greeting"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"


class Credential(StrEnum):
    """What the client logs in with."""

    PASSWORD = "password"  # noqa: S105  # a kind, not a password
    TOKEN = "token"  # noqa: S105  # likewise
    NONE = "none"


class Advice(NamedTuple):
    """What a reply means.

    Attributes:
        hint: The cause and what to change.
        is_temporary: Trying again may help.
    """

    hint: str
    is_temporary: bool


def advise(host: str, phase: Phase, reply: Reply, credential: Credential) -> Advice:
    """Return what a negative reply means, by the most specific rule that matches it.

    Args:
        host: As the user gave it.
    """
    name = provider(host)
    matching = (rule for rule in _table()["rule"] if _matches(rule, name, phase, reply, credential))
    rule = max(matching, key=_specificity)
    return Advice(rule["hint"], rule.get("retry", 400 <= reply.code < 500))


def provider(host: str) -> str:
    """Return the name of the provider that runs a server; empty when it is not in the table."""
    name = host.lower().rstrip(".")
    return next(
        (
            each["name"]
            for each in _table()["provider"]
            if any(name == domain or name.endswith(f".{domain}") for domain in each["domains"])
        ),
        "",
    )


@cache
def _table() -> dict[str, Any]:
    import tomllib
    from importlib.resources import files

    return tomllib.loads(files(__package__).joinpath("hints.toml").read_text("utf-8"))


def _matches(
    rule: dict[str, Any], name: str, phase: Phase, reply: Reply, credential: Credential
) -> bool:
    # Not what is in an address, which the server repeats.
    text = " ".join(word for word in reply.text.lower().split() if "@" not in word)
    return (
        rule.get("provider", name) == name
        and phase in rule.get("phases", (phase,))
        and reply.code in rule.get("codes", (reply.code,))
        and rule.get("login", credential) == credential
        and ("enhanced" not in rule or any(_covers(each, reply) for each in rule["enhanced"]))
        and all(words in text for words in rule.get("words", ()))
        and ("one-of" not in rule or any(words in text for words in rule["one-of"]))
    )


def _covers(pattern: str, reply: Reply) -> bool:
    """The rule's code is the reply's, or its beginning; ``x`` is any class."""
    wanted, actual = pattern.split("."), reply.enhanced.split(".")
    return actual[1 : len(wanted)] == wanted[1:] and wanted[0] in ("x", actual[0])


def _specificity(rule: dict[str, Any]) -> tuple[int, ...]:
    """The order in which rules win, most specific last; ``hints.toml`` explains it."""
    words = len(rule.get("words", ())) + ("one-of" in rule)
    dots = rule.get("enhanced", [""])[0].count(".")
    return (
        "provider" in rule and bool(words or dots),
        words,
        "provider" in rule,
        dots == 2,
        len(rule.get("codes", ())) == 1,
        dots,
        "codes" in rule,
        "phases" in rule,
        "login" in rule,
    )
