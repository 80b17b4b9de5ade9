"""Files, standard input, URLs and commands -> evidence."""

import base64
import io
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from builders import cli_push, encoded, statement
from chainloop_smtp import source
from chainloop_smtp.errors import AttestationError, OptionsError, quoted, quoted_path
from chainloop_smtp.model.attested import Evidence
from chainloop_smtp.model.facts import JobResult, JobStatus
from chainloop_smtp.model.settings import Mailbox, Options, Registration
from refusal import error_of
from website import Site, answer

CHECKOUT = "Paths are relative to the workspace: does a step before this one check it out?"
WRITE = "Write it in the step that pushes: chainloop attestation push -o json > attestation.json."
HIDDEN = "(not shown: it may be a secret)"
PUSHED = encoded(cli_push(statement()))
NOBODY = Mailbox(addr_spec="nobody@example.com")
REGISTRATION = Registration(host="relay", port=25, user="", password="", from_=NOBODY, to=(NOBODY,))


def read(
    attestation: str,
    stdin: bytes = b"",
    *,
    policy_evaluations: str = "",
    job_status: JobStatus | None = None,
    needs: tuple[JobResult, ...] = (),
) -> Evidence:
    options = Options(
        registration=REGISTRATION,
        attestation=attestation,
        policy_evaluations=policy_evaluations,
        job_status=job_status,
        needs=needs,
    )
    return source.read(options, {}, io.BytesIO(stdin))


def refusal(attestation: str, **more: str) -> str:
    with pytest.raises(AttestationError) as refused:
        read(attestation, **more)  # type: ignore[arg-type]  # only options that are strings
    (problem,) = refused.value.problems
    assert problem.where.isprintable()
    return str(problem)


def test_a_path_gives_the_files_bytes(tmp_path: Path) -> None:
    path = tmp_path / "my attestation.json"
    path.write_bytes(PUSHED)
    assert read(str(path)).documents == (PUSHED,)


def test_a_path_is_relative_to_the_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "attestation.json").write_bytes(PUSHED)
    monkeypatch.chdir(tmp_path)
    assert read("attestation.json").documents == (PUSHED,)


def test_a_dash_gives_what_stands_on_standard_input() -> None:
    assert read("-", PUSHED).documents == (PUSHED,)


@pytest.mark.parametrize(
    "text",
    [
        PUSHED.decode(),
        "[]",
        '"eyJ9"',
        'a policy printed this first\n{"digest": "sha256:00"}',
        '{"lone": "\ud800"}',
    ],
    ids=["push", "array", "string", "noise before it", "half a surrogate pair"],
)
def test_json_text_is_the_evidence_itself(text: str) -> None:
    assert read(text).documents == (text.encode("utf-8", "surrogatepass"),)


def test_base64_text_is_the_evidence_itself_and_a_short_one_is_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = base64.b64encode(PUSHED).decode()
    assert read(text).documents == (text.encode(),)
    short = text[:100].replace("/", "+")
    assert refusal(short) == f"attestation {HIDDEN}: there is no such file\n  {CHECKOUT} {WRITE}"
    # The shortest that is taken for base64, and the longest that is not.
    assert read("ey" + "A" * 300).documents == (b"ey" + b"A" * 300,)
    for name in ("ey" + "A" * 299, "ea" + "A" * 300, "ey" + "A" * 300 + "-"):
        why = "cannot be read: file name too long"
        assert refusal(name) == f"attestation {quoted_path(name)}: {why}"


def test_several_sources_are_read_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"[1]")
    (tmp_path / "b.json").write_bytes(b"[2]")
    names = f"{tmp_path / 'b.json'}\n\n  {tmp_path / 'a.json'}  \n-"
    assert read(names, b"[3]").documents == (b"[2]", b"[1]", b"[3]")


@pytest.mark.parametrize("content", [b"", b" \n\t\r\n", b'""'], ids=["empty", "blank", "unset"])
def test_what_holds_nothing_is_no_evidence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "attestation.json"
    path.write_bytes(content)
    assert read(str(path)) == read("-", content) == read("") == Evidence()


