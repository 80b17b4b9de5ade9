"""Decisions and results -> what the log and the job summary say of one mail, and of many."""

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from chainloop_smtp.ci import Console
from chainloop_smtp.cli import summary
from chainloop_smtp.cli.results import NOT_MADE, Failure, RouteResult
from chainloop_smtp.cli.routes import PlannedMail, Route
from chainloop_smtp.cli.run import Run
from chainloop_smtp.cli.run_facts import RunReport
from chainloop_smtp.errors import DeliveryError, MessageError, OptionsError, Problem
from chainloop_smtp.model.attested import Attestation, Evidence, Workflow
from chainloop_smtp.model.entries import Conditions
from chainloop_smtp.model.facts import Decision, Job, RunFacts
from chainloop_smtp.model.mail import (
    Delivery,
    Mail,
    RecipientResult,
    RecipientStatus,
    Reply,
    Templates,
    TransactionResult,
)
from chainloop_smtp.model.settings import Attachment, Mailbox, Options, Registration
from chainloop_smtp.verdict import judge
from states import with_policies

A, B, C = "a@example.com", "b@example.com", "c@example.com"
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
NO_MAILBOX = Reply(code=550, enhanced="5.1.1", text="no such *mailbox*")
NOT_DELIVERED = "The mail was not delivered"
SENT = "through smtp.example.com:587"
FILE = "chainloop-smtp.yml"


class Log:
    """A run, and what it printed outside of GitHub Actions."""

    def __init__(self) -> None:
        self._out, self._err = io.StringIO(), io.StringIO()
        self.run = Run(
            arguments=SimpleNamespace(),
            environ={},
            console=Console({}, stdout=self._out, stderr=self._err),
            stdin=io.BytesIO(),
            deliver=lambda *_, **__: iter(()),
            connect=None,
        )

    @property
    def stdout(self) -> str:
        return self._out.getvalue()

    @property
    def stderr(self) -> str:
        return self._err.getvalue()


def report(number: int = 0, label: str = "", attested: Attestation | None = None) -> RunReport:
    facts = RunFacts(job=Job(), verdict=judge(attested, Job()), attestation=attested, now=NOW)
    return RunReport(
        facts=facts, evidence=Evidence(), people={}, is_dry_run=False, number=number, label=label
    )


def planned(
    name: str = "",
    *,
    line: int = 0,
    of: RunReport | None = None,
    reason: str = "",
    note: str = "",
    missing: tuple[Problem, ...] = (),
    is_required: bool = True,
) -> PlannedMail:
    """A mail to a and b: of the inputs, or through the registration of that name."""
    registration = Registration(
        host="smtp.example.com",
        port=587,
        user="jane",
        password="",
        from_=Mailbox(addr_spec="r@example.com"),
        to=(Mailbox(addr_spec=A),),
    )
    options = Options(
        registration=registration,
        attachment=Attachment(cc=(Mailbox(addr_spec=B),)),
        bcc=(Mailbox(addr_spec=C),),
        fail_on_error=is_required,
    )
    route = Route(
        name=name,
        place=f"{FILE}:{line}" if line else "",
        id="",
        conditions=Conditions(),
        options=options,
        templates=Templates(),
        missing=missing,
    )
    return PlannedMail(
        report=of or report(), route=route, decision=Decision(reason=reason, note=note)
    )


def mail(summary: str = "### Evidence") -> Mail:
    return Mail(
        sender="r@example.com",
        recipients=(A, B, C),
        hidden=(C,),
        message_id="<1@example.com>",
        subject="s",
        content=b"",
        text="",
        html="",
        summary=summary,
    )


def took(*recipients: str) -> tuple[RecipientResult, ...]:
    accepted = RecipientStatus.ACCEPTED
    return tuple(RecipientResult(recipient=each, status=accepted) for each in recipients)


def refused(*recipients: str) -> tuple[RecipientResult, ...]:
    status = RecipientStatus.REFUSED
    return tuple(
        RecipientResult(recipient=each, status=status, reply=NO_MAILBOX) for each in recipients
    )


