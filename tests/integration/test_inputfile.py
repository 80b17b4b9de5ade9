"""Real files, pipes and devices: all of them end, in time and in bytes."""

import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from builders import cli_push, encoded, statement
from chainloop_smtp import inputfile
from chainloop_smtp.inputfile import UnreadableError
from program import INPUTS, Post, Program, never

LIMIT = 2048
PIPE = (
    "is a pipe, not a file",
    "Write its contents to a file first, and give that file.",
)
NEVER_ENDS = (
    "did not end within 0.2 seconds",
    "Does the program that writes it end? If it is only slow, raise deadline, or write to a file "
    "first.",
)
CHECKOUT = "Paths are relative to the workspace: does a step before this one check it out?"


def refusal(read: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(UnreadableError) as refused:
        read()
    assert str(refused.value) == refused.value.why
    return refused.value.why, refused.value.hint


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_pipe(name: str = "pipe") -> str:
    os.mkfifo(name)
    return name


@contextmanager
def writing(pipe: str, content: bytes) -> Iterator[None]:
    thread = threading.Thread(target=lambda: Path(pipe).write_bytes(content))
    thread.start()
    yield
    thread.join()


@pytest.mark.parametrize("size", [0, 1, LIMIT])
def test_a_file_up_to_the_limit_is_read_whole(size: int) -> None:
    Path("a").write_bytes(b"\xff" * size)
    assert inputfile.read("a", LIMIT) == b"\xff" * size


def test_a_file_of_several_chunks_is_read_whole() -> None:
    content = os.urandom(3 * 1024 * 1024 + 1)
    Path("a").write_bytes(content)
    assert inputfile.read("a", len(content)) == content


@pytest.mark.parametrize(
    ("limit", "size"), [(LIMIT, "2 KiB"), (1024**2 - 1, "1023 KiB"), (1024**2, "1 MiB")]
)
def test_a_byte_over_the_limit_is_refused(limit: int, size: str) -> None:
    Path("a").write_bytes(b"x" * (limit + 1))
    assert refusal(lambda: inputfile.read("a", limit)) == (f"is larger than {size}", "")


def test_a_file_that_says_it_is_empty_and_goes_on_is_bounded_too() -> None:
    # Files of /proc have the size 0.
    assert inputfile.read("/proc/self/status", 1024**2).startswith(b"Name:")
    assert refusal(lambda: inputfile.read("/proc/self/status", 1024 // 2)) == (
        "is larger than 0 KiB",
        "",
    )


def test_a_huge_file_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("a").open("wb") as file:
        file.truncate(64 * 1024**3)  # sparse
    monkeypatch.setattr(os, "read", None)
    assert refusal(lambda: inputfile.read("a", LIMIT)) == ("is larger than 2 KiB", "")


@pytest.mark.parametrize("timeout", [0, 60], ids=["files only", "pipes too"])
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/urandom", "/dev/null"])
def test_a_device_is_not_even_opened(
    monkeypatch: pytest.MonkeyPatch, device: str, timeout: float
) -> None:
    monkeypatch.setattr(os, "open", None)
    expected = ("is a device, not a file", "")
    assert refusal(lambda: inputfile.read(device, LIMIT, timeout=timeout)) == expected


@pytest.mark.parametrize("timeout", [0, 60], ids=["files only", "pipes too"])
def test_a_folder_is_not_a_file(timeout: float) -> None:
    expected = ("cannot be read: is a directory", "Name the file in it.")
    assert refusal(lambda: inputfile.read(".", LIMIT, timeout=timeout)) == expected


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("a\0b", "not a path"),
        ("\ud800", "not a path"),
        ("x" * 5000, "file name too long"),
        ("file/x", "not a directory"),
    ],
    ids=ascii,
)
def test_what_cannot_be_a_path_says_why(path: str, why: str) -> None:
    Path("file").touch()
    assert refusal(lambda: inputfile.read(path, LIMIT)) == (f"cannot be read: {why}", "")


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755])
def test_a_file_that_only_its_owner_may_write_is_ones_own(mode: int) -> None:
    Path("a").write_bytes(b"mine")
    Path("a").chmod(mode)
    assert inputfile.read("a", LIMIT, must_be_own=True) == b"mine"


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o664, 0o666])
def test_a_file_that_others_may_write_is_not(mode: int) -> None:
    Path("a").write_bytes(b"whose?")
    Path("a").chmod(mode)
    expected = ("may have been written by another user", "")
    assert refusal(lambda: inputfile.read("a", LIMIT, must_be_own=True)) == expected
    assert inputfile.read("a", LIMIT) == b"whose?"


