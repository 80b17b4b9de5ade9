"""Two sources of one run: together they say more, and they must not contradict each other."""

import json

import pytest

import builders
from chainloop_smtp import attestation
from chainloop_smtp.errors import AttestationError
from chainloop_smtp.model.attested import Annotation, Attestation, RunState
from refusal import Said, error_of

ONE_RUN = "Give two documents of the same run."
VIOLATIONS = [
    builders.violation("CVE", vulnerability={"externalId": "CVE-2026-1"}),
    builders.violation("old", is_suppressed=True),
]
EVALUATIONS = [builders.evaluation("cve", material="sbom", violations=VIOLATIONS)]
STATEMENT = builders.statement(evaluations=EVALUATIONS, environment={"QUAY": "7"})
OTHER_RUN = builders.statement(run_id="00000000-0000-4000-8000-000000000000")


def read(document: object) -> Attestation:
    return attestation.parse(builders.encoded(document))


PUSH = read(
    builders.cli_push(STATEMENT, evaluations=EVALUATIONS, unset=[builders.unset_material("junit")])
)
BUNDLE = attestation.parse(builders.stored_bundle(STATEMENT, material={"publicKey": {"hint": "k"}}))
SAME_BUNDLE = attestation.parse(builders.stored_bundle(STATEMENT))


def test_a_push_and_its_bundle_say_everything_together() -> None:
    joined = attestation.join(PUSH, SAME_BUNDLE)

    assert joined.shape == "attestation push -o json and Sigstore bundle"
    assert joined.digest == PUSH.digest
    assert joined.signing.is_digest_verified is True
    assert joined.commit == SAME_BUNDLE.commit
    assert joined.run.finished_at == SAME_BUNDLE.run.finished_at
    assert joined.builder == SAME_BUNDLE.builder
    assert joined.workflow.version is not None
    assert joined.workflow.version.is_being_released is False
    assert [(one.name, one.is_required, one.is_uploaded) for one in joined.materials] == [
        ("image", True, False),
        ("note", True, False),
        ("sbom", True, True),
        ("junit", True, None),
    ]
    assert joined.policies.suppressed_count == 1
    assert joined.policies.is_bypassed is False


def test_the_order_of_the_two_changes_only_who_is_believed() -> None:
    joined = attestation.join(SAME_BUNDLE, PUSH)

    assert joined.digest == PUSH.digest
    assert joined.signing.is_digest_verified is True
    assert joined.policies == attestation.join(PUSH, SAME_BUNDLE).policies
    assert {one.name for one in joined.materials} == {"image", "note", "sbom", "junit"}


def _forged_push() -> builders.JSON:
    """A push of the same run that says other than what was signed wherever it can."""
    push = builders.cli_push(STATEMENT)
    meta = push["workflowMeta"]
    meta |= {name: f"forged {name}" for name in ("Name", "Team", "Project", "ContractName")}
    meta["ProjectVersion"] |= {"version": "v6.6.6", "prerelease": True}
    push["runnerContext"] |= {"JobURL": "https://reef.example/run", "RunnerType": "REEF"}
    push["runnerContext"]["EnvVars"]["GITHUB_REF"] = "refs/heads/forged"
    push["initializedAt"] = "2020-01-01T00:00:00Z"
    push["must_block_on_policy_violations"] = False
    for material in push["materials"]:
        material |= {"value": "forged", "type": "FORGED", "tag": "forged"}
    return push


@pytest.mark.parametrize("is_push_first", [True, False])
def test_what_an_envelope_says_wins_over_what_is_printed_beside_it(is_push_first: bool) -> None:
    pair = [read(_forged_push()), SAME_BUNDLE]

    joined = attestation.join(*pair) if is_push_first else attestation.join(*reversed(pair))

    shown = repr((joined.workflow, joined.runner, joined.environment, joined.policies.strategy))
    assert "forged" not in shown.lower()
    assert "reef" not in shown.lower()
    assert (joined.run, joined.runner) == (SAME_BUNDLE.run, SAME_BUNDLE.runner)
    assert joined.policies.strategy is SAME_BUNDLE.policies.strategy
    assert {(each.name, each.type, each.value, each.digest) for each in joined.materials} == {
        (each.name, each.type, each.value, each.digest) for each in SAME_BUNDLE.materials
    }
    assert joined.envelope is SAME_BUNDLE.envelope


