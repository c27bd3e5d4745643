"""What is shipped: recipes that are sound, and masks that come out of their script."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from segad_core.contracts import optional
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe
from segad_core.recipe.find import locate, shipped_recipes
from segad_plugins.classifiers.dra import DRA

_ROOT = Path(__file__).parents[2]


PAPER = [
    *("mvtec_allad", "vad_ablation", "vad_highshot", "vad_lowshot", "vad_oneclass"),
    *("visa_allad", "visa_baselines", "visa_precomputed"),
]
"""Recipes that need data from elsewhere: test_vad_recipes.py and its neighbours run them on small trees."""


def test_every_shipped_recipe_is_tried_somewhere() -> None:
    assert [name for name in shipped_recipes() if not name.startswith("elpv")] == PAPER


def _header(name: str) -> str:
    """The comment at the top of a recipe, on one line."""
    text = locate(name).read_text(encoding="utf-8").split("\nsegad: 1")[0]
    return " ".join(text.replace("#", " ").split())


@pytest.mark.parametrize("name", PAPER)
def test_the_header_states_cost_and_differences_from_the_paper(name: str) -> None:
    top, recipe = _header(name), yaml.safe_load(locate(name).read_text(encoding="utf-8"))
    assert re.search(r"Cost: .* Disk: at most [\d.]+ GiB in the store", top)
    assert re.search(r"archive of [\d.]+ GB" if name[:3] != "vad" else r"at most \d GB", top)
    detectors = recipe.get("detectors", {})
    trained = detectors.get("efficientad", {}).get("use") == "efficientad"
    left_open, _, differs = top.partition("Differences from the ")
    assert bool(differs) == bool(detectors)
    assert ("EfficientAD's" in differs) == trained
    assert ("hold-out" in differs) == (trained and name[:3] != "vad")  # section 5.4 states what the paper did
    assert "hold-out" not in left_open


@pytest.mark.parametrize("name", [name for name in PAPER if "DRA" in _header(name)])
def test_the_steps_of_dra_are_those_that_segad_check_reports(name: str) -> None:
    params = yaml.safe_load(locate(name).read_text(encoding="utf-8"))["classifiers"]["dra"]["params"]
    said = DRA(DRA.Params(**params)).estimate(2000, (256, 256), {}).work
    (steps,) = re.findall(r"([\d,]+) image-steps", said)
    assert steps in _header(name).split("DRA", 1)[1]


@pytest.mark.parametrize("name", sorted(set(shipped_recipes()) - set(PAPER)))
def test_shipped_recipes_resolve_by_name(name: str) -> None:
    recipe = load_recipe(name, Registry(third_parties=False))
    dataset, categories = recipe.open_dataset()
    assert categories
    assert all(dataset.samples(category) for category in categories)
    assert recipe.encoder is not None
    optional.check_size(recipe.encoder.build(), recipe.skeleton.image.size)


def test_elpv_dinov2_differs_from_elpv_in_its_encoder_only() -> None:
    ours, elpv = (
        yaml.safe_load(locate(name).read_text(encoding="utf-8")) for name in ("elpv_dinov2", "elpv")
    )
    assert {key for key in elpv if ours[key] != elpv[key]} == {
        *("title", "image", "encoder", "detectors", "classifiers")
    }
    assert ours.keys() == elpv.keys()


def test_recipes_for_solar_cells_agree_on_split_masks_and_features() -> None:
    names = ("elpv", "elpv_few_bad", "elpv_dinov2")
    elpv, few_bad, dinov2 = (yaml.safe_load(locate(name).read_text(encoding="utf-8")) for name in names)
    shared = ("dataset", "categories", "segmenter", "features", "image_features", "final")
    for other in (few_bad, dinov2):
        assert {key: other[key] for key in shared} == {key: elpv[key] for key in shared}
    assert dinov2["split"] == elpv["split"]
    amounts = few_bad["split"]["final"]["bad"].pop("amount")
    assert amounts[-1] == elpv["split"]["final"]["bad"].pop("amount") == "rest"
    assert few_bad["split"] == elpv["split"]
    for key in ("image", "encoder", "detectors"):
        assert few_bad[key] == elpv[key]


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
