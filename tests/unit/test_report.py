"""The JSON report: valid by the schema that is shipped with it, whole, and the same every time."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import release
from builders import (
    JSON,
    bundle,
    cli_describe,
    cli_push,
    dsse,
    encoded,
    evaluation,
    statement,
    unset_material,
    violation,
)
from chainloop_smtp import attestation as parser
from chainloop_smtp.difference import compare
from chainloop_smtp.message.report import SCHEMA, report
from chainloop_smtp.model.attested import (
    Annotation,
    Attestation,
    Commit,
    Evaluation,
    Finding,
    FindingKind,
    Policies,
    Run,
    Violation,
)
from chainloop_smtp.model.facts import Changes, Job, Outcome, Verdict
from chainloop_smtp.model.settings import EnvValues
from states import facts_of

NOW = datetime(2026, 9, 1, 8, 10, 11, tzinfo=UTC)
TEXT = files("chainloop_smtp").joinpath("schemas/report.json").read_text("utf-8")
DESCRIBED: JSON = json.loads(TEXT)

EVALUATIONS = [
    evaluation(
        "licenses", material="sbom", violations=["AGPL", violation("MIT", is_suppressed=True)]
    ),
    evaluation("vex", material="sbom", skip_reasons=["no statements"]),
    evaluation("signed"),
]
STATEMENT = statement(evaluations=EVALUATIONS, annotations={"channel": "stable"})
DOCUMENTS = {
    "push": cli_push(STATEMENT, evaluations=EVALUATIONS),
    "status": cli_push(statement(), is_pushed=False, unset=[unset_material("junit")]),
    "dry run": cli_push(statement(), is_dry_run=True),
    "describe": cli_describe(STATEMENT),
    "describe without attestation": cli_describe(None, state="failed", reason="tests failed"),
    "bundle": bundle(STATEMENT),
    "dsse": dsse(STATEMENT),
    "statement": STATEMENT,
}


def strict(schema: Any) -> Any:
    """The same schema, under which no name may stand that it does not describe."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: strict(each) for name, each in schema.items()}
    return inner | ({"additionalProperties": False} if "properties" in schema else {})


VALIDATOR = jsonschema.Draft202012Validator(
    strict(DESCRIBED), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
)


def reported(
    attestation: Attestation | None = None,
    job: Job = Job(),  # noqa: B008  # frozen
    verdict: Verdict | None = None,
    changes: Changes | None = None,
    env_values: EnvValues = EnvValues.SHOW,
) -> JSON:
    octets = report(facts_of(attestation, job, verdict, changes), env_values)
    assert octets.isascii()
    document: JSON = json.loads(octets, parse_constant=pytest.fail)
    VALIDATOR.validate(document)
    return document


def test_the_schema_is_a_schema_and_describes_everything() -> None:
    jsonschema.Draft202012Validator.check_schema(DESCRIBED)
    assert DESCRIBED["$id"] == SCHEMA

    def undescribed(node: Any, path: str) -> Iterator[str]:
        for name, each in node.get("properties", {}).items():
            if not each.get("description") and "$ref" not in each:
                yield f"{path}/{name}"
            yield from undescribed(each, f"{path}/{name}")

    assert not list(undescribed(DESCRIBED, ""))
    for name, each in DESCRIBED["$defs"].items():
        assert each["description"]
        assert not list(undescribed(each, name))


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_every_kind_of_evidence_makes_a_valid_report(document: JSON) -> None:
    attestation = parser.parse(encoded(document))
    told = reported(attestation)["attestation"]

    assert told["shape"] == attestation.shape
    assert [each["name"] for each in told["materials"]] == [
        each.name for each in attestation.materials
    ]


def test_a_run_without_attestation_makes_a_valid_report() -> None:
    document = reported(None, Job(repository="a/b", server_url="https://ci.test", run_id="7"))

    assert document["attestation"] is None
    assert document["verdict"]["outcome"] == "not-attested"
    assert document["job"]["runUrl"] == "https://ci.test/a/b/actions/runs/7"


def test_what_follows_from_the_facts_is_in_the_report_too() -> None:
    violated = Evaluation(
        name="gate", is_gate=True, violations=(Violation(message="a"), Violation(message="b"))
    )
    attestation = Attestation(
        shape="a test",
        is_recorded=True,
        run=Run(started_at=NOW, finished_at=NOW + timedelta(seconds=90.5)),
        policies=Policies(
            evaluations=(violated, Evaluation(name="x", is_skipped=True), Evaluation(name="y"))
        ),
    )
    told = reported(attestation)["attestation"]

    assert told["run"]["durationSeconds"] == 90.5
    assert told["run"]["finishedAt"] == "2026-09-01T08:11:41.500000Z"
    assert told["policies"]["gatedViolationCount"] == 2
    assert [each["result"] for each in told["policies"]["evaluations"]] == [
        "violated",
        "skipped",
        "passed",
    ]


