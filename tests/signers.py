"""Authorities, signers and timestamp authorities to test with, and what they sign."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

import builders

SIGNED = datetime(2026, 9, 1, 8, 0, tzinfo=UTC)
MINUTES = timedelta(minutes=1)
YEARS = timedelta(days=365)
PAYLOAD_TYPE = builders.PAYLOAD_TYPE
CODE_SIGNING = ExtendedKeyUsageOID.CODE_SIGNING
TIME_STAMPING = ExtendedKeyUsageOID.TIME_STAMPING
_KINDS = (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME)


def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class Party:
    """Whoever has a certificate, and the key of it."""

    key: CertificateIssuerPrivateKeyTypes
    certificate: x509.Certificate
    above: tuple["Party", ...] = ()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def issue(self, name: str, **facts: Any) -> "Party":
        return certify(name, issuer=self, **facts)

    def issue_signer(self, name: str = "Harbour Ltd", **facts: Any) -> "Party":
        return self.issue(
            name,
            **{
                "usage": "digital_signature",
                "extended": [CODE_SIGNING],
                "start": SIGNED,
                "end": SIGNED + 10 * MINUTES,
            }
            | facts,
        )

    def issue_authority(self, name: str = "Harbour intermediate", **facts: Any) -> "Party":
        return self.issue(name, **{"is_authority": True, "usage": "key_cert_sign"} | facts)

    def issue_stamper(self, name: str = "Harbour clock", **facts: Any) -> "Party":
        usual = {"usage": "digital_signature", "extended": [TIME_STAMPING]}
        return self.issue(name, **usual | facts)


def certify(
    name: str,
    *,
    issuer: Party | None = None,
    key: Any = None,
    is_authority: bool | None = None,
    path_length: int | None = None,
    usage: str = "",
    extended: Sequence[x509.ObjectIdentifier] = (),
    names: Sequence[x509.GeneralName] = (),
    extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
    start: datetime = SIGNED - YEARS,
    end: datetime = SIGNED + 9 * YEARS,
    hash_: Any = None,
    subject: x509.Name | None = None,
) -> Party:
    """A certificate as one likes; without an issuer, signed with its own key.

    Args:
        name: ``organization/common name``, or one of them; empty: none.
        is_authority: None: no basic constraints.
        usage: The one use of the key; empty: not stated.
    """
    key = key or ec_key()
    subject = subject or x509.Name(
        [
            x509.NameAttribute(kind, part)
            for kind, part in zip(_KINDS[-len(name.split("/")) :], name.split("/"), strict=True)
            if part
        ]
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )
    extensions = list(extra)
    if is_authority is not None:
        extensions.append((x509.BasicConstraints(is_authority, path_length), True))
    if usage:
        extensions.append((key_usage(usage), True))
    if extended:
        extensions.append((x509.ExtendedKeyUsage(extended), True))
    if names:
        extensions.append((x509.SubjectAlternativeName(names), False))
    for extension, is_critical in extensions:
        builder = builder.add_extension(extension, is_critical)
    signing = issuer.key if issuer else key
    algorithm = None if isinstance(signing, ed25519.Ed25519PrivateKey) else hash_ or hashes.SHA256()
    return Party(key, builder.sign(signing, algorithm))


def root(name: str = "Harbour authority", **facts: Any) -> Party:
    usual: dict[str, Any] = {"is_authority": True, "usage": "key_cert_sign"}
    return certify(name, **usual | facts)


def key_usage(name: str) -> x509.KeyUsage:
    names = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
        *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{each: each == name for each in names})


def sign(key: Any, message: bytes, hash_: hashes.HashAlgorithm | None = None) -> bytes:
    """As Chainloop's command does; RSA with PKCS #1 v1.5."""
    hash_ = hash_ or hashes.SHA256()
    match key:
        case ed25519.Ed25519PrivateKey():
            return key.sign(message)
        case rsa.RSAPrivateKey():
            return key.sign(message, padding.PKCS1v15(), hash_)
        case _:
            signature: bytes = key.sign(message, ec.ECDSA(hash_))
            return signature


