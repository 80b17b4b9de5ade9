"""What is not as it was asked for, though the mail goes: in the log, the summary, the receipt."""

import json
from pathlib import Path
from typing import Any

import pytest

from program import Ended, Program
from sink import Fault, Sink
from submission import FULL, send_one

NO_DSN = "the server offers no DSN, so no report of success will come"


def inputs(server: Sink, **more: str) -> dict[str, str]:
    return {
        "host": "127.0.0.1",
        "port": str(server.port),
        "tls": "none",
        "user": "ci",
        "password": "secret",
        "from": "reports@example.test",
        "to": "security@example.test",
        **{name.replace("_", "-"): value for name, value in more.items()},
    }


def attempts(ended: Ended) -> list[dict[str, Any]]:
    """Of all deliveries of the receipt."""
    receipt = json.loads(Path(ended.outputs["receipt"]).read_bytes())
    return [attempt for each in receipt["deliveries"] for attempt in each["attempts"]]


def commands(server: Sink, word: bytes) -> list[bytes]:
    lines = bytes(server.sessions[0]).split(b"\r\n")
    return [line for line in lines if line.startswith(word)]


def test_reports_that_the_server_does_not_offer_are_told_to_fail_to_come(program: Program) -> None:
    with Sink() as server:
        ended = program("send", inputs=inputs(server, dsn="success"), post=send_one)
    assert ended.code == 0
    assert len(server.taken) == 1
    assert b"RET=" not in commands(server, b"MAIL")[0]
    assert commands(server, b"RCPT") == [b"RCPT TO:<security@example.test>"]
    where = f"127.0.0.1:{server.port}"
    assert ("warning", where) in ended.annotations
    assert ended.log.count(NO_DSN) == 1
    assert ended.summary.count(NO_DSN) == 1
    (attempt,) = attempts(ended)
    assert attempt["notes"] == [NO_DSN]
    assert attempt["problem"] is None


def test_a_mail_alone_goes_over_one_connection_in_however_many_parts(program: Program) -> None:
    everyone = ", ".join(f"a{number}@example.test" for number in range(101))
    with Sink() as server:
        ended = program(
            "send", inputs=inputs(server, to=everyone, max_recipients="1"), post=send_one
        )
    assert ended.code == 0, ended.stderr
    assert len(server.taken) == 101
    assert len(server.sessions) == 1


def test_reports_that_the_server_offers_are_asked_for_and_nothing_is_said(program: Program) -> None:
    with Sink(extensions=(*FULL, "DSN")) as server:
        ended = program("send", inputs=inputs(server, dsn="success,delay"), post=send_one)
    assert ended.code == 0
    assert b" RET=HDRS ENVID=" in commands(server, b"MAIL")[0]
    asked = b" NOTIFY=SUCCESS,DELAY ORCPT=rfc822;security@example.test"
    assert commands(server, b"RCPT")[0].endswith(asked)
    assert "DSN" not in ended.log
    assert "notes" not in attempts(ended)[0]


def test_a_server_is_told_of_once_however_many_transactions_a_mail_takes(program: Program) -> None:
    everybody = ", ".join(f"r{number}@example.test" for number in range(5))
    with Sink() as server:
        given = inputs(server, dsn="success", to=everybody, max_recipients="2")
        ended = program("send", inputs=given, post=send_one)
    assert ended.code == 0
    assert len(server.taken) == 3
    assert ended.log.count(NO_DSN) == 1


def test_a_server_is_told_of_once_however_many_mails_go_there(program: Program) -> None:
    with Sink() as server:
        keys = inputs(server, dsn="success", name="relay")
        given = "\n".join(
            f"    {key}: {'{env: RELAY}' if key == 'password' else json.dumps(value)}"
            for key, value in keys.items()
        )
        attached = "\n".join(f"  - {{registration: relay, cc: c{n}@x.test}}" for n in range(3))
        text = f"registrations:\n  -\n{given}\nattachments:\n{attached}\n"
        Path("chainloop-smtp.yml").write_text(text, encoding="utf-8")
        ended = program(
            "send",
            inputs={"job-status": "success"},
            environ={"RELAY": "secret"},
            post=send_one,
        )
    assert ended.code == 0
    assert len(server.taken) == 3
    assert ended.log.count(NO_DSN) == 1
    assert ended.summary.count(NO_DSN) == 1
    assert [each["notes"] for each in attempts(ended)] == [[NO_DSN]] * 3


def test_check_says_that_no_report_will_come(program: Program) -> None:
    with Sink() as server:
        ended = program("check", inputs=inputs(server, dsn="success"))
    assert ended.code == 0
    (line,) = [each for each in ended.stdout.splitlines() if "EHLO" in each]
    assert line.startswith("! warning  EHLO ")
    assert line.endswith(f"a mail takes 1 round trip; {NO_DSN}")
    assert server.taken == []


@pytest.mark.parametrize(
    ("dsn", "told"),
    [
        ("failure", "so one of failure comes only if it sends one unasked"),
        ("failure, delay", "so one of failure or delay comes only if it sends one unasked"),
        (
            "success, failure",
            "so no report of success will come, and one of failure comes only if it sends one "
            "unasked",
        ),
        ("never", "so it may still report a failure"),
    ],
)
def test_what_is_told_is_what_was_asked_for(program: Program, dsn: str, told: str) -> None:
    with Sink() as server:
        ended = program("send", inputs=inputs(server, dsn=dsn), post=send_one)
    assert attempts(ended)[0]["notes"] == [f"the server offers no DSN, {told}"]


