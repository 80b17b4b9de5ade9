"""The one way to run anything: ``nox -s lint types unit integration browser e2e``.

Sessions run in the interpreter that runs nox; ``make`` sets that one up.
"""

import os
import sys
import tomllib
from pathlib import Path

import nox

nox.options.sessions = ["lint", "types", "unit", "integration", "coverage", "browser", "e2e"]
nox.options.default_venv_backend = "none"
# The tools lie beside the interpreter, and PATH may know others of the same name.
os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))

WORKFLOWS = sorted(str(path) for path in Path(".github/workflows").glob("*.yml"))
EXAMPLES = ["examples/after-the-run.yml", "examples/organisation.yml", "examples/schedule.yml"]


@nox.session
def lint(session: nox.Session) -> None:
    """Format, style, workflows, shell, and what the Action's files promise."""
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("python", "tests/generate.py", "--check")
    session.run("shellcheck", "action/prepare.sh", ".ci/run")
    session.run("actionlint", *WORKFLOWS, *EXAMPLES)
    session.run("zizmor", "--quiet", "--offline", "--persona", "pedantic", "action.yml", *WORKFLOWS)
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-actions", "action.yml")
    session.run(
        "check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS, *EXAMPLES
    )
    session.run(
        "check-jsonschema",
        "--schemafile",
        "src/chainloop_smtp/schemas/configuration.json",
        "examples/chainloop-smtp.yml",
    )


@nox.session
def types(session: nox.Session) -> None:
    """Strict typing of everything."""
    session.run("mypy")


@nox.session
def unit(session: nox.Session) -> None:
    """Pure modules."""
    _measured(session, "unit")


@nox.session
def integration(session: nox.Session) -> None:
    """Real sockets, files and processes on loopback."""
    _measured(session, "integration")


@nox.session
def coverage(session: nox.Session) -> None:
    """What unit and integration tests ran through, branches included."""
    session.run("coverage", "combine", "--quiet", "--keep", *map(str, Path().glob(".coverage.*")))
    session.run("coverage", "report")


@nox.session
def browser(session: nox.Session) -> None:
    """The mails in the machine's own Chromium, spam filters and mail readers."""
    session.run(*_pytest(session, "browser"))


@nox.session
def e2e(session: nox.Session) -> None:
    """The Action under act, into real mail servers."""
    session.run(*_pytest(session, "e2e"))


@nox.session(default=False)
def generate(session: nox.Session) -> None:
    """Write what lists the inputs: action.yml, docs/inputs.md and the configuration schema."""
    session.run("python", "tests/generate.py", *session.posargs)


@nox.session(default=False)
def lock(session: nox.Session) -> None:
    """Compile the three lock files from pyproject.toml."""
    compile_ = (
        "uv",
        "pip",
        "compile",
        "--quiet",
        "--universal",
        "--generate-hashes",
        "--python-version",
        "3.11",
        "--no-header",
        "--no-annotate",
        *session.posargs,
    )
    session.run(*compile_, "pyproject.toml", "-o", "requirements.txt")
    # The extra alone: it is installed beside the others, not in their place.
    project = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["project"]
    extra = Path(session.create_tmp(), "crypto.in")
    extra.write_text("\n".join(project["optional-dependencies"]["crypto"]), "utf-8")
    session.run(*compile_, "-c", "requirements.txt", str(extra), "-o", "requirements-crypto.txt")
    session.run(
        *compile_,
        *("--extra", "crypto", "--group", "dev"),
        *("-c", "requirements.txt", "-c", "requirements-crypto.txt"),
        *("pyproject.toml", "-o", "requirements-dev.txt"),
    )


def _measured(session: nox.Session, kind: str) -> None:
    """Runs a folder of tests under coverage; a part of it, which proves no coverage, without."""
    if session.posargs:
        session.run(*_pytest(session, kind))
        return
    for data in Path().glob(f".coverage.{kind}*"):
        data.unlink()
    # Workers are subprocesses: coverage starts with each Python that sees this variable, as its own
    # .pth file has it. `tests/conftest.py` hides it from what tests start.
    session.run(
        *_pytest(session, kind),
        env={
            "COVERAGE_PROCESS_START": str(Path("pyproject.toml").resolve()),
            "COVERAGE_PARALLEL": "true",
            "COVERAGE_FILE": f".coverage.{kind}",
        },
    )


def _pytest(session: nox.Session, kind: str) -> tuple[str, ...]:
    """The tests of a folder, or those that are named after ``--``, on every core."""
    is_named = any(Path(each.partition("::")[0]).exists() for each in session.posargs)
    folder = () if is_named else (f"tests/{kind}",)
    # Each worker starts with a run of neighbours, which share what their session fixtures start.
    # Later options win: `-- -n 0` runs in one process, and so does `-- --pdb`.
    return ("pytest", "--numprocesses=auto", "--dist=worksteal", *folder, *session.posargs)
