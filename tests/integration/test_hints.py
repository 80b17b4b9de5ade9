"""Every rule of hints.toml, from a server's reply to what the user reads.

The server stands on loopback and bears the provider's name, which is looked up here.
"""

import json
import socket
from functools import partial
from pathlib import Path

import pytest

from chainloop_smtp import message
from hintsamples import SAMPLES, Sample
from program import PASSWORD, Ended, Program
from smtpserver import Script, Scripted, Step, Then, changed, script, until
from submission import send_one

TO = "security@example.com"
STEPS = {"mail": "mail", "rcpt": "rcpt 1", "data": "content"}
CHECKED = [each for each in SAMPLES if each.at != "data"]


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every host is this machine."""
    look_up = socket.getaddrinfo

    def loopback(host: str, port: int, **more: int) -> object:
        del host
        return look_up("127.0.0.1", port, **more)

    monkeypatch.setattr(socket, "getaddrinfo", loopback)


def dialogue(sample: Sample, *, extensions: tuple[str, ...] = ()) -> Script:
    """What the server says up to the sample, and the sample."""
    mechanism = {"password": "PLAIN", "token": "XOAUTH2", "none": ""}[sample.login]
    tls = "starttls" if sample.at == "starttls" else "none"
    steps = script(tls=tls, auth=mechanism, extensions=extensions)
    name = STEPS.get(sample.at, sample.at)
    step = Step(reply=f"{sample.reply}\r\n".encode())
    # A name may hold a blank, which `changed` writes otherwise.
    return until(changed(steps, **{name.replace(" ", "_"): step}), name)


def inputs(sample: Sample, port: int) -> dict[str, str]:
    login = {
        "password": {"user": "jane@example.com", "password": PASSWORD},
        "token": {"user": "jane@example.com", "password": "t0ken", "auth": "xoauth2"},
        "none": {"auth": "none"},
    }[sample.login]
    return {
        "host": sample.host,
        "port": str(port),
        "tls": "starttls" if sample.at == "starttls" else "none",
        "from": "Reports <reports@example.com>",
        "to": TO,
        **login,
    }


def annotations(ended: Ended) -> list[str]:
    return [line for line in ended.stdout.splitlines() if line.startswith("::error")]


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_a_send_says_what_to_change_and_knows_what_passes(program: Program, sample: Sample) -> None:
    steps = dialogue(sample)
    if sample.at in STEPS:
        steps["quit"] = Step(expect="QUIT", reply=b"221 bye\r\n", then=Then.CLOSE)
    with Scripted(steps) as server:
        once = partial(send_one, attempts=1)
        ended = program("send", inputs=inputs(sample, server.port), post=once)
    assert ended.code == 5
    assert sample.text in ended.stderr
    assert sample.hint in ended.stderr
    assert message.md(sample.hint) in ended.summary
    (annotation,) = annotations(ended)
    assert sample.hint in annotation
    receipt = json.loads(Path(ended.outputs["receipt"]).read_bytes())
    ((recipient,), (attempt,)) = (
        receipt["deliveries"][0][key] for key in ("recipients", "attempts")
    )
    assert recipient["state"] == ("deferred" if sample.is_temporary else "refused")
    assert sample.hint in (recipient.get("hint"), attempt.get("hint"))


@pytest.mark.parametrize("sample", CHECKED, ids=str)
def test_a_check_says_what_to_change(program: Program, sample: Sample) -> None:
    steps = dialogue(sample)
    if sample.at == "rcpt":
        steps["rset"] = Step(expect="RSET", reply=b"250 forgotten\r\n")
        steps["quit"] = Step(expect="QUIT", reply=b"221 bye\r\n", then=Then.CLOSE)
    with Scripted(steps) as server:
        ended = program("check", "-o", "json", inputs=inputs(sample, server.port))
    assert ended.code == 5
    assert sample.hint in ended.stderr
    assert message.md(sample.hint) in ended.summary
    (checked,) = json.loads(ended.stdout[ended.stdout.index("{") :])["checks"]
    (step,) = [each for each in checked["steps"] if each["state"] in ("failed", "deferred")]
    assert step["name"] == sample.at.upper().replace("STARTTLS", "TLS").replace(
        "GREETING", "greeting"
    )
    assert step["hint"] == sample.hint
    if sample.at in ("mail", "rcpt") and sample.code != 421:
        assert step["state"] == ("deferred" if sample.is_temporary else "failed")


@pytest.mark.parametrize("extensions", [(), ("PIPELINING",), ("PIPELINING", "CHUNKING")])
@pytest.mark.parametrize(
    ("host", "reply"),
    [
        ("smtp.gmail.com", "454 4.7.0 Too many login attempts, please try again later."),
        ("smtp.gmail.com", "421 4.7.0 Too many login attempts, please try again later."),
        ("smtp.sendgrid.net", "451 Authentication failed: Maximum credits exceeded"),
        ("mail.example.com", "454 4.7.0 Account locked"),
    ],
)
def test_a_login_that_another_one_makes_no_better_is_the_last(
    program: Program, host: str, reply: str, extensions: tuple[str, ...]
) -> None:
    sample = Sample(host=host, at="auth", login="password", reply=reply, hint="", retry=False)
    steps = dialogue(sample, extensions=extensions)
    steps["auth"] = Step(expect="AUTH PLAIN .+", reply=f"{reply}\r\n".encode(), then=Then.CLOSE)
    with Scripted(steps) as server:
        ended = program("send", inputs=inputs(sample, server.port), post=send_one)
    assert ended.code == 5
    assert ended.outputs["attempts"] == "1"
    assert server.received.count(b"AUTH PLAIN ") == 1
    assert "again in" not in ended.log
    receipt = json.loads(Path(ended.outputs["receipt"]).read_bytes())
    assert [each["state"] for each in receipt["deliveries"][0]["recipients"]] == ["refused"]


def test_what_is_refused_for_good_by_421_is_not_tried_again(program: Program) -> None:
    reply = "421 Domain x.mailgun.org is not allowed to send: Sandbox subdomains are for tests."
    sample = Sample(
        host="smtp.mailgun.org", at="rcpt", login="password", reply=reply, hint="", retry=False
    )
    with Scripted(dialogue(sample)) as server:
        ended = program("send", inputs=inputs(sample, server.port), post=send_one)
    assert ended.code == 5
    assert ended.outputs["attempts"] == "1"
    assert "Authorized Recipients" in ended.stderr
    assert "again in" not in ended.log


def test_a_502_that_means_a_rule_of_the_server_is_not_taken_for_an_unknown_command(
    program: Program,
) -> None:
    reply = "502 5.7.0 Your SMTP account is not yet activated."
    sample = Sample(
        host="smtp-relay.brevo.com", at="data", login="none", reply=reply, hint="", retry=False
    )
    steps = script(extensions=("PIPELINING", "CHUNKING"))
    steps = {name: steps[name] for name in ("greeting", "ehlo", "mail", "rcpt 1")}
    steps["content"] = Step(expect=r"BDAT \d+ LAST", reply=f"{reply}\r\n221 bye\r\n".encode())
    with Scripted({**steps, "end": Step(then=Then.SILENCE)}) as server:
        ended = program("send", inputs=inputs(sample, server.port), post=send_one)
    assert ended.code == 5
    assert ended.outputs["attempts"] == "1"
    assert "Brevo has not activated sending" in ended.stderr


def test_a_goodbye_that_comes_unasked_has_a_hint(program: Program) -> None:
    sample = Sample(host="mail.example.com", at="mail", login="none", reply="", hint="", retry=None)
    steps = until(script(extensions=("PIPELINING",)), "ehlo")
    steps["ehlo"] = Step(
        expect=r"EHLO \S+", reply=b"250-mx\r\n250 PIPELINING\r\n421 4.4.2 idle\r\n"
    )
    with Scripted(steps) as server:
        once = partial(send_one, attempts=1)
        ended = program("send", inputs=inputs(sample, server.port), post=once)
    assert "the server ends the session: 421 4.4.2 idle" in ended.stderr
    assert "The server ended the session: raise deadline" in ended.stderr
