"""A received mail against the evidence that is attached to it: a checklist, offline."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from chainloop_smtp import __version__, attestation, message, received, source, verdict
from chainloop_smtp.cli.evidence import UNREAD, named_error
from chainloop_smtp.cli.reconstruction import is_by_id, read_signature, reconstruct
from chainloop_smtp.cli.run import TRUST, Run, read_trust
from chainloop_smtp.cli.run_facts import check_signature
from chainloop_smtp.errors import AttestationError, Problem, quoted
from chainloop_smtp.model.attested import Attestation
from chainloop_smtp.model.checks import (
    Check,
    CheckResult,
    ReceivedMessage,
    SignatureCheck,
    SignatureStatus,
    Trust,
)
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
from chainloop_smtp.source import command

_EVIDENCE = re.compile(r"attestation(-[0-9]+)?\.(json|txt)")
_EVALUATIONS = re.compile(r"policy-evaluations\.(json|txt)")
_PATIENCE = 30.0  # seconds for Chainloop's control plane
_WRONG_MAIL = "The mail does not show what its evidence says"
_WRONG_SIGNATURE = "The signature does not verify"
_SIGNED = "The sender of the mail is not checked."
_UNSIGNED = (
    "The sender of the mail and the signer of the evidence are not checked. To verify the "
    "signature, give --trusted-root or --verification-key."
)
_NO_BUNDLE = "The digest of the attestation is not checked: its bundle is not attached."
_MARKS = {CheckResult.OK: "ok     ", CheckResult.WRONG: "WRONG  ", CheckResult.UNKNOWN: "unknown"}


def verify(run: Run) -> int:
    """Print what agrees and what does not.

    Raises:
        AttestationError: Something does not agree, the signature is not verified where whose counts
            is said, or the file is not a mail with evidence in it.
    """
    flags = vars(run.arguments)
    trust = read_trust({name: flags[name.replace("-", "_")] or "" for name in TRUST})
    mail = received.read(source.read_message(run.arguments.mail, run.stdin))
    attested = _attested(mail)
    report, job, claimed = _report(mail)
    claimed = claimed or read_signature(mail)
    # Whose key it is, is a matter of the signature's own check.
    fingerprint = claimed.key_fingerprint if claimed else ""
    signature = _signature(run, attested, trust, claimed)
    by_evidence = verdict.judge(attested, Job(), claimed)
    cleaned = message.clean(attested)
    by_job = _outcome_by_job(mail, attested, claimed)
    outcomes = frozenset({by_evidence.outcome, by_job or by_evidence.outcome})
    expected = reconstruct(mail, attested, job, claimed, run.now())
    comparison = list(received.compare(mail, expected, outcomes, cleaned.policies))
    checks = [
        signature,
        *received.check_claims(mail, cleaned, by_evidence, message.BADGES, by_job, fingerprint),
        *comparison,
        *_compare_report(run, attested, job, claimed, report, is_by_id=is_by_id(mail)),
    ]
    doubts = [
        each for each in comparison if each.result is not CheckResult.OK and each.name != "sender"
    ]
    is_signature_open = signature.result is CheckResult.UNKNOWN
    # What a mail says of its signature has to be confirmed like all else that it shows.
    doubts += [signature] if is_signature_open and claimed else []
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
        if attested.digest and attested.signing.is_digest_verified is None:
            run.console.say(_NO_BUNDLE)
        run.console.say(_UNSIGNED if is_signature_open and not trust else _SIGNED)
    if wrong:
        raise AttestationError(
            *(Problem(each.name, each.detail) for each in wrong),
            title=_WRONG_SIGNATURE if wrong == [signature] else _WRONG_MAIL,
        )
    if trust and is_signature_open:
        raise AttestationError(
            Problem(signature.name, signature.detail), title="The signature cannot be checked"
        )
    return 0


def _signature(
    run: Run, attested: Attestation, trust: Trust | None, claimed: SignatureCheck | None
) -> Check:
    """Who signed: by the user's own authorities or key, else by Chainloop's own command."""
    says = f"the mail says {claimed.status.value}; " if claimed else ""
    if trust:
        check = message.clean(check_signature(attested, trust))
        detail = check.reason
        if check.status is SignatureStatus.VERIFIED:
            detail = f"signed by {check.signer or f'key {check.key_fingerprint}'}"
            detail += f", issued under {check.authority}" if check.authority else ""
        result = CheckResult.OK
        if check.status is SignatureStatus.UNCHECKED:
            result = CheckResult.UNKNOWN
        elif check.status is SignatureStatus.FAILED or _is_other(claimed, check):
            result = CheckResult.WRONG
            shown = claimed.signer or claimed.key_fingerprint if claimed else ""
            says = f"{says.removesuffix('; ')}, signed by {shown}; " if shown else says
        elif claimed and (claim := _false_claim(claimed, check, attested)):
            result = CheckResult.WRONG
            says = f"the mail says {claim}, which is not so; "
        if claimed and claimed.status is check.status is not SignatureStatus.VERIFIED:
            says = "as the mail says, "
        detail = f"{check.status.value}: {detail}" if detail else check.status.value
        return Check(
            name="signature",
            result=result,
            detail=detail if result is CheckResult.OK else f"{says}{detail}",
        )
    if attested.envelope and command.is_installed(run.environ):
        return command.verify_bundle(
            attestation.write_bundle(attested.envelope), run.environ, _PATIENCE
        )
    detail = f"{says}to verify it here, give --trusted-root or --verification-key"
    return Check(name="signature", result=CheckResult.UNKNOWN, detail=detail)


def _is_other(claimed: SignatureCheck | None, check: SignatureCheck) -> bool:
    """Whether the mail says another thing than a signature that is verified here."""
    if claimed is None or claimed.status is SignatureStatus.UNCHECKED:
        return False
    return (claimed.status, claimed.signer, claimed.key_fingerprint) != (
        check.status,
        check.signer,
        check.key_fingerprint,
    )


def _false_claim(claimed: SignatureCheck, check: SignatureCheck, attested: Attestation) -> str:
    """What the mail says of how and when a verified signature was made, and is not so; or empty."""
    if claimed.method not in ("", check.method):
        return f"method {claimed.method}"
    if claimed.timestamped_at and not check.timestamped_at:
        # Who has no authority for a timestamp cannot tell, unless there is none.
        has_timestamp = attested.envelope is not None and attested.envelope.timestamps
        return "" if has_timestamp else f"timestamp {claimed.timestamped_at}"
    names = (claimed.timestamp_authority.split(), check.timestamp_authority.split())
    if claimed.timestamped_at and names[0] != names[1]:
        return f"timestamp authority {claimed.timestamp_authority}"
    # Without the timestamp, a mail shows the start of the certificate's validity.
    is_alike = bool(claimed.timestamped_at) or not check.timestamped_at
    times = [each.replace(microsecond=0) for each in (check.signed_at, claimed.signed_at) if each]
    return f"signed {times[1]}" if is_alike and times[1:] and times[0] != times[1] else ""


def _attested(mail: ReceivedMessage) -> Attestation:
    """What the attached evidence says."""
    documents = [file for file in mail.files if _EVIDENCE.fullmatch(file.name)]
    if not documents:
        raise AttestationError(
            Problem(
                "mail",
                "has no attestation attached",
                "There is nothing to check the mail against. To attach it, send with attach: "
                "attestation.",
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
        raise named_error(f"attached {file.name}", error) from error


def _outcome_by_job(
    mail: ReceivedMessage, attested: Attestation, signature: SignatureCheck | None
) -> Outcome | None:
    """The outcome that the header names, where only a job that did not go well makes it so."""
    claimed = dict(mail.fields).get("x-chainloop-outcome")
    jobs = (Job(), Job(status=JobStatus.FAILURE), Job(status=JobStatus.CANCELLED))
    alone, *others = (verdict.judge(attested, job, signature).outcome for job in jobs)
    return next((each for each in others if each == claimed and each is not alone), None)


def _report(
    mail: ReceivedMessage,
) -> tuple[dict[str, Any] | None, Job | None, SignatureCheck | None]:
    """The attached report, and its job and signature; None where it is not ours."""
    file = next((file for file in mail.files if file.name == message.REPORT_NAME), None)
    if file is None:
        return None, None, None
    try:
        report = json.loads(file.content)
        job, signature = _job(report["job"]), _claimed_signature(report.get("signature"))
        EnvValues(report["envValues"])
        # That there was more, which could not be read, is not in what could be.
        report["verdict"]["doubt"] = report["verdict"]["doubt"].replace(UNREAD, "").strip()
        compared = {
            each: report[each] for each in ("attestation", "policyGroups", "verdict", "envValues")
        }
        return {"version": report["generator"]["version"], **compared}, job, signature
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}, None, None


def _claimed_signature(facts: Mapping[str, Any] | None) -> SignatureCheck | None:
    if facts is None:
        return None
    times = [facts["signedAt"], facts["timestampedAt"]]
    signed_at, timestamped_at = (datetime.fromisoformat(each) if each else None for each in times)
    return SignatureCheck(
        status=SignatureStatus(facts["status"]),
        signed_at=signed_at,
        timestamped_at=timestamped_at,
        **_texts(facts, SignatureCheck),
    )


def _job(facts: Mapping[str, Any]) -> Job:
    return Job(
        status=JobStatus(facts["status"]) if facts["status"] else None,
        needs=tuple(
            JobResult(result=JobStatus(each["result"]), **_texts(each, JobResult))
            for each in facts["needs"]
        ),
        sender=Sender(**_texts(facts["sender"], Sender)) if facts.get("sender") else None,
        failed_steps=tuple(map(_failed_step, facts.get("failedSteps", ()))),
        **_texts(facts, Job),
    )


def _failed_step(facts: Mapping[str, Any]) -> FailedStep:
    need = facts["need"]
    return FailedStep(need=None if need is None else int(need), **_texts(facts, FailedStep))


def _texts(facts: Mapping[str, Any], kind: type) -> dict[str, Any]:
    """What the report, in camelCase, says for all fields of a record that are text."""
    names = [each.name for each in fields(kind) if each.type is str]
    return {name: str(facts[re.sub("_(.)", lambda m: m[1].upper(), name)]) for name in names}


def _compare_report(
    run: Run,
    attested: Attestation,
    job: Job | None,
    claimed: SignatureCheck | None,
    report: Mapping[str, Any] | None,
    *,
    is_by_id: bool,
) -> Iterator[Check]:
    """The attached report against the one that the evidence makes."""
    if report is None:
        return
    if job is None:
        yield Check(
            name="report", result=CheckResult.WRONG, detail="is not a report by Chainloop SMTP"
        )
        return
    if report["version"] != __version__:
        version = quoted(str(report["version"]))
        detail = f"made by version {version}, which this version cannot compose again"
        yield Check(name="report", result=CheckResult.UNKNOWN, detail=detail)
        return
    judged = verdict.judge(attested, job, claimed, is_by_id=is_by_id)
    env_values = EnvValues(report["envValues"])
    facts = RunFacts(job=job, verdict=judged, attestation=attested, now=run.now())
    expected = json.loads(message.report(facts, env_values))
    # What is made of the attestation is a part of what is said of it.
    for part, *others in (("attestation", "policyGroups"), ("verdict",)):
        is_same = all(expected[each] == report[each] for each in (part, *others))
        yield Check(
            name=f"{part} in the report",
            result=CheckResult.OK if is_same else CheckResult.WRONG,
            detail="as the evidence says" if is_same else "not what the evidence says",
        )
