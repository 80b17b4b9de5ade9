"""`workflow-run-id: new`: one schedule after the other, each of which mails what has ended."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from builders import commit_subject
from chainloop_smtp.errors import Problem
from chainloop_smtp.model.mail import Delivery, Mail, RecipientResult, RecipientStatus
from chainloop_smtp.model.settings import Registration, Transport
from chainloopcommand import Chainloop
from inputs import RELAY
from program import Ended, Post, Program, never, parsed, refusal, text_of
from sink import Fault, Sink

STATE = Path("state.json")
FILE = Path("chainloop-smtp.yml")
NEW = {"workflow-run-id": "new", "state-file": str(STATE)}
# A job that sends the mails, and is none that they are about.
JOB = {
    "GITHUB_RUN_ID": "7",
    "GITHUB_RUN_ATTEMPT": "1",
    "GITHUB_REPOSITORY": "lakeside/postroom",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_WORKFLOW": "Postal round",
    "GITHUB_JOB": "round",
    "GITHUB_REF": "refs/heads/rounds",
    "GITHUB_EVENT_NAME": "schedule",
}
HEAD = """
registrations:
  - {name: ops, host: smtp.example.com, port: 587, auth: none, from: r@example.com}
  - {name: other, host: other.example.com, port: 587, auth: none, from: r@example.com}
attachments:
"""

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the command is a shell script")


@pytest.fixture
def chainloop(tmp_path: Path) -> Chainloop:
    return Chainloop(tmp_path / "tools")


@pytest.fixture
def scheduled(program: Program, chainloop: Chainloop) -> Callable[..., Ended]:
    """One schedule: the inputs' own mail to one address, or what a configuration file says."""

    def run(
        post: object, text: str = "", environ: dict[str, str] | None = None, **inputs: str
    ) -> Ended:
        given = NEW | {name.replace("_", "-"): value for name, value in inputs.items()}
        if text:
            FILE.write_text(HEAD + text, "utf-8")
            given |= {"config": str(FILE)}
        else:
            given = RELAY | given
        return program("send", inputs=given, environ=chainloop.environ | (environ or {}), post=post)

    return run


def names(mails: Iterable[Mail]) -> list[str]:
    """The workflows that mails are about, in their order."""
    return [parsed(each.content)["X-Chainloop-Workflow"] for each in mails]


def state() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(STATE.read_text("utf-8"))
    return found


Scheduled = Callable[..., Ended]


def test_each_schedule_mails_what_has_ended_since_the_last_one(
    chainloop: Chainloop, scheduled: Scheduled
) -> None:
    chainloop.has(1, minutes=9)
    chainloop.has(2, minutes=8)
    post = Post()
    ended = scheduled(post)
    assert ended.code == 0, ended.stderr
    assert names(post.mails) == ["workflow-1", "workflow-2"]
    # No mail goes ahead of the reply to the one before.
    assert [each.window for each in post.transports] == [1, 1]
    assert ended.outputs["sent"] == "true"
    assert ended.outputs["outcome"] == "attested\nattested"
    assert len(ended.outputs["message-id"].splitlines()) == 2
    assert json.loads(ended.outputs["accepted"]) == ["security@example.com"]
    assert len(json.loads(Path(ended.outputs["receipt"]).read_text())["deliveries"]) == 2
    chainloop.has(3, minutes=1)
    post = Post()
    assert scheduled(post).code == 0
    assert names(post.mails) == ["workflow-3"]
    ended = scheduled(never)
    assert ended.code == 0
    assert ended.outputs["skipped"] == "no run has ended since the last time"
    assert "No run has ended since the last time." in ended.log


def test_a_run_in_progress_waits_until_it_ends(chainloop: Chainloop, scheduled: Scheduled) -> None:
    chainloop.has(1, minutes=300, state="in progress")
    chainloop.has(2, minutes=100)
    post = Post()
    assert scheduled(post).code == 0
    chainloop.has(3, minutes=1)
    assert scheduled(post).code == 0
    chainloop.has(1, minutes=300)
    assert scheduled(post).code == 0
    assert scheduled(post).code == 0
    assert names(post.mails) == ["workflow-2", "workflow-3", "workflow-1"]


