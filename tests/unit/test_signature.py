"""Whose signature an attestation has: each case is made here, with authorities of its own."""

import base64
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID

import builders
import signers
from chainloop_smtp import attestation, signature
from chainloop_smtp.model.checks import SignatureCheck, SignatureStatus, Trust
from signers import MINUTES, SIGNED, YEARS, Party

VERIFIED, FAILED, UNCHECKED = SignatureStatus
STATEMENT = builders.statement()
ROOT = signers.root("Harbour/Harbour authority")
SIGNER = ROOT.issue_signer("Harbour/a1c5")
TRUST = signature.read_trust(ROOT.pem, "")
CHANGED = "the signature does not verify: what was signed is not what the evidence contains"
EXAMPLES = [
    each / "shared" / "chainloop" / "trust"
    for each in Path(__file__).parents
    if (each / "shared" / "chainloop" / "trust").is_dir()
]


def check(document: builders.JSON, trust: Trust = TRUST) -> SignatureCheck:
    return signature.verify(attestation.parse(builders.encoded(document)), trust)


def reason(document: builders.JSON, trust: Trust = TRUST) -> str:
    """Why it is not verified; nobody is then named."""
    checked = check(document, trust)
    assert checked == SignatureCheck(status=FAILED, reason=checked.reason)
    return checked.reason


def trusted(*parties: Party) -> Trust:
    return signature.read_trust("".join(each.pem for each in parties), "")


def signed(signer: Party = SIGNER, *above: Party) -> builders.JSON:
    return signers.signed_bundle(STATEMENT, signer, *above)


# --- with a certificate ------------------------------------------------------------------------


def test_a_good_bundle_names_signer_authority_key_and_time() -> None:
    key = SIGNER.key.public_key()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    assert check(signed()) == SignatureCheck(
        status=VERIFIED,
        signer="O=Harbour, CN=a1c5",
        authority="O=Harbour, CN=Harbour authority",
        method="ECDSA P-256, SHA-256",
        key_fingerprint=builders.digest_of(der),
        signed_at=SIGNED,
    )


@pytest.mark.parametrize(
    "names",
    [
        [x509.RFC822Name("robo@harbour.example")],
        [
            x509.UniformResourceIdentifier("https://ci.harbour.example/7"),
            x509.DNSName("harbour.example"),
            x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
        ],
    ],
    ids=["mail", "URI and host"],
)
@pytest.mark.parametrize("subject", ["", "a1c5"])
def test_a_signer_may_have_alternative_names(names: list[x509.GeneralName], subject: str) -> None:
    shown = ", ".join(each.value for each in names if isinstance(each.value, str))
    expected = f"CN={subject} ({shown})" if subject else shown

    assert check(signed(ROOT.issue_signer(subject, names=names))).signer == expected


def test_alternative_names_of_other_kinds_are_not_shown() -> None:
    signer = ROOT.issue_signer("a1c5", names=[x509.RegisteredID(x509.ObjectIdentifier("1.2.3"))])

    assert check(signed(signer)).signer == "CN=a1c5"


def test_a_signer_may_be_named_in_other_bytes_than_text() -> None:
    name = x509.NameAttribute(
        x509.NameOID.X500_UNIQUE_IDENTIFIER, b"\x05\xa0", _type=_ASN1Type.BitString
    )
    signer = ROOT.issue_signer(subject=x509.Name([name]))

    assert check(signed(signer)).signer == "2.5.4.45=05a0"


def test_an_oddity_in_a_certificate_is_accepted() -> None:
    with pytest.warns(UserWarning, match="length must be"):
        country = x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "DEU", _validate=False)
    signer = ROOT.issue_signer(subject=x509.Name([country]))

    assert check(signed(signer)).signer == "C=DEU"


def test_names_are_shown_on_one_line_and_not_without_end() -> None:
    """Whoever made the bundle chose them."""
    name = "::error::\x1b[31m\n\u202eharbour"
    domain = "@harbour.example"
    names = [x509.RFC822Name(f"{'a' * 400}{domain}")]
    other = signers.root(name).issue_signer()

    assert reason(signed(other)).startswith(
        "the certificate is issued by CN=::error:: [31m  harbour, which"
    )
    checked = check(signed(ROOT.issue_signer(name, names=names)))
    assert checked.signer == f"CN=::error:: [31m  harbour ({'a' * 297}...)"
    longest = f"{'a' * (300 - len(domain))}{domain}"
    checked = check(signed(ROOT.issue_signer("", names=[x509.RFC822Name(longest)])))
    assert checked.signer == longest


