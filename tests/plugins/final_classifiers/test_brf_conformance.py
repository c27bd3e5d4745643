"""The final classifier `brf` keeps its contract."""

from segad_core.testing import FinalClassifierSuite
from segad_plugins.final_classifiers.brf import BoostedRandomForest


class TestBoostedRandomForest(FinalClassifierSuite):
    def make(self):
        return BoostedRandomForest(BoostedRandomForest.Params(num_parallel_tree=20))


class TestApproximateTrees(FinalClassifierSuite):
    def make(self):
        return BoostedRandomForest(BoostedRandomForest.Params(num_parallel_tree=20, tree_method="approx"))


class TestTreesThatStartFromAFeature(FinalClassifierSuite):
    def make(self):
        feature = "segment_0.detector.statistic_0"
        return BoostedRandomForest(BoostedRandomForest.Params(num_parallel_tree=20, base_margin=feature))
