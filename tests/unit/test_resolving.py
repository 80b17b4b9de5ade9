"""An attachment over its registration over the step's inputs, and what waits for a variable."""

import pytest

from chainloop_smtp.errors import OptionsError, Problem
from chainloop_smtp.model.settings import Options
from chainloop_smtp.options import configuration
from chainloop_smtp.options.configuration.resolving import Resolved, Resolver

REGISTRATION = """
registrations:
  - name: a
    host: smtp.example.com
    user: {env: NAME}
    password: {env: WORD}
    from: reports@example.com
    to: {env: TO}
attachments:
"""
SET = {"NAME": "jane", "WORD": "secret", "TO": "to@example.com"}


def resolved(attachment: str, inputs: dict[str, str] | None = None, **variables: str) -> Resolved:
    text = f"{REGISTRATION}  - {{registration: a, {attachment}}}\n"
    found = configuration.parse(text, "f")
    resolver = Resolver({"port": "587"} | (inputs or {}), variables)
    return resolver.resolve(found.registrations[0], found.attachments[0])


def unset(place: str, variable: str, name: str) -> Problem:
    return Problem(
        place,
        f"the variable {variable} for {name} is not set",
        f"In a workflow, give the step env: {variable}: ${{{{ secrets.{variable} }}}} (is that "
        "secret set for this repository?).",
    )


def options(attachment: str, inputs: dict[str, str] | None = None) -> Options:
    return resolved(attachment, inputs, **SET).options


def test_the_narrower_place_wins() -> None:
    parsed = options("to: mine@example.com", {"user": "step", "cc": "all@example.com"})
    assert parsed.registration.user == "jane"
    assert [each.addr_spec for each in parsed.registration.to] == ["mine@example.com"]
    assert [each.addr_spec for each in parsed.attachment.cc] == ["all@example.com"]
    assert parsed.registration.port == 587


def test_what_is_about_the_run_is_not_said_for_each_mail() -> None:
    parsed = options("cc: a@b.de", {"attestation": "x", "needs": "not JSON", "dry-run": "true"})
    assert (parsed.attestation, parsed.needs, parsed.dry_run) == ("", (), False)


def test_variables_that_are_not_set_are_told_and_are_no_error() -> None:
    found = resolved("cc: a@b.de", WORD=" ", NAME="jane")
    assert found.missing == (unset("f:6:5", "WORD", "password"), unset("f:8:5", "TO", "to"))
    assert found.options.registration.host == "smtp.example.com"
    assert resolved("to: a@b.de", WORD="w", NAME="jane").missing == ()


@pytest.mark.parametrize("name", ["host", "port", "user", "password", "from", "to"])
def test_whatever_of_the_registration_is_not_set_is_missing_and_no_error(name: str) -> None:
    entries = STEP | {"password": "{env: PASSWORD}"} | {name: "{env: UNSET}"}
    text = "registrations:\n  - name: a\n"
    text += "".join(f"    {key}: {value}\n" for key, value in entries.items())
    parsed = configuration.parse(f"{text}attachments:\n  - registration: a\n", "f")
    resolved = Resolver({}, {"PASSWORD": "s3cret"}).resolve(
        parsed.registrations[0], parsed.attachments[0]
    )
    line = 3 + list(STEP).index(name)
    assert resolved.missing == (unset(f"f:{line}:5", "UNSET", name),)


def test_a_host_that_is_not_set_does_not_ask_for_credentials_of_its_own() -> None:
    text = "registrations: [{name: a, host: {env: HOST}}]\nattachments: [{registration: a}]\n"
    parsed = configuration.parse(text, "f")
    resolved = Resolver(STEP, {}).resolve(parsed.registrations[0], parsed.attachments[0])
    assert resolved.missing == (unset("f:1:27", "HOST", "host"),)


def test_what_is_wrong_besides_is_told_all_the_same() -> None:
    with pytest.raises(OptionsError) as caught:
        resolved("cc: nobody", WORD="w")
    assert caught.value.problems == (
        Problem(
            "f:10:23 cc",
            "'nobody' is not an address: An email address must have an @-sign.",
            "Write name@example.com or Display Name <name@example.com>; separate addresses "
            "by commas.",
        ),
    )


