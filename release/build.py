"""Writes the tree of a release: the Action with its dependencies, as a runner checks it out.

    python release/build.py FOLDER [--complete]

The packages are those of `requirements.txt`, by its hashes, as they are in their wheels but without
compiled files: each of them works without, and so one tree serves every platform. Byte code is
added for each CPython that is found on PATH; ``--complete`` asks for all of them. The same commit
gives the same bytes, as long as the Pythons that compile are the same; the SBOM names them.

What the folder holds::

    action.yml  action/  src/  LICENSE  requirements.txt  requirements-crypto.txt     ours
    packages/          what the wheels hold
    README.md          of the source, with links that lead there
    pyproject.toml     so that pip can install the command from a release as well
    THIRD-PARTY.txt    whose they are, and their licences
    sbom.cdx.json      the same for machines: CycloneDX
"""

import argparse
import base64
import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCK = "requirements.txt"
OURS = ("action.yml", "action", "src", "LICENSE", "pyproject.toml", LOCK, "requirements-crypto.txt")
README = "README.md"
PACKAGES = "packages"

# The minor versions of Python 3 that get byte code.
MINORS = (11, 12, 13, 14)
# What nearly every run loads. All the rest would double the tree, to save few runs 0.1 s.
COMPILED = ("src", f"{PACKAGES}/jinja2", f"{PACKAGES}/markupsafe", f"{PACKAGES}/yaml")

# They bring a compiled half and do without it: charset-normalizer reads what is no UTF-8 in answers
# of web servers, MarkupSafe escapes, PyYAML reads the configuration file.
OPTIONALLY_COMPILED = {"charset-normalizer", "markupsafe", "pyyaml"}
# Nothing that Python runs.
_BINARY = (".so", ".pyd", ".dylib", ".dll")
_UNUSED = (*_BINARY, ".c", ".h", ".pyx", ".pyi")

# Times of all files, since a tree's times are no part of its contents: the first that zip knows.
_TIME = 315_532_800

_COMPILE = """
import compileall, sys
from py_compile import PycInvalidationMode
tree, *folders = sys.argv[1:]
mode = PycInvalidationMode.UNCHECKED_HASH
for folder in folders:
    if not compileall.compile_dir(folder, quiet=1, stripdir=tree, invalidation_mode=mode):
        sys.exit(1)
"""
_COMPILE_TEMPLATES = """
import sys
tree, sys.pycache_prefix = sys.argv[1:]
sys.dont_write_bytecode = True
sys.path[:0] = [tree + "/src", tree + "/packages"]
from chainloop_smtp.message import templates
for name in sorted(templates.built_in()):
    templates.built_in_environment().get_template(templates.BUILT_IN + name)
"""


