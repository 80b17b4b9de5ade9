"""Header fields of the user's own, what is attached, and how much of it."""

import pytest

from chainloop_smtp import options
from chainloop_smtp.errors import OptionsError, Problem
from chainloop_smtp.model.settings import Enclosures, Header
from inputs import LOGIN as INPUTS


def enclosures(**inputs: object) -> Enclosures:
    given = INPUTS | {name.replace("_", "-"): value for name, value in inputs.items()}
    return options.parse(given).composition.enclosures


def test_nothing_is_attached_unless_it_is_asked_for() -> None:
    assert enclosures() == Enclosures() == Enclosures(max_size=10_000_000)


def test_two_words_are_our_own_and_every_other_line_is_a_pattern() -> None:
    assert enclosures(attach="report\n\n  dist/*.json \nattestation\ndist/*.json\na b.txt") == (
        Enclosures(has_evidence=True, has_report=True, patterns=("dist/*.json", "a b.txt"))
    )


def test_a_list_is_as_good_as_lines() -> None:
    assert enclosures(attach=["report", "x.json"]) == Enclosures(
        has_report=True, patterns=("x.json",)
    )


@pytest.mark.parametrize(
    ("size", "octets"),
    [
        ("1B", 1),
        ("512 B", 512),
        ("10kB", 10_000),
        ("10KB", 10_000),
        ("10KiB", 10_240),
        ("10MB", 10_000_000),
        ("2.5MB", 2_500_000),
        ("1.005kB", 1005),
        ("10MiB", 10_485_760),
        ("1GB", 1_000_000_000),
        ("0.5GiB", 536_870_912),
    ],
)
def test_a_size_is_a_number_and_a_unit(size: str, octets: int) -> None:
    assert enclosures(attach_max_size=size).max_size == octets


SIZE_HINT = "Write a number and a unit, such as 10MB or 512KiB."


@pytest.mark.parametrize(
    ("size", "why"),
    [
        ("10", "is not a size"),
        ("MB", "is not a size"),
        ("10mb", "is not a size"),
        ("10M", "is not a size"),
        ("10 mB", "is not a size"),
        ("-1MB", "is not a size"),
        ("1.MB", "is not a size"),
        ("1.0001MB", "is not a size"),
        ("10MB\n", None),
        ("0MB", "is not between 1 byte and 1GB"),
        ("0.5B", "is not between 1 byte and 1GB"),
        ("1.1GB", "is not between 1 byte and 1GB"),
        ("999999999999999GiB", "is not between 1 byte and 1GB"),
    ],
)
def test_a_size_is_nothing_else(size: str, why: str | None) -> None:
    if why is None:
        assert enclosures(attach_max_size=size).max_size == 10_000_000
        return
    with pytest.raises(OptionsError) as caught:
        enclosures(attach_max_size=size)
    assert caught.value.problems == (Problem("attach-max-size", f"'{size}' {why}", SIZE_HINT),)


@pytest.mark.parametrize("size", ["1e3kB", ".5MB", "١٠MB"])
def test_what_does_not_look_like_a_size_is_not_repeated(size: str) -> None:
    with pytest.raises(OptionsError) as caught:
        enclosures(attach_max_size=size)
    why = "(not shown: it may be a secret) is not a size"
    assert caught.value.problems == (Problem("attach-max-size", why, SIZE_HINT),)


REFUSALS = {
    *(
        f"has its own input\n  Write it as the input {name}."
        for name in ("from", "to", "cc", "bcc", "reply-to", "envelope-from", "subject", "thread")
    ),
    *(
        f"{why}\n  Leave it out."
        for why in (
            "is written by this program",
            "belongs to the mail servers",
            "belongs to the mail's MIME structure",
            "is set by whoever forwards a mail",
            "belongs to the servers that sign the mail",
        )
    ),
}


def headers(text: str) -> tuple[Header, ...]:
    return options.parse(INPUTS | {"headers": text}).composition.headers


def problems(text: str) -> list[str]:
    with pytest.raises(OptionsError) as caught:
        headers(text)
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
    assert headers(given) == (
        Header(name="X-PM-Message-Stream", value="reports"),
        Header(name="X-SES-CONFIGURATION-SET", value="evidence"),
        Header(name="X-SES-MESSAGE-TAGS", value="team=platform, kind=attestation"),
        Header(name="X-SMTPAPI", value='{"category": ["chainloop", "a:b"]}'),
        Header(name="X-Team", value="Plattform für Lieferketten"),
        Header(name="Feedback-ID", value="run:chainloop"),
    )
    assert headers("") == ()
    assert headers(" X-Y\t: a \t b \r\n") == (Header(name="X-Y", value="a b"),)
    assert headers(f"{'X' * 76}: a") == (Header(name="X" * 76, value="a"),)
    assert headers(f"X-Y: {'a' * 993}") == (Header(name="X-Y", value="a" * 993),)


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
        ("no colon", "headers: 'no colon' is not a header name"),
        (": value", "headers: '' is not a header name"),
        ("X Y: z", "headers: 'X Y' is not a header name"),
        ("Übung: z", "headers: 'Übung' is not a header name"),
        ("X-Y:", "headers: X-Y has no value"),
        ("X-Y: a\rBcc: b@c.d", "headers: X-Y contains a control character"),
        ("X-Y: a\x00b", "headers: X-Y contains a control character"),
        ("X-Y: a\u2028b", "headers: X-Y contains a control character"),
        ("X-Y: \ud800", "headers: X-Y contains a control character"),
        (f"X-Y: {'a' * 994}", "headers: X-Y is longer than the 998 bytes of one line"),
        (f"X-Y: {'é' * 500}", "headers: X-Y is longer than the 998 bytes of one line"),
        (f"X-{'Y' * 80}: a", f"headers: X-{'Y' * 74} is longer than 76 characters"),
        ("X-Y: a\nx-y: b", "headers: x-y is given twice"),
    ],
)
def test_what_is_no_header_is_refused(line: str, problem: str) -> None:
    assert [each.partition("\n")[0] for each in problems(line)] == [problem]


def test_every_wrong_line_is_told_at_once() -> None:
    found = problems("Bcc: a@b.c\nnonsense\nX-Y:\nX-Fine: yes\nContent-Type: text/html")

    assert len(found) == 4


def test_a_head_has_an_end() -> None:
    assert len(headers("\n".join(f"X-{number}: a" for number in range(50)))) == 50
    (problem,) = problems("\n".join(f"X-{number}: a" for number in range(51)))
    assert problem == "headers: 51 header fields are more than 50"
