"""What every unit test has: examples without a deadline, and a child in the same process."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from chainloop_smtp.message import child
from templatechild import InThisProcess

# On a machine that is busy: how long an example takes is not what is tested.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="module", autouse=True)
def child_in_this_process() -> Iterator[None]:
    """Renders users' templates in a thread; integration tests do it in the real process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(child, "Popen", InThisProcess)
        yield
