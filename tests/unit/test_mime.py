"""Octets of a mail, for whatever values: RFC 5322, 2045, 2046 and 2047, by Python's own parser."""

import email
import email.policy
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from email.utils import getaddresses
from inspect import signature
from typing import cast
from unicodedata import category

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chainloop_smtp.message import mime
from chainloop_smtp.model.settings import Mailbox

NOW = datetime(2026, 3, 12, 9, 46, 32, tzinfo=UTC)
BOUNDARY = "=_0123456789abcdef"

anything = st.text(max_size=400)
# Blanks, breaks, and what means something to a header, to a mail server, or to quoted-printable.
hostile = st.text(
    st.sampled_from(list(' \t\r\n\v\f\x00\x1b\x7f\x85\u2028.=?_-"\\<>(),:;@éÿ漢😀\u200daAzZ09')),
    max_size=300,
)
values = st.one_of(anything, hostile)
addresses = st.sampled_from(
    [
        "a@example.test",
        '"a b"@example.test',
        '"a\\"b"@example.test',
        "o'brien+tag@xn--bcher-kva.example",
        "x@[192.0.2.1]",
        "l" * 64 + "@" + ".".join(["d" * 60] * 3) + ".test",
    ]
)
mailboxes = st.builds(Mailbox, addr_spec=addresses, name=values)


def a_message(
    *,
    subject: str = "hello",
    sender: Mailbox | None = None,
    to: list[Mailbox] | None = None,
    text: str = "text\n",
    html: str = "<p>html</p>\n",
) -> bytes:
    headers = [
        mime.date(NOW),
        mime.mailboxes("From", [sender or Mailbox(addr_spec="a@example.test")]),
        mime.mailboxes("To", to or [Mailbox(addr_spec="b@example.test")]),
        mime.structured("Message-ID", "<1@example.test>"),
        mime.unstructured("Subject", subject),
    ]
    return mime.message(headers, text, html, BOUNDARY)


def parsed(octets: bytes) -> tuple[EmailMessage, Message]:
    """By both of Python's readings, neither of which finds fault with it."""
    modern = email.message_from_bytes(octets, policy=email.policy.default)
    classic = email.message_from_bytes(octets, policy=email.policy.compat32)
    for message in (modern, classic):
        for part in message.walk():
            assert part.defects == []
    for name in modern:
        assert modern[name].defects == ()
    return modern, classic


def as_one_line(value: str) -> str:
    """What a header surely carries of a value: what is printed, and single blanks."""
    ends = ("Cc", "Zl", "Zp")
    return " ".join("".join(" " if category(c) in ends else c for c in value).split())


def read_addresses(header: str) -> list[tuple[str, str]]:
    """As Python reads them. Its newer, strict way knows no domain literals behind a name."""
    strict = {"strict": False} if "strict" in signature(getaddresses).parameters else {}
    return getaddresses([re.sub(r"\r\n(?=[ \t])", "", header)], **strict)


def decoded(header: str) -> str:
    return str(make_header(decode_header(header)))


def check_octets(octets: bytes) -> None:
    """7-bit, lines ended by CRLF and by nothing else, none too long."""
    assert octets.isascii()
    assert b"\r" not in octets.replace(b"\r\n", b"")
    assert b"\n" not in octets.replace(b"\r\n", b"")
    assert b"\0" not in octets
    assert octets.endswith(b"\r\n")
    assert max(map(len, octets.split(b"\r\n"))) <= 998


def check_header_lines(octets: bytes) -> None:
    """At most 78 columns, unless a single word is longer or stands right behind the name."""
    head = octets.partition(b"\r\n\r\n")[0]
    for line in head.split(b"\r\n"):
        if len(line) > 78:
            words = line.split(b" ")
            assert len(words) <= 2
            assert words[0] == b"" or words[0].endswith(b":")
        assert line.strip() != b""


