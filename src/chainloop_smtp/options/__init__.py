"""Raw inputs -> Options.

Inputs are normalised, then checked against Chainloop's two schemas, then against our own, stricter
rules. All problems are reported at once, each of them once.
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
from chainloop_smtp.model.facts import JobResult, JobStatus
from chainloop_smtp.model.settings import (
    Mailbox,
    Options,
    Plugin,
    Require,
    RunSelection,
    Secret,
    Trigger,
)
from chainloop_smtp.options import addresses
from chainloop_smtp.options.composition import parse_composition
from chainloop_smtp.options.inputs import (
    ABOUT_THE_RUN,
    BOOLEAN,
    BY_NAME,
    CREDENTIALS,
    GROUPS,
    INPUTS,
    SECRETS,
    Input,
    variable_of,
)
from chainloop_smtp.options.registration import (
    parse_allowed_domains,
    parse_attachment,
    parse_registration,
)
from chainloop_smtp.options.transport import (
    parse_oauth2,
    parse_transport,
    proxy_secrets,
    service_account_keys,
)
from chainloop_smtp.options.values import RECIPIENTS, Values
from chainloop_smtp.secrets import private_keys

__all__ = [
    "ABOUT_THE_RUN",
    "BY_NAME",
    "CREDENTIALS",
    "GROUPS",
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
    """Validate all options of one run.

    Args:
        raw: By input name, in any case, with ``-`` or ``_``. A value is a string, another JSON or
            YAML scalar, or a list of them. Empty means not given.
        is_whole: False where a configuration file completes the inputs: no part of the registration
            is required, and what is missing stays empty.

    Raises:
        OptionsError: With every problem found.
    """
    problems: list[Problem] = []
    inputs = _with_defaults(normalise(raw), problems)
    values = Values(inputs, problems)
    registration = parse_registration(values, is_whole=is_whole)
    attachment = parse_attachment(values)
    bcc, redirect_to = values.mailboxes("bcc"), values.mailboxes("redirect-to")
    recipients = {
        "to": registration.to,
        "cc": attachment.cc,
        "bcc": bcc,
        "redirect-to": redirect_to,
    }
    options = Options(
        registration=registration,
        attachment=attachment,
        bcc=bcc,
        envelope_from=values.mailbox("envelope-from"),
        attestation=values.text("attestation"),
        workflow_run_ids=_parse_run_ids(values),
        run_selection=_parse_run_selection(values),
        state_file=values.text("state-file"),
        previous_attestation=values.text("previous-attestation"),
        policy_evaluations=values.text("policy-evaluations"),
        trusted_root=values.text("trusted-root"),
        verification_key=values.text("verification-key"),
        require_signature=_parse_require_signature(values),
        project=_parse_name(values, "project"),
        workflow=_parse_name(values, "workflow"),
        job_status=values.word("job-status", JobStatus) if "job-status" in values else None,
        needs=_parse_needs(values),
        composition=parse_composition(values),
        transport=parse_transport(values),
        oauth2=parse_oauth2(values),
        lookups=tuple((name, lookup) for name in RECIPIENTS for lookup in values.lookups(name)),
        allowed_domains=parse_allowed_domains(values, recipients),
        redirect_to=redirect_to,
        send_on=_parse_triggers(values),
        config=values.text("config"),
        max_recipients=values.number("max-recipients"),
        require=values.word("require", Require),
        fail_on_error=values.is_true("fail-on-error"),
        dry_run=values.is_true("dry-run"),
        output_dir=values.text("output-dir"),
        secrets=secrets(inputs),
    )
    if problems:
        raise OptionsError(*sorted(dict.fromkeys(problems), key=_place))
    return options


def _place(problem: Problem) -> int:
    """Where the problem's input stands in the list of inputs; unknown ones come first."""
    return list(BY_NAME).index(problem.where) if problem.where in BY_NAME else -1


