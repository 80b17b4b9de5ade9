"""Decisions and results -> log lines and job summary: of a single mail, or of many."""

from collections.abc import Iterable, Sequence

from chainloop_smtp import message
from chainloop_smtp.cli.results import Failure, RouteResult, sentence, warnings_of
from chainloop_smtp.cli.routes import Planned, PlannedMail, Route
from chainloop_smtp.cli.run import Run
from chainloop_smtp.errors import DeliveryError, MessageError, OptionsError, Problem
from chainloop_smtp.model.mail import RecipientStatus, public_name

_SHOWN = 20  # lines of the log and reasons of a failure; the receipt has all of them
_SHOWN_ROWS = 200  # of the job summary
_SHOWN_RUNS = 10  # whose evidence the job summary shows; its limit is 1 MiB


# --- a single mail -----------------------------------------------------------------------------


def of_one(result: RouteResult) -> str:
    """The job summary of a single mail: what went wrong stands first, else the evidence."""
    delivery = result.delivery
    reasons = _bullets(_problems(result))
    outcome = f"{sentence(delivery)}\n{reasons}{_bullets(warnings_of(delivery))}\n"
    evidence = result.mail.summary
    return "\n".join((outcome, evidence) if result.failure else (evidence, outcome))


def log_one(run: Run, result: RouteResult) -> None:
    """Log what became of a single mail."""
    delivery = result.delivery
    if delivery.accepted or delivery.is_interrupted:
        run.console.say(sentence(delivery))
    for warning in warnings_of(delivery):
        run.console.warning(warning.where, warning.why)
    if result.failure:
        run.console.say(f"The mail was saved: {result.eml}")
        if not (delivery.is_interrupted or result.route.options.fail_on_error):
            run.console.warning(result.failure.title, str(result.failure))
        return
    for each in delivery.public().results:
        if each.status is not RecipientStatus.ACCEPTED:
            run.console.warning(f"recipient {each.status}", f"{each.recipient}: {each.reason}")


# --- many mails --------------------------------------------------------------------------------


def of_many(results: Sequence[RouteResult]) -> str:
    """The job summary of many mails: each run's evidence once, and each mail, failed ones first."""
    rows = [
        (
            message.md(each.planned.name),
            message.md(", ".join(_recipients(each.route))),
            message.md(_words(each))
            + "".join(f"<br>{message.md(f'{p.where}: {p.why}')}" for p in _problems(each)),
        )
        for each in sorted(results, key=lambda each: each.failure is None)
    ]
    warnings = _bullets(_all_warnings(results))
    kind = _kind([each.planned for each in results])
    outcome = f"**{len(results)} mails**\n\n{_table(kind, 'result', rows)}{warnings}\n"
    return "\n".join((*evidence(results), outcome))


def announcement(every: Planned, path: str) -> str:
    """Say how many mails are about to be sent.

    Args:
        path: Of the configuration file; empty where there is none.
    """
    number = sum(each.decision.applies for each in every)
    if not path:
        return f"{number} of {len(every)} runs are mailed."
    runs = len({each.report.number for each in every})
    several = f", each for {runs} runs" if runs > 1 else ""
    return f"{number} of {len(every)} attachments in {path} apply{several}."


def evidence(results: Iterable[RouteResult]) -> tuple[str, ...]:
    """What the job summary shows of each run."""
    summaries: dict[int, str] = {}
    for each in results:
        if each.mail.message_id and len(summaries) < _SHOWN_RUNS:
            summaries.setdefault(each.planned.report.number, each.mail.summary)
    return tuple(summaries.values())


