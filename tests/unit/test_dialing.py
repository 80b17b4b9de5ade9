"""What a machine calls itself in EHLO."""

import pytest

from chainloop_smtp.delivery.dialing import own_name


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("runner.example.com", "runner.example.com"),
        ("fv-az123-4.internal.cloudapp.net", "fv-az123-4.internal.cloudapp.net"),
        ("localhost", "[192.0.2.7]"),
        ("localhost.localdomain", "[192.0.2.7]"),
        ("Mac-1234.local", "[192.0.2.7]"),
        ("runner", "[192.0.2.7]"),
        ("", "[192.0.2.7]"),
        ("10.0.0.1", "[192.0.2.7]"),
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


def test_an_ipv6_literal_says_so() -> None:
    assert own_name("runner", "2001:db8::7") == "[IPv6:2001:db8::7]"
