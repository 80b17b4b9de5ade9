"""Outside world -> Evidence and Job. The only stage that reads files, URLs, commands and events."""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO

from chainloop_smtp import inputfile
from chainloop_smtp.errors import AttestationError, OptionsError, Problem, quoted_path
from chainloop_smtp.inputfile import UnreadableError
from chainloop_smtp.model.attested import Evidence
from chainloop_smtp.model.facts import Job
from chainloop_smtp.model.settings import Options, RunSelection
from chainloop_smtp.source import paths

MAX_BYTES = 64 * 1024 * 1024  # the parser's own limit
_PATIENCE = 120.0  # seconds for a mail to verify that comes through a pipe
_WRITE_HINT = (
    "Write it in the step that pushes: chainloop attestation push -o json > attestation.json."
)
# An output that was never set is `""` in JSON.
_NOTHING = b' \t\r\n"'


def read(
    options: Options, environ: Mapping[str, str], stdin: BinaryIO, job: Job | None = None
) -> Evidence:
    """Read the evidence that the options name; no documents where there is none.

    Where this job or an earlier one did not go well, the mail about the failure matters more than
    the evidence: a file that was never written counts as none, and what cannot be read ends up in
    `Evidence.failures`. The options' deadline holds for all of it together.

    Args:
        environ: For the workspace, and for the ``chainloop`` command.
        job: Its CI run's Chainloop runs are looked for, where the options name none.

    Raises:
        AttestationError: It cannot be read, and the jobs went well.
    """
    reader = _Reader(options, environ, stdin)
    documents: list[bytes] = []
    for name in _split(options.attestation):
        with reader.catch_failures():
            documents.append(reader.read("attestation", name, is_wanted=options.is_success))
    run_ids, is_searched = options.workflow_run_ids, False
    if reader.searches(job):
        with reader.catch_failures():
            run_ids, is_searched = reader.find_runs(job), True
    for run_id in run_ids:
        with reader.catch_failures():
            documents.append(reader.describe(run_id))
    evaluations = None
    if options.policy_evaluations:
        option = "policy-evaluations"
        with reader.catch_failures():
            content = reader.read(option, options.policy_evaluations, is_wanted=options.is_success)
            evaluations = content if content or options.is_success else None
    previous, absences = _read_previous(reader, options)
    return Evidence(
        documents=tuple(document for document in documents if document.strip(_NOTHING)),
        previous=previous,
        policy_evaluations=evaluations,
        absences=absences,
        failures=tuple(reader.failures),
        is_searched=is_searched,
        network_seconds=reader.network_seconds,
    )


def read_message(name: str, stdin: BinaryIO) -> bytes:
    """Read a message in a file; ``-`` is standard input.

    Raises:
        OptionsError: It cannot be read.
    """
    try:
        if name == "-":
            return inputfile.read_stream(stdin, MAX_BYTES, _PATIENCE)
        return inputfile.read(name, MAX_BYTES, timeout=_PATIENCE)
    except UnreadableError as error:
        where = "mail 'standard input'" if name == "-" else f"mail {quoted_path(name)}"
        hint = inputfile.suggest_files(name, "*.eml") if error.missing else error.hint
        raise OptionsError(Problem(where, error.why, hint)) from error


