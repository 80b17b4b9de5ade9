"""The facts of one run: its job, the verdict, what changed, and whether an attachment applies."""

from datetime import datetime
from enum import StrEnum

from chainloop_smtp.model.attested import (
    Attestation,
    Commit,
    Material,
    Policies,
    RunState,
    Violation,
    Workflow,
)
from chainloop_smtp.model.checks import SignatureCheck, SignatureStatus
from chainloop_smtp.model.frozen import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRun:
    """A Chainloop run, as ``chainloop workflow run list`` shows it.

    Attributes:
        state: Chainloop's word: ``in progress``, ``success``, ``failed``, ``canceled``, ``expired``
            or ``unspecified``.
        created: None when unknown.
        finished: None while it is in progress; an expired run may have none either.
        url: Of the CI run; empty when unknown.
        workflow: Name; empty when unknown, as is `project`.
    """

    id: str
    state: str
    created: datetime | None
    finished: datetime | None
    url: str
    workflow: str
    project: str


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
class FailedStep:
    """The first step of a job that failed, or was cancelled, as GitHub's API names it.

    Attributes:
        job: As GitHub shows it, such as ``build (3.12)``.
        need: Position of the job in `Job.needs`; None: it is this job, or one of the run that is
            reported on.
        url: Where its log begins; empty when unknown.
    """

    job: str
    name: str
    need: int | None = None
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """The job that sends a mail about another run than its own. Empty strings mean unknown.

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
    """The run that the mail is about, as the runner knows it. Empty strings mean unknown.

    Attributes:
        status: How the job has gone so far; how the run ended, where it is another one.
        name: The job's id in the workflow file; empty where the run is another one.
        sender: The job that sends the mail, where the mail is about another run (an event
            ``workflow_run``); None where it is about the job's own.
        ref: Full git ref, such as ``refs/heads/main`` or ``refs/pull/7/merge``.
        head_ref: Source branch; only in a pull request.
        is_fork: True in a pull request whose head is another repository, and where Dependabot
            started the run: neither gets the repository's secrets.
        ci: Chainloop's name of a CI other than GitHub, such as ``GITLAB_PIPELINE``; else empty.
        url: Page of the run on such a CI. On GitHub, `run_url` follows from server and id.
        chainloop_project: As the inputs name it, where no attestation does.
        chainloop_workflow: The same.
        chainloop_version: The project's version, as ``.chainloop.yml`` names it.
        is_project_from_file: ``chainloop_project`` is that file's, and not an input's.
        failed_steps: Where the jobs that did not go well stopped, as far as it is known.
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
    ci: str = ""
    url: str = ""
    chainloop_project: str = ""
    chainloop_workflow: str = ""
    chainloop_version: str = ""
    is_project_from_file: bool = False
    failed_steps: tuple[FailedStep, ...] = ()

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
            return self.url
        return f"{self.server_url}/{self.repository}/actions/runs/{self.run_id}"


def _results(job: Job) -> tuple[JobStatus, ...]:
    return (*([job.status] if job.status else []), *(need.result for need in job.needs))


class PolicyStatus(StrEnum):
    """Chainloop's six words (policy_status.go)."""

    NOT_APPLICABLE = "NOT_APPLICABLE"
    PASSED = "PASSED"
    SKIPPED = "SKIPPED"
    WARNING = "WARNING"
    BLOCKED = "BLOCKED"
    BYPASSED = "BYPASSED"


class Outcome(StrEnum):
    """What happened, in one word for the reader and for the workflow."""

    PASSED = "passed"
    VIOLATIONS = "violations"
    BLOCKED = "blocked"
    BYPASSED = "bypassed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    NOT_ATTESTED = "not-attested"
    ATTESTED = "attested"


NO_EVIDENCE = "no evidence given"
"""The reason of a verdict on a run of which nothing is known but how its jobs went."""
NOT_FOUND = "no Chainloop run found"
"""The same where Chainloop was asked for the run."""
WRONG_SIGNATURE = "signature does not verify"
"""The reason, before that of the jobs, of a verdict on evidence that is not as it was signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The judgement on a run.

    Attributes:
        reason: Why, where the outcome alone does not say: ``no evidence given``, ``not pushed``,
            ``job build failed``. Empty otherwise.
        where: Goes with a reason that names a job: ``at step Run tests``. Empty when unknown.
        policy_status: None when there is no attestation to judge, or when what is known of it
            does not decide it.
        doubt: Why the evidence may not be about this run, or that it cannot be read, as
            sentences; empty: it looks right.
        missing: Names of required materials that nobody added, and of groups of which
            one was required, such as ``tests (junit or cobertura)``.
    """

    outcome: Outcome
    reason: str = ""
    where: str = ""
    policy_status: PolicyStatus | None = None
    missing: tuple[str, ...] = ()
    doubt: str = ""


