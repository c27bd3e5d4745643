"""The feature `max` keeps its contract."""

from segad_core.testing import FeatureSuite
from segad_plugins.features.order import Maximum


class TestMaximum(FeatureSuite):
    def make(self):
        return Maximum()
