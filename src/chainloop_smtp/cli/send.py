"""The main story: options, evidence, verdict, mail, delivery, report."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from chainloop_smtp import message, options, outbox, source, verdict
from chainloop_smtp.cli import enclosures, evidence
from chainloop_smtp.cli.post import post
from chainloop_smtp.cli.run import Run
from chainloop_smtp.model import Auth, Delivery

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
    if _is_without_secrets(run, given):
        outputs["skipped"] = "no secrets in a pull request from a fork"
        run.console.notice(
            "skipped", "A fork's pull request and Dependabot get no secrets; no mail is sent."
        )
        return 0
    parsed = run.validated(given)
    job = source.job(run.environ, parsed.job_status, parsed.needs)
    # Looked at before anything is fetched or asked: what is wrong with them is wrong for any run.
    own = source.templates(parsed.composition.template_dir, parsed.composition.subject)
    message.check(own)
    found = evidence.read(run, parsed)
    attested = evidence.attested(run, parsed, found)
    judged = verdict.judge(attested, job)
    if judged.doubt:
        run.console.warning(
            "another run's evidence",
            f"{judged.doubt} Is the file left over from an earlier run? Let the step that pushes "
            "write it anew, or remove it first.",
        )
    changes = evidence.changes(run, found, attested)
    outputs["outcome"] = judged.outcome.value
    outputs["policy-status"] = judged.policy_status.value if judged.policy_status else ""
    outputs["digest"] = attested.digest if attested else ""
    now = run.now(is_dry_run=parsed.dry_run)
    report = partial(
        message.report, attested, job, judged, changes, parsed.composition.env_values, now
    )
    enclosed = enclosures.enclosed(run, parsed, found, report)
    entropy = run.entropy(is_dry_run=parsed.dry_run)
    message_id = message.message_id(attested, job, judged, parsed, entropy=entropy)
    mail = message.compose(
        attested,
        job,
        judged,
        parsed,
        now=now,
        message_id=message_id,
        changes=changes,
        enclosed=enclosed,
        templates=own,
    )
    folder = run.folder(parsed)
    outputs["message-id"] = mail.message_id
    outputs["eml"] = str(outbox.write_mail(folder, mail))
    run.console.say(mail.subject)
    if parsed.dry_run:
        outputs["skipped"] = "dry run"
        untried = [(parsed.registration, Delivery(mail=mail, fates=()))]
        outputs["receipt"] = str(outbox.write_receipt(folder, untried, now))
        run.console.say(f"Dry run, nothing is sent. The mail: {outputs['eml']}")
        outbox.write_summary(folder, mail.summary)
        run.console.summary(f"{mail.summary}\n_Dry run: no mail was sent._")
        return 0
    # The deadline holds for everything that touches the network, fetching evidence included.
    left = max(parsed.transport.deadline - found.network_seconds, 0.001)
    parsed = replace(parsed, transport=replace(parsed.transport, deadline=left))
    return post(run, parsed, mail, folder, outputs)


def _is_without_secrets(run: Run, given: Mapping[str, str]) -> bool:
    """A fork's job that could only fail, since it has nothing to log in with."""
    if given.get("auth") == Auth.NONE or any(given.get(name) for name in options.SECRETS):
        return False
    has_identity = "ACTIONS_ID_TOKEN_REQUEST_URL" in run.environ
    is_federated = given.get("oauth2-federated", "").lower() == "true"
    return source.job(run.environ, None, ()).is_fork and not (is_federated and has_identity)
