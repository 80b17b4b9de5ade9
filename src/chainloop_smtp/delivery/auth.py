"""User and password -> SASL responses. No I/O: the caller carries the bytes.

RFC 4954 (AUTH), RFC 4616 (PLAIN), draft-murchison-sasl-login (LOGIN), RFC 2195 (CRAM-MD5).
Names and passwords travel as UTF-8, which RFC 4616 asks for and the older two leave open.
"""

from collections.abc import Collection

from chainloop_smtp.model import Auth

# What `auto` tries to find, best first: PLAIN costs one round trip and any server with hashed
# passwords can check it; the connection under it is encrypted. Only one is ever tried: a
# password refused by one mechanism is no better by the next, and counts as a break-in attempt.
PREFERENCE = (Auth.PLAIN, Auth.LOGIN, Auth.CRAM_MD5)


def choose(wanted: Auth, offered: Collection[str]) -> Auth | None:
    """The mechanism to use, or None when there is no common one.

    Args:
        wanted: ``AUTO`` or one mechanism.
        offered: Upper-case mechanism names of the server's EHLO reply.
    """
    candidates = PREFERENCE if wanted is Auth.AUTO else (wanted,)
    return next((each for each in candidates if each.value.upper() in offered), None)


def initial_response(mechanism: Auth, user: str, password: str) -> bytes | None:
    """What goes with the AUTH command itself; None where the server speaks first."""
    return plain(user, password) if mechanism is Auth.PLAIN else None


def plain(user: str, password: str) -> bytes:
    """The one message of PLAIN (RFC 4616 section 2): nobody to act for, user, password."""
    return b"\0" + user.encode() + b"\0" + password.encode()


def answer(mechanism: Auth, user: str, password: str, challenge: bytes, turn: int) -> bytes:
    """The response to a decoded challenge.

    Args:
        turn: 0 for the server's first challenge; an initial response counts as its answer.

    Raises:
        ValueError: The mechanism has nothing left to say, or cannot be computed here.
    """
    if mechanism is Auth.PLAIN and turn == 0:
        return plain(user, password)
    if mechanism is Auth.LOGIN and turn < 2:
        # Servers word the two challenges as they like; their order is all one can rely on.
        return (user, password)[turn].encode()
    if mechanism is Auth.CRAM_MD5 and turn == 0:
        import hmac

        return (
            user.encode()
            + b" "
            + hmac.new(password.encode(), challenge, "md5").hexdigest().encode()
        )
    raise ValueError("the server asks for more than the mechanism has")
