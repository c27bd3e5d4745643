"""A forest in XGBoost's JSON, checked before XGBoost, which crashes on evil indices, sees it.

What is checked is written anew, so that XGBoost reads exactly what was checked, whatever its own parser
would have made of the bytes.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, FailFast, Field, StringConstraints, ValidationError

from segad_core.api import PluginError, parse_json

MOST_BYTES = 256 << 20
"""Of a forest; the paper's have some 2 MB."""
MOST_DEPTH = 50
"""Questions between a root and a leaf: XGBoost explains scores by recursion, with memory as depth squared."""

_LARGEST = float(np.finfo(np.float32).max)
_MOST = 1e15  # of a leaf or a sum: their products have to stay in float32
_NO_PARENT, _NO_CHILD = 2**31 - 1, -1
_ROUNDING = 1e-3  # relative; of sums in float32

Index = Annotated[int, Field(ge=-1, le=2**31 - 1)]
Number = Annotated[float, Field(ge=-_LARGEST, le=_LARGEST)]
Count = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,8})$")]
Weight = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,20}(\.[0-9]{1,20})?(E-?[0-9]{1,2})?$")]
Indices = Annotated[list[Index], FailFast()]  # without it each wrong number would make an error
Numbers = Annotated[list[Number], FailFast()]
Nothing = Annotated[list[int], Field(max_length=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class _TreeParam(_Strict):
    num_deleted: Literal["0"]
    num_feature: Count
    num_nodes: Count
    size_leaf_vector: Literal["0", "1"]


class _Tree(_Strict):
    id: Index
    tree_param: _TreeParam
    left_children: Indices
    right_children: Indices
    parents: Indices
    split_indices: Indices
    split_conditions: Numbers
    split_type: Annotated[list[Literal[0]], FailFast()]
    default_left: Annotated[list[Literal[0, 1]], FailFast()]
    base_weights: Numbers
    loss_changes: Numbers
    sum_hessian: Annotated[list[Annotated[float, Field(ge=0, le=_MOST)]], FailFast()]
    categories: Nothing
    categories_nodes: Nothing
    categories_segments: Nothing
    categories_sizes: Nothing


class _TreesParam(_Strict):
    num_parallel_tree: Count
    num_trees: Count


class _Categories(_Strict):
    enc: Nothing
    feature_segments: Nothing
    sorted_idx: Nothing


class _Trees(_Strict):
    gbtree_model_param: _TreesParam
    iteration_indptr: Indices
    tree_info: Annotated[list[Literal[0]], FailFast()]
    trees: Annotated[list[_Tree], FailFast()]
    cats: _Categories | None = None  # since XGBoost 3.1


class _Booster(_Strict):
    name: Literal["gbtree"]
    model: _Trees


class _LearnerParam(_Strict):
    base_score: Literal["0E0", "[0E0]"]  # a list since XGBoost 3.1
    boost_from_average: Literal["0", "1"]
    num_class: Literal["0"]
    num_feature: Count
    num_target: Literal["1"]


class _Loss(_Strict):
    scale_pos_weight: Weight


class _Objective(_Strict):
    name: Literal["binary:logitraw"]
    reg_loss_param: _Loss


class _Learner(_Strict):
    attributes: Annotated[dict[str, str], Field(max_length=0)]
    feature_names: Nothing
    feature_types: Nothing
    gradient_booster: _Booster
    learner_model_param: _LearnerParam
    objective: _Objective


class _Model(_Strict):
    learner: _Learner
    version: Annotated[list[Annotated[int, Field(ge=0, le=999)]], Field(min_length=3, max_length=3)]


def checked_forest(data: bytes) -> bytearray:
    """A forest that XGBoost may load: the same trees, in JSON written anew.

    Args:
        data: what `Booster.save_raw("json")` gave, or somebody who means harm.

    Raises:
        PluginError: it is no forest of segad's, or one that would crash XGBoost or score without sense.
    """
    try:
        if len(data) > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES >> 20} MiB")
        model = _Model.model_validate(parse_json(data))
        _check_counts(model.learner)
        for tree in model.learner.gradient_booster.model.trees:
            _check_tree(tree, int(model.learner.learner_model_param.num_feature))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"])
        raise _refused(f"at '{where}': {first['msg']}") from None  # the whole error can be huge
    except ValueError as error:
        raise _refused(str(error)) from error
    return bytearray(model.model_dump_json(exclude_none=True).encode())


def _check_counts(learner: _Learner) -> None:
    """That the numbers of trees, rounds and features are the same wherever they stand."""
    forest, features = learner.gradient_booster.model, learner.learner_model_param.num_feature
    count, ends = len(forest.trees), forest.iteration_indptr
    if not count or int(forest.gbtree_model_param.num_trees) != count or len(forest.tree_info) != count:
        raise ValueError(f"it has {count} trees and says otherwise, or none")
    parallel = int(forest.gbtree_model_param.num_parallel_tree)
    if not parallel or ends != list(range(0, count + 1, parallel)) or ends[-1] != count:
        raise ValueError("its rounds are not made of its trees")
    if [tree.id for tree in forest.trees] != list(range(count)):
        raise ValueError("its trees are not numbered one after the other")
    if any(tree.tree_param.num_feature != features for tree in forest.trees):
        raise ValueError("its trees disagree about the number of features")


def _check_tree(tree: _Tree, features: int) -> None:
    """That a tree is one: from the root, each node is reached once, and each points to what is there.

    XGBoost numbers children after their parent, so that there is no way round in a circle, and side by
    side: it takes the left one's number plus one for the right one, whatever is written there.
    """

    def wrong(what: str) -> ValueError:
        return ValueError(f"tree {tree.id}: {what}")

    count = int(tree.tree_param.num_nodes)
    lists = [value for name, value in tree if isinstance(value, list) and not name.startswith("categories")]
    if not count or any(len(one) != count for one in lists):
        raise wrong(f"its lists are not all of its {count} nodes")
    if not all(0 <= index < features for index in tree.split_indices):
        raise wrong(f"it asks for a feature that is none of {features}")
    parents, depth, weights = [_NO_PARENT] * count, [0] * count, tree.sum_hessian
    for node, (left, right) in enumerate(zip(tree.left_children, tree.right_children, strict=True)):
        if left == right == _NO_CHILD:
            if abs(tree.split_conditions[node]) > _MOST:
                raise wrong(f"the leaf {node} answers more than {_MOST:g}")
            continue
        if right != left + 1:
            raise wrong(f"the children of node {node} are not side by side")
        for child in (left, right):
            if not node < child < count or parents[child] != _NO_PARENT:
                raise wrong(f"node {node} has the child {child}, which is not there, above it, or another's")
            parents[child], depth[child] = node, depth[node] + 1
        if depth[left] > MOST_DEPTH:
            raise wrong(f"it is deeper than {MOST_DEPTH}")
        if weights[left] <= 0 or weights[right] <= 0:
            raise wrong(f"no image came to a child of node {node}")
        if abs(weights[left] + weights[right] - weights[node]) > _ROUNDING * weights[node]:
            raise wrong(f"the images at node {node} are not those of its children")
    if parents != tree.parents or parents.count(_NO_PARENT) != 1:
        raise wrong("a node has another parent than its own, or none")


def _refused(why: str) -> PluginError:
    shown = "".join(c if c.isprintable() else "?" for c in why[:300])
    return PluginError(
        f"the forest is not one that segad made: {shown}", "Fit it again, or get the bundle again."
    )
