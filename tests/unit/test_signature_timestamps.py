"""Timestamps: made here as RFC 3161 has them, and verified as Chainloop's command does."""

import sys
from datetime import datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

import builders
import signers
from chainloop_smtp import attestation, signature
from chainloop_smtp.model.checks import SignatureCheck, SignatureStatus, Trust
from signers import MINUTES, SIGNED, YEARS, Party

VERIFIED, FAILED, UNCHECKED = SignatureStatus
STATEMENT = builders.statement()
MESSAGE = signers.pae(signers.payload_of(builders.bundle(STATEMENT)))
ROOT = signers.root()
SIGNER = ROOT.issue_signer()
SIGNATURE = signers.sign(SIGNER.key, MESSAGE)
CLOCK_ROOT = signers.root("Clock authority")
CLOCK = CLOCK_ROOT.issue_stamper("Clock")
STAMP = signers.stamp(CLOCK, SIGNATURE)


def trusted(*parties: Party, key: str = "") -> Trust:
    return signature.read_trust("".join(each.pem for each in parties), key)


TRUST = trusted(ROOT, CLOCK, CLOCK_ROOT)


def check(*stamps: bytes, trust: Trust = TRUST, made: bytes = SIGNATURE) -> SignatureCheck:
    document = signers.bundle(STATEMENT, made, chain=[SIGNER], stamps=stamps)
    return signature.verify(attestation.parse(builders.encoded(document)), trust)


def reason(*stamps: bytes, trust: Trust = TRUST) -> str:
    checked = check(*stamps, trust=trust)
    assert checked == SignatureCheck(status=FAILED, reason=checked.reason)
    return checked.reason


def times(checked: SignatureCheck) -> tuple[Any, ...]:
    return checked.status, checked.signed_at, checked.timestamped_at, checked.timestamp_authority


