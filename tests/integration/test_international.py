"""Addresses beyond ASCII (RFC 6531): who gets the mail, in which form, and who does not."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from program import INPUTS, PUSHED, Program
from sink import Sink
from submission import send_one

OFFERED = ("PIPELINING", "CHUNKING", "SIZE 10000000", "8BITMIME", "SMTPUTF8", "AUTH PLAIN")
NOT_OFFERED = tuple(each for each in OFFERED if each != "SMTPUTF8")
JOERG = "jörg@example.com"
SECURITY = "security@example.com"


def given(server: Sink, **more: str) -> dict[str, str]:
    changes = {name.strip("_").replace("_", "-"): value for name, value in more.items()}
    login = {"password": server.password, "tls": "none", "attestation": PUSHED}
    return INPUTS | {"host": "127.0.0.1", "port": str(server.port)} | login | changes


def receipt(path: str) -> dict[str, Any]:
    (entry,) = json.loads(Path(path).read_bytes())["deliveries"]
    assert isinstance(entry, dict)
    return entry


@pytest.mark.parametrize(
    "extensions",
    [OFFERED, [each for each in OFFERED if each not in ("CHUNKING", "PIPELINING")]],
    ids=["everything", "one-by-one"],
)
def test_everybody_gets_the_mail_in_the_form_that_reaches_him(
    program: Program, extensions: Sequence[str]
) -> None:
    with Sink(extensions=extensions) as server:
        ended = program(
            "send",
            inputs=given(server, to=f"{SECURITY}, Jörg <{JOERG}>", cc="ops@example.com"),
            post=send_one,
        )
    assert ended.code == 0, ended.stderr
    (plain, ascii_form), (others, utf8_form) = server.taken
    # Nobody whose address is ASCII depends on what servers further on can do.
    assert plain == (SECURITY, "ops@example.com")
    assert others == (JOERG,)
    assert ascii_form.isascii()
    assert f"<{JOERG}>".encode() in utf8_form.partition(b"\r\n\r\n")[0]
    assert utf8_form.partition(b"\r\n\r\n")[2] == ascii_form.partition(b"\r\n\r\n")[2]
    # All over one connection, and only the second asks for SMTPUTF8.
    (session,) = server.sessions
    assert session.count(b"MAIL FROM") == 2
    assert session.count(b"SMTPUTF8") == session.count(b"BODY=8BITMIME SMTPUTF8") == 1

    assert json.loads(ended.outputs["accepted"]) == [SECURITY, JOERG, "ops@example.com"]
    assert ended.outputs["sent"] == "true"
    entry = receipt(ended.outputs["receipt"])
    folder = Path(ended.outputs["receipt"]).parent
    for name, form in (("eml", ascii_form), ("smtputf8", utf8_form)):
        assert (folder / entry[name]["name"]).read_bytes() == form
        assert entry[name]["sha256"] == hashlib.sha256(form).hexdigest()
        assert entry[name]["size"] == len(form)


@pytest.mark.parametrize(("require", "code"), [("all", 5), ("any", 0)])
def test_where_the_server_takes_no_such_address_the_others_get_their_mail(
    program: Program, require: str, code: int
) -> None:
    with Sink(extensions=NOT_OFFERED) as server:
        ended = program(
            "send",
            inputs=given(server, to=f"{JOERG}, {SECURITY}", require=require),
            post=send_one,
        )
    assert ended.code == code
    ((recipients, content),) = server.taken
    assert recipients == (SECURITY,)
    assert content.isascii()
    (session,) = server.sessions
    assert session.isascii()
    assert ended.outputs["accepted"] == json.dumps([SECURITY])
    assert ended.outputs["refused"] == json.dumps([JOERG])
    why = "this address is not ASCII, and the server does not accept such addresses (SMTPUTF8)"
    assert f"{JOERG}: {why}" in ended.log
    if require == "all":
        assert "Use an ASCII address of the same mailbox" in ended.stderr
    states = {
        each["address"]: each["state"] for each in receipt(ended.outputs["receipt"])["recipients"]
    }
    assert states == {JOERG: "refused", SECURITY: "accepted"}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"from_": JOERG}, f"the sender's address {JOERG}"),
        ({"envelope_from": JOERG}, f"the sender's address {JOERG}"),
        ({"from_": JOERG, "envelope_from": "bounces@example.com"}, "such as From,"),
    ],
    ids=["from", "envelope-from", "header-alone"],
)
def test_a_sender_beyond_ascii_needs_a_server_that_takes_one(
    program: Program, changes: dict[str, str], why: str
) -> None:
    with Sink(extensions=OFFERED) as server:
        ended = program("send", inputs=given(server, **changes), post=send_one)
    assert ended.code == 0, ended.stderr
    ((recipients, _),) = server.taken
    assert recipients == (SECURITY,)
    assert b" SMTPUTF8\r\n" in server.sessions[0]

    with Sink(extensions=NOT_OFFERED) as server:
        ended = program("send", inputs=given(server, **changes), post=send_one)
        rehearsed = program("check", inputs=given(server, **changes))
    assert (ended.code, rehearsed.code) == (5, 5)
    assert server.taken == []
    assert all(session.isascii() and b"RCPT" not in session for session in server.sessions)
    for log in (ended.log, rehearsed.log):
        assert f"{why} is not ASCII" in log
        assert "in ASCII, or" in log or "ASCII address, or" in log
    assert " would not be delivered. Nothing was sent." in rehearsed.failure


def test_a_form_that_is_put_off_is_tried_again_alone(program: Program) -> None:
    # One mail a connection: the second form has to come again.
    with Sink(extensions=OFFERED, most_mails=1) as server:
        ended = program("send", inputs=given(server, to=f"{SECURITY}, {JOERG}"), post=send_one)
    assert ended.code == 0, ended.stderr
    assert [recipients for recipients, _ in server.taken] == [(SECURITY,), (JOERG,)]
    assert len(server.sessions) == 2


def test_the_rehearsal_parts_them_as_a_send_would(program: Program) -> None:
    inputs = {"to": f"{JOERG}, {SECURITY}"}
    with Sink(extensions=OFFERED) as server:
        good = program("check", inputs=given(server, **inputs))
    assert good.code == 0, good.stderr
    assert "would go to 2 recipients" in good.stdout
    with Sink(extensions=NOT_OFFERED) as server:
        bad = program("check", inputs=given(server, **inputs))
        enough = program("check", inputs=given(server, **inputs, require="any"))
    assert bad.code == 5
    assert "would go to 1 of 2 recipients" in bad.stdout
    assert f"{JOERG}: this address is not ASCII" in bad.stderr
    assert enough.code == 0
    assert all(session.isascii() for session in server.sessions)