@pytest.mark.parametrize("where", ["in the bundle", "trusted"])
def test_a_chain_may_lead_through_intermediates(where: str) -> None:
    outer = ROOT.issue_authority("Outer", path_length=1)
    inner = outer.issue_authority("Inner", path_length=0)
    signer = inner.issue_signer()

    if where == "trusted":
        checked = check(signed(signer), trusted(inner, ROOT, outer))
    else:
        checked = check(signed(signer, inner, outer))

    assert checked.status is VERIFIED
    assert checked.authority == "O=Harbour, CN=Harbour authority"


def test_an_intermediate_alone_may_be_the_trusted_root() -> None:
    inner = ROOT.issue_authority("Inner")

    assert check(signed(inner.issue_signer()), trusted(inner)).authority == "CN=Inner"


def test_a_root_may_be_renewed_with_its_key() -> None:
    again = signers.root("Harbour/Harbour authority", key=ROOT.key, end=SIGNED + 20 * YEARS)

    assert check(signed(), trusted(again, ROOT)).status is VERIFIED


def test_an_authority_may_state_neither_key_usage_nor_criticality() -> None:
    """As Chainloop's own."""
    authority = signers.root(usage="")

    assert check(signed(authority.issue_signer()), trusted(authority)).status is VERIFIED


def test_a_certificate_is_verified_at_its_own_time() -> None:
    """It lived for ten minutes; authorities and their signers end, and evidence stays."""
    authority = signers.root(start=SIGNED, end=SIGNED + MINUTES)

    assert check(signed(authority.issue_signer()), trusted(authority)).status is VERIFIED


@pytest.mark.parametrize(
    "window",
    [(SIGNED - YEARS, SIGNED - MINUTES), (SIGNED + MINUTES, SIGNED + YEARS)],
    ids=["ended", "not begun"],
)
def test_a_certificate_outside_of_its_authoritys_validity_fails(window: tuple[Any, Any]) -> None:
    authority = signers.root(start=window[0], end=window[1])

    assert reason(signed(authority.issue_signer()), trusted(authority)) == (
        "the certificate's chain does not verify: an authority was not valid when the certificate "
        "was issued"
    )


def test_another_authority_with_the_same_names_fails() -> None:
    other = signers.root("Harbour/Harbour authority")

    assert reason(signed(other.issue_signer("Harbour/a1c5"))) == (
        "the certificate is not issued by the O=Harbour, CN=Harbour authority in trusted-root, but "
        "by another key under the same name, or it has been changed"
    )


def test_an_authority_that_the_bundle_brings_is_not_trusted() -> None:
    other = signers.root("Reef")
    inner = other.issue_authority("Reef intermediate")

    assert reason(signed(other.issue_signer())) == (
        "the certificate is issued by CN=Reef, which is not in trusted-root"
    )
    assert reason(signed(other.issue_signer(), other)).startswith(
        "the certificate's chain does not verify: "
    )
    assert reason(signed(inner.issue_signer(), inner, other)).startswith(
        "the certificate's chain does not verify: "
    )


def test_authorities_that_only_certify_each_other_are_roots() -> None:
    one, other = signers.root("One"), signers.root("Other")
    names = {"One": (other, one.key), "Other": (one, other.key)}
    pair = [issuer.issue_authority(name, key=key) for name, (issuer, key) in names.items()]

    assert check(signed(one.issue_signer(), *pair), trusted(*pair)).authority == "CN=One"


def test_a_signer_that_signed_itself_fails() -> None:
    signer = signers.certify("Harbour/a1c5", usage="digital_signature", end=SIGNED + YEARS)

    assert reason(signed(signer)) == (
        "the certificate is issued by O=Harbour, CN=a1c5, which is not in trusted-root"
    )


def no_authority() -> Sequence[Party]:
    inner = ROOT.issue("Inner", is_authority=False, usage="key_cert_sign")
    return inner.issue_signer(), inner


def no_basic_constraints() -> Sequence[Party]:
    inner = ROOT.issue("Inner", usage="key_cert_sign")
    return inner.issue_signer(), inner


def too_long_a_path() -> Sequence[Party]:
    outer = ROOT.issue_authority("Outer", path_length=0)
    inner = outer.issue_authority("Inner")
    return inner.issue_signer(), inner, outer


def no_certificate_signing() -> Sequence[Party]:
    inner = ROOT.issue_authority("Inner", usage="crl_sign")
    return inner.issue_signer(), inner


def authority_for_other_ends() -> Sequence[Party]:
    inner = ROOT.issue_authority("Inner", extended=[ExtendedKeyUsageOID.SERVER_AUTH])
    return inner.issue_signer(), inner


