"""The command ``send``: facts -> planned mails -> mails -> deliveries -> receipt and outputs.

Every run with every route is one list of planned mails; a single mail is a list of one. What users
see of one and of many is in `summary`.
"""

import json
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from chainloop_smtp import outbox
from chainloop_smtp.cli import routes, run_facts
from chainloop_smtp.cli.evidence import find_previous
from chainloop_smtp.cli.interrupts import INTERRUPTED
from chainloop_smtp.cli.results import Entry, Failure, RouteResult
from chainloop_smtp.cli.routes import Planned, PlannedMail, Route
from chainloop_smtp.cli.run import Run, read_trust
from chainloop_smtp.cli.run_facts import RunReport
from chainloop_smtp.delivery import EarlyConnection
from chainloop_smtp.errors import AttestationError, OptionsError, Problem
from chainloop_smtp.model.checks import SignatureStatus, Trust
from chainloop_smtp.model.facts import RunFacts
from chainloop_smtp.model.settings import Lookup, Options, RunSelection, Tls, mailbox_key

_NOBODY = "there are no recipients: the people looked up are not known, or are bots"

OUTPUTS = {
    "sent": "false",
    "skipped": "",
    "outcome": "",
    "policy-status": "",
    "digest": "",
    "signature": "",
    "message-id": "",
    "accepted": "[]",
    "refused": "[]",
    "attempts": "0",
    "eml": "",
    "receipt": "",
}
"""The Action's outputs, as they stand until something happens.

Where several runs are mailed, each text about one run or mail has one line for each run, in their
order.
"""


def send(run: Run) -> int:
    """Mail the runs that the inputs name. The outputs are written in any case, as far as it got."""
    step = _Step(run)
    try:
        code = step.send()
        if step.unverified and code == 0:
            raise AttestationError(*step.unverified, title="The signature is not verified")
        return code
    finally:
        run.console.outputs(step.outputs)


