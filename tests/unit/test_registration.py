"""Chainloop's two schemas: kept byte for byte, and meant as they are written."""

import hashlib
from collections.abc import Mapping
from importlib.resources import files

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chainloop_smtp.errors import OptionsError
from chainloop_smtp.options import addresses, parse, plugin
from inputs import LOGIN as REGISTRATION


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


SCHEMAS = {
    "registration": plugin().registration_schema,
    "attachment": plugin().attachment_schema,
}
FORMATS = jsonschema.FormatChecker(formats=())
FORMATS.checks("email", raises=ValueError)(lambda value: bool(addresses.check(str(value))))


def refused(name: str, document: Mapping[str, str]) -> set[str]:
    """The keys that a schema complains of, with ``format: email`` really checked."""
    validator = jsonschema.Draft202012Validator(SCHEMAS[name], format_checker=FORMATS)
    keys = set()
    for error in validator.iter_errors(document):
        missing = error.validator_value if error.validator == "required" else ()
        keys |= {key for key in missing if key not in document}
        keys |= {str(each) for each in error.path}
    return keys


def reported(inputs: Mapping[str, str]) -> set[str]:
    try:
        parse(inputs)
    except OptionsError as error:
        return {each.where for each in error.problems}
    return set()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, None) for name in REGISTRATION),
        *((name, value) for name in ("from", "to", "cc") for value in ("nobody", "a@arpa", "@")),
    ],
)
def test_what_a_schema_refuses_is_reported(name: str, value: str | None) -> None:
    inputs = {key: text for key, text in REGISTRATION.items() if key != name}
    inputs |= {name: value} if value else {}
    document = {key: text for key, text in inputs.items() if key != "cc"}
    copy = {"cc": inputs["cc"]} if "cc" in inputs else {}
    assert refused("registration", document) | refused("attachment", copy) == {name}
    assert reported(inputs) == {name}


# Of lists, each member is a document of its own.
TEXTS = st.text(
    st.characters(exclude_characters=',;<>"', exclude_categories=()), max_size=9
).filter(lambda text: len(text.splitlines()) < 2) | st.sampled_from(
    [*REGISTRATION.values(), "", " ", "jane@relay", "x@y@z", "a@arpa", "@"]
)


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys((*REGISTRATION, "cc"), TEXTS)),
    st.sets(st.sampled_from(sorted(REGISTRATION))),
)
@example({}, set())
@example({"to": "nobody", "cc": "team@example.com"}, {"port"})
def test_nothing_is_accepted_that_a_schema_refuses(
    changed: dict[str, str], left_out: set[str]
) -> None:
    inputs = {key: text for key, text in (REGISTRATION | changed).items() if key not in left_out}
    document = {key: text.strip() for key, text in inputs.items() if text.strip()}
    copy = {"cc": document.pop("cc")} if "cc" in document else {}
    assert refused("registration", document) | refused("attachment", copy) <= reported(inputs)
