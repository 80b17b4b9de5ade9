"""Inputs -> Transport: how the mail travels."""

import re
from urllib.parse import SplitResult, unquote, urlsplit

from chainloop_smtp.errors import quoted, quoted_path, quoted_word
from chainloop_smtp.model.settings import Auth, Dsn, Proxy, ProxyKind, Tls, Transport
from chainloop_smtp.options import hosts
from chainloop_smtp.options.oauth2 import fetches_token
from chainloop_smtp.options.values import Values

_PROXY_HINT = (
    "Write http://HOST:PORT or socks5://HOST:PORT, with USER:PASSWORD@ before it if need be."
)
_PROXY_KINDS = {
    "http": ProxyKind.HTTP,
    "socks5": ProxyKind.SOCKS5,
    # Curl's word for a proxy that looks the name up; ours always does.
    "socks5h": ProxyKind.SOCKS5,
}
_SHA256_DIGITS = 64


def transport(values: Values) -> Transport:
    """TLS, login, proxy and patience."""
    _check_tls(values)
    return Transport(
        tls=values.word("tls", Tls),
        tls_ca_file=values.text("tls-ca-file"),
        tls_fingerprint=_fingerprint(values),
        tls_client_cert=values.text("tls-client-cert"),
        tls_client_key=values.text("tls-client-key"),
        auth=values.word("auth", Auth),
        has_token=fetches_token(values),
        proxy=_proxy(values),
        ehlo_name=_ehlo_name(values),
        dsn=_dsn(values),
        require_tls=values.is_true("require-tls"),
        timeout=values.seconds("timeout"),
        deadline=values.seconds("deadline"),
    )


def _ehlo_name(values: Values) -> str:
    """A host name with A-labels, or an address literal (RFC 5321 section 4.1.3)."""
    given = values.text("ehlo-name")
    if not given:
        return ""
    import ipaddress

    inner = given[1:-1] if given[0] + given[-1] == "[]" else given
    try:
        address = ipaddress.ip_address(re.sub("(?i)^ipv6:", "", inner))
    except ValueError:
        pass
    else:
        # A scope, as in fe80::1%eth0, means nothing elsewhere.
        if "%" not in inner:
            return f"[IPv6:{address}]" if address.version == 6 else f"[{address}]"
    try:
        name = hosts.ascii_name(given.removesuffix("."))
    except ValueError:
        name = ""
    if hosts.is_host_name(name) and "_" not in name:
        return name
    values.wrong(
        "ehlo-name",
        f"{quoted(given)} is no host name and no IP address in brackets",
        "Write a name that DNS knows, such as ci.example.com, or leave it out.",
    )
    return ""


def _dsn(values: Values) -> tuple[Dsn, ...]:
    """Words of NOTIFY (RFC 3461 section 4.1): `never` stands alone."""
    words = [each.strip().lower() for each in values.text("dsn").split(",")]
    known = {each.value: each for each in Dsn}
    wanted = tuple(dict.fromkeys(known[word] for word in words if word in known))
    unknown = [word for word in words if word and word not in known]
    if unknown or (Dsn.NEVER in wanted and len(wanted) > 1):
        why = (
            f"{quoted_word(unknown[0])} is not one of its words"
            if unknown
            else "never stands alone"
        )
        values.wrong("dsn", why, "Write success, failure, delay, separated by commas; or never.")
    return wanted


def proxy_secrets(proxy: str) -> tuple[str, ...]:
    """The password of a proxy's URL, as it is written there and as it is meant."""
    _, _, behind = proxy.partition("://")
    # As `urlsplit` does: the last `@` ends it, and the first colon divides it.
    credentials, _, _ = behind.rpartition("@")
    _, _, password = credentials.partition(":")
    return tuple(dict.fromkeys(filter(None, (password, unquote(password)))))


def without_login(proxy: str) -> str:
    """A proxy's URL without user and password."""
    scheme, separator, behind = proxy.partition("://")
    return f"{scheme}{separator}{behind.rpartition('@')[2]}"


def _check_tls(values: Values) -> None:
    """Options that ask for more than others leave to them."""
    if values.word("tls", Tls) is Tls.NONE:
        for name in ("tls-ca-file", "tls-fingerprint", "tls-client-cert", "tls-client-key"):
            if name in values:
                values.wrong(name, "tls is none, so there are no certificates")
    elif "tls-ca-file" in values and "tls-fingerprint" in values:
        hint = "Leave out one: a fingerprint trusts one certificate and no authority."
        values.wrong("tls-fingerprint", "tls-ca-file is given too", hint)
    if "tls-client-key" in values and "tls-client-cert" not in values:
        values.wrong("tls-client-cert", "is missing, and tls-client-key is given")


def _fingerprint(values: Values) -> str:
    """As `openssl x509 -fingerprint -sha256` prints it, or only its digits."""
    given = values.text("tls-fingerprint")
    digits = re.sub(r"(?i)^sha-?256( fingerprint)?[=:]", "", given)
    digits = re.sub(r"[:\s]", "", digits).lower()
    if given and not re.fullmatch(rf"[0-9a-f]{{{_SHA256_DIGITS}}}", digits):
        # A fingerprint is public, but in its place may stand something else.
        is_hexadecimal = re.fullmatch(r"[0-9A-Fa-f:]+", given)
        shown = quoted(given) if is_hexadecimal else quoted_path(given)
        values.wrong(
            "tls-fingerprint",
            f"{shown} is not a SHA-256 fingerprint, which has {_SHA256_DIGITS} hexadecimal digits",
            "openssl x509 -noout -fingerprint -sha256 prints it.",
        )
    return digits


def _proxy(values: Values) -> Proxy | None:
    """A problem never quotes the URL, in which a password may stand."""
    given = values.text("proxy")
    if not given:
        return None
    try:
        url = urlsplit(given)
        port, host = url.port, hosts.ascii_name(url.hostname or "")
    except ValueError:
        values.wrong("proxy", "is not a URL", _PROXY_HINT)
        return None
    why = _flaw(url, port)
    if why or port is None:
        values.wrong("proxy", why, _PROXY_HINT)
        return None
    return Proxy(
        kind=_PROXY_KINDS[url.scheme],
        host=host,
        port=port,
        user=unquote(url.username or ""),
        password=unquote(url.password or ""),
    )


def _flaw(url: SplitResult, port: int | None) -> str:
    """What is wrong with a proxy's URL; empty when nothing."""
    if url.scheme not in _PROXY_KINDS:
        return f"its scheme is not one of {', '.join(_PROXY_KINDS)}"
    if not url.hostname or any(c.isspace() for c in url.netloc):
        return "it names no host"
    if not port:
        return "it names no port"
    if url.path.strip("/") or url.query or url.fragment:
        return "something stands behind its port"
    login = (unquote(url.username or ""), unquote(url.password or ""))
    if url.scheme != "http" and any(not each.isascii() or len(each) > 255 for each in login):
        return "SOCKS5 carries a login of ASCII only, 255 characters at most"
    return ""
