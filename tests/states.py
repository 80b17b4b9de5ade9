"""The runs whose mails are kept as golden ones, any other attestation, and a reader of HTML."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from html.parser import HTMLParser
from typing import Any

from hypothesis import strategies as st

import release
from chainloop_smtp.difference import compare
from chainloop_smtp.message import CleanFacts, compose, compose_registration, parts, render
from chainloop_smtp.model.attested import (
    Annotation,
    Attestation,
    Commit,
    Evaluation,
    Finding,
    FindingKind,
    Material,
    Policies,
    Run,
    Runner,
    RunState,
    Signing,
    Strategy,
    Version,
    Violation,
    Workflow,
)
from chainloop_smtp.model.checks import SignatureCheck, SignatureStatus
from chainloop_smtp.model.facts import (
    Changes,
    FailedStep,
    Job,
    JobResult,
    JobStatus,
    RunFacts,
    Verdict,
)
from chainloop_smtp.model.mail import File, Mail
from chainloop_smtp.model.settings import Attachment, Mailbox, Options, Plugin, Registration
from chainloop_smtp.verdict import judge

NOW = datetime(2026, 3, 12, 9, 47, 5, tzinfo=UTC)
PASSWORD = "never-to-be-seen-1f9b"
OPTIONS = Options(
    registration=Registration(
        host="smtp.example.test",
        port=587,
        user="reports@example.test",
        password=PASSWORD,
        from_=Mailbox(addr_spec="reports@example.test", name="Attestation reports"),
        to=(Mailbox(addr_spec="security@example.test", name="Security, platform"),),
    ),
    attachment=Attachment(cc=(Mailbox(addr_spec="harbour@example.test", name="Häfen"),)),
    bcc=(Mailbox(addr_spec="audit@example.test"),),
)


def written(
    attestation: Attestation | None,
    job: Job = Job(),  # noqa: B008  # frozen
    options: Options = OPTIONS,
    verdict: Verdict | None = None,
    changes: Changes | None = None,
    signature: SignatureCheck | None = None,
    **more: Any,
) -> Mail:
    facts = CleanFacts(facts_of(attestation, job, verdict, changes, signature=signature))
    return compose(render(facts, options, **more), options, message_id="run.1@example.test")


def facts_of(
    attestation: Attestation | None,
    job: Job = Job(),  # noqa: B008  # frozen
    verdict: Verdict | None = None,
    changes: Changes | None = None,
    now: datetime = NOW,
    signature: SignatureCheck | None = None,
) -> RunFacts:
    return RunFacts(
        job=job,
        verdict=verdict or judge(attestation, job, signature),
        attestation=attestation,
        signature=signature,
        changes=changes,
        now=now,
    )


def compared(previous: Attestation, current: Attestation) -> Changes:
    before, after = (judge(each, Job()).outcome for each in (previous, current))
    return compare(previous, current, before=before, after=after)


def counted(*evaluations: Evaluation, **more: Any) -> Policies:
    """Policies with the counts of their evaluations."""
    violated = [each for each in evaluations if each.active_violations]
    skipped = [each for each in evaluations if each.is_skipped and each not in violated]
    return Policies(
        evaluations=evaluations,
        evaluation_count=len(evaluations),
        violation_count=sum(len(each.active_violations) for each in evaluations),
        passed_count=len(evaluations) - len(violated) - len(skipped),
        skipped_count=len(skipped),
        suppressed_count=sum(len(each.suppressed_violations) for each in evaluations),
        has_violations=bool(violated),
        has_gated_violations=any(each.is_gate for each in violated),
        **more,
    )


# --- signatures --------------------------------------------------------------------------------

VERIFIED = SignatureCheck(
    status=SignatureStatus.VERIFIED,
    signer="O=18c3f782-4936-4630-ab8d-20b511366699 (release@lakeside.example)",
    authority="CN=Lakeside Chainloop CA, O=Lakeside Bank",
    method="ECDSA P-256, SHA-256",
    key_fingerprint="sha256:c94e02ab5890b1e031d6b06d844f91f7afedda3eefb16d94ed3cfbf04da94d1c",
    signed_at=datetime(2026, 3, 12, 9, 46, 31, tzinfo=UTC),
    timestamped_at=datetime(2026, 3, 12, 9, 46, 31, tzinfo=UTC),
    timestamp_authority="CN=Lakeside TSA, O=Lakeside Bank",
)
WRONG = SignatureCheck(status=SignatureStatus.FAILED, reason="the payload is not what was signed")
UNCHECKED = SignatureCheck(
    status=SignatureStatus.UNCHECKED, reason="the evidence contains no signature"
)

# --- golden mails ------------------------------------------------------------------------------

JOB = Job(
    status=JobStatus.SUCCESS,
    name="attest",
    workflow="Release",
    repository="lakeside/harbour",
    server_url="https://github.com",
    run_id="13824466511",
    run_attempt="2",
    ref="refs/heads/main",
    sha="9c1d4e7f2b8a6035d4e9f1a7c3b5d8e0f2a4b6c8",
    actor="ada",
    event="push",
)
PASSED = (
    Evaluation(name="image-signed", material="image", is_gate=True),
    Evaluation(name="sbom-complete", material="sbom"),
    Evaluation(name="signed-commit"),
)
SKIPPED = Evaluation(
    name="vex-justified", material="vex", is_skipped=True, skip_reasons=("no statements", "no VEX")
)
ADVISORY = Evaluation(
    name="allowed-licenses",
    material="sbom",
    description="Every licence is on the list.\nThe list is kept by the legal department.",
    violations=(
        Violation(
            subject="allowed-licenses",
            message="AGPL-3.0-only is not on the list",
            finding=Finding(
                kind=FindingKind.LICENSE,
                id="AGPL-3.0-only",
                component="ledgerd",
                component_version="1.8.2",
            ),
        ),
        Violation(subject="allowed-licenses", message="GPL-2.0-only", is_suppressed=True),
    ),
)
GATE = Evaluation(
    name="vulnerability-gate",
    material="sbom",
    description="No known critical vulnerability",
    is_gate=True,
    violations=(
        Violation(
            subject="vulnerability-gate",
            message="CVE-2026-21441",
            finding=Finding(
                kind=FindingKind.VULNERABILITY,
                id="CVE-2026-21441",
                message="Heap overflow in openssl",
                severity="CRITICAL",
                score=9.8,
                component="openssl",
                component_version="3.0.14-r0",
                fixed_version="3.0.16-r0",
                assessment="EXPLOITABLE",
            ),
        ),
        Violation(
            message="Two findings are new:\n\n- `parse.c` line 12\n- `parse.c` line 90",
            finding=Finding(
                kind=FindingKind.SAST,
                id="c/unbounded-write",
                message="Unbounded write",
                severity="HIGH",
                score=7.0,
                location="src/parse.c:12",
            ),
        ),
    ),
)
VULNERABLE = Evaluation(
    name="dependencies-up-to-date",
    material="sbom",
    violations=(
        Violation(
            message="See https://vulnerabilities.example.test/CVE-2026-1 for what it can do.",
            finding=Finding(
                kind=FindingKind.VULNERABILITY,
                id="CVE-2026-1",
                severity="HIGH",
                component="pkg:golang/example.test/quays/ledgerd",
                component_version="v1.8.2",
                fixed_version="v1.9.0",
                recommendation="Pin the module to v1.9.0, and build again.",
            ),
        ),
    ),
)
RECORDED = Attestation(
    shape="workflow run describe -o json",
    is_recorded=True,
    digest="sha256:5d1c0be7f6a94e2b83c7d0195ae6f4b2c8d3e7091f6ab54c20e9d78b31fa6c4e",
    view_url="https://app.chainloop.dev/u/lakeside/workflow-runs/8f14e45f",
    run=Run(
        id="8f14e45f-ceea-467f-a8a4-3d2b1c0a9e8d",
        state=RunState.SUCCESS,
        started_at=datetime(2026, 3, 12, 9, 41, 7, tzinfo=UTC),
        finished_at=datetime(2026, 3, 12, 9, 46, 32, tzinfo=UTC),
    ),
    workflow=Workflow(
        name="build-and-release",
        id="0d6f2a9e-1c34-4c7a-9b1f-6f0f9d8c7b6a",
        project="harbour",
        team="logistics",
        organization="lakeside",
        version=Version(name="2.14.0", is_prerelease=True, is_being_released=False),
        contract_name="release-contract",
        contract_revision="7",
    ),
    runner=Runner(
        type="GITHUB_ACTION",
        url="https://github.com/lakeside/harbour/actions/runs/13824466511",
        environment="managed",
        is_authenticated=True,
    ),
    materials=(
        Material(
            name="image",
            type="CONTAINER_IMAGE",
            value="registry.example.test/harbour",
            tag="2.14.0",
            digest="sha256:264f55a6ff9cec2f4742a9faacc033b29f65c04dd4480e71e23579d484288d61",
            annotations=(Annotation(name="component", value="api"),),
            is_output=True,
        ),
        Material(
            name="sbom",
            type="SBOM_CYCLONEDX_JSON",
            value="sbom.cdx.json",
            digest="sha256:16159bb881eb4ab7eb5d8afc5350b0feeed1e31c0a268e355e74f9ccbe885e0c",
        ),
        Material(name="vex", type="OPENVEX", is_set=False),
    ),
    annotations=(Annotation(name="channel", value="stable"), Annotation(name="ticket", value="")),
    environment=(
        Annotation(name="CI", value="true"),
        Annotation(name="GITHUB_ACTOR", value="ada"),
        Annotation(name="GITHUB_REF", value="refs/heads/main"),
        Annotation(name="RUNNER_NAME", value=""),
    ),
    policies=counted(*PASSED, strategy=Strategy.ADVISORY),
    commit=Commit(
        sha="9c1d4e7f2b8a6035d4e9f1a7c3b5d8e0f2a4b6c8",
        author_name="Ada Quay",
        author_email="ada@example.test",
        message="Read the tide tables once\n\nThey are large.",
        verification="verified",
        is_signed=True,
    ),
    signing=Signing(is_verified=True, key_hint="release-key", timestamp_count=1),
    builder="chainloop.dev/cli/v1.103.0",
)
UNRECORDED = replace(
    RECORDED, is_recorded=False, digest="", view_url="", run=Run(), policies=Policies()
)

# All that Chainloop says of a run whose attestation it cannot load.
NOT_RETRIEVED = Attestation(
    shape=RECORDED.shape,
    is_recorded=True,
    is_retrieved=False,
    run=RECORDED.run,
    workflow=replace(RECORDED.workflow, organization=""),
    runner=Runner(type=RECORDED.runner.type, url=RECORDED.runner.url),
)


def with_policies(*evaluations: Evaluation, **more: Any) -> Attestation:
    return replace(RECORDED, policies=counted(*evaluations, **more))


STATES: dict[str, tuple[Attestation | None, Job, str]] = {
    "passed": (RECORDED, JOB, "Passed"),
    "passed-with-skips": (with_policies(SKIPPED, *PASSED), JOB, "Passed"),
    "all-skipped": (with_policies(SKIPPED, strategy=Strategy.ENFORCED), JOB, "Attested"),
    "in-progress": (
        replace(
            UNRECORDED, run=replace(RECORDED.run, state=RunState.IN_PROGRESS, finished_at=None)
        ),
        JOB,
        "Not attested",
    ),
    "materials-unreadable": (replace(RECORDED, materials=(), bad_material_count=2), JOB, "Passed"),
    "another-runs-evidence": (
        replace(
            RECORDED,
            environment=(
                Annotation(name="GITHUB_REPOSITORY", value=JOB.repository),
                Annotation(name="GITHUB_RUN_ID", value="13824000001"),
            ),
        ),
        JOB,
        "Passed",
    ),
    "violations": (with_policies(ADVISORY, *PASSED), JOB, "Policy violations"),
    "gate-violated": (with_policies(GATE, ADVISORY, *PASSED), JOB, "Policy violations"),
    "blocked-by-gate": (
        with_policies(GATE, ADVISORY, SKIPPED, *PASSED),
        replace(JOB, status=JobStatus.FAILURE),
        "Blocked by gate",
    ),
    "blocked-by-policy": (
        replace(
            with_policies(ADVISORY, VULNERABLE, *PASSED, strategy=Strategy.ENFORCED),
            materials=(
                replace(
                    RECORDED.materials[1],
                    annotations=(
                        Annotation(name="source", value="https://builds.example.test/harbour/sbom"),
                        Annotation(name="tool", value="syft 1.20.0"),
                    ),
                ),
            ),
        ),
        replace(JOB, status=JobStatus.FAILURE),
        "Blocked by policy",
    ),
    "release": (
        replace(
            with_policies(*release.evaluations(), strategy=Strategy.ADVISORY),
            materials=release.materials(),
        ),
        replace(JOB, status=JobStatus.FAILURE),
        "Blocked by gate",
    ),
    "bypassed": (
        replace(
            with_policies(GATE, *PASSED, is_bypassed=True), attested_by="user ada@example.test"
        ),
        JOB,
        "Gate bypassed",
    ),
    "failed": (
        RECORDED,
        replace(
            JOB,
            needs=(
                JobResult(name="build", result=JobStatus.SUCCESS),
                JobResult(name="test", result=JobStatus.FAILURE),
            ),
            failed_steps=(
                FailedStep(
                    job="test (3.12)",
                    name="Run integration tests",
                    need=1,
                    url=f"{JOB.run_url}/job/38671234567#step:6:1",
                ),
            ),
        ),
        "Failed",
    ),
    "cancelled": (None, replace(JOB, status=JobStatus.CANCELLED), "Cancelled"),
    "not-attested": (None, JOB, "Not attested"),
    "materials-missing": (
        replace(
            UNRECORDED,
            materials=(
                *UNRECORDED.materials[:2],
                Material(name="vex", type="OPENVEX", is_set=False, is_required=True),
            ),
        ),
        JOB,
        "Not attested",
    ),
    "attested-without-policies": (replace(RECORDED, policies=Policies()), JOB, "Attested"),
    "not-retrieved": (NOT_RETRIEVED, JOB, "Attested"),
    "policies-by-reference": (
        replace(
            RECORDED,
            policies=Policies(
                reference="sha256:c81e5f3a07d9b264e8f1c50a93d7b6e24f80a1c95d3e7b6201f4c8da5b937e60",
                has_violations=True,
            ),
        ),
        JOB,
        "Policy violations",
    ),
}


EARLIER = replace(
    with_policies(ADVISORY, *PASSED, strategy=Strategy.ADVISORY),
    digest="sha256:1b9d6bcd8f1c4e7a92d05b3e6a7f48c1d2e3f4a5b6c7d8e9f0a1b2c3d4e5f607",
    view_url="https://app.chainloop.dev/u/lakeside/workflow-runs/1b9d6bcd",
    run=replace(
        RECORDED.run,
        id="1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed",
        finished_at=datetime(2026, 3, 11, 9, 12, tzinfo=UTC),
    ),
    workflow=replace(RECORDED.workflow, contract_revision="6"),
    materials=(
        replace(RECORDED.materials[0], digest=f"sha256:{'7e' * 32}"),
        Material(name="coverage", type="JACOCO_XML", value="jacoco.xml", digest="sha256:0c"),
    ),
    signing=Signing(certificate="CN=ci.lakeside.example", certificate_issuer="CN=Lakeside CA"),
)


def registration_mail(name: str = "smtp.example.test", options: Options = OPTIONS) -> Mail:
    plugin = Plugin(
        id="smtp", version="1.0", description="", registration_schema={}, attachment_schema={}
    )
    return compose_registration(
        plugin, name, options, now=NOW, message_id="registration.1@example.test"
    )


@cache
def golden_mails() -> dict[str, Mail]:
    """By name: those of `STATES`, and `OTHERS`."""
    after = with_policies(GATE, SKIPPED, *PASSED, strategy=Strategy.ENFORCED, is_bypassed=False)
    files = [File(name="attestation.json", content=b"{}\n"), File(name="größe.txt", content=b"1")]
    return {
        **{name: written(attestation, job) for name, (attestation, job, _) in STATES.items()},
        "registration": registration_mail(),
        "changed": written(after, JOB, changes=compared(EARLIER, after)),
        "nothing-changed": written(RECORDED, JOB, changes=compared(RECORDED, RECORDED)),
        "attached": written(RECORDED, JOB, enclosed=parts(files)),
        "signature-verified": written(RECORDED, JOB, signature=VERIFIED),
        "signature-failed": written(RECORDED, JOB, signature=WRONG),
        "signature-unchecked": written(RECORDED, JOB, signature=UNCHECKED),
    }


OTHERS = (
    *("registration", "changed", "nothing-changed", "attached"),
    *("signature-verified", "signature-failed", "signature-unchecked"),
)


# --- any attestation ---------------------------------------------------------------------------

HOSTILE = (
    "<script>alert(1)</script>",
    "</td></table><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "' style='background:url(https://evil.test)",
    "{{ 7777*7777 }}",
    "{% raw %}{{ self }}",
    "](javascript:alert(1))",
    "[click](https://evil.test)",
    "![x](https://evil.test/x.png)",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    'https://evil.test/"><script>',
    "https://evil.test/ onclick=alert(1)",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07",
    "\u202eevil\u2066 and \u2069\u202c\ufeff",
    "a\r\nBcc: x@evil.test\r\n\r\nbody",
    "a|b|c",
    "`code` ``` fence",
    "# heading",
    "---",
    "- list",
    "1. list",
    "=====",
    "> quote",
    "<!-- comment -->",
    "<![endif]-->",
    "&lt;b&gt; &#60;",
    "\\",
    "\\|",
    "\x00\x07\x9b31m",
    "\ud800",
    "::error::x",
    "$x^2$",
    "漢字 עברית 😀",
    "x" * 200,
    "",
    " ",
)
hostile = st.one_of(
    st.sampled_from(HOSTILE),
    st.lists(st.sampled_from(HOSTILE), max_size=3).map(" ".join),
    st.text(max_size=30),
)
tame = st.text("abcdefgh-0123456789 /.", min_size=1, max_size=40).filter(
    lambda text: text == " ".join(text.split())
)
moments = st.integers(0, 2_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


def attestations(text: st.SearchStrategy[str]) -> st.SearchStrategy[Attestation]:
    """Attestations with every field drawn, strings from `text`."""
    maybe = st.one_of(st.none(), st.booleans())
    optional = st.one_of(st.just(""), text)
    annotations = st.lists(st.builds(Annotation, name=text, value=optional), max_size=3).map(tuple)
    findings = st.builds(
        Finding,
        kind=st.sampled_from(FindingKind),
        id=optional,
        message=optional,
        severity=optional,
        score=st.one_of(st.none(), st.floats(0, 10)),
        component=optional,
        component_version=optional,
        fixed_version=optional,
        location=optional,
        recommendation=optional,
        assessment=optional,
    )
    violations = st.builds(
        Violation,
        subject=optional,
        message=optional,
        is_suppressed=st.booleans(),
        finding=st.one_of(st.none(), findings),
    )
    evaluations = st.builds(
        Evaluation,
        name=text,
        material=optional,
        description=optional,
        is_gate=st.booleans(),
        is_skipped=st.booleans(),
        skip_reasons=st.lists(text, max_size=2).map(tuple),
        violations=st.lists(violations, max_size=3).map(tuple),
    )
    policies = st.builds(
        lambda several, **more: counted(*several, **more),
        st.lists(evaluations, max_size=4),
        reference=st.one_of(st.just(""), text),
        strategy=st.one_of(st.none(), st.sampled_from(Strategy)),
        is_bypassed=maybe,
        is_blocked=maybe,
    )
    materials = st.builds(
        Material,
        name=text,
        type=optional,
        value=optional,
        tag=optional,
        digest=optional,
        annotations=annotations,
        is_set=st.booleans(),
        is_output=maybe,
        is_required=maybe,
        group=optional,
        is_uploaded=maybe,
    )
    return st.builds(
        Attestation,
        shape=text,
        is_recorded=st.booleans(),
        is_retrieved=st.booleans(),
        is_dry_run=maybe,
        digest=optional,
        view_url=optional,
        run=st.builds(
            Run,
            id=optional,
            state=st.one_of(st.none(), st.sampled_from(RunState)),
            reason=optional,
            started_at=st.one_of(st.none(), moments),
            finished_at=st.one_of(st.none(), moments),
        ),
        workflow=st.builds(
            Workflow,
            name=optional,
            id=optional,
            project=optional,
            team=optional,
            organization=optional,
            version=st.one_of(
                st.none(),
                st.builds(Version, name=optional, is_prerelease=maybe, is_being_released=maybe),
            ),
            contract_name=optional,
            contract_revision=optional,
        ),
        runner=st.builds(
            Runner,
            type=optional,
            url=optional,
            environment=optional,
            is_authenticated=maybe,
            workflow_file=optional,
        ),
        materials=st.lists(materials, max_size=3).map(tuple),
        bad_material_count=st.integers(0, 2),
        annotations=annotations,
        environment=annotations,
        policies=policies,
        commit=st.one_of(
            st.none(),
            st.builds(
                Commit,
                sha=text,
                author_name=optional,
                author_email=optional,
                date=st.one_of(st.none(), moments),
                message=optional,
                verification=optional,
                is_signed=st.booleans(),
                remotes=st.lists(text, max_size=2).map(tuple),
            ),
        ),
        signing=st.builds(
            Signing,
            is_verified=maybe,
            certificate=optional,
            certificate_issuer=optional,
            certificate_sans=st.lists(text, max_size=2).map(tuple),
            key_hint=optional,
            authority=optional,
            timestamp_authority=optional,
            timestamp_count=st.integers(0, 2),
            log_indexes=st.lists(text, max_size=2).map(tuple),
            bundle_digests=st.lists(text, max_size=2).map(tuple),
            is_digest_verified=maybe,
        ),
        attested_by=optional,
        builder=optional,
        predicate_type=optional,
    )


def jobs(text: st.SearchStrategy[str]) -> st.SearchStrategy[Job]:
    optional = st.one_of(st.just(""), text)
    results = st.builds(JobResult, name=text, result=st.sampled_from(JobStatus))
    need = st.one_of(st.none(), st.integers(0, 1))
    steps = st.builds(FailedStep, job=text, name=text, need=need, url=optional)
    return st.builds(
        Job,
        status=st.one_of(st.none(), st.sampled_from(JobStatus)),
        needs=st.lists(results, max_size=2).map(tuple),
        name=optional,
        workflow=optional,
        repository=optional,
        server_url=optional,
        run_id=optional,
        run_attempt=optional,
        ref=optional,
        head_ref=optional,
        sha=optional,
        actor=optional,
        event=optional,
        ci=st.sampled_from(["", "GITLAB_PIPELINE"]),
        url=optional,
        failed_steps=st.lists(steps, max_size=2).map(tuple),
    )


class Html(HTMLParser):
    """What a reader's program makes of the HTML.

    Attributes:
        text: All that is shown, and what it is labelled with.
        elements: Every element with its attributes.
    """

    VOID = frozenset({"meta", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.comments: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)
