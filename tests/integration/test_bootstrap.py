"""Real runs of action/prepare.sh, bootstrap.py and launch.py, as a runner would do them.

Every path here has a space and a letter outside ASCII in it, and every install is from a folder of
wheels, filled once per session from wherever pip takes packages on this machine.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
BASH = shutil.which("bash") or "/bin/bash"
# What GitHub's runner makes of `shell: bash`.
STEP = (BASH, "--noprofile", "--norc", "-e", "-o", "pipefail")

pytestmark = pytest.mark.skipif(os.name == "nt", reason="makes fake Pythons as shell scripts")


@dataclass(kw_only=True)
class Runner:
    """A runner's folders, and the environment that it gives to a step."""

    root: Path
    action: Path = REPOSITORY
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for folder in (self.tools, self.temp, self.workspace, self.home):
            folder.mkdir(parents=True)
        # The whole environment: a Python elsewhere on this machine cannot help a test out.
        self.environ = {
            "PATH": str(Path(sys.executable).parent),
            "HOME": str(self.home),
            "RUNNER_TOOL_CACHE": str(self.tools),
            "RUNNER_TEMP": str(self.temp),
            "GITHUB_ACTION_PATH": str(self.action),
            "GITHUB_OUTPUT": str(self.root / "output"),
            **self.environ,
        }

    @property
    def tools(self) -> Path:
        return self.root / "tool cache"

    @property
    def temp(self) -> Path:
        return self.root / "temp"

    @property
    def workspace(self) -> Path:
        return self.root / "workspace"

    @property
    def home(self) -> Path:
        return self.root / "home"

    def start(self, script: str, **environ: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*STEP, "-c", script],
            cwd=self.workspace,
            env=self.environ | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )

    def prepare(self, **environ: str) -> "Prepared":
        return self.finish(self.start(_script("prepare"), **environ))

    def launch(self, prepared: "Prepared") -> "subprocess.CompletedProcess[str]":
        process = self.start(_script("send"), PYTHON=prepared.python, SITE=str(prepared.site))
        log, _ = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, log)

    def finish(self, process: "subprocess.Popen[str]") -> "Prepared":
        log, _ = process.communicate(timeout=120)
        output = Path(self.environ["GITHUB_OUTPUT"])
        outputs = dict(
            line.split("=", 1)
            for line in (output.read_text("utf-8") if output.exists() else "").splitlines()
        )
        return Prepared(
            status=process.returncode,
            log=log,
            python=outputs.get("python", ""),
            site=Path(outputs["site"]) if "site" in outputs else None,
        )


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What the step left behind."""

    status: int
    log: str
    python: str
    site: Path | None

    @property
    def installed(self) -> bool:
        return "::group::" in self.log

    @property
    def errors(self) -> list[str]:
        return [line for line in self.log.splitlines() if line.startswith("::error")]


def _script(step: str) -> str:
    """Read the step's own script from action.yml, so that what is tested is what runs."""
    steps = yaml.safe_load((REPOSITORY / "action.yml").read_text("utf-8"))["runs"]["steps"]
    (script,) = [each["run"] for each in steps if each["id"] == step]
    assert isinstance(script, str)
    return script


@pytest.fixture(scope="session")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel höuse")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps"),
            *("--only-binary=:all:", "--dest", str(folder)),
            *("--requirement", str(REPOSITORY / "requirements.txt")),
        ],
        check=True,
    )
    return folder


@pytest.fixture
def make_runner(tmp_path: Path, wheelhouse: Path) -> Callable[..., Runner]:
    def make(action: Path = REPOSITORY, **environ: str) -> Runner:
        offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheelhouse.as_uri()}
        return Runner(root=tmp_path / "rünner one", action=action, environ=offline | environ)

    return make


