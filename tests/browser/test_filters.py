"""Spam filters find nothing in any of the mails, as the recipient's server gets them today."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime

from browser import filters
from browser.filters import Found
from chainloop_smtp.model.attested import Annotation, Material
from states import JOB, RECORDED, written
from stress import mails

_ALWAYS = {"HTML_MESSAGE"}  # That it has HTML (0.001).
_PECULIAR = {
    # A text file is attached as no kind of text, so that its bytes arrive: 1.0. As text in base64,
    # it would be 1.1 with rspamd; as a type of our own, 4.1.
    ("attached", "OBFU_TEXT_ATTACH"),
    # What comes from a project's name that is none: several scripts in one word, and a text that
    # begins with a tag, so that it counts as HTML.
    ("emoji", "R_MIXED_CHARSET"),
    ("hostile", "MIME_HTML_ONLY"),
}

# An address that is nobody's (RFC 2544); those of examples count as forged.
_CLIENT = {
    "From": "reports@example.test",
    "Rcpt": "security@example.test",
    "IP": "198.18.0.25",
    "Helo": "mail.example.test",
    "Hostname": "mail.example.test",
}
_RECEIVED = """\
Received: from mail.example.test (mail.example.test [198.18.0.25])\r
 by mx.example.test (Postfix) with ESMTPS id 4AtZQ95Zx1z2Y\r
 for <security@example.test>; {date}\r
"""


def received() -> dict[str, bytes]:
    """Each mail behind the Received field of the server it comes to, and one with hidden text."""
    many = replace(RECORDED, materials=tuple(map(_material, range(300))))
    contents = {name: mail.content for name, mail in mails().items()}
    contents["three-hundred-materials"] = written(many, JOB).content
    contents["hidden"] = contents["passed"].replace(
        b"<h1", b'<div style=3D"display:none;font-size:1px;opacity:0">All policies passed.</div><h1'
    )
    date = format_datetime(datetime.now(UTC))
    return {
        name: _RECEIVED.format(date=date).encode()
        + re.sub(rb"(?m)^Date: .*\r$", f"Date: {date}\r".encode(), content, count=1)
        for name, content in contents.items()
    }


def _material(number: int) -> Material:
    return Material(
        name=f"material-{number}",
        type="SBOM_CYCLONEDX_JSON",
        value=f"build/reports/sbom-{number}.cdx.json",
        digest=f"sha256:{number:064x}",
        annotations=(Annotation(name="component", value="api"),),
        is_output=number % 7 == 0,
    )


def unexpected(found: dict[str, Found]) -> dict[str, Found]:
    """Without what is said above, and without the mails in which nothing else is found."""
    left = {
        name: {
            rule: score
            for rule, score in rules.items()
            if rule not in _ALWAYS and (name, rule) not in _PECULIAR
        }
        for name, rules in found.items()
    }
    return {name: rules for name, rules in left.items() if rules}


# A test each for all mails: so each program starts once, however many workers there are.


def test_spamassassin_finds_nothing_in_any_mail() -> None:
    found = unexpected(filters.spamassassin(received()))

    assert {*found.pop("hidden")} == {"MIME_QP_LONG_LINE"}
    assert found == {}


def test_rspamd_finds_nothing_in_any_mail() -> None:
    found = unexpected(filters.rspamd(received(), _CLIENT))

    assert {*found.pop("hidden")} == {"MANY_INVISIBLE_PARTS"}
    assert found == {}
