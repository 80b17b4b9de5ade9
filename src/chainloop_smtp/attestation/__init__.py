"""bytes -> Attestation. Every shape that Chainloop prints a run in, one model for all of them.

Pure and bounded: an input larger than `MAX_BYTES` (64 MiB), deeper than `MAX_DEPTH` (100 levels) or
richer than `MAX_VALUES` (a million brackets and commas) is refused before it is parsed. The worst
inputs found within these bounds took 7 seconds of processor time and 1.1 GB; an ordinary
attestation of 20 kB takes 3 milliseconds. Signatures are not verified; digests are compared.
"""

from chainloop_smtp.attestation import wrapping
from chainloop_smtp.attestation.decoding import MAX_BYTES, MAX_DEPTH, MAX_VALUES
from chainloop_smtp.attestation.fields import Node
from chainloop_smtp.attestation.joining import join
from chainloop_smtp.attestation.wrapping import with_evaluations
from chainloop_smtp.model.attested import Attestation

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_VALUES", "join", "parse", "with_evaluations"]


def parse(evidence: bytes) -> Attestation:
    """Everything that the evidence says of one run.

    Args:
        evidence: What a Chainloop command printed, as it came: any shape, UTF-8 or UTF-16,
            lines of noise around it.

    Raises:
        AttestationError: It is not a Chainloop attestation, or is damaged.
    """
    return wrapping.read(evidence, Node(None))
