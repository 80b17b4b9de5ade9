"""The main story: options, evidence, verdict, mail, delivery, report."""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from pathlib import Path

from chainloop_smtp import attestation, message, outbox, source, verdict
from chainloop_smtp.cli.run import Run
from chainloop_smtp.errors import AttestationError, DeliveryError, OptionsError, Problem
from chainloop_smtp.model import (
    Attestation,
    Auth,
    Delivery,
    Evidence,
    Job,
    Mail,
    Options,
    Require,
    Tls,
)

# Every output of the Action, as it stands until something happens.
NOTHING = {
    "sent": "false",
    "skipped": "",
    "outcome": "",
    "policy-status": "",
    "digest": "",
    "message-id": "",
    "accepted": "[]",
    "refused": "[]",
    "attempts": "0",
    "eml": "",
    "receipt": "",
}


def send(run: Run) -> int:
    """Mails one run. The outputs are written in any case, as far as the story got."""
    outputs = dict(NOTHING)
    try:
        return _send(run, outputs)
    finally:
        run.console.outputs(outputs)


def _send(run: Run, outputs: dict[str, str]) -> int:
    given = run.inputs()
    if _is_without_secrets(given, source.job(run.environ, None, ())):
        outputs["skipped"] = "no secrets in a pull request from a fork"
        run.console.notice(
            "skipped", "A fork's pull request and Dependabot get no secrets; no mail is sent."
        )
        return 0
    parsed = run.validated(given)
    job = source.job(run.environ, parsed.job_status, parsed.needs)
    evidence = _evidence(run, parsed)
    attested = _attestation(run, parsed, evidence)
    judged = verdict.judge(attested, job)
    outputs["outcome"] = judged.outcome.value
    outputs["policy-status"] = judged.policy_status.value if judged.policy_status else ""
    outputs["digest"] = attested.digest if attested else ""
    now, message_id = run.now(), run.message_id(parsed)
    mail = message.compose(attested, job, judged, parsed, now=now, message_id=message_id)
    folder = run.folder(parsed)
    outputs["message-id"] = mail.message_id
    outputs["eml"] = str(outbox.write_mail(folder, mail))
    run.console.say(mail.subject)
    if parsed.dry_run:
        outputs["skipped"] = "dry run"
        outputs["receipt"] = str(outbox.write_receipt(folder, mail, parsed.registration, None, now))
        run.console.say(f"Dry run, nothing is sent. The mail: {outputs['eml']}")
        run.console.summary(f"{mail.summary}\n_Dry run: no mail was sent._")
        return 0
    # The deadline holds for everything that touches the network, fetching evidence included.
    left = max(parsed.transport.deadline - evidence.network_seconds, 0.001)
    parsed = replace(parsed, transport=replace(parsed.transport, deadline=left))
    return _deliver(run, parsed, mail, folder, outputs)


def _is_without_secrets(given: Mapping[str, str], job: Job) -> bool:
    return job.is_fork and not given.get("password") and given.get("auth") != Auth.NONE


def _evidence(run: Run, parsed: Options) -> Evidence:
    """What the options name. The mail about a failed job does not wait for a failing command."""
    try:
        return source.read(parsed, run.environ, run.stdin)
    except AttestationError as error:
        if parsed.is_success or not parsed.workflow_run_id:
            raise
        run.console.warning(error.title, str(error))
        return Evidence()


def _attestation(run: Run, parsed: Options, evidence: Evidence) -> Attestation | None:
    """What the evidence says of the run, or None where nothing was attested."""
    documents = evidence.documents
    if not parsed.is_success:
        # A push that failed may have printed no more than what its policies print.
        documents = tuple(document for document in documents if b"{" in document)
    if documents:
        attested = reduce(attestation.join, map(attestation.parse, documents))
        if evidence.policy_evaluations is None:
            return attested
        return attestation.with_evaluations(attested, evidence.policy_evaluations)
    if parsed.attestation and parsed.is_success:
        run.console.warning(
            "the attestation is empty",
            "The Chainloop command printed nothing, so the mail says that the run was not "
            "attested; the log of the step that ran it says why. Let `chainloop attestation push "
            "-o json > attestation.json` stand on a line of its own: with a pipe or $(…) around "
            "it, bash hides its exit code.",
        )
    return None


def _deliver(run: Run, parsed: Options, mail: Mail, folder: Path, outputs: dict[str, str]) -> int:
    if parsed.transport.tls is Tls.NONE:
        run.console.warning("no TLS", "The mail travels in clear, since tls is none.")
    result: Delivery | None = None
    failure: DeliveryError | None = None
    outputs["attempts"] = "1"
    try:
        result = run.deliver(mail, parsed.registration, parsed.transport)
        failure = refusals(result, parsed.require)
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


def refusals(result: Delivery, require: Require) -> DeliveryError | None:
    """The failure that refused recipients make, by what the user requires."""
    if not result.refused or (result.accepted and require is Require.ANY):
        return None
    problems = [
        Problem(each.recipient, f"the server refused this recipient: {each.reply}")
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
