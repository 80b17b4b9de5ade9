"""Raw inputs -> Options. The stage that knows jsonschema and email-validator.

The order is: normalise, check against Chainloop's two schemas, then our own stricter rules.
Every problem of a run is reported at once, each once.
"""

import json
import re
from collections.abc import Mapping

from chainloop_smtp.errors import (
    OptionsError,
    Problem,
    nearest_hint,
    quoted,
    quoted_path,
    quoted_word,
)
from chainloop_smtp.model.entries import Trigger
from chainloop_smtp.model.facts import JobResult, JobStatus
from chainloop_smtp.model.settings import Mailbox, Options, Plugin, Require, Secret
from chainloop_smtp.options import addresses
from chainloop_smtp.options.composition import composition
from chainloop_smtp.options.inputs import (
    ABOUT_THE_RUN,
    BOOLEAN,
    BY_NAME,
    CREDENTIALS,
    INPUTS,
    SECRETS,
    Input,
    Values,
    variable_of,
)
from chainloop_smtp.options.registration import (
    allowed_domains,
    attachment,
    lookups,
    registration,
    schema,
)
from chainloop_smtp.options.transport import (
    oauth2,
    proxy_secrets,
    service_account_keys,
    transport,
)
from chainloop_smtp.secrets.pem import private_keys

__all__ = [
    "ABOUT_THE_RUN",
    "CREDENTIALS",
    "INPUTS",
    "SECRETS",
    "Input",
    "is_secret",
    "mailbox",
    "normalise",
    "parse",
    "plugin",
    "secrets",
    "variable_of",
]


# As it is, or in base64.
_PEM_BEGINS = ("-----BEGIN ", "LS0tLS1CRUdJTi")
_TAKE_PEM = ("tls-ca-file", "tls-client-cert", "tls-client-key")
_NEEDS_HINT = "Write needs: ${{ toJSON(needs.*.result) }}, or ${{ toJSON(needs) }} for names too."
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def parse(raw: Mapping[str, object], *, is_whole: bool = True) -> Options:
    """All options of one run, validated.

    Args:
        raw: By input name, in any case, with ``-`` or ``_``. A value is a string, another JSON or
            YAML scalar, or a list of them. Empty means not given.
        is_whole: False: a configuration file says the rest, so nothing of the registration need
            be given; what is not is empty.

    Raises:
        OptionsError: With every problem found.
    """
    problems: list[Problem] = []
    given = _with_defaults(normalise(raw), problems)
    values = Values(given, problems)
    registered, attached = registration(values, is_whole=is_whole), attachment(values)
    hidden = values.mailboxes("bcc")
    redirected = values.mailboxes("redirect-to")
    fenced = (
        ("to", registered.to),
        ("cc", attached.cc),
        ("bcc", hidden),
        ("redirect-to", redirected),
    )
    options = Options(
        registration=registered,
        attachment=attached,
        bcc=hidden,
        envelope_from=values.mailbox("envelope-from"),
        attestation=values.text("attestation"),
        workflow_run_id=_run_id(values),
        previous_attestation=values.text("previous-attestation"),
        policy_evaluations=values.text("policy-evaluations"),
        project=_name(values, "project"),
        workflow=_name(values, "workflow"),
        job_status=_job_status(values),
        needs=_needs(values),
        composition=composition(values),
        transport=transport(values),
        oauth2=oauth2(values),
        lookups=lookups(values),
        allowed_domains=allowed_domains(values, *fenced),
        redirect_to=redirected,
        send_on=_triggers(values),
        config=values.text("config"),
        max_recipients=values.number("max-recipients"),
        require=values.word("require", Require),
        fail_on_error=values.is_true("fail-on-error"),
        dry_run=values.is_true("dry-run"),
        output_dir=values.text("output-dir"),
        secrets=secrets(given),
    )
    if problems:
        raise OptionsError(*sorted(dict.fromkeys(problems), key=_place))
    return options


def _place(problem: Problem) -> int:
    """Where the problem's input stands in the list of inputs; unknown ones come first."""
    return list(BY_NAME).index(problem.where) if problem.where in BY_NAME else -1


def _run_id(values: Values) -> str:
    """``workflow-run-id``: a UUID; empty when not given."""
    given = values.text("workflow-run-id")
    if given and not _UUID.fullmatch(given):
        hint = "It is the attestationID that `chainloop attestation init -o json` prints."
        values.wrong("workflow-run-id", f"{quoted_path(given)} is not a UUID", hint)
    if given and "attestation" in values:
        values.wrong("workflow-run-id", "attestation is given too", "Give one of them.")
    return given


def _name(values: Values, which: str) -> str:
    """``project`` or ``workflow``: Chainloop's name of the one that the run is of."""
    given = values.text(which)
    if not given.isprintable():
        values.wrong(which, f"{quoted(given)} is no name", "A name is one line of text.")
    elif any(character in given for character in "*?[]"):
        hint = "Here stands the one that the run is of; globs stand in a configuration file."
        values.wrong(which, f"{quoted(given)} is a glob and no name", hint)
    return given


def _job_status(values: Values) -> JobStatus | None:
    """``job-status``; None when not said."""
    return values.word("job-status", JobStatus) if "job-status" in values else None


