"""Whose word counts on a CI run: the runner's or the evidence's."""

from dataclasses import replace

import pytest

from chainloop_smtp.message import formatting, rows, view, wording
from chainloop_smtp.message.rows import Fact, Section
from chainloop_smtp.message.selection import Selection
from chainloop_smtp.model.attested import (
    Annotation,
    Attestation,
    Commit,
    Evaluation,
    Policies,
    Runner,
    Violation,
)
from chainloop_smtp.model.facts import FailedStep, Job, Outcome, Sender, Verdict
from chainloop_smtp.model.runners import ci_run, run_page, url_host
from chainloop_smtp.model.settings import EnvValues
from chainloop_smtp.routing import ref
from chainloop_smtp.verdict import doubt
from states import facts_of

OURS = "https://github.com"
EVIL = "https://github.com.evil.example"
JOB = Job(
    repository="lakeside/harbour",
    server_url=OURS,
    run_id="42",
    ref="refs/heads/topic",
    sha="a" * 40,
    actor="ada",
    event="push",
)
FORGED = {
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_HEAD_REF": "main",
    "GITHUB_SHA": "f" * 40,
    "GITHUB_ACTOR": "mallory",
    "GITHUB_EVENT_NAME": "release",
}
OWN = {"GITHUB_REPOSITORY": "lakeside/harbour", "GITHUB_RUN_ID": "42"}
EARLIER = OWN | {"GITHUB_RUN_ID": "41"}
OTHER = {"GITHUB_REPOSITORY": "lakeside/pier", "GITHUB_RUN_ID": "42"}


def attested(
    variables: dict[str, str], url: str = "", runner: str = "GITHUB_ACTION", commit: str = ""
) -> Attestation:
    return Attestation(
        shape="test",
        is_recorded=True,
        runner=Runner(type=runner, url=url),
        environment=tuple(Annotation(name=n, value=v) for n, v in variables.items()),
        commit=Commit(sha=commit, author_name="", author_email="") if commit else None,
    )


def page(server: str, repository: str = "lakeside/harbour", run_id: str = "42") -> str:
    return f"{server}/{repository}/actions/runs/{run_id}"


@pytest.mark.parametrize(
    ("evidence", "url"),
    [
        (None, page(OURS)),
        (attested({}), page(OURS)),
        (attested(OWN), page(OURS)),
        (attested(OWN, page(EVIL)), page(OURS)),
        (attested({}, page(EVIL)), page(OURS)),
        (attested({}, page(EVIL) + "/attempts/2?x#y"), page(OURS)),
        (attested({"GITHUB_RUN_ID": "42"}, f"{EVIL}/x"), page(OURS)),
        (attested({}, f"{EVIL}/login"), page(OURS)),
        # Another run of the repository is on the same server.
        (attested(EARLIER, page(EVIL)), page(OURS, run_id="41")),
        (attested({}, page(EVIL, run_id="41")), page(OURS, run_id="41")),
        # Only the evidence knows where another repository is, and another CI.
        (attested(OTHER, page(EVIL)), page(EVIL)),
        (attested({}, page(EVIL, "lakeside/pier")), page(EVIL, "lakeside/pier")),
        (attested({}, f"{EVIL}/-/jobs/7", "GITLAB_PIPELINE"), f"{EVIL}/-/jobs/7"),
        # What is no number is put into no address.
        (attested(OWN | {"GITHUB_RUN_ID": "42/../../x"}, page(EVIL)), page(EVIL)),
        (attested(OWN | {"GITHUB_RUN_ID": "٤٢"}, page(EVIL)), page(EVIL)),
    ],
)
def test_the_link_of_this_repositorys_runs_is_the_runners(
    evidence: Attestation | None, url: str
) -> None:
    assert run_page(evidence, JOB) == url


