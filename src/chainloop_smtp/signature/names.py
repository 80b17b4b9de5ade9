"""Names in a certificate, as the mail writes them: ``CN=..., O=...`` in the certificate's order.

Whoever made a bundle chose them, so they come out printable, on one line, and not too long.
"""

from cryptography import x509

_LONGEST = 300  # characters


def format_subject(certificate: x509.Certificate) -> str:
    """Format the subject alone."""
    return _format(certificate.subject)


def format_issuer(certificate: x509.Certificate) -> str:
    """Format the issuer."""
    return _format(certificate.issuer)


def format_signer(certificate: x509.Certificate) -> str:
    """Format the subject, and in parentheses its alternative names; either may be missing.

    Raises:
        ValueError: The certificate is damaged.
    """
    subject = _format(certificate.subject)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return subject
    kinds = (x509.RFC822Name, x509.UniformResourceIdentifier, x509.DNSName)
    others = make_printable(", ".join(each.value for each in names if isinstance(each, kinds)))
    return f"{subject} ({others})" if subject and others else subject or others


def make_printable(text: str) -> str:
    """Return text of somebody else's on one line, at most 300 characters of it."""
    shown = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
    return "".join(each if each.isprintable() else " " for each in shown)


def _format(name: x509.Name) -> str:
    parts = (
        (
            each.rfc4514_attribute_name,
            each.value if isinstance(each.value, str) else each.value.hex(),
        )
        for each in name
    )
    return make_printable(", ".join(f"{kind}={value}" for kind, value in parts))
