"""Feeds broken bundles to the stage that verifies signatures, for as long as one likes.

    python tests/fuzz_signature.py [SECONDS] [SEED]

Whatever raises, or is called verified though its payload is not what was signed, is printed with
the seed that makes it again.
"""

import base64
import json
import random
import sys
import time
from collections import Counter

import builders
import signers
from chainloop_smtp import attestation, signature
from chainloop_smtp.errors import AttestationError
from chainloop_smtp.model.checks import SignatureStatus, Trust
from fuzz_attestation import mutated
from signers import Party

STATEMENT = builders.statement()
PAYLOAD = signers.payload_of(builders.bundle(STATEMENT))


class Target:
    """A good bundle, and whom to trust for it."""

    def __init__(self) -> None:
        root, clocks = signers.root(), signers.root("Clock authority")
        inner = root.issue_authority("Harbour intermediate", path_length=0)
        signer, clock = inner.issue_signer(), clocks.issue_stamper()
        self.signer: Party = signer
        self.trust = signature.read_trust("".join(each.pem for each in (root, clocks, clock)), "")
        self.key = signature.read_trust("", signers.public_pem(signer.key))
        self.document = signers.signed_bundle(STATEMENT, signer, inner, stamper=clock)
        self.evidence = builders.encoded(self.document, indent=None)


def check(evidence: bytes, trust: Trust) -> SignatureStatus | None:
    """What has to hold of any evidence; None where it cannot be read.

    Raises:
        AssertionError: It does not.
    """
    try:
        read = attestation.parse(evidence)
    except AttestationError:
        return None
    checked = signature.verify(read, trust)
    if checked.status is SignatureStatus.VERIFIED:
        assert read.envelope is not None
        assert read.envelope.payload == PAYLOAD
        assert checked.method
        assert checked.signer.isprintable()
    else:
        assert checked.reason
        assert checked.reason.isprintable()
        assert len(checked.reason) < 1000
        named = (checked.signer, checked.authority, checked.method, checked.signed_at)
        assert not any(named)
    return checked.status


def broken(target: Target, chance: random.Random) -> bytes:
    """The bundle with a change anywhere, or in one of the parts that prove something."""
    if chance.random() < 0.3:
        return mutated(target.evidence, chance)
    document = json.loads(target.evidence)
    material, envelope = document["verificationMaterial"], document["dsseEnvelope"]
    holder, name = chance.choice(
        [
            (envelope["signatures"][0], "sig"),
            *((each, "rawBytes") for each in material["x509CertificateChain"]["certificates"]),
            (material["timestampVerificationData"]["rfc3161Timestamps"][0], "signedTimestamp"),
        ]
    )
    part = bytearray(base64.b64decode(holder[name]))
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        here = chance.randrange(len(part))
        match chance.randint(0, 4):
            case 0:
                del part[here : here + chance.choice((1, 4, 64))]
            case 1:
                part[here:here] = chance.randbytes(chance.choice((1, 4, 64)))
            case 2:
                part[here:here] = part[here : here + 64]
            case _:
                part[here] ^= 1 << chance.randrange(8)
        part = part or bytearray(b"0")
    holder[name] = signers.base64_of(bytes(part))
    return builders.encoded(document)


def main(seconds: float, seed: int) -> int:
    target = Target()
    for trust in (target.trust, target.key):
        assert check(target.evidence, trust) is SignatureStatus.VERIFIED
    ends, runs, finds = time.monotonic() + seconds, 0, 0
    results: Counter[str] = Counter()
    while time.monotonic() < ends:
        chance = random.Random(f"{seed}-{runs}")
        evidence = broken(target, chance)
        try:
            for trust in (target.trust, target.key):
                results[str(check(evidence, trust))] += 1
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a find
            finds += 1
            print(f"{seed}-{runs}: {type(error).__name__}: {str(error)[:200]}")
        runs += 1
    print(f"{runs} runs, {finds} finds: {dict(results)}")
    return finds


if __name__ == "__main__":
    said = [int(one) for one in sys.argv[1:]]
    sys.exit(bool(main(*(said + [60, 0][len(said) :]))))
