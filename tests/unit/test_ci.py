"""What a runner makes of what is printed, and what it reads from its files."""

import base64
import io
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chainloop_smtp.ci import Console, plain
from chainloop_smtp.errors import DeliveryError, OptionsError, Problem
from runner import BLANKS, commands, heredocs

ACTIONS = {"GITHUB_ACTIONS": "true"}


class Terminal:
    """A console, and what came out of it."""

    def __init__(self, environ: Mapping[str, str], *, is_json: bool = False) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        self.console = Console(environ, stdout=self.out, stderr=self.err, is_json=is_json)

    @property
    def stdout(self) -> str:
        return self.out.getvalue()

    @property
    def stderr(self) -> str:
        return self.err.getvalue()


# What commands are made of, mixed with anything.
hostile = st.lists(
    st.sampled_from(
        [
            *(
                "::",
                ":",
                "##[",
                "##",
                "#",
                "[",
                "]",
                "error",
                "add-mask",
                "stop-commands",
                "title=",
            ),
            *("::error::x", "::set-output name=sent::true", "##[error]x", "##[add-mask]x"),
            *("\r", "\n", "\r\n", "\n\r", "\x1b[31m", "\x1b]0;title\x07", "\x08", "\x00"),
            *("%", "%0A", "%0D", "%25", "%3A", ",", " ", "\ud800", "✓"),
            *BLANKS,
            *("\x1c", "\x1d", "\x1e", "\x1f", "\u180e", "\u200b", "\u2060", "\ufeff"),
        ]
    )
    | st.text(),
    max_size=12,
).map("".join)


# --- text is only text -------------------------------------------------------------------------


@given(hostile)
@example("::error::x")
@example("\x0b\u3000\xa0::error::x")
@example("fine\r::error::x")
@example("fine\r\n \x85::error::x")
@example("a ##[error]x")
@example("####[[error]x")
@example("::::::error::x")
@example("\x1b::error::x")
def test_nothing_said_becomes_a_command(text: str) -> None:
    terminal = Terminal(ACTIONS)
    terminal.console.say(text)
    assert commands(terminal.stdout) == []
    assert terminal.stderr == ""


@given(hostile)
def test_what_is_said_keeps_its_lines_and_cannot_move_the_cursor(text: str) -> None:
    shown = plain(text)
    assert len(shown.split("\n")) == len(text.split("\n"))
    assert all(character.isprintable() or character == "\n" for character in shown)


@pytest.mark.parametrize(
    "text", ["plain", "a::b", " indented: yes", "# heading", "[x]", "✓ ünïcödé", "a\n\nb", ":"]
)
def test_what_is_no_command_stays_as_it_is(text: str) -> None:
    assert plain(text) == text


@given(hostile, hostile, hostile)
def test_a_failure_is_a_block_on_stderr_and_one_annotation(where: str, why: str, hint: str) -> None:
    terminal = Terminal(ACTIONS)
    terminal.console.failure(DeliveryError(Problem(where, why, hint), Problem("b", "c")))
    assert commands(terminal.stderr) == []
    (command,) = commands(terminal.stdout)
    assert terminal.stdout.count("\n") == 1
    assert command.name == "error"
    assert command.title == "Chainloop SMTP: The mail was not delivered"
    assert command.data.endswith("\nb: c")


@given(hostile, hostile)
def test_an_annotation_is_one_command_and_keeps_its_words(title: str, text: str) -> None:
    for kind in ("notice", "warning"):
        terminal = Terminal(ACTIONS)
        getattr(terminal.console, kind)(title, text)
        assert terminal.stderr == ""
        assert terminal.stdout.count("\n") == 1
        (command,) = commands(terminal.stdout)
        assert command.name == kind
        # The runner shows its lines in the log, and a reader's page folds and colours by these.
        assert "##[" not in terminal.stdout
        words = re.compile(r"[^\w:,%]")
        assert words.sub("", command.data) == words.sub("", text)
        assert words.sub("", command.title) == words.sub("", f"Chainloop SMTP: {title}")


@given(hostile)
def test_a_bug_is_a_block_on_stderr_and_one_annotation(trace: str) -> None:
    terminal = Terminal(ACTIONS)
    terminal.console.bug(trace)
    assert commands(terminal.stderr) == []
    assert "Please report it" in terminal.stderr
    (command,) = commands(terminal.stdout)
    assert command.name == "error"
    assert "bug" in command.data