def test_an_indented_copy_of_the_bundle_is_the_same_bundle() -> None:
    copy = read(builders.bundle(STATEMENT))

    assert attestation.join(PUSH, copy).signing.is_digest_verified is True


@pytest.mark.parametrize("claimant_first", [True, False])
def test_a_bundle_with_other_bytes_than_the_digest_is_an_error_that_names_both(
    claimant_first: bool,
) -> None:
    pair = (PUSH, BUNDLE) if claimant_first else (BUNDLE, PUSH)

    assert error_of(lambda: attestation.join(*pair), AttestationError) == (
        "digest",
        f"`attestation push -o json` says '{PUSH.digest}', `Sigstore bundle` says "
        f"{BUNDLE.signing.bundle_digests[0]} (its bytes): these are not the same run",
        ONE_RUN,
    )


def test_two_digests_are_an_error_that_names_both() -> None:
    described = read(builders.cli_describe(STATEMENT, material={"publicKey": {"hint": "k"}}))

    assert error_of(lambda: attestation.join(PUSH, described), AttestationError) == (
        "digest",
        f"`attestation push -o json` says '{PUSH.digest}', `workflow run describe -o json` says "
        f"'{described.digest}': these are not the same run",
        ONE_RUN,
    )


def test_two_runs_are_an_error_that_names_both() -> None:
    assert error_of(lambda: attestation.join(PUSH, read(OTHER_RUN)), AttestationError) == (
        "run id",
        f"`attestation push -o json` says '{builders.RUN_ID}', `in-toto statement` says "
        "'00000000-0000-4000-8000-000000000000': these are not the same run",
        ONE_RUN,
    )


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"workflowID": "w"}, ("workflow ID", builders.WORKFLOW_ID, "w")),
        ({"workflowID": "", "project": "lagoon"}, ("project", "harbour", "lagoon")),
        ({"workflowID": "", "workflowName": "row"}, ("workflow", "ship", "row")),
    ],
    ids=["id", "project", "name"],
)
def test_dry_runs_of_two_workflows_are_an_error_that_names_both(
    other: builders.JSON, said: tuple[str, str, str]
) -> None:
    """A dry run has neither an id nor a digest to be told by."""
    rehearsed = builders.statement(run_id="")
    push = read(builders.cli_push(STATEMENT, is_dry_run=True))
    assert attestation.join(push, read(rehearsed)).workflow.name == "ship"
    metadata = rehearsed["predicate"]["metadata"] | other
    foreign = builders.statement(run_id="", predicate={"metadata": metadata})

    where, before, after = said
    assert error_of(lambda: attestation.join(push, read(foreign)), AttestationError) == (
        where,
        f"`attestation push -o json` says '{before}', `in-toto statement` says '{after}': "
        "these are not the same run",
        ONE_RUN,
    )


def test_materials_of_one_name_are_joined_by_their_digests() -> None:
    twins = [builders.material("x", value="a"), builders.material("y", value="b")]
    for twin in twins:
        twin["annotations"]["chainloop.material.name"] = "x"
    statement = builders.statement(materials=twins)
    push = builders.cli_push(statement)
    push["materials"].reverse()
    for material in push["materials"]:
        material["value"] = ""

    joined = attestation.join(read(push), read(statement))

    pairs = {(one.value, one.digest) for one in read(statement).materials}
    assert {(one.value, one.digest) for one in joined.materials} == pairs


def test_one_document_twice_is_that_document() -> None:
    assert attestation.join(PUSH, PUSH) == PUSH


