"""A forest as flat arrays, and its margins by NumPy: the same bits as XGBoost's.

Nodes of all trees are numbered by level: first the roots, then the children of the roots, and so on. The two
children of a node lie side by side, and pairs are in the order of their parents.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segad_plugins.final_classifiers.tree_check import Trees

Values = NDArray[np.float64]
Float32 = NDArray[np.float32]
Indices = NDArray[np.intp]
Flags = NDArray[np.bool_]

_TOGETHER = 1 << 20  # pairs of a row and a tree, whose nodes are held at once


@dataclass(frozen=True)
class FlatForest:
    """The nodes of all trees.

    Attributes:
        width: the number of features.
        starts: (levels + 1,) the first node of each level, and the number of nodes.
        inner: (I,) the nodes that have children, ascending; the children of `inner[i]` are the nodes
            `trees + 2 * i` and `trees + 2 * i + 1`.
        feature: (I,) the feature that an inner node compares.
        split: (I,) values below it go left.
        default_left: (I,) whether missing values go left.
        leaf: (nodes,) the value of a leaf; 0 for inner nodes.
        cover: (nodes,) the sum of the weights of the training images that reached a node.
    """

    width: int
    starts: Indices
    inner: Indices
    feature: Indices
    split: Float32
    default_left: Flags
    leaf: Float32
    cover: Float32

    @classmethod
    def of(cls, trees: Trees) -> FlatForest:
        """From checked trees, at least one."""
        joined, begins = trees.arrays, trees.begins()
        left = joined["left_children"]
        children, levels = left + np.repeat(begins, trees.sizes), [begins]
        while len(parents := levels[-1][left[levels[-1]] >= 0]):
            levels.append(np.stack([children[parents], children[parents] + 1], axis=1).reshape(-1))
        order = np.concatenate(levels)
        inner = np.flatnonzero(left[order] >= 0)
        values, at = as_float32(joined["split_conditions"][order]), order[inner]
        leaf = values.copy()
        leaf[inner] = 0
        return cls(
            width=trees.width,
            starts=np.concatenate([[0], np.cumsum([len(level) for level in levels])]),
            inner=inner,
            feature=joined["split_indices"][at].astype(np.intp),
            split=values[inner],
            default_left=joined["default_left"][at] != 0,
            leaf=leaf,
            cover=as_float32(joined["sum_hessian"][order]),
        )

    @property
    def trees(self) -> int:
        """Their number."""
        return int(self.starts[1])

    @cached_property
    def levels(self) -> list[tuple[Indices, slice]]:
        """From the roots down, the inner nodes of a level and their children, counted without the roots."""
        bounds = pairwise(np.searchsorted(self.inner, self.starts).tolist())
        return [(self.inner[a:b], slice(2 * a, 2 * b)) for a, b in bounds if a < b]

    def margins(self, features: Values) -> Float32:
        """The sums (n,) of the leaves that rows of features (n, width) reach, added up in the trees' order.

        NaN is a missing value. As in XGBoost, values are compared in float32.
        """
        rows, each = as_float32(features), max(1, _TOGETHER // self.trees)
        # a running sum adds one after the other, as XGBoost does; `sum` adds pairs
        sums = [
            np.add.accumulate(self._leaves(rows[i : i + each]), axis=1)[:, -1]
            for i in range(0, len(rows), each)
        ]
        return np.concatenate([np.zeros(0, np.float32), *sums])

    def goes_left(self, row: Float32) -> Flags:
        """Whether a row (width,) goes left at each inner node (I,)."""
        return self._left(row[self.feature], slice(None))

    def _leaves(self, rows: Float32) -> Float32:
        """The value (n, trees) of the leaf that each row reaches in each tree."""
        nodes = np.tile(np.arange(self.trees), len(rows))
        begins, flat = np.repeat(np.arange(len(rows)) * self.width, self.trees), rows.reshape(-1)
        active = np.arange(len(nodes))
        while len(active := active[self._place[nodes[active]] >= 0]):
            place = self._place[nodes[active]]
            left = self._left(flat[begins[active] + self.feature[place]], place)
            nodes[active] = self.trees + 2 * place + ~left
        return self.leaf[nodes].reshape(len(rows), self.trees)

    def _left(self, values: Float32, place: Indices | slice) -> Flags:
        found: Flags = values < self.split[place]
        missing = np.isnan(values)
        return found | (missing & self.default_left[place]) if missing.any() else found

    @cached_property
    def _place(self) -> Indices:
        """The index (nodes,) of each node among the inner ones; -1 for leaves."""
        place = np.full(len(self.leaf), -1)
        place[self.inner] = np.arange(len(self.inner))
        return place


def as_float32(values: NDArray[Any]) -> Float32:
    """The values as XGBoost sees them; those that are too large become infinite."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(values, np.float32)
