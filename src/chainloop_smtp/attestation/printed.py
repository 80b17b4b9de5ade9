"""What Chainloop's command and its webhook plugin print about one run -> Attestation.

Sources: AttestationStatusResult, WorkflowRunItemFull and WorkflowRunAttestationItem of the
command. What was signed wins over what is printed beside it, so that a run reads the same in each
of its shapes.
"""

from dataclasses import replace

from chainloop_smtp.attestation import joining, materials, policies, predicate, wrapping
from chainloop_smtp.attestation.decoding import decode_text, parse_document
from chainloop_smtp.attestation.fields import PRINT_HINT, Node, excerpt
from chainloop_smtp.model.attested import (
    Annotation,
    Attestation,
    Policies,
    Run,
    Runner,
    RunState,
    Signing,
    Strategy,
    Version,
    Workflow,
)

_DESCRIBED = "workflow run describe -o json"


def read_status(node: Node) -> Attestation:
    """Read the document of ``attestation push -o json``, ``status`` or ``init``.

    Every key but the first two may be missing, as older commands leave them out. It says neither
    the commit, nor when the run finished, nor whether the policy check was bypassed.
    """
    digest, is_pushed, is_dry_run = node.text("digest"), node.flag("isPushed"), node.flag("dryRun")
    run_id = node.text("attestationID")
    if is_pushed is None:
        is_pushed = bool(digest)
    listed, bad_count = materials.read_listed(node.get("materials"))
    # ``status`` and ``init`` only know runs that are neither pushed nor reset.
    state = None if is_pushed or is_dry_run else RunState.IN_PROGRESS
    runner = node.get("runnerContext")
    return Attestation(
        shape="attestation push -o json" if is_pushed else "attestation status -o json",
        # A dry run says that it was pushed, and has no id.
        is_recorded=is_pushed and not is_dry_run and bool(run_id),
        is_dry_run=is_dry_run,
        digest=digest,
        view_url=node.text("attestation_view_url"),
        run=Run(id=run_id, state=state, started_at=node.timestamp("initializedAt")),
        workflow=_read_status_workflow(node.get("workflowMeta")),
        runner=Runner(type=runner.text("RunnerType"), url=runner.text("JobURL")),
        materials=materials.sort_by_contract(listed),
        bad_material_count=bad_count,
        annotations=materials.read_annotations(node.get("annotations")),
        environment=_read_environment(node.get("envVars"), runner.get("EnvVars")),
        policies=_read_status_policies(node),
        signing=Signing(timestamp_authority=node.text("timestamp_authority")),
    )


def _read_environment(contract: Node, runner: Node) -> tuple[Annotation, ...]:
    """Read both sets of variables; where they share a name, the contract's value counts."""
    values = dict(runner.texts()) | dict(contract.texts())
    return tuple(Annotation(name=name, value=value) for name, value in sorted(values.items()))


def _read_status_workflow(node: Node) -> Workflow:
    version = node.get("ProjectVersion")
    return Workflow(
        name=node.text("Name"),
        id=node.text("WorkflowID"),
        project=node.text("Project"),
        team=node.text("Team"),
        organization=node.text("Organization"),
        version=_read_version(version, is_being_released=version.flag("markAsRelease")),
        contract_name=node.text("ContractName"),
        contract_revision=node.text("ContractRevision"),
    )


def _read_version(node: Node, *, is_being_released: bool | None) -> Version | None:
    name = node.text("version")
    is_prerelease = node.flag("prerelease")
    if not name:
        return None
    return Version(name=name, is_prerelease=is_prerelease, is_being_released=is_being_released)


def _read_status_policies(node: Node) -> Policies:
    is_enforced = node.flag("must_block_on_policy_violations")
    strategy = None
    if is_enforced is not None:
        strategy = Strategy.ENFORCED if is_enforced else Strategy.ADVISORY
    counts = policies.read_map(node.get("policy_evaluations"))
    # The flag counts suppressed violations too, so it only tells where none is listed at all.
    is_flagged = bool(node.flag("has_policy_violations"))
    is_listed = any(each.violations for each in counts.evaluations)
    has_violations = counts.has_violations or (is_flagged and not is_listed)
    return replace(counts, strategy=strategy, has_violations=has_violations)


def read_old_push(node: Node) -> Attestation:
    """Read what ``attestation push`` printed until the end of 2024.

    Until May 2024 the envelope was JSON in a string, and there was no status beside it.
    """
    shape = "attestation push -o json (before 2025)"
    envelope = node.get("envelope")
    if isinstance(envelope.value, str):
        envelope = parse_document(envelope.text(), envelope)
    attested = wrapping.read_envelope(envelope, shape)
    digest = node.text("digest")
    # A dry run had no digest, and nothing else told it from a real one.
    attested = replace(attested, digest=digest, is_recorded=bool(digest))
    status_node = node.get("status")
    if not status_node.is_present:
        return attested
    status = read_status(status_node)
    joining.check_same_run(status_node.get("attestationID"), attested)
    return joining.merge(replace(status, shape=shape, is_recorded=bool(digest)), attested)


def read_described_run(node: Node) -> Attestation:
    """Read ``workflow run describe -o json``.

    A run in progress, failed or expired has no attestation. A successful one always has; the
    command leaves it out where the control plane could not load it from its store.
    """
    described = _read_run(node)
    item = node.get("attestation")
    if not item.is_present:
        is_stored = described.run.state is RunState.SUCCESS
        return replace(described, is_recorded=is_stored, is_retrieved=not is_stored)
    attested = read_described_attestation(item, _DESCRIBED)
    joining.check_same_run(node.get("workflowRun").get("id"), attested)
    signing = replace(attested.signing, is_verified=node.flag("verified"))
    return joining.merge(replace(attested, signing=signing), described)


