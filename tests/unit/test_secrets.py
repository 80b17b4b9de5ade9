"""Secrets: redacted from what is shown, and masked in a runner's log, in every form; PEM text."""

import base64
import html
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainloop_smtp.secrets import Redactor, as_pem, private_keys

PASSWORD = 'pä$$ "wörd" <&>'
AWKWARD = """a/b-c._~d 'e' "f" \\ g&h"""
TOKEN = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9." + "abcDEF012-_" * 120

BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\nMzEfYyjiWA4R4="
KEY = f"-----BEGIN PRIVATE KEY-----\n{BODY}\n-----END PRIVATE KEY-----\n"
CERTIFICATE = f"-----BEGIN CERTIFICATE-----\n{BODY}\n-----END CERTIFICATE-----\n"
ENCRYPTED = KEY.replace("KEY-----\nMII", "KEY-----\nDEK-Info: AES-128-CBC,0F\n\nMII")


def redacted(text: str, *secrets: str) -> str:
    redactor = Redactor()
    redactor.add(*(secret.encode() for secret in secrets))
    return redactor.redact(text)


@pytest.mark.parametrize(
    "form",
    [
        PASSWORD,
        json.dumps(PASSWORD),
        json.dumps(PASSWORD, ensure_ascii=False),
        html.escape(PASSWORD),
        html.escape(PASSWORD, quote=False),
        quote(PASSWORD, safe=""),
        quote(PASSWORD),
        base64.b64encode(PASSWORD.encode()).decode(),
        base64.urlsafe_b64encode(PASSWORD.encode()).decode().rstrip("="),
        base64.b64encode(f"\0jane\0{PASSWORD}".encode()).decode(),
        base64.b64encode(f"user=jane\1auth=Bearer {PASSWORD}\1\1".encode()).decode(),
        PASSWORD.encode().hex(),
        PASSWORD.encode().hex().upper(),
    ],
)
def test_a_password_is_redacted_in_any_form(form: str) -> None:
    said = redacted(f"535 5.7.8 what is <{form}>?", PASSWORD)
    assert said.replace('"', "") == "535 5.7.8 what is <***>?"


@pytest.mark.parametrize(
    "form",
    [
        json.dumps(AWKWARD)[1:-1],
        html.escape(AWKWARD),
        html.escape(AWKWARD, quote=False),
        html.escape(AWKWARD, quote=False).replace('"', "&quot;"),
        quote(AWKWARD, safe=""),
        quote(AWKWARD, safe="/"),
    ],
)
def test_a_password_full_of_signs_that_are_escaped_is_redacted(form: str) -> None:
    assert redacted(f"535 {form}.", AWKWARD) == "535 ***."


@pytest.mark.parametrize("is_ascii", [True, False])
def test_a_password_inside_a_longer_json_string_is_redacted(is_ascii: bool) -> None:
    said = json.dumps(f"no, {PASSWORD} is wrong", ensure_ascii=is_ascii)
    assert redacted(said, PASSWORD) == '"no, *** is wrong"'


def test_a_password_that_is_no_utf_8_is_redacted_as_it_is_shown() -> None:
    redactor = Redactor()
    redactor.add(b"p\xe4ssw\xf6rd")
    assert redactor.redact("535 p\ufffdssw\ufffdrd.") == "535 ***."


@pytest.mark.parametrize("cut", [(0, 60), (200, 320), (-60, None)])
def test_a_token_is_known_by_a_piece_of_it_in_base64(cut: tuple[int, int | None]) -> None:
    echoed = base64.b64encode(f"user=jane\1auth=Bearer {TOKEN}\1\1".encode()).decode()
    piece = echoed[slice(*cut)] if cut[0] else echoed[40:140]
    assert redacted(f"334 {piece}", TOKEN) == "334 ***"


@given(before=st.binary(max_size=9), after=st.binary(max_size=9), secret=st.text(min_size=6))
def test_base64_of_a_text_with_the_secret_is_redacted(
    before: bytes, after: bytes, secret: str
) -> None:
    octets = before + secret.encode() + after
    said = redacted(f"a {base64.b64encode(octets).decode()} b", secret)
    assert base64.b64encode(octets).decode() not in said


def test_what_holds_no_secret_stays_as_it_is() -> None:
    said = "250 2.0.0 Ok: queued as 4XyZab12cdEF34567890 deadbeefdeadbeef <jane@example.com>"
    assert redacted(said, PASSWORD, TOKEN) == said
    assert redacted(said) == said
    assert redacted(said, "") == said


