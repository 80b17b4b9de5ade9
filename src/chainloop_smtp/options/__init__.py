"""Raw inputs -> Options. The stage that knows jsonschema and email-validator.

The order is: normalise, check against Chainloop's two schemas, then our own stricter rules.
Every problem of a run is reported at once, each once.
"""

import json
import re
from collections.abc import Mapping

from chainloop_smtp.errors import OptionsError, Problem, quoted
from chainloop_smtp.model import (
    Attachment,
    Auth,
    EnvValues,
    JobResult,
    JobStatus,
    Mailbox,
    Options,
    Plugin,
    Registration,
    Require,
    Tls,
    Transport,
)
from chainloop_smtp.options import addresses, schemas
from chainloop_smtp.options.inputs import BY_NAME, INPUTS, SECRETS, Input

__all__ = ["INPUTS", "SECRETS", "Input", "normalise", "parse", "plugin"]

_LOGIN = ("user", "password")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_NOBODY = Mailbox(addr_spec="")
_LONGEST_WAIT = 24 * 60 * 60  # seconds


def parse(raw: Mapping[str, object]) -> Options:
    """All options of one run, validated.

    Args:
        raw: By input name, in any case, with ``-`` or ``_``. A value is a string, another JSON or
            YAML scalar, or a list of them. Empty means not given.

    Raises:
        OptionsError: With every problem found.
    """
    problems: list[Problem] = []
    given = _with_defaults(normalise(raw), problems)
    _check_schemas(given, problems)
    _check_login(given, problems)
    sender = _mailboxes("from", given, problems, at_most=1)
    bounces = _mailboxes("envelope-from", given, problems, at_most=1)
    has_login = given["auth"] != Auth.NONE
    options = Options(
        registration=Registration(
            host=_host(given.get("host", ""), problems),
            port=_port(given.get("port", ""), problems),
            user=given.get("user", "") if has_login else "",
            password=given.get("password", "") if has_login else "",
            from_=sender[0] if sender else _NOBODY,
            to=_mailboxes("to", given, problems),
        ),
        attachment=Attachment(cc=_mailboxes("cc", given, problems)),
        bcc=_mailboxes("bcc", given, problems),
        reply_to=_mailboxes("reply-to", given, problems),
        envelope_from=bounces[0] if bounces else None,
        attestation=given.get("attestation", ""),
        workflow_run_id=_run_id(given, problems),
        policy_evaluations=given.get("policy-evaluations", ""),
        job_status=JobStatus(given["job-status"]) if "job-status" in given else None,
        needs=_needs(given.get("needs", ""), problems),
        env_values=EnvValues(given["env-values"]),
        transport=Transport(
            tls=Tls(given["tls"]),
            tls_ca_file=given.get("tls-ca-file", ""),
            auth=Auth(given["auth"]),
            timeout=_seconds("timeout", given["timeout"], problems),
            deadline=_seconds("deadline", given["deadline"], problems),
        ),
        require=Require(given["require"]),
        fail_on_error=given["fail-on-error"].lower() == "true",
        dry_run=given["dry-run"].lower() == "true",
        output_dir=given.get("output-dir", ""),
    )
    if problems:
        raise OptionsError(*sorted(dict.fromkeys(problems), key=_place))
    return options


def _place(problem: Problem) -> int:
    """Where the problem's input stands in the list of inputs; unknown ones come first."""
    return list(BY_NAME).index(problem.where) if problem.where in BY_NAME else -1


def normalise(raw: Mapping[str, object]) -> dict[str, str]:
    """The inputs that are given, by kebab-case name, as stripped strings. Nothing is checked."""
    return {
        name.strip().lower().replace("_", "-"): text
        for name, value in raw.items()
        if (text := _text(value).strip())
    }


def plugin() -> Plugin:
    """Chainloop's smtp plugin as it describes itself (plugins/core/smtp/v1)."""
    return Plugin(
        id="smtp",
        version="1.0",
        description="Send emails with information about a received attestation",
        registration_schema=schemas.read("registration"),
        attachment_schema=schemas.read("attachment"),
    )


# --- step 1: one shape for every value ---------------------------------------------------------


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
        elif (choices := BY_NAME[name].choices) and value not in choices:
            problems.append(
                Problem(
                    name,
                    f"{quoted(value)} is not one of its words",
                    f"Write one of: {', '.join(choices)}.",
                )
            )
        else:
            known[name] = value
    return known


def _unknown(name: str) -> Problem:
    import difflib

    nearest = difflib.get_close_matches(name, BY_NAME, n=1)
    return Problem(
        name[:60],
        "there is no such input",
        f"Did you mean {nearest[0]}?" if nearest else f"There are: {', '.join(BY_NAME)}.",
    )


# --- step 2: Chainloop's own schemas -----------------------------------------------------------


def _check_schemas(given: Mapping[str, str], problems: list[Problem]) -> None:
    """Registration and attachment against their schemas, each address of a list on its own."""
    registration = {
        name: given[name] for name in ("host", "port", "user", "password") if name in given
    }
    senders, recipients, copies = (
        [addresses.name_and_addr_spec(member)[1] for member in addresses.split(given.get(name, ""))]
        for name in ("from", "to", "cc")
    )
    for name, specs in (("from", senders), ("to", recipients)):
        if specs:
            registration[name] = specs[0]
    check = schemas.Schema("registration")
    for name, problem in check.problems(registration):
        # The schema knows no relay without login; `auth: none` is the one case for it.
        is_relay = name in _LOGIN and given["auth"] == Auth.NONE
        # What is given and holds no address is no address, and not missing.
        if not (name not in registration and (is_relay or name in given)):
            problems.append(problem)
    for recipient in recipients[1:]:
        problems.extend(
            problem
            for name, problem in check.problems(registration | {"to": recipient})
            if name == "to"
        )
    if copies:
        check = schemas.Schema("attachment")
        for copy in copies:
            problems.extend(problem for _, problem in check.problems({"cc": copy}))


