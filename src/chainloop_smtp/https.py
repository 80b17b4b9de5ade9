"""HTTPS request -> response. The only module that knows requests.

Proxies and certificate authorities are those that requests finds in the environment. No redirect
is followed, and nothing is sent that the caller does not give: no cookie, no login from a netrc
file.
"""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from urllib.parse import urljoin, urlsplit

import requests

_CHUNK = 64 * 1024  # bytes


class Failure(StrEnum):
    """Why there is no response, in a few words; requests' own texts quote whole URLs."""

    CERTIFICATE = "its certificate is not trusted"
    PROXY = "the proxy refused"
    TIMEOUT = "no answer in time"
    CONNECTION = "no connection"
    URL = "it is not a URL"
    BODY = "the reply is cut short or cannot be decoded"


# In this order: a connect timeout is both a Timeout and a ConnectionError.
_FAILURES = (
    (requests.exceptions.SSLError, Failure.CERTIFICATE),
    (requests.exceptions.ProxyError, Failure.PROXY),
    (requests.exceptions.Timeout, Failure.TIMEOUT),
    (requests.exceptions.ConnectionError, Failure.CONNECTION),
    (ValueError, Failure.URL),
)


class HttpsError(Exception):
    """There is no response, or not all of it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure


class Response:
    """A response whose body is still to be read.

    Attributes:
        location: Absolute URL of the redirect; empty when it is none.
    """

    def __init__(self, response: requests.Response, location: str) -> None:
        self.status = response.status_code
        self.is_ok = response.status_code == requests.codes.ok
        self.location = location
        self._response = response

    def read(self, limit: int) -> bytes | None:
        """Return the body; None when it has more bytes than the limit, after content decoding."""
        body = bytearray()
        for chunk in self._response.iter_content(_CHUNK):
            body += chunk
            if len(body) > limit:
                return None
        return bytes(body)


@contextmanager
def request(
    url: str,
    timeout: float,
    authorization: str,
    *,
    accept: str = "*/*",
    form: Mapping[str, str] | None = None,
    json: Mapping[str, object] | None = None,
) -> Iterator[Response]:
    """Send a request: POST with a form or JSON, GET without.

    Args:
        timeout: Seconds for each step.
        authorization: Value of that header; empty: none is sent.

    Raises:
        HttpsError: The request fails, or what the block does with the response.
    """
    method = "GET" if form is None and json is None else "POST"
    try:
        with (
            requests.Session() as session,
            session.request(
                method,
                url,
                headers={"Accept": accept},
                data=None if form is None else dict(form),
                json=json,
                auth=_Authorization(authorization),
                timeout=timeout,
                allow_redirects=False,
                stream=True,
            ) as response,
        ):
            target = session.get_redirect_target(response)
            yield Response(response, urljoin(response.url, target) if target else "")
    except (requests.RequestException, ValueError) as error:
        raise _explain(error) from error


def basic(user: str, password: str) -> str:
    """Make the ``Authorization`` header of RFC 7617."""
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode('ascii')}"


def host_port(url: str) -> str:
    """Return the host and port that requests connects to.

    Where a URL is made to deceive, urlsplit alone reads another host.

    Raises:
        HttpsError: It is not a URL.
    """
    try:
        parts = urlsplit(requests.Request("GET", url).prepare().url or "")
        return f"{parts.hostname}:{parts.port or 443}"
    except ValueError as error:
        raise _explain(error) from error


def _explain(error: requests.RequestException | ValueError) -> HttpsError:
    return HttpsError(
        next((failure for kind, failure in _FAILURES if isinstance(error, kind)), Failure.BODY)
    )


class _Authorization(requests.auth.AuthBase):
    """Sets the header, or none; without an auth object, requests would look into ``.netrc``."""

    def __init__(self, header: str) -> None:
        self._header = header

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._header:
            request.headers["Authorization"] = self._header
        return request
