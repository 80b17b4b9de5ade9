"""Request -> JSON answer of a token endpoint, or a refusal explained to people who know no OAuth.

Secrets leave for token endpoints here: only over https, never after a redirect, and with a bound
on the answer and on the time. One of these endpoints is the runner's own, which gives the job an
identity that others trust instead of a secret.
"""

import json as json_
import re
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from functools import partial
from urllib.parse import urlencode, urlsplit

from chainloop_smtp import https
from chainloop_smtp.background import BackgroundCall
from chainloop_smtp.errors import DeliveryError, Problem, quoted
from chainloop_smtp.https import Failure
from chainloop_smtp.secrets import Redactor

_LARGEST_ANSWER = 256 * 1024  # bytes
_LONGEST_TEXT = 300  # characters of an endpoint's own text
_PAUSES = (0.5, 2.0)  # seconds before the second and the third try
_TEMPORARY = (429, 500, 502, 503, 504)
# RFC 6750 section 2.1; wider, since it matters only that the SASL message stays in one piece.
_TOKEN = re.compile(r"[\x21-\x7e]+")


class Client:
    """One exchange with the token endpoints of a provider."""

    def __init__(self, timeout: float, deadline: float) -> None:
        """Start the clock.

        Args:
            timeout: Seconds for each step of a request.
            deadline: Seconds for the whole exchange.
        """
        # Whom the job's own token names, for hints; empty: none was asked for.
        self._subject = ""
        self._redactor = Redactor()
        self._timeout = timeout
        self._deadline = deadline
        self._ends = time.monotonic() + deadline

    def redact(self, *secrets: str) -> None:
        """Redact these secrets from now on, should an answer that is shown repeat them."""
        self._redactor.add(*(secret.encode(errors="replace") for secret in secrets))

    def fetch_token(
        self, url: str, form: Mapping[str, str], login: tuple[str, str] | None = None
    ) -> str:
        """Return the access token that an endpoint grants for a form (RFC 6749 section 5).

        Args:
            login: The client's id and secret, where the form does not hold them.

        Raises:
            DeliveryError: It grants none.
        """
        answer = self.ask(url, https.basic(*login) if login else "", form=form)
        kind = answer.get("token_type", "Bearer")
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise _error(url, f"the token is of the kind {quoted(str(kind))}, not a bearer token")
        return self.read_secret(url, answer, "access_token")

    def fetch_job_token(self, environ: Mapping[str, str], audience: str) -> str:
        """Return the GitHub job's own token for one audience.

        https://docs.github.com/actions/reference/security/oidc

        Raises:
            DeliveryError: The job may not have one, or this is no GitHub job.
        """
        url = environ.get("ACTIONS_ID_TOKEN_REQUEST_URL", "")
        bearer = environ.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "")
        if not url or not bearer:
            raise DeliveryError(
                Problem(
                    "oauth2-federated",
                    "this job cannot get an OIDC token",
                    "Give the job `permissions: id-token: write`. Pull requests from forks, act, "
                    "and anything outside GitHub Actions cannot get one.",
                )
            )
        separator = "&" if "?" in url else "?"
        url = f"{url}{separator}{urlencode({'audience': audience})}"
        self.redact(bearer)
        token = self.read_secret(url, self.ask(url, f"Bearer {bearer}"), "value")
        self._subject = _read_subject(token)
        return token

    def read_secret(self, url: str, answer: Mapping[str, object], name: str) -> str:
        """Return a secret of an answer, and redact it from now on.

        Raises:
            DeliveryError: It is missing, or would not fit into a header.
        """
        value = answer.get(name)
        if not isinstance(value, str) or not _TOKEN.fullmatch(value):
            raise _error(url, f"the reply contains no {name}")
        self.redact(value)
        return value

    def ask(
        self,
        url: str,
        authorization: str,
        *,
        form: Mapping[str, str] | None = None,
        json: Mapping[str, object] | None = None,
    ) -> Mapping[str, object]:
        """Return the JSON object that an endpoint answers to a POST of form or JSON, or to a GET.

        Raises:
            DeliveryError: It refuses, cannot be reached in time, or does not answer in JSON.
        """
        if urlsplit(url).scheme != "https":
            raise _error(url, "is not https, and secrets go nowhere else")
        send = partial(_send, url, self._timeout, authorization, form, json)
        status, body = self._attempt(url, send)
        for pause in _PAUSES:
            if status not in _TEMPORARY or self._ends - time.monotonic() <= pause:
                break
            time.sleep(pause)
            status, body = self._attempt(url, send)
        try:
            answer = json_.loads(body)
        except (ValueError, RecursionError):
            answer = None
        if status == 200 and isinstance(answer, dict):
            return answer
        raise _error(url, *explain_refusal(status, answer, self._subject, self._redactor.redact))

    def _attempt(self, url: str, send: Callable[[], tuple[int, bytes]]) -> tuple[int, bytes]:
        try:
            # In the background, since a server that drips may keep each step within its time.
            return BackgroundCall(send).result(max(self._ends - time.monotonic(), 0.0))
        except TimeoutError as error:
            raise _error(
                url,
                f"the deadline of {self._deadline:g} seconds has passed",
                "The token endpoint is slow or silent; if it is known to be slow, raise deadline.",
            ) from error
        except https.HttpsError as error:
            raise _error(url, *_FAILURES.get(error.failure, (error.failure, ""))) from error