@given(values)
@example("")
@example("=?utf-8?q?Hello?=")
@example("a" * 76)
@example("a" * 77)
@example("x " * 400 + "é")
def test_a_subject_arrives_as_it_was(subject: str) -> None:
    octets = a_message(subject=subject)
    modern, classic = parsed(octets)

    check_octets(octets)
    check_header_lines(octets)
    assert as_one_line(modern["Subject"]) == as_one_line(subject)
    assert as_one_line(decoded(classic["Subject"])) == as_one_line(subject)
    assert "\n" not in modern["Subject"]


@given(mailboxes, st.lists(mailboxes, min_size=1, max_size=5))
@example(Mailbox(addr_spec="a@example.test", name="\r\nBcc: x@y.z"), [Mailbox(addr_spec="b@c.d")])
@example(Mailbox(addr_spec="a@example.test", name="x " * 600), [Mailbox(addr_spec="b@c.d")])
@example(Mailbox(addr_spec="a@example.test", name='"'), [Mailbox(addr_spec="b@c.d", name="\\")])
def test_names_and_addresses_arrive_as_they_were(sender: Mailbox, to: list[Mailbox]) -> None:
    octets = a_message(sender=sender, to=to)
    modern, classic = parsed(octets)

    check_octets(octets)
    check_header_lines(octets)
    for name, members in (("From", [sender]), ("To", to)):
        specs = [each.addr_spec for each in members]
        names = [as_one_line(each.name) for each in members]
        assert [each.addr_spec for each in modern[name].addresses] == specs
        # Python 3.11 keeps a blank between two encoded-words of a name, against RFC 2047
        # section 6.2; the classic reading below does not.
        assert [_packed(as_one_line(each.display_name)) for each in modern[name].addresses] == list(
            map(_packed, names)
        )
        read = read_addresses(classic[name])
        assert [as_one_line(decoded(phrase)) for phrase, _ in read] == names


international = st.builds(
    Mailbox,
    addr_spec=st.sampled_from(["jörg@example.test", "用户@example.test", "ü" * 32 + "@b.test"]),
    name=values,
)


@given(st.lists(st.one_of(mailboxes, international), min_size=1, max_size=5))
def test_addresses_beyond_ascii_arrive_in_utf_8(to: list[Mailbox]) -> None:
    octets = mime.mailboxes("To", to)

    assert octets.count(b"\r\n") == octets.count(b"\n") == octets.count(b"\r")
    assert max(map(len, octets.split(b"\r\n"))) <= 998
    read = read_addresses(octets.decode().removeprefix("To:"))
    assert [spec for _, spec in read] == [each.addr_spec for each in to]
    assert [as_one_line(decoded(phrase)) for phrase, _ in read] == [
        as_one_line(each.name) for each in to
    ]


@given(st.lists(st.one_of(mailboxes, international), min_size=1, max_size=5))
def test_where_ascii_is_wanted_they_are_the_names_of_empty_groups(to: list[Mailbox]) -> None:
    octets = mime.mailboxes("To", to, is_ascii=True) + b"\r\n"

    check_header_lines(octets)
    message = email.message_from_bytes(octets, policy=email.policy.default)
    field = message["To"]
    assert field.defects == ()
    plain = [each.addr_spec for each in to if each.addr_spec.isascii()]
    assert [each.addr_spec for each in field.addresses] == plain
    groups = [each.display_name for each in field.groups if not each.addresses]
    assert list(map(_packed, groups)) == [
        _packed(as_one_line(str(each))) for each in to if not each.addr_spec.isascii()
    ]


def _packed(text: str) -> str:
    return "".join(text.split())


