"""The meaning of Python source as text: what runs, without its prose and layout."""

from __future__ import annotations

import ast
from typing import Any

_SKIPPED = ("ctx", "kind", "type_comment")
"""Fields that follow from the rest of the tree (`ctx`) or change nothing (`u''`, type comments)."""

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef)


def canonical(tree: ast.Module) -> str:
    """A syntax tree as text that two sources share if they differ only in what cannot change a result.

    Left out: comments, formatting, docstrings (and every other string that stands alone), annotations of
    local variables, and annotations of the parameters and results of functions without a decorator. Kept:
    annotations in classes and modules, from which pydantic and dataclasses build fields, and those of
    decorated functions, which a decorator may read (`functools.singledispatch`).

    The text is the same in every minor version of Python that parses the source to the same tree: fields
    that are absent or empty are left out, so that optional fields of a later version (`type_params` in
    3.12) change nothing, and values are written by this module, not by `ast.dump`. The tree is used up.
    """
    return _text(_Plain().visit(tree))


class _Plain(ast.NodeTransformer):
    """Removes from a tree what cannot change a result."""

    def __init__(self) -> None:
        self._inside: list[type[ast.AST]] = []

    def generic_visit(self, node: ast.AST) -> ast.AST:
        scope = isinstance(node, (*_SCOPES, ast.ClassDef))
        if scope:
            self._inside.append(type(node))
        super().generic_visit(node)
        if scope:
            self._inside.pop()
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        """A string that stands alone, such as a docstring, does nothing."""
        prose = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return ast.Pass() if prose else self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        if not (self._inside and issubclass(self._inside[-1], _SCOPES)):
            return node
        if node.value is not None:
            return ast.Assign([node.target], node.value)
        return ast.AnnAssign(node.target, ast.Constant(None), None, node.simple)  # it still makes a local

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        if not node.decorator_list:
            node.returns = None
            given = node.args
            for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg):
                if argument is not None:
                    argument.annotation = None
        return self.generic_visit(node)


def _text(value: Any) -> str:
    """A node, a list of nodes, or a plain value; no two different ones have the same text."""
    if isinstance(value, ast.AST):
        if isinstance(value, ast.Constant):
            return f"{type(value.value).__name__} {value.value!a}"
        fields = [
            f"{name}={_text(field)}"
            for name, field in ast.iter_fields(value)
            if name not in _SKIPPED and field is not None and field != []
        ]
        return f"{type(value).__name__}({','.join(fields)})"
    if isinstance(value, list):
        kept = [item for item in value if not isinstance(item, ast.Pass)]
        return f"[{','.join(map(_text, kept))}]"
    return ascii(value)
