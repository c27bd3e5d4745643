"""Recipes: YAML that says which plugins meet which data, checked before anything runs."""

from segad_core.recipe.resolve import Choice, Recipe, Row, load_recipe

__all__ = ["Choice", "Recipe", "Row", "load_recipe"]