def pae(payload: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    return f"DSSEv1 {len(payload_type)} {payload_type} {len(payload)} ".encode() + payload


def public_pem(key: Any) -> str:
    encoded: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return encoded.decode()


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def bundle(
    statement: builders.JSON,
    *signatures: bytes,
    chain: Sequence[Party] = (),
    stamps: Sequence[bytes] = (),
) -> builders.JSON:
    """A bundle as Chainloop's command makes one.

    Args:
        chain: The signer alone, or with its issuers.
    """
    material: builders.JSON = {}
    encoded = [{"rawBytes": base64_of(each.der)} for each in chain]
    if len(encoded) == 1:
        material["certificate"] = encoded[0]
    elif encoded:
        material["x509CertificateChain"] = {"certificates": encoded}
    if stamps:
        listed = [{"signedTimestamp": base64_of(each)} for each in stamps]
        material["timestampVerificationData"] = {"rfc3161Timestamps": listed}
    document = builders.bundle(statement, material=material)
    document["dsseEnvelope"]["signatures"] = [{"sig": base64_of(each)} for each in signatures]
    return document


def payload_of(document: builders.JSON) -> bytes:
    return base64.b64decode(document["dsseEnvelope"]["payload"])


def signed_bundle(
    statement: builders.JSON, signer: Party, *above: Party, stamper: Party | None = None
) -> builders.JSON:
    """A good bundle."""
    signature = sign(signer.key, pae(payload_of(builders.bundle(statement))))
    stamps = [stamp(stamper, signature)] if stamper else []
    return bundle(statement, signature, chain=[signer, *above], stamps=stamps)


def stamp(
    stamper: Party,
    data: bytes,
    *,
    time: datetime = SIGNED + MINUTES,
    hash_: str = "sha256",
    signed_hash: str = "sha256",
    status: str = "granted",
    has_certificate: bool = True,
) -> bytes:
    """An RFC 3161 response by whom one likes."""
    info = tsp.TSTInfo(
        {
            "version": "v1",
            "policy": "1.2.3.4",
            "message_imprint": {
                "hash_algorithm": {"algorithm": hash_},
                "hashed_message": hashlib.new(hash_, data).digest(),
            },
            "serial_number": 7,
            "gen_time": time,
        }
    )
    content = info.dump()
    certificate = asn1_x509.Certificate.load(stamper.der)
    attributes = cms.CMSAttributes(
        [
            {"type": "content_type", "values": ["tst_info"]},
            {"type": "message_digest", "values": [hashlib.new(signed_hash, content).digest()]},
            {
                "type": "signing_certificate_v2",
                "values": [{"certs": [{"cert_hash": hashlib.sha256(stamper.der).digest()}]}],
            },
        ]
    )
    is_rsa = isinstance(stamper.key, rsa.RSAPrivateKey)
    signed = cms.SignedData(
        {
            "version": "v3",
            "digest_algorithms": [{"algorithm": signed_hash}],
            "encap_content_info": {
                "content_type": "tst_info",
                "content": core.ParsableOctetString(content),
            },
            "certificates": [certificate] if has_certificate else [],
            "signer_infos": [
                {
                    "version": "v1",
                    "sid": cms.IssuerAndSerialNumber(
                        {
                            "issuer": certificate.issuer,
                            "serial_number": certificate.serial_number,
                        }
                    ),
                    "digest_algorithm": {"algorithm": signed_hash},
                    "signed_attrs": attributes,
                    "signature_algorithm": algos.SignedDigestAlgorithm(
                        {"algorithm": f"{signed_hash}_{'rsa' if is_rsa else 'ecdsa'}"}
                    ),
                    "signature": sign(
                        stamper.key,
                        attributes.untag().dump(),
                        getattr(hashes, signed_hash.upper())(),
                    ),
                }
            ],
        }
    )
    response = tsp.TimeStampResp(
        {
            "status": {"status": status},
            "time_stamp_token": {"content_type": "signed_data", "content": signed},
        }
    )
    encoded: bytes = response.dump()
    return encoded
