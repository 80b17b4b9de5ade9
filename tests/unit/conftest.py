"""What every unit test has: the same examples every time, a child in the same process."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from chainloop_smtp.message import child
from templatechild import InThisProcess

# How long an example takes on a busy machine is not what is tested. And neither a failure nor the
# coverage of a line is to be a matter of luck.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


@pytest.fixture(scope="module", autouse=True)
def child_in_this_process() -> Iterator[None]:
    """Renders users' templates in a thread; integration tests do it in the real process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(child, "Popen", InThisProcess)
        yield
