"""Recipes that pad or crop: what is scored, by hand; bundles agree; other recipes are what they were."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import light_bundle
import numpy as np
import pytest
import small_runs
import yaml
from builders import data_set, fit_command, fitted, run_command, said, segad
from PIL import Image

from segad_core.bundle.runtime.bundle import Bundle
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe

SPLIT = {"seeds": [0], "test": {"good": 3, "bad": 2}, "detectors": {"good": 3}}
ROWS = [
    {"name": "A", "score": "spotty"},
    {"name": "SegAD", "detectors": ["spotty"], "image_features": ["max"], "features": ["mean"]},
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images of 24 x 48: the brightness of a bad one is highest at its left edge, which a crop cuts off."""
    light_bundle.install(monkeypatch)
    data_set(tmp_path / "data", good=8, bad=5)
    for path in sorted((tmp_path / "data").rglob("*.png")):
        rng = np.random.default_rng([int(path.stem), path.parent.name == "bad"])
        pixels = np.repeat(rng.integers(10, 60, (24, 48, 1), np.uint8), 3, axis=2)
        if path.parent.name == "bad":
            pixels[:, :4] = 100 + int(path.stem)
        Image.fromarray(pixels).save(path)
    mask = np.zeros((24, 48), np.uint8)
    mask[:, 24:] = 1
    Image.fromarray(mask).save(tmp_path / "mask.png")
    return tmp_path


def write(home: Path, **image: Any) -> Path:
    drawn = {"use": "static_mask", "params": {"mask": "mask.png", "segments": ["left", "right"]}}
    return small_runs.write(home, image=image, split=SPLIT, rows=ROWS, segmenter=drawn, final="logistic")


def scores(home: Path, row: str) -> dict[str, float]:
    with (home / "runs" / "tiny" / "latest" / "scores.csv").open() as file:
        return {line["image"]: float(line["score"]) for line in csv.DictReader(file) if line["row"] == row}


def pixels(home: Path, image: str) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(home / "data" / "a" / image))[..., 0]


def test_padding_counts_in_no_score(home: Path) -> None:
    """Padding is grey of 128, which is brighter than all the images: it would be the maximum."""
    result = run_command(write(home, size=[48, 48], fit="pad"))
    assert result.exit_code == 0, said(result)
    found = scores(home, "A")
    assert len(found) == 5
    assert found == {image: pixels(home, image).max() for image in found}


def test_a_crop_does_not_see_what_it_cuts_off(home: Path) -> None:
    result = run_command(write(home, size=[24, 24], fit="crop"))
    assert result.exit_code == 0, said(result)
    found = scores(home, "A")
    assert found == {image: pixels(home, image)[:, 12:36].max() for image in found}
    assert "cut off by image.fit crop, those of 48 x 24 pixels (width x height) by 50%" in result.output


@pytest.mark.parametrize(("fit", "size"), [("pad", [48, 48]), ("crop", [24, 40])])
def test_a_bundle_brings_images_to_size_as_the_run_did(home: Path, fit: str, size: list[int]) -> None:
    recipe = write(home, size=size, fit=fit)
    assert run_command(recipe).exit_code == 0
    fitted(recipe)
    expected = scores(home, "SegAD")
    with Bundle.load(home / "b", "cpu") as bundle:
        found = list(bundle.inspect([home / "data" / "a" / image for image in expected]))
        assert bundle.manifest.pipeline.fit == fit
    assert [one.prediction.score for one in found] == list(expected.values())
    (one, *_) = found
    assert one.pixels is not None and one.segments is not None and one.features is not None
    image = pixels(home, next(iter(expected))).astype(np.float64)
    if fit == "pad":
        assert (one.pixels[:12] == 128).all() and (one.segments[:12] == 255).all()
        assert one.segments[24, 23] == 0 and one.segments[24, 24] == 1
        assert one.maps["spotty"].max() == image.max()  # no heat in the padding
    else:
        image = image[:, 4:44]
    half = image.shape[1] // 2
    assert one.features.tolist()[:2] == pytest.approx([image[:, :half].mean(), image[:, half:].mean()])
    assert segad("bundle", "verify", home / "b").exit_code == 0


def test_images_of_several_shapes_in_one_batch(home: Path) -> None:
    """As high as wide, and half as high: both are padded as they need, and their masks lie on them."""
    for i, path in enumerate(sorted((home / "data").rglob("*.png"))):
        if i % 2:
            Image.open(path).resize((48, 36)).save(path)
    recipe = write(home, size=[48, 48], fit="pad")
    text = yaml.safe_load(recipe.read_text())
    text["segmenter"] = "whole_image"
    recipe.write_text(yaml.safe_dump(text))
    result = fit_command(recipe)
    assert result.exit_code == 0, said(result)
    assert "of another shape than" in result.output or "shapes, from" in result.output
    paths = sorted((home / "data" / "a" / "good").iterdir())[:4]
    with Bundle.load(home / "b", "cpu") as bundle:
        found = list(bundle.inspect(paths))
        (turned,) = bundle.predict([np.full((48, 24, 3), 30, np.uint8)])
    heights = [(one.segments == 0).any(axis=1).sum() for one in found]
    assert heights == [Image.open(path).height for path in paths] and len(set(heights)) == 2
    means = [float(np.asarray(Image.open(path), np.float64)[..., 0].mean()) for path in paths]
    assert [one.features[0] for one in found] == pytest.approx(means)  # type: ignore[index]
    assert turned.verdict == "UNKNOWN" and "another shape" in turned.reason


def test_overlays_are_drawn(home: Path) -> None:
    recipe = write(home, size=[48, 48], fit="pad")
    fitted(recipe)
    image = home / "data" / "a" / "bad" / "001.png"
    result = segad("predict", home / "b", image, "--overlays", home / "pictures", "--device", "cpu")
    assert result.exit_code == 0, said(result)
    (picture,) = (home / "pictures").rglob("*.jpg")
    assert Image.open(picture).width > 2 * 384


def test_a_mask_that_was_drawn_at_the_size_of_the_frame_is_refused(home: Path) -> None:
    Image.fromarray(np.eye(48, dtype=np.uint8)).save(home / "mask.png")
    result = segad("check", write(home, size=[48, 48], fit="pad"), "--store", home / "store")
    assert result.exit_code != 0
    assert "mask.png" in result.output and "whole image as it is on disk" in result.output
    assert segad("check", write(home, size=[48, 48]), "--store", home / "store").exit_code == 0


def test_the_default_changes_no_key_and_no_resolved_recipe(home: Path) -> None:
    plain, asked = write(home, size=[48, 48]), home / "asked.yaml"
    keys = [t.cells[0].key for t in small_runs.prepared(plain).plans[0].tasks]
    asked.write_text(plain.read_text().replace("image:\n", "image:\n  fit: stretch\n"))
    assert "fit: stretch" in asked.read_text()
    assert [t.cells[0].key for t in small_runs.prepared(asked).plans[0].tasks] == keys
    resolved = yaml.safe_load(load_recipe(str(asked), Registry()).resolved())
    assert resolved["image"] == {"size": [48, 48], "resize": "pil_bilinear", "white": 65535}
    padded = write(home, size=[48, 48], fit="pad")
    others = [t.cells[0].key for t in small_runs.prepared(padded).plans[0].tasks]
    assert not set(others) & set(keys)
    assert yaml.safe_load(load_recipe(str(padded), Registry()).resolved())["image"]["fit"] == "pad"
