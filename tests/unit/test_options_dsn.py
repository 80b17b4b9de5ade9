"""What a user may ask the mail systems on the way for."""

import pytest

from chainloop_smtp import options
from chainloop_smtp.errors import OptionsError, Problem
from chainloop_smtp.model.settings import Dsn
from program import INPUTS


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("", ()),
        ("failure", (Dsn.FAILURE,)),
        ("Success, failure,success", (Dsn.SUCCESS, Dsn.FAILURE)),
        ("never", (Dsn.NEVER,)),
    ],
)
def test_reports_are_a_list_of_words(given: str, wanted: tuple[Dsn, ...]) -> None:
    assert options.parse(INPUTS | {"dsn": given}).transport.dsn == wanted


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("sometimes, failure", "'sometimes' is not one of its words"),
        ("never, failure", "never stands alone"),
    ],
)
def test_other_words_are_refused(given: str, why: str) -> None:
    with pytest.raises(OptionsError) as caught:
        options.parse(INPUTS | {"dsn": given})
    hint = "Write success, failure, delay, separated by commas; or never."
    assert caught.value.problems == (Problem("dsn", why, hint),)


def test_tls_may_be_required_on_the_whole_way() -> None:
    assert options.parse(INPUTS | {"require-tls": "true"}).transport.require_tls
    assert not options.parse(INPUTS).transport.require_tls
