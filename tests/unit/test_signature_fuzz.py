"""Broken bundles are refused, and never called verified but for the payload that was signed."""

import base64
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import builders
import fuzz_signature
import signers
from chainloop_smtp.model.checks import SignatureStatus

TARGET = fuzz_signature.Target()
ENVELOPE = TARGET.document["dsseEnvelope"]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_a_broken_bundle_proves_nothing(chance: int, has_key: bool) -> None:
    trust = TARGET.key if has_key else TARGET.trust
    fuzz_signature.check(fuzz_signature.broken(TARGET, random.Random(chance)), trust)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(TARGET.evidence) - 1), st.integers(0, 7), st.booleans())
def test_no_changed_bit_makes_another_payload_verify(at: int, bit: int, has_key: bool) -> None:
    evidence = bytearray(TARGET.evidence)
    evidence[at] ^= 1 << bit
    fuzz_signature.check(bytes(evidence), TARGET.key if has_key else TARGET.trust)


@pytest.mark.parametrize("bit", [0x01, 0x80])
def test_every_byte_of_the_signature_matters(bit: int) -> None:
    good = base64.b64decode(ENVELOPE["signatures"][0]["sig"])
    for at in range(len(good)):
        made = bytearray(good)
        made[at] ^= bit
        envelope = ENVELOPE | {"signatures": [{"sig": signers.base64_of(bytes(made))}]}
        document = TARGET.document | {"dsseEnvelope": envelope}
        status = fuzz_signature.check(builders.encoded(document), TARGET.key)
        assert status is SignatureStatus.FAILED, at


def test_every_byte_of_the_payload_matters() -> None:
    """Where it is still a statement: the digits of the attested digests."""
    payload = signers.payload_of(TARGET.document)
    statement = json.loads(payload)
    digest = statement["subject"][0]["digest"]["sha256"].encode()
    start = payload.index(digest)
    for at in range(start, start + len(digest)):
        made = bytearray(payload)
        made[at] ^= 0x01
        envelope = ENVELOPE | {"payload": signers.base64_of(bytes(made))}
        document = TARGET.document | {"dsseEnvelope": envelope}
        status = fuzz_signature.check(builders.encoded(document), TARGET.trust)
        assert status is SignatureStatus.FAILED, at
