"""The feature `kurtosis` keeps its contract."""

from segad_core.testing import FeatureSuite
from segad_plugins.features.moments import Kurtosis


class TestKurtosis(FeatureSuite):
    def make(self):
        return Kurtosis()
