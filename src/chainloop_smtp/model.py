"""The nouns. Frozen values that the stages hand to each other; no behaviour beyond arithmetic.

Everything here is immutable. ``None`` means that the source does not say; an empty string or
tuple means that it says there is nothing. Datetimes are aware and in UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

# --- addresses and options ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailbox:
    """RFC 5322 section 3.4: an addr-spec, with a display name or without.

    Attributes:
        addr_spec: ``local-part@domain``; the domain in its ASCII form (IDNA A-labels).
        name: Display name as a person reads it, unquoted. Empty when there is none.
    """

    addr_spec: str
    name: str = ""

    @property
    def domain(self) -> str:
        """What stands behind the last ``@``."""
        return self.addr_spec.rpartition("@")[2]

    def __str__(self) -> str:
        return f"{self.name} <{self.addr_spec}>" if self.name else self.addr_spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """The six keys of Chainloop's smtp registration schema, validated.

    Attributes:
        from_: Sender; the schema's key is ``from``.
        to: One recipient at least.
        port: TCP port, 1 to 65535. The schema carries it as a string.
        user: Empty only with ``auth: none``.
        password: Never shown: not in a repr, a mail, a log or a summary.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    from_: Mailbox
    to: tuple[Mailbox, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """Chainloop's smtp attachment: what is added when the integration meets a workflow."""

    cc: tuple[Mailbox, ...] = ()


class Tls(StrEnum):
    """How the connection is protected. ``AUTO`` decides by the port."""

    AUTO = "auto"
    STARTTLS = "starttls"
    IMPLICIT = "implicit"
    NONE = "none"


class Auth(StrEnum):
    """SASL mechanism. ``AUTO`` takes the first one that both sides know."""

    AUTO = "auto"
    PLAIN = "plain"
    LOGIN = "login"
    CRAM_MD5 = "cram-md5"
    NONE = "none"


class Require(StrEnum):
    """How many recipients have to be accepted for the step to succeed."""

    ALL = "all"
    ANY = "any"


class EnvValues(StrEnum):
    """What the mail shows of the attested environment variables."""

    SHOW = "show"
    NAMES = "names"
    HIDE = "hide"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transport:
    """How a mail travels to the submission server.

    Attributes:
        tls_ca_file: Path of a PEM bundle to trust besides the system's; empty: the system's only.
        timeout: Seconds for one network step.
        deadline: Seconds for everything that touches the network.
    """

    tls: Tls = Tls.AUTO
    tls_ca_file: str = ""
    auth: Auth = Auth.AUTO
    timeout: float = 30.0
    deadline: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Everything a user may say, validated.

    Attributes:
        attestation: Paths, ``-``, ``https://`` URLs, one a line, or the JSON text itself; empty:
            the run is not attested.
        workflow_run_id: A UUID to ask the ``chainloop`` command for; empty: nothing to ask.
        policy_evaluations: One source of the same forms as ``attestation``; empty: none.
        job_status: None when not said.
        output_dir: Empty: the caller chooses.
    """

    registration: Registration
    attachment: Attachment = Attachment()
    bcc: tuple[Mailbox, ...] = ()
    reply_to: tuple[Mailbox, ...] = ()
    envelope_from: Mailbox | None = None
    attestation: str = field(default="", repr=False)
    workflow_run_id: str = ""
    policy_evaluations: str = field(default="", repr=False)
    job_status: "JobStatus | None" = None
    needs: "tuple[JobResult, ...]" = ()
    env_values: EnvValues = EnvValues.SHOW
    transport: Transport = Transport()
    require: Require = Require.ALL
    fail_on_error: bool = True
    dry_run: bool = False
    output_dir: str = ""

    @property
    def is_success(self) -> bool:
        """Neither this job nor an earlier one is said to have gone otherwise."""
        return self.job_status in (None, JobStatus.SUCCESS) and all(
            need.result is JobStatus.SUCCESS for need in self.needs
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the user handed over, unread.

    Attributes:
        documents: Each about the same run. Empty when the run is not attested.
        policy_evaluations: The bundle that the attestation refers to; None when not given.
    """

    documents: tuple[bytes, ...] = field(default=(), repr=False)
    policy_evaluations: bytes | None = field(default=None, repr=False)


# --- the job that runs us ----------------------------------------------------------------------


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

    @property
    def run_url(self) -> str:
        """Page of the workflow run; empty when it is not known."""
        if not (self.server_url and self.repository and self.run_id):
            return ""
        return f"{self.server_url}/{self.repository}/actions/runs/{self.run_id}"


# --- the attestation ---------------------------------------------------------------------------


class Strategy(StrEnum):
    """Chainloop's policy check blocking strategy of the organisation."""

    ENFORCED = "ENFORCED"
    ADVISORY = "ADVISORY"


class RunState(StrEnum):
    """State of a workflow run, in the words of ``workflow run describe``."""

    IN_PROGRESS = "in progress"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """Chainloop's project version.

    Attributes:
        is_prerelease: None when not said.
        is_being_released: The push marks the version as released. None when not said.
    """

    name: str
    is_prerelease: bool | None = None
    is_being_released: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """The Chainloop workflow (not the CI one). Empty strings: not said."""

    name: str = ""
    id: str = ""
    project: str = ""
    team: str = ""
    organization: str = ""
    version: Version | None = None
    contract_name: str = ""
    contract_revision: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """Where the attestation was crafted.

    Attributes:
        type: Chainloop's enum name, such as ``GITHUB_ACTION``; empty when not said.
        url: The CI run's page; may be anything, so link only ``http`` and ``https``.
        environment: ``managed``, ``self-hosted``, ``unknown``; empty when not said.
        is_authenticated: True when Chainloop checked the runner's OIDC token.
        workflow_file: ``owner/repo/.github/workflows/x.yml@ref``; empty when not said.
    """

    type: str = ""
    url: str = ""
    environment: str = ""
    is_authenticated: bool | None = None
    workflow_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One Chainloop workflow run.

    Attributes:
        id: UUID; empty in a dry run.
        state: None when the source does not say.
        reason: Free text given to ``attestation reset``; empty when none.
        finished_at: None while in progress, or when the source does not say.
    """

    id: str = ""
    state: RunState | None = None
    reason: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def duration(self) -> timedelta | None:
        """None unless both ends are known and in order."""
        if self.started_at is None or self.finished_at is None:
            return None
        lapse = self.finished_at - self.started_at
        return lapse if lapse >= timedelta(0) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """A name and a value; the value may be empty (not set)."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """One piece of evidence (an in-toto resource descriptor, as Chainloop names it).

    Attributes:
        type: Chainloop's enum name; new ones appear with nearly every release.
        value: The string, the image's repository, or the file's name; empty when not set.
        tag: Container images only.
        digest: ``sha256:<hex>``; empty when there is none.
        annotations: The user's own, sorted by name; Chainloop's internal ones are left out.
        is_set: False for a material that the contract wants and nobody added.
        is_output: None when not said.
        is_required: None when not said.
        group: Name of an "at least one of" set; empty when the material is in none.
        is_uploaded: Stored in Chainloop's CAS. None when not said.
    """

    name: str
    type: str = ""
    value: str = ""
    tag: str = ""
    digest: str = ""
    annotations: tuple[Annotation, ...] = ()
    is_set: bool = True
    is_output: bool | None = None
    is_required: bool | None = None
    group: str = ""
    is_uploaded: bool | None = None


class FindingKind(StrEnum):
    """What a structured finding is about."""

    VULNERABILITY = "vulnerability"
    SAST = "sast"
    LICENSE = "license"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The structured half of a violation. Empty strings: not said.

    Attributes:
        id: CVE or GHSA id, rule id, or SPDX licence id.
        severity: In the tool's own word, such as ``CRITICAL``.
        score: CVSS v3 score, or the tool's own scale for SAST; None when not said.
        component: Package or component, without its version.
        location: ``path`` or ``path:line``; SAST only.
        assessment: ``effective_status`` without its prefix, such as ``NOT_AFFECTED``.
    """

    kind: FindingKind
    id: str = ""
    message: str = ""
    severity: str = ""
    score: float | None = None
    component: str = ""
    component_version: str = ""
    fixed_version: str = ""
    location: str = ""
    recommendation: str = ""
    assessment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One violation of one policy.

    Attributes:
        subject: Usually the policy's name.
        message: May be multi-line Markdown.
        is_suppressed: Judged irrelevant; kept for audit, never counted.
    """

    subject: str = ""
    message: str = ""
    is_suppressed: bool = False
    finding: Finding | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One policy evaluated against one material, or against the attestation.

    Attributes:
        material: Name of the material; empty at attestation level.
        is_gate: A violation stops the pipeline.
        skip_reasons: May be empty even when skipped.
    """

    name: str
    material: str = ""
    description: str = ""
    is_gate: bool = False
    is_skipped: bool = False
    skip_reasons: tuple[str, ...] = ()
    violations: tuple[Violation, ...] = ()

    @property
    def active_violations(self) -> tuple[Violation, ...]:
        """Those that count: not suppressed."""
        return tuple(v for v in self.violations if not v.is_suppressed)

    @property
    def suppressed_violations(self) -> tuple[Violation, ...]:
        """Those that do not count."""
        return tuple(v for v in self.violations if v.is_suppressed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """Everything said about policies: the evaluations, or only their counts.

    Attributes:
        evaluations: Empty when none apply, or when they are only referred to.
        reference: ``sha256:<hex>`` of the CAS bundle that holds them; empty when they are inline.
        evaluation_count: How many were evaluated, whether or not we hold them.
        violation_count: Active violations, suppressed ones not counted.
        suppressed_count: None when neither the source nor the evaluations say.
        strategy: None when not said.
        is_bypassed: The bypass flag was given. None when not said.
        is_blocked: Chainloop's own word for it. None when not said.
        has_violations: Active violations exist; may be all that is said of them.
        has_gated_violations: Some gate has an active violation.
    """

    evaluations: tuple[Evaluation, ...] = ()
    reference: str = ""
    evaluation_count: int = 0
    violation_count: int = 0
    passed_count: int = 0
    skipped_count: int = 0
    suppressed_count: int | None = None
    strategy: Strategy | None = None
    is_bypassed: bool | None = None
    is_blocked: bool | None = None
    has_violations: bool = False
    has_gated_violations: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """The ``git.head`` subject of the statement.

    Attributes:
        sha: Full hex.
        verification: The platform's word: ``verified``, ``unverified``, ``unavailable``,
            ``not_applicable``, ``unspecified``; empty when not said.
        is_signed: A signature is recorded with the commit.
        remotes: URLs as git knows them; may be anything.
    """

    sha: str
    author_name: str = ""
    author_email: str = ""
    date: datetime | None = None
    message: str = ""
    verification: str = ""
    is_signed: bool = False
    remotes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """How the envelope was signed, as far as the bundle or the predicate says.

    Attributes:
        is_verified: Chainloop's control plane verified it. None when not said.
        certificate: Subject of the leaf certificate; empty when there is none.
        certificate_issuer: Its issuer.
        certificate_sans: Its subject alternative names.
        key_hint: Hint of the public key that signed it, when it was a key.
        authority: Name of the signing CA in the predicate.
        timestamp_authority: URL; empty when none.
        timestamp_count: RFC 3161 timestamps in the bundle.
        log_indexes: Transparency log entries in the bundle.
        bundle_digests: ``sha256:<hex>`` of the bundle's bytes at hand, and of the compact
            forms that Chainloop stores it in; empty when there is no bundle.
        is_digest_verified: The bundle's bytes at hand hash to the digest claimed. None: no bytes,
            or no claim.
    """

    is_verified: bool | None = None
    certificate: str = ""
    certificate_issuer: str = ""
    certificate_sans: tuple[str, ...] = ()
    key_hint: str = ""
    authority: str = ""
    timestamp_authority: str = ""
    timestamp_count: int = 0
    log_indexes: tuple[str, ...] = ()
    bundle_digests: tuple[str, ...] = ()
    is_digest_verified: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """All that one Chainloop document, or several joined, says of one run.

    Attributes:
        shape: What the input was, in a reader's words, such as ``attestation push -o json``.
        is_recorded: Signed and stored. False for a dry run, for a status before push, and for
            a described run without attestation.
        is_dry_run: None when not said.
        digest: ``sha256:<hex>`` of the stored Sigstore bundle; empty when not said.
        view_url: Page of the attestation in Chainloop's web application; empty when none.
        annotations: Of the run, sorted by name.
        environment: The attested environment variables, sorted by name.
        builder: ``chainloop.dev/cli/<version>@sha256:…``; empty when not said.
        predicate_type: Empty when the source is not a statement.
        bad_material_count: Entries of the predicate that no material could be read from.
    """

    shape: str
    is_recorded: bool
    is_dry_run: bool | None = None
    digest: str = ""
    view_url: str = ""
    run: Run = Run()
    workflow: Workflow = Workflow()
    runner: Runner = Runner()
    materials: tuple[Material, ...] = ()
    bad_material_count: int = 0
    annotations: tuple[Annotation, ...] = ()
    environment: tuple[Annotation, ...] = ()
    policies: Policies = Policies()
    commit: Commit | None = None
    signing: Signing = Signing()
    builder: str = ""
    predicate_type: str = ""


# --- the verdict -------------------------------------------------------------------------------


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The judgement on a run.

    Attributes:
        reason: Why, where the outcome alone does not say: ``not pushed``, ``dry run``,
            ``job build failed``. Empty otherwise.
        policy_status: None when there is no attestation to judge, or when it refers to
            evaluations and says nothing of them.
        missing: Names of required materials that nobody added, and of groups of which
            one was required, such as ``tests (junit or cobertura)``.
    """

    outcome: Outcome
    reason: str = ""
    policy_status: PolicyStatus | None = None
    missing: tuple[str, ...] = ()


# --- the mail and what became of it ------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One composed mail: its envelope (RFC 5321) and its message (RFC 5322).

    Attributes:
        sender: addr-spec of MAIL FROM.
        recipients: addr-specs of RCPT TO: to, cc and bcc, each once.
        message_id: With its angle brackets.
        content: The whole message: 7-bit, CRLF line ends, no line over 998 octets.
        text: The plain text part before its encoding; LF line ends.
        html: The HTML part before its encoding; LF line ends.
        summary: The same facts as Markdown, for the job summary.
    """

    sender: str
    recipients: tuple[str, ...]
    message_id: str
    subject: str
    content: bytes = field(repr=False)
    text: str = field(repr=False)
    html: str = field(repr=False)
    summary: str = field(repr=False, default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One SMTP reply (RFC 5321 section 4.2), safe to print.

    Attributes:
        code: Three digits.
        enhanced: RFC 3463 code such as ``5.1.1``; empty when the server gives none.
        text: Its lines, joined by LF, without codes and without control characters.
    """

    code: int
    enhanced: str = ""
    text: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (str(self.code), self.enhanced, self.text.replace("\n", " "))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A recipient the server did not take, and what it said."""

    recipient: str
    reply: Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of a mail. Nothing accepted means that nobody gets it.

    Attributes:
        reply: The server's answer to the end of the content; None when it got no content.
        tls: Protocol and cipher, such as ``TLSv1.3 TLS_AES_256_GCM_SHA384``; empty: no TLS.
        mechanism: SASL mechanism used; empty: none.
        round_trips: How often the client had to wait for the other side, connecting included.
        duration: Seconds from before the connection to after the last reply.
    """

    accepted: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()
    reply: Reply | None = None
    attempts: int = 1
    server: str = ""
    tls: str = ""
    mechanism: str = ""
    round_trips: int = 0
    duration: float = 0.0


# --- the registration mail ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """Chainloop's description of an integration, with its two schemas."""

    id: str
    version: str
    description: str
    registration_schema: Mapping[str, object]
    attachment_schema: Mapping[str, object]
