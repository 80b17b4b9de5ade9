"""Access tokens from real HTTPS endpoints that have the providers' own names."""

import json
import ssl
import sys
import time
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256

import pages
import tokenserver
import website
from chainloop_smtp import token
from chainloop_smtp.errors import DeliveryError, quoted
from chainloop_smtp.model.settings import OAuth2, OAuth2Provider
from smtpserver import issued
from tokenserver import (
    ACCOUNT,
    GOOGLE,
    JOB,
    MICROSOFT,
    OTHER,
    RUNNER,
    SIGN,
    STS,
    SUBJECT,
    Asked,
    Web,
    granted,
    jwt,
    refused,
)

POOL = "projects/12/locations/global/workloadIdentityPools/github/providers/app"
JOB_TOKEN = jwt({"sub": SUBJECT, "aud": "whoever"})
SECRET, REFRESH, TOKEN = "cl1ent-s3cret", "r3fresh-t0ken", "eyJ0.t0ken-0f-access"
KEY = rsa.generate_private_key(65537, 2048)


def pem(
    key: PrivateKeyTypes,
    encryption: serialization.KeySerializationEncryption | None = None,
    form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8,
) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, form, encryption or serialization.NoEncryption()
    ).decode()


PUBLIC = (
    KEY.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)
SERVICE_ACCOUNT = json.dumps(
    {
        "type": "service_account",
        "private_key_id": "key-1",
        "private_key": pem(KEY),
        "client_email": ACCOUNT,
    }
)
ENTRA = OAuth2(
    provider=OAuth2Provider.MICROSOFT, tenant="example.onmicrosoft.com", client_id="f0e1"
)


def microsoft(**changes: object) -> OAuth2:
    return replace(ENTRA, **changes)  # type: ignore[arg-type]


WITH_SECRET = microsoft(client_secret=SECRET)
FEDERATED = microsoft(is_federated=True)
GOOGLE_KEY = OAuth2(provider=OAuth2Provider.GOOGLE, client_secret=SERVICE_ACCOUNT)
GOOGLE_FEDERATED = OAuth2(
    provider=OAuth2Provider.GOOGLE, tenant=POOL, client_id=ACCOUNT, is_federated=True
)


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    with tokenserver.web(tmp_path) as served:
        for name, value in served.environ.items():
            monkeypatch.setenv(name, value)
        yield served


def fetch(
    oauth2: OAuth2,
    user: str = "ci@example.com",
    environ: dict[str, str] | None = None,
    *,
    timeout: float = 10,
    deadline: float = 15,
) -> str:
    found = token.fetch(oauth2, user, environ or {}, timeout, deadline)
    assert 0 < found.network_seconds < 15
    assert found.value not in repr(found)
    return found.value


def refusal_of(
    oauth2: OAuth2,
    environ: dict[str, str] | None = None,
    *,
    timeout: float = 10,
    deadline: float = 15,
) -> str:
    """All that the error says, in which no secret stands."""
    started = time.monotonic()
    with pytest.raises(DeliveryError) as caught:
        fetch(oauth2, environ=environ, timeout=timeout, deadline=deadline)
    assert time.monotonic() - started < 45
    said = str(caught.value)
    for secret in (SECRET, REFRESH, TOKEN, JOB_TOKEN, "runner-bearer-token", "BEGIN RSA"):
        assert secret not in said
    assert len(caught.value.problems) == 1
    return said


# --- Microsoft ---------------------------------------------------------------------------------


def test_an_application_gets_a_token_for_its_secret(web: Web) -> None:
    web.answers = {MICROSOFT: granted(TOKEN)}
    assert fetch(WITH_SECRET) == TOKEN
    assert web.asked == [
        Asked(
            method="POST",
            url=MICROSOFT,
            form={
                "client_id": "f0e1",
                "grant_type": "client_credentials",
                "scope": "https://outlook.office365.com/.default",
                "client_secret": SECRET,
            },
            document=None,
            authorization="",
        )
    ]


