"""Recipes with tiles: what is trained on, what is scored, by hand; bundles say the same."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import fakes
import light_bundle
import numpy as np
import pytest
import small_runs
import yaml
from builders import data_set, fitted, run_command, said, segad
from numpy.typing import NDArray
from PIL import Image

from segad_core.bundle.runtime.bundle import Bundle
from segad_core.contracts import (
    Detector,
    ImageBatch,
    ImageSet,
    Run,
    Tiles,
    Tiling,
    VectorClassifier,
    Vectors,
)
from segad_core.plugins.registry import Registry
from segad_core.recipe import load_recipe
from segad_core.run.tile_costs import overlap_in_words

SPLIT = {"seeds": [0], "test": {"good": 3, "bad": 2}, "detectors": {"good": 3}}
ROWS = [
    {"name": "A", "score": "watcher"},
    {"name": "SegAD", "detectors": ["watcher"], "image_features": ["max"], "features": ["mean"]},
]
TILES = {"size": [32, 32], "overlap": 0.25}


class Watcher(Detector):
    """Maps of brightness; notes what it is shown."""

    fitted: ClassVar[list[tuple[Any, ...]]] = []
    scored: ClassVar[list[tuple[Any, ...]]] = []

    def fit(self, images: ImageSet, run: Run) -> None:
        groups = None if run.groups is None else run.groups.tolist()
        tiles = [tile for batch in images.batches() for tile in batch.tiles or ()]
        self.fitted.append((images.pixels().shape, tiles, groups, [s.id for s in images.samples]))

    def anomaly_maps(self, batch: ImageBatch) -> NDArray[np.float32]:
        self.scored.append((batch.pixels.shape, batch.tiles))
        return batch.pixels[..., 0].astype(np.float32)

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        return {"nothing": np.zeros(1)}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        pass


class Means(VectorClassifier):
    """The mean brightness of what it sees; a score is the sum of its vector."""

    def vectors(self, batch: ImageBatch) -> Vectors:
        return {"mean": batch.pixels[..., 0].mean(axis=(1, 2)).astype(np.float32)[:, None]}

    def learn(self, vectors: Vectors, labels: NDArray[np.int64], run: Run) -> None:
        pass

    def judge(self, vectors: Vectors) -> NDArray[np.float64]:
        return vectors["mean"].sum(axis=1).astype(np.float64)

    def state(self) -> Mapping[str, NDArray[np.generic]]:
        return {"nothing": np.zeros(1)}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        pass


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images of 48 x 80 whose brightness differs from pixel to pixel."""
    monkeypatch.setattr(fakes, "Watcher", Watcher, raising=False)
    monkeypatch.setattr(fakes, "Means", Means, raising=False)
    kinds = {"detectors": [*fakes.PLUGINS["detectors"], "Watcher"], "classifiers": ["Means"]}
    monkeypatch.setattr(fakes, "PLUGINS", {**fakes.PLUGINS, **kinds})
    light_bundle.install(monkeypatch)
    Watcher.fitted.clear()
    Watcher.scored.clear()
    data_set(tmp_path / "data", good=8, bad=5)
    for path in sorted((tmp_path / "data").rglob("*.png")):
        rng = np.random.default_rng([int(path.stem), path.parent.name == "bad"])
        pixels = np.repeat(rng.integers(10, 250, (48, 80, 1), np.uint8), 3, axis=2)
        Image.fromarray(pixels).save(path)
    mask = np.zeros((48, 80), np.uint8)
    mask[:, 40:] = 1
    Image.fromarray(mask).save(tmp_path / "mask.png")
    return tmp_path


def write(home: Path, tiles: Any = TILES, **changes: Any) -> Path:
    drawn = {"use": "static_mask", "params": {"mask": "mask.png", "segments": ["left", "right"]}}
    plain = {
        "image": {"size": [48, 80], **({"tiles": tiles} if tiles else {})},
        "split": SPLIT,
        "rows": ROWS,
        "segmenter": drawn,
        "detectors": {"watcher": "watcher"},
    }
    return small_runs.write(home, **{**plain, **changes})


def scores(home: Path, row: str) -> dict[str, float]:
    with (home / "runs" / "tiny" / "latest" / "scores.csv").open() as file:
        return {line["image"]: float(line["score"]) for line in csv.DictReader(file) if line["row"] == row}


def pixels(home: Path, image: str) -> NDArray[np.uint8]:
    return np.asarray(Image.open(home / "data" / "a" / image))[..., 0]


