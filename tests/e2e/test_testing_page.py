"""docs/testing.md: the mail server, the workflow and the options of act that it shows."""

import shlex
import socket
import sys
from contextlib import suppress
from pathlib import Path

import daemons
import pages
from e2e.act import Act
from e2e.received import parsed

PAGE = "docs/testing.md"
SAMPLE = pages.ROOT / "src/chainloop_smtp/samples/attestation.json"


def test_the_workflow_shown_mails_the_server_shown(act: Act, tmp_path: Path) -> None:
    clone, run = (text for page, text in pages.blocks("bash") if page == PAGE)
    ((_, _, workflow),) = (each for each in pages.workflows() if each[0] == PAGE)
    inputs = workflow["jobs"]["release"]["steps"][-1]["with"]
    (port,) = daemons.free_ports(1)
    inbox = tmp_path / "server" / "inbox"
    inbox.parent.mkdir()
    address = f"{inputs['host']}:{inputs['port']}"
    inputs["port"] = port
    # What the page starts; only port and folder are this test's own.
    given = {".venv/bin/python": sys.executable, address: f"127.0.0.1:{port}", "../inbox": inbox}
    server = [str(given.get(word, word)) for word in shlex.split(clone.splitlines()[-1])]
    assert {*map(str, given.values())} <= {*server}

    def is_ready() -> bool:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return True
        return False

    words = shlex.split(run.replace("\\\n", ""))
    options = words[words.index("-P") :]
    secrets = options.index("--secret-file")
    del options[secrets : secrets + 2]  # act.run gives its own
    with daemons.process(inbox.parent, is_ready, *server):
        record = act.run(
            workflow,
            event_name="workflow_dispatch",
            files={inputs["attestation"]: SAMPLE.read_bytes()},
            arguments=[word.replace("../action", str(act.checkout)) for word in options],
        )

    assert not record.succeeded  # its own step failed
    (arrived,) = (inbox / "new").iterdir()
    assert "Blocked by gate" in parsed(arrived.read_bytes())["Subject"]
