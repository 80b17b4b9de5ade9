"""Network errors as a user reads them, the name in EHLO, and the order of a host's addresses."""

import errno
import socket
import ssl

import pytest

from chainloop_smtp.delivery.dialing import (
    Activity,
    Deadline,
    Rotation,
    UnreachableError,
    network_error,
    own_name,
)
from chainloop_smtp.errors import DeliveryError, Problem

WHERE, HOST = "mail.example.test:587", "mail.example.test"
LOOKUP, CONNECTING, READING = Activity.LOOKUP, Activity.CONNECTING, Activity.READING
HANDSHAKE, GREETING = Activity.HANDSHAKE, Activity.GREETING
CLEAR = "For a port that starts without TLS, such as 587, set tls: starttls."
CLIENT = "The server may want a client certificate: tls-client-cert."
VERSION = "The server must support TLS 1.2 or newer."
SLOW = "The server answered before, so the port is right. For a slow one, raise timeout."
PORT = "Is the port right and open from here? Hosted runners cannot reach port 25."
RENEW = "Its operator must renew it, unless this machine's clock is wrong."
NAME = (
    "The certificate must name mail.example.test as a subject alternative name; its common name "
    "does not count. Set host to a name that it has, or have a new certificate issued."
)
AUTHORITY = (
    "Set tls-ca-file to your private CA's PEM file, or tls-fingerprint to this certificate's "
    "SHA-256."
)


def said(
    during: Activity, error: OSError | UnicodeError
) -> tuple[str, str, bool, type[DeliveryError]]:
    """Cause, hint, whether trying again may help, and the kind of error."""
    made = network_error(WHERE, HOST, during, error)
    (problem,) = made.problems
    assert problem == Problem(WHERE, problem.why, problem.hint)
    return problem.why, problem.hint, made.is_temporary, type(made)


def openssl(reason: str | None) -> ssl.SSLError:
    error = ssl.SSLError(1, "in OpenSSL's own words")
    error.reason = reason  # type: ignore[assignment]
    return error


def untrusted(code: int, message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "in OpenSSL's own words")
    error.reason = "CERTIFICATE_VERIFY_FAILED"
    error.verify_code, error.verify_message = code, message
    return error


@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        (9, "certificate is not yet valid", RENEW),
        (10, "certificate has expired", RENEW),
        (18, "self-signed certificate", AUTHORITY),
        (20, "unable to get local issuer certificate", AUTHORITY),
        (62, "Hostname mismatch, certificate is not valid for 'x'.", NAME),
        (64, "IP address mismatch, certificate is not valid for 'x'.", NAME),
    ],
)
def test_a_certificate_that_is_not_trusted(code: int, message: str, hint: str) -> None:
    why = f"the server's certificate is not trusted: {message.rstrip('.')}"
    assert said(HANDSHAKE, untrusted(code, message)) == (why, hint, False, DeliveryError)


@pytest.mark.parametrize(
    ("reason", "words", "hint"),
    [
        ("WRONG_VERSION_NUMBER", "wrong version number", CLEAR),
        ("RECORD_LAYER_FAILURE", "record layer failure", CLEAR),
        ("PACKET_LENGTH_TOO_LONG", "packet length too long", CLEAR),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "sslv3 alert handshake failure", CLIENT),
        ("TLSV1_ALERT_PROTOCOL_VERSION", "tlsv1 alert protocol version", VERSION),
        ("UNSUPPORTED_PROTOCOL", "unsupported protocol", VERSION),
        ("NO_CIPHERS_AVAILABLE", "no ciphers available", ""),
        (None, "unknown", ""),
    ],
)
def test_a_handshake_that_fails_is_not_tried_again(
    reason: str | None, words: str, hint: str
) -> None:
    why = f"TLS failed during TLS handshake: {words}"
    assert said(HANDSHAKE, openssl(reason)) == (why, hint, False, DeliveryError)


