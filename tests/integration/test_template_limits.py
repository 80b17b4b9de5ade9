"""The process that renders users' templates: what they may not do, and what becomes of it."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chainloop_smtp.errors import MessageError
from chainloop_smtp.message import TemplateError, check, child
from chainloop_smtp.model.mail import Mail, TemplateFile, Templates
from interrupts import interrupt_when
from program import INPUTS, Post, Program, never, text_of
from states import JOB, RECORDED, written

LOOP = "{% for a in range(99999) %}"
FOREVER = LOOP * 3 + "{% endfor %}" * 3
GROWING = "{% set n = namespace(x='x') %}" + LOOP + "{% set n.x = n.x % n.x %}{% endfor %}"

MEMORY = (
    "the template needs more than 512 MiB of memory\n"
    "  Look for a text or a list that grows in a loop."
)
OUTPUT = "mail.txt.j2: the template renders more than 5,000,000 characters"


def own(text: str, name: str = "mail.txt.j2") -> Templates:
    return Templates(folder="mail", files=(TemplateFile(name=name, text=text),))


def mailed(theirs: Templates) -> Mail:
    return written(RECORDED, JOB, templates=theirs)


def problem(text: str) -> str:
    """What is said of a template, by checking it or by rendering it."""

    def write() -> Mail:
        check(own(text))
        return mailed(own(text))

    with pytest.raises(MessageError) as caught:
        write()
    (found,) = caught.value.problems
    return str(found)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Every child; none outlives its mail."""
    children: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *given: object, **named: object) -> None:
            super().__init__(*given, **named)  # type: ignore[call-overload]
            children.append(self)

    monkeypatch.setattr(child, "Popen", Noted)
    yield children
    assert children
    assert all(each.returncode is not None for each in children)


# --- time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        FOREVER,
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}"
        "{{ m(99) }}",
        "{{ 9 ** 999999999 }}",
        "{% set n = namespace(x=1) %}"
        + "{% set n.x = (n.x, n.x) %}" * 99
        + "{{ {n.x: 1}|length }}",
        "{% for a in [1, 2] recursive %}{{ loop([a, a]) if loop.depth < 99 }}{% endfor %}",
        "{% set x = 'x' * 9999999 %}" + LOOP + "{% set y = x.count('xxxy') %}{% endfor %}",
        LOOP + '{% set x %}{% include "chainloop/mail.txt.j2" %}{% endset %}{% endfor %}',
    ],
    ids=["loops", "macros", "power", "tuples", "recursion", "search", "including"],
)
def test_a_template_that_takes_for_ever_is_ended(
    text: str, monkeypatch: pytest.MonkeyPatch, started: list["subprocess.Popen[bytes]"]
) -> None:
    monkeypatch.setattr(child, "SECONDS", 2)

    assert problem(text) == (
        "mail.txt.j2: rendering takes longer than 2 seconds\n  Look for a loop in a loop."
    )
    assert started[-1].returncode == -signal.SIGKILL


# --- memory -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'x' * 999999999 }}",
        "{{ ([0] * 999999999)|length }}",
        "{{ '%999999999d' % 1 }}",
        "{{ '%*d' % (999999999, 1) }}",
        "{{ '%999999999d'|format(1) }}",
        r"{{ ('x\n' * 9999)|indent(99999) }}",
        r"{{ ('x\n' * 9999)|indent('x' * 99999) }}",
        "{{ ('x' * 9999)|replace('x', 'y' * 99999) }}",
        "{{ range(9999)|join('x' * 99999) }}",
        "{{ range(9999)|map('replace', '', 'x' * 99999)|list|length }}",
        GROWING.replace("x % n", "x ~ n"),
        GROWING.replace("x % n", "x + n"),
        "{% set n = namespace(x='x') %}"
        + LOOP
        + "{% set y %}{{ n.x }}{{ n.x }}{% endset %}{% set n.x = y %}{% endfor %}",
        "{% set n = namespace(x=[]) %}"
        + LOOP
        + "{% set n.x = [n.x, range(999)|list] %}{% endfor %}",
        "{% set x = range(99999)|list %}{{ (x * 99999)|sort }}",
    ],
)
def test_a_template_that_fills_the_memory_is_ended(text: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Where even the error has no room, the process ends without a line.
    assert problem(text) in (f"mail.txt.j2, line 1: {MEMORY}", f"mail.txt.j2: {MEMORY}")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'x' * 6000000 }}",
        LOOP + "x" * 999 + "{% endfor %}",
        "{% set x = 'x' * 9999 %}" + LOOP + "{{ x }}{% endfor %}",
        LOOP + '{% include "chainloop/mail.txt.j2" %}{% endfor %}',
    ],
)
def test_a_template_that_prints_without_end_is_ended(text: str) -> None:
    assert problem(text) == OUTPUT


