"""Logging in at a server that checks what it is told, and at one that cheats."""

import json
import re
from base64 import b64encode

import pytest

from chainloop_smtp.model.mail import Delivery
from chainloop_smtp.model.settings import Auth, Tls, Transport
from smtpserver import (
    Certificates,
    Mailboxes,
    Scripted,
    Step,
    Then,
    changed,
    ehlo,
    outward_address,
    script,
    until,
)
from submission import a_mail, refusal_of, registration, send_one

USER, PASSWORD = "ci@example.test", "pä$$wörd 漢字"
TOKEN = "eyJ0eXAiOiJKV1QiLCJub25jZSI6.t0ken-_" * 40

WRONG_PASSWORD = (
    "Check user (often the full address) and password; many providers want an app password or an "
    "API key here instead of the account's own password."
)
WRONG_TOKEN = (
    "The token is not for the mailbox in user, or its scope does not allow SMTP: check user and "
    "oauth2-scope."
)
ASKS_FOR_MORE = "the server asks for more steps than the mechanism has"


def submit(
    server: Mailboxes | Scripted,
    *,
    user: str = USER,
    password: str = PASSWORD,
    host: str = "127.0.0.1",
    tls: Certificates | None = None,
    auth: Auth = Auth.AUTO,
    has_token: bool = False,
) -> Delivery:
    way = registration(server, host=host, user=user, password=password)
    transport = Transport(
        tls=Tls.STARTTLS if tls else Tls.NONE,
        tls_ca_file=str(tls.ca_file) if tls else "",
        auth=auth,
        has_token=has_token,
        timeout=5,
        deadline=10,
    )
    return send_one(a_mail(), way, transport, attempts=1)


# --- a server that checks ----------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
@pytest.mark.parametrize("token", [TOKEN, "short"], ids=["long", "short"])
@pytest.mark.parametrize("user", [USER, "a=b,c@example.test"])
def test_a_token_logs_in(tls: Certificates, mechanism: str, token: str, user: str) -> None:
    with Mailboxes(
        tls=tls.server,
        mechanisms=("PLAIN", "LOGIN", mechanism),
        accounts={user: token},
        extensions=(),
    ).running() as server:
        result = submit(server, user=user, password=token, tls=tls, has_token=True)

    assert server.logins == [(mechanism, user)]
    assert result.mechanism == mechanism
    assert len(server.mails) == 1


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_a_refused_token_is_told_with_what_the_server_says_of_it(
    tls: Certificates, mechanism: str
) -> None:
    with Mailboxes(
        tls=tls.server, mechanisms=(mechanism,), accounts={USER: "another"}, extensions=()
    ).running() as server:
        said = refusal_of(lambda: submit(server, password=TOKEN, tls=tls, has_token=True))

    told = "(status 401, scope https://mail.example.test/): 535 5.7.8"
    assert said == (
        f"127.0.0.1:{server.port}: the server refused the login of {USER} {told} Authentication "
        f"credentials invalid\n  {WRONG_TOKEN}"
    )
    assert server.mails == []


def test_a_token_is_shown_to_no_mechanism_for_passwords() -> None:
    with Scripted(until(script(auth="PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256"), "ehlo")) as server:
        said = refusal_of(lambda: submit(server, password=TOKEN, has_token=True))

    assert said == (
        f"127.0.0.1:{server.port}: no common authentication mechanism: the server offers PLAIN "
        "LOGIN CRAM-MD5 "
        "SCRAM-SHA-256, auth is auto\n"
        "  Set auth to one of the mechanisms that the server offers."
    )
    assert b"AUTH" not in server.received


def test_a_token_of_ones_own_is_a_password_for_xoauth2(tls: Certificates) -> None:
    with Mailboxes(
        tls=tls.server, mechanisms=("PLAIN", "XOAUTH2"), accounts={USER: TOKEN}, extensions=()
    ).running() as server:
        submit(server, password=TOKEN, tls=tls, auth=Auth.XOAUTH2)

    assert server.logins == [("XOAUTH2", USER)]