def _parse_run_ids(values: Values) -> tuple[str, ...]:
    """Ids separated by commas or white space, each once; none where a word selects the runs."""
    words = _split_words(values.text("workflow-run-id"))
    if words and "attestation" in values:
        values.report("workflow-run-id", "attestation is given too", "Give one of them.")
    if len(words) == 1 and words[0] in tuple(RunSelection):
        return ()
    for word in words:
        if word in tuple(RunSelection):
            why = f"{word} is given together with other runs"
            values.report("workflow-run-id", why, f"Give {word} alone, or ids alone.")
        elif not _UUID.fullmatch(word):
            hint = (
                "It is the attestationID that `chainloop attestation init -o json` prints. auto "
                "finds the runs by itself."
            )
            values.report("workflow-run-id", f"{quoted_path(word)} is not a UUID", hint)
    spellings: dict[str, str] = {}
    for word in words:
        spellings.setdefault(word.lower(), word)
    return tuple(spellings.values())


def _parse_run_selection(values: Values) -> RunSelection | None:
    word = values.text("workflow-run-id")
    is_new = word == RunSelection.NEW
    if is_new and "state-file" not in values:
        hint = "Give a file that is kept between runs, such as state.json from a cache."
        values.report("state-file", "is missing, but workflow-run-id is new", hint)
    elif "state-file" in values and not is_new:
        hint = "Set workflow-run-id: new, or omit state-file."
        values.report("state-file", "is set, but workflow-run-id is not new", hint)
    return RunSelection(word) if word in tuple(RunSelection) else None


def _parse_require_signature(values: Values) -> bool:
    is_required = values.is_true("require-signature")
    if is_required and "trusted-root" not in values and "verification-key" not in values:
        why = "is true, but trusted-root and verification-key are empty"
        values.report(
            "require-signature", why, "Set one of them, to say whose signatures to trust."
        )
    return is_required


def _parse_name(values: Values, which: str) -> str:
    """Chainloop's name of the project or workflow that the run belongs to."""
    name = values.text(which)
    if not name.isprintable():
        values.report(which, f"{quoted(name)} is not a name", "A name is one line of text.")
    elif any(character in name for character in "*?[]"):
        hint = "Write the run's own name; globs belong in a configuration file."
        values.report(which, f"{quoted(name)} is a glob, not a name", hint)
    return name


def _parse_needs(values: Values) -> tuple[JobResult, ...]:
    """Results of earlier jobs, with their names where those are given.

    The input is GitHub's ``needs`` context, an object of {job id: {result, outputs}}; or, since
    outputs can be too long for a step, the results alone: a JSON array, or words between commas.
    """
    text = values.text("needs")
    needs: object = text.replace(",", " ").split()
    if text.startswith(("{", "[", '"')):
        try:
            needs = json.loads(text)
        except (ValueError, RecursionError):
            values.report("needs", "is not JSON", _NEEDS_HINT)
            return ()
    if isinstance(needs, dict):
        jobs = list(needs.items())
    else:
        jobs = [("", job) for job in (needs if isinstance(needs, list) else [needs])]
    results = []
    for name, job in jobs:
        result = job.get("result") if isinstance(job, dict) else None if name else job
        if result in tuple(JobStatus):
            results.append(JobResult(name=name, result=JobStatus(result)))
        elif name:
            why = f"job {quoted(name)} has no result of {', '.join(JobStatus)}"
            values.report("needs", why, _NEEDS_HINT)
        else:
            why = f"{quoted(str(result))} is not one of {', '.join(JobStatus)}"
            values.report("needs", why, _NEEDS_HINT)
    return tuple(results)