@pytest.mark.parametrize(
    "text",
    [
        "{{ " + "[" * 50_000 + "]" * 50_000 + " }}",
        "{{ 1" + " + 1" * 30_000 + " }}",
        "{{ ''" + "|trim" * 20_000 + " }}",
        "{{ job" + ".name" * 20_000 + " }}",
        "{{ " + "not " * 30_000 + "1 }}",
        "{% if 1 %}" * 5_000 + "{% endif %}" * 5_000,
        "{% for a in [1] %}" * 30 + "{% endfor %}" * 30,
    ],
    ids=["brackets", "sum", "filters", "members", "not", "if", "for"],
)
def test_a_template_that_is_nested_too_deeply_is_told(text: str) -> None:
    assert problem(text) == "mail.txt.j2: is nested too deeply"


# --- the process --------------------------------------------------------------------------------


def test_the_process_has_facts_and_nothing_else(
    started: list["subprocess.Popen[bytes]"], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What Python may need to start, on some system.
    needed = {"SYSTEMROOT": "/a", "LD_LIBRARY_PATH": "/b", "DYLD_LIBRARY_PATH": "/c"}
    page = (Path(__file__).parents[2] / "SECURITY.md").read_text("utf-8")
    assert "no environment (except `LD_LIBRARY_PATH`, `DYLD_LIBRARY_PATH`, and what" in page
    for name, value in needed.items():
        monkeypatch.setenv(name, value)
    inherited = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(inherited, True)
    one = child.Child(own("{{ job.name }}"))
    try:
        assert one.render("mail.txt.j2", {"job": JOB}) == JOB.name
        home = Path("/proc", str(started[0].pid))
        environment = "".join(f"{name}={value}\0" for name, value in needed.items())
        assert (home / "environ").read_text() == environment
        assert (home / "cwd").readlink() == Path("/")
        assert {each.name for each in (home / "fd").iterdir()} == {"0", "1", "2"}
        limits = (home / "limits").read_text()
        assert limits.split("Max address space", 1)[1].split()[0] == str(512 * 1024**2)
        assert limits.split("Max cpu time", 1)[1].split()[0] == "120"
        assert limits.split("Max core file size", 1)[1].split()[0] == "0"
        assert os.getsid(started[0].pid) != os.getsid(0)
    finally:
        one.close()
        os.close(inherited)


@pytest.mark.parametrize(
    ("prefix", "writes", "flags"),
    [
        (None, True, []),
        ("/tmp/p", True, ["-Xpycache_prefix=/tmp/p"]),
        ("/tmp/p", False, ["-Xpycache_prefix=/tmp/p", "-B"]),
    ],
)
def test_the_process_compiles_where_this_one_does(
    prefix: str | None,
    writes: bool,
    flags: list[str],
    started: list["subprocess.Popen[bytes]"],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "pycache_prefix", prefix)
    monkeypatch.setattr(sys, "dont_write_bytecode", not writes)
    one = child.Child(own("a"))
    try:
        assert one.render("mail.txt.j2", {}) == "a"
        command = Path("/proc", str(started[0].pid), "cmdline").read_text().split("\0")
        assert command[: command.index("-c")] == [sys.executable, "-I", "-S", *flags]
    finally:
        one.close()


def test_characters_that_take_many_bytes_are_as_good_as_others() -> None:
    one = child.Child(own("{{ '🔑' * 600000 }}"))
    try:
        assert one.render("mail.txt.j2", {}) == "🔑" * 600_000
    finally:
        one.close()


def test_one_process_renders_a_whole_mail(started: list["subprocess.Popen[bytes]"]) -> None:
    names = ("mail.html.j2", "mail.txt.j2", "summary.md.j2")
    files = tuple(TemplateFile(name=name, text="{{ job.name }}") for name in names)
    mail = mailed(Templates(subject="{{ job.name }}", folder="mail", files=files))

    assert {mail.subject, mail.html, mail.text.strip(), mail.summary.strip()} == {JOB.name}
    assert len(started) == 1


def test_users_without_templates_have_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "Popen", never)
    check(Templates())

    assert mailed(Templates()).subject


