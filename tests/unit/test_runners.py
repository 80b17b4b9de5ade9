"""The variables of each CI -> branch, commit, run, link and actor."""

import pytest

from chainloop_smtp.message import formatting, rows
from chainloop_smtp.model.attested import Annotation, Attestation, Runner
from chainloop_smtp.model.facts import Job
from chainloop_smtp.model.runners import CiRun, ci_run, detect, is_same_run, read, run_page
from chainloop_smtp.routing import ref
from chainloop_smtp.source.job import read_job
from chainloop_smtp.verdict import doubt
from civariables import AZURE, CIRCLE, GITLAB, JENKINS, SHA, TEAMCITY
from states import facts_of

FORK = "https://gitlab.example.com/stranger/harbour"
AZURE_PAGE = "https://dev.azure.com/lakeside/Harbour%20Office/_build/results?buildId=42"
CASES = {
    "GITLAB_PIPELINE": (
        GITLAB,
        CiRun(
            repository="lakeside/harbour",
            run_id="42",
            workflow="Release",
            job="mail",
            url=GITLAB["CI_PIPELINE_URL"],
            ref="refs/heads/main",
            sha=SHA,
            actor="ada",
            event="push",
        ),
    ),
    "AZURE_PIPELINE": (
        AZURE,
        CiRun(
            repository="harbour",
            run_id="42",
            run_attempt="2",
            workflow="Release",
            job="mail",
            url=AZURE_PAGE,
            ref="refs/heads/main",
            sha=SHA,
            actor="Ada Lovelace",
            event="IndividualCI",
        ),
    ),
    "CIRCLECI_BUILD": (
        CIRCLE,
        CiRun(
            repository="lakeside/harbour",
            run_id="w-42",
            job="mail",
            url=CIRCLE["CIRCLE_BUILD_URL"],
            ref="refs/heads/main",
            sha=SHA,
            actor="ada",
        ),
    ),
    "TEAMCITY_PIPELINE": (
        TEAMCITY,
        CiRun(
            repository="Harbour",
            run_id="42",
            workflow="Release",
            url=TEAMCITY["BUILD_URL"],
            ref="refs/heads/main",
            sha=SHA,
            actor="ada",
        ),
    ),
    "JENKINS_JOB": (
        JENKINS,
        CiRun(
            repository="lakeside/harbour",
            run_id="42",
            job="Mail",
            url=JENKINS["BUILD_URL"],
            ref="refs/heads/main",
            sha=SHA,
            actor="ada",
        ),
    ),
}


@pytest.mark.parametrize("ci", CASES)
def test_the_variables_of_a_machine_say_its_ci_and_its_run(ci: str) -> None:
    variables, run = CASES[ci]
    assert detect(variables) == ci
    assert read(ci, variables) == run


@pytest.mark.parametrize("ci", ["GITHUB_ACTION", "DAGGER_PIPELINE", ""])
def test_githubs_variables_are_read_where_no_other_ci_is_known(ci: str) -> None:
    variables = {
        "GITHUB_REPOSITORY": "lakeside/harbour",
        "GITHUB_RUN_ID": "42",
        "GITHUB_REF": "refs/pull/7/merge",
        "GITHUB_HEAD_REF": "refs/heads/topic",
        "GITHUB_SHA": SHA,
        "GITHUB_ACTOR": "ada",
        "GITHUB_EVENT_NAME": "pull_request",
    }
    assert read(ci, variables) == CiRun(
        repository="lakeside/harbour",
        run_id="42",
        ref="refs/pull/7/merge",
        # A branch may have such a name.
        head_ref="refs/heads/topic",
        sha=SHA,
        actor="ada",
        event="pull_request",
    )
    assert read(ci, {}) == CiRun()


