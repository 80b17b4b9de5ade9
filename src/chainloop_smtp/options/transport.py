"""Inputs -> Transport and OAuth2: how the mail travels, and how to get a token for the login."""

import json
import re
from urllib.parse import SplitResult, unquote, urlsplit

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
from chainloop_smtp.options.inputs import Values

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
        name = addresses.ascii_name(given.removesuffix("."))
    except ValueError:
        name = ""
    if addresses.is_host_name(name) and "_" not in name:
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
        port, host = url.port, addresses.ascii_name(url.hostname or "")
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


def fetches_token(values: Values) -> bool:
    """Some input asks for a token to be fetched, so that there need be no password."""
    return any(name in values for name in _OAUTH2_NAMES) or values.is_true("oauth2-federated")


def oauth2(values: Values) -> OAuth2 | None:
    """How to get an access token; None where the inputs do not ask for one."""
    if not fetches_token(values):
        return None
    found = OAuth2(
        provider=OAuth2Provider(values.text("oauth2-provider")),
        tenant=_IDENTITY_PROVIDER_URL.sub("", values.text("oauth2-tenant")),
        client_id=values.text("oauth2-client-id"),
        client_secret=values.text("oauth2-client-secret"),
        refresh_token=values.text("oauth2-refresh-token"),
        scope=values.text("oauth2-scope"),
        token_url=_ascii_url(values.text("oauth2-token-url")),
        is_federated=values.is_true("oauth2-federated"),
    )
    _check_beside(values)
    _check_endpoint(values, found)
    _check_grant(values, found)
    _check_tenant(values, found)
    return found


def service_account_keys(client_secret: str) -> tuple[str, ...]:
    """What is secret by itself in a service account's key: somebody may have it apart from that."""
    try:
        key = json.loads(client_secret)
    except (ValueError, RecursionError):
        return ()
    found = key.get("private_key") if isinstance(key, dict) else None
    return (found,) if isinstance(found, str) and found else ()


def _check_beside(values: Values) -> None:
    """What else is given must not contradict a token."""
    if values.text("auth") not in _TOKEN_MECHANISMS:
        words = ", ".join(_TOKEN_MECHANISMS)
        values.wrong("auth", "does not take the token that oauth2-… asks for", f"Write: {words}.")
    elif "password" in values:
        hint = "Leave out password, or all of oauth2-…; a token of your own is a password for "
        values.wrong("password", "oauth2-… fetches a token in its place", f"{hint}auth: xoauth2.")


def _check_endpoint(values: Values, found: OAuth2) -> None:
    if found.token_url and not _is_https(found.token_url):
        hint = "Secrets go there; write it without a user."
        values.wrong(
            "oauth2-token-url", f"{quoted_path(found.token_url)} is not an https:// URL", hint
        )
    if found.provider is OAuth2Provider.OTHER and not found.token_url:
        hint = "Write microsoft or google, or give oauth2-token-url."
        values.wrong("oauth2-provider", "is missing", hint)


def _ascii_url(url: str) -> str:
    """The URL with its host in ASCII; one without a host that can be comes back as it is."""
    try:
        parts = urlsplit(url)
        host = addresses.ascii_name(parts.hostname or "")
    except ValueError:
        return url
    if not parts.hostname or parts.hostname == host:
        return url
    return parts._replace(netloc=parts.netloc.lower().replace(parts.hostname, host)).geturl()


def _is_https(url: str) -> bool:
    """A URL that secrets may go to."""
    try:
        parts = urlsplit(url)
        is_usable = bool(parts.hostname) and parts.netloc.isascii() and parts.port != 0
    except ValueError:
        return False
    is_bare = "@" not in parts.netloc and not parts.fragment and not re.search(r"\s", url)
    return parts.scheme == "https" and is_usable and is_bare


def _check_grant(values: Values, found: OAuth2) -> None:
    """One of three: the job's identity, a refresh token, or the client's own secret."""
    is_google = found.provider is OAuth2Provider.GOOGLE
    has_key = is_google and not found.is_federated and not found.refresh_token
    if not has_key:
        _require(values, "oauth2-client-id")
    if found.is_federated:
        for name in ("oauth2-client-secret", "oauth2-refresh-token"):
            if name in values:
                hint = "Leave out one of the two: oauth2-federated needs no stored secret."
                values.wrong(name, "oauth2-federated is true too", hint)
        if is_google and found.client_id and "@" not in found.client_id:
            hint = "Write the service account's address: name@project.iam.gserviceaccount.com."
            values.wrong("oauth2-client-id", f"{quoted_path(found.client_id)} is no address", hint)
    elif not found.client_secret and (is_google or not found.refresh_token):
        values.wrong(
            "oauth2-client-secret",
            "is missing, or its secret is empty",
            "Give it, or oauth2-refresh-token, or use the job's identity: oauth2-federated."
            if not found.refresh_token
            else "Google's clients have one each.",
        )
    elif has_key and not found.client_secret.startswith("{"):
        values.wrong(
            "oauth2-client-secret",
            "is no service account's key, and there is no oauth2-refresh-token",
            "Give the key's whole JSON file, or a refresh token with the client's id and secret.",
        )


def _check_tenant(values: Values, found: OAuth2) -> None:
    if found.provider is OAuth2Provider.MICROSOFT and not found.token_url:
        _require(values, "oauth2-tenant")
        if found.tenant and not _TENANT.fullmatch(found.tenant):
            hint = "Write the directory's id (a UUID) or one of its domains."
            values.wrong("oauth2-tenant", f"{quoted_path(found.tenant)} is neither", hint)
    if found.provider is OAuth2Provider.GOOGLE and found.is_federated:
        _require(values, "oauth2-tenant")
        if found.tenant and not _IDENTITY_PROVIDER.fullmatch(found.tenant):
            values.wrong(
                "oauth2-tenant",
                f"{quoted_path(found.tenant)} is no workload identity provider",
                "Write projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/NAME.",
            )


def _require(values: Values, name: str) -> None:
    if name not in values:
        values.wrong(name, "is missing")