def _read_subject(token: str) -> str:
    """Read the claim that identifies the job, such as ``repo:octo/app:ref:refs/heads/main``.

    The signature is not verified: the subject is only shown in error messages.
    """
    try:
        # More padding than it needs does no harm, and JWTs have none.
        claims = json_.loads(urlsafe_b64decode(token.split(".")[1] + "=="))
    except (ValueError, IndexError, RecursionError):
        return ""
    subject = claims.get("sub") if isinstance(claims, dict) else None
    return subject if isinstance(subject, str) else ""


def _send(
    url: str,
    timeout: float,
    authorization: str,
    form: Mapping[str, str] | None,
    json: Mapping[str, object] | None,
) -> tuple[int, bytes]:
    """Return status and body; the body is empty where it is too large."""
    with https.request(
        url, timeout, authorization, accept="application/json", form=form, json=json
    ) as response:
        if response.location:
            host = quoted(urlsplit(response.location).hostname or "nowhere")
            why = f"redirects to {host}, and no secret follows it there"
            raise _error(url, why, "Check oauth2-token-url.")
        return response.status, response.read(_LARGEST_ANSWER) or b""


# Where there is more to say than the failure itself: why, and a hint.
_FAILURES = {
    Failure.CERTIFICATE: (
        Failure.CERTIFICATE,
        "For a private CA, set the environment variable REQUESTS_CA_BUNDLE.",
    ),
    Failure.PROXY: (
        "the proxy of HTTPS_PROXY refused",
        "Is the host allowed there? NO_PROXY bypasses the proxy.",
    ),
    Failure.CONNECTION: (
        Failure.CONNECTION,
        "Is the host right, and reachable from this runner?",
    ),
    Failure.URL: ("it is not a URL, or what goes there does not fit into HTTP", ""),
}


def _error(url: str, why: str, hint: str = "") -> DeliveryError:
    parts = urlsplit(url)
    # Without its query, in which GitHub's own has an id of the job.
    return DeliveryError(
        Problem(f"token from {quoted(f'https://{parts.netloc}{parts.path}')}", why, hint)
    )


def explain_refusal(
    status: int, answer: object, subject: str, redact: Callable[[str], str]
) -> tuple[str, str]:
    """Say why there is no token, and what to do.

    Args:
        status: The HTTP status.
        answer: The decoded JSON; None where it was none.
        subject: What the job's own token names; empty if there is no such token.
        redact: Takes our secrets out, before anything is cut.
    """
    error, description = _read_refusal(answer, redact)
    refusal = ": ".join(filter(None, (error, description)))
    if not refusal:
        why = f"the answer is HTTP {status} and no token"
        return why, "Check oauth2-token-url." if status < 500 else "Try again later."
    return f"refused: {refusal}", _find_hint(error, description, status, subject)


def _read_refusal(answer: object, redact: Callable[[str], str]) -> tuple[str, str]:
    """Read code and text, of RFC 6749 section 5.2, of Google's APIs, or of GitHub's."""
    if not isinstance(answer, dict):
        return "", ""
    error = answer.get("error")
    if isinstance(error, dict):
        return _first_line(error.get("status"), redact), _first_line(error.get("message"), redact)
    text = answer.get("error_description") or answer.get("message")
    return _first_line(error, redact), _first_line(text, redact)


