"""PEM text as users paste it, and what of it is secret."""

import base64

import pytest

from chainloop_smtp.secrets.pem import as_pem, private_keys

BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\nMzEfYyjiWA4R4="
KEY = f"-----BEGIN PRIVATE KEY-----\n{BODY}\n-----END PRIVATE KEY-----\n"
CERTIFICATE = f"-----BEGIN CERTIFICATE-----\n{BODY}\n-----END CERTIFICATE-----\n"
ENCRYPTED = KEY.replace("KEY-----\nMII", "KEY-----\nDEK-Info: AES-128-CBC,0F\n\nMII")


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
