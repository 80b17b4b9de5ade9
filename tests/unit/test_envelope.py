"""What MAIL and RCPT say, and what stands in the way of a mail."""

from dataclasses import replace
from typing import Any

import pytest

from chainloop_smtp.delivery import envelope
from chainloop_smtp.delivery.letter import Letter
from chainloop_smtp.model import Dsn, Mail, State, Transport

CONTENT = b"Subject: x\r\n\r\nBody.\r\n"
EIGHT_BITS = "Subject: x\r\n\r\nä\r\n".encode()


def a_mail(content: bytes = CONTENT, message_id: str = "<1+2=3@example.test>") -> Mail:
    return Mail(
        sender="reports@example.test",
        recipients=("a@example.test", "b@example.test"),
        message_id=message_id,
        subject="x",
        content=content,
        text="",
        html="",
    )


def said(mail: Mail, *extensions: str, transport: Transport | None = None) -> list[bytes]:
    offered = dict.fromkeys(extensions, "")
    return envelope.commands(offered, transport or Transport(), mail, mail.recipients)


def why(
    content: bytes, *extensions: str, transport: Transport | None = None, is_secure: bool = True
) -> str:
    """What keeps the mail from everybody; empty when nothing does."""
    letter = Letter(a_mail(content))
    offered = dict.fromkeys(extensions, "")
    found = envelope.carried(offered, transport or Transport(), letter, is_secure=is_secure)
    fates = letter.delivery().fates
    if found:
        assert found == letter.mail.recipients
        return ""
    assert {each.state for each in fates} == {State.REFUSED}
    return fates[0].why


def test_a_server_without_extensions_gets_bare_commands() -> None:
    assert said(a_mail()) == [
        b"MAIL FROM:<reports@example.test>",
        b"RCPT TO:<a@example.test>",
        b"RCPT TO:<b@example.test>",
    ]


def test_the_size_is_that_of_the_content() -> None:
    assert said(a_mail(), "SIZE")[0].endswith(b"> SIZE=%d" % len(CONTENT))


def test_eight_bits_are_declared_where_there_are_any_and_only_there() -> None:
    assert b"8BITMIME" not in said(a_mail(), "8BITMIME")[0]
    assert said(a_mail(EIGHT_BITS), "8BITMIME")[0].endswith(b" BODY=8BITMIME")


def test_eight_bits_go_to_no_server_that_does_not_take_them() -> None:
    assert why(EIGHT_BITS, "8BITMIME") == ""
    assert "octets over 127" in why(EIGHT_BITS)


@pytest.mark.parametrize(
    ("changes", "whose"),
    [
        ({"recipients": ("jörg@example.test",)}, "this address goes"),
        ({"recipients": ("a@example.test", "jörg@example.test")}, "this address goes"),
        ({"sender": "jörg@example.test"}, "the sender's address jörg@example.test goes"),
        ({"content": "From: jörg@example.test\r\n\r\n".encode()}, "such as From, goes"),
    ],
    ids=["recipient", "one-of-two", "sender", "header"],
)
def test_an_address_beyond_ascii_is_announced_and_goes_to_no_server_that_takes_none(
    changes: dict[str, Any], whose: str
) -> None:
    mail = replace(a_mail(), **changes)
    offered = {"8BITMIME": "", "SMTPUTF8": ""}
    assert b" SMTPUTF8" not in said(a_mail(), *offered)[0]
    sender, *recipients = said(mail, *offered)
    assert sender.startswith(f"MAIL FROM:<{mail.sender}>".encode())
    assert sender.endswith(b" SMTPUTF8")
    assert (b" BODY=8BITMIME" in sender) is not mail.content.isascii()
    assert recipients == [f"RCPT TO:<{each}>".encode() for each in mail.recipients]

    letter = Letter(mail)
    assert envelope.carried(offered, Transport(), letter, is_secure=True) == mail.recipients
    assert envelope.carried({"8BITMIME": ""}, Transport(), letter, is_secure=True) == ()
    for fate in letter.delivery().fates:
        assert fate.state is State.REFUSED
        assert whose in fate.why
        assert "ASCII" in fate.hint


def test_reports_are_asked_for_under_an_id_that_leads_back() -> None:
    transport = Transport(dsn=(Dsn.SUCCESS, Dsn.FAILURE))
    assert said(a_mail(), "DSN", transport=transport) == [
        b"MAIL FROM:<reports@example.test> RET=HDRS ENVID=1+2B2+3D3@example.test",
        b"RCPT TO:<a@example.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a@example.test",
        b"RCPT TO:<b@example.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b@example.test",
    ]
    assert said(a_mail(), transport=transport) == said(a_mail())


@pytest.mark.parametrize(
    ("recipient", "original"),
    [
        ("a+b=c@example.test", "rfc822;a+2Bb+3Dc@example.test"),
        ("häfen+b=c@exämple.test", r"utf-8;häfen\x{2B}b\x{3D}c@exämple.test"),
    ],
    ids=["ascii", "beyond"],
)
def test_a_report_names_the_recipient_as_we_did(recipient: str, original: str) -> None:
    mail = replace(a_mail(), recipients=(recipient,))
    (_, rcpt) = said(mail, "DSN", "SMTPUTF8", transport=Transport(dsn=(Dsn.DELAY,)))
    assert rcpt.decode() == f"RCPT TO:<{recipient}> NOTIFY=DELAY ORCPT={original}"


def test_a_recipient_whose_escaped_name_is_too_long_is_not_named() -> None:
    mail = replace(a_mail(), recipients=("+" * 200 + "@example.test",))
    (_, rcpt) = said(mail, "DSN", transport=Transport(dsn=(Dsn.DELAY,)))
    assert rcpt.endswith(b"> NOTIFY=DELAY")


def test_an_id_that_is_too_long_to_lead_back_is_left_out() -> None:
    mail = a_mail(message_id=f"<{'x' * 90}@example.test>")
    (sender, *_) = said(mail, "DSN", transport=Transport(dsn=(Dsn.NEVER,)))
    assert sender.endswith(b"> RET=HDRS")


def test_tls_on_the_whole_way_is_asked_for() -> None:
    transport = Transport(require_tls=True)
    assert said(a_mail(), "REQUIRETLS", transport=transport)[0].endswith(b"> REQUIRETLS")


@pytest.mark.parametrize(
    ("extensions", "is_secure"), [((), True), (("REQUIRETLS",), False)], ids=["no promise", "clear"]
)
def test_without_the_promise_of_tls_nothing_is_sent(
    extensions: tuple[str, ...], is_secure: bool
) -> None:
    transport = Transport(require_tls=True)
    assert why(CONTENT, "REQUIRETLS", transport=transport) == ""
    assert "require-tls is set" in why(
        CONTENT, *extensions, transport=transport, is_secure=is_secure
    )


@pytest.mark.parametrize(
    "content",
    [b"a\n.\nb\r\n", b"a\r.\rb\r\n", b"a\r\n.\n", b"\n", b"a\r\r\n", b"a\n\r\nb"],
)
def test_no_line_end_is_left_to_taste(content: bytes) -> None:
    assert "holds a CR or LF that is no line's end" in why(content)
