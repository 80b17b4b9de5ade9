"""Received mail and its evidence -> Expected: the mail that the evidence makes.

The job's facts, which the evidence does not say, come from the report where there is one, else
from the mail's own tables; a mail with false ones differs from the mail that they make.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise, takewhile

from chainloop_smtp import message, received, verdict
from chainloop_smtp.cli.evidence import UNREAD
from chainloop_smtp.cli.run_facts import find_unsigned
from chainloop_smtp.model.attested import Attestation
from chainloop_smtp.model.checks import Expected, ReceivedMessage, SignatureCheck, SignatureStatus
from chainloop_smtp.model.facts import FailedStep, Job, JobResult, JobStatus, RunFacts, Sender
from chainloop_smtp.model.runners import attested_ci_run
from chainloop_smtp.model.settings import (
    Composition,
    Enclosures,
    EnvValues,
    Mailbox,
    Options,
    Registration,
    Thread,
)

_NOBODY = Registration(
    host="", port=1, user="", password="", from_=Mailbox(addr_spec="nobody@example.invalid"), to=()
)
_SENDER = re.compile(
    r"(?:job (?P<job>\S{1,200}) of )?(?P<workflow>.{1,400}), run (?P<run>[0-9]{1,30})"
)
_ROW = re.compile(rf"(?P<result>{'|'.join(JobStatus)})?(?:\b ?at step (?P<step>.+))?", re.DOTALL)
_SIGNATURE_KEYS = re.compile(
    "Signature|Not covered|Signed by|Trusted root|Signed|Timestamp|Key|Method"
)
_SIGNATURE_WORDS = re.compile(r"^(?:verified(?:; )?|INVALID: |not checked: )")
_STEP = " (as the step says)"
# What stands in a subject where threads are those of a branch: the outcome in brackets.
_BY_REF = re.compile(rf"\] \[(?:{'|'.join(map(re.escape, message.BADGES))})[,\]]")
# What `routing` and `redirect-to` put behind the lead.
_NOTES = re.compile(
    r"(?:Sent because it is not known whether it [a-z, ]{1,200}: [^<>]{1,300}\.)? ?"
    r"(?:Redirected: it would have gone to \S{1,320}(?:, \S{1,320}){0,200}\.)?"
)


def reconstruct(
    mail: ReceivedMessage,
    attested: Attestation,
    job: Job | None,
    signature: SignatureCheck | None,
    now: datetime,
) -> Expected:
    """The mail that this evidence makes.

    Args:
        job: By the attached report; None: there is none.
        signature: As the mail has it, from `read_signature`.
        now: Aware, in UTC; nothing that is shown depends on it.
    """
    lines = _shown(mail)
    job = job or _job(lines, mail, attested, signature)
    composition = Composition(
        env_values=_env_values(lines),
        thread=Thread.REF if _BY_REF.search(mail.subject) else Thread.RUN,
        # The report that is not there was too large, or there was no need for it.
        enclosures=Enclosures(max_size=0),
    )
    enclosed = message.parts(mail.files)

    def render(job: Job, note: str = "") -> message.Forms:
        judged = verdict.judge(attested, job, signature, is_by_id=is_by_id(mail))
        if UNREAD in " ".join(mail.text.split()):
            judged = replace(judged, doubt=" ".join(filter(None, (judged.doubt, UNREAD))))
        options = Options(registration=_NOBODY, composition=composition)
        facts = RunFacts(
            job=job,
            verdict=judged,
            attestation=attested,
            signature=signature,
            unsigned=find_unsigned(attested, signature),
            now=now,
        )
        clean = message.CleanFacts(facts)
        return message.render(clean, options, note=note, enclosed=enclosed).forms

    forms = render(job)
    if note := _note(lines, forms.html):
        forms = render(job, note)
    bare = render(Job())
    return Expected(
        subject=forms.subject,
        text=forms.text,
        html=forms.html,
        bare_text=bare.text,
        bare_html=bare.html,
    )


def is_by_id(mail: ReceivedMessage) -> bool:
    """Whether the mail takes it that the user asked for another run by its id."""
    return "The evidence is from" not in " ".join(mail.text.split())


def read_signature(mail: ReceivedMessage) -> SignatureCheck | None:
    """What the mail says of the signature, true or not; None where it says nothing."""
    status = dict(mail.fields).get("x-chainloop-signature")
    if status not in tuple(SignatureStatus):
        return None
    lines = _shown(mail)
    # The section's title, and its first key.
    starts = (at for at, pair in enumerate(pairwise(lines)) if pair == ("Signature", "Signature"))
    rows = iter(lines[next(starts, len(lines)) + 1 :])
    known = takewhile(lambda row: _SIGNATURE_KEYS.fullmatch(row[0]), zip(rows, rows, strict=False))
    values = dict(known)
    timestamp, _, authority = values.get("Timestamp", "").partition(" UTC, ")
    since = _time(values.get("Signed", "").removeprefix("not before "))
    timestamped_at = _time(f"{timestamp} UTC")
    return SignatureCheck(
        status=SignatureStatus(status),
        reason=_SIGNATURE_WORDS.sub("", values.get("Signature", "")),
        signer=values.get("Signed by", ""),
        authority=values.get("Trusted root", ""),
        method=values.get("Method", ""),
        key_fingerprint=values.get("Key", ""),
        signed_at=timestamped_at or since,
        timestamped_at=timestamped_at,
        timestamp_authority=authority,
    )


def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%d %b %Y, %H:%M:%S UTC").replace(tzinfo=UTC)
    except ValueError:
        return None


def _shown(mail: ReceivedMessage) -> list[str]:
    """The headings, keys and values of the mail, each on a line of its own."""
    page = mail.page
    return list(received.visible(page.source).everything if page else _lines(mail.text))


def _lines(text: str) -> Iterator[str]:
    """The text's headings, keys and values, each on a line of its own as in the HTML."""
    for line in text.split("\n"):
        key, colon, value = line.strip().partition(":")
        if line.startswith("  ") and colon:
            yield from filter(None, (key, value.strip()))
        elif line.strip("- "):
            yield line.strip().capitalize() if line.isupper() else line.strip()


