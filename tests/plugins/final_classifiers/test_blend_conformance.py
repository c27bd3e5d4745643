"""The final classifier `blend` keeps its contract."""

from segad_core.testing import FinalClassifierSuite
from segad_plugins.final_classifiers.blend import Blend
from segad_plugins.final_classifiers.brf import BoostedRandomForest

SMALL = BoostedRandomForest.Params(n_estimators=3, num_parallel_tree=10)


class TestBlend(FinalClassifierSuite):
    def make(self):
        return Blend(Blend.Params(forest=SMALL))


class TestWeakPrior(FinalClassifierSuite):
    def make(self):
        return Blend(Blend.Params(forest=SMALL, folds=2, halfway=0.0, spread=10.0))