@pytest.mark.parametrize(
    ("ci", "variables", "run"),
    [
        ("GITLAB_PIPELINE", {"CI_PROJECT_URL": FORK}, CiRun(repository="stranger/harbour")),
        ("GITLAB_PIPELINE", {"CI_PROJECT_URL": f"{FORK}/"}, CiRun(repository="stranger/harbour")),
        ("GITLAB_PIPELINE", {"CI_PROJECT_PATH": "a/b"}, CiRun(repository="a/b")),
        ("GITLAB_PIPELINE", {"CI_PIPELINE_ID": "42"}, CiRun(run_id="42")),
        ("CIRCLECI_BUILD", {"CIRCLE_PROJECT_REPONAME": "b"}, CiRun(repository="b")),
        (
            "JENKINS_JOB",
            {"BRANCH_NAME": "x", "GIT_BRANCH": "origin/y", "JOB_NAME": "a/b/x"},
            CiRun(repository="a/b", ref="refs/heads/x"),
        ),
        (
            "JENKINS_JOB",
            {"CHANGE_ID": "7", "CHANGE_FORK": "stranger"},
            CiRun(ref="refs/pull/7/head"),
        ),
        (
            "GITLAB_PIPELINE",
            {
                "CI_MERGE_REQUEST_IID": "7",
                "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "topic",
                "CI_PROJECT_URL": FORK,
            },
            CiRun(
                repository="stranger/harbour", ref="refs/merge-requests/7/head", head_ref="topic"
            ),
        ),
        ("GITLAB_PIPELINE", {"CI_JOB_URL": "https://x/jobs/7"}, CiRun(url="https://x/jobs/7")),
        ("AZURE_PIPELINE", {"SYSTEM_JOBNAME": "mail"}, CiRun(job="mail")),
        (
            "AZURE_PIPELINE",
            {"SYSTEM_PULLREQUEST_PULLREQUESTID": "9"},
            CiRun(ref="refs/pull/9/head"),
        ),
        (
            "AZURE_PIPELINE",
            {
                "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI": "https://tfs.example.com/main/",
                "SYSTEM_TEAMPROJECT": "a/b",
                "BUILD_BUILDID": "42",
            },
            CiRun(run_id="42", url="https://tfs.example.com/main/a/b/_build/results?buildId=42"),
        ),
        (
            "AZURE_PIPELINE",
            {"SYSTEM_COLLECTIONURI": "https://x/", "BUILD_BUILDID": "42"},
            CiRun(run_id="42"),
        ),
        (
            "AZURE_PIPELINE",
            {"SYSTEM_COLLECTIONURI": "https://x/", "SYSTEM_TEAMPROJECT": "a"},
            CiRun(),
        ),
        (
            "AZURE_PIPELINE",
            {"SYSTEM_TEAMPROJECT": "a", "BUILD_BUILDID": "42"},
            CiRun(run_id="42"),
        ),
        (
            "JENKINS_JOB",
            {"GIT_BRANCH": "origin/x/y", "JOB_NAME": "lakeside/harbour/x%2Fy"},
            CiRun(repository="lakeside/harbour", ref="refs/heads/x/y"),
        ),
        ("JENKINS_JOB", {"BRANCH_NAME": "x"}, CiRun(ref="refs/heads/x")),
        ("JENKINS_JOB", {"CHANGE_AUTHOR": "ada"}, CiRun(actor="ada")),
    ],
)
def test_a_second_variable_is_read_where_the_first_is_not_set(
    ci: str, variables: dict[str, str], run: CiRun
) -> None:
    assert read(ci, variables) == run


@pytest.mark.parametrize(
    ("sign", "ci"),
    [
        ("GITHUB_ACTIONS", "GITHUB_ACTION"),
        ("GITLAB_CI", "GITLAB_PIPELINE"),
        ("TF_BUILD", "AZURE_PIPELINE"),
        ("CIRCLECI", "CIRCLECI_BUILD"),
        ("TEAMCITY_VERSION", "TEAMCITY_PIPELINE"),
        ("TEAMCITY_PROJECT_NAME", "TEAMCITY_PIPELINE"),
        ("JENKINS_URL", "JENKINS_JOB"),
        ("JENKINS_HOME", "JENKINS_JOB"),
    ],
)
def test_one_sign_is_enough(sign: str, ci: str) -> None:
    assert detect({sign: "x"}) == ci


