"""Attestation, Trust -> SignatureCheck: has somebody whom the user trusts signed the evidence?

The rules are those of ``chainloop attestation verify`` (pkg/attestation/verifier), offline: the
signer's certificate chains to a trusted root, at the start of its own validity, since it lives for
minutes; its key verifies the signature of the DSSE envelope; timestamps by trusted authorities
verify and lie within the certificate's validity. Or a key that the user gives verifies the
signature. A timestamp alone, or a key that the evidence names, proves nothing.

All cryptography is that of the libraries `cryptography` and `rfc3161-client`, which are slow to
load: only what is called imports them.
"""

from chainloop_smtp.errors import OptionsError, missing_library, quoted
from chainloop_smtp.model.attested import Attestation, Envelope
from chainloop_smtp.model.checks import SignatureCheck, SignatureStatus, Trust

__all__ = ["read_trust", "verify"]

_PRINT_ALL = "`chainloop workflow run describe --id RUN-ID -o json` prints the signed bundle"


def read_trust(trusted_root: str, verification_key: str) -> Trust:
    """Read whose signature counts.

    Args:
        trusted_root: PEM text, or the path of such a file: certificates of the authorities that
            certify signers, and of timestamp authorities with their own authorities. Empty: none.
        verification_key: PEM text or path of one public key, or of a certificate whose key counts.
            Empty: none.

    Raises:
        OptionsError: One cannot be read or is not what it should be, with every problem; or the
            library is not installed.
    """
    try:
        from chainloop_smtp.signature import trust
    except ImportError as error:
        where = "trusted-root" if trusted_root else "verification-key"
        raise OptionsError(missing_library(where, "cryptography")) from error
    return trust.read(trusted_root, verification_key)


def verify(attestation: Attestation, trust: Trust) -> SignatureCheck:
    """Verify the signature of the envelope that the attestation was read from.

    It covers the envelope's payload and nothing else. What of the facts other documents say,
    ``chainloop_smtp.attestation.find_unsigned`` finds out.

    Never raises for what the evidence says.
    """
    envelope = attestation.envelope
    if envelope is None:
        why = f"`{attestation.shape}` contains no signature; {_PRINT_ALL}"
    elif not envelope.signatures:
        return SignatureCheck(
            status=SignatureStatus.FAILED, reason="the envelope contains no signature"
        )
    elif not (trust.key or envelope.certificates):
        why = _explain(attestation, envelope)
    else:
        from chainloop_smtp.signature import dsse

        return dsse.verify(envelope, trust)
    return SignatureCheck(status=SignatureStatus.UNCHECKED, reason=why)


def _explain(attestation: Attestation, envelope: Envelope) -> str:
    """Say why there is nothing to verify a signature with."""
    hint = attestation.signing.key_hint
    signer = f"the key {quoted(hint)}" if hint else "a key that it does not name"
    stamped = " has a timestamp, but" if envelope.timestamps else ""
    return (
        f"the evidence{stamped} contains no certificate: it is signed with {signer}, so only "
        "verification-key can verify it"
    )
