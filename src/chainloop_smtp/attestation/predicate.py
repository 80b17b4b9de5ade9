"""An in-toto statement of Chainloop's, or a predicate without one -> Attestation.

Sources: ProvenancePredicateV02 and its retired predecessor v0.1. Everything that came after the
first v0.2 came as an optional key.
"""

from dataclasses import replace

from chainloop_smtp.attestation import materials, policies
from chainloop_smtp.attestation.fields import Node, shown
from chainloop_smtp.errors import AttestationError
from chainloop_smtp.model.attested import (
    Annotation,
    Attestation,
    Commit,
    Policies,
    Run,
    Runner,
    Signing,
    Version,
    Workflow,
)

PREDICATE_TYPE_PREFIX = "chainloop.dev/attestation/"


def read_statement(node: Node, shape: str) -> Attestation:
    """A statement, with protobuf's JSON names or with those of ``-o statement``.

    Args:
        shape: What the input was, in a reader's words.

    Raises:
        AttestationError: It is somebody else's statement, says nothing, or is damaged.
    """
    kind = node.text("predicateType", "predicate_type")
    if not kind.startswith(PREDICATE_TYPE_PREFIX):
        raise _foreign(node, kind)
    predicate = node.get("predicate")
    if not predicate.is_said:
        raise predicate.error(
            "the statement has no predicate, so it says nothing about a run",
            "`chainloop workflow run describe --id RUN-ID -o statement` prints one that does.",
        )
    return _read(predicate, node.get("subject"), shape, kind)


def read_predicate(node: Node, shape: str) -> Attestation:
    """A predicate whose statement is not at hand: nothing is known of commit and outputs."""
    return _read(node, Node(None), shape, "")


def _foreign(node: Node, kind: str) -> AttestationError:
    if not kind:
        return node.error(
            "this in-toto statement has no predicate type, so it is not a Chainloop attestation",
            "`chainloop workflow run describe --id RUN-ID -o statement` prints one that is.",
        )
    return node.get("predicateType", "predicate_type").error(
        f"this is an in-toto statement of type {shown(kind)}, "
        f"not a Chainloop attestation ({PREDICATE_TYPE_PREFIX}...)",
        "Hand over what `chainloop attestation push -o json` printed, "
        "or `chainloop workflow run describe --id RUN-ID -o json`.",
    )


def _read(node: Node, subjects: Node, shape: str, predicate_type: str) -> Attestation:
    metadata = node.get("metadata")
    run_id = metadata.text("workflowRunID")
    # A dry run is attested with an empty run id; a missing one says nothing.
    is_dry_run = not run_id if metadata.get("workflowRunID").is_said else None
    attested, bad_count = materials.read_attested(node, subjects)
    return Attestation(
        shape=shape,
        is_recorded=not is_dry_run,
        is_dry_run=is_dry_run,
        run=Run(
            id=run_id,
            started_at=metadata.moment("initializedAt"),
            finished_at=metadata.moment("finishedAt"),
        ),
        workflow=_workflow(metadata),
        runner=Runner(
            type=node.text("runnerType"),
            url=node.text("runnerURL"),
            environment=node.text("runnerEnvironment"),
            is_authenticated=node.flag("runnerAuthenticated"),
            workflow_file=node.text("runnerWorkflowFilePath"),
        ),
        materials=attested,
        bad_material_count=bad_count,
        annotations=materials.annotations_of(node.get("annotations")),
        environment=tuple(
            Annotation(name=name, value=value) for name, value in sorted(node.get("env").texts())
        ),
        policies=_policies(node),
        commit=_commit(subjects),
        signing=Signing(
            authority=node.text("signingCA"), timestamp_authority=node.text("signingTSA")
        ),
        builder=node.get("builder").text("id"),
        predicate_type=predicate_type,
    )


def _workflow(metadata: Node) -> Workflow:
    version = metadata.text("projectVersion")
    return Workflow(
        name=metadata.text("workflowName") or metadata.text("name"),
        id=metadata.text("workflowID"),
        project=metadata.text("project"),
        team=metadata.text("team"),
        organization=metadata.text("organization"),
        version=Version(name=version, is_prerelease=metadata.flag("projectVersionPrerelease"))
        if version
        else None,
        contract_name=metadata.text("contractName"),
        contract_revision=metadata.text("contractVersion"),
    )


def _commit(subjects: Node) -> Commit | None:
    for subject in subjects.items():
        if subject.text("name") != "git.head":
            continue
        digest, notes = subject.get("digest"), subject.get("annotations")
        return Commit(
            sha=digest.text("sha1") or digest.text("sha256"),
            author_name=notes.text("author.name"),
            author_email=notes.text("author.email"),
            date=notes.moment("date"),
            message=notes.text("message"),
            verification=notes.text("author.verification_status"),
            is_signed=bool(notes.text("signature")),
            remotes=_remotes(notes.get("remotes")),
        )
    return None


def _remotes(node: Node) -> tuple[str, ...]:
    """URLs, ``origin`` first, then by the remotes' names: git's own order is not kept."""
    named = [(remote.text("name"), remote.text("url")) for remote in node.items()]
    return tuple(
        url for name, url in sorted(named, key=lambda one: (one[0] != "origin", one)) if url
    )


def _policies(node: Node) -> Policies:
    violation_count = node.integer("policyViolationsCount") or 0
    evaluation_count = node.integer("policyEvaluationsCount") or 0
    skipped_count = node.integer("policySkippedCount") or 0
    has_gated, is_blocked = node.flag("policyHasGatedViolations"), node.flag("policyAttBlocked")
    has_violations = bool(
        violation_count or node.flag("policyHasViolations") or has_gated or is_blocked
    )
    passed_count = node.integer("policyPassedCount") or 0
    if not passed_count and (not has_violations or violation_count == 1):
        # The count of the passed is younger than that of all: they are the ones that were not
        # skipped, but for the one that the one violation is of.
        passed_count = max(evaluation_count - skipped_count - violation_count, 0)
    said = Policies(
        reference=_reference(node.get("policyEvaluationsRef")),
        evaluation_count=evaluation_count,
        violation_count=violation_count,
        passed_count=passed_count,
        skipped_count=skipped_count,
        suppressed_count=node.integer("policySuppressedCount"),
        strategy=policies.strategy_of(node.text("policyCheckBlockingStrategy")),
        is_bypassed=node.flag("policyBlockBypassEnabled"),
        is_blocked=is_blocked,
        has_violations=has_violations,
        has_gated_violations=bool(has_gated),
    )
    evaluations = policies.read_map(node.get("policyEvaluations", "policy_evaluations"))
    if not evaluations:
        return said
    # The predicate's own counts are younger than inline evaluations, and 0 in old files; only
    # suppressed violations never stand inline. What it says of violations counts all the same.
    told = policies.counted(evaluations)
    return replace(
        told,
        reference=said.reference,
        suppressed_count=said.suppressed_count,
        strategy=said.strategy,
        is_bypassed=said.is_bypassed,
        is_blocked=said.is_blocked,
        has_violations=told.has_violations or said.has_violations,
        has_gated_violations=told.has_gated_violations or said.has_gated_violations,
    )


def _reference(node: Node) -> str:
    """What names the stored evaluations; empty when they are inline, or there are none.

    So far Chainloop gives their SHA-256. That there are some counts even where it does not.
    """
    if not node.is_said:
        return ""
    digests = [f"{name}:{value}" for name, value in node.get("digest").texts() if value]
    sha256 = next((each for each in digests if each.startswith("sha256:")), "")
    return sha256 or next(iter(digests), "") or node.text("uri") or "a name that is not said"
