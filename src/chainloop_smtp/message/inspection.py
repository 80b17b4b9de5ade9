"""The user's templates -> what is wrong with them, all at once, before anything is rendered.

What can be seen without the facts of a run is seen here, in branches that no run may take too: the
syntax, the names of files, and every name of the context, of a filter, of a test and of another
template.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from jinja2 import TemplateSyntaxError, meta, nodes

from chainloop_smtp import errors
from chainloop_smtp.errors import MessageError, Problem
from chainloop_smtp.message import members
from chainloop_smtp.message.sandbox import OURS, SUBJECT, Sandbox, nearest, problem
from chainloop_smtp.model.mail import Templates

ENTRIES = ("mail.html.j2", "mail.txt.j2", "subject.txt.j2", "summary.md.j2")

Found = TypeVar("Found", bound=nodes.Node)

_References = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)
_SPECIAL = frozenset(("self", "super", "loop", "caller", "varargs", "kwargs"))


def inspect(
    own: Templates, environment: Sandbox, hints: Mapping[str, Any], ours: Mapping[str, str]
) -> None:
    """Looks at every template of the user's.

    Args:
        environment: Which has them.
        hints: Type of each name of the context.
        ours: Our own templates by name, without ``chainloop/``.

    Raises:
        MessageError: With every problem found.
    """
    sources = {each.name: each.text for each in own.files}
    problems: list[Problem] = []
    if own.subject:
        if "subject.txt.j2" in sources:
            problems.append(
                Problem("subject", "subject.txt.j2 is in template-dir too", "Give one of them.")
            )
        sources[SUBJECT] = own.subject
    trees: dict[str, nodes.Template] = {}
    for name, text in sources.items():
        try:
            trees[name] = environment.parse(text, name, name)
        except TemplateSyntaxError as error:
            problems.append(problem(name, error.lineno, error.message or "is broken"))
        except RecursionError:
            problems.append(Problem(name, "is nested too deeply"))
    _add_ours(trees, environment, ours)
    known = {*sources, *(OURS + name for name in ours)} - {SUBJECT}
    for name in sources.keys() & trees.keys():
        problems += members.misspelt(name, trees[name], hints)
        unknown = [
            *_unknown(name, trees, environment, hints, known),
            *_unshown(name, trees),
            *_unexported(name, trees),
        ]
        problems += unknown or _code(name, sources, environment)
    problems.sort(key=lambda each: list(sources).index(each.where.partition(",")[0]))
    if not problems:
        problems += [*_cycles(trees), *_files(own, trees)]
    if problems:
        raise MessageError(*problems)


def _code(name: str, sources: Mapping[str, str], environment: Sandbox) -> list[Problem]:
    """What only the making of byte code finds."""
    try:
        environment.compile(sources[name], name, name)
    except TemplateSyntaxError as error:
        return [problem(name, error.lineno, error.message or "is broken")]
    except (SyntaxError, RecursionError, MemoryError):
        return [Problem(name, "is nested too deeply")]
    return []


def _add_ours(
    trees: dict[str, nodes.Template], environment: Sandbox, ours: Mapping[str, str]
) -> None:
    """Adds those of our templates that the user's build on."""
    pending = {each for name, tree in trees.items() for each in _references(name, tree)}
    while pending:
        name = pending.pop()
        if name not in trees and (text := ours.get(name.removeprefix(OURS))) is not None:
            trees[name] = environment.parse(text, name)
            pending |= _references(name, trees[name])


