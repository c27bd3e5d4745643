"""The examples in the docstrings of the contracts."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path
from typing import Any

import segad_core.contracts

FOLDER = Path(segad_core.contracts.__file__).parent


def source_of(module: str) -> str:
    """The indented code in the docstring of a module of `segad_core.contracts`; empty if there is none."""
    lines = (ast.get_docstring(ast.parse((FOLDER / f"{module}.py").read_text())) or "").splitlines()
    return textwrap.dedent("\n".join(line for line in lines if not line or line.startswith("    "))).strip()


def example_of(module: str) -> dict[str, Any]:
    """What the example of a module defines, by name."""
    names: dict[str, Any] = {"__name__": f"example_of_{module}"}
    exec(compile(source_of(module), f"<example of {module}>", "exec", dont_inherit=True), names)
    return names
