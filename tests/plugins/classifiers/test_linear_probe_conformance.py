"""The classifier `linear_probe` keeps its contract."""

from segad_core.testing import ClassifierSuite
from segad_plugins.classifiers.linear_probe import LinearProbe


class TestLinearProbe(ClassifierSuite):
    def make(self):
        return LinearProbe()


class TestPerLayer(ClassifierSuite):
    def make(self):
        return LinearProbe(LinearProbe.Params(per_layer=True))


class TestOneLayerBalanced(ClassifierSuite):
    def make(self):
        chosen = {"layers": ("layer2",), "pooling": ("std", "max"), "class_weight": "balanced", "C": (0.01,)}
        return LinearProbe(LinearProbe.Params(**chosen))
