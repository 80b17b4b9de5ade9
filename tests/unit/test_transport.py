"""Raw inputs -> TLS, proxy and OAuth2, or every problem at once."""

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chainloop_smtp import options
from chainloop_smtp.errors import OptionsError, Problem, quoted
from chainloop_smtp.model.settings import (
    Auth,
    Dsn,
    OAuth2,
    OAuth2Provider,
    Proxy,
    ProxyKind,
    Secret,
)
from chainloop_smtp.options.transport import proxy_secrets

INPUTS = {
    "host": "smtp.office365.com",
    "port": "587",
    "from": "Reports <reports@example.com>",
    "to": "security@example.com",
}
PASSWORD = {"user": "jane", "password": "correct horse"}
PIN = "AB:12:" + ":".join(["0f"] * 30)
DIGITS = "ab12" + "0f" * 30
POOL = "projects/123456/locations/global/workloadIdentityPools/github/providers/my-repo"
MICROSOFT = {
    "oauth2-provider": "microsoft",
    "oauth2-tenant": "example.onmicrosoft.com",
    "oauth2-client-id": "f0e1",
}
GOOGLE = {"oauth2-provider": "google"}
OTHER = {"oauth2-token-url": "https://id.example.com/token", "oauth2-client-id": "f0e1"}
LOGIN = "SOCKS5 carries a login of ASCII only, 255 characters at most"
KEY = '{"client_email": "a@b.c", "private_key": "-----BEGIN"}'


def problems(inputs: dict[str, str]) -> list[Problem]:
    with pytest.raises(OptionsError) as refusal:
        options.parse(INPUTS | inputs)
    return list(refusal.value.problems)


def problem(inputs: dict[str, str]) -> Problem:
    (only,) = problems(inputs)
    return only


def oauth2(inputs: dict[str, str]) -> OAuth2:
    found = options.parse(INPUTS | inputs).oauth2
    assert found is not None
    return found


# --- EHLO --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("", ""),
        (" ci.example.com\n", "ci.example.com"),
        ("CI.example.com.", "CI.example.com"),
        ("runner", "runner"),
        ("bücher.example.com", "xn--bcher-kva.example.com"),
        ("faß.example.com", "xn--fa-hia.example.com"),
        ("192.0.2.1", "[192.0.2.1]"),
        ("[192.0.2.1]", "[192.0.2.1]"),
        ("2001:DB8::1", "[IPv6:2001:db8::1]"),
        ("[2001:db8::1]", "[IPv6:2001:db8::1]"),
        ("[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]"),
        ("[ipv6:2001:db8::1]", "[IPv6:2001:db8::1]"),
    ],
)
def test_the_name_in_ehlo_is_a_host_name_or_an_address_literal(given: str, name: str) -> None:
    assert options.parse(INPUTS | PASSWORD | {"ehlo-name": given}).transport.ehlo_name == name


@pytest.mark.parametrize(
    "given",
    [
        "ci example com",
        "ci.example.com\r\nMAIL FROM:<x@y>",
        "ci.example.com SIZE=1",
        "a_b.example.com",
        "-ci.example.com",
        "ci..example.com",
        "x" * 64 + ".example.com",
        "x." * 127 + "xx",
        "https://ci.example.com",
        "ci.example.com:587",
        "jane@example.com",
        "[ci.example.com]",
        "[192.0.2.1",
        "192.0.2.999",
        "127.1",
        "fe80::1%eth0",
        "[X:y]",
        "[]",
        ".",
        "\ud800.example.com",
    ],
)
def test_what_is_no_name_for_ehlo_is_refused(given: str) -> None:
    found = problem(PASSWORD | {"ehlo-name": given})
    assert found == Problem(
        "ehlo-name",
        f"{quoted(given)} is neither a host name nor an IP address in brackets",
        "Write a name that DNS knows, such as ci.example.com, or leave it out.",
    )


# --- certificates ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        PIN,
        DIGITS,
        f"sha256 Fingerprint={PIN}",
        f"SHA256:{DIGITS}",
        f"SHA-256={PIN.lower()}",
        PIN.replace(":", " "),
    ],
    ids=["colons", "digits", "as openssl prints it", "with its name", "lower case", "blanks"],
)
def test_a_fingerprint_is_taken_as_people_copy_it(written: str) -> None:
    parsed = options.parse(INPUTS | PASSWORD | {"tls-fingerprint": written})
    assert parsed.transport.tls_fingerprint == DIGITS


