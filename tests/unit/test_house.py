"""The picture of the house, held by reading the imports: who may know what."""

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "chainloop_smtp"
MODULES = {
    path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text("utf-8"))
    for path in sorted(SOURCE.rglob("*.py"))
}
STAGES = (
    "options",
    "config_file",
    "source",
    "attestation",
    "signature",
    "verdict",
    "routing",
    "addressing",
    "difference",
    "message",
    "token",
    "delivery",
    "outbox",
    "state_file",
    "received",
    "ci",
)
GROUND = ("errors", "model", "background", "inputfile", "secrets", "https")

# Each dependency, and each dear or dangerous part of the standard library, has one door.
DOORS = {
    "email_validator": {"options/addresses.py"},
    "idna": {"options/addresses.py"},
    "yaml": {"options/configuration/document.py"},
    "jinja2": {
        "message/child.py",
        "message/inspection.py",
        "message/sandbox.py",
        "message/templates.py",
    },
    "markupsafe": {"message/child.py", "message/sandbox.py"},
    "aiosmtpd": {"cli/demo.py"},
    "trustme": {"cli/demo.py"},
    "requests": {"https.py"},
    "cryptography": {
        "signature/chain.py",
        "signature/dsse.py",
        "signature/trust.py",
        "token/google.py",
    },
    "rfc3161_client": {"signature/dsse.py"},
    # Programs that the user names; and ourselves, to render the user's templates apart. `message`
    # stays pure in spite of it: what comes back depends on nothing but facts and templates.
    "subprocess": {"source/command.py", "message/child.py"},
    # Requests to that process, in which nobody else has a say. What it replies is JSON.
    "pickle": {"message/child.py"},
    "resource": {"message/child.py"},
    "ssl": {
        "delivery/connection.py",
        "delivery/dialing.py",
        "delivery/tls.py",
        "cli/demo.py",
    },
    "socket": {
        "delivery/connection.py",
        "delivery/dialing.py",
        "delivery/tls.py",
        "cli/demo.py",
    },
    "python_socks": {"delivery/dialing.py"},
    "scramp": {"delivery/sasl.py"},
    "argparse": {"cli/parser.py"},
    "traceback": {"cli/__init__.py"},
}
NOWHERE = ("smtplib", "email.mime", "http", "urllib.request", "asyncio")
TYPES_ONLY = {"_typeshed"}


@cache
def _nodes(tree: ast.Module) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree))


@cache
def _imports(tree: ast.Module) -> tuple[str, ...]:
    """Dotted names of everything imported, anywhere in the module."""
    names: list[str] = []
    for node in _nodes(tree):
        if isinstance(node, ast.Import):
            names += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names += (f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(names)


def _parts(tree: ast.Module) -> set[str]:
    """Which of our own first-level modules are imported."""
    return {name.split(".")[1] for name in _imports(tree) if name.startswith("chainloop_smtp.")} - {
        "__version__"
    }


def _importers(name: str) -> set[str]:
    return {
        module
        for module, tree in MODULES.items()
        if any(each == name or each.startswith(f"{name}.") for each in _imports(tree))
    }


def _part(module: str) -> str:
    return module.partition("/")[0].removesuffix(".py")


def _dotted(node: ast.AST) -> str:
    return ast.unparse(node) if isinstance(node, ast.Attribute | ast.Name) else ""


def test_every_module_has_a_place_in_the_picture() -> None:
    places = {*STAGES, *GROUND, "cli", "__main__", "__init__"}
    assert {_part(module) for module in MODULES} == places


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_knows_the_ground_and_itself_and_no_other_stage(stage: str) -> None:
    trees = [tree for module, tree in MODULES.items() if _part(module) == stage]
    assert trees
    for tree in trees:
        assert _parts(tree) <= {*GROUND, stage}


def test_each_part_of_the_ground_stands_on_those_before_it() -> None:
    for position, part in enumerate(GROUND):
        trees = [tree for module, tree in MODULES.items() if _part(module) == part]
        assert trees
        for tree in trees:
            assert _parts(tree) <= set(GROUND[: position + 1])


def test_only_the_roof_knows_the_stages() -> None:
    knowing = {
        _part(module)
        for module, tree in MODULES.items()
        if any(stage in _parts(tree) for stage in STAGES if stage != _part(module))
    }
    assert knowing == {"cli"}
    assert _parts(MODULES["__main__.py"]) == {"cli"}


@pytest.mark.parametrize("name", DOORS)
def test_each_dependency_has_one_door(name: str) -> None:
    assert _importers(name) == DOORS[name]


@pytest.mark.parametrize("name", NOWHERE)
def test_some_libraries_are_not_for_this_house(name: str) -> None:
    assert _importers(name) == set()


def test_every_other_import_is_the_standard_library() -> None:
    third_party = {
        name.partition(".")[0] for tree in MODULES.values() for name in _imports(tree)
    } - sys.stdlib_module_names
    doors = {name for name in DOORS if name not in sys.stdlib_module_names}
    assert third_party - TYPES_ONLY == {"chainloop_smtp", *doors}


def test_only_the_console_prints() -> None:
    printing = {
        module
        for module, tree in MODULES.items()
        if any(isinstance(node, ast.Name) and node.id == "print" for node in _nodes(tree))
    }
    assert printing == {"ci.py"}


def test_files_are_read_by_one_opener() -> None:
    """A pipe, a device or a huge file holds up whoever opens it in another way."""
    reading = set()
    for module, tree in MODULES.items():
        for node in _nodes(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                modes = [each.value for each in node.args if isinstance(each, ast.Constant)]
                is_read = node.func.attr == "open" and any("r" in str(each) for each in modes)
                if is_read or node.func.attr in ("read_bytes", "read_text"):
                    reading.add(module)
            elif isinstance(node, ast.Call) and _dotted(node.func) == "open":
                reading.add(module)
    # Apart from it, only what the package itself brings is read.
    package_data = {"delivery/hints.py", "message/templates.py", "options/__init__.py"}
    assert reading - package_data == {"inputfile.py"}


@pytest.mark.parametrize("name", ["os.environ", "sys.argv"])
def test_only_main_touches_the_process(name: str) -> None:
    touching = {
        module
        for module, tree in MODULES.items()
        if any(_dotted(node) == name for node in _nodes(tree))
    }
    assert touching == {"__main__.py"}
    variable, _, attribute = name.partition(".")
    assert not any(f"{variable}.{attribute}" in _imports(tree) for tree in MODULES.values())


@pytest.mark.parametrize("name", ["sys.stdout", "sys.stderr"])
def test_only_the_console_holds_the_streams(name: str) -> None:
    assert {
        module
        for module, tree in MODULES.items()
        if any(_dotted(node) == name for node in _nodes(tree))
    } == {"ci.py"}


def test_only_the_roof_catches_our_own_root() -> None:
    catching = {
        module
        for module, tree in MODULES.items()
        for node in _nodes(tree)
        if isinstance(node, ast.ExceptHandler)
        and node.type is not None
        and any(_dotted(each) == "ChainloopSmtpError" for each in ast.walk(node.type))
    }
    assert catching == {"cli/__init__.py"}


def test_nothing_catches_whatever_comes() -> None:
    assert not any(
        isinstance(node, ast.ExceptHandler) and node.type is None
        for tree in MODULES.values()
        for node in _nodes(tree)
    )


def test_no_module_is_named_for_what_fits_nowhere() -> None:
    names = {Path(module).stem for module in MODULES}
    assert not names & {"utils", "util", "helpers", "common", "misc", "base", "tools"}
