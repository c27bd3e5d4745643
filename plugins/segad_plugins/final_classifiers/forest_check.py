"""Checks a forest in XGBoost's JSON before anything reads it: XGBoost crashes on wrong indices.

For XGBoost, what was checked is written again, so that it reads nothing else. Unknown keys, such as those
that a newer release adds, are left out: every release loads forests of older ones, which lack them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from segad_core.api import PluginError, parse_json

MOST_BYTES = 64 << 20
"""Limit on a forest's JSON, which takes up to 16 times as much memory; the paper's forests have some 2 MB."""
MOST_DEPTH = 50
"""Limit on splits from root to leaf: XGBoost's contributions recurse, with memory as the depth squared."""
MOST_TREES = 100_000
"""Limit on the number of trees; the paper's forests have 2,000."""

_TREES = "the trees"
_NEWEST = [3, 2, 0]  # the newest release whose layout is known here
_INTEGERS = ("left_children", "right_children", "parents", "split_indices", "split_type", "default_left")
_NUMBERS = ("split_conditions", "base_weights", "loss_changes", "sum_hessian")
_EMPTY = ("categories", "categories_nodes", "categories_segments", "categories_sizes")
_COUNT, _WEIGHT = r"0|[1-9][0-9]{0,8}", r"[0-9]{1,20}(\.[0-9]{1,20})?(E-?[0-9]{1,2})?"
_MOST = 1e15  # of a leaf or a sum of weights, whose sums and products have to stay in float32
_NO_PARENT, _NO_CHILD = 2**31 - 1, -1
_ROUNDING = 1e-3  # relative, of sums in float32

_EVALUATED = {
    "left_children": np.int32,
    "split_indices": np.int32,
    "default_left": np.bool_,
    "split_conditions": np.float32,
    "sum_hessian": np.float32,
}

Array = NDArray[Any]
T = TypeVar("T")


class Trees(NamedTuple):
    """What margins and contributions are computed from: for each tree, arrays by XGBoost's names.

    They are `left_children` (-1 at leaves; right ones follow left ones), `split_indices`, `default_left`,
    `split_conditions` (values of leaves) and `sum_hessian`.
    """

    width: int
    """The number of features."""
    arrays: list[dict[str, Array]]


def checked_trees(data: bytes) -> Trees:
    """The trees of a forest.

    Args:
        data: from `Booster.save_raw("json")`, or from somebody who means harm.

    Raises:
        PluginError: it is not a forest of segad's, or would give meaningless scores.
    """
    return _from_json(data, _evaluated)


def checked_forest(data: bytes) -> bytearray:
    """The same forest, in JSON that XGBoost can load safely.

    Args:
        data: as for `checked_trees`.

    Raises:
        PluginError: it is not a forest of segad's, or XGBoost would crash on it or give meaningless scores.
    """
    return _from_json(data, _rewritten)


def _from_json(data: bytes, read: Callable[[Any], T]) -> T:
    try:
        if len(data) > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES >> 20} MiB")
        return read(parse_json(data))
    except (ValueError, OverflowError) as error:
        reason = "".join(c if c.isprintable() else "?" for c in str(error)[:300])
        raise PluginError(
            f"the forest cannot be loaded: {reason}", "Fit it again, or get a fresh copy of the bundle."
        ) from error


def _evaluated(model: Any) -> Trees:
    features = _checked_head(model)["learner"]["learner_model_param"]["num_feature"]
    trees = [
        {name: arrays[name].astype(kind) for name, kind in _EVALUATED.items()}
        for _, arrays in _checked_trees(model, features)
    ]
    return Trees(int(features), trees)


def _rewritten(model: Any) -> bytearray:
    whole = _checked_head(model)
    whole["learner"]["gradient_booster"]["model"]["trees"] = _TREES
    features = whole["learner"]["learner_model_param"]["num_feature"]
    head, tail = json.dumps(whole).split(f'"{_TREES}"')
    written = bytearray(f"{head}[".encode())
    for number, (known, arrays) in enumerate(_checked_trees(model, features)):
        tree = known | {name: array.tolist() for name, array in arrays.items()}
        written += f"{',' * bool(number)}{json.dumps(tree)}".encode()
    return written + f"]{tail}".encode()


def _checked_head(model: Any) -> dict[str, Any]:
    """All but the trees."""
    param, forest = "learner.learner_model_param", "learner.gradient_booster.model"
    trees, version = _get(model, f"{forest}.trees", list), _get(model, "version", list)
    count, per_round = len(trees), _text(model, f"{forest}.gbtree_model_param.num_parallel_tree", _COUNT)
    features = _text(model, f"{param}.num_feature", _COUNT)
    if not 0 < count <= MOST_TREES or per_round == "0" or count % int(per_round):
        raise ValueError(f"it has {count} trees, {per_round} in each round")
    if len(version) != 3 or any(type(part) is not int or not 0 <= part < 1000 for part in version):
        raise ValueError("'version' is not that of an XGBoost release")
    gbtree: dict[str, Any] = {
        "gbtree_model_param": {"num_parallel_tree": per_round, "num_trees": str(count)},
        "iteration_indptr": list(range(0, count + 1, int(per_round))),
        "tree_info": [0] * count,
    }
    learner = {
        "attributes": {},
        "feature_names": [],
        "feature_types": [],
        "gradient_booster": {"model": gbtree, "name": "gbtree"},
        "learner_model_param": {
            "base_score": _text(model, f"{param}.base_score", r"0E0|\[0E0\]"),  # a list since XGBoost 3.1
            "boost_from_average": _text(model, f"{param}.boost_from_average", "0|1"),
            "num_class": "0",
            "num_feature": features,
            "num_target": "1",
        },
        "objective": {
            "name": "binary:logitraw",
            "reg_loss_param": {
                "scale_pos_weight": _text(model, "learner.objective.reg_loss_param.scale_pos_weight", _WEIGHT)
            },
        },
    }
    _compare(model, {"learner": learner})
    return {"learner": learner, "version": min(version, _NEWEST)}


