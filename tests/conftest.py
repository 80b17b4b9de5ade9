"""What the tests of every folder may ask for."""

import os
from collections.abc import Iterator

import pytest

import eximserver
import mailserver


@pytest.fixture(scope="session", autouse=True)
def only_the_tests_themselves_are_measured() -> None:
    """Coverage would slow down the programs that tests start, and import modules into them."""
    os.environ.pop("COVERAGE_PROCESS_START", None)


@pytest.fixture(scope="session")
def running_mail_server() -> Iterator[mailserver.MailServer]:
    """Postfix and Dovecot, started once for all tests; skips where they cannot be."""
    with mailserver.running() as server:
        yield server


@pytest.fixture
def mail_server(running_mail_server: mailserver.MailServer) -> mailserver.MailServer:
    """The same with empty mailboxes."""
    running_mail_server.empty()
    return running_mail_server


@pytest.fixture(scope="session")
def running_exim() -> Iterator[mailserver.MailServer]:
    """Exim, started once for all tests; skips where it cannot be."""
    with eximserver.running() as server:
        yield server


@pytest.fixture(params=["postfix", "exim"])
def any_server(request: pytest.FixtureRequest) -> mailserver.MailServer:
    """Each of the two with empty mailboxes."""
    names = {"postfix": "running_mail_server", "exim": "running_exim"}
    server: mailserver.MailServer = request.getfixturevalue(names[request.param])
    server.empty()
    return server
