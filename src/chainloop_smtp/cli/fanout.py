"""Routes with their decisions -> the mails that are wanted, and one account of them all."""

import json
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

from chainloop_smtp import message, outbox
from chainloop_smtp.cli.integration import print_table
from chainloop_smtp.cli.interrupts import INTERRUPTED
from chainloop_smtp.cli.rendering import Renderer
from chainloop_smtp.cli.routes import Route
from chainloop_smtp.cli.run import Run
from chainloop_smtp.cli.run_facts import RunReport
from chainloop_smtp.cli.servers import NOBODY, Result, results
from chainloop_smtp.errors import DeliveryError, MessageError, OptionsError, Problem
from chainloop_smtp.model.attested import Workflow
from chainloop_smtp.model.facts import Decision
from chainloop_smtp.model.mail import Delivery
from chainloop_smtp.model.settings import Options, mailbox_key

_SHOWN = 20  # lines of the log and reasons of a failure; the receipt has all of them
_SHOWN_ROWS = 200  # of the job summary

Decided = Sequence[tuple[Route, Decision]]
Wanted = Sequence[tuple[Route, str]]


def fan_out(
    run: Run,
    parsed: Options,
    story: RunReport,
    path: str,
    decided: Decided,
    outputs: dict[str, str],
) -> int:
    """Sends what applies, and tells the workflow what became of it.

    Args:
        parsed: The step's own options.
        path: Of the configuration file.

    Returns:
        The exit code, where nothing is raised.

    Raises:
        DeliveryError: Some mail did not reach whom it should. Where no delivery failed but a mail
            could not be made, the error is of its kind.
    """
    wanted: Wanted = [(route, decision.note) for route, decision in decided if decision.applies]
    if not decided:
        return _nobody(run, story, path, decided, outputs)
    if parsed.dry_run:
        return _rehearse(run, parsed, story, decided, outputs)
    if not wanted:
        return _nobody(run, story, path, decided, outputs)
    folder = run.folder(parsed)
    earlier = outbox.read_receipt(folder)
    run.console.say(f"{len(wanted)} of {len(decided)} attachments in {path} apply.")
    found = []
    try:
        for result in results(run, story, wanted, folder, earlier):
            found.append(result)
            _tell(run, result, len(found), len(wanted))
    except KeyboardInterrupt:
        # The second one: what the servers are still about is not waited for.
        pass
    found += _left_behind(wanted, found)
    order = {id(route): number for number, (route, _) in enumerate(wanted)}
    found.sort(key=lambda result: order[id(result.route)])
    return _account(run, folder, found, outputs)


def _rehearse(
    run: Run, parsed: Options, story: RunReport, decided: Decided, outputs: dict[str, str]
) -> int:
    """The decisions as a table, and the mails as files; nothing is sent."""
    folder = run.folder(parsed)
    receipts = []
    summary = ""
    teller = Renderer(run, story)
    for route, decision in decided:
        if decision.applies and not route.missing:
            mail = teller.mail(route.options, route.templates, decision.note, route.id)
            eml = outbox.write_mail(folder, mail)
            outputs["message-id"] = outputs["message-id"] or mail.message_id
            outputs["eml"] = outputs["eml"] or str(eml)
            summary = summary or mail.summary
            untried = Delivery(mail=mail, results=())
            receipts.append(outbox.receipt_entry(route.options.registration, untried))
    decisions = _print_decisions(run, decided)
    outputs["skipped"] = "dry run"
    outputs["receipt"] = str(outbox.write_receipt(folder, receipts, story.facts.now))
    outbox.write_summary(folder, summary)
    where = f"The mails: {folder}" if receipts else "There is no mail to look at."
    run.console.say(f"Dry run, nothing is sent. {where}")
    table = _markdown("decision", [tuple(map(message.md, row[1:])) for row in decisions])
    run.console.summary(f"{summary}\n{table}\n_Dry run: no mail was sent._")
    return 0


