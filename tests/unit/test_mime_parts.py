"""Attachments: whatever the file, it arrives octet for octet, under a name that is safe."""

import email
import email.policy
import re
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from typing import cast
from unicodedata import category, normalize

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chainloop_smtp.message import mime
from chainloop_smtp.message.mime import parts, safe_name
from chainloop_smtp.model.mail import File, Part

names = st.one_of(
    st.text(max_size=300),
    st.text(
        st.sampled_from(list("./\\ -_:\"'%;=?*\r\n\t\0\u202e\u200dé漢😀abcCON1¹")), max_size=200
    ),
)
contents = st.binary(max_size=400)


def a_message(attached: tuple[Part, ...]) -> bytes:
    headers = [mime.structured("Message-ID", "<1@example.test>")]
    encoded = [each.encoded for each in attached]
    return mime.message(headers, "text\n", "<p>html</p>\n", "=_0123456789abcdef", encoded)


def received(octets: bytes) -> list[tuple[EmailMessage, Message]]:
    """Every attached part by both of Python's readings, neither of which finds fault with it."""
    modern = email.message_from_bytes(octets, policy=email.policy.default)
    classic = email.message_from_bytes(octets, policy=email.policy.compat32)
    for message in (modern, classic):
        assert message.get_content_type() == "multipart/mixed"
        for part in message.walk():
            assert part.defects == []
    first, *rest = cast(list[EmailMessage], modern.get_payload())
    assert first.get_content_type() == "multipart/alternative"
    assert [each.get_content_type() for each in cast(list[Message], first.get_payload())] == [
        "text/plain",
        "text/html",
    ]
    return list(zip(rest, cast(list[Message], classic.get_payload())[1:], strict=True))


@given(st.lists(st.builds(File, name=names, content=contents), min_size=1, max_size=4))
@example([File(name="é" * 200, content=b"\n.\n"), File(name="É" * 200 + ".json", content=b"")])
@example([File(name="a" * 119 + ".b", content=b"--=_0123456789abcdef--\r\n")])
@example([File(name="a'%é\".txt", content=b"From me\n")] * 3)
def test_files_arrive_octet_for_octet_and_under_their_names(files: list[File]) -> None:
    attached = parts(files)
    octets = a_message(attached)

    assert octets.isascii()
    assert not {*b"\r\n"} & {*octets.replace(b"\r\n", b"")}
    lines = octets.split(b"\r\n")
    assert max(len(each) for each in lines if not re.match(rb' (file)?name="', each)) <= 78
    assert max(map(len, lines)) <= 140
    for file, part, readings in zip(files, attached, received(octets), strict=True):
        for reading in readings:
            assert reading.get_payload(decode=True) == file.content
            assert reading.get_filename() == part.name
            # What a reader sees that knows no Content-Disposition.
            older = str(reading.get_param("name"))
            assert "".join(str(make_header(decode_header(older))).split()) == "".join(
                part.name.split()
            )
            assert reading.get_content_disposition() == "attachment"
            assert reading.get_content_type() not in ("text/html", "image/svg+xml")


