"""No mail leaves with a secret of the program in it, in whatever form it got there."""

import base64
import binascii
import html
import json
import re
import shlex
import struct
from collections.abc import Callable
from dataclasses import replace
from email.message import EmailMessage
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chainloop_smtp import options
from chainloop_smtp.errors import MessageError, Problem
from chainloop_smtp.message import mime, parts, templates
from chainloop_smtp.message.guard import body, guard, head
from chainloop_smtp.model.mail import File, Mail
from chainloop_smtp.model.settings import Secret

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
    assert refusals(mail) == [f"{where}: contains the value of password, so nothing is sent"]


def test_every_part_that_holds_one_is_named() -> None:
    mail = a_mail(text=SECRET, html=SECRET, files=file("other secret", "x.txt"))

    assert refusals(mail, ("password", SECRET), ("oauth2-refresh-token", "other secret")) == [
        "text: contains the value of password, so nothing is sent",
        "html: contains the value of password, so nothing is sent",
        "attachment x.txt: contains the value of oauth2-refresh-token, so nothing is sent",
    ]


def test_an_encoded_header_in_ascii_is_decoded_too() -> None:
    encoded = base64.b64encode(b"a secret that is plain").decode()
    header = f"X-Note: =?utf-8?B?{encoded}?=\r\n\r\n".encode()

    assert refusals(a_mail(content=header), ("password", "secret that is plain")) == [
        "headers: contains the value of password, so nothing is sent"
    ]


def test_an_encoded_header_of_mostly_ascii_is_decoded_too() -> None:
    header = mime.unstructured("X-Note", "the plain, häven and long secret") + b"\r\n"
    assert b"?q?" in header

    assert refusals(a_mail(content=header), ("password", "häven and long")) == [
        "headers: contains the value of password, so nothing is sent"
    ]


# Alphabets that encodings treat each in their own way.
ALPHABETS = (
    "abcdefgh0123456789",
    "ABCDEFGH234567",
    "ab'\"`\\cd",
    "ab-._~+/, cd",
    "ab&<>;#%$!*?cd",
    "äöüßéñ€漢字🔑ab",
)


def quoted_printable(octets: bytes) -> bytes:
    return binascii.b2a_qp(octets, quotetabs=True, istext=False)


def encoded_words(octets: bytes) -> bytes:
    """Two words, each with a half."""
    half = len(octets) // 2
    return b"\r\n ".join(
        b"=?utf-8?B?" + base64.b64encode(each) + b"?=" for each in (octets[:half], octets[half:])
    )


def encoded_words_in_q(octets: bytes) -> bytes:
    return b" ".join(
        b"=?UTF-8?q?%s?=" % b"".join(b"=%02X" % each for each in part)
        for part in (octets[:3], octets[3:])
    )


def of_text(encode: Callable[[str], str]) -> Callable[[bytes], bytes]:
    return lambda octets: encode(octets.decode()).encode()


ESCAPES: dict[str, Callable[[bytes], bytes]] = {
    "JSON in ASCII": of_text(json.dumps),
    "JSON in UTF-8": of_text(lambda text: json.dumps(text, ensure_ascii=False)),
    "JSON of PHP": of_text(lambda text: json.dumps(text).replace("/", "\\/")),
    "JSON of Go": of_text(
        lambda text: re.sub("[&<>]", lambda sign: f"\\u{ord(sign[0]):04x}", json.dumps(text))
    ),
    "every character in JSON": of_text(
        lambda text: "".join(
            f"\\u{unit:04x}" for (unit,) in struct.iter_unpack(">H", text.encode("utf-16-be"))
        )
    ),
    "a URL": of_text(lambda text: quote(text, safe="")),
    "a form's data": of_text(quote_plus),
    "a URL, every octet": lambda octets: b"".join(b"%%%02X" % each for each in octets),
    "a URL, in small letters": lambda octets: b"".join(b"%%%02x" % each for each in octets),
    "HTML": of_text(html.escape),
    "HTML in decimal": of_text(lambda text: "".join(f"&#{ord(each)};" for each in text)),
    "HTML in hexadecimal": of_text(lambda text: "".join(f"&#x{ord(each):x};" for each in text)),
    "HTML in HTML": of_text(lambda text: html.escape(html.escape(text))),
    "a shell": of_text(shlex.quote),
    "a shell, another way": of_text(lambda text: "'" + text.replace("'", "'\\''") + "'"),
    "YAML": of_text(lambda text: "'" + text.replace("'", "''") + "'"),
    "CSV": of_text(lambda text: '"' + text.replace('"', '""') + '"'),
    "Markdown": of_text(templates.md),
    "JavaScript": lambda octets: b"".join(b"\\x%02x" % each for each in octets),
    "octal": lambda octets: b"".join(b"\\%03o" % each for each in octets),
    "quoted-printable": quoted_printable,
    "encoded words": encoded_words,
    "encoded words in Q": encoded_words_in_q,
}
ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "hexadecimal": binascii.hexlify,
    "HEXADECIMAL": lambda octets: octets.hex().upper().encode(),
    "colons": lambda octets: octets.hex(":").encode(),
    "a list of octets": lambda octets: ", ".join(f"0x{each:02x}" for each in octets).encode(),
    "a list of numbers": lambda octets: json.dumps(list(octets)).encode(),
    "numbers of Go": lambda octets: str(list(octets)).replace(",", "").encode(),
    "base32": base64.b32encode,
    "base32 in small letters": lambda octets: base64.b32encode(octets).lower(),
    "base64": base64.b64encode,
    "base64 for URLs": lambda octets: base64.urlsafe_b64encode(octets).rstrip(b"="),
    "base64 in lines": base64.encodebytes,
}
ALL = ESCAPES | ENCODINGS