# --- step 3: our own, stricter rules -----------------------------------------------------------


def _check_login(given: Mapping[str, str], problems: list[Problem]) -> None:
    """User and password in what SASL can carry (RFC 4616 section 2): UTF-8 without NUL."""
    for name in _LOGIN:
        value = given.get(name, "")
        # A byte that is not UTF-8 arrives as half of a surrogate pair.
        if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in value):
            problems.append(Problem(name, "holds a NUL character, or is not valid UTF-8"))


def _mailboxes(
    name: str, given: Mapping[str, str], problems: list[Problem], at_most: int = 0
) -> tuple[Mailbox, ...]:
    """The mailboxes of one input; those that are none are reported and left out."""
    members = addresses.split(given.get(name, ""))
    if at_most and len(members) > at_most:
        problems.append(
            Problem(
                name,
                f"{len(members)} addresses are given where one belongs",
                'A display name with a comma stands in quotes: "Doe, Jane" <jane@example.com>.',
            )
        )
    if not members and name in given:
        problems.append(Problem(name, f"{quoted(given[name])} holds no address"))
    found = []
    for member in members:
        display_name, addr_spec = addresses.name_and_addr_spec(member)
        try:
            found.append(addresses.mailbox(display_name, addr_spec))
        except ValueError as error:
            problems.append(addresses.problem(name, addr_spec, str(error)))
    return tuple(found)


def _host(host: str, problems: list[Problem]) -> str:
    """A host name or an IP literal, without the brackets of the latter."""
    if not host or _is_host_name(host):
        return host
    if "/" in host:
        why = "has the form of a URL"
    elif any(character.isspace() or not character.isprintable() for character in host):
        why = "holds white space or what cannot be printed"
    else:
        import ipaddress

        try:
            return str(ipaddress.ip_address(host[1:-1] if host[0] + host[-1] == "[]" else host))
        except ValueError:
            why = "has a port or a colon in it" if ":" in host else "is no host name or IP address"
    hint = "Write the bare host name, such as smtp.example.com; the port has an input of its own."
    problems.append(Problem("host", f"{quoted(host)} {why}", hint))
    return ""


def _is_host_name(host: str) -> bool:
    """RFC 1123 section 2.1, after IDNA; an underscore is let through, since resolvers take it.

    A name never ends in a label of digits alone, so 192.0.2.999 is none.
    """
    try:
        ascii_host = host.encode("idna").decode("ascii")
    except UnicodeError:
        return False
    labels = ascii_host.removesuffix(".").split(".")
    return (
        len(ascii_host) <= 253
        and not labels[-1].isdigit()
        and all(
            0 < len(label) <= 63
            and label.replace("-", "").replace("_", "").isalnum()
            and label.isascii()
            and not label.startswith("-")
            and not label.endswith("-")
            for label in labels
        )
    )


def _port(port: str, problems: list[Problem]) -> int:
    if port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535:
        return int(port)
    if port:
        problems.append(
            Problem(
                "port",
                f"{quoted(port)} is not a port number from 1 to 65535",
                "Usual are 587 (STARTTLS) and 465 (implicit TLS).",
            )
        )
    return 0


def _seconds(name: str, value: str, problems: list[Problem]) -> float:
    """Seconds to wait: more than none, a day at most."""
    hint = "Write seconds, such as 30 or 2.5."
    try:
        seconds = float(value)
    except ValueError:
        problems.append(Problem(name, f"{quoted(value)} is not a number", hint))
        return 0.0
    # Written so that NaN fails too.
    if not 0 < seconds <= _LONGEST_WAIT:
        why = f"{quoted(value)} is not more than 0 and at most {_LONGEST_WAIT}"
        problems.append(Problem(name, why, hint))
    return seconds


def _run_id(given: Mapping[str, str], problems: list[Problem]) -> str:
    run_id = given.get("workflow-run-id", "")
    if run_id and not _UUID.fullmatch(run_id):
        hint = "It is the attestationID that `chainloop attestation init -o json` prints."
        problems.append(Problem("workflow-run-id", f"{quoted(run_id)} is not a UUID", hint))
    if run_id and "attestation" in given:
        problems.append(Problem("workflow-run-id", "attestation is given too", "Give one of them."))
    return run_id


def _needs(text: str, problems: list[Problem]) -> tuple[JobResult, ...]:
    """GitHub's ``needs`` context: an object of {job id: {result, outputs}}."""
    if not text:
        return ()
    hint = "Write needs: ${{ toJSON(needs) }}."
    try:
        needs = json.loads(text)
    except (ValueError, RecursionError):
        problems.append(Problem("needs", "is not JSON", hint))
        return ()
    if not isinstance(needs, dict):
        problems.append(Problem("needs", "is not a JSON object of jobs", hint))
        return ()
    results = []
    for name, job in needs.items():
        result = job.get("result") if isinstance(job, dict) else None
        if result in tuple(JobStatus):
            results.append(JobResult(name=name, result=JobStatus(result)))
        else:
            why = f"job {quoted(name)} has no result of {', '.join(JobStatus)}"
            problems.append(Problem("needs", why, hint))
    return tuple(results)