def _nobody(
    run: Run, story: RunReport, path: str, decided: Decided, outputs: dict[str, str]
) -> int:
    """No attachment applies, which nobody is to find out by waiting for a mail."""
    outputs["skipped"] = f"no attachment in {path} applies"
    if not decided:
        hint = "Each registration needs one: below attachments:, write - registration: NAME."
        run.console.warning("no mail is sent", f"There are no attachments in {path}. {hint}")
        return 0
    _print_decisions(run, decided)
    text = f"None of the {len(decided)} attachments in {path} applies; the log says why."
    if story.facts.attestation is None:
        hint = (
            "To hear of runs that are not attested, have an attachment without workflow and "
            "project, or give the step these two."
        )
        run.console.warning("no mail is sent", f"{text} {hint}")
    else:
        run.console.notice("no mail is sent", f"{text}{_whose(story.facts.attestation.workflow)}")
    return 0


def _whose(workflow: Workflow) -> str:
    """The names that the attachments' globs were held against."""
    names = (("workflow", workflow.name), ("project", workflow.project))
    known = [f"{kind} {name}" for kind, name in names if name]
    return f" This run is of {' and '.join(known)}." if known else ""


def _print_decisions(run: Run, decided: Decided) -> list[tuple[str, ...]]:
    """Every attachment's place, registration, recipients and decision, printed."""
    rows: list[tuple[str, ...]] = [
        (route.place, route.name, ", ".join(_whom(route)), _verb(route, decision))
        for route, decision in decided
    ]
    print_table(run, ("ATTACHMENT", "REGISTRATION", "TO", "DECISION"), rows)
    return rows


def _verb(route: Route, decision: Decision) -> str:
    if decision.reason:
        return f"not sent: {decision.reason}"
    if route.missing:
        return f"cannot be sent: {'; '.join(each.why for each in route.missing)}"
    return f"would be sent. {decision.note}" if decision.note else "would be sent"


def _left_behind(wanted: Wanted, found: Sequence[Result]) -> list[Result]:
    """The routes of which an interrupt has left no result."""
    ended = {id(each.route) for each in found}
    why = "interrupted, and whether its mail was sent is not known"
    failure = DeliveryError(Problem("delivery", why))
    failure.title = "Whether the mail was delivered is not known"
    return [
        Result(route=route, failure=failure, is_interrupted=True)
        for route, _ in wanted
        if id(route) not in ended
    ]


def _whom(route: Route) -> list[str]:
    """Those whom the mail's headers name."""
    parsed = route.options
    return [each.addr_spec for each in (*parsed.registration.to, *parsed.attachment.cc)]