@pytest.mark.parametrize("hash_", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("signed_hash", ["sha256", "sha384", "sha512"])
def test_a_trusted_time_stamp_says_when_it_was_signed(hash_: str, signed_hash: str) -> None:
    stamp = signers.stamp(CLOCK, SIGNATURE, hash_=hash_, signed_hash=signed_hash)

    assert times(check(stamp)) == (VERIFIED, SIGNED + MINUTES, SIGNED + MINUTES, "CN=Clock")


def test_a_time_stamp_may_be_signed_with_rsa() -> None:
    clock = CLOCK_ROOT.issue_stamper(key=rsa.generate_private_key(65537, 2048))

    checked = check(signers.stamp(clock, SIGNATURE), trust=trusted(ROOT, clock, CLOCK_ROOT))

    assert checked.timestamp_authority == "CN=Harbour clock"


def test_a_time_stamp_may_leave_out_its_certificate() -> None:
    stamp = signers.stamp(CLOCK, SIGNATURE, has_certificate=False)

    assert check(stamp).timestamp_authority == "CN=Clock"


def test_an_authority_of_time_stamps_may_be_far_below_its_root() -> None:
    inner = CLOCK_ROOT.issue_authority("Clock intermediate")
    clock = inner.issue_stamper()

    checked = check(signers.stamp(clock, SIGNATURE), trust=trusted(clock, ROOT, CLOCK_ROOT, inner))

    assert checked.status is VERIFIED
    assert checked.timestamped_at == SIGNED + MINUTES


def test_an_authority_of_time_stamps_may_certify_itself() -> None:
    clock = signers.certify("Clock", extended=[signers.TIME_STAMPING])

    checked = check(signers.stamp(clock, SIGNATURE), trust=trusted(ROOT, clock))

    assert checked.timestamp_authority == "CN=Clock"


def test_the_earliest_of_several_time_stamps_counts() -> None:
    other_root = signers.root("Other")
    other = other_root.issue_stamper("Other clock")
    trust = trusted(ROOT, CLOCK, CLOCK_ROOT, other_root, other)
    later = signers.stamp(CLOCK, SIGNATURE, time=SIGNED + 3 * MINUTES)
    earlier = signers.stamp(other, SIGNATURE, time=SIGNED + 2 * MINUTES)

    assert check(later, earlier, trust=trust).timestamp_authority == "CN=Other clock"
    assert check(earlier, later, trust=trust).timestamped_at == SIGNED + 2 * MINUTES


def test_a_time_stamp_is_of_the_signature_encoded_once() -> None:
    twice = signers.base64_of(SIGNATURE).encode()

    assert times(check(STAMP, made=twice)) == times(check(STAMP))


def test_a_time_stamp_says_when_a_key_signed() -> None:
    trust = trusted(CLOCK, CLOCK_ROOT, key=signers.public_pem(SIGNER.key))

    assert times(check(STAMP, trust=trust)) == times(check(STAMP))


def test_without_a_trusted_authority_time_stamps_are_not_checked() -> None:
    checked = check(STAMP, b"broken", trust=trusted(ROOT))

    assert times(checked) == (VERIFIED, SIGNED, None, "")
    assert checked.reason == (
        "the timestamp is not checked: trusted-root contains no authority for it"
    )


def test_evidence_without_the_timestamp_that_is_expected_says_so() -> None:
    checked = check()

    assert times(checked) == (VERIFIED, SIGNED, None, "")
    assert checked.reason == "no timestamp proves when it was signed"
    assert check(trust=trusted(ROOT)).reason == ""


def test_without_the_library_time_stamps_are_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    # Python's own mark of a module that is not there.
    monkeypatch.setitem(sys.modules, "rfc3161_client", None)

    checked = check(STAMP)

    assert times(checked) == (VERIFIED, SIGNED, None, "")
    assert checked.reason == "the timestamp is not checked: rfc3161-client is not installed"


def test_one_wrong_time_stamp_of_several_fails() -> None:
    assert reason(STAMP, b"x") == "the timestamp is damaged"
    assert reason(b"x", STAMP) == "the timestamp is damaged"


def test_a_time_stamp_that_is_not_base64_fails() -> None:
    document = signers.bundle(STATEMENT, SIGNATURE, chain=[SIGNER], stamps=[STAMP])
    stamps = document["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"]
    stamps[0]["signedTimestamp"] = "+"

    checked = signature.verify(attestation.parse(builders.encoded(document)), TRUST)

    assert (checked.status, checked.reason) == (FAILED, "the timestamp is damaged")


@pytest.mark.parametrize(
    "response",
    [b"x", STAMP[:-9], b"\x30\x05\x30\x03\x02\x01\x00", STAMP[9:]],
    ids=["no DER", "cut", "without a token", "token alone"],
)
def test_a_damaged_time_stamp_fails(response: bytes) -> None:
    assert reason(STAMP, response) == "the timestamp is damaged"


@pytest.mark.parametrize("status", ["granted_with_mods", "rejection"])
def test_a_time_stamp_that_was_not_granted_fails(status: str) -> None:
    stamp = signers.stamp(CLOCK, SIGNATURE, status=status)

    assert reason(stamp) == "the timestamp was not granted"


def test_a_time_stamp_of_other_bytes_fails() -> None:
    assert reason(signers.stamp(CLOCK, SIGNATURE + b"x")) == (
        "the timestamp is not for this signature"
    )


def test_a_changed_time_stamp_fails() -> None:
    moved = STAMP.replace(b"20260901080100Z", b"20260901080200Z")

    assert moved != STAMP
    assert reason(moved) == "the timestamp does not verify"


def test_a_time_stamp_by_another_authority_fails() -> None:
    untrusted = "the timestamp is from an authority that is not in trusted-root"
    same_root = CLOCK_ROOT.issue_stamper("Clock")
    other_root = signers.root("Clock authority")

    assert reason(signers.stamp(same_root, SIGNATURE)) == untrusted
    assert reason(signers.stamp(other_root.issue_stamper("Clock"), SIGNATURE)) == untrusted
    assert reason(signers.stamp(signers.certify("Clock"), SIGNATURE)) == untrusted


def test_a_signer_of_code_gives_no_time_stamps() -> None:
    signer = CLOCK_ROOT.issue_signer(end=SIGNED + YEARS)

    assert reason(signers.stamp(signer, SIGNATURE)) == (
        "the timestamp is from an authority that is not in trusted-root"
    )


@pytest.mark.parametrize(
    ("start", "end", "why"),
    [
        (SIGNED - YEARS, SIGNED, "was not valid any more"),
        (SIGNED + 2 * MINUTES, SIGNED + YEARS, "was not valid yet"),
    ],
)
def test_a_time_stamp_outside_of_its_authoritys_validity_fails(
    start: datetime, end: datetime, why: str
) -> None:
    clock = CLOCK_ROOT.issue_stamper(start=start, end=end)

    assert reason(signers.stamp(clock, SIGNATURE), trust=trusted(ROOT, clock, CLOCK_ROOT)) == (
        f"the timestamp authority's certificate {why}"
    )


@pytest.mark.parametrize("time", [SIGNED - MINUTES, SIGNED + 11 * MINUTES])
def test_a_time_stamp_outside_of_the_signers_validity_fails(time: datetime) -> None:
    assert reason(signers.stamp(CLOCK, SIGNATURE, time=time)) == (
        f"the timestamp, {time:%Y-%m-%d %H:%M:%S} UTC, is outside of the certificate's validity"
    )


@pytest.mark.parametrize("time", [SIGNED, SIGNED + 10 * MINUTES])
def test_a_time_stamp_at_the_edge_of_the_signers_validity_counts(time: datetime) -> None:
    assert check(signers.stamp(CLOCK, SIGNATURE, time=time)).timestamped_at == time


def test_a_time_stamp_with_a_broken_hash_fails() -> None:
    weak = "the timestamp is signed with a hash that proves nothing any more"

    assert reason(signers.stamp(CLOCK, SIGNATURE, signed_hash="sha1")) == weak
    assert reason(signers.stamp(CLOCK, SIGNATURE, hash_="sha1")) == "the timestamp does not verify"


def test_a_good_time_stamp_helps_no_bad_signature() -> None:
    made = signers.sign(signers.ec_key(), MESSAGE)

    assert check(signers.stamp(CLOCK, made), made=made).status is FAILED


def test_an_authority_of_time_stamps_certifies_no_signer() -> None:
    """Those are public ones as a rule, who certify everybody."""
    signer = CLOCK_ROOT.issue_signer()
    document = signers.signed_bundle(STATEMENT, signer)

    checked = signature.verify(attestation.parse(builders.encoded(document)), TRUST)

    assert checked.reason == (
        "the certificate is issued by CN=Clock authority, which is not in trusted-root"
    )
    assert checked.status is FAILED
