"""Evidence by the ``chainloop`` command: a stand-in executable, started for real."""

import json
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chainloop_smtp.errors import AttestationError
from chainloop_smtp.model.checks import Check, CheckResult
from chainloop_smtp.model.facts import Job, ListedRun
from chainloop_smtp.source import command

RUN_ID = "2b1f3c0e-7a55-4d7e-9f64-0c8f5f1a9d21"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for PATH with a space in its name."""
    folder = tmp_path / "some tools"
    folder.mkdir()
    return folder


def stand_in(folder: Path, script: str) -> dict[str, str]:
    """A ``chainloop`` that runs a script, and the environment that finds it."""
    program = folder / "chainloop"
    program.write_text(f"#!{sys.executable} -IS\nimport json, os, sys, time\n{script}\n")
    program.chmod(0o755)
    return {"PATH": str(folder), "CHAINLOOP_TOKEN": "t0k3n"}


NOT_THERE = (
    "there is no chainloop command on PATH",
    "Install it in a step before this one, or give attestation instead.",
)


def failure(environ: dict[str, str], deadline: float = 30) -> tuple[str, str]:
    with pytest.raises(AttestationError) as caught:
        command.describe(RUN_ID, environ, deadline)
    (problem,) = caught.value.problems
    assert problem.where == "workflow-run-id"
    return problem.why, problem.hint


def test_the_command_is_asked_for_the_run_as_json_with_chainloops_own_environment(
    folder: Path,
) -> None:
    environ = stand_in(
        folder, "json.dump([sys.argv[1:], os.environ['CHAINLOOP_TOKEN']], sys.stdout)"
    )
    printed = json.loads(command.describe(RUN_ID, environ, 30))
    assert printed == [["workflow", "run", "describe", "--id", RUN_ID, "-o", "json"], "t0k3n"]


def test_a_log_on_standard_error_does_not_matter(folder: Path) -> None:
    environ = stand_in(folder, "print('INF hello', file=sys.stderr); print('{}')")
    assert command.describe(RUN_ID, environ, 30).strip() == b"{}"


@pytest.mark.parametrize("code", [1, 3, 4])
def test_a_failing_command_is_told_with_its_exit_code_and_its_last_words(
    folder: Path, code: int
) -> None:
    script = f"print('{{}}'); print('ERR run not found', file=sys.stderr); sys.exit({code})"
    assert failure(stand_in(folder, script)) == (
        f"chainloop ended with exit code {code}: ERR run not found",
        "Is the run in this organization, and may CHAINLOOP_TOKEN read its runs?",
    )


def test_a_command_that_fails_without_a_word_is_told_too(folder: Path) -> None:
    why, _ = failure(stand_in(folder, "sys.exit(2)"))
    assert why == "chainloop ended with exit code 2: no message"


def test_only_the_last_lines_of_a_long_log_are_told(folder: Path) -> None:
    script = "[print('line', n, file=sys.stderr) for n in range(100)]; sys.exit(1)"
    why, _ = failure(stand_in(folder, script))
    lines = " / ".join(f"line {number}" for number in range(95, 100))
    assert why == f"chainloop ended with exit code 1: {lines}"


def test_a_line_without_an_end_is_cut_at_its_beginning(folder: Path) -> None:
    script = "print('x' * 5000 + 'end\\xff', end='', file=sys.stderr); sys.exit(1)"
    why, _ = failure(stand_in(folder, script))
    assert why.endswith("end\xff")
    assert len(why) < 4200


def test_a_command_that_prints_nothing_is_an_error(folder: Path) -> None:
    assert failure(stand_in(folder, "print(' ')")) == ("chainloop printed nothing: no message", "")
    script = "print('INF bye', file=sys.stderr)"
    assert failure(stand_in(folder, script)) == ("chainloop printed nothing: INF bye", "")


def test_a_command_that_hangs_is_ended_at_the_deadline(folder: Path) -> None:
    started = time.monotonic()
    assert failure(stand_in(folder, "time.sleep(60)"), deadline=0.5) == (
        "chainloop did not answer within 0.5 seconds",
        "Chainloop's control plane may be out of reach from here.",
    )
    assert time.monotonic() - started < 45


def test_no_command_on_path_is_an_error_that_says_so(tmp_path: Path) -> None:
    assert failure({"PATH": str(tmp_path)}) == failure({}) == NOT_THERE


@pytest.mark.skipif(os.name == "nt", reason="Windows has no executable bit")
def test_a_command_that_cannot_be_started_is_an_error(folder: Path) -> None:
    program = folder / "chainloop"
    program.write_text("#!/nowhere/interpreter\n")
    program.chmod(0o755)
    why = "chainloop cannot be started: No such file or directory"
    assert failure({"PATH": str(folder)}) == (why, "")


def test_more_than_the_limit_is_refused(folder: Path) -> None:
    script = "print('{' + ' ' * (1 << 26) + '}')"
    assert failure(stand_in(folder, script)) == ("chainloop printed more than 64 MiB", "")
    script = "print('{' + ' ' * ((1 << 26) - 2) + '}', end='')"
    assert len(command.describe(RUN_ID, stand_in(folder, script), 30)) == 1 << 26


@pytest.mark.parametrize("element", ["", ".", "tools"])
def test_a_command_in_the_workspace_is_not_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, element: str
) -> None:
    stand_in(folder, "print('{}')")
    (folder / "tools").mkdir()
    (folder / "tools" / "chainloop").symlink_to(folder / "chainloop")
    monkeypatch.chdir(folder)
    assert failure({"PATH": f"{element}:/nowhere"}) == NOT_THERE


def test_inputs_in_the_environment_do_not_reach_the_command(folder: Path) -> None:
    environ = stand_in(folder, "json.dump(dict(os.environ), sys.stdout)")
    printed = command.describe(RUN_ID, environ | {"INPUT_PASSWORD": "hunter2"}, 30)
    assert "CHAINLOOP_TOKEN" in json.loads(printed)
    assert b"hunter2" not in printed


def listed(environ: dict[str, str], deadline: float = 30, **names: str) -> list[ListedRun]:
    pages = command.list_runs(environ, deadline, **names)
    return [each for page in pages for each in page]


def list_failure(environ: dict[str, str], deadline: float = 30) -> tuple[str, str]:
    with pytest.raises(AttestationError) as caught:
        listed(environ, deadline)
    (problem,) = caught.value.problems
    assert problem.where == "workflow-run-id"
    return problem.why, problem.hint


def test_runs_are_asked_for_by_workflow_and_project(folder: Path) -> None:
    environ = stand_in(folder, "json.dump([{'id': ' '.join(sys.argv[1:])}], sys.stdout)")
    (run,) = listed(environ, workflow="--build", project="har bour")
    assert run.id == ("workflow run list --workflow=--build --project=har bour --limit=50 -o json")
    (run,) = listed(environ)
    assert run.id == "workflow run list --limit=50 -o json"


def test_a_listed_run_has_its_facts(folder: Path) -> None:
    item = {
        "id": RUN_ID,
        "state": "success",
        "createdAt": "2026-08-21T11:02:03.123456789Z",
        "finishedAt": "2026-08-21T13:02:04+02:00",
        "workflow": {"name": "release", "project": "harbour"},
        "runURL": "https://github.com/o/r/actions/runs/7",
    }
    environ = stand_in(folder, f"print('a plugin says [hello]'); json.dump([{item!r}], sys.stdout)")
    assert listed(environ) == [
        ListedRun(
            id=RUN_ID,
            state="success",
            created=datetime(2026, 8, 21, 11, 2, 3, 123456, tzinfo=UTC),
            finished=datetime(2026, 8, 21, 11, 2, 4, tzinfo=UTC),
            url="https://github.com/o/r/actions/runs/7",
            workflow="release",
            project="harbour",
        )
    ]


@pytest.mark.parametrize("time", ["1970-01-01T00:00:00Z", "soon", "", None, 7, "missing"])
def test_what_a_list_does_not_say_is_unknown(folder: Path, time: object) -> None:
    item = {"id": "a", "state": 5, "createdAt": time, "workflow": None, "runURL": ["x"]}
    (run,) = listed(stand_in(folder, f"json.dump([{item!r}], sys.stdout)"))
    assert run == ListedRun(
        id="a", state="", created=None, finished=None, url="", workflow="", project=""
    )


def test_the_first_second_of_1970_is_a_time(folder: Path) -> None:
    item = {"id": "a", "createdAt": "1970-01-01T00:00:01Z"}
    (run,) = listed(stand_in(folder, f"json.dump([{item!r}], sys.stdout)"))
    assert run.created == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)


def test_a_time_without_a_zone_is_utc(folder: Path) -> None:
    item = {"id": "a", "createdAt": "2026-08-21T11:02:03"}
    (run,) = listed(stand_in(folder, f"json.dump([{item!r}], sys.stdout)"))
    assert run.created == datetime(2026, 8, 21, 11, 2, 3, tzinfo=UTC)


# Logs in colour, as the command does under GitHub Actions; the first and third page are empty.
PAGES = """
at = next((a.partition('=')[2] for a in sys.argv if a.startswith('--next=')), '')
with open(os.path.join(os.environ['PATH'], 'asked'), 'a') as file: print(at, file=file)
following, ids = {'': ('YQ==', []), 'YQ==': ('b-_+/', 'ab'), 'b-_+/': ('c', []), 'c': ('', 'c')}[at]
json.dump([{'id': each} for each in ids], sys.stdout)
print('\x1b[32mINF\x1b[0m \x1b[1mPagination options \x1b[0m', file=sys.stderr)
if following: print(f'\x1b[32mINF\x1b[0m \x1b[1m--next {following}\\n\x1b[0m', file=sys.stderr)
"""


def test_every_page_is_read_and_no_page_before_it_is_wanted(folder: Path) -> None:
    pages = command.list_runs(stand_in(folder, PAGES), 30)
    asked = folder / "asked"
    assert not asked.exists()
    assert [each.id for each in next(pages)] == []
    assert [each.id for each in next(pages)] == ["a", "b"]
    assert asked.read_text() == "\nYQ==\n"
    assert [[each.id for each in page] for page in pages] == [[], ["c"]]
    assert asked.read_text() == "\nYQ==\nb-_+/\nc\n"


@pytest.mark.parametrize(
    ("age", "number", "pages"),
    [
        # Seven hours are longer than a job may take, but another run of GitHub may be longer.
        ({"hours": 6, "minutes": 59}, 41, 2),
        ({"hours": 7, "minutes": 1}, 41, 1),
        ({"hours": 7, "minutes": 1}, 42, 2),
        ({"days": 34, "hours": 23}, 43, 2),
        ({"days": 35, "hours": 1}, 43, 1),
    ],
)
def test_runs_are_looked_for_as_long_as_a_run_of_github_may_be_going_on(
    folder: Path, age: dict[str, int], number: int, pages: int
) -> None:
    address = "https://github.com/lakeside/harbour/actions/runs"
    job = Job(
        server_url="https://github.com", repository="lakeside/harbour", run_id="42", event="push"
    )
    created = (datetime.now(UTC) - timedelta(**age)).isoformat()
    first = [{"id": "other", "createdAt": created, "runURL": f"{address}/{number}"}]
    second = [{"id": name, "createdAt": created, "runURL": f"{address}/42"} for name in "ab"]
    script = f"""