@given(values, values)
@example("a" * 74 + " \n", "a" * 75 + "\t\nb")
@example("a" * 76 + " ", " " * 500)
@example("a\r\nb\nc", "a\rb\n")
@example(".\n..\n.", "From me\n--=_0123456789abcdef--\n")
@example("=" * 200, "é" * 200)
def test_text_and_html_arrive_as_they_were(text: str, html: str) -> None:
    octets = a_message(text=text, html=html)
    modern, classic = parsed(octets)

    check_octets(octets)
    for reading in (modern, classic):
        plain, rich = cast(list[Message], reading.get_payload())
        for part, kind, value in ((plain, "text/plain", text), (rich, "text/html", html)):
            assert part.get_content_type() == kind
            assert part.get_content_charset() == "utf-8"
            body = cast(bytes, part.get_payload(decode=True)).decode()
            assert body.replace("\r\n", "\n") == _with_line_feeds(value)
    for line in octets.partition(b"\r\n\r\n")[2].split(b"\r\n"):
        assert len(line) <= 76 or line.startswith(b"Content-")


def _with_line_feeds(text: str) -> str:
    unified = text.replace("\r\n", "\n").replace("\r", "\n")
    return unified.encode("utf-8", "replace").decode()


@given(values, mailboxes, st.lists(mailboxes, min_size=1, max_size=3))
def test_no_value_makes_a_header_more_or_less(
    subject: str, sender: Mailbox, to: list[Mailbox]
) -> None:
    modern, classic = parsed(a_message(subject=subject, sender=sender, to=to))

    expected = ["Date", "From", "To", "Message-ID", "Subject", "MIME-Version", "Content-Type"]
    assert modern.keys() == classic.keys() == expected


@given(values.filter(lambda value: not as_one_line(value).isascii()), st.integers(0, 60))
def test_encoded_words_are_short_and_hold_whole_characters(value: str, length: int) -> None:
    name = "X" * length + "Subject"
    octets = mime.unstructured(name, value)

    words = octets.decode().partition(":")[2].split()
    assert all(re.fullmatch(r"=\?utf-8\?[qb]\?[!-~]*\?=", word) for word in words)
    assert all(len(word) <= 75 for word in words)
    for word in words:
        ((piece, charset),) = decode_header(word)
        assert charset == "utf-8"
        assert isinstance(piece, bytes)
        piece.decode("utf-8")


@pytest.mark.parametrize(
    ("write", "lengths"),
    [
        (lambda: mime.unstructured("X-Note-Of-The-Run", "漢" * 40), [75, 73, 69]),
        (lambda: mime.named("X-Note-Of-The-Run", "漢" * 40, "id"), [75, 73, 74]),
        (
            lambda: mime.mailboxes("X-Note-To", [Mailbox(addr_spec="a@b.test", name="漢" * 40)]),
            [75, 73, 72],
        ),
        (
            lambda: mime.mailboxes(
                "X-Note-To", [Mailbox(addr_spec="漢@b.test", name="漢" * 30)], is_ascii=True
            ),
            [75, 73, 44],
        ),
    ],
    ids=["free text", "a phrase", "a name", "an address"],
)
def test_encoded_words_fill_their_lines(write: Callable[[], bytes], lengths: list[int]) -> None:
    assert [len(line) for line in write().split(b"\r\n")[:-1]] == lengths


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        ("a" * 76, f"X: {'a' * 76}\r\n"),
        ("a" * 77, f"X: =?utf-8?q?{'a' * 63}?=\r\n =?utf-8?q?{'a' * 14}?=\r\n"),
        (f"{'a' * 30} {'b' * 44}", f"X: {'a' * 30} {'b' * 44}\r\n"),
        (f"{'a' * 30} {'b' * 45}", f"X: {'a' * 30}\r\n {'b' * 45}\r\n"),
        ("a =?b", "X: =?utf-8?b?YSA9P2I=?=\r\n"),
    ],
)
def test_a_word_that_fits_no_line_is_encoded(value: str, wire: str) -> None:
    assert mime.unstructured("X", value).decode() == wire


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("", b"From: a@example.test\r\n"),
        ("Reports", b"From: Reports <a@example.test>\r\n"),
        ("Doe, Jane", b'From: "Doe, Jane" <a@example.test>\r\n'),
        ('J. "JD" \\ Doe', b'From: "J. \\"JD\\" \\\\ Doe" <a@example.test>\r\n'),
        ("Jürgen", b"From: =?utf-8?q?J=C3=BCrgen?= <a@example.test>\r\n"),
        ("漢字", b"From: =?utf-8?b?5ryi5a2X?= <a@example.test>\r\n"),
        ("\x00", b"From: <a@example.test>\r\n"),
    ],
)
def test_a_display_name_takes_the_plainest_form_that_carries_it(name: str, wire: bytes) -> None:
    assert mime.mailboxes("From", [Mailbox(addr_spec="a@example.test", name=name)]) == wire


