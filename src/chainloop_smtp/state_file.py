"""Path <-> State: which runs were mailed, and which still have to be. The only stage that uses it.

A run is listed by when it began and mailed when it ends. So everything that began since the oldest
run in progress is listed again each time, and told apart by its id.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from chainloop_smtp import inputfile
from chainloop_smtp.errors import OptionsError, Problem, quoted_path
from chainloop_smtp.model.facts import ListedRun
from chainloop_smtp.model.frozen import dataclass

_FIRST_TIME = timedelta(hours=1)
_FIRST_LISTING = timedelta(days=1)
# Clocks differ, and a run may be listed a little after a later one.
_OVERLAP = timedelta(hours=1)
_LONGEST_RUN = timedelta(days=7)
# RFC 5321 section 4.5.4.1 lets a mail server try for 4 to 5 days; these mails are only news.
_PATIENCE = timedelta(days=3)
_MAX_BYTES = 64 * 1024 * 1024
_VERSION = 1
_ENDED = ("success", "failed", "canceled", "expired")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_DIGEST = re.compile(r"[0-9a-f]{32}")
_ANEW = (
    "Delete it to start over: runs that ended in the last hour are then mailed, some perhaps again."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """A run that has ended and is not mailed to everybody yet.

    Attributes:
        created: When the run began.
        since: When its mails were first due.
        reached: Digests from `digest_of`, by attachment: who is not to get the mail again.
    """

    created: datetime
    since: datetime
    reached: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What the schedules so far have done. Times are aware and in UTC.

    Attributes:
        since: Runs that began before this are not listed any more.
        done: Ids of later runs that have nothing left to mail, each with when it began.
        owed: Runs to mail, by their ids: in the order in which they are tried.
    """

    since: datetime
    done: Mapping[str, datetime] = field(default_factory=dict)
    owed: Mapping[str, Owed] = field(default_factory=dict)

    def add(self, runs: Iterable[ListedRun], now: datetime) -> "State":
        """Return the state with all listed runs that have ended since the last time owed.

        Args:
            runs: Newest first; taken only as far back as need be.
        """
        listed = dict(_created_since(self.since, runs))
        if not listed:
            return self
        newest = max(listed.values())
        new = {
            each: created
            for each, created in listed.items()
            if each.id not in self.done and each.id not in self.owed
        }
        owed = {
            each.id: Owed(created=created, since=now)
            for each, created in new.items()
            if each.state in _ENDED
        }
        waiting = (
            created
            for each, created in new.items()
            if each.state not in _ENDED and created > newest - _LONGEST_RUN
        )
        since = max(self.since, min((newest - _OVERLAP, *waiting)))
        return State(
            since=since,
            done={id_: created for id_, created in self.done.items() if created >= since},
            owed={**dict(sorted(owed.items(), key=lambda item: item[1].created)), **self.owed},
        )

    def settle(self, run_id: str) -> "State":
        """Return the state with nothing left to mail of a run."""
        owed = dict(self.owed)
        created = owed.pop(run_id).created
        done = self.done if created < self.since else {**self.done, run_id: created}
        return replace(self, owed=owed, done=done)

    def reach(self, run_id: str, attachment: str, digests: Iterable[str]) -> "State":
        """Return the state after one mail of a run: who is not to get it again."""
        owed = self.owed[run_id]
        every = (*owed.reached.get(attachment, ()), *digests)
        reached = {**owed.reached, attachment: tuple(dict.fromkeys(every))}
        return replace(self, owed={**self.owed, run_id: replace(owed, reached=reached)})

    def fail(self, run_id: str, now: datetime) -> "State":
        """Return the state after a delivery that failed; after three days, the run is settled."""
        owed = dict(self.owed)
        failed = owed.pop(run_id)
        if now - failed.since > _PATIENCE:
            return self.settle(run_id)
        # Behind the others, so that it cannot keep them from being tried.
        return replace(self, owed={**owed, run_id: failed})