def _needs(values: Values) -> tuple[JobResult, ...]:
    """Results of earlier jobs, with their names where those are given.

    That is GitHub's ``needs`` context, an object of {job id: {result, outputs}}; or the results
    alone, as a JSON array or as words between commas: outputs can be too long for a step.
    """
    text = values.text("needs")
    if text.startswith(("{", "[", '"')):
        try:
            given = json.loads(text)
        except (ValueError, RecursionError):
            values.wrong("needs", "is not JSON", _NEEDS_HINT)
            return ()
    else:
        given = text.replace(",", " ").split()
    if isinstance(given, dict):
        jobs = list(given.items())
    else:
        jobs = [("", job) for job in (given if isinstance(given, list) else [given])]
    results = []
    for name, job in jobs:
        result = job.get("result") if isinstance(job, dict) else None if name else job
        if result in tuple(JobStatus):
            results.append(JobResult(name=name, result=JobStatus(result)))
        elif name:
            why = f"job {quoted(name)} has no result of {', '.join(JobStatus)}"
            values.wrong("needs", why, _NEEDS_HINT)
        else:
            why = f"{quoted(str(result))} is not one of {', '.join(JobStatus)}"
            values.wrong("needs", why, _NEEDS_HINT)
    return tuple(results)


def _triggers(values: Values) -> tuple[Trigger, ...]:
    """``send-on``: words separated by commas or blanks, each once."""
    found = []
    words = list(filter(None, re.split(r"[,\s]+", values.text("send-on"))))
    for word in words:
        if word in tuple(Trigger):
            found.append(Trigger(word))
        else:
            hint = nearest_hint(word, tuple(Trigger), f"Write any of: {', '.join(Trigger)}.")
            values.wrong("send-on", f"{quoted_word(word)} is not one of its words", hint)
    if not words:
        values.wrong("send-on", f"{quoted_word(values.text('send-on'))} holds no word")
    return tuple(dict.fromkeys(found))


def normalise(raw: Mapping[str, object]) -> dict[str, str]:
    """The inputs that are given, by kebab-case name, as stripped strings. Nothing is checked."""
    return {
        name.strip().lower().replace("_", "-"): text
        for name, value in raw.items()
        if (text := _text(value).strip())
    }


def secrets(given: Mapping[str, str]) -> tuple[Secret, ...]:
    """What stands in normalised inputs and may be seen by nobody."""
    values: dict[str, tuple[str, ...]] = {name: (given.get(name, ""),) for name in SECRETS}
    values["oauth2-client-secret"] += service_account_keys(given.get("oauth2-client-secret", ""))
    values["proxy"] = proxy_secrets(given.get("proxy", ""))
    for name, text in given.items():
        values[name] = (*values.get(name, ()), *_private_keys(name, text))
    users = {"password": given.get("user", "")}
    return tuple(
        Secret(name=name, value=value, user=users.get(name, ""))
        for name, several in values.items()
        for value in several
        if value
    )


def is_secret(name: str, text: str) -> bool:
    """The input's value may be seen by nobody: a secret, a proxy's password, or a private key."""
    has_password = name == "proxy" and bool(proxy_secrets(text))
    return name in SECRETS or has_password or bool(_private_keys(name, text))


def _private_keys(name: str, text: str) -> tuple[str, ...]:
    """Those that a user gives; not what evidence quotes, as a policy does that looks for keys."""
    return private_keys(text) if name in _TAKE_PEM or text.startswith(_PEM_BEGINS) else ()


def mailbox(name: str, addr_spec: str) -> Mailbox | None:
    """Somebody's mailbox from what a commit says of them; None when it is none."""
    try:
        return addresses.mailbox(addresses.presentable(name), addr_spec)
    except ValueError:
        return None


def plugin() -> Plugin:
    """Chainloop's smtp plugin as it describes itself (plugins/core/smtp/v1)."""
    return Plugin(
        id="smtp",
        version="1.0",
        description="Send emails with information about a received attestation",
        registration_schema=schema("registration"),
        attachment_schema=schema("attachment"),
    )


def _text(value: object) -> str:
    """A scalar as YAML would write it; a list one item a line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "\n".join(map(_text, value))
    if isinstance(value, dict):
        return json.dumps(value)
    return str(value)


def _with_defaults(given: dict[str, str], problems: list[Problem]) -> dict[str, str]:
    """Known inputs only. A word outside an input's choices is reported, then read as absent."""
    known = {each.name: each.default for each in INPUTS if each.default}
    for name, value in given.items():
        if name not in BY_NAME:
            problems.append(_unknown(name))
        elif name not in (*SECRETS, *_TAKE_PEM) and _private_keys(name, value):
            hint = "A client certificate's key belongs in tls-client-key. Is this the right secret?"
            problems.append(Problem(name, "holds a private key", hint))
        elif (choices := BY_NAME[name].choices) and value not in choices:
            words = ("true", "false") if choices is BOOLEAN else choices
            problems.append(
                Problem(
                    name,
                    f"{quoted_word(value)} is not one of its words",
                    f"Write one of: {', '.join(words)}.",
                )
            )
        else:
            known[name] = value
    return known


def _unknown(name: str) -> Problem:
    return Problem(name[:60], "there is no such input", nearest_hint(name, BY_NAME))
