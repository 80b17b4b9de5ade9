"""The user's templates -> their problems, before anything is rendered.

Everything that needs no facts is checked here, in every branch: the syntax, and each name of a
file, a variable, a filter, a test, a block, a macro and a record's attribute. Types are followed
from the context's variables through records and loops; where a type is not certain, the check is
left to rendering.
"""

import types
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from jinja2 import TemplateSyntaxError, meta, nodes

from chainloop_smtp.errors import Problem, nearest, nearest_hint
from chainloop_smtp.message import view
from chainloop_smtp.message.sandbox import (
    BUILT_IN,
    SUBJECT,
    Sandbox,
    is_html,
    problem,
    public,
    with_nearest,
)
from chainloop_smtp.model.mail import Templates

ENTRIES = ("mail.html.j2", "mail.txt.j2", "subject.txt.j2", "summary.md.j2")

Found = TypeVar("Found", bound=nodes.Node)

_References = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)
_PRINTED: tuple[type[nodes.Stmt], ...] = (nodes.Output, nodes.FilterBlock, nodes.CallBlock)
_TOO_DEEP = "is nested too deeply"
_SPECIAL = frozenset(("self", "super", "loop", "caller", "varargs", "kwargs"))


class Inspection:
    """The user's templates, parsed."""

    def __init__(self, own: Templates, environment: Sandbox, built_in: Mapping[str, str]) -> None:
        """Parses nothing yet.

        Args:
            environment: One that has the templates.
            built_in: The built-in templates by name, without ``chainloop/``.
        """
        self._own = own
        self._environment = environment
        self._sources = {each.name: each.text for each in own.files}
        self._built_in = {BUILT_IN + name: text for name, text in built_in.items()}
        self._known = {*self._sources, *self._built_in}
        self._hints = get_type_hints(view.Facts)
        self._trees: dict[str, nodes.Template] = {}
        self._unparsed: dict[str, Problem] = {}
        if own.subject:
            self._sources[SUBJECT] = own.subject

    def problems(self, name: str) -> list[Problem]:
        """The problems of one template; without a name, those of all templates together."""
        if not self._trees and not self._unparsed:
            self._parse()
        if not name:
            return [*self._cycles(), *self._files()]
        found: list[Problem] = []
        if name == SUBJECT and "subject.txt.j2" in self._sources:
            why = "subject.txt.j2 is in template-dir too"
            found.append(Problem(SUBJECT, why, "Give one of them."))
        if name in self._unparsed:
            return [*found, self._unparsed[name]]
        try:
            found += _misspelt(name, self._trees[name], self._hints)
            unknown = [*self._unknown(name), *self._unshown(name), *self._unexported(name)]
            return found + (unknown or self._code(name))
        except RecursionError:
            return [Problem(name, _TOO_DEEP)]

    def _parse(self) -> None:
        pending: set[str] = set()
        for name, text in self._sources.items():
            try:
                tree = self._environment.parse(text, name, name)
                pending |= _references(name, tree)
                self._trees[name] = tree
            except TemplateSyntaxError as error:
                message = error.message or "is broken"
                self._unparsed[name] = problem(name, error.lineno, message)
            except RecursionError:
                self._unparsed[name] = Problem(name, _TOO_DEEP)
        # And the built-in ones that they build on.
        while pending:
            name = pending.pop()
            if name in self._built_in and name not in self._trees:
                self._trees[name] = self._environment.parse(self._built_in[name], name)
                pending |= _references(name, self._trees[name])

    def _code(self, name: str) -> list[Problem]:
        """Problems that only compiling finds."""
        try:
            self._environment.compile(self._sources[name], name, name)
        except TemplateSyntaxError as error:
            return [problem(name, error.lineno, error.message or "is broken")]
        except (SyntaxError, MemoryError):
            # Raised by Python's compiler.
            return [Problem(name, _TOO_DEEP)]
        return []

    def _unknown(self, name: str) -> Iterator[Problem]:
        """Templates, filters, tests and variables that do not exist."""
        tree = self._trees[name]
        for change in tree.find_all(nodes.EvalContextModifier):
            yield problem(name, change.lineno, "a template cannot change autoescape")
        for extends in tree.find_all(nodes.Extends):
            if extends not in tree.body:
                why = "extends is inside another tag\nWrite it before everything else."
                yield problem(name, extends.lineno, why)
        for node in tree.find_all(_References):
            target = _target(node)
            if target is None:
                message = "the name of a template is not text\nWrite its name in quotes."
                yield problem(name, node.lineno, message)
            elif target == name:
                hint = f'Write {{% extends "{BUILT_IN}{name}" %}} for ours.'
                yield problem(name, node.lineno, f"the template refers to itself\n{hint}")
            elif target not in self._known:
                why = f"there is no template '{target}'"
                yield problem(name, node.lineno, with_nearest(why, target, self._known))
            elif is_html(name) and not is_html(target):
                why = f"'{target}' does not end in .html.j2, so its values would not be escaped"
                yield problem(
                    name, node.lineno, f"{why}\nRename it, or copy what you need from it."
                )
        for used in tree.find_all((nodes.Filter, nodes.Test)):
            is_filter = isinstance(used, nodes.Filter)
            table = self._environment.filters if is_filter else self._environment.tests
            if used.name not in table:
                why = f"there is no {'filter' if is_filter else 'test'} '{used.name}'"
                yield problem(name, used.lineno, with_nearest(why, used.name, table))
                # An existing one in its place, so that the rest can be checked, too.
                used.name = "default" if is_filter else "defined"
        inherited = {each for parent in self._line(name) for each in _exports(self._trees[parent])}
        for unknown in sorted(
            _undeclared(tree, self._environment) - inherited - set(self._hints) - _SPECIAL
        ):
            lines = [each.lineno for each in tree.find_all(nodes.Name) if each.name == unknown]
            message = with_nearest(f"'{unknown}' is undefined", unknown, self._hints)
            yield problem(name, min(lines, default=None), message)

    def _unshown(self, name: str) -> Iterator[Problem]:
        """Blocks that do not exist, and what a template that extends another one never shows."""
        tree = self._trees[name]
        parents = self._line(name)[1:]
        known = {
            each.name for parent in parents for each in self._trees[parent].find_all(nodes.Block)
        }
        there = known | {each.name for each in tree.find_all(nodes.Block)}
        for called in tree.find_all(nodes.Getattr):
            is_block = isinstance(called.node, nodes.Name) and called.node.name == "self"
            if is_block and called.attr not in there:
                why = f"there is no block '{called.attr}'"
                yield problem(name, called.lineno, with_nearest(why, called.attr, there))
        extends = next((each for each in tree.body if isinstance(each, nodes.Extends)), None)
        if extends is None or not parents:
            return
        for block in _outside(tree.body, nodes.Block):
            if block.name not in known:
                why = (
                    f"there is no block '{block.name}' in {parents[0]}, so this one is never shown"
                )
                yield problem(name, block.lineno, with_nearest(why, block.name, known))
        for output in _outside(tree.body[tree.body.index(extends) :], *_PRINTED):
            for part in output.nodes if isinstance(output, nodes.Output) else (output,):
                text = part.data if isinstance(part, nodes.TemplateData) else "{{"
                if text.strip():
                    # Jinja2 counts from the blank lines before a text.
                    line = part.lineno + text[: -len(text.lstrip())].count("\n")
                    why = f"a template that extends {parents[0]} shows no text outside blocks"
                    yield problem(name, line, f"{why}\nPut it into a block, or into {{# … #}}.")
                    return

    def _unexported(self, name: str) -> Iterator[Problem]:
        """Names imported from a template that does not have them."""
        tree = self._trees[name]
        asked: list[tuple[int, str, str]] = []
        imported: dict[str, str] = {}
        for source in tree.find_all(nodes.FromImport):
            for each in source.names:
                wanted = each[0] if isinstance(each, tuple) else each
                asked.append((source.lineno, _resolved(source, name), wanted))
        for module in tree.find_all(nodes.Import):
            imported[module.target] = _resolved(module, name)
        made = {each.name for each in tree.find_all(nodes.Name) if each.ctx != "load"}
        for member in tree.find_all(nodes.Getattr):
            owner = member.node.name if isinstance(member.node, nodes.Name) else ""
            if owner not in made:
                asked.append((member.lineno, imported.get(owner, ""), member.attr))
        for line, target, wanted in asked:
            if target in self._trees and wanted not in (there := _made(self._trees[target])):
                yield problem(
                    name, line, with_nearest(f"{target} has no '{wanted}'", wanted, there)
                )

    def _cycles(self) -> Iterator[Problem]:
        """Templates that use each other in a circle."""
        graph = {name: _references(name, tree) for name, tree in self._trees.items()}
        done: set[str] = set()
        while leaves := {name for name in graph.keys() - done if graph[name] <= done}:
            done |= leaves
        if left := sorted(graph.keys() - done):
            yield Problem(left[0], f"uses itself, by way of {', '.join(left[1:])}")

    def _files(self) -> Iterator[Problem]:
        """Files that nothing uses: most likely a name is misspelt."""
        own = self._own
        if own.folder and not own.files:
            hint = f"Available: {', '.join(ENTRIES)}."
            yield Problem("template-dir", f"'{own.folder}' holds no template", hint)
        used = {each for name, tree in self._trees.items() for each in _references(name, tree)}
        names = {each.name for each in own.files}
        for name in sorted(names - used - set(ENTRIES)):
            hint = nearest_hint(name, sorted(set(ENTRIES) - names) or ENTRIES)
            yield Problem(f"template-dir '{name}'", "nothing uses this template", hint)
        for name in own.others:
            if meant := nearest(name, ENTRIES, cutoff=0.8):
                hint = f"Did you mean {meant}?"
                yield Problem(f"template-dir '{name}'", "is not the name of a template", hint)

    def _line(self, name: str) -> list[str]:
        """The template and those that it extends, directly or not."""
        line: list[str] = []
        while name in self._trees and name not in line:
            line.append(name)
            extends = next(iter(self._trees[name].find_all(nodes.Extends)), None)
            name = _resolved(extends, name) if extends else ""
        return line