# --- a login that is refused by a server that needs none ---------------------------------------


def test_a_mail_that_went_without_the_login_is_told_with_what_to_mend(program: Program) -> None:
    with Sink(password="another", needs_login=False) as server:
        ended = program("send", inputs=inputs(server), post=send_one)
    assert ended.code == 0
    assert len(server.taken) == 1
    assert ended.outputs["sent"] == "true"
    told = "the server refused the login of ci: 535 5.7.8 no; it still accepted the mail"
    assert ended.log.count(told) == 1
    assert told in ended.summary
    assert f"Sent to 1 recipient through 127.0.0.1:{server.port} (no TLS) in " in ended.log
    (attempt,) = attempts(ended)
    assert attempt["mechanism"] is None
    assert attempt["notes"][0].startswith(told)
    assert attempt["problem"] == "the server refused the login of ci: 535 5.7.8 no"


def test_whom_the_server_takes_only_after_a_login_is_told_of_with_the_login(
    program: Program,
) -> None:
    relayed = ["relayed@example.test"]
    with Sink(password="another", needs_login=False, relayed=relayed) as server:
        given = inputs(server, to="security@example.test, relayed@example.test")
        ended = program("send", inputs=given, post=send_one)
    assert ended.code == 5
    assert len(server.taken) == 1
    assert json.loads(ended.outputs["accepted"]) == ["security@example.test"]
    assert "the server refused the login of ci: 535 5.7.8 no" in ended.stderr
    assert "app password or an API key" in ended.stderr
    assert "relay access denied" not in ended.stderr


def test_a_registration_says_that_its_login_was_refused(program: Program) -> None:
    with Sink(password="another", needs_login=False) as server:
        given = inputs(server)
        ended = program("integration", "registered", "add", "smtp", inputs=given, post=send_one)
    assert ended.code == 0
    assert "it still accepted the mail" in ended.log


@pytest.mark.parametrize("limit", ["ours", "the server's"])
def test_ten_transactions_of_one_mail_are_one_attempt(program: Program, limit: str) -> None:
    everybody = [f"r{number}@example.test" for number in range(20)]
    with Sink(most_recipients=2 if limit == "the server's" else 20) as server:
        given = inputs(server, to=",".join(everybody))
        given |= {"max-recipients": "2"} if limit == "ours" else {}
        ended = program("send", inputs=given, post=send_one)

    assert ended.code == 0
    assert [len(recipients) for recipients, _ in server.taken] == [2] * 10
    assert ended.outputs["attempts"] == "1"
    assert "attempts" not in ended.log
    (attempt,) = attempts(ended)
    transactions = attempt["transactions"]
    assert len(transactions) == 10
    assert sorted(attempt["recipients"]) == sorted(everybody)
    assert attempt["roundTrips"] == sum(each["roundTrips"] for each in transactions)
    assert attempt["started"] == transactions[0]["started"]
    assert attempt["ended"] == transactions[-1]["ended"]
    assert attempt["problem"] is None
    assert attempt["reply"] == {"code": 250, "enhanced": "2.0.0", "text": "queued"}


def test_a_part_of_a_mail_that_comes_at_the_second_attempt_makes_two(program: Program) -> None:
    later = Fault(answers=[(b"MAIL", b"450 4.3.2 later\r\n")])
    with Sink(extensions=("AUTH PLAIN",), faults=[later]) as server:
        given = inputs(server, to="a@example.test,b@example.test", **{"max-recipients": "1"})
        ended = program("send", inputs=given, post=send_one)

    assert ended.code == 0
    assert len(server.taken) == 2
    assert ended.outputs["attempts"] == "2"
    assert "and 2 attempts" in ended.log
    first, second = attempts(ended)
    assert len(first["transactions"]) == len(second["transactions"]) == 2
    assert "transactions" not in second["transactions"][0]


def test_the_name_for_ehlo_comes_from_the_input_or_the_file(
    program: Program, tmp_path: Path
) -> None:
    with Sink() as server:
        ended = program("send", inputs=inputs(server, ehlo_name="ci.example.com"), post=send_one)
        checked = program("check", inputs=inputs(server, ehlo_name="192.0.2.1"))
        config = tmp_path / "mails.yml"
        config.write_text(
            f"""
registrations:
  - name: one
    host: 127.0.0.1
    port: {server.port}
    tls: none
    auth: none
    from: reports@example.test
    to: security@example.test
    ehlo-name: bücher.example.com
attachments:
  - registration: one
""",
            "utf-8",
        )
        server.needs_login = False
        routed = program("send", inputs={"config": str(config)}, post=send_one)
    assert (ended.code, checked.code, routed.code) == (0, 0, 0), routed.stderr
    assert [session.split(b"\r\n")[0] for session in server.sessions] == [
        b"EHLO ci.example.com",
        b"EHLO [192.0.2.1]",
        b"EHLO xn--bcher-kva.example.com",
    ]