def another_name() -> Sequence[Party]:
    excluded = x509.NameConstraints(None, [x509.RFC822Name("reef.example")])
    inner = ROOT.issue_authority("Inner", extra=[(excluded, True)])
    return inner.issue_signer(names=[x509.RFC822Name("robo@reef.example")]), inner


def unknown_critical_extension() -> Sequence[Party]:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
    return (ROOT.issue_signer(extra=[(unknown, True)]),)


def signer_that_is_an_authority() -> Sequence[Party]:
    return (ROOT.issue_signer(is_authority=True),)


def signer_for_other_uses() -> Sequence[Party]:
    return (ROOT.issue_signer(usage="key_agreement"),)


def signer_for_other_ends() -> Sequence[Party]:
    return (ROOT.issue_signer(extended=[ExtendedKeyUsageOID.SERVER_AUTH]),)


def signature_with_sha1() -> Sequence[Party]:
    authority = ROOT.issue_authority("Old", key=rsa.generate_private_key(65537, 2048))
    return authority.issue_signer(hash_=hashes.SHA224()), authority


def short_rsa_authority() -> Sequence[Party]:
    authority = ROOT.issue_authority("Old", key=rsa.generate_private_key(65537, 1024))
    return authority.issue_signer(), authority


def ed25519_authority() -> Sequence[Party]:
    authority = ROOT.issue_authority("New", key=ed25519.Ed25519PrivateKey.generate())
    return authority.issue_signer(), authority


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (no_authority, "an issuer is not a certificate authority"),
        (no_basic_constraints, "an issuer is not a certificate authority"),
        (too_long_a_path, "path length constraint violated"),
        (no_certificate_signing, "an issuer's key may not sign certificates"),
        (authority_for_other_ends, "a certificate in it is not for code signing"),
        (another_name, "excluded name constraint matched SAN"),
        (
            unknown_critical_extension,
            "invalid extension: 1.2.3.4.5: certificate contains unaccounted-for critical "
            "extensions",
        ),
        (signer_that_is_an_authority, "the signer's certificate is a CA certificate"),
        (signer_for_other_uses, "the key may not sign documents"),
        (signer_for_other_ends, "a certificate in it is not for code signing"),
        (signature_with_sha1, "a certificate is signed with an algorithm that is not accepted"),
        (short_rsa_authority, "an authority's RSA key is shorter than 2048 bits"),
        (ed25519_authority, "an authority's key is neither RSA nor ECDSA"),
    ],
)
def test_a_chain_with_a_fault_fails(make: Callable[[], Sequence[Party]], why: str) -> None:
    signer, *above = make()

    said = reason(signed(signer, *above))

    assert said == f"the certificate's chain does not verify: {why}"


def test_a_signer_may_state_that_it_is_no_authority() -> None:
    assert check(signed(ROOT.issue_signer(is_authority=False))).status is VERIFIED


@pytest.mark.parametrize(
    "extended",
    [
        [],
        [ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE],
        [signers.CODE_SIGNING, signers.TIME_STAMPING],
    ],
    ids=["none", "any", "several"],
)
def test_a_certificate_may_be_for_code_signing_among_others(
    extended: list[x509.ObjectIdentifier],
) -> None:
    assert check(signed(ROOT.issue_signer(extended=extended, usage=""))).status is VERIFIED


# --- what was signed ---------------------------------------------------------------------------


def test_a_changed_payload_fails() -> None:
    document = signed()
    payload = signers.payload_of(document).replace(b"lakeside", b"reefside")
    document["dsseEnvelope"]["payload"] = signers.base64_of(payload)

    assert reason(document) == CHANGED


def test_a_changed_signature_fails() -> None:
    document = signed()
    good = base64.b64decode(document["dsseEnvelope"]["signatures"][0]["sig"])
    bad = good[:-1] + bytes([good[-1] ^ 1])
    document["dsseEnvelope"]["signatures"] = [{"sig": signers.base64_of(bad)}]

    assert reason(document) == CHANGED


@pytest.mark.parametrize("text", ["", "+", "bm9uZQ==", "eA"], ids=["no", "bad", "none", "x"])
def test_what_is_no_signature_fails(text: str) -> None:
    document = signed()
    document["dsseEnvelope"]["signatures"] = [{"sig": text}]

    assert reason(document) == CHANGED


def test_another_keys_signature_fails() -> None:
    other = ROOT.issue_signer("Harbour/a1c5")
    document = signed()
    document["verificationMaterial"] = signed(other)["verificationMaterial"]

    assert reason(document) == CHANGED


