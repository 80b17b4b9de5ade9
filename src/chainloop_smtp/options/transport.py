"""Inputs -> Transport and OAuth2: how the mail travels, and how to get a token for the login."""

import json
import re
from urllib.parse import unquote, urlsplit

from chainloop_smtp.errors import quoted, quoted_path, quoted_word
from chainloop_smtp.model.settings import (
    Auth,
    Dsn,
    OAuth2,
    OAuth2Provider,
    Proxy,
    ProxyKind,
    Tls,
    Transport,
)
from chainloop_smtp.options import addresses
from chainloop_smtp.options.values import Values

_PROXY_HINT = (
    "Write http://HOST:PORT or socks5://HOST:PORT, with USER:PASSWORD@ before the host if needed."
)
_PROXY_KINDS = {
    "http": ProxyKind.HTTP,
    "socks5": ProxyKind.SOCKS5,
    # Curl's word for a proxy that looks the name up; ours always does.
    "socks5h": ProxyKind.SOCKS5,
}
_SHA256_DIGITS = 64

_OAUTH2_NAMES = (
    "oauth2-provider",
    "oauth2-tenant",
    "oauth2-client-id",
    "oauth2-client-secret",
    "oauth2-refresh-token",
    "oauth2-scope",
    "oauth2-token-url",
)
_TOKEN_MECHANISMS = (Auth.AUTO, Auth.XOAUTH2, Auth.OAUTHBEARER)
_TENANT = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]*")
_IDENTITY_PROVIDER = re.compile(
    r"projects/\d+/locations/global/workloadIdentityPools/[a-z0-9-]+/providers/[a-z0-9-]+"
)
# A console shows the same name as a URL too.
_IDENTITY_PROVIDER_URL = re.compile(r"(https:)?//iam\.googleapis\.com/")


def parse_transport(values: Values) -> Transport:
    """Validate TLS, login, proxy and time limits."""
    _check_tls(values)
    return Transport(
        tls=values.word("tls", Tls),
        tls_ca_file=values.text("tls-ca-file"),
        tls_fingerprint=_parse_fingerprint(values),
        tls_client_cert=values.text("tls-client-cert"),
        tls_client_key=values.text("tls-client-key"),
        auth=values.word("auth", Auth),
        has_token=fetches_token(values),
        proxy=_parse_proxy(values),
        ehlo_name=_parse_ehlo_name(values),
        dsn=_parse_dsn(values),
        require_tls=values.is_true("require-tls"),
        timeout=values.seconds("timeout"),
        deadline=values.seconds("deadline"),
    )


def _parse_ehlo_name(values: Values) -> str:
    """A host name with A-labels, or an address literal (RFC 5321 section 4.1.3)."""
    text = values.text("ehlo-name")
    if not text:
        return ""
    import ipaddress

    inner = text[1:-1] if text[0] + text[-1] == "[]" else text
    try:
        address = ipaddress.ip_address(re.sub("(?i)^ipv6:", "", inner))
    except ValueError:
        pass
    else:
        # A scope, as in fe80::1%eth0, means nothing elsewhere.
        if "%" not in inner:
            return f"[IPv6:{address}]" if address.version == 6 else f"[{address}]"
    try:
        name = addresses.ascii_name(text.removesuffix("."))
    except ValueError:
        name = ""
    if addresses.is_host_name(name) and "_" not in name:
        return name
    values.report(
        "ehlo-name",
        f"{quoted(text)} is neither a host name nor an IP address in brackets",
        "Write a name that DNS knows, such as ci.example.com, or leave it out.",
    )
    return ""


def _parse_dsn(values: Values) -> tuple[Dsn, ...]:
    """Words of NOTIFY (RFC 3461 section 4.1): `never` stands alone."""
    words = list(filter(None, (each.strip().lower() for each in values.text("dsn").split(","))))
    unknown = [word for word in words if word not in tuple(Dsn)]
    reports = tuple(dict.fromkeys(Dsn(word) for word in words if word not in unknown))
    hint = "Write success, failure, delay, separated by commas; or never."
    if unknown:
        values.report("dsn", f"{quoted_word(unknown[0])} is not a valid value", hint)
    elif Dsn.NEVER in reports and len(reports) > 1:
        values.report("dsn", "never stands alone", hint)
    return reports


def proxy_secrets(proxy: str) -> tuple[str, ...]:
    """Return the password in a proxy's URL, as it is written and decoded."""
    _, _, rest = proxy.partition("://")
    # As `urlsplit` does: the last `@` ends the login, and its first colon divides it.
    login, _, _ = rest.rpartition("@")
    _, _, password = login.partition(":")
    return tuple(dict.fromkeys(filter(None, (password, unquote(password)))))


