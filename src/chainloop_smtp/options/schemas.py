"""Documents -> problems, by Chainloop's two schemas. The only module that knows jsonschema."""

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files

from chainloop_smtp.errors import Problem
from chainloop_smtp.options import addresses
from chainloop_smtp.options.inputs import BY_NAME, SECRETS


class Schema:
    """One of the two schemas with its validator, which is dear to import and cheap to reuse."""

    def __init__(self, name: str) -> None:
        import jsonschema

        formats = jsonschema.FormatChecker(formats=())
        formats.checks("email", raises=ValueError)(_is_email)
        self._validator = jsonschema.Draft202012Validator(read(name), format_checker=formats)

    def problems(self, document: Mapping[str, str]) -> Iterator[tuple[str, Problem]]:
        """Each violation of the schema as (option, problem)."""
        for error in self._validator.iter_errors(document):
            if error.validator == "required":
                for name in error.validator_value:
                    if name not in document and f"'{name}'" in error.message:
                        yield name, _missing(name)
                continue
            name = str(error.path[0])
            if error.validator == "format":
                yield name, addresses.problem(name, document[name], str(error.cause))
            else:
                yield name, Problem(name, error.message if name not in SECRETS else "is not valid")


def read(name: str) -> Mapping[str, object]:
    """One schema, ``registration`` or ``attachment``, parsed from the bytes Chainloop publishes."""
    text = files("chainloop_smtp").joinpath(f"schemas/{name}.json").read_text(encoding="utf-8")
    schema: Mapping[str, object] = json.loads(text)
    return schema


def _is_email(value: object) -> bool:
    """JSON Schema's ``format: email``, which most validators leave unchecked."""
    addresses.check(str(value))
    return True


def _missing(name: str) -> Problem:
    if name in SECRETS:
        variable = "CHAINLOOP_SMTP_" + name.upper().replace("-", "_")
        return Problem(
            name,
            "is missing",
            f"In a workflow: {name}: ${{{{ secrets.SMTP_{name.upper()} }}}} (is that secret set "
            f"for this repository?). On the command line: {variable}, or --{name}-stdin. "
            "A relay without login: auth: none.",
        )
    return Problem(name, "is missing", BY_NAME[name].help)