def test_a_job_gets_a_token_for_being_what_it_is(web: Web) -> None:
    web.answers = {RUNNER.partition("?")[0]: (200, {"value": JOB_TOKEN}), MICROSOFT: granted(TOKEN)}
    assert fetch(FEDERATED, environ=JOB) == TOKEN
    runner, entra = web.asked
    assert runner.method == "GET"
    assert runner.form == {"api-version": "2.0", "audience": "api://AzureADTokenExchange"}
    assert runner.authorization == "Bearer runner-bearer-token"
    assert entra.authorization == ""
    assert entra.form == {
        "client_id": "f0e1",
        "grant_type": "client_credentials",
        "scope": "https://outlook.office365.com/.default",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": JOB_TOKEN,
    }


def test_a_refresh_token_needs_no_secret_where_the_client_has_none(web: Web) -> None:
    web.answers = {MICROSOFT: granted(TOKEN)}
    assert fetch(microsoft(refresh_token=REFRESH)) == TOKEN
    assert web.asked[0].form == {
        "client_id": "f0e1",
        "grant_type": "refresh_token",
        "refresh_token": REFRESH,
        "scope": "https://outlook.office365.com/SMTP.Send offline_access",
    }


def test_another_cloud_has_another_endpoint_and_scope(web: Web) -> None:
    web.answers = {OTHER: granted(TOKEN)}
    assert fetch(microsoft(client_secret=SECRET, token_url=OTHER, scope="mine/.default")) == TOKEN
    assert fetch(microsoft(refresh_token=REFRESH, token_url=OTHER, scope="mine")) == TOKEN
    assert [each.form["scope"] for each in web.asked] == ["mine/.default", "mine"]


@pytest.mark.parametrize(
    ("host", "audience"),
    [
        ("login.microsoftonline.us", "api://AzureADTokenExchangeUSGov"),
        ("login.partner.microsoftonline.cn", "api://AzureADTokenExchangeChina"),
    ],
)
def test_a_national_cloud_has_another_audience(web: Web, host: str, audience: str) -> None:
    url = f"https://{host}/f0e1/oauth2/v2.0/token"
    web.answers = {RUNNER.partition("?")[0]: (200, {"value": JOB_TOKEN}), url: granted(TOKEN)}
    assert fetch(microsoft(is_federated=True, token_url=url), environ=JOB) == TOKEN
    assert web.asked[0].form["audience"] == audience
    assert (
        f"`https://{host}/TENANT/oauth2/v2.0/token` | `{audience}`"
        in pages.PAGES["docs/microsoft.md"]
    )


# --- Google ------------------------------------------------------------------------------------


def _claims(assertion: str) -> dict[str, object]:
    """Of a JWT whose signature is the key's."""
    message, _, signature = assertion.rpartition(".")
    header, payload = (_json(part) for part in message.split("."))
    assert header == {"alg": "RS256", "typ": "JWT", "kid": "key-1"}
    KEY.public_key().verify(_octets(signature), message.encode(), PKCS1v15(), SHA256())
    return payload


def _octets(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _json(part: str) -> dict[str, object]:
    found = json.loads(_octets(part))
    assert isinstance(found, dict)
    return found


def test_a_service_account_signs_for_a_mailbox_with_its_key(web: Web) -> None:
    web.answers = {GOOGLE: granted(TOKEN)}
    assert fetch(GOOGLE_KEY, user="ci@example.com") == TOKEN
    (asked,) = web.asked
    assert asked.form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    claims = _claims(asked.form["assertion"])
    issued, expires = claims.pop("iat"), claims.pop("exp")
    assert isinstance(issued, int)
    assert isinstance(expires, int)
    assert abs(issued - time.time()) < 30
    assert expires - issued == 3600
    assert claims == {
        "iss": ACCOUNT,
        "sub": "ci@example.com",
        "scope": "https://mail.google.com/",
        "aud": GOOGLE,
    }


def test_a_service_account_may_have_an_endpoint_and_a_scope_of_its_own(web: Web) -> None:
    web.answers = {OTHER: granted(TOKEN)}
    assert fetch(replace(GOOGLE_KEY, token_url=OTHER, scope="mine")) == TOKEN
    claims = _claims(web.asked[0].form["assertion"])
    assert (claims["scope"], claims["aud"]) == ("mine", OTHER)


def test_a_job_has_google_sign_for_a_mailbox(web: Web) -> None:
    web.answers = {
        RUNNER.partition("?")[0]: (200, {"value": JOB_TOKEN}),
        STS: (200, {"access_token": "cl0ud-t0ken", "token_type": "Bearer"}),
        SIGN: (200, {"keyId": "1", "signedJwt": "signed.by.google"}),
        GOOGLE: granted(TOKEN),
    }
    assert fetch(GOOGLE_FEDERATED, user="ci@example.com", environ=JOB) == TOKEN
    runner, sts, sign, last = web.asked
    assert runner.form["audience"] == f"https://iam.googleapis.com/{POOL}"
    assert sts.form == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": f"//iam.googleapis.com/{POOL}",
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "subject_token": JOB_TOKEN,
    }
    assert sign.authorization == "Bearer cl0ud-t0ken"
    payload = json.loads(sign.document["payload"])
    assert (payload["iss"], payload["sub"], payload["aud"]) == (ACCOUNT, "ci@example.com", GOOGLE)
    assert payload["scope"] == "https://mail.google.com/"
    assert last.form == {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "assertion": "signed.by.google",
    }


