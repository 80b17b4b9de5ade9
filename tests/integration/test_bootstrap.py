"""Real runs of action/prepare.sh, bootstrap.py and launch.py, as a runner would do them.

Every path here has a space and a letter outside ASCII in it, and every install is from a folder of
wheels, filled once per session from wherever pip takes packages on this machine.
"""

import ast
import json
import os
import re
import runpy
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
        process = self.start(
            _script("send"),
            PYTHON=prepared.python,
            SITE=str(prepared.site),
            EXTRA=str(prepared.extra or ""),
        )
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
            extra=Path(outputs["extra"]) if outputs.get("extra") else None,
        )


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What the step left behind."""

    status: int
    log: str
    python: str
    site: Path | None
    extra: Path | None

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
            *("--requirement", str(REPOSITORY / "requirements-crypto.txt")),
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
    assert {"jinja2", "requests", "yaml"} <= {path.name for path in prepared.site.iterdir()}
    assert prepared.extra is None
    assert list(prepared.site.parent.iterdir()) == [prepared.site]


def test_a_warm_runner_installs_nothing(warm: Runner, prepared: Prepared) -> None:
    again = warm.prepare()
    assert (again.status, again.installed) == (0, False), again.log
    assert (again.python, again.site) == (prepared.python, prepared.site)


def test_another_lock_gets_another_folder(again: Runner, small: Prepared, tmp_path: Path) -> None:
    action = shutil.copytree(again.action, tmp_path / "another action")
    with (action / "requirements.txt").open("a") as lock:
        lock.write("# one more line\n")
    other = again.prepare(GITHUB_ACTION_PATH=str(action))
    assert other.status == 0, other.log
    assert small.site is not None
    assert other.site is not None
    assert other.site.name != small.site.name


def test_what_pip_says_cannot_command_the_runner(prepared: Prepared) -> None:
    lines = prepared.log.splitlines()
    commands = [line for line in lines if line.startswith("::")]
    assert commands[0].startswith("::group::")
    token = commands[1].removeprefix("::stop-commands::")
    assert re.fullmatch("[0-9a-f]{32}", token)
    assert commands[2:] == [f"::{token}::", "::endgroup::"]
    assert any("Successfully installed" in line for line in lines[lines.index(commands[1]) :])


def test_hostile_variables_change_nothing(again: Runner) -> None:
    (again.workspace / "constraints.txt").write_text("jinja2==1.0\n")
    hostile = again.workspace / "hostile"
    hostile.mkdir()
    (hostile / "sitecustomize.py").write_text("raise SystemExit('sitecustomize ran')\n")
    (hostile / "ast.py").write_text("raise SystemExit('ast of the workspace ran')\n")
    result = again.prepare(
        PIP_REQUIRE_VIRTUALENV="1",
        PIP_USER="1",
        PIP_PREFIX=str(again.temp / "prefix"),
        PIP_TARGET=str(again.temp / "target"),
        PIP_ROOT=str(again.temp / "root"),
        PIP_CONSTRAINT="constraints.txt",
        PIP_REQUIREMENT="requirements of the workspace.txt",
        PIP_NO_BINARY=":all:",
        PIP_PLATFORM="win32",
        PIP_PYTHON="/nowhere/python",
        PIP_DRY_RUN="1",
        PIP_QUIET="3",
        PIP_LOG=str(again.temp / "pip.log"),
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
    assert list(again.temp.iterdir()) == []


def test_pips_own_files_may_say_where_from_but_not_where_to(
    again: Runner, wheelhouse: Path, tmp_path: Path
) -> None:
    for variable in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
        del again.environ[variable]
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("jinja2==1.0\n")
    file = again.home / ".config" / "pip" / "pip.conf"
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
        f"prefix = {again.temp / 'prefix'}\n"
        "no-binary = :all:\n"
        "dry-run = true\n"
    )
    result = again.prepare()
    assert result.status == 0, result.log
    assert result.site is not None
    assert (result.site / "jinja2").is_dir()
    assert list(again.temp.iterdir()) == []


@pytest.fixture
def spied(tmp_path: Path, make_runner: Callable[..., Runner]) -> Runner:
    """A runner whose only Python has a pip that writes down its environment, and fills a folder."""
    python = tmp_path / "spied"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(python)], check=True)
    (packages,) = (python / "lib").glob("python*/site-packages")
    (packages / "pip").mkdir()
    (packages / "pip" / "__init__.py").touch()
    (packages / "pip" / "__main__.py").write_text(
        "import json, os, sys\n"
        f"with open({str(tmp_path / 'environments')!r}, 'a') as file:\n"
        "    print(json.dumps(dict(os.environ)), file=file)\n"
        "for target in (a[9:] for a in sys.argv if a.startswith('--target=')):\n"
        "    os.makedirs(target)\n"
    )
    return make_runner(PATH=str(python / "bin"), LC_ALL="C.UTF-8")


def test_pip_sees_what_it_needs_and_nothing_else_of_the_job(
    tmp_path: Path, spied: Runner, wheelhouse: Path
) -> None:
    needed = {
        "PATH": spied.environ["PATH"],
        "HOME": str(spied.home),
        "LC_ALL": "C.UTF-8",
        "TMPDIR": str(tmp_path),
        "HTTPS_PROXY": "http://proxy.example.com:3128",
        "https_proxy": "http://proxy.example.com:3129",
        "no_proxy": "index.example.com",
        "SSL_CERT_FILE": "/etc/ssl/company.pem",
        "REQUESTS_CA_BUNDLE": "/etc/ssl/company.pem",
        "NETRC": str(tmp_path / "netrc"),
    }
    honoured = {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": wheelhouse.as_uri(),
        "PIP_INDEX_URL": "https://user:secret@index.example.com/simple",
        "PIP_TRUSTED_HOST": "index.example.com",
        "PIP_PROXY": "http://proxy.example.com:3128",
        "PIP_CERT": "/etc/ssl/company.pem",
    }
    kept_back = {
        "CHAINLOOP_TOKEN": "secret",
        "CHAINLOOP_SMTP_PASSWORD": "secret",
        "INPUT_PASSWORD": "secret",
        "SMTP_PASSWORD": "secret",
        "GITHUB_TOKEN": "secret",
        "ACTIONS_RUNTIME_TOKEN": "secret",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "secret",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "MY_PIP_PASSWORD": "secret",
        "PATH_TO_KEY": "secret",
        "PIP_TARGET": "secret",
        "PIP_PASSWORD": "secret",
        "PYTHONPATH": "/nowhere",
    }
    result = spied.prepare(**needed, **honoured, **kept_back)
    assert result.status == 0, result.log
    lines = (tmp_path / "environments").read_text().splitlines()
    *asked, installing = [json.loads(line) for line in lines]
    assert asked == [needed]
    assert installing == needed | honoured | {"PIP_CONFIG_FILE": os.devnull}


def test_the_docs_list_what_pip_sees() -> None:
    page = (REPOSITORY / "SECURITY.md").read_text("utf-8")
    table = page.partition("\n### When pip runs\n")[2].partition("\n## ")[0]
    shown = set(re.findall("`([A-Z0-9_]+)`", "\n".join(re.findall(r"^\| .*", table, re.MULTILINE))))
    bootstrap = runpy.run_path(str(REPOSITORY / "action" / "bootstrap.py"))
    honoured = {name.upper().replace("-", "_") for name in bootstrap["HONOURED"]}
    assert shown == {"PIP_", "PIP_CONFIG_FILE"} | honoured | bootstrap["PASSED"]


def test_a_file_with_another_hash_is_refused(
    tmp_path: Path, again: Runner, wheelhouse: Path
) -> None:
    tampered = tmp_path / "tampered"
    shutil.copytree(wheelhouse, tampered)
    (wheel,) = tampered.glob("jinja2-*.whl")
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    result = again.prepare(PIP_FIND_LINKS=tampered.as_uri())
    assert result.status == 1
    (error,) = result.errors
    assert error.startswith("::error title=A dependency was refused::jinja2==")
    assert result.site is None
    assert list((again.tools / "chainloop-smtp").iterdir()) == []


def test_without_a_way_to_packages_the_error_says_what_to_do(runner: Runner) -> None:
    result = runner.prepare(PIP_FIND_LINKS="/nowhere")
    assert result.status == 1
    (error,) = result.errors
    assert "PIP_INDEX_URL" in error
    assert "PIP_FIND_LINKS" in error


def test_several_cold_jobs_at_once_share_one_folder(again: Runner) -> None:
    left_by_a_crash = again.tools / "chainloop-smtp" / ".staging-crashed"
    (left_by_a_crash / "site" / "jinja2").mkdir(parents=True)
    jobs = [
        again.start(_script("prepare"), GITHUB_OUTPUT=str(again.root / f"output {number}"))
        for number in range(4)
    ]
    results = [again.finish(job) for job in jobs]
    assert [result.status for result in results] == [0] * 4, results
    sites = {(again.root / f"output {number}").read_text() for number in range(4)}
    assert len(sites) == 1
    (site,) = set((again.tools / "chainloop-smtp").iterdir()) - {left_by_a_crash}
    assert f"site={site}\n" in sites.pop()
    assert (site / "jinja2" / "environment.py").is_file()


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory, wheelhouse: Path) -> Prepared:
    """A cold run of an Action with few dependencies, for tests that install again and again."""
    root = tmp_path_factory.mktemp("småll")
    action = _copy_of_the_action(root)
    lock = (action / "requirements.txt").read_text("utf-8")
    blocks = re.findall(r"^(?:jinja2|markupsafe|idna)==(?:.*\\\n)*.*\n", lock, re.MULTILINE)
    assert len(blocks) == 3
    (action / "requirements.txt").write_text("".join(blocks))
    (blocks,) = re.findall(r"^(?:certifi)==(?:.*\\\n)*.*\n", lock, re.MULTILINE)
    (action / "requirements-crypto.txt").write_text(blocks)
    runner = Runner(
        root=root / "rünner",
        action=action,
        environ={"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheelhouse.as_uri()},
    )
    result = runner.prepare()
    assert result.status == 0, result.log
    return result


@pytest.fixture
def again(make_runner: Callable[..., Runner], small: Prepared) -> Runner:
    """A runner of that Action."""
    assert small.site is not None
    return make_runner(small.site.parents[3] / "cöpy of the action")


@pytest.fixture
def cached(again: Runner, small: Prepared) -> Path:
    """The folder of dependencies in its tool cache, as an earlier job left it."""
    assert small.site is not None
    site = again.tools / "chainloop-smtp" / small.site.name
    shutil.copytree(small.site, site)
    return site


def _lose(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _lose_all_files(site: Path) -> None:
    for path in site.rglob("*"):
        if path.is_file():
            path.unlink()


def _plant(path: Path) -> None:
    path.write_text("raise SystemExit('what somebody else wrote ran')\n")


def _link(site: Path, target: Path) -> None:
    site.rename(target)
    site.symlink_to(target)


def _make_a_file(site: Path) -> None:
    _lose(site)
    site.touch()


def _expose_byte_code(site: Path) -> None:
    (site / "__pycache__").mkdir()
    (site / "__pycache__").chmod(0o777)


def _pipe_byte_code(site: Path) -> None:
    (site / "__pycache__").mkdir()
    os.mkfifo(site / "__pycache__" / "a.pyc", 0o600)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "one file is lost": lambda site: _lose(site / "jinja2" / "environment.py"),
    "a package is lost": lambda site: _lose(site / "idna"),
    "all files are lost": _lose_all_files,
    "the list of files is lost": lambda site: _lose(site / ".contents"),
    "a file is empty": lambda site: (site / "idna" / "__init__.py").write_bytes(b""),
    "a file is a link": lambda site: _link(site / "idna", site.parent / "elsewhere"),
    "it is a link": lambda site: _link(site, site.parent / "elsewhere"),
    "it is a file": _make_a_file,
    "a module is too many": lambda site: _plant(site / "ssl.py"),
    "anybody may write to it": lambda site: site.chmod(0o777),
    "its group may write to it": lambda site: site.chmod(0o775),
    "anybody may write to a package": lambda site: (site / "jinja2").chmod(0o777),
    "anybody may write to a file": lambda site: (site / "jinja2" / "environment.py").chmod(0o666),
    "anybody may write to its byte code": _expose_byte_code,
    "its byte code is a pipe": _pipe_byte_code,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_folder_is_made_anew(
    again: Runner, cached: Path, small: Prepared, damage: Callable[[Path], object]
) -> None:
    damage(cached)
    result = again.prepare()
    assert (result.status, result.errors) == (0, []), result.log
    assert result.installed
    assert f"{cached} is not used: " in result.log
    assert result.site == cached
    assert small.site is not None
    assert _tree(cached) == _tree(small.site)
    left = {path.name for path in cached.parent.iterdir()} - {"elsewhere"}
    assert left == {cached.name}
    warm = again.prepare(PIP_FIND_LINKS="/nowhere")
    assert (warm.status, warm.installed, warm.site) == (0, False, cached), warm.log


def _tree(folder: Path) -> list[tuple[str, bytes, int]]:
    return sorted(
        (str(path.relative_to(folder)), path.read_bytes(), path.stat().st_mode)
        for path in folder.rglob("*")
        # pip's own notes of the install have a time in them
        if path.is_file() and path.name != ".contents"
    )


@pytest.mark.parametrize(
    ("exposed", "mode", "serves"),
    [
        ("tool cache/chainloop-smtp", 0o777, False),
        ("tool cache/chainloop-smtp", 0o1777, False),
        ("tool cache/chainloop-smtp", 0o775, False),
        ("tool cache", 0o777, False),
        ("tool cache", 0o1777, True),
        (".", 0o777, False),
    ],
)
def test_a_folder_that_somebody_else_can_exchange_is_not_run(
    again: Runner, cached: Path, exposed: str, mode: int, serves: bool
) -> None:
    _plant(cached / "ssl.py")
    (cached / ".contents").write_text(_listed(cached))
    folder = again.root / exposed
    folder.chmod(mode)
    result = again.prepare(TMPDIR="/tmp")
    assert (result.status, result.errors) == (0, []), result.log
    assert result.site is not None
    assert (result.site == cached) is serves
    assert (result.site / "ssl.py").exists() is serves
    assert result.installed is not serves
    assert (f"is not used: other users may write to {folder.resolve()}" in result.log) is not serves


@pytest.mark.parametrize("whose", ["a link that all may exchange", "its target", "anothers link"])
def test_behind_a_link_nothing_is_run_that_somebody_else_can_exchange(
    again: Runner, cached: Path, tmp_path: Path, whose: str
) -> None:
    shared, link = tmp_path / "shared", tmp_path / "link"
    shared.mkdir()
    shared.chmod(0o777)
    target, why = again.tools, f"other users may write to {shared.resolve()}"
    if whose == "its target":
        target = again.tools.rename(shared / "tools")
    elif whose == "a link that all may exchange":
        link = shared / "link"
    link.symlink_to(target)
    if whose == "anothers link":
        why = f"{link} belongs to another user"
        if os.geteuid() != 0:
            pytest.skip("only root gives a link away")
        os.chown(link, SOMEBODY, -1, follow_symlinks=False)
    result = again.prepare(RUNNER_TOOL_CACHE=str(link))
    assert (result.status, result.errors) == (0, []), result.log
    assert f"{link / 'chainloop-smtp' / cached.name} is not used: {why}" in result.log
    assert result.site is not None
    assert result.site.is_relative_to(again.temp)


SOMEBODY = 4711
# The names in a group that may write to the tool cache, and whose primary group it is. The machine
# lists `me`, `root` and `somebody`; `me` runs the step.
GROUPS: dict[str, tuple[list[str], list[str], bool]] = {
    "of one user": (["me"], ["me"], True),
    "of one user, not as primary group": (["me"], [], True),
    "of one user, and root": (["me", "root"], ["me", "root"], True),
    "with another member": (["me", "somebody"], ["me"], False),
    "with a member whom the machine does not list": (["me", "a stranger"], ["me"], False),
    "that is another user's primary group": (["me"], ["me", "somebody"], False),
    "of all users, of whom the machine lists one": (["users"], ["me"], False),
    "that the machine does not list": ([], ["me"], False),
}


@pytest.mark.parametrize(("names", "primary", "serves"), GROUPS.values(), ids=GROUPS)
def test_a_group_that_may_write_above_is_of_one_user(
    again: Runner,
    cached: Path,
    tmp_path: Path,
    names: list[str],
    primary: list[str],
    serves: bool,
) -> None:
    again.tools.chmod(0o775)
    group = again.tools.stat().st_gid
    users = {"me": os.geteuid(), "root": 0, "somebody": SOMEBODY}
    lists = (
        f"pwds = [pwd.struct_passwd((name, '', uid, {group} if name in {primary} else -2, *'   '))"
        f" for name, uid in {users}.items()]\n"
        f"grps = [grp.struct_group((name, '', {group}, {names[1:]})) for name in {names[:1]}]\n"
    )
    (tmp_path / "lists.py").write_text(_OTHER_LISTS.replace("LISTS", lists))
    _folder_of(tmp_path / "bin", python3=_RUNS_FIRST.replace("SCRIPT", str(tmp_path / "lists.py")))
    result = again.prepare(PATH=f"{tmp_path / 'bin'}:{again.environ['PATH']}")
    assert (result.status, result.errors) == (0, []), result.log
    assert (result.site == cached) is serves
    assert result.installed is not serves
    exposed = f"is not used: other users may write to {again.tools.resolve()}"
    assert (exposed in result.log) is not serves


def _listed(site: Path) -> str:
    """What the folder would say of itself, had it been installed as it is."""
    script = (
        "import runpy, sys; print(runpy.run_path(sys.argv[1])['_contents'](sys.argv[2]), end='')"
    )
    bootstrap = REPOSITORY / "action" / "bootstrap.py"
    command = [sys.executable, "-c", script, str(bootstrap), str(site)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout


@pytest.mark.parametrize("whose", [".", "..", "../..", "jinja2", "jinja2/environment.py"])
def test_what_belongs_to_somebody_else_is_not_run(
    again: Runner, cached: Path, tmp_path: Path, whose: str
) -> None:
    owned = (cached / whose).resolve()
    # Whoever runs this may not be able to give a file away. Then it is the Action that takes itself
    # for another user, with nothing of its own.
    if os.geteuid() == 0:
        os.chown(owned, SOMEBODY, -1)
    else:
        _folder_of(tmp_path / "bin", python3=_TAKES_ITSELF_FOR_SOMEBODY)
        again.environ["PATH"] = f"{tmp_path / 'bin'}:{again.environ['PATH']}"
    result = again.prepare(TMPDIR="/tmp")
    assert (result.status, result.errors) == (0, []), result.log
    assert result.installed
    assert re.search("is not used: .* belongs to another user", result.log)
    assert result.site is not None
    assert result.site.stat().st_uid == os.geteuid()
    if result.site != cached:
        assert not result.site.is_relative_to(cached.parent)


def test_what_belongs_to_the_owner_of_the_action_is_run(
    again: Runner, cached: Path, tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    action = shutil.copytree(again.action, tmp_path / "action")
    for path in (action / "action" / "bootstrap.py", cached.parent, cached, *cached.rglob("*")):
        os.chown(path, SOMEBODY, -1)
    result = again.prepare(GITHUB_ACTION_PATH=str(action))
    assert (result.status, result.installed, result.site) == (0, False, cached), result.log


def test_users_who_share_a_tool_cache_each_have_a_folder_in_it(again: Runner, cached: Path) -> None:
    cached.parent.chmod(0o777)
    results = [again.prepare() for _ in range(2)]
    assert [result.status for result in results] == [0, 0]
    assert [result.installed for result in results] == [True, False]
    own = again.tools / f"chainloop-smtp-{os.geteuid()}"
    assert [result.site for result in results] == [own / cached.name] * 2


def test_a_runner_without_a_umask_leaves_nothing_that_others_may_write_to(runner: Runner) -> None:
    script = f"umask 0\n{_script('prepare')}"
    first = runner.finish(runner.start(script))
    assert first.status == 0, first.log
    assert first.site is not None
    process = runner.start(
        f"umask 0\n{_script('send')}",
        PYTHON=first.python,
        SITE=str(first.site),
        EXTRA="",
        CHAINLOOP_SMTP_INPUTS="{}",
    )
    log, _ = process.communicate(timeout=60)
    assert process.returncode == 2, log
    assert (first.site / "__pycache__").is_dir()
    for path in (first.site.parent, first.site, *first.site.rglob("*")):
        assert path.stat().st_mode & 0o022 == 0, path
    again = runner.finish(runner.start(script, PIP_FIND_LINKS="/nowhere"))
    assert (again.status, again.installed, again.site) == (0, False, first.site), again.log


def test_a_runner_with_a_strict_umask_leaves_nothing_that_others_may_read(again: Runner) -> None:
    result = again.finish(again.start(f"umask 077\n{_script('prepare')}"))
    assert (result.status, result.installed) == (0, True), result.log
    assert result.site is not None
    # pip gives some files modes of its own, which do not matter below a private folder.
    for path in (result.site.parent, result.site, result.site / ".contents"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_several_jobs_at_once_mend_a_damaged_folder(again: Runner, cached: Path) -> None:
    _lose(cached / "jinja2")
    jobs = [
        again.start(_script("prepare"), GITHUB_OUTPUT=str(again.root / f"output {number}"))
        for number in range(3)
    ]
    results = [again.finish(job) for job in jobs]
    assert [result.status for result in results] == [0] * 3, results
    sites = {(again.root / f"output {number}").read_text() for number in range(3)}
    assert [f"site={cached}\n" in text for text in sites] == [True]
    assert [path.name for path in cached.parent.iterdir()] == [cached.name]
    assert (cached / "jinja2" / "environment.py").is_file()


@pytest.mark.parametrize("tools", ["cannot be written", "is not there"])
def test_without_a_tool_cache_the_temporary_folder_of_the_job_serves(
    again: Runner, tmp_path: Path, tools: str
) -> None:
    file = tmp_path / "a file"
    file.touch()
    result = again.prepare(
        RUNNER_TOOL_CACHE=str(file / "tool cache") if tools == "cannot be written" else ""
    )
    assert result.status == 0, result.log
    assert result.site is not None
    assert result.site.parent == again.temp / "chainloop-smtp-packages"


def test_outside_of_a_runner_the_folder_is_new_each_time(again: Runner, tmp_path: Path) -> None:
    result = again.prepare(RUNNER_TOOL_CACHE="", RUNNER_TEMP="", TMPDIR=str(tmp_path))
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
    again: Runner, pipless: Path
) -> None:
    result = again.prepare(PATH=f"{pipless}:{again.environ['PATH']}")
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


GOOGLE = "registrations:\n  - name: relay\n    oauth2-provider: google\n"


@pytest.mark.parametrize(
    ("environ", "files"),
    [
        ({"CRYPTOGRAPHY": "true"}, {}),
        ({}, {"chainloop-smtp.yml": GOOGLE}),
        ({}, {".github/chainloop-smtp.yml": "trusted-root: roots.pem\n"}),
        ({"CONFIG": " mail/relay.yml\n"}, {"mail/relay.yml": "verification-key: key.pem\n"}),
    ],
    ids=["inputs", "default file", "the other default file", "named file"],
)
def test_what_few_runs_need_is_installed_beside_the_rest_for_those(
    again: Runner, environ: dict[str, str], files: dict[str, str]
) -> None:
    for name, text in files.items():
        (again.workspace / name).parent.mkdir(exist_ok=True)
        (again.workspace / name).write_text(text)
    result = again.prepare(**environ)
    assert (result.status, result.errors) == (0, []), result.log
    assert result.site is not None
    assert result.extra is not None
    assert (result.site / "jinja2").is_dir()
    assert {path.name for path in result.extra.iterdir() if path.suffix == ""} >= {"certifi"}
    assert not (result.extra / "jinja2").exists()
    warm = again.prepare(PIP_FIND_LINKS="/nowhere", **environ)
    assert (warm.status, warm.site, warm.extra) == (0, result.site, result.extra), warm.log


@pytest.mark.parametrize(
    ("environ", "files"),
    [
        ({"CRYPTOGRAPHY": "false"}, {}),
        ({}, {"chainloop-smtp.yml": GOOGLE.replace("google", "microsoft")}),
        ({"CONFIG": "other.yml"}, {"chainloop-smtp.yml": GOOGLE, "other.yml": "{}"}),
        ({"CONFIG": "missing.yml"}, {}),
        ({"CONFIG": "."}, {}),
    ],
    ids=["inputs", "another provider", "a file that is not read", "no file", "a folder"],
)
def test_what_few_runs_need_is_not_installed_for_others(
    again: Runner, cached: Path, environ: dict[str, str], files: dict[str, str]
) -> None:
    for name, text in files.items():
        (again.workspace / name).write_text(text)
    result = again.prepare(PIP_FIND_LINKS="/nowhere", **environ)
    assert (result.status, result.site, result.extra) == (0, cached, None), result.log


@pytest.fixture
def release(again: Runner, small: Prepared) -> Runner:
    """A runner of a release, which carries its packages."""
    assert small.site is not None
    action = again.root / "the rëlease"
    shutil.copytree(again.action, action)
    shutil.copytree(small.site, action / "packages")
    again.environ["GITHUB_ACTION_PATH"] = str(action)
    return again


def test_a_release_needs_no_pip_and_leaves_nothing_on_the_runner(
    release: Runner, pipless: Path
) -> None:
    result = release.prepare(PATH=str(pipless), PIP_FIND_LINKS="/nowhere")
    assert (result.status, result.errors) == (0, []), result.log
    assert not result.installed
    assert result.site == release.root / "the rëlease" / "packages"
    assert result.extra is None
    assert list(release.tools.iterdir()) == list(release.temp.iterdir()) == []


def test_a_release_installs_what_few_runs_need_and_nothing_else(release: Runner) -> None:
    result = release.prepare(CRYPTOGRAPHY="true")
    assert (result.status, result.errors) == (0, []), result.log
    assert result.site == release.root / "the rëlease" / "packages"
    assert result.extra is not None
    assert result.extra.parent == release.tools / "chainloop-smtp"
    assert (result.extra / "certifi").is_dir()
    assert not (result.extra / "jinja2").exists()


def test_the_folder_of_a_release_stays_as_it_was(release: Runner) -> None:
    action = release.root / "the rëlease"
    package = action / "src" / "chainloop_smtp"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(
        "import certifi, idna, jinja2, sys\n"
        "def main():\n"
        "    print(certifi.__file__, sys.pycache_prefix, sep='\\n')\n"
        "    raise SystemExit(5)\n"
    )
    before = sorted(action.rglob("*"))
    result = release.prepare(CRYPTOGRAPHY="true")
    ran = release.launch(result)
    assert ran.returncode == 5, ran.stdout
    assert result.extra is not None
    assert ran.stdout.splitlines() == [str(result.extra / "certifi" / "__init__.py"), "None"]
    assert sorted(action.rglob("*")) == before


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


_TAKES_ITSELF_FOR_SOMEBODY = f"""
while [ "${{1#-}}" != "$1" ] || [ "$1" = utf8 ]; do shift; done
exec '{sys.executable}' -I -S -X utf8 -c '
import os, runpy, sys
os.geteuid = lambda: {SOMEBODY}
real = os.stat
os.stat = lambda path, **how: os.lstat("/") if path == sys.argv[1] else real(path, **how)
runpy.run_path(sys.argv[1], run_name="__main__")
' "$1"
"""
_RUNS_FIRST = f"""
while [ "${{1#-}}" != "$1" ] || [ "$1" = utf8 ]; do shift; done
exec '{sys.executable}' -I -S -X utf8 'SCRIPT' "$1"
"""
_OTHER_LISTS = """
import grp, pwd, runpy, sys
LISTS
def find(entries, position, wanted):
    for entry in entries:
        if entry[position] == wanted:
            return entry
    raise KeyError(wanted)
pwd.getpwall = lambda: pwds
pwd.getpwnam = lambda name: find(pwds, 0, name)
grp.getgrgid = lambda gid: find(grps, 2, gid)
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
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
    for name in ("requirements.txt", "requirements-crypto.txt"):
        shutil.copy(REPOSITORY / name, action)
    return action