@pytest.mark.parametrize("written", ["AB:12", "0f" * 20, "0g" * 32, "0f" * 33])
def test_what_is_no_sha_256_fingerprint_is_refused(written: str) -> None:
    assert problem(PASSWORD | {"tls-fingerprint": written}) == Problem(
        "tls-fingerprint",
        f"'{written}' is not a SHA-256 fingerprint, which has 64 hexadecimal digits",
        "openssl x509 -noout -fingerprint -sha256 prints it.",
    )


def test_without_tls_there_is_nothing_to_do_for_certificates() -> None:
    names = ["tls-ca-file", "tls-fingerprint", "tls-client-cert", "tls-client-key"]
    found = problems(PASSWORD | {"tls": "none"} | dict.fromkeys(names, DIGITS))
    assert [each.where for each in found] == names
    assert problem(PASSWORD | {"tls": "none", "tls-ca-file": "ca.pem"}).where == "tls-ca-file"


def test_a_key_without_its_certificate_is_refused() -> None:
    assert problem(PASSWORD | {"tls-client-key": "key.pem"}).where == "tls-client-cert"


def test_a_client_certificate_may_hold_its_key() -> None:
    transport = options.parse(INPUTS | PASSWORD | {"tls-client-cert": "both.pem"}).transport
    assert (transport.tls_client_cert, transport.tls_client_key) == ("both.pem", "")


# --- proxy -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://proxy.test:3128", Proxy(kind=ProxyKind.HTTP, host="proxy.test", port=3128)),
        ("HTTP://proxy.test:3128/", Proxy(kind=ProxyKind.HTTP, host="proxy.test", port=3128)),
        (
            "http://Proxy.FAß.de:3128",
            Proxy(kind=ProxyKind.HTTP, host="proxy.xn--fa-hia.de", port=3128),
        ),
        ("socks5://[::1]:1080", Proxy(kind=ProxyKind.SOCKS5, host="::1", port=1080)),
        (
            "socks5h://jane:p%40ss:w%2Frd@10.0.0.1:1080",
            Proxy(
                kind=ProxyKind.SOCKS5,
                host="10.0.0.1",
                port=1080,
                user="jane",
                password="p@ss:w/rd",
            ),
        ),
    ],
    ids=["http", "upper case", "IDNA 2008", "an IPv6 literal", "with a login"],
)
def test_a_proxy_is_read_from_its_url(url: str, proxy: Proxy) -> None:
    assert options.parse(INPUTS | PASSWORD | {"proxy": url}).transport.proxy == proxy


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://secret@proxy.test:443", "its scheme is not one of http, socks5, socks5h"),
        ("proxy.test:3128", "its scheme is not one of http, socks5, socks5h"),
        ("http://:secret@:80", "it has no host"),
        ("http://u:secret@pro xy:80", "it has no host"),
        ("http://u:secret@proxy.test", "it has no port"),
        ("http://u:secret@proxy.test:0", "it has no port"),
        ("http://u:secret@proxy.test:99999", "is not a URL"),
        ("http://[::1", "is not a URL"),
        ("http://u:secret@❤.test:80", "is not a URL"),
        ("socks5://u:s%C3%A9cret@proxy.test:80", LOGIN),
        (f"socks5://u:{'secret' * 50}@proxy.test:80", LOGIN),
        (f"socks5://{'u' * 256}:secret@proxy.test:80", LOGIN),
        (f"socks5://u:{'p' * 256}@proxy.test:80", LOGIN),
        ("http://proxy.test:80/secret", "there is text after its port"),
    ],
)
def test_what_is_no_proxy_is_refused_without_being_shown(url: str, why: str) -> None:
    found = problem(PASSWORD | {"proxy": url})
    assert (found.where, found.why) == ("proxy", why)
    assert "secret" not in str(found)


def test_a_login_of_255_characters_is_one() -> None:
    url = f"socks5://{'u' * 255}:{'p' * 255}@proxy.test:80"
    proxy = options.parse(INPUTS | PASSWORD | {"proxy": url}).transport.proxy
    assert proxy is not None
    assert (proxy.user, proxy.password) == ("u" * 255, "p" * 255)


