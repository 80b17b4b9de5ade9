"""Request -> JSON answer. Here, secrets leave for token endpoints; the door for requests.

Only over https, never after a redirect, and with a bound on the answer and on the time.
"""

import json as json_
import re
import time
from base64 import b64encode
from collections.abc import Mapping
from threading import Thread
from urllib.parse import urljoin, urlsplit

import requests

from chainloop_smtp.errors import DeliveryError, Problem, quoted
from chainloop_smtp.secrets import Redactor
from chainloop_smtp.token import explanation

_LARGEST_ANSWER = 256 * 1024
_PAUSES = (0.5, 2.0)  # seconds before the second and the third time
_PASSING = (429, 500, 502, 503, 504)
# RFC 6750 section 2.1; wider, since it matters only that the SASL message stays in one piece.
_TOKEN = re.compile(r"[\x21-\x7e]+")


class Client:
    """One exchange with its token endpoints.

    Attributes:
        redactor: Takes the exchange's secrets out of answers that are shown.
        subject: Whom the job's own token names; empty: none was asked for.
    """

    def __init__(self, timeout: float, deadline: float, secrets: tuple[str, ...] = ()) -> None:
        self.redactor = Redactor()
        self.redactor.add(*(secret.encode(errors="replace") for secret in secrets))
        self.subject = ""
        self._timeout = timeout
        self._deadline = deadline
        self._ends = time.monotonic() + deadline

    def token(self, url: str, form: Mapping[str, str], login: tuple[str, str] | None = None) -> str:
        """The access token that a token endpoint gives for a form (RFC 6749 section 5).

        Args:
            login: The client's id and secret, where the form does not hold them.

        Raises:
            DeliveryError: It gives none.
        """
        answer = self.ask(url, form=form, login=login)
        kind = answer.get("token_type", "Bearer")
        if not isinstance(kind, str) or kind.lower() != "bearer":
            raise _error(
                url, f"the token is of the kind {quoted(str(kind))}, and not a bearer token"
            )
        return self.secret(answer, "access_token", url)

    def secret(self, answer: Mapping[str, object], name: str, url: str = "") -> str:
        """A secret in an answer, which is redacted from now on.

        Raises:
            DeliveryError: It is not there, or could not be carried on.
        """
        value = answer.get(name)
        if not isinstance(value, str) or not _TOKEN.fullmatch(value):
            raise _error(url or self._url, f"the answer holds no {name}")
        self.redactor.add(value.encode())
        return value

    def ask(
        self,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        json: Mapping[str, object] | None = None,
        bearer: str = "",
        login: tuple[str, str] | None = None,
    ) -> Mapping[str, object]:
        """The JSON object that an endpoint answers: to a POST of what is given, else to a GET.

        Raises:
            DeliveryError: It refuses, cannot be reached in time, or does not speak JSON.
        """
        self._url = url
        if urlsplit(url).scheme != "https":
            raise _error(url, "is not https, and secrets go nowhere else")
        self.redactor.add(bearer.encode(errors="replace"))
        request = requests.Request(
            "GET" if form is None and json is None else "POST",
            url,
            headers={"Accept": "application/json"},
            data=dict(form) if form is not None else None,
            json=json,
            auth=_Authorization(bearer, login),
        )
        status, octets = self._settled(request)
        try:
            answer = json_.loads(octets)
        except (ValueError, RecursionError):
            answer = None
        if status == requests.codes.ok and isinstance(answer, dict):
            return answer
        raise _error(
            url, *explanation.explained(status, answer, self.subject, self.redactor.redact)
        )

    def _settled(self, request: requests.Request) -> tuple[int, bytes]:
        """Status and body; asked again where the endpoint is busy, or out of order for a moment."""
        for pause in _PAUSES:
            status, octets = self._answered(request)
            is_passing = status in _PASSING and self._ends - time.monotonic() > pause
            if not is_passing:
                return status, octets
            time.sleep(pause)
        return self._answered(request)

    def _answered(self, request: requests.Request) -> tuple[int, bytes]:
        """Status and body."""
        left = max(self._ends - time.monotonic(), 0.0)
        try:
            return _within(left, request, self._timeout)
        except TimeoutError as error:
            raise _error(
                request.url,
                f"the deadline of {self._deadline:g} seconds is over",
                "The token endpoint is slow or silent; if it is known to be slow, raise deadline.",
            ) from error
        except (requests.RequestException, ValueError) as error:
            raise _error(request.url, *_unreachable(error)) from error


class _Authorization(requests.auth.AuthBase):
    """The header, or none; given in any case, since requests would else look into ``.netrc``."""

    def __init__(self, bearer: str, login: tuple[str, str] | None) -> None:
        self._bearer = bearer
        self._login = login

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._bearer:
            request.headers["Authorization"] = f"Bearer {self._bearer}"
        if self._login:
            pair = b64encode(":".join(self._login).encode()).decode("ascii")
            request.headers["Authorization"] = f"Basic {pair}"
        return request


def _within(seconds: float, request: requests.Request, timeout: float) -> tuple[int, bytes]:
    """Status and body. A server that drips is left behind in a thread of its own.

    Raises:
        TimeoutError: It takes too long.
    """
    outcome: list[tuple[int, bytes] | Exception] = []

    def run() -> None:
        try:
            outcome.append(_sent(request, timeout))
        except Exception as error:  # noqa: BLE001  # raised again by the thread that waits
            outcome.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise TimeoutError
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]


def _sent(request: requests.Request, timeout: float) -> tuple[int, bytes]:
    with requests.Session() as session:
        prepared = session.prepare_request(request)
        settings = session.merge_environment_settings(
            prepared.url, {}, stream=True, verify=None, cert=None
        )
        with session.send(prepared, timeout=timeout, allow_redirects=False, **settings) as response:
            if target := session.get_redirect_target(response):
                raise requests.TooManyRedirects(urljoin(response.url, target))
            body = bytearray()
            for chunk in response.iter_content(16 * 1024):
                body += chunk
                if len(body) > _LARGEST_ANSWER:
                    return response.status_code, b""
            return response.status_code, bytes(body)


def _unreachable(error: requests.RequestException | ValueError) -> tuple[str, str]:
    """A few words for what requests raises; its own texts quote whole URLs."""
    if isinstance(error, requests.exceptions.SSLError):
        hint = "A private authority belongs into the environment variable REQUESTS_CA_BUNDLE."
        return "its certificate is not trusted", hint
    if isinstance(error, requests.exceptions.ProxyError):
        return (
            "the proxy of HTTPS_PROXY refused",
            "Is the host allowed there? NO_PROXY leaves it out.",
        )
    if isinstance(error, requests.exceptions.Timeout):
        return "no answer in time", ""
    if isinstance(error, requests.exceptions.ConnectionError):
        return "no connection", "Is the host right, and reachable from this runner?"
    if isinstance(error, requests.TooManyRedirects):
        host = urlsplit(str(error)).hostname or "nowhere"
        why = f"redirects to {quoted(host)}, and no secret follows it there"
        return why, "Check oauth2-token-url."
    if isinstance(error, ValueError):
        return "it is not a URL, or what goes there does not fit into HTTP", ""
    return "the answer breaks off or cannot be decoded", ""


def _error(url: str, why: str, hint: str = "") -> DeliveryError:
    parts = urlsplit(url)
    # Without its query, in which GitHub's own has an id of the job.
    return DeliveryError(
        Problem(f"token from {quoted(f'https://{parts.netloc}{parts.path}')}", why, hint)
    )