def delivered(
    *results: RecipientResult, notes: tuple[str, ...] = (), summary: str = "### Evidence"
) -> Delivery:
    server = "smtp.example.com:587"
    tried = TransactionResult(
        started=NOW, ended=NOW + timedelta(seconds=1), server=server, notes=notes
    )
    return Delivery(mail=mail(summary), results=results, transactions=(tried,))


def error(*whys: str) -> DeliveryError:
    return DeliveryError(*(Problem(A, each, "Ask *them*.") for each in whys), title=NOT_DELIVERED)


# --- a single mail -----------------------------------------------------------------------------


def test_the_summary_of_a_mail_that_went_begins_with_the_evidence() -> None:
    delivery = delivered(*took(A, B), notes=("no *DSN*",))
    assert summary.of_one(RouteResult(planned=planned(), delivery=delivery)) == (
        "### Evidence\n"
        f"Sent to 2 recipients {SENT} (no TLS) in 1.00 s.\n"
        "\n- smtp.example.com:587: no \\*DSN\\*\n"
    )


def test_the_summary_of_a_mail_that_did_not_go_begins_with_why() -> None:
    result = RouteResult(
        planned=planned(), delivery=delivered(*refused(A)), failure=error("no *mailbox*")
    )
    assert summary.of_one(result) == (
        "The mail was not delivered.\n"
        "\n- a@example.com: no \\*mailbox\\*\n  Ask \\*them\\*.\n"
        "\n### Evidence"
    )


def test_the_log_of_a_mail_that_went_says_who_did_not_get_it() -> None:
    log = Log()
    delivery = delivered(*took(A), *refused(B, C), notes=("no DSN",))
    summary.log_one(log.run, RouteResult(planned=planned(), delivery=delivery))
    sent = f"Sent to 1 recipient {SENT} (no TLS) in 1.00 s. Not delivered: 2 refused.\n"
    assert log.stdout == sent
    assert log.stderr == (
        "smtp.example.com:587: no DSN\n"
        "recipient refused: b@example.com: 550 5.1.1 no such *mailbox*\n"
        "recipient refused: bcc recipient 1: 550 5.1.1\n"
    )


@pytest.mark.parametrize("is_required", [True, False])
def test_the_log_of_a_mail_that_did_not_go_names_its_file(is_required: bool) -> None:
    log = Log()
    result = RouteResult(
        planned=planned(is_required=is_required),
        delivery=delivered(*refused(A)),
        eml="out/s.eml",
        failure=error("no mailbox"),
    )
    summary.log_one(log.run, result)
    assert log.stdout == "The mail was saved: out/s.eml\n"
    # One that is required is printed as the step's error.
    warning = "The mail was not delivered: a@example.com: no mailbox\n  Ask *them*.\n"
    assert log.stderr == ("" if is_required else warning)


@pytest.mark.parametrize("is_required", [True, False])
def test_the_log_of_an_interrupted_mail_has_no_warning(is_required: bool) -> None:
    log = Log()
    delivery = replace(delivered(*refused(A)), is_interrupted=True)
    result = RouteResult(
        planned=planned(is_required=is_required),
        delivery=delivery,
        eml="out/s.eml",
        failure=error("no mailbox"),
    )
    summary.log_one(log.run, result)
    interrupted = "Interrupted: sent to 0 of 1; 1 refused.\n"
    assert log.stdout == f"{interrupted}The mail was saved: out/s.eml\n"
    assert log.stderr == ""


# --- many mails --------------------------------------------------------------------------------


def results_of_five() -> list[RouteResult]:
    """One that went, one that went in part, one that did not, one not needed, one not made."""
    first, second = report(0, "ship 1"), report(1, "ship *2*")
    return [
        RouteResult(
            planned=planned("security", line=3, of=first, is_required=False),
            delivery=delivered(*took(A, B), notes=("no DSN",)),
        ),
        RouteResult(
            planned=planned("legal", line=4, of=first),
            delivery=delivered(*took(A), *refused(B, C), notes=("no DSN", "no *8BITMIME*")),
        ),
        RouteResult(
            planned=planned("security", line=3, of=second, is_required=False),
            delivery=delivered(*refused(A), summary="### Second"),
            failure=error("no *mailbox*", "no luck"),
        ),
        RouteResult(
            planned=planned("legal", line=4, of=second),
            delivery=Delivery(mail=mail("### Second"), results=()),
            skipped="already *sent*",
        ),
        RouteResult(
            planned=planned("other", line=5, of=second),
            failure=MessageError(Problem("subject", "is empty", "Write one.")),
        ),
    ]