def test_the_payloads_type_is_signed_too() -> None:
    payload = signers.payload_of(builders.bundle(STATEMENT))
    message = signers.pae(payload, "application/vnd.in-toto+jso")
    document = signers.bundle(STATEMENT, signers.sign(SIGNER.key, message), chain=[SIGNER])

    assert reason(document) == CHANGED


def test_a_signature_over_the_payload_alone_fails() -> None:
    payload = signers.payload_of(builders.bundle(STATEMENT))
    document = signers.bundle(STATEMENT, signers.sign(SIGNER.key, payload), chain=[SIGNER])

    assert reason(document) == CHANGED


def test_a_signature_may_be_encoded_twice() -> None:
    """As all were until 2025."""
    document = signed()
    (entry,) = document["dsseEnvelope"]["signatures"]
    entry["sig"] = signers.base64_of(entry["sig"].encode())

    assert check(document) == check(signed())


def test_a_signature_encoded_twice_has_nothing_but_base64_in_it() -> None:
    document = signed()
    (entry,) = document["dsseEnvelope"]["signatures"]
    entry["sig"] = signers.base64_of(f"{entry['sig'][:8]}!{entry['sig'][8:]}".encode())

    assert reason(document) == CHANGED


def test_every_one_of_two_signatures_has_to_verify() -> None:
    message = signers.pae(signers.payload_of(builders.bundle(STATEMENT)))
    good = signers.sign(SIGNER.key, message)
    other = signers.sign(signers.ec_key(), message)

    assert check(signers.bundle(STATEMENT, good, good, chain=[SIGNER])).status is VERIFIED
    for pair in ((good, other), (other, good)):
        assert reason(signers.bundle(STATEMENT, *pair, chain=[SIGNER])) == (
            "one of the 2 signatures does not verify: what was signed is not what the evidence "
            "contains"
        )


# --- what is missing ---------------------------------------------------------------------------


def test_an_envelope_without_a_signature_fails() -> None:
    assert reason(signers.bundle(STATEMENT, chain=[SIGNER])) == "the envelope contains no signature"


def test_without_an_envelope_there_is_nothing_to_check() -> None:
    for document in (STATEMENT, builders.cli_push(STATEMENT)):
        checked = check(document)
        assert checked.status is UNCHECKED
        assert checked.reason.endswith(
            "contains no signature; `chainloop workflow run describe --id RUN-ID -o json` prints "
            "the signed bundle"
        )


@pytest.mark.parametrize(
    ("material", "said"),
    [
        ({}, "the evidence contains no certificate: it is signed with a key that it does not name"),
        (
            {"publicKey": {"hint": "pier-key"}},
            "the evidence contains no certificate: it is signed with the key 'pier-key'",
        ),
        (
            {"timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": "AAAA"}]}},
            "the evidence has a timestamp, but contains no certificate: it is signed with a key "
            "that "
            "it does not name",
        ),
    ],
    ids=["nothing", "key hint", "timestamp"],
)
def test_a_hint_and_a_time_stamp_prove_nothing(material: builders.JSON, said: str) -> None:
    document = signed() | {"verificationMaterial": material}

    assert check(document) == SignatureCheck(
        status=UNCHECKED, reason=f"{said}, so only verification-key can verify it"
    )


@pytest.mark.parametrize(
    "der", [b"x", SIGNER.der[:-9], SIGNER.der + b"x", ROOT.der.replace(b"\x02\x01", b"\x7f\x01", 1)]
)
def test_a_damaged_certificate_fails(der: bytes) -> None:
    document = signed()
    document["verificationMaterial"]["certificate"]["rawBytes"] = signers.base64_of(der)

    assert reason(document) == "the certificate is damaged"


def test_a_damaged_issuer_fails() -> None:
    document = signed(SIGNER, ROOT)
    document["verificationMaterial"]["x509CertificateChain"]["certificates"][1] = {
        "rawBytes": "eA=="
    }

    assert reason(document) == "the certificate is damaged"


# --- keys --------------------------------------------------------------------------------------

KEYS: dict[str, Callable[[], Any]] = {
    "ECDSA P-256, SHA-256": signers.ec_key,
    "ECDSA P-384, SHA-256": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ECDSA P-521, SHA-256": lambda: ec.generate_private_key(ec.SECP521R1()),
    "RSA 2048 (PKCS #1 v1.5), SHA-256": lambda: rsa.generate_private_key(65537, 2048),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}


