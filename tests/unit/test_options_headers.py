"""``headers``: what a user may add to the head of a mail, and what not."""

import pytest

from chainloop_smtp.errors import OptionsError
from chainloop_smtp.model.settings import Header
from chainloop_smtp.options import parse

INPUTS = {
    "host": "smtp.example.com",
    "port": "587",
    "user": "jane",
    "password": "secret",
    "from": "ci@example.com",
    "to": "security@example.com",
}


REFUSALS = {
    *(
        f"has an input of its own\n  Write it as the input {name}."
        for name in ("from", "to", "cc", "bcc", "reply-to", "envelope-from", "subject", "thread")
    ),
    *(
        f"{why}\n  Leave it out."
        for why in (
            "is written by this program",
            "belongs to the mail servers",
            "belongs to the mail's MIME structure",
            "belongs to whoever sends a mail on",
            "belongs to the servers that sign the mail",
        )
    ),
}


def parsed(text: str) -> tuple[Header, ...]:
    return parse(INPUTS | {"headers": text}).composition.headers


def problems(text: str) -> list[str]:
    with pytest.raises(OptionsError) as caught:
        parsed(text)
    assert all(problem.where == "headers" for problem in caught.value.problems)
    return [str(problem) for problem in caught.value.problems]


def test_what_providers_ask_for_is_taken_as_it_is() -> None:
    given = """
      X-PM-Message-Stream: reports
      X-SES-CONFIGURATION-SET:evidence

      X-SES-MESSAGE-TAGS: team=platform, kind=attestation
      X-SMTPAPI: {"category": ["chainloop", "a:b"]}
      X-Team: Plattform für Lieferketten
      Feedback-ID: run:chainloop
    """
    assert parsed(given) == (
        Header(name="X-PM-Message-Stream", value="reports"),
        Header(name="X-SES-CONFIGURATION-SET", value="evidence"),
        Header(name="X-SES-MESSAGE-TAGS", value="team=platform, kind=attestation"),
        Header(name="X-SMTPAPI", value='{"category": ["chainloop", "a:b"]}'),
        Header(name="X-Team", value="Plattform für Lieferketten"),
        Header(name="Feedback-ID", value="run:chainloop"),
    )
    assert parsed("") == ()
    assert parsed(" X-Y\t: a \t b \r\n") == (Header(name="X-Y", value="a b"),)
    assert parsed(f"{'X' * 76}: a") == (Header(name="X" * 76, value="a"),)
    assert parsed(f"X-Y: {'a' * 993}") == (Header(name="X-Y", value="a" * 993),)


@pytest.mark.parametrize(
    "name",
    [
        *("From", "To", "Cc", "Bcc", "Date", "Subject", "Message-ID", "References"),
        *("In-Reply-To", "Reply-To", "Sender", "Return-Path", "Received", "Delivered-To"),
        *("MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Resent-To"),
        *("DKIM-Signature", "ARC-Seal", "Authentication-Results", "List-Id"),
        *("Auto-Submitted", "X-Auto-Response-Suppress", "Importance", "X-Priority"),
        *("X-Chainloop-Outcome", "x-chainloop-anything"),
    ],
)
def test_what_the_protocol_or_we_own_is_refused_by_name(name: str) -> None:
    said = {
        problem.removeprefix(f"headers: {spelling} ")
        for spelling in (name, name.lower(), name.upper())
        for problem in problems(f"{spelling}: x")
    }
    assert len(said & REFUSALS) == len(said) == 1


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("no colon", "headers: 'no colon' is not a header's name"),
        (": value", "headers: '' is not a header's name"),
        ("X Y: z", "headers: 'X Y' is not a header's name"),
        ("Übung: z", "headers: 'Übung' is not a header's name"),
        ("X-Y:", "headers: X-Y has no value"),
        ("X-Y: a\rBcc: b@c.d", "headers: X-Y holds a control character"),
        ("X-Y: a\x00b", "headers: X-Y holds a control character"),
        ("X-Y: a\u2028b", "headers: X-Y holds a control character"),
        ("X-Y: \ud800", "headers: X-Y holds a control character"),
        (f"X-Y: {'a' * 994}", "headers: X-Y is longer than the 998 octets of one line"),
        (f"X-Y: {'é' * 500}", "headers: X-Y is longer than the 998 octets of one line"),
        (f"X-{'Y' * 80}: a", f"headers: X-{'Y' * 74} is longer than 76 characters"),
        ("X-Y: a\nx-y: b", "headers: x-y stands there twice"),
    ],
)
def test_what_is_no_header_is_refused(line: str, problem: str) -> None:
    assert [each.partition("\n")[0] for each in problems(line)] == [problem]


def test_every_wrong_line_is_told_at_once() -> None:
    found = problems("Bcc: a@b.c\nnonsense\nX-Y:\nX-Fine: yes\nContent-Type: text/html")

    assert len(found) == 4


def test_a_head_has_an_end() -> None:
    assert len(parsed("\n".join(f"X-{number}: a" for number in range(50)))) == 50
    (problem,) = problems("\n".join(f"X-{number}: a" for number in range(51)))
    assert problem == "headers: 51 header fields are more than 50"