def test_detectors_train_on_tiles_and_know_where_they_lie(home: Path) -> None:
    result = run_command(write(home))
    assert result.exit_code == 0, said(result)
    ((shape, tiles, groups, names),) = Watcher.fitted
    # rows begin at 0 and 16, columns at 0, 24 and 48; three images
    assert shape == (18, 32, 32, 3)
    places = [(tile.number, tile.top, tile.left, tile.image) for tile in tiles]
    own = [(0, 0, 0), (1, 0, 24), (2, 0, 48), (3, 16, 0), (4, 16, 24), (5, 16, 48)]
    assert places == [(*place, (48, 80)) for place in own] * 3
    assert groups == [0] * 6 + [1] * 6 + [2] * 6
    assert names[1].endswith(".png (tile 2)") and len(set(names)) == 18


def test_scores_are_those_of_the_whole_image(home: Path) -> None:
    """Brightness knows no neighbours: blended tiles are the image, in maxima and in means of segments."""
    assert run_command(write(home)).exit_code == 0
    assert {shape for shape, _ in Watcher.scored} == {(4, 32, 32, 3), (2, 32, 32, 3)}  # batches of 4 tiles
    tiled, alone = scores(home, "SegAD"), scores(home, "A")
    assert alone == pytest.approx({image: float(pixels(home, image).max()) for image in alone}, rel=1e-6)
    assert run_command(write(home, tiles=None)).exit_code == 0
    assert scores(home, "SegAD") == pytest.approx(tiled, rel=1e-5)


def test_few_tiles_to_train_on_come_from_all_images(home: Path) -> None:
    assert run_command(write(home, tiles={**TILES, "train": 4})).exit_code == 0
    ((shape, tiles, groups, _),) = Watcher.fitted
    assert shape == (4, 32, 32, 3) and len(tiles) == 4
    assert groups == sorted(groups) and set(groups) == {0, 1, 2}


@pytest.mark.parametrize("fit", ["stretch", "pad"])
def test_a_bundle_divides_images_as_the_run_did(home: Path, fit: str) -> None:
    image = {"size": [96, 96], "fit": fit, "tiles": TILES}
    recipe = write(home, image=image)
    assert run_command(recipe).exit_code == 0
    fitted(recipe)
    expected = scores(home, "SegAD")
    with Bundle.load(home / "b", "cpu") as bundle:
        found = list(bundle.inspect([home / "data" / "a" / name for name in expected]))
        assert bundle.manifest.pipeline.tiles is not None
    assert [one.prediction.score for one in found] == list(expected.values())
    assert found[0].maps["watcher"].shape == (96, 96)
    shown = said(segad("bundle", "show", home / "b"))
    assert "4 x 4 of 32 x 32 pixels" in shown
    assert f"96 x 96 pixels (width x height){', padded' * (fit == 'pad')}, batches of 4" in shown
    assert segad("bundle", "verify", home / "b").exit_code == 0
    if fit == "pad":  # 96 x 160 in 96 x 96 is 58 rows high: tiles that show padding alone are left out
        assert (found[0].segments == 255).sum() == 96 * (96 - 58)  # type: ignore[union-attr]
        assert found[0].maps["watcher"].max() <= 250


def test_vectors_of_tiles_are_pooled(home: Path) -> None:
    rows = [{"name": "C", "score": "means"}]
    recipe = write(home, rows=rows, classifiers={"means": {"use": "means"}}, detectors={})
    result = run_command(recipe)
    assert result.exit_code == 0, said(result)
    for image, score in scores(home, "C").items():
        shown = pixels(home, image)
        means = [shown[top : top + 32, left : left + 32].mean() for top in (0, 16) for left in (0, 24, 48)]
        assert score == pytest.approx(np.mean(means) + np.max(means), rel=1e-5)


def test_a_bundle_with_tiles_can_be_taught(home: Path) -> None:
    """The vectors that it keeps are pooled over tiles, and so are those of the lesson."""
    own = {"name": "C", "score": "means"}
    recipe = write(home, rows=[own], classifiers={"means": {"use": "means"}}, detectors={})
    fitted(recipe, "C")
    fresh = np.random.default_rng(99).integers(10, 250, (48, 80, 1), np.uint8)
    Image.fromarray(np.repeat(fresh, 3, axis=2)).save(home / "new.png")
    result = segad("learn", home / "b", "--bad", home / "new.png", "-o", home / "taught", "--device", "cpu")
    assert result.exit_code in (0, 4), said(result)
    with Bundle.load(home / "b", "cpu") as bundle, Bundle.load(home / "taught", "cpu") as taught:
        before, after = (one.predict([home / "new.png"])[0].score for one in (bundle, taught))
    assert before is not None and after == before  # what is learnt changes nothing here
    Image.fromarray(np.repeat(fresh[:40], 3, axis=2)).save(home / "other.png")
    result = segad("learn", home / "b", "--bad", home / "other.png", "-o", home / "no", "--device", "cpu")
    assert result.exit_code != 0 and "another shape" in result.output