def read_described_attestation(node: Node, shape: str) -> Attestation:
    """Read the described run's ``attestation``."""
    digest = node.text("digest")
    listed, bad_count = materials.read_listed(node.get("materials"))
    described = Attestation(
        shape=shape,
        is_recorded=True,
        digest=digest,
        view_url=node.text("attestation_view_url"),
        materials=materials.sort_by_name(listed),
        bad_material_count=bad_count,
        annotations=materials.read_annotations(node.get("annotations")),
        environment=materials.read_annotations(node.get("envvars")),
        policies=_read_described_policies(node),
    )
    bundle, envelope = node.get("bundle"), node.get("envelope")
    if bundle.is_present:
        raw = bundle.base64()
        document = parse_document(decode_text(raw, bundle), bundle)
        attested = wrapping.read_bundle(document, raw, shape)
    elif envelope.is_present:
        attested = wrapping.read_envelope(envelope, shape)
    else:
        return described
    # A run that the control plane describes is recorded, whatever its statement leaves out.
    attested = replace(attested, is_recorded=True, is_dry_run=None, digest=digest)
    return joining.merge(joining.verify_digest(attested), described)


def _read_run(node: Node) -> Attestation:
    run = node.get("workflowRun")
    workflow = node.get("workflow") if node.get("workflow").is_present else run.get("workflow")
    revision = run.integer("contractRevisionUsed")
    return Attestation(
        shape=_DESCRIBED,
        is_recorded=False,
        run=Run(
            id=run.text("id"),
            state=_STATES.get(run.text("state")),
            reason=run.text("reason"),
            started_at=run.timestamp("createdAt"),
            finished_at=run.timestamp("finishedAt"),
        ),
        workflow=Workflow(
            name=workflow.text("name"),
            id=workflow.text("id"),
            project=workflow.text("project"),
            team=workflow.text("team"),
            # The description always denies `markAsRelease`, so it says nothing.
            version=_read_version(run.get("projectVersion"), is_being_released=None),
            contract_name=workflow.text("contractName"),
            contract_revision="" if revision is None else str(revision),
        ),
        runner=Runner(
            type=_RUNNERS.get(run.text("runnerType"), run.text("runnerType")),
            url=run.text("runURL"),
        ),
        policies=Policies(has_violations=run.text("policyStatus") == "failed"),
    )


def _read_described_policies(node: Node) -> Policies:
    status = node.get("policy_evaluation_status")
    counts = policies.read_map(node.get("policy_evaluations"))
    has_gated, is_blocked = status.flag("has_gated_violations"), status.flag("blocked")
    has_violations = bool(status.flag("has_violations") or has_gated or is_blocked)
    return replace(
        counts,
        strategy=policies.parse_strategy(status.text("strategy")),
        is_bypassed=status.flag("bypassed"),
        is_blocked=is_blocked,
        has_violations=counts.has_violations or has_violations,
        has_gated_violations=counts.has_gated_violations or bool(has_gated),
    )


def read_webhook(node: Node) -> Attestation:
    """Read the body that Chainloop's webhook plugin posts.

    Its ``Hash`` is the envelope's, so it is not the attestation's digest.
    """
    shape = "webhook body"
    kind, data = node.text("Kind"), node.get("Data")
    if kind != "ATTESTATION":
        what = f"the body of Chainloop's webhook plugin for {excerpt(kind)}, a material"
        if kind == "TEST_WEBHOOK":
            what = "the test that Chainloop's webhook plugin posts when it is registered"
        raise node.get("Kind").error(f"this is {what}, not an attestation", PRINT_HINT)
    body = parse_document(decode_text(data.base64(), data), data)
    if (envelope := body.get("Envelope")).is_present:
        attested = wrapping.read_envelope(envelope, shape)
    elif (statement := body.get("Statement")).is_present:
        attested = predicate.read_statement(statement, shape)
    else:
        attested = predicate.read_predicate(body.get("Predicate"), Node(None), shape)
    workflow = node.get("Metadata").get("Workflow")
    run = node.get("Metadata").get("WorkflowRun")
    joining.check_same_run(run.get("ID"), attested)
    metadata = Attestation(
        shape=shape,
        is_recorded=True,
        digest=run.text("AttestationDigest"),
        run=Run(
            id=run.text("ID"),
            state=_STATES.get(run.text("State")),
            started_at=run.timestamp("StartedAt"),
            finished_at=run.timestamp("FinishedAt"),
        ),
        workflow=Workflow(
            name=workflow.text("Name"),
            id=workflow.text("ID"),
            project=workflow.text("Project"),
            team=workflow.text("Team"),
        ),
        runner=Runner(type=run.text("RunnerType"), url=run.text("RunURL")),
    )
    return joining.merge(replace(attested, is_dry_run=None), metadata)


_STATES = {
    **{state.value: state for state in RunState},
    # The control plane's own words, which its plugins receive.
    "initialized": RunState.IN_PROGRESS,
    "error": RunState.FAILED,
}

_RUNNERS = {
    "Unspecified": "RUNNER_TYPE_UNSPECIFIED",
    "GitHub": "GITHUB_ACTION",
    "GitLab": "GITLAB_PIPELINE",
    "Azure Pipeline": "AZURE_PIPELINE",
    "Jenkins Job": "JENKINS_JOB",
    "CircleCI Build": "CIRCLECI_BUILD",
    "Dagger Pipeline": "DAGGER_PIPELINE",
    "TeamCity Pipeline": "TEAMCITY_PIPELINE",
    "Tekton Pipeline": "TEKTON_PIPELINE",
    "Chainloop Sandbox": "CHAINLOOP_SANDBOX",
}