def test_on_an_enterprise_server_the_link_is_to_that_server() -> None:
    job = replace(JOB, server_url="https://ghes.example.com")
    evidence = attested(OWN, page(OURS))
    assert run_page(evidence, job) == page("https://ghes.example.com")
    assert doubt(evidence, job) == ""
    assert rows.commit_url(facts_of(evidence, job)) == (
        f"https://ghes.example.com/lakeside/harbour/commit/{'a' * 40}"
    )


def test_evidence_of_another_run_without_a_page_is_not_linked_to_this_one() -> None:
    assert run_page(attested(OTHER), JOB) == ""
    assert run_page(attested(EARLIER), JOB) == page(OURS, run_id="41")
    assert run_page(attested({}, runner=""), JOB) == page(OURS)


SHA = "c" * 40
APP = f"{OURS}/acme/app/commit/{SHA}"
GHES = "https://ghes.example.com:8443"
GITLAB = "https://gitlab.example.com"
OF_GITLAB = Runner(type="GITLAB_PIPELINE", url=f"{GITLAB}/g/app/-/jobs/7")


@pytest.mark.parametrize(
    ("remotes", "job", "url"),
    [
        (["https://github.com/acme/app"], JOB, APP),
        (["https://github.com/acme/app.git"], JOB, APP),
        (["https://x-access-token:t0k3n@github.com/acme/app.git/"], JOB, APP),
        (["git@github.com:acme/app.git"], JOB, APP),
        (["ssh://git@github.com:22/acme/app"], JOB, APP),
        (["git://GitHub.com/acme/app"], JOB, APP),
        # Of several, the first on the job's server.
        (["/srv/mirror/app", "git@mirror:app", "git@github.com:acme/app.git"], JOB, APP),
        (
            ["git@ghes.example.com:acme/app.git"],
            replace(JOB, server_url=GHES),
            f"{GHES}/acme/app/commit/{SHA}",
        ),
        # Elsewhere, or nowhere.
        (["https://github.com.evil.example/acme/app"], JOB, ""),
        (["https://github.com@evil.example/acme/app"], JOB, ""),
        (["https://github.com/../acme/app"], JOB, ""),
        (["https://github.com/acme/app"], replace(JOB, server_url=GHES), ""),
        (["C:\\work\\app", "file:///srv/app", "https://github.com/"], JOB, ""),
        # Nothing says whose commit it is.
        ([], JOB, ""),
        # The runner's own word.
        (
            ["https://github.com/acme/app"],
            replace(JOB, sha=SHA),
            f"{OURS}/{JOB.repository}/commit/{SHA}",
        ),
        ([], replace(JOB, sha=SHA), f"{OURS}/{JOB.repository}/commit/{SHA}"),
    ],
)
def test_a_commit_is_linked_in_the_repository_that_it_comes_from(
    remotes: list[str], job: Job, url: str
) -> None:
    commit = Commit(sha=SHA, remotes=tuple(remotes))
    evidence = replace(attested({}, runner=""), commit=commit)

    assert rows.commit_url(facts_of(evidence, job)) == url


def test_the_remote_counts_before_the_repository_of_the_ci_run() -> None:
    evidence = attested(OTHER, page(OURS, "lakeside/pier"), commit=SHA)
    pier = f"{OURS}/lakeside/pier/commit/{SHA}"
    for server in (OURS, ""):
        assert rows.commit_url(facts_of(evidence, replace(JOB, server_url=server))) == pier
    assert rows.commit_url(facts_of(attested(OTHER, commit=SHA), JOB)) == pier
    assert rows.commit_url(facts_of(attested(EARLIER, commit=SHA), JOB)) == (
        f"{OURS}/lakeside/harbour/commit/{SHA}"
    )
    remote = Commit(sha=SHA, remotes=("https://github.com/acme/app",))
    assert rows.commit_url(facts_of(replace(evidence, commit=remote), JOB)) == APP


