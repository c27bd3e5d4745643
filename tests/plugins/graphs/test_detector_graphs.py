"""The graphs of detectors: runtimes compute the maps and scores that the plugins do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import plain
import pytest
import torch
from exported import Exported, Values, close, first
from numpy.typing import NDArray
from trainings import SIZE, FeatureImages, feature_batch, random_features, seed_run, with_random_weights

from segad_core.api import Detector, ImageBatch, Wanted
from segad_core.testing import bad_images, good_images, image_batch
from segad_plugins.detectors.efficientad import EfficientAD
from segad_plugins.detectors.fastflow import FastFlow
from segad_plugins.detectors.patchcore import PatchCore
from segad_plugins.detectors.rd4ad import RD4AD
from segad_plugins.graphs import patchcore

FEATURES = random_features(3, 1)
LAYERS = {name: FEATURES[name] for name in ("layer2", "layer3")}


def exported(detector: Detector, inputs: Mapping[str, Any], folder: Path, **wanted: Any) -> Exported:
    return Exported(detector.graph(Wanted(**{"size": SIZE, **wanted})), inputs, folder)  # type: ignore[attr-defined]


def as_computed_by_the_plugin(
    detector: Detector, batch: ImageBatch, found: Mapping[str, NDArray[Any]], room: float = 1e-4
) -> None:
    """Outputs for the first of a batch's images."""
    maps = detector.anomaly_maps(batch)
    scores = detector.image_scores(batch, maps)
    given = found.get("scores", found["maps"].max(axis=(1, 2)))
    assert given.shape == (len(found["maps"]),)
    close(found["maps"], maps[: len(given)], room)
    assert np.abs(given - scores[: len(given)]).max() <= room * np.ptp(maps)


def in_torch(detector: Detector, inputs: Mapping[str, NDArray[Any]], **wanted: Any) -> Values:
    """What the network of a graph computes before it is exported."""
    graph = detector.graph(Wanted(**{"size": SIZE, **wanted}))  # type: ignore[attr-defined]
    given = {**inputs, **graph.constants}
    found = graph.network(*(torch.from_numpy(np.array(given[name])) for name in graph.inputs))
    found = found if isinstance(found, tuple) else (found,)
    return dict(zip(graph.outputs, (values.numpy() for values in found), strict=True))


# ---- PatchCore ----


def memory(**params: Any) -> PatchCore:
    detector = PatchCore(PatchCore.Params.model_validate({"coreset_ratio": 0.2, **params}))
    detector.fit(FeatureImages({n: random_features(12, 0)[n] for n in LAYERS}), seed_run(3))  # type: ignore[arg-type]
    return detector


def ignored() -> NDArray[np.bool_]:
    found = np.zeros((3, *SIZE), bool)
    found[0, :20], found[1, 30:, 17:], found[2] = True, True, True
    return found


def test_patchcore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patchcore, "_PRODUCTS", 48 * 50)  # the bank of 115 is searched in three parts
    detector, given = memory(), {**LAYERS, "ignored": ignored()}
    one = exported(detector, given, tmp_path, ignoring=True)
    assert one.graph.constants["bank"].shape == (115, 17) and one.graph.outputs == ("maps", "scores")
    batch = feature_batch(LAYERS).ignoring(given["ignored"])
    for found in (one.onnxruntime(first(given, 1)), one.onnxruntime(given), one.openvino(given)):
        assert found["maps"].dtype == np.float32
        as_computed_by_the_plugin(detector, batch, found)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"neighbours": 1},
        {"neighbours": 200},
        {"distance": "squared", "blur_sigma": 0},
        {"image_score": "maximum", "layer_resize": "nearest"},
        {"upsampling": "bilinear", "blur_sigma": 2, "blur_border": "symmetric"},
    ],
)
@pytest.mark.parametrize("ignoring", [False, True])
def test_patchcores_variants(params: dict[str, Any], ignoring: bool) -> None:
    detector, batch = memory(**params), feature_batch(LAYERS)
    batch = batch.ignoring(ignored()) if ignoring else batch
    found = in_torch(detector, {**LAYERS, "ignored": ignored()}, ignoring=ignoring)
    assert ("scores" in found) == (params.get("image_score") != "maximum")
    as_computed_by_the_plugin(detector, batch, found)


# ---- FastFlow ----


def test_fastflow(tmp_path: Path) -> None:
    coarse = {"layer3": FEATURES["layer3"]}
    detector = with_random_weights(FastFlow, steps=2, layers=("layer3",))
    one = exported(detector, coarse, tmp_path)
    for found in (one.onnxruntime(first(coarse, 1)), one.onnxruntime(coarse), one.openvino(coarse)):
        as_computed_by_the_plugin(detector, feature_batch(coarse), found)


@pytest.mark.parametrize("params", [{"steps": 5}, {"only_3x3": True, "steps": 1}])
def test_fastflows_variants(params: dict[str, Any]) -> None:
    detector = with_random_weights(FastFlow, **params)
    as_computed_by_the_plugin(detector, feature_batch(FEATURES), in_torch(detector, FEATURES))


# ---- RD4AD ----


def test_rd4ad(tmp_path: Path) -> None:
    coarse = {"layer3": FEATURES["layer3"]}
    detector = with_random_weights(RD4AD, layers=("layer3",))
    one = exported(detector, coarse, tmp_path)
    for found in (one.onnxruntime(first(coarse, 1)), one.onnxruntime(coarse), one.openvino(coarse)):
        as_computed_by_the_plugin(detector, feature_batch(coarse), found)


@pytest.mark.parametrize("params", [{}, {"combine": "multiply"}, {"blur_sigma": 0, "bottleneck_width": 128}])
def test_rd4ads_variants(params: dict[str, Any]) -> None:
    detector = with_random_weights(RD4AD, **params)
    as_computed_by_the_plugin(detector, feature_batch(FEATURES), in_torch(detector, FEATURES))


# ---- EfficientAD ----


def patch_networks(
    size: str, padding: bool, input_size: tuple[int, int], shape: tuple[int, int]
) -> tuple[EfficientAD, NDArray[np.uint8]]:
    detector = EfficientAD(EfficientAD.Params.model_validate({"size": size, "padding": padding}))
    detector.restore(plain.random_efficientad(size, input_size))
    return detector, np.concatenate([good_images(2, *shape), bad_images(1, *shape)])


def test_efficientad(tmp_path: Path) -> None:
    detector, pixels = patch_networks("small", True, (32, 40), (50, 96))
    one = exported(detector, {"pixels": pixels}, tmp_path, size=(50, 96))
    for count in (1, 3):
        found = one.onnxruntime({"pixels": pixels[:count]})
        as_computed_by_the_plugin(detector, image_batch(pixels), found)


@pytest.mark.parametrize(
    ("size", "padding", "input_size", "shape"),
    [("medium", False, (50, 60), (40, 48)), ("small", False, (40, 48), (40, 48))],
)
def test_efficientads_variants(
    size: str, padding: bool, input_size: tuple[int, int], shape: tuple[int, int]
) -> None:
    detector, pixels = patch_networks(size, padding, input_size, shape)
    found = in_torch(detector, {"pixels": pixels}, size=shape)
    as_computed_by_the_plugin(detector, image_batch(pixels), found)


def test_a_graph_changes_nothing_of_the_plugin() -> None:
    """Folding works on copies."""
    for detector in (with_random_weights(FastFlow, steps=2), with_random_weights(RD4AD)):
        before = {name: array.copy() for name, array in detector.state().items()}
        detector.graph(Wanted(SIZE))
        assert all(np.array_equal(before[name], array) for name, array in detector.state().items())
