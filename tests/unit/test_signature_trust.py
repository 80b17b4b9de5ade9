"""What counts as a trusted root and as a verification key, and what is said of everything else."""

import base64
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

import signers
from chainloop_smtp import signature
from chainloop_smtp.errors import OptionsError, quoted_path
from chainloop_smtp.model.checks import Trust

ROOT = signers.root("Harbour authority")
INNER = ROOT.issue_authority("Inner")
CLOCK_ROOT = signers.root("Clock authority")
CLOCK_INNER = CLOCK_ROOT.issue_authority("Clock intermediate")
CLOCK = CLOCK_INNER.issue_stamper("Clock")
SIGNER = ROOT.issue_signer()
KEY = signers.public_pem(SIGNER.key)
PRIVATE = SIGNER.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
ROOT_HINT = "Give PEM certificates of authorities. A public key belongs in verification-key."
KEY_HINT = "`openssl pkey -in KEY -pubout` writes a public key."


def refusal(trusted_root: str = "", verification_key: str = "") -> str:
    with pytest.raises(OptionsError) as caught:
        signature.read_trust(trusted_root, verification_key)
    return str(caught.value)


def der_of(key: Any) -> bytes:
    encoded: bytes = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


def test_each_certificate_is_trusted_for_what_it_is() -> None:
    pems = [each.pem for each in (CLOCK, INNER, CLOCK_ROOT, ROOT, CLOCK_INNER, INNER)]

    assert signature.read_trust("\n".join(pems), "") == Trust(
        roots=(ROOT.der,),
        intermediates=(INNER.der,),
        timestamp_authorities=(CLOCK.der,),
        timestamp_issuers=(CLOCK_INNER.der, CLOCK_ROOT.der),
    )


def test_an_authority_below_one_of_time_stamps_may_certify_signers() -> None:
    """One root for everything, and an intermediate for each end."""
    common = signers.root("Common")
    clocks, signing = common.issue_authority("Clocks"), common.issue_authority("Signing")
    clock = clocks.issue_stamper()

    assert signature.read_trust(
        "".join(each.pem for each in (common, clocks, signing, clock)), ""
    ) == Trust(
        roots=(signing.der,),
        timestamp_authorities=(clock.der,),
        timestamp_issuers=(clocks.der, common.der),
    )


def test_nothing_given_is_nothing_trusted() -> None:
    assert signature.read_trust("", "") == Trust()


@pytest.mark.parametrize(
    "key",
    [
        signers.ec_key(),
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP521R1()),
        rsa.generate_private_key(65537, 2048),
        ed25519.Ed25519PrivateKey.generate(),
    ],
)
def test_a_key_of_each_kind_is_read(key: Any) -> None:
    assert signature.read_trust("", signers.public_pem(key)) == Trust(key=der_of(key))


def test_a_certificate_stands_for_its_key() -> None:
    assert signature.read_trust("", SIGNER.pem) == Trust(key=der_of(SIGNER.key))


def test_an_rsa_key_may_be_as_pkcs1_has_it() -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode()

    assert signature.read_trust("", pem).key == der_of(key)