def test_the_user_of_a_proxy_is_written_as_in_any_url() -> None:
    parsed = options.parse(INPUTS | PASSWORD | {"proxy": "http://jane%40x:a@proxy.test:80"})
    assert parsed.transport.proxy == Proxy(
        kind=ProxyKind.HTTP, host="proxy.test", port=80, user="jane@x", password="a"
    )


def test_the_login_of_a_proxy_is_a_secret() -> None:
    given = {"proxy": "http://jane:p%40ss:w@rd@proxy.test:80", "password": "x", "to": "y"}
    assert options.secrets(given | {"user": "jane"}) == (
        Secret(name="password", value="x", user="jane"),
        Secret(name="proxy", value="p%40ss:w@rd"),
        Secret(name="proxy", value="p@ss:w@rd"),
    )
    assert options.is_secret("proxy", given["proxy"])
    assert not options.is_secret("proxy", "http://proxy.test:80")
    assert not options.is_secret("host", given["proxy"])
    assert options.is_secret("password", "x")
    assert proxy_secrets("http://proxy.test:80") == ()
    assert proxy_secrets("http://jane:a://b@proxy.test:80") == ("a://b",)
    parsed = options.parse(INPUTS | PASSWORD | {"proxy": given["proxy"]})
    assert "jane:" not in repr(parsed)
    assert "p@ss" not in repr(parsed)


# --- tokens ------------------------------------------------------------------------------------


def test_without_any_of_its_inputs_there_is_no_token() -> None:
    parsed = options.parse(INPUTS | PASSWORD)
    assert parsed.oauth2 is None
    assert not parsed.transport.has_token


@pytest.mark.parametrize(
    ("inputs", "found"),
    [
        (
            MICROSOFT | {"oauth2-client-secret": "s3cret"},
            OAuth2(
                provider=OAuth2Provider.MICROSOFT,
                tenant="example.onmicrosoft.com",
                client_id="f0e1",
                client_secret="s3cret",
            ),
        ),
        (
            MICROSOFT | {"oauth2-federated": "true", "oauth2-scope": "a/.default"},
            OAuth2(
                provider=OAuth2Provider.MICROSOFT,
                tenant="example.onmicrosoft.com",
                client_id="f0e1",
                scope="a/.default",
                is_federated=True,
            ),
        ),
        (
            MICROSOFT | {"oauth2-refresh-token": "r3fresh"},
            OAuth2(
                provider=OAuth2Provider.MICROSOFT,
                tenant="example.onmicrosoft.com",
                client_id="f0e1",
                refresh_token="r3fresh",
            ),
        ),
        (
            GOOGLE | {"oauth2-client-secret": KEY},
            OAuth2(provider=OAuth2Provider.GOOGLE, client_secret=KEY),
        ),
        (
            GOOGLE
            | {
                "oauth2-client-id": "f0e1",
                "oauth2-client-secret": "s3cret",
                "oauth2-refresh-token": "r3fresh",
            },
            OAuth2(
                provider=OAuth2Provider.GOOGLE,
                client_id="f0e1",
                client_secret="s3cret",
                refresh_token="r3fresh",
            ),
        ),
        (
            GOOGLE
            | {
                "oauth2-federated": "true",
                "oauth2-client-id": "mail@p.iam.gserviceaccount.com",
                "oauth2-tenant": f"https://iam.googleapis.com/{POOL}",
            },
            OAuth2(
                provider=OAuth2Provider.GOOGLE,
                tenant=POOL,
                client_id="mail@p.iam.gserviceaccount.com",
                is_federated=True,
            ),
        ),
        (
            OTHER | {"oauth2-client-secret": "s3cret"},
            OAuth2(
                client_id="f0e1",
                client_secret="s3cret",
                token_url="https://id.example.com/token",
            ),
        ),
        (
            {
                "oauth2-provider": "microsoft",
                "oauth2-client-id": "f0e1",
                "oauth2-client-secret": "s3cret",
                "oauth2-token-url": "https://login.microsoftonline.us/t/oauth2/v2.0/token",
            },
            OAuth2(
                provider=OAuth2Provider.MICROSOFT,
                client_id="f0e1",
                client_secret="s3cret",
                token_url="https://login.microsoftonline.us/t/oauth2/v2.0/token",
            ),
        ),
    ],
    ids=[
        "microsoft, secret",
        "microsoft, federated",
        "microsoft, refresh token",
        "google, key",
        "google, refresh token",
        "google, federated",
        "other, secret",
        "microsoft, another cloud",
    ],
)
def test_each_grant_has_what_it_needs(inputs: dict[str, str], found: OAuth2) -> None:
    parsed = options.parse(INPUTS | inputs)
    assert parsed.oauth2 == found
    assert parsed.transport.has_token
    for secret in ("s3cret", "r3fresh", "BEGIN"):
        assert secret not in repr(parsed)


