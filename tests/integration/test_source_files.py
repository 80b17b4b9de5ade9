"""Files of the workspace, real ones: what is found, and what is never read, whatever lies there."""

import errno
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from chainloop_smtp.errors import OptionsError, quoted
from chainloop_smtp.model.mail import File
from chainloop_smtp.source import files
from chainloop_smtp.source.files import Workspace, collect
from refusal import error_of

LINK = "\n  A link is attached only if it stays inside."
COPY = "\n  Copy it into the workspace in a step before."
FOLDER = "\n  Name the files in it to attach, such as dist/*.json."
ARCHIVE = "\n  Pack them into one archive in a step before."
LESS = (
    "\n  Attach less, or raise attach-max-size: most servers accept 10 to 25 MB, and a mail "
    "is a third larger than its attachments."
)
SECRET = b"what lies outside is nobody's business"
LIMIT = 1000


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    path = tmp_path / "outside"
    path.mkdir()
    (path / "secret.json").write_bytes(SECRET)
    return path


@pytest.fixture
def workspace(tmp_path: Path, outside: Path) -> Path:
    del outside
    root = tmp_path / "workspace"
    for name in (
        "a.json",
        "b.json",
        "notes.txt",
        ".hidden.json",
        "dist/c.json",
        "dist/deep/d.json",
        "dist/deep/.cache/e.json",
        "node/modules/f.json",
        "[1].json",
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"content of {name}".encode())
    return root


def found(workspace: Path, *patterns: str, limit: int = LIMIT) -> list[str]:
    collected, _ = collect(patterns, {"GITHUB_WORKSPACE": str(workspace)}, limit)
    for file in collected:
        assert file.content == (workspace / file.name).read_bytes()
    return [file.name for file in collected]


def refused(workspace: Path, *patterns: str, limit: int = LIMIT) -> list[str]:
    with pytest.raises(OptionsError) as caught:
        collect(patterns, {"GITHUB_WORKSPACE": str(workspace)}, limit)
    text = str(caught.value)
    assert SECRET.decode() not in text
    return [str(each) for each in caught.value.problems]


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (["a.json"], ["a.json"]),
        (["./dist//c.json"], ["dist/c.json"]),
        (["*.json"], ["[1].json", "a.json", "b.json"]),
        (["?.json"], ["a.json", "b.json"]),
        (["[ab].json"], ["a.json", "b.json"]),
        (["[!a].json"], ["b.json"]),
        (["[[]1].json"], ["[1].json"]),
        (["*"], ["[1].json", "a.json", "b.json", "notes.txt"]),
        (["*/*.json"], ["dist/c.json"]),
        (["dist/**"], ["dist/c.json", "dist/deep/d.json"]),
        (["dist/**/**/*.json"], ["dist/c.json", "dist/deep/d.json"]),
        (["**/d.json"], ["dist/deep/d.json"]),
        (["**/deep/*.json"], ["dist/deep/d.json"]),
        ([".hidden.json"], [".hidden.json"]),
        ([".*"], [".hidden.json"]),
        (["dist/deep/.cache/*"], ["dist/deep/.cache/e.json"]),
        (["**/.cache/*"], ["dist/deep/.cache/e.json"]),
        (["b.json", "*.json"], ["b.json", "[1].json", "a.json"]),
    ],
    ids=str,
)
def test_patterns_find_files_in_one_order_each_once(
    workspace: Path, patterns: list[str], names: list[str]
) -> None:
    assert found(workspace, *patterns) == names


def test_a_file_that_a_pattern_reaches_in_two_ways_is_matched_once(tmp_path: Path) -> None:
    (tmp_path / "a" / "a").mkdir(parents=True)
    (tmp_path / "a" / "a" / "b").touch()
    assert Workspace(str(tmp_path)).match("**/a/**/b") == ("a/a/b",)


