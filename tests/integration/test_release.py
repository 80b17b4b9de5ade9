"""The tree of a release: what is in it, whose it is, and that it is the same each time."""

import base64
import csv
import hashlib
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import releasetree
from chainloop_smtp import __version__
from releasetree import REPOSITORY

LOCK = (REPOSITORY / "requirements.txt").read_text("utf-8")
LOCKED = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", LOCK, re.MULTILINE))
# How machine code begins: ELF, Mach-O (both ways round, and several in one), PE.
_MACHINE_CODE = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xfe\xed\xfa\xcf", b"\xca\xfe\xba\xbe", b"MZ")


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return releasetree.built(tmp_path_factory)


def contents(tree: Path) -> dict[str, tuple[int, float, bytes]]:
    return {
        path.relative_to(tree).as_posix(): (
            path.stat().st_mode,
            path.stat().st_mtime,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in tree.rglob("*")
    }


def test_two_builds_are_the_same_to_the_byte(tree: Path, tmp_path: Path) -> None:
    other = releasetree.build(tmp_path / "änother" / "tree", PYTHONHASHSEED="7", LC_ALL="C")
    first, second = contents(tree), contents(other)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
    assert {mode & 0o777 for mode, _, _ in first.values()} == {0o755, 0o644}


def test_nothing_of_ours_is_left_out_or_changed(tree: Path) -> None:
    listed = subprocess.run(
        ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "action", "src"),
        check=True,
        cwd=REPOSITORY,
        capture_output=True,
        encoding="utf-8",
    ).stdout
    ours = {name for name in listed.split("\0") if (REPOSITORY / name).is_file()}
    ours |= {"action.yml", "LICENSE", "pyproject.toml", "requirements.txt"}
    ours |= {"requirements-crypto.txt"}
    written = {"README.md", "THIRD-PARTY.txt", "sbom.cdx.json"}
    found = {
        name
        for name, (_, _, content) in contents(tree).items()
        if content and "__pycache__" not in name and not name.startswith("packages/")
    }
    empty = {name for name in ours if not (REPOSITORY / name).stat().st_size}
    assert found == (ours - empty) | written
    for name in ours:
        assert (tree / name).read_bytes() == (REPOSITORY / name).read_bytes(), name


def records(tree: Path) -> dict[str, str]:
    """Name to digest, of all files of all wheels."""
    return {
        name: digest
        for record in (tree / "packages").glob("*.dist-info/RECORD")
        for name, digest, _ in csv.reader(record.read_text("utf-8").splitlines())
    }


def test_every_file_of_a_package_is_as_its_wheel_has_it(tree: Path) -> None:
    recorded = records(tree)
    packages = tree / "packages"
    found = {
        path.relative_to(packages).as_posix(): path
        for path in packages.rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }
    assert found.keys() <= recorded.keys()
    for name, path in found.items():
        if not name.endswith("/RECORD"):
            digest = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest())
            assert recorded[name] == f"sha256={digest.rstrip(b'=').decode()}", name
    left_out = {Path(name).suffix for name in recorded.keys() - found.keys()}
    assert left_out <= {".so", ".pyx", ".pyi", ".c", ".h"}


def test_every_locked_package_is_there_and_no_other(tree: Path) -> None:
    found = {}
    for path in (tree / "packages").glob("*.dist-info/METADATA"):
        metadata = HeaderParser().parsestr(path.read_text("utf-8"))
        found[re.sub(r"[-_.]+", "-", metadata["Name"]).lower()] = metadata["Version"]
    assert found == LOCKED


def test_no_machine_code_is_carried(tree: Path) -> None:
    files = [path for path in tree.rglob("*") if path.is_file()]
    assert [path for path in files if path.read_bytes().startswith(_MACHINE_CODE)] == []


