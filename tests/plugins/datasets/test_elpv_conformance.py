"""The data set `elpv` keeps its contract."""

from segad_core.testing import DatasetSuite
from segad_plugins.datasets.elpv import Elpv


class TestElpv(DatasetSuite):
    def make(self):
        return Elpv()


def test_of_another_category_nothing_was_published():
    assert sum(Elpv().published_counts("mono").values()) == 588 + 313 + 117 + 56
    assert Elpv().published_counts("thin film") == {}
