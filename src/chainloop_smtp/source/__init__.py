"""Outside world -> Evidence and Job. The only stage that reads files, URLs, commands and events."""

import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import BinaryIO

from chainloop_smtp import inputfile
from chainloop_smtp.errors import AttestationError, OptionsError, Problem, quoted_path
from chainloop_smtp.inputfile import Unreadable
from chainloop_smtp.model.facts import Job, JobResult, JobStatus
from chainloop_smtp.model.settings import Evidence, Options, Transport
from chainloop_smtp.source import event, paths
from chainloop_smtp.source.templates import templates

__all__ = ["MAX_BYTES", "job", "read", "templates"]

MAX_BYTES = 64 * 1024 * 1024  # what the reader takes
_PATIENCE = 120.0  # seconds for a mail to verify that comes through a pipe
_WRITE_IT = (
    "Write it in the step that pushes: chainloop attestation push -o json > attestation.json."
)
# An output that was never set is `""` in JSON.
_NOTHING = b' \t\r\n"'


def read(options: Options, environ: Mapping[str, str], stdin: BinaryIO) -> Evidence:
    """The evidence that the options name, as bytes; no documents where there is none.

    Where this job or an earlier one did not go well, a file that was never written is what one
    expects, and the mail about the failure matters more than the file: it counts as no evidence.
    So does what cannot be read then, but that is told. The deadline of the options holds for all
    of it together.

    Args:
        environ: For the workspace, and for the ``chainloop`` command, should it be asked.

    Raises:
        AttestationError: It cannot be read, and the jobs went well.
    """
    network = _Network(options.transport)
    failures: list[str] = []

    def read_one(option: str, name: str, *, is_wanted: bool = options.is_success) -> bytes:
        return _read(
            option,
            name,
            is_wanted=is_wanted,
            stdin=stdin,
            network=network,
            workspace=environ.get("GITHUB_WORKSPACE", ""),
        )

    def describe(run_id: str) -> bytes:
        from chainloop_smtp.source import command

        with network:
            return command.describe(run_id, environ, network.left, MAX_BYTES)

    def attempt(read: Callable[[], bytes]) -> bytes:
        try:
            return read()
        except AttestationError as error:
            if options.is_success:
                raise
            failures.append(str(error))
            return b""

    documents = [
        attempt(partial(read_one, "attestation", name)) for name in _names(options.attestation)
    ]
    if options.workflow_run_id:
        documents.append(attempt(partial(describe, options.workflow_run_id)))
    evaluations = None
    if options.policy_evaluations:
        octets = attempt(partial(read_one, "policy-evaluations", options.policy_evaluations))
        evaluations = octets if octets or options.is_success else None
    previous, absences = _previous(
        options.previous_attestation, read_one, is_needed=options.is_success
    )
    return Evidence(
        documents=tuple(document for document in documents if document.strip(_NOTHING)),
        previous=previous,
        policy_evaluations=evaluations,
        absences=absences,
        failures=tuple(failures),
        network_seconds=network.spent,
    )


def mail(name: str, stdin: BinaryIO) -> bytes:
    """A mail as a file; ``-`` is standard input.

    Raises:
        OptionsError: There is none, or it cannot be read.
    """
    try:
        if name == "-":
            return inputfile.read_stream(stdin, MAX_BYTES, _PATIENCE)
        return inputfile.read(name, MAX_BYTES, patience=_PATIENCE)
    except Unreadable as error:
        where = "mail 'standard input'" if name == "-" else f"mail {quoted_path(name)}"
        hint = inputfile.alike(name, "*.eml") if error.missing else error.hint
        raise OptionsError(Problem(where, error.why, hint)) from error


def _previous(
    given: str, read_one: Callable[..., bytes], *, is_needed: bool
) -> tuple[tuple[bytes, ...], tuple[str, ...]]:
    """The documents about an earlier run, and those that are not to be had: the first has none."""
    documents: list[bytes] = []
    absences: list[str] = []
    for name in _names(given):
        try:
            octets = read_one("previous-attestation", name, is_wanted=False)
        except AttestationError as error:
            if "://" not in name and is_needed:
                raise
            absences += map(str, error.problems)
            continue
        if octets.strip():
            documents.append(octets)
        else:
            absences.append(
                f"previous-attestation {quoted_path(_shown(name))}: is not there, or empty"
            )
    return tuple(documents), tuple(absences)


