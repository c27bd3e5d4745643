"""The house as the docs draw it: one direction of imports, small files, a picture that is true."""

from __future__ import annotations

import ast
import runpy
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DRAW = runpy.run_path(str(ROOT / "docs" / "pictures" / "draw_rooms.py"))
FILES = sorted((ROOT / "segad_core").rglob("*.py"))
MOST_LINES = 300


def test_the_picture_shows_the_imports_of_now() -> None:
    """After a change: `python docs/pictures/draw_rooms.py`."""
    assert DRAW["svg"](ROOT) == DRAW["PICTURE"].read_text(encoding="utf-8")


def test_the_distribution_holds_every_package() -> None:
    """Packages are listed by name, and an editable installation does not notice one that is missing."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    found = {"segad_recipes"}
    for top, base in (("segad_core", ROOT), ("segad_plugins", ROOT / "plugins")):
        for path in (base / top).rglob("*.py"):
            found.add(".".join(path.parent.relative_to(base).parts))
    assert set(told["packages"]) == found


def test_a_circle_of_imports_is_an_error() -> None:
    imports = {"a": frozenset({"b"}), "b": frozenset({"c"}), "c": frozenset({"b"})}
    with pytest.raises(ValueError, match="b -> c -> b"):
        DRAW["floors"](imports)


def test_arrows_that_others_imply_are_left_out() -> None:
    imports = {"a": frozenset("bc"), "b": frozenset("c"), "c": frozenset()}
    assert DRAW["arrows"](imports) == [("a", "b"), ("b", "c")]
    assert DRAW["floors"](imports) == {"a": 2, "b": 1, "c": 0}


def test_every_room_says_what_it_is_for() -> None:
    """The page on architecture and its picture rest on that."""
    for room in DRAW["rooms"](ROOT):
        assert len(DRAW["purpose"](room, ROOT)) > 20, room


def test_no_module_lies_loose_beside_the_rooms() -> None:
    assert {path.name for path in (ROOT / "segad_core").glob("*.py")} == {
        "__init__.py",
        "api.py",
        "errors.py",
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_of_the_core_are_small_and_know_no_learning_library(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    imported = {
        name.partition(".")[0]
        for node in ast.walk(ast.parse(text))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert not imported & {
        "torch",
        "torchvision",
        "timm",
        "xgboost",
        "numba",
        "segment_anything",
        "segad_plugins",
    }