def test_a_machine_without_signs_is_of_no_ci_and_githubs_own_sign_wins() -> None:
    assert detect({"CI": "true", "BUILD_URL": "x"}) == ""
    assert detect(JENKINS | {"GITHUB_ACTIONS": "true"}) == "GITHUB_ACTION"
    # An agent of TeamCity on a machine of Jenkins.
    assert detect(TEAMCITY | {"JENKINS_HOME": "/var/jenkins"}) == "TEAMCITY_PIPELINE"
    assert read_job(JENKINS | {"GITHUB_ACTIONS": "true"}, None, ()).ci == ""


@pytest.mark.parametrize("ci", CASES)
def test_the_job_of_a_run_without_attestation_knows_all_of_it(ci: str) -> None:
    variables, run = CASES[ci]
    job = read_job(variables, None, ())
    assert job == Job(
        ci=ci,
        name=run.job,
        workflow=run.workflow,
        repository=run.repository,
        run_id=run.run_id,
        run_attempt=run.run_attempt,
        ref=run.ref,
        sha=SHA,
        actor=run.actor,
        event=run.event,
        url=run.url,
    )
    assert run_page(None, job) == job.run_url == run.url
    facts = facts_of(None, job)
    assert ref(facts) == ("main", "")
    shown = {row.key: row.value for row in rows.commit(facts)}
    assert shown["Commit"] == SHA
    assert shown["Branch or tag"] == "main"
    assert run.actor in shown["Triggered by"]
    # The commit's page is not known there.
    assert rows.commit_url(facts) == ""


WITHOUT = {"CI_COMMIT_BRANCH": "", "BRANCH_NAME": "", "CIRCLE_BRANCH": ""}
MERGE = {
    "CI_MERGE_REQUEST_IID": "7",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "topic",
    "CI_MERGE_REQUEST_PROJECT_URL": GITLAB["CI_PROJECT_URL"],
}
PULL = {
    "SYSTEM_PULLREQUEST_PULLREQUESTID": "9",
    "SYSTEM_PULLREQUEST_PULLREQUESTNUMBER": "7",
    "SYSTEM_PULLREQUEST_SOURCEBRANCH": "refs/heads/topic",
    "BUILD_SOURCEBRANCH": "refs/pull/7/merge",
}
CHANGE = {"CHANGE_ID": "7", "CHANGE_BRANCH": "topic", "BRANCH_NAME": "PR-7"}


