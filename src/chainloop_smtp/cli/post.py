"""One mail -> its delivery, its receipt, and the account of both."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from chainloop_smtp import message, outbox
from chainloop_smtp.cli.interrupts import INTERRUPTED
from chainloop_smtp.cli.login import advise, authorised
from chainloop_smtp.cli.run import Run
from chainloop_smtp.delivery import EarlyConnection
from chainloop_smtp.errors import DeliveryError, OptionsError, Problem
from chainloop_smtp.model.mail import Delivery, Mail, RecipientResult, RecipientStatus
from chainloop_smtp.model.settings import Options, Require, Tls


def post(
    run: Run,
    parsed: Options,
    mail: Mail,
    folder: Path,
    outputs: dict[str, str],
    earlier: Sequence[Mapping[str, object]] = (),
    early: EarlyConnection | None = None,
) -> int:
    """Delivers the mail, and tells the workflow what became of it.

    Args:
        earlier: What the receipt says already of this very mail, and is to say further.
        early: A session with the server that is connected already, or is about to be.

    Returns:
        The exit code, where nothing is raised.

    Raises:
        DeliveryError: It did not reach whom it should, and that is to fail the step.
    """
    if parsed.transport.tls is Tls.NONE:
        run.console.warning("no TLS", "The mail travels in clear, since tls is none.")
    advise(run, parsed)
    result, failure = _delivered(run, parsed, mail, early)
    outputs["accepted"] = json.dumps(result.accepted)
    outputs["refused"] = json.dumps([each.recipient for each in result.refused])
    outputs["attempts"] = str(result.attempts)
    outputs["sent"] = "false" if failure else "true"
    try:
        accounts = [*earlier, outbox.receipt_entry(parsed.registration, result)]
        receipt = outbox.write_receipt(folder, accounts, run.now())
        outputs["receipt"] = str(receipt)
    except OptionsError as error:
        # What became of the mail is what counts, and is told below.
        run.console.warning("no receipt", str(error))
    reasons = (
        "".join(f"\n- {message.md(str(each))}" for each in failure.problems) if failure else ""
    )
    noted = notes_of(result)
    remarks = "".join(f"\n- {message.md(str(each))}" for each in noted)
    account = f"{account_of(result)}\n{reasons}{remarks}\n"
    # What went wrong stands first; where all is well, the evidence does.
    parts = (account, mail.summary) if failure else (mail.summary, account)
    run.console.summary("\n".join(parts))
    if result.accepted or result.is_interrupted:
        run.console.say(account_of(result))
    for each in noted:
        run.console.warning(each.where, each.why)
    if failure is None:
        for recipient in public(result).results:
            if recipient.state is not RecipientStatus.ACCEPTED:
                run.console.warning(
                    f"recipient {recipient.state}", f"{recipient.recipient}: {recipient.reason}"
                )
        return 0
    run.console.say(f"The mail is kept: {outputs['eml']}")
    if result.is_interrupted:
        return INTERRUPTED
    if parsed.fail_on_error:
        raise failure
    run.console.warning(failure.title, str(failure))
    return 0


def _delivered(
    run: Run, parsed: Options, mail: Mail, early: EarlyConnection | None
) -> tuple[Delivery, DeliveryError | None]:
    """What became of the mail, and the failure that this is."""
    try:
        parsed = authorised(run, parsed)
    except DeliveryError as error:
        return Delivery(mail=mail, results=()), error
    result = _deliver(run, parsed, mail, early)
    return result, failure_of(result, parsed.require)


def _deliver(run: Run, parsed: Options, mail: Mail, early: EarlyConnection | None) -> Delivery:
    """One transaction, or several where `parts` makes more of it."""
    size, notify = parsed.max_recipients, run.console.say
    server = (parsed.registration, parsed.transport)
    if len(mail.recipients) <= size and not mail.international:
        return run.deliver(mail, *server, notify=notify, early=early)
    deliveries = run.deliver_all(parts(mail, size), *server, notify=notify, early=early)
    return together(mail, list(deliveries))


def parts(mail: Mail, size: int) -> list[Mail]:
    """The same mail for as many recipients at a time as go into one transaction.

    Those who need SMTPUTF8 come last and apart: a mail that asks for it goes only as far as every
    server on the way offers it (RFC 6531 section 3.2), and nobody else's is to end there.
    """
    groups = [mail]
    if mail.international:
        plain = tuple(each for each in mail.recipients if each.isascii())
        others = tuple(each for each in mail.recipients if not each.isascii())
        groups = [
            replace(mail, recipients=plain, international=b""),
            replace(mail, recipients=others, content=mail.international, international=b""),
        ]
    return [
        replace(group, recipients=group.recipients[at : at + size])
        for group in groups
        for at in range(0, len(group.recipients), size)
    ]


def together(mail: Mail, deliveries: Sequence[Delivery]) -> Delivery:
    """What became of a mail that was sent in parts."""
    results = {result.recipient: result for each in deliveries for result in each.results}
    return Delivery(
        mail=mail,
        results=tuple(results[each] for each in mail.recipients if each in results),
        tries=tuple(attempt for each in deliveries for attempt in each.tries),
        is_interrupted=any(each.is_interrupted for each in deliveries),
    )


def failure_of(result: Delivery, require: Require) -> DeliveryError | None:
    """The failure that a delivery is, by what the user requires; None when it is none."""
    result = public(result)
    missed = [each for each in result.results if each.state is not RecipientStatus.ACCEPTED]
    if not missed or (result.accepted and require is Require.ANY):
        return None
    problems = []
    last = result.tries[-1] if result.tries else None
    if last and last.why:
        problems.append(Problem(last.server, last.why, last.hint))
    if unknown := result.of(RecipientStatus.UNKNOWN):
        whom = "" if len(unknown) == len(result.results) else f" for {_names(unknown)}"
        problems.append(
            Problem(
                last.server if last else "delivery",
                f"whether the server took the mail {result.mail.message_id}{whom} is not known",
                "It was sent, and not confirmed. Look for it in the mailbox or in the server's log "
                "before you send it again.",
            )
        )
    # What the attempt as a whole says is not said again for each recipient.
    told = last.why if last else ""
    problems += [
        _problem(each, result.attempts)
        for each in missed
        if each.reason and each.reason not in told and each.state is not RecipientStatus.UNKNOWN
    ]
    if result.accepted:
        number = len(result.accepted)
        others = "the other recipient" if number == 1 else f"the other {number} recipients"
        hint = "Mend the addresses, or write require: any if this is enough."
        problems.append(Problem("delivery", f"the mail went to {others}", hint))
    failure = DeliveryError(*(problems or [Problem("delivery", "there was no time to try it")]))
    if result.accepted:
        failure.title = "The mail did not reach everybody"
    elif len(unknown) == len(result.results):
        failure.title = "Whether the mail was delivered is not known"
    return failure


def public(result: Delivery) -> Delivery:
    """The same as logs and job summaries may show it: bcc recipients by number, not by address.

    What the server says of them may name them too, so only its codes are left.
    """
    hidden = result.mail.hidden
    return replace(result, results=tuple(_public(each, hidden) for each in result.results))


def shown(recipient: str, hidden: Sequence[str]) -> str:
    """What others may read in place of a recipient's address."""
    if recipient in hidden:
        return f"bcc recipient {hidden.index(recipient) + 1}"
    return recipient


