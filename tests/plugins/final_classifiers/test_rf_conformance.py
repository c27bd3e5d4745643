"""The final classifier `rf` keeps its contract."""

from segad_core.testing import FinalClassifierSuite
from segad_plugins.final_classifiers.rf import RandomForest


class TestRandomForest(FinalClassifierSuite):
    def make(self):
        return RandomForest(RandomForest.Params(num_parallel_tree=200))