# Of blanks, quotes and backslashes alone, little is left that an encoding does not change.
texts = (
    st.sampled_from(ALPHABETS)
    .flatmap(lambda each: st.text(each, min_size=8, max_size=30))
    .filter(lambda text: len(re.sub(r"""[\s\\'"]""", "", text)) >= 8)
)


def found(content: bytes, secret: str) -> bool:
    """Whether a mail with this content is refused."""
    try:
        guarded(a_mail(files=file(b"a text " + content + b" and more")), ("password", secret))
    except MessageError:
        return True
    return False


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    "secret", ["p@ss", "it's", 'a"b&c', "x-y.z~", "häven", *(f"{each}-12" for each in ALPHABETS)]
)
def test_a_secret_is_found_in_every_encoding(name: str, secret: str) -> None:
    if name == "base32 in small letters" and len(secret.encode()) < 8:
        # So few small letters are a word.
        secret = secret + secret
    assert found(ALL[name](secret.encode()), secret)


@given(texts, st.lists(st.sampled_from(list(ESCAPES)), max_size=3))
def test_a_secret_is_found_in_escapes_of_escapes(secret: str, names: list[str]) -> None:
    content = secret.encode()
    for name in names:
        content = ESCAPES[name](content)

    assert found(content, secret), content


@given(
    texts,
    st.sampled_from(list(ESCAPES)),
    st.lists(st.sampled_from(list(ALL)), min_size=1, max_size=2),
)
def test_a_secret_is_found_in_encodings_of_encodings(
    secret: str, inner: str, names: list[str]
) -> None:
    content = b"the password is " + ESCAPES[inner](secret.encode()) + b", keep it to yourself"
    for name in names:
        content = b"the text: " + ALL[name](content)

    assert found(content, secret), content


@given(texts, st.text(max_size=9), st.text(max_size=9))
def test_base32_is_read_wherever_it_begins(secret: str, before: str, after: str) -> None:
    octets = (before + secret + after).encode(errors="replace")

    assert found(base64.b32encode(octets), secret)


@pytest.mark.parametrize("more", range(8))
def test_base32_is_read_whatever_letters_follow_it(more: int) -> None:
    assert found(base64.b32encode(b"correct horse").rstrip(b"=") + b"B" * more, "correct horse")


@pytest.mark.parametrize(
    "content",
    [
        b"&quot;&apos;&nbsp;p&commat;ss",
        b"p&#64;ss p",
        b"p&#x40ss",
        b"p&#X40;ss",
        b"p\\u{40}ss",
        b"p\\U00000040ss",
        b"p%u0040ss",
        b"p%2540ss",
        b"p=40=\r\nss",
        b"p%4=\n0ss",
        "p@ss".encode("utf-16-le"),
        b"cEBzcw==",
        b"Basic YTpwQHNz",
        b"7040 7373",
        b"70-40-73-73",
        b"OBAHG4Y=",
        b"cCU0MHNz",
    ],
)
def test_a_short_secret_is_found_however_it_is_written(content: bytes) -> None:
    assert found(content, "p@ss")


