"""An attachment, its registration and the step's inputs -> Options of one mail."""

from collections.abc import Mapping

from chainloop_smtp import options
from chainloop_smtp.errors import OptionsError, Problem, quoted
from chainloop_smtp.model.entries import AttachmentEntry, Entry, RegistrationEntry
from chainloop_smtp.model.frozen import dataclass
from chainloop_smtp.model.settings import Options
from chainloop_smtp.options import addresses
from chainloop_smtp.options.transport import without_login

_ADDRESS = "unknown@chainloop-smtp.test"
# Used for a variable that is not set, so that everything else can be validated.
_STAND_INS = {
    "host": "chainloop-smtp.invalid",
    "port": "587",
    "user": "unknown",
    "password": "unknown",
    "from": _ADDRESS,
    "to": _ADDRESS,
}
# Credentials for a mail server, and for a token endpoint.
_LOGIN = ("password", "tls-client-cert", "tls-client-key")
_TOKEN = ("oauth2-client-secret", "oauth2-refresh-token", "oauth2-federated")
_TRUST = ("tls-ca-file", "tls-fingerprint")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The options of one mail.

    Attributes:
        options: With stand-ins, and so unfit for a delivery, while anything is missing.
        missing: One problem for each variable that is not set.
    """

    options: Options
    missing: tuple[Problem, ...]


class Resolver:
    """Resolves the attachments of one file; equal ones are validated once.

    Args:
        inputs: The step's, normalised: the defaults of every mail.
        variables: The environment.
    """

    def __init__(self, inputs: Mapping[str, str], variables: Mapping[str, str]) -> None:
        self._inputs = {
            name: text for name, text in inputs.items() if name not in options.ABOUT_THE_RUN
        }
        self._variables = variables
        self._parsed: dict[tuple[tuple[str, str], ...], Options] = {}

    def raw(self, registration: RegistrationEntry) -> Mapping[str, str]:
        """Return a registration's inputs over the step's; empty where a variable is not set."""
        return self._layers(registration).raw

    def resolve(self, registration: RegistrationEntry, attachment: AttachmentEntry) -> Resolved:
        """Validate an attachment's inputs over its registration's, and those over the step's.

        Raises:
            OptionsError: With every problem, each at its place in the file. A variable that is
                not set is not a problem yet: it may not be needed.
        """
        layers = self._layers(registration)
        layers.lay(attachment.entry)
        raw = layers.raw | {name: _STAND_INS.get(name, "") for name in layers.missing}
        key = tuple(sorted(raw.items()))
        try:
            if key not in self._parsed:
                self._parsed[key] = options.parse(raw)
        except OptionsError as error:
            problems = [_placed(each, layers, registration) for each in error.problems]
            raise OptionsError(*problems) from error
        return Resolved(options=self._parsed[key], missing=tuple(layers.missing.values()))

    def _layers(self, registration: RegistrationEntry) -> "_Layers":
        layers = _Layers(self._inputs, self._variables)
        layers.lay(registration.entry)
        layers.withhold(self._inputs)
        return layers


class _Layers:
    """The step's inputs, with those of the file's entries laid over them.

    Attributes:
        raw: Values by input.
        places: ``file:line:column`` of the inputs that the file sets.
        missing: Problems by input, of variables that are not set.
        withheld: The step's credentials that the registration does not inherit.
    """

    def __init__(self, inputs: Mapping[str, str], variables: Mapping[str, str]) -> None:
        self.raw = dict(inputs)
        self.places: dict[str, str] = {}
        self.missing: dict[str, Problem] = {}
        self.withheld: tuple[str, ...] = ()
        self._variables = variables

    def lay(self, entry: Entry) -> None:
        for name, text in entry.inputs.items():
            self._put(name, text, entry.places[name])
        for name, variable in entry.variables.items():
            # A workflow makes an empty variable of a secret that does not exist.
            text = self._variables.get(variable, "").strip()
            self._put(name, text, entry.places[name])
            if not text:
                self.missing[name] = _unset(entry.places[name], name, variable)

    def withhold(self, inputs: Mapping[str, str]) -> None:
        """Remove the step's credentials, unless they go where the step itself sends them.

        Otherwise the file's author could have them sent to a server of their own: under another
        host, by a proxy and a certificate that only the file trusts, or to another token endpoint.
        """
        is_elsewhere = (
            "host" in self.places
            and "host" not in self.missing
            and not addresses.is_same_host(self.raw["host"], inputs.get("host", ""))
        )
        is_intercepted = "proxy" in self.places and not self.places.keys().isdisjoint(_TRUST)
        names: tuple[str, ...] = ()
        if is_elsewhere or is_intercepted:
            names = (*_LOGIN, *_TOKEN)
            if not any(name.startswith("oauth2-") for name in self.places):
                names += tuple(name for name in inputs if name.startswith("oauth2-"))
            if "proxy" in inputs and "proxy" not in self.places:
                self.raw["proxy"] = without_login(inputs["proxy"])
        elif "oauth2-token-url" in self.places:
            is_other = self.raw["oauth2-token-url"] != inputs.get("oauth2-token-url")
            names = _TOKEN if is_other else ()
        self.withheld = tuple(
            name for name in dict.fromkeys(names) if name in inputs and name not in self.places
        )
        for name in self.withheld:
            del self.raw[name]

    def _put(self, name: str, text: str, place: str) -> None:
        self.missing.pop(name, None)
        self.raw[name] = text
        self.places[name] = place


def _unset(place: str, name: str, variable: str) -> Problem:
    return Problem(
        place,
        f"the variable {variable} for {name} is not set",
        f"In a workflow, give the step env: {variable}: ${{{{ secrets.{variable} }}}} (is that "
        "secret set for this repository?).",
    )


def _placed(problem: Problem, layers: _Layers, registration: RegistrationEntry) -> Problem:
    """A problem of an input, at the place in the file where it has to be fixed."""
    name = problem.where
    if name in layers.missing:
        return layers.missing[name]
    if name in layers.places:
        return Problem(f"{layers.places[name]} {name}", problem.why, problem.hint)
    if problem.why.startswith("is missing"):
        where = f"{registration.entry.place} registration {quoted(registration.name)}"
        is_secret = name in options.SECRETS
        if layers.withheld and is_secret:
            hint = (
                f"The step's {' and '.join(layers.withheld)} is used only for the step's own host. "
                f"Write {name}: {{env: NAME}} here, or leave host to the step."
            )
            return Problem(where, f"{name} is missing", hint)
        hint = f"Write {name}: {{env: NAME}}. A relay without login: auth: none."
        return Problem(where, f"{name} is missing", hint if is_secret else problem.hint)
    return problem