def redirecting(location: str) -> tokenserver.Answer:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", location)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return respond


@pytest.mark.parametrize("scope", ["", "https://mail.google.com/"])
def test_a_person_who_has_agreed_once_gets_tokens(web: Web, scope: str) -> None:
    web.answers = {GOOGLE: granted(TOKEN)}
    oauth2 = OAuth2(
        provider=OAuth2Provider.GOOGLE,
        client_id="f0e1",
        client_secret=SECRET,
        refresh_token=REFRESH,
        scope=scope,
    )
    assert fetch(oauth2) == TOKEN
    assert web.asked[0].form == {
        "grant_type": "refresh_token",
        "client_id": "f0e1",
        "client_secret": SECRET,
        "refresh_token": REFRESH,
    } | ({"scope": scope} if scope else {})


NO_KEY = (
    "is not a service account key: its JSON has no client_email and private_key\n"
    "  Give the whole JSON file that Google Cloud made."
)
ED25519 = ed25519.Ed25519PrivateKey.generate()
ENCRYPTED = pem(KEY, serialization.BestAvailableEncryption(b"harbour"))
NOT_RSA = (
    "its private_key is not an RSA key in PEM\n"
    "  Give the whole JSON file that Google Cloud made, unchanged."
)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("{", NO_KEY),
        ("{}", NO_KEY),
        ('{"client_email": 1, "private_key": "x"}', NO_KEY),
        ('{"client_email": "a@b", "private_key": ""}', NO_KEY),
        ('{"client_email": "a@b", "private_key": "BEGIN"}', NOT_RSA),
        ('{"client_email": "a@b", "private_key": "\\ud800"}', NOT_RSA),
        (json.dumps({"client_email": "a", "private_key": PUBLIC}), NOT_RSA),
        (json.dumps({"client_email": "a", "private_key": pem(ED25519)}), NOT_RSA),
        (json.dumps({"client_email": "a", "private_key": ENCRYPTED}), NOT_RSA),
    ],
    ids=[
        *("broken", "empty", "no text", "nothing", "no key", "half a character"),
        *("a public key", "another kind of key", "encrypted"),
    ],
)
def test_what_is_no_key_of_a_service_account_is_told_without_being_shown(
    web: Web, key: str, said: str
) -> None:
    oauth2 = OAuth2(provider=OAuth2Provider.GOOGLE, client_secret=key)
    assert refusal_of(oauth2) == f"oauth2-client-secret: {said}"
    assert web.asked == []


