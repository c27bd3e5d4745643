"""The feature `mean` keeps its contract."""

from segad_core.testing import FeatureSuite
from segad_plugins.features.moments import Mean


class TestMean(FeatureSuite):
    def make(self):
        return Mean()