def test_byte_code_is_for_the_source_beside_it(tree: Path) -> None:
    tag = sys.implementation.cache_tag
    sources = [*(tree / "src").rglob("*.py"), *(tree / "packages/jinja2").rglob("*.py")]
    assert len(sources) > 100
    for source in sources:
        compiled = source.parent / "__pycache__" / f"{source.stem}.{tag}.pyc"
        # PEP 552: a hash that is not compared with the source's.
        assert compiled.read_bytes()[4:8] == b"\1\0\0\0", source
    templates = tree / "src/chainloop_smtp/templates"
    sources = list(templates.glob("*.j2"))
    assert len(list((templates / "__pycache__" / str(tag)).iterdir())) == len(sources)


def test_a_step_compiles_neither_a_module_nor_a_template(tree: Path, tmp_path: Path) -> None:
    copy = tmp_path / "tree"
    shutil.copytree(tree, copy)
    for name in ("src/chainloop_smtp/verdict.py", "packages/jinja2/environment.py"):
        (copy / name).write_text("raise SystemExit('a module was compiled')\n")
    tag = sys.implementation.cache_tag
    (copy / f"packages/jinja2/__pycache__/parser.{tag}.pyc").unlink()
    (copy / "packages/jinja2/parser.py").write_text(
        "class Parser:\n"
        "    def __init__(self, *_: object, **__: object) -> None:\n"
        "        raise SystemExit('a template was compiled')\n"
    )
    inputs = {
        "host": "smtp.example.test",
        "port": "587",
        "auth": "none",
        "from": "reports@example.test",
        "to": "security@example.test",
        "attestation": str(copy / "src/chainloop_smtp/samples/attestation.json"),
        "dry-run": "true",
        "output-dir": str(tmp_path / "out"),
    }
    launch = (str(copy / "action" / "launch.py"), str(copy / "packages"), "")
    done = subprocess.run(
        (sys.executable, "-I", "-S", "-X", "utf8", *launch),
        check=False,
        env=os.environ | {"CHAINLOOP_SMTP_INPUTS": json.dumps(inputs)},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((tmp_path / "out").glob("*.html"))) == 1