def without_login(proxy: str) -> str:
    """Return a proxy's URL without user and password."""
    scheme, separator, rest = proxy.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def _check_tls(values: Values) -> None:
    """Report TLS options that contradict each other."""
    if values.word("tls", Tls) is Tls.NONE:
        for name in ("tls-ca-file", "tls-fingerprint", "tls-client-cert", "tls-client-key"):
            if name in values:
                values.report(name, "tls is none, so there are no certificates")
    elif "tls-ca-file" in values and "tls-fingerprint" in values:
        hint = "Leave out one: a fingerprint trusts one certificate and no authority."
        values.report("tls-fingerprint", "tls-ca-file is given too", hint)
    if "tls-client-key" in values and "tls-client-cert" not in values:
        values.report("tls-client-cert", "is missing, and tls-client-key is given")


def _parse_fingerprint(values: Values) -> str:
    """As `openssl x509 -fingerprint -sha256` prints it, or only its digits."""
    text = values.text("tls-fingerprint")
    digits = re.sub(r"(?i)^sha-?256( fingerprint)?[=:]", "", text)
    digits = re.sub(r"[:\s]", "", digits).lower()
    if text and not re.fullmatch(rf"[0-9a-f]{{{_SHA256_DIGITS}}}", digits):
        # A fingerprint is public, but a secret may stand in its place by mistake.
        is_hexadecimal = re.fullmatch(r"[0-9A-Fa-f:]+", text)
        shown = quoted(text) if is_hexadecimal else quoted_path(text)
        values.report(
            "tls-fingerprint",
            f"{shown} is not a SHA-256 fingerprint, which has {_SHA256_DIGITS} hexadecimal digits",
            "openssl x509 -noout -fingerprint -sha256 prints it.",
        )
    return digits


def _parse_proxy(values: Values) -> Proxy | None:
    """A problem never quotes the URL, which may hold a password."""
    text = values.text("proxy")
    if not text:
        return None
    try:
        url = urlsplit(text)
        port, host = url.port, addresses.ascii_name(url.hostname or "")
    except ValueError:
        values.report("proxy", "is not a URL", _PROXY_HINT)
        return None
    user, password = unquote(url.username or ""), unquote(url.password or "")
    why = ""
    if url.scheme not in _PROXY_KINDS:
        why = f"its scheme is not one of {', '.join(_PROXY_KINDS)}"
    elif not url.hostname or any(character.isspace() for character in url.netloc):
        why = "it has no host"
    elif not port:
        why = "it has no port"
    elif url.path.strip("/") or url.query or url.fragment:
        why = "there is text after its port"
    elif url.scheme != "http" and not (_fits_socks5(user) and _fits_socks5(password)):
        why = "SOCKS5 carries a login of ASCII only, 255 characters at most"
    if why or port is None:
        values.report("proxy", why, _PROXY_HINT)
        return None
    kind = _PROXY_KINDS[url.scheme]
    return Proxy(kind=kind, host=host, port=port, user=user, password=password)


def _fits_socks5(text: str) -> bool:
    # RFC 1929 section 2: one byte holds the length.
    return text.isascii() and len(text) <= 255


def fetches_token(values: Values) -> bool:
    """Whether the inputs ask for an access token, which makes a password unnecessary."""
    return any(name in values for name in _OAUTH2_NAMES) or values.is_true("oauth2-federated")


def parse_oauth2(values: Values) -> OAuth2 | None:
    """Validate how to get an access token; None when the inputs do not ask for one."""
    if not fetches_token(values):
        return None
    oauth2 = OAuth2(
        provider=OAuth2Provider(values.text("oauth2-provider")),
        tenant=_IDENTITY_PROVIDER_URL.sub("", values.text("oauth2-tenant")),
        client_id=values.text("oauth2-client-id"),
        client_secret=values.text("oauth2-client-secret"),
        refresh_token=values.text("oauth2-refresh-token"),
        scope=values.text("oauth2-scope"),
        token_url=_ascii_url(values.text("oauth2-token-url")),
        is_federated=values.is_true("oauth2-federated"),
    )
    _check_login(values)
    # What an invalid provider would have needed is not known.
    if not values.is_reported("oauth2-provider"):
        _check_endpoint(values, oauth2)
        _check_grant(values, oauth2)
        _check_tenant(values, oauth2)
    return oauth2


