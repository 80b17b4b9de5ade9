"""Each thing that can be wrong with an input: which input it is, what is wrong, what to do."""

import pytest

from chainloop_smtp import options
from chainloop_smtp.errors import OptionsError, Problem
from inputs import LOGIN as INPUTS

NO_LOGIN = {"user": "", "password": ""}
MICROSOFT = NO_LOGIN | {
    "oauth2-provider": "microsoft",
    "oauth2-tenant": "example.com",
    "oauth2-client-id": "f0e1",
}
GOOGLE = NO_LOGIN | {"oauth2-provider": "google"}
FEDERATED = {"oauth2-federated": "true"}
ADDRESS = "Write name@example.com or Display Name <name@example.com>; separate addresses by commas."
HOST = "Write the bare host name, such as smtp.example.com; the port is a separate input."
NEEDS = "Write needs: ${{ toJSON(needs.*.result) }}, or ${{ toJSON(needs) }} for names too."
PROXY = (
    "Write http://HOST:PORT or socks5://HOST:PORT, with USER:PASSWORD@ before the host if needed."
)

CASES: dict[str, tuple[dict[str, str], Problem]] = {
    "no host": (
        {"host": ""},
        Problem(
            "host",
            "is missing",
            "Host name or IP address of the mail server, such as smtp.example.com.",
        ),
    ),
    "no port": (
        {"port": ""},
        Problem("port", "is missing", "TCP port of the mail server, usually 587 or 465."),
    ),
    "no user": (
        {"user": ""},
        Problem(
            "user",
            "is missing",
            (
                "User name for the mail server. For a relay without login, set auth: none. If it "
                "comes from a secret: is that secret set for this repository, and spelled "
                "correctly?"
            ),
        ),
    ),
    "no password": (
        {"password": ""},
        Problem(
            "password",
            "is missing",
            (
                "In a workflow: password: ${{ secrets.SMTP_PASSWORD }} (is that secret set for "
                "this repository?). On the command line: CHAINLOOP_SMTP_PASSWORD, or "
                "--password-stdin. A relay without login: auth: none."
            ),
        ),
    ),
    "a misspelt input": (
        {"pasword": "x"},
        Problem("pasword", "there is no such input", "Did you mean password?"),
    ),
    "an unknown input with a long name": (
        {"z" * 61: "x"},
        Problem(
            "z" * 60,
            "there is no such input",
            f"Available: {', '.join(each.name for each in options.INPUTS)}.",
        ),
    ),
    "a switch": (
        {"dry-run": "yes"},
        Problem("dry-run", "'yes' is not a valid value", "Use one of: true, false."),
    ),
    "a word": (
        {"tls": "yes"},
        Problem("tls", "'yes' is not a valid value", "Use one of: auto, starttls, implicit, none."),
    ),
    "no address": (
        {"to": "Jane <jane.example.com>"},
        Problem(
            "to",
            "'jane.example.com' is not an address: An email address must have an @-sign.",
            ADDRESS,
        ),
    ),
    "a copy's address": (
        {"cc": "x"},
        Problem("cc", "'x' is not an address: An email address must have an @-sign.", ADDRESS),
    ),
    "a hidden copy's address": (
        {"bcc": "x"},
        Problem(
            "bcc", "number 1 is not an address: An email address must have an @-sign.", ADDRESS
        ),
    ),
    "the second address": (
        {"to": "a@example.com, b"},
        Problem("to", "'b' is not an address: An email address must have an @-sign.", ADDRESS),
    ),
    "separators alone": ({"to": ", ;"}, Problem("to", "', ;' contains no address")),
    "two senders": (
        {"from": "a@example.com, b@example.com"},
        Problem(
            "from",
            "2 addresses are given, but only one is allowed",
            'Put a display name with a comma in quotes: "Doe, Jane" <jane@example.com>.',
        ),
    ),
    "two return paths": (
        {"envelope-from": "a@example.com, b@example.com"},
        Problem(
            "envelope-from",
            "2 addresses are given, but only one is allowed",
            'Put a display name with a comma in quotes: "Doe, Jane" <jane@example.com>.',
        ),
    ),
    "a NUL in the password": (
        {"password": "a\x00b"},
        Problem("password", "contains a NUL character, or is not valid UTF-8"),
    ),
    "a lone surrogate in the user": (
        {"user": "a\ud800b"},
        Problem("user", "contains a NUL character, or is not valid UTF-8"),
    ),
    "the last surrogate": (
        {"user": "a\udfffb"},
        Problem("user", "contains a NUL character, or is not valid UTF-8"),
    ),
    "a URL as host": (
        {"host": "smtp://smtp.example.com"},
        Problem("host", "'smtp://smtp.example.com' is a URL", HOST),
    ),
    "a port in the host": (
        {"host": "smtp.example.com:25"},
        Problem("host", "'smtp.example.com:25' contains a port or a colon", HOST),
    ),
    "a blank in the host": (
        {"host": "smtp example.com"},
        Problem("host", "'smtp example.com' contains white space or unprintable characters", HOST),
    ),
    "no host name": (
        {"host": "192.0.2.999"},
        Problem("host", "'192.0.2.999' is not a host name or IP address", HOST),
    ),
    "no port number": (
        {"port": "65536"},
        Problem(
            "port",
            "'65536' is not a port number from 1 to 65535",
            "Usual ports: 587 (STARTTLS) and 465 (implicit TLS).",
        ),
    ),
    "a port of six digits": (
        {"port": "000587"},
        Problem(
            "port",
            "'000587' is not a port number from 1 to 65535",
            "Usual ports: 587 (STARTTLS) and 465 (implicit TLS).",
        ),
    ),
    "seconds": (
        {"timeout": "soon"},
        Problem("timeout", "'soon' is not a number", "Write seconds, such as 30 or 2.5."),
    ),
    "no seconds": (
        {"deadline": "0"},
        Problem(
            "deadline",
            "'0' is not more than 0 and at most 86400",
            "Write seconds, such as 30 or 2.5.",
        ),
    ),
    "no number": (
        {"max-recipients": "many"},
        Problem("max-recipients", "'many' is not a whole number from 1 to 10000"),
    ),
    "a number too large": (
        {"max-recipients": "10001"},
        Problem("max-recipients", "'10001' is not a whole number from 1 to 10000"),
    ),
    "a number with a remainder": (
        {"max-recipients": "1000000"},
        Problem("max-recipients", "'1000000' is not a whole number from 1 to 10000"),
    ),
    "a number too large behind zeros": (
        {"max-recipients": "000001234567"},
        Problem("max-recipients", "'000001234567' is not a whole number from 1 to 10000"),
    ),
    "no size": (
        {"attach-max-size": "10"},
        Problem(
            "attach-max-size",
            "'10' is not a size",
            "Write a number and a unit, such as 10MB or 512KiB.",
        ),
    ),
    "too large a size": (
        {"attach-max-size": "2GB"},
        Problem(
            "attach-max-size",
            "'2GB' is not between 1 byte and 1GB",
            "Write a number and a unit, such as 10MB or 512KiB.",
        ),
    ),
    "no run id": (
        {"workflow-run-id": "42"},
        Problem(
            "workflow-run-id",
            "'42' is not a UUID",
            "It is the attestationID that `chainloop attestation init -o json` prints. auto finds "
            "the runs by itself.",
        ),
    ),
    "auto and a run id": (
        {"workflow-run-id": "auto, 5b0a4f0e-6a51-4a5b-9c1d-0e5f3c2b7a90"},
        Problem(
            "workflow-run-id",
            "auto is given together with other runs",
            "Give auto alone, or ids alone.",
        ),
    ),
    "new without a state file": (
        {"workflow-run-id": "new"},
        Problem(
            "state-file",
            "is missing, but workflow-run-id is new",
            "Give a file that is kept between runs, such as state.json from a cache.",
        ),
    ),
    "a state file without new": (
        {"workflow-run-id": "auto", "state-file": "state.json"},
        Problem(
            "state-file",
            "is set, but workflow-run-id is not new",
            "Set workflow-run-id: new, or omit state-file.",
        ),
    ),
    "auto and an attestation": (
        {"workflow-run-id": "auto", "attestation": "a.json"},
        Problem("workflow-run-id", "attestation is given too", "Give one of them."),
    ),
    "two evidences": (
        {"workflow-run-id": "5b0a4f0e-6a51-4a5b-9c1d-0e5f3c2b7a90", "attestation": "a.json"},
        Problem("workflow-run-id", "attestation is given too", "Give one of them."),
    ),
    "a name of two lines": (
        {"workflow": "a\nb"},
        Problem("workflow", "'a b' is not a name", "A name is one line of text."),
    ),
    "a glob for a name": (
        {"project": "a-*"},
        Problem(
            "project",
            "'a-*' is a glob, not a name",
            "Write the run's own name; globs belong in a configuration file.",
        ),
    ),
    "needs that are not JSON": ({"needs": "{"}, Problem("needs", "is not JSON", NEEDS)),
    "needs without result": (
        {"needs": '{"build": {}}'},
        Problem(
            "needs",
            (
                "job 'build' has no result of success, failure, cancelled, skipped, neutral, "
                "timed_out, action_required, stale, startup_failure"
            ),
            NEEDS,
        ),
    ),
    "a result that is none": (
        {"needs": "success, fine"},
        Problem(
            "needs",
            (
                "'fine' is not one of success, failure, cancelled, skipped, neutral, timed_out, "
                "action_required, stale, startup_failure"
            ),
            NEEDS,
        ),
    ),
    "a result that is a number": (
        {"needs": "[1]"},
        Problem(
            "needs",
            (
                "'1' is not one of success, failure, cancelled, skipped, neutral, timed_out, "
                "action_required, stale, startup_failure"
            ),
            NEEDS,
        ),
    ),
    "an unlike trigger": (
        {"send-on": "zzz"},
        Problem(
            "send-on",
            "'zzz' is not a valid value",
            (
                "Use any of: always, passed, failed, cancelled, violated, blocked, bypassed, "
                "not-attested, changed, fixed, new-violations, unverified."
            ),
        ),
    ),
    "a misspelt trigger": (
        {"send-on": "block"},
        Problem("send-on", "'block' is not a valid value", "Did you mean blocked?"),
    ),
    "no trigger": ({"send-on": ","}, Problem("send-on", "',' contains no word")),
    "no domain": (
        {"allowed-domains": "http://x", "to": "author"},
        Problem(
            "allowed-domains",
            "'http://x' is not a domain",
            "Write example.com, or *.example.com for the domains below it.",
        ),
    ),
    "outside the domains": (
        {"allowed-domains": "example.com, *.example.com", "cc": "a@evil.test, b@other.test"},
        Problem(
            "cc",
            "a@evil.test, b@other.test: not in the domains of allowed-domains",
            "Allowed: example.com, *.example.com.",
        ),
    ),
    "an address that servers route by": (
        {"allowed-domains": "example.com", "cc": "a%evil.test@example.com, a!b@example.com"},
        Problem(
            "cc",
            "a%evil.test@example.com, a!b@example.com: some mail servers route by the part "
            "before the @",
            "With allowed-domains, write an address without %, ! and the like.",
        ),
    ),
    "a hidden copy outside": (
        {"allowed-domains": "example.com", "bcc": "a@evil.test"},
        Problem("bcc", "number 1: not in the domains of allowed-domains", "Allowed: example.com."),
    ),
    "redirected outside": (
        {"allowed-domains": "example.com", "redirect-to": "a@evil.test"},
        Problem(
            "redirect-to",
            "a@evil.test: not in the domains of allowed-domains",
            "Allowed: example.com.",
        ),
    ),
    "a recipient outside": (
        {"allowed-domains": "example.org"},
        Problem(
            "to",
            "security@example.com: not in the domains of allowed-domains",
            "Allowed: example.org.",
        ),
    ),
    "no header": (
        {"headers": "no colon"},
        Problem(
            "headers",
            "'no colon' is not a header name",
            "Write one 'Name: value' per line; a name is printable ASCII without spaces.",
        ),
    ),
    "a header with an input": (
        {"headers": "Return-Path: x"},
        Problem("headers", "Return-Path has its own input", "Write it as the input envelope-from."),
    ),
    "a header of ours": (
        {"headers": "Date: x"},
        Problem("headers", "Date is written by this program", "Leave it out."),
    ),
    "a header of the servers": (
        {"headers": "Received: x"},
        Problem("headers", "Received belongs to the mail servers", "Leave it out."),
    ),
    "a MIME header": (
        {"headers": "Content-Type: x"},
        Problem("headers", "Content-Type belongs to the mail's MIME structure", "Leave it out."),
    ),
    "a MIME version": (
        {"headers": "MIME-Version: x"},
        Problem("headers", "MIME-Version belongs to the mail's MIME structure", "Leave it out."),
    ),
    "resending": (
        {"headers": "Resent-To: x"},
        Problem("headers", "Resent-To is set by whoever forwards a mail", "Leave it out."),
    ),
    "a signature": (
        {"headers": "DKIM-Signature: x"},
        Problem(
            "headers", "DKIM-Signature belongs to the servers that sign the mail", "Leave it out."
        ),
    ),
    "a seal": (
        {"headers": "ARC-Seal: x"},
        Problem("headers", "ARC-Seal belongs to the servers that sign the mail", "Leave it out."),
    ),
    "our own family": (
        {"headers": "X-Chainloop-Run: x"},
        Problem("headers", "X-Chainloop-Run is written by this program", "Leave it out."),
    ),
    "an empty header": (
        {"headers": "X-Y:"},
        Problem("headers", "X-Y has no value", "Write 'X-Y: value'."),
    ),
    "a control character": (
        {"headers": "X-Y: a\x00b"},
        Problem("headers", "X-Y contains a control character", "A value is one line of text."),
    ),
    "a long header": (
        {"headers": "X-Y: " + "a" * 994},
        Problem("headers", "X-Y is longer than the 998 bytes of one line", "Shorten it."),
    ),
    "a long header name": (
        {"headers": "X-" + "Y" * 75 + ": a"},
        Problem("headers", ("X-" + "Y" * 74 + " is longer than 76 characters")),
    ),
    "a header twice": (
        {"headers": "X-Y: a\nx-y: b"},
        Problem("headers", "x-y is given twice", "Give each name once."),
    ),
    "too many headers": (
        {"headers": "\n".join(f"X-{number}: a" for number in range(51))},
        Problem("headers", "51 header fields are more than 50"),
    ),
    "reports": (
        {"dsn": "sometimes"},
        Problem(
            "dsn",
            "'sometimes' is not a valid value",
            "Write success, failure, delay, separated by commas; or never.",
        ),
    ),
    "never and more": (
        {"dsn": "never, failure"},
        Problem(
            "dsn",
            "never stands alone",
            "Write success, failure, delay, separated by commas; or never.",
        ),
    ),
    "no fingerprint": (
        {"tls-fingerprint": "AB:12"},
        Problem(
            "tls-fingerprint",
            "'AB:12' is not a SHA-256 fingerprint, which has 64 hexadecimal digits",
            "openssl x509 -noout -fingerprint -sha256 prints it.",
        ),
    ),
    "two trusts": (
        {"tls-fingerprint": "ab" * 32, "tls-ca-file": "ca.pem"},
        Problem(
            "tls-fingerprint",
            "tls-ca-file is given too",
            "Leave out one: a fingerprint trusts one certificate and no authority.",
        ),
    ),
    "a certificate without TLS": (
        {"tls": "none", "tls-client-cert": "a.pem"},
        Problem("tls-client-cert", "tls is none, so there are no certificates"),
    ),
    "a key alone": (
        {"tls-client-key": "a.pem"},
        Problem("tls-client-cert", "is missing, and tls-client-key is given"),
    ),
    "no proxy": ({"proxy": "http://[::1"}, Problem("proxy", "is not a URL", PROXY)),
    "another scheme": (
        {"proxy": "https://proxy.test:1"},
        Problem("proxy", "its scheme is not one of http, socks5, socks5h", PROXY),
    ),
    "a proxy without host": ({"proxy": "http://:80"}, Problem("proxy", "it has no host", PROXY)),
    "a proxy without port": (
        {"proxy": "http://proxy.test"},
        Problem("proxy", "it has no port", PROXY),
    ),
    "a path behind a proxy": (
        {"proxy": "http://proxy.test:80/a"},
        Problem("proxy", "there is text after its port", PROXY),
    ),
    "a query behind a proxy": (
        {"proxy": "http://proxy.test:80?a"},
        Problem("proxy", "there is text after its port", PROXY),
    ),
    "a fragment behind a proxy": (
        {"proxy": "http://proxy.test:80#a"},
        Problem("proxy", "there is text after its port", PROXY),
    ),
    "a SOCKS5 login": (
        {"proxy": "socks5://é:a@proxy.test:80"},
        Problem("proxy", "SOCKS5 carries a login of ASCII only, 255 characters at most", PROXY),
    ),
    "a way to log in without a token": (
        MICROSOFT | FEDERATED | {"auth": "plain"},
        Problem(
            "auth",
            "does not accept the token that oauth2-… asks for",
            "Write: auto, xoauth2, oauthbearer.",
        ),
    ),
    "a password beside a token": (
        MICROSOFT | FEDERATED | {"password": "x"},
        Problem(
            "password",
            "oauth2-… fetches a token in its place",
            (
                "Leave out password, or all of oauth2-…; use your own token as password with "
                "auth: xoauth2."
            ),
        ),
    ),
    "a token endpoint": (
        {
            "oauth2-token-url": "http://id.example.com",
            "oauth2-client-id": "a",
            "oauth2-client-secret": "b",
            "password": "",
        },
        Problem(
            "oauth2-token-url",
            "'http://id.example.com' is not an https:// URL",
            "Secrets are sent there; write it without a user.",
        ),
    ),
    "no token endpoint": (
        {"oauth2-client-id": "a", "oauth2-client-secret": "b", "password": ""},
        Problem(
            "oauth2-provider", "is missing", "Write microsoft or google, or give oauth2-token-url."
        ),
    ),
    "no client": (
        MICROSOFT | FEDERATED | {"oauth2-client-id": ""},
        Problem("oauth2-client-id", "is missing"),
    ),
    "no client secret": (
        MICROSOFT,
        Problem(
            "oauth2-client-secret",
            "is missing, or its secret is empty",
            "Give it, or oauth2-refresh-token, or use the job's identity: oauth2-federated.",
        ),
    ),
    "a stored secret too": (
        MICROSOFT | FEDERATED | {"oauth2-client-secret": "x"},
        Problem(
            "oauth2-client-secret",
            "oauth2-federated is true too",
            "Leave out one of the two: oauth2-federated needs no stored secret.",
        ),
    ),
    "a refresh token too": (
        MICROSOFT | FEDERATED | {"oauth2-refresh-token": "x"},
        Problem(
            "oauth2-refresh-token",
            "oauth2-federated is true too",
            "Leave out one of the two: oauth2-federated needs no stored secret.",
        ),
    ),
    "no tenant": (
        MICROSOFT | FEDERATED | {"oauth2-tenant": ""},
        Problem("oauth2-tenant", "is missing"),
    ),
    "a tenant that is none": (
        MICROSOFT | FEDERATED | {"oauth2-tenant": "a/b"},
        Problem(
            "oauth2-tenant",
            "'a/b' is neither",
            "Write the directory's id (a UUID) or one of its domains.",
        ),
    ),
    "no service account": (
        GOOGLE
        | FEDERATED
        | {
            "oauth2-client-id": "a",
            "oauth2-tenant": "projects/1/locations/global/workloadIdentityPools/a/providers/b",
        },
        Problem(
            "oauth2-client-id",
            "'a' is not an address",
            "Write the service account's address: name@project.iam.gserviceaccount.com.",
        ),
    ),
    "no identity provider": (
        GOOGLE | FEDERATED | {"oauth2-client-id": "a@b.example", "oauth2-tenant": "pool"},
        Problem(
            "oauth2-tenant",
            "'pool' is not a workload identity provider",
            "Write projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/NAME.",
        ),
    ),
    "more than an identity provider": (
        GOOGLE
        | FEDERATED
        | {
            "oauth2-client-id": "a@b.example",
            "oauth2-tenant": "projects/1/locations/global/workloadIdentityPools/a/providers/b/c",
        },
        Problem(
            "oauth2-tenant",
            (
                "'projects/1/locations/global/workloadIdentityPools/a/providers/b/c' is not "
                "a workload identity provider"
            ),
            "Write projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/NAME.",
        ),
    ),
    "a refresh token without its client's secret": (
        GOOGLE | {"oauth2-client-id": "a", "oauth2-refresh-token": "x"},
        Problem(
            "oauth2-client-secret",
            "is missing, or its secret is empty",
            "Every Google client has one.",
        ),
    ),
    "no key": (
        GOOGLE | {"oauth2-client-secret": "x"},
        Problem(
            "oauth2-client-secret",
            "is not a service account key, and oauth2-refresh-token is missing",
            ("Give the key's whole JSON file, or a refresh token with the client's id and secret."),
        ),
    ),
}


@pytest.mark.parametrize(("changes", "problem"), CASES.values(), ids=CASES)
def test_an_input_is_refused_with_what_is_wrong_and_what_to_do(
    changes: dict[str, str], problem: Problem
) -> None:
    with pytest.raises(OptionsError) as caught:
        options.parse(INPUTS | changes)
    assert caught.value.exit_code == 2
    assert caught.value.problems == (problem,)


@pytest.mark.parametrize(
    ("name", "word", "more"),
    [
        ("auth", "nope", {}),
        ("oauth2-provider", "nope", {"oauth2-client-id": "x"}),
    ],
    ids=["auth", "provider"],
)
def test_what_an_invalid_word_would_need_is_not_reported_as_missing(
    name: str, word: str, more: dict[str, str]
) -> None:
    server = {"host": "smtp.example.com", "port": "587", "from": "a@example.com", "to": "b@x.de"}
    with pytest.raises(OptionsError) as caught:
        options.parse(server | more | {name: word})
    assert [(each.where, each.why) for each in caught.value.problems] == [
        (name, f"'{word}' is not a valid value")
    ]
