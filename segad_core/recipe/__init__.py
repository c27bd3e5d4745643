"""Recipes: YAML that says which plugins meet which data, checked before anything runs."""

from segad_core.recipe.choice import Choice, Recipe, Row, encoder_identity
from segad_core.recipe.resolve import load_recipe

__all__ = ["Choice", "Recipe", "Row", "encoder_identity", "load_recipe"]