def service_account_keys(client_secret: str) -> tuple[str, ...]:
    """Return the private key inside a service account's key: it is a secret by itself."""
    try:
        key = json.loads(client_secret)
    except (ValueError, RecursionError):
        return ()
    private_key = key.get("private_key") if isinstance(key, dict) else None
    return (private_key,) if isinstance(private_key, str) and private_key else ()


def _check_login(values: Values) -> None:
    """Report login options that contradict a token."""
    if values.text("auth") not in _TOKEN_MECHANISMS:
        words = ", ".join(_TOKEN_MECHANISMS)
        why = "does not accept the token that oauth2-… asks for"
        values.report("auth", why, f"Write: {words}.")
    elif "password" in values:
        hint = "Leave out password, or all of oauth2-…; use your own token as password with "
        values.report("password", "oauth2-… fetches a token in its place", f"{hint}auth: xoauth2.")


def _check_endpoint(values: Values, oauth2: OAuth2) -> None:
    if oauth2.token_url and not _is_https(oauth2.token_url):
        why = f"{quoted_path(oauth2.token_url)} is not an https:// URL"
        values.report("oauth2-token-url", why, "Secrets are sent there; write it without a user.")
    if oauth2.provider is OAuth2Provider.OTHER and not oauth2.token_url:
        hint = "Write microsoft or google, or give oauth2-token-url."
        values.report("oauth2-provider", "is missing", hint)


def _ascii_url(url: str) -> str:
    """The URL with its host in ASCII; unchanged when it has none that can be converted."""
    try:
        parts = urlsplit(url)
        host = addresses.ascii_name(parts.hostname or "")
    except ValueError:
        return url
    if not parts.hostname or parts.hostname == host:
        return url
    return parts._replace(netloc=parts.netloc.lower().replace(parts.hostname, host)).geturl()


def _is_https(url: str) -> bool:
    """A URL that secrets may be sent to."""
    try:
        parts = urlsplit(url)
        is_usable = bool(parts.hostname) and parts.netloc.isascii() and parts.port != 0
    except ValueError:
        return False
    is_bare = "@" not in parts.netloc and not parts.fragment and not re.search(r"\s", url)
    return parts.scheme == "https" and is_usable and is_bare


def _check_grant(values: Values, oauth2: OAuth2) -> None:
    """One of three: the job's identity, a refresh token, or the client's own secret."""
    is_google = oauth2.provider is OAuth2Provider.GOOGLE
    has_key = is_google and not oauth2.is_federated and not oauth2.refresh_token
    if not has_key:
        _require(values, "oauth2-client-id")
    if oauth2.is_federated:
        for name in ("oauth2-client-secret", "oauth2-refresh-token"):
            if name in values:
                hint = "Leave out one of the two: oauth2-federated needs no stored secret."
                values.report(name, "oauth2-federated is true too", hint)
        if is_google and oauth2.client_id and "@" not in oauth2.client_id:
            hint = "Write the service account's address: name@project.iam.gserviceaccount.com."
            values.report(
                "oauth2-client-id", f"{quoted_path(oauth2.client_id)} is not an address", hint
            )
    elif not oauth2.client_secret and (is_google or not oauth2.refresh_token):
        values.report(
            "oauth2-client-secret",
            "is missing, or its secret is empty",
            "Give it, or oauth2-refresh-token, or use the job's identity: oauth2-federated."
            if not oauth2.refresh_token
            else "Every Google client has one.",
        )
    elif has_key and not oauth2.client_secret.startswith("{"):
        values.report(
            "oauth2-client-secret",
            "is not a service account key, and oauth2-refresh-token is missing",
            "Give the key's whole JSON file, or a refresh token with the client's id and secret.",
        )


def _check_tenant(values: Values, oauth2: OAuth2) -> None:
    if oauth2.provider is OAuth2Provider.MICROSOFT and not oauth2.token_url:
        _require(values, "oauth2-tenant")
        if oauth2.tenant and not _TENANT.fullmatch(oauth2.tenant):
            hint = "Write the directory's id (a UUID) or one of its domains."
            values.report("oauth2-tenant", f"{quoted_path(oauth2.tenant)} is neither", hint)
    if oauth2.provider is OAuth2Provider.GOOGLE and oauth2.is_federated:
        _require(values, "oauth2-tenant")
        if oauth2.tenant and not _IDENTITY_PROVIDER.fullmatch(oauth2.tenant):
            values.report(
                "oauth2-tenant",
                f"{quoted_path(oauth2.tenant)} is not a workload identity provider",
                "Write projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/NAME.",
            )


def _require(values: Values, name: str) -> None:
    if name not in values:
        values.report(name, "is missing")