def test_policy_evaluations_come_from_the_same_kinds_of_source(tmp_path: Path) -> None:
    path = tmp_path / "policies.json"
    path.write_bytes(b'{"evaluations": []}')
    evidence = read(PUSHED.decode(), policy_evaluations=str(path))
    assert evidence.documents == (PUSHED,)
    assert evidence.policy_evaluations == b'{"evaluations": []}'


@pytest.mark.parametrize("status", [None, JobStatus.SUCCESS], ids=["unknown", "success"])
@pytest.mark.parametrize("needs", [(), (JobResult(name="build", result=JobStatus.SUCCESS),)])
def test_a_missing_file_after_success_is_an_error_that_says_how_to_write_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: JobStatus | None,
    needs: tuple[JobResult, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    missing = "missing.json"
    assert error_of(lambda: read(missing, job_status=status, needs=needs), AttestationError) == (
        "attestation 'missing.json'",
        "there is no such file",
        f"{CHECKOUT} {WRITE}",
    )


@pytest.mark.parametrize(
    ("status", "needs"),
    [
        (JobStatus.FAILURE, ()),
        (JobStatus.CANCELLED, ()),
        (JobStatus.SUCCESS, (JobResult(name="attest", result=JobStatus.FAILURE),)),
        (None, (JobResult(name="attest", result=JobStatus.CANCELLED),)),
    ],
    ids=["failure", "cancelled", "an earlier job failed", "an earlier job was cancelled"],
)
def test_a_missing_file_is_no_evidence_where_something_went_wrong(
    tmp_path: Path, status: JobStatus | None, needs: tuple[JobResult, ...]
) -> None:
    missing = str(tmp_path / "missing.json")
    evidence = read(missing, policy_evaluations=missing, job_status=status, needs=needs)
    assert evidence == Evidence()


def test_a_missing_file_elsewhere_is_no_question_of_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    name = str(tmp_path / "none" / "missing-evidence")
    assert error_of(lambda: read(name), AttestationError) == (
        f"attestation {quoted_path(name)}",
        "there is no such file",
        WRITE,
    )


def test_missing_policy_evaluations_after_success_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    missing = "missing.json"
    assert error_of(
        lambda: read(PUSHED.decode(), policy_evaluations=missing), AttestationError
    ) == ("policy-evaluations 'missing.json'", "there is no such file", f"{CHECKOUT} {WRITE}")


@pytest.mark.parametrize("option", ["attestation", "policy_evaluations"])
@pytest.mark.parametrize(
    ("target", "why"),
    [("../key", "it is a link out of the workspace"), (".git/config", "it is a link into .git")],
)
def test_no_link_leads_to_what_is_not_the_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, target: str, why: str
) -> None:
    (tmp_path / "key").write_text("secret")
    workspace = tmp_path / "workspace"
    (workspace / ".git").mkdir(parents=True)
    (workspace / ".git" / "config").write_text("secret")
    (workspace / "a.json").symlink_to(target)
    monkeypatch.chdir(workspace)
    environ = {"GITHUB_WORKSPACE": str(workspace)}
    for name in ("a.json", str(workspace / "a.json")):
        options = Options(registration=REGISTRATION, **{option: name})  # type: ignore[arg-type]
        with pytest.raises(AttestationError) as caught:
            source.read(options, environ, io.BytesIO())
        assert [each.why for each in caught.value.problems] == [f"cannot be read: {why}"]
        found = source.read(replace(options, job_status=JobStatus.FAILURE), environ, io.BytesIO())
        assert not any((*found.documents, found.policy_evaluations))


def test_a_link_to_another_file_of_the_workspace_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b.json").write_bytes(PUSHED)
    (tmp_path / "a.json").symlink_to("b.json")
    options = Options(registration=REGISTRATION, attestation="a.json")
    evidence = source.read(options, {"GITHUB_WORKSPACE": str(tmp_path)}, io.BytesIO())
    assert evidence.documents == (PUSHED,)


def test_whoever_names_a_path_in_the_git_folder_means_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".git").mkdir()
    Path(".git/a.json").write_bytes(PUSHED)
    options = Options(registration=REGISTRATION, attestation=".git/a.json")
    evidence = source.read(options, {"GITHUB_WORKSPACE": str(tmp_path)}, io.BytesIO())
    assert evidence.documents == (PUSHED,)


