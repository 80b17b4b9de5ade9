"""Times the Action's step under act, from source and as a release, on a fresh and a warm runner.

Usage: ``python bench/step.py [RUNS]``. Needs `act` on PATH or beside the interpreter, and npm for
dawidd6/action-send-mail, rebuilt as in `peers.py`. Each run is one job on a runner with an empty
tool cache, in this order: our step from source, which installs; an empty composite action; one that
only starts Python; a release, which nothing was prepared for; action-send-mail; our step from
source again, now warm. Each delivers a mail over STARTTLS and AUTH to a server on loopback, which
takes it at once. What counts are the ratios of medians; the round trips are read from the receipt.

act gives every run a new path, so what is warm is what an earlier step of the same job left. More
turns within one job would measure act: every composite action doubles its list of masks.
"""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import peers
from chainloop_smtp.cli.demo import PASSWORD, USER, serve

ROOT = Path(__file__).resolve().parent.parent
_STEP = re.compile(r"Success - Main (empty|python|source|release|action-send-mail|warm) \[(.+)\]")
_TIME = re.compile(r"([\d.]+)(µs|ms|m|s)")
_SCALE = {"µs": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}
_TITLES = {
    "empty": "empty composite step",
    "python": "the same, starting Python",
    "source": "source, cold",
    "release": "release, cold",
    "warm": "source, warm",
    "action-send-mail": "action-send-mail",
}

COMPOSITE = """\
name: {name}
description: {name}
runs:
  using: composite
  steps:
    - name: {name}
      shell: bash
      run: {run}
"""

NODE = """\
name: action-send-mail
description: as the script in peers.py
inputs: {from: {}, to: {}, subject: {}, body: {}, html_body: {}, attachments: {}}
runs: {using: node20, main: action.mjs}
"""

EMPTY, PYTHON = "./bench-empty", "./bench-python"
RELEASE, OTHER = "./bench-release", "./bench-send-mail"

MAIL = """\
      - name: {name}
        uses: {uses}
        with:
          host: 127.0.0.1
          port: "{port}"
          user: {user}
          password: ${{{{ secrets.PASSWORD }}}}
          from: reports@example.test
          to: security@example.test
          tls-ca-file: {folder}/ca.pem
          attestation: src/chainloop_smtp/samples/attestation.json
          attach: attestation
          output-dir: {folder}/out
"""

OTHER_MAIL = """\
      - name: action-send-mail
        uses: {uses}
        env:
          PORT: "{port}"
          IMPLICIT: ""
          USER: {user}
          PASSWORD: ${{{{ secrets.PASSWORD }}}}
          NODE_EXTRA_CA_CERTS: {folder}/ca.pem
        with:
          from: reports@example.test
          to: security@example.test
          subject: Attestation
          body: file://{folder}/mail.txt
          html_body: file://{folder}/mail.html
          attachments: src/chainloop_smtp/samples/attestation.json
"""


