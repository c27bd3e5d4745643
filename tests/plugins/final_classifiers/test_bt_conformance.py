"""The final classifier `bt` keeps its contract."""

from segad_core.testing import FinalClassifierSuite
from segad_plugins.final_classifiers.bt import BoostedTrees


class TestBoostedTrees(FinalClassifierSuite):
    def make(self):
        return BoostedTrees(BoostedTrees.Params(n_estimators=200))