def _env_values(lines: list[str]) -> EnvValues:
    if "Environment variables" not in lines:
        return EnvValues.HIDE
    after = lines[lines.index("Environment variables") + 1 :]
    return EnvValues.NAMES if after[:1] == ["Names"] else EnvValues.SHOW


def _note(lines: list[str], html: str) -> str:
    """What follows the lead; empty where it is nothing that this program writes there."""
    for ours in received.visible(html).lines[:4]:
        for line in lines[:6]:
            rest = line.removeprefix(f"{ours} ")
            if rest != line and _NOTES.fullmatch(rest):
                return rest
    return ""


def _job(
    lines: list[str],
    mail: ReceivedMessage,
    attested: Attestation,
    signature: SignatureCheck | None,
) -> Job:
    """The job's facts as the HTML shows them."""
    values = dict(pairwise(lines))
    workflow, _, repository = values.get("CI workflow", "").rpartition(" in ")
    run_id, _, attempt = values.get("CI run", "").partition(", attempt ")
    ref, _, head = values.get("Pull request", "").partition(" from ")
    branch = values.get("Branch or tag", "")
    actor, event = _started(values.get("Triggered by", ""), attested)
    server = _server(mail, f"/{repository}/actions/runs/{run_id}") if run_id else ""
    sender = _SENDER.fullmatch(values.get("Mailed by", ""))
    job = Job(
        name=values.get("CI job", ""),
        sender=Sender(
            name=sender["job"] or "",
            workflow=sender["workflow"],
            repository=repository,
            run_id=sender["run"],
            url=f"{server}/{repository}/actions/runs/{sender['run']}",
        )
        if sender
        else None,
        workflow=workflow,
        repository=repository,
        server_url=server,
        run_id=run_id,
        run_attempt=attempt,
        ref=f"refs/pull/{ref.removeprefix('#')}/merge" if ref else f"refs/heads/{branch}",
        head_ref=head,
        sha=values.get("CI commit", values.get("Commit", "")),
        actor=actor,
        event=event,
        chainloop_project=values.get("Project", "").rpartition(_STEP)[0],
        chainloop_workflow=values.get("Workflow", "").rpartition(_STEP)[0],
    )
    known = _with_results(job, lines, _log_pages(mail, job))
    if known.needs or known.status:
        return known
    return _guessed(job, lines, mail, attested, signature)


