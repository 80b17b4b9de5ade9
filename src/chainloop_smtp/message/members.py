"""A template -> the parts of facts that it asks for and that are not there, in any branch.

Types are followed from the names of the context through records and loops; where a type is not
known for sure, nothing is said, and rendering will tell.
"""

import types
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Union, get_args, get_origin, get_type_hints

from jinja2 import nodes

from chainloop_smtp.errors import Problem
from chainloop_smtp.message.sandbox import nearest, problem, public


def misspelt(name: str, tree: nodes.Template, hints: Mapping[str, Any]) -> Iterator[Problem]:
    """What is asked of a record that has no such part.

    Args:
        name: Of the template.
        hints: Type of each name of the context.
    """
    made = Counter(node.name for node in tree.find_all(nodes.Name) if node.ctx != "load")
    made.update(_imported(tree))
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
            yield problem(name, node.lineno, f"{why}\n{nearest(node.attr, names)}")


def _imported(tree: nodes.Template) -> Iterator[str]:
    for each in tree.find_all((nodes.Import, nodes.FromImport, nodes.Macro)):
        if isinstance(each, nodes.FromImport):
            yield from (name[1] if isinstance(name, tuple) else name for name in each.names)
        else:
            yield each.target if isinstance(each, nodes.Import) else vars(each)["name"]


def _type(node: nodes.Node, known: Mapping[str, Any]) -> Any:
    """The one type that a value has where it is not None; None where it is not known."""
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
    """The type of what a list of one type holds."""
    arguments = get_args(several)
    is_list = get_origin(several) is tuple and len(arguments) == 2 and arguments[1] is Ellipsis
    return arguments[0] if is_list else None