def test_what_is_missing_is_told_at_the_registration() -> None:
    with pytest.raises(OptionsError) as caught:
        of("host: smtp.example.com, port: 25, from: a@b.de, to: a@b.de", {})
    assert [each for each in caught.value.problems if "password" in each.why] == [
        Problem(
            "f:1:17 registration 'a'",
            "password is missing",
            "Write password: {env: NAME}. A relay without login: auth: none.",
        )
    ]
    with pytest.raises(OptionsError) as caught:
        of("user: jane, port: 25, from: a@b.de, to: a@b.de, password: {env: OWN}", {})
    assert caught.value.problems == (
        Problem(
            "f:1:17 registration 'a'",
            "host is missing",
            "Host name or IP address of the mail server, such as smtp.example.com.",
        ),
    )


def test_what_nothing_can_stand_in_for_is_an_error_after_all() -> None:
    text = REGISTRATION.replace("{env: WORD}", "").replace(
        "user:", "oauth2-provider: microsoft\n    oauth2-tenant: {env: TENANT}\n    user:"
    )
    found = configuration.parse(f"{text}  - registration: a\n", "f")
    resolver = Resolver({"port": "587"}, SET)
    with pytest.raises(OptionsError) as caught:
        resolver.resolve(found.registrations[0], found.attachments[0])
    assert unset("f:6:5", "TENANT", "oauth2-tenant") in caught.value.problems


def test_a_problem_of_the_steps_own_input_is_told_as_such() -> None:
    with pytest.raises(OptionsError) as caught:
        resolved("cc: a@b.de", {"reply-to": "nobody"}, **SET)
    assert [each.where for each in caught.value.problems] == ["reply-to"]


def test_equal_attachments_are_validated_once() -> None:
    text = f"{REGISTRATION}  - registration: a\n  - registration: a\n    workflow: x\n"
    found = configuration.parse(text, "f")
    resolver = Resolver({"port": "587"}, SET)
    one, other = (resolver.resolve(found.registrations[0], each) for each in found.attachments)
    assert one.options is other.options


# --- the step's credentials ---------------------------------------------------------------------

STEP = {
    "host": "smtp.example.com",
    "port": "587",
    "user": "jane",
    "password": "s3cret",
    "from": "reports@example.com",
    "to": "security@example.com",
}
TOKEN = {
    "oauth2-token-url": "https://id.example.com/token",
    "oauth2-client-id": "f0e1",
    "oauth2-client-secret": "s3cret",
}


def of(registration: str, inputs: dict[str, str]) -> Options:
    text = f"registrations: [{{name: a, {registration}}}]\nattachments: [{{registration: a}}]\n"
    found = configuration.parse(text, "f")
    resolver = Resolver(inputs, {"OWN": "0wn", "HOST": "smtp.example.com"})
    (registration_, attachment) = (found.registrations[0], found.attachments[0])
    parsed = resolver.resolve(registration_, attachment).options
    # What a fork's pull request is judged by, and what is masked, is the same.
    assert resolver.raw(registration_).get("password", "") == parsed.registration.password
    return parsed


@pytest.mark.parametrize(
    "own",
    [
        "to: a@b.de",
        "host: smtp.example.com",
        "host: SMTP.Example.com.",
        "host: {env: HOST}",
        "port: 2525",
        "proxy: 'http://proxy.test:3128'",
        "tls-ca-file: ca.pem",
        "tls-fingerprint: '" + 64 * "0" + "'",
    ],
)
def test_the_steps_password_goes_to_the_steps_host(own: str) -> None:
    assert of(own, STEP).registration.password == "s3cret"


def test_the_steps_host_may_be_written_in_two_ways() -> None:
    for one, other in (
        ("mail.faß.de", "mail.xn--fa-hia.de"),
        ("mail.xn--fa-hia.de", "MAIL.faß.de"),
    ):
        assert of(f"host: {one}", STEP | {"host": other}).registration.password == "s3cret"


FOREIGN = [
    "host: evil.test",
    "host: smtp.example.com.evil.test",
    "host: ❤.test",
    "proxy: 'http://evil.test:80', tls-ca-file: evil.pem",
    "proxy: 'http://evil.test:80', tls-fingerprint: '" + 64 * "0" + "'",
]


