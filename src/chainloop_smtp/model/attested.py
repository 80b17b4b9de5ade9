"""Evidence, and what it says of one Chainloop run."""

import re
from dataclasses import field
from datetime import datetime, timedelta
from enum import StrEnum

from chainloop_smtp.model.frozen import dataclass

# Chainloop names a material that nobody named by the clock (Crafter.AddMaterialContractFree).
_MADE_UP = re.compile(r"material-\d{10,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The user's evidence as bytes, not parsed yet.

    Attributes:
        documents: About the same run. Empty when no evidence is given.
        previous: Documents about an earlier run. Empty when there is nothing to compare with.
        policy_evaluations: The bundle that the attestation refers to; None when not given.
        absences: Sentences on what is missing and does not fail the run.
        failures: Sentences on what could not be read; the mail about a failed job goes without it.
        is_searched: Chainloop was asked for the runs of this CI run.
        network_seconds: Time spent on URLs and on the ``chainloop`` command.
    """

    documents: tuple[bytes, ...] = field(default=(), repr=False)
    previous: tuple[bytes, ...] = field(default=(), repr=False)
    policy_evaluations: bytes | None = field(default=None, repr=False)
    absences: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    is_searched: bool = False
    network_seconds: float = 0.0


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
        duration = self.finished_at - self.started_at
        return duration if duration >= timedelta(0) else None


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

    @property
    def is_named_by_clock(self) -> bool:
        """Nobody gave it a name, so Chainloop did: ``material-1720782311526704542``."""
        return _MADE_UP.fullmatch(self.name) is not None


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
        reference: ``sha256:<hex>`` of the CAS bundle that holds them, or what else names it;
            empty when they are inline.
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
        is_verified: The Chainloop CLI verified it where it described the run. None when not said.
        certificate: Subject of the leaf certificate; empty when there is none.
        certificate_issuer: Its issuer.
        certificate_sans: Its subject alternative names.
        key_hint: Hint of the public key that signed it, when it was a key.
        authority: Name of the signing CA in the predicate.
        timestamp_authority: URL; empty when none.
        timestamp_count: RFC 3161 timestamps in the bundle.
        log_indexes: Transparency log entries in the bundle.
        bundle_digests: ``sha256:<hex>`` of the bundle's given bytes, and of the compact
            forms that Chainloop stores it in; empty when there is no bundle.
        is_digest_verified: The bundle's given bytes hash to the digest claimed. None: no bytes,
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
class Envelope:
    """What a signature can be verified with: a DSSE envelope, and a bundle's material around it.

    Attributes:
        payload: The statement's very bytes, which are signed together with their type.
        signatures: As the document has them, decoded from base64 once; empty where one is not
            base64.
        certificates: DER, the signer's first; empty when there are none.
        timestamps: DER of RFC 3161 responses; empty where one is not base64.
        evaluations: Policy evaluations beside it whose digest the statement may name as its own.
    """

    payload: bytes = field(repr=False)
    payload_type: str
    signatures: tuple[bytes, ...] = field(repr=False)
    certificates: tuple[bytes, ...] = field(default=(), repr=False)
    timestamps: tuple[bytes, ...] = field(default=(), repr=False)
    evaluations: tuple[Evaluation, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """All that one Chainloop document, or several joined, says of one run.

    Attributes:
        shape: What the input was, in a reader's words, such as ``attestation push -o json``.
        is_recorded: Signed and stored. False for a dry run, for a status before push, and for
            a described run that has no attestation.
        is_retrieved: False where Chainloop recorded the attestation and could not load it when
            it was asked: its materials, policies and signature are not known.
        is_dry_run: None when not said.
        digest: ``sha256:<hex>`` of the stored Sigstore bundle; empty when not said.
        view_url: Page of the attestation in Chainloop's web application; empty when none.
        annotations: Of the run, sorted by name.
        environment: The attested environment variables, sorted by name.
        attested_by: Who the command was logged in as, such as ``API token bdf49c3c-…``, ``user …``;
            empty when not said.
        builder: ``chainloop.dev/cli/<version>@sha256:…``; empty when not said.
        predicate_type: Empty when the source is not a statement.
        bad_material_count: Materials that are listed and could not be read.
        envelope: What was signed, for whoever verifies it; no fact, so neither compared nor in the
            report, nor for templates. None when the source holds no envelope.
    """

    shape: str
    is_recorded: bool
    is_retrieved: bool = True
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
    attested_by: str = ""
    builder: str = ""
    predicate_type: str = ""
    envelope: Envelope | None = field(default=None, repr=False, compare=False)
