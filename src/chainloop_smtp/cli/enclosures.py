"""What the options attach -> the parts of the mail."""

from collections.abc import Callable
from pathlib import Path

from chainloop_smtp import inputfile, message
from chainloop_smtp.cli.run import Run
from chainloop_smtp.errors import OptionsError, Problem, quoted_path
from chainloop_smtp.model.facts import Job
from chainloop_smtp.model.mail import File, Part
from chainloop_smtp.model.settings import Enclosures, Evidence


def enclosed(
    run: Run, wanted: Enclosures, job: Job, evidence: Evidence, report: Callable[[], bytes]
) -> tuple[Part, ...]:
    """The evidence, the report and the files that the options name, ready to be attached.

    The mail about a failed job does not wait for files that the job did not get to write.

    Args:
        report: Makes it, where it is wanted.

    Raises:
        OptionsError: A pattern matches nothing, a file is not to be read, or all is too large.
    """
    if wanted == Enclosures(max_size=wanted.max_size):
        return ()
    # Imported here: most mails carry no files.
    from chainloop_smtp.source import files

    given = _evidence(evidence) if wanted.has_evidence else []
    if wanted.has_evidence and not given:
        run.console.notice("nothing to attach", "There is no attestation that could be attached.")
    if wanted.has_report:
        given.append(File(name=message.REPORT_NAME, content=report()))
    found, unmatched = files.collect(wanted.patterns, run.environ, wanted.max_size, given)
    problems = [
        Problem(f"attach {quoted_path(pattern)}", "matches no file", _hint(pattern))
        for pattern in unmatched
    ]
    if problems and job.is_success:
        raise OptionsError(*problems)
    for problem in problems:
        run.console.warning("nothing to attach", str(problem))
    return message.parts([*given, *found])


def _hint(pattern: str) -> str:
    if "," in pattern:
        return "Commas separate nothing here: write one thing a line."
    name = Path(pattern).name
    hint = inputfile.nearby(pattern, name if name.strip("*?.") else "")
    dot = "A hidden name only matches with its dot."
    return f"{hint} {dot}" if hint else f"Patterns are relative to the workspace. {dot}"


def _evidence(evidence: Evidence) -> list[File]:
    """The documents exactly as they were given."""
    files = [File(name=_name("attestation", each), content=each) for each in evidence.documents]
    if evidence.policy_evaluations:
        name = _name("policy-evaluations", evidence.policy_evaluations)
        files.append(File(name=name, content=evidence.policy_evaluations))
    return files


def _name(stem: str, document: bytes) -> str:
    """With the extension that its first character asks for: a policy may print before the JSON."""
    is_json = document.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"["))
    return f"{stem}.json" if is_json else f"{stem}.txt"
