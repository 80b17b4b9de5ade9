"""Whom the certificate of a bundle names; a certificate that cannot be read names nobody."""

import base64
import datetime
import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier
from hypothesis import given, settings
from hypothesis import strategies as st

import builders
from chainloop_smtp import attestation
from chainloop_smtp.attestation.certificate import MAX_BYTES, read

NOBODY = ("", "", ())
FULCIO_OTHER_NAME = ObjectIdentifier("1.3.6.1.4.1.57264.1.7")


def certificate(
    subject: x509.Name,
    names: list[x509.GeneralName] | None = None,
    *,
    more: list[x509.ExtensionType] | None = None,
) -> bytes:
    """DER of a certificate that one key signs for another."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "ES"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Lakeside"),
            x509.NameAttribute(NameOID.COMMON_NAME, "Pier CA"),
        ]
    )
    start = datetime.datetime(2026, 9, 1, tzinfo=datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(minutes=10))
    )
    for extension in more or []:
        builder = builder.add_extension(extension, critical=True)
    if names is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


ORGANIZATION = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "6f2d-id")])
PLAIN = certificate(ORGANIZATION)
NAMED = certificate(
    ORGANIZATION,
    [
        x509.RFC822Name("ada@lakeside.example"),
        x509.UniformResourceIdentifier("https://forge.example/lakeside/harbour@refs/heads/main"),
        x509.DNSName("pier.example"),
        x509.IPAddress(ipaddress.ip_address("192.0.2.7")),
        x509.IPAddress(ipaddress.ip_address("2001:db8::7")),
        x509.OtherName(FULCIO_OTHER_NAME, b"\x0c\x04robo"),
        x509.DirectoryName(ORGANIZATION),
    ],
    more=[x509.BasicConstraints(ca=False, path_length=None)],
)


def test_subject_and_issuer_are_told_in_the_certificates_order() -> None:
    assert read(PLAIN) == ("O=6f2d-id", "C=ES, O=Lakeside, CN=Pier CA", ())


def test_alternative_names_are_told() -> None:
    assert read(NAMED)[2] == (
        "ada@lakeside.example",
        "https://forge.example/lakeside/harbour@refs/heads/main",
        "pier.example",
        "192.0.2.7",
        "2001:0db8:0000:0000:0000:0000:0000:0007",
        "robo",
    )


def test_attributes_that_have_no_short_name_are_told_by_their_object_id() -> None:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.PSEUDONYM, "käpt'n"),
            x509.NameAttribute(NameOID.COMMON_NAME, "x"),
        ]
    )

    assert read(certificate(subject))[0] == "550441=käpt'n, CN=x"


def test_a_value_of_an_unknown_string_type_is_told_in_hex() -> None:
    # NumericString, which no attribute of a name uses.
    raw = PLAIN.replace(b"\x0c\x076f2d-id", b"\x1a\x076f2d-id")

    assert read(raw)[0] == f"O={b'6f2d-id'.hex()}"


def test_a_certificate_of_the_first_version_is_told_too() -> None:
    def value(tag: int, *parts: bytes) -> bytes:
        return bytes([tag, sum(map(len, parts))]) + b"".join(parts)

    def name(text: bytes) -> bytes:
        kind = value(0x06, bytes.fromhex("550403"))
        return value(0x30, value(0x31, value(0x30, kind, value(0x0C, text))))

    empty = value(0x30)
    body = value(0x30, value(0x02, b"7"), empty, name(b"CA"), empty, name(b"leaf"), empty)

    assert read(value(0x30, body, empty, value(0x03, b"0"))) == ("CN=leaf", "CN=CA", ())


@pytest.mark.parametrize("material", ["certificate", "x509CertificateChain"])
def test_a_bundle_tells_its_leaf(material: str) -> None:
    leaf = {"rawBytes": base64.b64encode(NAMED).decode()}
    other = {"rawBytes": base64.b64encode(PLAIN).decode()}
    said = leaf if material == "certificate" else {"certificates": [leaf, other]}

    document = builders.bundle(builders.statement(), material={material: said})

    told = attestation.parse(builders.encoded(document)).signing
    assert told.certificate == "O=6f2d-id"
    assert told.certificate_issuer == "C=ES, O=Lakeside, CN=Pier CA"
    assert told.certificate_sans[0] == "ada@lakeside.example"


def test_a_bundle_with_a_broken_certificate_is_still_read() -> None:
    for said in ({"rawBytes": "AAAA"}, {"rawBytes": ""}):
        document = builders.bundle(builders.statement(), material={"certificate": said})

        assert attestation.parse(builders.encoded(document)).signing.certificate == ""
    document = builders.bundle(
        builders.statement(), material={"x509CertificateChain": {"certificates": []}}
    )
    assert attestation.parse(builders.encoded(document)).signing.certificate == ""


@pytest.mark.parametrize(
    "der",
    [
        b"",
        b"\x30",
        b"\x30\x80\x00\x00",
        b"\x30\x85\x00\x00\x00\x00\x01\x00",
        b"\x3f\x81\x01\x00",
        b"\x30\x05abc",
        b"\x30\x00",
        PLAIN + b"\x00" * MAX_BYTES,
    ],
    ids=["nothing", "a tag", "indefinite", "long length", "long tag", "short", "empty", "large"],
)
def test_what_is_no_certificate_names_nobody(der: bytes) -> None:
    assert read(der) == NOBODY


@pytest.mark.parametrize("length", range(0, len(NAMED), 7))
def test_a_certificate_that_was_cut_short_names_nobody(length: int) -> None:
    assert read(NAMED[:length]) == NOBODY


@pytest.mark.parametrize("damage", [b"\x00", b"\x7f", b"\x80", b"\xff"])
def test_one_wrong_byte_raises_nothing_wherever_it_is(damage: bytes) -> None:
    for position in range(len(NAMED)):
        names_nobody_or_somebody(NAMED[:position] + damage + NAMED[position + 1 :])


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(NAMED) - 1), st.binary(min_size=1, max_size=6))
def test_a_damaged_certificate_raises_nothing(position: int, damage: bytes) -> None:
    names_nobody_or_somebody(NAMED[:position] + damage + NAMED[position + len(damage) :])


def names_nobody_or_somebody(der: bytes) -> None:
    """What is read can be written down: no half surrogate pairs."""
    subject, issuer, names = read(der)

    text = "\n".join((subject, issuer, *names))
    assert text.encode().decode() == text
