"""An attachment over its registration over the step's inputs, and what waits for a variable."""

import pytest

from chainloop_smtp.errors import OptionsError
from chainloop_smtp.model import Options
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
    assert [(each.where, each.why) for each in found.missing] == [
        ("f:6:5", "the variable WORD, which holds password, is not set"),
        ("f:8:5", "the variable TO, which holds to, is not set"),
    ]
    assert found.options.registration.host == "smtp.example.com"
    assert resolved("to: a@b.de", WORD="w", NAME="jane").missing == ()


def test_what_is_wrong_besides_is_told_all_the_same() -> None:
    with pytest.raises(OptionsError) as caught:
        resolved("cc: nobody", WORD="w")
    assert [each.where for each in caught.value.problems] == ["f:10:23 cc"]


def test_what_nothing_can_stand_in_for_is_an_error_after_all() -> None:
    text = REGISTRATION.replace("{env: WORD}", "").replace(
        "user:", "oauth2-provider: microsoft\n    oauth2-tenant: {env: TENANT}\n    user:"
    )
    found = configuration.parse(f"{text}  - registration: a\n", "f")
    resolver = Resolver({"port": "587"}, SET)
    with pytest.raises(OptionsError, match="the variable TENANT, which holds oauth2-tenant"):
        resolver.resolve(found.registrations[0], found.attachments[0])


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
