"""What a server's reply means to somebody who mails from a workflow."""

import pytest

from chainloop_smtp.delivery.hints import hint, provider
from chainloop_smtp.model import Reply


def told(host: str, code: int, enhanced: str = "", text: str = "") -> str:
    return hint(host, Reply(code=code, enhanced=enhanced, text=text))


MICROSOFT = "smtp.office365.com"
SES = "email-smtp.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    ("host", "code", "enhanced", "text", "words"),
    [
        (
            MICROSOFT,
            535,
            "5.7.139",
            "Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
            "oauth2-provider: microsoft",
        ),
        (MICROSOFT, 550, "5.7.30", "Basic authentication is not supported", "no passwords"),
        (MICROSOFT, 535, "5.7.3", "Authentication unsuccessful", "SMTP.SendAsApp"),
        (MICROSOFT, 530, "5.7.57", "Client not authenticated to send mail", "a login first"),
        (MICROSOFT, 550, "5.7.60", "Client does not have permissions to send as", "Send As"),
        (MICROSOFT, 432, "4.3.2", "Concurrent connections limit exceeded", "one after the other"),
        (MICROSOFT, 554, "5.2.2", "mailbox full", "Sent Items"),
        ("smtp.gmail.com", 535, "5.7.8", "Username and Password not accepted", "app password"),
        ("smtp.gmail.com", 534, "5.7.9", "Application-specific password required", "app password"),
        ("smtp.gmail.com", 550, "5.4.5", "Daily user sending limit exceeded", "tomorrow"),
        ("smtp.gmail.com", 421, "4.7.0", "Try again later, closing connection", "fewer at a time"),
        ("smtp-relay.gmail.com", 550, "5.7.1", "Invalid credentials for relay", "Admin console"),
        (SES, 535, "", "Authentication Credentials Invalid", "region"),
        (SES, 554, "", "Message rejected: Email address is not verified.", "sandbox"),
        (SES, 454, "", "Throttling failure: Maximum sending rate exceeded.", "quota"),
        (SES, 554, "", "Access denied: User is not authorized to perform", "ses:SendRawEmail"),
        ("smtp.sendgrid.net", 535, "", "Authentication failed: Bad username / password", "apikey"),
        (
            "smtp.sendgrid.net",
            550,
            "",
            "The from address does not match a verified Sender Identity.",
            "verify the address in from",
        ),
        ("smtp.mailgun.org", 535, "5.7.0", "not loving your login", "smtp.eu.mailgun.org"),
        ("smtp.postmarkapp.com", 535, "5.7.8", "authentication failed", "both user and password"),
        ("smtp-relay.brevo.com", 535, "5.7.8", "Authentication failed", "SMTP key"),
        ("smtp-relay.brevo.com", 525, "5.7.1", "Unauthorized IP address", "Security"),
        ("smtp.resend.com", 535, "", "Invalid username", "the word resend"),
        ("mail.smtp2go.com", 535, "", "Incorrect authentication data", "SMTP users of its own"),
        ("mx.example.com", 530, "5.7.0", "Must issue a STARTTLS command first", "tls: auto"),
        ("mx.example.com", 530, "5.7.0", "Authentication required", "auth: none"),
        ("mx.example.com", 534, "5.7.9", "Mechanism too weak", "stronger mechanism"),
        ("mx.example.com", 538, "5.7.11", "Encryption required", "tls: auto"),
        ("mx.example.com", 550, "5.7.26", "This mail is unauthenticated", "SPF"),
        ("mx.example.com", 554, "5.7.1", "<a@b.example>: Relay access denied", "who log in"),
        ("mx.example.com", 550, "5.1.1", "User unknown", "spelling"),
        ("mx.example.com", 550, "5.1.2", "Bad destination", "domain"),
        ("mx.example.com", 550, "5.1.8", "Bad sender's system", "envelope-from"),
        ("mx.example.com", 552, "5.2.2", "Over quota", "full"),
        ("mx.example.com", 552, "5.3.4", "Message size exceeds fixed limit", "attach less"),
        ("mx.example.com", 450, "4.2.0", "Greylisted, see http://…", "five minutes"),
        ("mx.example.com", 421, "4.7.0", "Too many connections", "limits how much"),
    ],
)
def test_a_reply_has_its_cause_and_its_next_step(
    host: str, code: int, enhanced: str, text: str, words: str
) -> None:
    assert words in told(host, code, enhanced, text)


def test_a_provider_is_known_by_the_end_of_its_name_only() -> None:
    reply = (535, "5.7.139", "SmtpClientAuthentication is disabled")
    assert "Microsoft" in told("SMTP.Office365.com.", *reply)
    assert "Microsoft" not in told("office365.com.example.net", *reply)
    assert "Microsoft" not in told("notoffice365.com", *reply)


def test_an_enhanced_code_is_compared_whole() -> None:
    assert "SMTP.SendAsApp" not in told(MICROSOFT, 535, "5.7.139")
    assert "unauthenticated" not in told("mx.example.com", 550, "5.7.2")
    assert told("mx.example.com", 550, "5.7.2", "no") == ""


def test_a_reply_that_nobody_knows_gets_no_hint() -> None:
    assert told("mx.example.com", 554, "", "Transaction failed") == ""


def test_a_provider_has_a_name() -> None:
    assert provider("SMTP.Office365.com.") == "Microsoft 365"
    assert provider(SES) == "Amazon SES"
    assert provider("mx.example.com") == ""