def test_bytes_that_were_found_to_be_others_stay_so() -> None:
    document = builders.cli_describe(STATEMENT)
    document["attestation"]["digest"] = f"sha256:{'0' * 64}"
    described = read(document)

    with pytest.raises(AttestationError):
        attestation.join(read(builders.cli_push(STATEMENT)), described)
    joined = attestation.join(described, read(STATEMENT))

    assert joined.signing.is_digest_verified is False


def test_a_value_that_was_not_set_before_the_push_is_taken_from_after() -> None:
    before = builders.cli_push(builders.statement(annotations={"stage": ""}), is_pushed=False)
    after = builders.statement(annotations={"stage": "pier", "tide": "low"})

    joined = attestation.join(read(before), read(after))

    assert joined.annotations == (
        Annotation(name="stage", value="pier"),
        Annotation(name="tide", value="low"),
    )
    assert joined.is_recorded


def test_materials_of_one_name_are_joined_in_their_order() -> None:
    twins = [builders.material("x", value="a"), builders.material("x", value="b")]
    statement = builders.statement(materials=twins)

    joined = attestation.join(read(builders.cli_push(statement)), read(statement))

    assert [(one.value, one.is_required, one.is_uploaded) for one in joined.materials] == [
        ("a", True, True),
        ("b", True, True),
    ]


# --- policy evaluations kept elsewhere -----------------------------------------------------------

STORED = builders.stored_evaluations(EVALUATIONS)
REFERRING = builders.referring(STATEMENT, STORED)


@pytest.mark.parametrize(
    "bundle",
    [
        STORED,
        STORED.replace(b",", b", "),
        builders.encoded(json.loads(STORED)),
        b"\xef\xbb\xbf" + STORED + b"\r\n",
    ],
    ids=["as stored", "with blanks", "indented", "with a mark"],
)
def test_stored_evaluations_take_the_place_of_their_reference(bundle: bytes) -> None:
    told = attestation.with_evaluations(
        attestation.parse(builders.encoded(REFERRING)), bundle
    ).policies

    (evaluation,) = told.evaluations
    assert (evaluation.name, evaluation.material) == ("cve", "sbom")
    assert evaluation.violations[0].finding is not None
    assert evaluation.violations[0].finding.id == "CVE-2026-1"
    assert (told.evaluation_count, told.violation_count, told.suppressed_count) == (1, 1, 1)
    assert told.reference == builders.digest_of(STORED)


def test_stored_evaluations_add_what_inline_ones_leave_out() -> None:
    told = attestation.with_evaluations(
        attestation.parse(builders.encoded(STATEMENT)), STORED
    ).policies

    assert told.suppressed_count == 1


def test_stored_evaluations_of_another_run_are_an_error_that_names_both() -> None:
    other = builders.stored_evaluations([builders.evaluation("other")])

    referring = attestation.parse(builders.encoded(REFERRING))
    assert error_of(lambda: attestation.with_evaluations(referring, other), AttestationError) == (
        "policy-evaluations: $",
        f"hashes to {builders.digest_of(other)}, but `in-toto statement` refers to "
        f"'{builders.digest_of(STORED)}'",
        "`chainloop artifact download --digest` with the second fetches the right one.",
    )


NO_BUNDLE = (
    "policy-evaluations: $",
    "this is not a bundle of policy evaluations",
    "`chainloop artifact download --digest sha256:...` fetches one.",
)


