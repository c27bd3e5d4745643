"""Exact contributions of features to the margins of a forest, by NumPy (path-dependent TreeSHAP).

They are the Shapley values of Lundberg et al. (2020), "From local explanations to global understanding with
explainable AI for trees", which XGBoost computes for `pred_contribs`: where a feature is not known, each way
counts by its share of the training images.

Take a leaf of value v below splits on k features. Of feature i, o_i is 1 if the row goes the leaf's way at
all splits on it, else 0, and z_i is the share of training images that went there. The leaf adds to feature j

    v (o_j - z_j) sum over sets S of the other features: |S|! (k - |S| - 1)! / k! prod_S o prod_not S z

The weight of a set is the integral of t^|S| (1 - t)^(k - |S| - 1) from 0 to 1, so the sum is the integral of

    prod_(i != j) (t o_i + (1 - t) z_i)

whose degree is below k: Gauss and Legendre's rule with k / 2 points gives it exactly. At each point it is a
product along the path. So a pass from the roots down multiplies, one from the leaves up adds what all leaves
below a node have in common, and neither grows with the square of the depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segad_plugins.final_classifiers.flat_forest import FlatForest, Float32, Indices, Values, as_float32


@dataclass(frozen=True)
class TreeShap:
    """What the contributions of a forest are computed from. Edges lead to all nodes but the roots.

    Attributes:
        forest: the forest.
        feature: (E,) the feature of the split above each edge.
        share: (E,) of the training images at the splits on this feature, those that went this way at all.
        above: (E,) the nearest edge above on the same feature; E if there is none.
        again: of each level but the first, its edges that have one above.
        most: the most features on the way to a leaf.
        constant: the mean of the margins over the training images.
    """

    forest: FlatForest
    feature: Indices
    share: Values
    above: Indices
    again: tuple[Indices, ...]
    most: int
    constant: float

    @classmethod
    def of(cls, forest: FlatForest) -> TreeShap:
        """From the covers of the nodes, which are above 0 but for trees that are a single leaf."""
        cover, feature = forest.cover.astype(np.float64), np.repeat(forest.feature, 2)
        own = cover[forest.trees :] / np.repeat(cover[forest.inner], 2)
        above, again = _above(forest, feature), []
        share, count = np.append(own, 1.0), np.zeros(len(forest.leaf), np.intp)
        for parents, edges in forest.levels:
            repeated = edges.start + np.flatnonzero(above[edges] < len(own))
            share[repeated] *= share[above[repeated]]
            again.append(repeated)
            new = above[edges] == len(own)
            count[forest.trees :][edges] = np.repeat(count[parents], 2) + new
        most, constant = int(count.max()), _constant(forest, own)
        return cls(forest, feature, share[:-1], above, tuple(again), most, constant)

    def contributions(self, features: Values) -> Values:
        """What each feature adds (n, width + 1), the constant last; each row sums to its margin.

        Rows do not depend on each other: one after the other, they fit into the cache.
        """
        found = np.empty((len(features), self.forest.width + 1))
        found[:, -1] = self.constant
        for row, parts in zip(as_float32(features), found, strict=True):
            parts[:-1] = np.bincount(self.feature, self._added(row), self.forest.width)
        return found

    def _added(self, row: Float32) -> Values:
        """What each edge (E,) adds to the feature of its split."""
        way, added = self._way(row), np.zeros(len(self.feature))
        again = np.concatenate([np.zeros(0, np.intp), *self.again])
        above, gain = self.above[again], way - self.share
        for point, weight in zip(*_gauss(-(-self.most // 2)), strict=True):
            factor = (1 - point) * self.share
            factor += point * way
            part = weight * gain / factor
            part[again] -= part[above]
            factor[again] /= factor[above]
            part *= self._below(factor)
            added += part
        return added

    def _way(self, row: Float32) -> Values:
        """1 for each edge (E,) that a row follows at all splits on its feature so far, else 0."""
        way = np.empty((len(self.forest.inner), 2))
        way[:, 0] = self.forest.goes_left(row)
        way[:, 1] = 1 - way[:, 0]
        found = way.reshape(-1)
        for repeated in self.again:
            found[repeated] *= found[self.above[repeated]]
        return found

    def _below(self, factor: Values) -> Values:
        """The sum, for each edge (E,), of the leaves below it, each times the factors on its path."""
        forest, sums = self.forest, np.ones(len(self.forest.leaf))
        ends = sums[forest.trees :].reshape(-1, 2)
        pairs = factor.reshape(-1, 2)
        for parents, edges in forest.levels:
            both = slice(edges.start // 2, edges.stop // 2)
            np.multiply(sums[parents, None], pairs[both], out=ends[both])
        sums *= forest.leaf
        for parents, edges in reversed(forest.levels):
            both = slice(edges.start // 2, edges.stop // 2)
            sums[parents] = ends[both, 0] + ends[both, 1]
        return sums[forest.trees :]


def _gauss(count: int) -> tuple[Values, Values]:
    """The points and weights of Gauss and Legendre's rule from 0 to 1."""
    points, weights = np.polynomial.legendre.leggauss(count) if count else np.zeros((2, 0))
    return (points + 1) / 2, weights / 2


def _above(forest: FlatForest, feature: Indices) -> Indices:
    """The nearest edge above each edge (E,) on the same feature; E if there is none."""
    parent = np.repeat(forest.inner, 2) - forest.trees  # the edge above; below 0 at a root
    found, waiting, upper = np.full(len(feature), len(feature)), np.arange(len(feature)), parent
    while len(waiting):
        going = upper >= 0
        waiting, upper = waiting[going], upper[going]
        same = feature[upper] == feature[waiting]
        found[waiting[same]] = upper[same]
        waiting, upper = waiting[~same], parent[upper[~same]]
    return found


def _constant(forest: FlatForest, share: Values) -> float:
    """The mean of the margins over the training images."""
    means = forest.leaf.astype(np.float64)
    for parents, edges in reversed(forest.levels):
        means[parents] = (means[forest.trees :][edges] * share[edges]).reshape(-1, 2).sum(axis=1)
    return float(means[: forest.trees].sum())