@pytest.mark.parametrize("method", KEYS)
def test_a_key_of_each_kind_verifies_alone_and_in_a_certificate(method: str) -> None:
    signer = ROOT.issue_signer(key=KEYS[method]())
    document = signed(signer)
    key = signature.read_trust("", signers.public_pem(signer.key))

    by_key = check(document, key)
    assert (by_key.status, by_key.method) == (VERIFIED, method)
    assert (by_key.signer, by_key.authority, by_key.signed_at) == ("", "", None)
    by_certificate = check(document)
    assert (by_certificate.status, by_certificate.method) == (VERIFIED, method)
    assert by_certificate.key_fingerprint == by_key.key_fingerprint
    bare = document | {"verificationMaterial": {"publicKey": {"hint": "pier"}}}
    assert check(bare, key) == by_key


@pytest.mark.parametrize("signing", KEYS)
@pytest.mark.parametrize("verifying", KEYS)
def test_no_key_verifies_anothers_signature(signing: str, verifying: str) -> None:
    key = signature.read_trust("", signers.public_pem(KEYS[verifying]()))
    document = signers.signed_bundle(STATEMENT, ROOT.issue_signer(key=KEYS[signing]()))

    assert reason(document, key) == CHANGED


MESSAGE = signers.pae(signers.payload_of(builders.bundle(STATEMENT)))
RSA = rsa.generate_private_key(65537, 2048)


@pytest.mark.parametrize("hash_", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
def test_a_key_may_sign_with_each_hash_that_counts(hash_: hashes.HashAlgorithm) -> None:
    name = hash_.name.upper().replace("SHA", "SHA-")
    salted = padding.PSS(padding.MGF1(hash_), hash_.digest_size)
    for key, made, method in (
        (SIGNER.key, signers.sign(SIGNER.key, MESSAGE, hash_), "ECDSA P-256"),
        (RSA, signers.sign(RSA, MESSAGE, hash_), "RSA 2048 (PKCS #1 v1.5)"),
        (RSA, RSA.sign(MESSAGE, salted, hash_), "RSA 2048 (PSS)"),
    ):
        trust = signature.read_trust("", signers.public_pem(key))
        checked = check(signers.bundle(STATEMENT, made), trust)
        assert (checked.status, checked.method) == (VERIFIED, f"{method}, {name}")


@pytest.mark.parametrize("hash_", [hashes.SHA1(), hashes.SHA224(), hashes.SHA3_256()])
def test_a_key_may_not_sign_with_another_hash(hash_: hashes.HashAlgorithm) -> None:
    for key in (SIGNER.key, RSA):
        trust = signature.read_trust("", signers.public_pem(key))
        made = signers.sign(key, MESSAGE, hash_)
        assert reason(signers.bundle(STATEMENT, made), trust) == CHANGED


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
    ],
    ids=["short", "curve"],
)
def test_a_signer_with_a_weak_key_fails(key: Any, why: str) -> None:
    assert reason(signed(ROOT.issue_signer(key=key))) == f"the signer's key is {why}"


def test_the_certificate_counts_where_there_are_roots_for_it() -> None:
    """Else a key that is retired would go on to vouch for whoever has it."""
    both = signature.read_trust(ROOT.pem, signers.public_pem(SIGNER.key))
    other = signers.root().issue_signer(key=SIGNER.key)

    assert check(signed(), both).authority == "O=Harbour, CN=Harbour authority"
    assert "which is not in trusted-root" in reason(signed(other), both)
    bare = signed() | {"verificationMaterial": {}}
    assert (check(bare, both).status, check(bare, both).signer) == (VERIFIED, "")


# --- wherever it stands ------------------------------------------------------------------------


def test_a_bundle_is_verified_in_each_document_that_holds_it() -> None:
    document = signed()
    described = builders.cli_describe(STATEMENT)
    described["attestation"]["bundle"] = signers.base64_of(json.dumps(document).encode())
    described["attestation"]["digest"] = ""

    assert check(described) == check(document)


def test_a_bundle_joined_with_a_printed_push_is_verified() -> None:
    bundle = attestation.parse(builders.encoded(signed()))
    push = attestation.parse(builders.encoded(builders.cli_push(STATEMENT, digest="")))

    for joined in (attestation.join(bundle, push), attestation.join(push, bundle)):
        assert signature.verify(joined, TRUST).status is VERIFIED


@pytest.mark.skipif(not EXAMPLES, reason="Chainloop's own examples are not at hand")
def test_chainloops_own_examples() -> None:
    trust = signature.read_trust(str(EXAMPLES[0] / "ca.pem"), "")
    good, bad = (
        signature.verify(attestation.parse((EXAMPLES[0] / name).read_bytes()), trust)
        for name in ("bundle_valid.json", "bundle_invalid.json")
    )

    assert (good.status, good.signer) == (VERIFIED, "O=18c3f782-4936-4630-ab8d-20b511366699")
    assert (bad.status, bad.reason) == (FAILED, CHANGED)