@pytest.mark.parametrize(
    ("files", "pattern", "names"),
    [
        (["report[1].json", "report1.json"], "report[1].json", ["report[1].json"]),
        (["report1.json"], "report[1].json", ["report1.json"]),
        (["report[1].json", "report1.json"], "report[[]1].json", ["report[1].json"]),
        (["what?.txt", "whats.txt"], "what?.txt", ["what?.txt"]),
        (["d/[x]/*.md", "d/[x]/a.md"], "d/[x]/*.md", ["d/[x]/*.md"]),
        (["d[1]/a.md", "d1/b.md"], "d[1]/*.md", ["d[1]/a.md"]),
        (["d[1]/a.txt", "d1/b.md"], "d[1]/*.md", ["d1/b.md"]),
        (["d[1]/a.md", "d1/b.md"], "{root}/d[1]/a.md", ["d[1]/a.md"]),
        (["e/d[1]/a.md", "e/d1/b.md"], "**/d[1]/*.md", ["e/d[1]/a.md"]),
        (["x/r[1].json", "x/r1.json", "y/r1.json"], "**/r[1].json", ["x/r[1].json"]),
        (["x/r1.json", "y/r1.json"], "**/r[1].json", ["x/r1.json", "y/r1.json"]),
        (["r[1]-a.json", "r1-b.json"], "r[1]-*.json", ["r[1]-a.json"]),
        (["r1-b.json", "r2-b.json"], "r[12]-?.json", ["r1-b.json", "r2-b.json"]),
        (["d[1]/r1.json", "d[1]/r2.json"], "d[1]/r[12].json", ["d[1]/r1.json", "d[1]/r2.json"]),
        (["[ab]"], "[ab]", ["[ab]"]),
    ],
)
def test_a_path_that_exists_as_it_is_written_is_no_pattern(
    tmp_path: Path, files: list[str], pattern: str, names: list[str]
) -> None:
    root = tmp_path / "brackets"
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    assert found(root, pattern.replace("{root}", str(root))) == names


def test_a_folder_with_brackets_is_a_folder(workspace: Path) -> None:
    (workspace / "[d]").mkdir()
    assert refused(workspace, "[d]") == [f"attach '[d]': is a folder{FOLDER}"]


def test_a_link_with_brackets_leads_nowhere_else(workspace: Path, outside: Path) -> None:
    (workspace / "[1]").symlink_to(outside)
    for pattern in ("[1]/secret.json", "[1]/*.json"):
        assert refused(workspace, pattern) == [
            f"attach '{pattern}': leads out of the workspace{LINK}"
        ]


def test_an_absolute_pattern_may_stand_inside_the_workspace(workspace: Path) -> None:
    assert found(workspace, f"{workspace}/dist/*.json") == ["dist/c.json"]


def test_without_a_runner_the_workspace_is_the_current_folder(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace)

    collected, unmatched = collect(["a.json", "nothing-*"], {}, LIMIT)

    assert [file.name for file in collected] == ["a.json"]
    assert unmatched == ("nothing-*",)


@pytest.mark.parametrize(
    "pattern", ["none.json", "*.none", "none/**", "a.json/x", "a\ud800", "**/x"]
)
def test_a_pattern_that_matches_nothing_is_told_of(workspace: Path, pattern: str) -> None:
    assert collect([pattern], {"GITHUB_WORKSPACE": str(workspace)}, LIMIT) == ((), (pattern,))


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("../outside/secret.json", f"is outside the workspace{COPY}"),
        ("dist/../../outside/*.json", f"is outside the workspace{COPY}"),
        ("**/..", f"is outside the workspace{COPY}"),
        ("/etc/passwd", f"is outside the workspace{COPY}"),
        ("/proc/self/environ", f"is outside the workspace{COPY}"),
        (".", "is not a path"),
        ("a\0b", "is not a path"),
        ("dist", f"is a folder{FOLDER}"),
    ],
)
def test_a_pattern_never_leads_out(workspace: Path, pattern: str, why: str) -> None:
    assert refused(workspace, pattern) == [f"attach {quoted(pattern)}: {why}"]


@pytest.mark.skipif(os.name == "nt", reason="a colon comes after a drive's letter")
def test_a_name_may_have_a_colon(workspace: Path) -> None:
    (workspace / "a:b.json").write_bytes(b"x")
    assert found(workspace, "a:b.json") == ["a:b.json"]


def test_a_sibling_whose_name_begins_alike_is_outside(workspace: Path) -> None:
    (sibling := workspace.with_name("workspace-of-others")).mkdir()
    (sibling / "x.json").write_bytes(SECRET)

    pattern = f"{sibling}/x.json"
    assert refused(workspace, pattern) == [
        f"attach {quoted(pattern)}: is outside the workspace{COPY}"
    ]


def test_links_that_stay_inside_are_followed_and_fold_with_what_they_lead_to(
    workspace: Path,
) -> None:
    (workspace / "link.json").symlink_to("dist/c.json")
    (workspace / "folder").symlink_to("dist")

    assert found(workspace, "link.json", "dist/c.json") == ["link.json"]
    assert found(workspace, "folder/*.json") == ["folder/c.json"]