@pytest.mark.parametrize("job", [Job(), JOB], ids=["laptop", "GitHub"])
def test_a_commit_of_another_ci_is_linked_where_its_run_is_and_the_job_is_not_elsewhere(
    job: Job,
) -> None:
    commit = Commit(sha=SHA, remotes=("git@gitlab.example.com:g/app.git",))
    evidence = replace(attested({}), runner=OF_GITLAB, commit=commit)

    url = rows.commit_url(facts_of(evidence, job))

    assert url == ("" if job.server_url else f"{GITLAB}/g/app/commit/{SHA}")
    bare = replace(evidence, commit=Commit(sha=SHA), environment=())
    assert rows.commit_url(facts_of(bare, job)) == ""


def test_outside_of_ci_only_the_evidence_knows() -> None:
    nowhere = Job()
    assert run_page(attested(OWN, page(EVIL)), nowhere) == page(EVIL)
    assert ci_run(attested(FORGED), nowhere).actor == "mallory"
    assert run_page(None, nowhere) == ""


@pytest.mark.parametrize("named", [{}, OWN, {"GITHUB_RUN_ID": "42"}], ids=["none", "own", "id"])
def test_what_the_runner_knows_of_its_run_is_not_taken_from_the_evidence(
    named: dict[str, str],
) -> None:
    evidence = attested(FORGED | named, page(EVIL))
    assert formatting.ref(facts_of(evidence, JOB)) == "topic"
    assert formatting.sha(facts_of(evidence, JOB)) == "a" * 40
    assert ref(facts_of(evidence, JOB)) == ("topic", "")
    told = {row.key: row.value for row in rows.commit(facts_of(evidence, JOB))}
    assert told["Commit"] == "a" * 40
    assert told["Branch or tag"] == "topic"
    assert told["Triggered by"] == "ada (push)"
    assert rows.commit_url(facts_of(evidence, JOB)) == f"{OURS}/lakeside/harbour/commit/{'a' * 40}"


def test_what_the_runner_knows_to_be_empty_is_empty() -> None:
    evidence = attested(FORGED | OWN)
    job = replace(JOB, ref="stranger:main", head_ref="stranger:main")
    assert ref(facts_of(evidence, job)) == ("stranger:main", "")
    assert ref(facts_of(evidence, replace(job, ref="", head_ref=""))) == ("", "")
    # One that knows nothing of the commit is no runner of GitHub's.
    assert ref(facts_of(evidence, replace(job, ref="", sha=""))) == ("main", "")


@pytest.mark.parametrize("named", [EARLIER, OTHER], ids=["earlier", "other repository"])
def test_of_another_run_the_evidence_tells(named: dict[str, str]) -> None:
    evidence = attested(FORGED | named)
    assert formatting.ref(facts_of(evidence, JOB)) == "main"
    assert formatting.sha(facts_of(evidence, JOB)) == "f" * 40
    told = {row.key: row.value for row in rows.commit(facts_of(evidence, JOB))}
    assert told["Triggered by"] == "mallory (release)"


@pytest.mark.parametrize(
    ("job", "url"),
    [
        (JOB, ""),
        (Job(), f"{EVIL}/lakeside/pier/commit/{'f' * 40}"),
        (replace(JOB, server_url=EVIL), f"{EVIL}/lakeside/pier/commit/{'f' * 40}"),
    ],
    ids=["foreign", "outside of CI", "our own"],
)
def test_a_commit_is_not_linked_on_a_foreign_host(job: Job, url: str) -> None:
    evidence = attested(FORGED | OTHER, page(EVIL, "lakeside/pier"))
    assert rows.commit_url(facts_of(evidence, job)) == url


def test_another_commit_than_the_runs_is_shown_beside_the_attested_one() -> None:
    def told(evidence: Attestation) -> str:
        return dict(row[:2] for row in rows.run(facts_of(evidence, JOB))).get("CI commit", "")

    assert told(attested(OWN, commit="b" * 40)) == "a" * 40
    assert told(attested(OWN, commit="a" * 40)) == ""
    assert told(attested(OWN)) == ""
    assert told(attested(EARLIER, commit="b" * 40)) == ""