@pytest.mark.parametrize(
    ("word", "outcome"), [("failed", "failed"), ("expired", "failed"), ("canceled", "cancelled")]
)
def test_runs_that_did_not_go_well_are_mailed_with_nothing_of_the_job_that_mails(
    chainloop: Chainloop, scheduled: Scheduled, word: str, outcome: str
) -> None:
    chainloop.has(1, state=word)
    post = Post()
    ended = scheduled(post, environ=JOB, job_status="failure", needs="failure")
    assert ended.code == 0, ended.stderr
    assert ended.outputs["outcome"] == outcome
    assert names(post.mails) == ["workflow-1"]
    text = text_of(post.mails[0].content)
    assert not [each for each in ("postroom", "Postal", "rounds", "round") if each in text]


@pytest.mark.parametrize("whom", ["author", "contributors"])
def test_nobody_is_mailed_for_having_pushed_to_the_repository_of_the_schedule(
    chainloop: Chainloop, scheduled: Scheduled, tmp_path: Path, whom: str
) -> None:
    chainloop.has(1, state="failed", minutes=9)
    chainloop.has(2)
    pushed = {"head_commit": {"author": {"name": "Pat", "email": "pat@example.com"}}}
    event = tmp_path / "event.json"
    event.write_text(json.dumps(pushed))
    environ = JOB | {"GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": str(event)}
    post = Post()
    ended = scheduled(post, environ=environ, to=whom)
    assert ended.code == 0, ended.stderr
    (mail,) = post.mails
    assert names([mail]) == ["workflow-2"]
    assert mail.recipients == (commit_subject()["annotations"]["author.email"],)


def test_the_runs_are_those_of_the_given_project_and_workflow(
    chainloop: Chainloop, scheduled: Scheduled
) -> None:
    chainloop.has(1)
    assert scheduled(Post(), project="harbour", workflow="workflow-1").code == 0
    names = "--workflow=workflow-1 --project=harbour"
    assert chainloop.calls[0] == f"workflow run list {names} --limit=50 -o json"


def test_hundreds_of_runs_are_mailed_once_each_the_oldest_first(
    chainloop: Chainloop, scheduled: Scheduled
) -> None:
    every = range(1, 121)
    for number in every:
        chainloop.has(number, minutes=55 - number / 3)
    post = Post()
    ended = scheduled(post)
    assert ended.code == 0
    assert names(post.mails) == [f"workflow-{number}" for number in every]
    assert len([each for each in chainloop.calls if " list " in each]) == 3
    counts = [f"{number} of 120 runs" for number in range(20, 121, 20)]
    assert [each for each in ended.log.splitlines() if each.endswith(" runs")] == counts
    assert "sent to 1 recipient" not in ended.log
    assert scheduled(never).code == 0


def test_up_to_twenty_runs_have_a_line_each(chainloop: Chainloop, scheduled: Scheduled) -> None:
    for number in range(1, 21):
        chainloop.has(number, minutes=55 - number)
    ended = scheduled(Post())
    assert ended.code == 0
    sent = [each for each in ended.log.splitlines() if ": sent to 1 recipient through " in each]
    assert len(sent) == 20
    assert " of 20 runs" not in ended.log


# --- failures ----------------------------------------------------------------------------------

TWO = """
  - {registration: ops, to: [a@example.com, b@example.com]}
  - {registration: other, to: c@example.com}
"""


def sent(post: Post) -> Counter[tuple[str, str]]:
    """How often each mailbox was offered the mail of each workflow."""
    return Counter(
        (name, recipient)
        for name, mail in zip(names(post.mails), post.mails, strict=True)
        for recipient in mail.recipients
    )


def test_a_failed_delivery_is_tried_again_for_those_alone_who_did_not_get_it(
    chainloop: Chainloop, scheduled: Scheduled
) -> None:
    chainloop.has(1)
    post = Post(refused=(refusal("b@example.com"),))
    ended = scheduled(post, TWO)
    assert ended.code == 5
    assert sum(sent(post).values()) == 3
    assert "a@example.com" not in STATE.read_text("utf-8")
    chainloop.has(2, minutes=1)
    post = Post()
    ended = scheduled(post, TWO)
    assert ended.code == 0, ended.stderr
    assert sent(post) == {
        ("workflow-1", "b@example.com"): 1,
        ("workflow-2", "a@example.com"): 1,
        ("workflow-2", "b@example.com"): 1,
        ("workflow-2", "c@example.com"): 1,
    }
    assert "): not sent: already sent, according to the state file\n" in ended.stdout
    assert scheduled(never, TWO).code == 0


def test_with_fail_on_error_false_it_is_tried_again_too(
    chainloop: Chainloop, scheduled: Scheduled
) -> None:
    chainloop.has(1)
    refused = Post(refused=(refusal("security@example.com"),))
    assert scheduled(refused, fail_on_error="false").code == 0
    post = Post()
    assert scheduled(post, fail_on_error="false").code == 0
    assert len(post.mails) == 1