@pytest.mark.parametrize("own", [*FOREIGN[:2], *FOREIGN[3:]])
def test_the_steps_password_goes_to_no_server_of_the_files_choice(own: str) -> None:
    with pytest.raises(OptionsError) as caught:
        of(own, STEP)
    (problem,) = caught.value.problems
    assert problem.where == "f:1:17 registration 'a'"
    assert problem.why == "password is missing"
    assert problem.hint == (
        "The step's password is used only for the step's own host. Write password: {env: NAME} "
        "here, "
        "or leave host to the step."
    )
    parsed = of(f"{own}, password: {{env: OWN}}", STEP)
    assert parsed.registration.password == "0wn"
    # Everything else is the step's as before.
    assert parsed.registration.user == "jane"


def test_a_host_that_is_none_gets_nothing_either() -> None:
    with pytest.raises(OptionsError) as caught:
        of(FOREIGN[2], STEP)
    assert [each.why.partition(" ")[2] for each in caught.value.problems] == [
        "is not a host name or IP address",
        "is missing",
    ]


def test_without_a_host_of_its_own_the_step_gives_no_credential_away() -> None:
    without = {name: text for name, text in STEP.items() if name != "host"}
    with pytest.raises(OptionsError, match="password is missing"):
        of("host: smtp.example.com", without)


def test_what_is_no_secret_is_missing_for_no_reason_of_the_steps_host() -> None:
    without = {name: text for name, text in STEP.items() if name != "from"}
    with pytest.raises(OptionsError) as caught:
        of("host: evil.test, password: {env: OWN}", without | {"tls-client-key": "key.pem"})
    assert caught.value.problems == (
        Problem(
            "f:1:17 registration 'a'",
            "from is missing",
            "Sender: one address, such as ci@example.com or Attestation reports <ci@example.com>.",
        ),
    )


def test_no_other_credential_leaves_the_steps_host() -> None:
    inputs = STEP | {
        "tls-client-cert": "cert.pem",
        "tls-client-key": "key.pem",
        "proxy": "http://jane:pr0xy@proxy.test:3128",
    }
    inputs.pop("password")
    transport = of("auth: none", inputs).transport
    assert (transport.tls_client_cert, transport.tls_client_key) == ("cert.pem", "key.pem")
    assert transport.proxy
    assert (transport.proxy.user, transport.proxy.password) == ("jane", "pr0xy")
    transport = of("host: evil.test, auth: none", inputs).transport
    assert (transport.tls_client_cert, transport.tls_client_key) == ("", "")
    assert transport.proxy
    # The way out is the same, without the login.
    assert (transport.proxy.host, transport.proxy.port) == ("proxy.test", 3128)
    assert (transport.proxy.user, transport.proxy.password) == ("", "")
    transport = of("host: evil.test, auth: none, proxy: 'http://other.test:80'", inputs).transport
    assert transport.proxy
    assert transport.proxy.host == "other.test"


@pytest.mark.parametrize(
    "secret",
    [
        {"oauth2-client-secret": "s3cret"},
        {"oauth2-refresh-token": "s3cret"},
        {"oauth2-federated": "true"},
    ],
)
def test_what_gets_a_token_goes_to_the_steps_host_and_endpoint_only(
    secret: dict[str, str],
) -> None:
    inputs = STEP | TOKEN
    del inputs["password"], inputs["oauth2-client-secret"]
    inputs |= secret
    (name,) = secret
    for own in ("to: a@b.de", "oauth2-token-url: 'https://id.example.com/token'"):
        found = of(own, inputs).oauth2
        assert found
        assert "s3cret" in (found.client_secret, found.refresh_token) or found.is_federated
    for own in (
        "oauth2-token-url: 'https://evil.test/token'",
        "host: evil.test, oauth2-client-id: x",
        "host: evil.test, oauth2-token-url: 'https://evil.test/token'",
    ):
        with pytest.raises(OptionsError) as caught:
            of(own, inputs)
        (problem,) = caught.value.problems
        assert problem.why == "oauth2-client-secret is missing"
        assert problem.hint.startswith(f"The step's {name} is used only for the step's own host.")
    # One that logs in by password has nothing to do with the step's tokens.
    found_options = of("host: other.test, password: {env: OWN}", inputs)
    assert found_options.oauth2 is None
    assert found_options.registration.password == "0wn"
