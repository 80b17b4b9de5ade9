"""The runner that the end-to-end tests share."""

from pathlib import Path

import pytest

from e2e.act import Act, working_copy
from real import require_real


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Act:
    """One machine for the whole session: what the Action installed once is there for all tests."""
    (program,) = require_real("act")
    root = tmp_path_factory.mktemp("runner")
    home, checkout = root / "home", root / "checkout"
    home.mkdir()
    working_copy(checkout)
    return Act(program=program, home=home, checkout=checkout, root=root)


@pytest.fixture
def act(runner: Act, tmp_path: Path) -> Act:
    """The same, with a repository of the test's own."""
    return Act(program=runner.program, home=runner.home, checkout=runner.checkout, root=tmp_path)
