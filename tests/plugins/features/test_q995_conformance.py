"""The feature `q995` keeps its contract."""

from segad_core.testing import FeatureSuite
from segad_plugins.features.order import Quantile995


class TestQuantile995(FeatureSuite):
    def make(self):
        return Quantile995()
