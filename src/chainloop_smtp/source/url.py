"""https:// URL -> bytes. The only module that knows requests."""

from threading import Thread
from urllib.parse import urljoin, urlsplit

import requests

from chainloop_smtp.errors import AttestationError, Problem, quoted

_REDIRECTS = 5
_CHUNK = 64 * 1024


def fetch(
    option: str, url: str, timeout: float, deadline: float, limit: int, token: str = ""
) -> bytes:
    """The body behind a URL; proxies and authorities as requests finds them in the environment.

    Args:
        option: The input's name, for the error.
        timeout: Seconds for one step.
        deadline: Seconds for all of it, redirects and a dripping server included.
        limit: Bytes, after any content encoding.
        token: A bearer token (RFC 6750), for this very URL and none that it redirects to.

    Raises:
        AttestationError: It cannot be had, or only over plain http.
    """
    # A server that drips may keep every single step within its time. So the whole of it runs
    # where it can be left behind.
    outcome: list[bytes | Exception] = []
    thread = Thread(
        target=lambda: outcome.append(_outcome(option, url, timeout, limit, token)), daemon=True
    )
    thread.start()
    thread.join(deadline)
    if not outcome:
        raise AttestationError(
            Problem(
                f"{option} {quoted(shown(url))}",
                f"the deadline of {deadline:g} seconds is over",
                "The server is slow; if it is known to be, raise deadline.",
            )
        )
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]


def _outcome(option: str, url: str, timeout: float, limit: int, token: str) -> bytes | Exception:
    try:
        return _fetch(option, url, timeout, limit, token)
    except Exception as error:  # noqa: BLE001  # raised again by the thread that waits
        return error


def _fetch(option: str, url: str, timeout: float, limit: int, token: str) -> bytes:
    with requests.Session() as session:
        # As an auth object: without one, requests looks into a netrc file.
        auth = _Bearer(token) if token else None
        for _ in range(_REDIRECTS + 1):
            where = f"{option} {quoted(shown(url))}"
            try:
                if urlsplit(url).scheme != "https":
                    raise _error(where, "is not https", "Evidence is not read over plain http.")
                with session.get(
                    url, timeout=timeout, stream=True, allow_redirects=False, auth=auth
                ) as response:
                    if response.is_redirect:
                        url, auth = urljoin(url, response.headers["location"]), None
                        continue
                    if response.status_code != requests.codes.ok:
                        raise _error(where, f"the server answers {response.status_code}", "")
                    return _body(response, where, limit)
            except (requests.RequestException, ValueError) as error:
                raise _error(where, f"cannot be fetched: {_reason(error)}", "") from error
    raise _error(f"{option} {quoted(shown(url))}", f"more than {_REDIRECTS} redirects", "")


class _Bearer(requests.auth.AuthBase):
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _body(response: requests.Response, where: str, limit: int) -> bytes:
    body = bytearray()
    for chunk in response.iter_content(_CHUNK):
        body += chunk
        if len(body) > limit:
            raise _error(where, f"is larger than {limit // 1024**2} MiB", "")
    return bytes(body)


def _error(where: str, why: str, hint: str) -> AttestationError:
    return AttestationError(Problem(where, why, hint))


def shown(url: str) -> str:
    """Without user, password, query and fragment, which are where people put tokens."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
    except ValueError:
        return url.partition("://")[0] + "://"


def _reason(error: Exception) -> str:
    """A few words for what requests raises; its own texts quote the whole URL."""
    kinds = (
        (requests.exceptions.SSLError, "its certificate is not trusted"),
        (requests.exceptions.ProxyError, "the proxy refused"),
        (requests.exceptions.Timeout, "no answer in time"),
        (requests.exceptions.ConnectionError, "no connection"),
        (ValueError, "it is not a URL"),
    )
    unreadable = "the answer breaks off or cannot be decoded"
    return next((words for kind, words in kinds if isinstance(error, kind)), unreadable)