@pytest.mark.parametrize(
    ("reason", "words", "hint", "is_temporary"),
    [
        ("BAD_RECORD_TYPE", "bad record type", "", True),
        (None, "unknown", "", True),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "tlsv13 alert certificate required", CLIENT, False),
        ("tlsv1 bad certificate", "tlsv1 bad certificate", "", False),
    ],
)
def test_tls_that_fails_later_is_tried_again_unless_it_is_about_our_certificate(
    reason: str | None, words: str, hint: str, is_temporary: bool
) -> None:
    why = f"TLS failed during waiting for a reply: {words}"
    assert said(READING, openssl(reason)) == (why, hint, is_temporary, DeliveryError)


@pytest.mark.parametrize("kind", [ssl.SSLEOFError, ssl.SSLZeroReturnError])
@pytest.mark.parametrize("during", [HANDSHAKE, READING])
def test_tls_that_just_ends_is_tried_again(kind: type[ssl.SSLError], during: Activity) -> None:
    why = f"the server closed the connection, {during}"
    assert said(during, kind(8, "EOF occurred")) == (why, "", True, DeliveryError)


@pytest.mark.parametrize(
    ("during", "hint"),
    [
        (CONNECTING, PORT),
        (READING, SLOW),
        (HANDSHAKE, "For a slow server, raise timeout."),
        (
            GREETING,
            f"{PORT} For a port that starts with TLS, such as 465, set tls: implicit.",
        ),
    ],
)
def test_silence_says_what_was_waited_for(during: Activity, hint: str) -> None:
    why = f"no answer in time, {during}"
    assert said(during, TimeoutError()) == (why, hint, True, DeliveryError)


@pytest.mark.parametrize(
    ("error", "is_temporary", "kind"),
    [
        (socket.gaierror(socket.EAI_AGAIN, "later"), True, UnreachableError),
        (socket.gaierror(socket.EAI_NONAME, "nobody"), False, UnreachableError),
        (UnicodeError("label too long"), False, DeliveryError),
    ],
)
def test_a_name_without_an_address(
    error: OSError | UnicodeError, is_temporary: bool, kind: type[DeliveryError]
) -> None:
    why, hint = "the host name cannot be resolved", "Check the spelling of host."
    assert said(LOOKUP, error) == (why, hint, is_temporary, kind)


def test_a_port_where_nobody_listens() -> None:
    error = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
    why, hint = "the connection was refused", "Is the port right? Usual: 587, 465."
    assert said(CONNECTING, error) == (why, hint, True, UnreachableError)


@pytest.mark.parametrize(
    ("during", "number", "kind"),
    [
        (CONNECTING, errno.ENETUNREACH, UnreachableError),
        (CONNECTING, errno.EHOSTUNREACH, UnreachableError),
        (CONNECTING, errno.EADDRNOTAVAIL, UnreachableError),
        (CONNECTING, errno.ECONNRESET, DeliveryError),
        # A server that was there before.
        (READING, errno.EHOSTUNREACH, DeliveryError),
    ],
)
def test_what_else_the_network_says(
    during: Activity, number: int, kind: type[DeliveryError]
) -> None:
    why = f"the connection failed, {during}: some reason"
    assert said(during, OSError(number, "some reason")) == (why, "", True, kind)