def _started(value: str, attested: Attestation) -> tuple[str, str]:
    """Who or what started the run; one that stands alone is what the evidence knows it to be."""
    actor, bracket, event = value.removesuffix(")").rpartition(" (")
    if bracket:
        return actor, event
    return ("", value) if value == attested_ci_run(attested).event else (value, "")


def _guessed(
    job: Job,
    lines: list[str],
    mail: ReceivedMessage,
    attested: Attestation,
    signature: SignatureCheck | None,
) -> Job:
    """The job with the result that fits the outcome in the header.

    One earlier job makes no table, and is only named where it went wrong.
    """
    text = "\n".join(lines).lower()
    match = re.search(r"^job (.{1,200}?) [a-z]", text, re.MULTILINE)
    tries = [replace(job, status=status) for status in (None, *JobStatus)]
    tries += [
        replace(job, needs=(JobResult(name=name, result=result),))
        for name in (match[1] if match else "", "")
        for result in JobStatus
    ]
    claimed = dict(mail.fields).get("x-chainloop-outcome")
    fitting = None
    for each in tries:
        judged = verdict.judge(attested, each, signature)
        if judged.outcome.value == claimed:
            if not judged.reason or f"{judged.reason.lower()}." in text:
                return each
            # The first that fits is better than none where the reason cannot be found out.
            fitting = fitting or each
    return fitting or job


def _server(mail: ReceivedMessage, path: str) -> str:
    """What stands before the path of the run's page."""
    match = re.search(rf'(https?://[^\s"<>]{{1,300}}?){re.escape(path)}["\s]', _source(mail))
    return match[1] if match else ""


def _log_pages(mail: ReceivedMessage, job: Job) -> list[str]:
    """The links to logs of steps, in the order of the mail, each once."""
    pages = rf'{re.escape(job.run_url)}/job/[0-9]{{1,20}}#step:[0-9]{{1,6}}:1(?=["\s])'
    return list(dict.fromkeys(re.findall(pages, _source(mail)))) if job.run_url else []


def _source(mail: ReceivedMessage) -> str:
    return f"{mail.page.source if mail.page else ''}\n{mail.text}"


def _with_results(job: Job, lines: list[str], pages: list[str]) -> Job:
    """The job with what the table of jobs says: results, and the steps at which jobs stopped."""
    name = job.name or ("the run" if job.sender else "this job")
    status: JobStatus | None = None
    needs: list[tuple[int, JobResult, list[FailedStep]]] = []
    own_steps: list[FailedStep] = []
    steps: list[FailedStep] = own_steps
    rest = iter(lines[lines.index("Jobs") + 1 :] if "Jobs" in lines else ())
    for key, value in zip(rest, rest, strict=False):
        row = _ROW.fullmatch(value)
        if row is None:
            break
        if row["result"]:
            result = JobStatus(row["result"])
            number = re.fullmatch(r"earlier job ([0-9]{1,6})", key)
            steps = own_steps if key == name else []
            if key == name:
                status = result
            else:
                need = JobResult(name="" if number else key, result=result)
                needs.append((int(number[1]) if number else 0, need, steps))
        if row["step"]:
            url = pages.pop(0) if pages else ""
            steps.append(FailedStep(job=key, name=row["step"], url=url))
    # The table has the failed ones first, and the numbers are those of their order before.
    needs.sort(key=lambda each: each[0])
    return replace(
        job,
        status=status,
        needs=tuple(need for _, need, _ in needs),
        failed_steps=(
            *own_steps,
            *(replace(s, need=n) for n, (_, _, steps) in enumerate(needs) for s in steps),
        ),
    )
