"""No mail leaves with a secret of the program in it, in whatever form it got there."""

import base64
import html
import json
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chainloop_smtp import options
from chainloop_smtp.errors import MessageError
from chainloop_smtp.message import mime, parts, templates
from chainloop_smtp.message.guard import body, guard, head
from chainloop_smtp.model import File, Mail, Secret

SECRET = 'S3cret & "häven" <x>'
USER = "jane"


def a_mail(
    subject: str = "[x] Passed",
    text: str = "text\n",
    html: str = "<p>html</p>\n",
    summary: str = "### ok\n",
    content: bytes = b"Subject: x\r\n\r\n",
    files: tuple[File, ...] = (),
) -> Mail:
    return Mail(
        sender="a@b.test",
        recipients=("c@d.test",),
        message_id="<1@b.test>",
        subject=subject,
        content=content,
        text=text,
        html=html,
        summary=summary,
        parts=parts(files),
    )


def file(content: str | bytes, name: str = "a.json") -> tuple[File, ...]:
    return (File(name=name, content=content.encode() if isinstance(content, str) else content),)


def guarded(mail: Mail, *secrets: tuple[str, str]) -> None:
    said = body(mail.subject, mail.text, mail.html, mail.summary, mail.parts)
    known = (Secret(name=name, value=value, user=USER) for name, value in secrets)
    guard([*said, *head(mail.content)], tuple(known))


def refusals(mail: Mail, *secrets: tuple[str, str]) -> list[str]:
    with pytest.raises(MessageError) as caught:
        guarded(mail, *(secrets or [("password", SECRET)]))
    assert caught.value.exit_code == 4
    assert SECRET not in str(caught.value)
    return [f"{each.where}: {each.why}" for each in caught.value.problems]


WHOLE = json.dumps({"env": {"TOKEN": SECRET}})


@pytest.mark.parametrize(
    ("mail", "where"),
    [
        (a_mail(subject=f"[x] {SECRET}"), "subject"),
        (a_mail(text=f"a\n  b: {SECRET}\n"), "text"),
        (a_mail(text='  Value: S3cret &\n    "häven" <x>\n'), "text"),
        (a_mail(html=f"<p>{html.escape(SECRET)}</p>".replace("&quot;", "&#34;")), "html"),
        (a_mail(html=f'<a href="https://x.test/{quote(SECRET, safe="")}">'), "html"),
        (a_mail(summary=f"| TOKEN | {templates.md(SECRET)} |\n"), "summary"),
        (a_mail(content=mime.unstructured("X-Note", f"it is {SECRET}") + b"\r\n"), "headers"),
        (a_mail(content=mime.unstructured("X-Note", SECRET * 9) + b"\r\n"), "headers"),
        (a_mail(files=file(SECRET)), "attachment a.json"),
        (a_mail(files=file(WHOLE)), "attachment a.json"),
        (a_mail(files=file(base64.b64encode(WHOLE.encode()))), "attachment a.json"),
        (a_mail(files=file(base64.b64encode(b"x" + SECRET.encode()))), "attachment a.json"),
        (a_mail(files=file(base64.b64encode(b"xy" + SECRET.encode()))), "attachment a.json"),
        (
            a_mail(files=file(base64.urlsafe_b64encode(b"xyz" + SECRET.encode()))),
            "attachment a.json",
        ),
        (a_mail(files=file(SECRET.encode().hex())), "attachment a.json"),
        (a_mail(text=f"{SECRET.encode().hex().upper()}\n"), "text"),
        (a_mail(files=file(base64.encodebytes(b"x" * 50 + SECRET.encode()))), "attachment a.json"),
        (
            a_mail(files=file(base64.b64encode(f"\0{USER}\0{SECRET}".encode()))),
            "attachment a.json",
        ),
        (
            a_mail(files=file('{"a":"S3cret \\u0026 \\"häven\\" \\u003cx\\u003e"}')),
            "attachment a.json",
        ),
    ],
)
def test_a_secret_is_found_in_every_part_and_form(mail: Mail, where: str) -> None:
    assert refusals(mail) == [f"{where}: holds the value of password, so nothing is sent"]


def test_every_part_that_holds_one_is_named() -> None:
    mail = a_mail(text=SECRET, html=SECRET, files=file("other secret", "x.txt"))

    assert refusals(mail, ("password", SECRET), ("oauth2-refresh-token", "other secret")) == [
        "text: holds the value of password, so nothing is sent",
        "html: holds the value of password, so nothing is sent",
        "attachment x.txt: holds the value of oauth2-refresh-token, so nothing is sent",
    ]


def test_an_encoded_header_in_ascii_is_decoded_too() -> None:
    encoded = base64.b64encode(b"a secret that is plain").decode()
    header = f"X-Note: =?utf-8?B?{encoded}?=\r\n\r\n".encode()

    assert refusals(a_mail(content=header), ("password", "secret that is plain")) == [
        "headers: holds the value of password, so nothing is sent"
    ]


def test_an_encoded_header_of_mostly_ascii_is_decoded_too() -> None:
    header = mime.unstructured("X-Note", "the plain, häven and long secret") + b"\r\n"
    assert b"?q?" in header

    assert refusals(a_mail(content=header), ("password", "häven and long")) == [
        "headers: holds the value of password, so nothing is sent"
    ]


def test_a_line_of_a_key_is_a_secret_too() -> None:
    key = (
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\nshort\n-----END PRIVATE KEY-----"
    )

    assert refusals(a_mail(text="MIIEvQIBADANBgkqhkiG9w0BAQ"), ("password", key))
    guarded(a_mail(text="this is short"), ("password", key))


@pytest.mark.parametrize("secret", ["", "abc", "é3 "])
def test_what_is_too_short_cannot_be_looked_for(secret: str) -> None:
    guarded(a_mail(text="abc é3  "), ("password", secret))


def test_what_a_mail_holds_by_chance_is_no_secret() -> None:
    # Blanks are passed over only in what is long enough.
    guarded(a_mail(text="grabcdrom"), ("password", "ab cd"))
    guarded(a_mail(text="abcdabcd"), ("password", "wxyz"))


@given(st.text(min_size=8, max_size=40), st.binary(max_size=5), st.binary(max_size=5))
def test_a_secret_is_found_wherever_in_base64_it_stands(
    secret: str, before: bytes, after: bytes
) -> None:
    assume(not any("\ud800" <= each <= "\udfff" for each in secret))
    evidence = base64.b64encode(before + secret.encode() + after)

    assert refusals_of(a_mail(files=file(evidence)), secret)


@given(st.text(min_size=4, max_size=40))
def test_a_secret_is_found_as_it_is(secret: str) -> None:
    octets = b"x" + secret.encode(errors="replace") + b"y"

    assert refusals_of(a_mail(files=file(octets)), secret)


def refusals_of(mail: Mail, secret: str) -> int:
    with pytest.raises(MessageError) as caught:
        guarded(mail, ("password", secret))
    return len(caught.value.problems)


def test_every_secret_given_is_known_used_or_not() -> None:
    secrets = {name: f"{name}-value" for name in options.SECRETS if name.startswith("password")}
    given = {
        "host": "smtp.example.com",
        "port": "587",
        "auth": "none",
        "from": "a@example.com",
        "to": "b@example.com",
        "proxy": "socks5://user:pass%20word@proxy.example.com:1080",
    }
    parsed = options.parse(given | secrets)

    assert {(each.name, each.value) for each in parsed.secrets} == {
        ("password", "password-value"),
        ("proxy", "pass%20word"),
        ("proxy", "pass word"),
    }
    assert "password-value" not in repr(parsed)