def test_both_are_read_from_files(tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_text(f"Harbour's own\n{ROOT.pem}")
    (tmp_path / "key.pem").write_bytes(KEY.replace("\n", "\r\n").encode())

    trust = signature.read_trust(str(tmp_path / "root.pem"), str(tmp_path / "key.pem"))

    assert trust == Trust(roots=(ROOT.der,), key=der_of(SIGNER.key))


def test_a_file_may_be_as_large_as_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "root.pem"
    path.write_bytes(ROOT.pem.encode().ljust(1024 * 1024, b"\n"))
    assert signature.read_trust(str(path), "").roots == (ROOT.der,)
    path.write_bytes(ROOT.pem.encode().ljust(1024 * 1024 + 1, b"\n"))
    assert refusal(str(path)) == (
        f"trusted-root: {quoted_path(str(path))} is larger than 1 MiB\n"
        "  The PEM text itself can be given too."
    )


@pytest.mark.parametrize(
    "text",
    [
        ROOT.pem.replace("\n", "\\n"),
        ROOT.pem.replace("\n", " "),
        base64.b64encode(ROOT.pem.encode()).decode(),
    ],
    ids=["escaped", "blanks", "base64"],
)
def test_text_that_lost_its_line_breaks_is_read(text: str) -> None:
    assert signature.read_trust(text, "").roots == (ROOT.der,)


def test_a_missing_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hint = (
        "  Paths are relative to the workspace: does a step before this one check it out? The PEM "
        "text itself can be given too."
    )

    monkeypatch.chdir(tmp_path)

    assert refusal("ca.pem", "key.pem") == (
        f"verification-key: 'key.pem' cannot be read: no such file\n{hint}\n"
        f"trusted-root: 'ca.pem' cannot be read: no such file\n{hint}"
    )


def test_a_folder_is_not_taken_for_a_missing_file(tmp_path: Path) -> None:
    assert refusal(str(tmp_path)) == (
        f"trusted-root: {quoted_path(str(tmp_path))} cannot be read: is a directory\n"
        "  Name the file in it. The PEM text itself can be given too."
    )


@pytest.mark.parametrize("content", [b"", SIGNER.der, b"\xff{}", b"-----BEGIN-----"])
def test_a_file_that_is_not_pem_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)

    why = "is not PEM: nothing in it begins with -----BEGIN"
    assert refusal(str(path)) == f"trusted-root: {why}\n  {ROOT_HINT}"
    assert refusal("", str(path)) == f"verification-key: {why}\n  {KEY_HINT}"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_pem_that_powershell_wrote_is_refused(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(ROOT.pem.encode(encoding))

    why = f"{quoted_path(str(path))} is not UTF-8"
    hint = "Save it as UTF-8. The PEM text itself can be given too."
    assert refusal(str(path)) == f"trusted-root: {why}\n  {hint}"
    assert refusal("", str(path)) == f"verification-key: {why}\n  {hint}"


@pytest.mark.parametrize("text", [PRIVATE, ROOT.pem + PRIVATE, KEY + PRIVATE, PRIVATE[:60]])
def test_a_private_key_is_refused_and_not_shown(text: str) -> None:
    for name, hint in (("trusted-root", ROOT_HINT), ("verification-key", KEY_HINT)):
        said = refusal(*((text, "") if name == "trusted-root" else ("", text)))
        assert said == (
            f"{name}: contains a private key (not shown)\n"
            f"  {hint} Only the signer needs the private key."
        )


@pytest.mark.parametrize(
    "text", [KEY, ROOT.pem.replace("MII", "MIX", 1), "-----BEGIN CERTIFICATE-----\n"]
)
def test_what_holds_no_certificate_is_refused(text: str) -> None:
    assert refusal(text) == f"trusted-root: contains no readable certificate\n  {ROOT_HINT}"


@pytest.mark.parametrize(
    "text",
    [
        KEY.replace("M", "N", 1),
        SIGNER.pem.replace("MII", "MIX", 1),
        "-----BEGIN PUBLIC KEY-----\n",
        "-----BEGIN CERTIFICATE REQUEST-----\neA==\n-----END CERTIFICATE REQUEST-----\n",
    ],
)
def test_what_holds_no_key_is_refused(text: str) -> None:
    said = "verification-key: contains no readable public key"
    assert refusal("", text) == f"{said}\n  {KEY_HINT}"


def test_one_key_is_enough() -> None:
    assert (
        refusal("", KEY + KEY) == "verification-key: contains 2 keys or certificates\n  Give one."
    )


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (
            rsa.generate_private_key(65537, 1024),
            "an RSA key of 1024 bits, and at least 2048 are required",
        ),
        (
            ec.generate_private_key(ec.SECP256K1()),
            "a key on the curve secp256k1, not on P-256, P-384 or P-521",
        ),
        (ed448.Ed448PrivateKey.generate(), "a key of the kind Ed448, not ECDSA, RSA or Ed25519"),
        (x25519.X25519PrivateKey.generate(), "a key of the kind X25519, not ECDSA, RSA or Ed25519"),
    ],
    ids=["short", "curve", "Ed448", "X25519"],
)
def test_a_key_that_does_not_count_is_refused(key: Any, why: str) -> None:
    assert refusal("", signers.public_pem(key)) == f"verification-key: contains {why}"