@pytest.mark.parametrize(
    ("user", "password"),
    [(USER, "secret"), (USER, PASSWORD), ("a=b,c", "x" * 1000), ("käse", "non\u00a0breaking")],
    ids=["ascii", "utf-8", "a name to escape", "what SASLprep maps"],
)
def test_scram_logs_in_and_lets_the_server_prove_itself(
    tls: Certificates, user: str, password: str
) -> None:
    with Mailboxes(
        tls=tls.server, mechanisms=("SCRAM-SHA-256", "LOGIN"), accounts={user: password}
    ).running() as server:
        result = submit(server, user=user, password=password, tls=tls)

    assert server.logins == [("SCRAM-SHA-256", user)]
    assert result.mechanism == "SCRAM-SHA-256"


def test_a_wrong_password_is_told_by_scram(tls: Certificates) -> None:
    with Mailboxes(
        tls=tls.server, mechanisms=("SCRAM-SHA-256",), accounts={USER: "another"}
    ).running() as server:
        said = refusal_of(lambda: submit(server, tls=tls))

    assert said == (
        f"127.0.0.1:{server.port}: the server refused the login of {USER}: 535 5.7.8 "
        f"Authentication credentials invalid\n  {WRONG_PASSWORD}"
    )
    assert server.mails == []


# --- one that asks again for what it has -------------------------------------------------------


def _initial(mechanism: str, user: str, secret: str, port: int) -> bytes:
    """What the client says first, in base64."""
    said = {
        "PLAIN": f"\0{user}\0{secret}",
        "XOAUTH2": f"user={user}\1auth=Bearer {secret}\1\1",
        "OAUTHBEARER": f"n,a={user},\1host=127.0.0.1\1port={port}\1auth=Bearer {secret}\1\1",
    }
    return b64encode(said[mechanism].encode())


@pytest.mark.parametrize("challenge", [b"334 \r\n", b"334\r\n", b"334-\r\n334 \r\n"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "XOAUTH2", "OAUTHBEARER"])
def test_an_empty_challenge_gets_the_initial_response_again(
    mechanism: str, challenge: bytes
) -> None:
    """RFC 4954 section 4: the server did not look at the one in the command."""
    whole = script(auth="PLAIN", extensions=())
    steps = until(whole, "greeting")
    steps["ehlo"] = Step(expect="EHLO .+", reply=ehlo(f"AUTH {mechanism}"))
    steps["auth"] = Step(expect=f"AUTH {mechanism} .+", reply=challenge)
    steps["again"] = Step(expect=".+", reply=b"235 2.7.0 welcome\r\n")
    names = list(whole)
    steps |= {name: whole[name] for name in names[names.index("mail") :]}
    with Scripted(steps) as server:
        result = submit(server, password="secret", has_token=mechanism != "PLAIN")

    assert result.accepted == ("to@example.test",)
    assert result.mechanism == mechanism
    initial = _initial(mechanism, USER, "secret", server.port)
    assert server.groups[1:3] == [
        b"AUTH %s %s\r\n" % (mechanism.encode(), initial),
        initial + b"\r\n",
    ]


def test_scram_gives_its_first_message_again_and_goes_on(tls: Certificates) -> None:
    with Mailboxes(
        tls=tls.server,
        mechanisms=("SCRAM-SHA-256",),
        accounts={USER: PASSWORD},
        asks_again=True,
    ).running() as server:
        result = submit(server, tls=tls)

    assert server.logins == [("SCRAM-SHA-256", USER)]
    assert result.mechanism == "SCRAM-SHA-256"


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_the_reason_for_a_refused_token_may_come_after_an_empty_challenge(mechanism: str) -> None:
    reason = b64encode(b'{"status": "401", "scope": "mail"}')
    steps = until(script(auth="PLAIN"), "greeting")
    steps["ehlo"] = Step(expect="EHLO .+", reply=ehlo(f"AUTH {mechanism}"))
    steps["auth"] = Step(expect=f"AUTH {mechanism} .+", reply=b"334 \r\n")
    steps["again"] = Step(expect=".+", reply=b"334 " + reason + b"\r\n")
    steps["dummy"] = Step(expect=".*", reply=b"535 5.7.8 no\r\n", then=Then.SILENCE)
    with Scripted(steps) as server:
        said = refusal_of(lambda: submit(server, password="secret", has_token=True))

    initial = _initial(mechanism, USER, "secret", server.port)
    dummy = {"XOAUTH2": b"", "OAUTHBEARER": b64encode(b"\1")}[mechanism]
    assert server.groups[2:4] == [initial + b"\r\n", dummy + b"\r\n"]
    assert said == (
        f"127.0.0.1:{server.port}: the server refused the login of {USER} "
        f"(status 401, scope mail): 535 5.7.8 no\n  {WRONG_TOKEN}"
    )