def log_progress(run: Run, result: RouteResult, number: int, total: int) -> None:
    """Log one line for each mail as long as there are few, and some progress otherwise."""
    if total <= _SHOWN or (result.failure and number <= _SHOWN):
        run.console.say(f"{result.planned.title}: {_words(result)}")
    elif number % (total // 10) == 0 or number == total:
        run.console.aside(f"{number} of {total} mails")


def log_many(run: Run, results: Sequence[RouteResult]) -> None:
    """Log what became of all mails together."""
    for warning in _all_warnings(results):
        run.console.warning(warning.where, warning.why)
    sent = sum(bool(each.delivery.accepted) for each in results)
    failed = sum(bool(each.failure) for each in results)
    skipped = sum(bool(each.skipped) for each in results)
    others = f", {skipped} not needed" if skipped else ""
    run.console.say(f"{sent} of {len(results)} mails sent, {failed} failed{others}.")
    for each in results:
        if each.failure and not each.route.options.fail_on_error:
            run.console.warning(f"{each.planned.name}: {each.failure.title}", str(each.failure))


def _all_warnings(results: Iterable[RouteResult]) -> tuple[Problem, ...]:
    """The warnings of all results, each once."""
    return tuple(dict.fromkeys(each for result in results for each in warnings_of(result.delivery)))


def warn_nobody(run: Run, results: Iterable[RouteResult], reason: str) -> None:
    """Warn of the mails that were skipped for this reason: nobody was found to send them to."""
    if places := [
        each.route.place or each.planned.name for each in results if each.skipped == reason
    ]:
        listed = ", ".join(places[:_SHOWN]) + (", …" if len(places) > _SHOWN else "")
        run.console.warning("no recipients", f"No mail is sent for {listed}: {reason}.")


def failure_of_many(failed: Sequence[RouteResult], total: int) -> Failure:
    """All that went wrong in one error, of the gravest kind: delivery before message or options."""
    problems = [
        Problem(f"{each.planned.title}: {problem.where}", problem.why, problem.hint)
        for each in failed
        for problem in _problems(each)
    ]
    if len(problems) > _SHOWN:
        why = f"{len(problems) - _SHOWN} more problems are in the receipt and the job summary"
        problems[_SHOWN:] = [Problem("and", why)]
    of = f"{len(failed)} of {total}"
    if all(isinstance(each.failure, OptionsError) for each in failed):
        return OptionsError(*problems, title=f"{of} mails not sent: invalid options")
    title = f"{of} mails did not reach all recipients"
    is_delivery = any(isinstance(each.failure, DeliveryError) for each in failed)
    return (DeliveryError if is_delivery else MessageError)(*problems, title=title)


# --- decisions ---------------------------------------------------------------------------------


def log_decisions(run: Run, every: Planned) -> None:
    """Print every planned mail's place, registration, recipients and decision."""
    head = (_kind(every).upper(), "TO", "DECISION")
    if any(each.route.place for each in every):
        rows = [(each.route.place, *_row(each)) for each in every]
        run.console.table(("ATTACHMENT", *head), rows, is_framed=False)
    else:
        run.console.table(head, [_row(each) for each in every], is_framed=False)


def of_decisions(every: Planned) -> str:
    """The same for the job summary."""
    rows = [tuple(map(message.md, _row(each))) for each in every]
    return _table(_kind(every), "decision", rows)


def warn_none_applies(run: Run, every: Planned, path: str) -> None:
    """Say that no attachment applies: nobody should find out by waiting for a mail."""
    if not every:
        hint = "Add one for each registration: under attachments:, write - registration: NAME."
        run.console.warning("no mail is sent", f"There are no attachments in {path}. {hint}")
        return
    log_decisions(run, every)
    reports = {each.report.number: each.report for each in every}
    number = len(every) // len(reports)
    to_what = f" to any of {len(reports)} runs" if len(reports) > 1 else ""
    none = f"None of the {number} attachments in {path} apply"
    none = f"The one attachment in {path} does not apply" if number == 1 else none
    text = f"{none}{to_what}; the log says why."
    attestation = every[0].report.facts.attestation
    if attestation is None:
        hint = (
            "To get mail about runs without an attestation, add an attachment without workflow "
            "and project, or set both in the step."
        )
        run.console.warning("no mail is sent", f"{text} {hint}")
        return
    # The names that the attachments' globs were held against.
    names = (("workflow", attestation.workflow.name), ("project", attestation.workflow.project))
    known = " and ".join(f"{kind} {name}" for kind, name in names if name)
    whose = f" This run belongs to {known}." if known and not to_what else ""
    run.console.notice("no mail is sent", f"{text}{whose}")


# --- their parts -------------------------------------------------------------------------------


def _row(planned: PlannedMail) -> tuple[str, str, str]:
    route, decision = planned.route, planned.decision
    verb = f"would be sent. {decision.note}" if decision.note else "would be sent"
    if decision.reason:
        verb = f"not sent: {decision.reason}"
    elif route.missing:
        verb = f"cannot be sent: {'; '.join(each.why for each in route.missing)}"
    return planned.name, ", ".join(_recipients(route)), verb


def _recipients(route: Route) -> list[str]:
    """Those whom the mail's headers name."""
    parsed = route.options
    return [each.addr_spec for each in (*parsed.registration.to, *parsed.attachment.cc)]


def _words(result: RouteResult) -> str:
    """What became of one mail, in a few words."""
    if result.skipped:
        return f"not sent: {result.skipped}"
    delivery = result.delivery
    if not delivery.accepted:
        title = result.failure.title if result.failure else ""
        return title[:1].lower() + title[1:]
    number = len(delivery.accepted)
    text = f"sent to {number} recipient{'s' * (number != 1)} through {delivery.server}"
    refused = [public_name(each.recipient, result.mail.hidden) for each in delivery.refused]
    return text + (f", refused for {', '.join(refused)}" if refused else "")


def _problems(result: RouteResult) -> tuple[Problem, ...]:
    return result.failure.problems if result.failure else ()


def _bullets(problems: Iterable[Problem]) -> str:
    return "".join(f"\n- {message.md(str(each))}" for each in problems)


def _kind(every: Iterable[PlannedMail]) -> str:
    """What the names of the mails say."""
    return "registration" if any(each.route.name for each in every) else "run"


def _table(first: str, last: str, rows: Sequence[tuple[str, ...]]) -> str:
    """A name, recipients and a last column, escaped already; a summary has its limit."""
    lines = [f"| {' | '.join(row)} |" for row in rows[:_SHOWN_ROWS]]
    if len(rows) > _SHOWN_ROWS:
        lines.append(f"| … | {len(rows) - _SHOWN_ROWS} more | |")
    return "\n".join((f"| {first} | to | {last} |", "| --- | --- | --- |", *lines, ""))
