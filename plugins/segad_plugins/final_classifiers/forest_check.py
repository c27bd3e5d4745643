"""Checks a forest in XGBoost's JSON before anything reads it: XGBoost crashes on wrong indices.

For XGBoost, what was checked is written again, so that it reads nothing else. Unknown keys, such as those
that a newer release adds, are left out: every release loads forests of older ones, which lack them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from segad_core.api import PluginError, parse_json
from segad_plugins.final_classifiers.tree_check import (
    Trees,
    checked,
    compare,
    described,
    each_tree,
    get,
    text_of,
)

MOST_BYTES = 64 << 20
"""Limit on a forest's JSON, which takes up to 16 times as much memory; the paper's forests have some 2 MB."""
MOST_TREES = 100_000
"""Limit on the number of trees; the paper's forests have 2,000."""

_TREES = "the trees"
_NEWEST = [3, 2, 0]  # the newest release whose layout is known here
_COUNT, _WEIGHT = r"0|[1-9][0-9]{0,8}", r"[0-9]{1,20}(\.[0-9]{1,20})?(E-?[0-9]{1,2})?"
_FOREST, _HEAD = "learner.gradient_booster.model", "learner.learner_model_param"

T = TypeVar("T")


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
    _checked_head(model)
    return checked(get(model, f"{_FOREST}.trees", list), text_of(model, f"{_HEAD}.num_feature", _COUNT))


def _rewritten(model: Any) -> bytearray:
    whole, trees = _checked_head(model), get(model, f"{_FOREST}.trees", list)
    get(whole, _FOREST, dict)["trees"] = _TREES
    features = text_of(model, f"{_HEAD}.num_feature", _COUNT)
    head, tail = json.dumps(whole).split(f'"{_TREES}"')
    written = bytearray(f"{head}[".encode())
    for number, arrays in enumerate(each_tree(checked(trees, features))):
        tree = described(number, features, len(arrays["parents"]))
        tree["tree_param"]["size_leaf_vector"] = trees[number]["tree_param"]["size_leaf_vector"]
        written += f"{',' * bool(number)}{json.dumps(tree | arrays)}".encode()
    return written + f"]{tail}".encode()


def _checked_head(model: Any) -> dict[str, Any]:
    """All but the trees."""
    trees, version = get(model, f"{_FOREST}.trees", list), get(model, "version", list)
    count, per_round = len(trees), text_of(model, f"{_FOREST}.gbtree_model_param.num_parallel_tree", _COUNT)
    features = text_of(model, f"{_HEAD}.num_feature", _COUNT)
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
            "base_score": text_of(model, f"{_HEAD}.base_score", r"0E0|\[0E0\]"),  # a list since XGBoost 3.1
            "boost_from_average": text_of(model, f"{_HEAD}.boost_from_average", "0|1"),
            "num_class": "0",
            "num_feature": features,
            "num_target": "1",
        },
        "objective": {
            "name": "binary:logitraw",
            "reg_loss_param": {
                "scale_pos_weight": text_of(
                    model, "learner.objective.reg_loss_param.scale_pos_weight", _WEIGHT
                )
            },
        },
    }
    compare(model, {"learner": learner})
    return {"learner": learner, "version": min(version, _NEWEST)}
