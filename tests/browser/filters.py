"""The two spam filters that most mail servers ask, as the machine's packages have them, offline.

SpamAssassin judges all mails in one process. Rspamd is a server on loopback that keeps its files in
a temporary folder; rules and scores are the package's.
"""

import json
import re
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import daemons
from real import require_real

Found = dict[str, float]
"""The rules with a positive score that a mail meets, by name."""

_TLDS = Path("/usr/share/rspamd/effective_tld_names.dat")

_RSPAMD = """\
.include "$CONFDIR/common.conf"
options {{
  .include "$CONFDIR/options.inc"
  .include(priority=10) "{folder}/options.inc"
}}
logging {{ type = "console"; level = "error"; }}
worker "normal" {{ bind_socket = "127.0.0.1:{port}"; count = 1; mime = true; }}
"""
# Nobody answers on that port: what wants to ask the DNS, or to load something, gets nothing.
_RSPAMD_OPTIONS = """\
pidfile = "{folder}/rspamd.pid";
rrd = "";
url_tld = "{folder}/tlds";
disable_hyperscan = true;
disable_monitoring = true;
dns {{ nameserver = ["127.0.0.1:9"]; timeout = 0.01s; retransmits = 1; sockets = 1; }}
"""


def spamassassin(mails: Mapping[str, bytes]) -> dict[str, Found]:
    """What SpamAssassin finds in each mail."""
    (program,) = require_real("spamassassin")
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        paths = []
        for name, mail in mails.items():
            paths.append(folder / name)
            paths[-1].write_bytes(mail)
        judged = subprocess.run(
            (
                *(program, "--local", "--prefspath=/dev/null", "--cf=use_bayes 0"),
                *("--cf=fold_headers 0", "--cf=report_safe 0"),
                "--cf=add_header all Judged _TESTSSCORES(,)_",
                *map(str, paths),
            ),
            check=True,
            env={**daemons.ENVIRONMENT, "HOME": home},
            stdout=subprocess.PIPE,
        ).stdout
    found = re.findall(rb"^X-Spam-Judged: (.*)$", judged, re.MULTILINE)
    return {
        name: _positive(dict(re.findall(r"(\w+)=([-.\d]+)", rules.decode("ascii"))))
        for name, rules in zip(mails, found, strict=True)
    }


def rspamd(mails: Mapping[str, bytes], client: Mapping[str, str]) -> dict[str, Found]:
    """What rspamd finds in each mail.

    Args:
        client: What the mail server says of the connection and the envelope, by the names of
            rspamd's own protocol.
    """
    (program,) = require_real("rspamd")
    with tempfile.TemporaryDirectory(prefix="rspamd-") as name:
        folder = Path(name)
        (port,) = daemons.free_ports(1)
        suffixes = _TLDS.read_text("utf-8").splitlines()
        files = {
            "rspamd.conf": _RSPAMD.format(folder=folder, port=port),
            "options.inc": _RSPAMD_OPTIONS.format(folder=folder),
            # The ten thousand that have a dot cost half a minute, and say only whose a domain is.
            "tlds": "".join(f"{each}\n" for each in suffixes if each and "." not in each),
        }
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
        (folder / "db").mkdir()

        def ready() -> bool:
            try:
                return bool(_asked(f"http://127.0.0.1:{port}/ping"))
            except OSError:
                return False

        variables = {"DBDIR": "db", "RUNDIR": "db", "LOGDIR": "db", "LOCAL_CONFDIR": "local"}
        command = (
            # It hides its command line; where it stands, it is found to be ended.
            *("env", f"--chdir={folder}", str(program), "--no-fork", "--insecure"),
            f"--config={folder}/rspamd.conf",
            *(f"--var={key}={folder}/{value}" for key, value in variables.items()),
        )
        with daemons.process(folder, ready, *command):
            found = {}
            for key, mail in mails.items():
                answer = json.loads(_asked(f"http://127.0.0.1:{port}/checkv2", mail, client))
                found[key] = _positive(
                    {rule: each["score"] for rule, each in answer["symbols"].items()}
                )
            return found


def _asked(url: str, body: bytes | None = None, headers: Mapping[str, str] = {}) -> bytes:
    request = urllib.request.Request(url, body, dict(headers))
    with urllib.request.urlopen(request, timeout=30) as answer:
        return bytes(answer.read())


def _positive(scores: Mapping[str, str | float]) -> Found:
    return {rule: float(score) for rule, score in scores.items() if float(score) > 0}