def test_an_error_without_a_number_is_told_as_it_is() -> None:
    assert said(CONNECTING, OSError("it has no address"))[0] == (
        "the connection failed, connecting: it has no address"
    )


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("runner.example.com", "runner.example.com"),
        ("fv-az123-4.internal.cloudapp.net", "fv-az123-4.internal.cloudapp.net"),
        ("example.com", "example.com"),
        ("RUNNER.Example.COM", "RUNNER.Example.COM"),
        ("a" * 63 + ".example.com", "a" * 63 + ".example.com"),
        ("runner-.example.com", "[192.0.2.7]"),
        ("a.b.MYDOMAIN.LOCAL", "[192.0.2.7]"),
        ("com", "[192.0.2.7]"),
        ("local.example.com", "local.example.com"),
        ("7.example.com", "7.example.com"),
        ("localhost", "[192.0.2.7]"),
        ("localhost.localdomain", "[192.0.2.7]"),
        ("Mac-1234.local", "[192.0.2.7]"),
        ("runner", "[192.0.2.7]"),
        ("", "[192.0.2.7]"),
        ("10.0.0.1", "[192.0.2.7]"),
        ("runner.7", "[192.0.2.7]"),
        ("runner.7.com", "runner.7.com"),
        ("host.docker.internal", "[192.0.2.7]"),
        ("build.corp", "[192.0.2.7]"),
        ("runner.example.com.", "[192.0.2.7]"),
        ("x." * 126 + "xx", "[192.0.2.7]"),
        ("x." * 126 + "x", "x." * 126 + "x"),
        ("run_ner.example.com", "[192.0.2.7]"),
        ("-runner.example.com", "[192.0.2.7]"),
        ("runner..example.com", "[192.0.2.7]"),
        ("rünner.example.com", "[192.0.2.7]"),
        ("a" * 64 + ".example.com", "[192.0.2.7]"),
        ("runner.example.com\r\nQUIT", "[192.0.2.7]"),
    ],
)
def test_a_machine_calls_itself_by_what_others_may_know(name: str, called: str) -> None:
    assert own_name(name, "192.0.2.7") == called


# RFC 2606, RFC 6761, RFC 6762, RFC 8375, ICANN's .internal, and what networks at home are called.
@pytest.mark.parametrize(
    "domain",
    [
        "arpa",
        "corp",
        "example",
        "home",
        "internal",
        "intranet",
        "invalid",
        "lan",
        "local",
        "localdomain",
        "localhost",
        "private",
        "test",
        "workgroup",
    ],
)
def test_a_name_that_nobody_else_can_look_up_is_none(domain: str) -> None:
    assert own_name(f"runner.{domain}", "192.0.2.7") == "[192.0.2.7]"


def test_an_ipv6_literal_says_so() -> None:
    assert own_name("runner", "2001:db8::7") == "[IPv6:2001:db8::7]"


def test_the_latest_failure_comes_last() -> None:
    rotation = Rotation()
    assert rotation.ordered("abc") == ["a", "b", "c"]
    rotation.record_failure("b", is_temporary=True)
    rotation.record_failure("a", is_temporary=False)
    assert rotation.ordered("abc") == ["c", "b", "a"]
    assert (rotation.has_untried, rotation.is_hopeful) == (True, True)
    rotation.record_failure("b", is_temporary=False)
    assert rotation.ordered("abc") == ["c", "a", "b"]
    rotation.record_failure("c", is_temporary=True)
    assert (rotation.has_untried, rotation.is_hopeful) == (False, True)
    rotation.record_failure("c", is_temporary=False)
    assert (rotation.has_untried, rotation.is_hopeful) == (False, False)
    # The next look-up finds another one.
    assert rotation.ordered("ad") == ["d", "a"]
    assert (rotation.has_untried, rotation.is_hopeful) == (True, True)


def test_a_step_takes_its_timeout_at_most_and_no_more_than_is_left() -> None:
    now = [100.0]
    deadline = Deadline(20, 8, WHERE, lambda: now[0])
    assert (deadline.step(), deadline.left, deadline.spent) == (8, 20, 0)
    assert deadline.step(deadline.after(3)) == 3
    now[0] += 15
    assert (deadline.step(), deadline.left, deadline.spent) == (5, 5, 15)
    assert deadline.step(deadline.after(6)) == 5
    deadline.shorten(9)
    assert deadline.left == 5
    deadline.shorten(2)
    assert deadline.left == 2
    now[0] += 2
    with pytest.raises(DeliveryError) as caught:
        deadline.step()
    assert caught.value.is_temporary
    assert caught.value.problems == (
        Problem(
            WHERE,
            "the deadline of 20 seconds has passed",
            "The server is slow or silent; if it is known to be slow, raise deadline.",
        ),
    )