def test_one_recipient_is_enough_where_any_is_required(
    chainloop: Chainloop, scheduled: Scheduled
) -> None:
    chainloop.has(1)
    to = "a@example.com, b@example.com"
    assert scheduled(Post(refused=(refusal("b@example.com"),)), to=to, require="any").code == 0
    assert scheduled(never, to=to, require="any").code == 0


def test_an_attachment_whose_address_is_mended_is_not_mailed_again_to_the_others(
    chainloop: Chainloop, scheduled: Scheduled
) -> None:
    chainloop.has(1)
    wrong = "  - {registration: ops, to: [a@example.com, wrong@example.com]}\n"
    assert scheduled(Post(refused=(refusal("wrong@example.com"),)), wrong).code == 5
    post = Post()
    right = wrong.replace("wrong", "right") + "  - {registration: other, to: a@example.com}\n"
    assert scheduled(post, right).code == 0
    assert sorted(
        (each.host, m.recipients) for each, m in zip(post.registrations, post.mails, strict=True)
    ) == [
        ("other.example.com", ("a@example.com",)),
        ("smtp.example.com", ("right@example.com",)),
    ]


class Silent(Post):
    """The server never says whether it took the mail."""

    def __call__(
        self, mail: Mail, registration: Registration, transport: Transport, **more: Any
    ) -> Delivery:
        unknown = RecipientStatus.UNKNOWN
        results = tuple(RecipientResult(recipient=r, status=unknown) for r in mail.recipients)
        made = super().__call__(mail, registration, transport, **more)
        return Delivery(mail=mail, results=results, transactions=made.transactions)


def test_a_mail_of_which_nobody_knows_whether_it_came_is_not_sent_twice(
    chainloop: Chainloop, scheduled: Scheduled
) -> None:
    chainloop.has(1)
    ended = scheduled(Silent())
    assert ended.code == 5
    assert "is not known" in ended.failure
    assert scheduled(never).code == 0


def test_a_server_that_takes_nothing_ends_the_schedule_and_the_next_one_goes_on(
    chainloop: Chainloop, scheduled: Scheduled
) -> None:
    for number in range(1, 46):
        chainloop.has(number, minutes=50 - number)
    post = Post(trouble=Problem("smtp.example.com:587", "connection refused"))
    ended = scheduled(post)
    assert ended.code == 5
    assert len(post.mails) == 20
    assert "25 runs are left for the next time." in ended.log
    post = Post()
    assert scheduled(post).code == 0
    order = [*range(21, 46), *range(1, 21)]
    assert names(post.mails) == [f"workflow-{number}" for number in order]


@pytest.mark.parametrize("whom", ["to: [a@example.com, b@example.com]", "to: author"])
def test_twenty_runs_whose_mails_reach_somebody_or_concern_nobody_do_not_end_the_schedule(
    chainloop: Chainloop, scheduled: Scheduled, whom: str
) -> None:
    is_author = whom == "to: author"
    for number in range(1, 22):
        # The run that failed names no author.
        state = "failed" if is_author and number < 21 else "success"
        chainloop.has(number, minutes=50 - number, state=state)
    post = Post(refused=() if is_author else (refusal("b@example.com"),))
    scheduled(post, f"  - {{registration: ops, {whom}}}\n")
    every = range(21 if is_author else 1, 22)
    assert names(post.mails) == [f"workflow-{number}" for number in every]


def test_twenty_runs_to_which_no_attachment_applies_do_not_end_the_schedule(
    chainloop: Chainloop, scheduled: Scheduled
) -> None:
    for number in range(1, 22):
        chainloop.has(number, minutes=50 - number)
    post = Post()
    text = "  - {registration: ops, to: a@example.com, workflow: workflow-21}\n"
    assert scheduled(post, text).code == 0
    assert names(post.mails) == ["workflow-21"]
    assert state()["owed"] == {}


def test_a_run_that_cannot_be_read_does_not_stop_the_others(
    chainloop: Chainloop, scheduled: Scheduled
) -> None:
    first = chainloop.has(1, minutes=9)
    chainloop.has(2)
    path = chainloop.folder / f"{first}.json"
    whole = path.read_bytes()
    path.write_text("{")
    post = Post()
    ended = scheduled(post)
    assert ended.code == 3
    assert f"run {first}: " in ended.failure
    assert names(post.mails) == ["workflow-2"]
    assert ended.outputs["sent"] == "false"
    path.write_bytes(whole)
    post = Post()
    assert scheduled(post).code == 0
    assert names(post.mails) == ["workflow-1"]


