"""Variables of a CI -> its run. The same for the machine's variables and for attested ones."""

import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote

from chainloop_smtp.model.attested import Attestation
from chainloop_smtp.model.facts import Job
from chainloop_smtp.model.frozen import dataclass

GITHUB = "GITHUB_ACTION"
GITHUB_HOST = "github.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class CiRun:
    """What the variables of a CI say of one run. Empty strings mean unknown.

    Attributes:
        repository: As the CI names it: ``group/project``, or a Jenkins job.
        workflow: Name of the pipeline, where it has one.
        job: Name of the job in it.
        url: Page of the run.
        ref: Full git ref; a bare name where that may be a branch or a tag.
        head_ref: Source branch of a pull or merge request, with the fork's name before it.
    """

    repository: str = ""
    run_id: str = ""
    run_attempt: str = ""
    workflow: str = ""
    job: str = ""
    url: str = ""
    ref: str = ""
    head_ref: str = ""
    sha: str = ""
    actor: str = ""
    event: str = ""


# Which variables hold what; the first that is set counts. Chainloop's CLI attests some of them
# (crafter/runners/*.go), and a contract may ask for more. `sign`: this CI sets it.
# `name`: a branch or a tag, or a full ref. `request`: number of a pull or merge request.
_VARIABLES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    GITHUB: {
        "sign": ("GITHUB_ACTIONS",),
        "repository": ("GITHUB_REPOSITORY",),
        "run_id": ("GITHUB_RUN_ID",),
        "name": ("GITHUB_REF",),
        "head_ref": ("GITHUB_HEAD_REF",),
        "sha": ("GITHUB_SHA",),
        "actor": ("GITHUB_ACTOR",),
        "event": ("GITHUB_EVENT_NAME",),
    },
    # https://docs.gitlab.com/ci/variables/predefined_variables/
    "GITLAB_PIPELINE": {
        "sign": ("GITLAB_CI",),
        "repository": ("CI_PROJECT_PATH", "CI_PROJECT_URL"),
        "run_id": ("CI_PIPELINE_ID", "CI_PIPELINE_URL"),
        "workflow": ("CI_PIPELINE_NAME",),
        "job": ("CI_JOB_NAME",),
        "url": ("CI_PIPELINE_URL", "CI_JOB_URL"),
        "tag": ("CI_COMMIT_TAG",),
        "branch": ("CI_COMMIT_BRANCH",),
        "name": ("CI_COMMIT_REF_NAME",),
        "request": ("CI_MERGE_REQUEST_IID",),
        "head_ref": ("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME",),
        "sha": ("CI_COMMIT_SHA",),
        "actor": ("GITLAB_USER_LOGIN",),
        "event": ("CI_PIPELINE_SOURCE",),
    },
    # https://learn.microsoft.com/azure/devops/pipelines/build/variables
    "AZURE_PIPELINE": {
        "sign": ("TF_BUILD",),
        "repository": ("BUILD_REPOSITORY_NAME",),
        "run_id": ("BUILD_BUILDID",),
        "run_attempt": ("SYSTEM_JOBATTEMPT",),
        "workflow": ("BUILD_DEFINITIONNAME",),
        "job": ("SYSTEM_JOBDISPLAYNAME", "SYSTEM_JOBNAME"),
        "name": ("BUILD_SOURCEBRANCH",),
        "request": ("SYSTEM_PULLREQUEST_PULLREQUESTNUMBER", "SYSTEM_PULLREQUEST_PULLREQUESTID"),
        "head_ref": ("SYSTEM_PULLREQUEST_SOURCEBRANCH",),
        "sha": ("BUILD_SOURCEVERSION",),
        "actor": ("BUILD_REQUESTEDFOR",),
        "event": ("BUILD_REASON",),
    },
    # https://circleci.com/docs/reference/variables/. Evidence has the job's number and not the
    # workflow's id, and each job of a workflow has another number.
    "CIRCLECI_BUILD": {
        "sign": ("CIRCLECI",),
        "run_id": ("CIRCLE_WORKFLOW_ID",),
        "job": ("CIRCLE_JOB",),
        "url": ("CIRCLE_BUILD_URL",),
        "tag": ("CIRCLE_TAG",),
        "branch": ("CIRCLE_BRANCH",),
        "sha": ("CIRCLE_SHA1",),
        "actor": ("CIRCLE_USERNAME",),
    },
    # https://www.jetbrains.com/help/teamcity/predefined-build-parameters.html. Branch and user are
    # parameters, which a build passes on under these names (docs/ci.md).
    "TEAMCITY_PIPELINE": {
        "sign": ("TEAMCITY_VERSION", "TEAMCITY_PROJECT_NAME"),
        "repository": ("TEAMCITY_PROJECT_NAME",),
        "run_id": ("BUILD_URL",),
        "workflow": ("TEAMCITY_BUILDCONF_NAME",),
        "url": ("BUILD_URL",),
        "name": ("TEAMCITY_BUILD_BRANCH",),
        "sha": ("BUILD_VCS_NUMBER",),
        "actor": ("TEAMCITY_BUILD_TRIGGEREDBY_USERNAME",),
    },
    # https://www.jenkins.io/doc/book/pipeline/jenkinsfile/ and the Git plugin's. The last, since
    # an agent of another CI may run on a machine of Jenkins.
    "JENKINS_JOB": {
        "sign": ("JENKINS_URL", "JENKINS_HOME"),
        "repository": ("JOB_NAME",),
        "run_id": ("BUILD_URL",),
        "job": ("STAGE_NAME",),
        "url": ("BUILD_URL",),
        "tag": ("TAG_NAME",),
        "branch": ("BRANCH_NAME",),
        "name": ("GIT_BRANCH",),
        "request": ("CHANGE_ID",),
        "head_ref": ("CHANGE_BRANCH",),
        "sha": ("GIT_COMMIT",),
        "actor": ("BUILD_USER_ID", "CHANGE_AUTHOR"),
    },
}
_PLAIN = ("run_attempt", "workflow", "job", "sha", "actor", "event")
# What stands for no branch at TeamCity and Jenkins.
_NO_BRANCH = ("<default>", "detached", "HEAD", "origin/HEAD")
_NUMBER = re.compile(r"[?&]buildId=([0-9]+)|/([0-9]+)/?(?:[?#].*)?$")
# The address that Chainloop makes on GitHub (crafter/runners/githubaction.go).
_PAGE = re.compile(r"https?://[^/?#]+/([^/?#]+/[^/?#]+)/actions/runs/([0-9]+)(?:[/?#].*)?")
_HOST = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)")
_REQUEST = re.compile(r"(?:refs/)?(pull|merge-requests)/([0-9]+)(?:/.*)?")


