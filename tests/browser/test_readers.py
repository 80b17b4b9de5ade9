"""Other mail programs read what was written: subject, addresses, texts, and the files' names."""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from browser import mailreaders
from browser.mailreaders import Reading, bare
from chainloop_smtp.message import parts
from chainloop_smtp.model.mail import File, Mail
from chainloop_smtp.model.settings import Attachment, Mailbox, Options
from states import JOB, OPTIONS, RECORDED, written
from stress import mails

PEOPLE = (
    Mailbox(addr_spec="plain@example.test"),
    Mailbox(addr_spec="atoms@example.test", name="Ada Quay"),
    Mailbox(addr_spec="quoted@example.test", name='O\'Brien, Ada "the first" (CTO) <ops>'),
    Mailbox(addr_spec="accents@example.test", name="Jörg Größe, Häfen & Söhne"),
    Mailbox(addr_spec="right-to-left@example.test", name="שם המדיניות"),
    Mailbox(
        addr_spec="long@example.test", name="供应链安全策略检查失败的详细说明以及后续处理办法" * 3
    ),
    Mailbox(addr_spec="words@example.test", name=" ".join(["Platform"] * 20)),
    Mailbox(addr_spec='"a b"@example.test', name="A local part in quotes"),
)
FILES = (
    File(name="attestation.json", content=b"{}\r\n"),
    File(name="größe und gewicht der behälter im hafen von lübeck.json", content=b"\xff\x00"),
    File(name="供应链安全策略检查失败的详细说明以及后续处理办法.txt", content="é\n".encode()),
    File(name="O'Brien's report (final); v=2, 100%.json", content=b"[]\n.\nFrom me\n"),
    File(name="x" * 115 + ".json", content=b"1" * 1000),
    File(name="release notes.md", content=b"# a\n"),
)
ADDRESSED = replace(
    OPTIONS,
    registration=replace(OPTIONS.registration, from_=PEOPLE[3], to=PEOPLE),
    attachment=Attachment(cc=PEOPLE[2:4]),
)


@cache
def written_mails() -> dict[str, tuple[Mail, Options]]:
    """Every mail, and one that asks a lot of whoever reads addresses and names of files."""
    addressed = written(RECORDED, JOB, ADDRESSED, enclosed=parts(FILES))
    return {
        **{name: (mail, OPTIONS) for name, mail in mails().items()},
        "addressed": (addressed, ADDRESSED),
    }


@cache
def contents() -> dict[str, bytes]:
    """The octets; each mail with an id of its own, as readers take equal ones for copies."""
    return {
        name: re.sub(
            rb"(?m)^Message-ID: .*\r$",
            f"Message-ID: <{name}@example.test>\r".encode(),
            mail.content,
        )
        for name, (mail, _) in written_mails().items()
    }


def people(mailboxes: tuple[Mailbox, ...]) -> str:
    return bare(", ".join(map(str, mailboxes)))


def check(readings: Mapping[str, Reading]) -> None:
    """Each mail was read as it was written."""
    assert {*readings} == {*written_mails()}
    for name, (mail, options) in written_mails().items():
        reading = readings[name]
        assert reading.subject == mail.subject
        assert reading.from_ == people((options.registration.from_,))
        assert reading.to == people(options.registration.to)
        assert reading.cc == people(options.attachment.cc)
        assert reading.text == mail.text.rstrip()
        assert reading.html in (None, mail.html.rstrip())
        files = {each.name: each.content for each in mail.parts}
        assert dict(reading.files) in (files, dict.fromkeys(files))


def test_python_reads_every_mail() -> None:
    check(mailreaders.python(contents()))


def test_mailparser_and_postal_mime_read_every_mail() -> None:
    mailparser, postal_mime = mailreaders.node(contents())

    check(mailparser)
    check(postal_mime)


def test_notmuch_reads_every_mail() -> None:
    check(mailreaders.notmuch(contents()))


def test_mutt_reads_every_mail() -> None:
    counts = {name: len(mail.parts) for name, (mail, _) in written_mails().items() if mail.parts}

    check(mailreaders.mutt(contents(), counts))
