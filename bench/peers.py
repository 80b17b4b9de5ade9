"""One mail, and a thousand, by us and by others in one run: round trips, time, CPU, protocol.

    python bench/peers.py [--runs 7] [--fan-out 3] [--only NAME …]

The others are fetched once into a folder below the system's temporary one: nodemailer and the
packages of dawidd6/action-send-mail by npm, aiosmtplib by pip; msmtp and curl have to be there, and
what is missing is left out. That Action itself is in no registry, so it stands here as a script
that does what it does with the packages that it names.

Every client is a process of its own and sends one mail of the same parts to `referee.py`, which is
50 ms away. Ours runs as the Action runs it, and reads, judges and renders the attestation before;
the others get the finished parts, msmtp and curl the finished mail. They take turns, so that a
ratio compares what ran under the same conditions; medians count.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import trustme

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(tempfile.gettempdir()) / "chainloop-smtp-bench"
RTT = 0.05
USER, PASSWORD = "reports@example.test", "correct-horse-7"
SENDER, RECIPIENT = "reports@example.test", "security@example.test"
EVIDENCE = ROOT / "src" / "chainloop_smtp" / "samples" / "attestation.json"
NPM = ("nodemailer@9", "@actions/core@3", "@actions/glob@0.7", "showdown@2")
PIP = ("aiosmtplib==5.1.3",)

SMTPLIB = """\
import os, smtplib, ssl
from email.message import EmailMessage
e = os.environ
context = ssl.create_default_context()
context.load_verify_locations(e["CA"])
mail = EmailMessage()
mail["From"], mail["To"], mail["Subject"] = e["SENDER"], e["RECIPIENT"], "Attestation"
mail.set_content(open(e["TEXT"]).read())
mail.add_alternative(open(e["HTML"]).read(), subtype="html")
mail.add_attachment(open(e["EVIDENCE"], "rb").read(), "application", "json", filename="a.json")
if e["IMPLICIT"]:
    client = smtplib.SMTP_SSL("127.0.0.1", int(e["PORT"]), context=context)
else:
    client = smtplib.SMTP("127.0.0.1", int(e["PORT"]))
    client.starttls(context=context)
with client:
    client.login(e["USER"], e["PASSWORD"])
    client.send_message(mail)
"""

AIOSMTPLIB = (
    SMTPLIB.partition("if e[")[0].replace("smtplib, ssl", "asyncio, ssl, aiosmtplib")
    + """\
implicit = bool(e["IMPLICIT"])
asyncio.run(aiosmtplib.send(
    mail, hostname="127.0.0.1", port=int(e["PORT"]), username=e["USER"], password=e["PASSWORD"],
    use_tls=implicit, start_tls=not implicit, tls_context=context,
))
"""
)

_NODE = """\
const e = process.env
const transport = nodemailer.createTransport({
  host: "127.0.0.1", port: e.PORT, secure: !!e.IMPLICIT, auth: {user: e.USER, pass: e.PASSWORD},
})
"""
NODEMAILER = (
    'import nodemailer from "nodemailer"\nimport fs from "node:fs"\n'
    + _NODE
    + """\
await transport.sendMail({
  from: e.SENDER, to: e.RECIPIENT, subject: "Attestation",
  text: fs.readFileSync(e.TEXT, "utf8"), html: fs.readFileSync(e.HTML, "utf8"),
  attachments: [{path: e.EVIDENCE}],
})
"""
)
# What that Action does for these inputs: everything by getInput, the attachment by a glob.
ACTION = (
    'import nodemailer from "nodemailer"\nimport * as core from "@actions/core"\n'
    'import * as glob from "@actions/glob"\nimport showdown from "showdown"\n'
    'import fs from "node:fs"\nvoid showdown\n'
    + _NODE
    + """\