@given(names)
def test_a_name_is_safe_on_every_system(name: str) -> None:
    safe = safe_name(name)

    assert 0 < len(safe.encode()) <= 121
    assert not set(safe) & set('/\\<>:"|?*')
    assert not {category(each) for each in safe} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    assert safe == safe.strip()
    assert not safe.endswith(".")
    assert safe_name(safe) == safe == normalize("NFC", safe)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("dist/sbom.cdx.json", "sbom.cdx.json"),
        ("..\\..\\evil.txt", "evil.txt"),
        ("/etc/passwd", "passwd"),
        ("..", "attachment"),
        ("", "attachment"),
        (".env", ".env"),
        ("CON", "_CON"),
        ("nul.tar.gz", "_nul.tar.gz"),
        ("COM¹.log", "_COM¹.log"),
        ("lpt1 .txt", "_lpt1.txt"),
        ("console.log", "console.log"),
        ("bill\u202efdp.exe", "billfdp.exe"),
        ("a\r\nBcc: x@y.z", "a Bcc_ x@y.z".replace("a ", "a")),
        ('a"b;c=d.json', "a_b;c=d.json"),
        ("e\u0301.txt", "é.txt"),
        ("漢字.json", "漢字.json"),
        ("a\udcff.bin", "a.bin"),
        ("x" * 200 + ".json", "x" * 115 + ".json"),
        ("x" * 200 + ".jsön", "x" * 120),
        ("x" * 200 + "." + "e" * 15, "x" * 104 + "." + "e" * 15),
        ("x" * 200 + "." + "e" * 16, "x" * 120),
        ("é" * 100, "é" * 60),
        ("name. . .", "name"),
        ("LINUX", "LINUX"),
        ("a\u00a0 b.txt", "a b.txt"),
    ],
)
def test_a_name_keeps_what_may_stay(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_a_name_that_is_taken_gets_a_number_whatever_its_case() -> None:
    files = [
        File(name=each, content=b"") for each in ("a/x.json", "b/X.json", "x-2.json", "x.json")
    ]

    assert [each.name for each in parts(files)] == ["x.json", "X-2.json", "x-2-2.json", "x-3.json"]
    long = [File(name="y" * 200 + ".json", content=b"")] * 11
    names = [each.name for each in parts(long)]
    assert names[0] == "y" * 115 + ".json"
    assert names[1] == "y" * 113 + "-2.json"
    assert names[10] == "y" * 112 + "-11.json"


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("a.json", "application/json"),
        ("a.SARIF", "application/sarif+json"),
        ("a.xml", "application/xml"),
        ("a.zip", "application/zip"),
        ("a.tar.gz", "application/gzip"),
        ("a.pdf", "application/pdf"),
        ("a.txt", "application/octet-stream"),
        ("page.html", "application/octet-stream"),
        ("picture.svg", "application/octet-stream"),
        ("json", "application/octet-stream"),
    ],
)
def test_nothing_is_of_a_type_that_a_mail_program_runs(name: str, media_type: str) -> None:
    (part,) = parts([File(name=name, content=b"x")])

    assert part.encoded.startswith(f"Content-Type: {media_type};\r\n".encode())


def test_an_attachment_is_these_octets() -> None:
    (part,) = parts(
        [File(name="größe und gewicht der behälter im hafen von lübeck.json", content=b"{}{" * 20)]
    )

    assert part.encoded == (
        b"Content-Type: application/json;\r\n"
        b' name="=?utf-8?q?gr=C3=B6=C3=9Fe_und_gewicht_der_beh=C3=A4lter_im_hafen_von_?=\r\n'
        b' =?utf-8?b?bMO8YmVjay5qc29u?="\r\n'
        b"Content-Transfer-Encoding: base64\r\n"
        b"Content-Disposition: attachment;\r\n"
        b" filename*0*=utf-8''gr%C3%B6%C3%9Fe%20und%20gewicht%20der%20beh%C3%A4lter;\r\n"
        b" filename*1*=%20im%20hafen%20von%20l%C3%BCbeck.json\r\n\r\n" + b"e317" * 19 + b"\r\ne317"
    )


@pytest.mark.parametrize(
    ("name", "plain", "parameter"),
    [
        ("a" * 120, f'"{"a" * 120}"', f'filename="{"a" * 120}"'),
        (
            "é" + "a" * 47,
            f'"=?utf-8?q?=C3=A9{"a" * 47}?="',
            f"filename*=utf-8''%C3%A9{'a' * 47}",
        ),
        (
            "é" + "a" * 60,
            f'"=?utf-8?q?=C3=A9{"a" * 53}?=\r\n =?utf-8?q?{"a" * 7}?="',
            f"filename*0*=utf-8''%C3%A9{'a' * 47};\r\n filename*1*={'a' * 13}",
        ),
    ],
)
def test_a_file_name_stands_there_for_new_readers_and_for_old_ones(
    name: str, plain: str, parameter: str
) -> None:
    (part,) = parts([File(name=name, content=b"")])

    assert part.encoded == (
        f"Content-Type: application/octet-stream;\r\n name={plain}\r\n"
        "Content-Transfer-Encoding: base64\r\n"
        f"Content-Disposition: attachment;\r\n {parameter}\r\n\r\n"
    ).encode("ascii")