def _tell(run: Run, result: Result, number: int, total: int) -> None:
    """One line for each mail as long as there are few, and some progress where there are many."""
    if total <= _SHOWN or (result.failure and number <= _SHOWN):
        run.console.say(f"{result.route.name} ({result.route.place}): {_fate(result)}")
    elif number % max(total // 10, 1) == 0 or number == total:
        run.console.aside(f"{number} of {total} mails")


def _fate(result: Result) -> str:
    """What became of one mail, in a few words."""
    if result.skipped:
        return f"not sent: {result.skipped}"
    if not result.accepted:
        return result.failure.title[0].lower() + result.failure.title[1:] if result.failure else ""
    number = len(result.accepted)
    text = f"sent to {number} recipient{'s' * (number != 1)} through {result.server}"
    return text + (f", refused for {', '.join(result.refused_names)}" if result.refused else "")


def _account(run: Run, folder: Path, found: list[Result], outputs: dict[str, str]) -> int:
    """Outputs, receipt, job summary; and the failure, if there is one."""
    if lost := [each.route.place for each in found if each.skipped == NOBODY]:
        places = ", ".join(lost[:_SHOWN]) + (", …" if len(lost) > _SHOWN else "")
        run.console.warning("nobody to write to", f"No mail is sent for {places}: {NOBODY}.")
    failed = [each for each in found if each.failure]
    required = [each for each in failed if each.route.options.fail_on_error]
    sent = [each for each in found if each.accepted]
    first = next((each for each in found if each.message_id), None)
    outputs["sent"] = "true" if sent and not required else "false"
    if not sent and not failed:
        outputs["skipped"] = NOBODY if lost else "everything was sent before"
    outputs["message-id"] = first.message_id if first else ""
    outputs["eml"] = first.eml if first else ""
    outputs["accepted"] = _union(each.accepted for each in found)
    outputs["refused"] = _union(each.refused for each in found)
    outputs["attempts"] = str(max(each.attempts for each in found))
    try:
        receipts = [entry for each in found for entry in each.receipts]
        outputs["receipt"] = str(outbox.write_receipt(folder, receipts, run.now()))
    except OptionsError as error:
        # What became of the mails is what counts, and is told below.
        run.console.warning("no receipt", str(error))
    notes = tuple(dict.fromkeys(note for each in found for note in each.notes))
    remarks = "".join(f"\n- {message.md(str(each))}" for each in notes)
    account = f"{_table(found)}{remarks}\n"
    run.console.summary(f"{first.summary}\n{account}" if first else account)
    for note in notes:
        run.console.warning(note.where, note.why)
    skipped = sum(bool(each.skipped) for each in found)
    others = f", {skipped} not needed" if skipped else ""
    run.console.say(f"{len(sent)} of {len(found)} mails sent, {len(failed)} failed{others}.")
    for each in failed:
        if not each.route.options.fail_on_error and each.failure:
            run.console.warning(f"{each.route.name}: {each.failure.title}", str(each.failure))
    if any(each.is_interrupted for each in found):
        return INTERRUPTED
    if required:
        raise _failure(required, len(found))
    return 0


def _union(lists: Iterable[tuple[str, ...]]) -> str:
    found: dict[str, str] = {}
    for each in chain.from_iterable(lists):
        found.setdefault(mailbox_key(each), each)
    return json.dumps(list(found.values()))


def _failure(failed: list[Result], total: int) -> DeliveryError | MessageError | OptionsError:
    """All that went wrong in one error, of the gravest kind: delivery before message or options."""
    errors = [each.failure for each in failed if each.failure]
    problems = [
        Problem(
            f"{each.route.name} ({each.route.place}): {problem.where}", problem.why, problem.hint
        )
        for each in failed
        for problem in (each.failure.problems if each.failure else ())
    ]
    if len(problems) > _SHOWN:
        why = f"{len(problems) - _SHOWN} further problems stand in the receipt and the job summary"
        problems[_SHOWN:] = [Problem("and", why)]
    for kind in (DeliveryError, MessageError):
        if any(isinstance(each, kind) for each in errors):
            error: DeliveryError | MessageError | OptionsError = kind(*problems)
            break
    else:
        error = OptionsError(*problems)
    error.title = f"{len(failed)} of {total} mails did not reach whom they should"
    return error


def _table(found: list[Result]) -> str:
    """Every mail and what became of it, as Markdown, the bad ones first."""
    rows = sorted(found, key=lambda each: each.failure is None)
    table = _markdown(
        "result",
        [
            (
                message.md(each.route.name),
                message.md(", ".join(_whom(each.route))),
                message.md(_fate(each)) + _why(each),
            )
            for each in rows
        ],
    )
    return f"**{len(found)} mails**\n\n{table}"


def _markdown(last: str, rows: Sequence[tuple[str, ...]]) -> str:
    """Registration, recipients and a last column, escaped already; a summary has its limit."""
    lines = [f"| {' | '.join(row)} |" for row in rows[:_SHOWN_ROWS]]
    if len(rows) > _SHOWN_ROWS:
        lines.append(f"| … | {len(rows) - _SHOWN_ROWS} more | |")
    return "\n".join((f"| registration | to | {last} |", "| --- | --- | --- |", *lines, ""))


def _why(result: Result) -> str:
    problems = result.failure.problems if result.failure else ()
    return "".join(f"<br>{message.md(f'{each.where}: {each.why}')}" for each in problems)
