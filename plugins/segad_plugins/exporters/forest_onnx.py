"""A forest of `brf`, `rf` or `bt` as an ONNX file.

All trees stand side by side, however many a round had: converters that keep rounds of parallel trees write
files that onnxruntime rejects.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segad_core.api import UsageError
from segad_plugins.final_classifiers.flat_forest import FlatForest
from segad_plugins.final_classifiers.forest_check import checked_trees

INPUT, OUTPUT = "features", "margins"
_OPSET, _ML_OPSET, _IR = 18, 3, 8


def forest_onnx(model: bytes, base_column: int | None = None) -> bytes:
    """An ONNX model that takes `features` (N, width) float32 and gives `margins` (N,) float32.

    NaN is a missing value. Leaves are added up in float32, in the order that the runtime chooses.

    Args:
        model: XGBoost's JSON, `model.json` in a forest's state.
        base_column: the feature to whose value the trees add, `base_column` in its state.

    Raises:
        PluginError: it is not a forest of segad's.
        UsageError: the package `onnx` is not installed.
    """
    try:
        import onnx
        from onnx import TensorProto, helper
    except ImportError as error:
        raise UsageError(
            "a forest cannot be written as ONNX: the package onnx is not installed",
            "Install it: pip install 'segad[export]'.",
        ) from error
    forest = FlatForest.of(checked_trees(model))
    steps = [
        helper.make_node(
            "TreeEnsembleRegressor",
            [INPUT],
            ["sums"],
            domain="ai.onnx.ml",
            n_targets=1,
            aggregate_function="SUM",
            post_transform="NONE",
            **_attributes(forest),
        )
    ]
    constants = [helper.make_tensor("row", TensorProto.INT64, [1], [-1])]
    if base_column is not None:
        constants.append(helper.make_tensor("column", TensorProto.INT64, [1], [base_column]))
        steps += [
            helper.make_node("Gather", [INPUT, "column"], ["base"], axis=1),
            helper.make_node("Add", ["base", "sums"], ["added"]),
        ]
    steps.append(helper.make_node("Reshape", [steps[-1].output[0], "row"], [OUTPUT]))
    graph = helper.make_graph(
        steps,
        "forest",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["N", forest.width])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N"])],
        constants,
    )
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("ai.onnx.ml", _ML_OPSET)]
    written = helper.make_model(graph, producer_name="segad", opset_imports=opsets, ir_version=_IR)
    onnx.checker.check_model(written, full_check=True)
    found: bytes = written.SerializeToString(deterministic=True)
    return found


def _attributes(forest: FlatForest) -> dict[str, Any]:
    """The nodes, tree by tree, numbered from 0 in each."""
    nodes, inner = len(forest.leaf), forest.inner
    tree = np.arange(nodes)
    for parents, edges in forest.levels:
        tree[forest.trees :][edges] = np.repeat(tree[parents], 2)
    first = forest.trees + 2 * np.arange(len(inner))
    order = np.argsort(tree, kind="stable")
    sizes = np.bincount(tree, minlength=forest.trees)
    number = np.empty(nodes, np.int64)
    number[order] = np.arange(nodes) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    leaves = order[~np.isin(order, inner)]

    def of_nodes(values: NDArray[Any], rest: Any = 0) -> Any:
        whole = np.full(nodes, rest, values.dtype)
        whole[inner] = values
        return whole[order].tolist()

    return {
        "nodes_treeids": tree[order].tolist(),
        "nodes_nodeids": number[order].tolist(),
        "nodes_featureids": of_nodes(forest.feature),
        "nodes_values": of_nodes(forest.split),
        "nodes_modes": of_nodes(np.full(len(inner), "BRANCH_LT", object), "LEAF"),
        "nodes_truenodeids": of_nodes(number[first]),
        "nodes_falsenodeids": of_nodes(number[first + 1]),
        "nodes_missing_value_tracks_true": of_nodes(forest.default_left.astype(np.int64)),
        "target_treeids": tree[leaves].tolist(),
        "target_nodeids": number[leaves].tolist(),
        "target_ids": np.zeros(len(leaves), np.int64).tolist(),
        "target_weights": forest.leaf[leaves].tolist(),
    }
