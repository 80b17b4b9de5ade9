"""The CI job that runs us."""

from enum import StrEnum

from chainloop_smtp.model.values import dataclass


class JobStatus(StrEnum):
    """GitHub's words for how a job ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """One earlier job, as ``toJSON(needs)`` tells it."""

    name: str
    result: JobStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What the runner says of the job that sends the mail. Empty strings: not said.

    Attributes:
        name: The job's id in the workflow file.
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
        """Neither this job nor an earlier one is said to have failed or been cancelled."""
        bad = (JobStatus.FAILURE, JobStatus.CANCELLED)
        return self.status not in bad and all(need.result not in bad for need in self.needs)

    @property
    def run_url(self) -> str:
        """Page of the workflow run; empty when it is not known."""
        if not (self.server_url and self.repository and self.run_id):
            return ""
        return f"{self.server_url}/{self.repository}/actions/runs/{self.run_id}"