is_first = not any(each.startswith('--next=') for each in sys.argv)
json.dump({first!r} if is_first else {second!r}, sys.stdout)
if is_first: print('INF --next more', file=sys.stderr)
"""

    ids = command.find_runs(job, stand_in(folder, script), 30)

    own = ("other",) if number == 42 else ()
    assert ids == ((("b", "a") if pages == 2 else ()) + own)


def test_pages_that_go_round_in_a_circle_are_an_error(folder: Path) -> None:
    environ = stand_in(folder, "print('[]'); print('INF --next again', file=sys.stderr)")
    why = "chainloop workflow run list: its pages repeat"
    assert list_failure(environ) == (why, "")


def test_pages_that_take_longer_than_the_deadline_are_an_error(folder: Path) -> None:
    script = (
        "if len(sys.argv) > 7: time.sleep(600)\n"
        "print('[]'); print('INF --next more', file=sys.stderr)"
    )
    assert list_failure(stand_in(folder, script), deadline=4) == (
        "chainloop workflow run list: 4 seconds are not enough for its pages",
        "Raise deadline, or name the runs by their ids.",
    )


def test_the_deadline_holds_for_all_pages_together(folder: Path) -> None:
    script = """
number = next((int(a.partition('=')[2]) for a in sys.argv if a.startswith('--next=')), 0)
time.sleep(1)
print('[]')
if number < 20: print(f'INF --next {number + 1}', file=sys.stderr)
"""
    why, _ = list_failure(stand_in(folder, script), deadline=4)
    assert why == "chainloop workflow run list: 4 seconds are not enough for its pages"


def test_a_later_page_may_fail_for_other_reasons(folder: Path) -> None:
    script = (
        "if len(sys.argv) > 7: sys.exit('ERR connection lost')\n"
        "print('[]'); print('INF --next more', file=sys.stderr)"
    )
    assert list_failure(stand_in(folder, script)) == (
        "chainloop ended with exit code 1: ERR connection lost",
        "Is the run in this organization, and may CHAINLOOP_TOKEN read its runs?",
    )


@pytest.mark.parametrize(
    ("printed", "why"),
    [
        ("null", "chainloop workflow run list printed no list of runs: 'null'"),
        (
            "there are no runs",
            "chainloop workflow run list printed no list of runs: 'there are no runs'",
        ),
        ("[" * 100_000, f"chainloop workflow run list printed no list of runs: {'[' * 40!r}"),
        ("{}", "chainloop workflow run list printed no list of runs: '{}'"),
        ('[{"id": "a"}, 5]', "chainloop workflow run list: [1].id is missing, or not a string"),
        ('[{"id": 5}]', "chainloop workflow run list: [0].id is missing, or not a string"),
    ],
)
def test_what_is_not_a_list_of_runs_is_an_error(folder: Path, printed: str, why: str) -> None:
    assert list_failure(stand_in(folder, f"print({printed!r})")) == (why, "")


def test_without_a_token_the_error_says_what_to_do(folder: Path) -> None:
    script = "print('\x1b[31mERR\x1b[0m authentication required', file=sys.stderr); sys.exit(1)"
    environ = stand_in(folder, script)
    del environ["CHAINLOOP_TOKEN"]
    hint = (
        "CHAINLOOP_TOKEN is not set for this step. Chainloop's keyless login covers `chainloop "
        "attestation …` only, so add `env: CHAINLOOP_TOKEN: ${{ secrets.CHAINLOOP_TOKEN }}`, or "
        "give attestation the file that `chainloop attestation push -o json` wrote."
    )
    expected = ("chainloop ended with exit code 1: ERR authentication required", hint)
    assert list_failure(environ) == failure(environ) == expected


# --- a run whose attestation the control plane cannot load ----------------------------------------

RECORDED = '{"workflowRun": {"state": "success"}, "verified": false}'
WHOLE = '{"workflowRun": {"state": "success"},\n   "attestation": {}}'


def counting(folder: Path, *answers: str) -> dict[str, str]:
    """A ``chainloop`` that gives one answer after the other, then fails; each call is a line."""
    script = f"""
