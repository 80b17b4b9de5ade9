"""The main story: options, evidence, verdict, routes, mails, deliveries, report."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from chainloop_smtp import outbox
from chainloop_smtp.cli import routes, run_facts
from chainloop_smtp.cli.routes import Route
from chainloop_smtp.cli.run import Run
from chainloop_smtp.cli.run_facts import RunReport
from chainloop_smtp.delivery import EarlyConnection
from chainloop_smtp.model.mail import Delivery, Mail
from chainloop_smtp.model.settings import Options, mailbox_key

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


NOBODY = "there is nobody to write to: whoever was looked up is not known, or no person"


def send(run: Run) -> int:
    """Mails one run. The outputs are written in any case, as far as the story got."""
    outputs = dict(NOTHING)
    try:
        return _send(run, outputs)
    finally:
        run.console.outputs(outputs)


def _send(run: Run, outputs: dict[str, str]) -> int:
    given = run.inputs()
    if path := routes.file_of(run, given):
        return _send_all(run, given, path, outputs)
    if routes.is_fork(run) and not routes.can_log_in(run, given):
        return _skipped_fork(run, outputs)
    route = routes.own(run, given)
    parsed = route.options
    token = given.get("github-token", "")
    story = _told(run, parsed, [parsed], token, outputs)
    before = run_facts.previous(run, story, parsed, parsed.send_on, token)
    decision = route.decide(story, before)
    if not decision.applies:
        return _skipped(run, decision.reason, outputs)
    return _send_one(run, story, route, decision.note, outputs)


def _send_one(run: Run, story: RunReport, route: Route, note: str, outputs: dict[str, str]) -> int:
    """The inputs' own mail, which is written while its server is being connected to."""
    # The deadline holds for everything that touches the network, fetching evidence included.
    transport = route.options.transport
    rest = max(transport.deadline - story.evidence.network_seconds, 0.001)
    parsed = replace(route.options, transport=replace(transport, deadline=rest))
    folder = run.folder(parsed)
    receipt = outbox.read_receipt(folder)
    # Outside of a CI run, every mail is another one.
    is_new = not receipt or not story.facts.job.run_id
    with _connecting(run, parsed, is_new=is_new) as early:
        # Imported here: it takes about as long to load what writes a mail as to connect.
        from chainloop_smtp.cli.post import post
        from chainloop_smtp.cli.rendering import Renderer

        mail = Renderer(run, story).mail(parsed, route.templates, note)
        if not mail.recipients:
            outputs["skipped"] = NOBODY
            run.console.warning("nobody to write to", f"No mail is sent: {NOBODY}.")
            return 0
        earlier = receipt.get(mail.message_id, [])
        before = outbox.accepted(earlier)
        left = tuple(each for each in mail.recipients if mailbox_key(each) not in before)
        if not left and not parsed.dry_run:
            return _skipped(run, "this very mail was sent before, as the receipt says", outputs)
        mail = replace(mail, recipients=left or mail.recipients)
        outputs["message-id"] = mail.message_id
        outputs["eml"] = str(outbox.write_mail(folder, mail))
        run.console.say(mail.subject)
        if parsed.dry_run:
            return _rehearsed(run, story, parsed, mail, folder, outputs)
        return post(run, parsed, mail, folder, outputs, earlier, early)


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


def _rehearsed(
    run: Run, story: RunReport, parsed: Options, mail: Mail, folder: Path, outputs: dict[str, str]
) -> int:
    """The mail as a file; nothing is sent."""
    outputs["skipped"] = "dry run"
    entry = outbox.receipt_entry(parsed.registration, Delivery(mail=mail, results=()))
    outputs["receipt"] = str(outbox.write_receipt(folder, [entry], story.facts.now))
    run.console.say(f"Dry run, nothing is sent. The mail: {outputs['eml']}")
    outbox.write_summary(folder, mail.summary)
    run.console.summary(f"{mail.summary}\n_Dry run: no mail was sent._")
    return 0


def _send_all(run: Run, given: Mapping[str, str], path: str, outputs: dict[str, str]) -> int:
    """Every mail of the configuration file that applies."""
    # Imported here: most steps have no such file.
    from chainloop_smtp.cli import fanout

    all_routes = routes.from_file(run, given, path)
    if routes.is_fork(run) and not all_routes:
        return _skipped_fork(run, outputs)
    parsed = run.validated(given, is_whole=False)
    token = given.get("github-token", "")
    story = _told(run, parsed, [each.options for each in all_routes], token, outputs)
    triggers = {each for route in all_routes for each in route.options.send_on}
    before = run_facts.previous(run, story, parsed, triggers, token)
    decided = [(route, route.decide(story, before)) for route in all_routes]
    return fanout.fan_out(run, parsed, story, path, decided, outputs)


def _told(
    run: Run, parsed: Options, every: Iterable[Options], token: str, outputs: dict[str, str]
) -> RunReport:
    """The story of the run, and what of it the outputs say."""
    lookups = {lookup for each in every for _, lookup in each.lookups}
    story = run_facts.read(run, parsed, lookups, token)
    judged = story.facts.verdict
    outputs["outcome"] = judged.outcome.value
    outputs["policy-status"] = judged.policy_status.value if judged.policy_status else ""
    outputs["digest"] = story.facts.attestation.digest if story.facts.attestation else ""
    return story


def _skipped(run: Run, reason: str, outputs: dict[str, str]) -> int:
    outputs["skipped"] = reason
    run.console.notice("skipped", f"No mail is sent: {reason}.")
    return 0


def _skipped_fork(run: Run, outputs: dict[str, str]) -> int:
    outputs["skipped"] = routes.NO_SECRETS
    routes.notice_fork(run, "no mail is sent")
    return 0