def test_a_token_is_for_the_sender_unless_user_says_otherwise() -> None:
    inputs = INPUTS | MICROSOFT | {"oauth2-federated": "true"}
    assert options.parse(inputs).registration.user == "reports@example.com"
    assert options.parse(inputs).registration.password == ""
    inputs |= {"user": "shared@example.com"}
    assert options.parse(inputs).registration.user == "shared@example.com"


def test_a_token_of_ones_own_is_a_password() -> None:
    parsed = options.parse(INPUTS | PASSWORD | {"auth": "xoauth2"})
    assert parsed.transport.auth is Auth.XOAUTH2
    assert parsed.registration.password == "correct horse"
    assert parsed.oauth2 is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://id.faß.de/Token?a=ß", "https://id.xn--fa-hia.de/Token?a=ß"),
        ("https://ID.FAß.de:8443/Token", "https://id.xn--fa-hia.de:8443/Token"),
        ("https://ID.example.com/ß", "https://ID.example.com/ß"),
    ],
)
def test_a_token_endpoints_host_is_converted_as_any_other(url: str, expected: str) -> None:
    inputs = INPUTS | OTHER | {"oauth2-token-url": url, "oauth2-refresh-token": "r3fresh"}
    parsed = options.parse(inputs).oauth2
    assert parsed
    assert parsed.token_url == expected


@pytest.mark.parametrize(
    "url",
    [
        "http://id.example.com/token",
        "https://id.example.com/#fragment",
        "https://id.example.com/a b",
        "https://[::1/token",
        "https://id.example.com:99999/",
        "https://",
        "https://❤.test/token",
        "id.example.com",
    ],
)
def test_a_token_endpoint_is_an_https_url(url: str) -> None:
    found = problem(OTHER | {"oauth2-token-url": url, "oauth2-refresh-token": "r3fresh"})
    why = f"'{url}' is not an https:// URL"
    assert found == Problem(
        "oauth2-token-url", why, "Secrets are sent there; write it without a user."
    )


def test_the_login_in_a_token_endpoint_is_refused_and_not_shown() -> None:
    url = "https://u:s3cret@id.example.com/"
    found = problem(OTHER | {"oauth2-token-url": url, "oauth2-refresh-token": "r3fresh"})
    assert found.why == "'https://***@id.example.com/' is not an https:// URL"


