"""The feature `std` keeps its contract."""

from segad_core.testing import FeatureSuite
from segad_plugins.features.std import Std


class TestStd(FeatureSuite):
    def make(self):
        return Std()
