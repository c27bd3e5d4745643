"""How a recipe says that images are read."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import write_recipe

from segad_core.base.decoding import Decoding
from segad_core.contracts import Tiling
from segad_core.errors import RecipeError
from segad_core.plugins.registry import Registry
from segad_core.recipe import Recipe, load_recipe
from segad_core.recipe.tiles_spec import TilesSpec


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


@pytest.mark.parametrize(
    ("size", "overlap", "pixels"),
    [
        ((256, 256), 0.5, 128),
        ((320, 320), 0.5, 160),
        ((384, 384), 0.416, 160),
        ((512, 512), 0.312, 160),
        ((512, 1024), 0.312, 160),
        ((1000, 1000), 0.16, 168),  # tiles begin at multiples of 32
        ((2048, 2048), 0.1, 224),
        ((32, 4096), 0.5, 16),
    ],
)
def test_tiles_overlap_by_160_pixels_where_their_size_allows_it(
    size: tuple[int, int], overlap: float, pixels: int
) -> None:
    spec = TilesSpec(size=size)
    assert spec.overlap == overlap and spec.model_dump()["overlap"] == overlap
    (first, second, *_), _ = Tiling((4 * size[0], size[1]), spec.plain(), 1).starts()
    assert first + size[0] - second == pixels


def test_an_overlap_that_is_given_stays(tmp_path: Path) -> None:
    recipe = loaded(tmp_path, ", tiles: {size: [32, 32], overlap: 0.375}")
    assert "overlap: 0.375" in recipe.resolved()
    without = loaded(tmp_path, ", tiles: {size: [32, 32]}")
    assert "overlap: 0.5" in without.resolved()


@pytest.mark.parametrize("tiles", ["{size: [32]}", "{size: [1, 1]}", "{}", "{size: [32, 32], overlap: 0.6}"])
def test_tiles_that_are_wrong_are_told_once(tmp_path: Path, tiles: str) -> None:
    with pytest.raises(RecipeError, match=r"image\.tiles") as caught:
        loaded(tmp_path, f", tiles: {tiles}")
    assert ("overlap" in str(caught.value)) == ("overlap" in tiles)


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("image.size=128,192", "[128, 192]"),
        ("image.window=5000, 9000", "[5000, 9000]"),
        ("image.size=128", "[128, 128]"),
        ("categories=mono", "[mono]"),
    ],
)
def test_a_list_without_brackets_is_told_how_to_write_it(word: str, written: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("elpv", Registry(third_parties=False), [word])
    (problem,) = caught.value.problems
    assert problem.startswith(f"--set {word}: must be a list") and written in problem