def _unknown(
    name: str,
    trees: Mapping[str, nodes.Template],
    environment: Sandbox,
    names: Collection[str],
    known: Collection[str],
) -> Iterator[Problem]:
    """What a template speaks of and nobody knows.

    Args:
        names: Of the context.
        known: Of templates.
    """
    tree = trees[name]
    for change in tree.find_all(nodes.EvalContextModifier):
        yield problem(name, change.lineno, "autoescape is not for templates to change")
    for node in tree.find_all(_References):
        target = _target(node)
        if target is None:
            hint = "Write its name in quotes."
            yield problem(name, node.lineno, f"the name of a template is no text\n{hint}")
        elif target == name:
            hint = f'Write {{% extends "{OURS}{name}" %}} for ours.'
            yield problem(name, node.lineno, f"the template stands for itself\n{hint}")
        elif target not in known:
            why = f"there is no template '{target}'"
            yield problem(name, node.lineno, f"{why}\n{nearest(target, known)}")
    for used in tree.find_all((nodes.Filter, nodes.Test)):
        is_filter = isinstance(used, nodes.Filter)
        table = environment.filters if is_filter else environment.tests
        if used.name not in table:
            why = f"there is no {'filter' if is_filter else 'test'} '{used.name}'"
            yield problem(name, used.lineno, f"{why}\n{nearest(used.name, table)}")
            # In its place one that is there, so that the rest can be looked at, too.
            used.name = "default" if is_filter else "defined"
    inherited = {each for parent in _line(name, trees) for each in _exports(trees[parent])}
    for unknown in sorted(_undeclared(tree) - inherited - set(names) - _SPECIAL):
        lines = [each.lineno for each in tree.find_all(nodes.Name) if each.name == unknown]
        why = f"'{unknown}' is undefined"
        yield problem(name, min(lines, default=None), f"{why}\n{nearest(unknown, names)}")


def _unshown(name: str, trees: Mapping[str, nodes.Template]) -> Iterator[Problem]:
    """Blocks that are not there, and what a template that extends another one never shows."""
    tree = trees[name]
    parents = _line(name, trees)[1:]
    known = {each.name for parent in parents for each in trees[parent].find_all(nodes.Block)}
    there = known | {each.name for each in tree.find_all(nodes.Block)}
    for called in tree.find_all(nodes.Getattr):
        is_block = isinstance(called.node, nodes.Name) and called.node.name == "self"
        if is_block and called.attr not in there:
            hint = f"\n{nearest(called.attr, there)}" if there else ""
            yield problem(name, called.lineno, f"there is no block '{called.attr}'{hint}")
    extends = next((each for each in tree.body if isinstance(each, nodes.Extends)), None)
    if extends is None or not parents:
        return
    for block in _outside(tree.body, nodes.Block):
        if block.name not in known:
            why = f"there is no block '{block.name}' in {parents[0]}, so nothing shows this one"
            yield problem(name, block.lineno, f"{why}\n{nearest(block.name, known)}")
    for output in _outside(tree.body[tree.body.index(extends) :], nodes.Output):
        for part in output.nodes:
            text = part.data if isinstance(part, nodes.TemplateData) else "{{"
            if text.strip():
                # Jinja2 counts from the blank lines before a text.
                line = part.lineno + text[: -len(text.lstrip())].count("\n")
                why = f"nothing shows what is in no block of a template that extends {parents[0]}"
                yield problem(name, line, f"{why}\nPut it into a block, or into {{# … #}}.")
                return


def _outside(body: Iterable[nodes.Node], kind: type[Found]) -> Iterator[Found]:
    """What of a kind stands in a template itself, or in its conditions and loops."""
    for child in body:
        if isinstance(child, kind):
            yield child
        elif isinstance(child, nodes.If | nodes.For | nodes.With | nodes.Scope):
            yield from _outside(child.iter_child_nodes(), kind)