const read = name => {
  const value = core.getInput(name)
  return value.startsWith("file://") ? fs.readFileSync(value.slice(7), "utf8") : value
}
const files = await (await glob.create(core.getInput("attachments"))).glob()
core.info(JSON.stringify(await transport.sendMail({
  from: core.getInput("from"), to: core.getInput("to"), subject: core.getInput("subject"),
  text: read("body"), html: read("html_body"), attachments: files.map(path => ({path})),
})))
"""
)

POOL = """\
import nodemailer from "nodemailer"
import fs from "node:fs"
const e = process.env
const transport = nodemailer.createTransport({
  host: "127.0.0.1", port: e.PORT, auth: {user: e.USER, pass: e.PASSWORD},
  pool: true, maxConnections: 1, maxMessages: Infinity,
})
const envelope = {from: e.SENDER, to: e.RECIPIENT}
const text = fs.readFileSync(e.BODY, "latin1"), raw = fs.readFileSync(e.EML)
const parts = {from: e.SENDER, to: e.RECIPIENT, subject: "Attestation", text}
const one = () => transport.sendMail(e.RAW ? {envelope, raw} : parts)
await one()
const started = performance.now()
await Promise.all(Array.from({length: +e.NUMBER}, one))
console.log((performance.now() - started) / 1000)
transport.close()
"""

OURS_POOL = """\
import os, time
from chainloop_smtp import delivery, options
from chainloop_smtp.model.mail import Mail
e = os.environ
given = {"host": "127.0.0.1", "port": e["PORT"], "user": e["USER"], "password": e["PASSWORD"],
         "from": e["SENDER"], "to": e["RECIPIENT"], "tls-ca-file": e["CA"], "deadline": "600"}
parsed = options.parse(given)
content = open(e["EML"], "rb").read()
def mails():
    for number in range(int(e["NUMBER"])):
        yield Mail(sender=e["SENDER"], recipients=(e["RECIPIENT"],), subject="", content=content,
                   message_id=f"<{number}@bench.test>", text="", html="", summary="")
started = time.perf_counter()
done = list(delivery.send(mails(), parsed.registration, parsed.transport))
print(time.perf_counter() - started)
assert all(each.accepted for each in done) and len(done) == int(e["NUMBER"])
"""


class Report(TypedDict):
    """What `referee.py` says of a session."""

    roundTrips: int
    mails: int
    violations: list[str]


@dataclass
class Sent:
    """What the runs of one client came to."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    trips: set[int] = field(default_factory=set)
    violations: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Bench:
    """A folder with the parts of the mail, certificates, and the others' programs."""

    folder: Path
    node: Path
    peers_python: Path
    site: Path

    def environment(self, port: int, *, implicit: bool = False) -> dict[str, str]:
        """Everything that any of the clients wants to know."""
        ca = str(self.folder / "ca.pem")
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "NODE_EXTRA_CA_CERTS": ca,
            "CA": ca,
            "PORT": str(port),
            "IMPLICIT": "1" if implicit else "",
            "USER": USER,
            "PASSWORD": PASSWORD,
            "SENDER": SENDER,
            "RECIPIENT": RECIPIENT,
            "TEXT": str(self.folder / "mail.txt"),
            "HTML": str(self.folder / "mail.html"),
            "EML": str(self.folder / "mail.eml"),
            "EVIDENCE": str(EVIDENCE),
            "INPUT_FROM": SENDER,
            "INPUT_TO": RECIPIENT,
            "INPUT_SUBJECT": "Attestation",
            "INPUT_BODY": f"file://{self.folder / 'mail.txt'}",
            "INPUT_HTML_BODY": f"file://{self.folder / 'mail.html'}",
            "INPUT_ATTACHMENTS": str(EVIDENCE),
            "RUNNER_TEMP": str(self.folder),
            "CHAINLOOP_SMTP_INPUTS": json.dumps(self.inputs(port, implicit=implicit)),
        }

    def inputs(self, port: int, *, implicit: bool = False) -> dict[str, str]:
        """Inputs of our Action."""
        return {
            "host": "127.0.0.1",
            "port": str(port),
            "user": USER,
            "password": PASSWORD,
            "from": SENDER,
            "to": RECIPIENT,
            "tls": "implicit" if implicit else "auto",
            "tls-ca-file": str(self.folder / "ca.pem"),
            "attestation": str(EVIDENCE),
            "attach": "attestation",
        }

    def commands(self, port: int, *, implicit: bool) -> dict[str, tuple[str, ...]]:
        """Every client that there is; the first two are what the ratios are against."""
        scheme = "smtps" if implicit else "smtp"
        found = {
            "smtplib": (sys.executable, "-c", SMTPLIB),
            "action-send-mail*": ("node", str(self.node / "action.mjs")),
            "ours": self.ours,
            "aiosmtplib": (str(self.peers_python), "-c", AIOSMTPLIB),
            "nodemailer": ("node", str(self.node / "nodemailer.mjs")),
            "msmtp": (
                *("msmtp", "--host=127.0.0.1", f"--port={port}", "--auth=plain", "--tls=on"),
                *(f"--user={USER}", f"--passwordeval=echo {PASSWORD}", f"--from={SENDER}"),
                f"--tls-starttls={'off' if implicit else 'on'}",
                *(f"--tls-trust-file={self.folder / 'ca.pem'}", RECIPIENT),
            ),
            "curl": (
                *("curl", "--silent", "--ssl-reqd", "--cacert", str(self.folder / "ca.pem")),
                *("--user", f"{USER}:{PASSWORD}", "--mail-from", SENDER),
                *("--mail-rcpt", RECIPIENT, "--upload-file", str(self.folder / "mail.eml")),
                f"{scheme}://127.0.0.1:{port}",
            ),
        }
        return {name: each for name, each in found.items() if shutil.which(each[0])}

    @property
    def ours(self) -> tuple[str, ...]:
        """What the Action's second step runs."""
        launch = str(ROOT / "action" / "launch.py")
        return (sys.executable, "-I", "-S", "-X", "utf8", launch, str(self.site))


