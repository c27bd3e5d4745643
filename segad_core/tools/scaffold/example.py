"""The example in the docstring of a contract, as the module of a new plugin."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap

from segad_core.contracts import KINDS


def example_class(kind: str) -> str:
    """The name of the class in a contract's first example."""
    classes = [node for node in ast.parse(_source(kind)).body if isinstance(node, ast.ClassDef)]
    return classes[0].name


def module_of(kind: str, name: str) -> str:
    """The source of a module that defines a plugin.

    Args:
        kind: as in the entry-point group.
        name: of the plugin, such as `median_image`; its class is called MedianImage.
    """
    source, given = _source(kind), example_class(kind)
    source = re.sub(rf"(?<!''')\b{given}\b", camel(name), source)  # a docstring may begin with the word
    source = re.sub(rf'(?<="){_snake(given)}\b', name, source)  # in messages and names of statistics
    source = source.replace("'''", '"""')
    imports, _, rest = source.partition("\n\nclass ")
    module = f'"""The plugin `{name}`."""\n\n{_sorted(imports)}\n\n\nclass {rest}\n'
    return _with_contract(module, KINDS[kind].contract)


def _with_contract(module: str, version: int) -> str:
    """A module whose class says, below its docstring, which version of its contract it is written for."""
    (cls,) = [node for node in ast.parse(module).body if isinstance(node, ast.ClassDef)]
    lines = module.splitlines(keepends=True)
    lines.insert(cls.body[0].end_lineno or 0, f"\n    contract = {version}\n")
    return "".join(lines)


def camel(name: str) -> str:
    """The name of a class for a plugin: `median_image` becomes MedianImage."""
    return "".join(part.capitalize() for part in name.split("_"))


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _sorted(imports: str) -> str:
    """The imports in the groups that linters want where segad is one library among others."""
    groups: tuple[list[str], list[str]] = ([], [])
    for line in filter(None, imports.splitlines()):
        top = line.split()[1].partition(".")[0]
        groups[top not in sys.stdlib_module_names].append(line)
    return "\n\n".join("\n".join(group) for group in groups if group)


def _source(kind: str) -> str:
    """The code of a contract's first example."""
    module = inspect.getmodule(KINDS[kind])
    found: list[str] = []
    for line in (inspect.getdoc(module) or "").splitlines():
        if line and not line.startswith(" "):
            if any("class " in one for one in found):
                break
            found = []
        else:
            found.append(line)
    return textwrap.dedent("\n".join(found)).strip()