class _Reader:
    """Reads the evidence of one run.

    Attributes:
        failures: What could not be read, where that does not matter.
        network_seconds: Spent on URLs and commands; waiting for a pipe does not count.
    """

    def __init__(self, options: Options, environ: Mapping[str, str], stdin: BinaryIO) -> None:
        self.failures: list[str] = []
        self.network_seconds = 0.0
        self._options = options
        self._environ = environ
        self._stdin = stdin

    @contextmanager
    def catch_failures(self) -> Iterator[None]:
        try:
            yield
        except AttestationError as error:
            if self._options.is_success:
                raise
            self.failures.append(str(error))

    def read(self, option: str, name: str, *, is_wanted: bool) -> bytes:
        """Read one source: JSON text, standard input, a URL, or a file.

        Args:
            is_wanted: A missing file is an error; otherwise it is empty.
        """
        transport = self._options.transport
        if _is_document(name):
            return name.encode("utf-8", "surrogatepass")
        if "://" in name:
            # Imported here: it is slow to load, and most evidence lies in the workspace.
            from chainloop_smtp.source import url

            with self._measure() as seconds_left:
                return url.fetch(option, name, transport.timeout, seconds_left, MAX_BYTES)
        try:
            if name == "-":
                return inputfile.read_stream(self._stdin, MAX_BYTES, transport.deadline)
            workspace = self._environ.get("GITHUB_WORKSPACE", "")
            return paths.read(name, workspace, MAX_BYTES, timeout=transport.deadline)
        except UnreadableError as error:
            if error.missing and not is_wanted:
                return b""
            where = f"{option} {quoted_path('standard input' if name == '-' else name)}"
            hint = error.hint
            if error.missing:
                nearby = inputfile.suggest(name, "*attestation*.json")
                hint = f"{nearby} {_WRITE_HINT}".strip()
            raise AttestationError(Problem(where, error.why, hint)) from error

    def searches(self, job: Job | None) -> bool:
        """Whether Chainloop is asked for the runs of the job's CI run."""
        options = self._options
        if options.run_selection is RunSelection.AUTO:
            return True
        is_unnamed = not (options.attestation or options.workflow_run_ids)
        # Chainloop links a job of GitLab and CircleCI, and not the pipeline that it belongs to.
        is_on_github = job is not None and job.run_url != "" and not job.ci
        if not (is_unnamed and is_on_github and self._environ.get("CHAINLOOP_TOKEN")):
            return False
        from chainloop_smtp.source import command

        return command.is_installed(self._environ)

    def find_runs(self, job: Job | None) -> tuple[str, ...]:
        """Find the ids of the Chainloop runs of the job's CI run, the oldest first."""
        if job is None or not job.run_url or job.ci:
            why = "auto finds the runs of this GitHub run, but this is not a GitHub run"
            raise AttestationError(Problem("workflow-run-id", why, "Give ids, or attestation."))
        from chainloop_smtp.source import command

        with self._measure() as seconds_left:
            # The other half is for describing what is found, and for the mails.
            return command.find_runs(job, self._environ, seconds_left / 2)

    def describe(self, run_id: str) -> bytes:
        from chainloop_smtp.source import command

        with self._measure() as seconds_left:
            return command.describe(run_id, self._environ, seconds_left)

    @contextmanager
    def _measure(self) -> Iterator[float]:
        """Give what is left of the deadline, and count the time that is spent."""
        started = time.monotonic()
        try:
            # Never none, so that a step can still say that it had too few.
            yield max(self._options.transport.deadline - self.network_seconds, 0.001)
        finally:
            self.network_seconds += time.monotonic() - started


def _read_previous(reader: _Reader, options: Options) -> tuple[tuple[bytes, ...], tuple[str, ...]]:
    """Read the documents about an earlier run, and say which are missing: a first run has none."""
    documents: list[bytes] = []
    absences: list[str] = []
    for name in _split(options.previous_attestation):
        try:
            content = reader.read("previous-attestation", name, is_wanted=False)
        except AttestationError as error:
            if "://" not in name and options.is_success:
                raise
            absences += map(str, error.problems)
            continue
        if content.strip():
            documents.append(content)
        else:
            shown = quoted_path(_strip_secrets(name))
            absences.append(f"previous-attestation {shown}: is missing or empty")
    return tuple(documents), tuple(absences)


def _strip_secrets(name: str) -> str:
    if "://" not in name:
        return name
    from chainloop_smtp.source import url

    return url.strip_secrets(name)


def _split(attestation: str) -> tuple[str, ...]:
    """Split into sources, one a line; JSON text is one, however many lines it has."""
    if _is_document(attestation):
        return (attestation,)
    return tuple(filter(None, map(str.strip, attestation.splitlines())))


def _is_document(source: str) -> bool:
    """Whether this is the document itself, maybe after lines of a policy, or in base64."""
    if source.startswith(("{", "[", '"')) or ("{" in source and '"' in source):
        return True
    # No path has so many characters and neither a dot nor a hyphen.
    return re.fullmatch(r"e[wy][A-Za-z0-9+/=\s]{300,}", source) is not None
