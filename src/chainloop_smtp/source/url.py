"""https:// URL -> bytes."""

from functools import partial
from urllib.parse import unquote, urlsplit

from chainloop_smtp import https
from chainloop_smtp.background import BackgroundCall
from chainloop_smtp.errors import AttestationError, Problem, quoted

_REDIRECTS = 5


def fetch(
    option: str, url: str, timeout: float, deadline: float, limit: int, token: str = ""
) -> bytes:
    """Fetch the body behind a URL, following redirects on the same host.

    Args:
        option: The input's name, for the error.
        timeout: Seconds for one step.
        deadline: Seconds for all of it, redirects and a dripping server included.
        limit: Bytes, after any content encoding.
        token: A bearer token (RFC 6750). Neither it nor a login in the URL is sent to where the
            URL redirects.

    Raises:
        AttestationError: It cannot be fetched, or only over plain http or from another host.
    """
    # In the background, since a server that drips may keep every single step within its time.
    call = BackgroundCall(partial(_fetch, option, url, timeout, limit, token))
    try:
        return call.result(deadline)
    except TimeoutError as error:
        raise _error(
            f"{option} {quoted(strip_secrets(url))}",
            f"the deadline of {deadline:g} seconds has passed",
            "The server is slow; if it is known to be, raise deadline.",
        ) from error


def _fetch(option: str, url: str, timeout: float, limit: int, token: str) -> bytes:
    for hop in range(_REDIRECTS + 1):
        where = f"{option} {quoted(strip_secrets(url))}"
        try:
            if urlsplit(url).scheme != "https":
                raise _error(where, "is not https", "Evidence is not read over plain http.")
            authorization = "" if hop else _authorize(url, token)
            with https.request(url, timeout, authorization) as response:
                if response.location:
                    _check_same_host(where, url, response.location)
                    url = response.location
                elif not response.is_ok:
                    raise _error(where, f"the server answers {response.status}")
                elif (body := response.read(limit)) is None:
                    raise _error(where, f"is larger than {limit // 1024**2} MiB")
                else:
                    return body
        except https.HttpsError as error:
            is_away = error.failure in (https.Failure.CONNECTION, https.Failure.TIMEOUT)
            hint = "Is the URL right, and can this machine reach its host?" if is_away else ""
            raise _error(where, f"cannot be fetched: {error.failure}", hint) from error
        except ValueError as error:
            raise _error(where, f"cannot be fetched: {https.Failure.URL}") from error
    raise _error(f"{option} {quoted(strip_secrets(url))}", f"more than {_REDIRECTS} redirects")


def _authorize(url: str, token: str) -> str:
    parts = urlsplit(url)
    if token:
        return f"Bearer {token}"
    if parts.username or parts.password:
        return https.basic(unquote(parts.username or ""), unquote(parts.password or ""))
    return ""


def _check_same_host(where: str, url: str, target: str) -> None:
    # The user trusts the host of the URL, and not the hosts that it redirects to.
    if urlsplit(target).scheme != "https":
        return
    if https.host_port(url) != (other := https.host_port(target)):
        raise _error(
            where,
            f"redirects to another host, {quoted(other)}",
            "Download it in a step before, or give its URL at that host, if you trust it.",
        )


def _error(where: str, why: str, hint: str = "") -> AttestationError:
    return AttestationError(Problem(where, why, hint))


def strip_secrets(url: str) -> str:
    """Strip user, password, query and fragment, which are where people put tokens."""
    try:
        parts = urlsplit(url)
        # An invalid port is part of a password with a slash in it, whose rest would be the path.
        port = f":{parts.port}" if parts.port is not None else ""
        return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"
    except ValueError:
        return url.partition("://")[0] + "://"