def test_the_bill_of_materials_is_valid_and_names_each_wheel(tree: Path) -> None:
    text = (tree / "sbom.cdx.json").read_text("utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    assert bill["metadata"]["component"]["version"] == __version__
    components = {each["name"]: each for each in bill["components"]}
    assert {name: each["version"] for name, each in components.items()} == LOCKED
    for name, each in components.items():
        assert each["purl"] == f"pkg:pypi/{name}@{LOCKED[name]}"
        (digest,) = each["hashes"]
        assert f"--hash=sha256:{digest['content']}" in LOCK
        assert each["licenses"]
    references = {each["bom-ref"] for each in bill["components"]}
    depended = {ref for each in bill["dependencies"] for ref in each["dependsOn"]}
    assert depended == references


def test_every_licence_is_told(tree: Path) -> None:
    notices = (tree / "THIRD-PARTY.txt").read_text("utf-8")
    for name, version in LOCKED.items():
        assert re.search(rf"^  {name} {re.escape(version)}, .+, https://", notices, re.MULTILINE)
        assert re.search(rf"^{name} {re.escape(version)}: LICENSE", notices, re.MULTILINE)
    for path in (tree / "packages").glob("*.dist-info/**/LICENSE*"):
        assert path.read_text("utf-8").strip() in notices


def test_every_package_works_without_what_was_compiled(tree: Path) -> None:
    # What our own modules import, and the halves that have two forms.
    script = (
        "import sys\n"
        "sys.dont_write_bytecode = True\n"
        f"sys.path[:0] = [{str(tree / 'src')!r}, {str(tree / 'packages')!r}]\n"
        "import chainloop_smtp.https, chainloop_smtp.options.addresses\n"
        "import email_validator, python_socks.sync, requests, scramp, yaml\n"
        "from charset_normalizer import from_bytes\n"
        "from markupsafe import escape\n"
        "print(yaml.safe_load('a: [1, 2]'), escape('<'), from_bytes('Grüße'.encode()).best())\n"
    )
    done = subprocess.run(
        (sys.executable, "-I", "-S", "-X", "utf8", "-c", script),
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.stdout == "{'a': [1, 2]} &lt; Grüße\n"


def wheel(folder: Path, files: Mapping[str, str], *, name: str = "small", record: str = "") -> Path:
    """A wheel of these files; ``record`` stands in for what its RECORD should say."""
    info = f"{name}-1.0.dist-info"
    content = {
        **files,
        f"{info}/METADATA": f"Name: {name}\nVersion: 1.0\nLicense-File: LICENSE\n",
        f"{info}/licenses/LICENSE": "As you like it.",
    }
    lines = [
        f"{each},sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()},\n"
        for each, text in content.items()
        if (digest := hashlib.sha256(text.encode()).digest())
    ]
    content[f"{info}/RECORD"] = record or "".join((*lines, f"{info}/RECORD,,\n"))
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for each, text in content.items():
            archive.writestr(each, text)
    return path


def unpack(path: Path, target: Path, lock: str = "") -> Any:
    build = runpy.run_path(str(REPOSITORY / "release" / "build.py"))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    try:
        return build["_unpack"](path, lock or f"small==1.0 --hash=sha256:{digest}", target)
    except build["BuildError"] as error:
        raise RefusedError(str(error)) from error


class RefusedError(Exception):
    """What the build says of a wheel that it does not take."""


def test_a_wheel_is_unpacked_with_its_notices(tmp_path: Path) -> None:
    package = unpack(wheel(tmp_path, {"small/__init__.py": "", "small/x.pyi": ""}), tmp_path / "o")
    assert (package.name, package.version) == ("small", "1.0")
    assert package.notices == {"LICENSE": "As you like it."}
    assert [path.name for path in (tmp_path / "o" / "small").iterdir()] == ["__init__.py"]


def test_a_wheel_that_is_not_locked_is_refused(tmp_path: Path) -> None:
    path = wheel(tmp_path, {"small/__init__.py": ""})
    with pytest.raises(RefusedError, match=r"is not the file that requirements\.txt names"):
        unpack(path, tmp_path / "out", lock=f"small==1.0 --hash=sha256:{'0' * 64}")


@pytest.mark.parametrize(
    ("files", "record", "why"),
    [
        ({"a.py": "x"}, "small-1.0.dist-info/RECORD,,", "not as its RECORD says: a.py"),
        ({"a.py": "x"}, f"a.py,sha256={'A' * 43},1", "not as its RECORD says: a.py"),
        ({"../a.py": "x"}, "", "../a.py is not a file of a package"),
        ({"/a.py": "x"}, "", "/a.py is not a file of a package"),
        ({"small-1.0.data/scripts/a": "x"}, "", "is not a file of a package"),
        ({"small/a.cpython-311-darwin.so": "x"}, "", "small holds compiled code"),
        ({"small/a.pyd": "x"}, "", "small holds compiled code"),
    ],
    ids=["one too many", "changed", "above", "absolute", "data", "compiled", "compiled, Windows"],
)
def test_a_wheel_with_what_does_not_belong_into_it_is_refused(
    tmp_path: Path, files: dict[str, str], record: str, why: str
) -> None:
    with pytest.raises(RefusedError, match=re.escape(why)):
        unpack(wheel(tmp_path, files, record=record), tmp_path / "out")
    assert list(tmp_path.rglob("a*")) == []


@pytest.mark.parametrize("kind", ["a checkout", "a tree in git", "another folder", "a file"])
def test_nothing_but_an_earlier_tree_is_replaced(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "target"
    if kind == "a file":
        target.write_text("precious")
    else:
        target.mkdir()
        (target / "precious").write_text("precious")
    if kind in ("a checkout", "a tree in git"):
        (target / ".git").mkdir()
    if kind == "a tree in git":
        (target / "sbom.cdx.json").write_text("{}")
    script = Path(__file__).parents[2] / "release" / "build.py"
    done = subprocess.run(
        (sys.executable, str(script), str(target)), check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{target} exists and is no tree built before: name another folder\n"
    kept = target if kind == "a file" else target / "precious"
    assert kept.read_text() == "precious"
