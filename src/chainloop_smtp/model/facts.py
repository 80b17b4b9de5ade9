"""The facts of one run: its job, the verdict, what changed, and whether an attachment applies."""

import re
from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from chainloop_smtp.model import runners
from chainloop_smtp.model.attested import (
    Attestation,
    Commit,
    Material,
    Policies,
    Violation,
    Workflow,
)
from chainloop_smtp.model.frozen import dataclass
from chainloop_smtp.model.runners import CiRun
from chainloop_smtp.model.signature import SignatureCheck, SignatureStatus

# The address that Chainloop makes on GitHub (crafter/runners/githubaction.go).
_PAGE = re.compile(r"https?://[^/?#]+/([^/?#]+/[^/?#]+)/actions/runs/([0-9]+)(?:[/?#].*)?")
_HOST = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)")
GITHUB_HOST = "github.com"


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


# Evidence is somebody else's text until its signature is verified. So what the runner itself knows
# of the run that it reports is never taken from there.


def attested_ci_run(attestation: Attestation) -> CiRun:
    """Return the CI run that the evidence describes, by the variables of its own CI."""
    variables = {each.name: each.value for each in attestation.environment}
    run = runners.read(attestation.runner.type, variables)
    page = _PAGE.fullmatch(attestation.runner.url)
    repository, run_id = page.groups() if page else ("", "")
    return replace(run, repository=run.repository or repository, run_id=run.run_id or run_id)


def attested_run(attestation: Attestation | None) -> tuple[str, str]:
    """Return repository and id of the CI run that the evidence names, or empty strings."""
    run = attested_ci_run(attestation) if attestation else CiRun()
    return run.repository, run.run_id


def is_page_of(url: str, job: Job) -> bool:
    """Whether the URL is that of the job's GitHub run, as Chainloop writes it.

    On GitHub Enterprise Server, too, Chainloop writes github.com for the host.
    """
    page = _PAGE.fullmatch(url)
    if page is None or url_host(url) not in (GITHUB_HOST, url_host(job.server_url)):
        return False
    repository, run_id = page.groups()
    return repository.lower() == job.repository.lower() and run_id == job.run_id


def is_same_run(attestation: Attestation | None, job: Job) -> bool:
    """Whether the evidence names the run that the job is about, or at least no other one."""
    if is_of_other_ci(attestation, job):
        return False
    repository, run_id = attested_run(attestation)
    if job.ci and not run_id and attestation and runners.is_known(attestation.runner.type):
        return False
    return job.run_id != "" and repository in ("", job.repository) and run_id in ("", job.run_id)


def is_of_other_ci(attestation: Attestation | None, job: Job) -> bool:
    """Whether the evidence comes from another CI than the job."""
    ci = attestation.runner.type if attestation else ""
    return runners.is_known(ci) and job.run_id != "" and ci != (job.ci or runners.GITHUB)


def is_other_run(attestation: Attestation | None, job: Job) -> bool:
    """Whether the evidence names another run of the job's CI than the one that the job is about."""
    if is_of_other_ci(attestation, job):
        return False
    repository, run_id = attested_run(attestation)
    if not (repository and job.repository and job.run_id):
        return False
    return repository.lower() != job.repository.lower() or run_id not in ("", job.run_id)


def ci_run(attestation: Attestation | None, job: Job) -> CiRun:
    """Return branch, commit, actor and event of the CI run: the runner's word, or the evidence's.

    The runner's wins for the run that the job is about.
    """
    known = CiRun(ref=job.ref, head_ref=job.head_ref, sha=job.sha, actor=job.actor, event=job.event)
    if attestation is None:
        return known
    is_same = is_same_run(attestation, job)
    # A runner that knows the commit knows all the rest: what it leaves empty does not exist.
    if is_same and job.sha:
        return known
    attested = attested_ci_run(attestation)
    if is_of_other_ci(attestation, job):
        return attested
    first, second = (known, attested) if is_same else (attested, known)
    return CiRun(
        ref=first.ref or second.ref,
        head_ref=first.head_ref or second.head_ref,
        sha=first.sha or second.sha,
        actor=first.actor or second.actor,
        event=first.event or second.event,
    )


def run_page(attestation: Attestation | None, job: Job) -> str:
    """Return the URL of the CI run, on the job's own server for runs of the job's repository."""
    page = attestation.runner.url if attestation else ""
    if attestation is None or not job.run_url or is_of_other_ci(attestation, job):
        return page or ("" if is_of_other_ci(attestation, job) else job.run_url)
    if job.ci:
        return page or job.run_url
    repository, run_id = attested_run(attestation)
    if repository == job.repository and run_id.isdecimal() and run_id.isascii():
        return f"{job.server_url}/{repository}/actions/runs/{run_id}"
    is_of_github = bool(repository or run_id) or attestation.runner.type == runners.GITHUB
    # Without a page, the evidence of another run has none: the job's own would mislead.
    is_own = is_same_run(attestation, job) and (is_of_github or not page)
    return job.run_url if is_own else page


def url_host(url: str) -> str:
    """Return the host of a URL, in lower case and with its port; empty when it has none."""
    match = _HOST.match(url)
    return match[1].lower() if match else ""


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
