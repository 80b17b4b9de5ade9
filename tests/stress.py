"""Mails of runs that ask a lot of a layout: too much, too long, too foreign, or hostile."""

from dataclasses import replace
from functools import cache

from chainloop_smtp.model.attested import (
    Annotation,
    Attestation,
    Commit,
    Evaluation,
    Finding,
    FindingKind,
    Material,
    Run,
    Runner,
    Signing,
    Version,
    Violation,
    Workflow,
)
from chainloop_smtp.model.facts import Job, JobResult, JobStatus
from chainloop_smtp.model.mail import Mail
from states import JOB, RECORDED, counted, golden_mails, written

LONG = "x" * 200
WORDS = "a_name_of_" * 20
RIGHT_TO_LEFT = "שם המדיניות שנכשלה בבדיקה של הרישיונות"
CHINESE = "供应链安全策略检查失败的详细说明以及后续处理办法" * 4
EMOJI = "👩🏽‍🚀🏴󠁧󠁢󠁳󠁣󠁴󠁿 e\u0301\u0323\u0308 ﷽ " * 6
HOSTILE = (
    "<script>alert(1)</script>{{ 7*7 }}{% raw %}</td></table>&amp;"
    "\x00\x1b[31m\u202eevil\u2066\u200b"
)
DIGEST = "sha256:" + "0123456789abcdef" * 4


def named(name: str) -> Attestation:
    """Every field says this."""
    violation = Violation(
        subject=name,
        message=f"{name}\n- {name}",
        finding=Finding(
            kind=FindingKind.VULNERABILITY,
            id=name,
            message=name,
            severity=name,
            score=9.8,
            component=name,
            component_version=name,
            fixed_version=name,
            location=name,
            recommendation=name,
            assessment=name,
        ),
    )
    annotations = tuple(Annotation(name=name, value=value) for value in (name, ""))
    return replace(
        RECORDED,
        workflow=Workflow(
            name=name,
            id=name,
            project=name,
            team=name,
            organization=name,
            version=Version(name=name, is_prerelease=True),
            contract_name=name,
            contract_revision=name,
        ),
        run=replace(RECORDED.run, reason=name),
        runner=Runner(type=name, url=name, environment=name, workflow_file=name),
        digest=name,
        view_url=name,
        materials=(
            Material(
                name=name,
                type=name,
                value=name,
                tag=name,
                digest=name,
                annotations=annotations,
                is_output=True,
            ),
            Material(name=name, type=name, is_set=False, is_required=True),
        ),
        policies=counted(
            Evaluation(
                name=name, material=name, description=name, is_gate=True, violations=(violation,)
            ),
            Evaluation(name=name, material=name, description=name, violations=(violation,)),
            Evaluation(name=name, material=name, is_skipped=True, skip_reasons=(name,)),
            Evaluation(name=name),
        ),
        annotations=annotations,
        environment=annotations,
        commit=Commit(
            sha="9c1d4e7f2b8a6035d4e9f1a7c3b5d8e0f2a4b6c8",
            author_name=name,
            author_email=name,
            message=name,
        ),
        signing=Signing(
            certificate=name,
            certificate_issuer=name,
            certificate_sans=(name, name),
            key_hint=name,
            authority=name,
            timestamp_authority=name,
        ),
        builder=name,
    )


def crowd() -> Attestation:
    """60 violations in 20 policies, and 80 materials."""
    evaluations = tuple(
        Evaluation(
            name=f"policy-{number}",
            material=f"material-{number}",
            description="Every component has a licence that is on the list",
            is_gate=number < 4,
            violations=tuple(
                Violation(message=f"component-{number}-{each} 1.{each} is AGPL-3.0-only")
                for each in range(3)
            ),
        )
        for number in range(20)
    )
    return replace(
        RECORDED,
        policies=counted(*evaluations, *(Evaluation(name=f"good-{each}") for each in range(30))),
        materials=tuple(
            Material(
                name=f"material-{number}",
                type="SBOM_CYCLONEDX_JSON",
                value=f"build/reports/sbom-{number}.cdx.json",
                digest=DIGEST,
                annotations=(Annotation(name="component", value="api"),),
                is_output=number % 7 == 0,
            )
            for number in range(80)
        ),
    )


@cache
def mails() -> dict[str, Mail]:
    """The golden states and the ones that ask a lot, by name."""
    job = replace(JOB, needs=(JobResult(name="build", result=JobStatus.SUCCESS),))
    hard = {
        "empty": written(Attestation(shape="", is_recorded=False)),
        "empty-recorded": written(Attestation(shape="", is_recorded=True, run=Run())),
        "nothing-known": written(None),
        "crowd": written(crowd(), job),
        "long": written(named(LONG), job),
        "underscores": written(named(WORDS), job),
        "right-to-left": written(named(RIGHT_TO_LEFT), job),
        "chinese": written(named(CHINESE), job),
        "emoji": written(named(EMOJI), job),
        "hostile": written(named(HOSTILE), replace(JOB, workflow=HOSTILE, name=HOSTILE)),
        "long-job": written(
            None,
            Job(
                status=JobStatus.FAILURE,
                name=LONG,
                workflow=LONG,
                repository=f"lakeside/{LONG}",
                ref=f"refs/heads/{LONG}",
                needs=tuple(JobResult(name=LONG, result=each) for each in JobStatus),
            ),
        ),
    }
    return golden_mails() | hard
