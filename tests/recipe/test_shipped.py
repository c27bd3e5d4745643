"""What is shipped: recipes that are sound, and masks that come out of their script."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segad_core.recipe import load_recipe
from segad_core.recipe.resolve import shipped_recipes
from segad_core.registry import Registry

_ROOT = Path(__file__).parents[2]


PAPER = [
    *("mvtec_allad", "vad_ablation", "vad_highshot", "vad_lowshot", "vad_oneclass"),
    *("visa_allad", "visa_baselines", "visa_precomputed"),
]
"""Recipes that need data from elsewhere: test_vad_recipes.py and its neighbours run them on small trees."""


def test_every_shipped_recipe_is_tried_somewhere() -> None:
    assert [name for name in shipped_recipes() if not name.startswith("elpv")] == PAPER


@pytest.mark.parametrize("name", sorted(set(shipped_recipes()) - set(PAPER)))
def test_shipped_recipes_resolve_by_name(name: str) -> None:
    recipe = load_recipe(name, Registry(third_parties=False))
    dataset, categories = recipe.open_dataset()
    assert categories
    assert all(dataset.samples(category) for category in categories)


def test_the_masks_are_those_of_their_script_and_the_names_those_of_the_recipe(tmp_path: Path) -> None:
    script = runpy.run_path(str(_ROOT / "recipes" / "masks" / "make_elpv_masks.py"))
    script["main"](tmp_path)
    recipe = load_recipe("elpv", Registry(third_parties=False))
    segmenter = next(row.segmenter for row in recipe.rows if row.name == "PatchCore + SegAD")
    assert segmenter is not None
    for category, names in script["SEGMENTS"].items():
        made = Image.open(tmp_path / f"elpv_{category}.png")
        shipped = Image.open(_ROOT / "recipes" / "masks" / f"elpv_{category}.png")
        np.testing.assert_array_equal(np.asarray(made), np.asarray(shipped))
        assert made.getpalette() == shipped.getpalette()
        assert tuple(segmenter.build(category).segments()) == names