def detect(variables: Mapping[str, str]) -> str:
    """Return Chainloop's name for the CI whose variables these are; empty when it is unknown."""
    for ci, names in _VARIABLES.items():
        if _pick(variables, names["sign"]):
            return ci
    return ""


def is_known(ci: str) -> bool:
    """Whether the variables of a CI are known. Dagger has none, for example."""
    return ci in _VARIABLES


def read(ci: str, variables: Mapping[str, str]) -> CiRun:
    """Read the run that the variables describe.

    Args:
        ci: Chainloop's name for it; where it is not known, the variables are taken for GitHub's.
    """
    names = _VARIABLES.get(ci, _VARIABLES[GITHUB])
    found = {each: _pick(variables, names.get(each, ())) for each in _PLAIN}
    ref, head_ref = _read_ref(ci, variables, names)
    run_id = _pick(variables, names["run_id"])
    return CiRun(
        **found,
        repository=_read_repository(ci, variables, names),
        run_id=_number(run_id) if "://" in run_id else run_id,
        url=_read_url(ci, variables, names),
        ref=ref,
        head_ref=head_ref,
    )


def _pick(variables: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next(filter(None, (variables.get(name, "") for name in names)), "")


def _read_repository(
    ci: str, variables: Mapping[str, str], names: Mapping[str, tuple[str, ...]]
) -> str:
    if ci == "CIRCLECI_BUILD":
        parts = ("CIRCLE_PROJECT_USERNAME", "CIRCLE_PROJECT_REPONAME")
        return "/".join(filter(None, (variables.get(each, "") for each in parts)))
    repository = _pick(variables, names["repository"])
    if ci == "JENKINS_JOB":
        # A multibranch project has a job for each branch, under the branch's name.
        branch = _pick(variables, ("BRANCH_NAME", "GIT_BRANCH")).removeprefix("origin/")
        return repository.removesuffix(f"/{quote(branch, safe='')}")
    # GitLab's evidence has only the project's page.
    return _path(repository) if "://" in repository else repository


def _number(url: str) -> str:
    """The run's number in the URL of its page."""
    match = _NUMBER.search(url)
    return (match[1] or match[2]) if match else ""


def _path(url: str) -> str:
    return url.partition("://")[2].partition("/")[2].strip("/")


def _read_url(ci: str, variables: Mapping[str, str], names: Mapping[str, tuple[str, ...]]) -> str:
    if ci != "AZURE_PIPELINE":
        return _pick(variables, names.get("url", ()))
    servers = ("SYSTEM_COLLECTIONURI", "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI")
    server = _pick(variables, servers).rstrip("/")
    project, build = variables.get("SYSTEM_TEAMPROJECT", ""), variables.get("BUILD_BUILDID", "")
    if not (server and project and build):
        return ""
    return f"{server}/{quote(project)}/_build/results?buildId={quote(build)}"


def _read_ref(
    ci: str, variables: Mapping[str, str], names: Mapping[str, tuple[str, ...]]
) -> tuple[str, str]:
    """Full ref, and the source branch of a request."""
    head = _pick(variables, names.get("head_ref", ()))
    if ci not in _VARIABLES or ci == GITHUB:
        return _pick(variables, names["name"]), head
    head = head.removeprefix("refs/heads/")
    if head and (fork := _read_fork(ci, variables)):
        # A fork's branch may well be called main.
        head = f"{fork}:{head}"
    if number := _pick(variables, names.get("request", ())):
        kind = "merge-requests" if ci == "GITLAB_PIPELINE" else "pull"
        return f"refs/{kind}/{number}/head", head
    if tag := _pick(variables, names.get("tag", ())):
        return f"refs/tags/{tag}", ""
    if branch := _pick(variables, names.get("branch", ())):
        # CircleCI calls a fork's pull request the branch pull/7.
        return _request(branch) or f"refs/heads/{branch}", ""
    name = _pick(variables, names.get("name", ())).removeprefix("refs/remotes/")
    if name in _NO_BRANCH:
        return "", ""
    if ci == "JENKINS_JOB" and name.startswith("origin/"):
        return f"refs/heads/{name.removeprefix('origin/')}", ""
    return _request(name) or name, ""


def _request(name: str) -> str:
    """The full ref of a pull or merge request; empty when the name is not that of one."""
    match = _REQUEST.fullmatch(name)
    return f"refs/{match[1]}/{match[2]}/head" if match else ""


def _read_fork(ci: str, variables: Mapping[str, str]) -> str:
    """Name of the fork that has the source branch; empty when the repository itself has it."""
    match ci:
        case "GITLAB_PIPELINE":
            own = variables.get("CI_MERGE_REQUEST_PROJECT_URL", "")
            names = ("CI_MERGE_REQUEST_SOURCE_PROJECT_URL", "CI_PROJECT_URL")
            source = _pick(variables, names)
            return _path(source) or "fork" if own and source and source != own else ""
        case "AZURE_PIPELINE":
            is_fork = variables.get("SYSTEM_PULLREQUEST_ISFORK", "").lower() == "true"
            return "fork" if is_fork else ""
    return variables.get("CHANGE_FORK", "")


# Evidence is somebody else's text until its signature is verified. So what the runner itself knows
# of the run that it reports is never taken from there.


def attested_ci_run(attestation: Attestation) -> CiRun:
    """Return the CI run that the evidence describes, by the variables of its own CI."""
    variables = {each.name: each.value for each in attestation.environment}
    run = read(attestation.runner.type, variables)
    page = _PAGE.fullmatch(attestation.runner.url)
    repository, run_id = page.groups() if page else ("", "")
    return replace(run, repository=run.repository or repository, run_id=run.run_id or run_id)


def attested_run(attestation: Attestation | None) -> tuple[str, str]:
    """Return repository and id of the CI run that the evidence names, or empty strings."""
    run = attested_ci_run(attestation) if attestation else CiRun()
    return run.repository, run.run_id


def is_page_of(url: str, job: Job) -> bool:
    """Whether the URL is that of the job's GitHub run, as Chainloop writes it.

    On GitHub Enterprise Server, too, Chainloop writes github.com for the host.
    """
    page = _PAGE.fullmatch(url)
    if page is None or url_host(url) not in (GITHUB_HOST, url_host(job.server_url)):
        return False
    repository, run_id = page.groups()
    return repository.lower() == job.repository.lower() and run_id == job.run_id


def is_same_run(attestation: Attestation | None, job: Job) -> bool:
    """Whether the evidence names the run that the job is about, or at least no other one."""
    if is_of_other_ci(attestation, job):
        return False
    repository, run_id = attested_run(attestation)
    if job.ci and not run_id and attestation and is_known(attestation.runner.type):
        return False
    return job.run_id != "" and repository in ("", job.repository) and run_id in ("", job.run_id)


def is_of_other_ci(attestation: Attestation | None, job: Job) -> bool:
    """Whether the evidence comes from another CI than the job."""
    ci = attestation.runner.type if attestation else ""
    return is_known(ci) and job.run_id != "" and ci != (job.ci or GITHUB)


def is_other_run(attestation: Attestation | None, job: Job) -> bool:
    """Whether the evidence names another run than the one that the job is about."""
    if is_of_other_ci(attestation, job):
        return True
    repository, run_id = attested_run(attestation)
    if not (repository and job.repository and job.run_id):
        return False
    return repository.lower() != job.repository.lower() or run_id not in ("", job.run_id)


def ci_run(attestation: Attestation | None, job: Job) -> CiRun:
    """Return branch, commit, actor and event of the CI run: the runner's word, or the evidence's.

    The runner's wins for the run that the job is about.
    """
    known = CiRun(ref=job.ref, head_ref=job.head_ref, sha=job.sha, actor=job.actor, event=job.event)
    if attestation is None:
        return known
    is_same = is_same_run(attestation, job)
    # A runner that knows the commit knows all the rest: what it leaves empty does not exist.
    if is_same and job.sha:
        return known
    attested = attested_ci_run(attestation)
    if is_of_other_ci(attestation, job):
        return attested
    first, second = (known, attested) if is_same else (attested, known)
    return CiRun(
        ref=first.ref or second.ref,
        head_ref=first.head_ref or second.head_ref,
        sha=first.sha or second.sha,
        actor=first.actor or second.actor,
        event=first.event or second.event,
    )


def run_page(attestation: Attestation | None, job: Job) -> str:
    """Return the URL of the CI run, on the job's own server for runs of the job's repository."""
    page = attestation.runner.url if attestation else ""
    if attestation is None or not job.run_url or is_of_other_ci(attestation, job):
        return page or ("" if is_of_other_ci(attestation, job) else job.run_url)
    if job.ci:
        return page or job.run_url
    repository, run_id = attested_run(attestation)
    if repository == job.repository and run_id.isdecimal() and run_id.isascii():
        return f"{job.server_url}/{repository}/actions/runs/{run_id}"
    is_of_github = bool(repository or run_id) or attestation.runner.type == GITHUB
    # Without a page, the evidence of another run has none: the job's own would mislead.
    is_own = is_same_run(attestation, job) and (is_of_github or not page)
    return job.run_url if is_own else page


def url_host(url: str) -> str:
    """Return the host of a URL, in lower case and with its port; empty when it has none."""
    match = _HOST.match(url)
    return match[1].lower() if match else ""
