"""Chainloop's two schemas: kept byte for byte, and meant as they are written."""

import hashlib
from collections.abc import Iterator, Mapping
from importlib.resources import files

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chainloop_smtp.errors import Problem, quoted
from chainloop_smtp.options import addresses
from chainloop_smtp.options.registration import check, read_schema
from inputs import LOGIN as REGISTRATION


def problems(name: str, document: Mapping[str, object]) -> list[tuple[str, Problem]]:
    return list(check(name, document))


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("registration", "ac7dcc2adb6f5d36f7940ee9bcb5a1e6a42a441fe25ffc57ea16f39acb866ba4"),
        ("attachment", "a61930b84af995b000c9be33be5e663f8fdb152d30f382c055ad40d43bf5e48b"),
    ],
)
def test_a_schema_is_what_chainloop_publishes_byte_for_byte(name: str, digest: str) -> None:
    octets = files("chainloop_smtp").joinpath(f"schemas/{name}.json").read_bytes()
    assert hashlib.sha256(octets).hexdigest() == digest


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("registration", REGISTRATION),
        ("registration", REGISTRATION | {"password": "", "host": "", "port": "abc"}),
        ("attachment", {}),
        ("attachment", {"cc": "team@example.com"}),
    ],
    ids=["registration", "what the schema leaves open", "empty attachment", "attachment"],
)
def test_what_the_schema_allows_has_no_problem(name: str, document: dict[str, str]) -> None:
    assert problems(name, document) == []


def test_every_missing_key_is_told_with_what_it_is_for() -> None:
    found = dict(problems("registration", {}))
    assert set(found) == set(REGISTRATION)
    assert {problem.why for problem in found.values()} == {"is missing"}
    assert all(problem.hint for problem in found.values())
    assert "CHAINLOOP_SMTP_PASSWORD" in found["password"].hint
    assert "secrets." in found["password"].hint


@pytest.mark.parametrize("name", ["from", "to"])
def test_the_format_email_is_really_checked(name: str) -> None:
    ((where, problem),) = problems("registration", REGISTRATION | {name: "Jane <jane@example.com>"})
    assert where == problem.where == name
    assert "is not an address" in problem.why


def test_the_format_email_of_a_copy_is_really_checked() -> None:
    ((where, problem),) = problems("attachment", {"cc": "nobody"})
    assert (where, problem.where) == ("cc", "cc")
    assert "'nobody' is not an address" in problem.why


def test_a_value_of_the_wrong_kind_is_told_but_not_a_secret_one() -> None:
    found = dict(problems("registration", REGISTRATION | {"port": 587, "password": 1234567}))
    assert set(found) == {"port", "password"}
    assert "587 is not of type 'string'" in found["port"].why
    assert "1234567" not in str(found["password"])
    assert found["password"].why == "is not valid"


def test_an_empty_user_is_too_short() -> None:
    ((where, problem),) = problems("registration", REGISTRATION | {"user": ""})
    assert where == "user"
    assert problem.why == "'' should be non-empty"


TEXTS = st.text(max_size=9) | st.sampled_from(
    [*REGISTRATION.values(), "", " ", "jane@relay", "x@y@z", "a@arpa", "@", "\ud800"]
)
ANYTHING = TEXTS | st.none() | st.integers() | st.booleans() | st.lists(st.text(), max_size=1)
# An address comes out of a list of them, and so is always text.
VALUES: dict[str, st.SearchStrategy[object]] = {
    name: TEXTS if name in ("from", "to", "cc") else ANYTHING for name in (*REGISTRATION, "cc")
}
REGISTRATIONS = st.builds(
    lambda changed, left_out: {
        name: value for name, value in (REGISTRATION | changed).items() if name not in left_out
    },
    st.fixed_dictionaries({}, optional={name: VALUES[name] for name in REGISTRATION}),
    st.sets(st.sampled_from(sorted(REGISTRATION))),
)
ATTACHMENTS = st.fixed_dictionaries({}, optional={"cc": VALUES["cc"]})


@given(
    st.tuples(st.just("registration"), REGISTRATIONS)
    | st.tuples(st.just("attachment"), ATTACHMENTS)
)
@example(("registration", REGISTRATION))
@example(("registration", {}))
@example(("registration", REGISTRATION | {"to": "nobody", "port": 587}))
@example(("attachment", {"cc": "team@example.com"}))
def test_what_is_told_is_what_jsonschema_would_tell(
    case: tuple[str, Mapping[str, object]],
) -> None:
    name, document = case
    found = [(where, problem.why) for where, problem in problems(name, document)]
    assert found == list(violations(name, document))


def violations(name: str, document: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """What jsonschema says, as (key, why)."""
    formats = jsonschema.FormatChecker(formats=())
    formats.checks("email", raises=ValueError)(lambda value: bool(addresses.check(str(value))))
    validator = jsonschema.Draft202012Validator(read_schema(name), format_checker=formats)
    for error in validator.iter_errors(document):
        match error.validator:
            case "required":
                (key,) = (key for key in error.validator_value if f"'{key}'" in error.message)
                yield key, "is missing"
            case "format":
                value = quoted(str(error.instance))
                yield str(error.path[0]), addresses.problem("", value, str(error.cause)).why
            case _:
                is_secret = error.path[0] == "password"
                yield str(error.path[0]), "is not valid" if is_secret else error.message
