"""Forests as ONNX, run by onnxruntime, against the forests themselves."""

from __future__ import annotations

import json
import sys
from functools import cache
from typing import Any

import numpy as np
import pytest
from forests import run_of
from numpy.typing import NDArray

from segad_core.errors import PluginError, UsageError
from segad_plugins.exporters.forest_onnx import forest_onnx
from segad_plugins.final_classifiers.brf import BoostedRandomForest
from segad_plugins.final_classifiers.bt import BoostedTrees
from segad_plugins.final_classifiers.forest import Forest
from segad_plugins.final_classifiers.rf import RandomForest

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

NAMES = ["a", "b", "c", "d"]
FORESTS: dict[str, tuple[type[Forest], dict[str, Any]]] = {
    "brf": (BoostedRandomForest, {"num_parallel_tree": 30}),
    "rf": (RandomForest, {"num_parallel_tree": 100}),
    "bt": (BoostedTrees, {"n_estimators": 50}),
    "base margin": (BoostedRandomForest, {"num_parallel_tree": 10, "base_margin": "c"}),
    "deep": (RandomForest, {"num_parallel_tree": 20, "max_depth": 12, "reg_alpha": 0.0, "subsample": 1.0}),
    "no split": (BoostedTrees, {"n_estimators": 3, "reg_alpha": 1e9}),
}


def drawn(seed: int, missing: float = 0.0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    rows = np.round(rng.normal(size=(200, 4)), 1)
    rows[rng.random(rows.shape) < missing] = np.nan
    return rows


@cache
def fitted(name: str) -> Forest:
    kind, params = FORESTS[name]
    forest, features = kind(kind.Params.model_validate(params)), drawn(0, 0.2)
    if name == "base margin":
        features = np.nan_to_num(features)
    labels = (np.nan_to_num(features[:, 0] * features[:, 1]) > 0.2).astype(np.int64)
    forest.fit(features, NAMES, labels, run_of(1))
    return forest


def exported(forest: Forest) -> bytes:
    state = forest.state()
    base = state.get("base_column")
    return forest_onnx(state["model.json"].tobytes(), None if base is None else int(base))


def run(model: bytes, rows: NDArray[np.float64]) -> NDArray[np.float32]:
    session = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (found,) = session.run(["margins"], {"features": rows.astype(np.float32)})
    return found  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", FORESTS)
def test_onnxruntime_gives_the_margins(name: str) -> None:
    """Within 1e-6 of their span: it adds leaves in another order. Values lie on splits and are missing."""
    forest = fitted(name)
    model = exported(forest)
    for seed, missing in ((0, 0.2), (1, 0.0), (2, 0.5)):
        rows = drawn(seed, missing)
        expected = forest.margins(np.nan_to_num(rows) if name == "base margin" else rows)
        found = run(model, np.nan_to_num(rows) if name == "base margin" else rows)
        assert found.shape == (200,) and found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * (np.ptp(expected) or 1))
    assert run(model, drawn(3)[:1]).shape == (1,)
    if name == "deep":
        assert len(forest._fitted().forest.starts) > 8


def test_what_is_written() -> None:
    """Trees of all rounds side by side, each with its nodes from 0; the same bytes each time."""
    forest, model = fitted("brf"), onnx.load_from_string(exported(fitted("brf")))
    (node,) = [node for node in model.graph.node if node.op_type == "TreeEnsembleRegressor"]
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    trees = json.loads(forest.state()["model.json"].tobytes())["learner"]["gradient_booster"]["model"]
    sizes = [len(tree["parents"]) for tree in trees["trees"]]
    assert len(sizes) == 300
    np.testing.assert_array_equal(np.bincount(attributes["nodes_treeids"]), sizes)
    assert attributes["nodes_nodeids"] == [node for size in sizes for node in range(size)]
    assert set(attributes["nodes_modes"]) == {b"BRANCH_LT", b"LEAF"}
    assert set(attributes["target_ids"]) == {0}
    assert exported(forest) == model.SerializeToString(deterministic=True)


def test_another_file_is_refused() -> None:
    with pytest.raises(PluginError, match="the forest cannot be loaded"):
        forest_onnx(b"{}")


def test_without_the_package_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UsageError, match="onnx") as caught:
        exported(fitted("rf"))
    assert "segad[export]" in caught.value.remedy
