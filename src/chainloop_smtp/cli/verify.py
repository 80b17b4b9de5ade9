"""A received mail against the evidence that is attached to it: a checklist, offline."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from chainloop_smtp import __version__, attestation, message, received, source, verdict
from chainloop_smtp.cli.anew import composed
from chainloop_smtp.cli.run import Run
from chainloop_smtp.cli.run_facts import UNREAD
from chainloop_smtp.errors import AttestationError, Problem, quoted
from chainloop_smtp.model.attested import Attestation
from chainloop_smtp.model.checks import Check, CheckResult, ReceivedMessage
from chainloop_smtp.model.facts import Job, JobResult, JobStatus, Outcome, Sender
from chainloop_smtp.model.mail import File
from chainloop_smtp.model.settings import EnvValues

_EVIDENCE = re.compile(r"attestation(-[0-9]+)?\.(json|txt)")
_EVALUATIONS = re.compile(r"policy-evaluations\.(json|txt)")
_MARKS = {CheckResult.OK: "ok     ", CheckResult.WRONG: "WRONG  ", CheckResult.UNKNOWN: "unknown"}


def verify(run: Run) -> int:
    """Prints what agrees and what does not.

    Raises:
        AttestationError: Something does not agree, the mail is none, or has no evidence in it.
    """
    name = run.arguments.mail
    mail = received.read(source.mail(name, run.stdin))
    attested = _attested(mail)
    judged = verdict.judge(attested, Job())
    report, job = _report(mail)
    cleaned = message.clean(attested)
    outcomes = frozenset({judged.outcome, *_by_the_job(mail)})
    shown = [
        *received.compare(
            mail, composed(mail, attested, job, run.now()), outcomes, cleaned.policies
        )
    ]
    found = [
        *received.check_claims(mail, cleaned, judged, message.BADGES),
        *shown,
        *_reported(run, attested, job, report),
    ]
    wrong = [each for each in found if each.result is CheckResult.WRONG]
    doubts = [each for each in shown if each.result is not CheckResult.OK and each.name != "sender"]
    if run.console.is_json:
        told = [{"name": c.name, "result": c.result.value, "detail": c.detail} for c in found]
        is_ok = not wrong and not doubts
        run.console.data(json.dumps({"mail": name, "ok": is_ok, "checks": told}, indent=2))
    else:
        for each in found:
            run.console.say(f"{_MARKS[each.result]} {each.name}: {each.detail}")
        for each in doubts if not wrong else ():
            run.console.say(f"NOT CONFIRMED: {each.name}. Read it yourself, or see docs/mail.md.")
        run.console.say(
            "Who wrote the mail and who signed the evidence is not checked here: look the digest "
            "up in Chainloop."
        )
    if wrong:
        raise AttestationError(
            *(Problem(each.name, each.detail) for each in wrong),
            title="The mail does not show what its evidence says",
        )
    return 0


def _attested(mail: ReceivedMessage) -> Attestation:
    """What the attached evidence says."""
    documents = [file for file in mail.files if _EVIDENCE.fullmatch(file.name)]
    if not documents:
        raise AttestationError(
            Problem(
                "mail",
                "has no attestation attached",
                "attach: attestation attaches it. There is nothing to check the mail against.",
            )
        )
    attested = _parsed(documents[0])
    for file in documents[1:]:
        attested = attestation.join(attested, _parsed(file))
    for file in mail.files:
        if _EVALUATIONS.fullmatch(file.name):
            attested = attestation.with_evaluations(attested, file.content)
    return attested


def _parsed(file: File) -> Attestation:
    try:
        return attestation.parse(file.content)
    except AttestationError as error:
        raise AttestationError(
            *(replace(each, where=f"attached {file.name} {each.where}") for each in error.problems)
        ) from error


def _by_the_job(mail: ReceivedMessage) -> Iterator[Outcome]:
    """The outcome that the header names, where a job may end so whatever the evidence says."""
    claimed = dict(mail.fields).get("x-chainloop-outcome")
    yield from (each for each in (Outcome.FAILED, Outcome.CANCELLED) if each == claimed)


def _report(mail: ReceivedMessage) -> tuple[dict[str, Any] | None, Job | None]:
    """The attached report, and its job; no job where it is no report of ours."""
    file = next((file for file in mail.files if file.name == message.REPORT_NAME), None)
    if file is None:
        return None, None
    try:
        shown = json.loads(file.content)
        said = shown["job"]
        job = Job(
            status=JobStatus(said["status"]) if said["status"] else None,
            needs=tuple(
                JobResult(name=str(each["name"]), result=JobStatus(each["result"]))
                for each in said["needs"]
            ),
            name=str(said["name"]),
            sender=_sender(said["sender"]) if said.get("sender") else None,
            workflow=str(said["workflow"]),
            repository=str(said["repository"]),
            server_url=str(said["serverUrl"]),
            run_id=str(said["runId"]),
            run_attempt=str(said["runAttempt"]),
            ref=str(said["ref"]),
            head_ref=str(said["headRef"]),
            sha=str(said["sha"]),
            actor=str(said["actor"]),
            event=str(said["event"]),
            chainloop_project=str(said["chainloopProject"]),
            chainloop_workflow=str(said["chainloopWorkflow"]),
        )
        EnvValues(shown["envValues"])
        # That there was more, which could not be read, is not in what could be.
        shown["verdict"]["doubt"] = shown["verdict"]["doubt"].replace(UNREAD, "").strip()
        shown = {
            "version": shown["generator"]["version"],
            **{each: shown[each] for each in ("attestation", "verdict", "envValues")},
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}, None
    return shown, job


def _sender(said: Mapping[str, Any]) -> Sender:
    return Sender(
        name=str(said["name"]),
        workflow=str(said["workflow"]),
        repository=str(said["repository"]),
        run_id=str(said["runId"]),
        run_attempt=str(said["runAttempt"]),
        event=str(said["event"]),
        url=str(said["url"]),
    )


def _reported(
    run: Run, attested: Attestation, job: Job | None, shown: Mapping[str, Any] | None
) -> Iterator[Check]:
    """The attached report against one made anew of the evidence."""
    if shown is None:
        return
    if job is None:
        yield Check(name="report", result=CheckResult.WRONG, detail="is no report of ours")
        return
    if shown["version"] != __version__:
        version = quoted(str(shown["version"]))
        detail = f"made by version {version}, which another one cannot make anew"
        yield Check(name="report", result=CheckResult.UNKNOWN, detail=detail)
        return
    judged = verdict.judge(attested, job)
    env_values = EnvValues(shown["envValues"])
    anew = json.loads(message.report(attested, job, judged, None, env_values, run.now()))
    for part in ("attestation", "verdict"):
        is_same = anew[part] == shown[part]
        yield Check(
            name=f"{part} in the report",
            result=CheckResult.OK if is_same else CheckResult.WRONG,
            detail="as the evidence says" if is_same else "not what the evidence says",
        )