def main() -> None:
    """Measures and prints; see the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--fan-out", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[], help="clients of the one mail")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = prepare(Path(folder))
        for title, options in (
            ("STARTTLS", ()),
            ("implicit TLS", ("--implicit",)),
            ("STARTTLS, no CHUNKING", ("--without", "CHUNKING")),
            ("STARTTLS, no PIPELINING", ("--without", "PIPELINING", "CHUNKING")),
        ):
            if arguments.runs:
                one_mail(bench, title, options, arguments.runs, arguments.only)
        for rtt, number, theirs in ((RTT, 1000, 100), (0.0, 1000, 1000)):
            if arguments.fan_out:
                many_mails(bench, rtt, (number, theirs), arguments.fan_out)


def prepare(folder: Path) -> Bench:
    """Certificates, the others, the Action's dependencies, and the mail's parts."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    CACHE.mkdir(exist_ok=True)
    if shutil.which("npm") and not (CACHE / "node_modules").is_dir():
        npm = ("npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts")
        subprocess.run((*npm, "--prefix", str(CACHE), *NPM), check=True)
    for name, text in (("nodemailer", NODEMAILER), ("action", ACTION), ("pool", POOL)):
        (CACHE / f"{name}.mjs").write_text(text)
    python = CACHE / "venv" / "bin" / "python"
    if not python.exists():
        subprocess.run((sys.executable, "-m", "venv", python.parents[1]), check=True)
        pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        subprocess.run((python, *pip, *PIP), check=True)
    bench = Bench(folder, CACHE, python, _site())
    _write_parts(bench)
    return bench


def _site() -> Path:
    """The folder of dependencies that the Action's first step makes, or finds."""
    output = CACHE / "output"
    output.unlink(missing_ok=True)
    environment = os.environ | {"RUNNER_TOOL_CACHE": str(CACHE), "GITHUB_OUTPUT": str(output)}
    bootstrap = (sys.executable, "-I", "-S", str(ROOT / "action" / "bootstrap.py"))
    subprocess.run(bootstrap, check=True, env=environment, stdout=subprocess.DEVNULL)
    (site,) = (line[5:] for line in output.read_text().splitlines() if line.startswith("site="))
    return Path(site)


def _write_parts(bench: Bench) -> None:
    """What our own dry run leaves: the mail and its two texts."""
    inputs = bench.inputs(587) | {"dry-run": "true", "output-dir": str(bench.folder / "out")}
    environment = bench.environment(587) | {"CHAINLOOP_SMTP_INPUTS": json.dumps(inputs)}
    subprocess.run(bench.ours, check=True, env=environment, stdout=subprocess.DEVNULL)
    for suffix in ("eml", "txt", "html"):
        (path,) = (bench.folder / "out").glob(f"*.{suffix}")
        shutil.copy(path, bench.folder / f"mail.{suffix}")


@contextmanager
def sink(bench: Bench, *options: str) -> Iterator[tuple[int, Callable[[], Report]]]:
    """Its port, and what reads the report of the next session that ends."""
    command = (sys.executable, str(ROOT / "bench" / "referee.py"), str(bench.folder), *options)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        output = process.stdout
        assert output
        try:
            yield int(output.readline()), lambda: json.loads(output.readline())
        finally:
            process.terminate()


