"""The commands of attachments: ``integration attached add``, ``list``, ``delete``."""

import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from chainloop_smtp import config_file, options
from chainloop_smtp.cli import registered
from chainloop_smtp.cli.integration import pairs, print_table
from chainloop_smtp.cli.run import Run
from chainloop_smtp.errors import OptionsError, Problem, quoted
from chainloop_smtp.model.entries import AttachmentEntry, Configuration
from chainloop_smtp.options import configuration
from chainloop_smtp.options.configuration import editing

_HEAD = ("ID", "KIND", "CONFIG", "WORKFLOW", "ATTACHED AT")
# Flags of their own, or written by the command.
_NOT_OPTS = ("registration", "workflow", "project", "created-at")


def add(run: Run) -> int:
    """Attaches a registration to the workflows that match."""
    found = registered.load(run)
    problems: list[Problem] = []
    opts = _opts(run, problems)
    for name in ("workflow", "project"):
        given = getattr(run.arguments, name)
        if given is not None and not given.strip(", "):
            # What a shell makes of a variable that is not set; in the file it would mean any.
            problems.append(Problem(name, "is empty", f"Write '*' for any {name}."))
    if problems:
        raise OptionsError(*problems)
    entry: dict[str, editing.Value] = {
        "registration": registered.by_name(found, run.arguments.integration).name,
        "workflow": run.arguments.workflow,
    }
    if run.arguments.project:
        entry["project"] = run.arguments.project
    stamp = {"created-at": registered.stamp(run.now())}
    after: list[Configuration] = []

    def change(text: str) -> str:
        changed = editing.add(text, found.path, "attachments", entry | opts | stamp)
        after.append(configuration.parse(changed, found.path))
        return changed

    config_file.update(found.path, change)
    (stored,) = after
    registered.warn_of_paths(run, opts)
    if run.console.is_json:
        run.console.data(json.dumps([_item(stored, stored.attachments[-1])], indent=3))
    else:
        _print(run, stored, stored.attachments[-1:])
    return 0


def list_(run: Run) -> int:
    """Lists the attachments of the file: all, or those that a workflow or project would meet."""
    found = registered.load(run)
    attachments = [
        each
        for each in found.attachments
        if _meets(run.arguments.workflow, each.conditions.workflows)
        and _meets(run.arguments.project, each.conditions.projects)
    ]
    if run.console.is_json:
        run.console.data(json.dumps([_item(found, each) for each in attachments], indent=3))
    elif attachments:
        _print(run, found, attachments)
    else:
        which = "such attachments" if found.attachments else "attachments"
        run.console.say(f"There are no {which} in {found.path}.")
    return 0


def delete(run: Run) -> int:
    """Takes one attachment out of the file."""
    found = registered.load(run)
    wanted = run.arguments.id

    def change(text: str) -> str:
        now = configuration.parse(text, found.path).attachments
        positions = [at for at, each in enumerate(now) if each.id == wanted]
        if not positions:
            ids = ", ".join(each.id for each in now)
            there_are = f"There are: {ids}." if ids else "There are none."
            hint = f"{there_are} Editing an attachment changes its id."
            why = f"there is no attachment {quoted(wanted)} in {found.path}"
            raise OptionsError(Problem("id", why, hint))
        return editing.remove(text, found.path, "attachments", positions)

    config_file.update(found.path, change)
    run.console.aside("integration detached!")
    return 0


def _opts(run: Run, problems: list[Problem]) -> dict[str, editing.Value]:
    """``cc``, and whatever else an attachment of the file may say."""
    known = [name for name in configuration.ATTACHMENT_KEYS if name not in _NOT_OPTS]
    given = pairs(run.arguments.opt, known, "attachment", problems)
    inputs = {name: text for name, text in given.items() if name not in configuration.CONDITIONS}
    try:
        options.parse(inputs, is_whole=False)
    except OptionsError as error:
        problems += error.problems
    return {**given}


def _meets(name: str | None, globs: Sequence[str]) -> bool:
    return not name or not globs or any(fnmatchcase(name, glob) for glob in globs)


def _item(found: Configuration, attachment: AttachmentEntry) -> dict[str, object]:
    """As ``chainloop integration attached list -o json`` prints one."""
    registration = registered.by_name(found, attachment.registration)
    return {
        "id": attachment.id,
        "createdAt": attachment.created_at or None,
        "config": _config(attachment) or None,
        "integration": registered.item(registration),
        "workflow": {
            "name": ", ".join(attachment.conditions.workflows) or "*",
            "project": ", ".join(attachment.conditions.projects) or "*",
        },
    }


def _config(attachment: AttachmentEntry) -> dict[str, str]:
    conditions = attachment.conditions
    further = {
        "branch": conditions.branches,
        "tag": conditions.tags,
        "event": conditions.events,
        "outcome": conditions.outcomes,
        "policy": conditions.policies,
        "findings": conditions.findings,
    }
    said = {name: ", ".join(words) for name, words in further.items() if words}
    return said | registered.config(attachment.entry.given, attachment.entry.variables)


def _print(run: Run, found: Configuration, attachments: Sequence[AttachmentEntry]) -> None:
    rows = []
    for each in attachments:
        entry = registered.by_name(found, each.registration).entry
        merged: Mapping[str, str] = registered.config(entry.given, entry.variables) | _config(each)
        workflow = ", ".join(each.conditions.workflows) or "*"
        project = ", ".join(each.conditions.projects) or "*"
        rows.append(
            (
                each.id,
                options.plugin().id,
                registered.lines({"integration": each.registration} | dict(merged)),
                f"{project}/{workflow}",
                each.created_at,
            )
        )
    print_table(run, _HEAD, rows)