def test_a_secret_that_is_in_every_text_is_not_redacted() -> None:
    # The gaps would spell it.
    assert redacted("it was abc, YWJjYWJj", "a", "abc") == "it was abc, YWJjYWJj"
    assert redacted("it was abcd", "a", "abcd") == "it was ***"


@pytest.mark.parametrize(
    ("secret", "octets", "is_redacted"),
    [
        ("abcd", b"--abcd--", True),
        ("abcd", b"--xbcd--", False),
        ("abcdefg", b"-abcdef-", True),
        ("abcdefg", b"--bcdefg", True),
        ("abcdefg", b"---cdefg", False),
    ],
)
def test_a_cut_off_secret_is_known_by_six_octets_in_a_row(
    secret: str, octets: bytes, is_redacted: bool
) -> None:
    encoded = base64.b64encode(octets).decode()
    assert redacted(f"334 {encoded}", secret) == f"334 {'***' if is_redacted else encoded}"


def test_the_longer_of_two_secrets_goes_first() -> None:
    assert redacted("correct horse", "correct", "correct horse") == "***"
    assert redacted("correct horse", "horse", "correct horse") == "***"


# --- PEM ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        KEY,
        KEY.strip(),
        KEY.replace("\n", "\r\n"),
        KEY.replace("\n", "\\n"),
        KEY.replace("\n", "\\r\\n"),
        KEY.replace("\n", " "),
        KEY.replace("\n", ""),
        base64.b64encode(KEY.encode()).decode(),
        base64.encodebytes(KEY.encode()).decode(),
    ],
    ids=ascii,
)
def test_a_text_without_its_line_ends_is_still_pem(given: str) -> None:
    assert as_pem(given).strip() == KEY.strip()


@pytest.mark.parametrize(
    "given",
    [
        "",
        "key.pem",
        "LS0tLS1CRUdJTi",
        "LS0tLS1CRUdJTi==/x",
        "LS0tLS1CRUdJTi0=a.pem",
        f"{base64.b64encode(b'-----BEGIN A-----').decode().rstrip('=')}A.pemx",
        KEY[6:],
    ],
)
def test_everything_else_is_a_path(given: str) -> None:
    assert as_pem(given) == ""


@pytest.mark.parametrize("given", [ENCRYPTED, "-----BEGIN PRIVATE KEY-----\nMII", f"Bag\n{KEY}"])
def test_what_cannot_be_told_apart_stays_as_it_is(given: str) -> None:
    assert as_pem(given).split() == given.split()


def test_base64_may_hold_what_is_no_utf_8() -> None:
    assert as_pem(base64.b64encode(b"-----BEGIN \xe4 " * 3).decode()) == "-----BEGIN \ufffd " * 3


def test_each_block_counts() -> None:
    assert as_pem((CERTIFICATE + KEY).replace("\n", " ")).split() == (CERTIFICATE + KEY).split()


def test_a_long_line_is_wrapped() -> None:
    long = KEY.replace(BODY, "A" * 130)
    assert as_pem(long) == KEY.replace(BODY, "\n".join(("A" * 64, "A" * 64, "AA")))


@pytest.mark.parametrize(
    ("given", "secrets"),
    [
        (KEY, (BODY,)),
        (CERTIFICATE + KEY, (BODY,)),
        (KEY.replace("PRIVATE", "RSA PRIVATE"), (BODY,)),
        (KEY + KEY.replace("MII", "XYZ"), (BODY, BODY.replace("MII", "XYZ"))),
        (KEY.replace("\n", " "), (BODY, KEY.replace("\n", " "))),
        (base64.b64encode(KEY.encode()).decode(), (BODY, base64.b64encode(KEY.encode()).decode())),
        ("-----BEGIN PRIVATE KEY-----\nMII", ("-----BEGIN PRIVATE KEY-----\nMII",)),
        (ENCRYPTED, (ENCRYPTED.partition("-----\n")[2].partition("\n-----")[0],)),
        (CERTIFICATE, ()),
        ("key.pem", ()),
        ("PRIVATE KEY-----", ()),
    ],
    ids=ascii,
)
def test_only_private_keys_are_secret(given: str, secrets: tuple[str, ...]) -> None:
    assert private_keys(given) == secrets


def test_many_beginnings_without_an_end_take_no_long_time() -> None:
    text = "-----BEGIN PRIVATE KEY-----" * 20_000
    assert as_pem(text) == text
