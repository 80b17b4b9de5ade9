"""Times the Action's warm step under act, beside an empty composite step in the same run.

Usage: ``python bench/step.py [RUNS]``. Needs `act` on PATH or beside the interpreter. In each run
of one job our step comes once to warm up (act gives every run a new path, so our modules are
compiled anew), then an empty composite action, one that only starts Python, and ours again, which
delivers a mail over STARTTLS and AUTH to a server on loopback. What counts is the ratio of medians;
the round trips are read from the receipt.

More turns within one job would measure act: every composite action doubles its list of masks.
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

from chainloop_smtp.cli.demo import PASSWORD, USER, serve

ROOT = Path(__file__).resolve().parent.parent
_STEP = re.compile(r"Success - Main (empty 1|python 1|mail 0|mail 1) \[([\d.]+)(ms|s|µs)\]")
_SCALE = {"µs": 1e-3, "ms": 1.0, "s": 1e3}

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

EMPTY, PYTHON = "./bench-empty", "./bench-python"

MAIL = """\
      - name: mail {n}
        uses: ./
        with:
          host: 127.0.0.1
          port: "{port}"
          user: {user}
          password: ${{{{ secrets.PASSWORD }}}}
          from: reports@example.test
          to: security@example.test
          tls-ca-file: {folder}/ca.pem
          attestation: src/chainloop_smtp/samples/attestation.json
          output-dir: {folder}/out
"""


def main(runs: int) -> None:
    """Runs the job and prints medians, ratios and round trips."""
    act = shutil.which("act", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if act is None:
        sys.exit("act is not installed")
    folder = Path(tempfile.mkdtemp(prefix="chainloop-smtp-bench-"))
    server = serve(folder, [])
    server.start()
    times: dict[str, list[float]] = {"empty 1": [], "python 1": [], "mail 1": [], "mail 0": []}
    try:
        repository = _repository(folder, server.port)
        for _ in range(runs):
            log = _act(act, folder, repository)
            steps = _STEP.findall(log)
            if len(steps) != len(times):
                sys.exit(f"not every step succeeded:\n{log[-4000:]}")
            for name, value, unit in steps:
                times[name].append(float(value) * _SCALE[unit])
    finally:
        server.stop()
    print(f"cold, with the installation: {times.pop('mail 0')[0]:.0f} ms")
    empty = statistics.median(times["empty 1"])
    for name, values in times.items():
        median = statistics.median(values)
        spread = f"{min(values):.0f} to {max(values):.0f}"
        print(f"{name[:-2]:<7} median {median:5.0f} ms ({spread}), {median / empty:5.1f} x empty")
    receipt = json.loads((folder / "out" / "receipt.json").read_text(encoding="utf-8"))
    (attempt,) = receipt["deliveries"][0]["attempts"]
    print(f"SMTP round trips: {attempt['roundTrips']} over {attempt['tls']['version']}")
    shutil.rmtree(folder)


def _repository(folder: Path, port: int) -> Path:
    repository = folder / "repository"
    files = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    listing = subprocess.run(files, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listing.split("\0")):
        if (ROOT / name).is_file() and not name.startswith((".github/", "tests/")):
            (repository / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, repository / name)
    for name, run in (
        ("bench-empty", "true"),
        ("bench-python", f"{Path(sys.executable).resolve()} -I -S -c pass"),
    ):
        (repository / name).mkdir()
        (repository / name / "action.yml").write_text(COMPOSITE.format(name=name, run=run))
    first, second = (MAIL.format(n=n, port=port, user=USER, folder=folder) for n in range(2))
    others = (
        f"      - {{name: empty 1, uses: {EMPTY}}}\n      - {{name: python 1, uses: {PYTHON}}}\n"
    )
    workflow = repository / ".github" / "workflows" / "bench.yml"
    workflow.parent.mkdir(parents=True)
    workflow.write_text(
        "on: push\njobs:\n  bench:\n    runs-on: ubuntu-latest\n    steps:\n"
        f"      - uses: actions/checkout@v4\n{first}{others}{second}"
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
    environ = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
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


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
