"""The tree of a release, as `make action` writes it, once for all tests of a session."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

REPOSITORY = Path(__file__).parents[1]


def build(target: Path, **environ: str) -> Path:
    """Write the tree into a folder; byte code is made for this Python, and others on PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        (sys.executable, str(REPOSITORY / "release" / "build.py"), str(target)),
        check=True,
        env=os.environ | {"PATH": path} | environ,
        timeout=300,
    )
    return target


def built(factory: pytest.TempPathFactory) -> Path:
    """The tree; the first process of the session that asks for it builds it for all."""
    folder = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    target = folder / "release"
    with FileLock(f"{target}.lock"):
        return target if target.is_dir() else build(target)
