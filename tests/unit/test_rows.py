"""Rows of keys and values: each fact of a run under its name, and none where nothing is known."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chainloop_smtp.message import parts, rows
from chainloop_smtp.message.rows import Fact, Section
from chainloop_smtp.model.attested import (
    Annotation,
    Attestation,
    Commit,
    Policies,
    Run,
    Runner,
    RunState,
    Signing,
    Strategy,
    Version,
    Workflow,
)
from chainloop_smtp.model.facts import FailedStep, Job, JobResult, JobStatus, Sender
from chainloop_smtp.model.mail import File
from chainloop_smtp.model.settings import EnvValues
from states import JOB, NOW, UNCHECKED, VERIFIED, WRONG, facts_of

BARE = Attestation(shape="a test", is_recorded=False)
SENDER = Sender(
    name="mail",
    workflow="Mail reports",
    repository="lakeside/mailer",
    run_id="77",
    url="https://github.com/lakeside/mailer/actions/runs/77",
)


def test_everything_that_is_known_of_a_run_has_its_row() -> None:
    attestation = Attestation(
        shape="a test",
        is_recorded=True,
        digest="sha256:aa",
        run=Run(
            id="8f14e45f",
            state=RunState.SUCCESS,
            reason="all is well",
            started_at=NOW - timedelta(seconds=90),
            finished_at=NOW,
        ),
        workflow=Workflow(
            name="release",
            id="0d6f2a9e",
            project="harbour",
            team="logistics",
            organization="lakeside",
            version=Version(name="2.14.0"),
            contract_name="release-contract",
            contract_revision="7",
        ),
        runner=Runner(
            type="GITHUB_ACTION",
            environment="managed",
            is_authenticated=True,
            workflow_file="lakeside/harbour/.github/workflows/x.yml@refs/heads/main",
        ),
        policies=Policies(strategy=Strategy.ENFORCED, is_bypassed=True),
        commit=Commit(sha="b" * 40),
        bad_material_count=2,
        signing=Signing(is_digest_verified=True),
    )
    job = replace(
        JOB, chainloop_project="quay", chainloop_workflow="deploy", sender=SENDER, sha="a" * 40
    )

    assert rows.run(facts_of(attestation, job)) == (
        Fact("Organization", "lakeside"),
        Fact("Team", "logistics"),
        Fact("Project", "harbour"),
        Fact("Version", "2.14.0"),
        Fact("Workflow", "release"),
        Fact("Workflow ID", "0d6f2a9e", "code"),
        Fact("Contract", "release-contract, revision 7"),
        Fact("Policy strategy", "ENFORCED"),
        Fact("Policy bypass", "requested"),
        Fact("State", "success"),
        Fact("Reason", "all is well"),
        Fact("Started", "12 Mar 2026, 09:45:35 UTC"),
        Fact("Finished", "12 Mar 2026, 09:47:05 UTC (1 min 30 s)"),
        Fact("Runner", "GITHUB_ACTION (managed, authenticated)"),
        Fact("Runner workflow", "lakeside/harbour/.github/workflows/x.yml@refs/heads/main"),
        Fact("Unreadable", "2 entries among the materials"),
        Fact("Run ID", "8f14e45f", "code"),
        Fact("Attestation", "sha256:aa (digest verified)", "code"),
        Fact("Project", "quay (as the step says)"),
        Fact("Workflow", "deploy (as the step says)"),
        Fact("CI workflow", "Release in lakeside/harbour"),
        Fact("CI job", "attest"),
        Fact(
            "CI run",
            "13824466511, attempt 2",
            "",
            "https://github.com/lakeside/harbour/actions/runs/13824466511",
        ),
        Fact("CI commit", "a" * 40, "code"),
        Fact("Mailed by", "job mail of Mail reports, run 77", "", SENDER.url),
    )


@pytest.mark.parametrize("attestation", [None, BARE])
def test_what_is_not_known_has_no_row(attestation: Attestation | None) -> None:
    facts = facts_of(attestation, Job())

    assert rows.run(facts) == rows.commit(facts) == ()
    assert rows.signing(facts) == rows.annotations(attestation) == ()
    for env_values in EnvValues:
        assert rows.environment(attestation, env_values) == ()


def row(key: str, attestation: Attestation | None, job: Job = JOB) -> str:
    """The value under a key in the tables of the commit, the run and the signature."""
    facts = facts_of(attestation, job)
    tables = (*rows.commit(facts), *rows.run(facts), *rows.signing(facts))
    return "; ".join(each.value for each in tables if each.key == key)


@pytest.mark.parametrize(
    ("key", "attestation", "value"),
    [
        (
            "Version",
            replace(
                BARE,
                workflow=Workflow(
                    version=Version(name="2", is_prerelease=True, is_being_released=True)
                ),
            ),
            "2 (released by this run)",
        ),
        (
            "Version",
            replace(BARE, workflow=Workflow(version=Version(name="2", is_prerelease=True))),
            "2 (prerelease)",
        ),
        (
            "Version",
            replace(BARE, workflow=Workflow(version=Version(name="", is_prerelease=True))),
            "",
        ),
        ("Contract", replace(BARE, workflow=Workflow(contract_name="c")), "c"),
        ("Contract", replace(BARE, workflow=Workflow(contract_revision="7")), ""),
        ("Finished", replace(BARE, run=Run(finished_at=NOW)), "12 Mar 2026, 09:47:05 UTC"),
        (
            "Finished",
            replace(BARE, run=Run(started_at=NOW, finished_at=NOW)),
            "12 Mar 2026, 09:47:05 UTC (0.0 s)",
        ),
        (
            "Attestation",
            replace(BARE, digest="sha256:aa", signing=Signing(is_digest_verified=False)),
            "sha256:aa (NOT the digest of the given bundle)",
        ),
        ("Attestation", replace(BARE, digest="sha256:aa"), "sha256:aa"),
        ("Attestation", replace(BARE, signing=Signing(is_digest_verified=True)), ""),
        ("Unreadable", replace(BARE, bad_material_count=1), "1 entry among the materials"),
        ("Runner", replace(BARE, runner=Runner(type="RUNNER_TYPE_UNSPECIFIED")), ""),
        (
            "Runner",
            replace(BARE, runner=Runner(type="RUNNER_TYPE_UNSPECIFIED", environment="self-hosted")),
            "self-hosted",
        ),
        ("Runner", replace(BARE, runner=Runner(type="GITLAB_PIPELINE")), "GITLAB_PIPELINE"),
        (
            "Signed commit",
            replace(BARE, commit=Commit(sha="b", verification="verified")),
            "verified",
        ),
        (
            "Signed commit",
            replace(BARE, commit=Commit(sha="b", verification="unverified", is_signed=True)),
            "not verified",
        ),
        (
            "Signed commit",
            replace(BARE, commit=Commit(sha="b", verification="unavailable")),
            "verification unavailable",
        ),
        ("Signed commit", replace(BARE, commit=Commit(sha="b", is_signed=True)), "signed"),
        ("Signed commit", replace(BARE, commit=Commit(sha="b", verification="unspecified")), ""),
        ("Signature", replace(BARE, is_recorded=True), ""),
        (
            "Signature",
            replace(BARE, signing=Signing(is_verified=True)),
            "verified by the Chainloop CLI",
        ),
        ("Author", replace(BARE, commit=Commit(sha="b", author_name="Ada")), "Ada"),
        (
            "Author",
            replace(BARE, commit=Commit(sha="b", author_name="Ada", author_email="a@b.test")),
            "Ada <a@b.test>",
        ),
        ("Message", replace(BARE, commit=Commit(sha="b", message="one\ntwo\nthree")), "one"),
    ],
)
def test_a_row_says_no_more_than_is_known(key: str, attestation: Attestation, value: str) -> None:
    assert row(key, attestation) == value


@pytest.mark.parametrize(
    ("key", "job", "value"),
    [
        ("Triggered by", Job(sha="b", actor="ada"), "ada"),
        ("Triggered by", Job(sha="b", event="push"), "push"),
        ("Triggered by", Job(sha="b", actor="ada", event="push"), "ada (push)"),
        ("CI workflow", Job(workflow="Release"), "Release"),
        ("CI workflow", Job(repository="a/b"), "a/b"),
        ("CI run", Job(run_id="7"), "7"),
        ("CI run", Job(run_attempt="2"), ""),
        (
            "Mailed by",
            Job(sender=replace(SENDER, name="")),
            "Mail reports, run 77",
        ),
        (
            "Pull request",
            Job(sha="b", ref="refs/pull/12/merge", head_ref="topic"),
            "#12 from topic",
        ),
        ("Pull request", Job(sha="b", ref="refs/pull/12/merge"), "#12"),
    ],
)
def test_a_row_says_what_the_job_knows(key: str, job: Job, value: str) -> None:
    assert row(key, None, job) == value


@pytest.mark.parametrize("url", ["javascript:alert(1)", "", "https://a@b.test/"])
def test_only_a_web_page_is_linked(url: str) -> None:
    job = Job(run_id="7", server_url=url, repository="a/b", sender=replace(SENDER, url=url))

    assert [each.url for each in rows.run(facts_of(None, job))] == [""] * 3


def test_a_signature_has_a_row_for_each_fact() -> None:
    signing = Signing(
        certificate="CN=ci.lakeside.example",
        certificate_sans=("https://a.test/x", "b@a.test"),
        certificate_issuer="CN=Lakeside CA",
        key_hint="release-key",
        authority="fulcio",
        timestamp_authority="https://tsa.example.test",
        timestamp_count=2,
        log_indexes=("12", "13"),
    )
    attestation = replace(BARE, signing=signing, builder="chainloop.dev/cli/v1.103.0")

    claims = (
        Fact("Certificate", "CN=ci.lakeside.example"),
        Fact("Identity", "https://a.test/x, b@a.test"),
        Fact("Issuer", "CN=Lakeside CA"),
        Fact("Key", "release-key", "code"),
        Fact("Timestamps", "2"),
    )
    others = (
        Fact("Authority", "fulcio"),
        Fact("Timestamp authority", "https://tsa.example.test"),
        Fact("Log index", "12, 13"),
        Fact("Built with", "chainloop.dev/cli/v1.103.0", "code"),
    )
    word = "as the evidence says; not checked here"
    assert rows.signing(facts_of(attestation)) == (Fact("Signature", word), *claims, *others)
    assert rows.signing(facts_of(attestation, signature=WRONG)) == (
        Fact("Signature", "INVALID: the payload is not what was signed"),
        *claims,
        *others,
    )
    assert rows.signing(facts_of(attestation, signature=UNCHECKED)) == (
        Fact("Signature", "not checked: the evidence contains no signature"),
        *claims,
        *others,
    )
    # In place of the evidence's own word, what was verified.
    verified = (
        Fact("Signature", "verified"),
        Fact("Signed by", VERIFIED.signer),
        Fact("Trusted root", "CN=Lakeside Chainloop CA, O=Lakeside Bank"),
        Fact("Timestamp", "12 Mar 2026, 09:46:31 UTC, CN=Lakeside TSA, O=Lakeside Bank"),
        Fact("Key", VERIFIED.key_fingerprint, "code"),
        Fact("Method", "ECDSA P-256, SHA-256"),
    )
    assert rows.signing(facts_of(attestation, signature=VERIFIED)) == (*verified, *others)


def test_a_signature_without_time_stamp_is_dated_by_its_certificate() -> None:
    check = replace(
        VERIFIED,
        timestamped_at=None,
        timestamp_authority="",
        reason="one timestamp is not trusted",
    )
    shown = {each.key: each.value for each in rows.signing(facts_of(BARE, signature=check))}
    assert shown["Signed"] == "not before 12 Mar 2026, 09:46:31 UTC"
    assert shown["Signature"] == "verified; one timestamp is not trusted"
    assert "Timestamp" not in shown


def test_what_a_verified_signature_does_not_cover_has_a_row() -> None:
    facts = replace(facts_of(BARE, signature=VERIFIED), unsigned=("policy evaluations", "commit"))
    shown = {each.key: each.value for each in rows.signing(facts)}
    assert shown["Not covered"] == "policy evaluations, commit"


def test_what_the_chainloop_cli_says_of_a_signature_stands_beside_our_own_check() -> None:
    attestation = replace(BARE, signing=Signing(is_verified=True))
    assert rows.signing(facts_of(attestation)) == (
        Fact("Signature", "verified by the Chainloop CLI"),
    )
    assert rows.signing(facts_of(attestation, signature=UNCHECKED)) == (
        Fact("Signature", "not checked: the evidence contains no signature"),
        Fact("Chainloop CLI", "verified the signature"),
    )
    wrong = {each.key for each in rows.signing(facts_of(attestation, signature=WRONG))}
    assert wrong == {"Signature"}


@pytest.mark.parametrize(
    ("env_values", "table"),
    [
        (EnvValues.SHOW, (Fact("CI", "true", "code"), Fact("HOME", "not set", "code"))),
        (EnvValues.NAMES, (Fact("Names", "CI, HOME"),)),
        (EnvValues.HIDE, ()),
    ],
)
def test_variables_and_annotations_without_a_value_say_so(
    env_values: EnvValues, table: tuple[Fact, ...]
) -> None:
    named = (Annotation(name="CI", value="true"), Annotation(name="HOME", value=""))
    attestation = replace(BARE, environment=named, annotations=named)

    assert rows.environment(attestation, env_values) == table
    assert rows.annotations(attestation) == (Fact("CI", "true"), Fact("HOME", "not set"))


def test_an_attached_file_has_its_size_and_digest() -> None:
    files = parts([File(name="a.json", content=b"x"), File(name="b.json", content=b"y" * 1200)])

    assert rows.enclosed(files) == (
        Fact("a.json", f"1 byte, {files[0].digest}", "code"),
        Fact("b.json", f"1,200 bytes, {files[1].digest}", "code"),
    )


@pytest.mark.parametrize(
    ("job", "last"),
    [(Job(name="mail"), "mail"), (Job(sender=SENDER), "the run"), (Job(), "this job")],
)
def test_the_job_that_is_reported_has_a_name_in_the_list(job: Job, last: str) -> None:
    needs = (JobResult(name="build", result=JobStatus.SUCCESS),)
    job = replace(job, needs=needs, status=JobStatus.SUCCESS)

    assert rows.jobs(job) == (Fact("build", "success"), Fact(last, "success"))


PAGE = "https://github.com/lakeside/harbour/actions/runs/1/job/2#step:3:1"


def test_a_step_stands_in_the_row_of_its_job_where_that_has_its_name() -> None:
    step = FailedStep(job="build", name="Run tests", url=PAGE)
    job = Job(name="build", status=JobStatus.FAILURE, failed_steps=(step,))
    assert rows.jobs(job) == (Fact("build", "failure at step Run tests", "", PAGE),)


def test_steps_of_jobs_with_other_names_stand_below_theirs() -> None:
    steps = (
        FailedStep(job="Build (3.11)", name="Run tests", need=1, url="javascript:alert(1)"),
        FailedStep(job="Build (3.12)", name="Upload", need=1),
        FailedStep(job="Mail", name="Sign"),
    )
    needs = (
        JobResult(name="lint", result=JobStatus.SUCCESS),
        JobResult(name="build", result=JobStatus.FAILURE),
    )
    job = Job(name="mail", status=JobStatus.CANCELLED, needs=needs, failed_steps=steps)
    assert rows.jobs(job) == (
        Fact("build", "failure"),
        Fact("Build (3.11)", "at step Run tests"),
        Fact("Build (3.12)", "at step Upload"),
        Fact("mail", "cancelled"),
        Fact("Mail", "at step Sign"),
        Fact("lint", "success"),
    )


@pytest.mark.parametrize(
    ("job", "who"),
    [
        (
            JOB,
            "Sent by job attest of Release in lakeside/harbour. To change who gets this mail or "
            "when, edit the step of that workflow that sends it.",
        ),
        (
            replace(JOB, sender=replace(SENDER, name="")),
            "Sent by Mail reports in lakeside/mailer. To change who gets this mail or when, edit "
            "the step of that workflow that sends it.",
        ),
        *(
            (
                job,
                "Sent by chainloop-smtp. To change who gets this mail or when, edit the command "
                "that sends it.",
            )
            for job in (Job(), replace(JOB, workflow=""), replace(JOB, repository=""))
        ),
    ],
)
def test_the_footer_says_who_sent_the_mail(job: Job, who: str) -> None:
    assert rows.footer(job) == who


@pytest.mark.parametrize(
    ("keys", "is_wide"),
    [
        (("Organization", "Policy strategy"), False),
        (("a" * 13,), True),
        (("short", "A_B"), True),
        ((), False),
    ],
)
def test_a_long_key_makes_a_table_wide(keys: tuple[str, ...], is_wide: bool) -> None:
    assert Section("x", tuple(Fact(key, "") for key in keys)).is_wide is is_wide


def test_without_a_commit_nothing_is_said_of_its_branch() -> None:
    assert rows.commit(facts_of(None, Job(ref="refs/heads/main", actor="ada"))) == ()