def test_the_summary_of_many_mails_has_each_runs_evidence_and_the_failed_mails_first() -> None:
    assert summary.of_many(results_of_five()) == (
        "### Evidence\n### Second\n**5 mails**\n\n"
        "| registration | to | result |\n"
        "| --- | --- | --- |\n"
        "| ship \\*2\\*: security | a@example.com, b@example.com | the mail was not delivered"
        "<br>a@example.com: no \\*mailbox\\*<br>a@example.com: no luck |\n"
        "| ship \\*2\\*: other | a@example.com, b@example.com | the mail cannot be written"
        "<br>subject: is empty |\n"
        "| ship 1: security | a@example.com, b@example.com | sent to 2 recipients "
        f"{SENT} |\n"
        "| ship 1: legal | a@example.com, b@example.com | sent to 1 recipient "
        f"{SENT}, refused for b@example.com, bcc recipient 1 |\n"
        "| ship \\*2\\*: legal | a@example.com, b@example.com | not sent: already \\*sent\\* |\n"
        "\n- smtp.example.com:587: no DSN"
        "\n- smtp.example.com:587: no \\*8BITMIME\\*\n"
    )


def test_the_log_of_many_mails_counts_them_and_warns_once() -> None:
    log = Log()
    summary.log_many(log.run, results_of_five())
    assert log.stdout == "2 of 5 mails sent, 2 failed, 1 not needed.\n"
    assert log.stderr == (
        "smtp.example.com:587: no DSN\n"
        "smtp.example.com:587: no *8BITMIME*\n"
        "ship *2*: security: The mail was not delivered: a@example.com: no *mailbox*\n"
        "  Ask *them*.\n"
        "a@example.com: no luck\n"
        "  Ask *them*.\n"
    )
    log = Log()
    summary.log_many(log.run, results_of_five()[:2])
    assert log.stdout == "2 of 2 mails sent, 0 failed.\n"


def test_a_mail_without_a_reason_is_a_row_without_words() -> None:
    nothing = RouteResult(planned=planned("security"), delivery=Delivery(mail=mail(), results=()))
    assert "| security | a@example.com, b@example.com |  |\n" in summary.of_many([nothing])


def test_the_summary_shows_the_evidence_of_ten_runs_and_of_no_mail_that_was_not_made() -> None:
    results = [
        RouteResult(
            planned=planned(of=report(number)),
            delivery=Delivery(mail=mail(f"run {number}"), results=()) if number else NOT_MADE,
        )
        for number in range(12)
    ]
    assert summary.evidence(results) == tuple(f"run {number}" for number in range(1, 11))


@pytest.mark.parametrize(("number", "more"), [(200, ""), (203, "| … | 3 more | |\n")])
def test_the_summary_shows_two_hundred_mails(number: int, more: str) -> None:
    every = [planned(label) for label in map(str, range(number))]
    text = summary.of_decisions(every)
    assert text.startswith(
        "| registration | to | decision |\n| --- | --- | --- |\n"
        "| 0 | a@example.com, b@example.com | would be sent |\n"
    )
    assert text.endswith(f"| 199 | a@example.com, b@example.com | would be sent |\n{more}")


@pytest.mark.parametrize(
    ("every", "path", "text"),
    [
        (
            [planned(of=report(0)), planned(of=report(1), reason="no")],
            "",
            "1 of 2 runs are mailed.",
        ),
        (
            [planned("a"), planned("b"), planned("c", reason="no")],
            FILE,
            f"2 of 3 attachments in {FILE} apply.",
        ),
        (
            [planned("a", of=report(0)), planned("a", of=report(1), reason="no")],
            FILE,
            f"1 of 2 attachments in {FILE} apply, each for 2 runs.",
        ),
    ],
    ids=["runs", "attachments", "attachments of runs"],
)
def test_how_many_mails_are_sent_is_announced(
    every: list[PlannedMail], path: str, text: str
) -> None:
    assert summary.announcement(every, path) == text