def _outside(body: Iterable[nodes.Node], *kinds: type[Found]) -> Iterator[Found]:
    """Nodes of some kinds in a template itself, or in its conditions and loops."""
    for child in body:
        if isinstance(child, kinds):
            yield child
        elif isinstance(child, nodes.If | nodes.For | nodes.With | nodes.Scope):
            yield from _outside(child.iter_child_nodes(), *kinds)


def _undeclared(tree: nodes.Template, environment: Sandbox) -> set[str]:
    """As `meta.find_undeclared_variables`, but without working out constants."""
    finder = meta.TrackingCodeGenerator(environment)
    finder.optimizer = None
    try:
        finder.visit(tree)
    except TemplateSyntaxError:
        # Compiling finds the same, and reports it.
        return set()
    return finder.undeclared_identifiers


def _target(node: Any) -> str | None:
    """The template that a node names; None where the name is an expression."""
    template = node.template
    is_text = isinstance(template, nodes.Const) and isinstance(template.value, str)
    return template.value if is_text else None


def _resolved(node: nodes.Node, name: str) -> str:
    """The full name of the template that a node of another one names; empty for None."""
    target = _target(node) or ""
    return f"{BUILT_IN}{target}" if target and name.startswith(BUILT_IN) else target


def _references(name: str, tree: nodes.Template) -> set[str]:
    return {_resolved(node, name) for node in tree.find_all(_References)} - {""}