def test_runs_that_cannot_be_read_here_and_there_do_not_end_the_schedule(
    chainloop: Chainloop, scheduled: Scheduled
) -> None:
    for number in range(1, 7):
        run_id = chainloop.has(number, minutes=20 - number)
        if number not in (3, 6):
            (chainloop.folder / f"{run_id}.json").write_text("{")
    post = Post()
    ended = scheduled(post)
    assert ended.code == 3
    assert names(post.mails) == ["workflow-3", "workflow-6"]
    assert ended.failure.startswith("Some runs cannot be read.\n")
    assert ended.failure.count("\n  run ") == 4
    warned = [title for kind, title in ended.annotations if kind == "warning"]
    assert warned.count("a run cannot be read") == 4


def test_when_no_run_can_be_read_it_is_not_tried_for_all(
    chainloop: Chainloop, scheduled: Scheduled
) -> None:
    for number in range(1, 10):
        run_id = chainloop.has(number)
        (chainloop.folder / f"{run_id}.json").write_text("{")
    ended = scheduled(never)
    assert ended.code == 3
    assert len([each for each in chainloop.calls if " describe " in each]) == 3
    assert "6 runs are left for the next time." in ended.log


def test_a_run_that_fails_for_three_days_is_given_up(
    chainloop: Chainloop, scheduled: Scheduled
) -> None:
    run_id = chainloop.has(1)
    post = Post(refused=(refusal("security@example.com"),))
    assert scheduled(post).code == 5
    document = state()
    document["owed"][run_id]["since"] = "2026-01-02T03:04:05Z"
    STATE.write_text(json.dumps(document))
    ended = scheduled(post)
    assert ended.code == 5
    assert f"Run {run_id} has failed for three days and is not tried again." in ended.log
    assert ("warning", "given up") in ended.annotations
    assert scheduled(never).code == 0


def test_a_listing_that_fails_leaves_the_file_as_it_was(
    chainloop: Chainloop, scheduled: Scheduled
) -> None:
    chainloop.has(1)
    assert scheduled(Post()).code == 0
    before = STATE.read_bytes()
    ended = scheduled(never, environ={"CHAINLOOP_TOKEN": ""})
    assert ended.code == 3
    assert "authentication required" in ended.failure
    assert STATE.read_bytes() == before


def test_a_damaged_file_is_an_error_before_anything_is_asked_or_sent(
    chainloop: Chainloop, scheduled: Scheduled
) -> None:
    chainloop.has(1)
    STATE.write_text('{"version": 1')
    ended = scheduled(never)
    assert ended.code == 2
    assert ended.failure.splitlines()[1:] == [
        "  state-file 'state.json': is damaged",
        "    Delete it to start over: runs that ended in the last hour are then mailed, some "
        "perhaps again.",
    ]
    assert chainloop.calls == []


def test_a_dry_run_leaves_the_mails_as_files_and_the_state_as_it_is(
    chainloop: Chainloop, scheduled: Scheduled
) -> None:
    chainloop.has(1)
    ended = scheduled(never, dry_run="true")
    assert ended.code == 0, ended.stderr
    assert len(list(ended.folder.rglob("*.eml"))) == 1
    assert not STATE.exists()
    written = {each.name for each in Path().iterdir()}
    assert written == {"chainloop-smtp", "github-output", "github-summary", "tools"}


def test_runs_to_which_no_attachment_applies_are_done_with(
    chainloop: Chainloop, scheduled: Scheduled
) -> None:
    chainloop.has(1)
    ended = scheduled(never, "  - {registration: ops, to: a@example.com, workflow: none-*}\n")
    assert ended.code == 0
    assert ended.outputs["skipped"] == "these runs need no mail"
    assert state()["owed"] == {}


def test_a_schedule_that_is_interrupted_before_its_first_mail_sends_none(
    chainloop: Chainloop, scheduled: Scheduled, monkeypatch: pytest.MonkeyPatch
) -> None:
    chainloop.has(1)

    def interrupt(*_: object, **__: object) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("chainloop_smtp.source.command.describe", interrupt)
        assert scheduled(never).code == 130
    post = Post()
    assert scheduled(post).code == 0
    assert names(post.mails) == ["workflow-1"]


def test_without_any_attachment_the_runs_wait(chainloop: Chainloop, scheduled: Scheduled) -> None:
    chainloop.has(1)
    ended = scheduled(never, "  []\n")
    assert ended.code == 0
    assert "There are no attachments in chainloop-smtp.yml." in ended.log
    assert chainloop.calls == []
    assert not STATE.exists()


