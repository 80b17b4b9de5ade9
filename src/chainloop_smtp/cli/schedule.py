"""The state file and Chainloop's list of runs -> the runs to mail, and what became of them back."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

from chainloop_smtp import outbox, state_file
from chainloop_smtp.cli import deliver, summary
from chainloop_smtp.cli.results import RouteResult
from chainloop_smtp.cli.routes import Planned, PlannedMail, Route
from chainloop_smtp.cli.run import Run
from chainloop_smtp.errors import AttestationError, Problem
from chainloop_smtp.model.attested import Evidence
from chainloop_smtp.model.mail import RecipientStatus
from chainloop_smtp.model.settings import Options, mailbox_key
from chainloop_smtp.source import command
from chainloop_smtp.state_file import State

_BATCH = 20  # runs that are held in memory, and whose mails share their connections
_MOST_UNREADABLE = 3  # in a row
# Nobody is to get a mail twice, so one that may have come counts as one that did.
_REACHED = (RecipientStatus.ACCEPTED, RecipientStatus.UNKNOWN)

Plan = Callable[[str, int], Planned]
"""Reads a run by its id, as the run of that number, and decides which mails are wanted."""


class Schedule:
    """The runs that have ended since the last time, and the state file.

    Attributes:
        run_ids: Of all runs that are to be mailed, in that order.
        is_interrupted: The user ended it while a run was being read.
    """

    def __init__(self, run: Run, parsed: Options, every: Iterable[Route], plan: Plan) -> None:
        """List what has ended.

        Raises:
            AttestationError: Chainloop does not say.
            OptionsError: The state file cannot be read or written.
        """
        self._run, self._plan = run, plan
        self._path = "" if parsed.dry_run else parsed.state_file
        self._places = {_place(route) for route in every}
        self._problems: list[Problem] = []
        self._tried = 0
        self.is_interrupted = False
        before = state_file.read(parsed.state_file)
        pages = command.list_runs(
            run.environ,
            parsed.transport.deadline,
            workflow=parsed.workflow,
            project=parsed.project,
        )
        runs, now = chain.from_iterable(pages), run.now()
        self._keep(before.add(runs, now) if before else state_file.first(runs, now))
        self.run_ids = tuple(self._state.owed)

    @property
    def unread(self) -> AttestationError | None:
        """Why runs could not be read, which are left for the next time; None where all could."""
        title = "Some runs cannot be read"
        return AttestationError(*self._problems, title=title) if self._problems else None

    def planned(self) -> Iterator[tuple[str, Planned]]:
        """Read one run after the other; yield the id and the mails of each that can be read."""
        failures = 0
        for number, run_id in enumerate(self.run_ids):
            try:
                mails = self._plan(run_id, number)
            except AttestationError as error:
                self._leave(run_id, error)
                failures += 1
                if failures == _MOST_UNREADABLE:
                    return
            else:
                failures = 0
                yield run_id, [replace(each, reached=self._reached(run_id, each)) for each in mails]

    def send(self, folder: Path) -> list[RouteResult]:
        """Send the mails of all runs, and keep what became of each.

        Raises:
            OptionsError: The state file cannot be written; nothing more is sent.
        """
        results: list[RouteResult] = []
        waiting, earlier = self.planned(), outbox.read_receipt(folder)
        total = len(self.run_ids)
        try:
            while batch := dict(islice(waiting, _BATCH)):
                sent = self._send_batch(batch, folder, earlier)
                results += map(_without_evidence, sent)
                if total > _BATCH:
                    self._run.console.aside(f"{self._tried} of {total} runs")
                if not _may_go_on(sent):
                    break
        except KeyboardInterrupt:
            if not results:
                raise
            self.is_interrupted = True
        if left := total - self._tried:
            self._run.console.say(f"{left} runs are left for the next time.")
        return results

    def _send_batch(
        self, batch: Mapping[str, Planned], folder: Path, earlier: deliver.Earlier
    ) -> list[RouteResult]:
        wanted = {
            id(each): (run_id, each)
            for run_id, mails in batch.items()
            for each in mails
            if each.decision.applies
        }
        ended: dict[int, RouteResult] = {}
        mails = [each for _, each in wanted.values()]
        try:
            for result in deliver.results(self._run, mails, folder, earlier):
                self._record(wanted[id(result.planned)][0], result)
                ended[id(result.planned)] = result
                if len(self.run_ids) <= _BATCH:
                    summary.log_progress(self._run, result, len(ended), len(wanted))
        except KeyboardInterrupt:
            # The second one: what the servers are still about is not waited for.
            pass
        results = {key: ended.get(key) or deliver.left_behind(wanted[key][1]) for key in wanted}
        failed = {wanted[key][0] for key, result in results.items() if _has_failed(result)}
        state = self._state
        for run_id in batch:
            state = self._failed(state, run_id) if run_id in failed else state.settle(run_id)
        self._keep(state)
        self._tried += len(batch)
        return list(results.values())

    def _record(self, run_id: str, result: RouteResult) -> None:
        """Keep who got a mail, before another one is taken for sent."""
        reached = [
            state_file.digest_of(mailbox_key(each.recipient))
            for each in result.delivery.results
            if each.status in _REACHED
        ]
        if reached:
            self._keep(self._state.reach(run_id, _place(result.route), reached))

    def _reached(self, run_id: str, planned: PlannedMail) -> frozenset[str]:
        """Digests of those who have the mail already."""
        route = planned.route
        return frozenset(
            digest
            for place, digests in self._state.owed[run_id].reached.items()
            # An attachment that was edited since has another id, and its mail is still the same.
            if place == _place(route)
            or (place not in self._places and place.partition(" ")[0] == route.name)
            for digest in digests
        )

    def _leave(self, run_id: str, error: AttestationError) -> None:
        """Leave a run that cannot be read for the next time."""
        problems = [replace(each, where=f"run {run_id}: {each.where}") for each in error.problems]
        self._run.console.warning("a run cannot be read", "\n".join(map(str, problems)))
        self._problems += problems
        self._tried += 1
        self._keep(self._failed(self._state, run_id))

    def _failed(self, state: State, run_id: str) -> State:
        state = state.fail(run_id, self._run.now())
        if run_id not in state.owed:
            text = f"Run {run_id} has failed for three days and is not tried again."
            self._run.console.warning("given up", text)
        return state

    def _keep(self, state: State) -> None:
        self._state = state
        if self._path:
            state_file.write(self._path, state)


def _place(route: Route) -> str:
    """Registration and id of an attachment; empty for the inputs as a delivery of their own."""
    return f"{route.name} {route.id}".strip()


def _has_failed(result: RouteResult) -> bool:
    """Whether somebody who is to have the mail certainly does not have it."""
    statuses = [each.status for each in result.delivery.results]
    return bool(result.failure) and not (statuses and all(each in _REACHED for each in statuses))


def _may_go_on(results: list[RouteResult]) -> bool:
    """Whether it is worth trying more runs: nobody interrupts, and some server takes mails."""
    if any(each.delivery.is_interrupted for each in results):
        return False
    return not results or any(each.delivery.accepted or not each.failure for each in results)


def _without_evidence(result: RouteResult) -> RouteResult:
    """The same without what its run weighs: there may be hundreds of them."""
    report = result.planned.report
    facts = replace(report.facts, attestation=None, changes=None)
    report = replace(report, facts=facts, evidence=Evidence(), people={})
    return replace(result, planned=replace(result.planned, report=report))
