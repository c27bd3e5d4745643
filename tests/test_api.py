"""The public API: what it lists, and that examples and documentation import nothing else from segad."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import segad_core.api as api

ROOT = Path(__file__).parents[1]
PUBLIC = {"segad_core", "segad_core.api", "segad_core.testing"}
"""`segad_core` itself has `Bundle`, for those who use segad from Python."""

EXAMPLE = sorted(p for p in (ROOT / "plugins").glob("segad-*/**/*.py") if "build" not in p.parts)
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "plugins").glob("*/README.md")])
ZOO = sorted((ROOT / "tests" / "plugin_zoo").glob("*.py"))

_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def imported(source: str) -> set[str]:
    """The modules of segad_core that a source imports."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name for name in names if name.partition(".")[0] == "segad_core"}


def strings(source: str) -> Iterator[str]:
    """The strings of a source that may be Python themselves: modules that a test writes."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "import" in node.value:
            yield node.value


def test_the_docstring_names_all_that_is_public() -> None:
    named = set(re.findall(r"`(\w+)`", api.__doc__ or "")) - {"segad_core", "DeprecationWarning"}
    assert named == set(api.__all__)


def test_the_list_is_all_that_the_module_has() -> None:
    assert {name for name in vars(api) if not name.startswith("_")} == set(api.__all__)


@pytest.mark.parametrize("name", api.__all__)
def test_what_is_public_has_a_docstring(name: str) -> None:
    value = getattr(api, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert inspect.getdoc(value)
        assert not (value.__doc__ or "").startswith(f"{name}(")  # a dataclass without one gets its signature


@pytest.mark.parametrize("path", EXAMPLE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_distributions_import_nothing_else(path: Path) -> None:
    assert imported(path.read_text()) <= PUBLIC


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_documentation_imports_nothing_else(path: Path) -> None:
    for block in _BLOCK.findall(path.read_text()):
        assert imported(block) <= PUBLIC


@pytest.mark.parametrize("path", ZOO, ids=lambda path: path.name)
def test_plugins_of_the_zoo_import_nothing_else(path: Path) -> None:
    for source in strings(path.read_text()):
        for line in re.findall(r"^\s*(?:from|import) (segad_core[\w.]*)", source, re.MULTILINE):
            assert line in PUBLIC


def test_examples_are_found() -> None:
    (page,) = (path for path in PAGES if path.match("plugins/detectors.md"))
    assert EXAMPLE and _BLOCK.findall(page.read_text())
