"""Chainloop's in-toto statement, or a predicate without one -> Attestation.

Sources: ProvenancePredicateV02 and its retired predecessor v0.1. Everything that came after the
first v0.2 came as an optional key.
"""

from dataclasses import replace

from chainloop_smtp.attestation import materials, policies
from chainloop_smtp.attestation.fields import PRINT_HINT, Node, excerpt
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
    """Read a statement, with protobuf's JSON names or with those of ``-o statement``.

    Args:
        shape: What the input is, in a reader's words.

    Raises:
        AttestationError: It is not Chainloop's, has no predicate, or is damaged.
    """
    type_node = node.get("predicateType", "predicate_type")
    predicate_type = type_node.text()
    if not predicate_type:
        raise node.error(
            "this in-toto statement has no predicate type, so it is not a Chainloop attestation",
            "`chainloop workflow run describe --id RUN-ID -o statement` prints one that is.",
        )
    if not predicate_type.startswith(PREDICATE_TYPE_PREFIX):
        raise type_node.error(
            f"this is an in-toto statement of type {excerpt(predicate_type)}, "
            f"not a Chainloop attestation ({PREDICATE_TYPE_PREFIX}...)",
            PRINT_HINT,
        )
    predicate = node.get("predicate")
    if not predicate.is_present:
        raise predicate.error(
            "the statement has no predicate, so it says nothing about a run",
            "`chainloop workflow run describe --id RUN-ID -o statement` prints one that does.",
        )
    subjects = node.get("subject")
    attestation = read_predicate(predicate, subjects, shape)
    return replace(attestation, commit=_read_commit(subjects), predicate_type=predicate_type)


def read_predicate(node: Node, subjects: Node, shape: str) -> Attestation:
    """Read a predicate.

    Args:
        subjects: The statement's. Empty without a statement: outputs are then unknown.
    """
    metadata = node.get("metadata")
    run_id = metadata.text("workflowRunID")
    # A dry run is attested with an empty run id; a missing one says nothing.
    is_dry_run = not run_id if metadata.get("workflowRunID").is_present else None
    attested, bad_count = materials.read_attested(node, subjects)
    return Attestation(
        shape=shape,
        is_recorded=not is_dry_run,
        is_dry_run=is_dry_run,
        run=Run(
            id=run_id,
            started_at=metadata.timestamp("initializedAt"),
            finished_at=metadata.timestamp("finishedAt"),
        ),
        workflow=_read_workflow(metadata),
        runner=Runner(
            type=node.text("runnerType"),
            url=node.text("runnerURL"),
            environment=node.text("runnerEnvironment"),
            is_authenticated=node.flag("runnerAuthenticated"),
            workflow_file=node.text("runnerWorkflowFilePath"),
        ),
        materials=attested,
        bad_material_count=bad_count,
        annotations=materials.read_annotations(node.get("annotations")),
        environment=tuple(
            Annotation(name=name, value=value) for name, value in sorted(node.get("env").texts())
        ),
        policies=_read_policies(node),
        signing=Signing(
            authority=node.text("signingCA"), timestamp_authority=node.text("signingTSA")
        ),
        attested_by=_read_identity(node.get("auth")),
        builder=node.get("builder").text("id"),
    )


def _read_identity(node: Node) -> str:
    """Read the login of the command that attested (Chainloop's ``Auth``): its kind and id."""
    kind = node.text("type")
    words = _IDENTITIES.get(kind, kind.removeprefix("AUTH_TYPE_").replace("_", " ").lower())
    return " ".join(filter(None, (words, node.text("id"))))


def _read_workflow(metadata: Node) -> Workflow:
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


def _read_commit(subjects: Node) -> Commit | None:
    for subject in subjects.items():
        if subject.text("name") != "git.head":
            continue
        digest, annotations = subject.get("digest"), subject.get("annotations")
        return Commit(
            sha=digest.text("sha1") or digest.text("sha256"),
            author_name=annotations.text("author.name"),
            author_email=annotations.text("author.email"),
            date=annotations.timestamp("date"),
            message=annotations.text("message"),
            verification=annotations.text("author.verification_status"),
            is_signed=bool(annotations.text("signature")),
            remotes=_read_remotes(annotations.get("remotes")),
        )
    return None


def _read_remotes(node: Node) -> tuple[str, ...]:
    """Read URLs, ``origin`` first, then by the remotes' names: git's own order is not kept."""
    remotes = [(remote.text("name"), remote.text("url")) for remote in node.items()]
    remotes.sort(key=lambda remote: (remote[0] != "origin", remote))
    return tuple(url for _, url in remotes if url)


def _read_policies(node: Node) -> Policies:
    violation_count = node.integer("policyViolationsCount") or 0
    evaluation_count = node.integer("policyEvaluationsCount") or 0
    skipped_count = node.integer("policySkippedCount") or 0
    passed_count = node.integer("policyPassedCount") or 0
    has_gated, is_blocked = node.flag("policyHasGatedViolations"), node.flag("policyAttBlocked")
    has_violations = bool(
        violation_count or node.flag("policyHasViolations") or has_gated or is_blocked
    )
    if not passed_count and (not has_violations or violation_count == 1):
        # policyPassedCount is younger than the count of all: those passed that were not skipped,
        # except for the one that has the one violation.
        passed_count = max(evaluation_count - skipped_count - violation_count, 0)
    counts = policies.read_map(node.get("policyEvaluations", "policy_evaluations"))
    # The predicate's own counts are younger than inline evaluations, and 0 in old files; only
    # suppressed violations are never inline. Its claims about violations still count.
    if not counts.evaluations:
        counts = Policies(
            evaluation_count=evaluation_count,
            violation_count=violation_count,
            passed_count=passed_count,
            skipped_count=skipped_count,
        )
    return replace(
        counts,
        reference=_read_reference(node.get("policyEvaluationsRef")),
        suppressed_count=node.integer("policySuppressedCount"),
        strategy=policies.parse_strategy(node.text("policyCheckBlockingStrategy")),
        is_bypassed=node.flag("policyBlockBypassEnabled"),
        is_blocked=is_blocked,
        has_violations=counts.has_violations or has_violations,
        has_gated_violations=counts.has_gated_violations or bool(has_gated),
    )


_IDENTITIES = {
    "AUTH_TYPE_UNSPECIFIED": "",
    "AUTH_TYPE_USER": "user",
    "AUTH_TYPE_API_TOKEN": "API token",
    "AUTH_TYPE_FEDERATED": "federated login",
}


def _read_reference(node: Node) -> str:
    """Read what names the stored evaluations; empty when they are inline, or there are none.

    So far Chainloop gives their SHA-256. Without it, the reference still proves that some exist.
    """
    if not node.is_present:
        return ""
    digests = [f"{name}:{value}" for name, value in node.get("digest").texts() if value]
    sha256 = next((each for each in digests if each.startswith("sha256:")), "")
    return sha256 or next(iter(digests), "") or node.text("uri") or "a name that is not said"
