"""SASL without a server: which mechanism, and what it says."""

import hashlib
import hmac
from base64 import b64decode, b64encode

import pytest

from chainloop_smtp.delivery import sasl
from chainloop_smtp.model.settings import Auth

PASSWORDS = ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"]


@pytest.mark.parametrize(
    ("offered", "has_token", "chosen"),
    [
        (["LOGIN", "PLAIN", "XOAUTH2", "SCRAM-SHA-256"], False, Auth.PLAIN),
        (["LOGIN", "CRAM-MD5", "SCRAM-SHA-256"], False, Auth.SCRAM_SHA_256),
        (["CRAM-MD5", "LOGIN"], False, Auth.LOGIN),
        (["CRAM-MD5"], False, Auth.CRAM_MD5),
        (["XOAUTH2", "OAUTHBEARER", "GSSAPI"], False, None),
        ([*PASSWORDS, "OAUTHBEARER", "XOAUTH2"], True, Auth.XOAUTH2),
        ([*PASSWORDS, "OAUTHBEARER"], True, Auth.OAUTHBEARER),
        (PASSWORDS, True, None),
    ],
)
def test_auto_takes_the_best_that_both_know(
    offered: list[str], has_token: bool, chosen: Auth | None
) -> None:
    assert sasl.choose(Auth.AUTO, offered, has_token=has_token) is chosen


@pytest.mark.parametrize("wanted", [each for each in Auth if each not in (Auth.AUTO, Auth.NONE)])
def test_one_that_is_asked_for_is_taken_or_none(wanted: Auth) -> None:
    everything = [each.value.upper() for each in Auth]
    assert sasl.choose(wanted, everything) is wanted
    assert sasl.choose(wanted, ["GSSAPI"]) is None


def test_oauthbearer_says_what_rfc_7628_has_as_its_example() -> None:
    # RFC 7628 section 4.1.
    exchange = sasl.exchange(
        Auth.OAUTHBEARER, "user@example.com", "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==",
        "server.example.com", 143,
    )  # fmt: skip
    assert b64encode(exchange.initial or b"") == (
        b"bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9Q"
        b"mVhcmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
    )


def test_xoauth2_says_what_google_has_as_its_example() -> None:
    # https://developers.google.com/workspace/gmail/imap/xoauth2-protocol
    exchange = sasl.exchange(
        Auth.XOAUTH2, "someuser@example.com", "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg",
        "smtp.gmail.com", 587,
    )  # fmt: skip
    assert b64encode(exchange.initial or b"") == (
        b"dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhk"
        b"SFJoZG1semRHRXVZMjl0Q2cBAQ=="
    )


def test_cram_md5_says_what_rfc_2195_has_as_its_example() -> None:
    exchange = sasl.exchange(Auth.CRAM_MD5, "tim", "tanstaaftanstaaf", "", 0)
    assert exchange.initial is None
    challenge = b"<1896.697170952@postoffice.reston.mci.net>"
    assert exchange.answer(challenge) == b"tim b913a602c7eda7a495b4e6e7334d3890"
    assert exchange.proof == b"b913a602c7eda7a495b4e6e7334d3890"
    with pytest.raises(
        ValueError, match=r"^the server asks for more steps than the mechanism has$"
    ):
        exchange.answer(challenge)


