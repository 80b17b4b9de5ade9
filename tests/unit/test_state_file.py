"""Which runs are owed after each listing, and what the file says of it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from chainloop_smtp import state_file
from chainloop_smtp.errors import OptionsError, Problem
from chainloop_smtp.model.facts import ListedRun
from chainloop_smtp.state_file import State

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
ANEW = (
    "Delete it to start over: runs that ended in the last hour are then mailed, some perhaps again."
)


def run_id(number: int) -> str:
    return str(UUID(int=number))


def listed(
    number: int,
    created: datetime | None,
    state: str = "success",
    finished: datetime | None = None,
) -> ListedRun:
    return ListedRun(
        id=run_id(number),
        state=state,
        created=created,
        finished=finished,
        url="",
        workflow="build",
        project="harbour",
    )


def owed(state: State) -> list[str]:
    return list(state.owed)


def settled(state: State) -> State:
    for each in state.owed:
        state = state.settle(each)
    return state


def test_a_first_time_owes_what_ended_in_the_last_hour_the_oldest_first() -> None:
    state = state_file.first(
        [
            listed(1, NOW - 2 * MINUTE, "in progress"),
            listed(2, NOW - 5 * MINUTE, "failed", NOW - MINUTE),
            listed(3, NOW - 50 * MINUTE, "expired"),
            listed(4, NOW - 2 * HOUR, "success", NOW - 61 * MINUTE),
            listed(5, NOW - 3 * HOUR, "canceled", NOW - 59 * MINUTE),
            listed(6, NOW - 3 * HOUR, "expired"),
            listed(7, NOW - 4 * HOUR, "success", NOW - HOUR),
        ],
        NOW,
    )
    assert owed(state) == [run_id(7), run_id(5), run_id(3), run_id(2)]


def test_a_first_time_lists_one_day_and_no_more() -> None:
    def runs() -> Iterator[ListedRun]:
        yield listed(1, NOW - 23 * HOUR, "success", NOW - MINUTE)
        yield listed(2, NOW - 25 * HOUR, "success", NOW - MINUTE)
        raise AssertionError("listed too far")

    assert owed(state_file.first(runs(), NOW)) == [run_id(1)]


def test_a_first_time_without_any_run_owes_nothing_and_the_next_one_owes_what_came_since() -> None:
    state = state_file.first([], NOW)
    assert state == State(since=NOW - DAY)
    assert owed(state.add([listed(1, NOW)], NOW + HOUR)) == [run_id(1)]


def test_what_is_settled_is_never_owed_again_however_often_it_is_listed() -> None:
    runs = [listed(number, NOW - number * MINUTE) for number in range(1, 50)]
    state = settled(state_file.first(runs, NOW))
    assert owed(state) == []
    later = [listed(50, NOW + HOUR), *runs]
    state = state.add(later, NOW + HOUR)
    assert owed(state) == [run_id(50)]
    state = settled(state)
    assert owed(state.add(later, NOW + 2 * HOUR)) == []


def test_what_ended_too_early_for_a_first_time_stays_unmailed() -> None:
    runs = [listed(1, NOW - 50 * MINUTE), listed(2, NOW - 5 * HOUR)]
    state = settled(state_file.first(runs, NOW))
    assert owed(state.add(runs, NOW + MINUTE)) == []


@pytest.mark.parametrize("word", ["in progress", "unspecified", ""])
def test_a_run_that_ends_late_is_owed_when_it_does(word: str) -> None:
    state = state_file.first([listed(1, NOW - 2 * HOUR, word)], NOW)
    for hours in range(1, 100):
        newer = [listed(100 + each, NOW + each * HOUR) for each in range(hours, 0, -1)]
        state = settled(state.add([*newer, listed(1, NOW - 2 * HOUR, word)], NOW + hours * HOUR))
        assert run_id(1) not in state.done
    state = state.add([*newer, listed(1, NOW - 2 * HOUR, "expired")], NOW + 100 * HOUR)
    assert owed(state) == [run_id(1)]


def test_a_run_in_progress_for_a_week_is_not_waited_for() -> None:
    waiting = listed(1, NOW, "in progress")
    for newest, since in ((NOW + 7 * DAY - MINUTE, NOW), (NOW + 7 * DAY, NOW + 7 * DAY - HOUR)):
        assert State(since=NOW).add([listed(2, newest), waiting], newest).since == since


def test_runs_that_have_ended_are_not_listed_much_longer() -> None:
    runs = [listed(2, NOW + 5 * HOUR), listed(1, NOW)]
    assert State(since=NOW).add(runs, NOW).since == NOW + 4 * HOUR


def test_the_oldest_run_that_is_listed_again_is_not_owed_again() -> None:
    runs = [listed(2, NOW + HOUR), listed(1, NOW)]
    state = settled(State(since=NOW).add(runs, NOW))
    state = state.add(runs, NOW)
    assert (state.since, owed(state.add(runs, NOW))) == (NOW, [])


def test_old_entries_are_dropped() -> None:
    state = State(since=NOW)
    for number in range(1, 200):
        runs = [listed(each, NOW + each * 10 * MINUTE) for each in range(number, 0, -1)]
        state = settled(state.add(runs, NOW))
        assert len(state.done) <= 8
    assert state.since == NOW + 199 * 10 * MINUTE - HOUR


def test_a_run_listed_after_a_later_one_is_not_missed() -> None:
    state = settled(State(since=NOW).add([listed(2, NOW + 2 * HOUR)], NOW))
    state = state.add([listed(2, NOW + 2 * HOUR), listed(1, NOW + 61 * MINUTE)], NOW)
    assert owed(state) == [run_id(1)]


def test_an_empty_listing_changes_nothing() -> None:
    state = State(since=NOW).add([listed(1, NOW + HOUR)], NOW)
    assert state.add([], NOW + DAY) == state


def test_a_run_without_any_time_is_passed_over() -> None:
    runs = [listed(1, None), listed(2, NOW), listed(3, None, finished=NOW + MINUTE)]
    assert owed(State(since=NOW).add(runs, NOW)) == [run_id(2), run_id(3)]


def test_a_failed_run_stays_owed_with_everybody_whom_a_delivery_has_reached() -> None:
    state = State(since=NOW).add([listed(1, NOW)], NOW)
    state = state.reach(run_id(1), "a", ["d1"]).fail(run_id(1), NOW)
    state = state.reach(run_id(1), "a", ["d2", "d1"]).reach(run_id(1), "b", ["d3"])
    state = state.fail(run_id(1), NOW + DAY)
    assert state.owed[run_id(1)].reached == {"a": ("d1", "d2"), "b": ("d3",)}
    assert state.add([listed(1, NOW)], NOW + DAY).owed == state.owed
    assert owed(state.settle(run_id(1))) == []


def test_a_failed_run_is_tried_behind_all_others() -> None:
    runs = [listed(number, NOW - number * MINUTE) for number in range(1, 4)]
    state = State(since=NOW - HOUR).add(runs, NOW)
    assert owed(state) == [run_id(3), run_id(2), run_id(1)]
    state = state.fail(run_id(3), NOW).settle(run_id(2))
    assert owed(state) == [run_id(1), run_id(3)]
    state = state.add([listed(5, NOW + MINUTE), listed(4, NOW), *runs], NOW)
    assert owed(state) == [run_id(4), run_id(5), run_id(1), run_id(3)]


def test_after_three_days_a_failed_run_is_given_up() -> None:
    state = State(since=NOW).add([listed(1, NOW)], NOW)
    assert owed(state.fail(run_id(1), NOW + 3 * DAY)) == [run_id(1)]
    state = state.fail(run_id(1), NOW + 3 * DAY + MINUTE)
    assert owed(state) == []
    assert owed(state.add([listed(1, NOW)], NOW + 4 * DAY)) == []


def test_a_run_owed_for_long_leaves_no_entry_when_it_is_settled() -> None:
    state = State(since=NOW).add([listed(1, NOW)], NOW)
    state = state.add([listed(2, NOW + DAY)], NOW + DAY)
    state = settled(state)
    assert list(state.done) == [run_id(2)]


# --- the file ----------------------------------------------------------------------------------


def whole() -> State:
    runs = [listed(3, NOW), listed(2, NOW - 30 * MINUTE), listed(1, NOW - 31 * MINUTE)]
    state = state_file.first(runs, NOW).settle(run_id(2))
    return state.reach(run_id(1), "", [state_file.digest_of("ops@example.com")])


def test_the_file_says_the_state_and_no_address() -> None:
    state = whole()
    content = state_file.serialise(state)
    assert state_file.parse(content, "state.json") == state
    assert content.startswith(b'{\n "version": 1,\n "since": "2026-11-26T11:00:00Z",\n')
    assert content.endswith(b"\n}\n")
    digest = state_file.digest_of("ops@example.com")
    assert json.loads(content) == {
        "version": 1,
        "since": "2026-11-26T11:00:00Z",
        "done": {run_id(2): "2026-11-26T11:30:00Z"},
        "owed": {
            run_id(1): {
                "created": "2026-11-26T11:29:00Z",
                "since": "2026-11-26T12:00:00Z",
                "reached": {"": [digest]},
            },
            run_id(3): {
                "created": "2026-11-26T12:00:00Z",
                "since": "2026-11-26T12:00:00Z",
                "reached": {},
            },
        },
    }
    assert len(digest) == 32
    assert digest != state_file.digest_of("ops@example.org")


def problem(content: bytes) -> Problem:
    with pytest.raises(OptionsError) as caught:
        state_file.parse(content, "state.json")
    (found,) = caught.value.problems
    return found


DAMAGED = Problem("state-file 'state.json'", "is damaged", ANEW)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b"\xff\xfe",
        state_file.serialise(whole())[:-20],
    ],
    ids=["empty", "cut", "null", "list", "no keys", "deep", "not UTF-8", "half"],
)
def test_a_damaged_file_is_an_error_that_says_how_to_start_anew(content: bytes) -> None:
    assert problem(content) == DAMAGED


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("since",), None),
        (("since",), "yesterday"),
        (("since",), "2026-11-26T12:00:00"),
        (("since",), 1764158400),
        (("done",), []),
        (("done",), {"--help": "2026-11-26T11:30:00Z"}),
        (("done", run_id(2)), True),
        (("owed",), None),
        (("owed", run_id(1)), {}),
        (("owed", run_id(1), "created"), ""),
        (("owed", run_id(1), "reached"), []),
        (("owed", run_id(1), "reached"), {"": "0123"}),
        (("owed", run_id(1), "reached"), {"": ["ops@example.com"]}),
        (("owed", run_id(1), "reached"), {"": [7]}),
        (("owed", run_id(1), "more"), 1),
        (("more",), 1),
    ],
    ids=str,
)
def test_a_value_of_another_shape_is_damage(path: tuple[str, ...], value: object) -> None:
    document = json.loads(state_file.serialise(whole()))
    inner: Any = document
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    assert problem(json.dumps(document).encode()) == DAMAGED


def test_another_versions_file_is_not_guessed_at() -> None:
    why = "was written by another version of chainloop-smtp"
    assert problem(b'{"version": 2}') == Problem("state-file 'state.json'", why, ANEW)