@pytest.mark.parametrize(
    ("owner", "mode", "expected"),
    [
        (os.geteuid(), 0o600, True),
        (0, 0o755, True),
        (os.geteuid() + 1, 0o600, False),
        (0, 0o775, False),
        (0, 0o757, False),
    ],
)
def test_what_another_user_owns_is_not_ones_own(owner: int, mode: int, expected: bool) -> None:
    status = os.stat_result((0o100000 | mode, 1, 1, 1, owner, 0, 0, 0, 0, 0))
    assert inputfile.is_own(status) is expected


# --- pipes and streams -------------------------------------------------------------------------


def test_a_pipe_is_not_waited_for_where_a_file_belongs() -> None:
    assert refusal(lambda: inputfile.read(make_pipe(), LIMIT)) == PIPE


def test_a_pipe_that_takes_the_files_place_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("a").touch()
    opened = os.open
    make_pipe()
    monkeypatch.setattr(os, "open", lambda _, flags: opened("pipe", flags))
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert refusal(lambda: inputfile.read("a", LIMIT)) == PIPE
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_pipe_gives_what_comes_through_it() -> None:
    content = os.urandom(200_000)
    with writing(make_pipe(), content):
        assert inputfile.read("pipe", len(content), timeout=60) == content


def test_a_pipe_has_the_same_limit() -> None:
    with writing(make_pipe(), b"x" * (LIMIT + 1)):
        expected = ("is larger than 2 KiB", "")
        assert refusal(lambda: inputfile.read("pipe", LIMIT, timeout=60)) == expected


def test_a_pipe_that_nobody_writes_to_is_left_behind() -> None:
    assert refusal(lambda: inputfile.read(make_pipe(), LIMIT, timeout=0.2)) == NEVER_ENDS


def test_a_stream_that_does_not_end_is_left_behind() -> None:
    reading, writing_end = os.pipe()
    os.write(writing_end, b"[")
    with os.fdopen(reading, "rb") as stream:
        assert refusal(lambda: inputfile.read_stream(stream, LIMIT, 0.2)) == NEVER_ENDS
        os.close(writing_end)


@pytest.mark.parametrize("size", [0, 1, LIMIT])
def test_a_stream_is_read_to_its_end(size: int) -> None:
    assert inputfile.read_stream(io.BytesIO(b"x" * size), LIMIT, 60) == b"x" * size


def test_a_stream_has_the_same_limit() -> None:
    stream = io.BytesIO(b"x" * (LIMIT + 1))
    expected = ("is larger than 2 KiB", "")
    assert refusal(lambda: inputfile.read_stream(stream, LIMIT, 60)) == expected


def test_a_stream_that_breaks_says_why() -> None:
    with Path("a").open("wb", buffering=0) as stream:
        why, _ = refusal(lambda: inputfile.read_stream(stream, LIMIT, 60))
    assert why == "cannot be read: not a path"


# --- hints -------------------------------------------------------------------------------------


def test_a_missing_file_is_said_to_be_missing() -> None:
    with pytest.raises(UnreadableError) as refused:
        inputfile.read("a/b.json", LIMIT)
    assert refused.value.missing == "a/b.json"
    assert refusal(lambda: inputfile.read("a/b.json", LIMIT)) == (
        "there is no such file",
        CHECKOUT,
    )


@pytest.mark.parametrize("is_checkout", [True, False])
def test_the_checkout_is_only_asked_about_where_it_may_lack(
    folder: Path, is_checkout: bool
) -> None:
    if is_checkout:
        Path(".git").mkdir()
    for path in ("none", str(folder / "none")):
        assert inputfile.suggest(path) == ("" if is_checkout else CHECKOUT)
    assert inputfile.suggest(str(folder.parent / "none")) == ""


@pytest.mark.parametrize(
    ("files", "path", "hint"),
    [
        (["app/ca.pem"], "ca.pem", "Did you mean 'app/ca.pem'?"),
        (["ca.pem"], "app/ca.pem", "Did you mean 'ca.pem'?"),
        (["CA.pem"], "ca.pem", "Did you mean 'CA.pem'?"),
        (["attestation.json"], "atestation.json", "Did you mean 'attestation.json'?"),
        (["lists/people"], "{here}/lists/poeple", "Did you mean 'lists/people'?"),
        (["b/x", "a/x", "x/c"], "x", "Did you mean 'a/x' or 'b/x'?"),
        (["a/x", "b/x", "c/x", "d/x"], "x", "Did you mean 'a/x' or 'b/x' or 'c/x'?"),
        (["a/b/c/x"], "x", "Did you mean 'a/b/c/x'?"),
        (["a/b/c/d/x"], "x", CHECKOUT),
        ([".github/mails.yml"], "mails.yml", "Did you mean '.github/mails.yml'?"),
        ([".github/mails.yml"], ".github/mails.yaml", "Did you mean '.github/mails.yml'?"),
        ([".hidden/x", "node_modules/x", ".x"], "x", CHECKOUT),
        (["other.json"], "x", CHECKOUT),
    ],
)
def test_a_hint_names_what_exists(files: list[str], path: str, hint: str) -> None:
    for each in files:
        Path(each).parent.mkdir(parents=True, exist_ok=True)
        Path(each).touch()
    assert inputfile.suggest(path.format(here=Path.cwd())) == hint