@given(hostile, hostile)
def test_outside_of_actions_there_are_no_commands_at_all(title: str, text: str) -> None:
    terminal = Terminal({})
    terminal.console.mask("jane", text)
    terminal.console.notice(title, text)
    terminal.console.warning(title, text)
    terminal.console.failure(OptionsError(Problem(title, text)))
    terminal.console.bug(text)
    assert commands(terminal.stdout + terminal.stderr) == []


def test_outside_of_actions_a_notice_is_said_and_a_warning_stands_on_stderr() -> None:
    terminal = Terminal({})
    terminal.console.notice("skipped", "no mail")
    terminal.console.warning("no TLS", "in clear")
    assert terminal.stdout == "skipped: no mail\n"
    assert terminal.stderr == "no TLS: in clear\n"


def test_a_failure_says_what_why_and_what_to_do() -> None:
    terminal = Terminal({})
    terminal.console.failure(
        OptionsError(Problem("port", "'x' is no port", "Use 587."), Problem("to", "is missing"))
    )
    assert terminal.stdout == ""
    assert terminal.stderr == (
        "Invalid options.\n  port: 'x' is no port\n    Use 587.\n  to: is missing\n"
    )


# --- one JSON document -------------------------------------------------------------------------


@given(hostile, hostile)
def test_with_json_standard_output_is_one_document_whatever_else_is_said(
    key: str, text: str
) -> None:
    terminal = Terminal(ACTIONS, is_json=True)
    terminal.console.mask("jane", "correct horse")
    terminal.console.say(text)
    terminal.console.notice("title", text)
    terminal.console.warning("title", text)
    terminal.console.failure(OptionsError(Problem("to", text)))
    terminal.console.data(json.dumps({key: text}))
    assert json.loads(terminal.stdout) == {key: text}
    assert commands(terminal.stdout) == []
    names = [command.name for command in commands(terminal.stderr) if command.name != "add-mask"]
    assert names == ["notice", "warning", "error"]


# --- masks -------------------------------------------------------------------------------------


def masks(user: str, password: str) -> list[str]:
    terminal = Terminal(ACTIONS)
    terminal.console.mask(user, password)
    found = commands(terminal.stdout)
    assert {command.name for command in found} <= {"add-mask"}
    assert len(found) == terminal.stdout.count("\n")
    return [command.data for command in found]


@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "user=jane"])
@pytest.mark.parametrize("after", ["", "x", "xy", "\x01\x01"])
def test_base64_of_any_text_with_the_password_in_it_is_masked(before: str, after: str) -> None:
    echoed = base64.b64encode(f"{before}correct horse{after}".encode()).decode()
    assert any(mask in echoed for mask in masks("jane", "correct horse"))


def test_what_is_masked_later_is_added_and_said_once() -> None:
    stdout = io.StringIO()
    console = Console({"GITHUB_ACTIONS": "true"}, stdout=stdout, stderr=stdout)
    console.mask("jane", "correct horse")
    first = stdout.getvalue()
    console.mask("jane", "correct horse")
    console.mask("", "battery staple")
    assert first in stdout.getvalue()
    assert stdout.getvalue().count("::add-mask::correct horse\n") == 1
    console.bug("Traceback: correct horse, battery staple")
    assert "Traceback: ***, ***" in stdout.getvalue()


def test_the_password_is_masked_in_the_forms_it_travels_in() -> None:
    assert masks("jane", 'pa"ss\\wörd') == [
        'pa"ss\\wörd',
        base64.b64encode('pa"ss\\wörd'.encode()).decode(),
        base64.b64encode('\0jane\0pa"ss\\wörd'.encode()).decode(),
        # Any base64 of a longer text holds one of these three.
        "cGEic3Ncd8O2cm",
        "BhInNzXHfDtnJk",
        "wYSJzc1x3w7ZyZ",
        'pa\\"ss\\\\w\\u00f6rd',
        'pa\\"ss\\\\wörd',
        "pa&quot;ss\\wörd",
        "pa%22ss%5Cw%C3%B6rd",
    ]


def test_each_line_of_a_password_is_masked_as_well_as_the_whole() -> None:
    found = masks("jane", "first line\r\nsecond%0Aline\nx")
    assert "first line\r\nsecond%0Aline\nx" in found
    assert "first line" in found
    assert "second%0Aline" in found
    assert "x" not in found