@pytest.mark.parametrize(
    ("ci", "more", "full", "head"),
    [
        ("GITLAB_PIPELINE", WITHOUT | {"CI_COMMIT_TAG": "v1"}, "refs/tags/v1", ""),
        ("GITLAB_PIPELINE", WITHOUT, "main", ""),
        ("GITLAB_PIPELINE", MERGE, "refs/merge-requests/7/head", "topic"),
        (
            "GITLAB_PIPELINE",
            MERGE | {"CI_MERGE_REQUEST_SOURCE_PROJECT_URL": FORK},
            "refs/merge-requests/7/head",
            "stranger/harbour:topic",
        ),
        (
            "GITLAB_PIPELINE",
            MERGE | {"CI_MERGE_REQUEST_SOURCE_PROJECT_URL": "stranger"},
            "refs/merge-requests/7/head",
            "fork:topic",
        ),
        ("AZURE_PIPELINE", {"BUILD_SOURCEBRANCH": "refs/tags/v1"}, "refs/tags/v1", ""),
        ("AZURE_PIPELINE", PULL, "refs/pull/7/head", "topic"),
        (
            "AZURE_PIPELINE",
            PULL | {"SYSTEM_PULLREQUEST_ISFORK": "True"},
            "refs/pull/7/head",
            "fork:topic",
        ),
        ("CIRCLECI_BUILD", WITHOUT | {"CIRCLE_TAG": "v1"}, "refs/tags/v1", ""),
        ("CIRCLECI_BUILD", {"CIRCLE_BRANCH": "pull/7"}, "refs/pull/7/head", ""),
        ("TEAMCITY_PIPELINE", {"TEAMCITY_BUILD_BRANCH": "main"}, "main", ""),
        ("TEAMCITY_PIPELINE", {"TEAMCITY_BUILD_BRANCH": "<default>"}, "", ""),
        ("TEAMCITY_PIPELINE", {"TEAMCITY_BUILD_BRANCH": "pull/7"}, "refs/pull/7/head", ""),
        ("TEAMCITY_PIPELINE", {"TEAMCITY_BUILD_BRANCH": ""}, "", ""),
        ("JENKINS_JOB", {"TAG_NAME": "v1", "BRANCH_NAME": "v1"}, "refs/tags/v1", ""),
        ("JENKINS_JOB", CHANGE, "refs/pull/7/head", "topic"),
        ("JENKINS_JOB", CHANGE | {"CHANGE_FORK": "stranger"}, "refs/pull/7/head", "stranger:topic"),
        ("JENKINS_JOB", WITHOUT, "refs/heads/main", ""),
        ("JENKINS_JOB", WITHOUT | {"GIT_BRANCH": "refs/remotes/origin/x/y"}, "refs/heads/x/y", ""),
        ("JENKINS_JOB", WITHOUT | {"GIT_BRANCH": "main"}, "main", ""),
        ("JENKINS_JOB", WITHOUT | {"GIT_BRANCH": "detached"}, "", ""),
        ("JENKINS_JOB", WITHOUT | {"GIT_BRANCH": "HEAD"}, "", ""),
        ("JENKINS_JOB", WITHOUT | {"GIT_BRANCH": "origin/HEAD"}, "", ""),
    ],
)
def test_tags_and_requests_are_told_from_branches(
    ci: str, more: dict[str, str], full: str, head: str
) -> None:
    run = read(ci, CASES[ci][0] | more)
    assert (run.ref, run.head_ref) == (full, head)


def test_a_name_that_may_be_a_branch_or_a_tag_is_matched_as_both() -> None:
    job = read_job(GITLAB | WITHOUT, None, ())
    assert ref(facts_of(None, job)) == ("main", "main")


def test_a_merge_request_is_shown_with_its_branch_and_routed_by_it() -> None:
    facts = facts_of(None, read_job(GITLAB | MERGE, None, ()))
    assert ref(facts) == ("topic", "")
    assert {row.key: row.value for row in rows.commit(facts)}["Merge request"] == "!7 from topic"


@pytest.mark.parametrize(
    ("ci", "variables", "number"),
    [
        ("TEAMCITY_PIPELINE", {"BUILD_URL": "https://t/buildConfiguration/A_B2/42?x=1"}, "42"),
        ("TEAMCITY_PIPELINE", {"BUILD_URL": "https://tc.example.com/overview"}, ""),
        ("GITLAB_PIPELINE", {"CI_PIPELINE_URL": GITLAB["CI_PIPELINE_URL"]}, "42"),
        ("AZURE_PIPELINE", {}, ""),
    ],
)
def test_the_number_of_a_run_is_in_the_address_of_its_page(
    ci: str, variables: dict[str, str], number: str
) -> None:
    run = read(ci, variables)
    assert run.run_id == number
    assert run.url == variables.get("CI_PIPELINE_URL", variables.get("BUILD_URL", ""))


# --- the evidence ------------------------------------------------------------------------------

