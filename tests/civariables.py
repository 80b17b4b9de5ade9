"""What each CI sets for a job on the branch main."""

SHA = "a" * 40
GITLAB = {
    "GITLAB_CI": "true",
    "CI_PROJECT_PATH": "lakeside/harbour",
    "CI_PROJECT_URL": "https://gitlab.example.com/lakeside/harbour",
    "CI_PIPELINE_ID": "42",
    "CI_PIPELINE_URL": "https://gitlab.example.com/lakeside/harbour/-/pipelines/42",
    "CI_PIPELINE_NAME": "Release",
    "CI_PIPELINE_SOURCE": "push",
    "CI_JOB_NAME": "mail",
    "CI_JOB_URL": "https://gitlab.example.com/lakeside/harbour/-/jobs/7",
    "CI_COMMIT_BRANCH": "main",
    "CI_COMMIT_REF_NAME": "main",
    "CI_COMMIT_SHA": SHA,
    "GITLAB_USER_LOGIN": "ada",
}
AZURE = {
    "TF_BUILD": "True",
    "SYSTEM_COLLECTIONURI": "https://dev.azure.com/lakeside/",
    "SYSTEM_TEAMPROJECT": "Harbour Office",
    "SYSTEM_JOBATTEMPT": "2",
    "SYSTEM_JOBDISPLAYNAME": "mail",
    "BUILD_BUILDID": "42",
    "BUILD_DEFINITIONNAME": "Release",
    "BUILD_REPOSITORY_NAME": "harbour",
    "BUILD_SOURCEBRANCH": "refs/heads/main",
    "BUILD_SOURCEVERSION": SHA,
    "BUILD_REQUESTEDFOR": "Ada Lovelace",
    "BUILD_REASON": "IndividualCI",
}
CIRCLE = {
    "CIRCLECI": "true",
    "CIRCLE_WORKFLOW_ID": "w-42",
    "CIRCLE_JOB": "mail",
    "CIRCLE_BUILD_URL": "https://circleci.com/gh/lakeside/harbour/7",
    "CIRCLE_PROJECT_USERNAME": "lakeside",
    "CIRCLE_PROJECT_REPONAME": "harbour",
    "CIRCLE_BRANCH": "main",
    "CIRCLE_SHA1": SHA,
    "CIRCLE_USERNAME": "ada",
}
TEAMCITY = {
    "TEAMCITY_VERSION": "2025.07",
    "TEAMCITY_PROJECT_NAME": "Harbour",
    "TEAMCITY_BUILDCONF_NAME": "Release",
    "TEAMCITY_BUILD_BRANCH": "refs/heads/main",
    "TEAMCITY_BUILD_TRIGGEREDBY_USERNAME": "ada",
    "BUILD_URL": "https://tc.example.com/viewLog.html?buildId=42&buildTypeId=Harbour_Release2",
    "BUILD_VCS_NUMBER": SHA,
}
JENKINS = {
    "JENKINS_URL": "https://jenkins.example.com/",
    "JOB_NAME": "lakeside/harbour/main",
    "BUILD_URL": "https://jenkins.example.com/job/lakeside/job/harbour/job/main/42/",
    "STAGE_NAME": "Mail",
    "BRANCH_NAME": "main",
    "GIT_BRANCH": "origin/main",
    "GIT_COMMIT": SHA,
    "BUILD_USER_ID": "ada",
}
