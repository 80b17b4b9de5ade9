"""What an attestation says, read from the shapes that people capture first."""

import builders
from chainloop_smtp import attestation


def test_a_push_tells_workflow_run_and_digest() -> None:
    document = builders.cli_push(builders.statement())

    read = attestation.parse(builders.encoded(document))

    assert read.shape == "attestation push -o json"
    assert read.is_recorded
    assert read.run.id == builders.RUN_ID
    assert read.digest == document["digest"]
    assert (read.workflow.organization, read.workflow.project) == ("lakeside", "harbour")
    assert [one.name for one in read.materials] == ["image", "note", "sbom"]


def test_a_described_run_tells_commit_and_state() -> None:
    read = attestation.parse(builders.encoded(builders.cli_describe(builders.statement())))

    assert read.run.state == "success"
    assert read.commit is not None
    assert read.commit.author_name == "Ada Quay"
    assert read.signing.is_digest_verified
