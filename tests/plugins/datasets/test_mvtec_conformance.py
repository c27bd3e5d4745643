"""The data set `mvtec` keeps its contract."""

import pytest
from published_trees import mvtec_tree

from segad_core.testing import DatasetSuite
from segad_plugins.datasets.mvtec import MVTec


class TestMVTec(DatasetSuite):
    @pytest.fixture(autouse=True)
    def tree(self, tmp_path):
        self.root = mvtec_tree(tmp_path, ("bottle", "grid", "toothbrush"), scale=0.03)

    def make(self):
        return MVTec(MVTec.Params(root=self.root))