def test_maps_are_written_of_whole_images(home: Path) -> None:
    recipe = write(home)
    assert run_command(recipe).exit_code == 0
    words = ("-o", home / "maps", "--store", home / "store", "--device", "cpu")
    result = segad("maps", recipe, *words)
    assert result.exit_code == 0, said(result)
    (path, *_) = sorted((home / "maps").rglob("*.npy"))
    image = pixels(home, f"{path.parent.name}/{path.stem}.png")
    np.testing.assert_allclose(np.load(path), image, rtol=1e-5)


def test_keys_tell_tilings_apart(home: Path) -> None:
    def keys(**tiles: Any) -> set[str]:
        recipe = write(home, tiles={**TILES, **tiles} if tiles else None)
        return {cell.key for task in small_runs.prepared(recipe).plans[0].tasks for cell in task.cells}

    variants = [keys(), keys(overlap=0.25), keys(overlap=0.5), keys(size=[48, 48]), keys(train=5)]
    for i, one in enumerate(variants):
        assert all(not one & other for other in variants[:i])
    resolved = yaml.safe_load(load_recipe(str(write(home)), Registry()).resolved())
    assert resolved["image"]["tiles"] == {"size": [32, 32], "overlap": 0.25, "train": 1000}
    plain = yaml.safe_load(load_recipe(str(write(home, tiles=None)), Registry()).resolved())
    assert "tiles" not in plain["image"]


def test_check_says_what_tiles_cost(home: Path) -> None:
    recipe = write(home, tiles={**TILES, "train": 10}, segmenter="levels", encoder="tinyencoder")
    result = segad("check", recipe, "--store", home / "store")
    text = " ".join(said(result).split())
    assert "tiles: 2 x 3 = 6 of 32 x 32 pixels per image of 48 x 80, 2 passes of a network for each" in text
    assert "have 8 pixels in common: where four of them meet, a clear defect may lose more than 9%" in text
    assert "tiles to train detectors on: 10 of 18" in text
    assert "whole images, shrunk to 32 x 32, are seen by levels, squeezed 1.67 to 1: set tiles.whole" in text
    assert "1 pass, 3 images in all (10 tiles)" in text
    assert "1 pass, 10 images in all (60 tiles)" in text
    plain = said(segad("check", write(home, tiles=None), "--store", home / "store"))
    assert "tiles" not in plain


@pytest.mark.parametrize(
    ("image", "size", "overlap", "pixels", "percent"),
    [
        ((512, 512), 256, 0.25, 64, "up to 9%"),
        ((256, 512), 256, 0.25, 64, "up to 6%"),  # four never meet
        ((256, 512), 256, 0.375, 96, "up to 4%"),
        ((512, 512), 256, 0.5, 128, "up to 3%"),
        ((256, 512), 256, 0.5, 128, None),
        ((640, 640), 384, 0.416, 160, None),
        ((512, 512), 512, 0.1, 0, None),  # a single tile
        ((256, 512), 256, 0.125, 32, "more than 6%"),
        ((128, 128), 32, 0.5, 16, "more than 9%"),
    ],
)
def test_an_overlap_that_costs_some_of_a_score_is_told(
    image: tuple[int, int], size: int, overlap: float, pixels: int, percent: str | None
) -> None:
    said = overlap_in_words(Tiling(image, Tiles((min(size, image[0]), size), overlap, 1, image), 8))
    assert len(said) == (percent is not None)
    for line in said:
        assert f"{percent} of its score" in line and f"have {pixels} pixels" in line
        assert ("where four" in line) == (image[0] > size)
        assert ("or more overlap" in line) == (overlap < 0.5)


def test_tiles_larger_than_the_image_are_refused(home: Path) -> None:
    result = segad("check", write(home, tiles={"size": [64, 64]}))
    assert result.exit_code == 2
    assert "[64, 64] is larger than 'size' [48, 80]" in result.output