def test_a_process_that_dies_is_one_error(started: list["subprocess.Popen[bytes]"]) -> None:
    one = child.Child(own("{{ job.name }}"))
    try:
        started[0].kill()
        started[0].wait()
        # More than fits into the pipe.
        with pytest.raises(MessageError) as caught:
            one.render("mail.txt.j2", {"job": "x" * 10_000_000})
    finally:
        one.close()

    assert str(caught.value) == f"mail.txt.j2: {MEMORY}"


def test_a_process_that_cannot_be_started_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/not/there/python")
    why = "the process that renders templates cannot be started: No such file or directory"

    assert problem("a") == f"template-dir: {why}"
    # As for any template that does not fit, the mail about a failed job does without.
    with pytest.raises(TemplateError) as caught:
        mailed(Templates(subject="a"))
    assert str(caught.value) == f"subject: {why}"


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_the_process_too(started: list["subprocess.Popen[bytes]"]) -> None:
    interrupt_when(lambda: started, waiting_in="_ask")
    with pytest.raises(KeyboardInterrupt):
        mailed(own(FOREVER))

    assert [each.returncode for each in started] == [-signal.SIGKILL]


def test_a_process_without_a_parent_ends() -> None:
    script = (
        "import os\nfrom chainloop_smtp.message.child import Child\n"
        "from chainloop_smtp.model.mail import Templates\n"
        "one = Child(Templates(subject='a'))\n"
        "print(one._process.pid, flush=True)\n"
        "os._exit(0)\n"
    )
    done = subprocess.run((sys.executable, "-c", script), check=True, capture_output=True)
    process = Path("/proc", done.stdout.decode().strip(), "environ")
    ends = time.monotonic() + 60
    while process.exists() and time.monotonic() < ends:
        time.sleep(0.05)
    # Where nobody waits for it, what is left of a process has no environment to read.
    assert not process.exists()


def test_limits_are_set_as_far_as_the_system_has_them() -> None:
    kinds = (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_CORE)
    before = [resource.getrlimit(kind) for kind in kinds]
    try:
        child.limit_resources(2**46, 10**6)
        assert [resource.getrlimit(kind)[0] for kind in kinds] == [2**46, 10**6, 0]
        # More than the process may have.
        resource.setrlimit(resource.RLIMIT_CORE, (0, before[2][1]))
    finally:
        for kind, limits in zip(kinds, before, strict=True):
            resource.setrlimit(kind, limits)


# --- the whole program --------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["success", "failure"])
def test_a_limit_is_one_clear_error_and_keeps_no_mail_about_a_failed_job(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    monkeypatch.setattr(child, "SECONDS", 2)
    (tmp_path / "mail.txt.j2").write_text(FOREVER)
    post = Post() if status == "failure" else never
    inputs = INPUTS | {"template-dir": str(tmp_path), "job-status": status}
    ended = program("send", inputs=inputs, post=post)

    why = "mail.txt.j2: rendering takes longer than 2 seconds"
    assert why in ended.log
    assert "Traceback" not in ended.log
    if isinstance(post, Post):
        assert ended.code == 0
        assert "No evidence was given" in text_of(post.mails[0].content)
        assert ("warning", "a template cannot be used") in ended.annotations
    else:
        assert ended.code == 4
        assert ended.annotations[-1] == ("error", "The mail cannot be written")
        assert ended.stderr.count(why) == 1
