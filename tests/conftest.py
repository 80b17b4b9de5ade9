"""What the tests of every folder may ask for."""

from collections.abc import Iterator

import pytest

import mailserver


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