@pytest.mark.parametrize(
    ("inputs", "wheres"),
    [
        (MICROSOFT, ["oauth2-client-secret"]),
        (
            {"oauth2-provider": "microsoft"},
            ["oauth2-tenant", "oauth2-client-id", "oauth2-client-secret"],
        ),
        (
            {"oauth2-provider": "microsoft", "oauth2-federated": "true"},
            ["oauth2-tenant", "oauth2-client-id"],
        ),
        (MICROSOFT | {"oauth2-tenant": "a/b", "oauth2-federated": "true"}, ["oauth2-tenant"]),
        (
            MICROSOFT
            | {
                "oauth2-federated": "true",
                "oauth2-client-secret": "s3cret",
                "oauth2-refresh-token": "r3fresh",
            },
            ["oauth2-client-secret", "oauth2-refresh-token"],
        ),
        (GOOGLE | {"oauth2-client-secret": "s3cret"}, ["oauth2-client-secret"]),
        (
            GOOGLE | {"oauth2-refresh-token": "r3fresh"},
            ["oauth2-client-id", "oauth2-client-secret"],
        ),
        (
            GOOGLE | {"oauth2-federated": "true", "oauth2-tenant": POOL},
            ["oauth2-client-id"],
        ),
        (
            GOOGLE | {"oauth2-federated": "true", "oauth2-client-id": "f0e1"},
            ["oauth2-tenant", "oauth2-client-id"],
        ),
        (
            GOOGLE
            | {"oauth2-federated": "true", "oauth2-client-id": "a@b.c", "oauth2-tenant": "pool"},
            ["oauth2-tenant"],
        ),
        ({"oauth2-federated": "true"}, ["oauth2-provider", "oauth2-client-id"]),
        (
            MICROSOFT | {"oauth2-federated": "true", "auth": "plain"},
            ["auth"],
        ),
        (
            MICROSOFT | {"oauth2-federated": "true", "auth": "none"},
            ["auth"],
        ),
        (
            MICROSOFT | {"oauth2-federated": "true"} | PASSWORD,
            ["password"],
        ),
        (MICROSOFT | {"oauth2-federated": "yes"}, ["oauth2-client-secret", "oauth2-federated"]),
    ],
)
def test_what_a_grant_lacks_or_has_too_much_is_told_at_once(
    inputs: dict[str, str], wheres: list[str]
) -> None:
    assert [each.where for each in problems(inputs)] == wheres


def values(secrets: tuple[Secret, ...]) -> list[str]:
    return [each.value for each in secrets]


def test_the_secrets_of_a_token_are_secrets() -> None:
    given = {"oauth2-client-secret": "s3cret", "oauth2-refresh-token": "r3fresh", "to": "y"}
    assert values(options.secrets(given)) == ["s3cret", "r3fresh"]


@pytest.mark.parametrize(
    ("key", "inner"),
    [
        (KEY, ("-----BEGIN",)),
        ("s3cret", ()),
        ("[]", ()),
        ('{"private_key": 1}', ()),
        ('{"private_key": ""}', ()),
        ("[" * 100_000, ()),
    ],
    ids=["a key", "no JSON", "a list", "a number", "nothing", "deep"],
)
def test_the_private_key_in_a_service_accounts_key_is_a_secret_of_its_own(
    key: str, inner: tuple[str, ...]
) -> None:
    assert values(options.secrets({"oauth2-client-secret": key})) == [key, *inner]


def test_every_secret_is_looked_for_in_the_mail() -> None:
    parsed = options.parse(INPUTS | GOOGLE | {"oauth2-client-secret": KEY})
    assert parsed.secrets == (
        Secret(name="oauth2-client-secret", value=KEY),
        Secret(name="oauth2-client-secret", value="-----BEGIN"),
    )


CONNECTION = [
    each.name
    for each in options.INPUTS
    if each.name.startswith(("oauth2", "tls")) or each.name in ("auth", "proxy", "password")
]


@given(
    st.dictionaries(
        st.sampled_from(CONNECTION),
        st.text(max_size=40) | st.sampled_from(["microsoft", "google", "true", KEY, POOL, PIN]),
    )
)
@example({"proxy": "http://[", "oauth2-token-url": "https://["})
def test_no_inputs_whatever_are_anything_but_options_or_problems(given: dict[str, str]) -> None:
    with suppress(OptionsError):
        assert options.parse(INPUTS | given).registration.host


# --- delivery reports -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("", ()),
        ("failure", (Dsn.FAILURE,)),
        ("Success, failure,success", (Dsn.SUCCESS, Dsn.FAILURE)),
        ("never", (Dsn.NEVER,)),
    ],
)
def test_reports_are_a_list_of_words(given: str, wanted: tuple[Dsn, ...]) -> None:
    assert options.parse(INPUTS | PASSWORD | {"dsn": given}).transport.dsn == wanted


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("sometimes, failure", "'sometimes' is not a valid value"),
        ("never, failure", "never stands alone"),
    ],
)
def test_other_reports_are_refused(given: str, why: str) -> None:
    hint = "Write success, failure, delay, separated by commas; or never."
    assert problem(PASSWORD | {"dsn": given}) == Problem("dsn", why, hint)


def test_tls_may_be_required_on_the_whole_way() -> None:
    assert options.parse(INPUTS | PASSWORD | {"require-tls": "true"}).transport.require_tls
    assert not options.parse(INPUTS | PASSWORD).transport.require_tls