@pytest.fixture
def runner(make_runner: Callable[..., Runner]) -> Runner:
    return make_runner()


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, wheelhouse: Path) -> Prepared:
    """A cold run, for the tests that only need its folder."""
    runner = Runner(
        root=tmp_path_factory.mktemp("wärm runner"),
        environ={"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheelhouse.as_uri()},
    )
    result = runner.prepare()
    assert result.status == 0, result.log
    return result


@pytest.fixture
def warm(make_runner: Callable[..., Runner], prepared: Prepared) -> Runner:
    """A runner whose tool cache holds the folder already, and no way to any package."""
    assert prepared.site is not None
    tools = prepared.site.parents[1]
    return make_runner(RUNNER_TOOL_CACHE=str(tools), PIP_FIND_LINKS="/nowhere")


def test_a_cold_runner_installs_into_its_tool_cache(prepared: Prepared) -> None:
    assert prepared.installed
    assert prepared.errors == []
    assert prepared.python == sys.executable or Path(prepared.python).samefile(sys.executable)
    assert prepared.site is not None
    assert prepared.site.parent.name == "chainloop-smtp"
    assert {"jinja2", "jsonschema", "yaml"} <= {path.name for path in prepared.site.iterdir()}
    assert list(prepared.site.parent.iterdir()) == [prepared.site]


def test_a_warm_runner_installs_nothing(warm: Runner, prepared: Prepared) -> None:
    again = warm.prepare()
    assert (again.status, again.installed) == (0, False), again.log
    assert (again.python, again.site) == (prepared.python, prepared.site)


def test_another_lock_gets_another_folder(
    tmp_path: Path, make_runner: Callable[..., Runner], prepared: Prepared
) -> None:
    assert prepared.site is not None
    action = _copy_of_the_action(tmp_path)
    with (action / "requirements.txt").open("a") as lock:
        lock.write("# one more line\n")
    other = make_runner(action).prepare()
    assert other.status == 0, other.log
    assert other.site is not None
    assert other.site.name != prepared.site.name


def test_what_pip_says_cannot_command_the_runner(prepared: Prepared) -> None:
    lines = prepared.log.splitlines()
    commands = [line for line in lines if line.startswith("::")]
    assert commands[0].startswith("::group::")
    token = commands[1].removeprefix("::stop-commands::")
    assert re.fullmatch("[0-9a-f]{32}", token)
    assert commands[2:] == [f"::{token}::", "::endgroup::"]
    assert any("Successfully installed" in line for line in lines[lines.index(commands[1]) :])


def test_hostile_variables_change_nothing(runner: Runner) -> None:
    (runner.workspace / "constraints.txt").write_text("jinja2==1.0\n")
    hostile = runner.workspace / "hostile"
    hostile.mkdir()
    (hostile / "sitecustomize.py").write_text("raise SystemExit('sitecustomize ran')\n")
    (hostile / "ast.py").write_text("raise SystemExit('ast of the workspace ran')\n")
    result = runner.prepare(
        PIP_REQUIRE_VIRTUALENV="1",
        PIP_USER="1",
        PIP_PREFIX=str(runner.temp / "prefix"),
        PIP_TARGET=str(runner.temp / "target"),
        PIP_ROOT=str(runner.temp / "root"),
        PIP_CONSTRAINT="constraints.txt",
        PIP_REQUIREMENT="requirements of the workspace.txt",
        PIP_NO_BINARY=":all:",
        PIP_PLATFORM="win32",
        PIP_PYTHON="/nowhere/python",
        PIP_DRY_RUN="1",
        PIP_QUIET="3",
        PIP_LOG=str(runner.temp / "pip.log"),
        PYTHONPATH=str(hostile),
        PYTHONHOME="/nowhere",
        PYTHONSTARTUP=str(hostile / "sitecustomize.py"),
        PYTHONPLATLIBDIR="nowhere",
        PYTHONWARNINGS="error",
        PYTHONDONTWRITEBYTECODE="1",
        PYTHONIOENCODING="ascii",
        PYTHONUTF8="0",
        LC_ALL="C",
    )
    assert result.status == 0, result.log
    assert result.site is not None
    assert (result.site / "jinja2").is_dir()
    assert list(runner.temp.iterdir()) == []


def test_pips_own_files_may_say_where_from_but_not_where_to(
    runner: Runner, wheelhouse: Path, tmp_path: Path
) -> None:
    for variable in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
        del runner.environ[variable]
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("jinja2==1.0\n")
    file = runner.home / ".config" / "pip" / "pip.conf"
    file.parent.mkdir(parents=True)
    file.write_text(
        "[global]\n"
        "no-index = true\n"
        "find-links = /nowhere\n"
        "require-virtualenv = true\n"
        f"constraint = {constraints}\n"
        "[install]\n"
        f"find-links = {wheelhouse.as_uri()}\n"
        "user = true\n"
        f"prefix = {runner.temp / 'prefix'}\n"
        "no-binary = :all:\n"
        "dry-run = true\n"
    )
    result = runner.prepare()
    assert result.status == 0, result.log
    assert result.site is not None
    assert (result.site / "jinja2").is_dir()
    assert list(runner.temp.iterdir()) == []


def test_a_file_with_another_hash_is_refused(
    tmp_path: Path, runner: Runner, wheelhouse: Path
) -> None:
    tampered = tmp_path / "tampered"
    shutil.copytree(wheelhouse, tampered)
    (wheel,) = tampered.glob("jinja2-*.whl")
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    result = runner.prepare(PIP_FIND_LINKS=tampered.as_uri())
    assert result.status == 1
    (error,) = result.errors
    assert error.startswith("::error title=A dependency was refused::jinja2==")
    assert result.site is None
    assert list((runner.tools / "chainloop-smtp").iterdir()) == []


def test_without_a_way_to_packages_the_error_says_what_to_do(runner: Runner) -> None:
    result = runner.prepare(PIP_FIND_LINKS="/nowhere")
    assert result.status == 1
    (error,) = result.errors
    assert "PIP_INDEX_URL" in error
    assert "PIP_FIND_LINKS" in error


def test_several_cold_jobs_at_once_share_one_folder(runner: Runner) -> None:
    left_by_a_crash = runner.tools / "chainloop-smtp" / ".staging-crashed"
    (left_by_a_crash / "site" / "jinja2").mkdir(parents=True)
    jobs = [
        runner.start(_script("prepare"), GITHUB_OUTPUT=str(runner.root / f"output {number}"))
        for number in range(4)
    ]
    results = [runner.finish(job) for job in jobs]
    assert [result.status for result in results] == [0] * 4, results
    sites = {(runner.root / f"output {number}").read_text() for number in range(4)}
    assert len(sites) == 1
    (site,) = set((runner.tools / "chainloop-smtp").iterdir()) - {left_by_a_crash}
    assert f"site={site}\n" in sites.pop()
    assert (site / "jinja2" / "environment.py").is_file()


@pytest.mark.parametrize("tools", ["cannot be written", "is not there"])
def test_without_a_tool_cache_the_temporary_folder_of_the_job_serves(
    make_runner: Callable[..., Runner], tmp_path: Path, tools: str
) -> None:
    file = tmp_path / "a file"
    file.touch()
    runner = make_runner(
        RUNNER_TOOL_CACHE=str(file / "tool cache") if tools == "cannot be written" else ""
    )
    result = runner.prepare()
    assert result.status == 0, result.log
    assert result.site is not None
    assert result.site.parent == runner.temp / "chainloop-smtp-packages"


def test_outside_of_a_runner_the_folder_is_new_each_time(
    make_runner: Callable[..., Runner], tmp_path: Path
) -> None:
    runner = make_runner(RUNNER_TOOL_CACHE="", RUNNER_TEMP="", TMPDIR=str(tmp_path))
    result = runner.prepare()
    assert result.status == 0, result.log
    assert result.site is not None
    assert result.site.parent.parent == tmp_path
    assert result.site.parent.stat().st_mode & 0o077 == 0


def test_a_python_too_old_is_passed_over(warm: Runner, prepared: Prepared, tmp_path: Path) -> None:
    folder = _folder_of(tmp_path, python3=_SAYS_IT_IS_3_10, python=_TOO_OLD_TO_KNOW_ISOLATION)
    result = warm.prepare(PATH=f"{folder}:{warm.environ['PATH']}")
    assert (result.status, result.python) == (0, prepared.python), result.log
    assert "3.10.13 is older than 3.11" in result.log
    assert result.errors == []


def test_a_shim_with_nothing_behind_it_is_passed_over(
    warm: Runner, prepared: Prepared, tmp_path: Path
) -> None:
    folder = _folder_of(tmp_path, python3="echo 'shim: python3: command not found' >&2; exit 127")
    result = warm.prepare(PATH=f"{folder}:{warm.environ['PATH']}")
    assert (result.status, result.python) == (0, prepared.python), result.log


def test_the_python_behind_a_shim_is_what_the_next_step_runs(
    warm: Runner, prepared: Prepared, tmp_path: Path
) -> None:
    folder = _folder_of(tmp_path, python3=f"exec '{prepared.python}' \"$@\"")
    result = warm.prepare(PATH=str(folder))
    assert (result.status, result.python) == (0, prepared.python), result.log


def test_a_python_called_by_its_version_serves(warm: Runner, tmp_path: Path) -> None:
    folder = _folder_of(tmp_path, **{"python3.11": f"exec '{sys.executable}' \"$@\""})
    assert warm.prepare(PATH=str(folder)).status == 0


def test_the_newest_python_of_the_tool_cache_serves(
    warm: Runner, prepared: Prepared, tmp_path: Path
) -> None:
    assert prepared.site is not None
    tools = tmp_path / "töol cache"
    for version in ("3.9.25", "3.11.9", "3.12.13", "3.10.20"):
        _folder_of(
            tools / "Python" / version / "x64" / "bin",
            python3=f"echo 'started {version}'; exec '{prepared.python}' \"$@\"",
        )
    (tools / "chainloop-smtp").symlink_to(prepared.site.parent)
    result = warm.prepare(PATH=str(tmp_path), RUNNER_TOOL_CACHE=str(tools))
    assert result.status == 0, result.log
    assert [line for line in result.log.splitlines() if line.startswith("started")] == [
        "started 3.12.13"
    ]


def test_without_any_python_one_error_says_what_to_do(warm: Runner, tmp_path: Path) -> None:
    folder = _folder_of(tmp_path, python3=_SAYS_IT_IS_3_10, python=_TOO_OLD_TO_KNOW_ISOLATION)
    result = warm.prepare(PATH=str(folder))
    assert result.status == 1
    (error,) = result.errors
    assert "Python 3.11" in error
    assert "actions/setup-python" in error
    assert result.site is None


def test_a_python_of_the_workspace_is_never_run(warm: Runner) -> None:
    ran = warm.workspace / "ran"
    _folder_of(warm.workspace, python3=f"touch '{ran}'")
    result = warm.prepare(PATH=f".::{warm.environ['PATH']}")
    assert result.status == 0, result.log
    assert not ran.exists()


@pytest.fixture(scope="session")
def pipless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pipless")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder / "bin"


def test_a_cold_python_without_pip_makes_way_for_one_that_has_it(
    runner: Runner, pipless: Path
) -> None:
    result = runner.prepare(PATH=f"{pipless}:{runner.environ['PATH']}")
    assert result.status == 0, result.log
    assert Path(result.python).parent == Path(sys.executable).parent


def test_where_no_python_has_pip_the_error_says_so(runner: Runner, pipless: Path) -> None:
    result = runner.prepare(PATH=str(pipless))
    assert result.status == 1
    assert "it has no pip that works" in result.log
    (error,) = result.errors
    assert "pip" in error


def test_a_warm_python_needs_no_pip(warm: Runner, pipless: Path) -> None:
    assert warm.prepare(PATH=str(pipless)).status == 0


def test_the_bootstrap_is_no_riddle_to_old_pythons() -> None:
    source = (REPOSITORY / "action" / "bootstrap.py").read_text("utf-8")
    tree = ast.parse(source, feature_version=(3, 6))
    # Annotations of functions are evaluated where they stand, and `list[str]` is newer than 3.6.
    annotations = [
        annotation
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for annotation in (function.returns, *(each.annotation for each in function.args.args))
    ]
    assert all(isinstance(each, ast.Name | ast.Constant) for each in annotations)


@pytest.fixture
def action_in_the_workspace(warm: Runner) -> Runner:
    """`uses: ./`, with a package that tells where its imports came from instead of sending."""
    _copy_of_the_action(warm.workspace.parent, warm.workspace)
    package = warm.workspace / "src" / "chainloop_smtp"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(
        "import json, sys\n"
        "import requests, yaml\n"
        "def main():\n"
        "    print(json.dumps([sys.argv[1:], __file__, yaml.__file__, requests.__file__]))\n"
        "    raise SystemExit(5)\n"
    )
    warm.environ["GITHUB_ACTION_PATH"] = str(warm.workspace)
    return warm


def test_modules_of_the_workspace_cannot_be_imported(
    action_in_the_workspace: Runner, prepared: Prepared
) -> None:
    runner = action_in_the_workspace
    for name in ("yaml.py", "requests.py", "json.py", "os.py", "sitecustomize.py"):
        (runner.workspace / name).write_text(f"raise SystemExit('{name} ran')\n")
    runner.environ["PYTHONPATH"] = str(runner.workspace)
    ran = runner.launch(runner.prepare())
    assert ran.returncode == 5, ran.stdout
    arguments, package, yaml, requests = json.loads(ran.stdout)
    assert arguments == ["send"]
    assert Path(package).is_relative_to(runner.workspace / "src")
    assert prepared.site is not None
    assert Path(yaml).is_relative_to(prepared.site)
    assert Path(requests).is_relative_to(prepared.site)


def test_the_workspace_stays_as_clean_as_it_was(action_in_the_workspace: Runner) -> None:
    runner = action_in_the_workspace
    before = sorted(runner.workspace.rglob("*"))
    result = runner.prepare()
    ran = runner.launch(result)
    assert ran.returncode == 5, ran.stdout
    assert sorted(runner.workspace.rglob("*")) == before
    assert result.site is not None
    compiled = {path.name.split(".")[0] for path in (result.site / "__pycache__").rglob("*.pyc")}
    assert {"__main__", "sessions"} <= compiled


def test_byte_code_lies_with_the_dependencies_and_nowhere_else(
    action_in_the_workspace: Runner,
) -> None:
    runner = action_in_the_workspace
    result = runner.prepare()
    runner.launch(result)
    assert result.site is not None
    assert [path for path in result.site.rglob("__pycache__") if path.parent != result.site] == []


_TOO_OLD_TO_KNOW_ISOLATION = "echo 'Unknown option: -I' >&2; exit 2"
_SAYS_IT_IS_3_10 = f"""
while [ "${{1#-}}" != "$1" ] || [ "$1" = utf8 ]; do shift; done
exec '{sys.executable}' -I -S -c '
import runpy, sys
sys.version, sys.version_info = "3.10.13 (main)", (3, 10, 13, "final", 0)
runpy.run_path(sys.argv[1], run_name="__main__")
' "$1"
"""


def _folder_of(folder: Path, **programs: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, script in programs.items():
        program = folder / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    return folder


def _copy_of_the_action(folder: Path, action: Path | None = None) -> Path:
    action = action or folder / "cöpy of the action"
    action.mkdir(exist_ok=True)
    shutil.copytree(REPOSITORY / "action", action / "action", ignore=shutil.ignore_patterns("__*"))
    shutil.copy(REPOSITORY / "requirements.txt", action)
    return action
