"""Message-IDs and the roots of threads: what makes two mails one, and two mails a conversation."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chainloop_smtp.message import REPORT_NAME, CleanFacts, headers, parts, render, report
from chainloop_smtp.model.attested import (
    Annotation,
    Attestation,
    Evaluation,
    Material,
    Policies,
    Run,
    Runner,
    Violation,
    Workflow,
)
from chainloop_smtp.model.facts import (
    Changes,
    FailedStep,
    Job,
    JobResult,
    JobStatus,
    Outcome,
    Verdict,
)
from chainloop_smtp.model.mail import File, Part, TemplateFile, Templates
from chainloop_smtp.model.settings import (
    Attachment,
    Composition,
    Enclosures,
    EnvValues,
    Header,
    Mailbox,
    Options,
    Registration,
    Thread,
)
from chainloop_smtp.verdict import judge
from states import facts_of

ENTROPY = bytes(range(16))
OPTIONS = Options(
    registration=Registration(
        host="smtp.example.test",
        port=587,
        user="ci",
        password="secret",
        from_=Mailbox(addr_spec="ci@example.test"),
        to=(Mailbox(addr_spec="a@example.test"), Mailbox(addr_spec="b@example.test")),
    ),
)
ATTESTATION = Attestation(
    shape="attestation push -o json",
    is_recorded=True,
    digest="sha256:00",
    run=Run(id="8f14e45f"),
    workflow=Workflow(organization="lakeside", project="harbour", name="release"),
)
JOB = Job(
    server_url="https://github.com",
    repository="lakeside/harbour",
    workflow="Release",
    run_id="7",
    run_attempt="1",
    name="attest",
    ref="refs/heads/main",
)
PASSED = Verdict(outcome=Outcome.PASSED)
NOW = datetime(2026, 3, 12, 9, 47, 5, tzinfo=UTC)
# More than fits into a mail, so that the report joins it.
LONG = replace(
    ATTESTATION,
    policies=Policies(
        evaluations=(
            Evaluation(
                name="licences",
                violations=tuple(Violation(message=f"{each} " * 999) for each in range(30)),
            ),
        ),
        evaluation_count=1,
        violation_count=30,
        has_violations=True,
    ),
)
REPORT = Composition(enclosures=Enclosures(has_report=True))


def message_id(
    attestation: Attestation | None = ATTESTATION,
    job: Job = JOB,
    verdict: Verdict = PASSED,
    options: Options = OPTIONS,
    *,
    changes: Changes | None = None,
    note: str = "",
    enclosed: tuple[Part, ...] = (),
    templates: Templates = Templates(),  # noqa: B008  # frozen
    entropy: bytes = ENTROPY,
    route_id: str = "",
    now: datetime = NOW,
) -> str:
    """The id as the program makes it: from what the mail says, at some time."""
    facts = CleanFacts(facts_of(attestation, job, verdict, changes, now))
    digest = render(facts, options, note=note, enclosed=enclosed, templates=templates).digest
    return headers.message_id(job, options, content=digest, entropy=entropy, route_id=route_id)


def thread(mode: Thread, attestation: Attestation | None = ATTESTATION, job: Job = JOB) -> str:
    """The id of the root that the message replies to; empty without a thread."""
    options = replace(OPTIONS, composition=Composition(thread=mode))
    fields = b"".join(headers.threading(facts_of(attestation, job), options)).decode()
    return fields.partition("<")[2].partition(">")[0]


def composed(composition: Composition) -> Options:
    return replace(OPTIONS, composition=composition)


def template(name: str, text: str) -> Templates:
    return Templates(folder="mail", files=(TemplateFile(name=name, text=text),))


def registered(**more: object) -> Options:
    return replace(OPTIONS, registration=replace(OPTIONS.registration, **more))  # type: ignore[arg-type]  # a test's own


# --- Message-ID --------------------------------------------------------------------------------


def test_the_same_mail_has_the_same_id_whenever_it_is_made() -> None:
    first = message_id()

    assert re.fullmatch(r"[0-9a-f]{32}@example\.test", first)
    assert message_id(entropy=bytes(16)) == first
    assert message_id(now=NOW + timedelta(hours=1)) == first


def test_a_step_that_github_names_just_once_makes_no_other_mail() -> None:
    failed = replace(JOB, status=JobStatus.FAILURE)
    named = replace(failed, failed_steps=(FailedStep(job="attest", name="Push"),))
    ids = {message_id(None, each, judge(None, each)) for each in (failed, named)}
    assert len(ids) == 1


@pytest.mark.parametrize("attestation", [ATTESTATION, LONG], ids=["whole", "cut"])
def test_the_report_says_when_it_was_made_and_makes_no_other_mail(
    attestation: Attestation,
) -> None:
    def made(now: datetime) -> str:
        whole = report(facts_of(attestation, JOB, PASSED, now=now), EnvValues.SHOW)
        enclosed = parts([File(name=REPORT_NAME, content=whole)])
        return message_id(attestation, options=composed(REPORT), enclosed=enclosed, now=now)

    assert made(NOW) == made(NOW + timedelta(hours=1))
    assert message_id(attestation, now=NOW) == message_id(attestation, now=NOW + timedelta(hours=1))


DIFFERENT: dict[str, Callable[[], str]] = {
    "another run": lambda: message_id(job=replace(JOB, run_id="8")),
    "another attempt": lambda: message_id(job=replace(JOB, run_attempt="2")),
    "another job": lambda: message_id(job=replace(JOB, name="tell")),
    "another repository": lambda: message_id(job=replace(JOB, repository="lakeside/boats")),
    "another workflow attested": lambda: message_id(
        replace(ATTESTATION, workflow=replace(ATTESTATION.workflow, name="nightly"))
    ),
    "another attested run": lambda: message_id(replace(ATTESTATION, run=Run(id="9a"))),
    "another digest": lambda: message_id(replace(ATTESTATION, digest="sha256:01")),
    "nothing attested": lambda: message_id(None),
    "another outcome": lambda: message_id(verdict=Verdict(outcome=Outcome.FAILED)),
    "another server": lambda: message_id(options=registered(host="smtp2.example.test")),
    "another port": lambda: message_id(options=registered(port=465)),
    "another sender": lambda: message_id(
        options=registered(from_=Mailbox(addr_spec="cd@example.test"))
    ),
    "another recipient": lambda: message_id(
        options=registered(to=(Mailbox(addr_spec="c@example.test"),))
    ),
    "a job that another mail needs": lambda: message_id(
        job=replace(JOB, needs=(JobResult(name="build", result=JobStatus.SUCCESS),))
    ),
    "another result of that job": lambda: message_id(
        job=replace(JOB, needs=(JobResult(name="build", result=JobStatus.SKIPPED),))
    ),
    "another job status": lambda: message_id(job=replace(JOB, status=JobStatus.SUCCESS)),
    "another project of a run without evidence": lambda: message_id(
        None, replace(JOB, chainloop_project="a")
    ),
    "another workflow of a run without evidence": lambda: message_id(
        None, replace(JOB, chainloop_workflow="a")
    ),
    "another material": lambda: message_id(
        replace(ATTESTATION, materials=(Material(name="image"),))
    ),
    "another violation": lambda: message_id(LONG),
    "another doubt": lambda: message_id(verdict=replace(PASSED, doubt="It is left over.")),
    "a comparison": lambda: message_id(
        changes=Changes(previous=Attestation(shape="x", is_recorded=True))
    ),
    "a note": lambda: message_id(note="Sent because of a change."),
    "a subject": lambda: message_id(templates=Templates(subject="a")),
    "another subject": lambda: message_id(templates=Templates(subject="b")),
    "a template": lambda: message_id(templates=template("mail.txt.j2", "a")),
    "another text of it": lambda: message_id(templates=template("mail.txt.j2", "b")),
    "a template for the summary": lambda: message_id(templates=template("summary.md.j2", "a")),
    "an attached file": lambda: message_id(enclosed=parts([File(name="a", content=b"a")])),
    "another name of it": lambda: message_id(enclosed=parts([File(name="b", content=b"a")])),
    "other content of it": lambda: message_id(enclosed=parts([File(name="a", content=b"b")])),
    "a file named as the report": lambda: message_id(
        enclosed=parts([File(name=REPORT_NAME, content=b"a")])
    ),
    "the report": lambda: message_id(
        options=composed(REPORT), enclosed=parts([File(name=REPORT_NAME, content=b"a")])
    ),
    "a header": lambda: message_id(
        options=composed(Composition(headers=(Header(name="X-Team", value="a"),)))
    ),
    "another value of it": lambda: message_id(
        options=composed(Composition(headers=(Header(name="X-Team", value="b"),)))
    ),
    "an address for replies": lambda: message_id(
        options=composed(Composition(reply_to=(Mailbox(addr_spec="a@example.test"),)))
    ),
    "another way to show the environment": lambda: message_id(
        options=composed(Composition(env_values=EnvValues.NAMES))
    ),
    "another thread": lambda: message_id(options=composed(Composition(thread=Thread.NONE))),
    "another envelope": lambda: message_id(
        options=replace(OPTIONS, envelope_from=Mailbox(addr_spec="bounces@example.test"))
    ),
    "another attachment of the file": lambda: message_id(route_id="a"),
    "a copy": lambda: message_id(
        options=replace(OPTIONS, attachment=Attachment(cc=(Mailbox(addr_spec="b@example.test"),)))
    ),
}


def test_another_mail_has_another_id() -> None:
    names: dict[str, list[str]] = {message_id(): ["this mail"]}
    for name, make in DIFFERENT.items():
        names.setdefault(make(), []).append(name)

    assert [each for each in names.values() if len(each) > 1] == []


def test_how_the_route_is_written_makes_no_other_mail() -> None:
    boxes = tuple(replace(each, name="Named") for each in reversed(OPTIONS.registration.to))

    assert message_id(options=registered(to=boxes, host="SMTP.example.test")) == message_id()
    assert message_id(options=registered(user="cd", password="other")) == message_id()


def test_an_attachment_of_no_configuration_file_adds_nothing_to_the_id() -> None:
    assert message_id(route_id="") == message_id()
    assert len(headers.random_id("a.test", bytes(40))) == 32 + len("@a.test")


def test_an_id_proves_no_blind_copy_to_whoever_guesses_it() -> None:
    options = replace(OPTIONS, bcc=(Mailbox(addr_spec="audit@example.test"),))

    assert message_id(options=options) == message_id()


def test_outside_of_ci_every_mail_is_one_of_its_own() -> None:
    job = replace(JOB, run_id="")

    assert message_id(job=job) == f"{ENTROPY.hex()}@example.test"
    assert message_id(job=job, entropy=bytes(16)) == f"{'00' * 16}@example.test"


def test_what_no_encoding_carries_still_has_an_id() -> None:
    workflow = replace(ATTESTATION.workflow, project="\ud800")

    assert message_id(replace(ATTESTATION, workflow=workflow)).endswith("@example.test")


# --- threads -----------------------------------------------------------------------------------


def test_the_attempts_of_one_run_are_one_thread_whatever_they_attest() -> None:
    root = thread(Thread.RUN)

    assert re.fullmatch(r"thread-[0-9a-f]{32}@example\.test", root)
    assert thread(Thread.RUN, job=replace(JOB, run_attempt="2", name="tell")) == root
    assert thread(Thread.RUN, None) == root
    assert thread(Thread.RUN, replace(ATTESTATION, run=Run(id="9a"), digest="")) == root
    assert thread(Thread.RUN, job=replace(JOB, run_id="8")) != root
    assert thread(Thread.RUN, job=replace(JOB, repository="lakeside/boats")) != root


def test_a_mail_sent_by_another_run_joins_the_thread_of_the_attested_one() -> None:
    environment = (
        Annotation(name="GITHUB_REPOSITORY", value="lakeside/harbour"),
        Annotation(name="GITHUB_RUN_ID", value="7"),
    )
    elsewhere = replace(JOB, repository="lakeside/mails", run_id="99")

    assert thread(Thread.RUN, replace(ATTESTATION, environment=environment), elsewhere) == thread(
        Thread.RUN
    )


def test_without_ci_the_attested_run_is_the_thread() -> None:
    root = thread(Thread.RUN, job=Job())

    assert root
    assert root != thread(Thread.RUN)
    assert thread(Thread.RUN, replace(ATTESTATION, run=Run(id="9a")), Job()) != root
    assert thread(Thread.RUN, replace(ATTESTATION, run=Run()), Job()) == ""
    assert thread(Thread.RUN, None, Job()) == ""


def test_the_runs_of_one_branch_are_one_thread() -> None:
    root = thread(Thread.REF)

    later = replace(ATTESTATION, run=Run(id="9a"), digest="sha256:01")
    assert thread(Thread.REF, later, replace(JOB, run_id="8", sha="aa")) == root
    assert root != thread(Thread.RUN)
    whose = ATTESTATION.workflow
    for workflow in (
        replace(whose, organization="other"),
        replace(whose, project="other"),
        replace(whose, name="other"),
    ):
        assert thread(Thread.REF, replace(ATTESTATION, workflow=workflow)) != root
    for ref in ("refs/heads/next", "refs/tags/main", "refs/pull/7/merge"):
        assert thread(Thread.REF, job=replace(JOB, ref=ref)) != root


def test_without_a_branch_there_is_no_thread_of_it() -> None:
    assert thread(Thread.REF, job=replace(JOB, ref="")) == ""
    assert thread(Thread.REF, None)


def test_none_is_no_thread() -> None:
    assert thread(Thread.NONE) == ""


def test_by_a_fixed_clock_the_same_mail_has_the_same_id_outside_a_ci_run_too() -> None:
    first = message_id(job=Job(), entropy=b"")

    assert message_id(job=Job(), entropy=b"") == first
    assert message_id(job=Job(), verdict=Verdict(outcome=Outcome.BLOCKED), entropy=b"") != first
    assert headers.random_id("example.test", b"") == f"{'0' * 32}@example.test"


def test_a_thread_that_an_earlier_version_began_goes_on() -> None:
    assert thread(Thread.RUN) == "thread-aa80a73599691bfa4cab27a5f1c07c0d@example.test"
    assert thread(Thread.RUN, job=Job()) == "thread-9c9c1c4e9bae5897415cc77893ca83a0@example.test"
    assert thread(Thread.REF) == "thread-f0536d51a1b051031601bfa2a60302fe@example.test"


def test_the_runs_of_another_ci_have_a_thread_each() -> None:
    def evidence(pipeline: str, run_id: str = "9b") -> Attestation:
        url = f"https://gitlab.example.com/lakeside/harbour/-/pipelines/{pipeline}"
        variables = (Annotation(name="CI_PIPELINE_URL", value=url),) if pipeline else ()
        return replace(
            ATTESTATION,
            run=Run(id=run_id),
            runner=Runner(type="GITLAB_PIPELINE"),
            environment=variables,
        )

    first = thread(Thread.RUN, evidence("41"))
    assert thread(Thread.RUN, evidence("41", "9c")) == first
    assert thread(Thread.RUN, evidence("42")) != first
    # Without its CI run, evidence is of its Chainloop run, and not of the run that mails it.
    bare = {thread(Thread.RUN, evidence("", "9b")), thread(Thread.RUN, evidence("", "9c"))}
    assert len({first, thread(Thread.RUN), *bare}) == 4