def test_a_key_without_the_library_says_what_to_install(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Python's own mark of a module that is not there.
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    assert refusal_of(GOOGLE_KEY) == (
        "oauth2-client-secret: needs the Python library cryptography, which is not installed\n"
        "  Install it: pip install cryptography rfc3161-client"
    )
    assert web.asked == []


def test_a_key_may_be_without_an_id(web: Web) -> None:
    web.answers = {GOOGLE: granted(TOKEN)}
    pkcs1 = pem(KEY, form=serialization.PrivateFormat.TraditionalOpenSSL)
    key = {"client_email": ACCOUNT, "private_key": pkcs1}
    fetch(OAuth2(provider=OAuth2Provider.GOOGLE, client_secret=json.dumps(key)))
    header, _, _ = web.asked[0].form["assertion"].split(".")
    assert _json(header) == {"alg": "RS256", "typ": "JWT"}


# --- any other ---------------------------------------------------------------------------------


def test_any_endpoint_takes_a_secret_as_the_rfc_has_it(web: Web) -> None:
    web.answers = {OTHER: granted(TOKEN)}
    assert (
        fetch(OAuth2(client_id="f:1", client_secret="s é", token_url=OTHER, scope="mail")) == TOKEN
    )
    (asked,) = web.asked
    # RFC 6749 section 2.3.1: both are form-encoded before they are joined.
    assert asked.authorization == "Basic ZiUzQTE6cyslQzMlQTk="
    assert asked.form == {"grant_type": "client_credentials", "scope": "mail"}


def test_any_endpoint_takes_a_refresh_token(web: Web) -> None:
    web.answers = {OTHER: granted(TOKEN)}
    assert fetch(OAuth2(client_id="f1", refresh_token=REFRESH, token_url=OTHER)) == TOKEN
    assert web.asked[0].form == {
        "grant_type": "refresh_token",
        "refresh_token": REFRESH,
        "client_id": "f1",
    }


def test_any_endpoint_takes_the_jobs_identity(web: Web) -> None:
    web.answers = {RUNNER.partition("?")[0]: (200, {"value": JOB_TOKEN}), OTHER: granted(TOKEN)}
    assert fetch(OAuth2(client_id="f1", is_federated=True, token_url=OTHER), environ=JOB) == TOKEN
    runner, other = web.asked
    assert runner.form["audience"] == OTHER
    assert other.form["client_assertion"] == JOB_TOKEN
    assert other.form["client_id"] == "f1"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_an_endpoint_that_is_busy_is_asked_again(web: Web, status: int) -> None:
    def busy(handler: BaseHTTPRequestHandler) -> None:
        web.answers[MICROSOFT] = granted(TOKEN)
        handler.send_response(status)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    web.answers = {MICROSOFT: busy}
    assert fetch(WITH_SECRET) == TOKEN
    assert web.urls() == [MICROSOFT, MICROSOFT]


def test_an_endpoint_that_stays_busy_is_asked_no_longer_than_there_is_time(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    clock = SimpleNamespace(monotonic=lambda: sum(pauses), sleep=pauses.append)
    monkeypatch.setattr("chainloop_smtp.token.endpoint.time", clock)
    monkeypatch.setattr("chainloop_smtp.token.endpoint._PAUSES", (10.0, 20.0))
    web.answers = {MICROSOFT: refused("temporarily_unavailable", "", 503)}
    said = f"token from '{MICROSOFT}': refused: temporarily_unavailable\n  Try again later."
    assert refusal_of(WITH_SECRET, deadline=60) == said
    assert (len(web.asked), pauses) == (3, [10.0, 20.0])
    for deadline in (25, 30):
        web.asked.clear()
        pauses.clear()
        assert refusal_of(WITH_SECRET, deadline=deadline) == said
        assert (len(web.asked), pauses) == (2, [10.0])


@pytest.mark.parametrize("status", [400, 501, 505])
def test_what_will_not_pass_is_asked_once(web: Web, status: int) -> None:
    web.answers = {MICROSOFT: (status, {"error": "no"})}
    refusal_of(WITH_SECRET)
    assert len(web.asked) == 1


# --- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["", *JOB])
def test_a_job_without_an_identity_is_told_what_permission_it_needs(web: Web, missing: str) -> None:
    environ = {name: value for name, value in JOB.items() if missing and name != missing}
    assert refusal_of(FEDERATED, environ) == (
        "oauth2-federated: this job cannot get an OIDC token\n"
        "  Give the job `permissions: id-token: write`. Pull requests from forks, act, and "
        "anything outside GitHub Actions cannot get one."
    )
    assert web.asked == []


@pytest.mark.parametrize(
    ("code", "hint"),
    [("90002", "\n  There is no such directory: check oauth2-tenant."), ("999999", "")],
)
def test_entras_codes_are_explained(web: Web, code: str, hint: str) -> None:
    told = f"AADSTS{code}: What it says. Trace ID: 1 Correlation ID: 2\r\nTimestamp: 3"
    web.answers = {MICROSOFT: refused("invalid_client", told)}
    assert refusal_of(WITH_SECRET) == (
        f"token from '{MICROSOFT}': refused: invalid_client: AADSTS{code}: What it says.{hint}"
    )


@pytest.mark.parametrize("code", ["70021", "700213", "7002138"])
def test_a_subject_that_does_not_match_is_shown_as_it_has_to_be(web: Web, code: str) -> None:
    web.answers = {
        RUNNER.partition("?")[0]: (200, {"value": JOB_TOKEN}),
        MICROSOFT: refused("invalid_request", f"AADSTS{code}: No matching federated identity"),
    }
    assert refusal_of(FEDERATED, JOB) == (
        f"token from '{MICROSOFT}': refused: invalid_request: AADSTS{code}: No matching federated "
        "identity\n"
        f"  The federated credential must name this job's subject exactly: {SUBJECT}. "
        "If it names an environment, give the job `environment:`."
    )


@pytest.mark.parametrize(
    "job_token",
    ["opaque", "a.b.c", "a.!!!.c", jwt({}), jwt({"sub": 1}), "a.W10.c", f"a.{'W1tb' * 9_000}.c"],
    ids=["no JWT", "no base64", "no letters", "no subject", "a number", "a list", "a deep list"],
)
def test_a_job_token_that_names_nobody_is_carried_all_the_same(web: Web, job_token: str) -> None:
    web.answers = {
        RUNNER.partition("?")[0]: (200, {"value": job_token}),
        MICROSOFT: refused("invalid_request", "AADSTS700213: No matching federated identity"),
    }
    assert refusal_of(FEDERATED, JOB) == (
        f"token from '{MICROSOFT}': refused: invalid_request: AADSTS700213: No matching federated "
        "identity\n"
        "  The federated credential must name this job's subject exactly: (it has none). "
        "If it names an environment, give the job `environment:`."
    )


@pytest.mark.parametrize(
    ("url", "answer", "told", "hint"),
    [
        (
            STS,
            refused(
                "invalid_grant", "The given credential is rejected by the attribute condition."
            ),
            "invalid_grant: The given credential is rejected by the attribute condition.",
            "The provider's attribute condition does not hold for this job: compare it with the "
            f"repository, branch or environment. The job's subject: {SUBJECT}",
        ),
        (
            STS,
            refused("invalid_grant", "The assertion is not taken."),
            "invalid_grant: The assertion is not taken.",
            "The provider's attribute mapping or condition refuses this job, or its audience is "
            f"not the default one. The job's subject: {SUBJECT}",
        ),
        (
            STS,
            refused("invalid_target", "no such pool"),
            "invalid_target: no such pool",
            "Check oauth2-tenant: is it the provider's own resource name?",
        ),
        (
            SIGN,
            (403, {"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "denied"}}),
            "PERMISSION_DENIED: denied",
            "Grant the workload identity (principalSet) the role Service Account Token Creator on "
            "the service account, and enable the IAM Service Account Credentials API.",
        ),
        (
            GOOGLE,
            refused("unauthorized_client", "Client is unauthorized to retrieve access tokens"),
            "unauthorized_client: Client is unauthorized to retrieve access tokens",
            "Let an administrator allow the client: in Google's admin console, Security, API "
            "controls, Domain-wide delegation, with the scope https://mail.google.com/.",
        ),
        (
            GOOGLE,
            refused("invalid_grant", "Invalid email or User ID"),
            "invalid_grant: Invalid email or User ID",
            "user must be a mailbox of the Workspace domain.",
        ),
    ],
    ids=["condition", "mapping", "pool", "role", "delegation", "mailbox"],
)
def test_each_step_at_google_says_what_to_set_up(
    web: Web, url: str, answer: tokenserver.Answer, told: str, hint: str
) -> None:
    web.answers = {
        RUNNER.partition("?")[0]: (200, {"value": JOB_TOKEN}),
        STS: granted("cl0ud-t0ken"),
        SIGN: (200, {"signedJwt": "signed.by.google"}),
        GOOGLE: granted(TOKEN),
    } | {url: answer}
    said = refusal_of(GOOGLE_FEDERATED, JOB)
    assert said == f"token from {quoted(url)}: refused: {told}\n  {hint}"
    assert web.urls()[-1] == url


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            refused("invalid_grant", "expired"),
            "refused: invalid_grant: expired\n"
            "  The refresh token is expired or withdrawn, or belongs to another client.",
        ),
        (refused("strange_error"), "refused: strange_error"),
        ((401, {"message": "no token for you"}), "refused: no token for you"),
        ((404, []), "the answer is HTTP 404 and no token\n  Check oauth2-token-url."),
        ((500, {}), "the answer is HTTP 500 and no token\n  Try again later."),
        ((302, {}), "the answer is HTTP 302 and no token\n  Check oauth2-token-url."),
        (
            redirecting("/elsewhere"),
            "redirects to 'id.example.test', and no secret follows it there\n"
            "  Check oauth2-token-url.",
        ),
        (
            redirecting("mailto:jane"),
            "redirects to 'nowhere', and no secret follows it there\n  Check oauth2-token-url.",
        ),
        (
            redirecting("https://jane:hunter2@other.test/x?code=y"),
            "redirects to 'other.test', and no secret follows it there\n  Check oauth2-token-url.",
        ),
        (redirecting("https://[::1"), "it is not a URL, or what goes there does not fit into HTTP"),
        ((200, []), "the answer is HTTP 200 and no token\n  Check oauth2-token-url."),
        ((200, {}), "the reply contains no access_token"),
        ((200, {"access_token": ""}), "the reply contains no access_token"),
        ((200, {"access_token": "a b"}), "the reply contains no access_token"),
        ((200, {"access_token": "a\x01b"}), "the reply contains no access_token"),
        ((200, {"access_token": 1}), "the reply contains no access_token"),
        (
            (200, {"access_token": "x", "token_type": "mac"}),
            "the token is of the kind 'mac', not a bearer token",
        ),
        (
            (200, {"access_token": "x", "token_type": 1}),
            "the token is of the kind '1', not a bearer token",
        ),
        (refused("x", "a" * 1000), "refused: x: " + "a" * 297 + "..."),
        (refused("x\x1b[2J", "::error::\x07"), "refused: x: ::error::"),
        (
            (400, {"error": 1, "error_description": ["x"]}),
            "the answer is HTTP 400 and no token\n  Check oauth2-token-url.",
        ),
    ],
)
def test_an_answer_without_a_token_is_told(web: Web, answer: tokenserver.Answer, told: str) -> None:
    web.answers = {OTHER: answer}
    said = refusal_of(OAuth2(client_id="f1", refresh_token=REFRESH, token_url=OTHER))
    assert said == f"token from '{OTHER}': {told}"


def test_what_an_endpoint_repeats_of_our_secrets_is_blotted_out(web: Web) -> None:
    web.answers = {
        OTHER: refused("invalid_client", f"no client has {SECRET} or {REFRESH}", 401),
    }
    oauth2 = OAuth2(client_id="f1", client_secret=SECRET, refresh_token=REFRESH, token_url=OTHER)
    assert refusal_of(oauth2) == (
        f"token from '{OTHER}': refused: invalid_client: no client has *** or ***\n"
        "  Check oauth2-client-id and oauth2-client-secret."
    )


def test_a_secret_that_holds_another_is_blotted_out_whole(web: Web) -> None:
    web.answers = {OTHER: refused("x", "it is r3fresh-t0ken-and-m0re")}
    oauth2 = OAuth2(
        client_id="f1",
        client_secret="r3fresh-t0ken-and-m0re",
        refresh_token=REFRESH,
        token_url=OTHER,
    )
    assert refusal_of(oauth2) == f"token from '{OTHER}': refused: x: it is ***"


def test_what_google_repeats_of_a_bearer_token_is_blotted_out(web: Web) -> None:
    web.answers = {
        RUNNER.partition("?")[0]: (403, {"message": "no runner-bearer-token here"}),
    }
    assert refusal_of(FEDERATED, JOB) == (
        f"token from '{RUNNER.partition('?')[0]}': refused: no *** here"
    )


def test_what_google_repeats_of_a_service_accounts_key_is_blotted_out(web: Web) -> None:
    web.answers = {GOOGLE: refused("invalid_request", f"{pem(KEY)} signs nothing")}
    assert refusal_of(GOOGLE_KEY) == (
        f"token from '{GOOGLE}': refused: invalid_request: *** signs nothing"
    )


def test_a_runner_that_answers_without_a_token_is_named(web: Web) -> None:
    web.answers = {RUNNER.partition("?")[0]: (200, {})}
    assert refusal_of(FEDERATED, JOB) == (
        f"token from '{RUNNER.partition('?')[0]}': the reply contains no value"
    )


def _html(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(b"<html>log in first</html>")


def _large(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(b" " * 1_000_000)


def _broken(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b"{")


def _silent(handler: BaseHTTPRequestHandler) -> None:
    del handler
    time.sleep(4)


def _drip(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(40):
        handler.wfile.write(b" ")
        time.sleep(0.25)


@pytest.mark.parametrize(
    ("answer", "deadline", "told"),
    [
        (_html, 30, "the answer is HTTP 200 and no token\n  Check oauth2-token-url."),
        (_large, 30, "the answer is HTTP 200 and no token\n  Check oauth2-token-url."),
        (_broken, 30, "the reply is cut short or cannot be decoded"),
        (_silent, 30, "no answer in time"),
        (
            _drip,
            3,
            "the deadline of 3 seconds has passed\n"
            "  The token endpoint is slow or silent; if it is known to be slow, raise deadline.",
        ),
    ],
)
def test_an_endpoint_that_is_none_is_told_in_time(
    web: Web, answer: tokenserver.Answer, deadline: float, told: str
) -> None:
    web.answers = {MICROSOFT: answer}
    said = refusal_of(WITH_SECRET, timeout=2, deadline=deadline)
    assert said == f"token from '{quoted(MICROSOFT)[1:-1]}': {told}"


def test_an_authority_that_nobody_knows_is_told(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "other.pem"))
    assert refusal_of(WITH_SECRET) == (
        f"token from '{MICROSOFT}': its certificate is not trusted\n"
        "  For a private CA, set the environment variable REQUESTS_CA_BUNDLE."
    )
    assert web.asked == []


@pytest.mark.parametrize("names", [(), ("other.example.test",), ("127.0.0.1",)])
def test_the_common_name_makes_no_certificate_a_token_endpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    def show(authority: trustme.CA) -> ssl.SSLContext:
        return issued(authority, tmp_path, "login.microsoftonline.com", *names)

    with tokenserver.web(tmp_path, show) as web:
        for name, value in web.environ.items():
            monkeypatch.setenv(name, value)
        said = refusal_of(WITH_SECRET)

    assert said == (
        f"token from '{MICROSOFT}': its certificate is not trusted\n"
        "  For a private CA, set the environment variable REQUESTS_CA_BUNDLE."
    )
    assert web.asked == []


def test_a_proxy_that_is_not_there_is_told(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert refusal_of(WITH_SECRET) == (
        f"token from '{MICROSOFT}': the proxy of HTTPS_PROXY refused\n"
        "  Is the host allowed there? NO_PROXY bypasses the proxy."
    )
    assert web.asked == []


def test_a_host_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("no_proxy", "*")
    said = refusal_of(microsoft(client_secret=SECRET, token_url="https://127.0.0.1:1/token"))
    assert said == (
        "token from 'https://127.0.0.1:1/token': no connection\n"
        "  Is the host right, and reachable from this runner?"
    )


@pytest.mark.parametrize("url", ["https://\udcff.test/", "https://.test/"])
def test_what_is_no_url_after_all_is_told(web: Web, url: str) -> None:
    said = refusal_of(OAuth2(client_id="f1", refresh_token=REFRESH, token_url=url))
    assert said == (
        f"token from {quoted(url)}: it is not a URL, or what goes there does not fit into HTTP"
    )
    assert web.asked == []


def test_a_secret_that_is_no_text_is_told_like_what_is_no_url(web: Web) -> None:
    assert refusal_of(microsoft(client_secret="s3cret\udcff")) == (
        f"token from {quoted(MICROSOFT)}: it is not a URL, or what goes there does not fit into "
        "HTTP"
    )
    assert web.asked == []


def test_secrets_go_nowhere_without_https(web: Web) -> None:
    environ = JOB | {"ACTIONS_ID_TOKEN_REQUEST_URL": "http://pipelines.test/idtoken"}
    assert refusal_of(FEDERATED, environ) == (
        "token from 'https://pipelines.test/idtoken': is not https, and secrets go nowhere else"
    )
    assert web.asked == []


def test_a_netrc_of_the_machine_has_no_say(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    web.answers = {RUNNER.partition("?")[0]: (200, {"value": JOB_TOKEN}), MICROSOFT: granted(TOKEN)}
    fetch(FEDERATED, environ=JOB)
    assert [each.authorization for each in web.asked] == ["Bearer runner-bearer-token", ""]


def test_what_is_cut_off_of_an_answer_is_not_cut_inside_a_secret(web: Web) -> None:
    web.answers = {OTHER: refused("invalid_client", "x" * 290 + SECRET, 401)}
    oauth2 = OAuth2(client_id="f1", client_secret=SECRET, refresh_token=REFRESH, token_url=OTHER)
    assert refusal_of(oauth2) == (
        f"token from '{OTHER}': refused: invalid_client: {'x' * 290}***\n"
        "  Check oauth2-client-id and oauth2-client-secret."
    )


@pytest.mark.parametrize(
    ("size", "told"),
    [
        (256 * 1024, None),
        (256 * 1024 + 1, "the answer is HTTP 200 and no token\n  Check oauth2-token-url."),
    ],
)
def test_an_answer_has_a_largest_size(web: Web, size: int, told: str | None) -> None:
    document = json.dumps({"access_token": TOKEN}).encode().ljust(size)
    web.answers = {MICROSOFT: website.answer(document)}
    if told is None:
        assert fetch(WITH_SECRET) == TOKEN
    else:
        assert refusal_of(WITH_SECRET) == f"token from '{MICROSOFT}': {told}"


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER"])
def test_a_bearer_token_is_one_however_it_is_written(web: Web, kind: str) -> None:
    web.answers = {MICROSOFT: (200, {"access_token": TOKEN, "token_type": kind})}
    assert fetch(WITH_SECRET) == TOKEN


@pytest.mark.parametrize("status", [201, 204, 400])
def test_only_the_status_200_grants_a_token(web: Web, status: int) -> None:
    web.answers = {MICROSOFT: (status, {"access_token": TOKEN, "token_type": "Bearer"})}
    assert refusal_of(WITH_SECRET) == (
        f"token from '{MICROSOFT}': the answer is HTTP {status} and no token\n"
        "  Check oauth2-token-url."
    )


def test_the_runners_own_url_may_have_no_query(web: Web) -> None:
    url = RUNNER.partition("?")[0]
    web.answers = {url: (200, {"value": JOB_TOKEN}), MICROSOFT: granted(TOKEN)}
    fetch(FEDERATED, environ=JOB | {"ACTIONS_ID_TOKEN_REQUEST_URL": url})
    assert web.asked[0].form == {"audience": "api://AzureADTokenExchange"}


def test_what_is_asked_for_is_json(web: Web) -> None:
    accepted: list[str] = []

    def respond(handler: BaseHTTPRequestHandler) -> None:
        accepted.append(handler.headers["Accept"])
        website.answer(json.dumps({"access_token": TOKEN}).encode())(handler)

    web.answers = {MICROSOFT: respond}
    assert fetch(WITH_SECRET) == TOKEN
    assert accepted == ["application/json"]