@pytest.mark.parametrize(
    "interrupted",
    [Post(is_interrupted=True), Post(error=KeyboardInterrupt())],
    ids=["once", "twice"],
)
def test_an_interrupted_schedule_begins_no_further_run(
    chainloop: Chainloop, scheduled: Scheduled, interrupted: Post
) -> None:
    for number in range(1, 23):
        chainloop.has(number, minutes=50 - number)
    ended = scheduled(interrupted)
    assert ended.code == 130
    assert "2 runs are left for the next time." in ended.log
    post = Post()
    assert scheduled(post).code == 0
    assert names(post.mails)[:2] == ["workflow-21", "workflow-22"]
    assert scheduled(never).code == 0


@pytest.mark.usefixtures("interruptible")
# The signal may come while the command is being started, and then nothing waits for its end.
@pytest.mark.filterwarnings("ignore:.*Popen.__del__:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("number", "mails"), [(22, 20), (1, 0)], ids=["later", "at once"])
def test_a_schedule_that_is_interrupted_while_it_reads_a_run_reports_what_was_sent(
    chainloop: Chainloop, scheduled: Scheduled, number: int, mails: int
) -> None:
    ids = [chainloop.has(each, minutes=50 - each) for each in range(1, 24)]
    chainloop.interrupt(ids[number - 1])
    post = Post()
    ended = scheduled(post)
    assert ended.code == 130
    assert len(post.mails) == mails
    assert len(ended.outputs["message-id"].splitlines()) == mails
    assert scheduled(post).code == 0
    assert names(post.mails) == [f"workflow-{each}" for each in range(1, 24)]


# --- the end in the middle ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extensions", "replies", "taken"),
    [
        # Greeting, EHLO, AUTH, and the four of a first mail: the second one is never answered.
        (("AUTH PLAIN",), 7, 1),
        # Without DATA; RSET, MAIL and RCPT of the second one are answered, and its content is not.
        (("AUTH PLAIN", "PIPELINING", "CHUNKING"), 9, 2),
    ],
    ids=["one command after the other", "whole groups"],
)
def test_a_schedule_that_is_killed_between_two_mails_goes_on_where_it_was(
    tmp_path: Path,
    chainloop: Chainloop,
    scheduled: Scheduled,
    extensions: tuple[str, ...],
    replies: int,
    taken: int,
) -> None:
    for number in range(1, 10):
        chainloop.has(number, minutes=20 - number)
    with Sink(always=Fault(replies=replies), extensions=extensions) as server:
        inputs = NEW | {
            "host": "127.0.0.1",
            "port": str(server.port),
            "tls": "none",
            "user": "ci",
            "from": RELAY["from"],
            "to": RELAY["to"],
        }
        with subprocess.Popen(
            (
                Path(sys.executable).with_name("chainloop-smtp"),
                "send",
                *(f"--{name}={value}" for name, value in inputs.items()),
            ),
            cwd=tmp_path,
            env=chainloop.environ | {"CHAINLOOP_SMTP_PASSWORD": "secret"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as started:
            ends = time.monotonic() + 60
            while not (
                STATE.exists()
                and any(each["reached"] for each in state()["owed"].values())
                and server.sessions[0].count(b"MAIL FROM") == 2
                and len(server.taken) == taken
            ):
                assert time.monotonic() < ends
                time.sleep(0.02)
            started.send_signal(signal.SIGKILL)
    # What the server could still take after the end of the client counts too.
    (session,) = server.sessions
    assert session.count(b"MAIL FROM") == 2
    assert len(server.taken) == taken
    post = Post()
    ended = scheduled(post)
    assert ended.code == 0, ended.stderr
    assert names(post.mails) == [f"workflow-{number}" for number in range(2, 10)]


def test_where_the_file_is_lost_the_mails_of_the_last_hour_come_under_the_same_ids(
    chainloop: Chainloop, scheduled: Scheduled
) -> None:
    chainloop.has(1)
    chainloop.has(2, state="failed")
    first, again = Post(), Post()
    assert scheduled(first, environ=JOB).code == 0
    STATE.unlink()
    (STATE.parent / "chainloop-smtp" / "receipt.json").unlink()
    assert scheduled(again, environ=JOB | {"GITHUB_RUN_ID": "8"}).code == 0
    ids = [each.message_id for each in first.mails]
    assert len(set(ids)) == 2
    assert [each.message_id for each in again.mails] == ids