def first(runs: Iterable[ListedRun], now: datetime) -> State:
    """Make the state of a first time: what ended in the last hour is owed."""
    state = State(since=now - _FIRST_LISTING)
    listed = dict(_created_since(state.since, runs))
    earlier = {
        each.id: created
        for each, created in listed.items()
        if each.state in _ENDED and (each.finished or created) < now - _FIRST_TIME
    }
    return replace(state, done=earlier).add(listed, now)


def _created_since(
    since: datetime, runs: Iterable[ListedRun]
) -> Iterator[tuple[ListedRun, datetime]]:
    for each in runs:
        created = each.created or each.finished
        if created is not None:
            if created < since:
                return
            yield each, created


def digest_of(mailbox: str) -> str:
    """What the file says for a mailbox: a pull request from a fork may read the cache it is in."""
    return hashlib.sha256(mailbox.encode("utf-8", "replace")).hexdigest()[:32]


def read(path: str) -> State | None:
    """Read the state; None where there is no such file, which is a first time.

    Raises:
        OptionsError: It cannot be read, or is damaged.
    """
    try:
        content = inputfile.read(path, _MAX_BYTES)
    except inputfile.UnreadableError as error:
        if error.missing:
            return None
        raise _error(path, error.why, error.hint) from error
    return parse(content, path)


def parse(content: bytes, path: str) -> State:
    """Read the state from the content of its file.

    Raises:
        OptionsError: It is damaged, or another version's.
    """
    try:
        document = json.loads(content)
        if isinstance(document, dict) and document.get("version", _VERSION) != _VERSION:
            raise _error(path, "was written by another version of chainloop-smtp", _ANEW)
        state = State(
            since=_parse_time(document["since"]),
            done={_checked(_UUID, id_): _parse_time(at) for id_, at in document["done"].items()},
            owed={_checked(_UUID, id_): _owed(each) for id_, each in document["owed"].items()},
        )
        if document != _document(state):
            raise ValueError(path)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _error(path, "is damaged", _ANEW) from error
    return state


def serialise(state: State) -> bytes:
    """Return the content of the file: JSON, one run a line or more."""
    return (json.dumps(_document(state), indent=1) + "\n").encode("ascii")


def write(path: str, state: State) -> None:
    """Write the file as a whole, readable by its owner only.

    Raises:
        OptionsError: It cannot be written.
    """
    try:
        # Where the name is a link, what it names is replaced.
        target = Path(path).resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{os.urandom(8).hex()}.part")
        file = os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        try:
            with file:
                file.write(serialise(state))
                file.flush()
                # Else a power failure may leave an empty file under the name.
                os.fsync(file.fileno())
            part.replace(target)
        except OSError:
            part.unlink()
            raise
    except (OSError, ValueError) as error:
        raise _error(path, f"cannot be written: {inputfile.reason(error)}") from error


def _document(state: State) -> dict[str, object]:
    return {
        "version": _VERSION,
        "since": _time(state.since),
        "done": {id_: _time(created) for id_, created in state.done.items()},
        "owed": {
            id_: {
                "created": _time(each.created),
                "since": _time(each.since),
                "reached": {name: list(digests) for name, digests in each.reached.items()},
            }
            for id_, each in state.owed.items()
        },
    }


def _owed(document: Any) -> Owed:
    return Owed(
        created=_parse_time(document["created"]),
        since=_parse_time(document["since"]),
        reached={
            name: tuple(_checked(_DIGEST, each) for each in digests)
            for name, digests in document["reached"].items()
        },
    )


def _checked(pattern: re.Pattern[str], text: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(text)
    return text


def _time(timestamp: datetime) -> str:
    """RFC 3339, in UTC."""
    return timestamp.isoformat().replace("+00:00", "Z")


def _parse_time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _error(path: str, why: str, hint: str = "") -> OptionsError:
    return OptionsError(Problem(f"state-file {quoted_path(path)}", why, hint))