@pytest.mark.parametrize(
    ("bundle", "said"),
    [
        (b'{"a": 1}', NO_BUNDLE),
        (b"[]", NO_BUNDLE),
        (
            b'{"evaluations": [{"name": 3}]}',
            ("policy-evaluations: $.evaluations[0].name", "should be a string, is a number", ""),
        ),
        (
            STORED[:-5],
            (
                "policy-evaluations: $",
                "is not JSON that can be read: the end of a string, array or "
                f"object is missing (line 1, column {len(STORED) - 4})",
                "It is damaged or was cut short. Write it again, with nothing else in it.",
            ),
        ),
    ],
)
def test_something_else_than_stored_evaluations_is_refused(bundle: bytes, said: Said) -> None:
    whole = attestation.parse(builders.encoded(STATEMENT))
    assert error_of(lambda: attestation.with_evaluations(whole, bundle), AttestationError) == said


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        (
            [builders.evaluation("cve", material="sbom")],
            "policy 'cve' on 'sbom' has 0 active violations, they say so and it does not",
        ),
        ([], "policy 'cve' on 'sbom' has 1 active violation, it says so and they do not"),
        (
            [*EVALUATIONS, builders.evaluation("a"), builders.evaluation("b")],
            "policy 'a' on the attestation has 0 active violations, they say so and it does not",
        ),
        (
            [*EVALUATIONS, builders.evaluation("z")],
            "policy 'z' on the attestation has 0 active violations, they say so and it does not",
        ),
        (
            [*EVALUATIONS, *EVALUATIONS],
            "policy 'cve' on 'sbom' has 1 active violation, it says so and they do not",
        ),
    ],
    ids=["passed there", "none", "more of them", "one more", "twice"],
)
@pytest.mark.parametrize("attested", [STATEMENT, builders.cli_push(STATEMENT)], ids=["s", "push"])
def test_stored_evaluations_that_nothing_refers_to_have_to_be_those_at_hand(
    attested: builders.JSON, stored: list[builders.JSON], words: str
) -> None:
    bundle = builders.stored_evaluations(stored)
    assert error_of(
        lambda: attestation.with_evaluations(read(attested), bundle), AttestationError
    ) == (
        "policy-evaluations: $",
        f"these are not the evaluations of `{read(attested).shape}`: {words}",
        "The attestation names no bundle to compare with. Omit policy-evaluations, or "
        "give the bundle of this run.",
    )


@pytest.mark.parametrize("is_first", [True, False])
def test_a_violation_that_one_of_two_documents_leaves_out_is_kept(is_first: bool) -> None:
    passed = [builders.evaluation("cve", material="sbom"), builders.evaluation("more")]
    document = builders.cli_describe(STATEMENT, evaluations=passed)
    push = read(builders.cli_push(STATEMENT, evaluations=passed))
    signed = attestation.parse(builders.stored_bundle(STATEMENT))
    joined = attestation.join(push, signed) if is_first else attestation.join(signed, push)

    for told in (read(document).policies, joined.policies):
        assert told.has_violations
        assert told.violation_count == 1
        assert sum(len(each.active_violations) for each in told.evaluations) == 1


def test_that_a_run_is_in_progress_holds_until_something_later_says_how_it_ended() -> None:
    status = read(builders.cli_push(STATEMENT) | {"isPushed": False, "digest": ""})
    pushed = read(builders.cli_push(STATEMENT))
    open_ = read(builders.cli_describe(None, state="in progress"))

    def state(one: Attestation, other: Attestation) -> RunState | None:
        states = {attestation.join(*pair).run.state for pair in ((one, other), (other, one))}
        (found,) = states
        return found

    assert state(status, open_) is RunState.IN_PROGRESS
    assert state(status, pushed) is None
    assert state(status, read(builders.cli_describe(STATEMENT))) is RunState.SUCCESS
    assert state(status, read(builders.cli_describe(None, state="failed"))) is RunState.FAILED


def test_what_chainloop_could_not_load_comes_from_the_push() -> None:
    described = read(builders.cli_describe(None))
    pushed = read(builders.cli_push(STATEMENT))
    status = read(builders.cli_push(STATEMENT) | {"isPushed": False, "digest": ""})

    for one, other in ((described, pushed), (pushed, described)):
        joined = attestation.join(one, other)
        assert (joined.is_recorded, joined.is_retrieved) == (True, True)
        assert joined.materials == pushed.materials
    joined = attestation.join(described, status)
    assert (joined.is_recorded, joined.is_retrieved) == (True, False)