def test_a_pattern_finds_what_may_be_meant_by_another_name() -> None:
    Path("out").mkdir()
    Path("out/My-Attestation-1.json").touch()
    pattern = "*attestation*.json"
    assert inputfile.suggest("evidence", pattern) == "Did you mean 'out/My-Attestation-1.json'?"
    assert inputfile.suggest_files("evidence") == ""


def test_a_folder_is_found_by_what_is_in_it() -> None:
    for each in ("a/mail.html.j2", "a/mail.txt.j2", "b/x.j2", "c/y"):
        Path(each).parent.mkdir(exist_ok=True)
        Path(each).touch()
    hint = "Did you mean 'a' or 'b'?"
    assert inputfile.suggest("templates", "*.j2", is_folder=True) == hint
    assert inputfile.suggest("templates", "*.j3", is_folder=True) == CHECKOUT


def test_no_link_is_followed_and_no_folder_has_to_be_readable(folder: Path) -> None:
    (folder / "w").mkdir()
    os.chdir(folder / "w")
    (folder / "x").touch()
    Path("link").symlink_to("..")
    Path("gone").mkdir()
    assert inputfile.suggest_files("x") == ""


def test_looking_around_comes_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        Path(name).touch()
    monkeypatch.setattr(inputfile, "_MOST_ENTRIES", 2)
    assert inputfile.suggest_files("b") == "Did you mean 'b'?"
    assert inputfile.suggest_files("c") == ""