with open({str(folder / "calls")!r}, "a+") as calls:
    calls.write("call\\n")
    calls.seek(0)
    number = len(calls.readlines())
answers = {answers!r}
if number > len(answers):
    sys.exit("ERR no more")
print(answers[number - 1])
"""
    return stand_in(folder, script)


def calls(folder: Path) -> int:
    return len((folder / "calls").read_text().splitlines())


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_PAUSES", (0.0, 0.0, 0.0))


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize(
    ("answers", "printed", "number"),
    [
        ([WHOLE], WHOLE, 1),
        ([RECORDED, WHOLE], WHOLE, 2),
        ([RECORDED, RECORDED, RECORDED, WHOLE], WHOLE, 4),
        ([RECORDED] * 5, RECORDED, 4),
        # It fails at the second try.
        ([RECORDED], RECORDED, 2),
        (
            ['{"workflowRun": {"state": "in progress"}}'],
            '{"workflowRun": {"state": "in progress"}}',
            1,
        ),
        (['{"workflowRun": {"state": "failed"}}'], '{"workflowRun": {"state": "failed"}}', 1),
        (["[]"], "[]", 1),
        (["garbage"], "garbage", 1),
    ],
    ids=["whole", "second", "last", "never", "fails", "open", "failed", "list", "garbage"],
)
def test_a_recorded_run_without_its_attestation_is_described_again(
    folder: Path, answers: list[str], printed: str, number: int
) -> None:
    document = command.describe(RUN_ID, counting(folder, *answers), 60)

    assert (document.decode().strip(), calls(folder)) == (printed, number)


@pytest.mark.usefixtures("no_pauses")
def test_one_deadline_holds_for_all_descriptions(folder: Path) -> None:
    hanging = f"if os.path.exists({str(folder / 'calls')!r}): time.sleep(60)"
    environ = counting(folder, RECORDED)
    script = (folder / "chainloop").read_text().partition("time\n")[2]
    stand_in(folder, f"{hanging}\n{script}")
    started = time.monotonic()

    document = command.describe(RUN_ID, environ, 3)

    assert document.decode().strip() == RECORDED
    assert time.monotonic() - started < 30


def test_it_is_not_described_again_where_the_pause_would_outlast_the_deadline(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_PAUSES", (1000.0,))

    document = command.describe(RUN_ID, counting(folder, RECORDED, WHOLE), 60)

    assert (document.decode().strip(), calls(folder)) == (RECORDED, 1)


# --- verifying a bundle ------------------------------------------------------------------------

VERIFY = """
bundle = sys.argv[3].removeprefix("--bundle=")
assert sys.argv[1:3] == ["attestation", "verify"] and os.environ["CHAINLOOP_TOKEN"] == "t0k3n"
assert open(bundle, "rb").read() == b'{"dsseEnvelope": {}}'
"""


@pytest.mark.parametrize(
    ("script", "result", "detail"),
    [
        pytest.param(
            "print('\\x1b[32mINF\\x1b[0m attestation verified successfully', file=sys.stderr)",
            CheckResult.OK,
            "verified by `chainloop attestation verify`",
            id="verified",
        ),
        pytest.param(
            "sys.exit('ERR verifying attestation: bundle verification failed')",
            CheckResult.WRONG,
            "`chainloop attestation verify` says: "
            "ERR verifying attestation: bundle verification failed",
            id="failed",
        ),
        pytest.param(
            "print('WRN attestation couldn\\'t be verified', file=sys.stderr)",
            CheckResult.UNKNOWN,
            "`chainloop attestation verify` says: WRN attestation couldn't be verified",
            id="not verifiable, with exit code 0",
        ),
        pytest.param(
            "sys.exit('ERR failed getting trusted root: connection refused')",
            CheckResult.UNKNOWN,
            "`chainloop attestation verify` says: "
            "ERR failed getting trusted root: connection refused",
            id="out of reach",
        ),
        pytest.param(
            "print('attestation verified successfully', file=sys.stderr); sys.exit(1)",
            CheckResult.UNKNOWN,
            "`chainloop attestation verify` says: attestation verified successfully",
            id="an exit code that contradicts the words",
        ),
    ],
)
def test_the_command_verifies_a_bundle(
    folder: Path, script: str, result: CheckResult, detail: str
) -> None:
    environ = stand_in(folder, VERIFY + script)
    check = command.verify_bundle(b'{"dsseEnvelope": {}}', environ, 30)
    assert check == Check(name="signature", result=result, detail=detail)


def test_without_the_command_nothing_is_known_of_a_bundle(folder: Path) -> None:
    check = command.verify_bundle(b"{}", {"PATH": str(folder)}, 30)
    assert (check.result, check.detail) == (CheckResult.UNKNOWN, NOT_THERE[0])