def _public(result: RecipientResult, hidden: Sequence[str]) -> RecipientResult:
    if result.recipient not in hidden:
        return result
    reply = result.reply and replace(result.reply, text="")
    return replace(result, recipient=shown(result.recipient, hidden), reply=reply)


def notes_of(result: Delivery) -> tuple[Problem, ...]:
    """What is not as it was asked for, though the mail went: once for each server."""
    notes = (Problem(each.server, note) for each in result.tries for note in each.notes)
    return tuple(dict.fromkeys(notes))


def account_of(result: Delivery) -> str:
    """One sentence on what became of the mail, fit for a log and for Markdown."""
    others = ", ".join(
        f"{len(results)} {word}"
        for word, results in (
            ("refused", result.of(RecipientStatus.REFUSED)),
            ("put off for now", result.of(RecipientStatus.DEFERRED)),
            ("not known", result.of(RecipientStatus.UNKNOWN)),
        )
        if results
    )
    if result.is_interrupted:
        number = len(result.accepted)
        sent = f"sent to {number} of {len(result.results)}; {others}"
        return f"Interrupted: {sent}."
    if not result.accepted:
        is_unknown = len(result.of(RecipientStatus.UNKNOWN)) == len(result.results)
        return (
            "Whether the mail was delivered is not known."
            if is_unknown
            else "The mail was not delivered."
        )
    number = len(result.accepted)
    security = ", ".join(filter(None, (result.tls or "no TLS", result.mechanism)))
    tries = "" if result.attempts == 1 else f" and {result.attempts} attempts"
    return (
        f"Sent to {number} recipient{'s' * (number != 1)} through {result.server} ({security}) "
        f"in {result.duration:.2f} s{tries}." + (f" Of the others: {others}." if others else "")
    )


def _problem(result: RecipientResult, attempts: int) -> Problem:
    """What is to be told about one recipient who did not get the mail."""
    if result.state is RecipientStatus.DEFERRED:
        times = "once" if attempts == 1 else f"{attempts} times"
        why = f"the server put this recipient off: {result.reason}"
        again = f"It was tried {times}. Run the job again later, or raise deadline."
        return Problem(result.recipient, why, f"{result.hint} {again}".strip())
    why = f"the server refused this recipient: {result.reply}" if result.reply else result.why
    return Problem(result.recipient, why, result.hint)


def _names(results: tuple[RecipientResult, ...]) -> str:
    return ", ".join(each.recipient for each in results)
