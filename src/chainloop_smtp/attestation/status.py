"""The document of ``attestation push -o json``, and of ``status`` and ``init`` -> Attestation.

Source: AttestationStatusResult of Chainloop's command. It says neither the commit, nor when the
run finished, nor whether the policy check was bypassed.
"""

from dataclasses import replace

from chainloop_smtp.attestation import materials, policies
from chainloop_smtp.attestation.fields import Node
from chainloop_smtp.model.attested import (
    Annotation,
    Attestation,
    Policies,
    Run,
    Runner,
    Signing,
    Strategy,
    Version,
    Workflow,
)


def read(node: Node) -> Attestation:
    """A status; every key but the first two may be missing, as older commands leave them out."""
    digest, is_pushed, is_dry_run = node.text("digest"), node.flag("isPushed"), node.flag("dryRun")
    run_id = node.text("attestationID")
    if is_pushed is None:
        is_pushed = bool(digest)
    runner = node.get("runnerContext")
    return Attestation(
        shape="attestation push -o json" if is_pushed else "attestation status -o json",
        # A dry run says that it was pushed, and has no id.
        is_recorded=is_pushed and not is_dry_run and bool(run_id),
        is_dry_run=is_dry_run,
        digest=digest,
        view_url=node.text("attestation_view_url"),
        run=Run(id=run_id, started_at=node.moment("initializedAt")),
        workflow=_workflow(node.get("workflowMeta")),
        runner=Runner(type=runner.text("RunnerType"), url=runner.text("JobURL")),
        materials=materials.in_contract_order(materials.read_listed(node.get("materials"))),
        annotations=materials.annotations_of(node.get("annotations")),
        environment=_environment(node.get("envVars"), runner.get("EnvVars")),
        policies=_policies(node),
        signing=Signing(timestamp_authority=node.text("timestamp_authority")),
    )


def _workflow(node: Node) -> Workflow:
    version = node.get("ProjectVersion")
    name = version.text("version")
    return Workflow(
        name=node.text("Name"),
        id=node.text("WorkflowID"),
        project=node.text("Project"),
        team=node.text("Team"),
        organization=node.text("Organization"),
        version=Version(
            name=name,
            is_prerelease=version.flag("prerelease"),
            is_being_released=version.flag("markAsRelease"),
        )
        if name
        else None,
        contract_name=node.text("ContractName"),
        contract_revision=node.text("ContractRevision"),
    )


def _environment(contract: Node, runner: Node) -> tuple[Annotation, ...]:
    """Both sets of variables; where both know a name, the contract's value stands."""
    names = dict(runner.texts()) | dict(contract.texts())
    return tuple(Annotation(name=name, value=value) for name, value in sorted(names.items()))


def _policies(node: Node) -> Policies:
    is_enforced = node.flag("must_block_on_policy_violations")
    strategy = None
    if is_enforced is not None:
        strategy = Strategy.ENFORCED if is_enforced else Strategy.ADVISORY
    counted = policies.counted(policies.read_map(node.get("policy_evaluations")))
    # It counts suppressed violations too, so it only tells where none is listed at all.
    is_told = bool(node.flag("has_policy_violations"))
    is_listed = any(each.violations for each in counted.evaluations)
    has_violations = counted.has_violations or (is_told and not is_listed)
    return replace(counted, strategy=strategy, has_violations=has_violations)
