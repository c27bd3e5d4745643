"""What a class or a module says of its attributes, in strings that stand below them.

Python drops such strings, so the source is read. They are no code, and in no key of the store.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from types import MappingProxyType, ModuleType
from typing import TypeGuard


def attribute_docs(cls: type) -> dict[str, str]:
    """What a class and its bases say of their attributes, by name; nothing where there is no source."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        found |= _own(base)
    return found


@cache
def _own(cls: type) -> MappingProxyType[str, str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):
        return MappingProxyType({})
    bodies = (node.body for node in tree.body if isinstance(node, ast.ClassDef))
    return MappingProxyType(_documented(next(bodies, [])))


def constant_doc(module: ModuleType, name: str) -> str:
    """What a module says of a constant, or the module from which it imports the constant; empty if nothing.

    Args:
        module: has the name.
        name: of the constant.
    """
    tree = ast.parse(inspect.getsource(module))
    if found := _documented(tree.body).get(name):
        return found
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and name in {one.name for one in node.names}:
            source = sys.modules.get(node.module)
            return constant_doc(source, name) if source else ""
    return ""


def _documented(body: Sequence[ast.stmt]) -> dict[str, str]:
    found: dict[str, str] = {}
    for assigned, below in pairwise(body):
        targets = assigned.targets if isinstance(assigned, ast.Assign) else []
        if isinstance(assigned, ast.AnnAssign):
            targets = [assigned.target]
        text = ast.literal_eval(below.value) if _is_text(below) else ""
        found |= {one.id: inspect.cleandoc(text) for one in targets if text and isinstance(one, ast.Name)}
    return found


def _is_text(node: ast.stmt) -> TypeGuard[ast.Expr]:
    """Whether a statement is a string that stands alone."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
