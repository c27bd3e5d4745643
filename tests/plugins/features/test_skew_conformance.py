"""The feature `skew` keeps its contract."""

from segad_core.testing import FeatureSuite
from segad_plugins.features.moments import Skew


class TestSkew(FeatureSuite):
    def make(self):
        return Skew()
