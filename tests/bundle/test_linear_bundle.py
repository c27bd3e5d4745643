"""Runs and bundles with the linear probe and the final classifier `logistic`: equal scores, and reasons."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from builders import data_set, run_command, said, segad, write_recipe
from safetensors.numpy import load_file

_CLASSIFIERS = """\
classifiers:
  probe: {use: linear_probe, out_of_fold: 3, params: {layers: [layer0, layer1, layer2, layer3, layer4]}}
segmenter:"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("linear")
    data_set(folder / "data", good=16, bad=11)
    path = write_recipe(
        folder,
        ("segmenter:", _CLASSIFIERS),
        ("{use: brf, params: {n_estimators: 2, num_parallel_tree: 5}}", "logistic"),
        ("  detectors: {good: 4}", "  detectors: {good: 4}\n  classifiers: {good: rest, bad: rest}"),
        (
            "detectors: [patchcore]}",
            "detectors: [patchcore], classifier: probe}\n  - {name: Probe, score: probe}\n"
            "  - {name: Forest, detectors: [patchcore], classifier: probe, final: {use: brf, params: "
            "{n_estimators: 2, num_parallel_tree: 5, base_margin: image.probe.score}}}",
        ),
    )
    result = run_command(path)
    assert result.exit_code == 0, said(result)
    return path


def constant_of(bundle: Path) -> float:
    """The intercept of a bundle's final classifier."""
    (state,) = (bundle / "final").iterdir()
    return float(load_file(state)["intercept"])


def test_a_run_and_its_bundles_agree_and_give_reasons(recipe: Path) -> None:
    folder = recipe.parent
    with next(folder.glob("runs/*/*/scores.csv")).open() as file:
        scores = {(line["row"], line["image"]): float(line["score"]) for line in csv.DictReader(file)}
    image = next(name for row, name in scores if row == "SegAD" and name.startswith("bad/"))
    for row in ("SegAD", "Probe", "Forest"):
        bundle = folder / f"{row}.segad"
        made = segad(
            "fit", recipe, "--category", "a", "--row", row, "--store", folder / "store", "-o", bundle
        )
        assert made.exit_code == 0, said(made)
        out = folder / f"{row}.jsonl"
        told = segad("predict", bundle, folder / "data" / "a" / image, "-o", out, "--explain")
        assert out.is_file(), said(told)
        (line,) = [json.loads(text) for text in out.read_text().splitlines()]
        assert line["score"] == pytest.approx(scores[row, image], rel=1e-4), row
        parts = {(p["source"], p["statistic"]): p["amount"] for p in line.get("contributions", ())}
        if row == "Forest":
            assert line["score"] == pytest.approx(sum(parts.values()), abs=3) and parts["probe", "score"] > 1
        if row == "SegAD":
            assert line["verdict"] == "NG" and "probe score" in line["reason"]
            assert parts["probe", "score"] > 0
            assert line["score"] - sum(part["amount"] for part in line["contributions"]) == pytest.approx(
                constant_of(bundle), abs=1e-9
            )