@pytest.mark.parametrize(
    ("user", "password", "forms"),
    [
        ("jane", "", []),
        # Three characters stand in every log; what they are encoded to does not.
        ("jane", "abc", ["YWJj", "AGphbmUAYWJj"]),
        ("jane", "abcd", ["abcd", "YWJjZA==", "AGphbmUAYWJjZA==", "YWJjZ", "FiY2", "hYmNk"]),
        # A line of blanks and one sign is no form either.
        (
            "",
            "  ab  \n  x  ",
            [
                "  ab  \n  x  ",
                "ICBhYiAgCiAgeCAg",
                "AAAgIGFiICAKICB4ICA=",
                "AgYWIgIAogIHggI",
                "gIGFiICAKICB4IC",
                "  ab  \\n  x  ",
                "%20%20ab%20%20%0A%20%20x%20%20",
            ],
        ),
        # Options refuse half a character later.
        (
            "jane",
            "p\udce4ss",
            [
                "p?ss",
                "cD9zcw==",
                "AGphbmUAcD9zcw==",
                "cD9zc",
                "A/c3",
                "wP3Nz",
                "p?ss",
                "p%3Fss",
            ],
        ),
    ],
    ids=ascii,
)
def test_no_form_under_four_characters_is_masked(
    user: str, password: str, forms: list[str]
) -> None:
    assert masks(user, password) == forms


@given(st.text(min_size=4).map(str.strip).filter(lambda text: len(text) >= 4))
@example("::stop-commands::x")
@example("\n##[error]\n")
def test_any_password_is_among_its_masks_and_makes_no_other_command(password: str) -> None:
    assert password.encode(errors="replace").decode() in masks("jane", password)


def test_a_bug_does_not_show_the_password_that_it_stumbled_over() -> None:
    terminal = Terminal({})
    terminal.console.mask("jane", "correct horse")
    encoded = base64.b64encode(b"\0jane\0correct horse").decode()
    terminal.console.bug(f"ValueError: 'correct horse' {encoded}")
    assert "correct horse" not in terminal.stderr
    assert encoded not in terminal.stderr
    assert "ValueError: '***' " in terminal.stderr


# --- outputs and summary -----------------------------------------------------------------------


def runner(folder: Path) -> dict[str, str]:
    return ACTIONS | {
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary"),
    }


@pytest.mark.parametrize(
    "value",
    [
        "",
        "true",
        "a\nb",
        "sent=true",
        "x\nsent=true\n",
        "x\nsent<<EOF\ntrue\nEOF",
        "ghadelimiter_0\nghadelimiter_00000000000000000000000000000000\nsent=true",
        "bare\rreturn",
        "::error::x\n##[error]x",
        "✓ ünïcödé",
    ],
    ids=ascii,
)
def test_an_output_is_read_back_as_it_was_whatever_it_holds(tmp_path: Path, value: str) -> None:
    terminal = Terminal(runner(tmp_path))
    terminal.console.outputs({"first": value, "second": value, "last": "x"})
    written = (tmp_path / "output").read_bytes().decode()
    assert heredocs(written) == {"first": value, "second": value, "last": "x"}
    assert terminal.stdout == terminal.stderr == ""


def test_what_is_no_unicode_does_not_keep_the_other_outputs_from_being_written(
    tmp_path: Path,
) -> None:
    Terminal(runner(tmp_path)).console.outputs({"digest": "\ud800", "sent": "true"})
    assert heredocs((tmp_path / "output").read_text("utf-8")) == {"digest": "?", "sent": "true"}


def test_no_two_outputs_end_with_the_same_delimiter(tmp_path: Path) -> None:
    console = Terminal(runner(tmp_path)).console
    for _ in range(2):
        console.outputs({"a": "1", "b": "2"})
    delimiters = re.findall("<<(.+)", (tmp_path / "output").read_text("utf-8"))
    assert len(set(delimiters)) == 4
    assert all(len(each) > 32 for each in delimiters)


def test_what_stood_in_the_runners_files_stays(tmp_path: Path) -> None:
    (tmp_path / "output").write_text("earlier=1\n")
    (tmp_path / "summary").write_text("# earlier\n")
    console = Terminal(runner(tmp_path)).console
    console.outputs({"sent": "true"})
    console.summary("first\n\n\n")
    console.summary("second")
    assert (tmp_path / "output").read_text().startswith("earlier=1\nsent<<")
    assert (tmp_path / "summary").read_text() == "# earlier\nfirst\n\nsecond\n\n"


def test_outside_of_actions_no_file_is_written(tmp_path: Path) -> None:
    console = Terminal(runner(tmp_path) | {"GITHUB_ACTIONS": "false"}).console
    console.outputs({"sent": "true"})
    console.summary("text")
    assert list(tmp_path.iterdir()) == []