class _Step:
    """One `send`.

    Attributes:
        outputs: As they stand by now.
        unverified: What is wrong with the signatures, where they are required: a failure of the
            step, after all mails.
    """

    def __init__(self, run: Run) -> None:
        self.outputs = dict(OUTPUTS)
        self.unverified: list[Problem] = []
        self._run = run
        self._runs: list[tuple[str, str, str, str]] = []

    def send(self) -> int:
        run = self._run
        inputs = run.inputs()
        path = routes.file_of(run, inputs)
        every = routes.read(run, inputs, path)
        if not every and routes.is_fork(run):
            self.outputs["skipped"] = routes.NO_SECRETS
            routes.notice_fork(run, "no mail is sent")
            return 0
        parsed = run.validated(inputs, is_whole=False) if path else every[0].options
        routes.check_triggers(every, parsed)
        trust = read_trust(inputs)
        token = inputs.get("github-token", "")
        if parsed.run_selection is RunSelection.NEW:
            if not every:
                # The runs wait until there is an attachment.
                return self._send_many((), parsed, path)
            return self._send_new(every, parsed, token, trust)
        reports = run_facts.read(run, parsed, _lookups(every), token, trust)
        planned = self._plan(reports, every, parsed, token)
        if path or len(planned) > 1:
            return self._send_many(planned, parsed, path)
        if planned[0].decision.reason:
            return self._skip(planned[0].decision.reason)
        return self._send_one(planned[0])

    def _plan(
        self, reports: Iterable[RunReport], every: Sequence[Route], parsed: Options, token: str
    ) -> list[PlannedMail]:
        """Decide which mails are wanted about runs, and add the runs to the outputs."""
        triggers = {trigger for each in every for trigger in each.options.send_on}
        planned = []
        for report in reports:
            self._runs.append(_about(report.facts))
            if parsed.require_signature and report.facts.is_unverified:
                self.unverified.append(run_facts.unverified(report))
            previous = find_previous(self._run, report.facts, parsed, triggers, token)
            planned += [
                PlannedMail(
                    report=report,
                    route=route,
                    decision=route.decide(report, previous),
                    label=label,
                )
                for route, label in zip(every, _labels(every), strict=True)
            ]
        names = ("outcome", "policy-status", "digest", "signature")
        self.outputs |= zip(names, map("\n".join, zip(*self._runs, strict=True)), strict=True)
        return planned

    def _skip(self, reason: str) -> int:
        self.outputs["skipped"] = reason
        self._run.console.notice("skipped", f"No mail is sent: {reason}.")
        return 0

    def _send_one(self, planned: PlannedMail) -> int:
        """Send the inputs' own mail, which is written while its server is being connected to."""
        run, report, route = self._run, planned.report, planned.route
        # The deadline holds for everything that touches the network, fetching evidence included.
        transport = route.options.transport
        rest = max(transport.deadline - report.evidence.network_seconds, 0.001)
        parsed = replace(route.options, transport=replace(transport, deadline=rest))
        planned = replace(planned, route=replace(route, options=parsed))
        folder = run.folder(parsed)
        earlier = outbox.read_receipt(folder)
        # Outside of a CI run, every mail is another one.
        is_new = not earlier or not report.facts.job.run_id
        with _connecting(run, parsed, is_new=is_new) as early:
            # Imported here: it takes about as long to load what writes a mail as to connect.
            from chainloop_smtp.cli import deliver, summary

            server = deliver.Server(run, [planned], folder, earlier, deliver.Stop())
            result = server.remaining(server.render(planned))
            if not result.mail.recipients:
                self.outputs["skipped"] = _NOBODY
                run.console.warning("no recipients", f"No mail is sent: {_NOBODY}.")
                return 0
            if result.skipped and not parsed.dry_run:
                return self._skip(f"this mail was {result.skipped}")
            self.outputs["message-id"] = result.mail.message_id
            result = server.write(result)
            self.outputs["eml"] = result.eml
            run.console.say(result.mail.subject)
            if parsed.dry_run:
                entry = outbox.receipt_entry(parsed.registration, result.delivery)
                where = f"The mail: {result.eml}"
                return self._end_dry_run(folder, [entry], result.mail.summary, where)
            if parsed.transport.tls is Tls.NONE:
                run.console.warning(
                    "no TLS", "The mail is sent without encryption, because tls is none."
                )
            deliver.advise(run, parsed)
            result = server.send(result, early)
            self._record([result], folder, is_sent=not result.failure)
            run.console.summary(summary.of_one(result))
            summary.log_one(run, result)
            return _end([result], result.failure if parsed.fail_on_error else None)

    def _send_many(self, every: Planned, parsed: Options, path: str) -> int:
        """Send every mail that applies: of the configuration file, or about several runs."""
        # Imported here: most runs send one mail, or none.
        from chainloop_smtp.cli import deliver, summary

        run = self._run
        wanted = [each for each in every if each.decision.applies]
        if every and parsed.dry_run:
            return self._dry_run_many(every, run.folder(parsed))
        if not (wanted or path):
            return self._skip("; ".join(dict.fromkeys(each.decision.reason for each in every)))
        if not wanted:
            self.outputs["skipped"] = f"no attachment in {path} applies"
            summary.warn_none_applies(run, every, path)
            return 0
        folder = run.folder(parsed)
        earlier = outbox.read_receipt(folder)
        run.console.say(summary.announcement(every, path))
        ended: dict[int, RouteResult] = {}
        try:
            for result in deliver.results(run, wanted, folder, earlier):
                ended[id(result.planned)] = result
                summary.log_progress(run, result, len(ended), len(wanted))
        except KeyboardInterrupt:
            # The second one: what the servers are still about is not waited for.
            pass
        results = [ended.get(id(each)) or deliver.left_behind(each) for each in wanted]
        return self._finish(results, folder)

    def _send_new(
        self, every: Sequence[Route], parsed: Options, token: str, trust: Trust | None
    ) -> int:
        """Send the mails about every run that has ended since the last time."""
        # Imported here: only a schedule needs it.
        from chainloop_smtp.cli.schedule import Schedule

        run = self._run
        every = [_one_by_one(route) for route in every]

        def plan(run_id: str, number: int) -> list[PlannedMail]:
            own = replace(parsed, workflow_run_ids=(run_id,), job_status=None, needs=())
            (report,) = run_facts.read(run, own, _lookups(every), token, trust)
            label = run_facts.label(report.facts.workflow, run_id)
            report = replace(report, number=number, label=label, is_scheduled=True)
            return self._plan([report], every, own, token)

        schedule = Schedule(run, parsed, every, plan)
        if not schedule.run_ids:
            run.console.say("No run has ended since the last time.")
            self.outputs["skipped"] = "no run has ended since the last time"
            return 0
        folder = run.folder(parsed)
        if parsed.dry_run:
            mails = [each for _, planned in schedule.planned() for each in planned]
            code = self._dry_run_many(mails, folder) if mails else 0
        else:
            results = schedule.send(folder)
            code = (
                self._finish(results, folder) if results else self._skip("these runs need no mail")
            )
        if schedule.is_interrupted:
            return INTERRUPTED
        if schedule.unread:
            self.outputs["sent"] = "false"
            raise schedule.unread
        return code

    def _finish(self, results: Sequence[RouteResult], folder: Path) -> int:
        """Say what became of many mails: in the log, the outputs, the receipt and the summary."""
        from chainloop_smtp.cli import deliver, summary

        run = self._run
        summary.warn_nobody(run, results, deliver.NOBODY)
        required = [each for each in results if each.failure and each.route.options.fail_on_error]
        if not any(each.delivery.accepted or each.failure for each in results):
            is_nobody = any(each.skipped == deliver.NOBODY for each in results)
            skipped = deliver.NOBODY if is_nobody else "everything was sent before"
            self.outputs["skipped"] = skipped
        is_sent = any(each.delivery.accepted for each in results) and not required
        self._record(results, folder, is_sent=is_sent)
        run.console.summary(summary.of_many(results))
        summary.log_many(run, results)
        return _end(results, summary.failure_of_many(required, len(results)) if required else None)

    def _dry_run_many(self, every: Planned, folder: Path) -> int:
        """Show the decisions as a table, and leave the mails as files."""
        from chainloop_smtp.cli import deliver, summary

        server = deliver.Server(self._run, every, folder, {}, deliver.Stop())
        results = [
            deliver.without_content(deliver.entered(server.write(server.render(each))))
            for each in every
            if each.decision.applies and not each.route.missing
        ]
        self._set_mails(results)
        summary.log_decisions(self._run, every)
        where = f"The mails: {folder}" if results else "There is no mail."
        table = f"{summary.of_decisions(every)}\n"
        entries = [entry for each in results for entry in each.entries]
        evidence = "\n".join(summary.evidence(results))
        return self._end_dry_run(folder, entries, evidence, where, table)

    def _end_dry_run(
        self, folder: Path, entries: Sequence[Entry], evidence: str, where: str, table: str = ""
    ) -> int:
        """Write the receipt and the summary of what would be sent.

        Args:
            evidence: The job summary of a mail.
            where: Says where the mails are.
            table: Markdown behind the evidence.
        """
        self.outputs["skipped"] = "dry run"
        receipt = outbox.write_receipt(folder, entries, self._run.now(is_dry_run=True))
        self.outputs["receipt"] = str(receipt)
        outbox.write_summary(folder, evidence)
        self._run.console.say(f"Dry run: nothing was sent. {where}")
        self._run.console.summary(f"{evidence}\n{table}_Dry run: no mail was sent._")
        return 0

    def _record(self, results: Sequence[RouteResult], folder: Path, *, is_sent: bool) -> None:
        """Set the outputs, and write the receipt."""
        self._set_mails(results)
        deliveries = [each.delivery for each in results]
        self.outputs |= {
            "sent": "true" if is_sent else "false",
            "accepted": _json_list(name for each in deliveries for name in each.accepted),
            "refused": _json_list(one.recipient for each in deliveries for one in each.refused),
            "attempts": str(max(each.attempts for each in deliveries)),
        }
        entries = [entry for each in results for entry in each.entries]
        try:
            receipt = outbox.write_receipt(folder, entries, self._run.now())
        except OptionsError as error:
            # What became of the mails matters more, and is said below.
            self._run.console.warning("no receipt", str(error))
        else:
            self.outputs["receipt"] = str(receipt)

    def _set_mails(self, results: Iterable[RouteResult]) -> None:
        """Set the outputs on the first mail of each run."""
        first: dict[int, RouteResult] = {}
        for each in results:
            if each.mail.message_id:
                first.setdefault(each.planned.report.number, each)
        self.outputs["message-id"] = "\n".join(each.mail.message_id for each in first.values())
        self.outputs["eml"] = "\n".join(each.eml for each in first.values())