@pytest.mark.parametrize(
    ("challenges", "answers", "why"),
    [
        ((b"334 \r\n", b"334 \r\n"), (b"<initial>", b"*"), ASKS_FOR_MORE),
        ((b"334 VXNlcg==\r\n",), (b"*",), ASKS_FOR_MORE),
        # As Python's own decoder says it.
        ((b"334 ???\r\n",), (b"*",), "Only base64 data is allowed"),
    ],
    ids=["empty twice", "not empty", "not base64"],
)
def test_plain_says_its_response_again_once_and_to_an_empty_challenge_only(
    challenges: tuple[bytes, ...], answers: tuple[bytes, ...], why: str
) -> None:
    steps = until(script(auth="PLAIN", extensions=()), "ehlo")
    expected = ["AUTH PLAIN .+", *[".+"] * (len(challenges) - 1)]
    for number, (expect, challenge) in enumerate(zip(expected, challenges, strict=True)):
        steps[f"auth {number}"] = Step(expect=expect, reply=challenge)
    steps["end"] = Step(expect=r"\*", reply=b"501 5.7.0 cancelled\r\n", then=Then.SILENCE)
    with Scripted(steps) as server:
        said = refusal_of(lambda: submit(server, password="secret"))

    initial = _initial("PLAIN", USER, "secret", server.port)
    assert [group.strip().replace(initial, b"<initial>") for group in server.groups[2:]] == [
        *answers
    ]
    assert server.failure == ""
    assert said == f"127.0.0.1:{server.port}: PLAIN failed: {why}"


def test_what_is_said_again_is_blotted_out_of_what_the_server_makes_of_it() -> None:
    initial = _initial("PLAIN", USER, "correct horse", 0)
    steps = until(script(auth="PLAIN", extensions=()), "ehlo")
    steps["auth"] = Step(expect="AUTH PLAIN .+", reply=b"334 \r\n")
    steps["again"] = Step(
        expect=".+", reply=b"535 5.7.8 bad " + initial + b"\r\n", then=Then.SILENCE
    )
    with Scripted(steps) as server:
        said = refusal_of(lambda: submit(server, password="correct horse"))

    assert said == (
        f"127.0.0.1:{server.port}: the server refused the login of {USER}: 535 5.7.8 bad ***\n"
        f"  {WRONG_PASSWORD}"
    )


# --- one that cheats ---------------------------------------------------------------------------


def test_a_scram_server_that_proves_nothing_gets_no_mail() -> None:
    steps = changed(script(auth="PLAIN"), ehlo=Step(reply=ehlo("AUTH SCRAM-SHA-256")))
    steps = until(steps, "ehlo")
    steps["auth"] = Step(
        expect="AUTH SCRAM-SHA-256 .+", reply=b"235 welcome\r\n", then=Then.SILENCE
    )
    with Scripted(steps) as server:
        said = refusal_of(lambda: submit(server))

    assert said == (
        f"127.0.0.1:{server.port}: SCRAM-SHA-256 failed: the server has not proved that it knows "
        "the password\n  This may not be the server you expect."
    )
    assert b"MAIL" not in server.received


def test_a_password_that_saslprep_forbids_is_told_before_anything_of_it_is_sent() -> None:
    with Scripted(until(script(auth="SCRAM-SHA-256"), "ehlo")) as server:
        said = refusal_of(lambda: submit(server, password="bell\x07"))

    assert said == (
        f"127.0.0.1:{server.port}: SCRAM-SHA-256 failed: user or password contains characters "
        "that SASLprep (RFC 4013) forbids"
    )
    assert b"AUTH" not in server.received


