"""A received mail against the evidence that is attached to it: a checklist, offline."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace

from chainloop_smtp import __version__, attestation, letter, message, source, verdict
from chainloop_smtp.cli.evidence import UNREAD
from chainloop_smtp.cli.run import Run
from chainloop_smtp.errors import AttestationError, Problem, quoted
from chainloop_smtp.model import (
    Attestation,
    Check,
    CheckResult,
    EnvValues,
    File,
    Job,
    JobResult,
    JobStatus,
    Letter,
)

_EVIDENCE = re.compile(r"attestation(-[0-9]+)?\.(json|txt)")
_EVALUATIONS = re.compile(r"policy-evaluations\.(json|txt)")
_MARKS = {CheckResult.OK: "ok     ", CheckResult.WRONG: "WRONG  ", CheckResult.UNKNOWN: "unknown"}


def verify(run: Run) -> int:
    """Prints what agrees and what does not.

    Raises:
        AttestationError: Something does not agree, the mail is none, or has no evidence in it.
    """
    name = run.arguments.mail
    received = letter.read(source.mail(name, run.stdin))
    attested = _attested(received)
    judged = verdict.judge(attested, Job())
    found = [
        *letter.checks(received, message.clean(attested), judged, message.BADGES),
        *_report(run, received, attested),
    ]
    wrong = [each for each in found if each.result is CheckResult.WRONG]
    if run.console.is_json:
        told = [{"name": c.name, "result": c.result.value, "detail": c.detail} for c in found]
        run.console.data(json.dumps({"mail": name, "ok": not wrong, "checks": told}, indent=2))
    else:
        for each in found:
            run.console.say(f"{_MARKS[each.result]} {each.name}: {each.detail}")
        run.console.say(
            "Who wrote the mail and who signed the evidence is not checked here: look the digest "
            "up in Chainloop."
        )
    if wrong:
        failure = AttestationError(*(Problem(each.name, each.detail) for each in wrong))
        failure.title = "The mail does not show what its evidence says"
        raise failure
    return 0


def _attested(received: Letter) -> Attestation:
    """What the attached evidence says."""
    documents = [file for file in received.files if _EVIDENCE.fullmatch(file.name)]
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
    for file in received.files:
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


def _report(run: Run, received: Letter, attested: Attestation) -> Iterator[Check]:
    """The attached report against one made anew of the evidence."""
    file = next((file for file in received.files if file.name == message.REPORT_NAME), None)
    if file is None:
        return
    name = "report"
    try:
        shown = json.loads(file.content)
        generator = shown["generator"]["version"]
        env_values = EnvValues(shown["envValues"])
        job = Job(
            status=JobStatus(shown["job"]["status"]) if shown["job"]["status"] else None,
            needs=tuple(
                JobResult(name=str(each["name"]), result=JobStatus(each["result"]))
                for each in shown["job"]["needs"]
            ),
            name=str(shown["job"]["name"]),
            repository=str(shown["job"]["repository"]),
            run_id=str(shown["job"]["runId"]),
            event=str(shown["job"]["event"]),
        )
        # That there was more, which could not be read, is not in what could be.
        shown["verdict"]["doubt"] = shown["verdict"]["doubt"].replace(UNREAD, "").strip()
        facts = {each: shown[each] for each in ("attestation", "verdict")}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        yield Check(name=name, result=CheckResult.WRONG, detail="is no report of ours")
        return
    if generator != __version__:
        detail = f"made by version {quoted(str(generator))}, which another one cannot make anew"
        yield Check(name=name, result=CheckResult.UNKNOWN, detail=detail)
        return
    judged = verdict.judge(attested, job)
    anew = json.loads(message.report(attested, job, judged, None, env_values, run.now()))
    for part, value in facts.items():
        is_same = anew[part] == value
        yield Check(
            name=f"{part} in the report",
            result=CheckResult.OK if is_same else CheckResult.WRONG,
            detail="as the evidence says" if is_same else "not what the evidence says",
        )
