"""What a refused call says, whole."""

from collections.abc import Callable
from typing import TypeAlias

import pytest

from chainloop_smtp.errors import ChainloopSmtpError

Said: TypeAlias = tuple[str, str, str]


def error_of(attempt: Callable[[], object], kind: type[ChainloopSmtpError]) -> Said:
    """Where, why and hint of the only problem in the error that the attempt raises."""
    with pytest.raises(kind) as caught:
        attempt()
    (problem,) = caught.value.problems
    return problem.where, problem.why, problem.hint
