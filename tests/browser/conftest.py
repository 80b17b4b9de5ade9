"""One browser for all the tests of the mails' looks."""

from collections.abc import Iterator

import pytest

from browser import chromium
from browser.studio import Studio
from real import require_real


@pytest.fixture(scope="session")
def studio() -> Iterator[Studio]:
    """Chromium; skips where there is none."""
    (program,) = require_real("browser")
    with chromium.running(program) as browser:
        yield Studio(browser)
