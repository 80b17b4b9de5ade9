"""Results that are waited for, and results that nobody waits for any more."""

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