def _checked_trees(model: Any, features: str) -> Iterator[tuple[dict[str, Any], dict[str, Array]]]:
    """Of each tree what has one value only, and its arrays; frees the memory of each that was checked."""
    trees = model["learner"]["gradient_booster"]["model"]["trees"]
    for number in range(len(trees)):
        tree, trees[number] = trees[number], None
        yield _checked_tree(tree, number, features)


def _checked_tree(tree: Any, number: int, features: str) -> tuple[dict[str, Any], dict[str, Array]]:
    try:
        arrays = {name: _array(tree, name, np.int64, {int}) for name in _INTEGERS}
        arrays |= {name: _array(tree, name, np.float64, {int, float}) for name in _NUMBERS}
        nodes, vector = len(arrays["parents"]), _text(tree, "tree_param.size_leaf_vector", "0|1")
        param = {"num_deleted": "0", "num_feature": features, "num_nodes": str(nodes)}
        known = {"id": number, "tree_param": param | {"size_leaf_vector": vector}}
        known |= {name: list[int]() for name in _EMPTY}
        _compare(tree, known)
        if not nodes or any(len(array) != nodes for array in arrays.values()):
            raise ValueError(f"its arrays do not all have {nodes} entries")
        _check_structure(arrays["left_children"], arrays["right_children"], arrays["parents"])
        _check_numbers(arrays, int(features))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"tree {number}: {error}") from error
    return known, arrays


def _check_structure(left: Array, right: Array, parents: Array) -> None:
    """Refuses anything but one tree whose children come side by side, after their parent.

    XGBoost numbers nodes like this, which excludes cycles, and takes the node after the left child for the
    right one, whatever is written there.
    """
    inner = np.flatnonzero((left != _NO_CHILD) | (right != _NO_CHILD))
    if (left[inner] <= inner).any() or (right[inner] != left[inner] + 1).any():
        raise ValueError("children are not side by side, or not after their parent")
    children = np.concatenate([left[inner], right[inner]])
    if not np.array_equal(np.sort(children), np.arange(1, len(left))):
        raise ValueError("a node does not exist, or is not the child of exactly one node")
    if parents[0] != _NO_PARENT or (parents[children] != np.concatenate([inner, inner])).any():
        raise ValueError("'parents' does not match the children")
    level, depth = np.zeros(1, np.int64), 0
    while len(level := level[left[level] != _NO_CHILD]):
        level, depth = np.concatenate([left[level], right[level]]), depth + 1
        if depth > MOST_DEPTH:
            raise ValueError(f"it is deeper than {MOST_DEPTH}")


def _check_numbers(arrays: dict[str, Array], features: int) -> None:
    """Refuses missing features, numbers that float32 cannot hold, and weights that do not add up."""
    split, leaf = arrays["split_indices"], arrays["left_children"] == _NO_CHILD
    if ((split < 0) | (split >= features)).any():
        raise ValueError(f"it splits on a feature that is not one of {features}")
    if arrays["split_type"].any() or (arrays["default_left"] & ~1).any():
        raise ValueError("it has splits by category, or splits without a default")
    with np.errstate(over="ignore"):
        numbers = {name: arrays[name].astype(np.float32) for name in _NUMBERS}
    if not all(np.isfinite(array).all() for array in numbers.values()):
        raise ValueError("a number is too large for float32")
    weights = numbers["sum_hessian"]
    if (np.abs(numbers["split_conditions"][leaf]) > _MOST).any() or (weights > _MOST).any():
        raise ValueError(f"a leaf or a weight is larger than {_MOST:g}")
    left, right = (weights[arrays[name][~leaf]] for name in ("left_children", "right_children"))
    if (weights < 0).any() or (left <= 0).any() or (right <= 0).any():
        raise ValueError("no image reaches one of its nodes")
    if (np.abs(left + right - weights[~leaf]) > _ROUNDING * weights[~leaf]).any():
        raise ValueError("the weights of children do not add up to that of their parent")


def _compare(value: Any, known: Any, path: str = "") -> None:
    """Refuses a value that differs from what is known; a dictionary may have further keys."""
    if isinstance(known, dict):
        for key, inner in known.items():
            _compare(value.get(key) if isinstance(value, dict) else None, inner, f"{path}.{key}")
    elif type(value) is not type(known) or value != known:
        raise ValueError(f"'{path[1:]}' is not {known!s:.60}")


def _get(value: Any, path: str, kind: type) -> Any:
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if type(value) is not kind:
        raise ValueError(f"'{path}' is missing or has the wrong type")
    return value


def _text(value: Any, path: str, pattern: str) -> str:
    text: str = _get(value, path, str)
    if not re.fullmatch(pattern, text):
        raise ValueError(f"'{path}' is not what XGBoost writes there")
    return text


def _array(tree: Any, name: str, dtype: type[np.generic], kinds: set[type]) -> Array:
    values = _get(tree, name, list)
    if not kinds.issuperset(map(type, values)):
        raise ValueError(f"'{name}' holds something other than numbers")
    return np.array(values, dtype)
