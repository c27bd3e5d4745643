"""Recipes: YAML that names plugins, data and rows, checked completely before anything runs.

A recipe only describes: nothing here reads images or trains.
"""

from segad_core.recipe.choice import Choice, encoder_identity
from segad_core.recipe.recipe import Recipe, Row
from segad_core.recipe.resolve import load_recipe

__all__ = ["Choice", "Recipe", "Row", "encoder_identity", "load_recipe"]