def _shown(name: str) -> str:
    """A source as it may be told: of a URL without what people put tokens into."""
    if "://" not in name:
        return name
    from chainloop_smtp.source import url

    return url.strip_secrets(name)


class _Network:
    """The time that touches the network; waiting for a pipe has as much of its own.

    Attributes:
        spent: Seconds, of all the blocks that were entered with it.
    """

    def __init__(self, transport: Transport) -> None:
        self.timeout = transport.timeout
        self.deadline = transport.deadline
        self.spent = 0.0
        self._started = 0.0

    @property
    def left(self) -> float:
        """Seconds; never none, so that a step can still say that it had too few."""
        return max(self.deadline - self.spent, 0.001)

    def __enter__(self) -> None:
        self._started = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self.spent += time.monotonic() - self._started


def _names(attestation: str) -> tuple[str, ...]:
    """One source or several, one a line; JSON text is one, however many lines it has."""
    if _is_text(attestation):
        return (attestation,)
    return tuple(filter(None, map(str.strip, attestation.splitlines())))


def _is_text(source: str) -> bool:
    """The document itself; what a policy printed may stand before it, or it is in base64."""
    if source.startswith(("{", "[", '"')) or ("{" in source and '"' in source):
        return True
    # No path has so many characters and neither a dot nor a hyphen.
    return re.fullmatch(r"e[wy][A-Za-z0-9+/=\s]{300,}", source) is not None


def _read(
    option: str,
    name: str,
    *,
    is_wanted: bool,
    stdin: BinaryIO,
    network: _Network,
    workspace: str,
) -> bytes:
    """One source: JSON text, standard input, a URL, or a file."""
    if _is_text(name):
        return name.encode("utf-8", "surrogatepass")
    if "://" in name:
        # Imported here: it is dear, and most evidence lies in the workspace.
        from chainloop_smtp.source import url

        with network:
            return url.fetch(option, name, network.timeout, network.left, MAX_BYTES)
    where = f"{option} {quoted_path('standard input' if name == '-' else name)}"
    try:
        if name == "-":
            return inputfile.read_stream(stdin, MAX_BYTES, network.deadline)
        return paths.read(name, workspace, MAX_BYTES, patience=network.deadline)
    except Unreadable as error:
        if error.missing and not is_wanted:
            return b""
        hint = error.hint
        if error.missing:
            hint = f"{inputfile.nearby(name, '*attestation*.json')} {_WRITE_IT}".strip()
        raise AttestationError(Problem(where, error.why, hint)) from error


def job(environ: Mapping[str, str], status: JobStatus | None, needs: tuple[JobResult, ...]) -> Job:
    """What the runner says of this job (GitHub's default variables and the event's payload).

    Args:
        environ: Names that are absent leave their fact unknown; so does an event file that cannot
            be read.
    """
    event_name = environ.get("GITHUB_EVENT_NAME", "")
    is_github = environ.get("GITHUB_ACTIONS") == "true"
    own = Job(
        status=status,
        needs=needs,
        name=environ.get("GITHUB_JOB", "") if is_github else "",
        workflow=environ.get("GITHUB_WORKFLOW", ""),
        repository=environ.get("GITHUB_REPOSITORY", ""),
        server_url=environ.get("GITHUB_SERVER_URL", ""),
        run_id=environ.get("GITHUB_RUN_ID", ""),
        run_attempt=environ.get("GITHUB_RUN_ATTEMPT", ""),
        ref=environ.get("GITHUB_REF", ""),
        head_ref=environ.get("GITHUB_HEAD_REF", ""),
        sha=environ.get("GITHUB_SHA", ""),
        actor=environ.get("GITHUB_ACTOR", ""),
        event=event_name,
        is_fork=event.is_fork(event_name, environ),
    )
    return event.about(own, environ)