def test_each_of_twenty_mails_is_a_line_of_the_log() -> None:
    log = Log()
    went, _, failed, skipped, unmade = results_of_five()
    for number, each in enumerate((went, failed, skipped, unmade), 1):
        summary.log_progress(log.run, each, number, 20)
    assert log.stdout == (
        f"ship 1: security ({FILE}:3): sent to 2 recipients {SENT}\n"
        f"ship *2*: security ({FILE}:3): the mail was not delivered\n"
        f"ship *2*: legal ({FILE}:4): not sent: already *sent*\n"
        f"ship *2*: other ({FILE}:5): the mail cannot be written\n"
    )
    assert log.stderr == ""


def test_of_more_mails_the_log_has_the_first_failures_and_the_progress() -> None:
    log = Log()
    went, _, failed, *_ = results_of_five()
    for number in range(1, 33):
        summary.log_progress(log.run, failed if number in (3, 20, 21) else went, number, 32)
    assert log.stdout == f"ship *2*: security ({FILE}:3): the mail was not delivered\n" * 2
    progress = (*range(6, 31, 3), 32)
    assert log.stderr == "".join(f"{number} of 32 mails\n" for number in progress)


def test_all_failures_are_one_error_of_the_gravest_kind() -> None:
    delivery, message = results_of_five()[2], results_of_five()[4]
    options = RouteResult(planned=planned("x"), failure=OptionsError(Problem("to", "is empty")))
    for failed, kind in (
        ([options, message, delivery], DeliveryError),
        ([options, message], MessageError),
        ([options], OptionsError),
    ):
        failure: Failure = summary.failure_of_many(failed, 7)
        assert type(failure) is kind
        why = (
            "not sent: invalid options" if kind is OptionsError else "did not reach all recipients"
        )
        assert failure.title == f"{len(failed)} of 7 mails {why}"
    failure = summary.failure_of_many([options, message, delivery], 7)
    assert failure.problems == (
        Problem("x: to", "is empty"),
        Problem(f"ship *2*: other ({FILE}:5): subject", "is empty", "Write one."),
        Problem(f"ship *2*: security ({FILE}:3): a@example.com", "no *mailbox*", "Ask *them*."),
        Problem(f"ship *2*: security ({FILE}:3): a@example.com", "no luck", "Ask *them*."),
    )


@pytest.mark.parametrize("number", [20, 23])
def test_one_error_has_twenty_problems(number: int) -> None:
    failed = RouteResult(planned=planned("x"), failure=error(*map(str, range(number))))
    problems = summary.failure_of_many([failed], 1).problems
    assert [each.why for each in problems[:20]] == list(map(str, range(20)))
    more = Problem("and", "3 more problems are in the receipt and the job summary")
    assert problems[20:] == ((more,) if number > 20 else ())


@pytest.mark.parametrize("number", [20, 21])
def test_mails_that_nobody_gets_are_one_warning(number: int) -> None:
    log = Log()
    results = [
        RouteResult(planned=planned("x", line=line), skipped="nobody") for line in range(1, number)
    ]
    # One of the inputs has no place in a file.
    results.append(RouteResult(planned=planned(of=report(label="ship 1")), skipped="nobody"))
    results.append(RouteResult(planned=planned("y", line=99), skipped="sent before"))
    summary.warn_nobody(log.run, results, "nobody")
    places = [f"{FILE}:{line}" for line in range(1, number)] + ["ship 1"]
    listed = ", ".join(places[:20]) + (", …" if number > 20 else "")
    assert log.stderr == f"no recipients: No mail is sent for {listed}: nobody.\n"


def test_where_everybody_gets_a_mail_there_is_no_warning() -> None:
    log = Log()
    summary.warn_nobody(log.run, results_of_five(), "nobody")
    assert log.stderr == ""


# --- decisions ---------------------------------------------------------------------------------

UNSET = (Problem("password", "A is not set"), Problem("user", "B is not set"))