@pytest.mark.parametrize(
    ("url", "host"),
    [
        (page(EVIL), "github.com.evil.example"),
        (page("https://github.com@evil.example"), "github.com@evil.example"),
        (page("HTTP://GitHub.Com:8443"), "github.com:8443"),
        ("https://evil.example?https://github.com/", "evil.example"),
        ("https://evil.example#github.com", "evil.example"),
        ("nonsense", ""),
        ("", ""),
    ],
)
def test_a_host_is_what_stands_between_the_slashes(url: str, host: str) -> None:
    assert url_host(url) == host


@pytest.mark.parametrize(
    ("job", "url", "words"),
    [
        (JOB, page(OURS, "lakeside/pier"), "View workflow run"),
        (JOB, page(EVIL, "lakeside/pier"), "View workflow run on github.com.evil.example"),
        (JOB, page(EVIL), "View workflow run"),
        (Job(), page(OURS), "View workflow run"),
        (Job(), page(EVIL), "View workflow run on github.com.evil.example"),
        (replace(JOB, server_url=EVIL), page(OURS, "a/b"), "View workflow run on github.com"),
    ],
)
def test_a_link_names_a_host_that_nobody_expects(job: Job, url: str, words: str) -> None:
    assert shown(attested({}, url), job)["run_link"] == words


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://app.chainloop.dev/u/x", "View attestation"),
        (
            "https://app.chainloop.dev.evil.example/u/x",
            "View attestation on app.chainloop.dev.evil.example",
        ),
    ],
)
def test_the_page_of_an_attestation_names_its_host_too(url: str, words: str) -> None:
    assert shown(replace(attested(OWN), view_url=url), JOB)["view_link"] == words


def test_without_a_page_no_host_is_named() -> None:
    context = shown(attested({}), Job())

    assert (context["run_link"], context["view_link"]) == ("View workflow run", "View attestation")


LOG = f"{OURS}/lakeside/harbour/actions/runs/7/job/8#step:3:1"


@pytest.mark.parametrize(
    ("logs", "where", "url"),
    [
        ((LOG,), "at step Push", LOG),
        # The jobs went well, or so the verdict says.
        ((LOG,), "", ""),
        ((LOG, LOG), "at step Push", ""),
        (("javascript:x",), "at step Push", ""),
        ((), "at job attest", ""),
    ],
)
def test_the_log_of_the_only_step_that_failed_is_linked(
    logs: tuple[str, ...], where: str, url: str
) -> None:
    steps = tuple(FailedStep(job="attest", name="Push", url=each) for each in logs)
    verdict = Verdict(outcome=Outcome.FAILED, where=where)
    context = shown(None, replace(JOB, failed_steps=steps), verdict)

    assert (context["log_url"], context["log_link"]) == (url, "View step log")


def test_materials_that_cannot_be_read_and_suppressed_findings_are_counted() -> None:
    suppressed = Violation(message="old", is_suppressed=True)
    evaluation = Evaluation(name="a", violations=(suppressed,) * 1_200)
    evidence = replace(
        attested({}), bad_material_count=2, policies=Policies(evaluations=(evaluation,))
    )
    context = shown(evidence, Job())

    assert context["materials_title"] == "Materials (0, 2 unreadable)"
    assert context["suppressed_title"] == "Suppressed findings (1,200)"
    assert shown(None, Job())["suppressed_title"] == ""


def shown(evidence: Attestation | None, job: Job, verdict: Verdict | None = None) -> view.Facts:
    facts = facts_of(evidence, job, verdict)
    return view.facts(Selection(facts), wording.word(facts), EnvValues.SHOW)


def test_a_template_finds_each_name_that_it_is_promised() -> None:
    assert shown(None, Job()).keys() == view.Facts.__annotations__.keys()
    assert shown(None, JOB)["verdict"] == facts_of(None, JOB).verdict