@pytest.mark.parametrize(
    ("is_ascii", "wire"),
    [
        (False, "To: a@example.test, =?utf-8?b?SsO2cmc=?= <jörg@example.test>, ö@b.test\r\n"),
        (
            True,
            "To: a@example.test, =?utf-8?b?SsO2cmcgPGrDtnJnQGV4YW1wbGUudGVzdD4=?= :;,\r\n"
            " =?utf-8?b?w7ZAYi50ZXN0?= :;\r\n",
        ),
    ],
    ids=["utf-8", "ascii"],
)
def test_an_address_beyond_ascii_takes_the_form_that_is_wanted(is_ascii: bool, wire: str) -> None:
    members = [
        Mailbox(addr_spec="a@example.test"),
        Mailbox(addr_spec="jörg@example.test", name="Jörg"),
        Mailbox(addr_spec="ö@b.test"),
    ]
    assert mime.mailboxes("To", members, is_ascii=is_ascii).decode() == wire


@pytest.mark.parametrize("value", ["\ud800", "a\udfff b", "\ud800" * 200])
def test_half_a_character_breaks_nothing(value: str) -> None:
    octets = a_message(
        subject=value, sender=Mailbox(addr_spec="a@b.test", name=value), text=value, html=value
    )

    check_octets(octets)
    parsed(octets)


def test_an_address_list_folds_between_its_members() -> None:
    members = [Mailbox(addr_spec=f"somebody.{number}@example.test") for number in range(5)]

    assert mime.mailboxes("Cc", members) == (
        b"Cc: somebody.0@example.test, somebody.1@example.test, somebody.2@example.test,\r\n"
        b" somebody.3@example.test, somebody.4@example.test\r\n"
    )


@pytest.mark.parametrize(
    ("moment", "wire"),
    [
        (NOW, b"Date: Thu, 12 Mar 2026 09:46:32 +0000\r\n"),
        (datetime(2024, 2, 29, tzinfo=UTC), b"Date: Thu, 29 Feb 2024 00:00:00 +0000\r\n"),
        (datetime(2000, 12, 1, 1, 2, 3, tzinfo=UTC), b"Date: Fri, 01 Dec 2000 01:02:03 +0000\r\n"),
        *(
            (
                datetime(2026, 3, 9 + number, tzinfo=UTC),
                f"Date: {day}, {9 + number:02} Mar 2026 00:00:00 +0000\r\n".encode(),
            )
            for number, day in enumerate(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"])
        ),
    ],
)
def test_a_date_is_written_in_english_whatever_the_locale(moment: datetime, wire: bytes) -> None:
    assert mime.date(moment) == wire


def test_the_plainest_part_stands_first_and_the_message_is_closed() -> None:
    octets = a_message(text="a\n", html="b\n")

    assert octets.endswith(
        b'Content-Type: multipart/alternative;\r\n boundary="=_0123456789abcdef"\r\n\r\n'
        b"--=_0123456789abcdef\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
        b"a\r\n\r\n"
        b"--=_0123456789abcdef\r\n"
        b"Content-Type: text/html; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
        b"b\r\n\r\n"
        b"--=_0123456789abcdef--\r\n"
    )


@given(values)
@example("é" + "漢" * 60)
@example("a" + "é漢😀" * 30)
def test_only_the_last_of_several_encoded_words_is_padded(value: str) -> None:
    words = mime.unstructured("Subject", value).split()[1:]

    assert [each for each in words[:-1] if each.endswith(b"=?=")] == []
