"""User and password, or token -> SASL responses. No I/O: the caller carries the bytes.

RFC 4954 (AUTH), RFC 4616 (PLAIN), draft-murchison-sasl-login (LOGIN), RFC 2195 (CRAM-MD5),
RFC 5802 and RFC 7677 (SCRAM-SHA-256), RFC 7628 (OAUTHBEARER), and XOAUTH2 as Google and Microsoft
describe it. Names and passwords travel as UTF-8, which RFC 4616 asks for and older ones leave open.
"""

import json
from collections.abc import Collection
from typing import Any

from chainloop_smtp.model.settings import Auth

# What `auto` looks for, best first. Only one is ever tried: a password that one mechanism refuses
# will not pass the next, and counts as a break-in attempt. PLAIN costs one round trip, and any
# server with hashed passwords can check it; the connection under it is encrypted.
PREFERENCE = (Auth.PLAIN, Auth.SCRAM_SHA_256, Auth.LOGIN, Auth.CRAM_MD5)
# Both providers who want tokens document XOAUTH2 for SMTP; OAUTHBEARER is its standard.
TOKEN_PREFERENCE = (Auth.XOAUTH2, Auth.OAUTHBEARER)


def choose(wanted: Auth, offered: Collection[str], *, has_token: bool = False) -> Auth | None:
    """Return the mechanism to use; None when there is no common one.

    Args:
        wanted: ``AUTO`` or one mechanism.
        offered: Upper-case mechanism names of the server's EHLO reply.
        has_token: There is an access token, which must not go into a mechanism for passwords.
    """
    preferred = TOKEN_PREFERENCE if has_token else PREFERENCE
    candidates = preferred if wanted is Auth.AUTO else (wanted,)
    return next((each for each in candidates if each.value.upper() in offered), None)


class Exchange:
    """One login, seen from the client.

    Attributes:
        initial: The initial response, for the AUTH command; None where the server speaks first.
        complaint: Status and scope of an OAuth server's refusal; may be empty.
        is_over: False while the server has yet to authenticate itself.
        proof: Derived from the password for this login: enough to guess it by. May be empty.
    """

    complaint = ""
    is_over = True
    proof = b""

    def __init__(self, *responses: bytes, initial: bytes | None = None) -> None:
        """Start a login with fixed responses to the server's challenges."""
        self.initial = initial
        self._responses = list(responses)

    def answer(self, challenge: bytes) -> bytes:
        """Return the response to a decoded challenge.

        Raises:
            ValueError: The mechanism has no further response, or cannot compute it.
        """
        del challenge
        if not self._responses:
            raise ValueError("the server asks for more steps than the mechanism has")
        return self._responses.pop(0)


def exchange(mechanism: Auth, user: str, password: str, host: str, port: int) -> Exchange:
    """Start the login by one mechanism.

    Args:
        password: Or an access token, where the mechanism wants one.
        host: Of the server, for OAUTHBEARER.

    Raises:
        ValueError: User or password holds what the mechanism cannot carry.
    """
    if mechanism is Auth.PLAIN:
        # RFC 4616 section 2: no authorization identity, user, password.
        return Exchange(initial=b"\0" + user.encode() + b"\0" + password.encode())
    if mechanism is Auth.LOGIN:
        # Servers word the two challenges as they like; only their order is certain.
        return Exchange(user.encode(), password.encode())
    if mechanism is Auth.CRAM_MD5:
        return _CramMd5(user, password)
    if mechanism is Auth.SCRAM_SHA_256:
        return _Scram(user, password)
    bearer = f"auth=Bearer {password}\x01\x01".encode()
    if mechanism is Auth.XOAUTH2:
        return _OAuth(f"user={user}\x01".encode() + bearer, dummy=b"")
    # RFC 7628 section 3.1; the name is escaped as RFC 5801 section 4 says.
    name = user.replace("=", "=3D").replace(",", "=2C")
    head = f"n,a={name},\x01host={host}\x01port={port}\x01".encode()
    return _OAuth(head + bearer, dummy=b"\x01")


class _CramMd5(Exchange):
    def __init__(self, user: str, password: str) -> None:
        super().__init__()
        self._user, self._password = user, password
        self._is_answered = False

    def answer(self, challenge: bytes) -> bytes:
        import hmac

        if self._is_answered:
            return super().answer(challenge)
        self._is_answered = True
        self.proof = hmac.new(self._password.encode(), challenge, "md5").hexdigest().encode()
        return self._user.encode() + b" " + self.proof


class _Scram(Exchange):
    """The one mechanism in which the server proves itself too (RFC 5802 section 3)."""

    is_over = False
    # RFC 7677 section 4 asks for 4,096 at least, servers for tens of thousands; a million takes
    # about a second, and no server may make this machine compute for longer.
    _MOST_ITERATIONS = 1_000_000

    def __init__(self, user: str, password: str) -> None:
        # Imported here, since hardly any server wants it.
        import scramp

        self._error: type[Exception] = scramp.ScramException
        try:
            self._client: Any = scramp.ScramClient(["SCRAM-SHA-256"], user, password)
            super().__init__(initial=self._client.get_client_first().encode())
        except self._error as error:
            raise ValueError(
                "user or password contains characters that SASLprep (RFC 4013) forbids"
            ) from error
        self._steps = [self._prove, self._check]

    def answer(self, challenge: bytes) -> bytes:
        if not self._steps:
            return super().answer(challenge)
        try:
            return self._steps.pop(0)(challenge.decode())
        except self._error as error:
            raise ValueError(f"the server's response is not valid: {error}") from error

    def _prove(self, challenge: str) -> bytes:
        iterations = challenge.rpartition(",i=")[2].partition(",")[0]
        if not iterations.isdecimal() or len(iterations) > 9:
            raise ValueError("the server gives no iteration count")
        if int(iterations) > self._MOST_ITERATIONS:
            raise ValueError(f"the server asks for {int(iterations):,} iterations")
        self._client.set_server_first(challenge)
        response = str(self._client.get_client_final()).encode()
        self.proof = response.rpartition(b",p=")[2]
        return response

    def _check(self, challenge: str) -> bytes:
        self._client.set_server_final(challenge)
        self.is_over = True
        return b""


class _OAuth(Exchange):
    def __init__(self, message: bytes, dummy: bytes) -> None:
        super().__init__(dummy, initial=message)

    def answer(self, challenge: bytes) -> bytes:
        """Acknowledge the error with an empty response (RFC 7628 section 3.2.3)."""
        response = super().answer(challenge)
        self.complaint = _complaint(challenge)
        return response


def _complaint(challenge: bytes) -> str:
    """Status and scope of an error (RFC 7628 section 3.2.2)."""
    try:
        error = json.loads(challenge)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(error, dict):
        return ""
    parts = [
        f"{name} {error[name]}"
        for name in ("status", "scope")
        if isinstance(error.get(name), str) and error[name]
    ]
    return ", ".join(parts)
