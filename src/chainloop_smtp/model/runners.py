"""Variables of a CI -> its run. The same for the machine's variables and for attested ones."""

import re
from collections.abc import Mapping
from urllib.parse import quote

from chainloop_smtp.model.frozen import dataclass

GITHUB = "GITHUB_ACTION"


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
# (crafter/runners/*.go), and a contract may ask for more. `sign`: the machine is of this CI.
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
_REQUEST = re.compile(r"(?:refs/)?(pull|merge-requests)/([0-9]+)(?:/.*)?")


def detect(variables: Mapping[str, str]) -> str:
    """Return Chainloop's name of the CI that the machine is of; empty: of none that is known."""
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
    """Number of the run in its page's address."""
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
    """The full ref of a pull or merge request; empty where the name is another."""
    match = _REQUEST.fullmatch(name)
    return f"refs/{match[1]}/{match[2]}/head" if match else ""


def _read_fork(ci: str, variables: Mapping[str, str]) -> str:
    """Name of the fork that the source branch is in; empty where it is the repository's own."""
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