def _about(facts: RunFacts) -> tuple[str, str, str, str]:
    """The outputs about one run."""
    verdict, attested, signature = facts.verdict, facts.attestation, facts.signature
    status = signature.status if signature else SignatureStatus.UNCHECKED
    digest = attested.digest if attested else ""
    return verdict.outcome, verdict.policy_status or "", digest, status


def _labels(every: Iterable[Route]) -> list[str]:
    """What the files of each route's mails are called by: its registration, with a number."""
    labels: list[str] = []
    for route in every:
        label, number = route.name, 1
        while label in labels:
            number += 1
            label = f"{route.name}-{number}"
        labels.append(label)
    return labels


def _connecting(
    run: Run, parsed: Options, *, is_new: bool
) -> AbstractContextManager[EarlyConnection | None]:
    """A session that begins to connect here, where it is certain that a mail is to go over it.

    It is not where everybody in To is looked up and may be nobody. And a token is fetched first:
    no server has to wait for that.

    Args:
        is_new: No receipt can say that this mail was sent before.
    """
    is_certain = is_new and not parsed.dry_run and parsed.registration.to
    if run.connect and is_certain and not parsed.oauth2:
        return run.connect(parsed.registration, parsed.transport)
    return nullcontext()


def _one_by_one(route: Route) -> Route:
    """The same with one mail on its way at a time, so that a crash leaves only one in doubt."""
    transport = replace(route.options.transport, window=1)
    return replace(route, options=replace(route.options, transport=transport))


def _lookups(every: Iterable[Route]) -> set[Lookup]:
    return {lookup for each in every for _, lookup in each.options.lookups}


def _json_list(addresses: Iterable[str]) -> str:
    """Each mailbox once, in its first spelling."""
    spellings: dict[str, str] = {}
    for each in addresses:
        spellings.setdefault(mailbox_key(each), each)
    return json.dumps(list(spellings.values()))


def _end(results: Sequence[RouteResult], failure: Failure | None) -> int:
    """Return the exit code, or raise the failure, unless the user has interrupted it all."""
    if any(each.delivery.is_interrupted for each in results):
        return INTERRUPTED
    if failure:
        raise failure
    return 0
