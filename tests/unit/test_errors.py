"""Values as errors show them; what may be a secret is not shown."""

import pytest

from chainloop_smtp.errors import (
    nearest,
    nearest_hint,
    quoted,
    quoted_path,
    quoted_word,
)

HIDDEN = "(not shown: it may be a secret)"
PEM = "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----"
TOKENS = [
    PEM,
    f"x {PEM}",
    "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t",
    '{"type": "service_account", "private_key": "x"}',
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    "ghp_abcdefghijklmnop",
    "ghs_abcdefghijklmnop",
    "github_pat_abcdefghijklmnop",
    "glpat-abcdefghijklmnop",
    "xoxb-abcdefghijklmnop",
    "AIzaabcdefghijklmnop",
    "SG.abcdefghijklmnop.q",
    "sk_live_abcdefghijklmnop",
    "ya29.abcdefghijklmnop",
    "AKIAABCDEFGHIJKLMNOP",
    "ASIAABCDEFGHIJKLMNOP",
]


@pytest.mark.parametrize("value", TOKENS)
def test_a_key_or_a_token_is_never_shown(value: str) -> None:
    assert {quoted(value), quoted_path(value), quoted_word(value)} == {HIDDEN}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a", "'a'"),
        ("", "''"),
        ("a\x1b[31m\nb\u202e", "'a [31m b '"),
        ("x" * 80, f"'{'x' * 80}'"),
        ("x" * 81, f"'{'x' * 77}...'"),
        ("https://jane:hunter2@example.com/a?b", "'https://***@example.com/a?b'"),
        ("smtp://a@b@example.com", "'smtp://***@example.com'"),
        ("https://example.com/a@b", "'https://example.com/a@b'"),
        ("sha256:" + "0a" * 32, f"'sha256:{'0a' * 32}'"),
        ("2b1f3c0e-7a55-4d7e-9f64-0c8f5f1a9d21", "'2b1f3c0e-7a55-4d7e-9f64-0c8f5f1a9d21'"),
        ("AKIRA", "'AKIRA'"),
    ],
)
def test_everything_else_is_shown_harmlessly(value: str, shown: str) -> None:
    assert quoted(value) == shown


@pytest.mark.parametrize(
    "value",
    [
        "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC",
        "kjsDFA8asdKJHSDFKJhs",
        "dir/kjsDFA8asdKJHSDFKJhs",
        "0123456789abcdef0123456789abcdef",
        "Passw0rd!",
    ],
)
def test_what_is_more_like_a_secret_than_a_path_is_not_shown(value: str) -> None:
    assert quoted_path(value) == HIDDEN
    assert quoted(value) != HIDDEN


@pytest.mark.parametrize(
    "value",
    [
        "attestation.json",
        "dist/*.json",
        "my files/attestation 2.json",
        "attestation-0123456789abcdef0123456789abcdef01234567",
        "attestation-2b1f3c0e-7a55-4d7e-9f64-0c8f5f1a9d21.json",
        "/runner/_work/harbour/harbour/Attestation1.json",
        "C:\\certs\\ca1.pem",
        "people!1/x",
        "Passw0rd",
        "ends!",
        "!1a",
        "[!a]*1.json",
        "ABCDEFGHIJKLMNOP1",
    ],
)
def test_a_path_is_shown(value: str) -> None:
    assert quoted_path(value) == f"'{value}'"


@pytest.mark.parametrize("value", ["starttsl", "not attested", "new_violaton", "", "1", "é!2"])
@pytest.mark.parametrize("more", ["30s", "-1", "10 mB", "1.0001MB", "1,5"])
def test_a_word_or_a_number_is_shown(value: str, more: str) -> None:
    assert quoted_word(value) == f"'{value}'"
    assert quoted_word(more) == f"'{more}'"


@pytest.mark.parametrize(
    "value",
    ["hunter2", "x" * 21, "correct horse battery staple", "s3cr3t-t0ken", "12345x!", "a\nbcd"],
)
def test_what_is_no_word_is_not_shown_where_a_word_belongs(value: str) -> None:
    assert quoted_word(value) == HIDDEN


def test_the_nearest_name_is_suggested_and_else_all_that_there_are() -> None:
    assert nearest_hint("hots", ("port", "host")) == "Did you mean host?"
    assert nearest_hint("colour", ("port", "host")) == "Available: port, host."
    assert nearest_hint("colour", ("port", "host"), "Look it up.") == "Look it up."


def test_how_alike_names_have_to_be_can_be_said() -> None:
    assert nearest("hostel", ("host", "port")) == "host"
    assert nearest("hostel", ("host", "port"), cutoff=0.9) == ""