@pytest.mark.parametrize("pattern", ["evil.json", "*.json", "**/*.json"])
@pytest.mark.parametrize(
    "target", ["../outside/secret.json", "/proc/self/environ", "/etc/passwd", "/dev/zero"]
)
def test_a_link_that_leads_out_is_never_read(workspace: Path, pattern: str, target: str) -> None:
    (workspace / "evil.json").symlink_to(target)

    assert refused(workspace, pattern) == [f"attach 'evil.json': leads out of the workspace{LINK}"]


def test_a_link_to_what_the_checkout_keeps_for_itself_is_never_read(workspace: Path) -> None:
    (workspace / ".git").mkdir()
    (workspace / ".git" / "config").write_text("extraheader = AUTHORIZATION: basic secret")
    (workspace / "evil.json").symlink_to(".git/config")

    assert refused(workspace, "evil.json") == ["attach 'evil.json': leads into .git"]
    assert found(workspace, ".git/config") == [".git/config"]


def test_a_folder_that_leads_out_is_never_entered(workspace: Path, outside: Path) -> None:
    (workspace / "evil").symlink_to(outside)

    assert refused(workspace, "evil/secret.json") == [
        f"attach 'evil/secret.json': leads out of the workspace{LINK}"
    ]
    assert refused(workspace, "*/secret.json") == [
        f"attach '*/secret.json': leads out of the workspace{LINK}"
    ]
    # Any folders: links are none of them.
    assert collect(["**/secret.json"], {"GITHUB_WORKSPACE": str(workspace)}, LIMIT)[0] == ()


def test_a_chain_of_links_is_judged_by_its_end(workspace: Path) -> None:
    (workspace / "one").symlink_to("two")
    (workspace / "two").symlink_to("../outside/secret.json")

    assert refused(workspace, "one") == [f"attach 'one': leads out of the workspace{LINK}"]


def test_links_that_lead_nowhere_or_in_circles_are_errors(workspace: Path) -> None:
    (workspace / "nowhere").symlink_to("nothing")
    (workspace / "circle").symlink_to("circle")
    (workspace / "dist" / "up").symlink_to("..")

    assert refused(workspace, "nowhere", "circle") == [
        "attach 'nowhere': cannot be read: no such file or directory",
        "attach 'circle': cannot be read: too many levels of symbolic links",
    ]
    assert found(workspace, "dist/**/*.json") == ["dist/c.json", "dist/deep/d.json"]


def test_what_is_no_file_is_neither_read_nor_waited_for(workspace: Path) -> None:
    os.mkfifo(workspace / "pipe.json")
    with socket.socket(socket.AF_UNIX) as listening:
        os.chdir(workspace)
        listening.bind("socket.json")

        assert refused(workspace, "pipe.json", "socket.json") == [
            "attach 'pipe.json': is a device, pipe or socket",
            "attach 'socket.json': is a device, pipe or socket",
        ]


@pytest.fixture(autouse=True)
def _same_folder() -> Iterator[None]:
    before = Path.cwd()
    yield
    os.chdir(before)


@pytest.mark.parametrize("pattern", ["proc/self/environ", "proc/self/status", "dev/null"])
def test_the_running_system_is_no_file_even_in_a_workspace_of_everything(pattern: str) -> None:
    assert refused(Path("/"), pattern) == [
        f"attach '{pattern}': is not a file but part of the running system"
    ]


class Swapping(Workspace):
    """Somebody else is at work in the workspace while a match is opened."""

    def __init__(self, path: Path, has_descriptors: bool, victim: str, target: Path) -> None:
        super().__init__(str(path), has_descriptors)
        self._victim, self._target = path / victim, target

    def _check_inside(self, real: Path) -> None:
        super()._check_inside(real)
        if not self._victim.is_symlink():
            self._victim.rename(self._victim.with_name("was"))
            self._victim.symlink_to(self._target)


@pytest.mark.parametrize("has_descriptors", [True, False], ids=["descriptors", "compared"])
@pytest.mark.parametrize(
    ("name", "victim", "target"),
    [
        ("a.json", "a.json", "secret.json"),
        ("dist/secret.json", "dist", ""),
    ],
    ids=["the file", "its folder"],
)
def test_a_link_put_in_the_way_after_the_check_is_not_followed(
    workspace: Path, outside: Path, has_descriptors: bool, name: str, victim: str, target: str
) -> None:
    (workspace / "dist" / "secret.json").write_bytes(b"harmless")
    swapped = Swapping(workspace, has_descriptors, victim, outside / target)

    # A refusal of ours, or the system's own: either way nothing is read.
    refusals = {
        ("a.json", True): "is a link",
        ("a.json", False): "is a link",
        ("dist/secret.json", True): f"[Errno {errno.ENOTDIR}] Not a directory: 'dist'",
        ("dist/secret.json", False): "has changed while it was opened",
    }
    with pytest.raises(Exception, match=f"^{re.escape(refusals[name, has_descriptors])}$"):
        swapped.read(name, LIMIT)


