"""Many attachments in one run: what one more mail costs, in time and in memory.

    python bench/fanout.py [NUMBER …]

The program runs in a process of its own, against an aiosmtpd server in this one (STARTTLS, AUTH,
one connection). Its peak memory and processor time are what the kernel says of that process; the
rest of the time it waits, mostly for aiosmtpd. The dry run makes and writes the mails only.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from builders import cli_push, encoded, evaluation, statement  # noqa: E402
from smtpserver import Mailboxes, certificates  # noqa: E402

_NUMBERS = (1, 100, 300, 1000)
_PASSWORD = "Zq81-kx77-bench"


def main(numbers: tuple[int, ...]) -> None:
    """Prints one row for each number of attachments."""
    print(f"{'mails':>6} {'what':<8} {'s':>7} {'ms a mail':>10} {'of it CPU':>10} {'peak MiB':>9}")
    for number in numbers:
        with tempfile.TemporaryDirectory() as folder:
            for what in ("dry run", "sent"):
                seconds, cpu, peak = _run(Path(folder), number, is_dry=what == "dry run")
                each, own = 1000 * seconds / number, 1000 * cpu / number
                print(
                    f"{number:>6} {what:<8} {seconds:>7.2f} {each:>10.2f} {own:>10.2f} {peak:>9.1f}"
                )


def _run(folder: Path, number: int, *, is_dry: bool) -> tuple[float, float, float]:
    """Seconds, those of the processor, and mebibytes of one run of the program."""
    tls = certificates(folder)
    server = Mailboxes(tls=tls.server, mechanisms=("PLAIN",), accounts={"jane": _PASSWORD})
    evaluations = [evaluation(f"policy-{at}") for at in range(5)]
    (folder / "push.json").write_bytes(encoded(cli_push(statement(evaluations=evaluations))))
    with server.running():
        (folder / "chainloop-smtp.yml").write_text(
            "registrations:\n"
            f"- {{name: one, host: 127.0.0.1, port: {server.port}, user: jane, deadline: 600,\n"
            f"   password: {{env: WORD}}, from: a@example.com, tls-ca-file: {tls.ca_file}}}\n"
            "attachments:\n"
            + "".join(f"- {{registration: one, to: b{at}@example.com}}\n" for at in range(number))
        )
        command = [sys.executable, "-m", "chainloop_smtp", "send", "--attestation", "push.json"]
        command += ["--output-dir", str(folder / f"out-{is_dry}")]
        started = time.monotonic()
        process = subprocess.Popen(
            [*command, *(["--dry-run"] if is_dry else [])],
            cwd=folder,
            env=os.environ | {"WORD": _PASSWORD},
            stdout=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
    assert os.waitstatus_to_exitcode(status) == 0
    assert is_dry or len(server.mails) == number
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main(tuple(map(int, sys.argv[1:])) or _NUMBERS)
