"""Documents -> problems, by Chainloop's two schemas. The only module that knows jsonschema.

Importing jsonschema costs more than all the rest of a run, so it is asked only where it has
something to explain. That both say the same of every document is held by a test.
"""

import json
from collections.abc import Iterator, Mapping

from chainloop_smtp.errors import Problem, quoted
from chainloop_smtp.options import addresses
from chainloop_smtp.options.inputs import BY_NAME, SECRETS, variable_of

# By schema: the keys it has, the required ones in its order, and those of format email.
_KEYS = {
    "registration": ("to", "from", "user", "password", "host", "port"),
    "attachment": ("cc",),
}
_REQUIRED = {"registration": _KEYS["registration"], "attachment": ()}
_EMAILS = ("to", "from", "cc")


class Schema:
    """One of the two schemas."""

    def __init__(self, name: str) -> None:
        self._name = name

    def problems(self, document: Mapping[str, str]) -> Iterator[tuple[str, Problem]]:
        """Each violation of the schema as (option, problem)."""
        if self._is_plain(document):
            missing = (name for name in _REQUIRED[self._name] if name not in document)
            return ((name, _missing(name)) for name in missing)
        return self.explained(document)

    def _is_plain(self, document: Mapping[str, object]) -> bool:
        """Nothing in the document is wrong, though something may be missing from it."""
        return all(
            name in _KEYS[self._name]
            and isinstance(value, str)
            and (value != "" or name != "user")
            and (name not in _EMAILS or addresses.is_addr_spec(value))
            for name, value in document.items()
        )

    def explained(self, document: Mapping[str, str]) -> Iterator[tuple[str, Problem]]:
        """The same, with jsonschema asked in any case."""
        import jsonschema

        formats = jsonschema.FormatChecker(formats=())
        formats.checks("email", raises=ValueError)(_is_email)
        validator = jsonschema.Draft202012Validator(read(self._name), format_checker=formats)
        for error in validator.iter_errors(document):
            if error.validator == "required":
                for name in error.validator_value:
                    if name not in document and f"'{name}'" in error.message:
                        yield name, _missing(name)
                continue
            name = str(error.path[0])
            if error.validator == "format":
                yield name, addresses.problem(name, quoted(document[name]), str(error.cause))
            else:
                yield name, Problem(name, error.message if name not in SECRETS else "is not valid")


def read(name: str) -> Mapping[str, object]:
    """One schema, ``registration`` or ``attachment``, parsed from the bytes Chainloop publishes."""
    # Imported here: it is dear, and hardly any run has to look into a schema.
    from importlib.resources import files

    text = files("chainloop_smtp").joinpath(f"schemas/{name}.json").read_text(encoding="utf-8")
    schema: Mapping[str, object] = json.loads(text)
    return schema


def _is_email(value: object) -> bool:
    """JSON Schema's ``format: email``, which most validators leave unchecked."""
    addresses.check(str(value))
    return True


def _missing(name: str) -> Problem:
    if name in SECRETS:
        return Problem(
            name,
            "is missing",
            f"In a workflow: {name}: ${{{{ secrets.SMTP_{name.upper()} }}}} (is that secret set "
            f"for this repository?). On the command line: {variable_of(name)}, or --{name}-stdin. "
            "A relay without login: auth: none.",
        )
    if name == "user":
        hint = (
            f"{BY_NAME[name].help} Where it comes from a secret: is that secret set for this "
            "repository, and is its name spelt right?"
        )
        return Problem(name, "is missing", hint)
    return Problem(name, "is missing", BY_NAME[name].help)
