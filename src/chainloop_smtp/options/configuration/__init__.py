"""Text of a configuration file -> Configuration.

The file has two lists: registrations, and attachments that send the runs they match through one of
them. All problems are reported at once, each with file, line and column. Inputs stay text here:
they are validated once the step's inputs complete them.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from typing import TypeVar

from chainloop_smtp import options
from chainloop_smtp.errors import OptionsError, Problem, nearest_hint, quoted, quoted_word
from chainloop_smtp.model.attested import Annotation, FindingKind
from chainloop_smtp.model.entries import (
    AttachmentEntry,
    Conditions,
    Configuration,
    Entry,
    RegistrationEntry,
)
from chainloop_smtp.model.facts import Outcome
from chainloop_smtp.options.configuration.document import Node, Scalar, Sequence, Table, compose
from chainloop_smtp.options.inputs import ABOUT_THE_RUN, INPUTS, Scope

__all__ = [
    "ATTACHMENT_KEYS",
    "CONDITIONS",
    "REGISTRATION_KEYS",
    "is_label",
    "parse",
    "why_no_variable",
]

# Words of an entry's own come before the inputs that it may set.
_REGISTRATION_WORDS = ("name", "description", "created-at")
CONDITIONS = (
    *("workflow", "project", "branch", "tag", "event"),
    *("outcome", "policy", "findings", "filter"),
)
_ATTACHMENT_WORDS = ("registration", *CONDITIONS, "created-at")
REGISTRATION_KEYS = (
    *_REGISTRATION_WORDS,
    *(each.name for each in INPUTS if each.scope is not Scope.STEP),
)
_ATTACHMENT_INPUTS = tuple(each.name for each in INPUTS if each.scope is Scope.MAIL)
ATTACHMENT_KEYS = tuple(
    dict.fromkeys(("registration", *CONDITIONS, "send-on", "created-at", *_ATTACHMENT_INPUTS))
)

_LISTS = ("registrations", "attachments")
_FREE_TEXTS = ("description",)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Names of tokens that a job has for itself. A mail server's secret has another name.
_RESERVED = re.compile(
    r"(?i:CHAINLOOP_(TOKEN|SIGNING_.*)|(ACTIONS|GITHUB|RUNNER)_.*|GH_(ENTERPRISE_)?TOKEN|"
    # GitLab, Azure Pipelines, CircleCI.
    r"CI_JOB_(TOKEN|JWT.*)|SYSTEM_ACCESSTOKEN|CIRCLE_OIDC_TOKEN.*)"
)
# What GitHub would replace in a workflow; not what a subject's Jinja2 looks like.
_EXPRESSION = re.compile(
    r"\$\{\{\s*(secrets|vars|env|github|inputs|needs|job|steps|matrix|runner)\b"
)
# A label as in RFC 1123, with lower case only, as Chainloop and Kubernetes want a name to be.
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

Word = TypeVar("Word", bound=StrEnum)


def parse(text: str, path: str) -> Configuration:
    """Parse a configuration file, as far as it can be judged without the step's inputs.

    Args:
        path: As the user wrote it, for error messages.

    Raises:
        OptionsError: With every problem found.
    """
    reader = _Reader(path)
    lists = reader.lists(compose(text, path))
    registrations = reader.registrations(lists.get("registrations", ()))
    names = {each.name for each in registrations}
    attachments = reader.attachments(lists.get("attachments", ()), names)
    if reader.problems:
        raise OptionsError(*sorted(dict.fromkeys(reader.problems), key=_position))
    return Configuration(path=path, registrations=registrations, attachments=attachments)


def is_label(name: str) -> bool:
    """Whether a name is a DNS-1123 label, as Chainloop wants the name of a registration to be."""
    return bool(_LABEL.fullmatch(name))


def why_no_variable(name: str) -> str:
    """Why a configuration file cannot name an environment variable; empty when it can."""
    if not _VARIABLE.fullmatch(name):
        return f"{quoted(name)} is not a variable name"
    if _RESERVED.fullmatch(name):
        return f"{name} is for Chainloop or the runner, not for a mail server"
    return ""


def _position(problem: Problem) -> tuple[int, int]:
    line, column = problem.where.rsplit(":", 2)[1:]
    return int(line), int(column)


class _Reader:
    """Nodes -> entries, and the problems found in them."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.problems: list[Problem] = []

    def lists(self, root: Node | None) -> dict[str, tuple[Node, ...]]:
        """The items of each of the two lists that the file has."""
        if root is None or (isinstance(root, Scalar) and root.text is None):
            return {}
        if not isinstance(root, Table):
            hint = f"Write {_LISTS[0]}: and {_LISTS[1]}:, each with a list below."
            self._report(root, "the file is not a mapping", hint)
            return {}
        lists = {}
        for key, value in root.entries:
            name = key.text or ""
            # For anchors, as in Compose files.
            if name.startswith("x-"):
                continue
            if name not in _LISTS:
                self._unknown(key, _LISTS, "a configuration file")
            elif isinstance(value, Sequence):
                lists[name] = value.items
            elif not (isinstance(value, Scalar) and value.text is None):
                self._report(
                    value, f"{name} is not a list", "Begin each entry with a dash: - name: …"
                )
        return lists

    def registrations(self, items: Iterable[Node]) -> tuple[RegistrationEntry, ...]:
        registrations: dict[str, RegistrationEntry] = {}
        for item in items:
            entry, words = self._entry(item, REGISTRATION_KEYS, _REGISTRATION_WORDS)
            name = _only(words.get("name", ()))
            if not all(map(is_label, name.split("."))) or len(name) > 253:
                why = f"{quoted(name)} is not a valid registration name" if name else "has no name"
                hint = "Write name: with at most 63 lower-case letters, digits and dashes."
                self._report(item, why, hint)
            elif name in registrations:
                place = registrations[name].entry.place
                why = f"the name {quoted(name)} is taken already, at {place}"
                self._report(item, why, "Give each registration its own name.")
            else:
                registrations[name] = RegistrationEntry(
                    name=name,
                    id=_id("registration", name),
                    entry=entry,
                    description=_only(words.get("description", ())),
                    created_at=_only(words.get("created-at", ())),
                )
        return tuple(registrations.values())

    def attachments(
        self, items: Iterable[Node], registrations: set[str]
    ) -> tuple[AttachmentEntry, ...]:
        attachments = []
        twins: dict[str, int] = {}
        for item in items:
            entry, words = self._entry(item, ATTACHMENT_KEYS, _ATTACHMENT_WORDS)
            registration = _only(words.get("registration", ()))
            if not registration:
                hint = "Write registration: and the name of one."
                self._report(item, "names no registration", hint)
            elif registration not in registrations:
                names = ", ".join(sorted(registrations))
                there_are = f"Available: {names}." if names else "There is none in this file."
                hint = nearest_hint(registration, registrations, there_are)
                self._report(item, f"there is no registration {quoted(registration)}", hint)
            conditions = Conditions(
                workflows=words.get("workflow", ()),
                projects=words.get("project", ()),
                branches=words.get("branch", ()),
                tags=words.get("tag", ()),
                events=words.get("event", ()),
                outcomes=self._words(entry, "outcome", words, Outcome),
                policies=words.get("policy", ()),
                findings=self._words(entry, "findings", words, FindingKind),
                annotations=self._annotations(entry, words.get("filter", ())),
            )
            content = {name: value for name, value in words.items() if name != "created-at"}
            attachments.append(
                AttachmentEntry(
                    id=_unique_id(content, entry, twins),
                    registration=registration,
                    entry=entry,
                    conditions=conditions,
                    created_at=_only(words.get("created-at", ())),
                )
            )
        return tuple(attachments)

    def _entry(
        self, item: Node, known: tuple[str, ...], own: tuple[str, ...]
    ) -> tuple[Entry, dict[str, tuple[str, ...]]]:
        """One entry, and apart from its inputs the values of the keys that are its own."""
        inputs: dict[str, str] = {}
        variables: dict[str, str] = {}
        places: dict[str, str] = {}
        words: dict[str, tuple[str, ...]] = {}
        if not isinstance(item, Table):
            self._report(item, "the entry is not a mapping", "Write key: value below its dash.")
        for key, value in item.entries if isinstance(item, Table) else ():
            name = key.text or ""
            if name not in known:
                kind = "a registration" if "name" in known else "an attachment"
                self._unknown(key, known, kind)
                continue
            places[name] = self._place(key)
            if isinstance(value, Table) and name not in own:
                if variable := self._variable(name, value):
                    variables[name] = variable
            elif (texts := self._texts(name, value)) and options.is_secret(name, "".join(texts)):
                self._secret(name, value)
            elif texts and name in own:
                words[name] = texts if name in _FREE_TEXTS else _split(texts)
            elif texts:
                inputs[name] = "\n".join(texts)
            if name in CONDITIONS and not words.get(name) and _is_empty(value):
                hint = "Omit the key to match any."
                self._report(value, f"{name} is empty, and would match every run", hint)
        entry = Entry(place=self._place(item), inputs=inputs, variables=variables, places=places)
        return entry, words

    def _variable(self, name: str, value: Table) -> str:
        """The name in ``{env: NAME}``; empty when the mapping is another one."""
        names = [(key.text, each) for key, each in value.entries]
        match names:
            case [("env", Scalar(text=str(variable)))]:
                if not (why := why_no_variable(variable)):
                    return variable
            case _:
                why = f"{name} is a mapping, but not of env to a variable's name"
        hint = f"Write {name}: {{env: NAME}}, with the name of an environment variable."
        self._report(value, why, hint)
        return ""

    def _secret(self, name: str, value: Node) -> None:
        what = "the proxy's password" if name == "proxy" else name
        variable = f"SMTP_{name.upper().replace('-', '_')}"
        self._report(
            value,
            f"{what} is in the file itself, where everybody can read it",
            f"Change it at the server, then write {name}: {{env: {variable}}} and give the step "
            f"env: {variable}: ${{{{ secrets.{variable} }}}}.",
        )

    def _expression(self, name: str, value: Node) -> None:
        self._report(
            value,
            f"{name} is a workflow expression, and none is evaluated in this file",
            f"Write {name}: {{env: NAME}}, and the expression into env of the step.",
        )

    def _texts(self, name: str, value: Node) -> tuple[str, ...]:
        """A text, or each of a list of them. Null and empty ones are left out."""
        if isinstance(value, Table):
            self._report(value, f"{name} is a mapping, but must be text")
            return ()
        texts = []
        for each in value.items if isinstance(value, Sequence) else (value,):
            if not isinstance(each, Scalar):
                self._report(each, f"{name} contains something other than text")
            elif _EXPRESSION.search(each.text or ""):
                self._expression(name, each)
            elif each.text is not None and each.text.strip():
                texts.append(each.text.strip())
        return tuple(texts)

    def _words(
        self, entry: Entry, name: str, words: Mapping[str, tuple[str, ...]], kind: type[Word]
    ) -> tuple[Word, ...]:
        members = []
        for text in words.get(name, ()):
            if text in tuple(kind):
                members.append(kind(text))
            else:
                why = f"{quoted_word(text)} is not a valid value of {name}"
                hint = f"Use one of: {', '.join(kind)}."
                self.problems.append(Problem(entry.places[name], why, hint))
        return tuple(members)

    def _annotations(self, entry: Entry, pairs: Iterable[str]) -> tuple[Annotation, ...]:
        """``key=value`` each; an attestation has one value for a key."""
        annotations: dict[str, Annotation] = {}
        hint = "Write filter: key=value; separate several by commas."
        for pair in pairs:
            name, _, value = (part.strip() for part in pair.partition("="))
            annotation = Annotation(name=name, value=value)
            if not (name and value):
                why = f"filter: {quoted(pair)} is not key=value"
                self.problems.append(Problem(entry.places["filter"], why, hint))
            elif annotations.setdefault(name, annotation) != annotation:
                why = f"filter has two values for {quoted(name)}, and a run has only one"
                other = "Add an attachment for each value."
                self.problems.append(Problem(entry.places["filter"], why, other))
        return tuple(annotations.values())

    def _unknown(self, key: Scalar, known: Collection[str], what: str) -> None:
        name = key.text or ""
        hint = _home(name) or nearest_hint(name, known)
        self._report(key, f"{quoted(name)} is not a key of {what}", hint)

    def _report(self, node: Node, why: str, hint: str = "") -> None:
        self.problems.append(Problem(self._place(node), why, hint))

    def _place(self, node: Node) -> str:
        return f"{self._path}:{node.span}"


