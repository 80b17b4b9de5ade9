"""A received mail against the evidence that is attached to it: a checklist, offline."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from chainloop_smtp import __version__, attestation, message, received, source, verdict
from chainloop_smtp.cli.reconstruction import reconstruct
from chainloop_smtp.cli.run import Run
from chainloop_smtp.cli.run_facts import UNREAD
from chainloop_smtp.errors import AttestationError, Problem, quoted
from chainloop_smtp.model.attested import Attestation
from chainloop_smtp.model.checks import Check, CheckResult, ReceivedMessage
from chainloop_smtp.model.facts import (
    FailedStep,
    Job,
    JobResult,
    JobStatus,
    Outcome,
    RunFacts,
    Sender,
)
from chainloop_smtp.model.mail import File
from chainloop_smtp.model.settings import EnvValues

_EVIDENCE = re.compile(r"attestation(-[0-9]+)?\.(json|txt)")
_EVALUATIONS = re.compile(r"policy-evaluations\.(json|txt)")
# What the report says of both in camelCase.
_SENDER = ("name", "workflow", "repository", "run_id", "run_attempt", "event", "url")
_JOB = (
    *("name", "workflow", "repository", "server_url", "run_id", "run_attempt", "ref", "head_ref"),
    *("sha", "actor", "event", "ci", "url", "chainloop_project", "chainloop_workflow"),
)
_MARKS = {CheckResult.OK: "ok     ", CheckResult.WRONG: "WRONG  ", CheckResult.UNKNOWN: "unknown"}


def verify(run: Run) -> int:
    """Print what agrees and what does not.

    Raises:
        AttestationError: Something does not agree, or the file is not a mail with evidence in it.
    """
    mail = received.read(source.read_message(run.arguments.mail, run.stdin))
    attested = _attested(mail)
    report, job = _report(mail)
    by_evidence = verdict.judge(attested, Job())
    cleaned = message.clean(attested)
    by_job = _outcome_by_job(mail, attested)
    outcomes = frozenset({by_evidence.outcome, by_job or by_evidence.outcome})
    expected = reconstruct(mail, attested, job, run.now())
    comparison = list(received.compare(mail, expected, outcomes, cleaned.policies))
    checks = [
        *received.check_claims(mail, cleaned, by_evidence, message.BADGES, by_job),
        *comparison,
        *_compare_report(run, attested, job, report),
    ]
    doubts = [
        each for each in comparison if each.result is not CheckResult.OK and each.name != "sender"
    ]
    wrong = [each for each in checks if each.result is CheckResult.WRONG]
    if run.console.is_json:
        items = [{"name": c.name, "result": c.result.value, "detail": c.detail} for c in checks]
        document = {"mail": run.arguments.mail, "ok": not wrong and not doubts, "checks": items}
        run.console.data(json.dumps(document, indent=2))
    else:
        for each in checks:
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


def _outcome_by_job(mail: ReceivedMessage, attested: Attestation) -> Outcome | None:
    """The outcome that the header names, where only a job that did not go well makes it so."""
    claimed = dict(mail.fields).get("x-chainloop-outcome")
    jobs = (Job(), Job(status=JobStatus.FAILURE), Job(status=JobStatus.CANCELLED))
    alone, *others = (verdict.judge(attested, job).outcome for job in jobs)
    return next((each for each in others if each == claimed and each is not alone), None)


def _report(mail: ReceivedMessage) -> tuple[dict[str, Any] | None, Job | None]:
    """The attached report, and its job; no job where it is not a report of this program."""
    file = next((file for file in mail.files if file.name == message.REPORT_NAME), None)
    if file is None:
        return None, None
    try:
        report = json.loads(file.content)
        job = _job(report["job"])
        EnvValues(report["envValues"])
        # That there was more, which could not be read, is not in what could be.
        report["verdict"]["doubt"] = report["verdict"]["doubt"].replace(UNREAD, "").strip()
        compared = {each: report[each] for each in ("attestation", "verdict", "envValues")}
        return {"version": report["generator"]["version"], **compared}, job
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}, None


def _job(facts: Mapping[str, Any]) -> Job:
    needs = [
        JobResult(name=str(each["name"]), result=JobStatus(each["result"]))
        for each in facts["needs"]
    ]
    return Job(
        status=JobStatus(facts["status"]) if facts["status"] else None,
        needs=tuple(needs),
        sender=Sender(**_texts(facts["sender"], _SENDER)) if facts.get("sender") else None,
        failed_steps=tuple(map(_failed_step, facts.get("failedSteps", ()))),
        **_texts(facts, _JOB),
    )


def _failed_step(facts: Mapping[str, Any]) -> FailedStep:
    need = facts["need"]
    return FailedStep(
        need=None if need is None else int(need), **_texts(facts, ("job", "name", "url"))
    )


def _texts(facts: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: str(facts[re.sub("_(.)", lambda m: m[1].upper(), name)]) for name in names}


def _compare_report(
    run: Run, attested: Attestation, job: Job | None, report: Mapping[str, Any] | None
) -> Iterator[Check]:
    """The attached report against the one that the evidence makes."""
    if report is None:
        return
    if job is None:
        yield Check(name="report", result=CheckResult.WRONG, detail="is no report of ours")
        return
    if report["version"] != __version__:
        version = quoted(str(report["version"]))
        detail = f"made by version {version}, which another one cannot make anew"
        yield Check(name="report", result=CheckResult.UNKNOWN, detail=detail)
        return
    judged = verdict.judge(attested, job)
    env_values = EnvValues(report["envValues"])
    facts = RunFacts(job=job, verdict=judged, attestation=attested, now=run.now())
    expected = json.loads(message.report(facts, env_values))
    for part in ("attestation", "verdict"):
        is_same = expected[part] == report[part]
        yield Check(
            name=f"{part} in the report",
            result=CheckResult.OK if is_same else CheckResult.WRONG,
            detail="as the evidence says" if is_same else "not what the evidence says",
        )