@pytest.mark.parametrize("has_descriptors", [True, False], ids=["descriptors", "compared"])
def test_both_ways_to_open_a_file_read_it(workspace: Path, has_descriptors: bool) -> None:
    content, size = Workspace(str(workspace), has_descriptors).read("dist/deep/d.json", LIMIT)

    assert content == b"content of dist/deep/d.json"
    assert size == len(content)


def test_a_folder_that_is_another_one_only_while_a_file_is_opened_gives_nothing_away(
    workspace: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / "dist" / "secret.json").write_bytes(b"harmless")
    there, away = workspace / "dist", workspace / "was"
    opened = os.open

    def swapping(path: Path, flags: int) -> int:
        there.rename(away)
        there.symlink_to(outside)
        descriptor = opened(path, flags)
        there.unlink()
        away.rename(there)
        return descriptor

    compared = Workspace(str(workspace), has_descriptors=False)
    monkeypatch.setattr(os, "open", swapping)
    with pytest.raises(Exception, match=r"^has changed while it was opened$"):
        compared.read("dist/secret.json", LIMIT)


def test_no_folder_on_the_way_stays_open(workspace: Path) -> None:
    (workspace / "dist" / "evil.json").symlink_to("/etc/passwd")
    os.mkfifo(workspace / "dist" / "deep" / "pipe")
    before = sorted(Path("/proc/self/fd").iterdir())
    assert found(workspace, "dist/deep/d.json", "a.json") == ["dist/deep/d.json", "a.json"]
    assert len(refused(workspace, "dist/deep/pipe", "dist/evil.json", "dist/deep")) == 3
    assert sorted(Path("/proc/self/fd").iterdir()) == before