def _imported(node: nodes.FromImport) -> Iterator[str]:
    """Names that an import defines."""
    yield from (each[1] if isinstance(each, tuple) else each for each in node.names)


def _made(tree: nodes.Template) -> set[str]:
    """Every name that another template may import."""
    values = {each.name for each in tree.find_all(nodes.Name) if each.ctx == "store"}
    return values | {each.name for each in tree.find_all(nodes.Macro)}


def _exports(tree: nodes.Template) -> Iterator[str]:
    """Names visible in a template's blocks, and in those of the templates that extend it."""
    for node in tree.body:
        match node:
            case nodes.FromImport():
                yield from _imported(node)
            case nodes.Import():
                yield node.target
            case nodes.Macro():
                yield node.name
            case nodes.Assign() | nodes.AssignBlock():
                yield from (each.name for each in node.target.find_all(nodes.Name))
                if isinstance(node.target, nodes.Name):
                    yield node.target.name


def _misspelt(name: str, tree: nodes.Template, hints: Mapping[str, Any]) -> Iterator[Problem]:
    """Attributes that a record does not have.

    Args:
        hints: Type of each name of the context.
    """
    made = Counter(each.name for each in tree.find_all(nodes.Name) if each.ctx != "load")
    made.update(each.target for each in tree.find_all(nodes.Import))
    made.update(each.name for each in tree.find_all(nodes.Macro))
    made.update(each for node in tree.find_all(nodes.FromImport) for each in _imported(node))
    known = {each: hint for each, hint in hints.items() if each not in made}
    for loop in tree.find_all(nodes.For):
        target = loop.target
        if isinstance(target, nodes.Name) and made[target.name] == 1 and target.name not in hints:
            known[target.name] = _member(_type(loop.iter, known))
    for node in tree.find_all(nodes.Getattr):
        owner = _type(node.node, known)
        names = public(owner) if isinstance(owner, type) else ()
        if names and node.attr not in names and not node.attr.startswith("_"):
            why = f"a {owner.__name__} has no '{node.attr}'"
            yield problem(name, node.lineno, with_nearest(why, node.attr, names))


def _type(node: nodes.Node, known: Mapping[str, Any]) -> Any:
    """The only type that a value has apart from None; None where it is not certain."""
    found: Any = None
    if isinstance(node, nodes.Name):
        found = known.get(node.name)
    elif isinstance(node, nodes.Getattr):
        found = _part(_type(node.node, known), node.attr)
    elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        found = _member(_type(node.node, known))
    if get_origin(found) in (Union, types.UnionType):
        several = [each for each in get_args(found) if each is not type(None)]
        found = several[0] if len(several) == 1 else None
    return found


def _part(owner: Any, name: str) -> Any:
    if not isinstance(owner, type):
        return None
    derived = vars(owner).get(name)
    if isinstance(derived, property) and derived.fget:
        return get_type_hints(derived.fget).get("return")
    return get_type_hints(owner).get(name)


def _member(several: Any) -> Any:
    """The type of a list's items; None where it is not certain."""
    arguments = get_args(several)
    is_list = get_origin(several) is tuple and len(arguments) == 2 and arguments[1] is Ellipsis
    return arguments[0] if is_list else None