def _home(name: str) -> str:
    """Where a key belongs that is not allowed here; empty when there is no such key."""
    if name in _ATTACHMENT_WORDS or name == "send-on":
        return "It belongs in an attachment."
    if name in ABOUT_THE_RUN:
        return "It is an input of the step, the same for every mail."
    return "It belongs in a registration." if name in REGISTRATION_KEYS else ""


def _is_empty(value: Node) -> bool:
    """A text or a list; null means not given."""
    return isinstance(value, Sequence) or (isinstance(value, Scalar) and value.text is not None)


def _split(texts: Iterable[str]) -> tuple[str, ...]:
    """The words in texts, separated by commas or line breaks, each once."""
    parts = (part.strip() for text in texts for part in re.split(r"[,\n]", text))
    return tuple(dict.fromkeys(filter(None, parts)))


def _only(texts: tuple[str, ...]) -> str:
    return ", ".join(texts)


def _unique_id(words: Mapping[str, tuple[str, ...]], entry: Entry, twins: dict[str, int]) -> str:
    """The same for the same entry, wherever in the file it stands, but another for its twin."""
    content = json.dumps([words, entry.inputs, entry.variables], sort_keys=True)
    twins[content] = twins.get(content, 0) + 1
    return _id("attachment", f"{twins[content]} {content}")


def _id(kind: str, text: str) -> str:
    """A name-based UUID (RFC 9562 section 5.5) in this program's namespace."""
    import uuid

    namespace = uuid.uuid5(uuid.NAMESPACE_DNS, "chainloop-smtp.invalid")
    return str(uuid.uuid5(namespace, f"{kind} {text}"))