def main(runs: int) -> None:
    """Runs the job and prints medians, ratios and round trips."""
    act = shutil.which("act", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if act is None:
        sys.exit("act is not installed")
    folder = Path(tempfile.mkdtemp(prefix="chainloop-smtp-bench-"))
    server = serve(folder, [])
    server.start()
    times: dict[str, list[float]] = {name: [] for name in _TITLES}
    try:
        repository = _repository(folder, server.port)
        for _ in range(runs):
            shutil.rmtree(folder / "cache", ignore_errors=True)
            log = _act(act, folder, repository)
            steps = _STEP.findall(log)
            if sorted(name for name, _ in steps) != sorted(times):
                sys.exit(f"not every step succeeded:\n{log[-4000:]}")
            for name, text in steps:
                spent = sum(float(value) * _SCALE[unit] for value, unit in _TIME.findall(text))
                times[name].append(spent)
    finally:
        server.stop()
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, values in times.items():
        print(
            f"{_TITLES[name]:<26} median {medians[name]:5.0f} ms "
            f"({min(values):.0f} to {max(values):.0f}), "
            f"{medians[name] / medians['warm']:5.2f} x warm, "
            f"{medians[name] / medians['source']:5.2f} x source cold"
        )
    receipt = json.loads((folder / "out" / "receipt.json").read_text(encoding="utf-8"))
    (attempt,) = receipt["deliveries"][0]["attempts"]
    print(f"SMTP round trips: {attempt['roundTrips']} over {attempt['tls']['version']}")
    shutil.rmtree(folder)


def _add_release(target: Path) -> None:
    """The tree of a release, with byte code for this Python at least."""
    build = (sys.executable, str(ROOT / "release" / "build.py"), str(target))
    subprocess.run(build, check=True, env=os.environ | {"PATH": _path()})


def _add_other(folder: Path, target: Path) -> None:
    """action-send-mail with its packages, and what it mails: our own dry run's texts."""
    target.mkdir()
    npm = ("npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts")
    subprocess.run((*npm, "--prefix", str(target), *peers.NPM), check=True)
    (target / "action.mjs").write_text(peers.ACTION)
    (target / "action.yml").write_text(NODE)
    inputs = {
        "host": "127.0.0.1",
        "port": "25",
        "auth": "none",
        "from": "reports@example.test",
        "to": "security@example.test",
        "attestation": str(peers.EVIDENCE),
        "dry-run": "true",
        "output-dir": str(folder / "parts"),
    }
    program = (sys.executable, "-m", "chainloop_smtp", "send")
    environ = os.environ | {"CHAINLOOP_SMTP_INPUTS": json.dumps(inputs)}
    subprocess.run(program, check=True, env=environ, stdout=subprocess.DEVNULL)
    for suffix in ("txt", "html"):
        (path,) = (folder / "parts").glob(f"*.{suffix}")
        shutil.copy(path, folder / f"mail.{suffix}")


def _repository(folder: Path, port: int) -> Path:
    repository = folder / "repository"
    files = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    listing = subprocess.run(files, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listing.split("\0")):
        # act would leave out what is ignored, the byte code of the release.
        if (ROOT / name).is_file() and not name.startswith((".git", "tests/")):
            (repository / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, repository / name)
    for name, run in (
        ("bench-empty", "true"),
        ("bench-python", f"{Path(sys.executable).resolve()} -I -S -c pass"),
    ):
        (repository / name).mkdir()
        (repository / name / "action.yml").write_text(COMPOSITE.format(name=name, run=run))
    _add_release(repository / RELEASE)
    _add_other(folder, repository / OTHER)
    source, release, warm = (
        MAIL.format(name=name, uses=uses, port=port, user=USER, folder=folder)
        for name, uses in (("source", "./"), ("release", RELEASE), ("warm", "./"))
    )
    other = OTHER_MAIL.format(uses=OTHER, port=port, user=USER, folder=folder)
    bare = f"      - {{name: empty, uses: {EMPTY}}}\n      - {{name: python, uses: {PYTHON}}}\n"
    workflow = repository / ".github" / "workflows" / "bench.yml"
    workflow.parent.mkdir(parents=True)
    workflow.write_text(
        "on: push\njobs:\n  bench:\n    runs-on: ubuntu-latest\n    steps:\n"
        f"      - uses: actions/checkout@v4\n{source}{bare}{release}{other}{warm}"
    )
    git = ("git", "-c", "user.name=bench", "-c", "user.email=bench@example.test")
    subprocess.run((*git, "init", "--quiet"), cwd=repository, check=True)
    subprocess.run((*git, "add", "--all"), cwd=repository, check=True)
    subprocess.run((*git, "commit", "--quiet", "-m", "bench"), cwd=repository, check=True)
    (folder / "secrets.yml").write_text(json.dumps({"PASSWORD": PASSWORD}))
    return repository


def _act(act: str, folder: Path, repository: Path) -> str:
    command = (
        act,
        "push",
        "--platform=ubuntu-latest=-self-hosted",
        "--no-cache-server",
        f"--secret-file={folder / 'secrets.yml'}",
    )
    environ = os.environ | {"XDG_CACHE_HOME": str(folder / "cache"), "PATH": _path()}
    done = subprocess.run(
        command,
        cwd=repository,
        env=environ,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    return done.stdout


def _path() -> str:
    """PATH with the running Python first."""
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
