"""Replies, octet by octet."""

from hypothesis import given
from hypothesis import strategies as st

from chainloop_smtp.delivery.replies import Replies
from chainloop_smtp.model import Reply

SAID = b"250-2.0.0 one\r\n250 2.0.0 two\r\n421\r\n"


@given(st.sets(st.integers(1, len(SAID) - 1)))
def test_replies_are_the_same_however_they_are_cut(cuts: set[int]) -> None:
    replies = Replies("server:25", str)
    found = []
    last = 0
    for cut in [*sorted(cuts), len(SAID)]:
        replies.feed(SAID[last:cut])
        last = cut
        while reply := replies.take():
            found.append(reply)
    assert found == [Reply(code=250, enhanced="2.0.0", text="one\ntwo"), Reply(code=421)]
    assert replies.is_empty


def test_half_a_reply_is_not_nothing() -> None:
    replies = Replies("server:25", str)
    replies.feed(b"250-one\r\n")
    assert replies.take() is None
    assert not replies.is_empty