class Aspect(StrEnum):
    """What two runs are compared by, besides materials and violations."""

    VIOLATION_COUNT = "violationCount"
    CONTRACT = "contract"
    STRATEGY = "strategy"
    SIGNER = "signer"
    OUTCOME = "outcome"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """One fact of the run that has changed."""

    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """A material with the same name and different content."""

    before: Material
    after: Material


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """An active violation, and where it was found.

    Attributes:
        material: Empty at attestation level.
    """

    policy: str
    material: str
    is_gate: bool
    violation: Violation


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What differs between two attestations of one workflow.

    Attributes:
        previous: The earlier one.
        added: Materials, in the order of the later one.
        removed: Materials, in the order of the earlier one.
        introduced: Violations that the earlier one does not have.
        resolved: Violations that the later one no longer has.
        are_violations_known: False where one of the two only counts its violations.
        violation_count: The two counts; None where they are the same or not said.
        outcome: By the evidence alone, since the earlier job's own result is not in it.
        unchanged: What both say, and say alike.
    """

    previous: Attestation
    added: tuple[Material, ...] = ()
    removed: tuple[Material, ...] = ()
    replaced: tuple[Replacement, ...] = ()
    introduced: tuple[Breach, ...] = ()
    resolved: tuple[Breach, ...] = ()
    are_violations_known: bool = True
    violation_count: Shift | None = None
    contract: Shift | None = None
    strategy: Shift | None = None
    signer: Shift | None = None
    outcome: Shift | None = None
    unchanged: tuple[Aspect, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Nothing changed, as far as the two say."""
        found = (self.added, self.removed, self.replaced, self.introduced, self.resolved)
        shifts = (self.violation_count, self.contract, self.strategy, self.signer, self.outcome)
        return self.are_violations_known and not any(found) and not any(shifts)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What a mail reports of one run: what its job and its evidence say, and the judgement on it.

    Attributes:
        attestation: None when there is none.
        signature: Whether those whom the user trusts have signed the evidence; None where the user
            does not say whom.
        unsigned: What the mail shows and a verified signature does not cover, such as
            ``details of policy evaluations`` or ``material image``.
        changes: What differs from an earlier run; None when nothing was compared.
        now: Aware, in UTC: the date of every mail.
    """

    job: Job
    verdict: Verdict
    attestation: Attestation | None = None
    signature: SignatureCheck | None = None
    unsigned: tuple[str, ...] = ()
    changes: Changes | None = None
    now: datetime

    @property
    def is_success(self) -> bool:
        """Neither the job nor the Chainloop run is known to have failed or been cancelled."""
        state = self.attestation.run.state if self.attestation else None
        ended_badly = (RunState.FAILED, RunState.EXPIRED, RunState.CANCELED)
        return self.job.is_success and state not in ended_badly

    @property
    def policies(self) -> Policies:
        """The attestation's policies; empty without an attestation."""
        return self.attestation.policies if self.attestation else Policies()

    @property
    def workflow(self) -> Workflow:
        """The attested workflow; empty without an attestation."""
        return self.attestation.workflow if self.attestation else Workflow()

    @property
    def commit(self) -> Commit | None:
        """The attested commit; None when there is none."""
        return self.attestation.commit if self.attestation else None

    @property
    def materials(self) -> tuple[Material, ...]:
        """The attestation's materials; empty without an attestation."""
        return self.attestation.materials if self.attestation else ()

    @property
    def is_recorded(self) -> bool:
        """There is an attestation, and it is recorded."""
        return self.attestation is not None and self.attestation.is_recorded

    @property
    def has_wrong_signature(self) -> bool:
        """The evidence is not what somebody trusted has signed."""
        return self.signature is not None and self.signature.status is SignatureStatus.FAILED

    @property
    def is_unverified(self) -> bool:
        """Nothing proves that somebody trusted has signed, and something should.

        A run that failed or was cancelled before it was attested has nothing to be signed.
        """
        if self.signature is None or self.signature.status is SignatureStatus.VERIFIED:
            return False
        is_unfinished = self.verdict.outcome in (Outcome.FAILED, Outcome.CANCELLED)
        return self.has_wrong_signature or self.is_recorded or not is_unfinished


@dataclass(frozen=True, slots=True, kw_only=True)
class Previous:
    """What is known about the run before this one.

    Attributes:
        source: Where that comes from, in a reader's words; or why nothing is known.
        outcome: According to its evidence; None without evidence.
        has_succeeded: Whether its job succeeded; None when that is unknown.
        changes: Between the two attestations; None when they cannot be compared.
    """

    source: str
    outcome: Outcome | None = None
    has_succeeded: bool | None = None
    changes: Changes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether an attachment applies to a run.

    Attributes:
        reason: Why it does not; empty when it does.
        note: For the mail: a condition that could not be checked, and was taken to hold. Empty
            when there is none.
    """

    reason: str = ""
    note: str = ""

    @property
    def applies(self) -> bool:
        """Whether the mail is sent."""
        return not self.reason
