"""The commands of attachments: ``integration attached add``, ``list``, ``delete``."""

import json
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from chainloop_smtp import config_file, options
from chainloop_smtp.cli import integration
from chainloop_smtp.cli.run import Run
from chainloop_smtp.errors import OptionsError, Problem, quoted
from chainloop_smtp.model.entries import AttachmentEntry, Configuration
from chainloop_smtp.options import configuration
from chainloop_smtp.options.configuration import editing

_ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_HEAD = ("ID", "KIND", "CONFIG", "WORKFLOW", "ATTACHED AT")
# Flags of their own, or written by the command.
_NOT_OPTS = ("registration", "workflow", "project", "created-at")


def add(run: Run) -> int:
    """Attach a registration to the workflows that match."""
    file = integration.load(run)
    problems: list[Problem] = []
    opts = _opts(run, problems)
    for name in ("workflow", "project"):
        flag = getattr(run.arguments, name)
        if flag is not None and not flag.strip(", "):
            # A shell's unset variable; in the file it would mean any.
            problems.append(Problem(name, "is empty", f"Write '*' for any {name}."))
    if problems:
        raise OptionsError(*problems)
    entry: dict[str, editing.Value] = {
        "registration": integration.find_registration(file, run.arguments.integration).name,
        "workflow": run.arguments.workflow,
    }
    if run.arguments.project:
        entry["project"] = run.arguments.project
    entry |= opts | {"created-at": integration.created_at(run)}
    stored = integration.store(file.path, "attachments", entry)
    integration.warn_of_paths(run, opts)
    _print(run, stored, stored.attachments[-1:])
    return 0


def list_(run: Run) -> int:
    """List the attachments of the file: all, or those that a workflow or project would meet."""
    file = integration.load(run)
    attachments = [
        each
        for each in file.attachments
        if _meets(run.arguments.workflow, each.conditions.workflows)
        and _meets(run.arguments.project, each.conditions.projects)
    ]
    if attachments or run.console.is_json:
        _print(run, file, attachments)
    else:
        which = "such attachments" if file.attachments else "attachments"
        run.console.say(f"There are no {which} in {file.path}.")
    return 0


def delete(run: Run) -> int:
    """Take one attachment out of the file."""
    path = integration.load(run).path
    config_file.update(path, lambda text: _without(text, path, run.arguments.id))
    run.console.aside("integration detached!")
    return 0


def _without(text: str, path: str, id_: str) -> str:
    ids = [each.id for each in configuration.parse(text, path).attachments]
    if id_ not in ids:
        there_are = f"Available: {', '.join(ids)}." if ids else "There are none."
        hint = f"{there_are} Editing an attachment changes its id."
        why = f"there is no attachment {quoted(id_)} in {path}"
        raise OptionsError(Problem("id", why, hint))
    return editing.remove(text, path, "attachments", [ids.index(id_)])


def _opts(run: Run, problems: list[Problem]) -> dict[str, editing.Value]:
    """``cc``, and whatever else an attachment of the file may say."""
    known = [name for name in configuration.ATTACHMENT_KEYS if name not in _NOT_OPTS]
    given = integration.pairs(run.arguments.opt, known, "attachment", problems)
    inputs = {name: text for name, text in given.items() if name not in configuration.CONDITIONS}
    try:
        options.parse(run.listed(inputs), is_whole=False)
    except OptionsError as error:
        problems += error.problems
    return {**given}


def _meets(name: str | None, globs: Sequence[str]) -> bool:
    return not name or not globs or any(fnmatchcase(name, glob) for glob in globs)


def _item(file: Configuration, attachment: AttachmentEntry) -> dict[str, object]:
    """As ``chainloop integration attached list -o json`` prints one."""
    registration = integration.find_registration(file, attachment.registration)
    return {
        "id": attachment.id,
        "createdAt": attachment.created_at or None,
        "config": _config(attachment) or None,
        "integration": integration.registration_item(registration),
        "workflow": _workflow(attachment),
    }


def _workflow(attachment: AttachmentEntry) -> dict[str, object]:
    """The keys of Chainloop's ``WorkflowItem``, with what a file knows of a workflow.

    The id is empty unless the attachment names the workflow by it.
    """
    project, name = _globs(attachment)
    is_id = _ID.fullmatch(name) is not None
    return {
        "name": name,
        "id": name if is_id else "",
        "team": "",
        "project": project,
        "createdAt": None,
        "runsCount": 0,
        "contractName": "",
    }


def _globs(attachment: AttachmentEntry) -> tuple[str, str]:
    """What the names of project and workflow have to match."""
    conditions = attachment.conditions
    return ", ".join(conditions.projects) or "*", ", ".join(conditions.workflows) or "*"


def _config(attachment: AttachmentEntry) -> dict[str, str]:
    conditions = attachment.conditions
    further = {
        "branch": conditions.branches,
        "tag": conditions.tags,
        "event": conditions.events,
        "outcome": conditions.outcomes,
        "policy": conditions.policies,
        "findings": conditions.findings,
        "filter": [f"{each.name}={each.value}" for each in conditions.annotations],
    }
    words = {name: ", ".join(values) for name, values in further.items() if values}
    return words | integration.public_inputs(attachment.entry)


def _print(run: Run, file: Configuration, attachments: Sequence[AttachmentEntry]) -> None:
    if run.console.is_json:
        run.console.data(json.dumps([_item(file, each) for each in attachments], indent=3))
        return
    rows = []
    for each in attachments:
        registration = integration.find_registration(file, each.registration)
        inputs = integration.public_inputs(registration.entry) | _config(each)
        rows.append(
            (
                each.id,
                options.plugin().id,
                integration.config_cell({"integration": each.registration} | inputs),
                "/".join(_globs(each)),
                each.created_at,
            )
        )
    run.console.table(_HEAD, rows)
