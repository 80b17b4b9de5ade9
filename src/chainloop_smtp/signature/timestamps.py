"""RFC 3161 timestamps -> when a trusted authority saw the signature."""

from datetime import datetime
from typing import NamedTuple

from cryptography import x509

from chainloop_smtp.signature.names import format_subject


class Timestamp(NamedTuple):
    """A timestamp that verifies.

    Attributes:
        time: Aware, in UTC.
        authority: Subject of the certificate that signed it.
    """

    time: datetime
    authority: str


class TimestampError(Exception):
    """A timestamp is wrong; the text says why, in a clause."""


def read(
    response: bytes,
    signature: bytes,
    authorities: list[x509.Certificate],
    issuers: list[x509.Certificate],
) -> Timestamp:
    """Read a timestamp that one of the authorities has made of the signature.

    Their certificates have to be valid at the time that it names.

    Args:
        response: DER of a TimeStampResp.
        authorities: Certificates that sign timestamps; at least one.
        issuers: All that are above them.

    Raises:
        TimestampError: It does not verify.
        ImportError: The library is not installed.
    """
    from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response
    from rfc3161_client.tsp import PKIStatus

    try:
        decoded = decode_timestamp_response(response)
        if decoded.status != PKIStatus.GRANTED:
            raise TimestampError("the timestamp was not granted")
        time = decoded.tst_info.gen_time
        algorithms = {each.dotted_string for each in decoded.signed_data.digest_algorithms}
    except ValueError as error:
        raise TimestampError("the timestamp is damaged") from error
    if not algorithms <= _SHA2:
        raise TimestampError("the timestamp is signed with a hash that proves nothing any more")
    reasons = []
    for authority in authorities:
        builder = VerifierBuilder(tsa_certificate=authority, roots=issuers)
        try:
            builder.build().verify_message(decoded, signature)
        except (VerificationError, ValueError) as error:
            reasons.append(_explain(str(error)))
            continue
        return Timestamp(time, format_subject(authority))
    raise TimestampError(min(reasons, key=_REASONS.index))


def _explain(text: str) -> str:
    return next(reason for part, reason in _KNOWN.items() if part in text)


_UNTRUSTED = "the timestamp is from an authority that is not in trusted-root"
# Parts of what rfc3161-client and OpenSSL say; the first ones say the most.
_KNOWN = {
    "Mismatch between messages": "the timestamp is not for this signature",
    "has expired": "the timestamp authority's certificate was not valid any more",
    "not yet valid": "the timestamp authority's certificate was not valid yet",
    "Embedded certificate": _UNTRUSTED,
    "certificate verify error": _UNTRUSTED,
    "": "the timestamp does not verify",
}
_REASONS = tuple(_KNOWN.values())
_SHA2 = {f"2.16.840.1.101.3.4.2.{number}" for number in (1, 2, 3)}