@pytest.mark.parametrize(
    ("challenge", "complaint"),
    [
        (b'{"status":"invalid_token","scope":"mail","schemes":"bearer"}', "status invalid_token, "
         "scope mail"),
        (b'{"status":"401"}', "status 401"),
        (b'{"status":401,"scope":""}', ""),
        (b'{"scope":"mail"}', "scope mail"),
        (b"[]", ""),
        (b"{", ""),
        (b"[" * 100_000, ""),
        (b"\xff", ""),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("mechanism", "dummy"), [(Auth.XOAUTH2, b""), (Auth.OAUTHBEARER, b"\1")])
def test_a_refused_token_is_answered_and_its_reason_kept(
    mechanism: Auth, dummy: bytes, challenge: bytes, complaint: str
) -> None:
    exchange = sasl.exchange(mechanism, "jane", "t0ken", "host", 1)
    assert exchange.answer(challenge) == dummy
    assert exchange.complaint == complaint
    with pytest.raises(
        ValueError, match=r"^the server asks for more steps than the mechanism has$"
    ):
        exchange.answer(challenge)


# --- SCRAM -------------------------------------------------------------------------------------


def _scram() -> tuple[sasl.Exchange, str]:
    """An exchange, and the nonce that it has sent."""
    exchange = sasl.exchange(Auth.SCRAM_SHA_256, "ja,ne=", "pencil", "", 0)
    first = (exchange.initial or b"").decode()
    assert first.startswith("n,,n=ja=2Cne=3D,r=")
    return exchange, first.rpartition(",r=")[2]


@pytest.mark.parametrize(
    ("server_first", "why"),
    [
        (
            "r={nonce}x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1000001",
            "^the server asks for 1,000,001 iterations$",
        ),
        (
            "r={nonce}x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=99999999999",
            "^the server gives no iteration count$",
        ),
        ("r={nonce}x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=x", "^the server gives no iteration count$"),
        ("r={nonce}x,s=W22ZaJ0SNY7soEsUEjb6gQ==", "^the server gives no iteration count$"),
        ("r={nonce}x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1", "^the server's response is not valid: ."),
        ("r=another,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "^the server's response is not valid: ."),
        ("e=other-error,i=4096", "^the server's response is not valid: ."),
    ],
)
def test_a_scram_server_that_is_none_gets_no_proof(server_first: str, why: str) -> None:
    exchange, nonce = _scram()
    with pytest.raises(ValueError, match=why):
        exchange.answer(server_first.format(nonce=nonce).encode())
    assert exchange.proof == b""


@pytest.mark.parametrize("final", [b"v=AAAA", b"e=invalid-proof", b"", b"\xff"])
def test_a_scram_server_has_to_prove_itself(final: bytes) -> None:
    exchange, nonce = _scram()
    response = exchange.answer(f"r={nonce}x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096".encode())
    assert response.endswith(b",p=" + exchange.proof)
    assert len(exchange.proof) == 44
    with pytest.raises(ValueError, match=r"not valid|utf-8"):
        exchange.answer(final)
    assert not exchange.is_over
    with pytest.raises(
        ValueError, match=r"^the server asks for more steps than the mechanism has$"
    ):
        exchange.answer(final)


@pytest.mark.parametrize(("user", "password"), [("jane", "bell\x07"), ("ja\x07ne", "pencil")])
def test_what_saslprep_forbids_is_told_without_being_shown(user: str, password: str) -> None:
    with pytest.raises(ValueError, match="forbids") as caught:
        sasl.exchange(Auth.SCRAM_SHA_256, user, password, "", 0)
    assert "\x07" not in str(caught.value)


def test_a_scram_server_that_proves_itself_is_done() -> None:
    """Its side by hand (RFC 5802 section 3)."""
    exchange, nonce = _scram()
    assert not exchange.is_over
    salt = "W22ZaJ0SNY7soEsUEjb6gQ=="
    server_first = f"r={nonce}x,s={salt},i=4096"
    response = exchange.answer(server_first.encode()).decode()
    without_proof, _, proof = response.rpartition(",p=")
    assert without_proof == f"c=biws,r={nonce}x"
    salted = hashlib.pbkdf2_hmac("sha256", b"pencil", b64decode(salt), 4096)
    said = f"n=ja=2Cne=3D,r={nonce},{server_first},{without_proof}".encode()
    key = hmac.digest(salted, b"Client Key", "sha256")
    signature = hmac.digest(hashlib.sha256(key).digest(), said, "sha256")
    assert b64decode(proof) == bytes(a ^ b for a, b in zip(key, signature, strict=True))
    verifier = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), said, "sha256")
    assert exchange.answer(b"v=" + b64encode(verifier)) == b""
    assert exchange.is_over


def test_oauthbearer_escapes_what_gs2_would_take_for_its_own() -> None:
    exchange = sasl.exchange(Auth.OAUTHBEARER, "a=b,c", "t0ken", "host", 1)
    assert exchange.initial == b"n,a=a=3Db=2Cc,\1host=host\1port=1\1auth=Bearer t0ken\1\1"