class BuildError(Exception):
    """The tree cannot be what it has to be; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """A locked dependency, as its wheel describes it.

    Attributes:
        sha256: Hexadecimal digest of the wheel.
        licence: An SPDX expression, or what the package says instead.
        notices: The texts of its licence files, by name.
        requires: Names of what it needs, in or out of the tree.
    """

    name: str
    version: str
    file_name: str
    sha256: str
    licence: str
    home_page: str
    notices: Mapping[str, str]
    requires: tuple[str, ...]


def build(target: Path, pythons: Iterable[tuple[str, Path]]) -> tuple[Package, ...]:
    """Write the tree into a folder, in the place of an earlier one.

    Args:
        pythons: Full version and path of those that compile.

    Raises:
        BuildError: A wheel is not what its lock or its own record says, or the folder holds
            something else than an earlier tree.
    """
    pythons = tuple(pythons)
    _check_replaceable(target.resolve())
    with tempfile.TemporaryDirectory(dir=_made(target.parent), prefix=".action-") as name:
        tree = Path(name, "tree")
        _copy_ours(tree)
        lock = (ROOT / LOCK).read_text(encoding="utf-8")
        packages = tuple(
            _unpack(wheel, lock, tree / PACKAGES) for wheel in _download(lock, Path(name))
        )
        version = _version(tree)
        _write(tree / README, _lead_to_source((ROOT / README).read_text("utf-8"), version))
        for _, python in pythons:
            _compile(python, tree, Path(name, "templates"))
        _write(tree / "THIRD-PARTY.txt", _third_party(packages))
        bom = _sbom(version, packages, [full for full, _ in pythons])
        _write(tree / "sbom.cdx.json", json.dumps(bom, indent=2) + "\n")
        _normalise(tree)
        shutil.rmtree(target, ignore_errors=True)
        tree.rename(target)
    return packages


def _check_replaceable(target: Path) -> None:
    """Refuse to delete anything but an earlier tree: not a checkout, not a home folder."""
    is_tree = (target / "sbom.cdx.json").is_file() and not (target / ".git").exists()
    is_empty = target.is_dir() and not any(target.iterdir())
    if target.exists() and not (is_tree or is_empty):
        raise BuildError(f"{target} exists and is no tree built before: name another folder")


def find_pythons() -> dict[int, tuple[str, Path]]:
    """Find the Pythons on PATH that byte code is made for: full version and path, by minor."""
    found = {}
    for minor in MINORS:
        for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
            python = Path(folder, f"python3.{minor}")
            if python.is_file() and (full := _full_version(python)).startswith(f"3.{minor}."):
                found[minor] = (full, python)
                break
    return found


def _full_version(python: Path) -> str:
    """The version of a CPython; empty when it is none, or cannot be started."""
    code = "import sys; print(sys.implementation.name, sys.version.split()[0])"
    done = subprocess.run(
        (python, "-I", "-S", "-c", code), check=False, capture_output=True, text=True
    )
    name, _, version = done.stdout.strip().partition(" ")
    return version if done.returncode == 0 and name == "cpython" else ""


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _copy_ours(tree: Path) -> None:
    """Copy what git tracks or would."""
    listing = subprocess.run(
        ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *OURS),
        cwd=ROOT,
        check=True,
        capture_output=True,
        encoding="utf-8",
    ).stdout
    for name in sorted(filter(None, listing.split("\0"))):
        source, copy = ROOT / name, tree / name
        if source.is_file() and not source.is_symlink():  # what is deleted is still listed
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)


def _version(tree: Path) -> str:
    text = (tree / "src/chainloop_smtp/__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise BuildError("src/chainloop_smtp/__init__.py names no version")
    return found[1]


def _lead_to_source(page: str, version: str) -> str:
    """Make a page's relative links lead to the source's tag, which has what they name."""
    there = f"source/v{version}/"
    page = re.sub(r'(!\[[^]]*\]\(|src=")(?!\w+:)', rf"\1../../raw/{there}", page)
    return re.sub(r"(\]\()(?!\w+:|#|\.\./)", rf"\1../../blob/{there}", page)


def _download(lock: str, folder: Path) -> list[Path]:
    """Have pip fetch the wheel of each locked package, and check its hash against the lock.

    One tree serves all, so what only some Pythons need is in it as well.
    """
    wheels, wanted = folder / "wheels", folder / "lock.txt"
    wanted.write_text(re.sub(r" ;[^\\\n]*", " ", lock), encoding="utf-8")
    subprocess.run(
        (
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--require-hashes", "--no-deps", "--only-binary=:all:", "--dest", wheels),
            *("--implementation=cp", "--python-version=3.11", "--abi=cp311"),
            *("--platform=manylinux2014_x86_64", "--platform=manylinux_2_28_x86_64"),
            *("--requirement", wanted),
        ),
        check=True,
    )
    found = sorted(wheels.iterdir())
    if len(found) != len(_locked(lock)):
        raise BuildError(f"{len(_locked(lock))} packages are locked, and pip fetched {len(found)}")
    return found


def _locked(lock: str) -> list[str]:
    return re.findall(r"^([a-z0-9._-]+)==", lock, re.MULTILINE)


def _unpack(path: Path, lock: str, target: Path) -> Package:
    """Unpack a wheel, but for what is compiled; each file is checked against the wheel's record."""
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if f"sha256:{sha256}" not in lock:
        raise BuildError(f"{path.name} is not the file that {LOCK} names")
    with zipfile.ZipFile(path) as wheel:
        files = {info.filename: wheel.read(info) for info in wheel.infolist() if not info.is_dir()}
    (info,) = {name.partition("/")[0] for name in files if name.endswith(".dist-info/RECORD")}
    _check_record(path.name, files, f"{info}/RECORD")
    metadata = HeaderParser().parsestr(files[f"{info}/METADATA"].decode("utf-8"))
    package = _package(path, sha256, metadata, info, files)
    if package.name not in OPTIONALLY_COMPILED and any(map(_is_binary, files)):
        raise BuildError(f"{package.name} holds compiled code, and a release carries none")
    for name, content in sorted(files.items()):
        if not name.endswith(_UNUSED):
            copy = target / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            with copy.open("xb") as file:  # no package overwrites another's file
                file.write(content)
    return package


