"""Inputs -> where the evidence is, and how the jobs went."""

import json
import re

from chainloop_smtp.errors import quoted, quoted_path
from chainloop_smtp.model.facts import JobResult, JobStatus
from chainloop_smtp.options.values import Values

_NEEDS_HINT = "Write needs: ${{ toJSON(needs.*.result) }}, or ${{ toJSON(needs) }} for names too."
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def run_id(values: Values) -> str:
    """``workflow-run-id``: a UUID; empty when not given."""
    given = values.text("workflow-run-id")
    if given and not _UUID.fullmatch(given):
        hint = "It is the attestationID that `chainloop attestation init -o json` prints."
        values.wrong("workflow-run-id", f"{quoted_path(given)} is not a UUID", hint)
    if given and "attestation" in values:
        values.wrong("workflow-run-id", "attestation is given too", "Give one of them.")
    return given


def name(values: Values, which: str) -> str:
    """``project`` or ``workflow``: Chainloop's name of the one that the run is of."""
    given = values.text(which)
    if not given.isprintable():
        values.wrong(which, f"{quoted(given)} is no name", "A name is one line of text.")
    elif any(character in given for character in "*?[]"):
        hint = "Here stands the one that the run is of; globs stand in a configuration file."
        values.wrong(which, f"{quoted(given)} is a glob and no name", hint)
    return given


def job_status(values: Values) -> JobStatus | None:
    """``job-status``; None when not said."""
    return values.word("job-status", JobStatus) if "job-status" in values else None


def needs(values: Values) -> tuple[JobResult, ...]:
    """Results of earlier jobs, with their names where those are given.

    That is GitHub's ``needs`` context, an object of {job id: {result, outputs}}; or the results
    alone, as a JSON array or as words between commas: outputs can be too long for a step.
    """
    text = values.text("needs")
    if text.startswith(("{", "[", '"')):
        try:
            given = json.loads(text)
        except (ValueError, RecursionError):
            values.wrong("needs", "is not JSON", _NEEDS_HINT)
            return ()
    else:
        given = text.replace(",", " ").split()
    if isinstance(given, dict):
        jobs = list(given.items())
    else:
        jobs = [("", job) for job in (given if isinstance(given, list) else [given])]
    results = []
    for name, job in jobs:
        result = job.get("result") if isinstance(job, dict) else None if name else job
        if result in tuple(JobStatus):
            results.append(JobResult(name=name, result=JobStatus(result)))
        elif name:
            why = f"job {quoted(name)} has no result of {', '.join(JobStatus)}"
            values.wrong("needs", why, _NEEDS_HINT)
        else:
            why = f"{quoted(str(result))} is not one of {', '.join(JobStatus)}"
            values.wrong("needs", why, _NEEDS_HINT)
    return tuple(results)
