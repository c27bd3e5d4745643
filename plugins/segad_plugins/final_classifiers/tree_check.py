"""Checks the trees of a forest in XGBoost's JSON, all together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST_DEPTH = 50
"""Limit on splits from root to leaf: XGBoost's contributions recurse, with memory as the depth squared."""

INTEGERS = ("left_children", "right_children", "parents", "split_indices", "split_type", "default_left")
NUMBERS = ("split_conditions", "base_weights", "loss_changes", "sum_hessian")
_EMPTY = ("categories", "categories_nodes", "categories_segments", "categories_sizes")
_MOST = 1e15  # of a leaf or a sum of weights, whose sums and products have to stay in float32
_NO_PARENT, _NO_CHILD = 2**31 - 1, -1
_ROUNDING = 1e-3  # relative, of sums in float32

Array = NDArray[Any]


class Trees(NamedTuple):
    """The nodes of all trees, one tree after the other.

    Attributes:
        width: the number of features.
        sizes: (trees,) their numbers of nodes.
        arrays: (nodes,) each, by XGBoost's names. Children are numbered within their tree, -1 at leaves, and
            right ones follow left ones. `split_conditions` has the values of leaves, too.
    """

    width: int
    sizes: Array
    arrays: dict[str, Array]

    def begins(self) -> Array:
        """The first node of each tree, which is its root."""
        return np.cumsum(self.sizes) - self.sizes


def checked(trees: list[Any], features: str) -> Trees:
    """What was read from the JSON as arrays; its lists are freed.

    Raises:
        ValueError, OverflowError: it is nothing that XGBoost writes, or would crash on, or score with.
    """
    sizes = [_size(tree, number, features) for number, tree in enumerate(trees)]
    arrays = {name: _joined(trees, name, np.int64, {int}) for name in INTEGERS}
    arrays |= {name: _joined(trees, name, np.float64, {int, float}) for name in NUMBERS}
    found = Trees(int(features), np.array(sizes), arrays)
    _check_structure(found)
    _check_numbers(found)
    return found


def described(number: int, features: str, nodes: int) -> dict[str, Any]:
    """What XGBoost writes of a tree that has one value only."""
    param = {"num_deleted": "0", "num_feature": features, "num_nodes": str(nodes)}
    return {"id": number, "tree_param": param} | {name: list[int]() for name in _EMPTY}


def _size(tree: Any, number: int, features: str) -> int:
    """The number of nodes of a tree, whose arrays all have one entry for each."""
    try:
        lengths = {len(get(tree, name, list)) for name in (*INTEGERS, *NUMBERS)}
        text_of(tree, "tree_param.size_leaf_vector", "0|1")
        nodes = min(lengths)
        compare(tree, described(number, features, nodes))
        if lengths != {nodes} or not nodes:
            raise ValueError(f"its arrays do not all have {nodes or 'some'} entries")
    except ValueError as error:
        raise ValueError(f"tree {number}: {error}") from error
    return nodes


def _joined(trees: list[Any], name: str, dtype: type[np.generic], kinds: set[type]) -> Array:
    values = list(chain.from_iterable(tree.pop(name) for tree in trees))
    if not kinds.issuperset(map(type, values)):
        raise ValueError(f"'{name}' of a tree holds something other than numbers")
    return np.array(values, dtype)


def _check_structure(trees: Trees) -> None:
    """Refuses anything but trees whose children come side by side, after their parent.

    XGBoost numbers nodes like this, which excludes cycles, and takes the node after the left child for the
    right one, whatever is written there.
    """
    left, right, parents = (trees.arrays[n] for n in ("left_children", "right_children", "parents"))
    roots, total = trees.begins(), len(left)
    begin, size = np.repeat(roots, trees.sizes), np.repeat(trees.sizes, trees.sizes)
    own = np.arange(total) - begin
    inner = (left != _NO_CHILD) | (right != _NO_CHILD)
    _refuse(trees, inner & (left >= size - 1), "a node does not exist")
    _refuse(
        trees,
        inner & ((left <= own) | (right != left + 1)),
        "children are not side by side, or not after their parent",
    )
    first = (begin + left)[inner]
    children = np.concatenate([first, first + 1])
    is_child = np.ones(total, np.int64)
    is_child[roots] = 0
    _refuse(
        trees,
        np.bincount(children, minlength=total) != is_child,
        "a node is not the child of exactly one node",
    )
    expected = np.full(total, _NO_PARENT)
    expected[children] = np.concatenate([own[inner], own[inner]])
    _refuse(trees, parents != expected, "'parents' does not match the children")
    level = roots
    for _ in range(MOST_DEPTH + 1):
        level = level[inner[level]]
        level = np.concatenate([(begin + left)[level], (begin + left)[level] + 1])
    if len(level):
        raise ValueError(f"tree {_tree_of(trees, level[0])}: it is deeper than {MOST_DEPTH}")


