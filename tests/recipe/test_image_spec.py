"""How a recipe says that images are read."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import write_recipe

from segad_core.base.decoding import Decoding
from segad_core.errors import RecipeError
from segad_core.plugins.registry import Registry
from segad_core.recipe import Recipe, load_recipe


def loaded(folder: Path, image: str) -> Recipe:
    (folder / "data").mkdir(exist_ok=True)
    path = write_recipe(folder, ("image: {size: [48, 48]}", f"image: {{size: [48, 48]{image}}}"))
    return load_recipe(str(path), Registry())


@pytest.mark.parametrize(
    ("image", "decoding"),
    [
        ("", Decoding()),
        (", white: 4095", Decoding(4095)),
        (", window: [100, 200]", Decoding(window=(100, 200))),
        (", window: [0, 65535], white: 65535", Decoding(window=(0, 65535))),
        (", bayer: GBRG, page: 3", Decoding(bayer="GBRG", page=3)),
    ],
)
def test_what_a_recipe_says(tmp_path: Path, image: str, decoding: Decoding) -> None:
    recipe = loaded(tmp_path, image)
    assert recipe.skeleton.image.decoding() == decoding
    (tmp_path / "again.yaml").write_text(recipe.resolved())
    assert load_recipe(str(tmp_path / "again.yaml"), Registry()).skeleton.image.decoding() == decoding
    assert ("window" in recipe.resolved()) == ("window" in image)


@pytest.mark.parametrize(
    ("image", "fact"),
    [
        (", window: [200, 100]", "the lower one first"),
        (", window: [200, 200]", "the lower one first"),
        (", window: [0, 70000]", "image.window"),
        (", window: [0, 100], white: 1023", "'white' does not apply"),
        (", bayer: RGB", "image.bayer"),
        (", page: 0", "image.page"),
    ],
)
def test_what_it_cannot_say(tmp_path: Path, image: str, fact: str) -> None:
    with pytest.raises(RecipeError, match=r"tiny\.yaml:4: image") as caught:
        loaded(tmp_path, image)
    assert fact in str(caught.value)