# --- the program as a process ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["-", "/dev/stdin", "pipe"])
def test_the_process_ends_by_the_deadline_though_its_input_does_not(name: str) -> None:
    import subprocess

    make_pipe()
    values = {"host": "127.0.0.1", "port": "1", "from": "a@b.de", "to": "c@d.fr", "auth": "none"}
    flags = [word for key, value in values.items() for word in (f"--{key}", value)]
    command = (sys.executable, "-m", "chainloop_smtp", "send", *flags, "--attestation", name)
    reading, writing_end = os.pipe()
    try:
        done = subprocess.run(
            (*command, "--deadline", "1"),
            stdin=reading,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(reading)
        os.close(writing_end)
    shown = "standard input" if name == "-" else name
    assert (done.returncode, done.stderr) == (
        3,
        "The attestation cannot be read.\n"
        f"  attestation '{shown}': did not end within 1 seconds\n"
        "    Does the program that writes it end? If it is only slow, raise deadline, or write to "
        "a file first.\n",
    )


def test_a_password_has_to_come_by_the_deadline(program: Program) -> None:
    reading, writing_end = os.pipe()
    with os.fdopen(reading, "rb") as stream, os.fdopen(writing_end, "wb"):
        ended = program("send", "--password-stdin", "--deadline", "0.2", stdin=stream, post=never)
    assert (ended.code, ended.stderr) == (
        2,
        "Invalid options.\n"
        "  password-stdin: did not end within 0.2 seconds\n"
        f"    {NEVER_ENDS[1]}\n",
    )


@pytest.mark.parametrize("deadline", ["soon", "-1", "nan", "inf"])
def test_a_deadline_that_is_wrong_is_reported_and_does_not_keep_the_password_away(
    program: Program, deadline: str
) -> None:
    argv = ("send", "--password-stdin", f"--deadline={deadline}")
    ended = program(*argv, inputs=INPUTS | {"password": ""}, stdin=b"hunter2\n", post=never)
    assert ended.code == 2
    assert next(line.split(":")[0] for line in ended.stderr.splitlines()[1:]) == "  deadline"
    assert "password" not in ended.stderr


def test_a_password_that_is_too_long_is_refused(program: Program) -> None:
    stdin = b"x" * (64 * 1024 + 1)
    ended = program("send", "--password-stdin", stdin=stdin, post=never)
    assert (ended.code, ended.stderr) == (
        2,
        "Invalid options.\n  password-stdin: is larger than 64 KiB\n",
    )


@pytest.mark.parametrize(
    ("inputs", "where"),
    [
        ({"config": "pipe"}, "config 'pipe'"),
        ({"cc": "file:pipe"}, "cc 'file:pipe'"),
        ({"template-dir": "templates"}, "template-dir 'mail.txt.j2'"),
    ],
    ids=str,
)
def test_no_file_of_the_options_may_be_a_pipe(
    program: Program, inputs: dict[str, str], where: str
) -> None:
    make_pipe()
    Path("templates").mkdir()
    make_pipe("templates/mail.txt.j2")
    ended = program("send", inputs=INPUTS | inputs, post=never, is_actions=False)
    assert ended.code in (2, 4)
    assert ended.stderr.partition("\n")[2] == f"  {where}: {PIPE[0]}\n    {PIPE[1]}\n"


@pytest.mark.parametrize("option", ["attestation", "policy-evaluations", "previous-attestation"])
def test_evidence_may_come_through_a_pipe(program: Program, option: str) -> None:
    evidence = encoded(cli_push(statement()))
    given = INPUTS | {"attestation": evidence.decode(), option: make_pipe()}
    content = b'{"evaluations": []}' if option == "policy-evaluations" else evidence
    post = Post()
    with writing("pipe", content):
        assert program("send", inputs=given, post=post).code == 0
    assert len(post.mails) == 1


def test_the_mail_about_a_failed_job_does_not_wait_for_a_pipe_for_ever(program: Program) -> None:
    given = {"attestation": make_pipe(), "job-status": "failure", "deadline": "0.2"}
    post = Post()
    ended = program("send", inputs=INPUTS | given, post=post)
    assert ended.code == 0
    assert len(post.mails) == 1
    assert ("warning", "The attestation cannot be read") in ended.annotations


def test_what_the_runner_and_an_earlier_run_left_may_be_a_pipe_too(program: Program) -> None:
    Path("out").mkdir()
    make_pipe("out/receipt.json")
    post = Post()
    environ = {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": make_pipe()}
    ended = program("send", inputs=INPUTS | {"output-dir": "out"}, environ=environ, post=post)
    assert (ended.code, len(post.mails)) == (0, 1)
    # The receipt of this run has taken its place.
    assert Path("out/receipt.json").read_bytes().startswith(b"{")


def test_a_mail_to_verify_may_be_missing_or_have_another_name(program: Program) -> None:
    Path("out").mkdir()
    Path("out/1.eml").touch()
    ended = program("verify", "mail", is_actions=False)
    assert (ended.code, ended.stderr) == (
        2,
        "Invalid options.\n  mail 'mail': there is no such file\n    Did you mean 'out/1.eml'?\n",
    )


DOT = "To match a hidden name, write its leading dot."


@pytest.mark.parametrize(
    ("inputs", "lines"),
    [
        (
            {"attestation": "atestation.json"},
            [
                "attestation 'atestation.json': there is no such file",
                "Did you mean 'app/out/attestation.json'? Write it in the step that pushes: "
                "chainloop attestation push -o json > attestation.json.",
            ],
        ),
        (
            {"template-dir": "templates"},
            [
                "template-dir: 'templates' is not a readable folder: no such file or directory",
                "Did you mean 'app/mails'?",
            ],
        ),
        (
            {"config": "config.yaml"},
            ["config 'config.yaml': there is no such file", "Did you mean 'app/config.yml'?"],
        ),
        (
            {"cc": "file:people.txt"},
            ["cc 'file:people.txt': there is no such file", "Did you mean 'app/people.txt'?"],
        ),
        (
            {"attach": "dist/*.spdx"},
            ["attach 'dist/*.spdx': matches no file", f"Did you mean 'app/out/a.spdx'? {DOT}"],
        ),
        (
            {"attach": "dist/*"},
            [
                "attach 'dist/*': matches no file",
                "Patterns are relative to the workspace. " + DOT,
            ],
        ),
        (
            {"tls-ca-file": "ca.pem"},
            [
                "tls-ca-file: 'ca.pem' cannot be read: no such file",
                "Did you mean 'app/ca.pem'? The PEM text itself can be given too.",
            ],
        ),
    ],
    ids=str,
)
def test_an_error_about_a_path_names_what_exists(
    program: Program, inputs: dict[str, str], lines: list[str]
) -> None:
    Path(".git").mkdir()
    for each in (
        "out/attestation.json",
        "mails/mail.txt.j2",
        "config.yml",
        "people.txt",
        "out/a.spdx",
        "ca.pem",
    ):
        path = Path("app", each)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    ended = program("send", inputs=INPUTS | inputs, post=never, is_actions=False)
    assert [line.strip() for line in ended.stderr.splitlines()[-2:]] == lines
