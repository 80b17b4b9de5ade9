"""A parsed template -> the same, with a call of the environment wherever something has no bound."""

from typing import Any

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from chainloop_smtp.message.meter import CHARGE

_INCLUDED = 5_000  # steps for including one of ours, whose own text is not charged for


def measure(tree: nodes.Template, *, is_markup: bool) -> None:
    """Changes a template so that the sandbox's ``tick``, ``weighed`` and so on see it."""
    _Measuring(is_markup).visit(tree)


class _Measuring(NodeTransformer):
    def __init__(self, is_markup: bool) -> None:
        self._is_markup = is_markup

    def visit_Template(self, node: nodes.Template) -> nodes.Node:  # noqa: N802
        return self._ticking(node)

    visit_Block = visit_For = visit_Macro = visit_CallBlock = visit_Template  # noqa: N815

    def visit_Include(self, node: nodes.Include) -> list[nodes.Node]:  # noqa: N802
        return [_tick(_INCLUDED, node), node]

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _call("concatenated", [nodes.Const(self._is_markup), *node.nodes], node)

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.expr = _call("weighed", [node.expr], node)
        for operand in node.ops:
            operand.expr = _call("weighed", [operand.expr], node)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            node.node = _call("weighed", [node.node], node)
        return node

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _call("weighed", [node], node) if node.ctx == "load" else node

    def visit_List(self, node: nodes.List) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _call("weighed", [node], node)

    visit_Dict = visit_List  # noqa: N815

    def _ticking(self, node: Any) -> nodes.Node:
        """A body that costs what it is long each time."""
        length = sum(len(each.data) for each in node.find_all(nodes.TemplateData))
        self.generic_visit(node)
        node.body.insert(0, _tick(1 + length // CHARGE, node))
        return node  # type: ignore[no-any-return]  # one of four kinds that have a body


def _tick(steps: int, node: nodes.Node) -> nodes.Node:
    call = _call("tick", [nodes.Const(steps)], node)
    return nodes.ExprStmt(call, lineno=node.lineno)


def _call(name: str, arguments: list[Any], node: nodes.Node) -> nodes.Call:
    function = nodes.EnvironmentAttribute(name, lineno=node.lineno)
    return nodes.Call(function, arguments, [], None, None, lineno=node.lineno)