def test_a_pipe_that_takes_a_files_place_is_not_waited_for(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, opened = workspace / "a.json", os.open

    def swapping(path: str, flags: int, *, dir_fd: int | None = None) -> int:
        if path == file.name:
            file.unlink()
            os.mkfifo(file)
        return opened(path, flags, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", swapping)

    with pytest.raises(Exception, match=r"^is a device, pipe or socket$"):
        Workspace(str(workspace)).read(file.name, LIMIT)


# --- how much ----------------------------------------------------------------------------------


def test_files_that_are_too_large_together_are_named_with_their_sizes(workspace: Path) -> None:
    (workspace / "large.bin").write_bytes(b"x" * 1500)
    others = [File(name="attestation.json", content=b"y" * 300)]

    with pytest.raises(OptionsError) as caught:
        collect(["a.json", "large.bin"], {"GITHUB_WORKSPACE": str(workspace)}, LIMIT, others)

    assert [str(each) for each in caught.value.problems] == [
        "attach-max-size: the attachments have 1,817 bytes in total, 1,000 are allowed: "
        f"'large.bin' 1,500, 'attestation.json' 300, 'a.json' 17{LESS}"
    ]


def test_what_is_as_large_as_allowed_is_attached(workspace: Path) -> None:
    (workspace / "large.bin").write_bytes(b"x" * LIMIT)

    assert found(workspace, "large.bin") == ["large.bin"]
    assert refused(workspace, "large.bin", limit=LIMIT - 1) == [
        "attach-max-size: the attachments have 1,000 bytes in total, 999 are allowed: "
        f"'large.bin' 1,000{LESS}"
    ]


@pytest.mark.parametrize("size", [983, 984])
def test_what_is_attached_besides_leaves_less_room(workspace: Path, size: int) -> None:
    others = [File(name="report.json", content=b"y" * size)]
    environ = {"GITHUB_WORKSPACE": str(workspace)}
    if size + 17 <= LIMIT:
        collected, _ = collect(["a.json"], environ, LIMIT, others)
        assert [file.content for file in collected] == [b"content of a.json"]
        return
    where, why, _ = error_of(lambda: collect(["a.json"], environ, LIMIT, others), OptionsError)
    assert (where, why) == (
        "attach-max-size",
        "the attachments have 1,001 bytes in total, 1,000 are allowed: 'report.json' 984, "
        "'a.json' 17",
    )


def test_of_files_of_one_size_the_first_by_name_is_named_first(workspace: Path) -> None:
    for name in ("b.bin", "a.bin", "c.bin"):
        (workspace / name).write_bytes(b"x" * 400)
    assert refused(workspace, "b.bin", "a.bin", "c.bin") == [
        "attach-max-size: the attachments have 1,200 bytes in total, 1,000 are allowed: "
        f"'a.bin' 400, 'b.bin' 400, 'c.bin' 400{LESS}"
    ]


def test_a_file_that_cannot_be_attached_is_told_without_the_sizes(workspace: Path) -> None:
    (workspace / "large.bin").write_bytes(b"x" * (LIMIT + 1))
    (workspace / "evil").symlink_to("/etc/passwd")
    assert refused(workspace, "large.bin", "evil") == [
        f"attach 'evil': leads out of the workspace{LINK}"
    ]


def test_what_comes_besides_files_counts_alone(workspace: Path) -> None:
    others = [File(name="report.json", content=b"y" * (LIMIT + 1))]

    where, why, _ = error_of(
        lambda: collect([], {"GITHUB_WORKSPACE": str(workspace)}, LIMIT, others), OptionsError
    )
    assert (where, why) == (
        "attach-max-size",
        "the attachments have 1,001 bytes in total, 1,000 are allowed: 'report.json' 1,001",
    )


@pytest.mark.parametrize(("count", "more"), [(10, ""), (11, ", and 1 more"), (30, ", and 20 more")])
def test_a_list_of_many_names_the_largest(workspace: Path, count: int, more: str) -> None:
    for number in range(count):
        (workspace / f"part-{number:02}.bin").write_bytes(b"x" * (100 + number))

    largest = (f"'part-{number:02}.bin' {100 + number}" for number in range(count)[:-11:-1])
    total = sum(range(100, 100 + count))
    assert refused(workspace, "part-*.bin") == [
        f"attach-max-size: the attachments have {total:,} bytes in total, 1,000 are allowed: "
        f"{', '.join(largest)}{more}{LESS}"
    ]


@pytest.mark.parametrize("count", [100, 101])
def test_too_many_files_are_too_many(workspace: Path, count: int) -> None:
    for number in range(count):
        (workspace / f"part-{number:03}.bin").touch()

    if count <= 100:
        assert len(found(workspace, "part-*.bin")) == count
        return
    assert refused(workspace, "part-*.bin", "a.json") == [
        f"attach: 102 files are matched, at most 100 can be attached{ARCHIVE}"
    ]


def test_looking_for_files_comes_to_an_end(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Seven entries in the workspace itself, which no pattern lists twice.
    monkeypatch.setattr(files, "_MOST_ENTRIES", 7)
    assert found(workspace, "*.txt") == ["notes.txt"]
    assert found(workspace, "[mn]*.txt") == ["notes.txt"]

    assert refused(workspace, "*.txt", "*.json") == [
        "attach '*.json': must look at more than 7 files"
    ]


def test_any_folders_many_times_over_are_looked_through_once(workspace: Path) -> None:
    deep = workspace.joinpath(*["d"] * 12)
    deep.mkdir(parents=True)
    (deep / "x.deep").touch()
    # Each of them for itself would be more than may be looked at.
    assert found(workspace, f"d/{'**/' * 30}x.deep") == [f"{'d/' * 12}x.deep"]


def test_folders_below_each_other_come_to_an_end(workspace: Path) -> None:
    deep = workspace.joinpath(*["d"] * 60)
    deep.mkdir(parents=True)
    (deep / "x.deep").touch()
    assert found(workspace, "**/*.deep") == [f"{'d/' * 60}x.deep"]

    (deep / "d").mkdir()
    assert refused(workspace, "**/*.deep") == [
        "attach '**/*.deep': goes through more than 60 folders below each other"
    ]


def test_a_folder_that_cannot_be_listed_is_an_error(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", denied)

    assert refused(workspace, "*.json") == [
        "attach '*.json': cannot be looked for: permission denied"
    ]


def test_every_problem_is_told_at_once(workspace: Path) -> None:
    (workspace / "evil").symlink_to("/etc/passwd")

    assert refused(workspace, "../x", "evil", "dist", "a.json") == [
        f"attach '../x': is outside the workspace{COPY}",
        f"attach 'evil': leads out of the workspace{LINK}",
        f"attach 'dist': is a folder{FOLDER}",
    ]
