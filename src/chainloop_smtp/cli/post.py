"""One mail -> its delivery, its receipt, and the account of both."""

import json
from pathlib import Path

from chainloop_smtp import delivery, message, outbox
from chainloop_smtp.cli.login import advise, authorised
from chainloop_smtp.cli.run import Run
from chainloop_smtp.errors import DeliveryError, OptionsError, Problem
from chainloop_smtp.model import Delivery, Mail, Options, Require, Tls


def post(run: Run, parsed: Options, mail: Mail, folder: Path, outputs: dict[str, str]) -> int:
    """Delivers the mail, and tells the workflow what became of it.

    Returns:
        The exit code, where nothing is raised.

    Raises:
        DeliveryError: It did not reach whom it should, and that is to fail the step.
    """
    if parsed.transport.tls is Tls.NONE:
        run.console.warning("no TLS", "The mail travels in clear, since tls is none.")
    advise(run, parsed)
    result: Delivery | None = None
    failure: DeliveryError | None = None
    outputs["attempts"] = "1"
    try:
        parsed = authorised(run, parsed)
        result = run.deliver(mail, parsed.registration, parsed.transport)
        failure = refusals(result, parsed)
        outputs["accepted"] = json.dumps(result.accepted)
        outputs["refused"] = json.dumps([each.recipient for each in result.refused])
        outputs["attempts"] = str(result.attempts)
    except DeliveryError as error:
        failure = error
    outputs["sent"] = "false" if failure else "true"
    try:
        receipt = outbox.write_receipt(folder, mail, parsed.registration, result, run.now())
        outputs["receipt"] = str(receipt)
    except OptionsError as error:
        # What became of the mail is what counts, and is told below.
        run.console.warning("no receipt", str(error))
    reasons = (
        "".join(f"\n- {message.md(str(each))}" for each in failure.problems) if failure else ""
    )
    account = f"{_account(result)}\n{reasons}\n"
    # What went wrong stands first; where all is well, the evidence does.
    parts = (account, mail.summary) if failure else (mail.summary, account)
    run.console.summary("\n".join(parts))
    if result and result.accepted:
        run.console.say(_account(result))
    if failure is None:
        for each in result.refused if result else ():
            run.console.warning("recipient refused", f"{each.recipient}: {each.reply}")
        return 0
    run.console.say(f"The mail is kept: {outputs['eml']}")
    if parsed.fail_on_error:
        raise failure
    run.console.warning(failure.title, str(failure))
    return 0


def refusals(result: Delivery, parsed: Options) -> DeliveryError | None:
    """The failure that refused recipients make, by what the user requires."""
    if not result.refused or (result.accepted and parsed.require is Require.ANY):
        return None
    problems = [
        Problem(
            each.recipient,
            f"the server refused this recipient: {each.reply}",
            delivery.hint(parsed.registration.host, each.reply),
        )
        for each in result.refused
    ]
    if result.accepted:
        number = len(result.accepted)
        hint = "Mend the addresses, or write require: any if this is enough."
        others = "the other recipient" if number == 1 else f"the other {number} recipients"
        problems.append(Problem("delivery", f"the mail went to {others}", hint))
    failure = DeliveryError(*problems)
    if result.accepted:
        failure.title = "The mail did not reach everybody"
    return failure


def _account(result: Delivery | None) -> str:
    """One sentence on what became of the mail, fit for a log and for Markdown."""
    if result is None or not result.accepted:
        return "The mail was not delivered."
    number = len(result.accepted)
    security = ", ".join(filter(None, (result.tls or "no TLS", result.mechanism)))
    return (
        f"Sent to {number} recipient{'s' * (number != 1)} through {result.server} ({security}) "
        f"in {result.duration:.2f} s."
    )
