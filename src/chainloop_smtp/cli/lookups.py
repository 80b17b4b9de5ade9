"""Who has to do with a run: the author of its commit, and those who changed the code before it."""

from collections.abc import Callable, Iterable

from chainloop_smtp import addressing, options
from chainloop_smtp.cli.run import Run
from chainloop_smtp.model import origin
from chainloop_smtp.model.attested import Attestation
from chainloop_smtp.model.facts import Job
from chainloop_smtp.model.settings import Lookup, Mailbox, Options
from chainloop_smtp.source import event

Person = tuple[str, str]
"""Name and address."""

_GIT_SECONDS = 10


def found(
    run: Run,
    parsed: Options,
    job: Job,
    attested: Attestation | None,
    wanted: Iterable[Lookup],
    token: str,
) -> dict[Lookup, tuple[Mailbox, ...]]:
    """The people that somebody asks for; who cannot be found is told, and left out.

    Args:
        job: Which the mail is about.
        token: For GitHub's API; empty: there is none.
    """
    looked_up: dict[Lookup, Callable[[], tuple[list[Person], str]]] = {
        Lookup.AUTHOR: lambda: _author(run, job, attested),
        Lookup.CONTRIBUTORS: lambda: _contributors(run, parsed, job, attested, token),
    }
    people = {}
    for lookup in sorted(set(wanted)):
        persons, why = looked_up[lookup]()
        if why:
            run.console.notice(f"no {lookup}", f"{why[0].upper()}{why[1:]}.")
        boxes = [options.mailbox(name, address) for name, address in persons]
        people[lookup] = tuple(box for box in boxes if box and addressing.is_unambiguous(box))
        if left_out := len(boxes) - len(people[lookup]):
            # Not by the address, which may be one for bcc.
            run.console.warning(
                f"{lookup} left out",
                f"{left_out} of {len(boxes)} looked-up addresses may lead elsewhere or cannot be "
                "parsed, so no mail goes there. Name such a recipient in to, cc or bcc.",
            )
    return people


def _author(run: Run, job: Job, attested: Attestation | None) -> tuple[list[Person], str]:
    """The author of the commit: by the event, by the repository, by the attestation.

    On the run that the job is about, GitHub's word and the commit itself go before the evidence,
    which nobody has verified. On any other run, only the evidence can say.
    """
    commit = attested.commit if attested else None
    by_evidence = (commit.author_name, commit.author_email) if commit else None
    if not (by_evidence and by_evidence[1]):
        by_evidence = None
    attested_sha = commit.sha if commit else ""

    def by_git(*revisions: str) -> Person | None:
        # Imported here: few look for somebody, and starting processes is dear to load.
        from chainloop_smtp.source import command

        workspace = run.environ.get("GITHUB_WORKSPACE") or "."
        args = (workspace, job.repository, run.environ, _GIT_SECONDS)
        return next(filter(None, (command.author(each, *args) for each in revisions)), None)

    by_event = next(iter(event.authors(run.environ)), None)
    own = event.commits(job, run.environ)
    # What is checked out to report on another run is not what that run was for.
    head = "" if job.sender else "HEAD"
    if job.run_id and not origin.is_same_run(attested, job):
        person = by_evidence or by_git(attested_sha)
    elif job.run_id:
        person = by_event or by_git(*own) or by_evidence or by_git(attested_sha, head)
    else:
        person = by_evidence or by_event or by_git(*own, attested_sha, head)
    if person:
        return [person], ""
    return [], (
        "neither the event nor the attestation names the author of the commit, nor is the commit "
        "in the workspace, where a step with actions/checkout would bring it"
    )


def _contributors(
    run: Run, parsed: Options, job: Job, attested: Attestation | None, token: str
) -> tuple[list[Person], str]:
    """Those whom GitHub names; else those of the push, or the author of the commit."""
    # Imported here: it is dear, and only for those who ask.
    from chainloop_smtp.source import github

    transport = parsed.transport
    people, why = github.contributors(
        job, run.environ, token, transport.timeout, transport.deadline
    )
    if people:
        return people, ""
    why = why or "no commit came since the last good run"
    people = list(event.authors(run.environ)) or _author(run, job, attested)[0]
    return people, f"{why}; {'who wrote the last commits' if people else 'nobody'} is taken instead"