def _is_binary(name: str) -> bool:
    return name.endswith(_BINARY)


def _check_record(wheel: str, files: Mapping[str, bytes], record: str) -> None:
    """Compare a wheel's files with its RECORD (the binary distribution format, PEP 427)."""
    rows = list(csv.reader(files[record].decode("utf-8").splitlines()))
    expected = {name: digest for name, digest, _ in rows}
    actual = {}
    for name, content in files.items():
        path = PurePosixPath(name)
        # A folder `.data` would have to be spread over the machine.
        if path.is_absolute() or ".." in path.parts or path.parts[0].endswith(".data"):
            raise BuildError(f"{wheel}: {name} is not a file of a package")
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        actual[name] = f"sha256={digest}" if name != record else ""
    if actual != expected:
        different = sorted(dict(actual.items() ^ expected.items()))
        raise BuildError(f"{wheel}: not as its RECORD says: {', '.join(different)}")


def _package(
    path: Path, sha256: str, metadata: Message, info: str, files: Mapping[str, bytes]
) -> Package:
    name = _normalised(str(metadata["Name"]))
    notices = {}
    for file in metadata.get_all("License-File", ["LICENSE"]):
        # Below `licenses` since PEP 639.
        content = files.get(f"{info}/licenses/{file}") or files.get(f"{info}/{file}")
        if not content:
            raise BuildError(f"{path.name} has no licence file {file}")
        notices[str(file)] = content.decode("utf-8")
    classifiers = metadata.get_all("Classifier", [])
    licences = [each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License ")]
    urls = dict(each.split(", ", 1) for each in metadata.get_all("Project-URL", []))
    sources = ("Source", "source", "Source Code", "Source code", "Repository", "Homepage")
    home_pages = [metadata["Home-page"], *(urls.get(each) for each in sources), *urls.values()]
    return Package(
        name=name,
        version=str(metadata["Version"]),
        file_name=path.name,
        sha256=sha256,
        licence=str(
            metadata["License-Expression"] or metadata["License"] or " and ".join(licences)
        ),
        home_page=str(next(filter(None, home_pages), "")),
        notices=notices,
        requires=tuple(
            dict.fromkeys(
                _normalised(found[0])
                for each in metadata.get_all("Requires-Dist", [])
                if "extra ==" not in each and (found := re.match(r"[\w.-]+", each))
            )
        ),
    )


def _normalised(name: str) -> str:
    """The name as package URLs have it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _compile(python: Path, tree: Path, scratch: Path) -> None:
    """Add the byte code of one Python, of modules and of the built-in templates.

    Python need not look whether the source has changed since: nothing changes in a release. The
    seed holds sets in one order, without which the bytes would differ from build to build.
    """
    command = (python, "-s", "-S", "-P", "-X", "utf8", "-c")
    environ = {"PYTHONHASHSEED": "0", "PATH": os.environ.get("PATH", os.defpath)}
    folders = [str(tree / each) for each in COMPILED]
    subprocess.run((*command, _COMPILE, tree, *folders), check=True, env=environ)
    subprocess.run((*command, _COMPILE_TEMPLATES, tree, scratch), check=True, env=environ)
    tag = subprocess.run(
        (*command, "import sys; print(sys.implementation.cache_tag)"),
        check=True,
        env=environ,
        capture_output=True,
        text=True,
    ).stdout.strip()
    folder = tree / "src/chainloop_smtp/templates/__pycache__"
    folder.mkdir(exist_ok=True)
    (scratch / "templates").rename(folder / tag)


def _third_party(packages: Iterable[Package]) -> str:
    """What is not ours in the tree, and under which licences."""
    parts = [
        "Chainloop SMTP is licensed under the Apache License 2.0, see LICENSE. This release of it\n"
        f"carries in the folder {PACKAGES} what others wrote, without the compiled files of their\n"
        "wheels and otherwise unchanged:\n\n"
        + "".join(
            f"  {each.name} {each.version}, {each.licence}, {each.home_page}\n" for each in packages
        )
    ]
    parts += [
        f"{'=' * 80}\n{each.name} {each.version}: {file}\n{'=' * 80}\n\n{text.strip()}\n"
        for each in packages
        for file, text in each.notices.items()
    ]
    return "\n".join(parts)


def _sbom(version: str, packages: Iterable[Package], pythons: Iterable[str]) -> dict[str, Any]:
    """The tree as a bill of materials (CycloneDX 1.6). The same tree has the same serial number."""
    packages = tuple(packages)
    references = {each.name: _purl(each) for each in packages}
    needed = {name for each in packages for name in each.requires}
    root = f"chainloop-smtp@{version}"
    identity = "\n".join((root, *(each.sha256 for each in packages), *pythons))
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, identity)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": "chainloop-smtp",
                "version": version,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
                "properties": [
                    {"name": "chainloop-smtp:byte-code", "value": f"CPython {each}"}
                    for each in pythons
                ],
            }
        },
        "components": [
            {
                "type": "library",
                "bom-ref": references[each.name],
                "name": each.name,
                "version": each.version,
                "purl": references[each.name],
                "licenses": [{"license": _cyclonedx_licence(each.licence)}],
                "hashes": [{"alg": "SHA-256", "content": each.sha256}],
                "externalReferences": [{"type": "website", "url": each.home_page}],
                "properties": [{"name": "chainloop-smtp:wheel", "value": each.file_name}],
            }
            for each in packages
        ],
        "dependencies": [
            {
                "ref": root,
                "dependsOn": [references[each.name] for each in packages if each.name not in needed]
                + [references[name] for name in sorted(needed & set(references))],
            },
            *(
                {
                    "ref": references[each.name],
                    "dependsOn": [
                        references[name] for name in sorted(each.requires) if name in references
                    ],
                }
                for each in packages
            ),
        ],
    }


def _purl(package: Package) -> str:
    return f"pkg:pypi/{package.name}@{package.version}"


def _cyclonedx_licence(licence: str) -> dict[str, str]:
    """One id of SPDX, or the package's own words."""
    is_id = re.fullmatch(r"[A-Za-z0-9.-]+", licence) is not None
    return {"id": licence} if is_id else {"name": licence}


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _normalise(tree: Path) -> None:
    """Give all files the same modes and times, as git keeps neither."""
    for path in (tree, *tree.rglob("*")):
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            raise BuildError(f"{path} is neither a file nor a folder")
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (_TIME, _TIME))


