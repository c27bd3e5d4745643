"""A recipe that was run, and bundles of its rows: made once for all tests of a process."""

from __future__ import annotations

import atexit
import csv
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from builders import data_set, run_command, said, segad
from PIL import Image

RECIPE = """\
segad: 1
title: trained
dataset: {use: folder, params: {root: data}}
image: {size: [48, 48]}
batch_size: 4
encoder: efficientnet_lite0
split:
  seeds: [0]
  test: {good: 10, bad: 6}
  detectors: {good: 6}
detectors:
  patchcore: {use: patchcore, params: {coreset_ratio: 0.2, blur_sigma: 1}}
  smooth: {use: patchcore, params: {coreset_ratio: 0.1, blur_sigma: 4}}
classifiers:
  devnet: {use: devnet, params: {source: efficientnet_lite0, epochs: 1, steps_per_epoch: 2, batch_good: 2,
                                  batch_bad: 2}}
segmenter: {use: static_mask, params: {mask: mask.png, segments: [left, right]}}
features: [q995, mean]
image_features: [max]
final: {use: brf, params: {n_estimators: 3, num_parallel_tree: 20}}
rows:
  - {name: PatchCore, score: patchcore}
  - {name: DevNet, score: devnet}
  - {name: SegAD, detectors: [patchcore]}
  - {name: Two, detectors: [patchcore, smooth]}
  - {name: All, detectors: [patchcore, smooth], classifier: devnet}
"""
ROWS = ("PatchCore", "DevNet", "SegAD", "Two", "All")


@cache
def home() -> Path:
    """The folder of a recipe that was run: `data/a/good/000.png`, `store`, `runs/trained`."""
    folder = tempfile.TemporaryDirectory(prefix="segad-test-")
    atexit.register(folder.cleanup)
    place = Path(folder.name)
    data_set(place / "data", good=24, bad=14)
    mask = np.zeros((96, 96), np.uint8)  # drawn over a larger image: the shape of images counts
    mask[:, 48:] = 1
    Image.fromarray(mask).save(place / "mask.png")
    (place / "trained.yaml").write_text(RECIPE)
    result = run_command(place / "trained.yaml")
    assert result.exit_code == 0, said(result)
    return place


@cache
def bundle_of(row: str) -> Path:
    """A row's bundle, a folder; not to be changed."""
    out = home() / "bundles" / row
    words = ("--category", "a", "--row", row, "-o", out, "--store", home() / "store", "--device", "cpu")
    result = segad("fit", home() / "trained.yaml", *words)
    assert result.exit_code == 0, said(result)
    return out


@cache
def run_scores(row: str) -> dict[Path, str]:
    """What stands in scores.csv of a row, by image."""
    with (home() / "runs" / "trained" / "latest" / "scores.csv").open(encoding="utf-8") as file:
        return {
            home() / "data" / "a" / line["image"]: line["score"]
            for line in csv.DictReader(file)
            if line["row"] == row
        }


def good(number: int = 0) -> Path:
    """A good image of the data set."""
    return home() / "data" / "a" / "good" / f"{number:03}.png"


def bad(number: int = 0) -> Path:
    """A bad image of the data set."""
    return home() / "data" / "a" / "bad" / f"{number:03}.png"
