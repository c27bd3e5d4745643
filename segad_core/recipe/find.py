"""The file that a recipe's path or shipped name refers to."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

from segad_core.base.files import is_file, is_folder
from segad_core.errors import RecipeError
from segad_core.plugins.registry import suggest


def shipped_recipes() -> list[str]:
    """The names of the recipes that come with segad."""
    folder = importlib.resources.files("segad_recipes")
    return sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml"))


def locate(recipe: str) -> Path:
    """The file of a recipe, given by its path or its shipped name.

    Raises:
        RecipeError: there is neither a file nor a shipped recipe of that name.
    """
    path = Path(recipe)
    if is_file(path):
        return path
    if is_folder(path):
        raise RecipeError(f"'{recipe}' is a folder, not a recipe", "Give a YAML file in it.")
    if recipe in shipped_recipes():
        return Path(str(importlib.resources.files("segad_recipes") / f"{recipe}.yaml"))
    raise RecipeError(
        f"no recipe file '{recipe}', and no shipped recipe of that name"
        f"{suggest(Path(recipe).stem, shipped_recipes())}"
    )