def test_without_a_workspace_every_link_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "b.json").write_bytes(PUSHED)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Path("a.json").symlink_to("../b.json")
    assert read("a.json").documents == (PUSHED,)


def test_what_is_no_path_in_a_workspace_is_told_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a\0b", "\ud800"):
        options = Options(registration=REGISTRATION, attestation=name)
        environ = {"GITHUB_WORKSPACE": str(tmp_path)}
        assert error_of(
            lambda: source.read(options, environ, io.BytesIO()),  # noqa: B023  # called at once
            AttestationError,
        ) == (f"attestation {quoted(name)}", "cannot be read: not a path", "")


def test_whoever_names_a_path_elsewhere_means_it(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_bytes(PUSHED)
    (tmp_path / "a.json").symlink_to("b.json")
    options = Options(registration=REGISTRATION, attestation=str(tmp_path / "a.json"))
    evidence = source.read(options, {"GITHUB_WORKSPACE": str(tmp_path / "w")}, io.BytesIO())
    assert evidence.documents == (PUSHED,)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert refusal(str(tmp_path)) == (
        f"attestation {quoted_path(str(tmp_path))}: cannot be read: is a directory\n"
        "  Name the file in it."
    )


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    name = str(tmp_path / "file" / "x.json")
    assert refusal(name) == f"attestation {quoted_path(name)}: cannot be read: not a directory"


def test_a_file_that_may_not_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "attestation.json"
    path.write_bytes(PUSHED)
    path.chmod(0)
    if os.access(path, os.R_OK):
        # Root may read whatever there is, so a broken disk stands in for the missing permission.
        monkeypatch.setattr(os, "open", _denied)
    shown = quoted_path(str(path))
    assert refusal(str(path)) == f"attestation {shown}: cannot be read: permission denied"


def _denied(path: Path, _: int) -> int:
    raise PermissionError(13, "Permission denied", str(path))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a\0b", "cannot be read: not a path"),
        ("\ud800", "cannot be read: not a path"),
        ("x" * 5000, "cannot be read: file name too long"),
        ("\x1b[31mred", f"there is no such file\n  {CHECKOUT} {WRITE}"),
    ],
    ids=["NUL", "half a surrogate pair", "too long", "escape code"],
)
def test_what_is_no_path_is_told_and_shown_harmlessly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    text = refusal(name)
    assert text == f"attestation {quoted_path(name)}: {why}"
    assert "\x1b" not in text
    assert len(text) < 400


def test_a_file_over_the_bound_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "MAX_BYTES", 1024 * 1024)
    path = tmp_path / "attestation.json"
    with path.open("wb") as file:
        file.truncate(64 * 1024**3)  # sparse: 64 GiB that take no room
    assert refusal(str(path)) == f"attestation {quoted_path(str(path))}: is larger than 1 MiB"


def test_standard_input_has_the_same_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MAX_BYTES", 1024 * 1024)
    assert read("-", b" " * 1024 * 1023 + b"[]").documents
    assert error_of(lambda: read("-", b" " * (1024 * 1024 + 1)), AttestationError) == (
        "attestation 'standard input'",
        "is larger than 1 MiB",
        "",
    )


def test_a_url_is_fetched_and_only_over_https() -> None:
    assert refusal("http://127.0.0.1:1/attestation.json?token=hunter2") == (
        "attestation 'http://127.0.0.1:1/attestation.json': is not https\n"
        "  Evidence is not read over plain http."
    )


def test_a_workflow_run_is_asked_for_from_the_command_on_path(tmp_path: Path) -> None:
    run_id = "5b0a4f0e-6a51-4a5b-9c1d-0e5f3c2b7a90"
    program = tmp_path / "chainloop"
    program.write_text('#!/bin/sh\necho "[\\"$*\\"]"\n')
    program.chmod(0o755)
    options = Options(registration=REGISTRATION, workflow_run_ids=(run_id,))
    evidence = source.read(options, {"PATH": str(tmp_path)}, io.BytesIO())
    (document,) = evidence.documents
    assert json.loads(document) == [f"workflow run describe --id {run_id} -o json"]


