"""The final classifier `logistic` keeps its contract."""

from segad_core.testing import FinalClassifierSuite
from segad_plugins.final_classifiers.logistic import Logistic


class TestLogistic(FinalClassifierSuite):
    def make(self):
        return Logistic()


class TestBalanced(FinalClassifierSuite):
    def make(self):
        return Logistic(Logistic.Params(class_weight="balanced", C=(0.1,)))