def _unexported(name: str, trees: Mapping[str, nodes.Template]) -> Iterator[Problem]:
    """What a template takes from another one that does not have it."""
    tree = trees[name]
    asked: list[tuple[int, str, str]] = []
    imported: dict[str, str] = {}
    for source in tree.find_all(nodes.FromImport):
        for each in source.names:
            wanted = each[0] if isinstance(each, tuple) else each
            asked.append((source.lineno, _resolved(source, name) or "", wanted))
    for module in tree.find_all(nodes.Import):
        imported[module.target] = _resolved(module, name) or ""
    made = {each.name for each in tree.find_all(nodes.Name) if each.ctx != "load"}
    for member in tree.find_all(nodes.Getattr):
        owner = member.node.name if isinstance(member.node, nodes.Name) else ""
        if owner not in made:
            asked.append((member.lineno, imported.get(owner, ""), member.attr))
    for line, target, wanted in asked:
        if target in trees and wanted not in (there := _made(trees[target])):
            hint = f"\n{nearest(wanted, there)}" if there else ""
            yield problem(name, line, f"{target} has no '{wanted}'{hint}")


def _made(tree: nodes.Template) -> set[str]:
    """Every name that a template may give to one that imports it."""
    values = {each.name for each in tree.find_all(nodes.Name) if each.ctx == "store"}
    return values | {each.name for each in tree.find_all(nodes.Macro)}


def _undeclared(tree: nodes.Template) -> set[str]:
    try:
        return meta.find_undeclared_variables(tree)
    except TemplateSyntaxError:
        # What only the making of byte code finds, and reports.
        return set()


def _target(node: Any) -> str | None:
    """The template that a node names; None where that is worked out at run time."""
    template = node.template
    is_text = isinstance(template, nodes.Const) and isinstance(template.value, str)
    return template.value if is_text else None


def _line(name: str, trees: Mapping[str, nodes.Template]) -> list[str]:
    """The template and those that it extends, itself or by another one."""
    line: list[str] = []
    while name in trees and name not in line:
        line.append(name)
        extends = next(iter(trees[name].find_all(nodes.Extends)), None)
        name = (_resolved(extends, name) if extends else None) or ""
    return line


def _resolved(node: nodes.Node, name: str) -> str | None:
    target = _target(node)
    is_ours = target and name.startswith(OURS) and not target.startswith(OURS)
    return f"{OURS}{target}" if is_ours else target


def _exports(tree: nodes.Template) -> Iterator[str]:
    """Names that a template gives to its blocks, and to those of the templates that extend it."""
    for node in tree.body:
        match node:
            case nodes.FromImport():
                for each in node.names:
                    yield each[1] if isinstance(each, tuple) else each
            case nodes.Import():
                yield node.target
            case nodes.Macro():
                yield node.name
            case nodes.Assign() | nodes.AssignBlock():
                yield from (each.name for each in node.target.find_all(nodes.Name))
                if isinstance(node.target, nodes.Name):
                    yield node.target.name


def _references(name: str, tree: nodes.Template) -> set[str]:
    found = (_resolved(node, name) for node in tree.find_all(_References))
    return {each for each in found if each}


def _cycles(trees: Mapping[str, nodes.Template]) -> Iterator[Problem]:
    """Templates that use each other in a circle."""
    graph = {name: _references(name, tree) for name, tree in trees.items()}
    done: set[str] = set()
    while leaves := {name for name in graph.keys() - done if graph[name] <= done}:
        done |= leaves
    if left := sorted(graph.keys() - done):
        yield Problem(left[0], f"uses itself, by way of {', '.join(left[1:])}")


def _files(own: Templates, trees: Mapping[str, nodes.Template]) -> Iterator[Problem]:
    """Files that nothing would ever use: most likely a name was misspelt."""
    if own.folder and not own.files:
        yield Problem(
            "template-dir", f"'{own.folder}' holds no template", f"{nearest('', ENTRIES)}"
        )
    used = {each for name, tree in trees.items() for each in _references(name, tree)}
    names = {each.name for each in own.files}
    for name in sorted(names - used - set(ENTRIES)):
        hint = nearest(name, set(ENTRIES) - names or ENTRIES)
        yield Problem(f"template-dir '{name}'", "nothing uses this template", hint)
    for name in own.others:
        if meant := errors.nearest(name, ENTRIES, cutoff=0.8):
            hint = f"Did you mean {meant}?"
            yield Problem(f"template-dir '{name}'", "is no template's name", hint)
