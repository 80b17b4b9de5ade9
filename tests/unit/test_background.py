"""Results that are waited for, and results that nobody waits for any more."""

import subprocess
import sys
import threading

import pytest

from chainloop_smtp.background import BackgroundCall
from interrupts import PATIENCE, until


@pytest.mark.parametrize("is_done", [True, False])
def test_what_work_gives_to_nobody_is_discarded(is_done: bool) -> None:
    discarded: list[str] = []
    go_on = threading.Event()

    def work() -> str:
        go_on.wait(PATIENCE)
        return "a connection"

    call = BackgroundCall(work, discarded.append)
    if is_done:
        go_on.set()
        assert call.result() == "a connection"
        call.abandon()
    else:
        with pytest.raises(TimeoutError):
            call.result(0)
        assert discarded == []
        go_on.set()
    until(lambda: discarded)
    assert discarded == ["a connection"]


@pytest.mark.parametrize("is_done", [True, False])
def test_what_goes_wrong_with_work_that_is_left_concerns_nobody(is_done: bool) -> None:
    discarded: list[object] = []
    go_on, is_over = threading.Event(), threading.Event()

    def work() -> None:
        go_on.wait(PATIENCE)
        is_over.set()
        raise OSError("no route")

    call = BackgroundCall(work, discarded.append)
    if is_done:
        go_on.set()
        with pytest.raises(OSError, match="no route"):
            call.result()
        call.abandon()
    else:
        call.abandon()
        go_on.set()
        assert is_over.wait(PATIENCE)
        with pytest.raises(OSError, match="no route"):
            call.result()
    assert discarded == []


def test_what_is_abandoned_after_it_came_is_discarded_once() -> None:
    discarded: list[str] = []
    call = BackgroundCall(lambda: "a connection", discarded.append)
    assert call.result(PATIENCE) == "a connection"
    assert call.result() == "a connection"
    assert discarded == []
    call.abandon()
    assert discarded == ["a connection"]


def test_nothing_is_too_little_to_be_a_result() -> None:
    assert BackgroundCall(lambda: None).result() is None
    assert BackgroundCall(lambda: 0).result(PATIENCE) == 0


def test_without_anybody_to_discard_it_a_late_result_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failures: list[object] = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    go_on, is_over = threading.Event(), threading.Event()

    def work() -> str:
        go_on.wait(PATIENCE)
        is_over.set()
        return "nothing to close"

    call = BackgroundCall(work)
    call.abandon()
    go_on.set()
    assert is_over.wait(PATIENCE)
    assert call.result(PATIENCE) == "nothing to close"
    assert failures == []


def test_the_end_of_the_program_waits_for_no_call() -> None:
    program = (
        "import time\n"
        "from chainloop_smtp.background import BackgroundCall\n"
        "BackgroundCall(lambda: time.sleep(600))\n"
        "print('over')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout == "over\n"