@pytest.mark.parametrize("status", [JobStatus.FAILURE, JobStatus.CANCELLED])
def test_what_cannot_be_read_after_a_failure_is_kept_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: JobStatus
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("b.json").write_bytes(PUSHED)
    evidence = read("folder\nb.json\nmissing.json", policy_evaluations="folder", job_status=status)
    why = "cannot be read: is a directory\n  Name the file in it."
    assert evidence == Evidence(
        documents=(PUSHED,),
        failures=(f"attestation 'folder': {why}", f"policy-evaluations 'folder': {why}"),
    )


def previous(names: str, job_status: JobStatus | None = None) -> Evidence:
    options = Options(registration=REGISTRATION, previous_attestation=names, job_status=job_status)
    return source.read(options, {}, io.BytesIO())


def test_an_earlier_run_may_have_left_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.json").write_bytes(b"[1]")
    Path("empty.json").write_bytes(b" \n")
    Path("b.json").write_bytes(b"[2]")
    assert previous("a.json\nmissing.json\nempty.json\nb.json") == Evidence(
        previous=(b"[1]", b"[2]"),
        absences=(
            "previous-attestation 'missing.json': is missing or empty",
            "previous-attestation 'empty.json': is missing or empty",
        ),
    )


def test_what_is_left_of_an_earlier_run_has_to_be_readable_unless_the_job_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("b.json").write_bytes(b"[2]")
    said = (
        "previous-attestation 'folder'",
        "cannot be read: is a directory",
        "Name the file in it.",
    )
    assert error_of(lambda: previous("folder\nb.json"), AttestationError) == said
    assert previous("folder\nb.json", JobStatus.FAILURE) == Evidence(
        previous=(b"[2]",),
        absences=(
            "previous-attestation 'folder': cannot be read: is a directory\n  Name the file in it.",
        ),
    )


@pytest.mark.parametrize(("name", "shown"), [("-", "standard input"), ("folder", "folder")])
def test_a_mail_to_verify_that_cannot_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, shown: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(source, "MAX_BYTES", 1024 * 1024)
    Path("folder").mkdir()
    stdin = io.BytesIO(b"x" * (1024 * 1024 + 1))
    said = {
        "-": ("is larger than 1 MiB", ""),
        "folder": ("cannot be read: is a directory", "Name the file in it."),
    }
    assert error_of(lambda: source.read_message(name, stdin), OptionsError) == (
        f"mail '{shown}'",
        *said[name],
    )


@pytest.mark.parametrize("name", ["a{1}.json", 'a"b".json', "a[1].json", "a:b.json"])
def test_a_path_may_hold_signs_of_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(PUSHED)
    assert read(name).documents == (PUSHED,)


def test_evidence_comes_from_urls_too_and_the_time_for_it_is_counted(site: Site) -> None:
    site.answers = {"/a.json": answer(b"[1]"), "/b.json": answer(b"[2]")}
    evidence = read(f"{site.base}/a.json\n{site.base}/b.json", policy_evaluations="[]")
    assert evidence.documents == (b"[1]", b"[2]")
    assert 0 < evidence.network_seconds < 30
    assert replace(evidence, network_seconds=0) == Evidence(
        documents=(b"[1]", b"[2]"), policy_evaluations=b"[]"
    )
    # Reading what is at hand is no time on the network.
    assert read("-", b"[1]").network_seconds == 0


def test_an_earlier_run_may_have_left_nothing_behind_a_url(site: Site) -> None:
    site.answers = {
        "/empty.json": answer(b" "),
        "/gone.json": answer(b"", 404),
        "/a.json": answer(b"[1]"),
    }
    paths = ("empty.json?token=s3cret", "gone.json?token=s3cret", "a.json")
    evidence = previous("\n".join(f"{site.base}/{path}" for path in paths))
    assert replace(evidence, network_seconds=0) == Evidence(
        previous=(b"[1]",),
        absences=(
            f"previous-attestation '{site.base}/empty.json': is missing or empty",
            f"previous-attestation '{site.base}/gone.json': the server answers 404",
        ),
    )