@pytest.mark.parametrize("host", [outward_address(), "0.0.0.0"])
def test_without_tls_no_token_leaves_loopback(host: str) -> None:
    with Scripted(until(script(auth="XOAUTH2"), "ehlo"), host=host) as server:
        said = refusal_of(lambda: submit(server, host=host, password=TOKEN, has_token=True))

    assert said == (
        f"{host}:{server.port}: the password was not sent, because the connection has no TLS\n"
        "  Use tls: auto, or auth: none for a relay that needs no login."
    )
    assert b"AUTH" not in server.received


@pytest.mark.parametrize(
    ("auth", "reply", "told"),
    [
        (
            Auth.XOAUTH2,
            b"454 4.7.0 later\r\n",
            "the server cannot check the token now: 454 4.7.0 later\n"
            "  The server cannot check user and password at the moment: raise deadline so that it "
            "is tried again, or run the job later.",
        ),
        (
            Auth.PLAIN,
            b"432 4.3.2 later\r\n",
            "the server cannot check the password now: 432 4.3.2 later\n"
            "  The server has to convert the stored password first: log in once with auth: plain.",
        ),
    ],
)
def test_a_temporary_failure_is_not_answered_by_another_mechanism(
    auth: Auth, reply: bytes, told: str
) -> None:
    steps = until(script(auth="PLAIN"), "greeting")
    offer = "AUTH XOAUTH2 OAUTHBEARER PLAIN LOGIN CRAM-MD5"
    steps["ehlo"] = Step(expect="EHLO .+", reply=ehlo(offer))
    steps["auth"] = Step(expect=f"AUTH {auth.value.upper()} .+", reply=reply)
    with Scripted(steps) as server:
        said = refusal_of(lambda: submit(server, password="t0ken", has_token=auth is Auth.XOAUTH2))

    assert said == f"127.0.0.1:{server.port}: {told}"
    assert len(re.findall(rb"^AUTH ", server.received, re.MULTILINE)) == 1
    assert b"MAIL" not in server.received


def test_what_an_oauth_server_says_of_a_token_cannot_show_it() -> None:
    complaint = json.dumps({"status": f"bad {TOKEN}\x1b[2J", "scope": "s" * 1000})
    steps = until(script(auth="XOAUTH2"), "ehlo")
    steps["auth"] = Step(expect="AUTH XOAUTH2", reply=b"334 \r\n")
    steps["token"] = Step(
        expect="[A-Za-z0-9+/=]+", reply=b"334 " + b64encode(complaint.encode()) + b"\r\n"
    )
    steps["dummy"] = Step(expect="", reply=b"")
    steps["end"] = Step(expect=r"", reply=b"535 5.7.8 no\r\n", then=Then.SILENCE)
    with Scripted(steps) as server:
        said = refusal_of(lambda: submit(server, password=TOKEN, has_token=True))

    assert said == (
        f"127.0.0.1:{server.port}: the server refused the login of {USER} (status bad *** [2J, "
        f"scope {'s' * 174}): 535 5.7.8 no\n  {WRONG_TOKEN}"
    )


@pytest.mark.parametrize(
    ("mechanism", "challenge"),
    [("CRAM-MD5", b64encode(b"<1@host>")), ("LOGIN", b64encode(b"Username:"))],
)
def test_what_a_server_echoes_of_a_response_is_blotted_out(
    mechanism: str, challenge: bytes
) -> None:
    """An HMAC of the password is enough to guess it by."""
    steps = until(script(auth=mechanism), "ehlo")
    steps["auth"] = Step(expect=f"AUTH {mechanism}", reply=b"334 " + challenge + b"\r\n")
    seen: list[bytes] = []

    class Echoing(Scripted):
        def _say(self, connection: object, step: Step) -> None:
            if step.reply == b"echo":
                seen.append(self.groups[-1].strip())
                step = Step(reply=b"535 5.7.8 you said " + seen[-1] + b"\r\n")
            super()._say(connection, step)  # type: ignore[arg-type]

    if mechanism == "LOGIN":
        steps["user"] = Step(expect=".+", reply=b"334 " + challenge + b"\r\n")
    steps["response"] = Step(expect=".+", reply=b"echo", then=Then.SILENCE)
    with Echoing(steps) as server:
        said = refusal_of(lambda: submit(server))

    assert len(seen) == 1
    assert said == (
        f"127.0.0.1:{server.port}: the server refused the login of {USER}: 535 5.7.8 you said ***\n"
        f"  {WRONG_PASSWORD}"
    )
