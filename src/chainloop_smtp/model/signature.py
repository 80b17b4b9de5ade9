"""Whether those whom the user trusts have signed the evidence."""

from dataclasses import field
from datetime import datetime
from enum import StrEnum

from chainloop_smtp.model.frozen import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whose signature counts.

    Attributes:
        roots: DER of the certificates at which a signer's chain may end.
        intermediates: DER of certificates that the roots have issued, directly or not.
        timestamp_authorities: DER of the certificates that sign timestamps.
        timestamp_issuers: DER of all certificates above these; no signer's chain may end there.
        key: DER (SubjectPublicKeyInfo) of a key that signs itself; empty when there is none.
    """

    roots: tuple[bytes, ...] = field(default=(), repr=False)
    intermediates: tuple[bytes, ...] = field(default=(), repr=False)
    timestamp_authorities: tuple[bytes, ...] = field(default=(), repr=False)
    timestamp_issuers: tuple[bytes, ...] = field(default=(), repr=False)
    key: bytes = field(default=b"", repr=False)


class SignatureStatus(StrEnum):
    """What is known of a signature."""

    VERIFIED = "verified"
    FAILED = "failed"
    UNCHECKED = "unchecked"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureCheck:
    """Whether the envelope's payload was signed by somebody trusted, and by whom.

    Only the status says whether. Whatever else stands here comes from what was verified, so it is
    empty unless the status is ``verified``; but for `reason`.

    Attributes:
        reason: Why it is not verified; where it is, what was not checked, such as a timestamp by
            an authority that is not trusted. A clause without a full stop; empty when there is
            nothing to say.
        signer: Subject of the certificate, with its alternative names in parentheses; empty when
            a key signed.
        authority: Subject of the trusted root at which the certificate's chain ends.
        method: Kind of key and hash, such as ``ECDSA P-256, SHA-256``.
        key_fingerprint: ``sha256:<hex>`` of what ``openssl pkey -pubin -outform DER`` writes of it.
        signed_at: When, as far as it is proven: the trusted timestamp, else the start of the
            certificate's validity. Aware, in UTC; None when a key signed and no timestamp says.
        timestamped_at: The earliest trusted timestamp; None when there is none.
        timestamp_authority: Subject of its certificate; empty when there is none.
    """

    status: SignatureStatus
    reason: str = ""
    signer: str = ""
    authority: str = ""
    method: str = ""
    key_fingerprint: str = ""
    signed_at: datetime | None = None
    timestamped_at: datetime | None = None
    timestamp_authority: str = ""
