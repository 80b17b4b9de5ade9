"""A stand-in for the ``chainloop`` command: it lists runs page by page, and describes each."""

import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from builders import cli_describe, encoded, statement

# A shell starts ten times as fast as Python.
_SCRIPT = """#!/bin/sh
cd {folder} || exit
echo "$*" >> calls
[ "$CHAINLOOP_TOKEN" ] || {{ echo 'ERR authentication required' >&2; exit 1; }}
case "$3" in
describe)
    [ ! -e "$5.interrupt" ] || {{ /bin/rm "$5.interrupt"; kill -INT "$PPID"; }}
    exec /bin/cat "$5.json" ;;
esac
page=0
for each; do
    case "$each" in --next=*) page="${{each#--next=}}" ;; esac
done
/bin/cat "page-$page" || exit
[ ! -e "page-$((page + 1))" ] || echo "INF next page: --next $((page + 1))" >&2
"""


@dataclass(slots=True)
class Chainloop:
    """The command, in a folder of its own, and the runs that it knows.

    Attributes:
        runs: What `workflow run list` prints of them, the newest first.
    """

    folder: Path
    page: int = 50
    runs: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        program = self.folder / "chainloop"
        program.write_text(_SCRIPT.format(folder=shlex.quote(str(self.folder))))
        program.chmod(0o755)

    @property
    def environ(self) -> dict[str, str]:
        """What finds the command, and lets it in."""
        return {"PATH": f"{self.folder}{os.pathsep}{os.defpath}", "CHAINLOOP_TOKEN": "t0k3n"}

    @property
    def calls(self) -> list[str]:
        """The arguments of each call."""
        path = self.folder / "calls"
        return path.read_text("utf-8").splitlines() if path.exists() else []

    def has(self, number: int, *, minutes: float = 5, state: str = "success") -> str:
        """Have a run, or have it end; return its id.

        Args:
            number: Makes the id, and the workflow's name.
            minutes: Since it began.
        """
        run_id, name = str(UUID(int=number)), f"workflow-{number}"
        attested = statement(workflow=name, run_id=run_id)
        described = cli_describe(attested, state=state)
        if state != "success":
            for key in described.keys() - {"workflowRun", "workflow", "verified"}:
                del described[key]
        run = described["workflowRun"]
        run["createdAt"] = _ago(minutes)
        run.pop("finishedAt", None)
        if state not in ("in progress", "expired"):
            run["finishedAt"] = _ago(min(minutes, 0.1))
        (self.folder / f"{run_id}.json").write_bytes(encoded(described))
        self.runs = [run, *(each for each in self.runs if each["id"] != run_id)]
        self.runs.sort(key=lambda each: str(each["createdAt"]), reverse=True)
        self.list(self.runs)
        return run_id

    def interrupt(self, run_id: str) -> None:
        """Interrupt whoever asks for this run, once."""
        (self.folder / f"{run_id}.interrupt").touch()

    def list(self, runs: Sequence[dict[str, Any]]) -> None:
        """List these runs from now on."""
        for number in range(0, max(len(runs), 1), self.page):
            content = json.dumps(runs[number : number + self.page])
            (self.folder / f"page-{number // self.page}").write_text(content)


def _ago(minutes: float) -> str:
    time = datetime.now(UTC) - timedelta(minutes=minutes)
    return time.isoformat().replace("+00:00", "Z")