@pytest.mark.parametrize(
    "content",
    [
        b"&bogus; &#99999999; &#xFFFFFFF; \\u{110000} \\uD800 [1, 999, 2, 3, 4]",
        # The first number that is no octet, and no character.
        b"[1, 256, 2, 3, 4] &#1114112; &#x110000;",
        b"=?utf-8?b?A?= =?x?q?=ZZ?= =?utf-8?b?@@@@@?= =?utf-8?b?AAA@AA?= %zz \\x \\8 &",
        b"\0\0\0",
        b"",
    ],
)
def test_what_is_no_encoding_is_passed(content: bytes) -> None:
    guarded(a_mail(files=file(content), content=content), ("password", "p@ss"))


@pytest.mark.parametrize(
    "secret", ["%41%42%43%44", "&#65;&#66;&#67;", "\\u0041\\u0042", "a%2541&b", "=3D=3D=3D"]
)
def test_a_secret_that_looks_encoded_is_found_as_it_is_and_encoded_once_more(secret: str) -> None:
    assert found(secret.encode(), secret)
    for name in ("a URL", "HTML", "JSON in ASCII", "base64", "quoted-printable"):
        assert found(ALL[name](secret.encode()), secret), name
    assert not found(b"ABCD ABC AB", secret)


@pytest.mark.parametrize("blank", ["\t", "\r", "\n"])
def test_a_short_secret_with_a_blank_is_found_escaped(blank: str) -> None:
    secret = f"p{blank}@ss"

    assert found(json.dumps(secret).encode(), secret)


def test_a_part_with_a_secret_in_its_name_is_named_without_it() -> None:
    mail = a_mail(files=(File(name="report-correct-horse.txt", content=b"x"),))

    assert refusals(mail, ("password", "correct-horse")) == [
        "attachment: contains the value of password, so nothing is sent"
    ]


def test_a_secret_is_found_across_tags_and_in_an_attached_mail() -> None:
    assert found(b"<p><b>correct</b> <i>horse</i></p>", "correct horse")
    attached = EmailMessage()
    attached["Subject"] = "a note: the sécret is correct hörse, keep it well, it is needed"
    attached.set_content("nothing")
    attached.add_attachment(
        b'{"password": "correct h\xc3\xb6rse battery"}', maintype="a", subtype="b"
    )

    assert found(bytes(attached), "correct hörse battery")
    assert found(bytes(attached), "correct hörse, keep")


def test_what_is_encoded_over_and_over_is_given_up() -> None:
    content = b"hello world, this is a text, correct horse"
    for _ in range(5):
        content = base64.b64encode(content)
    escaped = b"%" + b"25" * 8 + b"63orrect horse"

    assert found(content, "correct horse")
    assert not found(base64.b64encode(content), "correct horse")
    assert found(escaped.replace(b"25", b"", 1), "correct horse")
    assert not found(escaped, "correct horse")
    assert found(escaped + base64.b64encode(b"correct horse"), "correct horse")


def test_a_part_is_read_in_no_more_ways_than_its_size_is_worth() -> None:
    bomb = (b"%" + b"25" * 20 + b"=3D=?a?q?b?=") * 1500
    twice = base64.b64encode(b"hello world, " + base64.b64encode(b"correct horse, and more text"))

    assert found(twice, "correct horse")
    assert found(bomb + base64.b64encode(b"correct horse"), "correct horse")
    assert not found(bomb + b" " + twice, "correct horse")


def test_what_is_made_of_a_part_is_eight_times_its_size_and_100_000_bytes_at_most() -> None:
    # Of each of four readings, two more: as encoded words and as quoted-printable.
    start, rest = b"%252541 =41 =?a?q?b?= ", b"x " * 60_000
    twice = base64.b64encode(b"hello world, " + base64.b64encode(b"correct horse, and more text"))

    assert found(start + rest + twice, "correct horse")
    # And one without tags.
    assert not found(start + b"</p>" + rest + twice, "correct horse")


