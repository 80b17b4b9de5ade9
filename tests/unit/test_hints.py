"""hints.toml: what a server's reply means to somebody who mails from a workflow."""

import re
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from itertools import product
from typing import Any

import pytest

import chainloop_smtp.delivery
from chainloop_smtp import options
from chainloop_smtp.delivery.hints import Credential, Phase, advise, provider
from chainloop_smtp.model.mail import Reply
from hintsamples import SAMPLES, Sample

TABLE: dict[str, Any] = tomllib.loads(
    files(chainloop_smtp.delivery).joinpath("hints.toml").read_text("utf-8")
)
RULES: list[dict[str, Any]] = TABLE["rule"]
NAMES = {each["name"] for each in TABLE["provider"]}
# These two are English words as well: they count where they stand for the input.
AMBIGUOUS = {"from", "to"}
INPUTS = {each.name for each in options.INPUTS} - AMBIGUOUS


def advice(
    host: str, phase: str, code: int, enhanced: str = "", text: str = "", login: str = "password"
) -> tuple[str, bool]:
    reply = Reply(code=code, enhanced=enhanced, text=text)
    return advise(host, Phase(phase), reply, Credential(login))


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_no_other_rule_takes_a_rules_own_sample(sample: Sample) -> None:
    reply = Reply(code=sample.code, enhanced=sample.enhanced, text=sample.text)
    hint, is_temporary = advise(sample.host, Phase(sample.at), reply, Credential(sample.login))
    assert hint == sample.hint
    assert is_temporary is sample.is_temporary


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_the_order_of_the_rules_does_not_matter(
    sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    turned = {**TABLE, "rule": RULES[::-1]}
    monkeypatch.setattr("chainloop_smtp.delivery.hints._table", lambda: turned)
    reply = Reply(code=sample.code, enhanced=sample.enhanced, text=sample.text)
    hint, _ = advise(sample.host, Phase(sample.at), reply, Credential(sample.login))
    assert hint == sample.hint


def test_every_rule_is_written_as_the_file_says() -> None:
    keys = {"provider", "phases", "codes", "enhanced", "words", "one-of", "login", "retry"}
    for rule in RULES:
        assert rule.keys() - keys == {"hint", "seen"}, rule["hint"]
        assert rule["seen"], rule["hint"]
        assert rule.get("provider", "Zoho") in NAMES
        assert set(rule.get("phases", ())) <= set(Phase)
        assert rule.get("login", "none") in list(Credential)
        assert all(200 < code < 600 for code in rule.get("codes", ()))
        assert all(re.fullmatch(r"[45x](\.\d+){1,2}", each) for each in rule.get("enhanced", ()))
        assert all(each == each.lower() for each in _words(rule))


def _words(rule: dict[str, Any]) -> Iterator[str]:
    yield from rule.get("words", ())
    yield from rule.get("one-of", ())


@pytest.mark.parametrize("hint", sorted({rule["hint"] for rule in RULES}), ids=lambda it: it[:50])
def test_every_hint_names_the_input_or_the_page_to_change(hint: str) -> None:
    named = set(re.findall(r"[a-z0-9]+(?:-[a-z0-9]+)*", hint)) & INPUTS
    names_the_sender = re.search(r"\b(in|check|of) from\b", hint)
    names_recipients = re.search(r"\b(in|of) to\b", hint)
    names_a_page = re.search(r"\S > \S|resend\.com/domains|mail\.zoho\.com/", hint)
    assert named or names_the_sender or names_recipients or names_a_page
    assert hint.endswith(".")
    assert "  " not in hint


@pytest.mark.parametrize("host", ["mx.example.com", *(each["host"] for each in TABLE["provider"])])
def test_a_reply_that_nobody_knows_has_a_hint_and_the_meaning_of_its_first_digit(
    host: str,
) -> None:
    codes = (400, 421, 450, 454, 500, 502, 550, 554, 571, 599)
    for phase, login, code in product(Phase, Credential, codes):
        hint, is_temporary = advise(host, phase, Reply(code=code, text="xyzzy"), login)
        assert hint
        # Google's relay says 421 to a machine that it does not know.
        is_unknown = (host, phase) == ("smtp.gmail.com", Phase.EHLO)
        assert is_temporary is (code < 500 and not is_unknown)


@pytest.mark.parametrize("phase", [Phase.MAIL, Phase.RCPT, Phase.DATA])
def test_every_subject_of_an_enhanced_code_has_a_hint(phase: Phase) -> None:
    for subject, kind in product(range(1, 8), (4, 5)):
        reply = Reply(code=kind * 100 + 51, enhanced=f"{kind}.{subject}.99", text="xyzzy")
        hint, _ = advise("mx.example.com", phase, reply, Credential.PASSWORD)
        (rule, *_) = [each for each in RULES if each["hint"] == hint]
        assert rule["enhanced"] == [f"x.{subject}"]


@pytest.mark.parametrize(
    ("host", "phase", "code", "text", "words"),
    [
        ("mx.example.com", "auth", 535, "no", "password"),
        ("mx.example.com", "mail", 550, "no", "envelope-from"),
        ("mx.example.com", "rcpt", 550, "no", "to, cc or bcc"),
        ("mx.example.com", "ehlo", 550, "no", "ehlo-name"),
        ("mx.example.com", "greeting", 554, "no", "port"),
        ("mx.example.com", "data", 554, "no", "whoever runs host"),
    ],
)
def test_what_an_unknown_reply_answers_says_where_to_look(
    host: str, phase: str, code: int, text: str, words: str
) -> None:
    assert words in advice(host, phase, code, "", text)[0]


@pytest.mark.parametrize(
    ("host", "phase", "code", "enhanced", "text"),
    [
        ("smtp.gmail.com", "auth", 454, "4.7.0", "Too many login attempts, try again later."),
        ("smtp.gmail.com", "auth", 421, "4.7.0", "Too many login attempts"),
        ("mx.example.com", "auth", 421, "4.7.0", "Too many failed logins"),
        ("mx.example.com", "auth", 454, "4.7.0", "Account temporarily locked"),
        ("mx.example.com", "auth", 451, "", "Monthly quota exceeded"),
        ("smtp.sendgrid.net", "auth", 451, "", "Authentication failed: Maximum credits exceeded"),
        ("smtp.mailgun.org", "data", 421, "", "Not allowed to send: Sandbox subdomains"),
        ("mx.example.com", "rcpt", 454, "4.7.1", "<a@b.example>: Relay access denied"),
        ("smtp-relay.brevo.com", "data", 450, "", "Your SMTP account is not yet activated."),
    ],
)
def test_what_another_try_makes_worse_or_no_better_is_not_tried(
    host: str, phase: str, code: int, enhanced: str, text: str
) -> None:
    assert not advice(host, phase, code, enhanced, text)[1]


@pytest.mark.parametrize(
    ("host", "phase", "code", "enhanced", "text"),
    [
        ("mx.example.com", "auth", 454, "4.7.0", "Temporary authentication failure"),
        ("mx.example.com", "auth", 421, "4.7.0", "Try again later, closing connection."),
        ("mx.example.com", "auth", 454, "", "Temporary authentication failure, try again later"),
        ("mx.example.com", "rcpt", 450, "4.1.1", "<a@b.example>: rejected: unverified address"),
        ("mx.example.com", "mail", 454, "4.3.0", "relay temporarily overloaded"),
        ("mx.example.com", "rcpt", 450, "4.2.1", "mailbox deactivated for maintenance"),
        ("mx.example.com", "data", 451, "4.3.0", "cannot reach credits-db"),
        # What an address says is not what the server says.
        ("mx.example.com", "rcpt", 452, "4.2.2", "<out.of.credits@b.example>: mailbox is full"),
        ("mx.example.com", "rcpt", 451, "", "account-suspended@b.example: try later"),
        ("mx.example.com", "rcpt", 450, "4.2.0", "Greylisted"),
        ("mx.example.com", "greeting", 421, "4.7.0", "Too many connections"),
        ("sandbox.smtp.mailtrap.io", "data", 550, "5.7.0", "too many emails per second"),
        ("smtp.office365.com", "data", 432, "4.3.2", "Concurrent connections limit exceeded."),
    ],
)
def test_what_passes_is_tried_again(
    host: str, phase: str, code: int, enhanced: str, text: str
) -> None:
    assert advice(host, phase, code, enhanced, text)[1]


@pytest.mark.parametrize(
    ("login", "text"),
    [
        ("none", "<relay-team@b.example>: Recipient address rejected: User unknown"),
        (
            "none",
            "<a@b.example>: Recipient address rejected: User unknown in relay recipient table",
        ),
        ("password", "<denied-relay@b.example>: User unknown"),
    ],
)
def test_a_recipient_that_is_unknown_is_no_matter_of_the_login(login: str, text: str) -> None:
    hint, _ = advice("mx.example.com", "rcpt", 550, "5.1.1", text, login)
    assert hint == "There is no such mailbox: check the spelling in to, cc or bcc."


def test_a_limit_of_googles_relay_is_no_matter_of_the_machines_address() -> None:
    text = "Daily SMTP relay sending limit exceeded for user."
    hint, _ = advice("smtp-relay.gmail.com", "data", 550, "5.4.5", text, "none")
    assert hint.startswith("The account in user has sent its mails for the day")


def test_a_provider_is_known_by_the_end_of_its_name_only() -> None:
    reply = ("auth", 535, "5.7.139", "SmtpClientAuthentication is disabled")
    assert "Set-CASMailbox" in advice("SMTP.Office365.com.", *reply)[0]
    assert "Set-CASMailbox" not in advice("office365.com.example.net", *reply)[0]
    assert "Set-CASMailbox" not in advice("notoffice365.com", *reply)[0]
    assert provider("SMTP.Office365.com.") == "Microsoft 365"
    assert provider("email-smtp.us-east-1.amazonaws.com") == "Amazon SES"
    assert provider("mx.example.com") == ""


def test_an_enhanced_code_is_compared_part_by_part() -> None:
    assert "SMTP.SendAsApp" not in advice("smtp.office365.com", "auth", 535, "5.7.139")[0]
    assert "SPF" in advice("mx.example.com", "rcpt", 550, "5.7.26")[0]
    assert "SPF" not in advice("mx.example.com", "rcpt", 550, "5.7.2")[0]
    assert "SPF" not in advice("mx.example.com", "rcpt", 550, "5.7.261")[0]


def test_words_are_found_across_lines() -> None:
    hint, _ = advice(
        "smtp.sendgrid.net", "auth", 451, "", "Authentication failed: Maximum\nCREDITS exceeded"
    )
    assert "mails are used up" in hint
