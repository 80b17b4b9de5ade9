"""What MAIL and RCPT say, and what stands in the way of a mail."""

from dataclasses import replace
from typing import Any

import pytest

from chainloop_smtp.delivery import envelope
from chainloop_smtp.model.mail import Mail, Part
from chainloop_smtp.model.settings import Dsn, Transport

MAILBOX = "Use an ASCII address of the same mailbox"
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
    offered = dict.fromkeys(extensions, "")
    mail = a_mail(content)
    return envelope.obstacle(offered, transport or Transport(), mail, is_secure=is_secure)[0]


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
    assert why(EIGHT_BITS) == (
        "the mail contains bytes over 127, which the server does not accept (8BITMIME)"
    )


@pytest.mark.parametrize(
    ("changes", "whose", "hint"),
    [
        ({"recipients": ("jörg@example.test",)}, "this address", MAILBOX),
        ({"recipients": ("a@example.test", "jörg@example.test")}, "this address", MAILBOX),
        (
            {"sender": "jörg@example.test"},
            "the sender's address jörg@example.test",
            "Send from an ASCII address",
        ),
        (
            {"content": "From: jörg@example.test\r\n\r\n".encode()},
            "an address in the mail's header, such as From,",
            "Write it in ASCII",
        ),
    ],
    ids=["recipient", "one-of-two", "sender", "header"],
)
def test_an_address_beyond_ascii_is_announced_and_goes_to_no_server_that_takes_none(
    changes: dict[str, Any], whose: str, hint: str
) -> None:
    mail = replace(a_mail(), **changes)
    offered = {"8BITMIME": "", "SMTPUTF8": ""}
    assert b" SMTPUTF8" not in said(a_mail(), *offered)[0]
    sender, *recipients = said(mail, *offered)
    assert sender.startswith(f"MAIL FROM:<{mail.sender}>".encode())
    assert sender.endswith(b" SMTPUTF8")
    assert (b" BODY=8BITMIME" in sender) is not mail.content.isascii()
    assert recipients == [f"RCPT TO:<{each}>".encode() for each in mail.recipients]

    assert envelope.obstacle(offered, Transport(), mail, is_secure=True) == ("", "")
    assert envelope.obstacle({"8BITMIME": ""}, Transport(), mail, is_secure=True) == (
        f"{whose} is not ASCII, and the server does not accept such addresses (SMTPUTF8)",
        f"{hint}, or send through a server that offers it.",
    )


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
    assert why(CONTENT, *extensions, transport=transport, is_secure=is_secure) == (
        "require-tls is set, but the server does not offer REQUIRETLS"
    )


@pytest.mark.parametrize(
    "content",
    [b"a\n.\nb\r\n", b"a\r.\rb\r\n", b"a\r\n.\n", b"\n", b"a\r\r\n", b"a\n\r\nb"],
)
def test_no_line_end_is_left_to_taste(content: bytes) -> None:
    assert (
        why(content) == "the mail contains a CR or LF that does not end a line, so it is not sent"
    )


@pytest.mark.parametrize(("length", "is_named"), [(100, True), (101, False)])
def test_an_id_may_have_a_hundred_characters(length: int, is_named: bool) -> None:
    mail = a_mail(message_id=f"<{'x' * length}>")
    (sender, *_) = said(mail, "DSN", transport=Transport(dsn=(Dsn.NEVER,)))
    assert sender.endswith(b"x" * length) is is_named


@pytest.mark.parametrize(("length", "is_named"), [(493, True), (494, False)])
def test_a_recipients_own_name_may_have_500_characters(length: int, is_named: bool) -> None:
    mail = replace(a_mail(), recipients=("x" * length,))
    (_, rcpt) = said(mail, "DSN", transport=Transport(dsn=(Dsn.DELAY,)))
    assert (b"ORCPT" in rcpt) is is_named


def test_an_id_keeps_to_xtext() -> None:
    mail = a_mail(message_id="<!a b~\x7f\u00e4>")
    (sender, *_) = said(mail, "DSN", transport=Transport(dsn=(Dsn.NEVER,)))
    assert sender.endswith(b" ENVID=!a+20b~+7F+C3+A4")


@pytest.mark.parametrize(
    ("dsn", "note"),
    [
        ((), ""),
        ((Dsn.SUCCESS,), "no report of success will come"),
        ((Dsn.FAILURE,), "one of failure comes only if it sends one unasked"),
        ((Dsn.DELAY, Dsn.FAILURE), "one of failure or delay comes only if it sends one unasked"),
        (
            (Dsn.SUCCESS, Dsn.DELAY),
            "no report of success will come, and one of delay comes only if it sends one unasked",
        ),
        ((Dsn.NEVER,), "it may still report a failure"),
    ],
)
def test_what_cannot_be_asked_for_is_noted(dsn: tuple[Dsn, ...], note: str) -> None:
    wanted = (f"the server offers no DSN, so {note}",) if note else ()
    assert envelope.warnings({}, Transport(dsn=dsn)) == wanted
    assert envelope.warnings({"DSN": ""}, Transport(dsn=dsn)) == ()


def a_part(name: str, size: int) -> Part:
    return Part(name=name, content=b"x" * size, digest="", encoded=b"")


@pytest.mark.parametrize(
    ("limit", "is_taken"),
    [("21", True), ("20", False), ("0", True), ("", True), ("many", True), ("-1", True)],
)
def test_a_size_that_the_server_names_is_kept(limit: str, is_taken: bool) -> None:
    sizes = {"a.txt": 1000, "b.txt": 3000, "c.txt": 2, "d.txt": 2000}
    mail = replace(a_mail(), parts=tuple(a_part(*each) for each in sizes.items()))
    assert len(mail.content) == 21
    too_large = (
        "the mail has 21 bytes, the server accepts 20",
        "The largest attachments: b.txt (3,000 bytes), d.txt (2,000 bytes), a.txt (1,000 "
        "bytes). Attach less.",
    )
    obstacle = envelope.obstacle({"SIZE": limit}, Transport(), mail, is_secure=True)
    assert obstacle == (("", "") if is_taken else too_large)


def test_a_mail_that_is_too_large_without_attachments_has_none_to_leave_out() -> None:
    why, hint = envelope.obstacle({"SIZE": "1"}, Transport(), a_mail(), is_secure=True)
    assert (bool(why), hint) == (True, "")