@pytest.mark.parametrize(
    ("policies", "title", "note"),
    [
        (Policies(), "Policy evaluations (0)", "No policies apply to this attestation."),
        (
            Policies(reference="sha256:aa"),
            "Policy evaluations",
            "Not part of this evidence; the details are stored in Chainloop under sha256:aa",
        ),
        (Policies(has_violations=True), "Policy evaluations", "There are violations."),
        (
            Policies(evaluation_count=3, violation_count=1_200),
            "Policy evaluations (3)",
            "1,200 violations.",
        ),
        (
            Policies(evaluation_count=1_234, suppressed_count=2),
            "Policy evaluations (1,234, 2 suppressed)",
            "No violations.",
        ),
        (
            Policies(evaluations=(Evaluation(name="a"),), evaluation_count=1),
            "Policy evaluations (1)",
            "",
        ),
    ],
)
def test_the_policies_have_a_heading_and_a_note_where_none_is_listed(
    policies: Policies, title: str, note: str
) -> None:
    facts = shown(Attestation(shape="test", is_recorded=True, policies=policies), Job())
    assert (facts["policies_title"], facts["policies_note"]) == (title, note)


@pytest.mark.parametrize(
    ("job", "byline"),
    [
        (
            replace(JOB, workflow="Release"),
            (
                Fact("", "Release on topic at "),
                Fact("", "aaaaaaa", "", f"{OURS}/lakeside/harbour/commit/{'a' * 40}"),
            ),
        ),
        (Job(workflow="Release", sha="a" * 40), (Fact("", "Release at aaaaaaa"),)),
        (Job(workflow="Release"), (Fact("", "Release"),)),
        (Job(), ()),
    ],
)
def test_only_the_commit_of_the_byline_is_a_link(job: Job, byline: tuple[Fact, ...]) -> None:
    assert shown(None, job)["byline"] == byline


def test_only_tables_with_rows_are_shown() -> None:
    assert shown(None, Job())["sections"] == ()
    evidence = attested(OWN, commit="b" * 40)
    evidence = replace(evidence, annotations=evidence.environment, builder="chainloop.dev/cli")
    assert [each.title for each in shown(evidence, JOB)["sections"]] == [
        "Commit",
        "Run",
        "Signature",
        "Annotations",
        "Environment variables",
    ]


def test_the_mail_about_a_registration_has_its_own_footer_and_table() -> None:
    facts = facts_of(None, Job())
    rows = (Fact("Host", "smtp.example.test"),)
    context = view.registration(wording.word(facts), rows, facts.now)

    assert context["sections"] == (Section("Registration", rows),)
    assert context["footer"] == (
        "Sent by chainloop-smtp, because this address was registered with it."
    )


@pytest.mark.parametrize(
    ("variables", "url", "doubted"),
    [
        (OWN, page(EVIL), True),
        ({}, page(EVIL), True),
        (OWN, page(OURS), False),
        (OWN, "", False),
    ],
)
def test_that_the_evidence_places_this_run_elsewhere_is_a_doubt(
    variables: dict[str, str], url: str, doubted: bool
) -> None:
    why = "The evidence places this run on github.com.evil.example, but it is on github.com."
    assert doubt(attested(variables, url), JOB) == (why if doubted else "")
    assert doubt(attested(variables, url), replace(JOB, server_url="")) == ""


def test_evidence_of_a_third_run_is_doubted_whatever_started_the_run_that_is_reported() -> None:
    job = replace(JOB, event="schedule")
    assert doubt(attested(EARLIER), job, is_by_id=True) == ""
    reported = replace(job, sender=Sender(run_id="77", event="workflow_run"))
    assert doubt(attested(EARLIER), reported) == (
        "The evidence is from CI run 41, but this mail is about CI run 42."
    )
    assert doubt(attested(OWN), reported) == ""
