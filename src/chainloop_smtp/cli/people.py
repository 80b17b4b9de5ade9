"""Who has to do with a run: the author of its commit, and those who changed the code before it."""

from collections.abc import Callable, Iterable

from chainloop_smtp import options, source
from chainloop_smtp.cli.run import Run
from chainloop_smtp.model import Attestation, Lookup, Mailbox, Options

Person = tuple[str, str]
"""Name and address."""


def found(
    run: Run,
    parsed: Options,
    attested: Attestation | None,
    wanted: Iterable[Lookup],
    token: str,
) -> dict[Lookup, tuple[Mailbox, ...]]:
    """The people that somebody asks for; who cannot be found is told, and left out.

    Args:
        token: For GitHub's API; empty: there is none.
    """
    looked_up: dict[Lookup, Callable[[], tuple[list[Person], str]]] = {
        Lookup.AUTHOR: lambda: _author(run, attested),
        Lookup.CONTRIBUTORS: lambda: _contributors(run, parsed, token),
    }
    people = {}
    for lookup in sorted(set(wanted)):
        persons, why = looked_up[lookup]()
        if why:
            run.console.notice(f"no {lookup}", f"{why[0].upper()}{why[1:]}.")
        boxes = (options.mailbox(name, address) for name, address in persons)
        people[lookup] = tuple(box for box in boxes if box)
    return people


def _author(run: Run, attested: Attestation | None) -> tuple[list[Person], str]:
    """The attested commit's author, else that of the commit which the event is about."""
    commit = attested.commit if attested else None
    if commit and commit.author_email:
        return [(commit.author_name, commit.author_email)], ""
    if person := source.head_author(run.environ):
        return [person], ""
    return [], "neither the attestation nor the event names the author of the commit"


def _contributors(run: Run, parsed: Options, token: str) -> tuple[list[Person], str]:
    # Imported here: it is dear, and only for those who ask.
    from chainloop_smtp.source import github

    transport = parsed.transport
    return github.contributors(run.environ, token, transport.timeout, transport.deadline)