def test_the_decisions_on_a_file_are_a_table_with_the_place_of_each_attachment() -> None:
    every = [
        planned("security", line=3),
        planned("legal", line=4, reason="the branch is *main*"),
        planned("other", line=5, missing=UNSET),
        planned("last", line=6, note="Sent anyway."),
        planned("both", line=7, reason="the branch is main", missing=UNSET),
    ]
    log = Log()
    summary.log_decisions(log.run, every)
    assert log.stdout.splitlines() == [
        "ATTACHMENT            REGISTRATION  TO                            DECISION",
        f"{FILE}:3  security      a@example.com, b@example.com  would be sent",
        f"{FILE}:4  legal         a@example.com, b@example.com  not sent: the branch is *main*",
        f"{FILE}:5  other         a@example.com, b@example.com  cannot be sent: A is not set; "
        "B is not set",
        f"{FILE}:6  last          a@example.com, b@example.com  would be sent. Sent anyway.",
        f"{FILE}:7  both          a@example.com, b@example.com  not sent: the branch is main",
    ]
    assert summary.of_decisions(every[:2]) == (
        "| registration | to | decision |\n"
        "| --- | --- | --- |\n"
        "| security | a@example.com, b@example.com | would be sent |\n"
        "| legal | a@example.com, b@example.com | not sent: the branch is \\*main\\* |\n"
    )


def test_the_decisions_on_runs_are_a_table_without_places() -> None:
    log = Log()
    every = [planned(of=report(0, "ship 1")), planned(of=report(1, "ship 2"), reason="it passed")]
    summary.log_decisions(log.run, every)
    assert log.stdout.splitlines() == [
        "RUN     TO                            DECISION",
        "ship 1  a@example.com, b@example.com  would be sent",
        "ship 2  a@example.com, b@example.com  not sent: it passed",
    ]
    assert summary.of_decisions(every).startswith("| run | to | decision |\n")


NONE_OF_TWO = f"None of the 2 attachments in {FILE} apply"


def attested(name: str = "", project: str = "") -> Attestation:
    return replace(with_policies(), workflow=Workflow(name=name, project=project))


@pytest.mark.parametrize(
    ("reports", "text", "stream"),
    [
        (
            [report(attested=attested("ship", "harbour"))],
            f"{NONE_OF_TWO}; the log says why. This run belongs to workflow ship and project "
            "harbour.",
            "stdout",
        ),
        (
            [report(attested=attested("ship"))],
            f"{NONE_OF_TWO}; the log says why. This run belongs to workflow ship.",
            "stdout",
        ),
        ([report(attested=attested())], f"{NONE_OF_TWO}; the log says why.", "stdout"),
        (
            [report(0, attested=attested("ship")), report(1, attested=attested("gate"))],
            f"{NONE_OF_TWO} to any of 2 runs; the log says why.",
            "stdout",
        ),
        (
            [report()],
            f"{NONE_OF_TWO}; the log says why. To get mail about runs without an attestation, add "
            "an attachment without workflow and project, or set both in the step.",
            "stderr",
        ),
    ],
    ids=["named", "no project", "no names", "two runs", "no attestation"],
)
def test_where_no_attachment_applies_the_log_says_so(
    reports: list[RunReport], text: str, stream: str
) -> None:
    log = Log()
    every = [planned(name, line=3, of=each, reason="no") for each in reports for name in ("x", "y")]
    summary.warn_none_applies(log.run, every, FILE)
    assert getattr(log, stream).splitlines()[-1] == f"no mail is sent: {text}"
    assert log.stdout.splitlines()[0].split() == ["ATTACHMENT", "REGISTRATION", "TO", "DECISION"]


def test_where_the_only_attachment_does_not_apply_the_log_says_so() -> None:
    log = Log()
    one = report(attested=attested("ship"))
    summary.warn_none_applies(log.run, [planned("x", line=3, of=one, reason="no")], FILE)
    assert log.stdout.splitlines()[-1] == (
        f"no mail is sent: The one attachment in {FILE} does not apply; the log says why. This "
        "run belongs to workflow ship."
    )


def test_where_there_is_no_attachment_a_warning_says_how_to_add_one() -> None:
    log = Log()
    summary.warn_none_applies(log.run, (), FILE)
    assert log.stdout == ""
    assert log.stderr == (
        f"no mail is sent: There are no attachments in {FILE}. Add one for each registration: "
        "under attachments:, write - registration: NAME.\n"
    )