def _parse_triggers(values: Values) -> tuple[Trigger, ...]:
    """Words of ``send-on``, separated by commas or blanks."""
    triggers = []
    words = _split_words(values.text("send-on"))
    for word in words:
        if word in tuple(Trigger):
            triggers.append(Trigger(word))
        else:
            hint = nearest_hint(word, tuple(Trigger), f"Use any of: {', '.join(Trigger)}.")
            values.report("send-on", f"{quoted_word(word)} is not a valid value", hint)
    if not words:
        values.report("send-on", f"{quoted_word(values.text('send-on'))} contains no word")
    return tuple(dict.fromkeys(triggers))


def _split_words(text: str) -> list[str]:
    return list(filter(None, re.split(r"[,\s]+", text)))


def normalise(raw: Mapping[str, object]) -> dict[str, str]:
    """Return the inputs that are not empty, by kebab-case name, as stripped strings, unchecked."""
    return {
        name.strip().lower().replace("_", "-"): text
        for name, value in raw.items()
        if (text := _text(value).strip())
    }


def secrets(inputs: Mapping[str, str]) -> tuple[Secret, ...]:
    """Return what nobody may see of normalised inputs."""
    values: dict[str, tuple[str, ...]] = {name: (inputs.get(name, ""),) for name in SECRETS}
    values["oauth2-client-secret"] += service_account_keys(inputs.get("oauth2-client-secret", ""))
    values["proxy"] = proxy_secrets(inputs.get("proxy", ""))
    for name, text in inputs.items():
        values[name] = (*values.get(name, ()), *_private_keys(name, text))
    users = {"password": inputs.get("user", "")}
    return tuple(
        Secret(name=name, value=value, user=users.get(name, ""))
        for name, several in values.items()
        for value in several
        if value
    )


def is_secret(name: str, text: str) -> bool:
    """Whether nobody may see an input: a secret, a proxy with a password, or a private key."""
    has_password = name == "proxy" and bool(proxy_secrets(text))
    return name in SECRETS or has_password or bool(_private_keys(name, text))


def _private_keys(name: str, text: str) -> tuple[str, ...]:
    # Not those that evidence quotes, such as a policy that looks for keys.
    return private_keys(text) if name in _TAKE_PEM or text.startswith(_PEM_BEGINS) else ()


def mailbox(name: str, addr_spec: str) -> Mailbox | None:
    """Return the mailbox of a commit's author or committer; None when it is not a valid one."""
    try:
        return addresses.mailbox(addresses.presentable(name), addr_spec)
    except ValueError:
        return None


def plugin() -> Plugin:
    """Describe Chainloop's smtp plugin as it does itself (plugins/core/smtp/v1)."""
    return Plugin(
        id="smtp",
        version="1.0",
        description="Send emails with information about a received attestation",
        registration_schema=_schema("registration"),
        attachment_schema=_schema("attachment"),
    )


def _schema(name: str) -> Mapping[str, object]:
    # Imported here: it is slow, and hardly any run has to look into a schema.
    from importlib.resources import files

    text = files("chainloop_smtp").joinpath(f"schemas/{name}.json").read_text(encoding="utf-8")
    schema: Mapping[str, object] = json.loads(text)
    return schema


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


def _with_defaults(inputs: dict[str, str], problems: list[Problem]) -> dict[str, str]:
    """Known inputs only. A word outside an input's choices is reported, then read as absent."""
    known = {each.name: each.default for each in INPUTS if each.default}
    for name, value in inputs.items():
        if name not in BY_NAME:
            hint = nearest_hint(name, BY_NAME)
            problems.append(Problem(name[:60], "there is no such input", hint))
        elif name not in (*SECRETS, *_TAKE_PEM) and _private_keys(name, value):
            hint = "A client certificate's key belongs in tls-client-key. Is this the right secret?"
            problems.append(Problem(name, "contains a private key", hint))
        elif (choices := BY_NAME[name].choices) and value not in choices:
            words = ("true", "false") if choices is BOOLEAN else choices
            why = f"{quoted_word(value)} is not a valid value"
            problems.append(Problem(name, why, f"Use one of: {', '.join(words)}."))
        else:
            known[name] = value
    return known
