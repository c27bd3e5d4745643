"""The data set `elpv` keeps its contract."""

from segad_core.testing import DatasetSuite
from segad_plugins.datasets.elpv import Elpv


class TestElpv(DatasetSuite):
    def make(self):
        return Elpv()
