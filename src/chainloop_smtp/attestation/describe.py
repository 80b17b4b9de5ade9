"""The document of ``workflow run describe -o json`` -> Attestation.

Source: WorkflowRunItemFull of Chainloop's command. What was signed wins over what the control
plane makes of it, so that a run reads the same whichever way it comes.
"""

from dataclasses import replace

from chainloop_smtp.attestation import decoding, joining, materials, policies, signed
from chainloop_smtp.attestation.fields import Node
from chainloop_smtp.model.attested import (
    Attestation,
    Policies,
    Run,
    Runner,
    RunState,
    Version,
    Workflow,
)

SHAPE = "workflow run describe -o json"


def read(node: Node) -> Attestation:
    """A described run, with its attestation or (in progress, failed, expired) without one."""
    described = _run(node)
    item = node.get("attestation")
    if not item.is_said:
        return described
    attested = read_item(item, SHAPE)
    joining.check_run(node.get("workflowRun").get("id"), attested)
    signing = replace(attested.signing, is_verified=node.flag("verified"))
    return joining.filled(replace(attested, signing=signing), described)


def read_item(node: Node, shape: str) -> Attestation:
    """The described run's ``attestation`` alone.

    Source: WorkflowRunAttestationItem of Chainloop's command.
    """
    digest = node.text("digest")
    described = Attestation(
        shape=shape,
        is_recorded=True,
        digest=digest,
        view_url=node.text("attestation_view_url"),
        materials=materials.by_name(materials.read_listed(node.get("materials"))),
        annotations=materials.annotations_of(node.get("annotations")),
        environment=materials.annotations_of(node.get("envvars")),
        policies=_policies(node),
    )
    bundle, dsse = node.get("bundle"), node.get("envelope")
    if bundle.is_said:
        raw = bundle.octets()
        attested = signed.read_bundle(decoding.parse_bytes(raw, bundle), raw, shape)
    elif dsse.is_said:
        attested = signed.read_envelope(dsse, shape)
    else:
        return described
    # A run that the control plane describes is recorded, whatever its statement leaves out.
    attested = replace(attested, is_recorded=True, is_dry_run=None)
    return joining.filled(signed.checked(attested, digest), described)


def _run(node: Node) -> Attestation:
    run = node.get("workflowRun")
    workflow = node.get("workflow") if node.get("workflow").is_said else run.get("workflow")
    version = run.get("projectVersion")
    version_name = version.text("version")
    revision = run.integer("contractRevisionUsed")
    return Attestation(
        shape=SHAPE,
        is_recorded=False,
        run=Run(
            id=run.text("id"),
            state=STATES.get(run.text("state")),
            reason=run.text("reason"),
            started_at=run.moment("createdAt"),
            finished_at=run.moment("finishedAt"),
        ),
        workflow=Workflow(
            name=workflow.text("name"),
            id=workflow.text("id"),
            project=workflow.text("project"),
            team=workflow.text("team"),
            # The description always denies `markAsRelease`, so it says nothing.
            version=Version(name=version_name, is_prerelease=version.flag("prerelease"))
            if version_name
            else None,
            contract_name=workflow.text("contractName"),
            contract_revision="" if revision is None else str(revision),
        ),
        runner=Runner(
            type=_RUNNERS.get(run.text("runnerType"), run.text("runnerType")),
            url=run.text("runURL"),
        ),
        policies=Policies(has_violations=run.text("policyStatus") == "failed"),
    )


def _policies(node: Node) -> Policies:
    said = node.get("policy_evaluation_status")
    counted = policies.counted(policies.read_map(node.get("policy_evaluations")))
    has_gated, is_blocked = said.flag("has_gated_violations"), said.flag("blocked")
    return replace(
        counted,
        strategy=policies.strategy_of(said.text("strategy")),
        is_bypassed=said.flag("bypassed"),
        is_blocked=is_blocked,
        has_violations=counted.has_violations
        or bool(said.flag("has_violations") or has_gated or is_blocked),
        has_gated_violations=counted.has_gated_violations or bool(has_gated),
    )


STATES = {
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
