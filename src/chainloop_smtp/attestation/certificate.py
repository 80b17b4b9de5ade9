"""DER of an X.509 certificate -> the names in it (RFC 5280, X.690). Verifies nothing.

It never raises: the certificate is a detail of the mail, so what cannot be read stays empty.
"""

from collections.abc import Iterator

MAX_BYTES = 64 * 1024
"""Larger certificates are not looked at."""

# Context-specific tags of TBSCertificate and of GeneralName.
_VERSION, _EXTENSIONS = 0xA0, 0xA3
_OTHER, _MAIL, _HOST, _URI, _ADDRESS = 0xA0, 0x81, 0x82, 0x86, 0x87
_SUBJECT_ALTERNATIVE_NAME = bytes.fromhex("551d11")


def read(der: bytes) -> tuple[str, str, tuple[str, ...]]:
    """Read subject, issuer and subject alternative names; empty where they cannot be read.

    Names are written as ``CN=..., O=...`` in the certificate's own order.
    """
    if len(der) > MAX_BYTES:
        return "", "", ()
    try:
        certificate = _read_first(der)[1]
        fields = list(_read_values(_read_first(certificate)[1]))
        if fields[0][0] == _VERSION:
            del fields[0]
        # serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo, and options
        issuer, subject = _format_name(fields[2][1]), _format_name(fields[4][1])
        names = tuple(
            name
            for tag, value in fields[6:]
            if tag == _EXTENSIONS
            for name in _read_alternative_names(value)
        )
    except (ValueError, IndexError):
        return "", "", ()
    return subject, issuer, names


def _format_name(data: bytes) -> str:
    """Format a Name: a sequence of sets of attributes (RFC 5280 section 4.1.2.4)."""
    parts = []
    for _, relative in _read_values(data):
        for _, attribute in _read_values(relative):
            (_, kind), (tag, value) = _read_values(attribute)
            parts.append(f"{_ATTRIBUTES.get(kind) or kind.hex()}={_decode_string(tag, value)}")
    return ", ".join(parts)


def _read_alternative_names(data: bytes) -> Iterator[str]:
    """Yield the GeneralNames (RFC 5280 section 4.2.1.6) of the extension that holds them."""
    for _, extension in _read_values(_read_first(data)[1]):
        parts = list(_read_values(extension))
        if parts[0][1] != _SUBJECT_ALTERNATIVE_NAME:
            continue
        for tag, value in _read_values(_read_first(parts[-1][1])[1]):
            if tag in (_MAIL, _HOST, _URI):
                yield value.decode("ascii")
            elif tag == _ADDRESS:
                yield _format_address(value)
            elif tag == _OTHER:
                # OtherName: an object id and an explicitly tagged value, such as Fulcio's.
                (_, _), (_, wrapped) = _read_values(value)
                yield _decode_string(*_read_first(wrapped))


def _format_address(value: bytes) -> str:
    if len(value) == 4:
        return ".".join(map(str, value))
    return ":".join(value[index : index + 2].hex() for index in range(0, len(value), 2))


def _decode_string(tag: int, value: bytes) -> str:
    encoding = _ENCODINGS.get(tag)
    return value.decode(encoding) if encoding else value.hex()


def _read_first(data: bytes) -> tuple[int, bytes]:
    for value in _read_values(data):
        return value
    raise ValueError("value is missing")


def _read_values(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each value in a row (X.690 section 8.1).

    Raises:
        ValueError: A tag is of the long form, or a length is not DER or beyond the end.
    """
    position = 0
    while position < len(data):
        tag, length = data[position], data[position + 1]
        position += 2
        if length >= 0x80:
            size = length - 0x80
            length = int.from_bytes(data[position : position + size], "big")
            position += size
            if not 1 <= size <= 4:
                raise ValueError("length is not DER")
        if tag & 0x1F == 0x1F or position + length > len(data):
            raise ValueError("value is not DER")
        yield tag, data[position : position + length]
        position += length


_ENCODINGS = {
    0x0C: "utf-8",
    0x12: "ascii",
    0x13: "ascii",
    0x14: "latin-1",
    0x16: "ascii",
    0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}

_ATTRIBUTES = {
    bytes.fromhex("550403"): "CN",
    bytes.fromhex("550405"): "serialNumber",
    bytes.fromhex("550406"): "C",
    bytes.fromhex("550407"): "L",
    bytes.fromhex("550408"): "ST",
    bytes.fromhex("55040a"): "O",
    bytes.fromhex("55040b"): "OU",
    bytes.fromhex("0992268993f22c640119"): "DC",
    bytes.fromhex("2a864886f70d010901"): "emailAddress",
}