def test_an_authority_with_a_weak_key_is_refused() -> None:
    weak = signers.root("Old", key=rsa.generate_private_key(65537, 1024))

    assert refusal(ROOT.pem + weak.pem) == (
        "trusted-root: contains CN=Old with an RSA key of 1024 bits, and at least 2048 are required"
    )


@pytest.mark.parametrize(
    "party", [SIGNER, signers.certify("Pier"), signers.certify("Pier", is_authority=False)]
)
def test_a_certificate_of_nobody_who_certifies_is_refused(party: signers.Party) -> None:
    name = party.certificate.subject.rfc4514_string()

    assert refusal(ROOT.pem + party.pem) == (
        f"trusted-root: contains {name}, which is not a certificate authority\n"
        "  Give its issuer's certificate. If it is the only trusted signer, give it as "
        "verification-key."
    )


@pytest.mark.parametrize(
    ("given", "who", "above"),
    [
        ([CLOCK], "CN=Clock", "CN=Clock intermediate"),
        ([CLOCK, CLOCK_ROOT], "CN=Clock", "CN=Clock intermediate"),
        ([CLOCK, CLOCK_INNER], "CN=Clock intermediate", "CN=Clock authority"),
    ],
    ids=["alone", "gap", "no root"],
)
def test_an_authority_of_time_stamps_needs_all_above_it(
    given: list[signers.Party], who: str, above: str
) -> None:
    assert refusal("".join(each.pem for each in (ROOT, *given))) == (
        f"trusted-root: contains {who}, for timestamps, but not its issuer, {above}\n"
        "  Add that certificate, and all above it."
    )


def test_authorities_of_time_stamps_alone_need_a_key() -> None:
    clocks = CLOCK.pem + CLOCK_INNER.pem + CLOCK_ROOT.pem

    assert refusal(clocks) == (
        "trusted-root: contains only timestamp authorities, and a timestamp does not say who "
        "signed\n  Add the authority that certifies your signers, or give verification-key."
    )
    assert signature.read_trust(clocks, KEY).timestamp_authorities == (CLOCK.der,)


def test_a_hundred_certificates_are_enough() -> None:
    assert signature.read_trust(ROOT.pem * 100, "").roots == (ROOT.der,)
    assert refusal(ROOT.pem * 101) == "trusted-root: contains more than 100 certificates"


def test_a_certificate_with_a_damaged_extension_is_refused() -> None:
    broken = x509.UnrecognizedExtension(x509.BasicConstraints.oid, b"\x05\x00")
    party = signers.certify("Pier", extra=[(broken, True)])

    assert refusal(party.pem) == f"trusted-root: contains no readable certificate\n  {ROOT_HINT}"


@pytest.mark.parametrize(
    ("given", "name"), [(("x", ""), "trusted-root"), (("", "x"), "verification-key")]
)
def test_without_the_library_there_is_one_clear_error(
    given: tuple[str, str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "chainloop_smtp.signature.trust", raising=False)
    monkeypatch.delattr(signature, "trust", raising=False)
    # Python's own mark of a module that is not there.
    monkeypatch.setitem(sys.modules, "cryptography", None)

    assert refusal(*given) == (
        f"{name}: needs the Python library cryptography, which is not installed\n"
        "  Install it: pip install cryptography rfc3161-client"
    )
