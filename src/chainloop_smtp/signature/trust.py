"""PEM (RFC 7468) -> Trust: which certificate may do what."""

import re
from collections.abc import Iterable
from dataclasses import replace

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from chainloop_smtp import inputfile
from chainloop_smtp.errors import OptionsError, Problem, quoted_path
from chainloop_smtp.model.checks import Trust
from chainloop_smtp.secrets import as_pem
from chainloop_smtp.signature.chain import (
    KeyKindError,
    format_issuer,
    format_subject,
    is_issued_by,
    require_strong,
)

_LARGEST = 1024 * 1024  # bytes; an authority's certificate has 2 kB
_MOST = 100  # certificates
_ROOT, _KEY = "trusted-root", "verification-key"
_LABEL = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_Certificates = list[x509.Certificate]


def read(trusted_root: str, verification_key: str) -> Trust:
    """Read both inputs.

    Raises:
        OptionsError: With every problem of both.
    """
    problems: list[Problem] = []
    key, roots = b"", Trust()
    try:
        if verification_key:
            key = _read_key(verification_key)
    except OptionsError as error:
        problems += error.problems
    try:
        if trusted_root:
            roots = _read_authorities(trusted_root)
        if roots.timestamp_authorities and not roots.roots and not verification_key:
            raise _error(
                _ROOT,
                "contains only timestamp authorities, and a timestamp does not say who signed",
                "Add the authority that certifies your signers, or give verification-key.",
            )
    except OptionsError as error:
        problems += error.problems
    if problems:
        raise OptionsError(*problems)
    return replace(roots, key=key)


def _read_key(given: str) -> bytes:
    """Read one public key, or that of one certificate, whose validity then does not matter."""
    text, labels = _read_pem(_KEY, given)
    if len(labels) > 1:
        raise _error(_KEY, f"contains {len(labels)} keys or certificates", "Give one.")
    key: PublicKeyTypes
    try:
        if labels == ["CERTIFICATE"]:
            key = x509.load_pem_x509_certificate(text).public_key()
        else:
            key = load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _error(_KEY, "contains no readable public key", _KEY_HINT) from error
    try:
        require_strong(key)
    except KeyKindError as error:
        raise _error(_KEY, f"contains {error}") from error
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _read_authorities(given: str) -> Trust:
    """Read certificates, and sort them by what each is trusted for.

    Authorities above that of a timestamp are trusted for timestamps alone: they are public ones
    as a rule, who certify everybody.
    """
    text, labels = _read_pem(_ROOT, given)
    if len(labels) > _MOST:
        raise _error(_ROOT, f"contains more than {_MOST} certificates")
    try:
        certificates = list(dict.fromkeys(x509.load_pem_x509_certificates(text)))
        authorities = [each for each in certificates if _is_authority(each)]
        stampers = [each for each in certificates if each not in authorities]
        for each in certificates:
            _check(each, is_authority=each in authorities)
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise _error(_ROOT, "contains no readable certificate", _ROOT_HINT) from error
    above = _list_above(stampers, authorities)
    signing = [each for each in authorities if each not in above]
    inner = [each for each in signing if _has_issuer(each, signing)]
    # Where authorities only certify each other, each of them is trusted as a root is.
    roots = [each for each in signing if each not in inner] or inner
    for each in (*stampers, *above):
        # Verified with OpenSSL, whose chains end with a certificate that is its own issuer.
        if each.subject != each.issuer and not _has_issuer(each, above):
            raise _error(
                _ROOT,
                f"contains {format_subject(each)}, for timestamps, but not its issuer, "
                f"{format_issuer(each)}",
                "Add that certificate, and all above it.",
            )
    return Trust(
        roots=_encode(roots),
        intermediates=_encode(inner),
        timestamp_authorities=_encode(stampers),
        timestamp_issuers=_encode([*above, *(s for s in stampers if s.subject == s.issuer)]),
    )


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _check(certificate: x509.Certificate, *, is_authority: bool) -> None:
    """Check that a certificate may stand in ``trusted-root``.

    Raises:
        OptionsError: It is neither an authority's nor a timestamp authority's, or its key is weak.
    """
    try:
        usage = set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        usage = set()
    if not is_authority and ExtendedKeyUsageOID.TIME_STAMPING not in usage:
        raise _error(
            _ROOT,
            f"contains {format_subject(certificate)}, which is not a certificate authority",
            "Give its issuer's certificate. If it is the only trusted signer, give it as "
            "verification-key.",
        )
    try:
        require_strong(certificate.public_key())
    except KeyKindError as error:
        raise _error(_ROOT, f"contains {format_subject(certificate)} with {error}") from error


def _list_above(certificates: _Certificates, authorities: _Certificates) -> _Certificates:
    """Those who have issued the certificates, those who have issued these, and so on."""
    above: _Certificates = []
    waiting = list(certificates)
    while waiting:
        certificate = waiting.pop()
        new = [
            each for each in authorities if each not in above and is_issued_by(certificate, each)
        ]
        above += new
        waiting += new
    return above


def _has_issuer(certificate: x509.Certificate, authorities: _Certificates) -> bool:
    """Whether it is issued by another one; a root is issued by itself."""
    return not is_issued_by(certificate, certificate) and any(
        is_issued_by(certificate, each) for each in authorities
    )


def _encode(certificates: Iterable[x509.Certificate]) -> tuple[bytes, ...]:
    return tuple(each.public_bytes(Encoding.DER) for each in certificates)


def _read_pem(option: str, given: str) -> tuple[bytes, list[str]]:
    """Read the text of an option and the labels of what is in it; at least one.

    Raises:
        OptionsError: The file cannot be read, there is no PEM in it, or a private key.
    """
    text = as_pem(given)
    if not text:
        try:
            text = as_pem(inputfile.read_pem(given, _LARGEST).decode("utf-8", "replace"))
        except inputfile.UnreadableError as error:
            why = "cannot be read: no such file" if error.missing else error.why
            hint = f"{error.hint} The PEM text itself can be given too.".strip()
            raise _error(option, f"{quoted_path(given)} {why}", hint) from error
    labels = _LABEL.findall(text)
    if not labels:
        raise _error(option, "is not PEM: nothing in it begins with -----BEGIN", _HINTS[option])
    if any("PRIVATE KEY" in label for label in labels):
        raise _error(
            option,
            "contains a private key (not shown)",
            f"{_HINTS[option]} Only the signer needs the private key.",
        )
    return text.encode(), labels


def _error(option: str, why: str, hint: str = "") -> OptionsError:
    return OptionsError(Problem(option, why, hint))


_ROOT_HINT = "Give PEM certificates of authorities. A public key belongs in verification-key."
_KEY_HINT = "`openssl pkey -in KEY -pubout` writes a public key."
_HINTS = {_ROOT: _ROOT_HINT, _KEY: _KEY_HINT}