def digest(tree: Path) -> str:
    """SHA-256 over the names and contents of all files, in the order of their names."""
    names = sorted(path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file())
    lines = [
        f"{hashlib.sha256((tree / name).read_bytes()).hexdigest()}  {name}\n" for name in names
    ]
    return hashlib.sha256("".join(lines).encode("utf-8")).hexdigest()


def main() -> None:
    """Build, and print what has come of it."""
    parser = argparse.ArgumentParser(description="Write the tree of a release.")
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--complete", action="store_true", help="fail unless every Python is there to compile"
    )
    arguments = parser.parse_args()
    pythons = find_pythons()
    missing = [f"3.{minor}" for minor in MINORS if minor not in pythons]
    if missing and arguments.complete:
        sys.exit(f"No CPython {', '.join(missing)} on PATH to compile for")
    try:
        packages = build(arguments.folder, pythons.values())
    except BuildError as error:
        sys.exit(str(error))
    files = [path for path in arguments.folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    print(f"{arguments.folder}: {len(files)} files, {size / 1e6:.1f} MB, {len(packages)} packages")
    print(f"Byte code for CPython {', '.join(full for full, _ in pythons.values()) or 'none'}")
    if missing:
        print(f"None for {', '.join(missing)}, not on PATH: such a Python compiles each time")
    print(f"sha256:{digest(arguments.folder)}")


if __name__ == "__main__":
    main()
