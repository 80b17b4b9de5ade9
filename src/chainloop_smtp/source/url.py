"""https:// URL -> bytes. The only module that knows requests."""

from base64 import b64encode
from threading import Thread
from urllib.parse import unquote, urljoin, urlsplit

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
        token: A bearer token (RFC 6750), for this very URL and none that it redirects to. The same
            goes for a login in the URL. No other credential is sent, such as a netrc file's.

    Raises:
        AttestationError: It cannot be had, or only over plain http or from another host.
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
    for hop in range(_REDIRECTS + 1):
        where = f"{option} {quoted(shown(url))}"
        try:
            if urlsplit(url).scheme != "https":
                raise _error(where, "is not https", "Evidence is not read over plain http.")
            header = f"Bearer {token}" if token else _basic(url)
            login = _Login("" if hop else header)
            # A session for each, so that no cookie travels on.
            with (
                requests.Session() as session,
                session.get(
                    url, timeout=timeout, stream=True, allow_redirects=False, auth=login
                ) as response,
            ):
                if target := session.get_redirect_target(response):
                    target = urljoin(response.url, target)
                    _check_same_host(where, response.url, target)
                    url = target
                elif response.status_code != requests.codes.ok:
                    raise _error(where, f"the server answers {response.status_code}", "")
                else:
                    return _body(response, where, limit)
        except (requests.RequestException, ValueError) as error:
            raise _error(where, f"cannot be fetched: {_reason(error)}", "") from error
    raise _error(f"{option} {quoted(shown(url))}", f"more than {_REDIRECTS} redirects", "")


class _Login(requests.auth.AuthBase):
    """The header, or none; given in any case, since requests would else look into ``.netrc``."""

    def __init__(self, header: str) -> None:
        self._header = header

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._header:
            request.headers["Authorization"] = self._header
        return request


def _basic(url: str) -> str:
    """What user and password in the URL itself come to; empty when there are none."""
    parts = urlsplit(url)
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return f"Basic {b64encode(pair.encode()).decode('ascii')}" if pair != ":" else ""


def _check_same_host(where: str, url: str, target: str) -> None:
    """Whoever named the URL has trusted its host, and none that this host names.

    Raises:
        AttestationError: The target is at another one, or at another port.
    """
    if urlsplit(target).scheme == "https" and _host_port(url) != (other := _host_port(target)):
        raise _error(
            where,
            f"redirects to another host, {quoted(other)}",
            "Download it in a step before, or give its URL at that host, if you trust it.",
        )


def _host_port(url: str) -> str:
    """As requests reads a URL, which is not as urlsplit does where somebody wants to deceive."""
    prepared = requests.Request("GET", url).prepare().url or ""
    parts = urlsplit(prepared)
    return f"{parts.hostname}:{parts.port or 443}"


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
        # What is no port may be a password with a slash in it, and its rest stands in the path.
        _ = parts.port
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