@pytest.mark.parametrize(
    ("octets", "is_read"),
    [
        (b"\0is cEBzcw== here\0", True),
        (b"\0is\tcEBzcw==\r\nher\0", True),
        (b"\0is cEBzcw== her\0", False),
        (b"\0is cEBzcw== her\xffe and others\0", False),
        (b"\0sixteen letters.\0is cEBzcw== her\0", False),
        (b"\xff" * 8 + b"is cEBzcw== here\0", True),
        (b"\xff" * 9 + b"is cEBzcw== here\0", False),
    ],
)
def test_in_long_parts_what_is_decoded_is_text_from_16_characters_two_thirds_of_them_ascii(
    octets: bytes, is_read: bool
) -> None:
    evidence = base64.b64encode(b"\0" + octets)

    assert found(b"x " * 300 + evidence, "p@ss") is is_read
    assert found(evidence, "p@ss")


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


def test_the_whole_error_says_where_and_what_to_do() -> None:
    with pytest.raises(MessageError) as caught:
        guarded(a_mail(text=SECRET), ("password", SECRET))

    assert caught.value.problems == (
        Problem(
            "text",
            "contains the value of password, so nothing is sent",
            "Find where it comes from (an environment variable, a message, a file), remove it, "
            "and change the secret: others may have seen it. env-values: hide leaves the attested "
            "environment out of the mail.",
        ),
    )


@pytest.mark.parametrize("where", ["subject", "text", "html", "summary"])
def test_what_cannot_be_encoded_hides_no_secret(where: str) -> None:
    mail = replace(a_mail(), **{where: f"\ud800 {SECRET} \udfff"})  # type: ignore[arg-type]

    assert refusals(mail) == [f"{where}: contains the value of password, so nothing is sent"]


def test_an_attachments_name_may_be_of_several_words_and_of_what_cannot_be_encoded() -> None:
    part = replace(a_mail(files=file("x")).parts[0], name="a \ud800 correct horse b.txt")
    mail = replace(a_mail(), parts=(part,))

    assert refusals(mail, ("password", "correct horse")) == [
        "attachment: contains the value of password, so nothing is sent"
    ]
    # Name and content are two things.
    guarded(a_mail(files=file("rrect horse", "a.co")), ("password", "correct horse"))


def test_a_folded_header_is_read_unfolded_and_a_body_is_no_header() -> None:
    folded = b"Subject: a\r\nX-Note: cor\r\n rect\r\n\r\nbody"

    assert refusals(a_mail(content=folded), ("password", "r re")) == [
        "headers: contains the value of password, so nothing is sent"
    ]
    guarded(
        a_mail(content=b"Subject: a\r\n\r\ncorrect horse\r\n\r\n"), ("password", "correct horse")
    )


def test_a_secret_in_the_data_of_a_form_a_nul_in_it_and_a_line_of_it_are_found() -> None:
    assert found(b"q=correct+horse&a=b", "correct horse")
    assert found(b"q=a+b+c", "a b c")
    assert found(b"000\0", "000\0")
    assert not found(b"000", "000\0")
    assert found(b"0123456789abcdef", "first\n  0123456789abcdef  \nlast")
    assert not found(b"0123456789abcde", "first\n  0123456789abcde  \nlast")


def test_what_is_left_of_a_secret_that_looks_encoded_is_not_looked_for() -> None:
    assert not found(b"abABCD", "ab%41%42%43%44")
    assert not found(b"xabABx", "ab%41%42")
    assert found(b"xabABCx", "ab%41%42C")
    # Neither is a character that no reading keeps.
    assert found(json.dumps('ab\0%41"cdefgh').encode(), 'ab\0%41"cdefgh')
    assert found(b"abcdefABCD", "abcdef%41%42%43%44")


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


@pytest.mark.parametrize(
    ("secret", "written"),
    [
        ("a&b<c>d12", "a&amp;b&lt;c&gt;d12"),
        ('it\'s"7"x', "it&apos;s&quot;7&quot;x"),
        ("two words", "two&nbsp;words"),
        ("ab\u00e9\u20ac1", "ab&eacute;&euro;1"),
    ],
)
def test_a_secret_is_found_in_entities_by_name(secret: str, written: str) -> None:
    with pytest.raises(MessageError):
        guarded(a_mail(html=f"<p>{written}</p>"), ("password", secret))


def test_a_secret_of_eight_bytes_is_found_across_a_line_and_a_shorter_one_is_not() -> None:
    with pytest.raises(MessageError):
        guarded(a_mail(text="abcd\n efgh\n"), ("password", "abcdefgh"))
    guarded(a_mail(text="abcd\n efg\n"), ("password", "abcdefg"))