# What Chainloop's CLI attests on each.
ATTESTED = {
    "GITLAB_PIPELINE": (
        *("CI_PROJECT_URL", "CI_PIPELINE_URL", "CI_JOB_URL", "CI_COMMIT_REF_NAME"),
        *("CI_COMMIT_SHA", "GITLAB_USER_LOGIN", "CI_PIPELINE_SOURCE"),
    ),
    "AZURE_PIPELINE": ("BUILD_BUILDID", "BUILD_REPOSITORY_NAME", "BUILD_REQUESTEDFOR"),
    "CIRCLECI_BUILD": ("CIRCLE_BUILD_URL", "CIRCLE_JOB", "CIRCLE_BRANCH"),
    "TEAMCITY_PIPELINE": ("BUILD_URL", "TEAMCITY_PROJECT_NAME", "BUILD_VCS_NUMBER"),
    "JENKINS_JOB": ("JOB_NAME", "BUILD_URL", "GIT_BRANCH", "GIT_COMMIT"),
}
# What is known of the run where that is all.
SAID = {
    "GITLAB_PIPELINE": (("main", "main"), SHA, "ada"),
    "AZURE_PIPELINE": (("", ""), "", "Ada Lovelace"),
    "CIRCLECI_BUILD": (("main", ""), "", ""),
    "TEAMCITY_PIPELINE": (("", ""), SHA, ""),
    "JENKINS_JOB": (("main", ""), SHA, ""),
}
ON_GITHUB = Job(
    repository="lakeside/harbour",
    server_url="https://github.com",
    run_id="42",
    ref="refs/heads/topic",
    sha="b" * 40,
    actor="bob",
    event="schedule",
)


def evidence(ci: str, **more: str) -> Attestation:
    variables = {name: CASES[ci][0][name] for name in ATTESTED[ci]} | more
    return Attestation(
        shape="test",
        is_recorded=True,
        runner=Runner(type=ci, url=CASES[ci][1].url),
        environment=tuple(Annotation(name=n, value=v) for n, v in variables.items()),
    )


@pytest.mark.parametrize("ci", CASES)
@pytest.mark.parametrize("job", [Job(), ON_GITHUB], ids=["laptop", "GitHub"])
def test_evidence_of_another_ci_says_its_own_branch_commit_and_actor(ci: str, job: Job) -> None:
    attested = evidence(ci)
    facts = facts_of(attested, job)
    assert (ref(facts), formatting.sha(facts), ci_run(attested, job).actor) == SAID[ci]
    assert run_page(attested, job) == CASES[ci][1].url
    # Neither is the commit looked for at the job's server, nor the run taken for the job's own.
    assert rows.commit_url(facts) == ""
    assert doubt(attested, job) == ""
    assert not is_same_run(attested, job)


def test_evidence_of_another_ci_without_a_page_has_none() -> None:
    bare = Attestation(shape="test", is_recorded=True, runner=Runner(type="AZURE_PIPELINE"))
    assert run_page(bare, ON_GITHUB) == ""
    assert run_page(bare, Job()) == ""


@pytest.mark.parametrize("ci", CASES)
def test_what_the_machine_knows_of_its_own_run_goes_before_the_evidence(ci: str) -> None:
    job = read_job(CASES[ci][0], None, ())
    facts = facts_of(evidence(ci), job)
    assert formatting.ref(facts) == "main"
    assert formatting.sha(facts) == SHA
    assert ci_run(facts.attestation, job).actor == job.actor
    assert run_page(facts.attestation, job) == CASES[ci][1].url


@pytest.mark.parametrize(
    ("ci", "more"),
    [
        ("GITLAB_PIPELINE", {"CI_PIPELINE_URL": "https://gitlab.example.com/x/-/pipelines/41"}),
        ("JENKINS_JOB", {"BUILD_URL": "https://jenkins.example.com/job/main/41/"}),
        ("CIRCLECI_BUILD", {}),
    ],
)
def test_on_the_same_ci_evidence_of_another_run_says_its_own(ci: str, more: dict[str, str]) -> None:
    job = read_job(CASES[ci][0] | {"CIRCLE_BRANCH": "x", "BRANCH_NAME": "x"}, None, ())
    facts = facts_of(evidence(ci, **more), job)
    assert not is_same_run(facts.attestation, job)
    assert formatting.ref(facts) == "main"


@pytest.mark.parametrize("runner", ["", "RUNNER_TYPE_UNSPECIFIED", "DAGGER_PIPELINE"])
def test_evidence_that_names_no_ci_is_of_the_machines_run(runner: str) -> None:
    attested = Attestation(shape="test", is_recorded=True, runner=Runner(type=runner))
    job = read_job(GITLAB, None, ())
    assert is_same_run(attested, job)
    assert formatting.ref(facts_of(attested, job)) == "main"
    assert run_page(attested, job) == GITLAB["CI_PIPELINE_URL"]