def test_a_runners_file_that_is_a_pipe_without_a_reader_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "output")
    os.mkfifo(tmp_path / "summary")
    terminal = Terminal(runner(tmp_path))
    terminal.console.outputs({"sent": "true"})
    terminal.console.summary("text")
    assert [(each.name, each.data) for each in commands(terminal.stdout)] == [
        ("warning", f"{tmp_path / name}: No such device or address")
        for name in ("output", "summary")
    ]


def test_a_runners_file_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    terminal = Terminal(runner(missing))
    terminal.console.outputs({"sent": "true"})
    terminal.console.summary("text")
    found = commands(terminal.stdout)
    assert [command.name for command in found] == ["warning", "warning"]
    assert [command.title for command in found] == [
        "Chainloop SMTP: the outputs cannot be written",
        "Chainloop SMTP: the job summary cannot be written",
    ]
    assert all(str(missing) in command.data for command in found)


def test_with_json_the_outputs_are_printed_too(tmp_path: Path) -> None:
    terminal = Terminal(runner(tmp_path), is_json=True)
    terminal.console.outputs({"sent": "true", "digest": "##[error]x", "accepted": '["a@b.c"]'})
    printed = {"sent": True, "digest": "##[error]x", "accepted": ["a@b.c"]}
    assert json.loads(terminal.stdout) == printed
    assert heredocs((tmp_path / "output").read_text("utf-8"))["sent"] == "true"


# --- streams -----------------------------------------------------------------------------------


def test_a_stream_that_knows_no_check_mark_gets_a_question_mark() -> None:
    octets = io.BytesIO()
    stream = io.TextIOWrapper(octets, encoding="ascii")
    Console({}, stdout=stream).say("✓ sent")
    assert octets.getvalue().splitlines() == [b"? sent"]


def test_a_reader_that_has_left_does_not_stop_the_work() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        console = Console({}, stdout=stream)
        console.say("nobody reads this")
        console.say("nor this")
        console.data("{}")


def test_a_stream_that_takes_nothing_does_not_stop_the_work_and_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reading, writing = os.pipe()
    os.close(writing)
    # Fails as a full disk does, and on every system.
    with os.fdopen(reading, "w") as stream:
        console = Console({}, stdout=stream)
        console.say("this is lost")
        console.say("and this")
        console.data("{}")
    assert capsys.readouterr().err == "The rest of the output is lost: bad file descriptor.\n"


def test_without_streams_of_its_own_the_process_is_spoken_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console = Console({})
    console.say("out")
    console.warning("title", "err")
    assert capsys.readouterr() == ("out\n", "title: err\n")


def test_a_job_summary_that_github_would_drop_is_cut_at_a_line(tmp_path: Path) -> None:
    path = tmp_path / "summary"
    terminal = Terminal(ACTIONS | {"GITHUB_STEP_SUMMARY": str(path)})
    terminal.console.summary("a line of it\n" * 100_000)

    written = path.read_text("utf-8")
    assert 999_900 < len(written) <= 1_000_100
    assert written.endswith("a line of it\n\n_Cut here: the whole is in the mail._\n\n")


@pytest.mark.parametrize("environ", [{}, ACTIONS], ids=["terminal", "Actions"])
def test_hidden_addresses_are_in_nothing_that_people_read(
    environ: Mapping[str, str], tmp_path: Path
) -> None:
    summary = tmp_path / "summary"
    terminal = Terminal({**environ, "GITHUB_STEP_SUMMARY": str(summary)})
    console = terminal.console
    console.hide("Jane+x@example.com", "jane+x@example.com")
    console.say("to <jane+X@Example.com>, ajane+x@example.com, jane+x@example.com.evil.test.")
    console.aside("jane+x@example.com")
    console.notice("jane", "jane+x@example.com: no")
    console.warning("jane", "jane+x@example.com: no")
    console.failure(DeliveryError(Problem("jane+x@example.com", "no", "not JANE+X@example.com.")))
    console.summary("- jane+x@example.com")
    console.data('{"refused": ["jane+x@example.com"]}')
    said = terminal.stdout + terminal.stderr
    assert "to <(bcc)>, ajane+x@example.com, jane+x@example.com.evil.test." in terminal.stdout
    assert said.count("(bcc)") == (6 if not environ else 8)
    found = re.findall(r"(?i)(?<![\w])jane\+x@example.com(?!\.evil)", said)
    assert found == ["jane+x@example.com"]
    assert '{"refused": ["jane+x@example.com"]}' in terminal.stdout
    if environ:
        assert summary.read_text("utf-8") == "- (bcc)\n\n"
