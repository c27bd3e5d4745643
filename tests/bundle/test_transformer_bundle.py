"""Runs and bundles with a vision transformer as encoder, here a tiny one with random weights."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from builders import data_set, run_command, said, segad, write_recipe
from safetensors.torch import save_file

ENCODER = "encoder: {use: timm, params: {model: test_vit, file: vit.safetensors}}"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that was run: PatchCore and the probe on blocks of equal stride, alone and together."""
    folder = tmp_path_factory.mktemp("transformer")
    data_set(folder / "data", good=16, bad=11)
    torch.manual_seed(0)
    save_file(timm.create_model("test_vit").state_dict(), folder / "vit.safetensors")
    path = write_recipe(
        folder,
        ("encoder: efficientnet_lite0", ENCODER),
        ("coreset_ratio", "layers: [block2, block4], coreset_ratio"),
        (
            "segmenter:",
            "classifiers:\n  probe: {use: linear_probe, out_of_fold: 3, params: {layers: [block1, block5]}}\n"
            "segmenter:",
        ),
        ("  detectors: {good: 4}", "  detectors: {good: 4}\n  classifiers: {good: rest, bad: rest}"),
        (
            "detectors: [patchcore]}",
            "detectors: [patchcore], classifier: probe}\n  - {name: Probe, score: probe}",
        ),
    )
    result = run_command(path)
    assert result.exit_code == 0, said(result)
    return path


@pytest.mark.parametrize("row", ["PatchCore", "Probe", "SegAD"])
def test_bundles_predict_what_the_run_scored(recipe: Path, row: str) -> None:
    folder = recipe.parent
    with next(folder.glob("runs/*/*/scores.csv")).open() as file:
        scores = {line["image"]: float(line["score"]) for line in csv.DictReader(file) if line["row"] == row}
    bundle, out = folder / f"{row}.segad", folder / f"{row}.jsonl"
    words = ("--category", "a", "--row", row, "--store", folder / "store", "-o", bundle)
    made = segad("fit", recipe, *words)
    assert made.exit_code == 0, said(made)
    told = segad("predict", bundle, *(folder / "data" / "a" / image for image in scores), "-o", out)
    assert out.is_file(), said(told)
    found = [json.loads(text)["score"] for text in out.read_text().splitlines()]
    np.testing.assert_allclose(sorted(found), sorted(scores.values()), rtol=1e-5, atol=1e-5)
    assert len(set(found)) > 1


def test_a_size_that_patches_do_not_fill_is_told_before_training(tmp_path: Path) -> None:
    data_set(tmp_path / "data", good=16, bad=11)
    path = write_recipe(
        tmp_path,
        ("encoder: efficientnet_lite0", "encoder: {use: timm, params: {model: test_vit.r160_in1k}}"),
        ("coreset_ratio", "layers: [block2], coreset_ratio"),
        ("size: [48, 48]", "size: [48, 56]"),
    )
    result = segad("check", path)
    assert result.exit_code == 1, said(result)
    assert "test_vit.r160_in1k cannot process images of 48 x 56 pixels" in said(result)
    assert "[48, 48] or [48, 64]" in said(result)


def test_detectors_say_what_they_make_of_blocks(tmp_path: Path) -> None:
    """A student needs layers that halve in size."""
    data_set(tmp_path / "data", good=16, bad=11)
    path = write_recipe(
        tmp_path,
        ("encoder: efficientnet_lite0", "encoder: {use: timm, params: {model: test_vit.r160_in1k}}"),
        (
            "{use: patchcore, params: {coreset_ratio: 0.1, blur_sigma: 1}}",
            "{use: rd4ad, params: {layers: [block1, block2]}}",
        ),
    )
    result = segad("check", path)
    assert result.exit_code == 1, said(result)
    assert "'block2' has 3 x 3 after 3 x 3" in said(result)