def _check_numbers(trees: Trees) -> None:
    """Refuses missing features, numbers that float32 cannot hold, and weights that do not add up."""
    arrays, leaf = trees.arrays, trees.arrays["left_children"] == _NO_CHILD
    split = arrays["split_indices"]
    _refuse(
        trees,
        (split < 0) | (split >= trees.width),
        f"it splits on a feature that is not one of {trees.width}",
    )
    _refuse(
        trees,
        (arrays["split_type"] != 0) | ((arrays["default_left"] & ~1) != 0),
        "it has splits by category, or splits without a default",
    )
    with np.errstate(over="ignore"):
        numbers = {name: arrays[name].astype(np.float32) for name in NUMBERS}
    for values in numbers.values():
        _refuse(trees, ~np.isfinite(values), "a number is too large for float32")
    weights = numbers["sum_hessian"]
    large = (np.abs(numbers["split_conditions"]) > _MOST) & leaf
    _refuse(trees, large | (weights > _MOST), f"a leaf or a weight is larger than {_MOST:g}")
    inner = np.flatnonzero(~leaf)
    first = np.repeat(trees.begins(), trees.sizes)[inner] + arrays["left_children"][inner]
    left, right, whole = weights[first], weights[first + 1], weights[inner]
    nobody, uneven = weights < 0, np.zeros(len(weights), bool)
    nobody[inner] |= (left <= 0) | (right <= 0)
    _refuse(trees, nobody, "no image reaches one of its nodes")
    uneven[inner] = np.abs(left + right - whole) > _ROUNDING * whole
    _refuse(trees, uneven, "the weights of children do not add up to that of their parent")


def _refuse(trees: Trees, bad: Array, words: str) -> None:
    """Refuses the first tree that has one of the bad nodes."""
    if bad.any():
        raise ValueError(f"tree {_tree_of(trees, int(bad.argmax()))}: {words}")


def _tree_of(trees: Trees, node: int) -> int:
    return int(np.searchsorted(trees.begins(), node, side="right")) - 1


def each_tree(trees: Trees) -> Iterator[dict[str, list[Any]]]:
    """The arrays of one tree after the other, as lists."""
    for begin, size in zip(trees.begins().tolist(), trees.sizes.tolist(), strict=True):
        yield {name: array[begin : begin + size].tolist() for name, array in trees.arrays.items()}


def compare(value: Any, known: Any, path: str = "") -> None:
    """Refuses a value that differs from what is known; a dictionary may have further keys."""
    if isinstance(known, dict):
        for key, inner in known.items():
            compare(value.get(key) if isinstance(value, dict) else None, inner, f"{path}.{key}")
    elif type(value) is not type(known) or value != known:
        raise ValueError(f"'{path[1:]}' is not {known!s:.60}")


def get(value: Any, path: str, kind: type) -> Any:
    """The value of a type at a path, which is written with dots, in dictionaries."""
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if type(value) is not kind:
        raise ValueError(f"'{path}' is missing or has the wrong type")
    return value


def text_of(value: Any, path: str, pattern: str) -> str:
    """The text at a path, which is written with dots, in dictionaries; it has to match the pattern."""
    found: str = get(value, path, str)
    if not re.fullmatch(pattern, found):
        raise ValueError(f"'{path}' is not what XGBoost writes there")
    return found
