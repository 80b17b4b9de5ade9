"""The run before this one, as far as somebody has to know it."""

import json
from collections.abc import Iterable

from chainloop_smtp import attestation, difference, routing, verdict
from chainloop_smtp.cli.run import Run
from chainloop_smtp.cli.run_facts import RunReport
from chainloop_smtp.errors import AttestationError
from chainloop_smtp.model.attested import Attestation
from chainloop_smtp.model.entries import Trigger
from chainloop_smtp.model.facts import Changes, Job, Previous
from chainloop_smtp.model.settings import Options

_NO_ATTESTATION = "there is no attestation of an earlier run to compare with"


def previous(
    run: Run, story: RunReport, parsed: Options, token: str, triggers: Iterable[Trigger]
) -> Previous:
    """The run before, from the first of three that know it.

    That is the attestation that the options name, then the ``chainloop`` command, then GitHub's
    API, which only knows how its job ended. Nobody is asked where no trigger compares.

    Args:
        token: For GitHub's API; empty: there is none.
        triggers: Of all routes.
    """
    if story.facts.changes:
        return _compared(story.facts.changes, "previous-attestation")
    wanted = set(triggers).intersection(routing.COMPARING)
    if not wanted:
        return Previous(source=_NO_ATTESTATION)
    found = _by_chainloop(run, story, parsed)
    if found.outcome is None and wanted - {Trigger.NEW_VIOLATIONS}:
        by_github = _by_github(run, story.facts.job, parsed, token)
        if by_github.has_succeeded is None:
            return Previous(source=f"{found.source}, and {by_github.source}")
        return by_github
    return found


def _compared(changes: Changes, name: str) -> Previous:
    outcome = verdict.judge(changes.previous, Job()).outcome
    return Previous(source=name, outcome=outcome, changes=changes)


def _by_chainloop(run: Run, story: RunReport, parsed: Options) -> Previous:
    """The last run of the same Chainloop workflow, described by the ``chainloop`` command."""
    current = story.facts.attestation
    if current is None or not current.workflow.name:
        return Previous(source=_NO_ATTESTATION)
    try:
        before = _described(run, current, parsed)
    except AttestationError as error:
        return Previous(source=f"the chainloop command does not say ({error.problems[0].why})")
    if before is None:
        return Previous(source="Chainloop knows no earlier run of this workflow")
    outcome = verdict.judge(before, Job()).outcome
    if difference.refusal(before, current):
        return Previous(source="chainloop workflow run list", outcome=outcome)
    now = verdict.judge(current, Job()).outcome
    changes = difference.compare(before, current, before=outcome, after=now)
    return _compared(changes, "chainloop workflow run list")


def _described(run: Run, current: Attestation, parsed: Options) -> Attestation | None:
    # Imported here: it is only for those who compare.
    from chainloop_smtp.source import MAX_BYTES, command

    deadline, workflow = parsed.transport.deadline, current.workflow
    listed = command.list_runs(workflow.name, workflow.project, run.environ, deadline, MAX_BYTES)
    try:
        runs = [(str(each["id"]), str(each["state"])) for each in json.loads(listed)]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    # The latest comes first, and others may have begun since this one did.
    ids = [id_ for id_, _ in runs]
    position = ids.index(current.run.id) + 1 if current.run.id in ids else 0
    ended = (id_ for id_, state in runs[position:] if state != "in progress")
    if (earlier := next(ended, None)) is None:
        return None
    return attestation.parse(command.describe(earlier, run.environ, deadline, MAX_BYTES))


def _by_github(run: Run, job: Job, parsed: Options, token: str) -> Previous:
    # Imported here: it is dear.
    from chainloop_smtp.source import github

    transport = parsed.transport
    return github.previous(job, run.environ, token, transport.timeout, transport.deadline)
