"""What the state of a final classifier takes, for `segad check`. Part of no key in the store."""

from __future__ import annotations

from segad_core.api import Estimate
from segad_plugins.final_classifiers.blend import Blend
from segad_plugins.final_classifiers.brf import BoostedRandomForest
from segad_plugins.final_classifiers.forest import Forest
from segad_plugins.final_classifiers.logistic import Logistic

_NODE = 100  # bytes of a node in XGBoost's JSON; about 60 were measured
_FEATURES = 10_000  # far more than the segments and detectors of any recipe give


def forest(classifier: Forest) -> Estimate:
    """Trees with all the nodes that their depth allows."""
    p = classifier.params
    return Estimate(state=p.n_estimators * p.num_parallel_tree * 2 ** (p.max_depth + 1) * _NODE)


def logistic(classifier: Logistic) -> Estimate:
    """Three numbers for each feature."""
    return Estimate(state=8 * (3 * _FEATURES + 3))


def blend(classifier: Blend) -> Estimate:
    """The forest, and a few numbers for each detector."""
    return forest(BoostedRandomForest(classifier.params.forest))
