"""The CI job that runs us."""

from enum import StrEnum

from chainloop_smtp.model.values import dataclass


class JobStatus(StrEnum):
    """GitHub's words for how a job, a check or a workflow run ended ("conclusion")."""

    SUCCESS = "success"
    FAILURE = "failure"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    NEUTRAL = "neutral"
    TIMED_OUT = "timed_out"
    ACTION_REQUIRED = "action_required"
    STALE = "stale"
    STARTUP_FAILURE = "startup_failure"

    @property
    def is_failure(self) -> bool:
        """It failed, or does not go on until somebody acts."""
        return self in _FAILURES

    @property
    def is_cancellation(self) -> bool:
        """It was ended, or given up, before it could succeed or fail."""
        return self in _CANCELLATIONS


# As `gh pr checks` counts them, except that it takes what went stale for pending.
_FAILURES = (
    JobStatus.FAILURE,
    JobStatus.TIMED_OUT,
    JobStatus.STARTUP_FAILURE,
    JobStatus.ACTION_REQUIRED,
)
_CANCELLATIONS = (JobStatus.CANCELLED, JobStatus.STALE)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """The result of one earlier job.

    Attributes:
        name: The job's id; empty where only results are given.
    """

    name: str
    result: JobStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """The job that sends a mail about another run than its own. Empty strings: not said.

    Attributes:
        name: The job's id in the workflow file.
        url: Page of its run.
    """

    name: str = ""
    workflow: str = ""
    repository: str = ""
    run_id: str = ""
    run_attempt: str = ""
    event: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What the runner says of the run that the mail is about. Empty strings: not said.

    Attributes:
        status: How the job has gone so far; how the run ended, where it is another one.
        name: The job's id in the workflow file; empty where the run is another one.
        sender: The job that sends the mail, where the mail is about another run (an event
            ``workflow_run``); None where it is about the job's own.
        ref: Full git ref, such as ``refs/heads/main`` or ``refs/pull/7/merge``.
        head_ref: Source branch; only in a pull request.
        is_fork: True in a pull request whose head is another repository, and where Dependabot
            started the run: neither gets the repository's secrets.
        chainloop_project: As the inputs name it, where no attestation does.
        chainloop_workflow: The same.
    """

    status: JobStatus | None = None
    needs: tuple[JobResult, ...] = ()
    name: str = ""
    sender: Sender | None = None
    workflow: str = ""
    repository: str = ""
    server_url: str = ""
    run_id: str = ""
    run_attempt: str = ""
    ref: str = ""
    head_ref: str = ""
    sha: str = ""
    actor: str = ""
    event: str = ""
    is_fork: bool = False
    chainloop_project: str = ""
    chainloop_workflow: str = ""

    @property
    def is_success(self) -> bool:
        """True unless this job is known to have been skipped, or any job to have gone wrong."""
        return self.status is not JobStatus.SKIPPED and not self.has_failed and not self.is_stopped

    @property
    def has_failed(self) -> bool:
        """This job or an earlier one failed."""
        return any(result.is_failure for result in _results(self))

    @property
    def is_stopped(self) -> bool:
        """This job or an earlier one was cancelled."""
        return any(result.is_cancellation for result in _results(self))

    @property
    def run_url(self) -> str:
        """Page of the workflow run; empty when it is not known."""
        if not (self.server_url and self.repository and self.run_id):
            return ""
        return f"{self.server_url}/{self.repository}/actions/runs/{self.run_id}"


def _results(job: Job) -> tuple[JobStatus, ...]:
    return (*([job.status] if job.status else []), *(need.result for need in job.needs))