def one_mail(
    bench: Bench, title: str, options: tuple[str, ...], runs: int, only: list[str]
) -> None:
    """Prints a row for each client."""
    implicit = "--implicit" in options
    results: dict[str, Sent] = {}
    with sink(bench, f"--rtt={RTT}", *options) as (port, report):
        commands = bench.commands(port, implicit=implicit)
        commands = {name: each for name, each in commands.items() if not only or name in only}
        for turn in range(runs + 1):
            for name, command in commands.items():
                environment = bench.environment(port, implicit=implicit)
                wall, cpu = _timed(command, environment, bench.folder / "mail.eml")
                session = report()
                if turn:  # the first is to warm up
                    sent = results.setdefault(name, Sent())
                    sent.wall.append(wall)
                    sent.cpu.append(cpu)
                    sent.trips.add(session["roundTrips"])
                    sent.violations |= set(session["violations"])
    print(f"\n{title}, {RTT * 1000:.0f} ms, medians of {runs}")
    print(f"{'':<18} {'trips':>5} {'wall ms':>8} {'x':>5} {'cpu ms':>7} {'x':>5}  violations")
    median = statistics.median
    bare = results.get("smtplib") or next(iter(results.values()))
    theirs = results.get("action-send-mail*") or bare
    for name, sent in results.items():
        print(
            f"{name:<18} {'/'.join(map(str, sorted(sent.trips))):>5} "
            f"{median(sent.wall) * 1000:>8.0f} {median(sent.wall) / median(bare.wall):>5.2f} "
            f"{median(sent.cpu) * 1000:>7.0f} {median(sent.cpu) / median(theirs.cpu):>5.2f}  "
            f"{'; '.join(sorted(sent.violations)) or 'none'}"
        )
    print("x: of smtplib's wall, of action-send-mail's cpu", flush=True)


def _timed(
    command: tuple[str, ...], environment: dict[str, str], mail: Path
) -> tuple[float, float]:
    """Seconds on the clock and of the processor, of a whole process."""
    started = time.perf_counter()
    with mail.open("rb") as stdin:
        process = subprocess.Popen(command, env=environment, stdin=stdin, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - started
    if process.returncode:
        sys.exit(f"{command[0]} failed with {process.returncode}")
    return wall, usage.ru_utime + usage.ru_stime


def many_mails(bench: Bench, rtt: float, numbers: tuple[int, int], runs: int) -> None:
    """Prints mails a second over one connection, ours and those of nodemailer's pool.

    Mails are whole before they are sent; nodemailer's way is to compose each, `raw` is to have it
    whole as well.
    """
    node = ("node", str(bench.node / "pool.mjs"))
    clients = {
        "ours": ((sys.executable, "-c", OURS_POOL), numbers[0], ""),
        "nodemailer's pool": (node, numbers[1], ""),
        "the same, raw": (node, numbers[1], "1"),
    }
    rates: dict[str, list[float]] = {name: [] for name in clients}
    body = (b"x" * 70 + b"\r\n") * (30_000 // 72)
    header = f"From: {SENDER}\r\nTo: {RECIPIENT}\r\nSubject: Attestation\r\n\r\n".encode()
    (bench.folder / "body").write_bytes(body)
    (bench.folder / "30k.eml").write_bytes(header + body)
    with sink(bench, f"--rtt={rtt}") as (port, _):
        for _turn in range(runs):
            for name, (command, number, raw) in clients.items():
                environment = bench.environment(port) | {
                    "NUMBER": str(number),
                    "BODY": str(bench.folder / "body"),
                    "EML": str(bench.folder / "30k.eml"),
                    "RAW": raw,
                }
                done = subprocess.run(
                    command, env=environment, check=True, capture_output=True, text=True
                )
                rates[name].append(number / float(done.stdout))
    print(f"\nmails of {len(header + body):,} bytes, {rtt * 1000:.0f} ms, medians of {runs}")
    theirs = statistics.median(rates["nodemailer's pool"])
    for name, each in rates.items():
        rate = statistics.median(each)
        print(
            f"{name:<18} {clients[name][1]:>5} mails, {rate:>7.1f} a second, x {rate / theirs:.1f}"
        )


if __name__ == "__main__":
    main()