def test_the_report_says_what_changed_and_since_when() -> None:
    before = parser.parse(encoded(statement()))
    after = parser.parse(encoded(STATEMENT))
    changes = compare(before, after, before=Outcome.PASSED, after=Outcome.VIOLATIONS)
    told = reported(after, changes=changes)["changes"]

    assert told["previous"]["runId"] == before.run.id
    assert [each["policy"] for each in told["introduced"]] == ["licenses"]
    assert told["outcome"] == {"before": "passed", "after": "violations"}


@pytest.mark.parametrize(
    ("env_values", "told"),
    [
        (EnvValues.SHOW, [{"name": "TOKEN", "value": "hidden-value"}]),
        (EnvValues.NAMES, [{"name": "TOKEN", "value": ""}]),
        (EnvValues.HIDE, []),
    ],
)
def test_environment_values_are_in_the_report_only_where_they_are_in_the_mail(
    env_values: EnvValues, told: object
) -> None:
    attestation = Attestation(
        shape="a test",
        is_recorded=True,
        environment=(Annotation(name="TOKEN", value="hidden-value"),),
    )
    document = reported(attestation, env_values=env_values)

    assert document["envValues"] == env_values.value
    assert document["attestation"]["environment"] == told


def test_text_of_others_shows_no_reader_something_else() -> None:
    attestation = Attestation(
        shape="a test", is_recorded=True, commit=Commit(sha="a", message="\u202eabc\x1b[2J\ud800é")
    )

    octets = report(facts_of(attestation), EnvValues.SHOW)

    assert octets.startswith(b'{\n  "schema": "urn:chainloop-smtp:schema:report:1",\n')
    assert octets.endswith(b"\n}\n")
    assert rb'"\u202eabc\u001b[2J\ufffd\u00e9"' in octets


st.register_type_strategy(datetime, st.datetimes(timezones=st.just(UTC)))


@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(
    st.one_of(st.none(), st.from_type(Attestation)),
    st.from_type(Job),
    st.from_type(Verdict),
    st.one_of(st.none(), st.from_type(Changes)),
    st.sampled_from(EnvValues),
)
def test_whatever_the_facts_the_report_is_valid(
    attestation: Attestation | None,
    job: Job,
    verdict: Verdict,
    changes: Changes | None,
    env_values: EnvValues,
) -> None:
    reported(attestation, job, verdict, changes, env_values)


def test_a_score_that_json_does_not_know_is_none() -> None:
    finding = Finding(kind=FindingKind.SAST, score=float("inf"))
    violated = Evaluation(name="a", violations=(Violation(finding=finding),))
    attestation = Attestation(
        shape="a test", is_recorded=True, policies=Policies(evaluations=(violated,))
    )
    told = reported(attestation)["attestation"]["policies"]["evaluations"]

    assert told[0]["violations"][0]["finding"]["score"] is None


def test_a_policy_is_one_group_and_its_findings_stand_once() -> None:
    evaluations = release.evaluations()
    skipped = Evaluation(name="vex", is_skipped=True)
    attestation = Attestation(
        shape="a test", is_recorded=True, policies=Policies(evaluations=(*evaluations, skipped))
    )
    document = reported(attestation)

    assert len(document["attestation"]["policies"]["evaluations"]) == 79
    groups = {each["name"]: each for each in document["policyGroups"]}
    assert {name: each["result"] for name, each in groups.items()} == {
        "sbom-banned-licenses": "violated",
        "vulnerabilities": "violated",
        "artifact-signed": "violated",
        "containers-with-sbom": "violated",
        "sbom-freshness": "passed",
        "source-commit": "passed",
        "slsa-runner": "passed",
        "vex": "skipped",
    }
    gate = groups["vulnerabilities"]
    assert (gate["isGate"], gate["violationCount"], gate["suppressedCount"]) == (True, 6, 0)
    assert gate["severities"] == {"critical": 1, "high": 1}
    assert len(gate["evaluatedMaterials"]) == 24
    assert gate["violatedMaterials"] == ["beacon-sbom", "beacon-sbom-amd64", "beacon-sbom-arm64"]
    assert gate["findings"][0] == {
        "lines": ["CVE-2026-21441 (critical, CVSS 9.8) in openssl 3.0.14-r0, fixed in 3.0.16-r0"],
        "severity": "critical",
        "materials": gate["violatedMaterials"],
        "violationCount": 3,
    }
    assert groups["containers-with-sbom"]["violatedMaterials"] == [""]
    ignored = Violation(message="MIT", is_suppressed=True)
    other = Evaluation(name="licenses", material="sbom", violations=(ignored,))
    (group,) = reported(
        Attestation(shape="a test", is_recorded=True, policies=Policies(evaluations=(other,)))
    )["policyGroups"]
    assert (group["suppressedCount"], group["suppressed"][0]["lines"]) == (1, ["MIT"])
    assert reported()["policyGroups"] == []