def _find_hint(error: str, description: str, status: int, subject: str) -> str:
    shown = subject or "(it has none)"
    if code := re.search(r"AADSTS(\d+)", description):
        hint = _ENTRA.get(code[1], "")
        if hint is _SUBJECT and ":environment:" not in subject:
            hint += _NO_ENVIRONMENT
        return hint.format(subject=shown)
    words = f"{error}: {description}".lower()
    for sign, hint in _GENERAL:
        if sign in words:
            return hint.format(subject=shown)
    if "invalid_grant" in words:
        return (
            "The provider's attribute mapping or condition refuses this job, or its audience is "
            f"not the default one. The job's subject: {subject}"
            if subject
            else "The refresh token is expired or withdrawn, or belongs to another client."
        )
    return "Try again later." if status >= 500 else ""


def _first_line(text: object, redact: Callable[[str], str]) -> str:
    """Return the first line, printable: Entra's further ones are ids of its own log."""
    if not isinstance(text, str):
        return ""
    line = "".join(c if c.isprintable() else "\n" for c in redact(text).strip()).partition("\n")[0]
    line = line.partition(" Trace ID:")[0].strip()
    return line if len(line) <= _LONGEST_TEXT else line[: _LONGEST_TEXT - 3] + "..."


_SUBJECT = "The federated credential must name this job's subject exactly: {subject}"
_NO_ENVIRONMENT = ". If it names an environment, give the job `environment:`."
# https://learn.microsoft.com/entra/identity-platform/reference-error-codes
_ENTRA = {
    "50034": "The mailbox belongs to another directory: check oauth2-tenant.",
    "53003": "A Conditional Access policy blocks it: let an administrator exempt the application.",
    "65001": "The permission has no admin consent: Entra > App registrations > API permissions "
    "> Grant admin consent.",
    "70011": "Leave out oauth2-scope, or write https://outlook.office365.com/.default.",
    "70021": _SUBJECT,
    "90002": "There is no such directory: check oauth2-tenant.",
    "500011": "Leave out oauth2-scope, or write https://outlook.office365.com/.default.",
    "700016": "The directory has no such application: check oauth2-client-id and oauth2-tenant.",
    "700024": "The runner's clock is wrong, or the job waited too long.",
    "700082": "The refresh token has expired: have the mailbox's owner sign in again.",
    "700211": "The federated credential's issuer must be https://token.actions.githubusercontent.com.",
    "700212": "The federated credential's audience must be api://AzureADTokenExchange.",
    "700213": _SUBJECT,
    "900023": "This is not the id or domain of a directory: check oauth2-tenant.",
    "1002012": "Leave out oauth2-scope, or write https://outlook.office365.com/.default.",
    "7000215": "Give the secret's value, not its id: Entra, App registrations, Certificates & "
    "secrets. Or use none: oauth2-federated.",
    "7002138": _SUBJECT,
    "7000222": "The secret has expired: make a new one, or use none: oauth2-federated.",
}
# RFC 6749 section 5.2, and Google's own words behind the same codes.
_GENERAL = (
    ("permission_denied", "Grant the workload identity (principalSet) the role Service Account "
     "Token Creator on the service account, and enable the IAM Service Account Credentials API."),
    ("attribute condition", "The provider's attribute condition does not hold for this job: "
     "compare it with the repository, branch or environment. The job's subject: {subject}"),
    ("127 bytes", "google.subject takes 127 bytes: map it to something shorter, such as "
     "google.subject=assertion.repository_id."),
    ('value for "audience"', "oauth2-tenant must have the project's number, not its name: "
     "projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/NAME."),
    ("unauthorized_client", "Let an administrator allow the client: in Google's admin console, "
     "Security, API controls, Domain-wide delegation, with the scope https://mail.google.com/."),
    ("invalid email or user id", "user must be a mailbox of the Workspace domain."),
    ("invalid jwt signature", "The key was deleted or belongs to another account: make a new one."),
    ("invalid_client", "Check oauth2-client-id and oauth2-client-secret."),
    ("invalid_scope", "Leave out oauth2-scope, or write what the provider asks for sending mail."),
    ("invalid_target", "Check oauth2-tenant: is it the provider's own resource name?"),
    ("unsupported_grant_type", "The endpoint does not know this grant: check oauth2-token-url."),
)  # fmt: skip
